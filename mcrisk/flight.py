"""What a worker does: fly one batch on its own device and return what the store keeps of it.

A worker, in this process or on another machine, flies only for a client with the same package and kernels: `hello` says
what it is, and every batch names what it must be flown with. Nothing here knows dask.
"""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mcrisk.errors import InfrastructureError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.backends import AbstractBackend

__all__ = ["KEEPS", "Keep", "Result", "Work", "Worker", "checksum", "fly", "hello", "identity", "landings", "lent"]

Keep = Literal["none", "losses", "all"]
KEEPS: tuple[Keep, ...] = get_args(Keep)

_LENT: dict[str, AbstractBackend] = {}  # backends of this process, for workers that are its threads


@dataclass(frozen=True)
class Work:
    """Runs first, ..., first + count - 1 of the case at `place`, and all that flying them takes."""

    place: int
    first: int
    count: int
    params: bytes
    seed: int
    keep: Keep
    backend: str  # auto, cpu, gpu, or the name that `lent` gives
    identity: str


@dataclass(frozen=True)
class Result:
    """What a batch gave: a few kilobytes, and the kept records.

    content: the encoded tally. landed: one bit for each run, set where it landed, compressed.
    records: the kept ones with their run numbers, `(kept,)` of run and record.
    """

    place: int
    first: int
    count: int
    content: bytes
    landed: bytes
    landings: int
    checksum: bytes
    keep: Keep
    records: NDArray[np.void] | None
    seconds: float
    worker: str = ""


@dataclass(frozen=True)
class Worker:
    """What a worker says of itself."""

    identity: str
    version: str
    host: str
    pid: int
    device: str  # cpu or gpu
    batch: int  # most runs of one batch
    described: str


@functools.cache
def identity() -> str:
    """Digest of the package's code and of the kernels, 16 hexadecimal digits: workers of another one are refused."""
    from mcrisk.native import kernel_digest

    whole = hashlib.sha256(kernel_digest().encode())
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


@contextmanager
def lent(backend: AbstractBackend) -> Iterator[str]:
    """Let workers that are threads of this process fly with this very backend, under the name given back."""
    name = f"lent-{id(backend)}"
    _LENT[name] = backend
    try:
        yield name
    finally:
        _LENT.pop(name, None)


def hello(backend: str) -> Worker:
    """Who this worker is, and what it flies with; raises `InfrastructureError` where it lacks that device."""
    from mcrisk import __version__

    device = _device(backend)
    return Worker(
        identity(), __version__, socket.gethostname(), os.getpid(), device.name, device.batch, device.describe()
    )


def fly(work: Work) -> Result:
    """Fly a batch. Raises `InfrastructureError` where the device fails or the code is not the client's."""
    from mcrisk.encoding import encode
    from mcrisk.schema import load_schema
    from mcrisk.tally import tally

    if work.identity != identity():
        raise InfrastructureError(f"worker on {socket.gethostname()}", f"mcrisk {work.identity}", f"{identity()}")
    begun = time.perf_counter()
    device = _device(work.backend)
    records = device.run(work.params, work.seed, work.first, work.count)
    success = records["outcome"] == load_schema().enums["Outcome"]["success"]
    content = encode(tally(records, work.first))
    landed = zlib.compress(np.packbits(success, bitorder="little").tobytes(), 6)
    return Result(
        place=work.place,
        first=work.first,
        count=work.count,
        content=content,
        landed=landed,
        landings=int(success.sum()),
        checksum=checksum(work.place, work.first, work.count, int(success.sum()), content, landed),
        keep=work.keep,
        records=None if work.keep == "none" else kept(records, success, work.first, work.keep),
        seconds=time.perf_counter() - begun,
        worker=f"{socket.gethostname()}:{os.getpid()} {device.name}",
    )


def kept(records: NDArray[np.void], success: NDArray[np.bool_], first: int, keep: Keep) -> NDArray[np.void]:
    """The records to keep, with their run numbers: `(kept,)` of run and record."""
    chosen = np.arange(len(records)) if keep == "all" else np.flatnonzero(~success)
    both = np.empty(len(chosen), [("run", "<u8"), ("record", records.dtype)])
    both["run"], both["record"] = chosen.astype(np.uint64) + np.uint64(first), records[chosen]
    return both


def landings(landed: bytes, count: int) -> NDArray[np.bool_]:
    """Which of the runs of a batch landed, (count,)."""
    bits = np.frombuffer(zlib.decompress(landed), np.uint8)
    return np.unpackbits(bits, count=count, bitorder="little").astype(bool)


def checksum(place: int, first: int, count: int, landings: int, content: bytes, landed: bytes) -> bytes:
    """SHA-256 of a batch, made where it was flown and checked wherever it arrives."""
    return hashlib.sha256(f"{place} {first} {count} {landings} {len(content)} ".encode() + content + landed).digest()


def _device(backend: str) -> AbstractBackend:
    from mcrisk.backends import choose

    return _LENT[backend] if backend in _LENT else choose(backend)
