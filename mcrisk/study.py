"""A Study: missions along axes of changed parameters. What it asks for is a list of design points.

    title = "RESILIENCE: how early must the range finder see the ground?"
    missions = ["hakuto_r_m2_late_rangefinder"]
    runs = 2000

    [axes]                            # a full grid, in this order
    "altimeter.range_max" = ["0.6 km", "1.2 km", "3 km"]
    "propulsion.main.thrust" = { from = "360 N", to = "440 N", points = 5 }        # spacing = "log" for equal ratios

    [zip.class]                       # paths that change together, along one dimension of that name
    "imu.gyro_bias" = ["0.02 deg/h", "1 deg/h"]
    "imu.accel_bias" = ["20 ug", "300 ug"]

    [designs.main_retained]           # named alternatives; the empty one is the mission itself
    "guidance.main_off_height" = "0 m"

    [sampling]                        # instead of a grid: points spread over the ranges of [axes]
    method = "sobol"                  # scrambled Sobol' points (Owen 1998), or latin_hypercube (McKay et al. 1979)
    points = 64

A path is anything that `Mission.replace` takes: parameters, faults, widths of dispersions, site, guidance choices. All
points share the same random worlds.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from . import config, units
from .errors import MistakeError, Problems, command, suggestion, visible
from .mission import Mission, load
from .tables import LISTS, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Axis", "Point", "Range", "Sampling", "Study", "load_study", "make_study"]

POINTS_LIMIT = 100_000  # design points of a study
AXES_LIMIT = 32  # dimensions of a dataset that numpy holds, less its own
TOLD = 10  # mistakes shown at once
SHORT = 100  # values of an axis that is checked before longer ones
RUNS_LIMIT, SEED_LIMIT = 10**12, 1 << 64  # those of `goal` and `campaign`, which need this file
RESERVED = re.compile(
    r"axis|bin(_\w+)?|bound|byte|case|cause(_\w+)?|direction(_\w+)?|example_run|group|impossible|invalid|landing_\w+|"
    r"metric(_\w+)?|mission|outcome(_\w+)?|params|quantile|runs|success_\w+"
)  # names in every dataset
KEYS = ("title", "mission", "missions", "runs", "seed", "axes", "zip", "designs", "sampling")
Spacing = Literal["linear", "log"]
Method = Literal["sobol", "latin_hypercube"]


@dataclass(frozen=True)
class Range:
    """Equally spaced values: by difference (linear) or by ratio (log). The ends are texts with units, or SI numbers."""

    start: Any
    stop: Any
    points: int = 0  # 0: no grid, only a range to sample from
    spacing: Spacing = "linear"


@dataclass(frozen=True)
class Axis:
    """One dimension: `columns` of values by path, all of one length, or named alternatives: `labels` and `changes`."""

    dim: str
    columns: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()  # of named alternatives
    changes: tuple[Mapping[str, Any], ...] = ()  # of named alternatives

    def __len__(self) -> int:
        return len(self.labels) or len(next(iter(self.columns.values())))

    def at(self, place: int) -> dict[str, Any]:
        """The changes at one place."""
        return dict(self.changes[place]) if self.changes else {path: one[place] for path, one in self.columns.items()}


@dataclass(frozen=True)
class Sampling:
    """Points spread over ranges instead of a grid."""

    method: Method
    points: int
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """One design point, changed from its base. `coords`: labels by dimension, SI values by path; `place`: row-major."""

    name: str
    mission: Mission
    base: Mission
    coords: tuple[tuple[str, float | int | str], ...]
    place: int


@dataclass(frozen=True)
class Study:
    """Missions along axes. A grid has one dimension for each axis, sampled points have one in all."""

    name: str
    missions: tuple[Mission, ...]
    axes: tuple[Axis, ...] = ()
    sampled: bool = False
    title: str = ""
    runs: int | None = None
    seed: int | None = None
    file: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(len(axis) for axis in self.axes)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def points(self) -> list[Point]:
        """Every design point, the last axis running fastest. Raises the mistakes of several together."""
        if sum(self.shape) < len(self):  # a wrong value is found at once, not after all the points before it
            self._checked(self._crossing([number for number, size in enumerate(self.shape) if size <= SHORT]))
            self._checked(self._crossing([number for number, size in enumerate(self.shape) if size > SHORT]))
        found = self._checked(itertools.product(*map(range, self.shape)))
        if not self.sampled:
            self._refuse_equal_values(found)
        return found

    def _crossing(self, numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Places at which every value of these axes is met, the others at their first."""
        for number in numbers:
            for at in range(self.shape[number]):
                yield tuple(at if one == number else 0 for one in range(len(self.shape)))

    def _checked(self, grid: Iterable[tuple[int, ...]]) -> list[Point]:
        """The points at these places of the grid."""
        found: list[Point] = []
        mistakes: dict[str, MistakeError] = {}
        for place, places in enumerate(grid):
            try:
                found.append(self._point(place, places))
            except MistakeError as mistake:
                lines = str(mistake).splitlines()
                mistakes |= {line: MistakeError(f"{self.file}: {line}" if self.file else line) for line in lines}
                if len(mistakes) >= TOLD:
                    break
        if mistakes:
            raise MistakeError.together(mistakes.values())
        return found

    def _refuse_equal_values(self, points: Sequence[Point]) -> None:
        """A value stated twice would be flown twice under one name."""
        stride = len(self)
        for axis in self.axes:
            stride //= len(axis)
            if axis.labels:
                continue
            seen: set[tuple[Any, ...]] = set()
            for at in range(len(axis)):
                coords = dict(points[at * stride].coords)
                row = tuple(coords[path] for path in axis.columns)
                if row in seen:
                    told = ", ".join(f"{path} {shown(path, coords[path])}" for path in axis.columns)
                    where = f"{self.file}: axes" if self.file else "axes"
                    raise MistakeError(where, "each value of an axis once", f"{told} twice")
                seen.add(row)

    def _point(self, place: int, places: tuple[int, ...]) -> Point:
        mission = self.missions[0]
        changes: dict[str, Any] = {}
        labels: dict[str, str] = {}
        for axis, at in zip(self.axes, places, strict=True):
            if axis.dim == "mission":
                mission = self.missions[at]
            if axis.labels:
                labels[axis.dim] = axis.labels[at]
            changes |= axis.at(at)
        changed = mission.replace(changes) if changes else mission
        coords = {path: _coordinate(changed, path) for axis in self.axes for path in axis.columns}
        name = _name(mission, labels, coords)
        return Point(name, changed, mission, (*labels.items(), *coords.items()), place)


def load_study(name_or_path: str | Path, changes: Mapping[str, Any] | None = None) -> Study:
    """The study of a file, or of the bare name of a shipped one; `changes` by path go into all its missions first."""
    path = _study_file(str(name_or_path))
    tree = config.read_toml(path)
    file = str(path)
    if not {"mission", "missions"} & tree.keys() and {"base", "site", "orbit", "mass"} & tree.keys():
        raise MistakeError(file, "a study", "a mission", f"fly it: {command('run', file)}")
    for key in tree:
        if key not in KEYS:
            remedy = suggestion(key, KEYS) or f"known: {', '.join(KEYS)}"
            raise MistakeError(f"{file}: unknown key '{visible(key)}'", remedy=remedy)
    names = tree.get("missions", [tree["mission"]] if "mission" in tree else None)
    if ("mission" in tree) == ("missions" in tree) or not isinstance(names, list) or not names:
        got = "both mission and missions" if {"mission", "missions"} <= tree.keys() else units.shown(names)
        got = "nothing" if names is None else got
        raise MistakeError(f"{file}: missions", 'one list such as missions = ["hakuto_r_m2"]', got)
    missions: list[Mission] = []
    problems = Problems()
    for one in names:
        with problems.caught():
            if not isinstance(one, str):
                raise MistakeError(f"{file}: missions", "names or paths", units.shown(one))
            beside = path.parent / one
            found = one.endswith(".toml") and config.lies_at(beside) == "a file"
            if found and beside.samefile(path):
                raise MistakeError(f"{file}: missions", "missions", "this study itself")
            try:
                mission = load(beside if found else one)
            except MistakeError as mistake:
                raise MistakeError(
                    "\n".join(f"{file}: missions: {line}" for line in str(mistake).splitlines())
                ) from None
            missions.append(mission.replace(changes) if changes else mission)
    problems.check()
    title = tree.get("title", "")
    if not isinstance(title, str):
        raise MistakeError(f"{file}: title", "a text", units.shown(title))
    study = _study_of(tree, missions, path, title)
    for axis in study.axes:
        for name in changes or ():
            if any(_overlap(name, one) for one in axis.columns):
                raise MistakeError("--set", f"no path of an axis of {file}", name, "change it in the study")
    return study


def _study_file(text: str) -> Path:
    """The file of a study; what else the text could mean is told."""
    known = config.shipped("studies")
    if text in known or text.endswith(".toml") or not config.NAME.fullmatch(text):
        return config.find(text, "studies")
    if text in config.shipped():
        raise MistakeError(f"'{text}'", "a study", "a mission", f"fly it: {command('run', text)}")
    got = what if (what := config.lies_at(Path(text))) != "no such file" else ""
    remedy = suggestion(text, known) or f"shipped: {', '.join(known)}"
    if got:
        raise MistakeError(f"'{text}'", "a study file (.toml) or the bare name of a shipped study", got, remedy)
    raise MistakeError(f"no study called '{text}'", remedy=remedy)


def _study_of(tree: Mapping[str, Any], missions: Sequence[Mission], path: Path, title: str) -> Study:
    file = str(path)
    return make_study(
        missions,
        tree.get("axes"),
        zipped=tree.get("zip"),
        designs=tree.get("designs"),
        sampling=tree.get("sampling"),
        name=path.stem,
        title=title,
        runs=_count(tree, "runs", file, 1, RUNS_LIMIT),
        seed=_count(tree, "seed", file, 0, SEED_LIMIT - 1),
        file=file,
    )


def make_study(
    missions: Sequence[Mission],
    axes: Mapping[str, Any] | None = None,
    *,
    zipped: Mapping[str, Any] | None = None,
    designs: Mapping[str, Any] | None = None,
    sampling: Mapping[str, Any] | None = None,
    name: str = "sweep",
    title: str = "",
    runs: int | None = None,
    seed: int | None = None,
    file: str = "",
) -> Study:
    """The study of these missions.

    axes: values by path: a list, or a range {"from", "to", "points", "spacing"}. zipped: name, then lists by path.
    designs: name, then values by path. sampling: {"method", "points", "seed"}, for ranges instead of lists.
    Values are unit texts or SI numbers; of a file, a number has a unit where the path has one. Raises `MistakeError`.
    """
    where = f"{file}: " if file else ""
    if not missions:
        raise MistakeError(f"{where}missions", "at least one", "none")
    tables = {"axes": axes, "zip": zipped, "designs": designs, "sampling": sampling}
    for key, table in tables.items():
        if table is not None and not isinstance(table, Mapping):
            raise MistakeError(f"{where}{key}", f"a table [{key}]", units.shown(table))
    found: list[Axis] = []
    problems = Problems()
    if len(missions) > 1:
        labels = [one.name for one in missions]
        if len(set(labels)) < len(labels):
            raise MistakeError(f"{where}missions", "each mission once", ", ".join(labels))
        found.append(Axis("mission", labels=tuple(labels), changes=({},) * len(labels)))
    if designs:
        with problems.caught():
            found.append(_designs(designs, where))
    ranges: dict[str, Range] = {}
    for path, raw in _flat_paths(axes or {}):
        if len(problems.mistakes) >= TOLD:
            break
        with problems.caught():
            at = f"{where}axes: {path}"
            if isinstance(raw, (Mapping, Range)):
                one = raw if isinstance(raw, Range) else _range(raw, at)
                one = replace(one, start=_written(path, one.start, where), stop=_written(path, one.stop, where))
                if sampling is not None:
                    ranges[path] = one
                else:
                    found.append(Axis(path, {path: _spaced(missions[0], path, one, at)}))
            elif sampling is not None:
                raise MistakeError(at, "a range { from = ..., to = ... }, as [sampling] is stated", units.shown(raw))
            else:
                found.append(Axis(path, {path: _written(path, _values(raw, at), where)}))
    for dim, columns in (zipped or {}).items():
        with problems.caught():
            found.append(_zipped(dim, columns, where))
    problems.check()
    if len(found) > AXES_LIMIT:
        remedy = "let paths change together in [zip.NAME], or spread points by [sampling]"
        raise MistakeError(f"{where}axes", f"at most {AXES_LIMIT}", str(len(found)), remedy)
    if sampling is not None:
        found.append(_sampled(missions[0], ranges, _sampling(sampling, where), where))
    _check_dims(found, where)
    study = Study(name, tuple(missions), tuple(found), sampling is not None, title, runs, seed, file)
    if len(study) > POINTS_LIMIT:
        raise MistakeError(f"{where}axes", f"at most {POINTS_LIMIT} design points", str(len(study)))
    return study


# -------------------------------------------------------------------------------------------------------------- pieces


def _written(path: str, raw: Any, where: str) -> Any:
    """A value as a file states it: a number is no SI number there but a text without a unit."""
    if not where or path in LISTS or isinstance(raw, bool):
        return raw
    if isinstance(raw, (list, tuple)):
        return type(raw)(_written(path, one, where) for one in raw)
    return str(raw) if isinstance(raw, (int, float)) else raw


def _flat_paths(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Values by path: `"altimeter.range_max" = [...]` and `altimeter.range_max = [...]` alike."""
    found: list[tuple[str, Any]] = []
    for key, raw in tree.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        nested = isinstance(raw, Mapping) and not {"from", "to", "points", "spacing"} & raw.keys()
        found += _flat_paths(raw, path) if nested and raw else [(path, raw)]
    return found


def _values(raw: object, at: str) -> tuple[Any, ...]:
    import numpy as np

    values = raw.tolist() if isinstance(raw, np.ndarray) else raw
    if not isinstance(values, (list, tuple)) or not values:
        raise MistakeError(
            at, 'a list such as ["1 km", "3 km"], or { from = "1 km", to = "3 km", points = 5 }', units.shown(raw)
        )
    return tuple(values)


def _range(raw: Mapping[str, Any], at: str) -> Range:
    keys = ("from", "to", "points", "spacing")
    for key in raw:
        if key not in keys:
            raise MistakeError(f"{at}: unknown key '{visible(str(key))}'", remedy=f"known: {', '.join(keys)}")
    if "from" not in raw or "to" not in raw:
        raise MistakeError(at, "both from and to", ", ".join(raw) or "neither")
    points, spacing = raw.get("points", 0), raw.get("spacing", "linear")
    if isinstance(points, bool) or not isinstance(points, int) or ("points" in raw and points < 2):
        raise MistakeError(f"{at}.points", "a whole number of at least 2", units.shown(points))
    if points > POINTS_LIMIT:
        raise MistakeError(f"{at}.points", f"at most {POINTS_LIMIT} design points", units.shown(points))
    if spacing not in get_args(Spacing):
        raise MistakeError(f"{at}.spacing", " or ".join(get_args(Spacing)), units.shown(spacing))
    return Range(raw["from"], raw["to"], points, spacing)


def _ends(mission: Mission, path: str, one: Range, at: str) -> tuple[float | int, float | int]:
    """The ends of a range in SI."""
    where = at.removesuffix(path)
    ends = []
    for end in (one.start, one.stop):
        try:
            ends.append(mission.replace({path: end}).value(path))
        except MistakeError as mistake:
            raise MistakeError(f"{where}{mistake}") from None
    if not all(isinstance(end, (int, float)) for end in ends):
        raise MistakeError(at, "a list of values: a range needs numbers", units.shown(one.start))
    if one.spacing == "log" and min(ends) <= 0:
        raise MistakeError(
            at, "ends above zero for log spacing", f"{units.shown(one.start)} to {units.shown(one.stop)}"
        )
    if ends[0] == ends[1]:
        raise MistakeError(at, "two ends that differ", f"{units.shown(one.start)} twice")
    return ends[0], ends[1]


def _spread(one: Range, ends: tuple[float | int, float | int], share: NDArray[Any]) -> tuple[float | int, ...]:
    """Values at shares 0 .. 1 of a range, in SI; rounded to 12 digits, so that another libm changes no campaign."""
    low, high = (float(end) for end in ends)
    if one.spacing == "log":
        values = [math.exp(math.log(low) + float(part) * (math.log(high) - math.log(low))) for part in share]
    else:
        values = [low + float(part) * (high - low) for part in share]
    if all(isinstance(end, int) for end in ends):
        return tuple(round(value) for value in values)
    return tuple(float(f"{value:.11e}") for value in values)


def _spaced(mission: Mission, path: str, one: Range, at: str) -> tuple[float | int, ...]:
    import numpy as np

    if not one.points:
        raise MistakeError(f"{at}.points", "how many", "nothing", "write points = 5")
    return _spread(one, _ends(mission, path, one, at), np.linspace(0, 1, one.points))


def _zipped(dim: str, columns: object, where: str) -> Axis:
    at = f"{where}zip.{dim}"
    if not isinstance(dim, str) or not config.NAME.fullmatch(dim):
        raise MistakeError(f"{where}zip", "names of letters, digits, _ - and .", units.shown(dim))
    if RESERVED.fullmatch(dim):
        raise MistakeError(at, "a name that no dataset has already", f"'{dim}'", "choose another")
    if not isinstance(columns, Mapping) or not columns:
        got = units.shown(columns) if columns else "nothing in it"
        raise MistakeError(at, f"a table [zip.{dim}] of lists by path", got)
    found = {}
    for path, raw in _flat_paths(columns):
        if isinstance(raw, Mapping):
            raise MistakeError(f"{at}: {path}", 'a list such as ["1 km", "3 km"]', "a table")
        found[path] = _written(path, _values(raw, f"{at}: {path}"), where)
    if len({len(one) for one in found.values()}) > 1:
        lengths = ", ".join(f"{path}: {len(one)}" for path, one in found.items())
        raise MistakeError(at, "lists of one length", lengths)
    return Axis(dim, found)


def _designs(designs: Mapping[str, Any], where: str) -> Axis:
    changes = []
    problems = Problems()
    for label, raw in designs.items():
        with problems.caught():
            if not isinstance(label, str) or not config.NAME.fullmatch(label):
                raise MistakeError(f"{where}designs", "names of letters, digits, _ - and .", units.shown(label))
            if not isinstance(raw, Mapping):
                raise MistakeError(f"{where}designs.{label}", f"a table [designs.{label}]", units.shown(raw))
            changes.append({path: _written(path, one, where) for path, one in _flat_paths(raw)})
    problems.check()
    return Axis("design", labels=tuple(designs), changes=tuple(changes))


def _sampling(raw: Mapping[str, Any], where: str) -> Sampling:
    keys = ("method", "points", "seed")
    for key in raw:
        if key not in keys:
            raise MistakeError(
                f"{where}sampling: unknown key '{visible(str(key))}'", remedy=f"known: {', '.join(keys)}"
            )
    method, points, seed = raw.get("method"), raw.get("points"), raw.get("seed", 0)
    if not isinstance(method, str) or method not in get_args(Method):
        got = units.shown(method) if "method" in raw else "nothing"
        remedy = suggestion(method, get_args(Method)) if isinstance(method, str) else ""
        raise MistakeError(f"{where}sampling.method", " or ".join(get_args(Method)), got, remedy)
    for key, value, least in (("points", points, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least or value > POINTS_LIMIT:
            raise MistakeError(
                f"{where}sampling.{key}",
                f"a whole number from {least} to {POINTS_LIMIT}",
                "nothing" if value is None else units.shown(value),
            )
    return Sampling(method, points, seed)  # type: ignore[arg-type]


def _sampled(mission: Mission, ranges: Mapping[str, Range], sampling: Sampling, where: str) -> Axis:
    """Points in the unit cube, stretched over the ranges."""
    import numpy as np

    if not ranges:
        raise MistakeError(f"{where}sampling", "ranges to sample in [axes]", "none")
    ends = {}
    problems = Problems()
    for path, one in ranges.items():
        if len(problems.mistakes) >= TOLD:
            break
        with problems.caught():
            at = f"{where}axes: {path}"
            if one.points:
                raise MistakeError(f"{at}.points", "nothing: [sampling] says how many", str(one.points))
            ends[path] = _ends(mission, path, one, at)
    problems.check()
    from scipy.stats import qmc

    random = np.random.default_rng(sampling.seed)
    if sampling.method == "sobol":
        cube = qmc.Sobol(len(ranges), rng=random).random_base2(math.ceil(math.log2(sampling.points)))[: sampling.points]
    else:
        cube = qmc.LatinHypercube(len(ranges), rng=random).random(sampling.points)
    shares = zip(ranges.items(), cube.T, strict=True)
    return Axis("case", {path: _spread(one, ends[path], share) for (path, one), share in shares})


def _check_dims(axes: Sequence[Axis], where: str) -> None:
    """Each dimension and each path once, a path and its component being one; designs may share them."""
    dims: list[str] = []
    paths: list[str] = []
    for axis in axes:
        own = [*axis.columns, *dict.fromkeys(path for change in axis.changes for path in change)]
        for name in dict.fromkeys((axis.dim, *own)):
            if name in dims or name in paths:
                raise MistakeError(f"{where}axes", "each path and name once", f"{name} twice")
        for place, path in enumerate(own):
            others = paths + (list(axis.columns)[:place] if axis.columns else [])
            if twin := next((one for one in others if _overlap(one, path)), None):
                raise MistakeError(f"{where}axes", "each path and name once", f"{twin} and {path}")
        dims.append(axis.dim)
        paths += own


def _overlap(one: str, other: str) -> bool:
    """Whether two paths change the same: they are one, or one is a component of the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _coordinate(mission: Mission, path: str) -> float | int | str:
    """The SI value at a path, as a dataset can hold it."""
    value = mission.value(path)
    if isinstance(value, (str, int, float)):
        return value
    return " ".join(one if isinstance(one, str) else f"{one:.6g}" for one in value)


def _name(mission: Mission, labels: Mapping[str, str], coords: Mapping[str, Any]) -> str:
    """`hakuto_r_m2: design main_retained, altimeter.range_max 600 m`."""
    parts = [f"{dim} {label}" for dim, label in labels.items() if dim != "mission"]
    parts += [f"{path} {shown(path, value)}" for path, value in coords.items()]
    return f"{mission.name}: {', '.join(parts)}" if parts else mission.name


def _count(tree: Mapping[str, Any], key: str, file: str, least: int, most: int) -> int | None:
    value = tree.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
        limit = f"{most:.0e}".replace("e+", "e") if key == "runs" else "2^64 - 1"
        raise MistakeError(f"{file}: {key}", f"a whole number from {least} to {limit}", units.shown(value))
    return value
