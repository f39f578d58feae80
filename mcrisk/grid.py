"""The answer of a sweep as text: a line for each design point, and a map where there are two axes.

Made from the JSON answer alone, as in `ledger`. Every share stands with its interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcrisk.ledger import count, provenance, runs_told
from mcrisk.tables import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["show_sweep"]

MAP_COLUMNS = 8  # more do not fit a page
NOT_YET = "not flown yet"
LINES = 200  # design points listed; the file has all of them


def show_sweep(answer: dict[str, Any], console: Console) -> None:
    """Print the answer of a campaign with axes."""
    from rich.text import Text

    axes = answer["axes"]
    if len(axes) == 2 and axes[1]["size"] <= MAP_COLUMNS:
        console.print(_map(answer))
    else:
        console.print(_lines(answer))
        if len(answer["cases"]) > LINES:
            console.print(Text(f"and {count(len(answer['cases']) - LINES)} more design points, in the file of results"))
    for one in answer["impossible"]:
        console.print(Text(f"impossible: {one['name']}: {one['reason']}"))
    flown = [case["runs"] for case in answer["cases"]]
    least, most = min(flown), max(flown)
    runs = runs_told(most) if least == most else f"{count(least)} to {runs_told(most)}"
    note = f"{runs} of each design, the same random worlds; share that lands with its interval, in %"
    console.print(Text(note, style="dim"))
    console.print(Text(provenance(answer), style="dim"))


def _lines(answer: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    names = [name for axis in answer["axes"] for name in axis["columns"] if name != "case"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (*names, "lands", "interval"):
        table.add_column(name, justify="left" if name == "interval" else "right")
    table.add_column("most lost by")
    for case in answer["cases"][:LINES]:
        coords = [shown(name, case["coords"][name]) for name in names]
        if not case["runs"]:
            table.add_row(*coords, NOT_YET, "", "")
            continue
        low, high = case["success_interval"]
        share = f"{100 * case['success_probability']:.1f} %"
        table.add_row(*coords, share, f"{100 * low:.1f} to {100 * high:.1f} %", _worst(case))
    return table


def _map(answer: dict[str, Any]) -> Table:
    """Rows along the first axis, columns along the second."""
    from rich import box
    from rich.table import Table

    rows, columns = answer["axes"]
    found = {case["place"]: case for case in answer["cases"]}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{rows['dim']} by {columns['dim']}", title_justify="left")
    table.add_column("")
    for label in _labels(columns):
        table.add_column(label, justify="right")
    for row, label in enumerate(_labels(rows)):
        cells = []
        for column in range(columns["size"]):
            case = found.get(row * columns["size"] + column)
            cells.append(_cell(case) if case else "impossible")
        table.add_row(label, *cells)
    return table


def _labels(axis: dict[str, Any]) -> list[str]:
    """What to call each place of an axis."""
    columns = {name: values for name, values in axis["columns"].items() if name != "case" or len(axis["columns"]) == 1}
    return [", ".join(shown(name, values[place]) for name, values in columns.items()) for place in range(axis["size"])]


def _cell(case: dict[str, Any]) -> str:
    if not case["runs"]:
        return NOT_YET
    low, high = case["success_interval"]
    return f"{100 * case['success_probability']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _worst(case: dict[str, Any]) -> str:
    """The most frequent loss, with its share of the runs."""
    if not case["ledger"]:
        return ""
    row = max(case["ledger"], key=lambda one: int(one["count"]))
    return f"{row['outcome']} by {row['cause']}, {100 * row['count'] / case['runs']:.1f} %"
