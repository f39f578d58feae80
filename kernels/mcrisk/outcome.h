#pragma once
/// How a run ended (exactly one) and the earliest decisive thing that went wrong (exactly one).
/// Numbers are never reused; new members are appended.

namespace mcr {

/// How a run ended: the first of these in time; ties by this order.
enum class Outcome : int {
    invalid = 0,               ///< The computation left the finite numbers; never counted as a landing.
    terrain_collision = 1,     ///< Struck the ground before the approach or faster than 15 m/s.
    propellant_depletion = 2,  ///< Ran out of usable propellant above the ground and fell.
    loss_of_control = 3,       ///< Attitude error above 60 deg for 10 s or rate above 60 deg/s in flight.
    premature_cutoff = 4,      ///< Engines were cut higher above the ground than the landing gear allows.
    hard_landing = 5,          ///< Touched down faster than the limits of the landing gear.
    tip_over = 6,              ///< Touched down within the speed limits and fell over.
    hazard_strike = 7,         ///< Came down on ground steeper than the lander can stand on, or on which it came to no rest.
    off_target = 8,            ///< Landed softly and upright outside the target radius.
    timeout = 9,               ///< Still flying at the time limit.
    success = 10,              ///< Landed softly and upright inside the target radius.
};

/// The earliest decisive thing that went wrong.
enum class Cause : int {
    none = 0,                  ///< Nothing went wrong.
    engine_out = 1,            ///< An engine stopped in flight.
    engine_start = 2,          ///< The main engine did not start.
    thrust_short = 3,          ///< Thrust or specific impulse below what the descent needed.
    thrust_excess = 4,         ///< Thrust above the command.
    propellant_budget = 5,     ///< Propellant did not suffice for the descent as flown.
    rcs_stuck = 6,             ///< An attitude thruster stuck.
    imu_fault = 7,             ///< The inertial unit failed.
    altimeter_never = 8,       ///< The altimeter never gave a valid range.
    altimeter_late = 9,        ///< The first valid range came below the height where it was needed.
    altimeter_lost = 10,       ///< The altimeter stopped giving valid ranges.
    altimeter_wrong = 11,      ///< The altimeter gave false ranges.
    altimeter_rejected = 12,   ///< Valid ranges were rejected by the innovation gate.
    velocimeter_lost = 13,     ///< The velocimeter gave no valid velocity when it was needed.
    camera_false_match = 14,   ///< Terrain-relative navigation accepted a false match.
    computer_reset = 15,       ///< The on-board computer restarted.
    wrong_constants = 16,      ///< On-board constants were wrong.
    delivery_error = 17,       ///< Arrived too far from the planned orbit to recover.
    navigation_drift = 18,     ///< Navigation error grew beyond what the landing tolerates.
    guidance_saturated = 19,   ///< Guidance asked for more thrust than there was.
    control_saturated = 20,    ///< Attitude control could not follow the command.
    divert_failed = 21,        ///< Hazard avoidance found no safe cell in reach, or the lander missed the one it chose.
    touch_sensor = 22,         ///< A touch signal was false or missing.
    terrain_site = 23,         ///< The ground under the lander was too steep or too rough.
    dispersion = 24,           ///< No single event: ordinary scatter beyond the limits.
    propellant_leak = 25,      ///< Main propellant leaked.
};

}  // namespace mcr
