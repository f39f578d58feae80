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
    from mcrisk.pairs import Paired, paired

__all__ = ["CONFIDENCE", "METHODS", "Paired", "interval", "paired", "required_runs", "upper_bound"]

Method = Literal["clopper-pearson", "wilson", "jeffreys"]
METHODS: tuple[Method, ...] = get_args(Method)
CONFIDENCE = 0.95
LARGEST = 10**14  # [run] up to here an end is right to 1e-4 of the width: beyond, doubles no longer tell the ends apart


def interval(
    successes: SupportsIndex, runs: SupportsIndex, confidence: float = CONFIDENCE, method: Method = "clopper-pearson"
) -> tuple[float, float]:
    """The two-sided interval (lower, upper) of a probability of which `successes` in `runs` were seen.

    successes, runs: [], 0 <= successes <= runs. confidence: [], 0 < confidence < 1.
    Without runs nothing is known: (0, 1).

    >>> lower, upper = interval(9990, 10_000)
    >>> f"{lower:.5f} {upper:.5f}"
    '0.99816 0.99952'
    >>> interval(10_000, 10_000)[1]
    1.0
    >>> f"{interval(10_000, 10_000)[0]:.6f}"
    '0.999631'
    """
    seen, total = _counts(successes=successes, runs=runs)
    if seen > total:
        raise MistakeError("successes", f"at most runs = {total}", str(seen))
    level = _open_fraction("confidence", confidence)
    if method not in METHODS:
        raise MistakeError("method", " or ".join(METHODS), repr(method))
    if total == 0:
        return 0.0, 1.0
    if method == "wilson":
        return _wilson(seen, total, level)
    return _beta(seen, total, (1.0 - level) / 2.0, 0.5 if method == "jeffreys" else 0.0)


def upper_bound(losses: SupportsIndex, runs: SupportsIndex, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of a probability of which `losses` in `runs` were seen: about 3/runs for none.

    >>> f"{upper_bound(0, 10_000):.3e}"
    '2.995e-04'
    """
    seen, total = _counts(losses=losses, runs=runs)
    if seen > total:
        raise MistakeError("losses", f"at most runs = {total}", str(seen))
    level = _open_fraction("confidence", confidence)
    return 1.0 if total == 0 else _beta(seen, total, 1.0 - level, 0.0)[1]


def required_runs(probability: float, confidence: float, failures: SupportsIndex = 0) -> int:
    """The fewest runs that prove success of at least `probability` at `confidence` when `failures` of them fail.

    The proof is one-sided: were the true success probability just `probability`, so few failures would come with a
    chance of at most 1 - `confidence` (the consumer's risk).

    >>> [required_runs(0.99865, 0.90, failures) for failures in range(4)]
    [1705, 2880, 3941, 4947]
    """
    (allowed,) = _counts(failures=failures)
    wanted = _open_fraction("probability", probability)
    # A hair of slack, so that a tie such as 0.1 against 1 - 0.9 counts as proof.
    risk = (1.0 - _open_fraction("confidence", confidence)) * (1.0 + 1e-12)
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


def __getattr__(name: str) -> Any:
    """`paired` and `Paired` of `mcrisk.pairs`, which itself needs this module."""
    if name in ("Paired", "paired"):
        from mcrisk import pairs

        return getattr(pairs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _wilson(seen: int, runs: int, level: float) -> tuple[float, float]:
    from scipy.special import ndtri

    def lower(k: int) -> float:
        # (2k + z^2 - root) / 2(n + z^2), rationalised: no cancellation when k is small.
        return (2.0 * k * k / runs) / (2.0 * k + z * z + root(k)) if k else 0.0

    def upper(k: int) -> float:
        return (2.0 * k + z * z + root(k)) / (2.0 * (runs + z * z))

    def root(k: int) -> float:
        return z * math.sqrt(z * z + 4.0 * k * (runs - k) / runs)

    z = -float(ndtri((1.0 - level) / 2.0))
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
