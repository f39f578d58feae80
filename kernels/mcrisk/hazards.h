#pragma once
/// Hazard detection and avoidance, as the computer was told of it: one map of the cells around the target, taken in the approach,
/// after which the target is the nearest cell that looks safe. How it goes is in divert.h.
/// Modelled: detection and false alarms cell by cell, the reach of the map, error of the new target's place, budgets of tilt, velocity
/// change and propellant. Not modelled: the sensor's image itself, cells hidden by relief, a second map.
/// Source: Johnson, Klumpp, Collier & Wolf 2002, JGCD 25(6) 1091 (lidar hazard detection for safe landing, cells and probabilities).
#include "real.h"

namespace mcr {

/// Hazard detection and avoidance.
struct Hazards {
    int  fitted;         ///< [] 0 .. 1, default 0. 1 if the lander maps hazards and moves its target.
    real height;         ///< [m] > 0, default 200 m. Believed height at which it maps the ground.
    real radius;         ///< [m] > 0, default 50 m. Largest distance of the new target from where the lander would come down, 29 cells at most.
    real slope_limit;    ///< [rad] > 0, default 10 deg. A steeper cell is a hazard.
    real rock_limit;     ///< [m] > 0, default 0.3 m. A cell with a higher rock is a hazard.
    real detection;      ///< [] 0 .. 1, default 0.95. Probability that a hazard is seen.
    real false_alarm;    ///< [] 0 .. 1, default 0.02. Probability that a safe cell is taken for a hazard.
    int  margin;         ///< [] 0 .. 2, default 1. Cells on each side of the new target that are to look safe, too, if there are such.
    real error;          ///< [m] >= 0, default 1 m. One-sigma error per axis of the place of the new target.
    real delta_v;        ///< [m s^-1] >= 0, default 20 m/s. Largest horizontal velocity change that a new target may cost.
    real reserve;        ///< [kg] >= 0, default 0 kg. Main propellant that must be believed left at touchdown.
};

/// What became of the map.
enum class Mapped : int {
    not_yet = 0,         ///< None was taken.
    safe = 1,            ///< The target is a cell that looked safe.
    none = 2,            ///< No cell within reach looked safe: the target stays.
};

}  // namespace mcr
