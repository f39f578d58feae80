"""What a worker does: fly batches on its own device and return what the store keeps of each.

A worker, in this process or on another machine, flies only for a client with the same package and kernels: `hello` says
what it is, and every batch names what it must be flown with. Nothing here knows dask.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import socket
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mcrisk.errors import InfrastructureError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.backends import AbstractBackend, Summed

__all__ = [
    "KEEPS",
    "Keep",
    "Result",
    "Work",
    "Worker",
    "checksum",
    "fly_together",
    "hello",
    "identity",
    "landings",
    "lent",
]

Keep = Literal["none", "losses", "all"]
KEEPS: tuple[Keep, ...] = get_args(Keep)

_LENT: dict[str, AbstractBackend] = {}  # backends of this process, for workers that are its threads
_NUMBERS = itertools.count()


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
    heights: bytes = b""


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
    seat: str = ""  # its machine and GPU, which whoever takes its place there has, too


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
    name = f"lent-{next(_NUMBERS)}"  # of this loan: campaigns at once may share a backend
    _LENT[name] = backend
    try:
        yield name
    finally:
        _LENT.pop(name, None)


def hello(backend: str) -> Worker:
    """Who this worker is, and what it flies with; raises `InfrastructureError` where it lacks that device."""
    from mcrisk import __version__

    device, host = _device(backend), socket.gethostname()
    seat = f"{host} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}"
    return Worker(identity(), __version__, host, os.getpid(), device.name, device.batch, device.describe(), seat)


def fly_together(works: Sequence[Work]) -> list[Result]:
    """Fly batches of one campaign side by side, as far as the device can.

    Raises `InfrastructureError` where the device fails or the code is not the client's. The seconds of each result are
    its share of the whole, by its runs.
    """
    from mcrisk.backends import Piece

    one = works[0]
    if any(work.identity != identity() for work in works):
        raise InfrastructureError(f"worker on {socket.gethostname()}", f"mcrisk {one.identity}", f"{identity()}")
    begun = time.perf_counter()
    device = _device(one.backend)
    pieces = [Piece(work.params, work.first, work.count, work.heights) for work in works]
    given = [
        (work, _noted(work, summed))
        for work, summed in zip(works, device.sums(pieces, one.seed, one.keep), strict=True)
    ]
    pace = (time.perf_counter() - begun) / max(sum(work.count for work in works), 1)
    worker = f"{socket.gethostname()}:{os.getpid()} {device.name}"
    return [replace(result, seconds=pace * work.count, worker=worker) for work, result in given]


def _noted(work: Work, summed: Summed) -> Result:
    from mcrisk.encoding import encode
    from mcrisk.schema import load_schema

    landings = int(summed.tally.counts[load_schema().enums["Outcome"]["success"]].sum())
    content, landed = encode(summed.tally), zlib.compress(summed.landed.tobytes(), 6)
    return Result(
        place=work.place,
        first=work.first,
        count=work.count,
        content=content,
        landed=landed,
        landings=landings,
        checksum=checksum(work.place, work.first, work.count, landings, content, landed),
        keep=work.keep,
        records=summed.records,
        seconds=0.0,
    )


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
