"""scripts/offline_bundle: what it refuses, what it holds, and an installation without network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/offline_bundle"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
DEAD = "http://127.0.0.1:9"  # nothing answers there


@pytest.fixture(scope="module")
def bundle() -> ModuleType:
    spec = importlib.util.spec_from_file_location("offline_bundle", ROOT / "scripts/offline/bundle.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "MCRISK_PYTHON": sys.executable, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--python", "2.7"], "--python: expected 3.11 or newer, such as 3.12, got 2.7; "),
        (["--python", "3.10"], "--python: expected 3.11 or newer, such as 3.12, got 3.10; "),
        (["--python", "three"], "--python: expected 3.11 or newer, such as 3.12, got three; "),
        (["--cuda", "11"], "--cuda: expected 12, 13 or none, got 11; "),
        (["--extra", "clutser"], "--extra: expected cluster or drivers or report or terrain or test, got clutser; "),
        (["--out", "there.tar"], "there.tar: expected a new file, got one that exists; "),
        (["--out", "no/such/place.tar"], "no/such: expected a folder to write to, got none; "),
    ],
)
def test_a_mistake_is_refused_before_anything_is_made(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "there.tar").touch()

    done = run(SCRIPT, *arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith(f"mcrisk: {message}") and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.tar"]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "ERROR: No matching distribution found for numpy>=2.0",
            2,
            "expected numpy>=2.0 for Python 3.99 and CUDA 13 on",
        ),
        ("NewConnectionError\nERROR: No matching distribution found for numpy", 4, "package index: expected an answer"),
        ("OSError: [Errno 28] No space left on device", 4, "disk: expected room"),
        ("ERROR: something else", 4, "wheels: expected success, got something else"),
    ],
)
def test_a_failure_of_pip_is_told_in_one_message(bundle: ModuleType, text: str, code: int, message: str) -> None:
    target = bundle.Target("3.99", "13", ("test",), "x86_64")
    command = [sys.executable, "-c", f"import sys; sys.exit({text!r})"]

    with pytest.raises(bundle.Refusal) as refusal:
        bundle._run(command, "wheels", target)

    assert message in str(refusal.value)
    assert refusal.value.code == code


def test_nothing_is_left_where_it_fails(bundle: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> str:
        folder.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "_tools", full)
    monkeypatch.setattr(bundle.signal, "signal", lambda *_: None)

    assert bundle.main(["--out", str(tmp_path / "a.tar")]) == 4
    assert list(tmp_path.iterdir()) == []


def test_pip_is_told_of_the_target_and_not_of_this_machine(bundle: ModuleType) -> None:
    tags = bundle.Target("3.12", "13", ("test",), "x86_64").tags()

    assert tags[:4] == ["--python-version", "3.12", "--implementation", "cp"]
    assert {"cp312", "abi3", "none", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"} < set(
        tags
    )
    assert "manylinux_2_29_x86_64" not in tags


def test_what_only_the_targets_python_needs_is_missing(bundle: ModuleType) -> None:
    """pip judges conditions by its own Python when it downloads for another."""
    wheels = [
        bundle.Wheel("a.whl", "a", "1.0", ('old; python_version < "3.12"', 'new; python_version >= "3.12"', "b[x]>=2")),
        bundle.Wheel("b.whl", "B", "2.1", ('c; extra == "x"', 'd; extra == "y"', 'w; sys_platform == "win32"')),
        bundle.Wheel("c.whl", "c", "1.0", ("a",)),
    ]

    def lacking(python: str, *roots: str) -> list[str]:
        return sorted(bundle.missing(wheels, roots, bundle.Target(python, "none", (), "x86_64").markers()))

    assert lacking("3.11", "a") == ["old"]
    assert lacking("3.12", "a") == ["new"]
    assert lacking("3.12", "a", "b>=3") == ["b>=3", "new"]
    assert lacking("3.12", "b[y]") == ["d"]


def test_the_sources_can_be_built_there(bundle: ModuleType) -> None:
    names = [text.split(">")[0] for text in bundle.build_requirements()]

    assert names == ["scikit-build-core", "cmake", "ninja", "ziglang"]


@pytest.fixture
def tree(bundle: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree of a few files, of which the sources of a bundle are made."""
    folder = tmp_path / "tree"
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "mcrisk/__init__.py",
        "mcrisk/backends/build.py",
        "scripts/backend.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    monkeypatch.setattr(bundle, "ROOT", folder)
    monkeypatch.setattr(bundle, "_pip", lambda *_, **__: None)  # scikit-build-core is here already
    return folder


def test_what_a_bundle_is_made_of_is_not_in_its_sources(bundle: ModuleType, tree: Path) -> None:
    """The workshop lies in the source tree where the tar file does, as without --out; its interpreter is a link."""
    with bundle._workshop(tree) as work:
        (work / "tools/bin").mkdir(parents=True)
        (work / "tools/bin/python").symlink_to(sys.executable)
        (work / "tools/sub").mkdir()
        (work / "tools/sub/notes.txt").touch()
        for other in ("mcrisk-offline-cpu.tar", "gpu-check.json"):
            (tree / other).touch()
        bundle._sources(sys.executable, work, work / "source")
        found = {path.relative_to(work / "source").as_posix() for path in bundle._files(work / "source")}

    assert {"PKG-INFO", "LICENSE", "pyproject.toml", "scripts/backend.py"} <= found
    assert [name for name in found if "offline" in name or "tools" in name or "gpu-check" in name] == []


def test_a_link_out_of_the_source_tree_is_refused_in_one_message(bundle: ModuleType, tree: Path) -> None:
    (tree / "elsewhere").symlink_to("/usr/bin")

    with bundle._workshop(tree) as work, pytest.raises(bundle.Refusal, match=r"sources: .*elsewhere.*; remove it from"):
        bundle._sources(sys.executable, work, work / "source")


def small(bundle: ModuleType, home: Path, python: str = HERE) -> Path:
    """A bundle of one made-up wheel."""
    (home / "wheels").mkdir(parents=True)
    (home / "source/mcrisk").mkdir(parents=True)
    (home / "source/mcrisk/a.py").write_text("a = 1\n")
    (home / "source/wheels").symlink_to("../wheels")
    with zipfile.ZipFile(home / "wheels/mcrisk-0.1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mcrisk-0.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mcrisk\nVersion: 0.1.0\n")
    shutil.copy(ROOT / "scripts/offline/install.sh", home)
    bundle._describe(bundle.Target(python, "13", ("test",), bundle.platform.machine()), home, "0.1.0")
    return home


@pytest.fixture(scope="session")
def ensurepip() -> None:
    """Skipped where `python -m venv` can make no environment."""
    pytest.importorskip("ensurepip", reason="no ensurepip for python -m venv; install it (Debian: python3-venv)")


def test_the_manifest_names_every_package_and_every_file_has_a_sum(bundle: ModuleType, tmp_path: Path) -> None:
    home = small(bundle, tmp_path / "b")

    manifest = json.loads((home / "manifest.json").read_text())
    sums = dict(reversed(line.split("  ")) for line in (home / "SHA256SUMS").read_text().splitlines())
    (package,) = manifest.pop("packages")
    assert (package["name"], package["version"]) == ("mcrisk", "0.1.0")
    assert package["sha256"] == hashlib.sha256((home / package["file"]).read_bytes()).hexdigest()
    assert package["bytes"] == (home / package["file"]).stat().st_size
    assert (manifest["python"], manifest["cuda"], manifest["extras"]) == (HERE, "13", ["cuda13", "test"])
    assert set(sums) == {
        "bundle.conf", "install.sh", "manifest.json", "source/mcrisk/a.py", "wheels/mcrisk-0.1.0-py3-none-any.whl",
    }  # fmt: skip


def test_a_damaged_bundle_is_not_installed(bundle: ModuleType, tmp_path: Path) -> None:
    home = small(bundle, tmp_path / "b")
    (home / "source/mcrisk/a.py").write_text("a = 2\n")

    done = run(home / "install.sh", cwd=tmp_path)

    assert done.returncode == 4
    assert "source/mcrisk/a.py: FAILED" in done.stderr
    assert "expected the files of SHA256SUMS, got those above changed or missing; copy" in done.stderr
    assert not (home / "venv").exists()


def test_another_python_is_told(bundle: ModuleType, tmp_path: Path) -> None:
    home = small(bundle, tmp_path / "b", python="3.99")

    named = run(home / "install.sh", cwd=tmp_path)
    found = run(home / "install.sh", cwd=tmp_path, MCRISK_PYTHON="")

    assert (named.returncode, found.returncode) == (4, 4)
    assert f"expected Python 3.99, got {HERE}; name another, or make the bundle with --python {HERE}" in named.stderr
    assert "mcrisk: Python: expected 3.99, got " in found.stderr


def test_an_installation_that_fails_leaves_nothing(bundle: ModuleType, tmp_path: Path, ensurepip: None) -> None:
    """The made-up wheel has no RECORD, and no packages."""
    home = small(bundle, tmp_path / "b")
    (tmp_path / "there").mkdir()

    failed = run(home / "install.sh", tmp_path / "venv", cwd=tmp_path)
    taken = run(home / "install.sh", "there", cwd=tmp_path)

    assert failed.returncode == 4 and "mcrisk: pip: expected an installation from" in failed.stderr
    assert not (tmp_path / "venv").exists()
    assert taken.returncode == 4 and "expected a new folder, got one that exists" in taken.stderr
    assert (tmp_path / "there").is_dir()


@pytest.mark.slow
def test_a_bundle_installs_flies_and_builds_without_network(tmp_path: Path, ensurepip: None) -> None:
    """Needs the package index for the bundle alone."""
    made = run(SCRIPT, "--python", HERE, "--cuda", "none", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    with tarfile.open(tmp_path / "mcrisk-offline.tar") as tar:
        tar.extractall(tmp_path / "a place", filter="data")
    home = tmp_path / "a place/mcrisk-offline"
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), DEAD)
    offline |= {"MCRISK_VENV": "", "PIP_RETRIES": "0"}

    installed = run(home / "install.sh", cwd=tmp_path, **offline)
    flown = run(home / "venv/bin/mcrisk", "run", "hakuto_r_m2", "--runs", "1000", cwd=tmp_path, **offline)
    refused = run(home / "venv/bin/mcrisk", "run", "hakuto_r_m2", "--backend", "gpu", cwd=tmp_path, **offline)
    tested = run(home / "source/scripts/test", "-q", "tests/python/test_units.py", cwd=tmp_path, **offline)

    assert installed.returncode == 0, installed.stderr
    assert "works (64 descents flown on the CPU)" in installed.stdout
    assert flown.returncode == 0 and "of 1 000 runs land" in flown.stdout
    assert refused.returncode == 4 or shutil.which("nvidia-smi")
    assert tested.returncode == 0, tested.stdout + tested.stderr
