"""The build backend of mcrisk: scikit-build-core with the best C++ compiler here, or zig's where there is none."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scikit_build_core import build as skbuild
from scikit_build_core.build import *  # noqa: F403  (the other hooks that pip and uv call)

ZIGLANG = "ziglang>=0.13,<0.18"  # a whole clang; its command line changes between releases

# mcrisk/backends/build.py as a file: mcrisk itself is not installed yet.
_spec = importlib.util.spec_from_file_location(
    "mcrisk_build", Path(__file__).parents[1] / "mcrisk" / "backends" / "build.py"
)
assert _spec is not None and _spec.loader is not None
_build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_build)


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """What is installed before the build."""
    return [*skbuild.get_requires_for_build_wheel(config_settings), *_compiler_wheel()]


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    """What is installed before an editable build."""
    return [*skbuild.get_requires_for_build_editable(config_settings), *_compiler_wheel()]


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """The file name of the wheel."""
    with _compiler():
        return skbuild.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """The file name of the wheel that points back to this tree."""
    with _compiler():
        return skbuild.build_editable(wheel_directory, config_settings, metadata_directory)


def _compiler_wheel() -> list[str]:
    return [] if _build.compilers() else [ZIGLANG]


@contextlib.contextmanager
def _compiler() -> Iterator[None]:
    """Sets CXX, which scikit-build-core would otherwise set to the compiler that Python was built with."""
    with tempfile.TemporaryDirectory() as folder:
        found = os.environ.get("CXX") or _build.compiler(Path(folder))
        if found:
            os.environ["CXX"] = found
        yield
