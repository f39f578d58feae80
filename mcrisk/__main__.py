"""`python -m mcrisk` is the command `mcrisk`."""

import os
import sys

from mcrisk.entry import main

if __name__ == "__main__":
    os.environ.setdefault("MCRISK_COMMAND", "python -m mcrisk")
    sys.exit(main())
