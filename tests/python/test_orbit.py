"""From the parking orbit to powered descent: burn, coast and arrival on conic sections (Vallado, 2.2 and 6.3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from mcrisk.mission import Mission, load
from mcrisk.orbit import arrival, deorbit, kepler_speed, radii, site_axes

GM = 4902.80007e9  # [m^3 s^-2]
RATE = 2.6616995e-6  # [rad s^-1] rotation of the Moon
LOW, HIGH = 1752.4e3, 1837.4e3  # [m] perilune of 15 km and parking orbit of 100 km over the mean radius of 1737.4 km


@pytest.fixture(scope="module")
def mission() -> Mission:
    return load("generic_small")


def _inertial(mission: Mission, state: dict) -> tuple[np.ndarray, np.ndarray]:
    """Position from the Moon's centre and inertial velocity of an arrival state, in site axes."""
    centre = np.add(state["position"], (0, 0, radii(mission)[0]))
    spin = mission.value("gravity.rotation_rate") * np.array(site_axes(mission)[0])
    return centre, np.array(state["velocity"]) + np.cross(spin, centre)


# ---- known answers


def test_the_deorbit_burn_from_100_km_to_15_km_takes_19_and_a_half_metres_per_second(mission):
    """Circular speed 1633.51 m/s less the 1614.05 m/s of the ellipse's apolune; perilune follows after half a period,
    56 min 52 s, and is passed at 1692.34 m/s (vis-viva)."""
    burn, coast = deorbit(mission)
    axis = (LOW + HIGH) / 2

    assert radii(mission) == pytest.approx((1737.4e3, LOW, HIGH))
    assert burn == pytest.approx(1633.51 - 1614.05, abs=0.01)
    assert burn == pytest.approx(math.sqrt(GM / HIGH) - math.sqrt(GM * (2 / HIGH - 1 / axis)), rel=1e-9)
    assert coast == pytest.approx(56 * 60 + 52, abs=1)
    assert coast == pytest.approx(math.pi * math.sqrt(axis**3 / GM), rel=1e-12)
    assert kepler_speed(mission) == pytest.approx(1692.34, abs=0.01)
    assert kepler_speed(mission) == pytest.approx(math.sqrt(GM * (2 / LOW - 1 / axis)), rel=1e-12)


def test_altitudes_count_from_the_mean_radius(mission):
    """As they are published: a site 2 km below it leaves the orbit where it is."""
    deep = mission.replace({"site.elevation": "-2 km"})

    assert radii(deep) == pytest.approx((1735.4e3, LOW, HIGH))
    assert kepler_speed(deep) == kepler_speed(mission)


# ---- closed forms


@pytest.mark.parametrize("azimuth", [0, 90, 180, -60])
def test_pole_and_prime_meridian_place_the_site_on_the_map(mission, azimuth):
    """Latitude and longitude of `up`, and the azimuth of `downrange` from north through east, from both directions."""
    latitude, longitude = math.radians(20), math.radians(-75)
    moved = mission.replace(
        {"site.latitude": latitude, "site.longitude": longitude, "site.azimuth": math.radians(azimuth)}
    )
    pole, meridian = map(np.array, site_axes(moved))
    east_of_meridian = np.cross(pole, meridian)
    up, downrange = np.array([0, 0, 1.0]), np.array([1.0, 0, 0])
    east = np.cross(pole, up) / math.cos(latitude)
    north = np.cross(up, east)

    np.testing.assert_allclose([pole @ pole, meridian @ meridian, pole @ meridian], [1, 1, 0], atol=1e-14)
    assert math.asin(up @ pole) == pytest.approx(latitude, abs=1e-14)
    assert math.atan2(up @ east_of_meridian, up @ meridian) == pytest.approx(longitude, abs=1e-14)
    assert math.remainder(math.atan2(downrange @ east, downrange @ north) - math.radians(azimuth), math.tau) == (
        pytest.approx(0, abs=1e-14)
    )


def test_at_perilune_the_lander_flies_level_at_the_speed_of_vis_viva(mission):
    """Without a lead: 15 km above the sphere, 400 km before the site, no climb; the ground moves below it."""
    state = arrival(mission, 400e3, 0)
    centre, velocity = _inertial(mission, state)
    angle = -400e3 / 1737.4e3

    np.testing.assert_allclose(centre, LOW * np.array([math.sin(angle), 0, math.cos(angle)]), rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(velocity, 1692.3383528 * np.array([math.cos(angle), 0, -math.sin(angle)]), atol=1e-6)
    # flown eastward: the ground runs ahead at up to 4.6 m/s, as far as the latitude of 20 deg leaves of it
    assert kepler_speed(mission) - np.linalg.norm(state["velocity"]) == pytest.approx(
        RATE * LOW * math.cos(math.radians(20)), rel=1e-4
    )


@pytest.mark.parametrize("lead", [10.0, 30.0, 120.0])
def test_a_coast_from_the_start_reaches_perilune_after_its_lead(mission, lead):
    """Two-body motion, integrated: lowest after the lead, at perilune's height over the point of ignition. The anomaly
    a is taken as linear in time, which leaves e a^2 / (3 (1 + e)) of the lead (12 ms of 120 s)."""
    centre, velocity = _inertial(mission, arrival(mission, 400e3, lead))

    def fall(_, y):
        return [*y[3:], *(-GM * y[:3] / np.linalg.norm(y[:3]) ** 3)]

    def climb(_, y):
        return np.dot(y[:3], y[3:])

    climb.direction = 1
    flight = solve_ivp(fall, (0, 3 * lead), [*centre, *velocity], events=climb, rtol=1e-12, atol=1e-6)
    (time,), (lowest,) = flight.t_events[0], flight.y_events[0]
    eccentricity = (HIGH - LOW) / (HIGH + LOW)
    late = eccentricity * (lead * 1692.34 / LOW) ** 2 / (3 * (1 + eccentricity))
    angle = math.atan2(lowest[0], lowest[2])

    assert late * lead < 0.02
    assert time / lead - 1 == pytest.approx(late, rel=0.05)
    assert np.linalg.norm(lowest[:3]) == pytest.approx(LOW, abs=0.01)
    assert angle * 1737.4e3 == pytest.approx(-400e3, abs=0.1)


# ---- invariants


def test_every_start_lies_on_the_transfer_ellipse(mission):
    """Energy and angular momentum are those of the ellipse, in the site's plane, for any lead and range."""
    axis = (LOW + HIGH) / 2
    for lead in np.linspace(0, 300, 11):
        for distance in (0.0, 200e3, 800e3):
            state = arrival(mission, distance, lead)
            centre, velocity = _inertial(mission, state)

            assert velocity @ velocity / 2 - GM / np.linalg.norm(centre) == pytest.approx(-GM / 2 / axis, rel=1e-12)
            assert np.linalg.norm(np.cross(centre, velocity)) == pytest.approx(
                math.sqrt(2 * GM * LOW * HIGH / (LOW + HIGH)), rel=1e-12
            )
            assert (centre[1], velocity[1]) == (0, pytest.approx(0, abs=1e-12))
            np.testing.assert_allclose(np.linalg.norm(centre) * np.array(state["radial"]), centre, atol=1e-6)
            assert np.dot(state["radial"], state["along"]) == pytest.approx(0, abs=1e-15)
