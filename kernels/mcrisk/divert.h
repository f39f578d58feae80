#pragma once
/// The map of hazards and the new target, once in a run: each cell within reach is a hazard or not by its pad (pad.h), is seen or
/// mistaken by an addressed draw of its own, and the nearest that looks safe becomes the target. What the sensor finds lies where it
/// sees it from the lander: the navigation error at that time does not matter, what it grows by afterwards does.
/// Source: budgets by the linear profile of guidance.h: a displacement d in a time T takes accelerations up to 6 d / T^2 and a velocity
/// change of 3 d / T (Cherry 1964).
#include "pad.h"
#include "state.h"

namespace mcr {

constexpr int map_half_most = 31;  ///< [] cells from the middle of a map to its edge, at most: a row is one word.
constexpr int margin_most = 2;     ///< [] cells around a target that are looked at.

/// Whether a run takes its map now.
MCR_FN bool is_map_due(Params const& params, State const& state) {
    real const height = sphere_height(params.world.gravity.radius, state.estimate.position_S) - params.world.touchdown.cg_height;
    return all(params.onboard.hazards.fitted == 1, state.guidance.phase == Phase::approach,
               state.guidance.mapped == Mapped::not_yet, state.failing.computer_down == 0, height <= params.onboard.hazards.height);
}

MCR_FN real distance_of(GridPoint const& a, GridPoint const& b) {
    return square_root((a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y));
}

/// Takes the map and moves the target.
MCR_FN void divert(Params const& params, Surface const& surface, Run const& run, State& state, Draws const& draws) {
    Hazards const& hazards = params.onboard.hazards;
    Guidance const& law = params.onboard.guidance;
    World const& world = run.world;
    World const& nominal = params.world;
    GuidanceMemory& memory = state.guidance;
    Estimate const& estimate = state.estimate;
    Bearings const b = bearings_of(nominal.gravity, nominal.touchdown.cg_height, estimate.position_S, estimate.velocity_S);
    Reference const reference = reference_at(law, b.height);
    Vec3 const free_S = believed_acceleration(nominal.gravity, estimate.position_S, estimate.velocity_S);
    real const full = memory.thrust_scale * thrust_available(nominal.propulsion, memory) / memory.mass;
    Authority const has = authority_of(law, reference, lift_wanted(law, reference, b, free_S, full), full);

    // from a speed v to rest within T at accelerations up to a, the places within (a T^2 - v^2 / a) / 4 of v T / 2 ahead can be
    // reached (bang-bang control of a double integrator), and none farther than speed_to lets it go; the target, or of these places
    // the nearest to it, is the middle of the map
    real const time = maximum(has.time - real(0.5) * has.time_late, real(5));
    real const speed2 = b.forward_speed * b.forward_speed + estimate.velocity_S.y * estimate.velocity_S.y;
    real const speed = square_root(speed2);
    real const half = real(0.5) * time * speed;
    real const farthest = way_until(law, has, speed);
    real const part = minimum(farthest / maximum(half, real(1e-3)), real(1));
    real const turn = real(0.25) * (has.early * time * time - speed2 / maximum(has.early, real(1e-3)));
    real const reach = maximum(maximum(turn, real(0.05) * minimum(half, farthest)), real(0));
    real const drift_ahead = part * real(0.5) * time * b.forward_speed;
    real const drift_aside = part * real(0.5) * time * estimate.velocity_S.y;
    real const beside_ahead = memory.target_x + b.range - drift_ahead;
    real const beside_aside = memory.target_y - estimate.position_S.y - drift_aside;
    real const beside = square_root(beside_ahead * beside_ahead + beside_aside * beside_aside);
    real const kept = minimum(reach / maximum(beside, real(1e-3)), real(1));

    // the same from the true place, which is what the sensor sees
    GridPoint const here = grid_point(world.gravity, state.truth.position_S);
    GridPoint const aim{here.x + drift_ahead + kept * beside_ahead, here.y + drift_aside + kept * beside_aside};

    // believed propellant left that can be used: what hovering and stopping take, at most, and what the way aside takes
    real const unusable = nominal.propulsion.residual * nominal.propulsion.propellant;
    real const fuel = memory.mass - nominal.vehicle.mass_dry - unusable - nominal.rcs.propellant;
    real const exhaust = exhaust_speed(nominal.propulsion);
    real const descent = norm(free_S) * reference.time + norm(estimate.velocity_S);

    // the map: a bit for each cell, set where it looks safe
    int const half_width = to_int(hazards.radius / maximum(world.terrain.cell, real(1e-3)), 0, map_half_most - margin_most - 1) + 1;
    int const margin = clamp(hazards.margin, 0, margin_most);
    int const side = half_width + margin;
    int const middle_x = cell_index(world.terrain, aim.x);
    int const middle_y = cell_index(world.terrain, aim.y);
    Shape const shape = shape_of(surface, world.terrain);
    uint64 safe[2 * map_half_most + 1];
    for (int i = -side; i <= side; ++i) {
        uint64 row = 0;
        for (int j = -side; j <= side; ++j) {
            Pad pad = pad_of_cell(surface, world.terrain, world.touchdown, draws, middle_x + i, middle_y + j, shape);
            if (shape == Shape::grid) {
                pad.slope = maximum(pad.slope, steepest_of_cell(surface, world.terrain, world.touchdown, draws, middle_x + i,
                                                                middle_y + j, shape));
            }
            real const chance = uniforms(draws, Stream::hazards, pad.cell).a;
            bool const looks_safe = select(is_hazard(pad, hazards.slope_limit, hazards.rock_limit), chance >= hazards.detection,
                                           chance >= hazards.false_alarm);
            row |= static_cast<uint64>(looks_safe ? 1 : 0) << (j + side);
        }
        safe[i + side] = row;
    }

    // the nearest cell with safe neighbours; with fewer of them where there is none
    real nearest = real(1e9);
    GridPoint chosen = aim;
    for (int around = margin; around >= 0 && nearest > real(1e8); --around) {
        for (int i = -half_width; i <= half_width; ++i) {
            uint64 row = safe[i + side];
            for (int k = 1; k <= around; ++k) row &= safe[i + side - k] & safe[i + side + k];
            for (int j = -half_width; j <= half_width; ++j) {
                GridPoint const cell{world.terrain.cell * (real_of(middle_x + i) + real(0.5)),
                                     world.terrain.cell * (real_of(middle_y + j) + real(0.5))};
                real const distance = distance_of(cell, aim);
                real const way = distance_of(cell, GridPoint{here.x + drift_ahead, here.y + drift_aside});
                real const cost = real(3) * distance / time;
                bool const own = (i == 0) & (j == 0);
                bool const within = all((all(distance <= hazards.radius, way <= reach)) | own, cost <= hazards.delta_v,
                                        fuel - memory.mass * (descent + cost) / exhaust >= hazards.reserve);
                uint64 const wanted = ((uint64(2) << (2 * around)) - 1) << (j + side - around);
                bool const better = all(within, (row & wanted) == wanted, distance < nearest);
                nearest = select(better, distance, nearest);
                chosen.x = select(better, cell.x, chosen.x);
                chosen.y = select(better, cell.y, chosen.y);
            }
        }
    }
    bool const found = nearest < real(1e8);
    Normal4 const n = normals(draws, Stream::hazards, 0u);  // no cell has this number
    real const moved_x = chosen.x - here.x - b.range - memory.target_x + hazards.error * n.a;
    real const moved_y = chosen.y - here.y + estimate.position_S.y - memory.target_y + hazards.error * n.b;
    memory.target_x = select(found, memory.target_x + moved_x, memory.target_x);
    memory.target_y = select(found, memory.target_y + moved_y, memory.target_y);
    memory.mapped = found ? Mapped::safe : Mapped::none;
    state.events.divert = select(found, square_root(moved_x * moved_x + moved_y * moved_y), real(0));
    state.events.chosen_x = cell_index(world.terrain, chosen.x);
    state.events.chosen_y = cell_index(world.terrain, chosen.y);
}

}  // namespace mcr
