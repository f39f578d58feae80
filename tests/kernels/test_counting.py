"""What counts as flop: known little things, in both compilers."""

import ctypes

import pytest

SOURCE = """
#include "elementary.h"
#include "quat.h"
using namespace mcr;
extern "C" long long flop(float* numbers) {{
    real const a = numbers[0], b = numbers[1], c = numbers[2];
    Vec3 const u = {{a, b, c}}, v = {{c, a, b}};
    flop_done = 0;
    auto const result = {expression};
    long long const done = static_cast<long long>(flop_done);
    numbers[3] = bits_as<float>(result);
    return done;
}}
"""


@pytest.mark.parametrize(
    ("expression", "flop", "value"),
    [
        ("a + b", 1, 6.0),
        ("a - b", 1, -2.0),
        ("a * b", 1, 8.0),
        ("a / b", 1, 0.5),
        ("square_root(b)", 1, 2.0),
        ("fused(a, b, c)", 2, 17.0),
        ("-a", 0, -2.0),
        ("absolute(-a)", 0, 2.0),
        ("real_of(a < b)", 0, 1.0),
        ("select(a < b, a + b, a * b)", 2, 6.0),
        ("2 * a", 1, 4.0),
        ("dot(u, v)", 5, 62.0),
        ("dot(cross(u, v), u)", 14, 0.0),
        ("norm(u)", 6, 101.0**0.5),
    ],
)
def test_flop_of_a_known_expression(compiler, expression, flop, value):
    """By hand, for a = 2, b = 4, c = 9: dot is one product and two fused, cross six products and three differences."""
    library = compiler.library(SOURCE.format(expression=expression), ["-DMCR_REAL_COUNTING"])
    library.flop.restype = ctypes.c_longlong
    numbers = (ctypes.c_float * 4)(2, 4, 9)

    assert library.flop(numbers) == flop
    assert numbers[3] == pytest.approx(value, rel=1e-7, abs=0)
