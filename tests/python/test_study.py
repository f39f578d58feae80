"""Studies: axes, grids, sampled points, named alternatives; every design point on the same worlds; mistakes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import mcrisk
from mcrisk import dataset
from mcrisk.campaign import Campaign, state_study
from mcrisk.errors import ImpossibleDesign, MistakeError
from mcrisk.mission import load
from mcrisk.study import load_study, make_study

BASE = "generic_small"
RANGE = "altimeter.range_max"
THRUST = "propulsion.main.thrust"
AXIS = f'[axes]\n"{RANGE}" = '
SPAN = '{ from = "1 km", to = "2 km"'
LONG = ' = { from = "3 kN", to = "4 kN", points = 1000 }\n'
SOBOL = '[sampling]\nmethod = "sobol"\npoints = 4\n'


@pytest.fixture(scope="module")
def mission():
    return load(BASE)


@pytest.fixture
def study_file(tmp_path):
    """study_file(text): the path of a study of `generic_small`."""

    def write(text, head=f'mission = "{BASE}"\n'):
        path = tmp_path / "study.toml"
        path.write_text(head + text)
        return path

    return write


# ---- known answers


def test_a_grid_runs_through_its_axes_with_the_last_one_fastest(mission):
    study = make_study([mission], {RANGE: ["1 km", 3000.0], THRUST: ["3 kN", "3.2 kN", "3.4 kN"]})
    points = study.points()

    assert study.shape == (2, 3)
    assert [point.place for point in points] == list(range(6))
    assert [dict(point.coords)[RANGE] for point in points] == [1000.0] * 3 + [3000.0] * 3
    assert [dict(point.coords)[THRUST] for point in points] == [3000.0, 3200.0, 3400.0] * 2
    assert points[4].mission.value(THRUST) == 3200.0
    assert points[4].name == "generic_small: altimeter.range_max 3000 m, propulsion.main.thrust 3200 N"


@pytest.mark.parametrize(
    ("spacing", "expected"), [("linear", [1000, 2000, 3000, 4000]), ("log", [1000 * 4 ** (k / 3) for k in range(4)])]
)
def test_a_range_is_spaced_evenly_by_difference_or_by_ratio(mission, spacing, expected):
    axes = {RANGE: {"from": "1 km", "to": "4 km", "points": 4, "spacing": spacing}}
    found = [dict(point.coords)[RANGE] for point in make_study([mission], axes).points()]

    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_any_path_of_a_mission_can_be_an_axis(mission):
    """A fault, a width of a dispersion, a choice, a component, a whole number, the site."""
    changes = {
        "faults.altimeter_never.probability": [0, "10 %"],
        "dispersions.propulsion.main.isp.sigma": ["0.2 %", "0.8 %"],
        "guidance.braking_law": ["explicit_thrust", "dsouza"],
        "vehicle.cg_dry_B.z": ["0.8 m", "0.9 m"],
        "velocimeter.fitted": [0, 1],
        "site.latitude": ["0 deg", "-80 deg"],
    }
    for path, values in changes.items():
        points = make_study([mission], {path: values}).points()

        assert points[0].mission.value(path) != points[1].mission.value(path)
        assert dict(points[1].coords)[path] == points[1].mission.value(path)


def test_zipped_paths_change_together(mission):
    study = make_study([mission], zipped={"class": {RANGE: ["1 km", "2 km"], THRUST: ["3 kN", "3.5 kN"]}})
    coords = [dict(point.coords) for point in study.points()]

    assert study.axes[0].dim == "class"
    assert coords == [{RANGE: 1000.0, THRUST: 3000.0}, {RANGE: 2000.0, THRUST: 3500.0}]


def test_named_designs_and_missions_are_labels(mission):
    other = load("blue_ghost_m1")
    designs = {"as_is": {}, "short": {RANGE: "2 km"}}
    points = make_study([mission, other], designs=designs).points()

    assert [dict(point.coords) for point in points] == [
        {"mission": name, "design": design} for name in (BASE, "blue_ghost_m1") for design in ("as_is", "short")
    ]
    assert points[0].mission == mission
    assert [point.mission.value(RANGE) for point in points] == [6000.0, 2000.0, 10_000.0, 2000.0]


@pytest.mark.parametrize("method", ["sobol", "latin_hypercube"])
def test_sampled_points_fill_every_stratum_once(mission, method):
    """Of 16 points each sixteenth of each range holds one: so for both designs (McKay et al. 1979; Owen 1998)."""
    axes = {RANGE: {"from": 1000.0, "to": 5000.0}, THRUST: {"from": 3000.0, "to": 3600.0, "spacing": "log"}}
    study = make_study([mission], axes, sampling={"method": method, "points": 16, "seed": 4})
    coords = [dict(point.coords) for point in study.points()]
    again = make_study([mission], axes, sampling={"method": method, "points": 16, "seed": 4})
    shares = [(one[RANGE] - 1000) / 4000 for one in coords], [math.log(one[THRUST] / 3000, 1.2) for one in coords]

    assert study.axes == again.axes
    for share in shares:
        np.testing.assert_array_equal(np.sort(np.floor(np.array(share) * 16)), np.arange(16))


# ---- the dataset


def test_each_point_of_a_grid_is_the_run_of_its_mission(mission):
    """The same worlds, the same bits, one dim for each axis; attributes and Params bytes restore the campaign."""
    axes = {RANGE: [1500.0, 6000.0], "guidance.cutoff": ["contact", "height"]}
    result = mcrisk.sweep(mission, axes, runs=64, seed=3)

    assert result["success_count"].dims == (RANGE, "guidance.cutoff")
    assert result.sizes["guidance.cutoff"] == 2
    assert result[RANGE].attrs["units"] == "m"
    for reach in (1500.0, 6000.0):
        for cutoff in ("contact", "height"):
            alone = mcrisk.run(mission.replace({RANGE: reach, "guidance.cutoff": cutoff}), runs=64, seed=3)
            here = result.sel({RANGE: reach, "guidance.cutoff": cutoff})
            for name in ("outcome_count", "cause_count", "metric_mean", "metric_quantile", "params"):
                np.testing.assert_array_equal(here[name].values, alone[name].values)
    restored = dataset.campaign_of(result)
    assert restored.digest == result.attrs["campaign"]
    assert [one["success_count"].item() for one in dataset.design_points(result)] == result[
        "success_count"
    ].values.ravel().tolist()


def test_an_impossible_design_has_no_runs_and_says_why(mission, tmp_path):
    """2 kN on 2 t cannot hold the weight: no run, the interval of ignorance, the reason; the file holds it too."""
    result = mcrisk.sweep(mission, {THRUST: [1000.0, 3000.0], RANGE: [3000.0, 6000.0]}, runs=32, out=tmp_path)
    read = xr.open_dataset(tmp_path / "results.nc", engine="h5netcdf")

    np.testing.assert_array_equal(result["runs"], [[0, 0], [32, 32]])
    np.testing.assert_array_equal(result["success_interval"].sel({THRUST: 1000.0}), [[0, 1], [0, 1]])
    assert np.isnan(result["success_probability"].sel({THRUST: 1000.0})).all()
    assert "times the weight" in result["impossible"].values[0, 0]
    assert result["impossible"].values[1, 1] == ""
    xr.testing.assert_equal(read["runs"], result["runs"])
    assert len(dataset.campaign_of(result).impossible) == 2


def test_a_study_of_impossible_designs_alone_is_refused(mission):
    with pytest.raises(ImpossibleDesign, match="times the weight"):
        state_study(make_study([mission], {THRUST: [500.0, 1000.0]}))


def test_the_digest_knows_the_designs_but_not_their_names(mission):
    one = state_study(make_study([mission], {RANGE: [1000.0, 2000.0]}, name="a"))
    same = state_study(make_study([mission], {RANGE: ["1 km", "2 km"]}, name="b"))
    other = state_study(make_study([mission], {RANGE: [1000.0, 2001.0]}))

    assert one.digest == same.digest != other.digest
    blocks = [case.params for case in one.cases]
    assert Campaign.restored(json.loads(json.dumps(one.describe())), blocks) == one


# ---- mistakes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[axis]\n", "unknown key 'axis'; did you mean 'axes'?"),
        ("axes = 3\n", r"axes: expected a table \[axes\], got 3"),
        (f'{AXIS}[]\n', r'axes: altimeter.range_max: expected a list such as'),
        (f'{AXIS}"1 km"\n', r'expected a list such as \["1 km", "3 km"\]'),
        (f'{AXIS}{{ from = "1 km", points = 3 }}\n', "expected both from and to"),
        (f'{AXIS}{SPAN} }}\n', "points: expected how many, got nothing"),
        (f'{AXIS}{SPAN}, points = 1 }}\n', "points: expected a whole number of at least 2"),
        (f'{AXIS}{SPAN}, points = 3, step = 1 }}\n', "unknown key 'step'"),
        (f'{AXIS}{SPAN}, points = 3, spacing = "cubic" }}\n', "expected linear or log"),
        (f'{AXIS}{{ from = "0 kg", to = "2 km", points = 3 }}\n', "expected a length"),
        ('[axes]\n"altimeter.bias" = { from = "-1 m", to = "1 m", points = 3, spacing = "log" }\n', "ends above zero"),
        ('[axes]\n"guidance.braking_law" = { from = "apollo", to = "dsouza", points = 2 }\n', "a range needs numbers"),
        ('[axes]\n"altimiter.range_max" = ["1 km"]\n', "did you mean 'altimeter.range_max'"),
        (f'{AXIS}["1 km"]\n[zip.z]\n"{RANGE}" = ["2 km"]\n', "altimeter.range_max twice"),
        (f'[zip.z]\n"{RANGE}" = ["2 km"]\n"{THRUST}" = ["3 kN", "4 kN"]\n', "expected lists of one length"),
        ("[zip]\nz = 3\n", r"zip.z: expected a table \[zip.z\] of lists by path"),
        ("[designs]\na = 3\n", r"designs.a: expected a table \[designs.a\]"),
        ('[designs."a b"]\n', "names of letters"),
        (SOBOL, "expected ranges to sample"),
        (f'{AXIS}["1 km"]\n{SOBOL}', r"expected a range \{ from"),
        (f'{AXIS}{SPAN} }}\n[sampling]\nmethod = "halton"\npoints = 4\n', "expected sobol or latin"),
        (f'{AXIS}{SPAN} }}\n[sampling]\nmethod = "sobol"\npoints = 0\n', "from 1 to 100000"),
        (f'{AXIS}{SPAN}, points = 2 }}\n{SOBOL}', "expected nothing"),
        ("runs = -3\n", "runs: expected a whole number"),
        ('seed = "a"\n', "seed: expected a whole number"),
        ("title = 3\n", "title: expected a text"),
        (f'{AXIS}{SPAN}, points = 1000 }}\n"{THRUST}"{LONG}', "at most 100000 design points"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_told_in_one_message(study_file, text, message):
    with pytest.raises(MistakeError, match=message) as refusal:
        load_study(study_file(text)).points()

    assert len(str(refusal.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("", "missions: expected one list"),
        ('missions = "generic_small"\n', "missions: expected one list"),
        ("missions = []\n", "missions: expected one list"),
        ("missions = [3]\n", "expected names or paths"),
        ('missions = ["generic_big"]\n', "no mission called 'generic_big'"),
        ('missions = ["generic_small", "generic_small"]\n', "expected each mission once"),
    ],
)
def test_a_study_names_its_missions(study_file, head, message):
    with pytest.raises(MistakeError, match=message):
        load_study(study_file("", head))


def test_the_shipped_studies_are_whole():
    from mcrisk.config import shipped

    names = shipped("studies")
    assert names
    for name in names:
        study = load_study(name)
        assert study.title
        assert len(study.points()) == len(study) > 1


def test_a_sweep_that_was_interrupted_shows_what_is_not_flown_yet(mission, tmp_path, capsys):
    """As a map, as lines, and of several missions; nothing is divided by zero runs."""
    from mcrisk.answer import answer
    from mcrisk.campaign import state
    from mcrisk.goal import Goal
    from mcrisk.grid import show_sweep
    from mcrisk.ledger import show
    from mcrisk.results import read_results
    from mcrisk.store import Store

    grids = ({RANGE: [3000.0, 6000.0], THRUST: [3000.0, 3100.0]}, {RANGE: [3000.0, 6000.0]})
    campaigns = [state_study(make_study([mission], axes), 0) for axes in grids] + [state([mission, mission])]
    for place, campaign in enumerate(campaigns):
        folder = tmp_path / str(place)
        with Store.written(folder, campaign, Goal(32)):
            pass
        told = answer(read_results(folder / "results.nc"))
        (show if place == 2 else show_sweep)(told, Console(width=120))
        text = capsys.readouterr().out

        assert text.count("not flown yet") + text.count("no run is flown yet") == len(campaign.cases)
