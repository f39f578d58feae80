"""How a campaign is, on stderr: in a terminal a bar, rates and the cases flown last; elsewhere a line now and then.

All figures are provisional while a campaign flies, and say "so far": it may go on or stop by what they show.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mcrisk.errors import visible
from mcrisk.ledger import count, estimate, runs_told
from mcrisk.risk import CONFIDENCE, interval

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

__all__ = ["Progress"]

LINE_SECONDS = 30.0  # between lines where there is no terminal
RECENT_SECONDS = 10.0  # over which the present rate is taken
SAMPLE_SECONDS = 0.25  # between two notes of the runs flown
SHOWN_CASES = 6  # those flown last
BAR_LEAST, BAR_MOST = 10, 60  # [column]
NAME_LEAST = 12  # [column] that a name keeps where the terminal is narrow
NAME_MOST = 60  # [character]


class Progress:
    """Called after each batch with the case's runs and landings so far; a context that shows them on stderr.

    total_runs: of all cases together. Counts are kept as 16 bytes per case. Calls may come from any thread.
    """

    def __init__(self, total_runs: int, cases: Sequence[str]) -> None:
        self.total_runs, self.cases = total_runs, cases
        self.done = self.flown = self.batches = self.finished = 0  # flown: in this session, what was held left out
        self._runs, self._landed = (array("q", bytes(8 * len(cases))) for _ in range(2))
        self._wanted = max(total_runs // max(len(cases), 1), 1)  # [run] of each case
        self._latest: dict[int, None] = {}  # cases flown last, the newest at the end
        self._lock = threading.Lock()
        self._live: Any = None
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        self.start = self._told = now
        self._samples = deque([(now, 0)])

    def __enter__(self) -> Progress:
        self._begin(time.monotonic())
        if sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            if console.is_interactive:  # stdout is left alone: it may be a file, and the answer goes there
                self._live = Live(console=console, transient=True, redirect_stdout=False, get_renderable=lambda: self)
                self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        if kind is KeyboardInterrupt and self._latest:
            print(self.text(time.monotonic()), file=sys.stderr, flush=True)

    def held(self, case: int, runs: int, landed: int) -> None:
        """Runs and landings of a case that a store has already, told before the first batch."""
        with self._lock:
            self._count(case, runs, landed)
            if not self.flown:
                self._begin(time.monotonic())

    def __call__(self, case: int, runs: int, landed: int) -> None:
        """After a batch: all runs and landings of its case so far."""
        now = time.monotonic()
        with self._lock:
            self.flown += self._count(case, runs, landed)
            self.batches += 1
            if now - self._samples[-1][0] >= SAMPLE_SECONDS:
                self._sample(now)
            told = not self._live and now - self._told >= LINE_SECONDS and self.done < self.total_runs
            if told:
                self._told = now
        if told:
            print(self.text(now), file=sys.stderr, flush=True)

    def _count(self, case: int, runs: int, landed: int) -> int:
        """Note the state of a case; how many runs are new."""
        before = self._runs[case]
        self._runs[case], self._landed[case] = runs, landed
        self.done += runs - before
        self.finished += (runs >= self._wanted) - (before >= self._wanted)
        self._latest.pop(case, None)
        self._latest[case] = None
        if len(self._latest) > SHOWN_CASES:
            del self._latest[next(iter(self._latest))]
        return runs - before

    def _sample(self, now: float) -> None:
        """Note the runs flown, and forget notes beyond the last one that is old enough."""
        self._samples.append((now, self.flown))
        while len(self._samples) > 1 and self._samples[1][0] <= now - RECENT_SECONDS:
            self._samples.popleft()

    # ---- as text

    def text(self, now: float) -> str:
        """One line at the time `now` [s] of the monotonic clock, with the estimate of the case flown last."""
        with self._lock:
            parts = [self._done(), self._rates(now)]
            for case in list(self._latest)[-1:]:
                name = f"{_short(self.cases[case], NAME_MOST)}: " if len(self.cases) > 1 else ""
                parts.append(f"{name}{_so_far(self._runs[case], self._landed[case])}")
        return "; ".join(parts)

    def _done(self) -> str:
        share = f" ({min(100 * self.done // self.total_runs, 100)} %)" if self.total_runs else ""
        batches = f"{count(self.batches)} batch{'es' * (self.batches != 1)}"
        text = f"{count(self.done)} of {runs_told(self.total_runs)}{share}, {batches}"
        if len(self.cases) > 1:
            text += f", {count(self.finished)} of {count(len(self.cases))} cases finished"
        return text

    def _rates(self, now: float) -> str:
        """The rates of the last seconds and of the whole session, and the time left at the former."""
        self._sample(now)
        overall = self.flown / max(now - self.start, 1e-3)
        then, flown = self._samples[0]
        recent = (self.flown - flown) / max(now - then, 1e-3)
        text = f"{count(round(recent))} runs/s"
        if then > self.start:
            text += f" ({count(round(overall))} overall)"
        left = self.total_runs - self.done
        return f"{text}, {_duration(left / (recent or overall))} left" if overall and left > 0 else text

    # ---- in a terminal

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The state now, each line no wider than the terminal, and no more lines than it has."""
        from rich.text import Text

        width = options.max_width
        with self._lock:
            done, head, rates = self.done, self._done(), self._rates(time.monotonic())
            room = max(min(SHOWN_CASES, options.size.height - 4), 0)
            latest = list(self._latest)[max(len(self._latest) - room, 0) :]
            states = [(case, self._runs[case], self._landed[case]) for case in sorted(latest)]
        lines = [head, rates]
        for case, runs, landed in states:
            told = _so_far(runs, landed)
            if len(self.cases) > 1:
                told = f"{_short(self.cases[case], min(max(width - len(told) - 4, NAME_LEAST), NAME_MOST))}: {told}"
            lines.append(f"  {told}")

        beside = width - len(head) - 2
        size = min(beside, BAR_MOST) if beside >= BAR_LEAST else max(min(width - 1, BAR_MOST), 1)
        full = size * min(done, self.total_runs) // max(self.total_runs, 1)
        marks = "#-" if options.ascii_only else "━─"
        bar = (marks[0] * full, "bar.complete"), (marks[1] * (size - full), "bar.back")
        yield Text.assemble(*bar, end=" " if beside >= BAR_LEAST else "\n")
        for line in lines:
            if options.ascii_only:
                yield Text(line.encode("ascii", "backslashreplace").decode(), no_wrap=True, overflow="crop")
            else:
                yield Text(line, no_wrap=True, overflow="ellipsis")


def _so_far(runs: int, landed: int) -> str:
    """The estimate of a case, never without its interval."""
    return f"so far {estimate(landed, runs, interval(landed, runs), CONFIDENCE)}" if runs else "no runs so far"


def _short(name: str, most: int) -> str:
    r"""A name on one line, of at most so many characters: the end tells the designs of a study apart.

    >>> _short("generic_small: altimeter.range_max 600 m", 27), _short("a\x1b[31mb", 20)
    ('…altimeter.range_max 600 m', 'a\\x1b[31mb')
    """
    shown = visible(name if len(name) <= most else name[-most:])
    return shown if len(shown) <= most and len(name) <= most else f"…{shown[-(most - 1) :].lstrip()}"


def _duration(seconds: float) -> str:
    """
    >>> [_duration(seconds) for seconds in (0.2, 59.6, 3700, 4e5)]
    ['1 s', '1 min 00 s', '1 h 01 min', '4 days 15 h']
    """
    whole = max(round(seconds), 1)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{count(whole // 86400)} day{'s' * (whole >= 172800)} {whole % 86400 // 3600} h"
