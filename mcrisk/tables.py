"""What a mission states besides kernel parameters: site, orbit, mass, and the scatter at powered-descent initiation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import units
from .dispersion import cholesky
from .errors import ImpossibleDesign, MistakeError, Problems, suggestion
from .schema import Field, load_schema
from .values import read_value

__all__ = [
    "BURN", "GRAVITY", "LISTS", "TABLES", "Burn", "mass_at_pdi", "propellant_at_pdi", "read_budget", "read_class",
    "read_covariance", "read_files", "read_seed",
    "scatter_factor", "shown", "six_digits",
]  # fmt: skip

SEEDS = 2.0**53  # of a ground: above, not every whole number is one of float64
TURN = 2 * math.pi  # [rad]
GRAVITY = float(units.GRAVITY)  # [m s^-2] standard gravity
TIE = "radial_along_velocity_correlation"
SCATTERS = ("delivery", "knowledge", "assumed")
STATES = ("position_radial", "position_along", "position_cross", "velocity_radial", "velocity_along", "velocity_cross")


def _table(path: str, unit: str, source: str, description: str, limits: str = "") -> Field:
    """A mission-level quantity, described as the headers describe theirs."""
    bound = re.fullmatch(r"(>=?) (\S+)|(\S+) \.\. (\S+)", limits)
    lower = float(bound[2] or bound[3]) if bound else None
    upper = float(bound[4]) if bound and bound[4] else None
    default = source if source not in ("required", "optional") else None
    return Field(
        path=path, base="real", shape=(), labels=(), unit=unit, default=default, lower=lower, upper=upper,
        lower_open=bool(bound and bound[1] == ">"), upper_open=False, unit_vector=False, metric=False,
        source="default" if default else source, description=description, enum=None, struct="", owner="mission",
        offsets=(0, 0), file="mission.py", line=0,
    )  # fmt: skip


def _scatter(section: str, what: str, optional: bool = False) -> list[Field]:
    def default(text: str) -> str:
        return "optional" if optional else text

    rows = [
        _table(f"{section}.{name}", "m" if name[0] == "p" else "m s^-1", default("0 m" if name[0] == "p" else "0 m/s"),
               f"One-sigma {name.split('_')[1]} {name.split('_')[0]} {what}.", ">= 0")
        for name in STATES
    ]  # fmt: skip
    text = "Correlation between radial position and along-track velocity."
    return [*rows, _table(f"{section}.{TIE}", "", default("0"), text, "-1 .. 1")]


TABLES: dict[str, Field] = {
    row.path: row
    for row in (
        _table("site.latitude", "rad", "required", "Latitude of the target, north.", f"-{TURN / 4} .. {TURN / 4}"),
        _table("site.longitude", "rad", "required", "Longitude of the target, east.", f"-{TURN} .. {TURN}"),
        _table("site.azimuth", "rad", "required", "Flight direction at the site, east of north.", f"-{TURN} .. {TURN}"),
        _table("site.elevation", "m", "0 m", "Height of the target above the Moon's mean radius.", "-20000 .. 20000"),
        _table("orbit.altitude", "m", "required", "Altitude of the circular orbit over the mean radius.", "> 0"),
        _table("orbit.perilune", "m", "required", "Altitude of powered-descent start over the mean radius.", "> 0"),
        _table("mass.launch", "kg", "optional", "Mass at launch, before the burns of mass.budget.", "> 0"),
        _table("mass.dry", "kg", "optional", "Mass without propellant, for vehicle.mass_dry.", "> 0"),
        _table("mass.at_pdi", "kg", "optional", "Mass at the start of powered descent; replaces launch.", "> 0"),
        _table("ground.seed", "", "optional", "Which synthetic ground: a whole number.", ">= 0"),
        _table("ground.length_before", "m", "optional", "Length of the strip before the target (60 km).", "> 0"),
        _table("ground.length_after", "m", "optional", "Length of the strip beyond the target (20 km).", "> 0"),
        _table("ground.half_width", "m", "optional", "Half-width of the strip (10 km).", "> 0"),
        _table("ground.cell", "m", "optional", "Cell of the strip.", "> 0"),
        _table("ground.site_half_width", "m", "optional", "Half-width of the patch about the target.", "> 0"),
        _table("ground.site_cell", "m", "optional", "Cell of that patch.", "> 0"),
        *_scatter("delivery", "error of the true state at the start of powered descent"),
        *_scatter("knowledge", "error of the state the computer starts with"),
        *_scatter("assumed", "error of that state expected by the filter; left out: as in [knowledge]", optional=True),
    )
}  # fmt: skip
COVARIANCE = "6 x 6 covariance in SI: radial, along, cross position, then velocity; instead of sigmas."
LISTS = {
    "ground.files": "Elevation models of the ground along the track: a file or several, the finest for the target.",
    "ground.synthetic": "Terrain class of a ground that is made up: mare, highland or ejecta.",
    "ground.region": "Terrain class of rocks, craters and slopes at the pad, or none; else that of ground.synthetic.",
    "mass.budget": "Manoeuvres between launch and powered descent: tables of name, delta_v and isp.",
    **{f"{section}.covariance": COVARIANCE for section in SCATTERS},
}
BURN = {
    "delta_v": _table("delta_v", "m s^-1", "required", "Velocity change.", ">= 0"),
    "isp": _table("isp", "s", "required", "Specific impulse.", "> 0"),
}


@dataclass(frozen=True)
class Burn:
    """One manoeuvre of the mass budget: [m s^-1] at a specific impulse [s]."""

    name: str
    delta_v: float
    isp: float


def read_budget(burns: object, where: str) -> tuple[Burn, ...]:
    """The burns of [[mass.budget]]."""
    if not isinstance(burns, (list, tuple)) or not all(isinstance(one, Mapping) for one in burns):
        example = '[[mass.budget]] name = "lunar orbit insertion", delta_v = "850 m/s", isp = "318 s"'
        raise MistakeError(where, f"tables such as {example}", units.shown(burns))
    found = []
    problems = Problems()
    for index, raw in enumerate(burns):
        at = f"{where}.{index}"
        with problems.caught():
            for key in raw:
                if key not in ("name", *BURN):
                    remedy = suggestion(key, ["name", *BURN]) or "known: name, delta_v, isp"
                    raise MistakeError(f"{at}: unknown key '{key}'", remedy=remedy)
            for key, one in BURN.items():
                if key not in raw:
                    raise MistakeError(f"{at}.{key}", units.describe(one.unit), "nothing")
            label = raw.get("name", "")
            if not isinstance(label, str):
                raise MistakeError(f"{at}.name", "a text", units.shown(label))
            numbers = {key: read_value(one, raw[key], f"{at}.{key}", {}) for key, one in BURN.items()}
            found.append(Burn(label, float(str(numbers["delta_v"])), float(str(numbers["isp"]))))
    problems.check()
    return tuple(found)


def read_covariance(rows: object, where: str) -> tuple[tuple[float, ...], ...]:
    """A 6 x 6 covariance in SI, symmetric and positive definite."""
    lists: list[Any] = list(rows) if isinstance(rows, (list, tuple)) else []
    if len(lists) != 6 or not all(isinstance(row, (list, tuple)) and len(row) == 6 for row in lists):
        expected = "6 lists of 6 numbers in SI: radial, along, cross position, then velocity"
        raise MistakeError(where, expected, units.shown(rows))
    matrix = tuple(
        tuple(units.parse(one, "", f"{where}.{i}.{j}") for j, one in enumerate(row)) for i, row in enumerate(lists)
    )
    for i in range(6):
        for j in range(i):
            if abs(matrix[i][j] - matrix[j][i]) > 1e-9 * math.sqrt(abs(matrix[i][i] * matrix[j][j])):
                raise MistakeError(
                    where, "a symmetric matrix", f"{matrix[i][j]:g} at {i}.{j} and {matrix[j][i]:g} at {j}.{i}"
                )
    if cholesky(matrix) is None:
        remedy = "variances must be above zero and correlations below one"
        raise MistakeError(where, "a positive definite matrix", "one that is not", remedy)
    return matrix


def read_files(raw: object, where: str) -> tuple[str, ...]:
    """The files of [ground]."""
    listed = raw if isinstance(raw, (list, tuple)) else [raw]
    names = [str(one) for one in listed if isinstance(one, (str, Path)) and str(one)]
    if not names or len(names) != len(listed):
        raise MistakeError(where, 'a file or a list of files such as ["ldem_512.tif"]', units.shown(raw))
    return tuple(names)


def read_class(raw: object, where: str, others: tuple[str, ...] = ()) -> str:
    """A terrain class of [ground], or another word that may stand for one."""
    from .regions import REGIONS

    known = (*REGIONS, *others)
    if not isinstance(raw, str) or raw not in known:
        remedy = suggestion(raw, known) if isinstance(raw, str) else ""
        raise MistakeError(where, f"a terrain class, one of {', '.join(known)}", units.shown(raw), remedy)
    return str(raw)


def read_seed(raw: object, where: str) -> float:
    """The seed of [ground]: a whole number, which decides the ground by itself."""
    value = read_value(TABLES["ground.seed"], raw, where, {})
    if not (isinstance(value, float) and value.is_integer() and value < SEEDS):
        raise MistakeError(where, "a whole number below 2^53", units.shown(raw))
    return value


def mass_at_pdi(tables: Mapping[str, Any]) -> float:
    """Mass at the start of the powered descent [kg], by the rocket equation; NaN when the mission does not say."""
    if "mass.at_pdi" in tables:
        return float(tables["mass.at_pdi"])
    if "mass.launch" not in tables:
        return math.nan
    exponent = math.fsum(one.delta_v / (one.isp * GRAVITY) for one in tables.get("mass.budget", ()))
    return six_digits(tables["mass.launch"] * math.exp(-exponent))


def six_digits(value: float) -> float:
    """Rounded to six significant digits, so that another machine's exp() or another numpy cannot change a campaign."""
    return float(f"{value:.5e}")


def propellant_at_pdi(tables: Mapping[str, Any], dry: float, attitude: float) -> float:
    """Main propellant left at the start of the powered descent [kg]; NaN when the mission does not say."""
    total = mass_at_pdi(tables)
    if total <= dry + attitude:
        origin = "mass.at_pdi"
        if "mass.at_pdi" not in tables:
            origin = f"launch mass {tables['mass.launch']:.6g} kg less the mass budget"
        raise ImpossibleDesign(
            f"mass at powered-descent initiation {total:.6g} kg ({origin}) is not above dry mass {dry:.6g} kg plus "
            f"attitude propellant {attitude:.6g} kg: no propellant is left to land with"
        )
    return math.nan if math.isnan(total) else six_digits(total - dry - attitude)


def scatter_factor(tables: Mapping[str, Any], which: str) -> tuple[float, ...]:
    """Lower Cholesky factor (21 numbers, row by row, SI) of the `delivery`, `knowledge` or `assumed` covariance.

    Order: radial, along-track, cross-track position, then velocity. Zero sigmas give zero rows. What `assumed` does not
    state is as in `knowledge`.
    """
    if which == "assumed":
        stated = {path.removeprefix("assumed."): value for path, value in tables.items() if path.startswith("assumed.")}
        kept = {path: value for path, value in tables.items() if not (stated and path == "knowledge.covariance")}
        return scatter_factor({**kept, **{f"knowledge.{name}": value for name, value in stated.items()}}, "knowledge")
    covariance = tables.get(f"{which}.covariance")
    if covariance is not None:
        factor = cholesky(covariance)
        assert factor is not None  # refused when read
    else:
        sigmas = [float(tables[f"{which}.{name}"]) for name in STATES]
        factor = [[sigmas[i] if i == j else 0.0 for j in range(6)] for i in range(6)]
        tie = float(tables[f"{which}.{TIE}"])
        factor[4][0], factor[4][4] = tie * sigmas[4], math.sqrt(1 - tie * tie) * sigmas[4]
    return tuple(factor[i][j] for i in range(6) for j in range(i + 1))


def shown(name: str, value: float | str) -> str:
    """A coordinate for people.

    >>> shown("altimeter.range_max", 600.0), shown("design", "main_retained")
    ('600 m', 'main_retained')
    """
    if isinstance(value, str):
        return value
    found = TABLES.get(name)
    if found is None:
        try:
            found = load_schema().locate(name)[0]
        except KeyError:
            return f"{value:g}"
    return units.brief(value, found.unit)
