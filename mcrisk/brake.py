"""The braking phase in a planar model, range left free: duration, ground distance and propellant of the flown law.

Polar equations of motion about the Moon's centre (Battin 1999, 3.3) with the laws of kernels/mcrisk/guidance.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ImpossibleDesign
from .orbit import kepler_speed, radii

if TYPE_CHECKING:
    from .mission import Mission

__all__ = ["Braking", "fly_braking"]

STEP = 0.5  # [s]
LATE = 20.0  # [s] of time to go from which on the explicit law counts down by the clock (guidance.h)
HANDOVER = 8.0  # [s] of time to go at which the approach takes over from a law that aims at a point (guidance.h)
PEAK = 0.94  # [] of full thrust at the peak of a law that commands thrust


@dataclass(frozen=True)
class Braking:
    """Result of the braking phase."""

    duration: float  # [s]
    distance: float  # [m] along the ground, from ignition to the gate
    mass_end: float  # [kg]
    peak: float  # [] largest thrust asked for over full thrust


@dataclass
class _Flight:
    radius: float
    angle: float
    climb: float
    forward: float
    mass: float
    time: float = 0.0


@dataclass(frozen=True)
class _Gate:
    height: float
    descent_rate: float
    forward: float


def linear_profile(displacement: float, speed: float, speed_end: float, time: float) -> float:
    return 6 * displacement / time**2 - (4 * speed + 2 * speed_end) / time


def linear_profile_rate(displacement: float, speed: float, speed_end: float, time: float) -> float:
    return (6 * (speed + speed_end) - 12 * displacement / time) / time**2


def fly_braking(mission: Mission, thrust: float, mass: float, exhaust: float) -> Braking:
    """Fly the mission's braking law from perilune to its gate; raises `ImpossibleDesign` if it does not arrive."""
    value = mission.value
    site, low, _ = radii(mission)
    mu = value("gravity.gravitational_parameter")
    gate = _Gate(
        value("guidance.gate_height") + value("touchdown.cg_height"),
        value("guidance.gate_descent_rate"),
        value("guidance.gate_speed_forward"),
    )
    fraction = value("guidance.brake_fraction")
    law = value("guidance.braking_law")
    if law == "dsouza":
        return _dsouza(mission, thrust, mass, exhaust, gate)
    flight = _Flight(low, 0.0, 0.0, kepler_speed(mission), mass)
    limit = 2.0 * exhaust * mass / thrust
    remaining = exhaust * mass / (fraction * thrust) * (1 - math.exp(-flight.forward / exhaust)) * 1.1
    while flight.forward > gate.forward + 0.75:
        lift, level, predicted = _explicit(flight, gate, site, mu, fraction * thrust / flight.mass, exhaust, remaining)
        remaining = remaining - STEP if remaining < LATE else predicted
        _advance(flight, mu, lift, -level, fraction * thrust / exhaust)
        if flight.time > limit or flight.radius < site or flight.mass < 0.05 * mass:
            raise ImpossibleDesign(
                f"{mission.name}: the braking phase does not reach its gate at {value('guidance.gate_height'):.0f} m: "
                f"thrust to weight at ignition is {thrust * low**2 / (mass * mu):.2f}",
                remedy="more thrust, a higher orbit.perilune or a lower gate",
            )
    return Braking(flight.time, site * flight.angle, flight.mass, fraction)


def _explicit(
    flight: _Flight, gate: _Gate, site: float, mu: float, full: float, exhaust: float, remaining: float
) -> tuple[float, float, float]:
    """Vertical and horizontal thrust acceleration of the constant-thrust explicit law, and time to go."""
    time = max(remaining, 8.0)
    drop = site + gate.height - flight.radius
    rise = linear_profile(drop, flight.climb, -gate.descent_rate, time)
    rise_rate = linear_profile_rate(drop, flight.climb, -gate.descent_rate, time)
    pull = mu / flight.radius**2
    decrement = max(flight.forward - gate.forward, 0.1) / 8
    elapsed = last = 0.0
    for i in range(8):
        middle = elapsed + 0.5 * last
        speed = flight.forward - (i + 0.5) * decrement
        push = full / max(1 - full * middle / exhaust, 0.2)
        lift = rise + rise_rate * middle + pull - speed**2 / flight.radius
        last = decrement / math.sqrt(max(push**2 - lift**2, 0.09 * push**2))
        elapsed += last
    lift = rise + pull - flight.forward**2 / flight.radius
    lift = min(max(lift, -0.9 * full), 0.9 * full)
    return lift, math.sqrt(max(full**2 - lift**2, 0.01 * full**2)), elapsed


def _advance(flight: _Flight, mu: float, lift: float, level: float, flow: float) -> None:
    """One mid-point step under a held thrust acceleration (up, forward)."""

    def rates(r: float, climb: float, forward: float) -> tuple[float, float, float, float]:
        return climb, forward / r, lift - mu / r**2 + forward**2 / r, level - climb * forward / r

    half = 0.5 * STEP
    a = rates(flight.radius, flight.climb, flight.forward)
    b = rates(flight.radius + half * a[0], flight.climb + half * a[2], flight.forward + half * a[3])
    flight.radius += STEP * b[0]
    flight.angle += STEP * b[1]
    flight.climb += STEP * b[2]
    flight.forward += STEP * b[3]
    flight.mass -= STEP * flow
    flight.time += STEP


def _dsouza(mission: Mission, thrust: float, mass: float, exhaust: float, gate: _Gate) -> Braking:
    """The shortest range, hence least propellant, that D'Souza's law flies within the planned share of the thrust."""

    def works(distance: float) -> bool:
        return _fly_dsouza(mission, thrust, mass, exhaust, gate, distance) is not None

    short = 0.35 * kepler_speed(mission) ** 2 * mass / thrust
    ranges = [short * 1.05**k for k in range(24)]
    enough = next((k for k, distance in enumerate(ranges) if works(distance)), None)
    if enough is None:
        raise ImpossibleDesign(
            f"{mission.name}: D'Souza's law asks for more than {PEAK:.0%} of the thrust, or misses its gate, at every "
            f"ignition range up to {ranges[-1] / 1e3:.0f} km",
            remedy="more thrust, or a smaller guidance.dsouza_gamma",
        )
    low, high = ranges[max(enough - 1, 0)], ranges[enough]
    while high - low > 1e-4 * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if works(middle) else (middle, high)
    best = _fly_dsouza(mission, thrust, mass, exhaust, gate, high)
    assert best is not None
    return best


def _fly_dsouza(
    mission: Mission, thrust: float, mass: float, exhaust: float, gate: _Gate, distance: float
) -> Braking | None:
    """The braking phase from this range; None where it asks for too much thrust or does not arrive at its gate."""
    value = mission.value
    site, low, _ = radii(mission)
    mu = value("gravity.gravitational_parameter")
    gamma = value("guidance.dsouza_gamma")
    flight = _Flight(low, -distance / site, 0.0, kepler_speed(mission), mass)
    goal = (0.0, site + gate.height)  # the gate above the end of the arc: x forward there, z up
    goal_velocity = (gate.forward, -gate.descent_rate)
    time = 2.0 * distance / flight.forward
    peak = 0.0
    while flight.forward > gate.forward + 1.0 and time > HANDOVER:
        s, c = math.sin(flight.angle), math.cos(flight.angle)
        position = (flight.radius * s, flight.radius * c)
        velocity = (flight.climb * s + flight.forward * c, flight.climb * c - flight.forward * s)
        pull = (-mu / flight.radius**2 * s, -mu / flight.radius**2 * c)
        away = (position[0] - goal[0], position[1] - goal[1])
        relative = (velocity[0] - goal_velocity[0], velocity[1] - goal_velocity[1])
        before = max(time - STEP, 1.0)
        moving = (away[0] + before * goal_velocity[0], away[1] + before * goal_velocity[1])
        time = _dsouza_time(gamma, moving, relative, pull, before)
        held = max(time, 5.0)
        moving = (away[0] + time * goal_velocity[0], away[1] + time * goal_velocity[1])
        push = [-4 * relative[k] / held - 6 * moving[k] / held**2 - pull[k] for k in range(2)]
        size = math.hypot(*push)
        peak = max(peak, size * flight.mass / thrust)
        if peak > PEAK or flight.time > 2000.0 or flight.radius < site + 0.5 * gate.height or flight.mass < 0.05 * mass:
            return None
        _advance(flight, mu, push[0] * s + push[1] * c, push[0] * c - push[1] * s, size * flight.mass / exhaust)
    if abs(flight.radius - site - gate.height) > 0.5 * gate.height:
        return None
    return Braking(flight.time, distance, flight.mass, peak)


def _dsouza_time(
    gamma: float, r: tuple[float, float], v: tuple[float, float], pull: tuple[float, float], guess: float
) -> float:
    a = gamma + 0.5 * (pull[0] ** 2 + pull[1] ** 2)
    b = 2 * (v[0] ** 2 + v[1] ** 2)
    c = 12 * (r[0] * v[0] + r[1] * v[1])
    d = 18 * (r[0] ** 2 + r[1] ** 2)
    time = max(guess, 1.0)
    for _ in range(20):
        slope = (4 * a * time**2 - 2 * b) * time - c
        step = (((a * time**2 - b) * time - c) * time - d) / (slope if abs(slope) > 1e-3 else 1e-3)
        before, time = time, min(max(time - step, 0.5 * time), 2 * time)
        if abs(time - before) < 1e-9 * before:
            break
    return time
