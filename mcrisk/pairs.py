"""Two designs on the same random worlds: how much oftener one of them lands, and how sure that is.

Sources: Newcombe 1998 (Statistics in Medicine 17:2635, method 10); Fagerland, Lydersen & Laake 2013 (McNemar exact and
mid-p).
"""

from __future__ import annotations

import math
from typing import NamedTuple, SupportsIndex

from mcrisk.risk import CONFIDENCE, _chance_at_most, _counts, _open_fraction, _wilson

__all__ = ["Paired", "paired"]


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
