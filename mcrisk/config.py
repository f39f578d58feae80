"""TOML files: found by name or path, inherited through `base`, and the values in them turned into SI.

Nothing in a file is ever evaluated. A refusal tells file, path, expected, got, remedy; all of a file come together.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import units
from .errors import MistakeError, nearest
from .schema import Enumeration, Field

__all__ = [
    "SI",
    "Document",
    "Problems",
    "Value",
    "find",
    "read_chain",
    "read_toml",
    "read_value",
    "shipped",
    "split_list",
]

Value = float | int | str | tuple[Any, ...]  # SI number, whole number, member of an enum, or nested tuples of them

FILE_BYTES = 1_000_000  # largest file read; a mission is a few kilobytes
BASES = 8  # longest chain of `base`
PROBLEMS = 20  # problems shown at once
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class SI:
    """A number that is SI already: no unit is asked of it."""

    value: float


@dataclass(frozen=True)
class Document:
    """One TOML file: how it is called in messages, and its tables."""

    file: str
    tree: dict[str, Any]


class Problems:
    """Collects mistakes so that a user sees all of a file at once."""

    def __init__(self) -> None:
        self.mistakes: list[MistakeError] = []

    @contextmanager
    def caught(self) -> Iterator[None]:
        """A mistake inside the block is kept and the work goes on."""
        try:
            yield
        except MistakeError as mistake:
            self.mistakes.append(mistake)

    def check(self) -> None:
        """Raise what was collected, if anything."""
        if len(self.mistakes) == 1:
            raise self.mistakes[0]
        if len(self.mistakes) > PROBLEMS:
            rest = MistakeError(f"and {len(self.mistakes) - PROBLEMS} more mistakes")
            raise MistakeError.together([*self.mistakes[:PROBLEMS], rest])
        if self.mistakes:
            raise MistakeError.together(self.mistakes)


def shipped(kind: str = "missions") -> list[str]:
    """Names of the shipped configs of a kind: missions, sites, studies, clusters."""
    from .native import config_folder

    return sorted(path.stem for path in (config_folder() / kind).glob("*.toml"))


def find(name_or_path: str | Path, kind: str = "missions", beside: Path | None = None) -> Path:
    """The file of a path, or of the bare name of a shipped config; a path is relative to `beside` if given.

    A bare name never leads out of the shipped folder.
    """
    text = str(name_or_path)
    if "\0" in text:
        raise MistakeError(repr(text), "a path or a name")
    path = Path(text)
    if path.suffix == ".toml" or len(path.parts) != 1 or text in ("", ".", ".."):
        place = path if beside is None else beside / path
        if path.suffix != ".toml":
            raise MistakeError(f"'{text}'", "a TOML file (.toml) or the bare name of a shipped config")
        if not place.is_file():
            known = shipped(kind) if len(path.parts) == 1 else []
            twin = path.stem if path.stem in known else nearest(path.stem, known)
            what = "a folder" if place.is_dir() else "no such file"
            remedy = f"a shipped config is called by its bare name: {twin}" if twin else ""
            raise MistakeError(str(place), "a TOML file", what, remedy)
        return place
    if not NAME.fullmatch(text):
        raise MistakeError(f"'{text[:60]}'", "a path ending in .toml or the bare name of a shipped config")
    known = shipped(kind)
    if text in known:
        from .native import config_folder

        return config_folder() / kind / f"{text}.toml"
    twin = nearest(text, known)
    remedy = f"did you mean '{twin}'?" if twin else f"shipped: {', '.join(known) or 'none'}"
    raise MistakeError(f"no {kind.removesuffix('s')} called '{text}'", remedy=remedy)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of one file."""
    path = Path(path)
    try:
        if path.stat().st_size > FILE_BYTES:
            raise MistakeError(str(path), f"at most {FILE_BYTES} bytes", f"{path.stat().st_size} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MistakeError(str(path), "UTF-8 text", f"other bytes at position {error.start}") from None
    except OSError as error:
        raise MistakeError(str(path), "a readable TOML file", (error.strerror or "an error").lower()) from None
    return parse_toml(text, str(path))


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The tables of a TOML text; a refusal names `file` and the line."""
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"\s*\(at line (\d+), column \d+\)$", message)
        line = f":{place[1]}" if place else ""
        message = message[: place.start()] if place else message
        if re.search(r"overwrite|twice|mutate", message):
            raise MistakeError(f"{file}{line}", "each key and table once", f"one stated twice ({message})") from None
        hint = 'text needs quotes: thrust = "450 N"' if message == "Invalid value" else ""
        raise MistakeError(f"{file}{line}", "TOML", message[:1].lower() + message[1:], hint) from None
    except RecursionError:
        raise MistakeError(file, "TOML tables a few levels deep", "hundreds of levels") from None


def read_chain(name_or_path: str | Path, kind: str = "missions") -> list[Document]:
    """The file and everything it inherits through `base = "name or path"`, the remotest base first."""
    chain: list[Document] = []
    seen: list[Path] = []
    path = find(name_or_path, kind)
    while True:
        real = path.resolve()
        if real in seen:
            circle = " > ".join(str(one.name) for one in [*seen[seen.index(real) :], real])
            raise MistakeError(
                f"{chain[-1].file}: base", "a file that does not inherit from this one", f"a circle: {circle}"
            )
        if len(seen) == BASES:
            raise MistakeError(f"{chain[-1].file}: base", f"at most {BASES} files in a chain of bases", "more")
        seen.append(real)
        document = Document(str(path), read_toml(path))
        chain.append(document)
        base = document.tree.get("base")
        if base is None:
            return chain[::-1]
        if not isinstance(base, str):
            raise MistakeError(f"{path}: base", 'a name or path such as "hakuto_r_m2"', units.shown(base))
        try:
            path = find(base, kind, path.parent)
        except MistakeError as mistake:
            raise MistakeError(f"{path}: base: {mistake}") from None


# ----------------------------------------------------------------------------------------------------- values of fields


def read_value(field: Field, raw: object, subject: str, enums: Mapping[str, Enumeration]) -> Value:
    """The SI value of a field from what a file, a command line or a program states for it, checked against its range.

    Vectors and arrays are lists, or one text with one unit at its end: `[0, 0, -1]`, `"0 0 0.9 m"`.
    """
    value = _shaped(field, raw, subject, enums, field.shape, field.labels)
    if field.unit_vector:
        numbers = [float(one) for one in value]  # type: ignore[union-attr]
        length = math.sqrt(sum(one * one for one in numbers))
        if length == 0:
            raise MistakeError(subject, "a direction", "a vector of length zero")
        return tuple(one / length for one in numbers) if abs(length - 1) > 1e-12 else tuple(numbers)
    return value


def _shaped(
    field: Field,
    raw: object,
    subject: str,
    enums: Mapping[str, Enumeration],
    shape: tuple[int, ...],
    labels: tuple[tuple[str, ...], ...],
) -> Value:
    if not shape:
        return _scalar(field, raw, subject, enums)
    if isinstance(raw, str):
        raw = split_list(raw, math.prod(shape))
        if len(shape) == 2 and len(raw) == math.prod(shape):
            raw = [raw[start : start + shape[1]] for start in range(0, len(raw), shape[1])]
    if not isinstance(raw, (list, tuple)) or len(raw) != shape[0]:
        got = f"{len(raw)} of them" if isinstance(raw, (list, tuple)) else units.shown(raw)
        example = " ".join("1" for _ in range(shape[0])) + f" {field.unit}".rstrip()
        raise MistakeError(subject, f'a list of {shape[0]} such as "{example}"', got)
    parts: list[Value] = []
    problems = Problems()
    for one, label in zip(raw, labels[0], strict=True):
        with problems.caught():
            parts.append(_shaped(field, one, f"{subject}.{label}", enums, shape[1:], labels[1:]))
    problems.check()
    return tuple(parts)


def split_list(text: str, count: int) -> list[str]:
    """The parts of `0 0 0.9 m` with their shared unit; a single value is repeated `count` times."""
    words = text.replace(",", " ").split()
    numbers = list(itertools.takewhile(NUMBER.fullmatch, words))
    if not numbers:
        return words * count if len(words) == 1 else words
    unit = " ".join(words[len(numbers) :])
    values = [f"{number} {unit}".strip() for number in numbers]
    return values * count if len(values) == 1 else values


def _scalar(field: Field, raw: object, subject: str, enums: Mapping[str, Enumeration]) -> float | int | str:
    if field.enum:
        members = enums[field.enum]
        name = raw.strip() if isinstance(raw, str) else raw
        if not isinstance(name, str) or name not in members.members:
            twin = nearest(name, members) if isinstance(name, str) else None
            remedy = f"did you mean '{twin}'?" if twin else ""
            raise MistakeError(subject, f"one of {', '.join(members)}", units.shown(raw), remedy)
        return name
    if isinstance(raw, SI):
        number = raw.value
        if not math.isfinite(number):
            raise MistakeError(subject, f"a finite number: {units.describe(field.unit)}", str(number))
    elif field.base == "int" and isinstance(raw, bool):
        number = float(raw)  # `fitted = true`
    else:
        number = units.parse(raw, field.unit, subject)
    if field.base == "int":
        if number != int(number):
            raise MistakeError(subject, "a whole number", units.shown(raw))
        if abs(number) >= 2**31:
            raise MistakeError(subject, "a whole number of 32 bits", units.shown(raw))
    _check_range(field, number, raw, subject)
    return int(number) if field.base == "int" else number


def _check_range(field: Field, number: float, raw: object, subject: str) -> None:
    below = field.lower is not None and (number <= field.lower if field.lower_open else number < field.lower)
    above = field.upper is not None and (number >= field.upper if field.upper_open else number > field.upper)
    if below or above:
        got = units.format(number, field.unit, digits=6) if isinstance(raw, SI) else units.shown(raw)
        raise MistakeError(subject, range_text(field), got)


def range_text(field: Field) -> str:
    """The allowed range in units people read: `more than 0 N`, `0 to 1`."""

    def show(limit: float) -> str:
        return units.format(limit, field.unit, digits=4)

    low, high = field.lower, field.upper
    if low is not None and high is not None and not field.lower_open and not field.upper_open:
        return f"a value from {show(low)} to {show(high)}"
    parts = []
    if low is not None:
        parts.append(f"{'more than' if field.lower_open else 'at least'} {show(low)}")
    if high is not None:
        parts.append(f"{'less than' if field.upper_open else 'at most'} {show(high)}")
    return " and ".join(parts)


def unknown(path: str, known: Iterable[str], file: str = "") -> MistakeError:
    """`unknown parameter 'altimiter.range_max'; did you mean 'altimeter.range_max'?`"""
    twin = nearest(path, known)
    where = f"{file}: " if file else ""
    remedy = f"did you mean '{twin}'?" if twin else "`mcrisk params` lists all of them"
    return MistakeError(f"{where}unknown parameter '{path}'", remedy=remedy)
