"""What several test folders share: fixed random examples, the helpers of `gpu_tools` by name, the backends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from workshop import Workshop

    from mcrisk.backends import AbstractBackend
    from mcrisk.backends.cpu import CpuBackend
    from mcrisk.backends.gpu import GpuBackend

sys.path.insert(0, str(Path(__file__).parent / "gpu_tools"))

# What a shell without job control starts in the background ignores SIGINT; so would all commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine and day; no deadline, because a shared machine is slow at times.
hypothesis.settings.register_profile("mcrisk", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("mcrisk")


@pytest.fixture(scope="session")
def gpu() -> GpuBackend:
    """The GPU backend; the test is skipped, with the reason, where there is none."""
    from mcrisk.backends import gpu

    if missing := gpu.absence():
        pytest.skip(str(missing))
    return gpu.GpuBackend()


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> AbstractBackend:
    """Each backend of this machine: one test body for all."""
    from mcrisk.backends import choose

    return request.getfixturevalue("gpu") if request.param == "gpu" else choose("cpu")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Builds of the kernel; kept between test runs in the folder that MCRISK_TEST_CACHE names, if it is set."""
    from workshop import Workshop

    named = os.environ.get("MCRISK_TEST_CACHE")
    folder = Path(named) if named else tmp_path_factory.mktemp("workshop")
    folder.mkdir(parents=True, exist_ok=True)
    return Workshop(folder)


@pytest.fixture(scope="session")
def counting(workshop: Workshop) -> CpuBackend:
    """The library that counts flop, by the first compiler of this machine."""
    from mcrisk.backends import ondemand
    from mcrisk.backends.cpu import CpuBackend

    return CpuBackend("counting", ondemand.made("counting", ondemand.commands()[0], workshop.folder))
