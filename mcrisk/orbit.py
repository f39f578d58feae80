"""From the parking orbit to the start of the powered descent, analytically: de-orbit burn, coast, arrival state.

Source: Vallado, Fundamentals of Astrodynamics, 2.2 and 6.3 (conic sections, Hohmann transfer).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .mission import Mission

__all__ = ["arrival", "deorbit", "kepler_speed", "radii", "site_axes"]

MEAN_RADIUS = 1737.4e3  # [m] mean radius, to which published altitudes and lunar maps refer, IAU

Vector = tuple[float, float, float]


def radii(mission: Mission) -> tuple[float, float, float]:
    """Radius of the site, of perilune and of the parking orbit [m]."""
    site, low, high = (mission.value(path) for path in ("site.elevation", "orbit.perilune", "orbit.altitude"))
    return MEAN_RADIUS + site, MEAN_RADIUS + low, MEAN_RADIUS + high


def kepler_speed(mission: Mission) -> float:
    """Inertial speed at perilune [m s^-1]."""
    mu = mission.value("gravity.gravitational_parameter")
    _, low, high = radii(mission)
    return math.sqrt(2 * mu * (1 / low - 1 / (low + high)))


def deorbit(mission: Mission) -> tuple[float, float]:
    """Size of the de-orbit burn [m s^-1] and duration of the coast to perilune [s]."""
    mu = mission.value("gravity.gravitational_parameter")
    _, low, high = radii(mission)
    circular = math.sqrt(mu / high)
    apolune = math.sqrt(2 * mu * (1 / high - 1 / (low + high)))
    half_period = math.pi * math.sqrt(((low + high) / 2) ** 3 / mu)
    return circular - apolune, half_period


def site_axes(mission: Mission) -> tuple[Vector, Vector]:
    """The Moon's pole and prime meridian in the site frame (x downrange, y left, z up)."""
    latitude, longitude = mission.value("site.latitude"), mission.value("site.longitude")
    azimuth = mission.value("site.azimuth")
    up = (
        math.cos(latitude) * math.cos(longitude),
        math.cos(latitude) * math.sin(longitude),
        math.sin(latitude),
    )
    east = (-math.sin(longitude), math.cos(longitude), 0.0)
    north = (
        -math.sin(latitude) * math.cos(longitude),
        -math.sin(latitude) * math.sin(longitude),
        math.cos(latitude),
    )
    forward = tuple(math.cos(azimuth) * n + math.sin(azimuth) * e for n, e in zip(north, east, strict=True))
    left = (
        up[1] * forward[2] - up[2] * forward[1],
        up[2] * forward[0] - up[0] * forward[2],
        up[0] * forward[1] - up[1] * forward[0],
    )
    pole = (forward[2], left[2], up[2])
    meridian = (forward[0], left[0], up[0])
    return pole, meridian


def arrival(mission: Mission, ignition_range: float, lead_time: float) -> dict[str, Any]:
    """State in the site frame, `lead_time` [s] before perilune, which lies `ignition_range` [m] before the target."""
    mu = mission.value("gravity.gravitational_parameter")
    site, low, high = radii(mission)
    momentum = math.sqrt(2 * mu * low * high / (low + high))
    eccentricity = (high - low) / (high + low)
    anomaly = -lead_time * momentum / low**2
    radius = momentum**2 / mu / (1 + eccentricity * math.cos(anomaly))
    rate_out = mu / momentum * eccentricity * math.sin(anomaly)
    speed_along = momentum / radius
    angle = -ignition_range / site + anomaly
    sine, cosine = math.sin(angle), math.cos(angle)
    radial, along = (sine, 0.0, cosine), (cosine, 0.0, -sine)
    # r cos(angle) - R without cancellation
    fall = (radius - site) * cosine - 2 * site * math.sin(angle / 2) ** 2
    position = (radius * sine, 0.0, fall)
    inertial = tuple(rate_out * r + speed_along * a for r, a in zip(radial, along, strict=True))
    pole, _ = site_axes(mission)
    spin = tuple(mission.value("gravity.rotation_rate") * one for one in pole)
    centre = (position[0], position[1], position[2] + site)
    sweep = (
        spin[1] * centre[2] - spin[2] * centre[1],
        spin[2] * centre[0] - spin[0] * centre[2],
        spin[0] * centre[1] - spin[1] * centre[0],
    )
    velocity = tuple(v - s for v, s in zip(inertial, sweep, strict=True))
    return {"position": position, "velocity": velocity, "radial": radial, "along": along, "angle": angle}
