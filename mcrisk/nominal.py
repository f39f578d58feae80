"""The nominal design: gates, ignition point and reference that make a user's own lander fly without hand tuning.

Works backwards from the ground (terminal, approach, gate), then flies the braking law in a planar model from perilune
to the gate with the range left free. Whatever the mission states is kept. A design that cannot fly is refused with the
inequality that fails; `profile.nominal_flight` then confirms it by one undispersed flight of the kernel itself.

Method: physics of a descent-rate reference linear in the square of speed (Klumpp 1974); braking at 92 to 95 % of thrust
(Apollo practice, throttle recovery margin); ignition range from the shooting arc.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import ground
from .brake import Braking, fly_braking
from .errors import ImpossibleDesign, MistakeError
from .mission import Mission
from .orbit import arrival, kepler_speed, radii, site_axes
from .resolve import NO_REGION
from .tables import GRAVITY, six_digits

__all__ = ["Plant", "concerns", "design", "plant_of"]

LEAD_TIME = 30.0  # [s] coast before the nominal ignition, longer than three sigma of along-track delivery
GAMMAS = (0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 10.0, 14.0, 20.0)  # [m^2 s^-4] weights of time tried in D'Souza's law
PLANNED_FRACTION = 0.93  # [] of full thrust in the braking phase: margin for low thrust and range trimming
LEAST_THRUST = (
    0.7  # [] of the weight at ignition: in orbit nothing is to be held up, and what burns is not to be carried later
)
NEEDED_SHARE = 0.6  # [] of the gate's height by which the altimeter is counted on
MAP_CELLS = 29  # [cell] from the middle of a map of hazards to a new target (map_half_most of divert.h, less a margin)
UNSTATED = -6.28  # [rad] directions of legs below are not stated
REFERENCE_SHARE = 0.45  # [] of the excess thrust that the approach reference uses


def rounded_all(values: Iterable[float]) -> tuple[float, ...]:
    """Each rounded to six significant digits."""
    return tuple(six_digits(one) for one in values)


@dataclass(frozen=True)
class Plant:
    """The lander as the designer sees it; SI."""

    gravity: float  # at the site
    mass_start: float
    mass_landing: float
    thrust_main: float
    thrust_cluster: float
    exhaust: float  # mean exhaust speed of all engines

    @property
    def thrust(self) -> float:
        return self.thrust_main + self.thrust_cluster


def plant_of(mission: Mission) -> Plant:
    """Thrust, masses and exhaust speed of a mission."""
    value = mission.value
    main = value("propulsion.main.thrust")
    cluster = value("propulsion.cluster.count") * value("propulsion.cluster.thrust")
    if main + cluster <= 0:
        raise ImpossibleDesign(
            f"{mission.name}: no engine has thrust", remedy="state propulsion.main.thrust or propulsion.cluster"
        )
    flow = main / value("propulsion.main.isp") + cluster / value("propulsion.cluster.isp")
    start = value("vehicle.mass_dry") + value("propulsion.propellant") + value("rcs.propellant")
    exhaust = GRAVITY * (main + cluster) / flow
    surface = value("gravity.gravitational_parameter") / radii(mission)[0] ** 2
    usable = value("propulsion.propellant") * (1 - value("propulsion.residual"))
    landing = max(start * math.exp(-1900.0 / exhaust), start - 0.97 * usable)
    return Plant(surface, start, landing, main, cluster, exhaust)


def design(mission: Mission) -> Mission:
    """This mission with every value that follows from it: site, orbit, gates, ignition point.

    Raises `ImpossibleDesign` naming the inequality that fails.
    """
    draft = Draft(mission)
    plant = plant_of(mission)
    _check_thrust(mission, plant)
    _design_body(mission, plant, draft)
    support = support_share(mission)
    reference = _design_reference(mission, plant, draft)
    _design_gate(reference, draft)
    _check_orbit(draft.mission)
    braking = _design_braking(plant, draft)
    _check_propellant(draft.mission, plant, braking, reference)
    draft.settle("guidance.brake_time", braking.duration)
    draft.settle("guidance.brake_time_max", 1.25 * braking.duration)
    gate_range = float(draft.mission.value("guidance.gate_range"))
    draft.settle("guidance.ignition_range", braking.distance + gate_range)
    legs = {"legs.stated": int(_directions(mission) is not None), "legs.support": support}
    return draft.mission.filled(_placed(draft.mission) | legs | dict(ground.of(draft.mission).values))


class Draft:
    """A mission whose design fills up step by step; what the mission states is kept."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission

    def settle(self, path: str, value: float | tuple[float, ...]) -> Any:
        """The stated value of a path, else `value` rounded to six digits."""
        if path not in self.mission.values:
            rounded = rounded_all(value) if isinstance(value, tuple) else six_digits(value)
            self.mission = self.mission.filled({path: rounded})
        return self.mission.value(path)


def concerns(mission: Mission) -> tuple[str, ...]:
    """What a designer should know about a design that flies but has a weak point, one sentence each."""
    plant, found = plant_of(mission), []
    torque, authority = _disturbance(mission, plant), _authority(mission)
    if torque > authority:
        found.append(
            f"three-sigma torque of misaligned thrust and offset centre of gravity {torque:.3g} N m is above the "
            f"attitude torque {authority:.3g} N m: control will saturate in some runs; more rcs.thrust or rcs.arm, "
            f"or a better known centre of gravity"
        )
    gate = float(mission.value("guidance.gate_height"))
    needed = float(mission.value("monitor.altimeter_needed"))
    reach = float(mission.value("altimeter.range_max")) * math.sqrt(float(mission.value("altimeter.health")))
    if mission.value("altimeter.fitted") and reach < min(gate, needed):
        found.append(
            f"the altimeter reaches {reach:.4g} m, but the first valid range is counted on by {min(gate, needed):.4g} m"
        )
    if not mission.value("altimeter.fitted"):
        found.append("without an altimeter the height at contact is that of drifting inertial navigation")
    for which, what in (("delivery", "orbit"), ("knowledge", "knowledge of the orbit")):
        if not any(mission.cholesky(which)):
            found.append(f"the {what} is without error in every run: state [{which}]")
    modelled = bool({"ground.files", "ground.synthetic"} & mission.tables.keys())
    sloped = modelled or bool(mission.value("terrain.cell_slope"))
    slope = mission.dispersions.get("terrain.slope")
    if sloped and slope is not None and slope.spread:
        found.append(
            "terrain.slope is dispersed on top of slopes that the ground has already: leave it out, or where it is "
            f'inherited set dispersions.terrain.slope.{slope.form} to "0 deg"'
        )
    if mission.value("hazards.fitted"):
        found += _avoidance(mission, modelled)
    classed = mission.tables.get("ground.region", NO_REGION) != NO_REGION
    if classed and "ground.files" in mission.tables and "ground.site_cell" not in mission.tables:
        found.append(
            "slopes and craters of ground.region are those that the cells of the strip hide: state ground.site_cell, "
            "since a finer file shows some of them already"
        )
    if "terrain.slope" not in mission.dispersions and not sloped:
        found.append("the ground has the same slope in every run: disperse terrain.slope")
    if not mission.value("velocimeter.fitted"):
        found.append("without a velocimeter the horizontal speed at contact is that of drifting inertial navigation")
    return tuple(found)


def _avoidance(mission: Mission, modelled: bool) -> list[str]:
    """What keeps hazard avoidance from being of use. modelled: whether there is an elevation model."""
    value, found = mission.value, []
    if not value("hazards.height") > value("guidance.terminal_height"):
        found.append(
            f"hazards are mapped at {mission.text('hazards.height', 4)}, in the terminal descent, which begins at "
            f"{mission.text('guidance.terminal_height', 4)}: the target stays; map them higher"
        )
    reach = MAP_CELLS * value("terrain.cell")
    if value("hazards.radius") > reach:
        found.append(
            f"hazards are mapped up to {reach:g} m away, not {mission.text('hazards.radius', 4)}, for a map has "
            f"{MAP_CELLS} cells to each side: take a larger terrain.cell"
        )
    if not (modelled or any(value(f"terrain.{name}") for name in ("cell_slope", "rock_area", "crater_density"))):
        found.append(
            "hazards are mapped, but every cell of the ground is alike: state ground.region, or rocks and craters in "
            "[terrain]"
        )
    return found


def _disturbance(mission: Mission, plant: Plant) -> float:
    """Three-sigma torque [N m] of misaligned thrust through the lever arm and of a centre of gravity off the axis."""

    def spread(path: str) -> float:
        one = mission.dispersions.get(path)
        return one.spread if one is not None and not one.relative else 0.0

    lever = float(mission.value("vehicle.cg_full_B.z"))
    offset = max(spread("vehicle.cg_dry_B"), spread("vehicle.cg_dry_B.x"), spread("vehicle.cg_full_B"))
    main = plant.thrust_main * math.hypot(lever * spread("propulsion.main.misalign_x"), offset)
    cluster = plant.thrust_cluster * math.hypot(lever * spread("propulsion.cluster.misalign_x"), offset)
    return 3.0 * (main + cluster)


def _authority(mission: Mission) -> float:
    """Torque [N m] of the attitude thrusters and of differential duty at the planned thrust fraction."""
    value = mission.value
    jets = float(value("rcs.jets") * value("rcs.thrust") * value("rcs.arm"))
    spare = 1.0 - float(value("guidance.brake_fraction"))
    ring = (
        0.5
        * value("propulsion.cluster.count")
        * value("propulsion.cluster.thrust")
        * value("propulsion.cluster.radius")
    )
    return jets + spare * float(ring)


def _retains_main(mission: Mission, plant: Plant) -> bool:
    height = mission.values.get("guidance.main_off_height")
    if height is not None:
        return float(height) == 0.0  # type: ignore[arg-type]
    return plant.thrust_cluster < 1.5 * plant.mass_landing * plant.gravity or plant.thrust_main == 0


def _check_thrust(mission: Mission, plant: Plant) -> None:
    ratio = plant.thrust / (plant.mass_start * plant.gravity)
    if ratio < LEAST_THRUST:
        raise ImpossibleDesign(
            f"{mission.name}: thrust at ignition {plant.thrust:.5g} N is {ratio:.4f} times the weight "
            f"{plant.mass_start * plant.gravity:.5g} N",
            remedy=f"at least {LEAST_THRUST} is needed: more thrust or less mass",
        )
    usable = mission.value("propulsion.propellant") * (1 - mission.value("propulsion.residual"))
    ideal = plant.exhaust * math.log(plant.mass_start / (plant.mass_start - usable))
    speed = kepler_speed(mission)
    if ideal < speed:
        raise ImpossibleDesign(
            f"{mission.name}: usable propellant {usable:.4g} kg gives {ideal:.0f} m/s, "
            f"orbital speed alone is {speed:.0f} m/s",
            remedy="more propellant, less dry mass or a higher specific impulse",
        )
    terminal = plant.thrust if _retains_main(mission, plant) else plant.thrust_cluster
    if terminal < 1.1 * plant.mass_landing * plant.gravity:
        raise ImpossibleDesign(
            f"{mission.name}: thrust of the terminal descent {terminal:.4g} N is below 1.1 times the landing weight "
            f"{plant.mass_landing * plant.gravity:.4g} N",
            remedy='keep the main engine on (guidance.main_off_height = "0 m") or add cluster thrust',
        )
    lowest = plant.thrust_main * mission.value("propulsion.main.throttle_min")
    if _retains_main(mission, plant) and lowest > plant.mass_landing * plant.gravity:
        raise ImpossibleDesign(
            f"{mission.name}: the main engine at its lowest throttle gives {lowest:.5g} N, above the landing weight "
            f"{plant.mass_landing * plant.gravity:.5g} N: it cannot descend on it",
            remedy="a lower propulsion.main.throttle_min, less thrust, or cluster engines to land on",
        )


def _check_orbit(mission: Mission) -> None:
    site, low, high = radii(mission)
    gate = site + mission.value("guidance.gate_height")
    if not gate < low <= high:
        raise ImpossibleDesign(
            f"{mission.name}: the start of powered descent is {(low - site) / 1e3:.5g} km above the site, the gate "
            f"{(gate - site) / 1e3:.5g} km and the parking orbit {(high - site) / 1e3:.5g} km",
            remedy="orbit.perilune must lie between them (altitudes count from the mean radius, not from the site)",
        )


def _check_propellant(mission: Mission, plant: Plant, braking: Braking, reference: ReferenceDesign) -> None:
    usable = mission.value("propulsion.propellant") * (1 - mission.value("propulsion.residual"))
    burnt = plant.mass_start - braking.mass_end
    # [m/s] from the gate on: descent rate and weight along the vertical, forward speed across it, by thrust in one
    # direction: no approach takes less
    upward = mission.value("guidance.gate_descent_rate") + plant.gravity * reference.time
    rest = math.hypot(upward, mission.value("guidance.gate_speed_forward"))
    landing = braking.mass_end * (1 - math.exp(-rest / plant.exhaust))
    if burnt + landing > usable:
        raise ImpossibleDesign(
            f"{mission.name}: braking burns {burnt:.4g} kg and the approach {landing:.4g} kg, together more than the "
            f"{usable:.4g} kg of usable propellant",
            remedy="more propellant, less dry mass, more thrust or a lower gate",
        )


def _design_body(mission: Mission, plant: Plant, draft: Draft) -> None:
    """Inertia of a body with the stated radius of gyration; crush force for the limit descent rate in 60 % of the
    stroke, and the stiffness that reaches it in 5 %."""
    square = mission.value("touchdown.gyration_radius") ** 2
    dry, full = mission.value("vehicle.mass_dry"), plant.mass_start
    draft.settle("vehicle.inertia_dry", (dry * square,) * 3)
    draft.settle("vehicle.inertia_full", (full * square,) * 3)
    speed, stroke = mission.value("limits.descent_rate"), mission.value("touchdown.stroke_max")
    mass = plant.mass_landing
    force = draft.settle("touchdown.crush_force", mass * plant.gravity + 0.5 * mass * speed**2 / (0.6 * stroke))
    draft.settle("touchdown.leg_stiffness", force / mission.value("touchdown.legs") / (0.05 * stroke))


def _directions(mission: Mission) -> tuple[float, ...] | None:
    """The stated directions of the legs [rad]; None for an even ring."""
    count = int(mission.value("touchdown.legs"))
    every = mission.value("legs.direction")
    stated = [one > UNSTATED for one in every]
    if not any(stated):
        return None
    if stated != [k < count for k in range(len(stated))]:
        raise MistakeError(
            f"{mission.name}: legs.direction", f"as many as touchdown.legs, {count}", f"{sum(stated)} of them"
        )
    return tuple(every[:count])


def support_share(mission: Mission) -> float:
    """Least distance from the axis to an edge of the polygon of the feet, over touchdown.foot_radius.

    An even ring has 0: its distance is cos(pi / n), in the kernels. Raises ImpossibleDesign where the axis is outside.
    """
    count = int(mission.value("touchdown.legs"))
    for path, usual in (("legs.reach", 1.0), ("legs.drop", 0.0)):
        beyond = [k for k, one in enumerate(mission.value(path)) if k >= count and one != usual]
        if beyond:
            raise MistakeError(
                f"{mission.name}: {path}", f"at most touchdown.legs, {count}", f"{beyond[-1] + 1} of them"
            )
    directions, reach = _directions(mission), mission.value("legs.reach")[:count]
    if directions is None:
        first = float(mission.value("touchdown.leg_azimuth"))
        directions = tuple(first + 2 * math.pi * k / count for k in range(count))
    around = sorted(one % (2 * math.pi) for one in directions)
    gaps = [b - a for a, b in itertools.pairwise([*around, around[0] + 2 * math.pi])]
    if all(one == 1.0 for one in reach) and max(gaps) - min(gaps) < 1e-5:
        return 0.0
    feet = [(r * math.cos(a), r * math.sin(a)) for r, a in zip(reach, directions, strict=True)]
    least = math.inf
    for (ax, ay), (bx, by) in itertools.permutations(feet, 2):
        length = math.hypot(bx - ax, by - ay)
        if length < 1e-9:
            raise ImpossibleDesign(f"{mission.name}: legs: two feet stand in one place")
        out = ((by - ay) / length, (ax - bx) / length)  # to the right of the way from a to b
        offset = ax * out[0] + ay * out[1]
        if all(x * out[0] + y * out[1] <= offset + 1e-9 for x, y in feet):
            least = min(least, offset)
    if least <= 0:
        raise ImpossibleDesign(
            f"{mission.name}: legs: the thrust axis is outside the polygon of the feet",
            remedy="other legs.direction or legs.reach",
        )
    return six_digits(least)


@dataclass(frozen=True)
class ReferenceDesign:
    """Heights and speeds of the approach reference, from its top node; time from the top to the ground."""

    heights: tuple[float, ...]
    speeds: tuple[float, ...]
    time: float


def _design_reference(mission: Mission, plant: Plant, draft: Draft) -> ReferenceDesign:
    """Four nodes: gate, end of the main engine (or 1 km), last metres, ground."""
    retained = _retains_main(mission, plant)
    # a main engine that cannot be throttled below the landing weight is cut as soon as the approach begins
    lowest = plant.thrust_main * mission.value("propulsion.main.throttle_min")
    pushes_up = lowest > 0.8 * plant.mass_landing * plant.gravity
    off = draft.settle("guidance.main_off_height", 0.0 if retained else 10_000.0 if pushes_up else 1000.0)
    middle = off if 200.0 < off < 2500.0 else 1000.0
    low = max(float(mission.value("guidance.terminal_height")), 10.0)
    top = max(2.5 * middle, min(3000.0, 0.8 * mission.value("altimeter.range_max")))
    if low >= middle and "guidance.reference_height" not in mission.values:
        raise ImpossibleDesign(
            f"{mission.name}: the terminal descent begins at {low:.5g} m, not below {middle:.5g} m, the middle of the "
            "approach reference",
            remedy="a lower guidance.terminal_height, or state guidance.reference_height",
        )
    touchdown, last = 0.8, 2.5
    terminal = plant.thrust if retained else plant.thrust_cluster
    lower = REFERENCE_SHARE * (terminal / plant.mass_landing - plant.gravity)
    # a main engine that is cut above the middle node does not brake down to it
    above = plant.thrust if off <= middle else terminal
    upper = REFERENCE_SHARE * (above / plant.mass_landing - plant.gravity)
    at_middle = math.sqrt(last**2 + 2 * lower * max(middle - low, 0.0))
    at_top = math.sqrt(at_middle**2 + 2 * upper * (top - middle))
    heights: tuple[float, ...] = draft.settle("guidance.reference_height", (top, middle, low, 0.0))
    speeds: tuple[float, ...] = draft.settle("guidance.reference_speed", (at_top, at_middle, last, touchdown))
    if any(a <= b for a, b in itertools.pairwise(heights)):
        raise MistakeError(f"{mission.name}: guidance.reference_height", "four falling heights", str(heights))
    time = sum(2 * (heights[i] - heights[i + 1]) / (speeds[i] + speeds[i + 1]) for i in range(3))
    return ReferenceDesign(heights, speeds, time)


def _design_gate(reference: ReferenceDesign, draft: Draft) -> None:
    """End of braking: on the reference, with a forward speed that a linear profile removes over the approach."""
    gate = draft.settle("guidance.gate_height", reference.heights[0])
    draft.settle("monitor.altimeter_needed", NEEDED_SHARE * gate)  # the beam comes to the ground while pitching up
    forward = draft.settle("guidance.gate_speed_forward", 0.3 * reference.speeds[0])
    draft.settle("guidance.gate_descent_rate", 0.95 * reference.speeds[0])
    draft.settle("guidance.gate_range", forward * reference.time / 3.0)
    draft.settle("guidance.brake_fraction", PLANNED_FRACTION)


def _design_braking(plant: Plant, draft: Draft) -> Braking:
    """The braking phase. The more D'Souza's law weighs time, the less propellant it takes, until thrust runs out."""

    def fly(gamma: float) -> tuple[Mission, Braking]:
        trial = Draft(draft.mission)
        trial.settle("guidance.dsouza_gamma", gamma)
        return trial.mission, fly_braking(trial.mission, plant.thrust, plant.mass_start, plant.exhaust)

    mission, braking = fly(GAMMAS[0])
    free = mission.value("guidance.braking_law") == "dsouza" and "guidance.dsouza_gamma" not in draft.mission.values
    for gamma in GAMMAS[1:] if free else ():
        try:
            bolder, shorter = fly(gamma)
        except ImpossibleDesign:
            break
        if shorter.mass_end > braking.mass_end:
            mission, braking = bolder, shorter
        else:
            break
    draft.mission = mission
    return braking


def _placed(mission: Mission) -> dict[str, Any]:
    """Site, arrival state and initial covariances."""
    pole, meridian = site_axes(mission)
    start = arrival(mission, float(mission.value("guidance.ignition_range")), LEAD_TIME)
    plane, cross = _initial_covariance(mission, start["angle"])
    return {
        "gravity.radius": six_digits(radii(mission)[0]),
        "gravity.pole_S": rounded_all(pole),
        "gravity.meridian_S": rounded_all(meridian),
        "arrival.position_S": rounded_all(start["position"]),
        "arrival.velocity_S": rounded_all(start["velocity"]),
        "arrival.radial_S": rounded_all(start["radial"]),
        "arrival.along_S": rounded_all(start["along"]),
        "arrival.cross_S": (0.0, 1.0, 0.0),
        "arrival.delivery": rounded_all(mission.cholesky("delivery")),
        "arrival.knowledge": rounded_all(mission.cholesky("knowledge")),
        "navigation.covariance_plane": rounded_all(plane),
        "navigation.covariance_cross": rounded_all(cross),
    }


def _initial_covariance(mission: Mission, angle: float) -> tuple[list[float], list[float]]:
    """Packed upper triangles of the filter's channels: the assumed covariance turned into S, tilt and bias."""
    flat = mission.cholesky("assumed")
    factor = [[flat[i * (i + 1) // 2 + j] if j <= i else 0.0 for j in range(6)] for i in range(6)]
    orbit = [[sum(factor[i][k] * factor[j][k] for k in range(6)) for j in range(6)] for i in range(6)]
    s, c = math.sin(angle), math.cos(angle)
    turn: list[list[float]] = [  # rows: x z vx vz y vy; columns: radial along cross position, then velocity
        [s, c, 0, 0, 0, 0],
        [c, -s, 0, 0, 0, 0],
        [0, 0, 0, s, c, 0],
        [0, 0, 0, c, -s, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    site = [
        [sum(turn[i][k] * orbit[k][m] * turn[j][m] for k in range(6) for m in range(6)) for j in range(6)]
        for i in range(6)
    ]
    value = mission.value
    typical = 2.5  # [m s^-2] thrust acceleration that turns a scale factor into a bias and a cross bias into a tilt
    sideways = value("imu.accel_bias") / typical
    tilt = value("imu.attitude_sigma") ** 2 + value("imu.accel_misalign") ** 2 + sideways**2
    bias = value("imu.accel_bias") ** 2 + value("imu.accel_walk") ** 2 + (value("imu.accel_scale") * typical) ** 2
    floor = [25.0, 25.0, 1e-4, 1e-4]
    plane = []
    for i in range(6):
        for j in range(i, 6):
            if i < 4 and j < 4:
                plane.append(site[i][j] + (floor[i] if i == j else 0.0))
            else:
                plane.append(max(tilt, 1e-10) if i == j == 4 else max(bias, 1e-8) if i == j == 5 else 0.0)
    cross = [site[4][4] + 25.0, site[4][5], 0.0, site[5][5] + 1e-4, 0.0, max(tilt, 1e-10)]
    return plane, cross
