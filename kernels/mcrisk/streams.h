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
    terrain = 15,            ///< Kept: roughness and hazards of the site.
    touchdown = 16,          ///< Whether a foot is caught at contact.
    engine = 17,             ///< Whether the main engine starts, whether and when an engine stops.
    rcs = 18,                ///< Kept: impulse bit and misalignment of the attitude jets.
    faults = 19,             ///< Whether a sensor fault strikes.
};

constexpr unsigned dispersions_first = 0x40000000u;  ///< [] the lowest stream of a dispersed parameter

}  // namespace mcr
