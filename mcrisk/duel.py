"""Designs compared in pairs, run by run: which lands more often, by how much, in which runs they differ.

`compare` makes the dataset from the landings, `answer` the JSON object from the dataset, `show` the text from that
object: people and scripts read the same numbers. The verdict is of McNemar's exact test, adjusted for the number of
pairs (Holm 1979): that any two equal designs are called different has at most the stated risk over all pairs together.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import xarray as xr

from mcrisk.binomial import CONFIDENCE, counts_of
from mcrisk.errors import MistakeError, suggestion, visible
from mcrisk.ledger import count, estimate, runs_told
from mcrisk.pairs import RULE, Paired, check_landings, holm, independent_runs, paired, runs_to_tell, shared
from mcrisk.pairs import examples as runs_of
from mcrisk.risk import interval

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

__all__ = ["DESIGNS", "POWER", "VERDICTS", "answer", "check", "compare", "sentence", "show"]

DESIGNS = 50  # compared all with all: 1225 pairs
POWER = 0.8  # chance with which `runs_to_tell` runs tell
VERDICTS = ("a better", "b better", "cannot tell")
FULL = 6  # pairs told in sentences; more are a table
LINES = 200  # pairs listed; the dataset and the JSON answer have all of them
EXAMPLES = 1000  # [run] kept of each kind and pair, at most
MOST = 2**62  # [run] of the counts that are computed, kept in 64 bits
TOO_MANY = 10**12  # [run] more are not named to people

Design = tuple[str, "NDArray[np.uint8]", Mapping[str, Any] | None]


def compare(
    designs: Sequence[Design],
    runs: SupportsIndex,
    confidence: float = CONFIDENCE,
    examples: SupportsIndex = 10,
    against: str | None = None,
) -> xr.Dataset:
    """Every pair of designs over `pair`, or with `against` every other design (a) with that one (b).

    designs: name, landings as `pairs.table` takes them, and coordinates by path or None. runs: [] of each design, the
    same worlds. examples: [] run numbers kept of each kind.

    >>> landed = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    >>> bits = [np.packbits(row, bitorder="little") for row in landed]
    >>> result = compare([("new", bits[0], None), ("old", bits[1], None)], 4)
    >>> result["only_a"].values.tolist(), result["examples_only_a"].values[0, :3].tolist(), result["verdict"].item()
    ([2], [1, 2, -1], 'cannot tell')
    """
    names = [name for name, _, _ in designs]
    chosen = check(names, against, examples)
    total = check_landings(runs, {visible(name): bits for name, bits, _ in designs})
    (kept,) = counts_of(examples=examples)
    landed = [shared(bits, bits) for _, bits, _ in designs]
    found, first, second = [], [], []
    for i, j in chosen:
        (_, a, _), (_, b, _) = designs[i], designs[j]
        both = shared(a, b)
        only_a, only_b = landed[i] - both, landed[j] - both
        found.append(paired(both, only_a, only_b, total - both - only_a - only_b, confidence))
        first.append(_padded(runs_of(a, b, total, kept), kept))
        second.append(_padded(runs_of(b, a, total, kept), kept))
    adjusted = holm([one.p_value for one in found])
    untold = sum(p > 1.0 - confidence for p in adjusted)
    dataset = xr.Dataset(_variables(found, adjusted, max(untold, 1)), _coordinates(designs, chosen))
    about = "lowest runs in which {} lands and {} is lost, -1 where there are no more"
    dataset["examples_only_a"] = _examples(first, kept, about.format("a", "b"))
    dataset["examples_only_b"] = _examples(second, kept, about.format("b", "a"))
    dataset["success_count"] = (("design",), np.array(landed, np.int64), _about("runs that landed successfully"))
    ends = np.array([interval(one, total, confidence) for one in landed])
    text = "interval of the success probability (Clopper-Pearson)"
    dataset["success_interval"] = (("design", "bound"), ends, _about(text, confidence=confidence))
    dataset.attrs = {
        "title": "designs compared on the same random worlds",
        "runs": total,
        "confidence": float(confidence),
        "method": f"McNemar's exact test, adjusted by Holm 1979 ({len(found)} in all); interval of each pair: {RULE}",
        "against": against or "",
        "power": POWER,
        "coords": json.dumps(
            [{path: _plain(value) for path, value in (coords or {}).items()} for _, _, coords in designs]
        ),
    }
    return dataset


def check(names: Sequence[str], against: str | None = None, examples: SupportsIndex = 10) -> list[tuple[int, int]]:
    """Which designs are compared, by place: (a, b). Raises `MistakeError` of what `compare` would refuse."""
    (kept,) = counts_of(examples=examples)
    if kept > EXAMPLES:
        raise MistakeError("examples", f"at most {EXAMPLES}", str(kept))
    if len(names) < 2:
        raise MistakeError("designs", "at least two", str(len(names)))
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise MistakeError("designs", "names that differ", f"'{visible(twice)}' {names.count(twice)} times")
    if against is not None:
        if against not in names:
            listed = ", ".join(map(visible, names[:5])) + (", ..." if len(names) > 5 else "")
            raise MistakeError("against", f"one of {listed}", f"'{visible(against)}'", suggestion(against, names))
        base = names.index(against)
        return [(place, base) for place in range(len(names)) if place != base]
    if len(names) > DESIGNS:
        remedy = "compare all of them with one, by naming it (against)"
        raise MistakeError("designs", f"at most {DESIGNS} to compare all with all", str(len(names)), remedy)
    return list(itertools.combinations(range(len(names)), 2))


def _coordinates(designs: Sequence[Design], chosen: list[tuple[int, int]]) -> dict[str, Any]:
    names = [name for name, _, _ in designs]
    return {
        "a": (("pair",), np.array([names[i] for i, _ in chosen], object), {"long_name": "first design"}),
        "b": (("pair",), np.array([names[j] for _, j in chosen], object), {"long_name": "second design"}),
        "design": (("design",), np.array(names, object), {"long_name": "design"}),
        "bound": (("bound",), np.array(["lower", "upper"], object), {"long_name": "end of an interval"}),
    }


def _variables(found: list[Paired], adjusted: list[float], untold: int) -> dict[str, Any]:
    """The variables over `pair`. untold: [] pairs not told apart, among which Holm's method shares the risk."""

    def counts(values: list[int | None], text: str) -> tuple[tuple[str], NDArray[np.int64], dict[str, Any]]:
        known = [-1 if value is None else min(value, MOST) for value in values]
        return ("pair",), np.array(known, np.int64), _about(text)

    risk = 1.0 - found[0].confidence
    better = [VERDICTS[0 if one.only_a > one.only_b else 1] for one in found]
    verdicts = [one if p <= risk else VERDICTS[2] for one, p in zip(better, adjusted, strict=True)]
    share = {"units": "1", "confidence": found[0].confidence}
    return {
        "both_land": counts([one.both for one in found], "runs in which both land"),
        "only_a": counts([one.only_a for one in found], "runs in which a lands and b is lost"),
        "only_b": counts([one.only_b for one in found], "runs in which b lands and a is lost"),
        "neither": counts([one.neither for one in found], "runs in which both are lost"),
        "runs": counts([one.runs for one in found], "runs flown by both, invalid ones included"),
        "difference": (
            ("pair",),
            np.array([one.difference for one in found]),
            _about("success probability of a less that of b", ancillary_variables="only_a only_b runs interval"),
        ),
        "interval": (
            ("pair", "bound"),
            np.array([one.interval for one in found]),
            share | {"long_name": "interval of the difference, of this pair alone"},
        ),
        "interval_method": (
            ("pair",),
            np.array([one.method for one in found], object),
            {"long_name": "how the interval was made"},
        ),
        "p_value": (("pair",), np.array([one.p_value for one in found]), _about("McNemar's exact two-sided p-value")),
        "p_value_holm": (("pair",), np.array(adjusted), _about("p_value adjusted for the number of pairs (Holm)")),
        "verdict": (("pair",), np.array(verdicts, object), {"long_name": "which design lands more often"}),
        "runs_to_tell": counts(
            [runs_to_tell(one, POWER, untold) for one in found],
            f"runs that tell with a chance of {POWER:g} if the designs go on to differ as seen, -1 if no difference is",
        ),
        "independent_runs": counts(
            [independent_runs(one) for one in found],
            "runs of each design, on worlds of its own, for an interval of the same width, -1 without runs",
        ),
    }


def _about(text: str, **more: Any) -> dict[str, Any]:
    return {"long_name": text, "units": "1", **more}


def _plain(value: Any) -> Any:
    """A coordinate as JSON has it: a number, a text or null, never NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _padded(runs: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.concatenate([runs, np.full(size - len(runs), -1, np.int64)])


def _examples(rows: list[NDArray[np.int64]], kept: int, text: str) -> tuple[tuple[str, str], Any, dict[str, Any]]:
    return ("pair", "example"), np.array(rows, np.int64).reshape(len(rows), kept), _about(text)


# ---------------------------------------------------------------------------------------------------------------- JSON


def answer(dataset: xr.Dataset) -> dict[str, Any]:
    """The answer of a dataset made by `compare`, ready for `json.dumps`: numbers or null, never NaN."""
    names = dataset["design"].values.tolist()
    sides = {}
    for place, (name, coords) in enumerate(zip(names, json.loads(dataset.attrs["coords"]), strict=True)):
        runs, landed = int(dataset.attrs["runs"]), int(dataset["success_count"].values[place])
        sides[name] = {
            "name": name,
            "coords": coords,
            "runs": runs,
            "success_count": landed,
            "success_probability": landed / runs if runs else None,
            "success_interval": dataset["success_interval"].values[place].tolist(),
        }
    return {
        "runs": int(dataset.attrs["runs"]),
        "confidence": float(dataset.attrs["confidence"]),
        "method": dataset.attrs["method"],
        "against": dataset.attrs["against"] or None,
        "power": float(dataset.attrs["power"]),
        "designs": list(sides.values()),
        "pairs": [_pair(dataset.isel(pair=place), sides) for place in range(dataset.sizes["pair"])],
    }


def _pair(pair: xr.Dataset, sides: dict[str, Any]) -> dict[str, Any]:
    one = {name: pair[name].item() for name in ("a", "b")}
    one |= {name: int(pair[name]) for name in ("runs", "both_land", "only_a", "only_b", "neither")}
    difference = float(pair["difference"])
    needed, independent = int(pair["runs_to_tell"]), int(pair["independent_runs"])
    kept = {name: pair[f"examples_{name}"].values for name in ("only_a", "only_b")}
    return one | {
        "difference": difference if math.isfinite(difference) else None,
        "interval": pair["interval"].values.tolist(),
        "interval_method": pair["interval_method"].item(),
        "p_value": float(pair["p_value"]),
        "p_value_holm": float(pair["p_value_holm"]),
        "verdict": pair["verdict"].item(),
        "runs_to_tell": needed if needed >= 0 else None,
        "independent_runs": independent if independent >= 0 else None,
        "pairing_factor": independent / one["runs"] if independent >= 0 and one["runs"] else None,
        "success_a": _success(sides[one["a"]]),
        "success_b": _success(sides[one["b"]]),
        "examples": {name: runs[runs >= 0].tolist() for name, runs in kept.items()},
    }


def _success(side: dict[str, Any]) -> dict[str, Any]:
    return {name: side[f"success_{name}"] for name in ("count", "probability", "interval")} | {"runs": side["runs"]}


# ---------------------------------------------------------------------------------------------------------------- text


def show(answer: dict[str, Any], console: Console, replay: Callable[[str, int], str] | None = None) -> None:
    """Print the answer of `answer`. replay: the command line that shows a run of a design, by name and run number."""
    from rich.text import Text

    pairs, confidence = answer["pairs"], answer["confidence"]
    told = f"; the verdicts hold for all {len(pairs)} pairs together, each interval for its pair alone"
    told = told if len(pairs) > 1 else ""
    note = f"on the same random worlds; {100 * confidence:g} % confidence{told}"
    if len(pairs) > FULL:
        if answer["against"]:
            console.print(Text(f"each design (a) less {answer['against']} (b)"))
        console.print(_lines(answer))
        if len(pairs) > LINES:
            console.print(Text(f"and {count(len(pairs) - LINES)} more pairs, in the JSON answer"))
        console.print(Text(f"{runs_told(answer['runs'])} of each design {note}", style="dim"))
        return
    for side in answer["designs"]:
        if side["runs"]:
            text = estimate(side["success_count"], side["runs"], side["success_interval"], confidence)
            console.print(Text(f"{side['name']}: {text}"))
    for pair in pairs:
        console.print()
        console.print(Text(sentence(pair, confidence, len(pairs)), style="bold"))
        if not pair["runs"]:
            continue
        console.print(_square(pair))
        for line in _remarks(pair, answer["power"]):
            console.print(Text(f"  {line}"))
        for line in _hints(pair, replay):
            console.print(Text(f"  {line}", style="dim"), soft_wrap=True)  # to be copied
    if len(pairs) > 1:
        console.print()
        console.print(Text(f"{runs_told(answer['runs'])} of each design {note}", style="dim"))


def sentence(pair: dict[str, Any], confidence: float, pairs: int = 1) -> str:
    """Which design lands more often, by how many points, with interval, runs and the runs that differ.

    pairs: [] how many the verdict was adjusted for.

    >>> one = {"a": "old", "b": "new", "runs": 2000, "only_a": 3, "only_b": 650, "difference": -0.3235,
    ...        "interval": [-0.3442, -0.3028], "p_value": 1e-9, "verdict": "b better"}
    >>> said, runs = sentence(one, 0.95).split(", on the same ")
    >>> said
    'new lands more often than old: by 32.4 points (30.3 to 34.4, 95 % confidence)'
    >>> runs
    '2 000 worlds; it rescues 650 and loses 3'
    """
    a, b, runs, level = pair["a"], pair["b"], pair["runs"], f"{100 * confidence:g} % confidence"
    if not runs:
        return f"{a} and {b} cannot be told apart: no runs"
    more, fewer, difference, (lower, upper) = pair["only_a"], pair["only_b"], pair["difference"], pair["interval"]
    if pair["verdict"] == "b better" or (pair["verdict"] != "a better" and difference < 0):
        a, b, more, fewer, difference, lower, upper = b, a, fewer, more, -difference, -upper, -lower
    by, low, high = _points(difference, lower, upper)
    worlds = f"on the same {count(runs)} world{'s' * (runs != 1)}"
    if pair["verdict"] != "cannot tell":
        return (
            f"{a} lands more often than {b}: by {by} points ({low} to {high}, {level}), {worlds}; "
            f"it rescues {count(more)} and loses {count(fewer)}"
        )
    if more == fewer:
        seen = "no run differs" if not more else f"each rescues {count(more)} that the other loses"
        return f"cannot tell {a} from {b}: {seen}, {worlds}; the difference is {low} to {high} points ({level})"
    text = (
        f"cannot tell {a} from {b}: {a} leads by {by} points ({low} to {high}, {level}), {worlds}; "
        f"it rescues {count(more)} and loses {count(fewer)}"
    )
    if pairs > 1 and pair["p_value"] <= 1.0 - confidence:
        text += f"; told apart were this the only pair, but among {pairs} pairs such a lead comes by chance"
    return text


def _points(*shares: float) -> list[str]:
    """Differences of probabilities in points (hundredths), with the digits that the interval's width can carry.

    >>> _points(0.3235, 0.3028, 0.3442), _points(0.0007, 0.00013, 0.00146)
    (['32.4', '30.3', '34.4'], ['0.07', '0.01', '0.15'])
    """
    _, lower, upper = shares
    width = 100 * (upper - lower)
    decimals = 1 - math.floor(math.log10(width)) if width > 0 else 3
    for end in (lower, upper):
        if end:  # an end that is not zero never reads as zero
            decimals = max(decimals, min(-math.floor(math.log10(100 * abs(end))), decimals + 2))
    decimals = min(max(decimals, 1), 15)
    return [f"{100 * share + 0.0:.{decimals}f}" for share in shares]


def _square(pair: dict[str, Any]) -> Any:
    """The runs by what became of them in both designs."""
    from rich.padding import Padding
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("runs")
    for end in ("lands", "is lost"):
        table.add_column(f"{pair['b']} {end}", justify="right")
    table.add_row(f"{pair['a']} lands", count(pair["both_land"]), count(pair["only_a"]))
    table.add_row(f"{pair['a']} is lost", count(pair["only_b"]), count(pair["neither"]))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _remarks(pair: dict[str, Any], power: float) -> Iterator[str]:
    adjusted = f", {pair['p_value_holm']:.2g} adjusted for all pairs" if pair["p_value_holm"] != pair["p_value"] else ""
    yield f"McNemar's exact p-value {pair['p_value']:.2g}{adjusted}"
    if pair["verdict"] == "cannot tell" and pair["runs_to_tell"] is not None:
        more = pair["runs_to_tell"] - pair["runs"]
        if pair["runs_to_tell"] > TOO_MANY:
            yield f"more than {count(TOO_MANY)} runs would be needed to tell, if the difference stays"
        elif more > 0:
            chance = f"with a chance of {100 * power:g} %"
            yield f"about {count(_two_digits(more))} more runs would tell, {chance}, if the difference stays"
    if pair["pairing_factor"] is not None and pair["only_a"] + pair["only_b"]:
        factor = pair["pairing_factor"]
        times = f"{factor:.1f}" if factor < 10 else count(_two_digits(round(factor)))
        yield f"the same interval from independent runs takes {times} times as many"


def _two_digits(number: int) -> int:
    """Rounded up to two significant digits.

    >>> _two_digits(12345), _two_digits(7)
    (13000, 7)
    """
    unit: int = 10 ** max(len(str(number)) - 2, 0)
    return -(-number // unit) * unit


def _hints(pair: dict[str, Any], replay: Callable[[str, int], str] | None) -> Iterator[str]:
    """For each kind of run that differs the lowest one, as both designs fly it."""
    for kind, lands, lost in (("only_a", pair["a"], pair["b"]), ("only_b", pair["b"], pair["a"])):
        if runs := pair["examples"][kind]:
            listed = ", ".join(map(str, runs[:5])) + (", ..." if pair[kind] > len(runs[:5]) else "")
            yield f"{lands} lands and {lost} is lost: run{'s' * (pair[kind] > 1)} {listed}"
            if replay:
                yield f"  see both: {replay(lands, runs[0])}"
                yield f"            {replay(lost, runs[0])}"


def _lines(answer: dict[str, Any]) -> Any:
    """One line for each pair; against one design it names the other alone, by its coordinates where it has any."""
    from rich import box
    from rich.table import Table

    pairs, against = answer["pairs"], answer["against"]
    coords = _coordinates_of(answer) if against else {}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in next(iter(coords.values()), {"design": None} if against else {"a": None, "b": None}):
        table.add_column(name.replace(".", ".\n"), overflow="fold")  # a path takes lines rather than columns
    for name in ("points" if against else "a less b, points", "interval", "only a", "only b", "p (Holm)"):
        table.add_column(name, justify="left" if name == "interval" else "right", no_wrap=name == "interval")
    table.add_column("verdict")
    verdicts = {"a better": "better", "b better": "worse"} if against else {}
    for pair in pairs[:LINES]:
        by, low, high = ("", "", "") if pair["difference"] is None else _points(pair["difference"], *pair["interval"])
        chance = f"{pair['p_value_holm']:.2g}" if pair["p_value_holm"] >= 1e-4 else "< 0.0001"
        counts = count(pair["only_a"]), count(pair["only_b"])
        names = coords[pair["a"]].values() if coords else [pair["a"]] if against else [pair["a"], pair["b"]]
        verdict = verdicts.get(pair["verdict"], pair["verdict"])
        table.add_row(*names, by, f"{low} to {high}", *counts, chance, verdict)
    return table


def _coordinates_of(answer: dict[str, Any]) -> dict[str, dict[str, str]]:
    """By design, its coordinates for people, where all designs have the same ones and are told apart by them."""
    from mcrisk.tables import shown

    found = {
        side["name"]: {
            path: "-" if value is None else shown(path, value)
            for path, value in side["coords"].items()
            if path != "case"
        }
        for side in answer["designs"]
    }
    paths = {tuple(one) for one in found.values()}
    values = {tuple(one.values()) for one in found.values()}
    return found if len(paths) == 1 and () not in paths and len(values) == len(found) else {}
