"""Hazard avoidance: what the map sees, where the target may go, that the lander rests there, and what it saves."""

import numpy as np
import pytest
from scipy import stats

import mcrisk
from mcrisk.mission import loads

ROCKY = """
base = "chandrayaan_3"
name = "rocky"
[terrain]
rock_area = 0.05
crater_density = 0.05
cell_slope = "3 deg"
[hazards]
fitted = {fitted}
{more}
{tables}
"""
FALSE_ALARM = 1e-3  # [] probability that a statistical test fails for another seed


def flown(fitted=1, runs=512, tables="", **hazards):
    """Records of a lander over rocks and craters."""
    more = "\n".join(f"{name} = {value!r}".replace("'", '"') for name, value in hazards.items())
    return mcrisk.records(loads(ROCKY.format(fitted=fitted, more=more, tables=tables)), runs=runs, seed=5)


def struck(records):
    """How many runs the ground took."""
    return int(np.isin(records["outcome"].values, ["hazard_strike", "tip_over"]).sum())


@pytest.fixture
def lead(probe):
    """lead(distance, time, terminal): speed and deceleration toward a target; and the greatest way from a speed."""
    prepare = """
    Guidance guidance{};
    guidance.target_gain = real(0.2);
    guidance.target_share = real(0.5);
    Authority const has{real(0.3), real(0.1), time, minimum(time, real(15))};
    Shift const led = speed_to(guidance, has, terminal != 0, distance);
    real const way = way_until(guidance, has, speed);
    """
    return probe(
        "guidance.h", ["led.ahead", "led.aside", "way"], "real distance, real time, real speed, int terminal",
        prepare=prepare,
    )  # fmt: skip


# ---- closed forms


def test_the_speed_toward_a_target_is_what_can_be_stopped(lead):
    """sqrt(2 a d) far from it, 0.2 d near it; never more than the time to contact allows."""
    distance = np.array([1.0, 5, 100, 200])
    speed, brake, _ = lead(distance, 1e4, 0.0, 0)

    np.testing.assert_allclose(speed, np.minimum(0.2 * distance, np.sqrt(2 * 0.3 * distance)), rtol=1e-5)
    np.testing.assert_allclose(brake, np.minimum(0.3, 0.2 * speed), rtol=1e-5)
    for time in (3.0, 10.0, 15.0, 40.0):
        bound = 0.1 * max(min(time, 15) - 4, 0) + 0.3 * max(time - 15, 0)
        assert lead(1e5, time, 0.0, 0)[0] == pytest.approx(bound, rel=1e-5)


def test_the_way_to_rest_is_the_area_under_the_speed_bound(lead):
    """From the bound itself: its integral over the time to contact, by the trapezoid rule."""
    for time in (10.0, 20.0, 45.0):
        t = np.linspace(0, time, 20001)
        bound = 0.1 * np.maximum(np.minimum(t, 15) - 4, 0) + 0.3 * np.maximum(t - 15, 0)
        way = lead(1.0, time, float(bound[-1]), 0)[2]

        assert way == pytest.approx(np.trapezoid(bound, t), rel=1e-3)


def test_a_point_led_by_it_comes_to_rest_over_its_target(lead):
    """A double integrator with the law's gain, from rest and from 3 m/s to either side, 10 to 60 m away, 60 s to go."""
    for start, velocity in ((10.0, 0.0), (60.0, 0.0), (40.0, 3.0), (40.0, -3.0)):
        distance, closing, time = start, velocity, 60.0
        while time > 0:
            speed, brake, _ = (float(one) for one in lead(abs(distance), time, 0.0, int(time < 15)))
            side = np.sign(distance) or 1.0
            share = np.clip(side * closing / max(speed, 1e-3), 0, 1)
            push = 0.4 * (side * speed - closing) - side * brake * share
            closing += 0.1 * np.clip(push, -0.6, 0.6)
            distance -= 0.1 * closing
            time -= 0.1

        assert abs(distance) < 0.5, start
        assert abs(closing) < 0.05, start


# ---- invariants


def test_without_hazards_the_target_moves_to_the_middle_of_its_cell():
    """By half a diagonal of 10 m at most, and an error of 1 m per axis, five sigma: of half of them, the others being
    too far from their target to reach it.
    """
    moved = flown(runs=128, slope_limit="89 deg", rock_limit="100 m", false_alarm=0.0)["divert_distance"].values

    assert (moved > 0).all()
    assert np.median(moved) <= 7.08 + 5


def test_a_lander_without_it_keeps_its_flight():
    """Not fitted: the numbers of the sensor do not matter, and the target never moves."""
    one, other = flown(0, 64), flown(0, 64, height="500 m", radius="5 m", detection=0.1)

    assert one.equals(other)
    assert (one["divert_distance"] == -1).all()


@pytest.mark.parametrize("budget", [{"delta_v": "0 m/s"}, {"reserve": "5000 kg"}])
def test_without_a_budget_the_target_stays(budget):
    """No velocity change, or more propellant than there is: a map without a cell to go to."""
    assert (flown(runs=64, **budget)["divert_distance"] == 0).all()


def test_what_cannot_be_used_is_no_reserve():
    """41 kg of the propellant stay in the tank: no target moves where 15 kg more must be left than any run has.

    15 kg, since the computer's mass errs by a few.
    """
    tank = "[propulsion]\nresidual = 0.04"
    left = flown(0, 64, tank)["propellant_left"].values.max()
    moved = flown(1, 64, tank, reserve=f"{left + 15:.3f} kg")["divert_distance"].values

    assert (flown(1, 64, tank)["divert_distance"].values > 0).any()
    assert (moved == 0).all()


# ---- statistics


@pytest.mark.parametrize("detection", [0.3, 0.9])
def test_a_hazard_is_seen_as_often_as_stated(detection):
    """Every cell a hazard and only its own in reach: the target stays where that is seen."""
    only = {"rock_limit": "1 um", "radius": "1 mm", "margin": 0}
    records = flown(detection=detection, **only)
    seen = int((records["divert_distance"] == 0).sum())
    low, high = stats.binom.interval(1 - FALSE_ALARM, records.sizes["run"], detection)

    assert low <= seen <= high


def test_a_safe_cell_is_mistaken_as_often_as_stated():
    """The same where no cell is a hazard."""
    only = {"rock_limit": "100 m", "slope_limit": "89 deg", "radius": "1 mm", "margin": 0}
    records = flown(false_alarm=0.2, **only)
    mistaken = int((records["divert_distance"] == 0).sum())
    low, high = stats.binom.interval(1 - FALSE_ALARM, records.sizes["run"], 0.2)

    assert low <= mistaken <= high


def test_what_it_saves_is_what_it_sees():
    """Of 60 of 512 landers lost to rocks and slopes, avoidance saves three in four that see all, none that see nothing.

    A lander that sees nothing lands in other cells, which are as bad: 60 +- 8, within four sigma.
    """
    without, seeing, blind = flown(0), flown(detection=1.0), flown(detection=0.0, false_alarm=0.0)

    assert struck(without) > 30
    assert struck(seeing) < 0.25 * struck(without)
    assert abs(struck(blind) - struck(without)) < 4 * np.sqrt(2 * struck(without))


# ---- causes


def test_a_lander_lost_in_a_cell_that_it_did_not_choose_has_failed_to_divert():
    """And one that chose a hazard it did not see is lost to the site."""
    records = flown(detection=0.0, false_alarm=0.0)
    lost = records["outcome"] == "hazard_strike"
    causes = set(np.unique(records["cause"].values[lost.values]))

    assert "terrain_site" in causes
    assert causes <= {"terrain_site", "divert_failed", "guidance_saturated"}
    nowhere = flown(detection=1.0, rock_limit="1 um")
    lost = (nowhere["outcome"] == "hazard_strike").values

    assert lost.sum() > 10
    assert set(nowhere["cause"].values[lost]) <= {"divert_failed", "guidance_saturated"}
