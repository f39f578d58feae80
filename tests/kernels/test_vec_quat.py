"""Vectors and attitude quaternions: definitions, the passive convention against scipy, random invariants."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

COUNT = 5000
TOLERANCE = {"float": 5e-7, "double": 1e-15}  # about four units of the last place of 1


@pytest.fixture
def random():
    return np.random.default_rng(20261122)


@pytest.fixture(params=["float", "double"])
def real(request):
    return request.param


@pytest.fixture
def function(probe, real):
    """function(expression, arguments) of quat.h, in both builds."""
    return lambda expression, arguments: probe("quat.h", expression, arguments, real=real)


def _attitudes(random, count=COUNT):
    """Uniform attitudes as (count, 4), w first, and scipy's rotations with the same four numbers."""
    numbers = random.normal(size=(count, 4))
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    return numbers, Rotation.from_quat(numbers, scalar_first=True)


def _vectors(random, count=COUNT):
    return random.normal(size=(count, 3)) * 10.0 ** random.uniform(-3, 6, (count, 1))


def _assert_near(actual, expected, tolerance):
    """Difference below `tolerance` of the length of the expected vector."""
    size = np.linalg.norm(expected, axis=-1)
    np.testing.assert_array_less(np.linalg.norm(actual - expected, axis=-1), tolerance * size + 1e-300)


# ---- vectors


def test_vector_algebra_is_that_of_numpy(function, random, real):
    """Sums, products, length, direction, on lengths from millimetres to a thousand kilometres."""
    a, b, s = _vectors(random), _vectors(random), random.normal(size=COUNT)
    results = function(
        ["a + b", "a - b", "-a", "s * a", "a * s", "fused(s, a, b)", "scale(a, b)", "norm(a)", "unit(a)"],
        "Vec3 a, Vec3 b, real s",
    )(a, b, s)
    total, difference, opposite, stretched, stretched_too, stretched_sum, scaled, length, direction = results
    tolerance = TOLERANCE[real]

    _assert_near(total, a + b, 20 * tolerance)  # cancels where b is near -a
    _assert_near(difference, a - b, 20 * tolerance)
    _assert_near(opposite, -a, tolerance)
    _assert_near(stretched, s[:, None] * a, tolerance)
    np.testing.assert_array_equal(stretched, stretched_too)
    _assert_near(stretched_sum, s[:, None] * a + b, 1000 * tolerance)
    _assert_near(scaled, a * b, tolerance)
    np.testing.assert_allclose(length, np.linalg.norm(a, axis=1), rtol=tolerance)
    _assert_near(direction, a / np.linalg.norm(a, axis=1, keepdims=True), tolerance)


def test_dot_and_cross_products(function, random, real):
    """Against numpy; a x a is exactly zero, a x b exactly -(b x a), and both are normal to their factors."""
    a, b = _vectors(random), _vectors(random)
    dot, cross, reverse, itself = function(
        ["dot(a, b)", "cross(a, b)", "cross(b, a)", "cross(a, a)"], "Vec3 a, Vec3 b"
    )(a, b)
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)

    np.testing.assert_array_less(np.abs(dot - np.sum(a * b, axis=1)), TOLERANCE[real] * size)
    np.testing.assert_array_less(np.linalg.norm(cross - np.cross(a, b), axis=1), TOLERANCE[real] * size)
    np.testing.assert_array_equal(reverse, -cross)
    np.testing.assert_array_equal(itself, np.zeros_like(a))


def test_direction_of_nothing_is_zero(function):
    """No division by zero where a vehicle hangs still; NaN stays to be seen."""
    unit = function("unit(a)", "Vec3 a")

    np.testing.assert_array_equal(unit([0, 0, 0]), [0, 0, 0])
    np.testing.assert_array_equal(unit([0, -3, 0]), [0, -1, 0])
    assert np.isnan(unit([np.nan, 1, 1])).all()


def test_choice_and_finiteness_look_at_every_component(function):
    """One bad component spoils a vector and a quaternion."""
    choose = function(["select(first, a, b)", "is_finite(a)"], "bool first, Vec3 a, Vec3 b")
    choose_attitude = function(["select(first, a, b)", "is_finite(a)"], "bool first, Quat a, Quat b")

    for place in range(3):
        a = np.where(np.arange(3) == place, np.inf, 1)
        assert choose(True, a, [2, 3, 4])[1] == 0
        np.testing.assert_array_equal(choose(True, a, [2, 3, 4])[0], a)
        np.testing.assert_array_equal(choose(False, a, [2, 3, 4])[0], [2, 3, 4])
    for place in range(4):
        a = np.where(np.arange(4) == place, np.nan, 1)
        assert choose_attitude(False, a, [2, 3, 4, 5])[1] == 0
        np.testing.assert_array_equal(choose_attitude(False, a, [2, 3, 4, 5])[0], [2, 3, 4, 5])
    assert choose(True, [1, 2, 3], [2, 3, 4])[1] == 1


# ---- the convention


def test_yaw_of_ninety_degrees_by_hand(function):
    """B is S turned left by 90 deg about z: what lies ahead along x_S is seen to the right, along -y_B."""
    left = [0, 0, np.pi / 2]
    attitude = function("from_rotation_vector(turn)", "Vec3 turn")(left)
    seen = function("rotate(q_BS, v_S)", "Quat q_BS, Vec3 v_S")(attitude, [1, 0, 0])

    np.testing.assert_allclose(attitude, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-7)
    np.testing.assert_allclose(seen, [0, -1, 0], atol=1e-7)


def test_rotation_is_the_inverse_of_scipys(function, random, real):
    """scipy turns vectors, a passive quaternion turns axes: v_B = (rotation of the same numbers)^-1 v_S."""
    (q, rotation), v = _attitudes(random), _vectors(random)
    there, back = function(["rotate(q, v)", "rotate_inverse(q, v)"], "Quat q, Vec3 v")(q, v)

    _assert_near(there, rotation.inv().apply(v), 2 * TOLERANCE[real])
    _assert_near(back, rotation.apply(v), 2 * TOLERANCE[real])


def test_composition_follows_the_letters(function, random, real):
    """v_C = rotate(compose(q_CB, q_BS), v_S) = rotate(q_CB, rotate(q_BS, v_S))."""
    (q_CB, _), (q_BS, _), v_S = _attitudes(random), _attitudes(random), _vectors(random)
    arguments = "Quat q_CB, Quat q_BS, Vec3 v_S"
    at_once = function("rotate(compose(q_CB, q_BS), v_S)", arguments)(q_CB, q_BS, v_S)
    one_by_one = function("rotate(q_CB, rotate(q_BS, v_S))", arguments)(q_CB, q_BS, v_S)

    _assert_near(at_once, one_by_one, 4 * TOLERANCE[real])


def test_product_is_hamiltons(function, random, real):
    """i j = k, j k = i, k i = j, and scipy's product on random quaternions."""
    multiply = function("multiply(a, b)", "Quat a, Quat b")
    one, i, j, k = np.eye(4)
    (a, first), (b, second) = _attitudes(random), _attitudes(random)
    expected = (first * second).as_quat(scalar_first=True)
    expected *= np.sign(np.sum(expected * multiply(a, b), axis=1, keepdims=True))

    np.testing.assert_array_equal([multiply(i, j), multiply(j, k), multiply(k, i)], [k, i, j])
    np.testing.assert_array_equal([multiply(i, i), multiply(j, j), multiply(k, k)], [-one, -one, -one])
    np.testing.assert_allclose(multiply(a, b), expected, rtol=0, atol=TOLERANCE[real])


def test_conjugate_is_the_inverse(function, random, real):
    """q (x) q* = 1, and rotate_inverse undoes rotate."""
    (q, _), v = _attitudes(random), _vectors(random)
    one = function("multiply(q, conjugate(q))", "Quat q")(q)
    undone = function("rotate_inverse(q, rotate(q, v))", "Quat q, Vec3 v")(q, v)

    np.testing.assert_allclose(one, np.tile([1, 0, 0, 0], (COUNT, 1)), rtol=0, atol=TOLERANCE[real])
    _assert_near(undone, v, 4 * TOLERANCE[real])


def test_rotation_keeps_lengths_and_angles(function, random, real):
    """Norms and dot products are the same in S and B."""
    (q, _), a, b = _attitudes(random), _vectors(random), _vectors(random)
    rotate = function("rotate(q, v)", "Quat q, Vec3 v")
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    change = np.sum(rotate(q, a) * rotate(q, b), axis=1) - np.sum(a * b, axis=1)

    np.testing.assert_allclose(
        np.linalg.norm(rotate(q, a), axis=1), np.linalg.norm(a, axis=1), rtol=2 * TOLERANCE[real]
    )
    np.testing.assert_array_less(np.abs(change), 4 * TOLERANCE[real] * size)


# ---- length


def test_normalised_quaternions_have_unit_length(function, random, real):
    """Whatever the length before; nothing at all becomes the identity."""
    q, _ = _attitudes(random)
    normalise = function("normalise(q)", "Quat q")
    scaled = q * 10.0 ** random.uniform(-10, 10, (COUNT, 1))

    np.testing.assert_allclose(normalise(scaled), q, rtol=0, atol=TOLERANCE[real])
    np.testing.assert_array_equal(normalise([0, 0, 0, 0]), [1, 0, 0, 0])
    assert np.isnan(normalise([np.nan, 0, 0, 1])).any()


def test_one_newton_step_squares_the_error_of_the_length(function, random, real):
    """Relative error e becomes 1.5 e^2, for errors from 1e-3 down to rounding."""
    q, _ = _attitudes(random)
    error = random.uniform(-1, 1, COUNT) * 10.0 ** random.uniform(-8, -3, COUNT)
    length = np.linalg.norm(function("renormalise(q)", "Quat q")(q * (1 + error[:, None])), axis=1)

    np.testing.assert_array_less(np.abs(length - 1), 1.6 * error**2 + TOLERANCE[real])


def test_a_million_steps_keep_unit_length(probe, real):
    """Attitude turned by the same small step 10^6 times, renormalised each time: length 1, angle as counted."""
    turned = probe(
        "quat.h",
        "q",
        "Vec3 step",
        prepare="""Quat q = identity();
                   Quat const turn = from_small_rotation_vector(step);
                   for (int k = 0; k < 1000000; ++k) q = renormalise(compose(turn, q));""",
        real=real,
    )([2 * np.pi / 1000, 0, 0])

    # rounding of the step (1e-6 turns of relative error 6e-8) and a random walk of roundings
    np.testing.assert_allclose(np.linalg.norm(turned), 1, rtol=0, atol=TOLERANCE[real])
    np.testing.assert_allclose(np.abs(turned), [1, 0, 0, 0], atol={"float": 2e-2, "double": 1e-10}[real])


# ---- rotation vectors


def test_rotation_vector_is_scipys_for_every_size(function, random, real):
    """Angles from 1e-30 to 100 turns; the four numbers are those of Rotation.from_rotvec."""
    axis = _vectors(random)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.append(10.0 ** random.uniform(-30, 0, COUNT // 2), random.uniform(0, 3.14, COUNT // 2))[:, None]
    arguments = np.concatenate([axis * angle, axis * random.uniform(0, 628, (COUNT, 1))])
    if_float = arguments.astype(np.float32 if real == "float" else np.float64).astype(np.float64)
    size = np.linalg.norm(if_float, axis=1, keepdims=True)
    expected = np.concatenate([np.cos(size / 2), if_float * (0.5 * np.sinc(size / 2 / np.pi))], axis=1)
    got = function("from_rotation_vector(turn)", "Vec3 turn")(arguments)
    scipys = Rotation.from_rotvec(if_float[:COUNT]).as_quat(scalar_first=True)

    # at 628 rad the rounding of the angle itself dominates
    np.testing.assert_allclose(got[:COUNT], expected[:COUNT], rtol=0, atol=TOLERANCE[real])
    np.testing.assert_allclose(got[:COUNT], scipys, rtol=0, atol=TOLERANCE[real])
    np.testing.assert_allclose(got[COUNT:], expected[COUNT:], rtol=0, atol=100 * TOLERANCE[real])
    _assert_near(got[: COUNT // 2, 1:], expected[: COUNT // 2, 1:], 2 * TOLERANCE[real])


def test_small_rotation_vector_is_the_same_up_to_one_radian(function, random, real):
    """The cheap form for integration steps, in relative terms down to 1e-30 rad."""
    axis = _vectors(random)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    turn = axis * np.append(10.0 ** random.uniform(-30, 0, COUNT // 2), random.uniform(0, 1, COUNT // 2))[:, None]
    cheap, full = function(["from_small_rotation_vector(turn)", "from_rotation_vector(turn)"], "Vec3 turn")(turn)

    np.testing.assert_allclose(cheap[:, 0], full[:, 0], rtol=TOLERANCE[real])
    _assert_near(cheap[:, 1:], full[:, 1:], 2 * TOLERANCE[real])


def test_rotation_vector_of_undoes_the_exponential_map(function, random, real):
    """Up to half a turn; q and -q give the same turn; no turn gives zero."""
    axis = _vectors(random)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    turn = axis * np.append(10.0 ** random.uniform(-30, 0, COUNT // 2), random.uniform(0, 3.14, COUNT // 2))[:, None]
    both = [
        "rotation_vector_of(from_rotation_vector(turn))",
        "rotation_vector_of(real(-1) * from_rotation_vector(turn))",
    ]
    there_and_back, other_sign = function(both, "Vec3 turn")(turn)

    _assert_near(there_and_back, turn, 4 * TOLERANCE[real])
    np.testing.assert_array_equal(other_sign, there_and_back)
    np.testing.assert_array_equal(function("rotation_vector_of(identity())", "")(), [0, 0, 0])


def test_rate_of_change_is_the_derivative(function, random):
    """d q / dt against a central difference of compose(from_rotation_vector(omega dt), q)."""
    (q, _), omega = _attitudes(random), random.normal(size=(COUNT, 3))
    step = 1e-2
    later, earlier = (
        function("compose(from_rotation_vector(turn), q)", "Vec3 turn, Quat q")(sign * step * omega, q)
        for sign in (1, -1)
    )
    rate = function("rate_of_change(q, omega)", "Quat q, Vec3 omega")(q, omega)

    # step^2 |omega|^3 / 48 of the difference quotient, |omega| < 5, and its rounding
    np.testing.assert_allclose(rate, (later - earlier) / (2 * step), rtol=0, atol=4e-4)


# ---- axes


def test_attitude_from_axes(function, random, real):
    """The axes of B, turned back to B, are x, y and z; half turns about each axis take each of the four roots."""
    half_turns = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1], [1, -1, 1, -1]])
    q = np.concatenate([_attitudes(random)[0], half_turns / np.linalg.norm(half_turns, axis=1, keepdims=True)])
    axes_S = [Rotation.from_quat(q, scalar_first=True).apply(axis) for axis in np.eye(3)]
    found = function("from_axes(x_S, y_S, z_S)", "Vec3 x_S, Vec3 y_S, Vec3 z_S")(*axes_S)
    found *= np.sign(np.sum(found * q, axis=1, keepdims=True))

    np.testing.assert_allclose(found, q, rtol=0, atol=2 * TOLERANCE[real])
