"""Watching a run: which cause is flagged, and when. A lander hovers upright over level ground for some ticks."""

import numpy as np
import pytest

from mcrisk import mission, nominal, params
from mcrisk.backends.cpu import CpuBackend
from mcrisk.schema import load_schema

NONE = 0
ALTIMETER_LATE, ALTIMETER_LOST, ALTIMETER_REJECTED, VELOCIMETER_LOST = 9, 10, 12, 13
CONTROL_SATURATED, GUIDANCE_SATURATED = 20, 19
PERFECT, FIXED_GAIN, KALMAN = 0, 1, 2
COAST, BRAKE, APPROACH = 0, 1, 2

HOVER = """
struct Flags { real cause, first_tick; };
MCR_FN Flags hover(real height, int ticks, int phase, int mode, int seen, int silent, int rejected, real tilt,
                   real saturation) {
    Params params{};
    World& world = params.world;
    world.gravity = {real(4902.80007e9), real(1738e3), 0, 0, 0, 0, 60000, real(1737.4e3), {0, 1, 0}, {0, 0, 1}};
    world.altimeter.fitted = 1;
    world.velocimeter.fitted = 1;
    world.velocimeter.range_max = 2000;
    world.terrain.step_width = world.terrain.rim_width = 1000;
    params.onboard.navigation.mode = static_cast<NavigationMode>(mode);
    params.monitor.altimeter_needed = 3000;
    Run const run{world, {}};
    State state{};
    state.events.first = -1;
    state.truth.position_S = state.estimate.position_S = Vec3{0, 0, height};
    state.truth.q_BS = state.estimate.q_BS = identity();
    state.truth.engines.propellant = 100;
    state.guidance.phase = static_cast<Phase>(phase);
    state.guidance.direction_S = Vec3{sine_cosine(tilt).sine, 0, sine_cosine(tilt).cosine};
    state.guidance.saturation = saturation;
    state.navigation.rejected = rejected;
    Flags flags{0, -1};
    for (int tick = 0; tick < ticks; ++tick) {
        state.events.altimeter_seen = seen;
        if (silent == 0) state.events.altimeter_silent = state.events.velocimeter_silent = 0;
        watch(params, Surface{params.relief, nullptr}, run, state, tick, Shape::sphere);
        if (state.events.cause != 0 && flags.first_tick < 0) flags = Flags{real_of(state.events.cause), real_of(tick)};
    }
    return flags;
}
"""
HEALTHY = {
    "height": 800,
    "ticks": 400,
    "phase": APPROACH,
    "mode": KALMAN,
    "seen": 1,
    "silent": 0,
    "rejected": 0,
    "tilt": 0,
    "saturation": 0,
}


@pytest.fixture
def hover(probe):
    """hover(...): the cause flagged over 400 ticks at 800 m in the approach, and its tick; by default all is well."""
    reals = ("height", "tilt", "saturation")
    arguments = ", ".join(f"{'real' if name in reals else 'int'} {name}" for name in HEALTHY)
    function = probe(
        "descent.h", ["flags.cause", "flags.first_tick"], arguments, preamble=HOVER,
        prepare=f"Flags const flags = hover({', '.join(HEALTHY)});",
    )  # fmt: skip

    def run(**values):
        assert values.keys() <= HEALTHY.keys()
        return function(*(HEALTHY | values).values())

    return run


# ---- known answers


def test_a_healthy_hover_has_no_cause(hover):
    """Nothing is flagged, in any phase and way of navigation."""
    for mode in (PERFECT, FIXED_GAIN, KALMAN):
        cause, _ = hover(mode=mode, phase=np.array([COAST, BRAKE, APPROACH]))

        np.testing.assert_array_equal(cause, NONE)


def test_each_flag_has_its_cause_and_its_delay(hover):
    """The constants of watch.h: 5 s of silence, 25 s off by more than 20 deg, 5 s of saturation, 10 rejections."""
    assert hover(seen=0) == (ALTIMETER_LATE, 0)
    assert hover(silent=1, height=1200) == (ALTIMETER_LOST, 51)
    assert hover(rejected=10) == (ALTIMETER_REJECTED, 0)
    assert hover(rejected=9) == (NONE, -1)
    assert hover(tilt=np.radians(21)) == (CONTROL_SATURATED, 250)
    assert hover(tilt=np.radians(19)) == (NONE, -1)
    assert hover(saturation=5.1) == (GUIDANCE_SATURATED, 0)
    assert hover(saturation=4.9) == (NONE, -1)


def test_a_lander_that_points_elsewhere_is_not_blamed_on_its_altimeter(hover):
    """21 deg off its command no range is expected; after 25 s of that control counts as saturated."""
    assert hover(seen=0, tilt=np.radians(21)) == (CONTROL_SATURATED, 250)
    assert hover(silent=1, height=1200, tilt=np.radians(21)) == (CONTROL_SATURATED, 250)


def test_a_late_altimeter_is_late_from_the_height_where_it_was_counted_on(hover):
    """3 km here: not above it, and not before the engines burn."""
    cause, _ = hover(seen=0, height=np.array([2999, 3001, 2999]), phase=np.array([APPROACH, APPROACH, COAST]))

    np.testing.assert_array_equal(cause, [ALTIMETER_LATE, NONE, NONE])


# ---- limits


def test_perfect_navigation_loses_nothing_by_a_sensor(hover):
    """It asks none: neither a silent altimeter nor a silent velocimeter is a cause."""
    assert hover(mode=PERFECT, seen=0, silent=1) == (NONE, -1)
    assert hover(mode=PERFECT, seen=1, silent=1) == (NONE, -1)
    assert hover(mode=FIXED_GAIN, seen=0, silent=1)[0] == ALTIMETER_LATE


def test_an_event_that_did_not_happen_reads_minus_one():
    """A second before ignition nothing of what the record reports has happened yet (record.h)."""
    schema = load_schema()
    case = params.pack(nominal.design(mission.load("generic_small").replace({"simulation.time_max_ticks": 10})))
    record = CpuBackend().run(case, 0, 0, 1)[0]
    events = {name for name, one in schema.record_fields.items() if one.base == "real" and not one.metric}
    events -= {"impact_speed"}  # of the end, whatever it is

    assert len(events) > 15
    assert {name: float(record[name]) for name in events} == dict.fromkeys(events, -1.0)


def test_a_lander_that_needs_more_thrust_than_it_has_is_lost_to_that():
    """RESILIENCE with a range finder of 900 m and no other flag to blame: whoever strikes the ground asked for more."""
    changes = {"monitor.altimeter_needed": "0 m"}
    case = params.pack(nominal.design(mission.load("hakuto_r_m2_late_rangefinder").replace(changes)))
    records = CpuBackend().run(case, 0, 0, 128)
    struck = records[records["outcome"] == load_schema().enums["Outcome"]["terrain_collision"]]

    assert len(struck) > 4
    assert set(struck["cause"]) == {GUIDANCE_SATURATED}
