"""bench peers: how much faster mcrisk is than other tools at the same work, and how well it agrees with Basilisk.

The work is the powered arc of arc.py. Array tools fly it twice: the bare equations, which are the least that the arc
asks for (steps.py), and the model, which is all that mcrisk computes in a truth step (model.py). Beside that stands
Monte Carlo as each tool offers it. All in turn on one core; each rate is taken against a rate of mcrisk measured just
before it; figures are medians over the rounds, beside the least and the greatest, in processor time. Prints one line of
JSON for each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import arc, environment, tools

from mcrisk import bench, pages, scripting

HERE = Path(__file__).parent
TIMES = (60, 300, 600)  # [s] of the arc at which agreement is shown
EVERY = 60  # [s] between rows of the stored table
TAIL = 500  # characters told of what a tool said before it ended
Flown = dict[str, dict[str, float]]  # runs, processor and wall time [s] of a way and of those it is compared with
BESIDE = {"ratio_to_mcrisk": "arcs", "ratio_to_mcrisk_campaign": "campaigns"}
HEADER = ("work", "tool", "how", "runs/s", "mcrisk is faster by", "goal", "position off by")


class Worker:
    """A way in a process of its own."""

    def __init__(self, python: Path, name: str) -> None:
        self.name, self.way = name, tools.WAYS[name]
        line = [str(python), "-P", str(HERE / "worker.py"), name, "gpu" if self.way.gpu else "cpu"]
        # No pipe: a tool that says much would wait for a reader.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, bufsize=1
        )
        self.facts: dict[str, Any] = self._answer()
        self.missing: str = self.facts.get("missing", "")

    def fly(self, seconds: float) -> dict[str, float]:
        """Fly for about so long: runs, processor time and wall time [s]."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it ended, which its answer tells
            print(max(round(seconds / self.facts["once"]), 1), file=self._process.stdin, flush=True)
        answer = self._answer()
        if "missing" in answer:
            raise ChildProcessError(f"{self.name}: {answer['missing']}")
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)  # type: ignore[no-any-return]
        code = self._process.wait()
        self._said.seek(0)
        last = self._said.read()[-TAIL:].decode(errors="replace").strip()
        return {"missing": f"ended with {code}{f': {last}' if last else ''}"}

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._said.close()


def tell(text: str) -> None:
    """A line for the reader."""
    print(f"mcrisk: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def started(python: Path, names: Sequence[str]) -> Iterator[dict[str, Worker]]:
    """The workers of the ways that can fly; the others are told."""
    workers: dict[str, Worker] = {}
    try:
        for name in names:
            tell(f"preparing {name}")
            workers[name] = Worker(python, name)
            if missing := workers[name].missing:
                tell(f"{name} left out: {missing}")
                workers.pop(name).close()
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def measure(workers: dict[str, Worker], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """One line for each way: rates, and mcrisk's rate over them, round by round."""
    series: dict[str, list[Flown]] = {name: [] for name in workers}
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for name, worker in workers.items():
            rivals = () if name.startswith("mcrisk") else worker.way.rivals
            before = {rival: workers[rival].fly(seconds / 2) for rival in rivals if rival in workers}
            series[name].append(before | {name: worker.fly(seconds)})
    return [line(workers[name], rounds_flown) for name, rounds_flown in series.items()]


def line(worker: Worker, rounds: Sequence[Flown]) -> dict[str, Any]:
    """The figures of one way."""
    way, name = worker.way, worker.name
    clock = "wall" if way.gpu else "cpu"

    def rates(which: str, clock: str) -> list[float]:
        return [flown[which]["runs"] / max(flown[which][clock], 1e-9) for flown in rounds]

    def over(rival: str, clock: str) -> list[float]:
        return [a / b for a, b in zip(rates(rival, clock), rates(name, clock), strict=True)]

    figures = {"runs_per_s": rates(name, clock)}
    for rival in rounds[0]:
        if rival != name:
            figures[f"{rival}_runs_per_s"] = rates(rival, clock)
            figures[f"ratio_to_{rival}"] = over(rival, clock)
            figures[f"wall_ratio_to_{rival}"] = over(rival, "wall")
    facts = bench.facts()
    facts["versions"] |= worker.facts["versions"]
    if way.gpu:
        facts["device"] = card()
    errors = {key: bench.rounded(value) for key, value in worker.facts.items() if "_error_" in key}
    share = min(flown[name]["cpu"] / flown[name]["wall"] for flown in rounds)
    return {
        "peer": worker.name, "tool": way.title, "work": way.work, "how": worker.facts["how"], "goal": way.goal,
        **bench.medians(figures), **errors, "core_share": bench.rounded(share), **facts,
    }  # fmt: skip


def card() -> str:
    """The name of the first GPU."""
    line = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or ["GPU"])[0]


def agreement(python: Path) -> list[dict[str, Any]]:
    """How far mcrisk's states lie from those of Basilisk, flown now or, where that is not installed, as stored."""
    from peers.flown import ArcLibrary

    facts, table = reference(python)
    rows = arc.starts(1)
    lines = []
    single, double = ArcLibrary(), ArcLibrary("f64")
    for library, steps in ((single, 2), (double, 2), (double, 4), (double, 8)):
        ends = arc.Ends.of(library.fly(rows, EVERY, steps).table()[0])
        off = arc.difference(ends, table)
        for time in TIMES:
            place = time // EVERY - 1
            lines.append(
                {
                    "agreement": facts, "build": library.build, "step_s": 0.1 / steps, "time_s": time,
                    "position_m": bench.rounded(off["position"][place]),
                    "velocity_m_s": bench.rounded(off["velocity"][place]),
                    "attitude_rad": bench.rounded(off["attitude"][place]),
                    "mass_kg": bench.rounded(off["mass"][place]),
                }
            )  # fmt: skip
    return lines


def reference(python: Path) -> tuple[str, arc.Ends]:
    """Basilisk's states at every minute of run 0, and where they come from."""
    text = (
        f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); import json; from importlib.metadata import version; "
        f"from peers import arc, basilisk; ends = basilisk.fly(arc.starts(1)[0], {float(EVERY)}); "
        "print(json.dumps(['bsk ' + version('bsk'), ends.table().tolist()]))"
    )
    done = subprocess.run([str(python), "-P", "-c", text], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        name, rows = json.loads(done.stdout.splitlines()[-1])
        return name, arc.Ends.of(rows)
    tell("Basilisk left out: agreement is with the stored table")
    facts, _, ends = tools.stored()
    return f"stored table of {facts['tool']}", ends


def store(python: Path) -> None:
    """Write the table that the tests compare with."""
    name, ends = reference(python)
    rows = [[float(EVERY * (number + 1)), *row] for number, row in enumerate(ends.table().tolist())]
    columns = "time s, position_S m, velocity_S m/s, q_BS w first, omega_BN_B rad/s, mass kg"
    body = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    head = json.dumps({"tool": name, "integrator": "RK4, 0.05 s", "columns": columns})[1:-1]
    tools.TABLE.write_text(f'{{\n  {head},\n  "rows": [\n{body}\n  ]\n}}\n')


def markdown(lines: Sequence[dict[str, Any]], agreed: Sequence[dict[str, Any]], command: str) -> str:
    """The block of README.md beside this file."""
    one = lines[0]
    versions = dict(pair for each in lines for pair in each["versions"].items())
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    share = 100 * min(each["core_share"] for each in lines if each["work"] != "campaign" and not on_gpu(each))
    text = (
        f"One core of {one['device']}, {one['date']}, by `{command}`; {told}, kernels {one['kernel_digest'][:8]}. "
        f"Median (least to greatest) of {one['rounds']} interleaved rounds in processor time; the core was ours for "
        f"{share:.0f} % of the time. `position off by` is the distance from Basilisk after 600 s. `goal` is how "
        "many times faster mcrisk aims to be, missed where the ratio is lower. A row `beside its arcs` compares a "
        "tool's campaign with this arc flown by mcrisk instead of mcrisk's campaign: the same physics in both."
    )
    cards = sorted({each["device"] for each in lines if on_gpu(each)})
    text += f" Rows with GPU: {', '.join(cards)}, in wall time." if cards else ""
    table = [HEADER, ("---",) * len(HEADER), *(cells for each in lines for cells in rows(each))]
    columns = ("mcrisk", "step", *(f"after {time} s" for time in TIMES))
    residuals = [columns, ("---",) * len(columns)]
    for start in range(0, len(agreed), len(TIMES)):
        group = agreed[start : start + len(TIMES)]
        cells = [f"{1000 * each['position_m']:.2g} mm, {1000 * each['velocity_m_s']:.2g} mm/s" for each in group]
        residuals.append((group[0]["build"], f"{group[0]['step_s']:g} s", *cells))
    name = agreed[0]["agreement"] if agreed else ""
    parts = [text, "", *map(pipes, table)]
    if agreed:
        parts += ["", f"Distance of position and velocity from {name}:", "", *map(pipes, residuals)]
    return "\n".join(parts)


def on_gpu(answer: dict[str, Any]) -> bool:
    """Whether a line is of a way on a GPU."""
    return tools.WAYS[answer["peer"]].gpu


def pipes(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def rows(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table that `HEADER` heads: one for each way of mcrisk that the tool is compared with."""
    off = f"{answer['position_error_m']:.2g} m" if answer.get("position_error_m") else "-"
    work = f"{answer['work']}, GPU" if on_gpu(answer) else answer["work"]
    told = [work, answer["tool"], answer["how"], digits(answer["runs_per_s"])]
    ratios = [key for key in answer if key.startswith("ratio_to_")]
    if not ratios:
        return [(*told, "-", "-", off)]
    lines = []
    for number, key in enumerate(ratios):
        low, high = answer["spread"][key]
        beside = f" beside its {BESIDE[key]}" if number else ""
        goal = f"{answer['goal']:g}" if answer["goal"] and not number else "-"
        lines.append((*told, f"{digits(answer[key])} ({digits(low)} to {digits(high)}){beside}", goal, off))
    return lines


def digits(value: float) -> str:
    """Three significant digits without a power of ten."""
    return f"{float(f'{value:.3g}'):,g}".replace(",", " ")


def chosen(only: Sequence[str] | None, gpu: bool) -> list[str]:
    """The ways that fly: all, or these and the ways of mcrisk that they are compared with.

    >>> chosen(["numpy"], gpu=True)
    ['mcrisk', 'numpy']
    """
    rivals = {rival for name in only or () for rival in tools.WAYS[name].rivals}
    names = [name for name, way in tools.WAYS.items() if gpu or not way.gpu]
    return [name for name in names if not only or name in rivals or name in only]


def main() -> None:
    only = f"these and mcrisk alone: {', '.join(tools.WAYS)}; to install all of them takes 1.2 GB"
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description=__doc__)
    parser.add_argument("--rounds", type=scripting.count, default=7, help="in which all fly in turn (%(default)s)")
    parser.add_argument(
        "--seconds", type=scripting.above_zero, default=2.0, help="spent on each tool in each round (%(default)s)"
    )
    parser.add_argument("--only", nargs="+", choices=list(tools.WAYS), metavar="NAME", help=only)
    parser.add_argument(
        "--write", type=Path, nargs="?", const=HERE / "README.md", metavar="PAGE.md",
        help="put the tables into this page, between its peers marks (tests/peers/README.md)",
    )  # fmt: skip
    parser.add_argument("--store", action="store_true", help="write Basilisk's states anew to the table of the tests")
    options = parser.parse_args()
    if options.write:
        pages.check(options.write, "peers")
    gpu = shutil.which("nvidia-smi") is not None
    if not gpu:
        tell("no GPU found (nvidia-smi): the ways on a GPU are left out")
    names = chosen(options.only, gpu)
    ways = [tools.WAYS[name] for name in names]
    python = environment.made(
        any(way.gpu for way in ways), tell, {"bsk"} if options.store else {one for way in ways for one in way.packages}
    )
    if options.store:
        store(python)
        return
    agreed = agreement(python)
    for each in agreed:
        print(json.dumps(each), flush=True)
    with started(python, names) as workers:
        lines = measure(workers, options.rounds, options.seconds)
    for each in lines:
        print(json.dumps(each), flush=True)
    if options.write:
        pages.write_block(options.write, "peers", markdown(lines, agreed, "scripts/bench peers --write"))


if __name__ == "__main__":
    sys.exit(scripting.guarded(main))
