"""One PTX instruction as one C statement, on the operations of ptx_prelude.h; what is not understood is refused."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

C_TYPE = {kind + str(width): sign + str(width) for kind, sign in ("bu", "uu", "si") for width in (8, 16, 32, 64)}
C_TYPE |= {"f32": "float", "f64": "double", "pred": "u8"}
WIDTH = {name: int(name[1:]) if name != "pred" else 8 for name in C_TYPE}

# Modifiers that would let bits differ from IEEE, or that one thread alone cannot execute.
INEXACT = {"approx", "ftz", "full", "rz", "rm", "rp"}
FOREIGN = {"bar", "barrier", "shfl", "vote", "match", "activemask", "membar", "fence", "redux", "elect"}
# Cache hints: no effect on values.
HINT = {"nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "relaxed", "weak", "gpu", "volatile"}


class PtxError(ValueError):
    """A PTX statement that the executor refuses."""


@dataclass
class Function:
    """One `.entry` or `.func` under translation."""

    name: str
    entry: bool
    returns: list[str]
    parameters: list[str]
    sizes: dict[str, int] = field(default_factory=dict)
    body: str = ""
    line: int = 0  # of the body's first character
    lines: list[str] = field(default_factory=list)
    declarations: list[str] = field(default_factory=list)
    registers: dict[str, str] = field(default_factory=dict)  # name or counted prefix -> C type
    tables: dict[str, list[str]] = field(default_factory=dict)

    @property
    def prototype(self) -> str:
        """The C signature: parameters are memory, as in PTX."""
        names = [symbol(name) for name in (*self.returns, *self.parameters)]
        return f"static void F_{symbol(self.name)}({', '.join(f'u8* {name}' for name in names) or 'void'})"


def symbol(name: str) -> str:
    """A C identifier for a PTX one."""
    return "P_" + re.sub(r"\W", "_", name.replace("$", "S_"))


def declared(text: str) -> tuple[str, int, int]:
    """Name, bytes and alignment of `.param .align 4 .b8 name[12]` or `.param .u64 name`."""
    pointer = r"(?:\.ptr\s+(?:\.(?!align)\w+\s+)?(?:\.align\s+\d+\s+)?)?"
    pattern = rf"(?:\.\w+\s+)*?(?:\.align\s+(\d+)\s+)?\.([busf]\d+)\s+{pointer}([\w$%]+)(?:\[(\d*)\])?"
    found = re.fullmatch(pattern, text.strip())
    if not found:
        raise PtxError(f"declaration not understood: {text}")
    align, kind, name, count = found.groups()
    size = WIDTH[kind] // 8
    return name, size * int(count or 1), int(align or size)


@dataclass(frozen=True)
class Opcodes:
    """Instructions of one module, whose variables and functions these are."""

    globals: Collection[str]
    functions: Collection[Function]

    # Operands

    def register(self, function: Function, name: str) -> str:
        """The C variable of a register or special register."""
        if name in function.registers:
            return symbol(name)
        if special := re.fullmatch(r"%(tid|ntid|ctaid|nctaid)\.([xyz])", name):
            if special[2] == "y" and special[1].endswith("ctaid"):
                return f"{special[1]}_y"
            return f"{special[1]}_x" if special[2] == "x" else ("1" if special[1].startswith("n") else "0")
        raise PtxError(f"register {name} refused")

    def address(self, function: Function, text: str) -> str:
        """`[%rd1+40]`, `[name]` as a C expression of 64 bits."""
        found = re.fullmatch(r"\[\s*([%$\w.]+)\s*(?:([+-])\s*(-?\w+)\s*)?\]", text)
        if not found:
            raise PtxError(f"address {text} not understood")
        base = self.value(function, found[1], "u64")
        return base if not found[2] else f"({base} {found[2]} (u64)(i64)({found[3]}))"

    def value(self, function: Function, text: str, kind: str) -> str:
        """One source operand as a C expression of type `kind`."""
        text = text.strip()
        width = WIDTH[kind]
        if text.startswith("!") and kind == "pred":
            return f"!{self.register(function, text[1:])}"
        if text.startswith("%"):
            word = self.register(function, text)
        elif text in function.sizes or text in self.globals:
            word = f"(u64)(uintptr_t){symbol(text)}"
        elif found := re.fullmatch(r"0[fFdD]([0-9A-Fa-f]{8}|[0-9A-Fa-f]{16})", text):
            word = f"0x{found[1]}{'u' if len(found[1]) == 8 else 'ull'}"
        elif re.fullmatch(r"-?(0[xX][0-9A-Fa-f]+|\d+)U?", text):
            number = int(text.rstrip("U"), 0) % (1 << 64)
            word = f"{number}ull"
        else:
            raise PtxError(f"operand {text} not understood")
        if kind in ("f32", "f64"):
            return f"{kind}((u{width}){word})"
        return f"({C_TYPE[kind]}){word}"

    def store(self, function: Function, name: str, kind: str, expression: str) -> str:
        """Assign a C expression of type `kind` to a register, extended by its sign when signed."""
        target = self.register(function, name)
        if kind in ("f32", "f64"):
            return f"{target} = r{WIDTH[kind]}({expression});"
        return f"{target} = ({function.registers[name]})({C_TYPE[kind]})({expression});"

    # Instructions

    def instruction(self, function: Function, opcode: list[str], given: list[str]) -> str:
        """One instruction as C."""
        name, *modifiers = opcode
        if name in FOREIGN or "shared" in modifiers:
            raise PtxError("one thread per run has no barrier, shuffle, vote or shared memory")
        if method := getattr(self, f"op_{name}", None):
            return str(method(function, modifiers, given))
        if INEXACT & set(modifiers):
            raise PtxError("rounding other than IEEE nearest refused")
        kind = modifiers[-1]
        if kind not in C_TYPE:
            raise PtxError("opcode refused")
        return self.arithmetic(function, name, modifiers[:-1], kind, given)

    def arithmetic(self, function: Function, name: str, modifiers: list[str], kind: str, given: list[str]) -> str:
        """Opcodes of the form d, a[, b[, c]] of one type."""
        width, is_float = WIDTH[kind], kind[0] == "f"
        unsigned = f"u{width}"

        def of(index: int, as_kind: str = kind) -> str:
            return self.value(function, given[index], as_kind)

        def put(expression: str, as_kind: str = kind) -> str:
            return self.store(function, given[0], as_kind, expression)

        def bits_of(index: int) -> str:
            return self.value(function, given[index], unsigned)

        count = len(given) - 1
        key = ".".join((name, *modifiers))
        if is_float:
            # Without .rn, ptxas may contract a product and a sum.
            binary = {"add.rn": "+", "sub.rn": "-", "mul.rn": "*", "div.rn": "/"}
            if key in binary and count == 2:
                return put(f"{of(1)} {binary[key]} {of(2)}")
            suffix = "f" if kind == "f32" else ""
            sign = f"((u{width})1 << {width - 1})"
            floats = {
                "fma.rn": lambda: put(f"fma{suffix}({of(1)}, {of(2)}, {of(3)})"),
                "sqrt.rn": lambda: put(f"sqrt{suffix}({of(1)})"),
                "rcp.rn": lambda: put(f"1 / {of(1)}"),
                "min": lambda: put(f"min_{kind}({of(1)}, {of(2)})"),
                "max": lambda: put(f"max_{kind}({of(1)}, {of(2)})"),
                "neg": lambda: put(f"{bits_of(1)} ^ {sign}", unsigned),
                "abs": lambda: put(f"{bits_of(1)} & ~{sign}", unsigned),
                "copysign": lambda: put(f"({bits_of(1)} & {sign}) | ({bits_of(2)} & ~{sign})", unsigned),
                "selp": lambda: put(f"{of(3, 'pred')} ? {bits_of(1)} : {bits_of(2)}", unsigned),
            }
            if key not in floats:
                raise PtxError("opcode refused")
            return floats[key]()

        twice = f"{'i' if kind[0] == 's' else 'u'}{'128' if width == 64 else 2 * width}"
        wide = f"{kind[0]}{2 * width}"
        double = f"u{2 * width}"
        product = f"(({twice}){of(1)} * ({twice}){of(2)})" if count >= 2 and kind != "pred" else ""
        low = f"(({unsigned}){of(1)} * ({unsigned}){of(2)})" if count >= 2 and kind != "pred" else ""
        if width == 16:
            low = f"(u16)((u32){low})" if not product else f"(u16){product}"
        logic = {"and": "&", "or": "|", "xor": "^"}
        if key in logic:
            return put(f"{of(1)} {logic[key]} {of(2)}")
        if key in ("add", "sub"):
            return put(f"{bits_of(1)} {'+' if name == 'add' else '-'} {bits_of(2)}")
        integers = {
            "not": lambda: put(f"!{of(1)}" if kind == "pred" else f"~{of(1)}"),
            "cnot": lambda: put(f"!{of(1)}"),
            "neg": lambda: put(f"0 - {bits_of(1)}"),
            "abs": lambda: put(f"{of(1)} < 0 ? 0 - {bits_of(1)} : {bits_of(1)}", unsigned),
            "min": lambda: put(f"{of(1)} < {of(2)} ? {of(1)} : {of(2)}"),
            "max": lambda: put(f"{of(1)} > {of(2)} ? {of(1)} : {of(2)}"),
            "selp": lambda: put(f"{of(3, 'pred')} ? {of(1)} : {of(2)}"),
            "mul.lo": lambda: put(low),
            "mul.hi": lambda: put(f"{product} >> {width}"),
            "mul.wide": lambda: put(product, wide),
            "mad.lo": lambda: put(f"{low} + {bits_of(3)}"),
            "mad.hi": lambda: put(f"({unsigned})({product} >> {width}) + {bits_of(3)}"),
            "mad.wide": lambda: put(f"({double}){product} + {self.value(function, given[3], double)}", wide),
            "div": lambda: put(f"{of(1)} / {of(2)}"),
            "rem": lambda: put(f"{of(1)} % {of(2)}"),
            "shl": lambda: put(f"shl_{unsigned}({bits_of(1)}, {of(2, 'u32')})", unsigned),
            "shr": lambda: put(f"shr_{C_TYPE[kind]}({of(1)}, {of(2, 'u32')})"),
            "shf.l.wrap": lambda: put(f"funnel_l({of(1)}, {of(2)}, {of(3)} & 31)"),
            "shf.r.wrap": lambda: put(f"funnel_r({of(1)}, {of(2)}, {of(3)} & 31)"),
            "shf.l.clamp": lambda: put(f"funnel_l({of(1)}, {of(2)}, {of(3)} < 32 ? {of(3)} : 32)"),
            "shf.r.clamp": lambda: put(f"funnel_r({of(1)}, {of(2)}, {of(3)} < 32 ? {of(3)} : 32)"),
            "bfe": lambda: put(
                f"bfe_u({bits_of(1)}, {of(2, 'u32')}, {of(3, 'u32')}, {width}, {int(kind[0] == 's')})", unsigned
            ),
            "bfi": lambda: put(f"bfi_u({of(1)}, {of(2)}, {of(3, 'u32')}, {of(4, 'u32')}, {width})"),
            "prmt": lambda: put(f"prmt({of(1)}, {of(2)}, {of(3)})"),
            "lop3": lambda: put(f"lop3({of(1)}, {of(2)}, {of(3)}, {of(4)})"),
            "popc": lambda: put(f"(u32)__builtin_popcountll({of(1)})", "u32"),
            "clz": lambda: put(f"{of(1)} ? (u32)__builtin_clzll({of(1)}) - {64 - width} : {width}", "u32"),
            "brev": lambda: put(f"brev({of(1)})"),
        }
        if key not in integers or (kind == "pred" and name not in ("not", "and", "or", "xor")):
            raise PtxError("opcode refused")
        return integers[key]()

    def op_bra(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Jump."""
        return f"goto {symbol(given[0])};"

    def op_brx(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Jump through a table."""
        labels = function.tables[given[1]]
        cases = " ".join(f"case {index}: goto {symbol(label)};" for index, label in enumerate(labels))
        return f"switch ({self.value(function, given[0], 'u32')}) {{ {cases} default: __builtin_trap(); }}"

    def op_ret(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Return."""
        return "return;"

    def op_exit(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """End of the thread; only an entry can do it here."""
        if not function.entry:
            raise PtxError("exit outside the entry")
        return "return;"

    def op_trap(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Stop at once."""
        return "__builtin_trap();"

    def op_call(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """`call.uni (retval0), name, (param0, param1)`."""
        lists = [item for item in given if item.startswith("(")]
        names = [item for item in given if not item.startswith("(")]
        if len(names) != 1 or names[0] not in {each.name for each in self.functions}:
            raise PtxError("call of an unknown function")
        arguments = [symbol(name.strip()) for item in lists for name in item.strip("() ").split(",") if name.strip()]
        return f"F_{symbol(names[0])}({', '.join(arguments)});"

    def memory_kind(self, modifiers: list[str]) -> tuple[str, int]:
        """(type, vector length) of a load or store; refuses what could change the value."""
        length, kind = 1, modifiers[-1]
        for modifier in modifiers[:-1]:
            if modifier in ("v2", "v4", "v8"):
                length = int(modifier[1])
            elif modifier not in HINT | {"global", "local", "param", "const"} and "::" not in modifier:
                raise PtxError(f"modifier .{modifier} refused")
        return kind, length

    def op_ld(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Load of one value or a vector."""
        kind, length = self.memory_kind(modifiers)
        word = C_TYPE["s" + kind[1:]] if kind[0] == "s" else f"u{WIDTH[kind]}"
        address = self.address(function, given[1])
        names = items(given[0]) if length > 1 else [given[0]]
        if length == 1:
            return f"{self.register(function, names[0])} = ({function.registers[names[0]]})ld_{word}({address});"
        loads = "".join(
            f"{self.register(function, name)} = ({function.registers[name]})ld_{word}(a + {index * WIDTH[kind] // 8});"
            for index, name in enumerate(names)
            if name != "_"
        )
        return f"{{ u64 a = {address}; {loads} }}"

    def op_ldu(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Uniform load."""
        return self.op_ld(function, modifiers, given)

    def op_st(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Store of one value or a vector."""
        kind, length = self.memory_kind(modifiers)
        word, address = f"u{WIDTH[kind]}", self.address(function, given[0])
        values = items(given[1]) if length > 1 else [given[1]]
        stores = "".join(
            f"st_{word}(a + {index * WIDTH[kind] // 8}, {self.value(function, value, word)});"
            for index, value in enumerate(values)
        )
        return f"{{ u64 a = {address}; {stores} }}"

    def op_atom(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """`atom.global.add.u64 %rd1, [%rd2], %rd3`: the sum, greater or lesser one is stored, the old one given.

        Of integers alone, whose order does not matter: here one thread comes after the other.
        """
        *middle, operation, kind = modifiers
        if operation not in ("add", "min", "max") or kind[0] not in "us" or set(middle) - {*HINT, "global"}:
            raise PtxError("atomic operation refused")
        word, address = C_TYPE[kind], self.address(function, given[1])
        unsigned = f"u{WIDTH[kind]}"
        signs = {"add": f"({word})(({unsigned})o + ({unsigned})v)", "min": "v < o ? v : o", "max": "v > o ? v : o"}
        told = "" if given[0] == "_" else self.store(function, given[0], kind, "o")
        value = self.value(function, given[2], kind)
        return (
            f"{{ u64 a = {address}; {word} o = ld_{word}(a), v = {value}; st_{word}(a, {signs[operation]}); {told} }}"
        )

    def op_red(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """The same; nobody asks what was there."""
        return self.op_atom(function, modifiers, ["_", *given])

    def op_mov(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Copy, pack {low, high} into one register, or unpack."""
        kind = modifiers[-1]
        unsigned = kind if kind == "pred" else f"u{WIDTH[kind]}"
        if given[0].startswith("{"):
            names = items(given[0])
            part = WIDTH[kind] // len(names)
            parts = "".join(
                f"{self.register(function, name)} = ({function.registers[name]})(w >> {index * part});"
                for index, name in enumerate(names)
                if name != "_"
            )
            return f"{{ {unsigned} w = {self.value(function, given[1], unsigned)}; {parts} }}"
        if given[1].startswith("{"):
            values = items(given[1])
            part = WIDTH[kind] // len(values)
            packed = " | ".join(
                f"({unsigned})(({unsigned}){self.value(function, value, f'u{part}')} << {index * part})"
                for index, value in enumerate(values)
            )
            return self.store(function, given[0], unsigned, packed)
        return self.store(function, given[0], unsigned, self.value(function, given[1], unsigned))

    def op_cvta(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Every memory space has the host's addresses."""
        return self.store(function, given[0], "u64", self.value(function, given[1], "u64"))

    def op_setp(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Compare, optionally combined with a third predicate: `setp.lt.and.f32 %p1|%p2, a, b, %p3`."""
        comparison, *middle, kind = modifiers
        if set(middle) - {"and", "or", "xor"}:
            raise PtxError("comparison refused")
        a, b = self.value(function, given[1], kind), self.value(function, given[2], kind)
        signs = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "lo": "<", "ls": "<=", "hi": ">"}
        signs |= {"hs": ">="}
        if kind[0] != "f":
            result = f"({a} {signs[comparison]} {b})"
        elif comparison in ("num", "nan"):
            result = f"({'!' if comparison == 'num' else ''}__builtin_isunordered({a}, {b}))"
        elif comparison.endswith("u"):
            result = f"(__builtin_isunordered({a}, {b}) || {a} {signs[comparison[:-1]]} {b})"
        else:
            result = f"(!__builtin_isunordered({a}, {b}) && {a} {signs[comparison]} {b})"
        targets = given[0].split("|")
        parts = [result, f"!{result}"]
        if middle:
            sign = {"and": "&", "or": "|", "xor": "^"}[middle[0]]
            parts = [f"{part} {sign} {self.value(function, given[3], 'pred')}" for part in parts]
        wanted = [(target, part) for target, part in zip(targets, parts, strict=False) if target != "_"]
        stores = "".join(f"{self.register(function, target)} = {part};" for target, part in wanted)
        return stores if len(targets) == 1 else f"{{ {stores} }}"

    def op_cvt(self, function: Function, modifiers: list[str], given: list[str]) -> str:
        """Conversion between integers and floats."""
        *middle, to, source = modifiers
        if set(middle) - {"rn", "rni", "rzi", "rmi", "rpi", "sat"} or {to, source} - C_TYPE.keys():
            raise PtxError("conversion refused")
        a = self.value(function, given[1], source)
        rounding = {"rni": "nearbyint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
        rounded = next((rounding[each] for each in middle if each in rounding), None)
        if source[0] == "f" and to[0] == "f":
            if "sat" in middle:
                raise PtxError("conversion refused")
            return self.store(function, given[0], to, f"{rounded}({a})" if rounded else f"({C_TYPE[to]}){a}")
        if source[0] == "f":
            if not rounded:
                raise PtxError("conversion without rounding refused")
            nan = 0 if source != "f64" and WIDTH[to] != 64 else f"({C_TYPE[to]})(1ull << {WIDTH[to] - 1})"
            return self.store(function, given[0], to, f"to_{C_TYPE[to]}({rounded}((double){a}), {nan})")
        if to[0] == "f":
            if "rn" not in middle:
                raise PtxError("conversion without .rn refused")
            return self.store(function, given[0], to, f"({C_TYPE[to]}){a}")
        if "sat" in middle:
            low, high = (0, 2 ** WIDTH[to] - 1) if to[0] == "u" else (-(2 ** (WIDTH[to] - 1)), 2 ** (WIDTH[to] - 1) - 1)
            if WIDTH[to] == 64 or WIDTH[source] == 64:
                raise PtxError("saturating conversion of 64 bits refused")
            clamped = f"(i64){a} < {low}ll ? {low}ll : (i64){a} > {high}ll ? {high}ll : (i64){a}"
            return self.store(function, given[0], to, clamped)
        return self.store(function, given[0], to, a)


def operands(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter in "{([") - (letter in "})]")
        if letter == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def items(text: str) -> list[str]:
    """`{a, b}` as a list."""
    return [item.strip() for item in text.strip("{} ").split(",")]
