"""One writer for each store: a lock file that names its holder and dies with it.

On one machine the system's own lock on the file decides, and ends with the process, whatever ends it. A lock written on
another machine cannot be tested from here: it stays until it is broken by hand.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcrisk.errors import InfrastructureError, MistakeError

__all__ = ["LOCK", "holder", "locked"]

LOCK = "lock"
HELD = 10  # tries to take a lock that is held
TRIES = 100  # two processes that take over the same stale lock at once


@contextmanager
def locked(folder: Path, force: bool = False) -> Iterator[None]:
    """Hold the lock of a folder. force: break the lock of another machine.

    Raises `MistakeError` naming the holder, if there is one.
    """
    path = folder / LOCK
    handle = _taken(path, force)
    try:
        yield
    finally:
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                path.unlink()
        os.close(handle)


def holder(folder: Path) -> str:
    """Who writes into a folder now, for messages; nothing where nobody of this machine does."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(_read(handle))
    finally:
        os.close(handle)
    return ""


def _taken(path: Path, force: bool) -> int:
    for attempt in range(TRIES):
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if attempt < HELD:  # who only asks who holds it has it for an instant
                    time.sleep(0.01)
                    continue
                raise _refusal(path, _read(handle), "wait for it, or choose another --out") from None
            if not _same(handle, path):  # its last holder removed it meanwhile
                continue
            holder = _read(handle)
            if holder and holder.get("host") != socket.gethostname() and not force:
                raise _refusal(path, holder, "if it is gone, --force-lock breaks its lock")
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_self()).encode(), 0)
            kept, handle = handle, -1
            return kept
        finally:
            if handle >= 0:
                os.close(handle)
    raise InfrastructureError(f"{path}: cannot be taken", remedy="delete it")


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _read(handle: int) -> dict[str, Any] | None:
    """What a lock says; None where it is empty or torn."""
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
    except ValueError:
        return None
    return holder if isinstance(holder, dict) else None


def _self() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}


def _refusal(path: Path, holder: dict[str, Any] | None, remedy: str) -> MistakeError:
    return MistakeError(str(path.parent), "a folder that nobody else writes to", _named(holder), remedy)


def _named(holder: dict[str, Any] | None) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
