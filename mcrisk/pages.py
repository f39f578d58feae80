"""Blocks of a page that a command writes: the lines between `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""

from __future__ import annotations

from pathlib import Path

from .errors import MistakeError

__all__ = ["block", "write_block"]


def block(page: Path, name: str) -> tuple[str, str, str]:
    """The page up to the block, the text of the block, and the rest; the marks belong to the first and the last."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise MistakeError(f"{page}: {error.strerror}", remedy="name a page to write to") from None
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise MistakeError(str(page), f"the lines {begin.strip()} and {end}, once each", "a page without that block")
    before, _, rest = text.partition(begin)
    inside, _, after = rest.partition(end)
    return before + begin, inside, end + after


def write_block(page: Path, name: str, text: str) -> None:
    """Put `text` into the block; a reader sees the old page or the whole new one."""
    before, _, after = block(page, name)
    fresh = page.with_suffix(".tmp")
    fresh.write_text(f"{before}{text}\n{after}", encoding="utf-8")
    fresh.replace(page)
