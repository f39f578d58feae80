"""Commands that fly: run, sweep, resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcrisk.errors import ImpossibleDesign, MistakeError, command
from mcrisk.ledger import count, runs_told

from .shared import (
    BackendName,
    Cluster,
    ForceLock,
    Json,
    KeepName,
    MissionNames,
    Out,
    Precision,
    Runs,
    Seed,
    Sets,
    Timeout,
    changes,
    guarded,
    load,
    present,
    seconds,
    tell,
    whole,
    width,
)

if TYPE_CHECKING:
    from mcrisk.backends import AbstractBackend
    from mcrisk.campaign import Campaign
    from mcrisk.clusterfile import ClusterSpec
    from mcrisk.goal import Goal

__all__ = ["fly_into", "resume", "run", "sweep", "workplace"]


@guarded
def run(
    missions: MissionNames,
    runs: Runs = "10000",
    seed: Seed = "0",
    sets: Sets = None,
    out: Out = None,
    backend: BackendName = "auto",
    cluster: Cluster = "",
    keep: KeepName = "none",
    precision: Precision = "",
    timeout: Timeout = "",
    force_lock: ForceLock = False,
    as_json: Json = False,
) -> int:
    """Fly missions through many random worlds and tell how many landings succeed, and why the others do not."""
    goal = asked(whole("runs", runs), keep, precision, len(missions))
    number, limit = whole("seed", seed), seconds("timeout", timeout)
    spec = workplace(cluster, backend, out)
    loaded = load(missions, sets)

    from mcrisk.campaign import state

    device, real = flier(spec, backend)
    return fly_into(state(loaded, number, real), goal, device, spec, out, as_json, limit, force_lock)


@guarded
def sweep(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study file, or the name of a shipped one.")],
    runs: Annotated[str, typer.Option("--runs", "-n", metavar="N", help="Runs of each design; else the study's.")] = "",
    seed: Annotated[str, typer.Option(metavar="S", help="Seed of the random worlds; without it the study's.")] = "",
    sets: Sets = None,
    out: Out = None,
    backend: BackendName = "auto",
    cluster: Cluster = "",
    keep: KeepName = "none",
    precision: Precision = "",
    timeout: Timeout = "",
    force_lock: ForceLock = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell cases, runs, time and size.")] = False,
    as_json: Json = False,
) -> int:
    """Fly every design of a study through the same random worlds and tell how many landings succeed along its axes."""
    from mcrisk.study import load_study

    stated = load_study(study, changes(sets or ()))
    wanted = whole("runs", runs) if runs else stated.runs if stated.runs is not None else 10_000
    number = whole("seed", seed) if seed else stated.seed or 0
    goal = asked(wanted, keep, precision, len(stated))
    limit = seconds("timeout", timeout)
    spec = workplace(cluster, backend, out)

    from mcrisk.campaign import state_study

    def designed(real: int) -> Campaign:
        try:
            return state_study(stated, number, real)
        except ImpossibleDesign as refusal:
            if len(stated) == 1:
                raise
            first = f"the first of them is {refusal}"
            raise ImpossibleDesign(f"{stated.file}: none of {len(stated)} designs can fly; {first}") from refusal

    if dry_run:
        from mcrisk.backends import choose

        device = choose(backend)
        return _foretell(designed(device.real), goal, device, spec, as_json)
    flies, real = flier(spec, backend)
    return fly_into(designed(real), goal, flies, spec, out, as_json, limit, force_lock)


@guarded
def resume(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of an interrupted campaign.")],
    runs: Annotated[
        str,
        typer.Option("--runs", "-n", metavar="N", help="Runs of each case, where more are wanted than were asked for."),
    ] = "",
    backend: BackendName = "auto",
    cluster: Cluster = "",
    precision: Precision = "",
    timeout: Timeout = "",
    force_lock: ForceLock = False,
    as_json: Json = False,
) -> int:
    """Go on where a campaign was interrupted, with the designs that its journal holds, or extend it by more runs."""
    from dataclasses import replace

    from mcrisk.results import check_store
    from mcrisk.store import Store

    limit = seconds("timeout", timeout)
    spec = workplace(cluster, backend, None)
    wanted = asked(whole("runs", runs), "none", "", 1).runs if runs else 0
    if not folder:
        raise MistakeError("DIR", "a folder of results", "nothing")
    check_store(Path(folder))
    with Store.read(Path(folder)) as store:
        campaign, goal = store.campaign, store.goal
    if wanted:
        goal = replace(goal, runs=max(goal.runs, wanted))
    if precision:
        goal = replace(goal, precision=width(precision))
    goal.check(len(campaign.cases))
    device, _ = flier(spec, backend)
    return fly_into(campaign, goal, device, spec, folder, as_json, limit, force_lock)


def asked(runs: int, keep: str, precision: str, cases: int) -> Goal:
    """The goal that options state; refuses one that cannot be meant."""
    from mcrisk.goal import Goal

    return Goal(runs, keep, width(precision)).check(cases)  # type: ignore[arg-type]


def workplace(cluster: str, backend: str, out: str | None) -> ClusterSpec:
    """Who flies; refuses wrong options before anything is loaded."""
    from mcrisk.backends import check_name
    from mcrisk.clusterfile import read_cluster

    check_name(backend)
    if out == "":
        raise MistakeError("--out", "a folder", "nothing")
    return read_cluster(cluster)


def flier(spec: ClusterSpec, backend: str) -> tuple[AbstractBackend | str, int]:
    """The device of this process, or the name by which the workers of a cluster choose theirs; bytes of its numbers."""
    from mcrisk.clusterfile import OWN

    if spec.kind not in OWN:
        return backend, 4
    from mcrisk.backends import choose

    device = choose(backend)
    return (device if spec.kind == "local" else device.name), device.real


def fly_into(
    campaign: Campaign,
    goal: Goal,
    device: AbstractBackend | str,
    spec: ClusterSpec,
    out: str | None,
    as_json: bool,
    timeout: float | None = None,
    force_lock: bool = False,
) -> int:
    """Fly a campaign, or find it flown, and present its answer; the exit code."""
    folder = folder_of(campaign, out)
    found = flown(campaign, goal, device, spec, folder, timeout, force_lock)
    return present(found, folder, as_json)


def folder_of(campaign: Campaign, out: str | None) -> Path:
    """Where a campaign goes."""
    from mcrisk.results import default_folder

    return Path(out) if out is not None else default_folder(campaign)


def flown(
    campaign: Campaign,
    goal: Goal,
    device: AbstractBackend | str,
    spec: ClusterSpec,
    folder: Path,
    timeout: float | None = None,
    force_lock: bool = False,
) -> Any:
    """The dataset of a campaign: found in its folder, or flown into it."""
    from mcrisk import results
    from mcrisk.api import check_folder, fly
    from mcrisk.backends import announce

    found = results.present(folder, campaign, goal)
    if found is not None:
        tell(f"{folder} has {runs_told(results.flown_runs(found))} of this campaign already")
    else:
        check_folder(folder)
        if not isinstance(device, str):
            announce("gpu" if device.name == "gpu" else "auto")
    for one in campaign.impossible:
        tell(f"{one.name} is left out: {one.reason}")
    if found is not None:
        return found
    who = f"backend {device}" if isinstance(device, str) else f"backend {device.name} ({device.describe()})"
    where = "" if spec.kind == "local" else f" on {spec.described}"
    most = f" at most, precision {100 * goal.precision:g} %" if goal.precision else ""
    tell(
        f"{campaign.name}: {runs_told(goal.runs)}{' of each' if len(campaign.cases) > 1 else ''}{most}, "
        f"seed {campaign.seed}, {who}{where}, confidence {goal.confidence:g}, keep {goal.keep}, into {folder}"
    )
    from mcrisk.progress import Progress

    try:
        with Progress(goal.runs * len(campaign.cases), [case.name for case in campaign.cases]) as progress:
            found = fly(
                campaign, goal, device, folder=folder, progress=progress, cluster=spec, timeout=timeout,
                force_lock=force_lock, tell=tell,
            )  # fmt: skip
        if timeout is not None and not found.attrs.get("complete", 1):
            tell(f"stopped by --timeout {timeout:g} s")
        if goal.precision is not None and (wide := results.wider(found, goal.precision)):
            limit = f"precision {100 * goal.precision:g} %"
            tell(f"{limit} is not reached by {wide} within {runs_told(goal.runs)}; allow more --runs")
        return found
    except KeyboardInterrupt:
        tell(f"everything that was flown is kept; {command('resume', str(folder))} goes on")
        raise


def _foretell(campaign: Campaign, goal: Goal, device: AbstractBackend, spec: ClusterSpec, as_json: bool) -> int:
    """Print what a campaign would take: the rate is that of a short flight of its first design on this machine."""
    from mcrisk.execute import foretell

    told = foretell(campaign, goal, device)
    if as_json:
        print(json.dumps(told))
        return 0
    impossible = f", {told['impossible']} impossible" if told["impossible"] else ""
    most = " at most" if goal.precision else ""
    elsewhere = "" if spec.kind == "local" else f" on this machine, not on {spec.described}"
    print(
        f"{campaign.name}: {count(told['cases'])} designs{impossible}, {runs_told(told['runs'])} of each{most}, "
        f"{runs_told(told['runs_in_all'])} in all\nabout {told['seconds']:.0f} s at {count(round(told['runs_per_s']))} "
        f"runs/s{elsewhere} ({device.describe()}); a store of about {told['bytes'] / 1e6:.1f} MB"
    )
    for one in campaign.impossible:
        print(f"{one.name} is impossible: {one.reason}")
    return 0
