"""CPU libraries that an installation does not carry: those of another compiler, and the one that counts flop.

Compiled when they are asked for, from the kernel sources that every installation has, and kept in the user's cache
under a digest of all they depend on.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mcrisk.errors import InfrastructureError
from mcrisk.native import check_whole, kernel_digest, kernel_folder
from mcrisk.schema import load_schema

from . import build
from .nvrtc import cache_folder, digest_of

__all__ = ["commands", "made", "name_of"]

LINK = ("-shared",) if sys.platform == "darwin" else ("-shared", "-nodefaultlibs", "-lc")  # as kernels/CMakeLists.txt


def commands() -> list[list[str]]:
    """The C++ compilers that work here, best first; the ziglang wheel's where there is no other."""
    if found := list(build.compilers().values()):
        return found
    if wrapper := build.compiler(cache_folder() / "zig"):
        return [[wrapper]]
    raise InfrastructureError(
        "a CPU library built on demand",
        "a C++ compiler (clang, or g++ >= 11)",
        "none",
        "install one, or the Python package ziglang",
    )


def made(
    variant: str,
    command: Sequence[str],
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """The library of a variant by the compiler `command`, in `folder` (the cache); `tell` hears of a compilation."""
    source = kernel_folder() / "descend.cpp"
    flags = build.flags(variant, load_schema().params_bytes(build.real_bytes(variant)))
    machine = next((flag.removeprefix("-march=") for flag in flags if flag.startswith("-march=")), os.uname().machine)
    named = f'-DMCR_BUILD="{name_of(command)} {machine}"'
    line = [*command, *flags, "-fPIC", named, f"-I{source.parent}", str(source), *LINK]
    folder = folder or cache_folder()
    path = folder / f"{digest_of((*line, kernel_digest()))[:32]}.so"
    if not _loads(path):
        path.unlink(missing_ok=True)
        tell(f"building the CPU library {variant} with {name_of(command)}")
        partial = path.with_suffix(f".{os.getpid()}")
        done = subprocess.run([*line, "-o", str(partial)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise InfrastructureError(f"{command[0]} failed on {source}", remedy=_said(done))
        partial.replace(path)
    return path


def _loads(path: Path) -> bool:
    """Whether a library is there and whole: a full disk or a crash may have left a part of one."""
    try:
        check_whole(path)
        ctypes.CDLL(str(path))
    except (InfrastructureError, OSError):
        return False
    return True


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """What a compiler that failed said; which one it is can be changed by CXX."""
    said = done.stderr.strip() or done.stdout.strip()
    return f"\n{said}" if said else f"it ended with {done.returncode} and no word; name another compiler with CXX"


def name_of(command: Sequence[str]) -> str:
    """Compiler and version as the installation names them: `g++ 12.2.0`."""
    line = [*command, "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InfrastructureError(f"{command[0]} does not work", remedy=_said(done))
    macros = dict(text.split(maxsplit=2)[1:] for text in done.stdout.splitlines() if len(text.split(maxsplit=2)) == 3)
    if "__clang__" in macros:
        return "clang++ " + ".".join(macros[f"__clang_{part}__"] for part in ("major", "minor", "patchlevel"))
    return "g++ " + ".".join(macros[name] for name in ("__GNUC__", "__GNUC_MINOR__", "__GNUC_PATCHLEVEL__"))
