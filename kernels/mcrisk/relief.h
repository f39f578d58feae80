#pragma once
/// The ground of a digital elevation model: heights on two grids, a strip along the track and a patch about the site, between
/// which the ground is bilinear. Rims and scarps of terrain.h, its height error and its shift against the map come on top.
/// Grid coordinates: x = R atan2(X, Z), y = R Y / r of a point (X, Y, Z) from the Moon's centre, r its distance: the Lambert
/// cylindrical equal-area projection about the ground track. Beyond a grid's edge its outermost heights go on.
/// Not modelled: what is smaller than a cell, besides the pad itself (pad.h).
/// Source: Snyder 1987, USGS Professional Paper 1395, section 10 (projection).
#include "terrain.h"

namespace mcr {

/// One grid; heights of neighbours across the track lie side by side.
struct Patch {
    real x_first;         ///< internal. Downrange coordinate of the first row.
    real y_first;         ///< internal. Crossrange coordinate of the first column.
    real x_inverse;       ///< internal. One over the distance of two rows.
    real y_inverse;       ///< internal. One over the distance of two columns.
    int  rows;            ///< internal. Rows, two at least.
    int  columns;         ///< internal. Columns, two at least.
    int  first;           ///< internal. Place of its first height.
};

/// Where the heights of a case lie; they themselves stand beside its Params.
struct Relief {
    Patch strip;          ///< internal. Along the track.
    Patch site;           ///< internal. About the site; where there is none, the strip again.
    real  lowest;         ///< internal. Lowest height.
    real  highest;        ///< internal. Highest height.
    int   count;          ///< internal. Heights in all; 0 where there is no elevation model.
};

/// What the ground of a run is made of: the same code serves all that is below it.
enum class Shape : int {
    sphere = 0,           // nothing
    formula = 1,          // a scarp or a rim
    grid = 2,             // an elevation model, and they
};

/// An elevation model and its heights [m] above the sphere through the site, in single precision in every build; null where
/// there is none.
struct Surface {
    Relief const& relief;
    float const* heights;
};

/// The ground at a place: its height and how fast it rises downrange and to the left.
struct Spot {
    real height;
    real rise_x;
    real rise_y;
};

/// Coordinates of a place on the grids.
struct GridPoint {
    real x;
    real y;
};

MCR_FN Shape shape_of(Surface const& surface, Terrain const& terrain) {
    return surface.heights != nullptr ? Shape::grid : has_relief(terrain) ? Shape::formula : Shape::sphere;
}

MCR_FN GridPoint grid_point(Gravity const& gravity, Vec3 const& position_S) {
    Vec3 const r = from_centre(gravity, position_S);
    return GridPoint{gravity.radius * arctangent2(r.x, r.z), gravity.radius * (r.y / norm(r))};
}

/// Whether a place lies on a grid.
MCR_FN bool is_on(Patch const& patch, real x, real y) {
    real const u = (x - patch.x_first) * patch.x_inverse;
    real const v = (y - patch.y_first) * patch.y_inverse;
    return all(u >= real(0), u <= real_of(patch.rows - 1), v >= real(0), v <= real_of(patch.columns - 1));
}

/// The elevation model at a place: the patch about the site where it reaches and `whole`, else the strip.
MCR_FN Spot grid_spot(Surface const& surface, real x, real y, bool whole) {
    Patch const& strip = surface.relief.strip;
    Patch const& site = surface.relief.site;
    bool const near = is_on(site, x, y) & whole;
    real const x_inverse = select(near, site.x_inverse, strip.x_inverse);
    real const y_inverse = select(near, site.y_inverse, strip.y_inverse);
    int const rows = select(near, site.rows, strip.rows);
    int const columns = select(near, site.columns, strip.columns);
    int const first = select(near, site.first, strip.first);
    real const u = clamp((x - select(near, site.x_first, strip.x_first)) * x_inverse, real(0), real_of(rows - 1));
    real const v = clamp((y - select(near, site.y_first, strip.y_first)) * y_inverse, real(0), real_of(columns - 1));
    int const i = to_int(u, 0, rows - 2);
    int const j = to_int(v, 0, columns - 2);
    real const s = u - real_of(i);
    real const t = v - real_of(j);
    int const place = first + i * columns + j;
    real const a = real(surface.heights[place]);
    real const b = real(surface.heights[place + 1]);
    real const c = real(surface.heights[place + columns]);
    real const d = real(surface.heights[place + columns + 1]);
    real const low = fused(t, b - a, a);
    real const high = fused(t, d - c, c);
    return Spot{fused(s, high - low, low), (high - low) * x_inverse, fused(s, d - c - (b - a), b - a) * y_inverse};
}

/// The ground at a place: elevation model, scarp and rim, height error, all shifted as the true ground is against the map.
MCR_FN Spot surface_spot(Surface const& surface, Terrain const& terrain, GridPoint const& place, bool whole) {
    Spot const grid = grid_spot(surface, place.x - terrain.map_shift, place.y - terrain.map_shift_cross, whole);
    Profile const profile = ground_profile(terrain, place.x);
    return Spot{grid.height + profile.height, grid.rise_x + profile.slope, grid.rise_y};
}

/// Height above the ground under a position. `shape`: that of the run's ground, or one that is more.
MCR_FN real surface_clearance(Surface const& surface, Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S,
                              Shape shape) {
    if (shape != Shape::grid) return ground_clearance(terrain, gravity, position_S, shape == Shape::formula);
    return sphere_height(gravity.radius, position_S) -
           surface_spot(surface, terrain, grid_point(gravity, position_S), true).height;
}

constexpr int march_steps = 12;   ///< [] even parts of a ray between the spheres through the highest and the lowest ground.
constexpr int refine_steps = 6;   ///< [] steps of the secant within one of them.

/// Distance along a ray to the elevation model, or -1 if there is none within `reach`: the first of twelve even steps that
/// ends below the ground, then the secant kept in its bracket (Illinois). What is narrower than such a step can be missed.
/// Source: Dowell & Jarratt 1971, BIT 11, 168 (Illinois).
MCR_FN real grid_distance(Surface const& surface, Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S,
                          Vec3 const& ray_S, real reach, bool whole) {
    real const up = terrain.height_error + maximum(terrain.step_height, real(0)) + maximum(terrain.rim_height, real(0));
    real const down = terrain.height_error + minimum(terrain.step_height, real(0)) + minimum(terrain.rim_height, real(0));
    real const start = maximum(sphere_distance(gravity, surface.relief.highest + up, position_S, ray_S), real(0));
    real const lowest = sphere_distance(gravity, surface.relief.lowest + down, position_S, ray_S);
    // half a metre more at each end: the bounds themselves are rounded
    real const near = maximum(start - real(0.5), real(0));
    real const far = minimum(lowest + real(0.5), reach);
    real const step = (far - near) * (real(1) / real_of(march_steps));

    real above = near;
    real below = near;
    real gap_above = real(1);
    real gap_below = real(1);
    bool found = false;
    MCR_UNROLL_LANES(16)
    for (int k = 0; k <= march_steps; ++k) {
        real const distance = fused(real_of(k), step, near);
        Vec3 const place_S = position_S + distance * ray_S;
        real const gap = sphere_height(gravity.radius, place_S) -
                         surface_spot(surface, terrain, grid_point(gravity, place_S), whole).height;
        bool const first = !found & (gap <= real(0));
        below = select(first, distance, below);
        gap_below = select(first, gap, gap_below);
        found = found | first;
        above = select(found, above, distance);
        gap_above = select(found, gap_above, gap);
    }
    real distance = below;
    bool last_above = false;
    bool last_below = false;
    MCR_UNROLL_LANES(16)
    for (int k = 0; k < refine_steps; ++k) {
        distance = above + (below - above) * clamp(gap_above / (gap_above - gap_below), real(0), real(1));
        Vec3 const place_S = position_S + distance * ray_S;
        real const gap = sphere_height(gravity.radius, place_S) -
                         surface_spot(surface, terrain, grid_point(gravity, place_S), whole).height;
        bool const over = gap > real(0);
        above = select(over, distance, above);
        below = select(over, below, distance);
        gap_below = select(over, select(last_above, real(0.5) * gap_below, gap_below), gap);
        gap_above = select(over, gap, select(last_below, real(0.5) * gap_above, gap_above));
        last_above = over;
        last_below = !over;
    }
    return select(all(found, lowest > real(0), far > near), distance, real(-1));
}

/// Distance along a ray to the ground; -1 if it meets none, or, on an elevation model, none within `reach`.
MCR_FN real surface_distance(Surface const& surface, Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S,
                             Vec3 const& ray_S, real reach, Shape shape) {
    if (shape != Shape::grid) return ground_distance(terrain, gravity, position_S, ray_S, shape == Shape::formula);
    return grid_distance(surface, terrain, gravity, position_S, ray_S, reach, true);
}

/// Mean height of the ground in a spot of this radius less the height at its centre: four points at 1/sqrt(2) of the radius
/// have the mean of a disk up to third order. Source: Abramowitz & Stegun 1964, 25.4.61 (its four-point form).
MCR_FN real spot_excess(Surface const& surface, Terrain const& terrain, GridPoint const& centre, real radius) {
    real const r = real(0.70710678) * radius;
    real const middle = surface_spot(surface, terrain, centre, true).height;
    real const ahead = surface_spot(surface, terrain, GridPoint{centre.x + r, centre.y}, true).height;
    real const behind = surface_spot(surface, terrain, GridPoint{centre.x - r, centre.y}, true).height;
    real const left = surface_spot(surface, terrain, GridPoint{centre.x, centre.y + r}, true).height;
    real const right = surface_spot(surface, terrain, GridPoint{centre.x, centre.y - r}, true).height;
    return real(0.25) * ((ahead + behind) + (left + right)) - middle;
}

}  // namespace mcr
