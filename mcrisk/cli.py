"""The command line. What a program reads goes to stdout, all else to stderr; heavy imports wait until they are needed.

Exit codes: 0 done; 1 a stated requirement is not met; 2 the user's mistake; 3 undecided; 4 the machine failed, or more
than 1 run in 10 000 was invalid; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from mcrisk.errors import InfrastructureError, McriskError, MistakeError, command, visible
from mcrisk.ledger import count, runs_told

if TYPE_CHECKING:
    from rich.console import Console

    from mcrisk.backends import AbstractBackend
    from mcrisk.campaign import Campaign
    from mcrisk.execute import Keep
    from mcrisk.mission import Mission

__all__ = ["main"]

INVALID_SHARE = 1e-4  # of the runs: more than this fails the campaign, though its results are written
WIDTH = 120  # [column] of output that is no terminal
P = ParamSpec("P")

app = typer.Typer(
    help="Landing success probability of a Moon lander design, from closed-loop 6-DoF Monte Carlo descents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> int:
    """Run the command of sys.argv; its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  None where the shell closed it
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks
    try:
        try:
            app(prog_name=command())
        except SystemExit as done:
            if isinstance(done.__context__, BrokenPipeError):  # typer's exit code 1 for --help | true
                return 0
            code = done.code if isinstance(done.code, int) else 0 if done.code is None else 2
        sys.stdout.flush()
    except OSError as error:  # of --help and --version
        code = _failed_output(error)
    return code


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


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
        except OSError as error:
            if os.environ.get("MCRISK_DEBUG"):
                raise
            code = _failed_output(error)
        except Exception as error:
            if os.environ.get("MCRISK_DEBUG"):
                raise
            kind = type(error).__name__
            tell(f"mcrisk: internal error ({kind}: {error}); MCRISK_DEBUG=1 shows where it happened")
        raise typer.Exit(code or 0)

    return wrapper


def _failed_output(error: OSError) -> int:
    """The exit code where stdout takes no more, or another file that nothing else guards."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # the reader has seen enough: `mcrisk params | head`
        return 0
    tell(f"mcrisk: {error.filename or 'standard output'}: {(error.strerror or str(error)).lower()}")
    return InfrastructureError.exit_code


def tell(text: str) -> None:
    """A line for people, on stderr; what would steer a terminal is shown as an escape."""
    with contextlib.suppress(OSError):  # nobody listens
        shown = "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
        print(shown, file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------------- commands

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


@app.command(short_help="Fly missions through many random worlds; the share that lands.")
@guarded
def run(
    missions: MissionNames,
    runs: Runs = "10000",
    seed: Seed = "0",
    sets: Sets = None,
    out: Out = None,
    backend: BackendName = "auto",
    keep: KeepName = "none",
    as_json: Json = False,
) -> int:
    """Fly missions through many random worlds and tell how many landings succeed, and why the others do not."""
    from mcrisk.backends import check_name, choose
    from mcrisk.execute import KEEPS, check_runs

    wanted, number = whole("runs", runs), whole("seed", seed)
    chosen: Keep = next((known for known in KEEPS if known == keep), keep)  # type: ignore[arg-type]
    check_runs(wanted, len(missions), chosen)
    check_name(backend)
    if out == "":
        raise MistakeError("--out", "a folder", "nothing")
    loaded = _load(missions, sets)

    from mcrisk.campaign import state

    device = choose(backend)
    return _fly(state(loaded, number, device.real), wanted, device, backend, chosen, out, as_json)


@app.command(short_help="Fly a study: designs along axes of changed parameters.")
@guarded
def sweep(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study file, or the name of a shipped one.")],
    runs: Annotated[str, typer.Option("--runs", "-n", metavar="N", help="Runs of each design; else the study's.")] = "",
    seed: Annotated[str, typer.Option(metavar="S", help="Seed of the random worlds; without it the study's.")] = "",
    sets: Sets = None,
    out: Out = None,
    backend: BackendName = "auto",
    keep: KeepName = "none",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell cases, runs, time and size.")] = False,
    as_json: Json = False,
) -> int:
    """Fly every design of a study through the same random worlds and tell how many landings succeed along its axes."""
    from mcrisk.backends import check_name, choose
    from mcrisk.execute import KEEPS, check_runs
    from mcrisk.study import load_study

    stated = load_study(study, changes(sets or ()))
    wanted = whole("runs", runs) if runs else stated.runs if stated.runs is not None else 10_000
    number = whole("seed", seed) if seed else stated.seed or 0
    chosen: Keep = next((known for known in KEEPS if known == keep), keep)  # type: ignore[arg-type]
    check_runs(wanted, len(stated), chosen)
    check_name(backend)
    if out == "":
        raise MistakeError("--out", "a folder", "nothing")

    from mcrisk.campaign import state_study

    device = choose(backend)
    campaign = state_study(stated, number, device.real)
    if dry_run:
        return _foretell(campaign, wanted, device, chosen, as_json)
    return _fly(campaign, wanted, device, backend, chosen, out, as_json)


@app.command(short_help="Go on with a campaign that was interrupted.")
@guarded
def resume(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of an interrupted campaign.")],
    runs: Annotated[
        str, typer.Option("--runs", "-n", metavar="N", help="Runs of each case; else as asked first.")
    ] = "",
    backend: BackendName = "auto",
    as_json: Json = False,
) -> int:
    """Go on where a campaign was interrupted, with the designs that its journal holds, or extend it by more runs."""
    from mcrisk.backends import check_name, choose
    from mcrisk.execute import check_runs
    from mcrisk.store import Store

    check_name(backend)
    with Store.read(Path(folder)) as store:
        campaign, wanted, keep = store.campaign, store.runs, store.keep
    wanted = max(wanted, whole("runs", runs)) if runs else wanted
    check_runs(wanted, len(campaign.cases), keep)
    return _fly(campaign, wanted, choose(backend), backend, keep, folder, as_json)


def _fly(
    campaign: Campaign, wanted: int, device: AbstractBackend, backend: str, keep: Keep, out: str | None, as_json: bool
) -> int:
    """Fly a campaign, or find it flown, and present its answer; the exit code."""
    from mcrisk.api import check_folder, fly
    from mcrisk.backends import announce
    from mcrisk.results import default_folder, flown_runs, present

    folder = Path(out) if out is not None else default_folder(campaign)
    found = present(folder, campaign, wanted, keep)
    if found is not None:
        tell(f"{folder} has {runs_told(flown_runs(found))} of this campaign already")
    else:
        check_folder(folder)
        announce(backend)
    for one in campaign.impossible:
        tell(f"{one.name} is left out: {one.reason}")
    if found is None:
        tell(
            f"{campaign.name}: {runs_told(wanted)}{' of each' if len(campaign.cases) > 1 else ''}, "
            f"seed {campaign.seed}, backend {device.name} ({device.describe()}), confidence 0.95, keep {keep}, "
            f"into {folder}"
        )
        from mcrisk.progress import Progress

        with Progress(wanted * len(campaign.cases), [case.name for case in campaign.cases]) as progress:
            found = fly(campaign, wanted, device, keep=keep, folder=folder, progress=progress)
    return _present(found, folder, as_json)


@app.command(short_help="Show results that are there, or list the shipped missions.")
@guarded
def show(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DIR|MISSION", help="Folder of results, or a mission that was run with the same --set and --seed."
        ),
    ] = "",
    sets: Sets = None,
    seed: Seed = "0",
    as_json: Json = False,
) -> int:
    """Show the results of a folder, or those of a mission that was run without --out.

    Without DIR or MISSION, list the missions that mcrisk brings.
    """
    if not target:
        return _list_missions(as_json)
    from mcrisk.results import read_results

    results = _results_of(target, sets, seed)
    return _present(read_results(results), results.parent, as_json)


@app.command(short_help="Fly one run again and show its course.")
@guarded
def replay(
    target: Annotated[str, typer.Argument(metavar="DIR|MISSION", help="Folder of results, or a mission.")],
    run: Annotated[str, typer.Option("--run", metavar="K", help="Number of the run, from 0.")],
    case: Annotated[str, typer.Option(metavar="I", help="Number of the case, from 0, where there are several.")] = "0",
    sets: Sets = None,
    seed: Seed = "0",
    out: Annotated[str | None, typer.Option(metavar="FILE.nc", help="Write every tick to this file.")] = None,
) -> None:
    """Fly one run again, the very same flight, and show its course."""
    from mcrisk.config import lies_at

    number, place = whole("run", run), whole("case", case)
    if out is not None and (not out.endswith(".nc") or lies_at(Path(out)) == "a folder"):
        raise MistakeError("--out", "a file name ending in .nc", f"'{visible(out)}'")

    from mcrisk import netcdf
    from mcrisk.api import check_folder, replay_case
    from mcrisk.campaign import state
    from mcrisk.results import read_results, results_file

    if results := results_file(target):
        from mcrisk.dataset import campaign_of

        campaign = campaign_of(read_results(results))
    else:
        campaign = state(_load([target], sets), whole("seed", seed))
    if out is not None:
        check_folder(Path(out).parent)
    flight = replay_case(campaign, number, place)

    from mcrisk.course import show_course

    show_course(flight, _console())
    if out is not None:
        netcdf.write(flight, Path(out))
        tell(f"every tick is in {out}")


@app.command(short_help="List the parameters of a mission.")
@guarded
def params(
    pattern: Annotated[str, typer.Argument(help="Part of a path or description.")] = "",
    as_json: Json = False,
) -> None:
    """List the parameters of a mission: path, unit, default, range, meaning."""
    from mcrisk.mission import parameter_rows

    rows = parameter_rows(pattern)
    if not rows:
        from mcrisk.errors import suggestion
        from mcrisk.schema import load_schema

        hint = suggestion(pattern, load_schema().fields) or f"`{command('params')}` lists all of them"
        raise MistakeError(f"no parameter matches '{visible(pattern)}'", remedy=hint)
    if as_json:
        print(json.dumps({"parameters": rows}))
        return
    from mcrisk.sheet import table_of

    table = table_of("path", "unit", "default", "range", "description")
    for row in rows:
        table.add_row(row["path"], f"[{row['unit']}]", row["default"], row["range"], row["description"])
    _console().print(table)


@app.command(short_help="Check mission files, and show the design that follows.")
@guarded
def check(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Mission files, or names of shipped ones: `show` alone lists them."),
    ],
) -> int:
    """Check mission files, and show the design that follows from them and its nominal flight."""
    from mcrisk.mission import load
    from mcrisk.nominal import design
    from mcrisk.params import pack
    from mcrisk.sheet import show_design

    worst = 0
    console = _console()
    for name in files:
        try:
            mission = load(name)
            designed = design(mission)
            pack(designed)
        except MistakeError as mistake:
            tell(f"mcrisk: {mistake}")
            worst = max(worst, mistake.exit_code)
            continue
        show_design(name, designed, console)
    return worst


@app.command()
@guarded
def bench(
    missions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MISSION",
            help="Mission files, or names of shipped ones; without any hakuto_r_m2_as_designed and blue_ghost_m1.",
        ),
    ] = None,
    seconds: Annotated[str, typer.Option(metavar="S", help="Time for each mission and library.")] = "6",
    sets: Sets = None,
    all_cores: Annotated[
        bool, typer.Option("--all-cores", help="Measure campaigns on one core and on all of them, too.")
    ] = False,
    write: Annotated[
        str | None, typer.Option(metavar="PAGE.md", help="Write the table into this page, between its bench marks.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per mission and library.")] = False,
) -> None:
    """Measure on one core how fast descents are flown: against the scalar build, and against the processor's peak."""
    from mcrisk import bench as measuring
    from mcrisk import pages
    from mcrisk.campaign import state

    wanted = measuring.seconds(seconds)
    campaigns = [state([mission]) for mission in _load(missions or measuring.MISSIONS, sets)]
    if write is not None:
        pages.block(Path(write), "bench")
    command = shlex.join(["mcrisk", *sys.argv[1:]])
    answers: list[dict[str, Any]] = []
    for campaign in campaigns:
        together = measuring.scaling(campaign, wanted) if all_cores else None
        own = measuring.bench(campaign, wanted, tell)
        answers += own
        if as_json:
            for answer in [together, *own] if together else own:
                print(json.dumps(answer, allow_nan=False), flush=True)
        else:
            from mcrisk.sheet import show_speed

            show_speed(own, together, _console())
    if not as_json:
        tell(measuring.summary(answers, command))
    if write is not None:
        pages.write_block(Path(write), "bench", measuring.markdown(answers, command))


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False) -> None:
    """Landing success probability of a Moon lander design, from closed-loop 6-DoF Monte Carlo descents."""
    if version:
        from mcrisk import __version__

        print(f"mcrisk {__version__}")
        raise typer.Exit


# ------------------------------------------------------------------------------------------------------------- pieces


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


def _load(names: Iterable[str], sets: Iterable[str] | None) -> list[Mission]:
    """The missions, changed; the mistakes of all of them together."""
    from mcrisk.mission import load

    changed = changes(sets or ())
    missions: list[Mission] = []
    mistakes: list[MistakeError] = []
    for name in names:
        try:
            mission = load(name)
            missions.append(mission.replace(changed) if changed else mission)
        except MistakeError as mistake:
            mistakes.append(mistake)
    if mistakes:
        raise mistakes[0] if len(mistakes) == 1 else MistakeError.together(mistakes)
    return missions


def _results_of(target: str, sets: Iterable[str] | None, seed: str) -> Path:
    """The results file that a user means, also by the mission that was run."""
    from mcrisk.results import RESULTS, default_folder, results_file

    if named := results_file(target):
        return named
    from mcrisk.campaign import state
    from mcrisk.store import JOURNAL

    number = whole("seed", seed)
    folder = default_folder(state(_load([target], sets), number))
    if not ((folder / RESULTS).is_file() or (folder / JOURNAL).is_file()):
        options = [part for text in sets or () for part in ("--set", text)] + ["--seed", str(number)] * (number != 0)
        remedy = f"run it first: {command('run', target, *options)}"
        raise MistakeError(f"{target}: no results in {folder}", remedy=remedy)
    return folder / RESULTS


def _list_missions(as_json: bool) -> int:
    """Print name and title of every shipped mission."""
    from mcrisk.config import shipped
    from mcrisk.mission import load

    missions = [{"name": name, "title": load(name).title} for name in shipped()]
    if as_json:
        print(json.dumps({"missions": missions}))
        return 0
    from mcrisk.sheet import table_of

    table = table_of("mission", "title")
    for one in missions:
        table.add_row(one["name"], one["title"])
    _console().print(table)
    return 0


def _foretell(campaign: Campaign, runs: int, device: AbstractBackend, keep: Keep, as_json: bool) -> int:
    """Print what a campaign would take: the rate is that of a short flight of its first design."""
    from mcrisk.execute import foretell

    told = foretell(campaign, runs, device, keep)
    if as_json:
        print(json.dumps(told))
        return 0
    impossible = f", {told['impossible']} impossible" if told["impossible"] else ""
    print(
        f"{campaign.name}: {count(told['cases'])} designs{impossible}, {runs_told(told['runs'])} of each, "
        f"{runs_told(told['runs_in_all'])} in all\nabout {told['seconds']:.0f} s at {count(round(told['runs_per_s']))} "
        f"runs/s ({device.describe()}); results of about {told['bytes'] / 1e6:.1f} MB"
    )
    for one in campaign.impossible:
        print(f"{one.name} is impossible: {one.reason}")
    return 0


def _present(dataset: Any, folder: Path, as_json: bool) -> int:
    """Print the answer; its exit code."""
    from mcrisk.answer import answer

    told = answer(dataset) | {"folder": str(folder)}
    if as_json:
        print(json.dumps(told, allow_nan=False))
    else:
        from mcrisk.grid import show_sweep
        from mcrisk.ledger import show

        if any(axis["dim"] != "case" or len(axis["columns"]) > 1 for axis in told["axes"]):
            show_sweep(told, _console())
        else:
            show(told, _console(), folder=str(folder))
    if not told["complete"]:
        wanted = told["runs_wanted"] * len(told["cases"])
        flown = sum(case["runs"] for case in told["cases"])
        hint = command("resume", str(folder))
        tell(f"interrupted after {count(flown)} of {runs_told(wanted)}: provisional figures; {hint} goes on")
    for case in told["cases"]:
        if case["invalid"] > INVALID_SHARE * case["runs"]:
            tell(
                f"mcrisk: {case['name']}: {count(case['invalid'])} of {count(case['runs'])} runs are invalid "
                f"(their numbers left the finite range), more than 1 in 10 000; the results are in {folder}"
            )
            return InfrastructureError.exit_code
    return 0


def _console() -> Console:
    """stdout for people; wide enough for the tables where it is no terminal."""
    from rich.console import Console

    class Stdout(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # for `guarded`; rich would end with exit code 1

    plain = not sys.stdout.isatty()
    return Stdout(width=WIDTH if plain else None, highlight=False, markup=False, emoji=False, soft_wrap=plain)
