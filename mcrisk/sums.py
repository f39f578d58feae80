"""A block of sums as the kernels leave it (kernels/mcrisk/tally.h), and the Tally that it is: bit for bit numpy's.

The kernels add integers alone, on the CPU and on a GPU; what turns them into the Tally is here, about a millisecond
whatever the runs. `tally.tally` is the slow twin, and that of the double oracle.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np

from mcrisk.errors import InfrastructureError
from mcrisk.tally import BINS, GROUPS, UNIT, Moments, Scatter, Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PLAN", "SUMS", "bars", "most_occupied", "plan", "tally_of"]

METRICS, OUTCOMES, CAUSES = 24, 16, 32  # at most, as in tally.h
LIMBS, PRODUCTS = 9, 18  # of 32 digits
SINGLE, SQUARE = 149, 298  # -log2 of the unit of sums of floats, and of products of two

PLAN = np.dtype(
    [
        *((name, "<u4") for name in ("outcome", "cause", "contact", "downrange", "crossrange")),
        *((name, "<u4") for name in ("success", "outcomes", "causes", "metrics")),
        ("metric", "<u4", METRICS),
    ]
)
METRIC = np.dtype(
    [
        ("count", "<i8"),
        ("total", "<i8", LIMBS),
        ("squares", "<i8", PRODUCTS),
        ("greatest", "<u4"),
        ("least", "<u4"),
    ]
)
POINT = np.dtype(
    [
        ("count", "<i8"),
        ("totals", "<i8", (2, LIMBS)),
        ("products", "<i8", (3, PRODUCTS)),  # xx, yy, xy
    ]
)
SUMS = np.dtype(
    [
        ("nameless", "<u8"),
        ("occupied", "<u8"),
        ("metric", METRIC, (2, METRICS)),
        ("point", POINT, 2),
        ("count", "<u4", (OUTCOMES, CAUSES)),
        ("lowest", "<u4", (OUTCOMES, CAUSES)),
    ]
)


@functools.cache
def plan() -> NDArray[np.void]:
    """What the words of a record mean: one `PLAN`, (1,), as the kernels take it. Not to be written to."""
    from mcrisk.schema import load_schema

    schema = load_schema()
    words = {name: place // 4 for name, (_, place, *_) in (schema.record_dtype(4).fields or {}).items()}
    metrics = [words[name] for name, one in schema.record_fields.items() if one.metric]
    outcomes, causes = (1 + max(schema.enums[name].members.values()) for name in ("Outcome", "Cause"))
    if len(metrics) > METRICS or outcomes > OUTCOMES or causes > CAUSES:
        raise InfrastructureError("the sums of tally.h hold fewer metrics, outcomes or causes than record.h names")
    made = np.zeros(1, PLAN)
    for name in ("outcome", "cause", "contact"):
        made[name] = words[name]
    made["downrange"], made["crossrange"] = words["miss_downrange"], words["miss_crossrange"]
    made["success"] = schema.enums["Outcome"]["success"]
    made["outcomes"], made["causes"], made["metrics"] = outcomes, causes, len(metrics)
    made["metric"][0, : len(metrics)] = metrics
    made.flags.writeable = False
    return made


@functools.cache
def names() -> tuple[str, ...]:
    """The metrics, in the order of the plan."""
    from mcrisk.schema import load_schema

    return tuple(name for name, one in load_schema().record_fields.items() if one.metric)


def bars() -> int:
    """Bins of a histogram: those of all metrics."""
    return BINS * int(plan()["metrics"][0])


def most_occupied(runs: int) -> int:
    """Bins that so many runs can occupy, over all metrics."""
    return min(runs, BINS) * int(plan()["metrics"][0])


def tally_of(
    sums: NDArray[np.void], bins: NDArray[np.uint32], counts: NDArray[np.uint64], first: int, count: int
) -> Tally:
    """The tally of runs first, ..., first + count - 1 from one `SUMS`, (1,), and the occupied bins with their counts.

    bins: (occupied,) metric * BINS + bin, in any order. counts: (occupied,) in the low half the contacts that did not
    land, in the high half the landings.
    """
    sums = sums[0]
    if sums["nameless"]:
        raise InfrastructureError(f"runs {first} .. {first + count - 1}: an outcome or cause without a name")
    outcomes, causes, metrics = (int(plan()[name][0]) for name in ("outcomes", "causes", "metrics"))
    pairs = sums["count"][:outcomes, :causes].astype(np.int64)
    lowest = (~sums["lowest"][:outcomes, :causes]).astype(np.int64)
    examples = np.where(pairs > 0, lowest + first, -1)

    order = np.argsort(bins)
    bins, counts = bins[order], counts[order]
    landed = (counts >> np.uint64(32)).astype(np.int64)
    whole = (counts & np.uint64(0xFFFFFFFF)).astype(np.int64) + landed
    some = landed > 0

    metric, point = sums["metric"][:, :metrics], sums["point"]
    numbers = added(metric["count"]).tolist()
    least, greatest = floats(~raised(metric["least"])).tolist(), floats(raised(metric["greatest"])).tolist()
    totals = integers(np.hstack([added(metric["total"]), added(point["totals"])]), UNIT - SINGLE)
    squares = integers(np.hstack([added(metric["squares"]), added(point["products"])]), UNIT - SQUARE)
    points = added(point["count"]).tolist()
    moments: dict[str, dict[str, Moments]] = {}
    scatter: dict[str, Scatter] = {}
    for g, group in enumerate(GROUPS):
        own_bins, own_counts = (bins, whole) if g == 0 else (bins[some], landed[some])
        ends = np.searchsorted(own_bins, np.arange(metrics + 1) * BINS).tolist()
        short = (own_bins & np.uint32(BINS - 1)).astype(np.uint16)
        named = moments[group] = {}
        for m, name in enumerate(names()):
            inside = slice(ends[m], ends[m + 1])
            ends_of = least[g][m], greatest[g][m]
            given = numbers[g][m], totals[g][m], squares[g][m], *ends_of, short[inside], own_counts[inside]
            named[name] = Moments(*given) if numbers[g][m] else Moments()
        scatter[group] = Scatter(points[g], *totals[g][metrics:], *squares[g][metrics:])
    ranges = ((first, first + count),) if count else ()
    return Tally(ranges, pairs, examples, moments, scatter)


def added(parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sums over all contacts and over landings, from those over the other contacts and over landings: (2, ...)."""
    return np.stack([parts[0] + parts[1], parts[1]])


def raised(parts: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The same for greatest values."""
    return np.stack([np.maximum(parts[0], parts[1]), parts[1]])


def integers(limbs: NDArray[np.int64], power: int) -> list[list[int]]:
    """2^power times the whole numbers of (groups, numbers, limbs) signed limbs of weight 2^32 each.

    >>> integers(np.array([[[-1, 1], [5, 0]]]), 1)
    [[8589934590, 10]]
    """
    columns = np.ascontiguousarray(np.moveaxis(limbs, 2, 0))
    for lower, higher in itertools.pairwise(columns):
        higher += lower >> 32
        lower &= 0xFFFFFFFF
    words = np.empty((*limbs.shape[:2], limbs.shape[2] + 1), "<u4")
    words[:, :, :-2] = np.moveaxis(columns[:-1], 0, 2)
    words[:, :, -2:] = columns[-1].astype("<i8").view("<u4").reshape(*limbs.shape[:2], 2)
    size, content = 4 * words.shape[2], words.tobytes()
    flat = [
        int.from_bytes(content[at : at + size], "little", signed=True) << power for at in range(0, len(content), size)
    ]
    return [flat[at : at + limbs.shape[1]] for at in range(0, len(flat), limbs.shape[1])]


def floats(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The floats of the ordered keys of tally.h; of no value, 0 and its complement, whatever."""
    bits = np.where(keys >> np.uint32(31), keys ^ np.uint32(0x80000000), ~keys)
    return bits.astype(np.uint32).view(np.float32)
