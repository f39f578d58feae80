"""Everything that only a GPU can show, in one JSON file: speed, tests, memory errors, bits against the CPU.

`--pack` works anywhere: the Params of every shipped mission, as files. All else needs numpy, cupy, NVRTC and, for the
tests, pytest. Without an installed CPU library one is built here. The JSON is rewritten after every step, so that a
time limit loses one step at most. The bits come last and take what time is left: slices of all missions in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import gpu_speed  # noqa: E402
import numpy as np  # noqa: E402
from gpu_speed import SEED  # noqa: E402
from workshop import Fly, Records, Workshop, difference, missions, modelled  # noqa: E402

from mcrisk.backends import build, gpu, gpu_obstacle, nvrtc  # noqa: E402
from mcrisk.errors import InfrastructureError, MistakeError  # noqa: E402
from mcrisk.native import kernel_digest  # noqa: E402
from mcrisk.schema import load_schema  # noqa: E402
from mcrisk.scripting import above_zero, count, guarded  # noqa: E402

CHUNK = 2048  # [run] of CPU work per thread at a time
SLICE = 1 << 14  # [run] of one mission compared at a time
LONGEST = "hakuto_r_m2_as_designed"  # whose campaign is measured from end to end


def main(arguments: list[str] | None = None) -> int:
    """0 if everything was checked, as far as its tools are installed, and is right."""
    given = options().parse_args(arguments)
    if given.pack:
        pack(given.pack)
        return 0
    check_report(given.out)
    blocks = missions() if not given.params else read(given.params)
    now = datetime.now(UTC).strftime("%Y-%m-%d")
    report: dict[str, Any] = {"date": now, "kernel_digest": kernel_digest(), "complete": False}
    start = time.monotonic()

    def keep(name: str, make: Callable[[], Any]) -> None:
        """A step and its result; what it raises is a result too."""
        if time.monotonic() - start > given.seconds:
            return
        begun = time.monotonic()
        try:
            report[name] = make()
        except Exception as error:
            report[name] = {"failed": f"{type(error).__name__}: {error}"}
        report.setdefault("took_s", {})[name] = round(time.monotonic() - begun, 3)
        given.out.write_text(json.dumps(report, indent=1) + "\n")
        print(f"{name}: {json.dumps(report[name])}", flush=True)

    if missing := gpu_obstacle() or gpu.absence():
        keep("absence", lambda: str(missing))
        return 1
    first = next(iter(blocks.values()))
    keep("starts", lambda: gpu_speed.starts(first))
    backend = gpu.GpuBackend()
    keep("device", lambda: facts(backend))
    backend.run(first, SEED, 0, 1)  # first launch: module loading is not speed
    keep("speed", lambda: [gpu_speed.speed(backend, *pair, given.most) for pair in blocks.items()])
    keep("variants", lambda: gpu_speed.variants(backend, blocks.get(LONGEST, first), given.most))
    keep("sums", lambda: gpu_speed.bundles(backend, first, given.most))
    keep("end_to_end", lambda: gpu_speed.end_to_end(LONGEST, given.most))
    keep("sanitizer", lambda: [sanitizer(first, tool) for tool in ("memcheck", "initcheck")])
    keep("tests", tests)
    fly = cpu_fly()
    keep("hills", lambda: over_hills(backend, fly, first, given.runs))
    left = given.seconds - (time.monotonic() - start)
    keep("bits", lambda: compare(backend, fly, blocks, given.runs, left))
    compared = rows(report, "bits")
    report["complete"] = bool(compared) and all(row["runs"] >= given.runs for row in compared)
    report["ok"] = right(report)  # no step: it is told whatever the time
    given.out.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if report["ok"] and report["complete"] else 1


def rows(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """What a step of several rows gave: none where it failed or was left out."""
    found = report.get(name, [])
    return found if isinstance(found, list) else []


def options() -> argparse.ArgumentParser:
    """The options; `scripts/gpu_check --help` tells of them before anything is installed."""
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="only write Params of all missions to files")
    parser.add_argument("--params", type=Path, metavar="FOLDER", help="read Params from files made by --pack")
    options: tuple[tuple[str, Callable[[str], Any], Any, str], ...] = (
        ("--out", Path, Path("gpu-check.json"), "the report"),
        ("--runs", count, 160_000, "runs of each mission compared bit by bit"),
        ("--most", count, 1 << 20, "runs of the launches that are timed"),
        ("--seconds", above_zero, 440.0, "no step is begun after this time"),
    )
    for name, read_, default, text in options:
        parser.add_argument(name, type=read_, default=default, help=f"{text} (%(default)s)")
    return parser


def right(report: dict[str, Any]) -> bool:
    """Whether nothing that was done shows a mistake."""
    wrong = [name for name, found in report.items() if isinstance(found, dict) and "failed" in found]
    wrong += [row["mission"] for name in ("hills", "bits") for row in rows(report, name) if row["difference"]]
    wrong += ["sums" for row in rows(report, "sums") if not row["right"]]
    wrong += [row["check"] for row in rows(report, "sanitizer") if row.get("returncode") not in (0, None)]
    return not wrong and report.get("tests", {}).get("returncode") in (0, None)


def read(folder: Path) -> dict[str, bytes]:
    """Params by mission, as `--pack` wrote them."""
    found = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.params"))}
    remedy = "write them anew with --pack"
    if not found:
        raise MistakeError(f"--params {folder}", "files that --pack wrote", "none", remedy)
    expected = load_schema().params_bytes(4)
    for name, params in found.items():
        if len(params) != expected:
            raise MistakeError(f"{folder}/{name}.params", f"{expected} bytes", f"{len(params)}", remedy)
    return found


def pack(folder: Path) -> None:
    """Write the Params of every mission into a folder."""
    blocks = missions()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, params in blocks.items():
            (folder / f"{name}.params").write_bytes(params)
    except OSError as error:
        text = (error.strerror or str(error)).lower()
        raise MistakeError(f"--pack {folder}", "a folder to write to", text, "choose another") from None


def check_report(path: Path) -> None:
    """Refuse a report that could not be written when all is done."""
    there = path if path.exists() else path.parent
    if path.is_dir() or not path.parent.is_dir() or not os.access(there, os.W_OK):
        raise MistakeError(f"--out {path}", "a file to write to", "none", "choose another --out")


def facts(backend: gpu.GpuBackend) -> dict[str, Any]:
    """What was measured on what."""
    import cupy

    descend = backend._kernels["descend"]
    return {
        "describe": backend.describe(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
        "nvrtc": nvrtc.load().version,
        "usage": vars(backend.usage),
        "loaded": {"registers": descend.num_regs, "local_bytes": descend.local_size_bytes},
        "multiprocessors": backend._device.attributes.get("MultiProcessorCount"),
        "clock_kHz": backend._device.attributes.get("ClockRate"),
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

    def on_all_cores(params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> Records:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            parts = pool.map(
                lambda begin: fly(params, seed, first + begin, min(CHUNK, count - begin), heights),
                range(0, count, CHUNK),
            )
            return np.concatenate(list(parts))

    return on_all_cores


def over_hills(backend: gpu.GpuBackend, cpu: Fly, params: bytes, runs: int) -> list[dict[str, Any]]:
    """Bits of a mission over an elevation model with rocks, hazards avoided, which its computer knows and does not."""
    found = []
    for mapped in (False, True):
        block, heights = modelled(params, mapped)
        count = min(runs, SLICE)
        expected, actual = (fly(block, SEED, 7, count, heights) for fly in (cpu, backend.run))
        name = "over hills" + " with a map" * mapped
        found.append({"mission": name, "runs": count, "difference": difference(expected, actual)})
    return found


def compare(
    backend: gpu.GpuBackend, cpu: Fly, blocks: dict[str, bytes], runs: int, seconds: float
) -> list[dict[str, Any]]:
    """Bits of every mission on both devices, across the 32-bit boundary of the run number, until the time is over."""
    first, begun = (1 << 32) - runs // 2, time.monotonic()
    rows = {name: {"mission": name, "runs": 0, "difference": "", "outcomes": Counter[str]()} for name in blocks}
    names = {value: name for name, value in load_schema().enums["Outcome"].members.items()}
    for done in range(0, runs, SLICE):
        for name, params in blocks.items():
            if time.monotonic() - begun > seconds:
                return list(rows.values())
            count, row = min(SLICE, runs - done), rows[name]
            actual = backend.run(params, SEED, first + done, count)
            expected = cpu(params, SEED, first + done, count)
            row["runs"] += count
            row["difference"] = row["difference"] or difference(expected, actual)
            row["outcomes"] += Counter(names[int(value)] for value in expected["outcome"])
    return list(rows.values())


def sanitizer(params: bytes, check: str) -> dict[str, Any]:
    """One check of compute-sanitizer over a few hundred runs and their sums, where the tool is installed."""
    tool = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
    if tool is None:
        return {"check": check, "tool": None}
    with tempfile.TemporaryDirectory() as folder:
        block = Path(folder) / "params"
        block.write_bytes(params)
        text = "import sys, pathlib; from mcrisk.backends import Piece; from mcrisk.backends.gpu import GpuBackend; "
        text += "GpuBackend().sums([Piece(pathlib.Path(sys.argv[1]).read_bytes(), 0, 300)], 1, 'all')"
        command = [tool, "--tool", check, "--error-exitcode", "9", sys.executable, "-c", text, str(block)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env=gpu_speed.environment()
        )
    told = (done.stdout + done.stderr)[-1500:]
    return {"check": check, "tool": tool, "returncode": done.returncode, "tail": told}


def tests() -> dict[str, Any]:
    """The tests marked gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if "No module named pytest" in done.stderr:
        return {"returncode": None, "tail": done.stderr[-500:]}
    return {"returncode": done.returncode, "tail": done.stdout[-2500:]}


if __name__ == "__main__":
    sys.exit(guarded(main))
