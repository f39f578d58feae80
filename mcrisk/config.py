"""TOML files: found by name or path, and inherited through `base`. Nothing in a file is ever evaluated."""

from __future__ import annotations

import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import units
from .errors import MistakeError, nearest, suggestion, visible

__all__ = ["Document", "find", "lies_at", "parse_toml", "read_chain", "read_toml", "shipped"]

FILE_BYTES = 1_000_000  # largest file read; a mission is a few kilobytes
LEVELS = 20  # of tables in tables, at most
BASES = 8  # longest chain of `base`
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Document:
    """One TOML file: how it is called in messages, and its tables."""

    file: str
    tree: dict[str, Any]


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
        raise MistakeError(f"'{visible(text)}'", "a path or a name")
    path = Path(text)
    if path.suffix == ".toml" or len(path.parts) != 1 or text in ("", ".", ".."):
        place = path if beside is None else beside / path
        if path.suffix != ".toml":
            raise MistakeError(f"'{visible(text)}'", "a TOML file (.toml) or the bare name of a shipped config")
        if (what := lies_at(place)) != "a file":
            known = shipped(kind) if len(path.parts) == 1 else []
            twin = path.stem if path.stem in known else nearest(path.stem, known)
            remedy = f"a shipped config is called by its bare name: {twin}" if twin else ""
            raise MistakeError(str(place), "a TOML file", what, remedy)
        return place
    if not NAME.fullmatch(text):
        raise MistakeError(f"'{visible(text)}'", "a path ending in .toml or the bare name of a shipped config")
    known = shipped(kind)
    if text in known:
        from .native import config_folder

        return config_folder() / kind / f"{text}.toml"
    remedy = suggestion(text, known) or f"shipped: {', '.join(known) or 'none'}"
    raise MistakeError(f"no {kind.removesuffix('s')} called '{text}'", remedy=remedy)


def lies_at(path: Path) -> str:
    """`a file`, `a folder`, `a pipe or device`, or `no such file`, also for names that no file system takes.

    >>> lies_at(Path("/")), lies_at(Path("/nowhere")), lies_at(Path("x" * 5000))
    ('a folder', 'no such file', 'no such file')
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return "no such file"
    return "a file" if stat.S_ISREG(mode) else "a folder" if stat.S_ISDIR(mode) else "a pipe or device"


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
        tree = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"\s*\(at line (\d+), column \d+\)$", message)
        line = f":{place[1]}" if place else ""
        message = message[: place.start()] if place else message
        if re.search(r"overwrite|twice|mutate", message):
            raise MistakeError(f"{file}{line}", "each key and table once", f"one stated twice ({message})") from None
        unquoted = message == "Invalid value" or message.startswith("Expected newline")
        hint = 'text needs quotes: thrust = "450 N"' if unquoted else ""
        told = message[:1].lower() + message[1:]
        told = f"something else ({told})" if told.startswith("expected") else told
        raise MistakeError(f"{file}{line}", "TOML", told, hint) from None
    except RecursionError:
        raise MistakeError(file, "TOML tables a few levels deep", "hundreds of levels") from None
    except ValueError:  # Python refuses to read a number of thousands of digits
        raise MistakeError(file, "numbers of ordinary size", "one of thousands of digits") from None
    level: list[Any] = [tree]
    for _ in range(LEVELS):
        level = [one for table in level for one in (table.values() if isinstance(table, dict) else table)]
        level = [one for one in level if isinstance(one, (dict, list))]
    if level:
        raise MistakeError(file, "TOML tables a few levels deep", f"more than {LEVELS} levels")
    return tree


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
