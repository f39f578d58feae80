"""Commands about a design before it flies: params, check, touchdown, bench."""

from __future__ import annotations

import json
import math
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mcrisk.errors import InfrastructureError, MistakeError, command, visible

from .shared import Json, Sets, console, guarded, load, load_mission, tell

__all__ = ["bench", "check", "params", "touchdown"]

RATES, SLOPES, SPEEDS = "1,2,3", "0,2.5,5,7.5,10,12.5,15", "0,0.25,0.5,0.75,1,1.25,1.5,1.75,2,2.5,3"  # of the map


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
    console().print(table)


@guarded
def check(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Mission files, or names of shipped ones: `show` alone lists them."),
    ],
) -> int:
    """Check mission files, and show the design that follows from them and its nominal flight."""
    from mcrisk.nominal import design
    from mcrisk.params import pack
    from mcrisk.sheet import show_design

    worst = 0
    screen = console()
    for name in files:
        try:
            mission = load_mission(name)
            designed = design(mission)
            pack(designed)
        except MistakeError as mistake:
            tell(f"mcrisk: {mistake}")
            worst = max(worst, mistake.exit_code)
            continue
        show_design(name, designed, screen)
    return worst


@guarded
def touchdown(
    name: Annotated[
        str, typer.Argument(metavar="MISSION", help="A mission file, or the name of a shipped one.", show_default=False)
    ] = "",
    sets: Sets = None,
    rates: Annotated[
        str, typer.Option("--descent-rates", metavar="V,...", help="Descent rates [m/s], separated by commas.")
    ] = RATES,
    slopes: Annotated[str, typer.Option(metavar="A,...", help="Slopes of the ground [deg].")] = SLOPES,
    speeds: Annotated[str, typer.Option(metavar="V,...", help="Horizontal speeds [m/s].")] = SPEEDS,
    caught: Annotated[bool, typer.Option("--caught", help="No foot can slide, as against rocks and rims.")] = False,
    which: Annotated[
        str | None,
        typer.Option(
            "--envelope",
            metavar="NAME",
            help="Fly the corners and edges of a published envelope instead; list tells them.",
        ),
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE.nc", help="Write the map to this file, too.")] = None,
    as_json: Json = False,
) -> None:
    """Map the touchdowns after which a lander stands: descent rate by slope by horizontal speed, worst direction."""
    from mcrisk.api import check_folder
    from mcrisk.envelopes import envelope_of
    from mcrisk.export import check_file
    from mcrisk.touchdown import envelope, stability_map

    if which == "list":
        _list_envelopes(as_json)
        return
    if not name:
        raise MistakeError("no mission given", remedy=f"name one, as in `{command('touchdown', 'generic_small')}`")
    if which is not None:
        envelope_of(which)
        if (rates, slopes, speeds, caught) != (RATES, SLOPES, SPEEDS, False):
            raise MistakeError(
                "--envelope", "no axes beside it", "--descent-rates, --slopes, --speeds or --caught", "leave them out"
            )
    axes = numbers("--descent-rates", rates, 100), numbers("--slopes", slopes, 60), numbers("--speeds", speeds, 100)
    if out is not None:
        check_file("--out", out, ".nc")
        check_folder(Path(out).parent)
    [mission] = load([name], sets)
    if which is not None:
        found = envelope(mission, which)
    else:
        found = stability_map(mission, axes[0], [math.radians(one) for one in axes[1]], axes[2], caught)
    if out is not None:
        from mcrisk import netcdf

        netcdf.write(found, Path(out))
        tell(f"the map is in {out}")
    if as_json:
        from mcrisk.touchdown import worst_of

        worst = {} if which is None else {"worst": worst_of(found)}
        print(json.dumps(found.to_dict() | worst, allow_nan=False))
        return
    from mcrisk.sheet import show_envelope, show_stability

    (show_stability if which is None else show_envelope)(found, console())


def _list_envelopes(as_json: bool) -> None:
    from mcrisk.envelopes import ENVELOPES

    if as_json:
        print(json.dumps({"envelopes": [asdict(one) for one in ENVELOPES.values()]}))
        return
    from mcrisk.sheet import show_envelopes

    show_envelopes(console())


def numbers(option: str, text: str, most: float) -> list[float]:
    """Rising numbers from 0 to `most` that a user separated by commas.

    >>> numbers("--slopes", "0, 2.5,5", 60)
    [0.0, 2.5, 5.0]
    """
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= one <= most for one in found) or found != sorted(set(found)):
        raise MistakeError(option, f"rising numbers from 0 to {most:g}, separated by commas", f"'{visible(text)}'")
    return found


@guarded
def bench(
    missions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MISSION",
            help="Mission files, or names of shipped ones; without any hakuto_r_m2_as_designed and blue_ghost_m1.",
        ),
    ] = None,
    seconds: Annotated[
        str, typer.Option(metavar="S", help="Time for each mission and library; with --full for each other rate, too.")
    ] = "6",
    sets: Sets = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Measure small batches, campaigns on all cores, and a fresh process that flies blue_ghost_m1, too.",
        ),
    ] = False,
    write: Annotated[
        str | None, typer.Option(metavar="PAGE.md", help="Write the table into this page, between its bench marks.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object for each figure; the last line is of the fastest library."),
    ] = False,
) -> None:
    """Measure on one core how fast descents are flown: against the scalar build, and against the processor's peak."""
    from mcrisk import bench as measuring
    from mcrisk import pages
    from mcrisk.campaign import state

    wanted = measuring.seconds(seconds)
    campaigns = [state([mission]) for mission in load(missions or measuring.MISSIONS, sets)]
    if write is not None:
        pages.check(Path(write), "bench")
    typed = shlex.join(["mcrisk", *sys.argv[1:]])
    answers: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    start = _cold_start() if full else []
    for each in start if as_json else ():
        print(json.dumps(each, allow_nan=False), flush=True)
    for campaign in campaigns:
        own = measuring.bench(campaign, wanted, tell)
        more = [measuring.sizes(campaign, wanted), measuring.scaling(campaign, wanted)] if full else []
        answers += own
        others += more
        if as_json:
            for answer in [*more, *own]:
                print(json.dumps(answer, allow_nan=False), flush=True)
        else:
            from mcrisk.sheet import show_speed

            show_speed(own, more, console())
    if not as_json:
        for sentence in measuring.sentences(start):
            console().print(sentence)
        tell(measuring.summary(answers, typed))
    if write is not None:
        pages.write_block(Path(write), "bench", measuring.markdown(answers, others + start, typed))


def _cold_start() -> list[dict[str, Any]]:
    """Figures of fresh processes; none where they fail, which is told: all else is measured."""
    from mcrisk import bench, coldstart

    try:
        return [{"backend": "cpu", **coldstart.cold_start(), **bench.facts()}]
    except InfrastructureError as error:
        tell(f"mcrisk: {error}")
        return []
