"""mcrisk.pages: a block is put into a page, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcrisk import pages
from mcrisk.errors import MistakeError

PAGE = "# Speed\n<!-- a:begin -->\nold\n<!-- a:end -->\nEnd.\n"


def test_writing_a_block_leaves_links_mode_and_neighbours_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link, other = tmp_path / "there/page.md", tmp_path / "page.md", tmp_path / "there/page.tmp"
    real.write_text(PAGE)
    real.chmod(0o640)
    other.write_text("mine")
    link.symlink_to(real)
    pages.write_block(link, "a", "new")

    assert real.read_text() == PAGE.replace("old", "new")
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert other.read_text() == "mine"
    assert {path.name for path in real.parent.iterdir()} == {"page.md", "page.tmp"}


def test_the_ends_of_lines_are_those_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_bytes(PAGE.replace("\n", "\r\n").encode())
    pages.write_block(page, "a", "one\ntwo")

    assert page.read_bytes() == PAGE.replace("old", "one\ntwo").replace("\n", "\r\n").encode()
    assert pages.block(page, "a")[1] == "one\ntwo\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PAGE.encode("utf-16"), "page.md: expected text in UTF-8, got invalid start byte; name a page to write to"),
        (b"no marks", "page.md: expected the lines <!-- a:begin --> and <!-- a:end -->, once each, got a page without"),
        (b"<!-- a:begin --> x\n<!-- a:end -->", "page.md: expected the line <!-- a:begin -->, got more on that line"),
    ],
)
def test_a_page_that_takes_no_block_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    page = tmp_path / "page.md"
    page.write_bytes(content)

    with pytest.raises(MistakeError) as refusal:
        pages.check(page, "a")
    assert message in str(refusal.value)


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    pages.check(page, "a")
    monkeypatch.setattr(pages.os, "access", lambda *_: False)  # root may write anywhere

    with pytest.raises(MistakeError, match="expected a page to write to, in a folder to write to, got one to read"):
        pages.check(page, "a")
