"""Same campaign, same bits: whatever the batches, their order and the workers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mcrisk import dataset, netcdf
from mcrisk.api import replay_case
from mcrisk.backends import choose
from mcrisk.campaign import state
from mcrisk.execute import execute
from mcrisk.goal import Goal
from mcrisk.mission import load
from mcrisk.store import Store
from mcrisk.tally import merge, tally

RUNS = 80


@pytest.fixture(scope="module")
def campaign():
    """Two missions that lose runs in different ways, seed of 64 bits."""
    return state([load("generic_small"), load("hakuto_r_m2_late_rangefinder")], seed=2**64 - 1)


@pytest.fixture(scope="module")
def whole(campaign):
    """All records of the first case, flown at once on the CPU."""
    return choose("cpu").run(campaign.cases[0].params, campaign.seed, 0, RUNS)


@pytest.mark.parametrize("size", [1, 7, 16, 33])
def test_a_run_is_the_same_in_any_batch(backend, campaign, whole, size):
    """On every backend: batches of one, within and across the tiles that fly side by side."""
    parts = [
        backend.run(campaign.cases[0].params, campaign.seed, first, min(size, RUNS - first))
        for first in range(0, RUNS, size)
    ]

    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_a_run_far_out_is_the_same_alone(backend, campaign):
    """Run numbers beyond 2^32 are no other runs."""
    params, far = campaign.cases[0].params, 2**40 - 3
    together = backend.run(params, campaign.seed, far, 8)

    assert backend.run(params, campaign.seed, far + 5, 1).tobytes() == together[5:6].tobytes()
    assert together[0].tobytes() != backend.run(params, campaign.seed, (far % 2**32), 1)[0].tobytes()


def test_merging_in_any_order_is_exact(whole):
    """100 random splits, merged in random order, against all runs at once."""
    expected, random = tally(whole, 0), np.random.default_rng(1)
    for _ in range(100):
        cuts = [0, *sorted(random.choice(np.arange(1, RUNS), random.integers(1, 9), replace=False).tolist()), RUNS]
        parts = [tally(whole[a:b], a) for a, b in itertools.pairwise(cuts)]
        random.shuffle(parts)

        assert merge(parts) == expected


def test_the_same_campaign_gives_the_same_bits_whatever_the_workers_and_batches(campaign):
    """Every variable of the dataset, and the kept records."""
    seen = set()
    for workers, batch in ((1, None), (2, 7), (7, 16)):
        with Store.written(None, campaign, Goal(RUNS, "losses")) as store:
            flown = execute(campaign, store.goal, choose("cpu"), workers=workers, batch=batch, store=store)
            kept = [dataset.from_records(campaign, case, *flown.kept[case]) for case in range(2)]
            results = [dataset.from_tallies(campaign, flown.tallies), *kept]
        seen.add(tuple(netcdf.content_digest(one) for one in results))

    assert len(seen) == 1


def test_a_sweep_of_small_cases_gives_the_same_bits_however_they_are_bundled(monkeypatch):
    """Cases that fly together, one after the other, and completed after an interruption; 37 runs fill no tile."""
    several = state([load("generic_small").replace({"altimeter.range_max": f"{n} km"}) for n in range(4, 10)], seed=5)

    def flown(runs: int, before: int = 0) -> str:
        with Store.written(None, several, Goal(runs)) as store:
            if before:
                execute(several, before, choose("cpu"), store=store, workers=2, cases=3)
            found = execute(several, runs, choose("cpu"), store=store, workers=2)
            return netcdf.content_digest(dataset.from_tallies(several, found.tallies))

    together, completed = flown(37), flown(37, before=20)
    monkeypatch.setattr("mcrisk.execute.PIECES", 1)

    assert together == completed == flown(37)


def test_stating_a_campaign_twice_gives_the_same_bytes(campaign):
    again = state([load("generic_small"), load("hakuto_r_m2_late_rangefinder")], seed=2**64 - 1)

    assert again.digest == campaign.digest
    assert [case.params for case in again.cases] == [case.params for case in campaign.cases]


def test_a_replayed_run_is_the_flown_run(campaign, whole):
    """It ends in the same outcome with the same bits in every metric."""
    names = dict(dataset.load_schema().enums["Outcome"].members)
    for run in (0, 13, 64):
        flight = replay_case(campaign, run)

        assert names[flight.attrs["outcome"]] == whole["outcome"][run]
        for name, value in flight.attrs.items():
            if name.startswith("final_"):
                assert np.float32(value) == whole[name.removeprefix("final_")][run]


def test_another_seed_is_another_world(campaign, whole):
    other = choose("cpu").run(campaign.cases[0].params, campaign.seed - 1, 0, RUNS)

    assert not np.any(other["flight_time"] == whole["flight_time"])
