"""Rigid-body truth: Kepler's orbit, the free top, a falling stone, and the order of the step."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

GM = 4902.80007e9  # [m^3 s^-2] Williams et al. 2014
RATE = 2.6616995e-6  # [rad s^-1]
RADIUS = 1737.4e3  # [m] IAU mean radius
CENTRE = np.array([0, 0, RADIUS])  # [m] of the Moon, to positions

FLIGHT = """
/// A lander without clusters flown for a while from a state, with its main engine at full thrust.
MCR_FN Truth flown(Gravity const& gravity, Vehicle const& vehicle, real thrust, real isp, Vec3 const& position_S,
                   Vec3 const& velocity_S, Quat const& q_BS, Vec3 const& omega_BN_B, int ticks, int count) {
    World world{};
    world.gravity = gravity;
    world.vehicle = vehicle;
    world.propulsion.main.thrust = thrust;
    world.propulsion.main.isp = isp;
    world.propulsion.main.lag = real(0.3);
    world.propulsion.main.tail_off = real(0.3);
    world.propulsion.cluster.isp = real(275);
    world.propulsion.propellant = real(400);
    world.rcs = Rcs{real(10), real(1), real(2), real(220), real(0.02), real(0), real(1)};
    GuidanceMemory asked{};
    asked.throttle = real(1);
    Truth truth{};
    truth.position_S = position_S;
    truth.velocity_S = velocity_S;
    truth.q_BS = q_BS;
    truth.omega_BN_B = omega_BN_B;
    truth.engines.propellant = real(400);
    for (int tick = 0; tick < ticks; ++tick)
        for (int index = 0; index < count; ++index)
            propagate(world, pace_of(world, count), working(), truth, asked, Command{}, tick, index, count);
    return truth;
}
"""
ARGUMENTS = (
    "Gravity gravity, Vehicle vehicle, real thrust, real isp, Vec3 position_S, Vec3 velocity_S, Quat q_BS, "
    "Vec3 omega_BN_B, int ticks, int count"
)
RESULTS = ["position_S", "velocity_S", "q_BS", "omega_BN_B", "angle_B", "velocity_B", "engines.propellant"]


@pytest.fixture
def fly(probe):
    """fly(real, ...): the state at the end of a flight, by name; what is not told is at rest, coasting, not turning."""

    def run(
        real="double",
        *,
        gm=GM,
        rate=0.0,
        pole_S=(0, 1, 0),
        inertia_dry=(100, 100, 100),
        inertia_full=(200, 200, 200),
        thrust=0,
        isp=300,
        position_S=(0, 0, 0),
        velocity_S=(0, 0, 0),
        q_BS=(1, 0, 0, 0),
        omega_BN_B=(0, 0, 0),
        ticks=10,
        count=2,
    ):
        gravity = [gm, 1738e3, 0, 0, rate, 0, 60e3, RADIUS, *pole_S, 0, 0, 1]
        vehicle = [400, 0, 0, 0.9, 0, 0, 1.0, *inertia_dry, *inertia_full]
        values = (gravity, vehicle, thrust, isp, position_S, velocity_S, q_BS, omega_BN_B, ticks, count)
        names = [name.split()[-1] for name in ARGUMENTS.split(",")]
        prepare = f"Truth const truth = flown({', '.join(names)});"
        expressions = [f"truth.{result}" for result in RESULTS]
        function = probe("dynamics.h", expressions, ARGUMENTS, preamble=FLIGHT, prepare=prepare, real=real)
        return dict(zip(RESULTS, function(*values), strict=True))

    return run


def _kepler(perilune, apolune, time):
    """Position and velocity in the plane of flight (x along the motion at perilune, z up), from Kepler's equation."""
    axis, eccentricity = (perilune + apolune) / 2, (apolune - perilune) / (apolune + perilune)
    mean = np.sqrt(GM / axis**3) * time
    anomaly = mean
    for _ in range(30):
        anomaly = anomaly - (anomaly - eccentricity * np.sin(anomaly) - mean) / (1 - eccentricity * np.cos(anomaly))
    shape = np.sqrt(1 - eccentricity**2)
    rate = np.sqrt(GM / axis**3) / (1 - eccentricity * np.cos(anomaly))
    along, up = axis * shape * np.sin(anomaly), axis * (np.cos(anomaly) - eccentricity)
    return np.array([along, 0, up]), rate * axis * np.array([shape * np.cos(anomaly), 0, -np.sin(anomaly)])


LOW, HIGH = RADIUS + 20e3, RADIUS + 100e3  # [m] perilune and apolune of the de-orbit arc
SPEED_LOW = np.sqrt(2 * GM * (1 / LOW - 1 / (LOW + HIGH)))  # [m s^-1] vis viva


# ---- known answers


def test_a_stone_falls_the_first_second_as_galileo_says(fly):
    """From rest: g t^2/2 = 0.812 m and g t = 1.624 m/s, with g = GM/R^2 = 1.62422 m/s^2."""
    end = fly("float", ticks=10)

    np.testing.assert_allclose(end["position_S"], [0, 0, -0.5 * 1.62422], rtol=2e-6)
    np.testing.assert_allclose(end["velocity_S"], [0, 0, -1.62422], rtol=2e-6)


def test_a_stone_dropped_from_a_kilometre_strikes_east_of_the_plumb_line(fly):
    """Coriolis deflection on the equator, w g t^3 / 3 (Goldstein, Classical Mechanics, 4.10): 6.2 cm after 35 s."""
    end = fly(position_S=[0, 0, 1000], rate=RATE, pole_S=[0, 1, 0], ticks=350)
    # S: x east, y north along the pole, z up; gravity at 1 km is 0.1 % below its value at the site
    expected = RATE * 1.62422 * 35**3 / 3

    assert expected == pytest.approx(0.0618, abs=1e-4)
    np.testing.assert_allclose(end["position_S"][0], expected, rtol=2e-3)
    assert end["position_S"][1] == 0


# ---- closed forms


@pytest.mark.parametrize(("real", "position_error", "speed_error"), [("double", 0.012, 1.2e-5), ("float", 0.2, 2e-4)])
def test_half_an_orbit_ends_where_kepler_says(fly, real, position_error, speed_error):
    """20 x 100 km orbit from perilune for 3400 s (1/2 period: 57 min) to the far side of the Moon.

    Double: the mid-point rule errs by about r (n dt)^2 n t = 12 mm. Float: a position word is 0.25 m coarse there.
    """
    end = fly(real, position_S=[0, 0, 20e3], velocity_S=[SPEED_LOW, 0, 0], ticks=34000)
    position, velocity = _kepler(LOW, HIGH, 3400)

    np.testing.assert_allclose(end["position_S"] + CENTRE, position, rtol=0, atol=position_error)
    np.testing.assert_allclose(end["velocity_S"], velocity, rtol=0, atol=speed_error)


def test_the_turning_frame_sees_the_same_orbit(fly):
    """Coast of 1000 s about an inclined pole: turned back by w t, the end is that of the frame that does not turn."""
    pole = np.array([0.48, 0.6, 0.64])
    start = np.array([0, 0, 20e3])
    velocity = np.array([SPEED_LOW, 0, 0])
    still = fly(position_S=start, velocity_S=velocity, ticks=10000)
    turning = fly(
        position_S=start,
        velocity_S=velocity - RATE * np.cross(pole, start + CENTRE),
        rate=RATE,
        pole_S=pole,
        ticks=10000,
    )
    angle = RATE * 1000
    r = turning["position_S"] + CENTRE
    back = np.cos(angle) * r + np.sin(angle) * np.cross(pole, r) + (1 - np.cos(angle)) * pole * (pole @ r)

    # both are integrated with an error below a millimetre
    np.testing.assert_allclose(back, still["position_S"] + CENTRE, rtol=0, atol=2e-3)


def test_a_symmetric_top_precesses_at_the_rate_of_euler(fly):
    """The transverse rate circles in body axes with (I3 - I1)/I1 w3 (Hughes 1986, 4.2): here 0.15 rad/s."""
    end = fly(inertia_dry=[100, 100, 150], inertia_full=[100, 100, 150], omega_BN_B=[0.1, 0, 0.3], ticks=1000)
    phase = 0.5 * 0.3 * 100

    # phase error of the mid-point rule (0.15 * 0.05)^2 / 6 * 15 rad = 1.4e-4
    np.testing.assert_allclose(
        end["omega_BN_B"], [0.1 * np.cos(phase), 0.1 * np.sin(phase), 0.3], rtol=0, atol=0.1 * 2e-4
    )


# ---- invariants


@pytest.mark.parametrize("real", ["float", "double"])
def test_a_coast_conserves_energy_and_momentum(fly, real):
    """v^2/2 - GM/r and r x v at ten places of half an orbit."""
    ticks = np.arange(0, 34001, 3400)
    end = fly(real, position_S=[0, 0, 20e3], velocity_S=[SPEED_LOW, 0, 0], ticks=ticks)
    r = end["position_S"] + CENTRE
    energy = np.sum(end["velocity_S"] ** 2, axis=1) / 2 - GM / np.linalg.norm(r, axis=1)
    momentum = np.cross(r, end["velocity_S"])
    limit = {"float": 3e-7, "double": 2e-9}[real]  # a few units of the last place; (n dt)^2

    np.testing.assert_allclose(energy, energy[0], rtol=limit)
    np.testing.assert_allclose(momentum, np.tile(momentum[0], (len(ticks), 1)), rtol=0, atol=limit * momentum[0, 1])


def test_torque_free_spin_conserves_energy_and_momentum(fly):
    """Random tops tumble for 100 s: w.Iw, and Iw seen in S; the mid-point rule errs by (w dt)^2 of each."""
    random = np.random.default_rng(20261122)
    inertia = 100 + 60 * random.uniform(size=(50, 3))  # any such triple obeys the triangle inequality
    omega = 0.1 * random.normal(size=(50, 3))
    ends = [
        fly(inertia_dry=one, inertia_full=one, omega_BN_B=spin, ticks=[0, 1000])
        for one, spin in zip(inertia, omega, strict=True)
    ]
    after = np.array([end["omega_BN_B"][1] for end in ends])
    attitude = np.array([end["q_BS"][1] for end in ends])
    energy = [np.sum(inertia * rate**2, axis=1) for rate in (omega, after)]
    # v_S = v_B + 2 u x (u x v_B + w v_B), the inverse of the passive rotation
    spin = inertia * after
    u, w = attitude[:, 1:], attitude[:, :1]
    momentum_S = spin + 2 * np.cross(u, np.cross(u, spin) + w * spin)
    size = np.linalg.norm(inertia * omega, axis=1)

    np.testing.assert_allclose(energy[1], energy[0], rtol=1e-6)
    np.testing.assert_array_less(np.linalg.norm(momentum_S - inertia * omega, axis=1), 1e-4 * size)


def test_what_the_inertial_unit_feels_is_thrust_and_turn(fly):
    """Spinning on its thrust axis in free space it feels the rocket equation, and its own faster turn."""
    end = fly(gm=0, thrust=1000, isp=300, omega_BN_B=[0, 0, 0.2], ticks=600)
    mass = 800 - (400 - end["engines.propellant"])
    expected = 300 * 9.80665 * np.log(800 / mass)

    np.testing.assert_allclose(end["velocity_S"], [0, 0, expected], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(end["velocity_B"], end["velocity_S"], rtol=1e-12, atol=1e-9)
    # the body shrinks as propellant leaves: I w is kept
    assert end["angle_B"][2] > 0.2 * 60
    inertia = 100 + 100 * end["engines.propellant"] / 400
    np.testing.assert_allclose(end["omega_BN_B"][2] * inertia, 0.2 * 200, rtol=1e-4)


# ---- order


def test_halving_the_step_divides_the_error_by_four(fly):
    """A burning, tumbling, lagging flight of 20 s: errors of 1, 2, 4 and 8 steps per tick against 128, in double.

    The Moon stands still: its turn is taken at the start of a step, an error of first order below 1e-7 rad.
    """
    counts = np.array([1, 2, 4, 8, 128])
    end = fly(
        position_S=[-300e3, 5e3, -10e3],
        velocity_S=[1690, 3, -5],
        q_BS=[0.5, 0.1, 0.5, 0.7],
        omega_BN_B=[0.05, 0.3, -0.2],
        inertia_dry=[300, 400, 500],
        inertia_full=[600, 700, 900],
        thrust=2500,
        ticks=200,
        count=counts,
    )
    for name in ("position_S", "velocity_S", "q_BS", "omega_BN_B"):
        error = np.linalg.norm(end[name][:-1] - end[name][-1], axis=1)
        ratio = error[:-1] / error[1:]

        # terms of third order leave some per mille; the reference itself errs by (8/128)^2 of the last
        np.testing.assert_allclose(ratio, 4, rtol=0.01, err_msg=name)


# ---- sums in single precision


def test_compensated_sums_keep_what_single_precision_drops(probe):
    """12 000 steps of 84.6 m added to 500 km (Kahan 1965): exact to a unit of the last place."""
    preamble = """
    MCR_FN real walked(real start, real step, int count) {
        Vec3 sum{start, 0, 0}, rest{0, 0, 0};
        for (int k = 0; k < count; ++k) add_compensated(sum, rest, Vec3{step, 0, 0});
        return sum.x;
    }
    MCR_FN real plain(real start, real step, int count) {
        for (int k = 0; k < count; ++k) start += step;
        return start;
    }
    """
    sums = probe(
        "vec.h", ["walked(start, step, count)", "plain(start, step, count)"], "real start, real step, int count",
        preamble=preamble,
    )  # fmt: skip
    step = float(np.float32(84.6))
    compensated, plain = sums(-500e3, step, 12000)
    exact = -500e3 + 12000 * step

    assert compensated == pytest.approx(exact, abs=1 / 32)  # a unit of the last place at 515 km
    assert abs(plain - exact) > 0.1


@pytest.mark.parametrize(("real", "drift"), [("float", 3e-6), ("double", 1e-14)])
def test_a_slow_turn_keeps_its_angle(probe, real, drift):
    """Ten minutes at constant rates of a landing, 12 000 steps of 0.05 s, against one exact rotation (scipy).

    Plain products in single precision drift by up to 2.5e-4 rad, the same in every run; 3e-6 rad is what 12 000
    roundings of the rate's own increments leave, a hundredth of the star tracker's error.
    """
    random = np.random.default_rng(20261122)
    attitude = random.normal(size=(100, 4))
    attitude = np.float32(attitude / np.linalg.norm(attitude, axis=1, keepdims=True)).astype(float)
    turn = np.float32(random.normal(size=(100, 3)) * 10.0 ** random.uniform(-5, -3, (100, 1))).astype(float)
    turned = probe(
        "quat.h", "q_BS", "Quat start_BS, Vec3 turn", real=real,
        prepare="Quat q_BS = start_BS, rest{0, 0, 0, 0}; for (int k = 0; k < 12000; ++k) turn_by(q_BS, rest, turn);",
    )(attitude, turn)  # fmt: skip
    # the passive quaternion has the numbers of scipy's rotation of vectors from B to S; B turns in its own axes
    expected = Rotation.from_quat(attitude, scalar_first=True) * Rotation.from_rotvec(12000 * turn)
    error = (expected.inv() * Rotation.from_quat(turned, scalar_first=True)).magnitude()

    assert error.max() < drift
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, rtol=0, atol=2e-7)


@pytest.mark.parametrize(("real", "error"), [("double", 1e-14), ("float", 3e-7)])
def test_a_tumbling_body_is_turned_as_far_as_it_turns(probe, real, error):
    """Up to 1.15 rad about each axis in one step: the attitude of the plain product, half-way and at the end."""
    random = np.random.default_rng(1)
    attitude = random.normal(size=(200, 4))
    attitude /= np.linalg.norm(attitude, axis=1, keepdims=True)
    turn = random.uniform(-1.15, 1.15, size=(200, 3))
    expressions = ["q_BS", "middle_BS"] + [
        f"compose(from_rotation_vector({part} * turn), start_BS)" for part in (1, 0.5)
    ]
    end, middle, plain, half = probe(
        "quat.h", expressions, "Quat start_BS, Vec3 turn", real=real,
        prepare="Quat q_BS = start_BS, rest{0, 0, 0, 0}; Quat const middle_BS = turn_by(q_BS, rest, turn);",
    )(attitude, turn)  # fmt: skip

    np.testing.assert_allclose(end, plain, rtol=0, atol=error)
    np.testing.assert_allclose(middle, half, rtol=0, atol=error)


def test_what_turns_faster_than_a_step_can_follow_stays_an_attitude(probe):
    """A thousand steps of up to thirty turns each: a lost lander, at unit length to the end."""
    random = np.random.default_rng(2)
    turned = probe(
        "quat.h", "q_BS", "Vec3 turn",
        prepare="Quat q_BS = identity(), rest{0, 0, 0, 0}; for (int k = 0; k < 1000; ++k) turn_by(q_BS, rest, turn);",
    )(200 * random.uniform(-1, 1, size=(200, 3)))  # fmt: skip

    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, rtol=0, atol=1e-5)
