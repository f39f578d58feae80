"""How memory, the store and the client's cost grow with a campaign of a null kernel, each size in its own process.

The null kernel hands out the same records and their sums again and again; dask, the journal with its checksums and
commits, folding and the dataset are the real ones. Prints one line of figures for each size. The client's cost is the
processor time of a campaign less that of its batches flown without client and dask.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcrisk import flight, pages, tally
from mcrisk.api import fly
from mcrisk.backends import AbstractBackend, choose
from mcrisk.campaign import Campaign, Case, case_axis, state
from mcrisk.execute import execute
from mcrisk.goal import Goal
from mcrisk.mission import load
from mcrisk.store import JOURNAL, Store

MISSION = "hakuto_r_m2_late_rangefinder"
RECORDS = 4096  # flown once, handed out again and again
ALONE = 50  # batches that measure the cost without a client
REAL_TALLY = tally.tally
HEADER = ("runs", "designs", "runs of a batch", "peak memory", "journal", "of a batch", "client for each batch")
FORMATS = {
    "runs": "{:.0e}".format, "cases": "{:.0f}".format, "batch": "{:.0f}".format, "peak_rss_mb": "{:.0f} MB".format,
    "journal_mb": "{:.1f} MB".format, "journal_bytes_per_batch": lambda size: f"{size / 1e3:.1f} kB",
    "client_ms_per_batch": "{:.1f} ms".format,
}  # fmt: skip


class Null(AbstractBackend):
    """Flies nothing: the records of a batch are made once, and so are their sums."""

    name = "cpu"
    batch = 1 << 20

    def __init__(self, params: bytes, count: int) -> None:
        self.records = np.resize(choose("cpu").run(params, 0, 0, RECORDS), count)
        self.summed = tally.tally(self.records, 0)

    def run(self, params: bytes, seed: int, first: int, count: int) -> np.ndarray:
        return self.records[:count]

    def tally(self, records: np.ndarray, first: int) -> tally.Tally:
        """The sum of whole batches without summing."""
        if len(records) != len(self.records):
            return REAL_TALLY(records, first)
        examples = np.where(self.summed.examples < 0, -1, self.summed.examples + first)
        return replace(self.summed, ranges=((first, first + len(records)),), examples=examples)

    def describe(self) -> str:
        return "null kernel"


def measure(runs: int, cases: int, batch: int) -> dict[str, float]:
    """Fly `runs` in all with batches of `batch`; the figures."""
    base = state([load(MISSION)])
    several = tuple(
        Case(f"case {place}", base.cases[0].params + bytes([place % 251]), place=place) for place in range(cases)
    )
    campaign = Campaign("scale", several, 0, base.kernel_digest, axes=case_axis([case.name for case in several]))
    backend = Null(base.cases[0].params, batch)
    tally.tally = backend.tally
    work = flight.Work(0, 0, batch, base.cases[0].params, 0, "none", "null", flight.identity())
    with flight.lent(backend) as name:
        used = time.process_time()
        for _ in range(ALONE):
            flight.fly(replace(work, backend=name))
        alone = (time.process_time() - used) / ALONE
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        start, used = time.monotonic(), time.process_time()
        with Store.written(place, campaign, Goal(runs // cases)) as store:
            execute(campaign, store.goal, backend, store=store, workers=1, batch=batch)
            flown, spent = time.monotonic() - start, time.process_time() - used
            ((batches,),) = store._rows("SELECT COUNT(*) FROM batches")
        start = time.monotonic()
        fly(campaign, Goal(runs // cases), backend, folder=place)  # finds all flown: forms and writes the dataset
        present = time.monotonic() - start
        size = (place / JOURNAL).stat().st_size
        return {
            "runs": runs,
            "cases": cases,
            "batch": batch,
            "batches": batches,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "journal_mb": size / 1e6,
            "journal_bytes_per_batch": size / batches,
            "client_ms_per_batch": 1e3 * (spent / batches - alone),
            "flight_s": flown,
            "dataset_s": present,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=1e8, help="runs of the largest campaign of one case")
    parser.add_argument("--cases", type=int, default=10_000, help="cases of the widest campaign, of 1e5 runs each")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help="put the table into this page, between its scale marks")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*json.loads(options.one))))
        return
    # as a processor core has them (0.5 s of flight), as a GPU has them, and many cases
    sizes = [(10**power, 1, 700) for power in (5, 6) if 10**power <= options.most]
    sizes += [(10**power, 1, 100_000) for power in (6, 7, 8) if 10**power <= options.most]
    sizes += [(100_000 * cases, cases, 100_000) for cases in (100, 1000, options.cases) if cases <= options.cases]
    rows = [HEADER, ("---",) * len(HEADER)]
    for size in dict.fromkeys(sizes):
        one = subprocess.run(
            [sys.executable, "-P", __file__, "--one", json.dumps(size)], check=True, text=True, capture_output=True
        )
        found = json.loads(one.stdout)
        print("  ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
        rows.append(tuple(FORMATS[name](found[name]) for name in FORMATS))
    if options.write:
        told = "By `scripts/scale`, with a null kernel and one worker; the start of dask is in the last column.\n\n"
        pages.write_block(options.write, "scale", told + "\n".join(f"| {' | '.join(one)} |" for one in rows))


if __name__ == "__main__":
    main()
