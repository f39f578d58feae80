"""The part of cupy that the GPU backend uses, on a CPU: memory is numpy's, kernels are PTX through the executor."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
from ptx_executor import PtxModule


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError."""


class Array:
    """Device memory."""

    def __init__(self, words: np.ndarray[Any, Any]) -> None:
        self.words = words

    def __getitem__(self, part: slice) -> Array:
        return Array(self.words[part])

    def get(self, out: np.ndarray[Any, Any]) -> None:
        """Copy to the host."""
        assert out.shape == self.words.shape
        out[...] = self.words


class Context:
    """A device or stream: entered, left, nothing else."""

    compute_capability = "90"
    attributes: dict[str, int] = {}  # noqa: RUF012  as cupy

    def __init__(self, *arguments: object, **options: object) -> None:
        pass

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class FakeCupy(types.ModuleType):
    """`memory` bounds one allocation [byte], `free` is what memGetInfo says; `launches` lists the runs of each."""

    def __init__(self, module: PtxModule | None = None, devices: int = 1, driver: int = 13000) -> None:
        super().__init__("cupy")
        self.memory, self.free = 1 << 40, 1 << 40
        self.launches: list[int] = []
        self.module = module
        runtime = types.SimpleNamespace(
            getDeviceCount=lambda: devices,
            driverGetVersion=lambda: driver,
            memGetInfo=lambda: (self.free, self.free),
            getDeviceProperties=lambda device: {"name": b"Fake", "totalGlobalMem": 1 << 34},
        )
        self.cuda = types.SimpleNamespace(runtime=runtime, Device=Context, Stream=Context)

    def empty(self, count: int, dtype: type) -> Array:
        """Device memory, within the bound."""
        if count * np.dtype(dtype).itemsize > self.memory:
            raise OutOfMemoryError("Out of memory allocating")
        return Array(np.empty(count, dtype))

    def get_default_memory_pool(self) -> types.SimpleNamespace:
        """The pool that the backend empties when memory runs out."""
        return types.SimpleNamespace(free_all_blocks=lambda: None)

    def RawModule(self, path: str) -> types.SimpleNamespace:
        """The PTX module given at the start, whatever the path holds."""

        def get_function(name: str) -> Any:
            def launch(grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
                assert self.module is not None
                if name == "descend":
                    self.launches.append(int(arguments[3]))
                words = [
                    a.words.ctypes.data.to_bytes(8, "little") if isinstance(a, Array) else a.tobytes()
                    for a in arguments
                ]
                self.module.launch(name, grid[0], block[0], words)

            return launch

        return types.SimpleNamespace(get_function=get_function)
