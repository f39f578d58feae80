"""Where the kernel sources, the shipped configs and the CPU libraries are, installed or in a source tree.

The build installs all three as the module `_mcrisk_native`. In a source tree (an editable install, or Python
started in the repository) kernels and configs are those of the tree, and a library of other kernels is refused.

Runs as a script with nothing installed: `python -P mcrisk/native.py --kernel-digest kernels` prints the digest.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import struct
import sys
from pathlib import Path

__all__ = ["build_info", "config_folder", "kernel_digest", "kernel_folder", "library_path", "library_variants"]

MODULE = "_mcrisk_native"
REMEDY = "run ./scripts/mcrisk, or install mcrisk again"
BROKEN = "install mcrisk again; in a source tree remove its .venv and run ./scripts/mcrisk"  # no kernel has changed
ELF = struct.Struct("<4s36xQ10xHH")  # of a 64-bit file: magic, where the section headers are, their size and number


def kernel_folder() -> Path:
    """The folder of `descend.cpp`, `descend.cu` and `mcrisk/*.h`."""
    return _folder("kernels")


def config_folder() -> Path:
    """The folder of the shipped `missions/`, `sites/`, `studies/` and `clusters/`."""
    return _folder("configs")


def library_path(variant: str) -> Path:
    """The CPU library of a variant (`v3`, `v4`, `baseline`, `f64`), built from the kernels of `kernel_folder()`."""
    from mcrisk.errors import InfrastructureError

    built = build_info().get("kernel_digest")
    if built != kernel_digest():
        text = f"the CPU library was built from other kernels ({str(built)[:12]}) than those of {kernel_folder()}"
        raise InfrastructureError(text, remedy=REMEDY)
    path = _native_folder() / f"libmcrisk_{variant}.so"
    if not path.is_file():
        found = ", ".join(library_variants()) or "none"
        forced = os.environ.get("MCRISK_ISA", "").strip().removeprefix("x86-64-") == variant
        remedy = f"unset MCRISK_ISA, which asks for {variant}, or name one that was built" if forced else BROKEN
        raise InfrastructureError(f"CPU library {variant}", f"one of {found}", "a variant that was not built", remedy)
    return path


def library_variants() -> list[str]:
    """The variants that were built, by name."""
    return sorted(path.stem.removeprefix("libmcrisk_") for path in _native_folder().glob("libmcrisk_*.so"))


@functools.cache
def build_info() -> dict[str, str]:
    """What the build wrote down: `kernel_digest`, `compiler`."""
    path = _native_folder() / "build.json"
    try:
        info = json.loads(path.read_text())
        return {name: str(info[name]) for name in ("kernel_digest", "compiler")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        from mcrisk.errors import InfrastructureError

        text = f"{type(error).__name__}: {error}"
        raise InfrastructureError(str(path), "what the build wrote down", text, BROKEN) from None


def check_whole(path: Path) -> None:
    """Refuse a library that was cut off, which would end the process by a signal: section headers are at its end."""
    from mcrisk.errors import InfrastructureError

    try:
        with path.open("rb") as file:
            head = file.read(ELF.size)
        size = path.stat().st_size
    except OSError as error:
        raise InfrastructureError(str(path), "a library", str(error.strerror), BROKEN) from None
    if sys.platform == "darwin":
        return
    magic, start, each, number = ELF.unpack(head) if len(head) == ELF.size else (b"", 0, 0, 0)
    if magic != b"\x7fELF":
        raise InfrastructureError(str(path), "a library", f"another file, of {size} bytes", BROKEN)
    if start + each * number > size:
        raise InfrastructureError(str(path), f"{start + each * number} bytes", f"{size}", BROKEN)


@functools.cache
def kernel_digest(folder: Path | None = None) -> str:
    """SHA-256 over the names and texts of all kernel sources (64 hexadecimal digits)."""
    folder = folder or kernel_folder()
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".h", ".cpp", ".cu"):
            digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _folder(name: str) -> Path:
    """A folder of the source tree if this file lies in one, else of the installed module."""
    tree = Path(__file__).resolve().parents[1]
    return tree / name if (tree / "kernels" / "CMakeLists.txt").is_file() else _native_folder() / name


@functools.cache
def _native_folder() -> Path:
    spec = importlib.util.find_spec(MODULE)
    if spec is None or not spec.submodule_search_locations:
        from mcrisk.errors import InfrastructureError

        raise InfrastructureError("the compiled part of mcrisk is not installed", remedy=REMEDY)
    return Path(next(iter(spec.submodule_search_locations)))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "--kernel-digest":
        sys.exit("usage: python -P native.py --kernel-digest FOLDER")
    print(kernel_digest(Path(sys.argv[2])))
