"""The GPU backend without a GPU: why it is refused, how it splits a batch, what it hands over."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fake_cupy import FakeCupy
from ptx_executor import PtxModule

from mcrisk.backends import gpu, nvrtc
from mcrisk.errors import InfrastructureError, MistakeError

TOY = """
#include "toy.h"
static_assert(sizeof(Params) == MCR_PARAMS_BYTES, "layout");
extern "C" __global__ void descend(__grid_constant__ Params const params, unsigned long long seed,
                                   unsigned long long first, unsigned count, unsigned* columns) {
    unsigned const run = blockIdx.x * blockDim.x + threadIdx.x;
    if (run >= count) return;
    unsigned long long const number = first + run;
    columns[run] = static_cast<unsigned>(number);
    columns[count + run] = static_cast<unsigned>(number >> 32) ^ static_cast<unsigned>(seed >> 32);
    float const value = params.scale * static_cast<float>(run % 2 + params.word[1]);
    columns[2 * count + run] = __builtin_bit_cast(unsigned, value);
}
extern "C" __global__ void gather(unsigned const* columns, unsigned count, unsigned* rows) {
    unsigned const place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < 3 * count) rows[place] = columns[place % 3 * count + place / 3];
}
"""
RECORD = np.dtype([("low", "<u4"), ("high", "<u4"), ("value", "<f4")])
PARAMS = np.array([(0.5, [3, 4])], [("scale", "<f4"), ("word", "<i4", 2)]).tobytes()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy kernel's folder and its PTX built for the host."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "descend.cu").write_text(TOY)
    (folder / "toy.h").write_text("struct Params { float scale; int word[2]; };\n")
    program = nvrtc.load().compile(nvrtc.read_source(folder), "compute_90", ["-DMCR_PARAMS_BYTES=12"])
    return folder, PtxModule(program.ptx, folder)


@pytest.fixture
def cupy(monkeypatch, toy, tmp_path):
    """A stand-in cupy with one device."""
    fake = FakeCupy(toy[1])
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(gpu, "cupy_distributions", lambda: ["cupy-cuda13x"])
    monkeypatch.setattr(gpu, "kernel_folder", lambda: toy[0])
    schema = SimpleNamespace(params_bytes=lambda real: 12, record_dtype=lambda real: RECORD)
    monkeypatch.setattr(gpu, "load_schema", lambda: schema)
    monkeypatch.setenv("MCRISK_CACHE", str(tmp_path))
    return fake


def expected(seed: int, first: int, count: int, size: int) -> np.ndarray:
    """What the toy kernel says of the runs, launched `size` at a time."""
    numbers = np.arange(count, dtype=np.uint64) + np.uint64(first)
    records = np.empty(count, RECORD)
    records["low"] = numbers & np.uint64(0xFFFFFFFF)
    records["high"] = (numbers >> np.uint64(32)) ^ np.uint64(seed >> 32)
    records["value"] = 0.5 * (np.arange(count) % size % 2 + 4)
    return records


def test_a_batch_comes_back_as_the_records_of_its_runs_in_order(cupy):
    """Run numbers of 64 bits and Params by value reach the kernel; columns become records."""
    actual = gpu.GpuBackend().run(PARAMS, 7 << 40, (1 << 33) - 5, 1000)

    assert np.array_equal(expected(7 << 40, (1 << 33) - 5, 1000, 1000), actual)
    assert cupy.launches == [1000]


def test_a_batch_of_no_runs_is_empty(cupy):
    """Nothing is launched."""
    assert len(gpu.GpuBackend().run(PARAMS, 0, 0, 0)) == 0
    assert cupy.launches == []


def test_a_large_batch_is_split_into_launches(cupy, monkeypatch):
    """The records do not tell."""
    monkeypatch.setattr(gpu, "LAUNCH_RUNS", 2048)
    actual = gpu.GpuBackend().run(PARAMS, 0, 3, 5000)

    assert np.array_equal(expected(0, 3, 5000, 2048), actual)
    assert cupy.launches == [2048, 2048, 904]


def test_device_memory_bounds_the_launch(cupy):
    """Half of the free memory holds the columns and the rows: 12 bytes each per run."""
    cupy.free = 2 * 24 * 3000
    gpu.GpuBackend().run(PARAMS, 0, 0, 5000)

    assert cupy.launches == [3000, 2000]


def test_out_of_memory_halves_the_launch(cupy):
    """Memory that others took in between is not an error until it is hopeless."""
    cupy.memory = 12 * 1500
    actual = gpu.GpuBackend().run(PARAMS, 0, 0, 5000)

    assert np.array_equal(expected(0, 0, 5000, 1250), actual)
    assert cupy.launches == [1250] * 4

    cupy.memory = 100
    with pytest.raises(InfrastructureError, match="out of memory at 1024 runs per launch"):
        gpu.GpuBackend().run(PARAMS, 0, 0, 5000)


def test_a_wrong_block_or_run_number_is_refused(cupy):
    """Before anything is launched."""
    backend = gpu.GpuBackend()
    with pytest.raises(InfrastructureError, match="expected 12 bytes"):
        backend.run(PARAMS[:-1], 0, 0, 1)
    with pytest.raises(MistakeError, match="seed and run numbers"):
        backend.run(PARAMS, 0, (1 << 64) - 1, 2)
    assert cupy.launches == []


def test_the_backend_describes_device_and_kernel(cupy):
    """One line with what decides speed."""
    text = gpu.GpuBackend().describe()

    assert re.fullmatch(r"Fake \(sm_90, 17 GB\), NVRTC [\d.]+, \d+ registers, 0 bytes of spills", text)


def test_each_missing_step_is_named_with_its_remedy(cupy, monkeypatch):
    """In the order in which a user meets them."""
    assert gpu.absence() is None

    monkeypatch.setattr(gpu.nvrtc, "load", lambda: SimpleNamespace(version=(13, 5), architectures=(100, 120)))
    assert "no code for compute capability 90" in str(gpu.absence())

    cupy.cuda.runtime.driverGetVersion = lambda: 12040
    assert "NVRTC 13.5 is newer than the driver (CUDA 12.4); update the driver" in str(gpu.absence())
    assert "mcrisk[cuda12]" in str(gpu.absence())

    def missing() -> nvrtc.Nvrtc:
        raise InfrastructureError("NVRTC missing", remedy="install it with: pip install nvidia-cuda-nvrtc")

    monkeypatch.setattr(gpu.nvrtc, "load", missing)
    assert str(gpu.absence()) == "NVRTC missing; install it with: pip install nvidia-cuda-nvrtc"

    cupy.cuda.runtime.getDeviceCount = lambda: 0
    assert "no CUDA device number 0 (0 found)" in str(gpu.absence())

    def no_driver() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver")

    cupy.cuda.runtime.getDeviceCount = no_driver
    assert str(gpu.absence()) == "no CUDA device (cudaErrorInsufficientDriver); check the driver with: nvidia-smi"

    monkeypatch.setattr(gpu, "cupy_distributions", lambda: ["cupy-cuda12x", "cupy-cuda13x"])
    assert "several cupy packages installed (cupy-cuda12x, cupy-cuda13x); keep one" in str(gpu.absence())

    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert "cupy not installed; install it with: pip install 'mcrisk[cuda13]'" in str(gpu.absence())
    with pytest.raises(InfrastructureError, match="GPU not usable: cupy not installed"):
        gpu.GpuBackend()
