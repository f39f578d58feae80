"""mcrisk.sums and the sums of the CPU library: the very tally that numpy makes, whatever the records hold."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workshop import nasty

from mcrisk import sums as module
from mcrisk.backends import cpu, kept
from mcrisk.backends.cpu import CpuBackend, sums_of
from mcrisk.encoding import encode
from mcrisk.errors import InfrastructureError
from mcrisk.schema import load_schema
from mcrisk.tally import merge, tally

SCHEMA = load_schema()
SUCCESS = SCHEMA.enums["Outcome"]["success"]
METRICS = [name for name, one in SCHEMA.record_fields.items() if one.metric]


def test_the_library_sums_like_numpy_bit_for_bit():
    """NaN, infinities, both zeros, subnormals, the largest numbers, runs without contact, no runs at all."""
    for runs in (0, 1, 7, 8, 9, 100, 3000):
        records = nasty(runs, runs)
        found, landed = sums_of(records, 5)
        expected = tally(records, 5)

        assert found == expected, runs
        assert encode(found) == encode(expected)
        assert np.array_equal(landed, np.packbits(records["outcome"] == SUCCESS, bitorder="little"))


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=30), st.booleans())
def test_any_bits_of_the_landing_point_are_summed_like_numpy(bits, landing):
    records = np.zeros(len(bits), SCHEMA.record_dtype())
    words = np.array(bits, np.uint32)
    records["contact"], records["outcome"] = 1, SUCCESS if landing else 0
    records["miss_downrange"], records["miss_crossrange"] = words.view(np.float32), words[::-1].view(np.float32)

    assert sums_of(records, 0)[0] == tally(records, 0)


def test_sums_do_not_remember_what_was_summed_before():
    """The histogram of a thread is empty again after each piece, also after a refused one."""
    records = nasty(500)
    spoiled = records.copy()
    spoiled["outcome"][400] = 99
    first, _ = sums_of(records, 0)
    with pytest.raises(InfrastructureError, match=r"runs 0 \.\. 499: an outcome or cause without a name"):
        sums_of(spoiled, 0)

    assert sums_of(records, 0)[0] == first


def test_many_runs_are_summed_in_blocks(monkeypatch):
    monkeypatch.setattr(cpu, "SUMMED_RUNS", 96)
    records = nasty(500)
    found, landed = sums_of(records, 3)

    assert found == tally(records, 3) == merge([sums_of(records[:80], 3)[0], sums_of(records[80:], 83)[0]])
    assert np.array_equal(landed, np.packbits(records["outcome"] == SUCCESS, bitorder="little"))


def test_records_of_every_second_run_are_summed_as_they_are():
    """Records that do not lie side by side in memory."""
    assert sums_of(nasty(100)[::2], 0)[0] == tally(nasty(100)[::2], 0)


def test_records_of_doubles_are_summed_by_numpy():
    records = np.zeros(10, SCHEMA.record_dtype(8))
    records["contact"], records["outcome"], records["tilt"] = 1, SUCCESS, 0.1

    assert sums_of(records, 0)[0] == tally(records, 0)


def test_no_sum_of_a_piece_can_overflow():
    """The largest numbers in the most runs of one block: 2^24 runs add less than 2^56 to a limb of 2^63."""
    assert cpu.SUMMED_RUNS * (1 << 32) <= 1 << 56
    records = np.zeros(4096, SCHEMA.record_dtype())
    records["contact"], records["outcome"] = 1, SUCCESS
    for name in METRICS:
        records[name] = np.float32(-3.4028235e38)

    assert sums_of(records, 0)[0] == tally(records, 0)


@pytest.mark.parametrize("keep", ["none", "losses", "all"])
def test_kept_records_carry_their_numbers(keep):
    records = nasty(50)
    _, landed = sums_of(records, 9)
    found = kept(records, landed, 9, keep)
    lost = records["outcome"] != SUCCESS

    if found is None:
        assert keep == "none"
    else:
        chosen = np.flatnonzero(lost | (keep == "all"))
        assert np.array_equal(found["run"], chosen + 9)
        assert found["record"].tobytes() == records[chosen].tobytes()


def test_the_plan_names_the_words_of_a_record():
    """No list of metrics is written twice: the plan that the kernels get comes from the schema."""
    (plan,) = module.plan()
    offsets = {name: place // 4 for name, (_, place, *_) in SCHEMA.record_dtype().fields.items()}

    assert plan["metric"][: plan["metrics"]].tolist() == [offsets[name] for name in METRICS]
    assert (plan["downrange"], plan["contact"]) == (offsets["miss_downrange"], offsets["contact"])


def test_a_library_with_other_sums_is_refused(monkeypatch):
    """The layout that Python reads is that of tally.h."""
    monkeypatch.setattr(module, "SUMS", np.dtype([("nameless", "<u8")]))
    cpu._summing.cache_clear()
    with pytest.raises(InfrastructureError, match="sums of the CPU library: expected 8 bytes"):
        cpu._summing()
    monkeypatch.undo()

    assert cpu._summing() is not None


def test_the_backend_sums_what_it_flies():
    """Whatever the keep, the tally is that of the records of `run`."""
    from workshop import missions

    from mcrisk.backends import Piece

    backend, params = CpuBackend(), missions()["generic_small"]
    summed = backend.sums([Piece(params, 3, 20), Piece(params, 100, 7)], 4, "all")

    for one, (first, count) in zip(summed, ((3, 20), (100, 7)), strict=True):
        records = backend.run(params, 4, first, count)
        assert one.tally == tally(records, first)
        assert one.records is not None and one.records["record"].tobytes() == records.tobytes()


def test_examples_of_the_documentation_run():
    assert doctest.testmod(module).failed == 0
