"""Faults that landers have died of, or nearly: a lander of today flown through each of them.

Each precedent states the fault alone, on any lander: its own sensors, guidance and gear answer it. Sources: operators'
reports, named in the mission files of the same landers; Mars Polar Lander: JPL D-18709 (2000).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import MistakeError

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

    from .mission import Mission
    from .progress import Progress

__all__ = ["PRECEDENTS", "Precedent", "answer", "applicable", "show", "survive"]

NONE = "none"  # the design without any of them


@dataclass(frozen=True)
class Precedent:
    """One fault of history: `changes` by parameter path, for a lander that has what `needs` names as positive."""

    name: str
    lander: str
    happened: str
    changes: Mapping[str, Any]
    needs: str = ""


def _struck(fault: str, **trigger: Any) -> dict[str, Any]:
    return {f"faults.{fault}.probability": 1.0} | {f"faults.{fault}.{name}": value for name, value in trigger.items()}


PRECEDENTS = (
    Precedent("late_altimetry", "HAKUTO-R M2, 2025", "no valid range above 900 m",
              _struck("altimeter_late", until="900 m"), "altimeter.fitted"),
    Precedent("no_altimetry", "IM-1, 2024", "no range at all", _struck("altimeter_never"), "altimeter.fitted"),
    Precedent("rim_on_the_track", "HAKUTO-R M1, 2023", "ground falls by 3 km on the way in, unmapped",
              {"terrain.step_height": "3 km", "terrain.step_range": "18 km", "terrain.step_width": "8 km"}),
    Precedent("nozzle_loss", "SLIM, 2024", "main engine at 55 % of its thrust below 50 m, propellant flows on",
              _struck("main_loss", below="50 m") | {"faults.main_loss_share": 0.45, "faults.main_loss_flow": 1.0},
              "propulsion.main.thrust"),
    Precedent("cluster_engine_loss", "SLIM, 2024", "one cluster engine out below 50 m",
              _struck("cluster_loss", below="50 m"), "propulsion.cluster.count"),
    Precedent("thrust_above_command", "Chandrayaan-2, 2019", "10 % more thrust than asked for from the approach on",
              _struck("thrust_excess", phase="approach") | {"faults.thrust_excess_share": 0.1}),
    Precedent("computer_reset", "Beresheet, 2019", "computer and engines down for 10 s at 14 km",
              _struck("computer_reset", below="14 km", duration="10 s")),
    Precedent("velocimeter_loss", "Surveyor 3, 1967", "no velocity below 100 m",
              _struck("velocimeter_loss", below="100 m"), "velocimeter.fitted"),
    Precedent("missing_cut_off", "Surveyor 3, 1967", "no touch is felt, engines burn on", _struck("touch_missed")),
    Precedent("false_touch", "Mars Polar Lander, 1999", "a false touch signal is heeded below 40 m",
              _struck("touch_false")),
    Precedent("steep_ground", "Apollo 15, 1971", "11 deg more slope under the feet", {"terrain.slope": "11 deg"}),
)  # fmt: skip


def applicable(mission: Mission) -> tuple[Precedent, ...]:
    """The precedents that can happen to this lander."""
    return tuple(one for one in PRECEDENTS if not one.needs or mission.value(one.needs) > 0)


def survive(
    mission: Mission | str | Path,
    runs: int | float = 2000,
    seed: int = 0,
    *,
    backend: str = "auto",
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> xr.Dataset:
    """The landing risk of a lander under each precedent that applies to it: dim `precedent`, the first of them `none`.

    The dataset of `sweep`, with dim `design` renamed, and coordinates `lander` and `happened` that tell the story. All
    fly on the same random worlds. A precedent counts beside what the mission itself disperses and strikes; where it
    sets a dispersed value, the scatter stays.

    Raises MistakeError for a mission that is none, and ImpossibleDesign for one that cannot fly.
    """
    from .api import sweep
    from .mission import load

    loaded = load(mission) if isinstance(mission, (str, Path)) else mission
    told = applicable(loaded)
    if not told:
        raise MistakeError(f"{loaded.name}: no precedent applies to it")
    first = next(iter(told[0].changes))
    unchanged = {first: loaded.value(first)}
    designs = {NONE: unchanged} | {one.name: dict(one.changes) for one in told}
    found = sweep(
        loaded, designs=designs, runs=runs, seed=seed, backend=backend, confidence=confidence, progress=progress
    ).rename(design="precedent")
    lander, happened = (["", *(getattr(one, name) for one in told)] for name in ("lander", "happened"))
    return found.assign_coords(lander=("precedent", lander), happened=("precedent", happened))


def answer(mission: Mission, found: xr.Dataset) -> dict[str, Any]:
    """The result of `survive`, ready for JSON; `losses` by outcome, the most frequent first."""
    cases = []
    for name in found["precedent"].values:
        one = found.sel(precedent=name)
        lost = one["outcome_count"].drop_sel(outcome="success")
        losses = zip(lost["outcome"].values.tolist(), lost.values.tolist(), strict=True)
        cases.append(
            {
                "precedent": str(name),
                "lander": str(one["lander"].item()),
                "happened": str(one["happened"].item()),
                "runs": int(one["runs"]),
                "success_count": int(one["success_count"]),
                "success_probability": float(one["success_probability"]),
                "success_interval": [float(bound) for bound in one["success_interval"].values],
                "losses": {outcome: many for outcome, many in sorted(losses, key=lambda pair: -pair[1]) if many},
            }
        )
    return {
        "mission": mission.name,
        "seed": int(found.attrs["seed"]),
        "confidence": found.attrs["confidence"],
        "cases": cases,
    }


def show(mission: Mission, found: xr.Dataset, console: Console) -> None:
    """Print one line for each precedent: the share that lands with its interval, and the most frequent loss."""
    from .sheet import table_of

    told = answer(mission, found)
    console.print(
        f"{mission.name} under faults of history, {told['cases'][0]['runs']} runs each on the same random worlds"
    )
    table = table_of("fault", "as of", "what happens", ">lands", "interval", "most are lost by")
    for one in told["cases"]:
        low, high = (100 * bound for bound in one["success_interval"])
        table.add_row(
            one["precedent"], one["lander"], one["happened"], f"{100 * one['success_probability']:.1f} %",
            f"{low:.1f} to {high:.1f} %", next(iter(one["losses"]), "-"),
        )  # fmt: skip
    console.print(table)
    shown = [one.name for one in PRECEDENTS if one not in applicable(mission)]
    if shown:
        console.print(f"not for this lander: {', '.join(shown)}")
