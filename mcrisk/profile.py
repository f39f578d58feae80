"""The nominal flight: one undispersed descent of a designed mission with perfect navigation, phase by phase."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import ground, params, units
from .schema import load_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .backends.cpu import CpuBackend
    from .mission import Mission

__all__ = ["NominalFlight", "PhaseRow", "nominal_flight", "quiet"]

TICK = float(units.TICK)  # [s]


@dataclass(frozen=True)
class PhaseRow:
    """One phase of the nominal flight; state at its start, use until its end. SI."""

    phase: str
    start: float
    duration: float
    height: float
    speed: float
    delta_v: float
    propellant: float
    thrust_to_weight: float


@dataclass(frozen=True)
class NominalFlight:
    """Phases of the nominal flight and how it ended."""

    phases: tuple[PhaseRow, ...]
    outcome: str
    descent_rate: float  # [m s^-1] at contact
    horizontal_speed: float  # [m s^-1] at contact
    propellant_left: float  # [kg] usable
    propellant_share: float  # [] of the usable propellant at the start
    miss_distance: float  # [m]


def quiet(packed: bytes, real: int = 4) -> bytes:
    """The same case without chance: nothing dispersed, no noise, no faults, perfect navigation."""
    schema = load_schema()
    case = np.frombuffer(packed, schema.params_dtype(real)).copy()
    case["scatter"]["count"] = 0
    for name in ("delivery", "knowledge"):
        case["arrival"][name] = 0
    case["onboard"]["navigation"]["mode"] = schema.enums["NavigationMode"]["perfect"]
    world = case["world"]
    world["gravity"]["anomaly"] = 0
    world["propulsion"]["noise"] = 0
    for name in schema.dtype("Faults", real).names or ():
        if schema.dtype("Faults", real)[name].names:
            case["faults"][name]["probability"] = 0
            case["faults"][name]["rate"] = 0
    world["touchdown"]["foot_caught"] = 0
    world["touchdown"]["leg_length_error"] = 0
    for name in ("roughness", "cell_slope", "rock_area", "crater_density"):
        world["terrain"][name] = 0
    case["onboard"]["hazards"]["fitted"] = 0
    return case.tobytes()


def nominal_flight(designed: Mission, backend: CpuBackend) -> NominalFlight:
    """Fly the nominal descent of a designed mission."""
    case, heights = quiet(params.pack(designed, backend.real), backend.real), ground.heights_of(designed)
    samples = backend.replay(case, 0, 0, heights)
    record = backend.run_scalar(case, 0, 0, 1, heights)[0]
    schema = load_schema()
    usable = float(samples["propellant"][0])
    outcomes = schema.enums["Outcome"]
    return NominalFlight(
        phases=tuple(_rows(samples, designed)),
        outcome=outcomes.member(int(record["outcome"])),
        descent_rate=float(record["descent_rate"]),
        horizontal_speed=float(record["horizontal_speed"]),
        propellant_left=float(record["propellant_left"]),
        propellant_share=float(record["propellant_left"]) / usable,
        miss_distance=float(record["miss_distance"]),
    )


def _rows(samples: NDArray[np.void], designed: Mission) -> list[PhaseRow]:
    surface = designed.value("gravity.gravitational_parameter") / designed.value("gravity.radius") ** 2
    rows = []
    number = samples["phase"]
    bounds = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(samples)]
    for first, last in itertools.pairwise(bounds):
        one, end = samples[first], samples[last - 1]
        push = np.diff(samples["delta_v"][max(first - 1, 0) : last].astype(float)) / TICK
        rows.append(
            PhaseRow(
                phase=load_schema().enums["Phase"].member(int(one["phase"])),
                start=float(one["time"]),
                duration=float(end["time"] - one["time"]),
                height=float(one["height"]),
                speed=float(np.hypot(one["descent_rate"], one["horizontal_speed"])),
                delta_v=float(end["delta_v"] - one["delta_v"]),
                propellant=float(one["propellant"] - end["propellant"]),
                thrust_to_weight=float(np.max(push, initial=0.0) / surface),
            )
        )
    return rows
