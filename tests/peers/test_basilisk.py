"""mcrisk flies the powered arc as Basilisk does, whose states are stored in basilisk.json.

Where the two must differ, and by how much (the arc is stated in arc.py):

- the mid-point rule is second order: its error falls by four when the step is halved, and what Richardson's
  extrapolation leaves (Hairer, Norsett & Wanner, II.4) is rounding. At 0.05 s it is below 2 mm, 3e-6 m/s, 2e-9 rad.
- in single precision, rates are plain sums: 12 000 increments, each rounded to the last place of numbers near 2^-9
  (2^-32 rad/s, sigma of a rounding 6.7e-11). As independent errors they give a rate of sigma 7e-9 rad/s, an attitude
  of sigma 6.7e-11 * sqrt(12000^3 / 3) * 0.05 = 2.6e-6 rad about each axis, and, by the same thrust, about 0.3 m. The
  bounds are four of these. A tick of 0.1 s is 1.5e-8 too long in single precision: 15 mm at 1.7 km/s.
"""

import numpy as np
import pytest
from peers import arc, steps

DOUBLE = {"position": 0.002, "velocity": 3e-6, "attitude": 2e-9, "rate": 1e-11, "mass": 1e-9}
SINGLE = {"position": 1.2, "velocity": 0.006, "attitude": 1.1e-5, "rate": 3e-8, "mass": 1e-4}


def flown(library, steps=2, **changes) -> arc.Ends:
    """Run 0 of mcrisk at every minute."""
    return arc.Ends.of(library.fly(arc.starts(1), 60, steps, **changes).table()[0])


def worst(ours: arc.Ends, theirs: arc.Ends) -> dict[str, float]:
    """The largest distance over the arc."""
    return {name: float(values.max()) for name, values in arc.difference(ours, theirs).items()}


def test_the_stored_table_solves_the_stated_equations(basilisk_states):
    """An integrator of order 8 on the right-hand side of steps.py, to 1e-13: what is left is rounding."""
    from scipy.integrate import solve_ivp

    rows = arc.starts(1)
    rates = steps.make_rates(*(float(part[0]) for part in arc.push(rows)))
    times = np.arange(60, 601, 60.0)
    solved = solve_ivp(rates, (0, 600), steps.begin(rows)[:, 0], "DOP853", times, rtol=1e-13, atol=1e-9)

    off = worst(arc.to_site(times, arc.Ends.of(solved.y.T)), basilisk_states)

    assert off["position"] < 1e-6
    assert off["velocity"] < 1e-8
    assert off["attitude"] < 1e-11


def test_in_double_precision_only_the_error_of_the_step_is_left(double, basilisk_states):
    """A quarter at half the step, and gone by extrapolation to a step of zero: the model is Basilisk's."""
    full, half = flown(double), flown(double, 4)
    off, off_half = worst(full, basilisk_states), worst(half, basilisk_states)
    limit = arc.Ends.of((4 * half.table() - full.table()) / 3)

    assert all(off[name] < bound for name, bound in DOUBLE.items())
    for name in ("position", "velocity", "attitude", "rate"):
        assert off[name] / off_half[name] == pytest.approx(4, rel=0.02), name
    assert worst(limit, basilisk_states)["position"] < 1e-6


def test_single_precision_stays_within_its_rounding(single, basilisk_states):
    """Tiles of 16 runs, as descents are flown."""
    off = worst(flown(single), basilisk_states)

    assert all(off[name] < bound for name, bound in SINGLE.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"gravity__gravitational_parameter": 1.0001 * arc.GM},
        {"gravity__j2": 0},
        {"gravity__rotation_rate": 0},
        {"vehicle__mass_dry": 1.001 * arc.MASS_DRY},
        {"vehicle__inertia_full": 1.01 * (arc.INERTIA_DRY + arc.INERTIA_TANK)},
        {"propulsion__main__offset_x": 1.01 * arc.OFFSET_X},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_table_notices_every_part_of_the_model(single, basilisk_states, changes):
    """One number wrong by little moves the end beyond the bound of single precision, in which descents are flown."""
    assert worst(flown(single, **changes), basilisk_states)["position"] > 3 * SINGLE["position"]


@pytest.mark.parametrize("column", [13, 14], ids=["thrust", "isp"])
def test_the_table_notices_a_thousandth_of_thrust_or_specific_impulse(single, basilisk_states, column):
    """0.1 % of thrust is 2 to 3 mm/s^2: hundreds of metres after 600 s."""
    rows = arc.starts(1)
    rows[:, column] *= 1.001
    ends = arc.Ends.of(single.fly(rows, 60).table()[0])

    assert worst(ends, basilisk_states)["position"] > 30 * SINGLE["position"]
