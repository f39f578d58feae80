"""The catalogue of faults: what each does to the truth and to readings, when it strikes, and how often."""

import re

import numpy as np
import pytest
from scipy import stats
from workshop import missions

from mcrisk.backends.cpu import CpuBackend
from mcrisk.native import kernel_folder
from mcrisk.profile import quiet
from mcrisk.schema import load_schema

TICK = 0.1  # [s]
G0 = 9.80665  # [m s^-2] CGPM 1901
NEVER = 1 << 20  # [tick] of faults.h
FALSE_ALARM = 1e-3  # [] probability that a statistical test of this file fails for another seed
FAULTS = load_schema().structs["Faults"].members
NAMES = [one.name for one in FAULTS if one.type == "Fault"]
NUMBER = {name: number for number, name in enumerate(NAMES)} | {"none": -1}
MASS, SHARE, JUMP = 900.0, 0.25, 0.1

# 2 kN at full throttle on 900 kg, four engines of 100 N at 0.8 m, jets of 20 N m, 100 kg m^2; no gravity, noise or lag.
RIG = """
static Relief const no_model{};  // the ground is a formula
struct Rig { Params params; Run run; State state; };
MCR_FN Rig rig_of(int number, int begins, real flow, real azimuth, real duty, real torque_time) {
    Rig rig{};
    World& world = rig.params.world;
    world.gravity = {0, real(1738e3), 0, 0, 0, 0, 60000, real(1737.4e3), {0, 1, 0}, {0, 0, 1}};
    world.vehicle = {480, {0, 0, 1}, {0, 0, 1}, {100, 100, 100}, {100, 100, 100}};
    world.propulsion.main = {2000, 310, real(0.1), 1, 1, real(1e-4), 0, real(1e-4), 0, 0, 0, 0};
    world.propulsion.cluster = {4, 100, 280, real(0.8), real(0.02), 0, real(1e-4), 0, 0};
    world.propulsion.propellant = 400;
    world.propulsion.noise_time = 1;
    world.rcs = {10, 1, 2, 220, real(0.02), 20, 1};
    world.imu.gyro_rate_max = 5;
    world.imu.walk_time = 300;
    world.altimeter = {1, 5000, 1, 1, real(0.1), real(0.1), 1, {0, 0, -1}, 0, 0, 0, 0, 0, 2};
    world.velocimeter = {1, 5000, 500, real(0.4), 0, 0, 0, 2};
    world.camera = {1, 15000, 100, 0, 0, 0, 0, 1000, 10};
    world.terrain.step_width = world.terrain.rim_width = 1000;
    rig.params.simulation.truth_steps = 2;
    rig.params.onboard.navigation.mode = NavigationMode::kalman;
    Faults& faults = rig.params.faults;
    for (int k = 0; k < faults_count; ++k) {
        Fault& fault = const_cast<Fault&>(fault_of(faults, k));
        fault.below = real(1e6);
        fault.duration = real(1e5);
    }
    faults.main_loss_share = real(0.25);
    faults.main_loss_flow = flow;
    faults.cluster_loss_share = 1;
    faults.cluster_loss_azimuth = azimuth;
    faults.thrust_excess_share = real(0.1);
    faults.valve_leak_flow = 2;
    faults.jet_on_axis = 1;
    faults.jet_on_sense = -1;
    faults.jet_on_share = real(0.5);
    faults.jet_off_sense = 1;
    faults.jet_off_share = 1;
    faults.gyro_saturated_rate = real(0.1);
    faults.gyro_scale_jump = faults.accel_scale_jump = real(0.1);
    faults.accel_dead_axis = faults.accel_frozen_axis = faults.accel_saturated_axis = faults.accel_scale_axis = 2;
    faults.accel_saturated_force = 1;
    faults.altimeter_offset_size = 100;
    faults.altimeter_lock_factor = real(0.5);
    faults.velocimeter_loss_beams = 2;
    faults.camera_false_downrange = 300;
    faults.camera_false_crossrange = -40;
    faults.wrong_mass_factor = real(1.2);
    faults.wrong_map_height = 70;
    Run& run = rig.run;
    run.world = world;
    run.pace = pace_of(world, 2);
    for (int k = 0; k < faults_count; ++k) run.struck.delay[k] = k == number ? begins : never;
    run.struck.any = 1;
    State& state = rig.state;
    state.failing = working();
    state.events.first = -1;
    state.events.altimeter_last = -1;
    state.truth.q_BS = identity();
    state.truth.position_S = Vec3{0, 0, 1000};
    state.truth.clearance = 1000;
    state.truth.omega_BN_B = Vec3{real(0.05), real(0.05), real(0.05)};
    state.truth.engines.propellant = 400;
    state.truth.rcs_propellant = 20;
    state.guidance.phase = Phase::brake;
    state.guidance.ignition_tick = -100;
    state.guidance.mass = 900;
    state.guidance.duty = state.guidance.duty_wish = duty;
    state.command.rcs_time = Vec3{torque_time, 0, 0};
    return rig;
}
MCR_FN void fly_rig(Rig& rig, int ticks, real early, real late, int turn) {
    Draws const draws = make_draws(5, 6);
    State& state = rig.state;
    for (int tick = 0; tick < ticks; ++tick) {
        state.guidance.throttle = tick < turn ? early : late;
        fail(rig.params, rig.run, state, tick);
        state.truth.angle_B = state.truth.velocity_B = Vec3{0, 0, 0};
        for (int index = 0; index < 2; ++index) do_propagate(rig.params, rig.run, state, tick, index);
        do_sense(rig.run, state, draws, tick);
    }
}
"""
RESULTS = {
    "omega": "state.truth.omega_BN_B",
    "angle": "state.imu.angle_last",
    "velocity": "state.imu.velocity_last",
    "gained": "state.truth.velocity_B",
    "propellant": "state.truth.engines.propellant",
    "jets": "state.truth.rcs_propellant",
    "believed": "state.guidance.mass",
    "throttle": "state.guidance.throttle",
    "valid": "range.valid",
    "range": "range.distance",
    "beams": "speeds.valid",
    "arc": "fix.arc",
    "cross": "fix.y",
    "false_match": "fix.false_match",
    "map": "state.failing.map_height",
    "missed": "state.failing.touch_missed",
    "silent": "state.failing.touch_silent",
    "latched": "state.failing.touch_false",
    "cause": "state.events.cause",
}


@pytest.fixture
def rig(probe):
    """rig(fault, ...): state, readings and cause after some ticks of a lander that one fault strikes."""
    arguments = "int number, int begins, real flow, real azimuth, real duty, real torque_time, int ticks, real early, "
    prepare = """
    Rig rig = rig_of(number, begins, flow, azimuth, duty, torque_time);
    fly_rig(rig, ticks, early, late, turn);
    State const& state = rig.state;
    Draws const draws = make_draws(5, 6);
    Vec3 const here{0, 0, 1000};
    World const& world = rig.run.world;
    Range const range = measure_range(world.altimeter, Surface{no_model, nullptr}, world.terrain, world.gravity,
                                      state.failing, 777, here, identity(), draws, ticks, Shape::sphere);
    BeamSpeeds const speeds = measure_speeds(world.velocimeter, Surface{no_model, nullptr}, world.terrain,
                                             world.gravity, state.failing, 1000, here, Vec3{0, 0, -10}, identity(),
                                             draws, ticks, Shape::sphere);
    Fix const fix = measure_fix(world.camera, state.failing, 1000, 0, 0, draws, ticks);
    """
    function = probe(
        "descent.h",
        list(RESULTS.values()),
        arguments + "real late, int turn",
        preamble=RIG,
        prepare=prepare,
        real="double",
    )

    def run(fault, begins=0, *, flow=0, azimuth=0, duty=0, torque_time=0, ticks=20, early=0.5, late=0.5, turn=10):
        values = (NUMBER[fault], begins, flow, azimuth, duty, torque_time, ticks, early, late, turn)
        return dict(zip(RESULTS, function(*values), strict=True))

    return run


def flight(mission="blue_ghost_m1", run=0, **changes):
    """Samples of a nominal flight with faults: fault__field=value."""
    case = np.frombuffer(quiet(missions()[mission]), load_schema().params_dtype()).copy()
    case["onboard"]["navigation"]["mode"] = load_schema().enums["NavigationMode"]["kalman"]
    for path, value in changes.items():
        place, *rest = path.split("__")
        if rest:
            case["faults"][place][rest[0]] = value
        else:
            case["faults"][place] = value
    return CpuBackend().replay(case.tobytes(), 3, run)


def at_work(samples, fault):
    """Whether a fault is at work at each tick."""
    return (samples["faults"].view(np.uint32) >> NUMBER[fault] & 1).astype(bool)


def burning(samples):
    """Seconds after ignition: the first tick that asks for thrust ends 0.1 s after it."""
    first = np.argmax(samples["phase"] >= 1)
    return samples["time"] - samples["time"][first]


# ---- known answers: order


def test_the_order_of_the_catalogue_is_that_of_its_addresses():
    """Member k of Faults is number k of Failure: its draw, its bit in Sample.faults."""
    text = (kernel_folder() / "mcrisk" / "faults.h").read_text()
    body = re.search(r"enum class Failure : int \{(.*?)\}", text, re.DOTALL)[1]
    named = [(name, int(number)) for name, number in re.findall(r"(\w+) = (\d+)", body)]

    assert named == list(zip(NAMES, range(len(NAMES)), strict=True))
    assert [one.type for one in FAULTS[: len(NAMES)]] == ["Fault"] * len(NAMES)
    assert f"faults_count = {len(NAMES)};" in text


def test_every_fault_is_off_by_default_and_all_its_numbers_are_axes():
    """Probability and rate are zero but in missions that were lost to one; each number has a path under its name."""
    for name in NAMES:
        for field in ("probability", "rate", "after", "window", "below", "phase", "duration", "until", "group"):
            assert f"faults.{name}.{field}" in load_schema().fields
    for params in faultless().values():
        case = np.frombuffer(params, load_schema().params_dtype())
        assert all(case["faults"][name][field] == 0 for name in NAMES for field in ("probability", "rate"))


def faultless():
    """Params of the missions that state no fault."""
    return {name: one for name, one in missions().items() if name not in ("beresheet", "chandrayaan_2", "slim")}


# ---- known answers: engines and jets


def test_a_lander_without_a_fault_flies_as_told(rig):
    """1 kN on 900 kg less what was burnt; 0.05 rad/s about each axis; all sensors tell the truth."""
    end = rig("none")
    mass = 500 + end["propellant"]

    assert end["propellant"] == pytest.approx(400 - 2 * 1000 / (310 * G0), abs=1e-3)
    assert end["gained"][2] == pytest.approx(1000 / mass * TICK, rel=1e-3)
    np.testing.assert_allclose(end["omega"], 0.05, rtol=1e-12)
    np.testing.assert_allclose(end["angle"], 0.005, rtol=1e-9)
    np.testing.assert_allclose(end["velocity"], end["gained"], rtol=1e-9)
    assert end["range"] == pytest.approx(1000)
    assert end["beams"].tolist() == [1, 1, 1]
    assert (end["valid"], end["arc"], end["cross"], end["false_match"], end["cause"]) == (1, 0, 0, 0, 0)


def test_an_engine_that_fails_to_start_gives_nothing(rig):
    """Neither thrust nor flow."""
    end = rig("main_start")

    assert end["propellant"] == 400
    assert end["gained"][2] == 0


def test_a_partial_loss_takes_its_share_of_thrust_and_flow_and_a_lost_nozzle_the_thrust_alone(rig):
    """A quarter: 0.75 of thrust and flow; with a lost nozzle 0.75 of thrust and all the flow; half the flow too."""
    well = rig("none")
    for flow in (0, 0.5, 1):
        end = rig("main_loss", flow=flow)
        burnt = (400 - end["propellant"]) / (400 - well["propellant"])
        push = end["gained"][2] * (500 + end["propellant"]) / (well["gained"][2] * (500 + well["propellant"]))

        assert burnt == pytest.approx(1 - SHARE * (1 - flow), rel=1e-6)
        assert push == pytest.approx(0.75, rel=1e-4)


def test_a_lost_cluster_engine_takes_its_thrust_and_leaves_a_torque(rig):
    """300 N of 400 N remain and 100 N at 0.8 m are missing: 80 N m about +y for one at +x, about -x for one at +y."""
    for azimuth, axis, sign in ((0, 1, 1), (np.pi / 2, 0, -1), (np.pi, 1, -1)):
        before, after = (rig("cluster_loss", azimuth=azimuth, duty=1, early=0, late=0, ticks=t) for t in (10, 11))
        turned = (after["omega"] - before["omega"]) / TICK

        assert turned[axis] == pytest.approx(sign * 100 * 0.8 / 100, rel=1e-3)
        assert abs(turned[1 - axis]) < 1e-3
        assert after["gained"][2] == pytest.approx(300 / (500 + after["propellant"]) * TICK, rel=1e-3)


def test_a_stuck_throttle_holds_what_it_had_and_can_be_cut(rig):
    """Asked for 0.5, then 0.9 from tick 10 on, stuck at tick 5: 1 kN still; asked for nothing: none."""
    held, well = (rig(fault, 5, late=0.9) for fault in ("throttle_stuck", "none"))

    assert held["gained"][2] == pytest.approx(1000 / (500 + held["propellant"]) * TICK, rel=1e-3)
    assert well["gained"][2] == pytest.approx(1800 / (500 + well["propellant"]) * TICK, rel=1e-3)
    assert rig("throttle_stuck", 5, late=0)["gained"][2] == 0
    assert rig("throttle_stuck", 5, early=0, late=0.7, turn=10)["gained"][2] > 0


def test_a_biased_engine_gives_more_and_burns_more(rig):
    """10 % of both, main engine and cluster."""
    for asked in ({}, {"early": 0, "late": 0, "duty": 1}):
        well, end = (rig(fault, **asked) for fault in ("none", "thrust_excess"))

        assert (400 - end["propellant"]) / (400 - well["propellant"]) == pytest.approx(1.1, rel=1e-6)
        push = end["gained"][2] * (500 + end["propellant"]) / (well["gained"][2] * (500 + well["propellant"]))
        assert push == pytest.approx(1.1, rel=1e-4)


def test_a_leak_takes_propellant_and_gives_no_thrust(rig):
    """2 kg/s from tick 5 to 20: 3 kg; engines on or off."""
    for asked in (0.0, 0.5):
        well, end = (rig(fault, 5, early=asked, late=asked) for fault in ("none", "valve_leak"))

        assert well["propellant"] - end["propellant"] == pytest.approx(2 * 15 * TICK, rel=1e-9)
    assert rig("valve_leak", early=0, late=0)["gained"][2] == 0


def test_a_jet_stuck_on_spins_the_lander_up_at_torque_over_inertia(rig):
    """Half of 20 N m about -y on 100 kg m^2: -0.1 rad/s^2; one of two jets of 10 N burns 10 N / (220 s g0)."""
    end = rig("jet_on")

    assert end["omega"][1] - 0.05 == pytest.approx(-0.1 * 20 * TICK, rel=1e-6)
    assert 20 - end["jets"] == pytest.approx(10 / (220 * G0) * 2, rel=1e-6)
    np.testing.assert_allclose(end["omega"][2], 0.05, rtol=1e-3)


def test_jets_stuck_off_do_not_answer_in_their_sense_alone(rig):
    """Asked for +20 N m about x all the time: 0.2 rad/s^2 without the fault, none with it; asked for -20 N m: -0.2."""
    well = rig("none", torque_time=0.1)
    deaf = rig("jet_off", torque_time=0.1)
    other = rig("jet_off", torque_time=-0.1)

    assert well["omega"][0] - 0.05 == pytest.approx(0.2 * 2, rel=1e-3)
    assert deaf["omega"][0] == pytest.approx(0.05, rel=1e-3)
    assert deaf["jets"] == 20
    assert other["omega"][0] - 0.05 == pytest.approx(-0.2 * 2, rel=1e-3)


# ---- known answers: inertial unit


def test_a_dead_axis_reads_zero_and_the_others_the_truth(rig):
    """Gyro x; accelerometer z."""
    gyro, accel = rig("gyro_dead"), rig("accel_dead")

    np.testing.assert_allclose(gyro["angle"], [0, 0.005, 0.005], rtol=1e-9)
    np.testing.assert_allclose(gyro["velocity"], gyro["gained"], rtol=1e-9)
    assert accel["velocity"][2] == 0
    np.testing.assert_allclose(accel["angle"], 0.005, rtol=1e-9)


def test_a_frozen_axis_repeats_its_last_reading(rig):
    """The increments of tick 9, from tick 10 on, while the truth changes."""
    before = rig("none", torque_time=0.1, late=0.9, ticks=10)
    gyro, accel = (rig(fault, 10, torque_time=0.1, late=0.9) for fault in ("gyro_frozen", "accel_frozen"))
    well = rig("none", torque_time=0.1, late=0.9)

    assert gyro["angle"][0] == before["angle"][0] != well["angle"][0]
    np.testing.assert_array_equal(gyro["angle"][1:], well["angle"][1:])
    assert accel["velocity"][2] == before["velocity"][2] != well["velocity"][2]


def test_a_saturated_axis_reads_at_most_its_limit(rig):
    """0.1 rad/s: 0.01 rad a tick of 0.05 + 0.2 * 2 rad/s; 1 m/s^2 of 1.1; what is smaller is read as it is."""
    assert rig("gyro_saturated", torque_time=0.1)["angle"][0] == pytest.approx(0.01)
    assert rig("gyro_saturated", torque_time=-0.1)["angle"][0] == pytest.approx(-0.01)
    assert rig("gyro_saturated")["angle"][0] == pytest.approx(0.005)
    assert rig("accel_saturated")["velocity"][2] == pytest.approx(0.1)
    assert rig("accel_saturated", early=0.2, late=0.2)["velocity"][2] < 0.06


def test_a_scale_factor_that_jumps_multiplies_its_axis(rig):
    """By 1.1."""
    gyro, accel = rig("gyro_scale"), rig("accel_scale")

    np.testing.assert_allclose(gyro["angle"], [0.0055, 0.005, 0.005], rtol=1e-9)
    assert accel["velocity"][2] == pytest.approx(1.1 * accel["gained"][2], rel=1e-9)


def test_a_unit_that_restarts_gives_no_increments(rig):
    """On any axis; the lander turns and flies on."""
    end, well = rig("imu_reset"), rig("none")

    np.testing.assert_array_equal(end["angle"], 0)
    np.testing.assert_array_equal(end["velocity"], 0)
    np.testing.assert_array_equal(end["omega"], well["omega"])


# ---- known answers: sensors and computer


@pytest.mark.parametrize("fault", ["altimeter_never", "altimeter_late", "altimeter_dropout", "altimeter_dust"])
def test_a_silent_altimeter_gives_no_valid_range(rig, fault):
    assert rig(fault)["valid"] == 0


def test_ranges_are_frozen_offset_or_locked_falsely(rig):
    """At 1000 m: the last valid 777 m, + 100 m, times 0.5."""
    assert rig("altimeter_frozen")["range"] == pytest.approx(777)
    assert rig("altimeter_offset")["range"] == pytest.approx(1100)
    assert rig("altimeter_lock")["range"] == pytest.approx(500)
    assert all(rig(f"altimeter_{kind}")["valid"] == 1 for kind in ("frozen", "offset", "lock"))


def test_lost_beams_are_invalid_and_false_fixes_have_their_offset(rig):
    """Two of three beams; 300 m along and -40 m across the track."""
    fix = rig("camera_false")

    assert rig("velocimeter_loss")["beams"].tolist() == [0, 0, 1]
    assert (fix["arc"], fix["cross"], fix["false_match"]) == (300, -40, 1)


def test_what_the_computer_believes_and_feels(rig):
    """20 % more mass once; 70 m of ground; no touch; a touch latched for good."""
    assert rig("wrong_mass")["believed"] == pytest.approx(900 * 1.2)
    assert rig("wrong_map")["map"] == 70
    assert rig("touch_missed")["missed"] == 1
    assert rig("touch_silent")["silent"] == 1
    assert rig("touch_false")["latched"] == 1


@pytest.mark.parametrize("error", [-50.0, 70.0])
def test_a_wrong_map_misplaces_the_lander_by_its_error(error):
    """Believed less true height a minute before the end, against the flight with the right map: the error."""
    common = {"mission": "hakuto_r_m2_as_designed"}
    wrong = flight(**common, wrong_map__probability=1, wrong_map_height=error)
    right = flight(**common)
    miss = [float(one["believed_height"][-300] - one["height"][-300]) for one in (wrong, right)]

    assert miss[0] - miss[1] == pytest.approx(error, abs=0.15 * abs(error))


def test_a_computer_that_restarts_turns_the_engines_off_and_comes_back():
    """3 s from 100 s after ignition: no thrust, and the estimate stands still; then thrust again."""
    samples = flight(computer_reset__probability=1, computer_reset__after=100, computer_reset__duration=3)
    well = flight()
    down = at_work(samples, "computer_reset")
    first = int(np.argmax(down))

    assert down.sum() == 30
    assert burning(samples)[first] == pytest.approx(100, abs=0.05)
    assert (samples["throttle"][down] == 0).all()
    assert (samples["duty"][down] == 0).all()
    assert (samples["main_thrust"][down][10:] < 1).all()
    assert np.ptp(samples["believed_position_S"][down], axis=0).max() == 0
    np.testing.assert_array_equal(samples["position_S"][:first], well["position_S"][:first])
    after = slice(first + 30 + 10, first + 60)
    assert (samples["throttle"][after] > 0.5).all() or (samples["duty"][after] > 0.5).all()


CAUSES = {
    "main_start": "engine_start", "main_loss": "thrust_short", "cluster_loss": "engine_out",
    "thrust_excess": "thrust_excess", "valve_leak": "propellant_leak", "jet_on": "rcs_stuck", "jet_off": "rcs_stuck",
    "gyro_dead": "imu_fault", "gyro_frozen": "imu_fault", "gyro_scale": "imu_fault", "accel_dead": "imu_fault",
    "accel_frozen": "imu_fault", "accel_saturated": "imu_fault", "accel_scale": "imu_fault", "imu_reset": "imu_fault",
    "computer_reset": "computer_reset", "wrong_mass": "wrong_constants", "wrong_map": "wrong_constants",
}  # fmt: skip


def test_each_fault_that_acts_at_once_has_its_cause(rig):
    """The others are causes once they are observed: a silent sensor, a false range that is used, a false touch."""
    cause = load_schema().enums["Cause"]
    found = {fault: cause.member(int(rig(fault)["cause"])) for fault in NAMES}

    assert {fault: name for fault, name in found.items() if name != "none"} == CAUSES


def test_a_stuck_throttle_is_a_cause_by_what_it_lacks_or_adds(rig):
    """More than 5 % off what is asked for."""
    cause = load_schema().enums["Cause"]

    assert rig("throttle_stuck", 5, late=0.9)["cause"] == cause["thrust_short"]
    assert rig("throttle_stuck", 5, late=0.2)["cause"] == cause["thrust_excess"]
    assert rig("throttle_stuck", 5, late=0.52)["cause"] == cause["none"]
    assert rig("gyro_saturated", torque_time=0.1)["cause"] == cause["imu_fault"]


# ---- triggers


def test_a_fault_begins_so_long_after_ignition_and_lasts_its_time():
    """100 s after ignition, for 20 s: 200 ticks; without a time it is there from the first tick."""
    timed = flight(altimeter_dropout__probability=1, altimeter_dropout__after=100, altimeter_dropout__duration=20)
    on = at_work(timed, "altimeter_dropout")

    assert on.sum() == 200
    assert burning(timed)[np.argmax(on)] == pytest.approx(100, abs=0.05)
    assert at_work(flight(altimeter_never__probability=1), "altimeter_never").all()


def test_a_fault_begins_below_its_height_and_is_over_below_another():
    """Between 2 km and 500 m: late acquisition and dust."""
    samples = flight(altimeter_late__probability=1, altimeter_late__until=500, altimeter_dust__probability=1,
                     altimeter_dust__below=2000)  # fmt: skip
    before = samples["height"][:-1]  # of the tick before

    np.testing.assert_array_equal(at_work(samples, "altimeter_late")[1:], before >= 500)
    np.testing.assert_array_equal(at_work(samples, "altimeter_dust")[1:], before <= 2000)
    assert at_work(samples, "altimeter_dust").any()


def test_a_fault_begins_with_its_phase():
    """From the approach on."""
    samples = flight(jet_off__probability=1, jet_off__phase=2, jet_off_share=0)

    np.testing.assert_array_equal(at_work(samples, "jet_off"), samples["phase"] >= 2)


def test_a_late_start_is_a_start_that_fails_for_a_while():
    """5 s after ignition the main engine burns."""
    samples = flight(main_start__probability=1, main_start__phase=1, main_start__duration=5)
    since, thrust = burning(samples), samples["main_thrust"]

    assert (thrust[(since < 4.95)] == 0).all()
    assert thrust[np.argmax(since > 6)] > 0


# ---- statistics

STRIKE = """
MCR_FN Faults catalogue(real probability, real rate, real window, int group) {
    Faults faults{};
    for (int k = 0; k < faults_count; ++k) {
        Fault& fault = const_cast<Fault&>(fault_of(faults, k));
        fault.probability = probability;
        fault.rate = rate;
        fault.window = window;
    }
    faults.main_loss.group = faults.valve_leak.group = faults.imu_reset.group = group;
    return faults;
}
"""


@pytest.fixture
def strike(probe):
    """strike(run, probability, rate, window, group): delay of each fault in ticks, and whether any strikes."""
    return probe(
        "faults.h", ["struck.delay", "struck.any"], "int run, real probability, real rate, real window, int group",
        preamble=STRIKE, prepare="Struck const struck = strike(catalogue(probability, rate, window, group), "
        "make_draws(11, static_cast<uint64>(run)));",
    )  # fmt: skip


def test_faults_strike_as_often_as_stated_evenly_over_their_window(strike):
    """20 % of 20 000 runs each, evenly over 200 s, all independent: counts of pairs as well."""
    delay, any_ = strike(np.arange(20000), 0.2, 0, 200, 0)
    struck = delay < NEVER
    counts = struck.sum(axis=0)
    share = FALSE_ALARM / 3
    low, high = stats.binom.ppf([share / 2 / len(NAMES), 1 - share / 2 / len(NAMES)], 20000, 0.2)
    pairs = np.array([(struck[:, a] & struck[:, b]).sum() for a in range(len(NAMES)) for b in range(a)])
    few, many = stats.binom.ppf([share / 2 / len(pairs), 1 - share / 2 / len(pairs)], 20000, 0.04)

    assert ((counts >= low) & (counts <= high)).all()
    assert ((pairs >= few) & (pairs <= many)).all()
    for k in range(len(NAMES)):
        times = (delay[struck[:, k], k] + 0.5) * TICK
        assert stats.kstest(times, stats.uniform(0, 200).cdf).pvalue > share / len(NAMES)
    np.testing.assert_array_equal(any_ == 1, struck.any(axis=1))


def test_a_rate_gives_an_exponential_waiting_time(strike):
    """One in 100 s: Kolmogorov and Smirnov; a window of 50 s strikes 1 - exp(-1/2) of the runs, inside it."""
    free = strike(np.arange(5000), 0, 0.01, 0, 0)[0][:, 0]
    bounded = strike(np.arange(5000), 0, 0.01, 50, 0)[0][:, 0]
    struck = bounded < NEVER
    low, high = stats.binom.ppf([FALSE_ALARM / 4, 1 - FALSE_ALARM / 4], 5000, 1 - np.exp(-0.5))

    assert stats.kstest((free + 0.5) * TICK, stats.expon(scale=100).cdf).pvalue > FALSE_ALARM / 2
    assert low <= struck.sum() <= high
    assert bounded[struck].max() <= 500
    np.testing.assert_array_equal(bounded[struck], free[struck])


def test_faults_of_one_group_strike_together(strike):
    """Main loss, leak and reset: the same runs after the same time; the others as without the group."""
    grouped, alone = (strike(np.arange(2000), 0.3, 0, 100, group)[0] for group in (7, 0))
    members = [NUMBER[name] for name in ("main_loss", "valve_leak", "imu_reset")]
    others = np.setdiff1d(range(len(NAMES)), members)

    assert (grouped[:, members] == grouped[:, members[:1]]).all()
    assert 0 < (grouped[:, members[0]] < NEVER).sum() < 2000
    assert (alone[:, members[0]] != grouped[:, members[0]]).any()
    np.testing.assert_array_equal(grouped[:, others], alone[:, others])


# ---- limits


def test_a_fault_that_cannot_strike_changes_no_bit():
    """Every size and trigger of the catalogue changed at zero probability and rate: the very records."""
    for name, params in faultless().items():
        case = np.frombuffer(params, load_schema().params_dtype()).copy()
        for one in FAULTS:
            if one.type == "Fault":
                case["faults"][one.name]["window"] = 300
                case["faults"][one.name]["group"] = 4
            elif one.type == "real":
                case["faults"][one.name] *= 1.5
        expected, actual = (CpuBackend().run(block, 9, 0, 32) for block in (params, case.tobytes()))

        assert expected.tobytes() == actual.tobytes(), name


def test_the_nominal_flight_has_no_faults():
    """profile.quiet turns off every probability and rate."""
    case = np.frombuffer(missions()["generic_small"], load_schema().params_dtype()).copy()
    for name in NAMES:
        case["faults"][name]["probability"], case["faults"][name]["rate"] = 1, 1
    silent = np.frombuffer(quiet(case.tobytes()), load_schema().params_dtype())

    assert all(silent["faults"][name][field] == 0 for name in NAMES for field in ("probability", "rate"))
