/// GPU entry: one thread flies one run. No barrier, shuffle, vote or shared memory, so that this text also builds as
/// C++ and its PTX runs on a CPU (tests/gpu_tools).
#include "mcrisk/descent.h"

namespace mcr {

static_assert(sizeof(Params) == MCR_PARAMS_BYTES, "Params differs from what schema.py read: compile with its params_bytes()");
static_assert(sizeof(Record) % 4 == 0, "a Record is whole 4-byte words");

struct RecordWords {
    unsigned word[sizeof(Record) / 4];
};

}  // namespace mcr

/// Flies runs first .. first + count - 1; word w of run i goes to columns[w * count + i]: neighbours write neighbours.
/// Params come by value: they lie in constant memory, where all threads of a warp read one word at once.
extern "C" __global__ void __launch_bounds__(128)
    descend(__grid_constant__ mcr::Params const params, mcr::uint64 seed, mcr::uint64 first, unsigned count, unsigned* columns) {
    unsigned const run = blockIdx.x * blockDim.x + threadIdx.x;
    if (run >= count) return;
    mcr::Record const record = mcr::fly(params, mcr::make_draws(seed, first + run));
    mcr::RecordWords const words = mcr::bits_as<mcr::RecordWords>(record);
    MCR_UNROLL(128)
    for (unsigned w = 0; w < sizeof(mcr::Record) / 4; ++w) columns[mcr::uint64(w) * count + run] = words.word[w];
}

/// Columns to whole records, as the host keeps them.
extern "C" __global__ void __launch_bounds__(128) gather(unsigned const* columns, unsigned count, unsigned* rows) {
    unsigned const words = sizeof(mcr::Record) / 4;
    unsigned const place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < words * count) rows[place] = columns[mcr::uint64(place % words) * count + place / words];
}
