"""The elementary functions and scalar helpers: stated errors against mpmath, the same bits everywhere, packed code."""

import ctypes
import dataclasses
import functools
import re
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

mpmath.mp.dps = 40

TYPES = {"float": np.float32, "double": np.float64}
POINTS = 4000  # random arguments per function and build; each costs mpmath about 30 us


@dataclasses.dataclass(frozen=True)
class Function:
    """One elementary function: its C++ text, its value to 40 digits, its arguments, its stated error."""

    text: str
    exact: Callable[..., mpmath.mpf]
    sample: Callable[[np.random.Generator, str], tuple[np.ndarray, ...]]
    error: float  # [ulp] stated in elementary.h
    arguments: str = "real x"


def _spread(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
    return (np.concatenate(parts),)


def _exponents(random: np.random.Generator, real: str) -> tuple[np.ndarray, ...]:
    lowest, highest = (-87.33, 88.72) if real == "float" else (-708.3, 709.78)
    return _spread(random.uniform(lowest, highest, POINTS), random.uniform(-1, 1, POINTS), [0, lowest, highest])


def _positives(random: np.random.Generator, real: str) -> tuple[np.ndarray, ...]:
    limits = np.finfo(TYPES[real])
    everywhere = np.exp(random.uniform(np.log(limits.tiny) + 1e-3, np.log(limits.max) - 1e-3, POINTS))
    near_one = 1 + random.uniform(-1, 1, POINTS) * 10.0 ** random.uniform(-7, -0.5, POINTS)
    return _spread(everywhere, near_one, [limits.tiny, limits.max, 1, np.sqrt(0.5), np.sqrt(2), 0.5, 2])


def _angles(random: np.random.Generator, real: str) -> tuple[np.ndarray, ...]:
    at_zeros = random.integers(-6366, 6367, POINTS) * (np.pi / 2)  # as near to the zeros as the format comes
    return _spread(random.uniform(-4, 4, POINTS), random.uniform(-1e4, 1e4, POINTS), at_zeros, [0, 1e4, -1e4, 1e-20])


def _turns(random: np.random.Generator, real: str) -> tuple[np.ndarray, ...]:
    return _spread((2 * random.integers(0, 2**23, POINTS) + 1) * 2.0**-24, np.arange(9) / 8)


def _directions(random: np.random.Generator, real: str) -> tuple[np.ndarray, ...]:
    angle = np.concatenate([random.uniform(-np.pi, np.pi, POINTS), 10.0 ** random.uniform(-20, 0, POINTS)])
    length = 10.0 ** random.uniform(-10, 10, len(angle))
    axes = np.array([(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)])
    return np.append(length * np.sin(angle), axes[:, 0]), np.append(length * np.cos(angle), axes[:, 1])


def _sines(random: np.random.Generator, real: str) -> tuple[np.ndarray, ...]:
    near_one = 1 - 10.0 ** random.uniform(-16, 0, POINTS)
    return _spread(random.uniform(-1, 1, POINTS), near_one, -near_one, [0, 0.5, -0.5, 1, -1, 1e-20])


FUNCTIONS = {
    "exponential": Function("exponential(x)", mpmath.exp, _exponents, 1.1),
    "logarithm": Function("logarithm(x)", mpmath.log, _positives, 1.0),
    "sine": Function("sine_cosine(x).sine", mpmath.sin, _angles, 1.6),
    "cosine": Function("sine_cosine(x).cosine", mpmath.cos, _angles, 1.6),
    "sine_of_turns": Function("sine_cosine_turns(x).sine", lambda x: mpmath.sinpi(2 * x), _turns, 1.0),
    "cosine_of_turns": Function("sine_cosine_turns(x).cosine", lambda x: mpmath.cospi(2 * x), _turns, 1.0),
    "tangent": Function("tangent(x)", mpmath.tan, _angles, 3.5),
    "arctangent2": Function("arctangent2(y, x)", mpmath.atan2, _directions, 2.0, "real y, real x"),
    "arcsine": Function("arcsine(x)", mpmath.asin, _sines, 2.1),
    "arccosine": Function("arccosine(x)", mpmath.acos, _sines, 2.0),
}


@functools.cache
def _reference(name: str, real: str) -> tuple[tuple[np.ndarray, ...], list[mpmath.mpf]]:
    """Arguments that the format can hold, and the exact values there."""
    function = FUNCTIONS[name]
    arguments = function.sample(np.random.default_rng(20261122), real)
    arguments = tuple(np.asarray(argument).astype(TYPES[real]).astype(np.float64) for argument in arguments)
    return arguments, [function.exact(*map(mpmath.mpf, map(float, row))) for row in zip(*arguments, strict=True)]


def _error(got: float, exact: mpmath.mpf, real: str) -> float:
    """Distance in units of the last place of the exact value."""
    limits = np.finfo(TYPES[real])
    exponent = max(int(mpmath.floor(mpmath.log(abs(exact), 2))), limits.minexp) if exact else limits.minexp
    return float(abs(mpmath.mpf(float(got)) - exact) / mpmath.mpf(2) ** (exponent - limits.nmant))


@pytest.mark.parametrize("real", TYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_stated_error_holds(probe, name, real):
    """Against mpmath at 40 digits, over the whole stated range, its ends and its delicate places."""
    function = FUNCTIONS[name]
    arguments, exact = _reference(name, real)

    got = probe("elementary.h", function.text, function.arguments, real=real)(*arguments)
    worst = max(_error(one, value, real) for one, value in zip(got, exact, strict=True))

    assert worst < function.error


# The largest error [ulp] over every float from `first` to `last` (same sign), against the C library in double.
SWEEP = """
static real sweep(float first, float last) {{
    double worst = 0;
    for (unsigned bits = bits_of(first); bits <= bits_of(last); ++bits) {{
        float const x = bits_as<float>(bits);
        double const exact = {exact}(static_cast<double>(x));
        double const unit = bits_as<double>(bits_of(exact) & 0x7ff0000000000000u) * 0x1p-23;
        double const error = (static_cast<double>({text}) - exact) / unit;
        worst = error > worst ? error : -error > worst ? -error : worst;
    }}
    return static_cast<real>(worst);
}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "exact", "ends"),
    [
        ("exponential", "__builtin_exp", [(2.0**-30, 88.7228), (-(2.0**-30), -87.3365)]),
        ("logarithm", "__builtin_log", [(0.25, 4.0)]),
        ("sine", "__builtin_sin", [(2.0**-20, 1e4)]),
        ("cosine", "__builtin_cos", [(2.0**-20, 1e4)]),
        ("tangent", "__builtin_tan", [(2.0**-20, 1e4)]),
        ("arcsine", "__builtin_asin", [(2.0**-20, 1.0)]),
        ("arccosine", "__builtin_acos", [(2.0**-30, 1.0), (-(2.0**-30), -1.0)]),
    ],
)
def test_stated_error_holds_for_every_float(probe, name, exact, ends):
    """Every float there is, from the smallest whose result is not its first Taylor term to the end of the range."""
    function = FUNCTIONS[name]

    sweep = probe(
        "elementary.h",
        "sweep(static_cast<float>(first), static_cast<float>(last))",
        "real first, real last",
        preamble=SWEEP.format(exact=exact, text=function.text),
    )

    for first, last in ends:
        assert sweep(first, last) < function.error


def test_exact_values(probe):
    """Values that no rounding may move: the functions meet them exactly."""
    exponential = probe("elementary.h", "exponential(x)")
    logarithm = probe("elementary.h", "logarithm(x)")
    turns = probe("elementary.h", ["at.sine", "at.cosine"], prepare="SineCosine const at = sine_cosine_turns(x);")
    circle = probe("elementary.h", ["at.sine", "at.cosine"], prepare="SineCosine const at = sine_cosine(x);")
    sine, cosine = turns(np.arange(5) / 4)

    assert exponential(0) == 1
    assert logarithm(1) == 0
    assert circle(0) == (0, 1)
    np.testing.assert_array_equal(sine, [0, 1, 0, -1, 0])
    np.testing.assert_array_equal(cosine, [1, 0, -1, 0, 1])


@pytest.mark.parametrize("real", TYPES)
def test_arctangent2_knows_the_axes_and_the_origin(probe, real):
    """C standard F.10.1.4, but for zeros: their sign is not looked at, so the origin gives 0 and the cut gives +pi."""
    arctangent2 = probe("elementary.h", "arctangent2(y, x)", "real y, real x", real=real)
    y = [0.0, -0.0, 0.0, -0.0, 0.0, 1.0, -1.0, 1e-30, 1e30]
    x = [0.0, 0.0, -0.0, -1.0, -1.0, 0.0, 0.0, -1e30, 1e-30]
    expected = np.array([0, 0, 0, np.pi, np.pi, np.pi / 2, -np.pi / 2, np.pi, np.pi / 2]).astype(TYPES[real])

    np.testing.assert_array_equal(arctangent2(y, x), expected.astype(np.float64))


@pytest.mark.parametrize("real", TYPES)
def test_inverse_functions_end_at_one(probe, real):
    """A cosine of 1.0000001, out of a dot product, is an angle of zero and not NaN."""
    arcsine, arccosine = (probe("elementary.h", f"{name}(x)", real=real) for name in ("arcsine", "arccosine"))
    half, whole = (float(TYPES[real](angle)) for angle in (np.pi / 2, np.pi))

    np.testing.assert_array_equal(arcsine([1, 1.0000002, 7, -1, -1.0000002]), [half, half, half, -half, -half])
    np.testing.assert_array_equal(arccosine([1, 1.0000002, 7, -1, -1.0000002]), [0, 0, 0, whole, whole])


@pytest.mark.parametrize("real", TYPES)
def test_what_lies_outside_is_a_limit_or_nan(probe, real):
    """Limits at the ends of the domain; below the smallest normal number, results and arguments count as 0."""
    exponential = probe("elementary.h", "exponential(x)", real=real)
    logarithm = probe("elementary.h", "logarithm(x)", real=real)
    tiny = np.finfo(TYPES[real]).tiny

    np.testing.assert_array_equal(exponential([-np.inf, -800, 800, np.inf]), [0, 0, np.inf, np.inf])
    np.testing.assert_array_equal(logarithm([0, -0.0, tiny / 4, np.inf]), [-np.inf, -np.inf, -np.inf, np.inf])
    np.testing.assert_array_equal(logarithm([-tiny, -1, -np.inf]), [np.nan, np.nan, np.nan])


@pytest.mark.parametrize("real", TYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_in_gives_nan_out(probe, name, real):
    """A broken run must show itself at the end, whatever it is computed through."""
    function = FUNCTIONS[name]
    call = probe("elementary.h", function.text, function.arguments, real=real)
    arity = function.arguments.count("real")

    for place in range(arity):
        assert np.isnan(call(*(np.nan if k == place else 0.5 for k in range(arity))))


# ---- the same bits everywhere


def _assert_same_bits(expected, actual):
    """Every bit but those of a NaN, which differ between compilers."""
    np.testing.assert_array_equal(np.isnan(expected), np.isnan(actual))
    np.testing.assert_array_equal(np.nan_to_num(expected).view(np.uint64), np.nan_to_num(actual).view(np.uint64))


def _awkward(name: str, real: str) -> tuple[np.ndarray, ...]:
    """The arguments of the accuracy test, and what no caller should pass."""
    arguments, _ = _reference(name, real)
    outside = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-42, -1e-42, 3e38, -3e38, 1e9, -1e9, 5e5, 100])
    pairs = np.meshgrid(*[outside] * len(arguments))
    return tuple(np.append(inside, out.ravel()) for inside, out in zip(arguments, pairs, strict=True))


@pytest.mark.parametrize("real", TYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_do_not_depend_on_the_compiler(every_probe, name, real):
    """All compilers present, optimised or not, with and without fma instructions, outside the stated range too."""
    function = FUNCTIONS[name]
    arguments = _awkward(name, real)
    builds = [
        make("elementary.h", function.text, function.arguments, real=real, flags=flags)
        for make in every_probe
        for flags in ([], ["-O0"], ["-O1", "-mno-fma"])
    ]
    expected, *others = [build(*arguments) for build in builds]

    for actual in others:
        _assert_same_bits(expected, actual)


# ---- packed code

LANES = 1024
LOOP = """
#include "{header}"
using namespace mcr;
MCR_FN void lane(real const* x, real const* y, real const* z, real* out, int i) {{ {body} }}
extern "C" void loop(real const* x, real const* y, real const* z, real* out) {{
#pragma omp simd
    for (int i = 0; i < {lanes}; ++i) lane(x, y, z, out, i);
}}
"""
LANE_BODIES = {
    **{
        name: ("elementary.h", "out[i] = " + re.sub(r"\b([xy])\b", r"\1[i]", function.text) + ";")
        for name, function in FUNCTIONS.items()
    },
    "floor_real": ("real.h", "out[i] = floor_real(x[i]);"),
    "to_int": ("real.h", "out[i] = real_of(to_int(x[i], -3, 7));"),
    "round_to_int": ("real.h", "out[i] = real_of(round_to_int(x[i], -3, 7));"),
    "clamp": ("real.h", "out[i] = clamp(x[i], y[i], z[i]);"),
    "select": ("real.h", "out[i] = select(all(x[i] < y[i], is_finite(z[i])), minimum(x[i], z[i]), sign_of(y[i]));"),
    "normals": ("philox.h", "Normal4 const n = normals(make_draws(7, 3), 5, i); out[i] = n.a + n.b + n.c + n.d;"),
    "unit": ("vec.h", "Vec3 const v = unit({x[i], y[i], z[i]}); out[i] = v.x + v.y + v.z;"),
    "rotate": ("quat.h", "Vec3 const v = rotate({z[i], x[i], y[i], 1}, {x[i], y[i], z[i]}); out[i] = v.x + v.y + v.z;"),
    "normalise": ("quat.h", "Quat const q = normalise({x[i], y[i], z[i], 1}); out[i] = q.w + q.x + q.y + q.z;"),
    "from_rotation_vector": (
        "quat.h",
        "Quat const q = from_rotation_vector({x[i], y[i], z[i]}); out[i] = q.w + q.x + q.y + q.z;",
    ),
    "rotation_vector_of": (
        "quat.h",
        "Vec3 const v = rotation_vector_of({x[i], y[i], z[i], 1}); out[i] = v.x + v.y + v.z;",
    ),
    "from_axes": (
        "quat.h",
        "Quat const q = from_axes({x[i], y[i], z[i]}, {y[i], z[i], x[i]}, {z[i], x[i], y[i]});"
        "out[i] = q.w + q.x + q.y + q.z;",
    ),
}


@pytest.mark.parametrize("name", LANE_BODIES)
def test_elementary_functions_vectorise(compiler, x86_64, name):
    """A loop over lanes has packed arithmetic and no other, no call, and the bits of the loop without optimisation."""
    header, body = LANE_BODIES[name]
    source = LOOP.format(header=header, body=body, lanes=LANES)
    instructions = re.findall(r"^\s+(v?[a-z][a-z0-9]+)\b", compiler.assembly(source), re.MULTILINE)
    arithmetic = re.compile(r"v(add|sub|mul|div|sqrt|cmp\w*|fn?m(add|sub)\d+|max|min)([ps][sd])$")
    kinds = [match.group(3) for one in instructions if (match := arithmetic.match(one))]
    columns = np.random.default_rng(3).uniform(-1, 1, (3, LANES)).astype(np.float32)
    packed, one_by_one = np.empty((2, LANES), np.float32)
    for flags, results in (([], packed), (["-O0"], one_by_one)):
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*columns, results)]
        compiler.library(source, flags).loop(*pointers)

    assert kinds.count("ps") > 0
    assert {"ss", "sd", "pd"}.isdisjoint(kinds)
    assert "call" not in instructions
    _assert_same_bits(one_by_one.astype(np.float64), packed.astype(np.float64))


# ---- scalar helpers


@pytest.mark.parametrize("real", TYPES)
def test_nan_goes_to_the_lower_end(probe, real):
    """So that no table index and no integer ever comes from NaN."""
    clamp = probe("real.h", "clamp(x, real(2), real(5))", real=real)
    index = probe("real.h", "to_int(x, 2, 5)", real=real)
    nearest = probe("real.h", ["round_to_int(x)", "round_to_int(x, 2, 5)"], real=real)
    x = np.array([np.nan, -np.inf, -1e30, 1.9, 2, 3.7, 5, 5.2, 1e30, np.inf])

    np.testing.assert_allclose(clamp(x), [2, 2, 2, 2, 2, 3.7, 5, 5, 5, 5], rtol=1e-7)  # 3.7 is rounded to the format
    np.testing.assert_array_equal(index(x), [2, 2, 2, 2, 2, 3, 5, 5, 5, 5])
    np.testing.assert_array_equal(nearest(x)[1], [2, 2, 2, 2, 2, 4, 5, 5, 5, 5])
    np.testing.assert_array_equal(nearest(x)[0][[0, 1, -1]], [-(2**22), -(2**22), 2**22])


@pytest.mark.parametrize("real", TYPES)
def test_rounding_to_whole_numbers(probe, real):
    """floor of C for every size; nearest goes to the even one."""
    x = np.concatenate(
        [np.arange(-9, 10) / 4, [-0.0, 2.0**22 + 0.5, -(2.0**22) - 0.5, 2.0**23 - 0.5, 1e10, -3e38, np.inf]]
    )
    floor = probe("real.h", "floor_real(x)", real=real)
    nearest = probe("real.h", "round_to_int(x)", real=real)
    halves = np.arange(-8, 9) / 2

    np.testing.assert_array_equal(floor(x), np.floor(x.astype(TYPES[real])).astype(np.float64))
    assert np.isnan(floor(np.nan))
    np.testing.assert_array_equal(nearest(halves), np.rint(halves))


def test_signs_sizes_and_choices(probe):
    """What each helper says of zeros, infinities and NaN, as its comment states."""
    x = np.array([-np.inf, -2, -0.0, 0.0, 2, np.inf, np.nan])
    helpers = probe(
        "real.h",
        [
            "absolute(x)",
            "sign_of(x)",
            "is_finite(x)",
            "minimum(x, real(1))",
            "maximum(x, real(1))",
            "minimum(real(1), x)",
        ],
    )
    size, sign, finite, smaller, larger, smaller_too = helpers(x)

    np.testing.assert_array_equal(size, [np.inf, 2, 0, 0, 2, np.inf, np.nan])
    assert not np.signbit(size[2])
    np.testing.assert_array_equal(sign, [-1, -1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(finite, [0, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(smaller, [-np.inf, -2, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(larger, [1, 1, 1, 1, 2, np.inf, 1])
    np.testing.assert_array_equal(smaller_too, [-np.inf, -2, 0, 0, 1, 1, np.nan])


@pytest.mark.parametrize("real", TYPES)
@pytest.mark.parametrize("header", ["portable.h", "real.h", "elementary.h", "vec.h", "quat.h", "streams.h", "philox.h"])
def test_header_stands_alone_without_warnings(compiler, header, real):
    """Each header compiles first in a file, with every warning an error; no double slips into the float build."""
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Wpedantic", "-Werror"]
    precision = {"float": [], "double": ["-DMCR_REAL_DOUBLE"]}[real]

    compiler.library(f'#include "{header}"\n', [*warnings, *precision])
