"""The `probe` fixture: any function of the kernel headers as a numpy function, on each compiler present."""

import ctypes
import dataclasses
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence

import numpy as np
import pytest

HEADERS = pathlib.Path(__file__).parents[2] / "kernels" / "mcrisk"
COMPILERS = {"g++": ["g++"], "clang++": ["clang++", *(f"clang++-{version}" for version in range(24, 14, -1))]}
FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]
ISA_FLAGS = ["-march=x86-64-v3"] if platform.machine() in ("x86_64", "AMD64") else []
REAL_FLAGS = {"float": [], "double": ["-DMCR_REAL_DOUBLE"]}

# Values cross the border as rows of float64: a number, bool or enum in one column, a struct of reals or an array in one per member.
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
    """One C++ compiler with the flags of the CPU kernels; its outputs are cached by the digest of all they depend on."""

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
                os.replace(fresh, path)
        return path

    def library(self, source: str, flags: Sequence[str] = ()) -> ctypes.CDLL:
        """The shared library of a C++ text."""
        return ctypes.CDLL(str(self._output(source, ["-shared", "-fPIC", *flags], ".so")))

    def assembly(self, source: str, flags: Sequence[str] = ()) -> str:
        """The assembly listing of a C++ text."""
        return self._output(source, ["-S", *flags], ".s").read_text()


@pytest.fixture(params=list(COMPILERS))
def compiler(request: pytest.FixtureRequest) -> Compiler:
    """Each compiler present; a test that asks for it runs once on each."""
    found = [path for name in COMPILERS[request.param] if (path := shutil.which(name))]
    if not found:
        pytest.skip(f"{request.param} is not installed")
    version = subprocess.run([found[0], "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return Compiler(found[0], version, pathlib.Path(request.config.cache.mkdir("probes")))


@pytest.fixture
def probe(compiler: Compiler) -> Callable[..., Callable]:
    """Make a numpy function of any C++ expression over the kernel headers.

    >>> root = probe("real.h", "square_root(x)")                                      # arguments="real x"
    >>> root(np.array([1.0, 4.0]))
    array([1., 2.])
    >>> turn = probe("quat.h", "rotate(q_BS, v_S)", "Quat q_BS, Vec3 v_S")            # (..., 4), (..., 3) -> (..., 3)
    >>> probe("philox.h", ["words.a", "words.b"], "unsigned run",                     # a list: one array each
    ...       prepare="Words4 const words = make_draws(7, run).words(Stream::imu_noise, 0);")
    >>> probe("altimeter.h", ["range.value", "range.valid"], "real height, int tick",
    ...       preamble="constexpr Altimeter device() { Altimeter a{}; a.range_max = 5e3f; return a; }",
    ...       prepare="Range const range = measure_range(device(), height, make_draws(7, 0), tick);")

    headers: one name or a list, relative to kernels/mcrisk.
    expression: what is returned; a list of expressions returns a tuple of arrays.
    arguments: C++ parameters, each a number, bool, enum or struct made of `real` only (Vec3, Quat, your own).
    prepare: C++ statements before the expressions, once per element.
    preamble: C++ declarations at namespace scope (constants, structs, helper functions); all of this is inside namespace mcr.
    real: "float" or "double", the build to ask. flags: more compiler flags, e.g. ["-O0"].

    The function takes arrays of numbers (float64 at the border, then cast to the C++ type: integers are exact to 2^53), lets them
    broadcast, and returns float64 arrays; float results are exact in them, so bits can be compared. A struct occupies the last axis.
    Compiled libraries are kept in pytest's cache under the digest of their source, headers, flags and compiler.
    """

    def make(
        headers: str | Sequence[str],
        expression: str | Sequence[str],
        arguments: str = "real x",
        *,
        prepare: str = "",
        preamble: str = "",
        real: str = "float",
        flags: Sequence[str] = (),
    ) -> Callable:
        expressions = [expression] if isinstance(expression, str) else list(expression)
        headers = [headers] if isinstance(headers, str) else headers
        parameters = [parameter.rsplit(maxsplit=1) for parameter in arguments.split(",") if parameter.strip()]
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
            arrays = [np.asarray(value, np.float64) for value in values]
            rows = [array if columns else array[..., np.newaxis] for array, columns in zip(arrays, columns_in, strict=True)]
            shape = np.broadcast_shapes(*(row.shape[:-1] for row in rows))
            rows = [np.broadcast_to(row, (*shape, max(1, columns))) for row, columns in zip(rows, columns_in, strict=True)]
            table = np.ascontiguousarray(np.concatenate(rows, axis=-1).reshape(int(np.prod(shape)), -1))
            columns_out = run(table[:1], np.empty(SCRATCH_COLUMNS))  # the first row tells the shapes of the results
            widths = [max(1, columns) for columns in columns_out]
            results = np.empty((len(table), sum(widths)))
            run(table, results)
            parts = np.split(results, np.cumsum(widths)[:-1], axis=1)
            answers = [part.reshape((*shape, columns) if columns else shape) for part, columns in zip(parts, columns_out, strict=True)]
            return answers[0] if isinstance(expression, str) else tuple(answers)

        return call

    return make


def _probe_source(headers: Sequence[str], expressions: Sequence[str], parameters: list[list[str]], prepare: str, preamble: str) -> str:
    includes = "".join(f'#include "{header}"\n' for header in headers)
    columns = ", ".join(f"__is_class({kind}) ? border::columns<{kind}> : 0" for kind, _ in parameters)
    takes = "".join(f"        {kind} const {name} = border::take<{kind}>(in);\n" for kind, name in parameters)
    gives = "".join(f"        columns_out[{k}] = border::give(out, {expression});\n" for k, expression in enumerate(expressions))
    return f"""{includes}{BORDER}
namespace mcr {{
{preamble}
extern "C" {{
extern int const probe_columns_in[] = {{{columns}}};
void probe_run(long long count, double const* in, double* out, int* columns_out) {{
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
