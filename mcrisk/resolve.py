"""From what a mission states to the values that follow, all mistakes together: defaults, statements, mass, scatter."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import units
from .dispersion import Correlation, Dispersion, check_value, components, read_dispersion
from .errors import ImpossibleDesign, MistakeError, Problems
from .schema import Field, Schema, load_schema
from .statement import Entry
from .tables import (
    LISTS,
    SCATTERS,
    TABLES,
    propellant_at_pdi,
    read_budget,
    read_class,
    read_covariance,
    read_files,
    read_seed,
)
from .values import Value, default_values, flat, read_value

__all__ = ["Resolved", "resolve"]

NO_REGION = "none"  # of ground.region
READERS: dict[str, Callable[[object, str], Any]] = {
    "mass.budget": read_budget,
    "ground.files": read_files,
    "ground.synthetic": read_class,
    "ground.region": functools.partial(read_class, others=(NO_REGION,)),
    "ground.seed": read_seed,
}


@dataclass(frozen=True)
class Resolved:
    """The content of a mission, by path."""

    values: dict[str, Value]
    origins: dict[str, str]
    tables: dict[str, Any]
    dispersions: dict[str, Dispersion]
    correlations: tuple[Correlation, ...]
    requirements: dict[str, str]
    contradiction: str


def resolve(entries: Mapping[str, Entry], problems: Problems, where: str) -> Resolved:
    """Everything that these entries state or imply; raises all `problems`, those found before included.

    `where` names the mission in mistakes that no single entry is to blame for.
    """
    schema = load_schema()
    broken = len(problems.mistakes)
    values = default_values(schema)
    origins = dict.fromkeys(values, "default")
    tables: dict[str, Any] = {
        path: read_value(one, one.default, path, {}) for path, one in TABLES.items() if one.default is not None
    }
    requirements: dict[str, str] = {}
    for path, entry in entries.items():
        with problems.caught():
            if path in schema.fields:
                values[path] = read_value(schema.fields[path], entry.raw, entry.at(path), schema.enums)
                origins[path] = "stated"
            elif path in READERS:
                tables[path] = READERS[path](entry.raw, entry.at(path))
                if path == "ground.files":  # whole paths: an exported design lies elsewhere
                    tables[path] = tuple(str((Path(entry.file).parent / name).absolute()) for name in tables[path])
            elif path in TABLES:
                tables[path] = read_value(TABLES[path], entry.raw, entry.at(path), {})
            elif path in LISTS:
                tables[path] = read_covariance(entry.raw, entry.at(path))
            elif path.startswith("requirements."):
                requirements[path.removeprefix("requirements.")] = _requirement(entry, path)
    _check_scatter(entries, problems)
    dispersions = _dispersions(schema, entries, problems)
    correlations = _correlations(schema, entries, dispersions, problems)
    contradiction = ""
    if len(problems.mistakes) == broken:
        try:
            _derive_mass(schema, values, origins, tables)
            with problems.caught():
                _derive_pad(values, origins, tables, dispersions)
        except ImpossibleDesign as refusal:
            contradiction = f"{where}: {refusal}"
    if not contradiction:
        _check_complete(schema, values, tables, entries, problems, where)
    trusted = {path: value for path, value in values.items() if path not in entries or origins[path] == "stated"}
    _check_dispersions(schema, trusted, dispersions, problems, where)
    problems.check()
    return Resolved(values, origins, tables, dispersions, correlations, requirements, contradiction)


def _requirement(entry: Entry, path: str) -> str:
    if not isinstance(entry.raw, str) or not 0 < len(entry.raw) <= 200:
        raise MistakeError(entry.at(path), 'a text such as "success >= 0.99 @ 0.90"', units.shown(entry.raw))
    from .requirement import parse

    parse(entry.raw, entry.at(path))
    return entry.raw


def _check_scatter(entries: Mapping[str, Entry], problems: Problems) -> None:
    for which in SCATTERS:
        entry = entries.get(f"{which}.covariance")
        others = [path for path in entries if path.startswith(f"{which}.") and not path.endswith("covariance")]
        if entry and others:
            text = entry.at(f"{which}.covariance")
            problems.mistakes.append(MistakeError(text, "either a covariance or sigmas", f"also {', '.join(others)}"))


def _dispersions(schema: Schema, entries: Mapping[str, Entry], problems: Problems) -> dict[str, Dispersion]:
    found: dict[str, Dispersion] = {}
    owners: dict[str, str] = {}
    for key, entry in entries.items():
        if not key.startswith("dispersions."):
            continue
        path = key.removeprefix("dispersions.")
        with problems.caught():
            found[path] = read_dispersion(schema, path, entry.raw, entry.at(key))
            for scalar in components(schema, path):
                if scalar in owners:
                    raise MistakeError(f"{entry.at(key)}: '{scalar}' is also dispersed as '{owners[scalar]}'")
                owners[scalar] = path
    return found


def _correlations(
    schema: Schema, entries: Mapping[str, Entry], dispersions: Mapping[str, Dispersion], problems: Problems
) -> tuple[Correlation, ...]:
    entry = entries.get("correlations")
    if entry is None:
        return ()
    scalars = {scalar: one for path, one in dispersions.items() for scalar in components(schema, path)}
    found: dict[frozenset[str], Correlation] = {}
    for index, raw in enumerate(entry.raw):
        at = entry.at(f"correlations.{index}")
        with problems.caught():
            if not isinstance(raw, Mapping) or set(raw) != {"a", "b", "value"}:
                got = ", ".join(raw) if isinstance(raw, Mapping) else units.shown(raw)
                raise MistakeError(at, "a table of a, b and value", got)
            a, b = raw["a"], raw["b"]
            for path in (a, b):
                if not isinstance(path, str) or path not in scalars:
                    example = next(iter(scalars), "propulsion.main.isp")
                    raise MistakeError(at, f"the path of a dispersed number such as '{example}'", units.shown(path))
                if scalars[path].form not in ("sigma", "lognormal"):
                    raise MistakeError(at, "two normal or lognormal dispersions", f"'{path}' is {scalars[path].form}")
            value = units.parse(raw["value"], "", f"{at}.value")
            if a == b or not -1 < value < 1:
                raise MistakeError(at, "two paths and a value between -1 and 1", f"{a}, {b}, {value:g}")
            if frozenset((a, b)) in found:
                raise MistakeError(f"{at}: {a} and {b} are correlated twice")
            found[frozenset((a, b))] = Correlation(a, b, value)
    return tuple(found.values())


def _derive_mass(schema: Schema, values: dict[str, Value], origins: dict[str, str], tables: Mapping[str, Any]) -> None:
    """Dry mass and propellant that follow from the [mass] table, unless stated."""
    dry_path, path = "vehicle.mass_dry", "propulsion.propellant"
    if dry_path in schema.fields and dry_path not in values and "mass.dry" in tables:
        values[dry_path], origins[dry_path] = tables["mass.dry"], "derived"
    dry, attitude = values.get(dry_path), values.get("rcs.propellant", 0.0)
    if path in values or path not in schema.fields or not isinstance(dry, float) or not isinstance(attitude, float):
        return
    propellant = propellant_at_pdi(tables, dry, attitude)
    if not math.isnan(propellant):
        values[path], origins[path] = propellant, "derived"


def _derive_pad(
    values: dict[str, Value], origins: dict[str, str], tables: Mapping[str, Any], dispersions: Mapping[str, Dispersion]
) -> None:
    """Rocks, craters and slopes at the pad that follow from a terrain class, unless stated."""
    region = tables.get("ground.region", tables.get("ground.synthetic", NO_REGION))
    if region == NO_REGION:
        return
    from . import regions

    cell = None
    if "ground.synthetic" in tables:
        cell = tables.get("ground.site_cell", regions.SITE_CELL)
    elif "ground.files" in tables:  # unread as yet: a patch that is not stated may be finer than the strip
        cell = tables.get("ground.site_cell", tables.get("ground.cell", regions.CELL))
    slope = dispersions.get("terrain.slope")
    sloped = origins.get("terrain.slope") == "stated" or (slope is not None and slope.spread > 0)
    for path, value in regions.pad_values(regions.find(region), cell=cell, sloped=sloped).items():
        if origins.get(path) != "stated":
            values[path], origins[path] = value, "derived"


def _check_complete(
    schema: Schema,
    values: Mapping[str, Value],
    tables: Mapping[str, Any],
    entries: Mapping[str, Entry],
    problems: Problems,
    where: str,
) -> None:
    """Required values that nothing gives, all at once."""
    helped: dict[str, tuple[str, set[str]]] = {
        "vehicle.mass_dry": ("or state mass.dry", {"mass.dry"}),
        "propulsion.propellant": ("or state mass.dry with mass.at_pdi or mass.launch", {"mass.launch", "mass.at_pdi"}),
    }
    everything: list[tuple[Field, Mapping[str, Any]]] = [
        *((one, tables) for one in TABLES.values()),
        *((one, values) for one in schema.fields.values()),
    ]
    for one, known in everything:
        if one.source != "required" or one.path in known or one.path in entries:
            continue
        remedy, others = helped.get(one.path, ("", set()))
        if others & set(entries) and problems.mistakes:
            continue  # would follow, were it not for the mistakes above
        expected = units.describe(one.unit) if not one.enum else f"one of {', '.join(schema.enums[one.enum])}"
        problems.mistakes.append(MistakeError(f"{where}: {one.path}", expected, "nothing", remedy))


def _check_dispersions(
    schema: Schema, values: Mapping[str, Value], dispersions: Mapping[str, Dispersion], problems: Problems, where: str
) -> None:
    """Refuse dispersions that cannot act on the values already known."""
    for path, dispersion in dispersions.items():
        for scalar in components(schema, path):
            one, index = schema.locate(scalar)
            if one.path not in values:
                continue
            value = list(flat(values[one.path]))[index or 0]
            if isinstance(value, float):
                with problems.caught():
                    check_value(dispersion, value, scalar, one.unit, f"{where}: dispersions.{path}")
