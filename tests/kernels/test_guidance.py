"""On-board guidance: constant-thrust law, reference of the approach, engines, phases, and flights of a point mass that
points and pushes as it is told. The laws with a target are in test_braking_laws.py."""

import numpy as np
import pytest
from scipy.integrate import quad

RADIUS = 1737.4e3  # [m] IAU mean radius
GM = 4902.80007e9  # [m^3 s^-2]
G0 = 9.80665  # [m s^-2]
COAST, BRAKE, APPROACH, TERMINAL, CUT = range(5)
EXPLICIT, APOLLO, DSOUZA = range(3)

# A small lander with one throttled engine: gates and ignition as the nominal designer finds them for 900 kg and 3 kN
# from a perilune of 15 km; the coast starts 30 s before.
LANDER = f"""
MCR_FN Gravity moon() {{
    return Gravity{{real({GM}), real(1738e3), 0, 0, 0, 0, 60000, real({RADIUS}), {{0, 1, 0}}, {{0, 0, 1}}}};
}}
MCR_FN Guidance guidance_of(BrakingLaw law) {{
    return Guidance{{law, 5, real(391233), real(434), real(542.5), real(0.93), real(0.82), 1, 6, 5, 3000, real(781.2),
                    real(104.7), real(33.06), {{3000, 1000, 30, 0}},
                    {{real(110.21), real(63.017), real(2.5), real(0.8)}}, real(0.4), real(0.4363), real(0.4), 30,
                    real(0.1047), real(0.4), 0, Cutoff::contact, 1}};
}}
MCR_FN Propulsion propulsion_of(real main, int engines) {{
    Propulsion propulsion{{}};
    propulsion.main = Engine{{main, 315, real(0.15), 1, 1, real(0.1), 0, real(0.1), 0, 0, 0, 0}};
    propulsion.cluster = Cluster{{engines, 200, 285, 1, real(0.02), real(0.1), real(0.02), 0, 0}};
    propulsion.propellant = 480;
    propulsion.residual = real(0.01);
    propulsion.noise_time = 1;
    return propulsion;
}}
"""


@pytest.fixture
def random():
    return np.random.default_rng(20261122)


# ---- known answers


def test_the_shift_to_the_target_is_rounded_in_the_order_of_its_formula(probe, random):
    """6 (x + range - v T / 3) / T^2 left to right, in single precision: another order changes bits of every run."""
    fields = "Bearings{Vec3{}, Vec3{}, 0, 0, 0, v_S.x, range}"
    shift = probe(
        "guidance.h", ["shift.ahead", "shift.aside"], "real range, Vec3 position_S, Vec3 v_S, real time",
        prepare=f"Shift const shift = shift_to(0, 0, {fields}, position_S, v_S, time);",
    )  # fmt: skip
    scales = {"range": 500, "time": 30}
    one = {name: (scale * random.random(200) + 6).astype(np.float32) for name, scale in scales.items()}
    position, velocity = (random.normal(0, 20, (200, 3)).astype(np.float32) for _ in range(2))
    ahead, aside = shift(one["range"], position, velocity, one["time"])
    six, three, time = np.float32(6), np.float32(3), one["time"]
    expected = [six * (way - v * time / three) / (time * time)
                for way, v in ((one["range"], velocity[:, 0]), (-position[:, 1], velocity[:, 1]))]  # fmt: skip

    np.testing.assert_array_equal(np.asarray([ahead, aside], np.float32), expected)


def test_bearings_are_read_off_the_sphere(probe):
    """1 deg before the site (30.3 km), 5 km above the sphere, 100 m/s level and 20 m/s down; feet a metre below."""
    bearings = probe(
        "guidance.h", "bearings_of(moon(), 1, position_S, velocity_S)", "Vec3 position_S, Vec3 velocity_S",
        preamble=LANDER, real="double",
    )  # fmt: skip
    angle = -np.radians(1)
    up, forward = np.array([np.sin(angle), 0, np.cos(angle)]), np.array([np.cos(angle), 0, -np.sin(angle)])
    position = (RADIUS + 5000) * up - [0, 0, RADIUS]
    found = bearings(position, 100 * forward - 20 * up)
    expected = [*up, *forward, RADIUS + 5000, 4999, -20, 100, RADIUS * np.radians(1)]

    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_the_gate_hangs_over_the_ground_track(probe):
    """3 km above the sphere (and a metre of legs), 781 m of arc before the site, in site coordinates."""
    position, velocity = probe(
        "guidance.h", ["gate.position_S", "gate.velocity_S"], "", preamble=LANDER, real="double",
        prepare="Gate const gate = gate_of(guidance_of(BrakingLaw::explicit_thrust), moon(), 1);",
    )()  # fmt: skip
    angle = -781.2 / RADIUS
    up, forward = np.array([np.sin(angle), 0, np.cos(angle)]), np.array([np.cos(angle), 0, -np.sin(angle)])

    np.testing.assert_allclose(position, (RADIUS + 3001) * up - [0, 0, RADIUS], atol=1e-6)
    np.testing.assert_allclose(velocity, 33.06 * forward - 104.7 * up, rtol=1e-9, atol=1e-9)


# ---- closed forms: the constant-thrust law


@pytest.fixture
def explicit(probe):
    """explicit(height=, climb_rate=, ...): thrust acceleration asked for, time to go and trim; y and vy are the lateral
    position and speed. The gate: 3 km high, 781 m before the target, 105 m/s down, 33 m/s forward."""
    prepare = """
    Guidance const guidance = guidance_of(BrakingLaw::explicit_thrust);
    Bearings const b{{0, 0, 1}, {1, 0, 0}, radius, height, climb_rate, forward_speed, range};
    GuidanceMemory memory{};
    memory.time_to_go = time_to_go;
    memory.trim = trim;
    Demand const demand = brake_explicit(guidance, b, Vec3{0, 0, -pull}, Vec3{0, y, 0}, Vec3{0, vy, 0}, full, exhaust,
                                         memory, radius, 0);
    """
    names = ("height", "climb_rate", "forward_speed", "range", "y", "vy", "radius", "pull", "full", "exhaust", "trim",
             "time_to_go")  # fmt: skip
    expressions = ["demand.acceleration_S", "demand.time_to_go", "demand.trim"]
    arguments = ", ".join(f"real {name}" for name in names)
    function = probe("guidance.h", expressions, arguments, preamble=LANDER, prepare=prepare, real="double")
    usual = {"y": 0, "vy": 0, "radius": RADIUS, "pull": 1.62, "full": 3.5, "exhaust": 3089, "trim": 0.9}
    return lambda **values: function(*({**usual, **values}[name] for name in names))


def test_the_constant_thrust_law_asks_for_exactly_its_trimmed_thrust(explicit, random):
    """Whatever the state: the horizontal takes what the vertical and the lateral leave of full thrust times trim, and
    the trim stays within 0.82 .. 1."""
    count = 1000
    state = {"height": random.uniform(0, 20e3, count), "climb_rate": 100 * random.normal(size=count)}
    state |= {"forward_speed": random.uniform(30, 1700, count), "range": random.uniform(1e3, 600e3, count)}
    state |= {"y": 5000 * random.normal(size=count), "vy": 30 * random.normal(size=count)}
    state |= {"time_to_go": random.uniform(25, 600, count), "trim": random.uniform(0.82, 1, count)}
    push, _, trim = explicit(**state)

    np.testing.assert_allclose(np.linalg.norm(push, axis=1), 3.5 * trim, rtol=1e-9)
    assert np.all((trim >= 0.82) & (trim <= 1))
    assert np.all(push[:, 0] < 0)


def test_the_constant_thrust_law_predicts_time_and_range_of_the_rocket_equation(explicit):
    """Flat, weightless, already on the gate's rate, from v to 33 m/s at constant thrust: T = s (1 - exp(-dv/c)) with
    s = c/a, and x = v T - c ((s - T) ln(1 - T/s) + T). Where that is the range left, the trim stays; 1 % more range
    lowers it by 0.3 of 1 %."""
    speed, exhaust = np.array([100.0, 500, 1000, 1700]), 3089
    scale = exhaust / (3.5 * 0.9)
    time = scale * (1 - np.exp(-(speed - 33.06) / exhaust))
    way = speed * time - exhaust * ((scale - time) * np.log(1 - time / scale) + time)
    # falling at the gate's 104.7 m/s, as far above the gate as that takes: no lift at all
    state = {"climb_rate": -104.7, "height": 3000 + 104.7 * time, "radius": 1e20, "pull": 0, "time_to_go": time}
    push, predicted, trim = explicit(forward_speed=speed, range=781.2 + way, **state)
    _, _, lower = explicit(forward_speed=speed, range=781.2 + 1.01 * way, **state)

    np.testing.assert_allclose(push[:, 2], 0, atol=1e-9)
    # eight steps, each at its middle but the first, which takes the thrust of its start: T/16 too early, for an eighth
    # of the time and, with up to twice the mean speed, a quarter of the way
    assert np.all(np.abs(predicted / time - 1) < time / scale / 128)
    assert np.all(np.abs(trim / 0.9 - 1) < 0.3 * 2 * time / scale / 128)
    np.testing.assert_allclose(lower / trim, 1 - 0.3 * (1 - 1 / 1.01), rtol=2e-5)


def test_the_constant_thrust_law_lifts_by_weight_less_centrifugal_force(explicit):
    """At 1.6 km/s, 105 m/s down and 104.7 T above the gate the linear profile is nothing: g - v^2/r; being d too low
    adds 6 d/T^2 (Cherry 1964). Sideways -4 v/T - 6 y/T^2."""
    still = {"climb_rate": -104.7, "forward_speed": 1600.0, "range": 300e3, "time_to_go": 200.0}
    push, _, _ = explicit(height=3000 + 104.7 * 200, y=100.0, vy=2.0, **still)
    low, _, _ = explicit(height=3000 + 104.7 * 200 - 500, **still)

    assert push[2] == pytest.approx(1.62 - 1600**2 / RADIUS, rel=1e-9)
    assert low[2] - push[2] == pytest.approx(6 * 500 / 200**2, rel=1e-9)
    assert push[1] == pytest.approx(-4 * 2 / 200 - 6 * 100 / 200**2, rel=1e-9)


# ---- closed forms: the approach


@pytest.fixture
def approach(probe):
    """approach(range, forward_speed, y, vy, height, climb_rate, full, terminal): thrust acceleration over the site."""
    prepare = """
    Guidance const guidance = guidance_of(BrakingLaw::explicit_thrust);
    Bearings const b{{0, 0, 1}, {1, 0, 0}, real(1e12), height, climb_rate, forward_speed, range};
    Reference const reference = reference_at(guidance, height);
    Vec3 const asked_S = descend_on_reference(guidance, reference, b, Vec3{0, 0, real(-1.62)}, Vec3{-range, y, height},
                                              Vec3{forward_speed, vy, climb_rate}, full, terminal, GuidanceMemory{});
    """
    arguments = (
        "real range, real forward_speed, real y, real vy, real height, real climb_rate, real full, bool terminal"
    )
    expressions = ["asked_S", "reference.speed", "reference.deceleration", "reference.time"]
    function = probe("guidance.h", expressions, arguments, preamble=LANDER, prepare=prepare, real="double")

    def run(height, climb_rate=0, *, range=0, forward_speed=0, y=0, vy=0, full=6.0, terminal=False):
        asked, *reference = function(range, forward_speed, y, vy, height, climb_rate, full, terminal)
        return asked, reference

    return run


def test_the_square_of_the_reference_speed_is_linear_in_height(approach):
    """Nodes 3000, 1000, 30, 0 m with 110.2, 63.0, 2.5, 0.8 m/s; deceleration is half the slope, d(v^2/2)/dh."""
    nodes, speeds = [0, 30, 1000, 3000], np.array([0.8, 2.5, 63.017, 110.21])
    height = np.linspace(1, 3000, 500)
    _, (speed, deceleration, _) = approach(height)
    square = np.interp(height, nodes, speeds**2)
    slope = np.diff(speeds**2) / np.diff(nodes) / 2

    np.testing.assert_allclose(speed, np.sqrt(square), rtol=1e-9)
    np.testing.assert_allclose(deceleration, slope[np.searchsorted(nodes, height, side="left") - 1], rtol=1e-9)


def test_time_to_the_ground_is_the_integral_of_the_reference(approach):
    """Integral of dh/v from the ground to 10, 30, 500, 2999 m, by quadrature."""
    nodes, speeds = [0, 30, 1000, 3000], np.array([0.8, 2.5, 63.017, 110.21])
    for height in (10.0, 29.999, 500.0, 2999.0):
        _, (_, _, time) = approach(height)
        expected, _ = quad(lambda h: 1 / np.sqrt(np.interp(h, nodes, speeds**2)), 0, height, points=[30.0], limit=200)

        assert time == pytest.approx(expected, rel=1e-6)


def test_on_the_reference_over_the_target_thrust_is_weight_and_deceleration(approach):
    """Descending as the reference says, without horizontal error: gravity plus d(v^2/2)/dh, straight up; 1 m/s too fast
    adds 0.4 m/s^2."""
    for height in (2000.0, 500.0, 100.0):
        _, (speed, deceleration, _) = approach(height)
        asked, _ = approach(height, -speed)
        faster, _ = approach(height, -speed - 1)

        np.testing.assert_allclose(asked, [0, 0, 1.62 + deceleration], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(faster - asked, [0, 0, 0.4], atol=1e-9)


def test_thrust_in_the_approach_tilts_by_no_more_than_it_may(approach, random):
    """25 deg in the approach, 6 deg in the last metres, also for absurd horizontal errors; never more than there is."""
    count = 500
    errors = {"range": 2000 * random.normal(size=count), "forward_speed": 50 * random.normal(size=count)}
    errors |= {"y": 2000 * random.normal(size=count), "vy": 50 * random.normal(size=count)}
    height, climb = random.uniform(1, 3000, count), random.uniform(-120, 20, count)
    for terminal, limit in ((False, 0.4363), (True, 0.1047)):
        asked, _ = approach(height, climb, terminal=terminal, **errors)
        tilt = np.arctan2(np.hypot(asked[:, 0], asked[:, 1]), asked[:, 2])

        # at full thrust 2 % of it may still go sideways
        assert np.all(tilt <= max(limit, 0.02) + 1e-9)
        assert np.max(tilt) > 0.99 * limit
        assert np.all(np.linalg.norm(asked, axis=1) <= 6.0 * np.hypot(1, 0.02) + 1e-9)


def test_a_lander_that_has_become_slow_does_not_hover(probe):
    """Where the reference decelerates by 2.05 m/s^2, its full deceleration would hold a lander at rest 4.8 m above the
    node (0.4 v = 2.05 at v = 5.1 m/s) for good. From rest at 31 to 60 m it is below 30 m within 20 s."""
    prepare = """
    Guidance const guidance = guidance_of(BrakingLaw::explicit_thrust);
    real height = start, climb = 0;
    real const h = real(0.01);
    for (int k = 0; k < 2000; ++k) {
        Bearings const b{{0, 0, 1}, {1, 0, 0}, real(1e12), height, climb, 0, 0};
        Vec3 const asked_S = descend_on_reference(guidance, reference_at(guidance, height), b, Vec3{0, 0, real(-1.62)},
                                                  Vec3{0, 0, height}, Vec3{0, 0, climb}, 20, false, GuidanceMemory{});
        climb += h * (asked_S.z - real(1.62));
        height += h * climb;
    }
    """
    height = probe("guidance.h", "height", "real start", preamble=LANDER, prepare=prepare, real="double")(
        np.array([31.0, 34.7, 36, 45, 60])
    )

    assert np.all(height < 30)


def test_an_error_of_the_descent_rate_dies_out_by_its_gain(probe):
    """Vertical fall under the law: e' = -(k - a/v) e where the reference v falls by a, so that a small error e is
    e0 exp(-k t) v0/v(t); 0.5 m/s too fast at 2900 m, followed for 12 s."""
    prepare = """
    Guidance const guidance = guidance_of(BrakingLaw::explicit_thrust);
    real height = 2900, climb = -(reference_at(guidance, height).speed + excess);
    real const h = real(0.001);
    for (int k = 0; k < steps; ++k) {
        Bearings const b{{0, 0, 1}, {1, 0, 0}, real(1e12), height, climb, 0, 0};
        Vec3 const asked_S = descend_on_reference(guidance, reference_at(guidance, height), b, Vec3{0, 0, real(-1.62)},
                                                  Vec3{0, 0, height}, Vec3{0, 0, climb}, 20, false, GuidanceMemory{});
        real const a = asked_S.z - real(1.62);
        height += h * climb + real(0.5) * h * h * a;
        climb += h * a;
    }
    """
    steps = np.array([0, 1000, 3000, 6000, 12000])  # of 1 ms
    speed, reference = probe(
        "guidance.h", ["-climb", "reference_at(guidance, height).speed"], "real excess, int steps", preamble=LANDER,
        prepare=prepare, real="double",
    )(0.5, steps)  # fmt: skip
    error = speed - reference

    # a command held for h is off by k^2 h t/2 after t: 0.1 %; e/v, left out, is 0.5 %, of which a fraction counts
    np.testing.assert_allclose(error, 0.5 * np.exp(-0.4 * 0.001 * steps) * reference[0] / reference, rtol=0.002)


def test_the_last_metres_null_speed_and_forget_the_target(approach):
    """-0.4/s times the horizontal speed, whatever the position."""
    asked, _ = approach(20.0, -2.0, forward_speed=0.2, vy=-0.1, range=500, y=-300, terminal=True)
    there, _ = approach(20.0, -2.0, forward_speed=0.2, vy=-0.1, terminal=True)

    np.testing.assert_allclose(asked[:2], [-0.08, 0.04], rtol=1e-9)
    np.testing.assert_array_equal(asked, there)


# ---- engines


@pytest.fixture
def allocate(probe):
    """allocate(wanted, engines, main_cut): throttle, duty asked of the cluster, largest thrust, exhaust speed."""
    prepare = """
    Propulsion const propulsion = propulsion_of(1000, engines);
    GuidanceMemory memory{};
    memory.main_cut = main_cut;
    allocate_thrust(propulsion, memory, wanted);
    """
    expressions = ["memory.throttle", "memory.duty_wish", "thrust_available(propulsion, memory)",
                   "exhaust_speed(propulsion)"]  # fmt: skip
    return probe("guidance.h", expressions, "real wanted, int engines, int main_cut", preamble=LANDER, prepare=prepare)


def test_the_main_engine_takes_what_it_can_and_the_cluster_the_rest(allocate):
    """1 kN main engine (15 % at least) and six engines of 200 N: 500 N by the main engine alone, 1600 N with half the
    cluster, 5 kN with everything; after its cut the cluster is alone."""
    wanted = np.array([50.0, 500, 1600, 5000])
    throttle, duty, most, _ = allocate(wanted, 6, 0)
    throttle_cut, duty_cut, most_cut, _ = allocate(wanted, 6, 1)

    np.testing.assert_allclose(throttle, [0.15, 0.5, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(duty, [0, 0, 0.5, 1], atol=1e-6)
    np.testing.assert_array_equal(throttle_cut, 0)
    np.testing.assert_allclose(duty_cut, [50 / 1200, 500 / 1200, 1, 1], rtol=1e-6)
    assert (most[0], most_cut[0]) == (2200, 1200)


def test_exhaust_speed_is_that_of_thrust_over_flow(allocate):
    """1 kN at 315 s and 1.2 kN at 285 s: total thrust over total flow."""
    *_, exhaust = allocate(0, 6, 0)
    *_, alone = allocate(0, 0, 0)

    assert exhaust == pytest.approx(2200 / (1000 / (315 * G0) + 1200 / (285 * G0)), rel=1e-6)
    assert alone == pytest.approx(315 * G0, rel=1e-6)


def test_the_computer_learns_a_weak_engine_from_the_accelerometer(probe):
    """5 % below nominal: 2 % of the gap is closed per tick, 1 - 0.98^n; mass falls by the nominal flow."""
    prepare = """
    Propulsion const propulsion = propulsion_of(3000, 0);
    GuidanceMemory memory{};
    memory.throttle = 1;
    memory.mass = 900;
    memory.thrust_scale = 1;
    for (int tick = 0; tick < ticks; ++tick) {
        real const flow = 3000 / (315 * standard_gravity);
        estimate_thrust(propulsion, memory, real(0.95) * 3000 / (memory.mass - flow * tick_period));
    }
    """
    ticks = np.array([1, 50, 500])
    scale, mass = probe(
        "guidance.h", ["memory.thrust_scale", "memory.mass"], "int ticks", preamble=LANDER, prepare=prepare
    )(ticks)

    np.testing.assert_allclose(scale, 0.95 + 0.05 * 0.98**ticks, rtol=1e-5)
    np.testing.assert_allclose(mass, 900 - 3000 / (315 * G0) * 0.1 * ticks, rtol=1e-5)


# ---- phases


@pytest.fixture
def phase_of(probe):
    """phase_of(phase, height, ...): phase, main cut, tick of ignition and throttle after one cycle."""
    prepare = """
    Guidance guidance = guidance_of(law);
    guidance.main_off_height = main_off;
    guidance.cutoff = cutoff_by_height ? Cutoff::height : Cutoff::contact;
    GuidanceMemory memory{};
    memory.phase = static_cast<Phase>(phase);
    memory.ignition_tick = phase == 0 ? -1 : 1000 - burning;
    memory.time_to_go = time_to_go;
    memory.trim = real(0.9);
    memory.mass = 700;
    memory.thrust_scale = 1;
    memory.main_cut = was_cut;
    real const angle = -range / real(1737400), radius = real(1737401) + height;
    Estimate estimate{};
    estimate.position_S = Vec3{radius * sine_cosine(angle).sine, 0, radius * sine_cosine(angle).cosine - real(1737400)};
    estimate.velocity_S = Vec3{forward_speed * sine_cosine(angle).cosine, 0, -forward_speed * sine_cosine(angle).sine};
    estimate.q_BS = identity();
    guide(guidance, propulsion_of(3000, 0), moon(), 1, estimate, memory, 1000);
    """
    arguments = (
        "int phase, real height, real forward_speed, real range, int burning, real main_off, bool cutoff_by_height, "
        "int was_cut, BrakingLaw law, real time_to_go"
    )
    expressions = ["memory.phase", "memory.main_cut", "memory.ignition_tick", "memory.throttle"]
    function = probe("guidance.h", expressions, arguments, preamble=LANDER, prepare=prepare, real="double")

    def run(
        phase, height, forward_speed=500, range=100e3, *, burning=100, main_off=0, cutoff=False, was_cut=0,
        law=EXPLICIT, time_to_go=200,
    ):  # fmt: skip
        return function(phase, height, forward_speed, range, burning, main_off, cutoff, was_cut, law, time_to_go)

    return run


def test_ignition_is_at_its_range_and_engines_are_off_before(phase_of):
    """391 233 m before the site, by the estimate."""
    before, after = (phase_of(COAST, 15e3, 1690, range=range) for range in (391_300, 391_200))

    assert (before[0], before[2], before[3]) == (COAST, -1, 0)
    assert (after[0], after[2]) == (BRAKE, 1000)
    assert 0.8 < after[3] <= 1  # the first cycle already trims the planned 0.93 to the range


def test_braking_ends_when_slow_low_or_out_of_time(phase_of):
    """Forward speed of the gate (33 m/s), half its height (1.5 km), 542.5 s after ignition; not before."""
    assert phase_of(BRAKE, 3000, 60)[0] == BRAKE
    assert phase_of(BRAKE, 3000, 33)[0] == APPROACH
    assert phase_of(BRAKE, 1400, 500)[0] == APPROACH
    assert phase_of(BRAKE, 3000, 500, burning=5430)[0] == APPROACH


def test_a_law_that_aims_at_a_point_hands_over_8_seconds_before_it(phase_of):
    """It would turn without bound at the point itself; the constant-thrust law has none and brakes on."""
    for law, after in ((APOLLO, APPROACH), (DSOUZA, APPROACH), (EXPLICIT, BRAKE)):
        assert phase_of(BRAKE, 3000, 100, law=law, time_to_go=8.1)[0] == BRAKE
        assert phase_of(BRAKE, 3000, 100, law=law, time_to_go=7.9)[0] == after


def test_phases_never_go_back(phase_of, random):
    """2000 random estimates, possible or not, in every phase, law and rule of cut-off."""
    count = 2000
    phase, law, cutoff = random.integers(0, 5, count), random.integers(0, 3, count), random.integers(0, 2, count)
    height, speed = 10 ** random.uniform(-2, 4.5, count), random.uniform(-100, 1700, count)
    range, burning = random.uniform(-50e3, 500e3, count), random.integers(1, 8000, count)
    after, _, ignition, throttle = phase_of(
        phase, height, speed, range, burning=burning, cutoff=cutoff, law=law, time_to_go=random.uniform(0, 600, count)
    )

    assert np.all(after >= phase)
    assert set(after[phase == BRAKE]) == {BRAKE, APPROACH, TERMINAL, CUT}
    np.testing.assert_array_equal(throttle == 0, (after == COAST) | (after == CUT))
    np.testing.assert_array_equal(ignition == 1000, (phase == COAST) & (after > COAST))


def test_the_last_metres_begin_at_their_height_and_a_cut_off_by_height_at_its_own(phase_of):
    """30 m; 1 m if the mission cuts by height, never if by contact."""
    assert phase_of(APPROACH, 31, 0, range=0)[0] == APPROACH
    assert phase_of(APPROACH, 29, 0, range=0)[0] == TERMINAL
    assert phase_of(TERMINAL, 0.9, 0, range=0)[0] == TERMINAL
    found = phase_of(TERMINAL, 0.9, 0, range=0, cutoff=True)
    assert (found[0], found[3]) == (CUT, 0)
    assert phase_of(CUT, 500, 0, range=0)[0] == CUT


def test_the_main_engine_is_cut_below_its_height_and_never_lit_again(phase_of):
    """1 km in the approach; not while braking; kept off when the estimate rises again."""
    assert phase_of(APPROACH, 1100, 0, range=0, main_off=1000)[1] == 0
    found = phase_of(APPROACH, 990, 0, range=0, main_off=1000)
    assert (found[1], found[3]) == (1, 0)
    assert phase_of(BRAKE, 1600, 500, main_off=2000)[1] == 0
    assert phase_of(APPROACH, 1500, 0, range=0, main_off=1000, was_cut=1)[1] == 1


def test_a_retained_main_engine_burns_on_below_the_believed_ground(phase_of):
    """A height of 0 retains it: a lander that believes to be too low would otherwise fall the last metres."""
    found = phase_of(np.array([APPROACH, TERMINAL]), -2.8, 0, range=0, main_off=0)

    np.testing.assert_array_equal(found[1], 0)
    assert np.all(found[3] > 0)


# ---- flights


@pytest.mark.parametrize(
    ("law", "gain", "miss"),
    [("explicit_thrust", 6, 5), ("apollo", 6, 1000), ("apollo", 9, 1000), ("apollo", 12, 1000), ("dsouza", 6, 300)],
)
def test_a_point_mass_that_does_as_told_lands_softly(probe, law, gain, miss):
    """From the coast to the ground with perfect knowledge, instant attitude and exact thrust, each braking law: brakes
    end at the gate (3 km), contact is at the reference's 0.8 m/s, upright, with propellant left.

    The constant-thrust law, trimmed in range, lands on the target. The two laws that aim at a point hand over 8 s
    before they pass it, faster than the approach is laid out for, and land some hundred metres long.
    """
    prepare = f"""
    Guidance guidance = guidance_of(BrakingLaw::{law});
    guidance.apollo_gain = {gain};
    Propulsion const propulsion = propulsion_of(3000, 0);
    Gravity const gravity = moon();
    GuidanceMemory memory{{}};
    memory.ignition_tick = -1;
    memory.time_to_go = guidance.brake_time;
    memory.trim = guidance.brake_fraction;
    memory.mass = 900;
    memory.thrust_scale = 1;
    Estimate estimate{{}};
    estimate.position_S = Vec3{{-440606, 0, real(-41277.4)}};
    estimate.velocity_S = Vec3{{1638, 0, 424}};
    estimate.q_BS = identity();
    real mass = 900, gate_height = 0, gate_speed = 0;
    for (int tick = 0; tick < 9000; ++tick) {{
        if (tick % guidance.period_ticks == 0) guide(guidance, propulsion, gravity, 1, estimate, memory, tick);
        Vec3& r = estimate.position_S;
        Vec3& v = estimate.velocity_S;
        if (memory.phase == Phase::brake) {{
            gate_height = sphere_height(gravity.radius, r) - 1;
            gate_speed = bearings_of(gravity, 1, r, v).forward_speed;
        }}
        real const push = memory.throttle * propulsion.main.thrust;
        real const flow = push / (propulsion.main.isp * standard_gravity);
        Vec3 const felt = (push / (mass - flow * real(0.05))) * memory.direction_S;
        Vec3 const half = v + real(0.05) * (felt + free_acceleration(gravity, r, v));
        Vec3 const next = v + tick_period * (felt + free_acceleration(gravity, r + real(0.05) * v, half));
        r = r + tick_period * half;
        v = next;
        mass -= flow * tick_period;
        estimate_thrust(propulsion, memory, norm(felt));
        if (sphere_height(gravity.radius, r) < 1) break;
    }}
    """
    expressions = ["estimate.position_S", "estimate.velocity_S", "memory.direction_S", "mass", "gate_height",
                   "gate_speed", "memory.phase", "memory.saturation"]  # fmt: skip
    position, velocity, direction, mass, gate_height, gate_speed, phase, saturation = probe(
        ["descent.h"], expressions, "", preamble=LANDER, prepare=prepare, real="double"
    )()
    early = 0.0 if law == "explicit_thrust" else 8.0  # [s] before the gate

    assert phase == TERMINAL
    assert gate_height == pytest.approx(3000 + 104.7 * early, abs=100)
    assert gate_speed < 34 + 6.0 * early  # at full thrust
    assert np.hypot(*position[:2]) < miss
    assert velocity[2] == pytest.approx(-0.8, abs=0.02)
    assert np.hypot(*velocity[:2]) < 0.01
    assert np.degrees(np.arccos(min(direction[2], 1))) < 0.1
    assert 470 < mass < 500  # 900 exp(-1900/3089) = 487
    assert saturation == 0
