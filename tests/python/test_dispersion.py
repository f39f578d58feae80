"""Dispersions as the kernel reads them: streams by name, words of World, limits, correlations."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mcrisk import dispersion
from mcrisk.dispersion import cholesky, stream, table
from mcrisk.errors import MistakeError
from mcrisk.mission import loads
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema

from .conftest import MISSION


def rows_of(text: str, real: int = 4):
    """Rows by path, and the correlation terms."""
    rows, factors = table(loads(text, "x"), load_schema(), real)
    return {row.path: row for row in rows}, factors


def test_streams_of_parameters_never_move():
    """Recorded numbers: the same world for ever."""
    assert stream("propulsion.main.isp") == 0x68770289
    assert stream("altimeter.health") == 0x41A6098D


def test_streams_of_parameters_lie_beyond_all_named_streams():
    """streams.h says where the numbers of dispersed parameters begin."""
    text = (kernel_folder() / "mcrisk" / "streams.h").read_text()
    first = re.search(r"dispersions_first = (0x[0-9a-fA-F]+)u", text)
    named = [int(number) for number in re.findall(r"^\s+\w+ = (\d+),", text, re.MULTILINE)]

    assert first
    assert int(first[1], 16) == dispersion.STREAMS_FIRST
    assert max(named) < dispersion.STREAMS_FIRST
    assert all(dispersion.STREAMS_FIRST <= stream(f"a.{number}") < 2**31 for number in range(1000))


def test_all_parameters_of_the_kernels_have_streams_of_their_own():
    """No two names of today's headers collide."""
    schema = load_schema()
    paths = [path for path in schema.paths() if schema.locate(path)[0].owner == "World"]

    assert len({stream(path) for path in paths}) == len(paths)


def test_rows_hold_word_shape_stream_spread_and_limits(small):
    """A relative number, and a vector as three rows."""
    rows, factors = rows_of(MISSION)
    schema = load_schema()

    assert factors == []
    assert sorted(rows) == ["propulsion.main.isp", "vehicle.cg_B.x", "vehicle.cg_B.y", "vehicle.cg_B.z"]
    isp = rows["propulsion.main.isp"]
    assert isp.word == schema.world_word("propulsion.main.isp")
    assert isp.distribution == schema.enums["Distribution"]["normal_relative"]
    assert (isp.spread, isp.factor_count) == (0.004, 0)
    assert isp.lower == pytest.approx(318e-6)  # an open limit is approached to a millionth
    assert isp.upper == 3.0e38
    assert rows["vehicle.cg_B.y"].distribution == schema.enums["Distribution"]["normal_absolute"]
    assert rows["vehicle.cg_B.y"].stream == stream("vehicle.cg_B.y")


def test_words_of_the_double_build_count_four_bytes_too(small):
    """The kernel adds 4 x word to the address of World in either build."""
    rows, _ = rows_of(MISSION, real=8)

    assert rows["propulsion.main.isp"].word == load_schema().world_word("propulsion.main.isp", real=8)


@pytest.mark.parametrize(
    ("stated", "name", "spread"),
    [
        ('{ sigma = "2 s" }', "normal_absolute", 2.0),
        ('{ sigma = "2 %" }', "normal_relative", 0.02),
        ('{ uniform = "2 s" }', "uniform_absolute", 2.0),
        ('{ uniform = "2 %" }', "uniform_relative", 0.02),
        ("{ lognormal = 0.3 }", "lognormal", 0.3),
        ('{ lognormal = "30 %" }', "lognormal", 0.3),
        ('{ exponential = "2 s" }', "exponential", 2.0),
        ('{ rayleigh = "2 s" }', "rayleigh", 2.0),
        ("{ sigma = 0 , source = 'x' }", None, None),
        ('{ sigma = "0 %" }', "normal_relative", 0.0),
    ],
)
def test_every_form_reaches_the_kernel(small, stated, name, spread):
    """Name and spread of each distribution; a bare number has no unit."""
    text = MISSION.replace('{ sigma = "0.4 %" }', stated)
    if name is None:
        with pytest.raises(MistakeError, match=r"or a time such as"):
            rows_of(text)
        return
    rows, _ = rows_of(text)

    assert rows["propulsion.main.isp"].distribution == load_schema().enums["Distribution"][name]
    assert rows["propulsion.main.isp"].spread == spread


def test_stated_limits_lie_within_the_physical_ones(small):
    """health is 0 .. 1: a lower limit of 0.2 counts, the upper stays 1."""
    text = MISSION.replace("[dispersions]", "[dispersions]\naltimeter.health = { sigma = 0.1, lower = 0.2 }")
    rows, _ = rows_of(text)

    assert (rows["altimeter.health"].lower, rows["altimeter.health"].upper) == (0.2, 1.0)


def test_adding_a_dispersion_shifts_no_other(small):
    """Streams and words of the others are as before."""
    before, _ = rows_of(MISSION)
    after, _ = rows_of(MISSION.replace("[dispersions]", "[dispersions]\naltimeter.health = { uniform = 0.1 }"))

    assert {path: after[path] for path in before} == before


PAIRS = """
[[correlations]]
a = "vehicle.cg_B.z"
b = "propulsion.main.isp"
value = 0.6
[[correlations]]
a = "vehicle.cg_B.x"
b = "vehicle.cg_B.z"
value = -0.5
"""


def test_correlated_numbers_mix_their_streams_as_stated(small):
    """The weights squared give back the correlation matrix; the one apart keeps its own stream."""
    rows, factors = rows_of(MISSION + PAIRS)
    paths = ["propulsion.main.isp", "vehicle.cg_B.x", "vehicle.cg_B.z"]
    weights = np.zeros((3, 3))
    for i, path in enumerate(paths):
        row = rows[path]
        terms = factors[row.factor_first : row.factor_first + row.factor_count]
        for term in terms or [dispersion.Factor(row.stream, 1.0)]:
            weights[i, [stream(other) for other in paths].index(term.stream)] = term.weight

    np.testing.assert_allclose(weights @ weights.T, [[1, 0, 0.6], [0, 1, -0.5], [0.6, -0.5, 1]], atol=1e-15)
    assert rows["vehicle.cg_B.y"].factor_count == 0


def test_correlations_that_contradict_each_other_are_refused(small):
    """0.9, 0.9 and -0.9 around a triangle."""
    third = '\n[[correlations]]\na = "vehicle.cg_B.x"\nb = "propulsion.main.isp"\nvalue = -0.9\n'
    text = MISSION + PAIRS.replace("0.6", "0.9").replace("-0.5", "0.9") + third
    with pytest.raises(MistakeError, match=r"expected a positive definite matrix"):
        rows_of(text)


def test_our_cholesky_factor_is_that_of_numpy():
    """100 random matrices, and None for one that is not positive definite."""
    generator = np.random.default_rng(3)
    for size in range(1, 11):
        for _ in range(10):
            root = generator.normal(size=(size, size)) + 2 * np.eye(size)
            matrix = root @ root.T
            factor = cholesky(matrix.tolist())

            assert factor is not None
            np.testing.assert_allclose(factor, np.linalg.cholesky(matrix), rtol=1e-9, atol=1e-12)
    assert cholesky([[1.0, 1.0], [1.0, 1.0]]) is None


def test_a_relative_scatter_of_a_designed_zero_is_refused_when_it_is_known(small):
    """The placed value is zero only after the design."""
    text = MISSION.replace("[dispersions]", '[dispersions]\ngravity.radius = { sigma = "1 %" }')
    mission = loads(text, "x").filled({"gravity.radius": 0.0})
    with pytest.raises(MistakeError, match=r"'gravity.radius' is zero, so a relative sigma would never change it"):
        table(mission, load_schema())
