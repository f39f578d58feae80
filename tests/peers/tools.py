"""The ways to do the work: each tool in the formulation that suits it best, found by trying where there is a choice.

A way is prepared in a process of its own (worker.py), on one core, with one thread. Its `fly` does the work once.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from peers import arc, model, steps

__all__ = ["MISSION", "WAYS", "Ready", "Way", "stored"]

TABLE = Path(__file__).parent / "basilisk.json"
MISSION = "hakuto_r_m2_as_designed"  # of the Monte Carlo campaign
ACCURACY = 0.1  # [m] of position after the arc that solve_ivp has to reach, about that of mcrisk in single precision
BATCHES = (512, 2048, 8192)
TRIED = 0.2  # [s] of each of several ways, of which the best is taken
GPU_BATCH = 1 << 17


@dataclass(frozen=True)
class Ready:
    """A way that can fly."""

    how: str  # formulation and batch
    fly: Callable[[], Any]  # does the work of `runs` runs
    runs: float  # whole arcs, or runs of a campaign
    ends: Callable[[], arc.Ends] | None = None  # states of run 0 after a whole arc, in the site frame


@dataclass(frozen=True)
class Way:
    """One tool at one kind of work."""

    title: str
    work: str  # `equations`, `model`, `campaign`
    prepare: Callable[[], Ready]
    goal: float | None = None  # times that mcrisk should be faster
    packages: tuple[str, ...] = ()  # distributions; the first one's version is told
    gpu: bool = False
    rivals: tuple[str, ...] = ("mcrisk",)  # the ways of mcrisk it is compared with; the goal is for the first


def stored() -> tuple[dict[str, Any], arc.Array, arc.Ends]:
    """The stored table of Basilisk: its facts, times [s], states in the site frame."""
    table = json.loads(TABLE.read_text())
    rows = np.array(table.pop("rows"))
    return table, rows[:, 0], arc.Ends.of(rows[:, 1:])


# ---- mcrisk itself


def by_mcrisk() -> Ready:
    """The block `propagate` of descend.cpp in tiles of 16 runs."""
    from peers.flown import ArcLibrary

    library, rows = ArcLibrary(), arc.starts(512)
    return Ready(f"{library.build}, float, tiles of 16", lambda: library.fly(rows), 512, lambda: library.fly(rows[:1]))


def by_mcrisk_campaign() -> Ready:
    """A campaign of a real mission: closed loop with sensors, filter, guidance and touchdown."""
    from mcrisk.backends.cpu import CpuBackend
    from mcrisk.campaign import state
    from mcrisk.execute import execute
    from mcrisk.mission import load

    campaign, backend = state([load(MISSION)]), CpuBackend()
    return Ready(f"{MISSION}, {backend.build}", lambda: execute(campaign, 1024, backend, workers=1), 1024)


# ---- the bare equations, and the whole model, by arrays


def by_numpy(work: str) -> Ready:
    """Arrays over the runs; a call flies a tenth of the arc, because all steps cost the same."""
    if work == "equations":
        step: Any = steps.make_step(np.float32, np.sqrt)
    else:
        step = model.make_step(model.Tool(np.float32, np.sqrt, np.where))

    def flight(batch: int, count: int) -> Callable[[], Any]:
        rows = arc.starts(batch)
        state, given = begun(work, rows)

        def fly() -> Any:
            now = state
            for number in range(count):
                if work == "equations":
                    now = step(now, *given)
                else:
                    now = step(now, given, np.float32(number // 2), np.float32(number % 2))
            return now

        return fly

    batch = best({batch: flight(batch, 60) for batch in (1024, 4096, 8192, 16384)}, float)
    return Ready(
        f"float32, batch {batch}",
        flight(batch, arc.STEPS // 10),
        batch / 10,
        lambda: ended(work, flight(16, arc.STEPS)()),
    )


def by_numba(work: str) -> Ready:
    """A compiled loop over runs and steps on plain numbers; `fastmath` where it changes no result that counts."""
    import numba

    def flight(fast: bool) -> Callable[[Any, Any, int], None]:
        jit = numba.njit(fastmath=fast, error_model="numpy")
        if work == "equations":
            step: Any = jit(steps.make_step(np.float32, np.sqrt, jit))

            @jit  # type: ignore[untyped-decorator]
            def fly(table: Any, given: Any, count: int) -> None:
                for run in range(table.shape[1]):
                    a = table[:, run]
                    s = (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13])
                    for _ in range(count):
                        s = step(s, given[0, run], given[1, run], given[2, run], given[3, run])
                    for k, value in enumerate(s):
                        a[k] = value

            return fly  # type: ignore[no-any-return]

        choose = jit(lambda condition, yes, no: yes if condition else no)
        step = model.make_step(model.Tool(np.float32, np.sqrt, choose, jit))

        @jit  # type: ignore[untyped-decorator]
        def fly_model(table: Any, given: Any, count: int) -> None:
            for run in range(table.shape[1]):
                a, g = table[:, run], given[:, run]
                s = (
                    (a[0], a[1], a[2]), (a[3], a[4], a[5]), (a[6], a[7], a[8]), (a[9], a[10], a[11]),
                    (a[12], a[13], a[14], a[15]), (a[16], a[17], a[18], a[19]), (a[20], a[21], a[22]),
                    (a[23], a[24], a[25], a[26], a[27], a[28]), (a[29], a[30], a[31], a[32], a[33], a[34], a[35]),
                )  # fmt: skip
                mine = (g[0], g[1], g[2], g[3])
                for number in range(count):
                    s = step(s, mine, np.float32(number // 2), np.float32(number % 2))
                a[0], a[1], a[2] = s[0]
                a[3], a[4], a[5] = s[1]
                a[6], a[7], a[8] = s[2]
                a[9], a[10], a[11] = s[3]
                a[12], a[13], a[14], a[15] = s[4]
                a[16], a[17], a[18], a[19] = s[5]
                a[20], a[21], a[22] = s[6]
                a[23], a[24], a[25], a[26], a[27], a[28] = s[7]
                a[29], a[30], a[31], a[32], a[33], a[34], a[35] = s[8]

        return fly_model  # type: ignore[no-any-return]

    state, given = begun(work, arc.starts(64))
    start = np.array(leaves(state), np.float32)
    parts = np.array(given, np.float32)
    ways = {fast: flight(fast) for fast in ((False, True) if work == "equations" else (False,))}

    def flown(fast: bool) -> Any:
        table = start.copy()
        ways[fast](table, parts, arc.STEPS)
        return table

    fast = best({fast: functools.partial(flown, fast) for fast in ways}, lambda _: 1.0)
    return Ready(
        f"float32, a scalar loop{', fastmath' if fast else ''}",
        lambda: flown(fast),
        64,
        lambda: ended(work, list(flown(fast))),
    )


def by_jax(work: str, gpu: bool = False) -> Ready:
    """vmap of a scan over the steps, compiled; on a CPU the widest vectors are asked for (worker.py)."""
    import jax
    import jax.numpy as jnp

    if gpu and jax.default_backend() != "gpu":
        raise ImportError("JAX finds no GPU")
    if work == "equations":
        step: Any = steps.make_step(np.float32, jnp.sqrt)
    else:
        step = model.make_step(model.Tool(np.float32, jnp.sqrt, jnp.where))

    def one(state: Any, given: Any) -> Any:
        if work == "equations":
            return jax.lax.scan(lambda now, _: (step(now, *given), None), state, None, length=arc.STEPS)[0]

        number = jnp.arange(arc.STEPS)
        ticks = ((number // model.COUNT).astype(np.float32), (number % model.COUNT).astype(np.float32))
        return jax.lax.scan(lambda now, tick: (step(now, given, *tick), None), state, ticks)[0]

    fly = jax.jit(jax.vmap(one))

    def flight(batch: int) -> Callable[[], Any]:
        put = functools.partial(jax.tree_util.tree_map, jnp.asarray)
        state, given = map(put, begun(work, arc.starts(batch)))
        return lambda: jax.block_until_ready(fly(state, given))

    flights = {batch: flight(batch) for batch in ((GPU_BATCH,) if gpu else BATCHES)}
    batch = best(flights, float)
    return Ready(
        f"float32, vmap and scan, jit, batch {batch}", flights[batch], batch, lambda: ended(work, flights[batch]())
    )


def begun(work: str, rows: arc.Array) -> tuple[Any, Any]:
    """State and numbers of each run, in single precision."""
    if work == "equations":
        return tuple(steps.begin(rows).astype(np.float32)), tuple(part.astype(np.float32) for part in arc.push(rows))
    return model.begin(rows, np.float32), model.runs(rows, np.float32)


def ended(work: str, state: Any) -> arc.Ends:
    """The states of runs in the site frame, of what a way of this work returns (nested, or its leaves in a list)."""
    if work == "equations":
        return steps.end(state)
    if isinstance(state, list):
        cuts = (0, 3, 6, 9, 12, 16, 20, 23, 29, 36)
        state = tuple(tuple(state[a:b]) for a, b in itertools.pairwise(cuts))
    return model.end(state)


def leaves(state: Any) -> list[Any]:
    """The arrays of a nested tuple, in order."""
    return [leaf for part in state for leaf in leaves(part)] if isinstance(state, tuple) else [state]


# ---- one run at a time


def by_solve_ivp() -> Ready:
    """One call for each arc: of its methods and tolerances the fastest that reaches `ACCURACY`, on a right-hand side in
    plain numbers."""
    (start, rates), (_, _, reference) = solvable(), stored()
    fast: dict[Any, Callable[[], Any]] = {}
    for method in ("RK45", "DOP853", "LSODA"):
        for tolerance in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
            fly: Callable[[], Any] = functools.partial(
                solved, start, rates, method=method, rtol=tolerance, atol=1e-3 * tolerance
            )
            off = arc.difference(steps.end(fly()[:, np.newaxis]), arc.Ends.of(reference.table()[-1:]))
            if off["position"][0] <= ACCURACY:
                fast[method, tolerance] = fly
                break
    method, tolerance = best(fast, lambda _: 1.0)
    fly = fast[method, tolerance]
    return Ready(
        f"float64, {method}, rtol {tolerance:.0e}, its own steps", fly, 1, lambda: steps.end(fly()[:, np.newaxis])
    )


def by_solve_ivp_in_steps() -> Ready:
    """The same held to the step of all others: RK23, which has one evaluation more than the mid-point rule."""
    start, rates = solvable()
    options = {"method": "RK23", "rtol": 1e-3, "atol": 1.0, "first_step": arc.STEP, "max_step": arc.STEP}
    fly = functools.partial(solved, start, rates, **options)
    return Ready("float64, RK23, steps of 0.05 s", fly, 1, lambda: steps.end(fly()[:, np.newaxis]))


def solvable() -> tuple[arc.Array, Any]:
    """Start and right-hand side of run 0."""
    rows = arc.starts(1)
    return steps.begin(rows)[:, 0], steps.make_rates(*(float(part[0]) for part in arc.push(rows)))


def solved(start: arc.Array, rates: Any, **options: Any) -> arc.Array:
    """The state at the end."""
    from scipy.integrate import solve_ivp

    return np.asarray(solve_ivp(rates, (0, arc.DURATION), start, **options).y[:, -1])


def by_python() -> Ready:
    """The same step on plain numbers, interpreted."""
    rows = arc.starts(1)
    step, given = steps.make_step(float, math.sqrt), [float(part[0]) for part in arc.push(rows)]
    start = tuple(map(float, steps.begin(rows)[:, 0]))

    def fly() -> Any:
        now = start
        for _ in range(arc.STEPS):
            now = step(now, *given)
        return now

    return Ready("float64, interpreted", fly, 1, lambda: steps.end([[part] for part in fly()]))


def by_basilisk() -> Ready:
    """One simulation for each arc, set up and executed, with Basilisk's Runge-Kutta rule of fourth order."""
    from peers import basilisk

    row = arc.starts(1)[0]
    return Ready(
        "float64, RK4, one simulation for each run",
        lambda: basilisk.Flight(row).execute(),
        1,
        lambda: arc.Ends.of(basilisk.fly(row, arc.DURATION).table()[-1:]),
    )


def by_basilisk_campaign() -> Ready:
    """Basilisk's Monte Carlo controller on the arc, one process."""
    from peers import basilisk

    return Ready("the arc, one process", lambda: basilisk.campaign(4), 4)


def by_rocketpy_campaign() -> Ready:
    """RocketPy's Monte Carlo of a sounding rocket, one process."""
    from peers import rocket

    return Ready("a sounding rocket to the ground, one process", lambda: rocket.campaign(4), 4)


# ---- on a GPU


def by_mcrisk_gpu() -> Ready:
    """arc.cu, one thread for each run."""
    from peers.flown import TICKS, arc_params, gpu_source

    from mcrisk.backends import gpu, nvrtc

    if missing := gpu.absence():
        raise ImportError(str(missing))
    import cupy

    name = gpu.architecture(cupy.cuda.Device().compute_capability, nvrtc.load().architectures)
    assert name is not None
    source, flags = gpu_source()
    cubin, usage = nvrtc.cached_cubin(source, name, flags)
    kernel = cupy.RawModule(path=str(cubin)).get_function("arc")
    rows, ends = cupy.asarray(arc.starts(GPU_BATCH)), cupy.zeros((GPU_BATCH, sum(arc.WIDTHS)))
    block = arc_params(4)
    params = np.frombuffer(block, f"V{len(block)}")  # one element: cupy passes it by value

    def fly() -> Any:
        kernel((-(-GPU_BATCH // 128),), (128,), (params, rows, np.int32(GPU_BATCH), np.int32(TICKS), ends))
        cupy.cuda.runtime.deviceSynchronize()
        return ends

    return Ready(
        f"{name}, {usage.registers} registers, batch {GPU_BATCH}", fly, GPU_BATCH, lambda: arc.Ends.of(fly().get())
    )


def by_cupy() -> Ready:
    """Arrays over the runs on the GPU; a call flies a hundredth of the arc."""
    import cupy

    if not cupy.is_available():
        raise ImportError("CuPy finds no GPU")
    step = steps.make_step(float, cupy.sqrt)
    return on_gpu(step, cupy.asarray, cupy.cuda.runtime.deviceSynchronize)


def by_torch() -> Ready:
    """The same with PyTorch."""
    import torch

    if not torch.cuda.is_available():
        raise ImportError("PyTorch finds no GPU")
    step = steps.make_step(float, torch.sqrt)
    return on_gpu(step, functools.partial(torch.as_tensor, device="cuda"), torch.cuda.synchronize)


def on_gpu(step: Any, put: Callable[[Any], Any], wait: Callable[[], Any]) -> Ready:
    """Array style on a GPU."""
    state, given = begun("equations", arc.starts(GPU_BATCH))
    start, parts = tuple(map(put, state)), tuple(map(put, given))

    def fly() -> Any:
        now = start
        for _ in range(arc.STEPS // 100):
            now = step(now, *parts)
        wait()
        return now

    return Ready(f"float32, arrays, batch {GPU_BATCH}", fly, GPU_BATCH / 100)


def best(ways: dict[Any, Callable[[], Any]], runs: Callable[[Any], float]) -> Any:
    """The key of the way that flies most runs a second: the first call warms up, the best within `TRIED` counts."""

    def rate(key: Any) -> float:
        ways[key]()
        times = [_time(ways[key])]
        while sum(times) < TRIED:
            times.append(_time(ways[key]))
        return runs(key) / min(times)

    return max(ways, key=rate) if len(ways) > 1 else next(iter(ways))


def _time(work: Callable[[], Any]) -> float:
    begun_at = time.process_time()
    work()
    return max(time.process_time() - begun_at, 1e-9)


def _both(prepare: Callable[[str], Ready]) -> Sequence[Callable[[], Ready]]:
    return functools.partial(prepare, "equations"), functools.partial(prepare, "model")


NUMPY, NUMBA, JAX = map(_both, (by_numpy, by_numba, by_jax))
WAYS = {
    "mcrisk": Way("mcrisk", "model", by_mcrisk),
    "jax": Way("JAX", "equations", JAX[0], 8, ("jax",)),
    "jax_model": Way("JAX", "model", JAX[1], 8, ("jax",)),
    "numba": Way("Numba", "equations", NUMBA[0], 15, ("numba",)),
    "numba_model": Way("Numba", "model", NUMBA[1], 15, ("numba",)),
    "numpy": Way("NumPy", "equations", NUMPY[0], 35, ("numpy",)),
    "numpy_model": Way("NumPy", "model", NUMPY[1], 35, ("numpy",)),
    "solve_ivp": Way("solve_ivp", "equations", by_solve_ivp, 800, ("scipy",)),
    "solve_ivp_in_steps": Way("solve_ivp", "equations", by_solve_ivp_in_steps, 800, ("scipy",)),
    "python": Way("Python", "equations", by_python),
    "basilisk": Way("Basilisk", "equations", by_basilisk, None, ("bsk",)),
    "mcrisk_campaign": Way("mcrisk run", "campaign", by_mcrisk_campaign),
    "basilisk_campaign": Way(
        "Basilisk", "campaign", by_basilisk_campaign, 1000, ("bsk",), rivals=("mcrisk_campaign", "mcrisk")
    ),
    "rocketpy_campaign": Way(
        "RocketPy", "campaign", by_rocketpy_campaign, 5000, ("rocketpy",), rivals=("mcrisk_campaign",)
    ),
    "mcrisk_gpu": Way("mcrisk", "model", by_mcrisk_gpu, gpu=True),
    "jax_gpu": Way(
        "JAX", "equations", functools.partial(by_jax, "equations", True), 50, ("jax",), gpu=True, rivals=("mcrisk_gpu",)
    ),
    "cupy": Way("CuPy", "equations", by_cupy, None, ("cupy",), gpu=True, rivals=("mcrisk_gpu",)),
    "torch": Way("PyTorch", "equations", by_torch, None, ("torch",), gpu=True, rivals=("mcrisk_gpu",)),
}
