"""Time and memory over runs, designs and workers, with straight lines through them, and what these say of 10^12 runs.

    runs      the real kernel for few runs; a null kernel (null.py) for many, in batches of a core, of many, of a GPU
    cases     a study stated, flown with the null kernel, and its dataset formed
    workers   1 and 2 of this machine with the real kernel; 10, 100 and 1000 simulated ones at a real `dask scheduler`,
              100 of them with batches of more runs, too

Every size is flown in a process of its own (measures.py). One JSON object a line on stdout: what was measured, then the
lines, then what they foretell; the lines and the conclusions in words on stderr. `--from` reads the figures of such a
file instead, to foretell for another rate of a GPU.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

import null
from lines import Costs, Line, foretold, line
from measures import CASE_RUNS, GPU, MB, MISSION

from mcrisk import bench, pages, scripting
from mcrisk.backends.gpu import GpuBackend
from mcrisk.campaign import state
from mcrisk.clusterfile import LOOPBACK
from mcrisk.errors import MistakeError
from mcrisk.execute import longest
from mcrisk.mission import load

COMMAND = "scripts/bench scaling"
CORE, MANY = 700, 100_000  # [run] of a batch: half a second of a core, and of a fast machine
SIZES = {
    CORE: (10**3, 10**4, 10**5, 10**6, 10**7),
    MANY: (10**6, 10**7, 10**8, 10**9),
    GPU: (10 * GPU, 30 * GPU, 95 * GPU, 953 * GPU),
}  # [run]
REAL = (10**3, 10**4, 10**5)  # [run] with the real kernel
CASES = (1, 10, 100, 1000, 10_000)
CROWDS = (10, 100, 1000)  # simulated workers
PROCESSES = 4  # that simulated workers share at most
ROUNDS = 6  # batches of each simulated worker
LEAST = 400  # batches of a crowd
PATIENCE = 600.0  # [s] for a crowd to gather
WIDE = 5_000_000  # [run] of a batch where 1000 GPUs of 5e5 runs/s fly: what does a batch of more runs cost?
WIDE_WORKERS = 100
LONG = 10, 0.05, 10_000  # workers, [s] of a batch, batches: does a batch cost more when many were flown?
LAW = 0.3  # departure of a line that is shown at most
ASSUMED_RATE = 5e5  # [run/s] of a GPU, where none is given
PARTS = ("runs", "cases", "workers")
NEEDED = ("crowd", "worker", "long", "cores")  # series without which the page cannot be written


def command(name: str, *values: Any) -> list[str]:
    return [sys.executable, "-P", str(Path(__file__).with_name("measures.py")), name, json.dumps(values)]


def measured(series: str, name: str, *values: Any) -> dict[str, Any]:
    """Measure in a process of its own; the figures, printed and told."""
    one = subprocess.run(command(name, *values), check=True, text=True, stdout=subprocess.PIPE)
    return printed({"series": series, **json.loads(one.stdout.splitlines()[-1])})


def printed(found: dict[str, Any]) -> dict[str, Any]:
    """Figures as a JSON line with when, where and of what they are, unless they say so."""
    whole = found | {name: value for name, value in facts().items() if name not in found}
    print(json.dumps(whole, allow_nan=False), flush=True)
    return whole


def recorded(path: Path) -> dict[str, list[dict[str, Any]]]:
    """What an earlier command printed, by series, less its lines and what they foretold."""
    found: dict[str, list[dict[str, Any]]] = {}
    lines = f"the lines that {COMMAND} prints"
    try:
        for text in path.read_text().splitlines():
            one = json.loads(text)
            found.setdefault(one["series"], []).append(one)
    except OSError as error:
        raise MistakeError(str(path), lines, (error.strerror or str(error)).lower(), "see --from") from None
    except (ValueError, KeyError, TypeError):
        raise MistakeError(str(path), lines, "another text", "see --from") from None
    if not found:
        raise MistakeError(str(path), lines, "an empty file", "see --from")
    return {name: rows for name, rows in found.items() if name not in ("line", "foretold")}


def origin(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """When, where and of what the last of these figures are."""
    names = ("date", "device", "cores", "versions", "kernel_digest")
    last = next((rows[-1] for rows in reversed(found.values()) if rows), {})
    return {name: last[name] for name in names if name in last}


def facts() -> dict[str, Any]:
    """Of `mcrisk bench`, and the versions that decide what dask costs."""
    import dask
    import distributed

    found = bench.facts()
    versions = found["versions"] | {"dask": dask.__version__, "distributed": distributed.__version__}
    return found | {"versions": versions}


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def gathered(number: int, ready: str, seconds: float) -> Iterator[tuple[str, int, list[int]]]:
    """A scheduler with so many simulated workers, on loopback: its address, and the numbers of all processes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        options = ["--host", LOOPBACK, "--port", "0", "--dashboard-address", f"{LOOPBACK}:0"]
        begun = [sys.executable, "-P", "-m", "dask", "scheduler", *options, "--scheduler-file", str(file)]
        started = [subprocess.Popen(begun, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        try:
            until = time.monotonic() + PATIENCE
            while not file.exists() or not file.read_text():
                if time.monotonic() > until or started[0].poll() is not None:
                    raise TimeoutError("the scheduler does not start")
                time.sleep(0.05)
            address = json.loads(file.read_text())["address"]
            processes = min(PROCESSES, max(1, number // 25))
            for place in range(processes):
                own = number // processes + (place < number % processes)
                served = command("serve", address, own, ready, seconds)
                started.append(subprocess.Popen(served, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
            for one in started[1:]:
                assert one.stdout
                if one.stdout.readline() != "ready\n":
                    raise ChildProcessError("a process of simulated workers ended")
            yield address, started[0].pid, [one.pid for one in started[1:]]
        finally:
            for one in reversed(started):
                one.terminate()
            for one in started:
                try:
                    one.wait(30)
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.wait()


# ------------------------------------------------------------------------------------------------------------ the parts


def over_runs(most: float, ready: dict[int, str]) -> dict[str, list[dict[str, Any]]]:
    """One case of more and more runs: the real kernel, then the null kernel in batches of each size."""
    tell("runs: the real kernel")
    found = {"real": [measured("real", "real", runs) for runs in REAL if runs <= most]}
    for batch, sizes in SIZES.items():
        tell(f"runs: a null kernel, batches of {batch}")
        of_batch = f"null {batch}"
        found[of_batch] = [measured(of_batch, "null", size, 1, batch, ready[batch]) for size in sizes if size <= most]
    return {name: rows for name, rows in found.items() if rows}


def over_cases(most: int, ready: dict[int, str]) -> dict[str, list[dict[str, Any]]]:
    """Wider and wider sweeps."""
    tell("cases: a sweep, stated and flown with a null kernel")
    rows = [measured("cases", "study", cases, ready[CASE_RUNS]) for cases in CASES if cases <= most]
    return {"cases": rows} if rows else {}


def over_workers(most: int, seconds: float, ready: dict[int, str]) -> dict[str, list[dict[str, Any]]]:
    """The real kernel on one core and on all; simulated workers; and what a real worker does beside its flight."""
    tell("workers: the real kernel on one core and on all")
    found = {"cores": [measured("cores", "cores", 12.0)]}
    found["worker"] = [measured("worker", "worker", batch) for batch in (GPU, WIDE)]
    crowds = [(number, seconds, max(ROUNDS * number, LEAST)) for number in CROWDS if number <= most]
    jobs = [("crowd", *one, GPU) for one in crowds]
    jobs += [("wide", *one, WIDE) for one in crowds if one[0] == WIDE_WORKERS]
    for series, number, takes, batches, batch in (*jobs, ("long", *LONG, GPU)):
        tell(f"workers: {number} simulated, at a scheduler, {batches} batches of {batch} runs")
        with gathered(number, ready[batch], takes) as (address, scheduler, crew):
            values = number, takes, batches, batch, address, scheduler, crew
            found.setdefault(series, []).append(measured(series, "crowd", *values))
    return found


NULL_LINES = (
    ("client's processor time", "client_cpu_s", "s"), ("peak memory without the dataset", "peak_rss_mb", "MB"),
    ("journal", "journal_mb", "MB"), ("time to look through the journal", "reopen_s", "s"),
)  # fmt: skip
LINES = (
    ("real", "time of a campaign with the real kernel", "runs", "wall_s", "s"),
    ("real", "peak memory with the real kernel, without the dataset", "runs", "peak_rss_mb", "MB"),
    *(
        (f"null {batch}", f"{what}, batches of {batch} runs", "batches", of, unit)
        for batch in SIZES
        for what, of, unit in NULL_LINES
    ),
    ("cases", "processor time to state a sweep", "cases", "state_cpu_s", "s"),
    ("cases", "peak memory when it is stated", "cases", "state_peak_rss_mb", "MB"),
    ("cases", f"client's processor time to fly it, {CASE_RUNS} runs each", "cases", "client_cpu_s", "s"),
    ("cases", "journal of a sweep", "cases", "journal_mb", "MB"),
    ("cases", "time to form its dataset", "cases", "dataset_s", "s"),
    ("cases", "peak memory with its dataset", "cases", "peak_rss_with_dataset_mb", "MB"),
    ("crowd", "time until all workers are greeted", "workers", "greet_s", "s"),
    ("crowd", "client's peak memory", "workers", "peak_rss_mb", "MB"),
    ("crowd", "scheduler's memory", "workers", "scheduler_rss_mb", "MB"),
)

SHOWN = {
    ("real", "wall_s"), (f"null {CORE}", "client_cpu_s"), (f"null {CORE}", "peak_rss_mb"),
    (f"null {GPU}", "journal_mb"),
    ("cases", "state_cpu_s"), ("cases", "client_cpu_s"), ("cases", "journal_mb"), ("cases", "peak_rss_with_dataset_mb"),
    ("crowd", "greet_s"), ("crowd", "peak_rss_mb"), ("crowd", "scheduler_rss_mb"),
}  # fmt: skip  # lines of the page, where they are laws; all are printed


def fitted(found: dict[str, list[dict[str, Any]]]) -> dict[tuple[str, str], tuple[Line, str]]:
    """The straight lines, and each in words, by series and what is measured."""
    lines = {}
    for series, what, over, of, unit in LINES:
        points = [(one[over], one[of]) for one in found.get(series, ()) if one[of] > 0]
        if len({x for x, _ in points}) > 1:
            one = line(points)
            sign = "-" if one.slope < 0 else "+"
            text = (
                f"{what} [{unit}] = {one.intercept:.3g} {sign} {abs(one.slope):.3g} * {over}, "
                f"off by {100 * round(one.departure, 4):.2g} % at most, {one.points} points"
            )
            lines[series, of] = one, text
            printed(
                {"series": "line", "what": what, "over": over, "of": of, "unit": unit, **asdict(one), **origin(found)}
            )
    return lines


def costs(
    found: dict[str, list[dict[str, Any]]], lines: dict[tuple[str, str], tuple[Line, str]], batch: int, gpus: int
) -> Costs:
    """What a batch of so many runs costs; what grows with the workers is that of their line, where they are others.

    What a batch of more runs costs more is that of a crowd which flew both sizes.
    """
    crowd, own = found["crowd"][-1], found["worker"][0]
    long = found["long"][0]
    wide = found.get("wide", [])
    narrow = [one for one in found["crowd"] if wide and one["workers"] == wide[0]["workers"]]
    journal, looked = (
        [(size, lines[f"null {size}", of][0].slope) for size in SIZES if (f"null {size}", of) in lines]
        for of in ("journal_mb", "reopen_s")
    )
    kept = [*((size, 1e6 * slope) for size, slope in journal if size < GPU), (GPU, crowd["journal_bytes_per_batch"])]
    kept += [(one["batch"], one["journal_bytes_per_batch"]) for one in wide]
    share = batch / own["batch"]  # landing bits grow with the runs

    def of_workers(name: str) -> float:
        straight = ("crowd", name) in lines and gpus != crowd["workers"]
        return float(max(lines["crowd", name][0].at(gpus), 0.0) if straight else crowd[name])

    def of_batch(name: str, rows: Sequence[dict[str, Any]], start: float) -> float:
        more = line([(one["batch"], one[name]) for one in rows]).slope if len(rows) > 1 else 0.0
        return float(max(start + more * (batch - GPU), 0.0))

    both = [*narrow, *wide]
    return Costs(
        client_seconds=of_batch("client_ms_per_batch", both, crowd["client_ms_per_batch"]) / 1e3,
        scheduler_seconds=of_batch("scheduler_ms_per_batch", both, crowd["scheduler_ms_per_batch"]) / 1e3,
        worker_seconds=of_batch("worker_cpu_s", found["worker"], own["worker_cpu_s"]),
        journal_bytes=line(kept).at(batch) if len(kept) > 1 else crowd["journal_bytes_per_batch"] * share,
        network_bytes=2 * (own["sent_bytes"] + own["content_bytes"] + own["landed_bytes"] * share),
        client_bytes=max(long["client_bytes_per_batch"], 0.0),
        scheduler_bytes=max(long["scheduler_bytes_per_batch"], 0.0),
        client_memory=of_workers("peak_rss_mb") * MB,
        scheduler_memory=of_workers("scheduler_rss_mb") * MB,
        greet_seconds=of_workers("greet_s"),
        resume_seconds=max(line(looked).at(batch), 0.0) if len(looked) > 1 else None,
    )


def conclusions(told: dict[str, Any], assumed: bool, shorter: bool = False) -> str:
    """What the figures foretell, in words. shorter: of batches shorter than `execute` would cut."""
    rate = f"{told['gpu_rate']:.3g} runs/s each ({'assumed, not measured' if assumed else 'as given'})"
    limits = ", ".join(
        f"{name} {amount(one['needs'], one['unit'])} ({100 * one['load']:.3g} % of {amount(one['has'], one['unit'])})"
        for name, one in told["limits"].items()
    )
    before = "Without longer batches: " if shorter else ""
    load = told["limits"][told["first"]]["load"]
    first = f"First breaks the {told['first']}, at {load:.2g} times what there is"
    if not told["breaks"]:
        first = f"Nothing breaks; nearest to it is the {told['first']}"
    resume = told["resume_s"]
    again = "" if resume is None else f"; to look through the journal once more takes {amount(resume, 's')}"
    return (
        f"{before}{told['runs']:.0e} runs on {told['gpus']} GPUs of {rate} fly for {amount(told['flight_s'], 's')} in "
        f"{told['batches']:.3g} batches of {told['batch']} runs, {told['batches_per_s']:.3g} in a second. {first}. One "
        f"client and scheduler keep up with {told['gpus_of_one_client']:.3g} such GPUs; as it is, the campaign takes "
        f"{amount(told['least_s'], 's')}. Needed: {limits}. "
        f"The scheduler moves {amount(told['network_bytes'], 'byte')}, "
        f"{amount(told['network_bytes_per_s'], 'byte')} in a second of flight; all workers are greeted in "
        f"{amount(told['greet_s'], 's')}{again}."
    )


def amount(value: float, unit: str) -> str:
    """For people.

    >>> amount(5400, "s"), amount(2.5e9, "byte")
    ('1.5 h', '2.5 GB')
    """
    steps = ((3600.0, "h"), (60.0, "min"), (1.0, "s")) if unit == "s" else ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))
    size, name = next((step for step in steps if value >= step[0]), steps[-1])
    return f"{value / size:.3g} {name}"


HEADER = (
    "runs",
    "designs",
    "runs of a batch",
    "peak memory with the dataset",
    "journal",
    "of a batch",
    "client for each batch",
)
FORMATS: dict[str, Callable[[Any], str]] = {
    "runs": "{:.0e}".format, "cases": "{:.0f}".format, "batch": "{:.0f}".format,
    "peak_rss_with_dataset_mb": "{:.0f} MB".format, "journal_mb": "{:.1f} MB".format,
    "journal_bytes_per_batch": lambda size: f"{size / 1e3:.1f} kB", "client_ms_per_batch": "{:.1f} ms".format,
}  # fmt: skip
CROWD_HEADER = ("workers", "greeted in", "batches/s", "workers' time in use", "client for each batch", "scheduler",
                "simulation", "client's memory", "scheduler's memory")  # fmt: skip
CROWD_FORMATS: dict[str, Callable[[Any], str]] = {
    "workers": "{:.0f}".format, "greet_s": "{:.1f} s".format, "batches_per_s": "{:.0f}".format,
    "share_in_use": lambda share: f"{100 * share:.0f} %", "client_ms_per_batch": "{:.1f} ms".format,
    "scheduler_ms_per_batch": "{:.1f} ms".format, "simulation_ms_per_batch": "{:.1f} ms".format,
    "peak_rss_mb": "{:.0f} MB".format, "scheduler_rss_mb": "{:.0f} MB".format,
}  # fmt: skip


def table(header: Sequence[str], formats: dict[str, Callable[[Any], str]], rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    shown = [header, ("---",) * len(header), *([form(row[key]) for key, form in formats.items()] for row in rows)]
    return "\n".join(f"| {' | '.join(one)} |" for one in shown)


def markdown(found: dict[str, list[dict[str, Any]]], lines: Sequence[str], told: Sequence[str]) -> str:
    """The block of README.md beside this file."""
    crowd, two, what = found["crowd"][-1], found["cores"][0], origin(found)
    versions = ", ".join(f"{name} {version}" for name, version in what["versions"].items())
    rows = [one for name in (*(f"null {batch}" for batch in SIZES), "cases") for one in found.get(name, ())]
    return "\n\n".join([
        f"By `{COMMAND}` on {what['cores']} cores of {what['device']}, {what['date']}; {versions}, kernels "
        f"{what['kernel_digest'][:8]}. A null kernel whose results have their true size, one thread of the "
        f"client. MB are 10^6 bytes.",
        table(HEADER, FORMATS, rows),
        f"The real kernel flies {bench.linear(two)}.",
        f"Simulated workers at a real scheduler, each of which takes {crowd['batch_s']:g} s for a batch of {GPU} runs: "
        f"they share the cores with client and scheduler, so that processor times count, not the batches/s.",
        table(CROWD_HEADER, CROWD_FORMATS, found["crowd"]),
        "\n".join(f"- {text}" for text in lines),
        *told,
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help="runs, cases, workers (10 000 batches at least: minutes); all without any",
    )
    parser.add_argument(
        "--most", type=scripting.above_zero, default=1e8, help="runs of the largest campaign of one case (1e8)"
    )
    parser.add_argument(
        "--cases", type=scripting.count, default=CASES[-1], help="designs of the widest campaign (10000)"
    )
    parser.add_argument("--workers", type=scripting.count, default=CROWDS[-1], help="simulated workers at most (1000)")
    parser.add_argument(
        "--batch-seconds", type=scripting.above_zero, default=1.0, help="of a simulated worker for a batch (1)"
    )
    parser.add_argument(
        "--gpu-rate", type=scripting.above_zero, help="runs/s of one GPU, as measured; without it 5e5 is assumed"
    )
    parser.add_argument("--gpus", type=scripting.count, default=1000, help="GPUs to foretell for (1000)")
    parser.add_argument("--runs", type=scripting.above_zero, default=1e12, help="runs to foretell (1e12)")
    parser.add_argument(
        "--from", type=Path, dest="recorded", metavar="FILE", help="of lines printed before: measure nothing"
    )
    page = Path(__file__).with_name("README.md")
    parser.add_argument(
        "--write", type=Path, nargs="?", const=page, metavar="PAGE.md",
        help="put it into this page, between its scale marks (tests/scale/README.md)",
    )  # fmt: skip
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if options.recorded and options.parts:
        parser.error("--from takes no parts")
    if unknown := [one for one in parts if one not in PARTS]:
        parser.error(f"{unknown[0]}: expected {', '.join(PARTS)}")
    if options.write:
        if set(parts) != set(PARTS):
            parser.error("--write takes all parts")
        if options.workers < CROWDS[0]:
            parser.error(f"--write takes at least {CROWDS[0]} --workers")
        pages.check(options.write, "scale")
    found = recorded(options.recorded) if options.recorded else gauged(parts, options)
    if options.write and (lacking := [one for one in NEEDED if not found.get(one)]):
        raise MistakeError(
            str(options.recorded), "the lines of all parts", f"none of {', '.join(lacking)}", "see --from"
        )
    try:
        conclude(found, options)
    except (KeyError, TypeError, ValueError) as error:
        if not options.recorded:
            raise
        got = f"others ({type(error).__name__}: {error})"
        raise MistakeError(
            str(options.recorded), f"figures of this version's {COMMAND}", got, "measure again"
        ) from None


def conclude(found: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    """Print lines and conclusions, and write them into the page."""
    lines = fitted(found)
    words = [text for one, text in lines.values() if one.departure <= LAW]
    told = [text for batch in batches_of(options) for text in foretell(found, lines, batch, options)]
    for text in (*words, *told):
        tell(text)
    if options.write:
        shown = [text for which, (one, text) in lines.items() if which in SHOWN and one.departure <= LAW]
        pages.write_block(options.write, "scale", markdown(found, shown, told))


def gauged(parts: Sequence[str], options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """All figures of these parts, by series."""
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        records = null.flown(state([load(MISSION)]).cases[0].params)
        ready = {}
        for batch in (*SIZES, CASE_RUNS, *([WIDE] if "workers" in parts else [])):
            path = Path(folder) / f"{batch}"
            path.write_bytes(pickle.dumps(null.Ready.made(records, batch)))
            ready[batch] = str(path)
        if "runs" in parts:
            found |= over_runs(options.most, ready)
        if "cases" in parts:
            found |= over_cases(options.cases, ready)
        if "workers" in parts:
            found |= over_workers(options.workers, options.batch_seconds, ready)
    return found


def rate_of(options: argparse.Namespace) -> float:
    """Of one GPU [run/s]."""
    return ASSUMED_RATE if options.gpu_rate is None else float(options.gpu_rate)


def batches_of(options: argparse.Namespace) -> list[int]:
    """Runs of a batch to foretell for: what `execute` cuts for a GPU's two threads, and a launch, if it is less."""
    cut = min(GpuBackend.batch, max(1, int(rate_of(options) / 2 * longest(2 * options.gpus))))
    return [cut, GPU] if cut > GPU else [cut]


def foretell(
    found: dict[str, list[dict[str, Any]]],
    lines: dict[tuple[str, str], tuple[Line, str]],
    batch: int,
    options: argparse.Namespace,
) -> list[str]:
    """What the figures say of a campaign nobody has flown, if they suffice for that."""
    if not all(found.get(one) for one in ("crowd", "worker", "long")):
        return []
    told = foretold(
        costs(found, lines, batch, options.gpus), options.runs, options.gpus, rate_of(options), batch,
        psutil.virtual_memory().total,
    )  # fmt: skip
    printed({"series": "foretold", "gpu_rate_assumed": options.gpu_rate is None, **told, **origin(found)})
    return [conclusions(told, options.gpu_rate is None, batch < batches_of(options)[0])]


if __name__ == "__main__":
    sys.exit(scripting.guarded(main))
