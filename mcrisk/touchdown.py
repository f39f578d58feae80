"""Touchdowns from a stated first touch: how a lander comes to rest, the map of those after which it stands, envelopes.

The legs are those of the descent (kernels/mcrisk/contact.h); ground and legs have their nominal heights, and nothing is
drawn.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import MistakeError, visible
from .schema import load_schema

if TYPE_CHECKING:
    import xarray
    from numpy.typing import ArrayLike, NDArray

    from .envelopes import Envelope
    from .mission import Mission

__all__ = ["REASONS", "RESULTS", "envelope", "stability_map", "touch_down", "worst_of"]

RESULTS = ("stands", "leg_exhausted", "body_struck", "never_rests", "tips")  # from good to worst
REASONS = ("stands", "leans", *RESULTS[1:])  # the same with a rest beyond limits.rest_tilt
DIRECTIONS = 8  # of the speed around the fall line, where the legs do not repeat sooner
MOST = 1_000_000  # [touchdown] asked for at once
# What the legs are made for, SI; a faster contact is a collision and no touchdown.
BOUNDS = {
    "descent_rate": (0.0, 100.0), "horizontal_speed": (0.0, 100.0), "slope": (0.0, 1.2), "tilt": (0.0, 1.6),
    "tilt_rate": (-10.0, 10.0), "friction": (0.0, 100.0), "caught": (0.0, 1.0), "thrust": (0.0, 1e9),
    "tank": (0.0, 1.0),
}  # fmt: skip
ANGLES = (-1e4, 1e4)  # [rad] of all others


def touch_down(mission: Mission, **conditions: ArrayLike) -> NDArray[np.void]:
    """Each touchdown of the broadcast conditions, in their shape: fields of `Landing`, and `result`, one of RESULTS.

    conditions, in SI: `descent_rate`, `horizontal_speed` (along the local vertical and across it), `heading` of that
    speed from downhill, `slope`, `yaw` of body x from downhill, `tilt`, `tilt_heading`, `tilt_rate`, `friction` (the
    mission's), `caught` (1: no foot slides), `thrust` (the weight) until the engines are cut, `tank` (share of the
    propellant left: what the nominal design lands with). What is not named is zero, or stands in brackets.

    Raises MistakeError for another name, numbers outside BOUNDS, shapes that do not broadcast, or more than a million
    touchdowns.
    """
    from .backends.cpu import CpuBackend
    from .nominal import design, plant_of
    from .params import pack

    kind = load_schema().dtype("FirstTouch")
    for name in conditions:
        if name not in (kind.names or ()):
            raise MistakeError(f"touch_down: {name}", f"one of {', '.join(kind.names or ())}", "")
    designed = design(mission)
    plant = plant_of(designed)
    dry = designed.value("vehicle.mass_dry") + designed.value("rcs.propellant")
    usual = {
        "friction": designed.value("touchdown.friction"),
        "thrust": plant.mass_landing * plant.gravity,
        "tank": max(plant.mass_landing - dry, 0.0) / designed.value("propulsion.propellant"),
    }
    given = usual | {name: _inside(name, value) for name, value in conditions.items()}
    try:
        shape = np.broadcast_shapes(*(np.shape(one) for one in given.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(one)}" for name, one in given.items() if np.shape(one))
        raise MistakeError("touch_down", "shapes that broadcast", shapes) from None
    if np.prod(shape) > MOST:
        raise MistakeError("touch_down", f"at most {MOST:,} touchdowns at once", f"{np.prod(shape):,}")
    first = np.zeros(shape, kind)
    for name, value in given.items():
        first[name] = value
    backend = CpuBackend()
    packed = pack(designed, backend.real)
    flat = first.reshape(-1)
    parts = np.array_split(flat, max(min(len(flat) // 16, os.cpu_count() or 1), 1))
    with ThreadPoolExecutor(len(parts)) as pool:
        landings = np.concatenate(list(pool.map(lambda part: backend.touch_down(packed, part), parts)))
    return _judged(landings).reshape(shape)


def _inside(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """The numbers of a condition, all within its bounds."""
    low, high = BOUNDS.get(name, ANGLES)
    expected = f"numbers from {low:g} to {high:g}, in SI units"
    try:
        found = np.asarray(value, float)
    except (TypeError, ValueError):
        raise MistakeError(f"touch_down: {name}", expected, visible(repr(value)[:40])) from None
    wrong = ~((found >= low) & (found <= high))
    if wrong.any():
        raise MistakeError(f"touch_down: {name}", expected, f"{found[wrong].flat[0]:g}")
    return found


def _judged(landings: NDArray[np.void]) -> NDArray[np.void]:
    """The same with `result`."""
    settled, ended = load_schema().enums["Settled"], landings["settled"]
    tests = {
        "tips": ended == settled["fallen"],
        "never_rests": ended == settled["restless"],
        "body_struck": landings["room"] < 0,
        "leg_exhausted": landings["exhausted"] == 1,
    }
    result = np.select([*tests.values()], [RESULTS.index(one) for one in tests], 0)
    judged = np.zeros(landings.shape, [*((n, landings.dtype[n]) for n in landings.dtype.names or ()), ("result", "i4")])
    for name in landings.dtype.names or ():
        judged[name] = landings[name]
    judged["result"] = result
    return judged


def _directions(mission: Mission) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Headings of the speed, and yaws as far as the legs do not repeat."""
    from .nominal import support_share

    headings = np.linspace(0.0, 2 * np.pi, DIRECTIONS, endpoint=False)
    even = support_share(mission) == 0.0 and not any(mission.value("legs.drop"))
    legs = int(mission.value("touchdown.legs"))
    return headings, np.linspace(0.0, 2 * np.pi / (legs if even else 1), 3 if even else DIRECTIONS, endpoint=False)


def stability_map(
    mission: Mission,
    descent_rates: ArrayLike,
    slopes: ArrayLike,
    speeds: ArrayLike,
    caught: bool = False,
) -> xarray.Dataset:
    """What becomes of a lander over descent rate, slope and horizontal speed [m s^-1, rad, m s^-1].

    Upright at the first touch, thrust as its weight until the cut. Each cell is the worst over directions of the speed
    and over yaw; `caught`: no foot slides.

    Variables over (descent_rate, slope, horizontal_speed): `result` by number (attribute `results` names them),
    `standing` the share of directions after which it stands, `stroke` [m] and `load` [N] the greatest; over
    (descent_rate, slope): `speed_limit` [m s^-1], below which it stands at every speed tried; NaN where at none.
    """
    import xarray

    axes = [np.atleast_1d(np.asarray(one, float)) for one in (descent_rates, slopes, speeds)]
    headings, yaws = _directions(mission)
    rate, slope, speed, heading, yaw = np.meshgrid(*axes, headings, yaws, indexing="ij", sparse=True)
    found = touch_down(
        mission, descent_rate=rate, slope=slope, horizontal_speed=speed, heading=heading, yaw=yaw, caught=int(caught)
    )
    over = (3, 4)
    result = found["result"].max(over)
    stood = np.cumsum(result > 0, axis=2) == 0
    limit = np.where(stood.any(2), axes[2][np.maximum(stood.sum(2) - 1, 0)], np.nan)
    dims = ("descent_rate", "slope", "horizontal_speed")
    data: dict[str, Any] = {
        "result": (dims, result, {"results": " ".join(RESULTS)}),
        "standing": (dims, (found["result"] == 0).mean(over), {"units": "1"}),
        "stroke": (dims, found["stroke"].max(over), {"units": "m"}),
        "load": (dims, found["load"].max(over), {"units": "N"}),
        "speed_limit": (dims[:2], limit, {"units": "m s-1"}),
    }
    units = {"descent_rate": "m s-1", "slope": "rad", "horizontal_speed": "m s-1"}
    coords = {name: (name, axis, {"units": units[name]}) for name, axis in zip(dims, axes, strict=True)}
    return xarray.Dataset(data, coords, {"mission": mission.name, "caught": int(caught)})


def envelope(mission: Mission, which: str | Envelope) -> xarray.Dataset:
    """What becomes of a lander on the corners and edges of an envelope: one of `envelopes.ENVELOPES`, or its name.

    Corners and middles of the edges of descent rate and horizontal speed, level ground and the steepest, upright and
    tilted to four sides with the rate that adds to it; thrust as the weight until the cut. Each is flown over eight
    headings, over yaw, and with feet that slide by the mission's friction and with none that does.

    Variables over (speed, slope, attitude): `result`, the worst by number (attribute `results` names them: REASONS),
    `standing` the share that stands, `stroke` [m], `load` [N] and `rest_tilt` [rad] the greatest; `count` over
    (reason,): touchdowns that end so. `heading`, `yaw` and `caught` are those of the worst of a cell.
    """
    import xarray

    from .envelopes import envelope_of

    asked = envelope_of(which) if isinstance(which, str) else which
    speeds = np.array(asked.speeds)
    slopes = np.unique([0.0, asked.slope])
    tilted = [(asked.tilt, asked.tilt_rate, side * np.pi / 2) for side in range(4)]
    attitudes = np.array([(0.0, 0.0, 0.0), *(tilted if asked.tilt or asked.tilt_rate else [])])
    headings, yaws = _directions(mission)
    sizes = (len(speeds), len(slopes), len(attitudes), len(headings), len(yaws), 2)

    def along(axis: int, values: Any) -> NDArray[Any]:
        return np.asarray(values).reshape([-1 if k == axis else 1 for k in range(len(sizes))])

    tried = {"heading": along(3, headings), "yaw": along(4, yaws), "caught": along(5, [0, 1])}
    found = touch_down(
        mission, descent_rate=along(0, speeds[:, 0]), horizontal_speed=along(0, speeds[:, 1]),
        slope=along(1, slopes), tilt=along(2, attitudes[:, 0]), tilt_rate=along(2, attitudes[:, 1]),
        tilt_heading=along(2, attitudes[:, 2]), **tried,
    )  # fmt: skip
    numbers = np.array([REASONS.index(one) for one in RESULTS])
    leans = (found["result"] == 0) & (found["rest_tilt"] > mission.value("limits.rest_tilt"))
    reason = np.where(leans, REASONS.index("leans"), numbers[found["result"]])
    over, dims = (3, 4, 5), ("speed", "slope", "attitude")
    # the worst of a cell; of equals that which leans most at the end
    first = (reason + found["rest_tilt"] / 10.0).reshape(*sizes[:3], -1).argmax(-1)

    def of_worst(values: Any) -> NDArray[Any]:
        flat = np.broadcast_to(values, sizes).reshape(*sizes[:3], -1)
        return np.take_along_axis(flat, first[..., None], -1)[..., 0]

    data: dict[str, Any] = {
        "result": (dims, reason.max(over), {"results": " ".join(REASONS)}),
        "standing": (dims, (reason == 0).mean(over), {"units": "1"}),
        "stroke": (dims, found["stroke"].max(over), {"units": "m"}),
        "load": (dims, found["load"].max(over), {"units": "N"}),
        "rest_tilt": (dims, found["rest_tilt"].max(over), {"units": "rad"}),
        "count": (("reason",), np.bincount(reason.ravel(), minlength=len(REASONS)), {"units": "1"}),
        **{name: (dims, of_worst(values), {"units": "rad"}) for name, values in tried.items()},
    }
    data["caught"] = (dims, data["caught"][1], {"units": "1"})
    coords: dict[str, Any] = {
        "descent_rate": ("speed", speeds[:, 0], {"units": "m s-1"}),
        "horizontal_speed": ("speed", speeds[:, 1], {"units": "m s-1"}),
        "slope": ("slope", slopes, {"units": "rad"}),
        "tilt": ("attitude", attitudes[:, 0], {"units": "rad"}),
        "tilt_rate": ("attitude", attitudes[:, 1], {"units": "rad s-1"}),
        "tilt_heading": ("attitude", attitudes[:, 2], {"units": "rad"}),
        "reason": ("reason", list(REASONS)),
    }
    told = {"mission": mission.name, "envelope": asked.name, "lander": asked.lander, "source": asked.source}
    return xarray.Dataset(data, coords, told | {"confidence": asked.confidence, "flown": int(reason.size)})


def worst_of(found: xarray.Dataset) -> dict[str, Any] | None:
    """The worst corner of an `envelope`, in SI, and why; None where the lander stands everywhere."""
    if not found["result"].values.any():
        return None
    badness = found["result"] + 1.0 - found["standing"]
    at = dict(zip(badness.dims, np.unravel_index(int(badness.values.argmax()), badness.shape), strict=True))
    cell = found.isel({str(name): int(place) for name, place in at.items()})
    names = ("descent_rate", "horizontal_speed", "slope", "tilt", "tilt_rate", "tilt_heading", "heading", "yaw",
             "caught", "standing", "stroke", "load", "rest_tilt")  # fmt: skip
    return {"reason": REASONS[int(cell["result"])]} | {name: float(cell[name]) for name in names}
