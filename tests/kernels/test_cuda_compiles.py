"""The GPU kernel compiles without a GPU, within its registers."""

from __future__ import annotations

import itertools

import pytest

from mcrisk.backends import nvrtc
from mcrisk.errors import InfrastructureError
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema

REGISTERS_MAX = 168  # [] per thread: three blocks of 128 threads on each multiprocessor


def options() -> list[str]:
    """What gpu.py hands to NVRTC."""
    return [f"-DMCR_PARAMS_BYTES={load_schema().params_bytes(4)}"]


SLOW = [
    pytest.param(architecture, several, marks=pytest.mark.slow)
    for architecture, several in (("sm_80", True), *itertools.product(("sm_100", "sm_120"), (False, True)))
]


@pytest.mark.parametrize(("architecture", "several"), [("sm_80", False), ("sm_90", False), ("sm_90", True), *SLOW])
def test_the_kernels_fit_the_registers_of_every_gpu(architecture, several, monkeypatch, tmp_path_factory):
    """From the ptxas lines of the NVRTC log: Ampere, Hopper, Blackwell, consumer Blackwell; one case and several."""
    monkeypatch.setenv("MCRISK_CACHE", str(tmp_path_factory.mktemp("cache")))
    cubin, usage = nvrtc.cached_cubin(
        nvrtc.read_source(kernel_folder()), architecture, [*options(), *["-DMCR_SEVERAL"] * several]
    )

    assert cubin.read_bytes().startswith(b"\x7fELF")
    assert usage.registers <= REGISTERS_MAX
    assert usage.spill_stores == 0
    assert usage.spill_loads == 0


def test_a_wrong_layout_fails_the_build_in_words():
    """The static_assert closes the loop between the schema reader and the compiler."""
    with pytest.raises(InfrastructureError, match=r"layout of Params differs from what schema\.py read"):
        nvrtc.load().compile(nvrtc.read_source(kernel_folder()), "compute_90", ["-DMCR_PARAMS_BYTES=4"])


def test_any_change_of_a_header_is_a_new_kernel(tmp_path, monkeypatch):
    """The cache key covers the text of every header; a damaged file is compiled again."""
    monkeypatch.setenv("MCRISK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mcrisk").mkdir()
    (tmp_path / "mcrisk/inner.h").write_text("constexpr int value = 1;\n")
    (tmp_path / "mcrisk/outer.h").write_text('#include "inner.h"\n')
    (tmp_path / "descend.cu").write_text('#include "mcrisk/outer.h"\n__global__ void k(int* p) { *p = value; }\n')
    first, usage = nvrtc.cached_cubin(nvrtc.read_source(tmp_path), "sm_90")
    again, _ = nvrtc.cached_cubin(nvrtc.read_source(tmp_path), "sm_90")
    other, _ = nvrtc.cached_cubin(nvrtc.read_source(tmp_path), "sm_80")
    image = first.read_bytes()
    first.write_bytes(image[:100])
    healed, _ = nvrtc.cached_cubin(nvrtc.read_source(tmp_path), "sm_90")
    (tmp_path / "mcrisk/inner.h").write_text("constexpr int value = 2;\n")
    changed, _ = nvrtc.cached_cubin(nvrtc.read_source(tmp_path), "sm_90")

    assert first == again == healed
    assert image == healed.read_bytes()
    assert len({first, other, changed}) == 3
    assert usage.registers > 0
    assert first.parent.stat().st_mode & 0o777 == 0o700


def test_a_kernel_folder_that_others_can_write_is_refused(tmp_path, monkeypatch):
    """Code is loaded from it."""
    monkeypatch.setenv("MCRISK_CACHE", str(tmp_path))
    nvrtc.cache_folder().chmod(0o777)

    with pytest.raises(InfrastructureError, match="owned and writable by you alone"):
        nvrtc.cache_folder()


def test_a_compiler_error_has_a_headline(tmp_path):
    """The first error of the log, then the log."""
    (tmp_path / "descend.cu").write_text("__global__ void k() { nonsense(); }\n")
    with pytest.raises(InfrastructureError, match=r"NVRTC failed for sm_90: descend.cu\(1\): error: identifier"):
        nvrtc.load().compile(nvrtc.read_source(tmp_path), "sm_90")


def test_a_missing_header_is_named(tmp_path):
    """With the file that asks for it."""
    (tmp_path / "descend.cu").write_text('#include "mcrisk/nowhere.h"\n')
    with pytest.raises(InfrastructureError, match=r"header 'mcrisk/nowhere.h' not found"):
        nvrtc.read_source(tmp_path)
