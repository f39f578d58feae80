"""Kept records in few files: segments are appended to a chunk until it is full, and read back by their checksum.

A process killed while it appends leaves bytes that no journal row names; the next writer begins a chunk of its own, and
removes one that no row names at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Container
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcrisk.errors import InfrastructureError

__all__ = ["Chunks", "Segment"]

CHUNK_BYTES = 64 << 20  # a chunk takes no more segments beyond this size
LEVEL = 1  # of zlib: floats hardly compress, equal fields do


class Segment(NamedTuple):
    """Where the records of a batch are; nowhere, where none were kept."""

    chunk: int | None = None
    at: int | None = None  # [byte]
    size: int | None = None  # [byte]
    digest: bytes | None = None


class Chunks:
    """The chunks of a folder, `000000.bin`, `000001.bin`, ...; without a folder they stay in memory."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._memory: list[bytes] = []
        self._file: BinaryIO | None = None
        self._chunk = -1

    def add(self, records: NDArray[np.void]) -> Segment:
        """Append records; they are safe after `sync`."""
        content = zlib.compress(records.tobytes(), LEVEL)
        digest = hashlib.sha256(content).digest()
        if self.folder is None:
            self._memory.append(content)
            return Segment(len(self._memory) - 1, 0, len(content), digest)
        file = self._open(self.folder)
        at = file.tell()
        file.write(content)
        return Segment(self._chunk, at, len(content), digest)

    def sync(self) -> None:
        """Make everything appended so far outlast this process and this machine."""
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def read(self, segment: Segment, kind: np.dtype[np.void]) -> NDArray[np.void]:
        """The records of a segment, (kept,) of `kind`; refuses bytes that are not those written."""
        content = self._content(segment)
        if content is None or hashlib.sha256(content).digest() != segment.digest:
            raise InfrastructureError(f"{self._path(segment.chunk)}: kept records are damaged")
        return np.frombuffer(zlib.decompress(content), kind)

    def intact(self, segment: Segment) -> bool:
        """Whether the bytes of a segment are those written."""
        content = self._content(segment)
        return content is not None and hashlib.sha256(content).digest() == segment.digest

    def prune(self, named: Container[int]) -> None:
        """Remove chunks that no journal row names: those of batches that were lost with a process, or struck."""
        if self.folder is None or self._file:
            return
        for path in self.folder.glob("*.bin"):
            if path.stem.isdigit() and int(path.stem) not in named:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """No more is appended."""
        if self._file:
            self._file.close()
            self._file = None

    def _open(self, folder: Path) -> BinaryIO:
        if self._file is None or self._file.tell() > CHUNK_BYTES:
            self.sync()
            self.close()
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                sync_folder(folder.parent)
            known = [int(path.stem) for path in folder.glob("*.bin") if path.stem.isdigit()]
            self._chunk = max(known, default=-1) + 1
            self._file = self._path(self._chunk).open("xb")
            sync_folder(folder)
        return self._file

    def _content(self, segment: Segment) -> bytes | None:
        if segment.chunk is None or segment.at is None or segment.size is None:
            return None
        if self.folder is None:
            return self._memory[segment.chunk]
        if self._file and segment.chunk == self._chunk:
            self._file.flush()
        try:
            with self._path(segment.chunk).open("rb") as file:
                file.seek(segment.at)
                return file.read(segment.size)
        except OSError:
            return None

    def _path(self, chunk: int | None) -> Path:
        return (self.folder or Path()) / f"{chunk or 0:06d}.bin"


def sync_folder(folder: Path) -> None:
    """Make the names of new files in a folder outlast this machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)
