"""Threads of this process as the workers of a campaign, with what `execute` asks of a cluster.

The kernel holds no Python lock while it flies, so that threads are enough on one machine. No scheduler is between:
importing and starting dask takes as long as flying a thousand descents.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mcrisk.cluster import Delivery
from mcrisk.errors import InfrastructureError

__all__ = ["Threads"]

ADDRESS = "threads"
REMEDY = "memory or the number of processes may be short; what is flown is kept, the same command goes on"


class Threads:
    """One worker of so many threads."""

    def __init__(self, count: int, described: str) -> None:
        self.described = described
        self._count = count
        self._numbers = itertools.count()
        self._wanted: set[int] = set()
        self._threads: list[threading.Thread] = []
        self._at: dict[int, int] = {}  # ticket by the place of the thread that is at it
        self._work: queue.SimpleQueue[tuple[int, Callable[[Any], Any], Any] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Delivery] = queue.SimpleQueue()

    def workers(self) -> dict[str, int]:
        """Threads of the worker by its address; what one was at that ended, as without memory, is delivered as lost.

        Raises `InfrastructureError` where none is left.
        """
        ended = [place for place, thread in enumerate(self._threads) if not thread.is_alive()]
        for place in ended:
            if (ticket := self._at.pop(place, None)) is not None:
                self._done.put(Delivery(ticket, error=InfrastructureError("a thread of this process ended")))
        if ended and len(ended) == len(self._threads):
            raise InfrastructureError("all threads of this process ended", remedy=REMEDY)
        return {ADDRESS: self._count - len(ended)} if self._count else {}

    def submit(self, function: Callable[[Any], Any], argument: Any, worker: str, priority: int = 0) -> int:
        """Do it in one of the threads, first come, first served; the ticket of its delivery."""
        ticket = next(self._numbers)
        self._wanted.add(ticket)
        self._work.put((ticket, function, argument))
        return ticket

    def greet(self, module: str, function: str, argument: str, worker: str) -> int:
        """`submit` of a function by its names."""
        return self.submit(getattr(importlib.import_module(module), function), argument, worker)

    def deliveries(self, timeout: float) -> list[Delivery]:
        """What arrived; waits up to `timeout` [s] for the first."""
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._done.get(timeout=timeout))
            while True:
                found.append(self._done.get_nowait())
        wanted = [one for one in found if one.ticket in self._wanted]
        self._wanted.difference_update(one.ticket for one in wanted)
        return wanted

    def cancel(self, ticket: int) -> None:
        """No longer wait for it; begun is not undone."""
        self._wanted.discard(ticket)

    def restart(self, worker: str) -> bool:
        """Whether a thread that hangs can be started anew: no."""
        return False

    def retire(self, worker: str) -> None:
        """Let a worker go that cannot be used."""
        self._count = 0

    @contextmanager
    def started(self) -> Iterator[Threads]:
        """At work until the block is left. Nobody waits for what is under way then: it ends with the process."""
        try:
            for place in range(self._count):
                thread = threading.Thread(target=self._live, args=(place,), name="mcrisk", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    raise InfrastructureError("threads of this process", str(self._count), str(error), REMEDY) from None
                self._threads.append(thread)
            yield self
        finally:
            self._wanted.clear()
            for _ in self._threads:
                self._work.put(None)

    def _live(self, place: int) -> None:
        with contextlib.suppress(BaseException):  # `workers` tells of it
            self._serve(place)

    def _serve(self, place: int) -> None:
        while (one := self._work.get()) is not None:
            ticket, function, argument = one
            if ticket not in self._wanted:
                continue
            self._at[place] = ticket
            try:
                told = Delivery(ticket, function(argument))
            except BaseException as error:  # of whatever flies here; `execute` tells it
                told = Delivery(ticket, error=error)
            self._done.put(told)
            del self._at[place]
