/// Attitude quaternions. Hamilton's product, w first, unit length, used passively:
///   q_BS takes S components to B components:            v_B  = rotate(q_BS, v_S)
///   adjacent letters cancel:                            q_CS = compose(q_CB, q_BS)
///   B is S turned by `turn` (same components in both):  q_BS = from_rotation_vector(turn)
///   so a body that turns at omega_BS_B for a time dt:   q_BS <- compose(from_rotation_vector(dt * omega_BS_B), q_BS)
///   and the rate of change is                           d q_BS / dt = rate_of_change(q_BS, omega_BS_B)
/// In formulas: q_BS = (cos a/2, sin a/2 axis), v_B = q_BS* (x) v_S (x) q_BS, q_CS = q_BS (x) q_CB,
/// d q_BS / dt = q_BS (x) (0, omega_BS_B) / 2.
/// Source: J. Sola, Quaternion kinematics for the error-state Kalman filter, arXiv:1711.02508 (2017), sections 1-4
/// (his local-to-global q_SB is our q_BS: the same four numbers).
#pragma once
#include "elementary.h"
#include "vec.h"

namespace mcr {

struct Quat {
    real w;
    real x;
    real y;
    real z;
};

MCR_FN Quat identity() { return {1, 0, 0, 0}; }

MCR_FN Vec3 vector_part(Quat const& q) { return {q.x, q.y, q.z}; }

MCR_FN Quat operator+(Quat const& a, Quat const& b) { return {a.w + b.w, a.x + b.x, a.y + b.y, a.z + b.z}; }
MCR_FN Quat operator-(Quat const& a, Quat const& b) { return {a.w - b.w, a.x - b.x, a.y - b.y, a.z - b.z}; }
MCR_FN Quat operator*(real s, Quat const& q) { return {s * q.w, s * q.x, s * q.y, s * q.z}; }

/// Hamilton's product a (x) b.
MCR_FN Quat multiply(Quat const& a, Quat const& b) {
    return {fused(-a.z, b.z, fused(-a.y, b.y, fused(-a.x, b.x, a.w * b.w))),
            fused(-a.z, b.y, fused(a.y, b.z, fused(a.x, b.w, a.w * b.x))),
            fused(a.z, b.x, fused(a.y, b.w, fused(-a.x, b.z, a.w * b.y))),
            fused(a.z, b.w, fused(-a.y, b.x, fused(a.x, b.y, a.w * b.z)))};
}

/// q_CS from q_CB and q_BS.
MCR_FN Quat compose(Quat const& q_CB, Quat const& q_BS) { return multiply(q_BS, q_CB); }

/// The inverse: q_SB from q_BS.
MCR_FN Quat conjugate(Quat const& q) { return {q.w, -q.x, -q.y, -q.z}; }

namespace detail {

/// (w, u) (x) v (x) (w, -u) of a unit quaternion: v + 2 u x (u x v + w v).
MCR_FN Vec3 sandwich(real w, Vec3 const& u, Vec3 const& v) {
    Vec3 const t = {fused(u.y, v.z, fused(-u.z, v.y, w * v.x)), fused(u.z, v.x, fused(-u.x, v.z, w * v.y)),
                    fused(u.x, v.y, fused(-u.y, v.x, w * v.z))};
    Vec3 const twice = 2 * u;
    return {fused(twice.y, t.z, fused(-twice.z, t.y, v.x)), fused(twice.z, t.x, fused(-twice.x, t.z, v.y)),
            fused(twice.x, t.y, fused(-twice.y, t.x, v.z))};
}

}  // namespace detail

/// v_B from v_S.
MCR_FN Vec3 rotate(Quat const& q_BS, Vec3 const& v_S) { return detail::sandwich(q_BS.w, -vector_part(q_BS), v_S); }

/// v_S from v_B.
MCR_FN Vec3 rotate_inverse(Quat const& q_BS, Vec3 const& v_B) {
    return detail::sandwich(q_BS.w, vector_part(q_BS), v_B);
}

MCR_FN real norm_squared(Quat const& q) { return fused(q.z, q.z, fused(q.y, q.y, fused(q.x, q.x, q.w * q.w))); }

/// q at unit length; the zero quaternion becomes the identity.
MCR_FN Quat normalise(Quat const& q) {
    real const length = square_root(norm_squared(q));
    bool const usable = length != 0;
    real const factor = 1 / select(usable, length, real(1));
    return {select(usable, factor * q.w, real(1)), factor * q.x, factor * q.y, factor * q.z};
}

/// q nearer to unit length, by one Newton step: a relative error e of the length becomes 1.5 e^2.
MCR_FN Quat renormalise(Quat const& q) { return fused(real(-0.5), norm_squared(q), real(1.5)) * q; }

/// q_BS of a frame B that is S turned by `turn` [rad] (exponential map), |turn| <= 2e4.
MCR_FN Quat from_rotation_vector(Vec3 const& turn) {
    real const square = norm_squared(turn);
    real const angle = square_root(square);
    SineCosine const half = sine_cosine(real(0.5) * angle);
    // sin(angle / 2) / angle; the series below angle = 2^-8 (next term angle^4 / 3840)
    bool const small = square < real(1.52587890625e-5);
    real const series = fused(square, fused(square, real(1.0 / 3840.0), real(-1.0 / 48.0)), real(0.5));
    real const ratio = select(small, series, half.sine / select(small, real(1), angle));
    return {half.cosine, ratio * turn.x, ratio * turn.y, ratio * turn.z};
}

/// The same for |turn| <= 1, at a third of the cost: one step of an integration.
MCR_FN Quat from_small_rotation_vector(Vec3 const& turn) {
    // cos(angle / 2) and sin(angle / 2) / angle as series of the squared half angle
    real const square = real(0.25) * norm_squared(turn);
    real cosine, ratio;
    if constexpr (real_is_double) {
        cosine = detail::polynomial(square, 1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800,
                                    1.0 / 479001600, -1.0 / 87178291200);
        ratio = detail::polynomial(square, 0.5, -0.5 / 6, 0.5 / 120, -0.5 / 5040, 0.5 / 362880, -0.5 / 39916800,
                                   0.5 / 6227020800);
    } else {
        cosine = detail::polynomial(square, 1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320);
        ratio = detail::polynomial(square, 0.5, -0.5 / 6, 0.5 / 120, -0.5 / 5040);
    }
    return {cosine, ratio * turn.x, ratio * turn.y, ratio * turn.z};
}

/// The turn [rad], at most half a turn long, that takes S to B; the inverse of from_rotation_vector.
MCR_FN Vec3 rotation_vector_of(Quat const& q_BS) {
    real const sign = sign_of(q_BS.w);  // q and -q are one attitude
    Vec3 const u = sign * vector_part(q_BS);
    real const sine = norm(u);
    real const cosine = sign * q_BS.w;
    bool const small = sine < real(1e-9);
    return select(small, real(2), 2 * arctangent2(sine, cosine) / select(small, real(1), sine)) * u;
}

/// d q_BS / dt of a body that turns at omega_BS_B [rad s^-1].
MCR_FN Quat rate_of_change(Quat const& q_BS, Vec3 const& omega_BS_B) {
    return real(0.5) * multiply(q_BS, {0, omega_BS_B.x, omega_BS_B.y, omega_BS_B.z});
}

MCR_FN Quat select(bool condition, Quat const& yes, Quat const& no) {
    return {select(condition, yes.w, no.w), select(condition, yes.x, no.x), select(condition, yes.y, no.y),
            select(condition, yes.z, no.z)};
}

MCR_FN bool is_finite(Quat const& q) { return all(is_finite(q.w), is_finite(vector_part(q))); }

constexpr real turn_max = real(1.15);  ///< [rad] about one axis in one step: what turns faster is lost, and stays finite.

/// Turns B by a rotation vector in its own axes: q_BS <- compose(from_rotation_vector(turn), q_BS) as a compensated sum, near
/// unit length; returns the attitude half-way. Plain products in single precision would lose what a slow turn has below the
/// last place of q_BS, the same at every step: up to 0.25 mrad in ten minutes.
MCR_FN Quat turn_by(Quat& q_BS, Quat& rest, Vec3 const& turn) {
    real const reach = real(0.5) * turn_max;
    Quat const half = from_small_rotation_vector(Vec3{clamp(real(0.5) * turn.x, -reach, reach),
                                                      clamp(real(0.5) * turn.y, -reach, reach),
                                                      clamp(real(0.5) * turn.z, -reach, reach)});
    Quat const middle = compose(half, q_BS);
    // the whole turn: sine 2 c s, and 1 - cosine without cancellation
    Vec3 const u = (real(2) * half.w) * vector_part(half);
    real const versine = real(2) * norm_squared(vector_part(half));
    real const excess = real(0.5) * (norm_squared(q_BS) - 1);  // of the length: goes back by a step of Newton's method
    real const keep = 1 - excess;
    Quat const change = {-fused(excess, real(1) - versine, versine), keep * u.x, keep * u.y, keep * u.z};
    add_compensated(q_BS, rest, multiply(q_BS, change));
    return middle;
}

/// q_BS from the axes of B in S components (unit, right-handed).
/// Source: S. W. Shepperd, J. Guidance and Control 1 (1978) 223.
MCR_FN Quat from_axes(Vec3 const& x_S, Vec3 const& y_S, Vec3 const& z_S) {
    // four times the products of two components of q_BS; those with the largest component are kept
    real const ww = 1 + x_S.x + y_S.y + z_S.z;
    real const xx = 1 + x_S.x - y_S.y - z_S.z;
    real const yy = 1 - x_S.x + y_S.y - z_S.z;
    real const zz = 1 - x_S.x - y_S.y + z_S.z;
    real const wx = y_S.z - z_S.y;
    real const wy = z_S.x - x_S.z;
    real const wz = x_S.y - y_S.x;
    real const xy = x_S.y + y_S.x;
    real const xz = z_S.x + x_S.z;
    real const yz = y_S.z + z_S.y;
    Quat const by_x = {wx, xx, xy, xz};
    Quat const by_y = {wy, xy, yy, yz};
    Quat const by_z = {wz, xz, yz, zz};
    Quat const by_w = {ww, wx, wy, wz};
    real const largest_xy = maximum(xx, yy);
    real const largest_xyz = maximum(largest_xy, zz);
    Quat const by_vector = select(zz > largest_xy, by_z, select(yy > xx, by_y, by_x));
    return normalise(select(ww >= largest_xyz, by_w, by_vector));
}

}  // namespace mcr
