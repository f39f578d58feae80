"""The kernel headers read as a schema: the only file of mcrisk that knows C++ syntax.

Structs reachable from `Params`, `Record` and `Sample` are the schema and are read strictly: a line in one of them that
is not understood is refused with its file and line. Everything else in the headers (functions, memory structs) is
passed over.

    struct Altimeter {
        real range_max;            ///< [m] > 0, default 5 km. Longest slant range at health 1.
        GatePolicy gate_policy;    ///< [] default per_sample. What happens to a rejected sample.
        Vec3 beam_B;               ///< [] unit vector, default 0 0 -1. Beam direction in body axes.
        real gate_height[4];       ///< [m] >= 0, designed. Heights of the gates.
    };

After the unit come the tags, then one description:

    > n, >= n, < n, <= n, a .. b   range in SI, `..` inclusive
    unit vector                    normalised when packed
    default TEXT                   the value when a mission does not state it, written as a mission would
                                   (of an array also of what a shorter list leaves out)
    designed                       filled by the nominal design unless the mission states it
    placed                         computed from orbit, mass and site; cannot be stated
    internal                       has no path for users
    promoted                       a struct whose members appear without its name
    metric                         a Record field that becomes a metric of datasets

Why a reader of its own: the layout, the path, the unit, the range and the documentation of a parameter are one line in
one file, so they cannot disagree; a real C++ parser would need a compiler at run time. The build closes the loop with a
`static_assert` on sizeof(Params). It runs this file before mcrisk is installed, with the standard library alone:

    python mcrisk/schema.py --params-bytes [--real 8] kernels/mcrisk
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

__all__ = ["Enumeration", "Field", "Member", "Schema", "SchemaError", "load_schema"]

ROOTS = ("Params", "Record", "Sample")
TOUCHDOWNS = ("FirstTouch", "Landing")  # of the CPU library alone
VECTORS = {"Vec3": ("x", "y", "z"), "Quat": ("w", "x", "y", "z")}
UNITS = re.compile(r"|tick|(?:kg|m|s|rad|N|J|Pa)(?:\^-?\d(?:\.5)?)?(?: (?:kg|m|s|rad|N|J|Pa)(?:\^-?\d(?:\.5)?)?)*")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
STRUCT = re.compile(r"^\s*struct\s+(\w+)\s*\{\s*$")
ENUM = re.compile(r"^\s*enum\s+class\s+(\w+)\s*:\s*int\s*\{\s*$")
OTHER = re.compile(
    r"^\s*(?:template\s*<.*>\s*)?(?:struct|enum\s+class|class|union|enum)\s+(?:alignas\(\w+\)\s+)?(\w+)\b(?!\s*;)"
)
ONE_LINE = re.compile(r"^\s*(?:template\s*<.*>\s*)?(?:struct|enum\s+class)\s+(\w+)[^;{]*\{.*\}\s*;")
CONSTANT = re.compile(r"^\s*(?:inline\s+)?constexpr\s+int\s+(\w+)\s*=\s*(\d+)\s*;")
LINE = re.compile(r"^\s*(\w+)\s+(\w+)\s*(?:\[\s*(\w+)\s*\])?\s*;\s*///<\s*(\S.*?)\s*$")
CONTINUED = re.compile(r"^\s*///<\s*(\S.*?)\s*$")
MEMBER = re.compile(r"^\s*(\w+)\s*=\s*(-?\d+)\s*,?\s*///<\s*(\S.*?)\s*$")
UNIT = re.compile(r"^\[([^\]]*)\]\s*(.*)$")
RANGE = re.compile(rf"^({NUMBER})\s*\.\.\s*({NUMBER})$")
BOUND = re.compile(rf"^(>=|>|<=|<)\s*({NUMBER})$")


class SchemaError(Exception):
    """A header line this reader does not understand: `file:line: expected ..., got ...`."""


@dataclass(frozen=True)
class Enumeration:
    """A closed set of names with their stored numbers and one sentence each, in header order."""

    name: str
    members: dict[str, int]
    sentences: dict[str, str]
    description: str = ""

    def __getitem__(self, member: str) -> int:
        return self.members[member]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def member(self, value: int) -> str:
        """The name stored as `value`; raises KeyError when there is none."""
        for name, number in self.members.items():
            if number == value:
                return name
        raise KeyError(value)


@dataclass(frozen=True)
class Member:
    """One line of a schema struct."""

    name: str
    type: str
    count: int | None
    unit: str
    default: str | None
    lower: float | None
    upper: float | None
    lower_open: bool
    upper_open: bool
    unit_vector: bool
    promoted: bool
    metric: bool
    source: str
    description: str
    file: str
    line: int


@dataclass(frozen=True)
class Struct:
    name: str
    members: tuple[Member, ...]
    description: str
    file: str
    line: int


@dataclass(frozen=True)
class Field:
    """One value of Params, Record or Sample, under the path a user knows it by.

    `base` is real, int or enum; `kind` also tells vector and array. `source` is required, default, designed, placed or
    internal. `offsets` are bytes from the start of the root for the float and the double build.
    """

    path: str
    base: str
    shape: tuple[int, ...]
    labels: tuple[tuple[str, ...], ...]
    unit: str
    default: str | None
    lower: float | None
    upper: float | None
    lower_open: bool
    upper_open: bool
    unit_vector: bool
    metric: bool
    source: str
    description: str
    enum: str | None
    struct: str
    owner: str
    offsets: tuple[int, int]
    file: str
    line: int

    @property
    def kind(self) -> str:
        if not self.shape:
            return self.base
        return (
            "vector"
            if self.labels[-1:] in [(names,) for names in VECTORS.values()] and len(self.shape) == 1
            else "array"
        )

    @property
    def is_open(self) -> bool:
        """Whether a list may be shorter than there is room for: an array whose rest has a default."""
        return self.default is not None and len(self.shape) == 1 and self.kind == "array"

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def offset(self) -> int:
        """Index of the first 4-byte word in the float build."""
        return self.offsets[0] // 4

    @property
    def count(self) -> int:
        """Number of scalars."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def suffixes(self) -> list[str]:
        """Path endings of the scalars in storage order: `[""]`, `[".x", ".y", ".z"]`, `[".0", ".1"]`."""
        endings = [""]
        for names in self.labels:
            endings = [f"{ending}.{name}" for ending in endings for name in names]
        return endings

    def size(self, real: int) -> int:
        """Bytes of one scalar in the build whose `real` has this many bytes."""
        return real if self.base == "real" else 4

    def offset_bytes(self, real: int = 4) -> int:
        """Byte offset of the first scalar in the build whose `real` has this many bytes."""
        return self.offsets[0 if real == 4 else 1]

    def matches(self, pattern: str) -> bool:
        """Whether `pattern` is part of the path or the description, whatever its case."""
        return pattern.lower() in self.path.lower() or pattern.lower() in self.description.lower()

    @property
    def range(self) -> str:
        """The allowed SI range as text: `> 0`, `0 .. 1`, `unit vector`, or nothing."""
        if self.unit_vector:
            return "unit vector"
        if self.lower is not None and self.upper is not None and not (self.lower_open or self.upper_open):
            return f"{self.lower:g} .. {self.upper:g}"
        parts = []
        if self.lower is not None:
            parts.append(f"{'>' if self.lower_open else '>='} {self.lower:g}")
        if self.upper is not None:
            parts.append(f"{'<' if self.upper_open else '<='} {self.upper:g}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Schema:
    """Everything the headers say. `fields` are the paths of users; `slots` add the internal values of Params."""

    folder: Path
    structs: dict[str, Struct]
    enums: dict[str, Enumeration]
    slots: dict[str, Field]
    fields: dict[str, Field]
    record_fields: dict[str, Field]
    sample_fields: dict[str, Field]
    sections: dict[str, str]
    _components: dict[str, tuple[Field, int]] = field(repr=False)
    _world: tuple[int, int] = (0, 0)

    def locate(self, path: str) -> tuple[Field, int | None]:
        """The field at `path` and, for one component of a vector or array, its position; raises KeyError."""
        if path in self.fields:
            return self.fields[path], None
        return self._components[path]

    def paths(self) -> list[str]:
        """Every path that names a value: fields and the components of vectors and arrays."""
        return [*self.fields, *self._components]

    def world_word(self, path: str, real: int = 4) -> int | None:
        """Index of the 4-byte word inside World where this scalar starts; None when it is not in World."""
        if path in self.fields and self.fields[path].shape:
            raise KeyError(f"{path} is a whole {self.fields[path].kind}: name one component")
        found, index = self.locate(path)
        if found.owner != "World":
            return None
        start = self._world[0 if real == 4 else 1]
        return (found.offset_bytes(real) - start + (index or 0) * found.size(real)) // 4

    def params_bytes(self, real: int = 4) -> int:
        """sizeof(Params) in the build whose `real` has this many bytes."""
        return _layout(self.structs, "Params", real)[0]

    def record_bytes(self, real: int = 4) -> int:
        return _layout(self.structs, "Record", real)[0]

    def sample_bytes(self, real: int = 4) -> int:
        return _layout(self.structs, "Sample", real)[0]

    def params_dtype(self, real: int = 4) -> numpy.dtype[Any]:
        """Params as an aligned structured dtype, nested as in the header."""
        return self._dtype("Params", real)

    def dtype(self, name: str, real: int = 4) -> numpy.dtype[Any]:
        """One of ROOTS or TOUCHDOWNS as an aligned structured dtype."""
        return self._dtype(name, real)

    def record_dtype(self, real: int = 4) -> numpy.dtype[Any]:
        return self._dtype("Record", real)

    def sample_dtype(self, real: int = 4) -> numpy.dtype[Any]:
        return self._dtype("Sample", real)

    def _dtype(self, name: str, real: int) -> numpy.dtype[Any]:
        import numpy

        scalar = {"real": numpy.dtype(f"<f{real}"), "int": numpy.dtype("<i4")}

        def build(struct: Struct) -> numpy.dtype[Any]:
            entries: list[Any] = []
            for member in struct.members:
                shape = () if member.count is None else (member.count,)
                if member.type in VECTORS:
                    entries.append((member.name, scalar["real"], (*shape, len(VECTORS[member.type]))))
                elif member.type in self.structs:
                    entries.append((member.name, build(self.structs[member.type]), shape))
                else:
                    entries.append((member.name, scalar["real" if member.type == "real" else "int"], shape))
            return numpy.dtype(entries, align=True)

        return build(self.structs[name])

    def rows(self, pattern: str = "") -> list[dict[str, str]]:
        """One row per path for `mcrisk params`: path, unit, default, range, description.

        `pattern` is part of a path or description.
        """
        return [self.row(found) for found in self.fields.values() if found.matches(pattern)]

    def row(self, found: Field) -> dict[str, str]:
        """One field as texts."""
        return {
            "path": found.path,
            "unit": found.unit,
            "default": found.default if found.source == "default" and found.default else found.source,
            "range": " | ".join(self.enums[found.enum]) if found.enum else found.range,
            "description": found.description,
        }

    def json_schema(self, tables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A JSON Schema of mission files for editors; `tables` are further top-level properties (site, orbit, ...)."""
        root: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": dict(tables or {})}
        for path, found in self.fields.items():
            if found.source == "placed":
                continue
            *sections, name = path.split(".")
            place, walked = root, ""
            for section in sections:
                walked = f"{walked}.{section}".lstrip(".")
                fresh = {"type": "object", "description": self.sections.get(walked, ""), "additionalProperties": False}
                place = place["properties"].setdefault(section, fresh | {"properties": {}})
            place["properties"][name] = self.json_value(found)
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mcrisk mission", **root}

    def json_value(self, found: Field) -> dict[str, Any]:
        """JSON Schema of one field."""
        value: dict[str, Any]
        if found.enum:
            value = {"enum": list(self.enums[found.enum])}
        elif found.unit == "tick":
            value = {"type": ["integer", "string"]}
        elif found.base == "int":
            value = {"type": "integer"}
        else:
            value = {"type": ["number", "string"] if found.unit == "" else "string"}
        for length in reversed(found.shape):
            value = {"type": "array", "items": value, "maxItems": length, "minItems": 1 if found.is_open else length}
        if found.shape:
            value = {"anyOf": [value, {"type": "string"}]}  # one text with a shared unit: "0 0 0.9 m"
        text = " ".join(
            part for part in (f"[{found.unit}]", found.range and f"{found.range}.", found.description) if part
        )
        value["description"] = text
        if found.default is not None and not found.shape:
            plain = found.unit in ("", "tick") and re.fullmatch(NUMBER, found.default)
            number = int if found.base == "int" else float
            value["default"] = number(found.default) if plain else found.default
        return value


def load_schema(folder: str | Path | None = None) -> Schema:
    """The schema of the kernel headers in `folder`, by default the ones this mcrisk was built with."""
    if folder is None:
        from .native import kernel_folder

        folder = kernel_folder() / "mcrisk"
    return _load(str(folder))


@functools.lru_cache(maxsize=8)
def _load(folder: str) -> Schema:
    return _Reader(Path(folder)).schema()


# -------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Block:
    """The raw lines of one struct or enum, read strictly only when the schema reaches it."""

    kind: str
    name: str
    file: str
    line: int
    description: str
    lines: list[tuple[int, str]]


class _Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocks: dict[str, list[_Block]] = {}
        self.constants: dict[str, int] = {}
        self.structs: dict[str, Struct] = {}
        self.enums: dict[str, Enumeration] = {}
        headers = sorted(folder.glob("*.h"))
        if not headers:
            raise SchemaError(f"{folder}: expected the kernel headers (*.h), found none")
        for header in headers:
            self._scan(header)

    def schema(self) -> Schema:
        for root in ROOTS:
            if root not in self.blocks:
                raise SchemaError(f"{self.folder}: no `struct {root} {{` in its headers")
            self._struct(root, None)
        for root in TOUCHDOWNS:
            if root in self.blocks:
                self._struct(root, None)
        flat = _Flattener(self.structs, self.enums)
        slots = flat.fields("Params")
        fields = {path: one for path, one in slots.items() if one.source != "internal"}
        components = {
            f"{path}{suffix}": (one, index)
            for path, one in fields.items()
            if one.shape
            for index, suffix in enumerate(one.suffixes)
        }
        world = [offset for member, offset in flat.members("Params") if member.type == "World"]
        return Schema(
            folder=self.folder,
            structs=self.structs,
            enums=self.enums,
            slots=slots,
            fields=fields,
            record_fields=_Flattener(self.structs, self.enums).fields("Record"),
            sample_fields=_Flattener(self.structs, self.enums).fields("Sample"),
            sections=flat.sections,
            _components=components,
            _world=world[0] if world else (0, 0),
        )

    def _scan(self, header: Path) -> None:
        """Collect the blocks and integer constants of one header without judging them."""
        above: list[str] = []
        block: _Block | None = None
        depth = 0
        for number, text in enumerate(header.read_text(encoding="utf-8").splitlines(), start=1):
            code = re.sub(r'"(?:\\.|[^"\\])*"', '""', text).partition("//")[0]
            if block is not None:
                depth += code.count("{") - code.count("}")
                if depth <= 0:
                    self.blocks.setdefault(block.name, []).append(block)
                    block = None
                else:
                    block.lines.append((number, text))
                continue
            stripped = text.strip()
            if stripped.startswith("///") and not stripped.startswith("///<"):
                above.append(stripped[3:].strip())
                continue
            for kind, pattern in (("struct", STRUCT), ("enum", ENUM), ("other", ONE_LINE), ("other", OTHER)):
                if match := pattern.match(code.rstrip()):
                    fresh = _Block(kind, match[1], header.name, number, " ".join(above), [])
                    depth = code.count("{") - code.count("}")
                    if "{" in code and depth > 0:
                        block = fresh
                    else:
                        self.blocks.setdefault(fresh.name, []).append(fresh)
                    break
            else:
                if match := CONSTANT.match(code):
                    self.constants[match[1]] = int(match[2])
            above = []
        if block is not None:
            raise SchemaError(f"{header.name}:{block.line}: {block.kind} {block.name} is never closed")

    def _block(self, name: str, where: str) -> _Block:
        found = self.blocks.get(name, [])
        if not found:
            raise SchemaError(
                f"{where}: unknown type '{name}'; expected real, int, Vec3, Quat, or a struct or enum of the headers"
            )
        if len(found) > 1:
            places = ", ".join(f"{block.file}:{block.line}" for block in found)
            raise SchemaError(f"{places}: {name} is defined twice")
        return found[0]

    def _struct(self, name: str, user: Member | None, above: tuple[str, ...] = ()) -> None:
        where = f"{user.file}:{user.line}" if user else str(self.folder)
        block = self._block(name, where)
        at = f"{block.file}:{block.line}"
        if name in above:
            raise SchemaError(f"{at}: {name} contains itself")
        if name in self.structs or name in self.enums:
            return
        if block.kind == "enum":
            self.enums[name] = self._enumeration(block)
            return
        if block.kind != "struct":
            raise SchemaError(
                f"{at}: {name} is part of the schema: expected `struct {name} {{` or `enum class {name} : int {{`, "
                "then one member per line"
            )
        members = self._members(block)
        for member in members:
            if member.type not in ("real", "int", *VECTORS):
                self._struct(member.type, member, (*above, name))
            self._judge(member)
        self.structs[name] = Struct(name, members, block.description, block.file, block.line)

    def _enumeration(self, block: _Block) -> Enumeration:
        members: dict[str, int] = {}
        sentences: dict[str, str] = {}
        last = ""
        for number, text in block.lines:
            at = f"{block.file}:{number}"
            if not text.strip() or re.match(r"^\s*//(?!/<)", text):
                continue
            if (match := CONTINUED.match(text)) and last:
                sentences[last] += " " + match[1]
                continue
            match = MEMBER.match(text)
            if not match:
                raise SchemaError(
                    f"{at}: expected `member = 0,  ///< One sentence.` in enum {block.name}, got `{text.strip()}`"
                )
            last, value = match[1], int(match[2])
            if last in members or value in members.values():
                raise SchemaError(f"{at}: {block.name}::{last} = {value} is used twice")
            members[last], sentences[last] = value, match[3]
        if not members:
            raise SchemaError(f"{block.file}:{block.line}: enum {block.name} has no members")
        return Enumeration(block.name, members, sentences, block.description)

    def _members(self, block: _Block) -> tuple[Member, ...]:
        lines: list[tuple[int, str, re.Match[str], str]] = []
        for number, text in block.lines:
            if not text.strip() or re.match(r"^\s*//(?!/<)", text):
                continue
            if (match := CONTINUED.match(text)) and lines:
                number, first, found, comment = lines[-1]
                lines[-1] = (number, first, found, f"{comment} {match[1]}")
                continue
            match = LINE.match(text)
            if not match:
                raise SchemaError(
                    f"{block.file}:{number}: expected `type name;  ///< [unit] tags. Description.` "
                    f"in struct {block.name}, got `{text.strip()}`"
                )
            lines.append((number, text, match, match[4]))
        members = tuple(self._member(f"{block.file}:{number}", match, comment) for number, _, match, comment in lines)
        names = [member.name for member in members]
        for member in members:
            if names.count(member.name) > 1:
                raise SchemaError(f"{member.file}:{member.line}: {block.name}.{member.name} is declared twice")
        if not members:
            raise SchemaError(f"{block.file}:{block.line}: struct {block.name} has no members")
        return members

    def _member(self, at: str, match: re.Match[str], comment: str) -> Member:
        kind, name, length = match[1], match[2], match[3]
        count: int | None = None
        if length is not None:
            count = int(length) if length.isdigit() else self.constants.get(length)
            if not count:
                raise SchemaError(
                    f"{at}: expected a positive array length or a `constexpr int` of the headers, got '{length}'"
                )
        unit, rest, bracket = "", comment, False
        if found := UNIT.match(comment):
            unit, rest, bracket = found[1].strip(), found[2], True
        if not UNITS.fullmatch(unit):
            raise SchemaError(
                f"{at}: unit [{unit}] is not written as the others: [m s^-1], [rad s^-0.5], [N m], [tick], []"
            )
        tags, description = _split_tags(at, rest)
        if not bracket and "internal" not in tags and (kind in ("real", "int") or kind in VECTORS):
            raise SchemaError(f"{at}: '{name}' has no [unit]; write [] when it has none")
        file, _, line = at.partition(":")
        plain = Member(
            name,
            kind,
            count,
            unit,
            None,
            None,
            None,
            False,
            False,
            False,
            False,
            False,
            "required",
            description,
            file,
            int(line),
        )
        return functools.reduce(lambda member, tag: _with_tag(at, member, tag), tags, plain)

    def _judge(self, member: Member) -> None:
        """Refuse tags that do not fit the type of the member."""
        at = f"{member.file}:{member.line}: {member.name}"
        nested = member.type in self.structs
        if nested and (
            member.unit or member.unit_vector or member.metric or member.lower is not None or member.upper is not None
        ):
            raise SchemaError(f"{at} is a struct: it has no unit and no range")
        if member.promoted and (not nested or member.count is not None):
            raise SchemaError(f"{at}: only a single struct can be promoted")
        if nested and member.source == "default":
            raise SchemaError(f"{at} is a struct: give defaults to its members")
        if member.unit_vector and member.type != "Vec3":
            raise SchemaError(f"{at}: only a Vec3 can be a unit vector")
        if member.type in self.enums:
            if member.unit or member.lower is not None or member.upper is not None:
                raise SchemaError(f"{at} is an enum: it has no unit and no range")
            if member.default is not None and member.default not in self.enums[member.type].members:
                raise SchemaError(f"{at}: default '{member.default}' is not a member of {member.type}")
        if member.type == "int" and member.unit not in ("", "tick"):
            raise SchemaError(f"{at}: an int is [] or [tick], got [{member.unit}]")
        if member.type == "real" and member.unit == "tick":
            raise SchemaError(f"{at}: a [tick] is an int")
        if member.lower is not None and member.upper is not None and member.lower > member.upper:
            raise SchemaError(f"{at}: empty range {member.lower:g} .. {member.upper:g}")


def _split_tags(at: str, text: str) -> tuple[list[str], str]:
    """Tags and description of a comment whose unit is removed."""
    if re.match(r"[A-Z]", text):
        return [], text
    for stop in re.finditer(r"\.\s+(?=\S)|\.$", text):
        tags = [tag.strip() for tag in text[: stop.start()].split(",")]
        if all(_is_tag(tag) for tag in tags):
            description = text[stop.end() :].strip()
            if not description:
                raise SchemaError(f"{at}: a description is missing after the tags")
            return tags, description
    head = text.partition(". ")[0]
    if re.match(r"\d", text) and ".." not in head:
        return [], text
    unknown = next((tag.strip() for tag in head.split(",") if not _is_tag(tag.strip())), text)
    raise SchemaError(
        f"{at}: unknown tag '{unknown}' (tags end with a full stop; a description starts with a capital letter)"
    )


def _is_tag(tag: str) -> bool:
    if (
        tag in ("designed", "placed", "internal", "promoted", "metric", "unit vector")
        or RANGE.match(tag)
        or BOUND.match(tag)
    ):
        return True
    return bool(re.match(r"^default\s+[\w+.-][\w+\-*/^%(). ]*$", tag)) and ". " not in tag


def _with_tag(at: str, member: Member, tag: str) -> Member:
    def bounded(lower: str | None, upper: str | None, is_open: bool) -> Member:
        result = member
        if lower is not None:
            if member.lower is not None:
                raise SchemaError(f"{at}: two lower limits")
            result = replace(result, lower=float(lower), lower_open=is_open)
        if upper is not None:
            if member.upper is not None:
                raise SchemaError(f"{at}: two upper limits")
            result = replace(result, upper=float(upper), upper_open=is_open)
        return result

    if found := RANGE.match(tag):
        return bounded(found[1], found[2], False)
    if found := BOUND.match(tag):
        limit, is_open = found[2], found[1] in ("<", ">")
        return bounded(limit, None, is_open) if found[1][0] == ">" else bounded(None, limit, is_open)
    if tag == "unit vector":
        return replace(member, unit_vector=True)
    if tag in ("promoted", "metric"):
        return replace(member, promoted=member.promoted or tag == "promoted", metric=member.metric or tag == "metric")
    source = tag.partition(" ")[0]
    if member.source != "required":
        raise SchemaError(f"{at}: both '{member.source}' and '{source}'; a value has one source")
    return replace(member, source=source, default=tag[len("default") :].strip() if source == "default" else None)


# --------------------------------------------------------------------------------------------------------------- layout


def _layout(structs: Mapping[str, Struct], kind: str, real: int) -> tuple[int, int, list[int]]:
    """Size, alignment and member offsets of a type under natural C alignment [byte]."""
    if kind == "real":
        return real, real, []
    if kind in VECTORS:
        return real * len(VECTORS[kind]), real, []
    if kind not in structs:
        return 4, 4, []
    offset, widest, offsets = 0, 1, []
    for member in structs[kind].members:
        size, align, _ = _layout(structs, member.type, real)
        offset = -(-offset // align) * align
        offsets.append(offset)
        offset += size * (1 if member.count is None else member.count)
        widest = max(widest, align)
    return -(-offset // widest) * widest, widest, offsets


class _Flattener:
    """Walks a root struct and names every value in it."""

    def __init__(self, structs: Mapping[str, Struct], enums: Mapping[str, Enumeration]) -> None:
        self.structs, self.enums = structs, enums
        self.sections: dict[str, str] = {}

    def members(self, name: str) -> list[tuple[Member, tuple[int, int]]]:
        """The members of a struct with their byte offsets in the float and double builds."""
        offsets = zip(_layout(self.structs, name, 4)[2], _layout(self.structs, name, 8)[2], strict=True)
        return list(zip(self.structs[name].members, offsets, strict=True))

    def fields(self, root: str) -> dict[str, Field]:
        found: dict[str, Field] = {}
        for one in self._walk(root, "", (0, 0), None, ""):
            if one.path in found:
                first = found[one.path]
                raise SchemaError(
                    f"{one.file}:{one.line}: path '{one.path}' is already taken by {first.file}:{first.line}"
                )
            found[one.path] = one
        return found

    def _walk(self, name: str, prefix: str, start: tuple[int, int], source: str | None, owner: str) -> Iterator[Field]:
        for member, (single, double) in self.members(name):
            place = (start[0] + single, start[1] + double)
            path = prefix if member.promoted else f"{prefix}.{member.name}".lstrip(".")
            inherited = source or (member.source if member.source in ("designed", "placed", "internal") else None)
            within = owner or member.type
            if member.type not in self.structs:
                yield self._field(member, path, place, inherited, name, within)
                continue
            sizes = [_layout(self.structs, member.type, real)[0] for real in (4, 8)]
            if not member.promoted:
                self.sections[path] = member.description or self.structs[member.type].description
            if member.count is not None and inherited != "internal":
                at = f"{member.file}:{member.line}: {member.name}"
                raise SchemaError(
                    f"{at}: an array of structs has no paths for users: tag it internal or name its members"
                )
            for index in range(1 if member.count is None else member.count):
                element = path if member.count is None else f"{path}.{index}"
                begin = (place[0] + index * sizes[0], place[1] + index * sizes[1])
                yield from self._walk(member.type, element, begin, inherited, within)

    def _field(
        self, member: Member, path: str, place: tuple[int, int], source: str | None, struct: str, owner: str
    ) -> Field:
        labels: tuple[tuple[str, ...], ...] = ()
        if member.count is not None:
            labels += (tuple(str(index) for index in range(member.count)),)
        if member.type in VECTORS:
            labels += (VECTORS[member.type],)
        base = "enum" if member.type in self.enums else "int" if member.type == "int" else "real"
        return Field(
            path=path,
            base=base,
            shape=tuple(len(names) for names in labels),
            labels=labels,
            unit=member.unit,
            default=member.default,
            lower=member.lower,
            upper=member.upper,
            lower_open=member.lower_open,
            upper_open=member.upper_open,
            unit_vector=member.unit_vector,
            metric=member.metric,
            source=source or member.source,
            description=member.description,
            enum=member.type if base == "enum" else None,
            struct=struct,
            owner=owner,
            offsets=place,
            file=member.file,
            line=member.line,
        )


# ----------------------------------------------------------------------------------------------------- build-time entry


def main(arguments: list[str] | None = None) -> int:
    import argparse  # at build time alone: importing mcrisk stays fast

    parser = argparse.ArgumentParser(prog="schema.py", description="Reads the kernel headers at build time.")
    parser.add_argument("folder", type=Path, help="folder of the headers: kernels/mcrisk")
    parser.add_argument("--params-bytes", action="store_true", help="print sizeof(Params)")
    parser.add_argument("--real", type=int, choices=(4, 8), default=4, help="bytes of `real` (default 4)")
    stated = parser.parse_args(arguments)
    try:
        schema = load_schema(stated.folder)
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 2
    if stated.params_bytes:
        print(schema.params_bytes(stated.real))
    return 0


if __name__ == "__main__":
    sys.exit(main())
