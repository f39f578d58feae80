"""The command line. What a program reads goes to stdout, all else to stderr; heavy imports wait until they are needed.

Exit codes: 0 done; 1 a stated requirement is not met; 2 the user's mistake; 3 undecided; 4 the machine failed, or more
than 1 run in 10 000 was invalid; 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from mcrisk.commands import ask, design, fly, ground, judge
from mcrisk.commands.shared import failed_output, interruption, tell
from mcrisk.errors import command

__all__ = ["main"]

app = typer.Typer(
    help="Landing success probability of a Moon lander design, from closed-loop 6-DoF Monte Carlo descents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function, short in (
    (fly.run, "Fly missions through many random worlds; the share that lands."),
    (fly.sweep, "Fly a study: designs along axes of changed parameters."),
    (fly.resume, "Go on with a campaign that was interrupted."),
    (ask.show, "Show results that are there, or list the shipped missions and studies."),
    (judge.compare, "Tell which of several designs lands more often."),
    (judge.verify, "Judge requirements: PASS, FAIL or UNDECIDED."),
    (judge.survive, "Fly a lander through faults of history."),
    (judge.export, "Write results as CSV or netCDF."),
    (ask.replay, "Fly one run again and show its course."),
    (design.params, "List the parameters of a mission."),
    (design.check, "Check mission files, and show the design that follows."),
    (design.touchdown, "Map the touchdowns after which a lander stands."),
    (ground.terrain, "Cut the ground out of elevation models, or make it from a seed."),
    (design.bench, "Measure how fast descents are flown."),
):
    app.command(short_help=short)(function)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False) -> None:
    """Landing success probability of a Moon lander design, from closed-loop 6-DoF Monte Carlo descents."""
    if version:
        from mcrisk import __version__

        print(f"mcrisk {__version__}")
        raise typer.Exit


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
            if interruption(done):  # before the command itself: typer says nothing
                tell("mcrisk: interrupted")
                return 130
            code = done.code if isinstance(done.code, int) else 0 if done.code is None else 2
        sys.stdout.flush()
    except OSError as error:  # of --help and --version
        code = failed_output(error)
    except KeyboardInterrupt:  # before or after the command itself, which tells its own
        tell("mcrisk: interrupted")
        code = 130
    return code


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt
