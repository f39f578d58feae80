/// CPU entry: loops over runs and ticks, nothing else. Built once per instruction set; a tile of runs is stored as columns
/// on the stack and each block of the descent is one loop over its lanes.
///
/// The idiom that vectorises under g++ 12 and clang 19: the loop body is one call to an always-inline function of
/// (tile, lane) that copies the words of the state in an unrolled loop, casts them to the state, runs the block and copies the
/// words back. What the whole tile shares (which blocks a tick runs) is decided outside the loop.
#include "mcrisk/descent.h"

static_assert(sizeof(mcr::Params) == MCR_PARAMS_BYTES,
              "the layout of Params differs from what schema.py read in the headers");

#define MCR_EXPORT extern "C" __attribute__((visibility("default")))
#if defined(__clang__)
#define MCR_LANES _Pragma("clang loop vectorize(assume_safety) vectorize_width(16) interleave_count(1)")
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

#ifndef MCR_REAL_DOUBLE
constexpr int tile_width = 16;  ///< runs per tile: one AVX-512 register of floats.
constexpr int check_ticks = 16; ///< [tick] between two looks whether the whole tile has ended.

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
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 512
#endif
        for (int w = 0; w < words; ++w) block.word[w] = column[w][lane];
        return bits_as<T>(block);
    }
    MCR_MEMBER void store(int lane, T const& value) {
        Block const block = bits_as<Block>(value);
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 512
#endif
        for (int w = 0; w < words; ++w) column[w][lane] = block.word[w];
    }
    /// Stores unless `frozen`: then the old words stay.
    MCR_MEMBER void store_unless(bool frozen, int lane, T const& value) {
        Block const block = bits_as<Block>(value);
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 512
#endif
        for (int w = 0; w < words; ++w) column[w][lane] = frozen ? column[w][lane] : block.word[w];
    }
};

/// The words of a case as values of the loop: a struct read from memory member by member reaches clang's vectoriser as pairs
/// of floats, which it refuses.
template <class T>
MCR_FN T words_of(T const& source) {
    constexpr int words = static_cast<int>(sizeof(T) / 4);
    typename Columns<T>::Block block;
    unsigned const* const from = reinterpret_cast<unsigned const*>(&source);
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 1024
#endif
    for (int w = 0; w < words; ++w) block.word[w] = from[w];
    return bits_as<T>(block);
}

struct Tile {
    Columns<State> state;
    Columns<Run> run;
    unsigned key_low, key_high;
    alignas(64) unsigned run_low[tile_width];
    alignas(64) unsigned run_high[tile_width];

    MCR_MEMBER Draws draws(int lane) const { return Draws{key_low, key_high, run_low[lane], run_high[lane]}; }
};

MCR_FN void lane_guide(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_guide(words_of(params), state, tick);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_control(Tile& tile, Params const& params, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_control(words_of(params), state);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_propagate(Tile& tile, Params const& params, int tick, int index, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_propagate(words_of(params), tile.run.load(lane), state, tick, index);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_integrate(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_integrate(words_of(params), tile.run.load(lane), state, tile.draws(lane), tick);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_altimeter(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_altimeter(words_of(params), tile.run.load(lane), state, tile.draws(lane), tick);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_velocimeter(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_velocimeter(words_of(params), tile.run.load(lane), state, tile.draws(lane), tick);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_camera(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_camera(words_of(params), tile.run.load(lane), state, tile.draws(lane), tick);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_drift(Tile& tile, int tick, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_drift(tile.run.load(lane), state, tile.draws(lane), tick);
    tile.state.store_unless(frozen, lane, state);
}
MCR_FN void lane_watch(Tile& tile, Params const& params, int tick, int lane) {
    State state = tile.state.load(lane);
    bool const frozen = state.ended != 0;
    do_watch(words_of(params), tile.run.load(lane), state, tick);
    tile.state.store_unless(frozen, lane, state);
}

#define MCR_BLOCK __attribute__((noinline)) void

MCR_BLOCK guide_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_guide(tile, params, tick, lane);
}
MCR_BLOCK control_tile(Tile& tile, Params const& params) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_control(tile, params, lane);
}
MCR_BLOCK propagate_tile(Tile& tile, Params const& params, int tick, int index) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_propagate(tile, params, tick, index, lane);
}
MCR_BLOCK integrate_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_integrate(tile, params, tick, lane);
}
MCR_BLOCK altimeter_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_altimeter(tile, params, tick, lane);
}
MCR_BLOCK velocimeter_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_velocimeter(tile, params, tick, lane);
}
MCR_BLOCK camera_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_camera(tile, params, tick, lane);
}
MCR_BLOCK drift_tile(Tile& tile, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_drift(tile, tick, lane);
}
MCR_BLOCK watch_tile(Tile& tile, Params const& params, int tick) {
    MCR_LANES
    for (int lane = 0; lane < tile_width; ++lane) lane_watch(tile, params, tick, lane);
}

/// Flies a tile of runs; lanes that have ended are frozen until the last one has.
void fly_tile(Tile& tile, Params const& params) {
    for (int tick = 0; tick < params.simulation.time_max_ticks; ++tick) {
        Schedule const now = schedule_of(params, tick);
        if (now.guide) guide_tile(tile, params, tick);
        control_tile(tile, params);
        for (int index = 0; index < params.simulation.truth_steps; ++index) propagate_tile(tile, params, tick, index);
        integrate_tile(tile, params, tick);
        if (now.altimeter) altimeter_tile(tile, params, tick);
        if (now.velocimeter) velocimeter_tile(tile, params, tick);
        if (now.camera) camera_tile(tile, params, tick);
        if (now.drift) drift_tile(tile, tick);
        watch_tile(tile, params, tick);
        if (tick % check_ticks == check_ticks - 1) {
            int flying = 0;
            for (int lane = 0; lane < tile_width; ++lane) flying += tile.state.load(lane).ended == 0 ? 1 : 0;
            if (flying == 0) break;
        }
    }
}
#endif

}  // namespace
}  // namespace mcr

MCR_EXPORT int mcr_params_bytes() { return static_cast<int>(sizeof(mcr::Params)); }
MCR_EXPORT int mcr_record_bytes() { return static_cast<int>(sizeof(mcr::Record)); }
MCR_EXPORT int mcr_sample_bytes() { return static_cast<int>(sizeof(mcr::Sample)); }
MCR_EXPORT char const* mcr_build() { return MCR_BUILD; }

/// Runs `first` to `first + count - 1`, one at a time.
MCR_EXPORT void mcr_descend_scalar(mcr::Params const* params, mcr::uint64 seed, mcr::uint64 first, mcr::uint64 count,
                                   mcr::Record* records) {
    mcr::DefaultRounding const rounding;
    for (mcr::uint64 k = 0; k < count; ++k) records[k] = mcr::fly(*params, mcr::make_draws(seed, first + k));
}

/// Runs `first` to `first + count - 1`, in tiles; a last partial tile flies spare lanes that are thrown away.
MCR_EXPORT void mcr_descend(mcr::Params const* params, mcr::uint64 seed, mcr::uint64 first, mcr::uint64 count,
                            mcr::Record* records) {
#ifdef MCR_REAL_DOUBLE
    mcr_descend_scalar(params, seed, first, count, records);
#else
    mcr::DefaultRounding const rounding;
    mcr::Tile tile;
    for (mcr::uint64 start = 0; start < count; start += mcr::tile_width) {
        for (int lane = 0; lane < mcr::tile_width; ++lane) {
            mcr::uint64 const wanted = start + static_cast<mcr::uint64>(lane);
            mcr::Draws const draws = mcr::make_draws(seed, first + (wanted < count ? wanted : count - 1));
            tile.key_low = draws.key_low;
            tile.key_high = draws.key_high;
            tile.run_low[lane] = draws.run_low;
            tile.run_high[lane] = draws.run_high;
            mcr::Run run;
            mcr::State const state = mcr::begin(*params, run, draws);
            tile.state.store(lane, state);
            tile.run.store(lane, run);
        }
        mcr::fly_tile(tile, *params);
        for (int lane = 0; lane < mcr::tile_width; ++lane) {
            mcr::uint64 const wanted = start + static_cast<mcr::uint64>(lane);
            if (wanted < count) {
                records[wanted] = mcr::report(*params, tile.run.load(lane), tile.state.load(lane), tile.draws(lane));
            }
        }
    }
#endif
}

/// Full-rate history of one run: one sample per tick, at most `capacity`; returns their number.
MCR_EXPORT long long mcr_replay(mcr::Params const* params, mcr::uint64 seed, mcr::uint64 number, long long capacity,
                                mcr::Sample* samples) {
    mcr::DefaultRounding const rounding;
    mcr::Draws const draws = mcr::make_draws(seed, number);
    mcr::Run run;
    mcr::State state = mcr::begin(*params, run, draws);
    long long written = 0;
    for (int tick = 0; tick < params->simulation.time_max_ticks && written < capacity && state.ended == 0; ++tick) {
        mcr::fly_tick(*params, run, state, draws, tick);
        samples[written++] = mcr::sample_of(*params, run, state);
    }
    return written;
}
