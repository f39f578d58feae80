#pragma once
/// Start of a run: dispersed world, faults, errors of the units, delivery and knowledge of the orbit, attitude.
/// The nominal state comes from the mission's orbit (analytic de-orbit and coast); its errors are two correlated draws in
/// radial, along-track and cross-track components.
/// Source: Battin, An Introduction to the Mathematics and Methods of Astrodynamics, 13.1 (covariance and its factor).
#include "state.h"

namespace mcr {

/// Vector of six correlated numbers: lower Cholesky factor times standard normals.
struct Six {
    Vec3 position;
    Vec3 velocity;
};

MCR_FN Six correlated(real const* factor, Vec3 const& first, Vec3 const& second) {
    real const n[6] = {first.x, first.y, first.z, second.x, second.y, second.z};
    real value[6];
    MCR_UNROLL(6)
    for (int i = 0; i < 6; ++i) {
        real sum = real(0);
        MCR_UNROLL(6)
        for (int j = 0; j < 6; ++j) {
            if (j <= i) sum += factor[i * (i + 1) / 2 + j] * n[j];
        }
        value[i] = sum;
    }
    return Six{Vec3{value[0], value[1], value[2]}, Vec3{value[3], value[4], value[5]}};
}

/// Radial, along-track and cross-track components as a vector in S.
MCR_FN Vec3 from_orbit_axes(Arrival const& arrival, Vec3 const& v) {
    return v.x * arrival.radial_S + v.y * arrival.along_S + v.z * arrival.cross_S;
}

/// Standard normal number of dispersion `d`: its own, or a weighted sum over correlation factors.
MCR_FN real dispersion_normal(Scatter const& scatter, Dispersion const& d, Draws const& draws) {
    real sum = normals(draws, static_cast<unsigned>(d.stream), 0u).a;
    if (d.factor_count > 0) {  // the same for every run of a case
        sum = real(0);
        for (int k = 0; k < d.factor_count; ++k) {
            Factor const& factor = scatter.factor[d.factor_first + k];
            sum += factor.weight * normals(draws, static_cast<unsigned>(factor.stream), 0u).a;
        }
    }
    return sum;
}

/// Dispersed value of one word of the World.
MCR_FN real dispersed(Scatter const& scatter, Dispersion const& d, real nominal, Draws const& draws) {
    real const uniform = uniforms(draws, static_cast<unsigned>(d.stream), 1u).a;
    return disperse(d, nominal, dispersion_normal(scatter, d, draws), uniform);
}

/// Errors and faults of this run; its World is dispersed by the caller, word by word.
MCR_FN void draw_run(Params const& params, Run& run, Draws const& draws) {
    run.imu_errors = make_imu_errors(run.world.imu, draws);
    run.struck = strike(params.faults, draws);
}

/// State of a run at its start.
MCR_FN State start(Params const& params, Run const& run, Draws const& draws) {
    Arrival const& arrival = params.arrival;
    World const& world = run.world;
    Six const delivery = correlated(arrival.delivery, normal_vector(draws, Stream::delivery_position, 0u),
                                    normal_vector(draws, Stream::delivery_velocity, 0u));
    Six const knowledge = correlated(arrival.knowledge, normal_vector(draws, Stream::knowledge_position, 0u),
                                     normal_vector(draws, Stream::knowledge_velocity, 0u));
    Vec3 const zero{real(0), real(0), real(0)};

    State state{};
    Truth& truth = state.truth;
    truth.position_S = arrival.position_S + from_orbit_axes(arrival, delivery.position);
    truth.velocity_S = arrival.velocity_S + from_orbit_axes(arrival, delivery.velocity);
    truth.omega_BN_B = zero;
    truth.anomaly_S = world.gravity.anomaly * normal_vector(draws, Stream::gravity_anomaly, 0u);
    truth.engines.propellant = world.propulsion.propellant * (real(1) - world.propulsion.residual);
    truth.rcs_propellant = world.rcs.propellant;
    truth.clearance = real(1e6);
    state.imu = make_imu_memory(world.imu, draws);

    // thrust axis against the velocity, body y along S y
    Vec3 const back_S = real(-1) * unit(truth.velocity_S);
    Vec3 const y_axis{real(0), real(1), real(0)};
    Vec3 const y_S = unit(y_axis - dot(y_axis, back_S) * back_S);
    truth.q_BS = from_axes(cross(y_S, back_S), y_S, back_S);

    // what the computer starts with
    Navigation const& navigation = params.onboard.navigation;
    Vec3 const star = world.imu.attitude_sigma * normal_vector(draws, Stream::star_tracker, 0u);
    bool const perfect = navigation.mode == NavigationMode::perfect;
    Estimate& estimate = state.estimate;
    Vec3 const mistaken_S = from_orbit_axes(arrival, knowledge.position) + navigation.radial_offset * arrival.radial_S;
    estimate.position_S = truth.position_S + select(perfect, zero, mistaken_S);
    estimate.velocity_S = truth.velocity_S + select(perfect, zero, from_orbit_axes(arrival, knowledge.velocity));
    estimate.q_BS = compose(from_rotation_vector(select(perfect, zero, star)), truth.q_BS);
    MCR_UNROLL(21)
    for (int k = 0; k < 21; ++k) state.navigation.plane[k] = navigation.covariance_plane[k];
    MCR_UNROLL(6)
    for (int k = 0; k < 6; ++k) state.navigation.cross[k] = navigation.covariance_cross[k];

    GuidanceMemory& guidance = state.guidance;
    guidance.phase = Phase::coast;
    guidance.ignition_tick = -1;
    guidance.time_to_go = params.onboard.guidance.brake_time;
    guidance.trim = params.onboard.guidance.brake_fraction;
    guidance.direction_S = back_S;
    guidance.thrust_scale = real(1);
    guidance.mass = params.world.vehicle.mass_dry + params.world.propulsion.propellant + params.world.rcs.propellant;

    state.failing = working();
    Events& events = state.events;
    events.first = -1;
    events.acquisition_height = real(-1);
    events.acquisition_speed = real(-1);
    events.acquisition_error = real(-1);
    events.speed_high = real(-1);
    events.speed_middle = real(-1);
    events.speed_low = real(-1);
    events.believed_high = real(-1);
    events.false_ground_height = real(-1);
    events.false_ground_tick = -1;
    events.depletion_height = real(-1);
    events.depletion_tick = -1;
    events.main_off_height = real(-1);
    events.main_off_tick = -1;
    events.main_off_speed = real(-1);
    events.gate_height = real(-1);
    events.gate_tick = -1;
    events.gate_speed = real(-1);
    events.gate_trim = real(-1);
    events.gate_miss = real(-1);
    events.divert = real(-1);
    events.altimeter_range = real(-1);
    events.altimeter_last = real(-1);
    return state;
}

}  // namespace mcr
