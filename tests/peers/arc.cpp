/// CPU entry of the powered arc: the tiles of descend.cpp, of which only the block `propagate` is flown.
#include "descend.cpp"

#include "arc.h"

/// Ends at every `every` ticks, run by run: `ticks / every` rows for each.
MCR_EXPORT void mcr_arc_scalar(mcr::Params const* params, mcr::ArcStart const* starts, int count, int ticks, int every,
                               mcr::ArcEnd* ends) {
    mcr::DefaultRounding const rounding;
    for (int number = 0; number < count; ++number) {
        mcr::Run run;
        mcr::State state = mcr::begin_arc(*params, starts[number], run);
        for (int tick = 0; tick < ticks; ++tick) {
            for (int index = 0; index < params->simulation.truth_steps; ++index) mcr::do_propagate(*params, run, state, tick, index);
            if ((tick + 1) % every == 0) *ends++ = mcr::end_arc(run, state);
        }
    }
}

/// The same in tiles.
MCR_EXPORT void mcr_arc(mcr::Params const* params, mcr::ArcStart const* starts, int count, int ticks, int every,
                        mcr::ArcEnd* ends) {
#ifndef MCR_TILES
    mcr_arc_scalar(params, starts, count, ticks, every, ends);
#else
    mcr::DefaultRounding const rounding;
    mcr::Tile tile;
    for (int first = 0; first < count; first += mcr::tile_width) {
        for (int lane = 0; lane < mcr::tile_width; ++lane) {
            int const number = first + lane < count ? first + lane : count - 1;
            mcr::Run run;
            tile.state.store(lane, mcr::begin_arc(*params, starts[number], run));
            tile.run.store(lane, run);
        }
        for (int tick = 0; tick < ticks; ++tick) {
            for (int index = 0; index < params->simulation.truth_steps; ++index) mcr::propagate_tile(tile, *params, tick, index);
            if ((tick + 1) % every != 0) continue;
            for (int lane = 0; lane < mcr::tile_width && first + lane < count; ++lane) {
                ends[(first + lane) * (ticks / every) + tick / every] = mcr::end_arc(tile.run.load(lane), tile.state.load(lane));
            }
        }
    }
#endif
}
