"""Numbers that both the kernel and Python state are the same numbers."""

import numpy as np

from mcrisk import brake, dispersion, units


def test_both_sides_state_the_same_constants(probe):
    """The tick that turns "0.5 s" into 5, standard gravity, the handover of the braking laws, the streams of names."""
    stated = probe(
        ["descent.h"],
        ["tick_period", "standard_gravity", "handover_time", "real_of(dispersions_first >> 8) * 256"],
        "",
        real="double",
    )()

    np.testing.assert_allclose(
        stated, [float(units.TICK), float(units.GRAVITY), brake.HANDOVER, dispersion.STREAMS_FIRST], rtol=1e-7
    )
