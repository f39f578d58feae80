"""The answer as text: how many landed, how sure that is, what the losses were and why, how the touchdowns were.

Made from the JSON answer alone, so that people and scripts read the same numbers. A probability is always shown with
its count, its total and its interval; what never happened is shown with its upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mcrisk import units
from mcrisk.errors import command

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["chance", "count", "estimate", "runs_told", "show"]

FEW = 20  # landed runs below which they are not described alone
SHOWN_CAUSES = 6  # of each outcome
SHOWN_QUANTILES = ("0.01", "0.5", "0.99")


def show(answer: dict[str, Any], console: Console, folder: str = "") -> None:
    """Print the answer of `answer.answer`. folder: where the results are, for `mcrisk replay`."""
    from rich.padding import Padding
    from rich.text import Text

    for place, case in enumerate(answer["cases"]):
        console.print(Text(headline(case), style="bold"))
        if not case["runs"]:
            continue
        if losses := case["ledger"]:
            console.print(Padding(_losses(case, losses), (0, 0, 0, 2), expand=False))
            if folder:
                first = max(losses, key=lambda row: int(row["count"]))["example_run"]
                which = ["--case", str(place)] if len(answer["cases"]) > 1 else []
                hint = command("replay", folder, "--run", str(first), *which)
                console.print(Text(f"  see one of them: {hint}", style="dim"), soft_wrap=True)  # to be copied
        console.print(Padding(_touchdowns(case), (0, 0, 0, 2), expand=False))
        if ellipse := _ellipse(case["landing_ellipse"][_described(case)]):
            console.print(Text(f"  {ellipse}"))
    for one in answer["impossible"]:
        console.print(Text(f"{one['name']} is impossible: {one['reason']}", style="bold"))
    console.print(Text(provenance(answer), style="dim"))


def headline(case: dict[str, Any]) -> str:
    """One sentence: landings, runs, probability and interval.

    >>> headline({"name": "m", "runs": 10000, "invalid": 0, "success_count": 10000,
    ...           "success_interval": [0.999631, 1.0], "confidence": 0.95})
    'm: 10 000 of 10 000 runs land; fewer than 0.030 % are lost (95 % confidence, none seen)'
    """
    text = estimate(case["success_count"], case["runs"], case["success_interval"], case["confidence"])
    if case["invalid"]:
        text += f"; {count(case['invalid'])} of them invalid"
    return f"{case['name']}: {text}"


def estimate(landed: int, runs: int, interval: Iterable[float], confidence: float) -> str:
    """Landings, runs, and the probability with its interval; where none or all land, a one-sided bound.

    >>> estimate(64, 64, (0.944, 1.0), 0.95)
    '64 of 64 runs land; fewer than 4.6 % are lost (95 % confidence, none seen)'
    >>> estimate(0, 64, (0.0, 0.056), 0.95)
    '0 of 64 runs land: below 4.6 % (95 % confidence, none seen)'
    """
    if not runs:
        return "no run is flown yet"
    text = f"{count(landed)} of {runs_told(runs)} land{'s' * (runs == 1)}"
    if landed < runs:
        return f"{text}: {chance(landed, runs, interval, confidence)}"
    bound = _percent(_bound(runs, confidence))
    return f"{text}; fewer than {bound} are lost ({_level(confidence)}, none seen)"


def _bound(runs: int, confidence: float) -> float:
    """The upper bound of what never happened."""
    from mcrisk.risk import upper_bound  # needs numpy, which --help does not wait for

    return upper_bound(0, runs, confidence)


def chance(seen: int, runs: int, interval: Iterable[float], confidence: float) -> str:
    """A probability with its interval; for nothing seen its one-sided upper bound.

    >>> chance(8123, 10000, (0.80450, 0.81992), 0.95)
    '81.2 % (80.5 to 82.0 %, 95 % confidence)'
    >>> chance(0, 10000, (0.0, 0.0004), 0.95)
    'below 0.030 % (95 % confidence, none seen)'
    """
    if not seen:
        return f"below {_percent(_bound(runs, confidence))} ({_level(confidence)}, none seen)"
    shown, lower, upper = _aligned(seen / runs, interval)
    return f"{shown} % ({lower} to {upper} %, {_level(confidence)})"


def count(number: int) -> str:
    """A whole number in groups of three.

    >>> count(1234567)
    '1 234 567'
    """
    return f"{number:,}".replace(",", " ")


def runs_told(number: int) -> str:
    """A number of runs.

    >>> runs_told(1), runs_told(10_000)
    ('1 run', '10 000 runs')
    """
    return f"{count(number)} run{'s' * (number != 1)}"


def provenance(answer: dict[str, Any]) -> str:
    """One line: what was run, where, how fast the last flight was."""
    runs, new = sum(case["runs"] for case in answer["cases"]), answer["runs_new"]
    rate = f", {count(round(answer['runs_per_s']))} runs/s" if answer["runs_per_s"] else ""
    which = "" if new == runs else f", the last {count(new)} of them"
    where = f"{which} in {_seconds(answer)} s{rate}" if new else ""
    where += f", {answer['backend']}" if answer["backend"] else ""  # not where it is read from a journal
    return (
        f"campaign {answer['campaign'][:8]}, seed {answer['seed']}, {runs_told(runs)}{where}; "
        f"intervals: {answer['interval_method']}, {_level(answer['confidence'])}"
    )


def _losses(case: dict[str, Any], losses: list[dict[str, Any]]) -> Table:
    """Losses by outcome, most frequent first, each with its causes."""
    table = _table(f"{count(case['runs'] - case['success_count'])} of {count(case['runs'])} runs lost")
    for name, side in (
        ("lost by", "left"),
        ("runs", "right"),
        ("share", "right"),
        ("interval", "left"),
        ("run", "right"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    outcomes = {name: one for name, one in case["outcomes"].items() if name != "success" and one["count"]}
    for name, one in sorted(outcomes.items(), key=lambda item: -item[1]["count"]):
        shown, lower, upper = _aligned(one["probability"], one["interval"])
        table.add_row(name, count(one["count"]), f"{shown} %", f"{lower} to {upper} %", "", style="bold")
        rows = sorted((row for row in losses if row["outcome"] == name), key=lambda row: -int(row["count"]))
        for row in rows[:SHOWN_CAUSES]:
            table.add_row(f"  {row['cause']}", count(row["count"]), "", "", str(row["example_run"]))
        if rest := rows[SHOWN_CAUSES:]:
            table.add_row(f"  {len(rest)} other causes", count(sum(int(row["count"]) for row in rest)), "", "", "")
    return table


def _described(case: dict[str, Any]) -> str:
    """The group whose touchdowns are told: the landed runs, or all contacts when too few landed to describe them."""
    return "landed" if case["success_count"] >= FEW else "all_contacts"


def _touchdowns(case: dict[str, Any]) -> Table:
    """Metrics of the touchdowns that are told."""
    group = _described(case)
    metrics = case["metrics"][group]
    known = max((one["count"] for one in metrics.values()), default=0)
    told = f"{count(known)} landed runs" if group == "landed" else f"{runs_told(known)} that reached the ground"
    table = _table(f"touchdown of {told}")
    for name in ("", "mean", "sigma", "1 % below", "median", "99 % below", " "):
        table.add_column(name, justify="right" if name.strip() else "left", no_wrap=True)
    for name, one in metrics.items() if known else ():
        numbers = [one["mean"], one["std"], *(one["quantiles"][level] for level in SHOWN_QUANTILES)]
        shown, unit = _scaled([value for value in numbers if value is not None], one["unit"])
        table.add_row(name, *("" if value is None else next(shown) for value in numbers), unit)
    return table


def _ellipse(landing: dict[str, Any]) -> str:
    (long, short), (down, cross) = landing["semi_axes_m"], landing["center_m"]
    if long is None:
        return ""
    (long, short, down, cross), unit = _scaled([long, short, down, cross], "m")
    return (
        f"landing ellipse (normal, content {landing['content']:g}): semi-axes {long} x {short} {unit}, long axis "
        f"{math.degrees(landing['angle_rad']):.0f} deg from downrange, centre {down} {unit} downrange, "
        f"{cross} {unit} crossrange"
    )


def _table(title: str) -> Table:
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _scaled(values: list[float], unit: str) -> tuple[Iterator[str], str]:
    """The values in the one unit that people expect for the largest of them, and that unit."""
    if unit == "1":
        return (_three(value) for value in values), ""
    shown = units.format(max(map(abs, values), default=0.0), unit, digits=3).partition(" ")[2]
    scale = units.parse(f"1 {shown}", unit)
    return (_three(value / scale) for value in values), shown


def _three(value: float) -> str:
    """Three significant digits, without exponents where people would not write one.

    >>> _three(1183.2), _three(-0.00234), _three(2.0)
    ('1180', '-0.00234', '2.00')
    """
    if value == 0.0:
        return "0"
    place = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, place):.{max(place, 0)}f}" if place < 8 else f"{value:.2e}"


def _aligned(probability: float, interval: Iterable[float]) -> tuple[str, str, str]:
    """Probability and ends in percent, with the digits that the interval's width can carry.

    A lower end above zero never reads as zero.
    """
    lower, upper = interval
    width = 100 * (upper - lower)
    decimals = 1 - math.floor(math.log10(width)) if width > 0 else 3
    if lower > 0:
        decimals = max(decimals, min(-math.floor(math.log10(100 * lower)), decimals + 2))
    decimals = min(max(decimals, 0), 12)
    return f"{100 * probability:.{decimals}f}", f"{100 * lower:.{decimals}f}", f"{100 * upper:.{decimals}f}"


def _percent(bound: float) -> str:
    """An upper bound in percent with two digits, rounded up."""
    decimals = max(1 - math.floor(math.log10(100 * bound)), 0)
    step = 10.0**-decimals
    return f"{math.ceil(100 * bound / step - 1e-9) * step:.{decimals}f} %"


def _seconds(answer: dict[str, Any]) -> str:
    elapsed = float(answer["elapsed_s"])
    return f"{elapsed:.2g}" if elapsed < 10 else count(round(elapsed))


def _level(confidence: float) -> str:
    return f"{100 * confidence:g} % confidence"
