#pragma once
/// The touchdown leg by leg: a rigid body on crushable legs, in steps of 1 ms from the first touch until it rests or has fallen.
/// Modelled: each leg elastic and damped up to its crush force (two stages, irreversible stroke, then elastic again), a foot
/// that sticks, slides (Coulomb) or is caught, a plane slope with a height of its own under each foot (roughness, rock, crater),
/// touch signals leg by leg and engine cut-off with tail-off, the lowest fixed part of the body against the ground.
/// Not modelled: bending and secondary struts, the load that friction puts along a strut, sinking, attitude jets and guidance
/// after the first touch (thrust stays as it was until the cut), the Moon's turn and curvature.
/// Sources: legs as elastic-plastic struts: Walton & Durling 1965, NASA TN D-2860; Rogers 1972, NASA TN D-6850 (Apollo);
/// stick and slip by a dragged spring: Cundall & Strack 1979, Geotechnique 29, 47.
#include "dynamics.h"
#include "pad.h"
#include "touchdown.h"
#include "watch.h"

namespace mcr {

constexpr real contact_step = real(1e-3);         ///< [s] of the touchdown.
constexpr int  contact_steps_max = 20000;         ///< [ms] after the first touch a lander that still moves is judged as it is.
constexpr int  rest_steps = 300;                  ///< [ms] of rest that end a touchdown.
constexpr real rest_speed = real(0.03);           ///< [m s^-1] a slower lander rests, if it does not get faster.
constexpr real calm_speed = real(0.001);          ///< [m s^-1] nor is that a rise.
constexpr real fallen_cosine = real(0.5);         ///< [] cosine of 60 deg from the vertical: fallen over.
constexpr real touch_force = real(20);            ///< [N] on a foot that a touch sensor feels.

/// How a touchdown stands.
enum class Settled : int {
    moving = 0,           ///< Still on the move.
    rests = 1,            ///< At rest on its legs.
    fallen = 2,           ///< Fallen over.
    spared = 3,           ///< Not simulated.
    restless = 4,         ///< On its legs, and still on the move 20 s after the first touch.
};

/// What does not change during one touchdown. Frame G: z along the normal of the slope, x down it.
struct Stance {
    Vec3 gravity_G;       // [m s^-2]
    Vec3 up_G;            // local vertical
    Vec3 inertia;         // [kg m^2] principal, about the centre of gravity
    Vec3 inertia_inverse;
    Vec3 cg_B;            // [m] centre of gravity from the engine mount
    Vec3 low_B;           // [m] lowest fixed part on the axis, from the centre of gravity
    real low_radius;      // [m] its radius
    real mass;            // [kg]
    real mass_inverse;
    real stiffness;       // [N m^-1] of one leg
    real damping;         // [N s m^-1] of one leg
    real friction;
    Flag caught;          // 1: no foot slides
    real crush_first;     // [N] axial crush force of one leg
    real crush_second;
    real stroke_first;    // [m] where the second begins
    real stroke_max;      // [m]
    real cant_cosine;     // of the struts
    real cant_sine;
    real main_thrust;     // [N] until the cut
    real ring_thrust;
    real main_decay;      // [] per step after it
    real ring_decay;
    int  cut_rule;        // a Cutoff
    int  cut_legs;        // [] touch signals that cut the engines
    real cut_shock;       // [m s^-2] acceleration that does
    int  cut_delay;       // [ms]
    int  cut_backup;      // [ms]
};

/// What moves.
struct Body {
    Vec3 position_G;      // [m] of the centre of gravity
    Vec3 velocity_G;
    Quat q_BG;
    Vec3 omega_BG_B;      // [rad s^-1]
    Vec3 force_G;         // [N] of the legs in this step
    Vec3 torque_B;        // [N m]
    real main_thrust;     // [N]
    real ring_thrust;
    int  signals;         // touch signals of this step
    int  pressed;         // feet of this step that a sensor at work would feel
    Flag unfelt;          // 1 once these would have called for a cut that the signals did not
    int  called;          // [ms] when a cut was called for; -1: not yet
    int  still;           // [ms] slow without a break
    real early;           // [m^2 s^-2] greatest square of the speed in the first half of them
    real late;            // in the second
    int  time;            // [ms]
    Settled settled;
    real stroke;          // [m] longest so far
    real load;            // [N] greatest axial load of a leg so far
    real crushed;         // [J] work of the crush forces
    real slide;           // [m] from the first touch
    real room;            // [m] least height of the lowest fixed part above the ground
    Flag exhausted;       // 1 once a leg had no stroke left
};

/// One leg.
struct Foot {
    Vec3 foot_B;          // [m] uncrushed, from the centre of gravity
    real outward_x;       // [] direction of the leg from the axis
    real outward_y;
    real ground;          // [m] height of the ground under it, less the error of its length
    Flag felt;            // 1 if its touch sensor works
    real stroke;          // [m]
    real anchor_x;        // [m] where it sticks
    real anchor_y;
};

/// Axes of G in S for the slope of this run.
struct Slope {
    Vec3 downhill_S;      // along the ground
    Vec3 level_S;         // along the ground, to the left of it
    Vec3 normal_S;
    Vec3 up_S;
};

MCR_FN Slope slope_of(Pad const& pad, Vec3 const& up_S, Vec3 const& forward_S) {
    SineCosine const slope = sine_cosine(pad.slope);
    SineCosine const azimuth = sine_cosine(pad.azimuth);
    Vec3 const toward_S = azimuth.cosine * forward_S + azimuth.sine * cross(up_S, forward_S);
    Vec3 const normal_S = slope.cosine * up_S + slope.sine * toward_S;
    Vec3 const downhill_S = slope.cosine * toward_S - slope.sine * up_S;
    return Slope{downhill_S, cross(normal_S, downhill_S), normal_S, up_S};
}

/// Whether the feet of a run that has ended are worth following: on the ground, slow enough, and not lost in flight.
MCR_FN bool is_landing(Params const& params, State const& state) {
    return all(params.world.touchdown.model == TouchdownModel::legs, state.ended == 1, state.events.first < 0,
               state.guidance.phase >= Phase::approach, norm(state.truth.velocity_S) <= crash_speed);
}

/// Constants of a touchdown. `tank`: fraction of the propellant left, `mass` of it all.
MCR_FN Stance stance_of(World const& world, Guidance const& guidance, Slope const& slope, real mass, real tank, real gravity,
                        bool caught, real main_thrust, real ring_thrust) {
    Touchdown const& gear = world.touchdown;
    MassProperties const body = mass_properties(world.vehicle, tank);
    real const legs = real_of(gear.legs);
    // a step of 1 ms bears 5 % of the stiffness at which it would run away on a mass of its own
    real const stiffness = minimum(gear.leg_stiffness, real(0.05) * mass / (contact_step * contact_step));
    SineCosine const cant = sine_cosine(gear.strut_cant);
    Stance s;
    s.up_G = Vec3{dot(slope.up_S, slope.downhill_S), dot(slope.up_S, slope.level_S), dot(slope.up_S, slope.normal_S)};
    s.gravity_G = -gravity * s.up_G;
    s.inertia = body.inertia;
    s.inertia_inverse = Vec3{real(1) / body.inertia.x, real(1) / body.inertia.y, real(1) / body.inertia.z};
    s.cg_B = body.cg_B;
    s.low_B = Vec3{-body.cg_B.x, -body.cg_B.y, gear.clearance - gear.cg_height};
    s.low_radius = gear.clearance_radius;
    s.mass = mass;
    s.mass_inverse = real(1) / mass;
    s.stiffness = stiffness;
    s.damping = real(2) * gear.leg_damping * square_root(stiffness * mass / legs);
    s.friction = gear.friction;
    s.caught = select(caught, 1, 0);
    s.crush_first = gear.crush_force / legs;
    s.crush_second = gear.crush_rise * s.crush_first;
    s.stroke_first = gear.crush_step * gear.stroke_max;
    s.stroke_max = gear.stroke_max;
    s.cant_cosine = cant.cosine;
    s.cant_sine = cant.sine;
    s.main_thrust = main_thrust;
    s.ring_thrust = ring_thrust;
    s.main_decay = exponential(-contact_step / maximum(world.propulsion.main.tail_off, real(1e-3)));
    s.ring_decay = exponential(-contact_step / maximum(world.propulsion.cluster.lag, real(1e-3)));
    s.cut_rule = static_cast<int>(guidance.cutoff);
    s.cut_legs = select(guidance.cutoff == Cutoff::legs, guidance.cutoff_legs, 1);
    s.cut_shock = guidance.cutoff_shock;
    s.cut_delay = to_int(guidance.cutoff_delay * real(1000), 0, contact_steps_max);
    s.cut_backup = to_int(guidance.cutoff_backup * real(1000), 0, contact_steps_max);
    return s;
}

/// Leg `number` before its first touch. `felt`: whether its touch sensor works.
MCR_FN Foot foot_of(World const& world, Legs const& legs, Stance const& stance, Normal4 const& n, int number, Flag felt) {
    Touchdown const& gear = world.touchdown;
    SineCosine const turn = sine_cosine(leg_direction(gear, legs, number));
    real const radius = gear.foot_radius * legs.reach[number];
    Foot foot;
    foot.foot_B = Vec3{fused(radius, turn.cosine, -stance.cg_B.x), fused(radius, turn.sine, -stance.cg_B.y),
                       -gear.cg_height - legs.drop[number]};
    foot.outward_x = turn.cosine;
    foot.outward_y = turn.sine;
    foot.ground = gear.leg_length_error * n.a + world.terrain.roughness * n.b;
    foot.felt = felt;
    foot.stroke = real(0);
    foot.anchor_x = real(0);
    foot.anchor_y = real(0);
    return foot;
}

/// Lifts the body until this foot does not reach below its ground; there it will stick.
MCR_FN void rest_on(Body& body, Foot& foot) {
    Vec3 const arm_G = rotate_inverse(body.q_BG, foot.foot_B);
    body.position_G.z = maximum(body.position_G.z, foot.ground - arm_G.z);
    foot.anchor_x = arm_G.x;
    foot.anchor_y = arm_G.y;
}

/// The body as it comes, its centre of gravity above the origin; its height is set by the first foot that touches.
MCR_FN Body body_of(Stance const& stance, Vec3 const& velocity_G, Quat const& q_BG, Vec3 const& omega_BG_B) {
    Vec3 const zero{real(0), real(0), real(0)};
    Body body;
    body.position_G = Vec3{real(0), real(0), real(-1e6)};
    body.velocity_G = velocity_G;
    body.q_BG = q_BG;
    body.omega_BG_B = omega_BG_B;
    body.force_G = zero;
    body.torque_B = zero;
    body.main_thrust = stance.main_thrust;
    body.ring_thrust = stance.ring_thrust;
    body.signals = 0;
    body.pressed = 0;
    body.unfelt = 0;
    bool const off = (stance.main_thrust + stance.ring_thrust) <= real(0);
    body.called = select(off, 0, -1);
    body.still = 0;
    body.early = real(0);
    body.late = real(0);
    body.time = 0;
    body.settled = Settled::moving;
    body.stroke = real(0);
    body.load = real(0);
    body.crushed = real(0);
    body.slide = real(0);
    body.room = real(1e6);
    body.exhausted = 0;
    return body;
}

/// Force and torque of one leg in this step; its stroke and its place on the ground follow.
MCR_FN void press(Stance const& stance, Body& body, Foot& foot) {
    Vec3 const strut_B{-stance.cant_sine * foot.outward_x, -stance.cant_sine * foot.outward_y, stance.cant_cosine};
    Vec3 const arm_B = fused(foot.stroke, strut_B, foot.foot_B);
    Vec3 const arm_G = rotate_inverse(body.q_BG, arm_B);
    Vec3 const strut_G = rotate_inverse(body.q_BG, strut_B);
    Vec3 const speed_G = body.velocity_G + rotate_inverse(body.q_BG, cross(body.omega_BG_B, arm_B));
    Vec3 const place_G = body.position_G + arm_G;
    real const depth = foot.ground - place_G.z;
    bool const touches = depth > real(0);

    // along the normal: elastic and damped, cut off at the crush force, which the stroke then takes up
    real const trial = maximum(fused(stance.stiffness, depth, -stance.damping * speed_G.z), real(0));
    real const lean = maximum(strut_G.z, real(0.2));
    real const left = stance.stroke_max - foot.stroke;
    real const crush = select(foot.stroke < stance.stroke_first, stance.crush_first, stance.crush_second);
    real const yield = crush / lean;
    real const give = (trial - yield) / ((stance.stiffness + stance.damping * (real(1) / contact_step)) * lean);
    bool const yields = touches & (trial > yield);
    real const crushed = select(yields, minimum(give, left), real(0));
    bool const bottomed = yields & (give >= left);
    real const normal = select(touches, select(yields & !bottomed, yield, trial), real(0));
    foot.stroke = foot.stroke + crushed;

    // along the ground: a spring to where the foot sticks, dragged along when friction cannot hold it
    real const pull_x = fused(-stance.stiffness, place_G.x - foot.anchor_x, -stance.damping * speed_G.x);
    real const pull_y = fused(-stance.stiffness, place_G.y - foot.anchor_y, -stance.damping * speed_G.y);
    real const pull = square_root(pull_x * pull_x + pull_y * pull_y);
    real const hold = stance.friction * normal;
    bool const slips = (pull > hold) & (stance.caught == 0);
    real const share = select(touches, select(slips, hold / maximum(pull, real(1e-6)), real(1)), real(0));
    real const drag_x = share * pull_x;
    real const drag_y = share * pull_y;
    real const inverse = real(1) / stance.stiffness;
    real const dragged_x = place_G.x + inverse * fused(stance.damping, speed_G.x, drag_x);
    real const dragged_y = place_G.y + inverse * fused(stance.damping, speed_G.y, drag_y);
    foot.anchor_x = select(touches, select(slips, dragged_x, foot.anchor_x), place_G.x);
    foot.anchor_y = select(touches, select(slips, dragged_y, foot.anchor_y), place_G.y);

    Vec3 const force_G{drag_x, drag_y, normal};
    Vec3 const force_B = rotate(body.q_BG, force_G);
    body.force_G = body.force_G + force_G;
    body.torque_B = body.torque_B + cross(arm_B, force_B);
    int const presses = select(normal > touch_force, 1, 0);
    body.pressed = body.pressed + presses;
    body.signals = body.signals + select(foot.felt == 1, presses, 0);
    body.stroke = maximum(body.stroke, foot.stroke);
    body.load = maximum(body.load, dot(force_G, strut_G));
    body.crushed = fused(crush, crushed, body.crushed);
    body.exhausted = select(bottomed, 1, body.exhausted);
}

/// One step of the body under its legs, thrust and gravity; semi-implicit (Euler-Cromer). Then: cut-off, rest, fall.
MCR_FN void move(Stance const& stance, Body& body) {
    Vec3 const thrust_B{real(0), real(0), body.main_thrust + body.ring_thrust};
    Vec3 const total_G = body.force_G + rotate_inverse(body.q_BG, thrust_B);
    Vec3 const torque_B = body.torque_B - cross(stance.cg_B, thrust_B);
    Vec3 const omega = body.omega_BG_B;
    Vec3 const alpha = scale(stance.inertia_inverse, torque_B - cross(omega, scale(stance.inertia, omega)));
    body.velocity_G = fused(contact_step, fused(stance.mass_inverse, total_G, stance.gravity_G), body.velocity_G);
    body.omega_BG_B = fused(contact_step, alpha, omega);
    body.position_G = fused(contact_step, body.velocity_G, body.position_G);
    Vec3 const half = (real(0.5) * contact_step) * body.omega_BG_B;
    Quat const spun{real(1), clamp(half.x, real(-0.5), real(0.5)), clamp(half.y, real(-0.5), real(0.5)), clamp(half.z, real(-0.5), real(0.5))};
    body.q_BG = normalise(multiply(body.q_BG, spun));

    // engines
    real const felt = norm(body.force_G) * stance.mass_inverse;
    bool const by_legs = (stance.cut_rule != static_cast<int>(Cutoff::shock)) & (body.signals >= stance.cut_legs);
    bool const by_shock = (stance.cut_rule == static_cast<int>(Cutoff::shock)) & (felt >= stance.cut_shock);
    bool const by_time = body.time >= stance.cut_backup;
    bool const due = (stance.cut_rule != static_cast<int>(Cutoff::shock)) & (body.pressed >= stance.cut_legs);
    body.unfelt = select((body.called < 0) & due & !by_legs, 1, body.unfelt);
    body.called = select((body.called < 0) & (by_legs | by_shock | by_time), body.time, body.called);
    bool const off = (body.called >= 0) & (body.time >= body.called + stance.cut_delay);
    body.main_thrust = select(off, body.main_thrust * stance.main_decay, body.main_thrust);
    body.ring_thrust = select(off, body.ring_thrust * stance.ring_decay, body.ring_thrust);

    // lowest fixed part: a disk about the axis
    Vec3 const axis_G = rotate_inverse(body.q_BG, Vec3{real(0), real(0), real(1)});
    real const level = square_root(maximum(real(1) - axis_G.z * axis_G.z, real(0)));
    real const room = body.position_G.z + rotate_inverse(body.q_BG, stance.low_B).z - stance.low_radius * level;
    body.room = minimum(body.room, room);
    body.slide = square_root(body.position_G.x * body.position_G.x + body.position_G.y * body.position_G.y);

    // rest or fall
    real const spin = dot(omega, scale(stance.inertia, omega)) * stance.mass_inverse;
    real const speed2 = norm_squared(body.velocity_G) + spin;
    bool const slow = speed2 < rest_speed * rest_speed;
    bool const carried = body.force_G.z > real(0.5) * stance.mass * absolute(stance.gravity_G.z);
    bool const starts = body.still == 0;
    bool const first_half = body.still < rest_steps / 2;
    body.early = select(starts, speed2, select(first_half, maximum(body.early, speed2), body.early));
    body.late = select(first_half, real(0), maximum(body.late, speed2));
    body.still = select(slow & carried & off, body.still + 1, 0);
    bool const calm = body.late <= maximum(body.early, calm_speed * calm_speed);
    bool const rests = (body.still >= rest_steps) & calm;
    body.still = select(body.still >= rest_steps, 0, body.still);
    bool const fallen = dot(axis_G, stance.up_G) < fallen_cosine;
    body.time = body.time + 1;
    bool const over = body.time >= contact_steps_max;
    Settled verdict = over ? Settled::restless : body.settled;
    verdict = rests ? Settled::rests : verdict;
    body.settled = fallen ? Settled::fallen : verdict;
    body.force_G = Vec3{real(0), real(0), real(0)};
    body.torque_B = body.force_G;
    body.signals = 0;
    body.pressed = 0;
}

/// A touchdown under way.
struct Touch {
    Stance stance;
    Body body;
    Foot foot[legs_most];
};

/// Height of rock and crater under foot `number` above the plane of the pad, along its normal. It stays the foot's if that slides.
MCR_FN real rise_under(World const& world, Pad const& pad, Draws const& draws, Touch const& touch, int number) {
    Vec3 const arm_G = rotate_inverse(touch.body.q_BG, touch.foot[number].foot_B);
    real const cosine = touch.stance.up_G.z;
    SineCosine const azimuth = sine_cosine(pad.azimuth);
    real const down = cosine * arm_G.x;
    real const crater = crater_excess(pad.crater, azimuth.cosine * down - azimuth.sine * arm_G.y,
                                      azimuth.sine * down + azimuth.cosine * arm_G.y);
    return cosine * crater + rock_rise(world.terrain, foot_density(pad, world.touchdown, draws, number));
}

/// The first touch of a run that has ended: its lowest foot on its ground.
MCR_FN void begin_touchdown(Params const& params, Surface const& surface, Run const& run, State const& state,
                            Draws const& draws, Touch& touch) {
    Truth const& truth = state.truth;
    World const& world = run.world;
    Bearings const b = bearings_of(world.gravity, world.touchdown.cg_height, truth.position_S, truth.velocity_S);
    Pad pad = pad_at(surface, world.terrain, world.gravity, world.touchdown, draws, truth.position_S);
    MCR_SETTLE(pad);
    Slope const slope = slope_of(pad, unit(from_centre(world.gravity, truth.position_S)), b.forward);
    real const tank = truth.engines.propellant / world.propulsion.propellant + world.propulsion.residual;
    bool const wet = truth.engines.propellant > real(0);
    Failing const& failing = state.failing;
    real const engines = real_of(world.propulsion.cluster.count) - failing.ring_loss;
    real const ring = state.guidance.duty * maximum(engines, real(0)) * world.propulsion.cluster.thrust * failing.thrust_gain;
    real const main = truth.engines.main * failing.main_nozzle * failing.thrust_gain;
    Uniform4 const chance = uniforms(draws, Stream::touchdown, 0u);
    touch.stance = stance_of(world, params.onboard.guidance, slope, mass_of(world, truth), clamp(tank, real(0), real(1)),
                             norm(point_mass(world.gravity, truth.position_S)), chance.a < world.touchdown.foot_caught,
                             select(wet, main, real(0)), select(wet, ring, real(0)));
    MCR_SETTLE(touch);
    Quat const q_GS = from_axes(slope.downhill_S, slope.level_S, slope.normal_S);
    touch.body = body_of(touch.stance, rotate(q_GS, truth.velocity_S), compose(truth.q_BS, conjugate(q_GS)), truth.omega_BN_B);
    touch.body.settled = is_landing(params, state) ? Settled::moving : Settled::spared;
    int const legs = params.world.touchdown.legs;
    for (int k = 0; k < legs; ++k) {
        MCR_SETTLE(touch);
        Flag const silent = failing.touch_silent * params.faults.touch_silent_legs[k];
        Flag const felt = (1 - failing.touch_missed) * (1 - silent);
        touch.foot[k] = foot_of(world, params.legs, touch.stance, normals(draws, Stream::touchdown, 1u + static_cast<unsigned>(k)),
                                k, felt);
        MCR_SETTLE(touch);
        MCR_SETTLE(pad);
        touch.foot[k].ground = touch.foot[k].ground + rise_under(world, pad, draws, touch, k);
        rest_on(touch.body, touch.foot[k]);
    }
}

/// A first touch as stated, and not as flown.
struct FirstTouch {
    real descent_rate;      ///< [m s^-1] Downward speed, along the local vertical.
    real horizontal_speed;  ///< [m s^-1] Speed across it.
    real heading;           ///< [rad] Direction of that speed, from downhill toward the left of it.
    real slope;             ///< [rad] Slope of the ground.
    real yaw;               ///< [rad] Direction of body x, from downhill toward the left of it.
    real tilt;              ///< [rad] Angle between thrust axis and local vertical.
    real tilt_heading;      ///< [rad] Direction to which the top leans, from downhill toward the left of it.
    real tilt_rate;         ///< [rad s^-1] Rate at which that lean grows.
    real friction;          ///< [] Friction coefficient between foot and ground.
    real caught;            ///< [] 1 if no foot can slide, else 0.
    real thrust;            ///< [N] Thrust until the engines are cut.
    real tank;              ///< [] Fraction of the main propellant left.
};

/// The first touch of a lander of these Params in a stated way; ground and legs have their nominal heights.
MCR_FN void begin_touchdown(Params const& params, FirstTouch const& first, Touch& touch) {
    World const& world = params.world;
    SineCosine const slope = sine_cosine(first.slope);
    SineCosine const heading = sine_cosine(first.heading);
    SineCosine const lean = sine_cosine(first.tilt_heading);
    // axes of G in a level frame H: x toward the fall line, z up
    Slope const ground{Vec3{slope.cosine, real(0), -slope.sine}, Vec3{real(0), real(1), real(0)},
                       Vec3{slope.sine, real(0), slope.cosine}, Vec3{real(0), real(0), real(1)}};
    Quat const q_GH = from_axes(ground.downhill_S, ground.level_S, ground.normal_S);
    Vec3 const axis_H{-lean.sine, lean.cosine, real(0)};  // about which the lander leans
    Quat const q_leaned = from_rotation_vector(first.tilt * axis_H);
    Quat const q_BH = compose(from_rotation_vector(Vec3{real(0), real(0), first.yaw}), q_leaned);
    Vec3 const velocity_H{first.horizontal_speed * heading.cosine, first.horizontal_speed * heading.sine, -first.descent_rate};
    World chosen = world;
    chosen.touchdown.friction = first.friction;
    real const used = world.propulsion.propellant * (real(1) - clamp(first.tank, real(0), real(1)));
    real const mass = world.vehicle.mass_dry + world.propulsion.propellant + world.rcs.propellant - used;
    real const level = point_mass(world.gravity, Vec3{real(0), real(0), real(0)}).z;
    touch.stance = stance_of(chosen, params.onboard.guidance, ground, mass, clamp(first.tank, real(0), real(1)), -level,
                             first.caught > real(0), first.thrust, real(0));
    touch.body = body_of(touch.stance, rotate(q_GH, velocity_H), compose(q_BH, conjugate(q_GH)),
                         rotate(q_BH, first.tilt_rate * axis_H));
    int const legs = world.touchdown.legs;
    for (int k = 0; k < legs; ++k) {
        touch.foot[k] = foot_of(chosen, params.legs, touch.stance, Normal4{real(0), real(0), real(0), real(0)}, k, 1);
        rest_on(touch.body, touch.foot[k]);
    }
}

/// How a stated touchdown ended.
struct Landing {
    Settled settled;        ///< [] How it ended.
    int  exhausted;         ///< [] 1 if a leg had no stroke left.
    real time;              ///< [s] From the first touch to rest or fall.
    real stroke;            ///< [m] Longest stroke of a leg.
    real load;              ///< [N] Greatest axial load of a leg.
    real crushed;           ///< [J] Work of the crush forces.
    real slide;             ///< [m] Way of the centre of gravity along the ground.
    real room;              ///< [m] Least height of the lowest fixed part above the ground.
    real rest_tilt;         ///< [rad] Angle between thrust axis and local vertical at the end.
    real speed;             ///< [m s^-1] Speed at the end.
};

MCR_FN Landing landing_of(Touch const& touch) {
    Body const& body = touch.body;
    Vec3 const axis_G = rotate_inverse(body.q_BG, Vec3{real(0), real(0), real(1)});
    Vec3 const up_G = touch.stance.up_G;
    return Landing{body.settled, body.exhausted, contact_step * real_of(body.time), body.stroke, body.load, body.crushed,
                   body.slide, body.room, arctangent2(norm(cross(axis_G, up_G)), dot(axis_G, up_G)), norm(body.velocity_G)};
}

/// From the first touch to rest or fall.
MCR_FN void end_touchdown(Params const& params, Touch& touch) {
    int const legs = params.world.touchdown.legs;
    while (touch.body.settled == Settled::moving) {
        MCR_SETTLE(touch);
        for (int k = 0; k < legs; ++k) press(touch.stance, touch.body, touch.foot[k]);
        move(touch.stance, touch.body);
    }
}

/// The touchdown of one run.
MCR_FN void touch_down(Params const& params, Surface const& surface, Run const& run, State const& state, Draws const& draws,
                       Touch& touch) {
    begin_touchdown(params, surface, run, state, draws, touch);
    end_touchdown(params, touch);
}

}  // namespace mcr
