"""Batches of a campaign over the cores of this machine: the only file that imports dask.

The kernel holds no Python lock, so dask's threads keep every core busy without starting a process or opening a port:
the first answer does not wait for a cluster. Batches take about half a second each, by the measured rate, and no result
depends on how they are cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.schema import load_schema
from mcrisk.tally import Tally, merge, tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.backends import AbstractBackend
    from mcrisk.campaign import Campaign
    from mcrisk.store import Store

__all__ = ["KEEPS", "RUNS_LIMIT", "Flown", "Keep", "check_runs", "execute", "foretell"]

Keep = Literal["none", "losses", "all"]
KEEPS: tuple[Keep, ...] = get_args(Keep)
RUNS_LIMIT = 10**12  # [run] per case: decades of computing; more is a slip of the pen
KEPT_LIMIT = 4 << 30  # [byte] of records kept in memory
TILE = 16  # runs the CPU flies side by side: batches are multiples of it
CASE_BYTES = 60_000  # [byte] of one design point in a compressed file of results
PILOT = 128  # [run] of the first batches, which measure the rate
BATCH_SECONDS = 0.5
WAVE = 24  # batches per worker planned at a time: sizes follow the rate, and few results wait in memory

Progress = Callable[[int, Sequence[Tally | None]], None]


@dataclass(frozen=True)
class Flown:
    """What a campaign's runs gave: per case its tally and the kept records with their run numbers."""

    tallies: tuple[Tally, ...]
    kept: tuple[tuple[NDArray[np.uint64], NDArray[np.void]], ...]
    elapsed: float  # [s]


@dataclass(frozen=True)
class Batch:
    """Runs first, ..., first + count - 1 of one case: the unit of work."""

    case: int
    first: int
    count: int


@dataclass(frozen=True)
class Result:
    batch: Batch
    tally: Tally
    runs: NDArray[np.uint64]
    records: NDArray[np.void]
    seconds: float


def check_runs(runs: int, cases: int = 1, keep: Keep = "none") -> None:
    """Refuse, before anything is computed, a number of runs that cannot be meant or whose records cannot be kept."""
    if runs < 1:
        raise MistakeError("runs", "a whole number of at least 1", str(runs))
    if runs > RUNS_LIMIT:
        raise MistakeError("runs", f"at most {RUNS_LIMIT:.0e}".replace("e+", "e"), f"{float(runs):.3g}")
    if keep not in KEEPS:
        raise MistakeError("keep", " or ".join(KEEPS), repr(keep))
    needed = runs * cases * load_schema().record_bytes()
    if keep == "all" and needed > KEPT_LIMIT:
        remedy = "keep losses, or fly fewer runs; any single run can be replayed by its number"
        raise MistakeError(
            "keep all", f"records of at most {KEPT_LIMIT >> 30} GiB", f"{needed / 2**30:.0f} GiB", remedy
        )


def execute(
    campaign: Campaign,
    runs: int,
    backend: AbstractBackend,
    *,
    keep: Keep = "none",
    progress: Progress | None = None,
    workers: int | None = None,
    batch: int | None = None,
    cases: int | None = None,
    store: Store | None = None,
) -> Flown:
    """Fly runs 0, ..., runs - 1 of every case. `progress` hears of each batch: runs done, tallies so far.

    workers: threads, by default one per core, and one for a GPU. batch: a fixed number of runs per batch.
    cases: only the first so many. store: what it holds already is not flown again, and every batch is noted there.
    """
    cases = cases or len(campaign.cases)
    check_runs(runs, cases, keep)
    workers = workers or _workers(backend)
    start = time.perf_counter()
    tallies: list[Tally | None] = [None] * cases
    kept: list[list[tuple[NDArray[np.uint64], NDArray[np.void]]]] = [[] for _ in range(cases)]
    held = 0
    gaps = [[(0, runs)] for _ in range(cases)]
    if store:
        store.forget(keep)
        tallies = [store.tally(case) for case in range(cases)]
        gaps = [store.gaps(case, runs) for case in range(cases)]
    done = sum(one.runs for one in tallies if one)

    def fly(one: Batch) -> Result:
        begun = time.perf_counter()
        records = backend.run(campaign.cases[one.case].params, campaign.seed, one.first, one.count)
        summed = tally(records, one.first)
        chosen = _chosen(records, keep)
        numbers = chosen.astype(np.uint64) + np.uint64(one.first)
        return Result(one, summed, numbers, records[chosen], time.perf_counter() - begun)

    def collect(result: Result) -> None:
        nonlocal done, held
        case = result.batch.case
        before = tallies[case]
        tallies[case] = result.tally if before is None else merge([before, result.tally])
        done += result.batch.count
        if store:
            store.add(
                case, result.batch.first, result.batch.count, result.tally, keep=keep, runs=result.runs,
                records=result.records, worker=backend.name, seconds=result.seconds,
            )  # fmt: skip
        else:
            kept[case].append((result.runs, result.records))
            held += result.records.nbytes
        if held > KEPT_LIMIT:
            text = f"the kept records outgrew {KEPT_LIMIT >> 30} GiB after {done} runs"
            raise InfrastructureError(text, remedy="keep none, or fly fewer runs")
        if progress:
            progress(done, tuple(tallies))

    plan = _Plan(gaps)
    measured = batch is None and backend.name == "cpu"
    size = batch or (min(PILOT, backend.batch) if measured else backend.batch)
    width = workers
    with ThreadPoolExecutor(workers) as pool:  # our own: dask's is kept, and its threads do not survive a fork
        while wave := plan.take(width, size, workers if measured else 0):
            seconds = _fly_wave(fly, wave, pool, collect)
            if measured:
                rate = sum(one.count for one in wave) / max(sum(seconds), 1e-6)  # [run/s] of one worker
                size = max(TILE, int(rate * BATCH_SECONDS) // TILE * TILE)
            width = min(2 * width, workers * WAVE)
    return Flown(
        tallies=tuple(one for one in tallies if one is not None),
        kept=tuple((store.kept(case) if store else None) or _in_order(parts) for case, parts in enumerate(kept)),
        elapsed=time.perf_counter() - start,
    )


def foretell(campaign: Campaign, runs: int, backend: AbstractBackend, keep: Keep = "none") -> dict[str, Any]:
    """What flying this campaign would take, by the rate of a short flight: designs, runs, time [s], size of results."""
    workers = _workers(backend)
    pilot = execute(campaign, min(runs, PILOT * workers), backend, workers=workers, cases=1)
    rate = pilot.tallies[0].runs / pilot.elapsed
    whole = runs * len(campaign.cases)
    record = load_schema().record_bytes() if keep == "all" else 0
    return {
        "cases": len(campaign.cases),
        "impossible": len(campaign.impossible),
        "runs": runs,
        "runs_in_all": whole,
        "runs_per_s": rate,
        "seconds": whole / rate,
        "bytes": len(campaign.cases) * CASE_BYTES + whole * record,
    }


class _Plan:
    """The runs still to be flown, case by case: (case, first, stop), the next ones last."""

    def __init__(self, gaps: Sequence[Sequence[tuple[int, int]]]) -> None:
        self.left = [(case, *gap) for case, own in enumerate(gaps) for gap in own][::-1]

    def take(self, batches: int, size: int, sharers: int = 0) -> list[Batch]:
        """The next batches. The last ones are cut so that all `sharers` end together, in whole tiles."""
        remaining = sum(stop - first for _, first, stop in self.left)
        if sharers and remaining <= batches * size:
            share = -(-remaining // sharers)
            parts = max(-(-share // size), 1)  # batches per worker
            size = max(-(-share // (parts * TILE)), 1) * TILE
            batches = remaining
        return list(self._cut(batches, size))

    def _cut(self, batches: int, size: int) -> Iterator[Batch]:
        while batches and self.left:
            case, first, stop = self.left.pop()
            count = min(size, stop - first)
            if first + count < stop:
                self.left.append((case, first + count, stop))
            batches -= 1
            yield Batch(case, first, count)


def _fly_wave(
    fly: Callable[[Batch], Result], wave: list[Batch], pool: ThreadPoolExecutor, collect: Callable[[Result], None]
) -> list[float]:
    """Fly these batches, handing over each result as it comes; their durations [s]."""
    from dask.threaded import get

    durations: list[float] = []

    def finished(key: str, result: Result, graph: Any, state: dict[str, Any], worker: Any) -> None:
        durations.append(result.seconds)
        collect(result)
        state["cache"][key] = None  # merged: the batch itself is not kept

    graph = {f"batch-{place}": (fly, one) for place, one in enumerate(wave)}
    get(graph, list(graph), pool=pool, callbacks=[(None, None, None, finished, None)])
    return durations


def _chosen(records: NDArray[np.void], keep: Keep) -> NDArray[np.intp]:
    """Positions of the records to keep."""
    if keep == "all":
        return np.arange(len(records))
    if keep == "losses":
        return np.flatnonzero(records["outcome"] != load_schema().enums["Outcome"]["success"])
    return np.zeros(0, np.intp)


def _in_order(parts: list[tuple[NDArray[np.uint64], NDArray[np.void]]]) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    if not parts:
        return np.zeros(0, np.uint64), np.zeros(0, load_schema().record_dtype())
    runs = np.concatenate([runs for runs, _ in parts])
    order = np.argsort(runs)
    return runs[order], np.concatenate([records for _, records in parts])[order]


def _workers(backend: AbstractBackend) -> int:
    """One thread per core this process may use; a GPU takes its batches one at a time."""
    if backend.name != "cpu":
        return 1
    from mcrisk.backends.cpu import cores

    return cores()
