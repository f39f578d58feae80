#pragma once
/// One descent, as its block diagram: guide, fail, control, propagate (truth), sense and integrate (inertial unit and strapdown), measure and
/// correct, watch. Each block is one verb on the state of a run; the entry files loop over runs and ticks.
#include "arrival.h"
#include "divert.h"
#include "dynamics.h"
#include "failing.h"
#include "verdict.h"

namespace mcr {

constexpr int slow_ticks = 10;  ///< [tick] between two steps of the slow random processes (1 s).

/// Guidance cycle.
MCR_FN void do_guide(Params const& params, State& state, int tick) {
    guide(params.onboard.guidance, params.world.propulsion, params.world.gravity, params.world.touchdown.cg_height,
          state.estimate, state.guidance, tick);
}

/// Faults of this tick.
MCR_FN void do_fail(Params const& params, Run const& run, State& state, int tick) { fail(params, run, state, tick); }

/// Pulses of the cluster and attitude control: torque to the cluster first, the rest to the attitude thrusters.
MCR_FN void do_control(Params const& params, State& state) {
    World const& nominal = params.world;
    real const fuel = maximum(state.guidance.mass - nominal.vehicle.mass_dry - nominal.rcs.propellant, real(0));
    real const full = clamp(fuel / nominal.propulsion.propellant, real(0), real(1));
    Vec3 const inertia = mass_properties(nominal.vehicle, full).inertia;
    Vec3 const torque_B = control_torque(params.onboard.control, state.command.trim_B, inertia, state.estimate.q_BS, state.guidance.direction_S,
                                         state.rate_B);
    // attitude before thrust: at full duty the ring gives no torque, so duty gives way to what the thrusters cannot hold
    Cluster const& ring = nominal.propulsion.cluster;
    Vec3 const unheld_B = torque_B - scale(inertia, state.command.trim_B);
    bool const excess = maximum(absolute(unheld_B.x), absolute(unheld_B.y)) > rcs_torque_max(nominal.rcs);
    pulse_cluster(ring, state.guidance, select(excess, real(1) - ring.pulse_min * (real(1) / tick_period), real(1)));
    real const authority = differential_torque_max(nominal.propulsion.cluster, state.guidance.duty);
    Vec3 const ring_B{clamp(torque_B.x, -authority, authority), clamp(torque_B.y, -authority, authority), real(0)};
    Vec3 const rest_B = torque_B - ring_B;
    state.command.torque_B = ring_B;
    state.command.ring_inverse = real(1) / maximum(real_of(ring.count) * ring.thrust, real(1e-3));
    state.command.rcs_time = Vec3{rcs_on_time(nominal.rcs, rest_B.x), rcs_on_time(nominal.rcs, rest_B.y),
                                  rcs_on_time(nominal.rcs, rest_B.z)};
}

/// One truth step.
MCR_FN void do_propagate(Params const& params, Run const& run, State& state, int tick, int index) {
    propagate(run.world, run.pace, state.failing, state.truth, state.guidance, state.command, tick, index, params.simulation.truth_steps);
}

/// Inertial unit; the number that it leaves over is thrust noise.
MCR_FN void do_sense(Run const& run, State& state, Draws const& draws, int tick) {
    real spare;
    measure_increments(run.world.imu, run.imu_errors, state.failing, state.imu, state.truth.angle_B, state.truth.velocity_B,
                       draws, tick, spare);
    state.truth.engines.noise = run.pace.noise_decay * state.truth.engines.noise + run.pace.noise_kick * spare;
}

/// Strapdown of what the inertial unit has told, on-board thrust estimate and, where `covariance` says so, covariance.
MCR_FN void do_integrate(Params const& params, State& state, int tick, bool covariance) {
    Navigation const& navigation = params.onboard.navigation;
    bool const perfect = navigation.mode == NavigationMode::perfect;
    Increments const used{select(perfect, state.truth.angle_B, state.imu.angle_last),
                          select(perfect, state.truth.velocity_B, state.imu.velocity_last)};
    state.rate_B = (real(1) / tick_period) * used.angle_B;
    Vec3 const force_S = integrate_increments(state.estimate, state.navigation, params.world.gravity, used);
    if (covariance) {
        step_covariance(state.navigation, navigation, params.world.imu, params.world.gravity, state.estimate, force_S,
                        used.angle_B, tick);
    }
    estimate_thrust(params.world.propulsion, state.guidance, norm(force_S));
    Estimate& estimate = state.estimate;
    estimate.position_S = select(perfect, state.truth.position_S, estimate.position_S);
    estimate.velocity_S = select(perfect, state.truth.velocity_S, estimate.velocity_S);
    estimate.q_BS = select(perfect, state.truth.q_BS, estimate.q_BS);
}

/// Which sensors can give a sample now; the blocks of the others are left out.
struct Outlook {
    Flag altimeter, velocimeter, camera;
};

/// Looks ahead of the sensors. Where the altimeter is due, its last sample is forgotten.
MCR_FN Outlook look(Params const& params, Run const& run, State& state, bool altimeter_due) {
    World const& world = run.world;
    Events& events = state.events;
    events.altimeter_used = select(altimeter_due, 0, events.altimeter_used);
    events.altimeter_innovation = select(altimeter_due, real(0), events.altimeter_innovation);
    events.altimeter_range = select(altimeter_due, real(-1), events.altimeter_range);
    real const clearance = state.truth.clearance;
    Flag const up = 1 - state.failing.computer_down;  // without a computer a sample is of no use
    return Outlook{up * select(in_reach(world.altimeter, params.relief, world.terrain, clearance), 1, 0),
                   up * select(in_reach(world.velocimeter, clearance + world.touchdown.cg_height), 1, 0),
                   up * select(in_reach(world.camera, clearance), 1, 0)};
}

/// Altimeter and its use. `shape`: that of the run's ground, or one that is more; `mapped`: whether the map is used.
MCR_FN void do_altimeter(Params const& params, Surface const& surface, Run const& run, State& state, Draws const& draws, int tick,
                         Shape shape, bool mapped) {
    World const& world = run.world;
    Truth const& truth = state.truth;
    Range const range = measure_range(world.altimeter, surface, world.terrain, world.gravity, state.failing,
                                      state.events.altimeter_last, truth.position_S, truth.q_BS, draws, tick, shape);
    Events& events = state.events;
    real const clearance = surface_clearance(surface, world.terrain, world.gravity, truth.position_S, shape) -
                           world.touchdown.cg_height;
    real const believed = sphere_height(params.world.gravity.radius, state.estimate.position_S) - params.world.touchdown.cg_height;
    bool const first = (range.valid == 1) & (events.altimeter_seen == 0);
    events.acquisition_height = select(first, clearance, events.acquisition_height);
    events.acquisition_speed = select(first, norm(truth.velocity_S), events.acquisition_speed);
    events.acquisition_error = select(first, believed - clearance, events.acquisition_error);
    events.altimeter_seen = select(range.valid == 1, 1, events.altimeter_seen);
    events.altimeter_silent = select(range.valid == 1, 0, events.altimeter_silent);
    Verdict const verdict = use_range(state.estimate, state.navigation, params.onboard.navigation, params.world.altimeter,
                                      surface, params.world.terrain, params.world.gravity, range, state.failing.map_height,
                                      shape, mapped);
    events.altimeter_used = verdict.used;
    events.altimeter_innovation = verdict.innovation;
    events.altimeter_range = select(range.valid == 1, range.distance, real(-1));
    events.altimeter_last = select(range.valid == 1, range.distance, events.altimeter_last);
}

/// Velocimeter and its use.
MCR_FN void do_velocimeter(Params const& params, Surface const& surface, Run const& run, State& state, Draws const& draws,
                           int tick, Shape shape) {
    World const& world = run.world;
    real const clearance = state.truth.clearance + world.touchdown.cg_height;
    BeamSpeeds const speeds = measure_speeds(world.velocimeter, surface, world.terrain, world.gravity, state.failing, clearance,
                                             state.truth.position_S, state.truth.velocity_S, state.truth.q_BS, draws, tick, shape);
    bool const some = speeds.valid[0] + speeds.valid[1] + speeds.valid[2] > 0;
    state.events.velocimeter_silent = select(some, 0, state.events.velocimeter_silent);
    use_speeds(state.estimate, state.navigation, params.onboard.navigation, params.world.velocimeter, speeds);
}

/// Camera and its use.
MCR_FN void do_camera(Params const& params, Run const& run, State& state, Draws const& draws, int tick) {
    World const& world = run.world;
    Vec3 const& position_S = state.truth.position_S;
    real const arc = world.gravity.radius * arctangent2(position_S.x, position_S.z + world.gravity.radius);
    Fix const fix = measure_fix(world.camera, state.failing, state.truth.clearance, arc, position_S.y, draws, tick);
    bool const fooled = use_fix(state.estimate, state.navigation, params.onboard.navigation, params.world.camera,
                                params.world.gravity, fix);
    blame(state.events, fooled, Cause::camera_false_match);
}

/// Slow random processes: unmodelled gravity and in-run biases.
MCR_FN void do_drift(Run const& run, State& state, Draws const& draws, int tick) {
    unsigned const number = static_cast<unsigned>(tick / slow_ticks) + 1u;
    Gravity const& gravity = run.world.gravity;
    real const passed = seconds(slow_ticks);
    real const decay = exponential(-passed * norm(state.truth.velocity_S) / gravity.anomaly_length);
    state.truth.anomaly_S = walk(state.truth.anomaly_S, gravity.anomaly, decay,
                                 normal_vector(draws, Stream::gravity_anomaly, number));
    state.imu = drift(run.world.imu, state.imu, draws, 2u * number, passed);
}

/// Contact, outcomes decided in flight, causes; then the sums of the tick start anew, unless its end is still to be found.
MCR_FN void do_watch(Params const& params, Surface const& surface, Run const& run, State& state, int tick, Shape shape) {
    watch(params, surface, run, state, tick, shape);
    feel(params, state);
    Vec3 const zero{real(0), real(0), real(0)};
    bool const flies = state.ended == 0;
    state.truth.angle_B = select(flies, zero, state.truth.angle_B);
    state.truth.velocity_B = select(flies, zero, state.truth.velocity_B);
}

/// The end of a run on the ground.
MCR_FN void do_touch(Run const& run, State& state) { touch(run, state); }

/// Which blocks a tick runs: the same for every run of a case.
struct Schedule {
    bool guide, covariance, look, altimeter, velocimeter, camera, drift;
};

/// Whether the computer uses its terrain map: the same for every run of a case.
MCR_FN bool is_mapped(Params const& params) { return params.onboard.navigation.gate_policy == GatePolicy::dem_aware; }

MCR_FN Schedule schedule_of(Params const& params, int tick) {
    World const& world = params.world;
    bool const aided = params.onboard.navigation.mode != NavigationMode::perfect;
    bool const altimeter = all(world.altimeter.fitted == 1, aided, tick % world.altimeter.period_ticks == 0);
    bool const velocimeter = all(world.velocimeter.fitted == 1, aided, tick % world.velocimeter.period_ticks == 0);
    bool const camera = all(world.camera.fitted == 1, aided, tick % world.camera.period_ticks == 0);
    return Schedule{tick % params.onboard.guidance.period_ticks == 0, tick % covariance_ticks == 0,
                    any(altimeter, velocimeter, camera), altimeter,
                    velocimeter, camera, tick % slow_ticks == 0};
}

/// A number of the World by its index in words of four bytes.
MCR_FN real& word_of(World& world, int word) { return *reinterpret_cast<real*>(reinterpret_cast<char*>(&world) + 4 * word); }

/// Starts one run: nominal World with the dispersed words drawn, errors of its units, state at arrival.
MCR_FN State begin(Params const& params, Run& run, Draws const& draws) {
    run.world = params.world;
    for (int d = 0; d < params.scatter.count; ++d) {
        Dispersion const& dispersion = params.scatter.dispersion[d];
        real& value = word_of(run.world, dispersion.word);
        value = dispersed(params.scatter, dispersion, value, draws);
    }
    draw_run(params, run, draws);
    run.pace = pace_of(run.world, params.simulation.truth_steps);
    return start(params, run, draws);
}

/// One tick of one run.
MCR_FN void fly_tick(Params const& params, Surface const& surface, Run const& run, State& state, Draws const& draws, int tick) {
    Schedule const now = schedule_of(params, tick);
    Shape const shape = shape_of(surface, run.world.terrain);
    if (now.guide && is_map_due(params, state)) divert(params, surface, run, state, draws);
    if (now.guide && state.failing.computer_down == 0) do_guide(params, state, tick);
    if (run.struck.any == 1) do_fail(params, run, state, tick);
    bool const up = state.failing.computer_down == 0;
    if (up) do_control(params, state);
    for (int index = 0; index < params.simulation.truth_steps; ++index) do_propagate(params, run, state, tick, index);
    do_sense(run, state, draws, tick);
    if (up) do_integrate(params, state, tick, now.covariance);
    if (now.look) {
        Outlook const outlook = look(params, run, state, now.altimeter);
        if (now.altimeter && outlook.altimeter == 1) do_altimeter(params, surface, run, state, draws, tick, shape, is_mapped(params));
        if (now.velocimeter && outlook.velocimeter == 1) do_velocimeter(params, surface, run, state, draws, tick, shape);
        if (now.camera && outlook.camera == 1) do_camera(params, run, state, draws, tick);
    }
    if (now.drift) do_drift(run, state, draws, tick);
    do_watch(params, surface, run, state, tick, shape);
    if (state.ended == 1) do_touch(run, state);
}

/// One descent from arrival to its record: the scalar twin of the tile, and a GPU thread.
MCR_FN Record fly(Params const& params, Surface const& surface, Draws const& draws) {
    Run run;
    State state = begin(params, run, draws);
    for (int tick = 0; tick < params.simulation.time_max_ticks; ++tick) {
        if (state.ended != 0) break;
        fly_tick(params, surface, run, state, draws, tick);
    }
    Touch touch;
    touch_down(params, surface, run, state, draws, touch);
    return report(params, surface, run, state, touch.body, draws);
}

}  // namespace mcr
