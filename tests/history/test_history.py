"""Landings of history flown again, 512 runs each. Figures: scripts/validate history.

Seed 0 raises no false alarm. On other worlds each verdict over shares would be wrong with a probability below 1e-5
(binomial, shares of 2000 runs), over medians below 1e-9: they lie many standard errors from their bounds.
"""

from __future__ import annotations

import numpy as np
import pytest

from mcrisk import history
from mcrisk.errors import MistakeError
from mcrisk.mission import load
from mcrisk.nominal import design
from mcrisk.schema import load_schema
from mcrisk.validate import markdown

FLOWN = ("beresheet", "chandrayaan_2", "im_1", "im_2", "slim")


@pytest.mark.parametrize("name", [one for one in history.MISSIONS if one not in FLOWN])
def test_what_landed_or_was_expected_to_lands(fly, name) -> None:
    """98.6 % of Chandrayaan-3 land, the fewest of these."""
    assert fly(name).share > 0.95


def test_apollo_11_could_have_landed_itself(fly) -> None:
    """A probe of 1.7 m cuts at 3 ft/s, and what a crew burns in finding a place is left. Ellipse: 18.8 km long, O."""
    flown = fly("apollo_11")

    assert 2.0 < flown.median("descent_rate") < 2.6
    assert flown.median("propellant_left") > 304  # usable after the flight by hand, M
    assert np.quantile(np.abs(flown.records["miss_downrange"]), 0.99) < 9400


def test_an_engine_that_crews_leave_on_lands_them_softly(fly) -> None:
    """0.55 m/s were reported where 0.91 m/s are asked for."""
    assert fly("apollo_11", {"guidance.cutoff": "contact"}).median("descent_rate") < 1.1


def test_a_test_of_radar_heights_before_high_gate_would_have_cost_landings(fly) -> None:
    """There was none before it: the first radar heights are off by as much as 1.2 km."""
    flown = fly("apollo_11", {"navigation.gate_window": "15.24 m", "navigation.gate_fraction": 0.125})
    rejected = load_schema().enums["Cause"]["altimeter_rejected"]

    assert 0.8 < flown.share < 0.97
    assert np.mean(flown.records["cause"] == rejected) > 0.9 * (1 - flown.share)


def test_rough_braking_of_chandrayaan_3_takes_the_time_and_way_it_was_given(fly) -> None:
    """690 s and 713.5 km, ISRO."""
    planned = design(load("chandrayaan_3"))

    assert abs(fly("chandrayaan_3").median("gate_time") / 690 - 1) < 0.05
    assert abs((planned.value("guidance.ignition_range") - planned.value("guidance.gate_range")) / 713.5e3 - 1) < 0.05


def test_change_5_burns_what_it_burnt(fly) -> None:
    """1898 kg, Zhang et al. 2021; the mass at ignition is recalled."""
    used = 0.99 * load("change_5").value("propulsion.propellant") - fly("change_5").median("propellant_left")

    assert abs(used / 1898 - 1) < 0.05


def test_without_range_finders_im_1_comes_down_too_fast(fly) -> None:
    """Hard landings and worse, by drift of navigation."""
    flown, schema = fly("im_1"), load_schema()
    drifted = flown.records["cause"] == schema.enums["Cause"]["navigation_drift"]

    assert flown.share < 0.4
    assert np.mean(drifted[flown.records["outcome"] != schema.enums["Outcome"]["success"]]) > 0.6


def test_without_usable_height_im_2_is_lost_more_often_than_not(fly) -> None:
    """It landed on its side."""
    assert fly("im_2").share < 0.4


def test_the_orbit_of_luna_25_is_refused_by_its_name() -> None:
    """127 s of burn instead of 84 s: perilune 22 km below the ground."""
    with pytest.raises(MistakeError, match=r"orbit\.perilune: expected more than 0 m, got \"-22 km\""):
        design(load("luna_25_as_designed").replace({"orbit.perilune": "-22 km"}))


@pytest.mark.parametrize(("name", "cause"), [("beresheet", "computer_reset"), ("slim", "thrust_short")])
def test_what_was_lost_to_a_fault_is_lost_to_it(fly, name, cause) -> None:
    flown = fly(name)

    assert flown.share < 0.05
    assert np.mean(flown.records["cause"] == load_schema().enums["Cause"][cause]) > 0.8


def test_every_outcome_of_the_table_agrees(fly) -> None:
    """Figures need not: their rows say why. Nor does Chandrayaan-2 as flown: what killed it is not modelled."""
    rows = history.rows(fly)
    outcomes = [row for row in rows if row.figure.endswith("outcome")]

    assert len(outcomes) == 14
    assert [(row.mission, row.figure) for row in outcomes if row.agrees is not True] == [
        ("Chandrayaan-2", "as flown, outcome")
    ]
    assert all(row.remark for row in rows if row.agrees is False)
    assert markdown(rows, 512, 0).count("\n") == 3 + len(rows)


# ---- reported first touches: nothing is drawn


def test_apollo_15_rests_as_steeply_as_its_ground_and_strikes_its_nozzle() -> None:
    """11 deg at rest, nozzle buckled; with the nozzle of Apollo 11 it stays free."""
    landed = history.touchdowns("Apollo 15")
    tilt = np.degrees(landed["rest_tilt"])

    assert tilt.min() < 11 < tilt.max()
    assert tilt.max() - tilt.min() < 4
    assert np.median(landed["room"]) < 0
    assert landed["room"].min() + 0.254 > 0


def test_apollo_11_hardly_strokes_its_legs() -> None:
    landed = history.touchdowns("Apollo 11")

    assert np.all(landed["result"] == 0)
    assert landed["stroke"].max() < 0.1


def test_a_surveyor_stands_after_its_fall_of_four_metres() -> None:
    assert np.all(history.touchdowns("Surveyor 3 cut")["result"] == 0)


def test_a_surveyor_with_engines_left_on_goes_on_for_tens_of_metres() -> None:
    """Hops of 20 and 11 m; here it slides."""
    assert 10 < np.median(history.touchdowns("Surveyor 3 on")["slide"]) < 60


def test_a_caught_foot_exhausts_a_leg_of_im_1_on_its_slope() -> None:
    """A leg broke."""
    assert np.any(history.touchdowns("IM-1")["result"] > 0)
