"""TOML files: found, inherited, and refused with file and line."""

from __future__ import annotations

import pytest

from mcrisk import config
from mcrisk.errors import MistakeError


def test_a_bare_name_is_a_shipped_config_and_a_path_is_a_file(small, tmp_path):
    """`small` is shipped; a path needs no place among the shipped ones."""
    own = tmp_path / "own.toml"
    own.write_text('base = "small"\n')

    assert config.find("small") == small / "missions" / "small.toml"
    assert config.find(own) == own
    assert config.shipped() == ["small"]
    assert config.shipped("studies") == []


def test_bases_come_first_and_a_relative_base_lies_beside_its_file(small, tmp_path, monkeypatch):
    """Read from another working directory."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "first.toml").write_text('base = "second.toml"\n')
    (tmp_path / "deep" / "second.toml").write_text('base = "small"\n')
    monkeypatch.chdir("/")
    chain = config.read_chain(tmp_path / "deep" / "first.toml")

    assert [document.file.rsplit("/", 1)[1] for document in chain] == ["small.toml", "second.toml", "first.toml"]


def test_windows_line_ends_and_byte_order_marks_are_read(tmp_path):
    """As editors write them."""
    (tmp_path / "x.toml").write_bytes(b'\xef\xbb\xbftitle = "a"\r\n[site]\r\n')

    assert config.read_toml(tmp_path / "x.toml") == {"title": "a", "site": {}}


BROKEN = [
    ('a = 1\na = 2\n', "x.toml:2: expected each key and table once, got one stated twice"),
    ("[a]\n[b]\n[a]\n", "x.toml:3: expected each key and table once"),
    ("a = {b = 1}\na.c = 2\n", "x.toml:2: expected each key and table once"),
    ("[a]\nthrust = 450 N\n", "x.toml:2: expected TOML, got something else (expected newline or end of document after"),
    ("[a]\nthrust = 450 N\n", 'after a statement); text needs quotes: thrust = "450 N"'),
    (f"a = {'9' * 5000}\n", "x.toml: expected numbers of ordinary size, got one of thousands of digits"),
    (f"{'.'.join(['a'] * 300)} = 1\n", "x.toml: expected TOML tables a few levels deep, got more than 20 levels"),
    ("thrust = N\n", 'x.toml:1: expected TOML, got invalid value; text needs quotes: thrust = "450 N"'),
    ("[a\n", "x.toml:1: expected TOML"),
    ('a = "unclosed\n', "x.toml:1: expected TOML"),
    ("a = ", "x.toml"),
    ("= 1\n", "x.toml:1: expected TOML"),
    ("a = [" + "[" * 5000, "x.toml: expected TOML tables a few levels deep"),
    ("\x00", "x.toml:1: expected TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_broken_file_is_refused_with_file_and_line(tmp_path, text, expected, monkeypatch):
    """TOML's own mistakes, in our words."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(MistakeError) as caught:
        config.read_toml("x.toml")

    assert expected in str(caught.value)
    assert str(caught.value).startswith("x.toml")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    """One byte above the cap."""
    (tmp_path / "x.toml").write_bytes(b"#" * (config.FILE_BYTES + 1))
    with pytest.raises(MistakeError, match=r"expected at most 1000000 bytes, got 1000001 bytes"):
        config.read_toml(tmp_path / "x.toml")


def test_bytes_that_are_not_text_are_refused(tmp_path):
    """Latin-1 degrees sign."""
    (tmp_path / "x.toml").write_bytes(b'a = "5 \xb0"')
    with pytest.raises(MistakeError, match=r"expected UTF-8 text, got other bytes at position 7"):
        config.read_toml(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smal", "no mission called 'smal'; did you mean 'small'?"),
        ("qqq", "no mission called 'qqq'; shipped: small"),
        ("small.toml", "got no such file; a shipped config is called by its bare name: small"),
        ("no/such/file.toml", "expected a TOML file, got no such file"),
        ("../small", "expected a TOML file (.toml) or the bare name"),
        ("/etc/passwd", "expected a TOML file (.toml) or the bare name"),
        ("..", "expected a TOML file (.toml) or the bare name"),
        ("", "expected a TOML file (.toml) or the bare name"),
        ("a b", "expected a path ending in .toml or the bare name"),
        ("a\0b", "expected a path or a name"),
        ("x" * 5000, "expected a path ending in .toml or the bare name"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_the_nearest(small, name, expected):
    """A bare name never becomes a path outside the shipped folder."""
    with pytest.raises(MistakeError) as caught:
        config.find(name)

    assert expected in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path):
    """Named like one."""
    (tmp_path / "x.toml").mkdir()
    with pytest.raises(MistakeError, match=r"expected a TOML file, got a folder"):
        config.find(tmp_path / "x.toml")


def test_bases_that_go_in_a_circle_are_refused_by_name(tmp_path):
    """a > b > a, and a file that names itself."""
    (tmp_path / "a.toml").write_text('base = "b.toml"')
    (tmp_path / "b.toml").write_text('base = "a.toml"')
    (tmp_path / "self.toml").write_text('base = "self.toml"')
    with pytest.raises(MistakeError, match=r"a circle: a.toml > b.toml > a.toml"):
        config.read_chain(tmp_path / "a.toml")
    with pytest.raises(MistakeError, match=r"a circle: self.toml > self.toml"):
        config.read_chain(tmp_path / "self.toml")


def test_a_long_chain_of_bases_is_refused(tmp_path):
    """Nine files."""
    for number in range(9):
        (tmp_path / f"{number}.toml").write_text(f'base = "{number + 1}.toml"')
    with pytest.raises(MistakeError, match=r"expected at most 8 files in a chain of bases"):
        config.read_chain(tmp_path / "0.toml")


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("3", "base: expected a name or path"),
        ('"smal"', "base: no mission called 'smal'"),
        ('"x.toml"', "no such file"),
    ],
)
def test_a_base_that_is_not_there_names_the_file_that_asks(small, tmp_path, base, expected):
    """The reader is told which file to mend."""
    (tmp_path / "own.toml").write_text(f"base = {base}")
    with pytest.raises(MistakeError) as caught:
        config.read_chain(tmp_path / "own.toml")

    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "own.toml"))
