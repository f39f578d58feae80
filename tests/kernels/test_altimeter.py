"""The altimeter: how far it reaches, what it adds to the range, and how it fails."""

import numpy as np
import pytest
from scipy import stats

RADIUS = 1737.4e3  # [m] IAU mean radius
FALSE_ALARM = 1e-3  # [] probability that a statistical test of this file fails for another seed

DEVICE = f"""
static Relief const no_model{{}};  // the ground is a formula
MCR_FN Gravity moon() {{
    return Gravity{{real(4.9e12), real(1738e3), 0, 0, 0, 0, 1, real({RADIUS}), {{0, 1, 0}}, {{0, 0, 1}}}};
}}
MCR_FN Terrain level() {{ return Terrain{{0, 30000, 8000, 0, 6000, 0, 0, 0, 0}}; }}
/// 3 km of range at full health, up to 60 deg of incidence, along -z of the body.
MCR_FN Altimeter altimeter_of(real health, real albedo, real noise, real fraction, real bias, real scale,
                              real dropout) {{
    return Altimeter{{1,     3000,     1,    health, albedo,  real(0.1), real(1.0471976), {{0, 0, -1}},
                     noise, fraction, bias, scale,  dropout, 2}};
}}
"""
ARGUMENTS = (
    "real health, real albedo, real noise, real fraction, real bias, real scale, real dropout, "
    "Vec3 position_S, Quat q_BS, int run, int tick"
)
PREPARE = """
Altimeter const altimeter = altimeter_of(health, albedo, noise, fraction, bias, scale, dropout);
Range const range = measure_range(altimeter, Surface{no_model, nullptr},
                                  level(), moon(), working(), -1, position_S, q_BS,
                                  make_draws(9, static_cast<uint64>(run)), tick, Shape::sphere);
"""


@pytest.fixture
def measure(probe):
    """measure(position_S=..., ...): whether the sample is valid, and its distance; without errors unless stated."""

    def run(
        position_S=(0, 0, 1000),
        q_BS=(1, 0, 0, 0),
        *,
        health=1,
        albedo=0.1,
        noise=0,
        fraction=0,
        bias=0,
        scale=0,
        dropout=0,
        run=0,
        tick=0,
    ):
        function = probe("altimeter.h", ["range.valid", "range.distance"], ARGUMENTS, preamble=DEVICE, prepare=PREPARE)
        valid, distance = function(health, albedo, noise, fraction, bias, scale, dropout, position_S, q_BS, run, tick)
        return valid == 1, distance

    return run


def _height(height):
    height = np.asarray(height, float)
    return np.stack([0 * height, 0 * height, height], axis=-1)


def _pitched(angle):
    """q_BS of a body pitched about y: the beam points `angle` off the vertical."""
    half = np.asarray(angle) / 2
    return np.stack([np.cos(half), 0 * half, np.sin(half), 0 * half], axis=-1)


# ---- known answers


def test_a_perfect_altimeter_measures_the_distance_to_the_ground(measure):
    """1000 m above level ground, straight down."""
    valid, distance = measure()

    assert valid
    assert distance == pytest.approx(1000, abs=0.01)


def test_a_health_of_nine_per_cent_turns_three_kilometres_into_nine_hundred_metres(measure):
    """RESILIENCE: valid below 900 m instead of 3 km; sqrt(0.09) = 0.3 by the range equation, P ~ 1/range^2."""
    height = np.array([899.0, 901.0, 2999.0, 3001.0])

    np.testing.assert_array_equal(measure(_height(height), health=0.09)[0], [True, False, False, False])
    np.testing.assert_array_equal(measure(_height(height), health=1)[0], [True, True, True, False])


# ---- closed forms


def test_range_grows_with_the_root_of_albedo_and_of_the_cosine_of_incidence(measure):
    """Last valid range over albedo and tilt against range_max sqrt(health albedo/reference cos i), to 0.1 %."""
    tilt = np.radians([0, 20, 40, 55])[:, None, None]
    albedo = np.array([0.05, 0.1, 0.2])[:, None]
    reach = 3000 * np.sqrt(0.5 * albedo / 0.1 * np.cos(tilt))
    factor = np.array([0.999, 1.001])
    # height from which the slant range over the sphere is that: law of cosines, the angle at the lander is the tilt
    slant = reach * factor
    height = np.sqrt(RADIUS**2 - (slant * np.sin(tilt)) ** 2) + slant * np.cos(tilt) - RADIUS
    valid, distance = measure(_height(height), _pitched(np.broadcast_to(tilt, height.shape)), health=0.5, albedo=albedo)

    np.testing.assert_allclose(distance, slant, rtol=1e-5)
    np.testing.assert_array_equal(valid, np.broadcast_to([True, False], valid.shape))


def test_beyond_the_largest_incidence_there_is_no_return(measure):
    """60 deg between beam and local vertical, from 100 m: valid at 59.9 deg on either side, not at 60.1."""
    tilt = np.radians([-60.1, -59.9, 0, 59.9, 60.1])

    np.testing.assert_array_equal(measure(_height([100.0] * 5), _pitched(tilt))[0], [False, True, True, True, False])


def test_bias_and_scale_add_up(measure):
    """1000 m (1 + 0.2 %) + 3 m."""
    assert measure(bias=3, scale=0.002)[1] == pytest.approx(1000 * 1.002 + 3, abs=0.01)


# ---- statistics


def test_noise_has_the_stated_sigma_at_every_range(measure):
    """sqrt(0.5^2 + (0.1 % range)^2) m at 10 m, 300 m and 2.9 km; 4000 runs and 4000 ticks of one run."""
    for height in (10.0, 300.0, 2900.0):
        sigma = np.hypot(0.5, 1e-3 * height)
        low, high = np.sqrt(stats.chi2.ppf([FALSE_ALARM / 24, 1 - FALSE_ALARM / 24], 3999) / 3999)
        for address in ({"run": np.arange(4000)}, {"tick": np.arange(4000)}):
            _, distance = measure(_height([height] * 4000), noise=0.5, fraction=1e-3, **address)
            error = distance - height

            assert abs(error.mean()) < stats.norm.isf(FALSE_ALARM / 24) * sigma / np.sqrt(4000)
            assert low * sigma < error.std(ddof=1) < high * sigma


def test_samples_drop_out_as_often_as_stated_and_independently(measure):
    """1 % of 100 000 samples; two in a row as often as the square says."""
    ticks = np.arange(100_000)
    lost = ~measure(_height([500.0] * len(ticks)), dropout=0.01, tick=ticks)[0]
    low, high = stats.binom.ppf([FALSE_ALARM / 4, 1 - FALSE_ALARM / 4], len(ticks), 0.01)
    pairs = stats.binom.isf(FALSE_ALARM / 2, len(ticks) - 1, 1e-4)

    assert low <= lost.sum() <= high
    assert (lost[1:] & lost[:-1]).sum() <= pairs


# ---- limits and failures


def test_no_return_beyond_maximum_and_below_minimum_range(measure):
    """Between 1 m and 3 km, and never from below the ground or over the horizon."""
    height = np.array([-5.0, 0.5, 1.5, 2999.0, 3001.0, 12000.0])

    np.testing.assert_array_equal(measure(_height(height))[0], [False, False, True, True, False, False])
    assert not measure(_height(100.0), _pitched(np.pi))[0]
