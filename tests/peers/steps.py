"""The bare equations of the arc as one step of the mid-point rule, for tools that take arrays or numbers alike.

One text serves NumPy, CuPy, PyTorch, JAX and Numba: a state is a tuple of 14 arrays over the runs (or 14 numbers), so
that nothing but arithmetic and a square root is asked of the tool. It holds less than `propagate()` of
kernels/mcrisk/dynamics.h: an inertial frame, one engine without lag, plain sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from peers import arc

__all__ = ["begin", "end", "make_rates", "make_step"]

State = tuple[Any, ...]
MEGAMETRE = 1e6  # [m] length unit of gravity: r^3 stays well inside single precision


def make_gravity(real: Callable[[float], Any], root: Callable[[Any], Any]) -> Callable[[Any, Any, Any], State]:
    """Attraction [m/s^2] at a position [m] in N, by the number type and square root of a tool."""
    mega, radius, one, five = real(1 / MEGAMETRE), real(arc.RADIUS), real(1), real(5)
    mu, zonal = real(-arc.GM / MEGAMETRE**2), real(-1.5 * arc.J2 * arc.GM * arc.REFERENCE**2 / MEGAMETRE**4)
    kx, ky, kz = (real(part) for part in arc.POLE_S)

    def gravity(x: Any, y: Any, z: Any) -> State:
        rx, ry, rz = mega * x, mega * y, mega * (z + radius)
        inverse2 = one / (rx * rx + ry * ry + rz * rz)
        inverse3 = inverse2 * root(inverse2)
        north = kx * rx + ky * ry + kz * rz
        oblate = zonal * inverse3 * inverse2
        along_r = mu * inverse3 + oblate * (one - five * north * north * inverse2)
        along_k = (oblate + oblate) * north
        return along_r * rx + along_k * kx, along_r * ry + along_k * ky, along_r * rz + along_k * kz

    return gravity


def make_step(
    real: Callable[[float], Any],
    root: Callable[[Any], Any],
    compiled: Callable[[Any], Any] = lambda function: function,
    duration: float = arc.STEP,
) -> Callable[..., State]:
    """`step(state, thrust, flow, torque_x, torque_y)`: the state one step later.

    real: the number type. root: the square root. compiled: what makes a function callable from compiled code.
    """
    gravity = compiled(make_gravity(real, root))
    whole, half, quarter = real(duration), real(duration / 2), real(duration / 4)
    one, two, normal = real(1), real(2), real(1.5)
    c2, c4, s2, s4 = real(1 / 2), real(1 / 24), real(1 / 6), real(1 / 120)
    dry, gain = real(arc.MASS_DRY), real(arc.INERTIA_TANK / arc.PROPELLANT)
    ix, iy, iz = (real(part) for part in arc.INERTIA_DRY)

    def step(state: State, thrust: Any, flow: Any, torque_x: Any, torque_y: Any) -> State:
        x, y, z, vx, vy, vz, qw, qx, qy, qz, wx, wy, wz, mass = state
        middle_mass = mass - half * flow

        # rotation: Euler's equations at the start and at the middle
        tank = gain * (middle_mass - dry)
        jx, jy, jz = ix + tank, iy + tank, iz + tank
        ux, uy, uz = one / jx, one / jy, one / jz
        loss = gain * flow
        ax = ux * (torque_x - (jz - jy) * wy * wz + loss * wx)
        ay = uy * (torque_y - (jx - jz) * wz * wx + loss * wy)
        az = uz * (loss * wz - (jy - jx) * wx * wy)
        mx, my, mz = wx + half * ax, wy + half * ay, wz + half * az
        ax = ux * (torque_x - (jz - jy) * my * mz + loss * mx)
        ay = uy * (torque_y - (jx - jz) * mz * mx + loss * my)
        az = uz * (loss * mz - (jy - jx) * mx * my)

        # attitude: exponential map of half a step, twice, as series; the length is kept by a step of Newton's
        tx, ty, tz = quarter * mx, quarter * my, quarter * mz
        square = tx * tx + ty * ty + tz * tz
        cosine, sine = one - square * (c2 - square * c4), one - square * (s2 - square * s4)
        ex, ey, ez = sine * tx, sine * ty, sine * tz
        bw = qw * cosine - qx * ex - qy * ey - qz * ez
        bx = qx * cosine + qw * ex + qy * ez - qz * ey
        by = qy * cosine + qw * ey + qz * ex - qx * ez
        bz = qz * cosine + qw * ez + qx * ey - qy * ex
        nw = bw * cosine - bx * ex - by * ey - bz * ez
        nx = bx * cosine + bw * ex + by * ez - bz * ey
        ny = by * cosine + bw * ey + bz * ex - bx * ez
        nz = bz * cosine + bw * ez + bx * ey - by * ex
        keep = normal - (nw * nw + nx * nx + ny * ny + nz * nz) * c2

        # translation: thrust along body z at the middle of the step
        felt = thrust / middle_mass
        fx, fy = felt * two * (bx * bz + bw * by), felt * two * (by * bz - bw * bx)
        fz = felt * (one - two * (bx * bx + by * by))
        gx, gy, gz = gravity(x, y, z)
        rx, ry, rz = vx + half * (fx + gx), vy + half * (fy + gy), vz + half * (fz + gz)
        gx, gy, gz = gravity(x + half * vx, y + half * vy, z + half * vz)
        return (
            x + whole * rx, y + whole * ry, z + whole * rz,
            vx + whole * (fx + gx), vy + whole * (fy + gy), vz + whole * (fz + gz),
            keep * nw, keep * nx, keep * ny, keep * nz,
            wx + whole * ax, wy + whole * ay, wz + whole * az,
            mass - whole * flow,
        )  # fmt: skip

    return step


def make_rates(thrust: float, flow: float, torque_x: float, torque_y: float) -> Callable[[float, Any], list[float]]:
    """The right-hand side of one run for an integrator that takes y' = f(t, y), on plain numbers."""
    gravity = make_gravity(float, math.sqrt)
    ix, iy, iz = (float(part) for part in arc.INERTIA_DRY)
    gain = arc.INERTIA_TANK / arc.PROPELLANT

    def rates(_: float, state: Any) -> list[float]:
        x, y, z, vx, vy, vz, qw, qx, qy, qz, wx, wy, wz, mass = state.tolist()
        tank = gain * (mass - arc.MASS_DRY)
        jx, jy, jz = ix + tank, iy + tank, iz + tank
        gx, gy, gz = gravity(x, y, z)
        felt = thrust / mass / (qw * qw + qx * qx + qy * qy + qz * qz)
        return [
            vx, vy, vz,
            felt * 2 * (qx * qz + qw * qy) + gx,
            felt * 2 * (qy * qz - qw * qx) + gy,
            felt * (qw * qw - qx * qx - qy * qy + qz * qz) + gz,
            0.5 * (-qx * wx - qy * wy - qz * wz),
            0.5 * (qw * wx + qy * wz - qz * wy),
            0.5 * (qw * wy + qz * wx - qx * wz),
            0.5 * (qw * wz + qx * wy - qy * wx),
            (torque_x - (jz - jy) * wy * wz + gain * flow * wx) / jx,
            (torque_y - (jx - jz) * wz * wx + gain * flow * wy) / jy,
            (gain * flow * wz - (jy - jx) * wx * wy) / jz,
            -flow,
        ]  # fmt: skip

    return rates


def begin(rows: arc.Array) -> arc.Array:
    """Starts in N of rows of `arc.starts`: one column of `Ends.table` for each component, (14, runs)."""
    mass = np.full(len(rows), arc.MASS_DRY) + rows[:, 15]
    site = arc.Ends.of(np.concatenate([rows[:, :13], mass[:, np.newaxis]], axis=1))
    return np.ascontiguousarray(arc.to_inertial(0.0, site).table().T)


def end(state: Any) -> arc.Ends:
    """The states of runs in the site frame after the arc, from columns in N."""
    return arc.to_site(
        float(arc.DURATION), arc.Ends.of(np.stack([np.asarray(part, np.float64) for part in state], axis=-1))
    )
