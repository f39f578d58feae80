"""mcrisk.pairs: published intervals, exact coverage where rare losses live, sample sizes, tables of packed landings."""

from __future__ import annotations

import doctest
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from mcrisk import pairs, risk
from mcrisk.errors import MistakeError

# Airway hyper-responsiveness before and after stem cell transplantation (Bentur 2009), complete response before and
# after consolidation (Cavo 2012): the examples of Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33:2850.
BENTUR, CAVO = (1, 1, 7, 12), (59, 6, 16, 80)
APPROVAL = (794, 150, 86, 570)  # of a prime minister in two surveys: Agresti, Categorical Data Analysis, table 10.1
LENSES = (43, 0, 1, 0)  # disinfected soft contact lenses: the example of Tango 1998


@pytest.mark.parametrize(
    ("counts", "method", "expected", "digits"),
    [
        ((36, 12, 2, 0), "newcombe", (0.0569, 0.3404), 4),  # Newcombe 1998, table of n = 50
        ((20, 12, 2, 16), "newcombe", (0.0562, 0.3292), 4),
        (CAVO, "newcombe", (-0.1186, -0.0046), 4),  # as the authors' own R package prints it
        (BENTUR, "newcombe", (-0.507, -0.026), 3),  # Fagerland 2014, table V
        (BENTUR, "tango", (-0.517, -0.026), 3),
    ],
)
def test_published_intervals_are_reproduced(counts, method, expected, digits):
    actual = pairs.paired(*counts, method=method)

    assert actual.method == method
    assert actual.interval == pytest.approx(expected, abs=0.51 * 10**-digits)


@pytest.mark.parametrize("counts", [BENTUR, CAVO, APPROVAL, LENSES, (9_985, 8, 1, 6), (10**9, 7_000, 6_500, 10**6)])
def test_tango_ends_solve_his_equation(counts):
    """Tango 1998, eq. 3 and 4: |b - c - n D| = z sqrt(n (2 q + D (1 - D))), q from the quadratic, as printed there."""
    _, b, c, _ = counts
    runs, z = sum(counts), 1.959963984540054
    for end in pairs.paired(*counts, method="tango").interval:
        first, second, third = 2 * runs, -b - c + (2 * runs - b + c) * end, -c * end * (1 - end)
        share = (math.sqrt(second**2 - 4 * first * third) - second) / (2 * first)

        assert abs(b - c - runs * end) == pytest.approx(z * math.sqrt(runs * (2 * share + end * (1 - end))), rel=1e-6)


def test_approval_fell_by_four_points():
    """Agresti: 0.59 against 0.55, Wald's interval 0.02 to 0.06, z squared 17.36."""
    result = pairs.paired(*APPROVAL)

    assert result.difference == pytest.approx(0.04)
    assert result.interval == pytest.approx((0.04 - 0.0187, 0.04 + 0.0187), abs=5e-4)
    assert result.p_value == pytest.approx(math.erfc(math.sqrt(17.36 / 2)), rel=0.25)  # the exact one is larger


@pytest.mark.parametrize(
    ("counts", "exact", "middle"),
    [
        (BENTUR, 0.0703, 0.0391),  # Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91
        (CAVO, 0.0525, 0.0347),  # 2 P(X <= 6) of 22, and that less P(X = 6): the formulas printed there
    ],
)
def test_exact_and_mid_p_values_are_those_of_fagerland(counts, exact, middle):
    result = pairs.paired(*counts)

    assert (result.p_value, result.mid_p_value) == pytest.approx((exact, middle), abs=6e-5)


@pytest.mark.parametrize("counts", [BENTUR, CAVO, (9_995, 5, 0, 0), (990, 0, 5, 5)])
def test_no_difference_is_beyond_doubt_where_the_exact_test_doubts_it(counts):
    """p above 0.05: the interval reaches zero."""
    result = pairs.paired(*counts)

    assert result.p_value > 0.05
    assert result.interval[0] <= 0.0 <= result.interval[1]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("runs", [60, 10_000, 10**9])
def test_a_difference_that_the_exact_test_finds_has_an_interval_without_zero(runs, confidence):
    """For each number of runs that differ the least lead that McNemar's exact test finds."""
    for differing in (*range(1, 41), 50, 77, 400, 3000):
        leads = (ahead for ahead in range(differing // 2 + 1, differing + 1))
        least = next((x for x in leads if pairs._mcnemar(x, differing - x)[0] <= 1 - confidence), None)
        if least is None or differing > runs:
            continue
        result = pairs.paired(runs - differing, least, differing - least, 0, confidence)

        assert result.interval[0] > 0.0, (least, differing - least, result.method)


# ------------------------------------------------------------------------------------------------------------ coverage


def intervals(runs, most_b, most_c, confidence):
    """The ends for every (only_a, only_b) below the two, as the rule takes them."""
    ends = np.zeros((2, most_b, most_c)) + np.array([-1.0, 1.0])[:, None, None]
    for b in range(most_b):
        for c in range(min(most_c, runs - b + 1)):
            rest = runs - b - c
            ends[:, b, c] = pairs.paired(rest - rest // 1000, b, c, rest // 1000, confidence).interval
    return ends


def misses(ends, runs, often_a, often_b):
    """Chances that the interval lies above and below the true difference, and that it holds it, over all tables."""
    b, c = np.indices(ends.shape[1:])
    often = often_a + often_b
    chance = stats.binom.pmf(b + c, runs, often) * stats.binom.pmf(b, b + c, often_a / often)
    difference = often_a - often_b
    above, below = ends[0] > difference + 1e-13, ends[1] < difference - 1e-13
    return (chance * above).sum(), (chance * below).sum(), (chance * ~(above | below)).sum()


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_exact_interval_keeps_its_promise_at_both_ends(confidence):
    """All 91 tables of 12 runs, so always exact; 1770 pairs of probabilities, each end at half the risk."""
    ends, grid = intervals(12, 13, 13, confidence), np.linspace(0.001, 0.999, 60)
    worst = max(max(misses(ends, 12, a, b)[:2]) for a in grid for b in grid if a + b < 1)

    assert worst <= (1 - confidence) / 2 * (1 + 1e-4)


@pytest.mark.parametrize("runs", [pytest.param(1_000, marks=pytest.mark.slow), 10_000])
def test_rare_differences_stay_in_their_interval_95_times_in_100(runs):
    """Nearly all runs land in both designs; b gains in 0.05 to 45 runs on average, and loses in 0 to 1.

    Exact sums over all tables: never below 94.1 %, where the exact interval hands over to Tango's.
    """
    ends = intervals(runs, 80, 7, 0.95)
    gained = np.concatenate([np.arange(0.05, 5, 0.3), np.arange(5, 46, 2.0)]) / runs
    held = [misses(ends, runs, a, b)[2] for a in gained for b in np.array([1e-9, 0.3, 1.0]) / runs]

    assert min(held) >= 0.941
    assert min(held[: 3 * 20]) >= 0.95  # up to 11 gained on average: exact


@pytest.mark.slow
@pytest.mark.parametrize(("confidence", "least"), [(0.9, 0.892), (0.95, 0.941), (0.99, 0.987)])
def test_rare_differences_in_both_directions_stay_in_their_interval(confidence, least):
    """As above with gains and losses of 0 to 48 runs on average."""
    ends = intervals(1_000, 95, 95, confidence)
    means = np.concatenate([[1e-9], np.arange(0.05, 5, 0.3), np.arange(5, 50, 3.0)]) / 1_000
    held = [misses(ends, 1_000, a, b)[2] for a in means[1:] for b in means]

    assert min(held) >= least
    assert np.mean(held) >= confidence


@pytest.mark.parametrize("runs", [1_000, 10_000])
@pytest.mark.parametrize(
    "chances",
    [
        (0.9985, 0.0006, 0.0002, 0.0007),  # both lands in 99.9 % of runs
        (0.70, 0.02, 0.01, 0.27),  # losses are frequent, differences are not
        (0.55, 0.25, 0.05, 0.15),  # Newcombe's
    ],
)
def test_simulated_campaigns_hold_the_difference(runs, chances):
    """1000 campaigns, fixed seed; false alarm below 1e-3 (95 % - 3 standard errors)."""
    difference = chances[1] - chances[2]
    tables, times = np.unique(np.random.default_rng(11).multinomial(runs, chances, 1000), axis=0, return_counts=True)
    held = 0
    for counts, seen in zip(tables.tolist(), times.tolist(), strict=True):
        lower, upper = pairs.paired(*counts).interval
        held += seen * (lower <= difference <= upper)

    assert held >= 950 - 3 * math.sqrt(1000 * 0.05 * 0.95)


# ---------------------------------------------------------------------------------------------------------- invariants


@pytest.mark.parametrize("method", [None, *pairs.METHODS])
@pytest.mark.parametrize("counts", [(700, 20, 5, 275), (95, 3, 0, 2), (50, 20, 10, 20)])
def test_exchanging_the_designs_turns_the_interval(counts, method):
    both, b, c, neither = counts
    ahead, behind = pairs.paired(*counts, method=method), pairs.paired(both, c, b, neither, method=method)

    assert ahead.interval == pytest.approx((-behind.interval[1], -behind.interval[0]), rel=1e-12)
    assert ahead.interval[0] <= ahead.difference <= ahead.interval[1]


def test_runs_that_do_not_differ_bound_the_difference_by_four_over_the_runs():
    """No run differs: -ln 0.025 = 3.69 on each side, the rule of three at half the risk."""
    result = pairs.paired(9_990, 0, 0, 10)

    assert result.method == "exact"
    assert result.interval == pytest.approx((-3.69e-4, 3.69e-4), rel=3e-3)


@pytest.mark.parametrize("runs", [10**6, 10**9, 10**13])
def test_rare_counts_scale_with_the_runs(runs):
    """With 8 and 1 runs that differ the ends times the runs no longer change: Poisson's limit."""
    few, many = pairs.paired(10**5 - 9, 8, 1, 0), pairs.paired(runs - 9, 8, 1, 0)

    assert [runs * end for end in many.interval] == pytest.approx([10**5 * end for end in few.interval], rel=2e-3)


def test_the_rule_is_stated_in_the_result():
    taken = [pairs.paired(runs - b - c, b, c, 0).method for runs, b, c in ((1000, 8, 4), (1000, 30, 10), (50, 12, 2))]
    more = pairs.paired(959, 31, 10, 0).method

    assert taken == ["exact", "exact", "newcombe"]
    assert more == "tango"


def test_risk_reaches_the_paired_comparison():
    """Contract: mcrisk.risk.paired(both, only_a, only_b, neither, confidence=0.95)."""
    assert risk.paired is pairs.paired
    assert risk.Paired is pairs.Paired
    assert risk.paired(5, 1, 1, 3, confidence=0.9).confidence == 0.9
    with pytest.raises(AttributeError, match="no attribute 'pared'"):
        _ = risk.pared


def test_without_runs_nothing_is_known():
    result = pairs.paired(0, 0, 0, 0)

    assert math.isnan(result.difference)
    assert result.interval == (-1.0, 1.0)
    assert pairs.independent_runs(result) is None
    assert pairs.runs_to_tell(result) is None


# ------------------------------------------------------------------------------------------------------- many, and more


def test_holm_adjusts_as_published():
    """Holm 1979: of three at 5 %, 0.01 is judged at 0.05 / 3, then 0.02 at 0.05 / 2, then 0.9."""
    assert pairs.holm([0.02, 0.9, 0.01]) == pytest.approx([0.04, 0.9, 0.03])
    assert pairs.holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert pairs.holm([]) == []


def test_ten_equal_designs_are_told_apart_in_5_campaigns_of_100_at_most():
    """45 pairs of 10 designs alike, 300 campaigns of 1000 runs; fixed seed, false alarm below 1e-3 (5 % + 3 SE)."""
    random, alarms = np.random.default_rng(5), 0
    for _ in range(300):
        world, own = random.random(1000), random.random((10, 1000))
        landed = np.packbits((world < 0.8) | (own < 0.2), axis=1, bitorder="little")
        p_values = [
            pairs._mcnemar(*pairs.table(landed[i], landed[j], 1000)[1:3])[0] for i in range(10) for j in range(i)
        ]
        alarms += min(pairs.holm(p_values)) <= 0.05

    assert alarms <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_connors_number_is_that_of_a_validated_program():
    """R package MESS, its tests: discordant 0.45 and 0.05, power 0.8 at 5 %: 22 pairs."""
    assert pairs._connor(0.5, 0.4, 0.05, 0.8) == pytest.approx(22.0, abs=0.5)


def test_exact_power_is_that_of_a_validated_program():
    """R package MESS, its tests: 144 pairs, discordant 0.45 and 0.25, 2.5 % on one side: power 0.80."""
    assert pairs._power(144, 0.7, 0.2, 0.05) == pytest.approx(0.80, abs=0.005)


@pytest.mark.parametrize("counts", [(9_990, 6, 2, 2), (9_996, 3, 0, 1), (950, 20, 12, 18), (500, 160, 140, 200)])
def test_runs_to_tell_tell_with_the_chance_asked(counts):
    """Simulated with the discordance seen: 4000 campaigns, fixed seed; 80 % within 3 SE and a step of the test."""
    seen = pairs.paired(*counts)
    needed = pairs.runs_to_tell(seen)
    chances = np.array([counts[0] + counts[3], counts[1], counts[2]]) / seen.runs
    drawn = np.random.default_rng(3).multinomial(needed, chances, 4000)
    told = np.mean([pairs._mcnemar(b, c)[0] <= 0.05 and b > c for _, b, c in drawn.tolist()])

    assert needed > seen.runs
    assert told == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 4000) + 0.005)


def test_runs_to_tell_grow_with_the_pairs_compared_and_are_none_without_a_difference():
    seen = pairs.paired(9_990, 6, 2, 2)

    assert pairs.runs_to_tell(seen, pairs=45) > 1.5 * pairs.runs_to_tell(seen)
    assert pairs.runs_to_tell(seen, power=0.95) > pairs.runs_to_tell(seen)
    assert pairs.runs_to_tell(pairs.paired(90, 5, 5, 0)) is None


def test_pairing_saves_what_the_variances_say():
    """(p (1 - p) + q (1 - q)) / (b + c - d^2), by the normal approximation with many runs."""
    both, b, c, neither = counts = (80_000, 1_200, 800, 18_000)
    seen = pairs.paired(*counts)
    p, q = (both + b) / seen.runs, (both + c) / seen.runs
    expected = (p * (1 - p) + q * (1 - q)) / ((b + c) / seen.runs - seen.difference**2)

    assert sum((both, b, c, neither)) == seen.runs
    assert pairs.independent_runs(seen) / seen.runs == pytest.approx(expected, rel=0.01)


# ------------------------------------------------------------------------------------------------------------ landings


@pytest.mark.parametrize("runs", [0, 1, 7, 8, 9, 1000, 12_345])
def test_tables_and_examples_are_those_of_the_unpacked_landings(runs, monkeypatch):
    """Against plain booleans, in chunks of 64 bytes."""
    monkeypatch.setattr(pairs, "CHUNK", 64)
    a, b = np.random.default_rng(runs).random((2, runs)) < np.array([[0.97], [0.95]])
    packed = [np.packbits(one, bitorder="little") for one in (a, b)]
    expected = tuple(int(one.sum()) for one in (a & b, a & ~b, b & ~a, ~a & ~b))

    assert pairs.table(*packed, runs) == expected
    for limit in (0, 1, 10, 10**6):
        assert pairs.examples(*packed, runs, limit).tolist() == np.flatnonzero(a & ~b)[:limit].tolist()


def test_a_hundred_million_runs_are_compared_in_little_memory():
    """12.5 MB of landings for each design; less than that again, though 6 million runs differ."""
    a, b = np.random.default_rng(1).integers(0, 256, (2, 12_500_000), np.uint8)
    tracemalloc.start()
    counts = pairs.table(a, b, 10**8)
    found = pairs.examples(a & 1, b, 10**8, 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(counts) == 10**8
    assert len(found) == 20
    assert peak < 20e6  # a & 1 itself is 12.5 MB


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pairs.paired(1.5, 0, 0, 0), "a whole number"),
        (lambda: pairs.paired(1, 0, 0, 0, method="wald"), "exact or tango or newcombe"),
        (lambda: pairs.paired(1, 0, 0, 0, confidence=1), "between 0 and 1"),
        (lambda: pairs.runs_to_tell(pairs.paired(9, 1, 0, 0), power=80), "power: expected a number between 0 and 1"),
        (lambda: pairs.table(np.zeros(2, np.uint8), np.zeros(1, np.uint8), 9), r"landings of b: .*shape \(2,\)"),
        (lambda: pairs.table(np.zeros(2, bool), np.zeros(2, np.uint8), 9), "landings of a: .*got bool"),
        (lambda: pairs.table([0], np.zeros(1, np.uint8), 8), "got list"),
        (lambda: pairs.table(np.full(1, 255, np.uint8), np.zeros(1, np.uint8), 7), "zeros after the bit of run 6"),
        (lambda: pairs.examples(np.zeros(1, np.uint8), np.zeros(1, np.uint8), 8, -1), "limit: .*not negative"),
    ],
)
def test_mistakes_name_what_was_expected(call, words):
    with pytest.raises(MistakeError, match=words):
        call()


def test_examples_of_the_documentation_run():
    assert doctest.testmod(pairs).failed == 0


@pytest.mark.parametrize("runs", [3, 32, 200])
def test_designs_that_differ_in_every_run_need_few_runs_to_tell(runs):
    """McNemar's exact two-sided p of n runs that all differ the same way is 2^(1 - n): 6 of them are below 5 %."""
    assert pairs.runs_to_tell(pairs.paired(0, runs, 0, 0)) == 6
