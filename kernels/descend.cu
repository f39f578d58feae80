/// GPU entry: one thread flies one run. No barrier, shuffle, vote or shared memory, so that this text also builds as
/// C++ and its PTX runs on a CPU (tests/gpu_tools).
#include "mcrisk/descent.h"
#include "mcrisk/tally.h"

static_assert(sizeof(mcr::Params) == MCR_PARAMS_BYTES,
              "the layout of Params differs from what schema.py read in the headers");
static_assert(sizeof(mcr::Record) % 4 == 0, "a Record is whole 4-byte words");

namespace mcr {

struct RecordWords {
    unsigned word[sizeof(Record) / 4];
};

/// As fly(), with everything that one tick leaves for the next in memory.
MCR_FN Record fly_settled(Params const& params, Surface const& surface, uint64 seed, uint64 number) {
    Draws draws = make_draws(seed, number);
    Run run;
    State state = begin(params, run, draws);
    for (int tick = 0; tick < params.simulation.time_max_ticks; ++tick) {
        MCR_SETTLE(draws);
        MCR_SETTLE(run);
        MCR_SETTLE(state);
        if (state.ended != 0) break;
        fly_tick(params, surface, run, state, draws, tick);
    }
    MCR_SETTLE(run);
    MCR_SETTLE(state);
    Touch touch;
    touch_down(params, surface, run, state, draws, touch);
    return report(params, surface, run, state, touch.body, draws);
}

/// The record of one run among columns.
struct ColumnWords {
    unsigned const* columns;
    unsigned stride;
    unsigned run;

    MCR_MEMBER unsigned operator()(unsigned word) const { return columns[uint64(word) * stride + run]; }
};

/// Flies one run; its word w goes to columns[w * stride + place]: neighbours write neighbours.
MCR_FN void fly_into(unsigned* columns, unsigned stride, unsigned place, Params const& params, float const* heights, uint64 seed,
                     uint64 number) {
    Record const record = fly_settled(params, Surface{params.relief, heights}, seed, number);
    RecordWords const words = bits_as<RecordWords>(record);
    MCR_UNROLL(128)
    for (unsigned w = 0; w < sizeof(Record) / 4; ++w) columns[uint64(w) * stride + place] = words.word[w];
}

#ifdef MCR_SEVERAL
/// Several small cases, MCR_SEVERAL at most, so that no warp mixes two: case k has row k of the grid, and runs stop[k - 1]
/// to stop[k] - 1 of the launch.
struct Cases {
    Params params[MCR_SEVERAL];
    float const* heights[MCR_SEVERAL];
    uint64 first[MCR_SEVERAL];
    unsigned stop[MCR_SEVERAL];
};
static_assert(sizeof(Cases) + 24 <= 32764, "more cases than the arguments of a kernel hold (since CUDA 12.1)");
#endif

}  // namespace mcr

/// Blocks of 128 threads that share a multiprocessor: three leave each thread 168 registers.
#ifndef MCR_BLOCKS
#define MCR_BLOCKS 3
#endif

/// Flies runs first .. first + count - 1.
/// Params come by value: they lie in constant memory, where all threads of a warp read one word at once. The heights of an
/// elevation model lie in device memory, null where there is none.
#ifndef MCR_SEVERAL
extern "C" __global__ void __launch_bounds__(128, MCR_BLOCKS)
    descend(__grid_constant__ mcr::Params const params, float const* heights, mcr::uint64 seed, mcr::uint64 first, unsigned count,
            unsigned* columns) {
    unsigned const run = blockIdx.x * blockDim.x + threadIdx.x;
    if (run < count) mcr::fly_into(columns, count, run, params, heights, seed, first + run);
}
#else
extern "C" __global__ void __launch_bounds__(128, MCR_BLOCKS)
    descend(__grid_constant__ mcr::Cases const cases, mcr::uint64 seed, unsigned count, unsigned* columns) {
    unsigned const k = blockIdx.y;
    unsigned const run = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned const start = k ? cases.stop[k - 1] : 0;
    if (start + run >= cases.stop[k]) return;
    mcr::fly_into(columns, count, start + run, cases.params[k], cases.heights[k], seed, cases.first[k] + run);
}
#endif

/// Columns to whole records, as the host keeps them. stride: runs of the launch, of which these `count` are some.
extern "C" __global__ void __launch_bounds__(128)
    gather(unsigned const* columns, unsigned stride, unsigned count, unsigned* rows) {
    unsigned const words = sizeof(mcr::Record) / 4;
    unsigned const place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < words * count) rows[place] = columns[mcr::uint64(place % words) * stride + place / words];
}

/// Adds every run to the sums of its piece: one thread one run. Sums and histogram start as zeros.
extern "C" __global__ void __launch_bounds__(128)
    tally(__grid_constant__ mcr::TallyPlan const plan, unsigned const* columns, unsigned stride, unsigned count,
          mcr::TallySums* sums, mcr::uint64* histogram, unsigned* occupied) {
    unsigned const run = blockIdx.x * blockDim.x + threadIdx.x;
    if (run < count) mcr::add_run(plan, mcr::ColumnWords{columns, stride, run}, run, sums, histogram, occupied);
}

/// The counts of the occupied bins, which are few, from a histogram of half a million.
extern "C" __global__ void __launch_bounds__(128)
    sift(mcr::TallySums const* sums, mcr::uint64 const* histogram, unsigned const* occupied, mcr::uint64* counts) {
    unsigned const place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < sums->occupied) counts[place] = histogram[occupied[place]];
}

/// One bit for each run, set where it landed; the first run is the lowest bit of the first word.
extern "C" __global__ void __launch_bounds__(128)
    landings(__grid_constant__ mcr::TallyPlan const plan, unsigned const* columns, unsigned stride, unsigned count,
             unsigned* landed) {
    unsigned const word = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned const first = word * 32;
    if (first >= count) return;
    unsigned bits = 0;
    for (unsigned k = 0; k < 32 && first + k < count; ++k) {
        unsigned const outcome = columns[mcr::uint64(plan.outcome) * stride + first + k];
        bits |= static_cast<unsigned>(outcome == plan.success) << k;
    }
    landed[word] = bits;
}
