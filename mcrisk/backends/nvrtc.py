"""NVRTC: the kernel sources as GPU code, compiled without a GPU, a driver or cupy.

libnvrtc (wheel `nvidia-cuda-nvrtc`, or a CUDA toolkit) is called through ctypes. cupy's own calls are
not used: they need a device, add `-ftz=true`, and their cache does not see a change in an included header.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import hashlib
import importlib.util
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mcrisk.errors import InfrastructureError

__all__ = ["Nvrtc", "Program", "Source", "Usage", "cache_folder", "cached_cubin", "load", "read_source"]

# What makes a GPU round like a CPU: no contraction to fma, no flush to zero, IEEE division and root.
BIT_OPTIONS = ("--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """A GPU entry file and every header it reaches, as text: all that a compilation depends on."""

    name: str
    text: str
    headers: tuple[tuple[str, str], ...]  # (name as the #include line spells it, text), sorted by name

    @property
    def digest(self) -> str:
        """SHA-256 of the entry file and its headers, names included, as hexadecimal text."""
        return digest_of(part for pair in ((self.name, self.text), *self.headers) for part in pair)


@dataclass(frozen=True)
class Usage:
    """What ptxas gave one kernel; the spills are summed over the kernel and the functions it calls."""

    registers: int  # [] per thread
    stack: int  # [byte] local memory frame per thread, spills included
    spill_stores: int  # [byte]
    spill_loads: int  # [byte]


@dataclass(frozen=True)
class Program:
    """One compiled kernel: CUBIN for a real architecture (`sm_90`), none for a virtual one (`compute_90`)."""

    cubin: bytes
    ptx: str
    log: str
    usage: Usage | None


def digest_of(parts: Iterable[str]) -> str:
    """SHA-256 of a sequence of texts; ("ab", "c") and ("a", "bc") differ."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode()
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def read_source(folder: Path, name: str = "descend.cu") -> Source:
    """The entry file `name` of the kernel folder with every header reached by `#include "..."`."""
    headers: dict[str, str] = {}
    resolved: dict[Path, str] = {}

    def visit(text: str, place: Path) -> None:
        for spelled in INCLUDE.findall(text):
            candidates = (place / spelled, folder / spelled)
            path = next((candidate.resolve() for candidate in candidates if candidate.is_file()), None)
            if path is None:
                raise InfrastructureError(f"{place}: header {spelled!r} not found", remedy="reinstall mcrisk")
            if resolved.setdefault(path, spelled) != spelled:
                raise InfrastructureError(
                    str(path), "one spelling in #include lines", f"{resolved[path]!r} and {spelled!r}"
                )
            if spelled not in headers:
                headers[spelled] = path.read_text(encoding="utf-8")
                visit(headers[spelled], path.parent)

    path = folder / name
    if not path.is_file():
        raise InfrastructureError(f"{path}: kernel source not found", remedy="reinstall mcrisk")
    text = path.read_text(encoding="utf-8")
    visit(text, path.parent)
    return Source(name, text, tuple(sorted(headers.items())))


def read_usage(log: str) -> Usage | None:
    """The usage ptxas wrote to a program log under `-v`, or None when it wrote nothing.

    >>> read_usage("8 bytes stack frame, 4 bytes spill stores, 2 bytes spill loads\\nUsed 96 registers, used 0 ...")
    Usage(registers=96, stack=8, spill_stores=4, spill_loads=2)
    """
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    registers = re.findall(r"Used (\d+) registers", log)
    if not frames or not registers:
        return None
    stacks, stores, loads = zip(*(map(int, frame) for frame in frames), strict=True)
    return Usage(max(map(int, registers)), max(stacks), sum(stores), sum(loads))


class Nvrtc:
    """libnvrtc of one file; `version` and `architectures` say what it can do."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._library = ctypes.CDLL(self.path)
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._call("Version", ctypes.byref(major), ctypes.byref(minor))
        self.version = (major.value, minor.value)
        number = ctypes.c_int()
        self._call("GetNumSupportedArchs", ctypes.byref(number))
        architectures = (ctypes.c_int * number.value)()
        self._call("GetSupportedArchs", architectures)
        self.architectures = tuple(sorted(architectures))

    def compile(self, source: Source, architecture: str, options: Sequence[str] = ()) -> Program:
        """The program of `source` for `architecture` (`sm_90`: CUBIN and PTX; `compute_90`: PTX)."""
        program = ctypes.c_void_p()
        names = (ctypes.c_char_p * len(source.headers))(*(name.encode() for name, _ in source.headers))
        texts = (ctypes.c_char_p * len(source.headers))(*(text.encode() for _, text in source.headers))
        self._call(
            "CreateProgram",
            ctypes.byref(program),
            source.text.encode(),
            source.name.encode(),
            len(source.headers),
            texts,
            names,
        )
        try:
            words = [word.encode() for word in self.options(architecture, options)]
            status = self._library.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(*words))
            log = self._fetch("ProgramLog", program).rstrip(b"\0").decode(errors="replace")
            if status != 0:
                first = next((line for line in log.splitlines() if "error" in line), self._error(status))
                raise InfrastructureError(f"{source.name}: NVRTC failed for {architecture}: {first}", remedy=f"\n{log}")
            cubin = self._fetch("CUBIN", program) if architecture.startswith("sm_") else b""
            ptx = self._fetch("PTX", program).rstrip(b"\0").decode()
        finally:
            self._call("DestroyProgram", ctypes.byref(program))
        return Program(cubin, ptx, log, read_usage(log))

    @staticmethod
    def options(architecture: str, options: Sequence[str] = ()) -> tuple[str, ...]:
        """Every option handed to NVRTC, in order."""
        return (f"--gpu-architecture={architecture}", *BIT_OPTIONS, "--ptxas-options=-v", *options)

    def _fetch(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", program, ctypes.byref(size))
        data = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", program, data)
        return data.raw

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, f"nvrtc{name}")(*arguments)
        if status != 0:
            raise InfrastructureError(f"nvrtc{name} failed: {self._error(status)}")

    def _error(self, status: int) -> str:
        text: bytes = self._library.nvrtcGetErrorString(status)
        return text.decode()


def candidates() -> Iterator[str]:
    """Paths and names under which libnvrtc may be found, the most explicit first."""
    if named := os.environ.get("MCRISK_NVRTC"):
        yield named
        return
    spec = importlib.util.find_spec("nvidia")
    for place in spec.submodule_search_locations or () if spec else ():
        for pattern in ("cu*/lib/libnvrtc.so.*", "cuda_nvrtc/lib/libnvrtc.so.*"):
            # A name with one number is the library; `.alt` and full versions are its companions.
            found = (path for path in Path(place).glob(pattern) if re.fullmatch(r"libnvrtc\.so\.\d+", path.name))
            yield from sorted(map(str, found), reverse=True)
    for root in (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda"):
        if root and (library := Path(root) / "lib64" / "libnvrtc.so").is_file():
            yield str(library)
    if found_name := ctypes.util.find_library("nvrtc"):
        yield found_name


@functools.cache
def load() -> Nvrtc:
    """The first libnvrtc that loads: `MCRISK_NVRTC`, the wheel, a CUDA toolkit, the system."""
    failures = []
    for candidate in candidates():
        try:
            return Nvrtc(candidate)
        except (OSError, AttributeError) as error:
            failures.append(f"{candidate}: {error}")
    raise InfrastructureError(
        "NVRTC missing",
        "libnvrtc, which compiles the kernel for the GPU" if failures else "",
        "; ".join(failures),
        "install it with: pip install nvidia-cuda-nvrtc (CUDA 13) or nvidia-cuda-nvrtc-cu12 (CUDA 12)",
    )


def cache_folder() -> Path:
    """The private folder (mode 0700) of compiled kernels: `$MCRISK_CACHE`, else the user's cache folder."""
    named = os.environ.get("MCRISK_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = (Path(named) if named else home / "mcrisk") / "kernels"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    # Code is loaded from here: nobody else may own or write it.
    if state.st_uid != os.getuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InfrastructureError(
            str(folder), "a folder owned and writable by you alone", stat.filemode(state.st_mode), "chmod 700 it"
        )
    return folder


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`; a reader sees the old file or the whole new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def cached_cubin(source: Source, architecture: str, options: Sequence[str] = ()) -> tuple[Path, Usage]:
    """The CUBIN file of `source`, compiled unless the cache has it, and what ptxas gave it.

    The key is a digest of the entry file, all headers, the architecture, the options and the NVRTC version.
    """
    nvrtc = load()
    key = digest_of((source.digest, repr(nvrtc.version), *nvrtc.options(architecture, options)))[:32]
    folder = cache_folder()
    cubin, facts = folder / f"{key}.cubin", folder / f"{key}.json"
    try:
        known = json.loads(facts.read_text(encoding="utf-8"))
        if hashlib.sha256(cubin.read_bytes()).hexdigest() == known["sha256"]:
            return cubin, Usage(**known["usage"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent, or damaged: compile again
    program = nvrtc.compile(source, architecture, options)
    if program.usage is None:
        raise InfrastructureError(f"{source.name}: no register count in the NVRTC log", remedy=f"\n{program.log}")
    write_atomically(cubin, program.cubin)
    sha256 = hashlib.sha256(program.cubin).hexdigest()
    record = {"architecture": architecture, "sha256": sha256, "usage": asdict(program.usage)}
    write_atomically(facts, json.dumps(record).encode())  # last: its presence vouches for the CUBIN
    return cubin, program.usage
