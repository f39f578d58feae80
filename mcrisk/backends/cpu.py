"""The CPU library through ctypes: the variant this processor runs fastest, no lock held, no threads inside."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mcrisk import native
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.schema import load_schema

from . import AbstractBackend, check_heights
from .build import real_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.tally import Tally

__all__ = ["CpuBackend", "cores", "fitting_variants", "sums_of", "variant_for"]

SUMMED_RUNS = 1 << 24  # [run] in one block of sums, at most
_OWN = threading.local()  # histogram of each thread that sums, which is empty in between

# What each x86-64 level adds over the one below, as /proc/cpuinfo spells it (x86-64 psABI 1.0, table 3.1).
LEVELS = {
    "v2": "popcnt sse4_1 sse4_2 ssse3",
    "v3": "avx avx2 bmi1 bmi2 f16c fma abm movbe",
    "v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}


class CpuBackend(AbstractBackend):
    """One variant of the CPU library, by default the best this processor runs; `f64` is the double oracle.

    path: the library, where it is not the installed one.
    """

    name: ClassVar[str] = "cpu"
    batch: ClassVar[int] = 1 << 16

    def __init__(self, variant: str | None = None, path: Path | None = None) -> None:
        self.variant = variant or variant_for(os.environ.get("MCRISK_ISA", ""), processor_flags())
        self.real = real_bytes(self.variant)
        self._library = _load(path or native.library_path(self.variant))
        schema = load_schema()
        self._record = schema.record_dtype(self.real)
        self._sample = schema.sample_dtype(self.real)
        self.params_bytes = schema.params_bytes(self.real)
        for name, expected in (
            ("params", self.params_bytes),
            ("record", self._record.itemsize),
            ("sample", self._sample.itemsize),
            ("first_touch", schema.dtype("FirstTouch", self.real).itemsize),
            ("landing", schema.dtype("Landing", self.real).itemsize),
        ):
            actual = getattr(self._library, f"mcr_{name}_bytes")()
            if actual != expected:
                raise InfrastructureError(
                    f"{name} of CPU library {self.variant}", f"{expected} bytes", f"{actual}", native.REMEDY
                )

    def run(self, params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> NDArray[np.void]:
        return self._descend(self._library.mcr_descend, params, heights, seed, first, count)

    def run_scalar(self, params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> NDArray[np.void]:
        """The same records, one run at a time: the slow twin of `run`."""
        return self._descend(self._library.mcr_descend_scalar, params, heights, seed, first, count)

    def replay(self, params: bytes, seed: int, run: int, heights: bytes = b"") -> NDArray[np.void]:
        """One run sampled at every tick: `(ticks,)` of `schema.sample_dtype(real)`."""
        check_heights(params, heights, self.real)
        self._check(params)
        capacity = 1 << 13
        while True:
            samples = np.zeros(capacity, self._sample)
            ticks = self._library.mcr_replay(
                params, heights or None, _word(seed), _word(run), capacity, samples.ctypes.data
            )
            if ticks < capacity:
                return samples[:ticks].copy()
            capacity = 4 * max(capacity, ticks)

    def touch_down(self, params: bytes, first: NDArray[np.void]) -> NDArray[np.void]:
        """The touchdowns of one lander from stated first touches: `(touches,)` of `schema.dtype("Landing")`.

        first: (touches,) of `schema.dtype("FirstTouch")`.
        """
        self._check(params)
        schema = load_schema()
        given = np.ascontiguousarray(first, schema.dtype("FirstTouch", self.real))
        landings = np.zeros(len(given), schema.dtype("Landing", self.real))
        self._library.mcr_touch_down(params, given.ctypes.data, len(given), landings.ctypes.data)
        return landings

    def count(
        self, params: bytes, seed: int, first: int, count: int, heights: bytes = b""
    ) -> tuple[NDArray[np.void], int]:
        """The records of `run`, and the flop they took; of the variant `counting`."""
        self._library.mcr_flop_done()
        records = self.run(params, seed, first, count, heights)
        return records, self._library.mcr_flop_done()

    def multiply_add(self, visits: int) -> int:
        """Keep the fused multiply-add units busy, in this variant's vectors; the flop done."""
        return int(self._library.mcr_fma_peak(visits, ctypes.byref(ctypes.c_float())))

    @property
    def build(self) -> str:
        """Compiler, its version and the instruction set: `g++ 12.2.0 x86-64-v4`."""
        text: bytes = self._library.mcr_build()
        return text.decode()

    def describe(self) -> str:
        slow = ", no fused multiply-add: emulated exactly, and slowly" if self.variant == "v2" else ""
        return f"{self.build}, {'double' if self.real == 8 else 'float'}, {cores()} cores{slow}"

    def _descend(
        self, function: ctypes._NamedFuncPointer, params: bytes, heights: bytes, seed: int, first: int, count: int
    ) -> NDArray[np.void]:
        self._check(params)
        check_heights(params, heights, self.real)
        records = np.zeros(count, self._record)
        _word(first + count)
        function(params, heights or None, _word(seed), _word(first), count, records.ctypes.data)
        return records

    def _check(self, params: bytes) -> None:
        if len(params) != self.params_bytes:
            raise InfrastructureError(
                "Params", f"{self.params_bytes} bytes (real of {self.real})", str(len(params)), "pack the mission again"
            )


def sums_of(records: NDArray[np.void], first: int) -> tuple[Tally, NDArray[np.uint8]]:
    """`tally.tally` of records of runs first, first + 1, ..., by the library, eight to twelve times faster; who landed.

    records: (runs,) of `schema.record_dtype`; those of the double oracle are summed by numpy. Who landed: one bit for
    each run, (runs + 7) / 8 bytes, the first run lowest.
    """
    from mcrisk.tally import merge, tally

    if records.dtype != _record():
        success = records["outcome"] == load_schema().enums["Outcome"]["success"]
        return tally(records, first), np.packbits(success, bitorder="little")
    if len(records) > SUMMED_RUNS:
        cuts = range(0, len(records), SUMMED_RUNS)
        parts = [sums_of(records[cut : cut + SUMMED_RUNS], first + cut) for cut in cuts]
        return merge(part for part, _ in parts), np.concatenate([landed for _, landed in parts])
    from mcrisk.sums import SUMS, bars, most_occupied, plan, tally_of

    if not hasattr(_OWN, "histogram"):
        _OWN.histogram = np.zeros(bars(), np.uint64)
    records = np.ascontiguousarray(records)
    sums, most = np.zeros(1, SUMS), most_occupied(len(records))
    bins, counts = np.empty(most, np.uint32), np.empty(most, np.uint64)
    landed = np.empty(-(-len(records) // 8), np.uint8)
    blocks = (plan(), records, sums, _OWN.histogram, bins, counts, landed)
    plan_, rows, *rest = (block.ctypes.data for block in blocks)
    _summing().mcr_tally(plan_, rows, len(records), *rest)
    occupied = int(sums["occupied"][0])
    return tally_of(sums, bins[:occupied], counts[:occupied], first, len(records)), landed


@functools.cache
def _record() -> np.dtype[np.void]:
    return load_schema().record_dtype(4)


@functools.cache
def _summing() -> ctypes.CDLL:
    """The library that sums: that of this processor, whatever flew."""
    from mcrisk.sums import SUMS

    library = _load(native.library_path(variant_for(os.environ.get("MCRISK_ISA", ""), processor_flags())))
    if library.mcr_tally_bytes() != SUMS.itemsize:
        expected, got = f"{SUMS.itemsize} bytes", str(library.mcr_tally_bytes())
        raise InfrastructureError("sums of the CPU library", expected, got, native.REMEDY)
    return library


def cores() -> int:
    """The number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def variant_for(wanted: str, processor: frozenset[str] | None) -> str:
    """The library variant to load: `wanted` (MCRISK_ISA) if it is given and runs here, else the fastest that runs.

    wanted: `v3`, or `x86-64-v3` as compilers spell it. processor: the instruction sets of `processor_flags`.

    >>> variant_for("", frozenset(LEVELS["v3"].split())), variant_for("x86-64-v2", frozenset(LEVELS["v3"].split()))
    ('v3', 'v2')
    """
    if processor is None:
        known, lacking = ["baseline"], {"baseline": ""}
    else:
        known = list(LEVELS)
        lacking = {}
        missing: list[str] = []
        for level, instructions in LEVELS.items():
            missing += sorted(set(instructions.split()) - processor)
            lacking[level] = ", ".join(missing)
    wanted = wanted.strip().removeprefix("x86-64-")
    if wanted and wanted not in known:
        longer = "" if processor is None else f", or {', '.join(f'x86-64-{one}' for one in known)}"
        raise MistakeError("MCRISK_ISA", f"one of {', '.join(known)}{longer}", repr(wanted))
    fitting = [level for level in known if not lacking[level]]
    if not fitting:
        text = f"this processor has no {lacking[known[0]]}"
        raise InfrastructureError(
            text, remedy="mcrisk needs x86-64-v2, better v3 (fused multiply-add, AVX2), a processor of 2013 or later"
        )
    if wanted and wanted not in fitting:
        text = f"MCRISK_ISA={wanted}: this processor has no {lacking[wanted]}"
        raise MistakeError(text, remedy=f"unset it, or use {fitting[-1]}")
    return wanted or fitting[-1]


def fitting_variants() -> list[str]:
    """The installed single-precision libraries that this processor runs, fastest last."""
    best = variant_for("", processor_flags())
    return [one for one in native.library_variants() if one == best or (one in LEVELS and one < best)]


@functools.cache
def processor_flags() -> frozenset[str] | None:
    """The instruction sets that processor (CPUID) and kernel both support; None where there is one variant only.

    Linux's list is used rather than CPUID alone: it leaves out what the kernel does not save between processes.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # an x86-64 Mac: AVX2 on every model its systems still support
        return frozenset(LEVELS["v3"].split())
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    return frozenset(lines[0].partition(":")[2].split()) if lines else frozenset()


@functools.cache
def _load(path: Path) -> ctypes.CDLL:
    native.check_whole(path)
    try:
        return _declared(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:  # AttributeError: a function is not there
        raise InfrastructureError(str(path), "a library of mcrisk", str(error), native.BROKEN) from None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions."""
    pointer, word = ctypes.c_void_p, ctypes.c_uint64
    for name in ("params", "record", "sample", "first_touch", "landing"):
        size = getattr(library, f"mcr_{name}_bytes")
        size.argtypes, size.restype = (), ctypes.c_int32
    library.mcr_build.argtypes, library.mcr_build.restype = (), ctypes.c_char_p
    for name in ("mcr_descend", "mcr_descend_scalar"):
        function = getattr(library, name)
        function.argtypes, function.restype = (pointer, pointer, word, word, word, pointer), None
    library.mcr_replay.argtypes = (pointer, pointer, word, word, ctypes.c_int64, pointer)
    library.mcr_replay.restype = ctypes.c_int64
    library.mcr_touch_down.argtypes = (pointer, pointer, ctypes.c_int64, pointer)
    library.mcr_touch_down.restype = None
    if hasattr(library, "mcr_fma_peak"):  # the libraries with tiles
        library.mcr_fma_peak.argtypes, library.mcr_fma_peak.restype = (ctypes.c_int64, pointer), ctypes.c_int64
        library.mcr_tally_bytes.argtypes, library.mcr_tally_bytes.restype = (), ctypes.c_int32
        library.mcr_tally.argtypes = (pointer, pointer, ctypes.c_uint32, *[pointer] * 5)
        library.mcr_tally.restype = None
    if hasattr(library, "mcr_flop_done"):
        library.mcr_flop_done.argtypes, library.mcr_flop_done.restype = (), ctypes.c_int64
    return library


def _word(value: int) -> int:
    """The value, if it fits in 64 bits: ctypes would silently cut it."""
    if not 0 <= value < 1 << 64:
        raise MistakeError("seed and run numbers", "0 .. 2^64 - 1", str(value))
    return value
