"""The ground as grids: where they lie on the Moon, heights between them, how two of them join, how steep they are."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from mcrisk import relief as relief_module
from mcrisk import roughness
from mcrisk.errors import MistakeError
from mcrisk.mission import load
from mcrisk.orbit import site_axes
from mcrisk.relief import HEIGHTS, Patch, Projection, Relief, joined

SITE = Projection(math.radians(18.6), math.radians(61.8), math.radians(95.0), -3650.0)


def plane(shape=(81, 41), step=(100.0, 50.0), tilt=(0.05, -0.12), height=-300.0) -> Patch:
    """A tilted plane, whose slopes along x and y are `tilt`."""
    x, y = -6000 + step[0] * np.arange(shape[0]), -1000 + step[1] * np.arange(shape[1])
    return Patch(-6000.0, -1000.0, *step, height + tilt[0] * x[:, None] + tilt[1] * y)


# ---- known answers


def test_the_target_is_the_origin_and_the_track_is_y_zero():
    """One degree of a great circle along the azimuth is R pi / 180 downrange; a step to the left is positive."""
    turn = math.radians(1)
    x, y = SITE.to_grid(SITE.latitude, SITE.longitude)
    forward, left, up = SITE.axes()
    ahead, beside = (math.cos(turn) * up + math.sin(turn) * one for one in (forward, left))
    ahead_at, beside_at = (
        SITE.to_grid(math.asin(one[2]), math.atan2(one[1], one[0])) for one in (ahead, beside)
    )  # fmt: skip

    assert (x, y) == pytest.approx((0, 0), abs=1e-6)
    assert ahead_at == pytest.approx((SITE.radius * turn, 0), abs=1e-6)
    assert beside_at == pytest.approx((0, SITE.radius * math.sin(turn)), abs=1e-6)
    assert SITE.radius == 1737.4e3 - 3650


def test_its_axes_are_those_of_the_kernels_site_frame():
    """`orbit.site_axes` states the pole and the prime meridian in that frame."""
    mission = load("blue_ghost_m1")
    where = Projection(*(mission.value(f"site.{one}") for one in ("latitude", "longitude", "azimuth", "elevation")))
    pole, meridian = site_axes(mission)

    assert where.axes()[:, 2] == pytest.approx(pole, abs=1e-15)
    assert where.axes()[:, 0] == pytest.approx(meridian, abs=1e-15)


def test_grid_coordinates_are_those_that_a_kernel_computes():
    """x = R atan2(X, Z + R), y = R Y / |r| of a point with site components X, Y, Z."""
    rng = np.random.default_rng(1)
    point = rng.uniform([-3e5, -5e4, -2e3], [1e5, 5e4, 3e4], (100, 3)) + np.array([0, 0, SITE.radius])
    fixed = point @ SITE.axes()
    radius = np.linalg.norm(point, axis=1)
    x, y = SITE.to_grid(np.arcsin(fixed[:, 2] / radius), np.arctan2(fixed[:, 1], fixed[:, 0]))

    assert x == pytest.approx(SITE.radius * np.arctan2(point[:, 0], point[:, 2]), abs=1e-6)
    assert y == pytest.approx(SITE.radius * point[:, 1] / radius, abs=1e-6)


# ---- closed forms


@pytest.mark.parametrize("latitude", [0, 45, -89.9, 90])
def test_the_projection_goes_both_ways(latitude):
    """To 1e-6 m, 500 km before the site and 50 km to either side, also over a pole and the date line."""
    where = Projection(math.radians(latitude), math.radians(179.9), math.radians(30), 500.0)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-5e5, 1e5, (40, 1)), rng.uniform(-5e4, 5e4, 30)
    back_x, back_y = where.to_grid(*where.to_moon(x, y))

    assert np.abs(back_x - x).max() < 1e-6
    assert np.abs(back_y - y).max() < 1e-6


def test_equal_areas_stay_equal():
    """Of Lambert's projection: a cell of the grid has the area of its quadrangle on the sphere, anywhere."""
    step = 50.0
    for x, y in ((0, 0), (-4e5, 1e4), (1e5, -9e5)):
        corners = np.array([(0, 0), (step, 0), (0, step)]) + np.array([x, y])
        lat, lon = SITE.to_moon(corners[:, 0], corners[:, 1])
        points = SITE.radius * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
        area = np.linalg.norm(np.cross(points[1] - points[0], points[2] - points[0]))

        assert area == pytest.approx(step**2, rel=2e-4)  # cells are flat here


def test_heights_are_bilinear_and_those_of_the_edge_outside():
    patch = Patch(0.0, 10.0, 2.0, 5.0, np.array([[0, 1], [2, 7]]))

    assert patch.height_at(1, 12.5) == (0 + 1 + 2 + 7) / 4
    assert patch.height_at([0, 2, 0.5], [10, 15, 10]) == pytest.approx([0, 7, 0.5])
    assert patch.height_at([-9, 99], [0, 99]) == pytest.approx([0, 7])
    assert plane().height_at(-1234.5, 321) == pytest.approx(-300 - 0.05 * 1234.5 - 0.12 * 321, abs=1e-4)


def test_a_tilted_plane_has_its_slope_at_every_baseline():
    """atan hypot(0.05, 0.12) = atan 0.13, 7.41 deg, to the digits of float32 heights."""
    for baseline in (100, 317, 1000):
        assert roughness.slopes(plane(), baseline) == pytest.approx(math.atan(0.13), rel=1e-5)
        assert roughness.slope_map(plane(), baseline) == pytest.approx(math.atan(0.13), rel=1e-5)
    assert roughness.slope_map(plane(), 300).shape == plane().heights.shape
    assert roughness.percentiles(plane(), 100)[0.5] == pytest.approx(math.atan(0.13), rel=1e-5)


def test_white_noise_and_a_wave_have_their_deviograms():
    """nu of white noise is sigma sqrt 2 at any length: a Hurst exponent of 0; a long wave's grows as L: of 1."""
    x = np.arange(800)
    noise = Patch(0, 0, 1, 1, np.random.default_rng(3).normal(0, 2, (800, 800)))
    wave = Patch(0, 0, 1, 1, np.sin(2 * np.pi * (x[:, None] + x) / 800))

    assert roughness.deviogram(noise)[1] == pytest.approx(2 * math.sqrt(2), rel=0.01)
    assert roughness.hurst(noise) == pytest.approx(0, abs=0.01)
    assert roughness.hurst(wave, [2, 4, 8, 16]) == pytest.approx(1, abs=0.02)
    assert math.isnan(roughness.hurst(Patch(0, 0, 1, 1, np.zeros((9, 9)))))


# ---- two grids


def relief(offset=5.0) -> Relief:
    rng = np.random.default_rng(4)
    strip = Patch(-2000.0, -1000.0, 100.0, 50.0, rng.normal(0, 30, (41, 41)))
    site = Patch(-433.0, -211.0, 7.0, 7.0, offset + rng.normal(0, 3, (121, 61)))
    return joined(strip, site, ("made up",))


def test_the_site_patch_lies_on_cells_of_the_strip_and_divides_them():
    made = relief()

    assert (made.site.x_first, made.site.x_last, made.site.y_first, made.site.y_last) == (-400, 400, -200, 200)
    assert made.site.x_step == pytest.approx(100 / 15)
    assert made.site.y_step == 6.25
    assert made.notes[0] == "made up"
    assert "the outermost 10 % of the site patch turn into the strip" in made.notes[1]


def test_there_is_no_step_at_the_border_of_the_site_patch():
    """Equal on the border itself to the digits of float32, and close to it within what slopes allow."""
    made = relief()
    along = np.linspace(-400, 400, 2001)
    across = np.linspace(-200, 200, 2001)
    borders = [(along, -200.0), (along, 200.0), (-400.0, across), (400.0, across)]

    for x, y in borders:
        assert made.site.height_at(x, y) == pytest.approx(made.strip.height_at(x, y), abs=1e-5)
        near = made.height_at(np.multiply(x, 1 + 1e-9), np.multiply(y, 1 + 1e-9))
        assert made.height_at(x, y) == pytest.approx(near, abs=1e-4)


def test_inside_the_site_patch_is_what_was_given():
    rng = np.random.default_rng(5)
    strip = Patch(-1000.0, -1000.0, 100.0, 100.0, np.zeros((21, 21)))
    site = Patch(-300.0, -300.0, 10.0, 10.0, rng.normal(0, 3, (61, 61)))
    made = joined(strip, site)

    assert (made.site.heights[7:-7, 7:-7] == site.heights[7:-7, 7:-7]).all()
    assert made.height_at(11.3, -7.1) == made.site.height_at(11.3, -7.1)
    assert made.height_at(700, 700) == 0
    assert made.size == 21 * 21 + 61 * 61


def test_examples_of_the_documentation_run():
    assert doctest.testmod(relief_module).failed == 0


# ---- refusals


def test_heights_that_are_none_are_refused():
    with pytest.raises(MistakeError, match="heights: expected finite numbers, got 1 of 4 that are not"):
        Patch(0, 0, 1, 1, np.array([[0, 1], [np.nan, 3]]))
    with pytest.raises(MistakeError, match="at least 2 x 2 of them, got 1 x 4"):
        Patch(0, 0, 1, 1, np.zeros((1, 4)))
    with pytest.raises(MistakeError, match="cell: expected sizes above zero, got 0 m x 1 m"):
        Patch(0, 0, 0, 1, np.zeros((2, 2)))
    with pytest.raises(MistakeError, match="x: expected numbers, got nan"):
        plane().height_at(math.nan, 0)
    with pytest.raises(ValueError, match="read-only"):
        plane().heights[0, 0] = 1


def test_too_many_heights_are_refused_with_cells_that_would_do():
    """1 200 x 1 000 cells of 10 m: sqrt(1.2e6 / 2^20) = 1.07 times that, in two digits 11 m."""
    with pytest.raises(
        MistakeError, match=r"at most 1,048,576 heights in all, got 1,200,000; cells of 11 m for the strip"
    ):
        Relief(Patch(0, 0, 10, 10, np.zeros((1200, 1000))))
    assert Relief(Patch(0, 0, 11, 11, np.zeros((1092, 910)))).size < HEIGHTS


def test_patches_that_do_not_fit_are_refused():
    strip = Patch(0, 0, 100, 100, np.zeros((11, 11)))
    with pytest.raises(
        MistakeError, match="site patch: expected borders on those of the strip's cells, got x from 50 m"
    ):
        Relief(strip, Patch(50, 100, 10, 10, np.zeros((21, 21))))
    with pytest.raises(MistakeError, match="expected borders"):
        Relief(strip, Patch(900, 100, 10, 10, np.zeros((21, 21))))
    with pytest.raises(MistakeError, match="at least one whole cell of the strip"):
        joined(strip, Patch(110, 110, 10, 10, np.zeros((5, 5))))


def test_baselines_that_a_grid_cannot_show_are_refused():
    for baseline in (20, 1e5, math.nan):
        with pytest.raises(MistakeError, match="baseline: expected from 100 m, a cell, to the size of the patch"):
            roughness.slopes(plane(), baseline)
