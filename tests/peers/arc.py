"""The powered arc that every tool flies: 600 s, six degrees of freedom, no noise. Stated here once.

A point mass with J2 attracts a rigid body; its engine pushes along +z of the body at constant thrust, with a line of
action that passes half a micrometre beside the centre of gravity (a torque of 1 mN m), and burns `thrust / (isp g0)` a
second; inertia falls linearly with the propellant (a sphere of it, thinning, at the centre of gravity):

    dr/dt = v        m dv/dt = F + m g(r)        I dw/dt = T - w x I w - (dI/dt) w        dm/dt = - F / (isp g0)

These are the equations of kernels/README.md less what the arc leaves at zero, and what Basilisk solves of its own. Of
the frames there, S turns with the Moon and its origin is the site. N is S as it stands at the start and does not turn;
N components of a position count from the site's place at the start, N velocities are inertial.

All numbers but g0 and the pole are exact in single precision, so that every tool flies the same problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COLUMNS",
    "DURATION",
    "STEP",
    "STEPS",
    "Ends",
    "difference",
    "height",
    "push",
    "starts",
    "to_inertial",
    "to_site",
]

Array = NDArray[np.float64]


def single(value: float) -> float:
    """The nearest number of single precision."""
    return float(np.float32(value))


# The Moon: kernels/mcrisk/gravity.h
GM = single(4902.80007e9)  # [m^3 s^-2]
REFERENCE = 1738e3  # [m] of J2
J2 = single(2.0323e-4)
RATE = single(2.6616995e-6)  # [rad s^-1]
RADIUS = 1737.4e3  # [m] of the site
CENTRE = np.array([0, 0, -RADIUS])  # [m] of the Moon, in S and N
LATITUDE, AZIMUTH = np.radians(60.5), np.radians(200.0)  # of the site; of downrange, from north by east
POLE_S = np.array([np.cos(LATITUDE) * np.cos(AZIMUTH), np.cos(LATITUDE) * np.sin(AZIMUTH), np.sin(LATITUDE)])
MERIDIAN_S = np.cross(POLE_S, [0.0, 1.0, 0.0]) / np.linalg.norm(np.cross(POLE_S, [0.0, 1.0, 0.0]))  # C22 is zero

# The lander
GRAVITY = 9.80665  # [m s^-2] of specific impulse, exact
MASS_DRY = 600.0  # [kg]
PROPELLANT = 400.0  # [kg] at the start; less than that is burnt
THRUST = 1920.0  # [N]
ISP = 320.0  # [s]
INERTIA_DRY = np.array([250.0, 300.0, 200.0])  # [kg m^2]
INERTIA_TANK = 160.0  # [kg m^2] of the propellant at the start, about every axis: 2/5 m r^2 with r = 1 m
TANK_RADIUS = 1.0  # [m]
OFFSET_X, OFFSET_Y = single(-5e-7), single(3e-7)  # [m] of the thrust line: torque (y F, -x F, 0)

# The flight: braking from 15 km, thrust against the motion and turning up
DURATION = 600  # [s]
STEP = 0.05  # [s] two to a tick
STEPS = 12_000
POSITION_S = np.array([-420e3, 2e3, -36e3])  # [m]
VELOCITY_S = np.array([1625.0, 10.0, 400.0])  # [m s^-1]
Q_BS = np.array([0.5, -0.5, -0.5, 0.5])  # thrust along -x of S
OMEGA_BN_B = np.array([single(6e-4), single(1e-4), single(3e-4)])  # [rad s^-1]
SPREAD = 1 / 128  # of thrust and specific impulse over the runs of a batch, either way

COLUMNS = ("position", "velocity", "q", "omega", "mass")
WIDTHS = (3, 3, 4, 3, 1)


@dataclass(frozen=True)
class Ends:
    """States of runs at times, of the frame that is told: (..., components) each."""

    position: Array  # [m]
    velocity: Array  # [m s^-1]
    q: Array  # w first; takes components of the frame to those of the body
    omega: Array  # [rad s^-1] inertial rate, in body components
    mass: Array  # [kg]

    @staticmethod
    def of(table: Any) -> Ends:
        """From a table whose last axis has the 14 columns in order."""
        values = np.asarray(table, np.float64)
        position, velocity, q, omega, mass = np.split(values, np.cumsum(WIDTHS)[:-1], axis=-1)
        return Ends(position, velocity, q, omega, mass[..., 0])

    def table(self) -> Array:
        """The 14 columns side by side."""
        return np.concatenate([self.position, self.velocity, self.q, self.omega, self.mass[..., np.newaxis]], axis=-1)


def starts(count: int) -> Array:
    """Starts in the site frame, one row of 16 for each run: the columns of `Ends` to omega, thrust, isp, propellant.

    Run 0 is the nominal one; thrust and specific impulse of the others are spread evenly, in steps of 2^-12.
    """
    rows = np.tile(np.concatenate([POSITION_S, VELOCITY_S, Q_BS, OMEGA_BN_B, [THRUST, ISP, PROPELLANT]]), (count, 1))
    number = np.arange(count)
    rows[:, 13] *= 1 + ((number * 5) % 65 - (number > 0) * 32) / 4096
    rows[:, 14] *= 1 + ((number * 7) % 65 - (number > 0) * 32) / 4096
    return rows


def push(rows: Array) -> tuple[Array, Array, Array, Array]:
    """Thrust [N], flow [kg/s], torque about body x and y [N m] of each run."""
    thrust = rows[:, 13]
    return thrust, thrust / (rows[:, 14] * GRAVITY), OFFSET_Y * thrust, -OFFSET_X * thrust


def to_inertial(time: Any, site: Ends) -> Ends:
    """States of the site frame S in the frame N, at times [s] after the start."""
    turn = _turn(np.asarray(time, np.float64))
    centred = site.position - CENTRE
    position = _rotate(turn, centred)
    velocity = _rotate(turn, site.velocity + np.cross(RATE * POLE_S, centred))
    return Ends(position + CENTRE, velocity, _multiply(turn, site.q), site.omega, site.mass)


def to_site(time: Any, inertial: Ends) -> Ends:
    """States of the frame N in the site frame S, at times [s] after the start."""
    back = _turn(-np.asarray(time, np.float64))
    centred = _rotate(back, inertial.position - CENTRE)
    velocity = _rotate(back, inertial.velocity) - np.cross(RATE * POLE_S, centred)
    return Ends(centred + CENTRE, velocity, _multiply(back, inertial.q), inertial.omega, inertial.mass)


def difference(ours: Ends, theirs: Ends) -> dict[str, Array]:
    """How far two states lie apart: position [m], velocity [m/s], attitude [rad], rate [rad/s], mass [kg]."""
    between = _multiply(theirs.q * [1, -1, -1, -1], ours.q)
    sine = np.linalg.norm(between[..., 1:], axis=-1) / np.linalg.norm(between, axis=-1)
    return {
        "position": np.linalg.norm(ours.position - theirs.position, axis=-1),
        "velocity": np.linalg.norm(ours.velocity - theirs.velocity, axis=-1),
        "attitude": 2 * np.arcsin(np.minimum(sine, 1)),
        "rate": np.linalg.norm(ours.omega - theirs.omega, axis=-1),
        "mass": np.abs(ours.mass - theirs.mass),
    }


def height(ends: Ends) -> Array:
    """Height over the sphere through the site [m]; of either frame."""
    return np.asarray(np.linalg.norm(ends.position - CENTRE, axis=-1) - RADIUS)


def _turn(time: Array) -> Array:
    """The quaternion that takes S components to N components, when taken as `_rotate` does."""
    half = 0.5 * RATE * time[..., np.newaxis]
    return np.concatenate([np.cos(half), np.sin(half) * POLE_S], axis=-1)


def _multiply(a: Array, b: Array) -> Array:
    """Hamilton's product."""
    w = a[..., :1] * b[..., :1] - np.sum(a[..., 1:] * b[..., 1:], axis=-1, keepdims=True)
    vector = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([w, vector], axis=-1)


def _rotate(q: Array, v: Array) -> Array:
    """The vector turned actively by q."""
    t = 2 * np.cross(q[..., 1:], v)
    return np.asarray(v + q[..., :1] * t + np.cross(q[..., 1:], t))
