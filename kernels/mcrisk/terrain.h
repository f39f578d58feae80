#pragma once
/// The ground, first version: a sphere through the site, one scarp or crater rim across the ground track, a height error
/// of the map, and under the lander a plane slope drawn per run.
/// Sources: height and flank of rims: Pike 1977 (Impact and Explosion Cratering, 489); slopes: Rosenburg et al. 2011 (LOLA).
#include "elementary.h"
#include "gravity.h"
#include "vec.h"

namespace mcr {

/// The ground along the track and under the lander.
struct Terrain {
    real step_height;     ///< [m] default 0 m. Height of the ground uprange of the scarp above the site.
    real step_range;      ///< [m] default 30 km. Distance of the middle of the scarp uprange of the site.
    real step_width;      ///< [m] > 0, default 8 km. Horizontal width of the scarp.
    real rim_height;      ///< [m] default 0 m. Height of a raised rim above the ground uprange, on the upper edge of the scarp.
    real rim_width;       ///< [m] > 0, default 6 km. Width of the rim's outer flank; its inner one is the scarp.
    real height_error;    ///< [m] default 0 m. True less mapped height of the ground.
    real map_shift;       ///< [m] default 0 m. Downrange shift of the true ground against the map.
    real slope;           ///< [rad] >= 0, default 0 deg. Slope under the lander.
    real slope_azimuth;   ///< [rad] default 0 deg. Direction of descent of the slope, from downrange to the left.
    real roughness;       ///< [m] >= 0, default 20 mm. One-sigma height of the ground under a foot about that slope.
    real map_shift_cross; ///< [m] default 0 m. Shift to the left of an elevation model against the map.
    real cell;            ///< [m] > 0, default 10 m. Side of the square cells, each with slope, crater and rocks of its own.
    real cell_slope;      ///< [rad] >= 0, default 0 deg. One-sigma slope of a cell along each axis, about the slope of the run.
    real rock_area;       ///< [] 0 .. 1, default 0. Part of the ground that rocks cover.
    real rock_height;     ///< [] >= 0, default 0.5. Height of a rock over its diameter.
    real rock_largest;    ///< [m] > 0, default 5 m. Diameter that no rock exceeds.
    real crater_density;  ///< [] >= 0, default 0. Craters of diameter D or more in an area of D squared.
    real crater_smallest; ///< [m] > 0, default 2 m. Smallest diameter of a crater.
    real crater_largest;  ///< [m] > 0, default 20 m. Largest diameter of a crater.
    real crater_depth;    ///< [] >= 0, default 0.1. Mean depth of a crater over its diameter.
    real crater_depth_spread; ///< [] >= 0, default 0.05. Half-width of that ratio, which is uniform.
};

/// Height of the ground over the sphere through the site, and its slope downrange.
struct Profile {
    real height;
    real slope;
};

/// Whether there is a scarp or a rim; else the ground is a sphere.
MCR_FN bool has_relief(Terrain const& terrain) {
    return (terrain.step_height != real(0)) | (terrain.rim_height != real(0));
}

/// The ground at a point downrange x (arc length) of the site: a smooth step 1 - 3 t^2 + 2 t^3 and a bump (1 - e^2)^2
/// around its upper edge, as wide outside as the flank and inside as the step.
MCR_FN Profile ground_profile(Terrain const& terrain, real x) {
    real const step_inverse = real(1) / terrain.step_width;
    real const rim_inverse = real(1) / terrain.rim_width;
    real const s = x - terrain.map_shift + terrain.step_range;
    real const t = clamp(s * step_inverse + real(0.5), real(0), real(1));
    real const inward = s + real(0.5) * terrain.step_width;
    real const inverse = select(inward < real(0), rim_inverse, step_inverse);
    real const e = clamp(inward * inverse, real(-1), real(1));
    real const bump = real(1) - e * e;
    return Profile{terrain.height_error + terrain.step_height * (real(1) - t * t * (real(3) - real(2) * t)) +
                       terrain.rim_height * bump * bump,
                   real(-6) * terrain.step_height * t * (real(1) - t) * step_inverse -
                       real(4) * terrain.rim_height * e * bump * inverse};
}

MCR_FN real ground_height(Terrain const& terrain, real x) { return ground_profile(terrain, x).height; }

/// Height above the ground under a position. `relief` may be false only where has_relief(terrain) is.
MCR_FN real ground_clearance(Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S, bool relief) {
    real const height = sphere_height(gravity.radius, position_S);
    real ground = terrain.height_error;
    if (relief) ground = ground_height(terrain, gravity.radius * arctangent2(position_S.x, position_S.z + gravity.radius));
    return height - ground;
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

/// Distance along a ray to the ground; -1 if it passes over the horizon. From the sphere through the highest ground: three
/// steps that cannot pass the ground, because its steepest slope bounds how fast the ray closes in, then Newton's method.
/// Source: Hart 1996, The Visual Computer 12, 527 (sphere tracing).
MCR_FN real ground_distance(Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S, Vec3 const& ray_S) {
    real const inverse = real(1) / gravity.radius;
    real const highest = terrain.height_error + maximum(terrain.step_height, real(0)) + maximum(terrain.rim_height, real(0));
    real const lowest = terrain.height_error + minimum(terrain.step_height, real(0)) + minimum(terrain.rim_height, real(0));
    real const steepest = real(1.5) * absolute(terrain.step_height) / terrain.step_width +
                          real(1.54) * absolute(terrain.rim_height) / minimum(terrain.rim_width, terrain.step_width);
    Vec3 const start_S = inverse * from_centre(gravity, position_S);
    real const level = ray_S.x * start_S.z - ray_S.z * start_S.x;
    real const fastest = maximum(steepest * absolute(level) - dot(start_S, ray_S), real(0.05));
    real distance = maximum(sphere_distance(gravity, highest, position_S, ray_S), real(0));
    MCR_UNROLL(8)
    for (int pass = 0; pass < 7; ++pass) {
        Vec3 const hit_S = position_S + distance * ray_S;
        Vec3 const up_S = inverse * from_centre(gravity, hit_S);
        Profile const ground = ground_profile(terrain, gravity.radius * arctangent2(up_S.x, up_S.z));
        real const closing = ground.slope * (ray_S.x * up_S.z - ray_S.z * up_S.x) - dot(up_S, ray_S);
        real const rate = select(pass < 3, fastest, maximum(closing, real(0.15) * fastest));
        distance += (sphere_height(gravity.radius, hit_S) - ground.height) / rate;
    }
    bool const hits = sphere_distance(gravity, lowest, position_S, ray_S) > real(0);
    return select(hits, distance, real(-1));
}

/// The same without search where the ground has no relief. `relief` may be false only where has_relief(terrain) is.
MCR_FN real ground_distance(Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S, Vec3 const& ray_S,
                            bool relief) {
    real const level = sphere_distance(gravity, terrain.height_error, position_S, ray_S);
    if (!relief) return level;
    return select(has_relief(terrain), ground_distance(terrain, gravity, position_S, ray_S), level);
}

}  // namespace mcr
