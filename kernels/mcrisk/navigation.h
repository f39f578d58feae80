#pragma once
/// On-board navigation: strapdown integration of the inertial unit, corrected by decoupled Kalman channels.
/// Channels: one in the plane of flight (x and z of position and velocity, pitch tilt, accelerometer bias along the
/// thrust axis) and one across it (y, its rate, lateral tilt). The plane is not split into a vertical and a downrange
/// channel: with 16 to 20 deg between the local vertical at ignition and at the site, and pitch tilt turning horizontal
/// thrust into vertical error, only the coupled plane gives an honest innovation variance for a first altimeter fix.
/// Also: perfect navigation (tests) and fixed gains (Apollo style).  Not modelled: gyro bias as a state; its growth is
/// process noise scaled so that the position variance equals that of a constant bias (factor 5/3).
/// Sources: Bar-Shalom et al. 2001, 5.2 and 5.4 (filter, innovation gate); NASA/TP-2018-219822, 3 and 6 (underweighting,
/// residual editing); Luminary 099 SERVICER (fixed gains, widening window).
#include "altimeter.h"
#include "camera.h"
#include "imu.h"
#include "quat.h"
#include "velocimeter.h"

namespace mcr {

/// How the computer finds its state.
enum class NavigationMode : int {
    perfect = 0,      ///< The estimate is the truth; for tests and nominal design.
    fixed_gain = 1,   ///< Inertial navigation corrected with fixed gains, Apollo style.
    kalman = 2,       ///< Inertial navigation corrected by decoupled Kalman channels.
};

/// What happens to altimeter samples that fail the innovation gate.
enum class GatePolicy : int {
    per_sample = 0,   ///< Each sample is judged alone; rejection has no further consequence.
    latch = 1,        ///< After gate_count rejections in a row the altimeter is ignored for good.
    reset = 2,        ///< After gate_count rejections in a row height is set to the measurement.
    inflate = 3,      ///< After gate_count rejections in a row height variance grows by inflate_sigma squared.
    dem_aware = 4,    ///< The predicted range uses the on-board terrain map; each sample is judged alone.
};

/// How much of the elevation model the computer has.
enum class MapExtent : int {
    whole = 0,        ///< The strip along the track and the patch about the site.
    strip = 1,        ///< The strip alone.
};

/// On-board navigation.
struct Navigation {
    NavigationMode mode;         ///< [] default kalman. How the computer finds its state.
    GatePolicy gate_policy;      ///< [] default per_sample. What happens to rejected altimeter samples.
    real gate_sigma;             ///< [] > 0, default 5. Gate in standard deviations of the innovation.
    real gate_window;            ///< [m] >= 0, default 0 m. Absolute gate; above zero it replaces gate_sigma for the altimeter.
    real gate_fraction;          ///< [] >= 0, default 0. Growth of the absolute gate per unit of range.
    int  gate_count;             ///< [] >= 1, default 20. Rejections in a row before latch, reset or inflate act.
    real inflate_sigma;          ///< [m] > 0, default 500 m. Height uncertainty added by the inflate policy.
    real underweight;            ///< [] >= 0, default 0.2. Underweighting of altimeter updates.
    real map_sigma;              ///< [m] > 0, default 15 m. One-sigma knowledge of the ground's height.
    MapExtent map_extent;        ///< [] default whole. How much of an elevation model the map of dem_aware holds.
    real error_time;             ///< [s] > 0, default 5 s. Correlation time of map, scale and pointing errors of aiding sensors.
    real gravity_sigma;          ///< [m s^-2] >= 0, default 3e-4 m/s^2. One-sigma unmodelled gravity assumed on board.
    real altitude_weight;        ///< [] 0 .. 1, default 0.35. Fixed gain of altitude at the ground.
    real altitude_ceiling;       ///< [m] > 0, default 15240 m. Height at which the fixed gain of altitude is zero.
    real velocity_weight;        ///< [] 0 .. 1, default 0.3. Fixed gain of beam velocities.
    real altimeter_scale_sigma;  ///< [] >= 0, default 0.1 %. One-sigma scale error of the altimeter that the filter expects.
    real velocimeter_scale_sigma;  ///< [] >= 0, default 0.3 %. One-sigma scale error of the velocimeter that the filter expects.
    real velocimeter_pointing_sigma;  ///< [rad] >= 0, default 2 mrad. One-sigma pointing error of its beams that the filter expects.
    real radial_offset;          ///< [m] default 0 m. Believed less true radial position at the start, besides the knowledge scatter.
    real covariance_plane[21];   ///< internal. Initial covariance of the plane channel, packed upper triangle.
    real covariance_cross[6];    ///< internal. Initial covariance of the cross channel, packed upper triangle.
};

/// What the computer believes.
struct Estimate {
    Vec3 position_S;             // [m]
    Vec3 velocity_S;             // [m s^-1]
    Quat q_BS;
    real thrust_bias;            // [m s^-2] correction of the accelerometer along the thrust axis
};

/// Compensation of the estimate's sums and memory of the gate.
struct NavigationMemory {
    Vec3 position_rest;
    Vec3 velocity_rest;
    Quat q_rest;
    real plane[21];              // x z vx vz tilt bias
    real cross[6];               // y vy tilt
    int  rejected;               // altimeter rejections in a row
    int  failed;                 // 1: altimeter latched out
};

/// Index of element (i, j) of a packed upper triangle of order n. No branch: an unrolled loop is to see a constant.
constexpr MCR_FN int packed(int n, int i, int j) {
    int const row = i + static_cast<int>(i > j) * (j - i);
    return row * n - row * (row - 1) / 2 + (i + j - 2 * row);
}

/// Strapdown: estimate after one tick of increments; returns the specific force [m s^-2] felt in S.
MCR_FN Vec3 integrate_increments(Estimate& estimate, NavigationMemory& memory, Gravity const& gravity,
                                 Increments const& increments) {
    Vec3 const spin_B = rotate(estimate.q_BS, (gravity.rotation_rate * tick_period) * gravity.pole_S);
    Vec3 const turn_B = increments.angle_B - fused(real(0.5), cross(spin_B, increments.angle_B), spin_B);
    Quat const q_middle = turn_by(estimate.q_BS, memory.q_rest, turn_B);
    Vec3 const axis_S = rotate_inverse(q_middle, Vec3{real(0), real(0), real(1)});
    Vec3 const push_S = fused(estimate.thrust_bias * tick_period, axis_S, rotate_inverse(q_middle, increments.velocity_B));
    Vec3 const start_S = estimate.velocity_S;
    Vec3 const middle_S = fused(real(0.5) * tick_period, start_S, estimate.position_S);
    Vec3 const free_S = believed_acceleration(gravity, middle_S, fused(real(0.5), push_S, start_S));
    Vec3 const change_S = fused(tick_period, free_S, push_S);
    add_compensated(estimate.velocity_S, memory.velocity_rest, change_S);
    add_compensated(estimate.position_S, memory.position_rest, tick_period * fused(real(0.5), change_S, start_S));
    return (real(1) / tick_period) * push_S;
}

constexpr int covariance_ticks = 5;  ///< [tick] between two steps of the covariance (0.5 s): it is slow beside the state.

/// Covariance after `ticks` ticks, the last of them `tick`: P <- Phi P Phi^T + Q with the sparse Phi of the file's head.
/// turn: [rad] turned meanwhile.
MCR_FN void propagate_covariance(NavigationMemory& memory, Navigation const& navigation, Imu const& imu,
                                 Gravity const& gravity, Vec3 const& position_S, Vec3 const& velocity_S, Vec3 const& force_S,
                                 Vec3 const& axis_S, real turn, int tick, int ticks) {
    real const dt = seconds(ticks);
    // gravity gradient -GM/r^3 (I - 3 u u^T)
    Vec3 const r = (real(1) / megametre) * from_centre(gravity, position_S);
    real const inverse = real(1) / norm(r);
    Vec3 const up = inverse * r;
    real const stiffness = gravity.gravitational_parameter * real(1e-18) * inverse * inverse * inverse;
    real const gxx = stiffness * (real(3) * up.x * up.x - real(1));
    real const gxz = stiffness * real(3) * up.x * up.z;
    real const gzz = stiffness * (real(3) * up.z * up.z - real(1));

    // plane: M = Phi P by rows
    real const* const p = memory.plane;
    real m[36];
    MCR_UNROLL(36)
    for (int j = 0; j < 6; ++j) {
        real const px = p[packed(6, 0, j)];
        real const pz = p[packed(6, 1, j)];
        real const pvx = p[packed(6, 2, j)];
        real const pvz = p[packed(6, 3, j)];
        real const pt = p[packed(6, 4, j)];
        real const pb = p[packed(6, 5, j)];
        m[j] = px + dt * pvx;
        m[6 + j] = pz + dt * pvz;
        m[12 + j] = pvx + dt * (gxx * px + gxz * pz + force_S.z * pt + axis_S.x * pb);
        m[18 + j] = pvz + dt * (gxz * px + gzz * pz - force_S.x * pt + axis_S.z * pb);
        m[24 + j] = pt;
        m[30 + j] = pb;
    }
    // P = M Phi^T, upper triangle
    real q[21];
    MCR_UNROLL(36)
    for (int i = 0; i < 6; ++i) {
        real const mx = m[6 * i];
        real const mz = m[6 * i + 1];
        real const mvx = m[6 * i + 2];
        real const mvz = m[6 * i + 3];
        real const mt = m[6 * i + 4];
        real const mb = m[6 * i + 5];
        real const column[6] = {mx + dt * mvx, mz + dt * mvz,
                                mvx + dt * (gxx * mx + gxz * mz + force_S.z * mt + axis_S.x * mb),
                                mvz + dt * (gxz * mx + gzz * mz - force_S.x * mt + axis_S.z * mb), mt, mb};
        MCR_UNROLL(36)
        for (int j = 0; j < 6; ++j) {
            if (j >= i) q[packed(6, i, j)] = column[j];
        }
    }
    // process noise: velocity random walk; unmodelled gravity as white noise of its correlation time; gyro noise; gyro bias
    // scaled by 5/3; gyro scale factor and misalignment over the total turn (about pi/2)
    real const speed = maximum(norm(velocity_S), real(50));
    real const gravity_noise = real(2) * navigation.gravity_sigma * navigation.gravity_sigma * gravity.anomaly_length / speed;
    real const velocity_noise = (imu.accel_noise * imu.accel_noise + gravity_noise) * dt;
    real const gyro_drift = imu.gyro_bias * imu.gyro_bias + imu.gyro_walk * imu.gyro_walk;
    real const turn_error = imu.gyro_scale * imu.gyro_scale + imu.gyro_misalign * imu.gyro_misalign;
    real const tilt_noise = imu.gyro_noise * imu.gyro_noise * dt +
                            real(2) * real(5.0 / 3.0) * gyro_drift * seconds(tick) * dt +
                            turn_error * real(1.5707963) * turn;
    q[packed(6, 2, 2)] += velocity_noise;
    q[packed(6, 3, 3)] += velocity_noise;
    q[packed(6, 4, 4)] += tilt_noise;
    MCR_UNROLL(36)
    for (int k = 0; k < 21; ++k) memory.plane[k] = q[k];

    // cross: y, vy, lateral tilt of the thrust
    real const force = norm(force_S);
    real const* const c = memory.cross;
    real const ky = -stiffness;
    real const my_y = c[0] + dt * c[1];
    real const my_v = c[1] + dt * c[3];
    real const my_t = c[2] + dt * c[4];
    real const mv_y = c[1] + dt * (ky * c[0] + force * c[2]);
    real const mv_v = c[3] + dt * (ky * c[1] + force * c[4]);
    real const mv_t = c[4] + dt * (ky * c[2] + force * c[5]);
    real const tilt = c[5];
    memory.cross[0] = my_y + dt * my_v;
    memory.cross[1] = my_v + dt * (ky * my_y + force * my_t);
    memory.cross[2] = my_t;
    memory.cross[3] = mv_v + dt * (ky * mv_y + force * mv_t) + velocity_noise;
    memory.cross[4] = mv_t;
    memory.cross[5] = tilt + tilt_noise;
}

/// The step of the covariance that ends with this tick, one of whose increments turned by `angle_B`. The first of a run is
/// one tick long.
MCR_FN void step_covariance(NavigationMemory& memory, Navigation const& navigation, Imu const& imu, Gravity const& gravity,
                            Estimate const& estimate, Vec3 const& force_S, Vec3 const& angle_B, int tick) {
    int const ticks = tick > 0 ? covariance_ticks : 1;
    Vec3 const axis_S = rotate_inverse(estimate.q_BS, Vec3{real(0), real(0), real(1)});
    propagate_covariance(memory, navigation, imu, gravity, estimate.position_S, estimate.velocity_S, force_S, axis_S,
                         real_of(ticks) * norm(angle_B), tick, ticks);
}

/// One scalar measurement linear in position and velocity: row H, innovation, noise variance.
struct Scalar {
    real x, z, vx, vz;           // plane row
    real y, vy;                  // cross row
    real innovation;
    real noise;                  // variance of the white part of the measurement error
    real constant;               // variance of the part that stays: map, scale factor, pointing
};

/// Variance of one sample as the gain sees it: an error that lasts `time` is averaged once per `time`, not once per sample.
MCR_FN real gain_variance(Scalar const& s, real time, int period_ticks) {
    return s.noise + s.constant * maximum(time / seconds(period_ticks), real(1));
}

/// Variance of the innovation of one sample, for the gate: H P H^T + R.
MCR_FN real innovation_variance(NavigationMemory const& memory, Scalar const& s) {
    real const h[4] = {s.x, s.z, s.vx, s.vz};
    real sum = s.noise + s.constant;
    MCR_UNROLL(36)
    for (int i = 0; i < 4; ++i) {
        real row = real(0);
        MCR_UNROLL(36)
        for (int j = 0; j < 4; ++j) row += h[j] * memory.plane[packed(6, i, j)];
        sum += h[i] * row;
    }
    real const* const c = memory.cross;
    return sum + s.y * s.y * c[0] + real(2) * s.y * s.vy * c[1] + s.vy * s.vy * c[3];
}

/// Turns an attitude by small angles: `pitch` about the S y axis and `lateral` about the axis that tilts the thrust sideways.
MCR_FN Quat turned(Quat const& q_BS, real pitch, real lateral) {
    Vec3 const axis_S = rotate_inverse(q_BS, Vec3{real(0), real(0), real(1)});
    Vec3 const sideways = unit(cross(axis_S, Vec3{real(0), real(1), real(0)}));
    Vec3 const turn_S = Vec3{real(0), pitch, real(0)} + lateral * sideways;
    return renormalise(multiply(from_rotation_vector(turn_S), q_BS));
}

/// Kalman update by one scalar of error variance `variance`; with `accepted` false nothing changes. `underweight` widens
/// H P H^T in the gain only.
MCR_FN void update(Estimate& estimate, NavigationMemory& memory, Scalar const& s, real variance, real underweight,
                   bool accepted) {
    real const h[4] = {s.x, s.z, s.vx, s.vz};
    real gain[6];
    real spread = real(0);
    MCR_UNROLL(36)
    for (int i = 0; i < 6; ++i) {
        real row = real(0);
        MCR_UNROLL(36)
        for (int j = 0; j < 4; ++j) row += h[j] * memory.plane[packed(6, i, j)];
        gain[i] = row;
    }
    MCR_UNROLL(36)
    for (int i = 0; i < 4; ++i) spread += h[i] * gain[i];
    real const* const c = memory.cross;
    real const side[3] = {s.y * c[0] + s.vy * c[1], s.y * c[1] + s.vy * c[3], s.y * c[2] + s.vy * c[4]};
    spread += s.y * side[0] + s.vy * side[1];
    real const total = (real(1) + underweight) * spread + variance;
    real const weight = select(accepted, real(1) / total, real(0));
    real const step = weight * s.innovation;
    estimate.position_S.x += gain[0] * step;
    estimate.position_S.z += gain[1] * step;
    estimate.velocity_S.x += gain[2] * step;
    estimate.velocity_S.z += gain[3] * step;
    estimate.thrust_bias += gain[5] * step;
    estimate.position_S.y += side[0] * step;
    estimate.velocity_S.y += side[1] * step;
    estimate.q_BS = turned(estimate.q_BS, gain[4] * step, side[2] * step);
    MCR_UNROLL(36)
    for (int i = 0; i < 6; ++i) {
        MCR_UNROLL(36)
        for (int j = 0; j < 6; ++j) {
            if (j >= i) memory.plane[packed(6, i, j)] -= weight * gain[i] * gain[j];
        }
    }
    memory.cross[0] -= weight * side[0] * side[0];
    memory.cross[1] -= weight * side[0] * side[1];
    memory.cross[2] -= weight * side[0] * side[2];
    memory.cross[3] -= weight * side[1] * side[1];
    memory.cross[4] -= weight * side[1] * side[2];
    memory.cross[5] -= weight * side[2] * side[2];
    // rounding must not make a variance negative (plain form in single precision)
    memory.plane[packed(6, 0, 0)] = maximum(memory.plane[packed(6, 0, 0)], real(1e-2));
    memory.plane[packed(6, 1, 1)] = maximum(memory.plane[packed(6, 1, 1)], real(1e-2));
    memory.plane[packed(6, 2, 2)] = maximum(memory.plane[packed(6, 2, 2)], real(1e-6));
    memory.plane[packed(6, 3, 3)] = maximum(memory.plane[packed(6, 3, 3)], real(1e-6));
    memory.plane[packed(6, 4, 4)] = maximum(memory.plane[packed(6, 4, 4)], real(1e-12));
    memory.plane[packed(6, 5, 5)] = maximum(memory.plane[packed(6, 5, 5)], real(1e-12));
    memory.cross[0] = maximum(memory.cross[0], real(1e-2));
    memory.cross[3] = maximum(memory.cross[3], real(1e-6));
    memory.cross[5] = maximum(memory.cross[5], real(1e-12));
}

/// Variance along a direction in the plane: of position (offset 0) or velocity (offset 2).
MCR_FN real plane_variance(NavigationMemory const& memory, Vec3 const& direction, int offset) {
    real const xx = memory.plane[packed(6, offset, offset)];
    real const xz = memory.plane[packed(6, offset, offset + 1)];
    real const zz = memory.plane[packed(6, offset + 1, offset + 1)];
    return direction.x * direction.x * xx + real(2) * direction.x * direction.z * xz + direction.z * direction.z * zz;
}

/// One-sigma uncertainty along a direction in the plane: of position (offset 0) or velocity (offset 2).
MCR_FN real plane_sigma(NavigationMemory const& memory, Vec3 const& direction, int offset) {
    return square_root(maximum(plane_variance(memory, direction, offset), real(0)));
}

/// Variance of the map's height about a place that is known to one sigma along and aside: from its heights one sigma away
/// (sigma points, Julier & Uhlmann 2004, Proc. IEEE 92, 401).
MCR_FN real map_variance(Surface const& surface, Terrain const& map, GridPoint const& place, real along, real aside,
                         bool whole) {
    real const middle = surface_spot(surface, map, place, whole).height;
    real const ahead = surface_spot(surface, map, GridPoint{place.x + along, place.y}, whole).height - middle;
    real const behind = surface_spot(surface, map, GridPoint{place.x - along, place.y}, whole).height - middle;
    real const left = surface_spot(surface, map, GridPoint{place.x, place.y + aside}, whole).height - middle;
    real const right = surface_spot(surface, map, GridPoint{place.x, place.y - aside}, whole).height - middle;
    return real(0.5) * ((ahead * ahead + behind * behind) + (left * left + right * right));
}

constexpr real local_ground = real(1000);  ///< [m] slant range below which the map's error fades out.

/// What became of an altimeter sample.
struct Verdict {
    int used;                    // 1 accepted, 0 no sample, -1 rejected
    real innovation;             // [m]
};

/// Altimeter update with its gate and policy; `map` is the on-board terrain map, used where `mapped`.
/// map_height: [m] by which the computer believes the ground higher than it was told.
MCR_FN Verdict use_range(Estimate& estimate, NavigationMemory& memory, Navigation const& navigation,
                         Altimeter const& altimeter, Surface const& surface, Terrain const& map, Gravity const& gravity,
                         Range const& range, real map_height, Shape shape, bool mapped) {
    Vec3 const beam_S = rotate_inverse(estimate.q_BS, altimeter.beam_B);
    Vec3 const up = unit(from_centre(gravity, estimate.position_S));
    real predicted;
    real slope = real(0);
    real rough = real(0);  // [m^2] variance of the ground's height within the knowledge of the position
    if (mapped & (shape == Shape::grid)) {
        // an elevation model is too rough for its slope to tell of the position: how it differs a sigma away is noise instead
        bool const whole = navigation.map_extent == MapExtent::whole;
        predicted = grid_distance(surface, map, gravity, estimate.position_S, beam_S, real(1e6), whole);
        GridPoint const spot = grid_point(gravity, estimate.position_S + predicted * beam_S);
        Vec3 const ahead{up.z, real(0), -up.x};
        real const along = square_root(maximum(plane_variance(memory, ahead, 0), real(0)));
        real const aside = square_root(maximum(memory.cross[0], real(0)));
        rough = map_variance(surface, map, spot, along, aside, whole);
    } else if (mapped) {
        // where the map slopes, range also tells of the position along the track: height less slope times way
        predicted = ground_distance(map, gravity, estimate.position_S, beam_S);
        Vec3 const spot_S = from_centre(gravity, estimate.position_S + predicted * beam_S);
        slope = ground_profile(map, gravity.radius * arctangent2(spot_S.x, spot_S.z)).slope;
    } else {
        predicted = sphere_distance(gravity, real(0), estimate.position_S, beam_S);
    }
    Vec3 const normal = up - slope * Vec3{up.z, real(0), -up.x};
    real const cosine = maximum(-dot(beam_S, normal), real(0.1));
    real const slant = maximum(range.distance, real(0));
    real const noise = altimeter.noise * altimeter.noise + altimeter.noise_fraction * altimeter.noise_fraction * slant * slant;
    // what counts at last is the height over the very ground under the feet: there the map's error is none
    real const ground = navigation.map_sigma * clamp(slant / local_ground, real(0.02), real(1)) / cosine;
    real const factor = navigation.altimeter_scale_sigma * slant;
    real const sine2 = maximum(real(1) + slope * slope - cosine * cosine, real(0));
    real const pointing = slant * slant * sine2 / (cosine * cosine) * memory.plane[packed(6, 4, 4)];
    real const scale = real(1) / cosine;
    Scalar const s{normal.x * scale, normal.z * scale, real(0), real(0), real(0), real(0),
                   range.distance - predicted + scale * map_height, noise,
                   ground * ground + rough * scale * scale + factor * factor + pointing};

    // gate
    real const spread = innovation_variance(memory, s);
    real const window = navigation.gate_window + navigation.gate_fraction * slant;
    bool const absolute_gate = (navigation.gate_window > real(0)) | (navigation.gate_fraction > real(0));
    bool const inside = select(absolute_gate, absolute(s.innovation) <= window,
                               s.innovation * s.innovation <= navigation.gate_sigma * navigation.gate_sigma * spread);
    bool const usable = (range.valid == 1) & (memory.failed == 0);

    // policy after gate_count rejections in a row
    bool const again = usable & !inside & (memory.rejected + 1 >= navigation.gate_count);
    bool const resets = again & (navigation.gate_policy == GatePolicy::reset);
    bool const inflates = again & (navigation.gate_policy == GatePolicy::inflate);
    real const added = select(resets, s.innovation * s.innovation,
                              select(inflates, navigation.inflate_sigma * navigation.inflate_sigma, real(0)));
    memory.plane[packed(6, 0, 0)] += added * up.x * up.x;
    memory.plane[packed(6, 0, 1)] += added * up.x * up.z;
    memory.plane[packed(6, 1, 1)] += added * up.z * up.z;
    memory.failed = select(again & (navigation.gate_policy == GatePolicy::latch), 1, memory.failed);
    bool const accepted = usable & (inside | resets);
    memory.rejected = select(usable, select(accepted | inflates, 0, memory.rejected + 1), memory.rejected);

    // fixed gains: only height, with a weight that falls to zero at the ceiling
    bool const fixed = navigation.mode == NavigationMode::fixed_gain;
    real const height = sphere_height(gravity.radius, estimate.position_S);
    real const weight = clamp(navigation.altitude_weight * (real(1) - height / navigation.altitude_ceiling), real(0), real(1));
    real const lift = select(accepted & fixed, weight * s.innovation * cosine, real(0));
    real const variance = gain_variance(s, navigation.error_time, altimeter.period_ticks);
    update(estimate, memory, s, variance, navigation.underweight, accepted & !fixed);
    estimate.position_S = estimate.position_S + lift * up;
    return Verdict{select(usable, select(accepted, 1, -1), 0), select(range.valid == 1, s.innovation, real(0))};
}

/// Velocimeter update, beam by beam.
MCR_FN void use_speeds(Estimate& estimate, NavigationMemory& memory, Navigation const& navigation,
                       Velocimeter const& velocimeter, BeamSpeeds const& speeds) {
    bool const fixed = navigation.mode == NavigationMode::fixed_gain;
    // scale factor and pointing stay, both in proportion to speed
    real const lasting = navigation.velocimeter_scale_sigma * navigation.velocimeter_scale_sigma +
                         navigation.velocimeter_pointing_sigma * navigation.velocimeter_pointing_sigma;
    MCR_UNROLL(36)
    for (int beam = 0; beam < 3; ++beam) {
        Vec3 const beam_S = rotate_inverse(estimate.q_BS, beam_direction(velocimeter, beam));
        Scalar const s{real(0), real(0), beam_S.x, beam_S.z, real(0), beam_S.y,
                       speeds.speed[beam] - dot(beam_S, estimate.velocity_S), velocimeter.noise * velocimeter.noise,
                       lasting * norm_squared(estimate.velocity_S)};
        real const spread = innovation_variance(memory, s);
        bool const inside = s.innovation * s.innovation <= navigation.gate_sigma * navigation.gate_sigma * spread;
        bool const accepted = (speeds.valid[beam] == 1) & (inside | fixed);
        real const share = select(accepted & fixed, navigation.velocity_weight * s.innovation, real(0));
        real const variance = gain_variance(s, navigation.error_time, velocimeter.period_ticks);
        update(estimate, memory, s, variance, real(0), accepted & !fixed);
        estimate.velocity_S = estimate.velocity_S + share * beam_S;
    }
}

/// Position fix update; returns true if a false match was accepted.
MCR_FN bool use_fix(Estimate& estimate, NavigationMemory& memory, Navigation const& navigation, Camera const& camera,
                    Gravity const& gravity, Fix const& fix) {
    real const angle = arctangent2(estimate.position_S.x, estimate.position_S.z + gravity.radius);
    SineCosine const turn = sine_cosine(angle);
    real const shrink = gravity.radius / norm(from_centre(gravity, estimate.position_S));
    real const noise = fix.sigma * fix.sigma;
    real const tie = camera.tie_sigma * camera.tie_sigma;
    bool const kalman = navigation.mode == NavigationMode::kalman;
    Scalar const along{turn.cosine * shrink, -turn.sine * shrink, real(0), real(0), real(0), real(0),
                       fix.arc - gravity.radius * angle, noise, tie};
    Scalar const side{real(0), real(0), real(0), real(0), real(1), real(0), fix.y - estimate.position_S.y, noise, tie};
    real const gate = navigation.gate_sigma * navigation.gate_sigma;
    bool const along_inside = along.innovation * along.innovation <= gate * innovation_variance(memory, along);
    bool const side_inside = side.innovation * side.innovation <= gate * innovation_variance(memory, side);
    bool const accepted = (fix.valid == 1) & kalman & along_inside & side_inside;
    real const variance = gain_variance(along, navigation.error_time, camera.period_ticks);
    update(estimate, memory, along, variance, real(0), accepted);
    update(estimate, memory, side, variance, real(0), accepted);
    return accepted & (fix.false_match == 1);
}

}  // namespace mcr
