"""The block of bytes the kernel reads: every value in its place, nothing missing, nothing out of range."""

from __future__ import annotations

import numpy as np
import pytest

from mcrisk.errors import ImpossibleDesign, MistakeError
from mcrisk.mission import Mission, load, loads
from mcrisk.params import pack, unpack
from mcrisk.schema import load_schema

from .conftest import MISSION

DESIGN = {"gravity.radius": 1737400.0, "guidance.gate_height": (3000.0, 800.0, 20.0)}


@pytest.fixture
def designed(small) -> Mission:
    """The small mission with what a nominal design would fill."""
    return load("small").filled(DESIGN)


@pytest.mark.parametrize("real", [4, 8])
def test_numpy_reads_back_what_was_packed(designed, real):
    """The aligned dtype of the schema is the oracle of every offset."""
    schema = load_schema()
    block = pack(designed, real)
    array = np.frombuffer(block, schema.params_dtype(real))[0]

    assert len(block) == schema.params_bytes(real)
    assert array["world"]["propulsion"]["main"]["thrust"] == 1600.0
    assert array["world"]["altimeter"]["period_ticks"] == 2
    np.testing.assert_array_equal(array["world"]["vehicle"]["cg_B"], np.array([0, 0, 0.9], f"f{real}"))
    np.testing.assert_array_equal(array["onboard"]["guidance"]["gate_height"], [3000, 800, 20])
    assert array["simulation"]["truth_steps"] == 2
    assert array["scatter"]["count"] == 4
    row = array["scatter"]["dispersion"][0]
    assert row["spread"] == np.array(0.004, f"f{real}")
    assert row["word"] == schema.world_word("propulsion.main.isp", real)
    assert not array["scatter"]["dispersion"][4]["spread"]


def test_unpacked_values_are_those_of_the_mission(designed):
    """In double precision nothing is lost; choices come back by name."""
    values = unpack(pack(designed, 8), 8)

    assert values == {path: designed.value(path) for path in load_schema().fields}
    assert values["guidance.law"] == "constant"


def test_packing_is_the_same_bytes_every_time(designed):
    """Also for a mission that went through its resolved text."""
    again = loads(designed.to_toml(), "small").filled(DESIGN)

    assert pack(again) == pack(designed)
    assert pack(designed.replace({"altimeter.health": 0.5}).filled(DESIGN)) != pack(designed)


def test_correlated_dispersions_are_packed_with_their_terms(small):
    """Two terms for the second of a pair."""
    pair = '\n[[correlations]]\na = "vehicle.cg_B.z"\nb = "propulsion.main.isp"\nvalue = 0.6\n'
    values = unpack(pack(loads(MISSION + pair, "x").filled(DESIGN), 8), 8, internal=True)
    first = values["scatter.dispersion.3.factor_first"]

    assert values["scatter.dispersion.3.factor_count"] == 2
    assert values[f"scatter.factor.{first}.weight"] == 0.6
    assert values[f"scatter.factor.{first + 1}.weight"] == 0.8


def test_missing_values_are_listed_together(small):
    """Before the nominal design nothing can be flown."""
    with pytest.raises(MistakeError) as caught:
        pack(load("small"))

    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        'small: gravity.radius: expected a length such as "3 km", got nothing; the nominal design'
    )
    assert "guidance.gate_height" in lines[1]


def test_an_impossible_mission_is_refused_as_such(small):
    """With the inequality it breaks."""
    mission = load("small").replace({"mass.launch": "400 kg"}).filled(DESIGN)
    with pytest.raises(ImpossibleDesign, match=r"is not above dry mass"):
        pack(mission)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"propulsion.main.thrust": 1e39}, "propulsion.main.thrust: expected a finite number in single precision"),
        ({"propulsion.main.thrust": 1e-60}, "propulsion.main.thrust: expected more than 0 N"),
        ({"vehicle.cg_B.y": 1e300}, "vehicle.cg_B.y: expected a finite number in single precision"),
    ],
)
def test_numbers_that_single_precision_cannot_hold_are_refused(designed, change, expected):
    """They are fine in double."""
    mission = designed.replace(change).filled(DESIGN)
    with pytest.raises(MistakeError) as caught:
        pack(mission)

    assert expected in str(caught.value)
    assert len(pack(mission, 8)) == load_schema().params_bytes(8)


def test_a_filled_value_out_of_range_or_not_finite_is_refused(small):
    """The designer's mistakes are caught at the same border."""
    mission = load("small")
    with pytest.raises(MistakeError, match=r"small: guidance.gate_height.1: expected at least 0 m, got -1 m"):
        mission.filled({"guidance.gate_height": (1.0, -1.0, 1.0)})
    with pytest.raises(MistakeError, match=r"expected a finite number"):
        mission.filled({"gravity.radius": float("nan")})
    with pytest.raises(MistakeError, match=r"unknown parameter 'gravity.radios'"):
        mission.filled({"gravity.radios": 1.0})


def test_more_dispersions_than_the_block_holds_are_refused(designed):
    """Five rows in the small headers, eight asked for."""
    more = {f"dispersions.{path}": {"sigma": 0.01} for path in ("altimeter.health", "altimeter.noise_fraction")}
    mission = designed.replace(more | {"dispersions.altimeter.beam_B": {"sigma": 0.01}}).filled(DESIGN)
    with pytest.raises(MistakeError, match=r"dispersions: expected at most 5 dispersed numbers, got 9"):
        pack(mission)


def test_a_block_of_another_layout_is_refused(designed):
    """Stored bytes of other kernels."""
    with pytest.raises(MistakeError, match=r"these kernels read another layout"):
        unpack(pack(designed)[:-4])
