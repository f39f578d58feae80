"""`scripts/bench scaling` reckons right: lines, what they foretell, ready results. No time is asserted here."""

from __future__ import annotations

import doctest
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import lines
import measures
import null
import numpy as np
import pytest
import scaling
from lines import Costs, foretold, line

from mcrisk import flight, scripting
from mcrisk.backends.cpu import sums_of
from mcrisk.campaign import state
from mcrisk.encoding import decode, encode
from mcrisk.mission import load
from mcrisk.tally import tally

COSTS = Costs(
    client_seconds=0.004,
    scheduler_seconds=0.002,
    worker_seconds=0.5,
    journal_bytes=100e3,
    network_bytes=250e3,
    client_bytes=100.0,
    scheduler_bytes=900.0,
    client_memory=1e9,
    scheduler_memory=2e9,
    greet_seconds=10.0,
    resume_seconds=0.0001,
)


@pytest.fixture(scope="module")
def records() -> np.ndarray:
    """Runs of the real kernel, fewer than the bench takes."""
    return null.flown(state([load(measures.MISSION)]).cases[0].params, 64)


def test_a_line_goes_through_points_on_a_line():
    """y = 3 + 2 x."""
    found = line([(0, 3), (1, 5), (10, 23)])

    assert (found.intercept, found.slope, found.points) == pytest.approx((3, 2, 3))
    assert found.departure < 1e-12
    assert found.at(100) == pytest.approx(203)


def test_the_departure_of_a_line_is_the_largest_share_of_a_point():
    """By hand: through (0, 1), (1, 1), (2, 4) least squares give 0.5 + 1.5 x, which misses by 0.5, 1 and 0.5."""
    found = line([(0, 1), (1, 1), (2, 4)])

    assert (found.intercept, found.slope) == pytest.approx((0.5, 1.5))
    assert found.departure == pytest.approx(1.0)


def test_one_size_makes_no_line():
    """However often it was measured."""
    with pytest.raises(ValueError, match="two points"):
        line([(5, 1), (5, 2)])


def test_what_breaks_first_is_what_is_missing_most():
    """By hand: 10^6 batches of 10^6 runs; 10^12 runs take 1000 GPUs of 10^6 runs/s 1000 s, the client 4000 s."""
    told = foretold(COSTS, 1e12, 1000, 1e6, 10**6, memory=16e9)

    assert (told["flight_s"], told["batches"], told["batches_per_s"]) == (1000, 1e6, 1000)
    assert (told["client_s"], told["scheduler_s"], told["worker_s"]) == (4000, 2000, 500)
    assert (told["journal_bytes"], told["network_bytes"]) == (100e9, 250e9)
    assert told["network_bytes_per_s"] == 250e6
    assert told["memory_bytes"] == 4e9
    assert told["resume_s"] == pytest.approx(100)
    assert {name: one["load"] for name, one in told["limits"].items()} == pytest.approx({
        "client's processor": 4, "scheduler's processor": 2, "worker's processor": 0.5,
        "memory of client and scheduler": 0.25, "size of the journal": 100e9 / lines.SQLITE_BYTES,
    })  # fmt: skip
    assert (told["first"], told["breaks"]) == ("client's processor", True)
    assert told["gpus_of_one_client"] == 250
    assert told["least_s"] == 4010


def test_nothing_breaks_where_all_suffices():
    """By hand: the same runs at a hundredth of the rate; a worker reads sums while the next batch flies."""
    told = foretold(COSTS, 1e12, 1000, 1e4, 10**6, memory=16e9)

    assert (told["first"], told["breaks"]) == ("memory of client and scheduler", False)
    assert told["gpus_of_one_client"] == pytest.approx(25_000)
    assert told["least_s"] == pytest.approx(100_010)


def test_the_conclusions_say_what_breaks_and_what_was_assumed():
    """In words, with figures."""
    broken = scaling.conclusions(foretold(COSTS, 1e12, 1000, 1e6, 10**6, memory=16e9), assumed=True)
    sound = scaling.conclusions(foretold(COSTS, 1e12, 1000, 1e4, 10**6, memory=16e9), assumed=False, shorter=True)

    assert "1e+12 runs on 1000 GPUs of 1e+06 runs/s each (assumed, not measured) fly for 16.7 min" in broken
    assert "First breaks the client's processor, at 4 times what there is" in broken
    assert "keep up with 250 such GPUs" in broken
    assert broken.startswith("1e+12 runs") and sound.startswith("Without longer batches: 1e+12 runs")
    assert "(as given)" in sound
    assert "Nothing breaks; nearest to it is the memory of client and scheduler" in sound


def test_what_is_flown_is_foretold_first():
    """1000 GPUs of 5e5 runs/s get batches of 20 s for two threads each; ten get half a second, less than a launch."""
    options = SimpleNamespace(gpu_rate=None, gpus=1000)
    few = SimpleNamespace(gpu_rate=None, gpus=10)

    assert scaling.batches_of(options) == [5_000_000, measures.GPU]
    assert scaling.batches_of(few) == [125_000]


def test_a_batch_of_more_runs_costs_more():
    """By hand: 100 workers take 1 ms more for 4 million runs more; so do 1000."""
    at = {
        "batch_s": 1.0,
        "journal_bytes_per_batch": 1e5,
        "peak_rss_mb": 100.0,
        "scheduler_rss_mb": 100.0,
        "greet_s": 1.0,
    }
    crowd = [
        at | {"workers": number, "batch": measures.GPU, "client_ms_per_batch": cost, "scheduler_ms_per_batch": 2.0}
        for number, cost in ((100, 3.0), (1000, 4.0))
    ]
    wide = [crowd[0] | {"batch": measures.GPU + 4_000_000, "client_ms_per_batch": 4.0, "journal_bytes_per_batch": 5e5}]
    sent = {"sent_bytes": 1, "content_bytes": 1, "landed_bytes": 1}
    worker = [
        sent | {"batch": measures.GPU, "worker_cpu_s": 0.02},
        sent | {"batch": wide[0]["batch"], "worker_cpu_s": 0.06},
    ]
    long = [{"client_bytes_per_batch": 0.0, "scheduler_bytes_per_batch": 0.0}]
    found = {"crowd": crowd, "wide": wide, "worker": worker, "long": long}
    costs = scaling.costs(found, {}, measures.GPU + 2_000_000, 1000)

    assert costs.client_seconds == pytest.approx(4.5e-3)
    assert costs.scheduler_seconds == pytest.approx(2e-3)
    assert costs.worker_seconds == pytest.approx(0.04)
    assert costs.journal_bytes == pytest.approx(3e5)


def test_a_worker_of_a_gpu_does_not_sum_its_runs(monkeypatch):
    """It reads the sums of the device; that of the runs themselves is done before, once."""
    summed = []
    monkeypatch.setattr(measures, "sums_of", lambda *given: summed.append(1) or sums_of(*given))
    found = measures.worker(2000)

    assert len(summed) == 1
    assert found["batch"] == 2000 and found["content_bytes"] > 1000 and found["worker_cpu_s"] > 0


@pytest.mark.parametrize("first", [0, 1 << 40])
def test_a_ready_result_is_that_of_its_runs(records, first):
    """The same tally and as many bytes as `encode` gives, about: its head is a deflate block of its own."""
    ready = null.Ready.made(records, 1000)
    expected = tally(records[null.chosen(1000, 64)], first)

    assert decode(ready.content(first)) == expected
    assert len(ready.content(first)) == pytest.approx(len(encode(expected)), rel=0.05)
    assert flight.landings(ready.landed, 1000).sum() == ready.landings


def test_a_batch_that_is_not_whole_is_the_first_part_of_one(records):
    """At the end of a case."""
    content, landed, landings = null.Ready.made(records, 1000).part(5000, 100)

    assert decode(content) == tally(records[null.chosen(1000, 64)][:100], 5000)
    assert flight.landings(landed, 100).sum() == landings


def test_a_campaign_of_ready_results_is_measured_in_a_process_of_its_own(records, tmp_path):
    """The smallest one, with the keys that lines and table read; 3 batches of 700, the last not whole."""
    path = tmp_path / "ready"
    path.write_bytes(pickle.dumps(null.Ready.made(records, 700)))
    command = scaling.command("null", 2000, 1, 700, str(path))
    told = subprocess.run(command, check=True, text=True, capture_output=True).stdout
    found = json.loads(told)

    assert command[0] == sys.executable
    assert (found["runs"], found["batches"], found["cases"]) == (2000, 3, 1)
    assert found.keys() >= scaling.FORMATS.keys()
    assert found.keys() >= {of for series, _, _, of, _ in scaling.LINES if series == "null 700"}


@pytest.mark.parametrize("cases", [1, 10, 100, 1000])
def test_a_sweep_has_as_many_points_as_asked_for(cases):
    """A power of ten, on two axes."""
    sizes = [one["points"] if isinstance(one, dict) else len(one) for one in measures.axes_of(cases).values()]

    assert np.prod(sizes) == cases


def test_lines_and_foretelling_need_the_figures_they_name(capsys):
    """A part that was not measured has no line; each line is an object with device, versions and kernels."""
    found = {"real": [{"runs": runs, "wall_s": 1 + runs / 100, "peak_rss_mb": 200.0} for runs in (100, 1000)]}
    fitted = scaling.fitted(found)
    printed = [json.loads(one) for one in capsys.readouterr().out.splitlines()]

    assert list(fitted) == [("real", "wall_s"), ("real", "peak_rss_mb")]
    assert fitted["real", "wall_s"][1] == (
        "time of a campaign with the real kernel [s] = 1 + 0.01 * runs, off by 0 % at most, 2 points"
    )
    assert all({"series", "slope", "intercept", "departure", "device", "versions", "kernel_digest"} <= one.keys()
               for one in printed)  # fmt: skip


def test_a_series_without_sizes_is_left_out(monkeypatch, capsys):
    """Where --most is below all of them; what was measured still says where it is from."""
    monkeypatch.setattr(scaling, "measured", lambda series, name, runs, *_: {"series": series, "date": f"{runs:g}"})
    found = scaling.over_runs(10_000, dict.fromkeys(scaling.SIZES, ""))

    assert list(found) == ["real", "null 700"]
    assert scaling.over_cases(0, {scaling.CASE_RUNS: ""}) == {}
    assert scaling.origin(found) == {"date": "10000"}
    assert scaling.origin({"real": []}) == {}


def test_what_was_not_measured_is_not_concluded():
    """The time to look through a journal, where no line was put through it."""
    told = foretold(replace(COSTS, resume_seconds=None), 1e12, 1000, 1e6, 10**6, memory=16e9)

    assert told["resume_s"] is None
    assert "journal once more" not in scaling.conclusions(told, assumed=True)
    assert "journal once more takes 1.67 min." in scaling.conclusions(
        foretold(COSTS, 1e12, 1000, 1e6, 10**6, memory=16e9), assumed=True
    )


def test_figures_that_were_printed_are_read_back(tmp_path, capsys):
    """Less lines and conclusions, which are made anew; these say of which machine and day the figures are."""
    rows = [{"series": "real", "runs": runs, "wall_s": 1 + runs / 100, "peak_rss_mb": 200.0, "date": "2001-02-03"}
            for runs in (100, 1000)]  # fmt: skip
    path = tmp_path / "printed"
    path.write_text("".join(json.dumps(one) + "\n" for one in [*rows, {"series": "line"}, {"series": "foretold"}]))
    found = scaling.recorded(path)
    scaling.fitted(found)

    assert found == {"real": rows}
    assert {json.loads(one)["date"] for one in capsys.readouterr().out.splitlines()} == {"2001-02-03"}


@pytest.fixture
def refusal(monkeypatch, capsys, tmp_path):
    """refusal("--from", ...): exit code, and what is said; nothing may be measured."""
    monkeypatch.setattr(scaling, "gauged", lambda *_: pytest.fail("something was measured"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["scaling", *arguments])
        try:
            code = scripting.guarded(scaling.main)
        except SystemExit as refused:
            code = refused.code
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("option", ["gpu-rate", "gpus", "runs", "most", "cases", "workers", "batch-seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many", "1e99"])
def test_a_number_that_cannot_be_meant_is_refused(refusal, option, value):
    code, told = refusal(f"--{option}={value}")

    assert code == 2
    assert f"argument --{option}: expected a" in told and f"number above zero, got '{value}'" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no such file or directory"),
        ("", "got an empty file"),
        ("Speed\n", "got another text"),
        ("[1]\n", "got another text"),
        ("{}\n", "got another text"),
        ('{"series": "real"}\n', "got others (KeyError: 'wall_s')"),
    ],
)
def test_figures_that_cannot_be_read_are_one_message(refusal, tmp_path, text, told):
    if text is not None:
        (tmp_path / "figures").write_text(text)
    code, said = refusal("--from", "figures")

    assert code == 2
    assert said.startswith("mcrisk: figures: expected ") and said.count("\n") == 1
    assert told in said
    assert "got is a directory" in refusal("--from", ".")[1]


def test_a_page_is_looked_at_before_anything_is_measured(refusal, tmp_path):
    (tmp_path / "page.md").write_text("no marks")
    (tmp_path / "figures").write_text('{"series": "real", "runs": 10, "wall_s": 1.0, "peak_rss_mb": 200.0}\n')

    assert refusal("--write", "page.md")[1].startswith("mcrisk: page.md: expected the lines <!-- scale:begin -->")
    (tmp_path / "page.md").write_text("<!-- scale:begin -->\n<!-- scale:end -->\n")
    assert refusal("--from", "figures", "--write", "page.md") == (
        2,
        "mcrisk: figures: expected the lines of all parts, got none of crowd, worker, long, cores; see --from\n",
    )
    assert refusal("--from", "figures") == (0, "")


def test_examples_in_the_docstrings_are_true():
    """Of both modules."""
    assert doctest.testmod(lines).failed == doctest.testmod(scaling).failed == 0
    assert Path(scaling.command("null")[2]).is_file()
