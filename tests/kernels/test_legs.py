"""Legs one by one: places that are no even ring, touch sensors that stay silent, a lander that never comes to rest.

The truth is the body and its engines, followed in steps of 1 ms; the verdict is that of the descent."""

import numpy as np
import pytest

TIP_OVER, HAZARD_STRIKE, SUCCESS = 6, 7, 10
NO_CAUSE, TOUCH_SENSOR, TERRAIN_SITE = 0, 22, 23
RESTS, RESTLESS = 1, 4
FIRST_LEG, LEGS, SHOCK = 0, 3, 4  # a Cutoff
BACKUP = 3.0  # [s]
MASS, GRAVITY = 460.0, 1.62422  # [kg], [m s^-2]

# A lander of 460 kg on four legs, in a ring from body x on, that has just touched the ground at 1 m/s, its engines on.
CONTACT = """
struct Feet { int silent[12]; };
MCR_FN Params params_of(Cutoff cutoff, int cut_legs, real backup, real friction, real slope) {
    Params params{};
    params.limits = {10, 10, 1, 1, 1, 1, real(1e6), 10};
    World& world = params.world;
    world.gravity = {real(4902.80007e9), real(1738e3), 0, 0, 0, 0, 60000, real(1737.4e3), {0, 1, 0}, {0, 0, 1}};
    world.vehicle = {450, {0, 0, 1}, {0, 0, 1}, {290, 290, 290}, {290, 290, 290}};
    world.propulsion.main = {1, 310, real(0.1), 1, 1, real(1e-4), 0, real(1e-4), 0, 0, 0, 0};
    world.propulsion.cluster = {4, real(0.25 * 1.62422 * 460), 280, real(0.8), real(0.02), 0, real(1e-4), 0, 0};
    world.propulsion.propellant = 100;
    Touchdown& gear = world.touchdown;
    gear.model = TouchdownModel::legs;
    gear.legs = 4;
    gear.foot_radius = real(1.5);
    gear.cg_height = real(0.9);
    gear.gyration_radius = real(0.8);
    gear.crush_force = 12000;
    gear.crush_step = 1;
    gear.crush_rise = 1;
    gear.stroke_max = real(0.4);
    gear.leg_stiffness = real(2e5);
    gear.leg_damping = 1;
    gear.friction = friction;
    gear.clearance = real(0.8);
    for (real& reach : params.legs.reach) reach = 1;
    world.terrain.slope = slope;
    Guidance& guidance = params.onboard.guidance;
    guidance.cutoff = cutoff;
    guidance.cutoff_legs = cut_legs;
    guidance.cutoff_shock = 2;
    guidance.cutoff_delay = real(0.05);
    guidance.cutoff_backup = backup;
    return params;
}
MCR_FN State state_of(real duty, int silent, int missed, real slope) {
    State state{};
    state.ended = 1;
    state.guidance.phase = Phase::terminal;
    state.guidance.duty = duty;
    state.events.first = -1;
    state.failing = working();
    state.failing.touch_silent = silent;
    state.failing.touch_missed = missed;
    state.truth.engines.propellant = 10;
    state.truth.position_S = Vec3{0, 0, real(0.9)};
    state.estimate.position_S = state.truth.position_S;
    state.truth.velocity_S = Vec3{0, 0, -1};
    state.estimate.velocity_S = state.truth.velocity_S;
    state.truth.q_BS = conjugate(from_rotation_vector(Vec3{0, slope, 0}));
    return state;
}
"""


@pytest.fixture
def land(probe):
    """land(...): how the touchdown ends: time of the call for a cut [s], thrust at the end, outcome and cause."""
    arguments = (
        "Cutoff cutoff, int cut_legs, real backup, real friction, real slope, real duty, int first, int second, "
        "int silent, int missed"
    )
    prepare = """
    Params params = params_of(cutoff, cut_legs, backup, friction, slope);
    params.faults.touch_silent_legs[0] = first;
    params.faults.touch_silent_legs[1] = second;
    Run run{params.world, {}, {}};
    State const state = state_of(duty, silent, missed, slope);
    Draws const draws = make_draws(5, 6);
    Touch touch;
    Surface const surface{params.relief, nullptr};
    touch_down(params, surface, run, state, draws, touch);
    Record const record = report(params, surface, run, state, touch.body, draws);
    """
    results = {
        "settled": "static_cast<int>(touch.body.settled)", "called": "touch.body.called", "time": "touch.body.time",
        "thrust": "touch.body.ring_thrust", "outcome": "static_cast<int>(record.outcome)",
        "cause": "static_cast<int>(record.cause)", "slide": "record.slide",
    }  # fmt: skip
    usual = {"cutoff": LEGS, "cut_legs": 4, "backup": BACKUP, "friction": 0.5, "slope": 0, "duty": 0.7, "first": 0}
    usual |= {"second": 0, "silent": 1, "missed": 0}
    function = probe("descent.h", list(results.values()), arguments, preamble=CONTACT, prepare=prepare)

    def run(**values):
        assert values.keys() <= usual.keys()
        return dict(zip(results, function(*(usual | values).values()), strict=True))

    return run


# ---- places


@pytest.mark.parametrize(("support", "half"), [(0, np.cos(np.pi / 4)), (0.4, 0.4)])
def test_the_support_distance_is_that_of_the_layout(probe, support, half):
    """R cos(pi / n) in an even ring; elsewhere what the polygon of the feet has, times R."""
    prepare = "Touchdown gear{}; gear.legs = 4; gear.foot_radius = real(1.5); Legs legs{}; legs.support = support;"
    distance = probe("touchdown.h", "support_distance(gear, legs)", "real support", prepare=prepare, real="double")

    assert distance(support) == pytest.approx(1.5 * half)


def test_each_foot_stands_where_it_is_stated(probe):
    """Direction from body x toward y, reach over the radius, drop below the height of the centre of gravity."""
    prepare = """
    Params params{};
    params.world.touchdown.legs = 4;
    params.world.touchdown.foot_radius = 2;
    params.world.touchdown.cg_height = 1;
    Legs& legs = params.legs;
    legs.stated = stated;
    legs.direction[2] = real(0.5);
    legs.reach[2] = real(1.5);
    legs.drop[2] = real(0.25);
    Foot const foot = foot_of(params.world, legs, Stance{}, Normal4{0, 0, 0, 0}, 2, 1);
    """
    foot = probe("descent.h", "foot.foot_B", "int stated", prepare=prepare, real="double")

    np.testing.assert_allclose(foot([0, 1]), [[-3, 0, -1.25], [3 * np.cos(0.5), 3 * np.sin(0.5), -1.25]], atol=1e-6)


# ---- touch sensors


def test_one_silent_leg_keeps_all_legs_from_cutting_the_engines(land):
    """Four of four: with one silent leg the engines burn until the backup; with three of four the others suffice."""
    well, silent, others = land(silent=0, first=1), land(first=1), land(first=1, cut_legs=3)

    assert well["called"] < 500
    assert silent["called"] == BACKUP * 1000
    assert others["called"] < 500
    assert [one["settled"] for one in (well, silent, others)] == [RESTS] * 3
    assert silent["time"] > BACKUP * 1000 > well["time"]


def test_as_many_silent_legs_as_are_to_spare_do_no_harm(land):
    """Three of four bears one silent leg and not two; a sensor that is at work but not of a silent leg matters not."""
    assert land(cut_legs=3, first=1, second=1)["called"] == BACKUP * 1000
    assert land(cut_legs=2, first=1, second=1)["called"] < 500
    assert land(cut_legs=4)["called"] < 500


def test_silent_legs_do_not_silence_an_accelerometer(land):
    assert land(cutoff=SHOCK, first=1, second=1)["called"] < 500
    assert land(cutoff=FIRST_LEG, first=1, second=1)["called"] < 500
    assert land(cutoff=FIRST_LEG, missed=1)["called"] == BACKUP * 1000


# ---- no rest


def test_a_lander_that_slides_for_ever_is_lost_to_the_ground(land):
    """Slope of 20 deg, friction 0.2 < tan(20 deg), no foot caught: after 20 s it is on the move, and no landing."""
    found = land(friction=0.2, slope=np.radians(20), silent=0, duty=0)
    steady = land(friction=0.6, slope=np.radians(20), silent=0, duty=0)

    assert (found["settled"], found["time"]) == (RESTLESS, 20_000)
    assert found["slide"] > 50  # [m] half of g (sin - mu cos) t^2 is 50 m
    assert (found["outcome"], found["cause"]) == (HAZARD_STRIKE, TERRAIN_SITE)
    assert (steady["settled"], steady["outcome"], steady["cause"]) == (RESTS, SUCCESS, NO_CAUSE)


def test_a_lander_whose_engines_never_stop_is_lost_to_its_touch_sensor(land):
    """A backup of 20 s never comes within the 20 s that are followed."""
    found = land(first=1, backup=20)

    assert (found["settled"], found["called"]) == (RESTLESS, -1)
    assert found["thrust"] == pytest.approx(0.7 * MASS * GRAVITY, rel=1e-3)
    assert (found["outcome"], found["cause"]) == (HAZARD_STRIKE, TOUCH_SENSOR)
