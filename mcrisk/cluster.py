"""The workers of a campaign, wherever they are: the only file that imports dask.

On the cores of this machine that is threads of this process (threads.py), without dask. All others are reached one way,
by a client of a `distributed` scheduler: a process for each GPU, processes of this machine, a scheduler's address, or
jobs that a cluster file asks for. What is started on this machine listens on loopback alone. Every batch is sent to one
worker by name, since a GPU takes a thousand times the runs of a processor core; who is given what, and what becomes of
batches whose worker is gone, is `execute`'s.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import operator
import os
import queue
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mcrisk.clusterfile import LOOPBACK, OWN
from mcrisk.errors import InfrastructureError, visible

if TYPE_CHECKING:
    from mcrisk.clusterfile import ClusterSpec

__all__ = ["Cluster", "Delivery", "connected"]

CONNECT_SECONDS = 10.0  # for a scheduler to answer
RESTART_SECONDS = 20.0  # for a worker to come back
GATHER_SECONDS = 120.0  # for results to arrive
GATHER_LOOK_SECONDS = 1.0  # between two looks at whether their workers live
RENEW_SECONDS = 3.0  # between two looks at nannies without a process
ALLOWED_FAILURES = 1000  # of a worker under a batch: `execute` isolates what kills workers itself
GONE = "the scheduler is gone"


@dataclass(frozen=True)
class Delivery:
    """What became of something submitted: its value, or what it failed with; both None where its worker was lost."""

    ticket: int
    value: Any = None
    error: BaseException | None = None


class Cluster(Protocol):
    """Workers by their addresses, as `execute` sees them. Made by `connected`."""

    described: str

    def workers(self) -> dict[str, int]: ...
    def submit(self, function: Callable[[Any], Any], argument: Any, worker: str, priority: int = 0) -> int: ...
    def greet(self, module: str, function: str, argument: str, worker: str) -> int: ...
    def deliveries(self, timeout: float) -> list[Delivery]: ...
    def cancel(self, ticket: int) -> None: ...
    def restart(self, worker: str) -> bool: ...
    def retire(self, worker: str) -> None: ...


class Scheduled:
    """A scheduler of dask and its workers."""

    def __init__(self, client: Any, described: str, processes: Any = None) -> None:
        """processes: a cluster of this machine whose worker processes are kept in number."""
        self.described = described
        self._client = client
        self._processes, self._looked, self._dead = processes, time.monotonic(), set[Any]()
        self._numbers = itertools.count()
        self._futures: dict[int, Any] = {}
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()

    @property
    def dashboard(self) -> str:
        """Where the dashboard is, if there is one."""
        try:
            link = str(self._client.dashboard_link or "")
        except Exception:  # dask asks the scheduler, which may be gone
            return ""
        return link if _has_dashboard() else ""

    def workers(self) -> dict[str, int]:
        """Threads of every worker by its address. Raises `InfrastructureError` where the scheduler is gone."""
        if self._client.status != "running":
            raise _gone(self.described)
        try:
            present = dict(self._client.nthreads())
        except Exception as error:
            raise _gone(self.described) from error
        if self._processes and len(present) < len(self._processes.worker_spec):
            self._renew()
        return present

    def _renew(self) -> None:
        """Begin anew with nannies that have had no process at two looks: none outlives the end of one that starts."""
        if time.monotonic() - self._looked < RENEW_SECONDS:
            return
        made, self._looked = self._processes.workers, time.monotonic()
        dead = {name for name in self._processes.worker_spec if name not in made or made[name].pid is None}
        again, self._dead = dead & self._dead, dead

        def renew() -> None:
            import asyncio

            for name in again & made.keys():
                asyncio.ensure_future(made.pop(name).close())  # noqa: RUF006  dask keeps it until it is closed

        if again:
            self._processes.loop.add_callback(renew)
            self._processes.scale(len(self._processes.worker_spec))  # opens what is missing

    def submit(self, function: Callable[[Any], Any], argument: Any, worker: str, priority: int = 0) -> int:
        """Let this worker, and no other, do it; the ticket of its delivery."""
        ticket = next(self._numbers)
        try:
            future = self._client.submit(
                function, argument, key=f"mcrisk-{self._client.id}-{ticket}", workers=[worker],
                allow_other_workers=False, priority=priority, pure=False,
            )  # fmt: skip
        except Exception as error:
            raise _gone(self.described) from error
        self._futures[ticket] = future
        future.add_done_callback(lambda _: self._done.put(ticket))
        return ticket

    def greet(self, module: str, function: str, argument: str, worker: str) -> int:
        """`submit` of a function by its names: a worker that lacks the module answers so.

        It would end of `submit`: a worker unpickles what it is sent before it makes a task of it.
        """
        try:
            found = self._client.submit(
                importlib.import_module, module, key=f"mcrisk-{self._client.id}-{next(self._numbers)}",
                workers=[worker], allow_other_workers=False, priority=1, pure=False,
            )  # fmt: skip
        except Exception as error:
            raise _gone(self.described) from error
        return self.submit(operator.methodcaller(function, argument), found, worker, priority=1)

    def deliveries(self, timeout: float) -> list[Delivery]:
        """What arrived; waits up to `timeout` [s] for the first."""
        tickets = []
        with contextlib.suppress(queue.Empty):
            tickets.append(self._done.get(timeout=timeout))
            while True:
                tickets.append(self._done.get_nowait())
        mine = {ticket: self._futures.pop(ticket) for ticket in tickets if ticket in self._futures}
        finished = {ticket: future for ticket, future in mine.items() if future.status == "finished"}
        values = self._gathered(finished)
        found = []
        for ticket, future in mine.items():
            if ticket in values:
                found.append(Delivery(ticket, values[ticket]))
            elif future.status == "error":
                found.append(Delivery(ticket, error=future.exception()))
            else:
                found.append(Delivery(ticket))
        return found

    def cancel(self, ticket: int) -> None:
        """No longer wait for it."""
        if future := self._futures.pop(ticket, None):
            with contextlib.suppress(Exception):
                self._client.cancel([future], force=True)

    def restart(self, worker: str) -> bool:
        """Start a worker anew, in a fresh process; whether that could be done."""
        try:
            told = self._client.restart_workers([worker], timeout=RESTART_SECONDS, raise_for_error=False)
        except Exception:  # without a nanny
            return False
        return bool(told.get(worker) == "OK")

    def retire(self, worker: str) -> None:
        """Let a worker go that cannot be used."""
        with contextlib.suppress(Exception):
            self._client.retire_workers([worker], close_workers=True)

    def _gathered(self, futures: Mapping[int, Any]) -> dict[int, Any]:
        """The values of finished futures by ticket; those whose worker died with them are missing.

        dask waits for a lost value until it is computed again, which its worker alone might do: for ever.
        """
        import asyncio
        import concurrent.futures

        if not futures:
            return {}
        all_of_them = self._client.gather(list(futures.values()), errors="raise", asynchronous=True)
        gathering = asyncio.run_coroutine_threadsafe(all_of_them, self._client.loop.asyncio_loop)
        begun = time.monotonic()
        try:
            while not concurrent.futures.wait([gathering], GATHER_LOOK_SECONDS).done:
                lost = any(future.status != "finished" for future in futures.values())
                if lost or self._client.status != "running" or time.monotonic() - begun > GATHER_SECONDS:
                    gathering.cancel()
                    raise TimeoutError
            return dict(zip(futures, gathering.result(), strict=True))
        except (Exception, concurrent.futures.CancelledError):
            found = {}
            for ticket, future in futures.items():
                if future.status == "finished":
                    with contextlib.suppress(Exception):
                        found[ticket] = future.result(timeout=CONNECT_SECONDS)
            return found


@contextmanager
def connected(spec: ClusterSpec, device: str, threads: int, tell: Callable[[str], None]) -> Iterator[Cluster]:
    """The workers of a cluster, until the block is left; jobs that were asked for are given back.

    device: cpu or gpu, for this machine. threads: of this process, where they are the workers.
    """
    if spec.kind == "local" and (device != "gpu" or spec.workers):
        from mcrisk.threads import Threads

        with Threads(spec.workers or threads, spec.described).started() as own:
            yield own
        return

    import dask
    import distributed

    _mind_forks()
    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS:.0f}s",
        "distributed.admin.low-level-log-length": 100,  # a scheduler that sees a million batches
    }
    with dask.config.set(settings), contextlib.ExitStack() as open_:
        open_.enter_context(_hushed())
        processes = None
        if spec.kind == "address":
            client = _client(distributed, spec)
        else:
            cluster = open_.enter_context(_own(distributed, spec, device, threads, tell))
            client = _client_of(distributed, cluster)
            if spec.adapt:
                cluster.adapt(**spec.adapt)
            elif spec.kind == "processes" or (spec.kind == "local" and device == "gpu"):
                processes = cluster
        _hush_loop(client)
        open_.callback(_closed, client)
        _warn_of_open_scheduler(str(client.scheduler.address), tell)
        found = Scheduled(client, spec.described, processes)
        if spec.kind != "local" and (link := found.dashboard):
            tell(f"dashboard: {link}")
        yield found


def _client_of(distributed: Any, cluster: Any) -> Any:
    return distributed.Client(cluster, set_as_default=False)


def _client(distributed: Any, spec: ClusterSpec) -> Any:
    try:
        address = _address_in(spec.address) if spec.address.endswith(".json") else spec.address
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        text = f"--cluster {visible(spec.address)}"
        host, _, port = spec.address.partition("://")[2].rpartition(":")
        where = f"--host {host} --port {port}" if host and port.isdigit() else f"--host {LOOPBACK}"
        start = f"`dask scheduler {visible(where)} --dashboard-address {LOOPBACK}:0`"
        workers = f"`dask worker {text.removeprefix('--cluster ')} --host {LOOPBACK} --dashboard-address {LOOPBACK}:0`"
        remedy = f"start one with {start} and workers with {workers} of this environment; the same command goes on"
        raise InfrastructureError(text, "a dask scheduler that answers", visible(reason), remedy) from error


def _address_in(file: str) -> str:
    """The address that a scheduler wrote into its file; `ValueError` where there is none."""
    try:
        written = json.loads(Path(file).read_bytes())
    except ValueError:
        written = None
    if not isinstance(written, dict) or not isinstance(address := written.get("address"), str):
        raise ValueError("a file without an address")
    return address


@contextmanager
def _own(distributed: Any, spec: ClusterSpec, device: str, threads: int, tell: Callable[[str], None]) -> Iterator[Any]:
    """A scheduler of ours with its workers or jobs."""
    import logging

    local: dict[str, Any] = {
        "dashboard_address": f"{LOOPBACK}:0", "worker_dashboard_address": f"{LOOPBACK}:0",
        "silence_logs": logging.CRITICAL, "memory_limit": 0,
    }  # fmt: skip
    try:
        if spec.kind in OWN and device == "gpu" and not spec.workers:
            cluster = _one_for_each_gpu(distributed)
        elif spec.kind == "processes":
            options = {"n_workers": spec.workers or threads, "threads_per_worker": 1, "host": LOOPBACK}
            cluster = distributed.LocalCluster(processes=True, **local | options | dict(spec.options))
        else:
            cluster = spec.make(tell)
            cluster.scale(**{"jobs" if spec.jobs else "n": spec.jobs or spec.workers})
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        text = f"{spec.described}: {visible(str(error).splitlines()[0] if str(error) else type(error).__name__)}"
        raise InfrastructureError(text, remedy="see the documentation of its class for [options]") from error
    try:
        yield cluster
    finally:
        with contextlib.suppress(Exception):
            cluster.close(timeout=CONNECT_SECONDS)


def _one_for_each_gpu(distributed: Any) -> Any:
    """A process for each GPU that this process may see; it sees no other. One thread flies, one copies and sums."""
    import logging

    options = {"nthreads": 2, "host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0", "memory_limit": 0}
    workers = {
        number: {"cls": distributed.Nanny, "options": options | {"env": {"CUDA_VISIBLE_DEVICES": gpu}}}
        for number, gpu in enumerate(visible_gpus())
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0"}}
    return distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [one.strip() for one in named.split(",") if one.strip()]
    from mcrisk.backends import gpu_count

    return [str(number) for number in range(gpu_count())]


@functools.cache
def _mind_forks() -> None:
    """Give a forked process a thread of its own for dask's messages; it would wait for its parent's for ever."""
    from concurrent.futures import ThreadPoolExecutor

    def renew() -> None:
        utils = sys.modules.get("distributed.utils")
        if hasattr(utils, "_offload_executor"):
            utils._offload_executor = ThreadPoolExecutor(1, "Dask-Offload")  # type: ignore[union-attr]

    os.register_at_fork(after_in_child=renew)


@contextmanager
def _hushed() -> Iterator[None]:
    """Silence dask's own accounts, tracebacks included, of workers and schedulers that go: `execute` tells of them.

    Its loggers have levels of their own, so that the one of their common parent is not enough. They get them back.
    """
    import logging

    names = {"distributed", "tornado.application"}
    names |= {name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"}
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _hush_loop(client: Any) -> None:
    """The same for what asyncio says of futures that nobody awaits any more: of dask's own loop, of no other."""
    with contextlib.suppress(Exception):
        loop = client.loop.asyncio_loop
        loop.call_soon_threadsafe(loop.set_exception_handler, lambda loop, context: None)


def _closed(client: Any) -> None:
    try:
        with contextlib.suppress(Exception):
            client.close(timeout=CONNECT_SECONDS)
    except BaseException:
        client.status = "closed"  # interrupted once more: else it would be closed again at exit, and wait for 20 s
        raise


def _gone(described: str) -> InfrastructureError:
    return InfrastructureError(f"{described}: {GONE}", remedy="start it again; the same command then goes on")


def _has_dashboard() -> bool:
    import importlib.util

    return importlib.util.find_spec("bokeh") is not None


def _warn_of_open_scheduler(address: str, tell: Callable[[str], None]) -> None:
    host = address.partition("://")[2].rpartition(":")[0].strip("[]")
    local = host.startswith("127.") or host in ("localhost", "::1", "")
    if not local and not address.startswith("tls://"):
        tell(f"{visible(address)} is open to everybody who reaches it: dask without TLS runs what it is sent")
