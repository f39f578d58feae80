"""`scripts/bench peers` refuses before it makes an environment or measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import environment, peers

from mcrisk import scripting


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds=0"], "argument --rounds: expected a whole number above zero, got '0'"),
        (["--seconds=nan"], "argument --seconds: expected a number above zero, got 'nan'"),
        (["--write", "/dev/null"], "mcrisk: /dev/null: expected the lines <!-- peers:begin -->"),
        ([], "mcrisk: MCRISK_PEERS_VENV=/dev/null: expected a folder, got something else; name another, or unset it"),
    ],
)
def test_what_cannot_be_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("MCRISK_PEERS_VENV", "/dev/null")
    monkeypatch.setattr(sys, "argv", ["peers", *arguments])
    try:
        code = scripting.guarded(peers.main)
    except SystemExit as refused:
        code = int(str(refused.code))

    assert code == 2
    assert message in capsys.readouterr().err


def test_an_environment_that_cannot_be_made_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCRISK_PEERS_VENV", "/proc/none")

    assert scripting.guarded(lambda: str(environment.made(False, lambda _: None, set())) and 0) == 4
    assert capsys.readouterr().err.startswith("mcrisk: /proc/none: expected an environment, got ")
