"""The store of a campaign: one folder with its statement, a journal of finished batches, and what is derived from them.

    journal.sqlite    statement, Params bytes of every case, one row for each finished batch
    records/          kept records, one file for each batch
    results.nc        the dataset, when all that was asked for is flown
    lock              who writes

Every batch is committed with its checksum before it counts; a process killed at any instant loses the batches of its
last quarter of a second, never more, and the next one flies just these. The journal keeps SQLite's rollback mode: its
write-ahead log is unsafe on network file systems.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcrisk.campaign import SCHEMA_VERSION, Campaign
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.tally import Tally, merge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.execute import Keep

__all__ = ["JOURNAL", "Store"]

JOURNAL, LOCK, RECORDS = "journal.sqlite", "lock", "records"
COMMIT_SECONDS = 0.25  # [s] between two commits: what a killed process can lose
MERGED = 64  # tallies summed at a time
TABLES = """
CREATE TABLE campaign (digest TEXT NOT NULL, statement TEXT NOT NULL, version INTEGER NOT NULL, runs INTEGER NOT NULL);
CREATE TABLE params (place INTEGER PRIMARY KEY, block BLOB NOT NULL);
CREATE TABLE batches (
    place INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, tally BLOB NOT NULL, checksum BLOB NOT NULL,
    keep TEXT NOT NULL, records BLOB, worker TEXT NOT NULL, seconds REAL NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (place, first)
) WITHOUT ROWID;
"""


class Store:
    """The journal of one campaign, open for reading, or for writing by its one writer.

    place: number of the case in the campaign. Raises `MistakeError` for a folder of another campaign or one in use, and
    `InfrastructureError` for a journal that cannot be read or written.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, campaign: Campaign, runs: int) -> None:
        self.folder, self.campaign, self.runs = folder, campaign, runs
        self._connection = connection
        self._committed = time.monotonic()

    @classmethod
    @contextmanager
    def written(cls, folder: Path, campaign: Campaign, runs: int) -> Iterator[Store]:
        """The store of a campaign for writing, made where there is none; `runs` of each case are wanted."""
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder), _told(folder):
            connection = sqlite3.connect(folder / JOURNAL, isolation_level="IMMEDIATE", timeout=30.0)
            connection.execute("PRAGMA synchronous = FULL")
            try:
                store = cls._filled(folder, connection, campaign, runs)
                yield store
                store.commit()
            except KeyboardInterrupt:
                connection.commit()
                raise
            finally:
                connection.close()

    @classmethod
    @contextmanager
    def read(cls, folder: Path) -> Iterator[Store]:
        """The store in a folder, for reading; others may write meanwhile."""
        if not (folder / JOURNAL).is_file():
            raise MistakeError(str(folder), "a folder of results", "no journal there")
        with _told(folder):
            connection = sqlite3.connect(f"file:{folder / JOURNAL}?mode=ro", uri=True, timeout=30.0)
            try:
                yield cls(folder, connection, *_stated(connection, folder))
            finally:
                connection.close()

    @classmethod
    def _filled(cls, folder: Path, connection: sqlite3.Connection, campaign: Campaign, runs: int) -> Store:
        known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'campaign'").fetchone()
        if known is None:
            with connection:
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                described = json.dumps(campaign.describe(), sort_keys=True)
                row = (campaign.digest, described, SCHEMA_VERSION, runs)
                connection.execute("INSERT INTO campaign VALUES (?, ?, ?, ?)", row)
                blocks = [(place, case.params) for place, case in enumerate(campaign.cases)]
                connection.executemany("INSERT INTO params VALUES (?, ?)", blocks)
        present, wanted = _stated(connection, folder)
        if present.digest != campaign.digest:
            remedy = "choose another --out"
            raise MistakeError(
                str(folder), f"campaign {campaign.digest[:8]}", f"results of {present.digest[:8]}", remedy
            )
        if runs > wanted:
            with connection:
                connection.execute("UPDATE campaign SET runs = ?", (runs,))
        return cls(folder, connection, campaign, max(runs, wanted))

    def add(
        self,
        place: int,
        first: int,
        count: int,
        tally: Tally,
        *,
        keep: str = "none",
        runs: NDArray[np.uint64] | None = None,
        records: NDArray[np.void] | None = None,
        worker: str = "",
        seconds: float = 0.0,
    ) -> None:
        """Note a finished batch; a batch delivered twice counts once."""
        content = zlib.compress(json.dumps(tally.to_dict(), separators=(",", ":")).encode(), 6)
        kept = None
        if keep != "none" and runs is not None and records is not None:
            kept = self._keep(place, first, count, runs, records)
        row = (place, first, count, content, _checksum(place, first, count, content), keep, kept, worker, seconds)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._connection.execute("INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, now))
        if time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make everything noted so far outlast this process."""
        self._connection.commit()
        self._committed = time.monotonic()

    def forget(self, keep: str) -> int:
        """Strike the batches whose content is damaged, or whose records are not kept as wanted; how many."""
        damaged = []
        rows = self._connection.execute("SELECT place, first, count, tally, checksum, keep, records FROM batches")
        for place, first, count, content, checksum, kept, digest in rows:
            whole = checksum == _checksum(place, first, count, content)
            enough = keep == "none" or (kept in (keep, "all") and self._intact(place, first, count, digest))
            if not (whole and enough):
                damaged.append((place, first))
        with self._connection:
            self._connection.executemany("DELETE FROM batches WHERE place = ? AND first = ?", damaged)
        return len(damaged)

    def gaps(self, place: int, runs: int) -> list[tuple[int, int]]:
        """The runs of a case that are still to be flown below `runs`: (first, stop), in order."""
        found, reached = [], 0
        query = "SELECT first, count FROM batches WHERE place = ? AND first < ? ORDER BY first"
        for first, count in self._connection.execute(query, (place, runs)):
            if first > reached:
                found.append((reached, first))
            reached = max(reached, first + count)
        if reached < runs:
            found.append((reached, runs))
        return found

    def tally(self, place: int) -> Tally | None:
        """The sum of all finished batches of a case; refuses a row whose checksum is wrong."""
        query = "SELECT first, count, tally, checksum FROM batches WHERE place = ? ORDER BY first"
        total: Tally | None = None
        part: list[Tally] = []
        for first, count, content, checksum in self._connection.execute(query, (place,)):
            if checksum != _checksum(place, first, count, content):
                text = f"{self.folder / JOURNAL}: runs {first} to {first + count - 1} of case {place} are damaged"
                raise InfrastructureError(text, remedy="the same command flies them again")
            part.append(Tally.from_dict(json.loads(zlib.decompress(content))))
            if len(part) == MERGED:
                total, part = merge([*([total] if total else []), *part]), []
        return merge([*([total] if total else []), *part]) if total or part else None

    def kept(self, place: int) -> tuple[NDArray[np.uint64], NDArray[np.void]] | None:
        """Run numbers and kept records of a case, in order; None if nothing was kept."""
        query = "SELECT first, count FROM batches WHERE place = ? AND records IS NOT NULL ORDER BY first"
        parts = [np.load(self._file(place, first, count)) for first, count in self._connection.execute(query, (place,))]
        if not parts:
            return None
        both = np.concatenate(parts)
        return both["run"], both["record"]

    @property
    def keep(self) -> Keep:
        """What was kept of the batches so far."""
        known = self._connection.execute("SELECT keep FROM batches LIMIT 1").fetchone()
        return known[0] if known else "none"

    def progress(self) -> list[tuple[int, int]]:
        """Runs flown and runs wanted of each case."""
        query = "SELECT place, SUM(count) FROM batches GROUP BY place"
        flown = dict(self._connection.execute(query).fetchall())
        return [(int(flown.get(place, 0)), self.runs) for place in range(len(self.campaign.cases))]

    def _keep(self, place: int, first: int, count: int, runs: NDArray[np.uint64], records: NDArray[np.void]) -> bytes:
        both = np.empty(len(runs), [("run", "<u8"), ("record", records.dtype)])
        both["run"], both["record"] = runs, records
        path = self._file(place, first, count)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, both)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return hashlib.sha256(path.read_bytes()).digest()

    def _intact(self, place: int, first: int, count: int, digest: bytes | None) -> bool:
        try:
            return digest == hashlib.sha256(self._file(place, first, count).read_bytes()).digest()
        except OSError:
            return False

    def _file(self, place: int, first: int, count: int) -> Path:
        return self.folder / RECORDS / f"{place}-{first}-{count}.npy"


def _stated(connection: sqlite3.Connection, folder: Path) -> tuple[Campaign, int]:
    """The campaign of a journal and the runs wanted of each case."""
    row = connection.execute("SELECT statement, version, runs FROM campaign").fetchone()
    if row is None or row[1] != SCHEMA_VERSION:
        found = "none" if row is None else str(row[1])
        raise MistakeError(
            f"{folder / JOURNAL}", f"a journal of version {SCHEMA_VERSION}", found, "choose another --out"
        )
    blocks = [block for (block,) in connection.execute("SELECT block FROM params ORDER BY place")]
    return Campaign.restored(json.loads(row[0]), blocks), int(row[2])


def _checksum(place: int, first: int, count: int, content: bytes) -> bytes:
    return hashlib.sha256(f"{place} {first} {count} ".encode() + content).digest()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What SQLite and the file system refuse, as one message."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = f"{folder / JOURNAL}: {error}"
        remedy = "free space, then the same command goes on"
        if "malformed" in str(error) or "not a database" in str(error):
            remedy = "the file is damaged: move the folder away and run the campaign again"
        raise InfrastructureError(text, remedy=remedy) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InfrastructureError(
            f"{error.filename or folder}: {reason}", remedy="free space, or choose --out"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process writes. A lock of a process that is gone from this machine is taken over."""
    path, mine = folder / LOCK, _holder()
    for _ in range(3):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            holder = _read_holder(path)
            if holder is not None and _lives(holder):
                who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
                remedy = f"wait for it or choose another --out; if it is gone, delete {path}"
                raise MistakeError(str(folder), "a folder that nobody else writes to", who, remedy) from None
            with suppress(FileNotFoundError):
                path.unlink()
            continue
        with os.fdopen(handle, "w") as file:
            json.dump(mine, file)
        break
    else:
        raise InfrastructureError(f"{path}: cannot be taken", remedy="delete it")
    try:
        yield
    finally:
        with suppress(OSError):
            if _read_holder(path) == mine:
                path.unlink()


def _holder() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot(), "since": since}


def _boot() -> str:
    """Which start of the system this is: process numbers of another start mean nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _read_holder(path: Path) -> dict[str, Any] | None:
    """What a lock says; None where it is torn or gone."""
    try:
        holder = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) else None


def _lives(holder: dict[str, Any]) -> bool:
    """Whether the process of a lock may still write: of another host that is not known here, so it may."""
    if holder.get("host") != socket.gethostname():
        return True
    if holder.get("boot") != _boot() or not isinstance(holder.get("pid"), int):
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return bool(holder["pid"] != os.getpid())
