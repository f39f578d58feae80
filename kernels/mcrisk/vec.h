/// Three-vectors. The frame is in the name of the variable: `position_S`, `omega_BS_B`.
#pragma once
#include "real.h"

namespace mcr {

struct Vec3 {
    real x;
    real y;
    real z;
};

MCR_FN Vec3 operator+(Vec3 const& a, Vec3 const& b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
MCR_FN Vec3 operator-(Vec3 const& a, Vec3 const& b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
MCR_FN Vec3 operator-(Vec3 const& a) { return {-a.x, -a.y, -a.z}; }
MCR_FN Vec3 operator*(real s, Vec3 const& a) { return {s * a.x, s * a.y, s * a.z}; }
MCR_FN Vec3 operator*(Vec3 const& a, real s) { return s * a; }

/// s a + b, each component rounded once.
MCR_FN Vec3 fused(real s, Vec3 const& a, Vec3 const& b) {
    return {fused(s, a.x, b.x), fused(s, a.y, b.y), fused(s, a.z, b.z)};
}

/// a b + c component by component, each rounded once.
MCR_FN Vec3 fused(Vec3 const& a, Vec3 const& b, Vec3 const& c) {
    return {fused(a.x, b.x, c.x), fused(a.y, b.y, c.y), fused(a.z, b.z, c.z)};
}

MCR_FN real dot(Vec3 const& a, Vec3 const& b) { return fused(a.z, b.z, fused(a.y, b.y, a.x * b.x)); }

/// a x b; products are rounded one by one, so that a x a is exactly zero and a x b = -(b x a).
MCR_FN Vec3 cross(Vec3 const& a, Vec3 const& b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

MCR_FN real norm_squared(Vec3 const& a) { return dot(a, a); }
MCR_FN real norm(Vec3 const& a) { return square_root(norm_squared(a)); }

/// Compensated addition: the rest carries what the sum could not hold (Kahan 1965).
template <class Number>
MCR_FN void add_compensated(Number& sum, Number& rest, Number const& term) {
    Number const wanted = term - rest;
    Number const next = sum + wanted;
    rest = (next - sum) - wanted;
    sum = next;
}

/// Direction of a; zero for a zero vector.
MCR_FN Vec3 unit(Vec3 const& a) {
    real const length = norm(a);
    return (1 / select(length == 0, real(1), length)) * a;
}

/// Component by component products: a diagonal matrix times a vector.
MCR_FN Vec3 scale(Vec3 const& a, Vec3 const& b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }

MCR_FN Vec3 select(bool condition, Vec3 const& yes, Vec3 const& no) {
    return {select(condition, yes.x, no.x), select(condition, yes.y, no.y), select(condition, yes.z, no.z)};
}

MCR_FN bool is_finite(Vec3 const& a) { return all(is_finite(a.x), is_finite(a.y), is_finite(a.z)); }

}  // namespace mcr
