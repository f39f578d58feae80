"""The ground under a lander: rocks, craters and slopes of cells against their laws, and landings on them.

Statistics have fixed draws; a Kolmogorov-Smirnov bound at 1e-6 is sqrt(ln(2e6) / 2 / n), 0.019 for 20 000 numbers."""

import mpmath
import numpy as np
import pytest
from scipy.special import exp1

import mcrisk

COUNT = 20_000
MOON = "Gravity{real(4902.80007e9), real(1738e3), 0, 0, 0, 0, 60000, real(1737.4e3), {0, 1, 0}, {0, 0, 1}}"
BODY_RADIUS, FOOT_RADIUS, SPAN = 0.4, 0.2, 1.6  # [m] of the body, of a foot, of the ring of feet
AREA = np.pi * np.array([SPAN**2, BODY_RADIUS**2, FOOT_RADIUS**2])  # [m^2] footprint, body, foot
ROCKS = 0.1  # [] part of the ground covered

# A site with rocks, craters and slopes as stated, and a gear of four legs.
SITE = f"""
MCR_FN Terrain site(real slope, real azimuth, real cell_slope, real rocks, real craters) {{
    Terrain t{{}};
    t.step_width = 8000;
    t.rim_width = 6000;
    t.slope = slope;
    t.slope_azimuth = azimuth;
    t.cell = 10;
    t.cell_slope = cell_slope;
    t.rock_area = rocks;
    t.rock_height = real(0.5);
    t.rock_largest = 50;
    t.crater_density = craters;
    t.crater_smallest = 2;
    t.crater_largest = 20;
    t.crater_depth = real(0.1);
    t.crater_depth_spread = real(0.05);
    return t;
}}
MCR_FN Touchdown gear() {{
    Touchdown g{{}};
    g.legs = 4;
    g.foot_radius = real({SPAN});
    g.clearance_radius = real({BODY_RADIUS});
    g.pad_radius = real({FOOT_RADIUS});
    return g;
}}
MCR_FN Pad pad_in(Terrain const& terrain, unsigned run, Vec3 const& position_S) {{
    Relief const relief{{}};
    return pad_at(Surface{{relief, nullptr}}, terrain, {MOON}, gear(), make_draws(11, run), position_S);
}}
"""
ARGUMENTS = "real slope, real azimuth, real cell_slope, real rocks, real craters, unsigned run, Vec3 position_S"
PREPARE = """
Terrain const terrain = site(slope, azimuth, cell_slope, rocks, craters);
Pad const pad = pad_in(terrain, run, position_S);
Crater const& crater = pad.crater;
"""


def rocks_above(diameter, area=ROCKS):
    """Rocks per square metre of a diameter or more, by Golombek & Rapp."""
    q = 1.79 + 0.152 / area
    return 4 * area * q / np.pi * (np.exp(-q * diameter) / diameter - q * exp1(q * diameter))


def departure(sample, law):
    """Greatest difference of the distribution of a sample to its law: the statistic of Kolmogorov and Smirnov."""
    order = np.arange(len(sample) + 1) / len(sample)
    expected = law(np.sort(sample))
    return max(np.max(order[1:] - expected), np.max(expected - order[:-1]))


BOUND = np.sqrt(np.log(2e6) / 2 / COUNT)


@pytest.fixture
def pads(probe):
    """pads(expressions, ...): numbers of pads: by default on level ground without anything, in run 0 at the site."""

    def run(expressions, real="float", **values):
        usual = {"slope": 0, "azimuth": 0, "cell_slope": 0, "rocks": 0, "craters": 0, "run": 0, "position_S": (3, 4, 0)}
        assert values.keys() <= usual.keys()
        function = probe("pad.h", expressions, ARGUMENTS, preamble=SITE, prepare=PREPARE, real=real)
        return function(*(usual | values).values())

    return run


# ---- known answers


def test_the_number_of_rocks_of_a_metre_is_that_of_the_law():
    """The law in this file against the integral it is made of, k = 5 %: -F'(x) / (pi x^2 / 4), from 0.6 m on."""
    k = 0.05
    q = 1.79 + 0.152 / k
    expected = mpmath.quad(lambda x: k * q * mpmath.exp(-q * x) / (mpmath.pi * x**2 / 4), [0.6, 2, mpmath.inf])

    assert rocks_above(0.6, k) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("real", ["float", "double"])
def test_the_size_of_a_rock_is_the_inverse_of_their_number(probe, real):
    """By mpmath, for 0.1 % to all of the ground: within 5e-5 of the diameter where q D is 5e-4 to 55; below 1e-3."""
    size = probe("rocks.h", "rock_size(t, density)", "real area, real density", real=real,
                 prepare="Terrain t{}; t.rock_area = area;")  # fmt: skip
    for area in (0.001, 0.03, 0.2, 1.0):
        q = 1.79 + 0.152 / area
        t = np.geomspace(2e-5, 55, 400)
        scale = 4 * area * q**2 / np.pi
        density = np.array([float(scale * (mpmath.exp(-one) / one - mpmath.e1(one))) for one in map(mpmath.mpf, t)])
        known = density > 1e-37  # what a float holds
        found = size(area, density[known])
        error = np.abs(found * q / t[known] - 1)

        assert np.max(error[t[known] >= 5e-4]) < 5e-5
        assert np.max(error) < 1e-3


# ---- closed forms


def crater_height(radius, depth, x, y):
    """h + d (r^2 - 1) inside and h / r^3 outside, h = 0.18 d."""
    r = np.hypot(x, y) / radius
    return np.where(r < 1, 0.18 * depth + depth * (r**2 - 1), 0.18 * depth / np.maximum(r, 1) ** 3)


def test_the_ground_of_a_crater_is_its_profile_less_the_plane_of_the_pad(pads):
    """Less height at the lander and the rise between opposite feet; with all four inside that is the tangent plane, and
    what is left the paraboloid d (x^2 + y^2) / R^2, whatever the place."""
    names = ["crater.radius", "crater.depth", "crater.x", "crater.y", "tangent(pad.slope)"]
    places = [(0.3, -1.0), (2.0, 1.5), (-30.0, 4.0)]
    excess = [f"crater_excess(crater, real({x}), real({y}))" for x, y in places]
    radius, depth, cx, cy, slope, *found = pads([*names, *excess], real="double", craters=1, run=np.arange(500))

    def height(x, y):
        return crater_height(radius, depth, x, y)

    rise_x = (height(cx + SPAN, cy) - height(cx - SPAN, cy)) / (2 * SPAN)
    rise_y = (height(cx, cy + SPAN) - height(cx, cy - SPAN)) / (2 * SPAN)
    feet = np.hypot(np.abs(cx) + SPAN, np.abs(cy)) < radius
    feet &= np.hypot(np.abs(cx), np.abs(cy) + SPAN) < radius

    assert np.mean(depth > 0) > 0.95
    assert 0.1 < feet.mean() < 0.9
    np.testing.assert_allclose(slope, np.hypot(rise_x, rise_y), atol=1e-9)
    np.testing.assert_allclose(slope[feet], (2 * depth * np.hypot(cx, cy) / radius**2)[feet], atol=1e-9)
    for (x, y), one in zip(places, found, strict=True):
        plane = height(cx, cy) + rise_x * x + rise_y * y
        np.testing.assert_allclose(one, height(cx + x, cy + y) - plane, atol=1e-9)
        inside = feet & (np.hypot(cx + x, cy + y) < radius)
        np.testing.assert_allclose(one[inside], (depth * (x * x + y * y) / radius**2)[inside], atol=1e-9)
    assert height(radius, 0)[0] == pytest.approx(0.18 * depth[0])


def test_a_crater_smaller_than_the_stance_hardly_tilts_the_lander(pads):
    """Of 2 m between feet 3.2 m apart: never half of the slope of its wall, 4 d / D."""
    radius, depth, slope = pads(["crater.radius", "crater.depth", "tangent(pad.slope)"], craters=1, run=np.arange(5000))
    small = (radius < 1.1) & (depth > 0)

    assert small.sum() > 100
    assert np.max(slope[small] / (2 * depth / radius)[small]) < 0.5


def test_slopes_add_as_the_falls_of_the_ground_per_metre(pads):
    """Run, cell and crater: the fall of the pad is the sum of theirs, each flown alone in the same world."""
    names = [
        "tangent(pad.slope) * sine_cosine(pad.azimuth).cosine",
        "tangent(pad.slope) * sine_cosine(pad.azimuth).sine",
    ]
    runs = np.arange(300)
    parts = [{"slope": 0.1, "azimuth": 2.0}, {"cell_slope": 0.05}, {"craters": 0.5}]
    alone = sum(np.stack(pads(names, real="double", run=runs, **part)) for part in parts)
    together = np.stack(pads(names, real="double", run=runs, **{k: v for part in parts for k, v in part.items()}))

    np.testing.assert_allclose(together, alone, atol=1e-9)


# ---- invariants


def test_a_cell_has_one_ground_wherever_one_asks_in_it(pads, random):
    """Ten metres each way from the site: the same slope, crater and rock inside a cell, others beyond its edge, and
    others in another run; its centre, by its indices, has them too."""
    names = ["pad.slope", "pad.azimuth", "pad.rock", "crater.radius", "crater.x", "pad.cell"]
    site = {"cell_slope": 0.1, "rocks": 0.1, "craters": 0.1}
    inside = np.column_stack([random.uniform(0.1, 9.9, (50, 2)), np.zeros(50)])
    beyond = inside[:4] * [[1, -1, 1], [-1, 1, 1], [-1, -1, 1], [1, 1, 1]] + [
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        [10, 0, 0],
    ]
    own, others = np.array(pads(names, **site, position_S=inside)), np.array(pads(names, **site, position_S=beyond))
    elsewhen = np.array(pads(names, **site, run=1, position_S=inside[0]))
    of_cell = ["mine.slope", "mine.azimuth", "mine.rock", "mine.crater.radius", "mine.crater.x", "mine.cell"]
    lookup = "Relief const r{}; Pad const mine = pad_of_cell(Surface{r, nullptr}, terrain, gear(), make_draws(11, 0), "
    by_index = np.array(
        [pads([f"[&] {{ {lookup} 0, 0, Shape::sphere); return {one}; }}()" for one in of_cell], **site)]
    )[0]

    np.testing.assert_array_equal(own, np.broadcast_to(own[:, :1], own.shape))
    np.testing.assert_array_equal(by_index, own[:, 0])
    everything = np.column_stack([own[:, :1], others])
    assert all(len(np.unique(row)) == 5 for row in everything)
    assert np.all(elsewhen[:5] != own[:5, 0]) and elsewhen[5] == own[5, 0]


def test_no_part_of_the_footprint_has_a_larger_rock_than_all_of_it(pads):
    """In every run; and in as many as its share of the area says, the body has the largest."""
    under = ["pad.rock", "rock_rise(terrain, body_density(pad, gear(), make_draws(11, run)))",
             "highest_rock(pad, terrain, gear(), make_draws(11, run))"]  # fmt: skip
    all_of_it, body, parts = pads(under, rocks=ROCKS, run=np.arange(COUNT))
    share = AREA[1] / AREA[0]

    assert np.all(body <= parts) and np.all(parts <= all_of_it)
    assert abs(np.mean(body == all_of_it) - share) < 5 * np.sqrt(share / COUNT)  # false alarm 6e-7


# ---- statistics


def test_the_largest_rock_of_an_area_is_distributed_as_its_poisson_law(pads):
    """exp(-N(D) A) for footprint, body, the first and the last foot, and the highest of feet and body together, which
    holds only if these are independent. False alarm 5e-6."""
    draws = "make_draws(11, run)"
    feet = [f"foot_density(pad, gear(), {draws}, {k})" for k in (0, 3)]
    densities = ["pad.rock_density", f"body_density(pad, gear(), {draws})", *feet]
    rises = [f"rock_rise(terrain, {one})" for one in densities]
    rises.append("highest_rock(pad, terrain, gear(), make_draws(11, run))")
    areas = [*AREA, AREA[2], AREA[1] + 4 * AREA[2]]
    found = pads(rises, rocks=ROCKS, run=np.arange(COUNT))
    for height, area in zip(found, areas, strict=True):
        assert departure(2 * height, lambda size, area=area: np.exp(-rocks_above(size) * area)) < BOUND


def test_a_place_is_in_a_crater_as_often_as_their_areas_say(pads):
    """c = 0.08 (Trask 1966) from 2 to 20 m: 1 - exp(-pi c / 2 ln 10) = 25 % (false alarm 6e-7). Of those, ln D is
    uniform, depth over diameter too, and the place anywhere in the disk (false alarm 3e-6)."""
    runs = 4 * COUNT
    radius, depth, x, y = pads(
        ["crater.radius", "crater.depth", "crater.x", "crater.y"], craters=0.08, run=np.arange(runs)
    )
    hit = depth > 0
    chance = 1 - np.exp(-np.pi * 0.08 / 2 * np.log(10))
    radius, depth, x, y = (one[hit] for one in (radius, depth, x, y))
    bound = BOUND * np.sqrt(COUNT / len(radius))

    assert chance == pytest.approx(0.251, abs=1e-3)
    assert abs(np.mean(hit) - chance) < 5 * np.sqrt(chance * (1 - chance) / runs)
    assert departure(np.log10(radius), lambda one: one) < bound
    assert departure(depth / (2 * radius), lambda one: (one - 0.05) / 0.1) < bound
    assert departure(np.hypot(x, y) / radius, lambda one: one**2) < bound


def test_a_place_lies_anywhere_in_its_crater_whose_depth_is_uniform(pads):
    """(r / R)^2 and d / D, 0.05 to 0.15, uniform; the latter beside the crater's size as single precision has it."""
    names = ["crater.radius", "crater.depth", "crater.x", "crater.y"]
    radius, depth, x, y = (one.astype(float) for one in pads(names, craters=1, run=np.arange(COUNT)))
    there = depth > 0
    bound = BOUND * np.sqrt(COUNT / there.sum())

    assert departure(((x * x + y * y) / radius**2)[there], lambda one: np.clip(one, 0, 1)) < bound
    assert departure((depth / (2 * radius))[there], lambda one: np.clip((one - 0.05) / 0.1, 0, 1)) < bound


def test_slopes_of_cells_are_rayleigh_and_have_no_direction(pads):
    """5 deg on each axis: tan(slope) / tan(5 deg) has 1 - exp(-r^2 / 2), azimuth is uniform; over runs, and over the
    cells of one run. False alarm 4e-6."""
    sigma = np.radians(5)
    line = np.column_stack([10 * np.arange(COUNT) % 60_000, 1e4 * (10 * np.arange(COUNT) // 60_000), np.zeros(COUNT)])
    for where in ({"run": np.arange(COUNT)}, {"position_S": line + 5}):
        slope, azimuth = pads(["pad.slope", "pad.azimuth"], cell_slope=sigma, **where)

        assert departure(np.tan(slope) / np.tan(sigma), lambda one: 1 - np.exp(-(one**2) / 2)) < BOUND
        assert departure(azimuth, lambda one: one / (2 * np.pi) + 0.5) < BOUND


# ---- what they do to a lander

# A lander of 460 kg on three legs without error, engines off, that comes down at 0.1 m/s along the normal of its pad.
LAND = f"""
MCR_FN Params params_of(real rocks, real craters) {{
    Params params{{}};
    params.limits = {{10, 10, 1, 1, 1, 1, real(1e6), 10}};
    World& world = params.world;
    world.gravity = {MOON};
    world.vehicle = {{450, {{0, 0, 1}}, {{0, 0, 1}}, {{290, 290, 290}}, {{290, 290, 290}}}};
    world.propulsion.main = {{1, 310, real(0.1), 1, 1, real(1e-4), 0, real(1e-4), 0, 0, 0, 0}};
    world.propulsion.cluster = {{4, 10, 280, real(0.8), real(0.02), 0, real(1e-4), 0, 0}};
    world.propulsion.propellant = 100;
    Touchdown& gear_ = world.touchdown;
    gear_ = gear();
    gear_.model = TouchdownModel::legs;
    gear_.legs = 3;
    gear_.cg_height = real(0.9);
    gear_.gyration_radius = real(0.8);
    gear_.crush_force = real(1e6);
    gear_.crush_step = 1;
    gear_.crush_rise = 1;
    gear_.stroke_max = 1;
    gear_.leg_stiffness = real(2e5);
    gear_.leg_damping = 1;
    gear_.friction = 1;
    gear_.clearance = real(0.8);
    for (real& reach : params.legs.reach) reach = 1;
    world.terrain = site(0, 0, 0, rocks, craters);
    return params;
}}
"""
LANDING = """
Params const params = params_of(rocks, craters);
Run const one{params.world, {}, {}};
Draws const draws = make_draws(5, run);
Surface const surface{params.relief, nullptr};
State state{};
state.ended = 1;
state.guidance.phase = Phase::terminal;
state.events.first = -1;
state.failing = working();
state.truth.position_S = Vec3{3, 4, real(0.9)};
World const& world = params.world;
Pad const pad = pad_at(surface, world.terrain, world.gravity, world.touchdown, draws, state.truth.position_S);
Slope const slope = slope_of(pad, Vec3{0, 0, 1}, Vec3{1, 0, 0});
state.truth.velocity_S = real(-0.1) * slope.normal_S;
state.truth.q_BS = from_axes(slope.downhill_S, slope.level_S, slope.normal_S);
state.estimate.position_S = state.truth.position_S;
Touch touch;
touch_down(params, surface, one, state, draws, touch);
Record const record = report(params, surface, one, state, touch.body, draws);
"""


@pytest.fixture
def land(probe):
    """land(expressions, rocks, craters, run): how a lander comes to rest on its pad."""
    arguments = "real rocks, real craters, unsigned run"
    return lambda expressions, *values: probe(
        "descent.h", expressions, arguments, preamble=SITE + LAND, prepare=LANDING, real="double"
    )(*values)


def test_rocks_under_the_feet_tilt_a_lander_by_the_plane_through_them(land):
    """Three legs at a distance R: the tilt at rest is that of the plane through their feet; with one h above two
    that are level, atan(h / 1.5 R). Within 3 % and 4 %: struts give by millimetres, feet slide, level to h / 4."""
    expressions = [f"touch.foot[{k}].ground" for k in range(3)]
    expressions += [
        "record.rest_tilt",
        "touch.body.settled == Settled::rests",
        "record.rock_height",
        "record.body_room",
    ]
    *ground, tilt, rests, highest, room = land(expressions, 0.3, 0, np.arange(300))
    ground = np.array(ground)
    angle = 2 * np.pi / 3 * np.arange(3)
    gradient = 2 / 3 / SPAN * np.array([np.cos(angle), np.sin(angle)]) @ ground
    expected = np.arctan(np.hypot(*gradient))
    steep = (rests == 1) & (ground.max(axis=0) < 0.5) & (expected > np.radians(2))
    third, second, first = np.sort(ground, axis=0)
    rise = first - (second + third) / 2
    alone = steep & (second - third < rise / 4)

    assert np.count_nonzero(steep) > 100 and np.count_nonzero(alone) > 5
    np.testing.assert_allclose(tilt[steep], expected[steep], rtol=0.03)
    np.testing.assert_allclose(tilt[alone], np.arctan(rise / (1.5 * SPAN))[alone], rtol=0.04)
    assert np.all(ground.max(axis=0) <= highest + 1e-9)
    assert np.all(np.isfinite(room))


def test_a_lander_in_a_crater_leans_as_its_wall(land):
    """Where all its feet are inside, the ground under them is d R^2 / R_c^2 higher than in the middle: it rests on the
    slope of the pad, which the record tells."""
    names = ["record.rest_tilt", "record.slope", *(f"pad.crater.{name}" for name in ("radius", "depth", "x", "y"))]
    names += ["touch.foot[0].ground", "touch.foot[2].ground", "record.body_room"]
    tilt, slope, radius, depth, x, y, first, last, room = land(names, 0, 1, np.arange(300))
    inside = (depth > 0) & (np.hypot(x, y) + SPAN < radius)
    dip = depth * SPAN**2 / radius**2

    assert np.count_nonzero(inside) > 50
    np.testing.assert_allclose(tilt[inside], slope[inside], rtol=0.02, atol=2e-3)
    # places are level and heights are normal: cosines of the slope, for the foot downhill and one 60 deg off the rise
    cosine = np.cos(slope)
    np.testing.assert_allclose(first[inside], (cosine**3 * dip)[inside], rtol=1e-5)
    np.testing.assert_allclose(last[inside], (cosine * (cosine**2 / 4 + 3 / 4) * dip)[inside], rtol=1e-5)
    assert np.all(room[inside] > 0.7)


def small(**values):
    """The records of 4000 runs of the generic lander with some numbers stated."""
    mission = mcrisk.load("generic_small").replace(values)
    return mcrisk.records(mission, runs=4000, seed=4)


@pytest.mark.parametrize("model", ["legs", "closed_form"])
def test_a_body_is_struck_as_often_as_there_are_rocks_higher_than_its_room(model):
    """The same runs with and without rocks, on feet too small for any: each body has less room by its rock, and as many
    are struck as 1 - exp(-N(room / 0.5) A) says of each, within 5 standard deviations (false alarm 6e-7)."""
    gear = {"touchdown.model": model, "touchdown.pad_radius": "1 mm", "touchdown.clearance_radius": "0.6 m"}
    bare = small(**gear)
    rocky = small(**gear, **{"terrain.rock_area": ROCKS})
    landed = bare["outcome"].values == "success"
    room = bare["body_room"].values[landed]
    chance = 1 - np.exp(-rocks_above(room / 0.5) * np.pi * 0.6**2)
    struck = rocky["body_room"].values[landed] < 0

    assert landed.sum() > 3500 and 0.02 < chance.mean() < 0.5
    assert abs(struck.sum() - chance.sum()) < 5 * np.sqrt(np.sum(chance * (1 - chance)))
    np.testing.assert_allclose(room - rocky["body_room"].values[landed], rocky["rock_height"].values[landed], atol=5e-3)
    assert set(rocky["outcome"].values[landed][struck]) == {"hazard_strike"}
    assert np.mean(rocky["cause"].values[landed][struck] == "terrain_site") > 0.9  # else what was flagged in flight


# ---- limits


def test_a_site_without_rocks_craters_and_cells_is_what_it_was():
    """Sizes of what is not there change no bit; no rock is under anyone."""
    names = {
        "terrain.cell": "3 m",
        "terrain.rock_height": 0.7,
        "terrain.rock_largest": "1 m",
        "terrain.crater_smallest": "1 m",
    }
    names |= {"terrain.crater_largest": "50 m", "terrain.crater_depth": 0.2, "touchdown.pad_radius": "0.4 m"}
    usual, other = small(), small(**names)

    for name in usual.data_vars:
        np.testing.assert_array_equal(usual[name].values, other[name].values)
    assert set(usual["rock_height"].values[usual["outcome"].values == "success"]) == {0}


def test_a_stated_slope_stays_to_the_bit(pads):
    """Where no cell, crater or elevation model adds to it."""
    slope, azimuth = pads(["pad.slope", "pad.azimuth"], slope=np.float32(0.1234), azimuth=np.float32(2.5), rocks=0.2)

    assert (slope, azimuth) == (np.float32(0.1234), np.float32(2.5))


def test_cells_beyond_the_last_are_the_last(probe):
    """Indices end at 32767 each way, NaN at the lower end; no two cells on the way share a number."""
    index = probe("pad.h", "cell_index(site(0, 0, 0, 0, 0), x)", preamble=SITE)

    np.testing.assert_array_equal(index([-1e9, -1, 0, 9.5, 10, 1e9, np.nan]), [-32767, -1, 0, 0, 1, 32767, -32767])


def test_no_rock_is_higher_than_the_largest_allows(probe):
    """All of the ground covered, legs a kilometre apart: the largest has 2 m, half as high, and is a hazard of any
    limit below; so is a slope above its own."""
    prepare = f"""
    Relief const relief{{}};
    Terrain t = site(slope, 0, 0, 1, 0);
    t.rock_largest = 2;
    Touchdown g = gear();
    g.foot_radius = 1000;
    Pad const pad = pad_at(Surface{{relief, nullptr}}, t, {MOON}, g, make_draws(11, run), Vec3{{0, 0, 0}});
    """
    limits = [(0.2, 0.9), (0.2, 1.1), (0.1, 1.1)]
    expressions = ["pad.rock", *(f"is_hazard(pad, real({slope}), real({rock}))" for slope, rock in limits)]
    rock, *hazards = probe("pad.h", expressions, "real slope, unsigned run", preamble=SITE, prepare=prepare)(
        0.15, np.arange(20)
    )

    assert np.all(rock == 1)
    np.testing.assert_array_equal([set(one) for one in hazards], [{1}, {0}, {1}])
