"""forked.py: commands of mcrisk in children that are forked when all is imported, with a fault at the k-th file call.

Reads one JSON object a line: arguments, folder, call, mode (0 count, 1 kill, 2 disk full), out, err (files). Answers
with one: status (negative: the signal that ended it), calls (counted, where it ended by itself), seconds. LD_PRELOAD
names the library made of shim.c.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path

import distributed  # noqa: F401
import h5netcdf  # noqa: F401
import rich.console  # noqa: F401
import xarray  # noqa: F401

from mcrisk import api, cli, cluster, commands, dataset, execute, netcdf, store  # noqa: F401


def child(asked: dict, told: int) -> None:
    """Run one command; never returns."""
    for number, path in ((1, asked["out"]), (2, asked["err"])):
        handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = ["mcrisk", *asked["arguments"]]
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.fault_arm(os.fsencode(asked["folder"]), ctypes.c_long(asked["call"]), asked["mode"])
    code = 70
    try:
        code = cli.main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(told, str(shim.fault_calls()).encode())
        os._exit(code)


for line in sys.stdin:
    asked = json.loads(line)
    begun = time.monotonic()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(asked, writing)
    os.close(writing)
    with Path(f"/dev/fd/{reading}").open() as pipe:
        os.close(reading)
        calls = pipe.read()
    _, status = os.waitpid(pid, 0)
    answer = {
        "status": os.waitstatus_to_exitcode(status),
        "calls": int(calls or 0),
        "seconds": time.monotonic() - begun,
    }
    print(json.dumps(answer), flush=True)
