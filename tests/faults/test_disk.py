"""Disks that are full: one line that names the place, nothing lost that was committed, and it goes on with space."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from field import MISSION, SEED, Figures, field_of, forks_of, may_mount

from mcrisk.campaign import state
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.goal import Goal
from mcrisk.mission import load
from mcrisk.store import Store

TINY = 300
RUNS = 3000


def committed(field) -> int:
    """Runs in the journal."""
    if not (field.store / "journal.sqlite").is_file():
        return 0
    with closing(sqlite3.connect(f"file:{field.store / 'journal.sqlite'}?mode=rw", uri=True)) as journal:
        if not journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'batches'").fetchone():
            return 0
        return int(journal.execute("SELECT COALESCE(SUM(count), 0) FROM batches").fetchone()[0])


def complaint(status: int, said: list[str], place: str) -> list[str]:
    """What is wrong with the message of a full disk."""
    if status != 4 or len(said) != 1 or not re.search(rf"mcrisk: .*{re.escape(place)}.*(full|space)", said[0]):
        return [f"status {status}: {' | '.join(said)}"[:1000]]
    return []


def full_at_every_write(step: int = 1) -> Figures:
    """No space from the k-th write in the store on, until the command has ended."""
    figures = Figures("disk full from the k-th write on")
    with field_of(TINY, "losses") as field, forks_of(field) as forks:
        call = 1
        while True:
            shutil.rmtree(field.store, ignore_errors=True)
            field.flown_file.unlink(missing_ok=True)
            told = forks.do(field.command, call, 2)
            figures.longest = max(figures.longest, told["seconds"])
            if told["status"] == 0:
                return figures
            problems = complaint(told["status"], told["said"], str(field.store)) + field.peek()
            held = committed(field)
            again = forks.do(field.command)
            if again["status"] or again["said"]:
                problems.append(f"after: status {again['status']} {again['said']}")
            if held > committed(field):
                problems.append(f"{held} committed runs were lost")
            figures.again += max(0, field.flown() - TINY)
            figures.judge([f"write {call}: {one}" for one in problems + field.differs() + field.files_left()])
            call += step


def full_device(sizes: range) -> Figures:
    """A file system of so many kilobytes that is made larger afterwards."""
    figures = Figures("disk full on a small tmpfs")
    for size in sizes:
        with field_of(RUNS, "losses") as field:
            field.store.mkdir()
            mounted = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(field.store)]
            subprocess.run(mounted, check=True)
            try:
                process = field.start()
                code = process.wait(120)
                problems = [] if code == 0 else complaint(code, field.complaints(process), str(field.store))
                problems += field.peek()
                held = committed(field)
                subprocess.run(["mount", "-o", "remount,size=64m", str(field.store)], check=True)
                again = ("resume", str(field.store), "--backend", "cpu") if held else ()
                problems += field.finish(*again) if code else []
                if held > committed(field):
                    problems.append(f"{held} committed runs were lost")
                figures.again += max(0, field.flown() - RUNS)
                figures.judge([f"{size} kB: {one}" for one in problems], int(code != 0))
            finally:
                subprocess.run(["umount", "-l", str(field.store)], check=True)
    return figures


@pytest.fixture
def tmpfs():
    """Skipped where this user may not mount."""
    if not may_mount():
        pytest.skip("this user may not mount a file system")


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_what_is_committed_stays(shim, step):
    figures = full_at_every_write(step)

    assert figures.recovered == figures.tried > 30 // step, str(figures)


@pytest.mark.slow
def test_a_full_device_is_one_line_and_what_is_committed_stays(tmpfs):
    figures = full_device(range(24, 304, 28))

    assert figures.recovered == figures.tried >= 8, str(figures)


def test_a_disk_that_is_full_is_told_where_the_database_has_undone_everything(tmp_path):
    """SQLite ends the whole transaction then, and the savepoint within it is gone."""
    campaign = state([load(MISSION)], SEED)
    with (
        pytest.raises(InfrastructureError, match=r"journal.sqlite: database or disk is full; free space"),
        Store.written(tmp_path, campaign, Goal(TINY)) as store,
        store._together(),
    ):
        store._connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")


def test_a_journal_that_a_full_disk_left_empty_is_told_and_begun_by_the_same_command(tmp_path):
    campaign = state([load(MISSION)], SEED)
    (tmp_path / "journal.sqlite").touch()
    with pytest.raises(MistakeError, match=r"nothing was ever noted; give the command again"), Store.read(tmp_path):
        pass
    with Store.written(tmp_path, campaign, Goal(TINY)) as store:
        assert store.gaps(0, TINY) == [(0, TINY)]


def test_a_file_size_limit_is_one_line(tmp_path):
    """RLIMIT_FSIZE at 20 kB, below the size of any journal; Python ignores the signal that comes with it."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); from mcrisk import cli; "
        f"sys.argv = ['mcrisk', 'run', 'generic_small', '--runs', '64', '--seed', '{SEED}', '--out', sys.argv[1]]; "
        "sys.exit(cli.main())"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("mcrisk:")]

    assert (done.returncode, len(lines)) == (4, 1), done.stderr
    assert str(tmp_path / "store") in lines[0]
    assert "Traceback" not in done.stderr
