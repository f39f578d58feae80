"""mcrisk.api: what a Python program passes, and what it is refused."""

from __future__ import annotations

import numpy as np
import pytest

import mcrisk
from mcrisk.errors import MistakeError

MISSION = "generic_small"


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64, np.array])
def test_whole_numbers_of_numpy_are_whole_numbers(kind):
    """112 runs of 164 bytes each overflow eight bits."""
    expected = mcrisk.run(MISSION, runs=112, seed=7)
    records = mcrisk.records(MISSION, runs=kind(112), seed=kind(7))
    flight = mcrisk.replay(MISSION, run=kind(5), seed=kind(7))

    assert mcrisk.run(MISSION, runs=kind(112), seed=kind(7)).attrs["campaign"] == expected.attrs["campaign"]
    assert int((records.outcome == "success").sum()) == int(expected.success_count)
    assert flight.attrs["outcome"] == records.outcome.sel(run=5).item()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mcrisk.run(MISSION, runs=16.5), "runs: expected a whole number, got 16.5"),
        (lambda: mcrisk.run(MISSION, runs=float("inf")), "runs: expected a whole number, got inf"),
        (lambda: mcrisk.load(3), "mission: expected a name, a path or a mission, got 3"),
        (lambda: mcrisk.run(MISSION, runs=True), "runs: expected a whole number, got True"),
        (lambda: mcrisk.run(MISSION, seed=np.array([7])), r"seed: expected a whole number, got array\(\[7\]\)"),
        (lambda: mcrisk.run(MISSION, seed=-1), r"seed: expected 0 \.\. 2\^64 - 1, got -1"),
        (lambda: mcrisk.run(MISSION, backend=None), "backend: expected auto or cpu or gpu, got 'None'"),
        (lambda: mcrisk.run(MISSION, confidence=None), "confidence: expected a number between 0 and 1, got None"),
        (lambda: mcrisk.run(MISSION, confidence="0.9"), "confidence: expected a number between 0 and 1, got '0.9'"),
        (lambda: mcrisk.replay(MISSION, run=1.5), "run: expected a whole number, got 1.5"),
        (lambda: mcrisk.replay(MISSION, run="5"), "run: expected a whole number, got '5'"),
        (lambda: mcrisk.replay([MISSION, MISSION], run=5), "mission: expected one mission, got 2 of them"),
        (lambda: mcrisk.records([MISSION, MISSION]), "mission: expected one mission, got 2 of them"),
        (lambda: mcrisk.records([]), "no mission given"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(call, words):
    with pytest.raises(MistakeError, match=words) as refusal:
        call()

    assert "\n" not in str(refusal.value)


def test_runs_may_be_written_as_people_write_many():
    """1e2 is a hundred."""
    assert int(mcrisk.run(MISSION, runs=1e2).runs) == mcrisk.records(MISSION, runs=1e2).sizes["run"] == 100


def test_a_mission_is_loaded_already():
    """As functions take either."""
    mission = mcrisk.load(MISSION).replace({"altimeter.range_max": "3 km"})

    assert mcrisk.load(mission) is mission


def test_the_greatest_seed_and_runs_beyond_32_bits_are_flown():
    """Run 2^32 + 5 is another world than run 5."""
    near, far = (mcrisk.replay(MISSION, run=run, seed=2**64 - 1) for run in (5, 2**32 + 5))

    assert not near["position_S"].equals(far["position_S"])
    assert far.attrs["run"] == 2**32 + 5


def test_a_loss_decided_in_flight_stands_though_the_numbers_run_away_afterwards():
    """A lost cluster engine is fatal; what spins without end afterwards leaves the finite numbers."""
    fatal = mcrisk.load("hakuto_r_m2_as_designed").replace(
        {"faults.cluster_loss.probability": 1.0, "faults.cluster_loss.window": "600 s"}
    )
    records = mcrisk.records(fatal, runs=512)

    assert set(records.outcome.values.tolist()) == {"loss_of_control"}
    assert "none" not in records.cause.values
