"""mcrisk.progress: what `run` says while it flies."""

from __future__ import annotations

import doctest
import io
import os
import re
import select
import struct
import subprocess
import sys
import tracemalloc

import pytest
from rich.console import Console

from mcrisk import progress as module
from mcrisk.progress import LINE_SECONDS, RECENT_SECONDS, SHOWN_CASES, Progress

HOSTILE = ["[red]", "a\x1b[31mb", "c\r\nd", "e" * 500, "\u202ef", "\udc80", "月" * 90, ":smile:", "[/]", ""]
ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds): the time that progress sees, from 1000 s on."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds
        return now[0]

    return wait


def drawn(progress, width=100, height=24):
    """The lines of the display in a terminal of this size, without colours."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height, force_terminal=True, color_system=None)
    console.print(progress)
    return stream.getvalue().splitlines()


# ---- known answers


@pytest.mark.parametrize(
    ("runs", "landed", "expected"),
    [
        # 1 - 0.05^(1/128) = 2.31 %, rounded up
        (128, 0, "0 of 128 runs land: below 2.4 % (95 % confidence, none seen)"),
        (128, 128, "128 of 128 runs land; fewer than 2.4 % are lost (95 % confidence, none seen)"),
        (1, 1, "1 of 1 run lands; fewer than 95 % are lost (95 % confidence, none seen)"),
        # scipy.stats.binomtest(64, 128).proportion_ci(0.95, "exact"): 0.4104, 0.5896
        (128, 64, "64 of 128 runs land: 50 % (41 to 59 %, 95 % confidence)"),
    ],
)
def test_an_estimate_on_the_way_never_stands_alone_and_says_so_far(clock, runs, landed, expected):
    progress = Progress(1280, ["one"])
    now = clock(2.0)
    progress(0, runs, landed)
    head = f"{runs} of 1 280 runs ({runs * 100 // 1280} %), 1 batch; {round(runs / 2)} runs/s, "

    assert progress.text(now).startswith(head)
    assert progress.text(now).endswith(f" left; so far {expected}")
    assert drawn(progress)[-1] == f"  so far {expected}"


def test_of_several_cases_the_one_that_was_flown_last_is_named(clock):
    progress = Progress(256, ["one", "two"])
    progress(0, 128, 64)
    progress(1, 4, 3)
    text = progress.text(clock(1.0))

    assert "132 of 256 runs (51 %), 2 batches, 1 of 2 cases finished; 132 runs/s, 1 s left; two: so far 3 of 4" in text


def test_the_present_rate_is_that_of_the_last_seconds(clock):
    """1000 runs/s for 20 s, then 100 runs/s for 20 s: 550 runs/s in all, 100 now; 78 000 runs more take 780 s."""
    progress = Progress(100_000, ["one"])
    runs = 0
    for rate in (1000, 100):
        for _ in range(40):
            now = clock(0.5)
            runs += rate // 2
            progress(0, runs, runs)

    assert "100 runs/s (550 overall), 13 min 00 s left" in progress.text(now)


def test_a_rate_falls_when_no_batch_ends(clock):
    progress = Progress(100_000, ["one"])
    progress(0, 1000, 900)

    assert "100 runs/s, " in progress.text(clock(10.0))
    assert "0 runs/s (50 overall), 33 min 00 s left" in progress.text(clock(10.0))


def test_what_a_store_holds_counts_as_done_but_not_into_the_rate(clock):
    progress = Progress(20_000, ["one", "two"])
    progress.held(0, 10_000, 9000)
    clock(100.0)
    progress.held(1, 4000, 3000)
    now = clock(1.0)
    progress(1, 4500, 3400)
    text = progress.text(now)

    assert "14 500 of 20 000 runs (72 %), 1 batch, 1 of 2 cases finished; 500 runs/s, 11 s left" in text
    assert "two: so far 3 400 of 4 500 runs land" in text


def test_a_case_is_finished_once(clock):
    progress = Progress(300, ["one", "two", "three"])
    progress.held(0, 100, 90)
    progress(0, 100, 90)
    progress(1, 50, 40)
    progress(1, 100, 90)

    assert "2 of 3 cases finished" in progress.text(clock(1.0))


# ---- in a terminal


def test_a_terminal_shows_a_bar_and_the_cases_flown_last(clock):
    progress = Progress(100_000, [f"case {place}" for place in range(10_000)])
    for place in (7, 3, 9000, 41, 8, 5, 3, 12):
        progress(place, 10, 9)
    lines = drawn(progress)

    assert len(lines) == 2 + SHOWN_CASES
    assert lines[0].startswith("─" * 10)
    assert "70 of 100 000 runs (0 %), 8 batches, 7 of 10 000 cases finished" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[2:]] == [
        f"case {place}" for place in (3, 5, 8, 12, 41, 9000)
    ]  # fmt: skip
    assert all(": so far 9 of 10 runs land: 90 % (" in line for line in lines[2:])


@pytest.mark.parametrize("width", [1, 2, 5, 12, 20, 40, 79, 80, 200])
def test_hostile_names_and_narrow_terminals_break_no_line(clock, width):
    progress = Progress(1000 * len(HOSTILE), HOSTILE)
    for place in range(len(HOSTILE)):
        progress(place, 100, 90)
        for height in (1, 5, 24):
            lines = drawn(progress, width, height)

            assert 2 <= len(lines) <= 3 + SHOWN_CASES
            assert all(len(line) <= width and line.isprintable() for line in map(str.rstrip, lines))
        assert progress.text(clock(1.0)).isprintable()


def test_the_bar_is_as_long_as_the_share_of_the_runs(clock):
    progress = Progress(1000, ["one"])
    progress(0, 250, 200)

    assert drawn(progress, 120)[0] == "━" * 15 + "─" * 45 + " 250 of 1 000 runs (25 %), 1 batch"


def test_a_terminal_without_unicode_gets_ascii(clock):
    progress = Progress(200, ["月" * 90, "two"])
    progress(0, 100, 90)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=stream, width=60, force_terminal=True, color_system=None).print(progress)
    stream.seek(0)
    lines = stream.read().splitlines()

    assert lines[0] == "#" * 29 + "-" * 30
    assert max(map(len, lines)) <= 60


def test_names_are_shown_as_they_are_written(clock):
    """Neither rich's markup nor emoji codes; a long name keeps its end, which tells the designs of a study apart."""
    names = ["[red]", ":smile:", f"m: {'altimeter.range_max 600 m, ' * 9}design short"]
    progress = Progress(3000, names)
    for place in range(3):
        progress(place, 10, 9)
    lines = drawn(progress)[-3:]

    assert lines[0].startswith("  [red]: so far ")
    assert lines[1].startswith("  :smile:: so far ")
    assert "600 m, design short: so far" in lines[2]


def test_a_terminal_may_change_its_size_while_runs_are_flown():
    """In a real (pseudo) terminal; at the end the display is gone, and the state stays where Ctrl-C ended the work."""
    pty, termios, fcntl = (pytest.importorskip(name) for name in ("pty", "termios", "fcntl"))
    ours, theirs = pty.openpty()
    code = """
import time
from mcrisk.progress import Progress
with Progress(10_000, ["[red]", "a\\x1b[31mb"]) as progress:
    for runs in range(1, 500):
        progress(runs % 2, runs, runs // 2)
        time.sleep(0.002)
    raise KeyboardInterrupt
"""
    environment = os.environ | {"TERM": "xterm"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment)
    os.close(theirs)
    seen, sizes = b"", iter([(24, 100), (5, 30), (2, 3), (1, 1)] * 100)
    while True:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # how Linux tells the end
                break
            seen += part
            if not part:
                break
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", *next(sizes), 0, 0))
    os.close(ours)
    process.wait(timeout=60)
    text = seen.decode()

    assert "━" in text
    assert "Error" not in ANSI.sub("", text)
    assert r"a\x1b[31mb: so far 249 of 499 runs land" in text.rpartition("\x1b[?25h")[2]
    assert "a\x1b[31mb" not in text


# ---- elsewhere


def test_where_there_is_no_terminal_a_line_comes_every_half_minute_at_most(clock, capsys):
    with Progress(400, ["one"]) as progress:
        for runs in range(1, 401):
            clock(0.25)
            progress(0, runs, runs)
    lines = capsys.readouterr().err.splitlines()

    assert [line.split(" runs ")[0] for line in lines] == ["120 of 400", "240 of 400", "360 of 400"]
    assert len(lines) <= 100 / LINE_SECONDS


def test_short_work_is_silent(capsys):
    with Progress(10, ["one"]) as progress:
        progress(0, 10, 9)

    assert capsys.readouterr() == ("", "")


def test_an_interruption_leaves_the_last_state(clock, capsys):
    with pytest.raises(KeyboardInterrupt), Progress(1000, ["one"]) as progress:
        clock(1.0)
        progress(0, 10, 9)
        raise KeyboardInterrupt

    assert capsys.readouterr().err.startswith("10 of 1 000 runs (1 %), 1 batch; 10 runs/s, 1 min 39 s left; so far 9 ")


def test_an_interruption_before_anything_was_flown_says_nothing(capsys):
    with pytest.raises(KeyboardInterrupt), Progress(0, []):
        raise KeyboardInterrupt

    assert capsys.readouterr().err == ""


def test_ten_thousand_cases_take_little_memory(clock):
    """16 bytes per case, and as many notes of the rate as fit its seconds."""
    names = ["m"] * 10_000
    tracemalloc.start()
    progress = Progress(10**12, names)
    for runs in range(1, 3):
        for case in range(len(names)):
            clock(0.3)
            progress(case, 1000 * runs, 900 * runs)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert held < 1_000_000
    assert len(progress._samples) <= RECENT_SECONDS / 0.3 + 2


def test_the_examples_of_the_module_are_true():
    assert doctest.testmod(module).failed == 0
