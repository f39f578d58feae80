"""The GPU backend: one thread per run, a whole batch in a few launches; the only file that imports cupy.

cupy gives memory, module loading and launches. The kernel itself is compiled by nvrtc.py, so that its bits
are those of the CPU.

What is flown is a list of launches. Several are under way at once, each with its own stream, its own memory and its own
Params in constant memory: many small cases fill the device together, and a large batch flies while the one before is
summed and copied. The device sums the runs itself; records are copied only where they are asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mcrisk.errors import InfrastructureError, LostDeviceError, McriskError, MistakeError
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema
from mcrisk.sums import BARS, PLAN, SUMS, most_occupied, plan, tally_of
from mcrisk.tally import Tally, merge

from . import CONNECTIONS, AbstractBackend, Piece, Summed, kept, nvrtc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.flight import Keep

__all__ = ["Absence", "GpuBackend", "absence"]

THREADS = 128  # per block: several blocks share one multiprocessor at 100 to 200 registers per thread
LAUNCH_RUNS = 1 << 20  # [run] most in one launch: enough that the last partial wave costs little
WATCHED_LAUNCH_RUNS = 1 << 14  # [run] the same on a GPU that also drives a display and kills long kernels
LAUNCH_RUNS_MIN = 1 << 10  # [run] below this, memory is too short to be useful
LAUNCHES = CONNECTIONS  # under way at most, for each thread that flies
WORD = 32  # [run] in one word of landing bits: launches of one piece are cut there
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


@dataclass(frozen=True)
class Launch:
    """Runs first, ..., first + count - 1 of one piece, under way. Arrays of the device, None of what is not wanted."""

    piece: int  # its number
    first: int
    count: int
    stream: Any
    columns: Any
    rows: Any
    block: Any  # histogram, sums, landing bits
    bins: Any
    counts: Any


@dataclass(frozen=True)
class Landed:
    """What a launch gave, None of what was not asked for."""

    piece: int
    tally: Tally | None
    bits: NDArray[np.uint8] | None
    records: NDArray[np.void] | None


class GpuBackend(AbstractBackend):
    """One CUDA device. It may be called from several threads; each gets its own streams and memory."""

    name: ClassVar[str] = "gpu"
    batch: ClassVar[int] = 8 * LAUNCH_RUNS

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
        self._lost = ""  # why this process can use the device no more
        try:
            with self._device:
                module = self._cupy.RawModule(path=str(cubin))
                names = ("descend", "gather", "tally", "sift", "landings")
                self._kernels = {name: module.get_function(name) for name in names}
        except Exception as error:
            raise InfrastructureError(f"{self._device_name} failed: {error}") from error

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
        parts = [one.records for one in self._fly([Piece(params, first, count)], seed, sums=False, rows=True)]
        return np.concatenate([part for part in parts if part is not None] or [np.empty(0, self._record)])

    def sums(self, pieces: Sequence[Piece], seed: int, keep: Keep) -> list[Summed]:
        """Each piece flown and summed, all by the device; of its records those of losses, all or none are copied."""
        parts: list[list[Landed]] = [[] for _ in pieces]
        for one in self._fly(pieces, seed, sums=True, rows=keep != "none"):
            parts[one.piece].append(one)
        found = []
        for piece, own in zip(pieces, parts, strict=True):
            if not own:  # of no runs
                found += super().sums([piece], seed, keep)
                continue
            landed = np.concatenate([one.bits for one in own if one.bits is not None])
            records = None
            if keep != "none":
                whole = np.concatenate([one.records for one in own if one.records is not None])
                records = kept(whole, landed, piece.first, keep)
            found.append(Summed(merge(one.tally for one in own if one.tally is not None), landed, records))
        return found

    # ------------------------------------------------------------------------------------------------ launches

    def _fly(self, pieces: Sequence[Piece], seed: int, *, sums: bool, rows: bool) -> Iterator[Landed]:
        """What each launch gave, in order, for all runs of all pieces.

        The next launches are under way before one is waited for. Where memory runs out, those under way are awaited;
        then launches are halved.
        """
        self._check(pieces, seed)
        todo = deque((number, one.first, one.count) for number, one in enumerate(pieces) if one.count)
        flying: deque[Launch] = deque()
        try:
            with self._device:
                allowed, size = self._allowed(), self._launch_runs
                while size > LAUNCH_RUNS_MIN and 2 * self._bytes(size, sums, rows) > allowed:
                    size = _half(size)
                while todo or flying:
                    if todo and self._room(min(todo[0][2], size), flying, allowed, sums, rows):
                        number, first, count = todo[0]
                        runs = min(count, size)
                        try:
                            flying.append(self._launch(pieces[number].params, seed, number, first, runs, sums, rows))
                        except Exception as error:
                            if not out_of_memory(error):
                                raise
                            if not flying:
                                size = self._smaller(size, runs, error)
                                continue
                        else:
                            todo.popleft()
                            if runs < count:
                                todo.appendleft((number, first + runs, count - runs))
                            continue
                    yield self._landed(flying[0])
                    self._streams.append(flying.popleft().stream)
        except McriskError:
            raise
        except Exception as error:
            raise self._failure(error) from error
        finally:
            for one in flying:  # their memory is in use until then
                with contextlib.suppress(Exception):
                    one.stream.synchronize()

    def _check(self, pieces: Sequence[Piece], seed: int) -> None:
        if self._lost:
            raise LostDeviceError(f"{self._device_name} was lost: {self._lost}")
        for one in pieces:
            if len(one.params) != self._params_bytes:
                expected, got = f"{self._params_bytes} bytes (real of 4)", str(len(one.params))
                raise InfrastructureError("Params", expected, got, "pack the mission again")
            if not (0 <= seed < 1 << 64 and 0 <= one.first <= (1 << 64) - one.count):
                raise MistakeError("seed and run numbers", "0 .. 2^64 - 1", f"{seed} and {one.first}")

    def _allowed(self) -> int:
        """Device memory that the launches of this thread may take together, [byte]."""
        free, _ = self._cupy.cuda.runtime.memGetInfo()
        return int((free + self._cupy.get_default_memory_pool().free_bytes()) * MEMORY_FRACTION)

    def _room(self, runs: int, flying: Sequence[Launch], allowed: int, sums: bool, rows: bool) -> bool:
        """Whether so many runs can fly beside those that do."""
        if not flying:
            return True
        counts = [runs, *(one.count for one in flying)]
        return (
            len(flying) < LAUNCHES
            and sum(counts) <= 2 * self._launch_runs
            and sum(self._bytes(count, sums, rows) for count in counts) <= allowed
        )

    def _bytes(self, runs: int, sums: bool, rows: bool) -> int:
        """Device memory of one launch."""
        found = runs * self._record.itemsize * (1 + rows)
        if sums:
            found += 8 * BARS + SUMS.itemsize + runs // 8 + 12 * most_occupied(runs)
        return found

    def _smaller(self, size: int, runs: int, error: Exception) -> int:
        """The size of a launch where one of so many runs alone found no memory."""
        self._cupy.get_default_memory_pool().free_all_blocks()
        if runs <= LAUNCH_RUNS_MIN:
            text = f"{self._device_name}: out of memory at {runs} runs per launch"
            raise InfrastructureError(text, remedy="free the GPU") from error
        return _half(min(size, -(-runs // WORD) * WORD))

    @property
    def _streams(self) -> list[Any]:
        """Streams of this thread that nothing uses."""
        own = self._threads
        if not hasattr(own, "streams"):
            own.streams = []
        streams: list[Any] = own.streams
        return streams

    def _launch(self, params: bytes, seed: int, number: int, first: int, count: int, sums: bool, rows: bool) -> Launch:
        """Let the device begin to fly `count` runs; nothing is awaited."""
        words, empty, kernels = self._record.itemsize // 4, self._cupy.empty, self._kernels
        columns, table = empty(count * words, np.uint32), empty(count * words, np.uint32) if rows else None
        block = bins = counts = None
        zeros, most = BARS + SUMS.itemsize // 8, most_occupied(count)
        if sums:
            block = empty(zeros + -(-count // 64), np.uint64)
            bins, counts = empty(most, np.uint32), empty(most, np.uint64)
        stream = self._streams.pop() if self._streams else self._cupy.cuda.Stream(non_blocking=True)

        def start(name: str, threads: int, *arguments: Any) -> None:
            kernels[name]((-(-threads // THREADS),), (THREADS,), arguments)

        try:
            with stream:
                runs = np.uint32(count)
                # one element each: cupy passes them by value
                given, words_of = np.frombuffer(params, f"V{len(params)}"), plan().view(f"V{PLAN.itemsize}")
                start("descend", count, given, np.uint64(seed), np.uint64(first), runs, columns)
                if block is not None:
                    block.data.memset_async(0, 8 * zeros, stream)
                    start("tally", count, words_of, columns, runs, block[BARS:zeros], block[:BARS], bins)
                    start("sift", most, block[BARS:zeros], block[:BARS], bins, counts)
                    start("landings", -(-count // WORD), words_of, columns, runs, block[zeros:])
                if table is not None:
                    start("gather", count * words, columns, runs, table)
        except BaseException:
            with contextlib.suppress(Exception):
                stream.synchronize()  # its memory is in use until then
            raise
        return Launch(number, first, count, stream, columns, table, block, bins, counts)

    def _landed(self, launch: Launch) -> Landed:
        """Wait for a launch, and copy what it gave."""
        tally = bits = records = None
        with launch.stream:
            if launch.block is not None:
                head = np.empty(SUMS.itemsize // 8 + -(-launch.count // 64), np.uint64)
                launch.block[BARS:].get(out=head)
                sums = head[: SUMS.itemsize // 8].view(SUMS)
                bits = head[SUMS.itemsize // 8 :].view(np.uint8)[: -(-launch.count // 8)]
                occupied = int(sums["occupied"][0])
                bins, counts = np.empty(occupied, np.uint32), np.empty(occupied, np.uint64)
                if occupied:
                    launch.bins[:occupied].get(out=bins)
                    launch.counts[:occupied].get(out=counts)
                tally = tally_of(sums, bins, counts, launch.first, launch.count)
            if launch.rows is not None:
                records = np.empty(launch.count, self._record)
                launch.rows.get(out=records.view(np.uint32))
            launch.stream.synchronize()
        return Landed(launch.piece, tally, bits, records)

    def _failure(self, error: Exception) -> McriskError:
        """What to raise of an error: whether the device can still be used, only the device tells."""
        try:
            self._cupy.cuda.runtime.deviceSynchronize()
        except Exception:  # as every later call
            self._lost = str(error)
            return LostDeviceError(f"{self._device_name} was lost: {error}")
        return InfrastructureError(f"{self._device_name} failed: {error}")


def _half(size: int) -> int:
    return max(size // 2 // WORD * WORD, LAUNCH_RUNS_MIN)


def out_of_memory(error: BaseException) -> bool:
    """Whether a cupy or CUDA error says that device memory ran out."""
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower()
