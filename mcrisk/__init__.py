"""Landing success probability of a Moon lander design, from closed-loop 6-DoF Monte Carlo descents.

Names are looked up on first use: importing mcrisk loads nothing heavy and touches no device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import regions as regions
    from . import risk as risk
    from . import synthetic as synthetic
    from . import terrain as terrain
    from .api import compare as compare
    from .api import records as records
    from .api import replay as replay
    from .api import run as run
    from .api import sweep as sweep
    from .errors import ImpossibleDesign as ImpossibleDesign
    from .errors import InfrastructureError as InfrastructureError
    from .errors import MistakeError as MistakeError
    from .mission import Mission as Mission
    from .mission import load as load
    from .precedents import survive as survive

__version__ = "0.1.0"

# Public name: its module. A function never shares its name with a module, or importing one would hide the other.
_HOME = {
    "ImpossibleDesign": "errors",
    "InfrastructureError": "errors",
    "Mission": "mission",
    "MistakeError": "errors",
    "compare": "api",
    "load": "mission",
    "records": "api",
    "regions": "regions",
    "replay": "api",
    "risk": "risk",
    "run": "api",
    "survive": "precedents",
    "sweep": "api",
    "synthetic": "synthetic",
    "terrain": "terrain",
}

__all__ = sorted(["__version__", *_HOME])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mcrisk' has no attribute {name!r}")
    module = importlib.import_module(f"mcrisk.{_HOME[name]}")
    value = module if _HOME[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
