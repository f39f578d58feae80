"""Kinds of ground: slopes at each length, and rocks by the area law, against numerical integration and tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from mcrisk import regions, synthetic
from mcrisk.errors import MistakeError


def test_slopes_scale_as_the_hurst_exponent_says():
    """tan s(L) = tan s(17 m) (L / 17 m)^(H - 1): maria 2.0 deg, at 5 m 2.7, at 100 m 1.3; highlands 7.5, 8.0, 6.9."""
    for name, expected in (("mare", (2.0, 2.7, 1.3)), ("highland", (7.5, 8.0, 6.9))):
        found = np.degrees(regions.slope_at(regions.find(name), [17, 5, 100]))

        assert found == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("share", [0.005, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("diameter", [0.1, 0.5, 1.5])
def test_rocks_cover_the_area_that_the_law_says(share, diameter):
    """Their number density n(D) = -dN/dD times pi D^2 / 4, integrated from D up, is k exp(-q D)."""
    step = 1e-4 * diameter
    narrow, wide = regions.rocks_per_area(share, [diameter - step, diameter + step])
    density = (narrow - wide) / (2 * step)
    slope = (regions.rock_area(share, diameter - step) - regions.rock_area(share, diameter + step)) / (2 * step)

    assert density * math.pi * diameter**2 / 4 == pytest.approx(slope, rel=1e-5)
    q = 1.79 + 0.152 / share
    number = quad(lambda d: 4 * share * q * math.exp(-q * d) / (math.pi * d * d), diameter, np.inf, epsrel=1e-10)[0]
    assert float(regions.rocks_per_area(share, diameter)) == pytest.approx(number, rel=1e-6, abs=1e-30)


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1e-5), (0.02, 0.0024), (0.05, 0.075), (0.1, 0.29)])
def test_the_probability_of_a_rock_under_a_lander(share, expected):
    """Higher than 0.3 m on a disc of 2 m radius: by hand from N(0.6 m)."""
    kind = regions.find("mare")
    number = float(regions.rocks_per_area(share, 0.6)) * math.pi * 4

    assert 1 - math.exp(-number) == pytest.approx(expected, rel=0.5)  # the table has one or two digits
    probability = float(regions.rock_probability(kind, 0.3, math.pi * 4))
    assert probability == pytest.approx(1 - math.exp(-float(regions.rocks_per_area(0.01, 0.6)) * math.pi * 4), rel=1e-9)


def test_higher_rocks_and_smaller_areas_are_less_likely():
    kind = regions.find("ejecta")
    by_height = regions.rock_probability(kind, [0.1, 0.2, 0.4, 0.8], 10.0)

    assert (np.diff(by_height) < 0).all()
    assert regions.rock_probability(kind, 0.2, 1.0) < by_height[1]
    assert regions.rock_probability(kind, 0.2, 0.0) == 0


def test_every_number_has_a_source_and_a_letter():
    for kind in regions.REGIONS.values():
        for name, one in vars(kind).items():
            if name != "name":
                assert one.letter in "SRE", name
                assert len(one.source) > 15, name
                assert one.value > 0, name
        assert 0.5 < kind.hurst.value < 1
        assert kind.crater_least.value < kind.crater_most.value
        assert kind.crater_depth_least.value < kind.crater_depth_most.value


def test_unknown_kinds_and_impossible_sizes_are_refused():
    with pytest.raises(MistakeError, match="one of mare, highland, ejecta, got 'higland'; did you mean 'highland'"):
        regions.find("higland")
    with pytest.raises(MistakeError, match="diameter: expected above 0 m, got 0 m"):
        regions.rocks_per_area(0.01, [0.5, 0.0])
    with pytest.raises(MistakeError, match=r"rock share: expected between 0 and 1, got 1\.2"):
        regions.rocks_per_area(1.2, 1.0)
    with pytest.raises(MistakeError, match="baseline"):
        regions.slope_at(regions.find("mare"), -1.0)


@pytest.mark.parametrize("name", ["mare", "highland", "ejecta"])
@pytest.mark.parametrize("cell", [10.0, 20.0, 100.0])
def test_model_and_pad_together_have_the_slopes_of_the_region(name, cell):
    """Hills in bilinear cells, and what the pad adds below them: the region's median at 5 m within 6 %."""
    kind = regions.find(name)
    place = synthetic.grid(-100 * cell, 100 * cell, cell)
    share = np.random.default_rng(1).random((2, len(place) - 1, len(place) - 1))
    squares = []
    for seed in range(6):
        z = synthetic.fractal(kind, seed, place, place, cell)
        along, across = np.diff(z, axis=0) / cell, np.diff(z, axis=1) / cell
        rise_x = along[:, :-1] + share[0] * np.diff(along, axis=1)
        rise_y = across[:-1] + share[1] * np.diff(across, axis=0)
        squares.append(np.mean(rise_x**2 + rise_y**2))
    hills = regions.find(name).hills.value
    pad = math.tan(regions.pad_values(kind, cell=cell)["terrain.cell_slope"] / hills)
    median = math.sqrt(math.log(2) * (np.mean(squares) + 2 * pad**2))

    assert median == pytest.approx(math.tan(float(regions.slope_at(kind, 5.0))), rel=0.06)


@pytest.mark.parametrize("cell", [1.0, 2.5, 4.0])
def test_no_crater_is_on_the_model_and_on_the_pad(cell):
    """Where the model's begin, at three cells, those of the pad end."""
    kind, place = regions.find("mare"), synthetic.grid(-400, 400, cell)
    drawn = synthetic.craters(kind, 1, place, place, cell)
    largest = regions.pad_values(kind, cell=cell)["terrain.crater_largest"]

    assert largest <= min(one.diameter for one in drawn) < 1.1 * largest
