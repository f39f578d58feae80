#pragma once
/// Truth: rigid-body dynamics of the lander in the site frame over one truth step.
/// Modelled: everything in gravity.h, thrust and torque of propulsion.h, attitude thrusters, changing mass, centre of gravity
/// and inertia. Second order (mid-point); position, velocity, attitude and propellant as compensated sums.
/// Not modelled: slosh, jet damping by gas.
/// Source: Hughes, Spacecraft Attitude Dynamics, 3.1 (Euler's equations); mid-point rule: Hairer, Norsett & Wanner, II.1.
#include "state.h"

namespace mcr {

/// Thrust of a first-order lag over a step: value at its end and mean.
struct Lagged {
    real end;
    real mean;
};

MCR_FN Lagged lagged(real now, real wanted, real decay, real mean) {
    real const gap = now - wanted;
    return Lagged{fused(gap, decay, wanted), fused(gap, mean, wanted)};
}

/// Thrust, torque and flow over sub-step `index` of `count`; advances the lags in `engines`.
MCR_FN Push burn(World const& world, Pace const& pace, Failing const& failing, EngineState& engines,
                 GuidanceMemory const& asked, Command const& command, int tick, int index, int count) {
    Engine const& main = world.propulsion.main;
    Cluster const& cluster = world.propulsion.cluster;
    real const step = tick_period / real_of(count);
    real const since = seconds(tick - asked.ignition_tick) + real_of(index + 1) * step;
    bool const wet = engines.propellant > real(0);

    // main engine
    real const started = clamp((since - main.start_delay) * (real(1) / step), real(0), real(1));
    bool const stuck = (failing.throttle_held >= real(0)) & (asked.throttle > real(0));
    real const throttle = select(stuck, failing.throttle_held, asked.throttle);
    real const wish = select(wet, throttle * main.thrust * started * failing.main_gain, real(0));
    bool const on = wish > real(0);
    Lagged const thrust = lagged(engines.main, wish, select(on, pace.main.decay, pace.tail_off.decay),
                                 select(on, pace.main.mean, pace.tail_off.mean));

    // cluster
    real const count_left = real_of(cluster.count) - failing.ring_loss;
    real const pulse = select(wet, pulse_overlap(asked.duty, index, count), real(0));
    Lagged const ring = lagged(engines.cluster, pulse * maximum(count_left, real(0)) * cluster.thrust, pace.cluster.decay,
                               pace.cluster.mean);

    // flow; the last step burns what is left
    real const noise = (real(1) + engines.noise) * failing.thrust_gain;
    real const flow_wanted =
        noise * (thrust.mean * pace.main_flow + ring.mean * pulse_flow(cluster, asked.duty)) + failing.leak;
    bool const empties = flow_wanted * step > engines.propellant;
    real const share = select(empties, engines.propellant / maximum(flow_wanted * step, real(1e-12)), real(1));
    real const scale_all = noise * maximum(share, real(0));
    real const main_force = thrust.mean * failing.main_nozzle * scale_all;
    real const ring_force = ring.mean * scale_all;

    // forces and torques
    Vec3 const main_B = main_force * tilted_axis(main.misalign_x, main.misalign_y);
    Vec3 const ring_B = ring_force * tilted_axis(cluster.misalign_x, cluster.misalign_y);
    real const arm = ring_force * cluster.radius;  // of what one engine lacks
    // torque comes with the thrust that gives it, evenly over the tick
    real const given = select(wet, scale_all * count_left * cluster.thrust, real(0));
    real const steer = given * command.ring_inverse;
    Vec3 const torque_B{fused(steer, command.torque_B.x, main.offset_y * main_B.z) - arm * failing.ring_y,
                        fused(steer, command.torque_B.y, arm * failing.ring_x) - main.offset_x * main_B.z,
                        main.offset_x * main_B.y - main.offset_y * main_B.x};

    engines.main = thrust.end;
    engines.cluster = ring.end;
    real const flow = flow_wanted * share;
    add_compensated(engines.propellant, engines.propellant_rest, -flow * step);
    engines.propellant = select(empties, real(0), engines.propellant);
    engines.propellant_rest = select(empties, real(0), engines.propellant_rest);
    return Push{main_B + ring_B, torque_B, flow};
}

/// Part of the jets about one axis that fires at the computer's wish.
MCR_FN real answering(real on_time, real plus, real minus, int index, int count) {
    return pulse_overlap(absolute(on_time) * (real(1) / tick_period), index, count) * select(on_time < real(0), minus, plus);
}

/// Torque of the attitude thrusters over sub-step `index` of `count`; uses their propellant, `flow` [kg s^-1] for each axis.
MCR_FN Vec3 fire_rcs(Rcs const& rcs, Failing const& failing, real flow, real& propellant, Vec3 const& on_time, int index,
                     int count) {
    real const full = rcs_torque_max(rcs);
    real const step = tick_period / real_of(count);
    bool const wet = propellant > real(0);
    Vec3 const part{answering(on_time.x, failing.jets_plus.x, failing.jets_minus.x, index, count),
                    answering(on_time.y, failing.jets_plus.y, failing.jets_minus.y, index, count),
                    answering(on_time.z, failing.jets_plus.z, failing.jets_minus.z, index, count)};
    Vec3 const stuck = failing.jets_stuck;
    real const always = absolute(stuck.x) + absolute(stuck.y) + absolute(stuck.z);
    real const burn_time = (part.x + part.y + part.z + always) * step;
    propellant = maximum(propellant - select(wet, flow * burn_time, real(0)), real(0));
    real const gain = select(wet, full * rcs.gain, real(0));
    return Vec3{(sign_of(on_time.x) * part.x + stuck.x) * gain, (sign_of(on_time.y) * part.y + stuck.y) * gain,
                (sign_of(on_time.z) * part.z + stuck.z) * gain};
}

/// Mass that is left of the tanks and the lander.
MCR_FN real mass_of(World const& world, Truth const& truth) {
    return world.vehicle.mass_dry + world.propulsion.residual * world.propulsion.propellant + truth.engines.propellant +
           truth.rcs_propellant;
}

/// One truth step.
MCR_FN void propagate(World const& world, Pace const& pace, Failing const& failing, Truth& truth,
                      GuidanceMemory const& asked, Command const& command, int tick, int index, int count) {
    real const step = tick_period / real_of(count);
    real const half = real(0.5) * step;
    real const mass_start = mass_of(world, truth);
    Push const push = burn(world, pace, failing, truth.engines, asked, command, tick, index, count);
    real const mass_middle = mass_start - half * push.flow;
    real const full_middle = (truth.engines.propellant + half * push.flow) * pace.tank + world.propulsion.residual;
    MassProperties const mass = mass_properties(world.vehicle, full_middle);
    Vec3 const torque_B = push.torque_B - cross(mass.cg_B, push.force_B) +
                          fire_rcs(world.rcs, failing, pace.rcs_flow, truth.rcs_propellant, command.rcs_time, index, count);

    // rotation: Euler's equations with changing inertia, mid-point
    Vec3 const inertia = mass.inertia;
    real const yz = inertia.y * inertia.z;
    real const product = real(1) / (inertia.x * yz);
    Vec3 const inverse{product * yz, product * inertia.x * inertia.z, product * inertia.x * inertia.y};
    Vec3 const inertia_rate = (-push.flow * pace.tank) * (world.vehicle.inertia_full - world.vehicle.inertia_dry);
    Vec3 const omega = truth.omega_BN_B;
    Vec3 const alpha = scale(inverse, torque_B - cross(omega, scale(inertia, omega)) - scale(inertia_rate, omega));
    Vec3 const omega_middle = fused(half, alpha, omega);
    Vec3 const alpha_middle =
        scale(inverse, torque_B - cross(omega_middle, scale(inertia, omega_middle)) - scale(inertia_rate, omega_middle));
    truth.omega_BN_B = fused(step, alpha_middle, omega);
    Vec3 const spin_B = rotate(truth.q_BS, world.gravity.rotation_rate * world.gravity.pole_S);
    Vec3 const turn_B = step * (omega_middle - fused(half, cross(spin_B, omega), spin_B));
    Quat const q_middle = turn_by(truth.q_BS, truth.q_rest, turn_B);

    // translation: mid-point, thrust direction at the middle of the step; one gravity serves both halves
    Vec3 const felt_B = (real(1) / mass_middle) * push.force_B;
    Vec3 const felt_S = rotate_inverse(q_middle, felt_B);
    Vec3 const start_S = truth.velocity_S;
    Vec3 const middle_S = fused(half, start_S, truth.position_S);
    Vec3 const pulled = felt_S + truth.anomaly_S + gravitation(world.gravity, middle_S);
    Vec3 const velocity_middle = fused(half, pulled + inertial_acceleration(world.gravity, middle_S, start_S), start_S);
    Vec3 const acceleration = pulled + inertial_acceleration(world.gravity, middle_S, velocity_middle);
    add_compensated(truth.velocity_S, truth.velocity_rest, step * acceleration);
    add_compensated(truth.position_S, truth.position_rest, step * fused(half, acceleration, start_S));

    // what the inertial unit integrates
    truth.angle_B = fused(step, omega_middle, truth.angle_B);
    truth.velocity_B = fused(step, felt_B, truth.velocity_B);
    truth.engines.delta_v = fused(step, norm(felt_B), truth.engines.delta_v);
}

}  // namespace mcr
