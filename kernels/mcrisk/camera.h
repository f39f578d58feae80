#pragma once
/// Terrain-relative navigation: horizontal position fixes by matching images with a map.
/// Modelled: error proportional to height with a floor, map-tie bias per run, false matches, height window.
/// Not modelled: illumination, image processing.
/// Source: Johnson & Montgomery 2008 (overview of TRN error sizes); figures in the mission files.
#include "faults.h"
#include "philox.h"
#include "streams.h"
#include "vec.h"

namespace mcr {

/// Camera and map of terrain-relative navigation.
struct Camera {
    int  fitted;            ///< [] 0 .. 1, default 0. 1 if the lander has it.
    real height_max;        ///< [m] > 0, default 15 km. Greatest height of a fix.
    real height_min;        ///< [m] >= 0, default 100 m. Lowest height of a fix.
    real noise_fraction;    ///< [] >= 0, default 0.01. One-sigma error per unit of height.
    real noise_floor;       ///< [m] >= 0, default 5 m. Smallest one-sigma error.
    real tie_sigma;         ///< [m] >= 0, default 30 m. One-sigma registration error of the map, constant in a run.
    real false_match;       ///< [] 0 .. 1, default 0. Probability that a fix is false.
    real false_extent;      ///< [m] > 0, default 1 km. Half-width of the uniform error of a false fix.
    int  period_ticks;      ///< [tick] 1 .. 60000, default 10. Ticks between two fixes.
};

/// One fix.
struct Fix {
    Flag valid;
    Flag false_match;
    real arc;               // [m] downrange distance along the ground
    real y;                 // [m] cross-range
    real sigma;             // [m] one-sigma noise, known on board
};

/// Noise of a fix from a height.
MCR_FN real fix_sigma(Camera const& camera, real height) {
    return maximum(camera.noise_fraction * maximum(height, real(0)), camera.noise_floor);
}

/// Whether a fix can be valid at all.
MCR_FN bool in_reach(Camera const& camera, real clearance) {
    return !((clearance <= camera.height_min) | (clearance >= camera.height_max));
}

/// Horizontal position by map matching: distance along the ground and cross-range.
MCR_FN Fix measure_fix(Camera const& camera, Failing const& failing, real clearance, real arc, real y, Draws const& draws,
                       int tick) {
    Normal4 const tie = normals(draws, Stream::camera, 0u);
    Normal4 const n = normals(draws, Stream::camera, 2u * static_cast<unsigned>(tick) + 2u);
    Uniform4 const u = uniforms(draws, Stream::camera, 2u * static_cast<unsigned>(tick) + 3u);
    real const sigma = fix_sigma(camera, clearance);
    bool const wrong = u.a < camera.false_match;
    real const error_x = select(wrong, (real(2) * u.b - real(1)) * camera.false_extent, sigma * n.a);
    real const error_y = select(wrong, (real(2) * u.c - real(1)) * camera.false_extent, sigma * n.b);
    bool const seen = (clearance > camera.height_min) & (clearance < camera.height_max);
    return Fix{select(seen, 1, 0), select(wrong | (failing.camera_false == 1), 1, 0),
               arc + camera.tie_sigma * tie.a + error_x + failing.camera_downrange,
               y + camera.tie_sigma * tie.b + error_y + failing.camera_crossrange, sigma};
}

}  // namespace mcr
