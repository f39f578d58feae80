#pragma once
/// What the World of a run and the truth step give once, for all the steps that need it: divisions and exponentials
/// that no step repeats.
#include "elementary.h"
#include "params.h"

namespace mcr {

/// How a first-order lag closes a gap over one step.
struct Lag {
    real decay;           // [] of the gap left at the end
    real mean;            // [] of the gap left on average
};

MCR_FN Lag lag_of(real time_constant, real step) {
    real const constant = maximum(time_constant, real(1e-4));
    real const decay = exponential(-step / constant);
    return Lag{decay, (real(1) - decay) * constant / step};
}

/// Propellant that the thrusters of one axis use [kg s^-1].
MCR_FN real rcs_flow(Rcs const& rcs) { return rcs.jets * rcs.thrust / (rcs.isp * standard_gravity); }

/// Constants of one run.
struct Pace {
    Lag main;             // of the main engine's thrust
    Lag tail_off;
    Lag cluster;
    real main_flow;       // [s m^-1] mass flow for a unit of thrust, 1 / (Isp g0)
    real rcs_flow;        // [kg s^-1] of the thrusters of one axis
    real tank;            // [kg^-1] inverse of the main propellant
    real noise_decay;     // [] of thrust noise over one tick
    real noise_kick;      // [] its new part
};

MCR_FN Pace pace_of(World const& world, int truth_steps) {
    Engine const& main = world.propulsion.main;
    Cluster const& cluster = world.propulsion.cluster;
    real const step = tick_period / real_of(truth_steps);
    real const decay = exponential(-tick_period / world.propulsion.noise_time);
    return Pace{lag_of(main.lag, step),
                lag_of(main.tail_off, step),
                lag_of(cluster.lag, step),
                real(1) / (main.isp * standard_gravity),
                rcs_flow(world.rcs),
                real(1) / world.propulsion.propellant,
                decay,
                world.propulsion.noise * square_root(maximum(real(1) - decay * decay, real(0)))};
}

}  // namespace mcr
