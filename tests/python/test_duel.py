"""mcrisk.duel: designs compared in pairs, as a dataset, as JSON and as text."""

from __future__ import annotations

import doctest
import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from mcrisk import duel, pairs
from mcrisk.duel import answer, compare, show
from mcrisk.errors import MistakeError, command

RUNS = 2000
CONTRACT = {
    "a",
    "b",
    "runs",
    "both_land",
    "only_a",
    "only_b",
    "neither",
    "difference",
    "interval",
    "p_value",
    "examples",
}


def design(name, both, only, neither, coords=None):
    """Landings of which those of the world (both) come first, then `only` of this design, then the lost."""
    landed = np.zeros(RUNS, bool)
    landed[:both] = True
    landed[both + only[0] : both + only[0] + only[1]] = True
    assert both + only[0] + only[1] + neither <= RUNS
    return name, np.packbits(landed, bitorder="little"), coords


@pytest.fixture
def designs():
    """main_retained lands in 650 runs that as_flown loses, and loses 3; runs 1200 .. 1849 and 1850 .. 1852."""
    return [
        design("main_retained", 1200, (0, 650), 147, {"altimeter.range_max": np.float64(5000.0), "law": "apollo"}),
        design("as_flown", 1200, (650, 3), 147, {"altimeter.range_max": math.nan}),
    ]


def text(said, **options):
    console = Console(file=io.StringIO(), width=200)
    show(said, console, **options)
    return console.file.getvalue()


def test_the_answer_has_the_contract_and_is_json_without_nan(designs):
    found = json.loads(json.dumps(answer(compare(designs, RUNS)), allow_nan=False))
    (pair,) = found["pairs"]

    assert set(pair) >= CONTRACT
    assert (pair["a"], pair["b"], pair["runs"]) == ("main_retained", "as_flown", 2000)
    assert [pair[name] for name in ("both_land", "only_a", "only_b", "neither")] == [1200, 650, 3, 147]
    assert pair["difference"] == pytest.approx(647 / 2000)
    assert pair["interval"] == pytest.approx(pairs.paired(1200, 650, 3, 147).interval)
    assert pair["interval_method"] == "newcombe"
    assert pair["examples"] == {"only_a": list(range(1200, 1210)), "only_b": [1850, 1851, 1852]}
    assert pair["verdict"] == "a better"
    assert pair["success_a"] == {
        "count": 1850,
        "runs": 2000,
        "probability": 0.925,
        "interval": pytest.approx([0.9126, 0.9362], abs=1e-4),
    }
    assert found["designs"][0]["coords"] == {"altimeter.range_max": 5000.0, "law": "apollo"}
    assert found["designs"][1]["coords"] == {"altimeter.range_max": None}


def test_the_dataset_names_its_units_and_its_method(designs):
    dataset = compare(designs, RUNS, examples=4)

    assert dataset.sizes["pair"] == 1
    assert dataset["examples_only_a"].values.tolist() == [[1200, 1201, 1202, 1203]]
    assert dataset["examples_only_b"].values.tolist() == [[1850, 1851, 1852, -1]]
    assert all("long_name" in one.attrs for one in dataset.variables.values())
    assert "Holm" in dataset.attrs["method"] and "McNemar" in dataset.attrs["method"]
    assert dataset.attrs["confidence"] == 0.95


def test_a_winner_is_told_in_one_sentence_whichever_design_is_named_first(designs):
    expected = (
        "main_retained lands more often than as_flown: by 32.4 points (30.3 to 34.4, 95 % confidence), "
        "on the same 2 000 worlds; it rescues 650 and loses 3"
    )

    for order in (designs, designs[::-1]):
        assert expected in text(answer(compare(order, RUNS)))


def test_the_runs_to_look_at_are_named_with_the_command_that_shows_them(designs):
    said = text(answer(compare(designs, RUNS)), replay=lambda name, run: command("replay", name, "--run", str(run)))

    assert "main_retained lands and as_flown is lost: runs 1200, 1201, 1202, 1203, 1204, ..." in said
    assert "replay as_flown --run 1200" in said
    assert "replay main_retained --run 1850" in said
    assert "replay" not in text(answer(compare(designs, RUNS)))


def test_the_four_counts_are_shown_as_a_square(designs):
    lines = [" ".join(line.split()) for line in text(answer(compare(designs, RUNS))).splitlines()]

    assert "runs as_flown lands as_flown is lost" in lines
    assert "main_retained lands 1 200 650" in lines
    assert "main_retained is lost 3 147" in lines


def test_what_cannot_be_told_says_how_many_more_runs_would():
    """6 against 2 in 2000: p = 0.29; the runs needed are those of pairs.runs_to_tell, less those flown."""
    found = answer(compare([design("new", 1980, (0, 6), 0), design("old", 1980, (6, 2), 0)], RUNS))
    said, needed = text(found), pairs.runs_to_tell(pairs.paired(1980, 6, 2, 12))

    assert found["pairs"][0]["verdict"] == "cannot tell"
    assert found["pairs"][0]["runs_to_tell"] == needed
    assert "cannot tell new from old: new leads by 0.20 points (-0.10 to 0.56, 95 % confidence)" in said
    assert f"about {duel.count(duel._two_digits(needed - RUNS))} more runs would tell" in said
    assert "if the difference stays" in said


def test_designs_that_never_differ_are_bounded_not_called_equal():
    found = answer(compare([design("one", 1990, (0, 0), 10), design("two", 1990, (0, 0), 10)], RUNS))
    pair, said = found["pairs"][0], text(found)

    assert pair["runs_to_tell"] is None
    assert pair["interval"] == pytest.approx([-3.69 / 2000, 3.69 / 2000], rel=5e-3)
    assert "cannot tell one from two: no run differs" in said
    assert "the difference is -0.18 to 0.18 points" in said


def test_pairing_is_told_by_what_independent_runs_would_cost(designs):
    pair = answer(compare(designs, RUNS))["pairs"][0]

    assert pair["pairing_factor"] == pytest.approx(pair["independent_runs"] / 2000)
    assert f"the same interval from independent runs takes {pair['pairing_factor']:.1f} times as many" in text(
        answer(compare(designs, RUNS))
    )


def test_among_many_pairs_a_lead_has_to_be_clearer():
    """8 against 1 in 2000: p = 0.039 alone; among the 15 pairs of six designs Holm's method does not trust it."""
    alone = [design("new", 1980, (0, 8), 0), design("old", 1980, (8, 1), 0)]
    others = [design(f"twin {number}", 1980, (0, 8), 0) for number in range(4)]
    single, many = answer(compare(alone, RUNS))["pairs"][0], answer(compare(alone + others, RUNS))["pairs"][0]
    said = duel.sentence(many, 0.95, 15)

    assert single["verdict"] == "a better"
    assert single["interval"][0] > 0.0
    assert many["verdict"] == "cannot tell"
    assert many["p_value"] == single["p_value"] < 0.05 < many["p_value_holm"]
    assert many["runs_to_tell"] > single["runs_to_tell"]
    assert "told apart were this the only pair, but among 15 pairs such a lead comes by chance" in said


def test_more_than_six_pairs_are_a_table_of_one_line_each():
    found = answer(compare([design(f"design {k}", 1000 + 100 * k, (0, 0), 0) for k in range(5)], RUNS))
    lines = [" ".join(line.split()) for line in text(found).splitlines()]

    assert len(found["pairs"]) == 10
    assert sum(line.endswith("b better") for line in lines) == 10
    assert "design 0 design 1 -5.0 -6.0 to -4.1 0 100 < 0.0001 b better" in lines


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_against_one_design_names_the_others_whole_and_that_one_once(width):
    """By what differs between them; a mission without coordinates by its name."""
    heights = [f"{k} m" for k in range(600, 608)]
    coords = [{"altimeter.range_max": float(height.split()[0]), "guidance.law": "apollo"} for height in heights]
    sweep = [design(f"altimeter.range_max {height}, guidance.law apollo", 1000, (100 * k, 100), 0, one)
             for k, (height, one) in enumerate(zip(heights, coords, strict=True))]  # fmt: skip
    plain = [design(f"a_mission_with_a_long_name_{k}", 1000, (100 * k, 100), 0) for k in range(9)]
    for designs in (sweep, plain):
        found = answer(compare(designs, RUNS, against=designs[0][0]))
        console = Console(file=io.StringIO(), width=width)
        show(found, console)
        said = console.file.getvalue()

        assert "…" not in said
        assert said.count(designs[0][0]) == 1
        assert "each interval for its pair alone" in " ".join(said.split())
        lines = [line.split() for line in said.splitlines() if " to " in line and "%" not in line]
        assert len(lines) == len(designs) - 1
        if designs is sweep:
            assert [" ".join(line[:3]) for line in lines] == [f"{height} apollo" for height in heights[1:]]


def test_all_designs_can_be_compared_with_one(designs):
    more = [*designs, design("third", 1900, (0, 0), 0)]
    found = answer(compare(more, RUNS, against="as_flown"))

    assert [(one["a"], one["b"]) for one in found["pairs"]] == [("main_retained", "as_flown"), ("third", "as_flown")]
    assert found["against"] == "as_flown"


def test_a_hundred_designs_are_compared_with_one_but_not_all_with_all():
    many = [design(f"d{k}", 1000 + k, (0, 0), 0) for k in range(100)]

    assert compare(many, RUNS, against="d0").sizes["pair"] == 99
    with pytest.raises(MistakeError, match="at most 50 to compare all with all, got 100; compare all of them with one"):
        compare(many, RUNS)


def test_equal_designs_get_a_verdict_in_5_campaigns_of_100_at_most():
    """6 pairs of 4 designs alike, 100 campaigns of 400 runs; fixed seed, false alarm below 1e-3 (5 % + 3 SE)."""
    random, alarms = np.random.default_rng(8), 0
    for _ in range(100):
        landed = (random.random(400) < 0.8) | (random.random((4, 400)) < 0.1)
        named = [(f"d{k}", np.packbits(one, bitorder="little"), None) for k, one in enumerate(landed)]
        alarms += any(one != "cannot tell" for one in compare(named, 400, examples=0)["verdict"].values)

    assert alarms <= 100 * 0.05 + 3 * math.sqrt(100 * 0.05 * 0.95)


def test_without_runs_there_is_no_difference_and_no_nan():
    nothing = np.zeros(0, np.uint8)
    found = answer(compare([("a", nothing, None), ("b", nothing, None)], 0))

    assert json.dumps(found, allow_nan=False)
    assert found["pairs"][0]["difference"] is None
    assert found["pairs"][0]["pairing_factor"] is None
    assert "a and b cannot be told apart: no runs" in text(found)


def test_the_dataset_survives_a_file(designs, tmp_path):
    """netCDF keeps names, counts, interval and attributes."""
    import xarray as xr

    dataset = compare(designs, RUNS)
    dataset.to_netcdf(tmp_path / "pairs.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "pairs.nc", engine="h5netcdf") as again:
        assert answer(again.load()) == answer(dataset)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ones: compare(ones[:1], RUNS), "designs: expected at least two, got 1"),
        (lambda ones: compare([ones[0], ones[0]], RUNS), "names that differ, got 'main_retained' 2 times"),
        (lambda ones: compare(ones, RUNS, against="as_flwn"), "did you mean 'as_flown'"),
        (lambda ones: compare(ones, RUNS - 8), "landings of main_retained: expected uint8 of shape"),
        (lambda ones: compare(ones, RUNS, confidence=95), "confidence: expected a number between 0 and 1"),
        (lambda ones: compare(ones, RUNS, examples=-1), "examples: expected a count, not negative"),
    ],
)
def test_mistakes_name_what_was_expected(designs, change, words):
    with pytest.raises(MistakeError, match=words):
        change(designs)


def test_examples_of_the_documentation_run():
    assert doctest.testmod(duel).failed == 0
