"""How far a campaign is, on stderr: a bar with rate and running estimate in a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcrisk.ledger import count, estimate, runs_told
from mcrisk.risk import CONFIDENCE, interval
from mcrisk.schema import load_schema

if TYPE_CHECKING:
    from mcrisk.tally import Tally

__all__ = ["Progress"]

LINE_SECONDS = 10.0  # between lines where there is no terminal


class Progress:
    """Called after each batch: runs done and tallies so far. Says nothing about work shorter than a few seconds."""

    def __init__(self, total: int, cases: Sequence[str] = ()) -> None:
        self.total, self.cases = total, cases
        self.success = load_schema().enums["Outcome"]["success"]
        self.start = self.told = time.monotonic()
        self.bar: Any = None
        self.last: tuple[int, Sequence[Tally | None]] | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
            self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task(runs_told(self.total), total=self.total)
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.bar:
            self.bar.stop()
        if kind is KeyboardInterrupt and self.last:
            print(f"{self.text(*self.last, time.monotonic())}", file=sys.stderr, flush=True)

    def __call__(self, done: int, tallies: Sequence[Tally | None]) -> None:
        now = time.monotonic()
        self.last = done, tallies
        if self.bar:
            self.bar.update(self.task, completed=done, description=self.text(done, tallies, now))
        elif now - self.told > LINE_SECONDS and done < self.total:
            self.told = now
            print(self.text(done, tallies, now), file=sys.stderr, flush=True)

    def text(self, done: int, tallies: Sequence[Tally | None], now: float) -> str:
        """Runs, rate, and the estimate of the case that is flown now."""
        place, tally = [(place, one) for place, one in enumerate(tallies) if one is not None][-1]
        name = f"{self.cases[place]}: " if len(self.cases) > 1 else ""
        runs, landed = tally.runs, int(tally.counts[self.success].sum())
        rate = done / max(now - self.start, 1e-3)
        so_far = estimate(landed, runs, interval(landed, runs), CONFIDENCE)
        return f"{count(done)} of {runs_told(self.total)}, {count(round(rate))} runs/s; {name}{so_far}"
