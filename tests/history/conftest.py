"""Missions flown again: records of a few hundred runs, seed 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mcrisk import params
from mcrisk.backends.cpu import CpuBackend
from mcrisk.mission import load
from mcrisk.nominal import design
from mcrisk.validate import Flight

RUNS = 512


@pytest.fixture(scope="session")
def fly() -> Callable[..., Flight]:
    """`fly(name, changes)`: one mission with changes; the same worlds every time."""
    backend = CpuBackend()
    flown: dict[str, Flight] = {}

    def fly(name: str, changes: Mapping[str, Any] | None = None) -> Flight:
        key = f"{name} {changes}"
        if key not in flown:
            packed = params.pack(design(load(name).replace(changes or {})))
            flown[key] = Flight(name, changes or {}, backend.run(packed, 0, 0, RUNS))
        return flown[key]

    return fly
