"""mcrisk.touchdown: legs against closed forms, invariants and symmetries; the map and its mistakes.

Closed forms: work and energy of crushing legs; sliding and sticking by Coulomb's law; tipping over caught feet
(Walton & Durling 1965, NASA TN D-2860)."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mcrisk import cli, load
from mcrisk.backends.cpu import CpuBackend
from mcrisk.envelopes import ENVELOPES, Envelope
from mcrisk.errors import ImpossibleDesign, MistakeError
from mcrisk.nominal import design, plant_of, support_share
from mcrisk.params import pack
from mcrisk.touchdown import REASONS, RESULTS, envelope, stability_map, touch_down, worst_of

STANDS, LEG_EXHAUSTED, BODY_STRUCK, NEVER_RESTS, TIPS = range(5)
FORCE, STROKE, STIFFNESS = 12e3, 0.4, 2e6  # [N] of all legs, [m], [N/m] of one leg
RIGID = {"touchdown.crush_force": 1e6, "touchdown.leg_stiffness": 2e6, "touchdown.leg_damping": 1.0}


def lander(**changes):
    """A small lander on four legs whose mass is known, with its centre of gravity on the axis."""
    usual = {
        "touchdown.crush_force": FORCE, "touchdown.stroke_max": STROKE, "touchdown.leg_stiffness": STIFFNESS,
        "touchdown.foot_radius": 1.5, "touchdown.cg_height": 1.1, "touchdown.gyration_radius": 0.8,
        "touchdown.clearance": 1.0, "touchdown.clearance_radius": 0.1,
    }  # fmt: skip
    return load("generic_small").replace(usual | {name.replace("__", "."): value for name, value in changes.items()})


def mass_and_gravity(mission):
    plant = plant_of(design(mission))
    return plant.mass_landing, plant.gravity


# ---- crushing


@pytest.mark.parametrize("speed", [1.0, 2.0, 3.0])
def test_the_stroke_absorbs_the_energy_of_a_symmetric_drop(speed):
    """m v^2 / 2 + m g (s + e) = F s + F e / 2, with the elastic deflection e = F / (n k); one step of 1 ms."""
    mission = lander(touchdown__leg_damping=0)
    mass, gravity = mass_and_gravity(mission)
    elastic = FORCE / (4 * STIFFNESS)
    stroke = (mass * speed**2 / 2 + mass * gravity * elastic - FORCE * elastic / 2) / (FORCE - mass * gravity)

    found = touch_down(mission, descent_rate=speed, thrust=0)

    assert found["stroke"] == pytest.approx(stroke, abs=1e-3 * speed)
    assert found["crushed"] == pytest.approx(FORCE * found["stroke"], rel=1e-4)
    assert found["load"] == pytest.approx(FORCE / 4, rel=1e-5)
    assert found["result"] in (STANDS, NEVER_RESTS)  # without damping it may spring for ever
    assert found["rest_tilt"] < 1e-3


def test_a_second_stage_stops_what_the_first_cannot():
    """The first stage, half of the stroke, takes F s / 2; what is left goes into twice the force."""
    mission = lander(touchdown__leg_damping=0, touchdown__crush_step=0.5, touchdown__crush_rise=2)
    mass, gravity = mass_and_gravity(mission)
    speed = 4.5
    first = STROKE / 2
    left = mass * speed**2 / 2 - (FORCE - mass * gravity) * first
    stroke = first + left / (2 * FORCE - mass * gravity)

    found = touch_down(mission, descent_rate=speed, thrust=0)

    assert first < stroke < STROKE
    assert found["stroke"] == pytest.approx(stroke, rel=0.02)
    assert found["load"] == pytest.approx(FORCE / 2, rel=5e-3)  # and a part of what friction bears


def test_a_leg_without_stroke_left_is_told_and_bears_more_than_its_crush_force():
    found = touch_down(lander(), descent_rate=[3.0, 5.0], thrust=0)

    assert found["exhausted"].tolist() == [0, 1]
    assert found["result"].tolist() == [STANDS, LEG_EXHAUSTED]
    assert found["stroke"][1] == pytest.approx(STROKE)
    assert found["load"][1] > FORCE / 4


def test_canted_struts_crush_further_along_their_axis():
    """Work per height lost is F / cos(cant): a canted leg of the same axial force bears more along the vertical."""
    upright, canted = (touch_down(lander(touchdown__strut_cant=cant, touchdown__leg_damping=0), friction=0,
                                  descent_rate=3, thrust=0) for cant in (0.0, 0.5))  # fmt: skip

    assert canted["load"] == pytest.approx(upright["load"], rel=1e-4)
    assert canted["crushed"] == pytest.approx(FORCE * canted["stroke"], rel=5e-3)  # of the longest of four strokes
    assert canted["crushed"] == pytest.approx(upright["crushed"], rel=0.02)


def test_a_body_lower_than_the_stroke_is_struck():
    """Legs crush by 0.2 m at 3 m/s: a nozzle 0.5 m up stays clear, one 0.1 m up does not."""
    results = [touch_down(lander(touchdown__clearance=height), descent_rate=3, thrust=0) for height in (0.5, 0.1)]

    assert [int(one["result"]) for one in results] == [STANDS, BODY_STRUCK]
    assert [float(one["room"]) > 0 for one in results] == [True, False]
    assert results[0]["room"] == pytest.approx(0.5 - results[0]["stroke"], abs=5e-3)  # and the elastic deflection


# ---- friction


@pytest.mark.parametrize("speed", [0.5, 1.0])
def test_it_slides_as_far_as_friction_lets_it(speed):
    """v^2 / (2 mu g), from a soft touch; 5 % for the first contact and the springs at its end."""
    mission = lander(touchdown__cg_height=0.3, touchdown__foot_radius=3, **{"touchdown__leg_damping": 1})
    _, gravity = mass_and_gravity(mission)

    found = touch_down(mission, descent_rate=0.01, horizontal_speed=speed, friction=0.3, thrust=0)

    assert found["slide"] == pytest.approx(speed**2 / (2 * 0.3 * gravity), rel=0.05)


def test_it_stays_on_a_slope_that_friction_holds_and_slides_off_a_steeper_one():
    """tan(slope) = mu: below it the lander does not creep."""
    mission = lander(touchdown__cg_height=0.3, touchdown__foot_radius=3)
    slopes = np.arctan(0.3) + np.radians([-1.0, 1.0])

    found = touch_down(mission, descent_rate=0.01, slope=slopes, tilt=slopes, friction=0.3, thrust=0)

    assert found["slide"][0] < 0.01
    assert found["slide"][1] > 1
    assert found["result"].tolist() == [STANDS, NEVER_RESTS]
    assert found["speed"].tolist()[0] < 0.03


# ---- tipping


def tipping_speed(mission, slope, height):
    """(1/h) sqrt(2 g (k^2 + L^2)(L - h cos b - d sin b)), over the edge between two feet of four."""
    support, gyration = 1.5 * np.cos(np.pi / 4), 0.8
    _, gravity = mass_and_gravity(mission)
    reach2 = support**2 + height**2
    rise = np.sqrt(reach2) - height * np.cos(slope) - support * np.sin(slope)
    return np.sqrt(2 * gravity * (gyration**2 + reach2) * rise) / height


@pytest.mark.parametrize("height", [1.6, 2.5])
@pytest.mark.parametrize("degrees", [0, 5, 10, 15])
def test_caught_feet_tip_at_the_speed_of_the_closed_form(degrees, height):
    """On all slopes, along the fall line, legs that neither crush nor bounce: within 3 %."""
    mission = lander(touchdown__cg_height=height, **{name.replace(".", "__"): one for name, one in RIGID.items()})
    slope = np.radians(degrees)
    limit = tipping_speed(mission, slope, height)
    along = limit * np.array([0.97, 1.03])

    found = touch_down(
        mission, descent_rate=along * np.sin(slope) + 0.02, horizontal_speed=along * np.cos(slope), slope=slope,
        tilt=slope, caught=1, thrust=0,
    )  # fmt: skip

    assert found["result"].tolist() == [STANDS, TIPS]


def test_it_falls_where_it_cannot_stand():
    """Static: tan(slope) = d / h."""
    mission = lander(**{name.replace(".", "__"): one for name, one in RIGID.items()})
    slopes = np.arctan2(1.5 * np.cos(np.pi / 4), 1.1) + np.radians([-1.0, 1.0])

    found = touch_down(mission, descent_rate=0.001, slope=slopes, tilt=slopes, caught=1, thrust=0)

    assert found["result"].tolist() == [STANDS, TIPS]


# ---- layout

# Three legs and a fourth that is shorter: feet at 0, 100, 180 and 260 deg, 1.5 m from the axis, the third at 0.9 m.
KITE = {"legs.direction": "0 100 180 260 deg", "legs.reach": [1, 1, 0.6, 1]}


def edges(mission):
    """Distance from the axis [m] and direction [rad] of each edge of the polygon of the feet, by hand."""
    radius = mission.value("touchdown.foot_radius")
    angle, reach = (np.array(mission.value(path))[:4] for path in ("legs.direction", "legs.reach"))
    feet = radius * reach * np.exp(1j * angle)
    along = np.roll(feet, -1) - feet
    outward = -1j * along / np.abs(along)
    return np.real(np.conj(outward) * feet), np.angle(outward)


def test_an_uneven_polygon_falls_over_each_edge_at_its_own_angle():
    """Static: tan(slope) = d / h with the distance of that edge, within 1 deg; the edge is turned downhill."""
    mission = lander(touchdown__cg_height=1.6, **{name.replace(".", "__"): one for name, one in (RIGID | KITE).items()})
    distance, direction = edges(mission)
    limit = np.arctan2(distance, 1.6)
    slopes = limit + np.radians([[-1.0], [1.0]])

    found = touch_down(mission, descent_rate=0.001, slope=slopes, tilt=slopes, yaw=-direction, caught=1, thrust=0)

    np.testing.assert_allclose(np.degrees(limit), [31.1, 27.3, 27.3, 31.1], atol=0.1)
    assert found["result"].tolist() == [[STANDS] * 4, [TIPS] * 4]
    assert support_share(mission) * 1.5 == pytest.approx(min(distance), rel=1e-5)


def test_an_even_ring_that_is_stated_flies_the_same_records():
    """Directions as the kernels reckon them, to the bit; the distance of its edges stays R cos(pi / n)."""
    turn = np.float32(2 * np.pi) * np.arange(4, dtype=np.float32) / np.float32(4)
    stated = (np.float32(np.pi / 4) + turn).astype(float).tolist()
    plain = load("generic_small")
    ring = plain.replace({"legs.direction": stated, "legs.reach": [1.0] * 4, "legs.drop": [0.0] * 4})
    backend = CpuBackend()
    one, other = (backend.run(pack(design(mission)), 1, 0, 300) for mission in (plain, ring))

    assert np.array_equal(one, other)
    assert design(ring).value("legs.direction")[:4] == tuple(stated)


def test_shorter_legs_leave_a_lander_as_oblique_as_its_geometry():
    """Two neighbouring feet 0.2 m lower than the others: atan(0.2 / (2 R cos 45 deg)), toward the higher pair."""
    mission = lander(**{"legs__drop": "0.2 0.2 m"} | {name.replace(".", "__"): one for name, one in RIGID.items()})
    found = touch_down(mission, descent_rate=0.5, caught=1, thrust=0)

    assert found["result"] == STANDS
    assert np.degrees(found["rest_tilt"]) == pytest.approx(
        np.degrees(np.arctan(0.2 / (3 * np.cos(np.pi / 4)))), abs=0.1
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"legs.direction": "0 120 240 deg"}, r"legs.direction: expected as many as touchdown.legs, 4, got 3 of them"),
        ({"legs.direction": "0 10 20 30 deg"}, "the thrust axis is outside the polygon of the feet; other legs.dir"),
        ({"legs.direction": "0 90 90 270 deg"}, "two feet stand in one place"),
        ({"legs.reach": [1, 1, 1, 1, 2]}, "legs.reach: expected at most touchdown.legs, 4, got 5 of them"),
        ({"legs.drop": [0.1] * 13}, "legs.drop: expected a list of up to 12"),
        ({"legs.reach": [0, 1, 1, 1]}, "legs.reach.0: expected more than 0"),
    ],
)
def test_a_layout_that_cannot_be_is_refused_by_name(changes, told):
    with pytest.raises((ImpossibleDesign, MistakeError), match=told):
        design(load("generic_small").replace(changes))


# ---- symmetry


def test_nothing_depends_on_which_leg_is_the_first():
    """Yaw by a leg's spacing, and mirrored headings, give the same touchdown; 1 % for single precision and bounces."""
    for legs in (3, 4, 6):
        mission = lander(touchdown__legs=legs, touchdown__leg_azimuth=0)
        turns = 2 * np.pi / legs * np.arange(legs)
        turned = touch_down(mission, descent_rate=1.5, horizontal_speed=0.6, slope=0.1, yaw=turns)
        left, right = touch_down(mission, descent_rate=1.5, horizontal_speed=0.6, slope=0.1, heading=[0.7, -0.7])

        np.testing.assert_allclose(turned["stroke"], turned["stroke"][0], rtol=0.01)
        np.testing.assert_allclose(turned["rest_tilt"], turned["rest_tilt"][0], rtol=0.02)
        assert left["stroke"] == pytest.approx(right["stroke"], rel=0.01)
        assert left["rest_tilt"] == pytest.approx(right["rest_tilt"], rel=0.02)


# ---- cut-off


def test_engines_burn_until_a_signal_or_the_backup_cuts_them():
    """Thrust of the weight: nothing presses the lander down until it ends. A shock of 1000 m/s^2 never comes."""
    rule = {"guidance.cutoff": "shock", "guidance.cutoff_shock": 1000.0, "guidance.cutoff_backup": 3.0}
    first_leg, never = (touch_down(lander().replace(one), descent_rate=1.0) for one in ({}, rule))

    assert first_leg["time"] < 2
    assert 3 < never["time"] < 8
    assert first_leg["result"] == never["result"] == STANDS


def test_thrust_above_the_weight_lifts_it_off_again():
    """Surveyor 3 hopped twice with its engines on (JPL TR 32-1177): no cut for two seconds makes it slide on."""
    rule = {"guidance.cutoff": "shock", "guidance.cutoff_shock": 1000.0, "guidance.cutoff_backup": 4.0}
    mission = lander().replace(rule)
    mass, gravity = mass_and_gravity(mission)

    found = touch_down(mission, descent_rate=1.0, horizontal_speed=0.3, thrust=[0, 1.1 * mass * gravity])

    assert found["slide"][0] < 0.3
    assert found["slide"][1] > 0.6


# ---- the map


def test_the_map_gets_worse_with_slope_and_is_the_worst_of_all_directions():
    mission = lander(touchdown__cg_height=1.6)
    found = stability_map(mission, [1.0], np.radians([0.0, 5.0, 10.0]), [0.0, 0.5, 1.0, 2.0, 4.0], caught=True)
    one = touch_down(
        mission, descent_rate=1.0, slope=np.radians(10.0), horizontal_speed=found["horizontal_speed"].values, caught=1
    )

    assert found["result"].dims == ("descent_rate", "slope", "horizontal_speed")
    assert found.attrs == {"mission": "generic_small", "caught": 1}
    limits = found["speed_limit"].values[0]
    assert np.all(np.diff(limits) <= 0) and limits[0] > limits[-1]
    assert np.all(found["result"].values[0, 2] >= one["result"])
    assert np.all((found["standing"].values == 1) == (found["result"].values == STANDS))


def test_the_command_draws_the_map_and_writes_it(tmp_path, capsys, monkeypatch):
    import xarray

    monkeypatch.setattr("sys.argv", ["mcrisk", "touchdown", "generic_small", "--descent-rates", "1", "--slopes", "0,10",
                                     "--speeds", "0,4", "--caught", "--out", str(tmp_path / "map.nc")])  # fmt: skip

    assert cli.main() == 0
    drawn = capsys.readouterr().out
    assert ". stands, L leg_exhausted, B body_struck, N never_rests, T tips" in drawn
    assert [line.split()[-2:] for line in drawn.splitlines()[3:5]] == [["T", "T"], [".", "."]]
    with xarray.open_dataset(tmp_path / "map.nc") as kept:
        assert kept["result"].values.tolist() == [[[STANDS, TIPS], [STANDS, TIPS]]]

    monkeypatch.setattr("sys.argv", ["mcrisk", "touchdown", "generic_small", "--descent-rates", "1", "--slopes", "0",
                                     "--speeds", "0,4", "--caught", "--json"])  # fmt: skip
    assert cli.main() == 0
    assert json.loads(capsys.readouterr().out)["data_vars"]["result"]["data"] == [[[STANDS, TIPS]]]


# ---- envelopes


def test_an_envelope_is_flown_on_its_corners_and_its_edges():
    """Closed at 0.5 m/s, which no source bounds; an edge has its middle."""
    speeds = ENVELOPES["chandrayaan_3_test"].speeds

    assert speeds == ((3, 0), (3, 0.5), (3, 1), (1.75, 1), (0.5, 1), (0.5, 0.5), (0.5, 0), (1.75, 0))
    for one in ENVELOPES.values():
        assert one.confidence in ("O", "R") and one.source
        assert max(rate for rate, _ in one.speeds) == one.corners[0][0]


def test_the_envelope_of_a_lander_counts_what_single_touchdowns_give():
    """The worst corner flown alone ends as told; shares and counts are of the same touchdowns."""
    mission = lander(touchdown__cg_height=1.9)
    found = envelope(mission, "apollo_lm")
    worst = worst_of(found)
    alone = touch_down(mission, **{name: worst[name] for name in ("descent_rate", "horizontal_speed", "slope", "tilt",
                                   "tilt_rate", "tilt_heading", "heading", "yaw", "caught")})  # fmt: skip

    assert found.attrs["flown"] == found["count"].sum() == 8 * 2 * 5 * 8 * 3 * 2
    assert float(found["count"].sel(reason="stands")) / found.attrs["flown"] == pytest.approx(
        float(found["standing"].mean())
    )
    assert worst["reason"] == "tips"
    assert RESULTS[int(alone["result"])] == "tips"
    assert np.all((found["standing"].values == 1) == (found["result"].values == REASONS.index("stands")))


def test_a_low_and_wide_lander_stands_everywhere_on_an_envelope_and_has_no_worst_corner():
    small = Envelope("small", "a test", ((1.0, 0.0), (0.8, 0.2)), 0.05, 0.0, 0.0, "a test", "E")
    found = envelope(lander(touchdown__cg_height=0.5, touchdown__foot_radius=2.5, touchdown__clearance=0.45), small)

    assert float(found["standing"].min()) == 1
    assert worst_of(found) is None


def test_a_rest_that_leans_beyond_its_limit_does_not_stand():
    small = Envelope("small", "a test", ((1.0, 0.0),), np.radians(12), 0.0, 0.0, "a test", "E")
    found = envelope(lander().replace({"limits.rest_tilt": np.radians(8)}), small)

    assert worst_of(found)["reason"] == "leans"
    assert np.degrees(float(found["rest_tilt"].max())) > 8


def test_the_command_flies_an_envelope_and_lists_them(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mcrisk", "touchdown", "generic_small", "--envelope", "surveyor"])
    assert cli.main() == 0
    drawn = capsys.readouterr().out
    assert "generic_small stands after" in drawn and "worst: it falls over: " in drawn

    monkeypatch.setattr("sys.argv", ["mcrisk", "touchdown", "generic_small", "--envelope", "surveyor", "--json"])
    assert cli.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert told["worst"]["reason"] == "tips"
    assert told["attrs"]["envelope"] == "surveyor"

    monkeypatch.setattr("sys.argv", ["mcrisk", "touchdown", "--envelope", "list"])
    assert cli.main() == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ENVELOPES)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--envelope", "apolo_lm"],
            "unknown envelope 'apolo_lm': expected one of apollo_lm, .*did you mean 'apollo_lm'?",
        ),
        (["--envelope", "surveyor", "--caught"], "--envelope: expected no axes beside it"),
        (["--slopes", "10,5"], "--slopes: expected rising numbers from 0 to 60"),
        (["--slopes", "80"], "--slopes: expected rising numbers from 0 to 60"),
        (["--speeds", "1;2"], "--speeds: expected rising numbers"),
        (["--descent-rates", "nan"], "--descent-rates: expected rising numbers"),
        (["--out", "map.txt"], "--out: expected a file name ending in .nc"),
    ],
)
def test_mistakes_of_the_command_are_told(arguments, told, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mcrisk", "touchdown", "generic_small", *arguments])

    assert cli.main() == 2
    assert re.search(told.replace("?", r"\?"), " ".join(capsys.readouterr().err.split()))


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({"speed": 1}, "speed"),
        ({"slope": np.nan}, "slope: expected numbers from 0 to 1.2, in SI units, got nan"),
        ({"slope": "5 deg"}, "slope: expected numbers from 0 to 1.2"),
        ({"descent_rate": -5}, "descent_rate: expected numbers from 0 to 100, in SI units, got -5"),
        ({"horizontal_speed": [1, 1e6]}, "horizontal_speed: .* got 1e\\+06"),
        ({"slope": [0, 0.1], "yaw": [0, 1, 2]}, r"shapes that broadcast, got slope \(2,\), yaw \(3,\)"),
    ],
)
def test_mistakes_of_the_library_are_told(conditions, told):
    with pytest.raises(MistakeError, match=told):
        touch_down(lander(), **conditions)
