"""The three ways mcrisk refuses: a mistake, an impossible design, a failed machine.

Every message tells path, expected, got, remedy, in one or two lines.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["ImpossibleDesign", "InfrastructureError", "MistakeError", "Problems", "nearest", "suggestion", "unknown"]

SHOWN = 20  # mistakes reported at once


class McriskError(Exception):
    """`subject: expected ..., got ...; remedy`, where only the subject is compulsory.

    >>> print(MistakeError("vehicle.thrust_max", 'a force such as "450 N"', '"450 kg"'))
    vehicle.thrust_max: expected a force such as "450 N", got "450 kg"
    >>> print(MistakeError("no mission given", remedy="name one of configs/missions"))
    no mission given; name one of configs/missions
    """

    exit_code = 1

    def __init__(self, subject: str, expected: str = "", got: str = "", remedy: str = "") -> None:
        super().__init__(subject, expected, got, remedy)  # args carry all four: survives pickling
        self.subject, self.expected, self.got, self.remedy = subject, expected, got, remedy

    def __str__(self) -> str:
        text = self.subject
        if self.expected:
            text += f": expected {self.expected}"
        if self.got:
            text += f", got {self.got}" if self.expected else f": got {self.got}"
        if self.remedy:
            text += f"; {self.remedy}"
        return text


class MistakeError(McriskError):
    """The user's mistake, exit code 2: shown without a traceback."""

    exit_code = 2

    @classmethod
    def together(cls, mistakes: Iterable[MistakeError]) -> MistakeError:
        """One mistake whose lines are those of all given ones, each line once, in order."""
        lines = [line for mistake in mistakes for line in str(mistake).splitlines()]
        return cls("\n".join(dict.fromkeys(lines)))


class ImpossibleDesign(MistakeError):
    """A mission that contradicts itself or physics, naming the inequality it breaks, exit code 2."""


class InfrastructureError(McriskError):
    """A machine, file system, compiler or network that failed, exit code 4: the store stays resumable."""

    exit_code = 4


class Problems:
    """Collects mistakes so that a user sees all of a file at once."""

    def __init__(self) -> None:
        self.mistakes: list[MistakeError] = []

    @contextmanager
    def caught(self) -> Iterator[None]:
        """A mistake inside the block is kept and the work goes on."""
        try:
            yield
        except MistakeError as mistake:
            self.mistakes.append(mistake)

    def check(self) -> None:
        """Raise what was collected, if anything."""
        if len(self.mistakes) == 1:
            raise self.mistakes[0]
        if len(self.mistakes) > SHOWN:
            rest = MistakeError(f"and {len(self.mistakes) - SHOWN} more mistakes")
            raise MistakeError.together([*self.mistakes[:SHOWN], rest])
        if self.mistakes:
            raise MistakeError.together(self.mistakes)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that most resembles `name`, or None when nothing does.

    >>> nearest("altimiter.range_max", ["altimeter.range_max", "camera.range_max"])
    'altimeter.range_max'
    """
    names = list(known)
    same = [candidate for candidate in names if candidate.lower() == name.lower()]
    if same:
        return same[0]
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if found:
        return found[0]
    # A name given without its section: `range_max` for `altimeter.range_max`.
    tail = name.rpartition(".")[2]
    tails = [candidate for candidate in names if len(tail) > 2 and candidate.rpartition(".")[2] == tail]
    return tails[0] if tails else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or nothing when no known name is near."""
    found = nearest(name, known)
    return f"did you mean '{found}'?" if found else ""


def unknown(path: str, known: Iterable[str], file: str = "") -> MistakeError:
    """`unknown parameter 'altimiter.range_max'; did you mean 'altimeter.range_max'?`"""
    twin = nearest(path, known)
    where = f"{file}: " if file else ""
    remedy = f"did you mean '{twin}'?" if twin else "`mcrisk params` lists all of them"
    return MistakeError(f"{where}unknown parameter '{path}'", remedy=remedy)
