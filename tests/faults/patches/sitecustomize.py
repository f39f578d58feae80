"""Faults inside processes of mcrisk: Python imports this module at its start, wherever PYTHONPATH names this folder.

MCRISK_FAULT is a JSON object. flown: a file that gets a line for each batch begun: process, first run, count. role:
`worker` where only worker processes of dask are meant. poison, fail, memory, hang, lose: a run whose batch kills its
process, raises, runs out of memory, never ends (or after `nap` seconds), takes the device from its process for good.
scarce: batches of more runs find no memory. once: a file; the fault strikes while it is not there, and makes it. slow:
[s] that every batch takes longer. constants: new values by `module:name`. identity, version: what mcrisk says it is.
absent: no mcrisk here. mute: a worker ends when it is greeted. device: the name and the most runs of a batch that the
CPU says it has.
"""

import importlib
import json
import os
import signal
import sys
import time

FAULT = json.loads(os.environ.get("MCRISK_FAULT", "{}"))
REAL_WRITE = os.write


class Absent:
    """Finds no mcrisk, wherever it is."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mcrisk":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def here():
    """Whether this process is meant."""
    words = sys.orig_argv
    worker = any("spawn_main" in word for word in words) or ("dask" in " ".join(words) and "worker" in words)
    return FAULT and (FAULT.get("role") != "worker" or worker)


def strikes():
    """Whether a fault that strikes once still does."""
    if "once" not in FAULT:
        return True
    try:
        os.close(os.open(FAULT["once"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def patch():
    """Put the faults in place."""
    if FAULT.get("absent"):
        sys.meta_path.insert(0, Absent())
        return
    import mcrisk
    from mcrisk import flight
    from mcrisk.backends.cpu import CpuBackend
    from mcrisk.errors import LostDeviceError

    for where, value in FAULT.get("constants", {}).items():
        module, _, name = where.partition(":")
        setattr(importlib.import_module(module), name, value)
    if "version" in FAULT:
        mcrisk.__version__ = FAULT["version"]
    if "identity" in FAULT:
        flight.identity = lambda: FAULT["identity"]
    if FAULT.get("mute"):
        flight.hello = lambda backend: os.kill(os.getpid(), signal.SIGKILL)
    if "device" in FAULT:
        CpuBackend.name, CpuBackend.batch = FAULT["device"]
    CpuBackend.lost = False
    fly = CpuBackend.run

    def run(self, params, seed, first, count, heights=b""):
        if path := FAULT.get("flown"):
            handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            REAL_WRITE(handle, f"{os.getpid()} {first} {count}\n".encode())
            os.close(handle)
        time.sleep(FAULT.get("slow", 0))
        if self.lost:
            raise LostDeviceError("injected loss")
        for what in ("poison", "fail", "memory", "hang", "lose"):
            if what in FAULT and first <= FAULT[what] < first + count and strikes():
                if what == "poison":
                    os.kill(os.getpid(), signal.SIGKILL)
                elif what == "hang":
                    time.sleep(FAULT.get("nap", 1e6))
                elif what == "lose":
                    CpuBackend.lost = True
                    raise LostDeviceError("injected loss")
                else:
                    raise MemoryError("injected") if what == "memory" else ValueError("injected")
        if count > FAULT.get("scarce", count):
            raise MemoryError("injected")
        return fly(self, params, seed, first, count, heights)

    CpuBackend.run = run


if here():
    patch()
