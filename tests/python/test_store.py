"""The store: what was flown outlasts any end of a process, damage is noticed and flown again, one writer at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from mcrisk import netcdf, results, store
from mcrisk.api import fly
from mcrisk.backends.cpu import CpuBackend
from mcrisk.campaign import state
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.flight import Work, fly_together, identity
from mcrisk.goal import Goal
from mcrisk.lock import LOCK
from mcrisk.mission import load
from mcrisk.schema import load_schema
from mcrisk.store import JOURNAL, RECORDS, Store
from mcrisk.tally import tally

MISSION = "generic_small"
RUNS = 192


class Counted(CpuBackend):
    """The CPU, which counts the runs it flies."""

    flown = 0

    def run(self, params, seed, first, count, heights=b""):
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
    fly(campaign, Goal(RUNS, "losses"), CpuBackend(), folder=tmp_path / "store")
    Counted.flown = 0
    return tmp_path / "store"


def again(campaign, folder, runs=RUNS, keep="losses"):
    """The digest of the results, and how many runs were flown for it."""
    before = Counted.flown
    found = fly(campaign, Goal(runs, keep), Counted(), folder=folder)
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
        first, _ = rows[len(rows) // 2]
        journal.execute("DELETE FROM batches WHERE first = ?", (first,))
    (flown / "results.nc").unlink()

    assert len(rows) > 1
    assert again(campaign, flown) == (undisturbed, RUNS)  # all were summed in one row


@pytest.mark.parametrize("table", ["batches", "sums"])
def test_a_row_of_no_runs_is_damage_and_flown_again(campaign, undisturbed, flown, table):
    with sqlite3.connect(flown / JOURNAL) as journal:
        journal.execute(f"UPDATE {table} SET count = -5 WHERE first = 0")
    (flown / "results.nc").unlink()

    assert again(campaign, flown)[0] == undisturbed


def test_what_contradicts_itself_is_told_as_damage(tmp_path):
    """Free space would not help."""
    with pytest.raises(InfrastructureError, match="the file is damaged: move the folder away"), store._told(tmp_path):
        raise sqlite3.IntegrityError("UNIQUE constraint failed: batches.place, batches.first")


def batch(campaign, first, count, keep="losses"):
    """The result of a batch."""
    work = Work(0, first, count, campaign.cases[0].params, campaign.seed, keep, "cpu", identity())
    return fly_together([work])[0]


def test_a_batch_delivered_twice_counts_once(campaign, undisturbed, flown):
    """Also one that was cut otherwise, as after a worker that was taken to hang."""
    with Store.written(flown, campaign, Goal(RUNS, "losses")) as store:
        assert not store.add(batch(campaign, 0, 64))
        assert not store.add(batch(campaign, RUNS - 10, 20))

    assert again(campaign, flown) == (undisturbed, 0)


def test_a_result_that_was_damaged_on_its_way_is_refused(campaign, tmp_path):
    whole = batch(campaign, 0, 16)
    with (
        Store.written(tmp_path, campaign, Goal(16)) as store,
        pytest.raises(InfrastructureError, match="damaged on its way"),
    ):
        store.add(dataclasses.replace(whole, content=whole.content[:-1] + bytes([whole.content[-1] ^ 1])))


def test_sums_of_many_batches_are_folded(campaign, tmp_path, monkeypatch):
    """A row for every four batches, another for four of those, whatever their order; the sum stays exact."""
    monkeypatch.setattr("mcrisk.store.FOLD", 4)
    order = list(range(22))
    random.Random(3).shuffle(order)
    with Store.written(tmp_path, campaign, Goal(22 * 16)) as store:
        for number in order:
            store.add(batch(campaign, 16 * number, 16, "none"))
        rows = store._rows("SELECT level FROM sums")

        assert len(rows) < 16
        assert store.gaps(0, 400) == [(352, 400)]
        assert store.tally(0) == tally(CpuBackend().run(campaign.cases[0].params, campaign.seed, 0, 352), 0)
        store.settle(0)
        assert store._rows("SELECT count FROM sums") == [(352,)]


@pytest.mark.parametrize("at", ["note", "join"])
def test_an_interruption_inside_a_change_of_the_journal_leaves_it_whole(campaign, tmp_path, monkeypatch, at):
    """Between the rows of a batch, and between those of a fold: all that was added before stays, and is enough."""
    monkeypatch.setattr("mcrisk.store.FOLD", 4)

    def interrupt(*_):
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt), Store.written(tmp_path, campaign, Goal(64)) as store:
        for number in range(3):
            store.add(batch(campaign, 16 * number, 16, "none"))
        monkeypatch.setattr(store, "_insert_sum" if at == "note" else "_join", interrupt)
        store.add(batch(campaign, 48, 16, "none"))
    with Store.written(tmp_path, campaign, Goal(64)) as store:
        assert store.forget("none") == 0
        assert store.gaps(0, 64) == [(48, 64)]


def test_only_what_a_lost_row_left_alone_is_flown_again(campaign, tmp_path):
    with Store.written(tmp_path, campaign, Goal(64)) as store:
        for number in range(4):
            store.add(batch(campaign, 16 * number, 16, "none"))
    with sqlite3.connect(tmp_path / JOURNAL) as journal:
        journal.execute("DELETE FROM batches WHERE first = 16")
        journal.execute("DELETE FROM sums WHERE first = 48")
    with Store.written(tmp_path, campaign, Goal(64)) as store:
        store.forget("none")

        assert store.gaps(0, 64) == [(16, 32), (48, 64)]


def test_a_batch_outlasts_the_process_a_quarter_of_a_second_later(campaign, tmp_path):
    """Also where no other one follows it."""
    with Store.written(tmp_path, campaign, Goal(32)) as store:
        store.commit()
        store.add(batch(campaign, 0, 16, "none"))
        time.sleep(0.3)
        store.commit_due()
        with Store.read(tmp_path) as reader:
            assert reader.reached(0) == 16


def test_landings_are_noted_run_by_run(campaign, flown):
    records = CpuBackend().run(campaign.cases[0].params, campaign.seed, 0, RUNS)
    with Store.read(flown) as store:
        bits = store.landed(0, RUNS)
        with pytest.raises(MistakeError, match=f"runs {RUNS} to {RUNS + 8} of {MISSION} are not flown; resume it"):
            store.landed(0, RUNS + 9)

    expected = records["outcome"] == load_schema().enums["Outcome"]["success"]
    np.testing.assert_array_equal(np.unpackbits(bits, bitorder="little")[:RUNS], expected)


def test_kept_records_come_back_from_their_files(campaign, flown):
    """Those of the lost runs, in order, whatever the batches."""
    lost = netcdf.read(flown / "losses.nc")
    records = CpuBackend().run(campaign.cases[0].params, 11, 0, RUNS)
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
    with Store.written(flown, campaign, Goal(2 * RUNS)):
        pass
    so_far = results.read_results(flown / "results.nc")

    assert so_far.attrs["complete"] == 0
    assert (int(so_far["runs"]), so_far.attrs["runs_wanted"]) == (RUNS, 2 * RUNS)
    with Store.read(flown) as store:
        assert (store.counts()[0].tolist(), store.goal.runs) == ([RUNS], 2 * RUNS)


# ---- damage


@pytest.mark.parametrize(("table", "column"), [("sums", "content"), ("batches", "landed"), ("batches", "digest")])
def test_a_flipped_bit_in_the_journal_is_flown_again(campaign, undisturbed, flown, table, column):
    with sqlite3.connect(flown / JOURNAL) as journal:
        first, content = journal.execute(f"SELECT first, {column} FROM {table} LIMIT 1").fetchone()
        spoilt = bytearray(content)
        spoilt[len(spoilt) // 2] ^= 1
        journal.execute(f"UPDATE {table} SET {column} = ? WHERE first = ?", (bytes(spoilt), first))
    if table == "sums":
        with (
            Store.read(flown) as store,
            pytest.raises(InfrastructureError, match="are damaged; the same command flies them"),
        ):
            store.tally(0)

    assert again(campaign, flown) == (undisturbed, RUNS)


@pytest.mark.parametrize("change", ["count = count + 1", "first = first + 16", "landings = landings - 1"])
def test_numbers_of_the_journal_that_changed_are_flown_again(campaign, undisturbed, flown, change):
    with sqlite3.connect(flown / JOURNAL) as journal:
        journal.execute(f"UPDATE batches SET {change} WHERE first = (SELECT MAX(first) FROM batches)")

    assert again(campaign, flown) == (undisturbed, RUNS)


@pytest.mark.parametrize("what", ["statement", "goal"])
def test_a_changed_statement_is_told(campaign, flown, what):
    with sqlite3.connect(flown / JOURNAL) as journal:
        journal.execute(f"UPDATE campaign SET {what} = REPLACE({what}, '1', '2')")

    with pytest.raises(InfrastructureError, match=r"its statement is damaged; .* move the folder away"):
        again(campaign, flown)


def test_changed_parameters_are_told(campaign, flown):
    with sqlite3.connect(flown / JOURNAL) as journal:
        (block,) = journal.execute("SELECT block FROM params").fetchone()
        journal.execute("UPDATE params SET block = ?", (b"\x01" + block[1:],))

    with pytest.raises(InfrastructureError, match="its parameters are damaged"):
        again(campaign, flown)


@pytest.mark.parametrize(
    "spoil", [lambda content: content[:-1], lambda content: content[:9] + b"!" + content[10:], None]
)
def test_lost_records_are_flown_again(campaign, undisturbed, flown, spoil):
    """A chunk cut short, changed, or gone."""
    (chunk,) = (flown / RECORDS).iterdir()
    if spoil:
        chunk.write_bytes(spoil(chunk.read_bytes()))
    else:
        chunk.unlink()

    assert again(campaign, flown) == (undisturbed, RUNS)


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
    """By the system's own lock, so that a number of a process which was given again does not matter."""
    with (
        Store.written(flown, campaign, Goal(RUNS)),
        pytest.raises(MistakeError, match=f"got process {os.getpid()} on .* since"),
    ):
        again(campaign, flown)


@pytest.mark.parametrize("text", [{"pid": 2**22 + 1}, {"pid": os.getpid()}, '{"pi', ""])
def test_the_lock_of_a_process_that_is_gone_is_taken_over(campaign, undisturbed, flown, text):
    """One that ended, one whose number another has now, a torn one, an empty one."""
    held = text if isinstance(text, str) else json.dumps({"host": socket.gethostname(), "since": "then"} | text)
    (flown / LOCK).write_text(held)

    assert again(campaign, flown)[0] == undisturbed
    assert not (flown / LOCK).exists()


def test_the_lock_of_another_host_stays_until_it_is_broken_by_hand(campaign, undisturbed, flown):
    (flown / LOCK).write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "then"}))

    with pytest.raises(MistakeError, match=r"got process 7 on elsewhere since then; .*--force-lock"):
        again(campaign, flown)
    assert (flown / LOCK).exists()
    found = fly(campaign, Goal(RUNS, "losses"), CpuBackend(), folder=flown, force_lock=True)
    assert netcdf.content_digest(found) == undisturbed


def test_a_journal_of_another_version_is_told(campaign, flown):
    with sqlite3.connect(flown / JOURNAL) as journal:
        journal.execute("PRAGMA user_version = 99")

    with pytest.raises(MistakeError, match="expected a journal of version 2, got version 99; choose another --out"):
        again(campaign, flown)
