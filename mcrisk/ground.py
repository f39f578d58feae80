"""The ground of a mission: what its [ground] table asks for, made once, and packed as the kernel reads it.

    [ground]
    files = ["ldem_512.tif", "nac_dtm.tif"]      elevation models, found beside the mission file; or
    synthetic = "highland"                       ground with the statistics of a terrain class, by `seed`
    region = "mare"                              rocks, craters and slopes of a terrain class at the pad (regions.py)

Heights count from the ground at the target: a map that lies higher or lower than site.elevation there is moved, and
says so.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InfrastructureError, MistakeError

if TYPE_CHECKING:
    from .mission import Mission
    from .relief import Patch, Relief

__all__ = ["FLAT", "Ground", "heights_of", "of", "pack", "relief_of"]

PATCH = ("x_first", "y_first", "x_inverse", "y_inverse", "rows", "columns", "first")


@dataclass(frozen=True)
class Ground:
    """Values of the kernel's `Relief` by path, the heights it lays out (float32), and how they were made."""

    values: Mapping[str, float | int]
    heights: bytes = field(default=b"", repr=False)
    notes: tuple[str, ...] = ()


def _flat() -> Ground:
    values: dict[str, float | int] = {}
    for grid in ("strip", "site"):
        values |= {f"relief.{grid}.{name}": 0 if name in ("rows", "columns", "first") else 0.0 for name in PATCH}
    return Ground(values | {"relief.lowest": 0.0, "relief.highest": 0.0, "relief.count": 0})


FLAT = _flat()


def of(mission: Mission) -> Ground:
    """The ground of a mission, `FLAT` where it has no [ground]; the same object for missions that share it.

    Raises MistakeError for files that cannot be read or do not hold the site.
    """
    relief = relief_of(mission)
    return FLAT if relief is None else _packed(relief)


def heights_of(designed: Mission) -> bytes:
    """The heights of a designed mission, within the grids and the ends that its Params state.

    Raises InfrastructureError where a file of them was changed meanwhile.
    """
    found = of(designed)
    if any(designed.values.get(path) != value for path, value in found.values.items()):
        expected, got = "the files that were read for its design", "others by now"
        raise InfrastructureError(f"{designed.name}: ground", expected, got, "give the command again")
    return found.heights


def relief_of(mission: Mission) -> Relief | None:
    """The elevation model of a mission, heights from the ground at its target [m]; None without one."""
    asked = {
        path.removeprefix("ground."): mission.tables[path] for path in mission.tables if path.startswith("ground.")
    }
    if not asked.keys() - {"region"}:
        return None
    asked.pop("region", None)
    seed = asked.get("seed", 0)
    if not (seed < 1 << 53 and seed == int(seed)):  # above, a float knows not all whole numbers
        raise MistakeError(f"{mission.name}: ground.seed", "a whole number below 2^53", f"{seed:.17g}")
    sources = [name for name in ("files", "synthetic") if name in asked]
    if len(sources) != 1:
        got = "both" if sources else "neither"
        raise MistakeError(f"{mission.name}: ground", "either files or synthetic", got, 'state files = "dem.tif", say')
    if "files" in asked and "seed" in asked:
        raise MistakeError(f"{mission.name}: ground.seed", "synthetic ground", "files", "leave it out")
    site: list[float | None] = [mission.value(f"site.{name}") for name in ("latitude", "longitude", "azimuth")]
    site.append(mission.value("site.elevation") if "site.elevation" in mission.entries else None)
    stamps = tuple(_stamp(name) for name in asked.get("files", ()))
    return _relief(tuple(sorted(asked.items())), tuple(site), stamps)


def _stamp(name: str) -> tuple[str, int, int]:
    """What tells whether a file is still that which was read."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return name, 0, 0
    return name, found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=32)
def _relief(
    asked: tuple[tuple[str, Any], ...],
    site: tuple[float, float, float, float],
    stamps: tuple[tuple[str, int, int], ...],
) -> Relief:
    from . import synthetic, terrain

    given = dict(asked)
    source = given.pop("synthetic", None)
    files = given.pop("files", ())
    seed = given.pop("seed", 0)
    if source is not None:
        made = synthetic.ground(source, seed=int(seed), **given)
    else:
        latitude, longitude, azimuth, elevation = site
        made = terrain.read(
            files, latitude=latitude, longitude=longitude, azimuth=azimuth, elevation=elevation, **given
        )
    return _from_target(made)


def _from_target(relief: Relief) -> Relief:
    """The same with heights from the ground at the target."""
    from dataclasses import replace

    level = float(relief.height_at(0.0, 0.0))
    if level == 0:
        return relief

    def lowered(patch: Patch) -> Patch:
        return replace(patch, heights=patch.heights - np.float32(level))

    note = f"the ground at the target lies {level:.1f} m above site.elevation in the map: all heights count from it"
    site = lowered(relief.site) if relief.site is not None else None
    return replace(relief, strip=lowered(relief.strip), site=site, notes=(*relief.notes, note))


@functools.lru_cache(maxsize=32)
def _packed(relief: Relief) -> Ground:
    return pack(relief)


def pack(relief: Relief) -> Ground:
    """A relief as the kernel reads it."""
    grids = [relief.strip, relief.site or relief.strip]
    values: dict[str, float | int] = {}
    place = 0
    for name, patch, first in (
        ("strip", grids[0], 0),
        ("site", grids[1], relief.strip.heights.size if relief.site else 0),
    ):
        rows, columns = patch.heights.shape
        places = [float(one) for one in (patch.x_first, patch.y_first, 1 / patch.x_step, 1 / patch.y_step)]
        numbers = (*places, rows, columns, first)
        values |= {f"relief.{name}.{key}": number for key, number in zip(PATCH, numbers, strict=True)}
        place = max(place, first + rows * columns)
    kept = [relief.strip.heights, *([relief.site.heights] if relief.site else [])]
    heights = b"".join(np.ascontiguousarray(one, "<f4").tobytes() for one in kept)
    lowest, highest = min(float(one.min()) for one in kept), max(float(one.max()) for one in kept)
    values |= {"relief.lowest": lowest, "relief.highest": highest, "relief.count": place}
    return Ground(values, heights, relief.notes)
