#pragma once
/// The verdict on a run that has ended: outcome, cause and record.
/// Order of tests: what was decided in flight, then the speed of contact, then the landing gear, then the ground, then the target.
#include "contact.h"
#include "record.h"

namespace mcr {

/// Record of a run whose computation left the finite numbers: the same bits everywhere.
MCR_FN Record invalid_record() {
    Record record{};
    record.outcome = Outcome::invalid;
    record.cause = Cause::none;
    return record;
}

/// Record of a run that has ended or run out of time.
MCR_FN Record report(Params const& params, Surface const& surface, Run const& run, State const& state, Body const& body,
                     Draws const& draws) {
    Truth const& truth = state.truth;
    Events const& events = state.events;
    World const& world = run.world;
    Touchdown const& gear = world.touchdown;
    Limits const& limits = params.limits;
    bool const contact = state.ended == 1;

    // ground under the lander: local vertical tilted by the slope toward its azimuth
    Bearings const b = bearings_of(world.gravity, gear.cg_height, truth.position_S, truth.velocity_S);
    Vec3 const up_S = unit(from_centre(world.gravity, truth.position_S));
    Pad pad = pad_at(surface, world.terrain, world.gravity, gear, draws, truth.position_S);
    MCR_SETTLE(pad);
    real const rock = highest_rock(pad, world.terrain, gear, draws);
    real const body_rock = rock_rise(world.terrain, body_density(pad, gear, draws));
    Slope const slope = slope_of(pad, up_S, b.forward);
    Vec3 const normal_S = slope.normal_S;
    real const descent_rate = -dot(truth.velocity_S, normal_S);
    Vec3 const along_ground_S = truth.velocity_S + descent_rate * normal_S;
    real const horizontal_speed = norm(along_ground_S);
    real const speed = norm(truth.velocity_S);
    Vec3 const axis_S = rotate_inverse(truth.q_BS, Vec3{real(0), real(0), real(1)});
    real const tilt = arctangent2(norm(cross(axis_S, up_S)), dot(axis_S, up_S));
    real const tilt_rate = norm(truth.omega_BN_B);

    // tip-over: foot caught, or friction that holds the foot; lean of slope and attitude toward the motion
    real const mass = mass_of(world, truth);
    real const gravity = norm(point_mass(world.gravity, truth.position_S));
    real const support = support_distance(gear, params.legs);
    // it pivots about the foot ahead either as it comes or once settled on the slope: the greater lean from the vertical counts
    Vec3 const heading_S = select(horizontal_speed > real(0.01), unit(along_ground_S), slope.downhill_S);
    Vec3 const level_S = unit(heading_S - dot(heading_S, up_S) * up_S);
    real const lean_ground = -arcsine(clamp(dot(heading_S, up_S), real(-1), real(1)));
    real const lean_body = arcsine(clamp(dot(axis_S, level_S), real(-1), real(1)));
    real const lean = maximum(maximum(lean_ground, lean_body), real(0));
    real const allowed = tipping_speed(support, gear.cg_height, gear.gyration_radius, gravity, lean);
    real const gyration2 = gear.gyration_radius * gear.gyration_radius;
    // spin adds to the rotation about the caught foot: omega k^2 = v h
    real const used = horizontal_speed + tilt_rate * gyration2 / gear.cg_height;
    Uniform4 const chance = uniforms(draws, Stream::touchdown, 0u);
    bool const held = (chance.a < gear.foot_caught) | (gear.friction > support / gear.cg_height);
    bool const would_topple = (held & (used > allowed)) | (lean >= arctangent2(support, gear.cg_height));
    real const margin = (allowed - used) / maximum(allowed + used, real(1e-3));
    bool const followed = body.settled != Settled::spared;
    Vec3 const up_G{dot(up_S, slope.downhill_S), dot(up_S, slope.level_S), dot(up_S, slope.normal_S)};
    Vec3 const axis_G = rotate_inverse(body.q_BG, Vec3{real(0), real(0), real(1)});
    real const rest_tilt = select(followed, arctangent2(norm(cross(axis_G, up_G)), dot(axis_G, up_G)), tilt);
    bool const topples = select(followed, body.settled == Settled::fallen, would_topple);
    bool const restless = followed & (body.settled == Settled::restless);
    real const stroke = select(followed, body.stroke, crush_stroke(gear, mass, gravity, maximum(descent_rate, real(0))));
    bool const spent = select(followed, body.exhausted == 1, stroke > gear.stroke_max);
    // a rock takes room from the body; by the closed form it strikes where it is higher than clearance less stroke
    real const room = select(followed, body.room, gear.clearance - stroke) - body_rock;
    bool const strikes = (followed | (body_rock > real(0))) & (room < real(0)) & !topples;

    // outcome
    real const arc = -b.range;
    real const miss = square_root(arc * arc + truth.position_S.y * truth.position_S.y);
    bool const airborne = state.guidance.phase < Phase::approach;
    Outcome outcome = Outcome::success;
    outcome = miss > limits.target_radius ? Outcome::off_target : outcome;
    outcome = any(pad.slope > limits.slope, rest_tilt > limits.rest_tilt, strikes, restless) ? Outcome::hazard_strike : outcome;
    outcome = topples ? Outcome::tip_over : outcome;
    bool const hard = any(descent_rate > limits.descent_rate, horizontal_speed > limits.horizontal_speed, tilt > limits.tilt,
                          tilt_rate > limits.tilt_rate, spent);
    outcome = hard ? Outcome::hard_landing : outcome;
    outcome = (airborne | (speed > crash_speed)) ? Outcome::terrain_collision : outcome;
    outcome = contact ? outcome : Outcome::timeout;
    outcome = events.first >= 0 ? static_cast<Outcome>(events.first) : outcome;

    // cause: what was flagged first, else what the end shows
    Vec3 const error_S = state.estimate.position_S - truth.position_S;
    Vec3 const drift_S = state.estimate.velocity_S - truth.velocity_S;
    real const lift_error = dot(error_S, up_S);
    real const level_error = norm(error_S - lift_error * up_S);
    real const believed_height = sphere_height(params.world.gravity.radius, state.estimate.position_S) -
                                 params.world.touchdown.cg_height;
    real const height_error = believed_height - truth.clearance;  // the error of the map included
    bool const lost = outcome != Outcome::success;
    bool const drifted = any(absolute(height_error) > real(20), norm(drift_S) > real(0.5) * limits.horizontal_speed,
                             (outcome == Outcome::off_target) & (level_error > real(0.5) * limits.target_radius));
    Cause residual = Cause::dispersion;
    residual = state.guidance.saturation > real(1) ? Cause::guidance_saturated : residual;
    residual = drifted ? Cause::navigation_drift : residual;
    residual = (outcome == Outcome::propellant_depletion) ? Cause::propellant_budget : residual;
    residual = (((outcome == Outcome::tip_over) & (lean_ground > real(0.5) * lean)) | (outcome == Outcome::hazard_strike))
                   ? Cause::terrain_site : residual;
    bool const elsewhere = (pad.cell != cell_number(events.chosen_x, events.chosen_y)) | (state.guidance.mapped == Mapped::none);
    bool const missed = all(residual == Cause::terrain_site, state.guidance.mapped != Mapped::not_yet, elsewhere);
    residual = missed ? Cause::divert_failed : residual;
    bool const unfelt = any(state.failing.touch_missed == 1, body.unfelt == 1, restless & (body.called < 0));
    residual = (followed & unfelt) ? Cause::touch_sensor : residual;
    Cause cause = events.cause != 0 ? static_cast<Cause>(events.cause) : residual;
    bool const silent = (cause == Cause::altimeter_late) & (events.altimeter_seen == 0);
    cause = silent ? Cause::altimeter_never : cause;
    cause = lost ? cause : Cause::none;

    int const ignition = state.guidance.ignition_tick;
    Record r{};
    r.outcome = outcome;
    r.cause = cause;
    r.contact = select(contact, 1, 0);
    r.phase = state.guidance.phase;
    r.descent_rate = descent_rate;
    r.horizontal_speed = horizontal_speed;
    r.tilt = tilt;
    r.tilt_rate = tilt_rate;
    r.miss_distance = miss;
    r.miss_downrange = arc;
    r.miss_crossrange = truth.position_S.y;
    r.propellant_left = truth.engines.propellant;
    r.rcs_propellant_left = truth.rcs_propellant;
    r.flight_time = seconds(state.tick - 1 - ignition) + events.contact_fraction * tick_period;
    r.delta_v = truth.engines.delta_v;
    r.altitude_error = height_error;
    r.velocity_error = norm(drift_S);
    r.position_error = level_error;
    r.slope = pad.slope;
    r.leg_stroke = stroke;
    r.stability_margin = margin;
    r.rest_tilt = rest_tilt;
    r.leg_load = select(followed, body.load, real(0));
    r.slide = select(followed, body.slide, real(0));
    r.body_room = room;
    r.rock_height = rock;
    r.divert_distance = events.divert;
    r.acquisition_height = events.acquisition_height;
    r.acquisition_speed = events.acquisition_speed;
    r.acquisition_error = events.acquisition_error;
    r.speed_high = events.speed_high;
    r.speed_middle = events.speed_middle;
    r.speed_low = events.speed_low;
    r.believed_high = events.believed_high;
    r.false_ground_height = events.false_ground_height;
    r.false_ground_time = select(events.false_ground_tick < 0, real(-1), seconds(events.false_ground_tick - ignition));
    r.depletion_height = events.depletion_height;
    r.depletion_time = select(events.depletion_tick < 0, real(-1), seconds(events.depletion_tick - ignition));
    r.impact_speed = speed;
    r.main_off_height = events.main_off_height;
    r.main_off_time = select(events.main_off_tick < 0, real(-1), seconds(events.main_off_tick - ignition));
    r.main_off_speed = events.main_off_speed;
    r.gate_time = select(events.gate_tick < 0, real(-1), seconds(events.gate_tick - ignition));
    r.gate_height = events.gate_height;
    r.gate_speed = events.gate_speed;
    r.gate_trim = events.gate_trim;
    r.gate_miss = events.gate_miss;
    bool const finite = all(is_finite(r.descent_rate), is_finite(r.horizontal_speed), is_finite(r.tilt), is_finite(r.miss_distance),
                            is_finite(r.propellant_left), is_finite(r.flight_time), is_finite(r.delta_v), is_finite(r.altitude_error),
                            is_finite(r.velocity_error), is_finite(r.stability_margin), is_finite(r.leg_stroke), is_finite(r.rest_tilt), is_finite(r.leg_load),
                            is_finite(r.slide), is_finite(r.body_room), is_finite(r.rock_height), state.ended != 2);
    // what was decided in flight stands: a lander that tumbles is lost, though its numbers run away afterwards
    bool const decided = events.first >= 0;
    Record failed = invalid_record();
    failed.outcome = decided ? outcome : failed.outcome;
    failed.cause = decided ? cause : failed.cause;
    return finite ? r : failed;
}

/// What a replay shows of the tick just flown.
MCR_FN Sample sample_of(Params const& params, Run const& run, State const& state) {
    Truth const& truth = state.truth;
    Estimate const& estimate = state.estimate;
    World const& nominal = params.world;
    Bearings const b = bearings_of(run.world.gravity, run.world.touchdown.cg_height, truth.position_S, truth.velocity_S);
    Bearings const believed = bearings_of(nominal.gravity, nominal.touchdown.cg_height, estimate.position_S, estimate.velocity_S);
    Vec3 const axis_S = rotate_inverse(truth.q_BS, Vec3{real(0), real(0), real(1)});
    Sample s{};
    s.time = seconds(state.tick);
    s.position_S = truth.position_S;
    s.velocity_S = truth.velocity_S;
    s.height = truth.clearance;
    s.descent_rate = -b.climb_rate;
    s.horizontal_speed = norm(truth.velocity_S - b.climb_rate * b.up);
    s.tilt = arctangent2(norm(cross(axis_S, b.up)), dot(axis_S, b.up));
    s.rate_B = truth.omega_BN_B;
    s.mass = mass_of(run.world, truth);
    s.propellant = truth.engines.propellant;
    s.rcs_propellant = truth.rcs_propellant;
    s.main_thrust = truth.engines.main * state.failing.main_nozzle * state.failing.thrust_gain;
    s.cluster_thrust = truth.engines.cluster * state.failing.thrust_gain;
    s.delta_v = truth.engines.delta_v;
    s.believed_position_S = estimate.position_S;
    s.believed_velocity_S = estimate.velocity_S;
    s.believed_height = believed.height;
    s.height_sigma = plane_sigma(state.navigation, believed.up, 0);
    s.descent_rate_sigma = plane_sigma(state.navigation, believed.up, 2);
    s.altimeter_range = state.events.altimeter_range;
    s.altimeter_innovation = state.events.altimeter_innovation;
    s.altimeter_used = state.events.altimeter_used;
    s.attitude_error = pointing_error(truth.q_BS, state.guidance.direction_S);
    s.thrust_direction_S = state.guidance.direction_S;
    s.duty = state.guidance.duty;
    s.throttle = state.guidance.throttle;
    s.time_to_go = state.guidance.time_to_go;
    s.trim = state.guidance.trim;
    s.phase = state.guidance.phase;
    s.faults = static_cast<int>(state.failing.active);
    return s;
}

}  // namespace mcr
