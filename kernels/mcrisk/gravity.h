#pragma once
/// Gravity of the Moon in the site frame S, which turns with the Moon.
/// Modelled: point mass, J2, C22, Coriolis and centrifugal acceleration, and a first-order Gauss-Markov residual for
/// the unmodelled field (mascons). Not modelled: third bodies, tides, higher harmonics as such.
/// Source: Vallado, Fundamentals of Astrodynamics, 8.7.1 (zonal and sectorial potential); constants: Williams et al.
/// 2014 (GRAIL, GM), JPL DE440; unnormalised J2 and C22 for a reference radius of 1738 km (GRGM fields).
#include "vec.h"

namespace mcr {

/// The Moon's field as seen from the site.
struct Gravity {
    real gravitational_parameter;  ///< [m^3 s^-2] > 0, default 4902.80007 km^3/s^2. Gravitational parameter GM.
    real reference_radius;         ///< [m] > 0, default 1738 km. Reference radius of J2 and C22.
    real j2;                       ///< [] default 2.0323e-4. Unnormalised oblateness.
    real c22;                      ///< [] default 2.2382e-5. Unnormalised equatorial ellipticity.
    real rotation_rate;            ///< [rad s^-1] default 2.6616995e-6 rad/s. Rotation rate of the Moon.
    real anomaly;                  ///< [m s^-2] >= 0, default 3e-4 m/s^2. One-sigma unmodelled gravity per axis.
    real anomaly_length;           ///< [m] > 0, default 60 km. Correlation distance of unmodelled gravity.
    real radius;                   ///< [m] placed. Distance of the site from the Moon's centre.
    Vec3 pole_S;                   ///< [] placed. Direction of the Moon's north pole.
    Vec3 meridian_S;               ///< [] placed. Direction of the prime meridian on the equator.
};

constexpr real megametre = real(1e6);  ///< [m] length unit of the gravity formulas: keeps r^5 well inside float range.

/// Position relative to the Moon's centre.
MCR_FN Vec3 from_centre(Gravity const& gravity, Vec3 const& position_S) {
    return Vec3{position_S.x, position_S.y, position_S.z + gravity.radius};
}

/// Height above the sphere through the site, without cancellation: (2 R z + d^2) / (|r| + R).
MCR_FN real sphere_height(real radius, Vec3 const& position_S) {
    Vec3 const r = Vec3{position_S.x, position_S.y, position_S.z + radius};
    real const numerator = fused(real(2) * radius, position_S.z, norm_squared(position_S));
    return numerator / (norm(r) + radius);
}

/// Gravitational acceleration of the point mass alone.
MCR_FN Vec3 point_mass(Gravity const& gravity, Vec3 const& position_S) {
    Vec3 const r = (real(1) / megametre) * from_centre(gravity, position_S);
    real const mu = gravity.gravitational_parameter * real(1e-12);  // [Mm^2 m s^-2]
    real const inverse = real(1) / norm(r);
    return (-mu * inverse * inverse * inverse) * r;
}

/// Gravitational acceleration: point mass, J2 and C22 (Vallado 8.7.1).
MCR_FN Vec3 gravitation(Gravity const& gravity, Vec3 const& position_S) {
    Vec3 const r = (real(1) / megametre) * from_centre(gravity, position_S);
    real const mu = gravity.gravitational_parameter * real(1e-12);
    real const radius = gravity.reference_radius * (real(1) / megametre);
    real const inverse = real(1) / norm(r);
    real const inverse2 = inverse * inverse;
    real const central = mu * inverse * inverse2;      // GM / r^3
    real const scale = radius * radius * inverse2;     // (R/r)^2
    real const x = dot(r, gravity.meridian_S);
    real const z = dot(r, gravity.pole_S);
    real const sine2 = z * z * inverse2;

    // J2: -3/2 J2 (GM/r^3)(R/r)^2 [ r (1 - 5 z^2/r^2) + 2 z k ]
    real const zonal = real(-1.5) * gravity.j2 * central * scale;
    // C22: gradient of 3 GM R^2 C22 (x^2 - y^2) / r^5; the third axis goes out by y j = r - x i - z k
    real const sectorial = real(3) * gravity.c22 * central * scale;
    real const difference = fused(real(2) * x * x, inverse2, sine2 - real(1));  // (x^2 - y^2) / r^2

    real const along_r = fused(zonal, fused(real(-5), sine2, real(1)), -central) -
                         sectorial * fused(real(5), difference, real(2));
    real const along_x = real(4) * sectorial * x;
    real const along_z = real(2) * (zonal + sectorial) * z;
    return fused(along_z, gravity.pole_S, fused(along_x, gravity.meridian_S, along_r * r));
}

/// Coriolis and centrifugal acceleration in the turning site frame.
MCR_FN Vec3 inertial_acceleration(Gravity const& gravity, Vec3 const& position_S, Vec3 const& velocity_S) {
    Vec3 const spin_S = gravity.rotation_rate * gravity.pole_S;
    Vec3 const sweep = cross(spin_S, from_centre(gravity, position_S));
    return cross(fused(real(2), velocity_S, sweep), spin_S);  // -2 w x v - w x (w x r)
}

/// Everything that accelerates a coasting lander in the site frame.
MCR_FN Vec3 free_acceleration(Gravity const& gravity, Vec3 const& position_S, Vec3 const& velocity_S) {
    return gravitation(gravity, position_S) + inertial_acceleration(gravity, position_S, velocity_S);
}

/// Same with the on-board model: point mass, J2, Coriolis and centrifugal; C22 left out (its error is 3e-4 m/s^2).
MCR_FN Vec3 believed_acceleration(Gravity const& gravity, Vec3 const& position_S, Vec3 const& velocity_S) {
    Gravity model = gravity;
    model.c22 = real(0);
    return free_acceleration(model, position_S, velocity_S);
}

}  // namespace mcr
