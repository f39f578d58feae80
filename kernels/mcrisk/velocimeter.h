#pragma once
/// Velocimeter (Doppler lidar or radar, or optical velocity): speed along three beams canted off the -z body axis.
/// Modelled: range and speed limits, the ground of an elevation model that a beam meets, noise, scale, dropout per beam. Not modelled: bias per beam, ambiguity.
/// Source: Pierrottet et al. 2011, navigation Doppler lidar (three line-of-sight speeds).
#include "faults.h"
#include "quat.h"
#include "relief.h"

namespace mcr {

/// Velocimeter.
struct Velocimeter {
    int  fitted;            ///< [] 0 .. 1, default 1. 1 if the lander has one.
    real range_max;         ///< [m] > 0, default 2 km. Greatest height over the ground below, and where a beam meets it, at which it works.
    real speed_max;         ///< [m s^-1] > 0, default 200 m/s. Greatest speed at which it works.
    real cant;              ///< [rad] > 0, default 22.5 deg. Angle between the beams and the -z body axis.
    real noise;             ///< [m s^-1] >= 0, default 0.1 m/s. One-sigma noise per beam.
    real scale;             ///< [] default 0. Scale factor error.
    real dropout;           ///< [] 0 .. 1, default 1 %. Probability that one beam's sample is invalid.
    int  period_ticks;      ///< [tick] 1 .. 60000, default 2. Ticks between two samples.
};

/// Speeds of the lander along the beams, which point away from it: positive when it nears the ground.
struct BeamSpeeds {
    Flag valid[3];
    real speed[3];          // [m s^-1]
};

/// Direction of beam 0, 1 or 2 in body axes.
MCR_FN Vec3 beam_direction(Velocimeter const& velocimeter, int beam) {
    SineCosine const cant = sine_cosine(velocimeter.cant);
    real const half_root3 = real(0.8660254037844386);
    real const x = select(beam == 0, real(1), real(-0.5));
    real const y = select(beam == 0, real(0), select(beam == 1, half_root3, -half_root3));
    return Vec3{cant.sine * x, cant.sine * y, -cant.cosine};
}

/// Whether a sample can be valid at all; `clearance` as in measure_speeds.
MCR_FN bool in_reach(Velocimeter const& velocimeter, real clearance) { return !(clearance >= velocimeter.range_max); }

/// Height over the ground of an elevation model that a beam meets: where it would meet ground as high as that below, then
/// one step more. `cosine`: between the beam and the vertical.
MCR_FN real beam_height(Surface const& surface, Terrain const& terrain, Gravity const& gravity, real clearance,
                        Vec3 const& position_S, Vec3 const& beam_S, real cosine) {
    real const height = sphere_height(gravity.radius, position_S);
    real above = clearance;
    MCR_UNROLL(2)
    for (int pass = 0; pass < 2; ++pass) {
        Vec3 const place_S = position_S + (above / cosine) * beam_S;
        above = height - surface_spot(surface, terrain, grid_point(gravity, place_S), true).height;
    }
    return above;
}

/// Line-of-sight speeds of the lander along the three beams. clearance: [m] over the ground below; `shape`: that of the run's
/// ground, or one that is more.
MCR_FN BeamSpeeds measure_speeds(Velocimeter const& velocimeter, Surface const& surface, Terrain const& terrain,
                                 Gravity const& gravity, Failing const& failing, real clearance, Vec3 const& position_S,
                                 Vec3 const& velocity_S, Quat const& q_BS, Draws const& draws, int tick, Shape shape) {
    Normal4 const n = normals(draws, Stream::velocimeter, 2u * static_cast<unsigned>(tick));
    Uniform4 const u = uniforms(draws, Stream::velocimeter, 2u * static_cast<unsigned>(tick) + 1u);
    real const noise[3] = {n.a, n.b, n.c};
    real const chance[3] = {u.a, u.b, u.c};
    bool const works = (clearance < velocimeter.range_max) & (norm(velocity_S) < velocimeter.speed_max);
    BeamSpeeds speeds;
    MCR_UNROLL(36)
    for (int beam = 0; beam < 3; ++beam) {
        Vec3 const beam_S = rotate_inverse(q_BS, beam_direction(velocimeter, beam));
        speeds.speed[beam] = dot(beam_S, velocity_S) * (real(1) + velocimeter.scale) + velocimeter.noise * noise[beam];
        bool meets = beam_S.z < real(-0.2);
        if (shape == Shape::grid) {
            real const cosine = maximum(-dot(beam_S, unit(from_centre(gravity, position_S))), real(0.2));
            meets = meets & (beam_height(surface, terrain, gravity, clearance, position_S, beam_S, cosine) < velocimeter.range_max);
        }
        speeds.valid[beam] = select(all(works, meets, chance[beam] >= velocimeter.dropout, beam >= failing.beams_lost), 1, 0);
    }
    return speeds;
}

}  // namespace mcr
