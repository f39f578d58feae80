"""compare and verify on stores: what is flown for them, what is noted, what a later look may still say."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mcrisk
from mcrisk import cli
from mcrisk.api import fly
from mcrisk.backends.cpu import CpuBackend
from mcrisk.campaign import state, state_study
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.goal import Goal
from mcrisk.mission import load
from mcrisk.store import JOURNAL, Store
from mcrisk.study import make_study

MISSION = "generic_small"
RANGE = "altimeter.range_max"
HARD = "success >= 0.9999 @ 0.90"  # undecided after few runs without a loss
SOFT = "success >= 0.8 @ 0.90"


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """ask(words...): exit code and the JSON answer of a command, in its own folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        done = CliRunner().invoke(cli.app, [*map(str, words), "--json"])
        return done.exit_code, json.loads(done.stdout.splitlines()[-1]) if done.stdout else done.stderr

    return call


@pytest.fixture
def store(tmp_path):
    """A folder with 64 runs of two designs that differ in the reach of the altimeter, records of losses kept."""
    study = make_study([load(MISSION)], {RANGE: ["1 km", "6 km"]})
    fly(state_study(study, 5), Goal(64, "losses"), CpuBackend(), folder=tmp_path / "store")
    return tmp_path / "store"


def looks(folder):
    with closing(sqlite3.connect(folder / JOURNAL)) as journal:
        return [json.loads(row[0]) for row in journal.execute("SELECT look FROM looks ORDER BY rowid")]


# ---- verify


def test_a_look_is_noted_once_and_a_later_one_has_the_rest_of_the_risk(ask):
    """First undecided by the exact test at 80 % of the risk; the same runs again are no new look; more runs are one."""
    code, first = ask("verify", MISSION, "--runs", 64, "--out", "s", "--require", HARD)
    again = ask("verify", "s", "--require", HARD)
    later, second = ask("verify", "s", "--runs", 96, "--require", HARD)

    assert (code, first["verdict"], first["looks"], first["planned"]) == (3, "UNDECIDED", 1, True)
    assert first["risk_spent"] == pytest.approx(0.08)
    assert again[1]["looks"] == 1
    assert (later, second["looks"], second["runs"]) == (3, 2, 96)
    assert second["risk_spent"] == pytest.approx(0.10)
    assert [one["runs"] for one in looks(Path("s"))] == [64, 96]


def test_runs_that_were_not_fixed_before_are_no_planned_look(ask):
    ask("run", MISSION, "--runs", 64, "--out", "s")
    ask("resume", "s", "--runs", 128)
    _, told = ask("verify", "s", "--require", SOFT)
    ask("run", MISSION, "--runs", 2000, "--precision", "20 %", "--out", "p")
    _, stopped = ask("verify", "p", "--require", SOFT)

    assert not told["planned"]
    assert not stopped["planned"]


def test_after_another_look_none_can_be_final(ask):
    ask("verify", MISSION, "--runs", 64, "--out", "s", "--require", HARD)
    code, told = ask("verify", "s", "--final", "--require", HARD)

    assert code == 2
    assert "final" in told


def test_runs_above_what_is_held_are_flown_for_a_verdict(ask):
    """Also where a campaign that stopped by its precision was allowed more."""
    ask("run", MISSION, "--runs", 5000, "--precision", "20 %", "--out", "p")
    _, told = ask("verify", "p", "--runs", 1100, "--require", SOFT)

    assert told["runs"] == 1100


def test_a_changed_look_is_refused(ask):
    ask("verify", MISSION, "--runs", 64, "--out", "s", "--require", HARD)
    with closing(sqlite3.connect(f"s/{JOURNAL}")) as journal, journal:
        journal.execute("UPDATE looks SET look = REPLACE(look, 'UNDECIDED', 'PASS')")
    code, told = ask("verify", "s", "--require", HARD)

    assert code == 4
    assert "the looks at its requirements are damaged" in told


def test_each_design_of_a_sweep_is_judged_and_the_worst_decides(ask, store):
    code, told = ask("verify", store, "--require", SOFT)

    assert [one["case"] for one in told["requirements"]] == [
        f"{MISSION}: {RANGE} 1000 m", f"{MISSION}: {RANGE} 6000 m"
    ]  # fmt: skip
    assert (code, told["verdict"]) == (0, "PASS")


# ---- compare


def test_designs_of_a_store_are_compared_without_a_flight(ask, store, monkeypatch):
    monkeypatch.setattr(CpuBackend, "run", lambda *_: pytest.fail("flown"))
    code, told = ask("compare", store)
    (pair,) = told["pairs"]

    assert code == 0
    assert (pair["a"], pair["b"], pair["runs"]) == (f"{RANGE} 1000 m", f"{RANGE} 6000 m", 64)
    assert pair["both_land"] + pair["only_a"] + pair["only_b"] + pair["neither"] == 64


def test_a_store_of_fewer_runs_is_extended_and_keeps_what_it_keeps(ask, store):
    _, told = ask("compare", store, "--runs", 80)

    assert told["pairs"][0]["runs"] == 80
    with Store.read(store) as read:
        assert (read.goal.runs, read.goal.keep) == (80, "losses")


def test_an_interrupted_store_is_compared_only_with_a_number_of_runs(ask, tmp_path):
    """Then no more than these are flown, and it still lacks what it was asked for."""
    campaign = state_study(make_study([load(MISSION)], {RANGE: ["1 km", "6 km"]}), 5)
    with Store.written(tmp_path / "part", campaign, Goal(2000)):
        pass
    refused, text = ask("compare", "part")
    _, told = ask("compare", "part", "--runs", 32)

    assert (refused, told["pairs"][0]["runs"]) == (2, 32)
    assert "resume it first" in text
    with Store.read(tmp_path / "part") as read:
        assert (read.goal.runs, read.counts()[0].tolist()) == (2000, [32, 32])


def test_stores_of_other_seeds_met_other_worlds(ask, store, tmp_path):
    fly(state([load(MISSION)], 6), 32, CpuBackend(), folder=tmp_path / "other")
    code, text = ask("compare", store, "other")

    assert code == 2
    assert "seed" in text


def test_an_impossible_mission_is_named_beside_the_compared_ones(ask, tmp_path):
    (tmp_path / "weak.toml").write_text(f'base = "{MISSION}"\nname = "weak"\n[propulsion.main]\nthrust = "1 kN"\n')
    code, told = ask("compare", MISSION, "hakuto_r_m2", "weak.toml", "--runs", 16, "--out", "s")

    assert (code, len(told["pairs"])) == (0, 1)
    assert told["impossible"][0]["name"] == "weak"
    assert "times the weight" in told["impossible"][0]["reason"]


def test_comparing_from_python_is_the_command(ask, store):
    _, told = ask("compare", store)
    found = mcrisk.compare(store)
    flown = mcrisk.compare(
        *(load(MISSION).replace({RANGE: reach}) for reach in ("1 km", "6 km")), runs=64, seed=5
    )  # fmt: skip

    for name in ("both_land", "only_a", "only_b", "neither"):
        assert found[name].item() == told["pairs"][0][name] == flown[name].item()
    with pytest.raises(MistakeError, match="at least two"):
        mcrisk.compare(MISSION, runs=16)


# ---- labels and methods


def test_exchanged_labels_are_those_of_now(tmp_path):
    """The campaign is the same, its results are not flown again; the names are those that were asked for last."""
    short, long = {RANGE: "2 km"}, {RANGE: "6 km"}
    for labels in (("a", "b"), ("b", "a")):
        designs = dict(zip(labels, (short, long), strict=True))
        found = mcrisk.sweep(MISSION, designs=designs, runs=32, out=tmp_path)

        assert found["design"].values.tolist() == list(labels)
        with Store.read(tmp_path) as store:
            assert [dict(case.coords)["design"] for case in store.campaign.cases] == list(labels)


def test_provisional_figures_have_the_intervals_that_were_asked_for(tmp_path):
    from mcrisk.results import read_results

    with Store.written(tmp_path, state([load(MISSION)]), Goal(64, confidence=0.9, method="wilson")):
        pass
    found = read_results(tmp_path / "results.nc")

    assert (found.attrs["confidence"], found.attrs["interval_method"]) == (0.9, "wilson")


def test_what_stopped_by_its_figures_keeps_its_sequence(tmp_path):
    """More runs afterwards do not make an interval of a fixed number of runs of it; each outcome has a sequence."""
    mcrisk.run(MISSION, runs=3000, precision="20 %", out=tmp_path)
    found = mcrisk.run(MISSION, runs=1100, out=tmp_path)

    assert int(found["runs"]) == 1100
    assert found.attrs["interval_method"] == "confidence-sequence"
    np.testing.assert_array_equal(
        found["outcome_interval"].sel(outcome="success").values, found["success_interval"].values
    )


def test_processes_fly_for_python_too():
    alone, processes = (mcrisk.run(MISSION, runs=64, seed=3, cluster=kind) for kind in (None, "processes"))

    assert int(alone["success_count"]) == int(processes["success_count"])


def test_a_damaged_design_is_told(store):
    with closing(sqlite3.connect(store / JOURNAL)) as journal, journal:
        journal.execute("UPDATE params SET resolved = x'00'")
    with Store.read(store) as read, pytest.raises(InfrastructureError, match="the design of case 0 is damaged"):
        read.resolved(0)
