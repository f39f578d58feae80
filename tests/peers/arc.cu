/// GPU entry of the powered arc: one thread flies one run, as in descend.cu.
#include "arc.h"

#ifdef __CUDA_ARCH__
#define MCR_SETTLE(object) asm volatile("" : : "l"(&object) : "memory")
#else
#define MCR_SETTLE(object)
#endif

extern "C" __global__ void __launch_bounds__(128, 3)
    arc(__grid_constant__ mcr::Params const params, mcr::ArcStart const* starts, int count, int ticks, mcr::ArcEnd* ends) {
    int const number = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (number >= count) return;
    mcr::Run run;
    mcr::State state = mcr::begin_arc(params, starts[number], run);
    for (int tick = 0; tick < ticks; ++tick) {
        MCR_SETTLE(run);
        MCR_SETTLE(state);
        for (int index = 0; index < params.simulation.truth_steps; ++index) mcr::do_propagate(params, run, state, tick, index);
    }
    ends[number] = mcr::end_arc(run, state);
}
