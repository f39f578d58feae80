#pragma once
/// Time: an integer count of ticks. One tick is one cycle of the on-board computer; the truth takes
/// `simulation.truth_steps` steps in each. Time is never accumulated in floating point.
#include "real.h"

namespace mcr {

constexpr real tick_period = real(0.1);  ///< [s] one GN&C cycle; draws are numbered by it, never by truth steps.

MCR_FN real seconds(int ticks) { return real_of(ticks) * tick_period; }

}  // namespace mcr
