"""mcrisk.risk: intervals, run counts and paired tests against published tables and an arbitrary-precision oracle."""

from __future__ import annotations

import doctest
import itertools
import math
import statistics

import numpy as np
import pytest

from mcrisk import binomial, risk
from mcrisk.errors import MistakeError

mpmath = pytest.importorskip("mpmath")


def chance_at_most(losses, runs, chance):
    """P(X <= losses) of a binomial, term by term in 40 digits; also its density as a beta variable of `chance`."""
    with mpmath.workdps(40):
        p = mpmath.mpf(chance)
        odds, term, total = p / (1 - p), mpmath.exp(runs * mpmath.log1p(-p)), mpmath.mpf(0)
        for k in range(losses + 1):
            total += term
            last, term = term, term * odds * (runs - k) / (k + 1)
        return total, last * (runs - losses) / (1 - p)


def log_beta(a, b):
    return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)


@pytest.mark.parametrize(
    ("probability", "confidence", "expected"),
    [
        # Binomial consumer's-risk tables as used by Hanson & Beard, NASA/TP-2010-216447.
        (0.99865, 0.90, [1705, 2880, 3941, 4947]),
        (0.9987, 0.90, [1771, 2991, 4093, 5138]),
        (0.999, 0.95, [2995, 4742, 6294, 7752]),
    ],
)
def test_required_runs_are_those_of_the_published_tables(probability, confidence, expected):
    """One-sided binomial, zero to three failures."""
    actual = [risk.required_runs(probability, confidence, failures) for failures in range(4)]

    assert expected == actual


@pytest.mark.parametrize(("order", "expected"), [(1, 59), (2, 93), (3, 124)])
def test_wilks_run_counts_of_95_95(order, expected):
    """Wilks 1941, as used for nuclear safety: one-sided 95 % at 95 % by the order-th greatest value.

    93 is also the fewest runs whose least and greatest value enclose 95 % of all values: two values are left out.
    """
    enough = risk.quantile_ranks(expected, 0.95, 0.95, "upper")
    too_few = risk.quantile_ranks(expected - 1, 0.95, 0.95, "upper")

    assert risk.required_runs(0.95, 0.95, order - 1) == expected
    assert enough == (None, expected + 1 - order)
    assert too_few == (None, None if order == 1 else expected + 1 - order)
    assert 1 - 0.95**93 - 93 * 0.05 * 0.95**92 >= 0.95 > 1 - 0.95**92 - 92 * 0.05 * 0.95**91


@pytest.mark.parametrize(
    ("probability", "confidence", "runs"),
    [
        (0.99865, 0.90, [1705, 2880, 3941, 4947]),
        (0.9987, 0.90, [1771, 2991, 4093, 5138]),
        (0.999, 0.95, [2995, 4742, 6294, 7752]),
    ],
)
def test_failures_are_allowed_from_the_published_run_counts_on(probability, confidence, runs):
    """Hanson & Beard, NASA/TP-2010-216447: the runs allow one failure more than a run less does; so do the ranks."""
    allowed = [risk.allowed_failures(one, probability, confidence) for one in runs]
    before = [risk.allowed_failures(one - 1, probability, confidence) for one in runs]
    ranks = [risk.quantile_ranks(one, probability, confidence, "upper")[1] for one in runs]

    assert allowed == [0, 1, 2, 3]
    assert before == [-1, 0, 1, 2]
    assert ranks == [one - k for k, one in enumerate(runs)]


@pytest.mark.parametrize("probability", [1e-6, 0.3, 0.5, 0.99, 0.99999])
@pytest.mark.parametrize("confidence", [0.1, 0.5, 0.9, 0.999])
def test_allowed_failures_are_the_inverse_of_required_runs(probability, confidence):
    for runs in [*range(40), 10**3, 12_345, 10**6, 10**10]:
        allowed = risk.allowed_failures(runs, probability, confidence)

        assert -1 <= allowed < max(runs, 1)
        assert allowed == -1 or risk.required_runs(probability, confidence, allowed) <= runs
        assert risk.required_runs(probability, confidence, allowed + 1) > runs


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99, 0.9987, 0.99999, 1 - 1e-7])
@pytest.mark.parametrize("failures", [0, 1, 5, 17])
def test_required_runs_is_the_fewest_that_prove(probability, failures):
    """One run less leaves the consumer's risk above 1 - confidence; by mpmath."""
    runs = risk.required_runs(probability, 0.9, failures)
    loss = 1.0 - probability

    assert chance_at_most(failures, runs, loss)[0] <= 0.1 * (1 + 1e-9)
    assert runs == failures + 1 or chance_at_most(failures, runs - 1, loss)[0] > 0.1


def test_a_tie_counts_as_proof():
    """0.5^2 = 0.25 and 0.1 against 1 - 0.9, which floats do not see as equal."""
    assert risk.required_runs(0.5, 0.75) == 2
    assert risk.required_runs(0.1, 0.9) == 1


@pytest.mark.parametrize(
    ("method", "successes", "runs", "expected"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, methods 3 and 5.
        ("wilson", 81, 263, (0.2553, 0.3662)),
        ("wilson", 15, 148, (0.0624, 0.1605)),
        ("wilson", 0, 20, (0.0, 0.1611)),
        ("wilson", 1, 29, (0.0061, 0.1718)),
        ("clopper-pearson", 81, 263, (0.2527, 0.3676)),
        ("clopper-pearson", 15, 148, (0.0578, 0.1617)),
        ("clopper-pearson", 0, 20, (0.0, 0.1684)),
        ("clopper-pearson", 1, 29, (0.0009, 0.1776)),
        # Fagerland, Lydersen & Laake, Statistical Analysis of Contingency Tables 2017, chapter 2: 13 of 16.
        ("wilson", 13, 16, (0.5699, 0.9341)),
        ("jeffreys", 13, 16, (0.5792, 0.9442)),
        ("clopper-pearson", 13, 16, (0.5435, 0.9595)),
    ],
)
def test_intervals_are_those_of_the_literature(method, successes, runs, expected):
    """To the digits printed there."""
    assert risk.interval(successes, runs, method=method) == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize(("method", "scipy_name"), [("clopper-pearson", "exact"), ("wilson", "wilson")])
@pytest.mark.parametrize(("successes", "runs"), [(0, 7), (1, 7), (3, 7), (7, 7), (2, 10_000), (9_990, 10_000)])
@pytest.mark.parametrize("confidence", [0.2, 0.9, 0.999])
def test_scipy_gives_the_same_intervals(method, scipy_name, successes, runs, confidence):
    """scipy.stats.binomtest, whose root finding is good to about 1e-9."""
    from scipy.stats import binomtest

    for sides, alternative in (("two", "two-sided"), ("lower", "greater"), ("upper", "less")):
        other = binomtest(successes, runs, alternative=alternative).proportion_ci(confidence, scipy_name)
        if method == "wilson" and sides != "two" and confidence < 0.5:
            continue  # scipy takes the wrong side of the share there
        actual = risk.interval(successes, runs, confidence, method, sides)

        assert actual == pytest.approx((other.low, other.high), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("method", risk.METHODS)
@pytest.mark.parametrize(("successes", "runs"), [(0, 10), (3, 10), (10, 10), (5, 10**10), (10**10 - 3, 10**10)])
def test_one_sided_bounds_are_the_ends_at_half_the_risk(method, successes, runs):
    """All of 5 % at one end is a two-sided interval of 90 %."""
    lower, upper = risk.interval(successes, runs, 0.90, method)

    assert risk.interval(successes, runs, 0.95, method, "lower") == (pytest.approx(lower, rel=1e-12), 1.0)
    assert risk.interval(successes, runs, 0.95, method, "upper") == (0.0, pytest.approx(upper, rel=1e-12))


@pytest.mark.parametrize("method", risk.METHODS)
def test_less_than_even_confidence_bounds_the_other_side_of_the_share(method):
    """At 20 % the lower bound is the upper one of 80 %, but for the step between two counts of Clopper-Pearson."""
    lower = risk.interval(30, 100, 0.2, method, "lower")[0]
    upper = risk.interval(30, 100, 0.8, method, "upper")[1]
    step = 0.011 if method == "clopper-pearson" else 1e-12

    assert lower > 0.3
    assert lower == pytest.approx(upper, abs=step)


@pytest.mark.parametrize(
    ("successes", "runs"), [(0, 10), (1, 10), (2, 10**6), (3, 10**10), (1350, 10**6), (10**5, 10**10)]
)
@pytest.mark.parametrize("sides", ["lower", "upper"])
def test_jeffreys_bounds_are_quantiles_of_the_beta_distribution(successes, runs, sides):
    """Beta(k + 1/2, n - k + 1/2); its density in 25 digits turns an error of the tail into one of the bound."""
    bound = risk.interval(successes, runs, 0.95, "jeffreys", sides)[sides == "upper"]
    if (successes, sides) == (0, "lower"):
        assert bound == 0.0
        return
    with mpmath.workdps(25):
        half, x = mpmath.mpf(1) / 2, mpmath.mpf(bound)
        a, b = successes + half, runs - successes + half
        density = mpmath.exp((a - 1) * mpmath.log(x) + (b - 1) * mpmath.log1p(-x) - log_beta(a, b))
        tail = mpmath.quad(
            lambda q: mpmath.exp((a - 1) * mpmath.log(q) + (b - 1) * mpmath.log1p(-q) - log_beta(a, b)),
            mpmath.linspace(0, x, 2) if runs == 10 else mpmath.linspace(max(0, x - 25 * mpmath.sqrt(a) / runs), x, 10),
        )
        expected = mpmath.mpf("0.95") if sides == "upper" else mpmath.mpf("0.05")

        assert abs(tail - expected) / density <= 1e-8 * x


@pytest.mark.parametrize(
    ("losses", "runs"), [(1, 10), (3, 10), (9, 10), (1350, 10**6), (2, 10**6), (1, 10**10), (3, 10**10)]
)
def test_clopper_pearson_is_exact_to_eight_digits(losses, runs):
    """At each end a binomial tail is 2.5 %; its error becomes one of the end through its slope, in 40 digits."""
    ends = {"losses": risk.interval(losses, runs), "landings": risk.interval(runs - losses, runs)}
    lower, upper = ends["losses"]
    above, slope_above = chance_at_most(losses, runs, upper)
    below, slope_below = chance_at_most(losses - 1, runs, lower)

    assert abs(above - mpmath.mpf("0.025")) / slope_above <= 1e-8 * upper
    assert abs(1 - below - mpmath.mpf("0.025")) / slope_below <= 1e-8 * lower
    assert ends["landings"] == pytest.approx((1 - upper, 1 - lower), rel=1e-15)


def test_clopper_pearson_of_ten_thousand_million_runs_is_nearly_normal():
    """Half of 1e10: z sqrt(p (1 - p) / n) and the half step of the discrete count, other terms being below 1e-14."""
    lower, upper = risk.interval(5 * 10**9, 10**10)
    half = 1.959963984540054 * 0.5e-5 + 0.5e-10

    assert (lower, upper) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-13)


@pytest.mark.parametrize(
    ("successes", "runs"), [(0, 10**6), (1, 10), (7, 10), (10, 10), (999_998, 10**6), (1, 10**10), (10**10 - 1, 10**10)]
)
def test_wilson_is_exact_to_eight_digits(successes, runs):
    """Wilson 1927, closed form in 40 digits."""
    with mpmath.workdps(40):
        z = mpmath.sqrt(2) * mpmath.erfinv(mpmath.mpf("0.95"))
        centre, total = mpmath.mpf(successes) / runs, mpmath.mpf(runs)
        middle = (centre + z**2 / (2 * total)) / (1 + z**2 / total)
        half = z / (1 + z**2 / total) * mpmath.sqrt(centre * (1 - centre) / total + z**2 / (4 * total**2))
        expected = (float(middle - half), float(middle + half))
    actual = risk.interval(successes, runs, method="wilson")

    assert actual == pytest.approx(expected, rel=1e-8, abs=1e-25)


@pytest.mark.parametrize("method", risk.METHODS)
def test_losses_mirror_successes(method):
    """The interval of k in n is that of n - k, turned around."""
    lower, upper = risk.interval(7, 1000, method=method)
    mirrored = risk.interval(993, 1000, method=method)

    assert mirrored == pytest.approx((1 - upper, 1 - lower), rel=1e-13)


@pytest.mark.parametrize("method", risk.METHODS)
def test_all_or_none_keeps_an_open_end(method):
    """Zero losses never read as certainty."""
    lower, upper = risk.interval(10_000, 10_000, method=method)

    assert upper == 1.0
    assert 0.9995 < lower < 1.0
    assert risk.interval(0, 10_000, method=method)[0] == 0.0


def test_no_losses_are_bounded_by_three_over_runs():
    """The rule of three: -ln 0.05 = 2.9957."""
    assert risk.upper_bound(0, 10_000) == pytest.approx(-math.log(0.05) / 10_000, rel=2e-4)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 1 - 1e-9])
@pytest.mark.parametrize("share", [1e-3, 1 / 3, 1 / 2])
def test_intervals_of_the_largest_counts_are_those_of_the_normal_distribution(share, confidence):
    """Half the width to 1e-4; from 1e15 runs on the inverse beta function errs by 1 % and more, and is not asked."""
    runs = binomial.LARGEST
    lower, upper = risk.interval(int(share * runs), runs, confidence)
    half = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(share * (1 - share) / runs)

    assert (upper - lower) / 2 == pytest.approx(half, rel=1e-4)


def test_the_extremes_of_confidence_and_probability_have_an_answer():
    """No confidence is asked: the share itself, and one run proves it."""
    assert risk.interval(0, 2, 1e-300, "wilson") == (0.0, 0.0)
    assert risk.interval(1, 2, 1e-300, "wilson") == (0.5, 0.5)
    assert risk.required_runs(1e-300, 1e-300) == 1


def test_no_runs_mean_no_knowledge():
    assert risk.interval(0, 0) == (0.0, 1.0)
    assert risk.upper_bound(0, 0) == 1.0


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("runs", [5, 50, 299, 1000])
def test_quantile_ranks_are_the_tightest_that_keep_the_confidence(runs, probability):
    """The quantile lies at or above rank r when r values or more are below it, from exact whole-number sums."""
    p, whole = probability.as_integer_ratio()
    terms = [math.comb(runs, k) * p**k * (whole - p) ** (runs - k) for k in range(runs + 1)]
    chances = [above / whole**runs for above in itertools.accumulate(reversed(terms))]
    at_least = dict(zip(range(runs, -1, -1), chances, strict=True))
    lower, _ = risk.quantile_ranks(runs, probability, 0.9, "lower")
    _, upper = risk.quantile_ranks(runs, probability, 0.9, "upper")

    assert lower == max((rank for rank in range(1, runs + 1) if at_least[rank] >= 0.9), default=None)
    assert upper == min((rank for rank in range(1, runs + 1) if 1 - at_least[rank] >= 0.9), default=None)
    assert risk.quantile_ranks(runs, probability, 0.8) == (lower, upper)


def test_ranks_of_a_median_are_those_of_tables():
    """Conover, Practical Nonparametric Statistics 1999: median at 95 %, n = 10: 2nd and 9th, n = 25: 8th and 18th."""
    assert risk.quantile_ranks(10, 0.5) == (2, 9)
    assert risk.quantile_ranks(25, 0.5) == (8, 18)


def test_quantile_bounds_hold_the_quantile_as_often_as_promised():
    """4000 campaigns of 400 exponential values, 95 % quantile at 90 %: seed 3, exact coverage 90.1, 91.7 and 92.7 %.

    A coverage of 90 % would be seen below 88.5 % once in 1000 seeds.
    """
    values = np.random.default_rng(3).exponential(size=(4000, 400))
    truth = -math.log(0.05)
    bounds = {sides: np.array([risk.quantile_bounds(one, 0.95, 0.9, sides) for one in values]) for sides in risk.SIDES}
    held = {sides: ((both[:, 0] <= truth) & (truth <= both[:, 1])).mean() for sides, both in bounds.items()}

    assert min(held.values()) >= 0.885
    assert np.isneginf(bounds["upper"][:, 0]).all()
    assert np.isposinf(bounds["lower"][:, 1]).all()


def test_quantile_bounds_are_values_in_whatever_order():
    values = [3.0, 9.0, 1.0, 7.0, 5.0, 2.0, 8.0, 4.0, 10.0, 6.0]

    assert risk.quantile_bounds(values, 0.5) == (2.0, 9.0)
    assert risk.quantile_bounds([], 0.5) == (-math.inf, math.inf)
    assert risk.quantile_bounds([math.inf] * 60, 0.95, 0.95, "upper") == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # Newcombe 1998, Statistics in Medicine 17:2635, examples of n = 50, method 10, to the digits printed there.
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((20, 12, 2, 16), (0.0562, 0.3292)),
    ],
)
def test_newcombe_interval_of_his_own_examples(counts, expected):
    actual = risk.paired(*counts)

    assert actual.difference == pytest.approx(0.2)
    assert actual.interval == pytest.approx(expected, abs=5e-5)


def test_mcnemar_exact_is_the_binomial_sum():
    """12 against 2 discordant: 2 (1 + 14 + 91) / 2^14; mid-p takes away one P(X = 2)."""
    result = risk.paired(20, 12, 2, 16)

    assert result.p_value == pytest.approx(2 * (1 + 14 + 91) / 2**14, rel=1e-12)
    assert result.mid_p_value == pytest.approx((2 * (1 + 14 + 91) - 91) / 2**14, rel=1e-12)


def test_equal_designs_are_not_told_apart():
    assert risk.paired(90, 5, 5, 0).p_value == 1.0
    assert risk.paired(100, 0, 0, 0).p_value == 1.0
    assert risk.paired(100, 0, 0, 0).interval[0] < 0.0 < risk.paired(100, 0, 0, 0).interval[1]


def test_exchanging_the_designs_turns_the_difference():
    ahead, behind = risk.paired(700, 40, 10, 250), risk.paired(700, 10, 40, 250)

    assert ahead.difference == -behind.difference
    assert ahead.interval == pytest.approx((-behind.interval[1], -behind.interval[0]), rel=1e-13)
    assert ahead.p_value == behind.p_value


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: risk.interval(11, 10), "at most runs = 10"),
        (lambda: risk.interval(-1, 10), "not negative"),
        (lambda: risk.interval(1.5, 10), "a whole number"),
        (lambda: risk.interval(1, 10, confidence=95), "between 0 and 1"),
        (lambda: risk.interval(1, 10, method="wald"), "clopper-pearson or wilson or jeffreys"),
        (lambda: risk.required_runs(1.0, 0.9), "between 0 and 1"),
        (lambda: risk.interval(1, 10, confidence=None), "between 0 and 1, got None"),
        (lambda: risk.interval(1, 10**18), r"runs: expected at most 1e14, got about 1e18"),
        (lambda: risk.interval(1, 10, sides="both"), "two or lower or upper, got 'both'"),
        (lambda: risk.upper_bound(11, 10), "losses: expected at most runs = 10"),
        (lambda: risk.allowed_failures(1.5, 0.9, 0.9), "a whole number"),
        (lambda: risk.allowed_failures(10, 90, 0.9), "probability: expected a number between 0 and 1"),
        (lambda: risk.quantile_ranks(10, 0.9, 0.9, "left"), "sides: expected two or lower or upper"),
        (lambda: risk.quantile_ranks(10, 0.0, 0.9), "probability: expected a number between 0 and 1"),
        (lambda: risk.quantile_bounds([1.0, math.nan], 0.9), "values: expected numbers, got 1 that are NaN"),
        (lambda: risk.quantile_bounds([[1.0]], 0.9), r"one value per run, \(runs,\)"),
        (lambda: risk.quantile_bounds(["high"], 0.9), "values: expected numbers"),
        (lambda: risk.upper_bound(0, 10**400), r"runs: expected at most 1e14, got about 1e400"),
    ],
)
def test_mistakes_name_what_was_expected(call, words):
    with pytest.raises(MistakeError, match=words):
        call()


def test_examples_of_the_documentation_run():
    assert doctest.testmod(risk).failed == 0
