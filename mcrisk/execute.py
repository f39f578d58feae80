"""Batches of a campaign to workers, and their results into the store.

Each worker has its own few bundles before it, a second of work for each of its threads, by the rate that it showed, and
more where so many fly that the client would be kept too busy: a bundle is a part of one case, or several small cases.
Towards the end they become smaller, so that all workers end together. No result depends on how the runs are cut and
bundled.

What fails is told apart. A worker that is gone, hangs or is of another mcrisk loses its batches to the others; one
whose device can be used no more is begun anew. Of a bundle that fails, each batch is flown alone. A batch that fails
again and again is cut in halves, down to the run that is to blame; that run is reported as a failure of the machine,
never as a lost lander, and all the others are flown.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mcrisk.errors import InfrastructureError, LostDeviceError, McriskError
from mcrisk.flight import Result, Work, Worker, fly_together, hello, identity, lent
from mcrisk.goal import Goal
from mcrisk.ledger import runs_told
from mcrisk.spans import beyond
from mcrisk.store import Failure, Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcrisk.backends import AbstractBackend
    from mcrisk.campaign import Campaign
    from mcrisk.cluster import Cluster, Delivery
    from mcrisk.clusterfile import ClusterSpec
    from mcrisk.tally import Tally

__all__ = ["Flown", "Progress", "execute", "foretell", "longest"]

TILE = 16  # runs the CPU flies side by side: batches are multiples of it
CASE_BYTES = 30_000  # [byte] of one design point in journal and results
BATCH_BYTES = 300  # [byte] of one batch in the journal, when its sum is folded
RUN_BYTES = 0.1  # [byte] of whether a run landed, compressed
PILOT = 128  # [run] of the first batch of a worker, which measures its rate
GPU_PILOT = 1 << 14
GPU_RATE_RUNS = 1 << 20  # [run] that tell the rate of a GPU
BATCH_SECONDS = 0.5  # of a bundle, and more where there are many workers:
BUNDLES_PER_SECOND = 100  # of all workers together; each costs the client a few milliseconds
LEAST_SECONDS = 0.05  # of the last batches
GROWTH = 8  # times the runs of its last batch, at most
AHEAD = 2  # bundles for each thread of a worker: one flown, one waiting
PIECES = 256  # batches of one bundle at most: a megabyte is sent
GPU_THREADS = 2  # of a GPU's worker: while one copies and sums, the other flies
KEPT_RUNS = 1 << 16  # [run] of a batch whose records are sent
STRIKES = 2  # failures of a batch after which it is cut in halves
RESTARTS = 30  # of a worker in a row before it is given up: more than the halvings of its largest batch
PATIENCE = 30.0  # times the expected time of a short batch before its worker is taken to hang
SHORT_SECONDS = 5.0  # of what is short; of longer ones it is
SLOWER = 2.0  # times, if that is more
PATIENCE_SECONDS = 60.0  # and at least this
POISONED = 20  # runs found to fail before the campaign is given up
STRIKES_IN_A_ROW = 100  # failures without one success before the campaign is given up
STOPPED_SECONDS = 5.0  # between two looks at what arrived: more, and the client itself was stopped
REFRESH_SECONDS = 1.0  # between two looks at who the workers are
DRAIN_SECONDS = 5.0  # for batches under way to end after an interruption, and more where they are longer:
DRAIN_SECONDS_MOST = 30.0
WAIT_SECONDS = 10.0  # without a worker before that is said
NO_MEMORY = "not enough memory"
GOES_ON = "what is flown is kept; the same command goes on"

Tell = Callable[[str], None]


class Progress(Protocol):
    """What hears how far a campaign is: runs and landings of a case so far."""

    def __call__(self, case: int, runs: int, landed: int) -> None: ...

    def held(self, case: int, runs: int, landed: int) -> None: ...


@dataclass(frozen=True)
class Flown:
    """The store that holds what was flown, how much was new, and how long that took."""

    store: Store
    cases: int
    runs: int  # [run] flown now, beside those that the store had
    elapsed: float  # [s]
    backend: str  # cpu, gpu, or cpu+gpu
    described: str  # of the devices

    def tally(self, case: int) -> Tally:
        """The sum over the runs of a case."""
        found = self.store.tally(case)
        if found is None:
            raise InfrastructureError(f"case {case} has no runs in its journal")
        return found

    @property
    def tallies(self) -> list[Tally]:
        """The sums of all cases; of thousands of them this is large."""
        return [self.tally(case) for case in range(self.cases)]

    @property
    def kept(self) -> list[tuple[NDArray[np.uint64], NDArray[np.void]]]:
        """Run numbers and kept records of each case."""
        return [self.store.kept(case) for case in range(self.cases)]


@dataclass
class Batch:
    """Runs first, ..., stop - 1 of one case, and how often flying them failed."""

    place: int
    first: int
    stop: int
    strikes: int = 0
    reason: str = ""

    @property
    def count(self) -> int:
        return self.stop - self.first


@dataclass
class Hand:
    """One worker: what it is, its threads, its rate, what it is at."""

    address: str
    threads: int
    what: Worker
    rate: float = 0.0  # [run/s] of one thread
    largest: int = 0  # [run] of its bundles so far
    at: dict[int, tuple[list[Batch], float]] = field(default_factory=dict)  # by ticket, with the time it was sent

    @property
    def limit(self) -> int:
        """Bundles before it at most."""
        return AHEAD * self.threads


def execute(
    campaign: Campaign,
    goal: Goal | int,
    backend: AbstractBackend | str,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
    batch: int | None = None,
    cases: int | None = None,
    store: Store | None = None,
    cluster: ClusterSpec | None = None,
    timeout: float | None = None,
    tell: Tell = lambda text: None,
) -> Flown:
    """Fly what a campaign still lacks of its goal. `progress` hears of each batch: case, runs and landings so far.

    backend: a device of this process, or its name for the workers of a cluster to choose. workers: threads, by default
    one for each core. batch: a fixed number of runs. cases: only the first so many. store: what it holds already is not
    flown again, and every batch is noted there. timeout: [s] after which no more is begun.

    Raises `InfrastructureError` for runs that no worker could fly, when all others are flown.
    """
    from mcrisk.cluster import connected
    from mcrisk.clusterfile import ClusterSpec

    goal = goal if isinstance(goal, Goal) else Goal(goal)
    cases = cases or len(campaign.cases)
    goal.check(cases)
    start = time.monotonic()
    with ExitStack() as open_:
        if store is None:
            store = open_.enter_context(Store.written(None, campaign, goal))
        store.forget(goal.keep)
        here = cluster is None or cluster.kind == "local"
        name = backend if isinstance(backend, str) else backend.name
        if here and not isinstance(backend, str) and name != "gpu":  # a GPU is for its own process
            name = open_.enter_context(lent(backend))
        dispatch = Dispatch(campaign, goal, store, cases, name, batch, progress, tell)
        held = int(dispatch.runs.sum())
        if timeout is not None:
            dispatch.ends = start + timeout
        if dispatch.plan():
            device = backend if isinstance(backend, str) else backend.name
            with connected(cluster or ClusterSpec(), device, workers or _cores(), tell) as crew:
                dispatch.fly(crew)
        store.commit()
        used, described = dispatch.devices(backend)
        if failures := store.failures():
            raise _failed(campaign, failures)
        new = int(dispatch.runs.sum()) - held
        return Flown(store, cases, new, time.monotonic() - start, used, described)


def foretell(campaign: Campaign, goal: Goal, backend: AbstractBackend) -> dict[str, Any]:
    """What flying this campaign would take, by the rate of a short flight: designs, runs, time [s], bytes on disk."""
    from mcrisk.cluster import visible_gpus
    from mcrisk.schema import load_schema

    if backend.name == "cpu":
        threads = _cores()
        pilot = min(goal.runs, PILOT * threads)
    else:
        gpus = max(len(visible_gpus()), 1)
        threads, pilot = GPU_THREADS * gpus, min(goal.runs, GPU_RATE_RUNS * gpus)
    with Store.written(None, campaign, Goal(pilot)) as store:
        execute(campaign, Goal(pilot), backend, workers=threads, cases=1, store=store)
        rate = threads * pilot / max(store.seconds(), 1e-6)  # a batch's time is that of its thread, waits included
    whole = goal.runs * len(campaign.cases)
    record = load_schema().record_bytes() if goal.keep == "all" else 0
    batches = len(campaign.cases) * max(1.0, goal.runs / max(rate / threads * longest(threads), 1.0))
    return {
        "cases": len(campaign.cases),
        "impossible": len(campaign.impossible),
        "runs": goal.runs,
        "runs_in_all": whole,
        "runs_per_s": rate,
        "seconds": whole / rate,
        "bytes": round(len(campaign.cases) * CASE_BYTES + batches * BATCH_BYTES + whole * (RUN_BYTES + record)),
    }


def longest(threads: int) -> float:
    """Time [s] of a bundle at most where so many threads fly."""
    return max(BATCH_SECONDS, threads / BUNDLES_PER_SECOND)


class Dispatch:
    """Who flies what: the runs that are left, the workers, and what is before each of them."""

    def __init__(
        self,
        campaign: Campaign,
        goal: Goal,
        store: Store,
        cases: int,
        backend: str,
        batch: int | None,
        progress: Progress | None,
        tell: Tell,
    ) -> None:
        self.campaign, self.goal, self.store, self.cases, self.backend = campaign, goal, store, cases, backend
        self.batch, self.progress, self.tell = batch, progress, tell
        self.ends = float("inf")
        self.runs, self.landed = (counted[:cases] for counted in store.counts())
        self.hands: dict[str, Hand] = {}
        self.owners: dict[int, Hand] = {}  # of bundles under way, by ticket
        self.asked: dict[int, tuple[str, int]] = {}  # who was greeted: address and threads, by ticket
        self.refused: dict[str, str] = {}
        self.restarts: Counter[str] = Counter()  # in a row, by the seat of the worker
        self.mute = 0  # workers that ended when they were greeted, since the last one that answered
        self.left: list[Batch] = []  # the next one last
        self.arrived: deque[Delivery] = deque()
        self.remaining = 0  # [run]
        self.poisoned: set[tuple[int, int]] = set()
        self.strikes_in_a_row = 0
        self.succeeded = False
        self.used: dict[str, set[str]] = {}
        self.serial = itertools.count()
        if progress:
            for case in np.flatnonzero(self.runs):
                progress.held(int(case), int(self.runs[case]), int(self.landed[case]))

    # ------------------------------------------------------------------------------------------------ the plan

    def plan(self) -> bool:
        """Line up what the goal lacks, less what was found to fail; whether anything is."""
        failed: dict[int, list[tuple[int, int]]] = {}
        for one in self.store.failures():
            failed.setdefault(one.place, []).append((one.first, one.first + one.count))
        left = []
        for case in range(self.cases):
            gaps = beyond(self.store.gaps(case, self._target(case)), failed.get(case, []))
            left += [Batch(case, first, stop) for first, stop in gaps]
        self.left = left[::-1]
        self.remaining = sum(one.count for one in left)
        return bool(left)

    def _target(self, case: int) -> int:
        """The runs that a case should have; where some are missing, those that were being flown."""
        runs, landed = int(self.runs[case]), int(self.landed[case])
        if self.goal.precision is None or runs == self.store.reached(case):
            return self.goal.target(runs, landed)
        return self.goal.look(self.store.farthest(case))

    def fly(self, crew: Cluster) -> None:
        """Fly until the goal is reached, the time is up, or an interruption; what is under way then is awaited."""
        self.crew = crew
        try:
            while True:
                self._stage()
                if time.monotonic() > self.ends or not self.plan():
                    return
        except KeyboardInterrupt:
            self.tell("interrupted: batches under way are awaited; once more ends at once")
            self._drain()
            raise
        finally:
            for ticket in self.owners:
                self.crew.cancel(ticket)

    def _drain(self) -> None:
        """Begin no more, and await what is under way."""
        self.left.clear()
        self._receive(0.0)
        for hand in self.hands.values():
            for ticket in list(hand.at)[hand.threads :]:  # first come, first served: these wait
                self.crew.cancel(ticket)
                self.owners.pop(ticket, None)  # an interruption may have come between the two
                del hand.at[ticket]
        longer = 1.5 * longest(sum(hand.threads for hand in self.hands.values()))
        until = time.monotonic() + min(max(DRAIN_SECONDS, longer), DRAIN_SECONDS_MOST)
        while (self.owners or self.arrived) and time.monotonic() < until:
            self._receive(0.2)

    def _stage(self) -> None:
        """Fly what is lined up."""
        seen = waited = last = time.monotonic()
        self._refresh()
        while self.left or self.owners:
            now = time.monotonic()
            if now - last > STOPPED_SECONDS:  # this process was stopped, its workers may have been, too
                self._forgive(now - last)
            last = now
            self.store.commit_due()
            if now > self.ends:
                self.left.clear()
                self.remaining = 0
            if now - seen > REFRESH_SECONDS:
                seen = now
                self._refresh()
                self._find_hung(now)
            if self.hands:
                waited = now
            elif now - waited > WAIT_SECONDS:
                waited = now + 5 * WAIT_SECONDS  # say it once a minute
                self._say_nobody()
            self._send()
            self._receive(0.2)

    def _say_nobody(self) -> None:
        if self.refused and not self.asked:
            address, reason = next(iter(self.refused.items()))
            text = f"no worker of {self.crew.described} can be used: {address}: {reason}"
            raise InfrastructureError(text, remedy=GOES_ON)
        if self.mute > STRIKES:
            text = f"no worker of {self.crew.described} can be used: {self.mute} of them ended when mcrisk was loaded"
            raise InfrastructureError(text, remedy="see what a worker prints")
        self.tell(f"{self.crew.described} has no worker yet; waiting")

    # ------------------------------------------------------------------------------------------------ workers

    def _refresh(self) -> None:
        """Greet new workers, and take back what those that are gone were at."""
        present = self.crew.workers()
        for address in [one for one in self.hands if one not in present]:
            self._lose(self.hands[address], f"worker {address} is gone")
        greeted = {address for address, _ in self.asked.values()}
        for ticket, (address, _) in list(self.asked.items()):
            if address not in present:
                self.crew.cancel(ticket)
                del self.asked[ticket]
                self.mute += 1
        for address, threads in present.items():
            if address not in self.hands and address not in greeted and address not in self.refused:
                self.asked[self.crew.greet(hello.__module__, hello.__name__, self.backend, address)] = address, threads

    def _admit(self, address: str, threads: int, what: Worker | None, error: BaseException | None) -> None:
        if what is not None and what.identity == identity():
            self.mute = 0
            threads = threads if what.device == "cpu" else min(threads, GPU_THREADS)
            self.hands[address] = Hand(address, threads, what)
            return
        if what is None and error is None:
            return  # gone again
        from mcrisk import __version__
        from mcrisk.threads import ADDRESS

        if address == ADDRESS and error is not None:
            raise error  # of this very process

        remedy = "; install there what is installed here"
        if what is not None:
            code = "" if what.version != __version__ else f" with other code or kernels ({what.identity[:8]})"
            reason = f"mcrisk {what.version}{code} on {what.host}, this is {__version__} ({identity()[:8]})"
        elif isinstance(error, McriskError):
            reason, remedy = str(error), ""
        else:
            reason = f"it has no mcrisk {__version__} ({error})"
        self.refused[address] = reason
        self.tell(f"worker {address} is refused: {reason}{remedy}")

    def _lose(self, hand: Hand, reason: str) -> None:
        """A worker is gone or unusable: its batches go to others. That is one failure, however many they are."""
        del self.hands[hand.address]
        for ticket in hand.at:
            self.owners.pop(ticket, None)
            self.crew.cancel(ticket)
        if lost := [batch for bundle, _ in hand.at.values() for batch in bundle]:
            self._strike(lost, reason)

    def _refuse(self, hand: Hand, reason: str) -> None:
        self.refused[hand.address] = reason
        self.crew.retire(hand.address)

    def _renew(self, hand: Hand, reason: str) -> None:
        """A worker lost its device: it is begun anew, unless that has not helped."""
        self._lose(hand, reason)
        self.restarts[hand.what.seat] += 1
        begun = self.restarts[hand.what.seat] <= RESTARTS and self.crew.restart(hand.address)
        if not begun:
            self._refuse(hand, reason)
        self.tell(f"worker {hand.address}: {reason}: it is {'begun anew' if begun else 'given up'}")

    def _forgive(self, seconds: float) -> None:
        """Time that passed while nobody watched is not that of the workers."""
        for hand in self.hands.values():
            hand.at = {ticket: (bundle, sent + seconds) for ticket, (bundle, sent) in hand.at.items()}

    def _find_hung(self, now: float) -> None:
        for hand in list(self.hands.values()):
            if not hand.at:
                continue
            bundle, sent = min(hand.at.values(), key=lambda one: one[1])
            expected = AHEAD * max(_runs(bundle) / hand.rate if hand.rate else 0.0, BATCH_SECONDS)
            if now - sent > max(PATIENCE_SECONDS, PATIENCE * min(expected, SHORT_SECONDS), SLOWER * expected):
                reason = f"no answer from worker {hand.address} for {now - sent:.0f} s"
                self.tell(f"{reason}: its batches go to others")
                self._lose(hand, reason)
                if not self.crew.restart(hand.address):
                    self._refuse(hand, reason)

    # ------------------------------------------------------------------------------------------------ batches

    def _send(self) -> None:
        """Give every worker as much as it should have before it, by turns."""
        speed = sum(hand.rate * hand.threads for hand in self.hands.values())
        threads = sum(hand.threads for hand in self.hands.values())
        idle = list(self.hands.values())
        while self.left and idle:
            idle = [hand for hand in idle if self._takes(hand)]
            for hand in idle:
                if self.left and self._takes(hand):
                    self._send_to(hand, self._cut(self._size(hand, speed, threads)))

    def _takes(self, hand: Hand) -> bool:
        """Whether a worker should have the next batch; one that may kill its worker is alone with it."""
        if not hand.at:
            return True
        if len(hand.at) >= hand.limit:
            return False
        suspects = [*self.left[-1:], *(bundle[0] for bundle, _ in hand.at.values())]  # what failed flies alone
        return all(batch.strikes < STRIKES for batch in suspects)

    def _send_to(self, hand: Hand, bundle: list[Batch]) -> None:
        cases, ours = self.campaign.cases, (self.campaign.seed, self.goal.keep, self.backend, identity())
        works = [
            Work(one.place, one.first, one.count, cases[one.place].params, *ours, cases[one.place].heights)
            for one in bundle
        ]
        ticket = self.crew.submit(fly_together, works, hand.address, priority=-next(self.serial))
        hand.at[ticket] = bundle, time.monotonic()
        self.owners[ticket] = hand

    def _size(self, hand: Hand, speed: float, threads: int) -> int:
        """Runs of the next bundle of a worker."""
        if self.batch:
            return self.batch
        if not hand.rate or speed <= 0:
            pilot = PILOT if hand.what.device == "cpu" else GPU_PILOT
            under_way = sum(_runs(bundle) for one in self.hands.values() for bundle, _ in one.at.values())
            size = min(pilot, -(-(self.remaining + under_way) // threads))
        else:
            seconds = self.remaining / speed / AHEAD
            size = int(hand.rate * min(max(seconds, LEAST_SECONDS), longest(threads)))
            size = min(size, GROWTH * hand.largest)
        size = min(size, hand.what.batch, KEPT_RUNS if self.goal.keep != "none" else size)
        return max(-(-size // TILE), 1) * TILE

    def _cut(self, size: int) -> list[Batch]:
        """The next bundle, of at most so many runs: a batch, and whole other ones where there is room for them."""
        batch = self.left.pop()
        if batch.count > size:
            middle = batch.first + size
            self.left.append(replace(batch, first=middle))
            batch = replace(batch, stop=middle)
        bundle, room = [batch], size - batch.count
        while self.left and self.left[-1].count <= room and len(bundle) < PIECES:
            if batch.strikes or self.left[-1].strikes:
                break  # what failed flies alone
            bundle.append(self.left.pop())
            room -= bundle[-1].count
        self.remaining -= _runs(bundle)
        return bundle

    def _receive(self, timeout: float) -> None:
        self.arrived += self.crew.deliveries(0.0 if self.arrived else timeout)
        while self.arrived:  # what an interruption leaves here is taken next time
            one = self.arrived.popleft()
            if one.ticket in self.asked:
                self._admit(*self.asked.pop(one.ticket), one.value, one.error)
                continue
            hand = self.owners.pop(one.ticket, None)
            if hand is None:
                continue  # taken from its worker meanwhile
            bundle, _ = hand.at.pop(one.ticket)
            if one.value is not None:
                self._collect(hand, bundle, one.value)
            elif isinstance(one.error, McriskError) and one.error.exit_code != InfrastructureError.exit_code:
                raise one.error
            else:
                self._strike(bundle, _reason(one.error) if one.error else f"worker {hand.address} was lost")
            if isinstance(one.error, LostDeviceError):
                self._renew(hand, str(one.error))

    def _collect(self, hand: Hand, bundle: list[Batch], results: list[Result]) -> None:
        """Note what a bundle gave."""
        self.succeeded, self.strikes_in_a_row = True, 0
        self.restarts.pop(hand.what.seat, None)
        rate = _runs(bundle) / max(sum(result.seconds for result in results), 1e-6)
        hand.rate = rate if not hand.rate else 0.5 * (hand.rate + rate)
        hand.largest = max(hand.largest, _runs(bundle))
        self.used.setdefault(hand.what.device, set()).add(hand.what.described)
        for batch, result in zip(bundle, results, strict=True):
            self._note(batch, result)

    def _note(self, batch: Batch, result: Result) -> None:
        """Note what a batch gave."""
        try:
            fresh = self.store.add(result)
        except InfrastructureError as error:  # damaged on its way
            self._strike([batch], str(error))
            return
        if not fresh:
            return
        case = result.place
        self.runs[case] += result.count
        self.landed[case] += result.landings
        if self.runs[case] >= self.goal.target(int(self.runs[case]), int(self.landed[case])):
            self.store.settle(case)
        if self.progress:
            self.progress(case, int(self.runs[case]), int(self.landed[case]))

    def _strike(self, bundle: list[Batch], reason: str) -> None:
        """A bundle failed: its batches are tried again alone, then halved, and a single run is given up."""
        self.strikes_in_a_row += 1
        if self.strikes_in_a_row > STRIKES_IN_A_ROW:
            text = (
                f"{self.strikes_in_a_row} batches failed one after the other, at last run {bundle[0].first}: {reason}"
            )
            raise InfrastructureError(text, remedy=GOES_ON)
        for batch in reversed(bundle):
            self._try_again(batch, reason)

    def _try_again(self, batch: Batch, reason: str) -> None:
        batch.strikes, batch.reason = batch.strikes + 1, reason
        if batch.strikes <= STRIKES:
            again = [batch]
        elif batch.count > 1:
            middle = (batch.first + batch.stop) // 2
            again = [
                Batch(batch.place, middle, batch.stop, STRIKES, reason),
                Batch(batch.place, batch.first, middle, STRIKES, reason),
            ]
        else:
            again = []
            self.store.fail(Failure(batch.place, batch.first, batch.count, reason))
            self.poisoned.add((batch.place, batch.first))
            if len(self.poisoned) >= (POISONED if self.succeeded else 1):
                text = f"{runs_told(len(self.poisoned))} cannot be flown, such as run {batch.first}: {reason}"
                raise InfrastructureError(text, remedy=GOES_ON)
        self.left += again
        self.remaining += sum(one.count for one in again)

    def devices(self, backend: AbstractBackend | str) -> tuple[str, str]:
        """What flew: device names, and their descriptions."""
        if not self.used:
            return (backend, "") if isinstance(backend, str) else (backend.name, backend.describe())
        return "+".join(sorted(self.used)), "; ".join(sorted(set().union(*self.used.values())))


def _runs(bundle: Sequence[Batch]) -> int:
    return sum(batch.count for batch in bundle)


def _reason(error: BaseException) -> str:
    """Why a batch failed, never without a word."""
    if isinstance(error, MemoryError):
        return f"{NO_MEMORY}: {error}" if str(error) else NO_MEMORY
    return str(error) or type(error).__name__


def _failed(campaign: Campaign, failures: Sequence[Failure]) -> InfrastructureError:
    one = failures[0]
    case = f" of {campaign.cases[one.place].name}" if len(campaign.cases) > 1 else ""
    told = f"{runs_told(sum(one.count for one in failures))} could not be flown, all others are"
    text = f"{told}: run {one.first}{case}: {one.reason}"
    return InfrastructureError(text, remedy="the same command tries them again")


def _cores() -> int:
    from mcrisk.backends.cpu import cores

    return cores()
