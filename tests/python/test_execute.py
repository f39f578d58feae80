"""mcrisk.execute: batches to threads, with a made-up backend whose records tell their run numbers."""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from mcrisk.backends import AbstractBackend
from mcrisk.campaign import Campaign, Case
from mcrisk.cluster import Delivery
from mcrisk.errors import InfrastructureError, LostDeviceError, MistakeError
from mcrisk.execute import Batch, Dispatch, Hand, execute, foretell
from mcrisk.flight import identity, lent
from mcrisk.goal import RUNS_LIMIT, Goal
from mcrisk.schema import load_schema
from mcrisk.store import Store
from mcrisk.tally import tally
from mcrisk.threads import Threads

SUCCESS = load_schema().enums["Outcome"]["success"]
CAMPAIGN = Campaign("two", (Case("a", b"\x01"), Case("b", b"\x02")), seed=7, kernel_digest="0" * 64)


class MadeUp(AbstractBackend):
    """Every third run is lost; the flight time is the run number, so that a missing or doubled run shows."""

    name = "cpu"
    batch = 4096
    real = 4

    def __init__(self, failing=None):
        self.calls = []  # that were answered
        self.lock = threading.Lock()
        self.failing = failing

    def run(self, params, seed, first, count, heights=b""):
        if self.failing is not None and first <= self.failing < first + count:
            raise InfrastructureError("the device is gone")
        with self.lock:
            self.calls.append((params, first, count))
        records = np.zeros(count, load_schema().record_dtype())
        number = np.arange(first, first + count)
        records["outcome"] = np.where(number % 3 == 0, number % 7, SUCCESS)
        records["contact"] = 1
        records["flight_time"] = number * params[0]
        return records

    def describe(self):
        return "made up"


@pytest.fixture
def kept():
    """kept(campaign, goal, backend, ...): tallies and kept records of a flight into memory."""

    def fly(campaign, goal, backend, **options):
        with Store.written(None, campaign, goal) as store:
            flown = execute(campaign, goal, backend, store=store, **options)
            return flown.tallies, flown.kept

    return fly


def tallies(campaign, goal, backend, **options):
    """The sums of a flight into memory."""
    goal = goal if isinstance(goal, Goal) else Goal(goal)
    with Store.written(None, campaign, goal) as store:
        return execute(campaign, goal, backend, store=store, **options).tallies


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("batch", [None, 1, 48, 10_000])
def test_every_run_is_flown_once_whatever_the_workers_and_batches(workers, batch):
    backend = MadeUp()
    found = tallies(CAMPAIGN, 100, backend, workers=workers, batch=batch)
    expected = [tally(MadeUp().run(case.params, 7, 0, 100), 0) for case in CAMPAIGN.cases]

    assert found == expected
    assert found[0].ranges == ((0, 100),)
    assert sum(count for _, _, count in backend.calls) == 200


def test_two_campaigns_at_once_may_share_a_backend():
    """One ends while the other flies."""
    one, other = (Campaign(case.name, (case,), 7, "0" * 64) for case in CAMPAIGN.cases)
    begun, ended = threading.Event(), threading.Event()

    class Shared(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            if params == b"\x01":
                begun.set()
                ended.wait(10)
            return super().run(params, seed, first, count)

    backend = Shared()
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(tallies, one, 64, backend, workers=1, batch=16)
        begun.wait(10)
        (short,) = tallies(other, 64, backend, workers=1)
        ended.set()
        found = [*long.result(), short]

    assert found == [tally(MadeUp().run(case.params, 7, 0, 64), 0) for case in CAMPAIGN.cases]


def test_batches_fill_whole_tiles_except_the_last():
    backend = MadeUp()
    execute(CAMPAIGN, 10_007, backend, workers=2)
    ends = {first + count for _, first, count in backend.calls}

    assert all(first % 16 == 0 for _, first, _ in backend.calls)
    assert {end for end in ends if end % 16} == {10_007}


MANY = Campaign("many", tuple(Case(f"case {n}", bytes([n + 1])) for n in range(60)), seed=7, kernel_digest="0" * 64)


@pytest.mark.parametrize("runs", [1, 50, 333])
def test_small_cases_fly_together_and_no_result_tells(runs, monkeypatch):
    """Bundles of several cases give the sums that one case after the other gives."""
    backend, bundles = MadeUp(), []
    sums = MadeUp.sums
    monkeypatch.setattr(MadeUp, "sums", lambda self, pieces, *rest: bundles.append(pieces) or sums(self, pieces, *rest))
    together = tallies(MANY, runs, backend, workers=2)
    most = max(map(len, bundles))
    monkeypatch.setattr("mcrisk.execute.PIECES", 1)
    bundles.clear()
    apart = tallies(MANY, runs, MadeUp(), workers=2)

    assert together == apart == [tally(MadeUp().run(case.params, 7, 0, runs), 0) for case in MANY.cases]
    assert most >= min(128 // runs, 30)
    assert {len(pieces) for pieces in bundles} == {1}
    assert sum(count for _, _, count in backend.calls) == 60 * runs


def test_kept_records_do_not_tell_of_bundles(kept, monkeypatch):
    _, together = kept(MANY, Goal(50, "losses"), MadeUp(), workers=2)
    monkeypatch.setattr("mcrisk.execute.PIECES", 1)
    _, apart = kept(MANY, Goal(50, "losses"), MadeUp(), workers=2)

    for one, other in zip(together, apart, strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_cases_with_unlike_gaps_are_completed_together():
    """An interrupted campaign leaves cases flown, begun and untouched; bundles fill whatever is missing."""
    with Store.written(None, MANY, Goal(100)) as store:
        with pytest.raises(KeyboardInterrupt):
            execute(MANY, 100, MadeUp(), store=store, progress=Heard(stop=25), workers=2, batch=30)
        found = execute(MANY, 100, MadeUp(), store=store).tallies

    assert found == [tally(MadeUp().run(case.params, 7, 0, 100), 0) for case in MANY.cases]


def test_of_a_bundle_that_fails_each_case_is_flown_alone():
    """One bad run among 60 cases: it is named, and all others are flown."""
    tried = []

    class OneBad(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            if params[0] == 13 and first <= 5 < first + count:
                tried.append(count)
                raise InfrastructureError("the device is gone")
            return super().run(params, seed, first, count)

    with Store.written(None, MANY, Goal(32)) as store:
        with pytest.raises(InfrastructureError, match="1 run could not be flown, all others are: run 5 of case 12"):
            execute(MANY, 32, OneBad(), store=store, workers=2)
        runs, _ = store.counts()

    assert runs.tolist() == [31 if case == 12 else 32 for case in range(60)]
    assert tried == [32, 32, 32, 16, 8, 4, 2, 1]


def test_a_worker_that_always_loses_its_device_is_given_up(monkeypatch):
    """Begun anew some times, then refused: the campaign ends with the device's own message, and can go on."""
    monkeypatch.setattr("mcrisk.execute.RESTARTS", 3)
    monkeypatch.setattr("mcrisk.execute.REFRESH_SECONDS", 0.05)
    monkeypatch.setattr("mcrisk.execute.WAIT_SECONDS", 0.5)
    told, restarts = [], []
    monkeypatch.setattr("mcrisk.threads.Threads.restart", lambda self, worker: not restarts.append(worker))

    class Lost(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            raise LostDeviceError("the device was lost")

    with pytest.raises(InfrastructureError, match=r"no worker of this machine can be used: .*: the device was lost"):
        execute(CAMPAIGN, 10**6, Lost(), workers=1, tell=told.append)

    assert len(restarts) == 3
    assert sum("begun anew" in line for line in told) == 3
    assert sum("given up" in line for line in told) == 1


def test_a_worker_that_cannot_be_begun_anew_is_not_said_to_be(monkeypatch):
    """A thread of this process cannot."""
    monkeypatch.setattr("mcrisk.execute.WAIT_SECONDS", 0.5)
    told = []

    class Lost(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            raise LostDeviceError("the device was lost")

    with pytest.raises(InfrastructureError, match=r"no worker of this machine can be used: .*: the device was lost"):
        execute(CAMPAIGN, 10**6, Lost(), workers=1, tell=told.append)

    assert [line for line in told if "the device was lost" in line] == [
        "worker threads: the device was lost: it is given up"
    ]


def test_a_worker_that_flies_between_its_losses_is_never_given_up(monkeypatch):
    """Only losses in a row count, whatever their number."""
    monkeypatch.setattr("mcrisk.execute.RESTARTS", 1)
    monkeypatch.setattr("mcrisk.execute.REFRESH_SECONDS", 0.05)
    monkeypatch.setattr("mcrisk.threads.Threads.restart", lambda self, worker: True)
    lost = []

    class Losing(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            if first % 256 == 0 and (params, first) not in lost:
                lost.append((params, first))
                raise LostDeviceError("the device was lost")
            return super().run(params, seed, first, count)

    found = tallies(CAMPAIGN, 1024, Losing(), workers=1, batch=64)

    assert len(lost) == 8
    assert [one.runs for one in found] == [1024, 1024]


class Crew:
    """A worker of one thread beside one of 64, which answers when it is greeted, takes batches, and is gone."""

    described = "made up"

    def __init__(self):
        self.there, self.numbers, self.done, self.taken = {"big": 64, "small": 1}, itertools.count(), [], 0

    def workers(self):
        return dict(self.there)

    def greet(self, module, function, argument, worker):
        return self.submit(getattr(importlib.import_module(module), function), argument, None)

    def submit(self, function, argument, worker, priority=0):
        ticket = next(self.numbers)
        if worker == "big":
            self.taken += 1
            if self.taken == 128:
                del self.there["big"]
        else:
            self.done.append(Delivery(ticket, function(argument)))
        return ticket

    def deliveries(self, timeout):
        found, self.done = self.done, []
        return found

    def cancel(self, ticket):
        pass


def test_the_loss_of_a_worker_of_many_threads_is_one_failure(monkeypatch):
    """It holds 128 bundles; 100 failures in a row would end the campaign."""
    monkeypatch.setattr("mcrisk.execute.REFRESH_SECONDS", 0.0)
    with Store.written(None, CAMPAIGN, Goal(2048)) as store, lent(MadeUp()) as name:
        crew, dispatch = Crew(), Dispatch(CAMPAIGN, store.goal, store, 2, name, 16, None, print)
        dispatch.plan()
        dispatch.fly(crew)
        runs, _ = store.counts()

    assert crew.taken == 128
    assert runs.tolist() == [2048, 2048]


def test_a_gpu_has_two_threads_whatever_its_worker_offers():
    """One flies while the other copies and sums; a core more flies more."""
    dispatch = SimpleNamespace(hands={})
    for device in ("cpu", "gpu"):
        what = SimpleNamespace(device=device, identity=identity())
        Dispatch._admit(dispatch, device, 16, what, None)

    assert {address: hand.limit for address, hand in dispatch.hands.items()} == {"cpu": 32, "gpu": 4}


@pytest.mark.parametrize(("seconds", "patience"), [(0.5, 60), (2, 120), (20, 150), (1000, 4000)])
def test_a_worker_that_hangs_is_noticed_soon_also_where_bundles_are_long(seconds, patience):
    """A minute for short ones; of the longest, four times as long as it should take."""
    for late, lost in ((-1, []), (1, ["a"])):
        hand = Hand("a", 2, None, rate=100.0, at={0: ([Batch(0, 0, int(100 * seconds))], 0.0)})
        found = []
        dispatch = SimpleNamespace(
            hands={"a": hand}, tell=str, crew=SimpleNamespace(restart=lambda address: True),
            _lose=lambda hand, _, found=found: found.append(hand.address),
        )  # fmt: skip
        Dispatch._find_hung(dispatch, patience + late)

        assert found == lost


def test_a_device_of_this_process_that_cannot_be_used_ends_the_campaign_at_once():
    """With its own message: nobody else will come, and nothing is to be installed."""
    told = []

    class Absent(MadeUp):
        def describe(self):
            raise InfrastructureError("no such device", remedy="plug it in")

    begun = time.monotonic()
    with pytest.raises(InfrastructureError, match=r"^no such device; plug it in$"):
        execute(CAMPAIGN, 100, Absent(), tell=told.append)

    assert time.monotonic() - begun < 5
    assert told == []


@pytest.mark.parametrize("gpus", [1, 2])
def test_what_a_gpu_would_take_is_foretold_by_its_rate(monkeypatch, gpus):
    """10 000 runs/s each: its two threads take turns, and either waits for the other."""
    locks = [threading.Lock() for _ in range(gpus)]
    own, numbers = threading.local(), itertools.count()

    class Gpu(MadeUp):
        name = "gpu"

        def run(self, params, seed, first, count, heights=b""):
            if not hasattr(own, "lock"):
                own.lock = locks[next(numbers) % gpus]
            with own.lock:
                time.sleep(count / 1e4)
            return super().run(params, seed, first, count)

    backend = Gpu()
    monkeypatch.setattr("mcrisk.cluster.visible_gpus", lambda: ["0"] * gpus)
    monkeypatch.setattr("mcrisk.cluster.connected", lambda *_: Threads(2 * gpus, "GPUs").started())
    monkeypatch.setattr("mcrisk.threads.Threads.workers", lambda self: {f"GPU {one}": 2 for one in range(gpus)})
    monkeypatch.setattr("mcrisk.flight._device", lambda name: backend)
    monkeypatch.setattr("mcrisk.execute.GPU_RATE_RUNS", 8192)
    monkeypatch.setattr("mcrisk.execute.GPU_PILOT", 1024)
    told = foretell(CAMPAIGN, Goal(10**6), backend)

    assert told["runs_per_s"] == pytest.approx(gpus * 1e4, rel=0.3)


def test_no_runs_are_lost_between_two_workers():
    """A small campaign is halved between two workers rather than given to one."""
    backend = MadeUp()
    execute(Campaign("one", CAMPAIGN.cases[:1], 7, "0" * 64), 96, backend, workers=2)

    assert sorted(count for _, _, count in backend.calls) == [48, 48]


def test_batches_grow_with_the_rate_of_their_worker():
    """From the pilot on, never more than eightfold at once, up to half a second of work."""
    backend = MadeUp()
    execute(Campaign("one", CAMPAIGN.cases[:1], 7, "0" * 64), 200_000, backend, workers=1)
    counts = [count for _, _, count in backend.calls]

    assert counts[0] == 128
    assert max(counts) > 1000
    assert all(after <= 8 * max(counts[: place + 1]) for place, after in enumerate(counts[1:]))


@pytest.mark.parametrize("keep", ["none", "losses", "all"])
def test_kept_records_are_in_order_with_their_numbers(kept, keep):
    _, found = kept(CAMPAIGN, Goal(1000, keep), MadeUp(), workers=3, batch=64)
    everything = MadeUp().run(b"\x02", 7, 0, 1000)
    lost = everything["outcome"] != SUCCESS
    chosen = {"none": np.zeros(1000, bool), "losses": lost, "all": np.ones(1000, bool)}[keep]
    numbers, records = found[1]

    assert np.array_equal(numbers, np.flatnonzero(chosen))
    assert np.array_equal(records, everything[chosen])


class Heard:
    """What a listener to the progress was told."""

    def __init__(self, stop=None):
        self.told, self.before, self.stop = [], [], stop

    def held(self, case, runs, landed):
        self.before.append((case, runs, landed))

    def __call__(self, case, runs, landed):
        self.told.append((case, runs, landed))
        if self.stop and len(self.told) == self.stop:
            raise KeyboardInterrupt


def test_progress_hears_of_all_runs():
    heard = Heard()
    execute(CAMPAIGN, 1000, MadeUp(), batch=100, progress=heard)
    last = {case: (runs, landed) for case, runs, landed in heard.told}
    landed = int((MadeUp().run(b"\x01", 7, 0, 1000)["outcome"] == SUCCESS).sum())

    assert len(heard.told) == 20
    assert last == {0: (1000, landed), 1: (1000, landed)}


def test_memory_that_is_short_is_told_in_words():
    """A MemoryError has no text of its own; one run is told in the singular."""

    class Short(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            raise MemoryError

    words = r"^1 run cannot be flown, such as run \d+: not enough memory; what is flown is kept"
    with pytest.raises(InfrastructureError, match=words):
        execute(CAMPAIGN, 16, Short(), workers=1)


def test_a_run_that_no_worker_can_fly_is_named_and_all_others_are_flown():
    """A failure of the machine, not a lost lander: batches are halved until the run to blame is alone."""
    backend = MadeUp(failing=700)
    with Store.written(None, CAMPAIGN, Goal(1000)) as store:
        with pytest.raises(InfrastructureError, match=r"2 runs could not be flown.*run 700 of a: the device is gone"):
            execute(CAMPAIGN, 1000, backend, batch=100, store=store)
        runs, _ = store.counts()

        assert [(one.place, one.first, one.count) for one in store.failures()] == [(0, 700, 1), (1, 700, 1)]
        assert [store.gaps(case, 1000) for case in (0, 1)] == [[(700, 701)]] * 2
        assert runs.tolist() == [999, 999]
        execute(CAMPAIGN, 1000, MadeUp(), store=store)
        assert store.failures() == []
        assert [store.tally(case).ranges for case in (0, 1)] == [((0, 1000),)] * 2


def test_a_device_that_always_fails_ends_the_campaign_with_its_own_message():
    class Broken(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            raise InfrastructureError("the device is gone")

    with pytest.raises(InfrastructureError, match=r"cannot be flown.*the device is gone"):
        execute(CAMPAIGN, 1000, Broken(), batch=100)


def test_an_interruption_comes_through_when_what_is_under_way_has_landed():
    with Store.written(None, CAMPAIGN, Goal(100_000)) as store:
        with pytest.raises(KeyboardInterrupt):
            execute(CAMPAIGN, 100_000, MadeUp(), batch=16, progress=Heard(stop=20), store=store, workers=2)
        runs, _ = store.counts()

        assert 20 * 16 <= runs.sum() <= 26 * 16
        assert store.gaps(0, 100_000) == [(int(runs[0]), 100_000)]


def test_an_interruption_awaits_what_is_under_way_however_long_and_begins_no_more(monkeypatch):
    """Of three bundles one is noted, one under way, one waits; each takes ten times the least time of waiting."""
    monkeypatch.setattr("mcrisk.execute.AHEAD", 3)
    monkeypatch.setattr("mcrisk.execute.DRAIN_SECONDS", 0.05)
    monkeypatch.setattr("mcrisk.execute.longest", lambda threads: 10.0)

    class Slow(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            time.sleep(0.5)
            return super().run(params, seed, first, count)

    backend = Slow()
    with Store.written(None, CAMPAIGN, Goal(1000)) as store:
        with pytest.raises(KeyboardInterrupt):
            execute(CAMPAIGN, 1000, backend, batch=16, progress=Heard(stop=1), store=store, workers=1)
        runs, _ = store.counts()

    assert runs.tolist() == [32, 0]
    assert len(backend.calls) == 2


def test_a_time_limit_leaves_the_first_runs_flown():
    with Store.written(None, CAMPAIGN, Goal(10**9)) as store:
        execute(CAMPAIGN, Goal(10**9), MadeUp(), timeout=2.0, store=store, batch=1000)
        (first, last), *rest = store.gaps(0, 10**9)

        assert first >= 1000
        assert (last, rest) == (10**9, [])


def test_a_precision_stops_each_case_at_the_same_run_whatever_the_batches():
    """Two of three runs land, so the interval is narrow enough after some 2000 runs; the tenfold would be allowed."""
    goal = Goal(20_000, precision=0.08)
    found = [tallies(CAMPAIGN, goal, MadeUp(), workers=workers, batch=batch) for workers, batch in ((1, 4096), (2, 50))]

    assert found[0] == found[1]
    assert 1024 < found[0][0].runs < 10_000


def test_a_precision_stops_at_the_same_run_after_an_interruption():
    """Between two looks, and with a gap in what was flown: only the looks decide."""
    goal = Goal(20_000, precision=0.08)
    expected = tallies(CAMPAIGN, goal, MadeUp())
    for stop in (3, 9, 17):
        with Store.written(None, CAMPAIGN, goal) as store:
            with pytest.raises(KeyboardInterrupt):
                execute(CAMPAIGN, goal, MadeUp(), batch=96, store=store, progress=Heard(stop=stop), workers=2)
            found = execute(CAMPAIGN, goal, MadeUp(), batch=96, store=store)
            assert found.tallies == expected


def test_a_run_that_cannot_be_flown_does_not_hold_a_precision_up():
    """It is tried some times, not at every look, and told as one."""
    tried = []

    class Counting(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            if first <= 700 < first + count and params[0] == 1:
                tried.append(count)
                raise InfrastructureError("the device is gone")
            return super().run(params, seed, first, count)

    with Store.written(None, CAMPAIGN, Goal(20_000, precision=0.08)) as store:
        with pytest.raises(InfrastructureError, match="1 run could not be flown, all others are: run 700 of a"):
            execute(CAMPAIGN, store.goal, Counting(), batch=128, store=store)

        assert len(tried) < 30
        assert store.gaps(0, 1024) == [(700, 701)]
        assert store.gaps(1, 1024) == []


def test_time_that_the_client_was_stopped_is_not_that_of_its_workers(monkeypatch):
    """As after Ctrl-Z: a worker whose batch seems to take minutes is not taken to hang."""
    real, offset = time.monotonic, [0.0]
    monkeypatch.setattr("mcrisk.execute.time", SimpleNamespace(monotonic=lambda: real() + offset[0]))

    class Stopping(MadeUp):
        def run(self, params, seed, first, count, heights=b""):
            if first == 512:
                offset[0] += 3600.0  # while this batch is under way
                time.sleep(2.0)
            return super().run(params, seed, first, count)

    backend = Stopping()
    execute(CAMPAIGN, 1000, backend, batch=64, workers=2)

    assert sorted(first for _, first, _ in backend.calls) == sorted([*range(0, 1000, 64)] * 2)


@pytest.mark.parametrize("runs", [0, -1, RUNS_LIMIT + 1, 10**30])
def test_runs_that_cannot_be_meant_are_refused_before_any_is_flown(runs):
    backend = MadeUp()
    with pytest.raises(MistakeError, match="runs: expected"):
        execute(CAMPAIGN, runs, backend)

    assert backend.calls == []


def test_records_that_would_not_fit_are_refused_before_any_is_flown():
    with pytest.raises(MistakeError, match="keep losses"):
        Goal(10**9, "all").check()

    Goal(10**9, "losses").check()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_flies_after_its_parent_has_flown():
    """Threads do not survive a fork, so none may be kept for the next campaign; 30 s stand for forever."""
    expected = tallies(CAMPAIGN, 100, MadeUp(), workers=2)
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=lambda: sending.send(tallies(CAMPAIGN, 100, MadeUp(), workers=2) == expected)
    )
    child.start()
    child.join(30)
    hangs = child.is_alive()
    child.kill()

    assert not hangs
    assert receiving.poll() and receiving.recv()


@pytest.mark.parametrize(("threads", "seconds"), [(1, 0.5), (50, 0.5), (1000, 10)])
def test_many_workers_get_longer_batches(threads, seconds):
    """A hundred bundles a second are enough for the client, whatever the number of workers; a few get half a second."""
    what = SimpleNamespace(device="gpu", batch=1 << 23)
    dispatch = SimpleNamespace(batch=None, remaining=10**12, goal=Goal(10**12), hands={})
    size = Dispatch._size(dispatch, Hand("a", 1, what, rate=4e5, largest=1 << 23), 4e5 * threads, threads)

    assert size == pytest.approx(seconds * 4e5, rel=1e-4)
