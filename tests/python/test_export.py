"""mcrisk.export: a table for spreadsheets and pandas, a netCDF file for other tools."""

from __future__ import annotations

import csv
import doctest
import json
import math

import numpy as np
import pandas
import pytest
import xarray as xr

import mcrisk
from mcrisk import export, netcdf
from mcrisk.answer import answer
from mcrisk.campaign import Axis, Campaign, Case, Impossible, case_axis
from mcrisk.dataset import from_tallies
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.schema import load_schema
from mcrisk.store import JOURNAL
from mcrisk.tally import tally

BASE = "generic_small"
RANGE = "altimeter.range_max"
THRUST = "propulsion.main.thrust"
SCHEMA = load_schema()
HOSTILE = '=HYPERLINK("http://x","y")\n\x1b[31mred, "quoted"'


def flown(runs=100, seed=1):
    """The tally of runs of which about 8 in 10 land."""
    random = np.random.default_rng(seed)
    records = np.zeros(runs, SCHEMA.record_dtype())
    outcomes, causes = SCHEMA.enums["Outcome"], SCHEMA.enums["Cause"]
    landed = random.random(runs) < 0.8
    records["outcome"] = np.where(landed, outcomes["success"], outcomes["hard_landing"])
    records["cause"] = np.where(landed, causes["altimeter_late"], causes["thrust_short"])
    records["contact"] = 1
    for name, one in SCHEMA.record_fields.items():
        if one.metric:
            records[name] = random.normal(3.0, 1.0, runs)
    return tally(records, 0)


def missions(*names, runs=100, seed=2**64 - 1, impossible=()):
    """The dataset of made-up missions."""
    cases = tuple(Case(name, bytes([place] * 400), place=place) for place, name in enumerate(names))
    axes = case_axis(names)
    campaign = Campaign("made up", cases, seed, "0" * 64, axes=axes)
    found = from_tallies(campaign, [flown(runs, place) for place in range(len(names))], backend="cpu")
    if impossible:
        stated = Campaign("made up", cases, seed, "0" * 64, 4, tuple(Impossible(*one) for one in impossible), axes)
        found.attrs["statement"] = json.dumps(stated.describe())
    return found


def table(dataset, path):
    """The rows of the table, by header, as the csv module reads them."""
    export.to_csv(dataset, path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sweep():
    """A grid of which the lower half is impossible: 1 kN cannot hold 0.9 t."""
    return mcrisk.sweep(BASE, {THRUST: [1000.0, 3000.0], "guidance.cutoff": ["contact", "height"]}, runs=64)


# ---- known answers


def test_a_table_has_one_row_for_each_design_point_and_tells_why_one_is_impossible(sweep, tmp_path):
    rows = table(sweep, tmp_path / "t.csv")

    assert [(row[f"{THRUST} [N]"], row["guidance.cutoff"]) for row in rows] == [
        (thrust, cutoff) for thrust in ("1000.0", "3000.0") for cutoff in ("contact", "height")
    ]
    assert [row["case"] for row in rows] == sweep["case"].values.ravel().tolist()
    assert all("times the weight" in row["impossible"] for row in rows[:2])
    assert [row["impossible"] for row in rows[2:]] == ["", ""]
    assert [(row["runs"], row["success_count"]) for row in rows[:2]] == [("0", "0")] * 2
    assert [(row["success_lower"], row["success_upper"]) for row in rows[:2]] == [("0.0", "1.0")] * 2
    assert {row["success_probability"] for row in rows[:2]} == {""}


def test_the_figures_are_those_of_the_answer_to_the_last_bit(sweep, tmp_path):
    rows = table(sweep, tmp_path / "t.csv")[2:]
    for row, case in zip(rows, answer(sweep)["cases"], strict=True):
        assert int(row["runs"]) == case["runs"] == 64
        assert float(row["success_probability"]) == case["success_probability"]
        assert [float(row["success_lower"]), float(row["success_upper"])] == case["success_interval"]
        for name, one in case["outcomes"].items():
            assert int(row[f"outcome.{name}.count"]) == one["count"]
            assert float(row[f"outcome.{name}.probability"]) == one["probability"]
            assert [float(row[f"outcome.{name}.{end}"]) for end in ("lower", "upper")] == one["interval"]
        for name, count in case["causes"].items():
            assert int(row[f"cause.{name}.count"]) == count
        for group, metrics in case["metrics"].items():
            for name, one in metrics.items():
                unit = "" if one["unit"] == "1" else f" [{one['unit']}]"
                told = {what: row[f"{group}.{name}.{what}{unit}"] for what in ("mean", "std", "min", "max")}
                told |= {level: row[f"{group}.{name}.quantile_{level}{unit}"] for level in one["quantiles"]}
                expected = {what: one[what] for what in ("mean", "std", "min", "max")} | one["quantiles"]

                assert int(row[f"{group}.{name}.count"]) == one["count"]
                assert {what: float(text) if text else None for what, text in told.items()} == expected


def test_pandas_reads_the_table_without_being_told_how(sweep, tmp_path):
    """Its reader of numbers may round the last bits, unlike Python's: 1e-14 is 45 roundings of a double."""
    export.to_csv(sweep, tmp_path / "t.csv")
    frame = pandas.read_csv(tmp_path / "t.csv")

    assert len(frame) == 4
    assert frame.columns.is_unique
    np.testing.assert_array_equal(frame[f"{THRUST} [N]"].unique(), [1000.0, 3000.0])
    np.testing.assert_array_equal(frame["success_count"], sweep["success_count"].values.ravel())
    np.testing.assert_allclose(frame["success_probability"], sweep["success_probability"].values.ravel(), rtol=1e-14)
    mean = sweep["metric_mean"].sel(group="landed", metric="descent_rate").values.ravel()
    np.testing.assert_allclose(frame["landed.descent_rate.mean [m s^-1]"], mean, rtol=1e-14)
    assert {str(frame[name].dtype) for name in frame if name.endswith("count")} == {"int64"}
    assert len(frame.query(f"`{THRUST} [N]` > 2000 and impossible.isna()")) == 2


def test_the_first_line_names_the_columns_with_si_units(sweep, tmp_path):
    export.to_csv(sweep, tmp_path / "t.csv")
    content = (tmp_path / "t.csv").read_bytes()
    headers = content.decode().split("\n")[0].split(",")

    assert content.endswith(b"\n")
    assert b"\r" not in content
    assert not content.startswith(b"\xef\xbb\xbf")
    assert headers[:4] == ["case", f"{THRUST} [N]", "guidance.cutoff", "impossible"]
    assert {"all_contacts.tilt.max [rad]", "landed.stability_margin.mean", "landed.tilt.count"} <= set(headers)
    assert len(set(headers)) == len(headers)


def test_the_points_of_a_sobol_study_are_rows(tmp_path):
    axes = {RANGE: {"from": "1 km", "to": "6 km"}, "site.latitude": {"from": "0 deg", "to": "10 deg"}}
    found = mcrisk.sweep(BASE, axes, runs=16, sampling={"method": "sobol", "points": 4})
    rows = table(found, tmp_path / "t.csv")

    assert [float(row[f"{RANGE} [m]"]) for row in rows] == found[RANGE].values.tolist()
    assert [float(row["site.latitude [rad]"]) for row in rows] == found["site.latitude"].values.tolist()
    assert [row["case"] for row in rows] == found["case"].values.tolist()


def test_missions_and_designs_are_columns_of_names(tmp_path):
    designs = {"as_is": {}, "short": {RANGE: "2 km"}}
    rows = table(mcrisk.sweep([BASE, "blue_ghost_m1"], designs=designs, runs=16), tmp_path / "t.csv")

    assert [(row["mission"], row["design"]) for row in rows] == [
        (mission, design) for mission in (BASE, "blue_ghost_m1") for design in designs
    ]


def test_an_impossible_mission_beside_others_has_a_row_too(tmp_path):
    found = missions("one", "two", impossible=[("three", "too heavy", (), 2)])
    rows = table(found, tmp_path / "t.csv")
    frame = pandas.read_csv(tmp_path / "t.csv")

    assert [row["case"] for row in rows] == ["one", "two", "three"]
    assert [row["impossible"] for row in rows] == ["", "", "too heavy"]
    assert [row["runs"] for row in rows] == ["100", "100", "0"]
    assert [rows[2][name] for name in ("success_probability", "success_lower", "outcome.timeout.upper")] == [
        "", "0.0", "1.0",
    ]  # fmt: skip
    assert {row["campaign"] for row in rows} == {found.attrs["campaign"]}
    assert {str(frame[name].dtype) for name in frame if name.endswith("count")} == {"int64"}


def test_a_single_mission_of_a_single_run_is_one_row(tmp_path):
    rows = table(missions("one", runs=1), tmp_path / "t.csv")

    assert [row["case"] for row in rows] == ["one"]
    assert rows[0]["runs"] == "1"
    assert rows[0]["all_contacts.tilt.count"] == "1"
    assert rows[0]["all_contacts.tilt.std [rad]"] == ""


def test_rows_of_several_files_can_be_told_apart(tmp_path):
    one, other = missions("one", seed=2**64 - 1), missions("one", seed=5)
    for place, found in enumerate((one, other)):
        export.to_csv(found, tmp_path / f"{place}.csv")
    frames = [pandas.read_csv(tmp_path / f"{place}.csv") for place in range(2)]

    assert pandas.concat(frames)["campaign"].tolist() == [one.attrs["campaign"], other.attrs["campaign"]]
    assert [int(frame["seed"].item()) for frame in frames] == [2**64 - 1, 5]


def test_a_part_of_a_dataset_is_a_table_too(sweep, tmp_path):
    whole = table(sweep, tmp_path / "whole.csv")

    assert table(sweep.isel({THRUST: [1]}), tmp_path / "t.csv") == whole[2:]
    assert table(sweep.isel({THRUST: 1}), tmp_path / "t.csv") == whole[2:]
    assert table(sweep.isel({THRUST: 1, "guidance.cutoff": 0}), tmp_path / "t.csv") == whole[2:3]


# ---- provisional results


def test_provisional_results_say_so_in_both_forms(tmp_path):
    found = missions("one")
    found.attrs |= {"complete": 0, "runs_wanted": 1000}
    rows = table(found, tmp_path / "t.csv")
    export.to_netcdf(found, tmp_path / "t.nc")
    read = netcdf.read(tmp_path / "t.nc")

    assert [row["complete"] for row in rows] == ["0"]
    assert [row["complete"] for row in table(missions("one"), tmp_path / "u.csv")] == ["1"]
    assert xr.open_dataset(tmp_path / "t.nc", engine="h5netcdf").attrs["complete"] == 0
    assert answer(read)["complete"] is False
    export.to_netcdf(read, tmp_path / "again.nc")
    assert answer(netcdf.read(tmp_path / "again.nc"))["complete"] is False


# ---- hostile names


def test_no_name_becomes_a_formula_a_line_or_a_colour(tmp_path):
    names = [HOSTILE, "+1", "-2+3", "@SUM(A1)", "  =1+1", "\t=1", "＝1", "月 plain", "\udc80"]
    rows = table(missions(*names), tmp_path / "t.csv")
    told = [row["case"] for row in rows]

    assert told[0] == '\'=HYPERLINK("http://x","y")\\n\\x1b[31mred, "quoted"'
    assert told[1:] == ["'+1", "'-2+3", "'@SUM(A1)", "'  =1+1", "\\t=1", "'＝1", "月 plain", "\\udc80"]
    assert len((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(names)
    assert "\x1b" not in (tmp_path / "t.csv").read_text(encoding="utf-8")
    assert pandas.read_csv(tmp_path / "t.csv")["case"].tolist() == told


def test_a_hostile_axis_is_a_harmless_header(tmp_path):
    cases = tuple(Case(f"c{at}", bytes([at] * 400), (("=x\n", "=y"),), place=at) for at in range(2))
    campaign = Campaign("c", cases, 1, "0" * 64, axes=(Axis("=x\n", 2, (("=x\n", ("=y", "-0 0 1")),)),))
    rows = table(from_tallies(campaign, [flown(), flown()]), tmp_path / "t.csv")

    assert [row["'=x\\n"] for row in rows] == ["'=y", "'-0 0 1"]


def test_numbers_are_never_taken_for_text(tmp_path):
    """A negative number begins with - and stays a number."""
    cases = tuple(Case(f"c{at}", bytes([at] * 400), (("altimeter.bias", -0.1),), place=at) for at in range(2))
    campaign = Campaign("c", cases, 1, "0" * 64, axes=(Axis("altimeter.bias", 2, (("altimeter.bias", (-0.1, 0.3)),)),))
    rows = table(from_tallies(campaign, [flown(), flown()]), tmp_path / "t.csv")

    assert [row["altimeter.bias [m]"] for row in rows] == ["-0.1", "0.3"]


# ---- files


def test_netcdf_is_read_by_other_tools_and_by_mcrisk(sweep, tmp_path):
    export.write(sweep, netcdf=str(tmp_path / "out.nc"))
    other = xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf")

    assert (tmp_path / "out.nc").read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
    np.testing.assert_array_equal(other["success_count"], sweep["success_count"])
    assert other["success_count"].attrs["units"] == "1"
    xr.testing.assert_equal(netcdf.read(tmp_path / "out.nc"), sweep)


def test_both_files_are_written_at_once(tmp_path):
    export.write(missions("one"), str(tmp_path / "new" / "a.CSV"), str(tmp_path / "new" / "a.nc"))

    assert sorted(one.name for one in (tmp_path / "new").iterdir()) == ["a.CSV", "a.nc"]


@pytest.mark.parametrize(
    ("table", "file", "message"),
    [
        (None, None, "export: expected --csv FILE.csv, --netcdf FILE.nc or --mission FILE.toml, got none of them"),
        ("a.txt", None, "--csv: expected a file name ending in .csv, got 'a.txt'"),
        ("", None, "--csv: expected a file name ending in .csv, got ''"),
        (".csv", None, "--csv: expected a file name ending in .csv, got '.csv'"),
        ("folder.csv", None, "--csv: expected a file name ending in .csv, got a folder, 'folder.csv'"),
        ("a\0.csv", None, "--csv: expected a file name ending in .csv, got 'a\\x00.csv'"),
        (None, "a.csv", "--netcdf: expected a file name ending in .nc, got 'a.csv'"),
        (None, "/dev/null", "--netcdf: expected a file name ending in .nc, got a pipe or device, '/dev/null'"),
        ("file/a.csv", None, "--csv: expected a file in a folder, got 'file/a.csv'; {here}/file is a file"),
        (None, "store/losses-3.nc", "--netcdf: expected a file of its own, got 'store/losses-3.nc', which belongs to"),
        ("a.nc", "b.csv", "--csv: expected a file name ending in .csv, got 'a.nc'\n--netcdf: expected a file name"),
    ],
)
def test_wrong_files_are_told_in_one_message_before_any_is_written(tmp_path, monkeypatch, table, file, message):
    monkeypatch.chdir(tmp_path)
    for folder in ("folder.csv", "store"):
        (tmp_path / folder).mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "store" / JOURNAL).write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MistakeError) as refusal:
        export.write(missions("one"), table, file)

    assert str(refusal.value).startswith(message.format(here=tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_only_results_of_a_campaign_make_a_table(tmp_path):
    with pytest.raises(MistakeError, match="results of a campaign"):
        export.to_csv(mcrisk.records(BASE, runs=16), tmp_path / "t.csv")


def test_a_failed_table_leaves_the_old_one_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    export.to_csv(missions("one"), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(InfrastructureError, match=r"not written .no space left on device.; free space, or choose"):
        export.to_csv(missions("two"), path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_of_many_rows_is_whole(tmp_path, monkeypatch):
    """Rows are written a few at a time."""
    monkeypatch.setattr(export, "ROWS", 3)
    names = [f"m{place}" for place in range(8)]

    assert [row["case"] for row in table(missions(*names, runs=4), tmp_path / "t.csv")] == names


def test_every_number_reads_back_to_the_same_bits(tmp_path):
    found = missions("one")
    row = table(found, tmp_path / "t.csv")[0]
    mean = found["metric_mean"].sel(group="landed", metric="tilt").item()

    assert float(row["landed.tilt.mean [rad]"]) == mean != round(mean, 9)
    assert math.isclose(float(row["confidence"]), 0.95, abs_tol=0)


def test_the_examples_of_the_module_are_true():
    assert doctest.testmod(export).failed == 0


# ---- missions


def test_the_mission_of_a_case_flies_as_the_case_did(tmp_path):
    """Its file states the changed value, and gives the very parameters of the case."""
    from mcrisk.campaign import state
    from mcrisk.store import Store

    mcrisk.sweep(BASE, {"altimeter.range_max": ["2 km", "3 km"], THRUST: [3000.0]}, runs=16, out=tmp_path / "s")
    export.write_mission(tmp_path / "s", 1, str(tmp_path / "m.toml"))

    with Store.read(tmp_path / "s") as store:
        assert state([mcrisk.load(tmp_path / "m.toml")]).cases[0].params == store.campaign.cases[1].params
    assert 'range_max = "3000 m"' in (tmp_path / "m.toml").read_text()
    with pytest.raises(MistakeError, match=r"case: expected 0 \.\. 1, got 2"):
        export.write_mission(tmp_path / "s", 2, str(tmp_path / "n.toml"))


def test_the_mission_of_a_case_tells_what_was_changed_and_overwrites_no_other(tmp_path):
    """Neither name nor description are those of the base; a file that somebody wrote stays."""
    mission = mcrisk.load(BASE).replace({"dispersions.propulsion.main.isp.sigma": "20 %"})
    mcrisk.sweep(mission, {RANGE: ["2 km", "3 km"]}, runs=16, out=tmp_path / "s")
    path = tmp_path / "m.toml"
    export.write_mission(tmp_path / "s", 1, str(path))
    export.write_mission(tmp_path / "s", 1, str(path))
    found = mcrisk.load(path)

    assert found.name == f"{BASE}_case_1"
    assert found.title == f"{mission.title}; {RANGE} 3000 m"
    assert found.description.startswith(f"{BASE} with {RANGE} 3000 m, exported from a sweep.")
    assert 'sigma = "20 %"' in path.read_text()
    with pytest.raises(MistakeError, match=r"--mission: expected a new file, got '.*m.toml', which is there and says"):
        export.write_mission(tmp_path / "s", 0, str(path))
    assert mcrisk.load(path) == found
