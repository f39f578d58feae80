#pragma once
/// On-board guidance: phase machine, braking laws, approach on a descent-rate reference, terminal descent, throttle logic.
/// Laws of the braking phase: constant-thrust explicit law (vertical linear acceleration to the gate, the horizontal takes
/// the rest of the thrust, range trimmed by thrust fraction), augmented Apollo family, D'Souza.
/// All decisions use the Estimate; a wrong estimate therefore flies a wrong descent.
/// Sources: Klumpp 1974 (Apollo descent guidance); Lu 2020, JGCD 43(2) (augmented family); D'Souza 1997, AIAA 97-3709;
/// Cherry 1964 (E-guidance: linear acceleration profile).
#include "hazards.h"
#include "navigation.h"
#include "phase.h"
#include "propulsion.h"

namespace mcr {

/// Law of the braking phase.
enum class BrakingLaw : int {
    explicit_thrust = 0,  ///< Constant thrust; linear vertical acceleration to the gate; range trimmed by thrust fraction.
    apollo = 1,           ///< Augmented Apollo family, from quadratic (gain 12) to E-guidance (gain 6).
    dsouza = 2,           ///< D'Souza's minimum-acceleration law to the gate.
};

/// When the engines are cut.
enum class Cutoff : int {
    contact = 0,          ///< At the first touch of a foot.
    height = 1,           ///< At the believed height cutoff_height.
    probe = 2,            ///< When a probe below the feet touches the ground; at the first touch of a foot if it does not.
    legs = 3,             ///< When cutoff_legs feet touch at once.
    shock = 4,            ///< When the accelerometer feels cutoff_shock from the legs.
};

/// On-board guidance.
struct Guidance {
    BrakingLaw braking_law;      ///< [] default explicit_thrust. Law of the braking phase.
    int  period_ticks;           ///< [tick] 1 .. 60000, default 5. Ticks between two guidance cycles.
    real ignition_range;         ///< [m] > 0, designed. Believed ground distance to the target at ignition.
    real brake_time;             ///< [s] > 0, designed. Expected duration of the braking phase.
    real brake_time_max;         ///< [s] > 0, designed. Longest duration of the braking phase.
    real brake_fraction;         ///< [] 0.5 .. 1, designed. Thrust fraction planned for the braking phase.
    real trim_min;               ///< [] 0.3 .. 1, default 0.82. Lowest thrust fraction of range trimming.
    real trim_max;               ///< [] 0.3 .. 1, default 1. Highest thrust fraction of range trimming.
    real apollo_gain;            ///< [] 6 .. 12, default 6. Gain k of the augmented Apollo family.
    real dsouza_gamma;           ///< [m^2 s^-4] >= 0, designed. Weight of time in D'Souza's law.
    real gate_height;            ///< [m] > 0, designed. Height at the end of the braking phase.
    real gate_range;             ///< [m] >= 0, designed. Ground distance to the target at the end of the braking phase.
    real gate_descent_rate;      ///< [m s^-1] >= 0, designed. Descent rate at the end of the braking phase.
    real gate_speed_forward;     ///< [m s^-1] >= 0, designed. Forward speed at the end of the braking phase.
    real reference_height[4];    ///< [m] >= 0, designed. Heights of the descent-rate reference, falling.
    real reference_speed[4];     ///< [m s^-1] > 0, designed. Descent rates at these heights; squares are joined linearly.
    real rate_gain;              ///< [s^-1] > 0, default 0.4 /s. Gain on the descent-rate error.
    real approach_tilt_max;      ///< [rad] > 0, default 25 deg. Largest thrust tilt in the approach.
    real divert_share;           ///< [] 0 .. 1, default 0.4. Share of the lateral authority that corrects position in the approach.
    real terminal_height;        ///< [m] >= 0, default 30 m. Height below which only horizontal speed is nulled.
    real terminal_tilt_max;      ///< [rad] > 0, default 6 deg. Largest thrust tilt in the terminal descent.
    real terminal_gain;          ///< [s^-1] > 0, default 0.4 /s. Gain on horizontal speed in the terminal descent.
    real main_off_height;        ///< [m] >= 0, designed. Believed height below which the main engine is cut; 0 retains it.
    Cutoff cutoff;               ///< [] default contact. When the engines are cut.
    real cutoff_height;          ///< [m] >= 0, default 1 m. Believed height of cut-off by height.
    real cutoff_probe;           ///< [m] >= 0, default 1.5 m. Length of the probe below the feet.
    int  cutoff_legs;            ///< [] 1 .. 12, default 2. Feet that must touch at once.
    real cutoff_shock;           ///< [m s^-2] > 0, default 5 m/s^2. Acceleration by the legs that cuts the engines.
    real cutoff_delay;           ///< [s] >= 0, default 50 ms. Time from the signal to the closing of the valves.
    real cutoff_backup;          ///< [s] 0 .. 20, default 10 s. Time after the first touch when the engines are cut at the latest.
    real target_tilt_max;        ///< [rad] > 0, default 15 deg. Largest thrust tilt on the way to a target that hazard avoidance chose.
    real target_share;           ///< [] 0 .. 1, default 0.5. Share of that lateral authority which the way is planned with.
    real target_gain;            ///< [s^-1] > 0, default 0.2 /s. Speed toward such a target over the distance from it, when near.
};

/// Memory of guidance: what is held between its cycles.
struct GuidanceMemory {
    Phase phase;
    int  ignition_tick;          // tick of ignition; -1 before
    int  main_cut;               // 1 once the main engine is cut
    real time_to_go;             // [s]
    real trim;                   // [] thrust fraction of the braking phase
    Vec3 direction_S;            // commanded thrust direction
    real throttle;               // [] commanded, main engine
    real duty_wish;              // [] asked of the cluster
    real duty;                   // [] commanded for this tick, cluster
    real duty_owed;              // [] mean duty that pulses so far fall short of
    real mass;                   // [kg] believed
    real thrust_scale;           // [] believed actual over nominal thrust per mass
    real target_x;               // [m] from the site's, downrange
    real target_y;               // [m] to the left
    Mapped mapped;               // whether hazards were mapped
    real saturation;             // [s] time for which more thrust was asked than there is
};

/// Geometry of the estimate that guidance works with.
struct Bearings {
    Vec3 up;                     // local vertical in the plane
    Vec3 forward;                // horizontal in the plane, toward the target
    real radius;                 // [m] from the Moon's centre
    real height;                 // [m] of the feet above the site's sphere
    real climb_rate;             // [m s^-1]
    real forward_speed;          // [m s^-1]
    real range;                  // [m] ground distance to the target, positive before it
};

MCR_FN Bearings bearings_of(Gravity const& gravity, real feet, Vec3 const& position_S, Vec3 const& velocity_S) {
    real const angle = arctangent2(position_S.x, position_S.z + gravity.radius);
    SineCosine const turn = sine_cosine(angle);
    Vec3 const up{turn.sine, real(0), turn.cosine};
    Vec3 const forward{turn.cosine, real(0), -turn.sine};
    return Bearings{up, forward, norm(from_centre(gravity, position_S)), sphere_height(gravity.radius, position_S) - feet,
                    dot(velocity_S, up), dot(velocity_S, forward), -gravity.radius * angle};
}

/// Acceleration now, and its rate, of the linear profile that meets a displacement and an end speed after T (Cherry 1964).
MCR_FN real linear_profile(real displacement, real speed, real speed_end, real time) {
    return real(6) * displacement / (time * time) - (real(4) * speed + real(2) * speed_end) / time;
}
MCR_FN real linear_profile_rate(real displacement, real speed, real speed_end, real time) {
    return (real(6) * (speed + speed_end) - real(12) * displacement / time) / (time * time);
}

/// Thrust acceleration asked for, time to go and trim.
struct Demand {
    Vec3 acceleration_S;         // [m s^-2] of thrust
    real time_to_go;             // [s]
    real trim;                   // []
};

/// Descent rate asked for at a height, deceleration along the reference, and time from there to the ground.
struct Reference {
    real speed;                  // [m s^-1]
    real deceleration;           // [m s^-2]
    real time;                   // [s]
};

/// Reference of the approach: squares of the descent rate are linear in height between four nodes.
MCR_FN Reference reference_at(Guidance const& guidance, real height) {
    real const last_speed = guidance.reference_speed[3];
    Reference result{last_speed, real(0), maximum(height, real(0)) / last_speed};
    real below = real(0);  // time from the node below to the ground
    MCR_UNROLL(4)
    for (int i = 2; i >= 0; --i) {
        real const top = guidance.reference_height[i];
        real const bottom = guidance.reference_height[i + 1];
        real const fast = guidance.reference_speed[i];
        real const slow = guidance.reference_speed[i + 1];
        real const depth = maximum(top - bottom, real(1e-3));
        real const half_slope = real(0.5) * (fast * fast - slow * slow) / depth;
        if (i == 2) below = bottom / slow;
        bool const inside = height > bottom;  // also above the top node: the uppermost segment is prolonged
        real const speed = square_root(maximum(slow * slow + real(2) * half_slope * (height - bottom), slow * slow * real(0.25)));
        real const time = below + real(2) * (height - bottom) / (speed + slow);
        result.speed = select(inside, speed, result.speed);
        result.deceleration = select(inside, half_slope, result.deceleration);
        result.time = select(inside, time, result.time);
        below += real(2) * depth / (fast + slow);
    }
    return result;
}

/// Constant-thrust explicit law (see the file's head). `full` is the thrust acceleration at full thrust.
MCR_FN Demand brake_explicit(Guidance const& guidance, Bearings const& b, Vec3 const& free_S, Vec3 const& position_S,
                             Vec3 const& velocity_S, real full, real exhaust, GuidanceMemory const& memory, real site_radius,
                             real arrest) {
    // the last seconds count down by the clock: a prediction that reacts to the lift it causes would not settle
    bool const late = memory.time_to_go < real(20);
    real const time = maximum(memory.time_to_go, real(8));
    real const drop = guidance.gate_height - b.height;
    real const rate_end = -guidance.gate_descent_rate;
    real const rise = linear_profile(drop, b.climb_rate, rate_end, time);
    real const rise_rate = linear_profile_rate(drop, b.climb_rate, rate_end, time);
    real const gravity_up = dot(free_S, b.up);

    // predict time and distance at this thrust: equal decrements of forward speed, mid-point values
    real const start = full * memory.trim;
    real const decrement = maximum(b.forward_speed - guidance.gate_speed_forward, real(0.1)) * real(0.125);
    real elapsed = real(0);
    real distance = real(0);
    real last = real(0);
    MCR_UNROLL(8)
    for (int i = 0; i < 8; ++i) {
        real const middle = elapsed + real(0.5) * last;
        real const speed = b.forward_speed - (real_of(i) + real(0.5)) * decrement;
        real const thrust = start / maximum(real(1) - start * middle / exhaust, real(0.2));
        real const lift = rise + rise_rate * middle - gravity_up - speed * speed / b.radius;
        real const level = square_root(maximum(thrust * thrust - lift * lift, real(0.09) * thrust * thrust));
        last = decrement / level;
        elapsed += last;
        distance += speed * last;
    }
    distance = distance * (site_radius / b.radius);
    real const needed = maximum(b.range - guidance.gate_range, real(1));
    real const wish = memory.trim * distance / needed;
    real const trim = select(late, memory.trim,
                             clamp(memory.trim + real(0.3) * (wish - memory.trim), guidance.trim_min, guidance.trim_max));

    real const thrust = full * trim;
    // close to the gate a first altimeter fix may move it by a kilometre: the lander then bends its path a little instead of
    // chasing a point that it cannot reach, rises no harder than the approach would, and leaves the rest to it
    real const bend = real(-0.4) * gravity_up;
    real const bounded = select(late, clamp(rise, -bend, maximum(bend, arrest)), rise);
    real const needed_lift = bounded - gravity_up - b.forward_speed * b.forward_speed / b.radius;
    real const lowest = select(late, real(0.1) * thrust, real(-0.9) * thrust);
    real const lift = clamp(needed_lift, lowest, real(0.9) * thrust);
    real const side = clamp(linear_profile(-position_S.y, velocity_S.y, real(0), time) - free_S.y, real(-0.25) * thrust,
                            real(0.25) * thrust);
    real const level = square_root(maximum(thrust * thrust - lift * lift - side * side, real(0.01) * thrust * thrust));
    Vec3 acceleration_S = lift * b.up - level * b.forward + Vec3{real(0), side, real(0)};
    return Demand{acceleration_S, select(late, memory.time_to_go - seconds(guidance.period_ticks), elapsed), trim};
}

/// Where the gate is and how fast it is to be passed, in S.
struct Gate {
    Vec3 position_S;
    Vec3 velocity_S;
};

MCR_FN Gate gate_of(Guidance const& guidance, Gravity const& gravity, real feet) {
    SineCosine const turn = sine_cosine(-guidance.gate_range / gravity.radius);
    real const radius = gravity.radius + guidance.gate_height + feet;
    Vec3 const up{turn.sine, real(0), turn.cosine};
    Vec3 const forward{turn.cosine, real(0), -turn.sine};
    // R (cos - 1) without cancellation: -2 R sin^2(half)
    real const half = sine_cosine(real(-0.5) * guidance.gate_range / gravity.radius).sine;
    real const fall = real(-2) * gravity.radius * half * half + (guidance.gate_height + feet) * turn.cosine;
    return Gate{Vec3{radius * turn.sine, real(0), fall},
                guidance.gate_speed_forward * forward - guidance.gate_descent_rate * up};
}

/// Thrust acceleration at the gate on the explicit law's way there: the end of its constant thrust, lifted as its vertical
/// profile ends. It is the a_f of the Apollo family, which would otherwise end without thrust.
MCR_FN Vec3 thrust_at_gate(Guidance const& guidance, Bearings const& b, Gravity const& gravity, Gate const& gate, real start,
                           real exhaust, real time) {
    real const thrust = start / maximum(real(1) - start * time / exhaust, real(0.2));
    real const rate_end = -guidance.gate_descent_rate;
    real const rise = linear_profile(guidance.gate_height - b.height, b.climb_rate, rate_end, time) +
                      time * linear_profile_rate(guidance.gate_height - b.height, b.climb_rate, rate_end, time);
    Vec3 const centre_S = from_centre(gravity, gate.position_S);
    Vec3 const up_S = unit(centre_S);
    Vec3 const forward_S{up_S.z, real(0), -up_S.x};
    real const radius = norm(centre_S);
    real const pull = gravity.gravitational_parameter / (radius * radius);
    real const speed = guidance.gate_speed_forward;
    real const lift = clamp(rise + pull - speed * speed / radius, real(-0.9) * thrust, real(0.9) * thrust);
    return lift * up_S - square_root(thrust * thrust - lift * lift) * forward_S;
}

/// Augmented Apollo family (Lu 2020): f = 2/T (1 - k/3)(vf - v) + k/T^2 (rf - r - v T) + (k-6)/6 af + (k-12)/6 g.
MCR_FN Vec3 apollo_law(real gain, Vec3 const& reach_S, Vec3 const& velocity_S, Vec3 const& velocity_end_S,
                       Vec3 const& acceleration_end_S, Vec3 const& free_S, real time) {
    return (real(2) / time * (real(1) - gain / real(3))) * (velocity_end_S - velocity_S) +
           (gain / (time * time)) * (reach_S - time * velocity_S) + ((gain - real(6)) / real(6)) * acceleration_end_S +
           ((gain - real(12)) / real(6)) * free_S;
}

/// Time to go of D'Souza's law: positive root of (Gamma + g^2/2) T^4 - 2 v.v T^2 - 12 v.r T - 18 r.r = 0 by Newton's method.
MCR_FN real dsouza_time(real gamma, Vec3 const& r, Vec3 const& v, real free_squared, real guess) {
    real const a = gamma + real(0.5) * free_squared;
    real const b = real(2) * norm_squared(v);
    real const c = real(12) * dot(v, r);
    real const d = real(18) * norm_squared(r);
    real time = maximum(guess, real(1));
    MCR_UNROLL(6)
    for (int i = 0; i < 6; ++i) {
        real const value = ((a * time * time - b) * time - c) * time - d;
        real const slope = (real(4) * a * time * time - real(2) * b) * time - c;
        real const step = value / select(absolute(slope) > real(1e-3), slope, real(1e-3));
        time = clamp(time - step, real(0.5) * time, real(2) * time);
    }
    return time;
}

/// D'Souza's law (1997): f = -4 v/T - 6 r/T^2 - g, r and v relative to the target.
MCR_FN Vec3 dsouza_law(Vec3 const& r, Vec3 const& v, Vec3 const& free_S, real time) {
    return (real(-4) / time) * v - (real(6) / (time * time)) * r - free_S;
}

constexpr real settling_time = real(10);  ///< [s] before contact at which the approach is to be over the target.

/// Vertical acceleration that holds the reference.
MCR_FN real hold_reference(Guidance const& guidance, Reference const& reference, real climb_rate) {
    real const share = clamp(-climb_rate / maximum(reference.speed, real(0.1)), real(0), real(1));
    return share * reference.deceleration + guidance.rate_gain * (-reference.speed - climb_rate);
}

/// Vertical thrust acceleration that holds the reference, before any limit.
MCR_FN real lift_on_reference(Guidance const& guidance, Reference const& reference, Bearings const& b, Vec3 const& free_S) {
    return hold_reference(guidance, reference, b.climb_rate) - dot(free_S, b.up) -
           b.forward_speed * b.forward_speed / b.radius;
}

/// The same within what the engines can do.
MCR_FN real lift_wanted(Guidance const& guidance, Reference const& reference, Bearings const& b, Vec3 const& free_S, real full) {
    return clamp(lift_on_reference(guidance, reference, b, free_S), real(-0.25) * dot(free_S, b.up), full);
}

/// Horizontal acceleration that tilt and thrust leave beside a lift.
MCR_FN real lateral_limit(real tilt, real lift, real full) {
    SineCosine const turn = sine_cosine(tilt);
    real const room = square_root(maximum(full * full - lift * lift, real(0)));
    return maximum(minimum(lift * turn.sine / maximum(turn.cosine, real(0.05)), room), real(0.02) * lift);
}

/// Horizontal acceleration that moves the place of touchdown.
struct Shift {
    real ahead;                  // [m s^-2] toward forward
    real aside;                  // [m s^-2] to the left
};

MCR_FN real norm(Shift const& shift) { return square_root(shift.ahead * shift.ahead + shift.aside * shift.aside); }

/// Time [s] in which the approach is to be over its target.
MCR_FN real shift_time(Reference const& reference) { return maximum(reference.time - settling_time, real(6)); }

/// The linear profile to rest over the target is -2 v/T + 6 d/T^2, where d is the displacement from the natural stopping point
/// (v T/3 ahead) to the target: this is its second part.
MCR_FN Shift shift_to(real target_x, real target_y, Bearings const& b, Vec3 const& position_S, Vec3 const& velocity_S, real time) {
    return Shift{real(6) * (target_x + b.range - b.forward_speed * time / real(3)) / (time * time),
                 real(6) * (target_y - position_S.y - velocity_S.y * time / real(3)) / (time * time)};
}

/// How much of it is flown: a share of the lateral authority, and less toward contact, because a late correction of position must
/// not cost the null of velocity.
MCR_FN real shift_allowed(Guidance const& guidance, real limit, real time) {
    return guidance.divert_share * limit * clamp((time - settling_time) / settling_time, real(0), real(1));
}

/// What a lander can do on its way to a target that hazard avoidance chose.
struct Authority {
    real early;                  // [m s^-2] before the terminal descent
    real late;                   // [m s^-2] in it
    real time;                   // [s] to the ground
    real time_late;              // [s] of the terminal descent
};

MCR_FN Authority authority_of(Guidance const& guidance, Reference const& reference, real lift, real full) {
    real const early = minimum(guidance.target_tilt_max, guidance.approach_tilt_max);
    real const late = minimum(guidance.target_tilt_max, guidance.terminal_tilt_max);
    return Authority{guidance.target_share * lateral_limit(early, lift, full),
                     guidance.target_share * lateral_limit(late, lift, full), reference.time,
                     minimum(reference_at(guidance, guidance.terminal_height).time, reference.time)};
}

constexpr real null_time = real(4);  ///< [s] before contact when the last horizontal speed is to be gone.

/// Speed toward such a target: what can be stopped within the distance and until contact, and less when near (the square-root
/// law of position controllers). Then the deceleration that keeps to it.
MCR_FN Shift speed_to(Guidance const& guidance, Authority const& has, bool terminal, real distance) {
    real const braking = select(terminal, has.late, has.early);
    real const near = guidance.target_gain * distance;
    real const far = square_root(real(2) * braking * distance);
    real const until = has.late * maximum(minimum(has.time, has.time_late) - null_time, real(0)) +
                       has.early * maximum(has.time - has.time_late, real(0));
    real const speed = minimum(minimum(near, far), until);
    return Shift{speed, minimum(braking, guidance.target_gain * speed)};
}

/// Greatest way to rest by speed_to from a speed: under its bound by time, and before that at all the acceleration there is.
MCR_FN real way_until(Guidance const& guidance, Authority const& has, real speed) {
    real const late = maximum(minimum(has.time, has.time_late) - null_time, real(0));
    real const early = maximum(has.time - has.time_late, real(0));
    real const excess = maximum(speed - has.late * late - has.early * early, real(0));
    real const spare = has.early * maximum(real(1) / maximum(guidance.target_share, real(0.01)) - real(1), real(0.1));
    return real(0.5) * (has.early * early * early + has.late * late * late) + has.late * late * early +
           real(0.5) * excess * excess / maximum(spare, real(1e-3));
}

/// Approach and terminal descent: thrust acceleration asked for.
MCR_FN Vec3 descend_on_reference(Guidance const& guidance, Reference const& reference, Bearings const& b, Vec3 const& free_S,
                                 Vec3 const& position_S, Vec3 const& velocity_S, real full, bool terminal,
                                 GuidanceMemory const& memory) {
    real const lift = lift_wanted(guidance, reference, b, free_S, full);
    real const time = shift_time(reference);
    bool const safe = memory.mapped == Mapped::safe;
    real const tilt = select(terminal, guidance.terminal_tilt_max, guidance.approach_tilt_max);
    real const limit = lateral_limit(select(safe, minimum(tilt, guidance.target_tilt_max), tilt), lift, full);
    Shift const shift = shift_to(memory.target_x, memory.target_y, b, position_S, velocity_S, time);
    real const size_shift = norm(shift);
    real const share = shift_allowed(guidance, limit, time);
    real const keep = select(size_shift > share, share / maximum(size_shift, real(1e-6)), real(1));
    real const gain = guidance.terminal_gain;
    real const usual_ahead = select(terminal, -gain * b.forward_speed, real(-2) * b.forward_speed / time + keep * shift.ahead);
    real const usual_aside = select(terminal, -gain * velocity_S.y, real(-2) * velocity_S.y / time + keep * shift.aside);

    // toward a cell that looked safe the lander is led to the ground
    real const way_ahead = memory.target_x + b.range;
    real const way_aside = memory.target_y - position_S.y;
    real const way = maximum(square_root(way_ahead * way_ahead + way_aside * way_aside), real(1e-3));
    Shift const led = speed_to(guidance, authority_of(guidance, reference, lift, full), terminal, way);
    real const closing = (way_ahead * b.forward_speed + way_aside * velocity_S.y) / way;
    real const brake = led.aside * clamp(closing / maximum(led.ahead, real(1e-3)), real(0), real(1));
    real const toward = gain * led.ahead - brake;
    real const ahead = select(safe, toward * (way_ahead / way) - gain * b.forward_speed, usual_ahead);
    real const aside = select(safe, toward * (way_aside / way) - gain * velocity_S.y, usual_aside);
    real const size = square_root(ahead * ahead + aside * aside);
    real const factor = select(size > limit, limit / maximum(size, real(1e-6)), real(1));
    return lift * b.up + (factor * ahead) * b.forward + Vec3{real(0), factor * aside, real(0)};
}

/// Throttle and duty that give a wanted nominal thrust [N]: the main engine first, the cluster makes up the rest. The duty
/// that minimum on-times and off-times allow is chosen tick by tick (pulse_cluster).
MCR_FN void allocate_thrust(Propulsion const& propulsion, GuidanceMemory& memory, real wanted) {
    bool const main_on = (memory.main_cut == 0) & (propulsion.main.thrust > real(0));
    real const ratio = wanted / maximum(propulsion.main.thrust, real(1));
    real const throttle = select(main_on, allowed_throttle(propulsion.main, ratio), real(0));
    real const ring = real_of(propulsion.cluster.count) * propulsion.cluster.thrust;
    real const rest = wanted - throttle * propulsion.main.thrust;
    memory.throttle = throttle;
    memory.duty_wish = select(ring > real(0), clamp(rest / maximum(ring, real(1)), real(0), real(1)), real(0));
}

/// Duty of this tick: the nearest allowed one to the wish plus what earlier ticks still owe, so that the mean is the wish.
MCR_FN void pulse_cluster(Cluster const& cluster, GuidanceMemory& memory, real limit) {
    real const owed = clamp(memory.duty_wish + memory.duty_owed, real(-1), real(2));
    memory.duty = select(memory.duty_wish > real(0), minimum(allowed_duty(cluster, owed), limit), real(0));
    memory.duty_owed = clamp(owed - memory.duty, real(-0.5), real(0.5));
}

/// Largest nominal thrust [N] with the engines that may still run.
MCR_FN real thrust_available(Propulsion const& propulsion, GuidanceMemory const& memory) {
    real const ring = real_of(propulsion.cluster.count) * propulsion.cluster.thrust;
    return ring + select(memory.main_cut == 0, propulsion.main.thrust, real(0));
}

/// Mean exhaust speed [m s^-1] of all engines at full thrust.
MCR_FN real exhaust_speed(Propulsion const& propulsion) {
    real const ring = real_of(propulsion.cluster.count) * propulsion.cluster.thrust;
    real const flow = propulsion.main.thrust / propulsion.main.isp + ring / propulsion.cluster.isp;
    return standard_gravity * (propulsion.main.thrust + ring) / maximum(flow, real(1e-6));
}

constexpr real handover_time = real(8);  ///< [s] of time to go at which the approach takes over from a law that aims at a point.

/// One guidance cycle: phase, thrust direction, throttle and duty until the next.
MCR_FN void guide(Guidance const& guidance, Propulsion const& propulsion, Gravity const& gravity, real feet,
                  Estimate const& estimate, GuidanceMemory& memory, int tick) {
    Bearings const b = bearings_of(gravity, feet, estimate.position_S, estimate.velocity_S);
    Vec3 const free_S = believed_acceleration(gravity, estimate.position_S, estimate.velocity_S);
    real const cycle = seconds(guidance.period_ticks);

    // phase machine on the estimate, with time-outs
    Phase phase = memory.phase;
    bool const ignites = (phase == Phase::coast) & (b.range <= guidance.ignition_range);
    memory.ignition_tick = select(ignites, tick, memory.ignition_tick);
    memory.time_to_go = select(ignites, guidance.brake_time, memory.time_to_go);
    memory.trim = select(ignites, guidance.brake_fraction, memory.trim);
    phase = ignites ? Phase::brake : phase;
    real const burning = seconds(tick - memory.ignition_tick);
    bool const slow = b.forward_speed <= guidance.gate_speed_forward + real(0.5) * cycle * real(3);
    bool const out_of_time = burning > guidance.brake_time_max;
    bool const low = b.height < real(0.5) * guidance.gate_height;
    bool const arrived = (guidance.braking_law != BrakingLaw::explicit_thrust) & (memory.time_to_go < handover_time);
    bool const brakes_done = (phase == Phase::brake) & !ignites & (slow | out_of_time | low | arrived);
    phase = brakes_done ? Phase::approach : phase;
    bool const last_metres = (phase == Phase::approach) & (b.height < guidance.terminal_height);
    phase = last_metres ? Phase::terminal : phase;
    bool const cuts = (guidance.cutoff == Cutoff::height) & (phase >= Phase::approach) & (phase < Phase::cut) &
                      (b.height <= guidance.cutoff_height);
    phase = cuts ? Phase::cut : phase;
    memory.phase = phase;
    bool const retained = guidance.main_off_height <= real(0);
    bool const main_done = (phase >= Phase::approach) & (b.height <= guidance.main_off_height) & !retained;
    memory.main_cut = select(main_done, 1, memory.main_cut);

    // acceleration asked for
    real const nominal = thrust_available(propulsion, memory);
    real const full = memory.thrust_scale * nominal / memory.mass;
    real const exhaust = exhaust_speed(propulsion);
    Reference const reference = reference_at(guidance, b.height);
    Demand const law = brake_explicit(guidance, b, free_S, estimate.position_S, estimate.velocity_S, full, exhaust, memory,
                                      gravity.radius, hold_reference(guidance, reference, b.climb_rate));
    Gate const gate = gate_of(guidance, gravity, feet);
    Vec3 const reach_S = gate.position_S - estimate.position_S;
    // D'Souza brings a lander to rest at a point: here the point moves with the gate's velocity
    real const before = maximum(memory.time_to_go - cycle, real(1));
    Vec3 const from_S = real(-1) * reach_S + before * gate.velocity_S;
    Vec3 const relative_S = estimate.velocity_S - gate.velocity_S;
    real const time_dsouza = dsouza_time(guidance.dsouza_gamma, from_S, relative_S, norm_squared(free_S), before);
    Vec3 const dsouza_S = dsouza_law(real(-1) * reach_S + time_dsouza * gate.velocity_S, relative_S, free_S,
                                     maximum(time_dsouza, real(5)));
    real const time_apollo = maximum(law.time_to_go, real(8));
    Vec3 const thrust_end_S = thrust_at_gate(guidance, b, gravity, gate, full * memory.trim, exhaust, time_apollo);
    Vec3 const apollo_S = apollo_law(guidance.apollo_gain, reach_S, estimate.velocity_S, gate.velocity_S, thrust_end_S,
                                     free_S, time_apollo);
    bool const dsouza = guidance.braking_law == BrakingLaw::dsouza;
    bool const apollo = guidance.braking_law == BrakingLaw::apollo;
    Vec3 const brake_S = select(dsouza, dsouza_S, select(apollo, apollo_S, law.acceleration_S));
    bool const braking = phase == Phase::brake;
    memory.time_to_go = select(braking, select(dsouza, time_dsouza, law.time_to_go), memory.time_to_go);
    memory.trim = select(braking & !dsouza & !apollo, law.trim, memory.trim);
    Vec3 const approach_S = descend_on_reference(guidance, reference, b, free_S, estimate.position_S, estimate.velocity_S, full,
                                                 phase == Phase::terminal, memory);
    Vec3 const thrust_S = select(braking, brake_S, approach_S);
    real const size = norm(thrust_S);

    // direction, throttle and duty; while coasting the lander points where braking will begin
    bool const coasting = phase == Phase::coast;
    Vec3 const first_S = select(dsouza, dsouza_S, law.acceleration_S);
    memory.direction_S = unit(select(coasting, first_S, thrust_S));
    real const wanted = size * memory.mass / memory.thrust_scale;
    allocate_thrust(propulsion, memory, wanted);
    bool const off = coasting | (phase == Phase::cut);
    memory.throttle = select(off, real(0), memory.throttle);
    memory.duty_wish = select(off, real(0), memory.duty_wish);
    bool const short_of_thrust = (phase >= Phase::approach) & (lift_on_reference(guidance, reference, b, free_S) > full);
    memory.saturation = select(short_of_thrust, memory.saturation + cycle, memory.saturation);
}

/// On-board mass and thrust estimate after one tick: mass by nominal flow, thrust by the accelerometer.
MCR_FN void estimate_thrust(Propulsion const& propulsion, GuidanceMemory& memory, real felt) {
    real const ring = real_of(propulsion.cluster.count) * propulsion.cluster.thrust;
    real const main = memory.throttle * propulsion.main.thrust;
    real const pulsed = memory.duty * ring;
    real const main_flow = real(1) / (propulsion.main.isp * standard_gravity);
    real const flow = main * main_flow + pulsed * pulse_flow(propulsion.cluster, memory.duty);
    memory.mass = maximum(memory.mass - flow * tick_period, real(1));
    real const expected = (main + pulsed) / memory.mass;
    bool const pushing = expected > real(0.5);
    real const ratio = clamp(felt / maximum(expected, real(0.5)), real(0.7), real(1.3));
    memory.thrust_scale = select(pushing, memory.thrust_scale + real(0.02) * (ratio - memory.thrust_scale), memory.thrust_scale);
}

}  // namespace mcr
