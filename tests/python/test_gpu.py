"""The GPU backend without a GPU: why it is refused, how it splits batches, what it hands over, how it fails.

The kernels are the real text, executed as PTX; a descent is made up, so that it costs nothing.
"""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from fake_cupy import Device, FakeCupy, OutOfMemoryError
from ptx_executor import PtxModule

from mcrisk import backends
from mcrisk.backends import Piece, gpu, kept, nvrtc
from mcrisk.errors import InfrastructureError, LostDeviceError, MistakeError
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema
from mcrisk.tally import tally

SCHEMA = load_schema()
RECORD = SCHEMA.record_dtype(4)
SUCCESS = SCHEMA.enums["Outcome"]["success"]
COUNT = SCHEMA.slots["relief.count"].offset_bytes(4)
PARAMS, OTHER = (bytes([digit]) * COUNT + bytes(SCHEMA.params_bytes(4) - COUNT) for digit in (1, 2))
FLOWN, BEFORE = "fly_settled(params, Surface{params.relief, heights}, seed, number)", "MCR_FN void fly_into("
MADE_UP = """
/// A record that tells run number, seed and Params: two of three runs land.
MCR_FN Record made_up(Params const& params, float const* heights, uint64 seed, uint64 number) {
    RecordWords words{};
    words.word[0] = number % 3 ? 10 : static_cast<unsigned>(number % 9);
    words.word[1] = static_cast<unsigned>(number % 7);
    words.word[2] = number % 5 ? 1 : 0;
    for (unsigned w = 4; w < sizeof words / 4; ++w) {
        words.word[w] = bits_as<unsigned>(static_cast<float>(static_cast<unsigned>(number) * w) - 700.0f);
    }
    words.word[30] = static_cast<unsigned>(number >> 32) ^ static_cast<unsigned>(seed >> 32);
    words.word[31] = reinterpret_cast<unsigned const*>(&params)[0];
    if (heights) words.word[31] ^= bits_as<unsigned>(heights[params.relief.count - 1]);
    return bits_as<Record>(words);
}
"""


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """The kernel folder with a made-up descent, and its PTX built for the host."""
    folder = tmp_path_factory.mktemp("kernels")
    text = (kernel_folder() / "descend.cu").read_text()
    assert text.count(FLOWN) == 1
    text = text.replace(FLOWN, "made_up(params, heights, seed, number)").replace(BEFORE, MADE_UP + BEFORE, 1)
    (folder / "descend.cu").write_text(text)
    (folder / "mcrisk").symlink_to(kernel_folder() / "mcrisk")
    size, modules = SCHEMA.params_bytes(4), []
    for name, options in (("one", [f"-DMCR_PARAMS_BYTES={size}"]), ("several", gpu.several_options(size))):
        program = nvrtc.load().compile(nvrtc.read_source(folder), "compute_90", options)
        modules.append(PtxModule(program.ptx, folder, name))
    return folder, *modules, tmp_path_factory.mktemp("cache")


@pytest.fixture
def cupy(monkeypatch, made_up):
    """A stand-in cupy with one device."""
    folder, module, several, cache = made_up
    fake = FakeCupy(module, several=several)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    found = gpu.importlib.util.find_spec
    present = SimpleNamespace(name="cupy")
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: present if name == "cupy" else found(name))
    monkeypatch.setattr(gpu, "cupy_distributions", lambda: ["cupy-cuda13x"])
    monkeypatch.setattr(gpu, "kernel_folder", lambda: folder)
    monkeypatch.setenv("MCRISK_CACHE", str(cache))
    yield fake
    assert fake.early == []  # whatever failed, no memory went to others while a stream still used it


def expected(seed: int, first: int, count: int, params: bytes = PARAMS, heights: bytes = b"") -> np.ndarray:
    """What the made-up descent says of the runs."""
    number = np.arange(count, dtype=np.uint64) + np.uint64(first)
    words = np.zeros((count, RECORD.itemsize // 4), np.uint32)
    low = (number & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    words[:, 0] = np.where(number % 3, 10, number % 9)
    words[:, 1], words[:, 2] = number % 7, number % 5 != 0
    for w in range(4, words.shape[1]):
        words[:, w] = ((low * np.uint32(w)).astype(np.float32) - np.float32(700)).view(np.uint32)
    words[:, 30] = (number >> np.uint64(32)).astype(np.uint32) ^ np.uint32(seed >> 32)
    words[:, 31] = np.frombuffer(params, np.uint32)[0]
    if heights:
        words[:, 31] ^= np.frombuffer(heights, np.uint32)[-1]
    return words.view(RECORD).reshape(-1)


def check(summed, seed: int, first: int, count: int, keep: str, params: bytes = PARAMS, heights: bytes = b"") -> None:
    """A sum is the one of the very records."""
    records = expected(seed, first, count, params, heights)
    landed = np.packbits(records["outcome"] == SUCCESS, bitorder="little")
    wanted = kept(records, landed, first, keep)

    assert summed.tally == tally(records, first)
    assert summed.landed.tobytes() == landed.tobytes()
    assert (summed.records is None) == (wanted is None)
    assert wanted is None or summed.records.tobytes() == wanted.tobytes()


def test_a_batch_comes_back_as_the_records_of_its_runs_in_order(cupy):
    """Run numbers of 64 bits and Params by value reach the kernel; columns become records."""
    actual = gpu.GpuBackend().run(PARAMS, 7 << 40, (1 << 33) - 5, 1000)

    assert expected(7 << 40, (1 << 33) - 5, 1000).tobytes() == actual.tobytes()
    assert cupy.events == ["descend", "gather", "copy"]


def test_a_batch_of_no_runs_is_empty(cupy):
    """Nothing is launched."""
    backend = gpu.GpuBackend()

    assert len(backend.run(PARAMS, 0, 0, 0)) == 0
    assert backend.sums([], 0, "all") == []
    check(*backend.sums([Piece(PARAMS, 5, 0)], 0, "all"), 0, 5, 0, "all")
    assert cupy.launches == []


@pytest.mark.parametrize("keep", ["none", "losses", "all"])
def test_the_device_sums_its_runs(cupy, keep):
    """To the bit as numpy sums the records; all records are copied where any are kept, and only there."""
    (summed,) = gpu.GpuBackend().sums([Piece(PARAMS, (1 << 33) - 5, 1001)], 7 << 40, keep)
    kernels = ["descend", "tally", "sift", "landings"] + ["gather"] * (keep != "none")

    check(summed, 7 << 40, (1 << 33) - 5, 1001, keep)
    assert cupy.events == kernels + ["copy"] * (3 + (keep != "none"))


def test_several_pieces_fly_at_once(cupy):
    """All are launched before the first is awaited, each with its own Params, and none waits for memory of another."""
    pieces = [Piece((PARAMS, OTHER)[place % 2], 100 * place, 40 + place) for place in range(5)]
    found = gpu.GpuBackend().sums(pieces, 3, "losses")

    for piece, one in zip(pieces, found, strict=True):
        check(one, 3, piece.first, piece.count, "losses", piece.params)
    assert cupy.events.index("copy") == 5 * 5
    assert len(cupy.streams) == 5


def test_no_more_than_32_pieces_fly_at_once(cupy, monkeypatch):
    """Their streams are used again. Here 3, of cases too large to share a launch."""
    monkeypatch.setattr(gpu, "LAUNCHES", 3)
    monkeypatch.setattr(gpu, "SMALL_RUNS", 5)
    backend = gpu.GpuBackend()
    found = backend.sums([Piece(PARAMS, 10 * place, 10) for place in range(8)], 3, "none")
    flights = [place for place, event in enumerate(cupy.events) if event == "descend"]
    backend.run(PARAMS, 3, 0, 10)

    assert [one.tally.runs for one in found] == [10] * 8
    # three copies for each that has landed
    assert [cupy.events[:place].count("copy") for place in flights] == [0, 0, 0, 3, 6, 9, 12, 15]
    assert len(cupy.streams) == 3


@pytest.mark.parametrize("keep", ["none", "losses"])
def test_more_small_cases_than_launches_share_grids(cupy, monkeypatch, keep):
    """Each block flies runs of one case; neither sums nor records tell. Large cases fly alone."""
    monkeypatch.setattr(gpu, "LAUNCHES", 4)
    monkeypatch.setattr(gpu, "SMALL_RUNS", 300)
    counts = [1, 300, 128, 129, 7, 301, 5, 200, 250, 17, 40]
    pieces = [Piece((PARAMS, OTHER)[n % 2], (1 << 32) - 100 * n, count) for n, count in enumerate(counts)]
    found = gpu.GpuBackend().sums(pieces, 7 << 40, keep)

    for piece, one in zip(pieces, found, strict=True):
        check(one, 7 << 40, piece.first, piece.count, keep, piece.params)
    assert cupy.grids == [(3, 3), (2, 2), (2, 3), (1, 2)]
    assert cupy.launches == [301]


def test_cases_that_share_a_grid_are_no_larger_launch(cupy, monkeypatch):
    """Together they have no more runs than one launch may have."""
    monkeypatch.setattr(gpu, "LAUNCHES", 2)
    monkeypatch.setattr(gpu, "LAUNCH_RUNS", 1024)
    found = gpu.GpuBackend().sums([Piece(PARAMS, 0, 400)] * 8, 0, "none")

    assert [one.tally for one in found] == [tally(expected(0, 0, 400), 0)] * 8
    assert cupy.grids == [(4, 2)] * 4


@pytest.mark.parametrize(("old", "needed"), [("SEVERAL_DRIVER", 99000), ("SEVERAL_NVRTC", (99, 0))])
def test_an_old_driver_takes_one_case_at_a_time(cupy, monkeypatch, old, needed):
    """Arguments of more than 4 kB came with CUDA 12.1."""
    monkeypatch.setattr(gpu, "LAUNCHES", 2)
    monkeypatch.setattr(gpu, old, needed)
    found = gpu.GpuBackend().sums([Piece(PARAMS, 0, 5)] * 6, 0, "none")

    assert [one.tally for one in found] == [tally(expected(0, 0, 5), 0)] * 6
    assert cupy.launches == [5] * 6 and cupy.grids == []


def test_cases_that_find_no_memory_together_fly_alone(cupy, monkeypatch):
    monkeypatch.setattr(gpu, "LAUNCHES", 2)
    backend = gpu.GpuBackend()
    cupy.whole = backend._bytes([100], sums=True, rows=False)
    found = backend.sums([Piece(PARAMS, 0, 100)] * 6, 0, "none")

    assert [one.tally for one in found] == [tally(expected(0, 0, 100), 0)] * 6
    assert cupy.launches == [100] * 6 and cupy.grids == []


def test_a_large_batch_is_split_and_the_next_launch_flies_before_the_last_is_awaited(cupy, monkeypatch):
    """Neither records nor sums tell."""
    monkeypatch.setattr(gpu, "LAUNCH_RUNS", 2048)
    backend = gpu.GpuBackend()
    actual = backend.run(PARAMS, 0, 3, 5000)

    assert expected(0, 3, 5000).tobytes() == actual.tobytes()
    assert cupy.launches == [2048, 2048, 904]
    assert cupy.events == ["descend", "gather"] * 2 + ["copy"] + ["descend", "gather"] + ["copy"] * 2

    check(*backend.sums([Piece(PARAMS, 3, 5000)], 0, "losses"), 0, 3, 5000, "losses")
    assert cupy.launches[3:] == [2048, 2048, 904]


def test_a_display_bounds_the_launches(cupy, monkeypatch):
    """A driver that shows something too kills kernels of seconds."""
    monkeypatch.setattr(gpu, "WATCHED_LAUNCH_RUNS", 2048)
    monkeypatch.setattr(Device, "attributes", {"KernelExecTimeout": 1})
    gpu.GpuBackend().run(PARAMS, 0, 0, 5000)

    assert cupy.launches == [2048, 2048, 904]


@pytest.mark.parametrize("pooled", [0, 1 << 20])
def test_device_memory_bounds_the_launches(cupy, pooled):
    """Half of the free memory, what cupy holds in reserve included, holds two launches."""
    backend = gpu.GpuBackend()
    cupy.whole = 2 * 2 * backend._bytes([2048], sums=True, rows=True)
    cupy.free, cupy.pooled = cupy.whole - pooled, pooled
    check(*backend.sums([Piece(PARAMS, 0, 5000)], 0, "all"), 0, 0, 5000, "all")

    assert cupy.launches == [2048, 2048, 904]
    assert cupy.used == 0


def test_many_pieces_stay_within_the_memory(cupy):
    """Those that find no room wait for the first."""
    backend = gpu.GpuBackend()
    cupy.free = 2 * backend._bytes([100] * 3, sums=True, rows=False)
    found = backend.sums([Piece(PARAMS, 100 * place, 100) for place in range(7)], 0, "none")

    assert [one.tally.ranges for one in found] == [((100 * place, 100 * place + 100),) for place in range(7)]
    assert cupy.events.index("copy") == 3 * 4


def test_out_of_memory_first_waits_then_halves_the_launch(cupy):
    """Memory that others took in between is not an error until it is hopeless."""
    backend = gpu.GpuBackend()
    cupy.whole = backend._bytes([1500], sums=True, rows=True)
    check(*backend.sums([Piece(PARAMS, 0, 2500), Piece(OTHER, 9, 700)], 0, "all")[:1], 0, 0, 2500, "all")

    assert cupy.launches == [1248, 1248, 4, 700]
    assert cupy.used == 0

    cupy.whole = 100
    with pytest.raises(InfrastructureError, match="out of memory at 1024 runs per launch"):
        backend.run(PARAMS, 0, 0, 5000)
    with pytest.raises(InfrastructureError, match="out of memory at 7 runs per launch"):
        backend.run(PARAMS, 0, 0, 7)


def test_a_launch_that_finds_no_memory_is_halved_to_whole_words(cupy):
    """So that two halves fly all of it."""
    backend = gpu.GpuBackend()
    cupy.whole = backend._bytes([1500], sums=False, rows=True)
    backend.run(PARAMS, 0, 0, 2529)

    assert cupy.launches == [1280, 1249]


def test_a_launch_that_takes_too_much_beside_its_memory_is_not_tried_for_ever(cupy):
    """As the kernel's own stack: halved, then told."""
    backend, tries = gpu.GpuBackend(), []

    def refuse(grid: tuple[int, ...], *rest: object) -> None:
        tries.append(grid)
        raise OutOfMemoryError("cudaErrorMemoryAllocation: out of memory") if len(tries) < 20 else AssertionError

    backend._kernels["descend"] = refuse
    with pytest.raises(InfrastructureError, match="out of memory at 1024 runs per launch"):
        backend.run(PARAMS, 0, 0, 5000)

    assert tries == [(40,), (20,), (10,), (8,)]
    assert (cupy.used, backend._traffic.under_way) == (0, 0)


def test_a_stream_that_cannot_be_made_leaves_nothing_under_way(cupy, monkeypatch):
    """Else others would wait for it for ever."""

    def none(non_blocking: bool) -> None:
        raise RuntimeError("no stream")

    backend = gpu.GpuBackend()
    with monkeypatch.context() as patch, pytest.raises(InfrastructureError, match="Fake failed: no stream"):
        patch.setattr(cupy.cuda, "Stream", none)
        backend.run(PARAMS, 0, 0, 100)

    assert (cupy.used, backend._traffic.under_way) == (0, 0)
    assert len(backend.run(PARAMS, 0, 0, 100)) == 100


def test_memory_is_free_when_that_is_told(cupy, monkeypatch):
    """Whoever waits for it tries at once: neither an exception nor a loop may hold it any longer."""
    backend, told = gpu.GpuBackend(), []
    end = backend._traffic.end
    monkeypatch.setattr(backend._traffic, "end", lambda landed: (told.append(cupy.used), end(landed)))
    pieces, each = [Piece(PARAMS, 600 * place, 600) for place in range(3)], backend._bytes([600], True, False)
    backend.sums(pieces, 0, "none")
    assert told == [2 * each, each, 0]

    cupy.failing = 1700  # of the third
    with pytest.raises(InfrastructureError, match="LaunchFailure"):
        backend.sums(pieces, 0, "none")
    assert told[3:] == [2 * each, each, 0]

    found, cupy.whole = [], each // 2
    awaited = backend._traffic.awaited
    monkeypatch.setattr(backend._traffic, "awaited", lambda before: found.append(cupy.used) or awaited(before))
    with pytest.raises(InfrastructureError, match="out of memory"):
        backend.sums(pieces, 0, "none")
    assert found == [0]

    cupy.failing, cupy.whole = None, 10 * each
    monkeypatch.setattr(gpu, "tally_of", lambda *_: 1 / 0)  # when the first has landed
    with pytest.raises(InfrastructureError, match="division"):
        backend.sums(pieces, 0, "none")
    assert told[6:] == [2 * each, each, 0]


def test_two_threads_share_a_device(cupy, monkeypatch):
    """Each with its own streams and memory, so that one is summed while the other flies."""
    monkeypatch.setattr(gpu, "LAUNCH_RUNS", 256)
    backend = gpu.GpuBackend()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda place: backend.sums([Piece(PARAMS, 1000 * place, 900)], 1, "all")[0], range(6)))

    for place, one in enumerate(found):
        check(one, 1, 1000 * place, 900, "all")
    assert cupy.used == 0


def test_two_threads_with_memory_for_one_take_turns(cupy):
    """Neither fails, nor is any launch halved for the memory that the other gives back."""
    backend = gpu.GpuBackend()
    cupy.whole = backend._bytes([600], sums=True, rows=False)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda place: backend.sums([Piece(PARAMS, 600 * place, 600)], 1, "none")[0], range(12)))

    for place, one in enumerate(found):
        check(one, 1, 600 * place, 600, "none")
    assert cupy.launches == [600] * 12
    assert (backend._traffic.under_way, backend._traffic.landed) == (0, 12)


def test_a_failure_that_passes_is_one_of_this_batch(cupy):
    """The next one flies."""
    backend = gpu.GpuBackend()
    cupy.failing = 700
    with pytest.raises(InfrastructureError, match="Fake failed: cudaErrorLaunchFailure") as caught:
        backend.run(PARAMS, 0, 0, 1000)

    assert not isinstance(caught.value, LostDeviceError)
    assert len(backend.run(PARAMS, 0, 0, 600)) == 600


@pytest.mark.parametrize("failing", ["descend", "sift"])
def test_a_launch_that_fails_waits_for_what_was_begun(cupy, failing):
    """What they fly into is not given back under them: all is free in the end, and nothing under way."""
    backend = gpu.GpuBackend()
    cupy.failing = 700 if failing == "descend" else None
    sift, launches = backend._kernels["sift"], []

    def second(*arguments: object) -> None:
        launches.append(sift(*arguments))
        if failing == "sift" and len(launches) == 2:
            raise RuntimeError("cudaErrorLaunchFailure")

    backend._kernels["sift"] = second
    with pytest.raises(InfrastructureError, match="Fake failed: cudaErrorLaunchFailure") as caught:
        backend.sums([Piece(PARAMS, 0, 600), Piece(PARAMS, 600, 1200)], 0, "none")

    assert (cupy.used, backend._traffic.under_way) == (0, 0)
    assert not any(stream.todo for stream in cupy.streams)
    assert caught.value.__cause__ is not None  # which holds none of it


def test_after_a_sticky_error_the_device_is_lost_to_this_process(cupy):
    """Every later call says so, and none touches the device again."""
    backend = gpu.GpuBackend()
    cupy.failing, cupy.sticky = 700, True
    with pytest.raises(LostDeviceError, match="Fake was lost: cudaErrorLaunchFailure"):
        backend.sums([Piece(PARAMS, 0, 600), Piece(PARAMS, 600, 600)], 0, "none")
    calls = cupy.calls
    with pytest.raises(LostDeviceError, match="Fake was lost"):
        backend.run(PARAMS, 0, 0, 1)

    assert cupy.calls == calls


def test_a_device_that_fails_at_once_is_told_as_such(cupy):
    """As one that is busy or broken when its module is loaded: no bare error of cupy."""
    cupy.lost = True
    with pytest.raises(InfrastructureError, match="Fake failed: cudaErrorIllegalAddress"):
        gpu.GpuBackend()


def modelled(number: int) -> tuple[bytes, bytes]:
    """Params that tell of an elevation model, and its heights."""
    heights = (np.arange(50 + number) + 1000 * number).astype(np.float32).tobytes()
    numbers = {"count": len(heights) // 4}
    for grid in ("strip", "site"):
        numbers |= {f"{grid}.first": number, f"{grid}.rows": 2, f"{grid}.columns": 25}
    block = bytearray(PARAMS)
    for name, value in numbers.items():
        place = SCHEMA.slots[f"relief.{name}"].offset_bytes(4)
        block[place : place + 4] = value.to_bytes(4, "little")
    return bytes(block), heights


def test_each_piece_flies_over_its_own_elevation_model(cupy):
    """Alone and beside others in one grid; heights are copied to the device once, whoever asks for them."""
    backend = gpu.GpuBackend()
    grounds = [modelled(number) for number in range(3)] + [(PARAMS, b"")]
    for places in ([0], [1, 3, 0, 2], [place % 4 for place in range(70)]):
        pieces = [Piece(grounds[k][0], 100 * n, 40, grounds[k][1]) for n, k in enumerate(places)]
        for n, (k, summed) in enumerate(zip(places, backend.sums(pieces, 3, "all"), strict=True)):
            check(summed, 3, 100 * n, 40, "all", *grounds[k])

    assert cupy.events.count("set") == 3
    assert cupy.grids != []


def test_the_device_keeps_the_latest_elevation_models_alone(cupy):
    """Twenty in turn: each is right, the first comes anew."""
    backend = gpu.GpuBackend()
    for number in [*range(20), 0]:
        params, heights = modelled(number)
        (summed,) = backend.sums([Piece(params, 0, 40, heights)], 3, "all")
        check(summed, 3, 0, 40, "all", params, heights)

    assert cupy.events.count("set") == 21


def test_heights_of_another_elevation_model_are_refused(cupy):
    """Too few, too many, none, and some where the Params tell of none."""
    backend, (params, heights) = gpu.GpuBackend(), modelled(1)
    for given, wrong in ((params, heights[:-4]), (params, heights + heights), (params, b""), (PARAMS, heights)):
        with pytest.raises(InfrastructureError, match="elevation model"):
            backend.run(given, 0, 0, 1, wrong)
    assert cupy.launches == []


def test_a_wrong_block_or_run_number_is_refused(cupy):
    """Before anything is launched."""
    backend = gpu.GpuBackend()
    with pytest.raises(InfrastructureError, match=f"expected {len(PARAMS)} bytes"):
        backend.run(PARAMS[:-1], 0, 0, 1)
    with pytest.raises(MistakeError, match="seed and run numbers"):
        backend.run(PARAMS, 0, (1 << 64) - 1, 2)
    for seed in (-1, 1 << 64):
        with pytest.raises(MistakeError, match="seed and run numbers"):
            backend.run(PARAMS, seed, 0, 1)
    assert cupy.launches == []


def test_the_backend_describes_device_and_kernel(cupy):
    """One line with what decides speed."""
    text = gpu.GpuBackend().describe()

    assert re.fullmatch(r"Fake \(sm_90, 17 GB\), NVRTC [\d.]+, \d+ registers, 0 bytes of spills", text)


def test_whoever_touches_the_driver_first_asks_it_for_as_many_connections_as_launches(cupy, monkeypatch):
    """By default the driver lets 8 kernels side by side and makes others wait; what a user has set stays."""
    for first in (gpu.absence, gpu.GpuBackend, backends.gpu_obstacle, backends.gpu_count):
        monkeypatch.delenv("CUDA_DEVICE_MAX_CONNECTIONS", raising=False)
        first()
        assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == str(gpu.LAUNCHES), first

    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", "4")
    gpu.absence()
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "4"


def test_each_missing_step_is_named_with_its_remedy(cupy, monkeypatch):
    """In the order in which a user meets them."""
    assert gpu.absence() is None

    monkeypatch.setattr(gpu.nvrtc, "load", lambda: SimpleNamespace(version=(13, 5), architectures=(100, 120)))
    assert "no code for compute capability 90" in str(gpu.absence())

    cupy.cuda.runtime.driverGetVersion = lambda: 12040
    assert "NVRTC 13.5 is newer than the driver (CUDA 12.4); update the driver" in str(gpu.absence())
    assert "mcrisk[cuda12]" in str(gpu.absence())

    def missing() -> nvrtc.Nvrtc:
        raise InfrastructureError("NVRTC missing", remedy="install it with: pip install nvidia-cuda-nvrtc")

    monkeypatch.setattr(gpu.nvrtc, "load", missing)
    assert str(gpu.absence()) == "NVRTC missing; install it with: pip install nvidia-cuda-nvrtc"

    cupy.cuda.runtime.getDeviceCount = lambda: 0
    assert str(gpu.absence()) == "no CUDA device; check the driver with: nvidia-smi"

    def no_driver() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver")

    cupy.cuda.runtime.getDeviceCount = no_driver
    assert str(gpu.absence()) == "no CUDA device (cudaErrorInsufficientDriver); check the driver with: nvidia-smi"

    monkeypatch.setattr(gpu, "cupy_distributions", lambda: ["cupy-cuda12x", "cupy-cuda13x"])
    assert "several cupy packages installed (cupy-cuda12x, cupy-cuda13x); keep one" in str(gpu.absence())

    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert "cupy not installed; install it with: pip install 'mcrisk[cuda13]'" in str(gpu.absence())
    with pytest.raises(InfrastructureError, match="GPU not usable: cupy not installed"):
        gpu.GpuBackend()
