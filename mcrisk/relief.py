"""The ground around a site as heights over two rectangular grids, and where on the Moon these grids lie.

Grid coordinates are those of Lambert's cylindrical equal-area projection about the ground track: with (X, Y, Z) a point
from the Moon's centre in the site frame (x downrange, y left, z up) and R the radius of the sphere through the site,

    x = R atan2(X, Z),  y = R Y / |r|                                        (Snyder, USGS PP 1395, 10-1 and 10-2)

which is exact, costs a kernel one arctangent and one root, and distorts a strip of 10 km on either side by 2 parts in
100 000. A height counts from that sphere, along the radius.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import MistakeError
from .orbit import MEAN_RADIUS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]

__all__ = ["HEIGHTS", "Patch", "Projection", "Relief", "check_size", "joined"]

HEIGHTS = 1 << 20  # [] most heights of both grids together
BLEND = 0.1  # of the site patch's length and width, at each of its borders, over which it turns into the strip
SLACK = 1e-6  # [cell] by which a grid line may lie beside another's


@dataclass(frozen=True)
class Projection:
    """Where the site is: latitude, longitude, azimuth of flight (east of north) [rad], elevation of the target [m]."""

    latitude: float
    longitude: float
    azimuth: float
    elevation: float = 0.0

    @property
    def radius(self) -> float:
        """Of the sphere through the site [m]."""
        return MEAN_RADIUS + self.elevation

    def axes(self) -> Reals:
        """Forward, left and up at the site, as rows of Moon-fixed components: prime meridian, east, pole. (3, 3)."""
        (sin_lat, cos_lat), (sin_lon, cos_lon), (sin_az, cos_az) = (
            (math.sin(one), math.cos(one)) for one in (self.latitude, self.longitude, self.azimuth)
        )
        up = np.array([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
        east = np.array([-sin_lon, cos_lon, 0.0])
        north = np.array([-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat])
        forward = cos_az * north + sin_az * east
        return np.stack([forward, np.cross(up, forward), up])

    def to_grid(self, latitude: ArrayLike, longitude: ArrayLike) -> tuple[Reals, Reals]:
        """Grid coordinates x, y [m] of places [rad], in their broadcast shape."""
        lat, lon = np.broadcast_arrays(np.asarray(latitude, float), np.asarray(longitude, float))
        fixed = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        along, left, up = np.tensordot(self.axes(), fixed, axes=1)
        return self.radius * np.arctan2(along, up), self.radius * left

    def to_moon(self, x: ArrayLike, y: ArrayLike) -> tuple[Reals, Reals]:
        """Latitude and longitude (-pi .. pi) [rad] of grid coordinates [m], in their broadcast shape; |y| <= radius."""
        angle, sine = np.broadcast_arrays(np.asarray(x, float) / self.radius, np.asarray(y, float) / self.radius)
        if not (np.abs(sine) <= 1).all():
            raise MistakeError("y", "at most the Moon's radius to either side", f"{np.nanmax(np.abs(sine)):g} radii")
        cosine = np.sqrt((1 - sine) * (1 + sine))
        fixed = np.tensordot(self.axes().T, np.stack([cosine * np.sin(angle), sine, cosine * np.cos(angle)]), axes=1)
        return np.arctan2(fixed[2], np.hypot(fixed[0], fixed[1])), np.arctan2(fixed[1], fixed[0])


@dataclass(frozen=True, eq=False)
class Patch:
    """Heights (nx, ny) [m] over the sphere through the site, at `x_first + i x_step`, `y_first + j y_step` [m].

    They are kept as float32 that nobody can change. Raises MistakeError for fewer than 2 x 2 heights, steps that are
    not above zero, and numbers that are not finite.
    """

    x_first: float
    y_first: float
    x_step: float
    y_step: float
    heights: NDArray[np.float32]

    def __post_init__(self) -> None:
        kept = np.array(self.heights, np.float32, order="C")
        if kept.ndim != 2 or min(kept.shape) < 2:
            raise MistakeError("heights", "at least 2 x 2 of them", " x ".join(map(str, kept.shape)) or "one number")
        if not (self.x_step > 0 and self.y_step > 0):
            raise MistakeError("cell", "sizes above zero", f"{self.x_step:g} m x {self.y_step:g} m")
        corner = (self.x_first, self.y_first, self.x_step, self.y_step)
        if not (np.isfinite(kept).all() and all(map(math.isfinite, corner))):
            wrong = int((~np.isfinite(kept)).sum())
            raise MistakeError("heights", "finite numbers", f"{wrong} of {kept.size} that are not")
        kept.setflags(write=False)
        object.__setattr__(self, "heights", kept)

    @property
    def x(self) -> Reals:
        """Of the rows: (nx,) [m]."""
        return self.x_first + self.x_step * np.arange(self.heights.shape[0], dtype=np.float64)

    @property
    def y(self) -> Reals:
        """Of the columns: (ny,) [m]."""
        return self.y_first + self.y_step * np.arange(self.heights.shape[1], dtype=np.float64)

    @property
    def x_last(self) -> float:
        """[m]"""
        return float(self.x_first + self.x_step * (self.heights.shape[0] - 1))

    @property
    def y_last(self) -> float:
        """[m]"""
        return float(self.y_first + self.y_step * (self.heights.shape[1] - 1))

    def height_at(self, x: ArrayLike, y: ArrayLike) -> Reals:
        """Height [m] at grid coordinates [m], bilinear, that of the nearest edge outside; in their broadcast shape."""
        rows, columns = self.heights.shape
        i, p = _cell((_finite(x, "x") - self.x_first) / self.x_step, rows)
        j, q = _cell((_finite(y, "y") - self.y_first) / self.y_step, columns)
        corner = self.heights.astype(float)
        below = corner[i, j] + p * (corner[i + 1, j] - corner[i, j])
        above = corner[i, j + 1] + p * (corner[i + 1, j + 1] - corner[i, j + 1])
        found: Reals = below + q * (above - below)
        return found

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether grid coordinates lie in the rectangle, borders included."""
        along, across = np.asarray(x, float), np.asarray(y, float)
        inside: NDArray[np.bool_] = (
            (along >= self.x_first) & (along <= self.x_last) & (across >= self.y_first) & (across <= self.y_last)
        )
        return inside


@dataclass(frozen=True, eq=False)
class Relief:
    """The ground of a campaign: a strip along the track, around the site a finer patch or none, and how they were made.

    The rectangle of `site` lies in that of `strip`, on borders of its cells, and its steps divide the strip's.
    `notes`: one sentence for each thing that was done. `projection`: where on the Moon it is, None for ground made up.
    Raises MistakeError for more than 2^20 heights in all, and for patches that do not fit into each other.
    """

    strip: Patch
    site: Patch | None = None
    notes: tuple[str, ...] = ()
    projection: Projection | None = None

    def __post_init__(self) -> None:
        strip, site = self.strip, self.site
        sizes = [one.heights.shape for one in (strip, site) if one]
        check_size(sizes, [(one.x_step, one.y_step) for one in (strip, site) if one])
        if site is None:
            return
        for axis, count in (("x", strip.heights.shape[0]), ("y", strip.heights.shape[1])):
            first, step, last, fine = (
                getattr(site, f"{axis}_first") - getattr(strip, f"{axis}_first"),
                getattr(strip, f"{axis}_step"),
                getattr(site, f"{axis}_last") - getattr(strip, f"{axis}_first"),
                getattr(site, f"{axis}_step"),
            )
            whole = (first / step, last / step, step / fine)
            inside = first >= -SLACK * step and last <= step * (count - 1 + SLACK)
            if not inside or any(abs(one - round(one)) > SLACK * max(1, abs(one)) for one in whole):
                got = f"{axis} from {site_text(site, axis)} in a strip of cells of {step:g} m"
                raise MistakeError("site patch", "borders on those of the strip's cells", got, "make it by `joined`")

    def height_at(self, x: ArrayLike, y: ArrayLike) -> Reals:
        """Height [m] at grid coordinates [m]: of the site patch inside its rectangle, else of the strip."""
        coarse = self.strip.height_at(x, y)
        if self.site is None:
            return coarse
        return np.where(self.site.contains(x, y), self.site.height_at(x, y), coarse)

    @property
    def size(self) -> int:
        """Number of all heights."""
        return self.strip.heights.size + (self.site.heights.size if self.site else 0)


def joined(strip: Patch, site: Patch, notes: tuple[str, ...] = (), projection: Projection | None = None) -> Relief:
    """A strip with a finer patch that runs into it without a step.

    The patch keeps the whole cells of the strip that it covers; where its grid divides these cells its heights are
    taken as they are, else interpolated. Over the outermost tenth at each border they turn smoothly into those of the
    strip, whose bilinear surface they equal on the border itself, to the last digit of a float32.
    """
    spans = [
        _span(getattr(strip, f"{one}_first"), getattr(strip, f"{one}_step"), strip.heights.shape[place],
              getattr(site, f"{one}_first"), getattr(site, f"{one}_last"), getattr(site, f"{one}_step"), one)
        for place, one in enumerate("xy")
    ]  # fmt: skip
    (x_first, x_step, rows), (y_first, y_step, columns) = spans
    x, y = x_first + x_step * np.arange(rows), y_first + y_step * np.arange(columns)
    fine, coarse = site.height_at(x[:, None], y), strip.height_at(x[:, None], y)
    weight = _ramp(rows)[:, None] * _ramp(columns)
    away = fine - coarse
    blended = Patch(x_first, y_first, x_step, y_step, (coarse + weight * away).astype(np.float32))
    sentence = (
        f"the outermost {100 * BLEND:g} % of the site patch turn into the strip, from which it differs by "
        f"{away.mean():.2f} m on average and {away.std():.2f} m rms about that"
    )
    return Relief(strip, blended, (*notes, sentence), projection)


def check_size(shapes: list[tuple[int, int]], cells: list[tuple[float, float]]) -> None:
    """Refuse more than 2^20 heights in all, telling which cells would do for the same ground."""
    count = sum(rows * columns for rows, columns in shapes)
    if count <= HEIGHTS:
        return
    factor = math.sqrt(count / HEIGHTS)
    names = ("strip", "site patch") if len(cells) > 1 else ("strip",)
    fitting = [
        f"{_two_digits_up(max(one) * factor * 1.002):g} m for the {name}"
        for name, one in zip(names, cells, strict=True)
    ]
    raise MistakeError(
        "ground", f"at most {HEIGHTS:,} heights in all", f"{count:,}", f"cells of {' and '.join(fitting)} would do"
    )


def site_text(patch: Patch, axis: str) -> str:
    """`-1000 m to 1000 m in cells of 2.5 m`."""
    first, last, step = (getattr(patch, f"{axis}_{one}") for one in ("first", "last", "step"))
    return f"{first:g} m to {last:g} m in cells of {step:g} m"


def _two_digits_up(value: float) -> float:
    """The next number of two digits.

    >>> _two_digits_up(101.0), _two_digits_up(2.5)
    (110.0, 2.5)
    """
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(round(value / unit, 9)) * unit


def _cell(place: Reals, count: int) -> tuple[NDArray[np.intp], Reals]:
    """The cell of a place counted in steps, and how far into it, both kept on the grid."""
    kept = np.clip(place, 0, count - 1)
    cell = np.minimum(kept.astype(np.intp), count - 2)
    return cell, kept - cell


def _finite(value: ArrayLike, name: str) -> Reals:
    found = np.asarray(value, float)
    if np.isnan(found).any():
        raise MistakeError(name, "numbers", "nan")
    return found


def _span(
    origin: float, cell: float, count: int, first: float, last: float, step: float, axis: str
) -> tuple[float, float, int]:
    """First place, step and number of heights over the whole strip cells between two places."""
    low = max(math.ceil((first - origin) / cell - SLACK), 0)
    high = min(math.floor((last - origin) / cell + SLACK), count - 1)
    if high <= low:
        got = f"{axis} from {first:g} m to {last:g} m beside cells of {cell:g} m"
        raise MistakeError(
            "site patch", "at least one whole cell of the strip", got, "take smaller cells for the strip"
        )
    parts = max(math.ceil(cell / step - SLACK), 1)
    return origin + low * cell, cell / parts, (high - low) * parts + 1


def _ramp(count: int) -> Reals:
    """Weights from 0 at both ends to 1 over a tenth of the way, with no kink."""
    place = np.arange(count) / (count - 1)
    share = np.clip(np.minimum(place, place[::-1]) / BLEND, 0, 1)
    weight: Reals = share * share * (3 - 2 * share)
    return weight
