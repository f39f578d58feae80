"""What each sensor's sample does to the estimate: rows, gains, and the gate against the normal distribution."""

import numpy as np
import pytest
from navigation_parts import FALSE_ALARM, PARTS, RADIUS, diagonal, matrices
from scipy import stats
from scipy.spatial.transform import Rotation

# ---- the altimeter's row and gate


@pytest.fixture
def use_range(probe):
    """use_range(...): one altimeter sample; height and predicted range after it, verdict, memory of the gate."""
    prepare = """
    Navigation navigation = navigation_of(static_cast<GatePolicy>(policy), gate_sigma);
    navigation.mode = static_cast<NavigationMode>(mode);
    navigation.gate_window = window;
    navigation.gate_fraction = fraction;
    navigation.map_sigma = map_sigma;
    navigation.underweight = underweight;
    Gravity const gravity = moon(0);
    Altimeter const altimeter = altimeter_of(beam_B, noise, 0);
    Estimate estimate = estimate_of(position_S, Vec3{0, 0, 0}, identity());
    NavigationMemory memory = memory_of(channels);
    Verdict const verdict =
        use_range(estimate, memory, navigation, altimeter, Surface{no_model, nullptr},
                  level(), gravity, Range{1, distance}, 0, Shape::sphere,
                  false);
    real const height = sphere_height(gravity.radius, estimate.position_S);
    real const predicted = sphere_distance(gravity, 0, estimate.position_S, beam_B);
    """
    arguments = (
        "Channels channels, Vec3 position_S, Vec3 beam_B, real distance, real noise, real map_sigma, real underweight, "
        "int mode, int policy, real gate_sigma, real window, real fraction"
    )
    expressions = ["verdict.used", "verdict.innovation", "height", "predicted", "channels_of(memory)"]
    function = probe("navigation.h", expressions, arguments, preamble=PARTS, prepare=prepare)

    def run(
        distance, *, channels, position_S=(0, 0, 1000), beam_B=(0, 0, -1), noise=0, map_sigma=0, underweight=0, mode=2,
        policy=0, gate_sigma=5, window=0, fraction=0,
    ):  # fmt: skip
        settings = (noise, map_sigma, underweight, mode, policy, gate_sigma, window, fraction)
        used, innovation, height, predicted, after = function(channels, position_S, beam_B, distance, *settings)
        return {"used": used, "innovation": innovation, "height": height, "predicted": predicted, "after": after}

    return run


def test_one_precise_range_removes_the_error_it_sees(use_range):
    """After it the predicted slant range is the measured one, for beams up to 45 deg and places up to 300 km away."""
    for arc in (0.0, -100e3, -300e3):
        up = np.array([np.sin(arc / RADIUS), 0, np.cos(arc / RADIUS)])
        ahead = np.array([up[2], 0, -up[0]])
        position = np.array([0, 0, -RADIUS]) + (RADIUS + 3000) * up
        for angle in np.radians([0, 20, 45]):
            beam = -np.cos(angle) * up + np.sin(angle) * ahead
            truth = use_range(0.0, channels=diagonal(), position_S=position, beam_B=beam)["predicted"]
            found = use_range(truth + 40, channels=diagonal(x=200, z=200), position_S=position, beam_B=beam, noise=0.1)

            assert found["used"] == 1
            assert found["innovation"] == pytest.approx(40, abs=0.05)
            # the ground curves away under the longer beam: 40 m x 3 km tan i/R of it
            assert found["predicted"] == pytest.approx(truth + 40, abs=0.2)


@pytest.mark.parametrize("gate_sigma", [3, 5])
def test_the_gate_rejects_honest_samples_as_rarely_as_the_normal_distribution_says(use_range, random, gate_sigma):
    """Innovations of the filter's own variance (50 m of height, 5 m of noise, 15 m of map; beam straight down, then
    canted by 30 deg): 2.70e-3 at 3 sigma, 5.7e-7 at 5 sigma, of 100 000 samples each; false alarm 1e-3.
    """
    for cant in (0.0, np.radians(30)):
        beam = [np.sin(cant), 0, -np.cos(cant)]
        # height and map error divided by cos; the level pointing error is zero without tilt
        sigma = np.sqrt((50**2 + 15**2) / np.cos(cant) ** 2 + 5**2)
        ask = {"channels": diagonal(z=50), "beam_B": beam, "noise": 5, "map_sigma": 15, "gate_sigma": gate_sigma}
        truth = use_range(0.0, **ask)["predicted"]
        # the range after the update tells nothing here: the prediction before it does
        level = 1000 / np.cos(cant) * (1 + 1000 * np.tan(cant) ** 2 / (2 * RADIUS))
        assert truth == pytest.approx(level, abs=0.02)
        found = use_range(level + sigma * random.normal(size=100_000), **ask)
        rejected = np.sum(found["used"] == -1)
        expected = 2 * stats.norm.sf(gate_sigma)
        low, high = stats.binom.ppf([FALSE_ALARM / 4, 1 - FALSE_ALARM / 4], 100_000, expected)

        assert expected == pytest.approx({3: 2.70e-3, 5: 5.7e-7}[gate_sigma], rel=0.01)
        assert low <= rejected <= high


def test_the_first_fix_is_underweighted(use_range):
    """Far more uncertain than the sensor: 20 % of underweighting takes 1/1.2 of the innovation in, none takes all."""
    ask = {"channels": diagonal(z=1000), "noise": 0.1}

    assert use_range(1300, underweight=0.2, **ask)["height"] == pytest.approx(1000 + 300 / 1.2, abs=0.1)
    assert use_range(1300, underweight=0.0, **ask)["height"] == pytest.approx(1300, abs=0.1)


def test_the_error_of_the_map_fades_out_on_the_last_kilometre(use_range):
    """15 m of map error are 15 m from 1 km up and in proportion below: what lies under the feet is the ground."""
    for height, sigma in ((3000.0, 15.0), (1000.0, 15.0), (100.0, 1.5), (1.0, 0.3)):
        ask = {
            "position_S": [0, 0, height],
            "channels": diagonal(z=0.1),
            "noise": 0.01,
            "map_sigma": 15,
            "gate_sigma": 5,
        }
        used = use_range(height - np.array([4.5, 5.2]) * np.hypot(sigma, 0.1), **ask)["used"]

        np.testing.assert_array_equal(used, [1, -1], err_msg=f"{height}")


def test_a_mapped_slope_ties_range_to_the_position_along_the_track(probe):
    """Half-way down a scarp of 3 km over 8 km the ground falls by 1.5 x 3/8 per metre. An error of 200 m along the
    track alone is then 112 m of range: the gate expects it, and the fix moves the lander along the track by its share.
    """
    prepare = """
    Terrain map = level();
    map.step_height = 3000;
    map.step_range = 0;
    map.step_width = 8000;
    Gravity const gravity = moon(0);
    Vec3 const down{0, 0, -1};
    Estimate estimate = estimate_of(Vec3{0, 0, 4500}, Vec3{0, 0, 0}, identity());
    NavigationMemory memory = memory_of(channels);
    Navigation navigation = navigation_of(GatePolicy::dem_aware, 5);
    navigation.map_sigma = 0;
    Verdict const verdict = use_range(estimate, memory, navigation, altimeter_of(down, real(0.1), 0),
                                      Surface{no_model, nullptr},
                                      map, gravity, Range{1, 3000 + error}, 0, Shape::formula, true);
    """
    fix = probe(
        "navigation.h", ["verdict.used", "estimate.position_S"], "Channels channels, real error", preamble=PARTS,
        prepare=prepare,
    )  # fmt: skip
    slope = 1.5 * 3000 / 8000
    used, position = fix(diagonal(x=200), np.array([100.0, 4.9 * slope * 200, 5.1 * slope * 200]))

    np.testing.assert_array_equal(used, [1, 1, -1])
    assert position[0] == pytest.approx([100 / slope, 0, 4500], abs=2)
    assert fix(diagonal(), 100.0)[0] == -1  # no error along the track: nothing explains it


def test_an_absolute_window_grows_with_the_range(use_range):
    """Apollo: 50 ft + H/8 (Luminary 099). At 8 km it takes 1.0 km and refuses a crater rim of 3 km, whatever sigma."""
    ask = {"position_S": [0, 0, 8000], "window": 15.24, "fraction": 0.125, "noise": 1}
    for sigma in (1, 10_000):
        used = use_range(8000 + np.array([-900.0, 900, 1150, 1200, 3000]), channels=diagonal(z=sigma), **ask)["used"]

        # the window is that of the measured range: (8000 + 1150)/8 + 15 = 1159 m, (8000 + 1200)/8 + 15 = 1165 m
        np.testing.assert_array_equal(used, [1, 1, 1, -1, -1])


def test_fixed_gains_weigh_height_as_apollo_did(use_range):
    """0.35 (1 - h/15240 m) of the innovation, zero at the ceiling and above; the covariance stays as it was."""
    floors = {"x": 1, "vx": 0.1, "vz": 0.1, "tilt": 1e-4, "bias": 1e-4, "y": 1, "vy": 0.1}  # above the filter's own
    channels = diagonal(z=1000, **floors)
    for height in (0.0, 5000, 15_000, 16_000):
        found = use_range(height + 100, channels=channels, position_S=[0, 0, height], mode=1)
        weight = max(0.35 * (1 - height / 15_240), 0)

        assert found["height"] == pytest.approx(height + 100 * weight, abs=0.02)
        np.testing.assert_array_equal(found["after"], np.float32(channels))


# ---- the other sensors


@pytest.fixture
def use_speeds(probe):
    """use_speeds(channels, velocity_S, q_BS, error, noise, mode, beams, looks, run): velocity error and covariance
    after some looks, five a second, of the beams whose bits are set."""
    prepare = """
    Velocimeter const velocimeter{1, 2000, 200, real(0.39269908), noise, 0, 0, 2};
    Navigation navigation = navigation_of(GatePolicy::per_sample, 5);
    navigation.mode = static_cast<NavigationMode>(mode);
    Estimate estimate = estimate_of(Vec3{0, 0, 1000}, velocity_S + error, q_BS);
    NavigationMemory memory = memory_of(channels);
    Draws const draws = make_draws(31, static_cast<uint64>(run));
    for (int look = 0; look < looks; ++look) {
        BeamSpeeds speeds = measure_speeds(velocimeter, Surface{no_model, nullptr},
                                           level(), Gravity{}, working(), 100, Vec3{0, 0, 100}, velocity_S,
                                           q_BS, draws, look, Shape::sphere);
        for (int beam = 0; beam < 3; ++beam) speeds.valid[beam] &= beams >> beam;
        use_speeds(estimate, memory, navigation, velocimeter, speeds);
    }
    """
    arguments = (
        "Channels channels, Vec3 velocity_S, Quat q_BS, Vec3 error, real noise, int mode, int beams, int looks, int run"
    )
    expressions = ["estimate.velocity_S - velocity_S", "channels_of(memory)"]
    return probe("navigation.h", expressions, arguments, preamble=PARTS, prepare=prepare)


def upright(random, count):
    """Attitudes of a lander on its way down: pitched by 20 deg, rolled and yawed by little (one sigma)."""
    return Rotation.from_rotvec(random.normal(size=(count, 3)) * np.radians([4, 20, 2]))


def test_three_beams_correct_the_whole_velocity_and_two_leave_one_direction(use_speeds, random):
    """Errors of some m/s in every component, 2 cm/s of noise: three beams leave none of it, two leave what is normal to
    both, however long they look."""
    turns, cant = upright(random, 20), np.radians(22.5)
    attitudes, errors = turns.as_quat(scalar_first=True), 3 * random.normal(size=(20, 3))
    left, _ = use_speeds(diagonal(vx=5, vz=5, vy=5), [0.3, -0.2, -1], attitudes, errors, 0.02, 2, 7, 50, 0)
    two, _ = use_speeds(diagonal(vx=5, vz=5, vy=5), [0.3, -0.2, -1], attitudes, errors, 0.02, 2, 6, 50, 0)
    beams = [
        turns.apply([np.sin(cant) * np.cos(angle), np.sin(cant) * np.sin(angle), -np.cos(cant)])
        for angle in np.radians([120, 240])
    ]
    blind = np.cross(*beams) / np.linalg.norm(np.cross(*beams), axis=1, keepdims=True)
    along = np.sum(two * blind, axis=1, keepdims=True)

    # 0.02 m/s over sqrt(50) looks and sin 22.5 deg is 1 cm/s
    assert np.max(np.abs(left)) < 0.05
    assert np.max(np.linalg.norm(two - along * blind, axis=1)) < 0.05
    assert np.sqrt(np.mean(along**2)) > 1


@pytest.mark.parametrize(("speed", "sigma"), [(2, 0.1), (20, 0.5), (60, 1)])
def test_velocity_corrected_beam_by_beam_is_as_good_as_the_filter_says(use_speeds, random, speed, sigma):
    """Errors drawn from the filter's own sigma, 400 runs, after 1 to 100 looks: their deviation is not above the one
    told, though the two channels forget what a beam ties between them; none lies beyond the gate of 5 sigma."""
    attitudes, errors = upright(random, 400).as_quat(scalar_first=True), sigma * random.normal(size=(400, 3))
    ask = (diagonal(vx=sigma, vz=sigma, vy=sigma), [0.1 * speed, 0, -speed], attitudes, errors, 0.1, 2, 7)
    for looks in (1, 5, 25, 100):
        left, after = use_speeds(*ask, looks, np.arange(400))
        plane, cross = matrices(after)
        ratio = left / np.sqrt(np.stack([plane[:, 2, 2], cross[:, 1, 1], plane[:, 3, 3]], axis=1))

        assert np.all(ratio.std(axis=0) < 1 + stats.norm.isf(FALSE_ALARM / 12) / np.sqrt(2 * 400))
        assert np.max(np.abs(ratio)) < 5


def test_fixed_gains_take_a_share_of_every_beam(use_speeds):
    """0.3 of the innovation along each beam in turn, as a vector; the covariance stays out of it."""
    found, _ = use_speeds(diagonal(), [0, 0, -20], [1, 0, 0, 0], [1, 2, 3], 0, 1, 7, 1, 0)
    expected, cant = np.array([1.0, 2, 3]), np.radians(22.5)
    for angle in np.radians([0, 120, 240]):
        beam = np.array([np.sin(cant) * np.cos(angle), np.sin(cant) * np.sin(angle), -np.cos(cant)])
        expected = expected - 0.3 * (beam @ expected) * beam

    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.fixture
def use_fix(probe):
    """use_fix(channels, position_S, along, aside, sigma, tie, false match): change of the estimate, whether fooled."""
    prepare = """
    Camera const camera{1, 15000, 100, real(0.01), 5, tie, 0, 1000, 10};
    Gravity const gravity = moon(0);
    Navigation const navigation = navigation_of(GatePolicy::per_sample, 5);
    Estimate estimate = estimate_of(position_S, Vec3{0, 0, 0}, identity());
    NavigationMemory memory = memory_of(channels);
    real const arc = gravity.radius * arctangent2(position_S.x, position_S.z + gravity.radius);
    bool const fooled = use_fix(estimate, memory, navigation, camera, gravity,
                                Fix{1, is_false, arc + along, position_S.y + aside, sigma});
    real const arc_after = gravity.radius * arctangent2(estimate.position_S.x, estimate.position_S.z + gravity.radius);
    """
    arguments = "Channels channels, Vec3 position_S, real along, real aside, real sigma, real tie, int is_false"
    expressions = ["arc_after - arc", "estimate.position_S.y - position_S.y",
                   "sphere_height(gravity.radius, estimate.position_S) - sphere_height(gravity.radius, position_S)",
                   "fooled"]  # fmt: skip
    return probe("navigation.h", expressions, arguments, preamble=PARTS, prepare=prepare, real="double")


def test_a_fix_moves_the_estimate_along_the_ground_and_aside(use_fix):
    """500 km before the site and over it: 300 m along the arc and -200 m across are taken in, the height stays."""
    channels = diagonal(x=1000, z=1000, y=1000)
    for angle in (-500e3 / RADIUS, 0.0):
        position = [(RADIUS + 9e3) * np.sin(angle), 0, (RADIUS + 9e3) * np.cos(angle) - RADIUS]
        along, aside, climb, fooled = use_fix(channels, position, 300, -200, 0.1, 0, 0)

        assert (along, aside) == (pytest.approx(300, abs=0.05), pytest.approx(-200, abs=0.05))
        assert climb == pytest.approx(0, abs=0.1)  # second order: 300^2/2R = 0.03 m
        assert fooled == 0


def test_a_false_match_fools_only_an_uncertain_computer(use_fix):
    """A fix 1 km off is refused by a computer sure to 100 m, and taken, and told, by one unsure by 1 km."""
    sure, unsure = diagonal(x=100, z=100, y=100), diagonal(x=1000, z=1000, y=1000)
    refused = use_fix(sure, [0, 0, 9000], 1000, 300, 90, 30, 1)
    taken = use_fix(unsure, [0, 0, 9000], 1000, 300, 90, 30, 1)
    honest = use_fix(unsure, [0, 0, 9000], 1000, 300, 90, 30, 0)

    np.testing.assert_array_equal(refused, 0)
    assert taken[3] == 1
    assert taken[0] > 900
    assert honest[3] == 0
