"""The command line: what it prints where, and how it refuses. Real flights of a shipped mission, a few of them."""

from __future__ import annotations

import doctest
import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcrisk import api, backends, cli, execute, native, results, scripting
from mcrisk.commands import shared

MISSION = "generic_small"


@pytest.fixture
def no_flights(monkeypatch):
    """Fails the test when a run is flown, or the choice of a device announced."""

    def refuse(*_, **__):
        raise AssertionError("a run was flown")

    monkeypatch.setattr(execute, "execute", refuse)
    monkeypatch.setattr(backends, "announce", refuse)


def test_run_prints_the_answer_on_stdout_and_its_choices_on_stderr(mcrisk):
    code, out, err = mcrisk("run", MISSION, "--runs", "64", "--backend", "cpu")

    assert code == 0
    assert re.search(r"generic_small: \d+ of 64 runs land", out)
    assert "95 % confidence" in out
    assert "touchdown of" in out
    assert not re.search(r" +$", out, re.MULTILINE)
    assert "64 runs, seed 0, backend cpu" in err
    assert "confidence 0.95, keep none" in err


def test_no_probability_is_printed_without_its_interval(mcrisk):
    """Every percentage of the answer is an end of an interval, beside one, or a confidence or quantile."""
    _, out, _ = mcrisk("run", MISSION, "--runs", "64")

    for line in out.splitlines():
        for found in re.finditer(r"(\d[\d.]*) %", line):
            rest = line[found.end() :]
            known = "confidence" in rest or re.match(r" +\S+ to \S+ %", rest) or line[: found.start()].endswith("to ")
            assert known or "median" in line, line


def test_json_is_one_object_on_stdout_and_nothing_else(mcrisk):
    code, out, _ = mcrisk("run", MISSION, "--runs", "48", "--seed", "3", "--json")
    told = json.loads(out)

    assert code == 0
    assert out.count("\n") == 1
    assert (told["seed"], told["complete"], told["cases"][0]["runs"]) == (3, True, 48)
    assert told["cases"][0]["name"] == MISSION


def test_the_same_campaign_is_not_flown_again(mcrisk, monkeypatch, request):
    first = json.loads(mcrisk("run", MISSION, "--runs", "48", "--json")[1])
    request.getfixturevalue("no_flights")
    code, out, err = mcrisk("run", MISSION, "--runs", "32", "--json")

    assert code == 0
    assert json.loads(out) == first
    assert "48 runs of this campaign already" in err


def test_more_runs_of_the_same_campaign_are_flown(mcrisk):
    mcrisk("run", MISSION, "--runs", "16")
    told = json.loads(mcrisk("run", MISSION, "--runs", "32", "--json")[1])

    assert told["cases"][0]["runs"] == 32
    assert len(list(Path("mcrisk-runs").iterdir())) == 1


def test_time_and_rate_are_those_of_the_runs_flown_last(mcrisk):
    """Not of the runs that were there; and of none where none were flown."""
    first = json.loads(mcrisk("run", MISSION, "--runs", "480", "--out", "results", "--json")[1])
    _, out, _ = mcrisk("resume", "results", "--runs", "496")
    told = json.loads(mcrisk("show", "results", "--json")[1])
    Path("results/results.nc").unlink()
    _, again, _ = mcrisk("resume", "results")

    assert first["runs_new"] == 480
    assert (told["cases"][0]["runs"], told["runs_new"]) == (496, 16)
    assert told["runs_per_s"] == pytest.approx(16 / told["elapsed_s"])
    assert re.search(r"496 runs, the last 16 of them in [\d.]+ s, [\d ]+ runs/s, cpu;", out)
    assert "496 runs, cpu;" in again


def test_a_changed_value_is_another_campaign(mcrisk):
    plain = json.loads(mcrisk("run", MISSION, "--runs", "16", "--json")[1])
    changed = json.loads(mcrisk("run", MISSION, "--runs", "16", "--json", "--set", "limits.tilt=9 deg")[1])

    assert plain["campaign"] != changed["campaign"]
    assert len(list(Path("mcrisk-runs").iterdir())) == 2


def test_results_of_another_campaign_are_never_overwritten(mcrisk, no_flights, tmp_path):
    from mcrisk import netcdf
    from mcrisk.campaign import Campaign, Case
    from mcrisk.dataset import from_tallies
    from mcrisk.schema import load_schema
    from mcrisk.tally import tally

    other = Campaign("other", (Case("other", b"0000"),), 0, "0" * 64)
    records = load_schema().record_dtype()
    import numpy as np

    netcdf.write(from_tallies(other, [tally(np.zeros(8, records), 0)]), tmp_path / "kept" / results.RESULTS)
    code, _, err = mcrisk("run", MISSION, "--runs", "16", "--out", "kept")

    assert code == 2
    assert "choose another --out" in err


def test_show_reads_a_folder_and_a_mission(mcrisk):
    told = json.loads(mcrisk("run", MISSION, "--runs", "32", "--json")[1])
    by_mission = mcrisk("show", MISSION, "--json")
    by_folder = mcrisk("show", told["folder"], "--json")

    assert json.loads(by_mission[1]) == json.loads(by_folder[1]) == told
    assert by_mission[0] == by_folder[0] == 0
    assert "of 32 runs land" in mcrisk("show", MISSION)[1]


def test_show_of_a_mission_that_was_not_run_says_how_to_run_it(mcrisk):
    code, out, err = mcrisk("show", MISSION)

    assert (code, out) == (2, "")
    assert "run it first: mcrisk run generic_small" in err


def test_several_missions_are_flown_through_the_same_worlds(mcrisk):
    told = json.loads(mcrisk("run", MISSION, MISSION, "--runs", "32", "--json")[1])
    one, other = told["cases"]

    assert [one["name"], other["name"]] == ["generic_small#1", "generic_small#2"]
    assert one["outcomes"] == other["outcomes"]
    assert one["metrics"] == other["metrics"]


@pytest.mark.parametrize("keep", ["losses", "all"])
def test_kept_records_lie_beside_the_results(mcrisk, keep):
    from mcrisk import netcdf

    told = json.loads(mcrisk("run", MISSION, "--runs", "64", "--keep", keep, "--json")[1])
    records = netcdf.read(Path(told["folder"]) / f"{keep}.nc")
    case = told["cases"][0]

    assert records.sizes["run"] == (64 if keep == "all" else 64 - case["success_count"])
    assert (records.outcome == "success").sum() == (case["success_count"] if keep == "all" else 0)


def test_kept_records_of_fewer_runs_or_torn_ones_are_flown_again(mcrisk):
    """32 records beside the results of 64 runs are not those of 64."""
    from mcrisk import netcdf

    def flown(*more):
        code, _, err = mcrisk("run", MISSION, "--out", "results", *more)
        assert code == 0
        return "already" not in err

    assert flown("--runs", "32", "--keep", "all")
    assert flown("--runs", "64")
    assert flown("--runs", "64", "--keep", "all")
    assert netcdf.read(Path("results/all.nc")).sizes["run"] == 64
    assert not flown("--runs", "64", "--keep", "all")

    Path("results/all.nc").write_bytes(Path("results/all.nc").read_bytes()[:1000])

    assert flown("--runs", "64", "--keep", "all")
    assert netcdf.read(Path("results/all.nc")).sizes["run"] == 64


def test_kept_files_hold_what_they_are_named_for_whatever_was_kept_before(mcrisk):
    """Losses alone in losses.nc, though all records of the first runs are there; no file of fewer runs beside it."""
    from mcrisk import netcdf

    def run(*more):
        assert mcrisk("run", MISSION, "--out", "results", *more)[0] == 0
        return sorted(path.name for path in Path("results").glob("*.nc"))

    hard = "--set", "limits.descent_rate=1 m/s"  # some are lost

    assert run(*hard, "--runs", "32", "--keep", "all") == ["all.nc", "results.nc"]
    assert run(*hard, "--runs", "64", "--keep", "losses") == ["losses.nc", "results.nc"]

    losses, results = (netcdf.read(Path(f"results/{name}.nc")) for name in ("losses", "results"))
    assert 0 < losses.sizes["run"] == 64 - int(results["success_count"]) < 64
    assert "success" not in losses["outcome"].values
    assert run(*hard, "--runs", "96", "--keep", "all") == ["all.nc", "results.nc"]
    assert run(*hard, "--runs", "96", "--keep", "losses") == ["all.nc", "losses.nc", "results.nc"]


def test_a_replayed_run_ends_as_it_did_in_the_campaign(mcrisk):
    """From the folder, by its stored parameters, and from the mission."""
    from mcrisk import netcdf

    folder = json.loads(mcrisk("run", MISSION, "--runs", "32", "--keep", "all", "--json")[1])["folder"]
    record = netcdf.read(Path(folder) / "all.nc").isel(run=21)
    by_folder = mcrisk("replay", folder, "--run", 21, "--out", "flights/one.nc")
    by_mission = mcrisk("replay", MISSION, "--run", 21)
    flight = netcdf.read(Path("flights/one.nc"))

    assert by_folder[0] == by_mission[0] == 0
    assert by_folder[1] == by_mission[1]
    assert f"run 21 of generic_small: {record.outcome.item()}" in by_folder[1]
    assert flight.attrs["final_tilt"] == float(record.tilt)
    assert flight.attrs["final_miss_distance"] == float(record.miss_distance)
    assert flight.sizes["time"] > 1000


def test_a_run_over_an_elevation_model_is_replayed_from_its_folder(mcrisk):
    """Its heights are in the journal; a results file without it is told so, and one beside another's journal."""
    over = ["--set", "ground.synthetic=mare", "--set", "ground.cell=400 m", "--set", "ground.site_cell=40 m"]
    for seed in (0, 1):
        assert mcrisk("run", MISSION, *over, "--runs", 8, "--seed", seed, "--out", f"of {seed}")[0] == 0
    by_folder, by_mission = mcrisk("replay", "of 0", "--run", 5), mcrisk("replay", MISSION, *over, "--run", 5)

    assert by_folder[0] == 0
    assert by_folder[1] == by_mission[1]

    shutil.copy("of 1/results.nc", "of 0/other.nc")
    code, _, told = mcrisk("replay", "of 0/other.nc", "--run", 5)
    assert code == 2
    assert "of 0/journal.sqlite: expected campaign" in told
    Path("of 0/journal.sqlite").unlink()
    code, _, told = mcrisk("replay", "of 0", "--run", 5)
    assert code == 2
    assert "of 0/results.nc: expected journal.sqlite beside it" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--runs", "1e30"], "runs: expected at most 1e12"),
        (["--runs", "1e12345678"], "runs: expected a number that can be meant"),
        (["--runs", "1e13"], "runs: expected at most 1e12"),
        (["--runs", "0"], "at least 1, got 0"),
        (["--runs", "-5"], "at least 1, got -5"),
        (["--runs", "1.5"], "a whole number such as 10000 or 1e6, got '1.5'"),
        (["--runs", "many"], "a whole number"),
        (["--runs", "nan"], "a whole number"),
        (["--runs", "inf"], "a whole number"),
        (["--seed", "-1"], "seed: expected 0 .. 2^64 - 1, got -1"),
        (["--seed", "18446744073709551616"], "seed: expected 0 .. 2^64 - 1"),
        (["--seed", "x"], "seed: expected a whole number"),
        (["--backend", "cpuu"], "did you mean 'cpu'?"),
        (["--keep", "some"], "keep: expected none or losses or all, got 'some'"),
        (["--runs", "1e9", "--keep", "all"], "keep losses"),
        (["--set", "limits.tilt"], "--set: expected PATH=VALUE"),
        (["--set", "limits.tild=9 deg"], "unknown parameter 'limits.tild'; did you mean 'limits.tilt'?\n"),
        (["--set", "limits.tild=9"], "did you mean 'limits.tilt'? It takes an angle such as \"41 deg\""),
        (["--set", "altimeter.range=3"], "did you mean 'altimeter.range_max' or 'altimeter.range_min'? It takes a len"),
        (["--set", f"{'a' * 5000}=3"], f"unknown parameter '{'a' * 77}...'; `mcrisk params` lists all of them\n"),
        (["--set", "limits.tilt=nan"], "limits.tilt: expected a finite number: an angle"),
        (["--set", "limits.tilt=inf deg"], "limits.tilt: expected a finite number: an angle"),
        (["--set", f"limits.tilt={'9' * 5000} deg"], 'limits.tilt: expected an angle such as "41 deg", got a text of'),
        (["--set", "limits.tilt=9 \u0434eg"], "is not a unit"),
        (["--out", ""], "--out: expected a folder, got nothing"),
        (["--out", "a" * 5000], "expected a folder to write to, got file name too long"),
        (["--out", "a\0b"], "expected a folder to write to, got embedded null byte"),
        (["--runs", "9" * 5000], f"runs: expected a number that can be meant, got '{'9' * 77}...'"),
        (["--runs", ""], "runs: expected a whole number such as 10000 or 1e6, got ''"),
        (["--seed", "0x10"], "seed: expected a whole number"),
        (["--backend", "\x1b[31m"], r"backend: expected auto or cpu or gpu, got '\x1b[31m'"),
        (["--set", "limits.tilt=9 kg"], "limits.tilt: expected an angle"),
        (["--set", "limits.tilt=9 deg", "--set", "limits.tilt=8 deg"], "each path once"),
        (["--set", "vehicle.mass_dry=90 t"], "no propellant is left"),
        (["--no-such"], "--no-such"),
    ],
)
def test_a_mistake_is_one_clear_message_and_exit_code_2(mcrisk, no_flights, arguments, words):
    code, out, err = mcrisk("run", MISSION, *arguments)

    assert code == 2
    assert out == ""
    assert words in err
    assert err.count("\n") == 1 or err.startswith("Usage: mcrisk run ")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("command", ["run", "show", "check"])
def test_an_unknown_mission_suggests_the_nearest_one(mcrisk, command):
    code, _, err = mcrisk(command, "generic_smal")

    assert code == 2
    assert "generic_small" in err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no/such", "expected a folder of results, or a mission, got no such folder"),
        ("other.nc", "other.nc: expected a results file of mcrisk, got none"),
        ("results", "results/results.nc: expected a results file of mcrisk, got none"),
        ("a" * 5000, "expected a path ending in .toml or the bare name"),
        ("a" * 5000 + ".toml", "expected a TOML file, got no such file"),
        ("pipe.toml", "pipe.toml: expected a TOML file, got a pipe or device"),
    ],
)
def test_results_that_are_not_there_are_a_mistake(mcrisk, target, words):
    """Beside a results.nc that nobody asked for."""
    mcrisk("run", MISSION, "--runs", "16", "--out", ".")
    Path("results").mkdir()
    os.mkfifo("pipe.toml")
    for command in (["show", target], ["replay", target, "--run", "0"]):
        code, out, err = mcrisk(*command)

        assert (code, out) == (2, "")
        assert words in err


def test_records_of_single_runs_are_no_results(mcrisk):
    mcrisk("run", MISSION, "--runs", "16", "--keep", "all", "--out", "kept")
    for command in (["show", "kept/all.nc"], ["replay", "kept/all.nc", "--run", "0"]):
        code, out, err = mcrisk(*command)

        assert (code, out) == (2, "")
        expected = "mcrisk: kept/all.nc: expected results of a campaign, got single runs"
        assert err == f"{expected}; name the folder, or its results.nc\n"
    assert mcrisk("show", "kept/results.nc")[0] == 0


def test_show_alone_lists_every_shipped_mission_with_its_title(mcrisk):
    from mcrisk.config import shipped
    from mcrisk.mission import load

    code, out, err = mcrisk("show")
    told = json.loads(mcrisk("show", "--json")[1])

    assert (code, err) == (0, "")
    assert [one["name"] for one in told["missions"]] == shipped()
    assert [one["name"] for one in told["studies"]] == shipped("studies")
    for one in told["missions"]:
        assert one["title"] == load(one["name"]).title
        assert re.search(rf"^{one['name']} +{re.escape(one['title'])[:40]}", out, re.MULTILINE)


def test_hints_name_the_command_as_the_user_calls_it(mcrisk, monkeypatch):
    """And what they name runs: the lost run that is shown is the one of the ledger."""
    monkeypatch.setenv("MCRISK_COMMAND", "./scripts/mcrisk")
    out = mcrisk("run", "hakuto_r_m2", "--runs", "16", "--out", "my results")[1]
    hint = re.search(r"see one of them: \./scripts/mcrisk (replay .+)$", out, re.MULTILINE)
    shown = mcrisk(*shlex.split(hint[1]))
    missing = mcrisk("show", MISSION, "--set", "altimeter.range_max=4 km", "--seed", "3")[2]

    assert "'my results'" in hint[1]
    assert shown[0] == 0
    assert re.match(r"run \d+ of hakuto_r_m2: \w+, cause \w+", shown[1])
    assert "./scripts/mcrisk run generic_small --set 'altimeter.range_max=4 km' --seed 3\n" in missing
    assert "Usage: ./scripts/mcrisk run" in mcrisk("run")[2]
    assert "`./scripts/mcrisk params` lists all" in mcrisk("run", MISSION, "--set", "qqqqqq=3")[2]


def test_a_gpu_that_is_not_there_is_one_message_and_exit_code_4(mcrisk, monkeypatch):
    """And leaves no folder behind; a mistake in the mission is told first."""
    monkeypatch.setattr(backends, "_make", functools.cache(backends._make.__wrapped__))
    monkeypatch.setattr(backends, "gpu_obstacle", lambda: "no CUDA device")
    code, out, err = mcrisk("run", MISSION, "--runs", "16", "--backend", "gpu")
    both = mcrisk("run", "nothing", "--backend", "gpu")

    assert (code, out) == (4, "")
    assert (
        err == "mcrisk: backend gpu: expected a GPU that can be used, got no CUDA device; the backend cpu needs none\n"
    )
    assert not Path("mcrisk-runs").exists()
    assert both[0] == 2
    assert "no mission called 'nothing'" in both[2]


def test_looking_for_a_folder_to_write_to_leaves_none(tmp_path):
    (tmp_path / "there").mkdir()
    api.check_folder(tmp_path / "there" / "deep" / "er")

    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_missing_mission_is_a_mistake(mcrisk):
    assert mcrisk("run")[0] == 2


def test_an_output_folder_that_cannot_be_is_refused_before_any_flight(mcrisk, no_flights, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for out in ("file", "file/below", "/proc/nowhere"):
        code, _, err = mcrisk("run", MISSION, "--out", out)

        assert code == 2
        assert f"{out}: expected a folder" in err
        assert "choose another --out" in err


def test_invalid_runs_are_written_and_fail_with_exit_code_4(mcrisk, monkeypatch):
    """More than one run in ten thousand whose numbers failed."""
    from mcrisk.backends.cpu import CpuBackend
    from mcrisk.schema import load_schema

    fly = CpuBackend.run

    def spoilt(self, params, seed, first, count, heights=b""):
        records = fly(self, params, seed, first, count, heights)
        records["outcome"][0] = load_schema().enums["Outcome"]["invalid"]
        records["contact"][0] = 0
        return records

    monkeypatch.setattr(CpuBackend, "run", spoilt)
    code, out, err = mcrisk("run", MISSION, "--runs", "16", "--json")

    assert code == 4
    assert json.loads(out)["cases"][0]["invalid"] > 0
    assert json.loads(out)["cases"][0]["runs"] == 16
    assert "runs are invalid" in err
    assert mcrisk("show", MISSION)[0] == 4


def test_an_impossible_design_is_listed_beside_possible_ones(mcrisk, tmp_path):
    heavy = tmp_path / "heavy.toml"
    heavy.write_text(f'base = "{MISSION}"\nname = "heavy"\n[vehicle]\nmass_dry = "90 t"\n')
    code, out, err = mcrisk("run", MISSION, heavy, "--runs", "16", "--json")
    told = json.loads(out)

    assert code == 0
    assert [case["name"] for case in told["cases"]] == [MISSION]
    assert [one["name"] for one in told["impossible"]] == ["heavy"]
    assert "heavy is left out" in err
    assert mcrisk("run", heavy)[0] == 2


def test_params_lists_paths_units_and_meanings(mcrisk):
    code, out, _ = mcrisk("params", "limits.tilt")

    assert code == 0
    assert re.search(r"limits\.tilt +\[rad\] +\d+ deg", out)
    assert mcrisk("params", "no_such_thing")[0] == 2
    assert {"path", "unit", "default", "range", "description"} <= set(
        json.loads(mcrisk("params", "--json")[1])["parameters"][0]
    )


def test_check_shows_the_design_and_its_nominal_flight_without_a_campaign(mcrisk, no_flights):
    code, out, _ = mcrisk("check", MISSION)

    assert code == 0
    assert "generic_small: valid" in out
    assert re.search(r"vehicle\.inertia_dry +\[256\.0, 256\.0, 256\.0\] kg m\^2 ", out)  # 400 kg of dry mass, 0.8 m
    assert "guidance.ignition_range" in out
    assert "ends as success" in out
    assert mcrisk("check", MISSION, "nothing.toml")[0] == 2


def test_check_tells_what_the_pad_is_like_and_whose_slopes_it_has(mcrisk):
    """The mission's own where it states some, else those of the kind of ground; nothing where all cells are alike."""
    text = 'base = "generic_small"\n[ground]\nregion = "highland"\n'
    Path("own.toml").write_text(text)
    Path("kind.toml").write_text(text + '[dispersions]\nterrain.slope = { rayleigh = "0 deg" }\n')

    told = "pad: highland: rocks on 0.7 % of the ground, craters from 2.000 m to 17.00 m across, slopes "
    assert told + "are those that the mission states" in " ".join(mcrisk("check", "own.toml")[1].split())
    assert told + "of one sigma 6.02 deg along each axis" in " ".join(mcrisk("check", "kind.toml")[1].split())
    assert "pad:" not in mcrisk("check", MISSION)[1]


def test_every_shipped_mission_passes_check(mcrisk):
    from mcrisk.config import shipped

    assert mcrisk("check", *shipped())[0] == 0


@pytest.fixture
def no_measurement(monkeypatch):
    """Fails the test when something is built or measured."""
    from mcrisk import bench

    def refuse(*_, **__):
        raise AssertionError("a measurement was made")

    monkeypatch.setattr(bench, "bench", refuse)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "soon"], "seconds: expected a number of seconds above 0 and up to 3600, got 'soon'"),
        (["--seconds", "0"], "seconds: expected a number of seconds above 0 and up to 3600, got '0'"),
        (["--seconds", "nan"], "seconds: expected a number of seconds above 0 and up to 3600, got 'nan'"),
        (["generic_smal"], "no mission called 'generic_smal'; did you mean 'generic_small'?"),
        ([MISSION, "--set", "vehicle.mass_dry=90 t"], "is not above dry mass 90000 kg"),
        ([MISSION, "--write", "nothing.md"], "nothing.md: No such file or directory; name a page to write to"),
    ],
)
def test_bench_refuses_before_it_measures(mcrisk, no_measurement, arguments, message):
    code, out, err = mcrisk("bench", *arguments)

    assert (code, out) == (2, "")
    assert message in err


def test_bench_writes_between_its_marks_and_nowhere_else(mcrisk, monkeypatch, tmp_path):
    from mcrisk import bench

    rounds = [bench.Round(1000.0, 100.0, 100e9)]
    answer = bench.figures(MISSION, "g++ 12.2.0 x86-64-v4", rounds, 31e6) | {"core_share": 1.0} | bench.facts()
    monkeypatch.setattr(bench, "bench", lambda *_: [answer])
    page = tmp_path / "page.md"
    page.write_text("# Speed\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nEnd.\n")
    code, out, _ = mcrisk("bench", MISSION, "--write", page, "--json")
    written = page.read_text()

    assert code == 0
    assert json.loads(out) == answer
    assert written.startswith("# Speed\n<!-- bench:begin -->\nOne core of ")
    assert written.endswith(" % |\n<!-- bench:end -->\nEnd.\n")
    assert "old" not in written
    assert "| generic_small | g++ 12.2.0 x86-64-v4 |" in written
    assert re.search(r"g\+\+ 12\.2\.0 x86-64-v4 +1000 .* 10\.0 ", mcrisk("bench", MISSION)[1])
    page.write_text("no marks")
    assert (
        "page.md: expected the lines <!-- bench:begin --> and <!-- bench:end -->"
        in mcrisk("bench", MISSION, "--write", page)[2]
    )


def test_the_version_is_told(mcrisk):
    from mcrisk import __version__

    assert mcrisk("--version") == (0, f"mcrisk {__version__}\n", "")


def shell(command, folder):
    """Exit code of the last `mcrisk` of a bash line, its stdout and stderr."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MCRISK": f"{sys.executable} -m mcrisk"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path):
    """A folder of umlauts on an ASCII terminal, in the hint of a lost run."""
    code, out, err = shell("PYTHONIOENCODING=ascii $MCRISK run hakuto_r_m2 --runs 16 --out Übung", tmp_path)

    assert code == 0, err
    assert "\\xdcbung" in out
    assert (tmp_path / "Übung" / results.RESULTS).is_file()


COMMANDS = [
    "--version",
    "--help",
    "params",
    f"check {MISSION}",
    f"replay {MISSION} --run 0",
    f"run {MISSION} --runs 16",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path, command):
    """`| head -1`, and one that reads nothing at all."""
    for reader in ("head -1", "true"):
        code, _, err = shell(f"$MCRISK {command} | {reader}; exit ${{PIPESTATUS[0]}}", tmp_path)

        assert code == 0
        assert "Traceback" not in err
        assert "BrokenPipe" not in err


@pytest.mark.parametrize("command", [*COMMANDS, f"run {MISSION} --runs 16 --json"])
def test_a_full_disk_under_stdout_is_one_line_and_exit_code_4(tmp_path, command):
    code, _, err = shell(f"$MCRISK {command} > /dev/full", tmp_path)

    assert code == 4
    assert err.splitlines()[-1] == "mcrisk: standard output: no space left on device"


def test_closed_outputs_are_no_failure(tmp_path):
    assert shell(f"$MCRISK run {MISSION} --runs 16 --json >&-", tmp_path)[0] == 0
    assert "16 runs land" in shell(f"$MCRISK run {MISSION} --runs 16 2>&-", tmp_path)[1]


def test_json_is_what_a_json_tool_reads(tmp_path):
    for command in (f"run {MISSION} --runs 16 --json", f"show {MISSION} --json", "show --json", "params --json"):
        code, out, _ = shell(f"set -o pipefail; $MCRISK {command} | {sys.executable} -m json.tool", tmp_path)

        assert code == 0
        assert out.startswith("{\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_soon_with_exit_code_130_and_no_traceback(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "mcrisk", "run", MISSION, "--runs", "1e7", "--backend", "cpu", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "seed 0" in line:
            break
    time.sleep(1.0)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.nc"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_the_command_loads_is_one_line_and_exit_code_130(tmp_path, number):
    (tmp_path / "typer.py").write_text(f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(30)")
    done = subprocess.run(
        [sys.executable, "-m", "mcrisk", "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "mcrisk: interrupted\n")


def test_an_interruption_before_the_command_itself_is_told(mcrisk, monkeypatch):
    """While options are read, which is typer's."""

    def interrupted(**_):
        raise SystemExit(130) from KeyboardInterrupt()

    monkeypatch.setattr(cli, "app", interrupted)

    assert mcrisk("show") == (130, "", "mcrisk: interrupted\n")


def test_what_an_interruption_broke_is_told_as_an_interruption(mcrisk, monkeypatch):
    """An import that is cut off ends as an ImportError of numpy's, with advice about its installation."""

    def cut_off(*_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as signalled:
            raise ImportError("numpy is broken") from signalled

    monkeypatch.setattr(shared, "load_mission", cut_off)

    assert mcrisk("run", MISSION) == (130, "", "mcrisk: interrupted\n")


def test_memory_that_is_not_there_is_told_as_that(mcrisk, monkeypatch):
    def too_much(*_):
        raise MemoryError

    monkeypatch.setattr(shared, "load_mission", too_much)
    code, _, err = mcrisk("run", MISSION)

    assert (code, err) == (4, "mcrisk: not enough memory; what was flown is kept\n")


def test_a_failure_that_is_not_of_an_output_does_not_accuse_it(mcrisk, monkeypatch):
    def refuse(*_):
        raise OSError("cannot load shared object")

    monkeypatch.setattr(shared, "load_mission", refuse)

    assert mcrisk("run", MISSION) == (4, "", "mcrisk: cannot load shared object\n")


def test_only_the_command_decides_how_many_threads_linear_algebra_starts():
    """None is used here, and where memory is short OpenBLAS tries for ever to start them."""
    code = "import os; from mcrisk.{} import *; {}; print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    clean = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = code.format("entry", "import sys; sys.argv[1:] = ['--version']; main()")

    for text, threads in ((command, "1"), (code.format("api", "pass"), "None")):
        done = subprocess.run([sys.executable, "-c", text], env=clean, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == threads


def test_the_documented_library_works_without_the_command_line(tmp_path):
    """The example of the Python interface."""
    import mcrisk as package

    mission = package.load(MISSION)
    result = package.run(mission, runs=32, seed=7, out=tmp_path / "kept")
    records = package.records(mission, runs=32, seed=7)
    flight = package.replay(mission, run=5, seed=7)

    assert int(result.success_count) == int((records.outcome == "success").sum())
    assert flight.attrs["outcome"] == records.outcome.sel(run=5).item()
    assert (tmp_path / "kept" / results.RESULTS).is_file()


def test_examples_of_the_documentation_run():
    for module in (cli, api, shared, scripting):
        assert doctest.testmod(module).failed == 0


def test_the_kernels_of_a_campaign_are_never_exchanged(mcrisk, monkeypatch):
    folder = json.loads(mcrisk("run", MISSION, "--runs", "16", "--json")[1])["folder"]
    monkeypatch.setattr(native, "kernel_digest", lambda: "1" * 64)
    code, _, err = mcrisk("replay", folder, "--run", 3)

    assert code == 2
    assert "made with other kernels" in err
