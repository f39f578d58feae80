"""The `probe` fixture: any function of the kernel headers as a numpy function, on each compiler present."""

import ctypes
import dataclasses
import functools
import hashlib
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

HEADERS = pathlib.Path(__file__).parents[2] / "kernels" / "mcrisk"
COMPILERS = {"g++": ["g++"], "clang++": ["clang++", *(f"clang++-{version}" for version in range(24, 14, -1))]}
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]
ISA_FLAGS = ["-march=x86-64-v3"] if platform.machine() in ("x86_64", "AMD64") else []
REAL_FLAGS = {"float": [], "double": ["-DMCR_REAL_DOUBLE"]}

# Values cross the border as rows of float64: a number, bool or enum takes one column, a struct of reals or an array one
# per member.
BORDER = """
#include "real.h"
namespace border {
template <class T> constexpr int columns = __is_class(T) ? int(sizeof(T) / sizeof(mcr::real)) : 1;
template <class T> T take(double const*& row) {
    if constexpr (__is_class(T)) {
        struct Members { mcr::real at[columns<T>]; } members;
        for (mcr::real& member : members.at) member = static_cast<mcr::real>(*row++);
        return __builtin_bit_cast(T, members);
    } else if constexpr (__is_enum(T)) {
        return static_cast<T>(static_cast<int>(*row++));
    } else {
        return static_cast<T>(*row++);
    }
}
template <class T> int give(double*& row, T const& value) {  // returns the length of the last axis, 0 for none
    if constexpr (__is_class(T)) {
        struct Members { mcr::real at[columns<T>]; };
        Members const members = __builtin_bit_cast(Members, value);
        for (mcr::real member : members.at) *row++ = static_cast<double>(member);
        return columns<T>;
    } else {
        *row++ = static_cast<double>(value);
        return 0;
    }
}
template <class T, int size> int give(double*& row, T const (&values)[size]) {
    for (T const& value : values) *row++ = static_cast<double>(value);
    return size;
}
}  // namespace border
"""
SCRATCH_COLUMNS = 4096


@dataclasses.dataclass(frozen=True)
class Compiler:
    """One C++ compiler with the flags of the CPU kernels; outputs are cached by the digest of all they depend on."""

    program: str
    version: str
    cache: pathlib.Path

    def _output(self, source: str, flags: Sequence[str], suffix: str) -> pathlib.Path:
        command = [self.program, *FLAGS, *ISA_FLAGS, *flags, f"-I{HEADERS}", "-x", "c++", "-"]
        dependencies = [self.version, *FLAGS, *ISA_FLAGS, *flags, source, *_included_texts(source)]
        path = self.cache / (hashlib.sha256("\0".join(dependencies).encode()).hexdigest()[:24] + suffix)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=self.cache) as folder:
                fresh = pathlib.Path(folder) / path.name
                done = subprocess.run([*command, "-o", fresh], input=source, capture_output=True, text=True)
                if done.returncode != 0:
                    numbered = "\n".join(f"{number:4} {line}" for number, line in enumerate(source.splitlines(), 1))
                    raise RuntimeError(f"{self.program} refused the probe:\n{done.stderr}\n{numbered}")
                fresh.replace(path)
        return path

    def library(self, source: str, flags: Sequence[str] = ()) -> ctypes.CDLL:
        """The shared library of a C++ text."""
        return ctypes.CDLL(str(self._output(source, ["-shared", "-fPIC", *flags], ".so")))

    def assembly(self, source: str, flags: Sequence[str] = ()) -> str:
        """The assembly listing of a C++ text."""
        return self._output(source, ["-S", *flags], ".s").read_text()


def find_compiler(name: str, config: pytest.Config) -> Compiler | None:
    """The first program of that name on the path, if any."""
    found = [path for program in COMPILERS[name] if (path := shutil.which(program))]
    if not found:
        return None
    version = subprocess.run([found[0], "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return Compiler(found[0], version, pathlib.Path(config.cache.mkdir("probes")))


@pytest.fixture(params=list(COMPILERS))
def compiler(request: pytest.FixtureRequest) -> Compiler:
    """Each compiler present; a test that asks for it runs once on each."""
    found = find_compiler(request.param, request.config)
    if found is None:
        pytest.skip(f"{request.param} is not installed")
    return found


@pytest.fixture
def probe(compiler: Compiler) -> Callable[..., Callable]:
    """`make_probe` of each compiler present; a test that asks for it runs once on each.

    >>> root = probe("real.h", "square_root(x)")
    >>> root(np.array([1.0, 4.0]))
    array([1., 2.])
    """
    return functools.partial(make_probe, compiler)


@pytest.fixture
def every_probe(request: pytest.FixtureRequest) -> list[Callable[..., Callable]]:
    """`make_probe` of all compilers present, to compare them in one test."""
    found = [find_compiler(name, request.config) for name in COMPILERS]
    return [functools.partial(make_probe, compiler) for compiler in found if compiler is not None]


@pytest.fixture
def x86_64() -> None:
    """Skips the test on other processors: it reads their instructions."""
    if not ISA_FLAGS:
        pytest.skip("reads x86-64 instructions")


def make_probe(
    compiler: Compiler,
    headers: str | Sequence[str],
    expression: str | Sequence[str],
    arguments: str = "real x",
    *,
    prepare: str = "",
    preamble: str = "",
    real: str = "float",
    flags: Sequence[str] = (),
) -> Callable[..., np.ndarray | tuple[np.ndarray, ...]]:
    """A numpy function of any C++ expression over the kernel headers.

    >>> root = probe("real.h", "square_root(x)")                            # of "real x", unless told otherwise
    >>> turn = probe("quat.h", "rotate(q_BS, v_S)", "Quat q_BS, Vec3 v_S")  # (..., 4), (..., 3) -> (..., 3)
    >>> draw = probe("philox.h", ["words.a", "words.b"], "unsigned run",    # a list of expressions: a tuple of arrays
    ...              prepare="Words4 const words = make_draws(7, run).words(Stream::imu_noise, 0);")
    >>> sees = probe("altimeter.h", ["range.value", "range.valid"], "real height, int tick",
    ...              preamble="MCR_FN Altimeter device() { Altimeter a{}; a.range_max = 5000; return a; }",
    ...              prepare="Range const range = measure_range(device(), height, make_draws(7, 0), tick);")

    headers: one name or several, relative to kernels/mcrisk.
    expression: what is returned, a number, bool, enum, C array or struct of `real`; of a list, a tuple of arrays.
    arguments: C++ parameters, each a number, bool, enum or struct of `real` only (Vec3, Quat, your own).
    prepare: C++ statements in front of the expressions, executed for each element.
    preamble: C++ declarations at namespace scope (constants, structs, functions); like all of this, inside `mcr`.
    real: "float" or "double", the build that is asked.
    flags: more compiler flags, such as "-O0".

    The function takes numbers or arrays, lets them broadcast, and returns float64 arrays; structs and C arrays occupy
    the last axis. Values are float64 at the border and cast to and from the C++ types, so floats keep their bits and
    integers are exact to 2^53. Compiled libraries stay in pytest's cache under the digest of source, headers, flags
    and compiler.
    """
    expressions = [expression] if isinstance(expression, str) else list(expression)
    headers = [headers] if isinstance(headers, str) else headers
    parameters = [parameter.strip().rsplit(maxsplit=1) for parameter in arguments.split(",") if parameter.strip()]
    source = _probe_source(headers, expressions, parameters, prepare, preamble)
    library = compiler.library(source, [*REAL_FLAGS[real], *flags])
    columns_in = list((ctypes.c_int * len(parameters)).in_dll(library, "probe_columns_in"))

    def run(table: np.ndarray, results: np.ndarray) -> list[int]:
        columns_out = np.zeros(len(expressions), np.int32)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (table, results, columns_out)]
        library.probe_run(ctypes.c_longlong(len(table)), *pointers)
        return list(map(int, columns_out))

    def call(*values: object) -> np.ndarray | tuple[np.ndarray, ...]:
        if len(values) != len(parameters):
            raise TypeError(f"probe of ({arguments}): expected {len(parameters)} arrays, got {len(values)}")
        blocks = []
        for value, columns in zip(values, columns_in, strict=True):
            array = np.asarray(value, np.float64)
            blocks.append(array if columns else array[..., np.newaxis])
        shape = np.broadcast_shapes(*(block.shape[:-1] for block in blocks))
        blocks = [np.broadcast_to(block, (*shape, block.shape[-1])) for block in blocks]
        table = np.concatenate([*blocks, np.empty((*shape, 0))], axis=-1).reshape(int(np.prod(shape)), -1)
        if table.shape[1] != sum(max(1, columns) for columns in columns_in):
            raise TypeError(f"probe of ({arguments}): expected last axes of {columns_in}, got {table.shape[1]} columns")
        table = np.ascontiguousarray(table)
        columns_out = run(table[:1], np.empty(SCRATCH_COLUMNS))  # the first row tells the shapes of the results
        widths = [max(1, columns) for columns in columns_out]
        results = np.empty((len(table), sum(widths)))
        run(table, results)
        parts = np.split(results, np.cumsum(widths)[:-1], axis=1)
        ends = [(columns,) if columns else () for columns in columns_out]
        answers = tuple(part.reshape(shape + end)[()] for part, end in zip(parts, ends, strict=True))
        return answers[0] if isinstance(expression, str) else answers

    return call


def _probe_source(
    headers: Sequence[str], expressions: Sequence[str], parameters: list[list[str]], prepare: str, preamble: str
) -> str:
    includes = "".join(f'#include "{header}"\n' for header in headers)
    columns = ", ".join(f"__is_class({kind}) ? border::columns<{kind}> : 0" for kind, _ in parameters)
    takes = "".join(f"        {kind} const {name} = border::take<{kind}>(row_in);\n" for kind, name in parameters)
    gives = "".join(
        f"        columns_out[{k}] = border::give(row_out, {text});\n" for k, text in enumerate(expressions)
    )
    return f"""{includes}{BORDER}
namespace mcr {{
{preamble}
extern "C" {{
extern int const probe_columns_in[] = {{{columns or 0}}};
void probe_run(long long count, double const* row_in, double* row_out, int* columns_out) {{
    for (long long element = 0; element < count; ++element) {{
{takes}        {prepare}
{gives}    }}
}}
}}
}}  // namespace mcr
"""


def _included_texts(source: str) -> list[str]:
    """The texts of all kernel headers a C++ text includes, directly or not."""
    texts: dict[str, str] = {}
    pending = [source]
    while pending:
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', pending.pop(), re.MULTILINE):
            if name not in texts:
                texts[name] = (HEADERS / name).read_text()
                pending.append(texts[name])
    return [text for _, text in sorted(texts.items())]


@pytest.fixture
def random() -> np.random.Generator:
    """The same numbers for every test."""
    return np.random.default_rng(20261122)
