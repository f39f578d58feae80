"""The three ways mcrisk refuses: a mistake, an impossible design, a failed machine.

Every message tells path, expected, got, remedy, in one or two lines.
"""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "ImpossibleDesign",
    "InfrastructureError",
    "LostDeviceError",
    "MistakeError",
    "Problems",
    "command",
    "nearest",
    "suggestion",
    "unknown",
    "visible",
]

SHOWN = 20  # mistakes reported at once
NEAR = 3  # names suggested at most
LONGEST = 80  # [character] of a name that a user gave, in a message


def command(*arguments: str) -> str:
    """A command line of this program to be copied by the user, who called it as MCRISK_COMMAND says.

    >>> command("replay", "my results", "--run", "3")
    "mcrisk replay 'my results' --run 3"
    """
    return " ".join([os.environ.get("MCRISK_COMMAND") or "mcrisk", *map(shlex.quote, arguments)])


def visible(name: str) -> str:
    r"""A name that a user gave, on one line and not too long.

    >>> visible("altimeter.range_max"), visible("a\nb")
    ('altimeter.range_max', 'a\\nb')
    """
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in name[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


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


class LostDeviceError(InfrastructureError):
    """A device that this process can use no more, whatever it is asked; a process begun anew may."""


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
    """The known name that most resembles `name`, the first of equals, or None when nothing does.

    >>> nearest("altimiter.range_max", ["altimeter.range_max", "camera.range_max"])
    'altimeter.range_max'
    """
    return next(iter(_near(name, known)), None)


def _near(name: str, known: Iterable[str]) -> list[str]:
    """The known names that resemble `name` most, and equally so."""
    names = list(known)
    same = [candidate for candidate in names if candidate.lower() == name.lower()]
    if same:
        return same[:1]
    if len(name) > LONGEST:
        return []
    if found := difflib.get_close_matches(name, names, n=NEAR, cutoff=0.6):
        likeness = [difflib.SequenceMatcher(None, one, name).ratio() for one in found]
        return sorted((one for one, like in zip(found, likeness, strict=True) if like == likeness[0]), key=names.index)
    # A name given without its section: `range_max` for `altimeter.range_max`.
    tail = name.rpartition(".")[2]
    return [candidate for candidate in names if len(tail) > 2 and candidate.rpartition(".")[2] == tail][:1]


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or `'x' or 'y'` when both are as near, or nothing when no known name is."""
    found = " or ".join(f"'{one}'" for one in _near(name, known))
    return f"did you mean {found}?" if found else ""


def unknown(path: str, known: Iterable[str], file: str = "") -> MistakeError:
    """`unknown parameter 'altimiter.range_max'; did you mean 'altimeter.range_max'?`"""
    where = f"{file}: " if file else ""
    remedy = suggestion(path, known) or f"`{command('params')}` lists all of them"
    return MistakeError(f"{where}unknown parameter '{visible(path)}'", remedy=remedy)
