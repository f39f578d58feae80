"""How fast a GPU flies: kernel time by CUDA events, share of the peak, cold and warm starts, whole campaigns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mcrisk.backends import Piece, gpu, nvrtc
from mcrisk.native import kernel_folder
from mcrisk.tally import tally

ROOT = Path(__file__).resolve().parents[2]
FLOP = ROOT / "tests/claims/flop.json"  # of a descent, by mission
SEED = 20261122
REPEATS = 3
SMALL = 200  # [run] of a small case
BLOCKS = (2, 3, 4)  # of 128 threads on a multiprocessor: at most 255, 168 and 128 registers
LANES = {70: 64, 75: 64, 80: 64}  # [] single-precision lanes of a multiprocessor by compute capability, else 128


def peak(backend: gpu.GpuBackend) -> float | None:
    """Single-precision flop/s of the device at its greatest clock: multiprocessors x lanes x 2 x clock."""
    facts = backend._device.attributes
    if not {"MultiProcessorCount", "ClockRate"} <= facts.keys():
        return None
    lanes = LANES.get(int(backend._device.compute_capability), 128)
    return float(facts["MultiProcessorCount"] * lanes * 2 * facts["ClockRate"] * 1e3)


def kernel_seconds(backend: gpu.GpuBackend, params: bytes, count: int, descend: Any = None) -> list[float]:
    """Times of the descent kernel alone, by CUDA events."""
    cupy, words = backend._cupy, backend._record.itemsize // 4
    kernel = descend or backend._kernels["descend"]
    found = []
    with backend._device:
        columns = cupy.empty(count * words, np.uint32)
        stream = cupy.cuda.Stream(non_blocking=True)
        given = (
            np.frombuffer(params, f"V{len(params)}"),
            np.uint64(0),
            np.uint64(SEED),
            np.uint64(0),
            np.uint32(count),
            columns,
        )
        with stream:
            for _ in range(REPEATS):
                begun, ended = cupy.cuda.Event(), cupy.cuda.Event()
                begun.record(stream)
                kernel((-(-count // gpu.THREADS),), (gpu.THREADS,), given)
                ended.record(stream)
                ended.synchronize()
                found.append(cupy.cuda.get_elapsed_time(begun, ended) / 1e3)
    return found


def speed(backend: gpu.GpuBackend, name: str, params: bytes, count: int) -> dict[str, Any]:
    """Of one mission: kernel time, share of the peak by counted flop, and the time with sums and copies."""
    times = kernel_seconds(backend, params, count)
    begun = time.perf_counter()
    backend.sums([Piece(params, 0, count)], SEED, "none")
    whole = time.perf_counter() - begun
    flop, limit = json.loads(FLOP.read_text()).get(name), peak(backend)
    return {
        "mission": name,
        "runs": count,
        "kernel_s": times,
        "runs_per_s": count / min(times),
        "summed_s": whole,
        "flop_per_descent": flop,
        "peak_flop_per_s": limit,
        "peak_fraction": count * flop / min(times) / limit if flop and limit else None,
    }


def bundles(backend: gpu.GpuBackend, params: bytes, most: int) -> list[dict[str, Any]]:
    """A large batch and many small cases: rates, and whether their sums are those of the records."""
    found = []
    for count, runs in ((1, most), *((count, SMALL) for count in (1, 32, 256) if SMALL * count <= most)):
        pieces = [Piece(params, 1000 * place, runs) for place in range(count)]
        begun = time.perf_counter()
        summed = backend.sums(pieces, SEED, "none")
        took = time.perf_counter() - begun
        last = pieces[-1]
        right = summed[-1].tally == tally(backend.run(last.params, SEED, last.first, last.count), last.first)
        facts = {"pieces": count, "runs": count * runs, "seconds": took, "runs_per_s": count * runs / took}
        found.append({**facts, "right": bool(right)})
    return found


def variants(backend: gpu.GpuBackend, params: bytes, count: int) -> list[dict[str, Any]]:
    """The kernel built for other numbers of blocks on a multiprocessor: what more threads are worth."""
    found = []
    source = nvrtc.read_source(kernel_folder())
    for blocks in BLOCKS:
        options = [f"-DMCR_PARAMS_BYTES={backend._params_bytes}", f"-DMCR_BLOCKS={blocks}"]
        cubin, usage = nvrtc.cached_cubin(source, str(backend._architecture), options)
        with backend._device:
            kernel = backend._cupy.RawModule(path=str(cubin)).get_function("descend")
        found.append({"blocks": blocks, **vars(usage), "kernel_s": kernel_seconds(backend, params, count, kernel)})
    return found


def starts(params: bytes) -> dict[str, Any]:
    """Wall time of a fresh process until it has the records of 1000 runs, less the import of numpy: cold, warm [s]."""
    text = "import sys, pathlib; from mcrisk.backends.gpu import GpuBackend; "
    text += "GpuBackend().run(pathlib.Path(sys.argv[1]).read_bytes(), 1, 0, 1000)"
    with tempfile.TemporaryDirectory() as folder:
        block = Path(folder, "params")
        block.write_bytes(params)
        changes = {"MCRISK_CACHE": folder, "CUPY_CACHE_DIR": folder}
        numpy_alone = min(_wall("import numpy", [], changes) for _ in range(REPEATS))
        cold = _wall(text, [str(block)], changes) - numpy_alone
        warm = min(_wall(text, [str(block)], changes) for _ in range(REPEATS)) - numpy_alone
    return {"import_numpy_s": numpy_alone, "cold_s": cold, "warm_s": warm}


def end_to_end(name: str, runs: int) -> dict[str, Any]:
    """A campaign through dask to its dataset, twice: each starts a worker process, so that both pay for its imports."""
    try:
        import mcrisk
    except ImportError as error:
        return {"left_out": str(error)}
    found = []
    for seed in (1, 2):
        begun = time.perf_counter()
        try:
            result = mcrisk.run(name, runs=runs, seed=seed, backend="gpu")
        except Exception as error:
            return {"left_out": f"{type(error).__name__}: {error}"[:500]}
        found.append(time.perf_counter() - begun)
    return {"mission": name, "runs": runs, "seconds": found, "backend": str(result.attrs.get("backend", ""))}


def environment(**changes: str) -> dict[str, str]:
    """That of this process, with this checkout first on the path."""
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, "PYTHONPATH": path, **changes}


def _wall(text: str, arguments: list[str], changes: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", text, *arguments], check=True, cwd=ROOT, env=environment(**changes))
    return time.perf_counter() - begun
