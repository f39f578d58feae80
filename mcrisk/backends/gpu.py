"""The GPU backend: one thread per run, a whole batch in a few launches; the only file that imports cupy.

cupy gives memory, module loading and launches. The kernel itself is compiled by nvrtc.py, so that its bits
are those of the CPU.

What is flown is a list of launches. Several are under way at once, each with its own stream, its own memory and its own
Params in constant memory: small cases fill the device together, and a large batch flies while the one before is summed
and copied. Where there are more small cases than launches, several share one. The device sums the runs itself; where
records are kept, all are copied and the host keeps those wanted.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import itertools
import threading
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from mcrisk.errors import InfrastructureError, LostDeviceError, McriskError, MistakeError
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema
from mcrisk.sums import PLAN, SUMS, bars, most_occupied, plan, tally_of
from mcrisk.tally import Tally, merge

from . import CONNECTIONS, AbstractBackend, Piece, Summed, check_heights, kept, nvrtc, prepare_driver

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.flight import Keep

__all__ = ["Absence", "GpuBackend", "absence"]

THREADS = 128  # per block: several blocks share one multiprocessor at 100 to 200 registers per thread
LAUNCH_RUNS = 1 << 20  # [run] most in one launch: enough that the last partial wave costs little
WATCHED_LAUNCH_RUNS = 1 << 14  # [run] the same on a GPU that also drives a display and kills long kernels
LAUNCH_RUNS_MIN = 1 << 10  # [run] below this, memory is too short to be useful
HEIGHTS_KEPT = 8  # elevation models on the device, of a few megabytes each
LAUNCHES = CONNECTIONS  # under way at most, for each thread that flies
SMALL_RUNS = 1 << 13  # [run] of cases that share a grid, where there are more of them than launches
CASES_BYTES = 32_000  # [byte] of several Params as arguments of a kernel: 32 764 since CUDA 12.1
SEVERAL_DRIVER, SEVERAL_NVRTC = 12010, (12, 1)
WORD = 32  # [run] in one word of landing bits: launches of one piece are cut there
WAIT_SECONDS = 1.0  # between two looks at whether memory was given back
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


def absence() -> Absence | None:
    """Why the GPU cannot be used, the first failing step; None when it can."""
    prepare_driver()
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
    if count == 0:
        return Absence("no CUDA device", "check the driver with: nvidia-smi")
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
    capability = cupy.cuda.Device(0).compute_capability
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
class Part:
    """Runs first, ..., first + count - 1 of one piece."""

    piece: int  # its number
    first: int
    count: int


class Flying(NamedTuple):
    """A part under way: arrays of the device, None of what is not wanted."""

    part: Part
    rows: Any
    block: Any  # histogram, sums, landing bits
    bins: Any
    counts: Any


@dataclass(frozen=True)
class Launch:
    """A part, or parts of several pieces, under way."""

    flying: Sequence[Flying]
    stream: Any
    columns: Any
    grounds: Sequence[Any]  # elevation models


@dataclass(frozen=True)
class Landed:
    """What a launch gave, None of what was not asked for."""

    piece: int
    tally: Tally | None
    bits: NDArray[np.uint8] | None
    records: NDArray[np.void] | None


class Traffic:
    """Launches of all threads: how many are under way, how many have landed."""

    def __init__(self) -> None:
        self.under_way = self.landed = 0
        self._changed = threading.Condition()

    def begun(self, allocate: Callable[[list[list[Any]]], None]) -> list[list[Any]]:
        """The memory of one more that is under way: all of it, or none is held and no other thread saw it taken."""
        found: list[list[Any]] = []
        with self._changed:
            try:
                allocate(found)
            except BaseException:
                for own in found:
                    own.clear()
                raise
            self.under_way += 1
        return found

    def end(self, launches: int) -> None:
        """So many have landed, and their memory is free."""
        with self._changed:
            self.under_way, self.landed = self.under_way - launches, self.landed + launches
            self._changed.notify_all()

    def awaited(self, before: int) -> bool:
        """Whether one has landed since that many had, waiting for it where one is under way."""
        with self._changed:
            while self.landed == before and self.under_way:
                self._changed.wait(WAIT_SECONDS)
            return self.landed != before


class GpuBackend(AbstractBackend):
    """The first CUDA device of this process, for any number of threads: each has its own streams and memory."""

    name: ClassVar[str] = "gpu"
    batch: ClassVar[int] = 8 * LAUNCH_RUNS

    def __init__(self) -> None:
        if missing := absence():
            raise InfrastructureError(f"GPU not usable: {missing.reason}", remedy=missing.remedy)
        self._cupy: Any = importlib.import_module("cupy")
        schema = load_schema()
        self._params_bytes = schema.params_bytes(4)
        self._record, self._bars = schema.record_dtype(4), bars()
        self._device = self._cupy.cuda.Device(0)
        self._threads = threading.local()
        properties = self._cupy.cuda.runtime.getDeviceProperties(0)
        self._device_name = properties["name"].decode()
        self._memory: int = properties["totalGlobalMem"]
        watched = bool(self._device.attributes.get("KernelExecTimeout", 0))
        self._launch_runs = WATCHED_LAUNCH_RUNS if watched else LAUNCH_RUNS
        compiler = nvrtc.load()
        self._architecture = architecture(self._device.compute_capability, compiler.architectures)
        assert self._architecture is not None  # absence() has looked
        source = nvrtc.read_source(kernel_folder())
        cubin, self.usage = nvrtc.cached_cubin(source, self._architecture, [f"-DMCR_PARAMS_BYTES={self._params_bytes}"])
        self._cases = cases(self._params_bytes)
        self._driver: int = self._cupy.cuda.runtime.driverGetVersion()
        self._lock, self._traffic = threading.Lock(), Traffic()
        self._heights: OrderedDict[bytes, Any] = OrderedDict()  # elevation models on the device
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

    def run(self, params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> NDArray[np.void]:
        """Records of runs first .. first + count - 1, in order: (count,) of the schema's record type."""
        piece = Piece(params, first, count, heights)
        parts = [one.records for one in self._fly([piece], seed, sums=False, rows=True)]
        return np.concatenate([part for part in parts if part is not None] or [np.empty(0, self._record)])

    def sums(self, pieces: Sequence[Piece], seed: int, keep: Keep) -> list[Summed]:
        """Each piece flown and summed, all by the device; where records of losses are kept, all are copied first."""
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

        The next launches are under way before one is waited for. Where memory runs out, those under way are awaited,
        those of other threads too; then launches are halved.
        """
        self._check(pieces, seed)
        todo = deque(Part(number, one.first, one.count) for number, one in enumerate(pieces) if one.count)
        flying: deque[Launch] = deque()
        try:
            with self._device:
                allowed, size, most = self._allowed(), self._launch_runs, -(-len(todo) // LAUNCHES)
                if most > 1:
                    most = min(most, self._several())
                while size > LAUNCH_RUNS_MIN and 2 * self._bytes([size], sums, rows) > allowed:
                    size = _half(size)
                while todo or flying:
                    parts = _next(todo, size, most)
                    if todo and self._room(parts, flying, allowed, sums, rows):
                        before: int | None = self._traffic.landed
                        try:
                            memory = self._traffic.begun(partial(self._allocate, parts, sums, rows))
                            before = None  # what a launch takes beside its memory is not what others give back
                            flying.append(self._launch(pieces, parts, seed, memory))
                        except Exception as error:
                            if not out_of_memory(error):
                                raise
                            if not flying and before is not None and self._traffic.awaited(before):
                                continue
                            if not flying:
                                size, most = self._smaller(size, parts, error), 1
                                continue
                        else:
                            for part in parts:
                                whole = todo.popleft()
                                if part.count < whole.count:  # it is the only one
                                    rest = whole.first + part.count, whole.count - part.count
                                    todo.appendleft(Part(whole.piece, *rest))
                            continue
                    yield from self._landed(flying[0])
                    self._streams.append(flying.popleft().stream)
                    self._traffic.end(1)
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold memory of what failed
            if isinstance(error, McriskError):
                raise
            raise self._failure(error) from error
        finally:
            while flying:
                with contextlib.suppress(Exception):
                    flying[-1].stream.synchronize()  # its memory is in use until then
                flying.pop()
                self._traffic.end(1)

    def _check(self, pieces: Sequence[Piece], seed: int) -> None:
        if self._lost:
            raise LostDeviceError(f"{self._device_name} was lost: {self._lost}")
        for one in pieces:
            if len(one.params) != self._params_bytes:
                expected, got = f"{self._params_bytes} bytes (real of 4)", str(len(one.params))
                raise InfrastructureError("Params", expected, got, "pack the mission again")
            check_heights(one.params, one.heights)
            if not (0 <= seed < 1 << 64 and 0 <= one.first <= (1 << 64) - one.count):
                raise MistakeError("seed and run numbers", "0 .. 2^64 - 1", f"{seed} and {one.first}")

    def _allowed(self) -> int:
        """Device memory that the launches of this thread may take together, [byte]."""
        free, _ = self._cupy.cuda.runtime.memGetInfo()
        return int((free + self._cupy.get_default_memory_pool().free_bytes()) * MEMORY_FRACTION)

    def _room(self, parts: Sequence[Part], flying: Sequence[Launch], allowed: int, sums: bool, rows: bool) -> bool:
        """Whether these can fly beside those that do."""
        if not flying:
            return True
        counts = [part.count for part in (*parts, *(one.part for launch in flying for one in launch.flying))]
        return (
            len(flying) < LAUNCHES
            and sum(counts) <= 2 * self._launch_runs
            and self._bytes(counts, sums, rows) <= allowed
        )

    def _bytes(self, counts: Sequence[int], sums: bool, rows: bool) -> int:
        """Device memory of parts of so many runs."""
        found = sum(counts) * self._record.itemsize * (1 + rows)
        if sums:
            found += sum(
                8 * self._bars + SUMS.itemsize + -(-runs // 64) * 8 + 12 * most_occupied(runs) for runs in counts
            )
        return found

    def _smaller(self, size: int, parts: Sequence[Part], error: Exception) -> int:
        """The size of a launch where these alone found no memory; several are tried one by one first."""
        self._cupy.get_default_memory_pool().free_all_blocks()
        if len(parts) > 1:
            return size
        runs = parts[0].count
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

    def _launch(self, pieces: Sequence[Piece], parts: Sequence[Part], seed: int, memory: list[list[Any]]) -> Launch:
        """Let the device begin to fly these parts; their memory is the launch's from here on, or free again."""
        try:
            launch = self._begin(pieces, parts, seed, memory)
            memory.clear()
        except BaseException as error:
            memory.clear()
            traceback.clear_frames(error.__traceback__)  # they hold it too
            self._traffic.end(1)
            raise
        return launch

    def _begin(self, pieces: Sequence[Piece], parts: Sequence[Part], seed: int, memory: Sequence[list[Any]]) -> Launch:
        """Let the device begin to fly these parts; nothing is awaited."""
        stride, words = sum(part.count for part in parts), self._record.itemsize // 4
        zeros = self._bars + SUMS.itemsize // 8
        (columns,), *arrays = memory
        flying = [Flying(part, *own) for part, own in zip(parts, arrays, strict=True)]
        stream = self._streams.pop() if self._streams else self._cupy.cuda.Stream(non_blocking=True)

        def start(name: str, threads: int, *arguments: Any) -> None:
            self._kernels[name]((-(-threads // THREADS),), (THREADS,), arguments)

        try:
            with stream:
                grounds = self._descend(pieces, parts, seed, columns, stream)
                place, words_of = 0, plan().view(f"V{PLAN.itemsize}")  # one element: cupy passes it by value
                for part, table, block, bins, counts in flying:
                    count = part.count
                    given = columns[place:], np.uint32(stride), np.uint32(count)
                    if block is not None:
                        histogram, own = block[: self._bars], block[self._bars : zeros]
                        block.data.memset_async(0, 8 * zeros, stream)
                        start("tally", count, words_of, *given, own, histogram, bins)
                        start("sift", most_occupied(count), own, histogram, bins, counts)
                        start("landings", -(-count // WORD), words_of, *given, block[zeros:])
                    if table is not None:
                        start("gather", count * words, *given, table)
                    place += count
        except BaseException:
            with contextlib.suppress(Exception):
                stream.synchronize()  # its memory is in use until then
            raise
        return Launch(flying, stream, columns, grounds)

    def _allocate(self, parts: Sequence[Part], sums: bool, rows: bool, found: list[list[Any]]) -> None:
        """Device memory: the columns of all parts; then of each its rows, block, bins and counts."""
        words, empty = self._record.itemsize // 4, self._cupy.empty
        found.append([empty(sum(part.count for part in parts) * words, np.uint32)])
        for part in parts:
            found.append(own := [empty(part.count * words, np.uint32) if rows else None])
            if sums:
                most = most_occupied(part.count)
                own.append(empty(self._bars + SUMS.itemsize // 8 + -(-part.count // 64), np.uint64))
                own.append(empty(most, np.uint32))
                own.append(empty(most, np.uint64))
            else:
                own += [None] * 3

    def _descend(
        self, pieces: Sequence[Piece], parts: Sequence[Part], seed: int, columns: Any, stream: Any
    ) -> list[Any]:
        """Let the device fly: one case alone, whose Params are then constants of the code, or several in one grid.

        What it gives back is the memory of elevation models in use.
        """
        grounds = [self._on_device(one, stream) if (one := pieces[part.piece].heights) else None for part in parts]
        counts = np.array([part.count for part in parts], np.uint32)
        blocks, given = -(-int(counts.max()) // THREADS), (np.uint64(seed), np.uint32(counts.sum()), columns)
        if len(parts) == 1:
            piece = pieces[parts[0].piece]
            params, number, *rest = np.frombuffer(piece.params, f"V{self._params_bytes}"), *given
            heights = np.uint64(0) if grounds[0] is None else grounds[0]
            arguments = (params, heights, number, np.uint64(parts[0].first), *rest)
            self._kernels["descend"]((blocks,), (THREADS,), arguments)
            return grounds
        cases = np.zeros(1, self._cases)
        for k, part in enumerate(parts):
            cases["params"][0, k] = np.frombuffer(pieces[part.piece].params, np.uint32)
            cases["first"][0, k] = part.first
            if (ground := grounds[k]) is not None:
                cases["heights"][0, k] = ground.data.ptr
        cases["stop"][0, : len(parts)] = np.cumsum(counts)
        self._several_cases()((blocks, len(parts)), (THREADS,), (cases.view(f"V{self._cases.itemsize}"), *given))
        return grounds

    def _on_device(self, heights: bytes, stream: Any) -> Any:
        """The heights of an elevation model in device memory, copied there once. A launch keeps what it reads."""
        with self._lock:
            if heights not in self._heights:
                array = self._cupy.empty(len(heights) // 4, np.uint32)
                array.set(np.frombuffer(heights, np.uint32), stream)
                stream.synchronize()  # other streams read it, too
                self._heights[heights] = array
                if len(self._heights) > HEIGHTS_KEPT:
                    self._heights.popitem(last=False)
            self._heights.move_to_end(heights)
            return self._heights[heights]

    def _several(self) -> int:
        """Cases of one grid, at most."""
        if self._driver < SEVERAL_DRIVER or nvrtc.load().version < SEVERAL_NVRTC:
            return 1
        return int(self._cases["first"].shape[0])

    def _several_cases(self) -> Any:
        """The kernel that flies several cases: compiled when it is first asked for."""
        with self._lock:
            if "several" not in self._kernels:
                source, options = nvrtc.read_source(kernel_folder()), several_options(self._params_bytes)
                cubin, _ = nvrtc.cached_cubin(source, str(self._architecture), options)
                self._kernels["several"] = self._cupy.RawModule(path=str(cubin)).get_function("descend")
            return self._kernels["several"]

    def _landed(self, launch: Launch) -> Iterator[Landed]:
        """Wait for a launch, and copy what it gave."""
        for part, table, block, bins, counts in launch.flying:
            tally = bits = records = None
            with launch.stream:
                if block is not None:
                    head = np.empty(SUMS.itemsize // 8 + -(-part.count // 64), np.uint64)
                    block[self._bars :].get(out=head)
                    sums = head[: SUMS.itemsize // 8].view(SUMS)
                    bits = head[SUMS.itemsize // 8 :].view(np.uint8)[: -(-part.count // 8)]
                    occupied = int(sums["occupied"][0])
                    places, numbers = np.empty(occupied, np.uint32), np.empty(occupied, np.uint64)
                    if occupied:
                        bins[:occupied].get(out=places)
                        counts[:occupied].get(out=numbers)
                    tally = tally_of(sums, places, numbers, part.first, part.count)
                if table is not None:
                    records = np.empty(part.count, self._record)
                    table.get(out=records.view(np.uint32))
            yield Landed(part.piece, tally, bits, records)

    def _failure(self, error: Exception) -> McriskError:
        """What to raise of an error: whether the device can still be used, only the device tells."""
        try:
            self._cupy.cuda.runtime.deviceSynchronize()
        except Exception:  # as every later call
            self._lost = str(error)
            return LostDeviceError(f"{self._device_name} was lost: {error}")
        return InfrastructureError(f"{self._device_name} failed: {error}")


def cases(params_bytes: int) -> np.dtype[np.void]:
    """`Cases` of descend.cu: as many as the arguments of a kernel hold."""
    most = CASES_BYTES // (params_bytes + 24)
    words = [
        ("params", "<u4", (most, params_bytes // 4)), ("heights", "<u8", most), ("first", "<u8", most),
        ("stop", "<u4", most),
    ]  # fmt: skip
    return np.dtype(words, align=True)


def several_options(params_bytes: int) -> list[str]:
    """What makes descend.cu the kernel of several cases."""
    return [f"-DMCR_PARAMS_BYTES={params_bytes}", f"-DMCR_SEVERAL={cases(params_bytes)['first'].shape[0]}"]


def _next(todo: Sequence[Part], size: int, most: int) -> list[Part]:
    """What the next launch flies: a part of at most so many runs, or at most so many small cases."""
    if not todo:
        return []
    parts = [replace(todo[0], count=min(todo[0].count, size))]
    for other in itertools.islice(todo, 1, most):
        if max(parts[0].count, other.count) > SMALL_RUNS or other.count + sum(one.count for one in parts) > size:
            break
        parts.append(other)
    return parts


def _half(size: int) -> int:
    return max(size // 2 // WORD * WORD, LAUNCH_RUNS_MIN)


def out_of_memory(error: BaseException) -> bool:
    """Whether a cupy or CUDA error says that device memory ran out."""
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower()
