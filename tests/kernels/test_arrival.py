"""Arrival: delivery and knowledge errors of the stated covariance, attitude at the start, correlated dispersions.

Battin, An Introduction to the Mathematics and Methods of Astrodynamics, 13.1: x = L n has the covariance L L^T."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

COUNT = 40_000  # runs of a statistical test
SIGMAS = np.array([400, 1200, 500, 0.6, 0.4, 0.5])  # radial, along, cross: m, then m/s
# 13 deg before the site, 15 km up, at orbital speed; radial and along-track directions there.
ANGLE = np.radians(-13)
RADIAL, ALONG = np.array([np.sin(ANGLE), 0, np.cos(ANGLE)]), np.array([np.cos(ANGLE), 0, -np.sin(ANGLE)])
CROSS = np.array([0, 1.0, 0])
AXES = np.stack([RADIAL, ALONG, CROSS], axis=1)
POSITION, VELOCITY = 1752.4e3 * RADIAL - np.array([0, 0, 1737.4e3]), 1690 * ALONG

START = """
MCR_FN State started(Arrival const& arrival, real star, real offset, bool perfect, unsigned run) {
    Params params{};
    params.arrival = arrival;
    params.world.vehicle.mass_dry = 400;
    params.world.propulsion.propellant = 480;
    params.world.propulsion.residual = real(0.01);
    params.world.propulsion.noise_time = 1;
    params.world.rcs.propellant = 20;
    params.world.imu.attitude_sigma = star;
    params.onboard.navigation.mode = perfect ? NavigationMode::perfect : NavigationMode::kalman;
    params.onboard.navigation.radial_offset = offset;
    params.onboard.guidance.brake_time = 430;
    params.onboard.guidance.brake_fraction = real(0.93);
    Run one{params.world, {}, {}};
    return start(params, one, make_draws(11, run));
}
"""


@pytest.fixture
def random():
    return np.random.default_rng(20261122)


@pytest.fixture
def start(probe):
    """start(...): state at the start of runs, by name; nothing is uncertain unless stated."""
    results = {
        "position": "state.truth.position_S", "velocity": "state.truth.velocity_S", "attitude": "state.truth.q_BS",
        "rate": "state.truth.omega_BN_B", "believed_position": "state.estimate.position_S",
        "believed_velocity": "state.estimate.velocity_S", "believed_attitude": "state.estimate.q_BS",
        "propellant": "state.truth.engines.propellant", "jets": "state.truth.rcs_propellant",
        "mass": "state.guidance.mass", "trim": "state.guidance.trim", "time_to_go": "state.guidance.time_to_go",
    }  # fmt: skip
    function = probe(
        "arrival.h", list(results.values()), "Arrival arrival, real star, real offset, bool perfect, unsigned run",
        preamble=START, prepare="State const state = started(arrival, star, offset, perfect, run);", real="double",
    )  # fmt: skip

    def run(run=0, *, velocity=VELOCITY, delivery=None, knowledge=None, star=0, offset=0, perfect=False):
        factors = [np.zeros((6, 6)) if one is None else one for one in (delivery, knowledge)]
        rows = [factor[np.tril_indices(6)] for factor in factors]
        fixed = np.concatenate([RADIAL, ALONG, CROSS, *rows])
        velocity = np.asarray(velocity, float)
        shape = velocity.shape[:-1]
        arrival = np.concatenate(
            [np.broadcast_to(POSITION, (*shape, 3)), velocity, np.broadcast_to(fixed, (*shape, len(fixed)))], axis=-1
        )
        return dict(zip(results, function(arrival, star, offset, perfect, run), strict=True))

    return run


def _factor(correlation=-0.9):
    """Lower Cholesky factor of the sigmas with radial position tied to along-track velocity."""
    matrix = np.diag(SIGMAS**2)
    matrix[0, 4] = matrix[4, 0] = correlation * SIGMAS[0] * SIGMAS[4]
    return np.linalg.cholesky(matrix)


def _errors(position, velocity):
    """Radial, along-track and cross-track components of a difference, position then velocity."""
    return np.concatenate([position @ AXES, velocity @ AXES], axis=-1)


def _looks_standard_normal(numbers):
    """Whether rows are independent standard normal vectors by mean and covariance: 5 standard deviations of each entry
    (27 entries for six columns: false alarm 2e-5)."""
    count, columns = numbers.shape
    covariance = numbers.T @ numbers / count
    spread = np.where(np.eye(columns) > 0, np.sqrt(2 / count), 1 / np.sqrt(count))
    mean_fits = np.all(np.abs(numbers.mean(axis=0)) < 5 / np.sqrt(count))
    return mean_fits and np.all(np.abs(covariance - np.eye(columns)) < 5 * spread)


# ---- known answers


def test_without_uncertainty_a_run_starts_on_the_nominal_state(start):
    """Truth is the mission's state and the computer knows it; what cannot be used of 480 kg (1 %) is not in the tank,
    but in the mass."""
    state = start()

    np.testing.assert_allclose(state["position"], POSITION, rtol=1e-12)
    np.testing.assert_allclose(state["velocity"], VELOCITY, rtol=1e-12)
    np.testing.assert_array_equal(state["believed_position"], state["position"])
    np.testing.assert_array_equal(state["believed_velocity"], state["velocity"])
    np.testing.assert_array_equal(state["believed_attitude"], state["attitude"])
    np.testing.assert_array_equal(state["rate"], 0)
    assert (state["propellant"], state["jets"], state["mass"]) == (pytest.approx(475.2), 20, 900)
    assert (state["trim"], state["time_to_go"]) == (0.93, 430)


def test_a_known_mistake_of_the_radius_moves_the_estimate_along_it(start):
    """1.1 km too high, on top of the knowledge scatter."""
    state, plain = (start(3, offset=offset, knowledge=_factor()) for offset in (1100, 0))

    np.testing.assert_allclose(state["believed_position"] - plain["believed_position"], 1100 * RADIAL, atol=1e-6)
    np.testing.assert_array_equal(state["position"], plain["position"])


# ---- closed forms


def test_correlated_numbers_are_the_factor_times_independent_ones(probe, random):
    """L n, for any lower triangle row by row."""
    product = probe(
        "arrival.h", "correlated(arrival.delivery, first, second)", "Arrival arrival, Vec3 first, Vec3 second",
        real="double",
    )  # fmt: skip
    lower = np.tril(random.normal(size=(6, 6)))
    numbers = random.normal(size=(200, 6))
    arrival = np.concatenate([np.zeros(15), lower[np.tril_indices(6)], np.zeros(21)])

    np.testing.assert_allclose(
        product(arrival, numbers[:, :3], numbers[:, 3:]), numbers @ lower.T, rtol=1e-12, atol=1e-12
    )


# ---- invariants


def test_a_lander_starts_with_its_engine_against_its_motion(start, random):
    """Body z against the velocity, body y as near to S y as that allows, for any velocity."""
    velocity = random.normal(size=(300, 3)) * [1000, 300, 1000]
    body = Rotation.from_quat(start(velocity=velocity)["attitude"], scalar_first=True)  # B components to S components
    back = -velocity / np.linalg.norm(velocity, axis=1, keepdims=True)
    side = CROSS - back[:, 1:2] * back
    side /= np.linalg.norm(side, axis=1, keepdims=True)

    np.testing.assert_allclose(body.apply([0, 0, 1]), back, atol=1e-12)
    np.testing.assert_allclose(body.apply([0, 1, 0]), side, atol=1e-12)


def test_delivery_and_knowledge_are_draws_of_their_own(start):
    """The same run has the same delivery whatever is known of it, and the reverse."""
    factor, runs = _factor(), np.arange(50)
    both = start(runs, delivery=factor, knowledge=factor)
    one, other = start(runs, delivery=factor), start(runs, knowledge=factor)
    known = both["believed_position"] - both["position"]

    np.testing.assert_array_equal(both["position"], one["position"])
    np.testing.assert_allclose(known, other["believed_position"] - POSITION, atol=1e-6)
    assert np.all(np.abs(one["position"] - POSITION).max(axis=1) > 1)


# ---- statistics


def test_delivery_and_knowledge_have_the_stated_covariance_and_nothing_in_common(start):
    """40 000 runs, whitened by the factor: twelve independent standard normal numbers (90 entries: false alarm 5e-5);
    radial position and along-track velocity correlate by -0.9 within 5 standard deviations (1 - 0.81)/sqrt(40 000)."""
    factor = _factor()
    state = start(np.arange(COUNT), delivery=factor, knowledge=2 * factor)
    delivery = _errors(state["position"] - POSITION, state["velocity"] - VELOCITY)
    knowledge = _errors(state["believed_position"] - state["position"], state["believed_velocity"] - state["velocity"])
    white = np.concatenate([np.linalg.solve(factor, delivery.T), np.linalg.solve(2 * factor, knowledge.T)]).T

    assert _looks_standard_normal(white)
    for errors in (delivery, knowledge):
        assert np.corrcoef(errors[:, 0], errors[:, 4])[0, 1] == pytest.approx(-0.9, abs=5 * 0.19 / np.sqrt(COUNT))
    np.testing.assert_allclose(delivery.std(axis=0), SIGMAS, rtol=5 / np.sqrt(2 * COUNT))


def test_the_star_tracker_errs_by_its_sigma_about_each_axis(start):
    """0.1 mrad about three independent axes, 40 000 runs (false alarm 5e-6 for 9 entries)."""
    state = start(np.arange(COUNT), star=1e-4)
    truth, believed = (Rotation.from_quat(state[name], scalar_first=True) for name in ("attitude", "believed_attitude"))

    assert _looks_standard_normal((truth.inv() * believed).as_rotvec() / 1e-4)


def test_correlated_dispersions_share_their_factors(probe):
    """0.6 of one factor and 0.8 of another are a standard normal number that correlates by 0.6 with the first; a third,
    without factors, has its own stream. 40 000 runs, 5 standard deviations (false alarm 5e-6 for 9 entries)."""
    preamble = """
    MCR_FN Vec3 drawn(unsigned run) {
        Scatter scatter{};
        scatter.factor[3] = {int(dispersions_first) + 1, 1};
        scatter.factor[4] = {int(dispersions_first) + 1, real(0.6)};
        scatter.factor[5] = {int(dispersions_first) + 2, real(0.8)};
        Dispersion one{0, Distribution::normal_absolute, int(dispersions_first) + 1, 2, -1000, 1000, 3, 1};
        Dispersion two{0, Distribution::normal_absolute, int(dispersions_first) + 2, 3, -1000, 1000, 4, 2};
        Dispersion own{0, Distribution::normal_absolute, int(dispersions_first) + 3, 4, -1000, 1000, 0, 0};
        Draws const draws = make_draws(11, run);
        return {dispersed(scatter, one, 10, draws), dispersed(scatter, two, 20, draws),
                dispersed(scatter, own, 30, draws)};
    }
    """
    drawn = probe("arrival.h", "drawn(run)", "unsigned run", preamble=preamble, real="double")(np.arange(COUNT))
    numbers = (drawn - [10, 20, 30]) / [2, 3, 4]
    white = np.linalg.solve([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], numbers.T).T

    assert _looks_standard_normal(white)


# ---- limits


def test_perfect_navigation_starts_without_error(start):
    """Whatever the knowledge covariance, the star tracker and the mistake of the radius say."""
    state = start(np.arange(20), delivery=_factor(), knowledge=_factor(), star=1e-3, offset=1000, perfect=True)

    for name in ("position", "velocity", "attitude"):
        np.testing.assert_allclose(state[f"believed_{name}"], state[name], rtol=1e-12, atol=1e-12)
