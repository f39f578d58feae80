"""Terrain-relative navigation: what a fix is worth at each height, the map's own error, and false matches."""

import numpy as np
import pytest
from scipy import stats

FALSE_ALARM = 1e-3  # [] probability that a statistical test of this file fails for another seed

DEVICE = """
/// Between 100 m and 15 km of height, a hundredth of it but at least 5 m.
MCR_FN Camera device(real fraction, real floor, real tie, real false_match) {
    return Camera{1, 15000, 100, fraction, floor, tie, false_match, 1000, 10};
}
"""
ARGUMENTS = "real fraction, real floor, real tie, real false_match, real clearance, real arc, real y, int run, int tick"
PREPARE = """
Fix const fix = measure_fix(device(fraction, floor, tie, false_match), working(), clearance, arc, y,
                            make_draws(17, static_cast<uint64>(run)), tick);
"""


@pytest.fixture
def measure(probe):
    """measure(clearance, ...): valid, false match, arc, y and sigma of a fix, by name; without errors unless stated."""
    names = ("valid", "false_match", "arc", "y", "sigma")
    function = probe("camera.h", [f"fix.{name}" for name in names], ARGUMENTS, preamble=DEVICE, prepare=PREPARE)

    def run(clearance=5000, *, arc=0, y=0, fraction=0, floor=0, tie=0, false_match=0, run=0, tick=0):
        return dict(zip(names, function(fraction, floor, tie, false_match, clearance, arc, y, run, tick), strict=True))

    return run


def _sigma_bounds(count, comparisons):
    """Ratio of sample to true deviation that `comparisons` tests leave with the probability FALSE_ALARM / 2."""
    share = FALSE_ALARM / 4 / comparisons
    return np.sqrt(stats.chi2.ppf([share, 1 - share], count - 1) / (count - 1))


# ---- known answers


def test_a_perfect_fix_is_the_place_below(measure):
    """300 km before the site and 250 m to the left."""
    fix = measure(arc=-300e3, y=250)

    assert (fix["arc"], fix["y"]) == (-300e3, 250)
    assert fix["valid"] == 1
    assert fix["false_match"] == 0


def test_the_error_is_a_hundredth_of_the_height_but_not_less_than_its_floor(measure):
    """What the computer is told of its sigma: 150 m from 15 km, 10 m from 1 km, 5 m from 500 m and below."""
    fix = measure(np.array([15e3, 1000, 500, 200]), fraction=0.01, floor=5)

    np.testing.assert_allclose(fix["sigma"], [150, 10, 5, 5], rtol=1e-6)


# ---- statistics


def test_fixes_scatter_with_the_sigma_they_tell(measure):
    """4000 runs from 8 km (80 m) and 300 m (5 m), along and across; the two are independent."""
    for clearance in (8000, 300):
        fix = measure(clearance, fraction=0.01, floor=5, run=np.arange(4000))
        low, high = _sigma_bounds(4000, 4)
        for error in (fix["arc"], fix["y"]):
            assert abs(error.mean()) < stats.norm.isf(FALSE_ALARM / 16) * fix["sigma"][0] / np.sqrt(4000)
            assert low < error.std(ddof=1) / fix["sigma"][0] < high
        assert abs(np.corrcoef(fix["arc"], fix["y"])[0, 1]) < stats.norm.isf(FALSE_ALARM / 16) / np.sqrt(4000)


def test_the_error_of_the_map_is_one_number_per_run(measure):
    """30 m over 4000 runs; the same at every tick of a run."""
    first, later = (measure(tie=30, run=np.arange(4000), tick=tick) for tick in (0, 70))
    low, high = _sigma_bounds(4000, 2)

    for axis in ("arc", "y"):
        np.testing.assert_array_equal(first[axis], later[axis])
        assert low < first[axis].std(ddof=1) / 30 < high
    assert abs(np.corrcoef(first["arc"], first["y"])[0, 1]) < stats.norm.isf(FALSE_ALARM / 4) / np.sqrt(4000)


def test_false_matches_come_as_often_as_stated_and_lie_anywhere_within_their_extent(measure):
    """1 % of 100 000 fixes are uniform within 1 km of the truth; the others are what they are without false matches."""
    ticks = np.arange(100_000)
    fix = measure(fraction=0.01, false_match=0.01, tick=ticks)
    honest = measure(fraction=0.01, tick=ticks)
    wrong = fix["false_match"] == 1
    low, high = stats.binom.ppf([FALSE_ALARM / 6, 1 - FALSE_ALARM / 6], len(ticks), 0.01)

    assert low <= wrong.sum() <= high
    for axis in ("arc", "y"):
        np.testing.assert_array_equal(fix[axis][~wrong], honest[axis][~wrong])
        uniform = stats.kstest(fix[axis][wrong], stats.uniform(-1000, 2000).cdf)
        assert uniform.pvalue > FALSE_ALARM / 6
    assert not honest["false_match"].any()


# ---- limits


def test_there_is_a_fix_only_inside_the_height_window(measure):
    """100 m to 15 km above the ground."""
    np.testing.assert_array_equal(measure(np.array([99, 101, 14_999, 15_001]))["valid"], [0, 1, 1, 0])
