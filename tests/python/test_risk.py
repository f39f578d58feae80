"""mcrisk.risk: intervals, run counts and paired tests against published tables and an arbitrary-precision oracle."""

from __future__ import annotations

import doctest
import math
import statistics

import pytest

from mcrisk import risk
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
    runs = risk.LARGEST
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
        (lambda: risk.upper_bound(0, 10**400), r"runs: expected at most 1e14, got about 1e400"),
    ],
)
def test_mistakes_name_what_was_expected(call, words):
    with pytest.raises(MistakeError, match=words):
        call()


def test_examples_of_the_documentation_run():
    assert doctest.testmod(risk).failed == 0
