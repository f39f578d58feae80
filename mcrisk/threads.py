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

__all__ = ["Threads"]

ADDRESS = "threads"


class Threads:
    """One worker of so many threads."""

    def __init__(self, count: int, described: str) -> None:
        self.described = described
        self._count = count
        self._numbers = itertools.count()
        self._wanted: set[int] = set()
        self._work: queue.SimpleQueue[tuple[int, Callable[[Any], Any], Any] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Delivery] = queue.SimpleQueue()

    def workers(self) -> dict[str, int]:
        """Threads of the worker by its address."""
        return {ADDRESS: self._count} if self._count else {}

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
        count = self._count
        for _ in range(count):
            threading.Thread(target=self._serve, name="mcrisk", daemon=True).start()
        try:
            yield self
        finally:
            self._wanted.clear()
            for _ in range(count):
                self._work.put(None)

    def _serve(self) -> None:
        while (one := self._work.get()) is not None:
            ticket, function, argument = one
            if ticket not in self._wanted:
                continue
            try:
                told = Delivery(ticket, function(argument))
            except BaseException as error:  # of whatever flies here; `execute` tells it
                told = Delivery(ticket, error=error)
            self._done.put(told)
