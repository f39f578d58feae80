/// The number type of the model and the branch-free scalar helpers of lane code.
/// `real` is float; -DMCR_REAL_DOUBLE makes it double (the accuracy oracle, same random worlds), -DMCR_REAL_COUNTING a
/// float that counts its operations.
#pragma once
#ifdef MCR_REAL_COUNTING
#include "counting.h"
#else
#include "portable.h"
#endif

namespace mcr {

#ifdef MCR_REAL_DOUBLE
using real = double;
using real_word = uint64;       ///< the bits of a real
using real_integer = long long;  ///< as a signed integer
constexpr bool real_is_double = true;
constexpr int real_fraction = 52;  ///< [] bits after the leading one
#else
#ifdef MCR_REAL_COUNTING
using real = Counted;
#else
using real = float;
#endif
using real_word = unsigned;  ///< the bits of a real
using real_integer = int;    ///< as a signed integer
constexpr bool real_is_double = false;
constexpr int real_fraction = 23;  ///< [] bits after the leading one
#endif

/// A truth value (0 or 1) as a member of a struct. Not bool: g++ 12 keeps a struct with a bool member in memory, and
/// then vectorises nothing. Plain bool variables, arguments and results are fine.
using Flag = int;

/// Bits of the format: the sign, and the exponent of infinity and NaN.
constexpr real_word word_sign = real_word(1) << (8 * sizeof(real) - 1);
constexpr real_word word_exponent = word_sign - (real_word(1) << real_fraction);

/// The bits of a number, and back.
MCR_FN unsigned bits_of(float x) { return bits_as<unsigned>(x); }
MCR_FN uint64 bits_of(double x) { return bits_as<uint64>(x); }
MCR_FN real real_of_bits(real_word bits) { return bits_as<real>(bits); }

MCR_FN real infinity() { return real_of_bits(word_exponent); }
MCR_FN real not_a_number() { return real_of_bits(word_exponent + (real_word(1) << (real_fraction - 1))); }

/// Number of an integer, exact up to 2^24 in magnitude in the float build; of a truth value, 0 or 1.
MCR_FN real real_of(int n) { return static_cast<real>(n); }
MCR_FN real real_of(unsigned n) { return static_cast<real>(n); }
MCR_FN real real_of(bool truth) { return static_cast<real>(truth ? 1 : 0); }

/// `yes` where the condition holds, else `no`. Both are evaluated: this is not a branch.
MCR_FN real select(bool condition, real yes, real no) { return condition ? yes : no; }
MCR_FN int select(bool condition, int yes, int no) { return condition ? yes : no; }
MCR_FN unsigned select(bool condition, unsigned yes, unsigned no) { return condition ? yes : no; }
MCR_FN bool select(bool condition, bool yes, bool no) { return (condition & yes) | (!condition & no); }

MCR_FN real absolute(real x) { return real_of_bits(bits_of(x) & ~word_sign); }
MCR_FN int absolute(int n) { return n < 0 ? -n : n; }

/// Whether every, whether any of the conditions holds. All are evaluated: `&&` and `||` would be branches.
MCR_FN bool all(bool a, bool b) { return a & b; }
MCR_FN bool any(bool a, bool b) { return a | b; }
template <class... Rest>
MCR_FN bool all(bool a, bool b, Rest... rest) {
    return all(a & b, rest...);
}
template <class... Rest>
MCR_FN bool any(bool a, bool b, Rest... rest) {
    return any(a | b, rest...);
}

/// The smaller, the larger; b where a is NaN, NaN where b is.
MCR_FN real minimum(real a, real b) { return a < b ? a : b; }
MCR_FN real maximum(real a, real b) { return a > b ? a : b; }
MCR_FN int minimum(int a, int b) { return a < b ? a : b; }
MCR_FN int maximum(int a, int b) { return a > b ? a : b; }

/// x kept inside [lower, upper]; NaN becomes `lower`.
MCR_FN real clamp(real x, real lower, real upper) { return x > lower ? (x < upper ? x : upper) : lower; }
MCR_FN int clamp(int n, int lower, int upper) { return n > lower ? (n < upper ? n : upper) : lower; }

/// +1, or -1 where x < 0; +1 for zeros and NaN.
MCR_FN real sign_of(real x) { return x < 0 ? real(-1) : real(1); }

/// The magnitude of x with the sign bit of y.
MCR_FN real with_sign_of(real x, real y) { return real_of_bits((bits_of(x) & ~word_sign) | (bits_of(y) & word_sign)); }

/// Neither infinite nor NaN.
MCR_FN bool is_finite(real x) { return (bits_of(x) & word_exponent) != word_exponent; }

/// 1.5 * 2^23 (double: 1.5 * 2^52). Added to |x| <= 2^22 (2^51) it rounds to the nearest whole number, ties to even,
/// which then stands in the low bits of the sum.
constexpr real rounding_shift = real_is_double ? real(6755399441055744.0) : real(12582912.0);

/// Nearest whole number, ties to even, for |x| <= 2^22 (double: 2^51).
MCR_FN real nearest_whole(real x) { return (x + rounding_shift) - rounding_shift; }

/// Largest whole number that is not above x, for every x; NaN stays NaN.
MCR_FN real floor_real(real x) {
    real const shift = real_is_double ? real(4503599627370496.0) : real(8388608.0);  // 2^52 or 2^23: whole from here on
    real const size = absolute(x);
    real const whole = with_sign_of((size + shift) - shift, x);
    real const below = whole > x ? whole - 1 : whole;
    return size < shift ? below : x;
}

/// Nearest integer, ties to even, kept inside +-2^22; NaN becomes -2^22. From the bits and not by a cast: g++ 12 makes
/// trunc(x) of a cast to int and back, and that is -0 where the integer was 0.
MCR_FN int round_to_int(real x) {
    real const shifted = clamp(x, real(-4194304), real(4194304)) + rounding_shift;
    return static_cast<int>(static_cast<real_integer>(bits_of(shifted) - bits_of(rounding_shift)));
}

/// The same, kept inside [lower, upper]; NaN becomes `lower`.
MCR_FN int round_to_int(real x, int lower, int upper) { return clamp(round_to_int(x), lower, upper); }

/// Integer part (towards zero), kept inside [lower, upper], both within +-2^22; NaN becomes `lower`.
MCR_FN int to_int(real x, int lower, int upper) {
    real const inside = clamp(x, real_of(lower), real_of(upper));
    real const nearest = nearest_whole(inside);
    int const too_high = static_cast<int>((inside > 0) & (nearest > inside));
    int const too_low = static_cast<int>((inside < 0) & (nearest < inside));
    return round_to_int(inside) - too_high + too_low;
}

}  // namespace mcr
