"""One way of tools.py in a process of its own, on one core with one thread; `peers.py` tells it when to fly.

Prints one line of JSON when it is ready or says why it is not; then, for each number on its input, flies so many times
and prints the time that took.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR", "VECLIB_MAXIMUM")


def alone(gpu: bool) -> None:
    """One core and one thread, before anything is imported that counts cores."""
    if hasattr(os, "sched_setaffinity") and not gpu:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name in THREADS:
        os.environ[f"{name}_NUM_THREADS"] = "1"
    if gpu:
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the card is shared with the other ways
    else:
        os.environ["JAX_PLATFORMS"] = "cpu"
        wide = " --xla_cpu_prefer_vector_width=512" if "avx512f" in Path("/proc/cpuinfo").read_text() else ""
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1{wide}"


def spent() -> float:
    """Processor time of this process and of what it has started [s]."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    name, gpu = sys.argv[1], sys.argv[2] == "gpu"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a tool prints is no answer
    alone(gpu)

    def answer(**facts: Any) -> None:
        print(json.dumps(facts), file=answers, flush=True)

    from peers import arc, tools

    way = tools.WAYS[name]
    try:
        ready = way.prepare()
        ready.fly()  # warm
    except Exception as error:
        answer(missing=f"{type(error).__name__}: {error}")
        return
    found: dict[str, Any] = {}
    if ready.ends is not None:
        _, times, reference = tools.stored()
        run = arc.Ends.of(ready.ends().table().reshape(-1, sum(arc.WIDTHS))[:1])
        off = arc.difference(run, arc.Ends.of(reference.table()[times == arc.DURATION]))
        found = {"position_error_m": float(off["position"][0]), "velocity_error_m_s": float(off["velocity"][0])}
    begun = time.perf_counter()
    ready.fly()
    once = time.perf_counter() - begun
    versions = {package: metadata.version(package) for package in way.packages[:1]}
    answer(how=ready.how, runs=ready.runs, once=once, versions=versions, **found)
    for line in sys.stdin:
        times_flown = int(line)
        wall, used = time.perf_counter(), spent()
        for _ in range(times_flown):
            ready.fly()
        answer(wall=time.perf_counter() - wall, cpu=spent() - used, runs=times_flown * ready.runs)


if __name__ == "__main__":
    main()
