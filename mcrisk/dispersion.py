"""Continuous chance: what a mission states under [dispersions], and the rows the kernel reads of it.

    "propulsion.main.isp" = { sigma = "0.4 %" }                        normal, relative to the value
    "vehicle.cg_dry_B"    = { sigma = "5 mm", lower = "-20 mm" }       each component on its own, truncated
    "altimeter.health"    = { lognormal = 0.3, class = "epistemic" }   source = "..." says where a number is from

Forms: sigma (normal), uniform (half-width), lognormal (sigma of the logarithm), exponential (mean above the value),
rayleigh (mode above the value). A truncated number is set to the limit it would pass.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import units
from .errors import MistakeError, Problems, suggestion
from .schema import Field, Schema
from .values import SI, range_text

if TYPE_CHECKING:
    from .mission import Mission

__all__ = [
    "Correlation",
    "Dispersion",
    "Factor",
    "Row",
    "cholesky",
    "dispersible",
    "read_dispersion",
    "stream",
    "table",
]

FORMS = {
    "sigma": "normal",
    "uniform": "uniform",
    "lognormal": "lognormal",
    "exponential": "exponential",
    "rayleigh": "rayleigh",
}
CLASSES = ("aleatory", "epistemic")
STREAMS_FIRST = 0x40000000  # `dispersions_first` of streams.h
LARGEST = 3.0e38  # [] no limit, in a word that float32 holds


@dataclass(frozen=True)
class Dispersion:
    """A distribution attached to a parameter path. `spread` is SI, or a fraction of the value where `relative`."""

    path: str
    form: str
    spread: float
    relative: bool
    lower: float | None = None
    upper: float | None = None
    klass: str = "aleatory"
    source: str = ""

    @property
    def distribution(self) -> str:
        """Name in the kernel's `Distribution`."""
        name = FORMS[self.form]
        return f"{name}_{'relative' if self.relative else 'absolute'}" if name in ("normal", "uniform") else name


@dataclass(frozen=True)
class Correlation:
    """Correlation coefficient of the underlying normal numbers of two dispersed parameters."""

    a: str
    b: str
    value: float


@dataclass(frozen=True)
class Factor:
    """One term of a correlated normal number."""

    stream: int
    weight: float


@dataclass(frozen=True)
class Row:
    """One dispersed scalar as the kernel reads it; `word` counts 4-byte words inside World."""

    path: str
    word: int
    distribution: int
    stream: int
    spread: float
    lower: float
    upper: float
    factor_first: int
    factor_count: int


def stream(path: str) -> int:
    """The random stream of a parameter: from its name alone, so that adding one dispersion shifts no other draw."""
    return STREAMS_FIRST | (int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") & (STREAMS_FIRST - 1))


def dispersible(schema: Schema, path: str, subject: str) -> Field:
    """The field at `path` if it can vary run by run; else a refusal that says why."""
    found, _ = schema.locate(path)
    if found.owner == "Onboard":
        raise MistakeError(f"{subject}: '{path}' is an on-board constant: it can be swept, not dispersed")
    if found.owner != "World":
        raise MistakeError(f"{subject}: '{path}' is a setting of the experiment: it can be swept, not dispersed")
    if found.base != "real":
        kind = "a choice" if found.enum else "a whole number"
        raise MistakeError(f"{subject}: '{path}' is {kind}: it can be swept, not dispersed")
    return found


def read_dispersion(schema: Schema, path: str, raw: object, subject: str) -> Dispersion:
    """The dispersion a mission states for `path`."""
    found = dispersible(schema, path, subject)
    if not isinstance(raw, Mapping):
        raise MistakeError(subject, 'a table such as { sigma = "0.4 %" }', units.shown(raw))
    known = (*FORMS, "lower", "upper", "class", "source")
    for key in raw:
        if key not in known:
            remedy = suggestion(key, known) or f"known: {', '.join(known)}"
            raise MistakeError(f"{subject}: unknown key '{key}'", remedy=remedy)
    forms = [key for key in raw if key in FORMS]
    if len(forms) != 1:
        raise MistakeError(subject, f"one of {', '.join(FORMS)}", " and ".join(forms) or "none of them")
    form = forms[0]
    spread, relative = _read_spread(raw[form], form, found, f"{subject}.{form}")
    if spread < 0:
        raise MistakeError(f"{subject}.{form}", "a width of at least zero", units.shown(raw[form]))
    limits: dict[str, float | None] = {"lower": None, "upper": None}
    for name in limits:
        if name in raw:
            stated = raw[name]
            number = stated.value if isinstance(stated, SI) else units.parse(stated, found.unit, f"{subject}.{name}")
            if not _allowed(found, number):
                raise MistakeError(f"{subject}.{name}", range_text(found), units.shown(stated))
            limits[name] = number
    lower, upper = limits["lower"], limits["upper"]
    if lower is not None and upper is not None and lower >= upper:
        raise MistakeError(subject, "lower below upper", f"{units.shown(raw['lower'])} and {units.shown(raw['upper'])}")
    klass, source = raw.get("class", "aleatory"), raw.get("source", "")
    if klass not in CLASSES:
        raise MistakeError(f"{subject}.class", " or ".join(f'"{one}"' for one in CLASSES), units.shown(klass))
    if not isinstance(source, str):
        raise MistakeError(f"{subject}.source", "a text", units.shown(source))
    return Dispersion(path, form, spread, relative, lower, upper, klass, source)


def _read_spread(raw: object, form: str, found: Field, subject: str) -> tuple[float, bool]:
    if form == "lognormal":
        number = raw.value if isinstance(raw, SI) else units.parse(raw, "", subject)
        if number > 10:
            raise MistakeError(subject, "the sigma of a natural logarithm such as 0.3", units.shown(raw))
        return number, True
    if isinstance(raw, SI):
        return raw.value, False
    if form in ("exponential", "rayleigh"):
        return units.parse(raw, found.unit, subject), False
    try:
        return units.parse_spread(raw, found.unit, subject)
    except MistakeError as mistake:
        if not found.unit:
            raise
        expected = f'a part of the value such as "0.4 %", or {units.describe(found.unit)}'
        raise MistakeError(subject, expected, mistake.got, mistake.remedy) from None


def _allowed(found: Field, number: float) -> bool:
    return (found.lower is None or number >= found.lower) and (found.upper is None or number <= found.upper)


def check_value(dispersion: Dispersion, value: float, path: str, unit: str, subject: str) -> None:
    """Refuse a dispersion that cannot act on this value."""
    if value == 0 and dispersion.spread and (dispersion.relative or dispersion.form == "lognormal"):
        text = f"{subject}: '{path}' is zero, so a relative {dispersion.form} would never change it"
        raise MistakeError(text, remedy=f"state it absolutely, as {units.describe(unit)}")
    for name, limit, beyond in (("lower", dispersion.lower, 1), ("upper", dispersion.upper, -1)):
        if limit is not None and (limit - value) * beyond > 0:
            shown = units.brief(value, unit)
            got = units.brief(limit, unit)
            side = "at most" if beyond > 0 else "at least"
            raise MistakeError(f"{subject}.{name}", f"{side} the value of '{path}', {shown}", got)


def components(schema: Schema, path: str) -> list[str]:
    """The scalar paths of a field: itself, or one per component."""
    found, index = schema.locate(path)
    return [path] if index is not None or not found.shape else [f"{path}{suffix}" for suffix in found.suffixes]


def table(mission: Mission, schema: Schema, real: int = 4) -> tuple[list[Row], list[Factor]]:
    """The kernel's rows in the order of their paths, and the correlation terms they refer to."""
    scalars: dict[str, Dispersion] = {}
    for path, dispersion in mission.dispersions.items():
        for scalar in components(schema, path):
            if scalar in scalars:
                raise MistakeError(f"'{scalar}' is dispersed twice", remedy=f"see dispersions of '{path}'")
            scalars[scalar] = dispersion
    streams = {path: stream(path) for path in sorted(scalars)}
    if len(set(streams.values())) < len(streams):
        raise MistakeError("two dispersed parameters have names of the same random stream", remedy="leave one out")
    weights = _weights(sorted(scalars), mission.correlations)
    rows: list[Row] = []
    factors: list[Factor] = []
    names = schema.enums["Distribution"].members
    problems = Problems()
    for path in sorted(scalars):
        dispersion, (found, _) = scalars[path], schema.locate(path)
        word = schema.world_word(path, real)
        with problems.caught():
            value = mission.value(path)
            if word is None or not isinstance(value, float):
                raise MistakeError(f"dispersions: '{path}' cannot be dispersed")
            check_value(dispersion, value, path, found.unit, f"dispersions.{path}")
            lower, upper = _limits(found, value)
            lower = lower if dispersion.lower is None else max(lower, dispersion.lower)
            upper = upper if dispersion.upper is None else min(upper, dispersion.upper)
            terms = weights.get(path, [])
            place = (len(factors), len(terms)) if terms else (0, 0)
            factors.extend(Factor(streams[other], weight) for other, weight in terms)
            number = names[dispersion.distribution]
            rows.append(Row(path, word, number, streams[path], dispersion.spread, lower, upper, *place))
    problems.check()
    return rows, factors


def _limits(found: Field, value: float) -> tuple[float, float]:
    """The physical limits of a drawn value; an open one is approached to a millionth."""
    lower = -LARGEST if found.lower is None else found.lower
    upper = LARGEST if found.upper is None else found.upper
    if found.lower_open:
        lower += 1e-6 * (abs(value - lower) or 1.0)
    if found.upper_open:
        upper -= 1e-6 * (abs(upper - value) or 1.0)
    return lower, upper


def _weights(paths: Sequence[str], correlations: Iterable[Correlation]) -> dict[str, list[tuple[str, float]]]:
    """For each correlated path the streams it mixes: its row of the Cholesky factor of its group."""
    stated: dict[frozenset[str], float] = {frozenset((one.a, one.b)): one.value for one in correlations}
    group: dict[str, set[str]] = {path: {path} for path in paths}
    for pair in stated:
        a, b = sorted(pair)
        joined = group[a] | group[b]
        for path in joined:
            group[path] = joined
    weights: dict[str, list[tuple[str, float]]] = {}
    done: set[str] = set()
    for path in paths:
        members = sorted(group[path])
        if len(members) == 1 or path in done:
            continue
        done.update(members)
        matrix = [[1.0 if a == b else stated.get(frozenset((a, b)), 0.0) for b in members] for a in members]
        factor = cholesky(matrix)
        if factor is None:
            raise MistakeError(
                f"correlations of {', '.join(members)}",
                "a positive definite matrix",
                "coefficients that contradict each other",
                "bring them nearer to zero",
            )
        for index in range(1, len(members)):  # the first of a group is its own stream
            terms = [(members[j], factor[index][j]) for j in range(index + 1) if factor[index][j] != 0.0]
            weights[members[index]] = terms
    return weights


def cholesky(matrix: Sequence[Sequence[float]]) -> list[list[float]] | None:
    """Lower Cholesky factor of a symmetric matrix; None when it is not positive definite."""
    size = len(matrix)
    factor = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - math.fsum(factor[i][k] * factor[j][k] for k in range(j))
            if i == j:
                if not rest > 1e-12 * abs(matrix[i][i]):
                    return None
                factor[i][i] = math.sqrt(rest)
            else:
                factor[i][j] = rest / factor[j][j]
    return factor
