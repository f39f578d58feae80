"""The store: what was flown outlasts any end of a process, damage is noticed and flown again, one writer at a time."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from mcrisk import netcdf, results
from mcrisk.api import fly
from mcrisk.backends.cpu import CpuBackend
from mcrisk.campaign import state
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.mission import load
from mcrisk.store import JOURNAL, LOCK, RECORDS, Store

MISSION = "generic_small"
RUNS = 192


class Counted(CpuBackend):
    """The CPU, which counts the runs it flies."""

    flown = 0

    def run(self, params, seed, first, count):
        Counted.flown += count
        return super().run(params, seed, first, count)


@pytest.fixture(scope="module")
def campaign():
    return state([load(MISSION)], seed=11)


@pytest.fixture(scope="module")
def undisturbed(campaign):
    return netcdf.content_digest(fly(campaign, RUNS, CpuBackend()))


@pytest.fixture
def flown(campaign, tmp_path):
    """A folder with `RUNS` runs, and a counter set to zero."""
    fly(campaign, RUNS, CpuBackend(), folder=tmp_path / "store", keep="losses")
    Counted.flown = 0
    return tmp_path / "store"


def again(campaign, folder, runs=RUNS, keep="losses"):
    """The digest of the results, and how many runs were flown for it."""
    before = Counted.flown
    found = fly(campaign, runs, Counted(), folder=folder, keep=keep)
    return netcdf.content_digest(found), Counted.flown - before


# ---- known answers


def test_a_finished_campaign_is_not_flown_again(campaign, undisturbed, flown):
    assert again(campaign, flown) == (undisturbed, 0)


def test_more_runs_extend_a_campaign(campaign, flown):
    """Only the new ones are flown, and the sum is that of one flight of all."""
    whole = netcdf.content_digest(fly(campaign, 2 * RUNS, CpuBackend()))

    assert again(campaign, flown, 2 * RUNS) == (whole, RUNS)


def test_a_gap_in_the_journal_is_flown_alone(campaign, undisturbed, flown):
    with sqlite3.connect(flown / JOURNAL) as journal:
        rows = journal.execute("SELECT first, count FROM batches ORDER BY first").fetchall()
        first, count = rows[len(rows) // 2]
        journal.execute("DELETE FROM batches WHERE first = ?", (first,))
    (flown / "results.nc").unlink()

    assert len(rows) > 1
    assert again(campaign, flown) == (undisturbed, count)


def test_a_batch_delivered_twice_counts_once(campaign, undisturbed, flown):
    backend = CpuBackend()
    from mcrisk.tally import tally

    with Store.written(flown, campaign, RUNS) as store:
        records = backend.run(campaign.cases[0].params, 11, 0, 64)
        store.add(0, 0, 64, tally(records, 0))

    assert again(campaign, flown) == (undisturbed, 0)


def test_kept_records_come_back_from_their_files(campaign, flown):
    """Those of the lost runs, in order, whatever the batches."""
    lost = netcdf.read(flown / "losses.nc")
    records = CpuBackend().run(campaign.cases[0].params, 11, 0, RUNS)
    from mcrisk.schema import load_schema

    expected = np.flatnonzero(records["outcome"] != load_schema().enums["Outcome"]["success"])
    np.testing.assert_array_equal(lost["run"], expected)
    np.testing.assert_array_equal(lost["acquisition_height"], records["acquisition_height"][expected])


# ---- ends of processes


@pytest.mark.parametrize(
    "end",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_whatever_ends_a_process_the_next_one_gives_the_undisturbed_results(campaign, tmp_path, end):
    """Three processes ended at instants of their flight, drawn from a fixed seed, then one that is left alone."""
    folder, runs = tmp_path / "store", 6000
    command = [
        sys.executable,
        "-P",
        "-m",
        "mcrisk",
        "run",
        MISSION,
        "--seed",
        "11",
        "--runs",
        str(runs),
        "--out",
        folder,
    ]
    instants = random.Random(5)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (folder / JOURNAL).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(instants.uniform(0, 1))
        process.send_signal(end)
        assert process.wait(30) in {signal.SIGKILL: {-9, 0}, signal.SIGINT: {130, 0}, signal.SIGTERM: {130, 0}}[end]
    done = subprocess.run(command, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    whole = netcdf.content_digest(fly(campaign, runs, CpuBackend()))
    assert netcdf.read(folder / "results.nc").attrs["content_digest"] == whole


def test_an_interrupted_campaign_shows_how_far_it_is(campaign, flown):
    """Its journal asks for more than it holds: the figures are marked as incomplete."""
    with Store.written(flown, campaign, 2 * RUNS):
        pass
    so_far = results.read_results(flown / "results.nc")

    assert so_far.attrs["complete"] == 0
    assert (int(so_far["runs"]), so_far.attrs["runs_wanted"]) == (RUNS, 2 * RUNS)
    with Store.read(flown) as store:
        assert store.progress() == [(RUNS, 2 * RUNS)]


# ---- damage


def test_a_flipped_bit_in_a_tally_is_flown_again(campaign, undisturbed, flown):
    with sqlite3.connect(flown / JOURNAL) as journal:
        first, count, content = journal.execute("SELECT first, count, tally FROM batches LIMIT 1").fetchone()
        spoilt = bytearray(content)
        spoilt[len(spoilt) // 2] ^= 1
        journal.execute("UPDATE batches SET tally = ? WHERE first = ?", (bytes(spoilt), first))
    with (
        Store.read(flown) as store,
        pytest.raises(InfrastructureError, match="are damaged; the same command flies them"),
    ):
        store.tally(0)

    assert again(campaign, flown) == (undisturbed, count)


def test_lost_records_are_flown_again(campaign, undisturbed, flown):
    one = next((flown / RECORDS).iterdir())
    count = int(one.stem.split("-")[2])
    one.unlink()

    assert again(campaign, flown) == (undisturbed, count)


def test_records_that_were_not_kept_are_flown_for_them(campaign, undisturbed, flown):
    digest, count = again(campaign, flown, keep="all")

    assert (digest, count) == (undisturbed, RUNS)
    assert netcdf.read(flown / "all.nc").sizes["run"] == RUNS


def test_a_journal_that_is_none_is_told(campaign, flown):
    (flown / JOURNAL).write_bytes(b"not a database" * 100)

    with pytest.raises(InfrastructureError, match="move the folder away"):
        again(campaign, flown)


def test_another_campaign_is_never_mixed_in(flown):
    with pytest.raises(MistakeError, match=r"expected campaign .*, got results of .*choose another --out"):
        fly(state([load(MISSION)], seed=12), RUNS, CpuBackend(), folder=flown)


# ---- one writer


def test_a_folder_in_use_is_refused_and_names_its_holder(campaign, flown):
    from mcrisk.store import _holder

    (flown / LOCK).write_text(json.dumps(_holder() | {"pid": os.getppid()}))

    with pytest.raises(MistakeError, match=f"got process {os.getppid()} on .* since"):
        again(campaign, flown)


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"boot": "another start"}, None])
def test_the_lock_of_a_process_that_is_gone_is_taken_over(campaign, undisturbed, flown, change):
    """One that ended, one of an earlier start of the system, a torn one."""
    from mcrisk.store import _holder

    (flown / LOCK).write_text(json.dumps(_holder() | change) if change else '{"pi')

    assert again(campaign, flown)[0] == undisturbed
    assert not (flown / LOCK).exists()


def test_the_lock_of_another_host_stays(campaign, flown):
    from mcrisk.store import _holder

    (flown / LOCK).write_text(json.dumps(_holder() | {"host": "elsewhere"}))

    with pytest.raises(MistakeError, match="on elsewhere"):
        again(campaign, flown)
    assert (flown / LOCK).exists()
