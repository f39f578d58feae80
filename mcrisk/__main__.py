"""`python -m mcrisk` is the command `mcrisk`."""

import sys

from mcrisk.cli import main

if __name__ == "__main__":
    sys.exit(main())
