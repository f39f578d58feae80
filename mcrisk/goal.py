"""What a campaign is asked for: so many runs of each case, or as many as make its interval narrow enough.

Why looks at fixed run numbers: a campaign that stops by its own figures must stop at the same run whatever the batches
and workers. Why a confidence sequence: an interval for a fixed number of runs, looked at again and again, misses the
truth in one of three campaigns.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from mcrisk.errors import MistakeError
from mcrisk.flight import KEEPS, Keep
from mcrisk.risk import IntervalMethod, Method
from mcrisk.schema import load_schema

__all__ = ["RUNS_LIMIT", "WIDTH", "Goal"]

RUNS_LIMIT = 10**12  # [run] per case: decades of computing; more is a slip of the pen
KEPT_LIMIT = 4 << 30  # [byte] of records kept in memory
LOOKS = 4  # at the figures while the runs double
FIRST_LOOK = 1024  # [run]
WIDTH = "a width between 0 and 1, such as 1 %"


@dataclass(frozen=True)
class Goal:
    """runs: of each case, at most with `precision`: the width of the success interval at which a case is done."""

    runs: int
    keep: Keep = "none"
    precision: float | None = None
    confidence: float = 0.95
    method: Method = "clopper-pearson"
    sequential: bool = False  # whether the campaign stopped by its own figures before

    @property
    def interval_method(self) -> IntervalMethod:
        """How intervals of its results are made: by a sequence, where the runs depend on what they showed."""
        return "confidence-sequence" if self.sequential or self.precision is not None else self.method

    def after(self, before: Goal) -> Goal:
        """This goal of a campaign that had another one: what stopped by its own figures once always did."""
        return replace(self, sequential=True) if before.sequential or before.precision is not None else self

    def check(self, cases: int = 1) -> Goal:
        """This goal; refuses, before anything is computed, what cannot be meant or kept."""
        if self.runs < 1:
            raise MistakeError("runs", "a whole number of at least 1", str(self.runs))
        if self.runs > RUNS_LIMIT:
            raise MistakeError("runs", f"at most {RUNS_LIMIT:.0e}".replace("e+", "e"), f"{float(self.runs):.3g}")
        if self.keep not in KEEPS:
            raise MistakeError("keep", " or ".join(KEEPS), repr(self.keep))
        if self.precision is not None and not 0 < self.precision < 1:
            raise MistakeError("precision", WIDTH, f"{self.precision:g}")
        needed = self.runs * cases * load_schema().record_bytes()
        if self.keep == "all" and needed > KEPT_LIMIT:
            remedy = "keep losses, or fly fewer runs; any single run can be replayed by its number"
            limit, got = f"records of at most {KEPT_LIMIT >> 30} GiB", f"{needed / 2**30:.0f} GiB"
            raise MistakeError("keep all", limit, got, remedy)
        return self

    def target(self, runs: int, landed: int) -> int:
        """The runs that a case of which `landed` of `runs` landed should have next: as many as it has if done.

        >>> Goal(5000).target(0, 0), Goal(5000).target(5000, 4000)
        (5000, 5000)
        >>> Goal(10**6, precision=0.1).target(0, 0), Goal(10**6, precision=0.1).target(1024, 512)
        (1024, 1218)
        """
        if self.precision is None or runs >= self.runs:
            return max(self.runs, runs)
        if runs == self.look(runs) and self._width(runs, landed) <= self.precision:
            return runs
        return self.look(runs + 1)

    def look(self, runs: int) -> int:
        """The first run number, `runs` or later, at which the figures decide.

        >>> [Goal(10**6, precision=0.1).look(runs) for runs in (0, 1024, 1025, 2000)]
        [1024, 1024, 1218, 2048]
        """
        number = max(math.floor(LOOKS * math.log2(max(runs, FIRST_LOOK) / FIRST_LOOK)) - 1, 0)
        while (look := round(FIRST_LOOK * 2 ** (number / LOOKS))) < runs:
            number += 1
        return min(look, self.runs)

    def _width(self, runs: int, landed: int) -> float:
        from mcrisk.sequence import confidence_sequence

        lower, upper = confidence_sequence(landed, runs, self.confidence)
        return upper - lower

    def to_text(self) -> str:
        """JSON from which `from_text` makes the same goal."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Goal:
        stored: dict[str, Any] = json.loads(text)
        return cls(**stored)
