"""The script for a machine with a GPU, rehearsed without one: the CPU library stands in for the kernels."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import check_on_gpu
import gpu_speed
import pytest
from fake_cupy import CpuKernels, FakeCupy
from workshop import missions

from mcrisk.backends import gpu, nvrtc
from mcrisk.backends.cpu import CpuBackend
from mcrisk.errors import MistakeError

NAMES = ("generic_small", "hakuto_r_m2_as_designed")


@pytest.fixture
def rehearse(monkeypatch, tmp_path):
    """rehearse(*arguments): exit status and report. What needs other processes is left out."""
    monkeypatch.setitem(sys.modules, "cupy", fake := FakeCupy(CpuKernels()))
    fake.__version__ = "14"
    monkeypatch.setattr(gpu, "absence", lambda: None)
    monkeypatch.setattr(check_on_gpu, "gpu_obstacle", lambda: None)
    usage = nvrtc.Usage(160, 1300, 0, 0)
    monkeypatch.setattr(nvrtc, "cached_cubin", lambda *_: (tmp_path / "none.cubin", usage))
    monkeypatch.setattr(fake, "kernel", kernel_of(fake))
    monkeypatch.setattr(check_on_gpu, "missions", lambda: {name: missions()[name] for name in NAMES})
    monkeypatch.setattr(gpu_speed, "starts", lambda params: {"cold_s": 1.0, "warm_s": 0.5})
    monkeypatch.setattr(gpu_speed, "end_to_end", lambda name, runs: {"mission": name, "runs": runs})
    monkeypatch.setattr(check_on_gpu, "sanitizer", lambda params, check: {"check": check, "returncode": 0})
    monkeypatch.setattr(check_on_gpu, "tests", lambda: {"returncode": 0})

    def run(*arguments: str) -> tuple[int, dict]:
        out = tmp_path / "gpu-check.json"
        status = check_on_gpu.main(["--out", str(out), "--most", "512", "--runs", "48", *arguments])
        return status, json.loads(out.read_text())

    return run


def kernel_of(fake: FakeCupy):
    """Kernels that also have what a loaded function tells of itself."""
    launch_of = fake.kernel

    def kernel(name: str):
        launch = launch_of(name)
        launch.num_regs, launch.local_size_bytes = 160, 1300
        return launch

    return kernel


def test_the_report_holds_every_step(rehearse, monkeypatch):
    """Speed of each mission, variants, sums, bits: what a session on a GPU brings home."""
    monkeypatch.setattr(gpu_speed, "SMALL", 2)  # 256 of them share grids
    status, report = rehearse()

    assert status == 0
    assert report["ok"] and report["complete"]
    assert [row["mission"] for row in report["speed"]] == list(NAMES)
    for row in report["speed"]:
        assert min(row["kernel_s"]) > 0
        assert row["flop_per_descent"] > 1e7
    assert [row["blocks"] for row in report["variants"]] == list(gpu_speed.BLOCKS)
    assert [(row["pieces"], row["runs"]) for row in report["sums"]] == [(1, 512), (1, 2), (32, 64), (256, 512)]
    assert all(row["right"] for row in report["sums"])
    assert [(row["runs"], row["difference"]) for row in report["bits"]] == [(48, ""), (48, "")]
    assert [(row["runs"], row["difference"]) for row in report["hills"]] == [(48, ""), (48, "")]
    assert sum(sum(row["outcomes"].values()) for row in report["bits"]) == 96
    assert {"date", "device", "kernel_digest", "starts", "end_to_end", "sanitizer", "tests"} <= report.keys()


def test_a_wrong_bit_fails_the_check(rehearse, monkeypatch):
    """One record of one run."""
    honest = CpuBackend().run

    def one_off(params: bytes, seed: int, first: int, count: int):
        records = honest(params, seed, first, count)
        records["tilt"][3] += 1e-7
        return records

    monkeypatch.setattr(check_on_gpu, "cpu_fly", lambda: one_off)
    status, report = rehearse()

    assert status == 1
    assert not report["ok"]
    assert "1 of 48 runs differ, first run 3: tilt" in report["bits"][0]["difference"]


def test_time_that_is_over_leaves_a_whole_report_of_what_was_done(rehearse, monkeypatch):
    """No step is begun any more; what is missing is not called complete."""
    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr(check_on_gpu, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    status, report = rehearse("--seconds", "200")

    assert status == 1
    assert not report["complete"]
    assert report["ok"]  # as far as it went
    assert "starts" in report
    assert "bits" not in report


@pytest.mark.parametrize("step", ["variants", "bundles", "sanitizer"])
def test_a_step_that_fails_is_told_and_the_next_is_tried(rehearse, monkeypatch, step):
    """A session on a GPU is short: one mistake must not cost the rest, nor may it pass for right."""
    name = {"bundles": "sums"}.get(step, step)
    monkeypatch.setattr(check_on_gpu if step == "sanitizer" else gpu_speed, step, lambda *_: 1 / 0)
    status, report = rehearse()

    assert status == 1
    assert report[name] == {"failed": "ZeroDivisionError: division by zero"}
    assert report["complete"] and not report["ok"]


def test_the_last_step_may_use_up_the_time(rehearse, monkeypatch):
    """The verdict is no step: what is whole and right is told as such."""
    honest, now = check_on_gpu.compare, [0.0]

    def slow(*given: object) -> object:
        now[0] = 1000.0
        return honest(*given[:-1], 1e9)

    monkeypatch.setattr(check_on_gpu, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(check_on_gpu, "compare", slow)
    status, report = rehearse("--seconds", "200")

    assert status == 0
    assert report["ok"] and report["complete"]


def test_the_help_of_the_script_tells_the_defaults():
    """It is printed before anything is installed."""
    told = (check_on_gpu.ROOT / "scripts/gpu_check").read_text()
    defaults = vars(check_on_gpu.options().parse_args([]))

    for name in ("out", "runs", "most", "seconds"):
        shown = defaults[name] if not isinstance(defaults[name], float) else f"{defaults[name]:g}"
        assert re.search(rf"^#   --{name} .*\({re.escape(str(shown))}\)$", told, re.MULTILINE)


def test_without_a_driver_that_is_said(monkeypatch, tmp_path, capsys):
    """As mcrisk says it, not as an error of cupy."""
    monkeypatch.setattr(check_on_gpu, "gpu_obstacle", lambda: "no NVIDIA driver (libcuda.so.1 not found)")
    monkeypatch.setattr(check_on_gpu, "missions", dict)

    assert check_on_gpu.main(["--out", str(tmp_path / "gpu-check.json")]) == 1
    assert 'absence: "no NVIDIA driver (libcuda.so.1 not found)"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "none/report"], "--out none/report: expected a file to write to, got none; choose another --out"),
        (["--out", "."], "--out .: expected a file to write to, got none; choose another --out"),
        (["--pack", "there/folder"], "--pack there/folder: expected a folder to write to, got not a directory; choose"),
        (
            ["--params", "none"],
            "--params none: expected files that --pack wrote, got none; write them anew with --pack",
        ),
        (["--params", "short"], "short/a.params: expected "),
    ],
)
def test_files_that_cannot_be_are_refused_before_anything_is_done(monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check_on_gpu, "gpu_obstacle", lambda: pytest.fail("the device was touched"))
    (tmp_path / "there").touch()
    (tmp_path / "short").mkdir()
    (tmp_path / "short/a.params").write_bytes(b"abc")
    with pytest.raises(MistakeError) as refusal:
        check_on_gpu.main(arguments)

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize("option", ["--runs", "--most", "--seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "much"])
def test_numbers_that_cannot_be_are_refused(capsys, option, value):
    with pytest.raises(SystemExit) as refusal:
        check_on_gpu.main([f"{option}={value}"])

    assert refusal.value.code == 2
    assert f"number above zero, got '{value}'" in capsys.readouterr().err


def test_a_named_python_that_does_not_work_is_told(tmp_path):
    script = Path(__file__).parents[2] / "scripts/gpu_check"
    named = os.environ | {"MCRISK_PYTHON": str(tmp_path / "python")}
    done = subprocess.run([script], env=named, capture_output=True, text=True)

    assert done.returncode == 4
    assert done.stderr.startswith(f"mcrisk: MCRISK_PYTHON={tmp_path}/python is no Python >= 3.11 with numpy: ")
    assert done.stderr.count("\n") == 1
