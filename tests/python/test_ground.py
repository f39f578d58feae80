"""The [ground] of a mission: what it states, what the kernel gets, and that a campaign keeps it without its files."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3

import numpy as np
import pytest

import mcrisk
from mcrisk import ground, netcdf, regions, terrain
from mcrisk.api import fly, replay_case
from mcrisk.backends.cpu import CpuBackend
from mcrisk.campaign import Campaign, state, state_study
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.goal import Goal
from mcrisk.mission import load, loads
from mcrisk.nominal import concerns, design
from mcrisk.params import pack, unpack
from mcrisk.relief import Patch, Relief
from mcrisk.schema import load_schema
from mcrisk.store import JOURNAL, Store
from mcrisk.study import make_study

BASE = 'base = "generic_small"\n'
HILLY = BASE + '[ground]\nsynthetic = "highland"\nseed = 3\ncell = "400 m"\nsite_cell = "20 m"\n'
RUNS = 96


def model() -> Relief:
    """A strip with a patch, each height another."""
    strip = Patch(-2000, -1000, 1000, 500, np.arange(20.0).reshape(4, 5))
    return Relief(strip, Patch(-1000, -500, 100, 50, np.arange(11.0 * 21).reshape(11, 21) - 40))


# ---- known answers


def test_a_relief_is_packed_as_the_kernel_reads_it():
    """The strip's heights first, then the patch's, row by row; one over the steps; ends of all."""
    packed = ground.pack(model())
    expected = np.concatenate([np.arange(20.0), np.arange(231.0) - 40]).astype("<f4")

    assert packed.heights == expected.tobytes()
    assert [packed.values[f"relief.site.{name}"] for name in ground.PATCH] == [-1000, -500, 0.01, 0.02, 11, 21, 20]
    assert [packed.values[f"relief.{name}"] for name in ("lowest", "highest", "count")] == [-40, 190, 251]


def test_without_a_patch_the_strip_is_both():
    """So the kernel need not ask."""
    packed = ground.pack(Relief(model().strip))

    assert all(packed.values[f"relief.site.{name}"] == packed.values[f"relief.strip.{name}"] for name in ground.PATCH)
    assert packed.values["relief.count"] == 20


def test_a_mission_without_ground_has_none():
    """Zeros in Params, no heights."""
    designed = design(load("generic_small"))

    assert ground.of(designed) is ground.FLAT
    assert unpack(pack(designed), internal=True)["relief.count"] == 0


def test_heights_count_from_the_ground_at_the_target(tmp_path):
    """A file that lies 25 m higher there is lowered by that, and the note says so."""
    relief = Relief(Patch(-2000, -1000, 500, 500, np.full((9, 5), 25.0)))
    path = tmp_path / "plain.nc"
    terrain.write(dataclasses.replace(relief, projection=_projection()), path)
    mission = loads(BASE + f'[ground]\nfiles = "{path}"\n')

    assert ground.relief_of(mission).height_at(0, 0) == 0
    assert "25.0 m above site.elevation" in ground.of(mission).notes[-1]


def _projection():
    from mcrisk.relief import Projection

    value = load("generic_small").value
    return Projection(*(value(f"site.{name}") for name in ("latitude", "longitude", "azimuth")), 0.0)


@pytest.mark.parametrize(("region", "rocks", "craters"), [("mare", 0.01, 0.05), ("ejecta", 0.1, 0.02), ("none", 0, 0)])
def test_a_region_gives_the_pad_its_rocks_and_craters(region, rocks, craters):
    """Numbers of regions.py where the mission states none; none of slopes, since generic_small disperses its own."""
    mission = loads(BASE + f'[ground]\nregion = "{region}"\n')

    assert mission.value("terrain.rock_area") == rocks
    assert mission.value("terrain.crater_density") == craters
    assert mission.value("terrain.cell_slope") == 0
    assert ground.of(mission) is ground.FLAT


def test_what_a_mission_states_of_its_pad_stays():
    """The class fills in the rest. Ground that is made up brings its class; its craters are those that cells hide."""
    stated = loads(BASE + '[ground]\nregion = "mare"\n[terrain]\nrock_area = 0.03\n')
    made = loads(HILLY)
    fine = made.replace({"ground.site_cell": 0.4})

    assert stated.value("terrain.rock_area") == 0.03
    assert made.value("terrain.rock_area") == 0.007
    assert made.value("terrain.crater_largest") == 17.0  # of three cells of 20 m, the baseline of slopes
    assert (fine.value("terrain.crater_density"), made.value("terrain.crater_density")) == (0, 0.05)


def test_an_inherited_slope_is_given_up_for_those_of_the_region():
    """By a dispersion of no width, which leaves nothing of its own."""
    text = BASE + '[ground]\nregion = "highland"\n'
    given_up = text + '[dispersions]\nterrain.slope = { rayleigh = "0 deg" }\n'

    assert loads(text).value("terrain.cell_slope") == 0
    assert loads(given_up).value("terrain.cell_slope") > 0.1
    assert not any("terrain.slope" in note for note in concerns(design(loads(given_up))))


def test_a_pad_without_slopes_of_its_own_has_those_of_its_region():
    """Median 2.7 deg at 5 m on maria, less what craters make of it: 0.77 of it over 1.1774, for each axis."""
    plain = load("generic_small")
    stated = {"site.elevation": 0.0}
    text = "\n".join(line for line in plain.to_toml().splitlines() if '"terrain.slope"' not in line)
    mission = loads(text.replace("[mass]", '[ground]\nregion = "mare"\n\n[mass]', 1)).replace(stated)
    median = np.arctan(np.tan(np.radians(2.0)) * (5 / 17) ** (0.76 - 1))

    assert mission.value("terrain.cell_slope") == pytest.approx(0.77 * median / 1.1774, rel=1e-4)


@pytest.mark.parametrize(
    ("table", "cell"),
    [('files = "dem.nc"', 100), ('files = "dem.nc"\ncell = "50 m"', 50), ('files = "dem.nc"\nsite_cell = "4 m"', 4)],
)
def test_a_region_beside_files_knows_of_their_slopes(table, cell):
    """Those of the site's cells where they are stated, else of the strip's: what the pad adds is not there twice."""
    text = "\n".join(one for one in load("generic_small").to_toml().splitlines() if '"terrain.slope"' not in one)
    mission = loads(text.replace("[mass]", f'[ground]\nregion = "highland"\n{table}\n\n[mass]', 1))
    expected = regions.pad_values(regions.find("highland"), cell=cell)

    assert {path: mission.value(path) for path in expected} == expected


def test_a_region_beside_files_without_cells_of_the_site_is_told(tmp_path):
    """A finer file shows some of its craters already; stated cells, or no region, and nothing is said."""
    path = tmp_path / "dem.nc"
    terrain.write(dataclasses.replace(model(), projection=_projection()), path)

    for more, said in (('region = "mare"', 1), ('region = "mare"\nsite_cell = "50 m"', 0), ('region = "none"', 0)):
        found = concerns(design(loads(BASE + f'[ground]\nfiles = "{path}"\n{more}\n')))
        assert sum("state ground.site_cell" in one for one in found) == said


# ---- invariants


def test_a_mission_with_ground_is_written_and_read_back():
    """The TOML of what it states gives an equal mission and the same heights; missions of like ground share them."""
    mission = loads(HILLY)
    again = loads(mission.to_toml())

    assert again == mission
    assert ground.of(again).heights is ground.of(mission).heights
    assert mission.replace({"ground.seed": 4}) != mission


def test_files_are_found_beside_the_mission(tmp_path, monkeypatch):
    """Wherever the command is given, and of a mission that was written elsewhere beside that which it is of."""
    folder = tmp_path / "here"
    folder.mkdir()
    terrain.write(dataclasses.replace(model(), projection=_projection()), folder / "dem.nc")
    (folder / "mine.toml").write_text(BASE + '[ground]\nfiles = ["dem.nc"]\n')
    monkeypatch.chdir(tmp_path)

    mission = load("here/mine.toml")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/written.toml").write_text(mission.to_toml())

    assert ground.relief_of(mission).size == 251
    assert ground.relief_of(load("elsewhere/written.toml")).size == 251


def test_heights_decide_the_digest_of_a_campaign():
    """Another seed of the ground is another campaign; the same ground is the same."""
    one, same, other = (state([loads(HILLY).replace({"ground.seed": seed})], 7) for seed in (3, 3, 4))

    assert one.digest == same.digest != other.digest
    assert one.cases[0].heights != other.cases[0].heights


def test_a_sweep_keeps_one_copy_of_a_ground_that_its_cases_share():
    """And one of each that differs."""
    study = make_study([loads(HILLY)], {"ground.seed": [3, 4], "altimeter.range_max": [2000, 4000]})
    cases = state_study(study, 7).cases

    assert len(cases) == 4
    assert len({id(case.heights) for case in cases}) == 2


def test_a_store_keeps_the_ground_after_its_file_is_gone(tmp_path):
    """What was begun goes on from the store alone, to the same bits as without a break, and is replayed from there."""
    path = tmp_path / "dem.nc"
    made = ground.relief_of(loads(HILLY))
    terrain.write(dataclasses.replace(made, projection=_projection()), path)
    campaign = state([loads(BASE + f'[ground]\nfiles = "{path}"\n')], 7)
    whole = netcdf.content_digest(fly(campaign, RUNS, CpuBackend()))
    folder = tmp_path / "store"
    fly(campaign, Goal(RUNS // 2), CpuBackend(), folder=folder)
    path.unlink()
    ground._relief.cache_clear()
    with Store.read(folder) as store:
        restored = store.campaign
    found = fly(restored, Goal(RUNS), CpuBackend(), folder=folder)

    assert restored.cases[0].heights == campaign.cases[0].heights
    assert netcdf.content_digest(found) == whole
    assert replay_case(restored, 5).sizes["time"] == replay_case(campaign, 5).sizes["time"]


def test_processes_fly_over_the_same_ground(tmp_path):
    """Through dask and its messages: the bits of one process."""
    mission = loads(HILLY)
    here = mcrisk.run(mission, runs=RUNS, seed=7)
    spread = mcrisk.run(mission, runs=RUNS, seed=7, cluster="processes")

    assert netcdf.content_digest(here) == netcdf.content_digest(spread)


def test_a_flight_over_hills_sees_them():
    """Replay: heights over the ground differ from those over the sphere by the model's own, where it is flown over."""
    calm = {f"dispersions.terrain.{name}.sigma": 1e-3 for name in ("height_error", "map_shift")}
    mission = loads(HILLY).replace(calm)
    flight = mcrisk.replay(mission, run=0, seed=7)
    position = flight["position_S"].values.T.astype(float)
    site = design(mission).value("gravity.radius")
    r = np.linalg.norm(position + np.array([[0], [0], [site]]), axis=0)
    x, y = site * np.arctan2(position[0], position[2] + site), site * position[1] / r
    over = r - site - design(mission).value("touchdown.cg_height") - flight["height"].values
    low = np.flatnonzero((flight["height"].values < 3000) & (flight["height"].values > 1))
    expected = ground.relief_of(mission).height_at(x[low], y[low])

    assert np.ptp(expected) > 20
    np.testing.assert_allclose(over[low], expected, atol=0.1)


# ---- failure


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('synthetic = "mare"\nfiles = "dem.nc"', "either files or synthetic, got both"),
        ("seed = 3", "either files or synthetic, got neither"),
        ('synthetic = "maria"', "mare"),
        ('region = "maria"', "mare"),
        ("region = 3", "a terrain class"),
        ("synthetic = 3", "a terrain class"),
        ("files = []", "a file or a list of files"),
        ('files = ["nowhere.tif"]', "nowhere.tif"),
        ('synthetic = "mare"\nseed = 3.5', "ground.seed: expected a whole number below 2^53, got 3.5"),
        ('synthetic = "mare"\nseed = 1e16', "ground.seed: expected a whole number below 2^53"),
        ('synthetic = "mare"\ncell = "1 m"', "1,048,576 heights"),
        ('synthetic = "mare"\nwidth = "1 km"', "half_width"),
    ],
)
def test_a_ground_that_cannot_be_made_is_refused_in_a_sentence(table, said):
    """Before anything is flown."""
    with pytest.raises(MistakeError) as refused:
        state([loads(BASE + f"[ground]\n{table}\n")])
    assert said in str(refused.value)


def test_params_and_heights_that_do_not_belong_together_are_refused():
    """The kernel would read beyond them."""
    case = state([loads(HILLY)], 7).cases[0]
    for heights in (b"", case.heights[:-4], case.heights + bytes(4)):
        with pytest.raises(InfrastructureError, match="elevation model"):
            CpuBackend().run(case.params, 0, 0, 1, heights)


@pytest.mark.parametrize(
    ("name", "number"),
    [("strip.rows", 1 << 20), ("strip.columns", 1), ("site.first", -1), ("site.first", 1 << 20), ("site.rows", 0)],
)
def test_grids_beyond_their_heights_are_refused(name, number):
    """Params whose grids do not lie within the heights: the kernel would read beyond them."""
    case = state([loads(HILLY)], 7).cases[0]
    block, place = bytearray(case.params), load_schema().slots[f"relief.{name}"].offset_bytes(4)
    block[place : place + 4] = number.to_bytes(4, "little", signed=True)

    with pytest.raises(InfrastructureError, match="elevation model within its"):
        CpuBackend().run(bytes(block), 0, 0, 1, case.heights)


def test_stored_heights_that_changed_are_noticed():
    """By the campaign's digest."""
    campaign = state([loads(HILLY)], 7)
    (case,) = campaign.cases
    statement = campaign.describe()
    digest = statement["cases"][0]["heights_sha256"]

    assert Campaign.restored(statement, [case.params], {digest: case.heights}).digest == campaign.digest
    for wrong in ({digest: case.heights[:-4] + bytes(4)}, {}):
        with pytest.raises(MistakeError, match="stored campaign"):
            Campaign.restored(statement, [case.params], wrong)


@pytest.mark.parametrize("change", ["block = 5", "block = 'abc'", "block = x'00'", "digest = 'another'"])
def test_a_journal_whose_heights_are_damaged_is_told(tmp_path, change):
    """Numbers and texts where a block was, a torn one, one of another ground."""
    campaign = state([loads(HILLY)], 7)
    fly(campaign, Goal(1), CpuBackend(), folder=tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / JOURNAL)) as journal, journal:
        journal.execute(f"UPDATE heights SET {change}")

    with pytest.raises(InfrastructureError, match="its parameters are damaged"), Store.read(tmp_path):
        pass


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("seed = 1.5", "ground.seed: expected a whole number below 2\\^53, got 1.5"),
        ("seed = 9007199254740993", "ground.seed: expected a whole number"),
        (
            'synthetic = "Mare"',
            'ground.synthetic: expected a terrain class, one of mare, highland, ejecta, got "Mare"; did you mean',
        ),
        ('region = "moon"', "ground.region: expected a terrain class, one of mare, highland, ejecta, none"),
    ],
)
def test_a_class_or_seed_that_is_none_is_told_with_its_place(line, said):
    """When the mission is read, rounded nowhere."""
    with pytest.raises(MistakeError, match=said):
        loads(BASE + f"[ground]\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        'length_before = "1e30 m"', 'half_width = "1e12 m"', 'cell = "1e-12 m"', 'cell = "1e30 m"',
        'site_half_width = "1e30 m"', 'site_cell = "1e-12 m"', 'site_cell = "1e-300 m"',
    ],
)  # fmt: skip
def test_ground_that_no_memory_holds_is_a_mistake(line):
    """Told before memory is asked for."""
    with pytest.raises(MistakeError, match="at most 1,048,576 heights"):
        ground.of(loads(BASE + f'[ground]\nsynthetic = "mare"\n{line}\n'))


def test_files_replace_an_inherited_synthetic_ground_and_the_other_way_round(tmp_path):
    """As a covariance replaces sigmas. Both in one file are refused."""
    (tmp_path / "made.toml").write_text(HILLY)
    (tmp_path / "read.toml").write_text('base = "./made.toml"\n[ground]\nfiles = "dem.nc"\n')
    (tmp_path / "again.toml").write_text('base = "./read.toml"\n[ground]\nsynthetic = "mare"\n')
    read, again = (load(tmp_path / f"{name}.toml") for name in ("read", "again"))

    assert {"ground.files"} == read.tables.keys() & {"ground.files", "ground.synthetic", "ground.seed"}
    assert {"ground.synthetic"} == again.tables.keys() & {"ground.files", "ground.synthetic", "ground.seed"}
    assert "ground.files" not in read.replace({"ground.synthetic": "mare"}).tables
    with pytest.raises(MistakeError, match=r"ground.seed: expected synthetic ground, got files"):
        ground.of(read.replace({"ground.seed": 1}))


def test_an_exported_mission_finds_its_files_from_anywhere(tmp_path, monkeypatch):
    """Paths in it are whole, however short the mission was named; paths and NumPy's texts are paths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(BASE + '[ground]\nfiles = "dem.nc"\n')
    expected = (str(tmp_path / "dem.nc"),)

    assert load("mine.toml").tables["ground.files"] == expected
    assert loads(load("mine.toml").to_toml()).tables["ground.files"] == expected
    for given in (tmp_path / "dem.nc", [tmp_path / "dem.nc"], np.array(["dem.nc"]), "dem.nc"):
        assert load("generic_small").replace({"ground.files": given}) == load("generic_small").replace(
            {"ground.files": "dem.nc"}
        )


def test_files_can_be_swept(tmp_path):
    """A design for each, told by its path."""
    terrain.write(dataclasses.replace(model(), projection=_projection()), tmp_path / "dem.nc")
    terrain.write(dataclasses.replace(model(), projection=_projection()), tmp_path / "other.nc")
    names = [str(tmp_path / name) for name in ("dem.nc", "other.nc")]
    cases = state_study(make_study([load("generic_small")], {"ground.files": [[one] for one in names]}), 7).cases

    assert [dict(case.coords)["ground.files"] for case in cases] == names


def test_a_file_that_changes_while_its_campaign_is_stated_is_told(tmp_path):
    """The design is for other heights than those that would be flown."""
    path = tmp_path / "dem.nc"
    terrain.write(dataclasses.replace(model(), projection=_projection()), path)
    designed = design(loads(BASE + f'[ground]\nfiles = "{path}"\n'))
    heights = ground.heights_of(designed)
    higher = dataclasses.replace(model().site, heights=2 * model().site.heights)
    terrain.write(dataclasses.replace(model(), site=higher, projection=_projection()), path)

    assert len(heights) == 4 * 251
    with pytest.raises(InfrastructureError, match=r"ground: expected the files that were read for its design"):
        ground.heights_of(designed)
