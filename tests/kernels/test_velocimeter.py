"""The velocimeter: three beams see the velocity, each with its own noise and failures."""

import numpy as np
import pytest
from scipy import stats

CANT = np.radians(22.5)  # of the beams off the -z body axis
FALSE_ALARM = 1e-3  # [] probability that a statistical test of this file fails for another seed

DEVICE = """
static Relief const no_model{};  // the ground is a formula
/// Works below 2 km and 200 m/s, beams 22.5 deg off the axis.
MCR_FN Velocimeter device(real noise, real scale, real dropout) {
    return Velocimeter{1, 2000, 200, real(0.39269908), noise, scale, dropout, 2};
}
"""
ARGUMENTS = (
    "real noise, real scale, real dropout, int dead, real clearance, Vec3 velocity_S, Quat q_BS, int run, int tick"
)
PREPARE = """
Velocimeter const velocimeter = device(noise, scale, dropout);
Failing failing = working();
failing.beams_lost = 3 * dead;
BeamSpeeds const speeds = measure_speeds(velocimeter, Surface{no_model, nullptr},
                                         Terrain{}, Gravity{}, failing, clearance,
                                         Vec3{0, 0, clearance}, velocity_S, q_BS,
                                         make_draws(13, static_cast<uint64>(run)), tick, Shape::sphere);
Vec3 const beams[3] = {beam_direction(velocimeter, 0), beam_direction(velocimeter, 1), beam_direction(velocimeter, 2)};
real const directions[9] = {beams[0].x, beams[0].y, beams[0].z, beams[1].x, beams[1].y,
                            beams[1].z, beams[2].x, beams[2].y, beams[2].z};
real const valid[3] = {real_of(speeds.valid[0]), real_of(speeds.valid[1]), real_of(speeds.valid[2])};
"""


@pytest.fixture
def measure(probe):
    """measure(velocity_S, ...): three flags, three speeds, three directions in body axes; no errors unless stated."""
    expressions = ["valid", "speeds.speed", "directions"]
    function = probe("velocimeter.h", expressions, ARGUMENTS, preamble=DEVICE, prepare=PREPARE)

    def run(
        velocity_S=(0, 0, 0), q_BS=(1, 0, 0, 0), *, noise=0, scale=0, dropout=0, dead=0, clearance=100, run=0, tick=0
    ):
        valid, speed, beams = function(noise, scale, dropout, dead, clearance, velocity_S, q_BS, run, tick)
        return valid == 1, speed, beams.reshape(*beams.shape[:-1], 3, 3)

    return run


def _attitudes(random, count):
    """Random attitudes with the thrust axis within 60 deg of the vertical."""
    turn = random.normal(size=(count, 3))
    turn *= (np.radians(60) * random.uniform(size=count) / np.linalg.norm(turn, axis=1))[:, None]
    angle = np.linalg.norm(turn, axis=1, keepdims=True)
    return np.hstack([np.cos(angle / 2), np.sin(angle / 2) * turn / angle])


# ---- known answers


def test_straight_down_every_beam_sees_the_cosine_of_its_cant(measure):
    """30 m/s of descent is 30 cos 22.5 deg = 27.7 m/s along each beam, toward the ground: positive."""
    valid, speed, _ = measure([0, 0, -30.0])

    np.testing.assert_allclose(speed, 30 * np.cos(CANT), rtol=1e-6)
    assert valid.all()


def test_sideways_speed_is_seen_with_the_sine_of_the_cant(measure):
    """10 m/s along +x: 10 sin 22.5 deg on the beam that points there, minus half of it on the two others."""
    _, speed, _ = measure([10.0, 0, 0])

    np.testing.assert_allclose(speed, 10 * np.sin(CANT) * np.array([1, -0.5, -0.5]), rtol=1e-6)


# ---- closed forms


def test_beams_are_unit_vectors_a_third_of_a_turn_apart(measure):
    """Angle between any two of them: cos = cos^2 c - sin^2 c / 2."""
    *_, beams = measure()

    np.testing.assert_allclose(
        beams @ beams.T,
        np.where(np.eye(3) == 1, 1, np.cos(CANT) ** 2 - np.sin(CANT) ** 2 / 2),
        atol=1e-6,
    )


def test_three_beams_give_the_whole_velocity_back(measure):
    """Solving the three line-of-sight speeds for any velocity and attitude returns the velocity: it is observable,
    with an error of noise sqrt(2/3)/sin c sideways and noise/(sqrt(3) cos c) along the axis."""
    random = np.random.default_rng(20261122)
    velocity, attitude = 30 * random.normal(size=(500, 3)), _attitudes(random, 500)
    _, speed, beams = measure(velocity, attitude)
    velocity_B = np.linalg.solve(beams, speed[..., None])[..., 0]
    # v_S = v_B + 2 u x (u x v_B + w v_B)
    u, w = attitude[:, 1:], attitude[:, :1]
    found = velocity_B + 2 * np.cross(u, np.cross(u, velocity_B) + w * velocity_B)
    inverse = np.linalg.inv(beams[0])
    covariance = inverse @ inverse.T

    np.testing.assert_allclose(found, velocity, atol=3e-5)
    np.testing.assert_allclose(
        np.sqrt(np.diag(covariance)),
        [np.sqrt(2 / 3) / np.sin(CANT), np.sqrt(2 / 3) / np.sin(CANT), 1 / (np.sqrt(3) * np.cos(CANT))],
        rtol=1e-5,
    )


# ---- statistics


def test_noise_has_its_sigma_on_every_beam_and_ties_none_to_another(measure):
    """0.1 m/s on three beams, 5000 runs; correlations within chance."""
    _, speed, _ = measure([0, 0, -30.0], noise=0.1, run=np.arange(5000))
    error = speed - 30 * np.cos(CANT)
    low, high = np.sqrt(stats.chi2.ppf([FALSE_ALARM / 18, 1 - FALSE_ALARM / 18], 4999) / 4999)
    correlation = np.corrcoef(error.T)[np.triu_indices(3, 1)]

    assert np.all(np.abs(error.mean(axis=0)) < stats.norm.isf(FALSE_ALARM / 18) * 0.1 / np.sqrt(5000))
    assert np.all((low * 0.1 < error.std(axis=0, ddof=1)) & (error.std(axis=0, ddof=1) < high * 0.1))
    assert np.all(np.abs(correlation) < stats.norm.isf(FALSE_ALARM / 18) / np.sqrt(5000))


def test_each_beam_drops_out_on_its_own(measure):
    """10 % of 30 000 samples of each; all three together 0.1 %."""
    valid, *_ = measure([0, 0, -30.0], dropout=0.1, tick=np.arange(30_000))
    share = FALSE_ALARM / 8
    low, high = stats.binom.ppf([share, 1 - share], 30_000, 0.1)
    low_all, high_all = stats.binom.ppf([share, 1 - share], 30_000, 1e-3)
    lost = (~valid).sum(axis=0)

    assert np.all((low <= lost) & (lost <= high))
    assert low_all <= np.all(~valid, axis=1).sum() <= high_all


# ---- limits and failures


def test_a_scale_error_is_proportional_to_the_speed(measure):
    """0.3 % of every line-of-sight speed."""
    _, plain, _ = measure([5.0, -3.0, -30.0])
    _, scaled, _ = measure([5.0, -3.0, -30.0], scale=0.003)

    np.testing.assert_allclose(scaled, 1.003 * plain, rtol=1e-6)


def test_it_works_below_its_height_and_speed_and_not_beyond(measure):
    """2 km and 200 m/s, whatever the direction; a unit that never works gives nothing."""
    np.testing.assert_array_equal(measure([0, 0, -50.0], clearance=[1999, 2001])[0].all(axis=1), [True, False])
    np.testing.assert_array_equal(
        measure([[0, 0, -199.0], [150, 0, -140]], clearance=100)[0].any(axis=1), [True, False]
    )
    assert not measure([0, 0, -50.0], dead=1)[0].any()


def test_a_beam_that_does_not_look_down_sees_nothing(measure):
    """Pitched by 70 deg, the beam toward +x rises above the horizon and the two others still see the ground."""
    half = np.radians(-70) / 2
    valid, *_ = measure([0, 0, -30.0], [np.cos(half), 0, np.sin(half), 0])

    np.testing.assert_array_equal(valid, [False, True, True])
