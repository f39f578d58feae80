"""Errors of the whole navigation against the covariance that it believes."""

import numpy as np
from navigation_parts import DEGREE, FALSE_ALARM, HOUR, MICRO_G, PARTS, matrices, packed
from scipy import stats

BRAKING = """
/// Open-loop braking from 15 km and 1692 m/s: 3.2 m/s^2 of thrust that pitches up evenly, met 2.5 km above the ground
/// with 40 m/s down and 20 m/s ahead after 559.4 s (by shooting), then upright at the local weight for 45 s.
struct Errors { Vec3 position; Vec3 velocity; Channels channels; };
struct Looks { Errors unaided; Errors ranged; Errors guided; };
MCR_FN Errors look(Truth const& truth, Estimate const& estimate, NavigationMemory const& memory) {
    return Errors{estimate.position_S - truth.position_S, estimate.velocity_S - truth.velocity_S, channels_of(memory)};
}
MCR_FN Looks brake(Imu const& imu, Channels const& channels, Vec3 const& position_error, Vec3 const& velocity_error,
                   real height_error, real range_scale, real speed_scale, int run) {
    World world{};
    world.gravity = moon(real(4902.80007e9));
    world.gravity.j2 = real(2.0323e-4);
    world.gravity.c22 = real(2.2382e-5);
    world.gravity.rotation_rate = real(2.6616995e-6);
    world.gravity.anomaly = real(3e-4);
    world.vehicle = {900, {0, 0, 0}, {0, 0, 0}, {500, 500, 500}, {500, 500, 500}};
    world.propulsion.main = {2880, real(1e12), 1, 1, 1, real(0.1), 0, real(0.1), 0, 0, 0, 0};
    world.propulsion.cluster.isp = 280;
    world.propulsion.propellant = real(1e-3);
    world.rcs = {10, 1, 2, 220, real(0.02), 0, 1};
    world.terrain = level();
    world.terrain.height_error = height_error;
    Vec3 const beam_B{real(-0.57357644), 0, real(-0.81915204)};
    world.altimeter = Altimeter{1, 10000, 1, 1, 1, 1, real(1.0472), beam_B, real(0.5), real(0.001), 0, range_scale,
                                real(0.01), 2};
    world.velocimeter = Velocimeter{1, 2000, 200, real(0.39269908), real(0.1), speed_scale, real(0.01), 2};
    Altimeter nominal = world.altimeter;
    nominal.scale = 0;
    Navigation navigation = navigation_of(GatePolicy::per_sample, 5);
    navigation.map_sigma = 15;
    navigation.gravity_sigma = real(3e-4);
    navigation.altimeter_scale_sigma = real(0.001);
    navigation.underweight = real(0.2);

    Draws const draws = make_draws(29, static_cast<uint64>(run));
    ImuErrors const errors = make_imu_errors(imu, draws);
    ImuMemory unit_memory = make_imu_memory(imu, draws);
    Truth truth{};
    real const radius = world.gravity.radius, angle = real(-458876.8 / 1737400);
    SineCosine const turn = sine_cosine(angle), lift = sine_cosine(real(0.0875898));
    Vec3 const up{turn.sine, 0, turn.cosine}, forward{turn.cosine, 0, -turn.sine};
    real const half = sine_cosine(angle / 2).sine;
    truth.position_S = Vec3{(radius + 15000) * turn.sine, 0, 15000 * turn.cosine - 2 * radius * half * half};
    Vec3 const spin_S = world.gravity.rotation_rate * world.gravity.pole_S;
    truth.velocity_S = real(1692.27) * forward - cross(spin_S, from_centre(world.gravity, truth.position_S));
    Vec3 const axis_S = lift.sine * up - lift.cosine * forward;
    truth.q_BS = from_axes(cross(Vec3{0, 1, 0}, axis_S), Vec3{0, 1, 0}, axis_S);
    truth.anomaly_S = world.gravity.anomaly * normal_vector(draws, Stream::gravity_anomaly, 0u);
    truth.engines.propellant = truth.engines.main = 0;
    truth.engines.propellant = real(1e-3);
    Estimate estimate = estimate_of(truth.position_S + position_error, truth.velocity_S + velocity_error, truth.q_BS);
    estimate.q_BS = compose(from_rotation_vector(imu.attitude_sigma * normal_vector(draws, Stream::star_tracker, 0u)),
                            truth.q_BS);
    NavigationMemory memory = memory_of(channels);
    GuidanceMemory asked{};
    Looks looks{};
    for (int tick = 0; tick < 6050; ++tick) {
        bool const braking = tick < 5594, slewing = (tick >= 5594) & (tick < 5700);
        asked.throttle = braking ? real(1) : real(0.507);
        truth.omega_BN_B = Vec3{0, braking ? real(0.00147667) : slewing ? real(0.0870) : real(0), 0};
        truth.angle_B = truth.velocity_B = Vec3{0, 0, 0};
        for (int index = 0; index < 2; ++index)
            propagate(world, pace_of(world, 2), working(), truth, asked, Command{}, tick,
                      index, 2);
        truth.clearance = ground_clearance(world.terrain, world.gravity, truth.position_S, false);
        real spare;
        Increments const increments =
            measure_increments(imu, errors, working(), unit_memory, truth.angle_B, truth.velocity_B, draws, tick,
                               spare);
        Vec3 const force_S = integrate_increments(estimate, memory, world.gravity, increments);
        if (tick % covariance_ticks == 0)
            step_covariance(memory, navigation, imu, world.gravity, estimate, force_S, increments.angle_B, tick);
        if (tick % 2 == 0) {
            Range const range = measure_range(world.altimeter, Surface{no_model, nullptr},
                                              world.terrain, world.gravity, working(), -1,
                                              truth.position_S, truth.q_BS, draws, tick, Shape::sphere);
            use_range(estimate, memory, navigation, nominal, Surface{no_model, nullptr},
                      level(), world.gravity, range, 0,
                      Shape::sphere, false);
            BeamSpeeds const speeds = measure_speeds(world.velocimeter, Surface{no_model, nullptr},
                                                     world.terrain, world.gravity,
                                                     working(), truth.clearance, truth.position_S, truth.velocity_S,
                                                     truth.q_BS, draws, tick, Shape::sphere);
            use_speeds(estimate, memory, navigation, world.velocimeter, speeds);
        }
        if (tick % 10 == 0) {
            unsigned const number = static_cast<unsigned>(tick / 10) + 1u;
            real const decay = exponential(-norm(truth.velocity_S) / world.gravity.anomaly_length);
            truth.anomaly_S = walk(truth.anomaly_S, world.gravity.anomaly, decay,
                                   normal_vector(draws, Stream::gravity_anomaly, number));
            unit_memory = drift(imu, unit_memory, draws, 2u * number, 1);
        }
        if (tick == 3000) looks.unaided = look(truth, estimate, memory);
        if (tick == 5590) looks.ranged = look(truth, estimate, memory);
    }
    looks.guided = look(truth, estimate, memory);
    return looks;
}
"""
TACTICAL = {
    "gyro_bias": 0.3 * DEGREE / HOUR,
    "gyro_walk": 0.1 * DEGREE / HOUR,
    "gyro_noise": 0.07 * DEGREE / 60,
    "gyro_scale": 100e-6,
    "gyro_misalign": 1e-4,
    "gyro_quantum": 1e-6,
    "gyro_rate_max": 5.0,
    "accel_bias": 50 * MICRO_G,
    "accel_walk": 20 * MICRO_G,
    "accel_noise": 0.02 / 60,
    "accel_scale": 300e-6,
    "accel_misalign": 1e-4,
    "accel_quantum": 1e-4,
    "walk_time": 300.0,
    "attitude_sigma": 1e-4,
}


RUNS = 250


def consistency(every_probe, random):
    """Normalised errors squared over their number, in the plane (4 numbers a run) and across (2), at three times:
    (dead reckoning, ranging, all sensors) x (plane, across) x (without, with errors that stay)."""
    runs = 2 * RUNS
    imu = TACTICAL
    tilt = imu["attitude_sigma"] ** 2 + imu["accel_misalign"] ** 2 + (imu["accel_bias"] / 2.5) ** 2
    bias = imu["accel_bias"] ** 2 + imu["accel_walk"] ** 2 + (2.5 * imu["accel_scale"]) ** 2
    sigmas = np.array([600, 200, 0.3, 0.2, 250, 0.2])  # x z vx vz y vy
    channels = packed(np.diag([*sigmas[:4] ** 2, tilt, bias]), np.diag([*sigmas[4:] ** 2, tilt]))
    start = sigmas * random.normal(size=(runs, 6))
    stay = np.repeat([0, 1], RUNS)
    ground = 15 * random.normal(size=runs)
    arguments = (
        "Imu imu, Channels channels, Vec3 position_error, Vec3 velocity_error, real height_error, real range_scale, "
        "real speed_scale, int run"
    )
    names = ", ".join(name.split()[-1] for name in arguments.split(","))
    fly = every_probe[0](
        "dynamics.h", ["looks.unaided", "looks.ranged", "looks.guided"], arguments,
        preamble=PARTS + BRAKING, prepare=f"Looks const looks = brake({names});",
    )  # fmt: skip
    found = fly(
        list(imu.values()), channels, start[:, [0, 4, 1]], start[:, [2, 5, 3]], ground,
        1e-3 * stay * random.normal(size=runs), 3e-3 * stay * random.normal(size=runs), np.arange(runs),
    )  # fmt: skip
    table = np.zeros((3, 2, 2))
    for time, look in enumerate(found):
        error = look[:, :6].copy()
        error[:, 2] += ground * (time > 0)  # a ranging computer finds the ground, not its height on the map
        for channel, (order, covariance) in enumerate(zip(([0, 2, 3, 5], [1, 4]), matrices(look[:, 6:]), strict=True)):
            inverse = np.linalg.inv(covariance[:, : len(order), : len(order)])
            square = np.einsum("ri,rij,rj->r", error[:, order], inverse, error[:, order]) / len(order)
            table[time, channel] = square.reshape(2, RUNS).mean(axis=1)
    return table


def test_the_filter_is_consistent_with_its_own_covariance(every_probe, random):
    """Normalised error squared (Bar-Shalom et al. 2001, 5.4), braking from orbit with a tactical unit, 250 runs: one
    while dead reckoning, not above one with ranges and beams. Errors that stay longer than the filter's 5 s (0.1 % of
    range, 0.3 % of speed, while falling at 40 m/s) may raise it to 2."""
    table = consistency(every_probe, random)
    chance = stats.norm.isf(FALSE_ALARM / 12) * np.sqrt(2 / (RUNS * np.array([4, 2])))[:, None]

    assert np.all(np.abs(table[0] - 1) < chance)
    assert np.all(table[1:, :, 0] < 1 + chance[None, :, 0])
    assert np.all(table[1:, :, 1] < 2)
