/// The random streams, named once. Members are appended, never renumbered or reused: an old run stays the same run.
/// Each stream has 2^32 draw numbers of four words per run. Numbers from `dispersions_first` on belong to dispersed
/// parameters, one stream per parameter path. Streams marked as kept are drawn from by nothing yet.
#pragma once

namespace mcr {

enum class Stream : unsigned {
    delivery_position = 1,   ///< Position error at the start of powered descent.
    delivery_velocity = 2,   ///< Velocity error at the start of powered descent.
    knowledge_position = 3,  ///< Error of the position the computer starts with.
    knowledge_velocity = 4,  ///< Error of the velocity the computer starts with.
    star_tracker = 5,        ///< Attitude error of the star tracker.
    gyro_bias = 6,           ///< Gyro bias, scale factor and misalignment of this unit.
    accel_bias = 7,          ///< Accelerometer bias, scale factor and misalignment of this unit.
    imu_noise = 8,           ///< White noise of gyros and accelerometers, and of thrust.
    imu_walk = 9,            ///< Steps of the bias random walks.
    thrust_noise = 10,       ///< Kept: thrust fluctuation of the main engine.
    gravity_anomaly = 11,    ///< Local gravity anomaly.
    altimeter = 12,          ///< Noise and dropouts of the altimeter.
    velocimeter = 13,        ///< Noise and dropouts of the velocimeter.
    camera = 14,             ///< Noise and false matches of the camera.
    terrain = 15,            ///< Slope and crater of a cell of the ground.
    touchdown = 16,          ///< Whether a foot is caught at contact.
    engine = 17,             ///< Whether the main engine starts, whether and when an engine stops.
    rcs = 18,                ///< Kept: impulse bit and misalignment of the attitude jets.
    faults = 19,             ///< Whether a sensor fault strikes.
    terrain_crater = 20,     ///< Place in the crater of a cell, its depth, and the largest rock of the footprint.
    terrain_rocks = 21,      ///< Which part of the footprint that rock lies in, and the rock under the body.
    terrain_feet = 22,       ///< Rocks under feet 1 to 4 of a cell.
    terrain_feet_middle = 23,  ///< The same of feet 5 to 8.
    terrain_feet_last = 24,  ///< The same of feet 9 to 12.
    hazards = 25,            ///< Whether a cell's hazard is seen, a safe one mistaken; number 0: error of the new target.
};

constexpr unsigned dispersions_first = 0x40000000u;  ///< [] the lowest stream of a dispersed parameter

}  // namespace mcr
