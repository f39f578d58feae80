"""HAKUTO-R Mission 1, Atlas, 25 April 2023. Figures: scripts/validate. Fixed seed: these tests raise no false alarm."""

from __future__ import annotations

import numpy as np

from mcrisk.schema import load_schema


def test_crossing_the_rim_locks_the_altimeter_out_and_the_lander_runs_dry(fly) -> None:
    """ispace, 26 May 2023: measured height rejected after a 3 km step; propellant ran out in slow descent."""
    flown = fly("hakuto_r_m1")
    schema = load_schema()
    dry = flown.records["outcome"] == schema.enums["Outcome"]["propellant_depletion"]

    assert flown.landed == 0
    assert np.mean(flown.records["cause"] == schema.enums["Cause"]["altimeter_rejected"]) > 0.9
    assert np.mean(dry) > 0.8
    assert np.median(flown.records["false_ground_height"][dry]) > 2000
    assert 85 < np.median(flown.records["impact_speed"][dry]) < 125  # a fall from 2.2 to 4.8 km; above 100 reported


def test_without_the_rim_the_same_lander_lands(fly) -> None:
    assert fly("hakuto_r_m1_original_site").share > 0.85


def test_a_reset_or_a_terrain_map_saves_the_same_worlds(fly) -> None:
    for policy in ("reset", "dem_aware"):
        assert fly("hakuto_r_m1", {"navigation.gate_policy": policy}).share > 0.85


def test_a_sensor_that_sees_no_ground_before_the_rim_is_not_locked_out(fly) -> None:
    """Beam on the thrust axis, or 5 km of range: the first sample comes after the rim."""
    locked = load_schema().enums["Cause"]["altimeter_rejected"]
    for change in ({"altimeter.beam_B": [0, 0, -1]}, {"altimeter.range_max": "5 km"}):
        flight = fly("hakuto_r_m1", change)

        assert flight.share > 0.5
        assert np.mean(flight.records["cause"] == locked) < 0.05
