"""The braking phase in a planar model, range left free: duration, ground distance and propellant of the flown law.

Polar equations of motion about the Moon's centre (Battin 1999, 3.3) with the laws of kernels/mcrisk/guidance.h.
"""

from __future__ import annotations

import functools
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
class _Task:
    """All that decides a braking phase. Equal ones are flown once: the points of a sweep often brake alike."""

    law: str
    gamma: float  # [m^2 s^-4] of D'Souza's law
    fraction: float  # [] of full thrust, of the explicit laws
    mu: float  # [m^3 s^-2]
    site: float  # [m] radius of the site
    radius: float  # [m] at perilune
    speed: float  # [m s^-1] at perilune
    thrust: float  # [N]
    mass: float  # [kg]
    exhaust: float  # [m s^-1]
    gate: float  # [m] height of the centre of gravity above the site
    gate_descent: float  # [m s^-1]
    gate_forward: float  # [m s^-1]


def linear_profile(displacement: float, speed: float, speed_end: float, time: float) -> float:
    return 6 * displacement / time**2 - (4 * speed + 2 * speed_end) / time


def linear_profile_rate(displacement: float, speed: float, speed_end: float, time: float) -> float:
    return (6 * (speed + speed_end) - 12 * displacement / time) / time**2


def fly_braking(mission: Mission, thrust: float, mass: float, exhaust: float) -> Braking:
    """Fly the mission's braking law from perilune to its gate; raises `ImpossibleDesign` if it does not arrive."""
    value = mission.value
    site, low, _ = radii(mission)
    law = value("guidance.braking_law")
    task = _Task(
        law=law,
        gamma=value("guidance.dsouza_gamma") if law == "dsouza" else 0.0,
        fraction=value("guidance.brake_fraction"),
        mu=value("gravity.gravitational_parameter"),
        site=site,
        radius=low,
        speed=kepler_speed(mission),
        thrust=thrust,
        mass=mass,
        exhaust=exhaust,
        gate=value("guidance.gate_height") + value("touchdown.cg_height"),
        gate_descent=value("guidance.gate_descent_rate"),
        gate_forward=value("guidance.gate_speed_forward"),
    )
    if law == "dsouza":
        if (found := _dsouza(task)) is None:
            raise ImpossibleDesign(
                f"{mission.name}: D'Souza's law asks for more than {PEAK:.0%} of the thrust, or misses its gate, at "
                f"every ignition range up to {_ranges(task)[-1] / 1e3:.0f} km",
                remedy="more thrust, or a smaller guidance.dsouza_gamma",
            )
    elif (found := _explicit_thrust(task)) is None:
        raise ImpossibleDesign(
            f"{mission.name}: the braking phase does not reach its gate at {value('guidance.gate_height'):.0f} m: "
            f"thrust to weight at ignition is {thrust * low**2 / (mass * task.mu):.2f}",
            remedy="more thrust, a higher orbit.perilune or a lower gate",
        )
    return found


@functools.lru_cache(maxsize=4096)
def _explicit_thrust(task: _Task) -> Braking | None:
    """The constant-thrust explicit law; None where it does not reach its gate."""
    flight = _Flight(task.radius, 0.0, 0.0, task.speed, task.mass)
    thrust, exhaust = task.fraction * task.thrust, task.exhaust
    limit = 2.0 * exhaust * task.mass / task.thrust
    remaining = exhaust * task.mass / thrust * (1 - math.exp(-flight.forward / exhaust)) * 1.1
    while flight.forward > task.gate_forward + 0.75:
        lift, level, predicted = _explicit(flight, task, thrust / flight.mass, remaining)
        remaining = remaining - STEP if remaining < LATE else predicted
        _advance(flight, task.mu, lift, -level, thrust / exhaust)
        if flight.time > limit or flight.radius < task.site or flight.mass < 0.05 * task.mass:
            return None
    return Braking(flight.time, task.site * flight.angle, flight.mass, task.fraction)


def _explicit(flight: _Flight, task: _Task, full: float, remaining: float) -> tuple[float, float, float]:
    """Vertical and horizontal thrust acceleration of the constant-thrust explicit law, and time to go."""
    time = max(remaining, 8.0)
    drop = task.site + task.gate - flight.radius
    rise = linear_profile(drop, flight.climb, -task.gate_descent, time)
    rise_rate = linear_profile_rate(drop, flight.climb, -task.gate_descent, time)
    pull = task.mu / flight.radius**2
    decrement = max(flight.forward - task.gate_forward, 0.1) / 8
    elapsed = last = 0.0
    for i in range(8):
        middle = elapsed + 0.5 * last
        speed = flight.forward - (i + 0.5) * decrement
        push = full / max(1 - full * middle / task.exhaust, 0.2)
        lift = rise + rise_rate * middle + pull - speed**2 / flight.radius
        last = decrement / math.sqrt(max(push**2 - lift**2, 0.09 * push**2))
        elapsed += last
    lift = rise + pull - flight.forward**2 / flight.radius
    lift = min(max(lift, -0.9 * full), 0.9 * full)
    return lift, math.sqrt(max(full**2 - lift**2, 0.01 * full**2)), elapsed


def _advance(flight: _Flight, mu: float, lift: float, level: float, flow: float) -> None:
    """One mid-point step under a held thrust acceleration (up, forward)."""
    half = 0.5 * STEP
    r, climb, forward = flight.radius, flight.climb, flight.forward
    rise = lift - mu / (r * r) + forward * forward / r
    gain = level - climb * forward / r
    r, climb, forward = r + half * climb, climb + half * rise, forward + half * gain
    flight.radius += STEP * climb
    flight.angle += STEP * (forward / r)
    flight.climb += STEP * (lift - mu / (r * r) + forward * forward / r)
    flight.forward += STEP * (level - climb * forward / r)
    flight.mass -= STEP * flow
    flight.time += STEP


def _ranges(task: _Task) -> list[float]:
    """Ignition ranges tried for D'Souza's law [m]."""
    short = 0.35 * task.speed**2 * task.mass / task.thrust
    return [short * 1.05**k for k in range(24)]


@functools.lru_cache(maxsize=4096)
def _dsouza(task: _Task) -> Braking | None:
    """The shortest range, hence least propellant, that D'Souza's law flies within the planned share of the thrust."""
    low = best = None
    for high in _ranges(task):
        if best := _fly_dsouza(task, high):
            break
        low = high
    if best is None:
        return None
    low = high if low is None else low
    while high - low > 1e-4 * high:
        middle = 0.5 * (low + high)
        if found := _fly_dsouza(task, middle):
            high, best = middle, found
        else:
            low = middle
    return best


def _fly_dsouza(task: _Task, distance: float) -> Braking | None:
    """The braking phase from this range; None where it asks for too much thrust or does not arrive at its gate.

    x is forward and z up at the end of the arc, where the gate stands. Most of the designer's time goes here: plain
    numbers and products, no vectors and powers.
    """
    mu, gamma, mass, thrust = task.mu, task.gamma, task.mass, task.thrust
    gate_radius, goal_x, goal_z = task.site + task.gate, task.gate_forward, -task.gate_descent
    slowest, lowest, lightest = goal_x + 1.0, task.site + 0.5 * task.gate, 0.05 * mass
    flight = _Flight(task.radius, -distance / task.site, 0.0, task.speed, mass)
    time = 2.0 * distance / flight.forward
    peak = 0.0
    sin, cos, hypot = math.sin, math.cos, math.hypot
    while flight.forward > slowest and time > HANDOVER:
        radius, climb, forward = flight.radius, flight.climb, flight.forward
        s, c = sin(flight.angle), cos(flight.angle)
        weight = -mu / (radius * radius)
        pull_x, pull_z = weight * s, weight * c
        away_x, away_z = radius * s, radius * c - gate_radius
        speed_x, speed_z = climb * s + forward * c - goal_x, climb * c - forward * s - goal_z
        before = time - STEP if time > STEP + 1.0 else 1.0
        time = _dsouza_time(
            gamma + 0.5 * (pull_x * pull_x + pull_z * pull_z),
            away_x + before * goal_x, away_z + before * goal_z, speed_x, speed_z, before,
        )  # fmt: skip
        held = time if time > 5.0 else 5.0
        push_x = -4 * speed_x / held - 6 * (away_x + time * goal_x) / (held * held) - pull_x
        push_z = -4 * speed_z / held - 6 * (away_z + time * goal_z) / (held * held) - pull_z
        flow = hypot(push_x, push_z) * flight.mass
        if (share := flow / thrust) > peak:
            peak = share
        if peak > PEAK or flight.time > 2000.0 or radius < lowest or flight.mass < lightest:
            return None
        _advance(flight, mu, push_x * s + push_z * c, push_x * c - push_z * s, flow / task.exhaust)
    if abs(flight.radius - task.site - task.gate) > 0.5 * task.gate:
        return None
    return Braking(flight.time, distance, flight.mass, peak)


def _dsouza_time(a: float, x: float, z: float, speed_x: float, speed_z: float, guess: float) -> float:
    """Time to go that minimises D'Souza's cost, by Newton's method; a: its coefficient of the fourth power."""
    b = 2 * (speed_x * speed_x + speed_z * speed_z)
    c = 12 * (x * speed_x + z * speed_z)
    d = 18 * (x * x + z * z)
    time = guess
    for _ in range(20):
        square = time * time
        slope = (4 * a * square - 2 * b) * time - c
        if abs(slope) <= 1e-3:
            slope = 1e-3
        before, time = time, time - (((a * square - b) * time - c) * time - d) / slope
        if time < 0.5 * before:
            time = 0.5 * before
        elif time > 2 * before:
            time = 2 * before
        if abs(time - before) < 1e-9 * before:
            break
    return time
