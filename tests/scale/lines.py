"""Straight lines through what was measured, and what they say of a campaign that nobody has flown yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SQLITE_BYTES = (2**32 - 2) * 4096  # [byte] the largest journal: https://sqlite.org/limits.html at pages of 4 KiB


@dataclass(frozen=True)
class Line:
    """y = intercept + slope x. departure: the largest of |y - line| / y; points: how many there were."""

    intercept: float
    slope: float
    departure: float
    points: int

    def at(self, x: float) -> float:
        """The line at x."""
        return self.intercept + self.slope * x


def line(points: Iterable[tuple[float, float]]) -> Line:
    """Ordinary least squares through (x, y), y above zero: the largest sizes decide the slope.

    >>> line([(0, 1), (1, 3), (2, 5)])
    Line(intercept=1.0, slope=2.0, departure=0.0, points=3)
    """
    given = [(float(x), float(y)) for x, y in points]
    if len({x for x, _ in given}) < 2:
        raise ValueError("a line takes two points at least")
    x_mean, y_mean = (sum(column) / len(given) for column in zip(*given, strict=True))
    spread = sum((x - x_mean) ** 2 for x, _ in given)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in given) / spread
    intercept = y_mean - slope * x_mean
    departure = max(abs(y - intercept - slope * x) / y for x, y in given)
    return Line(intercept, slope, departure, len(given))


@dataclass(frozen=True)
class Costs:
    """What a batch costs, from the lines. Seconds are those of one processor core, bytes those of a batch."""

    client_seconds: float  # [s]
    scheduler_seconds: float  # [s]
    worker_seconds: float  # [s] of the worker's own core, beside its device
    journal_bytes: float
    network_bytes: float  # sent and received by the scheduler
    client_bytes: float  # memory beside `client_memory`
    scheduler_bytes: float  # memory beside `scheduler_memory`
    client_memory: float  # [byte] with all workers, before the first batch
    scheduler_memory: float  # [byte]
    greet_seconds: float  # [s] until all workers are known
    resume_seconds: float | None  # [s] of looking through the journal when the same command goes on


def foretold(
    costs: Costs, runs: float, gpus: int, gpu_rate: float, batch: int, memory: float, journal: float = SQLITE_BYTES
) -> dict[str, Any]:
    """What so many runs on so many GPUs take, and what breaks first.

    gpu_rate: [run/s] of one. batch: [run]. memory: [byte] of the machine of client and scheduler. journal: [byte], the
    most it can hold. A limit has `needs` and `has` in one unit; it breaks where its `load`, their ratio, exceeds 1. All
    work at once: a worker reads the sums of a batch while the next one flies.
    """
    flight = runs / (gpu_rate * gpus)
    batches = runs / batch
    client, scheduler = batches * costs.client_seconds, batches * costs.scheduler_seconds
    kept = batches * costs.journal_bytes
    held = costs.client_memory + costs.scheduler_memory + batches * (costs.client_bytes + costs.scheduler_bytes)
    worker = batches / gpus * costs.worker_seconds
    limits = {
        "client's processor": (client, flight, "s"),
        "scheduler's processor": (scheduler, flight, "s"),
        "worker's processor": (worker, flight, "s"),
        "memory of client and scheduler": (held, memory, "byte"),
        "size of the journal": (kept, journal, "byte"),
    }
    loads = {name: needs / has for name, (needs, has, _) in limits.items()}
    first = max(loads, key=loads.__getitem__)
    one_client = max(loads["client's processor"], loads["scheduler's processor"])
    return {
        "runs": runs,
        "gpus": gpus,
        "gpu_rate": gpu_rate,
        "batch": batch,
        "batches": batches,
        "batches_per_s": batches / flight,
        "flight_s": flight,
        "greet_s": costs.greet_seconds,
        "client_s": client,
        "scheduler_s": scheduler,
        "worker_s": worker,
        "least_s": costs.greet_seconds + max(flight, worker, client, scheduler),
        "resume_s": None if costs.resume_seconds is None else batches * costs.resume_seconds,
        "memory_bytes": held,
        "journal_bytes": kept,
        "network_bytes": batches * costs.network_bytes,
        "network_bytes_per_s": batches * costs.network_bytes / flight,
        "limits": {
            name: {"needs": needs, "has": has, "unit": unit, "load": loads[name]}
            for name, (needs, has, unit) in limits.items()
        },
        "first": first,
        "breaks": loads[first] > 1,
        "gpus_of_one_client": gpus / one_client,
    }
