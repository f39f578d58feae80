"""The formulations that the other tools fly: each is the stated work, none is handicapped by a mistake.

The tools that `bench peers` installs into an environment of their own are skipped where they are not installed.
"""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from peers import arc, environment, model, peers, steps, tools
from peers.flown import arc_params, gpu_source

from mcrisk.backends import nvrtc

SHORT = 20  # [s]
TICKS = range(10 * SHORT)


def nested(state, run):
    """Plain numbers of one run."""
    return tuple(nested(part, run) if isinstance(part, tuple) else float(part[run]) for part in state)


def flown(tool, number, rows):
    """A short arc of the model by a tool."""
    step, state, given = model.make_step(tool), model.begin(rows, number), model.runs(rows, number)
    for tick in TICKS:
        for index in range(model.COUNT):
            state = step(state, given, number(tick), number(index))
    return model.end(state)


def test_the_model_for_arrays_is_that_of_the_kernels(double):
    """The same operations in the same order but for fused ones: equal to the rounding of double precision."""
    rows = arc.starts(16)
    ours = flown(model.Tool(np.float64, np.sqrt, np.where), np.float64, rows)
    theirs = arc.Ends.of(double.fly(rows, SHORT, duration=SHORT).table()[:, 0])

    off = arc.difference(ours, theirs)

    assert off["position"].max() < 1e-9
    assert off["velocity"].max() < 1e-11
    assert off["attitude"].max() < 1e-13
    assert off["rate"].max() < 1e-15
    assert off["mass"].max() < 1e-11


def test_single_precision_of_the_model_for_arrays_is_that_of_the_kernels(single):
    """Few roundings differ (no fused operations, other order): a hundredth of what 600 s may show."""
    rows = arc.starts(16)
    ours = flown(model.Tool(np.float32, np.sqrt, np.where), np.float32, rows)
    theirs = arc.Ends.of(single.fly(rows, SHORT, duration=SHORT).table()[:, 0])

    assert arc.difference(ours, theirs)["position"].max() < 1e-3


def test_a_tile_flies_the_arc_as_one_run_at_a_time_does(single):
    """A partial tile included; the runs differ."""
    rows = arc.starts(21)
    tiles, alone = (single.fly(rows, SHORT, duration=SHORT, scalar=scalar).table() for scalar in (False, True))

    assert tiles.tobytes() == alone.tobytes()
    assert len(np.unique(tiles[:, 0, 0])) == 21


def test_the_gpu_entry_of_the_arc_has_the_bits_of_the_cpu(single, workshop):
    """arc.cu as NVRTC compiles it, its PTX executed on the CPU; ptxas spills nothing."""
    source, flags = gpu_source()
    usage = nvrtc.load().compile(source, "sm_90", flags).usage
    module = workshop.ptx_module(nvrtc.load().compile(source, "compute_90", flags).ptx)
    rows, ends = arc.starts(3), np.zeros((3, sum(arc.WIDTHS)))
    start, end = (array.ctypes.data.to_bytes(8, "little") for array in (rows, ends))
    count, ticks = (number.to_bytes(4, "little") for number in (len(rows), len(TICKS)))

    module.launch("arc", 1, 32, [arc_params(4), start, count, ticks, end])

    assert ends.tobytes() == single.fly(rows, SHORT, duration=SHORT).table()[:, 0].tobytes()
    assert usage.spill_stores == 0


def test_the_bare_step_is_second_order():
    """A quarter of the error for half the step, against an integrator of order 8 on the same equations."""
    from scipy.integrate import solve_ivp

    rows = arc.starts(1)
    given = [float(part[0]) for part in arc.push(rows)]
    start = steps.begin(rows)[:, 0]
    solved = solve_ivp(steps.make_rates(*given), (0, SHORT), start, "DOP853", rtol=1e-13, atol=1e-10).y[:, -1]
    errors = []
    for duration in (1.0, 0.5):
        step, state = steps.make_step(float, math.sqrt, duration=duration), tuple(map(float, start))
        for _ in range(round(SHORT / duration)):
            state = step(state, *given)
        errors.append(np.linalg.norm(np.array(state[:3]) - solved[:3]))

    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_states_go_to_the_turning_frame_and_back():
    """And a point at rest on the Moon moves with the Moon in the other frame."""
    rng = np.random.default_rng(1)
    site = arc.Ends.of(rng.normal(size=(5, 14)) * 1e3)
    times = np.linspace(0, 1e6, 5)

    back = arc.to_site(times, arc.to_inertial(times, site))
    rest = arc.Ends.of(np.array([[0.0] * 6 + [1.0] + [0.0] * 7] * 2))
    moved = arc.to_inertial(np.array([0.0, 1.0]), rest)

    np.testing.assert_allclose(back.table(), site.table(), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(moved.position[1] - moved.position[0], moved.velocity.mean(axis=0), atol=1e-5)
    assert np.linalg.norm(moved.velocity[0]) == pytest.approx(
        arc.RATE * arc.RADIUS * math.sqrt(1 - arc.POLE_S[2] ** 2), rel=1e-9
    )


@pytest.mark.parametrize("work", ["equations", "model"])
@pytest.mark.parametrize("tool", ["numpy", "numba", "jax"])
def test_every_array_tool_flies_the_same_work(monkeypatch, tool, work):
    """20 s by each tool agree, within single precision, with the same step on numbers of double precision."""
    pytest.importorskip(tool)
    monkeypatch.setattr(arc, "STEPS", 20 * SHORT)
    monkeypatch.setattr(tools, "BATCHES", (16,))
    ready = getattr(tools, f"by_{tool}")(work)
    rows = arc.starts(1)
    if work == "equations":
        step, state = steps.make_step(float, math.sqrt), nested(tuple(steps.begin(rows)), 0)
        for _ in range(arc.STEPS):
            state = step(state, *(float(part[0]) for part in arc.push(rows)))
        expected = steps.end([[part] for part in state])
    else:
        expected = flown(model.Tool(np.float64, np.sqrt, np.where), np.float64, rows)

    ends = arc.Ends.of(ready.ends().table()[:1])

    # plain sums of positions near 400 km round to 0.03 m; the model's sums are compensated
    assert arc.difference(ends, expected)["position"][0] < (2.0 if work == "equations" else 2e-3)


def test_a_tool_that_is_not_there_is_told_and_left_out(tmp_path, monkeypatch):
    """A worker answers why it cannot fly, and ends; this cupy can be imported nowhere."""
    (tmp_path / "cupy.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = peers.Worker(Path(sys.executable), "cupy")
    worker.close()

    assert worker.missing == "ImportError: not here"


@pytest.mark.parametrize("ends", [False, True])
def test_a_tool_may_say_much_and_what_it_said_last_is_told_when_it_ends(tmp_path, monkeypatch, ends):
    """A megabyte, sixteen times what a pipe holds."""
    end = "sys.exit('out of luck')" if ends else "print('{\"once\": 1}', flush=True)"
    (tmp_path / "worker.py").write_text(f"import sys\nsys.stderr.write('x' * 2**20)\n{end}\n")
    monkeypatch.setattr(peers, "HERE", tmp_path)
    worker = peers.Worker(Path(sys.executable), "numpy")
    if ends:
        assert worker.missing.startswith("ended with 1: xxx") and worker.missing.endswith("out of luck")
    else:
        assert worker.facts == {"once": 1}
        with pytest.raises(ChildProcessError, match="numpy: ended with 0: xxx"):
            worker.fly(1.0)
    worker.close()


def test_the_best_way_is_not_chosen_by_two_calls(monkeypatch):
    """A machine that others use slows two calls of the faster one down; many more fit into 0.2 s."""
    times = {"slow": iter([0.011] * 99), "fast": iter([0.02, 0.02, *[0.01] * 99])}
    monkeypatch.setattr(tools, "_time", lambda way: next(times[way()]))

    assert tools.best({name: lambda name=name: name for name in times}, lambda _: 1.0) == "fast"


def test_a_peer_that_cannot_be_installed_is_told_and_left_out(tmp_path, monkeypatch):
    """pip refuses a path that is not there; the environment is made all the same, and finds mcrisk."""
    monkeypatch.setenv("MCRISK_PEERS_VENV", str(tmp_path / "venv"))
    monkeypatch.setattr(environment, "PEERS", {str(tmp_path / "nothing"): "no_such_module"})
    other = tmp_path / "venv/bin/python"
    other.parent.mkdir(parents=True)
    other.write_text("#!/bin/sh\necho cpython-27\n")  # of another Python: it is made anew
    other.chmod(0o755)
    (tmp_path / "venv/pyvenv.cfg").touch()
    told = []

    python = environment.made(False, told.append)

    assert [line for line in told if "nothing left out: it cannot be installed here" in line]
    assert environment._asked(python, "import mcrisk; print(mcrisk.__name__)") == "mcrisk"


def test_only_what_the_chosen_ways_need_is_installed(tmp_path, monkeypatch):
    """The chosen ones and mcrisk: NumPy is there already."""
    monkeypatch.setenv("MCRISK_PEERS_VENV", str(tmp_path / "venv"))
    told = []
    monkeypatch.setattr(environment, "_absent", lambda python, wanted: told.extend(wanted) or [])
    ways = [tools.WAYS[name] for name in peers.chosen(["numpy", "jax"], gpu=True)]

    environment.made(any(way.gpu for way in ways), lambda text: None, {one for way in ways for one in way.packages})

    assert told == ["jax"]
    assert peers.chosen(None, gpu=True) == list(tools.WAYS)


def test_the_page_shows_ratio_goal_and_distance():
    """The block of the README from two lines as `measure` gives them."""
    facts = {"device": "X", "date": "2026-01-01", "versions": {"mcrisk": "1"}, "kernel_digest": "0" * 64, "rounds": 3}
    base = {"work": "model", "how": "tiles", "goal": None, "core_share": 0.99, "spread": {}, **facts}
    lines = [
        base | {"peer": "mcrisk", "tool": "mcrisk", "runs_per_s": 5000.0, "position_error_m": 0.065},
        base
        | {"peer": "jax", "tool": "JAX", "runs_per_s": 1250.0, "goal": 8, "ratio_to_mcrisk": 4.0}
        | {"spread": {"ratio_to_mcrisk": [3.9, 4.1]}},
    ]
    agreed = [
        {"agreement": "bsk 1", "build": "g++", "step_s": 0.05, "time_s": time, "position_m": 0.06, "velocity_m_s": 1e-4}
        for time in peers.TIMES
    ]

    text = peers.markdown(lines, agreed, "bench peers")
    page = (peers.HERE / "README.md").read_text()

    assert "| model | mcrisk | tiles | 5 000 | - | - | 0.065 m |" in text
    assert "| model | JAX | tiles | 1 250 | 4 (3.9 to 4.1) | 8 | - |" in text
    assert "| g++ | 0.05 s | 60 mm, 0.1 mm/s |" in text
    assert "missed where the ratio is lower" in text
    assert text.partition("position off by")[2].partition("\n")[0] in page, "the page is as it is written"
