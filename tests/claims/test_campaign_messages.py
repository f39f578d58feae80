"""What a user reads after a mistake in a study, a store or an option: one message, its exit code, and nothing lost.

Each row is what is wrong, the command, the whole of stderr as a pattern, and the exit code. In every row stdout is
empty, nothing is flown, and the folder holds the same bytes before and after.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import pytest

import mcrisk
from mcrisk import cli, clusterfile, store
from mcrisk.backends.cpu import CpuBackend
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.store import JOURNAL

M = "generic_small"
HEAD = f'mission = "{M}"\n'
RANGE, THRUST = "altimeter.range_max", "propulsion.main.thrust"
AXIS = f'[axes]\n"{RANGE}" = '
TWO = AXIS + '["1 km", "2 km"]\n'
SPAN = '{ from = "1 km", to = "2 km"'
SAMPLED = '[sampling]\nmethod = "sobol"\npoints = 8\n'
AT = f"s.toml: axes: {RANGE}"
LENGTH = r'expected a length such as "3 km"'
LIST = r'expected a list such as \["1 km", "3 km"\], or \{ from = "1 km", to = "3 km", points = 5 \}'
REQUIRE = ("--require", "success >= 0.5 @ 0.9")
FORM = (
    r'expected "success", "outcome NAME", "METRIC < VALUE UNIT" or "METRIC > VALUE UNIT", then ">= P @ CONFIDENCE", '
    r'such as "success >= 0.99 @ 0.90"'
)
SECONDS = 10.0  # [s] that no refusal takes on a busy machine; most take a hundredth of it

# ------------------------------------------------------------------------------------------------------------- helpers


@pytest.fixture
def mcrisk_(monkeypatch, capsys):
    """mcrisk_("run", ...) -> exit code, stdout, stderr."""
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["mcrisk", *map(str, arguments)])
        code = cli.main()
        out, err = capsys.readouterr()
        return code, out, err

    yield call
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def no_flights(monkeypatch):
    """A list of what was flown all the same."""
    flown = []

    def refuse(*arguments):
        flown.append(arguments)
        raise AssertionError("a run was flown")

    monkeypatch.setattr(CpuBackend, "run", refuse)
    return flown


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Folders of campaigns: `whole`, `other` (another seed), `swept` (two designs), `part` (half flown), `none`."""
    folder = tmp_path_factory.mktemp("stores")
    mcrisk.run(M, runs=64, keep="all", out=folder / "whole")
    mcrisk.run(M, runs=64, seed=5, out=folder / "other")
    mcrisk.sweep(M, {RANGE: ["2 km", "3 km"]}, runs=16, out=folder / "swept")
    shutil.copytree(folder / "whole", folder / "part")
    for name in ("results.nc", "all.nc"):
        (folder / "part" / name).unlink()
    _ask(folder / "part" / JOURNAL, 128)
    shutil.copytree(folder / "part", folder / "none")
    shutil.rmtree(folder / "none" / "records")
    _sql(folder / "none" / JOURNAL, "DELETE FROM batches", "DELETE FROM sums")
    return folder


def _ask(journal, runs):
    """Note in a journal that so many runs were asked for at last."""
    with sqlite3.connect(journal) as connection:
        statement, planned, goal = connection.execute("SELECT statement, planned, goal FROM campaign").fetchone()
        goal = json.dumps(json.loads(goal) | {"runs": runs}, sort_keys=True)
        seal = store._sealed(statement, planned, goal)
        connection.execute("UPDATE campaign SET goal = ?, checksum = ?", (goal, seal))
    connection.close()


def _sql(journal, *statements):
    with sqlite3.connect(journal) as connection:
        for one in statements:
            connection.execute(one)
    connection.close()


def held():
    """Every file of the working folder with the digest of its bytes, and every folder."""
    found = {}
    for path in sorted(Path().rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if plain else "-"
    return found


def check(mcrisk_, flown, command, message, code):
    """The command refuses with just this message; nothing is written, flown or lost."""
    before, started = held(), time.monotonic()
    found, out, err = mcrisk_(*command)

    assert (found, out) == (code, "")
    assert "Traceback" not in err
    assert re.fullmatch(f"{message}\n", err), err
    assert flown == []
    assert held() == before
    assert time.monotonic() - started < SECONDS


# ------------------------------------------------------------------------------------------------------------- studies

STUDIES = [
    ("unknown key", HEAD + "axis = 3", "s.toml: unknown key 'axis'; did you mean 'axes'."),
    ("another unknown key", HEAD + "run = 3", "s.toml: unknown key 'run'; did you mean 'runs'."),
    ("runs is a text", HEAD + 'runs = "9"', 's.toml: runs: expected a whole number from 1 to 1e12, got "9"'),
    ("runs is a fraction", HEAD + "runs = 1e4", "s.toml: runs: expected a whole number from 1 to 1e12, got 10000.0"),
    ("runs is negative", HEAD + "runs = -4", "s.toml: runs: expected a whole number from 1 to 1e12, got -4"),
    ("no runs", HEAD + "runs = 0", "s.toml: runs: expected a whole number from 1 to 1e12, got 0"),
    (
        "too many runs",
        HEAD + "runs = 10000000000000",
        "s.toml: runs: expected a whole number from 1 to 1e12, got 10000000000000",
    ),
    ("seed is negative", HEAD + "seed = -1", r"s.toml: seed: expected a whole number from 0 to 2\^64 - 1, got -1"),
    (
        "huge seed",
        HEAD + "seed = 18446744073709551616",
        r"s.toml: seed: expected a whole number from 0 to 2\^64 - 1, got 18446744073709551616",
    ),
    ("number of digits", HEAD + "runs = " + "9" * 5000, "s.toml: expected numbers of ordinary size, got one of .*"),
    ("title is a number", HEAD + "title = 3", "s.toml: title: expected a text, got 3"),
    ("axes is a list", HEAD + 'axes = ["a"]', r"s.toml: axes: expected a table \[axes\], got \['a'\]"),
    ("axes is an array", HEAD + "[[axes]]\na = 1", r"s.toml: axes: expected a table \[axes\], got \[\{'a': 1\}\]"),
    ("empty axis", HEAD + AXIS + "[]", rf"{AT}: {LIST}, got \[\]"),
    ("axis is a value", HEAD + AXIS + '"3 km"', f'{AT}: {LIST}, got "3 km"'),
    ("NaN", HEAD + AXIS + '["1 km", nan]', f's.toml: {RANGE}: expected a finite number: a length such as "3 km", .*'),
    ("infinite", HEAD + AXIS + '["inf km"]', f's.toml: {RANGE}: expected a finite number: .*, got "inf km"'),
    ("wrong unit", HEAD + AXIS + '["3 kg", "2 km"]', f's.toml: {RANGE}: {LENGTH}, got "3 kg"'),
    ("no unit", HEAD + AXIS + "[3000, 2000]", f's.toml: {RANGE}: {LENGTH}, got "3000" without a unit\n.*"2000".*'),
    ("a range without units", HEAD + AXIS + "{ from = 1, to = 2, points = 3 }", rf'{AT}: {LENGTH}, got "1" without .*'),
    ("list in a list", HEAD + AXIS + '[["3 km"]]', rf"s.toml: {RANGE}: {LENGTH}, got \['3 km'\]"),
    ("true", HEAD + AXIS + "[true]", f"s.toml: {RANGE}: {LENGTH}, got true"),
    ("unknown path", HEAD + '[axes]\n"altimiter.range_max" = ["1 km"]', f"s.toml: unknown .*did you mean '{RANGE}'."),
    ("out of range", HEAD + AXIS + '["-1 km", "3 km"]', f's.toml: {RANGE}: expected more than 0 m, got "-1 km"'),
    (
        "one wrong value of a large grid",
        HEAD + AXIS + f'["1 km", "1 kg"]\n"{THRUST}" = {{ from = "3 kN", to = "4 kN", points = 40000 }}',
        f's.toml: {RANGE}: {LENGTH}, got "1 kg"',
    ),
    (
        "many wrong values",
        HEAD + AXIS + str([f"{number} kg" for number in range(1, 60)]),
        "\n".join(rf's.toml: {RANGE}: {LENGTH}, got "{number} kg"' for number in range(1, 11)),
    ),
    (
        "a value twice",
        HEAD + AXIS + '["1 km", "1000 m"]',
        "s.toml: axes: expected each value of an axis once, .* twice",
    ),
    (
        "a range from a value to itself",
        HEAD + AXIS + '{ from = "1 km", to = "1 km", points = 3 }',
        f"{AT}: expected two .*",
    ),
    (
        "a range without an end",
        HEAD + AXIS + '{ from = "1 km", points = 3 }',
        f"{AT}: expected both from and to, got .*",
    ),
    ("points alone", HEAD + AXIS + "{ points = 3 }", f"{AT}: expected both from and to, got points"),
    ("points missing", HEAD + AXIS + SPAN + "}", f"{AT}.points: expected how many, got nothing; write points = 5"),
    ("one point", HEAD + AXIS + SPAN + ", points = 1 }", f"{AT}.points: expected a whole number of at least 2, got 1"),
    (
        "10^9 points",
        HEAD + AXIS + SPAN + ", points = 1000000000 }",
        f"{AT}.points: expected at most 100000 design points, got 1000000000",
    ),
    (
        "10^9 points of a grid",
        HEAD
        + "[axes]\n"
        + "".join(
            f'"{path}" = {{ from = "1 {unit}", to = "2 {unit}", points = 1000 }}\n'
            for path, unit in ((RANGE, "km"), (THRUST, "kN"), ("limits.tilt", "deg"))
        ),
        "s.toml: axes: expected at most 100000 design points, got 1000000000",
    ),
    (
        "unknown spacing",
        HEAD + AXIS + SPAN + ', points = 3, spacing = "cubic" }',
        f"{AT}.spacing: expected linear or .*",
    ),
    (
        "log from zero",
        HEAD + '[axes]\n"altimeter.bias" = { from = "0 m", to = "1 m", points = 3, spacing = "log" }',
        's.toml: axes: altimeter.bias: expected ends above zero for log spacing, got "0 m" to "1 m"',
    ),
    (
        "a range of choices",
        HEAD + '[axes]\n"guidance.cutoff" = { from = "contact", to = "height", points = 3 }',
        's.toml: axes: guidance.cutoff: expected a list of values: a range needs numbers, got "contact"',
    ),
    (
        "a path in axes and zip",
        HEAD + TWO + f'[zip.a]\n"{RANGE}" = ["2 km"]',
        f"s.toml: axes: .* once, got {RANGE} twice",
    ),
    ("a path in two zips", HEAD + f'[zip.a]\n"{RANGE}" = ["2 km"]\n[zip.b]\n"{RANGE}" = ["3 km"]', f".*{RANGE} twice"),
    (
        "a path in a design and an axis",
        HEAD + TWO + f'[designs.a]\n"{RANGE}" = "3 km"\n[designs.b]',
        f".*{RANGE} twice",
    ),
    (
        "a vector and its component",
        HEAD + '[axes]\n"vehicle.cg_dry_B" = ["0 0 0.9 m"]\n"vehicle.cg_dry_B.z" = ["1 m"]',
        "s.toml: axes: expected each path and name once, got vehicle.cg_dry_B and vehicle.cg_dry_B.z",
    ),
    (
        "zip of unequal lists",
        HEAD + f'[zip.a]\n"{RANGE}" = ["1 km"]\n"{THRUST}" = ["2 kN", "3 kN"]',
        f"s.toml: zip.a: expected lists of one length, got {RANGE}: 1, {THRUST}: 2",
    ),
    ("empty zip", HEAD + "[zip.a]", r"s.toml: zip.a: expected a table \[zip.a\] of lists by path, got nothing in it"),
    (
        "zip without a name",
        HEAD + f'[zip]\n"{RANGE}" = ["1 km"]',
        "s.toml: zip.altimeter.range_max: expected a table .*",
    ),
    (
        "zip of a range",
        HEAD + f'[zip.a]\n"{RANGE}" = {SPAN}, points = 3 }}',
        rf's.toml: zip.a: {RANGE}: expected a list such as \["1 km", "3 km"\], got a table',
    ),
    (
        "more axes than a dataset has dimensions",
        HEAD + "[axes]\n" + "".join(f'"x{k}" = [1]\n' for k in range(3000)),
        r"s.toml: axes: expected at most 32, got 3000; let paths change together in \[zip.NAME\], or spread .*",
    ),
    (
        "zip called as the dataset",
        HEAD + f'[zip.outcome]\n"{RANGE}" = ["1 km", "2 km"]',
        "s.toml: zip.outcome: expected a name that no dataset has already, got 'outcome'; choose another",
    ),
    ("zip called mission", HEAD + f'[zip.mission]\n"{RANGE}" = ["1 km", "2 km"]', "s.toml: zip.mission: expected a .*"),
    (
        "zip name with an escape",
        HEAD + f'[zip."a\\u001b[31m"]\n"{RANGE}" = ["1 km"]',
        r"s.toml: zip: .*, got \"a\\x1b\[31m\"",
    ),
    ("design name with an escape", HEAD + '[designs."a\\u001b[31m"]', r"s.toml: designs: .*, got \"a\\x1b\[31m\""),
    ("design name with =", HEAD + '[designs."a=b"]', 's.toml: designs: expected names of letters, .*, got "a=b"'),
    ("design name as a path", HEAD + '[designs."../a"]', 's.toml: designs: expected names of letters, .*, got "../a"'),
    ("design is a number", HEAD + "[designs]\na = 3", r"s.toml: designs.a: expected a table \[designs.a\], got 3"),
    (
        "unknown path in a design",
        HEAD + '[designs.a]\n"altimiter.range_max" = "1 km"\n[designs.b]',
        "s.toml: unknown .*",
    ),
    ("sampling a list", HEAD + TWO + SAMPLED, rf"{AT}: expected a range \{{ from .*, got \['1 km', '2 km'\]"),
    (
        "no points to sample",
        HEAD + AXIS + SPAN + "}\n" + SAMPLED.replace("8", "0"),
        "s.toml: sampling.points: expected a whole number from 1 to 100000, got 0",
    ),
    (
        "unknown method",
        HEAD + AXIS + SPAN + "}\n" + SAMPLED.replace("sobol", "sobel"),
        "s.toml: sampling.method: expected sobol or latin_hypercube, got \"sobel\"; did you mean 'sobol'.",
    ),
    (
        "empty sampling",
        HEAD + AXIS + SPAN + "}\n[sampling]",
        "s.toml: sampling.method: expected sobol or .*, got nothing",
    ),
    ("nothing to sample", HEAD + SAMPLED, r"s.toml: sampling: expected ranges to sample in \[axes\], got none"),
    (
        "thousands of unknown ranges",
        HEAD + "[axes]\n" + "".join(f'"x{k}" = {{ from = 1, to = 2 }}\n' for k in range(9000)) + SAMPLED,
        r"(s.toml: axes: unknown parameter 'x\d'; .*\n?){10}",
    ),
    (
        "all designs impossible",
        HEAD + f'[axes]\n"{THRUST}" = ["1 kN", "0.5 kN"]',
        "s.toml: none of 2 designs can fly; the first of them is generic_small: thrust at ignition 1000 N is .*",
    ),
    ("no mission", TWO, r's.toml: missions: expected one list such as missions = \["hakuto_r_m2"\], got nothing'),
    ("empty file", "", r"s.toml: missions: expected one list such as .*, got nothing"),
    ("mission and missions", HEAD + f'missions = ["{M}"]', "s.toml: missions: .*, got both mission and missions"),
    ("missions is a text", f'missions = "{M}"', f's.toml: missions: expected one list such as .*, got "{M}"'),
    ("a mission twice", f'missions = ["{M}", "{M}"]', f"s.toml: missions: expected each mission once, got {M}, {M}"),
    ("unknown mission", 'mission = "generic_smal"', f"s.toml: missions: no mission called .*did you mean '{M}'."),
    (
        "mission file missing",
        'mission = "no/x.toml"',
        "s.toml: missions: no/x.toml: expected a TOML file, got no such file",
    ),
    (
        "mission outside",
        'mission = "../../etc/passwd"',
        "s.toml: missions: '../../etc/passwd': expected a TOML file .*",
    ),
    ("mission with NUL", 'mission = "a\\u0000b"', r"s.toml: missions: 'a\\x00b': expected a path or a name"),
    ("the study as its mission", 'mission = "s.toml"', "s.toml: missions: expected missions, got this study itself"),
    (
        "a mission",
        f'base = "{M}"\n[altimeter]\nrange_max = "3 km"',
        "s.toml: expected a study, got a mission; fly it: mcrisk run s.toml",
    ),
    ("binary", bytes(range(256)), "s.toml: expected UTF-8 text, got other bytes at position 128"),
    ("UTF-16", HEAD.encode("utf-16"), "s.toml: expected UTF-8 text, got other bytes at position 0"),
    (
        "byte order mark",
        b"\xef\xbb\xbf" + HEAD.encode() + b"run = 3",
        "s.toml: unknown key 'run'; did you mean 'runs'.",
    ),
    ("CRLF", HEAD.encode().replace(b"\n", b"\r\n") + b"run = 3", "s.toml: unknown key 'run'; did you mean 'runs'."),
    ("NUL", HEAD + 'title = "a\0b"', r"s.toml:2: expected TOML, got illegal character '\\x00'"),
    ("1 MB", HEAD + "#" + "x" * 1_000_000, "s.toml: expected at most 1000000 bytes, got 1000027 bytes"),
    ("deep nesting", HEAD + AXIS + "[" * 900 + "]" * 900, "s.toml: expected TOML tables a few levels deep, .*"),
    ("20 levels", HEAD + AXIS + "[" * 30 + "]" * 30, "s.toml: expected TOML tables a few levels deep, .*"),
    (
        "a key twice",
        HEAD + "runs = 3\nruns = 4\n",
        "s.toml:3: expected each key and table once, got one stated twice .*",
    ),
]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in STUDIES], ids=[row[0] for row in STUDIES])
def test_a_wrong_study_is_one_message_at_once(mcrisk_, no_flights, tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_bytes(text if isinstance(text, bytes) else text.encode())

    check(mcrisk_, no_flights, ["sweep", "s.toml"], f"mcrisk: {message}", 2)


def _fifo():
    os.mkfifo("s.toml")


def _study(text=HEAD + TWO):
    Path("s.toml").write_text(text)


NAMES = [
    ("no file", None, ["sweep", "s.toml"], "s.toml: expected a TOML file, got no such file"),
    ("folder", lambda: Path("s.toml").mkdir(), ["sweep", "s.toml"], "s.toml: expected a TOML file, got a folder"),
    ("pipe", _fifo, ["sweep", "s.toml"], "s.toml: expected a TOML file, got a pipe or device"),
    ("unknown name", None, ["sweep", "resilience_range_and_thrus"], "no study called .*did you mean 'resilience.*"),
    ("name of a mission", None, ["sweep", M], f"'{M}': expected a study, got a mission; fly it: mcrisk run {M}"),
    (
        "a file without .toml",
        lambda: Path("s.csv").touch(),
        ["sweep", "s.csv"],
        "'s.csv': expected a study file .*, got a file; .*",
    ),
    ("study to run", _study, ["run", "s.toml"], "s.toml: expected a mission, got a study; fly it: mcrisk sweep s.toml"),
    (
        "study to check",
        _study,
        ["check", "s.toml"],
        "s.toml: expected a mission, got a study; fly it: mcrisk sweep s.toml",
    ),
    (
        "study name to run",
        None,
        ["run", "resilience_range_and_thrust"],
        "resilience_.*: expected a mission, got a study; .*",
    ),
    (
        "study name to show",
        None,
        ["show", "resilience_range_and_thrust"],
        "'resilience.*': expected a folder .*, got a study; .*",
    ),
    (
        "--set of an axis",
        _study,
        ["sweep", "s.toml", "--set", f"{RANGE}=3 km"],
        f"--set: expected no path of an axis of s.toml, got {RANGE}; change it in the study",
    ),
]


@pytest.mark.parametrize(("prepare", "command", "message"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_what_is_no_study_is_told_as_what_it_is(mcrisk_, no_flights, tmp_path, monkeypatch, prepare, command, message):
    monkeypatch.chdir(tmp_path)
    if prepare:
        prepare()

    check(mcrisk_, no_flights, command, f"mcrisk: {message}", 2)


# ------------------------------------------------------------------------------------------------------------- options

WIDTH = "precision: expected a width between 0 and 1, such as 1 %, got"
NUMBER = "expected a whole number such as 10000 or 1e6, got"
ADDRESS = "--cluster: expected an address"
PORT = f"{ADDRESS} with a port, such as tcp://127.0.0.1:8786, got"
TIME = 'timeout: expected a time above zero, such as 90 or "2 h", got'

FLYING = [
    (["--runs", "0"], "runs: expected a whole number of at least 1, got 0"),
    (["--runs", "-1"], "runs: expected a whole number of at least 1, got -1"),
    (["--runs", "1e13"], r"runs: expected at most 1e12, got 1e\+13"),
    (["--runs", "abc"], f"runs: {NUMBER} 'abc'"),
    (["--seed", "-1"], r"seed: expected 0 .. 2\^64 - 1, got -1"),
    (["--precision", "0"], f"{WIDTH} 0"),
    (["--precision", "2"], f"{WIDTH} 2"),
    (["--precision", "nan"], f"{WIDTH} nan"),
    (["--precision", "abc"], f"{WIDTH} 'abc'"),
    (["--precision", "1 km"], f"{WIDTH} '1 km'"),
    (["--timeout", "0"], f"{TIME} '0'"),
    (["--timeout", "-1"], f"{TIME} '-1'"),
    (["--timeout", "nan"], f"{TIME} 'nan'"),
    (["--timeout", "abc"], 'timeout: expected a time such as "310 s", got "abc"; .*'),
    (["--timeout", "3 km"], 'timeout: expected a time such as "310 s", got "3 km"'),
    (["--keep", "al"], "keep: expected none or losses or all, got 'al'"),
    (["--keep", "all", "--runs", "1e9"], "keep all: expected records of at most 4 GiB, got .* GiB; keep losses, .*"),
    (["--backend", "gpuu"], "backend: expected auto or cpu or gpu, got 'gpuu'; did you mean 'gpu'."),
    (["--out", ""], "--out: expected a folder, got nothing"),
    (["--out", "s.toml"], "s.toml: expected a folder, got a file; choose another --out"),
    (["--cluster", "nosuch"], "no cluster called 'nosuch'; shipped: .*"),
    (["--cluster", "tcp://"], f"{ADDRESS} such as tcp://127.0.0.1:8786, got 'tcp://'"),
    (["--cluster", "http://x:1"], f"{ADDRESS} such as tcp://127.0.0.1:8786, got 'http://x:1'"),
    (["--cluster", "127.0.0.1:8786"], f"{ADDRESS} such as tcp://127.0.0.1:8786, got '127.0.0.1:8786'"),
    (["--cluster", "tcp://127.0.0.1"], f"{PORT} 'tcp://127.0.0.1'"),
    (["--cluster", "tcp://127.0.0.1:99999"], f"{PORT} 'tcp://127.0.0.1:99999'"),
    (["--cluster", "tcp://a b:1"], f"{PORT} 'tcp://a b:1'"),
    (["--cluster", "tcp://a\x1b[31m:1"], rf"{PORT} 'tcp://a\\x1b\[31m:1'"),
    (
        ["--cluster", "foo.json"],
        "--cluster: expected the scheduler file that `dask scheduler` wrote, got no file 'foo.json'",
    ),
    (["--cluster", "foo.toml"], "foo.toml: expected a TOML file, got no such file"),
    (["--cluster", M], f"no cluster called '{M}'; shipped: .*"),
    (["--cluster", "m.toml"], "m.toml: unknown key 'base'; known: .*"),
]


@pytest.mark.parametrize(("options", "message"), FLYING, ids=[" ".join(row[0])[:40] for row in FLYING])
def test_a_wrong_option_of_a_flight_is_one_message(mcrisk_, no_flights, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    _study()
    Path("m.toml").write_text(f'base = "{M}"\n')

    check(mcrisk_, no_flights, ["sweep", "s.toml", *options], f"mcrisk: {message}", 2)


def test_a_scheduler_that_does_not_answer_is_told_and_leaves_a_resumable_store(
    mcrisk_, no_flights, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mcrisk.cluster.CONNECT_SECONDS", 1.0)
    code, out, err = mcrisk_("run", M, "--runs", "64", "--out", "x", "--cluster", "tcp://127.0.0.1:1")

    assert (code, out) == (4, "")
    assert re.search(
        r"\nmcrisk: --cluster tcp://127.0.0.1:1: expected a dask scheduler that answers, got .*; start one", err
    )
    assert "Traceback" not in err
    assert not no_flights
    assert mcrisk_("resume", "x", "--cluster", "nosuch")[0] == 2
    with store.Store.read(Path("x")) as found:
        assert found.goal.runs == 64


# -------------------------------------------------------------------------------------------------------------- stores

NO_JOURNAL = "x: expected a folder of results, got one without journal.sqlite"
DAMAGED = "the file is damaged: move the folder away and run the campaign again"
FOREIGN = "x/journal.sqlite: expected a journal of version 2, got another database; .*"
J = Path("x") / JOURNAL
RESULTS = Path("x/results.nc")
READERS = {
    "show": ["show", "x"],
    "replay": ["replay", "x", "--run", "1"],
    "export": ["export", "x", "--csv", "a.csv"],
    "compare": ["compare", "x", M],
    "verify": ["verify", "x", *REQUIRE],
    "resume": ["resume", "x"],
    "run": ["run", M, "--runs", "128", "--out", "x"],
}
NEITHER = f"'x': expected a folder of results, or a mission, got no such folder and no such mission; missions: .*{M}.*"
A_FILE = "'x': expected a folder of results, or a mission, got a file; .*"


def _another_host():
    (J.parent / "lock").write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "2026-01-01"}))


def _sqlite(*statements):
    return lambda: _sql(J, *statements)


def _foreign():
    J.unlink()
    _sql(J, "CREATE TABLE t (a)")


def _torn(path, size):
    return lambda: path.write_bytes(path.read_bytes()[:size])


def _without(path):
    return lambda: path.unlink()


def _folder(path):
    def make():
        path.unlink(missing_ok=True)
        path.mkdir()

    return make


BROKEN = [  # what is wrong, the store it is made of, how, who refuses it, the message, the exit code
    ("missing", "", None, "show replay export compare verify", NEITHER, 2),
    ("missing", "", None, "resume", "x: expected a folder of results, got no such folder", 2),
    ("a file", "", lambda: Path("x").touch(), "show replay export compare verify", A_FILE, 2),
    ("a file", "", lambda: Path("x").touch(), "resume", "x: expected a folder of results, got a file", 2),
    ("a file", "", lambda: Path("x").touch(), "run", "x: expected a folder, got a file; choose another --out", 2),
    (
        "empty folder",
        "",
        lambda: Path("x").mkdir(),
        "show replay export",
        "x/results.nc: expected a results .*, got none",
        2,
    ),
    ("empty folder", "", lambda: Path("x").mkdir(), "compare verify resume", NO_JOURNAL, 2),
    (
        "no journal",
        "whole",
        _without(J),
        "compare verify resume",
        "x: expected a folder with journal.sqlite, got results.nc without it; run its mission again; mcrisk show x .*",
        2,
    ),
    (
        "older journal",
        "part",
        _sqlite("PRAGMA user_version = 1"),
        "show replay export compare verify resume run",
        "x/journal.sqlite: expected a journal of version 2, got version 1; .*",
        2,
    ),
    (
        "newer journal",
        "part",
        _sqlite("PRAGMA user_version = 9"),
        "show resume run",
        "x/journal.sqlite: expected a journal of version 2, got version 9; .*",
        2,
    ),
    ("empty journal", "part", _torn(J, 0), "show replay export compare verify resume", "x/journal.sqlite: .*", 2),
    (
        "torn journal",
        "part",
        _torn(J, 9000),
        "show replay export compare verify resume run",
        f"x/journal.sqlite: .*; {DAMAGED}",
        4,
    ),
    (
        "garbage",
        "part",
        lambda: J.write_bytes(b"garbage " * 900),
        "show replay export compare verify resume run",
        f"x/journal.sqlite: file is not a database; {DAMAGED}",
        4,
    ),
    ("another program's", "part", _foreign, "show replay export compare verify resume run", FOREIGN, 2),
    (
        "statement changed",
        "part",
        _sqlite("UPDATE campaign SET statement = replace(statement, 'generic', 'genetic')"),
        "show replay export compare verify resume run",
        f"x/journal.sqlite: .*; {DAMAGED}",
        4,
    ),
    ("no statement", "part", _sqlite("DELETE FROM campaign"), "show resume run", f"x/journal.sqlite: .*; {DAMAGED}", 4),
    ("no Params", "part", _sqlite("DELETE FROM params"), "show resume run", f"x/journal.sqlite: .*; {DAMAGED}", 4),
    (
        "journal is a folder",
        "part",
        _folder(J),
        "run",
        "x/journal.sqlite: expected a file, or nothing, got a folder; .*",
        2,
    ),
    (
        "results are a folder",
        "part",
        _folder(RESULTS),
        "run resume",
        "x/results.nc: expected a file, .*, got a folder; .*",
        2,
    ),
    (
        "lock is a folder",
        "part",
        _folder(Path("x/lock")),
        "run resume",
        "x/lock: expected a file, .*, got a folder; .*",
        2,
    ),
    (
        "records are a folder",
        "part",
        _folder(Path("x/all.nc")),
        "resume",
        "x/all.nc: expected a file, .*; move it away",
        2,
    ),
    (
        "torn results alone",
        "whole",
        lambda: (_torn(RESULTS, 5000)(), J.unlink()),
        "show replay export",
        r"x/results.nc: not a complete results file \(.*\); run the campaign again",
        4,
    ),
    (
        "results of another program",
        "",
        lambda: (Path("x").mkdir(), RESULTS.write_bytes(b"other")),
        "run",
        "x/results.nc: expected whole results of this campaign, or none, got another file; move it away, or .*",
        2,
    ),
    (
        "another campaign",
        "other",
        None,
        "run",
        "x: expected campaign [0-9a-f]{8}, got results of [0-9a-f]{8}; choose .*",
        2,
    ),
    ("half of another campaign", "other", _without(RESULTS), "run", "x: expected campaign .*; choose another --out", 2),
    ("another seed", "other", None, "compare", f"{M}: seed: expected 5, as the first, got 0; give seed 5", 2),
    (
        "lock of another host",
        "part",
        _another_host,
        "verify",
        "x: expected a folder that nobody else writes to, got process 7 on elsewhere .*",
        2,
    ),
    ("nothing flown", "none", None, "verify", f"x: expected runs to judge, got none of {M}; resume it first", 2),
]
ROWS = [(name, *row[1:3], who, *row[4:]) for row in BROKEN for name in [row[0]] for who in row[3].split()]


@pytest.mark.parametrize(
    ("kind", "prepare", "who", "message", "code"),
    [row[1:] for row in ROWS],
    ids=[f"{row[0]}: {row[3]}" for row in ROWS],
)
def test_a_broken_store_is_one_message_and_stays_as_it_is(
    mcrisk_, no_flights, stores, tmp_path, monkeypatch, kind, prepare, who, message, code
):
    monkeypatch.chdir(tmp_path)
    if kind:
        shutil.copytree(stores / kind, "x")
    if prepare:
        prepare()

    check(mcrisk_, no_flights, READERS[who], f"mcrisk: {message}", code)


@pytest.mark.parametrize("who", ["run", "resume", "verify"])
def test_a_store_that_another_process_writes_is_left_to_it(mcrisk_, no_flights, stores, tmp_path, monkeypatch, who):
    """The system's lock decides; `run` and `resume` have told before where they wanted to write."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "part", "x")
    with Path("x/lock").open("w") as lock:
        json.dump({"host": socket.gethostname(), "pid": 99, "since": "now"}, lock)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        message = (
            "mcrisk: x: expected a folder that nobody else writes to, got process 99 on .* since now; wait for it.*"
        )

        check(mcrisk_, no_flights, READERS[who], f"(.*, into x\n)?{message}", 2)


@pytest.mark.parametrize("who", ["run", "resume"])
def test_a_lock_of_another_host_is_broken_by_force_lock_alone(mcrisk_, no_flights, stores, tmp_path, monkeypatch, who):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "part", "x")
    _another_host()

    check(mcrisk_, no_flights, READERS[who], "(.*, into x\n)?mcrisk: x: .*process 7 on elsewhere .*--force-lock.*", 2)


@pytest.mark.parametrize("change", [_torn(RESULTS, 5000), lambda: RESULTS.write_bytes(b"garbage " * 900)])
def test_damaged_results_are_made_again_from_a_whole_journal(
    mcrisk_, no_flights, stores, tmp_path, monkeypatch, change
):
    """Without flying one run."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "whole", "x")
    before = held()
    change()

    assert mcrisk_("show", "x")[0] == 0
    assert mcrisk_("resume", "x")[0] == 0
    assert held().keys() == before.keys()
    assert no_flights == []


@pytest.mark.parametrize("change", [RESULTS.unlink, lambda: shutil.copy("x/all.nc", RESULTS)])
def test_figures_of_all_runs_are_not_called_provisional(mcrisk_, no_flights, stores, tmp_path, monkeypatch, change):
    """Where results.nc is gone, or another file lies in its place, the journal has what it was made from."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "whole", "x")
    expected = json.loads(mcrisk_("show", "x", "--json")[1])["cases"]
    change()
    code, out, err = mcrisk_("show", "x", "--json")
    told = json.loads(out)

    assert (code, err) == (0, "")
    assert (told["complete"], told["cases"]) == (True, expected)
    assert no_flights == []


@pytest.mark.parametrize("options", [[], ["--runs", "16"]])
def test_resuming_what_is_finished_returns_at_once(mcrisk_, no_flights, stores, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "whole", "x")
    before = held()
    code, out, err = mcrisk_("resume", "x", *options)

    assert code == 0
    assert "64 of 64 runs land" in out
    assert err == "x has 64 runs of this campaign already\n"
    assert held() == before
    assert no_flights == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "x"], "64 of 128 runs flown: the figures are provisional; mcrisk resume x goes on"),
        (["export", "x", "--csv", "a.csv"], "written: a.csv"),
        (["verify", "x", *REQUIRE], ""),
        (["compare", "x", "y"], ""),
    ],
)
def test_an_interrupted_campaign_is_read_as_far_as_it_goes(
    mcrisk_, no_flights, stores, tmp_path, monkeypatch, command, words
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "part", "x")
    shutil.copytree(stores / "part", "y")
    code, _, err = mcrisk_(*command)

    assert code == 0
    assert words in err
    assert no_flights == []


# --------------------------------------------------------------------------------------------- questions about results

MISUSE = [
    (["resume", "x", "--runs", "0"], "runs: expected a whole number of at least 1, got 0"),
    (["resume", "x", "--runs", "-16"], "runs: expected a whole number of at least 1, got -16"),
    (["resume", "x", "--runs", "1e13"], r"runs: expected at most 1e12, got 1e\+13"),
    (["resume", "x", "--precision", "2"], f"{WIDTH} 2"),
    (["resume", "x", "--cluster", "nosuch"], "no cluster called 'nosuch'; .*"),
    (["resume", "x/results.nc"], "x/results.nc: expected a folder of results, got a file; name the folder x"),
    (["resume", M], f"{M}: expected a folder of results, got no such folder"),
    (["resume", ""], "DIR: expected a folder of results, got nothing"),
    (["replay", "x", "--run", "1", "--case", "1"], "--case: expected 0, for there is one case, got '1'"),
    (["replay", "swept", "--run", "1", "--case", "2"], "--case: expected a number from 0 to 1, got '2'"),
    (["replay", "x", "--run", "1", "--case", "x"], f"case: {NUMBER} 'x'"),
    (["replay", "swept", "--run", "1", "--case", "-1"], "--case: expected a number from 0 to 1, got '-1'"),
    (
        ["replay", "x", "--run", "1", "--out", "x/results.nc"],
        "--out: expected a file of its own, got 'x/results.nc', which belongs to a campaign",
    ),
    (["replay", "x", "--run", "1", "--out", "x"], "--out: expected a file name ending in .nc, got a folder, 'x'"),
    (["replay", "x", "--run", "1", "--out", "a\0b.nc"], r"--out: expected a file name ending in .nc, got 'a\\x00b.nc'"),
    (["replay", "x", "--run", "1e30"], r"--run: expected a number from 0 to 2\^63 - 1, got '1e30'"),
    (["replay", "x", "--run", "-1"], r"--run: expected a number from 0 to 2\^63 - 1, got '-1'"),
    (["replay", "x", "--run", "1.5"], f"run: {NUMBER} '1.5'"),
    (["replay", "x", "--run", "1", "--out", "a.txt"], "--out: expected a file name ending in .nc, got 'a.txt'"),
    (["replay", "x", "--run", "1", "--set", "limits.tilt=3 deg"], "--set: expected a mission, got a folder of results"),
    (["show", "x", "--set", "limits.tilt=3 deg"], "--set: expected a mission, got a folder of results"),
    (["show", "x", "--seed", "5"], "--seed: expected a mission, got a folder of results, which has its own"),
    (["show", "x/none.nc"], "x/none.nc: expected a results file of mcrisk, got none"),
    (
        ["show", "x/all.nc"],
        "x/all.nc: expected results of a campaign, got single runs; name the folder, or its results.nc",
    ),
    (["show", "x/journal.sqlite"], "'x/journal.sqlite': expected a folder of results, or a mission, got a file"),
    (["compare", M], "designs: expected at least two, got 1"),
    (["compare", "x"], "designs: expected at least two, got 1"),
    (["compare", "x", "x"], f"designs: expected names that differ, got 'x: {M}' 2 times"),
    (["compare", "x", "other"], "other: seed: expected 0, as the first, got 5; fly it with that seed"),
    (["compare", "x", M, "--seed", "7"], f"{M}: seed: expected 0, as the first, got 7; give seed 0"),
    (
        ["compare", M, "blue_ghost_m1", "--against", "nosuch"],
        f"against: expected one of {M}, blue_ghost_m1, got 'nosuch'",
    ),
    (["compare", "swept", "--examples", "-1"], "examples: expected a count, not negative, got -1"),
    (["compare", "swept", "--examples", "1e12"], "examples: expected at most 1000, got 1000000000000"),
    (["compare", "swept", "--runs", "0"], "runs: expected a whole number of at least 1, got 0"),
    (["compare", "swept", "--out", "y"], "--set and --out: expected missions to fly, got folders of results alone"),
    (["compare", *[M] * 60], "designs: expected at most 50 to compare all with all, got 60; .*"),
    (["compare", M, "blue_ghost_m1", "--out", "x"], "x: expected campaign .*, got results of .*; choose another --out"),
    (["verify", "x", "--require", ""], f'--require: {FORM}, got ""'),
    (["verify", "x", "--require", "success"], f'--require: {FORM}, got "success"; the probability is missing, .*'),
    (["verify", "x", "--require", "success >= 0.9"], f"--require: {FORM}, got .*; the confidence is missing, .*"),
    (
        ["verify", "x", "--require", "success >= 99 @ 0.9"],
        '--require: the probability after >=: .*, got "99"; write "99 %"',
    ),
    (["verify", "x", "--require", "outcome crash >= 0.9 @ 0.9"], "--require: unknown outcome 'crash'; write one of .*"),
    (
        ["verify", "x", "--require", "descent_rate < 2 >= 0.9 @ 0.9"],
        '--require: descent_rate: .*, got "2" without a unit',
    ),
    (["verify", "x", "--require", "descent_rate < 2 kg >= 0.9 @ 0.9"], '--require: descent_rate: .*, got "2 kg"'),
    (
        ["verify", "x", "--require", "success >= 0.9 @ 0.1"],
        "--require: the confidence after @: expected 0.5 or more, .*",
    ),
    (["verify", "x", "--require", "s" * 500], f"--require: {FORM}, got a text of 500 characters"),
    (["verify", "x"], 'requirement: expected one, or a table .*, got none; say --require "success >= 0.99 @ 0.90"'),
    (["verify", M, "--runs", "1e6"], "requirement: expected one, or a table .*, got none; say --require .*"),
    (["verify", "x", *REQUIRE, "--runs", "1e13"], r"runs: expected at most 1e12, got 1e\+13"),
    (["verify", "x", *REQUIRE, "--runs", "0"], "runs: expected a whole number of at least 1, got 0"),
    (
        ["verify", "x", *REQUIRE, "--set", "limits.tilt=3 deg"],
        "--set and --out: expected a mission to fly, got a folder .*",
    ),
    (
        ["verify", "x", *REQUIRE, "--final", "--runs", "96"],
        "--final: expected a number of runs fixed before any was seen, .*",
    ),
    (["export", "x"], "export: expected --csv FILE.csv, --netcdf FILE.nc or --mission FILE.toml, got none of them"),
    (["export", "x", "--csv", "a.txt"], "--csv: expected a file name ending in .csv, got 'a.txt'"),
    (["export", "x", "--netcdf", "a.csv"], "--netcdf: expected a file name ending in .nc, got 'a.csv'"),
    (
        ["export", "x", "--csv", "a.csv", "--netcdf", "b.csv"],
        "--netcdf: expected a file name ending in .nc, got 'b.csv'",
    ),
    (["export", "x", "--csv", ""], "--csv: expected a file name ending in .csv, got ''"),
    (["export", "x", "--csv", "x"], "--csv: expected a file name ending in .csv, got a folder, 'x'"),
    (
        ["export", "x", "--csv", "x/results.nc/a.csv"],
        "--csv: expected a file in a folder, got 'x/results.nc/a.csv'; .* is a file",
    ),
    (["export", "x", "--netcdf", "x/results.nc"], "--netcdf: expected a file of its own, got 'x/results.nc', which .*"),
    (
        ["export", "nosuch", "--csv", "a.csv"],
        "'nosuch': expected a folder of results, or a mission, got no such folder .*",
    ),
    (["export", M, "--csv", "a.csv"], f"{M}: no results in .*; run it first: mcrisk run {M}"),
]


@pytest.mark.parametrize(("command", "message"), MISUSE, ids=[" ".join(row[0])[:60] for row in MISUSE])
def test_a_wrong_question_about_results_is_one_message(
    mcrisk_, no_flights, stores, tmp_path, monkeypatch, command, message
):
    monkeypatch.chdir(tmp_path)
    for source, name in (("whole", "x"), ("other", "other"), ("swept", "swept")):
        shutil.copytree(stores / source, name)

    check(mcrisk_, no_flights, command, f"mcrisk: {message}", 2)


def test_a_final_look_after_another_is_refused_before_more_is_flown(mcrisk_, no_flights, stores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "whole", "x")
    require = ("--require", "success >= 0.999 @ 0.9")
    code, _, err = mcrisk_("verify", "x", *require)

    assert code == 3
    assert re.fullmatch(r"about that many runs would decide: mcrisk verify x --require '.* @ 0.9' --runs \d+\n", err)
    for more in ([], ["--runs", "96"]):
        message = "mcrisk: final: expected the first look, got a campaign looked at already after 64 runs; .*"
        check(mcrisk_, no_flights, ["verify", "x", *require, "--final", *more], message, 2)


def test_a_final_look_may_be_read_again(mcrisk_, no_flights, stores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stores / "whole", "x")
    first = mcrisk_("verify", "x", *REQUIRE, "--final")
    seen = held()

    assert first[0] == 0
    assert mcrisk_("verify", "x", *REQUIRE, "--final") == first
    assert held() == seen


# -------------------------------------------------------------------------------------------------------------- Python

CALLS = [
    (lambda: mcrisk.run(M, runs=16, cluster="nosuch"), "no cluster called 'nosuch'"),
    (lambda: mcrisk.run(M, runs=16, cluster=3), "cluster: expected a text"),
    (lambda: mcrisk.run(M, runs=16, cluster="tcp://127.0.0.1"), PORT),
    (lambda: mcrisk.run(M, runs=16, precision="1 km"), f'{WIDTH} "1 km"'),
    (lambda: mcrisk.run(M, runs=16, precision=2), WIDTH),
    (lambda: mcrisk.run(M, runs=0), "runs: expected a whole number of at least 1"),
    (lambda: mcrisk.run(M, runs=16, keep="al"), "keep: expected none or losses or all"),
    (lambda: mcrisk.sweep(M, designs={3: {RANGE: 2e3}}, runs=16), "designs: expected names of letters, .*, got 3"),
    (lambda: mcrisk.sweep(M, zipped={3: {RANGE: [2e3]}}, runs=16), "zip: expected names of letters, .*, got 3"),
    (lambda: mcrisk.sweep(M, {RANGE: ["3 kg"]}, runs=16), f"^{RANGE}: {LENGTH}"),
    (lambda: mcrisk.sweep(M, {RANGE: [3000.0, 3000.0]}, runs=16), "axes: expected each value of an axis once"),
    (
        lambda: mcrisk.sweep(M, {RANGE: {"from": 1.0, "to": 2.0, "points": 10**9}}, runs=16),
        "at most 100000 design points",
    ),
    (lambda: mcrisk.sweep(M, {RANGE: ["3 km"]}, designs={"a": {RANGE: "2 km"}, "b": {}}, runs=16), f"{RANGE} twice"),
]


@pytest.mark.parametrize(("call", "message"), CALLS)
def test_a_wrong_argument_in_python_is_refused_before_anything_is_flown(no_flights, call, message):
    with pytest.raises(MistakeError, match=message):
        call()

    assert no_flights == []


def test_numbers_of_a_program_are_si(no_flights):
    """A study file asks for units, a program need not state them."""
    from mcrisk.study import make_study

    assert [point.mission.value(RANGE) for point in make_study([mcrisk.load(M)], {RANGE: [2000, 3e3]}).points()] == [
        2e3,
        3e3,
    ]


def test_a_cluster_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    spec = clusterfile.parse_cluster({"kind": "slurm", "jobs": 1}, "c.toml")
    remedy = r"try MCRISK_EXTRAS=cluster ./scripts/mcrisk, or pip install 'mcrisk\[cluster\]'"
    with pytest.raises(InfrastructureError, match=rf"c.toml: kind slurm needs dask-jobqueue, .*; {remedy}"):
        spec.make(print)
