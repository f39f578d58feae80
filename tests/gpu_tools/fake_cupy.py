"""The part of cupy that the GPU backend uses, on a CPU: memory is numpy's, kernels are PTX through the executor.

As on a device, what a stream is given is done when it is waited for; memory that becomes free before is noted.
`CpuKernels` stands in for the PTX where only what surrounds the kernels is of interest: the CPU library flies and sums.
"""

from __future__ import annotations

import ctypes
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from mcrisk.backends import gpu
from mcrisk.backends.cpu import CpuBackend, _summing
from mcrisk.schema import load_schema
from mcrisk.sums import SUMS, bars, most_occupied, plan


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError."""


class RuntimeFailure(RuntimeError):
    """As cupy.cuda.runtime.CUDARuntimeError."""


class Kernels(Protocol):
    """What a launch asks: a kernel by name, blocks, threads of each, the bytes of its arguments."""

    def launch(self, name: str, grid: int, block: int, arguments: Sequence[bytes], rows: int = 1) -> None: ...


class Work(NamedTuple):
    """What a stream has to do, and the memory that this needs."""

    do: Callable[[], None]
    memory: Sequence[np.ndarray[Any, Any]] = ()


class Array:
    """Device memory; `owner` is told when it is free again."""

    def __init__(self, words: np.ndarray[Any, Any], owner: FakeCupy, held: int = 0, whole: Array | None = None) -> None:
        self.words, self.owner, self.held = words, owner, held
        self.whole = whole  # as long as a part is in use, so is the whole
        self.memory: np.ndarray[Any, Any] = words if whole is None else whole.memory
        with owner.lock:
            owner.used += held

    @property
    def data(self) -> Array:
        """What may be filled."""
        return self

    @property
    def ptr(self) -> int:
        """Its address."""
        return self.words.ctypes.data

    def __del__(self) -> None:
        if self.held:
            self.owner.freed(self)

    def __getitem__(self, part: slice) -> Array:
        return Array(self.words[part], self.owner, whole=self)

    def get(self, out: np.ndarray[Any, Any]) -> None:
        """Copy to the host: waits for the stream."""
        self.owner.current.synchronize()
        self.owner.events.append("copy")
        assert out.shape == self.words.shape and out.dtype == self.words.dtype
        out[...] = self.words

    def set(self, given: np.ndarray[Any, Any], stream: Stream) -> None:
        """Copy from the host, in its turn."""
        assert given.shape == self.words.shape and given.dtype == self.words.dtype
        self.owner.events.append("set")
        stream.todo.append(Work(lambda: self.words.__setitem__(slice(None), given), [self.memory]))

    def memset_async(self, value: int, size: int, stream: Stream) -> None:
        """Fill the first bytes."""
        words = self.words.view(np.uint8)[:size]
        stream.todo.append(Work(lambda: words.fill(value), [self.memory]))


class Device:
    """A device: entered, left, nothing else."""

    compute_capability = "90"
    attributes: dict[str, int] = {}  # noqa: RUF012  as cupy

    def __init__(self, owner: FakeCupy) -> None:
        self.owner = owner

    def __enter__(self) -> Device:
        self.owner.calls += 1
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Stream:
    """A stream, whose work is done when it is waited for."""

    def __init__(self, owner: FakeCupy) -> None:
        self.owner = owner
        self.todo: deque[Work] = deque()

    def __enter__(self) -> Stream:
        self.owner.entered.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        self.owner.entered.pop()

    def synchronize(self) -> None:
        self.owner.check()
        while self.todo:
            self.todo[0].do()
            self.todo.popleft()


class Event:
    """A mark in a stream."""

    def record(self, stream: Stream) -> None:
        self.stream = stream
        stream.todo.append(Work(self.mark))

    def mark(self) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        self.stream.synchronize()


class FakeCupy(types.ModuleType):
    """One device.

    whole: [byte] of memory, at most in use; refused: how often it did not suffice. free: what memGetInfo says; pooled:
    what cupy's pool says. launches: the runs of each. events: launches
    by name and copies, in order. grids: blocks and cases of the launches of several cases. failing: a launch of a run
    with this number fails, and so does everything after it where `sticky`. streams: all of them. calls: how often the
    device was asked for anything. early: memory that became free while a stream still needed it.
    """

    def __init__(
        self, module: Kernels | None = None, devices: int = 1, driver: int = 13000, several: Kernels | None = None
    ) -> None:
        super().__init__("cupy")
        self.several, self.modules = several, 0
        self.grids: list[tuple[int, ...]] = []
        self.whole = self.free = 1 << 40
        self.used = self.calls = self.refused = self.pooled = 0
        self.streams: list[Stream] = []
        self.early: list[str] = []
        self.lock, self._own = threading.RLock(), threading.local()
        self.launches: list[int] = []
        self.events: list[str] = []
        self.failing: int | None = None
        self.sticky = self.lost = False
        self.module = module
        runtime = types.SimpleNamespace(
            getDeviceCount=lambda: devices,
            driverGetVersion=lambda: driver,
            memGetInfo=self.memory_info,
            getDeviceProperties=lambda device: {"name": b"Fake", "totalGlobalMem": 1 << 34},
            deviceSynchronize=self.check,
        )
        self.cuda = types.SimpleNamespace(
            runtime=runtime, Device=lambda number: Device(self), Stream=self.make_stream, Event=Event,
            get_elapsed_time=lambda begun, ended: 1e3 * (ended.time - begun.time),
        )  # fmt: skip

    def make_stream(self, non_blocking: bool) -> Stream:
        assert non_blocking
        self.check()
        with self.lock:
            self.streams.append(Stream(self))
            return self.streams[-1]

    @property
    def entered(self) -> list[Stream]:
        """The streams that this thread has entered."""
        if not hasattr(self._own, "entered"):
            self._own.entered = []
        found: list[Stream] = self._own.entered
        return found

    @property
    def current(self) -> Stream:
        """That of this thread's next call."""
        return self.entered[-1]

    def freed(self, array: Array) -> None:
        """Its memory is another's from here on, whatever a stream still does with it."""
        with self.lock:
            self.used -= array.held
            waiting = [work for stream in self.streams for work in tuple(stream.todo)]
            if not self.lost and any(array.memory is one for work in waiting for one in work.memory):
                self.early.append(f"{array.held} bytes")

    def check(self) -> None:
        """Fail as every call does after a sticky error."""
        self.calls += 1
        if self.lost:
            raise RuntimeFailure("cudaErrorIllegalAddress: an illegal memory access was encountered")

    def memory_info(self) -> tuple[int, int]:
        """Free and whole memory."""
        self.check()
        return self.free, self.free

    def empty(self, count: int, dtype: type) -> Array:
        """Device memory, within the bounds; of any content."""
        self.check()
        size = count * np.dtype(dtype).itemsize
        if self.used + size > self.whole:
            self.refused += 1
            raise OutOfMemoryError("Out of memory allocating")
        return Array(np.full(size, 0xAB, np.uint8).view(dtype), self, size)

    def get_default_memory_pool(self) -> types.SimpleNamespace:
        """The pool that the backend empties when memory runs out."""
        return types.SimpleNamespace(free_all_blocks=lambda: None, free_bytes=lambda: self.pooled)

    def RawModule(self, path: str) -> types.SimpleNamespace:
        """The kernels given at the start, whatever the path holds; each later one is the module of several cases."""
        self.check()
        self.modules += 1
        several = self.several
        if self.modules == 1 or several is None:
            return types.SimpleNamespace(get_function=self.kernel)
        return types.SimpleNamespace(get_function=lambda name: self.kernel(name, several))

    def kernel(self, name: str, module: Kernels | None = None) -> Any:
        """A kernel that is launched by calling it."""
        kernels = module or self.module

        def launch(grid: tuple[int, ...], block: tuple[int], arguments: tuple[Any, ...]) -> None:
            assert kernels is not None
            self.check()
            self.events.append(name)
            if name == "descend" and len(arguments) == 6:
                first, count = int(arguments[3]), int(arguments[4])
                self.launches.append(count)
                if self.failing is not None and first <= self.failing < first + count:
                    self.lost = self.sticky
                    raise RuntimeFailure("cudaErrorLaunchFailure: unspecified launch failure")
            elif name == "descend":
                self.grids.append(grid)
            words = [
                a.words.ctypes.data.to_bytes(8, "little") if isinstance(a, Array) else a.tobytes() for a in arguments
            ]
            used = [a.memory for a in arguments if isinstance(a, Array)]
            self.current.todo.append(Work(lambda: kernels.launch(name, grid[0], block[0], words, *grid[1:]), used))

        return launch


class CpuKernels:
    """The kernels of descend.cu by the CPU library."""

    def __init__(self) -> None:
        self.cpu, self.record = CpuBackend(), load_schema().record_dtype(4)
        self.words, self.cases = self.record.itemsize // 4, gpu.cases(self.cpu.params_bytes)

    def launch(self, name: str, grid: int, block: int, arguments: Sequence[bytes], rows: int = 1) -> None:
        """As `PtxModule.launch`."""
        getattr(self, "several" if len(arguments) == 4 and name == "descend" else name)(*arguments)

    def descend(self, params: bytes, heights: bytes, seed: bytes, first: bytes, count: bytes, columns: bytes) -> None:
        ground = self.heights(params, number(heights))
        flown = self.flown(params, number(seed), number(first), number(count), ground)
        self.columns(columns, number(count))[:] = flown

    def heights(self, params: bytes, place: int) -> bytes:
        """The elevation model at an address, as many heights as the Params tell of."""
        count = load_schema().slots["relief.count"].offset_bytes(4)
        words = int.from_bytes(params[count : count + 4], "little") if place else 0
        return memory(place.to_bytes(8, "little"), np.uint8, 4 * words).tobytes()

    def several(self, cases: bytes, seed: bytes, count: bytes, columns: bytes) -> None:
        """Each case that has runs."""
        params, grounds, firsts, stops = np.frombuffer(cases, self.cases)[0]
        starts, whole = (0, *stops[:-1]), self.columns(columns, number(count))
        for params_, place, first, start, stop in zip(params, grounds, firsts, starts, stops, strict=True):
            if start < stop:
                own, count = params_.tobytes(), int(stop - start)
                ground = self.heights(own, int(place))
                whole[:, start:stop] = self.flown(own, number(seed), int(first), count, ground)

    def flown(self, *given: Any) -> np.ndarray[Any, Any]:
        return self.cpu.run(*given).view(np.uint32).reshape(-1, self.words).T

    def gather(self, columns: bytes, stride: bytes, count: bytes, rows: bytes) -> None:
        memory(rows, np.uint32, self.words * number(count))[:] = self.rows(columns, stride, count).reshape(-1)

    def columns(self, columns: bytes, count: int, stride: int = 0) -> np.ndarray[Any, Any]:
        """Word and run of `count` runs of a launch of `stride`."""
        given = memory(columns, np.uint32, (self.words - 1) * (stride or count) + count)
        return np.lib.stride_tricks.as_strided(given, (self.words, count), (4 * (stride or count), 4))

    def rows(self, columns: bytes, stride: bytes, count: bytes) -> np.ndarray[Any, Any]:
        return np.ascontiguousarray(self.columns(columns, number(count), number(stride)).T)

    def tally(self, *given: bytes) -> None:
        """The histogram is left as the kernel leaves it: the library empties it."""
        _, columns, stride, count, sums, histogram, bins = given
        rows, most = self.rows(columns, stride, count), most_occupied(number(count))
        counts, landed = np.empty(most, np.uint64), np.empty(len(rows), np.uint8)
        places = (number(one) for one in (sums, histogram, bins))
        blocks = plan().ctypes.data, rows.ctypes.data, len(rows), *places, counts.ctypes.data, landed.ctypes.data
        _summing().mcr_tally(*blocks)
        occupied = int(memory(sums, SUMS, 1)["occupied"][0])
        memory(histogram, np.uint64, bars())[memory(bins, np.uint32, occupied)] = counts[:occupied]

    def sift(self, sums: bytes, histogram: bytes, bins: bytes, counts: bytes) -> None:
        occupied = int(memory(sums, SUMS, 1)["occupied"][0])
        found = memory(histogram, np.uint64, bars())[memory(bins, np.uint32, occupied)]
        memory(counts, np.uint64, occupied)[:] = found

    def landings(self, _: bytes, columns: bytes, stride: bytes, count: bytes, landed: bytes) -> None:
        success = self.rows(columns, stride, count)[:, plan()["outcome"][0]] == plan()["success"][0]
        bits = np.packbits(success, bitorder="little")
        memory(landed, np.uint8, len(bits))[:] = bits


def number(argument: bytes) -> int:
    """An integer argument, or the address of one that is memory."""
    return int.from_bytes(argument, "little")


def memory(argument: bytes, kind: Any, count: int) -> np.ndarray[Any, Any]:
    """What lies at an address."""
    size = np.dtype(kind).itemsize * count
    return np.frombuffer((ctypes.c_uint8 * size).from_address(number(argument)), kind) if size else np.empty(0, kind)
