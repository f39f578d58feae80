"""The course of one replayed run as a table: a row at each change of phase and at even steps between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mcrisk import units

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

__all__ = ["show_course"]

ROWS = 24
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
    from rich.table import Table

    title = f"{flight.attrs['title']}: {flight.attrs['outcome']}"
    cause = flight.attrs["cause"]
    console.print(title + (f", cause {cause}" if cause != "none" else ""))
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("time", "phase", *COLUMNS.values(), "believed height error"):
        table.add_column(column, justify="right" if column != "phase" else "left")
    phases = _phases(flight)
    wrong = flight["believed_height"].values - flight["height"].values
    for tick in _ticks(flight):
        cells = [_cell(flight, name, tick) for name in COLUMNS]
        moment = units.format(float(flight["time"][tick]), "s", digits=4)
        table.add_row(moment, phases[tick], *cells, units.format(float(wrong[tick]), "m", digits=3))
    console.print(table)
    final = {name.removeprefix("final_"): value for name, value in flight.attrs.items() if name.startswith("final_")}
    if final:
        from mcrisk.schema import load_schema

        fields = load_schema().record_fields
        told = ", ".join(
            f"{name} {units.format(float(value), fields[name].unit, digits=3)}" for name, value in final.items()
        )
        console.print(f"at contact: {told}")


def _ticks(flight: xr.Dataset) -> list[int]:
    """Ticks to show: the first, the last, every change of phase, and even steps."""
    last = flight.sizes["time"] - 1
    changes = 1 + np.flatnonzero(np.diff(flight["phase"].values))
    even = np.linspace(0, last, ROWS).round().astype(int)
    return sorted({0, last, *changes[:ROWS].tolist(), *even.tolist()})


def _phases(flight: xr.Dataset) -> list[str]:
    numbers = flight["phase"].values
    names: dict[Any, str] = {}
    if "flag_meanings" in flight["phase"].attrs:
        meanings = flight["phase"].attrs["flag_meanings"].split()
        names = dict(zip(flight["phase"].attrs["flag_values"].tolist(), meanings, strict=True))
    return [names.get(number, str(number)) for number in numbers.tolist()]


def _cell(flight: xr.Dataset, name: str, tick: int) -> str:
    value = float(flight[name][tick])
    if name == "altimeter_range" and value < 0:
        return "-"
    unit = flight[name].attrs["units"]
    return units.format(value, "" if unit == "1" else unit, digits=3)
