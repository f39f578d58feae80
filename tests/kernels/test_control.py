"""Attitude control: the error of any attitude, the closed form of the loop, its rate limit, trim of a steady torque,
allocation of torque. The limit cycle of the jets is in test_rcs.py."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

TICK = 0.1  # [s]

DEVICE = """
/// 0.6/s on attitude, 1.5/s on rate, at most 5 deg/s.
MCR_FN Control device(real trim_gain, real deadband) {
    return Control{real(0.6), real(1.5), real(0.08726646), trim_gain, real(0.2), deadband};
}
struct Turned { Quat q_BS; Vec3 rate_B; Vec3 trim_B; real fastest; };
/// A body of 400, 500, 600 kg m^2 that gets the torque it asks for, and a steady one, held over each tick.
MCR_FN Turned turned(Quat q_BS, Vec3 rate_B, Vec3 direction_S, Vec3 steady_B, real trim_gain, real deadband,
                     int ticks) {
    Vec3 const inertia{400, 500, 600};
    Vec3 const inverse{real(1) / 400, real(1) / 500, real(1) / 600};
    Control const control = device(trim_gain, deadband);
    Turned body{q_BS, rate_B, Vec3{0, 0, 0}, 0};
    for (int tick = 0; tick < ticks; ++tick) {
        Vec3 const torque_B = control_torque(control, body.trim_B, inertia, body.q_BS, direction_S, body.rate_B);
        for (int part = 0; part < 10; ++part) {
            Vec3 const moment_B = torque_B + steady_B - cross(body.rate_B, scale(inertia, body.rate_B));
            body.rate_B = body.rate_B + (tick_period / 10) * scale(inverse, moment_B);
            body.q_BS = normalise(compose(from_rotation_vector((tick_period / 10) * body.rate_B), body.q_BS));
        }
        body.fastest = maximum(body.fastest, norm(body.rate_B));
    }
    return body;
}
"""


@pytest.fixture
def random():
    return np.random.default_rng(20261122)


@pytest.fixture
def turn(probe):
    """turn(ticks, ...): attitude, rate, trim and largest rate at the end, in double."""
    arguments = "Quat q_BS, Vec3 rate_B, Vec3 direction_S, Vec3 steady_B, real trim_gain, real deadband, int ticks"
    prepare = "Turned const body = turned(q_BS, rate_B, direction_S, steady_B, trim_gain, deadband, ticks);"
    expressions = ["body.q_BS", "body.rate_B", "body.trim_B", "body.fastest"]
    function = probe("control.h", expressions, arguments, preamble=DEVICE, prepare=prepare, real="double")

    def run(
        ticks,
        *,
        q_BS=(1, 0, 0, 0),
        rate_B=(0, 0, 0),
        direction_S=(0, 0, 1),
        steady_B=(0, 0, 0),
        trim_gain=0,
        deadband=0,
    ):
        return function(q_BS, rate_B, direction_S, steady_B, trim_gain, deadband, ticks)

    return run


def _directed(attitude):
    """Thrust directions in S of attitudes, and the frames of least roll that point there: body y near S y."""
    z = attitude.apply([0, 0, 1])
    y = np.array([0, 1, 0]) - z[:, 1:2] * z
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return z, Rotation.from_matrix(np.stack([np.cross(y, z), y, z], axis=2))


# ---- known answers


def test_pointing_error_is_the_angle_to_the_command(probe):
    """Thrust axis along S z: 0, 30, 90 and 180 deg from the commanded direction."""
    error = probe("control.h", "pointing_error(identity(), direction_S)", "Vec3 direction_S", real="double")
    angles = np.radians([0, 30, 90, 180])

    np.testing.assert_allclose(
        error(np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1)), angles, atol=1e-12
    )


def test_a_small_error_is_the_rotation_vector_to_the_command(probe):
    """1 mrad about each body axis: that vector itself."""
    error = probe("control.h", "attitude_error(q_BS, direction_S)", "Quat q_BS, Vec3 direction_S", real="double")
    for axis in np.eye(3):
        away = Rotation.from_rotvec(-1e-3 * axis)

        np.testing.assert_allclose(error(away.as_quat(scalar_first=True), [0, 0, 1]), 1e-3 * axis, atol=1e-9)


# ---- closed forms


def test_the_error_is_twice_the_vector_part_of_the_error_quaternion(probe, random):
    """2 sin(angle/2) times the axis of the turn from the attitude to the commanded frame (Wie, 7.3), up to 160 deg."""
    error = probe("control.h", "attitude_error(q_BS, direction_S)", "Quat q_BS, Vec3 direction_S", real="double")
    direction, commanded = _directed(Rotation.from_rotvec(random.normal(size=(500, 3)) * [0.2, 0.8, 0.5]))
    axis = random.normal(size=(500, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.radians(random.uniform(0, 160, 500))[:, None]
    # the commanded frame is the body turned by `angle` about an axis fixed in it
    attitude = commanded * Rotation.from_rotvec(-angle * axis)

    np.testing.assert_allclose(
        error(attitude.as_quat(scalar_first=True), direction), 2 * np.sin(angle / 2) * axis, atol=1e-9
    )


def test_a_small_slew_follows_the_linear_loop(turn):
    """d angle = rate, d rate = kw (-kq angle - rate), sampled and held at 10 Hz: the discrete system's matrix power."""
    continuous = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])  # angle, rate, held acceleration
    hold = expm(continuous * TICK)
    cycle = hold[:2, :2] + hold[:2, 2:] @ [[-1.5 * 0.6, -1.5]]
    start = np.array([np.radians(2), 0])
    for ticks in (5, 20, 60):
        attitude, rate, *_ = turn(ticks, q_BS=Rotation.from_rotvec([0, start[0], 0]).as_quat(scalar_first=True))
        angle, speed = np.linalg.matrix_power(cycle, ticks) @ start

        # ten explicit steps a tick instead of the exact hold: half of 10 ms late
        assert 2 * attitude[2] == pytest.approx(angle, abs=0.02 * start[0])
        assert rate[1] == pytest.approx(speed, abs=0.02 * start[0])


def test_a_large_slew_turns_at_the_rate_limit(turn):
    """90 deg at 5 deg/s: never faster (2 % of overshoot in the held loop), done in 18 s and the loop's settling."""
    away = Rotation.from_rotvec([0, np.pi / 2, 0]).as_quat(scalar_first=True)
    _, _, _, fastest = turn(400, q_BS=away)
    half_way, rate, _, _ = turn(100, q_BS=away)
    there, *_ = turn(300, q_BS=away)

    assert np.degrees(fastest) == pytest.approx(5, rel=0.02)
    assert np.degrees(-rate[1]) == pytest.approx(5, rel=0.01)
    assert 2 * np.degrees(np.arcsin(half_way[2])) == pytest.approx(90 - 5 * (10 - 1 / 1.5), abs=0.5)
    assert np.degrees(2 * np.abs(there[2])) < 0.2


def test_a_steady_torque_leaves_an_offset_that_the_trim_learns_away(turn):
    """20 N m about x on 400 kg m^2: without trim an angle of torque/(I kw kq) = 3.2 deg, with it none; the trim holds
    the torque."""
    offset, *_ = turn(1000, steady_B=[20, 0, 0])
    trimmed, _, trim, _ = turn(1000, steady_B=[20, 0, 0], trim_gain=0.3)

    assert 2 * offset[1] == pytest.approx(20 / (400 * 1.5 * 0.6), rel=0.01)
    assert np.abs(2 * trimmed[1]) < 1e-4
    np.testing.assert_allclose(trim, [-20 / 400, 0, 0], atol=1e-5)


def test_a_steady_torque_costs_its_own_impulse_in_pulses(probe):
    """On 400 kg m^2, jets of 52.8 N m in whole pulses of 20 ms: what they fire balances any steady torque, at a mean of
    torque / (arm Isp g0) of propellant per second; one-sided pulses waste nothing."""
    preamble = (
        DEVICE
        + """
    struct Fired { real impulse; real used; };
    MCR_FN Fired fired(real steady, int ticks) {
        Rcs const rcs{22, real(1.2), 2, 220, real(0.02), 5, 1};
        Control const control = device(0, real(0.0087));
        Quat q_BS = identity();
        Vec3 omega{0, 0, 0}, trim{0, 0, 0}, sum{0, 0, 0};
        real left = 100, half = 0;
        for (int tick = 0; tick < 2 * ticks; ++tick) {
            if (tick == ticks) {  // settled
                half = left;
                sum = Vec3{0, 0, 0};
            }
            Vec3 const torque = control_torque(control, trim, Vec3{400, 400, 400}, q_BS, Vec3{0, 0, 1}, omega);
            Vec3 const on{rcs_on_time(rcs, torque.x), rcs_on_time(rcs, torque.y), rcs_on_time(rcs, torque.z)};
            for (int index = 0; index < 5; ++index) {
                Vec3 const push = fire_rcs(rcs, working(), rcs_flow(rcs), left, on, index, 5);
                sum = sum + (tick_period / 5) * push;
                omega = omega + (tick_period / 5 / 400) * (push + Vec3{steady, 0, 0});
                q_BS = renormalise(compose(from_rotation_vector((tick_period / 5) * omega), q_BS));
            }
        }
        return Fired{sum.x, half - left};
    }
    """
    )
    function = probe(
        ["dynamics.h", "control.h"], "fired(steady, ticks)", "real steady, int ticks", preamble=preamble, real="double"
    )
    steady, ticks = np.array([-10.0, -2, 0.5, 2, 20]), 20000
    impulse, used = function(steady, ticks).T
    time = ticks * TICK

    # a few pulses of 1.06 N m s are on the way at either end
    np.testing.assert_allclose(impulse, -steady * time, atol=5 * 52.8 * 0.02)
    np.testing.assert_allclose(used, np.abs(impulse) / (1.2 * 220 * 9.80665), rtol=1e-9)


# ---- allocation


@pytest.fixture
def allocate(probe):
    """allocate(rate_B, duty): torque of differential duty, signed on-times of the jets and duty of one tick; the torque
    asked for is -1.5/s times inertia times rate."""
    prepare = """
    Params params{};
    params.world.vehicle = {400, {0, 0, 1}, {0, 0, 1}, {400, 500, 600}, {400, 500, 600}};
    params.world.propulsion.cluster = {6, 200, 275, real(0.8), real(0.02), real(0.1), real(0.02), 0, 0};
    params.world.propulsion.propellant = 400;
    params.world.rcs = {22, real(1.2), 2, 220, real(0.02), 20, 1};
    params.onboard.control = device(0, 0);
    State state{};
    state.estimate.q_BS = identity();
    state.guidance.direction_S = Vec3{0, 0, 1};
    state.guidance.mass = 700;
    state.guidance.duty_wish = duty;
    state.rate_B = rate_B;
    do_control(params, state);
    """
    expressions = ["state.command.torque_B", "state.command.rcs_time", "state.guidance.duty"]
    return probe("descent.h", expressions, "Vec3 rate_B, real duty", preamble=DEVICE, prepare=prepare, real="double")


def test_torque_goes_to_differential_duty_first_and_to_the_jets_for_the_rest(allocate, random):
    """Six engines of 200 N at 0.8 m: 480 N m per unit of amplitude min(duty, 1 - duty) about x and y, none about z.
    Jets of 52.8 N m make up the rest to half a pulse of 20 ms, as far as a tick lasts."""
    rate, duty = np.radians(5) * random.normal(size=(500, 3)), random.choice([0, 0.25, 0.5, 0.75, 1], size=500)
    ring, jets, flown = allocate(rate, duty)
    asked = -1.5 * np.array([400, 500, 600]) * rate
    room = 480 * np.minimum(flown, 1 - flown)[:, None] * [1, 1, 0]
    rest = asked - np.clip(asked, -room, room)
    jets = jets * 52.8 / TICK

    np.testing.assert_allclose(ring, np.clip(asked, -room, room), rtol=1e-9, atol=1e-9)
    assert np.any(rest[:, 0] == 0) and np.any(np.abs(rest) > 52.8)
    np.testing.assert_allclose(jets, np.clip(rest, -52.8, 52.8), atol=0.5 * 52.8 * 0.02 / TICK + 1e-6)


# ---- invariants


def test_any_attitude_ends_at_the_command(turn, random):
    """100 random attitudes and rates of up to 10 deg/s, random directions of a landing: within 0.1 deg after 100 s,
    with body y next to S y."""
    direction, commanded = _directed(Rotation.from_rotvec(random.normal(size=(100, 3)) * [0.1, 0.7, 0.3]))
    attitude = Rotation.random(100, random_state=1).as_quat(scalar_first=True)
    rate = np.radians(10) * random.uniform(-1, 1, (100, 3))
    end, speed, *_ = turn(1000, q_BS=attitude, rate_B=rate, direction_S=direction)
    left = (commanded.inv() * Rotation.from_quat(end, scalar_first=True)).magnitude()

    assert np.degrees(left.max()) < 0.1
    assert np.degrees(np.linalg.norm(speed, axis=1).max()) < 0.1


# ---- limits


def test_an_error_inside_the_dead_band_is_left_alone(probe):
    """No torque below 0.5 deg; beyond it, that of the error less the dead band."""
    prepare = """
    Vec3 const up{0, 0, 1}, rest{0, 0, 0};
    Vec3 trim{0, 0, 0};
    Vec3 const torque = control_torque(device(0, deadband), trim, Vec3{1, 1, 1}, q_BS, up, rest);
    """
    torque = probe(
        "control.h", "torque", "Quat q_BS, real deadband", real="double",
        preamble=DEVICE, prepare=prepare,
    )  # fmt: skip
    band = np.radians(0.5)
    attitudes = Rotation.from_rotvec(np.outer([0.9 * band, -0.9 * band, 3 * band], [1, 0, 0]))
    found = torque(attitudes.as_quat(scalar_first=True), band)

    np.testing.assert_allclose(found[:2], 0, atol=1e-12)
    np.testing.assert_allclose(found[2], [-1.5 * 0.6 * 2 * band, 0, 0], rtol=1e-3, atol=1e-12)


def test_the_trim_stays_within_its_limit(turn):
    """A torque beyond 0.2 rad/s^2 is held back by no trim of more than that."""
    *_, trim, _ = turn(2000, steady_B=[400, 0, 0], trim_gain=0.3)

    assert trim[0] == -0.2
