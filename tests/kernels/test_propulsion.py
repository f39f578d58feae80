"""Engines: the rocket equation, braking to rest, pulses and throttle bands, and what happens when they stop."""

import numpy as np
import pytest
from scipy.optimize import brentq

G0 = 9.80665  # [m s^-2] CGPM 1901
G = 1.622  # [m s^-2] uniform gravity of these tests
TICK = 0.1  # [s]

FLIGHT = """
/// A lander under uniform gravity, burning for a while as told.
MCR_FN Truth flown(Engine const& main, real gravity, real misalign, Vec3 const& cg_B, real residual, int engines,
                   real duty, real noise, real lit, Vec3 const& velocity_S, real propellant, int ignition, int cutoff,
                   int ticks, int count, int fails, int main_out, int cluster_out) {
    real const radius = real(1e12);
    World world{};
    world.gravity = {gravity * radius * radius, 0, 0, 0, 0, 0, 1, radius, {0, 1, 0}, {0, 0, 1}};
    world.vehicle = {500, cg_B, cg_B, {100, 100, 100}, {100, 100, 100}};
    world.propulsion.main = main;
    world.propulsion.cluster = {engines, 100, 280, real(0.8), real(0.02), real(0.1), real(0.02), 0, misalign};
    world.propulsion.propellant = propellant;
    world.propulsion.residual = residual;
    world.rcs = {10, 1, 2, 220, real(0.02), 0, 1};
    Failing failing = working();
    Truth truth{};
    truth.velocity_S = velocity_S;
    truth.q_BS = identity();
    truth.engines.propellant = propellant * (1 - residual);
    truth.engines.noise = noise;
    truth.engines.main = lit * main.thrust;
    for (int tick = 0; tick < ticks; ++tick) {
        GuidanceMemory asked{};
        asked.ignition_tick = ignition;
        asked.throttle = tick < cutoff ? real(1) : real(0);
        asked.duty = duty;
        failing.main_gain = real((fails == 0) & (tick < main_out) ? 1 : 0);
        failing.ring_loss = tick >= cluster_out ? real(1) : real(0);
        failing.ring_x = failing.ring_loss / real_of(engines > 1 ? engines - 1 : 1);
        for (int index = 0; index < count; ++index)
            propagate(world, pace_of(world, count), failing, truth, asked, Command{}, tick, index, count);
    }
    return truth;
}
"""
ARGUMENTS = (
    "Engine main, real gravity, real misalign, Vec3 cg_B, real residual, int engines, real duty, real noise, real lit, "
    "Vec3 velocity_S, real propellant, int ignition, int cutoff, int ticks, int count, int fails, int main_out, "
    "int cluster_out"
)
RESULTS = ["position_S", "velocity_S", "omega_BN_B", "engines.propellant", "engines.main", "engines.delta_v"]
NEVER = 1 << 20


def _engine(*, thrust=2000, isp=310, lag=0.1, start_delay=0, tail_off=0.1, band=(1, 1), throttle_min=1, **errors):
    """An `Engine`, member by member."""
    names = ("misalign_x", "misalign_y", "offset_x", "offset_y")
    assert errors.keys() <= set(names)
    return [thrust, isp, throttle_min, *band, lag, start_delay, tail_off, *(errors.get(name, 0) for name in names)]


@pytest.fixture
def burn(probe):
    """burn(...): the state at the end of a burn, by name; double precision unless told otherwise."""

    def run(
        real="double",
        *,
        engine=(),
        gravity=0,
        misalign=0,
        cg_B=(0, 0, 1),
        residual=0,
        engines=0,
        duty=0,
        noise=0,
        lit=0,
        velocity_S=(0, 0, 0),
        propellant=400,
        ignition=0,
        cutoff=NEVER,
        ticks=10,
        count=2,
        fails=0,
        main_out=NEVER,
        cluster_out=NEVER,
    ):
        values = (engine or _engine(), gravity, misalign, cg_B, residual, engines, duty, noise, lit, velocity_S)
        values += (propellant, ignition, cutoff, ticks, count, fails, main_out, cluster_out)
        names = [name.split()[-1] for name in ARGUMENTS.split(",")]
        prepare = f"Truth const truth = flown({', '.join(names)});"
        expressions = [f"truth.{result}" for result in RESULTS]
        function = probe("dynamics.h", expressions, ARGUMENTS, preamble=FLIGHT, prepare=prepare, real=real)
        return dict(zip(RESULTS, function(*values), strict=True))

    return run


@pytest.fixture
def throttle(probe):
    """throttle(wish, throttle_min, band_low, band_high): what the engine can hold."""
    preamble = """
    MCR_FN Engine engine_of(real lowest, real low, real high) {
        return Engine{1000, 300, lowest, low, high, real(0.1), 0, real(0.1), 0, 0, 0, 0};
    }
    """
    arguments = "real wish, real lowest, real low, real high"
    return probe("propulsion.h", "allowed_throttle(engine_of(lowest, low, high), wish)", arguments, preamble=preamble)


@pytest.fixture
def pulses(probe):
    """pulses(duty, index, count, engines): allowed duty, overlap, largest torque, specific impulse, and the mean."""
    preamble = """
    MCR_FN Cluster cluster_of(int engines) {
        return {engines, 200, 280, real(0.9), real(0.02), real(0.1), real(0.02), 0, 0};
    }
    /// Mean duty of 1000 ticks that are asked for the same duty.
    MCR_FN real mean_duty(real wish) {
        GuidanceMemory memory{};
        memory.duty_wish = wish;
        real sum = 0;
        for (int tick = 0; tick < 1000; ++tick) {
            pulse_cluster(cluster_of(8), memory, 1);
            sum += memory.duty;
        }
        return sum / 1000;
    }
    """
    expressions = [
        "allowed_duty(cluster_of(engines), duty)",
        "pulse_overlap(duty, index, count)",
        "differential_torque_max(cluster_of(engines), duty)",
        "1 / (pulse_flow(cluster_of(engines), duty) * standard_gravity)",
        "mean_duty(duty)",
    ]
    names = ("allowed", "overlap", "torque", "isp", "mean")
    function = probe("guidance.h", expressions, "real duty, int index, int count, int engines", preamble=preamble)
    return lambda duty, index=0, count=1, engines=8: dict(
        zip(names, function(duty, index, count, engines), strict=True)
    )


# ---- known answers


def test_throttle_never_leaves_its_band(throttle):
    """The descent engine of Apollo: 10 to 60 %, or at least 92.5 %; nothing between (nozzle erosion)."""
    wish = np.array([-1, 0.05, 0.1, 0.3, 0.6, 0.61, 0.92, 0.925, 0.95, 1.4])
    held = np.float32([0.1, 0.1, 0.1, 0.3, 0.6, 0.6, 0.6, 0.925, 0.95, 1.0])

    np.testing.assert_array_equal(throttle(wish, 0.1, 0.6, 0.925), held)
    np.testing.assert_array_equal(throttle(wish, 1, 1, 1), np.ones(10))  # a fixed-thrust engine


def test_a_kilonewton_five_millimetres_off_the_centre_of_gravity_turns_with_five_newton_metres(burn):
    """Thrust point ahead of the centre of gravity pitches one way, that ahead of the thrust the other; 100 kg m^2."""
    steady = {"gravity": 0, "lit": 1, "ticks": 10}
    offset = burn(engine=_engine(thrust=1000, offset_x=5e-3, isp=1e9), **steady)["omega_BN_B"]
    shifted = burn(engine=_engine(thrust=1000, isp=1e9), cg_B=[5e-3, 0, 1], **steady)["omega_BN_B"]
    sideways = burn(engine=_engine(thrust=1000, isp=1e9), cg_B=[0, 5e-3, 1], **steady)["omega_BN_B"]
    tilted = burn(engine=_engine(thrust=1000, misalign_y=5e-3, isp=1e9), cg_B=[0, 0, 1], **steady)["omega_BN_B"]

    np.testing.assert_allclose(offset, [0, -5 / 100, 0], atol=1e-12)
    np.testing.assert_allclose(shifted, [0, 5 / 100, 0], atol=1e-12)
    np.testing.assert_allclose(sideways, [-5 / 100, 0, 0], atol=1e-12)
    np.testing.assert_allclose(tilted, [0, -5 / 100, 0], atol=1e-12)  # 5 mrad a metre below the centre of gravity


# ---- closed forms


@pytest.mark.parametrize(("real", "tolerance", "sum_tolerance"), [("double", 1e-9, 1e-9), ("float", 3e-6, 2e-5)])
def test_burn_obeys_the_rocket_equation(burn, real, tolerance, sum_tolerance):
    """v = g0 Isp ln(m0/m) for the main engine and, with their specific impulse of short pulses, for the cluster."""
    main = burn(real, ticks=3000)
    ring = burn(real, engine=_engine(thrust=0), engines=6, duty=0.5, ticks=3000)
    speed = [
        exhaust * G0 * np.log(900 / (500 + end["engines.propellant"]))
        for exhaust, end in ((310, main), (280 * (1 - 0.1 * 0.02 / 0.05), ring))
    ]

    assert 200 < main["engines.propellant"] < 210
    assert 300 < ring["engines.propellant"] < 380
    np.testing.assert_allclose(main["velocity_S"], [0, 0, speed[0]], rtol=tolerance)
    np.testing.assert_allclose(ring["velocity_S"], [0, 0, speed[1]], rtol=tolerance)
    # delta_v is a plain sum of 6000 steps: for the record only
    np.testing.assert_allclose(main["engines.delta_v"], speed[0], rtol=sum_tolerance)


def test_a_burn_started_at_the_right_height_stops_at_the_ground(burn):
    """Suicide burn from 80 m/s: v0 + g t = c ln(m0/m), fall v0 t + g t^2/2 - c (t + (m/q) ln(m/m0)); 2 kN, 900 kg."""
    exhaust, flow, speed = 310 * G0, 2000 / (310 * G0), 80.0

    def speed_left(t):
        return speed + G * t - exhaust * np.log(900 / (900 - flow * t))

    time = brentq(speed_left, 1, 600)
    mass = 900 - flow * time
    height = speed * time + G * time**2 / 2 - exhaust * (time + mass / flow * np.log(mass / 900))
    ticks = int(time / TICK)
    end = burn(gravity=G, velocity_S=[0, 0, -speed], lit=1, ticks=ticks, count=4)
    rest = time - ticks * TICK  # [s] of the burn left at the last whole tick
    push = 2000 / mass - G

    np.testing.assert_allclose(end["velocity_S"][2], -push * rest, atol=2e-5)  # jerk of the lightening lander
    np.testing.assert_allclose(end["position_S"][2] + height, push * rest**2 / 2, atol=1e-4)


def test_a_gravity_turn_follows_its_closed_form(probe):
    """Thrust against the velocity, n = 2 times the weight, 40 deg from the vertical (Culler & Fried 1957):
    v = C z^(n-1) (1 + z^2), z = tan(b/2), and v (n + cos b) falls by g (n^2 - 1) per second."""
    preamble = (
        FLIGHT
        + """
    MCR_FN Vec3 turned_down(Vec3 velocity_S, real gravity, int steps) {
        World world{};
        real const radius = real(1e12);
        world.gravity = {gravity * radius * radius, 0, 0, 0, 0, 0, 1, radius, {0, 1, 0}, {0, 0, 1}};
        world.vehicle = {500, {0, 0, 1}, {0, 0, 1}, {1e9, 1e9, 1e9}, {1e9, 1e9, 1e9}};
        world.propulsion.main = {2 * gravity * 600, 1e12, 1, 1, 1, real(0.1), 0, real(0.1), 0, 0, 0, 0};
        world.propulsion.cluster.isp = 280;
        world.propulsion.propellant = 100;
        world.rcs = {10, 1, 2, 220, real(0.02), 0, 1};
        Truth truth{};
        truth.velocity_S = velocity_S;
        truth.engines = {2 * gravity * 600, 0, 0, 100, 0, 0};
        GuidanceMemory asked{};
        asked.throttle = 1;
        Vec3 slope{};
        for (int k = 0; k < steps; ++k) {
            Vec3 const start_S = truth.velocity_S;
            Vec3 const back_S = -unit(start_S + real(0.5) * slope);  // thrust axis at the middle of the step
            truth.q_BS = from_axes(cross(Vec3{0, 1, 0}, back_S), Vec3{0, 1, 0}, back_S);
            propagate(world, pace_of(world, 2), working(), truth, asked, Command{}, k / 2,
                      k % 2, 2);
            slope = truth.velocity_S - start_S;
        }
        return truth.velocity_S;
    }
    """
    )
    turn = probe(
        "dynamics.h", "turned_down(velocity_S, gravity, steps)", "Vec3 velocity_S, real gravity, int steps",
        preamble=preamble, real="double",
    )  # fmt: skip
    ratio, start, speed = 2.0, np.radians(40), 100.0
    steps = np.array([0, 100, 400, 800, 1000])  # of 0.05 s; it stops after 54.3 s
    velocity = turn([speed * np.sin(start), 0, -speed * np.cos(start)], G, steps)
    size, angle = np.linalg.norm(velocity, axis=1), np.arctan2(velocity[:, 0], -velocity[:, 2])
    z = np.tan(angle / 2)
    closed = z ** (ratio - 1) * (1 + z**2)
    to_go = size * (ratio + np.cos(angle)) / (G * (ratio**2 - 1))

    np.testing.assert_allclose(size / size[0], closed / closed[0], rtol=1e-4)
    np.testing.assert_allclose(to_go, to_go[0] - steps * 0.05, atol=1e-3)


def test_lag_gives_the_mean_and_the_end_of_an_exponential(probe):
    """d F/dt = (wanted - F)/tau over a step: end and mean of the closed form, for any ratio of step and tau."""
    lag = probe(
        "dynamics.h", "lagged(now, wanted, lag_of(tau, step).decay, lag_of(tau, step).mean)",
        "real now, real wanted, real tau, real step", real="double",
    )  # fmt: skip
    random = np.random.default_rng(1)
    now, wanted = 1000 * random.uniform(size=(2, 500))
    tau, step = 10.0 ** random.uniform(-3, 1, 500), 10.0 ** random.uniform(-3, -1, 500)
    end, mean = lag(now, wanted, tau, step).T
    decay = np.exp(-step / tau)

    np.testing.assert_allclose(end, wanted + (now - wanted) * decay, rtol=1e-12)
    np.testing.assert_allclose(mean, wanted + (now - wanted) * (1 - decay) * tau / step, rtol=1e-10)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_delay_lag_and_tail_off_shift_the_impulse_by_their_own_length(burn, count):
    """F (t_off - t_on - delay - lag + tail-off) of a 3 s burn, however many truth steps a tick has."""
    engine = _engine(isp=1e9, start_delay=0.13, lag=0.2, tail_off=0.15)
    end = burn(engine=engine, ticks=100, cutoff=40, ignition=10, count=count)
    # before tick 10 the command is on too, but `ignition` starts the clock of the delay
    early = burn(engine=engine, ticks=10, cutoff=40, ignition=10, count=count)

    np.testing.assert_allclose(early["velocity_S"], 0, atol=1e-12)
    np.testing.assert_allclose(
        end["velocity_S"][2], 2000 / 900 * (3 - 0.13 - 0.2 * (1 - np.exp(-2.87 / 0.2)) + 0.15), rtol=1e-6
    )


def test_pulses_keep_the_mean_force_for_any_number_of_truth_steps(pulses):
    """The parts of a pulse in the sub-steps of a tick add up to the duty."""
    duty = np.linspace(0, 1, 41)
    for count in (1, 2, 3, 5, 64):
        parts = pulses(duty[:, None], np.arange(count), count)["overlap"]

        assert parts.min() >= 0
        assert parts.max() <= 1
        np.testing.assert_allclose(parts.mean(axis=1), duty, atol=1e-6)


def test_every_pulse_and_every_pause_lasts_the_minimum_on_time(pulses):
    """20 ms of a 100 ms tick: duty is 0, 1 or within 0.2 .. 0.8, never further from the wish than half a pulse."""
    duty = np.linspace(-0.2, 1.2, 1401)
    allowed = pulses(duty)["allowed"]
    inside = np.clip(duty, 0, 1)
    whole = (allowed == 0) | (allowed == 1)

    assert np.all(whole | ((allowed >= 0.2 - 1e-7) & (allowed <= 0.8 + 1e-7)))
    assert np.max(np.abs(allowed - inside)) <= 0.1 + 1e-6
    np.testing.assert_allclose(allowed[(duty > 0.21) & (duty < 0.79)], inside[(duty > 0.21) & (duty < 0.79)], atol=1e-7)


def test_what_a_pulse_cannot_give_later_pulses_do(pulses):
    """Mean of 1000 ticks equals the duty asked, also where single pulses may not be as short or as long."""
    duty = np.linspace(0, 1, 101)

    # at most half a duty is owed at the end of 1000 ticks
    np.testing.assert_allclose(pulses(duty)["mean"], duty, atol=0.5 / 1000 + 1e-4)


def test_off_pulsing_torque_is_that_of_a_cosine_pattern_of_duty(pulses):
    """Sum over the ring of F (d + a cos p) R cos p = n F R a / 2 for three engines and more, a = min(d, 1 - d)."""
    duty = np.linspace(0, 1, 11)
    for engines in range(3, 13):
        phase = 2 * np.pi * np.arange(engines) / engines
        amplitude = np.minimum(duty, 1 - duty)[:, None]
        duties = duty[:, None] + amplitude * np.cos(phase)
        expected = np.sum(200 * duties * 0.9 * np.cos(phase), axis=1)

        assert duties.min() >= -1e-12
        assert duties.max() <= 1 + 1e-12
        np.testing.assert_allclose(pulses(duty, engines=engines)["torque"], expected, rtol=1e-6, atol=1e-4)


# ---- statistics


def test_thrust_noise_has_its_sigma_and_correlation_time(probe):
    """Gauss-Markov, 0.5 % and 1 s: 2000 runs after 10 s; false alarm 1e-3 (3.3 standard errors)."""
    preamble = """
    MCR_FN Params device() {
        Params params{};
        params.world.propulsion.noise = real(0.005);
        params.world.propulsion.noise_time = 1;
        params.world.propulsion.main.isp = params.world.propulsion.cluster.isp = 300;
        params.world.imu.walk_time = 300;
        params.world.imu.gyro_rate_max = 5;
        params.world.gravity.radius = real(1737400);
        params.world.gravity.gravitational_parameter = real(4.9e12);
        params.world.gravity.anomaly_length = 60000;
        return params;
    }
    """
    prepare = """
    Params const params = device();
    Run run{};
    run.world = params.world;
    run.pace = pace_of(run.world, 2);
    State state{};
    state.estimate.q_BS = identity();
    state.failing = working();
    Draws const draws = make_draws(7, static_cast<uint64>(index));
    for (int tick = 0; tick < 100; ++tick) do_sense(run, state, draws, tick);
    real const before = state.truth.engines.noise;
    for (int tick = 100; tick < 105; ++tick) do_sense(run, state, draws, tick);
    real const after = state.truth.engines.noise;
    """
    runs = 2000
    before, after = probe("descent.h", ["before", "after"], "int index", preamble=preamble, prepare=prepare)(
        np.arange(runs)
    )
    correlation = np.corrcoef(before, after)[0, 1]

    assert abs(before.mean()) < 3.3 * 0.005 / np.sqrt(runs)
    assert before.std() == pytest.approx(0.005, rel=3.3 / np.sqrt(2 * runs))
    assert correlation == pytest.approx(np.exp(-0.5), abs=3.3 * (1 - np.exp(-1)) / np.sqrt(runs))


# ---- limits and failures


def test_a_noisy_engine_burns_what_it_pushes(burn):
    """Noise of 2 % raises thrust and flow alike: the specific impulse stays."""
    end = burn(noise=0.02, ticks=100)
    speed = 310 * G0 * np.log(900 / (500 + end["engines.propellant"]))

    np.testing.assert_allclose(end["velocity_S"][2], speed, rtol=1e-7)
    assert end["velocity_S"][2] > 1.019 * burn(ticks=100)["velocity_S"][2]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_dry_tank_gives_no_thrust_and_the_last_drop_is_used(burn, count):
    """Depletion inside a step: 10 kg, 1 % of them residual, give c ln(m0/(m0 - 9.9 kg)), whatever the step."""
    end = burn(propellant=10, residual=0.01, ticks=400, count=count)
    later = burn(propellant=10, residual=0.01, ticks=800, count=count)

    assert end["engines.propellant"] == 0
    np.testing.assert_allclose(end["velocity_S"][2], 310 * G0 * np.log(510 / 500.1), rtol=1e-6)
    np.testing.assert_array_equal(later["velocity_S"], end["velocity_S"])


def test_an_engine_that_fails_to_start_gives_nothing(burn):
    """Neither thrust nor flow, for the whole flight."""
    end = burn(fails=1, ticks=300)

    np.testing.assert_array_equal(end["velocity_S"], [0, 0, 0])
    assert end["engines.propellant"] == 400


def test_an_engine_that_stops_leaves_its_tail_off(burn):
    """Out after 5 s: impulse F (5 s - lag + tail-off), then silence; 2 kN on a constant 900 kg."""
    engine = _engine(isp=1e9, lag=0.1, tail_off=0.1)
    end = burn(engine=engine, main_out=50, ticks=200)

    np.testing.assert_allclose(end["velocity_S"][2], 2000 / 900 * 5, rtol=1e-6)
    assert end["engines.main"] < 1e-6


def test_a_lost_cluster_engine_takes_its_thrust_and_leaves_a_torque(burn):
    """One of four 100 N engines at 0.8 m: 300 N remain, and 80 N m about y; 100 kg m^2, steady after a lag of 20 ms."""
    quiet = {"engine": _engine(thrust=0), "engines": 4, "duty": 1, "cg_B": [0, 0, 0], "propellant": 400}
    before, after = (burn(cluster_out=0, ticks=ticks, **quiet) for ticks in (10, 11))
    all_run = burn(ticks=11, **quiet)
    mass = 500 + after["engines.propellant"]

    np.testing.assert_allclose(after["engines.delta_v"] - before["engines.delta_v"], 300 / mass * TICK, rtol=1e-4)
    np.testing.assert_allclose((after["omega_BN_B"] - before["omega_BN_B"])[1], 100 * 0.8 / 100 * TICK, rtol=1e-6)
    np.testing.assert_array_equal(all_run["omega_BN_B"], 0)


def test_short_pulses_cost_specific_impulse(pulses):
    """Isp (1 - loss t_min/t_on): 10 % less for the shortest pulse, half of that at twice the on-time."""
    isp = pulses([0.2, 0.4, 0.8])["isp"]

    np.testing.assert_allclose(isp, 280 * (1 - 0.1 * np.array([1, 1 / 2, 1 / 4])), rtol=1e-6)
