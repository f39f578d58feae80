"""The README is true: its commands run, its Python example answers as shown, its output is what the command prints."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mcrisk import pages

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FEW = "16"  # runs instead of the README's thousands
NOT_TESTED = "<!-- not tested"
SHOWN_COMMAND = "./scripts/mcrisk run hakuto_r_m2 --runs 10000"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, less those that are marked as not tested."""
    pieces = re.split(r"^```", README.read_text(), flags=re.MULTILINE)
    return [
        block.partition("\n")[2]
        for before, block in zip(pieces[0::2], pieces[1::2], strict=False)
        if block.partition("\n")[0] == language and not before.rstrip().rpartition("\n")[2].startswith(NOT_TESTED)
    ]


def commands() -> list[str]:
    """The command lines of the README, in its order."""
    lines = [line.partition("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a clone to the README's commands: its files, and `mcrisk` of this environment."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "scripts").mkdir()
    script = folder / "scripts/mcrisk"
    script.write_text(f'#!/bin/sh\nexport MCRISK_COMMAND="$0"\nexec "{sys.executable}" -P -m mcrisk "$@"\n')
    script.chmod(0o755)
    (folder / "configs").symlink_to(ROOT / "configs")
    for block in blocks("toml"):
        named = re.match(r"# (\w+\.toml)\n", block)
        assert named, "a TOML block of the README starts with its file name"
        (folder / named[1]).write_text(block)
    return folder


def ask(command: str, folder: Path) -> str:
    """What a command prints on stdout, or on stderr where it writes files; few runs may leave `verify` undecided."""
    done = subprocess.run(
        ["sh", "-ec", command], cwd=folder, env=os.environ | {"COLUMNS": "120"}, text=True, capture_output=True
    )
    assert done.returncode in ((0, 1, 3) if " verify " in command else (0,)), f"{command}\n{done.stderr}"
    return done.stdout or done.stderr


def test_the_first_two_commands_are_the_newcomers():
    """What the first screen promises, and both scripts are there."""
    assert commands()[:2] == [SHOWN_COMMAND, "./scripts/test"]
    assert os.access(ROOT / "scripts/mcrisk", os.X_OK)
    assert os.access(ROOT / "scripts/test", os.X_OK)


def test_every_command_runs(clone):
    """In the README's order, with few runs; `./scripts/test` is what runs this. `run` writes where later lines read."""
    told = {}
    for command in commands():
        if command.startswith("./scripts/test"):
            continue
        assert command.startswith("./scripts/mcrisk "), f"not known how to test: {command}"
        told[command] = ask(re.sub(r"--runs \S+", f"--runs {FEW}", command), clone)

    assert len(told) > 8
    assert all(told.values()), "every command says something"


def test_the_python_example_is_true(tmp_path, monkeypatch):
    """Every answer of the Python block, as a doctest."""
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    test = doctest.DocTestParser().get_doctest(example, {}, "README.md", str(README), 0)
    said: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=said.append)

    assert results.attempted > 5
    assert results.failed == 0, "".join(said)


def test_every_shipped_mission_is_in_the_table():
    """One line each, and no line for a mission that is not there."""
    rows = re.findall(r"^\| `(\w+)` \| [A-Za-z]", README.read_text(), re.MULTILINE)
    shipped = [path.stem for path in (ROOT / "configs/missions").glob("*.toml")]

    assert set(shipped) <= set(rows)
    assert {row for row in rows if (ROOT / f"configs/missions/{row}.toml").is_file()} == set(shipped)


def test_every_link_leads_somewhere():
    """Files and headings of this repository, in every README."""
    for page in (README, *(ROOT / f"{folder}/README.md" for folder in ("kernels", "tests/peers", "tests/scale"))):
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
            name, _, heading = target.partition("#")
            linked = page.parent / name if name else page
            assert linked.exists(), f"{page.name}: {target}"
            if heading:
                headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
                assert heading in [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings], target


def test_the_package_shows_this_readme():
    """On the package index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["readme"] == "README.md"


@pytest.mark.slow
def test_the_shown_output_is_what_the_command_prints(clone):
    """All but the last line, which names digest and speed. MCRISK_README=write puts the real output into the README."""
    actual = shown(ask(SHOWN_COMMAND, clone))
    if os.environ.get("MCRISK_README") == "write":
        pages.write_block(README, "output", f"```\n{actual}\n```")
    _, expected, _ = pages.block(README, "output")

    assert expected == f"```\n{actual}\n```\n"


def shown(output: str) -> str:
    """What is the same on every machine: digests and times are left out."""
    kept = [line.rstrip() for line in output.splitlines() if not line.startswith("campaign ")]
    return re.sub(r"-[0-9a-f]{8}\b", "-<digest>", "\n".join(kept))
