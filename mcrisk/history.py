"""The history of lunar landings flown again: reported outcome and figures, simulated ones, agreement, and why not.

Sources and confidence letters stand in the mission files. No value is fitted to a reported figure, but for conditions
taken from reports, which are therefore no validation: the height error of im_1, descent rates that a mission states.
Some were stated anew after first flights lost landers to what the model leaves out, and say so there: engines that
are gimballed (IM) or throttled one by one (Chandrayaan), the test of radar heights and the tilt of the last metres of
Apollo, the slower middle of Chandrayaan-2's reference, 5 kg short of propellant; the scatter of slopes of SLIM, and
that about the height error of im_1. That they land as designed is no proof of anything.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import validate
from .errors import MistakeError
from .mission import load
from .nominal import design
from .reported import APOLLO_15, SURVEYOR_3, TOUCHDOWNS, touchdowns
from .schema import load_schema
from .touchdown import RESULTS
from .validate import Flight, Fly, Row, band, inside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["APOLLO_15", "MISSIONS", "SURVEYOR_3", "TOUCHDOWNS", "main", "outcomes", "rows", "touchdowns"]

MISSIONS = (
    "apollo_11", "beresheet", "beresheet_as_designed", "chandrayaan_2", "chandrayaan_2_as_designed", "chandrayaan_3",
    "change_5", "im_1", "im_1_as_designed", "im_2", "im_2_as_designed", "luna_25_as_designed", "slim",
    "slim_as_designed",
)  # fmt: skip
LIKELY = 0.85  # [] share of landings that agrees with one that landed, or was expected to


def outcomes(flight: Flight) -> str:
    """`lands 98.6 % (98.0 to 99.1 %); hard_landing 1.1 %`: the share that lands, and the losses from 0.1 % on."""
    schema = load_schema()
    count = Counter(schema.enums["Outcome"].member(int(one)) for one in flight.records["outcome"])
    runs = len(flight.records)
    lost = [
        f"{name} {100 * number / runs:.1f} %"
        for name, number in count.most_common()
        if name != "success" and number >= 1e-3 * runs
    ]
    return "; ".join([f"lands {flight.success}", *lost])


def rows(fly: Fly) -> list[Row]:
    """Every row of the table, by date of the landing."""
    parts = (
        _surveyor,
        _apollo_11,
        _apollo_15,
        _beresheet,
        _beresheet_flown,
        _chandrayaan_2,
        _chandrayaan_2_flown,
        _change_5,
        _luna_25,
        _chandrayaan_3,
        _slim,
        _im_1,
        _im_2,
    )
    return [row for part in parts for row in part(fly)]


def _design(name: str) -> Mapping[str, Any]:
    return design(load(name)).values


def _km(metres: float) -> str:
    return f"{metres / 1e3:.0f} km"


def _results(landings: NDArray[np.void]) -> str:
    count = Counter(RESULTS[int(one)] for one in landings["result"].ravel())
    return ", ".join(f"{name} {number} of {landings.size}" for name, number in count.most_common())


def _surveyor(_: Fly) -> list[Row]:
    cut, on = touchdowns("Surveyor 3 cut"), touchdowns("Surveyor 3 on")
    return [
        Row(
            "Surveyor 3",
            "descent",
            "landed, three touchdowns, M",
            "not flown",
            None,
            "came straight from Earth, retro from 75 km at 2.6 km/s; a flight here starts at the perilune of an orbit",
        ),
        Row(
            "Surveyor 3",
            "as designed: cut at 14 ft, contact at 3.9 m/s",
            "stands, E",
            _results(cut),
            bool(np.all(cut["result"] == 0)),
            "gear S and D",
        ),
        Row(
            "Surveyor 3",
            "engines left on at 0.9 of the weight",
            "hops of 20 and 11 m in 34 s, M",
            f"{_results(on)}; moves {band(on['slide'], 'm')} in {band(on['time'], 's')}",
            None,
            "slides and does not hop: legs crush and never spring back; 20 s at most, no attitude control meanwhile",
        ),
    ]


def _apollo_11(fly: Fly) -> list[Row]:
    name, planned = "Apollo 11", _design("apollo_11")
    flown = fly("apollo_11")
    late = fly("apollo_11", {"guidance.cutoff": "contact"})
    strict = fly("apollo_11", {"navigation.gate_window": "15.24 m", "navigation.gate_fraction": 0.125})
    first, touched = flown.records["acquisition_error"], touchdowns(name)
    return [
        Row(
            name,
            "outcome",
            "landed, by hand from 500 ft, M",
            outcomes(flown),
            flown.share > LIKELY,
            "automatic to the ground",
        ),
        Row(
            name,
            "ignition to site",
            "482.7 km, M",
            _km(planned["guidance.ignition_range"]),
            abs(planned["guidance.ignition_range"] / 482.7e3 - 1) < 0.05,
            "26 s at 10 % thrust, 44 km, are not modelled; braking at 0.93 of full thrust",
        ),
        Row(
            name,
            "ignition to high gate",
            "506 s, R",
            flown.band("gate_time", "s"),
            abs(flown.median("gate_time") - 506) < 15,
            "483 s without the 26 s at 10 %; time to go is that of a constant thrust, not Klumpp's",
        ),
        Row(
            name,
            "ignition to landing",
            "755 s, M",
            flown.band("flight_time", "s"),
            inside(flown.records["flight_time"], 755),
            "26 s at 10 %; search for a place by hand; 714 s were planned, R",
        ),
        Row(
            name,
            "usable propellant left",
            "304 kg, M",
            flown.band("propellant_left", "kg"),
            inside(flown.records["propellant_left"], 304),
            "the other 125 s at 4 kg/s of hovering, less the 26 s, are 400 kg",
        ),
        Row(
            name,
            "height error at the first radar range",
            "880 m, R",
            band(first, "m"),
            inside(first, 880.0),
            "believed less true; orbit knowledge from the landing ellipse",
        ),
        Row(
            name,
            "miss downrange",
            "6 km long, M",
            flown.band("miss_downrange", "km", scale=1e-3),
            inside(flown.records["miss_downrange"], 6000),
            "venting before the descent was no part of the official ellipse",
        ),
        Row(
            name,
            "descent rate at contact, cut by probe",
            "0.55 m/s, S",
            flown.band("descent_rate", "m/s"),
            inside(flown.records["descent_rate"], 0.55),
            "a fall of 1.7 m; the crew left the engine on",
        ),
        Row(
            name,
            "descent rate, engine on to contact",
            "0.55 m/s, S",
            late.band("descent_rate", "m/s"),
            inside(late.records["descent_rate"], 0.55),
            "3 ft/s are asked for, O",
        ),
        Row(
            name,
            "first touch as reported, level ground",
            "stands, legs hardly stroked, R",
            f"{_results(touched)}; stroke {band(touched['stroke'], 'm')} of 0.81",
            bool(np.all(touched["result"] == 0)) and float(touched["stroke"].max()) < 0.1,
        ),
        Row(
            name,
            "test of radar heights from first range on",
            "none before high gate, O",
            outcomes(strict),
            None,
            "50 ft and an eighth of the height would have cost landings",
        ),
    ]


def _apollo_15(_: Fly) -> list[Row]:
    name, landed = "Apollo 15", touchdowns("Apollo 15")
    tilt = np.degrees(landed["rest_tilt"])
    return [
        Row(
            name,
            "tilt at rest",
            "11 deg, M",
            band(tilt, "deg"),
            inside(tilt.ravel(), 11.0),
            "mostly the slope itself: 6.8 ft/s, R, upright on a plane of 11 deg; in truth a foot stood in a crater",
        ),
        Row(
            name,
            "nozzle",
            "struck the ground and buckled, M",
            f"{_results(landed)}; room {band(landed['room'], 'm')}",
            float(np.median(landed["room"])) < 0,
            "nozzle 10 in longer than on Apollo 11, R",
        ),
    ]


def _beresheet_flown(fly: Fly) -> list[Row]:
    name, flown = "Beresheet", fly("beresheet")
    return [
        Row(name, "as flown, outcome", "crashed, M", outcomes(flown), flown.share < 1 - LIKELY, flown.losses()),
        Row(
            name,
            "as flown, descent rate at the ground",
            "134 m/s at 149 m, M",
            flown.band("descent_rate", "m/s"),
            abs(flown.median("descent_rate") - 134) < 20,
            "from 14 km without thrust; the engine was back for the last seconds, when exactly is not public",
        ),
    ]


def _chandrayaan_2_flown(fly: Fly) -> list[Row]:
    name, flown = "Chandrayaan-2", fly("chandrayaan_2")
    return [
        Row(
            name,
            "as flown, outcome",
            "crashed, M",
            outcomes(flown),
            flown.share < 1 - LIKELY,
            "a tenth more thrust alone (D) is steered out: the attitude hold, in which errors piled up, and the rate "
            "limit that then kept the lander from correcting them are not modelled",
        )
    ]


def _beresheet(fly: Fly) -> list[Row]:
    name, designed, planned = "Beresheet", fly("beresheet_as_designed"), _design("beresheet_as_designed")
    return [
        Row(
            name,
            "as designed, outcome",
            "expected to land",
            outcomes(designed),
            designed.share > LIKELY,
            "as flown the engine stopped at 14 km: needs a computer reset as a fault",
        ),
        Row(
            name,
            "as designed, contact",
            "4.0 m/s, E: cut at 5 m",
            designed.band("descent_rate", "m/s"),
            abs(designed.median("descent_rate") - 4.0) < 0.4,
        ),
        Row(
            name,
            "as designed, descent",
            "about 20 min, S",
            designed.band("flight_time", "min", scale=1 / 60),
            abs(designed.median("flight_time") / 60 - 20) < 2,
        ),
        Row(
            name,
            "as designed, ignition to site",
            "about 800 km, S",
            _km(planned["guidance.ignition_range"]),
            abs(planned["guidance.ignition_range"] / 800e3 - 1) < 0.1,
            "thrust 0.92 of the weight at ignition; 371 kg there and 557 N are estimates",
        ),
    ]


def _chandrayaan_2(fly: Fly) -> list[Row]:
    name, designed, planned = "Chandrayaan-2", fly("chandrayaan_2_as_designed"), _design("chandrayaan_2_as_designed")
    braked = planned["guidance.ignition_range"] - planned["guidance.gate_range"]
    return [
        Row(
            name,
            "as designed, outcome",
            "expected to land",
            outcomes(designed),
            designed.share > LIKELY,
            "as flown thrust was above its command, and the slew limit was met: needs a thrust bias as a fault",
        ),
        Row(
            name,
            "as designed, ignition to site",
            "574 km, O",
            f"{_km(planned['guidance.ignition_range'])}, braking {_km(braked)}",
            abs(planned["guidance.ignition_range"] / 574e3 - 1) < 0.05,
            "at 0.93 of 3.2 kN; the hold of attitude has no phase here",
        ),
    ]


def _change_5(fly: Fly) -> list[Row]:
    name, flown = "Chang'e-5", fly("change_5")
    records = flown.records
    used = 0.99 * load("change_5").value("propulsion.propellant") - records["propellant_left"]
    return [
        Row(name, "outcome", "landed, M", outcomes(flown), flown.share > LIKELY),
        Row(
            name,
            "descent",
            "14 min, M",
            flown.band("flight_time", "min", scale=1 / 60),
            abs(flown.median("flight_time") / 60 - 14) < 1,
            "no hover at 100 m; braking at 0.93 of 7.5 kN",
        ),
        Row(
            name,
            "propellant used",
            "1898 kg, M",
            band(used, "kg"),
            abs(float(np.median(used)) / 1898 - 1) < 0.05,
            "mass at ignition R",
        ),
        Row(
            name,
            "descent rate at contact",
            "1.99 m/s, M",
            flown.band("descent_rate", "m/s"),
            inside(records["descent_rate"], 1.99),
            "2 m/s is asked for, R",
        ),
        Row(
            name,
            "horizontal speed at contact",
            "0.0085 m/s, M",
            flown.band("horizontal_speed", "m/s"),
            inside(records["horizontal_speed"], 0.0085),
            "noise of velocimeter and jets D",
        ),
        Row(
            name,
            "tilt at contact",
            "0.2 deg, M",
            band(np.degrees(records["tilt"]), "deg"),
            inside(np.degrees(records["tilt"]), 0.2),
        ),
    ]


def _luna_25(fly: Fly) -> list[Row]:
    name, designed = "Luna-25", fly("luna_25_as_designed")
    try:
        design(load("luna_25_as_designed").replace({"orbit.perilune": "-22 km"}))
        said = "accepted"
    except MistakeError as refusal:
        said = f"refused: {refusal}"
    return [
        Row(name, "as designed, outcome", "expected to land", outcomes(designed), designed.share > LIKELY),
        Row(
            name,
            "127 s of burn instead of 84 s",
            "crashed before its descent, M",
            said,
            said.startswith("refused"),
            "28.3 m/s instead of 18.7: perilune 22 km below the ground, E; no powered descent, so nothing to fly",
        ),
    ]


def _chandrayaan_3(fly: Fly) -> list[Row]:
    name, flown, planned = "Chandrayaan-3", fly("chandrayaan_3"), _design("chandrayaan_3")
    braked = planned["guidance.ignition_range"] - planned["guidance.gate_range"]
    return [
        Row(
            name,
            "outcome",
            "landed, M",
            outcomes(flown),
            flown.share > LIKELY,
            "1 % have 2 sigma less thrust, pass the gate 8 km late and are still on their way back at contact",
        ),
        Row(
            name,
            "rough braking",
            "690 s, O",
            flown.band("gate_time", "s"),
            abs(flown.median("gate_time") / 690 - 1) < 0.05,
            "its end at 7.4 km, 358 and 61 m/s is stated, O",
        ),
        Row(
            name,
            "rough braking along the ground",
            "713.5 km, O",
            _km(braked),
            abs(braked / 713.5e3 - 1) < 0.05,
            "masses and thrust O, E, S",
        ),
        Row(
            name,
            "descent",
            "19 min, M",
            flown.band("flight_time", "min", scale=1 / 60),
            abs(flown.median("flight_time") / 60 - 19) < 1,
            "no hovers at 800 and 150 m",
        ),
        Row(
            name,
            "descent rate at contact",
            "below 2 m/s, O",
            flown.band("descent_rate", "m/s"),
            flown.median("descent_rate") < 2,
        ),
        Row(
            name,
            "landed mass",
            "800 kg at most, O",
            band(710.0 + flown.records["propellant_left"], "kg"),
            flown.median("propellant_left") < 90,
            "dry mass E",
        ),
    ]


def _slim(fly: Fly) -> list[Row]:
    name, designed, flown = "SLIM", fly("slim_as_designed"), fly("slim")
    return [
        Row(
            name,
            "as flown, outcome",
            "landed on its nose, M",
            outcomes(flown),
            flown.share < 1 - LIKELY,
            flown.losses(),
        ),
        Row(
            name,
            "as flown, descent rate at the first touch",
            "1.4 m/s, M",
            flown.band("descent_rate", "m/s"),
            abs(flown.median("descent_rate") - 1.4) < 0.5,
            "the engine that is left stands 0.2 m off the axis (D): its torque is beyond the jets' (R), and it tumbles",
        ),
        Row(
            name,
            "as designed, outcome",
            "expected to land",
            outcomes(designed),
            designed.share > LIKELY,
            "first touch only",
        ),
        Row(
            name,
            "as designed, miss",
            "below 10 m, probably 3 to 4 m, before the nozzle was lost, M",
            designed.band("miss_distance", "m"),
            designed.median("miss_distance") < 10,
            "tie of the map E from that; the rest predicted",
        ),
        Row(
            name,
            "as designed, descent",
            "about 20 min, S",
            designed.band("flight_time", "min", scale=1 / 60),
            abs(designed.median("flight_time") / 60 - 20) < 1.5,
            "coasts for pictures and two hovers are not modelled; mass E",
        ),
    ]


def _im_1(fly: Fly) -> list[Row]:
    name, designed, flown = "IM-1", fly("im_1_as_designed"), fly("im_1")
    slow = fly(
        "im_1",
        {
            "guidance.reference_height": [3000.0, 1000.0, 100.0, 0.0],
            "guidance.reference_speed": [75.0, 38.0, 2.7, 0.45],
        },
    )
    touched = touchdowns(name)
    return [
        Row(name, "as designed, outcome", "expected to land", outcomes(designed), designed.share > LIKELY),
        Row(
            name,
            "as designed, descent",
            "more than 12 min, M",
            designed.band("flight_time", "min", scale=1 / 60),
            designed.median("flight_time") > 720,
        ),
        Row(
            name,
            "as flown, outcome",
            "too fast, a leg broke, tipped over, M",
            outcomes(flown),
            flown.share < 0.5,
            "without range finders; runs that drifted low land or run dry",
        ),
        Row(
            name,
            "as flown, believed less true height at contact",
            "about 100 m, M (entry condition)",
            flown.band("altitude_error", "m"),
            None,
            "vision velocity integrates to a scatter of its own",
        ),
        Row(
            name,
            "as flown, descent rate at contact",
            "2.7 m/s, M",
            flown.band("descent_rate", "m/s"),
            abs(flown.median("descent_rate") - 2.7) < 1,
            "the descent rate over height is D: what was flown had slowed to 2.7 m/s by 100 m",
        ),
        Row(
            name,
            "as flown, slow from 100 m believed",
            "2.7 m/s, M",
            f"{slow.band('descent_rate', 'm/s')}; {outcomes(slow)}",
            None,
            "for comparison; that reference is taken from the report",
        ),
        Row(
            name,
            "first touch as reported, 12 deg, a foot caught",
            "a leg broke, tipped over, M",
            _results(touched),
            bool(np.any(touched["result"] > 0)),
            "the strength of its legs is not public, slope E",
        ),
    ]


def _im_2(fly: Fly) -> list[Row]:
    name, designed, blind = "IM-2", fly("im_2_as_designed"), fly("im_2")
    return [
        Row(name, "as designed, outcome", "expected to land within 50 m", outcomes(designed), designed.share > LIKELY),
        Row(
            name,
            "as flown, outcome",
            "tipped over 250 to 400 m away, M",
            outcomes(blind),
            blind.share < 0.5,
            "by navigation drift; the miss came of its map and low sun, which are not modelled",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/validate history", description="Print the table of the history of lunar landings."
    )
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    fly = validate.flyer(chosen.runs, chosen.seed, tell=lambda _: None)
    print(validate.markdown(rows(fly), chosen.runs, chosen.seed))


if __name__ == "__main__":
    main()
