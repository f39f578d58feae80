"""mcrisk.tally: sums that are exact, whatever the order, against exact fractions and numpy."""

from __future__ import annotations

import doctest
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcrisk import tally as module
from mcrisk.encoding import decode, encode
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.schema import load_schema
from mcrisk.tally import GROUPS, Moments, Scatter, bin_edges, exact_dot, exact_sum, merge, tally

SCHEMA = load_schema()
SUCCESS = SCHEMA.enums["Outcome"]["success"]
METRICS = [name for name, one in SCHEMA.record_fields.items() if one.metric]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def synthetic(runs, seed=1):
    """Records of made-up descents: 7 in 10 land, 1 in 20 never reaches the ground."""
    random = np.random.default_rng(seed)
    records = np.zeros(runs, SCHEMA.record_dtype())
    for name in METRICS:
        records[name] = random.normal(random.normal(), 1.0, runs) * 10.0 ** random.integers(-3, 4)
    records["contact"] = random.random(runs) < 0.95
    lost = random.integers(0, SUCCESS, runs)
    records["outcome"] = np.where((records["contact"] == 1) & (random.random(runs) < 0.7), SUCCESS, lost)
    causes = len(SCHEMA.enums["Cause"])
    records["cause"] = np.where(records["outcome"] == SUCCESS, 0, random.integers(0, causes, runs))
    return records


@given(st.lists(FINITE, max_size=40))
def test_sums_of_doubles_are_exact(values):
    """Against fractions of whole numbers."""
    actual = exact_sum(np.array(values, np.float64))

    assert Fraction(actual, 2**1074) == sum(map(Fraction, values), Fraction(0))


@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=40))
def test_products_of_floats_are_exact(pairs):
    a, b = (np.array([pair[side] for pair in pairs], np.float32) for side in (0, 1))
    expected = sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)), Fraction(0))

    assert Fraction(exact_dot(a, b), 2**1074) == expected


@given(st.lists(st.tuples(*[st.floats(-1e9, 1e9)] * 2), max_size=20))
def test_products_of_doubles_are_exact_at_ordinary_sizes(pairs):
    """Down to the smallest double; sizes below 1e-100 are rounded there."""
    a, b = (np.array([pair[side] if abs(pair[side]) > 1e-100 else 0.0 for pair in pairs]) for side in (0, 1))
    expected = sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)), Fraction(0))

    assert Fraction(exact_dot(a, b), 2**1074) == expected


def test_spread_of_nearly_equal_numbers_keeps_its_digits():
    """NIST StRD NumAcc4: 10000000.2, then 500 pairs of 10000000.1 and 10000000.3; the certified deviation is 0.1.

    The eight digits are those that the doubles nearest to the stated decimals hold.
    """
    values = np.array([10000000.2, *[10000000.1, 10000000.3] * 500])
    parts = [Moments.of(part) for part in np.array_split(values, 7)]
    whole = parts[3]
    for index in (6, 0, 2, 5, 1, 4):
        whole = Moments.merged([whole, parts[index]])

    assert whole.mean == pytest.approx(10000000.2, rel=1e-15)
    assert whole.std == pytest.approx(0.1, rel=1e-8)


def test_mean_and_deviation_are_those_of_the_values():
    values = np.random.default_rng(3).normal(5.0, 2.0, 10_000).astype(np.float32)
    moments = Moments.of(values)

    assert moments.count == len(values)
    assert moments.mean == pytest.approx(math.fsum(values.tolist()) / len(values), rel=1e-15)
    assert moments.std == pytest.approx(np.std(values.astype(float), ddof=1), rel=1e-12)
    assert (moments.least, moments.greatest) == (values.min(), values.max())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("probability", [0.01, 0.05, 0.5, 0.95, 0.99])
def test_quantiles_are_right_to_one_bin(scale, probability):
    """1/64 of the value for values of either sign, from micro-radians to kilometres."""
    values = (np.random.default_rng(4).normal(0.5, 1.0, 100_000) * scale).astype(np.float32)
    expected = np.quantile(values, probability)
    actual = Moments.of(values).quantile(probability)

    assert actual == pytest.approx(expected, rel=1 / 64, abs=1e-4 * scale)


def test_quantile_of_one_value_is_that_value():
    moments = Moments.of(np.array([3.3], np.float32))

    assert [moments.quantile(probability) for probability in (0.0, 0.01, 1.0)] == [np.float32(3.3)] * 3


@given(FLOATS)
def test_every_number_lies_in_its_bin(value):
    single = np.array([value], np.float32)
    (lower,), (upper,) = bin_edges(Moments.of(single).bins)

    assert lower <= single[0] <= upper
    assert abs(single[0]) < 1e-37 or upper - lower <= abs(single[0]) / 64


def test_bins_follow_one_another_without_gaps():
    numbers = np.arange(module.BINS)
    lower, upper = bin_edges(numbers)

    assert np.array_equal(upper[:-1], lower[1:])
    assert np.all(np.diff(lower[np.abs(lower) < 3e38]) > 0)


def test_a_quantile_among_zeros_is_zero():
    """Not some share of the bin that holds zero and ends at a subnormal number."""
    moments = Moments.of(np.array([0.0] * 50 + [1.0] * 50, np.float32))

    assert moments.quantile(0.01) == 0.0
    assert moments.quantile(0.49) == 0.0


def test_nothing_has_no_mean_and_no_quantile():
    empty = Moments.of(np.zeros(0, np.float32))

    assert empty.count == 0
    assert all(map(math.isnan, (empty.mean, empty.std, empty.quantile(0.5))))
    assert math.isnan(Moments.of(np.ones(1, np.float32)).std)


def test_scatter_is_the_covariance_of_the_landing_points():
    random = np.random.default_rng(5)
    x, y = random.normal(10, 300, 5000).astype(np.float32), random.normal(-3, 50, 5000).astype(np.float32)
    y += np.float32(0.25) * x
    scatter = Scatter.merged([Scatter.of(x[:1234], y[:1234]), Scatter.of(x[1234:], y[1234:])])
    expected = np.cov(x.astype(float), y.astype(float))

    assert scatter.mean == pytest.approx((x.mean(dtype=float), y.mean(dtype=float)), rel=1e-12)
    assert scatter.covariance == pytest.approx((expected[0, 0], expected[0, 1], expected[1, 1]), rel=1e-12)


def test_every_run_is_counted_once_under_its_outcome_and_cause():
    records = synthetic(5000)
    result = tally(records, 100)

    assert result.runs == result.counts.sum() == 5000
    for outcome in range(result.counts.shape[0]):
        for cause in range(result.counts.shape[1]):
            where = np.flatnonzero((records["outcome"] == outcome) & (records["cause"] == cause))
            assert result.counts[outcome, cause] == len(where)
            assert result.examples[outcome, cause] == (100 + where[0] if len(where) else -1)


def test_runs_without_contact_count_in_no_metric():
    records = synthetic(5000)
    result = tally(records, 0)
    contacts, landed = records["contact"] == 1, records["outcome"] == SUCCESS

    assert set(result.metrics) == set(GROUPS)
    assert list(result.metrics["landed"]) == METRICS
    assert result.metrics["all_contacts"]["tilt"].count == contacts.sum() < 5000
    assert result.metrics["landed"]["tilt"].count == (contacts & landed).sum()
    assert result.metrics["landed"]["tilt"].mean == pytest.approx(records["tilt"][contacts & landed].mean(dtype=float))


def test_merging_in_any_order_gives_the_same_bits():
    """27 uneven parts, shuffled and paired up at random, against all runs at once."""
    records, random = synthetic(3000), np.random.default_rng(6)
    cuts = [0, *np.sort(random.choice(np.arange(1, 3000), 26, replace=False)).tolist(), 3000]
    parts = [tally(records[first:stop], first) for first, stop in itertools.pairwise(cuts)]
    while len(parts) > 1:
        a, b = (parts.pop(random.integers(len(parts))) for _ in range(2))
        parts.append(merge([a, b]))

    assert parts[0] == tally(records, 0)
    assert parts[0].ranges == ((0, 3000),)


def test_many_merged_together_are_those_merged_one_by_one():
    """More of them than are merged in one pass, from a generator, each of a few runs."""
    records = synthetic(3 * (2 * module.TOGETHER + 5))
    parts = [tally(records[first : first + 3], first) for first in range(0, len(records), 3)]
    one_by_one = parts[0]
    for part in parts[1:]:
        one_by_one = merge([one_by_one, part])

    assert merge(iter(parts)) == one_by_one == tally(records, 0)


def test_a_large_batch_is_the_sum_of_its_chunks():
    records = synthetic(module.CHUNK + 17)

    assert tally(records, 5) == merge([tally(records[:16], 5), tally(records[16:], 21)])


def test_of_no_tallies_there_is_no_sum():
    with pytest.raises(MistakeError, match=r"^merge: expected one tally at least, got none$"):
        merge([])


def test_a_run_is_never_counted_twice():
    records = synthetic(100)

    with pytest.raises(InfrastructureError, match=r"runs 50 \.\. 99 were counted twice"):
        merge([tally(records, 0), tally(records, 50)])


@pytest.mark.parametrize("runs", [0, 1, 2000])
def test_a_stored_tally_is_the_same_tally(runs):
    """Every number of it; and equal tallies have equal bytes, whatever they were merged from."""
    records = synthetic(runs)
    original = tally(records, 5)
    again = decode(encode(original))

    for group in original.metrics:
        for name, one in original.metrics[group].items():
            other = again.metrics[group][name]
            assert (one.count, one.total, one.squares) == (other.count, other.total, other.squares)
            assert (one.least, one.greatest) == (other.least, other.greatest)
            np.testing.assert_array_equal(one.bins, other.bins)
            np.testing.assert_array_equal(one.counts, other.counts)
    assert (again.ranges, again.scatter) == (original.ranges, original.scatter)
    np.testing.assert_array_equal(again.counts, original.counts)
    np.testing.assert_array_equal(again.examples, original.examples)
    assert encode(merge([tally(records[: runs // 3], 5), tally(records[runs // 3 :], 5 + runs // 3)])) == encode(
        original
    )


def test_a_stored_tally_is_small():
    """Half a kilobyte for each metric of 700 runs, hardly growing with the runs: bins are few."""
    metrics = sum(one.metric for one in load_schema().record_fields.values())
    assert len(encode(tally(synthetic(700), 0))) < 600 * metrics
    assert len(encode(tally(synthetic(50_000), 0))) < 2_400 * metrics


@pytest.mark.parametrize("spoil", [lambda c: c[:-3], lambda c: c[:20] + bytes([c[20] ^ 1]) + c[21:], lambda c: b""])
def test_a_damaged_tally_is_refused(spoil):
    with pytest.raises(InfrastructureError, match="damaged"):
        decode(spoil(encode(tally(synthetic(100), 0))))


def test_not_a_number_is_never_summed():
    records = synthetic(10)
    records["contact"], records["outcome"] = 1, SUCCESS
    records["tilt"][3] = np.nan
    result = tally(records, 0)

    assert result.metrics["landed"]["tilt"].count == 9
    assert math.isfinite(result.metrics["landed"]["tilt"].mean)


def test_an_outcome_without_a_name_is_refused():
    records = synthetic(10)
    records["outcome"][2] = 99

    with pytest.raises(InfrastructureError, match="without a name"):
        tally(records, 0)


def test_examples_of_the_documentation_run():
    assert doctest.testmod(module).failed == 0
