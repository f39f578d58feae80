#pragma once
/// On-board attitude control: proportional on the quaternion error with a rate limit, rate loop, allocation of torque to
/// differential duty of the cluster first and attitude thrusters for the rest.
/// Source: Wie, Space Vehicle Dynamics and Control, 7.3 (quaternion feedback), 7.6 (pulsed thrusters).
#include "navigation.h"
#include "propulsion.h"
#include "rcs.h"
#include "vehicle.h"

namespace mcr {

/// On-board attitude control.
struct Control {
    real attitude_gain;    ///< [s^-1] > 0, default 0.6 /s. Rate asked for per unit of attitude error.
    real rate_gain;        ///< [s^-1] > 0, default 1.5 /s. Angular acceleration asked for per unit of rate error.
    real rate_max;         ///< [rad s^-1] > 0, default 5 deg/s. Largest rate asked for.
    real trim_gain;        ///< [s^-2] >= 0, default 0.3 /s^2. Growth of the trim torque per unit of rate error.
    real trim_max;         ///< [rad s^-2] >= 0, default 0.2 rad/s^2. Largest angular acceleration of the trim torque.
    real deadband;         ///< [rad] >= 0, default 0.1 deg. Attitude error that is left alone.
};

/// Attitude error as a rotation vector in body axes [rad] (2 vec(q_e)) from commanded thrust direction and roll reference:
/// body y stays nearest to the S y axis.
MCR_FN Vec3 attitude_error(Quat const& q_BS, Vec3 const& direction_S) {
    Vec3 const z_S = direction_S;
    Vec3 const y_axis{real(0), real(1), real(0)};
    Vec3 const y_S = unit(y_axis - dot(y_axis, z_S) * z_S);
    Vec3 const x_S = cross(y_S, z_S);
    Vec3 const x_B = rotate(q_BS, x_S);
    Vec3 const y_B = rotate(q_BS, y_S);
    Vec3 const z_B = rotate(q_BS, z_S);
    // half the sum of e_i x c_i is sin(angle) axis; the trace gives the angle
    Vec3 const sine_axis = real(0.5) * Vec3{y_B.z - z_B.y, z_B.x - x_B.z, x_B.y - y_B.x};
    real const trace = x_B.x + y_B.y + z_B.z;
    real const half_cosine = real(0.5) * square_root(maximum(real(1) + trace, real(0.01)));
    return (real(1) / half_cosine) * sine_axis;  // 2 sin(angle/2) axis
}

/// Angle between the thrust axis and the commanded direction.
MCR_FN real pointing_error(Quat const& q_BS, Vec3 const& direction_S) {
    Vec3 const z_S = rotate_inverse(q_BS, Vec3{real(0), real(0), real(1)});
    return arctangent2(norm(cross(z_S, direction_S)), dot(z_S, direction_S));
}

MCR_FN real dead_zone(real value, real width) {
    return value - clamp(value, -width, width);
}

/// Torque asked for [N m]; `trim_B` [rad s^-2] learns the torque of misaligned thrust and an offset centre of gravity.
MCR_FN Vec3 control_torque(Control const& control, Vec3& trim_B, Vec3 const& inertia, Quat const& q_BS,
                           Vec3 const& direction_S, Vec3 const& rate_B) {
    Vec3 const error = attitude_error(q_BS, direction_S);
    Vec3 const outside{dead_zone(error.x, control.deadband), dead_zone(error.y, control.deadband),
                       dead_zone(error.z, control.deadband)};
    Vec3 const wish = control.attitude_gain * outside;
    real const size = norm(wish);
    Vec3 const rate = (control.rate_max / maximum(size, control.rate_max)) * wish;
    Vec3 const miss = rate - rate_B;
    trim_B = limited(trim_B + (control.trim_gain * tick_period) * miss, control.trim_max);
    return scale(inertia, control.rate_gain * miss + trim_B);
}

}  // namespace mcr
