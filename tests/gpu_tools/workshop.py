"""Every build of the kernel that runs on a CPU, made once per content: libraries, shim, PTX.

Each is a function (params, seed, first, count, heights=b"") -> records of `schema.record_dtype(4)`.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ptx_executor

from mcrisk.backends import Piece, gpu, nvrtc, ondemand
from mcrisk.native import config_folder, kernel_digest, kernel_folder
from mcrisk.schema import load_schema
from mcrisk.sums import SUMS, bars, most_occupied, plan, tally_of
from mcrisk.tally import Tally

Records = np.ndarray[Any, np.dtype[Any]]
Fly = Callable[..., Records]

TOOLS = Path(__file__).parent
ENDS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38)
POISONS = (np.nan, np.inf, -np.inf, 1e38, 0.0, -1.0, 1e-42)
SANITIZE = (
    "-O1",
    "-g",
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)


class Workshop:
    """Builds in `folder`, under names that are digests of all they depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = load_schema().record_dtype(4)
        self.source = nvrtc.read_source(kernel_folder())

    @functools.cached_property
    def params_options(self) -> list[str]:
        """The layout guard of both compilers."""
        return [f"-DMCR_PARAMS_BYTES={load_schema().params_bytes(4)}"]

    def library(self, command: Sequence[str], variant: str, scalar: bool = False) -> Fly:
        """kernels/descend.cpp by one compiler for one instruction set; `scalar`: one run at a time."""
        path = ondemand.made(variant, command, self.folder)
        function = getattr(ctypes.CDLL(str(path)), "mcr_descend_scalar" if scalar else "mcr_descend")
        word, place = ctypes.c_uint64, ctypes.c_void_p
        function.argtypes = (place, place, word, word, word, place)
        function.restype = None

        def fly(params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> Records:
            records = np.zeros(count, self.record)
            function(params, heights or None, seed, first, count, records.ctypes.data)
            return records

        return fly

    def shim_program(self, command: Sequence[str], options: Sequence[str]) -> Path:
        """kernels/descend.cu as C++ through shim.h, as a program of its own so that sanitizers can be in it."""
        flags = ["-std=c++17", "-ffp-contract=off", "-fno-math-errno", *self.params_options, *options]
        line = [*command, *flags, f"-I{TOOLS}", f"-I{kernel_folder()}", str(TOOLS / "shim_main.cpp")]
        texts = [(TOOLS / name).read_text() for name in ("shim.h", "shim_main.cpp")]
        return self._made(line, "shim", kernel_digest(), *texts)

    def shim_sums(
        self, command: Sequence[str], options: Sequence[str]
    ) -> Callable[[Records, int], tuple[Tally, bytes]]:
        """Its kernels that sum: a function (records, first) -> tally and landing bits."""
        program = self.shim_program(command, options)
        names = [self.folder / f"{name}-{os.getpid()}" for name in ("plan", "records", "sums")]

        def summed(records: Records, first: int) -> tuple[Tally, bytes]:
            for name, data in zip(names, (plan(), records), strict=False):
                name.write_bytes(data.tobytes())
            done = subprocess.run([program, *names], capture_output=True, text=True, check=False)
            assert done.returncode == 0 and not done.stderr, done.stderr
            data, most = names[-1].read_bytes(), most_occupied(len(records))
            sums = np.frombuffer(data, SUMS, 1)
            occupied, place = int(sums["occupied"][0]), SUMS.itemsize
            counts = np.frombuffer(data, np.uint64, occupied, place)
            bins = np.frombuffer(data, np.uint32, occupied, place + 8 * most)
            landed = data[place + 12 * most :][: -(-len(records) // 8)]
            return tally_of(sums, bins, counts, first, len(records)), landed

        return summed

    def shim(self, command: Sequence[str], options: Sequence[str] = ("-O2",)) -> Fly:
        """The runs of that program."""
        program = self.shim_program(command, options)
        given, written = self.folder / f"params-{os.getpid()}", self.folder / f"records-{os.getpid()}"

        def fly(params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> Records:
            given.write_bytes(params + heights)
            words = [str(program), str(given), str(seed), str(first), str(count), str(written)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0 and not done.stderr, done.stderr
            records = np.fromfile(written, self.record)
            given.unlink(), written.unlink()
            return records

        return fly

    def ptx(self, architecture: str = "compute_90", optimise: bool = False) -> Fly:
        """The PTX that NVRTC makes of kernels/descend.cu, statement by statement on the CPU."""
        module = self.ptx_module(self.ptx_text(architecture), optimise)

        def fly(params: bytes, seed: int, first: int, count: int, heights: bytes = b"") -> Records:
            words = self.record.itemsize // 4
            columns, rows = (np.zeros(count * words, np.uint32) for _ in range(2))
            place, of_rows = (array.ctypes.data.to_bytes(8, "little") for array in (columns, rows))
            runs, ground = count.to_bytes(4, "little"), np.frombuffer(heights, np.uint8)
            of_ground = (ground.ctypes.data if heights else 0).to_bytes(8, "little")
            arguments = [params, of_ground, seed.to_bytes(8, "little"), first.to_bytes(8, "little"), runs, place]
            module.launch("descend", -(-count // 32), 32, arguments)
            module.launch("gather", -(-count * words // 32), 32, [place, runs, runs, of_rows])
            return rows.view(self.record)

        return fly

    def ptx_of_several(self, architecture: str = "compute_90") -> Callable[[Sequence[Piece], int], list[Records]]:
        """The PTX of the kernel that flies several cases in one grid: a function (pieces, seed) -> records of each."""
        module = self.ptx_module(self.ptx_text(architecture, several=True))

        def fly(pieces: Sequence[Piece], seed: int) -> list[Records]:
            cases, words = np.zeros(1, gpu.cases(len(pieces[0].params))), self.record.itemsize // 4
            for k, piece in enumerate(pieces):
                cases["params"][0, k], cases["first"][0, k] = np.frombuffer(piece.params, np.uint32), piece.first
                if piece.heights:
                    cases["heights"][0, k] = np.frombuffer(piece.heights, np.uint8).ctypes.data
            counts = [piece.count for piece in pieces]
            cases["stop"][0, : len(counts)] = stops = np.cumsum(counts)
            columns, runs = np.zeros(sum(counts) * words, np.uint32), sum(counts).to_bytes(4, "little")
            arguments = [seed.to_bytes(8, "little"), runs, columns.ctypes.data.to_bytes(8, "little")]
            module.launch("descend", -(-max(counts) // 4), 4, [cases.tobytes(), *arguments], len(counts))
            records = np.ascontiguousarray(columns.reshape(words, -1).T).view(self.record).reshape(-1)
            return np.split(records, stops[:-1])

        return fly

    def summed(self, module: ptx_executor.PtxModule, records: Records, first: int) -> tuple[Tally, Records]:
        """Tally and landing bits of records by the kernels of a PTX module, one thread after the other."""
        count = len(records)
        columns = np.ascontiguousarray(records.view(np.uint32).reshape(count, -1).T)
        sums, histogram = np.zeros(1, SUMS), np.zeros(bars(), np.uint64)
        bins, counts = np.empty(most_occupied(count), np.uint32), np.empty(most_occupied(count), np.uint64)
        landed = np.zeros(-(-count // 32), np.uint32)
        places = {id(one): one.ctypes.data.to_bytes(8, "little") for one in (columns, sums, histogram, bins, counts)}
        of_columns, of_sums, of_histogram, of_bins, of_counts = places.values()
        plan_, runs, of_landed = plan().tobytes(), count.to_bytes(4, "little"), landed.ctypes.data.to_bytes(8, "little")
        blocks = -(-count // 32)
        module.launch("tally", blocks, 32, [plan_, of_columns, runs, runs, of_sums, of_histogram, of_bins])
        module.launch("sift", -(-len(bins) // 32), 32, [of_sums, of_histogram, of_bins, of_counts])
        module.launch("landings", -(-blocks // 32), 32, [plan_, of_columns, runs, runs, of_landed])
        occupied = int(sums["occupied"][0])
        tally = tally_of(sums, bins[:occupied], counts[:occupied], first, count)
        return tally, landed.view(np.uint8)[: -(-count // 8)]

    def ptx_text(self, architecture: str, several: bool = False) -> str:
        """The PTX of kernels/descend.cu for a virtual architecture; `several`: of the kernel of several cases."""
        given = gpu.several_options(load_schema().params_bytes(4)) if several else self.params_options
        options = nvrtc.load().options(architecture, given)
        path = self.folder / f"{nvrtc.digest_of((self.source.digest, *options))[:16]}.ptx"
        if not path.is_file():
            program = nvrtc.load().compile(self.source, architecture, given)
            nvrtc.write_atomically(path, program.ptx.encode())
        return path.read_text()

    def ptx_module(self, text: str, optimise: bool = False) -> ptx_executor.PtxModule:
        """A PTX text built for the host."""
        return ptx_executor.PtxModule(text, self.folder, nvrtc.digest_of((text, repr(optimise)))[:16], optimise)

    def _made(self, line: Sequence[str], suffix: str, *contents: str) -> Path:
        """The product of a compiler line, made unless it is there."""
        version = subprocess.run([line[0], "--version"], capture_output=True, text=True, check=True).stdout
        key = hashlib.sha256("\0".join((*line, version, *contents)).encode()).hexdigest()[:16]
        path = self.folder / f"{key}.{suffix}"
        if not path.is_file():
            partial = path.with_suffix(f".{os.getpid()}")
            done = subprocess.run([*line, "-o", str(partial)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{' '.join(line)}\n{done.stderr}"
            partial.replace(path)
        return path


def difference(expected: Records, actual: Records) -> str:
    """The first run and field whose bits differ, or nothing."""
    if expected.tobytes() == actual.tobytes():
        return ""
    if len(expected) != len(actual):
        return f"{len(expected)} records against {len(actual)}"
    words = len(expected.dtype.names or ())
    a, b = (records.view(np.uint32).reshape(len(records), words) for records in (expected, actual))
    run, word = np.argwhere(a != b)[0]
    name = (expected.dtype.names or ())[word]
    count = len(np.unique(np.argwhere(a != b)[:, 0]))
    left, right = (f"{r[name][run]!r} ({w[run, word]:08x})" for r, w in ((expected, a), (actual, b)))
    return f"{count} of {len(a)} runs differ, first run {run}: {name} {left} against {right}"


@functools.cache
def missions() -> dict[str, bytes]:
    """The Params bytes of every shipped mission, by name."""
    from mcrisk import mission, nominal, params

    names = sorted(path.stem for path in (config_folder() / "missions").glob("*.toml"))
    return {name: params.pack(nominal.design(mission.load(name))) for name in names}


@functools.cache
def _highland() -> Any:
    from mcrisk import ground, synthetic

    return ground.pack(synthetic.ground("highland", 1, cell=500.0, site_cell=20.0))


def modelled(params: bytes, mapped: bool = False) -> tuple[bytes, bytes]:
    """The same Params over a made-up highland with rocks and craters, and its heights; the lander avoids hazards.

    mapped: its computer knows the highland.
    """
    schema, found = load_schema(), _highland()
    block = np.frombuffer(params, schema.params_dtype(4)).copy()
    for path, value in found.values.items():
        *folders, name = path.split(".")
        place = block
        for folder in folders:
            place = place[folder]
        place[name] = value
    for name, number in (("rock_area", 0.05), ("crater_density", 0.05), ("cell_slope", 0.05)):
        block["world"]["terrain"][name] = number
    block["onboard"]["hazards"]["fitted"] = 1
    if mapped:
        block["onboard"]["navigation"]["gate_policy"] = schema.enums["GatePolicy"]["dem_aware"]
    return block.tobytes(), found.heights


def stricken(params: bytes, probability: float = 0.3) -> bytes:
    """Params in which every fault can strike, from the first tick on or later, for ten seconds or for good.

    One in three also has a rate; every seventh belongs to a group.
    """
    schema = load_schema()
    block = np.frombuffer(params, schema.params_dtype(4)).copy()
    faults = [one.name for one in schema.structs["Faults"].members if one.type == "Fault"]
    for number, name in enumerate(faults):
        fault = block["faults"][name]
        fault["probability"] = probability
        fault["window"] = 500 * (number % 2)
        fault["after"] = 50 * (number % 4)
        fault["rate"] = 1e-4 * (number % 3 == 0)
        fault["below"] = 20e3 / (1 + number % 5)
        fault["phase"] = number % 3
        fault["duration"] = 10 if number % 3 else 1e5
        fault["group"] = number % 7 == 0
    return block.tobytes()


def poison_count() -> int:
    """How many different blocks `poisoned` makes."""
    return len(poison_paths()) * len(POISONS)


@functools.cache
def poison_paths() -> list[str]:
    """The numbers that a wrong mission could carry."""
    slots = load_schema().slots.items()
    return [path for path, slot in slots if slot.base == "real" and slot.owner not in ("Scatter", "Simulation")]


def poisoned(params: bytes, number: int) -> bytes:
    """Params with one number made wrong: NaN, infinite, huge, zero, negative, tiny. Flights end after five minutes.

    number: 0 .. poison_count() - 1 chooses which number and which value.
    """
    schema = load_schema()
    block = np.frombuffer(params, schema.params_dtype(4)).copy()
    block["simulation"]["time_max_ticks"] = np.minimum(block["simulation"]["time_max_ticks"], 3000)
    kind, place = divmod(number, len(poison_paths()))
    block.view(np.float32)[schema.slots[poison_paths()[place]].offset_bytes(4) // 4] = POISONS[kind]
    return block.tobytes()


def nasty(runs: int, seed: int = 1) -> np.ndarray:
    """Records of ordinary values, of any bits, and of the ends of the number line."""
    schema = load_schema()
    success = schema.enums["Outcome"]["success"]
    random = np.random.default_rng(seed)
    records = np.zeros(runs, schema.record_dtype())
    for name in (name for name, one in schema.record_fields.items() if one.metric):
        bits = random.integers(0, 1 << 32, runs, dtype=np.uint32).view(np.float32)
        ordinary = random.normal(0, 10.0 ** random.integers(-3, 5), runs)
        special = random.choice(ENDS, runs).astype(np.float32)
        records[name] = np.choose(random.integers(0, 3, runs), (ordinary.astype(np.float32), bits, special))
    records["contact"] = random.integers(0, 3, runs)
    records["outcome"] = np.where(random.random(runs) < 0.5, success, random.integers(0, success, runs))
    records["cause"] = random.integers(0, len(schema.enums["Cause"]), runs)
    return records
