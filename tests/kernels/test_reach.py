"""A sensor that cannot see the ground is left out of a tick: never one that could have given a valid sample."""

import numpy as np
import pytest

RADIUS = 1737400.0  # [m] of the Moon at the site

ALTIMETER = f"""
static Relief const no_model{{}};  // the ground is a formula
MCR_FN Altimeter device(real health, Vec3 beam_B) {{
    Altimeter a{{}};
    a.range_max = 5000;
    a.health = health;
    a.albedo = real(0.12);
    a.albedo_reference = real(0.1);
    a.incidence_max = real(1.5);
    a.beam_B = beam_B;
    return a;
}}
MCR_FN Terrain ground(real step, real rim) {{
    Terrain t{{}};
    t.step_height = step;
    t.step_range = 30000;
    t.step_width = 8000;
    t.rim_height = rim;
    t.rim_width = 6000;
    return t;
}}
MCR_FN Gravity moon() {{
    Gravity g{{}};
    g.radius = real({RADIUS});
    return g;
}}
"""
VELOCIMETER = "static Relief const no_model{};\n"
VELOCIMETER += "MCR_FN Velocimeter device() { return Velocimeter{1, 2000, 200, real(0.39), 0, 0, 0, 2}; }"
CAMERA = "MCR_FN Camera device() { return Camera{1, 15000, 100, real(0.01), 5, 30, 0, 1000, 10}; }"


@pytest.mark.parametrize(("step", "rim"), [(0, 0), (3000, 0), (-3000, 500), (1000, 1500)])
def test_altimeter_out_of_reach_has_no_valid_sample(probe, step, rim):
    """Over a scarp, a rim and a plain, any attitude and state of health, 200 m from where the clearance was taken."""
    random = np.random.default_rng(20261122)
    count = 20_000
    place = np.stack([random.uniform(-120e3, 60e3, count), np.zeros(count), random.uniform(0, 25e3, count)], axis=1)
    place[:, 2] -= place[:, 0] ** 2 / (2 * RADIUS)
    moved = place + random.uniform(-115, 115, (count, 3))
    angle = random.uniform(-1.4, 1.4, count)
    beam = np.stack([np.sin(angle), np.zeros(count), -np.cos(angle)], axis=1)
    valid, reached = probe(
        "altimeter.h", ["range.valid", "in_reach(altimeter, no_model, terrain, clearance)"],
        "Vec3 place, Vec3 moved, Vec3 beam, real health, real step, real rim, int run", preamble=ALTIMETER,
        prepare="""
        Altimeter const altimeter = device(health, beam);
        Terrain const terrain = ground(step, rim);
        real const clearance = ground_clearance(terrain, moon(), place, true) - 1;
        Range const range = measure_range(altimeter, Surface{no_model, nullptr},
                                          terrain, moon(), working(), -1, moved, identity(),
                                          make_draws(3, static_cast<uint64>(run)), 0, Shape::formula);
        """,
    )(place, moved, beam, random.uniform(0.01, 3, count), step, rim, np.arange(count))  # fmt: skip

    assert 0.02 < valid.mean() < 0.5
    assert reached.mean() < 0.9
    assert not np.any((valid == 1) & (reached == 0))


def test_velocimeter_out_of_reach_has_no_valid_beam(probe):
    """The height limit itself decides, to the last bit; NaN counts as within reach."""
    limit = np.float32(2000)
    clearance = np.array([0, np.nextafter(limit, np.float32(0)), limit, 3000, np.nan])
    valid, reached = probe(
        "velocimeter.h", ["speeds.valid[0]", "in_reach(device(), clearance)"], "real clearance", preamble=VELOCIMETER,
        prepare="""
        BeamSpeeds const speeds = measure_speeds(device(), Surface{no_model, nullptr},
                                                 Terrain{}, Gravity{}, working(), clearance,
                                                 Vec3{0, 0, clearance}, Vec3{0, 0, -10}, identity(),
                                                 make_draws(1, 2), 3, Shape::sphere);
        """,
    )(clearance)  # fmt: skip

    np.testing.assert_array_equal(valid, [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(reached, [1, 1, 0, 0, 1])


def test_camera_out_of_reach_has_no_valid_fix(probe):
    """The same at both ends of its window of heights."""
    low, high = np.float32(100), np.float32(15000)
    clearance = np.array([50, low, np.nextafter(low, high), np.nextafter(high, low), high, 2e4, np.nan])
    valid, reached = probe(
        "camera.h", ["fix.valid", "in_reach(device(), clearance)"], "real clearance", preamble=CAMERA,
        prepare="Fix const fix = measure_fix(device(), working(), clearance, 0, 0, make_draws(1, 2), 3);",
    )(clearance)  # fmt: skip

    np.testing.assert_array_equal(valid, [0, 0, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(reached, [0, 0, 1, 1, 0, 0, 1])
