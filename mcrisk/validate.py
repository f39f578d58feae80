"""Validation against flown missions: reported figure, simulated figure, agreement, and the reason where they differ.

Conditions taken from reports, chosen so that the model meets them, and therefore no validation: the speed at which
RESILIENCE met its range finder (`navigation.radial_offset` of hakuto_r_m2); that Mission 1 used its range finder before
the rim (`navigation.gate_sigma` 8: with 5 most runs refuse it on the highland); speed and time of main-engine off of
Blue Ghost (its gate). Sources and confidence letters stand in the mission files.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import ground, pages, params, risk, scripting
from .mission import load
from .nominal import design
from .schema import load_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Flight", "Fly", "Row", "band", "flyer", "inside", "main", "markdown", "table"]

BAND = (0.05, 0.5, 0.95)
WORDS = {True: "yes", False: "no", None: "-"}


@dataclass(frozen=True)
class Flight:
    """Records of one mission, with changes, over a number of runs."""

    name: str
    changes: Mapping[str, Any]
    records: NDArray[np.void]

    @property
    def landed(self) -> int:
        return int(np.sum(self.records["outcome"] == load_schema().enums["Outcome"]["success"]))

    @property
    def success(self) -> str:
        """Share that lands, with its 95 % Clopper-Pearson interval."""
        runs = len(self.records)
        lower, upper = risk.interval(self.landed, runs)
        return f"{100 * self.landed / runs:.1f} % ({100 * lower:.1f} to {100 * upper:.1f} %)"

    @property
    def share(self) -> float:
        return self.landed / len(self.records)

    def band(self, field: str, unit: str = "", where: NDArray[np.bool_] | None = None, scale: float = 1.0) -> str:
        """Median and 5 to 95 % band of a record field over the runs where it happened."""
        values = self.records[field] if where is None else self.records[field][where]
        return band(values[values != -1] * scale, unit)

    def median(self, field: str) -> float:
        values = self.records[field]
        return float(np.median(values[values != -1]))

    def losses(self) -> str:
        """The three most frequent losses by outcome and cause."""
        schema = load_schema()
        outcomes, causes = schema.enums["Outcome"], schema.enums["Cause"]
        pairs = Counter(
            (outcomes.member(int(one["outcome"])), causes.member(int(one["cause"])))
            for one in self.records
            if one["outcome"] != outcomes["success"]
        )
        return (
            ", ".join(f"{outcome} by {cause} {number}" for (outcome, cause), number in pairs.most_common(3)) or "none"
        )


def band(values: NDArray[Any], unit: str) -> str:
    """`43 (29 to 56) m/s`: median and 5 to 95 % band."""
    if not len(values):
        return "did not happen"
    low, middle, high = (f"{one:.3g}" for one in np.quantile(values.astype(float), BAND))
    return f"{middle} ({low} to {high}) {unit}".strip()


def inside(values: NDArray[Any], reported: float) -> bool:
    """Whether a reported figure lies in the 5 to 95 % band."""
    low, _, high = np.quantile(values.astype(float), BAND)
    return bool(low <= reported <= high)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    mission: str
    figure: str
    reported: str
    simulated: str
    agrees: bool | None  # None: nothing to agree with
    remark: str = ""


def flyer(runs: int, seed: int, tell: Callable[[str], None] = print) -> Fly:
    """`fly(name, changes)`: records of one mission with changes; the same worlds every time."""
    from .backends.cpu import CpuBackend

    backend = CpuBackend()

    def fly(name: str, changes: Mapping[str, Any] | None = None) -> Flight:
        tell(f"flying {name} {dict(changes or {})}")
        designed = design(load(name).replace(changes or {}))
        packed, heights = params.pack(designed, backend.real), ground.of(designed).heights
        return Flight(name, changes or {}, backend.run(packed, seed, 0, runs, heights))

    return fly


def markdown(rows: Iterable[Row], runs: int, seed: int) -> str:
    """Rows as a table."""
    lines = [
        f"{runs} runs each, seed {seed}; shares with 95 % interval, figures as median (5 to 95 %).",
        "",
        "| mission | figure | reported or expected | simulated | agrees | remark |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.mission} | {row.figure} | {row.reported} | {row.simulated} | {WORDS[row.agrees]} | {row.remark} |"
            for row in rows
        ),
    ]
    return "\n".join(lines)


def table(runs: int, seed: int, tell: Callable[[str], None] = print) -> str:
    """The validation table as Markdown, from runs of this kernel."""
    fly = flyer(runs, seed, tell)
    return markdown([*_resilience(fly), *_mission_one(fly), *_blue_ghost(fly)], runs, seed)


Fly = Callable[..., Flight]
RETAINED = {"guidance.main_off_height": "0 m"}


def _resilience(fly: Fly) -> list[Row]:
    name = "HAKUTO-R M2"
    designed, late, flown = (
        fly("hakuto_r_m2_as_designed"),
        fly("hakuto_r_m2_late_rangefinder"),
        fly("hakuto_r_m2"),
    )
    late_retained, flown_retained = fly("hakuto_r_m2_late_rangefinder", RETAINED), fly("hakuto_r_m2", RETAINED)
    speeds = late.records["speed_middle"]
    fast = int(np.sum(speeds >= 66.0))
    lower, upper = risk.interval(fast, len(speeds))
    drop = 100 * (designed.share - late.share)
    ranges = [600.0, 900.0, 1200.0, 1600.0, 2200.0, 3000.0, 5000.0]
    swept = [fly("hakuto_r_m2_as_designed", {"altimeter.range_max": one}) for one in ranges]
    tops = [risk.interval(one.landed, len(one.records)) for one in swept]
    monotone = all(tops[k][0] <= tops[k + 1][1] for k in range(len(tops) - 1))
    assist = "after the fix it is below its main-off height of 1 km and brakes with 1.2 kN of assist engines alone, "
    return [
        Row(name, "as designed lands", "above 85 % (expected)", designed.success, designed.share > 0.85,
            designed.losses()),
        Row(name, "late range finder alone lands", "half to most", late.success, 0.4 < late.share < designed.share,
            f"{drop:.1f} points fewer; {late.losses()}"),
        Row(name, "P(speed at 893 m >= 66 m/s), late", "plausible, not typical",
            f"{100 * fast / len(speeds):.1f} % ({100 * lower:.1f} to {100 * upper:.1f} %)",
            0.01 < fast / len(speeds) < 0.2,
            "the median is 45 m/s; 66 m/s takes a height error beyond 2.5 sigma of the orbit knowledge assumed (E)"),
        Row(name, "late range finder, main engine retained", "-", late_retained.success, None,
            "4.1 m/s2 of thrust instead of 3.1: the main-off rule decides"),
        Row(name, "as flown lands", "below 5 % (crashed)", flown.success, flown.share < 0.05, flown.losses()),
        Row(name, "as flown, speed when the range finder came on", "up to 66 m/s, M (entry condition)",
            flown.band("acquisition_speed", "m/s"), None, "taken from the report"),
        Row(name, "as flown, speed at 900 m", "66 m/s, M", flown.band("speed_high", "m/s"),
            abs(flown.median("speed_high") - 66) < 5),
        Row(name, "as flown, speed at 192 m", "42 m/s, S", flown.band("speed_low", "m/s"),
            abs(flown.median("speed_low") - 42) < 5,
            assist + "3.1 m/s2; the reported speeds need 3.47 m/s2, between that and all engines"),
        Row(name, "as flown, impact speed", "about 32.5 m/s, E", flown.band("impact_speed", "m/s"),
            abs(flown.median("impact_speed") - 32.5) < 6, "same reason"),
        Row(name, "as flown, main engine retained", "-", flown_retained.success, None, "for comparison"),
        Row(name, "powered descent", "about 13 min, O", designed.band("flight_time", "min", scale=1 / 60),
            abs(designed.median("flight_time") / 60 - 13) < 1),
        Row(name, "success over acquisition range 0.6, 0.9, 1.2, 1.6, 2.2, 3, 5 km", "rises",
            ", ".join(f"{100 * one.share:.1f}" for one in swept) + " %", monotone, "monotone within the intervals"),
    ]  # fmt: skip


def _mission_one(fly: Fly) -> list[Row]:
    name = "HAKUTO-R M1"
    flown, level = fly("hakuto_r_m1"), fly("hakuto_r_m1_original_site")
    reset = fly("hakuto_r_m1", {"navigation.gate_policy": "reset"})
    aware = fly("hakuto_r_m1", {"navigation.gate_policy": "dem_aware"})
    axis = fly("hakuto_r_m1", {"altimeter.beam_B": [0, 0, -1]})
    short = fly("hakuto_r_m1", {"altimeter.range_max": "5 km"})
    fooled = (flown.records["false_ground_height"] > 100) & (flown.records["depletion_time"] > 0)
    wait = flown.records["depletion_time"][fooled] - flown.records["false_ground_time"][fooled]
    locked = load_schema().enums["Cause"]["altimeter_rejected"]

    def rejected(flight: Flight) -> str:
        return f"{100 * np.mean(flight.records['cause'] == locked):.1f} %"

    sides = [fly("hakuto_r_m1", {"terrain.step_range": f"{edge - 4} km"}) for edge in (16, 22, 41, 70)]
    tactical = "uncalibrated inertial unit: height is uncertain by 0.8 km when the first range comes late"
    return [
        Row(name, "as flown lands", "0 (crashed)", flown.success, flown.share < 0.05, flown.losses()),
        Row(name, "true height when it believed to be on the ground", "about 5 km, M",
            flown.band("false_ground_height", "km", fooled, 1e-3),
            inside(flown.records["false_ground_height"][fooled], 5000),
            "the 3 km step of the ground; what is published does not explain the other 2 km"),
        Row(name, "lost to the gate coming from north, north-east, east, south (rim 16, 22, 41, 70 km from the site)",
            "direction not published", ", ".join(rejected(one) for one in sides), None),
        Row(name, "from then to dry tanks", "slow descent until propellant ran out, M", band(wait, "s"), None),
        Row(name, "impact speed", "above 100 m/s, S; 120 to 155 m/s by free fall, E",
            flown.band("impact_speed", "m/s", fooled), flown.median("impact_speed") > 100,
            "a fall from 3 km; from the reported 5 km it would be 127 m/s"),
        Row(name, "without the rim lands", "lands", level.success, level.share > 0.85, level.losses()),
        Row(name, "policy reset lands", "lands", reset.success, reset.share > 0.85),
        Row(name, "policy dem_aware lands", "lands", aware.success, aware.share > 0.85),
        Row(name, "beam on the thrust axis", "no lock-out", axis.success, axis.share > 0.5,
            f"lost to the gate: {rejected(axis)}; {axis.losses()}; {tactical}"),
        Row(name, "range of 5 km", "no lock-out", short.success, short.share > 0.5,
            f"lost to the gate: {rejected(short)}; {short.losses()}; {tactical}"),
    ]  # fmt: skip


def _blue_ghost(fly: Fly) -> list[Row]:
    name = "Blue Ghost M1"
    flown = fly("blue_ghost_m1")
    records = flown.records
    terminal = records["flight_time"] - records["main_off_time"]
    mass = 469.0 + records["propellant_left"] + records["rcs_propellant_left"]
    return [
        Row(name, "lands", "landed; above 90 % expected", flown.success, flown.share > 0.9, flown.losses()),
        Row(name, "braking burn", "about 550 s, M", flown.band("gate_time", "s"),
            abs(flown.median("gate_time") - 550) < 20,
            "2.8 kN by engine list, 1050 kg by mass budget, weight of time by the nominal designer"),
        Row(name, "speed at main-engine off", "40 m/s, O", flown.band("main_off_speed", "m/s"),
            None, "entry condition: the gate is chosen for it"),
        Row(name, "terminal descent", "about 100 s, O", band(terminal, "s"),
            None, "entry condition: height of the gate"),
        Row(name, "touchdown speed", "about 1 m/s, O", flown.band("descent_rate", "m/s"),
            abs(flown.median("descent_rate") - 1) < 0.3),
        Row(name, "landed mass without residuals", "505 to 561 kg, E", band(mass, "kg"),
            505 <= float(np.median(mass)) <= 561),
        Row(name, "usable propellant left", "not published", flown.band("propellant_left", "kg"), None),
        Row(name, "miss distance", "118 m, S", flown.band("miss_distance", "m"),
            inside(records["miss_distance"], 118), "operator: inside its own 100 m"),
    ]  # fmt: skip


def main() -> int:
    """The script; its exit code."""
    return scripting.guarded(_main)


def _main() -> None:
    about = "Fly the validation cases, print their table, and put it into a page, which is README.md for the script."
    parser = argparse.ArgumentParser(prog="scripts/validate", description=about)
    parser.add_argument("--runs", type=scripting.count, default=2048, help="of each case (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random worlds (%(default)s)")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="another page with the validation marks")
    chosen = parser.parse_args()
    if chosen.write:
        pages.check(chosen.write, "validation")
    text = table(chosen.runs, chosen.seed)
    print(text)
    if chosen.write:
        pages.write_block(chosen.write, "validation", text)


if __name__ == "__main__":
    sys.exit(main())
