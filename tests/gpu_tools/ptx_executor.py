"""PTX executed on a CPU: each PTX statement becomes one C statement, built by the host compiler.

It checks the front half of the GPU compiler (contraction, approximate operations, reordering) without a GPU;
ptxas and the hardware remain. Every rounding is IEEE, a float result that is NaN carries the GPU's bits
(0x7fffffff), a float-to-integer conversion saturates as PTX says. What is not understood is refused with its line.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from ptx_opcodes import C_TYPE, WIDTH, Function, Opcodes, PtxError, declared, operands, symbol

PRELUDE = Path(__file__).with_name("ptx_prelude.h")


def strip_comments(ptx: str) -> str:
    """The text without comments, line numbers kept."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), ptx, flags=re.DOTALL)


def closing(text: str, start: int) -> int:
    """The position of the brace that closes the one at `start`."""
    depth = 0
    for found in re.compile(r"[{}]").finditer(text, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    raise PtxError("unbalanced braces")


class Translator:
    """PTX text to C text."""

    def __init__(self, ptx: str) -> None:
        self.text = strip_comments(ptx)
        self.original = ptx.splitlines()
        self.globals: dict[str, str] = {}
        self.functions: list[Function] = []
        self.opcodes = Opcodes(self.globals, self.functions)
        self.read_module()

    def fail(self, line: int, reason: str) -> PtxError:
        """The refusal of one source line."""
        return PtxError(f"PTX line {line}: {reason}: {self.original[line - 1].strip()}")

    def line_of(self, position: int) -> int:
        """The line number of a position of the text."""
        return self.text.count("\n", 0, position) + 1

    # Module level

    def read_module(self) -> None:
        """Variables and functions."""
        position = 0
        while found := re.compile(r"\S").search(self.text, position):
            start = found.start()
            if line := re.compile(r"\.(version|target|address_size)[^\n]*").match(self.text, start):
                position = line.end()
            elif variable := re.compile(r"((?:\.\w+\s+)*)\.(global|const)\b[^;]*;").match(self.text, start):
                self.read_variable(variable[0][:-1], self.line_of(start))
                position = variable.end()
            elif header := re.compile(r"(?:\.\w+\s+)*?\.(entry|func)\b[^{;]*[{;]").match(self.text, start):
                end = header.end() - 1
                function = self.read_header(header[0][:-1], header[1] == "entry", self.line_of(start))
                if self.text[end] == "{":
                    end = closing(self.text, end)
                    function.body, function.line = self.text[header.end() : end], self.line_of(header.end())
                    self.functions.append(function)
                position = end + 1
            else:
                raise self.fail(self.line_of(start), "directive not understood")

    def read_variable(self, text: str, line: int) -> None:
        """`.const .align 4 .b8 name[4] = {1, 2, 3, 4}` as a C array of bytes or words."""
        head, _, values = text.partition("=")
        found = re.search(r"(?:\.align\s+(\d+)\s+)?\.(\w\d+)\s+([\w$]+)(?:\[(\d+)\])?\s*$", head.strip())
        if not found or ".extern" in head:
            raise self.fail(line, "variable not understood")
        align, kind, name, count = found.groups()
        words = re.findall(r"[\w.+-]+", values)
        if any(not re.fullmatch(r"-?\d+|0[fFdDxX][0-9A-Fa-f]+", word) for word in words):
            raise self.fail(line, "initialiser not understood")
        numbers = ", ".join(re.sub(r"^0[fFdD]", "0x", word) for word in words) or "0"
        array = f"static u{WIDTH[kind]} {symbol(name)}[{count or 1}]"
        self.globals[name] = f"{array} __attribute__((aligned({align or 8}))) = {{{numbers}}};"

    def read_header(self, text: str, entry: bool, line: int) -> Function:
        """`.visible .entry name(.param ...) .maxntid 128`."""
        found = re.search(r"\.(?:entry|func)\s*(?:\(([^)]*)\))?\s*([\w$]+)\s*(?:\(([^)]*)\))?", text)
        if not found:
            raise self.fail(line, "function not understood")
        function = Function(found[2], entry, [], [])
        for names, group in ((function.returns, found[1]), (function.parameters, found[3])):
            for parameter in filter(str.strip, (group or "").split(",")):
                name, size, _ = declared(parameter)
                names.append(name)
                function.sizes[name] = size
        return function

    # Function level

    def statements(self, function: Function) -> Iterator[tuple[int, str]]:
        """(line, text) of each statement; text is `{`, `}`, `label:` or an instruction."""
        body, position = function.body, 0
        while found := re.compile(r"\S").search(body, position):
            start = found.start()
            line = function.line + body.count("\n", 0, start)
            if body[start] in "{}":
                yield line, body[start]
                position = start + 1
            elif label := re.compile(r"([$\w]+):(?!:)").match(body, start):
                yield line, label[0]
                position = label.end()
            else:
                end = body.index(";", start)
                yield line, " ".join(body[start:end].split())
                position = end + 1

    def translate(self) -> str:
        """The whole module as C, with `launch_NAME(grid, rows, block, arguments)` for each entry."""
        launches = []
        for function in self.functions:
            self.translate_function(function)
            if function.entry:
                arguments = ", ".join(f"arguments[{index}]" for index in range(len(function.parameters)))
                launches.append(
                    f"void launch_{function.name}(u32 grid, u32 rows, u32 block, u8** arguments) {{\n"
                    "  nctaid_x = grid; nctaid_y = rows; ntid_x = block;\n"
                    "  for (ctaid_y = 0; ctaid_y < rows; ++ctaid_y)\n"
                    "  for (ctaid_x = 0; ctaid_x < grid; ++ctaid_x)\n    for (tid_x = 0; tid_x < block; ++tid_x)\n"
                    f"      F_{symbol(function.name)}({arguments});\n}}\n"
                )
        prototypes = "\n".join(f"{function.prototype};" for function in self.functions)
        bodies = "\n".join(
            "\n".join((f"{function.prototype} {{", *function.declarations, *function.lines, "}"))
            for function in self.functions
        )
        return "\n".join((PRELUDE.read_text(), *self.globals.values(), prototypes, bodies, *launches))

    def translate_function(self, function: Function) -> None:
        """Fill the C lines of one function."""
        statements = list(self.statements(function))
        for (_, label), (_, text) in itertools.pairwise(statements):
            if text.startswith(".branchtargets"):
                function.tables[label[:-1]] = [name.strip() for name in text.split(None, 1)[1].split(",")]
        for line, text in statements:
            try:
                if c := self.statement(function, text):
                    function.lines.append(f"  {c}")
            except PtxError as error:
                raise self.fail(line, str(error)) from None
            except (KeyError, ValueError, IndexError) as error:
                raise self.fail(line, f"not understood ({error!r})") from error

    def statement(self, function: Function, text: str) -> str:
        """One statement as C."""
        if text in "{}":
            return text
        if text.endswith(":"):
            return "" if text[:-1] in function.tables else f"{symbol(text[:-1])}: ;"
        if text.startswith(".branchtargets") or text.startswith((".pragma", ".loc ")):
            return ""
        if text.startswith("."):
            return self.declare(function, text)
        guard = ""
        if found := re.match(r"@(!?)(%\w+)\s+", text):
            guard = f"if ({found[1]}{self.opcodes.register(function, found[2])}) "
            text = text[found.end() :]
        opcode, _, rest = text.partition(" ")
        return guard + self.opcodes.instruction(function, opcode.split("."), operands(rest))

    def declare(self, function: Function, text: str) -> str:
        """Registers and local memory go to the head of the C function, call parameters stay in their block."""
        if found := re.fullmatch(r"\.reg\s+\.(\w+)\s+(.*)", text):
            kind = C_TYPE["b" + found[1][1:]] if found[1] != "pred" else "u8"
            for name in found[2].split(","):
                counted = re.fullmatch(r"\s*(%\w+?)<(\d+)>\s*", name)
                names = [f"{counted[1]}{index}" for index in range(int(counted[2]))] if counted else [name.strip()]
                function.registers |= dict.fromkeys(names, kind)
                function.declarations.append(f"  {kind} " + ", ".join(f"{symbol(each)} = 0" for each in names) + ";")
            return ""
        space = text[1:].split(None, 1)[0]
        if space not in ("local", "param"):
            raise PtxError(f"memory space .{space} refused")
        name, size, align = declared(text)
        array = f"u8 {symbol(name)}[{size}] __attribute__((aligned({max(align, 8)})));"
        function.sizes[name] = size
        if space == "param":
            return array
        function.declarations.append(f"  {array}")
        return ""


class PtxModule:
    """The entries of a PTX module, built for the host: `launch(name, grid, block, arguments)`."""

    def __init__(self, ptx: str, folder: Path, name: str = "ptx", optimise: bool = False) -> None:
        compilers = (shutil.which(command) for command in ("clang", "clang-19", "gcc", "cc"))
        compiler = next(filter(None, compilers), None)
        if compiler is None:
            raise PtxError("no C compiler on the path")
        source, library = folder / f"{name}.c", folder / f"{name}.so"
        source.write_text(Translator(ptx).translate(), encoding="utf-8")
        # Built in seconds without optimisation, ten times faster with; contraction off, because PTX names each fma.
        flags = [
            "-std=gnu11",
            "-O1" if optimise else "-O0",
            "-fwrapv",
            "-fno-strict-aliasing",
            "-ffp-contract=off",
            "-w",
        ]
        command = [compiler, *flags, "-fno-math-errno", "-march=native", "-shared", "-fPIC", source, "-lm"]
        subprocess.run([*command, "-o", library], check=True)
        self._library = ctypes.CDLL(str(library.resolve()))

    def launch(self, name: str, grid: int, block: int, arguments: Sequence[bytes], rows: int = 1) -> None:
        """Run every thread of a grid of `rows` in turn; `arguments` are the bytes of the kernel parameters."""
        held = [ctypes.create_string_buffer(argument, len(argument)) for argument in arguments]
        pointers = (ctypes.c_void_p * len(held))(*map(ctypes.addressof, held))
        self._library[f"launch_{name}"](*map(ctypes.c_uint32, (grid, rows, block)), pointers)
