"""Inertial unit: a perfect one reports the truth; each error alone has its size, spread and memory."""

import numpy as np
import pytest
from scipy import stats

TICK = 0.1  # [s]
HOUR, DEGREE = 3600.0, np.pi / 180
FIELDS = [
    *("gyro_bias", "gyro_walk", "gyro_noise", "gyro_scale", "gyro_misalign", "gyro_quantum", "gyro_rate_max"),
    *("accel_bias", "accel_walk", "accel_noise", "accel_scale", "accel_misalign", "accel_quantum"),
    *("walk_time", "attitude_sigma"),
]
FALSE_ALARM = 1e-3  # [] probability that a statistical test of this file fails for another seed


def _imu(**stated):
    """An `Imu`, member by member, without any error but those stated."""
    assert stated.keys() <= set(FIELDS)
    return [stated.get(name, {"gyro_rate_max": 5, "walk_time": 300}.get(name, 0)) for name in FIELDS]


def _assert_spread(samples, sigma, axis=0):
    """Zero mean and standard deviation `sigma` of normal numbers, every column at once."""
    count, columns = samples.shape[axis], samples.size // samples.shape[axis]
    share = FALSE_ALARM / (2 * columns)
    low, high = np.sqrt(stats.chi2.ppf([share / 2, 1 - share / 2], count - 1) / (count - 1))
    deviation = samples.std(axis=axis, ddof=1)

    np.testing.assert_array_less(np.abs(samples.mean(axis=axis)), stats.norm.isf(share / 2) * sigma / np.sqrt(count))
    np.testing.assert_array_less(low * sigma, deviation)
    np.testing.assert_array_less(deviation, high * sigma)


@pytest.fixture
def unit(probe):
    """unit(imu, angle_B, velocity_B, run, ticks): sums over the ticks, increments of the last, spare number, memory."""
    prepare = """
    Draws const draws = make_draws(3, static_cast<uint64>(run));
    ImuErrors const errors = make_imu_errors(imu, draws);
    ImuMemory memory = make_imu_memory(imu, draws);
    Vec3 angle{0, 0, 0}, velocity{0, 0, 0}, angle_more{0, 0, 0}, velocity_more{0, 0, 0};
    Increments last{};
    real spare = 0;
    for (int tick = 0; tick < ticks; ++tick) {
        last = measure_increments(imu, errors, working(), memory, angle_B, velocity_B, draws, tick, spare);
        Vec3 const angle_next = angle + (last.angle_B - angle_more);  // compensated, to see single quanta
        angle_more = (angle_next - angle) - (last.angle_B - angle_more);
        angle = angle_next;
        Vec3 const velocity_next = velocity + (last.velocity_B - velocity_more);
        velocity_more = (velocity_next - velocity) - (last.velocity_B - velocity_more);
        velocity = velocity_next;
    }
    """
    expressions = ["angle", "velocity", "last", "spare", "errors", "memory"]
    function = probe(
        "imu.h", expressions, "Imu imu, Vec3 angle_B, Vec3 velocity_B, int run, int ticks", prepare=prepare
    )
    names = ("angle", "velocity", "last", "spare", "errors", "memory")
    return lambda *values: dict(zip(names, function(*values), strict=True))


ANGLE, VELOCITY = np.float32([2e-3, -4e-3, 1e-3]), np.float32([0.02, -0.01, 0.3])  # [rad], [m s^-1] in a tick


# ---- known answers


def test_a_perfect_unit_reports_the_truth_bit_by_bit(unit):
    """No error stated, nothing added."""
    last = unit(_imu(), ANGLE, VELOCITY, np.arange(5), 7)["last"]

    np.testing.assert_array_equal(last, np.tile(np.concatenate([ANGLE, VELOCITY]), (5, 1)))


def test_a_constant_bias_grows_as_the_text_book_says(unit):
    """1 deg/h is 1/6 deg after 600 s; 100 ug is 0.588 m/s; both times the normal number drawn for the axis."""
    imu = _imu(gyro_bias=1 * DEGREE / HOUR, accel_bias=100e-6 * 9.80665)
    found = unit(imu, [0, 0, 0], [0, 0, 0], np.arange(50), 6000)
    normal_gyro = found["errors"][:, 0:3] / (1 * DEGREE / HOUR)
    normal_accel = found["errors"][:, 9:12] / (100e-6 * 9.80665)

    np.testing.assert_allclose(found["angle"], normal_gyro * DEGREE / 6, rtol=1e-5)
    np.testing.assert_allclose(found["velocity"], normal_accel * 0.588, rtol=1e-3)


# ---- closed forms


def test_scale_and_misalignment_are_first_order_in_the_motion(unit):
    """Error = scale x motion + misalignment x motion, for both triads; 3 sigma and more are among the 200 runs."""
    imu = _imu(gyro_scale=1e-2, gyro_misalign=2e-2, accel_scale=3e-2, accel_misalign=4e-2)
    found = unit(imu, ANGLE, VELOCITY, np.arange(200), 1)
    errors = found["errors"].reshape(200, 6, 3)
    angle = ANGLE + errors[:, 1] * ANGLE + np.cross(errors[:, 2], ANGLE)
    velocity = VELOCITY + errors[:, 4] * VELOCITY + np.cross(errors[:, 5], VELOCITY)

    np.testing.assert_allclose(found["last"], np.hstack([angle, velocity]), rtol=0, atol=1e-7)


def test_quantisation_carries_its_remainder(unit):
    """Every increment is a whole number of quanta; the sum is never further from the truth than half of one."""
    imu = _imu(gyro_quantum=3e-3, accel_quantum=0.07)
    ticks = np.arange(1, 300)
    found = unit(imu, ANGLE, VELOCITY, 0, ticks)
    quanta = found["last"] / np.repeat(np.float32([3e-3, 0.07]), 3)

    np.testing.assert_allclose(quanta, np.round(quanta), atol=1e-5)
    assert np.any(quanta == 0)
    np.testing.assert_array_less(np.abs(found["angle"] - ticks[:, None] * ANGLE), 1.5e-3 * 1.001)
    np.testing.assert_array_less(np.abs(found["velocity"] - ticks[:, None] * VELOCITY), 0.035 * 1.001)


def test_the_gyro_saturates_at_its_largest_rate_and_the_accelerometer_does_not(unit):
    """5 rad/s is 0.5 rad in a tick."""
    found = unit(_imu(gyro_rate_max=5), [0.8, -0.8, 0.4], [100, 0, 0], 0, 1)["last"]

    np.testing.assert_array_equal(found, np.float32([0.5, -0.5, 0.4, 100, 0, 0]))


# ---- statistics


def test_white_noise_grows_with_the_root_of_time(unit):
    """0.07 deg/sqrt(h) is 0.0286 deg after 600 s, 0.02 m/s/sqrt(h) is 8.2 mm/s: 2000 runs, every axis."""
    imu = _imu(gyro_noise=0.07 * DEGREE / 60, accel_noise=0.02 / 60)
    found = unit(imu, [0, 0, 0], [0, 0, 0], np.arange(2000), 6000)

    assert np.degrees(0.07 * DEGREE / 60 * np.sqrt(600)) == pytest.approx(0.0286, abs=1e-4)
    _assert_spread(found["angle"], 0.07 * DEGREE / 60 * np.sqrt(600))
    _assert_spread(found["velocity"], 0.02 / 60 * np.sqrt(600))


def test_the_noise_of_a_tick_is_independent_between_axes_ticks_and_the_spare_number(unit):
    """Correlation of the six increments and the spare normal number, at one tick and the next; 5000 runs."""
    imu = _imu(gyro_noise=1, accel_noise=1)
    now, later = (unit(imu, [0, 0, 0], [0, 0, 0], np.arange(5000), ticks) for ticks in (5, 6))
    columns = np.hstack([now["last"], now["spare"][:, None], later["last"], later["spare"][:, None]])
    correlation = np.corrcoef(columns.T)[np.triu_indices(14, 1)]

    _assert_spread(columns / np.tile([*[np.sqrt(TICK)] * 6, 1], 2), 1.0)
    assert np.max(np.abs(correlation)) < stats.norm.isf(FALSE_ALARM / 2 / len(correlation)) / np.sqrt(5000)


def test_every_error_of_a_unit_has_its_stated_sigma(unit):
    """Bias, scale factor and misalignment of both triads, 18 numbers, over 5000 runs; none is tied to another."""
    sigmas = {"gyro_bias": 1e-6, "gyro_scale": 1e-4, "gyro_misalign": 2e-4}
    sigmas |= {"accel_bias": 5e-4, "accel_scale": 3e-4, "accel_misalign": 1e-4}
    errors = unit(_imu(**sigmas), [0, 0, 0], [0, 0, 0], np.arange(5000), 0)["errors"]
    scaled = errors / np.repeat(list(sigmas.values()), 3)
    correlation = np.corrcoef(scaled.T)[np.triu_indices(18, 1)]

    _assert_spread(scaled, 1.0)
    assert np.max(np.abs(correlation)) < stats.norm.isf(FALSE_ALARM / 2 / len(correlation)) / np.sqrt(5000)


def test_in_run_bias_starts_and_stays_in_its_steady_state(probe):
    """Gauss-Markov with 300 s: the sigma at the start, after 100 s and after 400 s; correlation exp(-100/300)."""
    prepare = """
    Draws const draws = make_draws(5, static_cast<uint64>(run));
    ImuMemory memory = make_imu_memory(imu, draws);
    for (int step = 1; step <= steps; ++step) memory = drift(imu, memory, draws, 2u * static_cast<unsigned>(step), 1);
    """
    walk = probe("imu.h", ["memory.gyro_walk", "memory.accel_walk"], "Imu imu, int run, int steps", prepare=prepare)
    imu, runs = _imu(gyro_walk=2e-6, accel_walk=3e-4), np.arange(3000)
    gyro, accel = zip(*(walk(imu, runs, steps) for steps in (0, 100, 400)), strict=True)
    factor = np.exp(-100 / 300)
    correlation = np.array([np.corrcoef(gyro[0][:, axis], gyro[1][:, axis])[0, 1] for axis in range(3)])

    for moment in range(3):
        _assert_spread(gyro[moment] / 2e-6, 1.0)
        _assert_spread(accel[moment] / 3e-4, 1.0)
    np.testing.assert_allclose(
        correlation, factor, atol=stats.norm.isf(FALSE_ALARM / 6) * (1 - factor**2) / np.sqrt(3000)
    )
