"""Touchdown by the closed form: static and dynamic tip-over, stroke, and the order in which a contact is judged.

Tip-over over a caught foot: energy to the tipping point (Walton & Durling 1965, NASA TN D-2860)."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

G = 1.62422  # [m s^-2] GM / R^2
RADIUS = 1737.4e3  # [m] IAU mean radius
SUPPORT = 1.5 * np.cos(np.pi / 4)  # [m] four feet on 1.5 m
HEIGHT, GYRATION = 1.1, 0.8  # [m]
TERRAIN_COLLISION, HARD_LANDING, TIP_OVER, HAZARD_STRIKE, OFF_TARGET, TIMEOUT, SUCCESS = 1, 5, 6, 7, 8, 9, 10
COAST, TERMINAL = 0, 3

GEAR = """
MCR_FN Touchdown gear_of(real height, real friction, real caught) {
    Touchdown gear{};
    gear.model = TouchdownModel::closed_form;
    gear.legs = 4;
    gear.foot_radius = real(1.5);
    gear.cg_height = height;
    gear.gyration_radius = real(0.8);
    gear.crush_force = 12000;
    gear.stroke_max = real(0.25);
    gear.friction = friction;
    gear.foot_caught = caught;
    return gear;
}
"""
# A lander of 450 kg that has just touched the ground at the site, flown along x.
CONTACT = (
    GEAR
    + f"""
MCR_FN Record judged(Vec3 velocity_S, Vec3 axis_S, real rate, real slope, real azimuth, real friction, real caught,
                     real height, real along, int contact, int phase, int first, Limits const& limits, unsigned run) {{
    Params params{{}};
    params.limits = limits;
    params.world.gravity = {{real(4902.80007e9), real(1738e3), 0, 0, 0, 0, 60000, real({RADIUS}),
                            {{0, 1, 0}}, {{0, 0, 1}}}};
    params.world.touchdown = gear_of(height, friction, caught);
    params.world.terrain.slope = slope;
    params.world.terrain.slope_azimuth = azimuth;
    params.world.vehicle.mass_dry = 450;
    Run one{{params.world, {{}}, {{}}}};
    State state{{}};
    state.ended = contact;
    state.guidance.phase = static_cast<Phase>(phase);
    state.events.first = first;
    state.truth.position_S = Vec3{{along, 0, height - along * along / (2 * real({RADIUS}))}};
    state.estimate.position_S = state.truth.position_S;
    state.truth.velocity_S = velocity_S;
    state.estimate.velocity_S = velocity_S;
    state.truth.omega_BN_B = Vec3{{rate, 0, 0}};
    Vec3 const y_S = unit(Vec3{{0, 1, 0}} - axis_S.y * axis_S);
    state.truth.q_BS = from_axes(cross(y_S, axis_S), y_S, axis_S);
    Draws const draws = make_draws(5, run);
    Touch touch;
    Surface const surface{{params.relief, nullptr}};
    touch_down(params, surface, one, state, draws, touch);
    return report(params, surface, one, state, touch.body, draws);
}}
"""
)
WIDE = [1e9, 1e9, 4, 1e9, 1e9, 4, 1e9, 1e9]  # no limits


@pytest.fixture
def random():
    return np.random.default_rng(20261122)


@pytest.fixture
def tipping_speed(probe):
    """tipping_speed(support, height, gyration, lean): largest speed toward the caught foot that does not tip."""
    return probe(
        "touchdown.h", f"tipping_speed(support, height, gyration, {G}, lean)",
        "real support, real height, real gyration, real lean", real="double",
    )  # fmt: skip


@pytest.fixture
def judge(probe):
    """judge(...): outcome, cause and metrics of a contact: by default upright at 1 m/s on level ground, foot caught."""
    names = ("velocity_S", "axis_S", "rate", "slope", "azimuth", "friction", "caught", "height", "along", "contact",
             "phase", "first", "limits", "run")  # fmt: skip
    kinds = {"velocity_S": "Vec3", "axis_S": "Vec3", "contact": "int", "phase": "int", "first": "int"}
    kinds |= {"limits": "Limits", "run": "unsigned"}
    arguments = ", ".join(f"{kinds.get(name, 'real')} {name}" for name in names)
    results = ("outcome", "cause", "descent_rate", "horizontal_speed", "tilt", "tilt_rate", "leg_stroke",
               "stability_margin", "miss_distance", "impact_speed")  # fmt: skip
    prepare = f"Record const record = judged({', '.join(names)});"
    usual = {"velocity_S": (0, 0, -1), "axis_S": (0, 0, 1), "rate": 0, "slope": 0, "azimuth": 0, "friction": 0}
    usual |= {"caught": 1, "height": HEIGHT, "along": 0, "contact": 1, "phase": TERMINAL, "first": -1, "run": 0}
    usual |= {"limits": [3, 2, np.radians(15), np.radians(10), np.radians(12), 4, 5000, 3]}
    expressions = [f"record.{name}" for name in results]

    def run(real="double", **values):
        assert values.keys() <= set(names)
        function = probe("descent.h", expressions, arguments, preamble=CONTACT, prepare=prepare, real=real)
        return dict(zip(results, function(*({**usual, **values}[name] for name in names)), strict=True))

    return run


# ---- known answers


def test_the_support_polygon_of_four_feet_is_a_square(probe):
    """Half its side, R/sqrt(2); for three feet R/2, for six R sqrt(3)/2."""
    prepare = "Touchdown gear = gear_of(1, 0, 0); gear.legs = legs;"
    support = probe(
        "touchdown.h", "support_distance(gear, Legs{})", "int legs", preamble=GEAR, prepare=prepare, real="double"
    )

    np.testing.assert_allclose(support([4, 3, 6]), 1.5 * np.array([0.5**0.5, 0.5, 0.75**0.5]), rtol=1e-9)


# ---- closed forms


def test_static_tip_over_is_at_the_slope_of_the_gear(tipping_speed, judge):
    """tan(slope) = d/h: 43.96 deg for 1.06 m and 1.1 m. Below it the lander stands at rest, above it falls, foot caught
    or not; the speed it takes goes to zero on the way."""
    limit = np.arctan2(SUPPORT, HEIGHT)
    lean = np.array([0, 0.5, 0.9, 0.999, 1.0001, 1.2]) * limit
    speed = tipping_speed(SUPPORT, HEIGHT, GYRATION, lean)

    assert np.degrees(limit) == pytest.approx(43.96, abs=0.01)
    assert np.all(np.diff(speed[:5]) < 0)
    assert speed[3] < 0.01 * speed[0]
    np.testing.assert_array_equal(speed[4:], 0)
    for caught in (0, 1):
        outcome = judge(slope=np.array([0.999, 1.001]) * limit, velocity_S=[0, 0, 0], caught=caught, limits=WIDE)
        np.testing.assert_array_equal(outcome["outcome"], [SUCCESS, TIP_OVER])


def test_dynamic_tip_over_is_where_a_pivoting_body_just_passes_over_its_foot(tipping_speed, random):
    """The body turns about the caught foot with the angular momentum it came with, v h = (k^2 + L^2) w, and rises
    against gravity: the speed that just reaches the top, by integration of the pendulum, against the closed form."""
    for _ in range(12):
        support, height, gyration = random.uniform(0.5, 2), random.uniform(0.5, 3), random.uniform(0.3, 1.5)
        square = gyration**2 + support**2 + height**2  # of inertia about the foot, per mass
        reach, start = np.hypot(support, height), np.arctan2(support, height)
        lean = random.uniform(0, 0.8) * start

        def top(speed, square=square, reach=reach, angle=start - lean, height=height):
            """Angle of the centre of gravity behind the foot where it comes to rest, or how fast it passes over."""

            def fall(_, y):
                return [-y[1], -G * reach * np.sin(y[0]) / square]

            over, stop = (lambda _, y: y[0]), (lambda _, y: y[1])
            over.terminal = stop.terminal = True
            end = solve_ivp(
                fall, (0, 60), [angle, speed * height / square], events=[over, stop], rtol=1e-10, atol=1e-12
            )
            return end.y[0, -1] if end.t_events[1].size else -end.y[1, -1]

        closed = tipping_speed(support, height, gyration, lean)
        found = brentq(top, 0.5 * closed, 2 * closed, xtol=1e-7)

        assert closed == pytest.approx(found, rel=1e-5)


def test_stroke_takes_up_the_energy_of_the_descent(probe):
    """m v^2/2 = (F - m g) s: 450 kg at 2 m/s on 12 kN, 80 mm; the legs do the work of the speed and of the stroke."""
    speed = np.array([0, 0.5, 1, 2.0])
    stroke = probe(
        "touchdown.h", f"crush_stroke(gear_of(1, 0, 0), 450, {G}, speed)", "real speed", preamble=GEAR, real="double"
    )(speed)

    assert stroke[-1] == pytest.approx(0.0799, abs=1e-4)
    np.testing.assert_allclose(12000 * stroke, 450 * speed**2 / 2 + 450 * G * stroke, rtol=1e-9)


# ---- the verdict


def test_a_sliding_lander_tips_by_the_energy_criterion_alone(judge, tipping_speed):
    """Level ground, foot caught: 0.1 % below the closed form it stands and above it falls; the margin is the part left
    of that speed. A foot that slides (not caught, friction below d/h) tips nothing."""
    speed = tipping_speed(SUPPORT, HEIGHT, GYRATION, 0)
    share = np.array([0, 0.5, 0.999, 1.001, 1.5])
    velocity = np.outer(share * speed, [0.6, 0.8, 0]) - np.array([0, 0, 0.5])
    found = judge(velocity_S=velocity, limits=WIDE)
    slid = judge(velocity_S=velocity, caught=0, friction=0.99 * SUPPORT / HEIGHT, limits=WIDE)
    held = judge(velocity_S=velocity, caught=0, friction=1.01 * SUPPORT / HEIGHT, limits=WIDE)

    assert speed == pytest.approx(1.849, abs=1e-3)
    np.testing.assert_array_equal(found["outcome"], np.where(share > 1, TIP_OVER, SUCCESS))
    np.testing.assert_allclose(found["stability_margin"], (1 - share) / (1 + share), atol=1e-4)
    np.testing.assert_array_equal(slid["outcome"], SUCCESS)
    np.testing.assert_array_equal(held["outcome"], found["outcome"])


def test_a_slope_counts_toward_the_motion_only(judge, tipping_speed):
    """12 deg downhill brings the tipping speed to that of 12 deg of lean; uphill and across it stays that of the level.
    A tilt of the body toward the motion counts like a slope."""
    lean = np.radians(12)
    level, steep = tipping_speed(SUPPORT, HEIGHT, GYRATION, np.array([0, lean]))
    share = np.array([0.998, 1.002])
    downhill = np.array([np.cos(lean), 0, -np.sin(lean)])
    for direction, limit in ((downhill, steep), (-downhill, level), ([0, 1, 0], level)):
        found = judge(velocity_S=np.outer(share * limit, direction), slope=lean, limits=WIDE)
        np.testing.assert_array_equal(found["outcome"], [SUCCESS, TIP_OVER], err_msg=str(direction))
    axis = [np.sin(lean), 0, np.cos(lean)]
    tilted = judge(velocity_S=np.outer(share * steep, [1, 0, 0]), axis_S=axis, limits=WIDE)

    assert steep < 0.8 * level
    np.testing.assert_array_equal(tilted["outcome"], [SUCCESS, TIP_OVER])


def test_a_lander_at_rest_on_its_slope_leans_as_the_slope_does(judge):
    """Body along the normal, creeping or still: it stands up to the static limit of the gear and not half-way to it."""
    limit = np.arctan2(SUPPORT, HEIGHT)
    slope = np.array([0.6, 0.97, 1.01]) * limit
    axis = np.stack([np.sin(slope), 0 * slope, np.cos(slope)], axis=1)
    for creep in (0, 0.02):
        velocity = creep * np.stack([np.cos(slope), 0 * slope, -np.sin(slope)], axis=1)
        found = judge(slope=slope, axis_S=axis, velocity_S=velocity, limits=WIDE)
        np.testing.assert_array_equal(found["outcome"], [SUCCESS, SUCCESS, TIP_OVER], err_msg=str(creep))


def test_spin_adds_its_angular_momentum_about_the_foot(judge, tipping_speed):
    """w k^2 = v h: 20 deg/s on k = 0.8 m count as 0.2 m/s."""
    rate = np.radians(20)
    extra = rate * GYRATION**2 / HEIGHT
    limit = tipping_speed(SUPPORT, HEIGHT, GYRATION, 0)
    share = np.array([0.998, 1.002])
    found = judge(velocity_S=np.outer(share * limit - extra, [1, 0, 0]), rate=rate, limits=WIDE)

    assert extra == pytest.approx(0.203, abs=1e-3)
    np.testing.assert_array_equal(found["outcome"], [SUCCESS, TIP_OVER])


@pytest.mark.parametrize(
    ("limit", "below", "above"),
    [
        ("descent rate", {"velocity_S": [0, 0, -2.99]}, {"velocity_S": [0, 0, -3.01]}),
        ("horizontal speed", {"velocity_S": [1.99, 0, -1]}, {"velocity_S": [2.01, 0, -1]}),
        ("tilt", {"axis_S": [np.sin(0.2617), 0, np.cos(0.2617)]}, {"axis_S": [np.sin(0.2619), 0, np.cos(0.2619)]}),
        ("tilt rate", {"rate": 0.1745}, {"rate": 0.1746}),
    ],
)
def test_each_limit_of_the_gear_makes_a_hard_landing(judge, limit, below, above):
    """3 m/s down, 2 m/s level, 15 deg, 10 deg/s; foot free, so that nothing tips."""
    assert judge(**below, caught=0)["outcome"] == SUCCESS, limit
    assert judge(**above, caught=0)["outcome"] == HARD_LANDING, limit


def test_the_stroke_of_the_legs_is_a_limit_of_its_own(judge):
    """250 mm at 3.539 m/s on 12 kN."""
    speed = np.sqrt(2 * 0.25 * (12000 - 450 * G) / 450)
    found = judge(velocity_S=np.outer([0.999 * speed, 1.001 * speed], [0, 0, -1]), limits=WIDE)

    assert speed == pytest.approx(3.539, abs=1e-3)
    np.testing.assert_array_equal(found["outcome"], [SUCCESS, HARD_LANDING])
    np.testing.assert_allclose(found["leg_stroke"], 0.25, rtol=3e-3)


def test_a_contact_is_judged_in_order(judge):
    """In flight, collision, hard landing, tip-over, slope, target; without a contact the time is out."""
    far, steep, falls = {"along": 6000}, {"slope": np.radians(13)}, {"velocity_S": [1.9, 0, -0.2]}
    hard, crash = {"velocity_S": [1.5, 0, -4]}, {"velocity_S": [0, 0, -16]}

    assert judge()["outcome"] == SUCCESS
    assert judge(**far)["outcome"] == OFF_TARGET
    assert judge(**far)["miss_distance"] == pytest.approx(6000, rel=1e-5)
    assert judge(**far, **steep)["outcome"] == HAZARD_STRIKE
    assert judge(**far, **steep, **falls)["outcome"] == TIP_OVER
    assert judge(**far, **steep, **hard)["outcome"] == HARD_LANDING
    assert judge(**far, **steep, **crash)["outcome"] == TERRAIN_COLLISION
    assert judge(phase=COAST)["outcome"] == TERRAIN_COLLISION
    assert judge(contact=0)["outcome"] == TIMEOUT
    assert judge(**crash, first=2)["outcome"] == 2


# ---- invariants


def test_speeds_over_the_ground_are_those_of_its_plane(judge, random):
    """Descent rate along the normal of the slope and speed in its plane, for any slope, azimuth and velocity: their
    squares add up to the impact speed."""
    count = 300
    velocity = random.normal(size=(count, 3)) * [1, 1, 2]
    slope, azimuth = random.uniform(0, 0.4, count), random.uniform(-np.pi, np.pi, count)
    found = judge(velocity_S=velocity, slope=slope, azimuth=azimuth)
    # azimuth counts from the flight direction (x) to the left (y)
    downhill = np.stack([np.sin(slope) * np.cos(azimuth), np.sin(slope) * np.sin(azimuth), np.cos(slope)], axis=1)

    np.testing.assert_allclose(found["descent_rate"], -np.sum(velocity * downhill, axis=1), atol=1e-6)
    np.testing.assert_allclose(
        np.hypot(found["descent_rate"], found["horizontal_speed"]), found["impact_speed"], rtol=1e-9
    )


# ---- statistics


def test_a_foot_is_caught_as_often_as_stated(judge):
    """20 000 runs at a speed that tips a caught foot: 10 % fall within 4.5 standard deviations (false alarm 7e-6)."""
    count = 20_000
    found = judge(real="float", velocity_S=[1.9, 0, -1], caught=0.1, run=np.arange(count))
    fallen = np.count_nonzero(found["outcome"] == TIP_OVER)

    assert set(found["outcome"]) == {SUCCESS, TIP_OVER}
    assert abs(fallen - 0.1 * count) < 4.5 * np.sqrt(count * 0.1 * 0.9)


# ---- failure


def test_a_record_that_is_not_finite_is_invalid_and_has_no_other_content(judge):
    """NaN in a speed, and a state that left the finite numbers."""
    for broken in (judge(velocity_S=[0, np.nan, -1]), judge(contact=2)):
        assert all(value == 0 for value in broken.values())
