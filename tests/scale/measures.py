"""What `scaling.py` measures, one thing in one process: `measures.py NAME '[VALUES]'` prints its figures as JSON.

Dask, the journal with its checksums and commits, folding and the dataset are the real ones. The client's cost is the
processor time of its process less that of making the results.
"""

from __future__ import annotations

import json
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

sys.path.insert(0, str(Path(__file__).parent))

import null
from lines import line

from mcrisk import bench, flight, sums
from mcrisk.api import fly
from mcrisk.backends import Summed, choose
from mcrisk.backends.cpu import sums_of
from mcrisk.campaign import Campaign, Case, case_axis, state, state_study
from mcrisk.clusterfile import ClusterSpec
from mcrisk.execute import AHEAD, Dispatch, execute
from mcrisk.goal import Goal
from mcrisk.mission import load
from mcrisk.store import JOURNAL, Store
from mcrisk.study import make_study
from mcrisk.sums import tally_of

MISSION = "hakuto_r_m2_late_rangefinder"
GPU = 1 << 20  # [run] of a batch of a GPU
CASE_RUNS = 1000  # [run] of each case of a sweep
ALONE = 50  # batches that measure the cost without a client
LOOKS = 60  # at the processor times of a crowd
MB = 1e6  # [byte]
AXES = ("altimeter.range_max", "0.6 km", "3 km"), ("propulsion.cluster.thrust", "190 N", "230 N")
KEPT: list[tempfile.TemporaryDirectory[str]] = []  # removed when this process ends


def real(runs: int) -> dict[str, Any]:
    """A campaign of one case with the real kernel, on all cores."""
    campaign = state([load(MISSION)])
    with stored(campaign, runs) as store:
        flown = execute(campaign, store.goal, choose("cpu"), store=store)
        return {
            "runs": runs, "wall_s": flown.elapsed, "runs_per_s": runs / flown.elapsed, "peak_rss_mb": peak_rss(),
            "journal_mb": journal_size(store) / 1e6, "cpu_s": time.process_time(),
        }  # fmt: skip


def nothing(runs: int, cases: int, batch: int, ready: str) -> dict[str, Any]:
    """A campaign of `runs` for each of so many cases in all with the null kernel, on one thread of this process."""
    base = state([load(MISSION)])
    names = [f"case {place}" for place in range(cases)]
    blocks = [base.cases[0].params + bytes([place % 251]) for place in range(cases)]
    several = tuple(
        Case(name, block, place=place) for place, (name, block) in enumerate(zip(names, blocks, strict=True))
    )
    campaign = base if cases == 1 else Campaign("scale", several, 0, base.kernel_digest, axes=case_axis(names))
    return flown_by_null(campaign, runs, batch, ready)


def flown_by_null(campaign: Campaign, runs: int, batch: int, ready: str) -> dict[str, Any]:
    """Figures of a campaign whose results are ready. runs: of each case."""
    instead = null.installed(Path(ready))
    work = flight.Work(0, 0, batch, campaign.cases[0].params, 0, "none", null.NAME, flight.identity())
    used = time.process_time()
    for place in range(ALONE):
        instead(replace(work, first=batch * place))
    alone = (time.process_time() - used) / ALONE
    with stored(campaign, runs) as store:
        start, used = time.monotonic(), time.process_time()
        execute(campaign, store.goal, null.NAME, store=store, workers=1, batch=batch)
        flown, spent = time.monotonic() - start, time.process_time() - used
        ((batches,),) = store._rows("SELECT COUNT(*) FROM batches")
        size, folder = journal_size(store), store.folder
    flying = peak_rss()
    start = time.monotonic()
    assert folder
    with Store.written(folder, campaign, Goal(runs)) as store:
        store.forget("none")  # as the same command does when it goes on
    reopened = time.monotonic() - start
    start = time.monotonic()
    fly(campaign, Goal(runs), null.NAME, folder=folder)  # finds all flown: forms and writes the dataset
    return {
        "runs": runs * len(campaign.cases),
        "cases": len(campaign.cases),
        "batch": batch,
        "batches": batches,
        "wall_s": flown,
        "client_cpu_s": spent - alone * batches,
        "ready_cpu_ms_per_batch": 1e3 * alone,
        "client_ms_per_batch": 1e3 * (spent / batches - alone),
        "peak_rss_mb": flying,
        "peak_rss_with_dataset_mb": peak_rss(),
        "journal_mb": size / 1e6,
        "journal_bytes_per_batch": size / batches,
        "reopen_s": reopened,
        "dataset_s": time.monotonic() - start,
    }


def study(cases: int, ready: str) -> dict[str, Any]:
    """A sweep of so many designs: stated, flown with the null kernel, its dataset formed."""
    start, used = time.monotonic(), time.process_time()
    campaign = state_study(make_study([load(MISSION)], axes_of(cases)), 0)
    stated, spent, held = time.monotonic() - start, time.process_time() - used, peak_rss()
    found = flown_by_null(campaign, CASE_RUNS, CASE_RUNS, ready)
    return {"state_s": stated, "state_cpu_s": spent, "state_peak_rss_mb": held} | found


def axes_of(cases: int) -> dict[str, Any]:
    """A grid of so many points, a power of ten: as square as that goes."""
    digits = len(str(cases)) - 1
    sizes = 10 ** (digits - digits // 2), 10 ** (digits // 2)
    return {
        path: {"from": start, "to": stop, "points": size} if size > 1 else [start]
        for (path, start, stop), size in zip(AXES, sizes, strict=True)
    }


def worker(batch: int) -> dict[str, Any]:
    """What a worker's own core does for a batch of a GPU: `fly_together` where the device has summed it already."""
    params = state([load(MISSION)]).cases[0].params
    blocks: list[Any] = []  # of sums, as a device leaves them

    def noted(*block: Any) -> Any:
        blocks.append(block)
        return tally_of(*block)

    with mock.patch.object(sums, "tally_of", noted):
        _, landed = sums_of(null.flown(params)[null.chosen(batch)], 0)

    class There(null.Device):
        def sums(self, pieces: Sequence[Any], seed: int, keep: Any) -> list[Summed]:
            return [Summed(tally_of(*blocks[0]), landed, None)]

    with flight.lent(There()) as name:
        work = flight.Work(0, 0, batch, params, 0, "none", name, flight.identity())
        spent = []
        for _ in range(9):
            used = time.process_time()
            (result,) = flight.fly_together([work])
            spent.append(time.process_time() - used)
    return {
        "batch": batch, "worker_cpu_s": statistics.median(spent), "sent_bytes": len(pickle.dumps(work)),
        "content_bytes": len(result.content), "landed_bytes": len(result.landed), "peak_rss_mb": peak_rss(),
    }  # fmt: skip


def crowd(
    number: int, seconds: float, batches: int, batch: int, address: str, scheduler: int, crew: Sequence[int]
) -> dict[str, Any]:
    """The client of so many simulated workers, each of which takes `seconds` [s] for a batch of so many runs.

    scheduler, crew: process numbers, whose processor times are looked at.
    """
    campaign = state([load(MISSION)])
    others = psutil.Process(scheduler), [psutil.Process(one) for one in crew]
    looks: list[tuple[float, ...]] = []
    admitted: list[float] = []
    between = max(batches // LOOKS, 1)

    class Look:
        """Looks at all processor times now and then."""

        def __call__(self, case: int, runs: int, landed: int) -> None:
            done = runs // batch
            if done % between == 0:
                times = [cpu_of(others[0]), sum(map(cpu_of, others[1]))]
                held = [one.memory_info().rss for one in (psutil.Process(), others[0])]
                looks.append((done, time.monotonic(), time.process_time(), *times, *held))

        def held(self, case: int, runs: int, landed: int) -> None:
            pass

    admit = Dispatch._admit

    def noted(self: Dispatch, *answer: Any) -> None:
        admit(self, *answer)
        admitted.append(time.monotonic())

    Dispatch._admit = noted  # type: ignore[method-assign]
    before, sent = [cpu_of(others[0]), sum(map(cpu_of, others[1]))], loopback_bytes()
    with stored(campaign, batches * batch) as store:
        start, used = time.monotonic(), time.process_time()
        cluster = ClusterSpec("address", address)
        execute(campaign, store.goal, null.NAME, store=store, batch=batch, cluster=cluster, progress=Look())
        wall, size = time.monotonic() - start, journal_size(store)
    client = time.process_time() - used
    steady = [look for look in looks if number <= look[0] <= batches - AHEAD * number]
    half = len(steady) // 2 + 1
    span = steady[-1][1] - steady[0][1]
    done = steady[-1][0] - steady[0][0]

    def slope(column: int, some: Sequence[tuple[float, ...]] = steady) -> float:
        return line([(look[0], look[column]) for look in some]).slope

    return {
        "workers": number,
        "batch": batch,
        "batch_s": seconds,
        "batches": batches,
        "connect_s": admitted[0] - start,
        "greet_s": admitted[min(number, len(admitted)) - 1] - start,
        "wall_s": wall,
        "batches_per_s": done / span,
        "share_in_use": done * seconds / (number * span),
        "client_ms_per_batch": 1e3 * slope(2),
        "client_ms_first_half": 1e3 * slope(2, steady[:half]),
        "client_ms_second_half": 1e3 * slope(2, steady[-half:]),
        "scheduler_ms_per_batch": 1e3 * slope(3),
        "simulation_ms_per_batch": 1e3 * slope(4),
        "client_cpu_s": client,
        "scheduler_cpu_s": cpu_of(others[0]) - before[0],
        "simulation_cpu_s": sum(map(cpu_of, others[1])) - before[1],
        "client_share_of_a_core": slope(2) * done / span,
        "scheduler_share_of_a_core": slope(3) * done / span,
        "loopback_bytes_per_batch": (loopback_bytes() - sent) / batches,
        "journal_bytes_per_batch": size / batches,
        "peak_rss_mb": peak_rss(),
        "scheduler_rss_mb": max(look[6] for look in looks) / MB,
        "client_bytes_per_batch": slope(5, steady[-half:]),
        "scheduler_bytes_per_batch": slope(6, steady[-half:]),
    }


def cores(seconds: float) -> dict[str, Any]:
    """Runs a second of the real kernel on one core and on all, in turn."""
    return bench.scaling(state([load(MISSION)]), seconds)


MEASURES: dict[str, Callable[..., Any]] = {
    "real": real, "null": nothing, "study": study, "worker": worker, "crowd": crowd, "cores": cores,
    "serve": null.serve,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- their means


@contextmanager
def stored(campaign: Campaign, runs: int) -> Iterator[Store]:
    """A store in a folder that this process removes when it ends."""
    folder = tempfile.TemporaryDirectory()
    KEPT.append(folder)
    with Store.written(Path(folder.name), campaign, Goal(runs)) as store:
        yield store


def journal_size(store: Store) -> int:
    """[byte]"""
    store.commit()
    assert store.folder
    return (store.folder / JOURNAL).stat().st_size


def peak_rss() -> float:
    """Most memory that this process had so far [MB]; getrusage would count what its parent had when it began it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(one.split()[1]) for one in lines if one.startswith("VmHWM:")) * 1024 / MB


def cpu_of(process: psutil.Process) -> float:
    """Processor time of another process [s]."""
    times = process.cpu_times()
    return float(times.user + times.system)


def loopback_bytes() -> int:
    """Sent over loopback so far, by whomever [byte]."""
    counted = psutil.net_io_counters(pernic=True).get("lo")
    return counted.bytes_sent if counted else 0


if __name__ == "__main__":
    found = MEASURES[sys.argv[1]](*json.loads(sys.argv[2]))
    if found is not None:
        print(json.dumps(found))
