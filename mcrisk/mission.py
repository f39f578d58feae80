"""Mission: one complete nominal design with its scatter, frozen.

A mission file states kernel parameters in the section of their path (`[propulsion.main]`, `isp = "318 s"`) and what
they follow from: [site], [orbit], [mass], [delivery], [knowledge] and [assumed] at powered-descent initiation,
[dispersions], [[correlations]], [requirements]. What it leaves out is a default of the kernel headers, follows from
[mass], or is filled by the nominal design (`designed`) and from orbit and site (`placed`).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import config, units
from .dispersion import CLASSES, FORMS, Correlation, Dispersion
from .errors import ImpossibleDesign, MistakeError, Problems, nearest, unknown
from .resolve import resolve
from .schema import Schema, load_schema
from .statement import TEXTS, Entry, flatten, forget_other_form, known_paths, percent, shown_text, to_toml
from .tables import LISTS, TABLES, mass_at_pdi, scatter_factor
from .values import SI, Value, flat, nested, plain, read_value, scalar_of, si

__all__ = ["Mission", "json_schema", "load", "loads", "parameter_rows"]

TEXT_LENGTH = 4000  # [character] of a title, a description, ...


class Frozen(Mapping[str, Any]):
    """A mapping that nobody changes, and that pickles."""

    def __init__(self, content: Mapping[str, Any] | None = None) -> None:
        self._content = dict(content or {})

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return repr(self._content)


@dataclass(frozen=True, eq=False, repr=False)
class Mission:
    """A frozen mission. Change is `replace`; equal content is equal and hashes alike, wherever it was read from.

    `values` holds every known kernel parameter in SI by path, `origins` tells stated, default, derived, designed,
    placed or internal; `tables` holds the mission-level quantities. `contradiction` says why no such lander can exist:
    it is raised as ImpossibleDesign where the missing value is asked for, so that other missions go on.
    """

    name: str
    title: str
    description: str
    pedigree: str
    source_path: str
    values: Mapping[str, Value]
    origins: Mapping[str, str]
    tables: Mapping[str, Any]
    dispersions: Mapping[str, Dispersion]
    correlations: tuple[Correlation, ...]
    requirements: Mapping[str, str]
    entries: Mapping[str, Entry] = field(repr=False)
    contradiction: str = ""

    @property
    def stated(self) -> frozenset[str]:
        """Paths of the kernel parameters that the mission itself states."""
        return frozenset(path for path, origin in self.origins.items() if origin == "stated")

    @property
    def counted(self) -> str:
        """How much it states, in words: parameters of the kernel, site, orbit, masses and errors; what is dispersed."""
        others = [path for path in self.entries if path in TABLES or path in LISTS]
        return f"{len(self.stated) + len(others)} values stated, {len(self.dispersions)} dispersed"

    @property
    def undesigned(self) -> tuple[str, ...]:
        """Paths still to be filled by the nominal design, in header order, internal ones excepted."""
        return tuple(path for path in load_schema().fields if path not in self.values)

    def value(self, path: str) -> Any:
        """The SI value at a path: a parameter, a component, a mission-level quantity, or a dispersion's number."""
        schema = load_schema()
        if path in self.values:
            return self.values[path]
        if path in self.tables:
            return self.tables[path]
        if path.startswith("dispersions."):
            return self._dispersion_value(path)
        if found := re.fullmatch(r"mass\.budget\.(\d+)\.(delta_v|isp|name)", path):
            budget = self.tables.get("mass.budget", ())
            if int(found[1]) < len(budget):
                return getattr(budget[int(found[1])], found[2])
        try:
            one, index = schema.locate(path)
        except KeyError:
            if path in TABLES or path in LISTS:
                raise MistakeError(f"{self.name}: '{path}' is not stated") from None
            raise unknown(path, known_paths(schema)) from None
        if index is None or one.path not in self.values:
            if self.contradiction:
                raise ImpossibleDesign(self.contradiction)
            remedy = "call mcrisk.nominal.design(mission) first"
            raise MistakeError(f"{self.name}: '{path}' is not known before the nominal design", remedy=remedy)
        return list(flat(self.values[one.path]))[index]

    def _dispersion_value(self, path: str) -> Any:
        for name, dispersion in self.dispersions.items():
            key = path.removeprefix(f"dispersions.{name}.")
            if key == dispersion.form:
                return dispersion.spread
            if key in ("lower", "upper"):
                return getattr(dispersion, key)
        known = [f"dispersions.{name}.{one.form}" for name, one in self.dispersions.items()]
        raise unknown(path, known)

    def text(self, path: str, digits: int | None = None) -> str:
        """The value at a path with its unit, as a mission file would state it."""
        value = self.value(path)
        found = TABLES.get(path) or load_schema().locate(path)[0]
        return shown_text(value, found.unit, digits)

    def replace(self, changes: Mapping[str, Any]) -> Mission:
        """This mission with other values: SI numbers or unit text, by path.

        Paths are those of `value`: parameters and their components, mission-level quantities, and the numbers of
        dispersions (`dispersions.propulsion.main.isp.sigma`; a bare number there keeps relative or absolute as it is).
        The nominal design is forgotten, to be made again.
        """
        schema = load_schema()
        entries = dict(self.entries)
        problems = Problems()
        for path, change in changes.items():
            with problems.caught():
                self._change(schema, entries, path, plain(change))
        problems.check()
        return _mission(self.name, self.title, self.description, self.pedigree, self.source_path, entries)

    def _change(self, schema: Schema, entries: dict[str, Entry], path: str, change: Any) -> None:
        if path in schema.fields and schema.fields[path].source == "placed":
            raise MistakeError(f"'{path}' is computed from orbit, mass and site", remedy="change those instead")
        forget_other_form(path, entries)
        if path in TABLES or path in schema.fields:
            entries[path] = Entry(si(change))
        elif path == "mass.budget" and isinstance(change, (list, tuple)):
            burns = [
                {key: si(part) for key, part in one.items()} if isinstance(one, Mapping) else one for one in change
            ]
            entries[path] = Entry(burns)
        elif path in LISTS:
            entries[path] = Entry(change)
        elif path.startswith("dispersions."):
            key, raw = self._changed_dispersion(schema, entries, path, change)
            entries[key] = Entry(raw)
        elif found := re.fullmatch(r"mass\.budget\.(\d+)\.(delta_v|isp)", path):
            budget = [dict(one) for one in entries["mass.budget"].raw] if "mass.budget" in entries else []
            if int(found[1]) >= len(budget):
                raise MistakeError(path, f"a number below {len(budget)}", found[1])
            budget[int(found[1])][found[2]] = si(change)
            entries["mass.budget"] = Entry(budget)
        else:
            try:
                one, index = schema.locate(path)
            except KeyError:
                raise _unknown(schema, path, change) from None
            scalars = list(flat(self.value(one.path)))
            scalars[index or 0] = read_value(scalar_of(one), si(change), path, schema.enums)
            entries[one.path] = Entry(nested([si(part) for part in scalars], one.shape))

    def _changed_dispersion(
        self, schema: Schema, entries: dict[str, Entry], path: str, change: Any
    ) -> tuple[str, dict[str, Any]]:
        target = path.removeprefix("dispersions.")
        name, _, key = target.rpartition(".")
        known = schema.paths()
        if target in known and isinstance(change, Mapping):
            return path, {one: si(part) for one, part in change.items()}
        if name not in known:
            raise unknown(path, [f"dispersions.{one}.sigma" for one in known])
        entry = entries.get(f"dispersions.{name}")
        raw = dict(entry.raw) if entry else {}
        present = self.dispersions.get(name)
        number = isinstance(change, (int, float)) and not isinstance(change, bool)
        if number and key not in ("lower", "upper"):
            if present is None or present.form != key:
                example = f'mission.replace({{"{path}": "0.4 %"}})'
                raise MistakeError(path, f"a text with % or a unit, as in {example}", units.shown(change))
            raw[key] = percent(float(change)) if present.relative and key != "lognormal" else SI(float(change))
        else:
            raw[key] = si(change)
        return f"dispersions.{name}", raw

    def filled(self, values: Mapping[str, Value]) -> Mission:
        """This mission with values that follow from it: designed, placed or internal ones, in SI. Stated ones stay."""
        schema = load_schema()
        known, origins = dict(self.values), dict(self.origins)
        problems = Problems()
        for path, value in values.items():
            slot = schema.slots.get(path)
            if slot is None or slot.source not in ("designed", "placed", "internal", "required"):
                raise unknown(path, [one.path for one in schema.slots.values() if one.source != "default"])
            if origins.get(path) == "stated":
                continue
            with problems.caught():
                known[path] = read_value(slot, si(plain(value)), f"{self.name}: {path}", schema.enums)
                origins[path] = "derived" if slot.source == "required" else slot.source
        problems.check()
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Mission(**(content | {"values": Frozen(known), "origins": Frozen(origins)}))

    @property
    def mass_at_pdi(self) -> float:
        """Mass at the start of the powered descent [kg]."""
        propellant = self.values.get("propulsion.propellant")
        if isinstance(propellant, float):
            return float(self.value("vehicle.mass_dry")) + propellant + float(self._known("rcs.propellant"))
        return mass_at_pdi(self.tables)

    def _known(self, path: str) -> float:
        value = self.values.get(path, 0.0)
        return value if isinstance(value, float) else 0.0

    def cholesky(self, which: str) -> tuple[float, ...]:
        """Lower Cholesky factor (21 numbers, row by row, SI) of the `delivery`, `knowledge` or `assumed` covariance.

        Order: radial, along-track, cross-track position, then velocity. Zero sigmas give zero rows.
        """
        return scatter_factor(self.tables, which)

    def to_toml(self) -> str:
        """The resolved mission: what it states as TOML that loads to an equal mission, all else as comments."""
        return to_toml(self)

    @functools.cached_property
    def _content(self) -> str:
        def order(mapping: Mapping[str, Any]) -> list[list[str]]:
            return [[key, repr(mapping[key])] for key in sorted(mapping)]

        parts = [
            self.name, order(self.values), order(self.tables), order(self.dispersions), sorted(self.stated),
            sorted(repr(one) for one in self.correlations), order(self.requirements),
        ]  # fmt: skip
        return json.dumps(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mission) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __repr__(self) -> str:
        return f"<mission {self.name}: {self.counted}>"


def _unknown(schema: Schema, path: str, change: Any) -> MistakeError:
    """No such parameter, and where its value would not do for the one that was meant either, what that takes."""
    mistake = unknown(path, known_paths(schema))
    meant = schema.fields.get(nearest(path, known_paths(schema)) or "")
    if meant is not None and not meant.enum:
        try:
            units.parse(change, meant.unit)
        except MistakeError:
            mistake = MistakeError(mistake.subject, remedy=f"{mistake.remedy} It takes {units.describe(meant.unit)}")
    return mistake


def load(path_or_name: str | Path | Mission) -> Mission:
    """The mission of a file, or of the bare name of a shipped one; a mission itself is returned as it is."""
    if isinstance(path_or_name, Mission):
        return path_or_name
    if not isinstance(path_or_name, (str, Path)):
        raise MistakeError("mission", "a name, a path or a mission", units.shown(path_or_name))
    chain = config.read_chain(path_or_name)
    last = chain[-1]
    return _from_documents(chain, Path(last.file).stem, last.file)


def loads(text: str, name: str = "mission") -> Mission:
    """The mission of a TOML text; its base, if any, is a shipped mission or a path."""
    tree = config.parse_toml(text, name)
    base = tree.get("base")
    chain = config.read_chain(base) if isinstance(base, str) else []
    return _from_documents([*chain, config.Document(name, tree)], name, "")


def parameter_rows(pattern: str = "") -> list[dict[str, str]]:
    """Rows for `mcrisk params`: mission-level quantities first, then the kernel's."""
    schema = load_schema()
    own = [schema.row(one) for one in TABLES.values() if one.matches(pattern)]
    lists = [
        {"path": path, "unit": "", "default": "optional", "range": "", "description": text}
        for path, text in LISTS.items()
        if pattern.lower() in path or pattern.lower() in text.lower()
    ]
    return [*own, *lists, *schema.rows(pattern)]


def json_schema() -> dict[str, Any]:
    """JSON Schema of mission files, for editors."""
    schema = load_schema()
    tables: dict[str, Any] = {name: {"type": "string"} for name in TEXTS}
    for path, one in TABLES.items():
        section, _, name = path.partition(".")
        table = tables.setdefault(section, {"type": "object", "additionalProperties": False, "properties": {}})
        table["properties"][name] = schema.json_value(one)
    quantity = {"type": ["string", "number"]}
    burn = {"name": {"type": "string"}, "delta_v": quantity, "isp": quantity}
    numbers = {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 6, "maxItems": 6}}
    for path, text in LISTS.items():
        section, _, name = path.partition(".")
        rows = {"type": "array", "items": {"type": "object", "additionalProperties": False, "properties": burn}}
        texts = {"type": ["string", "array"], "items": {"type": "string"}}
        kind = rows if name == "budget" else texts if section == "ground" else numbers
        tables[section]["properties"][name] = kind | {"description": text}
    spread: dict[str, Any] = dict.fromkeys((*FORMS, "lower", "upper"), quantity)
    spread |= {"class": {"enum": list(CLASSES)}, "source": {"type": "string"}}
    tables["dispersions"] = {"type": "object", "description": "Distributions by parameter path."}
    tables["dispersions"]["additionalProperties"] = {"type": "object", "properties": spread}
    pair = {"a": {"type": "string"}, "b": {"type": "string"}, "value": {"type": "number"}}
    tables["correlations"] = {"type": "array", "items": {"type": "object", "properties": pair}}
    tables["requirements"] = {"type": "object", "additionalProperties": {"type": "string"}}
    return schema.json_schema(tables)


def _from_documents(chain: list[config.Document], name: str, source_path: str) -> Mission:
    schema = load_schema()
    entries: dict[str, Entry] = {}
    problems = Problems()
    for document in chain:
        flatten(schema, document, entries, problems)
    last = chain[-1]
    texts = {}
    for key in TEXTS:
        text = last.tree.get(key, "")
        with problems.caught():
            if not isinstance(text, str):
                raise MistakeError(f"{last.file}: {key}", "a text", units.shown(text))
            if len(text) > TEXT_LENGTH:
                raise MistakeError(f"{last.file}: {key}", f"at most {TEXT_LENGTH} characters", str(len(text)))
            texts[key] = text
    stated = texts.get("name") or name
    with problems.caught():
        if not config.NAME.fullmatch(stated):
            raise MistakeError(f"{last.file}: name", "letters, digits, _ - and . (at most 64)", units.shown(stated))
    return _mission(
        stated, texts.get("title") or stated, texts.get("description", ""), texts.get("pedigree", ""), source_path,
        entries, problems, last.file,
    )  # fmt: skip


def _mission(
    name: str,
    title: str,
    description: str,
    pedigree: str,
    source_path: str,
    entries: Mapping[str, Entry],
    problems: Problems | None = None,
    file: str = "",
) -> Mission:
    found = resolve(entries, problems or Problems(), file or name)
    return Mission(
        name=name,
        title=title,
        description=description,
        pedigree=pedigree,
        source_path=source_path,
        values=Frozen(found.values),
        origins=Frozen(found.origins),
        tables=Frozen(found.tables),
        dispersions=Frozen(found.dispersions),
        correlations=found.correlations,
        requirements=Frozen(found.requirements),
        entries=Frozen(entries),
        contradiction=found.contradiction,
    )
