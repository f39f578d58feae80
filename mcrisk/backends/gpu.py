"""The GPU backend: one thread per run, a whole batch in a few launches; the only file that imports cupy.

cupy gives memory, module loading and launches. The kernel itself is compiled by nvrtc.py, so that its bits
are those of the CPU.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema

from . import AbstractBackend, nvrtc

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Absence", "GpuBackend", "absence"]

THREADS = 128  # per block: several blocks share one multiprocessor at 100 to 200 registers per thread
LAUNCH_RUNS = 1 << 20  # [run] most in one launch: enough that the last partial wave costs little
WATCHED_LAUNCH_RUNS = 1 << 14  # [run] the same on a GPU that also drives a display and kills long kernels
LAUNCH_RUNS_MIN = 1 << 10  # [run] below this, memory is too short to be useful
MEMORY_FRACTION = 0.5  # of the free device memory, at most
INSTALL = "pip install 'mcrisk[cuda13]' (driver for CUDA 13) or 'mcrisk[cuda12]' (CUDA 12)"


@dataclass(frozen=True)
class Absence:
    """Why the GPU cannot be used, and what repairs it."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def cupy_distributions() -> list[str]:
    """Names of the installed distributions that bring a `cupy` module."""
    names = {(distribution.name or "").lower() for distribution in importlib.metadata.distributions()}
    return sorted(name for name in names if name == "cupy" or name.startswith("cupy-"))


def absence(device: int = 0) -> Absence | None:
    """Why GPU number `device` cannot be used, the first failing step; None when it can."""
    if importlib.util.find_spec("cupy") is None:
        return Absence("cupy not installed", f"install it with: {INSTALL}")
    if len(wheels := cupy_distributions()) > 1:
        extra = " ".join(wheels[:-1])
        return Absence(f"several cupy packages installed ({', '.join(wheels)})", f"keep one: pip uninstall {extra}")
    try:
        cupy = importlib.import_module("cupy")
        runtime = cupy.cuda.runtime
        count, driver = runtime.getDeviceCount(), runtime.driverGetVersion()
    except Exception as error:  # cupy raises its own types, unknown until it is imported
        return Absence(f"no CUDA device ({error})", "check the driver with: nvidia-smi")
    if count <= device:
        return Absence(f"no CUDA device number {device} ({count} found)", "check the driver with: nvidia-smi")
    try:
        compiler = nvrtc.load()
    except InfrastructureError as error:
        return Absence("NVRTC missing", error.remedy)
    if compiler.version[0] > driver // 1000:
        version = ".".join(map(str, compiler.version))
        return Absence(
            f"NVRTC {version} is newer than the driver (CUDA {driver // 1000}.{driver % 1000 // 10})",
            f"update the driver, or pip install 'mcrisk[cuda{driver // 1000}]'",
        )
    capability = cupy.cuda.Device(device).compute_capability
    if architecture(capability, compiler.architectures) is None:
        return Absence(
            f"no code for compute capability {capability}",
            f"NVRTC compiles for {', '.join(map(str, compiler.architectures))}; update it or use the CPU",
        )
    return None


def architecture(capability: str, known: tuple[int, ...]) -> str | None:
    """The architecture whose code runs on a device: same major number, the highest minor not above its own.

    >>> architecture("86", (75, 80, 90)), architecture("120", (75, 80, 90))
    ('sm_80', None)
    """
    number = int(capability)
    usable = [each for each in known if each // 10 == number // 10 and each <= number]
    return f"sm_{max(usable)}" if usable else None


class GpuBackend(AbstractBackend):
    """One CUDA device. `run` may be called from several threads; each gets its own stream and memory."""

    name: ClassVar[str] = "gpu"
    batch: ClassVar[int] = LAUNCH_RUNS

    def __init__(self, device: int = 0) -> None:
        if missing := absence(device):
            raise InfrastructureError(f"GPU not usable: {missing.reason}", remedy=missing.remedy)
        self._cupy: Any = importlib.import_module("cupy")
        schema = load_schema()
        self._params_bytes = schema.params_bytes(4)
        self._record = schema.record_dtype(4)
        self._device = self._cupy.cuda.Device(device)
        self._threads = threading.local()
        properties = self._cupy.cuda.runtime.getDeviceProperties(device)
        self._device_name = properties["name"].decode()
        self._memory: int = properties["totalGlobalMem"]
        watched = bool(self._device.attributes.get("KernelExecTimeout", 0))
        self._launch_runs = WATCHED_LAUNCH_RUNS if watched else LAUNCH_RUNS
        compiler = nvrtc.load()
        self._architecture = architecture(self._device.compute_capability, compiler.architectures)
        assert self._architecture is not None  # absence() has looked
        source = nvrtc.read_source(kernel_folder())
        cubin, self.usage = nvrtc.cached_cubin(source, self._architecture, [f"-DMCR_PARAMS_BYTES={self._params_bytes}"])
        with self._device:
            self._module = self._cupy.RawModule(path=str(cubin))
            self._descend = self._module.get_function("descend")
            self._gather = self._module.get_function("gather")

    def describe(self) -> str:
        """One line: device, architecture, registers and spills of the kernel."""
        usage, version = self.usage, ".".join(map(str, nvrtc.load().version))
        spills = usage.spill_stores + usage.spill_loads
        return (
            f"{self._device_name} ({self._architecture}, {self._memory / 1e9:.0f} GB), NVRTC {version}, "
            f"{usage.registers} registers, {spills} bytes of spills"
        )

    def run(self, params: bytes, seed: int, first: int, count: int) -> NDArray[np.void]:
        """Records of runs first .. first + count - 1, in order: (count,) of the schema's record type."""
        if len(params) != self._params_bytes:
            expected, got = f"{self._params_bytes} bytes (real of 4)", str(len(params))
            raise InfrastructureError("Params", expected, got, "pack the mission again")
        if not (0 <= seed < 1 << 64 and 0 <= first <= (1 << 64) - count):
            raise MistakeError("seed and run numbers", "0 .. 2^64 - 1", f"{seed} and {first}")
        records = np.empty(count, self._record)
        with self._device:
            done, size = 0, min(self._launch_runs, max(count, 1), self._runs_in_memory())
            while done < count:
                runs = min(size, count - done)
                try:
                    self._launch(params, seed, first + done, records[done : done + runs])
                    done += runs
                except Exception as error:
                    if not out_of_memory(error):
                        raise InfrastructureError(f"{self._device_name} failed: {error}") from error
                    self._threads.__dict__.clear()
                    self._cupy.get_default_memory_pool().free_all_blocks()
                    if size <= LAUNCH_RUNS_MIN:
                        raise InfrastructureError(
                            f"{self._device_name}: out of memory at {size} runs per launch", remedy="free the GPU"
                        ) from error
                    size = max(size // 2, LAUNCH_RUNS_MIN)
        return records

    def _runs_in_memory(self) -> int:
        """Runs whose records, as columns and as rows, fit the allowed part of the free memory."""
        free, _ = self._cupy.cuda.runtime.memGetInfo()
        held = getattr(self._threads, "capacity", 0)
        return max(held, int(free * MEMORY_FRACTION) // (2 * self._record.itemsize), LAUNCH_RUNS_MIN)

    def _launch(self, params: bytes, seed: int, first: int, records: NDArray[np.void]) -> None:
        """Fly `len(records)` runs in one launch and wait for them."""
        own, count, words = self._threads, len(records), self._record.itemsize // 4
        if getattr(own, "capacity", 0) < count:
            own.__dict__.clear()
            stream = self._cupy.cuda.Stream(non_blocking=True)
            columns, rows = (self._cupy.empty(count * words, np.uint32) for _ in range(2))
            own.stream, own.columns, own.rows, own.capacity = stream, columns, rows, count
        with own.stream:
            block = np.frombuffer(params, f"V{len(params)}")  # one element: cupy passes it by value
            arguments = (block, np.uint64(seed), np.uint64(first), np.uint32(count), own.columns)
            self._descend((-(-count // THREADS),), (THREADS,), arguments)
            self._gather((-(-count * words // THREADS),), (THREADS,), (own.columns, np.uint32(count), own.rows))
            own.rows[: count * words].get(out=records.view(np.uint32))


def out_of_memory(error: BaseException) -> bool:
    """Whether a cupy or CUDA error says that device memory ran out."""
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower()
