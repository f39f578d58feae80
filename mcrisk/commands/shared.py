"""What the commands share: how failures are told, options, how a user's texts are read, the answer on stdout."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TextIO

import typer

from mcrisk.errors import InfrastructureError, McriskError, MistakeError, command, visible
from mcrisk.ledger import count, runs_told

if TYPE_CHECKING:
    from rich.console import Console

    from mcrisk.mission import Mission

INVALID_SHARE = 1e-4  # of the runs: more than this fails the campaign, though its results are written
WRITING = {errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT, errno.EFBIG}  # of an output without a name
WIDTH = 120  # [column] of output that is no terminal
P = ParamSpec("P")


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """The command with every failure told in one message and turned into its exit code."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        code: int | None = 4
        try:
            code = command(*args, **kwargs)
            sys.stdout.flush()
        except McriskError as error:
            tell(f"mcrisk: {error}")
            code = error.exit_code
        except KeyboardInterrupt:
            tell("mcrisk: interrupted")
            code = 130
        except Exception as error:
            if os.environ.get("MCRISK_DEBUG"):
                raise
            if interruption(error):
                tell("mcrisk: interrupted")
                code = 130
            elif isinstance(error, OSError):
                code = failed_output(error)
            else:
                code = broken(error)
        raise typer.Exit(code or 0)

    return wrapper


def interruption(error: BaseException) -> bool:
    """Whether a failure only follows from an interruption, such as an import that was cut off."""
    before: BaseException | None = error
    while before is not None:
        if isinstance(before, KeyboardInterrupt):
            return True
        before = before.__cause__ or before.__context__
    return False


def broken(error: Exception) -> int:
    """The exit code where something failed that should not; memory that was not there is told as that."""
    if isinstance(error, MemoryError):
        tell(f"mcrisk: not enough memory{f' ({error})' if str(error) else ''}; what was flown is kept")
    else:
        kind = type(error).__name__
        tell(f"mcrisk: internal error ({kind}: {error}); MCRISK_DEBUG=1 shows where it happened")
    return InfrastructureError.exit_code


def failed_output(error: OSError) -> int:
    """The exit code where stdout takes no more, or another file that nothing else guards."""
    text = (error.strerror or str(error) or type(error).__name__).lower()
    if error.filename or not (isinstance(error, BrokenPipeError) or error.errno in WRITING):
        tell(f"mcrisk: {f'{error.filename}: ' if error.filename else ''}{text}")
        return InfrastructureError.exit_code
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # the reader has seen enough: `mcrisk params | head`
        return 0
    tell(f"mcrisk: standard output: {text}")
    return InfrastructureError.exit_code


def tell(text: str) -> None:
    """A line for people, on stderr; what would steer a terminal is shown as an escape."""
    with contextlib.suppress(OSError):  # nobody listens
        shown = "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
        print(shown, file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------------- options

MissionNames = Annotated[
    list[str],
    typer.Argument(metavar="MISSION", help="Mission files, or names of shipped ones: `show` alone lists them."),
]
Runs = Annotated[str, typer.Option("--runs", "-n", metavar="N", help="Runs per mission.")]
Seed = Annotated[str, typer.Option(metavar="S", help="Seed of the random worlds: 0 to 2^64 - 1.")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help='Change a value, as in --set propulsion.main.isp="320 s". Repeatable.'
    ),
]
Out = Annotated[
    str | None, typer.Option(metavar="DIR", help="Folder of the results; without it ./mcrisk-runs/<name>-<digest>.")
]
BackendName = Annotated[
    str, typer.Option(metavar="auto|cpu|gpu", help="Where to fly; auto is the GPU where there is one.")
]
KeepName = Annotated[str, typer.Option(metavar="none|losses|all", help="Which records of single runs to keep.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Cluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="SPEC",
        help="Who flies: local, a scheduler's address or file, or a cluster file; else DASK_SCHEDULER_ADDRESS.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="WIDTH",
        help='Stop a case at this width of its interval, as in "1 %"; --runs is the most. '
        "It is looked at after 1 024 runs, then at every 19 % more.",
    ),
]
Timeout = Annotated[
    str, typer.Option(metavar="S", help='Begin no more runs after this time, as in 90 (seconds) or "2 h".')
]
ForceLock = Annotated[bool, typer.Option("--force-lock", help="Break the lock that a process of another machine left.")]

# -------------------------------------------------------------------------------------------------------------- pieces


def whole(name: str, text: str) -> int:
    """The whole number a user wrote: `10000`, `10_000`, `1e6`.

    >>> whole("runs", "1e6"), whole("runs", "10_000")
    (1000000, 10000)
    """
    from decimal import Decimal, InvalidOperation

    shown = f"'{visible(text)}'"
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise MistakeError(name, "a whole number such as 10000 or 1e6", shown) from None
    if not number.is_finite() or number != number.to_integral_value():
        raise MistakeError(name, "a whole number such as 10000 or 1e6", shown)
    if number.adjusted() > 40:  # an exponent could ask for gigabytes of digits
        raise MistakeError(name, "a number that can be meant", shown)
    return int(number)


def seconds(name: str, text: str) -> float | None:
    """A time in seconds that a user wrote, plain or with its unit; None of nothing.

    >>> seconds("timeout", "90"), seconds("timeout", "2 min"), seconds("timeout", "")
    (90.0, 120.0, None)
    """
    from mcrisk import units

    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = units.parse(text, "s", name)
    if not 0 < value < 1e9:
        raise MistakeError(name, 'a time above zero, such as 90 or "2 h"', f"'{visible(text)}'")
    return value


def width(text: str) -> float | None:
    """The width of an interval that a user wrote, as a fraction; None of nothing.

    >>> width("1 %"), width("0.01"), width("")
    (0.01, 0.01, None)
    """
    from mcrisk import units
    from mcrisk.goal import WIDTH

    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        with contextlib.suppress(MistakeError):
            return units.parse(text, "", "precision")
    raise MistakeError("precision", WIDTH, f"'{visible(text)}'")


def changes(sets: Iterable[str]) -> dict[str, str]:
    """PATH=VALUE texts as a mapping.

    >>> changes(["propulsion.main.isp=320 s"])
    {'propulsion.main.isp': '320 s'}
    """
    found: dict[str, str] = {}
    for text in sets:
        path, equals, value = text.partition("=")
        if not equals or not path.strip() or not value.strip():
            raise MistakeError("--set", 'PATH=VALUE such as propulsion.main.isp="320 s"', f"'{visible(text)}'")
        if path.strip() in found:
            raise MistakeError("--set", "each path once", f"{visible(path.strip())} twice")
        found[path.strip()] = value.strip()
    return found


def load_mission(name: str) -> Mission:
    """The mission of a file or name; of a study it is told that it is one, not what it lacks."""
    from mcrisk import config
    from mcrisk.mission import load

    try:
        return load(name)
    except MistakeError as mistake:
        study = name in config.shipped("studies")
        with contextlib.suppress(MistakeError, OSError):
            study = study or bool({"mission", "missions"} & config.read_toml(config.find(name)).keys())
        if study:
            raise MistakeError(visible(name), "a mission", "a study", f"fly it: {command('sweep', name)}") from mistake
        raise


def load(names: Iterable[str], sets: Iterable[str] | None) -> list[Mission]:
    """The missions, changed; the mistakes of all of them together."""
    changed = changes(sets or ())
    missions: list[Mission] = []
    mistakes: list[MistakeError] = []
    for name in names:
        try:
            mission = load_mission(name)
            missions.append(mission.replace(changed) if changed else mission)
        except MistakeError as mistake:
            mistakes.append(mistake)
    if mistakes:
        raise mistakes[0] if len(mistakes) == 1 else MistakeError.together(mistakes)
    return missions


def no_seed(seed: str) -> None:
    """Refuse a seed beside results, which have their own."""
    if whole("seed", seed):
        raise MistakeError("--seed", "a mission", "a folder of results, which has its own")


def results_of(target: str, sets: Iterable[str] | None, seed: str) -> Path:
    """The results file that a user means, also by the mission that was run."""
    from mcrisk.results import RESULTS, default_folder, results_file

    if named := results_file(target):
        if sets:
            raise MistakeError("--set", "a mission", "a folder of results")
        no_seed(seed)
        return named
    from mcrisk.campaign import state
    from mcrisk.store import JOURNAL

    number = whole("seed", seed)
    folder = default_folder(state(load([target], sets), number))
    if not ((folder / RESULTS).is_file() or (folder / JOURNAL).is_file()):
        options = [part for text in sets or () for part in ("--set", text)] + ["--seed", str(number)] * (number != 0)
        remedy = f"run it first: {command('run', target, *options)}"
        raise MistakeError(f"{target}: no results in {folder}", remedy=remedy)
    return folder / RESULTS


def present(dataset: Any, folder: Path, as_json: bool) -> int:
    """Print the answer; its exit code."""
    from mcrisk.answer import answer

    told = answer(dataset) | {"folder": str(folder)}
    if as_json:
        print(json.dumps(told, allow_nan=False))
    else:
        from mcrisk.grid import show_sweep
        from mcrisk.ledger import show

        if any(axis["dim"] != "case" or len(axis["columns"]) > 1 for axis in told["axes"]):
            show_sweep(told, console())
        else:
            show(told, console(), folder=str(folder))
    if not told["complete"]:
        tell(_how_far(told, folder))
    for case in told["cases"]:
        if case["invalid"] > INVALID_SHARE * case["runs"]:
            tell(
                f"mcrisk: {case['name']}: {count(case['invalid'])} of {count(case['runs'])} runs are invalid "
                f"(their numbers left the finite range), more than 1 in 10 000; the results are in {folder}"
            )
            return InfrastructureError.exit_code
    return 0


def _how_far(told: dict[str, Any], folder: Path) -> str:
    """How much of a campaign is flown, who goes on with it, and that its figures are provisional."""
    from mcrisk.lock import holder
    from mcrisk.store import JOURNAL

    cases, wanted = told["cases"], told["runs_wanted"]
    flown = sum(case["runs"] for case in cases)
    most = " at most" if told["interval_method"] == "confidence-sequence" else ""
    many = f" ({count(told['cases_complete'])} of {count(len(cases))} designs complete)" if len(cases) > 1 else ""
    so_far = f"{count(flown)} of {runs_told(wanted * len(cases))}{most} flown{many}: the figures are provisional"
    if not (folder / JOURNAL).is_file():
        return so_far
    if who := holder(folder):
        return f"{so_far}; {who} is flying it"
    return f"{so_far}; {command('resume', str(folder))} goes on"


def console() -> Console:
    """stdout for people; wide enough for the tables where it is no terminal."""
    from rich.console import Console

    class Stdout(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for `guarded`; rich would end with exit code 1

    plain = not sys.stdout.isatty()
    file: Any = Trimmed(sys.stdout)
    return Stdout(
        file=file, width=WIDTH if plain else None, highlight=False, markup=False, soft_wrap=plain, emoji=False
    )


class Trimmed:
    """A text file without the blanks with which rich fills its lines up; colours stay."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> int:
        r"""
        >>> _ = Trimmed(sys.stdout).write("a  \n b\n")
        a
         b
        """
        return self.file.write(re.sub(r" +((?:\x1b\[[\d;]*m)*)(?=\n)", r"\1", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
