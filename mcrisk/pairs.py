"""Two designs on the same random worlds: how much oftener one of them lands, and how sure that is.

A run in which both land or both are lost tells nothing about the difference; the evidence is in the runs that differ,
`only_a` and `only_b`. The interval of the difference follows from how many these are:

* at most FEWEST, or at most FEW and fewer than one run in ten: the exact unconditional interval, which holds the truth
  with at least the stated confidence;
* more, but fewer than one run in ten: Tango's score interval, of the runs that differ alone;
* otherwise: Newcombe's method 10.

Where McNemar's exact test does not tell the designs apart, the interval is widened to reach zero: a reader never finds
a difference beyond doubt beside a p-value that doubts it.

Why not Newcombe's alone: with few runs that differ between designs that both land in 70 of 100, its 95 % interval holds
the truth in 92 of 100 campaigns, and its width depends on runs that tell nothing. Why not Tango's alone: with four runs
that differ his holds it in 93. The rule as a whole, exactly summed at 1000 and 10 000 runs: 94.1 at worst, where it
hands over to Tango, 96 on average, and 95 or more where few differ.

Sources: Newcombe 1998 (Statistics in Medicine 17:2635, method 10); Tango 1998 (17:891); Berger & Boos 1994 (JASA
89:1012, p-values maximised over a confidence set); McNemar 1947; Fagerland, Lydersen & Laake 2013 (exact and mid-p);
Holm 1979; Connor 1987 (Biometrics 43:207, runs for a power).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, SupportsIndex, get_args

import numpy as np

from mcrisk.binomial import CONFIDENCE, beta_ends, chance_at_most, counts_of, open_fraction, wilson
from mcrisk.errors import MistakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RULE", "Paired", "examples", "holm", "independent_runs", "paired", "runs_to_tell", "table"]

PairedMethod = Literal["exact", "tango", "newcombe"]
METHODS: tuple[PairedMethod, ...] = get_args(PairedMethod)
FEWEST = 12  # [run] that differ: up to here the interval is always exact
FEW = 40  # [run] up to here it is exact where the runs that differ are rare
RARE = 10  # rare: fewer than one of RARE runs
RULE = (
    f"exact unconditional up to {FEW} runs that differ ({FEWEST} if one run in {RARE} or more differs); beyond, Tango "
    f"1998 if fewer than one in {RARE} differ, else Newcombe 1998 method 10; widened to zero where McNemar's exact "
    "test does not reject"
)
SPENT = 1e-3  # share of the risk spent on the confidence set of the discordance, in the exact interval
CHUNK = 1 << 20  # [byte] of landings looked at together


class Paired(NamedTuple):
    """Two designs on the same random worlds: difference of their success probabilities (a less b) and its evidence."""

    runs: int
    difference: float
    interval: tuple[float, float]
    p_value: float
    mid_p_value: float
    confidence: float
    method: PairedMethod
    both: int
    only_a: int
    only_b: int
    neither: int


def paired(
    both: SupportsIndex,
    only_a: SupportsIndex,
    only_b: SupportsIndex,
    neither: SupportsIndex,
    confidence: float = CONFIDENCE,
    method: PairedMethod | None = None,
) -> Paired:
    """How much oftener design a succeeds than design b, from runs paired by their random world.

    both, only_a, only_b, neither: [] runs in which both, one or none succeeded. `p_value` is McNemar's exact two-sided
    one and `mid_p_value` its less conservative form. method: as published; None takes the rule above.

    >>> result = paired(both=20, only_a=12, only_b=2, neither=16)
    >>> f"{result.difference:.2f} ({result.interval[0]:.4f}, {result.interval[1]:.4f}), p = {result.p_value:.4f}"
    '0.20 (0.0562, 0.3292), p = 0.0129'
    >>> rare = paired(both=9_985, only_a=8, only_b=1, neither=6)
    >>> f"{rare.difference:.5f} ({rare.interval[0]:.5f}, {rare.interval[1]:.5f}), {rare.method}"
    '0.00070 (0.00013, 0.00146), exact'
    """
    a, b, c, d = counts_of(both=both, only_a=only_a, only_b=only_b, neither=neither)
    level = open_fraction("confidence", confidence)
    if method is not None and method not in METHODS:
        raise MistakeError("method", " or ".join(METHODS), repr(method))
    runs = a + b + c + d
    if runs == 0:
        return Paired(0, math.nan, (-1.0, 1.0), 1.0, 1.0, level, method or "exact", 0, 0, 0, 0)
    p_value, mid_p_value = _mcnemar(b, c)
    taken = method or _method(b + c, runs)
    lower, upper = _newcombe(a, b, c, d, level) if taken == "newcombe" else _score(taken, b, c, runs, level)
    if method is None and p_value > 1.0 - level:
        lower, upper = min(lower, 0.0), max(upper, 0.0)
    return Paired(runs, (b - c) / runs, (lower, upper), p_value, mid_p_value, level, taken, a, b, c, d)


def _method(differing: int, runs: int) -> PairedMethod:
    """The rule above."""
    rare = RARE * differing < runs
    if differing <= (FEW if rare else FEWEST):
        return "exact"
    return "tango" if rare else "newcombe"


# ----------------------------------------------------------------------------------------------------------- intervals


def _newcombe(a: int, b: int, c: int, d: int, level: float) -> tuple[float, float]:
    """Newcombe's method 10: Wilson's ends of both probabilities, squared and added with their correlation."""
    runs = a + b + c + d
    difference, phi = (b - c) / runs, _phi(a, b, c, d)
    (lower_a, upper_a), (lower_b, upper_b) = wilson(a + b, runs, level), wilson(a + c, runs, level)
    up_a, down_a = upper_a - (a + b) / runs, (a + b) / runs - lower_a
    up_b, down_b = upper_b - (a + c) / runs, (a + c) / runs - lower_b
    lower = difference - math.sqrt(max(0.0, down_a**2 - 2.0 * phi * down_a * up_b + up_b**2))
    upper = difference + math.sqrt(max(0.0, up_a**2 - 2.0 * phi * up_a * down_b + down_b**2))
    return max(-1.0, lower), min(1.0, upper)


def _phi(a: int, b: int, c: int, d: int) -> float:
    """Correlation of the two outcomes with Newcombe's continuity correction (1998, method 10)."""
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    twice = 2 * (a * d - b * c)
    corrected = max(twice - (a + b + c + d), 0) if twice > 0 else twice
    return corrected / (2.0 * math.sqrt(margins))


def _score(method: PairedMethod, b: int, c: int, runs: int, level: float) -> tuple[float, float]:
    """Both ends by the lower end alone: exchanging the designs turns the difference."""
    end = _exact_lower if method == "exact" else _tango_lower
    return end(b, c, runs, level), 0.0 - end(c, b, runs, level)


def _tango_lower(b: int, c: int, runs: int, level: float) -> float:
    """Where Tango's statistic is the normal quantile; it falls as the supposed difference grows."""
    from scipy.special import ndtri

    wanted = -float(ndtri((1.0 - level) / 2.0))
    low, high = -1.0, (b - c) / runs
    return _crossing(lambda supposed: float(_tango(b, c, runs, supposed)) < wanted, low, high, 200)


def _tango(b: Any, c: Any, runs: int, supposed: float) -> Any:
    """Tango's statistic (1998, eq. 3): standardised excess of b - c over the supposed difference, -1 .. 1.

    b, c: [] counts, scalars or arrays. Its variance holds the likeliest share of `only_b` under the difference
    supposed, the larger root of a quadratic, in the form without cancellation.
    """
    linear = -b - c + (2 * runs - b + c) * supposed
    constant = -c * supposed * (1.0 - supposed)
    root = np.sqrt(np.maximum(linear * linear - 8.0 * runs * constant, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(linear <= 0, (root - linear) / (4.0 * runs), -2.0 * constant / (root + linear))
        variance = runs * (2.0 * np.maximum(share, max(0.0, -supposed)) + supposed * (1.0 - supposed))
        excess = b - c - runs * supposed
        return np.where(variance > 0, excess / np.sqrt(variance), np.copysign(math.inf, excess) * (excess != 0))


@lru_cache(maxsize=4096)
def _exact_lower(b: int, c: int, runs: int, level: float) -> float:
    """The least difference that the exact unconditional test against larger ones does not reject at half the risk.

    The test orders tables by Tango's statistic. Its p-value is the greatest over the discordance, within a confidence
    set of it that costs a share SPENT of the risk (Berger & Boos 1994): so runs without end need no enumeration. The
    greatest value is sought on a grid, refined around its best point.
    """
    risk = (1.0 - level) / 2.0
    seen = (b - c) / runs
    # From the difference of two Clopper-Pearson ends, certainly low, upwards to the first that is not rejected.
    low = beta_ends(b, runs, risk / 2, 0.0)[0] - beta_ends(c, runs, risk / 2, 0.0)[1]
    chance = _ChanceAbove(b, c, runs, SPENT * risk)
    places: list[float] = np.linspace(low, seen, 13).tolist()
    first = next((place for place in range(12) if chance(places[place]) > risk), 12)
    if first == 0:
        return low
    return _crossing(lambda supposed: chance(supposed) > risk, places[first - 1], places[first], 14)


class _ChanceAbove:
    """Greatest chance of a table at least as far above a supposed difference as the one seen."""

    def __init__(self, b: int, c: int, runs: int, spent: float) -> None:
        self.b, self.c, self.runs, self.spent = b, c, runs, spent
        self.rare, self.often = beta_ends(b + c, runs, spent / 2, 0.0)
        top = self.often * runs
        most = min(runs, math.ceil(top + 6.0 * math.sqrt(top) + 8.0))
        self.total = np.arange(most + 1)  # discordant runs, m
        self.first = np.arange(most + 1)[:, None]  # of them only_a, x

    def __call__(self, supposed: float) -> float:
        rarest = max(self.rare, abs(supposed))
        if rarest >= self.often:
            return self.spent
        far = self._far(supposed)
        roots = np.linspace(math.sqrt(rarest), math.sqrt(self.often), 30)
        chances = self._chance(supposed, far, roots**2)
        best, step = roots[int(chances.argmax())], roots[1] - roots[0]
        near = np.linspace(max(best - step, roots[0]), min(best + step, roots[-1]), 9)
        return self.spent + float(self._chance(supposed, far, near**2).max())

    def _far(self, supposed: float) -> NDArray[np.int64]:
        """(m,) the least x of which the table (x, m - x) is as far above as the one seen; m + 1 where none is."""
        statistic = _tango(self.first, self.total - self.first, self.runs, supposed)
        seen = float(_tango(self.b, self.c, self.runs, supposed))
        as_far = (statistic >= seen - 1e-9 * (1.0 + abs(seen))) & (self.first <= self.total)
        far: NDArray[np.int64] = self.total + 1 - np.count_nonzero(as_far, axis=0)
        return far

    def _chance(self, supposed: float, far: NDArray[np.int64], often: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chance of such a table by the share of runs that differ, (often,); beyond the last m every table counts."""
        from scipy.special import betainc

        share = np.minimum((1.0 + supposed / often) / 2.0, 1.0)[:, None]
        weight = _binomial(self.total, self.runs, often[:, None])
        some = (far > 0) & (far <= self.total)
        above = np.where(far == 0, 1.0, 0.0) * np.ones_like(weight)
        above[:, some] = betainc(far[some], (self.total - far + 1)[some], np.clip(share, 0.0, 1.0))
        chance: NDArray[np.float64] = (weight * above).sum(axis=1) + np.maximum(1.0 - weight.sum(axis=1), 0.0)
        return chance


def _crossing(accepted: Callable[[float], bool], low: float, high: float, steps: int) -> float:
    """Where `accepted` turns from false at `low` to true at `high`, on the safe side."""
    for _ in range(steps):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if accepted(middle):
            high = middle
        else:
            low = middle
    return low


def _binomial(seen: NDArray[np.int64], runs: float, chance: Any) -> NDArray[np.float64]:
    """Binomial chances of `seen`, which counts up from 0: right to ten digits however many runs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(runs - seen[:-1], 0.0) / seen[1:]))])
        unseen = np.where(runs > seen, (runs - seen) * np.log1p(-chance), 0.0)
        found: NDArray[np.float64] = np.exp(ways + np.where(seen > 0, seen * np.log(chance), 0.0) + unseen)
    return found


# --------------------------------------------------------------------------------------------------------------- tests


def _mcnemar(b: int, c: int) -> tuple[float, float]:
    """McNemar's exact and mid-p two-sided values for the discordant counts."""
    fewer, discordant = min(b, c), b + c
    if discordant == 0:
        return 1.0, 1.0
    at_most = chance_at_most(fewer, discordant, 0.5)
    exactly = at_most - (chance_at_most(fewer - 1, discordant, 0.5) if fewer else 0.0)
    if b == c:
        return 1.0, 1.0 - exactly / 2.0
    return min(1.0, 2.0 * at_most), min(1.0, 2.0 * at_most - exactly)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for how many there are (Holm 1979): all at most the risk are false together with that risk.

    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]
    """
    adjusted, least = [1.0] * len(p_values), 0.0
    for place, which in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, (len(p_values) - place) * p_values[which])
        adjusted[which] = min(1.0, least)
    return adjusted


def runs_to_tell(pair: Paired, power: float = 0.8, pairs: int = 1) -> int | None:
    """The paired runs, in all, of which McNemar's exact test tells the designs apart with the chance `power`.

    Supposes that the runs differ as often, and as one-sidedly, as seen; None where no difference is seen. pairs: among
    how many comparisons, each at its share of the risk. Connor's (1987) number, and where at most 1000 runs differ the
    exact power.

    >>> runs_to_tell(paired(9_990, 6, 2, 2))
    42169
    """
    wanted = open_fraction("power", power)
    (among,) = counts_of(pairs=pairs)
    if pair.only_a == pair.only_b:
        return None
    risk = (1.0 - pair.confidence) / max(among, 1)
    often, difference = (pair.only_a + pair.only_b) / pair.runs, abs(pair.only_a - pair.only_b) / pair.runs
    enough = max(_connor(often, difference, risk, wanted), 1.0)
    if enough * often > 1000:
        return math.ceil(enough)
    too_few = 0.0
    while _power(math.ceil(enough), often, difference, risk) < wanted:
        too_few, enough = enough, 1.5 * enough
    while enough - too_few > max(1.0, 1e-4 * enough):
        middle = (too_few + enough) / 2.0
        if _power(math.ceil(middle), often, difference, risk) < wanted:
            too_few = middle
        else:
            enough = middle
    return math.ceil(enough)


def _connor(often: float, difference: float, risk: float, power: float) -> float:
    """Connor 1987, eq. 3: pairs for the two-sided normal test. often: [] share of pairs that differ."""
    from scipy.special import ndtri

    spread = math.sqrt(max(0.0, often - difference**2))
    return float((-ndtri(risk / 2) * math.sqrt(often) + ndtri(power) * spread) / difference) ** 2


def _power(runs: float, often: float, difference: float, risk: float) -> float:
    """Chance that McNemar's exact test finds the better design the better one."""
    from scipy.special import bdtr

    mean = runs * often
    total = np.arange(math.floor(min(runs, mean + 9.0 * math.sqrt(mean) + 20.0)) + 1)
    losing = _losing(risk, 1 << len(total).bit_length())[: len(total)]
    share = (1.0 - difference / often) / 2.0
    told = np.where(losing >= 0, bdtr(np.maximum(losing, 0), total, share), 0.0)
    return float((_binomial(total, runs, min(often, 1.0)) * told).sum())


@lru_cache(maxsize=256)
def _losing(risk: float, size: int) -> NDArray[np.int64]:
    """(size,) by the number of runs that differ, the most of them that the better design may lose; -1 if not one."""
    from scipy.special import bdtr, bdtrik

    total = np.arange(size)
    losing: NDArray[np.int64] = np.nan_to_num(np.floor(bdtrik(risk / 2, total, 0.5)), nan=-1.0).astype(np.int64)
    # The inverse may be one off: the most losing runs whose tail is within the risk.
    losing += np.where(bdtr(losing + 1, total, 0.5) <= risk / 2, 1, 0)
    losing -= np.where((losing >= 0) & (bdtr(np.maximum(losing, 0), total, 0.5) > risk / 2), 1, 0)
    return losing


def independent_runs(pair: Paired) -> int | None:
    """The runs of each design, flown on worlds of their own, whose interval would be as narrow as this paired one.

    Newcombe's interval of independent samples (1998, Statistics in Medicine 17:873, method 10) with the success
    probabilities seen. None without runs.

    >>> pair = paired(1_200, 650, 3, 147)
    >>> f"{independent_runs(pair) / pair.runs:.1f}"
    '1.4'
    """
    if pair.runs == 0:
        return None
    width = pair.interval[1] - pair.interval[0]
    losses = (pair.only_b + pair.neither) / pair.runs, (pair.only_a + pair.neither) / pair.runs
    too_few, enough = 0.0, 1.0
    while _independent_width(*losses, enough, pair.confidence) > width:
        too_few, enough = enough, 2.0 * enough
    while enough - too_few > max(0.5, 1e-6 * enough):
        middle = (too_few + enough) / 2.0
        if _independent_width(*losses, middle, pair.confidence) > width:
            too_few = middle
        else:
            enough = middle
    return math.ceil(enough)


def _independent_width(lost_a: float, lost_b: float, runs: float, level: float) -> float:
    """Width of Newcombe's interval of independent samples. runs: [] of each, not necessarily whole."""
    from scipy.special import ndtri

    squared = float(ndtri((1.0 - level) / 2.0)) ** 2

    def ends(share: float) -> tuple[float, float]:
        """Wilson's half widths downwards and upwards."""
        centre = (0.5 - share) * squared / (runs + squared)
        half = math.sqrt(squared * (share * (1.0 - share) * runs + squared / 4.0)) / (runs + squared)
        return half - centre, half + centre

    (down_a, up_a), (down_b, up_b) = ends(lost_a), ends(lost_b)
    return math.hypot(down_a, up_b) + math.hypot(up_a, down_b)


# ------------------------------------------------------------------------------------------------------------ landings


def table(a: NDArray[np.uint8], b: NDArray[np.uint8], runs: SupportsIndex) -> tuple[int, int, int, int]:
    """(both, only_a, only_b, neither): runs in which both designs land, one of them, or none.

    a, b: (ceil(runs / 8),) landings of runs 0 .. runs - 1 as `np.packbits(..., bitorder="little")` packs them.

    >>> table(np.array([0b0111], np.uint8), np.array([0b1001], np.uint8), 5)
    (1, 2, 1, 1)
    """
    total = check_landings(runs, {"a": a, "b": b})
    both, landed_a, landed_b = shared(a, b), shared(a, a), shared(b, b)
    return both, landed_a - both, landed_b - both, total - landed_a - landed_b + both


def shared(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    """In how many runs both land."""
    return sum(
        int(np.bitwise_count(a[start : start + CHUNK] & b[start : start + CHUNK]).sum(dtype=np.int64))
        for start in range(0, len(a), CHUNK)
    )


def examples(
    a: NDArray[np.uint8], b: NDArray[np.uint8], runs: SupportsIndex, limit: SupportsIndex = 10
) -> NDArray[np.int64]:
    """The lowest numbers of runs in which a lands and b is lost, at most `limit` of them. a, b: as in `table`.

    >>> examples(np.array([0b0111], np.uint8), np.array([0b1001], np.uint8), 5).tolist()
    [1, 2]
    """
    check_landings(runs, {"a": a, "b": b})
    (most,) = counts_of(limit=limit)
    found = np.zeros(0, np.int64)
    for start in range(0, len(a), CHUNK):
        if len(found) >= most:
            break
        only = a[start : start + CHUNK] & ~b[start : start + CHUNK]
        places = np.flatnonzero(only)[: most - len(found)]  # each holds one run at least
        bits = np.unpackbits(only[places][:, None], axis=1, bitorder="little")
        which, bit = np.nonzero(bits)
        found = np.concatenate([found, 8 * (start + places[which]) + bit])
    return found[:most]


def check_landings(runs: SupportsIndex, landings: Mapping[str, NDArray[np.uint8]]) -> int:
    """The number of runs; refuses landings that are not as many packed bits, padded with zeros."""
    (total,) = counts_of(runs=runs)
    size = (total + 7) // 8
    for name, bits in landings.items():
        if not isinstance(bits, np.ndarray) or bits.dtype != np.uint8 or bits.shape != (size,):
            got = f"{bits.dtype} of shape {bits.shape}" if isinstance(bits, np.ndarray) else type(bits).__name__
            raise MistakeError(f"landings of {name}", f"uint8 of shape ({size},), the packed bits of {total} runs", got)
        if total % 8 and int(bits[-1]) >> (total % 8):
            raise MistakeError(
                f"landings of {name}",
                f"zeros after the bit of run {total - 1}",
                f"a last byte of {int(bits[-1]):#010b}",
                'pack them with np.packbits(landed, bitorder="little")',
            )
    return total
