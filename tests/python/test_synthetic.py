"""Ground from a seed: its bits, its slopes and Hurst exponent, its craters."""

from __future__ import annotations

import dataclasses
import hashlib
import math

import numpy as np
import pytest

from mcrisk import regions, roughness, synthetic
from mcrisk.errors import MistakeError
from mcrisk.relief import Patch
from mcrisk.synthetic import Crater

SMALL = {"length_before": 6e3, "length_after": 2e3, "half_width": 2e3, "site_half_width": 500.0, "site_cell": 5.0}


def windows(kind, cell, half, count, share=1.0, small_craters=False) -> list[Patch]:
    """Places 20 km and more apart, whose hills have nothing to do with each other: a sample of the whole region."""
    found = []
    for k in range(count):
        x = synthetic.grid(k * 20003.0 - half, k * 20003.0 + half, cell)
        y = synthetic.grid(k * 1237.0 - half, k * 1237.0 + half, cell)
        heights = synthetic.fractal(kind, 11, x, y, cell) * share
        if small_craters:
            for crater in synthetic.craters(kind, 11, x, y, cell):
                synthetic._dig(heights, x, y, crater, synthetic.REACH)
        found.append(Patch(x[0], y[0], cell, cell, heights))
    return found


def median_slope(patches, baseline) -> float:
    """[deg] of all patches together."""
    return math.degrees(np.median(np.concatenate([roughness.slopes(one, baseline).ravel() for one in patches])))


def hurst_of(patches, cells) -> float:
    """Slope of the line through the logarithms of nu, of all patches together."""
    nu = [np.mean([np.mean((p.heights[n:].astype(float) - p.heights[:-n]) ** 2) for p in patches]) for n in cells]
    return float(np.polyfit(np.log(cells), np.log(nu), 1)[0] / 2)


# ---- known answers


def test_the_bits_of_a_seed_never_change():
    """Of this sum and no other, on every machine: only exact operations make a height (see the module)."""
    made = synthetic.ground("mare", 7, **SMALL, named=[Crater(100.0, 50.0, 400.0, 60.0, 12.0)])
    digest = hashlib.sha256(made.strip.heights.tobytes() + made.site.heights.tobytes()).hexdigest()

    assert digest[:16] == "65ef9ea090fb2ac5"


def test_pikes_craters():
    """10 km: 2.0 km deep, rim 0.37 km; 87 km, as Atlas: 4.0 km and 1.4 km; the two laws meet near 11 and 20 km."""
    assert synthetic.fresh_depth(10e3) == pytest.approx(2006, abs=1)
    assert synthetic.fresh_rim(10e3) == pytest.approx(372, abs=1)
    assert synthetic.fresh_depth(87e3) == pytest.approx(4004, abs=5)
    assert synthetic.fresh_rim(87e3) == pytest.approx(1402, abs=5)


# ---- closed forms


def test_a_stated_crater_has_its_shape():
    """A bowl rim - depth (1 - (r/R)^2), ejecta rim (r/R)^-3, no step at the rim; added to the ground as it is."""
    ratio = np.array([0, 0.5, 1 - 1e-9, 1, 2, 4])
    expected = [12 - 60, 12 - 45, 12, 12, 12 / 8, 12 / 64]

    assert synthetic.crater_height(ratio, 60, 12) == pytest.approx(expected, abs=1e-6)
    cut = synthetic.crater_height(ratio, 60, 12, reach=4.0)
    assert cut[:4] == pytest.approx(expected[:4], abs=1e-6)
    assert cut[5] == 0
    plain = synthetic.ground("mare", 7, **SMALL, small_craters=False)
    dug = synthetic.ground("mare", 7, **SMALL, small_craters=False, named=[Crater(0.0, 0.0, 400.0, 60.0, 12.0)])
    for x, y, height in ((0, 0, -48), (100, 0, -33), (0, -200, 12), (300, 0, 12 / 1.5**3)):
        added = dug.height_at(x, y) - plain.height_at(x, y)
        assert added == pytest.approx(height + 48, abs=3e-3)  # over the target, and rounded to 1 mm
    assert dug.height_at(0, 0) == plain.height_at(0, 0) == 0
    assert "crater of 400 m at 0 m downrange, 0 m left: 60 m deep, rim 12 m" in dug.notes


def test_noise_is_nearly_normal():
    """Mean 0, variance 1, the kurtosis 3 - 1.2 / 4 of a sum of four even numbers; rows know nothing of each other."""
    noise = synthetic._noise(3, 5, np.arange(-300, 300), np.arange(100, 500))

    assert noise.mean() == pytest.approx(0, abs=4 / math.sqrt(noise.size))
    assert noise.var() == pytest.approx(1, abs=0.01)
    assert np.mean(noise**4) == pytest.approx(2.7, abs=0.03)
    assert np.mean(noise[1:] * noise[:-1]) == pytest.approx(0, abs=4 / math.sqrt(noise.size))


# ---- invariants


def test_a_place_is_the_same_in_any_window():
    kind = regions.find("highland")
    x, y = synthetic.grid(-5000, 3000, 50.0), synthetic.grid(-2000, 2000, 50.0)
    whole = synthetic.fractal(kind, 9, x, y, 50.0)
    part = synthetic.fractal(kind, 9, x[40:60], y[10:30], 50.0)

    assert (part == whole[40:60, 10:30]).all()
    inside = [one for one in synthetic.craters(kind, 9, x, y, 50.0) if abs(one.x) < 1200 and abs(one.y) < 1200]
    assert inside
    near = synthetic.grid(-1200, 1200, 50.0)
    found = synthetic.craters(kind, 9, near, near, 50.0)
    assert [one for one in found if abs(one.x) < 1200 and abs(one.y) < 1200] == inside


def test_the_strip_and_the_site_patch_show_the_same_ground():
    """The patch adds what is smaller than the strip's cells of 100 m: less than the strip's own heights by far."""
    made = synthetic.ground("highland", 4, small_craters=False)
    away = made.site.heights - made.strip.height_at(made.site.x[:, None], made.site.y)

    assert away.std() < 0.1 * made.strip.heights.std()
    assert made.strip.contains(0, 0)
    assert made.strip.heights.shape == (801, 201)
    assert made.site.heights.shape == (801, 801)


def test_seeds_make_other_ground():
    one, other = (synthetic.ground("mare", seed, **SMALL).strip.heights for seed in (1, 2**64 - 1))

    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.9
    assert not (one == other).any(axis=1).all()


# ---- statistics


@pytest.mark.parametrize("name", list(regions.REGIONS))
def test_hills_have_the_regions_slope_and_hurst_exponent(name):
    """Median of 17 m slopes within 6 % and Hurst exponent from 10 to 80 m within 0.03: 300 places scatter by 3 %."""
    kind = regions.find(name)
    sample = windows(kind, 2.5, 50.0, 300)

    assert median_slope(sample, 17.5) == pytest.approx(math.degrees(kind.slope.value), rel=0.06)
    assert hurst_of(sample, [4, 8, 16, 32]) == pytest.approx(kind.hurst.value, abs=0.03)


def test_the_hurst_exponent_holds_up_to_a_kilometre():
    kind = regions.find("mare")

    assert hurst_of(windows(kind, 50.0, 2000.0, 40), [4, 8, 20]) == pytest.approx(kind.hurst.value, abs=0.05)


@pytest.mark.parametrize("name", list(regions.REGIONS))
def test_ground_with_craters_keeps_the_regions_median_slope(name):
    """Within 8 %: the share that hills have of it was found by trial."""
    kind = regions.find(name)
    sample = windows(kind, 2.5, 50.0, 180, kind.hills.value, small_craters=True)

    assert median_slope(sample, 17.5) == pytest.approx(math.degrees(kind.slope.value), rel=0.08)


def test_craters_are_as_many_as_the_law_says():
    """N(>= D) = c D^-2 on 100 km^2, within four sigma of a count; depths between the region's, rims in proportion."""
    kind = regions.find("highland")
    x = synthetic.grid(-5000, 5000, 10.0)
    found = [one for one in synthetic.craters(kind, 2, x, x, 10.0) if abs(one.x) <= 5000 and abs(one.y) <= 5000]
    diameters = np.array([one.diameter for one in found])

    for least in (30, 60, 120, 200, 400):
        # up to the largest: c (D^-2 - Dmost^-2)
        expected = kind.crater_density.value * (least**-2 - kind.crater_most.value**-2) * 1e8
        assert (diameters >= least).sum() == pytest.approx(expected, abs=4 * math.sqrt(expected))
    assert diameters.min() >= 30
    shares = np.array([one.depth / one.diameter for one in found])
    assert shares.min() >= kind.crater_depth_least.value
    assert shares.max() <= kind.crater_depth_most.value
    assert np.median(1 / shares) == pytest.approx((1 / 0.03 + 1 / 0.15) / 2, rel=0.05)
    assert all(one.rim_height == pytest.approx(one.depth * 0.036 / 0.196) for one in found)


# ---- refusals


def test_impossible_ground_is_refused():
    with pytest.raises(MistakeError, match="terrain class: expected one of mare, highland, ejecta, got 'sea'"):
        synthetic.ground("sea", 0)
    with pytest.raises(MistakeError, match="seed: expected 0 to 2"):
        synthetic.ground("mare", -1, **SMALL)
    with pytest.raises(MistakeError, match="at most 1,048,576 heights in all"):
        synthetic.ground("mare", 0, cell=30.0)
    with pytest.raises(MistakeError, match="crater: expected a diameter above zero"):
        Crater(0, 0, -5, 1)
    with pytest.raises(MistakeError, match="cell: expected a size above zero"):
        synthetic.ground("mare", 0, cell=0.0)
    own = dataclasses.replace(regions.find("mare"), name="my own")
    assert synthetic.ground(own, 0, **SMALL).notes[0].startswith("synthetic my own, seed 0")
