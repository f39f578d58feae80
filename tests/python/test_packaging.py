"""mcrisk installs on a bare machine, starts at once, and works in and out of its repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import mcrisk
from mcrisk import native
from mcrisk.backends import build

ROOT = Path(__file__).parents[2]
HEAVY = (
    "numpy",
    "scipy",
    "pandas",
    "xarray",
    "dask",
    "distributed",
    "h5py",
    "cupy",
    "matplotlib",
    "plotly",
    "hypothesis",
)


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    "command", ["import mcrisk", "import sys; sys.argv[1:] = ['--help']; from mcrisk.cli import main; main()"]
)
def test_importing_mcrisk_and_asking_for_help_load_nothing_heavy(command: str) -> None:
    """Less than 0.3 s and 0.4 s on a quiet core, which no heavy package allows."""
    report = f"import sys\ntry:\n    {command}\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}

    assert set() == loaded & set(HEAVY)


def test_public_names_exist_and_hide_no_module() -> None:
    """A function `mcrisk.x` beside a module `mcrisk/x.py` would be hidden by the first import of the module."""
    modules = {path.stem for path in Path(mcrisk.__file__).parent.glob("*.py")}

    for name in mcrisk.__all__:
        public = getattr(mcrisk, name)
        assert name not in modules or public.__name__ == f"mcrisk.{name}"


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mcrisk' has no attribute 'lode'"):
        _ = mcrisk.lode


def test_flags_keep_every_bit() -> None:
    """No contraction, no fast math, no OpenMP runtime; errno and traps change no value."""
    for variant in build.variants():
        flags = build.flags(variant)
        assert {"-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"} <= set(flags)
        assert not {"-ffast-math", "-Ofast", "-fopenmp", "-march=native"} & set(flags)


def test_each_compiler_found_is_named_by_its_family() -> None:
    """The first is the one that builds: clang where there is one."""
    found = build.compilers()

    assert list(found) == [name for name in ("CXX", "clang", "gcc") if name in found]


def test_without_a_compiler_the_build_asks_for_zig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """zig spells CPU names with underscores and refuses the others."""
    monkeypatch.setattr(build, "compilers", dict)
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda _: "ziglang")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$*"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    wrapper = build.compiler(tmp_path / "folder of zig")
    assert wrapper is not None

    arguments = run(wrapper, "-O3", "-march=x86-64-v4", "a b.cpp")

    assert arguments == "-m ziglang c++ -nostdlib++ -O3 -march=x86_64_v4 a b.cpp\n"


@pytest.mark.parametrize(
    "script",
    [
        "scripts/mcrisk",
        "scripts/test",
        "scripts/install",
        "scripts/check",
        "scripts/validate",
        "scripts/bench",
        "scripts/offline_bundle",
        "scripts/offline/install.sh",
        pytest.param(
            ".ci/run", marks=pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="not in a source release")
        ),
    ],
)
def test_scripts_are_plain_shell(script: str) -> None:
    """POSIX sh, so that a machine without bash runs them."""
    path = ROOT / script

    assert path.read_text().startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    run("sh", "-n", path)


@pytest.mark.parametrize("script", ["check", "faults", "gpu_check", "slurm_check"])
def test_long_scripts_tell_what_they_do_before_they_do_it(script: str, tmp_path: Path) -> None:
    """--help is answered at once: nothing is installed."""
    venv = tmp_path / "venv"
    told = run(ROOT / "scripts" / script, "--help", MCRISK_VENV=str(venv))

    assert told.startswith(f"{script} [")
    assert "set -eu" not in told
    assert not venv.exists()


@pytest.mark.parametrize(
    ("program", "behind"),
    [
        ("scripts/validate", "-mmcrisk.validate"),
        ("scripts/validate history", "-mmcrisk.history"),
        ("scripts/pairing", "tests/scale/pairing.py"),
        ("scripts/bench scaling", "tests/scale/scaling.py"),
        ("scripts/bench peers", "tests/peers/peers.py"),
        ("scripts/gpu_check", "tests/gpu_tools/check_on_gpu.py"),
    ],
)
def test_help_names_the_script_that_people_call(program: str, behind: str) -> None:
    """Not the file behind it."""
    assert run(sys.executable, "-P", behind, "--help").startswith(f"usage: {program} [")


def test_the_command_can_be_called_through_a_link(tmp_path: Path) -> None:
    """And a link to it, as in ~/bin, in a tree with spaces; installer and program are made up."""
    tree = tmp_path / "a tree"
    for name, text in (("scripts/install", "exit 0"), (".venv/bin/mcrisk", 'echo "$MCRISK_COMMAND $*"')):
        path = tree / name
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    shutil.copy(ROOT / "scripts/mcrisk", tree / "scripts/mcrisk")
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to("a tree/scripts/mcrisk")
    second.symlink_to(first)

    assert run(second, "show", cwd=tmp_path, MCRISK_VENV="") == f"{second} show\n"


def test_a_named_python_that_does_not_work_says_why(tmp_path: Path) -> None:
    """What it prints itself, such as a shim of a version that is not there."""
    shim = tmp_path / "python"
    shim.write_text("#!/bin/sh\necho 'shim: no such version' >&2\nexit 127\n")
    shim.chmod(0o755)
    named = os.environ | {"MCRISK_PYTHON": str(shim), "MCRISK_VENV": str(tmp_path / "venv")}
    done = subprocess.run([ROOT / "scripts/install"], env=named, capture_output=True, text=True)

    assert done.returncode == 4
    assert done.stderr == f"mcrisk: MCRISK_PYTHON={shim} is no Python >= 3.11: shim: no such version\n"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MCRISK_EXTRAS", "cuda14", "MCRISK_EXTRAS: expected any of cuda12 cuda13 cluster report terrain drivers test "
         "check, got cuda14; name one of them, or leave it out"),
        ("MCRISK_VENV", "/dev/null", "/dev/null: expected a folder, got something else; name another"),
        ("MCRISK_VENV", "/proc/none", "/proc/none: expected a folder that can be made, got none; name another"),
        ("MCRISK_VENV", "FILES", "expected a Python environment or a new folder, got other files; name another"),
    ],
)  # fmt: skip
def test_install_refuses_in_one_message(tmp_path: Path, variable: str, value: str, message: str) -> None:
    """A folder of other files would be emptied."""
    (tmp_path / "mine").touch()
    named = os.environ | {"MCRISK_VENV": str(tmp_path / "venv"), variable: value.replace("FILES", str(tmp_path))}
    done = subprocess.run([ROOT / "scripts/install"], env=named, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mcrisk: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_extras_are_not_forgotten_where_an_installation_fails(tmp_path: Path) -> None:
    """An interpreter that does nothing but the question for its version, in a made-up tree."""
    tree, venv = tmp_path / "tree", tmp_path / "venv"
    for name in (
        "mcrisk/schema.py",
        "mcrisk/native.py",
        "mcrisk/backends/build.py",
        "kernels/a.h",
        "scripts/backend.py",
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    for name in ("scripts/install", "pyproject.toml"):
        shutil.copy(ROOT / name, tree / name)
    for name, text in (
        ("python", 'case "$*" in *version_info*|*compileall*) ;; *) exit $(cat "$0.rc") ;; esac'),
        ("mcrisk", ":"),
    ):
        path = venv / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    (venv / "pyvenv.cfg").touch()
    (venv / "mcrisk.stamp").write_text("older\ncluster gone test \n")
    (tmp_path / "bin").mkdir()
    shutil.copy(venv / "bin/mcrisk", tmp_path / "bin/uv")
    (tmp_path / "bin/uv").write_text("#!/bin/sh\nexit 1\n")  # no uv here
    named = os.environ | {"MCRISK_VENV": str(venv), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    told = []
    for code in (1, 0):
        (venv / "bin/python.rc").write_text(f"{code}")
        done = subprocess.run([tree / "scripts/install"], env=named, capture_output=True, text=True)
        told.append((done.returncode, (venv / "mcrisk.stamp").read_text().splitlines()))

    assert told[0] == (4, ["unfinished", " cluster test"])
    assert told[1][0] == 0 and told[1][1][1] == "cluster test "


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with mcrisk installed, not editable: one variant, dependencies borrowed from this environment."""
    folder = tmp_path_factory.mktemp("installation")
    settings = f"cmake.define.MCR_VARIANTS={build.variants()[0]}"
    if uv := shutil.which("uv"):
        run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        install = [uv, "pip", "install", "--quiet", "--python", folder / "bin/python", "--no-cache"]
    else:
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        install = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
    run(*install, "--no-deps", "--config-settings", settings, ROOT)
    # A path in a .pth file is searched last, and the .pth files of that folder (our editable install) are not read.
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.mark.slow
def test_an_installed_mcrisk_works_from_the_repository_root(installation: Path, tmp_path: Path) -> None:
    """The folder mcrisk/ of the repository hides the installed package there, but not its compiled part."""
    isa = {"MCRISK_ISA": build.variants()[0]}
    ask = "from mcrisk import backends, native; print(native.kernel_digest(), backends.choose('cpu').describe())"
    home = [run(installation / "bin/python", "-c", ask, cwd=folder, **isa) for folder in (ROOT, tmp_path)]
    params = [
        run(installation / "bin/mcrisk", "params", cwd=ROOT),
        run(installation / "bin/mcrisk", "params", cwd=tmp_path),
        run(installation / "bin/python", "-m", "mcrisk", "params", cwd=ROOT),
    ]

    assert home[0] == home[1] and home[0].split()[0] == native.kernel_digest()
    assert len(params[0]) > 1000 and len(set(params)) == 1


@pytest.mark.slow
def test_the_wheel_carries_every_kernel_source_and_config(installation: Path, tmp_path: Path) -> None:
    """Kernels are compiled for the GPU on the user's machine; shipped missions are named without a path."""
    ask = "from mcrisk import native; print(native.kernel_folder()); print(native.config_folder())"
    kernels, configs = (Path(line) for line in run(installation / "bin/python", "-c", ask, cwd=tmp_path).splitlines())

    assert kernels.is_relative_to(installation) and configs.is_relative_to(installation)
    assert {path.name for path in (ROOT / "kernels/mcrisk").iterdir()} == {
        path.name for path in (kernels / "mcrisk").iterdir()
    }
    assert (kernels / "descend.cu").is_file()
    assert _files(ROOT / "configs") == _files(configs)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
