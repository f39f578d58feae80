#pragma once
/// Landing gear, and the closed-form criterion of tipping over at first contact. The legs one by one are in contact.h.
/// Source: rigid body pivoting on a caught foot, energy to the tipping point (Walton & Durling 1965, NASA TN D-2860 setting);
/// stroke from the work of the crush force.
#include "elementary.h"
#include "vec.h"

namespace mcr {

/// How a touchdown is judged beyond the limits at first contact.
enum class TouchdownModel : int {
    closed_form = 0,      ///< By the closed form of tipping over a caught foot, and the stroke that absorbs the vertical energy.
    legs = 1,             ///< By following body and legs until the lander rests or has fallen.
};

/// Landing gear and body at touchdown.
struct Touchdown {
    TouchdownModel model;    ///< [] default legs. How a touchdown is judged beyond the limits at first contact.
    int  legs;               ///< [] 3 .. 12, default 4. Number of legs.
    real foot_radius;        ///< [m] > 0. Distance of the feet from the axis.
    real cg_height;          ///< [m] > 0. Height of the centre of gravity above the feet.
    real gyration_radius;    ///< [m] > 0, default 0.8 m. Radius of gyration about a horizontal axis through the centre of gravity.
    real leg_azimuth;        ///< [rad] default 45 deg. Direction of the first leg, from body x toward y.
    real strut_cant;         ///< [rad] 0 .. 1, default 0 deg. Angle between struts and thrust axis; feet stand outside.
    real crush_force;        ///< [N] > 0, designed. Crush force of all legs together, along their struts.
    real crush_step;         ///< [] 0 .. 1, default 1. Part of the stroke after which the crush force rises.
    real crush_rise;         ///< [] >= 1, default 2. Crush force after it over the force before.
    real stroke_max;         ///< [m] > 0, default 0.25 m. Longest stroke of the legs.
    real leg_stiffness;      ///< [N m^-1] > 0, designed. Stiffness of one leg and the ground under it, before it crushes.
    real leg_damping;        ///< [] 0 .. 2, default 0.3. Damping ratio of a leg under its share of the lander.
    real leg_length_error;   ///< [m] >= 0, default 5 mm. One-sigma error of the length of a deployed leg.
    real friction;           ///< [] >= 0, default 0.5. Friction coefficient between foot and ground.
    real foot_caught;        ///< [] 0 .. 1, default 0.1. Probability that a foot is caught and cannot slide.
    real clearance;          ///< [m] >= 0, default 0.3 m. Height of the lowest fixed part, such as a nozzle, above the feet.
    real clearance_radius;   ///< [m] >= 0, default 0.3 m. Radius of that part about the axis.
    real pad_radius;         ///< [m] > 0, default 0.15 m. Radius of a foot.
};

constexpr int legs_most = 12;  ///< [] legs a lander can have.

/// Places of the legs where they are no even ring: can be swept, not dispersed. A list may be shorter than there is room for.
struct Legs {
    real direction[legs_most];  ///< [rad] -6.2832 .. 6.2832, default -360 deg. Direction of each leg, from body x toward y; all of -360 deg: an even ring from touchdown.leg_azimuth on.
    real reach[legs_most];      ///< [] > 0, default 1. Distance of each foot from the axis, over touchdown.foot_radius.
    real drop[legs_most];       ///< [m] -2 .. 2, default 0 m. How much lower each foot stands than the others.
    int  stated;                ///< internal. 1 if directions are stated.
    real support;               ///< internal. Half-width of the support polygon toward its nearest edge over the radius; 0: an even ring.
};

/// Half-width of the support polygon toward its nearest edge: R cos(pi / n) in an even ring.
MCR_FN real support_distance(Touchdown const& gear, Legs const& legs) {
    real const even = sine_cosine(real(3.14159265358979) / real_of(gear.legs)).cosine;
    return gear.foot_radius * select(legs.support > real(0), legs.support, even);
}

/// Direction of leg `number` [rad].
MCR_FN real leg_direction(Touchdown const& gear, Legs const& legs, int number) {
    real const even = gear.leg_azimuth + real(6.28318530717959) * real_of(number) / real_of(gear.legs);
    return select(legs.stated == 1, legs.direction[number], even);
}

/// Largest speed toward the caught downhill foot that does not tip the lander on a slope `lean` [rad]:
/// (1/h) sqrt(2 g (k^2 + L^2)(L - h cos b - d sin b)), L^2 = d^2 + h^2; zero beyond static stability.
MCR_FN real tipping_speed(real support, real height, real gyration, real gravity, real lean) {
    SineCosine const b = sine_cosine(lean);
    real const reach = square_root(support * support + height * height);
    real const rise = reach - height * b.cosine - support * b.sine;
    bool const stable = lean < arctangent2(support, height);
    real const energy = real(2) * gravity * (gyration * gyration + reach * reach) * maximum(rise, real(0));
    return select(stable, square_root(energy) / height, real(0));
}

/// Stroke that absorbs the vertical energy: m v^2 / 2 = (F - m g) s.
MCR_FN real crush_stroke(Touchdown const& gear, real mass, real gravity, real speed) {
    real const net = maximum(gear.crush_force - mass * gravity, real(1));
    return real(0.5) * mass * speed * speed / net;
}

}  // namespace mcr
