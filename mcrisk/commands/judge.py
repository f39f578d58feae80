"""Commands that judge: which design is better, is a requirement met, what faults are survived; and export."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcrisk.errors import MistakeError, command, visible

from .fly import asked, flier, flown, folder_of, workplace
from .shared import (
    BackendName,
    Cluster,
    ForceLock,
    Json,
    Out,
    Seed,
    Sets,
    console,
    guarded,
    load,
    no_seed,
    results_of,
    tell,
    whole,
)

if TYPE_CHECKING:
    from mcrisk.campaign import Campaign
    from mcrisk.contest import Entry
    from mcrisk.goal import Goal

__all__ = ["compare", "export", "survive", "verify"]


@guarded
def compare(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="DIR|MISSION...", help="Missions, and folders of results with all their cases."),
    ],
    runs: Annotated[
        str, typer.Option("--runs", "-n", metavar="N", help="Runs of each; else those that the folders have, or 10000.")
    ] = "",
    seed: Seed = "0",
    sets: Sets = None,
    out: Out = None,
    backend: BackendName = "auto",
    cluster: Cluster = "",
    against: Annotated[str, typer.Option(metavar="NAME", help="Compare all others with this one only.")] = "",
    examples: Annotated[str, typer.Option(metavar="K", help="Run numbers shown of each kind.")] = "10",
    force_lock: ForceLock = False,
    as_json: Json = False,
) -> int:
    """Tell which of several designs lands more often, run by run on the same random worlds, and where they differ.

    Missions are flown into one campaign; folders are read, and extended where they have fewer runs than --runs.
    """
    from dataclasses import replace

    from mcrisk import contest, duel
    from mcrisk.campaign import SCHEMA_VERSION
    from mcrisk.store import Store

    spec = workplace(cluster, backend, out)
    wanted, kept = asked(whole("runs", runs), "none", "", 1).runs if runs else None, whole("examples", examples)
    device, real = flier(spec, backend)
    entries = _entries(targets, sets, whole("seed", seed), real, out)
    contest.check_worlds(entries)
    impossible = [one for entry in entries for one in entry.campaign.impossible]
    for one in impossible:
        tell(f"{one.name} is left out: {one.reason}")
    duel.check(contest.named(entries), against or None, kept)
    number = wanted or contest.common_runs(entries) or 10_000
    for entry in entries:
        if entry.folder and contest.reached(entry) < number:
            goal = _extended(entry.folder, number)
            flown(entry.campaign, replace(goal, runs=number), device, spec, entry.folder, force_lock=force_lock)
            if goal.runs > number:  # an interrupted one still lacks what was asked for
                with Store.written(entry.folder, entry.campaign, goal, force_lock=force_lock):
                    pass
    with ExitStack() as open_:
        stores = [(entry, open_.enter_context(Store.read(entry.folder))) for entry in entries if entry.folder]
        designs = contest.designs(stores, number)
    places = [(entry, place) for entry, _ in stores for place in range(len(entry.campaign.cases))]
    found = {name: where for (name, _, _), where in zip(designs, places, strict=True)}
    told = duel.answer(duel.compare(designs, number, examples=kept, against=against or None))
    if as_json:
        left_out = [{"name": one.name, "reason": one.reason} for one in impossible]
        for design in told["designs"]:  # where replay finds its runs
            entry, place = found[design["name"]]
            design |= {"folder": str(entry.folder), "case": place}
        head = {"schema_version": SCHEMA_VERSION, "seed": entries[0].campaign.seed}
        print(json.dumps(head | told | {"impossible": left_out}, allow_nan=False))
        return 0

    def replay(name: str, run: int) -> str:
        entry, place = found[name]
        which = ["--case", str(place)] if len(entry.campaign.cases) > 1 else []
        return command("replay", str(entry.folder), "--run", str(run), *which)

    duel.show(told, console(), replay)
    return 0


def _extended(folder: Path, runs: int) -> Goal:
    """The goal of a folder, of so many runs of each case at least; what it keeps stays."""
    from dataclasses import replace

    from mcrisk.goal import Goal
    from mcrisk.store import JOURNAL, Store

    if not (folder / JOURNAL).is_file() or not (folder / JOURNAL).stat().st_size:
        return Goal(runs)
    with Store.read(folder) as store:
        goal = replace(store.goal.after(store.goal), runs=max(runs, store.goal.runs), precision=None)
        return goal.check(len(store.campaign.cases))


def _entries(targets: list[str], sets: Sets, seed: int, real: int, out: str | None) -> list[Entry]:
    """Stores as they are, and all missions together as one campaign."""
    from mcrisk.campaign import state
    from mcrisk.contest import ASKED, Entry, of_folder
    from mcrisk.results import results_file

    found: list[Entry] = []
    missions: list[str] = []
    for target in targets:
        if named := results_file(target):
            found.append(of_folder(named.parent))
        else:
            missions.append(target)
    if missions:
        campaign = state(load(missions, sets), seed, real)
        found.append(Entry(campaign, folder_of(campaign, out), ASKED))
    elif sets or out is not None:
        raise MistakeError("--set and --out", "missions to fly", "folders of results alone")
    return found


@guarded
def export(
    target: Annotated[str, typer.Argument(metavar="DIR|MISSION", help="Folder of results, or a mission that was run.")],
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE.csv", help="Write one row for each design point.")
    ] = None,
    netcdf: Annotated[str | None, typer.Option("--netcdf", metavar="FILE.nc", help="Write the whole dataset.")] = None,
    mission: Annotated[
        str | None, typer.Option("--mission", metavar="FILE.toml", help="Write the mission of one case, to go on with.")
    ] = None,
    case: Annotated[str, typer.Option(metavar="I", help="Number of that case, from 0.")] = "0",
    sets: Sets = None,
    seed: Seed = "0",
) -> None:
    """Write results for other programs: a table of all design points, the dataset as one file, or one mission."""
    from mcrisk.export import check_files, write, write_mission
    from mcrisk.results import read_results

    place = whole("case", case)
    check_files(csv, netcdf, mission)
    results = results_of(target, sets, seed)
    if mission:  # first: it may be refused
        write_mission(results.parent, place, mission)
    if csv or netcdf:
        write(read_results(results), csv, netcdf)
    for one in (csv, netcdf, mission):
        if one:
            tell(f"written: {visible(one)}")


@guarded
def verify(
    target: Annotated[str, typer.Argument(metavar="DIR|MISSION", help="Folder of results, or a mission to fly.")],
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help='As in "success >= 0.99 @ 0.90"; else [requirements] of the mission. Repeatable.'
        ),
    ] = None,
    runs: Annotated[
        str,
        typer.Option(
            "--runs", "-n", metavar="N", help="Runs of a mission, 10000 if not said; those of a folder, extended."
        ),
    ] = "",
    seed: Seed = "0",
    sets: Sets = None,
    out: Out = None,
    backend: BackendName = "auto",
    cluster: Cluster = "",
    final: Annotated[
        bool, typer.Option("--final", help="Spend the whole risk on this look; no later one can decide.")
    ] = False,
    force_lock: ForceLock = False,
    as_json: Json = False,
) -> int:
    """Judge requirements: PASS (exit code 0), FAIL (1) or UNDECIDED (3), at the stated confidence however often asked.

    Of a sweep each design is judged by itself, and the worst verdict decides the exit code. Every look is noted in the
    store: what a later look may still spend of the risk of a wrong verdict follows from it.
    """
    from dataclasses import replace

    from mcrisk.requirement import parse
    from mcrisk.results import check_store, results_file
    from mcrisk.store import Store

    stated = list(dict.fromkeys(parse(text, "--require") for text in require or ()))
    spec = workplace(cluster, backend, out)
    wanted = asked(whole("runs", runs), "none", "", 1).runs if runs else None
    device, real = flier(spec, backend)
    if named := results_file(target):
        if sets or out is not None:
            raise MistakeError("--set and --out", "a mission to fly", "a folder of results")
        no_seed(seed)
        folder = named.parent
        check_store(folder)
        with Store.read(folder) as store:
            campaign, held = store.campaign, int(store.counts()[0].min())
        _check_look(campaign, stated, folder, final, wanted or 0)
        if wanted and wanted > held:
            goal = replace(_extended(folder, wanted), runs=wanted)
            flown(campaign, goal, device, spec, folder, force_lock=force_lock)
    else:
        from mcrisk.campaign import state

        campaign = state(load([target], sets), whole("seed", seed), real)
        folder, goal = folder_of(campaign, out), asked(wanted or 10_000, "none", "", 1)
        _check_look(campaign, stated, folder, final, goal.runs)
        flown(campaign, goal, device, spec, folder, force_lock=force_lock)
    told = _verdicts(folder, stated, final, force_lock)
    overall = next(one for one in ("FAIL", "UNDECIDED", "PASS") if any(row["verdict"] == one for row in told))
    if as_json:
        worst = next(row for row in told if row["verdict"] == overall)
        print(json.dumps(worst | {"folder": str(folder), "requirements": told}, allow_nan=False))
    else:
        for row in told:
            name = f"{row['case']}: " if len({one["case"] for one in told}) > 1 else ""
            print(f"{row['verdict']}  {name}{row['explanation']}")
        if overall == "UNDECIDED" and not final:
            _say_runs(folder, told, require or [])
    return {"PASS": 0, "FAIL": 1, "UNDECIDED": 3}[overall]


def _check_look(campaign: Campaign, stated: list[Any], folder: Path, final: bool, runs: int) -> None:
    """Refuse, before anything is flown, what could not be judged after `runs` of each case."""
    from mcrisk.requirement import Look, check_final
    from mcrisk.store import JOURNAL, Store

    cases = [(place, one) for place, case in enumerate(campaign.cases) for one in stated or _requirements(case.mission)]
    if not cases:
        remedy = 'say --require "success >= 0.99 @ 0.90"'
        raise MistakeError("requirement", "one, or a table [requirements] in the mission", "none", remedy)
    if not final or not (folder / JOURNAL).is_file() or not (folder / JOURNAL).stat().st_size:
        return
    with Store.read(folder) as store:
        if store.campaign.digest != campaign.digest:
            return  # refused where it is flown
        for place, requirement in cases:
            looks = [Look(**look) for look in store.looks(requirement.text, place)]
            check_final(looks, further=runs > store.goal.runs)
        if store.planned.runs != max(runs, store.goal.runs):
            got = f"{store.planned.runs} at first, {max(runs, store.goal.runs)} now"
            raise MistakeError("--final", "a number of runs fixed before any was seen", got, "leave --final out")


def _verdicts(folder: Path, stated: list[Any], final: bool, force_lock: bool) -> list[dict[str, Any]]:
    """Judge every requirement of every case of a store, and note the look."""
    from dataclasses import asdict

    from mcrisk.requirement import Look, count, judge
    from mcrisk.store import Store

    with Store.read(folder) as store:
        campaign, goal = store.campaign, store.goal
    with Store.written(folder, campaign, goal, force_lock=force_lock) as store:
        runs, _ = store.counts()
        fixed = store.goal.interval_method != "confidence-sequence" and goal.runs == store.planned.runs
        planned = fixed and bool((runs == goal.runs).all())
        told: list[dict[str, Any]] = []
        noted = []
        for place, case in enumerate(campaign.cases):
            tally = store.tally(place, below=store.reached(place))  # how long a run flies depends on how it ends
            if tally is None:
                raise MistakeError(str(folder), "runs to judge", f"none of {case.name}", "resume it first")
            for requirement in stated or _requirements(case.mission):
                looks = [Look(**look) for look in store.looks(requirement.text, place)]
                found = judge(requirement, tally.runs, *count(requirement, tally), looks, final, planned or bool(looks))
                if tally.runs not in [look.runs for look in looks]:
                    noted.append((requirement.text, place, asdict(found.look)))
                told.append({"case": case.name} | found.to_dict())
        for look in noted:  # all or none
            store.note_look(*look)
    return told


def _requirements(mission: str) -> list[Any]:
    """The requirements that the resolved text of a mission states."""
    from mcrisk.config import parse_toml
    from mcrisk.requirement import parse

    table = parse_toml(mission, "mission").get("requirements", {}) if mission else {}
    return [parse(text, f"requirements.{name}") for name, text in table.items()]


def _say_runs(folder: Path, told: list[dict[str, Any]], require: list[str]) -> None:
    """How to go on where a verdict needs more runs."""
    needed = [row["runs_needed"] for row in told if row["verdict"] == "UNDECIDED" and row["runs_needed"]]
    if needed:
        more = max(needed)
        options = [part for text in require for part in ("--require", text)]
        tell(f"about that many runs would decide: {command('verify', str(folder), *options, '--runs', str(more))}")


@guarded
def survive(
    name: Annotated[str, typer.Argument(metavar="MISSION", help="A mission file, or the name of a shipped one.")],
    runs: Annotated[str, typer.Option("--runs", "-n", metavar="N", help="Runs under each fault.")] = "2000",
    seed: Seed = "0",
    sets: Sets = None,
    backend: BackendName = "auto",
    as_json: Json = False,
) -> None:
    """Fly a lander through faults that landers of history had, and tell how often it lands all the same."""
    from mcrisk import precedents
    from mcrisk.progress import Progress

    [mission] = load([name], sets)
    number, world = whole("runs", runs), whole("seed", seed)
    names = [precedents.NONE, *(one.name for one in precedents.applicable(mission))]
    with Progress(number * len(names), names) as progress:
        found = precedents.survive(mission, number, world, backend=backend, progress=progress)
    if as_json:
        print(json.dumps(precedents.answer(mission, found), allow_nan=False))
    else:
        precedents.show(mission, found, console())
