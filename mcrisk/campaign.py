"""A Campaign: the immutable statement of an experiment, named by its digest.

The digest covers what decides the bits of every run: the kernels, the Params bytes of every case and the seed. It does
not cover the number of runs: more runs extend a campaign. The Params bytes are kept, so that nothing that designed
them (scipy, numpy, mcrisk itself) is ever asked again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mcrisk.errors import ImpossibleDesign, MistakeError

if TYPE_CHECKING:
    from mcrisk.mission import Mission

__all__ = ["SCHEMA_VERSION", "SEED_LIMIT", "Campaign", "Case", "state"]

SCHEMA_VERSION = 1  # of datasets, JSON answers and digests
SEED_LIMIT = 1 << 64


@dataclass(frozen=True)
class Case:
    """One design point. `coords` are its sweep coordinates (path, SI value).

    `mission` is the resolved mission as TOML, for people and for the pedigree of the inputs; it decides no bit.
    """

    name: str
    params: bytes
    coords: tuple[tuple[str, float | int | str], ...] = ()
    title: str = ""
    mission: str = ""


@dataclass(frozen=True)
class Campaign:
    """Cases flown through the same random worlds. `impossible` are the designs left out: (name, reason)."""

    name: str
    cases: tuple[Case, ...]
    seed: int
    kernel_digest: str
    real: int = 4
    impossible: tuple[tuple[str, str], ...] = ()

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
        return whole.hexdigest()

    @property
    def folder(self) -> str:
        """The name of its folder: `<name>-<first eight digits of the digest>`, safe in any file system."""
        return f"{slug(self.name)}-{self.digest[:8]}"

    def describe(self) -> dict[str, Any]:
        """The statement as JSON; the Params bytes themselves are stored beside it, here only their digests."""
        return {
            "campaign": self.digest,
            "name": self.name,
            "seed": self.seed,
            "schema_version": SCHEMA_VERSION,
            "kernel_digest": self.kernel_digest,
            "real": self.real,
            "cases": [
                {
                    "name": case.name,
                    "title": case.title,
                    "coords": dict(case.coords),
                    "mission": case.mission,
                    "params_sha256": hashlib.sha256(case.params).hexdigest(),
                }
                for case in self.cases
            ],
            "impossible": [{"name": name, "reason": reason} for name, reason in self.impossible],
        }

    @classmethod
    def restored(cls, statement: dict[str, Any], params: Sequence[bytes]) -> Campaign:
        """The campaign of a stored statement and its Params bytes; refuses bytes that are not those stated."""
        cases = tuple(
            Case(one["name"], block, tuple(one["coords"].items()), one["title"], one["mission"])
            for one, block in zip(statement["cases"], params, strict=True)
        )
        campaign = cls(
            name=statement["name"],
            cases=cases,
            seed=int(statement["seed"]),
            kernel_digest=statement["kernel_digest"],
            real=int(statement["real"]),
            impossible=tuple((one["name"], one["reason"]) for one in statement["impossible"]),
        )
        if campaign.digest != statement["campaign"]:
            raise MistakeError("stored campaign", f"digest {statement['campaign'][:8]}", campaign.digest[:8])
        return campaign


def state(missions: Sequence[Mission], seed: int = 0, real: int = 4) -> Campaign:
    """The campaign of these missions, one case each, designed and packed.

    Impossible designs are listed in it; if none is possible the first refusal is raised.
    """
    from mcrisk.native import kernel_digest
    from mcrisk.nominal import design
    from mcrisk.params import pack

    if not missions:
        raise MistakeError("no mission given", remedy="name one, such as hakuto_r_m2")
    if not 0 <= seed < SEED_LIMIT:
        raise MistakeError("seed", "0 .. 2^64 - 1", str(seed))
    cases: list[Case] = []
    impossible: list[tuple[str, str]] = []
    first: ImpossibleDesign | None = None
    for mission, name in zip(missions, _names(missions), strict=True):
        try:
            designed = design(mission)
            packed = pack(designed, real)
        except ImpossibleDesign as refusal:
            first = first or refusal
            impossible.append((name, str(refusal)))
            continue
        cases.append(Case(name, packed, title=mission.title, mission=designed.to_toml()))
    if first and not cases:
        raise first
    name = cases[0].name + (f"+{len(cases) - 1}" if len(cases) > 1 else "")
    return Campaign(name, tuple(cases), seed, kernel_digest(), real, tuple(impossible))


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
