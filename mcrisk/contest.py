"""Which designs are compared: missions, and cases of stores, all of the same random worlds, with their landings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcrisk.campaign import Campaign
from mcrisk.errors import MistakeError, visible
from mcrisk.store import JOURNAL, Store

if TYPE_CHECKING:
    from mcrisk.duel import Design

__all__ = ["ASKED", "Entry", "check_worlds", "common_runs", "designs", "named", "of_folder", "reached"]

ASKED = "as asked now"  # label of missions beside stores


@dataclass(frozen=True)
class Entry:
    """A campaign whose cases are compared, in its folder or, without one, in memory."""

    campaign: Campaign
    folder: Path | None = None
    label: str = ""  # before the names of its cases, where several campaigns have the same


def of_folder(folder: Path) -> Entry:
    """The cases of a store."""
    from mcrisk.results import check_store

    check_store(folder)
    with Store.read(folder) as store:
        return Entry(store.campaign, folder, str(folder))


def reached(entry: Entry) -> int:
    """The runs, from 0 on, that every case of it has."""
    if entry.folder is None or not (entry.folder / JOURNAL).is_file():
        return 0
    with Store.read(entry.folder) as store:
        return min(store.reached(place) for place in range(len(entry.campaign.cases)))


def common_runs(entries: Sequence[Entry]) -> int | None:
    """The runs that all stores among the entries have; None without a store. Refuses one that has none to compare."""
    found = []
    for entry in entries:
        if entry.folder is not None and (entry.folder / JOURNAL).is_file():
            found.append(reached(entry))
            if not found[-1] and entry.label != ASKED:
                where = visible(str(entry.folder))
                raise MistakeError(where, "runs of every design", "some without any", "resume it first, or say --runs")
    return min((runs for runs in found if runs), default=None)


def check_worlds(entries: Sequence[Entry]) -> None:
    """Refuse designs that did not meet the same worlds: another seed or other kernels."""
    for entry in entries[1:]:
        first = entries[0].campaign
        asked = entry.label == ASKED
        where = visible(entry.campaign.name if asked else str(entry.folder))
        if entry.campaign.seed != first.seed:
            remedy = f"give seed {first.seed}" if asked else "fly it with that seed"
            raise MistakeError(f"{where}: seed", f"{first.seed}, as the first", str(entry.campaign.seed), remedy)
        if entry.campaign.kernel_digest != first.kernel_digest:
            theirs, ours = entry.campaign.kernel_digest[:8], first.kernel_digest[:8]
            raise MistakeError(f"{where}: kernels", ours, theirs, "fly both with the same mcrisk")


def named(entries: Sequence[Entry]) -> list[str]:
    """A name for every case, that differs from the others where the entries do."""
    names = [case.name for entry in entries for case in entry.campaign.cases]
    lead = {name.partition(": ")[0] for name in names}
    short = len(lead) == 1 and all(": " in name for name in names)  # of one mission: only what differs is named
    found: list[str] = []
    for entry in entries:
        for case in entry.campaign.cases:
            name = case.name.partition(": ")[2] if short else case.name
            found.append(f"{entry.label}: {name}" if names.count(case.name) > 1 else name)
    return found


def designs(stores: Sequence[tuple[Entry, Store]], runs: int) -> list[Design]:
    """Every case with its landings of runs 0 to runs - 1, under names that differ."""
    names = iter(named([entry for entry, _ in stores]))
    return [
        (next(names), store.landed(place, runs), dict(case.coords))
        for entry, store in stores
        for place, case in enumerate(entry.campaign.cases)
    ]
