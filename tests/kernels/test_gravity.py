"""Gravity in the turning site frame: published sizes, gradient of the potential, motion seen from an inertial frame."""

import numpy as np
import pytest

GM = 4902.80007e9  # [m^3 s^-2] Williams et al. 2014 (GRAIL)
REFERENCE_RADIUS = 1738e3  # [m] of J2 and C22
J2, C22 = 2.0323e-4, 2.2382e-5  # [] unnormalised, GRGM fields
RATE = 2.6616995e-6  # [rad s^-1] rotation of the Moon
RADIUS = 1737.4e3  # [m] IAU mean radius
COUNT = 2000


def _gravity(pole_S=(0.0, 1.0, 0.0), meridian_S=(0.0, 0.0, 1.0), *, radius=RADIUS, j2=J2, c22=C22, rate=RATE):
    """A `Gravity`, member by member; by default the site is on the equator, at longitude 0, flown eastward."""
    numbers = [GM, REFERENCE_RADIUS, j2, c22, rate, 3e-4, 60e3, radius]
    return np.concatenate([np.broadcast_to(numbers, (*np.shape(pole_S)[:-1], 8)), pole_S, meridian_S], axis=-1)


def _sites(random):
    """Random orientations of the site frame: pole and meridian, normal to each other, in S components."""
    pole, other = random.normal(size=(2, COUNT, 3))
    pole /= np.linalg.norm(pole, axis=1, keepdims=True)
    meridian = np.cross(pole, other)
    return pole, meridian / np.linalg.norm(meridian, axis=1, keepdims=True)


def _places(random):
    """Positions up to 600 km from the site and 100 km above its sphere, as (COUNT, 3)."""
    arc, azimuth = random.uniform(0, 600e3, COUNT) / RADIUS, random.uniform(0, 2 * np.pi, COUNT)
    r = RADIUS + 10.0 ** random.uniform(0, 5, COUNT)
    return np.stack(
        [r * np.sin(arc) * np.cos(azimuth), r * np.sin(arc) * np.sin(azimuth), r * np.cos(arc) - RADIUS], axis=1
    )


@pytest.fixture
def random():
    return np.random.default_rng(20261122)


@pytest.fixture
def accelerations(probe):
    """accelerations(real): point mass, whole field, of the turning frame, of the on-board model; heights."""
    expressions = [
        "point_mass(gravity, position_S)",
        "gravitation(gravity, position_S)",
        "inertial_acceleration(gravity, position_S, velocity_S)",
        "believed_acceleration(gravity, position_S, velocity_S)",
        "sphere_height(gravity.radius, position_S)",
    ]
    arguments = "Gravity gravity, Vec3 position_S, Vec3 velocity_S"
    return lambda real: probe("gravity.h", expressions, arguments, real=real)


# ---- known answers


def test_gravity_at_the_mean_radius_is_1_624_metres_per_second_squared(accelerations):
    """GM / R^2 = 1.62422 m/s^2 for GM = 4902.80007 km^3/s^2 and R = 1737.4 km."""
    pull, *_ = accelerations("float")(_gravity(), [0, 0, 0], [0, 0, 0])

    np.testing.assert_allclose(pull, [0, 0, -1.62422], atol=5e-6)


def test_oblateness_weakens_gravity_at_the_pole_twice_as_much_as_it_adds_at_the_equator(accelerations):
    """Vallado 8.7.1 on the axes: 3/2 J2 GM R^2/r^4 more at the equator (4.95e-4), 3 J2 GM R^2/r^4 less at the pole."""
    unit = 1.5 * J2 * GM * REFERENCE_RADIUS**2 / RADIUS**4
    at_equator = _gravity([0.0, 1.0, 0.0], [0.0, 0.0, 1.0], c22=0)
    at_pole = _gravity([0.0, 0.0, 1.0], [1.0, 0.0, 0.0], c22=0)
    function = accelerations("double")
    extra = [function(site, [0, 0, 0], [0, 0, 0])[1] - [0, 0, -GM / RADIUS**2] for site in (at_equator, at_pole)]

    assert unit == pytest.approx(5.0e-4, rel=0.02)
    np.testing.assert_allclose(extra, [[0, 0, -unit], [0, 0, 2 * unit]], rtol=1e-9, atol=1e-15)


def test_ellipticity_adds_gravity_at_the_prime_meridian_and_takes_as_much_a_quarter_turn_away(accelerations):
    """Radial derivative of 3 GM R^2 C22 (x^2 - y^2)/r^5 on the axes: -+9 C22 GM R^2/r^4, 3.3e-4 m/s^2."""
    unit = 9 * C22 * GM * REFERENCE_RADIUS**2 / RADIUS**4
    facing = _gravity([0.0, 1.0, 0.0], [0.0, 0.0, 1.0], j2=0)
    aside = _gravity([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], j2=0)
    function = accelerations("double")
    extra = [function(site, [0, 0, 0], [0, 0, 0])[1] - [0, 0, -GM / RADIUS**2] for site in (facing, aside)]

    assert unit == pytest.approx(3.3e-4, rel=0.01)
    np.testing.assert_allclose(extra, [[0, 0, -unit], [0, 0, unit]], rtol=1e-9, atol=1e-15)


def test_coriolis_acceleration_at_orbital_speed_is_nine_millimetres_per_second_squared(accelerations):
    """2 w v = 9.05e-3 m/s^2, upward when flying east on the equator; centrifugal w^2 R = 1.23e-5 m/s^2 adds to it."""
    *_, turning, _, _ = accelerations("float")(_gravity([0.0, 1.0, 0.0], [0.0, 0.0, 1.0]), [0, 0, 0], [1700, 0, 0])

    np.testing.assert_allclose(turning, [0, 0, 2 * RATE * 1700 + RATE**2 * RADIUS], rtol=1e-6, atol=1e-12)
    assert turning[2] == pytest.approx(9.05e-3 + 1.23e-5, abs=1e-5)


# ---- closed forms


def test_gravity_is_the_gradient_of_the_potential(accelerations, random):
    """Central differences of GM/r + J2 and C22 terms (Vallado 8.7.1) with 10 m steps in extended precision."""
    pole, meridian = _sites(random)
    third = np.cross(pole, meridian)
    places = _places(random)
    _, pull, *_ = accelerations("double")(_gravity(pole, meridian), places, np.zeros(3))

    def potential(at):
        r = np.longdouble(at) + np.longdouble([0, 0, RADIUS])
        x, y, z = (np.sum(r * axis, axis=1) for axis in (meridian, third, pole))
        size = np.sqrt(np.sum(r * r, axis=1))
        zonal = -0.5 * J2 * (REFERENCE_RADIUS / size) ** 2 * (3 * (z / size) ** 2 - 1)
        sectorial = 3 * C22 * (REFERENCE_RADIUS / size) ** 2 * (x**2 - y**2) / size**2
        return GM / size * (1 + zonal + sectorial)

    step = 10.0  # [m] truncation h^2/6 d3U/dr3 = h^2 g/R^2 = 5e-11 m/s^2; rounding 3e6 * 1e-19 / 20 = 2e-14 m/s^2
    gradient = [(potential(places + axis) - potential(places - axis)) / (2 * step) for axis in step * np.eye(3)]
    expected = np.stack(gradient, axis=1).astype(float)

    np.testing.assert_allclose(pull, expected, rtol=0, atol=1e-10)


def test_a_point_at_rest_among_the_stars_circles_in_the_turning_frame(accelerations, random):
    """Seen from S it moves with -w x r and is accelerated by w x (w x r), whatever the site."""
    pole, meridian = _sites(random)
    places = _places(random)
    spin, r = RATE * pole, places + np.array([0, 0, RADIUS])
    *_, turning, _, _ = accelerations("double")(_gravity(pole, meridian), places, -np.cross(spin, r))

    np.testing.assert_allclose(turning, np.cross(spin, np.cross(spin, r)), rtol=0, atol=1e-16)


def test_height_over_the_sphere_is_exact_to_two_centimetres_in_single_precision(accelerations, random):
    """|r| - R in extended precision; the difference of two float radii would be a quarter of a metre coarse."""
    places = np.float32(_places(random)).astype(float)
    *_, height = accelerations("float")(_gravity(), places, [0, 0, 0])
    r = np.longdouble(places) + np.longdouble([0, 0, RADIUS])
    expected = (np.sqrt(np.sum(r * r, axis=1)) - RADIUS).astype(float)

    # 2 R z + d^2 cancels where the ground curves away: two sums of 3e11 m^2 to 2^-24 over 2 R
    np.testing.assert_allclose(height, expected, rtol=0, atol=0.02)
    assert accelerations("double")(_gravity(), [500e3, 0, 0], [0, 0, 0])[4] == pytest.approx(
        np.hypot(500e3, RADIUS) - RADIUS, rel=1e-12
    )


# ---- limits


def test_single_precision_gravity_is_better_than_the_field_is_known(accelerations, random):
    """Error of the float build below 1e-6 m/s^2 everywhere, a three-hundredth of the unmodelled field (3e-4 m/s^2)."""
    gravity, places = _gravity(*_sites(random)), _places(random)
    velocity = 1700 * random.normal(size=(COUNT, 3))
    coarse, fine = (accelerations(real)(gravity, places, velocity) for real in ("float", "double"))

    np.testing.assert_allclose(coarse[1], fine[1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(coarse[2], fine[2], rtol=0, atol=1e-7)


def test_the_computer_leaves_out_the_ellipticity_and_nothing_else(accelerations, random):
    """On board: point mass, J2, Coriolis and centrifugal; the difference to the truth is that of C22."""
    pole, meridian = _sites(random)
    places, velocity = _places(random), 1700 * random.normal(size=(COUNT, 3))
    function = accelerations("double")
    _, without, turning, _, _ = function(_gravity(pole, meridian, c22=0), places, velocity)
    *_, believed, _ = function(_gravity(pole, meridian), places, velocity)

    np.testing.assert_array_equal(believed, without + turning)
