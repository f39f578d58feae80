"""mcrisk.course: the table of one replayed run."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from mcrisk import course
from mcrisk.api import replay


def altimeter(ranges, used):
    """What the altimeter column shows at each tick."""
    flight = xr.Dataset({"altimeter_range": ("time", np.array(ranges)), "altimeter_used": ("time", np.array(used))})
    return [course._altimeter(flight, tick) for tick in range(len(ranges))]


def test_the_newest_range_is_shown_until_the_next_sample_is_due():
    """A sample every second tick; one dropped out, one refused by the filter."""
    shown = altimeter([-1, -1, 10, -1, 9, -1, -1, -1, 7, -1], [0, 0, 1, 0, 1, 0, 0, 0, -1, 0])

    assert shown[:7] == ["-", "-", "10.0 m", "10.0 m", "9.00 m", "9.00 m", "-"]
    assert shown[7:] == ["-", "7.00 m rejected", "7.00 m rejected"]


def test_without_a_valid_range_nothing_is_shown():
    assert altimeter([-1, -1, -1], [0, 0, 0]) == ["-", "-", "-"]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (-0.00243, "m s^-1", "0 m/s"),
        (0.0012, "rad s^-1", "0.0688 deg/s"),
        (20014.0, "m", "20.0 km"),
        (0.5, "", "0.500"),
    ],
)
def test_a_number_has_three_digits_and_one_unit_that_people_expect(value, unit, expected):
    """0.0012 rad/s = 0.0012 * 180 / pi deg/s."""
    assert course._three(value, unit) == expected


@pytest.fixture(scope="module")
def flight():
    return replay("generic_small", 0)


def test_the_way_down_has_rows_at_every_scale_of_height(flight):
    """Between 10 km and 5 m the height falls by no more than 2.5 times from row to row."""
    height = flight["height"].values[course._ticks(flight)]
    low = height[(height < 10e3) & (height > 5.0)]

    assert len(low) > 8
    assert (low[:-1] / low[1:]).max() < 2.6  # the levels are 2 and 2.5 apart, a tick of 0.1 s past each


def test_the_course_starts_at_the_start_and_ends_on_the_ground(flight):
    stream = io.StringIO()
    course.show_course(flight, Console(file=stream, width=120, soft_wrap=True))
    lines = stream.getvalue().splitlines()

    assert lines[0].startswith("run 0 of generic_small: ")
    assert lines[2].split()[:3] == ["0.1", "s", "coast"]
    assert any(line.startswith("at contact") for line in lines)
    assert any(line.startswith("descent_rate") and "m/s  Downward speed" in line for line in lines)
