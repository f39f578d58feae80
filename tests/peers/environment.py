"""The environment of the peers: `.venv-peers` beside `.venv` (or $MCRISK_PEERS_VENV), which adds to what `.venv` holds.

Every peer is installed on its own, so that one that cannot be had is left out with a message and the others remain.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Collection
from pathlib import Path

from mcrisk.errors import InfrastructureError, MistakeError

__all__ = ["made"]

ROOT = Path(__file__).parents[2]
PEERS = {"jax": "jax", "numba": "numba", "bsk": "Basilisk", "rocketpy": "rocketpy"}  # distribution to module
GPU_PEERS = {
    "jax[cuda12]": "jax_cuda12_plugin",
    "cupy-cuda12x": "cupy",
    "nvidia-cuda-nvrtc-cu12": "nvidia",
    "torch": "torch",
}


def made(gpu: bool, tell: Callable[[str], None], wanted: Collection[str] | None = None) -> Path:
    """The interpreter of the peers' environment with everything in it that can be installed; `tell` hears the rest.

    wanted: distributions that will be used, by default all of them; gpu: with all that a GPU takes.
    """
    folder = Path(os.environ.get("MCRISK_PEERS_VENV") or ROOT / ".venv-peers")
    python = folder / "bin" / "python"
    uv = shutil.which("uv")
    if folder.exists() and not folder.is_dir():
        raise MistakeError(f"MCRISK_PEERS_VENV={folder}", "a folder", "something else", "name another, or unset it")
    if not _is_ours(python):
        tell(f"making {folder.name} (first call, or for another Python)")
        if (folder / "pyvenv.cfg").exists():
            shutil.rmtree(folder)
        base = getattr(sys, "_base_executable", sys.executable)
        line = [uv, "venv", "--quiet", "--python", base] if uv else [base, "-m", "venv", "--without-pip"]
        done = subprocess.run([*line, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
            raise InfrastructureError(str(folder), "an environment", said, "name another folder by MCRISK_PEERS_VENV")
    place = _asked(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    beside = sysconfig.get_path("purelib")
    (Path(place) / "mcrisk_beside.pth").write_text(f"import site; site.addsitedir({beside!r})\n")
    peers = {name: module for name, module in PEERS.items() if wanted is None or name in wanted}
    peers |= GPU_PEERS if gpu else {}
    for one in _absent(python, peers):
        tell(f"installing {one}")
        if uv:
            pip = [uv, "pip", "install", "--quiet", "--python", str(python)]
        else:
            quiet = ["--quiet", "--disable-pip-version-check"]
            pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *quiet]
        done = subprocess.run([*pip, one], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reasons = [line for line in done.stderr.splitlines() if line.startswith(("ERROR", "error", "  ×"))]
            tell(f"{one} left out: it cannot be installed here ({reasons[-1] if reasons else 'pip failed'})")
    return python


def _is_ours(python: Path) -> bool:
    """Whether an interpreter is there and takes the packages of this one."""
    line = [str(python), "-c", "import sys; print(sys.implementation.cache_tag)"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == sys.implementation.cache_tag


def _absent(python: Path, peers: dict[str, str]) -> list[str]:
    """The distributions whose module is not there."""
    text = (
        f"import importlib.util as u, json; print(json.dumps([p for p, m in {peers!r}.items() if not u.find_spec(m)]))"
    )
    return list(json.loads(_asked(python, text)))


def _asked(python: Path, text: str) -> str:
    """What a Python text prints."""
    done = subprocess.run([str(python), "-P", "-c", text], check=True, capture_output=True, text=True)
    return done.stdout.strip()
