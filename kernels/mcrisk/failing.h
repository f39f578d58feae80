#pragma once
/// What faults do to a run: which are at work at a tick, what that does to truth, sensors and computer, and the causes that
/// they are. Runs that nothing strikes do without it: their `Failing` stays as `working` made it.
#include "watch.h"

namespace mcr {

/// A vector along one body axis, with `other` along the two others.
MCR_FN Vec3 along_axis(int axis, real value, real other) {
    return Vec3{select(axis == 0, value, other), select(axis == 1, value, other), select(axis == 2, value, other)};
}

/// Component of a vector.
MCR_FN real component(Vec3 const& v, int axis) { return select(axis == 0, v.x, select(axis == 1, v.y, v.z)); }

/// Whether the increment along an axis stands at its limit.
MCR_FN bool is_pinned(Vec3 const& increment, int axis, real limit) {
    return absolute(component(increment, axis)) >= real(0.99) * limit;
}

/// Which faults are at work: those that began, are not over, and are not ended by height.
MCR_FN void trigger(Faults const& faults, Struck const& struck, Failing& failing, Active& active, Phase phase,
                    int ignition_tick, real height, int tick) {
    bool const lit = phase >= Phase::brake;
    real const burning = seconds(tick - ignition_tick);
    unsigned bits = 0;
    MCR_UNROLL(32)
    for (int number = 0; number < faults_count; ++number) {
        Fault const& fault = fault_of(faults, number);
        bool const timed = (fault.after > real(0)) | (fault.window > real(0)) | (fault.rate > real(0));
        bool const in_time = (!timed) | (lit & (burning >= fault.after));
        bool const met = in_time & (phase >= fault.phase) & (height <= fault.below);
        int const delay = struck.delay[number];
        int const known = failing.start[number];
        int const start = select(met & (known < 0) & (delay < never), tick + delay, known);
        failing.start[number] = start;
        bool const begun = (start >= 0) & (tick >= start);
        bool const on = begun & (seconds(tick - start) < fault.duration) & (height >= fault.until);
        active.on[number] = select(on, 1, 0);
        active.fresh[number] = select(begun & (tick == start), 1, 0);
        bits |= select(on, 1u << number, 0u);
    }
    failing.active = bits;
}

/// What the faults at work do to engines and jets. throttle: what the computer asks for.
MCR_FN void fail_actuators(Faults const& faults, Active const& active, real engines, Failing& failing, real throttle) {
    // main engine: what burns, and what of it becomes thrust
    bool const loses = has(active, Failure::main_loss);
    real const burns = real(1) - faults.main_loss_share * (real(1) - faults.main_loss_flow);
    real const pushes = (real(1) - faults.main_loss_share) / maximum(burns, real(1e-6));
    failing.main_gain = select(has(active, Failure::main_start), real(0), select(loses, burns, real(1)));
    failing.main_nozzle = select(loses & (burns > real(0)), pushes, real(1));
    failing.thrust_gain = select(has(active, Failure::thrust_excess), real(1) + faults.thrust_excess_share, real(1));
    bool const stuck = has(active, Failure::throttle_stuck);
    real const held = select((failing.throttle_held < real(0)) & (throttle > real(0)), throttle, failing.throttle_held);
    failing.throttle_held = select(stuck, held, real(-1));

    // cluster
    bool const lost = has(active, Failure::cluster_loss);
    real const share = faults.cluster_loss_share;
    real const arm = share / maximum(engines - share, real(1e-3));
    SineCosine const azimuth = sine_cosine(faults.cluster_loss_azimuth);
    failing.ring_loss = select(lost, share, real(0));
    failing.ring_x = select(lost, arm * azimuth.cosine, real(0));
    failing.ring_y = select(lost, arm * azimuth.sine, real(0));
    failing.leak = select(has(active, Failure::valve_leak), faults.valve_leak_flow, real(0));

    // jets
    Vec3 const all{real(1), real(1), real(1)};
    real const firing = select(has(active, Failure::jet_on), faults.jet_on_share, real(0));
    real const mute = select(has(active, Failure::jet_off), faults.jet_off_share, real(0));
    real const on_plus = select(faults.jet_on_sense > 0, firing, real(0));
    real const on_minus = select(faults.jet_on_sense < 0, firing, real(0));
    real const off_plus = select(faults.jet_off_sense > 0, mute, real(0));
    real const off_minus = select(faults.jet_off_sense < 0, mute, real(0));
    failing.jets_plus = scale(all - along_axis(faults.jet_on_axis, on_plus, real(0)),
                              all - along_axis(faults.jet_off_axis, off_plus, real(0)));
    failing.jets_minus = scale(all - along_axis(faults.jet_on_axis, on_minus, real(0)),
                               all - along_axis(faults.jet_off_axis, off_minus, real(0)));
    failing.jets_stuck = along_axis(faults.jet_on_axis, on_plus - on_minus, real(0));
}

/// What they do to the sensors and to what the computer believes.
MCR_FN void fail_sensors(Faults const& faults, Active const& active, Failing& failing) {
    bool const down = has(active, Failure::imu_reset);
    real const alive = select(down, real(0), real(1));
    real const gyro = select(has(active, Failure::gyro_dead), real(0), alive);
    real const accel = select(has(active, Failure::accel_dead), real(0), alive);
    real const gyro_scale = select(has(active, Failure::gyro_scale), real(1) + faults.gyro_scale_jump, real(1));
    real const accel_scale = select(has(active, Failure::accel_scale), real(1) + faults.accel_scale_jump, real(1));
    failing.gyro_gain = scale(along_axis(faults.gyro_dead_axis, gyro, alive),
                              along_axis(faults.gyro_scale_axis, gyro_scale, real(1)));
    failing.accel_gain = scale(along_axis(faults.accel_dead_axis, accel, alive),
                               along_axis(faults.accel_scale_axis, accel_scale, real(1)));
    real const rate = select(has(active, Failure::gyro_saturated), faults.gyro_saturated_rate * tick_period, unlimited);
    real const force = select(has(active, Failure::accel_saturated), faults.accel_saturated_force * tick_period, unlimited);
    failing.gyro_limit = along_axis(faults.gyro_saturated_axis, rate, unlimited);
    failing.accel_limit = along_axis(faults.accel_saturated_axis, force, unlimited);
    int const gyro_frozen = select(has(active, Failure::gyro_frozen) & !down, 1, 0);
    int const accel_frozen = select(has(active, Failure::accel_frozen) & !down, 1, 0);
    MCR_UNROLL(3)
    for (int axis = 0; axis < 3; ++axis) {
        failing.gyro_frozen[axis] = select(faults.gyro_frozen_axis == axis, gyro_frozen, 0);
        failing.accel_frozen[axis] = select(faults.accel_frozen_axis == axis, accel_frozen, 0);
    }
    bool const silent = has(active, Failure::altimeter_never, Failure::altimeter_late, Failure::altimeter_dropout,
                            Failure::altimeter_dust);
    failing.altimeter_silent = select(silent, 1, 0);
    failing.altimeter_frozen = select(has(active, Failure::altimeter_frozen), 1, 0);
    failing.altimeter_add = select(has(active, Failure::altimeter_offset), faults.altimeter_offset_size, real(0));
    failing.altimeter_gain = select(has(active, Failure::altimeter_lock), faults.altimeter_lock_factor, real(1));
    failing.beams_lost = select(has(active, Failure::velocimeter_loss), faults.velocimeter_loss_beams, 0);
    bool const matched = has(active, Failure::camera_false);
    failing.camera_false = select(matched, 1, 0);
    failing.camera_downrange = select(matched, faults.camera_false_downrange, real(0));
    failing.camera_crossrange = select(matched, faults.camera_false_crossrange, real(0));
    failing.computer_down = select(has(active, Failure::computer_reset), 1, 0);
    failing.touch_missed = select(has(active, Failure::touch_missed), 1, 0);
    failing.touch_silent = select(has(active, Failure::touch_silent), 1, 0);
    failing.touch_false = select(has(active, Failure::touch_false), 1, failing.touch_false);
    failing.map_height = select(has(active, Failure::wrong_map), faults.wrong_map_height, real(0));
}

/// The causes that faults at work are, once they matter.
MCR_FN void blame_faults(Params const& params, Run const& run, Active const& active, State& state) {
    Faults const& faults = params.faults;
    Failing const& failing = state.failing;
    GuidanceMemory const& guidance = state.guidance;
    Events& events = state.events;
    bool const lit = (guidance.phase >= Phase::brake) & (guidance.phase < Phase::cut);
    bool const descending = guidance.phase >= Phase::approach;
    bool const aided = params.onboard.navigation.mode != NavigationMode::perfect;  // perfect navigation asks no sensor
    bool const main_needed = lit & (run.world.propulsion.main.thrust > real(0)) & (guidance.main_cut == 0);
    bool const ring_needed = lit & (run.world.propulsion.cluster.count > 0);
    bool const main_loses = main_needed & has(active, Failure::main_loss);
    bool const ring_loses = ring_needed & has(active, Failure::cluster_loss);
    bool const main_out = main_loses & (faults.main_loss_share >= real(1));
    bool const ring_out = ring_loses & (faults.cluster_loss_share >= real(1));
    real const held = select(main_needed & (failing.throttle_held >= real(0)), failing.throttle_held - guidance.throttle, real(0));
    blame(events, lit & (failing.computer_down == 1), Cause::computer_reset);
    blame(events, main_needed & has(active, Failure::main_start), Cause::engine_start);
    blame(events, main_out | ring_out, Cause::engine_out);
    blame(events, main_loses | ring_loses | (held < real(-0.05)), Cause::thrust_short);
    blame(events, (lit & has(active, Failure::thrust_excess)) | (held > real(0.05)), Cause::thrust_excess);
    blame(events, lit & has(active, Failure::valve_leak), Cause::propellant_leak);
    blame(events, lit & has(active, Failure::jet_on, Failure::jet_off), Cause::rcs_stuck);
    bool const blunt = has(active, Failure::gyro_dead, Failure::gyro_frozen, Failure::gyro_scale, Failure::accel_dead,
                           Failure::accel_frozen, Failure::accel_scale, Failure::imu_reset);
    bool const turns =
        is_pinned(state.imu.angle_last, faults.gyro_saturated_axis, faults.gyro_saturated_rate * tick_period);
    bool const pushes =
        is_pinned(state.imu.velocity_last, faults.accel_saturated_axis, faults.accel_saturated_force * tick_period);
    bool const pinned = any(all(turns, has(active, Failure::gyro_saturated)), all(pushes, has(active, Failure::accel_saturated)));
    blame(events, lit & aided & (blunt | pinned), Cause::imu_fault);
    bool const wrong = has(active, Failure::altimeter_offset, Failure::altimeter_frozen, Failure::altimeter_lock);
    blame(events, wrong & (events.altimeter_used == 1) & descending, Cause::altimeter_wrong);
    blame(events, lit & has(active, Failure::wrong_mass), Cause::wrong_constants);
    blame(events, lit & aided & has(active, Failure::wrong_map), Cause::wrong_constants);
}

/// Faults of this tick: after guidance, so that an engine that is not to start never does, and before the actuators.
MCR_FN void fail(Params const& params, Run const& run, State& state, int tick) {
    Faults const& faults = params.faults;
    GuidanceMemory& guidance = state.guidance;
    Active active;
    trigger(faults, run.struck, state.failing, active, guidance.phase, guidance.ignition_tick, state.truth.clearance, tick);
    fail_actuators(faults, active, real_of(run.world.propulsion.cluster.count), state.failing, guidance.throttle);
    fail_sensors(faults, active, state.failing);
    bool const misled = active.fresh[static_cast<int>(Failure::wrong_mass)] == 1;
    guidance.mass = guidance.mass * select(misled, faults.wrong_mass_factor, real(1));
    blame_faults(params, run, active, state);

    // without a computer all valves are closed
    bool const down = state.failing.computer_down == 1;
    Vec3 const none{real(0), real(0), real(0)};
    guidance.throttle = select(down, real(0), guidance.throttle);
    guidance.duty_wish = select(down, real(0), guidance.duty_wish);
    guidance.duty = select(down, real(0), guidance.duty);
    state.command.torque_B = select(down, none, state.command.torque_B);
    state.command.rcs_time = select(down, none, state.command.rcs_time);
}

}  // namespace mcr
