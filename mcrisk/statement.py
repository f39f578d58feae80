"""What mission files state, path by path: read from documents and their bases, written back with units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from . import units
from .config import Document
from .dispersion import Dispersion
from .errors import MistakeError, Problems, unknown, visible
from .schema import Schema, load_schema
from .tables import LISTS, SCATTERS, TABLES

if TYPE_CHECKING:
    from .mission import Mission

__all__ = [
    "TEXTS",
    "Entry",
    "flatten",
    "forget_other_form",
    "known_paths",
    "percent",
    "quoted",
    "shown_text",
    "to_toml",
]

MADE_OR_READ = {"ground.files": ("ground.synthetic", "ground.seed"), "ground.synthetic": ("ground.files",)}
TEXTS = ("name", "title", "description", "pedigree", "base")


@dataclass(frozen=True)
class Entry:
    """What was stated for a path, and the file that states it."""

    raw: Any
    file: str = ""

    def at(self, path: str) -> str:
        return f"{self.file}: {path}" if self.file else path


def flatten(schema: Schema, document: Document, entries: dict[str, Entry], problems: Problems) -> None:
    """Put what a document states over what its bases state, by path."""
    leaves = {**schema.fields, **TABLES, **dict.fromkeys(LISTS)}
    sections = {path.rpartition(".")[0] for path in leaves}
    sections |= {section.rpartition(".")[0] for section in sections} | {"dispersions", "requirements"}

    def walk(tree: Mapping[str, Any], prefix: str) -> None:
        for key, raw in tree.items():
            path = f"{prefix}.{key}" if prefix else key
            if not key:
                problems.mistakes.append(
                    MistakeError(f"{document.file}: {prefix or 'a key'}", "a name", "an empty key")
                )
            elif path in leaves:
                slot = schema.fields.get(path)
                if slot is not None and slot.source == "placed":
                    text = f"{document.file}: '{path}' is computed from orbit, mass and site"
                    problems.mistakes.append(MistakeError(text, remedy="state those instead"))
                    continue
                forget_other_form(path, entries, document.file)
                entries[path] = Entry(raw, document.file)
            elif "." in key:
                section, _, name = visible(path).rpartition(".")
                text = f"{document.file}: unknown parameter '{visible(path)}'"
                remedy = f"write [{section}] and {name} = ..., without quotes"
                problems.mistakes.append(MistakeError(text, remedy=remedy))
            elif path in sections and not isinstance(raw, Mapping):
                problems.mistakes.append(
                    MistakeError(f"{document.file}: {path}", f"a table [{path}]", units.shown(raw))
                )
            elif isinstance(raw, Mapping) and (path in sections or raw):
                walk(raw, path)
            else:
                problems.mistakes.append(unknown(path, known_paths(schema), document.file))

    def below(raw: object, path: str) -> list[str]:
        return [f"{path}.{one}" for one in raw] if isinstance(raw, Mapping) else []

    def walk_dispersions(tree: Mapping[str, Any], prefix: str) -> None:
        known = schema.paths()
        for key, raw in tree.items():
            path = f"{prefix}.{key}" if prefix else key
            if path in known:
                entries[f"dispersions.{path}"] = Entry(raw, document.file)
            elif isinstance(raw, Mapping) and any(one.startswith(f"{path}.") for one in known):
                walk_dispersions(raw, path)
            elif name := next((one for one in (path, *below(raw, path)) if one in leaves), None):
                text = f"{document.file}: dispersions.{name}: '{name}' decides other values before the flight"
                problems.mistakes.append(MistakeError(text, remedy="it can be swept, not dispersed"))
            else:
                real = [one for one in known if schema.locate(one)[0].owner == "World"]
                problems.mistakes.append(unknown(path, real, f"{document.file}: dispersions"))

    rest = {key: raw for key, raw in document.tree.items() if key not in TEXTS}
    for key, kind, expected in (
        ("dispersions", Mapping, "a table [dispersions]"),
        ("requirements", Mapping, "a table [requirements]"),
        ("correlations", list, "tables [[correlations]] of a, b and value"),
    ):
        raw = rest.pop(key, None)
        if raw is None:
            continue
        if not isinstance(raw, kind):
            problems.mistakes.append(MistakeError(f"{document.file}: {key}", expected, units.shown(raw)))
        elif key == "dispersions" and isinstance(raw, Mapping):
            walk_dispersions(raw, "")
        elif key == "requirements" and isinstance(raw, Mapping):
            entries |= {f"requirements.{name}": Entry(text, document.file) for name, text in raw.items()}
        else:
            entries[key] = Entry(raw, document.file)
    walk(rest, "")


def forget_other_form(path: str, entries: dict[str, Entry], file: str | None = None) -> None:
    """What replaces inherited values of another form; those of the same `file` stay, to be refused.

    A covariance and sigmas; files of the ground, and what makes it up.
    """
    for other in MADE_OR_READ.get(path, ()):
        if other in entries and entries[other].file != file:
            del entries[other]
    section, _, name = path.partition(".")
    if section in SCATTERS:
        for other in list(entries):
            inherited = other.startswith(f"{section}.") and (other.endswith(".covariance") != (name == "covariance"))
            if inherited and entries[other].file != file:
                del entries[other]


def known_paths(schema: Schema) -> list[str]:
    """Every path that a mission can state or replace."""
    settable = [path for path, one in schema.fields.items() if one.source != "placed"]
    parts = [path for path in schema.paths() if path not in schema.fields]
    return [*settable, *TABLES, *LISTS, *parts]


def shown_text(value: Any, unit: str, digits: int | None = None) -> str:
    if isinstance(value, tuple):
        parts = [shown_text(one, unit, digits) for one in value]
        return "[" + ", ".join(parts) + "]"
    return (
        value
        if isinstance(value, str)
        else units.format(value, unit, digits)
        if isinstance(value, float)
        else str(value)
    )


def _toml_value(value: Any, unit: str) -> str:
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml_value(one, unit) for one in value) + "]"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int) or unit == "":
        return repr(value)
    return quoted(units.format(value, unit))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def to_toml(mission: Mission) -> str:
    schema = load_schema()
    lines = [f"name = {quoted(mission.name)}", f"title = {quoted(mission.title)}"]
    for key in ("description", "pedigree"):
        if text := getattr(mission, key):
            lines.append(f"{key} = {quoted(text)}")
    sections: dict[str, list[str]] = {}
    for path in (path for path in (*TABLES, *LISTS) if path in mission.tables):
        value = mission.tables[path]
        section, _, name = path.rpartition(".")
        default = path in TABLES and path not in mission.entries
        if path == "mass.budget":
            burns = ", ".join(
                f"{{ name = {quoted(one.name)}, delta_v = {_toml_value(one.delta_v, 'm s^-1')}, "
                f"isp = {_toml_value(one.isp, 's')} }}"
                for one in value
            )
            sections.setdefault(section, []).append(f"budget = [{burns}]")
        elif not (default and f"{section}.covariance" in mission.tables):
            text = f"{name} = {_toml_value(value, TABLES[path].unit if path in TABLES else '')}"
            sections.setdefault(section, []).append(f"# {text}  # default" if default else text)
    for path, one in schema.fields.items():
        section, _, name = path.rpartition(".")
        if path in mission.values:
            origin = mission.origins[path]
            text = f"{name} = {_toml_value(mission.values[path], one.unit)}"
            sections.setdefault(section, []).append(text if origin == "stated" else f"# {text}  # {origin}")
    for section, body in sections.items():
        lines += ["", f"[{section}]", *body]
    if mission.dispersions:
        lines += ["", "[dispersions]"]
    for path, dispersion in mission.dispersions.items():
        lines.append(f"{quoted(path)} = {_dispersion_text(dispersion, schema.locate(path)[0].unit)}")
    for pair in mission.correlations:
        lines += ["", "[[correlations]]", f"a = {quoted(pair.a)}", f"b = {quoted(pair.b)}", f"value = {pair.value!r}"]
    if mission.requirements:
        lines += ["", "[requirements]"]
        lines += [f"{quoted(name)} = {quoted(text)}" for name, text in mission.requirements.items()]
    return "\n".join(lines) + "\n"


def _dispersion_text(dispersion: Dispersion, unit: str) -> str:
    if dispersion.form == "lognormal":
        spread = repr(dispersion.spread)
    elif dispersion.relative:
        spread = quoted(percent(dispersion.spread))
    else:
        spread = _toml_value(dispersion.spread, unit)
    parts = [f"{dispersion.form} = {spread}"]
    for name in ("lower", "upper"):
        limit = getattr(dispersion, name)
        if limit is not None:
            parts.append(f"{name} = {_toml_value(limit, unit)}")
    if dispersion.klass != "aleatory":
        parts.append(f'class = "{dispersion.klass}"')
    if dispersion.source:
        parts.append(f"source = {quoted(dispersion.source)}")
    return "{ " + ", ".join(parts) + " }"


def percent(fraction: float) -> str:
    """A fraction as percent that parses back to the same number.

    >>> percent(0.2), percent(0.0035), percent(1.0)
    ('20 %', '0.35 %', '100 %')
    """
    return f"{(Decimal(repr(fraction)) * 100).normalize():f} %"
