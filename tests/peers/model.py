"""All of mcrisk's truth step for array tools: what `propagate()` of kernels/mcrisk/dynamics.h computes, as it does.

steps.py gives a tool the least that the arc asks for. This is the same model instead, so that a rate says how fast a
tool is and not how much it was spared: turning site frame with C22, lags of two engines, cluster pulses and attitude
jets that happen to be silent, depletion, moving centre of gravity, compensated sums, and what the inertial unit
integrates. What a tool can hoist it may hoist: numbers of the mission are constants here, where mcrisk reads them run
by run; only thrust, mass flow for it and offset are arrays. Series stand for the circular functions of small angles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from peers import arc

__all__ = ["Tool", "begin", "end", "make_step", "runs"]

MEGAMETRE = 1e6  # [m]
TICK = 0.1  # [s]
IGNITION = -1000  # [tick]
LAG, TAIL_OFF, LAG_RING = 0.1, 0.1, 0.02  # [s]
COUNT = 2  # truth steps of a tick


@dataclass(frozen=True)
class Tool:
    """What a tool calls the few functions that the model needs."""

    real: Callable[[float], Any]
    root: Callable[[Any], Any]
    where: Callable[[Any, Any, Any], Any]
    compiled: Callable[[Any], Any] = lambda function: function


def make_step(tool: Tool) -> Callable[..., Any]:
    """`step(state, runs, tick, index)`: the state one truth step later; tick and index are numbers of the tool."""
    real, root, where, compiled = tool.real, tool.root, tool.where, tool.compiled
    zero, half, one, three_halves, two, four, five = (real(x) for x in (0, 0.5, 1, 1.5, 2, 4, 5))
    quarter, tiny, turn_max = real(0.25), real(1e-12), real(1.15 / 2)
    mega, radius = real(1 / MEGAMETRE), real(arc.RADIUS)
    mu, j2, c22 = real(arc.GM * 1e-12), real(arc.J2), real(0)
    reference = real(arc.REFERENCE / MEGAMETRE)
    pole = tuple(real(x) for x in arc.POLE_S)
    e1 = tuple(real(x) for x in arc.MERIDIAN_S)
    spin_S = tuple(real(x) for x in arc.RATE * arc.POLE_S)
    duration, tick_period, rate = real(arc.STEP), real(TICK), real(1 / arc.STEP)
    half_step, ignition, count = real(arc.STEP / 2), real(IGNITION), real(COUNT)
    decays = [np.exp(-arc.STEP / constant) for constant in (LAG, TAIL_OFF, LAG_RING)]
    means = [(1 - decay) * each / arc.STEP for decay, each in zip(decays, (LAG, TAIL_OFF, LAG_RING), strict=True)]
    decay_main, decay_tail, decay_ring = (real(x) for x in decays)
    mean_main, mean_tail, mean_ring = (real(x) for x in means)
    duty, ring_count, ring_thrust, ring_radius, ring_isp = real(0), real(0), real(100), real(0.8), real(275)
    isp_loss, pulse_min, shortest = real(0.1), real(0.02), real(1e-3)
    standard, residual, tank_inverse = real(arc.GRAVITY), real(0), real(1 / arc.PROPELLANT)
    kept, ring_inverse = real(0), real(1 / 1e-3)
    jets_torque, jets_flow, rcs_gain = real(20), real(20 / (220 * arc.GRAVITY)), real(1)
    dry = real(arc.MASS_DRY)
    cg = tuple(real(0) for _ in range(3))
    inertia_dry = tuple(real(x) for x in arc.INERTIA_DRY)
    inertia_gain = real(arc.INERTIA_TANK)
    c2, c4, s0, s2, s4 = real(-1 / 2), real(1 / 24), real(1 / 2), real(-0.5 / 6), real(0.5 / 120)

    @compiled
    def add(a: Any, b: Any) -> Any:
        return a[0] + b[0], a[1] + b[1], a[2] + b[2]

    @compiled
    def less(a: Any, b: Any) -> Any:
        return a[0] - b[0], a[1] - b[1], a[2] - b[2]

    @compiled
    def times(s: Any, a: Any) -> Any:
        return s * a[0], s * a[1], s * a[2]

    @compiled
    def scale(a: Any, b: Any) -> Any:
        return a[0] * b[0], a[1] * b[1], a[2] * b[2]

    @compiled
    def dot(a: Any, b: Any) -> Any:
        return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]

    @compiled
    def cross(a: Any, b: Any) -> Any:
        return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]

    @compiled
    def turned(w: Any, u: Any, v: Any) -> Any:
        c = cross(u, v)
        t = (c[0] + w * v[0], c[1] + w * v[1], c[2] + w * v[2])
        d = cross(u, t)
        return v[0] + two * d[0], v[1] + two * d[1], v[2] + two * d[2]

    @compiled
    def multiply(a: Any, b: Any) -> Any:
        return (
            a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
            a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
            a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
            a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
        )

    @compiled
    def small_turn(v: Any) -> Any:
        square = quarter * dot(v, v)
        cosine = one + square * (c2 + square * c4)
        ratio = s0 + square * (s2 + square * s4)
        return cosine, ratio * v[0], ratio * v[1], ratio * v[2]

    @compiled
    def compensated(total: Any, rest: Any, term: Any) -> Any:
        wanted = term - rest
        after = total + wanted
        return after, (after - total) - wanted

    @compiled
    def clamp(x: Any, low: Any, high: Any) -> Any:
        return where(x > low, where(x < high, x, high), low)

    @compiled
    def lagged(now: Any, wanted: Any, decay: Any, mean: Any) -> Any:
        gap = now - wanted
        return wanted + gap * decay, wanted + gap * mean

    @compiled
    def gravitation(position: Any) -> Any:
        r = (mega * position[0], mega * position[1], mega * (position[2] + radius))
        inverse = one / root(dot(r, r))
        inverse2 = inverse * inverse
        central = mu * inverse * inverse2
        flat = reference * reference * inverse2
        x, z = dot(r, e1), dot(r, pole)
        sine2 = z * z * inverse2
        zonal = -three_halves * j2 * central * flat
        sectorial = (one + two) * c22 * central * flat
        difference = two * x * x * inverse2 + (sine2 - one)
        along_r = zonal * (one - five * sine2) - central - sectorial * (five * difference + two)
        along_x, along_z = four * sectorial * x, two * (zonal + sectorial) * z
        return add(add(times(along_r, r), times(along_x, e1)), times(along_z, pole))

    @compiled
    def turning(position: Any, velocity: Any) -> Any:
        sweep = cross(spin_S, (position[0], position[1], position[2] + radius))
        return cross(add(times(two, velocity), sweep), spin_S)

    @compiled
    def step(state: Any, runs: Any, tick: Any, index: Any) -> Any:
        position, position_rest, velocity, velocity_rest, q, q_rest, omega, engines, gained = state
        main, ring, noise, propellant, propellant_rest, rcs_propellant = engines
        thrust_full, main_flow, offset_x, offset_y = runs
        mass_start = dry + kept + propellant + rcs_propellant

        # engines
        wet = propellant > zero
        since = (tick - ignition) * tick_period + (index + one) * duration
        started = clamp(since * rate, zero, one)
        wish = where(wet, thrust_full * started, zero)
        lit = wish > zero
        main, main_mean = lagged(main, wish, where(lit, decay_main, decay_tail), where(lit, mean_main, mean_tail))
        pulse = clamp(duty * count - index, zero, one)
        on = where(wet, pulse, zero)
        ring, ring_mean = lagged(ring, on * ring_count * ring_thrust, decay_ring, mean_ring)
        on_time = where(
            duty * tick_period > pulse_min, duty * tick_period, where(pulse_min > shortest, pulse_min, shortest)
        )
        ring_flow = on_time / (ring_isp * standard * (on_time - isp_loss * pulse_min))
        loud = one + noise
        wanted = loud * (main_mean * main_flow + ring_mean * ring_flow)
        empties = wanted * duration > propellant
        share = where(empties, propellant / where(wanted * duration > tiny, wanted * duration, tiny), one)
        scaled = loud * where(share > zero, share, zero)
        main_force, ring_force = main_mean * scaled, ring_mean * scaled
        force = main_force + ring_force
        steer = where(wet, scaled * ring_count * ring_thrust, zero) * ring_inverse
        torque = (
            offset_y * main_force + steer * zero,
            steer * zero - offset_x * main_force + where(wet, zero, ring_force) * ring_radius,
            zero * main_force,
        )
        flow = wanted * share
        propellant, propellant_rest = compensated(propellant, propellant_rest, -flow * duration)
        propellant = where(empties, zero, propellant)
        propellant_rest = where(empties, zero, propellant_rest)

        # mass properties, attitude jets
        mass = mass_start - half_step * flow
        full = (propellant + half_step * flow) * tank_inverse + residual
        wet_jets = rcs_propellant > zero
        used = jets_flow * pulse * duration
        left = rcs_propellant - where(wet_jets, used, zero)
        rcs_propellant = where(left > zero, left, zero)
        jets = where(wet_jets, jets_torque * rcs_gain, zero) * pulse
        arm = cross(cg, (zero * force, zero * force, force))
        torque = (torque[0] - arm[0] + jets, torque[1] - arm[1] + jets, torque[2] - arm[2] + jets)
        tank = full * inertia_gain
        inertia = (inertia_dry[0] + tank, inertia_dry[1] + tank, inertia_dry[2] + tank)
        yz = inertia[1] * inertia[2]
        product = one / (inertia[0] * yz)
        inverse = (product * yz, product * inertia[0] * inertia[2], product * inertia[0] * inertia[1])
        loss = -flow * tank_inverse * inertia_gain

        # rotation
        moment = less(less(torque, cross(omega, scale(inertia, omega))), times(loss, omega))
        middle = add(omega, times(half_step, scale(inverse, moment)))
        moment = less(less(torque, cross(middle, scale(inertia, middle))), times(loss, middle))
        omega_start = omega
        omega = add(omega, times(duration, scale(inverse, moment)))
        spin = turned(q[0], (-q[1], -q[2], -q[3]), spin_S)
        turn = times(duration, less(middle, add(spin, times(half_step, cross(spin, omega_start)))))
        part = small_turn(
            (
                clamp(half * turn[0], -turn_max, turn_max),
                clamp(half * turn[1], -turn_max, turn_max),
                clamp(half * turn[2], -turn_max, turn_max),
            )
        )
        q_middle = multiply(q, part)
        u = times(two * part[0], (part[1], part[2], part[3]))
        versine = two * dot((part[1], part[2], part[3]), (part[1], part[2], part[3]))
        excess = half * (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3] - one)
        keep = one - excess
        change = multiply(q, (-(excess * (one - versine) + versine), keep * u[0], keep * u[1], keep * u[2]))
        qw, rw = compensated(q[0], q_rest[0], change[0])
        qx, rx = compensated(q[1], q_rest[1], change[1])
        qy, ry = compensated(q[2], q_rest[2], change[2])
        qz, rz = compensated(q[3], q_rest[3], change[3])

        # translation
        felt = force / mass
        felt_S = turned(q_middle[0], (q_middle[1], q_middle[2], q_middle[3]), (zero * felt, zero * felt, felt))
        place = add(position, times(half_step, velocity))
        pulled = add(felt_S, gravitation(place))
        early = add(velocity, times(half_step, add(pulled, turning(place, velocity))))
        second = add(pulled, turning(place, early))
        speed = add(velocity, times(half_step, second))
        vx, sx = compensated(velocity[0], velocity_rest[0], duration * second[0])
        vy, sy = compensated(velocity[1], velocity_rest[1], duration * second[1])
        vz, sz = compensated(velocity[2], velocity_rest[2], duration * second[2])
        px, tx = compensated(position[0], position_rest[0], duration * speed[0])
        py, ty = compensated(position[1], position_rest[1], duration * speed[1])
        pz, tz = compensated(position[2], position_rest[2], duration * speed[2])

        # what the inertial unit integrates, and the total
        angle = times(duration, middle)
        gain = duration * felt
        gained = (
            gained[0] + angle[0], gained[1] + angle[1], gained[2] + angle[2],
            gained[3] + zero * gain, gained[4] + zero * gain, gained[5] + gain, gained[6] + abs(gain),
        )  # fmt: skip
        return (
            (px, py, pz), (tx, ty, tz), (vx, vy, vz), (sx, sy, sz), (qw, qx, qy, qz), (rw, rx, ry, rz), omega,
            (main, ring, noise, propellant, propellant_rest, rcs_propellant), gained,
        )  # fmt: skip

    return cast(Callable[..., Any], step)


def begin(rows: arc.Array, number: type) -> Any:
    """Starts in S of rows of `arc.starts`, as the nested tuple of arrays that a step takes."""
    zero: Any = np.zeros(len(rows), number)
    column: list[Any] = [np.ascontiguousarray(rows[:, k].astype(number)) for k in range(16)]
    three, four = (zero,) * 3, (zero,) * 4
    engines = (column[13], zero, zero, column[15], zero, zero)
    place, speed, q, omega = (tuple(column[a:b]) for a, b in ((0, 3), (3, 6), (6, 10), (10, 13)))
    return place, three, speed, three, q, four, omega, engines, (zero,) * 7


def runs(rows: arc.Array, number: type) -> tuple[Any, ...]:
    """Thrust, mass flow for a unit of it, and offset of each run."""
    ones = np.ones(len(rows))
    parts = (rows[:, 13], 1 / (rows[:, 14] * arc.GRAVITY), arc.OFFSET_X * ones, arc.OFFSET_Y * ones)
    return tuple(np.ascontiguousarray(part.astype(number)) for part in parts)


def end(state: Any) -> arc.Ends:
    """The states of runs in the site frame."""

    def columns(sums: Any, rests: Any) -> arc.Array:
        pairs = zip(sums, rests, strict=True)
        return np.stack([np.asarray(a, np.float64) - np.asarray(b, np.float64) for a, b in pairs], axis=-1)

    place, place_rest, speed, speed_rest, q, q_rest, omega, engines, _ = state
    mass = arc.MASS_DRY + columns(engines[3:4], engines[4:5])[..., 0]
    turning = columns(omega, [np.zeros_like(np.asarray(part)) for part in omega])
    return arc.Ends(columns(place, place_rest), columns(speed, speed_rest), columns(q, q_rest), turning, mass)
