"""Quantities with units as text, turned into SI at the border and back for people.

`parse("450 N", "N")` is 450.0; `parse("450 kg", "N")` names what was expected. Angle is kept as a dimension of its own,
so a [rad] field needs an angle unit and a dimensionless one refuses degrees. Conversions are exact fractions, rounded
once: the SI number is the double nearest to what was written.

Why a table of our own: thirty lines of units cover a lander, load in no time, and let `300 ug` mean micro standard
gravity, as every accelerometer data sheet does, where a general library reads micrograms. The general library (pint)
is the test oracle.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from fractions import Fraction

from .errors import MistakeError, suggestion

__all__ = ["brief", "describe", "format", "parse", "parse_spread"]

TICK = Fraction(1, 10)  # [s] one GN&C cycle: `tick_period` of clock.h

Dimension = tuple[Fraction, Fraction, Fraction, Fraction]  # powers of kg, m, s, rad


@dataclass(frozen=True)
class Unit:
    """`factor` in SI, times the irrational `rest` of a root, and the powers of kg, m, s, rad."""

    factor: Fraction
    dimension: Dimension
    rest: float = 1.0


def _unit(factor: Fraction | int | str, kg: int = 0, m: int = 0, s: int = 0, rad: int = 0) -> Unit:
    return Unit(Fraction(factor), (Fraction(kg), Fraction(m), Fraction(s), Fraction(rad)))


PI = Fraction("3.14159265358979323846264338327950288419716939937510")  # 50 decimals: exact before the one rounding
GRAVITY = Fraction("9.80665")  # [m s^-2] standard gravity, exact, CGPM 1901
POUND = Fraction("0.45359237")  # [kg] international pound, exact, 1959 agreement
FOOT = Fraction("0.3048")  # [m] international foot, exact, 1959 agreement

SYMBOLS: dict[str, Unit] = {
    # length
    "m": _unit(1, m=1), "km": _unit(1000, m=1), "cm": _unit("0.01", m=1), "mm": _unit("0.001", m=1),
    "um": _unit("1e-6", m=1), "ft": _unit(FOOT, m=1), "in": _unit(FOOT / 12, m=1), "mi": _unit(FOOT * 5280, m=1),
    "nmi": _unit(1852, m=1),
    # mass
    "kg": _unit(1, kg=1), "t": _unit(1000, kg=1), "lb": _unit(POUND, kg=1), "lbm": _unit(POUND, kg=1),
    # time and frequency
    "s": _unit(1, s=1), "ms": _unit("0.001", s=1), "us": _unit("1e-6", s=1), "min": _unit(60, s=1),
    "h": _unit(3600, s=1), "hr": _unit(3600, s=1), "day": _unit(86400, s=1), "Hz": _unit(1, s=-1),
    "kHz": _unit(1000, s=-1),
    # angle
    "rad": _unit(1, rad=1), "mrad": _unit("0.001", rad=1), "urad": _unit("1e-6", rad=1), "deg": _unit(PI / 180, rad=1),
    "arcmin": _unit(PI / 10800, rad=1), "arcsec": _unit(PI / 648000, rad=1), "rev": _unit(2 * PI, rad=1),
    "rpm": _unit(PI / 30, s=-1, rad=1),
    # acceleration: g0 and its parts as data sheets write them, and the unit of gravimetry
    "g0": _unit(GRAVITY, m=1, s=-2), "mg": _unit(GRAVITY / 1000, m=1, s=-2), "ug": _unit(GRAVITY / 1000000, m=1, s=-2),
    "Gal": _unit("0.01", m=1, s=-2), "mGal": _unit("1e-5", m=1, s=-2),
    # force, energy, pressure
    "N": _unit(1, 1, 1, -2), "mN": _unit("0.001", 1, 1, -2), "kN": _unit(1000, 1, 1, -2), "MN": _unit(10**6, 1, 1, -2),
    "lbf": _unit(POUND * GRAVITY, 1, 1, -2), "J": _unit(1, 1, 2, -2), "kJ": _unit(1000, 1, 2, -2),
    "Pa": _unit(1, 1, -1, -2), "kPa": _unit(1000, 1, -1, -2), "MPa": _unit(10**6, 1, -1, -2),
    # parts of a whole
    "%": _unit("0.01"), "percent": _unit("0.01"), "ppm": _unit("1e-6"),
}  # fmt: skip

AMBIGUOUS = {
    "g": 'write "g0" for standard gravity or "kg" for mass',
    "M": 'write "m" for metres',
    "Km": 'write "km"',
    "kmh": 'write "km/h"',
    "kph": 'write "km/h"',
    "mph": 'write "mi/h"',
    "sec": 'write "s"',
    "minutes": 'write "min"',
    "hours": 'write "h"',
    "degrees": 'write "deg"',
    "kgf": 'write newtons, "N"',
    "kt": 'write "nmi/h"',
    "n": 'write "N" for newtons',
}

# What each unit of the headers measures, with an example the user can copy.
QUANTITIES: dict[str, tuple[str, str]] = {
    "": ("a number without a unit", '0.8 or "0.4 %"'),
    "m": ("a length", '"3 km"'),
    "m^-1": ("an inverse length", '"0.001 m^-1"'),
    "m^2": ("an area", '"2 m^2"'),
    "m^3": ("a volume", '"0.5 m^3"'),
    "m^2 s^-4": ("a squared acceleration", '"1 m^2/s^4"'),
    "m s^-1": ("a speed", '"1.5 m/s"'),
    "m s^-2": ("an acceleration", '"300 ug" or "0.5 m/s^2"'),
    "m s^-1.5": ("a velocity random walk", '"0.02 m/s/sqrt(h)"'),
    "m^3 s^-2": ("a gravitational parameter", '"4902.8 km^3/s^2"'),
    "kg": ("a mass", '"340 kg"'),
    "kg s^-1": ("a mass flow", '"0.15 kg/s"'),
    "kg m^2": ("a moment of inertia", '"400 kg m^2"'),
    "kg m^-3": ("a density", '"1500 kg/m^3"'),
    "N": ("a force", '"450 N"'),
    "N m": ("a torque", '"20 N m"'),
    "N s": ("an impulse", '"0.5 N s"'),
    "N m^-1": ("a stiffness", '"80 kN/m"'),
    "N s m^-1": ("a damping", '"2 kN s/m"'),
    "J": ("an energy", '"800 J"'),
    "Pa": ("a pressure", '"20 kPa"'),
    "s": ("a time", '"310 s"'),
    "s^-1": ("a rate per time", '"1e-5 s^-1" or "0.05 h^-1"'),
    "rad": ("an angle", '"41 deg"'),
    "rad s^-1": ("an angular rate", '"1 deg/h"'),
    "rad s^-2": ("an angular acceleration", '"0.5 deg/s^2"'),
    "rad s^-0.5": ("an angular random walk", '"0.07 deg/sqrt(h)"'),
    "tick": ("a number of ticks", '5 or "0.5 s" (a multiple of 0.1 s)'),
}

# What people like to read, tried in order by `format`; the last one always fits.
SHOWN: dict[str, tuple[str, ...]] = {
    "m": ("m",),
    "m s^-1": ("m/s",),
    "m s^-2": ("m/s^2",),
    "m s^-1.5": ("m/s/sqrt(h)", "m/s^1.5"),
    "m^3 s^-2": ("km^3/s^2", "m^3/s^2"),
    "kg s^-1": ("kg/s",),
    "kg m^-3": ("kg/m^3",),
    "N m^-1": ("N/m",),
    "N s m^-1": ("N s/m",),
    "rad": ("deg", "rad"),
    "rad s^-1": ("deg/s", "deg/h", "rad/s"),
    "rad s^-2": ("deg/s^2", "rad/s^2"),
    "rad s^-0.5": ("deg/sqrt(h)", "rad/s^0.5"),
}

NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,3}))?)\s*(.*?)\s*$", re.DOTALL)
FACTOR = re.compile(
    r"\s*([*/])?\s*(?:sqrt\(\s*([A-Za-z]\w*)\s*\)|([A-Za-z]\w*|%))(?:(?:\^|\*\*)\(?([+-]?\d(?:\.\d)?)\)?)?"
)
LONGEST = 100  # [character] of a quantity's text


def parse(text: object, unit: str, subject: str = "value") -> float:
    """The SI number of a quantity that must have the dimension of `unit`; a [tick] gives a whole number.

    `text` is unit text, or a bare number where the unit is [] or [tick]; `subject` names the value in a refusal.

    >>> parse("41 deg", "rad")
    0.7155849933176751
    >>> parse("300 ug", "m s^-2")
    0.002941995
    >>> parse("450 kg", "N", "vehicle.thrust_max")
    Traceback (most recent call last):
    mcrisk.errors.MistakeError: vehicle.thrust_max: expected a force such as "450 N", got "450 kg"
    """
    return _parsed_text(text, unit, subject) if isinstance(text, str) else _parsed(text, unit, subject)


def _parsed(text: object, unit: str, subject: str) -> float:
    number, given = _read(text, unit, subject)
    if unit == "tick":
        return float(_ticks(number, given, text, subject))
    if given is None:
        if unit:
            raise MistakeError(subject, describe(unit), f"{shown(text)} without a unit")
        return _finite(float(number), text, unit, subject)
    if given.dimension != _known(unit).dimension:
        raise MistakeError(subject, describe(unit), shown(text))
    return _finite(_value(number, given), text, unit, subject)


@functools.lru_cache(maxsize=1 << 14)
def _parsed_text(text: str, unit: str, subject: str) -> float:
    """The points of a study state the same texts thousands of times."""
    return _parsed(text, unit, subject)


def parse_spread(text: object, unit: str, subject: str = "value") -> tuple[float, bool]:
    """The size of a scatter about a value in `unit`, and whether it is relative: `0.4 %` and ppm are, `2 N` is not."""
    if isinstance(text, str) and re.search(r"(%|percent|ppm)\s*$", text):
        return parse(text, "", subject), True
    return parse(text, unit, subject), False


def describe(unit: str) -> str:
    """What a value in `unit` looks like: `a force such as "450 N"`."""
    name, example = QUANTITIES.get(unit, (f"a quantity in {unit}", f'"1 {unit}"'))
    return f"{name} such as {example}"


def format(value: float, unit: str, digits: int | None = None) -> str:
    """Text of an SI number in the unit people expect; without `digits` it parses back to exactly the same number.

    >>> format(0.7155849933176751, "rad")
    '41 deg'
    >>> format(1691.98765, "m s^-1", digits=3)
    '1690 m/s'
    """
    if unit == "tick":
        return f"{value:.0f}"
    if unit == "":
        return repr(value) if digits is None else _rounded(value, digits)
    candidates = SHOWN.get(unit, (unit,))
    if unit == "m" and abs(value) >= 10000:
        candidates = ("km", "m")
    if digits is not None:
        first = next(
            (name for name in candidates if abs(value) >= 0.1 * _value(Fraction(1), _known(name))), candidates[0]
        )
        return f"{_rounded(value / _value(Fraction(1), _known(first)), digits)} {first}"
    for name in candidates:
        text = f"{value / _value(Fraction(1), _known(name)):.12g} {name}"
        if len(text) < 24 and parse(text, unit) == value:
            return text
    return f"{value!r} {candidates[-1] if candidates[-1] in SYMBOLS else unit}"


def brief(value: float, unit: str) -> str:
    """Text of an SI number for messages: up to six digits, no trailing zeros."""
    name = unit if unit in ("", "tick") else SHOWN.get(unit, (unit,))[0]
    scale = _value(Fraction(1), _known(name)) if name and name != "tick" else 1.0
    return f"{value / scale:.6g} {name}".strip()


def _rounded(value: float, digits: int) -> str:
    """`digits` significant digits without an exponent in the range people read."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = math.floor(math.log10(abs(value)))
    if -4 <= size < 7:
        return f"{round(value, digits - 1 - size):.{max(digits - 1 - size, 0)}f}"
    return f"{value:.{digits}g}"


def _read(text: object, unit: str, subject: str) -> tuple[Fraction, Unit | None]:
    """The number and unit of a text; no unit for a bare number."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise MistakeError(subject, describe(unit), shown(text))
    if not isinstance(text, str):
        if isinstance(text, float) and not math.isfinite(text):
            raise MistakeError(subject, f"a finite number: {describe(unit)}", shown(text))
        if abs(text) > 1e300:
            raise MistakeError(subject, f"a number of ordinary size: {describe(unit)}", shown(text)[:40])
        return Fraction(text), None
    if len(text) > LONGEST:
        raise MistakeError(subject, describe(unit), f"a text of {len(text)} characters")
    plain = (
        text.replace("µ", "u")
        .replace("μ", "u")
        .replace("·", " ")
        .replace("°", " deg ")
        .replace("²", "^2")
        .replace("³", "^3")
    )
    match = NUMBER.match(plain)
    if not match:
        if re.match(r"\s*[+-]?(nan|inf)", plain, re.IGNORECASE):
            raise MistakeError(subject, f"a finite number: {describe(unit)}", shown(text))
        if re.match(r"\s*[+-]?[\d.]", plain):
            raise MistakeError(subject, describe(unit), shown(text))
        raise MistakeError(subject, describe(unit), shown(text), "write a number followed by its unit")
    if match[2] and abs(int(match[2])) > 300:
        raise MistakeError(subject, f"a number of ordinary size: {describe(unit)}", shown(text))
    return Fraction(match[1]), _expression(match[3], text, unit, subject) if match[3] else None


def _expression(text: str, whole: str, unit: str, subject: str) -> Unit:
    """The unit written as factors: `m/s^2`, `m s^-2`, `deg/sqrt(h)`; a slash divides by the next factor alone."""
    result, place = _unit(1), 0
    while place < len(text):
        match = FACTOR.match(text, place)
        if not match:
            raise MistakeError(subject, describe(unit), shown(whole), f"'{text[place:].strip()}' is not a unit")
        symbol = match[2] or match[3]
        power = Fraction(match[4] or 1)
        if match[2]:
            power /= 2
        if match[1] == "/":
            power = -power
        if symbol not in SYMBOLS:
            raise MistakeError(
                subject, describe(unit), shown(whole), f"unit '{symbol}' is not known{_hint(symbol, unit)}"
            )
        result = _times(result, _raised(SYMBOLS[symbol], power))
        place = match.end()
        while place < len(text) and text[place].isspace():
            place += 1
    return result


def _hint(symbol: str, unit: str) -> str:
    """What to write instead of an unknown unit: units of the right dimension first."""
    right = [name for name, one in SYMBOLS.items() if unit and one.dimension == _known(unit).dimension]
    hint = AMBIGUOUS.get(symbol) or suggestion(symbol, right) or suggestion(symbol, SYMBOLS)
    if hint or not right:
        return f": {hint}" if hint else ""
    return f": write one of {', '.join(right)}"


def _raised(unit: Unit, power: Fraction) -> Unit:
    """`unit` to a power; a root is taken exactly when it can be (sqrt(h) = 60 s^0.5)."""
    dimension = tuple(one * power for one in unit.dimension)
    whole, rest = Fraction(1), 1.0
    if power.denominator == 1:
        whole = unit.factor**power.numerator
    elif power.denominator == 2 and (root := _root(unit.factor)):
        whole = root**power.numerator
    else:
        rest = float(unit.factor) ** float(power)
    return Unit(whole, (dimension[0], dimension[1], dimension[2], dimension[3]), rest)


def _root(value: Fraction) -> Fraction | None:
    above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
    exact = above * above == value.numerator and below * below == value.denominator
    return Fraction(above, below) if exact else None


def _times(one: Unit, other: Unit) -> Unit:
    a, b = one.dimension, other.dimension
    dimension = (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])
    return Unit(one.factor * other.factor, dimension, one.rest * other.rest)


def _value(number: Fraction, unit: Unit) -> float:
    """The SI value, rounded once unless the unit holds an irrational root."""
    try:
        return float(number * unit.factor) * unit.rest
    except OverflowError:
        return math.inf


@functools.lru_cache(maxsize=256)
def _known(unit: str) -> Unit:
    return _expression(unit, unit, unit, "unit") if unit else _unit(1)


def _ticks(number: Fraction, given: Unit | None, text: object, subject: str) -> int:
    if given is not None:
        if given.dimension != _known("s").dimension:
            raise MistakeError(subject, describe("tick"), shown(text))
        number = number * given.factor / TICK
    elif isinstance(text, float):
        number = Fraction(repr(text))
    if number.denominator != 1:
        raise MistakeError(subject, describe("tick"), shown(text))
    if abs(number) >= 2**31:
        raise MistakeError(subject, describe("tick"), shown(text), "it does not fit 32 bits")
    return int(number)


def _finite(value: float, text: object, unit: str, subject: str) -> float:
    if not math.isfinite(value):
        raise MistakeError(subject, f"a finite number: {describe(unit)}", shown(text))
    return value


def shown(text: object) -> str:
    """A value as the user wrote it in TOML, shortened."""
    if isinstance(text, str):
        return f'"{text if len(text) <= 60 else text[:57] + "..."}"'
    if isinstance(text, bool):
        return "true" if text else "false"
    if isinstance(text, dict):
        return "a table"
    shown = str(text)
    return shown if len(shown) <= 60 else shown[:57] + "..."
