"""same_results.py STORE STORE: whether two folders of `mcrisk run` hold the same results, to the bit."""

from __future__ import annotations

import sys
from pathlib import Path

from mcrisk import netcdf

digests = [netcdf.read(Path(folder) / "results.nc").attrs["content_digest"] for folder in sys.argv[1:]]
print(*digests, "same" if len(set(digests)) == 1 else "DIFFERENT")
sys.exit(len(set(digests)) != 1)
