"""Gathers mcrisk, every wheel it needs and its sources into one tar file, for a machine without network.

The machine that gathers and the one that installs may have different Pythons: mcrisk's own wheel is the same for all of
them, and pip downloads wheels for any. It judges the conditions of requirements ("only below Python 3.12") by its own
Python, so what it left out is found and fetched afterwards. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import email.parser
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "mcrisk-offline"  # the folder inside the tar file
CUDA = ("12", "13", "none")
GLIBC = (2, 28)  # of the target at least: wheels of today ask for it
MANIFEST, SUMS, CONF, INSTALL = "manifest.json", "SHA256SUMS", "bundle.conf", "install.sh"
FULL = "No space left on device"
UNREACHED = re.compile(
    r"NewConnectionError|Failed to establish|name resolution|Name or service|timed out|Max retries exceeded"
    r"|Cannot connect to proxy|ProxyError|Connection refused|unreachable|Connection reset|SSLError",
    re.IGNORECASE,
)


class Refusal(Exception):
    """One message: what, expected, got, remedy. `code`: 2 for the user's mistake, 4 where the machine failed."""

    def __init__(self, what: str, expected: str, got: str, remedy: str, code: int = 2) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}; {remedy}")
        self.code = code


@dataclass(frozen=True)
class Target:
    """What the bundle is for."""

    python: str
    cuda: str
    extras: tuple[str, ...]
    machine: str

    @property
    def all_extras(self) -> str:
        return ",".join([*([] if self.cuda == "none" else [f"cuda{self.cuda}"]), *self.extras])

    def tags(self) -> list[str]:
        """What pip is told of the target."""
        minors = range(GLIBC[1], 4, -1)
        platforms = [f"manylinux_{GLIBC[0]}_{minor}_{self.machine}" for minor in minors]
        platforms += [f"{name}_{self.machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
        abis = [f"cp{self.python.replace('.', '')}", "abi3", "none"]
        options = ["--python-version", self.python, "--implementation", "cp"]
        return options + [part for one in platforms for part in ("--platform", one)] + _flags("--abi", abis)

    def markers(self) -> dict[str, str]:
        """What conditions of requirements are judged by."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": self.machine,
            "os_name": "posix",
        }


@dataclass(frozen=True)
class Wheel:
    """What a wheel says of itself."""

    file: str
    name: str
    version: str
    requires: tuple[str, ...]


def parse(arguments: Sequence[str] | None = None) -> tuple[Target, Path]:
    """The target and the tar file that are asked for; refuses what cannot be, before anything is made."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = sorted(name for name in project["optional-dependencies"] if not name.startswith("cuda") and name != "check")
    parser = argparse.ArgumentParser(prog="offline_bundle", description=(__doc__ or "").partition("\n")[0])
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    parser.add_argument("--python", default=here, metavar="X.Y", help=f"Python of the target ({here})")
    parser.add_argument("--cuda", default="13", help="12 or 13, by its driver, or none for the CPU alone (13)")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help=f"more: {', '.join(known)}")
    parser.add_argument("--out", type=Path, default=Path(f"{NAME}.tar"), metavar="FILE", help=f"({NAME}.tar)")
    given = parser.parse_args(arguments)

    least = re.search(r"(\d+)\.(\d+)", project["requires-python"])
    assert least is not None
    found = re.fullmatch(r"3\.(\d{1,2})", given.python)
    if found is None or int(found[1]) < int(least[2]):
        raise Refusal("--python", f"{least[0]} or newer, such as 3.12", given.python, "state the target's version")
    if given.cuda not in CUDA:
        raise Refusal("--cuda", "12, 13 or none", given.cuda, "nvidia-smi on the target shows the CUDA version")
    for extra in given.extra:
        if extra not in known:
            raise Refusal("--extra", " or ".join(known), extra, "name one of them, or leave it out")
    if not sys.platform.startswith("linux"):
        raise Refusal("offline_bundle", "Linux", sys.platform, "run it on Linux: the kernels are built here", 4)
    out: Path = given.out
    if os.path.lexists(out):
        raise Refusal(str(out), "a new file", "one that exists", "remove it, or choose another --out")
    if not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):
        raise Refusal(str(out.parent), "a folder to write to", "none", "make it, or choose another --out")
    return Target(given.python, given.cuda, tuple(sorted({"test", *given.extra})), platform.machine()), out


def build_requirements() -> list[str]:
    """What building the kernels anew takes on the target: the backend, CMake, ninja, and a compiler where none is."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ziglang = re.search(r'^ZIGLANG = "([^"]+)"', (ROOT / "scripts/backend.py").read_text(), re.MULTILINE)
    assert ziglang is not None
    return [
        *pyproject["build-system"]["requires"],
        f"cmake{pyproject['tool']['scikit-build']['cmake']['version']}",
        "ninja>=1.5",
        ziglang[1],
    ]


def read_wheel(path: Path) -> Wheel:
    """Name, version and requirements of a wheel."""
    with zipfile.ZipFile(path) as wheel:
        metadata = next(name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        head = email.parser.BytesHeaderParser().parsebytes(wheel.read(metadata))
    return Wheel(path.name, head["Name"], head["Version"], tuple(head.get_all("Requires-Dist", [])))


def missing(wheels: Iterable[Wheel], roots: Iterable[str], markers: Mapping[str, str]) -> list[str]:
    """The requirements that no wheel fulfils, of `roots` and of all that they lead to on the target."""
    try:
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
        from pip._vendor.packaging.utils import canonicalize_name

    held: dict[str, list[Wheel]] = {}
    for wheel in wheels:
        held.setdefault(canonicalize_name(wheel.name), []).append(wheel)
    lacking: dict[str, None] = {}
    seen, waiting = set[tuple[str, str]](), [Requirement(text) for text in roots]
    while waiting:
        one = waiting.pop()
        found = [
            wheel for wheel in held.get(canonicalize_name(one.name), []) if one.specifier.contains(wheel.version, True)
        ]
        if not found:
            one.marker = None
            lacking[str(one)] = None
        for wheel in found:
            for extra in ("", *sorted(one.extras)):
                if (wheel.file, extra) in seen:
                    continue
                seen.add((wheel.file, extra))
                for text in wheel.requires:
                    wanted = Requirement(text)
                    if wanted.marker is None or wanted.marker.evaluate({**markers, "extra": extra}):
                        waiting.append(wanted)
    return list(lacking)


def bundle(target: Target, out: Path) -> Path:
    """Make the tar file. Nothing is left where that fails."""
    with _workshop(out.parent) as work:
        home = work / NAME
        wheels = home / "wheels"
        wheels.mkdir(parents=True)
        _say(f"building mcrisk for Python {target.python}, CUDA {target.cuda}, {target.machine}")
        python = _tools(work / "tools")
        _pip(python, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT, target=target, what="the wheel of mcrisk")
        own = next(wheels.glob("mcrisk-*.whl"))
        roots = [f"mcrisk[{target.all_extras}]", *build_requirements()]
        _say(f"downloading the wheels of {roots[0]}, and those that build it")
        _download(python, target, wheels, [f"{own}[{target.all_extras}]", *roots[1:]])
        while lacking := missing(map(read_wheel, wheels.glob("*.whl")), roots, target.markers()):
            before = len(list(wheels.iterdir()))
            _download(python, target, wheels, lacking)
            if len(list(wheels.iterdir())) == before:
                raise Refusal("wheels", "all that are required", f"none of {', '.join(lacking)}", "report this", 4)
        _say("adding the sources")
        _sources(python, wheels, home / "source")
        (home / "source/wheels").symlink_to("../wheels")  # scripts/install takes packages from there
        shutil.copy2(ROOT / "scripts/offline" / INSTALL, home / INSTALL)
        _describe(target, home, read_wheel(own).version)
        partial = work / "bundle.tar"
        with tarfile.open(partial, "w") as tar:
            tar.add(home, NAME, filter=_anonymous)
        try:
            os.link(partial, out)  # unlike a rename, refuses one that appeared meanwhile
        except FileExistsError:
            raise Refusal(str(out), "a new file", "one that exists", "remove it, or choose another --out") from None
        except OSError:  # a file system without links
            partial.rename(out)
    return out


def _describe(target: Target, home: Path, version: str) -> None:
    """The manifest, what install.sh reads, and the sums of all files."""
    files = sorted((home / "wheels").glob("*.whl"))
    sums = {path: _sha256(path) for path in _files(home)}
    packages = [
        {"name": one.name, "version": one.version, "file": f"wheels/{path.name}", "bytes": path.stat().st_size,
         "sha256": sums[path]}
        for path in files for one in [read_wheel(path)]
    ]  # fmt: skip
    glibc = ".".join(map(str, GLIBC))
    facts = {"mcrisk": version, "python": target.python, "cuda": target.cuda, "extras": target.all_extras.split(",")}
    facts |= {"machine": target.machine, "glibc": glibc}
    manifest = {"schema_version": 1, **facts, "build_requires": build_requirements(), "packages": packages}
    (home / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    conf = {"version": version, "python": target.python, "extras": target.all_extras, "cuda": target.cuda}
    conf |= {"machine": target.machine, "glibc": glibc}
    (home / CONF).write_text("".join(f"{key}={value}\n" for key, value in conf.items()))
    sums |= {home / name: _sha256(home / name) for name in (MANIFEST, CONF)}
    (home / SUMS).write_text("".join(f"{sums[path]}  {path.relative_to(home)}\n" for path in sorted(sums)))


def _files(home: Path) -> Iterator[Path]:
    return (path for path in home.rglob("*") if path.is_file() and not path.is_symlink())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


@contextlib.contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A folder beside the tar file, gone at the end, whatever ends it."""
    work = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=folder)).resolve()
    before, tempfile.tempdir = tempfile.tempdir, str(work)  # of pip, too
    try:
        yield work
    finally:
        tempfile.tempdir = before
        shutil.rmtree(work, ignore_errors=True)


def _tools(folder: Path) -> str:
    """An interpreter with a pip of its own; environments made by uv have none."""
    done = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        _refuse_full(done.stdout + done.stderr)
        remedy = "install its venv module (Debian: python3-venv), or name another with MCRISK_PYTHON"
        raise Refusal(f"{sys.executable} -m venv", "an environment", _last(done.stdout + done.stderr), remedy, 4)
    sys.path.extend(str(path) for path in folder.glob("lib/python3*/site-packages"))  # `missing` asks pip's packaging
    return str(folder / "bin/python")


def _download(python: str, target: Target, wheels: Path, requirements: Sequence[str]) -> None:
    options = ["download", "--only-binary=:all:", "--dest", wheels, *target.tags()]
    _pip(python, *options, *requirements, target=target, what="wheels")


def _sources(python: str, wheels: Path, folder: Path) -> None:
    """What the source distribution holds, tests and scripts too."""
    _pip(python, "install", "--no-index", "--find-links", wheels, "scikit-build-core", what="scikit-build-core")
    made = folder.with_suffix(".sdist")
    made.mkdir()
    code = "import sys; sys.path.insert(0, 'scripts'); import backend; backend.build_sdist(sys.argv[1])"
    _run([python, "-c", code, str(made)], "the source distribution")
    with tarfile.open(next(made.glob("*.tar.gz"))) as tar:
        try:
            tar.extractall(made, filter="data")
        except tarfile.FilterError as error:  # a link out of the tree, such as that of an environment
            remedy = f"remove it from {ROOT}, or name it in sdist.exclude of pyproject.toml"
            raise Refusal("sources", "files of mcrisk alone", str(error), remedy, 4) from None
    next(path for path in made.iterdir() if path.is_dir()).rename(folder)
    shutil.rmtree(made)


def _pip(python: str, command: str, *arguments: str | Path, what: str, target: Target | None = None) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    _run([python, "-m", "pip", command, *quiet, *map(str, arguments)], what, target)


def _run(command: list[str], what: str, target: Target | None = None) -> None:
    """Run a command; says in one message why it failed."""
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": tempfile.gettempdir()}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    text = done.stdout + done.stderr
    _refuse_full(text)
    if found := UNREACHED.search(text):
        remedy = "check the network, or what `pip config list` names"
        raise Refusal("package index", "an answer", f"none ({found[0]})", remedy, 4)
    if target and (lacking := re.findall(r"No matching distribution found for (\S+)", text)):
        where = f"Python {target.python} and CUDA {target.cuda} on {target.machine}"
        remedy = "choose another --python or --cuda"
        raise Refusal(what, f"{lacking[-1]} for {where}", "none in the package index", remedy)
    print(text, file=sys.stderr)
    raise Refusal(what, "success", _last(text), "see above", 4)


def _refuse_full(text: str) -> None:
    if FULL in text:
        raise _full()


def _full() -> Refusal:
    return Refusal("disk", "room for 2 GB beside --out", "a full disk", "make room, or choose another --out", 4)


def _last(text: str) -> str:
    """The last line that tells something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no word"])[-1][:200]


def _flags(name: str, values: Iterable[str]) -> list[str]:
    return [part for one in values for part in (name, one)]


def _say(text: str) -> None:
    print(f"mcrisk: {text}", file=sys.stderr, flush=True)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 a mistake of the user, 4 the machine or the network failed, 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        target, out = parse(arguments)
        made = bundle(target, out)
    except Refusal as refusal:
        _say(str(refusal))
        return refusal.code
    except OSError as error:
        _say(str(_full() if error.errno in (errno.ENOSPC, errno.EDQUOT) else error))
        return 4
    except KeyboardInterrupt:
        _say("interrupted; nothing is left")
        return 130
    todo = f"tar xf {made.name} && ./{NAME}/{INSTALL}"
    _say(f"{made} ({made.stat().st_size / 1e6:.0f} MB): copy it to the target, then: {todo}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
