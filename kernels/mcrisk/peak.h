/// The peak of the processor: independent chains of fused multiply-adds that never leave the registers. No part of the
/// model; the benchmark measures it beside the descents.
#pragma once
#include "real.h"

namespace mcr {

constexpr int peak_chains = 12;  ///< [] more than latency times issue width of any processor so far, fewer than registers.
constexpr int peak_steps = 32;   ///< [] multiply-adds of each chain between two visits to memory.
constexpr int peak_flop = 2 * peak_chains * peak_steps;  ///< [] of one visit.

struct Chains {
    real value[peak_chains];
};

/// One visit; every value tends to 2.
MCR_FN void multiply_add(Chains& chains) {
    MCR_UNROLL(32)
    for (int step = 0; step < peak_steps; ++step) {
        MCR_UNROLL(12)
        for (int chain = 0; chain < peak_chains; ++chain) {
            chains.value[chain] = fused(chains.value[chain], real(0.5), real(1));
        }
    }
}

}  // namespace mcr
