"""The elevation model: its heights between grid points, rays that meet it, what a footprint and a lander see of it."""

import numpy as np
import pytest

from mcrisk import ground
from mcrisk.relief import Patch, Relief, joined

RADIUS = 1737.4e3  # [m] IAU mean radius


def hills(x, y):
    """Hills of 150 m over 2 to 3 km, on a plain that falls downrange by 1 in 50."""
    return 150 * np.sin(x / 900 + 0.3) * np.cos(y / 700) - x / 50


def relief() -> Relief:
    """A strip of 18 x 6 km in cells of 200 m, and 2 x 2 km about the site in cells of 25 m."""
    x, y = np.arange(-12e3, 6e3 + 1, 200.0), np.arange(-3e3, 3e3 + 1, 200.0)
    near = np.arange(-1e3, 1e3 + 1, 25.0)
    strip = Patch(x[0], y[0], 200.0, 200.0, hills(x[:, None], y))
    return joined(strip, Patch(-1e3, -1e3, 25.0, 25.0, hills(near[:, None], near)))


def preamble(model: Relief, name: str = "surface_of_test") -> str:
    """The elevation model as C++."""
    packed = ground.pack(model)
    numbers = np.frombuffer(packed.heights, np.float32)
    values = [packed.values[f"relief.{grid}.{one}"] for grid in ("strip", "site") for one in ground.PATCH]
    strip, site = (", ".join(f"real({one!r})" if isinstance(one, float) else str(one) for one in part)
                   for part in (values[:7], values[7:]))  # fmt: skip
    ends = ", ".join(f"real({packed.values[f'relief.{one}']!r})" for one in ("lowest", "highest"))
    return f"""
    static float const heights_of_test[] = {{{", ".join(f"{one!r}f" for one in numbers.tolist())}}};
    static Relief const relief_of_test{{{{{strip}}}, {{{site}}}, {ends}, {len(numbers)}}};
    MCR_FN Surface {name}() {{ return Surface{{relief_of_test, heights_of_test}}; }}
    MCR_FN Gravity moon() {{
        return Gravity{{real(4.9e12), real(1738e3), 0, 0, 0, 0, 1, real({RADIUS}), {{0, 1, 0}}, {{0, 0, 1}}}};
    }}
    MCR_FN Terrain terrain_of(real error, real shift, real shift_cross) {{
        Terrain terrain{{}};
        terrain.step_width = terrain.rim_width = 1000;
        terrain.height_error = error;
        terrain.map_shift = shift;
        terrain.map_shift_cross = shift_cross;
        return terrain;
    }}
    """


def position(x, y, height):
    """Site-frame place [m] at grid coordinates and a height over the sphere."""
    x, y, height = np.broadcast_arrays(*(np.asarray(one, float) for one in (x, y, height)))
    sine = y / RADIUS
    level = np.sqrt(1 - sine**2)
    r = RADIUS + height
    up = height - r * (1 - level * np.cos(x / RADIUS))
    return np.stack([r * level * np.sin(x / RADIUS), r * sine, up], axis=-1)


def coordinates(place):
    """Grid coordinates and height over the sphere of a place."""
    centre = place + np.array([0, 0, RADIUS])
    r = np.linalg.norm(centre, axis=-1)
    return RADIUS * np.arctan2(centre[..., 0], centre[..., 2]), RADIUS * centre[..., 1] / r, r - RADIUS


def down(x, y, incidence, azimuth):
    """Unit vectors `incidence` off the local vertical downward."""
    at = position(x, y, 0) + np.array([0, 0, RADIUS])
    up = at / np.linalg.norm(at, axis=-1, keepdims=True)
    ahead = np.stack([up[..., 2], 0 * up[..., 0], -up[..., 0]], axis=-1)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    level = np.cos(azimuth)[..., None] * ahead + np.sin(azimuth)[..., None] * np.cross(up, ahead)
    return -np.cos(incidence)[..., None] * up + np.sin(incidence)[..., None] * level


@pytest.fixture
def model(probe):
    """model(x, y, ...): height and rises there; clearance and range from a place along a ray."""
    expressions = {
        "height": "spot.height",
        "rise_x": "spot.rise_x",
        "rise_y": "spot.rise_y",
        "x": "place.x",
        "y": "place.y",
        "clearance": "surface_clearance(surface, terrain, moon(), position_S, Shape::grid)",
        "distance": "surface_distance(surface, terrain, moon(), position_S, ray_S, reach, Shape::grid)",
        "excess": "spot_excess(surface, terrain, GridPoint{x, y}, radius)",
    }
    prepare = """
    Surface const surface = surface_of_test();
    Terrain const terrain = terrain_of(error, shift, shift_cross);
    Spot const spot = surface_spot(surface, terrain, GridPoint{x, y}, whole != 0);
    GridPoint const place = grid_point(moon(), position_S);
    """
    arguments = "real x, real y, Vec3 position_S, Vec3 ray_S, real reach, real radius, real error, real shift, "
    arguments += "real shift_cross, int whole"

    def build(of: Relief | None = None):
        text = preamble(of or relief())
        function = probe("relief.h", list(expressions.values()), arguments, preamble=text, prepare=prepare)

        def ask(x=0.0, y=0.0, place=(0, 0, 5000), ray=(0, 0, -1), reach=1e6, radius=0.0, shift=(0, 0), **changes):
            given = (changes.get("error", 0), *shift, changes.get("whole", 1))
            return dict(zip(expressions, function(x, y, place, ray, reach, radius, *given), strict=True))

        return ask

    return build


# ---- known answers


def test_heights_between_grid_points_are_those_of_the_python_side(model):
    """5000 places, half of them about the site, some beyond the edges: 1 cm, the digits of single precision."""
    random = np.random.default_rng(1)
    x = np.concatenate([random.uniform(-14e3, 8e3, 2500), random.uniform(-1300, 1300, 2500)])
    y = np.concatenate([random.uniform(-4e3, 4e3, 2500), random.uniform(-1300, 1300, 2500)])
    expected = relief().height_at(x, y)

    np.testing.assert_allclose(model()(x, y)["height"], expected, atol=0.01)
    np.testing.assert_allclose(model()(x, y, whole=0)["height"], relief().strip.height_at(x, y), atol=0.01)


def test_grid_coordinates_of_a_place_are_those_of_the_projection(model):
    """5 cm at 12 km, where single precision has 1 mm of angle times radius and 4 mm of a position."""
    x, y = np.meshgrid(np.linspace(-12e3, 6e3, 13), np.linspace(-3e3, 3e3, 7))
    found = model()(place=position(x.ravel(), y.ravel(), 4000))

    np.testing.assert_allclose(found["x"], x.ravel(), atol=0.05)
    np.testing.assert_allclose(found["y"], y.ravel(), atol=0.05)


def test_straight_down_the_range_is_the_clearance(model):
    """Over hills: both are the height over the ground below."""
    random = np.random.default_rng(2)
    x, y, height = random.uniform(-11e3, 5e3, 300), random.uniform(-2.5e3, 2.5e3, 300), random.uniform(400, 8e3, 300)
    found = model()(place=position(x, y, height), ray=down(x, y, np.zeros(300), np.zeros(300)))

    np.testing.assert_allclose(found["clearance"], height - relief().height_at(x, y), atol=0.05)
    np.testing.assert_allclose(found["distance"], found["clearance"], atol=0.1)


# ---- closed forms


def test_the_ground_shifts_against_the_map_as_stated(model):
    """Truth at (x, y) is the map at (x - 300, y + 200), 12 m higher."""
    random = np.random.default_rng(3)
    x, y = random.uniform(-11e3, 5e3, 500), random.uniform(-2.5e3, 2.5e3, 500)
    found = model()(x, y, shift=(300, -200), error=12)["height"]

    np.testing.assert_allclose(found, relief().height_at(x - 300, y + 200) + 12, atol=0.01)


def test_rises_are_the_differences_within_a_cell(model):
    """A metre ahead and aside, where neither leaves the cell: the bilinear surface is linear along its sides."""
    x, y = np.array([-5e3 + 90, 10.0, 3000 + 51]), np.array([100.0, 13.0, -1200 + 77])
    found = model()(x, y)
    here = relief().height_at(x, y)

    np.testing.assert_allclose(found["rise_x"], relief().height_at(x + 1, y) - here, atol=1e-5)
    np.testing.assert_allclose(found["rise_y"], relief().height_at(x, y + 1) - here, atol=1e-5)


def test_a_footprint_sees_the_mean_of_a_bowl(model):
    """The mean of (x^2 + y^2) / 2000 over a disk of radius a = 80 m lies a^2 / 4000 above its centre.

    In cells of 10 m a bilinear surface lies up to 12 mm above the bowl.
    """
    x = np.arange(-400.0, 401, 10)
    bowl = Relief(Patch(-400, -400, 10, 10, (x[:, None] ** 2 + x**2) / 2000))
    found = model(bowl)(np.array([0.0, 30, -50]), np.array([0.0, 20, 60]), radius=80.0)["excess"]

    np.testing.assert_allclose(found, 80**2 / 4000, atol=0.025)


def test_the_range_is_that_of_a_march_along_the_ray(model):
    """Rays up to 60 deg off the vertical, from 0.3 to 6 km over the hills: the first point below the ground (steps of
    2 m, then bisection), to 0.3 m, less than the noise of a range finder. Rays that graze a crest may miss what is
    narrower than a twelfth of their way between the highest and the lowest ground: at most 3 in 400.
    """
    random = np.random.default_rng(20261125)
    x, y = random.uniform(-9e3, 3e3, 400), random.uniform(-1.5e3, 1.5e3, 400)
    ground_here = relief().height_at(x, y)
    height = ground_here + 10.0 ** random.uniform(np.log10(300), np.log10(6e3), 400)
    place = position(x, y, height)
    ray = down(x, y, np.radians(60) * random.uniform(size=400), random.uniform(0, 2 * np.pi, 400))

    def gap(distance):
        a, b, c = coordinates(place + distance[:, None] * ray)
        return c - relief().height_at(a, b)

    high, low = np.zeros(400), np.full(400, np.nan)
    for mark in np.arange(2.0, 16e3, 2):
        distance = np.full(400, mark)
        open_ = np.isnan(low)
        if not open_.any():
            break
        below = gap(distance) <= 0
        low = np.where(open_ & below, distance, low)
        high = np.where(open_ & ~below, distance, high)
    for _ in range(30):
        middle = 0.5 * (high + low)
        above = gap(middle) > 0
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    found = model()(place=place, ray=ray)["distance"]

    assert np.count_nonzero(np.abs(found - high) > 0.3) <= 3


def test_the_ground_is_continuous_where_the_patch_begins(model):
    """A millimetre inside and outside the border of the patch."""
    along = np.linspace(-999, 999, 301)
    inside, outside = (model()(np.full(301, 1000.0 + d), along)["height"] for d in (-1e-3, 1e-3))

    np.testing.assert_allclose(inside, outside, atol=0.02)


# ---- limits


def test_a_ray_beyond_reach_or_over_the_horizon_strikes_nothing(model):
    """-1, which no altimeter takes for a range: looking up, level, and farther than the reach."""
    rays = np.array([[0, 0, 1.0], [1, 0, 0], [0, 0, -1]])
    found = model()(place=[0, 0, 5000], ray=rays, reach=np.array([1e6, 1e6, 3000]))["distance"]

    np.testing.assert_array_equal(found, -1)


def test_no_number_leads_out_of_the_grid(model):
    """NaN, infinities and places on the far side are heights of some grid point; the sanitizers see the rest."""
    x = np.array([np.nan, np.inf, -np.inf, 3e6, -1e30, 0])
    found = model()(x, x[::-1])["height"]
    low, high = relief().strip.heights.min(), relief().strip.heights.max()

    assert ((found >= low) & (found <= high)).all()


# ---- what a lander sees of it


def test_a_pad_adds_the_falls_of_model_and_run(probe):
    """On a plane that falls by 0.1: a slope of atan 0.1 uprange levels it, one to the left turns it by 45 deg."""
    x = np.arange(-500.0, 501, 50)
    plane = Relief(Patch(-500, -500, 50, 50, np.broadcast_to(-0.1 * x[:, None], (21, 21))))
    pad = probe(
        "pad.h", ["pad.slope", "pad.azimuth"], "real slope, real azimuth", preamble=preamble(plane),
        prepare="""
        Terrain terrain = terrain_of(0, 0, 0);
        terrain.slope = slope;
        terrain.slope_azimuth = azimuth;
        Draws const draws = make_draws(1, 2);
        Pad const pad = pad_at(surface_of_test(), terrain, moon(), Touchdown{}, draws, Vec3{20, 30, 1});
        """,
    )  # fmt: skip
    slope, azimuth = pad(np.arctan([0, 0.1, 0.1, 0.1]), np.radians([0, 0, 90, 180]))

    np.testing.assert_allclose(np.tan(slope), [0.1, 0.2, 0.1 * np.sqrt(2), 0], atol=2e-5)
    np.testing.assert_allclose(np.degrees(azimuth[:3]), [0, 0, 45], atol=0.02)


def test_a_beam_of_the_velocimeter_works_where_the_ground_that_it_meets_is_near(probe):
    """1900 m over a plain that falls away by 400 m behind the site: beam 0 looks ahead over 2000 m."""
    x = np.arange(-3000.0, 3001, 50)
    step = Relief(Patch(-3000, -3000, 50, 50, np.broadcast_to(np.where(x > 300, -400.0, 0)[:, None], (121, 121))))
    text = preamble(step) + "MCR_FN Velocimeter device() { return Velocimeter{1, 2000, 200, real(0.39), 0, 0, 0, 2}; }"
    valid = probe(
        "velocimeter.h", ["speeds.valid"], "real height", preamble=text,
        prepare="""
        BeamSpeeds const speeds = measure_speeds(device(), surface_of_test(), terrain_of(0, 0, 0), moon(), working(),
                                                 height, Vec3{0, 0, height}, Vec3{0, 0, -10}, identity(),
                                                 make_draws(1, 2), 3, Shape::grid);
        """,
    )(np.array([1900.0, 1500]))  # fmt: skip

    np.testing.assert_array_equal(valid[0] if isinstance(valid, (tuple, list)) else valid, [[0, 1, 1], [1, 1, 1]])


def test_a_cell_of_a_map_is_as_steep_as_the_model_is_anywhere_in_it(probe):
    """A scarp of 1 in 2 over 2 m, which leaves the middle of its cell of 10 m level: 26.6 deg at two of four places."""
    x = np.arange(-50.0, 51, 1)
    scarp = Relief(Patch(-50, -50, 1, 1, np.broadcast_to(np.clip((x - 1.5) / 2, 0, 1)[:, None], (101, 101))))
    slopes = probe(
        "pad.h", ["middle.slope", "steepest"], "int ix", preamble=preamble(scarp),
        prepare="""
        Terrain terrain = terrain_of(0, 0, 0);
        terrain.cell = 10;
        Touchdown gear{};
        gear.legs = 4;
        Draws const draws = make_draws(3, 0);
        Pad const middle = pad_of_cell(surface_of_test(), terrain, gear, draws, ix, 0, Shape::grid);
        real const steepest = steepest_of_cell(surface_of_test(), terrain, gear, draws, ix, 0, Shape::grid);
        """,
    )  # fmt: skip
    middle, steepest = slopes(np.array([0, 1]))

    np.testing.assert_allclose(np.tan(middle), [0, 0], atol=1e-5)
    np.testing.assert_allclose(np.tan(steepest), [0.5, 0], atol=1e-5)
