"""A relief for people: what was done, how high and how steep it is beside kinds of regions, its profile, its map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import regions, roughness
from .errors import MistakeError
from .netcdf import placed

if TYPE_CHECKING:
    from rich.console import Console

    from .relief import Patch, Relief

__all__ = ["plot", "show_ground", "summary"]

BASELINES = (2.0, 5.0, 17.0, 57.0, 225.0, 560.0, 2700.0)  # [m]: legs, a lander, and those of the LOLA's maps
COLUMNS, ROWS = 96, 10  # [character] of the profile
INSTALL = "try MCRISK_EXTRAS=report ./scripts/mcrisk, or pip install 'mcrisk[report]'"


def summary(relief: Relief) -> dict[str, Any]:
    """What `show_ground` shows, as plain numbers in SI and names, for JSON; a Hurst exponent may be None."""
    where = relief.projection
    return {
        "site": None if where is None else {
            "latitude": where.latitude, "longitude": where.longitude, "azimuth": where.azimuth,
            "elevation": where.elevation,
        },
        "notes": list(relief.notes),
        "heights": relief.size,
        "patches": {name: _figures(one) for name, one in _patches(relief)},
        "classes": {
            kind.name: {
                "hurst": kind.hurst.value,
                "slopes": [{"baseline": length, "0.5": float(regions.slope_at(kind, length))} for length in BASELINES],
            }
            for kind in regions.REGIONS.values()
        },
    }  # fmt: skip


def show_ground(relief: Relief, console: Console) -> None:
    """Print the notes, sizes and heights, slopes and Hurst exponents beside those of the kinds, and the profile."""
    from .sheet import table_of

    told = summary(relief)
    for note in relief.notes:
        console.print(note)
    table = table_of("", ">cells", ">downrange", ">to the left", ">heights", ">Hurst exponent")
    for name, one in told["patches"].items():
        (x_first, x_last), (y_first, y_last), (low, high) = one["x"], one["y"], one["height"]
        table.add_row(
            name, f"{one['cell'][0]:.4g} m", f"{x_first / 1000:g} to {x_last / 1000:g} km",
            f"{y_first / 1000:g} to {y_last / 1000:g} km", f"{low:.1f} to {high:.1f} m",
            "-" if one["hurst"] is None else f"{one['hurst']:.2f}",
        )  # fmt: skip
    console.print(table)
    console.print("slopes in two dimensions, and the medians of kinds of ground:")
    table = table_of(
        ">baseline", "of", *(f">{_name(one)}" for one in roughness.SHARES), *(f">{one}" for one in regions.REGIONS)
    )
    for name, one in told["patches"].items():
        for row in one["slopes"]:
            kinds = (regions.slope_at(kind, row["baseline"]) for kind in regions.REGIONS.values())
            table.add_row(
                f"{row['baseline']:.4g} m", name, *(_degrees(row[str(share)]) for share in roughness.SHARES),
                *(_degrees(float(median)) for median in kinds),
            )  # fmt: skip
    table.add_row(
        "Hurst", "", *[""] * len(roughness.SHARES), *(f"{k.hurst.value:.2f}" for k in regions.REGIONS.values())
    )
    console.print(table)
    for line in profile(relief):
        console.print(line)


def profile(relief: Relief) -> list[str]:
    """The heights under the track as lines of characters, mean of each column; T is the target."""
    strip = relief.strip
    edges = np.linspace(strip.x_first, strip.x_last, COLUMNS + 1)
    inside = np.linspace(0, 1, 16, endpoint=False) + 1 / 32
    heights = relief.height_at(edges[:-1, None] + inside * (edges[1] - edges[0]), 0.0).mean(1)
    low, high = float(heights.min()), float(heights.max())
    size = max(high - low, 1e-3) / ROWS
    filled = np.clip(np.ceil((heights - low) / size), 1, ROWS)
    target = int(np.clip(np.searchsorted(edges, 0.0, side="right") - 1, 0, COLUMNS - 1))
    lines = [f"along the track, heights over the site, {high - low:.4g} m from lowest to highest:"]
    for row in range(ROWS, 0, -1):
        label = f"{low + row * size:8.0f} m" if row in (ROWS, ROWS // 2) else ""
        lines.append(f"{label:>10} |" + "".join("#" if one >= row else " " for one in filled).rstrip())
    base = ["-"] * COLUMNS
    if strip.x_first <= 0 <= strip.x_last:
        base[target] = "T"
    lines.append(f"{low:8.0f} m +" + "".join(base))
    left, right = f"{strip.x_first / 1000:g} km", f"{strip.x_last / 1000:g} km"
    lines.append(" " * 12 + left + right.rjust(COLUMNS - len(left)))
    return lines


def plot(relief: Relief, path: Path) -> None:
    """Draw heights and slopes of the strip, and of the site patch if there is one, as PNG, whole or not at all."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MistakeError("matplotlib is not installed, which draws maps", remedy=INSTALL) from None
    patches = _patches(relief)
    figure = Figure(figsize=(12, 4 * len(patches)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(patches), 2, squeeze=False)
    for row, (name, one) in zip(axes, patches, strict=True):
        baseline = max(2 * max(one.x_step, one.y_step), 17.0)
        edges = (one.x_first - one.x_step / 2, one.x_last + one.x_step / 2,
                 one.y_first - one.y_step / 2, one.y_last + one.y_step / 2)  # fmt: skip
        extent = [edge / 1000 for edge in edges]
        drawn = (
            (one.heights, "terrain", "height [m]", f"{name}: heights over the site"),
            (
                np.degrees(roughness.slope_map(one, baseline)),
                "magma",
                "slope [deg]",
                f"{name}: slopes at {baseline:g} m",
            ),
        )
        for at, (values, colours, label, title) in zip(row, drawn, strict=True):
            image = at.imshow(values.T, origin="lower", extent=extent, cmap=colours, aspect="auto")
            at.plot(0, 0, "r+")
            at.set(title=title, xlabel="downrange [km]", ylabel="to the left [km]")
            figure.colorbar(image, ax=at, label=label)
    with placed(path, remedy="free space, or choose another --plot") as file:
        figure.savefig(file, format="png", dpi=120)


def _patches(relief: Relief) -> list[tuple[str, Patch]]:
    found = [("strip", relief.strip)]
    return [*found, ("site", relief.site)] if relief.site else found


def _figures(patch: Patch) -> dict[str, Any]:
    """Size, heights, Hurst exponent and slopes of a patch, SI."""
    side = min(patch.x_last - patch.x_first, patch.y_last - patch.y_first)
    cell = max(patch.x_step, patch.y_step)
    lengths = [round(one / cell) * cell for one in BASELINES if 0.8 * cell <= one <= side / 3]
    hurst = roughness.hurst(patch)
    return {
        "shape": list(patch.heights.shape),
        "cell": [patch.x_step, patch.y_step],
        "x": [patch.x_first, patch.x_last],
        "y": [patch.y_first, patch.y_last],
        "height": [float(patch.heights.min()), float(patch.heights.max())],
        "hurst": hurst if math.isfinite(hurst) else None,
        "slopes": [
            {"baseline": one, **{str(share): value for share, value in roughness.percentiles(patch, one).items()}}
            for one in lengths
        ],
    }


def _name(share: float) -> str:
    return "median" if share == 0.5 else f"{100 * share:g} %"


def _degrees(angle: float) -> str:
    return f"{math.degrees(angle):.1f} deg"
