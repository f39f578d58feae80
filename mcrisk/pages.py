"""Blocks of a page that a command writes: the lines between `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from .errors import MistakeError

__all__ = ["block", "check", "write_block"]

REMEDY = "name a page to write to"


def block(page: Path, name: str) -> tuple[str, str, str]:
    """The page up to the block, the text of the block, and the rest; the marks belong to the first and the last.

    Line ends are those of the page, except in the text of the block, where they are plain.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    try:
        with page.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except OSError as error:
        raise MistakeError(f"{page}: {error.strerror}", remedy=REMEDY) from None
    except UnicodeDecodeError as error:
        raise MistakeError(str(page), "text in UTF-8", error.reason, REMEDY) from None
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise MistakeError(str(page), f"the lines {begin} and {end}, once each", "a page without that block")
    before, _, rest = text.partition(begin)
    inside, _, after = rest.partition(end)
    line = next((one for one in ("\r\n", "\n") if inside.startswith(one)), "")
    if not line:
        raise MistakeError(str(page), f"the line {begin}", "more on that line")
    return before + begin + line, inside.removeprefix(line).replace("\r\n", "\n"), end + after


def check(page: Path, name: str) -> None:
    """Refuse, before anything is measured, a page that has no such block or cannot be written to."""
    block(page, name)
    target = page.resolve()
    if not (os.access(target, os.W_OK) and os.access(target.parent, os.W_OK)):
        raise MistakeError(str(page), "a page to write to, in a folder to write to", "one to read alone", REMEDY)


def write_block(page: Path, name: str, text: str) -> None:
    """Put `text` into the block; a reader sees the old page or the whole new one, where a link leads, mode and all."""
    before, _, after = block(page, name)
    line = "\r\n" if before.endswith("\r\n") else "\n"
    whole = before + f"{text}\n".replace("\n", line) + after
    target = page.resolve()
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as fresh:
            try:
                fresh.write(whole.encode())
                fresh.close()
                shutil.copymode(target, fresh.name)
                Path(fresh.name).replace(target)
            except BaseException:
                Path(fresh.name).unlink()
                raise
    except OSError as error:
        raise MistakeError(f"{page}: {error.strerror}", remedy=REMEDY) from None
