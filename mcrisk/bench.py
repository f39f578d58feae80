"""How fast the CPU flies: descents a second on one core, against the scalar build and against the processor's peak.

One round flies the same runs through the tile and through the scalar loop of every library and keeps the multiply-add
units busy for as long as the tile took, each in turn on one core, so that a clock that drifts moves all of them alike.
Times are processor time of this thread. Ratios are taken round by round; every figure is the median over the rounds,
beside the least and the greatest. Flop are counted over these very runs by a library built for that (counting.h).
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from mcrisk import __version__, native
from mcrisk.backends import ondemand
from mcrisk.backends.cpu import CpuBackend, cores, fitting_variants, processor_flags, variant_for
from mcrisk.errors import InfrastructureError, MistakeError

if TYPE_CHECKING:
    from mcrisk.campaign import Campaign

__all__ = [
    "HEADER", "MISSIONS", "bench", "figures", "linear", "markdown", "measure", "medians", "rounded", "row", "scaling",
    "seconds", "sentences", "sizes",
]  # fmt: skip

MISSIONS = ("hakuto_r_m2_as_designed", "blue_ghost_m1")
ROUNDS = 7
TILE = 16  # [run] the number of runs in a round is a multiple of it
SIZES = (16, 64, 256, 1024, 4096)  # [run] of batches
VISITS = 2000  # [] of the peak between two looks at the clock, well under a millisecond
SECONDS_MAX = 3600.0
P = ParamSpec("P")
HEADER = ("build", "descents/s", "scalar", "gain", "Mflop each", "FMA peak", "share of peak")


@dataclass(frozen=True)
class Round:
    """Rates of one library on one core in one round."""

    tile: float  # [descent/s]
    scalar: float  # [descent/s]
    peak: float  # [flop/s]


def bench(campaign: Campaign, wanted: float, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """The figures of the first case of a campaign, one JSON object for each library, the fastest installed one last.

    wanted: [s] spent on each library; never less than it takes to fly 16 runs both ways in every round.
    """
    case = campaign.cases[0]
    fleet = libraries(tell)
    counting = CpuBackend("counting", ondemand.made("counting", ondemand.commands()[0], tell=tell))
    tell(f"{case.name}: {ROUNDS} rounds on one core, libraries: {len(fleet)}")
    runs, rounds, share = measure(fleet, case.params, campaign.seed, wanted, case.heights)
    _, flop = counting.count(case.params, campaign.seed, 0, runs, case.heights)
    common = {"runs": runs, "seed": campaign.seed, "core_share": rounded(share), **facts()}
    return [
        figures(case.name, backend.build, own, flop / runs) | common for backend, own in zip(fleet, rounds, strict=True)
    ]


def libraries(tell: Callable[[str], None]) -> list[CpuBackend]:
    """What runs here, up to MCRISK_ISA: libraries of other compilers, then the installed ones, fastest last."""
    best = variant_for(os.environ.get("MCRISK_ISA", ""), processor_flags())
    fitting = [one for one in fitting_variants() if one <= best]
    installed = native.build_info()["compiler"]
    others = [command for command in ondemand.commands() if ondemand.name_of(command) != installed]
    built = [CpuBackend(one, ondemand.made(one, command, tell=tell)) for command in others for one in fitting]
    return built + [CpuBackend(one) for one in fitting]


def measure(
    fleet: Sequence[CpuBackend], case: bytes, seed: int, wanted: float, heights: bytes = b""
) -> tuple[int, list[list[Round]], float]:
    """Runs in each round, the rounds of each library, and the share of the core that was ours meanwhile.

    case: Params bytes; heights: of its elevation model. wanted: [s] for each library.
    """
    with one_core():
        slowest = max(_time(_both, one, case, seed, heights) for one in fleet)  # also warms up
        runs = max(int(wanted / ROUNDS / slowest), 1) * TILE
        begun, busy = time.perf_counter(), time.thread_time()
        rounds: list[list[Round]] = [[] for _ in fleet]
        for _ in range(ROUNDS):
            for place, backend in enumerate(fleet):
                tile = _time(backend.run, case, seed, 0, runs, heights)
                peak = _peak(backend, tile)
                scalar = _time(backend.run_scalar, case, seed, 0, runs, heights)
                rounds[place].append(Round(runs / tile, runs / scalar, peak))
        share = (time.thread_time() - busy) / (time.perf_counter() - begun)
    return runs, rounds, share


def scaling(campaign: Campaign, wanted: float) -> dict[str, Any]:
    """Descents a second as a campaign flies them, on one core and on all, in wall time and in turn.

    wanted: [s] of each of the two. `scaling`, taken round by round, is 1 where cores do not disturb each other.
    """
    from mcrisk.execute import execute

    backend, number = CpuBackend(), cores()

    def rate(runs: int, workers: int) -> float:
        return runs / execute(campaign, runs, backend, workers=workers).elapsed

    share = max(int(rate(8 * TILE, 1) * wanted / ROUNDS) // TILE, 1) * TILE
    pairs = [(rate(share, 1), rate(share * number, number)) for _ in range(ROUNDS)]
    series = {
        "descents_per_s_one_core": [one for one, _ in pairs],
        "descents_per_s_all_cores": [every for _, every in pairs],
        "scaling": [every / one / number for one, every in pairs],
    }
    return {"mission": campaign.name, "backend": CpuBackend.name, **medians(series), **facts()}


def sizes(campaign: Campaign, wanted: float) -> dict[str, Any]:
    """Descents a second on one core in batches of each of `SIZES` runs, the same runs in turn.

    wanted: [s] in all; never less than two rounds. `flatness` is the slowest size over the fastest, round by round.
    """
    backend, case, largest = CpuBackend(), campaign.cases[0], SIZES[-1]

    def rate(size: int) -> float:
        return largest / sum(
            _time(backend.run, case.params, campaign.seed, first, size, case.heights)
            for first in range(0, largest, size)
        )

    with one_core():
        rate(SIZES[0])  # warms up
        begun = time.perf_counter()
        rounds: list[dict[int, float]] = []
        while len(rounds) < 2 or time.perf_counter() - begun < wanted:
            rounds.append({size: rate(size) for size in SIZES})
    series = {f"descents_per_s_batch_{size}": [one[size] for one in rounds] for size in SIZES}
    series["flatness"] = [min(one.values()) / max(one.values()) for one in rounds]
    return {"mission": campaign.name, "backend": CpuBackend.name, "sizes": list(SIZES), **medians(series), **facts()}


def figures(mission: str, build: str, rounds: Sequence[Round], flop: float) -> dict[str, Any]:
    """The figures of one mission and library.

    build: compiler, version and instruction set. flop: [] of one descent.
    """
    compiler, _, isa = build.rpartition(" ")
    series = {
        "descents_per_s_per_core": [one.tile for one in rounds],
        "scalar_descents_per_s_per_core": [one.scalar for one in rounds],
        "scalar_speedup": [one.tile / one.scalar for one in rounds],
        "fma_peak_gflops": [one.peak / 1e9 for one in rounds],
        "fma_peak_fraction": [one.tile * flop / one.peak for one in rounds],
    }
    return {
        "mission": mission,
        "backend": CpuBackend.name,
        "compiler": compiler,
        "isa": isa,
        "flop_per_descent": round(flop),
        **medians(series),
    }


def facts() -> dict[str, Any]:
    """When, where and of what the figures are."""
    import numpy as np

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": device(),
        "cores": cores(),
        "versions": {"mcrisk": __version__, "python": platform.python_version(), "numpy": np.__version__},
        "kernel_digest": native.kernel_digest(),
    }


def device() -> str:
    """The model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def row(answer: dict[str, Any]) -> list[str]:
    """One line of the table that `HEADER` heads."""

    def of(name: str, digits: str, scale: float = 1.0) -> str:
        middle, low, high = (f"{scale * value:{digits}}" for value in (answer[name], *answer["spread"][name]))
        return f"{middle} ({low} to {high})"

    return [
        f"{answer['compiler']} {answer['isa']}",
        of("descents_per_s_per_core", ".0f"),
        f"{answer['scalar_descents_per_s_per_core']:.0f}",
        of("scalar_speedup", ".1f"),
        f"{answer['flop_per_descent'] / 1e6:.1f}",
        f"{answer['fma_peak_gflops']:.0f} GFLOP/s",
        of("fma_peak_fraction", ".0f", 100) + " %",
    ]


def summary(answers: Sequence[dict[str, Any]], command: str) -> str:
    """One sentence: what was measured, where, when and how."""
    one = answers[-1]
    versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
    share = min(answer["core_share"] for answer in answers)
    return (
        f"One core of {one['device']}, {one['date']}, by `{command}`; {versions}, kernels {one['kernel_digest'][:8]}. "
        f"Median (least to greatest) of {one['rounds']} interleaved rounds in processor time; the core was ours "
        f"for {100 * share:.0f} % of the time. Flop are those of the source; compilers spare about a tenth of them."
    )


def sentences(others: Sequence[dict[str, Any]]) -> list[str]:
    """What `sizes`, `scaling` and `coldstart.cold_start` found, a sentence each."""
    found = []
    for one in others:
        if "flatness" in one:
            rates = ", ".join(f"{one[f'descents_per_s_batch_{size}']:.0f}" for size in one["sizes"])
            named = ", ".join(map(str, one["sizes"]))
            found.append(
                f"{one['mission']}: batches of {named} runs fly at {rates} descents/s on one core; "
                f"the slowest at {100 * one['flatness']:.0f} % of the fastest."
            )
        elif "scaling" in one:
            found.append(f"{one['mission']}: campaigns fly {linear(one)}.")
        else:
            flown, there = (one["steps"][name]["seconds"] for name in ("fly", "dataset"))
            found.append(
                f"{one['mission']}: a fresh process has flown {one['runs']} descents {flown['median']:.2f} s "
                f"({flown['least']:.2f} to {flown['greatest']:.2f}) after the import of numpy; their dataset is there "
                f"after {there['median']:.2f} s."
            )
    return found


def linear(one: dict[str, Any]) -> str:
    """What `scaling` found, in words: the share is that of the two medians told, its spread that of the rounds."""
    alone, every, number = one["descents_per_s_one_core"], one["descents_per_s_all_cores"], one["cores"]
    low, high = (100 * end for end in one["spread"]["scaling"])
    return (
        f"{every:.0f} descents/s on {number} cores, {alone:.0f} on one: {100 * every / alone / number:.0f} % of linear "
        f"({low:.0f} to {high:.0f} % in the rounds)"
    )


def markdown(answers: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], command: str) -> str:
    """The block of the README. others: what `sentences` tells."""
    rows = [[answer["mission"], *row(answer)] for answer in answers]
    lines = [["mission", *HEADER], ["---"] * (len(HEADER) + 1), *rows]
    told = [f"- {one}" for one in sentences(others)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([summary(answers, command), "", *table, *([""] if told else []), *told])


def seconds(text: str) -> float:
    """The time a user asked for, in seconds.

    >>> seconds("0.5")
    0.5
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= SECONDS_MAX:
        raise MistakeError("seconds", f"a number of seconds above 0 and up to {SECONDS_MAX:.0f}", repr(text))
    return value


@contextmanager
def one_core() -> Iterator[None]:
    """This thread stays on one core, where the system allows that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def medians(series: dict[str, list[float]]) -> dict[str, Any]:
    """The median of each series of rounds, and the [least, greatest] of all of them under `spread`."""
    middle = {name: rounded(statistics.median(values)) for name, values in series.items()}
    spread = {name: [rounded(min(values)), rounded(max(values))] for name, values in series.items()}
    return {**middle, "spread": spread, "rounds": len(next(iter(series.values())))}


def rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")


def _both(backend: CpuBackend, case: bytes, seed: int, heights: bytes) -> None:
    """Fly a tile of runs both ways; refuses to measure a library whose tile and scalar loop differ."""
    tile, scalar = (fly(case, seed, 0, TILE, heights) for fly in (backend.run, backend.run_scalar))
    if tile.tobytes() != scalar.tobytes():
        raise InfrastructureError(
            f"{backend.build}: tile and scalar build give different records", remedy=native.REMEDY
        )


def _peak(backend: CpuBackend, duration: float) -> float:
    """Flop a second of fused multiply-adds alone, over about `duration` [s]."""
    begun, flop = time.thread_time(), 0
    while True:
        flop += backend.multiply_add(VISITS)
        if (taken := time.thread_time() - begun) >= duration:
            return flop / taken


def _time(work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> float:
    """Processor time that a call takes in this thread [s]."""
    begun = time.thread_time()
    work(*args, **kwargs)
    return max(time.thread_time() - begun, 1e-9)
