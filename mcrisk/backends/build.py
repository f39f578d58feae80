"""How the CPU library is compiled: which compiler, which variants, which flags. Standard library only.

CMake, the tests and `scripts/check` all ask here, so that a flag that decides bits stands in one place:

    python -P mcrisk/backends/build.py --compiler FOLDER    the compiler to use (a wrapper for zig is written to FOLDER)
    python -P mcrisk/backends/build.py --variants           v3;v4;f64
    python -P mcrisk/backends/build.py --flags v4           the compile flags of one variant
"""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["compiler", "compilers", "flags", "params_bytes", "real_bytes", "variants"]

ROOT = Path(__file__).resolve().parents[2]

# Every flag decides bits: contraction off, IEEE arithmetic without traps or errno (as on a GPU), no OpenMP runtime.
COMMON = (
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp-simd",
    "-fvisibility=hidden",
    "-fno-exceptions",  # else g++ wants a C++ runtime to unwind through what throws nothing
)
MACHINE = {
    "v2": ("-march=x86-64-v2",),  # no fma: an exact emulation, slow; built only where nothing else runs
    "v3": ("-march=x86-64-v3", "-mtune=skylake"),  # else clang unpacks what gathers
    "v4": ("-march=x86-64-v4", "-mprefer-vector-width=512"),
    "baseline": (),  # aarch64 and others: fma is part of the base instruction set
}
# What is no float library of one instruction set: the double oracle, and the one that counts flop (built on demand).
NUMBER = {"f64": ("-DMCR_REAL_DOUBLE",), "counting": ("-DMCR_REAL_COUNTING",)}
# clang vectorises the lane loops best (about 2.4 times faster than g++ 12); newest first.
CLANG = ("clang++", *(f"clang++-{version}" for version in range(25, 13, -1)))
GCC = ("g++", *(f"g++-{version}" for version in range(18, 10, -1)), "c++")

ZIG_WRAPPER = """\
#!/bin/sh
# zig spells x86-64-v3 as x86_64_v3 and takes no -mtune; without -nostdlib++ it would compile a C++ library first.
for argument do
    shift
    case $argument in
        -march=x86-64-v*) argument=-march=x86_64_v${{argument#-march=x86-64-v}} ;;
        -mtune=*) continue ;;
    esac
    set -- "$@" "$argument"
done
exec {python} -m ziglang c++ -nostdlib++ "$@"
"""


def variants() -> list[str]:
    """The library variants of this machine's architecture, fastest last, then the double oracle `f64`."""
    if not _is_x86_64():
        return ["baseline", "f64"]
    return ["v3", "v4", "f64"] if _has_fma() else ["v2"]


def real_bytes(variant: str) -> int:
    """Bytes of `real` in a variant: 8 for the oracle `f64`, else 4."""
    return 8 if variant == "f64" else 4


def flags(variant: str, size: int | None = None) -> list[str]:
    """The compile flags of a variant, MCR_PARAMS_BYTES included; add `-fPIC -shared` and the include path `kernels`.

    size: [byte] of Params, asked of the schema reader in the source tree unless given.
    """
    machine = MACHINE[variant if variant in MACHINE else variants()[0]]
    size = size or params_bytes(real_bytes(variant))
    return [*COMMON, *machine, *NUMBER.get(variant, ()), f"-DMCR_PARAMS_BYTES={size}"]


@functools.cache
def params_bytes(real: int) -> int:
    """sizeof(Params) by the schema reader, for a `real` of 4 or 8 bytes."""
    command = [sys.executable, "-P", str(ROOT / "mcrisk/schema.py"), "--params-bytes", "--real", str(real)]
    done = subprocess.run([*command, str(ROOT / "kernels/mcrisk")], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the kernel headers are no valid schema:\n{done.stderr.strip()}")
    return int(done.stdout)


@functools.cache
def compilers() -> dict[str, list[str]]:
    """The C++ compilers that work here, best first: name to command. `$CXX`, when set, is the only one."""
    if os.environ.get("CXX"):
        return {"CXX": shlex.split(os.environ["CXX"])}
    found = {"clang": _first(CLANG), "gcc": _first(GCC)}
    return {name: [path] for name, path in found.items() if path}


def compiler(folder: Path) -> str | None:
    """The compiler to build with: the best of `compilers()`, else the ziglang wheel, else None.

    folder: where the wrapper that zig needs is written.
    """
    for command in compilers().values():
        return command[0]
    if importlib.util.find_spec("ziglang") is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    wrapper = folder / "zig-c++"
    wrapper.write_text(ZIG_WRAPPER.format(python=shlex.quote(sys.executable)))
    wrapper.chmod(0o755)
    return str(wrapper)


def _has_fma() -> bool:
    try:
        return " fma " in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


def _is_x86_64() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _first(names: tuple[str, ...]) -> str | None:
    """The path of the first of the named compilers that accepts our most demanding flags."""
    for name in names:
        path = shutil.which(name)
        machine = MACHINE[variants()[-2]]
        check = [name, *COMMON, *machine, "-fsyntax-only", "-x", "c++", os.devnull]
        if path and subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return path
    return None


def _main() -> None:
    import argparse  # not for those who only ask for variants

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--compiler", metavar="FOLDER", type=Path)
    asked.add_argument("--variants", action="store_true")
    asked.add_argument("--flags", metavar="VARIANT", choices=variants())
    given = parser.parse_args()
    if given.compiler:
        found = compiler(given.compiler)
        if found is None:
            raise SystemExit("no C++ compiler found: install clang or g++ >= 11, or the Python package ziglang")
        print(found)
    else:
        print(";".join(flags(given.flags) if given.flags else variants()))


if __name__ == "__main__":
    _main()
