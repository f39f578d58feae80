"""mcrisk.coldstart: figures of fresh processes, and what the way to the first descents does without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcrisk import coldstart
from mcrisk.errors import InfrastructureError

HEAVY = ("dask", "distributed", "h5py", "pandas", "rich", "scipy", "xarray")


def test_figures_are_ready_for_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a median with its least and greatest; numpy is taken off all others."""
    seconds = iter([(0.1, 0.1), (9.0, 9.0), *((0.1 + 0.01 * n, 0.2) if n % 2 == 0 else (0.5, 0.7) for n in range(6))])
    monkeypatch.setattr(coldstart, "STEPS", {"numpy": "", "fly": ""})
    monkeypatch.setattr(coldstart, "_timed", lambda name, code, bytecode: next(seconds))

    told = json.loads(json.dumps(coldstart.cold_start(3)))

    assert told["steps"]["numpy"]["seconds"] == {"median": 0.12, "least": 0.1, "greatest": 0.14}
    assert told["steps"]["fly"]["seconds"]["median"] == pytest.approx(0.38)
    assert told["steps"]["fly"]["processor_seconds"]["median"] == pytest.approx(0.5)
    assert (told["rounds"], told["runs"]) == (3, 1000)


def test_each_step_runs_in_a_fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each notes its number; once, and modules are compiled already."""
    monkeypatch.setattr(coldstart, "WARM_UP", 0)
    timed, notes = coldstart._timed, tmp_path / "numbers"
    note = f"import os; open({str(notes)!r}, 'a').write(f'{{os.getpid()}} ')\n"
    monkeypatch.setattr(coldstart, "_timed", lambda name, code, bytecode: timed(name, note + code, ""))
    told = coldstart.cold_start(1, runs=16, mission="generic_small")

    assert len({os.getpid(), *map(int, notes.read_text().split())}) == 1 + len(coldstart.STEPS)
    assert list(told["steps"]) == ["numpy", "state", "fly", "dataset", "command"]
    assert all(told["steps"]["numpy"][kind]["least"] > 0 for kind in ("seconds", "processor_seconds"))


def test_a_step_that_fails_is_told() -> None:
    with pytest.raises(InfrastructureError, match=r"cold start: state failed(.|\n)*no mission"):
        coldstart.cold_start(1, mission="nowhere")


def test_the_first_descents_need_no_heavy_package() -> None:
    """They take longer to import than the design, the packing and half of the flying."""
    code = coldstart.STEPS["fly"].format(runs=16, mission="generic_small")
    code += f"\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
