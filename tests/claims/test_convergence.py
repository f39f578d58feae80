"""The answer does not hang on the numerics: a finer step or double precision, the same risk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mcrisk import mission, nominal, params
from mcrisk.backends.cpu import CpuBackend
from mcrisk.profile import quiet
from mcrisk.risk import interval
from mcrisk.schema import load_schema

SEED = 7
SENSITIVE = "hakuto_r_m2_late_rangefinder"  # lands in four of five runs: flips are as likely as they get
OUTCOMES = list(load_schema().enums["Outcome"])


def packed(name: str, real: int = 4, **changes: object) -> bytes:
    return params.pack(nominal.design(mission.load(name).replace(changes)), real)


def fly(case: bytes, runs: int, variant: str | None = None) -> np.ndarray:
    """Records of runs 0, ..., runs - 1, in two halves at a time."""
    backend, half = CpuBackend(variant), -(-runs // 32) * 16
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate(list(pool.map(backend.run, [case] * 2, [SEED] * 2, [0, half], [half, runs - half])))


def lands(records: np.ndarray) -> np.ndarray:
    return records["outcome"] == OUTCOMES.index("success")


def test_halving_the_truth_step_divides_the_error_by_four_and_in_pulsed_flight_by_two_or_more():
    """In double precision against 64 steps a tick. Coasting: second order. In the burn, 69 s after ignition, pulses
    that end inside a step are spread over it and the dead band of attitude control amplifies that: first order."""
    backend = CpuBackend("f64")
    paths = {}
    for steps in (2, 4, 8, 16, 64):
        case = quiet(packed("hakuto_r_m2_as_designed", 8, **{"simulation.truth_steps": steps}), 8)
        paths[steps] = backend.replay(case, SEED, 0)["position_S"]

    def errors(tick):
        return [np.linalg.norm(paths[steps][tick] - paths[64][tick]) for steps in (2, 4, 8, 16)]

    two, four, eight, _ = errors(200)
    assert 3.8 < two / four < 4.2
    assert 3.8 < four / eight < 4.2
    burning = errors(1000)
    assert burning == sorted(burning, reverse=True)
    assert burning[0] / burning[-1] > 2**3


def test_halving_the_truth_step_moves_success_by_less_than_its_interval():
    """1500 runs on the same worlds. The difference is of few flips: false alarm below 1e-4."""
    coarse, fine = (fly(packed(SENSITIVE, **{"simulation.truth_steps": steps}), 1500) for steps in (2, 4))
    lower, upper = interval(int(lands(coarse).sum()), len(coarse))

    assert lower < lands(fine).mean() < upper


def test_single_precision_gives_the_risk_of_double_precision(record_property):
    """512 runs both ways. Flips stay well below the half width of the interval; each is listed with its margin."""
    single, double = fly(packed(SENSITIVE), 512), fly(packed(SENSITIVE, 8), 512, "f64")
    flips = np.flatnonzero(lands(single) != lands(double))
    lower, upper = interval(int(lands(double).sum()), len(double))
    told = [told_flip(run, single[run], double[run]) for run in flips]
    record_property("flips", told)
    print(f"{len(flips)} of {len(single)} runs flip", *told, sep="\n")

    assert abs(lands(single).mean() - lands(double).mean()) < (upper - lower) / 8
    assert len(flips) / len(single) < (upper - lower) / 4, told


def test_success_over_the_acquisition_range_is_monotone():
    """Five ranges, 400 runs each on the same worlds; decreases stay within 95 % intervals: false alarm below 1e-3."""
    ranges = (400.0, 900.0, 1500.0, 2500.0, 5000.0)
    chances = [lands(fly(packed(SENSITIVE, **{"altimeter.range_max": reach}), 400)) for reach in ranges]

    ends = [interval(int(one.sum()), len(one)) for one in chances]

    assert all(longer[1] >= shorter[0] for place, shorter in enumerate(ends) for longer in ends[place + 1 :])
    assert chances[-1].mean() > chances[0].mean() + 0.1


def margin(record: np.void) -> float:
    """How far inside the limits of touchdown a run ended: of the worst limit, 1 is unused, below 0 is exceeded."""
    value = mission.load(SENSITIVE).value
    ratios = [
        float(record[name]) / value(f"limits.{name}")
        for name in ("descent_rate", "horizontal_speed", "tilt", "tilt_rate")
    ]
    return 1 - max(
        *ratios, float(record["leg_stroke"]) / value("touchdown.stroke_max"), float(record["impact_speed"]) / 15
    )


def told_flip(run: int, single: np.void, double: np.void) -> str:
    parts = [f"{OUTCOMES[one['outcome']]} with a margin of {margin(one):+.3f}" for one in (single, double)]
    return f"run {run}: single {parts[0]}, double {parts[1]}"
