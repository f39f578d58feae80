"""Batches that go wrong in their worker: they kill it, raise, find no memory, never end, or arrive twice."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from field import PATIENCE, Field, Figures, field_of, pair_of, undisturbed

from mcrisk import netcdf

RUNS = 1200
BAD = 777  # the run to blame
WORKERS = {"mcrisk.execute:PATIENCE_SECONDS": 3.0, "mcrisk.execute:PATIENCE": 4.0}


def isolated(field: Field, seconds: float, figures: Figures, reason: str) -> list[str]:
    """What is wrong after a command that one run made fail: it alone is missing, named, and exit code 4."""
    process = field.start()
    begun = time.monotonic()
    code = process.wait(PATIENCE + seconds)
    figures.longest = max(figures.longest, time.monotonic() - begun)
    lines = [line for line in field.complaints(process) if line.startswith("mcrisk:")]
    problems = [] if code == 4 else [f"exit code {code}"]
    if len(lines) != 1 or not re.search(rf"1 run could not be flown, .*: run {BAD}: .*{reason}", lines[0]):
        problems.append(f"not told: {' | '.join(field.complaints(process))}"[:1500])
    with closing(sqlite3.connect(field.store / "journal.sqlite")) as journal:
        flown = int(journal.execute("SELECT SUM(count) FROM batches").fetchone()[0])
        failures = journal.execute("SELECT first, count FROM failures").fetchall()
    problems += [] if flown == RUNS - 1 else [f"{flown} of {RUNS - 1} other runs flown"]
    problems += [] if failures == [(BAD, 1)] else [f"noted as failed: {failures}"]
    problems += field.peek()
    field.fault = {"flown": str(field.flown_file)}
    before = field.flown()
    problems += field.finish()
    problems += [] if field.flown() - before == 1 else [f"{field.flown() - before} runs to complete it"]
    figures.again += before - RUNS + 1
    return problems


def poison() -> Figures:
    """A run whose batch always kills its worker process."""
    figures = Figures("poison: a run that kills its worker")
    with field_of(RUNS, cluster="processes", poison=BAD, role="worker") as field:
        figures.judge(isolated(field, 120, figures, "worker .* is gone"))
    return figures


def failing() -> Figures:
    """A run whose batch always raises, in threads and in processes."""
    figures = Figures("a run that always raises")
    for cluster in ("", "processes"):
        with field_of(RUNS, cluster=cluster, fail=BAD) as field:
            figures.judge(isolated(field, 0, figures, "injected"))
    return figures


def short_of_memory() -> Figures:
    """MemoryError in a worker: always for one run, and once."""
    figures = Figures("MemoryError in a worker")
    with field_of(RUNS, memory=BAD) as field:
        figures.judge(isolated(field, 0, figures, "injected"))
    for cluster in ("", "processes"):
        with field_of(RUNS, cluster=cluster, memory=BAD) as field:
            field.fault["once"] = str(field.folder / "once")
            figures.judge(field.finish())
            figures.again += field.flown() - RUNS
    return figures


def hung() -> Figures:
    """A batch that never ends: its worker process is started anew and others fly it; limits of seconds, not minutes."""
    figures = Figures("a batch that never ends")
    with field_of(RUNS, cluster="processes", hang=BAD, constants=WORKERS) as field:
        field.fault["once"] = str(field.folder / "once")
        begun = time.monotonic()
        figures.judge(field.finish())
        figures.longest = max(figures.longest, time.monotonic() - begun)
        figures.again += field.flown() - RUNS
    return figures


def lost_device() -> Figures:
    """A device that its process can use no more, as after a sticky CUDA error: the process is begun anew."""
    figures = Figures("a device that is lost to its process")
    with field_of(RUNS, cluster="processes", lose=BAD) as field:
        field.fault["once"] = str(field.folder / "once")
        process = field.start()
        begun = time.monotonic()
        problems = field.verdict(process)
        figures.longest = time.monotonic() - begun
        told = process.said.read_text()  # type: ignore[attr-defined]
        figures.judge(problems + ([] if told.count("injected loss: it is begun anew") == 1 else [told[:1500]]))
        figures.again += field.flown() - RUNS
    return figures


def losing_run() -> Figures:
    """A run that takes the device from every process that flies it: it alone is missing, and named."""
    figures = Figures("a run that loses the device")
    with field_of(RUNS, cluster="processes", lose=BAD, role="worker") as field:
        figures.judge(isolated(field, 240, figures, "injected loss"))
    return figures


def late() -> Figures:
    """A batch whose worker, of the user's own, answers long after others flew it: each of its runs counts once."""
    figures = Figures("a batch that is flown twice")
    with pair_of(RUNS, workers=0, hang=BAD, nap=8.0, slow=0.4, constants=WORKERS) as field:
        field.fault["once"] = str(field.folder / "once")
        field.hands = [field.worker(), field.worker()]
        process = field.start()
        begun = time.monotonic()
        problems = field.verdict(process)
        figures.longest = time.monotonic() - begun
        figures.again += field.flown() - RUNS
        if not figures.again or "its batches go to others" not in process.said.read_text():  # type: ignore[attr-defined]
            problems.append("no batch was flown twice")
        figures.judge(problems)
    return figures


def scarce_memory() -> Figures:
    """Workers that have memory for 64 runs at once: batches are halved until they fit."""
    figures = Figures("MemoryError above 64 runs")
    with field_of(RUNS, scarce=64) as field:
        begun = time.monotonic()
        figures.judge(field.finish())
        figures.longest = time.monotonic() - begun
        figures.again += field.flown() - RUNS
    return figures


def hung_thread() -> Figures:
    """The same in a thread of the command, which nothing can end: exit code 4, and it goes on."""
    figures = Figures("a thread that never ends")
    with field_of(RUNS, hang=BAD, constants=WORKERS) as field:
        field.fault["once"] = str(field.folder / "once")
        process = field.start()
        begun = time.monotonic()
        code = process.wait(PATIENCE)
        figures.longest = time.monotonic() - begun
        last = field.complaints(process)[-1]
        told = last.startswith("mcrisk: no worker") and last.endswith("kept; the same command goes on")
        problems = [] if code == 4 and told else [f"exit code {code}: {' | '.join(field.complaints(process))}"]
        figures.judge(problems + field.peek() + field.finish())
    return figures


@pytest.mark.slow
def test_a_run_that_kills_its_worker_is_isolated_and_named():
    figures = poison()

    assert figures.recovered == figures.tried == 1, str(figures)


def test_a_run_that_always_raises_is_isolated_and_named():
    """Exit code 4, all others are flown, and the same command then flies this run alone."""
    figures = Figures("a run that always raises")
    with field_of(RUNS, fail=BAD) as field:
        figures.judge(isolated(field, 0, figures, "injected"))

    assert figures.recovered == 1, str(figures)


@pytest.mark.slow
def test_a_run_that_always_raises_is_isolated_in_processes_too():
    figures = failing()

    assert figures.recovered == figures.tried == 2, str(figures)


@pytest.mark.slow
def test_memory_that_is_short_is_tried_again():
    figures = short_of_memory()

    assert figures.recovered == figures.tried == 3, str(figures)


@pytest.mark.slow
def test_a_hung_worker_is_started_anew_and_others_fly_its_batches():
    figures = hung()

    assert figures.recovered == figures.tried == 1, str(figures)


def test_a_worker_whose_device_is_lost_is_begun_anew_and_no_lander_is_counted_lost():
    """The results are the undisturbed ones, exit code 0, one line that tells of it."""
    figures = lost_device()

    assert figures.recovered == figures.tried == 1, str(figures)


@pytest.mark.slow
def test_a_run_that_loses_the_device_is_isolated_and_named():
    figures = losing_run()

    assert figures.recovered == figures.tried == 1, str(figures)


@pytest.mark.slow
def test_a_batch_that_is_flown_twice_counts_once():
    figures = late()

    assert figures.recovered == figures.tried == 1, str(figures)


@pytest.mark.slow
def test_batches_are_halved_until_they_find_memory():
    figures = scarce_memory()

    assert figures.recovered == figures.tried == 1, str(figures)


@pytest.mark.slow
def test_a_hung_thread_does_not_keep_the_command():
    figures = hung_thread()

    assert figures.recovered == figures.tried == 1, str(figures)


def test_a_gpu_short_of_memory_gives_the_same_results(monkeypatch, tmp_path):
    """Launches of a made-up GPU, whose memory holds 1500 runs at once: they are halved, and no bit differs."""
    backend, launches = made_up_gpu(monkeypatch, runs=1500)
    from mcrisk.api import fly
    from mcrisk.campaign import state
    from mcrisk.goal import Goal
    from mcrisk.mission import load

    campaign = state([load("generic_small")], 11)
    found = fly(campaign, Goal(3000), backend, folder=tmp_path)

    assert netcdf.content_digest(found) == undisturbed(3000)
    assert max(launches) <= 1500 < 3000 <= sum(launches)


def made_up_gpu(monkeypatch, runs):
    """The GPU backend whose launches are flown by the CPU, and the runs of each launch that found memory."""
    from mcrisk import sums
    from mcrisk.backends import gpu
    from mcrisk.schema import load_schema

    sys.path.insert(0, str(Path(__file__).parents[1] / "gpu_tools"))
    from fake_cupy import CpuKernels, FakeCupy

    schema = load_schema()
    fake = FakeCupy(CpuKernels())

    class Made(gpu.GpuBackend):
        name = "cpu"  # a thread of this process flies with it; for a GPU a process of its own would

        def __init__(self):
            import threading

            self._cupy, self._params_bytes, self._record = fake, schema.params_bytes(4), schema.record_dtype(4)
            self._device, self._threads, self._device_name = fake.cuda.Device(0), threading.local(), "Fake"
            self._launch_runs, self._lost, self._traffic = 1 << 20, "", gpu.Traffic()
            self._bars = sums.bars()
            self._kernels = {name: fake.kernel(name) for name in ("descend", "gather", "tally", "sift", "landings")}

        def describe(self):
            return "made up"

    made = Made()
    fake.whole = made._bytes([runs], sums=True, rows=False) + 64
    return made, fake.launches
