#pragma once
/// The ground, first version: a sphere through the site, one scarp or crater rim across the ground track, a height error
/// of the map, and under the lander a plane slope drawn per run.
/// Source: rim as a smooth step (HAKUTO-R M1: 3 km over the wall of Atlas); slopes: Rosenburg et al. 2011 (LOLA).
#include "elementary.h"
#include "gravity.h"
#include "vec.h"

namespace mcr {

/// The ground along the track and under the lander.
struct Terrain {
    real step_height;     ///< [m] default 0 m. Height of the ground uprange of the scarp above the site.
    real step_range;      ///< [m] default 30 km. Distance of the middle of the scarp uprange of the site.
    real step_width;      ///< [m] > 0, default 8 km. Horizontal width of the scarp.
    real rim_height;      ///< [m] default 0 m. Height of a raised rim on the upper edge of the scarp.
    real rim_width;       ///< [m] > 0, default 6 km. Half-width of the raised rim.
    real height_error;    ///< [m] default 0 m. True less mapped height of the ground.
    real map_shift;       ///< [m] default 0 m. Downrange shift of the true ground against the map.
    real slope;           ///< [rad] >= 0, default 0 deg. Slope under the lander.
    real slope_azimuth;   ///< [rad] default 0 deg. Direction of descent of the slope, from downrange to the left.
};

/// Smooth step from 0 to 1 (3 t^2 - 2 t^3).
MCR_FN real smooth_step(real t) {
    real const u = clamp(t, real(0), real(1));
    return u * u * (real(3) - real(2) * u);
}

/// Height of the ground over the sphere through the site at a point downrange x (arc length) of it.
MCR_FN real ground_height(Terrain const& terrain, real x) {
    real const s = x - terrain.map_shift + terrain.step_range;
    real const wall = real(1) - smooth_step(s / terrain.step_width + real(0.5));
    real const from_edge = (s + real(0.5) * terrain.step_width) / terrain.rim_width;
    real const bump = clamp(real(1) - from_edge * from_edge, real(0), real(1));
    return terrain.height_error + terrain.step_height * wall + terrain.rim_height * bump * bump;
}

/// Height above the ground under a position.
MCR_FN real ground_clearance(Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S) {
    real const arc = gravity.radius * arctangent2(position_S.x, position_S.z + gravity.radius);
    return sphere_height(gravity.radius, position_S) - ground_height(terrain, arc);
}

/// Distance along a ray to the sphere of radius `gravity.radius + height`; -1 if it misses.
/// Stable form of the quadratic: (|c|^2 - R^2) / (-c.b + sqrt(disc)).
MCR_FN real sphere_distance(Gravity const& gravity, real height, Vec3 const& position_S, Vec3 const& ray_S) {
    real const above = sphere_height(gravity.radius, position_S) - height;
    real const excess = above * (above + real(2) * (gravity.radius + height));  // |c|^2 - R^2
    real const inward = -dot(from_centre(gravity, position_S), ray_S);
    real const disc = inward * inward - excess;
    bool const hit = (disc > real(0)) & (inward > real(0));
    return select(hit, excess / (inward + square_root(maximum(disc, real(0)))), real(-1));
}

/// Distance along a ray to the ground: fixed-point iteration on the height of the point struck.
MCR_FN real ground_distance(Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S, Vec3 const& ray_S) {
    real distance = sphere_distance(gravity, terrain.height_error, position_S, ray_S);
    MCR_UNROLL(8)
    for (int pass = 0; pass < 6; ++pass) {
        Vec3 const hit_S = position_S + maximum(distance, real(0)) * ray_S;
        real const arc = gravity.radius * arctangent2(hit_S.x, hit_S.z + gravity.radius);
        distance = sphere_distance(gravity, ground_height(terrain, arc), position_S, ray_S);
    }
    return distance;
}

}  // namespace mcr
