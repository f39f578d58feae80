#pragma once
/// Altimeter (laser or radar range finder): slant range along a body-fixed beam to the ground.
/// Modelled: link-budget range limit (health, albedo, incidence), incidence limit, bias, scale, noise, random dropout,
/// and what faults do. Not modelled: footprint, waveform, single spikes.
/// Source: range equation of a diffuse target filling the beam, P ~ albedo cos(i) / range^2 (Degnan 1993, eq. 2.1).
#include "faults.h"
#include "quat.h"
#include "relief.h"

namespace mcr {

/// Altimeter.
struct Altimeter {
    int  fitted;            ///< [] 0 .. 1, default 1. 1 if the lander has one.
    real range_max;         ///< [m] > 0, default 5 km. Longest slant range at health 1, reference albedo, normal incidence.
    real range_min;         ///< [m] >= 0, default 1 m. Shortest slant range.
    real health;            ///< [] > 0, default 1. Received over specified signal power.
    real albedo;            ///< [] > 0, default 0.1. Albedo of the ground at the laser wavelength.
    real albedo_reference;  ///< [] > 0, default 0.1. Albedo for which range_max is specified.
    real incidence_max;     ///< [rad] > 0, default 60 deg. Largest angle between beam and local vertical.
    Vec3 beam_B;            ///< [] unit vector, default 0 0 -1. Beam direction in body axes.
    real noise;             ///< [m] >= 0, default 0.5 m. One-sigma noise.
    real noise_fraction;    ///< [] >= 0, default 0.1 %. One-sigma noise per unit of range.
    real bias;              ///< [m] default 0 m. Constant error.
    real scale;             ///< [] default 0. Scale factor error.
    real dropout;           ///< [] 0 .. 1, default 1 %. Probability that a sample is invalid.
    int  period_ticks;      ///< [tick] 1 .. 60000, default 2. Ticks between two samples.
    real footprint;         ///< [rad] 0 .. 0.5, default 0.5 mrad. Half-width of the beam, over which an elevation model is averaged.
};

/// One reading.
struct Range {
    Flag valid;
    real distance;          // [m]
};

/// Whether a sample can be valid at all, by the clearance of the tick before; never false for one that is.
MCR_FN bool in_reach(Altimeter const& altimeter, Relief const& relief, Terrain const& terrain, real clearance) {
    real const reach = altimeter.range_max * square_root(altimeter.health * altimeter.albedo / altimeter.albedo_reference);
    real const depth = absolute(terrain.step_height) + absolute(terrain.rim_height) + (relief.highest - relief.lowest);
    return !(clearance > real(1.01) * reach + real(2) * depth + real(1000));
}

/// Slant range if the beam returns. `shape`: that of the run's ground, or one that is more.
/// last: [m] the last valid range, which a frozen sensor repeats; negative without one.
MCR_FN Range measure_range(Altimeter const& altimeter, Surface const& surface, Terrain const& terrain, Gravity const& gravity,
                           Failing const& failing, real last, Vec3 const& position_S, Quat const& q_BS, Draws const& draws,
                           int tick, Shape shape) {
    Vec3 const beam_S = rotate_inverse(q_BS, altimeter.beam_B);
    real const cosine = -dot(beam_S, unit(from_centre(gravity, position_S)));  // of the incidence on level ground
    real const longest = altimeter.range_max * square_root(altimeter.health * altimeter.albedo / altimeter.albedo_reference);
    real distance = surface_distance(surface, terrain, gravity, position_S, beam_S, longest, shape);
    if (shape == Shape::grid) {
        GridPoint const centre = grid_point(gravity, position_S + distance * beam_S);
        real const excess = spot_excess(surface, terrain, centre, altimeter.footprint * distance);
        distance = select(distance > real(0), distance - excess / maximum(cosine, real(0.2)), distance);
    }
    real const signal = altimeter.health * altimeter.albedo / altimeter.albedo_reference * maximum(cosine, real(0));
    real const reach = altimeter.range_max * square_root(signal);
    Uniform4 const u = uniforms(draws, Stream::altimeter, 2u * static_cast<unsigned>(tick));
    Normal4 const n = normals(draws, Stream::altimeter, 2u * static_cast<unsigned>(tick) + 1u);
    real const sigma = square_root(altimeter.noise * altimeter.noise +
                                   altimeter.noise_fraction * altimeter.noise_fraction * distance * distance);
    real const reading = failing.altimeter_gain * (distance * (real(1) + altimeter.scale)) + altimeter.bias +
                         failing.altimeter_add + sigma * n.a;
    bool const silent = failing.altimeter_silent == 1;
    bool const frozen = (failing.altimeter_frozen == 1) & (last >= real(0));
    bool const returns = (distance > altimeter.range_min) & (distance < reach) & (u.a >= altimeter.dropout) &
                         (cosine > sine_cosine(altimeter.incidence_max).cosine);
    return Range{select((returns | frozen) & !silent, 1, 0), select(frozen, last, reading)};
}

}  // namespace mcr
