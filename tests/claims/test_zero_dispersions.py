"""A case without chance has one flight only, whatever the run."""

from __future__ import annotations

import numpy as np
import pytest

from mcrisk import config, params
from mcrisk.backends.cpu import CpuBackend
from mcrisk.mission import load
from mcrisk.nominal import design
from mcrisk.profile import nominal_flight, quiet


@pytest.mark.parametrize("name", sorted(config.shipped("missions")))
def test_without_dispersions_every_run_equals_the_nominal(name: str) -> None:
    backend = CpuBackend()
    designed = design(load(name))
    records = backend.run(quiet(params.pack(designed)), 7, 1000, 32)

    assert {record.tobytes() for record in records} == {records[0].tobytes()}
    assert nominal_flight(designed, backend).descent_rate == np.float32(records["descent_rate"][0])


@pytest.mark.parametrize("name", sorted(config.shipped("missions")))
def test_the_nominal_flight_of_every_shipped_mission_lands(name: str) -> None:
    """With perfect navigation nothing of the missions' failures is left."""
    assert nominal_flight(design(load(name)), CpuBackend()).outcome == "success"
