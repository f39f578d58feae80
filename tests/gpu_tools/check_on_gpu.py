"""Everything that only a GPU can show, in one JSON file: tests, bits against the CPU, memory errors, speed.

    python tests/gpu_tools/check_on_gpu.py --pack FOLDER      anywhere: the Params of every shipped mission, as files
    python tests/gpu_tools/check_on_gpu.py --out result.json [--params FOLDER] [--runs N] [--seconds S]

Needs numpy, cupy, NVRTC and, for the tests, pytest. Without an installed CPU library one is built here.
The JSON is rewritten after every step, so that a time limit loses one step at most.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
from workshop import Fly, Records, Workshop, difference, missions  # noqa: E402

from mcrisk.backends import Piece, build, gpu, nvrtc  # noqa: E402
from mcrisk.errors import InfrastructureError  # noqa: E402
from mcrisk.native import kernel_digest  # noqa: E402
from mcrisk.schema import load_schema  # noqa: E402
from mcrisk.tally import tally  # noqa: E402

SEED = 20261122
CHUNK = 2048  # [run] of CPU work per thread at a time


def main() -> int:
    """0 if everything that could be checked is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, metavar="FOLDER")
    parser.add_argument("--params", type=Path, metavar="FOLDER", help="read Params from files made by --pack")
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"))
    parser.add_argument("--runs", type=int, default=100_000, help="runs of each mission compared bit by bit")
    parser.add_argument("--seconds", type=float, default=1e9, help="no new mission is begun after this time")
    given = parser.parse_args()
    if given.pack:
        given.pack.mkdir(parents=True, exist_ok=True)
        for name, params in missions().items():
            (given.pack / f"{name}.params").write_bytes(params)
        return 0
    blocks = missions()
    if given.params:
        blocks = {path.stem: path.read_bytes() for path in sorted(given.params.glob("*.params"))}
    report: dict[str, Any] = {"kernel_digest": kernel_digest(), "complete": False}

    def keep(name: str, value: Any) -> None:
        report[name] = value
        given.out.write_text(json.dumps(report, indent=1) + "\n")
        print(f"{name}: {json.dumps(value)}", flush=True)

    start = time.monotonic()
    if missing := gpu.absence():
        keep("absence", str(missing))
        return 1
    backend = gpu.GpuBackend()
    keep("device", facts(backend))
    backend.run(next(iter(blocks.values())), SEED, 0, 1)  # first launch: module loading is not speed
    keep("speed", [speed(backend, name, params) for name, params in blocks.items()])
    keep("sums", [sums(backend, pieces) for pieces in bundles(next(iter(blocks.values())))])
    compared: list[dict[str, Any]] = []
    cpu = cpu_fly()
    for name, params in blocks.items():
        if time.monotonic() - start < given.seconds:
            compared.append(compare(backend, cpu, name, params, given.runs))
            keep("bits", compared)
    keep("sanitizer", sanitizer(blocks))
    keep("tests", tests())
    right = all(not row["difference"] for row in compared) and len(compared) == len(blocks)
    right &= all(row["right"] for row in report["sums"])
    right &= report["tests"]["returncode"] in (0, None) and report["sanitizer"].get("returncode") in (0, None)
    report["complete"] = True
    keep("ok", bool(right))
    return 0 if right else 1


def facts(backend: gpu.GpuBackend) -> dict[str, Any]:
    """What was measured on what."""
    import cupy

    descend = backend._kernels["descend"]
    return {
        "describe": backend.describe(),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
        "nvrtc": nvrtc.load().version,
        "usage": vars(backend.usage),
        "loaded": {"registers": descend.num_regs, "local_bytes": descend.local_size_bytes},
        "multiprocessors": backend._device.attributes.get("MultiProcessorCount"),
        "clock_kHz": backend._device.attributes.get("ClockRate"),
    }


def speed(backend: gpu.GpuBackend, name: str, params: bytes) -> dict[str, Any]:
    """Runs per second, copies included, and simulated flight time of one mission; sizes double until a second."""
    count, elapsed = 1 << 15, 0.0
    while elapsed < 1.0 and count < 1 << 20:
        count *= 2
        begun = time.perf_counter()
        records = backend.run(params, SEED, 0, count)
        elapsed = time.perf_counter() - begun
    flown = records["flight_time"][records["contact"] == 1]
    mean = float(flown.mean()) if len(flown) else None
    return {"mission": name, "runs": count, "seconds": elapsed, "runs_per_s": count / elapsed, "flight_time_mean": mean}


def bundles(params: bytes) -> list[list[Piece]]:
    """A large batch, and many small cases."""
    many = [[Piece(params, 1000 * place, 200) for place in range(count)] for count in (1, 32, 256)]
    return [[Piece(params, 0, 1 << 20)], *many]


def sums(backend: gpu.GpuBackend, pieces: list[Piece]) -> dict[str, Any]:
    """Runs per second of pieces that are flown and summed together, and whether the sums are those of the records."""
    begun = time.perf_counter()
    found = backend.sums(pieces, SEED, "none")
    middle = time.perf_counter()
    records = backend.run(pieces[-1].params, SEED, pieces[-1].first, pieces[-1].count)
    alone = time.perf_counter() - middle
    runs = sum(piece.count for piece in pieces)
    return {
        "pieces": len(pieces),
        "runs": runs,
        "runs_per_s": runs / (middle - begun),
        "seconds": middle - begun,
        "records_of_the_last_alone_s": alone,
        "right": found[-1].tally == tally(records, pieces[-1].first),
    }


def cpu_fly() -> Fly:
    """The installed CPU library, else one built here; on all cores."""
    fly: Fly
    try:
        from mcrisk.backends.cpu import CpuBackend

        fly = CpuBackend().run
    except InfrastructureError:
        command = next(iter(build.compilers().values()))
        fly = Workshop(Path(tempfile.mkdtemp())).library(command, build.variants()[0])

    def on_all_cores(params: bytes, seed: int, first: int, count: int) -> Records:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            parts = pool.map(
                lambda begin: fly(params, seed, first + begin, min(CHUNK, count - begin)), range(0, count, CHUNK)
            )
            return np.concatenate(list(parts))

    return on_all_cores


def compare(backend: gpu.GpuBackend, cpu: Fly, name: str, params: bytes, runs: int) -> dict[str, Any]:
    """Bits of one mission on both devices, across the 32-bit boundary of the run number."""
    first = (1 << 32) - runs // 2
    begun = time.perf_counter()
    actual = backend.run(params, SEED, first, runs)
    middle = time.perf_counter()
    expected = cpu(params, SEED, first, runs)
    outcomes = {
        member: int((expected["outcome"] == value).sum())
        for member, value in load_schema().enums["Outcome"].members.items()
    }
    return {
        "mission": name,
        "runs": runs,
        "difference": difference(expected, actual),
        "outcomes": {member: count for member, count in outcomes.items() if count},
        "gpu_s": middle - begun,
        "cpu_s": time.perf_counter() - middle,
    }


def sanitizer(blocks: dict[str, bytes]) -> dict[str, Any]:
    """compute-sanitizer's memcheck over a few hundred runs, where the tool is installed."""
    tool = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
    if tool is None:
        return {"tool": None}
    with tempfile.TemporaryDirectory() as folder:
        block = Path(folder) / "params"
        block.write_bytes(next(iter(blocks.values())))
        text = "import sys, pathlib; from mcrisk.backends.gpu import GpuBackend; "
        text += "GpuBackend().run(pathlib.Path(sys.argv[1]).read_bytes(), 1, 0, 300)"
        command = [tool, "--error-exitcode", "9", sys.executable, "-c", text, str(block)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    return {"tool": tool, "returncode": done.returncode, "tail": (done.stdout + done.stderr)[-1500:]}


def tests() -> dict[str, Any]:
    """The tests marked gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if "No module named pytest" in done.stderr:
        return {"returncode": None, "tail": done.stderr[-500:]}
    return {"returncode": done.returncode, "tail": done.stdout[-2500:]}


if __name__ == "__main__":
    sys.exit(main())
