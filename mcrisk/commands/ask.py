"""Commands that ask of results: show, replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mcrisk.errors import MistakeError, visible

from .shared import Json, Seed, Sets, console, guarded, load, no_seed, present, results_of, tell, whole

__all__ = ["replay", "show"]


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

    Without DIR or MISSION, list the missions and studies that mcrisk brings.
    """
    if not target:
        return _list_shipped(as_json)
    from mcrisk.results import read_results

    results = results_of(target, sets, seed)
    return present(read_results(results), results.parent, as_json)


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
    from mcrisk.export import check_file

    number, place = whole("run", run), whole("case", case)
    if out is not None:
        check_file("--out", out, ".nc")
    if not 0 <= number < 1 << 63:
        raise MistakeError("--run", "a number from 0 to 2^63 - 1", f"'{visible(run)}'")

    from mcrisk import netcdf
    from mcrisk.api import check_folder, replay_case
    from mcrisk.campaign import state
    from mcrisk.results import campaign_at, results_file

    if results := results_file(target):
        if sets:
            raise MistakeError("--set", "a mission", "a folder of results")
        no_seed(seed)
        campaign = campaign_at(results)
    else:
        campaign = state(load([target], sets), whole("seed", seed))
    cases = len(campaign.cases)
    if not 0 <= place < cases:
        expected = f"a number from 0 to {cases - 1}" if cases > 1 else "0, for there is one case"
        raise MistakeError("--case", expected, f"'{visible(case)}'")
    if out is not None:
        check_folder(Path(out).parent)
    flight = replay_case(campaign, number, place)

    if out is not None:  # first: who reads stdout may close it early
        netcdf.write(flight, Path(out))
        tell(f"every tick is in {out}")
    from mcrisk.course import show_course

    show_course(flight, console())


def _list_shipped(as_json: bool) -> int:
    """Print name and title of every shipped mission and study."""
    from mcrisk.config import shipped
    from mcrisk.mission import load
    from mcrisk.study import load_study

    found = {
        "missions": [{"name": name, "title": load(name).title} for name in shipped()],
        "studies": [{"name": name, "title": load_study(name).title} for name in shipped("studies")],
    }
    if as_json:
        print(json.dumps(found))
        return 0
    from mcrisk.sheet import table_of

    for kind, column in (("missions", "mission"), ("studies", "study")):
        table = table_of(column, "title")
        for one in found[kind]:
            table.add_row(one["name"], one["title"])
        console().print(table)
    return 0
