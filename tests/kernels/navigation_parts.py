"""What the tests of the on-board navigation share: the Moon, parts of a computer in C++, covariances as words."""

import numpy as np

DT = 0.1  # [s] one tick
RADIUS = 1737.4e3  # [m] IAU mean radius
GM = 4902.80007e9  # [m^3 s^-2]
HOUR, DEGREE, MICRO_G = 3600.0, np.pi / 180, 9.80665e-6
FALSE_ALARM = 1e-3  # [] probability that a statistical test fails for another seed
STATES = ("x", "z", "vx", "vz", "tilt", "bias")  # of the plane channel; y, vy and tilt of the cross channel
UPPER = np.triu_indices(6)
UPPER_CROSS = np.triu_indices(3)

# The parts every test is made of; what a test does not state is off.
PARTS = f"""
static Relief const no_model{{}};  // the ground is a formula
struct Channels {{ real plane[21]; real cross[6]; }};
MCR_FN Gravity moon(real gm) {{
    return Gravity{{gm, real(1738e3), 0, 0, 0, 0, 60000, real({RADIUS}), {{0, 1, 0}}, {{0, 0, 1}}}};
}}
MCR_FN NavigationMemory memory_of(Channels const& channels) {{
    NavigationMemory memory{{}};
    for (int k = 0; k < 21; ++k) memory.plane[k] = channels.plane[k];
    for (int k = 0; k < 6; ++k) memory.cross[k] = channels.cross[k];
    return memory;
}}
MCR_FN Channels channels_of(NavigationMemory const& memory) {{
    Channels channels;
    for (int k = 0; k < 21; ++k) channels.plane[k] = memory.plane[k];
    for (int k = 0; k < 6; ++k) channels.cross[k] = memory.cross[k];
    return channels;
}}
MCR_FN Navigation navigation_of(GatePolicy policy, real gate_sigma) {{
    Navigation navigation{{}};
    navigation.mode = NavigationMode::kalman;
    navigation.gate_policy = policy;
    navigation.gate_sigma = gate_sigma;
    navigation.gate_count = 20;
    navigation.inflate_sigma = 500;
    navigation.error_time = 5;
    navigation.altitude_weight = real(0.35);
    navigation.altitude_ceiling = 15240;
    navigation.velocity_weight = real(0.3);
    navigation.velocimeter_scale_sigma = real(0.003);
    navigation.velocimeter_pointing_sigma = real(0.002);
    return navigation;
}}
MCR_FN Altimeter altimeter_of(Vec3 const& beam_B, real noise, real fraction) {{
    return Altimeter{{1, 20000, 1, 1, 1, 1, real(1.05), beam_B, noise, fraction, 0, 0, 0, 1}};
}}
MCR_FN Terrain level() {{ return Terrain{{0, 30000, 8000, 0, 6000, 0, 0, 0, 0}}; }}
MCR_FN Estimate estimate_of(Vec3 const& position_S, Vec3 const& velocity_S, Quat const& q_BS) {{
    return Estimate{{position_S, velocity_S, q_BS, 0}};
}}
"""


def packed(plane, cross):
    """Covariance matrices as the packed words of `Channels`."""
    plane, cross = np.asarray(plane, float), np.asarray(cross, float)
    return np.concatenate([plane[(..., *UPPER)], cross[(..., *UPPER_CROSS)]], axis=-1)


def matrices(channels):
    """The two covariance matrices of packed words."""
    plane, cross = np.zeros((*channels.shape[:-1], 6, 6)), np.zeros((*channels.shape[:-1], 3, 3))
    plane[(..., *UPPER)] = plane[(..., *UPPER[::-1])] = channels[..., :21]
    cross[(..., *UPPER_CROSS)] = cross[(..., *UPPER_CROSS[::-1])] = channels[..., 21:]
    return plane, cross


def random_covariance(random, count, scales):
    """Positive definite matrices with roughly these standard deviations."""
    factor = random.normal(size=(count, len(scales), 2 * len(scales)))
    return factor @ np.swapaxes(factor, 1, 2) / (2 * len(scales)) * np.outer(scales, scales)


SCALES = np.array([300.0, 100, 0.5, 0.3, 3e-4, 1e-3])  # m, m, m/s, m/s, rad, m/s^2


def diagonal(**sigmas):
    """Channels with these standard deviations and no correlation; tilt and position act in both channels."""
    cross = {"x": "y", "vx": "vy"}
    return packed(
        np.diag([sigmas.get(name, 0) ** 2 for name in STATES]),
        np.diag([sigmas.get(cross.get(name, name), 0) ** 2 for name in ("x", "vx", "tilt")]),
    )
