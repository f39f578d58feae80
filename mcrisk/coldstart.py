"""Cold start: what a fresh process takes until a thousand descents are flown, and until their results are there.

Each figure is the median over fresh processes, with the least and the greatest, in time and in processor time; a round
that is not counted compiles the modules and brings the files into the disk cache. `import numpy` alone is measured in
turn, and taken off.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mcrisk.errors import InfrastructureError

__all__ = ["STEPS", "cold_start"]

RUNS = 1000
MISSION = "blue_ghost_m1"
WARM_UP = 1  # rounds that are not counted

# By name, what the process does. `fly` ends when the sums of all descents are in hand, `dataset` with what `mcrisk.run`
# returns, `command` is the whole of `mcrisk run` with its files.
STEPS = {
    "numpy": "import numpy",
    "state": "from mcrisk.campaign import state; from mcrisk.mission import load; state([load({mission!r})])",
    "fly": (
        "from mcrisk.backends import choose; from mcrisk.campaign import state; from mcrisk.execute import execute\n"
        "from mcrisk.mission import load\n"
        "flown = execute(state([load({mission!r})]), {runs}, choose('cpu'))\n"
        "assert flown.tally(0).runs == {runs}"
    ),
    "dataset": "import mcrisk; assert mcrisk.run({mission!r}, runs={runs}, backend='cpu')['runs'] == {runs}",
    "command": (
        "import sys; from mcrisk.entry import main\n"
        "sys.argv[1:] = ['run', {mission!r}, '--runs', '{runs}', '--backend', 'cpu', '--out', 'out']\n"
        "sys.exit(main())"
    ),
}


def cold_start(rounds: int = 5, runs: int = RUNS, mission: str = MISSION) -> dict[str, Any]:
    """Figures of `rounds` rounds, ready for JSON: for each step [s] beyond `import numpy`, which is told by itself.

    steps: by name, `seconds` and `processor_seconds` as median, least and greatest. The processor time does not tell
    what waits, but bears a machine that others use, too.
    """
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in STEPS}
    with tempfile.TemporaryDirectory() as bytecode:
        for number in range(WARM_UP + rounds):
            for name, code in STEPS.items():
                one = _timed(name, code.format(runs=runs, mission=mission), bytecode)
                if number >= WARM_UP:
                    seen[name].append(one)
    bare = [_median([one[kind] for one in seen["numpy"]]) for kind in (0, 1)]
    steps = {}
    for name, values in seen.items():
        less = (0.0, 0.0) if name == "numpy" else bare
        steps[name] = {
            unit: _spread([one[kind] - less[kind] for one in values])
            for kind, unit in enumerate(("seconds", "processor_seconds"))
        }
    return {"mission": mission, "runs": runs, "rounds": rounds, "steps": steps}


def _timed(name: str, code: str, bytecode: str) -> tuple[float, float]:
    """Time and processor time [s] of a fresh interpreter that does this, in an empty folder.

    bytecode: where modules are kept compiled, also where the user's environment keeps Python from it; "" beside
    them, as always.
    """
    environment = {**os.environ} | ({"PYTHONPYCACHEPREFIX": bytecode} if bytecode else {})
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.py"
        path.write_text(code)
        before, begun = _children(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(path)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        elapsed, used = time.perf_counter() - begun, _children() - before
    if done.returncode != 0:
        raise InfrastructureError(f"cold start: {name} failed", remedy=f"\n{done.stderr.strip()[-2000:]}")
    return elapsed, used


def _children() -> float:
    """Processor time [s] of the processes that this one waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": _median(values), "least": round(min(values), 4), "greatest": round(max(values), 4)}


def _median(values: list[float]) -> float:
    ordered, middle = sorted(values), len(values) // 2
    return round(ordered[middle] if len(values) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle]), 4)
