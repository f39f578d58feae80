/// What differs between compilers and devices, and nothing else: the only header that asks which compiler reads it.
/// Everything here gives the same bits everywhere: correctly rounded operations, exact bit copies, no approximation.
#pragma once

#define MCR_PRAGMA(text) _Pragma(#text)

#if defined(__CUDACC__)
#define MCR_FN __device__ __forceinline__
#define MCR_MEMBER __device__ __forceinline__
#define MCR_UNROLL(count) MCR_PRAGMA(unroll count)
#define MCR_UNROLL_LANES(count) MCR_PRAGMA(unroll 1)
#elif defined(__clang__) && defined(__x86_64__)
// regcall hands structs over member by member; the usual convention packs them into pairs of floats, which no lane loop
// takes
#define MCR_FN static inline __attribute__((always_inline, unused, regcall))
#define MCR_MEMBER inline __attribute__((always_inline, regcall))
#define MCR_UNROLL(count) MCR_PRAGMA(unroll count)
#elif defined(__clang__)
#define MCR_FN static inline __attribute__((always_inline, unused))
#define MCR_MEMBER inline __attribute__((always_inline))
#define MCR_UNROLL(count) MCR_PRAGMA(unroll count)
#elif defined(__GNUC__)
// these passes turn selects back into branches and move loads into them; then no lane loop is vectorised
#pragma GCC optimize("no-thread-jumps", "no-tree-pre", "no-code-hoisting", "no-tree-sink")
#define MCR_FN static inline __attribute__((always_inline, unused))
#define MCR_MEMBER inline __attribute__((always_inline))
#define MCR_UNROLL(count) MCR_PRAGMA(GCC unroll count)  // g++ ignores `#pragma unroll`, and then vectorises nothing
#else
#error "mcrisk kernels: expected g++, clang++, nvcc or NVRTC"
#endif

/// For long loops: unrolled where lanes are packed, which an inner loop would prevent, and kept as they are on a GPU.
#if !defined(MCR_UNROLL_LANES)
#define MCR_UNROLL_LANES(count) MCR_UNROLL(count)
#endif

/// From here on `object` lies in the thread's own memory of a GPU. Without this the compiler takes every load and every
/// constant expression of the run out of the loop over ticks, needs 255 registers and spills half a kilobyte; with it, once
/// per tick, at most 168 registers and no spill.
#if defined(__CUDA_ARCH__)
#define MCR_SETTLE(object) asm volatile("" : : "l"(&object) : "memory")
#else
#define MCR_SETTLE(object)
#endif

namespace mcr {

using uint64 = unsigned long long;
static_assert(sizeof(unsigned) == 4 && sizeof(uint64) == 8, "mcrisk kernels: expected 32-bit int and 64-bit long long");

/// The same bits as another type of the same size.
template <class To, class From>
MCR_FN To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "bits_as: expected two types of one size");
    return __builtin_bit_cast(To, from);
}

/// Square root, correctly rounded.
MCR_FN float square_root(float x) {
#if defined(__CUDA_ARCH__)
    return __fsqrt_rn(x);
#else
    return __builtin_sqrtf(x);
#endif
}
MCR_FN double square_root(double x) {
#if defined(__CUDA_ARCH__)
    return __dsqrt_rn(x);
#else
    return __builtin_sqrt(x);
#endif
}

/// a * b + c, rounded once. Contraction is off, so nothing is fused that does not ask for it here.
/// Without the instruction (x86-64-v2): the product is exact in double; the sum is rounded to odd, so that the second
/// rounding, to float, cannot go wrong. Source: Boldo & Melquiond 2008, IEEE Trans. Computers 57(4), theorem 3.
MCR_FN float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
    return __fmaf_rn(a, b, c);
#elif defined(__x86_64__) && !defined(__FMA__)
    double const product = static_cast<double>(a) * static_cast<double>(b);
    double const addend = static_cast<double>(c);
    double const sum = product + addend;
    double const part = sum - product;
    double const error = (product - (sum - part)) + (addend - part);  // exact: Knuth's two-sum
    uint64 const bits = bits_as<uint64>(sum);
    bool const inexact = (error < 0) | (error > 0);  // false where the sum is not finite
    bool const outward = (error > 0) == (sum > 0);
    bool const even = (bits & 1u) == 0;
    uint64 const step = outward ? bits + 1 : bits - 1;
    return static_cast<float>(bits_as<double>((inexact & even) ? step : bits));
#else
    return __builtin_fmaf(a, b, c);
#endif
}
MCR_FN double fused(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
    return __fma_rn(a, b, c);
#else
    return __builtin_fma(a, b, c);
#endif
}

/// *place += value; returns what it was. On a GPU several threads may add at once.
MCR_FN uint64 add_to(uint64* place, uint64 value) {
#if defined(__CUDA_ARCH__)
    return atomicAdd(place, value);
#else
    uint64 const before = *place;
    *place = before + value;
    return before;
#endif
}
MCR_FN unsigned add_to(unsigned* place, unsigned value) {
#if defined(__CUDA_ARCH__)
    return atomicAdd(place, value);
#else
    unsigned const before = *place;
    *place = before + value;
    return before;
#endif
}

/// *place becomes `value` if that is greater. The first look spares almost all atomic operations: a place only grows.
MCR_FN void raise_to(unsigned* place, unsigned value) {
    if (*place >= value) return;
#if defined(__CUDA_ARCH__)
    atomicMax(place, value);
#else
    *place = value;
#endif
}

/// The high half of the 64-bit product.
MCR_FN unsigned multiply_high(unsigned a, unsigned b) {
    return static_cast<unsigned>((static_cast<uint64>(a) * b) >> 32);
}

}  // namespace mcr
