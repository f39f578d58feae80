"""The GPU entry file as C++: the text that NVRTC reads, under the sanitizers of the host compiler."""

from __future__ import annotations

import numpy as np
import pytest
from workshop import SANITIZE, Workshop, difference, missions, modelled, nasty, poison_count, poisoned

from mcrisk.backends import build
from mcrisk.backends.cpu import CpuBackend, sums_of


@pytest.mark.slow
def test_the_gpu_entry_runs_clean_and_gives_the_bits_of_the_cpu(workshop: Workshop):
    """Address, undefined-behaviour and float-to-integer checks; memory is allocated to the byte."""
    fly = workshop.shim(next(iter(build.compilers().values())), SANITIZE)
    cpu = CpuBackend()
    for name, params in missions().items():
        expected = cpu.run(params, 7, (1 << 32) - 3, 7)

        assert difference(expected, fly(params, 7, (1 << 32) - 3, 7)) == "", name


@pytest.mark.slow
def test_the_gpu_entry_over_an_elevation_model_runs_clean_and_gives_the_bits_of_the_cpu(workshop: Workshop):
    """The same checks; no height beyond the last is read."""
    fly = workshop.shim(next(iter(build.compilers().values())), SANITIZE)
    for name in ("hakuto_r_m1", "generic_small"):
        for mapped in (False, True):
            params, heights = modelled(missions()[name], mapped)
            expected = CpuBackend().run(params, 7, 5, 5, heights)

            assert difference(expected, fly(params, 7, 5, 5, heights)) == "", f"{name} {mapped}"


@pytest.mark.slow
def test_wrong_numbers_in_a_mission_are_no_undefined_behaviour(workshop: Workshop):
    """NaN, infinity, 1e38, 0, -1 and a denormal, each in some place of Params: a fixed sample of 60."""
    fly = workshop.shim(next(iter(build.compilers().values())), SANITIZE)
    cpu = CpuBackend()
    params = missions()["hakuto_r_m2"]
    for number in np.random.default_rng(1).choice(poison_count(), 60, replace=False):
        block = poisoned(params, int(number))

        assert difference(cpu.run(block, 3, 0, 2), fly(block, 3, 0, 2)) == "", f"poison {number}"


@pytest.mark.slow
def test_the_gpu_entry_sums_cleanly_and_like_the_cpu(workshop: Workshop):
    """Ordinary values, any bits and the ends of the number line, at the end of a launch."""
    summed = workshop.shim_sums(next(iter(build.compilers().values())), SANITIZE)
    for runs in (1, 31, 33, 1000):
        records = nasty(runs, runs)
        tally, landed = summed(records, 5)
        expected, bits = sums_of(records, 5)

        assert expected == tally, runs
        assert bits.tobytes() == landed
