"""Results that are there already: found by folder, file or campaign, whole or as far as the journal goes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mcrisk.campaign import SCHEMA_VERSION
from mcrisk.errors import InfrastructureError, MistakeError, command, suggestion, visible

if TYPE_CHECKING:
    import xarray as xr

    from mcrisk.campaign import Campaign
    from mcrisk.flight import Keep
    from mcrisk.goal import Goal
    from mcrisk.store import Store

__all__ = [
    "RESULTS",
    "campaign_at",
    "check_store",
    "default_folder",
    "flown_runs",
    "kept_files",
    "of_store",
    "present",
    "reached",
    "read_results",
    "results_file",
    "stale_files",
]

RESULTS = "results.nc"


def default_folder(campaign: Campaign) -> Path:
    """Where a campaign goes without --out."""
    return Path("mcrisk-runs") / campaign.folder


def results_file(target: str) -> Path | None:
    """The results file that a user means by a folder or a file name; None for a mission."""
    from mcrisk.config import NAME, lies_at, shipped

    if target.endswith(".nc"):
        return Path(target)
    if lies_at(Path(target)) == "a folder":
        return Path(target) / RESULTS
    if os.sep in target and not target.endswith(".toml"):
        what = lies_at(Path(target))
        got = "no such folder" if what == "no such file" else what
        raise MistakeError(f"'{visible(target)}'", "a folder of results, or a mission", got)
    if NAME.fullmatch(target) and not target.endswith(".toml") and target not in (known := shipped()):
        what = lies_at(Path(target))
        got = "no such folder and no such mission" if what == "no such file" else what
        got = "a study" if target in shipped("studies") else got
        remedy = suggestion(target, known) or f"missions: {', '.join(known)}"
        raise MistakeError(f"'{target}'", "a folder of results, or a mission", got, remedy)
    return None


def check_store(folder: Path) -> None:
    """Refuse what is no folder with a journal, and tell what it is."""
    from mcrisk.config import lies_at
    from mcrisk.store import JOURNAL

    if (what := lies_at(folder)) != "a folder":
        got = "no such folder" if what == "no such file" else what
        remedy = f"name the folder {folder.parent}" if folder.name in (RESULTS, JOURNAL) else ""
        raise MistakeError(visible(str(folder)), "a folder of results", got, remedy)
    if lies_at(folder / JOURNAL) == "a file":
        return
    if lies_at(folder / RESULTS) == "a file":
        remedy = f"run its mission again; {command('show', str(folder))} shows the results"
        raise MistakeError(visible(str(folder)), f"a folder with {JOURNAL}", f"{RESULTS} without it", remedy)
    raise MistakeError(visible(str(folder)), "a folder of results", f"one without {JOURNAL}")


def read_results(path: Path) -> xr.Dataset:
    """The dataset of a campaign; refuses other files that mcrisk writes.

    Where a campaign was interrupted, the dataset of what its journal holds, with the attribute `complete` 0.
    """
    from mcrisk import netcdf
    from mcrisk.store import JOURNAL, Store

    if path.name == RESULTS and (path.parent / JOURNAL).is_file() and not _whole(path):
        with Store.read(path.parent) as store:
            return of_store(store)
    dataset = netcdf.read(path)
    if "success_count" not in dataset:
        raise MistakeError(str(path), "results of a campaign", "single runs", "name the folder, or its results.nc")
    if (version := int(dataset.attrs.get("schema_version", 0))) != SCHEMA_VERSION:
        remedy = "run the campaign again"
        raise MistakeError(str(path), f"results of version {SCHEMA_VERSION}", f"version {version}", remedy)
    return dataset


def campaign_at(path: Path) -> Campaign:
    """The campaign of a results file, as it was flown; heights of an elevation model are in the journal beside it."""
    from mcrisk.campaign import digest_of
    from mcrisk.dataset import campaign_of
    from mcrisk.store import JOURNAL, Store

    dataset = read_results(path)
    if not any("heights_sha256" in one for one in json.loads(dataset.attrs["statement"])["cases"]):
        return campaign_of(dataset)
    if not (path.parent / JOURNAL).is_file():
        expected, remedy = f"{JOURNAL} beside it, which holds the ground that was flown over", "replay the mission"
        raise MistakeError(str(path), expected, "no such file", remedy)
    with Store.read(path.parent) as store:
        heights = {digest_of(case.heights).hex(): case.heights for case in store.campaign.cases if case.heights}
    return campaign_of(dataset, heights)


def present(folder: Path, campaign: Campaign, goal: Goal) -> xr.Dataset | None:
    """The whole results in a folder, if they are of this campaign and enough; refuses those of another."""
    from mcrisk import netcdf
    from mcrisk.config import lies_at
    from mcrisk.lock import LOCK
    from mcrisk.store import JOURNAL, Store

    files = (RESULTS, JOURNAL, LOCK, *kept_files(goal.keep, len(campaign.cases)))
    lies = {name: lies_at(folder / name) for name in files}
    for name, what in lies.items():
        if what not in ("a file", "no such file"):
            raise MistakeError(visible(str(folder / name)), "a file, or nothing", what, "move it away")
    if lies[JOURNAL] == "a file" and (folder / JOURNAL).stat().st_size:
        with Store.read(folder) as store:
            theirs, ours = store.campaign.digest, campaign.digest
            goal = goal.after(store.goal)
        if theirs != ours:
            remedy = "choose another --out"
            raise MistakeError(str(folder), f"campaign {ours[:8]}", f"results of {theirs[:8]}", remedy)
    if lies[RESULTS] != "a file":
        return None
    try:
        found = netcdf.read(folder / RESULTS)
    except InfrastructureError:
        if lies[JOURNAL] == "a file":
            return None  # the journal has what it was made from
        remedy = "move it away, or choose another --out"
        path = visible(str(folder / RESULTS))
        raise MistakeError(path, "whole results of this campaign, or none", "another file", remedy) from None
    if found.attrs.get("campaign") != campaign.digest:
        theirs, ours = str(found.attrs.get("campaign", "another kind"))[:8], campaign.digest[:8]
        raise MistakeError(str(folder), f"campaign {ours}", f"results of {theirs}", "choose another --out")
    kept = (folder / name for name in kept_files(goal.keep, len(campaign.cases)))
    same = found.attrs["statement"] == json.dumps(campaign.describe(), sort_keys=True)  # names and labels, too
    told = (float(found.attrs["confidence"]), found.attrs["interval_method"])
    as_asked = same and told == (goal.confidence, goal.interval_method)
    return found if as_asked and reached(found, goal) and all(_keeps(path, campaign, found) for path in kept) else None


def reached(dataset: xr.Dataset, goal: Goal) -> bool:
    """Whether every case has all the runs that a goal asks for."""
    from mcrisk.dataset import flown_counts

    return all(goal.target(runs, landed) <= runs for runs, landed in flown_counts(dataset))


def wider(dataset: xr.Dataset, precision: float) -> str:
    """The designs whose success interval is wider than this, in words; nothing where there are none."""
    from mcrisk.dataset import design_points

    names = [
        str(point["case"].item())
        for point in design_points(dataset)
        if float(point["success_interval"][1] - point["success_interval"][0]) > precision
    ]
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)


def kept_files(keep: Keep, cases: int) -> list[str]:
    """Names of the files of kept records, one per case.

    >>> kept_files("losses", 1), kept_files("all", 2), kept_files("none", 2)
    (['losses.nc'], ['all-0.nc', 'all-1.nc'], [])
    """
    if keep == "none":
        return []
    return [f"{keep}.nc"] if cases == 1 else [f"{keep}-{case}.nc" for case in range(cases)]


def stale_files(folder: Path, campaign: Campaign, results: xr.Dataset, keep: Keep) -> list[Path]:
    """Files in which records were kept otherwise than now, and of other runs than those of the results."""
    others = {"losses": "all", "all": "losses"}
    names = kept_files(others[keep], len(campaign.cases)) if keep in others else []  # type: ignore[arg-type]
    return [path for name in names if (path := folder / name).is_file() and not _keeps(path, campaign, results)]


def flown_runs(dataset: xr.Dataset) -> int:
    """Runs of each case that was flown, the least of them."""
    from mcrisk.dataset import flown_counts

    return min(runs for runs, _ in flown_counts(dataset))


def _keeps(path: Path, campaign: Campaign, results: xr.Dataset) -> bool:
    """Whether this file is whole and holds the kept records of just these runs."""
    from mcrisk import netcdf
    from mcrisk.dataset import flown_counts

    try:
        attrs = netcdf.read(path).attrs
    except (InfrastructureError, MistakeError):
        return False
    runs = flown_counts(results)[int(attrs.get("case_number", 0))][0]
    return bool(attrs["campaign"] == campaign.digest and attrs.get("runs_flown") == runs)


def _whole(path: Path) -> bool:
    """Whether the results are there and hold all that the journal was asked for."""
    from mcrisk import netcdf
    from mcrisk.store import Store

    try:
        found = netcdf.read(path)
    except (InfrastructureError, MistakeError):
        return False
    with Store.read(path.parent) as store:
        ours = "success_count" in found and found.attrs.get("campaign") == store.campaign.digest
        return ours and reached(found, store.goal)


def of_store(store: Store, backend: str = "", elapsed: float = 0.0, runs_new: int = 0) -> xr.Dataset:
    """The dataset of what a store holds now. elapsed: [s] of the flight that ends now and flew `runs_new` of the runs.

    Where that is less than was asked for, its attribute `complete` is 0; `runs_wanted` (of each case, at most) and
    `cases_complete` tell how far it is.
    """
    from mcrisk.dataset import flown_counts, from_tallies

    goal, cases = store.goal, range(len(store.campaign.cases))
    dataset = from_tallies(
        store.campaign, map(store.tally, cases), backend=backend, elapsed=elapsed, runs_new=runs_new,
        confidence=goal.confidence, method=goal.interval_method,
    )  # fmt: skip
    done = sum(goal.target(runs, landed) <= runs for runs, landed in flown_counts(dataset))
    if done < len(cases):
        dataset.attrs |= {"complete": 0, "runs_wanted": goal.runs, "cases_complete": done}
    return dataset
