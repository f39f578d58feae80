"""A map of heights in pixels, from which a relief takes heights at its own places, in its own cells.

Why not GDAL's warper: it does not know the projection of a strip, mixes no-data and overviews as its version likes,
and does not join the two edges of a map around the Moon. Here places are projected into the file by PROJ, the pixels
around them are read once, averaged over whole blocks where the file is finer than what is asked for, and interpolated
by cubic splines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import MistakeError, visible
from .orbit import MEAN_RADIUS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .relief import Projection

    Reals = NDArray[np.float64]
    Window = tuple[int, int, int, int]  # first and last + 1 column, first and last + 1 row

__all__ = ["Raster", "Sample", "ellipsoid", "load_rasterio"]

LOWEST, HIGHEST = -9500.0, 11000.0  # [m] over 1737.4 km: below and above all ground of the Moon (LOLA: -9.1 to 10.8 km)
MISSING = 0.2  # of the heights that are needed: more without data are refused
CHUNK = 1 << 24  # [pixel] read at a time
MOST = 1 << 26  # [pixel] kept after averaging
MARGIN = 4  # [pixel] around what is needed, for the splines
TYPICAL = math.tan(math.radians(3))  # slope of lunar ground at some metres to some hundred metres
CYLINDRICAL = ("longlat", "eqc", "cea", "merc", "mill")
METRES = {"m": 1.0, "metre": 1.0, "meter": 1.0, "km": 1000.0, "kilometre": 1000.0, "kilometer": 1000.0}
NO_UNIT = ("1", "none", "unknown", "n/a", "null", "dn", "value")  # what files state that state no unit
INSTALL = "try MCRISK_EXTRAS=terrain ./scripts/mcrisk, or pip install 'mcrisk[terrain]'"


@dataclass(frozen=True, eq=False)
class Sample:
    """Heights over 1737.4 km [m] at places, where the file covers them; and what was done to get them."""

    heights: Reals
    covered: NDArray[np.bool_]
    missing: float  # [] of the covered places, those without data, which were filled from around
    averaged: tuple[int, int]  # [pixel] columns and rows of a block whose mean is taken


@dataclass(frozen=True, eq=False)
class Raster:
    """One file. Pixel coordinates count from the outer corner of the first pixel: its middle is at (0.5, 0.5)."""

    name: str
    kind: str
    shape: tuple[int, int]  # rows, columns
    transform: tuple[float, ...]  # x = a col + b row + c, y = d col + e row + f
    crs: Any  # rasterio's, or None for degrees of longitude and latitude
    read: Callable[[Window], tuple[Reals, NDArray[np.bool_]]]  # values and which of them are data
    unit: str = ""
    remarks: tuple[str, ...] = ()
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def pixels(self, latitude: Reals, longitude: Reals) -> tuple[Reals, Reals]:
        """Column and row of places [rad]; columns of a map around the Moon may lie a whole turn beside it."""
        x, y = np.degrees(longitude), np.degrees(latitude)
        if not self.geographic:
            from rasterio.warp import transform

            flat = transform(_sphere(self.crs), self.crs, x.ravel(), y.ravel())
            x, y = (np.asarray(one, float).reshape(x.shape) for one in flat)
        a, b, c, d, e, f = self.transform
        away_x, away_y, whole = x - c, y - f, a * e - b * d
        return (e * away_x - b * away_y) / whole, (a * away_y - d * away_x) / whole

    @property
    def geographic(self) -> bool:
        """Whether its coordinates are degrees."""
        return self.crs is None or bool(self.crs.is_geographic)

    @property
    def turn(self) -> float:
        """Columns around the Moon; 0 where the projection is not cylindrical."""
        a, b, _, d, _, _ = self.transform
        if b or d:
            return 0.0
        if self.geographic:
            return abs(360 / a)
        if self.crs.to_dict().get("proj") not in CYLINDRICAL:
            return 0.0
        middle = math.radians(float(self.crs.to_dict().get("lon_0", 0.0)))
        col, _ = self.pixels(np.zeros(2), np.array([middle - 0.2, middle + 0.2]))
        return float(abs(col[1] - col[0])) / 0.4 * 2 * math.pi

    def resolution(self, projection: Projection) -> float:
        """Size of a pixel at the target [m], the larger of its sides; NaN where the file's map does not go."""
        step = 10.0
        x, y = np.array([0.0, step, 0.0]), np.array([0.0, 0.0, step])
        col, row = self._unwrapped(*self.pixels(*projection.to_moon(x, y)))
        rates = [math.hypot(one[1] - one[0], one[2] - one[0]) / step for one in (col, row)]
        return 1 / min(rates) if min(rates) > 0 else math.nan

    def coverage(self) -> str:
        """`latitude -10 to 10 deg, longitude 20 to 40 deg`, of its corners, edges and inside."""
        a, b, c, d, e, f = self.transform
        row, col = np.meshgrid(np.linspace(0, self.shape[0], 33), np.linspace(0, self.shape[1], 33))
        lon, lat = a * col + b * row + c, d * col + e * row + f
        if not self.geographic:
            from rasterio.warp import transform

            flat = transform(self.crs, _sphere(self.crs), lon.ravel(), lat.ravel())
            lon, lat = (np.asarray(one, float) for one in flat)
        lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
        if not self.geographic and np.ptp(lon) > 180 and not np.ptp(lon % 360) > 350:
            lon = lon % 360
        return f"latitude {lat.min():.5g} to {lat.max():.5g} deg, longitude {lon.min():.5g} to {lon.max():.5g} deg"

    def sample(self, projection: Projection, x: Reals, y: Reals) -> Sample:
        """Heights at every x (nx,) and y (ny,), grid coordinates [m] in even steps; (nx, ny).

        Raises MistakeError where more than 20 % of the covered places are without data.
        """
        from scipy.ndimage import map_coordinates

        col, row = self._unwrapped(*self.pixels(*projection.to_moon(x[:, None], y)))
        rows, columns = self.shape
        around = col % self.turn if self.turn else col
        tiny = 1e-6
        with np.errstate(invalid="ignore"):
            covered = (around >= -tiny) & (around <= columns + tiny) & (row >= -tiny) & (row <= rows + tiny)
        if not covered.any():
            return Sample(np.full(col.shape, np.nan), covered, 0.0, (1, 1))
        blocks = (_block(col), _block(row))
        window = self._window(col[covered], row[covered], blocks)
        values, valid = self._averaged(window, blocks, projection)
        place = [np.where(covered, (one - low) / block - 0.5, 0.0) for one, low, block in
                 ((row, window[2], blocks[1]), (col, window[0], blocks[0]))]  # fmt: skip
        nearest = tuple(
            np.clip(np.rint(one).astype(int), 0, size - 1) for one, size in zip(place, values.shape, strict=True)
        )
        missing = float(1 - valid[nearest][covered].mean())
        if missing > MISSING:
            raise MistakeError(
                self.name, f"data on {100 * (1 - MISSING):g} % of the ground that is needed",
                f"none on {100 * missing:.0f} % of it", "give a file without holes beside it, or ask for less ground",
            )  # fmt: skip
        heights = map_coordinates(_filled(values, valid), place, order=3, mode="nearest")
        return Sample(np.where(covered, heights, np.nan), covered, missing, blocks)

    def meaning(self, projection: Projection) -> tuple[float, float, str]:
        """Factor [m] and offset [m] that make values heights over 1737.4 km, and the sentence that says why."""
        if "meaning" not in self._cache:
            col, row = self._unwrapped(*self.pixels(*projection.to_moon(np.zeros(1), np.zeros(1))))
            rows, columns = self.shape
            at = [int(np.clip(np.nan_to_num(one[0]), 0, size)) for one, size in ((col, columns), (row, rows))]
            window = (max(at[0] - 128, 0), min(at[0] + 128, columns), max(at[1] - 128, 0), min(at[1] + 128, rows))
            values, valid = self.read(window)
            if valid.sum() < 16:
                values, valid = self.read((0, columns, max(at[1] - 32, 0), min(at[1] + 32, rows)))
            pixel = self.resolution(projection)
            self._cache["meaning"] = _meaning(values, valid, self.unit, pixel, self.name)
        found: tuple[float, float, str] = self._cache["meaning"]
        return found

    def _unwrapped(self, col: Reals, row: Reals) -> tuple[Reals, Reals]:
        """Columns without the jump from the last to the first one, about the middle of those that are wanted."""
        turn = self.turn
        if turn:
            middle = float(col.ravel()[col.size // 2])
            col = middle % turn + (col - middle + turn / 2) % turn - turn / 2
        return col, row

    def _window(self, col: Reals, row: Reals, blocks: tuple[int, int]) -> Window:
        """Whole blocks around places, in unwrapped columns."""
        found = []
        for one, block in ((col, blocks[0]), (row, blocks[1])):
            found += [
                (math.floor(one.min() / block) - MARGIN) * block,
                (math.ceil(one.max() / block) + MARGIN) * block,
            ]
        return found[0], found[1], found[2], found[3]

    def _averaged(
        self, window: Window, blocks: tuple[int, int], projection: Projection
    ) -> tuple[Reals, NDArray[np.bool_]]:
        """Heights over 1737.4 km of whole blocks, and which of them have data in at least half of their pixels."""
        factor, offset, _ = self.meaning(projection)
        columns, rows = (window[1] - window[0]) // blocks[0], (window[3] - window[2]) // blocks[1]
        if columns * rows > MOST:
            raise MistakeError(
                self.name, f"at most {MOST:,} pixels around the ground", f"{columns * rows:,}", "ask for less"
            )
        values, valid = np.zeros((rows, columns)), np.zeros((rows, columns), bool)
        many = max(CHUNK // ((window[1] - window[0]) * blocks[1]), 1)
        for first in range(0, rows, many):
            last = min(first + many, rows)
            part = (window[0], window[1], window[2] + first * blocks[1], window[2] + last * blocks[1])
            found, data = self._unrolled(part)
            found = found * factor + offset
            with np.errstate(invalid="ignore"):
                data &= (found > LOWEST) & (found < HIGHEST)
            shape = (last - first, blocks[1], columns, blocks[0])
            count = data.reshape(shape).sum((1, 3))
            total = np.where(data, found, 0.0).reshape(shape).sum((1, 3))
            values[first:last] = total / np.maximum(count, 1)
            valid[first:last] = 2 * count >= blocks[0] * blocks[1]
        return values, valid

    def _unrolled(self, window: Window) -> tuple[Reals, NDArray[np.bool_]]:
        """Pixels of a window that may lie a turn beside the file, or beyond its ends, where there are no data."""
        rows, columns = self.shape
        turn = round(self.turn)
        values = np.zeros((window[3] - window[2], window[1] - window[0]))
        valid = np.zeros(values.shape, bool)
        low, high = max(window[2], 0), min(window[3], rows)
        turns = range(window[0] // turn, window[1] // turn + 1) if turn else range(1)
        for number in turns:
            shift = number * turn
            first, last = max(window[0], shift), min(window[1], shift + columns)
            if first < last and low < high:
                here = (slice(low - window[2], high - window[2]), slice(first - window[0], last - window[0]))
                values[here], valid[here] = self.read((first - shift, last - shift, low, high))
        return values, valid


def _block(place: Reals) -> int:
    """Pixels per step of what is asked for, in whatever direction it runs over them; at least one."""
    with np.errstate(invalid="ignore"):
        rates = [np.nanmedian(np.abs(np.diff(place, axis=axis))) for axis in (0, 1) if place.shape[axis] > 1]
    return max(round(math.hypot(*rates)), 1) if rates else 1


def _meaning(values: Reals, valid: NDArray[np.bool_], unit: str, pixel: float, name: str) -> tuple[float, float, str]:
    """What values are: metres or kilometres, heights over 1737.4 km or radii; if in doubt, by the likelier slope."""
    data = values[valid]
    if data.size == 0:
        raise MistakeError(name, "data at the site", "none")
    middle = float(np.median(data))
    steps = np.abs(np.diff(values, axis=1))[valid[:, 1:] & valid[:, :-1]]
    rise = float(np.median(steps)) / pixel if steps.size and pixel > 0 else 0.0
    stated = METRES.get(unit.rstrip("s"))
    if unit and stated is None and unit not in NO_UNIT:
        raise MistakeError(
            name, "heights or radii in m or km", f"values in {visible(unit)}", "convert them, by gdal_calc.py say"
        )
    found = []
    for factor, in_words in ((1.0, "m"), (1000.0, "km")):
        for offset, what in ((0.0, "heights over 1737.4 km"), (-MEAN_RADIUS, "radii")):
            if stated in (None, factor) and LOWEST < middle * factor + offset < HIGHEST:
                slope = rise * factor
                doubt = abs(math.log(slope / TYPICAL)) if slope > 0 else factor
                found.append((doubt, factor, offset, f"{what} in {in_words}", slope))
    if not found:
        got = f"a median of {middle:g}{f' {unit}' if unit else ''}"
        raise MistakeError(name, "heights or radii of the Moon in m or km", got)
    found.sort(key=lambda one: one[0])
    _, factor, offset, words, slope = found[0]
    if stated is not None and len(found) == 1:
        why = f"the file says {unit}"
    elif len(found) == 1:
        why = f"the file states no unit, its values are near {middle:.6g}"
    else:
        why = f"the file states no unit; this makes a median slope of {math.degrees(math.atan(slope)):.2g} deg"
    return factor, offset, f"its values are {words} ({why})"


def _filled(values: Reals, valid: NDArray[np.bool_]) -> Reals:
    """Heights whose holes are filled from around: the nearest first, then smoothed inside the holes."""
    if valid.all() or not valid.any():
        return values
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    filled: Reals = values[tuple(nearest)]
    for _ in range(60):
        padded = np.pad(filled, 1, mode="edge")
        mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
        filled = np.where(valid, values, mean)
    return filled


def _sphere(crs: Any) -> Any:
    """Longitude and latitude on the ellipsoid of a CRS."""
    radius, flattening = ellipsoid(crs)
    text = f"+R={radius!r}" if flattening == 0 else f"+a={radius!r} +rf={flattening!r}"
    return load_rasterio().crs.CRS.from_string(f"+proj=longlat {text} +no_defs")


def ellipsoid(crs: Any) -> tuple[float, float]:
    """Radius [m] and inverse flattening (0: a sphere) of a CRS."""
    found = re.search(r'(?:SPHEROID|ELLIPSOID)\["[^"]*",\s*([\d.eE+]+),\s*([\d.eE+]+)', crs.to_wkt())
    return (float(found[1]), float(found[2])) if found else (math.nan, 0.0)


def load_rasterio() -> Any:
    try:
        import rasterio
        import rasterio.errors
        import rasterio.warp
    except ImportError:
        raise MistakeError("rasterio is not installed, which reads elevation models", remedy=INSTALL) from None
    return rasterio
