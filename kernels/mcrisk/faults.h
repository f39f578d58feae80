#pragma once
/// The catalogue of faults: discrete off-nominal events. Each has a probability or a hazard rate, a trigger (time, height,
/// phase), a window, a duration, and sizes; all are off by default. What strikes a run, and how long after its trigger, are
/// addressed draws of that run alone, one for each fault, so that a further fault shifts no other. What a fault then does to
/// the truth stands in `Failing`, as factors and additions that are neutral without it; failing.h puts it there.
/// Not modelled: the answer of the computer to a fault that it could know of.
#include "clock.h"
#include "phase.h"
#include "philox.h"
#include "streams.h"
#include "vec.h"

namespace mcr {

/// When a fault strikes, and for how long.
struct Fault {
    real probability;             ///< [] 0 .. 1, default 0. Probability that it strikes a run.
    real rate;                    ///< [s^-1] >= 0, default 0 /s. Hazard rate while its trigger is met, besides the probability.
    real after;                   ///< [s] >= 0, default 0 s. Earliest time after ignition; one without this, a window or a rate can begin before ignition.
    real window;                  ///< [s] >= 0, default 0 s. Time from the trigger on in which it begins, evenly; with a rate, the time for which the hazard lasts, 0 for ever.
    real below;                   ///< [m] > 0, default 1000 km. True height below which it can begin.
    Phase phase;                  ///< [] default coast. Phase of the computer from which on it can begin.
    real duration;                ///< [s] > 0, default 100000 s. Time for which it lasts.
    real until;                   ///< [m] >= 0, default 0 m. True height below which it is over.
    int  group;                   ///< [] 0 .. 99, default 0. Faults of one group above 0 share their chance: they strike together.
};

/// The order of the faults in Faults; the address of a fault's draw. Numbers are never reused; new members are appended.
enum class Failure : int {
    main_start = 0,
    main_loss = 1,
    cluster_loss = 2,
    throttle_stuck = 3,
    thrust_excess = 4,
    valve_leak = 5,
    jet_on = 6,
    jet_off = 7,
    gyro_dead = 8,
    gyro_frozen = 9,
    gyro_saturated = 10,
    gyro_scale = 11,
    accel_dead = 12,
    accel_frozen = 13,
    accel_saturated = 14,
    accel_scale = 15,
    imu_reset = 16,
    altimeter_never = 17,
    altimeter_late = 18,
    altimeter_dropout = 19,
    altimeter_dust = 20,
    altimeter_frozen = 21,
    altimeter_offset = 22,
    altimeter_lock = 23,
    velocimeter_loss = 24,
    camera_false = 25,
    computer_reset = 26,
    touch_missed = 27,
    touch_false = 28,
    wrong_mass = 29,
    wrong_map = 30,
    touch_silent = 31,
};
constexpr int faults_count = 32;

/// The catalogue: first the faults in the order of Failure, then their sizes.
struct Faults {
    Fault main_start;             ///< The main engine does not start, or late: once the fault is over.
    Fault main_loss;              ///< The main engine loses thrust, or all of it.
    Fault cluster_loss;           ///< One cluster engine loses thrust, or all of it.
    Fault throttle_stuck;         ///< The throttle of the main engine stays where it is; it can still be cut off.
    Fault thrust_excess;          ///< All engines give more thrust than asked for, with its propellant.
    Fault valve_leak;             ///< Main propellant leaks.
    Fault jet_on;                 ///< Attitude jets of one axis and sense fire all the time.
    Fault jet_off;                ///< Attitude jets of one axis and sense do not fire.
    Fault gyro_dead;              ///< A gyro reads zero.
    Fault gyro_frozen;            ///< A gyro repeats its last reading.
    Fault gyro_saturated;         ///< A gyro reads at most a limit.
    Fault gyro_scale;             ///< The scale factor of a gyro jumps.
    Fault accel_dead;             ///< An accelerometer reads zero.
    Fault accel_frozen;           ///< An accelerometer repeats its last reading.
    Fault accel_saturated;        ///< An accelerometer reads at most a limit.
    Fault accel_scale;            ///< The scale factor of an accelerometer jumps.
    Fault imu_reset;              ///< The inertial unit restarts: no increments meanwhile.
    Fault altimeter_never;        ///< The altimeter is silent from the start.
    Fault altimeter_late;         ///< The altimeter is silent until a height.
    Fault altimeter_dropout;      ///< The altimeter is silent for a while.
    Fault altimeter_dust;         ///< The altimeter is silent below a height.
    Fault altimeter_frozen;       ///< The altimeter repeats its last valid range.
    Fault altimeter_offset;       ///< The altimeter gives ranges with a constant error.
    Fault altimeter_lock;         ///< The altimeter locks falsely: ranges times a factor.
    Fault velocimeter_loss;       ///< Beams of the velocimeter are lost.
    Fault camera_false;           ///< Terrain-relative navigation matches a wrong place: fixes with an offset.
    Fault computer_reset;         ///< The computer restarts: no guidance, control and navigation meanwhile, engines off.
    Fault touch_missed;           ///< No touch of foot or probe is felt.
    Fault touch_false;            ///< A false touch signal, latched before it is heeded.
    Fault wrong_mass;             ///< The computer believes a wrong mass from then on.
    Fault wrong_map;              ///< The computer believes a wrong height of the ground.
    Fault touch_silent;           ///< The touch sensors of some legs stay silent.
    real main_loss_share;         ///< [] 0 .. 1, default 1. Part of the main engine's thrust that is lost; 1 is an engine out.
    real main_loss_flow;          ///< [] 0 .. 1, default 0. Part of the propellant of the lost thrust that flows all the same; 1 is a lost nozzle.
    real cluster_loss_share;      ///< [] 0 .. 1, default 1. Part of the thrust of one cluster engine that is lost.
    real cluster_loss_azimuth;    ///< [rad] default 0 deg. Place of that engine on the ring, from body x toward body y.
    real thrust_excess_share;     ///< [] >= 0, default 5 %. Thrust above what is asked for.
    real valve_leak_flow;         ///< [kg s^-1] >= 0, default 0.1 kg/s. Main propellant lost.
    int  jet_on_axis;             ///< [] 0 .. 2, default 0. Body axis about which jets are stuck on.
    int  jet_on_sense;            ///< [] -1 .. 1, default 1. Sense of their torque.
    real jet_on_share;            ///< [] 0 .. 1, default 1. Part of the jets of that axis and sense; 0.5 is one of a pair.
    int  jet_off_axis;            ///< [] 0 .. 2, default 0. Body axis about which jets are stuck off.
    int  jet_off_sense;           ///< [] -1 .. 1, default 1. Sense of their torque.
    real jet_off_share;           ///< [] 0 .. 1, default 1. Part of the jets of that axis and sense; 0.5 is one of a pair.
    int  gyro_dead_axis;          ///< [] 0 .. 2, default 0. Body axis of the dead gyro.
    int  gyro_frozen_axis;        ///< [] 0 .. 2, default 0. Body axis of the frozen gyro.
    int  gyro_saturated_axis;     ///< [] 0 .. 2, default 0. Body axis of the saturated gyro.
    real gyro_saturated_rate;     ///< [rad s^-1] > 0, default 2 deg/s. Largest rate that it reads.
    int  gyro_scale_axis;         ///< [] 0 .. 2, default 0. Body axis of the gyro whose scale factor jumps.
    real gyro_scale_jump;         ///< [] default 1 %. Change of the scale factor.
    int  accel_dead_axis;         ///< [] 0 .. 2, default 2. Body axis of the dead accelerometer.
    int  accel_frozen_axis;       ///< [] 0 .. 2, default 2. Body axis of the frozen accelerometer.
    int  accel_saturated_axis;    ///< [] 0 .. 2, default 2. Body axis of the saturated accelerometer.
    real accel_saturated_force;   ///< [m s^-2] > 0, default 2 m/s^2. Largest specific force that it reads.
    int  accel_scale_axis;        ///< [] 0 .. 2, default 2. Body axis of the accelerometer whose scale factor jumps.
    real accel_scale_jump;        ///< [] default 1 %. Change of the scale factor.
    real altimeter_offset_size;   ///< [m] default 100 m. Error of ranges with an offset.
    real altimeter_lock_factor;   ///< [] > 0, default 0.5. Measured over true range in a false lock.
    int  velocimeter_loss_beams;  ///< [] 1 .. 3, default 3. Beams that are lost.
    real camera_false_downrange;  ///< [m] default 300 m. Error of false fixes along the track.
    real camera_false_crossrange; ///< [m] default 0 m. Error of false fixes across it.
    real touch_false_height;      ///< [m] >= 0, default 40 m. Believed height below which touch signals are heeded.
    real wrong_mass_factor;       ///< [] > 0, default 1.1. Believed mass from then on over that before.
    real wrong_map_height;        ///< [m] default 100 m. Believed less mapped height of the ground.
    int  touch_silent_legs[12];   ///< [] 0 .. 1, default 1 0 0 0 0 0 0 0 0 0 0 0. 1 for each leg whose sensor stays silent.
};

/// Fault `number` of the catalogue.
MCR_FN Fault const& fault_of(Faults const& faults, int number) { return reinterpret_cast<Fault const*>(&faults)[number]; }

/// What strikes one run.
struct Struck {
    int delay[faults_count];      // [tick] from the trigger to the beginning; `never`: it does not strike
    Flag any;                     // 1 if anything does
};

constexpr int never = 1 << 20;          ///< [tick] later than any flight.
constexpr unsigned first_fault = 16;    ///< [] number of the draw of the first fault.
constexpr unsigned first_group = 1000;  ///< [] number of the draw of group 0.

/// From trigger to beginning of one fault of one run [tick].
MCR_FN int delay_of(Fault const& fault, int number, Draws const& draws) {
    unsigned const own = first_fault + static_cast<unsigned>(number);
    unsigned const shared = first_group + static_cast<unsigned>(fault.group);
    Uniform4 const u = uniforms(draws, Stream::faults, select(fault.group > 0, shared, own));
    int const even = to_int(fault.window * u.b / tick_period, 0, never - 1);
    real const wait = -logarithm(u.c) / maximum(fault.rate, real(1e-30));
    bool const comes = (fault.rate > real(0)) & ((fault.window <= real(0)) | (wait < fault.window));
    return minimum(select(u.a < fault.probability, even, never), select(comes, to_int(wait / tick_period, 0, never), never));
}

/// Faults of one run.
MCR_FN Struck strike(Faults const& faults, Draws const& draws) {
    Struck struck;
    struck.any = 0;
    MCR_UNROLL(1)
    for (int number = 0; number < faults_count; ++number) {
        Fault const& fault = fault_of(faults, number);
        bool const possible = (fault.probability > real(0)) | (fault.rate > real(0));
        int const delay = possible ? delay_of(fault, number, draws) : never;  // the same choice for every run of a case
        struck.delay[number] = delay;
        struck.any = select(delay < never, 1, struck.any);
    }
    return struck;
}

/// What faults do to a run at this tick.
struct Failing {
    int  start[faults_count];     // [tick] of the beginning; -1: not triggered yet
    unsigned active;              // one bit for each fault at work
    real main_gain;               // [] of thrust and flow of the main engine
    real main_nozzle;             // [] of its thrust alone
    real thrust_gain;             // [] of thrust and flow of all engines
    real throttle_held;           // [] -1: not stuck
    real ring_loss;               // [] cluster engines lost
    real ring_x;                  // [] moment arm of what is lost, over the radius of the ring and the thrust that is left
    real ring_y;
    real leak;                    // [kg s^-1]
    Vec3 jets_plus;               // [] part of the jets that still answer, by axis, for torque of positive sense
    Vec3 jets_minus;              // of negative sense
    Vec3 jets_stuck;              // [] signed part of them that fires all the time
    Vec3 gyro_gain;               // [] of increments
    Vec3 gyro_limit;              // [rad] of one increment
    Vec3 accel_gain;
    Vec3 accel_limit;             // [m s^-1]
    int  gyro_frozen[3];          // 1: repeats its last increment
    int  accel_frozen[3];
    Flag altimeter_silent;
    Flag altimeter_frozen;
    real altimeter_add;           // [m]
    real altimeter_gain;          // []
    int  beams_lost;
    Flag camera_false;
    real camera_downrange;        // [m]
    real camera_crossrange;
    Flag computer_down;
    Flag touch_missed;
    Flag touch_silent;
    Flag touch_false;
    real map_height;              // [m] believed less mapped
};

constexpr real unlimited = real(1e9);  ///< [] beyond every increment.

/// A run in which nothing has failed.
MCR_FN Failing working() {
    Vec3 const none{real(0), real(0), real(0)};
    Vec3 const all{real(1), real(1), real(1)};
    Vec3 const wide{unlimited, unlimited, unlimited};
    Failing failing{};
    MCR_UNROLL(32)
    for (int number = 0; number < faults_count; ++number) failing.start[number] = -1;
    failing.main_gain = real(1);
    failing.main_nozzle = real(1);
    failing.thrust_gain = real(1);
    failing.throttle_held = real(-1);
    failing.jets_plus = all;
    failing.jets_minus = all;
    failing.jets_stuck = none;
    failing.gyro_gain = all;
    failing.gyro_limit = wide;
    failing.accel_gain = all;
    failing.accel_limit = wide;
    failing.altimeter_gain = real(1);
    return failing;
}

/// Which faults are at work at a tick, and which begin at it: 1 or 0 for each.
struct Active {
    Flag on[faults_count];
    Flag fresh[faults_count];
};

/// Whether a fault is at work.
MCR_FN bool has(Active const& active, Failure which) { return active.on[static_cast<int>(which)] == 1; }

/// Whether any of several is.
template <class... More>
MCR_FN bool has(Active const& active, Failure which, More... more) {
    return any(has(active, which), has(active, more...));
}

}  // namespace mcr
