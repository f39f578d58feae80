"""Single flipped bits in the files of a store: noticed and flown again, refused in one message, or without effect."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from field import MISSION, SEED, Field, Figures, Forks, field_of, forks_of, undisturbed

from mcrisk.api import fly
from mcrisk.backends.cpu import CpuBackend
from mcrisk.campaign import state
from mcrisk.errors import InfrastructureError, McriskError
from mcrisk.goal import Goal
from mcrisk.mission import load
from mcrisk.store import Store

TINY = 200
RUNS_TOLD = ("runs", "success_count", "outcomes", "causes", "metrics")


def flips_of_bits(count: int, seed: int = 7) -> Figures:
    """One bit of one file, drawn evenly from the files and then from their bits; every command looks at it."""
    figures, draws = Figures("flipped bits"), random.Random(seed)
    told = {"flown again": 0, "refused": 0, "without effect": 0}
    with field_of(TINY, "losses") as field, forks_of(field) as forks:
        assert forks.do(field.command)["status"] == 0
        shown = figures_shown(forks, field)
        landed = landings(field.store)
        whole = field.folder / "whole"
        field.store.rename(whole)
        files = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
        for _ in range(count):
            name = draws.choice(files)
            place = draws.randrange(8 * (whole / name).stat().st_size)
            problems, what = after_flip(field, forks, whole, name, place, shown, landed, figures)
            told[what] += 1
            figures.judge([f"bit {place} of {name}: {one}" for one in problems])
    figures.notes += [f"{number} {what}" for what, number in told.items()]
    return figures


def after_flip(
    field: Field, forks: Forks, whole: Path, name: Path, place: int, shown: Any, landed: bytes, figures: Figures
) -> tuple[list[str], str]:
    """What is wrong after a flip, and what became of it."""
    problems, what = [], "without effect"
    show, resume = ["show", str(field.store), "--json"], ["resume", str(field.store), "--backend", "cpu"]
    steps = [(False, show), (False, field.command)]
    if name.suffix != ".nc":
        steps = [(False, show), (True, show), (True, resume if place % 4 == 0 else field.command)]
    for bare, arguments in steps:  # bare: results.nc is gone, and the journal must tell its figures
        shutil.rmtree(field.store, ignore_errors=True)
        shutil.copytree(whole, field.store)
        spoilt = bytearray((field.store / name).read_bytes())
        spoilt[place // 8] ^= 1 << place % 8
        (field.store / name).write_bytes(spoilt)
        if bare:
            (field.store / "results.nc").unlink()
        problems += seen_landings(field.store, landed)
        before = field.flown()
        told = forks.do(arguments)
        again = field.flown() - before
        figures.again += again
        figures.longest = max(figures.longest, told["seconds"])
        if told["status"] in (2, 4) and len(told["said"]) == 1 and told["said"][0].startswith("mcrisk: "):
            if "internal error" in told["said"][0]:
                problems.append(told["said"][0])
            what = "refused" if what != "flown again" else what
        elif told["status"]:
            problems.append(f"{arguments[0]}: status {told['status']} {told['said']}")
        elif arguments[0] == "show":
            if cases(told["out"]) != shown:
                problems.append(f"show tells other figures{' from the journal' if bare else ''}")
        else:
            problems += field.differs()
            what = "flown again" if again else what
    return problems, what


def figures_shown(forks: Forks, field: Field) -> Any:
    return cases(forks.do(["show", str(field.store), "--json"])["out"])


def cases(text: str) -> Any:
    """What is told of the cases, as text: equal figures, equal text."""
    told = json.loads(text)
    return [{key: json.dumps(case[key], sort_keys=True) for key in RUNS_TOLD} for case in told["cases"]]


def landings(store: Path) -> bytes:
    """Landings of all runs, as a comparison reads them."""
    with Store.read(store) as opened:
        return opened.landed(0, TINY).tobytes()


def seen_landings(store: Path, expected: bytes) -> list[str]:
    """A comparison must not see other landings."""
    try:
        seen = landings(store)
    except McriskError:
        return []
    except Exception as error:
        return [f"landings: {type(error).__name__}: {error}"]
    return [] if seen == expected else ["other landings"]


@pytest.mark.parametrize("count", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_a_flipped_bit_never_changes_a_result(count):
    figures = flips_of_bits(count)

    assert figures.recovered == figures.tried == count, str(figures)


@pytest.mark.parametrize("change", ["count = count + 8", "landed = zeroblob(12)", "landings = landings - 1"])
def test_landings_that_changed_are_refused(tmp_path, change):
    """A comparison reads the landings of runs from the journal and nothing else."""
    campaign = state([load(MISSION)], SEED)
    fly(campaign, Goal(TINY), CpuBackend(), folder=tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal, journal:
        journal.execute(f"UPDATE batches SET {change} WHERE first = 0")
    with Store.read(tmp_path) as store, pytest.raises(InfrastructureError, match=r"runs 0 to .* are damaged"):
        store.landed(0, TINY)


def test_landings_of_a_row_that_is_lost_are_refused(tmp_path):
    campaign = state([load(MISSION)], SEED)
    fly(campaign, Goal(TINY), CpuBackend(), folder=tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal, journal:
        journal.execute("DELETE FROM batches WHERE first = 0")
    with Store.read(tmp_path) as store, pytest.raises(InfrastructureError, match=r"runs 0 to .* are damaged"):
        store.landed(0, TINY)


def test_the_judge_of_this_campaign_sees_a_single_run():
    assert undisturbed(TINY) != undisturbed(TINY - 1)
