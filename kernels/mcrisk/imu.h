#pragma once
/// Inertial measurement unit: velocity and angle increments over one tick.
/// Modelled: residual bias after calibration, in-run bias walk (Gauss-Markov), scale factor, misalignment, white noise
/// (integrated: exactly N(0, N^2 dt)), quantisation with carried remainder, gyro range limit. Not modelled: g-sensitivity.
/// Source: Groves, Principles of GNSS, Inertial and Multisensor Integrated Navigation Systems, 4.4 (error model).
#include "clock.h"
#include "faults.h"
#include "philox.h"
#include "streams.h"
#include "vec.h"

namespace mcr {

/// Inertial measurement unit; every figure is one-sigma per axis.
struct Imu {
    real gyro_bias;        ///< [rad s^-1] >= 0, default 0.3 deg/h. Residual gyro bias after calibration.
    real gyro_walk;        ///< [rad s^-1] >= 0, default 0.1 deg/h. In-run gyro bias instability.
    real gyro_noise;       ///< [rad s^-0.5] >= 0, default 0.07 deg/sqrt(h). Angle random walk.
    real gyro_scale;       ///< [] >= 0, default 100 ppm. Gyro scale factor.
    real gyro_misalign;    ///< [rad] >= 0, default 0.1 mrad. Gyro misalignment.
    real gyro_quantum;     ///< [rad] >= 0, default 1e-6 rad. Smallest angle increment reported.
    real gyro_rate_max;    ///< [rad s^-1] > 0, default 300 deg/s. Largest rate measured.
    real accel_bias;       ///< [m s^-2] >= 0, default 50 ug. Residual accelerometer bias after calibration.
    real accel_walk;       ///< [m s^-2] >= 0, default 20 ug. In-run accelerometer bias instability.
    real accel_noise;      ///< [m s^-1.5] >= 0, default 0.02 m/s/sqrt(h). Velocity random walk.
    real accel_scale;      ///< [] >= 0, default 300 ppm. Accelerometer scale factor.
    real accel_misalign;   ///< [rad] >= 0, default 0.1 mrad. Accelerometer misalignment.
    real accel_quantum;    ///< [m s^-1] >= 0, default 1e-4 m/s. Smallest velocity increment reported.
    real walk_time;        ///< [s] > 0, default 300 s. Correlation time of both in-run biases.
    real attitude_sigma;   ///< [rad] >= 0, default 0.1 mrad. Initial attitude error per axis from the star tracker.
};

/// Errors of one unit, drawn once per run.
struct ImuErrors {
    Vec3 gyro_bias;
    Vec3 gyro_scale;
    Vec3 gyro_misalign;
    Vec3 accel_bias;
    Vec3 accel_scale;
    Vec3 accel_misalign;
};

/// Slow memory of one unit.
struct ImuMemory {
    Vec3 gyro_walk;        // [rad s^-1]
    Vec3 accel_walk;       // [m s^-2]
    Vec3 angle_rest;       // [rad] not yet reported
    Vec3 velocity_rest;    // [m s^-1] not yet reported
    Vec3 angle_last;       // [rad] reported last
    Vec3 velocity_last;    // [m s^-1] reported last
};

/// Increments reported for one tick.
struct Increments {
    Vec3 angle_B;          // [rad]
    Vec3 velocity_B;       // [m s^-1]
};

/// Three of the four normal numbers of one draw.
MCR_FN Vec3 normal_vector(Draws const& draws, Stream stream, unsigned number) {
    Normal4 const n = normals(draws, stream, number);
    return Vec3{n.a, n.b, n.c};
}

/// Errors of this run's unit.
MCR_FN ImuErrors make_imu_errors(Imu const& imu, Draws const& draws) {
    return ImuErrors{imu.gyro_bias * normal_vector(draws, Stream::gyro_bias, 0),
                     imu.gyro_scale * normal_vector(draws, Stream::gyro_bias, 1),
                     imu.gyro_misalign * normal_vector(draws, Stream::gyro_bias, 2),
                     imu.accel_bias * normal_vector(draws, Stream::accel_bias, 0),
                     imu.accel_scale * normal_vector(draws, Stream::accel_bias, 1),
                     imu.accel_misalign * normal_vector(draws, Stream::accel_bias, 2)};
}

/// In-run biases start in their steady state.
MCR_FN ImuMemory make_imu_memory(Imu const& imu, Draws const& draws) {
    Vec3 const zero{real(0), real(0), real(0)};
    return ImuMemory{imu.gyro_walk * normal_vector(draws, Stream::imu_walk, 0),
                     imu.accel_walk * normal_vector(draws, Stream::imu_walk, 1), zero, zero, zero, zero};
}

/// One Gauss-Markov step of a vector: x <- d x + sigma sqrt(1 - d^2) n.
MCR_FN Vec3 walk(Vec3 const& value, real sigma, real decay, Vec3 const& normal) {
    real const kick = sigma * square_root(maximum(real(1) - decay * decay, real(0)));
    return decay * value + kick * normal;
}

/// In-run biases one second later; `number` counts these steps.
MCR_FN ImuMemory drift(Imu const& imu, ImuMemory const& memory, Draws const& draws, unsigned number, real seconds_passed) {
    real const decay = exponential(-seconds_passed / imu.walk_time);
    ImuMemory next = memory;
    next.gyro_walk = walk(memory.gyro_walk, imu.gyro_walk, decay, normal_vector(draws, Stream::imu_walk, number));
    next.accel_walk = walk(memory.accel_walk, imu.accel_walk, decay, normal_vector(draws, Stream::imu_walk, number + 1u));
    return next;
}

namespace detail {

MCR_FN real nearest_multiple(real value, real quantum, real inverse) {
    real const whole = real_of(to_int(fused(absolute(value), inverse, real(0.5)), 0, 4194303)) * quantum;
    return select(value < real(0), -whole, whole);
}

}  // namespace detail

/// The nearest whole multiples of a quantum; the value itself if the quantum is zero.
MCR_FN Vec3 quantised(Vec3 const& value, real quantum) {
    bool const coarse = quantum > real(0);
    real const safe = select(coarse, quantum, real(1));
    real const inverse = real(1) / safe;
    Vec3 const whole{detail::nearest_multiple(value.x, safe, inverse), detail::nearest_multiple(value.y, safe, inverse),
                     detail::nearest_multiple(value.z, safe, inverse)};
    return select(coarse, whole, value);
}

MCR_FN Vec3 limited(Vec3 const& value, real limit) {
    return Vec3{clamp(value.x, -limit, limit), clamp(value.y, -limit, limit), clamp(value.z, -limit, limit)};
}

/// A number kept within plus or minus a limit; NaN stays NaN.
MCR_FN real bounded(real value, real limit) {
    return select(value > limit, limit, select(value < -limit, -limit, value));
}

/// An increment as a unit with faults gives it, before quantisation.
MCR_FN Vec3 failed(Vec3 const& value, Vec3 const& gain, Vec3 const& limit) {
    return Vec3{bounded(gain.x * value.x, limit.x), bounded(gain.y * value.y, limit.y), bounded(gain.z * value.z, limit.z)};
}

/// The last reading on the axes that are frozen.
MCR_FN Vec3 unless_frozen(int const* frozen, Vec3 const& last, Vec3 const& fresh) {
    return Vec3{select(frozen[0] == 1, last.x, fresh.x), select(frozen[1] == 1, last.y, fresh.y),
                select(frozen[2] == 1, last.z, fresh.z)};
}

/// Increments measured over one tick from the true ones; carries the unreported remainder in `memory`.
/// One of the two normal numbers that the six axes leave unused goes to `spare`.
MCR_FN Increments measure_increments(Imu const& imu, ImuErrors const& errors, Failing const& failing, ImuMemory& memory,
                                     Vec3 const& angle_B, Vec3 const& velocity_B, Draws const& draws, int tick, real& spare) {
    Normal4 const first = normals(draws, Stream::imu_noise, 2u * static_cast<unsigned>(tick));
    Normal4 const second = normals(draws, Stream::imu_noise, 2u * static_cast<unsigned>(tick) + 1u);
    spare = second.c;
    real const root = square_root(tick_period);
    Vec3 const turned = limited(angle_B, imu.gyro_rate_max * tick_period);
    Vec3 const gyro_error = fused(errors.gyro_scale, turned, cross(errors.gyro_misalign, turned));
    Vec3 const gyro_chance = fused(imu.gyro_noise * root, Vec3{first.a, first.b, first.c}, memory.angle_rest);
    Vec3 const full_angle = turned + (gyro_error + fused(tick_period, errors.gyro_bias + memory.gyro_walk, gyro_chance));
    Vec3 const accel_error = fused(errors.accel_scale, velocity_B, cross(errors.accel_misalign, velocity_B));
    Vec3 const accel_chance = fused(imu.accel_noise * root, Vec3{first.d, second.a, second.b}, memory.velocity_rest);
    Vec3 const full_velocity =
        velocity_B + (accel_error + fused(tick_period, errors.accel_bias + memory.accel_walk, accel_chance));
    Vec3 const angle = failed(full_angle, failing.gyro_gain, failing.gyro_limit);
    Vec3 const velocity = failed(full_velocity, failing.accel_gain, failing.accel_limit);
    Vec3 const angle_whole = quantised(angle, imu.gyro_quantum);
    Vec3 const velocity_whole = quantised(velocity, imu.accel_quantum);
    memory.angle_rest = angle - angle_whole;
    memory.velocity_rest = velocity - velocity_whole;
    Increments const reported{unless_frozen(failing.gyro_frozen, memory.angle_last, angle_whole),
                              unless_frozen(failing.accel_frozen, memory.velocity_last, velocity_whole)};
    memory.angle_last = reported.angle_B;
    memory.velocity_last = reported.velocity_B;
    return reported;
}

}  // namespace mcr
