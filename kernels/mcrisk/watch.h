#pragma once
/// Watching a run: contact with the ground, outcomes decided in flight, the first cause, and the heights and speeds that the
/// record reports; and touch signals before contact, which alone of it all act on the flight.
#include "outcome.h"
#include "state.h"

namespace mcr {

constexpr real crash_speed = real(15);           ///< [m s^-1] a faster contact is a terrain collision, not a hard landing.
constexpr real astray_cosine = real(0.5);        ///< [] cosine of 60 deg of attitude error.
constexpr int  astray_ticks = 100;               ///< [tick] of such an error before control counts as lost: a slew is shorter.
constexpr real control_lost_rate = real(1.0471976);  ///< [rad s^-1] 60 deg/s.
constexpr int  mispointed_ticks = 250;           ///< [tick] of more than 20 deg of attitude error before control counts as saturated.
constexpr real mispointed_cosine = real(0.9396926);  ///< [] cosine of 20 deg.
constexpr int  rejected_ticks = 10;              ///< samples rejected in a row before the gate counts as locked out.
constexpr int  silent_ticks = 50;                ///< [tick] without a valid sample, beyond its period, before a sensor counts as lost.
constexpr real saturation_time = real(5);        ///< [s] of thrust asked beyond what there is before guidance counts as saturated.

/// Flags a cause unless one was flagged before.
MCR_FN void blame(Events& events, bool condition, Cause cause) {
    events.cause = select(condition & (events.cause == 0), static_cast<int>(cause), events.cause);
}

/// Decides an outcome in flight unless one was decided before.
MCR_FN void decide(Events& events, bool condition, Outcome outcome) {
    events.first = select(condition & (events.first < 0), static_cast<int>(outcome), events.first);
}

/// Keeps the speed at the first passage below a height.
MCR_FN void keep_below(real& kept, bool below, real value) { kept = select(below & (kept < real(0)), value, kept); }

/// Whether all that flies is finite.
MCR_FN bool is_finite(State const& state) {
    Truth const& truth = state.truth;
    return all(is_finite(truth.position_S), is_finite(truth.velocity_S), is_finite(truth.q_BS),
               is_finite(state.estimate.position_S), is_finite(state.estimate.velocity_S), is_finite(state.estimate.q_BS),
               is_finite(truth.omega_BN_B), is_finite(state.guidance.trim), is_finite(state.rate_B),
               is_finite(state.imu.angle_rest), is_finite(state.imu.velocity_rest));
}

/// One tick of watching; sets `ended` at contact. `shape`: that of the run's ground, or one that is more.
MCR_FN void watch(Params const& params, Surface const& surface, Run const& run, State& state, int tick, Shape shape) {
    Truth& truth = state.truth;
    Events& events = state.events;
    World const& world = run.world;
    GuidanceMemory const& guidance = state.guidance;
    real const feet = world.touchdown.cg_height;
    real const before = truth.clearance;
    real const now = surface_clearance(surface, world.terrain, world.gravity, truth.position_S, shape) - feet;
    real const believed = sphere_height(world.gravity.radius, state.estimate.position_S) - params.world.touchdown.cg_height;
    real const speed = norm(truth.velocity_S);
    truth.clearance = now;

    // outcomes decided in flight
    Vec3 const axis_S = rotate_inverse(truth.q_BS, Vec3{real(0), real(0), real(1)});
    real const pointing = dot(axis_S, guidance.direction_S);
    bool const burning = (guidance.phase >= Phase::brake) & (guidance.phase < Phase::cut);
    bool const dry = truth.engines.propellant <= real(0);
    bool const high = now > real(0);
    bool const tumbling = norm(truth.omega_BN_B) > control_lost_rate;
    decide(events, dry & high, Outcome::propellant_depletion);
    events.astray = select(burning & (pointing < astray_cosine), events.astray + 1, 0);
    decide(events, burning & high & !dry & (tumbling | (events.astray > astray_ticks)), Outcome::loss_of_control);
    decide(events, (guidance.phase == Phase::cut) & (now > params.limits.drop_height), Outcome::premature_cutoff);

    // causes, in the order of their decisiveness within one tick
    bool const lit = guidance.phase >= Phase::brake;
    bool const descending = guidance.phase >= Phase::approach;
    bool const needed = now < params.monitor.altimeter_needed;
    bool const aided = params.onboard.navigation.mode != NavigationMode::perfect;  // perfect navigation asks no sensor
    bool const fitted = (params.world.altimeter.fitted == 1) & aided;
    blame(events, state.navigation.rejected >= rejected_ticks, Cause::altimeter_rejected);
    events.mispointed = select(burning & (pointing < mispointed_cosine), events.mispointed + 1, 0);
    bool const steady = events.mispointed == 0;  // a lander that points elsewhere is no fault of its sensors
    blame(events, fitted & needed & lit & steady & (events.altimeter_seen == 0), Cause::altimeter_late);
    int const silent_altimeter = silent_ticks + params.world.altimeter.period_ticks;
    int const silent_velocimeter = silent_ticks + params.world.velocimeter.period_ticks;
    blame(events, fitted & needed & steady & (events.altimeter_seen == 1) & (events.altimeter_silent > silent_altimeter),
          Cause::altimeter_lost);
    bool const near = (now < real(0.5) * params.world.velocimeter.range_max) & (now > real(10));
    bool const deaf = events.velocimeter_silent > silent_velocimeter;
    blame(events, (params.world.velocimeter.fitted == 1) & aided & near & steady & deaf & descending, Cause::velocimeter_lost);
    blame(events, events.mispointed > mispointed_ticks, Cause::control_saturated);
    blame(events, descending & (guidance.saturation > saturation_time), Cause::guidance_saturated);
    events.altimeter_silent = events.altimeter_silent + 1;
    events.velocimeter_silent = events.velocimeter_silent + 1;

    // heights and speeds for the record
    bool const falling = descending;
    bool const below_high = falling & (now <= params.monitor.height_high);
    events.believed_high = select(below_high & (events.speed_high < real(0)), believed, events.believed_high);
    keep_below(events.speed_high, below_high, speed);
    keep_below(events.speed_middle, falling & (now <= params.monitor.height_middle), speed);
    keep_below(events.speed_low, falling & (now <= params.monitor.height_low), speed);
    bool const fooled = descending & (believed <= real(0)) & (events.false_ground_tick < 0) & high;
    events.false_ground_height = select(fooled, now, events.false_ground_height);
    events.false_ground_tick = select(fooled, tick, events.false_ground_tick);
    bool const emptied = dry & high & (events.depletion_tick < 0);
    events.depletion_height = select(emptied, now, events.depletion_height);
    events.depletion_tick = select(emptied, tick, events.depletion_tick);
    bool const cut = (guidance.main_cut == 1) & (events.main_off_tick < 0);
    events.main_off_height = select(cut, now, events.main_off_height);
    events.main_off_speed = select(cut, speed, events.main_off_speed);
    events.main_off_tick = select(cut, tick, events.main_off_tick);
    bool const passes = descending & (events.gate_tick < 0);
    events.gate_height = select(passes, now, events.gate_height);
    events.gate_speed = select(passes, speed, events.gate_speed);
    events.gate_trim = select(passes, guidance.trim, events.gate_trim);
    real const angle = arctangent2(state.estimate.position_S.x, state.estimate.position_S.z + world.gravity.radius);
    real const beyond = world.gravity.radius * angle + params.onboard.guidance.gate_range;
    events.gate_miss = select(passes, beyond, events.gate_miss);
    events.gate_tick = select(passes, tick, events.gate_tick);

    // contact: the part of the tick until the surface
    bool const touches = now <= real(0);
    real const fraction = clamp(before / maximum(before - now, real(1e-6)), real(0), real(1));
    truth.clearance = select(touches, real(0), now);
    events.contact_fraction = select(touches, fraction, real(1));
    state.ended = select(is_finite(state), select(touches, 1, 0), 2);
    state.tick = tick + 1;
}

/// Cuts the engines by a probe that touches the ground, or by a false touch signal once it is heeded.
MCR_FN void feel(Params const& params, State& state) {
    Guidance const& guidance = params.onboard.guidance;
    World const& nominal = params.world;
    real const believed = sphere_height(nominal.gravity.radius, state.estimate.position_S) - nominal.touchdown.cg_height;
    Failing const& failing = state.failing;
    bool const armed = (state.guidance.phase >= Phase::approach) & (state.guidance.phase < Phase::cut) &
                       (failing.computer_down == 0);
    bool const heeded = (guidance.cutoff != Cutoff::height) & (guidance.cutoff != Cutoff::shock);
    bool const probed = (guidance.cutoff == Cutoff::probe) & (failing.touch_missed == 0) &
                        (state.truth.clearance <= guidance.cutoff_probe);
    bool const fooled = heeded & (failing.touch_false == 1) & (believed <= params.faults.touch_false_height);
    bool const cuts = armed & (probed | fooled);
    blame(state.events, cuts & fooled, Cause::touch_sensor);
    state.guidance.phase = cuts ? Phase::cut : state.guidance.phase;
    state.guidance.throttle = select(cuts, real(0), state.guidance.throttle);
    state.guidance.duty_wish = select(cuts, real(0), state.guidance.duty_wish);
}

/// Moves a run that has touched the ground in this tick back along it to the surface.
MCR_FN void touch(Run const& run, State& state) {
    Truth& truth = state.truth;
    real const back = (real(1) - state.events.contact_fraction) * tick_period;
    Vec3 const thrust_S = (real(1) / tick_period) * rotate_inverse(truth.q_BS, truth.velocity_B);
    Vec3 const acceleration_S = thrust_S + free_acceleration(run.world.gravity, truth.position_S, truth.velocity_S);
    Vec3 const end_S = truth.velocity_S;
    truth.velocity_S = end_S - back * acceleration_S;
    truth.position_S = truth.position_S - back * (real(0.5) * (end_S + truth.velocity_S));
    Vec3 const estimate_end_S = state.estimate.velocity_S;
    state.estimate.velocity_S = estimate_end_S - back * acceleration_S;
    state.estimate.position_S = state.estimate.position_S - back * (real(0.5) * (estimate_end_S + state.estimate.velocity_S));
    state.ended = select(is_finite(state), 1, 2);
}

}  // namespace mcr
