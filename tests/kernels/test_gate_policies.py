"""What becomes of samples that fail the gate: flights over a scarp of three kilometres."""

import numpy as np
import pytest
from navigation_parts import PARTS

SCARP = """
/// From 12 km at 40 m/s down and 200 m/s ahead, 10 Hz of range with 10 m of noise; after 60 s the ground falls by 3 km.
struct Flight { real error; real before; int rejected; int accepted_after; real sigma; };
MCR_FN Flight fly(GatePolicy policy, real gate_sigma, int run) {
    Gravity const gravity = moon(0);
    Terrain terrain = level();
    terrain.step_height = 3000;
    terrain.step_range = 28000;
    terrain.step_width = 100;
    Terrain const map = terrain;
    Navigation navigation = navigation_of(policy, gate_sigma);
    navigation.map_sigma = 10;
    navigation.underweight = real(0.2);
    Altimeter const altimeter = altimeter_of(Vec3{0, 0, -1}, 10, 0);
    Imu imu{};
    imu.accel_noise = real(0.02 / 60);
    Draws const draws = make_draws(23, static_cast<uint64>(run));
    bool const mapped = policy == GatePolicy::dem_aware;
    // before the scarp a computer without a map believes the high ground to be that of the site
    Vec3 position_S{-40000, 0, real(15000 - 40000.0 * 40000.0 / 2 / 1737400)};
    Vec3 const velocity_S{200, 0, -40};
    Estimate estimate = estimate_of(position_S - Vec3{0, 0, mapped ? real(0) : real(3000)}, velocity_S, identity());
    Channels wide{};
    wide.plane[0] = wide.plane[6] = 100 * 100;
    wide.plane[11] = wide.plane[15] = real(0.25);
    wide.plane[18] = real(1e-9);
    wide.plane[20] = real(9e-6);
    NavigationMemory memory = memory_of(wide);
    Flight flight{0, 0, 0, 0, 0};
    for (int tick = 0; tick < 2400; ++tick) {
        position_S = position_S + tick_period * velocity_S;
        Vec3 const push{0, 0, real(0.003)};  // what an accelerometer error of 3 mm/s^2 makes of the flight
        estimate.position_S = estimate.position_S + tick_period * (estimate.velocity_S + real(0.05) * push);
        estimate.velocity_S = estimate.velocity_S + tick_period * push;
        propagate_covariance(memory, navigation, imu, gravity, estimate.position_S, estimate.velocity_S,
                             Vec3{0, 0, real(1.62)},
                             Vec3{0, 0, 1}, 0, tick, 1);
        real const distance = ground_distance(terrain, gravity, position_S, Vec3{0, 0, -1}) +
                              10 * normals(draws, Stream::altimeter, tick).a;
        if (tick == 590) flight.before = estimate.position_S.z + (mapped ? real(0) : real(3000)) - position_S.z;
        Verdict const verdict = use_range(estimate, memory, navigation, altimeter, Surface{no_model, nullptr},
                                          mapped ? map : level(), gravity, Range{1, distance}, 0, Shape::formula,
                                          mapped);
        flight.rejected += verdict.used == -1;
        flight.accepted_after += (verdict.used == 1) & (tick > 610);
    }
    flight.error = estimate.position_S.z - position_S.z;
    flight.sigma = square_root(memory.plane[6]);
    return flight;
}
"""
POLICIES = ("per_sample", "latch", "reset", "inflate", "dem_aware")


@pytest.fixture
def over_a_scarp(probe):
    """over_a_scarp(policy, gate_sigma): height error at the end and before the scarp, rejected and accepted samples of
    40 runs."""
    prepare = "Flight const flight = fly(static_cast<GatePolicy>(policy), gate_sigma, run);"
    expressions = [f"flight.{name}" for name in ("error", "before", "rejected", "accepted_after", "sigma")]
    function = probe(
        "navigation.h", expressions, "int policy, real gate_sigma, int run", preamble=PARTS + SCARP, prepare=prepare
    )
    return lambda policy, gate_sigma=5: function(POLICIES.index(policy), gate_sigma, np.arange(40))


@pytest.mark.parametrize(("policy", "gate_sigma"), [("per_sample", 5), ("per_sample", 30), ("latch", 5)])
def test_a_gate_without_recovery_keeps_a_three_kilometre_error_for_good(over_a_scarp, policy, gate_sigma):
    """HAKUTO-R Mission 1: the computer believes itself 3 km lower than it is, to the end. A wider gate does not help; a
    latched altimeter is not even judged any more."""
    error, before, rejected, accepted_after, _ = over_a_scarp(policy, gate_sigma)

    assert np.all(np.abs(before) < 5)
    assert np.all(np.abs(error + 3000) < 0.5 * 0.003 * 240**2)  # accelerometer error, corrected only at first
    assert np.all(accepted_after == 0)
    np.testing.assert_array_equal(rejected, 20 if policy == "latch" else rejected[0])
    assert rejected[0] >= (20 if policy == "latch" else 1790)


@pytest.mark.parametrize(("policy", "most_rejected"), [("reset", 20), ("inflate", 50), ("dem_aware", 0)])
def test_reset_inflation_or_a_map_find_the_ground_again(over_a_scarp, policy, most_rejected):
    """The same flights end within metres; the map loses no sample, a reset 2 s of them."""
    error, before, rejected, accepted_after, _ = over_a_scarp(policy)

    assert np.all(np.abs(before) < 5)
    assert np.all(np.abs(error) < 10)  # 3 mm/s^2 of accelerometer error pulls by 4 m
    assert np.all(accepted_after > 1750)
    assert np.all(rejected <= most_rejected)


def test_only_an_absurd_gate_takes_the_step(over_a_scarp):
    """After convergence the step is hundreds of the filter's own sigma: a gate of 300 accepts everything."""
    error, _, rejected, _, sigma = over_a_scarp("per_sample", 300)

    assert np.all(np.abs(error) < 10)
    assert np.all(rejected == 0)
    assert np.all(3000 / sigma > 300)
