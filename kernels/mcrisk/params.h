#pragma once
/// Params: everything the kernel reads of one case, as one block of plain data. The field comments are the schema.
#include "altimeter.h"
#include "camera.h"
#include "control.h"
#include "dispersion.h"
#include "faults.h"
#include "gravity.h"
#include "guidance.h"
#include "hazards.h"
#include "imu.h"
#include "navigation.h"
#include "propulsion.h"
#include "rcs.h"
#include "relief.h"
#include "terrain.h"
#include "touchdown.h"
#include "vehicle.h"
#include "velocimeter.h"

namespace mcr {

/// What is: every number here can be dispersed run by run.
struct World {
    Gravity gravity;             ///< Gravity.
    Vehicle vehicle;             ///< Mass properties.
    Propulsion propulsion;       ///< Engines and main tanks.
    Rcs rcs;                     ///< Attitude thrusters.
    Imu imu;                     ///< Inertial measurement unit.
    Altimeter altimeter;         ///< Altimeter.
    Velocimeter velocimeter;     ///< Velocimeter.
    Camera camera;               ///< Terrain-relative navigation.
    Terrain terrain;             ///< Ground.
    Touchdown touchdown;         ///< Landing gear.
};

/// What the computer was told besides the nominal World: can be swept, not dispersed.
struct Onboard {
    Navigation navigation;       ///< Navigation.
    Guidance guidance;           ///< Guidance.
    Control control;             ///< Attitude control.
    Hazards hazards;             ///< Hazard detection and avoidance.
};

/// What counts as a landing.
struct Limits {
    real descent_rate;           ///< [m s^-1] > 0, default 3 m/s. Highest descent rate at contact.
    real horizontal_speed;       ///< [m s^-1] > 0, default 1 m/s. Highest horizontal speed at contact.
    real tilt;                   ///< [rad] > 0, default 10 deg. Largest tilt at contact.
    real tilt_rate;              ///< [rad s^-1] > 0, default 5 deg/s. Highest angular rate at contact.
    real slope;                  ///< [rad] > 0, default 12 deg. Steepest ground the lander can stand on.
    real rest_tilt;              ///< [rad] > 0, default 20 deg. Largest tilt at rest.
    real target_radius;          ///< [m] > 0, default 10 km. Largest distance from the target.
    real drop_height;            ///< [m] > 0, default 3 m. Highest engine cut-off above the ground.
};

/// True heights at which speeds are reported and causes are judged.
struct Monitor {
    real height_high;            ///< [m] >= 0, default 1 km. First height.
    real height_middle;          ///< [m] >= 0, default 500 m. Second height.
    real height_low;             ///< [m] >= 0, default 100 m. Third height.
    real altimeter_needed;       ///< [m] >= 0, designed. True height by which a first valid range is counted on.
};

/// Numerical settings.
struct Simulation {
    int  truth_steps;            ///< [] 1 .. 64, default 2. Truth steps per tick.
    int  time_max_ticks;         ///< [tick] 10 .. 60000, default 1800 s. Longest flight.
};

/// State at the start of a run, before ignition, and its scatter. All of it is placed by the mission's orbit and site.
struct Arrival {
    Vec3 position_S;             ///< internal. Nominal position.
    Vec3 velocity_S;             ///< internal. Nominal velocity relative to the Moon.
    Vec3 radial_S;               ///< internal. Radial direction.
    Vec3 along_S;                ///< internal. Along-track direction.
    Vec3 cross_S;                ///< internal. Cross-track direction.
    real delivery[21];           ///< internal. Lower Cholesky factor of the delivery covariance, row by row.
    real knowledge[21];          ///< internal. Lower Cholesky factor of the knowledge covariance, row by row.
};

/// Everything the kernel reads of one case.
struct Params {
    World world;                 ///< promoted. What is.
    Onboard onboard;             ///< promoted. What the computer was told.
    Faults faults;               ///< Faults: can be swept, not dispersed.
    Legs legs;                   ///< Places of the legs where they are no even ring: can be swept, not dispersed.
    Limits limits;               ///< What counts as a landing.
    Monitor monitor;             ///< True heights at which speeds are reported and causes are judged.
    Simulation simulation;       ///< Numerical settings.
    Arrival arrival;             ///< internal. State at the start of a run.
    Scatter scatter;             ///< internal. Dispersions.
    Relief relief;               ///< internal. Elevation model.
};

}  // namespace mcr
