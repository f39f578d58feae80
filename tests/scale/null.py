"""A null kernel, and workers in numbers that fly with it: a result is ready, of its true size, and flies for no time.

What a batch gives is made once, from runs of the real kernel drawn at random, so that sums and landing bits compress
like real ones. Each result then differs from the others by its runs alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import socket
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mcrisk import flight, tally
from mcrisk.backends import AbstractBackend, choose
from mcrisk.encoding import encode
from mcrisk.flight import Result, Work
from mcrisk.schema import load_schema

NAME = "null"
RECORDS = 4096  # [run] flown by the real kernel
OPENED = 25  # simulated workers that open at a time
SETTINGS = {
    "distributed.admin.system-monitor.interval": "1h",  # a thousand workers would look at one machine
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.tick.interval": "1h",
    "distributed.admin.tick.cycle": "1h",
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "120s",
}


@dataclass(frozen=True)
class Ready:
    """The result of every batch of `count` runs. rest: the encoded tally behind its head, as it is and compressed."""

    count: int
    records: np.ndarray  # of the real kernel
    head: dict[str, Any]
    rest: bytes
    squeezed: bytes
    landed: bytes
    landings: int

    @classmethod
    def made(cls, records: np.ndarray, count: int) -> Ready:
        """From what the real kernel gave."""
        drawn = records[chosen(count, len(records))]
        success = drawn["outcome"] == load_schema().enums["Outcome"]["success"]
        body = zlib.decompress(encode(tally.tally(drawn, 0)))
        size = int.from_bytes(body[:4], "little")
        rest = body[4 + size :]
        deflate = zlib.compressobj(6, wbits=-15)
        landed = zlib.compress(np.packbits(success, bitorder="little").tobytes(), 6)
        squeezed = deflate.compress(rest) + deflate.flush()
        return cls(count, records, json.loads(body[4 : 4 + size]), rest, squeezed, landed, int(success.sum()))

    def content(self, first: int) -> bytes:
        """The encoded tally of runs first, ..., first + count - 1; no more is compressed than what depends on `first`.

        A zlib stream: two bytes of header, the head up to a byte's end, the rest made before, the sum of all bytes.
        """
        pairs = [[at, number, example + first] for at, number, example in self.head["pairs"]]
        head = self.head | {"ranges": [[first, first + self.count]], "pairs": pairs}
        text = json.dumps(head, separators=(",", ":")).encode()
        text = len(text).to_bytes(4, "little") + text
        deflate = zlib.compressobj(6)
        start = deflate.compress(text) + deflate.flush(zlib.Z_FULL_FLUSH)
        return start + self.squeezed + zlib.adler32(self.rest, zlib.adler32(text)).to_bytes(4, "big")

    def part(self, first: int, count: int) -> tuple[bytes, bytes, int]:
        """Content, landing bits and landings of a batch that is not whole, at the end of a case."""
        drawn = self.records[chosen(self.count, len(self.records))[:count]]
        success = drawn["outcome"] == load_schema().enums["Outcome"]["success"]
        bits = np.packbits(success, bitorder="little").tobytes()
        return encode(tally.tally(drawn, first)), zlib.compress(bits, 6), int(success.sum())


def flown(params: bytes, runs: int = RECORDS) -> np.ndarray:
    """What the real kernel gives, (runs,). params: of a case."""
    return choose("cpu").run(params, 0, 0, runs)


def chosen(count: int, records: int = RECORDS) -> np.ndarray:
    """Which of the real records are the runs of a batch, (count,)."""
    return np.random.default_rng(0).integers(records, size=count)


@dataclass(frozen=True)
class Flight:
    """What takes the place of `flight.fly_together`. seconds: [s] of a batch, as a device would take."""

    ready: Ready
    seconds: float = 0.0

    def __call__(self, work: Work) -> Result:
        begun = time.perf_counter()
        if work.count == self.ready.count:
            content, landed, landings = self.ready.content(work.first), self.ready.landed, self.ready.landings
        else:
            content, landed, landings = self.ready.part(work.first, work.count)
        digest = flight.checksum(work.place, work.first, work.count, landings, content, landed)
        time.sleep(max(0.0, self.seconds - (time.perf_counter() - begun)))
        return Result(
            work.place, work.first, work.count, content, landed, landings, digest, work.keep, None,
            max(self.seconds, 1e-3), self._name,
        )  # fmt: skip

    @cached_property
    def _name(self) -> str:
        return f"{socket.gethostname()}:{os.getpid()} {NAME}"


class Device(AbstractBackend):
    """What the workers say that they fly with; their one thread stands for the two of a GPU, which take turns."""

    name = "gpu"
    batch = 1 << 20

    def run(self, params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> np.ndarray:
        raise NotImplementedError("results are ready")

    def describe(self) -> str:
        return "null kernel"


_INSTALLED: dict[str, Flight] = {}


def installed(ready: Path, seconds: float = 0.0) -> Flight:
    """Let this process fly with the null kernel, as a worker and as a client with threads of its own."""
    from mcrisk import execute

    instead = Flight(pickle.loads(ready.read_bytes()), seconds)
    flight._LENT[NAME] = Device()
    flight.fly_together = execute.fly_together = fly_together  # a worker finds it by its name
    _INSTALLED[NAME] = instead
    return instead


def fly_together(works: Sequence[Work]) -> list[Result]:
    """The installed flight: a function, which dask sends by its name."""
    return [_INSTALLED[NAME](work) for work in works]


def serve(address: str, workers: int, ready: str, seconds: float) -> None:
    """Live as so many workers of one thread, in one event loop, until the scheduler closes them."""
    import dask

    with tempfile.TemporaryDirectory() as folder, dask.config.set(SETTINGS):
        installed(Path(ready), seconds)
        asyncio.run(_served(address, workers, folder))


async def _served(address: str, workers: int, folder: str) -> None:
    from distributed import Worker

    there = [
        Worker(
            address,
            nthreads=1,
            memory_limit=0,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=folder,
            silence_logs=50,
        )
        for _ in range(workers)
    ]
    for start in range(0, workers, OPENED):
        await asyncio.gather(*there[start : start + OPENED])
    print("ready", flush=True)
    await asyncio.gather(*(one.finished() for one in there))
