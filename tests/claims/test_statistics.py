"""The numbers tell the truth as often as they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln, xlog1py, xlogy

from mcrisk import risk
from mcrisk.api import records


def coverage(method, runs, probability):
    """How often an interval at 0.95 holds the truth: the exact sum over all counts, no simulation."""
    counts = np.arange(runs + 1)
    chance = np.exp(
        gammaln(runs + 1)
        - gammaln(counts + 1)
        - gammaln(runs - counts + 1)
        + xlogy(counts, probability)
        + xlog1py(runs - counts, -probability)
    )
    likely = counts[chance > 1e-12]
    ends = np.array([risk.interval(int(count), runs, method=method) for count in likely])
    return chance[likely][(ends[:, 0] <= probability) & (probability <= ends[:, 1])].sum()


@pytest.mark.parametrize("probability", [2e-5, 1e-4, 1.35e-3, 0.05, 0.5, 0.95, 0.99865, 0.9999])
@pytest.mark.parametrize("runs", [100, 1000])
def test_intervals_cover_the_truth_95_times_in_100(runs, probability):
    """Clopper-Pearson never covers less than promised (1e-9: the counts left out of the sum)."""
    assert coverage("clopper-pearson", runs, probability) >= 0.95 - 1e-9


def test_wilson_intervals_fail_where_losses_are_rare():
    """Why they are not the default: 0.838 at a loss probability of 1.76e-4 and 1000 runs."""
    assert coverage("wilson", 1000, 1.76e-4) == pytest.approx(0.838, abs=2e-3)


def test_required_runs_keep_the_consumers_risk():
    """A lander just at the limit passes in at most 10 of 100 campaigns, by the exact binomial sum."""
    for failures in range(4):
        runs = risk.required_runs(0.99865, 0.90, failures)
        lost = np.arange(failures + 1)
        passing = np.exp(
            gammaln(runs + 1)
            - gammaln(lost + 1)
            - gammaln(runs - lost + 1)
            + xlogy(lost, 1 - 0.99865)
            + xlog1py(runs - lost, -(1 - 0.99865))
        ).sum()

        assert 0.0995 < passing <= 0.1


def test_equal_designs_are_called_different_5_times_in_100_at_most():
    """1000 comparisons of equal designs; fixed seed, false alarm of this test below 1e-3 (5 % + 3 standard errors)."""
    random, alarms = np.random.default_rng(2), 0
    for _ in range(1000):
        both, only_a, only_b, neither = random.multinomial(2000, [0.85, 0.03, 0.03, 0.09])
        alarms += risk.paired(both, only_a, only_b, neither).p_value < 0.05

    assert alarms <= 50 + 3 * np.sqrt(1000 * 0.05 * 0.95)


def test_paired_intervals_cover_the_difference():
    """1000 campaigns of 2000 pairs, true difference 0.03; fixed seed, false alarm below 1e-3 (95 % - 3 SE)."""
    random, held = np.random.default_rng(3), 0
    for _ in range(1000):
        counts = random.multinomial(2000, [0.80, 0.06, 0.03, 0.11])
        lower, upper = risk.paired(*counts).interval
        held += lower <= 0.03 <= upper

    assert held >= 950 - 3 * np.sqrt(1000 * 0.05 * 0.95)


@pytest.mark.slow
def test_common_random_numbers_sharpen_a_comparison():
    """Two designs that differ by 5 % in one value, on the same worlds: at most half the standard error of
    independent runs."""
    from mcrisk.mission import load

    mission = load("hakuto_r_m2_late_rangefinder")
    other = mission.replace({"altimeter.range_max": 0.95 * mission.value("altimeter.range_max")})
    a, b = ((records(one, runs=2000).outcome == "success").values for one in (mission, other))
    paired_error = np.std(a.astype(float) - b.astype(float)) / np.sqrt(2000)
    independent_error = np.sqrt((np.var(a) + np.var(b)) / 2000)

    assert paired_error <= 0.5 * independent_error
