"""Probabilities with their intervals: plain functions of counts, usable without any lander.

Why Clopper-Pearson by default: rare losses are the normal case here, and there a Wilson interval holds the truth in as
few as 84 of 100 campaigns and a Wald interval in 2, where 95 are promised. Clopper-Pearson never breaks its promise.

Sources: Clopper & Pearson 1934; Wilson 1927; Brown, Cai & DasGupta 2001 (Jeffreys, ends fixed); Newcombe 1998 (paired,
method 10); Fagerland, Lydersen & Laake 2013 (McNemar exact and mid-p); Hanson & Beard, NASA/TP-2010-216447 (runs for a
requirement).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, SupportsFloat, SupportsIndex, get_args

from mcrisk.errors import MistakeError, visible

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


class Paired(NamedTuple):
    """Two designs on the same random worlds: difference of their success probabilities (a less b) and its evidence."""

    runs: int
    difference: float
    interval: tuple[float, float]
    p_value: float
    mid_p_value: float
    confidence: float


def paired(
    both: SupportsIndex,
    only_a: SupportsIndex,
    only_b: SupportsIndex,
    neither: SupportsIndex,
    confidence: float = CONFIDENCE,
) -> Paired:
    """How much oftener design a succeeds than design b, from runs paired by their random world.

    both, only_a, only_b, neither: [] runs in which both, one or none succeeded. The interval is Newcombe's (method 10);
    `p_value` is McNemar's exact two-sided one and `mid_p_value` its less conservative form.

    >>> result = paired(both=20, only_a=12, only_b=2, neither=16)
    >>> f"{result.difference:.2f} ({result.interval[0]:.4f}, {result.interval[1]:.4f}), p = {result.p_value:.4f}"
    '0.20 (0.0562, 0.3292), p = 0.0129'
    """
    a, b, c, d = _counts(both=both, only_a=only_a, only_b=only_b, neither=neither)
    level = _open_fraction("confidence", confidence)
    runs = a + b + c + d
    if runs == 0:
        return Paired(0, math.nan, (-1.0, 1.0), 1.0, 1.0, level)
    difference = (b - c) / runs
    exact, middle = _mcnemar(b, c)
    (lower_a, upper_a), (lower_b, upper_b) = _wilson(a + b, runs, level), _wilson(a + c, runs, level)
    up_a, down_a = upper_a - (a + b) / runs, (a + b) / runs - lower_a
    up_b, down_b = upper_b - (a + c) / runs, (a + c) / runs - lower_b
    phi = _phi(a, b, c, d)
    lower = difference - math.sqrt(max(0.0, down_a**2 - 2.0 * phi * down_a * up_b + up_b**2))
    upper = difference + math.sqrt(max(0.0, up_a**2 - 2.0 * phi * up_a * down_b + down_b**2))
    return Paired(runs, difference, (max(-1.0, lower), min(1.0, upper)), exact, middle, level)


def _phi(a: int, b: int, c: int, d: int) -> float:
    """Correlation of the two outcomes with Newcombe's continuity correction (1998, method 10)."""
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    twice = 2 * (a * d - b * c)
    corrected = max(twice - (a + b + c + d), 0) if twice > 0 else twice
    return corrected / (2.0 * math.sqrt(margins))


def _mcnemar(b: int, c: int) -> tuple[float, float]:
    """McNemar's exact and mid-p two-sided values for the discordant counts."""
    fewer, discordant = min(b, c), b + c
    if discordant == 0:
        return 1.0, 1.0
    at_most = _chance_at_most(fewer, discordant, 0.5)
    exactly = at_most - (_chance_at_most(fewer - 1, discordant, 0.5) if fewer else 0.0)
    if b == c:
        return 1.0, 1.0 - exactly / 2.0
    return min(1.0, 2.0 * at_most), min(1.0, 2.0 * at_most - exactly)


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
