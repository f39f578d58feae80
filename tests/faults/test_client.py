"""The end of the command itself: killed at random instants and at every file call, interrupted once and twice."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import time

import pytest
from field import PATIENCE, Field, Figures, field_of, forks_of

RUNS = 4000
FEW = 8000  # two seconds of flight
TINY = 300  # where every file call is a trial


def kill_of_clients(count: int, runs: int = RUNS, cluster: str = "", seed: int = 5) -> Figures:
    """kill -9 of the command at instants of its whole life, from its first import to its last line."""
    figures, instants = Figures(f"kill -9 of the command{' with processes' if cluster else ''}"), random.Random(seed)
    life = runs / 1400 + 2  # [s] of a command, roughly
    while figures.tried < count:
        with field_of(runs, "losses", cluster) as field:
            kills, problems = 0, []
            while kills < 5 and figures.tried + kills < count and not problems:
                process = field.start()
                try:
                    process.wait(instants.uniform(0, life))
                    break  # it was faster
                except subprocess.TimeoutExpired:
                    process.kill()
                begun = time.monotonic()
                process.wait()
                kills += 1
                problems = field.peek()
                if alive := gone(field):
                    problems.append(f"alive after 30 s: {alive}")
                figures.longest = max(figures.longest, time.monotonic() - begun)
            problems += field.finish()
            figures.again += max(0, field.flown() - runs)
            figures.judge(problems, kills)
    return figures


def gone(field: Field) -> list[str]:
    """The processes of a killed command that live longer than 30 s."""
    deadline = time.monotonic() + 30
    while (alive := field.orphans()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [str(one) for one in alive]


def kill_at_every_file_call(step: int = 1, call: int = 1) -> Figures:
    """SIGKILL at the k-th write, sync, rename, truncation or removal in the store; a write is torn in its middle.

    Where it comes after the results are in their place, the next command finds them whole and opens no journal: the
    lock of the process that is gone stays then, free for whoever writes next.
    """
    figures = Figures("SIGKILL at the k-th file call of the store")
    with field_of(TINY, "losses") as field, forks_of(field) as forks:
        while True:
            shutil.rmtree(field.store, ignore_errors=True)
            field.flown_file.unlink(missing_ok=True)
            told = forks.do(field.command, call, 1)
            if told["status"] == 0:
                figures.notes.append(f"a run without a fault has {told['calls']} file calls")
                return figures
            problems = [] if told["status"] == -9 else [f"call {call}: status {told['status']} {told['said']}"]
            problems += [f"call {call}: {one}" for one in field.peek()]
            again = forks.do(field.command)
            figures.longest = max(figures.longest, again["seconds"])
            whole = again["said"] == [f"{field.store} has {TINY} runs of this campaign already"]
            if again["status"] or (again["said"] and not whole):
                problems.append(f"after call {call}: status {again['status']} {again['said']}")
            left = [one for one in field.files_left() if not (whole and one == "lock")]
            problems += [f"after call {call}: {one}" for one in field.differs() + left]
            figures.again += max(0, field.flown() - TINY)
            figures.judge(problems)
            call += step


def interruptions(
    count: int, runs: int = RUNS, number: int = signal.SIGINT, twice: bool = False, cluster: str = "", seed: int = 6
) -> Figures:
    """One signal or two while a campaign flies: exit code 130, the command that goes on, and it goes on."""
    name = signal.Signals(number).name
    figures, instants = (
        Figures(f"{name}{' twice' if twice else ''}{' with processes' if cluster else ''}"),
        random.Random(seed),
    )
    if signal.getsignal(number) is signal.SIG_IGN:  # of a job in the background, whose commands would ignore it, too
        signal.signal(number, signal.SIG_DFL)
    for _ in range(5 * count):
        if figures.tried == count:
            break
        with field_of(runs, cluster=cluster) as field:
            process = field.start()
            field.wait_for_journal(process)
            time.sleep(instants.uniform(0, 1.2))
            if process.poll() is not None:
                continue
            begun = time.monotonic()
            process.send_signal(number)
            if twice:
                time.sleep(instants.uniform(0.05, 0.5))
                if process.poll() is None:
                    process.send_signal(number)
                    begun = time.monotonic()
            code = process.wait(PATIENCE)
            seconds = time.monotonic() - begun
            if code == 0:
                continue  # it came too late
            figures.longest = max(figures.longest, seconds)
            lines = field.complaints(process)
            # Python ends itself by SIGINT where the second signal meets its own end; a shell tells 130 of both
            ended = code == 130 or (twice and code in (-number, -signal.SIGINT))
            problems = [] if ended else [f"exit code {code}"]
            problems += [] if seconds < (3 if twice else 10) else [f"{seconds:.1f} s"]
            if any(re.search("Traceback|Error", line) for line in lines):
                problems.append(" | ".join(lines)[:2000])
            if not any(f"mcrisk resume {field.store} goes on" in line for line in lines):
                problems.append(f"no resume command: {' | '.join(lines)}"[:2000])
            problems += field.peek()
            problems += field.finish("resume", str(field.store), "--backend", "cpu")
            figures.again += max(0, field.flown() - runs)
            figures.judge(problems)
    if figures.tried < count:
        figures.judge([f"{count - figures.tried} commands ended before their signal"])
    return figures


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("count", "runs", "cluster"),
    [(1, 1500, ""), pytest.param(50, RUNS, "", marks=SLOW), pytest.param(20, RUNS, "processes", marks=SLOW)],
)
def test_a_killed_command_leaves_a_store_that_goes_on(count, runs, cluster):
    figures = kill_of_clients(count, runs, cluster)

    assert figures.recovered == figures.tried >= count, str(figures)


@pytest.mark.parametrize("step", [27, pytest.param(1, marks=SLOW)])
def test_a_command_that_is_killed_at_a_file_call_leaves_a_store_that_goes_on(shim, step):
    figures = kill_at_every_file_call(step)

    assert figures.recovered == figures.tried > 50 // step, str(figures)


@pytest.mark.parametrize(
    ("number", "count", "runs", "cluster"),
    [
        (signal.SIGTERM, 1, FEW, ""),
        pytest.param(signal.SIGINT, 10, RUNS, "", marks=SLOW),
        pytest.param(signal.SIGTERM, 10, RUNS, "", marks=SLOW),
        pytest.param(signal.SIGINT, 5, RUNS, "processes", marks=SLOW),
    ],
)
def test_an_interrupted_command_ends_within_ten_seconds_and_tells_how_to_go_on(number, count, runs, cluster):
    figures = interruptions(count, runs, number, cluster=cluster)

    assert figures.recovered == figures.tried >= count, str(figures)


@pytest.mark.parametrize(("count", "runs"), [(1, FEW), pytest.param(10, RUNS, marks=SLOW)])
def test_a_second_interruption_ends_at_once(count, runs):
    figures = interruptions(count, runs, twice=True)

    assert figures.recovered == figures.tried >= count, str(figures)
