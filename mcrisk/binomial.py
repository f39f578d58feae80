"""Binomial arithmetic under all that counts runs: ends of intervals, tails, checks of counts and fractions."""

from __future__ import annotations

import math
from typing import Literal, SupportsFloat, SupportsIndex, get_args

from mcrisk.errors import MistakeError, visible

__all__ = [
    "CONFIDENCE",
    "LARGEST",
    "SIDES",
    "SLACK",
    "Sides",
    "beta_ends",
    "chance_at_most",
    "consumer_risk",
    "counts_of",
    "most_failures",
    "open_fraction",
    "tail_of",
    "wilson",
    "wilson_tail",
]

Sides = Literal["two", "lower", "upper"]
SIDES: tuple[Sides, ...] = get_args(Sides)
CONFIDENCE = 0.95
SLACK = 1.0 + 1e-12  # [] of a risk: floats do not see 1 - 0.9 as 0.1
LARGEST = 10**14  # [run] up to here an end is right to 1e-4 of the width: beyond, doubles no longer tell the ends apart


def wilson(seen: int, runs: int, level: float) -> tuple[float, float]:
    return wilson_tail(seen, runs, (1.0 - level) / 2.0)


def wilson_tail(seen: int, runs: int, tail: float) -> tuple[float, float]:
    from scipy.special import ndtri

    if tail > 0.5:  # less than even confidence: the ends change places
        lowest, highest = wilson_tail(seen, runs, 1.0 - tail)
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


def beta_ends(seen: int, runs: int, tail: float, half: float) -> tuple[float, float]:
    """Both ends from the beta distribution: Clopper-Pearson with half = 0, Jeffreys (ends fixed) with half = 1/2.

    The rarer side is computed and the other is its mirror, so that neither loses digits at 1e10 runs.
    """
    from scipy.special import betainccinv, betaincinv

    if 2 * seen > runs:
        lower, upper = beta_ends(runs - seen, runs, tail, half)
        return 1.0 - upper, 1.0 - lower
    unseen, more = runs - seen, half or 1.0
    if seen == 0:
        return 0.0, -math.expm1(math.log(tail) / runs) if not half else float(betainccinv(half, unseen + half, tail))
    return float(betaincinv(seen + half, unseen + more, tail)), float(betainccinv(seen + more, unseen + half, tail))


def chance_at_most(failures: int, runs: int, chance: float) -> float:
    """Binomial chance of at most `failures` in `runs`."""
    from scipy.special import betainc

    if failures >= runs:
        return 1.0
    if failures == 0:
        return math.exp(runs * math.log1p(-chance)) if chance < 1.0 else 0.0
    return float(betainc(runs - failures, failures + 1, 1.0 - chance))


def most_failures(runs: int, chance: float, risk: float) -> int:
    """The greatest count that a binomial of `runs` and `chance` stays at or below with at most this risk, or -1."""
    within, beyond = -1, runs
    while beyond - within > 1:
        middle = (within + beyond) // 2
        if chance_at_most(middle, runs, chance) <= risk:
            within = middle
        else:
            beyond = middle
    return within


def consumer_risk(confidence: float) -> float:
    """The consumer's risk 1 - confidence with a hair of slack, so that a tie such as 0.1 against 1 - 0.9 is proof."""
    return (1.0 - open_fraction("confidence", confidence)) * SLACK


def tail_of(level: float, sides: str) -> float:
    """The risk that is left at one end."""
    if sides not in SIDES:
        raise MistakeError("sides", " or ".join(SIDES), visible(repr(sides)))
    return (1.0 - level) / 2.0 if sides == "two" else 1.0 - level


def counts_of(**counts: SupportsIndex) -> list[int]:
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


def open_fraction(name: str, value: SupportsFloat) -> float:
    try:
        fraction = math.nan if isinstance(value, str) else float(value)
    except TypeError:
        fraction = math.nan
    if not 0.0 < fraction < 1.0:
        raise MistakeError(name, "a number between 0 and 1", visible(repr(value)))
    return fraction
