"""What the fault campaign shares: a campaign in its own folder, its processes, and how its end is judged.

A fault is recovered where the same command, given again, ends with the undisturbed results to the bit, no process is
left, no file but those of a store is left, and whoever read meanwhile saw no partial results as complete ones.
"""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mcrisk import netcdf, results
from mcrisk.api import fly
from mcrisk.backends.cpu import CpuBackend
from mcrisk.campaign import state
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.goal import Goal
from mcrisk.mission import load

HERE = Path(__file__).parent
MISSION, SEED = "generic_small", 11
DASK = re.compile(r"global\.lock|purge\.lock|worker-\w+\.dirlock")  # empty; the next process with dask clears the last
KILLED = ".dirlock"  # the same of a worker that is killed while its nanny ends, for the next process to remove
STORE = re.compile(r"journal\.sqlite|records|results\.nc|losses\.nc|all\.nc")
NOTE = re.compile(rf"{MISSION}: .*|(no NVIDIA driver|no CUDA device).*")  # lines of stderr that are no complaint
PATIENCE = 120.0  # [s] for any command of this campaign to end on a loaded machine
ORPHANED = 30.0  # [s] for processes to end after their parent


@dataclass
class Figures:
    """How often a fault was tried, and what became of it."""

    fault: str
    tried: int = 0
    recovered: int = 0
    longest: float = 0.0  # [s] from the fault to the end of the command
    again: int = 0  # [run] flown more than once
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def judge(self, problems: list[str], tried: int = 1) -> None:
        """Count faults with what is wrong after them."""
        self.tried += tried
        self.recovered += 0 if problems else tried
        self.problems += problems

    def __str__(self) -> str:
        told = f"{self.fault}: {self.tried} tried, {self.recovered} recovered identically"
        told += f", longest exit {self.longest:.1f} s, {self.again} runs flown again"
        return "\n  ".join([told + "".join(f", {note}" for note in self.notes), *self.problems[:5]])


@functools.cache
def undisturbed(runs: int) -> str:
    """The digest of the results that nothing disturbed."""
    return netcdf.content_digest(fly(state([load(MISSION)], SEED), Goal(runs), CpuBackend()))


@functools.cache
def libraries() -> str:
    """The library of `shim.c`; empty where there is no C compiler."""
    library = Path(tempfile.mkdtemp(prefix="mcrisk-shim-")) / "shim.so"
    for compiler in ("cc", "gcc", "clang"):
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "shim.c", "-ldl"]
        try:
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return str(library)
        except OSError:
            continue
    return ""


@functools.cache
def may_mount() -> bool:
    """Whether this user may mount a file system."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
        except OSError:
            return False
        return done.returncode == 0 and subprocess.run(["umount", folder], check=False).returncode == 0


class Field:
    """A folder with the store of one campaign and what its processes left. Ends all of them when it is closed."""

    def __init__(self, folder: Path, runs: int, keep: str = "none", cluster: str = "", **fault: Any) -> None:
        self.folder, self.runs = folder, runs
        self.store = folder / "store"
        self.mark = secrets.token_hex(8)
        self.command = ["run", MISSION, "--seed", str(SEED), "--runs", str(runs), "--keep", keep]
        self.command += ["--out", str(self.store), "--backend", "cpu"]
        self.cluster = ["--cluster", cluster] if cluster else []
        self.flown_file = folder / "flown"
        self.fault: dict[str, Any] = {"flown": str(self.flown_file)} | fault
        (folder / "temporary").mkdir(parents=True)

    def environment(self, **changes: str) -> dict[str, str]:
        """Of every process of this field."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DASK_", "MCRISK_"))}
        return kept | {
            "PYTHONPATH": str(HERE / "patches"),
            "MCRISK_FAULT": json.dumps(self.fault),
            "MCRISK_MARK": self.mark,
            "TMPDIR": str(self.folder / "temporary"),
            **changes,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command of mcrisk, by default the one that flies the campaign."""
        words = list(arguments) or self.command + self.cluster
        return self.launch("-m", "mcrisk", *words)

    def launch(self, *words: str, **changes: str) -> subprocess.Popen[str]:
        """A Python process of this field; what it says on stderr goes to a file that `said` reads."""
        with (self.folder / f"err-{secrets.token_hex(4)}").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-P", *words], stdout=subprocess.DEVNULL, stderr=err, stdin=subprocess.DEVNULL,
                env=self.environment(**changes), cwd=self.folder, text=True,
            )  # fmt: skip
        process.said = Path(err.name)  # type: ignore[attr-defined]
        return process

    def complaints(self, process: subprocess.Popen[str]) -> list[str]:
        """The lines of stderr that are not the announcement of the campaign."""
        lines = process.said.read_text(errors="replace").splitlines()  # type: ignore[attr-defined]
        return [line for line in lines if line.strip() and not NOTE.fullmatch(line)]

    def wait_for_journal(self, process: subprocess.Popen[str]) -> None:
        """Until the first batch is begun, or the process has ended."""
        deadline = time.monotonic() + PATIENCE
        while not self.flown_file.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def flown(self) -> int:
        """Runs in all batches that were begun."""
        if not self.flown_file.exists():
            return 0
        return sum(int(line.split()[2]) for line in self.flown_file.read_text().splitlines())

    def processes(self) -> list[psutil.Process]:
        """Those of this field that live."""
        found = []
        for process in psutil.process_iter():
            try:
                alive = process.status() != psutil.STATUS_ZOMBIE
                if alive and process.environ().get("MCRISK_MARK") == self.mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def workers(self) -> list[psutil.Process]:
        """Worker processes that nannies of this field started."""
        found = []
        for process in self.processes():
            try:
                if any("spawn_main" in word for word in process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def peek(self) -> list[str]:
        """What a reader of the folder sees: nothing, part of it marked as such, or the undisturbed results."""
        try:
            seen = results.read_results(self.store / "results.nc")
        except (InfrastructureError, MistakeError):
            return []
        except Exception as error:
            return [f"a reader met {type(error).__name__}: {error}"]
        if not seen.attrs.get("complete", 1):
            return [] if int(seen["runs"]) <= self.runs else [f"{int(seen['runs'])} runs in a partial dataset"]
        return (
            [] if netcdf.content_digest(seen) == undisturbed(self.runs) else ["a reader saw other results as complete"]
        )

    def finish(self, *arguments: str) -> list[str]:
        """What is wrong after the same command, or another one, was left alone."""
        return self.verdict(self.start(*arguments))

    def verdict(self, process: subprocess.Popen[str]) -> list[str]:
        """What is wrong once this command has ended well."""
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return [f"no end within {PATIENCE:.0f} s"]
        if code:
            return [f"exit code {code}: {' | '.join(self.complaints(process))}"]
        return self.differs() + self.left()

    def differs(self) -> list[str]:
        """Whether the results are the undisturbed ones."""
        try:
            digest = netcdf.read(self.store / "results.nc").attrs["content_digest"]
        except (InfrastructureError, MistakeError) as error:
            return [str(error)]
        return [] if digest == undisturbed(self.runs) else ["other results"]

    def left(self) -> list[str]:
        """Processes and files that should not be there."""
        deadline = time.monotonic() + ORPHANED
        while (alive := self.orphans()) and time.monotonic() < deadline:
            time.sleep(0.1)
        files = self.files_left() + self.scratch_left()
        found = [f"left over: {', '.join(sorted(files))}"] if files else []
        return found + [f"orphan: {one}" for one in alive]

    def files_left(self) -> list[str]:
        """Files in the store that are no part of it, and chunks that its journal does not name."""
        files = [path.name for path in self.store.iterdir() if not STORE.fullmatch(path.name)]
        with closing(sqlite3.connect(f"file:{self.store / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
            named = {f"{chunk or 0:06d}.bin" for (chunk,) in journal.execute("SELECT DISTINCT chunk FROM batches")}
        return files + [path.name for path in self.store.glob("records/*") if path.name not in named]

    def scratch_left(self) -> list[str]:
        """Temporary files, but for what dask keeps, and one that nobody was left to remove."""
        scratch = self.folder / "temporary"
        files = [path for path in scratch.rglob("*") if not DASK.fullmatch(path.name) and path.is_file()]
        killed = [path for path in files if path.suffix == KILLED]
        return [str(path.relative_to(scratch)) for path in files if path not in killed[:1]]

    def orphans(self) -> list[psutil.Process]:
        """Processes that should have ended."""
        return self.processes()

    def close(self) -> None:
        """End every process of this field."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.Error:
                continue


@contextmanager
def field_of(runs: int, keep: str = "none", cluster: str = "", **fault: Any) -> Iterator[Field]:
    """A field in a folder of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mcrisk-fault-", ignore_cleanup_errors=True) as folder:
        one = Field(Path(folder).resolve(), runs, keep, cluster, **fault)
        try:
            yield one
        finally:
            one.close()


class Pair(Field):
    """A field with a scheduler and workers of the user's own, on loopback."""

    def __init__(self, folder: Path, runs: int, workers: int = 2, nanny: bool = False, **fault: Any) -> None:
        super().__init__(folder, runs, cluster="scheduler.json", **fault)
        self.nanny = nanny
        self.given: list[subprocess.Popen[str]] = []
        self.scheduler = self.begin()
        self.hands = [self.worker() for _ in range(workers)]

    def begin(self, port: int = 0) -> subprocess.Popen[str]:
        """A scheduler, which says where it is in scheduler.json."""
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", str(port), "--scheduler-file", str(file)]
        options += [
            "--dashboard-address",
            "127.0.0.1:0",
        ]  # listens beyond loopback without it, even with --no-dashboard
        process = self.launch("-m", "dask", "scheduler", *options)
        self.given.append(process)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.address: str = json.loads(file.read_text())["address"]
                return process
            except (OSError, ValueError):
                time.sleep(0.05)
        raise TimeoutError(process.said.read_text())  # type: ignore[attr-defined]

    def worker(self, **changes: str) -> subprocess.Popen[str]:
        """A worker of one thread."""
        options = ["--scheduler-file", str(self.folder / "scheduler.json"), "--host", "127.0.0.1", "--nthreads", "1"]
        options += ["--dashboard-address", "127.0.0.1:0"]
        options += ["--death-timeout", "60", "--nanny" if self.nanny else "--no-nanny"]
        process = self.launch(
            "-m", "dask", "worker", *options, "--local-directory", str(self.folder / "scratch"), **changes
        )
        self.given.append(process)
        return process

    def scratch_left(self) -> list[str]:
        return []  # the user's scheduler and workers live

    def orphans(self) -> list[psutil.Process]:
        """Processes that are neither the user's scheduler and workers nor theirs."""
        given = {one.pid for one in self.given}
        return [one for one in self.processes() if not {one.pid, *(parent.pid for parent in one.parents())} & given]


@contextmanager
def pair_of(runs: int, workers: int = 2, nanny: bool = False, **fault: Any) -> Iterator[Pair]:
    """A scheduler and workers in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="mcrisk-fault-", ignore_cleanup_errors=True) as folder:
        one = None
        try:
            one = Pair(Path(folder).resolve(), runs, workers, nanny, **fault)
            yield one
        finally:
            if one:
                one.close()


class Forks:
    """Commands in forked children of a process that has everything imported; see `forked.py`."""

    def __init__(self, one: Field) -> None:
        self.field = one
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "forked.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=one.environment(LD_PRELOAD=libraries()), cwd=one.folder,
        )  # fmt: skip

    def do(self, arguments: list[str], call: int = 0, mode: int = 0) -> dict[str, Any]:
        """Status, calls, seconds, out and complaints of one command."""
        out, err = (self.field.folder / name for name in ("fork-out", "fork-err"))
        asked = {"arguments": arguments, "folder": str(self.field.store), "call": call, "mode": mode}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked | {"out": str(out), "err": str(err)}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        said = [line for line in err.read_text(errors="replace").splitlines() if line.strip()]
        return answer | {"out": out.read_text(), "said": [line for line in said if not NOTE.fullmatch(line)]}

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)


@contextmanager
def forks_of(one: Field) -> Iterator[Forks]:
    forks = Forks(one)
    try:
        yield forks
    finally:
        forks.close()
