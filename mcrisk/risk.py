"""Probabilities with their intervals: plain functions of counts, usable without any lander.

Why Clopper-Pearson by default: rare losses are the normal case here, and there a Wilson interval holds the truth in as
few as 84 of 100 campaigns and a Wald interval in 2, where 95 are promised. Clopper-Pearson never breaks its promise.

Sources: Clopper & Pearson 1934; Wilson 1927; Brown, Cai & DasGupta 2001 (Jeffreys, ends fixed); Hanson & Beard,
NASA/TP-2010-216447 (runs for a requirement). Two designs on the same runs: `mcrisk.pairs`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, SupportsIndex, get_args

from mcrisk.binomial import (
    CONFIDENCE,
    SIDES,
    SLACK,
    Sides,
    beta_ends,
    chance_at_most,
    consumer_risk,
    counts_of,
    most_failures,
    open_fraction,
    tail_of,
    wilson_tail,
)
from mcrisk.errors import MistakeError, visible
from mcrisk.pairs import Paired, paired

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "CONFIDENCE",
    "METHODS",
    "SIDES",
    "Paired",
    "allowed_failures",
    "interval",
    "paired",
    "quantile_bounds",
    "quantile_ranks",
    "required_runs",
    "upper_bound",
]

Method = Literal["clopper-pearson", "wilson", "jeffreys"]
IntervalMethod = Method | Literal["confidence-sequence"]  # of results; the last, where the runs depend on them
METHODS: tuple[Method, ...] = get_args(Method)


def interval(
    successes: SupportsIndex,
    runs: SupportsIndex,
    confidence: float = CONFIDENCE,
    method: Method = "clopper-pearson",
    sides: Sides = "two",
) -> tuple[float, float]:
    """The interval (lower, upper) of a probability of which `successes` in `runs` were seen.

    successes, runs: [], 0 <= successes <= runs. confidence: [], 0 < confidence < 1.
    sides: "two" leaves half of the risk at each end; "lower" puts all of it there and gives (lower, 1), "upper" gives
    (0, upper). Without runs nothing is known: (0, 1).

    >>> lower, upper = interval(9990, 10_000)
    >>> f"{lower:.5f} {upper:.5f}"
    '0.99816 0.99952'
    >>> interval(10_000, 10_000)[1]
    1.0
    >>> f"{interval(10_000, 10_000)[0]:.6f}"
    '0.999631'
    >>> f"{interval(10_000, 10_000, sides='lower')[0]:.6f}"
    '0.999700'
    """
    seen, total = counts_of(successes=successes, runs=runs)
    if seen > total:
        raise MistakeError("successes", f"at most runs = {total}", str(seen))
    level = open_fraction("confidence", confidence)
    if method not in METHODS:
        raise MistakeError("method", " or ".join(METHODS), repr(method))
    tail = tail_of(level, sides)
    if total == 0:
        return 0.0, 1.0
    if method == "wilson":
        lower, upper = wilson_tail(seen, total, tail)
    else:
        lower, upper = beta_ends(seen, total, tail, 0.5 if method == "jeffreys" else 0.0)
    return 0.0 if sides == "upper" else lower, 1.0 if sides == "lower" else upper


def upper_bound(losses: SupportsIndex, runs: SupportsIndex, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a probability of which `losses` in `runs` were seen: about 3/runs for none.

    >>> f"{upper_bound(0, 10_000):.3e}"
    '2.995e-04'
    """
    seen, total = counts_of(losses=losses, runs=runs)
    if seen > total:
        raise MistakeError("losses", f"at most runs = {total}", str(seen))
    return interval(seen, total, confidence, sides="upper")[1]


def required_runs(probability: float, confidence: float, failures: SupportsIndex = 0) -> int:
    """The fewest runs that prove success of at least `probability` at `confidence` when `failures` of them fail.

    The proof is one-sided: were the true success probability just `probability`, so few failures would come with a
    chance of at most 1 - `confidence` (the consumer's risk).

    >>> [required_runs(0.99865, 0.90, failures) for failures in range(4)]
    [1705, 2880, 3941, 4947]
    """
    (allowed,) = counts_of(failures=failures)
    wanted = open_fraction("probability", probability)
    risk = consumer_risk(confidence)
    too_few, enough = allowed, allowed + 1
    while chance_at_most(allowed, enough, 1.0 - wanted) > risk:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if chance_at_most(allowed, middle, 1.0 - wanted) > risk:
            too_few = middle
        else:
            enough = middle
    return enough


def allowed_failures(runs: SupportsIndex, probability: float, confidence: float) -> int:
    """The most failures with which `runs` still prove success of at least `probability`; -1 if not even none would.

    The same proof as in `required_runs`: `failures` are allowed in `runs` if and only if `runs` are at least
    `required_runs(probability, confidence, failures)`. For the mirrored proof, that success is below `probability`,
    ask for `allowed_failures(runs, 1 - probability, confidence)` successes.

    >>> [allowed_failures(runs, 0.99865, 0.90) for runs in (1704, 1705, 2880, 10_000)]
    [-1, 0, 1, 8]
    """
    (total,) = counts_of(runs=runs)
    return most_failures(total, 1.0 - open_fraction("probability", probability), consumer_risk(confidence))


def quantile_ranks(
    runs: SupportsIndex, probability: float, confidence: float = CONFIDENCE, sides: Sides = "two"
) -> tuple[int | None, int | None]:
    """The ranks (lower, upper) of the sorted values that bound the `probability` quantile at `confidence`.

    The least of `runs` values has rank 1, the greatest rank `runs`; None: too few runs for a bound on that side, or
    none asked. Whatever the distribution, the quantile lies above the value of rank r with the binomial chance that at
    least r values are below it (Wilks 1941; Hanson & Beard, NASA/TP-2010-216447). "two" leaves half of the risk at each
    end, "lower" and "upper" put all of it there. The most extreme ranks of two-sided tolerance limits are another
    matter: 1 and `runs` enclose a share P of all values from `required_runs(P, confidence, failures=1)` runs on.

    >>> quantile_ranks(1704, 0.99865, 0.90, "upper"), quantile_ranks(1705, 0.99865, 0.90, "upper")
    ((None, None), (None, 1705))
    >>> quantile_ranks(100, 0.5)
    (40, 61)
    """
    (total,) = counts_of(runs=runs)
    wanted = open_fraction("probability", probability)
    risk = tail_of(open_fraction("confidence", confidence), sides) * SLACK
    # At least r values below the quantile: all but at most r - 1 of them are not above it.
    lower = 1 + most_failures(total, wanted, risk) if sides != "upper" else 0
    upper = total - most_failures(total, 1.0 - wanted, risk) if sides != "lower" else total + 1
    return lower or None, upper if upper <= total else None


def quantile_bounds(
    values: ArrayLike, probability: float, confidence: float = CONFIDENCE, sides: Sides = "two"
) -> tuple[float, float]:
    """The bounds (lower, upper) of the `probability` quantile from values of independent runs, distribution-free.

    values: (runs,), in any order and unit, none NaN. Infinite where the runs are too few for a bound or none is asked.

    >>> quantile_bounds(range(1, 101), 0.5)
    (40.0, 61.0)
    >>> quantile_bounds(range(1, 101), 0.99, sides="upper")
    (-inf, inf)
    """
    import numpy as np

    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise MistakeError("values", "numbers, (runs,)", visible(repr(values))) from None
    if found.ndim != 1:
        raise MistakeError("values", "one value per run, (runs,)", f"an array of {found.ndim} dimensions")
    if unknown := int(np.isnan(found).sum()):
        raise MistakeError("values", "numbers", f"{unknown} that are NaN", "decide first what such a run counts for")
    ranks = quantile_ranks(len(found), probability, confidence, sides)
    places = [rank - 1 for rank in ranks if rank is not None]
    if places:
        found = np.partition(found, places)
    lower, upper = (None if rank is None else float(found[rank - 1]) for rank in ranks)
    return -math.inf if lower is None else lower, math.inf if upper is None else upper
