"""The GPU kernel compiles without a GPU, within its registers and the instructions recorded."""

from __future__ import annotations

import doctest
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sass

from mcrisk.backends import gpu, nvrtc
from mcrisk.errors import InfrastructureError
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_120")  # Ampere, Hopper, Blackwell, consumer Blackwell
REGISTERS_MAX = 168  # [] per thread: three blocks of 128 threads on each multiprocessor
RECORDED = Path(__file__).with_name("sass.json")
GROWTH = 0.05
REFRESH = "if that is meant, record it: MCRISK_SASS=write ./scripts/test tests/kernels/test_cuda_compiles.py"


def options() -> list[str]:
    """What gpu.py hands to NVRTC."""
    return [f"-DMCR_PARAMS_BYTES={load_schema().params_bytes(4)}"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """CUBIN file and usage of every architecture."""
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(os.cpu_count()) as pool:
        patch.setenv("MCRISK_CACHE", str(tmp_path_factory.mktemp("cache")))
        source = nvrtc.read_source(kernel_folder())
        made = pool.map(lambda one: nvrtc.cached_cubin(source, one, options()), ARCHITECTURES)
        return dict(zip(ARCHITECTURES, made, strict=True))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernel_fits_the_registers_of_every_gpu(architecture, built):
    """From the ptxas lines of the NVRTC log."""
    cubin, usage = built[architecture]

    assert cubin.read_bytes().startswith(b"\x7fELF")
    assert usage.registers <= REGISTERS_MAX
    assert usage.spill_stores == 0
    assert usage.spill_loads == 0


OTHERS = [pytest.param(one, marks=pytest.mark.slow) for one in ARCHITECTURES if one != "sm_90"]


@pytest.mark.parametrize("architecture", ["sm_90", *OTHERS])
def test_the_kernel_of_several_cases_fits_them_too(architecture):
    """No spill, and no lower occupancy, for Params that are found by the place of the case."""
    several = gpu.several_options(load_schema().params_bytes(4))
    usage = nvrtc.load().compile(nvrtc.read_source(kernel_folder()), architecture, several).usage

    assert usage is not None and usage.registers <= REGISTERS_MAX
    assert usage.spill_stores == 0
    assert usage.spill_loads == 0


@pytest.fixture
def loops(built):
    """The instructions of the loop over ticks, in the SASS of every architecture."""
    if sass.disassembler() is None:
        pytest.skip("nvdisasm is not installed")
    return {architecture: sass.loop_of(sass.listing(cubin)) for architecture, (cubin, _) in built.items()}


def test_the_loop_over_ticks_has_no_more_instructions_than_recorded(loops):
    """On every architecture, within 5 %: the model does not become dearer on a GPU unnoticed."""
    found = {architecture: len(loop) for architecture, loop in loops.items()}
    if os.environ.get("MCRISK_SASS") == "write":
        version = ".".join(map(str, nvrtc.load().version))
        RECORDED.write_text(json.dumps({"nvrtc": version, "instructions": found}, indent=1) + "\n")
    recorded = json.loads(RECORDED.read_text())

    assert found.keys() == recorded["instructions"].keys(), REFRESH
    for architecture, expected in recorded["instructions"].items():
        growth = found[architecture] / expected - 1
        told = f"{architecture}: {found[architecture]} instructions, {100 * growth:+.1f} % of those of NVRTC"
        assert growth <= GROWTH, f"{told} {recorded['nvrtc']}; {REFRESH}"
        assert sum(opcode.startswith(("FFMA", "FMUL", "FADD")) for opcode in loops[architecture]) > expected / 3


def test_examples_of_the_listing_are_true():
    """A loop is found from its label to its jump."""
    assert doctest.testmod(sass).failed == 0


def test_a_wrong_layout_fails_the_build_in_words():
    """The static_assert closes the loop between the schema reader and the compiler."""
    with pytest.raises(InfrastructureError, match=r"layout of Params differs from what schema\.py read"):
        nvrtc.load().compile(nvrtc.read_source(kernel_folder()), "compute_90", ["-DMCR_PARAMS_BYTES=4"])


def test_more_cases_than_a_kernel_takes_fail_the_build_in_words():
    """32 764 bytes of arguments."""
    size = load_schema().params_bytes(4)
    with pytest.raises(InfrastructureError, match="more cases than the arguments of a kernel hold"):
        several = [*options(), f"-DMCR_SEVERAL={32_764 // size + 1}"]
        nvrtc.load().compile(nvrtc.read_source(kernel_folder()), "compute_90", several)


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
