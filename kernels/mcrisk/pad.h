#pragma once
/// The ground under a lander: square cells in grid coordinates (relief.h), each with slope, crater and rocks of its own in each run,
/// on top of the slope of the run and of the elevation model. They are addressed by the cell: the same whoever asks, and whether a
/// lander comes there or not.
/// Craters in equilibrium: N(D) = c D^-2 of diameter D or more per square metre, between two diameters D0 and D1. Those of diameter
/// x cover 2 c x^-3 dx pi x^2 / 4 of a place; so it lies in pi c / 2 ln(D1 / D0) craters on average, in one with probability
/// 1 - exp(-pi c / 2 ln(D1 / D0)), of which ln D is uniform, and anywhere in its disk alike.
/// Not modelled: more than one crater at a place, the outside of a rim where no crater is hit, what changes within a cell or where
/// two meet, rocks that are more frequent about craters, slopes that go with a class of ground other than as stated.
/// Sources: c: Trask 1966 (JPL TR 32-800, 252), Minton et al. 2019 (Icarus 326, 63); rims: Pike 1977 (Impact and Explosion
/// Cratering, 489).
#include "philox.h"
#include "relief.h"
#include "rocks.h"
#include "touchdown.h"

namespace mcr {

/// The crater in which a lander stands. With the distance r from its centre, over the radius: h + d (r^2 - 1) inside, h / r^3
/// outside; d from its floor to its rim.
struct Crater {
    real radius;          // [m]
    real depth;           // [m] d; 0: there is none
    real x;               // [m] of the lander from its centre, downrange
    real y;               // [m] to the left
    real rise_x;          // [] of the plane through the feet, downrange
    real rise_y;          // [] to the left
};

/// A plane under the lander, the crater about it, and its rocks.
struct Pad {
    real slope;           // [rad]
    real azimuth;         // [rad] direction of its descent, from downrange to the left
    Crater crater;
    real rock;            // [m] height of the largest rock in the disk through the feet
    real rock_density;    // [m^-2] of rocks at least as large
    unsigned cell;        // its draw number
};

constexpr real rim_share = real(0.18);  ///< [] height of a rim over depth: 0.036 / 0.196 of fresh craters (Pike 1977).
constexpr int cell_most = 32767;        ///< [] greatest index of a cell; beyond, it goes on.

/// Index of the cell of a coordinate.
MCR_FN int cell_index(Terrain const& terrain, real coordinate) {
    return round_to_int(floor_real(coordinate / maximum(terrain.cell, real(1e-3))), -cell_most, cell_most);
}

MCR_FN real crater_height(Crater const& crater, real x, real y) {
    real const squared = (x * x + y * y) / (crater.radius * crater.radius);
    real const outside = maximum(squared, real(1));
    real const rim = rim_share * crater.depth;
    return select(squared < real(1), rim + crater.depth * (squared - real(1)), rim / (outside * square_root(outside)));
}

/// Height of the ground above the plane of the pad, vertically, at a place from the lander.
MCR_FN real crater_excess(Crater const& crater, real x, real y) {
    real const plane = crater_height(crater, crater.x, crater.y) + crater.rise_x * x + crater.rise_y * y;
    return crater_height(crater, crater.x + x, crater.y + y) - plane;
}

/// The crater at a place. `hit`, `size`: uniform numbers; the others of `u` are its place in it and its depth.
MCR_FN Crater crater_of(Terrain const& terrain, real hit, real size, Uniform4 const& u) {
    real const span = maximum(logarithm(terrain.crater_largest / terrain.crater_smallest), real(0));
    real const chance = real(1) - exponential(-half_pi * terrain.crater_density * span);
    real const radius = maximum(real(0.5) * terrain.crater_smallest * exponential(size * span), real(1e-3));
    real const ratio = terrain.crater_depth + terrain.crater_depth_spread * (real(2) * u.c - real(1));
    real const distance = radius * square_root(u.a);
    SineCosine const direction = sine_cosine_turns(u.b);
    return Crater{radius, select(hit < chance, real(2) * radius * maximum(ratio, real(0)), real(0)), distance * direction.cosine,
                  distance * direction.sine, real(0), real(0)};
}

/// How a crater tilts feet that stand `reach` from the axis: what is smaller than a lander does so little.
MCR_FN void tilt_feet(Crater& crater, real reach) {
    real const inverse = real(0.5) / reach;
    crater.rise_x = inverse * (crater_height(crater, crater.x + reach, crater.y) - crater_height(crater, crater.x - reach, crater.y));
    crater.rise_y = inverse * (crater_height(crater, crater.x, crater.y + reach) - crater_height(crater, crater.x, crater.y - reach));
}

/// Fall per metre of a plane.
MCR_FN real fall_of(real slope) {
    SineCosine const at = sine_cosine(slope);
    return at.sine / maximum(at.cosine, real(0.1));
}

/// Area through the feet, on which the largest rock is looked for.
MCR_FN real footprint_area(Touchdown const& gear) {
    real const body = gear.clearance_radius * gear.clearance_radius;
    real const parts = body + real_of(gear.legs) * gear.pad_radius * gear.pad_radius;
    return pi * maximum(maximum(gear.foot_radius * gear.foot_radius, parts), real(1e-6));
}

/// Draw number of a cell.
MCR_FN unsigned cell_number(int ix, int iy) {
    return (static_cast<unsigned>(clamp(ix, -cell_most, cell_most) + cell_most + 1) << 16) |
           static_cast<unsigned>(clamp(iy, -cell_most, cell_most) + cell_most + 1);
}

/// The pad of a cell about a place in it. Slopes add as the falls of the ground per metre, downrange and to the left.
/// `shape`: that of the run's ground, or one that is more.
MCR_FN Pad pad_about(Surface const& surface, Terrain const& terrain, Touchdown const& gear, Draws const& draws, GridPoint const& place,
                     int ix, int iy, Shape shape) {
    unsigned const cell = cell_number(ix, iy);
    Uniform4 const first = uniforms(draws, Stream::terrain, cell);
    Uniform4 const second = uniforms(draws, Stream::terrain_crater, cell);
    Crater crater = crater_of(terrain, first.c, first.d, second);
    tilt_feet(crater, maximum(gear.foot_radius, real(1e-3)));
    Normal2 const n = normal_pair(first.a, first.b);
    real const steep = fall_of(terrain.slope);
    real const cell_steep = fall_of(terrain.cell_slope);
    SineCosine const azimuth = sine_cosine(terrain.slope_azimuth);
    Spot spot{real(0), real(0), real(0)};
    if (shape == Shape::grid) spot = surface_spot(surface, terrain, place, true);
    real const fall_x = steep * azimuth.cosine - spot.rise_x + cell_steep * n.a - crater.rise_x;
    real const fall_y = steep * azimuth.sine - spot.rise_y + cell_steep * n.b - crater.rise_y;
    bool const plain = all(shape != Shape::grid, terrain.cell_slope == real(0), crater.depth == real(0));
    real const slope = arctangent2(square_root(fall_x * fall_x + fall_y * fall_y), real(1));
    real const density = -detail::logarithm_of_normal(second.d) / footprint_area(gear);
    return Pad{select(plain, terrain.slope, slope), select(plain, terrain.slope_azimuth, arctangent2(fall_y, fall_x)), crater,
               rock_rise(terrain, density), density, cell};
}

/// The pad at a position.
MCR_FN Pad pad_at(Surface const& surface, Terrain const& terrain, Gravity const& gravity, Touchdown const& gear, Draws const& draws,
                  Vec3 const& position_S) {
    GridPoint const place = grid_point(gravity, position_S);
    return pad_about(surface, terrain, gear, draws, place, cell_index(terrain, place.x), cell_index(terrain, place.y),
                     shape_of(surface, terrain));
}

/// The pad at the centre of a cell.
MCR_FN Pad pad_of_cell(Surface const& surface, Terrain const& terrain, Touchdown const& gear, Draws const& draws, int ix, int iy,
                       Shape shape) {
    int const own_x = clamp(ix, -cell_most, cell_most);
    int const own_y = clamp(iy, -cell_most, cell_most);
    GridPoint const centre{terrain.cell * (real_of(own_x) + real(0.5)), terrain.cell * (real_of(own_y) + real(0.5))};
    return pad_about(surface, terrain, gear, draws, centre, own_x, own_y, shape);
}

/// The slope of an elevation model where a cell is steepest: at its centre and halfway to its corners.
MCR_FN real steepest_of_cell(Surface const& surface, Terrain const& terrain, Touchdown const& gear, Draws const& draws, int ix, int iy,
                             Shape shape) {
    real steepest = real(0);
    for (int corner = 0; corner < 4; ++corner) {
        real const ahead = real(0.25) + real(0.5) * real_of(corner & 1);
        real const aside = real(0.25) + real(0.5) * real_of(corner >> 1);
        GridPoint const place{terrain.cell * (real_of(ix) + ahead), terrain.cell * (real_of(iy) + aside)};
        steepest = maximum(pad_about(surface, terrain, gear, draws, place, ix, iy, shape).slope, steepest);
    }
    return steepest;
}

/// Whether a pad is steeper than `slope_limit` [rad], or a rock in it higher than `rock_limit` [m].
MCR_FN bool is_hazard(Pad const& pad, real slope_limit, real rock_limit) {
    return (pad.slope > slope_limit) | (pad.rock > rock_limit);
}

/// Density of rocks at least as large as the largest on a part of the footprint. Over falling size, numbers of rocks are a Poisson
/// process: the largest of the footprint lies in a part with the share of its area (`from` and `area`), and in each of the others the
/// process goes on from there. So no part has a larger rock than the footprint, and each has the distribution of its own area.
MCR_FN real part_density(Pad const& pad, Touchdown const& gear, real from, real area, real where, real uniform) {
    real const at = where * footprint_area(gear);
    bool const holds = (at >= from) & (at < from + area);
    real const more = -detail::logarithm_of_normal(uniform) / maximum(area, real(1e-9));
    return pad.rock_density + select(holds, real(0), more);
}

/// The same under the body.
MCR_FN real body_density(Pad const& pad, Touchdown const& gear, Draws const& draws) {
    Uniform4 const u = uniforms(draws, Stream::terrain_rocks, pad.cell);
    return part_density(pad, gear, real(0), pi * gear.clearance_radius * gear.clearance_radius, u.a, u.b);
}

/// The same under foot `number`.
MCR_FN real foot_density(Pad const& pad, Touchdown const& gear, Draws const& draws, int number) {
    Uniform4 const u = uniforms(draws, Stream::terrain_rocks, pad.cell);
    unsigned const leg = static_cast<unsigned>(number);
    Uniform4 const four = uniforms(draws, static_cast<unsigned>(Stream::terrain_feet) + leg / 4u, pad.cell);
    unsigned const one = leg % 4u;
    real const own = select(one < 2u, select(one == 0u, four.a, four.b), select(one == 2u, four.c, four.d));
    real const area = pi * gear.pad_radius * gear.pad_radius;
    real const from = pi * gear.clearance_radius * gear.clearance_radius + real_of(number) * area;
    return part_density(pad, gear, from, area, u.a, own);
}

/// Height of the highest rock under a foot or the body.
MCR_FN real highest_rock(Pad const& pad, Terrain const& terrain, Touchdown const& gear, Draws const& draws) {
    real least = body_density(pad, gear, draws);
    for (int k = 0; k < gear.legs; ++k) least = minimum(least, foot_density(pad, gear, draws, k));
    return rock_rise(terrain, least);
}

}  // namespace mcr
