#pragma once
/// The ground under a lander that touches it: the slope drawn for its run on top of that of the elevation model.
#include "relief.h"

namespace mcr {

/// A plane under the lander.
struct Pad {
    real slope;           // [rad]
    real azimuth;         // [rad] direction of its descent, from downrange to the left
};

/// The pad at a position. Slopes add as the falls of the ground per metre, downrange and to the left.
MCR_FN Pad pad_at(Surface const& surface, Terrain const& terrain, Gravity const& gravity, Vec3 const& position_S) {
    if (surface.heights == nullptr) return Pad{terrain.slope, terrain.slope_azimuth};
    Spot const spot = surface_spot(surface, terrain, grid_point(gravity, position_S), true);
    SineCosine const slope = sine_cosine(terrain.slope);
    SineCosine const azimuth = sine_cosine(terrain.slope_azimuth);
    real const steep = slope.sine / maximum(slope.cosine, real(0.1));
    real const fall_x = steep * azimuth.cosine - spot.rise_x;
    real const fall_y = steep * azimuth.sine - spot.rise_y;
    return Pad{arctangent2(square_root(fall_x * fall_x + fall_y * fall_y), real(1)), arctangent2(fall_y, fall_x)};
}

}  // namespace mcr
