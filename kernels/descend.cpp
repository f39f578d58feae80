/// CPU entry: loops over runs and ticks, nothing else. Built once per instruction set; a tile of runs is stored as columns
/// on the stack and each block of the descent is one loop over its lanes.
///
/// The idiom that vectorises under g++ 12 and clang 19: the loop body is one call to an always-inline function of
/// (tile, lane) that copies the words of the state in an unrolled loop, casts them to the state, runs the block and copies the
/// words back. What the whole tile shares (which blocks a tick runs) is decided outside the loop. Inside it everything must
/// end as words in registers and every choice as a select. So, in the headers: structs travel by reference or as results,
/// never as arguments; an index is a constant once loops are unrolled (no `? :` in its formula); no struct in the state has a
/// bool; `? :` chooses between values, never between two places in memory; a named vector that becomes a member of a result is
/// not const (g++ 12 keeps const structs in memory: copied field by field that is harmless, as a whole it is not). The rest
/// is in portable.h: a calling convention for clang, four passes off for g++. A test counts packed instructions.
#include <stddef.h>

#include "mcrisk/descent.h"
#include "mcrisk/peak.h"
#include "mcrisk/tally.h"

static_assert(sizeof(mcr::Params) == MCR_PARAMS_BYTES,
              "the layout of Params differs from what schema.py read in the headers");

#if defined(__clang__)
#define MCR_BLOCK __attribute__((noinline, force_align_arg_pointer)) void
#else
#define MCR_BLOCK __attribute__((noinline)) void
#endif
#define MCR_EXPORT extern "C" __attribute__((visibility("default")))
#if defined(__clang__) && defined(__AVX512F__)
#define MCR_LANES _Pragma("clang loop vectorize(assume_safety) vectorize_width(16) interleave_count(1)")
#elif defined(__clang__)
#define MCR_LANES _Pragma("clang loop vectorize(assume_safety) vectorize_width(8) interleave_count(1)")
#else
#define MCR_LANES _Pragma("omp simd")
#endif
#ifndef MCR_BUILD
#define MCR_BUILD "unknown build"
#endif

namespace mcr {
namespace {

#if defined(__x86_64__)
/// Default floating-point mode for the length of a call: another library may have set flush-to-zero in this thread.
struct DefaultRounding {
    unsigned saved;
    DefaultRounding() : saved(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(0x1f80); }
    ~DefaultRounding() { __builtin_ia32_ldmxcsr(saved); }
};
#else
struct DefaultRounding {
    DefaultRounding() {}
    ~DefaultRounding() {}
};
#endif

// Compiled once each for the scalar twin, the ends of a tile and the replay: they are half of all the code.
MCR_BLOCK begin_run(Params const& params, Run& run, State& state, Draws const& draws) { state = begin(params, run, draws); }
MCR_BLOCK tick_run(Params const& params, Surface const& surface, Run const& run, State& state, Draws const& draws, int tick) {
    fly_tick(params, surface, run, state, draws, tick);
}
MCR_BLOCK divert_run(Params const& params, Surface const& surface, Run const& run, State& state, Draws const& draws) {
    divert(params, surface, run, state, draws);
}
MCR_BLOCK report_run(Params const& params, Surface const& surface, Run const& run, State const& state, Body const& body,
                     Draws const& draws, Record& record) {
    record = report(params, surface, run, state, body, draws);
}
MCR_BLOCK begin_touchdown_run(Params const& params, Surface const& surface, Run const& run, State const& state,
                              Draws const& draws, Touch& touch) {
    begin_touchdown(params, surface, run, state, draws, touch);
}
MCR_BLOCK end_touchdown_run(Params const& params, Touch& touch) { end_touchdown(params, touch); }

#if !defined(MCR_REAL_DOUBLE) && !defined(MCR_REAL_COUNTING)
#define MCR_TILES
#endif
#ifdef MCR_TILES
constexpr int tile_width = 16;  ///< runs per tile: one AVX-512 register of floats.

/// Some words of a struct in a row.
struct Part {
    int first;
    int count;
};
#define MCR_PART(type, member) \
    Part { static_cast<int>(offsetof(type, member) / 4), static_cast<int>(sizeof(type::member) / 4) }

/// One struct per lane, stored word by word.
template <class T>
struct Columns {
    static constexpr int words = static_cast<int>(sizeof(T) / 4);
    static_assert(sizeof(T) % 4 == 0, "only structs of four-byte words can be stored as columns");
    struct Block {
        unsigned word[words];
    };
    alignas(64) unsigned column[words][tile_width];

    MCR_MEMBER T load(int lane) const {
        Block block;
        MCR_UNROLL(512)
        for (int w = 0; w < words; ++w) block.word[w] = column[w][lane];
        return bits_as<T>(block);
    }
    MCR_MEMBER void store(int lane, T const& value) {
        Block const block = bits_as<Block>(value);
        MCR_UNROLL(512)
        for (int w = 0; w < words; ++w) column[w][lane] = block.word[w];
    }
    /// Stores the named parts alone: clang would write back every word, changed or not.
    template <class... Parts>
    MCR_MEMBER void store(int lane, T const& value, Parts... parts) {
        Block const block = bits_as<Block>(value);
        (store_part(lane, block, parts), ...);
    }
    /// The same where `open` is 1; elsewhere the old words stay.
    template <class... Parts>
    MCR_MEMBER void store_where(Flag open, int lane, T const& value, Parts... parts) {
        Block const block = bits_as<Block>(value);
        (store_part_where(open, lane, block, parts), ...);
    }
    MCR_MEMBER void store_part_where(Flag open, int lane, Block const& block, Part part) {
        MCR_UNROLL(512)
        for (int w = 0; w < part.count; ++w) {
            column[part.first + w][lane] = select(open == 1, block.word[part.first + w], column[part.first + w][lane]);
        }
    }
    MCR_MEMBER void store_part(int lane, Block const& block, Part part) {
        MCR_UNROLL(512)
        for (int w = 0; w < part.count; ++w) column[part.first + w][lane] = block.word[part.first + w];
    }
};

constexpr Part truth_words = MCR_PART(State, truth);
constexpr Part imu_words = MCR_PART(State, imu);
constexpr Part estimate_words = MCR_PART(State, estimate);
constexpr Part navigation_words = MCR_PART(State, navigation);
constexpr Part guidance_words = MCR_PART(State, guidance);
constexpr Part command_words = MCR_PART(State, command);
constexpr Part events_words = MCR_PART(State, events);
constexpr Part failing_words = MCR_PART(State, failing);
constexpr Part rate_words = MCR_PART(State, rate_B);
constexpr Part ended_words = MCR_PART(State, ended);
constexpr Part tick_words = MCR_PART(State, tick);

struct Tile {
    Columns<State> state;
    Columns<Run> run;
    alignas(64) Flag altimeter[tile_width];    ///< whether the sensor can give a sample to this lane
    alignas(64) Flag velocimeter[tile_width];
    alignas(64) Flag camera[tile_width];
    alignas(64) Flag struck[tile_width];       ///< whether any fault strikes this lane
    Columns<Stance> stance;                    ///< the touchdown, once every lane has ended
    Columns<Body> body;
    Columns<Foot> foot[legs_most];
    unsigned key_low, key_high;
    alignas(64) unsigned run_low[tile_width];
    alignas(64) unsigned run_high[tile_width];

    MCR_MEMBER Draws draws(int lane) const { return Draws{key_low, key_high, run_low[lane], run_high[lane]}; }
};

/// `struck`: not false where a fault may have stopped the computer of a run: its words then stay as they are.
template <bool struck>
MCR_FN void lane_guide(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    Flag const up = 1 - state.failing.computer_down;
    do_guide(params, state, tick);
    if (struck) {
        tile.state.store_where(up, lane, state, guidance_words);
    } else {
        tile.state.store(lane, state, guidance_words);
    }
}
MCR_FN void lane_fail(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    do_fail(params, tile.run.load(lane), state, tick);
    tile.state.store(lane, state, failing_words, guidance_words, command_words, events_words);
}
template <bool struck>
MCR_FN void lane_control(Tile& tile, Params const& params, int lane) {
    State state = tile.state.load(lane);
    Flag const up = 1 - state.failing.computer_down;
    do_control(params, state);
    if (struck) {
        tile.state.store_where(up, lane, state, guidance_words, command_words);
    } else {
        tile.state.store(lane, state, guidance_words, command_words);
    }
}
MCR_FN void lane_propagate(Tile& tile, Params const& params, int tick, int index, int lane) {
    State state = tile.state.load(lane);
    do_propagate(params, tile.run.load(lane), state, tick, index);
    tile.state.store(lane, state, truth_words);
}
template <bool covariance, bool struck>
MCR_FN void lane_integrate(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    Flag const up = 1 - state.failing.computer_down;
    do_sense(tile.run.load(lane), state, tile.draws(lane), tick);
    do_integrate(params, state, tick, covariance);
    tile.state.store(lane, state, truth_words, imu_words);
    if (struck) {
        tile.state.store_where(up, lane, state, estimate_words, navigation_words, guidance_words, rate_words);
    } else {
        tile.state.store(lane, state, estimate_words, navigation_words, guidance_words, rate_words);
    }
}
template <bool altimeter_due>
MCR_FN void lane_look(Tile& tile, Params const& params, int lane) {
    State state = tile.state.load(lane);
    Outlook const outlook = look(params, tile.run.load(lane), state, altimeter_due);
    tile.altimeter[lane] = outlook.altimeter;
    tile.velocimeter[lane] = outlook.velocimeter;
    tile.camera[lane] = outlook.camera;
    tile.state.store(lane, state, events_words);
}
template <Shape shape, bool mapped>
MCR_FN void lane_altimeter(Tile& tile, Params const& params, Surface const& surface, int tick, int lane) {
    State state = tile.state.load(lane);
    do_altimeter(params, surface, tile.run.load(lane), state, tile.draws(lane), tick, shape, mapped);
    tile.state.store_where(tile.altimeter[lane], lane, state, estimate_words, navigation_words, events_words);
}
template <Shape shape>
MCR_FN void lane_velocimeter(Tile& tile, Params const& params, Surface const& surface, int tick, int lane) {
    State state = tile.state.load(lane);
    do_velocimeter(params, surface, tile.run.load(lane), state, tile.draws(lane), tick, shape);
    tile.state.store_where(tile.velocimeter[lane], lane, state, estimate_words, navigation_words, events_words);
}
MCR_FN void lane_camera(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    do_camera(params, tile.run.load(lane), state, tile.draws(lane), tick);
    tile.state.store_where(tile.camera[lane], lane, state, estimate_words, navigation_words, events_words);
}
MCR_FN void lane_drift(Tile& tile, int tick, int lane) {
    State state = tile.state.load(lane);
    do_drift(tile.run.load(lane), state, tile.draws(lane), tick);
    tile.state.store(lane, state, truth_words, imu_words);
}
template <Shape shape>
MCR_FN void lane_watch(Tile& tile, Params const& params, Surface const& surface, int tick, int lane) {
    State state = tile.state.load(lane);
    do_watch(params, surface, tile.run.load(lane), state, tick, shape);
    tile.state.store(lane, state, truth_words, guidance_words, events_words, ended_words, tick_words);
}

MCR_BLOCK guide_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_guide<false>(tile, params, tick, lane);
}
MCR_BLOCK guide_struck_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_guide<true>(tile, params, tick, lane);
}
MCR_BLOCK fail_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_fail(tile, params, tick, lane);
}
MCR_BLOCK control_tile(Tile& tile, Params const& params) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_control<false>(tile, params, lane);
}
MCR_BLOCK control_struck_tile(Tile& tile, Params const& params) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_control<true>(tile, params, lane);
}
MCR_BLOCK propagate_tile(Tile& tile, Params const& params, int tick, int index) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_propagate(tile, params, tick, index, lane);
}
MCR_BLOCK integrate_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_integrate<false, false>(tile, params, tick, lane);
}
MCR_BLOCK integrate_struck_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_integrate<false, true>(tile, params, tick, lane);
}
MCR_BLOCK integrate_filter_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_integrate<true, false>(tile, params, tick, lane);
}
MCR_BLOCK integrate_filter_struck_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_integrate<true, true>(tile, params, tick, lane);
}
MCR_BLOCK look_tile(Tile& tile, Params const& params) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_look<true>(tile, params, lane);
}
MCR_BLOCK look_elsewhere_tile(Tile& tile, Params const& params) {  // the altimeter is not due
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_look<false>(tile, params, lane);
}
MCR_BLOCK altimeter_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_altimeter<Shape::sphere, false>(tile, params, surface, tick, lane);
}
MCR_BLOCK altimeter_formula_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_altimeter<Shape::formula, false>(tile, params, surface, tick, lane);
}
MCR_BLOCK altimeter_formula_map_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_altimeter<Shape::formula, true>(tile, params, surface, tick, lane);
}
MCR_BLOCK altimeter_grid_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_altimeter<Shape::grid, false>(tile, params, surface, tick, lane);
}
MCR_BLOCK altimeter_grid_map_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_altimeter<Shape::grid, true>(tile, params, surface, tick, lane);
}
MCR_BLOCK velocimeter_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_velocimeter<Shape::sphere>(tile, params, surface, tick, lane);
}
MCR_BLOCK velocimeter_grid_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_velocimeter<Shape::grid>(tile, params, surface, tick, lane);
}
MCR_BLOCK camera_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_camera(tile, params, tick, lane);
}
MCR_BLOCK drift_tile(Tile& tile, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_drift(tile, tick, lane);
}
MCR_BLOCK watch_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_watch<Shape::sphere>(tile, params, surface, tick, lane);
}
MCR_BLOCK watch_formula_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_watch<Shape::formula>(tile, params, surface, tick, lane);
}
MCR_BLOCK watch_grid_tile(Tile& tile, Params const& params, Surface const& surface, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_watch<Shape::grid>(tile, params, surface, tick, lane);
}

constexpr Part settled_words = MCR_PART(Body, settled);
constexpr Part body_words{0, Columns<Body>::words};
constexpr Part pressed_words{static_cast<int>(offsetof(Body, force_G) / 4), 6};  // force and torque
constexpr Part signals_words{static_cast<int>(offsetof(Body, signals) / 4), 2};  // and feet pressed
constexpr Part worst_words{static_cast<int>(offsetof(Body, stroke) / 4), 3};  // stroke, load, crushed
constexpr Part exhausted_words = MCR_PART(Body, exhausted);
constexpr Part foot_words{static_cast<int>(offsetof(Foot, stroke) / 4), 3};  // stroke and anchor

MCR_FN void lane_press(Tile& tile, int leg, int lane) {
    Body body = tile.body.load(lane);
    Foot foot = tile.foot[leg].load(lane);
    Flag const moving = select(body.settled == Settled::moving, 1, 0);
    press(tile.stance.load(lane), body, foot);
    tile.body.store_where(moving, lane, body, pressed_words, signals_words, worst_words, exhausted_words);
    tile.foot[leg].store_where(moving, lane, foot, foot_words);
}
MCR_FN void lane_move(Tile& tile, int lane) {
    Body body = tile.body.load(lane);
    Flag const moving = select(body.settled == Settled::moving, 1, 0);
    move(tile.stance.load(lane), body);
    tile.body.store_where(moving, lane, body, body_words);
}
MCR_BLOCK press_tile(Tile& tile, int leg) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_press(tile, leg, lane);
}
MCR_BLOCK move_tile(Tile& tile) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_move(tile, lane);
}

MCR_FN void lane_peak(Columns<Chains>& chains, int lane) {
    Chains mine = chains.load(lane);
    multiply_add(mine);
    chains.store(lane, mine);
}
MCR_BLOCK peak_tile(Columns<Chains>& chains) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_peak(chains, lane);
}

bool any_lane(Flag const (&flags)[tile_width]) {
    Flag any = 0;
    for (int lane = 0; lane < tile_width; ++lane) any |= flags[lane];
    return any != 0;
}

constexpr Part phase_words{static_cast<int>((offsetof(State, guidance) + offsetof(GuidanceMemory, phase)) / 4), 1};
constexpr Part mapped_words{static_cast<int>((offsetof(State, guidance) + offsetof(GuidanceMemory, mapped)) / 4), 1};

/// Maps of hazards: each lane's own, once in its flight, one at a time.
void divert_tile(Tile& tile, Params const& params, Surface const& surface) {
    for (int lane = 0; lane < tile_width; ++lane) {
        bool const may = (tile.state.column[phase_words.first][lane] == static_cast<unsigned>(Phase::approach)) &
                         (tile.state.column[mapped_words.first][lane] == static_cast<unsigned>(Mapped::not_yet));
        if (!may) continue;
        State state = tile.state.load(lane);
        if (!is_map_due(params, state)) continue;
        divert_run(params, surface, tile.run.load(lane), state, tile.draws(lane));
        tile.state.store(lane, state, guidance_words, events_words);
    }
}

/// Flies a tile of runs, which has the first `runs` lanes; the others fly for nothing. The state of a run is kept as it ends;
/// its lane flies on for nothing. The last run that still flies goes on alone: a tick of one run alone takes two thirds of
/// a tile's. `shape`: of the ground that is most.
void fly_tile(Tile& tile, Params const& params, Surface const& surface, Shape shape, int runs, State* kept) {
    unsigned const* const ended = tile.state.column[ended_words.first];
    bool const strikes = any_lane(tile.struck);
    auto const guide_block = strikes ? guide_struck_tile : guide_tile;
    auto const control_block = strikes ? control_struck_tile : control_tile;
    auto const integrate_block = strikes ? integrate_struck_tile : integrate_tile;
    auto const filter_block = strikes ? integrate_filter_struck_tile : integrate_filter_tile;
    unsigned flying[tile_width];
    for (int lane = 0; lane < tile_width; ++lane) flying[lane] = lane < runs;
    bool const maps = params.onboard.hazards.fitted == 1;
    bool const mapped = is_mapped(params);
    bool const grid = shape == Shape::grid;
    bool const formula = shape == Shape::formula;
    auto const altimeter_block = grid      ? (mapped ? altimeter_grid_map_tile : altimeter_grid_tile)
                                 : mapped  ? altimeter_formula_map_tile
                                 : formula ? altimeter_formula_tile
                                           : altimeter_tile;
    auto const velocimeter_block = grid ? velocimeter_grid_tile : velocimeter_tile;
    auto const watch_block = grid ? watch_grid_tile : formula ? watch_formula_tile : watch_tile;
    int left = runs;
    int tick = 0;
    for (; tick < params.simulation.time_max_ticks && left > 1; ++tick) {
        Schedule const now = schedule_of(params, tick);
        if (now.guide && maps) divert_tile(tile, params, surface);
        if (now.guide) guide_block(tile, params, tick);
        if (strikes) fail_tile(tile, params, tick);
        control_block(tile, params);
        for (int index = 0; index < params.simulation.truth_steps; ++index) propagate_tile(tile, params, tick, index);
        if (now.covariance) {
            filter_block(tile, params, tick);
        } else {
            integrate_block(tile, params, tick);
        }
        if (now.look) {
            if (now.altimeter) {
                look_tile(tile, params);
            } else {
                look_elsewhere_tile(tile, params);
            }
            if (now.altimeter && any_lane(tile.altimeter)) altimeter_block(tile, params, surface, tick);
            if (now.velocimeter && any_lane(tile.velocimeter)) velocimeter_block(tile, params, surface, tick);
            if (now.camera && any_lane(tile.camera)) camera_tile(tile, params, tick);
        }
        if (now.drift) drift_tile(tile, tick);
        watch_block(tile, params, surface, tick);
        unsigned news = 0;
        for (int lane = 0; lane < tile_width; ++lane) news |= ended[lane] * flying[lane];
        for (int lane = 0; lane < tile_width && news != 0; ++lane) {
            if (ended[lane] * flying[lane] == 0) continue;
            kept[lane] = tile.state.load(lane);
            if (kept[lane].ended == 1) do_touch(tile.run.load(lane), kept[lane]);
            flying[lane] = 0;
            --left;
        }
    }
    for (int lane = 0; lane < tile_width; ++lane) {
        if (flying[lane] == 0) continue;
        kept[lane] = tile.state.load(lane);  // out of time, or the last one
        Run const run = tile.run.load(lane);
        for (; tick < params.simulation.time_max_ticks && kept[lane].ended == 0; ++tick) {
            tick_run(params, surface, run, kept[lane], tile.draws(lane), tick);
        }
    }
}

/// Whether any touchdown of the tile is under way.
bool any_moving(Tile const& tile) {
    bool any = false;
    for (int lane = 0; lane < tile_width; ++lane) {
        any |= tile.body.column[settled_words.first][lane] == static_cast<unsigned>(Settled::moving);
    }
    return any;
}

/// The touchdowns of a tile whose runs, the first lanes, have ended; the other lanes wait.
void touch_down_tile(Tile& tile, Params const& params, Surface const& surface, int runs, State const* kept) {
    int const legs = params.world.touchdown.legs;
    for (int lane = 0; lane < tile_width; ++lane) {
        int const own = lane < runs ? lane : 0;
        Touch touch;
        begin_touchdown_run(params, surface, tile.run.load(own), kept[own], tile.draws(own), touch);
        touch.body.settled = lane < runs ? touch.body.settled : Settled::spared;
        tile.stance.store(lane, touch.stance);
        tile.body.store(lane, touch.body);
        for (int k = 0; k < legs; ++k) tile.foot[k].store(lane, touch.foot[k]);
    }
    while (any_moving(tile)) {
        for (int k = 0; k < legs; ++k) press_tile(tile, k);
        move_tile(tile);
    }
}
#endif

}  // namespace
}  // namespace mcr

MCR_EXPORT int mcr_params_bytes() { return static_cast<int>(sizeof(mcr::Params)); }
MCR_EXPORT int mcr_record_bytes() { return static_cast<int>(sizeof(mcr::Record)); }
MCR_EXPORT int mcr_sample_bytes() { return static_cast<int>(sizeof(mcr::Sample)); }
MCR_EXPORT char const* mcr_build() { return MCR_BUILD; }

/// Runs `first` to `first + count - 1`, one at a time. heights: of the elevation model, null where there is none.
MCR_EXPORT void mcr_descend_scalar(mcr::Params const* params, float const* heights, mcr::uint64 seed, mcr::uint64 first, mcr::uint64 count,
                                   mcr::Record* records) {
    mcr::DefaultRounding const rounding;
    mcr::Surface const surface{params->relief, heights};
    for (mcr::uint64 k = 0; k < count; ++k) {
        mcr::Draws const draws = mcr::make_draws(seed, first + k);
        mcr::Run run;
        mcr::State state;
        mcr::begin_run(*params, run, state, draws);
        for (int tick = 0; tick < params->simulation.time_max_ticks && state.ended == 0; ++tick) {
            mcr::tick_run(*params, surface, run, state, draws, tick);
        }
        mcr::Touch touch;
        mcr::begin_touchdown_run(*params, surface, run, state, draws, touch);
        mcr::end_touchdown_run(*params, touch);
        mcr::report_run(*params, surface, run, state, touch.body, draws, records[k]);
    }
}

/// Runs `first` to `first + count - 1`, in tiles; the spare lanes of a last partial tile are thrown away.
MCR_EXPORT void mcr_descend(mcr::Params const* params, float const* heights, mcr::uint64 seed, mcr::uint64 first, mcr::uint64 count,
                            mcr::Record* records) {
#ifndef MCR_TILES
    mcr_descend_scalar(params, heights, seed, first, count, records);
#else
    mcr::DefaultRounding const rounding;
    mcr::Surface const surface{params->relief, heights};
    mcr::Tile tile;
    for (mcr::uint64 start = 0; start < count; start += mcr::tile_width) {
        mcr::Shape shape = mcr::Shape::sphere;
        for (int lane = 0; lane < mcr::tile_width; ++lane) {
            mcr::uint64 const wanted = start + static_cast<mcr::uint64>(lane);
            mcr::Draws const draws = mcr::make_draws(seed, first + (wanted < count ? wanted : count - 1));
            tile.key_low = draws.key_low;
            tile.key_high = draws.key_high;
            tile.run_low[lane] = draws.run_low;
            tile.run_high[lane] = draws.run_high;
            mcr::Run run;
            mcr::State state;
            mcr::begin_run(*params, run, state, draws);
            mcr::Shape const own = mcr::shape_of(surface, run.world.terrain);
            shape = own > shape ? own : shape;
            tile.struck[lane] = run.struck.any;
            tile.state.store(lane, state);
            tile.run.store(lane, run);
        }
        mcr::State kept[mcr::tile_width];
        int const runs = static_cast<int>(count - start < mcr::tile_width ? count - start : mcr::tile_width);
        mcr::fly_tile(tile, *params, surface, shape, runs, kept);
        mcr::touch_down_tile(tile, *params, surface, runs, kept);
        for (int lane = 0; lane < mcr::tile_width; ++lane) {
            mcr::uint64 const wanted = start + static_cast<mcr::uint64>(lane);
            if (wanted < count) {
                mcr::report_run(*params, surface, tile.run.load(lane), kept[lane], tile.body.load(lane), tile.draws(lane),
                                records[wanted]);
            }
        }
    }
#endif
}

/// Full-rate history of one run: one sample per tick, at most `capacity`; returns their number.
MCR_EXPORT long long mcr_replay(mcr::Params const* params, float const* heights, mcr::uint64 seed, mcr::uint64 number, long long capacity,
                                mcr::Sample* samples) {
    mcr::DefaultRounding const rounding;
    mcr::Surface const surface{params->relief, heights};
    mcr::Draws const draws = mcr::make_draws(seed, number);
    mcr::Run run;
    mcr::State state;
    mcr::begin_run(*params, run, state, draws);
    long long written = 0;
    for (int tick = 0; tick < params->simulation.time_max_ticks && written < capacity && state.ended == 0; ++tick) {
        mcr::tick_run(*params, surface, run, state, draws, tick);
        samples[written++] = mcr::sample_of(*params, run, state);
    }
    return written;
}

MCR_EXPORT int mcr_first_touch_bytes() { return static_cast<int>(sizeof(mcr::FirstTouch)); }
MCR_EXPORT int mcr_landing_bytes() { return static_cast<int>(sizeof(mcr::Landing)); }

/// The touchdowns of one lander from stated first touches.
MCR_EXPORT void mcr_touch_down(mcr::Params const* params, mcr::FirstTouch const* first, long long count,
                               mcr::Landing* landings) {
    mcr::DefaultRounding const rounding;
    for (long long k = 0; k < count; ++k) {
        mcr::Touch touch;
        mcr::begin_touchdown(*params, first[k], touch);
        mcr::end_touchdown_run(*params, touch);
        landings[k] = mcr::landing_of(touch);
    }
}

#ifdef MCR_TILES
/// Fused multiply-adds in registers; returns the flop done, two for each. `result` is what came of them: none is left out.
MCR_EXPORT long long mcr_fma_peak(long long visits, float* result) {
    mcr::DefaultRounding const rounding;
    mcr::Columns<mcr::Chains> chains;
    for (int lane = 0; lane < mcr::tile_width; ++lane) chains.store(lane, mcr::Chains{});
    for (long long k = 0; k < visits; ++k) mcr::peak_tile(chains);
    *result = chains.load(0).value[0];
    return visits * mcr::tile_width * mcr::peak_flop;
}
#endif
#ifdef MCR_REAL_COUNTING
/// The flop done since the last call; what is counted stands in counting.h.
MCR_EXPORT long long mcr_flop_done() {
    long long const done = static_cast<long long>(mcr::flop_done);
    mcr::flop_done = 0;
    return done;
}
#endif
#ifdef MCR_TILES
MCR_EXPORT int mcr_tally_bytes() { return static_cast<int>(sizeof(mcr::TallySums)); }

/// The sums of records, given and taken as words. Sums and histogram start as zeros, and the histogram ends so; counts
/// holds those of the occupied bins. landed: one bit for each run, (count + 7) / 8 bytes.
MCR_EXPORT void mcr_tally(mcr::TallyPlan const* plan, unsigned const* records, unsigned count, mcr::TallySums* sums,
                          mcr::uint64* histogram, unsigned* occupied, mcr::uint64* counts, unsigned char* landed) {
    unsigned const* record = records;
    unsigned bits = 0;
    for (unsigned run = 0; run < count; ++run) {
        mcr::add_run(*plan, [record](unsigned word) { return record[word]; }, run, sums, histogram, occupied);
        bits |= static_cast<unsigned>(record[plan->outcome] == plan->success) << (run & 7u);
        if ((run & 7u) == 7u || run + 1 == count) {
            landed[run >> 3] = static_cast<unsigned char>(bits);
            bits = 0;
        }
        record += sizeof(mcr::Record) / 4;
    }
    for (mcr::uint64 k = 0; k < sums->occupied; ++k) {
        counts[k] = histogram[occupied[k]];
        histogram[occupied[k]] = 0;
    }
}
#endif
