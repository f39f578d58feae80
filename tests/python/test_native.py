"""The compiled part: found wherever mcrisk is installed, matched to its kernels and to the processor."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcrisk import backends, bench, native
from mcrisk.backends import build, cpu, ondemand
from mcrisk.errors import InfrastructureError, MistakeError
from mcrisk.schema import load_schema

V2 = frozenset(cpu.LEVELS["v2"].split())
V3 = V2 | frozenset(cpu.LEVELS["v3"].split())
V4 = V3 | frozenset(cpu.LEVELS["v4"].split())


def test_the_fastest_variant_the_processor_runs_is_chosen() -> None:
    """Levels of the x86-64 psABI."""
    assert cpu.variant_for("", V4) == "v4"
    assert cpu.variant_for("", V3) == "v3"
    assert cpu.variant_for("", V4 - {"avx512vl"}) == "v3"


def test_an_architecture_without_levels_has_one_variant() -> None:
    """aarch64 has fma in its base instruction set."""
    assert cpu.variant_for("", None) == "baseline"


def test_mcrisk_isa_forces_a_variant() -> None:
    """So that one machine can test all."""
    assert cpu.variant_for("v3", V4) == "v3"
    assert cpu.variant_for("x86-64-v4", V4) == "v4"


def test_forcing_a_variant_the_processor_lacks_names_what_is_missing() -> None:
    with pytest.raises(MistakeError) as error:
        cpu.variant_for("v4", V4 - {"avx512dq"})

    assert str(error.value) == "MCRISK_ISA=v4: this processor has no avx512dq; unset it, or use v3"


def test_an_unknown_variant_lists_the_known_ones() -> None:
    with pytest.raises(MistakeError) as error:
        cpu.variant_for("avx2", V4)

    assert str(error.value) == (
        "MCRISK_ISA: expected one of v2, v3, v4, or x86-64-v2, x86-64-v3, x86-64-v4, got 'avx2'"
    )


def test_a_processor_without_fma_gets_the_exact_and_slow_variant() -> None:
    """tests/kernels/test_portable.py shows that its emulation is exact."""
    assert cpu.variant_for("", V3 - {"fma"}) == "v2"


def test_a_processor_older_than_that_is_told_what_it_lacks() -> None:
    with pytest.raises(InfrastructureError, match="this processor has no ssse3; mcrisk needs x86-64-v2"):
        cpu.variant_for("", V3 - {"ssse3"})


def test_mcrisk_isa_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = cpu.CpuBackend().variant
    monkeypatch.setenv("MCRISK_ISA", chosen)

    assert cpu.CpuBackend().variant == chosen
    monkeypatch.setenv("MCRISK_ISA", "v9")
    with pytest.raises(MistakeError, match="MCRISK_ISA"):
        cpu.CpuBackend()


@pytest.mark.parametrize("variant", native.library_variants())
def test_every_variant_agrees_with_the_schema_on_sizes(variant: str) -> None:
    """Params, Record and Sample; loading a library runs none of its instructions beyond the baseline here."""
    backend = cpu.CpuBackend(variant)

    assert backend.real == (8 if variant == "f64" else 4)
    assert load_schema().record_dtype(backend.real) == backend.run(bytes(backend.params_bytes), 0, 0, 0).dtype


def test_params_of_another_size_are_refused() -> None:
    """The library would read past their end."""
    with pytest.raises(InfrastructureError, match=r"expected .* bytes .*, got 3"):
        cpu.CpuBackend().run(b"abc", 0, 0, 1)


def test_a_seed_that_does_not_fit_is_refused() -> None:
    """ctypes would keep its low 64 bits."""
    backend = cpu.CpuBackend()

    with pytest.raises(MistakeError, match="got 18446744073709551616"):
        backend.run(bytes(backend.params_bytes), 1 << 64, 0, 1)


def test_a_library_of_other_kernels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kernel edit without a build, or a checkout beside an older installation."""
    monkeypatch.setattr(native, "build_info", lambda: {"kernel_digest": "0" * 64})

    with pytest.raises(InfrastructureError, match=r"built from other kernels \(000000000000\).*; run ./scripts/mcrisk"):
        native.library_path("v3")


def test_the_kernel_digest_sees_every_source_and_no_prose(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(native.kernel_folder(), folder)
    before = native.kernel_digest()

    (folder / "README.md").write_text("other words")
    assert before == _digest(folder)
    header = folder / "mcrisk" / "real.h"
    header.write_text(header.read_text() + "\n")
    changed = _digest(folder)
    header.rename(folder / "mcrisk" / "reel.h")
    assert len({before, changed, _digest(folder)}) == 3


def test_what_is_built_on_demand_names_its_compiler_as_the_installation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark compares the two names, so that no compiler is measured twice."""
    monkeypatch.setattr(build, "compilers", build.compilers.__wrapped__)
    monkeypatch.delenv("CXX", raising=False)

    assert native.build_info()["compiler"] in [ondemand.name_of(command) for command in ondemand.commands()]


def test_building_on_demand_without_a_compiler_tells_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MCRISK_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "compilers", dict)
    monkeypatch.setattr(build, "compiler", lambda folder: None)
    with pytest.raises(InfrastructureError) as error:
        ondemand.commands()

    assert str(error.value) == (
        "a CPU library built on demand: expected a C++ compiler (clang, or g++ >= 11), got none; "
        "install one, or the Python package ziglang"
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo broken >&2; exit 1", "does not work; \nbroken"),
        (
            "case $* in *-dM*) printf '#define %s 1\\n' __GNUC__ __GNUC_MINOR__ __GNUC_PATCHLEVEL__;; "
            "*) echo no >&2; exit 1;; esac",
            "descend.cpp; \nno",
        ),
    ],
)
def test_a_compiler_that_fails_is_told_with_what_it_said(tmp_path: Path, script: str, message: str) -> None:
    """Asked for its version, and at work; nothing is left behind."""
    path = tmp_path / "cxx"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(InfrastructureError) as error:
        ondemand.made("counting", [str(path)], tmp_path)

    assert str(error.value).endswith(message)
    assert list(tmp_path.iterdir()) == [path]


def test_a_variant_that_was_not_built_is_told_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InfrastructureError, match=r"CPU library v9: expected one of .*; install mcrisk again"):
        native.library_path("v9")
    monkeypatch.setenv("MCRISK_ISA", "x86-64-v9")
    with pytest.raises(
        InfrastructureError, match=r"; unset MCRISK_ISA, which asks for v9, or name one that was built$"
    ):
        native.library_path("v9")


def test_the_benchmark_heeds_mcrisk_isa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ondemand, "commands", list)
    monkeypatch.setenv("MCRISK_ISA", cpu.fitting_variants()[0])
    assert [one.variant for one in bench.libraries(print)] == cpu.fitting_variants()[:1]
    monkeypatch.setenv("MCRISK_ISA", "foo")
    with pytest.raises(MistakeError, match="MCRISK_ISA: expected one of"):
        bench.libraries(print)


def test_a_compiler_that_says_nothing_is_told_with_a_remedy() -> None:
    with pytest.raises(
        InfrastructureError, match=r"^/bin/false does not work; it ended with 1 and no word; name .* CXX"
    ):
        ondemand.name_of(["/bin/false"])


def test_a_broken_library_is_refused_before_it_can_end_the_process(tmp_path: Path) -> None:
    """Bytes that are missing at the end of a mapped file are a SIGBUS where they are read."""
    whole = native.library_path(native.library_variants()[0]).read_bytes()
    path = tmp_path / "cut.so"
    for content, words in ((whole[:-1], rf"{len(whole)} bytes, got {len(whole) - 1}; install"), (b"x", "another file")):
        path.write_bytes(content)
        with pytest.raises(InfrastructureError, match=words):
            cpu.CpuBackend(path=path)
    path.write_bytes(bytearray(whole[:64]) + bytes(len(whole) - 64))
    with pytest.raises(InfrastructureError, match=r"expected a library of mcrisk, got .*; install mcrisk again"):
        cpu.CpuBackend(path=path)


def test_a_broken_library_in_the_cache_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, built = native.library_path(native.library_variants()[0]), []

    def compile_(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        built.append(shutil.copy(source, line[-1]))
        return subprocess.CompletedProcess(line, 0, "", "")

    monkeypatch.setattr(ondemand, "name_of", lambda _: "cxx 1")
    monkeypatch.setattr(ondemand.subprocess, "run", compile_)
    path = ondemand.made("counting", ["cxx"], tmp_path)
    ondemand.made("counting", ["cxx"], tmp_path)
    assert len(built) == 1
    path.unlink()  # this process has it loaded: what is written into it would be read as code
    path.write_bytes(source.read_bytes()[:5000])
    ondemand.made("counting", ["cxx"], tmp_path)

    assert len(built) == 2
    assert path.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_broken_note_of_the_build_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "build.json").write_text(content)
    monkeypatch.setattr(native, "_native_folder", lambda: tmp_path)

    with pytest.raises(InfrastructureError, match=r"build.json: expected what the build wrote down, got .*; install"):
        native.build_info.__wrapped__()


def _digest(folder: Path) -> str:
    """As the build asks for it: nothing installed."""
    command = [sys.executable, "-P", native.__file__, "--kernel-digest", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_an_unknown_backend_suggests_the_nearest_one() -> None:
    with pytest.raises(MistakeError) as error:
        backends.choose("gpus")

    assert str(error.value) == "backend: expected auto or cpu or gpu, got 'gpus'; did you mean 'gpu'?"


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_make", functools.cache(backends._make.__wrapped__))
    monkeypatch.setattr(backends, "announce", functools.cache(backends.announce.__wrapped__))
    monkeypatch.setattr(backends, "gpu_obstacle", lambda: "no CUDA device")


@pytest.mark.usefixtures("no_gpu")
def test_auto_falls_back_to_the_cpu_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Once per process, on stderr: stdout belongs to results."""
    chosen = {backends.choose(), backends.choose("auto"), backends.choose("cpu")}
    silent = capsys.readouterr()
    for name in ("auto", "cpu", "auto"):
        backends.announce(name)
    output = capsys.readouterr()

    assert silent.out == silent.err == ""
    assert [backend.name for backend in chosen] == ["cpu"]
    assert output.out == ""
    assert output.err.startswith("no CUDA device: running on the CPU (") and output.err.count("\n") == 1


@pytest.mark.usefixtures("no_gpu")
def test_asking_for_a_gpu_that_is_not_there_tells_why() -> None:
    with pytest.raises(InfrastructureError) as error:
        backends.choose("gpu")

    assert str(error.value) == (
        "backend gpu: expected a GPU that can be used, got no CUDA device; the backend cpu needs none"
    )
