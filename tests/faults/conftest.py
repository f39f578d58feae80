"""The fault campaign: its helpers by name, and what a machine may lack."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def shim() -> str:
    """The library that counts file calls; the test is skipped where it cannot be built or loaded."""
    from field import libraries

    if not sys.platform.startswith("linux") or not libraries():
        pytest.skip("faults at file calls need Linux and a C compiler")
    return libraries()
