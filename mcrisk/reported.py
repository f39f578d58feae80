"""First touches of history as they were reported, for `touchdown.touch_down`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .mission import load
from .touchdown import touch_down

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["APOLLO_15", "SURVEYOR_3", "TOUCHDOWNS", "touchdowns"]

# The lunar module of Apollo 15: a nozzle 10 in longer than that of Apollo 11, R.
APOLLO_15 = {"touchdown.clearance": "0.226 m"}
# The gear of a Surveyor on a lander that the designer can fly; only its touchdown is looked at. 294 kg and 4.3 m across
# the feet S, the rest D. No leg's signal cuts the engines: it takes four legs that feel.
SURVEYOR_3 = {
    "mass.at_pdi": "650 kg", "mass.dry": "288 kg", "rcs.propellant": "6 kg", "propulsion.main.thrust": "1500 N",
    "propulsion.main.throttle_min": "5 %", "touchdown.legs": 3, "touchdown.foot_radius": "2.15 m",
    "touchdown.cg_height": "1 m", "limits.descent_rate": "5 m/s", "guidance.cutoff": "legs", "guidance.cutoff_legs": 4,
    "guidance.cutoff_backup": "20 s",
}  # fmt: skip
WEIGHT = 294 * 1.624  # [N] of a Surveyor on the Moon
# First touches as reported; direction of the speed and yaw are not, so that all are tried.
TOUCHDOWNS: dict[str, tuple[str, dict[str, Any], dict[str, float]]] = {
    "Apollo 11": ("apollo_11", {}, {"descent_rate": 0.55, "horizontal_speed": 0.67, "thrust": 0.0}),
    "Apollo 15": (
        "apollo_11",
        APOLLO_15,
        {"descent_rate": 2.07, "horizontal_speed": 0.4, "slope": np.radians(11), "thrust": 0.0},
    ),
    "Surveyor 3 cut": ("generic_small", SURVEYOR_3, {"descent_rate": 3.9, "thrust": 0.0, "tank": 0.0}),
    "Surveyor 3 on": (
        "generic_small",
        SURVEYOR_3,
        {"descent_rate": 1.5, "horizontal_speed": 0.3, "thrust": 0.9 * WEIGHT, "tank": 0.0},
    ),
    "IM-1": ("im_1", {}, {"descent_rate": 2.7, "horizontal_speed": 0.9, "slope": np.radians(12), "caught": 1}),
}


def touchdowns(which: str) -> NDArray[np.void]:
    """The reported first touch from eight directions and four yaws: landings of `touch_down`."""
    name, changes, first = TOUCHDOWNS[which]
    mission = load(name).replace(changes)
    legs = int(mission.value("touchdown.legs"))
    heading = np.linspace(0, 2 * np.pi, 8, endpoint=False)[:, None]
    yaw = np.linspace(0, 2 * np.pi / legs, 4, endpoint=False)
    return touch_down(mission, heading=heading, yaw=yaw, **first)
