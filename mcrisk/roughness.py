"""How steep and how rough a ground is, at each length: slopes, deviogram, Hurst exponent.

Source: Rosenburg et al. 2011, Global surface slopes and roughness of the Moon from LOLA, JGR 116, E02001; Shepard et
al. 2001, The roughness of natural terrain, JGR 106, 32777. Distances are those of the grid, which 10 km from the track
are 2 parts in 100 000 from those on the ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .errors import MistakeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .relief import Patch

    Reals = NDArray[np.float64]

__all__ = ["SHARES", "baselines", "deviogram", "hurst", "percentiles", "slope_map", "slopes"]

SHARES = (0.1, 0.5, 0.9, 0.99)  # of the ground, for percentiles
SPREAD = 0.25  # of a patch's shorter side: the longest baseline that its deviogram is fitted over
POINTS = 12  # of a deviogram


def slopes(patch: Patch, baseline: float) -> Reals:
    """Slopes [rad] of all planes through three heights of a patch, a baseline [m] along x and along y apart.

    This is the slope in two dimensions, as of three spots of the LOLA (Rosenburg's bidirectional one), not that along
    a track, which is smaller. The baseline is rounded to whole cells. A tilted plane gives its very slope. Raises
    MistakeError for a baseline below a cell or above the patch.
    """
    rows, columns = _steps(patch, baseline)
    z = patch.heights.astype(float)
    corner = z[:-rows, :-columns]
    along = (z[rows:, :-columns] - corner) / (rows * patch.x_step)
    across = (z[:-rows, columns:] - corner) / (columns * patch.y_step)
    found: Reals = np.arctan(np.hypot(along, across))
    return found


def slope_map(patch: Patch, baseline: float) -> Reals:
    """`slopes` at every height, (nx, ny) [rad]: differences about it, one-sided where the patch ends."""
    rows, columns = _steps(patch, baseline)
    z = patch.heights.astype(float)
    parts = []
    for axis, steps, step in ((0, rows, patch.x_step), (1, columns, patch.y_step)):
        count = z.shape[axis]
        low = np.clip(np.arange(count) - steps // 2, 0, count - 1 - steps)
        parts.append((z.take(low + steps, axis) - z.take(low, axis)) / (steps * step))
    found: Reals = np.arctan(np.hypot(*parts))
    return found


def percentiles(patch: Patch, baseline: float, shares: Sequence[float] = SHARES) -> dict[float, float]:
    """Slopes [rad] below which these shares of the ground lie, at a baseline [m]."""
    found = np.quantile(slopes(patch, baseline), list(shares))
    return dict(zip(shares, map(float, found), strict=True))


def baselines(patch: Patch, count: int = POINTS) -> list[float]:
    """Whole cells from two of them to a quarter of the shorter side [m], evenly spread in their logarithm."""
    step = max(patch.x_step, patch.y_step)
    least = 2
    most = max(int(SPREAD * min(patch.x_last - patch.x_first, patch.y_last - patch.y_first) / step), least)
    cells = np.unique(np.round(np.geomspace(least, most, count)).astype(int))
    return [float(one * step) for one in cells]


def deviogram(patch: Patch, lengths: Sequence[float] | None = None) -> tuple[Reals, Reals]:
    """Baselines [m], in whole cells, and the rms deviation nu [m] at each: of heights that far apart, along x and y.

    nu(L)^2 = <(z(x + L) - z(x))^2>, both directions weighing the same, after the plane that fits the patch best is
    taken away (Rosenburg takes the slope of the whole window away as well).
    """
    z = _level(patch)
    whole, found = [], []
    for length in baselines(patch) if lengths is None else lengths:
        rows, columns = _steps(patch, length)
        along = np.mean(np.square(z[rows:] - z[:-rows]))
        across = np.mean(np.square(z[:, columns:] - z[:, :-columns]))
        whole.append(math.sqrt(rows * patch.x_step * columns * patch.y_step))
        found.append(math.sqrt((along + across) / 2))
    return np.array(whole), np.array(found)


def hurst(patch: Patch, lengths: Sequence[float] | None = None) -> float:
    """Hurst exponent: slope of the line through log nu over log L (least squares).

    NaN for ground without relief, and for fewer than three heights a side.
    """
    if lengths is None and min(patch.heights.shape) < 3:
        return math.nan
    length, deviation = deviogram(patch, lengths)
    if len(length) < 2 or not (deviation > 0).all():
        return math.nan
    return float(np.polyfit(np.log(length), np.log(deviation), 1)[0])


def _steps(patch: Patch, baseline: float) -> tuple[int, int]:
    """A baseline in whole cells along x and y."""
    found = []
    for step, count in zip((patch.x_step, patch.y_step), patch.heights.shape, strict=True):
        cells = round(baseline / step) if math.isfinite(baseline) else 0
        if not 1 <= cells < count:
            expected = f"from {max(patch.x_step, patch.y_step):g} m, a cell, to the size of the patch"
            raise MistakeError("baseline", expected, f"{baseline:g} m")
        found.append(cells)
    return found[0], found[1]


def _level(patch: Patch) -> Reals:
    """Heights less the plane that fits them best."""
    z: Reals = patch.heights.astype(np.float64)
    u, v = (np.linspace(-1, 1, count) for count in z.shape)
    z = z - z.mean()
    z -= (z.mean(1) @ u / (u @ u)) * u[:, None]
    z -= (z.mean(0) @ v / (v @ v)) * v
    return z
