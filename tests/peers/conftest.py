"""The arc's own libraries, built once for a session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import arc, tools
from peers.flown import ArcLibrary


@pytest.fixture(scope="session")
def single(workshop):
    """arc.cpp in single precision, by tiles, for this processor."""
    return ArcLibrary(folder=workshop.folder)


@pytest.fixture(scope="session")
def double(workshop):
    """arc.cpp in double precision."""
    return ArcLibrary("f64", workshop.folder)


@pytest.fixture(scope="session")
def basilisk_states() -> arc.Ends:
    """States of run 0 every minute by Basilisk: the stored table (`bench peers --store` writes it)."""
    return tools.stored()[2]
