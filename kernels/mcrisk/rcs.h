#pragma once
/// Attitude thrusters: pure couples about each body axis, pulsed once per tick in whole minimum impulse bits.
/// Modelled: minimum impulse, saturation, own propellant, specific impulse. Not modelled: plume impingement, cross-coupling.
/// Source: Wie, Space Vehicle Dynamics and Control, 7.6 (pulse-modulated thrusters, limit cycle).
#include "clock.h"
#include "vec.h"

namespace mcr {

/// Attitude thrusters.
struct Rcs {
    real thrust;          ///< [N] > 0. Thrust of one jet.
    real arm;             ///< [m] > 0. Lever arm of a jet.
    real jets;            ///< [] >= 1, default 2. Jets that fire together for one axis and sense.
    real isp;             ///< [s] > 0, default 220 s. Specific impulse.
    real pulse_min;       ///< [s] > 0, default 0.02 s. Shortest on-time.
    real propellant;      ///< [kg] >= 0. Attitude propellant at the start of the powered descent.
    real gain;            ///< [] > 0, default 1. Delivered over nominal torque.
};

/// Largest torque about one axis.
MCR_FN real rcs_torque_max(Rcs const& rcs) { return rcs.jets * rcs.thrust * rcs.arm; }

/// Signed on-time [s] for a torque asked over one tick: whole multiples of the shortest pulse, at most one tick.
MCR_FN real rcs_on_time(Rcs const& rcs, real torque) {
    real const pulses_of_torque = tick_period / (rcs_torque_max(rcs) * rcs.pulse_min);
    real const pulses = real_of(to_int(absolute(torque) * pulses_of_torque + real(0.5), 0, 1000));
    real const on_time = minimum(pulses * rcs.pulse_min, tick_period);
    return select(torque < real(0), -on_time, on_time);
}

}  // namespace mcr
