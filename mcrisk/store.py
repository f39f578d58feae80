"""The store of a campaign: one folder with its statement, a journal of finished batches, and what is derived from them.

    journal.sqlite    statement, Params bytes of every case, a row for each finished batch, their sums
    records/          kept records, in chunks
    results.nc        the dataset, when all that was asked for is flown
    lock              who writes

Every batch is committed with its checksum before it counts; a process killed at any instant loses the batches of its
last quarter of a second, never more, and the next one flies just these. Sums of many batches are folded into one row,
so that a journal of a million batches is read as fast as one of a hundred. The journal keeps SQLite's rollback mode:
its write-ahead log is unsafe on network file systems. Without a folder the journal is in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcrisk.campaign import SCHEMA_VERSION, Campaign, digest_of
from mcrisk.chunks import Chunks, Segment
from mcrisk.encoding import decode, encode
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.flight import checksum, landings
from mcrisk.goal import KEPT_LIMIT, Goal
from mcrisk.lock import locked
from mcrisk.spans import beyond, chains, joined
from mcrisk.tally import Tally, merge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.flight import Result

__all__ = ["JOURNAL", "RECORDS", "Failure", "Store", "TooLarge"]

JOURNAL, RECORDS = "journal.sqlite", "records"
JOURNAL_VERSION = 2
COMMIT_SECONDS = 0.25  # [s] between two commits: what a killed process can lose
FOLD = 64  # rows of sums that become one
HALF_WRITTEN = re.compile(r"\.(results|(losses|all)(-\d+)?)\.nc\.[0-9a-f]+\.partial")  # as netcdf.placed names them
FAR = 1 << 62  # [run]
PAGE = 4096  # rows read at a time
SETTLED = 100  # level of the sum of a whole case
TABLES = """
CREATE TABLE campaign (
    statement TEXT NOT NULL, planned TEXT NOT NULL, goal TEXT NOT NULL, checksum BLOB NOT NULL
);
CREATE TABLE params (place INTEGER PRIMARY KEY, block BLOB NOT NULL, resolved BLOB NOT NULL);
CREATE TABLE batches (
    place INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, landings INTEGER NOT NULL,
    landed BLOB NOT NULL, checksum BLOB NOT NULL, keep TEXT NOT NULL,
    chunk INTEGER, at INTEGER, size INTEGER, digest BLOB,
    worker TEXT NOT NULL, seconds REAL NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (place, first)
) WITHOUT ROWID;
CREATE TABLE sums (
    place INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, level INTEGER NOT NULL,
    content BLOB NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (place, first)
) WITHOUT ROWID;
CREATE TABLE failures (
    place INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (place, first)
) WITHOUT ROWID;
CREATE TABLE looks (
    requirement TEXT NOT NULL, place INTEGER NOT NULL, look TEXT NOT NULL, at TEXT NOT NULL, checksum BLOB NOT NULL
);
"""
HEIGHTS = "CREATE TABLE heights (digest TEXT PRIMARY KEY, block BLOB NOT NULL)"  # where there is an elevation model


@dataclass(frozen=True)
class Failure:
    """Runs that no worker could fly, whatever was tried."""

    place: int
    first: int
    count: int
    reason: str


class TooLarge(Exception):
    """Kept records that do not fit into one file."""


class Store:
    """The journal of one campaign, open for reading, or for writing by its one writer.

    place: number of the case in the campaign. Raises `MistakeError` for a folder of another campaign or one in use, and
    `InfrastructureError` for a journal that cannot be read or written.
    """

    def __init__(
        self, folder: Path | None, connection: sqlite3.Connection, campaign: Campaign, planned: Goal, goal: Goal
    ) -> None:
        self.folder, self.campaign, self.goal = folder, campaign, goal
        self.planned = planned  # what was asked at the very start, before any run was seen
        self._connection = connection
        self._committed = time.monotonic()
        self._loose: Counter[int] = Counter()
        self._chunks = Chunks(folder / RECORDS if folder else None)

    # ------------------------------------------------------------------------------------------------ opening

    @classmethod
    @contextmanager
    def written(
        cls, folder: Path | None, campaign: Campaign, goal: Goal, *, force_lock: bool = False
    ) -> Iterator[Store]:
        """The store of a campaign for writing, made where there is none; the goal is that of now."""
        if folder is None:
            yield cls._filled(None, sqlite3.connect(":memory:", isolation_level="IMMEDIATE"), campaign, goal)
            return
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder, force_lock):
                _sweep(folder)
                connection = sqlite3.connect(folder / JOURNAL, isolation_level="IMMEDIATE", timeout=60.0)
                store = None
                try:
                    connection.execute("PRAGMA synchronous = FULL")
                    _check(connection)
                    store = cls._filled(folder, connection, campaign, goal)
                    yield store
                    store.commit()
                except BaseException:
                    if store:
                        with suppress(sqlite3.Error, OSError):
                            store.commit()  # what is finished stays, whatever ended the rest
                    raise
                finally:
                    if store:
                        store._chunks.close()
                    connection.close()

    @classmethod
    @contextmanager
    def read(cls, folder: Path) -> Iterator[Store]:
        """The store in a folder, for reading; another process may write meanwhile."""
        if not (folder / JOURNAL).is_file():
            raise MistakeError(str(folder), "a folder of results", "no journal there")
        with _told(folder):
            connection = _opened(folder / JOURNAL)
            try:
                yield cls(folder, connection, *_stated(connection, folder))
            finally:
                connection.close()

    @classmethod
    def _filled(cls, folder: Path | None, connection: sqlite3.Connection, campaign: Campaign, goal: Goal) -> Store:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0 and not _tables(connection):
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                described = json.dumps(campaign.describe(), sort_keys=True)
                texts = (described, goal.to_text(), goal.to_text())
                connection.execute("INSERT INTO campaign VALUES (?, ?, ?, ?)", (*texts, _sealed(*texts)))
                blocks = (
                    (place, case.params, zlib.compress(case.resolved.encode()))
                    for place, case in enumerate(campaign.cases)
                )
                connection.executemany("INSERT INTO params VALUES (?, ?, ?)", blocks)
                if grounds := {digest_of(case.heights): case.heights for case in campaign.cases if case.heights}:
                    connection.execute(HEIGHTS)
                    rows = ((digest.hex(), zlib.compress(heights, 6)) for digest, heights in grounds.items())
                    connection.executemany("INSERT INTO heights VALUES (?, ?)", rows)
                connection.execute(f"PRAGMA user_version = {JOURNAL_VERSION}")
        present, planned, before = _stated(connection, folder)
        if present.digest != campaign.digest:
            ours, theirs = campaign.digest[:8], present.digest[:8]
            raise MistakeError(str(folder), f"campaign {ours}", f"results of {theirs}", "choose another --out")
        goal = goal.after(before)
        with connection:  # names and labels are those of now, the campaign is the same
            described = json.dumps(campaign.describe(), sort_keys=True)
            texts = (described, planned.to_text(), goal.to_text())
            query = "UPDATE campaign SET statement = ?, planned = ?, goal = ?, checksum = ?"
            connection.execute(query, (*texts, _sealed(*texts)))
        return cls(folder, connection, campaign, planned, goal)

    # ------------------------------------------------------------------------------------------------ writing

    def add(self, result: Result) -> bool:
        """Note a finished batch; False where its runs are there already, as after a second delivery.

        Refuses one that was damaged on its way.
        """
        place, first, count = result.place, result.first, result.count
        if result.checksum != checksum(place, first, count, result.landings, result.content, result.landed):
            raise InfrastructureError(f"the result of runs {first} to {first + count - 1} was damaged on its way")
        if self._holds(place, first, first + count):
            return False
        segment = Segment() if result.records is None else self._chunks.add(result.records)
        with self._together():
            self._note(result, segment)
            self._loose[place] += 1
            if self._loose[place] >= FOLD:
                self._loose[place] = 0
                self._fold(place)
        self.commit_due()
        return True

    def _note(self, result: Result, segment: Segment) -> None:
        place, first, count = result.place, result.first, result.count
        noted = (place, first, count, result.landings, result.landed)
        digest = _row_checksum(noted, result.keep, segment)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = (*noted, digest, result.keep, *segment, result.worker, result.seconds, now)
        self._connection.execute(f"INSERT INTO batches VALUES ({', '.join('?' * len(row))})", row)
        self._insert_sum(place, first, count, 0, result.content)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """All of these changes or none, whatever interrupts them; they are not committed yet."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("SAVEPOINT together")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # where the disk is full, SQLite may have ended it
                self._connection.execute("ROLLBACK TO together")
            raise
        self._connection.execute("RELEASE together")

    def commit_due(self) -> None:
        """Commit what was noted a quarter of a second ago or earlier."""
        if self._connection.in_transaction and time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make everything noted so far outlast this process."""
        self._chunks.sync()
        self._connection.commit()
        self._committed = time.monotonic()

    def settle(self, place: int) -> None:
        """All of a case is flown: its sums become one row."""
        query = "SELECT first, count, content FROM sums WHERE place = ? ORDER BY first"
        with self._together():
            for chain in chains(self._rows(query, (place,))):
                if len(chain) > 1:
                    self._join(place, chain, SETTLED)
        del self._loose[place]

    def fail(self, failure: Failure) -> None:
        """Note runs that could not be flown."""
        self._connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", astuple(failure))

    def forget(self, keep: str) -> int:
        """Strike the batches whose content is damaged, or whose records are not kept as wanted; how many.

        Sums cannot be taken apart: with one batch go all that are summed in the same row. Failures are tried again.
        """
        spoilt: list[tuple[int, int, int]] = []
        for of in ("batches", "sums"):  # rows of no run, which no span of runs meets
            self._connection.execute(f"DELETE FROM {of} WHERE count < 1")
        query = "SELECT place, first, count, content, checksum FROM sums"
        for place, first, count, content, digest in self._connection.execute(query):
            if digest != _sum_checksum(place, first, count, content):
                spoilt.append((place, first, count))
        columns = "place, first, count, landings, landed, checksum, keep, chunk, at, size, digest"
        for row in self._connection.execute(f"SELECT {columns} FROM batches"):
            noted, digest, kept, segment = row[:5], row[5], row[6], Segment(*row[7:])
            enough = keep == "none" or (kept in (keep, "all") and self._chunks.intact(segment))
            if not enough or digest != _row_checksum(noted, kept, segment):
                spoilt.append(noted[:3])
        struck = sum(self._strike(place, first, first + count) for place, first, count in spoilt)
        self._connection.execute("DELETE FROM failures")
        self._strike_unsummed()
        self.commit()
        self._chunks.prune({chunk for (chunk,) in self._rows("SELECT DISTINCT chunk FROM batches")})
        return struck

    def _strike(self, place: int, first: int, stop: int) -> int:
        """Remove these runs from journal and sums, with all that share a row of sums with them."""
        clash = "place = ? AND first < ? AND first + count > ?"
        struck = 0
        while True:
            found = self._connection.execute(
                f"SELECT MIN(first), MAX(first + count) FROM (SELECT place, first, count FROM sums UNION ALL "
                f"SELECT place, first, count FROM batches) WHERE {clash}",
                (place, stop, first),
            ).fetchone()
            if found[0] is None:
                return struck
            first, stop = min(first, found[0]), max(stop, found[1])
            struck += self._connection.execute(f"DELETE FROM batches WHERE {clash}", (place, stop, first)).rowcount
            self._connection.execute(f"DELETE FROM sums WHERE {clash}", (place, stop, first))

    def _strike_unsummed(self) -> None:
        """Batches and sums must cover the same runs: what a lost row left in one of them alone goes."""
        for place in range(len(self.campaign.cases)):
            noted, summed = (joined(self._spans(table, place)) for table in ("batches", "sums"))
            for first, stop in (*beyond(noted, summed), *beyond(summed, noted)):
                self._strike(place, first, stop)

    def _insert_sum(self, place: int, first: int, count: int, level: int, content: bytes) -> None:
        row = (place, first, count, level, content, _sum_checksum(place, first, count, content))
        self._connection.execute("INSERT INTO sums VALUES (?, ?, ?, ?, ?, ?)", row)

    def _fold(self, place: int, level: int = 0) -> None:
        """Join rows of sums of one level that follow each other, where they are many, to rows of the next level."""
        query = "SELECT first, count, content FROM sums WHERE place = ? AND level = ? ORDER BY first"
        many = [chain for chain in chains(self._rows(query, (place, level))) if len(chain) >= FOLD]
        for chain in many:
            self._join(place, chain, level + 1)
        if many:
            self._fold(place, level + 1)

    def _join(self, place: int, chain: list[tuple[int, int, bytes]], level: int) -> None:
        total = merge(decode(content) for _, _, content in chain)
        first, count = chain[0][0], sum(count for _, count, _ in chain)
        within = (place, first, first + count)
        content = encode(total)
        self._connection.execute("DELETE FROM sums WHERE place = ? AND first >= ? AND first < ?", within)
        self._insert_sum(place, first, count, level, content)

    def _holds(self, place: int, first: int, stop: int) -> bool:
        """Whether any of these runs is there; batches never overlap."""
        query = "SELECT first + count FROM batches WHERE place = ? AND first < ? ORDER BY first DESC LIMIT 1"
        last = self._connection.execute(query, (place, stop)).fetchone()
        return last is not None and last[0] > first

    # ------------------------------------------------------------------------------------------------ reading

    def gaps(self, place: int, runs: int) -> list[tuple[int, int]]:
        """The runs of a case that are still to be flown below `runs`: (first, stop), in order."""
        found, reached = [], 0
        for first, stop in self._spans("sums", place):
            if first >= runs:
                break
            if first > reached:
                found.append((reached, first))
            reached = max(reached, stop)
        if reached < runs:
            found.append((reached, runs))
        return found

    def farthest(self, place: int) -> int:
        """The last run of a case that is flown, plus one."""
        spans = self._spans("sums", place)
        return spans[-1][1] if spans else 0

    def reached(self, place: int) -> int:
        """The runs of a case that are flown without a gap from run 0 on."""
        spans = joined(self._spans("sums", place))
        return spans[0][1] if spans and spans[0][0] == 0 else 0

    def resolved(self, place: int) -> str:
        """The whole design of a case as TOML, designed values in comments."""
        (content,) = self._connection.execute("SELECT resolved FROM params WHERE place = ?", (place,)).fetchone()
        try:
            return zlib.decompress(content).decode()
        except (zlib.error, UnicodeDecodeError) as error:
            raise InfrastructureError(f"{self.folder}: the design of case {place} is damaged") from error

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Runs flown and landings of every case, `(cases,)` each."""
        runs, landed = (np.zeros(len(self.campaign.cases), np.int64) for _ in range(2))
        for place, count, seen in self._rows("SELECT place, SUM(count), SUM(landings) FROM batches GROUP BY place"):
            runs[place], landed[place] = count, seen
        return runs, landed

    def seconds(self) -> float:
        """Time that workers spent on all finished batches [s]."""
        return float(self._rows("SELECT TOTAL(seconds) FROM batches")[0][0])

    def tally(self, place: int, below: int | None = None) -> Tally | None:
        """The sum of the finished batches of a case, all or those before run `below`, where none may lie across it.

        Refuses a row whose checksum is wrong.
        """
        query = "SELECT first, count, content, checksum FROM sums WHERE place = ? AND first < ? ORDER BY first"
        parts = []
        for first, count, content, digest in self._rows(query, (place, FAR if below is None else below)):
            if digest != _sum_checksum(place, first, count, content):
                raise self._damaged(place, first, count)
            parts.append(content)
        return merge(map(decode, parts)) if parts else None

    def landed(self, place: int, runs: int) -> NDArray[np.uint8]:
        """Landings of runs 0, ..., runs - 1 as packed bits, the lowest first; refuses runs not flown or damaged."""
        if gaps := self.gaps(place, runs):
            first, stop = gaps[0]
            where = f"{self.folder}: " if self.folder else ""
            text = f"{where}runs {first} to {stop - 1} of {self.campaign.cases[place].name} are not flown"
            raise MistakeError(text, remedy="resume it first")
        bits = np.zeros(-(-runs // 8), np.uint8)
        columns = "place, first, count, landings, landed, checksum, keep, chunk, at, size, digest"
        query = f"SELECT {columns} FROM batches WHERE place = ? AND first >= ? ORDER BY first LIMIT {PAGE}"
        reached = 0
        while reached < runs:
            page = self._rows(query, (place, reached))
            if not page:  # the sums hold them
                raise self._damaged(place, reached, runs - reached)
            for row in page:
                _, first, count, _, content = row[:5]
                if first != reached or row[5] != _row_checksum(row[:5], row[6], Segment(*row[7:])):
                    raise self._damaged(place, reached, first + count - reached)
                if first < runs:
                    set_bits(bits, first, landings(content, count)[: runs - first])
                reached = first + count
        return bits

    def kept(self, place: int, losses: bool = False) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
        """Run numbers and kept records of a case, in order. losses: those of lost runs alone, where more are kept."""
        from mcrisk.schema import load_schema

        record = load_schema().record_dtype(self.campaign.real)
        kind = np.dtype([("run", "<u8"), ("record", record)])
        query = "SELECT chunk, at, size, digest FROM batches WHERE place = ? AND chunk IS NOT NULL ORDER BY first"
        parts = [np.zeros(0, kind)]
        held = 0
        landed = load_schema().enums["Outcome"]["success"]
        for row in self._rows(query, (place,)):
            part = self._chunks.read(Segment(*row), kind)
            parts.append(part[part["record"]["outcome"] != landed] if losses else part)
            held += parts[-1].nbytes
            if held > KEPT_LIMIT:
                raise TooLarge(f"its records take more than {KEPT_LIMIT >> 30} GiB")
        both = np.concatenate(parts)
        return both["run"], both["record"]

    def failures(self) -> list[Failure]:
        """The runs that no worker could fly, in order."""
        return [Failure(*row) for row in self._rows("SELECT place, first, count, reason FROM failures ORDER BY 1, 2")]

    def note_look(self, requirement: str, place: int, look: dict[str, Any]) -> None:
        """Note that a requirement was judged, for later looks to know of."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = (requirement, place, json.dumps(look, sort_keys=True), now)
        self._connection.execute("INSERT INTO looks VALUES (?, ?, ?, ?, ?)", (*row, _sealed(*map(str, row))))

    def looks(self, requirement: str, place: int) -> list[dict[str, Any]]:
        """What earlier looks at a requirement saw, oldest first; refuses any that was changed."""
        found = []
        for *row, digest in self._rows("SELECT requirement, place, look, at, checksum FROM looks ORDER BY rowid"):
            if digest != _sealed(*map(str, row)):  # of whatever requirement it was
                text = (
                    f"{self.folder / JOURNAL if self.folder else 'journal'}: the looks at its requirements are damaged"
                )
                raise InfrastructureError(text, remedy="no verdict can be given from this store any more")
            if (row[0], row[1]) == (requirement, place):
                found.append(json.loads(row[2]))
        return found

    def _damaged(self, place: int, first: int, count: int) -> InfrastructureError:
        where = f"{self.folder / JOURNAL}: " if self.folder else ""
        text = f"{where}runs {first} to {first + count - 1} of case {place} are damaged"
        return InfrastructureError(text, remedy="the same command flies them again")

    def _spans(self, table: str, place: int) -> list[tuple[int, int]]:
        return self._rows(f"SELECT first, first + count FROM {table} WHERE place = ? ORDER BY first", (place,))

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """All rows at once: no reader holds the journal while it computes."""
        return self._connection.execute(query, values).fetchall()


def set_bits(bits: NDArray[np.uint8], first: int, landed: NDArray[np.bool_]) -> None:
    """Put the landings of runs first, first + 1, ... into packed bits."""
    start = first // 8
    lead = first - 8 * start
    block = np.concatenate([np.zeros(lead, bool), landed])
    packed = np.packbits(block, bitorder="little")
    bits[start : start + len(packed)] |= packed


def _stated(connection: sqlite3.Connection, folder: Path | None) -> tuple[Campaign, Goal, Goal]:
    """The campaign of a journal, its goal at the start and that of now."""
    where = str(folder / JOURNAL) if folder else "journal"
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version != JOURNAL_VERSION:
        tables = _tables(connection)
        if not version and not tables:  # its disk was full from the start
            remedy = "give the command again that was to begin it"
            raise MistakeError(where, "a campaign", "a journal in which nothing was ever noted", remedy)
        known = "campaign" in tables
        found = f"version {version or 1}" if known else "another database"
        raise MistakeError(where, f"a journal of version {JOURNAL_VERSION}", found, "choose another --out")
    row = connection.execute("SELECT statement, planned, goal, checksum FROM campaign").fetchone()
    if row is None or row[3] != _sealed(*row[:3]):
        raise InfrastructureError(f"{where}: its statement is damaged", remedy=DAMAGED)
    statement = json.loads(row[0])
    if statement["schema_version"] != SCHEMA_VERSION:
        found = f"version {statement['schema_version']}"
        raise MistakeError(where, f"a campaign of version {SCHEMA_VERSION}", found, "choose another --out")
    blocks = [block for (block,) in connection.execute("SELECT block FROM params ORDER BY place").fetchall()]
    try:
        rows = (
            connection.execute("SELECT digest, block FROM heights").fetchall()
            if "heights" in _tables(connection)
            else []
        )
        heights = {digest: zlib.decompress(block) for digest, block in rows}
        return Campaign.restored(statement, blocks, heights), Goal.from_text(row[1]), Goal.from_text(row[2])
    except (MistakeError, TypeError, ValueError, zlib.error) as error:
        raise InfrastructureError(f"{where}: its parameters are damaged ({error})", remedy=DAMAGED) from error


DAMAGED = "the file is damaged: move the folder away and run the campaign again"


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}


def _sweep(folder: Path) -> None:
    """Remove what a process killed while it wrote results left beside them: only the holder of the lock does."""
    for path in folder.glob(".*.nc.*.partial"):
        if HALF_WRITTEN.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _check(connection: sqlite3.Connection) -> None:
    """Refuse a file whose structure is broken: rows could be missing without a word."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that reads; where a process was killed while it committed, opening it undoes that commit."""
    connection = sqlite3.connect(f"file:{_quoted(path)}?mode=rw", uri=True, timeout=60.0)
    try:
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:  # a folder that this user may only read
        connection.close()
        connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=60.0)
    return connection


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))


def _sealed(*texts: str) -> bytes:
    return hashlib.sha256(json.dumps(texts).encode()).digest()


def _sum_checksum(place: int, first: int, count: int, content: bytes) -> bytes:
    return hashlib.sha256(f"{place} {first} {count} ".encode() + content).digest()


def _row_checksum(row: tuple[Any, ...], keep: str, segment: Segment) -> bytes:
    """Of place, first, count, landings and landing bits, and of where the kept records are."""
    place, first, count, seen, landed = row
    chunk, at, size, digest = segment
    whole = hashlib.sha256(f"{place} {first} {count} {seen} {keep} {chunk} {at} {size} ".encode())
    whole.update((digest or b"-") + landed)
    return whole.digest()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What SQLite and the file system refuse, as one message."""
    try:
        yield
    except sqlite3.Error as error:
        remedy = "free space, then the same command goes on"
        if (
            isinstance(error, sqlite3.IntegrityError)
            or "malformed" in str(error)
            or "not a database" in str(error)
            or "no such" in str(error)
        ):
            remedy = DAMAGED
        elif "locked" in str(error) or "readonly" in str(error):
            remedy = "another program holds it, or it may only be read"
        raise InfrastructureError(f"{folder / JOURNAL}: {error}", remedy=remedy) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InfrastructureError(
            f"{error.filename or folder}: {reason}", remedy="free space, or choose --out"
        ) from error
