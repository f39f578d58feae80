"""The command about the ground: terrain."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcrisk.errors import MistakeError, visible

from .shared import Json, Sets, console, guarded, load, tell, whole

if TYPE_CHECKING:
    from mcrisk.relief import Relief

__all__ = ["terrain"]


@guarded
def terrain(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Elevation models, or a file that --out wrote; none with --synthetic."),
    ] = None,
    site: Annotated[str | None, typer.Option(metavar="LAT,LON", help="The target [deg], north and east.")] = None,
    azimuth: Annotated[str | None, typer.Option(metavar="DEG", help="Flight direction, east of north [deg].")] = None,
    mission: Annotated[
        str | None, typer.Option(metavar="MISSION", help="Take site, azimuth and elevation from this mission.")
    ] = None,
    sets: Sets = None,
    elevation: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Of the target over 1737.4 km; else that of the files.")
    ] = None,
    synthetic: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Make ground from a seed: mare, highland or ejecta.")
    ] = None,
    seed: Annotated[str, typer.Option(metavar="S", help="Of synthetic ground: 0 to 2^64 - 1.")] = "0",
    crater: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,D,DEPTH,RIM",
            help="Add a crater to synthetic ground: place, diameter, depth, rim [m]. Repeatable.",
        ),
    ] = None,
    before: Annotated[str, typer.Option(metavar="LENGTH", help="Length of the strip before the target.")] = "60 km",
    after: Annotated[str, typer.Option(metavar="LENGTH", help="Length of the strip beyond it.")] = "20 km",
    half_width: Annotated[str, typer.Option(metavar="LENGTH", help="Of the strip, to either side.")] = "10 km",
    cell: Annotated[str, typer.Option(metavar="LENGTH", help="Cells of the strip.")] = "100 m",
    site_half_width: Annotated[str, typer.Option(metavar="LENGTH", help="Of the finer patch at the site.")] = "1 km",
    site_cell: Annotated[
        str | None, typer.Option(metavar="LENGTH", help='Its cells at most; "0 m" for no patch; else what fits.')
    ] = None,
    bounds: Annotated[
        str | None, typer.Option(metavar="W,S,E,N", help="Edges [deg] of a file that does not say where it lies.")
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE.nc", help="Write the ground to this file.")] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE.png", help="Draw heights and slopes into this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Cut the ground along a flight path out of elevation models, or make it from a seed; show how steep it is."""
    from mcrisk.api import check_folder
    from mcrisk.export import check_file

    for option, name, ending in (("--out", out, ".nc"), ("--plot", plot, ".png")):
        if name is not None:
            check_file(option, name, ending)
            check_folder(Path(name).parent)
    sizes: dict[str, Any] = {
        "length_before": _length("--before", before, 0, 2e6),
        "length_after": _length("--after", after, 0, 2e6),
        "half_width": _length("--half-width", half_width, 1, 5e5),
        "cell": _length("--cell", cell, 0.1, 1e5),
        "site_half_width": _length("--site-half-width", site_half_width, 1, 5e5),
    }
    fine = None if site_cell is None else _length("--site-cell", site_cell, 0, 1e5)
    if synthetic is not None:
        stated = {"FILE": files, "--site": site, "--azimuth": azimuth, "--mission": mission, "--set": sets,
                  "--elevation": elevation, "--bounds": bounds}  # fmt: skip
        for option, given in stated.items():
            if given:
                raise MistakeError(
                    option, "elevation models", "--synthetic, which lies nowhere on the Moon", "leave it out"
                )
        relief = _made(synthetic, seed, crater or [], sizes, 2.5 if fine is None else fine)
    else:
        for option, wrong in (("--crater", bool(crater)), ("--seed", whole("seed", seed) != 0)):
            if wrong:
                raise MistakeError(option, "--synthetic", "elevation models", "leave it out")
        relief = _cut(files or [], _place(site, azimuth, elevation, mission, sets), sizes, fine, bounds)
    if out is not None:
        from mcrisk.terrain import write

        write(relief, out)
        tell(f"the ground is in {out}")
    from mcrisk import panorama

    if plot is not None:
        panorama.plot(relief, Path(plot))
        tell(f"the map is in {plot}")
    if as_json:
        print(json.dumps(panorama.summary(relief), allow_nan=False))
        return
    panorama.show_ground(relief, console())


def _made(kind: str, seed: str, craters: list[str], sizes: dict[str, Any], fine: float) -> Relief:
    """Ground from a seed."""
    from mcrisk import synthetic

    named = [synthetic.Crater(*numbers("--crater", text, 5)) for text in craters]
    return synthetic.ground(kind, whole("seed", seed), **sizes, site_cell=fine or None, named=named)


def _cut(
    files: list[str], place: dict[str, float], sizes: dict[str, Any], fine: float | None, bounds: str | None
) -> Relief:
    """Ground out of files."""
    from mcrisk import terrain

    if not files:
        remedy = "name one, or make ground with --synthetic mare"
        raise MistakeError("terrain", "a file of an elevation model", "none", remedy)
    edges = None if bounds is None else numbers("--bounds", bounds, 4)
    return terrain.read(files, **place, **sizes, site_cell=fine, bounds=edges)


def _place(
    site: str | None, azimuth: str | None, elevation: str | None, mission: str | None, sets: list[str] | None
) -> dict[str, float]:
    """Latitude, longitude, azimuth [rad] and elevation [m], as far as they are stated."""
    if mission is not None:
        for option, given in (("--site", site), ("--azimuth", azimuth), ("--elevation", elevation)):
            if given is not None:
                raise MistakeError(
                    option, "no --mission beside it", f"--mission {visible(mission)}", "use --set site..."
                )
        [one] = load([mission], sets)
        return {name: float(one.value(f"site.{name}")) for name in ("latitude", "longitude", "azimuth", "elevation")}
    if sets:
        raise MistakeError("--set", "--mission", "none")
    found: dict[str, float] = {}
    if site is not None:
        latitude, longitude = numbers("--site", site, 2)
        if not (abs(latitude) <= 90 and abs(longitude) <= 360):
            raise MistakeError("--site", "latitude -90 to 90, longitude -360 to 360", f"'{visible(site)}'")
        found |= {"latitude": math.radians(latitude), "longitude": math.radians(longitude)}
    if azimuth is not None:
        [angle] = numbers("--azimuth", azimuth.removesuffix("deg"), 1)
        found["azimuth"] = math.radians(angle)
    if elevation is not None:
        found["elevation"] = _length("--elevation", elevation, -20e3, 20e3)
    return found


def numbers(option: str, text: str, count: int) -> list[float]:
    """As many finite numbers as expected that a user separated by commas.

    >>> numbers("--site", "-19.1, 348.2", 2)
    [-19.1, 348.2]
    """
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count or not all(map(math.isfinite, found)):
        many = f"{count} numbers, separated by commas" if count > 1 else "a number"
        raise MistakeError(option, many, f"'{visible(text)}'")
    return found


def _length(option: str, text: str, least: float, most: float) -> float:
    """A length [m] that a user wrote, plain metres or with its unit."""
    from mcrisk import units

    try:
        value = float(text)
    except ValueError:
        value = units.parse(text, "m", option)
    if not least <= value <= most:
        raise MistakeError(option, f"{least:g} m to {most:g} m", f"'{visible(text)}'")
    return value
