"""Kinds of lunar ground in numbers: slopes at each length, craters, rocks; whence each number is, and how sure.

Letters as in the mission files: S from a paper, R recalled from one, E estimated, with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import MistakeError, suggestion, visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]

__all__ = [
    "BASELINE",
    "REGIONS",
    "Number",
    "Region",
    "find",
    "pad_values",
    "rock_area",
    "rock_probability",
    "rocks_per_area",
    "slope_at",
]

PAD_BASELINE = 5.0  # [m] about the size of a lander
PAD_CRATER = 2.0  # [m] smaller ones do not tilt a lander
CELL, SITE_CELL = 100.0, 2.5  # [m] of the strip of a model, and of its patch about the site, unless stated
CRATER_CELLS = 3.0  # [cell] least diameter of a crater that a grid can show
MODEL_CELLS = 2.0  # [cell] baseline of the slopes of a bilinear model: found by trial, kept by a test
RAYLEIGH_MEDIAN = 1.1774  # [] over the mode: sqrt(2 ln 2)
BASELINE = 17.0  # [m] of the slope that each kind states: between spots of the LOLA, Rosenburg et al. 2011

ROSENBURG = "Rosenburg et al. 2011, JGR 116, E02001"
YOKOTA = "Yokota et al. 2014: median differential slopes of highlands peak at 3 to 30 km"
EQUILIBRIUM = (
    "Trask 1966, JPL TR 32-800: 0.079 at most; Minton et al. 2019, Icarus 326: a few percent of geometric saturation "
    "(1.54, Gault 1970)"
)
ROCKS = "k of an exponential area law, Golombek & Rapp 1997, JGR 102, 4117; Golombek et al. 2003, JGR 108, 8086"


@dataclass(frozen=True)
class Number:
    """A value in SI, how sure it is (S, R, E), and where it is from."""

    value: float
    letter: str
    source: str


@dataclass(frozen=True)
class Region:
    """One kind of ground. `slope` is the median at 17 m of slopes in two dimensions, not of those along a track."""

    name: str
    slope: Number  # [rad]
    hurst: Number  # [] tan(slope) grows as L^(hurst - 1)
    outer_scale: Number  # [m] length beyond which heights no longer drift apart
    crater_density: Number  # [] c of N(>= D) = c D^-2
    crater_least: Number  # [m] diameter above which that law is drawn from
    crater_most: Number  # [m] diameter up to which that law holds
    crater_depth_least: Number  # [] depth over diameter of the most degraded craters that are counted
    crater_depth_most: Number  # [] of the freshest small ones; no crater is deeper than Pike's fresh ones
    rock_share: Number  # [] k: part of the ground that rocks cover
    rock_height: Number  # [] height of a rock over its diameter
    hills: Number = Number(1.0, "E", "as if there were no craters")  # [] part of the median slope that hills make


def _degrees(value: float, letter: str, source: str) -> Number:
    return Number(math.radians(value), letter, source)


_DEPTH_LEAST = Number(0.03, "R", "craters that have faded further are not counted as such")
_DEPTH_MOST = Number(0.15, "R", "small craters in regolith are shallower from the start than Pike's 0.2")
_HILLS = "with craters on them, for the median at 17 m: found by trial, kept by a test"
_ROCK_HEIGHT = Number(0.5, "R", "0.4 to 0.55, Golombek et al. 2003, of Mars; lunar rocks are alike")

REGIONS: dict[str, Region] = {
    one.name: one
    for one in (
        Region(
            name="mare",
            slope=_degrees(2.0, "R", f"{ROSENBURG}: median of the maria"),
            hurst=Number(0.76, "R", f"{ROSENBURG}: median of the maria"),
            outer_scale=Number(8192.0, "E", f"a power of two above the break near 1 km of {ROSENBURG}"),
            crater_density=Number(0.05, "R", f"between the two of {EQUILIBRIUM}"),
            crater_least=Number(1.0, "E", "smaller ones do not matter to legs"),
            crater_most=Number(256.0, "R", "equilibrium of maria of 3.5 Ga ends at 100 to 300 m"),
            crater_depth_least=_DEPTH_LEAST,
            crater_depth_most=_DEPTH_MOST,
            rock_share=Number(0.01, "E", f"0.5 to 3 %; {ROCKS}"),
            rock_height=_ROCK_HEIGHT,
            hills=Number(0.77, "E", _HILLS),
        ),
        Region(
            name="highland",
            slope=_degrees(7.5, "R", f"{ROSENBURG}: median of the highlands"),
            hurst=Number(0.95, "R", f"{ROSENBURG}: median of the highlands"),
            outer_scale=Number(8192.0, "E", f"a power of two; {YOKOTA}"),
            crater_density=Number(0.05, "E", f"as on maria, though on slopes craters fade sooner; {EQUILIBRIUM}"),
            crater_least=Number(1.0, "E", "smaller ones do not matter to legs"),
            crater_most=Number(1024.0, "E", "older ground is in equilibrium up to larger craters"),
            crater_depth_least=_DEPTH_LEAST,
            crater_depth_most=_DEPTH_MOST,
            rock_share=Number(0.007, "E", f"fewer than on maria, whose rock lies nearer to the surface; {ROCKS}"),
            rock_height=_ROCK_HEIGHT,
            hills=Number(0.89, "E", _HILLS),
        ),
        Region(
            name="ejecta",
            slope=_degrees(6.0, "E", f"between maria and highlands, rough at short lengths; young rays of {ROSENBURG}"),
            hurst=Number(0.8, "E", "between maria and highlands"),
            outer_scale=Number(4096.0, "E", "the width of a blanket around a crater of some kilometres"),
            crater_density=Number(0.02, "E", "too young for equilibrium"),
            crater_least=Number(1.0, "E", "smaller ones do not matter to legs"),
            crater_most=Number(128.0, "E", "too young for larger ones to be many"),
            crater_depth_least=Number(0.08, "E", "little has faded yet"),
            crater_depth_most=Number(0.18, "E", "little has faded yet"),
            rock_share=Number(0.1, "E", f"5 to 20 % at young craters; {ROCKS}"),
            rock_height=_ROCK_HEIGHT,
            hills=Number(0.97, "E", _HILLS),
        ),
    )
}


def find(name: str) -> Region:
    """The kind of ground of this name; refuses another, with the nearest one."""
    if name not in REGIONS:
        remedy = suggestion(name, REGIONS)
        raise MistakeError("terrain class", f"one of {', '.join(REGIONS)}", f"'{visible(name)}'", remedy)
    return REGIONS[name]


def slope_at(region: Region, baseline: ArrayLike) -> Reals:
    """Median slope [rad] at a baseline [m] > 0: tan s(L) = tan s(17 m) (L / 17 m)^(H - 1)."""
    import numpy as np

    length = _positive("baseline", baseline)
    found: Reals = np.arctan(math.tan(region.slope.value) * (length / BASELINE) ** (region.hurst.value - 1))
    return found


def pad_values(region: Region, *, cell: float | None = None, sloped: bool = False) -> dict[str, float]:
    """What the ground is like below the cells of an elevation model: kernel parameters of [terrain] by path, in SI.

    cell: [m] of the model about the site, None without one. sloped: whether the mission has slopes of its own under its
    lander; the cells then have none. Craters are those that a model cannot show, smaller than three cells or, without
    one, than the baseline of the slopes. The slope of a cell has the region's median at 5 m, less what craters make of
    it, as a Rayleigh distribution (median 1.1774 of its mode). A model has slopes of its own, bilinear ones those of
    two of its cells: what a cell adds to them is the rest of the variance.
    """
    least, most = region.crater_depth_least.value, region.crater_depth_most.value
    smallest = max(region.crater_least.value, PAD_CRATER)
    largest = min(BASELINE, math.inf if cell is None else CRATER_CELLS * cell, region.crater_most.value)
    whole = math.tan(float(slope_at(region, PAD_BASELINE)))
    shown = 0.0 if cell is None else math.tan(float(slope_at(region, max(MODEL_CELLS * cell, PAD_BASELINE))))
    rest = 0.0 if sloped else math.atan(math.sqrt(whole * whole - shown * shown))
    hills = region.hills.value * rest / RAYLEIGH_MEDIAN
    return {
        "terrain.cell_slope": round(hills, 6),
        "terrain.rock_area": region.rock_share.value,
        "terrain.rock_height": region.rock_height.value,
        "terrain.crater_density": region.crater_density.value if largest > smallest else 0.0,
        "terrain.crater_smallest": smallest,
        "terrain.crater_largest": max(largest, smallest),
        "terrain.crater_depth": round(0.5 * (least + most), 6),
        "terrain.crater_depth_spread": round(0.5 * (most - least), 6),
    }


def rock_area(share: float, diameter: ArrayLike) -> Reals:
    """Part of the ground under rocks at least this wide [m]: F(D) = k exp(-q D), q = 1.79 + 0.152 / k [m^-1].

    share: k, 0 < k < 1. Golombek & Rapp 1997, fitted on Mars; Chang'e-3 and Surveyor rocks follow the same form.
    """
    import numpy as np

    found: Reals = share * np.exp(-_decay(share) * _positive("diameter", diameter))
    return found


def rocks_per_area(share: float, diameter: ArrayLike) -> Reals:
    """Rocks at least this wide [m] > 0 per area [m^-2]: the area law over each rock's own pi D^2 / 4, integrated.

    N(>= D) = (4 k q / pi) [exp(-q D) / D - q E1(q D)], Golombek et al. 2003.
    """
    import numpy as np
    from scipy.special import exp1

    width, q = _positive("diameter", diameter), _decay(share)
    found: Reals = 4 * share * q / math.pi * (np.exp(-q * width) / width - q * exp1(q * width))
    return np.maximum(found, 0.0)  # below the last digit of its two terms


def rock_probability(region: Region, height: ArrayLike, area: float) -> Reals:
    """Probability that a rock higher than `height` [m] stands on an area [m^2], were rocks strewn at random."""
    import numpy as np

    if not area >= 0:
        raise MistakeError("area", "at least 0 m^2", f"{area:g} m^2")
    width = _positive("height", height) / region.rock_height.value
    found: Reals = -np.expm1(-rocks_per_area(region.rock_share.value, width) * area)
    return found


def _decay(share: float) -> float:
    """q of k [m^-1]."""
    if not 0 < share < 1:
        raise MistakeError("rock share", "between 0 and 1", f"{share:g}")
    return 1.79 + 0.152 / share


def _positive(name: str, value: ArrayLike) -> Reals:
    import numpy as np

    found = np.asarray(value, float)
    if not (found > 0).all():
        raise MistakeError(name, "above 0 m", f"{np.nanmin(found):g} m" if found.size else "none")
    return found
