"""What the scripts beside the commands share: numbers of their options, and failures in one message."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable

from .errors import InfrastructureError, McriskError

__all__ = ["above_zero", "count", "guarded"]

LARGEST = 1e30  # what is larger is a slip of the keyboard, and its square no number


def above_zero(text: str) -> float:
    """An option that is a number above zero.

    >>> above_zero("5e5")
    500000.0
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LARGEST:
        raise argparse.ArgumentTypeError(f"expected a number above zero, got {text!r}")
    return value


def count(text: str) -> int:
    """An option that is a whole number above zero.

    >>> count("1e6"), count("7")
    (1000000, 7)
    """
    try:
        value = above_zero(text)
    except argparse.ArgumentTypeError:
        value = 0.5
    if value != int(value) or value > 2**62:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got {text!r}")
    return int(value)


def guarded(work: Callable[[], int | None]) -> int:
    """Do the work of a script; its exit code: 2 the user's mistake, 4 the machine failed, 130 interrupted."""
    try:
        return work() or 0
    except McriskError as error:
        text, code = str(error), error.exit_code
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()
        text = f"{error.cmd[0]} ended with {error.returncode}{f': {said[-1]}' if said else ''}"
        code = InfrastructureError.exit_code
    except OSError as error:
        text, code = str(error), InfrastructureError.exit_code
    except KeyboardInterrupt:
        text, code = "interrupted", 130
    print(f"mcrisk: {text}", file=sys.stderr)
    return code
