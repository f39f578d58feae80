"""Operations that differ between machines give the same bits on all of them."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcrisk import native
from mcrisk.backends.build import COMMON, compilers

CODE = """
#include "mcrisk/portable.h"
extern "C" __attribute__((visibility("default")))
void run(float const* a, float const* b, float const* c, float* out, long n) {
    for (long i = 0; i < n; ++i) out[i] = mcr::fused(a[i], b[i], c[i]);
}
"""


def build(folder: Path, command: list[str], machine: str) -> ctypes.CDLL:
    source = folder / "fused.cpp"
    source.write_text(CODE)
    library = folder / f"{machine}.so"
    flags = [*COMMON, f"-march={machine}", "-shared", "-fPIC", f"-I{native.kernel_folder()}"]
    flags += ["-nodefaultlibs", "-Wl,--no-undefined"]  # fmaf of a C library would hide a missing emulation
    subprocess.run([*command, *flags, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module")
def numbers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random numbers of every size, near-cancelling sums, halfway cases, subnormals, zeros, infinities and NaN."""
    generator = np.random.default_rng(1)
    count = 400_000
    bits = generator.integers(0, 1 << 32, (3, count), dtype=np.uint32)
    a, b, c = (row.view(np.float32).copy() for row in bits)
    near = slice(0, count // 2)
    a[near] = generator.normal(size=count // 2)
    b[near] = generator.normal(size=count // 2)
    with np.errstate(all="ignore"):
        c[near] = -(a[near] * b[near]) * (1 + 2.0 ** generator.integers(-26, 3, count // 2))
    special = np.array([0.0, -0.0, 1.0, 1 + 2**-23, 2**-126, 2**-149, np.inf, -np.inf, np.nan, 3.4e38], np.float32)
    grid = np.array(np.meshgrid(special, special, special), np.float32).reshape(3, -1)
    return tuple(np.concatenate(pair) for pair in zip((a, b, c), grid, strict=True))  # type: ignore[return-value]


@pytest.mark.skipif("fma" not in Path("/proc/cpuinfo").read_text(), reason="needs a processor with fma to compare with")
def test_fused_multiply_add_is_the_same_without_the_instruction(
    tmp_path: Path, numbers: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """Expected: the fma instruction of x86-64-v3 (IEEE 754-2008, 5.4.1)."""
    command = next(iter(compilers().values()))
    results = []
    for machine in ("x86-64-v2", "x86-64-v3"):
        library = build(tmp_path, command, machine)
        out = np.empty_like(numbers[0])
        library.run(*(ctypes.c_void_p(one.ctypes.data) for one in (*numbers, out)), ctypes.c_long(out.size))
        results.append(out)
    emulated, hardware = results

    assert np.array_equal(np.isnan(emulated), np.isnan(hardware))
    finite = ~np.isnan(hardware)
    assert np.array_equal(emulated[finite].view(np.uint32), hardware[finite].view(np.uint32))
