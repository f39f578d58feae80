"""Ground with the statistics of a kind of region, made from a seed: no file is read.

Heights are a sum of octaves. Each is white noise on a lattice of 2^n m, smoothed by cubic B-splines, which makes it a
nearly isotropic hill of about the lattice's width; amplitudes grow as width^H, and the widest octave carries what wider
ones would add to slopes. Small craters of the equilibrium population lie on top. Everything is addressed by (seed,
octave, place) and nothing is consumed: another window, another cell, the strip and the site patch see the same hills
and the same craters, each of them down to its own cells.

Why no Fourier transform: two FFT libraries differ in the last digits, and so do vectorised exp() and cos(). Rounding
heights to 1 mm would hide that from nearly all, but not from all, of a million heights. Here only integers and single
additions, multiplications, divisions and square roots make a height, which IEEE 754 fixes to the bit; the few constants
that take a power are rounded to six digits. So the same seed gives the same bits everywhere. Heights are still
rounded to 1 mm, as no model knows more.

What it is not: craters steepen what is steep and end at a diameter, so that the Hurst exponent of cratered ground,
which is made of squares, is lower than that of its hills (of maria 0.6 to 0.7 instead of 0.76), while medians of slopes
keep to their law within 15 % from 5 to 100 m. There are no ridges, rilles or large craters: state these by `Crater`.

Sources: fractional Brownian ground: Mandelbrot 1982; octaves of splines: Meyer, Sellan & Taqqu 1999; craters: Pike 1977
(Impact and Explosion Cratering, 489), Trask 1966, Minton et al. 2019 (Icarus 326, 63).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import regions
from .errors import MistakeError
from .regions import BASELINE, CELL, CRATER_CELLS, SITE_CELL, Region
from .relief import HEIGHTS, Patch, Relief, check_size, joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["Crater", "crater_height", "craters", "fractal", "fresh_depth", "fresh_rim", "grid", "ground"]

LEAST_OCTAVE = -2  # 0.25 m
TILE = 64  # [] lattice points of a tile, which are drawn at once
REACH = 4.0  # [radius] from the middle of a drawn crater to where its ejecta end
# Streams of the numbers drawn at a lattice point; never renumbered.
HILL, IS_THERE, PLACE_X, PLACE_Y, SIZE, FRESHNESS, SHIFT = range(7)
NORMAL = math.sqrt(4 * (65536**2 - 1) / 12)  # sigma of the sum of four whole numbers from 0 to 65535
SPLINE = 151 / 315  # of the noise's variance left by cubic B-splines, in each direction: the integral of their square


@dataclass(frozen=True)
class Crater:
    """A bowl with a raised rim: middle, diameter from crest to crest, depth below the crest, rim above ground [m]."""

    x: float
    y: float
    diameter: float
    depth: float
    rim_height: float = 0.0

    def __post_init__(self) -> None:
        if not (self.diameter > 0 and self.depth >= 0 and self.rim_height >= 0):
            got = f"{self.diameter:g} m wide, {self.depth:g} m deep, rim of {self.rim_height:g} m"
            raise MistakeError("crater", "a diameter above zero, depth and rim of at least zero", got)


def crater_height(ratio: Reals, depth: float, rim_height: float, reach: float = math.inf) -> Reals:
    """Height [m] that a crater adds, at distances from its middle in radii: rim - depth (1 - ratio^2) inside.

    Outside rim ratio^-3; with a finite `reach` that is lessened so as to end there at zero, and the rim stays.
    """
    bowl = rim_height - depth * (1 - ratio * ratio)
    far = np.maximum(ratio, 1.0)
    end = 1 / (reach * reach * reach) if math.isfinite(reach) else 0.0
    ejecta = np.maximum(rim_height * ((1 / (far * far * far) - end) / (1 - end)), 0.0)
    return np.where(ratio < 1, bowl, ejecta)


def fresh_depth(diameter: float) -> float:
    """Depth of a fresh crater [m]: 0.196 D^1.010 below 15 km, 1.044 D^0.301 above, in km (Pike 1977)."""
    wide = diameter / 1000
    return float(1000 * min(0.196 * wide**1.010, 1.044 * wide**0.301))


def fresh_rim(diameter: float) -> float:
    """Height of its rim [m]: 0.036 D^1.014 below 15 km, 0.236 D^0.399 above, in km (Pike 1977)."""
    wide = diameter / 1000
    return float(1000 * min(0.036 * wide**1.014, 0.236 * wide**0.399))


def grid(first: float, last: float, cell: float) -> Reals:
    """Whole multiples of a cell that cover a span [m]: the target always lies on a height."""
    if not (cell > 0 and last > first and math.isfinite((last - first) / cell)):
        raise MistakeError("cell", "a size above zero", f"{cell:g} m")
    if (last - first) / cell > HEIGHTS:  # before memory is asked for
        got = f"{(last - first) / cell:.3g} along a side, in cells of {cell:g} m"
        raise MistakeError("ground", f"at most {HEIGHTS:,} heights in all", got, "take larger cells or less ground")
    return cell * np.arange(math.floor(first / cell + 1e-6), math.ceil(last / cell - 1e-6) + 1, dtype=np.float64)


def ground(
    region: Region | str,
    seed: int,
    *,
    length_before: float = 60e3,
    length_after: float = 20e3,
    half_width: float = 10e3,
    cell: float = CELL,
    site_half_width: float = 1000.0,
    site_cell: float | None = SITE_CELL,
    small_craters: bool = True,
    named: Sequence[Crater] = (),
) -> Relief:
    """A strip and a site patch of a kind of region; the same for the same seed, whatever the sizes and cells.

    All lengths in m; heights count from the ground at the target. `site_cell=None` leaves the site patch out.
    `small_craters=False` leaves the hills alone, which then have the region's median slope by themselves. `named`: more
    craters, on both patches.
    Raises MistakeError for an unknown region, a seed outside 0 .. 2^64 - 1, or more than 2^20 heights.
    """
    kind = regions.find(region) if isinstance(region, str) else region
    lengths = (length_before, length_after, half_width, site_half_width)
    if not all(math.isfinite(one) and one >= 0 for one in lengths):
        raise MistakeError(
            "ground", "lengths and half-widths of at least 0 m", ", ".join(f"{one:g} m" for one in lengths)
        )
    if site_cell is not None and not site_cell > 0:
        raise MistakeError("site_cell", "a size above zero, or None", f"{site_cell:g} m")
    x, y = grid(-length_before, length_after, cell), grid(-half_width, half_width, cell)
    spans = [(x, y, cell)]
    if site_cell is not None:
        cell_of_site = cell / max(math.ceil(cell / site_cell - 1e-6), 1)
        edge = cell * max(math.floor(site_half_width / cell + 1e-6), 1)
        one = grid(-edge, edge, cell_of_site)
        spans.append((one, one, cell_of_site))
    check_size([(len(one[0]), len(one[1])) for one in spans], [(one[2], one[2]) for one in spans])
    made, counts = [], []
    for along, across, step in spans:
        share = kind.hills.value if small_craters else 1.0
        heights = fractal(kind, seed, along, across, step) * share
        drawn = craters(kind, seed, along, across, step) if small_craters else []
        for crater in drawn:
            _dig(heights, along, across, crater, REACH)
        for crater in named:
            _dig(heights, along, across, crater, math.inf)
        counts.append(len(drawn))
        made.append(np.rint(heights * 1000) / 1000)
    along, across, _ = spans[-1]
    target = made[-1][np.searchsorted(along, 0.0), np.searchsorted(across, 0.0)]
    patches = [
        Patch(float(x[0]), float(y[0]), step, step, (heights - target).astype(np.float32))
        for (x, y, step), heights in zip(spans, made, strict=True)
    ]
    notes = [
        f"synthetic {kind.name}, seed {seed}: median slope {math.degrees(kind.slope.value):.1f} deg at {BASELINE:g} m, "
        f"Hurst exponent {kind.hurst.value:g} up to {kind.outer_scale.value / 1000:.3g} km"
    ]
    if small_craters:
        where = ("strip", "site patch")[: len(counts)]
        many = " and ".join(f"{count} on the {one}" for count, one in zip(counts, where, strict=True))
        notes.append(
            f"craters by N(>= D) = {kind.crater_density.value:g} D^-2 up to {kind.crater_most.value:g} m and from "
            f"{CRATER_CELLS:g} cells: {many}"
        )
    notes += [
        f"crater of {one.diameter:g} m at {one.x:g} m downrange, {one.y:g} m left: {one.depth:g} m deep, rim "
        f"{one.rim_height:g} m"
        for one in named
    ]
    if len(patches) == 1:
        return Relief(patches[0], None, tuple(notes))
    return joined(patches[0], patches[1], tuple(notes))


def fractal(region: Region, seed: int, x: Reals, y: Reals, cell: float) -> Reals:
    """Hills (len(x), len(y)) [m] at grid coordinates x and y [m], of all octaves down to `cell` [m].

    Their median slope is that of the region, from about three cells up to its outer scale.
    """
    heights = np.zeros((len(x), len(y)))
    for octave, sigma in _octaves(region):
        width = 2.0**octave
        if width < cell * (1 - 1e-9):
            continue
        # Ground is flatter at a lattice point than between them, and the target must not lie on one in every octave.
        shift = _even(_drawn(seed, SHIFT, octave, np.arange(1), np.arange(2)))[0]
        rows, columns = _weights(x / width + shift[0]), _weights(y / width + shift[1])
        noise = _noise(seed, octave, rows[0], columns[0])
        between = np.zeros((len(x), noise.shape[1]))
        for k, weight in enumerate(rows[1]):
            between += weight[:, None] * noise[rows[2] + k]
        whole = np.zeros(heights.shape)
        for k, weight in enumerate(columns[1]):
            whole += weight * between[:, columns[2] + k]
        heights += sigma * whole
    return heights


def craters(region: Region, seed: int, x: Reals, y: Reals, cell: float) -> list[Crater]:
    """The small craters that reach into a window and are at least three cells wide, from large to small.

    Each lattice point of an octave of diameters has one or none, so that N(>= D) = c D^-2 on average. Soil creep makes
    a bowl shallower as 1 / (1 + time): in equilibrium 1 / depth is even between that of the least and of the most depth
    of the region, and few craters are fresh. Rims are in Pike's proportion to depths.
    """
    least = max(region.crater_least.value, CRATER_CELLS * cell)
    found: list[Crater] = []
    octave = math.ceil(math.log2(region.crater_most.value)) - 1
    while 2.0 ** (octave + 1) > least:
        found += _craters_of(region, seed, octave, (x[0], x[-1], y[0], y[-1]), least)
        octave -= 1
    return found


def _craters_of(
    region: Region, seed: int, octave: int, window: tuple[float, float, float, float], least: float
) -> list[Crater]:
    """The craters with diameters from 2^octave m to twice that."""
    width = 2.0**octave
    margin = REACH * width  # the largest radius is `width`
    i = np.arange(math.floor((window[0] - margin) / width), math.ceil((window[1] + margin) / width) + 1)
    j = np.arange(math.floor((window[2] - margin) / width), math.ceil((window[3] + margin) / width) + 1)
    # c (D^-2 - (2 D)^-2) of them on D^2
    chance = 0.75 * region.crater_density.value
    there = _drawn(seed, IS_THERE, octave, i, j) < np.uint64(int(chance * 2.0**64))
    rows, columns = np.nonzero(there)

    def even(stream: int) -> Reals:
        return _even(_drawn(seed, stream, octave, i, j)[rows, columns])

    middle_x = (i[rows] + even(PLACE_X)) * width
    middle_y = (j[columns] + even(PLACE_Y)) * width
    diameter = width / np.sqrt(1 - 0.75 * even(SIZE))
    fresh = even(FRESHNESS)
    shallow, deep = region.crater_depth_least.value, region.crater_depth_most.value
    found = []
    for k in np.argsort(-diameter, kind="stable"):
        wide = float(diameter[k])
        reach = REACH * wide / 2
        across = (
            window[0] - reach <= middle_x[k] <= window[1] + reach
            and window[2] - reach <= middle_y[k] <= window[3] + reach
        )
        if across and least <= wide <= region.crater_most.value:
            depth = min(wide * shallow * deep / (shallow + (deep - shallow) * float(fresh[k])), _six(fresh_depth(wide)))
            found.append(Crater(float(middle_x[k]), float(middle_y[k]), wide, depth, depth * (0.036 / 0.196)))
    return found


def _dig(heights: Reals, x: Reals, y: Reals, crater: Crater, reach: float) -> None:
    """Add a crater to heights over x and y."""
    radius = crater.diameter / 2
    limits = []
    for values, middle in ((x, crater.x), (y, crater.y)):
        low = np.searchsorted(values, middle - reach * radius)
        limits.append(slice(int(low), int(np.searchsorted(values, middle + reach * radius, side="right"))))
    rows, columns = limits
    away_x, away_y = (x[rows] - crater.x) / radius, (y[columns] - crater.y) / radius
    ratio = np.sqrt((away_x * away_x)[:, None] + away_y * away_y)
    heights[rows, columns] += crater_height(ratio, crater.depth, crater.rim_height, reach)


def _octaves(region: Region) -> list[tuple[int, float]]:
    """Octave n (of 2^n m) and sigma [m] of its noise, from wide to narrow.

    Noise smoothed by cubic B-splines on a lattice w has the covariance of a B-spline of degree 7, nearly a Gaussian of
    0.82 w. Octaves with variances A w^(2H) add up to nu(L)^2 = A' L^(2H); those above the widest would add
    A'' L^2 sum w^(2H-2), a geometric series that the widest takes over.
    """
    h = region.hurst.value
    top = round(math.log2(region.outer_scale.value))
    decay = 2.0 ** (2 * h - 2)
    wanted = BASELINE * math.tan(region.slope.value) / math.sqrt(2 * math.log(2))  # nu of Gaussian slopes' median
    octaves = range(top, LEAST_OCTAVE - 1, -1)
    power = {n: 2.0 ** (2 * h * n) for n in octaves}
    power[top] *= 1 / (1 - decay)
    nu = math.fsum(2 * one * SPLINE * (SPLINE - _likeness(BASELINE / 2.0**n)) for n, one in power.items())
    unit = wanted / math.sqrt(nu)
    return [(n, _six(unit * math.sqrt(one))) for n, one in power.items()]


def _likeness(distance: float) -> float:
    """Covariance of splined noise at a distance in lattice widths, averaged over places: the B-spline of degree 7."""
    powers = ((-1) ** k * math.comb(8, k) * max(abs(distance) + 4 - k, 0.0) ** 7 for k in range(9))
    return math.fsum(powers) / math.factorial(7) if abs(distance) < 4 else 0.0


def _weights(place: Reals) -> tuple[NDArray[np.int64], list[Reals], NDArray[np.int64]]:
    """The lattice lines that places (in lattice widths) need, their four B-spline weights, the first line of each."""
    base = np.floor(place)
    f = place - base
    g = 1 - f
    squared, cubed = f * f, f * f * f
    weights = [
        g * g * g / 6,
        (4 - 6 * squared + 3 * cubed) / 6,
        (1 + 3 * f + 3 * squared - 3 * cubed) / 6,
        cubed / 6,
    ]
    first = base.astype(np.int64) - 1
    lines = np.arange(first.min(), first.max() + 4)
    return lines, weights, first - lines[0]


def _noise(seed: int, octave: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Reals:
    """Nearly normal noise of unit variance on lattice lines: sums of four even 16-bit numbers, exact."""
    word = _drawn(seed, HILL, octave, rows, columns)
    total = np.zeros(word.shape, np.int64)
    for shift in (0, 16, 32, 48):
        total += ((word >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)
    found: Reals = (total - 2 * 65535) / NORMAL
    return found


def _drawn(
    seed: int, stream: int, octave: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """64 random bits for each lattice point of successive rows and columns: a function of its address alone."""
    if not 0 <= seed < 1 << 64:
        raise MistakeError("seed", "0 to 2^64 - 1", str(seed))
    tiles = [range(int(one[0]) // TILE, int(one[-1]) // TILE + 1) for one in (rows, columns)]
    key = np.array([seed, (octave - LEAST_OCTAVE) << 8 | stream], np.uint64)
    whole = np.block(
        [
            [
                np.random.Philox(key=key, counter=np.array([0, 0, i % (1 << 64), j % (1 << 64)], np.uint64))
                .random_raw(TILE * TILE)
                .reshape(TILE, TILE)
                for j in tiles[1]
            ]
            for i in tiles[0]
        ]
    )
    row, column = int(rows[0]) - tiles[0][0] * TILE, int(columns[0]) - tiles[1][0] * TILE
    found: NDArray[np.uint64] = whole[row : row + len(rows), column : column + len(columns)]
    return found


def _even(word: NDArray[np.uint64]) -> Reals:
    """Even numbers in [0, 1), exact."""
    found: Reals = (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def _six(value: float) -> float:
    """Six digits, so that another machine's exp() cannot change a height."""
    return float(f"{value:.5e}")
