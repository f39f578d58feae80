"""The command `mcrisk` from its first line: what must be set before anything heavy is imported."""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command of sys.argv; its exit code. A signal while it loads is an interruption like any other.

    The interpreter's own start, some hundredths of a second before this, no program can guard.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # numpy and scipy start a thread for each core, which nothing here uses, and try for ever where memory is short.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from mcrisk.cli import main as command

        return command()
    except KeyboardInterrupt:
        print("mcrisk: interrupted", file=sys.stderr)
        return 130


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt
