"""Where batches run: one backend per device, the same bits from each."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mcrisk.errors import InfrastructureError, MistakeError, suggestion, visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mcrisk.flight import Keep
    from mcrisk.tally import Tally

    Records = NDArray[np.void]

__all__ = [
    "AbstractBackend",
    "Piece",
    "Summed",
    "announce",
    "check_heights",
    "check_name",
    "choose",
    "gpu_obstacle",
    "kept",
    "prepare_driver",
]

NAMES = ("auto", "cpu", "gpu")
CONNECTIONS = 32  # kernels side by side on a GPU; the driver's default, 8, makes others wait for no reason


@dataclass(frozen=True)
class Piece:
    """Runs first, ..., first + count - 1 of one case, whose Params and heights of an elevation model these are."""

    params: bytes
    first: int
    count: int
    heights: bytes = b""


@dataclass(frozen=True)
class Summed:
    """What a piece gave.

    landed: one bit for each run, (count + 7) / 8 bytes, the first run lowest. records: the kept ones with their
    numbers, `(kept,)` of run and record, or None where none are asked for.
    """

    tally: Tally
    landed: NDArray[np.uint8]
    records: Records | None


class AbstractBackend(ABC):
    """Runs batches on one device. Made by `choose` in the process that uses it; not for sending to another."""

    name: ClassVar[str]
    real: int = 4  # bytes of `real`: what params.pack is asked for
    batch: ClassVar[int]  # most runs of one call: half a minute of work

    @abstractmethod
    def run(self, params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> Records:
        """The records of runs first, ..., first + count - 1: `(count,)` of `schema.record_dtype(real)`.

        heights: of the elevation model that the Params tell of, float32 as `ground.of` packs them; empty without one.
        """

    def sums(self, pieces: Sequence[Piece], seed: int, keep: Keep) -> list[Summed]:
        """Each piece flown and summed; of its records those of losses, all or none are kept."""
        from .cpu import sums_of

        found = []
        for piece in pieces:
            records = self.run(piece.params, seed, piece.first, piece.count, piece.heights)
            tally, landed = sums_of(records, piece.first)
            found.append(Summed(tally, landed, kept(records, landed, piece.first, keep)))
        return found

    @abstractmethod
    def describe(self) -> str:
        """Device, compiler, instruction set and precision, in one line."""


def kept(records: Records, landed: NDArray[np.uint8], first: int, keep: Keep) -> Records | None:
    """The records to keep, with their run numbers: `(kept,)` of run and record; None where none are.

    records: (runs,) of runs first, first + 1, ...; landed: their bits.
    """
    import numpy as np

    if keep == "none":
        return None
    success = np.unpackbits(landed, count=len(records), bitorder="little")
    chosen = np.arange(len(records)) if keep == "all" else np.flatnonzero(success == 0)
    both = np.empty(len(chosen), [("run", "<u8"), ("record", records.dtype)])
    both["run"], both["record"] = chosen.astype(np.uint64) + np.uint64(first), records[chosen]
    return both


def check_heights(params: bytes, heights: bytes, real: int = 4) -> None:
    """Refuse heights that are not those the Params tell of: the kernel would read beyond them."""
    from mcrisk.schema import load_schema

    schema = load_schema()
    if len(params) != schema.params_bytes(real):
        return  # refused as such

    def told(name: str) -> int:
        place = schema.slots[f"relief.{name}"].offset_bytes(real)
        return int.from_bytes(params[place : place + 4], "little", signed=True)

    count = max(told("count"), 0)
    if len(heights) != 4 * count:
        text, got = f"{count} heights of an elevation model", f"{len(heights) / 4:g}"
        raise InfrastructureError("heights", text, got, "take them from the same campaign")
    for grid in ("strip", "site") if count else ():
        first, rows, columns = (told(f"{grid}.{name}") for name in ("first", "rows", "columns"))
        if not (first >= 0 and min(rows, columns) >= 2 and first + rows * columns <= count):
            text = f"a {grid} of an elevation model within its {count} heights"
            raise InfrastructureError("Params", text, f"{rows} x {columns} from {first}", "pack the mission again")


def choose(name: str = "auto") -> AbstractBackend:
    """The backend `cpu` or `gpu`, one per process; `auto` is the GPU where it can be used, else the CPU."""
    check_name(name)
    return _make(name)[0]


@functools.cache
def announce(name: str) -> None:
    """Say once per process, on stderr, why the backend `auto` is the CPU: called when all else is known to be right."""
    backend, obstacle = _make(name)
    if obstacle:
        print(f"{obstacle}: running on the CPU ({backend.describe()})", file=sys.stderr)


def check_name(name: str) -> None:
    """Refuse a backend that does not exist, without touching a device."""
    if name not in NAMES:
        text = str(name)
        raise MistakeError("backend", " or ".join(NAMES), f"'{visible(text)}'", suggestion(text, NAMES))


@functools.cache
def _make(name: str) -> tuple[AbstractBackend, str]:
    """A backend, and what kept it from being the GPU."""
    if name == "cpu":
        from .cpu import CpuBackend

        return CpuBackend(), ""
    obstacle = gpu_obstacle()
    if obstacle is None:
        from .gpu import GpuBackend

        try:
            return GpuBackend(), ""
        except InfrastructureError as error:
            if name == "gpu":
                raise
            obstacle = str(error)
    if name == "gpu":
        remedy = "" if ";" in obstacle else "the backend cpu needs none"
        raise InfrastructureError("backend gpu", "a GPU that can be used", obstacle, remedy)
    return _make("cpu")[0], obstacle


def prepare_driver() -> None:
    """Set what the driver reads when it begins: whoever may be the first to touch it calls this before."""
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", str(CONNECTIONS))


def gpu_obstacle() -> str | None:
    """Why the driver offers no GPU, or None. Quick: no cupy and no CUDA context; the later steps are gpu.absence's."""
    prepare_driver()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver (libcuda.so.1 not found)"
    count, version = ctypes.c_int(), ctypes.c_int()
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status == 100 or (status == 0 and count.value == 0):  # 100: CUDA_ERROR_NO_DEVICE
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return "no CUDA device" + (f" (CUDA_VISIBLE_DEVICES is {hidden!r})" if hidden is not None else "")
    if status:
        return f"the NVIDIA driver refuses ({_cuda_error(driver, status)}); nvidia-smi shows the state of the device"
    driver.cuDriverGetVersion(ctypes.byref(version))
    if importlib.util.find_spec("cupy") is None:
        extra = "cuda13" if version.value >= 13000 else "cuda12"
        return f"cupy is not installed; try MCRISK_EXTRAS={extra} ./scripts/mcrisk, or pip install 'mcrisk[{extra}]'"
    return None


def _cuda_error(driver: ctypes.CDLL, status: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    return (text.value or b"error %d" % status).decode()


def gpu_count() -> int:
    """How many GPUs the driver offers."""
    prepare_driver()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0
