"""Real ground: a relief cut from files of elevation models, the strip from the coarser, the site from the finer.

LOLA and SLDEM2015 grids, LROC NAC models and their like: GeoTIFF, PDS3, PDS4, ISIS cubes, netCDF (see rasterfile.py). A
relief that was made is written as netCDF and read back to the bit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import MistakeError, visible
from .regions import CELL
from .relief import HEIGHTS, Patch, Projection, Relief, check_size, joined
from .synthetic import grid

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from .raster import Raster

    Reals = NDArray[np.float64]

__all__ = ["from_dataset", "read", "to_dataset", "write"]

ALIKE = 1.5  # ratio of two files' pixels that make one map
PARTS = (1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 64, 80, 100, 125, 200, 250, 500, 1000)  # of a strip's cell
SCHEMA = 1  # of the netCDF file
PLACE = ("latitude", "longitude", "azimuth", "elevation")


def read(
    path: str | Path | Sequence[str | Path],
    *,
    latitude: float | None = None,
    longitude: float | None = None,
    azimuth: float | None = None,
    elevation: float | None = None,
    length_before: float = 60e3,
    length_after: float = 20e3,
    half_width: float = 10e3,
    cell: float = CELL,
    site_half_width: float = 1000.0,
    site_cell: float | None = None,
    bounds: Sequence[float] | None = None,
) -> Relief:
    """The relief along a flight path, from one file or several.

    latitude, longitude, azimuth (east of north): of the target [rad]. elevation: height of the target over 1737.4 km
    [m], from which heights count; None takes it from the files. length_before, length_after, half_width: of the strip
    [m], before and beyond the target and to either side; cell: its cells [m]. site_half_width: of the site patch;
    site_cell: at most its cells [m], None takes what the finest file and 2^20 heights in all allow, 0 makes none.
    bounds: west, south, east, north [deg] of a file that does not say where it lies.

    Files of like pixels make one map; of two kinds of pixels, the coarser make the strip and the finer the site patch.
    A file that `write` wrote needs nothing else, and what else is given must agree with it. `notes` of the relief tell
    all that was done. Raises MistakeError for files that cannot be used, do not cover the site, or lack data.
    """
    paths = [Path(path)] if isinstance(path, (str, os.PathLike)) else [Path(one) for one in path]
    if not paths:
        raise MistakeError("terrain", "at least one file of an elevation model", "none")
    place = (latitude, longitude, azimuth, elevation)
    if len(paths) == 1 and (kept := _kept(paths[0])) is not None:
        return _agreeing(from_dataset(kept, paths[0].name), place, paths[0].name)
    if latitude is None or longitude is None or azimuth is None:
        raise MistakeError("terrain", "latitude, longitude and azimuth of the site", "not all of them")
    from .rasterfile import open_raster

    at = Projection(latitude, longitude, azimuth, elevation or 0.0)
    coarse, fine, notes = _ranked([open_raster(one, bounds) for one in paths], at)
    x, y = grid(-length_before, length_after, cell), grid(-half_width, half_width, cell)
    check_size([(len(x), len(y))], [(cell, cell)])
    finest = _site_cell(cell, site_half_width, site_cell, len(x) * len(y), min(one.resolution(at) for one in fine))
    if elevation is None:
        near = grid(-6 * (finest or cell), 6 * (finest or cell), finest or cell)
        heights, covered, _ = _mosaic(fine if finest else coarse, at, near, near)
        if not covered[6, 6]:
            raise _beside(fine if finest else coarse, at)
        at = replace(at, elevation=round(float(heights[6, 6]), 2))
    heights, covered, told = _mosaic(coarse, at, x, y)
    centre = (round(float(-x[0] / cell)), round(float(-y[0] / cell)))
    if not covered[centre]:
        raise _beside(coarse, at)
    notes += [f"strip: {one}" for one in told]
    if not covered.all():
        share = 100 * (1 - covered.mean())
        notes.append(f"strip: {share:.3g} % of it lie beyond the files and continue the heights at their edges")
        heights = _extended(heights, covered)
    strip = _patch(x, y, cell, heights - at.elevation)
    site = None
    if finest:
        edge = cell * max(math.floor(site_half_width / cell + 1e-6), 1)
        one = grid(-edge, edge, finest)
        heights, covered, told = _mosaic(fine, at, one, one)
        if covered.all():
            notes += [f"site patch: {one}" for one in told]
            site = _patch(one, one, finest, heights - at.elevation)
        elif fine != coarse:
            raise _beside(fine, at, f"the {2 * edge:g} m of the site patch, all of them", "take a smaller site patch")
        else:
            notes.append("no site patch, for the file ends within it")
    elif site_cell != 0:
        notes.append(f"no site patch: no file is finer than the cells of {cell:g} m")
    relief = joined(strip, site, tuple(notes), at) if site else Relief(strip, None, tuple(notes), at)
    return replace(relief, notes=(*relief.notes, _target(relief, elevation)))


def write(relief: Relief, path: str | Path) -> None:
    """Write a relief as netCDF, whole or not at all; `read` gives it back to the bit."""
    from . import netcdf

    netcdf.write(to_dataset(relief), Path(path))


def to_dataset(relief: Relief) -> xr.Dataset:
    """A relief as xarray: `strip_height`, `site_height` over grid coordinates; corners and notes as attributes."""
    import xarray as xr

    variables: dict[str, Any] = {}
    attrs: dict[str, Any] = {"mcrisk_relief": SCHEMA, "notes": "\n".join(relief.notes), "reference_radius": 1737400.0}
    for name, one in (("strip", relief.strip), ("site", relief.site)):
        if one is None:
            continue
        text = {"units": "m", "long_name": f"height of the {name} over the sphere through the site"}
        variables[f"{name}_height"] = ((f"{name}_x", f"{name}_y"), one.heights, text)
        for axis, what in (("x", "downrange"), ("y", "to the left")):
            values = getattr(one, axis)
            variables[f"{name}_{axis}"] = (f"{name}_{axis}", values, {"units": "m", "long_name": f"distance {what}"})
            attrs[f"{name}_{axis}_first"] = getattr(one, f"{axis}_first")
            attrs[f"{name}_{axis}_step"] = getattr(one, f"{axis}_step")
    if relief.projection:
        attrs |= {one: getattr(relief.projection, one) for one in PLACE}  # rad, rad, rad, m
    return xr.Dataset(variables, attrs=attrs)


def from_dataset(dataset: xr.Dataset, name: str = "ground") -> Relief:
    """The relief of a dataset that `to_dataset` made."""
    attrs = dataset.attrs
    if str(attrs["mcrisk_relief"]) != str(SCHEMA):
        got = visible(str(attrs["mcrisk_relief"]))
        raise MistakeError(visible(name), f"a relief of version {SCHEMA}", got, "make it again")
    try:
        return _relief_of(dataset)
    except (KeyError, TypeError, ValueError) as error:  # of a file that another program wrote
        reason = visible(str(error).splitlines()[0])
        raise MistakeError(
            visible(name), "a relief that mcrisk wrote", f"another ({reason})", "make it again"
        ) from None


def _relief_of(dataset: xr.Dataset) -> Relief:
    attrs = dataset.attrs

    def patch(which: str) -> Patch:
        corner = [float(attrs[f"{which}_{one}"]) for one in ("x_first", "y_first", "x_step", "y_step")]
        return Patch(corner[0], corner[1], corner[2], corner[3], dataset[f"{which}_height"].values)

    where = Projection(*(float(attrs[one]) for one in PLACE)) if PLACE[0] in attrs else None
    notes = tuple(str(attrs["notes"]).split("\n")) if attrs["notes"] else ()
    return Relief(patch("strip"), patch("site") if "site_height" in dataset else None, notes, where)


def _kept(path: Path) -> xr.Dataset | None:
    """The dataset of a file that `write` wrote, checked; None of another file."""
    import xarray as xr

    if path.suffix.lower() != ".nc" or not path.is_file():
        return None
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            ours = "mcrisk_relief" in dataset.attrs
    except Exception:  # of whatever is no netCDF-4 file: others may read it
        return None
    from . import netcdf

    return netcdf.read(path, "a ground", "make it again") if ours else None


def _agreeing(relief: Relief, place: tuple[float | None, ...], name: str) -> Relief:
    """The relief, unless it was made for another site."""
    for what, given, slack in zip(PLACE, place, (1e-9, 1e-9, 1e-9, 1e-3), strict=True):
        if given is None or relief.projection is None:
            continue
        made = float(getattr(relief.projection, what))
        away = made - given if what == "elevation" else math.remainder(made - given, 2 * math.pi)
        if abs(away) > slack:
            wanted, got = (
                f"{one:g} m" if what == "elevation" else f"{math.degrees(one):.6g} deg" for one in (given, made)
            )
            raise MistakeError(visible(name), f"ground of {what} {wanted}", got, "make it again for this site")
    return relief


def _ranked(rasters: list[Raster], at: Projection) -> tuple[list[Raster], list[Raster], list[str]]:
    """The files of the strip, those of the site patch, and a sentence about each."""
    sizes = {id(one): one.resolution(at) for one in rasters}
    for one in rasters:
        if not sizes[id(one)] > 0:
            raise _beside([one], at)
    ordered = sorted(rasters, key=lambda one: sizes[id(one)])
    least, most = sizes[id(ordered[0])], sizes[id(ordered[-1])]
    fine = [one for one in ordered if sizes[id(one)] <= ALIKE * least]
    coarse = [one for one in ordered if sizes[id(one)] * ALIKE >= most]
    rest = [one.name for one in ordered if one not in fine and one not in coarse]
    if rest:
        raise MistakeError("terrain", "files of one or two sizes of pixels", f"a third of {rest[0]}", "leave it out")
    notes = []
    for one in reversed(ordered):
        crs = "degrees" if one.crs is None else one.crs.to_string()
        crs = crs if len(crs) < 60 else one.crs.to_proj4().replace(" +no_defs=True", "")
        notes.append(
            f"{one.name}: {one.kind}, {sizes[id(one)]:.3g} m a pixel at the site, {crs}; {one.meaning(at)[2]}"
            + "".join(f"; {remark}" for remark in one.remarks)
        )
    return (fine, fine, notes) if set(map(id, fine)) & set(map(id, coarse)) else (coarse, fine, notes)


def _site_cell(cell: float, half_width: float, wanted: float | None, taken: int, pixel: float) -> float:
    """Cells of the site patch [m], a whole part of the strip's; 0 for no patch."""
    if wanted == 0:
        return 0.0
    edge = cell * max(math.floor(half_width / cell + 1e-6), 1)
    if wanted is not None:
        if not wanted > 0:
            raise MistakeError("--site-cell", "a size of at least 0 m", f"{wanted:g} m")
        parts = max(math.ceil(cell / wanted - 1e-6), 1)
        count = round(2 * edge / cell) * parts + 1
        check_size([(taken, 1), (count, count)], [(cell, cell), (cell / parts, cell / parts)])
        return cell / parts
    fits = [
        parts for parts in PARTS
        if cell / parts >= 0.999 * pixel and taken + (round(2 * edge / cell) * parts + 1) ** 2 <= HEIGHTS
    ]  # fmt: skip
    return cell / fits[-1] if fits and fits[-1] > 1 else 0.0


def _mosaic(rasters: list[Raster], at: Projection, x: Reals, y: Reals) -> tuple[Reals, NDArray[np.bool_], list[str]]:
    """Heights over 1737.4 km, of the first file that covers a place; which places are covered; how they were made."""
    heights = np.full((len(x), len(y)), np.nan)
    covered = np.zeros(heights.shape, bool)
    told = []
    for one in rasters:
        sample = one.sample(at, x, y)
        new = sample.covered & ~covered
        if not new.any():
            continue
        heights[new] = sample.heights[new]
        covered |= new
        columns, rows = sample.averaged
        how = f"means of {columns} x {rows} pixels" if columns * rows > 1 else "pixels"
        filled = f", {100 * sample.missing:.2g} % without data, filled from around" if sample.missing else ""
        told.append(f"{how} of {one.name}, between them cubic splines{filled}")
    return heights, covered, told


def _beside(rasters: list[Raster], at: Projection, expected: str = "", remedy: str = "") -> MistakeError:
    """That files do not cover the site."""
    where = f"the site at {math.degrees(at.latitude):.5g} deg, {math.degrees(at.longitude):.5g} deg"
    got = " and ".join(one.coverage() for one in rasters)
    names = ", ".join(one.name for one in rasters)
    return MistakeError(names, f"a file that covers {expected or where}", got, remedy)


def _extended(heights: Reals, covered: NDArray[np.bool_]) -> Reals:
    """Heights that go on beyond what is covered as they are at the nearest place that is."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    found: Reals = heights[tuple(nearest)]
    return found


def _patch(x: Reals, y: Reals, cell: float, heights: Reals) -> Patch:
    return Patch(float(x[0]), float(y[0]), cell, cell, heights.astype(np.float32))


def _target(relief: Relief, stated: float | None) -> str:
    """How high the target lies, and how far the ground is from what was stated."""
    assert relief.projection is not None
    elevation = relief.projection.elevation
    away = float(relief.height_at(0.0, 0.0))
    if stated is None:
        return f"the target lies {elevation:.2f} m over 1737.4 km, as the files have it"
    side = "above" if away >= 0 else "below"
    return f"the files have the target {abs(away):.2f} m {side} its stated elevation of {elevation:g} m"
