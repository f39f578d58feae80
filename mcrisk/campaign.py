"""A Campaign: the immutable statement of an experiment, named by its digest.

The digest covers what decides the bits of every run: the kernels, the Params bytes of every case and the seed. It does
not cover the number of runs: more runs extend a campaign. The Params bytes are kept, so that nothing that designed
them (scipy, numpy, mcrisk itself) is ever asked again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from mcrisk.errors import ImpossibleDesign, MistakeError
from mcrisk.study import Point

if TYPE_CHECKING:
    from mcrisk.mission import Mission
    from mcrisk.study import Study

__all__ = [
    "SCHEMA_VERSION", "SEED_LIMIT", "Axis", "Campaign", "Case", "Impossible", "case_axis", "digest_of", "state",
    "state_study",
]  # fmt: skip

SCHEMA_VERSION = 2  # of datasets, JSON answers and digests
SEED_LIMIT = 1 << 64


Coordinate = float | int | str


@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep: its coordinates by name, each of `size` values (SI numbers or labels)."""

    dim: str
    size: int
    columns: tuple[tuple[str, tuple[Coordinate, ...]], ...]


@dataclass(frozen=True)
class Case:
    """One design point. `coords` are its sweep coordinates (path, SI value), `place` its index in the grid of the axes.

    `mission` is the mission as TOML, of a design point that of its base, for people and for the pedigree of the inputs;
    `resolved` is the whole design of this very point, kept by the store. Neither decides a bit. heights: those of the
    elevation model, as `ground.of` packs them, one object for all cases that share them.
    """

    name: str
    params: bytes
    coords: tuple[tuple[str, Coordinate], ...] = ()
    title: str = ""
    mission: str = ""
    place: int = 0
    resolved: str = field(default="", compare=False)
    heights: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Impossible:
    """A design point that cannot fly, and why."""

    name: str
    reason: str
    coords: tuple[tuple[str, Coordinate], ...] = ()
    place: int = 0


@dataclass(frozen=True)
class Campaign:
    """Cases flown through the same random worlds, along the axes of a sweep, and the designs that cannot fly."""

    name: str
    cases: tuple[Case, ...]
    seed: int
    kernel_digest: str
    real: int = 4
    impossible: tuple[Impossible, ...] = ()
    axes: tuple[Axis, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that decides the bits of a run, 64 hexadecimal digits.

        >>> one = Campaign("a", (Case("a", b"params"),), seed=7, kernel_digest="0" * 64)
        >>> one.digest == Campaign("b", (Case("b", b"params"),), seed=7, kernel_digest="0" * 64).digest
        True
        >>> one.digest == Campaign("a", (Case("a", b"params"),), seed=8, kernel_digest="0" * 64).digest
        False
        """
        whole = hashlib.sha256()
        head = {"schema": SCHEMA_VERSION, "kernel": self.kernel_digest, "real": self.real, "seed": self.seed}
        whole.update(json.dumps(head, sort_keys=True).encode())
        for case in self.cases:
            whole.update(hashlib.sha256(case.params).digest())
            if case.heights:
                whole.update(b"heights" + digest_of(case.heights))
        return whole.hexdigest()

    @property
    def folder(self) -> str:
        """The name of its folder: `<name>-<first eight digits of the digest>`, safe in any file system."""
        return f"{slug(self.name)}-{self.digest[:8]}"

    def describe(self) -> dict[str, Any]:
        """The statement as JSON: digests of the Params bytes, each mission once, no resolved designs."""
        missions = {text: number for number, text in enumerate(dict.fromkeys(case.mission for case in self.cases))}
        return {
            "campaign": self.digest,
            "name": self.name,
            "seed": self.seed,
            "schema_version": SCHEMA_VERSION,
            "kernel_digest": self.kernel_digest,
            "real": self.real,
            "missions": list(missions),
            "cases": [
                {
                    "name": case.name,
                    "title": case.title,
                    "coords": dict(case.coords),
                    "place": case.place,
                    "mission": missions[case.mission],
                    "params_sha256": hashlib.sha256(case.params).hexdigest(),
                    **({"heights_sha256": digest_of(case.heights).hex()} if case.heights else {}),
                }
                for case in self.cases
            ],
            "impossible": [
                {"name": one.name, "reason": one.reason, "coords": dict(one.coords), "place": one.place}
                for one in self.impossible
            ],
            "axes": [{"dim": axis.dim, "size": axis.size, "columns": dict(axis.columns)} for axis in self.axes],
        }

    @classmethod
    def restored(
        cls, statement: dict[str, Any], params: Sequence[bytes], heights: Mapping[str, bytes] | None = None
    ) -> Campaign:
        """The campaign of a stored statement and its Params bytes; refuses bytes that are not those stated.

        heights: those of elevation models by their SHA-256.
        """
        missions = statement["missions"]
        known = {"": b"", **(heights or {})}
        cases = tuple(
            Case(
                one["name"], block, tuple(one["coords"].items()), one["title"], missions[one["mission"]],
                int(one["place"]), heights=known.get(one.get("heights_sha256", ""), b"lost"),
            )
            for one, block in zip(statement["cases"], params, strict=True)
        )  # fmt: skip
        campaign = cls(
            name=statement["name"],
            cases=cases,
            seed=int(statement["seed"]),
            kernel_digest=statement["kernel_digest"],
            real=int(statement["real"]),
            impossible=tuple(
                Impossible(one["name"], one["reason"], tuple(one["coords"].items()), int(one["place"]))
                for one in statement["impossible"]
            ),
            axes=tuple(
                Axis(
                    one["dim"],
                    int(one["size"]),
                    tuple((name, tuple(values)) for name, values in one["columns"].items()),
                )
                for one in statement["axes"]
            ),
        )
        if campaign.digest != statement["campaign"]:
            raise MistakeError("stored campaign", f"digest {statement['campaign'][:8]}", campaign.digest[:8])
        return campaign


@lru_cache(maxsize=8)
def digest_of(heights: bytes) -> bytes:
    """SHA-256 of the heights of an elevation model, which many cases share."""
    return hashlib.sha256(heights).digest()


def state(missions: Sequence[Mission], seed: int = 0, real: int = 4) -> Campaign:
    """The campaign of these missions, one case each along `case`, designed and packed.

    Impossible designs are listed in it; if none is possible the first refusal is raised.
    """
    if not missions:
        raise MistakeError("no mission given", remedy="name one, such as hakuto_r_m2")
    points = [
        Point(name, mission, mission, (), place)
        for place, (mission, name) in enumerate(zip(missions, _names(missions), strict=True))
    ]
    cases, impossible = _designed(points, real)
    name = cases[0].name + (f"+{len(cases) - 1}" if len(cases) > 1 else "")
    return _campaign(name, cases, impossible, case_axis([point.name for point in points]), seed, real)


def case_axis(names: Sequence[str]) -> tuple[Axis, ...]:
    """The axis `case` on which missions lie, impossible ones too; a single one needs none."""
    return (Axis("case", len(names), (("case", tuple(names)),)),) if len(names) > 1 else ()


def state_study(study: Study, seed: int = 0, real: int = 4) -> Campaign:
    """The campaign of a study: its design points, designed and packed, along its axes.

    Impossible designs are listed in it; if none is possible the first refusal is raised.
    """
    points = study.points()
    cases, impossible = _designed(points, real)
    known: dict[int, dict[str, Coordinate]] = {one.place: dict(one.coords) for one in points}
    axes = []
    stride = len(points)
    for axis in study.axes:
        stride //= len(axis)
        rows = [known[index * stride] for index in range(len(axis))]
        names = [axis.dim] if axis.labels else list(axis.columns)
        columns = [(name, tuple(row[name] for row in rows)) for name in names]
        if axis.dim == "case":
            columns.insert(0, ("case", tuple(one.name for one in points)))
        axes.append(Axis(axis.dim, len(axis), tuple(columns)))
    return _campaign(study.name, cases, impossible, tuple(axes), seed, real)


def _designed(points: Sequence[Point], real: int) -> tuple[tuple[Case, ...], tuple[Impossible, ...]]:
    from mcrisk.ground import heights_of
    from mcrisk.nominal import design
    from mcrisk.params import pack

    cases: list[Case] = []
    impossible: list[Impossible] = []
    stated: dict[int, str] = {}  # TOML of the missions, by identity
    first: ImpossibleDesign | None = None
    for point in points:
        try:
            designed = design(point.mission)
            packed = pack(designed, real)
        except ImpossibleDesign as refusal:
            first = first or refusal
            impossible.append(Impossible(point.name, str(refusal), point.coords, point.place))
            continue
        if id(point.base) not in stated:
            stated[id(point.base)] = point.base.to_toml()
        text = stated[id(point.base)]
        title, resolved = point.mission.title, designed.to_toml()
        cases.append(Case(point.name, packed, point.coords, title, text, point.place, resolved, heights_of(designed)))
    if first and not cases:
        raise first
    return tuple(cases), tuple(impossible)


def _campaign(
    name: str,
    cases: tuple[Case, ...],
    impossible: tuple[Impossible, ...],
    axes: tuple[Axis, ...],
    seed: int,
    real: int,
) -> Campaign:
    from mcrisk.native import kernel_digest

    if not 0 <= seed < SEED_LIMIT:
        raise MistakeError("seed", "0 .. 2^64 - 1", str(seed))
    return Campaign(name, cases, seed, kernel_digest(), real, impossible, axes)


def slug(name: str) -> str:
    """A name that cannot leave its folder: letters, digits, `_`, `+`, `-` and inner dots, at most 80 of them.

    >>> slug("../../etc/passwd"), slug("hakuto_r_m2"), slug("")
    ('etc-passwd', 'hakuto_r_m2', 'campaign')
    """
    return re.sub(r"[^A-Za-z0-9_+.]+", "-", name).strip("-.")[:80].rstrip("-.") or "campaign"


def _names(missions: Sequence[Mission]) -> list[str]:
    """The names of the missions, numbered where they repeat."""
    names = [mission.name for mission in missions]
    return [
        f"{name}#{names[: place + 1].count(name)}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]
