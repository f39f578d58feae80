"""On-board navigation by itself: growth of errors against text-book figures, the filter against matrix algebra and the
Riccati equation."""

import numpy as np
import pytest
from navigation_parts import (
    DEGREE,
    DT,
    GM,
    HOUR,
    MICRO_G,
    PARTS,
    RADIUS,
    SCALES,
    diagonal,
    matrices,
    packed,
    random_covariance,
)
from scipy.linalg import solve_discrete_are
from scipy.spatial.transform import Rotation


@pytest.fixture
def grow(probe):
    """grow(channels, force_S, ...): covariance after some ticks of dead reckoning at one place and attitude."""
    prepare = """
    NavigationMemory memory = memory_of(channels);
    Navigation navigation{};
    navigation.gravity_sigma = gravity_sigma;
    Imu imu{};
    imu.gyro_noise = gyro_noise;
    imu.gyro_bias = gyro_bias;
    imu.accel_noise = accel_noise;
    for (int tick = 0; tick < ticks; ++tick)
        propagate_covariance(memory, navigation, imu, moon(gm), position_S, velocity_S, force_S, axis_S, 0, tick, 1);
    """
    arguments = (
        "Channels channels, real gm, Vec3 position_S, Vec3 velocity_S, Vec3 force_S, Vec3 axis_S, real gyro_noise, "
        "real gyro_bias, real accel_noise, real gravity_sigma, int ticks"
    )
    function = probe("navigation.h", "channels_of(memory)", arguments, preamble=PARTS, prepare=prepare, real="double")

    def run(
        channels, force_S=(0, 0, 0), *, gm=0, position_S=(0, 0, 0), velocity_S=(0, 0, 0), axis_S=(0, 0, 1), ticks=6000,
        gyro_noise=0, gyro_bias=0, accel_noise=0, gravity_sigma=0,
    ):  # fmt: skip
        noises = (gyro_noise, gyro_bias, accel_noise, gravity_sigma)
        return matrices(function(channels, gm, position_S, velocity_S, force_S, axis_S, *noises, ticks))

    return run


# ---- known answers


def test_tilt_bias_and_noise_grow_into_the_errors_of_the_text_books(grow):
    """After 600 s at 3 m/s^2: 0.1 mrad of tilt 54 m; 100 ug 176.5 m and 0.588 m/s; an angle random walk of
    0.07 deg/sqrt(h) 0.0286 deg and 0.52 m/s; a velocity random walk of 0.02 m/s/sqrt(h) 8.2 mm/s."""
    force = [0, 0, 3.0]
    tilt, tilt_cross = grow(diagonal(tilt=1e-4), force)
    bias, _ = grow(diagonal(bias=100 * MICRO_G), force)
    angle, angle_cross = grow(diagonal(), force, gyro_noise=0.07 * DEGREE / 60)
    velocity, _ = grow(diagonal(), accel_noise=0.02 / 60)

    assert np.sqrt(tilt[0, 0]) == pytest.approx(54, rel=1e-3)
    assert np.sqrt(tilt_cross[0, 0]) == pytest.approx(54, rel=1e-3)
    assert tilt[1, 1] == 0  # tilted thrust along z gives no vertical error
    assert np.sqrt(bias[1, 1]) == pytest.approx(176.5, rel=1e-3)
    assert np.sqrt(bias[3, 3]) == pytest.approx(0.588, rel=1e-3)
    assert np.degrees(np.sqrt(angle[4, 4])) == pytest.approx(0.0286, abs=1e-4)
    assert np.sqrt(angle[2, 2]) == pytest.approx(0.52, abs=0.005)
    assert np.sqrt(angle_cross[1, 1]) == pytest.approx(0.52, abs=0.005)
    assert np.sqrt(velocity[3, 3]) == pytest.approx(8.2e-3, rel=0.01)


def test_an_unaided_height_error_grows_as_a_hyperbolic_cosine(grow):
    """Gravity gradient: e-fold time sqrt(R^3/2GM) = 731 s, 1.36 times after 600 s; level errors swing as a cosine."""
    plane, cross = grow(diagonal(x=100, z=100, y=100), gm=GM)
    time = np.sqrt(RADIUS**3 / (2 * GM))
    swing = np.cos(600 / (np.sqrt(2) * time))

    assert time == pytest.approx(731, abs=1)
    assert np.sqrt(plane[1, 1]) / 100 == pytest.approx(np.cosh(600 / time), rel=1e-3)
    assert np.sqrt(plane[1, 1]) / 100 == pytest.approx(1.36, abs=0.005)
    assert np.sqrt(plane[0, 0]) / 100 == pytest.approx(swing, rel=1e-3)
    assert np.sqrt(cross[0, 0]) / 100 == pytest.approx(swing, rel=1e-3)


# ---- closed forms


def test_gyro_bias_gives_the_position_error_of_a_constant_bias(grow):
    """f b t^3/6 after 300, 600 and 900 s at 3 m/s^2, though the filter has no such state: 1 deg/h is 524 m in 600 s."""
    bias = 1 * DEGREE / HOUR
    for ticks in (3000, 6000, 9000):
        plane, cross = grow(diagonal(), [0, 0, 3.0], gyro_bias=bias, ticks=ticks)
        expected = 3 * bias * (ticks * DT) ** 3 / 6

        np.testing.assert_allclose(np.sqrt([plane[0, 0], cross[0, 0]]), expected, rtol=2e-3)


def test_white_noises_grow_with_the_powers_of_time_that_their_integrals_have(grow):
    """Velocity noise q: t, t^2/2, t^3/3; angle noise at thrust f: t, f^2 t^3/3, f^2 t^5/20."""
    t = 600.0
    velocity, _ = grow(diagonal(), accel_noise=1e-3)
    angle, _ = grow(diagonal(), [0, 0, 3.0], gyro_noise=1e-5)

    np.testing.assert_allclose(
        [velocity[3, 3], velocity[1, 3], velocity[1, 1]], 1e-6 * np.array([t, t**2 / 2, t**3 / 3]), rtol=1e-3
    )
    np.testing.assert_allclose(
        [angle[4, 4], angle[2, 2], angle[0, 0]], 1e-10 * np.array([t, 9 * t**3 / 3, 9 * t**5 / 20]), rtol=2e-3
    )


def test_strapdown_repeats_the_truth_from_perfect_increments(probe):
    """600 s of thrust at 3 m/s^2 while pitching and rolling, from exact increments, in the Moon's oblate field."""
    prepare = """
    World world{};
    world.gravity = moon(gm);
    world.gravity.rotation_rate = real(2.6616995e-6);
    world.gravity.j2 = real(2.0323e-4);
    world.gravity.reference_radius = 1738000;
    world.vehicle = {900, {0, 0, 0}, {0, 0, 0}, {500, 500, 500}, {500, 500, 500}};
    world.propulsion.main = {2700, real(1e12), 1, 1, 1, real(0.1), 0, real(0.1), 0, 0, 0, 0};
    world.propulsion.cluster.isp = 280;
    world.propulsion.propellant = 1;
    world.rcs = {10, 1, 2, 220, real(0.02), 0, 1};
    GuidanceMemory asked{};
    asked.throttle = 1;
    Truth truth{};
    truth.position_S = Vec3{-500000, 0, -55000};
    truth.velocity_S = Vec3{1620, 0, 450};
    truth.q_BS = from_rotation_vector(Vec3{0, real(-1.4), 0});
    truth.omega_BN_B = Vec3{0, real(0.0026), real(0.01)};
    truth.engines.propellant = 1;
    Estimate estimate = estimate_of(truth.position_S, truth.velocity_S, truth.q_BS);
    NavigationMemory memory{};
    for (int tick = 0; tick < 6000; ++tick) {
        truth.angle_B = truth.velocity_B = Vec3{0, 0, 0};
        for (int index = 0; index < 2; ++index)
            propagate(world, pace_of(world, 2), working(), truth, asked, Command{}, tick,
                      index, 2);
        integrate_increments(estimate, memory, world.gravity, Increments{truth.angle_B, truth.velocity_B});
    }
    """
    expressions = ["estimate.position_S - truth.position_S", "estimate.velocity_S - truth.velocity_S"]
    follow = {
        real: probe("dynamics.h", expressions, "real gm", preamble=PARTS, prepare=prepare, real=real)
        for real in ("float", "double")
    }
    position, velocity = follow["double"](GM)
    coarse_position, coarse_velocity = follow["float"](GM)

    # double: the Moon's turn is taken at the start of a tick, a drift of w w_Moon dt/2 = 1.4e-9 rad/s: f b t^3/6
    drift = np.hypot(0.0026, 0.01) * 2.66e-6 * DT / 2
    assert np.linalg.norm(position) < 3 * drift * 600**3 / 6
    assert np.linalg.norm(velocity) < 3 * drift * 600**2 / 2
    # float: compensated sums; a word of position is 3 cm coarse at 500 km
    np.testing.assert_allclose(coarse_position, position, rtol=0, atol=0.1)
    np.testing.assert_allclose(coarse_velocity, velocity, rtol=0, atol=3e-4)


def test_correlated_errors_are_averaged_once_per_correlation_time(probe):
    """An error that stays is not noise: 50 samples in 5 s leave sigma^2 of it, plus a fiftieth of the white part."""
    prepare = """
    Channels wide{};
    wide.cross[0] = real(1e8);
    NavigationMemory memory = memory_of(wide);
    Estimate estimate = estimate_of(Vec3{0, 0, 0}, Vec3{0, 0, 0}, identity());
    Scalar const s{0, 0, 0, 0, 1, 0, 0, 25, 225};
    for (int k = 0; k < 50; ++k) update(estimate, memory, s, gain_variance(s, 5, 1), 0, true);
    """
    variance = probe("navigation.h", "memory.cross[0]", "", preamble=PARTS, prepare=prepare, real="double")()

    assert variance == pytest.approx(225 + 25 / 50, rel=1e-3)


# ---- matrix algebra


def test_propagation_is_phi_p_phi_transposed_plus_q(grow, random):
    """One tick of random covariances, forces, attitudes and places against dense matrices."""
    plane, cross = random_covariance(random, 200, SCALES), random_covariance(random, 200, SCALES[[0, 2, 4]])
    force, axis = random.normal(size=(2, 200, 3)) * 2
    place = random.normal(size=(200, 3)) * [200e3, 0, 10e3]
    noises = {"gyro_noise": 1e-5, "accel_noise": 1e-4, "gravity_sigma": 3e-4}
    r = place + np.array([0, 0, RADIUS])
    gradient = [GM / np.linalg.norm(one) ** 3 * (3 * np.outer(one, one) / (one @ one) - np.eye(3)) for one in r]
    motion = random.normal(size=(200, 3)) * [300, 0, 20]
    speed = np.maximum(
        np.linalg.norm(motion, axis=1), 50
    )  # below 50 m/s the ground's gravity counts as changing no slower
    after = grow(
        packed(plane, cross), force, gm=GM, position_S=place, velocity_S=motion, axis_S=axis, ticks=1, **noises
    )

    for k in range(200):
        rate = np.zeros((6, 6))
        rate[0, 2] = rate[1, 3] = 1
        rate[2:4, 0:2] = gradient[k][np.ix_([0, 2], [0, 2])]
        rate[2:4, 4] = force[k, 2], -force[k, 0]
        rate[2:4, 5] = axis[k, 0], axis[k, 2]
        rate_cross = np.zeros((3, 3))
        rate_cross[0, 1] = 1
        rate_cross[1] = gradient[k][1, 1], 0, np.linalg.norm(force[k])
        velocity_noise = (1e-8 + 2 * 9e-8 * 60e3 / speed[k]) * DT
        phi, phi_cross = np.eye(6) + DT * rate, np.eye(3) + DT * rate_cross
        expected = phi @ plane[k] @ phi.T + np.diag([0, 0, velocity_noise, velocity_noise, 1e-10 * DT, 0])
        expected_cross = phi_cross @ cross[k] @ phi_cross.T + np.diag([0, velocity_noise, 1e-10 * DT])

        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        scale_cross = np.sqrt(np.outer(np.diag(expected_cross), np.diag(expected_cross)))
        np.testing.assert_allclose(after[0][k] / scale, expected / scale, rtol=0, atol=1e-12)
        np.testing.assert_allclose(after[1][k] / scale_cross, expected_cross / scale_cross, rtol=0, atol=1e-12)


def test_an_update_is_the_text_books_kalman_update(probe, random):
    """Random covariances, rows and innovations: K = P H/(H P H + R), x + K y, P - K H P (Bar-Shalom et al. 2001, 5.2);
    tilts turn the attitude; underweighting widens H P H alone; a rejected sample changes nothing."""
    prepare = """
    NavigationMemory memory = memory_of(channels);
    Estimate estimate = estimate_of(Vec3{0, 0, 0}, Vec3{0, 0, 0}, identity());
    Scalar const s{row.x, row.z, rate.x, rate.z, row.y, rate.y, innovation, noise, 0};
    update(estimate, memory, s, noise, underweight, accepted);
    """
    arguments = "Channels channels, Vec3 row, Vec3 rate, real innovation, real noise, real underweight, bool accepted"
    expressions = ["channels_of(memory)", "estimate.position_S", "estimate.velocity_S", "estimate.q_BS",
                   "estimate.thrust_bias", "innovation_variance(memory_of(channels), s)"]  # fmt: skip
    function = probe("navigation.h", expressions, arguments, preamble=PARTS, prepare=prepare, real="double")
    count = 200
    plane, cross = random_covariance(random, count, SCALES), random_covariance(random, count, SCALES[[0, 2, 4]])
    row, rate = random.normal(size=(2, count, 3)) * np.array([[[1.0]], [[100.0]]])
    noise, innovation = random.uniform(1, 1e4, count), random.normal(size=count) * 30
    channels = packed(plane, cross)
    for underweight in (0.0, 0.2):
        after, position, velocity, attitude, bias, spread = function(
            channels, row, rate, innovation, noise, underweight, True
        )
        plane_after, cross_after = matrices(after)
        for k in range(count):
            h = np.array([row[k, 0], row[k, 2], rate[k, 0], rate[k, 2], 0, 0])
            h_cross = np.array([row[k, 1], rate[k, 1], 0])
            explained = h @ plane[k] @ h + h_cross @ cross[k] @ h_cross
            total = (1 + underweight) * explained + noise[k]
            gain, gain_cross = plane[k] @ h / total, cross[k] @ h_cross / total

            assert spread[k] == pytest.approx(explained + noise[k], rel=1e-12)
            np.testing.assert_allclose(
                [position[k, 0], position[k, 2], velocity[k, 0], velocity[k, 2], bias[k]],
                gain[[0, 1, 2, 3, 5]] * innovation[k], rtol=1e-12,
            )  # fmt: skip
            np.testing.assert_allclose([position[k, 1], velocity[k, 1]], gain_cross[:2] * innovation[k], rtol=1e-12)
            # thrust axis along z: pitch turns it toward +x, lateral tilt toward +y
            axis = Rotation.from_quat(attitude[k], scalar_first=True).apply([0, 0, 1])
            np.testing.assert_allclose(
                axis[:2], [gain[4] * innovation[k], gain_cross[2] * innovation[k]], rtol=1e-3, atol=1e-12
            )
            np.testing.assert_allclose(plane_after[k], plane[k] - np.outer(gain, h @ plane[k]), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(
                cross_after[k], cross[k] - np.outer(gain_cross, h_cross @ cross[k]), rtol=1e-9, atol=1e-12
            )
    same, position, *_ = function(channels, row, rate, innovation, noise, 0, False)

    np.testing.assert_array_equal(same, channels)
    np.testing.assert_array_equal(position, 0)


def test_the_filter_settles_at_the_solution_of_the_riccati_equation(probe):
    """Position measured every tick, velocity walks: the covariance after 200 s is that of scipy's discrete algebraic
    Riccati equation, for the height of the plane channel and for the cross channel."""
    prepare = """
    Channels wide{};
    wide.plane[6] = wide.cross[0] = real(1e6);
    wide.plane[15] = wide.cross[3] = 100;
    NavigationMemory memory = memory_of(wide);
    Estimate estimate = estimate_of(Vec3{0, 0, 0}, Vec3{0, 0, 0}, identity());
    Imu imu{};
    imu.accel_noise = walk;
    for (int tick = 0; tick < 2000; ++tick) {
        Vec3 const zero{0, 0, 0};
        propagate_covariance(memory, Navigation{}, imu, moon(0), zero, zero, zero, Vec3{0, 0, 1}, 0, tick, 1);
        update(estimate, memory, Scalar{0, 1, 0, 0, 0, 0, 0, noise, 0}, noise, 0, true);
        update(estimate, memory, Scalar{0, 0, 0, 0, 1, 0, 0, noise, 0}, noise, 0, true);
    }
    """
    settle = probe(
        "navigation.h", "channels_of(memory)", "real walk, real noise", preamble=PARTS, prepare=prepare, real="double"
    )
    for walk, noise in ((0.3, 100.0), (0.05, 4.0)):
        plane, cross = matrices(settle(walk, noise))
        phi, h = np.array([[1, DT], [0, 1]]), np.array([[1.0, 0]])
        before = solve_discrete_are(phi.T, h.T, np.diag([0, walk**2 * DT]), [[noise]])
        expected = before - before @ h.T @ h @ before / (before[0, 0] + noise)

        np.testing.assert_allclose(plane[np.ix_([1, 3], [1, 3])], expected, rtol=1e-6)
        np.testing.assert_allclose(cross[:2, :2], expected, rtol=1e-6)
