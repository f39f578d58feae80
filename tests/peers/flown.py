"""The powered arc by mcrisk itself: arc.cpp built for this processor, with compiler and flags of the kernels."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from peers import arc

from mcrisk import mission, nominal, params
from mcrisk.backends import build, nvrtc, ondemand
from mcrisk.backends.cpu import processor_flags, variant_for
from mcrisk.errors import InfrastructureError
from mcrisk.native import kernel_digest, kernel_folder
from mcrisk.schema import load_schema

__all__ = ["ArcLibrary", "arc_params", "gpu_source"]

HERE = Path(__file__).parent
TICKS = 10 * arc.DURATION


class ArcLibrary:
    """arc.cpp as a library. variant: of mcrisk.backends.build, by default the best that this processor runs."""

    def __init__(self, variant: str | None = None, folder: Path | None = None) -> None:
        self.variant = variant or variant_for(os.environ.get("MCRISK_ISA", ""), processor_flags())
        self.real = build.real_bytes(self.variant)
        command = ondemand.commands()[0]
        flags = build.flags(self.variant, load_schema().params_bytes(self.real))
        self.build = f"{ondemand.name_of(command)} {self.variant}"
        line = [*command, *flags, "-fPIC", f"-I{kernel_folder()}", f"-I{HERE}", str(HERE / "arc.cpp"), *ondemand.LINK]
        texts = [(HERE / name).read_text() for name in ("arc.h", "arc.cpp")]
        folder = folder or nvrtc.cache_folder()
        path = folder / f"{nvrtc.digest_of((*line, self.build, kernel_digest(), *texts))[:32]}.so"
        if not path.is_file():
            partial = path.with_suffix(f".{os.getpid()}")
            done = subprocess.run([*line, "-o", str(partial)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise InfrastructureError(f"{command[0]} failed on arc.cpp", remedy=f"\n{done.stderr.strip()}")
            partial.replace(path)
        self._library = ctypes.CDLL(str(path))
        self._library.mcr_arc.restype = self._library.mcr_arc_scalar.restype = None

    def fly(
        self,
        rows: arc.Array,
        every: int = arc.DURATION,
        steps: int = 2,
        scalar: bool = False,
        duration: int = arc.DURATION,
        **changes: Any,
    ) -> arc.Ends:
        """States at each multiple of `every` [s], up to `duration` [s]: (runs, times, components).

        rows: starts of arc.starts. steps: truth steps of a tick. changes: of Params, by path with `__` for a dot.
        """
        block = arc_params(self.real, steps, **changes)
        rows = np.ascontiguousarray(rows)
        ends = np.zeros((len(rows), duration // every, sum(arc.WIDTHS)))
        function = self._library.mcr_arc_scalar if scalar else self._library.mcr_arc
        function(
            block,
            ctypes.c_void_p(rows.ctypes.data),
            len(rows),
            10 * duration,
            10 * every,
            ctypes.c_void_p(ends.ctypes.data),
        )
        return arc.Ends.of(ends)


def arc_params(real: int, steps: int = 2, **changes: Any) -> bytes:
    """Params of the arc for a `real` of so many bytes: a shipped mission with all that the arc needs in its place."""
    block = np.frombuffer(_nominal(real), load_schema().params_dtype(real)).copy()
    values = {
        "gravity.gravitational_parameter": arc.GM,
        "gravity.reference_radius": arc.REFERENCE,
        "gravity.j2": arc.J2,
        "gravity.c22": 0,
        "gravity.rotation_rate": arc.RATE,
        "gravity.anomaly": 0,
        "gravity.radius": arc.RADIUS,
        "gravity.pole_S": arc.POLE_S,
        "gravity.meridian_S": arc.MERIDIAN_S,
        "vehicle.mass_dry": arc.MASS_DRY,
        "vehicle.cg_dry_B": 0,
        "vehicle.cg_full_B": 0,
        "vehicle.inertia_dry": arc.INERTIA_DRY,
        "vehicle.inertia_full": arc.INERTIA_DRY + arc.INERTIA_TANK,
        "propulsion.main.start_delay": 0,
        "propulsion.main.misalign_x": 0,
        "propulsion.main.misalign_y": 0,
        "propulsion.main.offset_x": arc.OFFSET_X,
        "propulsion.main.offset_y": arc.OFFSET_Y,
        "propulsion.cluster.count": 0,
        "propulsion.propellant": arc.PROPELLANT,
        "propulsion.residual": 0,
        "propulsion.noise": 0,
        "rcs.propellant": 0,
    }
    for path, value in (values | {path.replace("__", "."): value for path, value in changes.items()}).items():
        place = block["world"]
        *owners, name = path.split(".")
        for owner in owners:
            place = place[owner]
        place[name] = value
    block["scatter"]["count"] = 0
    block["simulation"]["truth_steps"] = steps
    return block.tobytes()


@functools.cache
def _nominal(real: int) -> bytes:
    """Params of a shipped mission: designing it takes longer than many arcs."""
    return params.pack(nominal.design(mission.load("generic_small")), real)


def gpu_source() -> tuple[nvrtc.Source, list[str]]:
    """arc.cu with its headers, and the options that NVRTC takes with it."""
    source = nvrtc.read_source(kernel_folder(), str(HERE / "arc.cu"))
    return source, [f"-DMCR_PARAMS_BYTES={load_schema().params_bytes(4)}"]
