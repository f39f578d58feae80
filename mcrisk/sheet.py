"""The design sheet of a mission: what follows from it, and how its nominal flight goes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mcrisk import ground, units
from mcrisk.envelopes import ENVELOPES
from mcrisk.touchdown import REASONS, RESULTS, worst_of

if TYPE_CHECKING:
    import xarray
    from rich.console import Console
    from rich.table import Table

    from mcrisk.mission import Mission

__all__ = ["show_design", "show_envelope", "show_envelopes", "show_speed", "show_stability", "table_of"]

DIGITS = 4  # of a designed value
MARKS = {"stands": ".", "leg_exhausted": "L", "body_struck": "B", "never_rests": "N", "tips": "T"}
WHY = {
    "leans": "it leans more than limits.rest_tilt", "leg_exhausted": "a leg has no stroke left",
    "body_struck": "the body strikes the ground", "never_rests": "it never comes to rest", "tips": "it falls over",
}  # fmt: skip


def show_design(name: str, designed: Mission, console: Console) -> None:
    """Print what the nominal design added to a mission, its undispersed flight, and what a designer should know."""
    console.print(f"{name}: valid; {designed.counted}")
    console.print("designed, since the mission does not state it:")
    table = table_of("path", "value", "meaning")
    for path, text, meaning in _consequences(designed):
        table.add_row(path, text, meaning)
    console.print(table)
    if notes := ground.of(designed).notes:
        console.print("ground: " + "; ".join(notes))
    if pad := _pad(designed):
        console.print(f"pad: {pad}")
    _show_flight(console, designed)


def show_speed(answers: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the figures of one mission (`bench.bench`), and what `bench.sentences` tells of others."""
    from mcrisk.bench import HEADER, row, sentences

    console.print(answers[0]["mission"])
    table = table_of(*HEADER)
    for answer in answers:
        table.add_row(*row(answer))
    console.print(table)
    for sentence in sentences(others):
        console.print(sentence)


def show_stability(found: xarray.Dataset, console: Console) -> None:
    """Draw a map of `touchdown.stability_map`: for each descent rate, speeds upward over slopes."""
    feet = "no foot slides" if found.attrs["caught"] else "feet slide by friction"
    console.print(
        f"{found.attrs['mission']}: what becomes of a touchdown, upright at first, {feet}, worst of all directions"
    )
    console.print(f"{MARKS['stands']} stands" + "".join(f", {MARKS[one]} {one}" for one in RESULTS[1:]))
    table = table_of(
        ">descent rate", ">horizontal speed", *(f">{math.degrees(one):g} deg" for one in found["slope"].values)
    )
    for rate in found["descent_rate"].values:
        layer = found["result"].sel(descent_rate=rate)
        for speed in found["horizontal_speed"].values[::-1]:
            row = layer.sel(horizontal_speed=speed).values
            table.add_row(f"{rate:g} m/s", f"{speed:g} m/s", *(MARKS[RESULTS[one]] for one in row))
        table.add_row()
    console.print(table)


def show_envelopes(console: Console) -> None:
    """List the published envelopes."""
    table = table_of("envelope", "lander", "bounds", "source")
    for one in ENVELOPES.values():
        table.add_row(one.name, one.lander, one.told, f"{one.source}, {one.confidence}")
    console.print(table)


def show_envelope(found: xarray.Dataset, console: Console) -> None:
    """Tell what became of a lander on an envelope (`touchdown.envelope`): share, worst corner, a row for each speed."""
    facts = found.attrs
    bounds = ENVELOPES[facts["envelope"]].told if facts["envelope"] in ENVELOPES else ""
    console.print(f"{facts['lander']} ({facts['source']}, {facts['confidence']}): {bounds}")
    stood, flown = int(found["count"].sel(reason="stands")), facts["flown"]
    console.print(
        f"{facts['mission']} stands after {stood} of {flown} touchdowns on its corners and edges ({stood / flown:.1%})"
    )
    worst = worst_of(found)
    if worst is not None:
        told = {name: math.degrees(worst[name]) for name in ("slope", "tilt", "heading", "yaw", "rest_tilt")}
        feet = "no foot slides" if worst["caught"] else "feet slide by friction"
        others = [f"{REASONS[k]} {int(n)}" for k, n in enumerate(found["count"].values) if k and n]
        console.print(
            f"worst: {WHY[worst['reason']]}: {worst['descent_rate']:.3g} m/s down, {worst['horizontal_speed']:.3g} m/s "
            f"across at {told['heading']:.0f} deg from downhill, slope {told['slope']:.3g} deg, "
            f"tilt {told['tilt']:.3g} deg, yaw {told['yaw']:.0f} deg, {feet}; "
            f"{worst['standing']:.0%} of this corner's headings and yaws stand"
        )
        console.print(f"lost: {', '.join(others)}")
    table = table_of(
        ">descent rate", ">horizontal speed", *(f">{math.degrees(one):g} deg" for one in found["slope"].values)
    )
    for place in range(found.sizes["speed"]):
        row = found.isel(speed=place)
        shares = row["standing"].mean("attitude").values
        names = [REASONS[one] for one in row["result"].max("attitude").values]
        cells = [
            f"{share:.0%}{'' if name == 'stands' else f' {name}'}" for share, name in zip(shares, names, strict=True)
        ]
        table.add_row(f"{float(row['descent_rate']):.3g} m/s", f"{float(row['horizontal_speed']):.3g} m/s", *cells)
    console.print(table)


def table_of(*columns: str) -> Table:
    """A plain table, whose long cells are folded rather than cut; a name that starts with `>` is of a right column."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        side = "right" if column.startswith(">") else "left"
        name = column.removeprefix(">")
        table.add_column(name, justify=side, overflow="fold", no_wrap=name == "path")  # type: ignore[arg-type]
    return table


def _show_flight(console: Console, designed: Mission) -> None:
    """The nominal flight phase by phase, how it ends, and what a designer should know."""
    from mcrisk.backends.cpu import CpuBackend
    from mcrisk.nominal import concerns
    from mcrisk.orbit import deorbit
    from mcrisk.profile import nominal_flight

    burn, coast = deorbit(designed)
    flight = nominal_flight(designed, CpuBackend())
    console.print(f"before the powered descent: de-orbit burn {burn:.1f} m/s, coast {coast / 60:.1f} min")
    console.print(
        "nominal flight, undispersed and with perfect navigation; height and speed at the start of the phase:"
    )
    table = table_of(
        "phase", ">start", ">duration", ">height", ">speed", ">delta-v", ">propellant", ">peak thrust / lunar weight"
    )
    for row in flight.phases:
        table.add_row(
            row.phase, f"{row.start:.1f} s", f"{row.duration:.1f} s", units.format(row.height, "m", digits=4),
            units.format(row.speed, "m s^-1", digits=4), f"{row.delta_v:.1f} m/s", f"{row.propellant:.1f} kg",
            f"{row.thrust_to_weight:.2f}" if row.thrust_to_weight else "-",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"ends as {flight.outcome}: contact at {flight.descent_rate:.2f} m/s down and "
        f"{flight.horizontal_speed:.2f} m/s along the ground, {flight.miss_distance:.1f} m from the target, "
        f"{flight.propellant_left:.1f} kg usable propellant left ({100 * flight.propellant_share:.1f} % of the start's)"
    )
    for sentence in concerns(designed):
        console.print(f"note: {sentence}")
    if flight.outcome != "success":
        console.print("note: the nominal flight itself does not land; no dispersion is to blame")


def _pad(designed: Mission) -> str:
    """What lies under the feet, where the ground has cells of its own; whose slopes, where a kind is asked for."""
    steep, craters = designed.value("terrain.cell_slope"), designed.value("terrain.crater_density")
    told = []
    if rocks := designed.value("terrain.rock_area"):
        told.append(f"rocks on {100 * rocks:.3g} % of the ground")
    if craters:
        smallest, largest = (designed.text(f"terrain.crater_{name}", DIGITS) for name in ("smallest", "largest"))
        told.append(f"craters from {smallest} to {largest} across")
    if steep:
        told.append(f"slopes of one sigma {math.degrees(steep):.3g} deg along each axis, by cells")
    if not told:
        return ""
    region = designed.tables.get("ground.region", designed.tables.get("ground.synthetic", ""))
    modelled = bool({"ground.files", "ground.synthetic"} & designed.tables.keys())
    if region and not steep:
        own = "of the elevation model" if modelled else "that the mission states (terrain.slope), not of its kind"
        told.append(f"slopes are those {own}")
    return (f"{region}: " if region else "") + ", ".join(told)


def _consequences(designed: Mission) -> Iterable[tuple[str, str, str]]:
    """What the nominal design added: path, value, meaning."""
    from mcrisk.schema import load_schema

    for path, origin in designed.origins.items():
        if origin == "designed" and (found := load_schema().fields.get(path)):
            yield path, _told(designed, path, found.unit), found.description


def _told(designed: Mission, path: str, unit: str) -> str:
    """The value at a path; the unit of an array once, where all its numbers have the same."""
    value = designed.value(path)
    if not isinstance(value, tuple) or not all(isinstance(one, float) for one in value):
        return designed.text(path, digits=DIGITS)
    numbers, _, names = zip(*(units.format(one, unit, DIGITS).partition(" ") for one in value), strict=True)
    return f"[{', '.join(numbers)}] {names[0]}".strip() if len(set(names)) == 1 else designed.text(path, digits=DIGITS)
