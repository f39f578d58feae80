"""Intervals and tests of a probability that hold however often and whenever one looks.

An interval for a fixed number of runs promises its confidence for one look. Looked at a hundred times while runs are
added, a 95 % interval of that kind misses the truth at some look in four campaigns of ten. What this module gives is
valid at all numbers of runs at once, so a campaign may be stopped at any look, for any reason.

Why it holds: for a probability p, the likelihood averaged over a prior and divided by that of p is a martingale of mean
1 when p is true. Ville (1939): it ever reaches 1/alpha with a chance of at most alpha. All p for which it has not are
the confidence sequence (Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021). With a beta prior the average is a
ratio of beta functions, so the ends are exact for every count. The prior, fixed before the first run, decides where the
sequence is narrow; its promise does not depend on it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, get_args

from mcrisk.binomial import CONFIDENCE, counts_of, open_fraction
from mcrisk.errors import MistakeError, visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AGAINST", "PRIOR", "confidence_sequence", "log_evidence"]

Against = Literal["equal", "at_most", "at_least"]
AGAINST: tuple[Against, ...] = get_args(Against)
PRIOR = (0.5, 0.5)  # of Jeffreys: narrow near 0 and 1
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)  # Abramowitz & Stegun 6.1.41


def confidence_sequence(
    successes: SupportsIndex,
    runs: SupportsIndex,
    confidence: float = CONFIDENCE,
    prior: tuple[float, float] = PRIOR,
) -> tuple[float, float]:
    """The interval (lower, upper) of a probability that holds at all numbers of runs at once.

    successes, runs: [], 0 <= successes <= runs. confidence: [], the chance that the truth lies within at every look.
    prior: [] > 0, the two parameters of a beta distribution of the success probability, fixed before the first run.
    The intersection of the intervals of all looks has the same confidence.

    >>> lower, upper = confidence_sequence(9990, 10_000)
    >>> f"{lower:.5f} {upper:.5f}"
    '0.99718 0.99979'
    >>> confidence_sequence(0, 0)
    (0.0, 1.0)
    """
    seen, total = counts_of(successes=successes, runs=runs)
    if seen > total:
        raise MistakeError("successes", f"at most runs = {total}", str(seen))
    level = open_fraction("confidence", confidence)
    a, b = _prior(prior)
    if total == 0:
        return 0.0, 1.0
    if 2 * seen > total:  # the rarer side is computed and the other is its mirror: no digits are lost near 1
        lower, upper = _ends(total - seen, seen, level, b, a)
        return 1.0 - upper, 1.0 - lower
    return _ends(seen, total - seen, level, a, b)


def log_evidence(
    successes: ArrayLike,
    runs: ArrayLike,
    probability: float,
    prior: tuple[float, float] = PRIOR,
    against: Against = "equal",
) -> NDArray[np.float64]:
    """The natural logarithm of the evidence (e-value) against a claim about a probability, at each number of runs.

    successes, runs: [] counts of one shape, which the answer has. The claim: the success probability is `probability`
    ("equal"), no more than it ("at_most") or no less ("at_least"). While the claim is true the evidence ever reaches
    1/alpha with a chance of at most alpha, so it may be looked at after every run.

    The one-sided evidence takes from the prior the part beyond `probability` alone. For each q of it the likelihood
    ratio of q against `probability` grows with the true one and has mean 1 at `probability`: a supermartingale under
    all of the claim.

    >>> float(log_evidence(100, 100, 0.95, against="at_most")) > math.log(1 / 0.05)
    True
    """
    import numpy as np
    from scipy.special import betainc, betaincc

    bound = open_fraction("probability", probability)
    a, b = _prior(prior)
    if against not in AGAINST:
        raise MistakeError("against", " or ".join(AGAINST), visible(repr(against)))
    s, n = np.asarray(successes, np.float64), np.asarray(runs, np.float64)
    if ((s < 0) | (s > n) | (s % 1 != 0) | (n % 1 != 0)).any():
        raise MistakeError("successes", "whole numbers from 0 to runs", "others")
    f = n - s
    whole = _log_peak(s, f, a, b) + np.where(s <= f, _fall(s, f, bound, 1.0 - bound), _fall(f, s, 1.0 - bound, bound))
    if against == "equal":
        return np.asarray(whole)
    beyond: Any = betaincc if against == "at_most" else betainc
    before = float(beyond(a, b, bound))
    if not before:
        raise MistakeError("prior", f"weight on the other side of {bound!r}", "none")
    with np.errstate(divide="ignore"):
        return np.asarray(whole + np.log(beyond(a + s, b + f, bound)) - math.log(before))


def _ends(seen: int, unseen: int, level: float, a: float, b: float) -> tuple[float, float]:
    """Both ends for seen <= unseen: where the likelihood has fallen from its peak by what the martingale lacks."""
    runs = seen + unseen
    allowance = -math.log1p(-level) - float(_log_peak(seen, unseen, a, b))
    if not seen:
        return 0.0, -math.expm1(-allowance / runs)

    def fallen(step: float) -> bool:
        # At a probability of exp(step) times the observed share; its first-order terms cancel before they are rounded.
        change = math.expm1(step)
        other = -change * seen / unseen
        if other <= -1.0:
            return True
        return seen * (change - step) + unseen * (other - math.log1p(other)) >= allowance

    def end(outside: float) -> float:
        inside = 0.0
        while (middle := (inside + outside) / 2.0) not in (inside, outside):
            if fallen(middle):
                outside = middle
            else:
                inside = middle
        return min(seen / runs * math.exp(outside), 1.0)

    return end(-1.0 - allowance / seen), end(math.log(runs / seen))


def _fall(seen: Any, unseen: Any, chance: float, rest: float) -> Any:
    """How far the log-likelihood of `chance` = 1 - `rest` lies below its peak, for seen <= unseen, (...) of counts."""
    import numpy as np

    log_rest = math.log(rest) if rest < 0.5 else math.log1p(-chance)
    with np.errstate(divide="ignore", invalid="ignore"):
        none = -unseen * log_rest
        change = (chance * (seen + unseen) - seen) / seen
        other = -change * seen / unseen
        near = seen * (change - np.log1p(change)) + unseen * (other - np.log1p(other))
        share = seen / (seen + unseen)
        far = seen * (np.log(share) - math.log(chance)) + unseen * (np.log1p(-share) - log_rest)
        return np.where(seen == 0, none, np.where(np.abs(change) < 0.5, near, far))


def _log_peak(seen: Any, unseen: Any, a: float, b: float) -> Any:
    """Log of the martingale at the observed share, (...) of counts: B(a + s, b + f) / B(a, b) / (s/n)^s (f/n)^f.

    With Stirling's formula the large parts cancel on paper: 1e-15 is lost at 1e10 runs instead of 1e-6.
    """
    import numpy as np
    from scipy.special import betaln

    s, f = np.asarray(seen, np.float64), np.asarray(unseen, np.float64)
    n, c = s + f, a + b
    x, y, z = a + s, b + f, c + n
    with np.errstate(divide="ignore", invalid="ignore"):
        drift = np.where(n > 0, np.log1p(c / n), 0.0)
        shift = np.where(s > 0, s * (np.log1p(a / s) - drift), 0.0) + np.where(
            f > 0, f * (np.log1p(b / f) - drift), 0.0
        )
    shift = shift + a * np.log(x / z) + b * np.log(y / z)
    return shift + 0.5 * np.log(2.0 * math.pi * z / x / y) + _rest(x) + _rest(y) - _rest(z) - betaln(a, b)


def _rest(x: Any) -> Any:
    """What Stirling's formula leaves of log Gamma."""
    import numpy as np
    from scipy.special import gammaln

    inverse = 1.0 / np.maximum(x, 10.0)
    large = sum(term * inverse ** (2 * power + 1) for power, term in enumerate(STIRLING))
    small = np.minimum(x, 10.0)
    exact = gammaln(small) - ((small - 0.5) * np.log(small) - small + 0.5 * math.log(2.0 * math.pi))
    return np.where(x < 10.0, exact, large)


def _prior(prior: tuple[float, float]) -> tuple[float, float]:
    try:
        a, b = (float(one) for one in prior)
    except (TypeError, ValueError):
        a = b = math.nan
    if not (0.0 < a < math.inf and 0.0 < b < math.inf):
        raise MistakeError("prior", "two positive numbers such as (0.5, 0.5)", visible(repr(prior)))
    return a, b
