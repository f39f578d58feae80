"""Values of schema fields: from text, or from SI numbers of a program, checked against type and range."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import units
from .errors import MistakeError, Problems, nearest
from .schema import Enumeration, Field, Schema, load_schema

__all__ = ["SI", "Value", "default_values", "flat", "nested", "plain", "read_value", "scalar_of", "si"]

Value = float | int | str | tuple[Any, ...]  # SI number, whole number, member of an enum, or nested tuples of them

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class SI:
    """A number that is SI already: no unit is asked of it."""

    value: float


def read_value(field: Field, raw: object, subject: str, enums: Mapping[str, Enumeration]) -> Value:
    """The SI value of a field from what a file, a command line or a program states for it, checked against its range.

    Vectors and arrays are lists, or one text with one unit at its end: `[0, 0, -1]`, `"0 0 0.9 m"`. An array that has a
    default may be stated shorter: the rest keeps it.
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
    if isinstance(raw, (list, tuple)) and field.is_open and 0 < len(raw) < shape[0]:
        raw = [*raw, *_default_list(field)[len(raw) :]]
    if not isinstance(raw, (list, tuple)) or len(raw) != shape[0]:
        got = f"{len(raw)} of them" if isinstance(raw, (list, tuple)) else units.shown(raw)
        most = f"up to {shape[0]}" if field.is_open else shape[0]
        example = (
            " ".join("1" for _ in range(min(shape[0], 4) if field.is_open else shape[0])) + f" {field.unit}".rstrip()
        )
        raise MistakeError(subject, f'a list of {most} such as "{example}"', got)
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
        got = units.brief(number, field.unit) if isinstance(raw, SI) else units.shown(raw)
        raise MistakeError(subject, range_text(field), got)


def range_text(field: Field) -> str:
    """The allowed range in units people read: `more than 0 N`, `0 to 1`."""

    def show(limit: float) -> str:
        return units.brief(limit, field.unit)

    low, high = field.lower, field.upper
    if low is not None and high is not None and not field.lower_open and not field.upper_open:
        return f"a value from {show(low)} to {show(high)}"
    parts = []
    if low is not None:
        parts.append(f"{'more than' if field.lower_open else 'at least'} {show(low)}")
    if high is not None:
        parts.append(f"{'less than' if field.upper_open else 'at most'} {show(high)}")
    return " and ".join(parts)


def _default_list(field: Field) -> list[Any]:
    """The scalars of a field's default, in storage order; a bare number is SI."""
    text = field.default or ""
    if field.unit not in ("", "tick") and all(NUMBER.fullmatch(word) for word in text.split()):
        return [SI(float(word)) for word in split_list(text, field.count)]
    return list(split_list(text, field.count)) if field.shape else [text]


@functools.lru_cache(maxsize=4)
def _default_values(schema_folder: str) -> dict[str, Value]:
    schema = load_schema(schema_folder)
    values: dict[str, Value] = {}
    for path, one in schema.fields.items():
        if one.default is None:
            continue
        raw = nested(_default_list(one), one.shape) if one.shape else _default_list(one)[0]
        values[path] = read_value(one, raw, f"{one.file}:{one.line}: {path}", schema.enums)
    return values


def default_values(schema: Schema) -> dict[str, Value]:
    """Defaults of the headers by path; a bare number there is SI."""
    return dict(_default_values(str(schema.folder)))


def plain(value: Any) -> Any:
    """Numpy scalars and arrays as Python numbers and lists."""
    convert: Callable[[], Any] | None = getattr(value, "tolist", None)
    return convert() if convert is not None and not isinstance(value, (str, bytes)) else value


def si(value: Any) -> Any:
    """Numbers given by a program are SI; text keeps its unit."""
    if isinstance(value, (list, tuple)):
        return [si(one) for one in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return SI(float(value)) if isinstance(value, float) or abs(value) < 2**53 else value
    return value


def flat(value: Any) -> Iterator[Any]:
    """The scalars of a value in storage order."""
    if isinstance(value, (tuple, list)):
        for one in value:
            yield from flat(one)
    else:
        yield value


def nested(scalars: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Scalars in storage order as nested lists of a shape; the inverse of `flat`."""
    if not shape:
        return scalars[0]
    step = len(scalars) // shape[0]
    return [nested(scalars[start : start + step], shape[1:]) for start in range(0, len(scalars), step)]


@functools.lru_cache(maxsize=512)
def scalar_of(one: Field) -> Field:
    """The field of one component: same unit and range, no shape."""
    return replace(one, shape=(), labels=(), unit_vector=False)
