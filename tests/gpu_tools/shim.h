/// CUDA's words for a C++ compiler: kernels/descend.cu builds as host code, one thread after the other, so that
/// sanitizers and debuggers see the very text that the GPU compiler reads.
#pragma once

#define __global__
#define __grid_constant__
#define __launch_bounds__(...)

struct Dim {
    unsigned x = 0, y = 0, z = 0;
};
static thread_local Dim threadIdx, blockIdx, blockDim, gridDim;

/// `kernel<<<grid, block>>>(arguments...)`, in order.
template <class Kernel, class... Arguments>
void launch(Kernel kernel, unsigned grid, unsigned block, Arguments... arguments) {
    gridDim.x = grid;
    blockDim.x = block;
    for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < block; ++threadIdx.x) kernel(arguments...);
}
