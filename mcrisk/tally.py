"""What many runs sum up to: a Tally merges exactly, in any order, from any split into batches.

Everything in a tally is an integer or a choice between given values (least, greatest), so that no rounding depends on
who was added first:

* runs are counted by (outcome, cause), and the lowest run of each pair is kept as its example;
* a metric's sum and sum of squares are integers of the unit 2^-1074 (the smallest step of a double), hence exact;
* a histogram has fixed edges, read off the bits of the value: its sign, exponent and six digits of its mantissa.

Why exact integers instead of compensated floats: an answer that changes with the number of workers cannot be checked.
Why this histogram: relative resolution 1/64 for every metric, from micro-radians to kilometres, with nothing to tune.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from mcrisk.errors import InfrastructureError, MistakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GROUPS", "RESOLUTION", "Moments", "Scatter", "Tally", "bin_edges", "merge", "tally"]

GROUPS = ("all_contacts", "landed")
RESOLUTION = 1 / 64  # width of a histogram bin as a fraction of its lower end
DIGITS = 6  # of the mantissa that name a bin: 2^-6 is the resolution
BINS = 1 << (9 + DIGITS)
SHIFT = 23 - DIGITS
TINY = float(np.finfo(np.float32).tiny)  # of normal numbers
UNIT = 1074  # a sum of value 1 is the integer 2^1074
CHUNK = 1 << 15  # records summed at a time: they stay in the cache
TOGETHER = 64  # tallies merged at a time: one pass over their bins, where pairs would take one for each


@dataclass(frozen=True, eq=False)
class Moments:
    """One metric over one group of runs. `bins` and `counts` are the occupied bins of its histogram, in order."""

    count: int = 0
    total: int = 0
    squares: int = 0
    least: float = math.inf
    greatest: float = -math.inf
    bins: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, values: NDArray[Any]) -> Moments:
        """The moments of values, (runs,) of float32 or float64, all finite."""
        if not len(values):
            return cls()
        counts = np.bincount(_bin_of(values), minlength=BINS)
        bins = np.flatnonzero(counts).astype(np.uint16)
        return cls(
            count=len(values),
            total=exact_sum(values.astype(np.float64)),
            squares=exact_dot(values, values),
            least=float(values.min()) + 0.0,
            greatest=float(values.max()) + 0.0,
            bins=bins,
            counts=counts[bins].astype(np.int64),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moments) and (
            (self.count, self.total, self.squares) == (other.count, other.total, other.squares)
            and (self.least, self.greatest) == (other.least, other.greatest)
            and np.array_equal(self.bins, other.bins)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def merged(cls, parts: Sequence[Moments]) -> Moments:
        """The moments of all runs of the parts."""
        counts = np.zeros(BINS, np.int64)
        for one in parts:
            counts[one.bins] += one.counts
        bins = np.flatnonzero(counts).astype(np.uint16)
        return cls(
            count=sum(one.count for one in parts),
            total=sum(one.total for one in parts),
            squares=sum(one.squares for one in parts),
            least=min(one.least for one in parts),
            greatest=max(one.greatest for one in parts),
            bins=bins,
            counts=counts[bins],
        )

    @property
    def mean(self) -> float:
        """The mean, correctly rounded; NaN of nothing."""
        return self.total / (self.count << UNIT) if self.count else math.nan

    @property
    def std(self) -> float:
        """The sample standard deviation (divisor count - 1) from exact sums; NaN of fewer than two values."""
        if self.count < 2:
            return math.nan
        return math.sqrt(_covariance(self.count, self.total, self.total, self.squares))

    def quantile(self, probability: float) -> float:
        """The value below which this fraction lies, straight inside its bin: off by one bin, 1/64 of it, at most."""
        return float(self.quantiles([probability])[0])

    def quantiles(self, probabilities: Sequence[float]) -> NDArray[np.float64]:
        """The values of `quantile` for several fractions; NaN of nothing."""
        if not self.count:
            return np.full(len(probabilities), math.nan)
        rank = np.asarray(probabilities, np.float64) * self.count
        above = np.cumsum(self.counts)
        place = np.minimum(np.searchsorted(above, rank, side="left"), len(above) - 1)
        lower, upper = (edge.astype(np.float64) for edge in bin_edges(self.bins[place]))
        within = (rank - (above[place] - self.counts[place])) / self.counts[place]
        values = lower + (upper - lower) * np.clip(within, 0.0, 1.0)
        values = np.where(np.abs(values) < TINY, 0.0, values)  # a share of the bin of zero, which is one subnormal wide
        return np.clip(values, self.least, self.greatest)


@dataclass(frozen=True)
class Scatter:
    """Exact sums of two metrics together: the second moments of the landing point."""

    count: int = 0
    total_x: int = 0
    total_y: int = 0
    squares_x: int = 0
    squares_y: int = 0
    products: int = 0

    @classmethod
    def of(cls, x: NDArray[Any], y: NDArray[Any]) -> Scatter:
        """x, y: (runs,), all finite."""
        if not len(x):
            return cls()
        total_x, total_y = exact_sum(x.astype(np.float64)), exact_sum(y.astype(np.float64))
        return cls(len(x), total_x, total_y, exact_dot(x, x), exact_dot(y, y), exact_dot(x, y))

    @classmethod
    def merged(cls, parts: Sequence[Scatter]) -> Scatter:
        """The sums over all runs of the parts."""
        return cls(*map(sum, zip(*(one.sums for one in parts), strict=True)))

    @property
    def sums(self) -> tuple[int, int, int, int, int, int]:
        return self.count, self.total_x, self.total_y, self.squares_x, self.squares_y, self.products

    @property
    def mean(self) -> tuple[float, float]:
        if not self.count:
            return math.nan, math.nan
        return self.total_x / (self.count << UNIT), self.total_y / (self.count << UNIT)

    @property
    def covariance(self) -> tuple[float, float, float]:
        """(xx, xy, yy) with divisor count - 1; NaN of fewer than two runs."""
        if self.count < 2:
            return math.nan, math.nan, math.nan
        n, x, y = self.count, self.total_x, self.total_y
        return (
            _covariance(n, x, x, self.squares_x),
            _covariance(n, x, y, self.products),
            _covariance(n, y, y, self.squares_y),
        )


@dataclass(frozen=True, eq=False)
class Tally:
    """Exact sums over the runs in `ranges`.

    counts: (outcomes, causes). examples: the same shape, the lowest run of each pair, -1 of none.
    ranges: disjoint (first, stop) in order, joined where they touch. Two tallies that share a run refuse to merge.
    """

    ranges: tuple[tuple[int, int], ...]
    counts: NDArray[np.int64]
    examples: NDArray[np.int64]
    metrics: Mapping[str, Mapping[str, Moments]]  # group, metric
    scatter: Mapping[str, Scatter]  # group

    @property
    def runs(self) -> int:
        return sum(stop - first for first, stop in self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and (
            self.ranges == other.ranges
            and np.array_equal(self.counts, other.counts)
            and np.array_equal(self.examples, other.examples)
            and self.metrics == other.metrics
            and self.scatter == other.scatter
        )

    __hash__ = None  # type: ignore[assignment]


def tally(records: NDArray[np.void], first: int) -> Tally:
    """The tally of records, (runs,) of `schema.record_dtype`, of runs first, first + 1, ...

    Runs that never touched the ground count in no metric; a value that is not finite counts in none either.
    """
    from mcrisk.schema import load_schema

    if len(records) > CHUNK:
        return merge(tally(records[start : start + CHUNK], first + start) for start in range(0, len(records), CHUNK))
    schema = load_schema()
    outcome, cause = records["outcome"].astype(np.int64), records["cause"].astype(np.int64)
    shape = (1 + max(schema.enums["Outcome"].members.values()), 1 + max(schema.enums["Cause"].members.values()))
    if len(records) and (outcome.min() < 0 or outcome.max() >= shape[0] or cause.min() < 0 or cause.max() >= shape[1]):
        raise InfrastructureError(f"runs {first} .. {first + len(records) - 1}: an outcome or cause without a name")
    pair = outcome * shape[1] + cause
    counts = np.bincount(pair, minlength=shape[0] * shape[1]).astype(np.int64)
    examples = np.full(shape[0] * shape[1], -1, np.int64)
    seen, earliest = np.unique(pair, return_index=True)
    examples[seen] = first + earliest

    contact = records["contact"] != 0
    groups = {"all_contacts": contact, "landed": contact & (outcome == schema.enums["Outcome"]["success"])}
    metrics, scatter = {}, {}
    for group, members in groups.items():
        chosen = records[members]
        metrics[group] = {
            name: Moments.of(chosen[name][np.isfinite(chosen[name])])
            for name, one in schema.record_fields.items()
            if one.metric
        }
        x, y = chosen["miss_downrange"], chosen["miss_crossrange"]
        finite = np.isfinite(x) & np.isfinite(y)
        scatter[group] = Scatter.of(x[finite], y[finite])
    ranges = ((first, first + len(records)),) if len(records) else ()
    return Tally(ranges, counts.reshape(shape), examples.reshape(shape), metrics, scatter)


def merge(tallies: Iterable[Tally]) -> Tally:
    """One tally of all runs: the same bits in whatever order and grouping. Refuses a run counted twice."""
    rest = iter(tallies)
    total = next(rest, None)
    if total is None:
        raise MistakeError("merge", "one tally at least", "none")
    while several := list(islice(rest, TOGETHER)):
        total = _merged([total, *several])
    return total


def _merged(parts: Sequence[Tally]) -> Tally:
    one = parts[0]
    for other in parts[1:]:
        groups_differ = any(one.metrics[group].keys() != other.metrics[group].keys() for group in GROUPS)
        if one.counts.shape != other.counts.shape or groups_differ:
            raise InfrastructureError("tallies of different kernels cannot be merged")
    # -1 means none: as an unsigned number it is the greatest, so the least of all is the lowest run.
    examples = np.minimum.reduce([part.examples.view(np.uint64) for part in parts]).view(np.int64)
    return Tally(
        ranges=_joined(span for part in parts for span in part.ranges),
        counts=np.add.reduce([part.counts for part in parts]),
        examples=examples,
        metrics={
            group: {name: Moments.merged([part.metrics[group][name] for part in parts]) for name in one.metrics[group]}
            for group in GROUPS
        },
        scatter={group: Scatter.merged([part.scatter[group] for part in parts]) for group in GROUPS},
    )


def _joined(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for first, stop in sorted(ranges):
        if joined and first < joined[-1][1]:
            raise InfrastructureError(f"runs {first} .. {min(stop, joined[-1][1]) - 1} were counted twice")
        if joined and first == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((first, stop))
    return tuple(joined)


# ---------------------------------------------------------------------------------------------------------- exact sums


def exact_sum(values: NDArray[np.float64]) -> int:
    """The sum of finite doubles as an integer of the unit 2^-1074: exact, whatever the order.

    >>> exact_sum(np.array([1e16, 1.0, -1e16])) == 1 << 1074
    True
    """
    total = 0
    for start in range(0, len(values), CHUNK):
        part, power = np.frexp(values[start : start + CHUNK])
        mantissa = np.ldexp(part, 53).astype(np.int64)  # exact: a double has 53 digits
        power = power.astype(np.int64) - 53
        lowest = int(power.min())
        # Two limbs of 27 digits: sums of 2^26 of them stay below 2^53, which the doubles of bincount hold exactly.
        high, low = mantissa >> 27, mantissa & ((1 << 27) - 1)
        highs = np.bincount(power - lowest, weights=high.astype(np.float64))
        lows = np.bincount(power - lowest, weights=low.astype(np.float64))
        for place in np.flatnonzero((highs != 0) | (lows != 0)):
            digits = (int(highs[place]) << 27) + int(lows[place])
            exponent = lowest + int(place) + UNIT
            # Below the unit only the trailing zeros of subnormal numbers are cut.
            total += digits << exponent if exponent >= 0 else digits >> -exponent
    return total


def exact_dot(a: NDArray[Any], b: NDArray[Any]) -> int:
    """The sum of products a_i b_i in the unit 2^-1074.

    Two floats multiply to a double without rounding; doubles are first split in halves that do (Veltkamp 1968).
    """
    if a.dtype == np.float32 and b.dtype == np.float32:
        return exact_sum(a.astype(np.float64) * b.astype(np.float64))
    return sum(exact_sum(one * other) for one in _halves(a) for other in _halves(b))


def _halves(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two doubles of at most 26 digits each that add up to the value."""
    whole = values.astype(np.float64)
    scaled = whole * 134217729.0  # 2^27 + 1
    high = scaled - (scaled - whole)
    return high, whole - high


def _covariance(count: int, total_x: int, total_y: int, products: int) -> float:
    """(sum xy - sum x sum y / n) / (n - 1), rounded once."""
    return ((count * products << UNIT) - total_x * total_y) / (count * (count - 1) << 2 * UNIT)


# ----------------------------------------------------------------------------------------------------- fixed histogram


def _bin_of(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Number of the bin of each value, ascending with the value."""
    single = values.astype(np.float32) + np.float32(0)  # -0 counts as 0
    bits = single.view(np.uint32)
    size = ((bits & np.uint32(0x7FFFFFFF)) >> np.uint32(SHIFT)).astype(np.int32)
    return np.where(bits >> np.uint32(31), BINS // 2 - 1 - size, BINS // 2 + size).astype(np.uint16)


def bin_edges(bins: NDArray[np.integer[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lower and upper edges of histogram bins; positive bins hold their lower edge, negative ones their upper.

    >>> [float(edge[0]) for edge in bin_edges(_bin_of(np.array([1.0])))]
    [1.0, 1.015625]
    """
    number = np.asarray(bins).astype(np.int64)

    def edge(step: NDArray[np.int64]) -> NDArray[np.float32]:
        size = np.minimum(np.abs(step) << SHIFT, 0x7F7FFFFF).astype(np.uint32).view(np.float32)
        signed: NDArray[np.float32] = np.copysign(size, step.astype(np.float32))
        return signed

    return edge(number - BINS // 2), edge(number - BINS // 2 + 1)
