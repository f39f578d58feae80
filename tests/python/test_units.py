"""Quantities as text: known values, a second library's opinion, round trips, and refusals."""

from __future__ import annotations

import math
import random

import pint
import pytest

from mcrisk import units
from mcrisk.errors import MistakeError

KNOWN = [
    ("450 N", "N", 450.0),
    ("3.5 kN", "N", 3500.0),
    ("10500 lbf", "N", 46706.32696023525),  # 10500 x 0.45359237 kg x 9.80665 m/s^2
    ("41 deg", "rad", math.radians(41)),
    ("30 arcsec", "rad", math.radians(30 / 3600)),
    ("0.5 mrad", "rad", 0.0005),
    ("1 deg/h", "rad s^-1", math.radians(1) / 3600),
    ("0.07 deg/sqrt(h)", "rad s^-0.5", math.radians(0.07) / 60),
    ("0.02 m/s/sqrt(h)", "m s^-1.5", 0.02 / 60),
    ("300 ug", "m s^-2", 300e-6 * 9.80665),
    ("300 µg", "m s^-2", 300e-6 * 9.80665),
    ("2 mg", "m s^-2", 2e-3 * 9.80665),
    ("1.5 g0", "m s^-2", 14.709975),
    ("35 ug/sqrt(Hz)", "m s^-1.5", 35e-6 * 9.80665),
    ("50 mGal", "m s^-2", 5e-4),
    ("0.4 %", "", 0.004),
    ("100 ppm", "", 1e-4),
    ("0.5", "", 0.5),
    (0.5, "", 0.5),
    (3, "", 3.0),
    ("20 km", "m", 20000.0),
    ("50000 ft", "m", 15240.0),
    ("260 nmi", "m", 481520.0),
    ("5560 ft/s", "m s^-1", 1694.688),
    ("6000 km/h", "m s^-1", 6000 / 3.6),
    ("1.5 m s^-1", "m s^-1", 1.5),
    ("0.5 m/s^2", "m s^-2", 0.5),
    ("0.5 m/s/s", "m s^-2", 0.5),
    ("0.5 m s^-2", "m s^-2", 0.5),
    ("0.5 m*s**-2", "m s^-2", 0.5),
    ("400 kg m^2", "kg m^2", 400.0),
    ("20 N m", "N m", 20.0),
    ("20 N*m", "N m", 20.0),
    ("20 N·m", "N m", 20.0),
    ("4902.80007 km^3/s^2", "m^3 s^-2", 4.90280007e12),
    ("310 s", "s", 310.0),
    ("1 h", "s", 3600.0),
    ("2 rpm", "rad s^-1", 2 * 2 * math.pi / 60),
    ("1e-5 s^-1", "s^-1", 1e-5),
    ("  450   N ", "N", 450.0),
    ("450N", "N", 450.0),
    ("-1.5e+2 m", "m", -150.0),
    (".5 m", "m", 0.5),
    ("5 °", "rad", math.radians(5)),
    ("7", "tick", 7.0),
    (7, "tick", 7.0),
    ("0.5 s", "tick", 5.0),
    ("200 ms", "tick", 2.0),
    ("2 min", "tick", 1200.0),
]


@pytest.mark.parametrize(("text", "unit", "expected"), KNOWN)
def test_a_quantity_becomes_its_si_number(text, unit, expected):
    """Values by hand from the definitions of the units."""
    actual = units.parse(text, unit)

    assert math.isclose(expected, actual, rel_tol=1e-15)


def test_decimal_prefixes_are_exact():
    """0.1 % is the double nearest to 0.001, not 0.1 x 0.01."""
    assert units.parse("0.1 %", "") == 0.001
    assert units.parse("0.3 km", "m") == 300.0
    assert units.parse("1.1 kN", "N") == 1100.0
    assert units.parse("41 deg", "rad") == math.radians(41)


REGISTRY = pint.UnitRegistry()
SECOND_OPINION = {
    "g0": "standard_gravity", "ug": "microstandard_gravity", "mg": "millistandard_gravity", "%": "percent",
    "lb": "pound", "lbm": "pound", "lbf": "pound_force", "t": "tonne", "nmi": "nautical_mile", "mi": "mile",
    "in": "inch",    "rev": "revolution", "h": "hour", "hr": "hour", "Gal": "galileo", "mGal": "milligalileo",
    "us": "microsecond", "um": "micrometer", "urad": "microradian", "min": "minute",
}  # fmt: skip


@pytest.mark.parametrize("symbol", sorted(units.SYMBOLS))
def test_every_unit_agrees_with_pint(symbol):
    """pint 0.24 or later; relative difference of at most a few roundings."""
    ours = units.SYMBOLS[symbol]
    theirs = REGISTRY.Quantity(1, SECOND_OPINION.get(symbol, symbol)).to_base_units()
    powers = {"[mass]": 0, "[length]": 0, "[time]": 0} | {str(k): v for k, v in theirs.dimensionality.items()}
    scale = 2 * math.pi if symbol == "Hz" and theirs.check("[time]**-1") and "radian" in str(theirs.units) else 1

    assert math.isclose(float(ours.factor), theirs.magnitude / scale, rel_tol=1e-12)
    assert [float(power) for power in ours.dimension[:3]] == [powers["[mass]"], powers["[length]"], powers["[time]"]]


@pytest.mark.parametrize("unit", sorted(set(units.QUANTITIES) - {"", "tick"}))
def test_formatted_text_parses_back_to_the_same_bits(unit):
    """200 random sizes per unit, from 1e-9 to 1e9."""
    generator = random.Random(7)
    for _ in range(200):
        value = generator.choice((-1, 1)) * 10 ** generator.uniform(-9, 9)

        assert units.parse(units.format(value, unit), unit) == value


def test_formatted_text_is_what_people_write():
    """The friendly unit is used when it is exact."""
    assert units.format(math.radians(41), "rad") == "41 deg"
    assert units.format(units.parse("0.07 deg/sqrt(h)", "rad s^-0.5"), "rad s^-0.5") == "0.07 deg/sqrt(h)"
    assert units.format(20000.0, "m") == "20 km"
    assert units.format(450.0, "N") == "450 N"
    assert units.format(5.0, "tick") == "5"
    assert units.format(0.004, "") == "0.004"
    assert units.format(1691.98765, "m s^-1", digits=3) == "1690 m/s"
    assert units.format(0.0123, "rad", digits=2) == "0.70 deg"


@pytest.mark.parametrize("unit", sorted(units.QUANTITIES))
def test_every_unit_of_the_headers_can_be_described_with_an_example_that_parses(unit):
    """The example shown in an error is itself accepted."""
    described = units.describe(unit)
    examples = described.split('"')[1::2]
    for text in examples:
        units.parse(text, unit)

    assert examples


def test_a_scatter_is_relative_in_percent_and_absolute_in_the_unit():
    """0.4 % of the value, or 2 N whatever the value."""
    assert units.parse_spread("0.4 %", "N") == (0.004, True)
    assert units.parse_spread("100 ppm", "rad") == (1e-4, True)
    assert units.parse_spread("2 N", "N") == (2.0, False)
    assert units.parse_spread(0.02, "") == (0.02, False)


REFUSED = [
    ("450 kg", "N", 'expected a force such as "450 N", got "450 kg"'),
    (450, "N", 'expected a force such as "450 N", got 450 without a unit'),
    ("450", "N", 'expected a force such as "450 N", got "450" without a unit'),
    ("41", "rad", 'expected an angle such as "41 deg", got "41" without a unit'),
    ("0.5 %", "rad", 'expected an angle such as "41 deg", got "0.5 %"'),
    ("5 deg", "", "expected a number without a unit such as"),
    ("5 rad", "", "expected a number without a unit such as"),
    ("5 s^-1", "rad s^-1", 'expected an angular rate such as "1 deg/h"'),
    ("5 deg/s", "s^-1", "expected a rate per time"),
    ("5 Hz", "rad s^-1", "expected an angular rate"),
    ("nan N", "N", "expected a finite number"),
    ("NaN", "", "expected a finite number"),
    ("inf m", "m", "expected a finite number"),
    ("-inf", "", "expected a finite number"),
    (math.nan, "", "expected a finite number"),
    (math.inf, "", "expected a finite number"),
    ("1e999 m", "m", "expected a number of ordinary size"),
    ("1e99999999999999 m", "m", "expected a number of ordinary size"),
    ("1e300 km^9/m^8", "m", "expected a finite number"),
    ("1e-999 m", "m", "expected a number of ordinary size"),
    (10**400, "", "expected a number of ordinary size"),
    ("9" * 10000 + " m", "m", "a text of 10002 characters"),
    ("1e300 km^9", "m", "expected a length"),
    (True, "", "got true"),
    (None, "m", "expected a length"),
    ([1, 2], "m", "expected a length"),
    ({"a": 1}, "m", "got a table"),
    ("", "m", "write a number followed by its unit"),
    ("N 450", "N", "write a number followed by its unit"),
    ("1,500 kg", "kg", "',500 kg' is not a unit"),
    ("1 500 kg", "kg", "'500 kg' is not a unit"),
    ("450 newton", "N", "unit 'newton' is not known: write one of N, mN, kN, MN, lbf"),
    ("5 g", "m s^-2", "write \"g0\" for standard gravity"),
    ("5 sec", "s", 'write "s"'),
    ("5 kn", "N", "did you mean 'kN'?"),
    ("5 m //s", "m s^-1", "is not a unit"),
    ("5 m; import os", "m", "is not a unit"),
    ("__import__('os')", "m", "write a number followed by its unit"),
    ("5 m^", "m", "is not a unit"),
    ("5 (m)", "m", "is not a unit"),
    ("5 sqrt(m", "m", "unit 'sqrt' is not known"),
    ("0.25 s", "tick", "a multiple of 0.1 s"),
    ("1.5", "tick", "expected a number of ticks"),
    ("5 m", "tick", "expected a number of ticks"),
    ("99999999999", "tick", "it does not fit 32 bits"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "unit", "expected"), REFUSED)
def test_a_text_that_is_not_the_quantity_is_refused_by_name(text, unit, expected):
    """Every refusal starts with the path and says what was expected."""
    with pytest.raises(MistakeError) as caught:
        units.parse(text, unit, "vehicle.value")

    assert str(caught.value).startswith("vehicle.value: ")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 700
