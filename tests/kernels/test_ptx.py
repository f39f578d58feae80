"""The PTX of the GPU kernel: only IEEE operations, and the bits of the CPU when executed statement by statement."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from ptx_executor import PtxError, PtxModule, Translator
from workshop import Workshop, difference, missions, modelled, nasty

from mcrisk.backends import Piece
from mcrisk.backends.cpu import CpuBackend, sums_of

HEAD = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 k_param_0)
{
    .local .align 8 .b8 __local_depot0[16];
    .reg .pred %p<4>;
    .reg .b16 %rs<4>;
    .reg .b32 %r<10>;
    .reg .f32 %f<6>;
    .reg .b64 %rd<8>;
    ld.param.u64 %rd1, [k_param_0];
    ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1];
"""
TAIL = """
    st.global.u32 [%rd1+16], %r9;
    ret;
}
"""
ONE, TWO, THIRD, NAN, INF, MINUS = 0x3F800000, 0x40000000, 0x3EAAAAAB, 0x7FC00001, 0x7F800000, 0x80000000

# Statements on words a, b, c, d (%r1 .. %r4) that leave a word in %r9, by the text of the PTX manual 8.x.
KNOWN = [
    ("add.u32 %r9, %r1, %r2;", (0xFFFFFFFF, 2, 0, 0), 1),
    ("mul.hi.u32 %r9, %r1, %r2;", (0xFFFFFFFF, 0xFFFFFFFF, 0, 0), 0xFFFFFFFE),
    ("mul.hi.s32 %r9, %r1, %r2;", (0xFFFFFFFF, 5, 0, 0), 0xFFFFFFFF),
    ("mul.wide.s32 %rd2, %r1, %r2; cvt.u32.u64 %r9, %rd2;", (0xFFFFFFFE, 3, 0, 0), 0xFFFFFFFA),
    ("mad.lo.s32 %r9, %r1, %r2, %r3;", (7, 6, 0xFFFFFFFF, 0), 41),
    ("shl.b32 %r9, %r1, %r2;", (1, 32, 0, 0), 0),
    ("shr.s32 %r9, %r1, %r2;", (MINUS, 40, 0, 0), 0xFFFFFFFF),
    ("shf.l.wrap.b32 %r9, %r1, %r2, %r3;", (0x80000000, 0x00000001, 33, 0), 3),
    ("shf.r.clamp.b32 %r9, %r1, %r2, %r3;", (1, 0xABCD, 40, 0), 0xABCD),
    ("bfe.u32 %r9, %r1, %r2, %r3;", (0xABCD1234, 8, 8, 0), 0x12),
    ("bfe.s32 %r9, %r1, %r2, %r3;", (0x0000F000, 8, 8, 0), 0xFFFFFFF0),
    ("bfe.s32 %r9, %r1, %r2, %r3;", (0xF0000000, 28, 8, 0), 0xFFFFFFFF),
    ("bfi.b32 %r9, %r1, %r2, %r3, %r4;", (0xFF, 0x12345678, 8, 4), 0x12345F78),
    ("prmt.b32 %r9, %r1, %r2, %r3;", (0x33221100, 0x77665544, 0x6420, 0), 0x66442200),
    ("prmt.b32 %r9, %r1, %r2, %r3;", (0x80, 0, 0x0008, 0), 0x808080FF),
    ("lop3.b32 %r9, %r1, %r2, %r3, 0x96;", (0xF0, 0xCC, 0xAA, 0), 0xF0 ^ 0xCC ^ 0xAA),
    ("neg.s32 %r9, %r1;", (5, 0, 0, 0), 0xFFFFFFFB),
    ("abs.s32 %r9, %r1;", (0xFFFFFFFB, 0, 0, 0), 5),
    ("min.s32 %r9, %r1, %r2;", (0xFFFFFFFF, 1, 0, 0), 0xFFFFFFFF),
    ("min.u32 %r9, %r1, %r2;", (0xFFFFFFFF, 1, 0, 0), 1),
    ("clz.b32 %r9, %r1;", (0x00010000, 0, 0, 0), 15),
    ("popc.b32 %r9, %r1;", (0xF0F0, 0, 0, 0), 8),
    ("brev.b32 %r9, %r1;", (1, 0, 0, 0), MINUS),
    ("rem.s32 %r9, %r1, %r2;", (0xFFFFFFF9, 4, 0, 0), 0xFFFFFFFD),
    ("div.rn.f32 %r9, %r1, %r2;", (ONE, 0x40400000, 0, 0), THIRD),
    ("sqrt.rn.f32 %r9, %r1;", (TWO, 0, 0, 0), 0x3FB504F3),
    ("sqrt.rn.f32 %r9, %r1;", (0xBF800000, 0, 0, 0), 0x7FFFFFFF),
    ("fma.rn.f32 %r9, %r1, %r2, %r3;", (0x3F800001, 0x3F800001, 0xBF800002, 0), 0x28800000),
    ("mul.rn.f32 %r9, %r1, %r2;", (0x00000001, ONE, 0, 0), 1),
    ("sub.rn.f32 %r9, %r1, %r2;", (INF, INF, 0, 0), 0x7FFFFFFF),
    ("min.f32 %r9, %r1, %r2;", (NAN, ONE, 0, 0), ONE),
    ("max.f32 %r9, %r1, %r2;", (MINUS, 0, 0, 0), 0),
    ("neg.f32 %r9, %r1;", (ONE, 0, 0, 0), 0xBF800000),
    ("abs.f32 %r9, %r1;", (MINUS, 0, 0, 0), 0),
    ("copysign.f32 %r9, %r1, %r2;", (MINUS, ONE, 0, 0), 0xBF800000),
    ("cvt.rzi.s32.f32 %r9, %r1;", (0xC0300000, 0, 0, 0), 0xFFFFFFFE),
    ("cvt.rni.s32.f32 %r9, %r1;", (0x40200000, 0, 0, 0), 2),
    ("cvt.rmi.s32.f32 %r9, %r1;", (0xBF000000, 0, 0, 0), 0xFFFFFFFF),
    ("cvt.rzi.s32.f32 %r9, %r1;", (0x501502F9, 0, 0, 0), 0x7FFFFFFF),
    ("cvt.rzi.u32.f32 %r9, %r1;", (0xBF800000, 0, 0, 0), 0),
    ("cvt.rzi.s32.f32 %r9, %r1;", (NAN, 0, 0, 0), 0),
    ("cvt.rzi.s64.f32 %rd2, %r1; shr.u64 %rd2, %rd2, 32; cvt.u32.u64 %r9, %rd2;", (NAN, 0, 0, 0), MINUS),
    ("cvt.rn.f32.s32 %r9, %r1;", (0xFFFFFFFF, 0, 0, 0), 0xBF800000),
    ("cvt.rn.f32.u32 %r9, %r1;", (0x01000001, 0, 0, 0), 0x4B800000),
    ("cvt.s32.s8 %r9, %r1;", (0x180, 0, 0, 0), 0xFFFFFF80),
    ("cvt.u16.u32 %rs1, %r1; cvt.s32.s16 %r9, %rs1;", (0x1FFFE, 0, 0, 0), 0xFFFFFFFE),
    ("cvt.sat.u8.s32 %r9, %r1;", (0xFFFFFFFF, 0, 0, 0), 0),
    ("setp.lt.f32 %p1, %r1, %r2; selp.b32 %r9, %r3, %r4, %p1;", (NAN, ONE, 3, 4), 4),
    ("setp.geu.f32 %p1, %r1, %r2; selp.b32 %r9, %r3, %r4, %p1;", (NAN, ONE, 3, 4), 3),
    ("setp.ne.f32 %p1, %r1, %r2; selp.b32 %r9, %r3, %r4, %p1;", (NAN, ONE, 3, 4), 4),
    ("setp.nan.f32 %p1, %r1, %r2; selp.b32 %r9, %r3, %r4, %p1;", (NAN, ONE, 3, 4), 3),
    ("setp.eq.s32 %p1, %r1, %r2; setp.lt.and.u32 %p2|%p3, %r3, %r4, %p1; @%p3 mov.u32 %r9, 9;", (1, 1, 4, 3), 9),
    ("setp.ne.s32 %p1, %r1, 0; @!%p1 mov.u32 %r9, 1; @%p1 mov.u32 %r9, 2;", (0, 0, 0, 0), 1),
    (
        "mov.b64 %rd2, {%r1, %r2}; shr.u64 %rd2, %rd2, 16; mov.b64 {%r9, _}, %rd2;",
        (0x11112222, 0x3333, 0, 0),
        0x33331111,
    ),
    ("mov.b32 {%rs1, %rs2}, %r1; mov.b32 %r9, {%rs2, %rs1};", (0x11112222, 0, 0, 0), 0x22221111),
    (
        "mov.u64 %rd3, __local_depot0; st.local.v2.u32 [%rd3], {%r1, %r2}; ld.local.u8 %r9, [%rd3+4];",
        (1, 0x2FF, 0, 0),
        0xFF,
    ),
    ("mov.u64 %rd3, __local_depot0; st.local.u32 [%rd3], %r1; ld.local.s8 %r9, [%rd3];", (0x80, 0, 0, 0), 0xFFFFFF80),
    ("mov.u32 %r9, 0; $L1: add.s32 %r9, %r9, %r1; setp.lt.s32 %p1, %r9, 10; @%p1 bra $L1;", (3, 0, 0, 0), 12),
    ("mov.f32 %f1, 0f3FC00000; mov.b32 %r2, %f1; mov.u32 %r9, %r2;", (0, 0, 0, 0), 0x3FC00000),
    # on word c: what was there, then what is there
    ("atom.global.add.u32 %r5, [%rd1+8], %r1; ld.global.u32 %r9, [%rd1+8];", (3, 0, 0xFFFFFFFF, 0), 2),
    ("atom.global.add.u32 %r9, [%rd1+8], %r1;", (3, 0, 7, 0), 7),
    ("atom.global.add.u64 %rd2, [%rd1+8], 1; ld.global.u32 %r9, [%rd1+12];", (0, 0, 0xFFFFFFFF, 5), 6),
    ("red.global.max.u32 [%rd1+8], %r1; ld.global.u32 %r9, [%rd1+8];", (0x80000000, 0, 7, 0), 0x80000000),
    ("red.relaxed.gpu.global.max.s32 [%rd1+8], %r1; ld.global.u32 %r9, [%rd1+8];", (0x80000000, 0, 7, 0), 7),
    ("atom.global.min.u32 %r5, [%rd1+8], %r1; ld.global.u32 %r9, [%rd1+8];", (3, 0, 7, 0), 3),
    ("mov.u32 %r9, %tid.y; mad.lo.u32 %r9, %r9, 7, 0xFU;", (0, 0, 0, 0), 15),
]


def test_the_executor_follows_the_ptx_manual(tmp_path):
    """Each statement alone: wraps, clamps, signs, NaN and denormals as documented."""
    for number, (text, given, expected) in enumerate(KNOWN):
        memory = np.array([*given, 0xDEADBEEF], np.uint32)
        module = PtxModule(HEAD + text + TAIL, tmp_path, f"k{number}")
        module.launch("k", 1, 1, [memory.ctypes.data.to_bytes(8, "little")])

        assert f"{expected:08x}" == f"{memory[4]:08x}", text


@pytest.mark.parametrize(
    "text",
    [
        "div.approx.f32 %r9, %r1, %r2;",
        "add.ftz.f32 %r9, %r1, %r2;",
        "mul.f32 %r9, %r1, %r2;",
        "sqrt.rn.ftz.f32 %r9, %r1;",
        "fma.rz.f32 %r9, %r1, %r2, %r3;",
        "sin.approx.f32 %r9, %r1;",
        "bar.sync 0;",
        "shfl.sync.bfly.b32 %r9, %r1, 1, 31, -1;",
        "ld.shared.u32 %r9, [%rd1];",
        "frobnicate.b32 %r9, %r1;",
        "mov.u32 %r9, %laneid;",
        "atom.global.add.f32 %r9, [%rd1], %r2;",
        "atom.global.cas.b32 %r9, [%rd1], %r2, %r3;",
        "atom.shared.add.u32 %r9, [%rd1], %r2;",
    ],
)
def test_what_could_change_bits_or_needs_other_threads_is_refused_with_its_line(text):
    """Contraction (`mul.f32` without .rn), approximation, flush to zero, warp and block operations, unknown opcodes."""
    with pytest.raises(PtxError, match=re.escape("PTX line 16: ") + ".*" + re.escape(text)):
        Translator(HEAD + "\n" + text + TAIL).translate()


def test_the_ptx_of_the_kernel_has_no_approximate_operation(workshop: Workshop):
    """Every float operation names its rounding, so that ptxas may not contract it either."""
    text = workshop.ptx_text("compute_90")

    assert not re.findall(r"\.(?:approx|ftz|full)\b[^;]*;", text)
    assert not re.findall(r"\b(?:add|sub|mul|fma|div|sqrt|rcp)\.f(?:32|64)\b[^;]*;", text)
    assert not re.findall(r"\b(?:bar|barrier|shfl|vote|activemask|match)\.[^;]*;", text)
    assert ".shared" not in text


def test_the_ptx_sums_like_the_cpu(workshop: Workshop):
    """Ordinary values, any bits and the ends of the number line: the same tally and the same landing bits."""
    module = workshop.ptx_module(workshop.ptx_text("compute_90"))
    for runs in (1, 31, 32, 33, 400):
        records = nasty(runs, runs)
        tally, landed = workshop.summed(module, records, 5)
        expected, bits = sums_of(records, 5)

        assert tally == expected, runs
        assert np.array_equal(landed, bits)


def test_the_ptx_gives_the_bits_of_the_cpu(workshop: Workshop):
    """Two missions, runs across a 32-bit boundary; all missions and architectures in claims/test_bits.py."""
    fly, cpu = workshop.ptx("compute_90"), CpuBackend()
    for name in ("hakuto_r_m2", "generic_small"):
        params = missions()[name]

        assert difference(cpu.run(params, 7, (1 << 32) - 3, 6), fly(params, 7, (1 << 32) - 3, 6)) == "", name


def test_the_ptx_over_an_elevation_model_gives_the_bits_of_the_cpu(workshop: Workshop):
    """A made-up highland, which the computer knows and does not."""
    fly, cpu = workshop.ptx("compute_90"), CpuBackend()
    for mapped in (False, True):
        params, heights = modelled(missions()["generic_small"], mapped)
        expected = cpu.run(params, 7, 5, 4, heights)

        assert difference(expected, fly(params, 7, 5, 4, heights)) == "", mapped


def test_the_ptx_of_several_cases_gives_the_bits_of_the_cpu(workshop: Workshop):
    """The real descent with Params found by the place of the case: missions beside each other, of 1 to 3 runs."""
    names = ("hakuto_r_m2", "generic_small", "blue_ghost_m1")
    pieces = [Piece(missions()[name], (1 << 32) - 1 - k, 1 + k) for k, name in enumerate(names)]
    params, heights = modelled(pieces[1].params)
    pieces[1] = replace(pieces[1], params=params, heights=heights)
    found = workshop.ptx_of_several()(pieces, 7)

    for name, piece, records in zip(names, pieces, found, strict=True):
        assert difference(CpuBackend().run(piece.params, 7, piece.first, piece.count, piece.heights), records) == "", (
            name
        )
