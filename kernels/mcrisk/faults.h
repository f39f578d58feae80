#pragma once
/// Discrete off-nominal events: each has a probability per run and, where it matters, a window of time.
/// All are off by default. Which faults strike a run, and when, are addressed draws of that run alone.
#include "philox.h"
#include "clock.h"
#include "streams.h"

namespace mcr {

/// Faults and their probabilities.
struct Faults {
    real start_failure;           ///< [] 0 .. 1, default 0. Probability that the main engine does not start.
    real main_out;                ///< [] 0 .. 1, default 0. Probability that the main engine stops in flight.
    real cluster_out;             ///< [] 0 .. 1, default 0. Probability that one cluster engine stops in flight.
    real out_time_first;          ///< [s] >= 0, default 0 s. Earliest time of an engine stop after the start.
    real out_time_last;           ///< [s] >= 0, default 700 s. Latest time of an engine stop after the start.
    real altimeter_never;         ///< [] 0 .. 1, default 0. Probability that the altimeter never gives a valid range.
    real altimeter_lost;          ///< [] 0 .. 1, default 0. Probability that the altimeter stops in flight.
    real altimeter_lost_height;   ///< [m] >= 0, default 500 m. True height below which a lost altimeter is silent.
    real altimeter_offset;        ///< [] 0 .. 1, default 0. Probability of a constant false offset of the altimeter.
    real altimeter_offset_size;   ///< [m] default 100 m. Size of the false offset.
    real velocimeter_never;       ///< [] 0 .. 1, default 0. Probability that the velocimeter never works.
    real touch_missed;            ///< [] 0 .. 1, default 0. Probability that no touch of foot or probe is felt.
    real touch_false;             ///< [] 0 .. 1, default 0. Probability of a false touch signal, latched before it is heeded.
    real touch_false_height;      ///< [m] >= 0, default 40 m. Believed height below which touch signals are heeded.
};

/// What strikes one run.
struct Struck {
    int start_failure;            // 1: the main engine does not start
    int main_out_tick;            // tick of the stop; very large: none
    int cluster_out_tick;
    int altimeter_never;
    int altimeter_lost;
    int altimeter_offset;
    int velocimeter_never;
    int touch_missed;
    int touch_false;
};

constexpr int never = 1 << 20;  ///< [tick] later than any flight.

/// Faults of one run.
MCR_FN Struck strike(Faults const& faults, Draws const& draws) {
    Uniform4 const engine = uniforms(draws, Stream::engine, 0);
    Uniform4 const when = uniforms(draws, Stream::engine, 1);
    Uniform4 const sensor = uniforms(draws, Stream::faults, 0);
    Uniform4 const touch = uniforms(draws, Stream::faults, 1);
    real const window = faults.out_time_last - faults.out_time_first;
    int const main_tick = to_int((faults.out_time_first + window * when.a) / tick_period, 0, never);
    int const cluster_tick = to_int((faults.out_time_first + window * when.b) / tick_period, 0, never);
    return Struck{select(engine.a < faults.start_failure, 1, 0),
                  select(engine.b < faults.main_out, main_tick, never),
                  select(engine.c < faults.cluster_out, cluster_tick, never),
                  select(sensor.a < faults.altimeter_never, 1, 0),
                  select(sensor.b < faults.altimeter_lost, 1, 0),
                  select(sensor.c < faults.altimeter_offset, 1, 0),
                  select(sensor.d < faults.velocimeter_never, 1, 0),
                  select(touch.a < faults.touch_missed, 1, 0),
                  select(touch.b < faults.touch_false, 1, 0)};
}

}  // namespace mcr
