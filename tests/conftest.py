"""What several test folders share: the helpers of `gpu_tools` by name, and the GPU where there is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mcrisk.backends.gpu import GpuBackend

sys.path.insert(0, str(Path(__file__).parent / "gpu_tools"))


@pytest.fixture(scope="session")
def gpu() -> GpuBackend:
    """The GPU backend; the test is skipped, with the reason, where there is none."""
    from mcrisk.backends import gpu

    if missing := gpu.absence():
        pytest.skip(str(missing))
    return gpu.GpuBackend()
