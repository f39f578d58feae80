"""Params: a designed mission as the block of bytes the kernel reads, and back.

`pack` refuses what the kernel must never see: missing values, NaN, numbers that leave their range in single precision,
more dispersions than the block holds. All of it is reported at once.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import units
from .dispersion import Factor, Row, table
from .errors import ImpossibleDesign, MistakeError, Problems
from .schema import Field, Schema, load_schema
from .values import flat, nested, range_text

if TYPE_CHECKING:
    from .mission import Mission

__all__ = ["pack", "unpack"]


def pack(mission: Mission, real: int = 4) -> bytes:
    """The Params bytes of a designed mission for the build whose `real` has this many bytes."""
    schema = load_schema()
    if mission.contradiction:
        raise ImpossibleDesign(mission.contradiction)
    rows, factors = table(mission, schema, real)
    scatter = _scatter(schema, mission, rows, factors)
    block = bytearray(schema.params_bytes(real))
    problems = Problems()
    for path, slot in schema.slots.items():
        with problems.caught():
            value = scatter[path] if path in scatter else mission.values.get(path)
            if value is None:
                raise MistakeError(f"{mission.name}: {path}", _wanted(schema, slot), "nothing", _remedy(slot))
            _write(block, schema, slot, value, real, mission.name)
    problems.check()
    return bytes(block)


def unpack(params: bytes, real: int = 4, internal: bool = False) -> dict[str, Any]:
    """The values in a block of Params by path, in SI; enums by name, vectors and arrays as tuples."""
    schema = load_schema()
    if len(params) != schema.params_bytes(real):
        raise MistakeError(
            "Params", f"{schema.params_bytes(real)} bytes", str(len(params)), "these kernels read another layout"
        )
    values: dict[str, Any] = {}
    for path, slot in (schema.slots if internal else schema.fields).items():
        scalars: list[Any] = list(struct.unpack_from(_format(slot, real), params, slot.offset_bytes(real)))
        if slot.enum:
            scalars = [_member(schema, slot.enum, one) for one in scalars]
        values[path] = _frozen(nested(scalars, slot.shape))
    return values


def _write(block: bytearray, schema: Schema, slot: Field, value: Any, real: int, name: str) -> None:
    """Put one field into the block, checked as the kernel will see it."""
    scalars = list(flat(value))
    if len(scalars) != slot.count:
        raise MistakeError(f"{name}: {slot.path}", f"{slot.count} numbers", str(len(scalars)))
    if slot.enum:
        scalars = [schema.enums[slot.enum].members.get(one, one) for one in scalars]
    for one, suffix in zip(scalars, slot.suffixes, strict=True):
        if slot.base == "real":
            _check(slot, float(one), f"{name}: {slot.path}{suffix}", real)
    struct.pack_into(_format(slot, real), block, slot.offset_bytes(real), *scalars)


def _check(slot: Field, number: float, subject: str, real: int) -> None:
    """Refuse a number that is not finite or leaves its range when rounded to the kernel's precision."""
    try:
        seen = struct.unpack("<f", struct.pack("<f", number))[0] if real == 4 else number
    except OverflowError:
        seen = math.inf
    if not math.isfinite(seen):
        raise MistakeError(subject, "a finite number in single precision", f"{number:g}")
    below = slot.lower is not None and (seen <= slot.lower if slot.lower_open else number < slot.lower)
    above = slot.upper is not None and (seen >= slot.upper if slot.upper_open else number > slot.upper)
    if below or above:
        raise MistakeError(subject, range_text(slot), units.brief(number, slot.unit))


def _scatter(schema: Schema, mission: Mission, rows: list[Row], factors: list[Factor]) -> dict[str, Any]:
    """Values of the kernel's dispersion tables; unused rows are zero."""
    values: dict[str, Any] = {}
    for name, entries in (("Dispersion", rows), ("Factor", factors)):
        slots = [slot for slot in schema.slots.values() if slot.struct == name]
        width = len(schema.structs[name].members) if name in schema.structs else 0
        room = len(slots) // width if width else 0
        if len(entries) > room:
            what = "dispersed numbers" if name == "Dispersion" else "correlation terms"
            remedy = "leave out those that matter least"
            raise MistakeError(f"{mission.name}: dispersions", f"at most {room} {what}", str(len(entries)), remedy)
        for place, slot in enumerate(slots):
            index, key = divmod(place, width)[0], slot.name
            used = index < len(entries)
            number = getattr(entries[index], key) if used else 0
            values[slot.path] = float(number) if slot.base == "real" else int(number)
    for slot in schema.slots.values():
        if slot.struct == "Scatter" and slot.name == "count":
            values[slot.path] = len(rows)
    return values


def _wanted(schema: Schema, slot: Field) -> str:
    return f"one of {', '.join(schema.enums[slot.enum])}" if slot.enum else units.describe(slot.unit)


def _remedy(slot: Field) -> str:
    return "" if slot.source == "required" else "the nominal design fills it: mcrisk.nominal.design(mission)"


def _format(slot: Field, real: int) -> str:
    code = "i" if slot.base != "real" else "f" if real == 4 else "d"
    return f"<{slot.count}{code}"


def _member(schema: Schema, enum: str, number: int) -> str:
    names: Mapping[int, str] = {value: name for name, value in schema.enums[enum].members.items()}
    return names.get(number, str(number))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
