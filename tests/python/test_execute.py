"""mcrisk.execute: batches over threads, with a made-up backend whose records tell their run numbers."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest

from mcrisk.campaign import Campaign, Case
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.execute import RUNS_LIMIT, check_runs, execute
from mcrisk.schema import load_schema
from mcrisk.tally import tally

SUCCESS = load_schema().enums["Outcome"]["success"]
CAMPAIGN = Campaign("two", (Case("a", b"\x01"), Case("b", b"\x02")), seed=7, kernel_digest="0" * 64)


class MadeUp:
    """Every third run is lost; the flight time is the run number, so that a missing or doubled run shows."""

    name = "cpu"
    batch = 4096
    real = 4

    def __init__(self, failing=None):
        self.calls = []
        self.lock = threading.Lock()
        self.failing = failing

    def run(self, params, seed, first, count):
        with self.lock:
            self.calls.append((params, first, count))
        if self.failing is not None and first <= self.failing < first + count:
            raise InfrastructureError("the device is gone")
        records = np.zeros(count, load_schema().record_dtype())
        number = np.arange(first, first + count)
        records["outcome"] = np.where(number % 3 == 0, number % 7, SUCCESS)
        records["contact"] = 1
        records["flight_time"] = number * params[0]
        return records


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("batch", [None, 1, 48, 10_000])
def test_every_run_is_flown_once_whatever_the_workers_and_batches(workers, batch):
    backend = MadeUp()
    flown = execute(CAMPAIGN, 100, backend, workers=workers, batch=batch)
    expected = [tally(MadeUp().run(case.params, 7, 0, 100), 0) for case in CAMPAIGN.cases]

    assert list(flown.tallies) == expected
    assert flown.tallies[0].ranges == ((0, 100),)
    assert sum(count for _, _, count in backend.calls) == 200


def test_batches_fill_whole_tiles_except_the_last():
    backend = MadeUp()
    execute(CAMPAIGN, 10_007, backend, workers=2)
    ends = {first + count for _, first, count in backend.calls}

    assert all(first % 16 == 0 for _, first, _ in backend.calls)
    assert {end for end in ends if end % 16} == {10_007}


def test_no_runs_are_lost_between_two_workers():
    """A small campaign is halved between two workers rather than given to one."""
    backend = MadeUp()
    execute(Campaign("one", CAMPAIGN.cases[:1], 7, "0" * 64), 96, backend, workers=2)

    assert sorted(count for _, _, count in backend.calls) == [48, 48]


def test_a_gpu_gets_large_batches():
    backend = MadeUp()
    backend.name, backend.batch = "gpu", 1000
    execute(CAMPAIGN, 2500, backend)

    assert sorted(count for _, _, count in backend.calls) == [500, 500, 1000, 1000, 1000, 1000]


@pytest.mark.parametrize("keep", ["none", "losses", "all"])
def test_kept_records_are_in_order_with_their_numbers(keep):
    flown = execute(CAMPAIGN, 1000, MadeUp(), workers=3, batch=64, keep=keep)
    everything = MadeUp().run(b"\x02", 7, 0, 1000)
    lost = everything["outcome"] != SUCCESS
    chosen = {"none": np.zeros(1000, bool), "losses": lost, "all": np.ones(1000, bool)}[keep]
    numbers, records = flown.kept[1]

    assert np.array_equal(numbers, np.flatnonzero(chosen))
    assert np.array_equal(records, everything[chosen])


def test_progress_hears_of_all_runs():
    heard = []
    execute(CAMPAIGN, 1000, MadeUp(), batch=100, progress=lambda done, tallies: heard.append((done, tallies)))
    done = [count for count, _ in heard]

    assert done == sorted(done) == list(range(100, 2001, 100))
    assert [one.runs for one in heard[-1][1]] == [1000, 1000]


def test_a_failed_batch_fails_the_campaign_with_its_own_message():
    with pytest.raises(InfrastructureError, match="the device is gone"):
        execute(CAMPAIGN, 1000, MadeUp(failing=700), batch=100)


def test_an_interruption_comes_through():
    def interrupt(done, tallies):
        if done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(CAMPAIGN, 100_000, MadeUp(), batch=16, progress=interrupt)


@pytest.mark.parametrize("runs", [0, -1, RUNS_LIMIT + 1, 10**30])
def test_runs_that_cannot_be_meant_are_refused_before_any_is_flown(runs):
    backend = MadeUp()
    with pytest.raises(MistakeError, match="runs: expected"):
        execute(CAMPAIGN, runs, backend)

    assert backend.calls == []


def test_records_that_would_not_fit_are_refused_before_any_is_flown():
    with pytest.raises(MistakeError, match="keep losses"):
        check_runs(10**9, 1, "all")

    check_runs(10**9, 1, "losses")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_flies_after_its_parent_has_flown():
    """Threads do not survive a fork, so none may be kept for the next campaign; 30 s stand for forever."""
    expected = execute(CAMPAIGN, 100, MadeUp(), workers=2).tallies
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: sending.send(execute(CAMPAIGN, 100, MadeUp(), workers=2).tallies == expected)
    )
    child.start()
    child.join(30)
    hangs = child.is_alive()
    child.kill()

    assert not hangs
    assert receiving.poll() and receiving.recv()
