"""mcrisk.threads: threads of this process as workers of a campaign, without dask."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from mcrisk import api
from mcrisk.cluster import Delivery, connected
from mcrisk.clusterfile import ClusterSpec
from mcrisk.errors import InfrastructureError
from mcrisk.threads import ADDRESS, Threads


def test_what_is_submitted_is_delivered_under_its_ticket() -> None:
    with Threads(2, "this machine").started() as crew:
        tickets = [crew.submit(str, number, ADDRESS) for number in range(20)]
        found: list[Delivery] = []
        while len(found) < 20:
            found += crew.deliveries(1.0)
        wanted = set(crew._wanted)

    assert sorted(found, key=lambda one: one.ticket) == [Delivery(ticket, str(n)) for n, ticket in enumerate(tickets)]
    assert wanted == set()  # nothing is kept of a batch that is done


def test_an_error_is_delivered_and_the_thread_goes_on() -> None:
    with Threads(1, "this machine").started() as crew:
        wrong, right = crew.submit(int, "x", ADDRESS), crew.submit(int, "7", ADDRESS)
        found: dict[int, Delivery] = {}
        while len(found) < 2:
            found |= {one.ticket: one for one in crew.deliveries(1.0)}

    assert isinstance(found[wrong].error, ValueError)
    assert found[right].value == 7


def test_what_is_cancelled_is_neither_begun_nor_delivered() -> None:
    begun, gate = [], threading.Event()
    with Threads(1, "this machine").started() as crew:
        first = crew.submit(lambda _: gate.wait(10), None, ADDRESS)
        second, third = (crew.submit(begun.append, number, ADDRESS) for number in (2, 3))
        crew.cancel(first)
        crew.cancel(second)
        gate.set()
        (only,) = crew.deliveries(5.0)

    assert only.ticket == third
    assert begun == [3]


def test_a_thread_that_hangs_keeps_no_process_from_its_end() -> None:
    """A second Ctrl-C ends at once, whatever a device is at."""
    code = (
        "import time; from mcrisk.threads import Threads\n"
        "with Threads(1, '').started() as crew: crew.submit(time.sleep, 60, 'threads')"
    )
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)

    assert time.monotonic() - begun < 30


def test_a_thread_that_ended_loses_its_batch_at_once(monkeypatch) -> None:
    """As without memory: its batch is delivered as lost, and nobody waits for it as for one that hangs."""
    real = Threads._serve

    def dies(self, place):
        if place == 1:
            real(self, place)
        else:
            self._at[place] = self._work.get()[0]
            raise SystemError("error return without exception set")

    monkeypatch.setattr(Threads, "_serve", dies)
    with Threads(1, "this machine").started() as crew:
        crew.submit(int, "7", ADDRESS)
        crew._threads[0].join(5)
        with pytest.raises(InfrastructureError, match="all threads of this process ended; memory"):
            crew.workers()
        (lost,) = crew.deliveries(0.0)
    with Threads(2, "this machine").started() as crew:
        crew._work.put((99, int, "7"))
        deadline = time.monotonic() + 5
        while crew.workers() == {ADDRESS: 2} and time.monotonic() < deadline:
            crew._work.put((99, int, "7"))

        assert crew.workers() == {ADDRESS: 1}

    assert isinstance(lost.error, InfrastructureError)


def test_a_thread_that_cannot_be_started_is_a_failure_of_the_machine(monkeypatch) -> None:
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with (
        pytest.raises(InfrastructureError, match="expected 3, got can't start new thread; memory"),
        Threads(3, "this machine").started(),
    ):
        pass
    with api._imported("mcrisk.no_such_module"):
        pass  # imports wait until they are needed


def test_a_retired_worker_is_gone_and_none_is_started_anew() -> None:
    with Threads(1, "this machine").started() as crew:
        assert crew.workers() == {ADDRESS: 1}
        assert not crew.restart(ADDRESS)
        crew.retire(ADDRESS)

        assert crew.workers() == {}


def test_the_cores_of_this_machine_need_no_dask() -> None:
    """Its import takes as long as a thousand descents."""
    code = (
        "import sys, operator; from mcrisk.cluster import connected; from mcrisk.clusterfile import ClusterSpec\n"
        "with connected(ClusterSpec(), 'cpu', 3, print) as crew: print(crew.workers(), 'distributed' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )

    assert done.stdout == "{'threads': 3} False\n"
    with connected(ClusterSpec(workers=5), "cpu", 3, print) as crew:
        assert crew.workers() == {ADDRESS: 5}
