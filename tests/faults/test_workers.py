"""Workers and schedulers that are killed at random instants: the campaign ends by itself, or says who is gone."""

from __future__ import annotations

import operator
import random
import signal
import time

import psutil
import pytest
from field import PATIENCE, Figures, Pair, field_of, pair_of

from mcrisk.cluster import Delivery, connected
from mcrisk.clusterfile import ClusterSpec

RUNS = 6000
FEW = 6000


def kill(process: psutil.Process) -> bool:
    """End a process as a crash does; whether it was there."""
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


def kill_of_workers(count: int, runs: int = RUNS, seed: int = 1) -> Figures:
    """kill -9 of a worker process of `--cluster processes`, which a nanny starts anew."""
    figures, instants = Figures("kill -9 of a worker process"), random.Random(seed)
    while figures.tried < count:
        with field_of(runs, cluster="processes") as field:
            process = field.start()
            field.wait_for_journal(process)
            kills, problems = 0, []
            while process.poll() is None and figures.tried + kills < count and not problems:
                time.sleep(instants.uniform(0, 1.5))
                workers = field.workers()
                kills += bool(workers) and process.poll() is None and kill(instants.choice(workers))
                problems = field.peek()
            last = time.monotonic()
            problems += field.verdict(process)
            figures.longest = max(figures.longest, time.monotonic() - last)
            figures.again += max(0, field.flown() - runs)
            figures.judge(problems, kills)
    return figures


def kill_of_users_workers(count: int, nanny: bool = False, seed: int = 2) -> Figures:
    """kill -9 of a worker of a scheduler that the user started; a new one joins meanwhile."""
    figures, instants = Figures("kill -9 of a user's dask worker"), random.Random(seed)
    while figures.tried < count:
        with pair_of(RUNS, nanny=nanny) as field:
            process = field.start()
            field.wait_for_journal(process)
            kills, problems = 0, []
            while process.poll() is None and figures.tried + kills < count and not problems:
                time.sleep(instants.uniform(0, 2))
                if nanny:
                    victims = field.workers()
                    kills += bool(victims) and process.poll() is None and kill(instants.choice(victims))
                elif process.poll() is None:
                    number = instants.randrange(len(field.hands))
                    field.hands[number].kill()
                    field.hands[number].wait()
                    field.hands[number] = field.worker()
                    kills += 1
                problems = field.peek()
            last = time.monotonic()
            problems += field.verdict(process)
            figures.longest = max(figures.longest, time.monotonic() - last)
            figures.again += max(0, field.flown() - RUNS)
            figures.judge(problems, kills)
    return figures


def kill_of_all_workers(count: int, seed: int = 3) -> Figures:
    """kill -9 of all worker processes at one instant."""
    figures, instants = Figures("kill -9 of all workers at once"), random.Random(seed)
    while figures.tried < count:
        with field_of(RUNS // 2, cluster="processes") as field:
            process = field.start()
            field.wait_for_journal(process)
            time.sleep(instants.uniform(0, 1))
            killed = sum(kill(worker) for worker in field.workers())
            last = time.monotonic()
            problems = field.verdict(process)
            figures.longest = max(figures.longest, time.monotonic() - last)
            figures.again += max(0, field.flown() - RUNS // 2)
            figures.judge(problems, int(killed > 0))
    return figures


def kill_of_schedulers(count: int, runs: int = RUNS, seed: int = 4) -> Figures:
    """kill -9 of the scheduler: exit code 4 and one line, then another scheduler and `resume`."""
    figures, instants = Figures("kill -9 of the scheduler"), random.Random(seed)
    while figures.tried < count:
        with pair_of(runs, workers=1) as field:
            process = field.start()
            field.wait_for_journal(process)
            time.sleep(instants.uniform(0, 1.5))
            problems = end_of_scheduler(field, process, figures)
            problems += field.peek()
            for hand in field.hands:
                hand.kill()
                hand.wait()
            field.scheduler = field.begin()
            field.hands = [field.worker()]
            problems += field.finish("resume", str(field.store), *field.cluster, "--backend", "cpu")
            figures.again += max(0, field.flown() - runs)
            figures.judge(problems)
    return figures


def end_of_scheduler(field: Pair, process, figures: Figures) -> list[str]:
    """What is wrong when the scheduler of this command is killed."""
    field.scheduler.kill()
    field.scheduler.wait()
    begun = time.monotonic()
    code = process.wait(PATIENCE)
    seconds = time.monotonic() - begun
    figures.longest = max(figures.longest, seconds)
    lines = field.complaints(process)
    problems = [] if code == 4 else [f"exit code {code}"]
    problems += [] if seconds < 30 else [f"{seconds:.0f} s"]
    if len(lines) != 1 or "the scheduler is gone" not in lines[0]:
        problems.append(f"{len(lines)} lines: {' | '.join(lines)}"[:2000])
    return problems


def test_a_value_that_is_lost_with_its_worker_before_it_is_fetched_is_not_awaited():
    """dask waits until it is computed again, by a worker that is gone: the campaign hung once in 60 kills."""
    with connected(ClusterSpec("processes", workers=1), "cpu", 1, print) as crew:
        (address,) = crew.workers()
        ticket = crew.submit(operator.neg, 1, address)
        deadline = time.monotonic() + 30
        while crew._futures[ticket].status != "finished" and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in psutil.Process().children(recursive=True):
            if any("spawn_main" in word for word in process.cmdline()):
                process.kill()

        assert crew.deliveries(5) == [Delivery(ticket)]
        assert time.monotonic() < deadline


def test_a_worker_process_that_is_killed_while_it_starts_is_started_anew():
    """Its nanny gives up then, and nothing else of dask tries again: the campaign waited for ever."""
    with field_of(FEW, cluster="processes") as field:
        process = field.start()
        field.wait_for_journal(process)
        for _ in range(4):  # the first ones, and those that start in their place
            for worker in field.workers():
                kill(worker)
            time.sleep(0.3)

        assert field.verdict(process) == []


@pytest.mark.parametrize(("count", "runs"), [(1, FEW), pytest.param(50, RUNS, marks=pytest.mark.slow)])
def test_a_campaign_outlives_its_worker_processes(count, runs):
    figures = kill_of_workers(count, runs)

    assert figures.recovered == figures.tried >= count, str(figures)


@pytest.mark.slow
@pytest.mark.parametrize("nanny", [False, True])
def test_a_campaign_outlives_workers_of_the_users_own_scheduler(nanny):
    figures = kill_of_users_workers(10, nanny)

    assert figures.recovered == figures.tried >= 10, str(figures)


@pytest.mark.slow
def test_a_campaign_outlives_the_end_of_all_its_workers():
    figures = kill_of_all_workers(20)

    assert figures.recovered == figures.tried >= 20, str(figures)


@pytest.mark.parametrize(("count", "runs"), [(1, FEW), pytest.param(10, RUNS, marks=pytest.mark.slow)])
def test_the_end_of_the_scheduler_is_one_line_and_the_campaign_goes_on_with_another(count, runs):
    """Exit code 4 within 30 s; dask's own messages of the lost connection are not printed."""
    figures = kill_of_schedulers(count, runs)

    assert figures.recovered == figures.tried >= count, str(figures)
