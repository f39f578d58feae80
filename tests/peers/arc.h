/// The powered arc of arc.py through the truth of mcrisk itself: start of a run, and its state at a time, in double.
#pragma once
#include "mcrisk/descent.h"

namespace mcr {

/// A row of arc.py's `starts`.
struct ArcStart {
    double position_S[3], velocity_S[3], q_BS[4], omega_BN_B[3];
    double thrust, isp, propellant;
};

/// A row of arc.py's `Ends`.
struct ArcEnd {
    double position_S[3], velocity_S[3], q_BS[4], omega_BN_B[3];
    double mass;
};

MCR_FN real arc_real(double x) { return static_cast<real>(x); }

/// What single precision cannot hold of x goes to the rest of a compensated sum, which counts downward.
MCR_FN real arc_rest(double x) { return arc_real(static_cast<double>(arc_real(x)) - x); }

MCR_FN double arc_sum(real sum, real rest) { return static_cast<double>(sum) - static_cast<double>(rest); }

/// Engine at full thrust since long, no other command, no fault, no unmodelled gravity.
MCR_FN State begin_arc(Params const& nominal, ArcStart const& row, Run& run) {
    Params params = nominal;
    params.world.propulsion.main.thrust = arc_real(row.thrust);
    params.world.propulsion.main.isp = arc_real(row.isp);
    State state = begin(params, run, make_draws(0, 0));
    state.guidance.throttle = real(1);
    state.guidance.duty = real(0);
    state.guidance.ignition_tick = -1000;
    state.command.torque_B = state.command.rcs_time = Vec3{real(0), real(0), real(0)};
    Truth truth{};
    double const* const r = row.position_S;
    double const* const v = row.velocity_S;
    double const* const q = row.q_BS;
    double const* const w = row.omega_BN_B;
    truth.position_S = Vec3{arc_real(r[0]), arc_real(r[1]), arc_real(r[2])};
    truth.position_rest = Vec3{arc_rest(r[0]), arc_rest(r[1]), arc_rest(r[2])};
    truth.velocity_S = Vec3{arc_real(v[0]), arc_real(v[1]), arc_real(v[2])};
    truth.velocity_rest = Vec3{arc_rest(v[0]), arc_rest(v[1]), arc_rest(v[2])};
    truth.q_BS = Quat{arc_real(q[0]), arc_real(q[1]), arc_real(q[2]), arc_real(q[3])};
    truth.q_rest = Quat{arc_rest(q[0]), arc_rest(q[1]), arc_rest(q[2]), arc_rest(q[3])};
    truth.omega_BN_B = Vec3{arc_real(w[0]), arc_real(w[1]), arc_real(w[2])};
    truth.engines.main = arc_real(row.thrust);
    truth.engines.propellant = arc_real(row.propellant);
    state.truth = truth;
    return state;
}

MCR_FN ArcEnd end_arc(Run const& run, State const& state) {
    Truth const& truth = state.truth;
    Vec3 const& r = truth.position_S;
    Vec3 const& v = truth.velocity_S;
    Quat const& q = truth.q_BS;
    Vec3 const& w = truth.omega_BN_B;
    double const mass = static_cast<double>(run.world.vehicle.mass_dry) +
                        arc_sum(truth.engines.propellant, truth.engines.propellant_rest);
    return ArcEnd{{arc_sum(r.x, truth.position_rest.x), arc_sum(r.y, truth.position_rest.y), arc_sum(r.z, truth.position_rest.z)},
                  {arc_sum(v.x, truth.velocity_rest.x), arc_sum(v.y, truth.velocity_rest.y), arc_sum(v.z, truth.velocity_rest.z)},
                  {arc_sum(q.w, truth.q_rest.w), arc_sum(q.x, truth.q_rest.x), arc_sum(q.y, truth.q_rest.y),
                   arc_sum(q.z, truth.q_rest.z)},
                  {static_cast<double>(w.x), static_cast<double>(w.y), static_cast<double>(w.z)},
                  mass};
}

}  // namespace mcr
