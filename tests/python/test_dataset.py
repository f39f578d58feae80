"""mcrisk.dataset, mcrisk.netcdf, mcrisk.answer and mcrisk.ledger: one result in its four forms."""

from __future__ import annotations

import doctest
import io
import json
import math
import os
import re
import resource

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from mcrisk import answer as answer_module
from mcrisk import campaign as campaign_module
from mcrisk import dataset as dataset_module
from mcrisk import ledger, netcdf, risk
from mcrisk.answer import answer
from mcrisk.campaign import Campaign, Case, case_axis, slug, state
from mcrisk.dataset import campaign_of, from_records, from_samples, from_tallies
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.mission import load
from mcrisk.schema import load_schema
from mcrisk.tally import tally

SCHEMA = load_schema()
OUTCOMES = SCHEMA.enums["Outcome"]
CAUSES = SCHEMA.enums["Cause"]
TOML = "# a mission\n" * 20_000  # 240 kB: larger than the 64 kB that HDF5 keeps in a header


def records(runs=1000, landed=0.8, seed=1):
    random = np.random.default_rng(seed)
    made = np.zeros(runs, SCHEMA.record_dtype())
    success = random.random(runs) < landed
    made["outcome"] = np.where(success, OUTCOMES["success"], OUTCOMES["hard_landing"])
    away = ~success & (random.random(runs) < 0.3)
    made["outcome"][away] = OUTCOMES["timeout"]
    made["contact"] = ~away
    made["cause"] = np.where(success, CAUSES["none"], CAUSES["altimeter_late"])
    for name, one in SCHEMA.record_fields.items():
        if one.metric:
            made[name] = random.normal(3.0, 1.0, runs)
    return made


def campaign(cases=1, seed=2**64 - 1):
    several = tuple(Case(f"m{i}", bytes([i] * 400), (), "A lander", TOML, place=i) for i in range(cases))
    axes = case_axis([case.name for case in several])
    return Campaign("+".join(case.name for case in several), several, seed, "0" * 64, axes=axes)


def result(cases=1, **kwargs):
    made = [tally(records(seed=i, **kwargs), 0) for i in range(cases)]
    return from_tallies(campaign(cases), made, backend="cpu", elapsed=2.0)


def printed(told):
    stream = io.StringIO()
    ledger.show(told, Console(file=stream, width=140, soft_wrap=True), folder="DIR")
    return stream.getvalue()


def test_probabilities_come_with_counts_totals_and_intervals():
    found = result()
    landed = int((records(seed=0)["outcome"] == OUTCOMES["success"]).sum())

    assert int(found.runs) == 1000
    assert int(found.success_count) == landed
    assert float(found.success_probability) == landed / 1000
    assert tuple(found.success_interval.values) == risk.interval(landed, 1000)
    assert int(found.outcome_count.sum()) == 1000
    assert int(found.outcome_count.sel(outcome="timeout")) == int(
        found.cause_count.sel(outcome="timeout", cause="altimeter_late")
    )
    assert tuple(found.outcome_interval.sel(outcome="invalid").values) == risk.interval(0, 1000)


def test_metrics_exclude_and_count_runs_without_contact():
    found, made = result(), records(seed=0)
    landed = made["outcome"] == OUTCOMES["success"]

    assert int(found.metric_count.sel(group="all_contacts", metric="tilt")) == (made["contact"] == 1).sum() < 1000
    assert int(found.metric_count.sel(group="landed", metric="tilt")) == landed.sum()
    assert float(found.metric_mean.sel(group="landed", metric="tilt")) == pytest.approx(made["tilt"][landed].mean())
    assert int(found.metric_histogram.sel(group="landed", metric="tilt").sum()) == landed.sum()
    median = found.metric_quantile.sel(group="landed", metric="tilt", quantile=0.5)
    assert float(median) == pytest.approx(np.median(made["tilt"][landed]), rel=1 / 64)


def test_every_variable_has_a_unit_and_a_name():
    found = result()

    for name in found.data_vars:
        assert {"units", "long_name"} <= set(found[name].attrs), name
    assert found.metric_unit.sel(metric="descent_rate") == "m s^-1"


def test_the_landing_ellipse_is_that_of_the_covariance():
    """Content 0.95 of a two-dimensional normal: -2 ln 0.05 = 5.991."""
    found, made = result(), records(seed=0)
    landed = made["outcome"] == OUTCOMES["success"]
    points = np.stack([made["miss_downrange"][landed], made["miss_crossrange"][landed]]).astype(float)
    expected = np.sqrt(5.991464547107979 * np.linalg.eigvalsh(np.cov(points)))[::-1]

    assert found.landing_ellipse.sel(group="landed").values == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("first", [True, False])
def test_an_impossible_mission_keeps_its_place_among_several(first):
    """Its name, no runs and the reason; the others keep theirs."""
    good, weak = load("generic_small"), load("generic_small").replace({"propulsion.main.thrust": "1 kN"})
    stated = state([weak, good, good] if first else [good, good, weak])
    found = from_tallies(stated, [tally(np.zeros(8, load_schema().record_dtype()), 0)] * 2)
    place = 0 if first else 2

    assert list(found["case"].values) == ["generic_small#1", "generic_small#2", "generic_small#3"]
    assert found["runs"].values.tolist() == ([0, 8, 8] if first else [8, 8, 0])
    assert "times the weight" in found["impossible"].values[place]
    assert campaign_of(found).digest == stated.digest


def test_several_missions_lie_along_case():
    found = result(cases=3)

    assert found.sizes["case"] == 3
    assert list(found.case.values) == ["m0", "m1", "m2"]
    assert found.success_interval.dims == ("case", "bound")
    assert int(found.sel(case="m1").success_count) == int((records(seed=1)["outcome"] == OUTCOMES["success"]).sum())


def test_the_campaign_and_its_params_come_back_from_the_dataset(tmp_path):
    """Seeds use all 64 bits; a mission's text is longer than an HDF5 header."""
    netcdf.write(result(cases=2), tmp_path / "results.nc")

    assert campaign_of(netcdf.read(tmp_path / "results.nc")) == campaign(2)
    assert campaign_of(result()) == campaign(1)


def test_other_params_than_those_stated_are_refused():
    found = result()
    found["params"] = found.params + np.uint8(1)

    with pytest.raises(MistakeError, match="stored campaign: expected digest"):
        campaign_of(found)


def test_the_number_of_runs_and_the_names_are_not_in_the_digest():
    one, other = campaign(), Campaign("other", (Case("other", campaign().cases[0].params),), 2**64 - 1, "0" * 64)

    assert one.digest == other.digest
    assert one.digest != campaign(seed=1).digest
    assert one.digest != campaign(2).digest


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "a\0b", "<script>", "=HYPERLINK()", "x" * 10_000, "", "\x1b[31m"]
)
def test_no_name_leaves_its_folder(name):
    safe = slug(name)

    assert 0 < len(safe) <= 80
    assert not set(safe) & set("/\\\0<>=\x1b")
    assert not safe.startswith(".")


@pytest.mark.parametrize("cases", [1, 2])
def test_a_file_gives_back_every_bit(tmp_path, cases):
    original = result(cases)
    netcdf.write(original, tmp_path / "deep" / "results.nc")
    found = netcdf.read(tmp_path / "deep" / "results.nc")

    assert found.attrs["complete"] == 1
    xr.testing.assert_identical(found.drop_attrs(), original.drop_attrs())
    assert netcdf.content_digest(found) == netcdf.content_digest(original)


def test_a_written_file_opens_in_plain_xarray(tmp_path):
    netcdf.write(result(), tmp_path / "results.nc")
    with xr.open_dataset(tmp_path / "results.nc") as found:
        assert int(found.runs) == 1000
        assert "hard_landing" in found.outcome.values


def test_the_same_runs_give_the_same_digest_and_one_other_run_does_not():
    made = records()
    other = made.copy()
    other["tilt"][5] = np.nextafter(other["tilt"][5], np.float32(9))
    digests = [netcdf.content_digest(from_tallies(campaign(), [tally(one, 0)])) for one in (made, made, other)]

    assert digests[0] == digests[1] != digests[2]


def test_a_torn_file_is_never_read_as_a_complete_one(tmp_path):
    """Cut at every eighth of its length, and at its last byte."""
    path = tmp_path / "results.nc"
    netcdf.write(result(), path)
    whole = path.read_bytes()

    for cut in [*range(0, len(whole), len(whole) // 8), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        with pytest.raises(InfrastructureError, match="not"):
            netcdf.read(path)


@pytest.mark.parametrize("flips", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_a_flipped_bit_never_changes_an_answer_unnoticed(tmp_path, flips):
    """Random flips: refused, or in bytes that carry nothing."""
    path = tmp_path / "results.nc"
    netcdf.write(result(), path)
    original = netcdf.read(path)
    whole, random, refused = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(flips):
        place, bit = random.integers(len(whole)), random.integers(8)
        torn = bytearray(whole)
        torn[place] ^= 1 << bit
        path.write_bytes(torn)
        try:
            found = netcdf.read(path)
        except InfrastructureError:
            refused += 1
        else:
            xr.testing.assert_identical(found, original)

    assert refused > 0


def test_a_file_of_another_program_is_refused(tmp_path):
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")

    with pytest.raises(InfrastructureError, match="not a complete results file"):
        netcdf.read(tmp_path / "other.nc")
    with pytest.raises(MistakeError, match="a results file"):
        netcdf.read(tmp_path / "none.nc")


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = tmp_path / "results.nc"
    netcdf.write(result(), path)
    before = path.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        netcdf.write(result(landed=0.1), path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_permissions_of_the_user_and_leaves_them(tmp_path, monkeypatch):
    """The process's mask is never touched: another thread would make files that everybody can write to."""
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.delattr(os, "umask")
            netcdf.write(result(), tmp_path / "r.nc")
    finally:
        os.umask(before)

    assert (tmp_path / "r.nc").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("room", [1, 2000, 60_000])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(tmp_path, room):
    """A limit on the size of files stands for it. HDF5, writing by itself, would end the process with SIGSEGV."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(InfrastructureError) as caught:
            netcdf.write(result(), tmp_path / "results.nc")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert str(caught.value).endswith("results.nc: not written (file too large); free space, or choose --out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("runs", [0, 10, 5000])
def test_kept_records_are_named_and_survive_a_file(tmp_path, runs):
    """Names are stored as numbers in long files; metrics of runs that never touched the ground are no numbers."""
    made = records(runs)
    original = from_records(campaign(), 0, np.arange(runs, dtype=np.uint64), made)
    netcdf.write(original, tmp_path / "all.nc")
    found = netcdf.read(tmp_path / "all.nc")

    xr.testing.assert_identical(found.drop_attrs(), original.drop_attrs())
    assert set(found.outcome.values) <= set(OUTCOMES)
    assert np.array_equal(np.isnan(found.tilt.values), made["contact"] == 0)
    assert found.sizes["run"] == runs
    assert (found.outcome == "success").sum() == (made["outcome"] == OUTCOMES["success"]).sum()


def test_a_replay_is_a_dataset_over_time(tmp_path):
    samples = np.zeros(50, SCHEMA.sample_dtype())
    samples["time"] = np.arange(50) / np.float32(10)
    samples["position_S"] = np.arange(150).reshape(50, 3)
    original = from_samples(campaign(), 0, 17, records()[0], samples)
    netcdf.write(original, tmp_path / "flight.nc")
    found = netcdf.read(tmp_path / "flight.nc")

    assert found.position_S.dims == ("time", "component")
    assert float(found.position_S.sel(component="y")[2]) == 7.0
    assert found.position_S.attrs["units"] == "m"
    assert found.attrs["run"] == 17
    assert found.attrs["outcome"] in OUTCOMES
    xr.testing.assert_identical(found.drop_attrs(), original.drop_attrs())


def test_the_json_answer_has_the_promised_keys():
    """The contract that others script against."""
    told = json.loads(json.dumps(answer(result(cases=2)), allow_nan=False))
    case = told["cases"][0]

    assert {"campaign", "seed", "backend", "elapsed_s", "runs_per_s", "complete", "cases"} <= set(told)
    assert (told["seed"], told["complete"], told["runs_per_s"], told["impossible"]) == (2**64 - 1, True, 1000.0, [])
    assert [one["name"] for one in told["cases"]] == ["m0", "m1"]
    assert case["runs"] == 1000 == sum(one["count"] for one in case["outcomes"].values())
    assert case["success_probability"] == case["success_count"] / 1000
    assert case["success_interval"][0] < case["success_probability"] < case["success_interval"][1]
    assert case["confidence"] == 0.95
    assert set(case["outcomes"]) == set(OUTCOMES)
    assert set(case["causes"]) == set(CAUSES)
    assert sum(case["causes"].values()) == 1000 - case["success_count"]
    assert case["causes"]["none"] == 0
    assert set(case["metrics"]) == {"all_contacts", "landed"}
    tilt = case["metrics"]["landed"]["tilt"]
    assert {"unit", "count", "mean", "std", "quantiles"} <= set(tilt)
    assert tilt["unit"] == "rad"
    assert tilt["quantiles"]["0.01"] < tilt["quantiles"]["0.5"] < tilt["quantiles"]["0.99"]


def test_json_says_null_and_never_nan():
    told = answer(result(landed=0.0))
    text = json.dumps(told, allow_nan=False)

    assert told["cases"][0]["metrics"]["landed"]["tilt"]["mean"] is None
    assert told["cases"][0]["metrics"]["landed"]["tilt"]["quantiles"]["0.5"] is None
    assert "NaN" not in text


def test_the_ledger_shows_losses_by_outcome_and_cause_with_a_run_to_replay():
    made = records(seed=0)
    told = printed(answer(result()))
    lost = int((made["outcome"] == OUTCOMES["hard_landing"]).sum())

    assert "m0: " in told
    assert "of 1 000 runs land: " in told
    assert re.search(rf"hard_landing +{lost} ", told)
    assert "altimeter_late" in told
    first = int(np.flatnonzero(made["outcome"] == OUTCOMES["hard_landing"])[0])
    assert f"mcrisk replay DIR --run {first}" in told


def test_a_command_to_copy_is_one_line_in_a_narrow_terminal():
    """A terminal wraps it by itself, without a line end in the copy."""
    stream, folder = io.StringIO(), "mcrisk-runs/a_mission_with_a_rather_long_name_of_its_own-0123abcd"
    ledger.show(answer(result()), Console(file=stream, width=80), folder=folder)

    assert re.search(rf"^  see one of them: .* replay {folder} --run \d+$", stream.getvalue(), re.MULTILINE)


def test_no_losses_are_shown_with_an_upper_bound():
    """Never 100 %, never zero risk."""
    told = printed(answer(result(landed=1.0)))

    assert "1 000 of 1 000 runs land; fewer than 0.30 % are lost (95 % confidence, none seen)" in told
    assert "100" not in told.replace("1 000", "")


def test_no_landings_are_shown_with_an_upper_bound():
    told = printed(answer(result(landed=0.0)))

    assert "0 of 1 000 runs land: below 0.30 % (95 % confidence, none seen)" in told


@pytest.mark.parametrize("landed", [0, 1, 3, 500, 997, 999, 1000])
def test_no_lower_end_above_zero_reads_as_zero_and_no_upper_below_one_as_certain(landed):
    text = ledger.chance(landed, 1000, risk.interval(landed, 1000), 0.95)

    assert "(0.00 " not in text.replace("none seen", "")
    assert math.isfinite(len(text))


@pytest.mark.parametrize("module", [answer_module, campaign_module, dataset_module, ledger, netcdf])
def test_examples_of_the_documentation_run(module):
    assert doctest.testmod(module).failed == 0
