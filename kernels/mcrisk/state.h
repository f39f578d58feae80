#pragma once
/// Everything that changes during a run, and everything drawn once for it. Plain words: a tile of runs stores them as
/// columns, a GPU thread keeps them in registers.
#include "control.h"
#include "faults.h"
#include "guidance.h"
#include "imu.h"
#include "navigation.h"
#include "pace.h"
#include "params.h"

namespace mcr {

/// What is.
struct Truth {
    Vec3 position_S;             // [m] of the centre of gravity
    Vec3 position_rest;          // compensation of the sum
    Vec3 velocity_S;             // [m s^-1] relative to the Moon
    Vec3 velocity_rest;
    Quat q_BS;
    Quat q_rest;
    Vec3 omega_BN_B;             // [rad s^-1] inertial rate
    Vec3 anomaly_S;              // [m s^-2] unmodelled gravity
    EngineState engines;
    real rcs_propellant;         // [kg]
    real clearance;              // [m] of the feet above the ground at the last tick
    Vec3 angle_B;                // [rad] turned over this tick
    Vec3 velocity_B;             // [m s^-1] gained by thrust over this tick
};

/// What the computer asks of the actuators for one tick.
struct Command {
    Vec3 torque_B;               // [N m] of differential duty, if the cluster at full duty gives its nominal thrust
    real ring_inverse;           // [N^-1] of the cluster at full duty
    Vec3 trim_B;                 // [rad s^-2] learned against steady torque
    Vec3 rcs_time;               // [s] signed on-time of the attitude thrusters
};

/// What has happened so far; events that have not happened read -1.
struct Events {
    int  first;                  // Outcome already decided in flight, or -1
    int  cause;                  // Cause flagged first, or 0
    int  altimeter_seen;         // 1 once the altimeter gave a valid range
    int  altimeter_silent;       // ticks since the last valid range
    int  velocimeter_silent;     // ticks since the last valid beam
    int  mispointed;             // ticks with an attitude error above 20 deg
    int  astray;                 // ticks with an attitude error above 60 deg
    int  altimeter_used;         // verdict on the last sample
    real altimeter_range;        // [m] last sample
    real altimeter_last;         // [m] last valid one
    real altimeter_innovation;   // [m] last sample
    real acquisition_height;
    real acquisition_speed;
    real acquisition_error;
    real speed_high;
    real speed_middle;
    real speed_low;
    real believed_high;
    real false_ground_height;
    int  false_ground_tick;
    real depletion_height;
    int  depletion_tick;
    real main_off_height;
    int  main_off_tick;
    real main_off_speed;
    real gate_height;
    int  gate_tick;
    real gate_speed;
    real gate_trim;
    real gate_miss;
    real divert;                 // [m] by which the target was moved
    int  chosen_x;               // cell of the target after the map
    int  chosen_y;
    real contact_fraction;       // part of the last tick that had passed at contact
};

/// One run in flight. Once `ended` is set, nothing in it changes any more.
struct State {
    Truth truth;
    ImuMemory imu;
    Estimate estimate;
    NavigationMemory navigation;
    GuidanceMemory guidance;
    Command command;
    Failing failing;
    Events events;
    Vec3 rate_B;                 // [rad s^-1] measured over the last tick
    int ended;                   // 0 flying, 1 on the ground, 2 out of the finite numbers
    int tick;                    // last tick flown
};

/// What was drawn once for a run.
struct Run {
    World world;
    ImuErrors imu_errors;
    Struck struck;
    Pace pace;
};

}  // namespace mcr
