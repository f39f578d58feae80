"""Every block of the descent is packed code: the instructions of its lane loop, for each compiler and vector width."""

import re

import numpy as np
import pytest
from workshop import missions

from mcrisk.backends import build
from mcrisk.native import kernel_folder
from mcrisk.schema import load_schema

# The least packed operations of each block: about half of what it needs today, so that the model may change freely.
FLOOR = {
    "guide": 350,
    "guide_struck": 350,
    "fail": 32,
    "control": 80,
    "control_struck": 80,
    "propagate": 320,
    "integrate": 300,
    "integrate_struck": 300,
    "integrate_filter": 450,
    "integrate_filter_struck": 450,
    "altimeter": 250,
    "altimeter_formula": 500,
    "altimeter_formula_map": 800,
    "altimeter_grid": 1100,
    "altimeter_grid_map": 1900,
    "velocimeter": 500,
    "velocimeter_grid": 700,
    "camera": 320,
    "drift": 130,
    "look": 3,
    "look_elsewhere": 3,
    "watch": 35,
    "watch_formula": 50,
    "watch_grid": 65,
    "press": 65,
    "move": 70,
    "peak": 384,  # 12 chains of 32 steps
}
LOOPS = ("fly", "divert", "touch_down")  # over blocks or lanes, where a compiler leaves them as functions
REGISTER = {"v3": "ymm", "v4": "zmm"}
ARITHMETIC = r"\tv(?:add|sub|mul|div|sqrt|fn?m(?:add|sub)\d+)"
SHARE = 0.8  # of the arithmetic is packed; the rest are sums of the case alone, once for the tile
SHARES = {"fail": 0.65}  # little but the sizes of the case's faults


@pytest.fixture(params=list(REGISTER))
def listing(compiler, x86_64, request) -> tuple[str, dict[str, str]]:
    """The vector register and the assembly of each block, by its name."""
    entry = (kernel_folder() / "descend.cpp").read_text().replace('"mcrisk/', '"')
    text = compiler.assembly(entry, ["-fPIC", *build.flags(request.param)])
    bodies = re.findall(r"^(_ZN3mcr\w*?\d+([a-z_]+)_tileE\w*):(.*?)^\s*\.size\s+\1,", text, re.MULTILINE | re.DOTALL)
    return REGISTER[request.param], {block: body for _, block, body in bodies if block not in LOOPS}


def test_every_block_is_packed(listing):
    """Nearly all arithmetic is on full vector registers, nothing is called, and as much is there as the block needs."""
    register, blocks = listing

    assert blocks.keys() == FLOOR.keys()
    for block, body in blocks.items():
        packed = len(re.findall(rf"{ARITHMETIC}ps\t.*%{register}", body))
        single = len(re.findall(rf"{ARITHMETIC}ss\t", body))

        assert packed >= FLOOR[block], f"{block}: {packed} packed, {single} single"
        assert packed >= SHARES.get(block, SHARE) * (packed + single), f"{block}: {packed} packed, {single} single"
        assert not re.search(r"\tcallq?\t", body), block


def test_a_tile_executes_about_a_tenth_less_than_is_counted(listing, counting):
    """Flop of the packed instructions against those of counting.h: what a tick of the coast costs, no sensor in reach.

    The README says so beside the share of the peak. Guidance and covariance run every fifth tick, `look` every second,
    drift every tenth; the truth takes two steps a tick.
    """
    register, blocks = listing

    def packed(block: str) -> int:
        names = re.findall(rf"{ARITHMETIC}ps\t.*%{register}", blocks[block])
        return sum(2 if re.match(r"\tvfn?m", name) else 1 for name in names)

    def counted(ticks: int) -> int:
        block = np.frombuffer(missions()["blue_ghost_m1"], load_schema().params_dtype(4)).copy()
        block["simulation"]["time_max_ticks"] = ticks
        return counting.count(block.tobytes(), 0, 0, 1)[1]

    each = packed("control") + 2 * packed("propagate") + packed("watch")
    integrated = 80 * packed("integrate") + 20 * packed("integrate_filter")
    executed = 100 * each + integrated + 20 * packed("guide") + 50 * packed("look") + 10 * packed("drift")

    assert 0.85 <= executed / (counted(200) - counted(100)) <= 0.95
