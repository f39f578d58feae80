"""The ground: its profile, height above it, and where a ray strikes it, against a march along the ray."""

import numpy as np
import pytest

RADIUS = 1737.4e3  # [m] IAU mean radius

GROUND = f"""
MCR_FN Gravity moon() {{
    return Gravity{{real(4.9e12), real(1738e3), 0, 0, 0, 0, 1, real({RADIUS}), {{0, 1, 0}}, {{0, 0, 1}}}};
}}
"""
ARGUMENTS = "Terrain terrain, Vec3 position_S, Vec3 ray_S"
PAD = [0] * 10  # what is under a lander matters to no ray
LEVEL = [0, 30e3, 8e3, 0, 6e3, 0, 0, 0, 0, 0, 0, *PAD]
SCARP = [3000, 35e3, 8e3, 0, 6e3, 0, 0, 0, 0, 0, 0, *PAD]  # HAKUTO-R Mission 1: 3 km over the wall of Atlas
RIM = [2000, 35e3, 8e3, 900, 5e3, 120, -400, 0, 0, 0, 0, *PAD]  # with a raised rim, a map error and a shift


def _profile(terrain, x):
    """Height of the ground at arc x, from the definition: a step 1 - 3 t^2 + 2 t^3 and a bump (1 - e^2)^2."""
    step, place, width, rim, rim_width, error, shift, *_ = terrain
    s = x - shift + place
    t = np.clip(s / width + 0.5, 0, 1)
    inward = s + width / 2
    bump = np.clip(1 - (inward / np.where(inward < 0, rim_width, width)) ** 2, 0, 1)
    return error + step * (1 - t * t * (3 - 2 * t)) + rim * bump**2


def _marched(terrain, position, ray):
    """Distance to the first point of a ray below the ground: steps of 5 m, then bisection."""
    centre = position + np.array([0, 0, RADIUS])

    def depth(distance):
        at = centre + np.multiply.outer(distance, ray)
        return np.linalg.norm(at, axis=-1) - RADIUS - _profile(terrain, RADIUS * np.arctan2(at[..., 0], at[..., 2]))

    marks = np.arange(0, 40e3, 5.0)
    below = np.flatnonzero(depth(marks) <= 0)
    if not len(below):
        return -1.0
    high, low = marks[below[0] - 1], marks[below[0]]
    for _ in range(50):
        middle = 0.5 * (high + low)
        high, low = (middle, low) if depth(middle) > 0 else (high, middle)
    return high


def _ray(incidence, azimuth, arc=0.0):
    """Unit vector `incidence` from the local downward vertical at arc, toward `azimuth` from uprange to the left."""
    down = np.array([-np.sin(arc / RADIUS), 0, -np.cos(arc / RADIUS)])
    ahead = np.array([np.cos(arc / RADIUS), 0, -np.sin(arc / RADIUS)])
    level = np.cos(azimuth) * ahead + np.sin(azimuth) * np.array([0, 1, 0])
    return np.cos(incidence) * down + np.sin(incidence) * level


def _above(terrain, arc, height):
    """Position at a height over the ground at an arc."""
    r = RADIUS + _profile(terrain, arc) + height
    return np.array([r * np.sin(arc / RADIUS), 0, (r - RADIUS) - r * (1 - np.cos(arc / RADIUS))])


@pytest.fixture
def ground(probe):
    """ground(real): height at arc position_S.x, clearance of position_S, distance along ray_S."""
    expressions = [
        "ground_height(terrain, position_S.x)",
        "ground_clearance(terrain, moon(), position_S, true)",
        "ground_distance(terrain, moon(), position_S, ray_S)",
    ]
    return lambda real="float": probe("terrain.h", expressions, ARGUMENTS, preamble=GROUND, real=real)


# ---- known answers


def test_a_scarp_falls_by_its_height_over_its_width_and_half_of_it_in_the_middle(ground):
    """Atlas: 3000 m above the site until 39 km before it, 1500 m at 35 km, 0 from 31 km on."""
    arc = np.array([-100e3, -39e3, -35e3, -31e3, 0])
    height, *_ = ground()(SCARP, np.stack([arc, 0 * arc, 0 * arc], axis=1), [0, 0, -1])

    np.testing.assert_allclose(height, [3000, 3000, 1500, 0, 0], atol=1e-3)


def test_straight_down_the_range_is_the_clearance(ground):
    """1234 m over level ground, on the site's vertical and 100 km before it."""
    places = np.array([_above(LEVEL, arc, 1234.0) for arc in (0, -100e3)])
    down = np.array([_ray(0, 0, arc) for arc in (0, -100e3)])
    _, clearance, distance = ground()(LEVEL, places, down)

    np.testing.assert_allclose(clearance, 1234, atol=0.02)
    np.testing.assert_allclose(distance, 1234, atol=0.02)


# ---- closed forms


def test_the_profile_is_that_of_its_definition(ground):
    """Smooth step, raised rim, map error and shift, every 50 m of 80 km."""
    arc = np.arange(-70e3, 10e3, 50.0)
    height, *_ = ground("double")(RIM, np.stack([arc, 0 * arc, 0 * arc], axis=1), [0, 0, -1])

    np.testing.assert_allclose(height, _profile(RIM, arc), atol=1e-9)


def test_a_slanted_ray_meets_the_sphere_where_geometry_says(ground):
    """Law of cosines: d = (R + h) cos i - sqrt(R^2 - (R + h)^2 sin^2 i), 10 m to 15 km high, up to 75 deg."""
    height = 10.0 ** np.linspace(1, np.log10(15e3), 20)
    incidence = np.radians(np.linspace(0, 75, 16))[:, None]
    places = np.stack([0 * height, 0 * height, height], axis=1)
    rays = np.array([[_ray(one, 0.7) for _ in height] for one in incidence[:, 0]])
    # conjugate form, without cancellation
    inward = (RADIUS + height) * np.cos(incidence)
    excess = height * (2 * RADIUS + height)
    expected = excess / (inward + np.sqrt(inward**2 - excess))
    *_, distance = ground()(LEVEL, places, rays)

    np.testing.assert_allclose(distance, expected, rtol=5e-6)


@pytest.mark.parametrize("terrain", [SCARP, RIM], ids=["scarp", "rim"])
def test_the_range_over_a_scarp_is_that_of_a_march_along_the_ray(ground, terrain):
    """Rays forward, backward and aside, up to 60 deg off the vertical, from 0.3 to 8 km over every part of the wall:
    the first point below the ground (steps of 5 m, then bisection), to a metre, less than the noise of a range finder.
    """
    random = np.random.default_rng(20261122)
    arcs = random.uniform(-50e3, -25e3, 300)
    heights = 10.0 ** random.uniform(np.log10(300), np.log10(8e3), 300)
    incidences, azimuths = np.radians(60) * random.uniform(size=300), random.uniform(0, 2 * np.pi, 300)
    places = np.array([_above(terrain, arc, height) for arc, height in zip(arcs, heights, strict=True)])
    rays = np.array([_ray(i, a, arc) for i, a, arc in zip(incidences, azimuths, arcs, strict=True)])
    expected = np.array([_marched(terrain, place, ray) for place, ray in zip(places, rays, strict=True)])
    *_, distance = ground()(terrain, places, rays)

    np.testing.assert_allclose(distance, expected, rtol=0, atol=1.0)


# ---- limits


def test_a_ray_that_passes_over_the_horizon_strikes_nothing(ground):
    """Level and upward rays: a negative distance, which no altimeter takes for a range."""
    rays = np.array([[1, 0, 0], [0, 0, 1], [-0.6, 0.0, 0.8], [0.9999, 0, -0.014]])
    *_, distance = ground()(SCARP, [0, 0, 5000], rays)

    assert np.all(distance < 0)
