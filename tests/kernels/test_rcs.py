"""Attitude thrusters: whole impulse bits, their propellant, and the limit cycle they force on a pointing body."""

import numpy as np
import pytest

THRUST, ARM, JETS, ISP, PULSE = 22.0, 1.2, 2.0, 220.0, 0.02  # N, m, [], s, s
G0 = 9.80665  # [m s^-2]
TICK = 0.1  # [s]

DEVICE = f"constexpr Rcs device{{{THRUST}f, {ARM}f, {JETS}f, {ISP}f, {PULSE}f, 5, 1}};"


@pytest.fixture
def on_time(probe):
    """on_time(torque): signed seconds of firing in one tick."""
    return probe("rcs.h", "rcs_on_time(device, torque)", "real torque", preamble=DEVICE)


@pytest.fixture
def fire(probe):
    """fire(on_time of three axes, propellant, count): angular impulse of one tick, propellant left."""
    prepare = """
    real left = propellant;
    Vec3 impulse{0, 0, 0};
    for (int index = 0; index < count; ++index)
        impulse = impulse + (tick_period / real_of(count)) *
                                fire_rcs(device, working(), rcs_flow(device), left, on_time, index, count);
    """
    arguments = "Vec3 on_time, real propellant, int count"
    return probe("dynamics.h", ["impulse", "left"], arguments, preamble=DEVICE, prepare=prepare)


# ---- known answers


def test_largest_torque_is_that_of_all_jets_of_an_axis(probe):
    """Two jets of 22 N at 1.2 m: 52.8 N m."""
    assert probe("rcs.h", "rcs_torque_max(device)", "", preamble=DEVICE)() == pytest.approx(52.8, rel=1e-6)


def test_a_minimum_impulse_turns_a_body_by_a_tenth_of_a_degree_per_second(fire):
    """n F l t_min / I = 0.151 deg/s on 400 kg m^2, with 0.88 N s of thrust, two in a limit cycle."""
    impulse, left = fire([PULSE, 0, 0], 5.0, 2)

    assert np.degrees(impulse[0] / 400) == pytest.approx(0.151, abs=5e-4)
    assert (5.0 - left) * ISP * G0 == pytest.approx(0.88, rel=2e-3)  # a difference of floats: 5e-7 of 4e-4 kg


# ---- closed forms


def test_torque_comes_in_whole_pulses_and_never_in_more_than_a_tick(on_time):
    """The nearest whole number of 20 ms pulses, at most five; odd in the torque."""
    torque = np.linspace(-100, 100, 4001)
    pulses = on_time(torque) / PULSE
    wish = np.abs(torque) / 52.8 * TICK / PULSE

    np.testing.assert_allclose(pulses, np.round(pulses), atol=1e-5)
    assert np.max(np.abs(np.abs(pulses) - np.minimum(wish, 5))) <= 0.5 + 1e-3
    np.testing.assert_array_equal(pulses, -pulses[::-1])
    assert on_time(0) == 0


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_impulse_is_torque_times_on_time_for_any_number_of_truth_steps(fire, count):
    """52.8 N m times the seconds of each axis, with its sign."""
    seconds = np.array([[0.02, -0.06, 0.1], [-0.1, 0.0, 0.04]])
    impulse, _ = fire(seconds, 5.0, count)

    np.testing.assert_allclose(impulse, 52.8 * seconds, rtol=2e-6, atol=1e-7)


def test_propellant_is_total_impulse_over_exhaust_speed(fire):
    """n F t / (g0 Isp), summed over the axes; none of it turns up when the tank is dry."""
    seconds = np.array([[0.1, -0.06, 0.02], [0, 0, 0]])
    _, left = fire(seconds, 5.0, 2)
    impulse, still_dry = fire(seconds, 0.0, 2)

    np.testing.assert_allclose(5 - left, JETS * THRUST * np.abs(seconds).sum(axis=1) / (ISP * G0), atol=5e-7)
    np.testing.assert_array_equal(impulse, 0)
    np.testing.assert_array_equal(still_dry, 0)


# ---- the limit cycle


def test_pointing_ends_in_the_limit_cycle_of_the_minimum_impulse_bit(probe):
    """Between two single pulses the body drifts with half a bit's rate dw/2 from edge to edge: period 8 edge/dw
    (Wie, 7.6), two pulses per cycle.

    The edge is where the torque asked for reaches half a pulse, I kw (kq (a - db) + dw/2) tick = I dw/2, plus half the
    drift of a tick: 0.71 deg beyond the dead band of 0.5 deg for kw = 1.5/s, kq = 0.6/s. No trim here.
    """
    preamble = (
        DEVICE
        + """
    struct Cycle { real period; real largest; real used; };
    MCR_FN Cycle cycle_of(real inertia, real deadband, int ticks) {
        Control const control{real(0.6), real(1.5), real(0.09), 0, 0, deadband};
        Vec3 const moments{inertia, inertia, inertia};
        Quat q_BS = identity();
        Vec3 omega{device.jets * device.thrust * device.arm * device.pulse_min / inertia / 2, 0, 0}, trim{0, 0, 0};
        real propellant = 5, left = 5, largest = 0;
        int first = -1, last = -1, turns = 0;
        for (int tick = 0; tick < ticks; ++tick) {
            Vec3 const torque = control_torque(control, trim, moments, q_BS, Vec3{0, 0, 1}, omega);
            Vec3 const on{rcs_on_time(device, torque.x), rcs_on_time(device, torque.y), rcs_on_time(device, torque.z)};
            bool const settled = tick >= ticks / 2;
            if (settled && on.x > 0) {  // one of the two edges
                if (first < 0) {
                    first = tick;
                    propellant = 5;
                } else {
                    ++turns;
                }
                last = tick;
                left = propellant;
            }
            for (int index = 0; index < 2; ++index) {
                omega = omega + (tick_period / 2 / inertia) *
                                    fire_rcs(device, working(), rcs_flow(device), propellant, on, index, 2);
                q_BS = renormalise(compose(from_rotation_vector((tick_period / 2) * omega), q_BS));
            }
            if (settled) largest = maximum(largest, absolute(2 * q_BS.x));
        }
        return Cycle{seconds(last - first) / real_of(turns), largest, (5 - left) / real_of(turns)};
    }
    """
    )
    headers = ["dynamics.h", "control.h"]
    inertia, deadband = 400.0, np.radians(0.5)
    period, largest, used = probe(
        headers, "cycle_of(inertia, deadband, ticks)", "real inertia, real deadband, int ticks", preamble=preamble
    )(inertia, deadband, 40000)
    bit = JETS * THRUST * ARM * PULSE / inertia  # [rad s^-1]
    edge = deadband + bit * (0.5 / (1.5 * TICK) - 0.5) / 0.6 + bit / 2 * TICK / 2

    assert np.degrees(edge) == pytest.approx(0.5 + 0.71, abs=0.01)
    # where inside a tick the edge is crossed is left open: dw/2 * 0.1 s, 0.6 % of the edge
    assert largest == pytest.approx(edge, rel=0.01)
    assert period == pytest.approx(8 * edge / bit, rel=0.01)
    assert used * ISP * G0 == pytest.approx(2 * JETS * THRUST * PULSE, rel=2e-3)  # a plain float sum
