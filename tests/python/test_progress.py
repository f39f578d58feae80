"""mcrisk.progress: what `run` says while it flies."""

from __future__ import annotations

import numpy as np
import pytest

from mcrisk.progress import Progress
from mcrisk.schema import load_schema
from mcrisk.tally import tally


def flown(runs, landed):
    """The tally of runs of which the first ones land."""
    schema = load_schema()
    records = np.zeros(runs, schema.record_dtype())
    outcomes = schema.enums["Outcome"]
    records["outcome"] = np.where(np.arange(runs) < landed, outcomes["success"], outcomes["timeout"])
    return tally(records, 0)


@pytest.mark.parametrize(
    ("runs", "landed", "expected"),
    [
        # 1 - 0.05^(1/128) = 2.31 %, rounded up
        (128, 0, "0 of 128 runs land: below 2.4 % (95 % confidence, none seen)"),
        (128, 128, "128 of 128 runs land; fewer than 2.4 % are lost (95 % confidence, none seen)"),
        (1, 1, "1 of 1 run lands; fewer than 95 % are lost (95 % confidence, none seen)"),
        # scipy.stats.binomtest(64, 128).proportion_ci(0.95, "exact"): 0.4104, 0.5896
        (128, 64, "64 of 128 runs land: 50 % (41 to 59 %, 95 % confidence)"),
    ],
)
def test_an_estimate_on_the_way_never_stands_alone(runs, landed, expected):
    progress = Progress(1000)
    text = progress.text(runs, [flown(runs, landed)], progress.start + 2.0)

    assert text == f"{runs} of 1 000 runs, {round(runs / 2)} runs/s; {expected}"


def test_of_several_missions_the_one_that_is_flown_now_is_named():
    progress = Progress(256, ["one", "two"])

    assert "; one: 3 of 4 runs land" in progress.text(4, [flown(4, 3), None], progress.start + 1.0)
    assert "; two: 1 of 4 runs land" in progress.text(132, [flown(128, 3), flown(4, 1)], progress.start + 1.0)
