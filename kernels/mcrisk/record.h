#pragma once
/// What one run reports (Record) and what a replay shows of it at every tick (Sample).
/// Values 'at contact' are of the first touch of a foot with the ground. An event that did not happen reads -1.
#include "outcome.h"
#include "phase.h"
#include "vec.h"

namespace mcr {

/// One run, as it is tallied and kept.
struct Record {
    Outcome outcome;              ///< [] How the run ended.
    Cause   cause;                ///< [] The earliest decisive thing that went wrong.
    int  contact;                 ///< [] 1 if the lander reached the ground, else 0.
    Phase phase;                  ///< [] Phase of the on-board computer at the end.
    real descent_rate;            ///< [m s^-1] metric. Downward speed normal to the ground at contact.
    real horizontal_speed;        ///< [m s^-1] metric. Speed along the ground at contact.
    real tilt;                    ///< [rad] metric. Angle between thrust axis and local vertical at contact.
    real tilt_rate;               ///< [rad s^-1] metric. Angular rate at contact.
    real miss_distance;           ///< [m] metric. Horizontal distance from the target at contact.
    real miss_downrange;          ///< [m] metric. Downrange distance beyond the target at contact.
    real miss_crossrange;         ///< [m] metric. Cross-range distance left of the target at contact.
    real propellant_left;         ///< [kg] metric. Usable main propellant at contact.
    real rcs_propellant_left;     ///< [kg] metric. Attitude propellant at contact.
    real flight_time;             ///< [s] metric. Time from ignition of the braking burn to contact.
    real delta_v;                 ///< [m s^-1] metric. Velocity change by the main and cluster engines.
    real altitude_error;          ///< [m] metric. Believed less true height at contact.
    real velocity_error;          ///< [m s^-1] metric. Size of the navigation velocity error at contact.
    real position_error;          ///< [m] metric. Horizontal navigation position error at contact.
    real slope;                   ///< [rad] metric. Slope of the ground under the lander.
    real leg_stroke;              ///< [m] metric. Longest stroke of a leg.
    real stability_margin;        ///< [] metric. Tipping speed allowed less used, over their sum: 1 at rest, 0 at the limit, -1 far beyond; by the closed form.
    real rest_tilt;               ///< [rad] metric. Angle between thrust axis and local vertical at rest.
    real leg_load;                ///< [N] metric. Greatest axial load of a leg.
    real slide;                   ///< [m] metric. Way of the centre of gravity along the ground from first touch to rest.
    real body_room;               ///< [m] metric. Least height of the lowest fixed part above the ground; negative: it was struck.
    real rock_height;             ///< [m] metric. Height of the highest rock under a foot or under the lowest fixed part.
    real divert_distance;         ///< [m] Distance by which hazard avoidance moved the target.
    real acquisition_height;      ///< [m] True height at the first valid altimeter range.
    real acquisition_speed;       ///< [m s^-1] Speed at the first valid altimeter range.
    real acquisition_error;       ///< [m] Believed less true height at the first valid altimeter range.
    real speed_high;              ///< [m s^-1] Speed when falling through monitor.height_high.
    real speed_middle;            ///< [m s^-1] Speed when falling through monitor.height_middle.
    real speed_low;               ///< [m s^-1] Speed when falling through monitor.height_low.
    real believed_high;           ///< [m] Believed height when falling through monitor.height_high.
    real false_ground_height;     ///< [m] True height when the computer first believed to be on the ground.
    real false_ground_time;       ///< [s] Time after ignition when the computer first believed to be on the ground.
    real depletion_height;        ///< [m] True height when the main propellant ran out.
    real depletion_time;          ///< [s] Time after ignition when the main propellant ran out.
    real impact_speed;            ///< [m s^-1] Total speed at contact.
    real main_off_height;         ///< [m] True height when the main engine was cut.
    real main_off_time;           ///< [s] Time after ignition when the main engine was cut.
    real main_off_speed;          ///< [m s^-1] Speed when the main engine was cut.
    real gate_time;               ///< [s] Time after ignition at the end of the braking phase.
    real gate_height;             ///< [m] True height at the end of the braking phase.
    real gate_speed;              ///< [m s^-1] Speed at the end of the braking phase.
    real gate_trim;               ///< [] Braking thrust fraction when range trimming ended.
    real gate_miss;               ///< [m] Believed range beyond the gate's at the end of the braking phase.
};

/// One tick of one run.
struct Sample {
    real time;                    ///< [s] Time since the start of the simulation.
    Vec3 position_S;              ///< [m] True position.
    Vec3 velocity_S;              ///< [m s^-1] True velocity.
    real height;                  ///< [m] True height of the feet above the ground.
    real descent_rate;            ///< [m s^-1] True downward speed.
    real horizontal_speed;        ///< [m s^-1] True horizontal speed.
    real tilt;                    ///< [rad] Angle between thrust axis and local vertical.
    Vec3 rate_B;                  ///< [rad s^-1] True angular rate.
    real mass;                    ///< [kg] True mass.
    real propellant;              ///< [kg] Usable main propellant left.
    real rcs_propellant;          ///< [kg] Attitude propellant left.
    real main_thrust;             ///< [N] Thrust of the main engine at the end of the tick.
    real cluster_thrust;          ///< [N] Thrust of the pulsed cluster at the end of the tick.
    real delta_v;                 ///< [m s^-1] Velocity change by the main and cluster engines so far.
    Vec3 believed_position_S;     ///< [m] Navigated position.
    Vec3 believed_velocity_S;     ///< [m s^-1] Navigated velocity.
    real believed_height;         ///< [m] Navigated height of the feet above the reference ground.
    real height_sigma;            ///< [m] One-sigma height uncertainty of the filter.
    real descent_rate_sigma;      ///< [m s^-1] One-sigma descent rate uncertainty of the filter.
    real altimeter_range;         ///< [m] Altimeter reading, -1 without a valid one.
    real altimeter_innovation;    ///< [m] Measured less predicted range, 0 without a sample.
    int  altimeter_used;          ///< [] 1 accepted, 0 no sample, -1 rejected.
    real attitude_error;          ///< [rad] Angle between the thrust axis and its commanded direction.
    Vec3 thrust_direction_S;      ///< [] Commanded thrust direction.
    real duty;                    ///< [] Commanded duty of the cluster.
    real throttle;                ///< [] Commanded throttle of the main engine.
    real time_to_go;              ///< [s] Predicted time to the end of the braking phase.
    real trim;                    ///< [] Braking thrust fraction.
    Phase phase;                  ///< [] Phase of the on-board computer.
    int  faults;                  ///< [] Faults at work: one bit each, in the order of the catalogue.
};

}  // namespace mcr
