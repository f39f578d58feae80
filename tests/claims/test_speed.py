"""The benchmark counts what is flown and reckons right. No time is asserted here: `./scripts/bench` measures."""

from __future__ import annotations

import doctest
import json
import os
from pathlib import Path

import numpy as np
import pytest
import typer
from workshop import difference, missions

from mcrisk import bench
from mcrisk.backends import build, cpu, ondemand
from mcrisk.campaign import state
from mcrisk.errors import InfrastructureError
from mcrisk.mission import load

RECORDED = Path(__file__).with_name("flop.json")
RUNS = 8
TOLERANCE = 0.05
REFRESH = "if that is meant, write the new figures with: MCRISK_FLOP=write ./scripts/test tests/claims/test_speed.py"
ROUNDS = [bench.Round(1000.0, 100.0, 50e9), bench.Round(1200.0, 100.0, 100e9), bench.Round(900.0, 300.0, 90e9)]


def test_the_counting_library_flies_the_same_bits(counting):
    """Every shipped mission against the scalar loop."""
    for name, params in missions().items():
        records, flop = counting.count(params, 5, 1000, RUNS)

        assert difference(cpu.CpuBackend().run_scalar(params, 5, 1000, RUNS), records) == "", name
        assert flop > 0


def test_flop_of_several_runs_are_the_sum_of_each(counting):
    """And the same every time: nothing is left over from the call before."""
    params = missions()["generic_small"]
    single = [counting.count(params, 0, run, 1)[1] for run in range(3)]

    assert counting.count(params, 0, 0, 3)[1] == sum(single)


def test_the_flop_of_a_descent_are_those_recorded(counting):
    """Within 5 %, mission by mission: no change of the model makes descents dearer, or cheaper, unnoticed."""
    flop = {name: counting.count(params, 0, 0, RUNS)[1] // RUNS for name, params in missions().items()}
    if os.environ.get("MCRISK_FLOP") == "write":
        RECORDED.write_text(json.dumps(flop, indent=1) + "\n")
    recorded = json.loads(RECORDED.read_text())

    assert flop.keys() == recorded.keys(), REFRESH
    for name, expected in recorded.items():
        change = flop[name] / expected - 1
        assert abs(change) <= TOLERANCE, f"{name}: {flop[name]} flop, {100 * change:+.1f} % of recorded; {REFRESH}"


@pytest.mark.slow
def test_every_compiler_counts_the_same_flop(counting, workshop):
    """Flop are those of the source, whatever a compiler makes of it."""
    params = missions()["blue_ghost_m1"]
    expected = counting.count(params, 0, 0, RUNS)[1]
    for command in build.compilers().values():
        other = cpu.CpuBackend("counting", ondemand.made("counting", command, workshop.folder))

        assert other.count(params, 0, 0, RUNS)[1] == expected


def test_the_peak_loop_counts_two_flop_for_each_multiply_add():
    """12 chains of 32 steps in 16 lanes a visit (peak.h); tests/kernels/test_packed_code.py counts its instructions."""
    assert cpu.CpuBackend().multiply_add(10) == 10 * 2 * 12 * 32 * 16


def test_figures_are_medians_of_rounds_and_ratios_are_taken_round_by_round():
    """By hand: 10 Mflop a descent, so shares of the peak are 0.2, 0.12 and 0.1."""
    figures = bench.figures("m", "g++ 12.2.0 x86-64-v4", ROUNDS, 10e6)

    assert figures["compiler"] == "g++ 12.2.0"
    assert figures["isa"] == "x86-64-v4"
    assert figures["descents_per_s_per_core"] == 1000
    assert figures["scalar_descents_per_s_per_core"] == 100
    assert figures["scalar_speedup"] == 10
    assert figures["fma_peak_gflops"] == 90
    assert figures["fma_peak_fraction"] == 0.12
    assert figures["flop_per_descent"] == 10_000_000
    assert figures["rounds"] == 3
    assert figures["spread"]["scalar_speedup"] == [3, 12]
    assert figures["spread"]["fma_peak_fraction"] == [0.1, 0.2]


def test_the_table_shows_every_figure_with_its_spread():
    """As the README has it; the sentence before it says where, when and how."""
    facts = {"core_share": 0.98, **bench.facts()}
    answer = bench.figures("m", "g++ 12.2.0 x86-64-v4", ROUNDS, 10e6) | facts
    sentence, _, *table = bench.markdown([answer], [], "mcrisk bench m").splitlines()

    assert table[-1] == (
        "| m | g++ 12.2.0 x86-64-v4 | 1000 (900 to 1200) | 100 | 10.0 (3.0 to 12.0) | 10.0 | 90 GFLOP/s | "
        "12 (10 to 20) % |"
    )
    assert {line.count("|") for line in table} == {len(bench.HEADER) + 2}
    for part in (bench.device(), "`mcrisk bench m`", facts["date"], facts["kernel_digest"][:8], "98 %"):
        assert part in sentence


def test_batches_of_every_size_fly_the_same_runs(monkeypatch):
    """The page tells the rate of each size, and the slowest beside the fastest."""
    monkeypatch.setattr(bench, "SIZES", (16, 32))
    found = bench.sizes(state([load("generic_small")]), 1e-3)
    (sentence,) = bench.sentences([found])

    assert found["rounds"] == 2
    assert 0 < found["flatness"] <= 1
    assert sentence.startswith("generic_small: batches of 16, 32 runs fly at ")
    assert f"{found['descents_per_s_batch_32']:.0f} descents/s" in sentence


def test_the_share_of_linear_is_that_of_the_rates_beside_it():
    """By hand: 1900 of 2 x 1000; beside it the least and the greatest of the rounds."""
    series = {"descents_per_s_one_core": [1000.0], "descents_per_s_all_cores": [1900.0], "scaling": [0.9, 1.01, 1.02]}
    sentence = bench.linear({"cores": 2, **bench.medians(series)})

    assert sentence == "1900 descents/s on 2 cores, 1000 on one: 95 % of linear (90 to 102 % in the rounds)"


@pytest.mark.parametrize("fails", [False, True])
def test_the_last_line_of_a_full_bench_is_that_of_the_fastest_library(monkeypatch, capsys, tmp_path, fails):
    """Which a script reads; a fresh process that fails is told, and takes nothing from the page."""
    from mcrisk import coldstart
    from mcrisk.commands import design

    def cold_start():
        if fails:
            raise InfrastructureError("cold start: fly failed")
        spread = {"seconds": {"median": 1.0, "least": 1.0, "greatest": 1.0}}
        return {"mission": "m", "runs": 1000, "steps": {"fly": spread, "dataset": spread}}

    own = bench.figures("m", "g++ 12.2.0 x86-64-v4", ROUNDS, 10e6) | {"core_share": 1.0, **bench.facts()}
    both = {"cores": 2, "spread": {"scaling": [1, 1]}, "descents_per_s_one_core": 1.0, "descents_per_s_all_cores": 2.0}
    monkeypatch.setattr(bench, "bench", lambda *_: [own | {"isa": "x86-64-v3"}, own])
    monkeypatch.setattr(bench, "sizes", lambda *_: {"mission": "m", "flatness": 1.0, "sizes": []})
    monkeypatch.setattr(bench, "scaling", lambda *_: {"mission": "m", "scaling": 1.0, **both})
    monkeypatch.setattr(coldstart, "cold_start", cold_start)
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:begin -->\n<!-- bench:end -->\n")
    with pytest.raises(typer.Exit) as ended:
        design.bench(["generic_small"], full=True, as_json=True, write=str(page))
    out, err = capsys.readouterr()
    lines = [json.loads(one) for one in out.splitlines()]

    assert ended.value.exit_code == 0
    assert "descents_per_s_per_core" in lines[-1] and lines[-1]["isa"] == "x86-64-v4"
    assert sum("steps" in one for one in lines) == (not fails)
    assert ("cold start: fly failed" in err) is fails
    assert "| m | g++ 12.2.0 x86-64-v4 |" in page.read_text()


def test_a_measurement_flies_whole_tiles_of_the_same_runs_in_every_round():
    """The shortest there is, on the installed library."""
    backend = cpu.CpuBackend()
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    runs, rounds, share = bench.measure([backend], missions()["generic_small"], 0, 1e-3)

    assert runs == 16
    assert [len(own) for own in rounds] == [bench.ROUNDS]
    assert all(min(one.tile, one.scalar, one.peak) > 0 for one in rounds[0])
    assert 0 < share < 1.1  # two clocks
    assert affinity is None or os.sched_getaffinity(0) == affinity


def test_a_library_whose_tile_and_scalar_loop_differ_is_not_measured(monkeypatch):
    """A speed of wrong numbers is none."""
    monkeypatch.setattr(cpu.CpuBackend, "run_scalar", lambda self, *_: np.zeros(16, self._record))

    with pytest.raises(InfrastructureError, match="tile and scalar build give different records"):
        bench.measure([cpu.CpuBackend()], missions()["generic_small"], 0, 1e-3)


def test_bench_tells_the_figures_of_each_library(counting, monkeypatch):
    """The keys that scripts read, for the installed library alone."""
    monkeypatch.setattr(bench, "libraries", lambda tell: [cpu.CpuBackend()])
    monkeypatch.setattr(ondemand, "made", lambda *_, **__: Path(counting._library._name))
    told: list[str] = []
    (answer,) = bench.bench(state([load("generic_small")]), 1e-3, told.append)

    assert {"descents_per_s_per_core", "flop_per_descent", "fma_peak_gflops", "fma_peak_fraction", "scalar_speedup",
            "isa", "compiler", "backend", "date", "device", "versions", "kernel_digest"} <= answer.keys()  # fmt: skip
    assert f"{answer['compiler']} {answer['isa']}" == cpu.CpuBackend().build
    assert answer["mission"] == "generic_small"
    assert answer["versions"].keys() == {"mcrisk", "python", "numpy"}
    assert 0 < answer["fma_peak_fraction"] < 1
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert told == ["generic_small: 7 rounds on one core, libraries: 1"]


def test_examples_in_the_docstrings_are_true():
    """Of the benchmark."""
    assert doctest.testmod(bench).failed == 0
