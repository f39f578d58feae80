"""Probabilities with their intervals: plain functions of counts, usable without any lander.

Why Clopper-Pearson by default: rare losses are the normal case here, and there a Wilson interval holds the truth in as
few as 84 of 100 campaigns and a Wald interval in 2, where 95 are promised. Clopper-Pearson never breaks its promise.

Sources: Clopper & Pearson 1934; Wilson 1927; Brown, Cai & DasGupta 2001 (Jeffreys, ends fixed); Hanson & Beard,
NASA/TP-2010-216447 (runs for a requirement). Two designs on the same runs: `mcrisk.pairs`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, SupportsIndex, get_args

from mcrisk.errors import MistakeError, visible

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mcrisk.pairs import Paired, paired

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
METHODS: tuple[Method, ...] = get_args(Method)
Sides = Literal["two", "lower", "upper"]
SIDES: tuple[Sides, ...] = get_args(Sides)
CONFIDENCE = 0.95
SLACK = 1.0 + 1e-12  # [] of a risk: floats do not see 1 - 0.9 as 0.1
LARGEST = 10**14  # [run] up to here an end is right to 1e-4 of the width: beyond, doubles no longer tell the ends apart


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
    seen, total = _counts(successes=successes, runs=runs)
    if seen > total:
        raise MistakeError("successes", f"at most runs = {total}", str(seen))
    level = _open_fraction("confidence", confidence)
    if method not in METHODS:
        raise MistakeError("method", " or ".join(METHODS), repr(method))
    tail = _tail(level, sides)
    if total == 0:
        return 0.0, 1.0
    if method == "wilson":
        lower, upper = _wilson_tail(seen, total, tail)
    else:
        lower, upper = _beta(seen, total, tail, 0.5 if method == "jeffreys" else 0.0)
    return 0.0 if sides == "upper" else lower, 1.0 if sides == "lower" else upper


def upper_bound(losses: SupportsIndex, runs: SupportsIndex, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a probability of which `losses` in `runs` were seen: about 3/runs for none.

    >>> f"{upper_bound(0, 10_000):.3e}"
    '2.995e-04'
    """
    seen, total = _counts(losses=losses, runs=runs)
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
    (allowed,) = _counts(failures=failures)
    wanted = _open_fraction("probability", probability)
    risk = _risk(confidence)
    too_few, enough = allowed, allowed + 1
    while _chance_at_most(allowed, enough, 1.0 - wanted) > risk:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _chance_at_most(allowed, middle, 1.0 - wanted) > risk:
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
    (total,) = _counts(runs=runs)
    return _most(total, 1.0 - _open_fraction("probability", probability), _risk(confidence))


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
    (total,) = _counts(runs=runs)
    wanted = _open_fraction("probability", probability)
    risk = _tail(_open_fraction("confidence", confidence), sides) * SLACK
    # At least r values below the quantile: all but at most r - 1 of them are not above it.
    lower = 1 + _most(total, wanted, risk) if sides != "upper" else 0
    upper = total - _most(total, 1.0 - wanted, risk) if sides != "lower" else total + 1
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


def __getattr__(name: str) -> Any:
    """`paired` and `Paired` of `mcrisk.pairs`, which itself needs this module."""
    if name in ("Paired", "paired"):
        from mcrisk import pairs

        return getattr(pairs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _wilson(seen: int, runs: int, level: float) -> tuple[float, float]:
    return _wilson_tail(seen, runs, (1.0 - level) / 2.0)


def _wilson_tail(seen: int, runs: int, tail: float) -> tuple[float, float]:
    from scipy.special import ndtri

    if tail > 0.5:  # less than even confidence: the ends change places
        lowest, highest = _wilson_tail(seen, runs, 1.0 - tail)
        return highest, lowest

    def lower(k: int) -> float:
        # (2k + z^2 - root) / 2(n + z^2), rationalised: no cancellation when k is small.
        return (2.0 * k * k / runs) / (2.0 * k + z * z + root(k)) if k else 0.0

    def upper(k: int) -> float:
        return (2.0 * k + z * z + root(k)) / (2.0 * (runs + z * z))

    def root(k: int) -> float:
        return z * math.sqrt(z * z + 4.0 * k * (runs - k) / runs)

    z = -float(ndtri(tail))
    if 2 * seen <= runs:
        return lower(seen), upper(seen)
    return 1.0 - upper(runs - seen), 1.0 - lower(runs - seen)


def _beta(seen: int, runs: int, tail: float, half: float) -> tuple[float, float]:
    """Both ends from the beta distribution: Clopper-Pearson with half = 0, Jeffreys (ends fixed) with half = 1/2.

    The rarer side is computed and the other is its mirror, so that neither loses digits at 1e10 runs.
    """
    from scipy.special import betainccinv, betaincinv

    if 2 * seen > runs:
        lower, upper = _beta(runs - seen, runs, tail, half)
        return 1.0 - upper, 1.0 - lower
    unseen, more = runs - seen, half or 1.0
    if seen == 0:
        return 0.0, -math.expm1(math.log(tail) / runs) if not half else float(betainccinv(half, unseen + half, tail))
    return float(betaincinv(seen + half, unseen + more, tail)), float(betainccinv(seen + more, unseen + half, tail))


def _chance_at_most(failures: int, runs: int, chance: float) -> float:
    """Binomial chance of at most `failures` in `runs`."""
    from scipy.special import betainc

    if failures >= runs:
        return 1.0
    if failures == 0:
        return math.exp(runs * math.log1p(-chance)) if chance < 1.0 else 0.0
    return float(betainc(runs - failures, failures + 1, 1.0 - chance))


def _most(runs: int, chance: float, risk: float) -> int:
    """The greatest count that a binomial of `runs` and `chance` stays at or below with at most this risk, or -1."""
    within, beyond = -1, runs
    while beyond - within > 1:
        middle = (within + beyond) // 2
        if _chance_at_most(middle, runs, chance) <= risk:
            within = middle
        else:
            beyond = middle
    return within


def _risk(confidence: float) -> float:
    """The consumer's risk 1 - confidence with a hair of slack, so that a tie such as 0.1 against 1 - 0.9 is proof."""
    return (1.0 - _open_fraction("confidence", confidence)) * SLACK


def _tail(level: float, sides: str) -> float:
    """The risk that is left at one end."""
    if sides not in SIDES:
        raise MistakeError("sides", " or ".join(SIDES), visible(repr(sides)))
    return (1.0 - level) / 2.0 if sides == "two" else 1.0 - level


def _counts(**counts: SupportsIndex) -> list[int]:
    """The counts as exact integers; refuses fractions and negative numbers."""
    found: list[int] = []
    for name, value in counts.items():
        try:
            found.append(value.__index__())
        except (AttributeError, TypeError):
            raise MistakeError(name, "a count, a whole number", repr(value)) from None
        if found[-1] < 0:
            raise MistakeError(name, "a count, not negative", str(found[-1]))
        if found[-1] > LARGEST:
            raise MistakeError(
                name, f"at most {LARGEST:.0e}".replace("e+", "e"), f"about 1e{math.log10(found[-1]):.0f}"
            )
    return found


def _open_fraction(name: str, value: SupportsFloat) -> float:
    try:
        fraction = math.nan if isinstance(value, str) else float(value)
    except TypeError:
        fraction = math.nan
    if not 0.0 < fraction < 1.0:
        raise MistakeError(name, "a number between 0 and 1", visible(repr(value)))
    return fraction
