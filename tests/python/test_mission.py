"""Missions: what a file states becomes frozen SI values; what it states wrongly is refused, all at once."""

# ruff: noqa: E501  (one mistake per line reads better)

from __future__ import annotations

import math
import pickle
import random
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from mcrisk import config
from mcrisk import mission as missions
from mcrisk.errors import ImpossibleDesign, MistakeError
from mcrisk.mission import load, loads
from mcrisk.schema import load_schema

from .conftest import MISSION

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "missions").glob("*.toml"))


# ------------------------------------------------------------------------------------------------------------ values


def test_what_a_file_states_is_read_in_si(small):
    """The small mission."""
    mission = load("small")

    assert mission.name == "small"
    assert mission.title == "A small lander"
    assert mission.value("propulsion.main.thrust") == 1600.0
    assert mission.value("site.latitude") == math.radians(60.5)
    assert mission.value("orbit.perilune") == 20000.0
    assert mission.value("altimeter.range_max") == 5000.0
    assert mission.value("vehicle.cg_B") == (0.0, 0.0, 0.9)
    assert mission.value("vehicle.cg_B.z") == 0.9
    assert mission.value("guidance.law") == "constant"
    assert mission.value("altimeter.period_ticks") == 2
    assert mission.stated == {"propulsion.main.thrust"}
    assert mission.counted == "9 values stated, 2 dispersed"  # site, orbit and mass too
    assert mission.origins["altimeter.range_max"] == "default"
    assert mission.requirements == {"landing": "success >= 0.99 @ 0.90"}


def test_propellant_follows_from_launch_mass_by_the_rocket_equation(small):
    """1000 kg, 800 m/s at 318 s, 340 kg dry; rounded to six digits so that no exp() can change a campaign."""
    mission = load("small")
    at_pdi = 1000 * math.exp(-800 / (318 * 9.80665))

    assert mission.mass_at_pdi == pytest.approx(at_pdi, rel=1e-5)
    assert mission.value("propulsion.propellant") == pytest.approx(at_pdi - 340, rel=2e-6)
    assert mission.origins["propulsion.propellant"] == "derived"
    assert mission.value("vehicle.mass_dry") == 340.0
    assert mission.value("mass.budget.0.delta_v") == 800.0


def test_a_stated_mass_at_ignition_replaces_the_budget(small):
    """And a stated propellant replaces both."""
    mission = load("small")

    assert mission.replace({"mass.at_pdi": 700.0}).value("propulsion.propellant") == 360.0
    assert mission.replace({"propulsion.propellant": "300 kg"}).mass_at_pdi == 640.0
    assert mission.replace({"mass.budget.0.delta_v": 0.0}).value("propulsion.propellant") == 660.0
    fresh = [{"name": "one", "delta_v": 800.0, "isp": "318 s"}]
    assert mission.replace({"mass.budget": fresh}).mass_at_pdi == mission.mass_at_pdi


def test_a_mass_that_leaves_no_propellant_is_an_impossible_design(small):
    """It names both sides of the inequality, and only when asked, so that other missions go on."""
    mission = load("small").replace({"mass.budget.0.delta_v": "5000 m/s"})

    with pytest.raises(
        ImpossibleDesign, match=r"201.* kg .launch mass 1000 kg less the mass budget. is not above dry mass 340"
    ):
        mission.value("propulsion.propellant")


def test_values_wait_for_the_nominal_design_and_are_filled_once(small):
    """Designed and placed values; a stated one stays."""
    mission = load("small")
    assert mission.undesigned == ("gravity.radius", "guidance.gate_height")
    with pytest.raises(MistakeError, match=r"'guidance.gate_height' is not known before the nominal design"):
        mission.value("guidance.gate_height")

    filled = mission.filled({"gravity.radius": 1.7e6, "guidance.gate_height": (3000.0, 800.0, 20.0)})
    assert filled.undesigned == ()
    assert filled.value("guidance.gate_height.1") == 800.0
    assert filled.origins["guidance.gate_height"] == "designed"
    assert filled.replace({"altimeter.health": 0.5}).undesigned == mission.undesigned
    stated = mission.replace({"guidance.gate_height": "3000 900 30 m"})
    assert stated.filled({"guidance.gate_height": (1.0, 1.0, 1.0)}).value("guidance.gate_height.1") == 900.0


def test_a_base_is_overridden_key_by_key(small, tmp_path):
    """Values, one dispersion, the mass budget as a whole; name and title are not inherited."""
    own = tmp_path / "own.toml"
    own.write_text(
        'base = "small"\n[propulsion.main]\nisp = "320 s"\n[mass]\nbudget = []\n'
        '[dispersions]\npropulsion.main.isp = { uniform = "2 s" }\n'
    )
    mission = load(own)

    assert (mission.name, mission.title) == ("own", "own")
    assert mission.value("propulsion.main.thrust") == 1600.0
    assert mission.value("propulsion.main.isp") == 320.0
    assert mission.value("propulsion.propellant") == 660.0
    assert mission.dispersions["propulsion.main.isp"].form == "uniform"
    assert mission.dispersions["vehicle.cg_B"].spread == 0.005


# ----------------------------------------------------------------------------------------------------------- replace


def test_replace_takes_si_numbers_unit_text_and_components(small):
    """And numpy's numbers, as sweeps give them."""
    mission = load("small")

    assert mission.replace({"altimeter.range_max": 3000.0}).value("altimeter.range_max") == 3000.0
    assert mission.replace({"altimeter.range_max": 3000}).value("altimeter.range_max") == 3000.0
    assert mission.replace({"altimeter.range_max": "3 km"}).value("altimeter.range_max") == 3000.0
    assert mission.replace({"altimeter.range_max": np.float32(3000)}).value("altimeter.range_max") == 3000.0
    assert mission.replace({"simulation.truth_steps": np.int64(4)}).value("simulation.truth_steps") == 4
    assert mission.replace({"vehicle.cg_B.z": "80 cm"}).value("vehicle.cg_B") == (0.0, 0.0, 0.8)
    assert mission.replace({"vehicle.cg_B": np.array([0.0, 0.0, 0.7])}).value("vehicle.cg_B.z") == 0.7
    assert mission.replace({"guidance.law": "apollo"}).value("guidance.law") == "apollo"
    assert mission.replace({"site.latitude": "10 deg"}).value("site.latitude") == math.radians(10)
    assert mission.replace({"altimeter.period_ticks": "0.5 s"}).value("altimeter.period_ticks") == 5
    assert mission.replace({"altimeter.beam_B": [0, 3, -4]}).value("altimeter.beam_B") == (0.0, 0.6, -0.8)
    assert mission.replace({"altimeter.fitted": True}).value("altimeter.fitted") == 1


def test_replace_leaves_the_mission_as_it_was(small):
    """Frozen, and equal content is equal."""
    mission = load("small")
    other = mission.replace({"altimeter.health": 0.5})

    assert mission.value("altimeter.health") == 1.0
    assert other != mission
    assert other == mission.replace({"altimeter.health": "50 %"})
    assert hash(other) == hash(mission.replace({"altimeter.health": "50 %"}))
    assert len({mission, other, load("small")}) == 2
    with pytest.raises((AttributeError, TypeError)):
        mission.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        mission.values["altimeter.health"] = 2.0  # type: ignore[index]


def test_dispersions_can_be_swept(small):
    """A bare number keeps relative or absolute as the mission states it; text decides for itself."""
    mission = load("small")
    path = "dispersions.propulsion.main.isp.sigma"

    assert mission.replace({path: 0.008}).dispersions["propulsion.main.isp"].relative
    assert mission.replace({path: 0.008}).value(path) == 0.008
    assert not mission.replace({path: "2 s"}).dispersions["propulsion.main.isp"].relative
    assert mission.replace({"dispersions.vehicle.cg_B.sigma": 0.01}).value("dispersions.vehicle.cg_B.sigma") == 0.01
    fresh = mission.replace({"dispersions.altimeter.health.lognormal": "30 %"})
    assert fresh.dispersions["altimeter.health"].distribution == "lognormal"
    whole = mission.replace({"dispersions.altimeter.range_max": {"uniform": "5 %", "upper": "6 km"}})
    assert whole.dispersions["altimeter.range_max"].upper == 6000.0


def test_a_mission_survives_pickling(small):
    """As workers receive it."""
    mission = load("small")

    assert pickle.loads(pickle.dumps(mission)) == mission


# -------------------------------------------------------------------------------------------------------- provenance


def test_resolved_text_loads_to_an_equal_mission(small):
    """Units in the text, defaults and derived values as comments."""
    mission = load("small").replace(
        {
            "propulsion.main.misalign": 0.123456789,
            "altimeter.beam_B": [1, 2, -3],
            "dispersions.altimeter.noise_fraction": {"sigma": "7 %", "lower": 0.0, "class": "epistemic"},
            "guidance.law": "apollo",
        }
    )
    text = mission.to_toml()

    assert loads(text, "small") == mission
    assert '# range_max = "5000 m"  # default' in text
    assert '# mass_dry = "340 kg"  # derived' in text
    assert 'law = "apollo"' in text


def test_any_replaced_numbers_come_back_from_the_resolved_text(small):
    """200 random missions: text and back, bit for bit."""
    generator = random.Random(11)
    mission = load("small")
    for _ in range(200):
        changed = mission.replace(
            {
                "propulsion.main.thrust": 10 ** generator.uniform(0, 5),
                "propulsion.main.misalign": generator.uniform(-0.2, 0.2),
                "altimeter.noise_fraction": generator.random(),
                "site.longitude": generator.uniform(-3, 3),
                "dispersions.propulsion.main.isp.sigma": generator.random(),
                "vehicle.cg_B": [generator.gauss(0, 1) for _ in range(3)],
            }
        )

        assert loads(changed.to_toml(), "small") == changed


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_mission_loads_by_name_and_comes_back_from_its_resolved_text(path):
    """The files of configs/missions with the real headers."""
    mission = load(path.stem)

    assert mission.name == path.stem
    assert loads(mission.to_toml(), path.stem) == mission
    assert mission.title != mission.name


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_mission_is_valid_for_editors(path):
    """The JSON Schema accepts the file as TOML gives it, dotted dispersion paths apart."""
    tree = config.read_toml(path)
    tree.pop("dispersions", None)

    jsonschema.validate(tree, missions.json_schema())


def test_text_of_a_value_carries_its_unit(small):
    """For tables and plots."""
    mission = load("small")

    assert mission.text("propulsion.main.thrust") == "1600 N"
    assert mission.text("site.latitude") == "60.5 deg"
    assert mission.text("vehicle.cg_B") == "[0 m, 0 m, 0.9 m]"
    assert mission.text("guidance.law") == "constant"


def test_the_reference_lists_mission_level_quantities_too(small):
    """`mcrisk params latitude`."""
    assert [row["path"] for row in missions.parameter_rows("latitude")] == ["site.latitude"]
    assert [row["path"] for row in missions.parameter_rows("budget")] == ["mass.launch", "mass.budget"]
    assert len(missions.parameter_rows()) > len(load_schema().fields)


# ------------------------------------------------------------------------------------------------- scatter at arrival


def test_arrival_scatter_is_a_lower_cholesky_factor(small):
    """Its square is the covariance of the stated sigmas and their one correlation."""
    mission = load("small").replace(
        {
            "delivery.position_radial": 400.0,
            "delivery.position_along": "1.2 km",
            "delivery.velocity_along": 0.4,
            "delivery.radial_along_velocity_correlation": -0.9,
        }
    )
    factor = np.zeros((6, 6))
    factor[np.tril_indices(6)] = mission.cholesky("delivery")
    covariance = factor @ factor.T
    expected = np.diag([400.0**2, 1200.0**2, 0, 0, 0.4**2, 0])
    expected[0, 4] = expected[4, 0] = -0.9 * 400 * 0.4

    np.testing.assert_allclose(covariance, expected, rtol=1e-14, atol=1e-12)
    assert mission.cholesky("knowledge") == (0.0,) * 21


def test_the_filter_expects_the_true_scatter_unless_told_otherwise(small):
    """[assumed] is [knowledge] where it states nothing, sigma by sigma; a covariance takes the place of all."""
    known = {"knowledge.position_radial": 20.0, "knowledge.velocity_cross": 0.1}
    mission = load("small").replace(known)
    assert mission.cholesky("assumed") == mission.cholesky("knowledge")

    told = mission.replace({"assumed.position_radial": "200 m"})
    assert told.cholesky("knowledge") == mission.cholesky("knowledge")
    assert told.cholesky("assumed") == load("small").replace({**known, "knowledge.position_radial": 200.0}).cholesky(
        "knowledge"
    )

    full = mission.replace({"assumed.covariance": 4 * np.eye(6)})
    np.testing.assert_allclose(full.cholesky("assumed"), 2 * np.eye(6)[np.tril_indices(6)])
    assert told.replace({"knowledge.covariance": np.eye(6)}).cholesky("assumed")[0] == 200.0


def test_a_full_covariance_gives_its_own_factor(small):
    """numpy's Cholesky factor is the oracle."""
    root = np.tril(np.random.default_rng(5).normal(size=(6, 6))) + 3 * np.eye(6)
    covariance = root @ root.T
    mission = load("small").replace({"delivery.covariance": covariance})

    expected = np.linalg.cholesky(covariance)[np.tril_indices(6)]
    np.testing.assert_allclose(mission.cholesky("delivery"), expected, rtol=1e-12, atol=1e-14)
    assert loads(mission.to_toml(), "small") == mission


# ------------------------------------------------------------------------------------------------------------ refusals

SITE = '[site]\nlatitude = "60.5 deg"'
REFUSED = [
    ('thrust = "1.6 kN"', 'thrust = "450 kg"', 'propulsion.main.thrust: expected a force such as "450 N", got "450 kg"'),
    ('thrust = "1.6 kN"', "thrust = 450", "propulsion.main.thrust: expected a force"),
    ('thrust = "1.6 kN"', "thrust = true", "got true"),
    ('thrust = "1.6 kN"', "thrust = []", "expected a force"),
    ('thrust = "1.6 kN"', "thrust = {a = 1}", "got a table"),
    ('thrust = "1.6 kN"', "thrust = 2025-01-01", "got 2025-01-01"),
    ('thrust = "1.6 kN"', 'thrust = "0 N"', "expected more than 0 N"),
    ('thrust = "1.6 kN"', 'thrust = "-5 N"', "expected more than 0 N"),
    ('thrust = "1.6 kN"', "thrust = nan", "expected a finite number"),
    ('thrust = "1.6 kN"', 'thrust = "inf N"', "expected a finite number"),
    ('thrust = "1.6 kN"', "", "x: propulsion.main.thrust: expected a force such as \"450 N\", got nothing"),
    ('thrust = "1.6 kN"', 'thrst = "1.6 kN"', "unknown parameter 'propulsion.main.thrst'; did you mean 'propulsion.main.thrust'?"),
    ("[propulsion.main]", "[propulsion.mane]", "did you mean 'propulsion.main.thrust'?"),
    ("[propulsion.main]", "[engine]", "unknown parameter 'engine.thrust'; did you mean 'propulsion.main.thrust'?"),
    ("[propulsion.main]", '["propulsion.main"]', "unknown parameter 'propulsion.main'"),
    ("[propulsion.main]", "[propulsion]\nmain = 3\n[x]", "propulsion.main: expected a table [propulsion.main], got 3"),
    (SITE, "[site]\nlatitude = 60.5", 'site.latitude: expected an angle such as "41 deg", got 60.5 without a unit'),
    (SITE, '[site]\nlatitude = "91 deg"', "site.latitude: expected a value from -90 deg to 90 deg"),
    (SITE, '[site]\nlatitude = "1 deg"\nlattitude = "1 deg"', "unknown parameter 'site.lattitude'; did you mean 'site.latitude'?"),
    (SITE, '[gravity]\nradius = "1 km"\n' + SITE, "'gravity.radius' is computed from orbit, mass and site; state those instead"),
    (SITE, '[scatter]\ncount = 1\n' + SITE, "unknown parameter 'scatter.count'"),
    (SITE, "[altimeter]\nhealth = 1.5\n" + SITE, "altimeter.health: expected a value from 0 to 1"),
    (SITE, '[altimeter]\nhealth = "50 deg"\n' + SITE, "expected a number without a unit"),
    (SITE, "[altimeter]\nperiod_ticks = 1.5\n" + SITE, "expected a number of ticks"),
    (SITE, "[altimeter]\nperiod_ticks = 0\n" + SITE, "expected at least 1"),
    (SITE, "[altimeter]\nbeam_B = [0, 0]\n" + SITE, "altimeter.beam_B: expected a list of 3"),
    (SITE, "[altimeter]\nbeam_B = [0, 0, 0]\n" + SITE, "expected a direction, got a vector of length zero"),
    (SITE, '[altimeter]\nbeam_B = [0, 0, "a"]\n' + SITE, "altimeter.beam_B.z: expected a number"),
    (SITE, "[altimeter]\nbeam_B = { x = 1 }\n" + SITE, "expected a list of 3"),
    (SITE, '[vehicle]\ncg_B = [0, 0, 1]\n' + SITE, "vehicle.cg_B.x: expected a length"),
    (SITE, '[guidance]\nlaw = "apolo"\n' + SITE, "guidance.law: expected one of constant, apollo, got \"apolo\"; did you mean 'apollo'?"),
    (SITE, "[guidance]\nlaw = 1\n" + SITE, "guidance.law: expected one of constant, apollo, got 1"),
    (SITE, '[simulation]\ntruth_steps = "2.5"\n' + SITE, "expected a whole number"),
    (SITE, "[simulation]\ntruth_steps = 65\n" + SITE, "expected a value from 1 to 64"),
    (SITE, "simulation = 3\n" + SITE, "expected a table [simulation], got 3"),
    ('dry = "340 kg"', "", "vehicle.mass_dry: expected a mass such as \"340 kg\", got nothing; or state mass.dry"),
    ('launch = "1000 kg"', "", "propulsion.propellant: expected a mass"),
    ('delta_v = "800 m/s"', 'delta_v = "800 m"', "mass.budget.0.delta_v: expected a speed"),
    ('delta_v = "800 m/s"', 'deltav = "800 m/s"', "mass.budget.0: unknown key 'deltav'; did you mean 'delta_v'?"),
    (', isp = "318 s" }]', " }]", "mass.budget.0.isp: expected a time such as \"310 s\", got nothing"),
    ('budget = [{ name = "orbit insertion", delta_v = "800 m/s", isp = "318 s" }]', "budget = 3", "mass.budget: expected tables"),
    ('name = "orbit insertion"', "name = 3", "mass.budget.0.name: expected a text, got 3"),
    ('perilune = "20 km"', "", "orbit.perilune: expected a length such as \"3 km\", got nothing"),
    ("[dispersions]", "[dispersion]", "unknown parameter"),
    ("[dispersions]", "[[dispersions]]", "dispersions: expected a table [dispersions]"),
    ('{ sigma = "0.4 %" }', '"0.4 %"', 'dispersions.propulsion.main.isp: expected a table such as { sigma = "0.4 %" }'),
    ('{ sigma = "0.4 %" }', '{ sgima = "0.4 %" }', "unknown key 'sgima'; did you mean 'sigma'?"),
    ('{ sigma = "0.4 %" }', "{}", "expected one of sigma, uniform, lognormal, exponential, rayleigh, got none of them"),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 s", uniform = "1 s" }', "got sigma and uniform"),
    ('{ sigma = "0.4 %" }', '{ sigma = "5 N" }', 'expected a part of the value such as "0.4 %", or a time such as'),
    ('{ sigma = "0.4 %" }', "{ sigma = 0.4 }", 'expected a part of the value such as "0.4 %", or a time such as'),
    ('{ sigma = "0.4 %" }', '{ sigma = "-1 %" }', "expected a width of at least zero"),
    ('{ sigma = "0.4 %" }', "{ lognormal = 50 }", "expected the sigma of a natural logarithm such as 0.3"),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 %", lower = "300 m" }', "lower: expected a time"),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 %", lower = "319 s" }', "lower: expected at most the value of 'propulsion.main.isp', 318 s"),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 %", upper = "317 s" }', "upper: expected at least the value"),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 %", lower = "320 s", upper = "310 s" }', "expected lower below upper"),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 %", lower = "-1 s" }', "lower: expected more than 0 s"),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 %", class = "unknown" }', 'expected "aleatory" or "epistemic"'),
    ('{ sigma = "0.4 %" }', '{ sigma = "1 %", source = 3 }', "source: expected a text"),
    ('"propulsion.main.isp"', '"propulsion.main.ips"', "did you mean 'propulsion.main.isp'?"),
    ('"propulsion.main.isp"', '"guidance.gate_height"', "'guidance.gate_height' is an on-board constant: it can be swept, not dispersed"),
    ('"propulsion.main.isp"', '"simulation.truth_steps"', "is a setting of the experiment: it can be swept, not dispersed"),
    ('"propulsion.main.isp"', '"altimeter.period_ticks"', "is a whole number: it can be swept, not dispersed"),
    ('"propulsion.main.isp"', '"propulsion.main.misalign"', "is zero, so a relative sigma would never change it; state it absolutely, as an angle such as"),
    ('"propulsion.main.isp"', '"vehicle.cg_B.x"', "is also dispersed as"),
    ('landing = "success >= 0.99 @ 0.90"', "landing = 0.99", "requirements.landing: expected a text such as"),
    ('landing = "success >= 0.99 @ 0.90"', 'landing = "foo"', 'requirements.landing: expected "success", "outcome NAME"'),
    ('"propulsion.main.isp"', '"mass.at_pdi"', "'mass.at_pdi' decides other values before the flight; it can be swept, not dispersed"),
    ('"propulsion.main.isp"', "mass.at_pdi", "dispersions.mass.at_pdi: 'mass.at_pdi' decides other values before the flight"),
    ('"propulsion.main.isp"', "mass.at_pdo", "unknown parameter 'mass'"),
    ('"propulsion.main.isp"', '"mass.at_pdo"', "unknown parameter 'mass.at_pdo'"),
    ("[requirements]", "[[requirements]]", "expected a table [requirements]"),
    ('title = "A small lander"', "title = 3", "title: expected a text, got 3"),
    ('title = "A small lander"', 'name = "../x"', "name: expected letters, digits"),
    ('title = "A small lander"', 'titel = "A small lander"', "unknown parameter 'titel'"),
    (SITE, "[delivery]\ncovariance = [[1]]\n" + SITE, "delivery.covariance: expected 6 lists of 6 numbers"),
    (SITE, '[delivery]\nposition_radial = "-1 m"\n' + SITE, "expected at least 0 m"),
    (SITE, "[delivery]\nradial_along_velocity_correlation = 2\n" + SITE, "expected a value from -1 to 1"),
    (SITE, "[delivery]\nvelocity_up = 2\n" + SITE, "unknown parameter 'delivery.velocity_up'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), REFUSED)
def test_a_mistake_in_a_mission_is_refused_with_path_expected_and_got(small, old, new, expected):
    """One mistake at a time in the small mission."""
    assert old in MISSION
    with pytest.raises(MistakeError) as caught:
        loads(MISSION.replace(old, new, 1), "x")

    assert expected in str(caught.value)
    assert str(caught.value).startswith("x: ")
    assert len(str(caught.value).splitlines()[0]) < 400


def matrix(change: dict[tuple[int, int], float]) -> str:
    """A unit covariance with other elements, as TOML."""
    rows = np.eye(6)
    for place, value in change.items():
        rows[place] = value
    return str(rows.tolist())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({(0, 1): 0.5}, "expected a symmetric matrix"),
        ({(0, 0): 0.0}, "expected a positive definite matrix"),
        ({(0, 0): -1.0}, "expected a positive definite matrix"),
        ({(0, 1): 2.0, (1, 0): 2.0}, "expected a positive definite matrix"),
    ],
)
def test_a_covariance_that_cannot_be_is_refused(small, change, expected):
    """Asymmetric, or with a negative direction."""
    with pytest.raises(MistakeError, match=expected):
        loads(MISSION + f"\n[delivery]\ncovariance = {matrix(change)}", "x")


def test_a_covariance_and_sigmas_together_are_refused_and_the_last_file_decides(small, tmp_path):
    """A file that states sigmas does not inherit a covariance."""
    both = f'[delivery]\ncovariance = {matrix({})}\nposition_radial = "1 m"'
    with pytest.raises(MistakeError, match=r"expected either a covariance or sigmas"):
        loads(MISSION + both, "x")

    (small / "missions" / "wide.toml").write_text(MISSION + f"\n[delivery]\ncovariance = {matrix({})}")
    own = loads('base = "wide"\n[delivery]\nposition_radial = "3 m"')
    assert own.cholesky("delivery")[0] == 3.0
    assert load("wide").replace({"delivery.position_radial": 4.0}).cholesky("delivery")[0] == 4.0


PAIR = '\n[[correlations]]\na = "propulsion.main.isp"\nb = "vehicle.cg_B.z"\nvalue = 0.5\n'


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("value = 0.5", "value = 1.0", "a value between -1 and 1"),
        ("value = 0.5", 'value = "a"', "correlations.0.value: expected a number"),
        ("value = 0.5", "", "expected a table of a, b and value, got a, b"),
        ('b = "vehicle.cg_B.z"', 'b = "vehicle.cg_B"', "expected the path of a dispersed number"),
        ('b = "vehicle.cg_B.z"', 'b = "altimeter.health"', "expected the path of a dispersed number"),
        ('b = "vehicle.cg_B.z"', 'b = "propulsion.main.isp"', "expected two paths"),
        ("[[correlations]]", "[correlations]", "expected tables [[correlations]]"),
    ],
)
def test_a_correlation_that_cannot_be_is_refused(small, old, new, expected):
    """The small mission with one pair."""
    with pytest.raises(MistakeError) as caught:
        loads(MISSION + PAIR.replace(old, new), "x")

    assert expected in str(caught.value)


def test_a_pair_correlated_twice_or_not_normal_is_refused(small):
    """In either order."""
    turned = PAIR.replace(
        'a = "propulsion.main.isp"\nb = "vehicle.cg_B.z"', 'b = "propulsion.main.isp"\na = "vehicle.cg_B.z"'
    )
    with pytest.raises(MistakeError, match=r"correlated twice"):
        loads(MISSION + PAIR + turned, "x")
    with pytest.raises(MistakeError, match=r"is uniform"):
        loads(MISSION.replace('{ sigma = "0.4 %" }', '{ uniform = "1 s" }') + PAIR, "x")


def test_all_mistakes_of_a_file_are_reported_together(small):
    """Three places, three lines; none twice."""
    text = MISSION.replace('"1.6 kN"', '"1.6 kg"').replace('"60.5 deg"', "60.5").replace('"0.4 %"', '"0.4 m"')
    with pytest.raises(MistakeError) as caught:
        loads(text, "x")

    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("x: ") for line in lines)


def test_a_flood_of_mistakes_is_cut_short(small):
    """Twenty are shown, the rest counted."""
    flood = "\n".join(f"nothing_{number} = 1" for number in range(500))
    with pytest.raises(MistakeError) as caught:
        loads(flood + MISSION, "x")

    assert len(str(caught.value).splitlines()) == 21
    assert "and 480 more mistakes" in str(caught.value)


def test_a_mistake_inherited_from_a_base_names_the_base(small, tmp_path):
    """The file to mend, not the file that was asked for."""
    (small / "missions" / "bad.toml").write_text(MISSION.replace("1.6 kN", "1.6 kg"))
    (tmp_path / "own.toml").write_text('base = "bad"')
    with pytest.raises(MistakeError, match=r"bad\.toml: propulsion.main.thrust"):
        load(tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"altimiter.range_max": 1.0}, "unknown parameter 'altimiter.range_max'; did you mean 'altimeter.range_max'?"),
        ({"range_max": 1.0}, "did you mean 'altimeter.range_max'?"),
        ({"altimeter.range_max": "3 kg"}, 'altimeter.range_max: expected a length such as "3 km", got "3 kg"'),
        ({"altimeter.range_max": "3"}, "expected a length"),
        ({"altimeter.range_max": -1.0}, "expected more than 0 m, got -1 m"),
        ({"altimeter.range_max": math.nan}, "expected a finite number"),
        ({"altimeter.range_max": math.inf}, "expected a finite number"),
        ({"altimeter.range_max": None}, "expected a length"),
        ({"gravity.radius": 1.0}, "is computed from orbit, mass and site"),
        ({"vehicle.cg_B.w": 1.0}, "unknown parameter 'vehicle.cg_B.w'"),
        ({"guidance.gate_height.0": 1.0}, "not known before the nominal design"),
        ({"guidance.law": 1}, "expected one of constant, apollo"),
        ({"simulation.truth_steps": 2.5}, "expected a whole number"),
        ({"mass.budget.7.delta_v": 1.0}, "expected a number below 1, got 7"),
        ({"dispersions.propulsion.main.ips.sigma": 1.0}, "unknown parameter"),
        ({"dispersions.propulsion.main.isp.uniform": 1.0}, "expected a text with % or a unit"),
        ({"dispersions.guidance.gate_height.sigma": "1 m"}, "is an on-board constant"),
        ({"": 1.0}, "unknown parameter ''"),
    ],
)
def test_a_replacement_that_cannot_be_is_refused(small, changes, expected):
    """Sweep axes and `--set`."""
    with pytest.raises(MistakeError) as caught:
        load("small").replace(changes)

    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "path", ["altimeter.ranje_max", "dispersions.altimeter.health.sigma", "mass.budget.9.isp", "x"]
)
def test_a_value_that_is_not_there_is_refused(small, path):
    """Never a bare KeyError."""
    with pytest.raises(MistakeError):
        load("small").value(path)


def test_importing_missions_is_fast_and_light():
    """No numpy, no scipy, no xarray, no device."""
    code = "import sys, mcrisk.mission; print([m for m in ('numpy', 'scipy', 'xarray', 'cupy', 'dask') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"
