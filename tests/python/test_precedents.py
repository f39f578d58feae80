"""Faults of history on a lander of today: they strike, they are told, and nothing else changes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mcrisk
from mcrisk import cli, precedents
from mcrisk.errors import MistakeError

RUNS = 200


@pytest.fixture(scope="module")
def found():
    return mcrisk.survive("generic_small", runs=RUNS)


def test_without_any_it_is_the_plain_campaign(found):
    plain = mcrisk.run("generic_small", runs=RUNS)

    assert found["precedent"].values[0] == precedents.NONE
    np.testing.assert_array_equal(
        found["outcome_count"].sel(precedent="none").values, plain["outcome_count"].squeeze().values
    )


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("false_touch", "premature_cutoff"),
        ("nozzle_loss", "hard_landing"),
        ("computer_reset", "terrain_collision"),
        ("missing_cut_off", "tip_over"),
    ],
)
def test_each_kills_in_its_own_way(found, name, outcome):
    """Most of the runs: seed 0, and shares far from one half (binomial, false alarm below 1e-9 on other worlds)."""
    one = found.sel(precedent=name)

    assert one["outcome_count"].sel(outcome=outcome) > 0.6 * RUNS


def test_a_late_range_finder_is_survived_by_a_lander_that_still_has_thrust(found):
    """generic_small has twice its weight: 900 m do; without any range most are lost."""
    landed = found["success_probability"]

    assert landed.sel(precedent="late_altimetry") > 0.95
    assert landed.sel(precedent="no_altimetry") < 0.6


def test_only_what_a_lander_has_can_fail():
    names = {one.name for one in precedents.applicable(mcrisk.load("generic_small"))}

    assert {one.name for one in precedents.PRECEDENTS} - names == {"cluster_engine_loss"}
    assert "cluster_engine_loss" in {one.name for one in precedents.applicable(mcrisk.load("blue_ghost_m1"))}


def test_the_command_tells_the_story(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mcrisk", "survive", "generic_small", "--runs", "32"])
    assert cli.main() == 0
    text = capsys.readouterr().out
    for one in precedents.applicable(mcrisk.load("generic_small")):
        assert one.name in text and one.lander in text
    assert "not for this lander: cluster_engine_loss" in text

    monkeypatch.setattr("sys.argv", ["mcrisk", "survive", "generic_small", "--runs", "32", "--json"])
    assert cli.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert [case["precedent"] for case in told["cases"]][:2] == ["none", "late_altimetry"]
    assert all(case["success_count"] + sum(case["losses"].values()) == case["runs"] == 32 for case in told["cases"])


def test_a_mission_that_is_none_is_told():
    with pytest.raises(MistakeError, match="nowhere"):
        mcrisk.survive("nowhere")
