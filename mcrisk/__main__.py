"""`python -m mcrisk` is the command `mcrisk`."""

import os
import sys

from mcrisk.cli import main

if __name__ == "__main__":
    os.environ.setdefault("MCRISK_COMMAND", "python -m mcrisk")
    sys.exit(main())
