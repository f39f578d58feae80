"""The same bits everywhere: tiles, single runs, every compiler and instruction set, the GPU's code, the GPU."""

from __future__ import annotations

import numpy as np
import pytest
from workshop import Fly, Workshop, difference, missions, modelled, nasty, poison_count, poisoned, stricken

from mcrisk.backends import Piece, build, cpu
from mcrisk.schema import load_schema

SEED = 0x123456789ABCDEF
FIRST = (1 << 32) - 20  # across the boundary of the low word of the run number
CANONICAL_NAN = 0x7FC00000


def test_tiles_and_single_runs_give_the_same_bits():
    """Each installed library of this processor against the plain loop over runs, over every shipped mission."""
    reference = cpu.CpuBackend()
    for variant in cpu.fitting_variants():
        backend = cpu.CpuBackend(variant)
        for name, params in missions().items():
            expected = reference.run_scalar(params, SEED, FIRST, 40)

            assert difference(expected, backend.run(params, SEED, FIRST, 40)) == "", f"{name} {variant}"


def test_runs_that_faults_strike_have_the_same_bits():
    """Every fault of the catalogue with 30 %: tile against single run, and against missions without any."""
    for variant in cpu.fitting_variants():
        backend = cpu.CpuBackend(variant)
        for name, params in missions().items():
            block = stricken(params)
            expected = cpu.CpuBackend().run_scalar(block, SEED, FIRST, 40)

            assert difference(expected, backend.run(block, SEED, FIRST, 40)) == "", f"{name} {variant}"
            assert difference(expected, backend.run(params, SEED, FIRST, 40)) != ""


@pytest.mark.parametrize("mapped", [False, True])
def test_runs_over_an_elevation_model_have_the_same_bits(mapped):
    """A made-up highland: tile against single run on every library, and unlike the same mission over a plain."""
    for variant in cpu.fitting_variants():
        backend = cpu.CpuBackend(variant)
        for name in ("blue_ghost_m1", "hakuto_r_m1", "generic_small"):
            params, heights = modelled(missions()[name], mapped)
            expected = cpu.CpuBackend().run_scalar(params, SEED, FIRST, 40, heights)

            assert difference(expected, backend.run(params, SEED, FIRST, 40, heights)) == "", f"{name} {variant}"
            assert difference(expected, backend.run(missions()[name], SEED, FIRST, 40)) != ""


def test_a_run_is_the_same_in_any_batch():
    """Batches of 1, 2, 15, 16, 17 and 23 runs, in any order, against one batch."""
    backend = cpu.CpuBackend()
    for name, params in missions().items():
        expected = backend.run(params, SEED, FIRST, 74)
        parts, first = [], 0
        for count in (1, 2, 15, 16, 17, 23):
            parts.append((first, count))
            first += count
        actual = np.concatenate([backend.run(params, SEED, FIRST + a, b) for a, b in reversed(parts)][::-1])

        assert difference(expected, actual) == "", name


def test_a_run_that_leaves_the_finite_numbers_has_one_canonical_record():
    """Whatever became NaN first; tile and single run agree, lanes beside it are unharmed."""
    backend = cpu.CpuBackend()
    params = missions()["hakuto_r_m2"]
    invalid = load_schema().enums["Outcome"]["invalid"]
    seen = 0
    for number in np.random.default_rng(0).choice(poison_count(), 80, replace=False):
        block = poisoned(params, int(number))
        expected = backend.run_scalar(block, SEED, 0, 3)

        assert difference(expected, backend.run(block, SEED, 0, 3)) == "", f"poison {number}"
        bad = expected[expected["outcome"] == invalid]
        seen += len(bad)
        assert len({record.tobytes() for record in bad}) <= 1
        for name in expected.dtype.names:
            if expected.dtype[name].kind == "f" and not (expected["outcome"] == invalid).any():
                assert np.isfinite(expected[name]).all(), f"poison {number}: {name}"
    assert seen > 0


@pytest.mark.parametrize("mission", ["generic_small", "hakuto_r_m2"])
@pytest.mark.parametrize("noise", ["gyro_noise", "accel_noise"])
@pytest.mark.parametrize("quantum", [1e-6, 0.0])
def test_a_run_whose_inertial_unit_leaves_the_finite_numbers_is_invalid(mission, noise, quantum):
    """No clamp on the way to the attitude may hide it, with whole quanta or without."""
    schema, backend = load_schema(), cpu.CpuBackend()
    block = np.frombuffer(missions()[mission], schema.params_dtype(4)).copy()
    for path, value in ((f"imu.{noise}", np.nan), ("imu.gyro_quantum", quantum), ("imu.accel_quantum", quantum)):
        block.view(np.float32)[schema.slots[path].offset_bytes(4) // 4] = value
    expected = backend.run_scalar(block.tobytes(), SEED, 0, 3)

    assert set(expected["outcome"]) == {schema.enums["Outcome"]["invalid"]}
    assert difference(expected, backend.run(block.tobytes(), SEED, 0, 3)) == ""


@pytest.mark.parametrize("mission", ["hakuto_r_m1", "generic_small"])
def test_every_law_mode_and_policy_gives_the_same_bits(mission):
    """Tiles against single runs, for every name of every choice in Params, whatever the shipped missions choose."""
    schema, backend, flown = load_schema(), cpu.CpuBackend(), 0
    choices = {path: slot for path, slot in schema.slots.items() if slot.base == "enum" and slot.owner != "Scatter"}
    for path, slot in choices.items():
        for name, value in schema.enums[slot.enum].members.items():
            block = np.frombuffer(missions()[mission], np.uint32).copy()
            block[slot.offset_bytes(4) // 4] = value
            expected, flown = backend.run_scalar(block.tobytes(), SEED, FIRST, 17), flown + 1

            assert difference(expected, backend.run(block.tobytes(), SEED, FIRST, 17)) == "", f"{path} = {name}"
    assert flown >= 13


@pytest.mark.slow
def test_every_compiler_gives_the_same_bits(workshop: Workshop):
    """g++ and clang (where present), x86-64-v3 and v4 or the baseline, tiles and single runs, all missions."""
    agree(
        {
            f"{name} {variant} {'scalar' if scalar else 'tile'}": workshop.library(command, variant, scalar)
            for name, command in build.compilers().items()
            for variant in cpu.fitting_variants()
            for scalar in (False, True)
        },
        runs=100,
        poisons=60,
    )


@pytest.mark.slow
def test_the_gpu_entry_as_cpp_gives_the_same_bits(workshop: Workshop):
    """kernels/descend.cu through the shim."""
    agree({name: workshop.shim(command) for name, command in build.compilers().items()}, runs=40, poisons=20)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "twin"), [("compute_90", "compute_80"), ("compute_120", "compute_100")])
def test_the_gpu_code_on_a_cpu_gives_the_same_bits(workshop: Workshop, architecture, twin):
    """NVRTC's PTX, executed; a NaN carries the GPU's bits there, so a record that shows one would differ.

    NVRTC writes the same descent for sm_80 as for sm_90, and for sm_100 as for sm_120: one of each pair is executed.
    The kernels that sum may differ in a pair: those of both are.
    """
    text, other = workshop.ptx_text(architecture), workshop.ptx_text(twin)
    renamed = text.replace(f"sm_{architecture[8:]}", f"sm_{twin[8:]}")
    descents = [one[: one.index(".visible .entry tally(")] for one in (renamed, other)]
    assert descents[0] == descents[1]
    records = nasty(400, 1)
    expected, bits = cpu.sums_of(records, 5)
    for each in (text, other):
        tally, landed = workshop.summed(workshop.ptx_module(each), records, 5)
        assert tally == expected
        assert np.array_equal(landed, bits)
    agree({architecture: workshop.ptx(architecture, optimise=True)}, runs=40, poisons=40)


@pytest.mark.gpu
def test_cpu_and_gpu_give_the_same_bits(gpu):
    """On a GPU: 20 000 runs of each mission, and missions with wrong numbers."""
    agree({"gpu": gpu.run}, runs=20_000, poisons=60)


@pytest.mark.gpu
def test_a_gpu_sums_like_the_cpu(gpu):
    """On a GPU: the tallies, landing bits and kept losses of many pieces at once, of any size."""
    blocks = list(missions().values())
    pieces = [Piece(blocks[n % len(blocks)], FIRST + 7 * n, (1, 31, 200, 5000)[n % 4]) for n in range(80)]
    found, expected = (backend.sums(pieces, SEED, "losses") for backend in (gpu, cpu.CpuBackend()))

    for one, other in zip(found, expected, strict=True):
        assert one.tally == other.tally
        assert one.landed.tobytes() == other.landed.tobytes()
        assert one.records.tobytes() == other.records.tobytes()


def agree(builds: dict[str, Fly], runs: int, poisons: int) -> None:
    """Assert that each build gives the records of the installed library: missions, with faults, and poisoned ones."""
    reference = cpu.CpuBackend()
    blocks = dict(missions())
    wrong = np.random.default_rng(2).choice(poison_count(), poisons, replace=False)
    counts = dict.fromkeys(blocks, runs)
    for name, params in missions().items():
        blocks[f"{name} with faults"] = stricken(params)
        counts[f"{name} with faults"] = runs
    for number in wrong:
        blocks[f"poison {number}"] = poisoned(blocks["hakuto_r_m2"], int(number))
    for name, params in blocks.items():
        count = counts.get(name, 3)
        expected = reference.run(params, SEED, FIRST, count)
        for build_name, fly in builds.items():
            assert difference(expected, fly(params, SEED, FIRST, count)) == "", f"{name}: {build_name}"
