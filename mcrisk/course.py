"""The course of one replayed run as a table: rows at even steps, on the way down, and at changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mcrisk import units

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

__all__ = ["show_course"]

ROWS = 16  # at even steps of time
HEIGHTS = (10e3, 5e3, 2e3, 1e3, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0)  # [m] a row where it falls through one
SMALLEST = 0.01  # of any unit: what is less is shown as zero
COLUMNS = {
    "height": "height",
    "descent_rate": "descent rate",
    "horizontal_speed": "horizontal",
    "tilt": "tilt",
    "propellant": "propellant",
    "altimeter_range": "altimeter",
}


def show_course(flight: xr.Dataset, console: Console) -> None:
    """Print the outcome and course of a flight made by `dataset.from_samples`."""
    from mcrisk.sheet import table_of

    title = f"{flight.attrs['title']}: {flight.attrs['outcome']}"
    cause = flight.attrs["cause"]
    console.print(title + (f", cause {cause}" if cause != "none" else ""))
    table = table_of(">time", "phase", *(f">{name}" for name in COLUMNS.values()), ">height error")
    phases = _phases(flight)
    wrong = flight["believed_height"].values - flight["height"].values
    for tick in _ticks(flight):
        cells = [
            _altimeter(flight, tick) if name == "altimeter_range" else _cell(flight, name, tick) for name in COLUMNS
        ]
        moment = f"{float(flight['time'][tick]):.1f} s"
        table.add_row(moment, phases[tick], *cells, _three(float(wrong[tick]), "m"))
    console.print(table)
    console.print("height error: believed less true height; altimeter: - without a valid range")
    final = {name.removeprefix("final_"): value for name, value in flight.attrs.items() if name.startswith("final_")}
    if final:
        from mcrisk.schema import load_schema

        fields = load_schema().record_fields
        contact = table_of("at contact", ">value", "meaning")
        for name, value in final.items():
            contact.add_row(name, _three(float(value), fields[name].unit), fields[name].description)
        console.print(contact)
    else:
        console.print("the lander does not reach the ground")


def _ticks(flight: xr.Dataset) -> list[int]:
    """Ticks to show: even steps, each height that is passed, changes of phase, first ranges accepted and rejected."""
    last = flight.sizes["time"] - 1
    even = np.linspace(0, last, ROWS).round().astype(int)
    changes = 1 + np.flatnonzero(np.diff(flight["phase"].values))
    used, height = flight["altimeter_used"].values, flight["height"].values
    events = [used > 0, used < 0, *(height < level for level in HEIGHTS)]
    first = [int(np.argmax(event)) for event in events if event.any()]
    return sorted({*even.tolist(), *changes[:ROWS].tolist(), *first})


def _phases(flight: xr.Dataset) -> list[str]:
    numbers = flight["phase"].values
    names: dict[Any, str] = {}
    if "flag_meanings" in flight["phase"].attrs:
        meanings = flight["phase"].attrs["flag_meanings"].split()
        names = dict(zip(flight["phase"].attrs["flag_values"].tolist(), meanings, strict=True))
    return [names.get(number, str(number)) for number in numbers.tolist()]


def _cell(flight: xr.Dataset, name: str, tick: int) -> str:
    unit = flight[name].attrs["units"]
    return _three(float(flight[name][tick]), "" if unit == "1" else unit)


def _altimeter(flight: xr.Dataset, tick: int) -> str:
    """The newest altimeter range, of this tick or of the last sample before it, and whether the filter refused it."""
    ranges, used = flight["altimeter_range"].values, flight["altimeter_used"].values
    valid = np.flatnonzero(ranges >= 0)
    period = int(np.min(np.diff(valid), initial=len(ranges)))
    newest = valid[(valid <= tick) & (valid > tick - period)]
    if not len(newest):
        return "-"
    refused = " rejected" if used[newest[-1]] < 0 else ""
    return _three(float(ranges[newest[-1]]), "m") + refused


def _three(value: float, unit: str) -> str:
    """Three significant digits with the unit that people expect; slow turning too in deg/s."""
    if unit == "rad s^-1":
        return _three(math.degrees(value), "") + " deg/s"
    number, space, name = units.format(value, unit, digits=3).partition(" ")
    return f"{number if abs(float(number)) >= SMALLEST else '0'}{space}{name}"
