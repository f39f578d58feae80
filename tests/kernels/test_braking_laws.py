"""Braking laws: each flies the trajectories that it is the solution of.

Klumpp 1974 (quadratic), Cherry 1964 (linear, E-guidance), Lu 2020, JGCD 43(2) (the family of both), D'Souza 1997,
AIAA 97-3709 (least thrust acceleration and time)."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar


@pytest.fixture
def random():
    return np.random.default_rng(20261122)


def test_the_linear_profile_meets_displacement_and_speed(probe, random):
    """a(t) = a + b t over T from any start: v + a T + b T^2/2 is the end speed, v T + a T^2/2 + b T^3/6 the way."""
    profile = probe(
        "guidance.h",
        ["linear_profile(way, speed, end, time)", "linear_profile_rate(way, speed, end, time)"],
        "real way, real speed, real end, real time",
        real="double",
    )
    way, speed, end = random.normal(size=(3, 500)) * [[1e4], [100], [100]]
    time = random.uniform(10, 600, 500)
    a, b = profile(way, speed, end, time)

    np.testing.assert_allclose(speed + a * time + b * time**2 / 2, end, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(speed * time + a * time**2 / 2 + b * time**3 / 6, way, rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(("gain", "name"), [(12, "quadratic"), (6, "linear")])
def test_the_apollo_family_asks_for_the_acceleration_of_its_own_trajectories(probe, random, gain, name):
    """Any trajectory whose total acceleration is a quadratic (k = 12, Klumpp 1974) or linear (k = 6, Cherry 1964)
    polynomial of the time to go: the law returns that acceleration less gravity, at every moment before the end."""
    law = probe(
        "guidance.h", "apollo_law(gain, reach_S, velocity_S, velocity_end_S, thrust_end_S, free_S, time)",
        "real gain, Vec3 reach_S, Vec3 velocity_S, Vec3 velocity_end_S, Vec3 thrust_end_S, Vec3 free_S, real time",
        real="double",
    )  # fmt: skip
    end, jerk, snap, gravity = random.normal(size=(4, 300, 3)) * np.array([3, 0.02, 1e-4, 1.6])[:, None, None]
    velocity_end = 30 * random.normal(size=(300, 3))
    snap = snap if gain == 12 else 0 * snap
    t = random.uniform(5, 500, (300, 1))  # time to go
    acceleration = end - jerk * t + snap * t**2 / 2
    velocity = velocity_end - end * t + jerk * t**2 / 2 - snap * t**3 / 6
    reach = velocity_end * t - end * t**2 / 2 + jerk * t**3 / 6 - snap * t**4 / 24
    thrust = law(gain, reach, velocity, velocity_end, end - gravity, gravity, t[:, 0])

    np.testing.assert_allclose(thrust + gravity, acceleration, rtol=1e-8, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("gain", [6, 9, 12])
def test_the_apollo_family_flies_to_its_target(probe, gain):
    """Closed loop under constant gravity, law evaluated every 50 ms for 100 s from 8 km away: position and speed of the
    target are met; what is left is the last step, half a cycle of a commanded acceleration that cannot change in it."""
    prepare = """
    Vec3 r = start_S, v = velocity_S;
    Vec3 const free_S{0, 0, real(-1.62)}, target_S{0, 0, 100}, velocity_end_S{5, 0, -10}, thrust_end_S{0, 0, real(1.9)};
    for (int k = 0; k < 2000; ++k) {
        real const time = 100 - real(0.05) * real_of(k);
        Vec3 const a = apollo_law(gain, target_S - r, v, velocity_end_S, thrust_end_S, free_S, time) + free_S;
        r = r + real(0.05) * v + real(0.00125) * a;
        v = v + real(0.05) * a;
    }
    """
    position, velocity = probe(
        "guidance.h", ["r - target_S", "v - velocity_end_S"], "real gain, Vec3 start_S, Vec3 velocity_S",
        prepare=prepare, real="double",
    )(gain, [-8000, 300, 4000], [180, -4, -60])  # fmt: skip

    assert np.max(np.abs(position)) < 0.1
    assert np.max(np.abs(velocity)) < 0.1


def test_dsouzas_time_to_go_minimises_his_cost(probe, random):
    """T of the quartic against a numerical minimum of Gamma T + integral |f|^2/2 (D'Souza 1997), f the thrust
    acceleration of the cubic to rest at the target: 50 random states of a landing."""
    law = probe(
        "guidance.h", "dsouza_time(gamma, r, v, norm_squared(free_S), guess)",
        "real gamma, Vec3 r, Vec3 v, Vec3 free_S, real guess", real="double",
    )  # fmt: skip
    gravity = np.array([0, 0, -1.62])
    for _ in range(50):
        r = random.normal(size=3) * [20e3, 1e3, 0] + [0, 0, random.uniform(1e3, 15e3)]
        v = random.normal(size=3) * [200, 10, 50]
        gamma = random.uniform(0.5, 8)

        def cost(time, r=r, v=v, gamma=gamma):
            first = -4 * v / time - 6 * r / time**2 - gravity  # f at the start, and its rate
            rate = 6 * v / time**2 + 12 * r / time**3
            effort = first @ first * time + first @ rate * time**2 + rate @ rate * time**3 / 3
            return gamma * time + effort / 2

        # the global minimum: on a grid, then refined
        grid = np.geomspace(5, 5000, 400)
        best = grid[np.argmin([cost(one) for one in grid])]
        found = minimize_scalar(cost, bounds=(best / 1.1, best * 1.1), method="bounded", options={"xatol": 1e-8})

        assert law(gamma, r, v, gravity, 1.2 * found.x) == pytest.approx(found.x, rel=1e-5)


def test_dsouzas_law_flies_its_optimum_exactly_and_time_to_go_falls_by_the_clock(probe, random):
    """Under constant gravity the law's own trajectory is the cubic to rest at the target: at every moment of it the
    quartic gives the start's time to go less the time passed, and the law the acceleration of the cubic."""
    asks = probe(
        "guidance.h", ["time", "dsouza_law(r, v, free_S, time)"],
        "real gamma, Vec3 r, Vec3 v, Vec3 free_S, real guess",
        prepare="real const time = dsouza_time(gamma, r, v, norm_squared(free_S), guess);", real="double",
    )  # fmt: skip
    gravity = np.array([0, 0, -1.62])
    r, v = np.array([-20e3, 400, 9e3]), np.array([250, -3, -40.0])
    start, first = asks(4.0, r, v, gravity, 200)
    rate = 6 * v / start**2 + 12 * r / start**3
    t = np.linspace(0, 0.95 * start, 40)[:, None]
    total = first + gravity + rate * t
    there = r + v * t + (first + gravity) * t**2 / 2 + rate * t**3 / 6
    going = v + (first + gravity) * t + rate * t**2 / 2
    time, thrust = asks(4.0, there, going, gravity, 1.05 * (start - t[:, 0]))

    np.testing.assert_allclose(time, start - t[:, 0], rtol=1e-9)
    np.testing.assert_allclose(thrust, total - gravity, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(r + v * start + (first + gravity) * start**2 / 2 + rate * start**3 / 6, 0, atol=1e-6)


def test_dsouzas_law_flown_in_closed_loop_tracks_its_optimum(probe):
    """Law and time to go evaluated anew every cycle under constant gravity, until 5 s before the end: time to go falls
    by the clock, and only the hold of a command for a cycle separates the flight from the cubic of the start. It halves
    with the cycle (first order), so that the limit of a short cycle is the cubic itself."""
    prepare = """
    Vec3 r = start_S, v = velocity_S;
    Vec3 const free_S{0, 0, real(-1.62)};
    real const first = dsouza_time(4, r, v, norm_squared(free_S), 200), h = (first - 5) / real_of(steps);
    real time = first;
    for (int k = 0; k < steps; ++k) {
        Vec3 const a = dsouza_law(r, v, free_S, time) + free_S;
        r = r + h * v + real(0.5) * h * h * a;
        v = v + h * a;
        time = dsouza_time(4, r, v, norm_squared(free_S), time - h);
    }
    """
    start, speed, steps = np.array([-20e3, 400, 9e3]), np.array([250, -3, -40.0]), np.array([1000, 2000, 4000])
    r, v, time, first = probe(
        "guidance.h", ["r", "v", "time", "first"], "Vec3 start_S, Vec3 velocity_S, int steps", prepare=prepare,
        real="double",
    )(start, speed, steps)  # fmt: skip
    whole, t = first[0], first[0] - 5
    jerk = 6 * speed / whole**2 + 12 * start / whole**3
    first_push = -4 * speed / whole - 6 * start / whole**2
    away = r - (start + speed * t + first_push * t**2 / 2 + jerk * t**3 / 6)
    gone = v - (speed + first_push * t + jerk * t**2 / 2)

    assert 100 < whole < 250
    for deviation in (away, gone, (time - 5)[:, None]):
        size = np.linalg.norm(deviation, axis=1)
        # extrapolated to a short cycle, only the second order is left: a thousandth
        limit = np.linalg.norm(2 * deviation[1:] - deviation[:-1], axis=1)
        assert np.all(limit < 0.01 * size[:-1])
    assert np.linalg.norm(gone[2]) < 0.05
