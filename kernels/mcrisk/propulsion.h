#pragma once
/// Propulsion: one main engine (fixed or throttled) and a cluster of equal pulsed engines around it, one tank pair.
/// Modelled: first-order lag, start delay, tail-off, thrust noise (Gauss-Markov, 1 s), throttle band and dead band,
/// pulse-width modulation with a minimum on-time, misalignment, offset from the centre of gravity, residual propellant,
/// depletion inside a step, differential duty of the cluster as pitch and yaw torque, engine out and failed start.
/// Not modelled: mixture ratio, blow-down, plume forces.
/// Source: Sutton & Biblarz, Rocket Propulsion Elements, ch. 2 (thrust, specific impulse, mass flow).
#include "clock.h"
#include "vec.h"

namespace mcr {

constexpr real standard_gravity = real(9.80665);  ///< [m s^-2] exact, CGPM 1901.

/// A single engine on the axis; a fixed-thrust engine has throttle_min = 1.
struct Engine {
    real thrust;          ///< [N] >= 0, default 0 N. Thrust at full throttle.
    real isp;             ///< [s] > 0, default 318 s. Specific impulse.
    real throttle_min;    ///< [] 0 .. 1, default 1. Lowest throttle; 1 is a fixed-thrust engine.
    real band_low;        ///< [] 0 .. 1, default 1. Lower end of the forbidden throttle band.
    real band_high;       ///< [] 0 .. 1, default 1. Upper end of the forbidden throttle band.
    real lag;             ///< [s] > 0, default 0.1 s. Time constant of the thrust.
    real start_delay;     ///< [s] >= 0, default 0 s. Delay of the first thrust after the ignition command.
    real tail_off;        ///< [s] > 0, default 0.1 s. Time constant of the thrust after the cut-off command.
    real misalign_x;      ///< [rad] default 0 deg. Thrust direction error about body x.
    real misalign_y;      ///< [rad] default 0 deg. Thrust direction error about body y.
    real offset_x;        ///< [m] default 0 m. Thrust application point off the axis along body x.
    real offset_y;        ///< [m] default 0 m. Thrust application point off the axis along body y.
};

/// Equal engines on a ring around the axis, pulsed once per tick.
struct Cluster {
    int  count;           ///< [] 0 .. 64, default 0. Number of engines.
    real thrust;          ///< [N] >= 0, default 0 N. Thrust of one engine.
    real isp;             ///< [s] > 0, default 275 s. Specific impulse of a long pulse.
    real radius;          ///< [m] >= 0, default 0.8 m. Distance of the engines from the axis.
    real pulse_min;       ///< [s] 0 .. 0.1, default 0.02 s. Shortest on-time and shortest off-time.
    real isp_loss;        ///< [] 0 .. 0.9, default 0.1. Loss of specific impulse of the shortest pulse.
    real lag;             ///< [s] > 0, default 0.02 s. Time constant of the thrust.
    real misalign_x;      ///< [rad] default 0 deg. Direction error of the mean thrust about body x.
    real misalign_y;      ///< [rad] default 0 deg. Direction error of the mean thrust about body y.
};

/// Engines and main tanks.
struct Propulsion {
    Engine main;          ///< Main engine.
    Cluster cluster;      ///< Pulsed cluster.
    real propellant;      ///< [kg] > 0. Main propellant on board at the start of the powered descent.
    real residual;        ///< [] 0 .. 0.5, default 1 %. Part of the propellant that cannot be used.
    real noise;           ///< [] >= 0, default 0.5 %. One-sigma thrust noise.
    real noise_time;      ///< [s] > 0, default 1 s. Correlation time of thrust noise.
};

/// State of the engines.
struct EngineState {
    real main;            // [N] thrust now
    real cluster;         // [N] thrust now
    real noise;           // [] relative thrust error
    real propellant;      // [kg] usable main propellant
    real propellant_rest; // compensation of the sum
    real delta_v;         // [m s^-1] delivered so far
};

/// Throttle the engine can hold nearest below the wish: outside its forbidden band and above its minimum (never zero).
MCR_FN real allowed_throttle(Engine const& engine, real wish) {
    real const held = clamp(wish, engine.throttle_min, real(1));
    bool const forbidden = (held > engine.band_low) & (held < engine.band_high);
    return select(forbidden, engine.band_low, held);
}

/// Duty that respects the shortest on-time and off-time.
MCR_FN real allowed_duty(Cluster const& cluster, real wish) {
    real const shortest = cluster.pulse_min * (real(1) / tick_period);
    real duty = clamp(wish, real(0), real(1));
    duty = select(duty < real(0.5) * shortest, real(0), select(duty < shortest, shortest, duty));
    real const rest = real(1) - duty;
    duty = select(rest < real(0.5) * shortest, real(1), select(rest < shortest, real(1) - shortest, duty));
    return duty;
}

/// Part of sub-step `index` of `count` equal sub-steps of a tick in which a pulse of the given duty is on.
MCR_FN real pulse_overlap(real duty, int index, int count) {
    return clamp(duty * real_of(count) - real_of(index), real(0), real(1));
}

/// Largest pitch or yaw torque that differential duty gives without changing the mean thrust:
/// a cosine pattern of duty on a ring of n engines gives n F R / 2 per unit of amplitude.
MCR_FN real differential_torque_max(Cluster const& cluster, real duty) {
    real const amplitude = minimum(duty, real(1) - duty);
    return real(0.5) * real_of(cluster.count) * cluster.thrust * cluster.radius * maximum(amplitude, real(0));
}

/// Mass flow for a unit of thrust [s m^-1], 1 / (Isp g0), of a pulse: the specific impulse falls for short pulses.
MCR_FN real pulse_flow(Cluster const& cluster, real duty) {
    real const on_time = maximum(duty * tick_period, maximum(cluster.pulse_min, real(1e-3)));
    return on_time / (cluster.isp * standard_gravity * (on_time - cluster.isp_loss * cluster.pulse_min));
}

/// Thrust, torque and mass flow over one truth step.
struct Push {
    Vec3 force_B;         // [N] mean over the step
    Vec3 torque_B;        // [N m] about the engine mount
    real flow;            // [kg s^-1]
};

/// Direction of a thrust tilted by small angles about body x and y.
MCR_FN Vec3 tilted_axis(real about_x, real about_y) { return Vec3{about_y, -about_x, real(1)}; }

}  // namespace mcr
