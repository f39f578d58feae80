/// A float that counts what is done to it: the flop of a run as the source states them. One each for + - * / and the
/// square root, two for a fused multiply-add, both sides of a select; comparisons, signs, copies and integers are free.
///
/// The machine code of a tile does about a tenth less: compilers compute once what is written twice, and once for all
/// lanes what depends on the case alone. Not counted either are lanes that have ended and fly on to the end of their tile,
/// and lanes that cannot use the sensor that another lane's sample is computed for. One run at a time is counted, in a
/// build of its own (-DMCR_REAL_COUNTING), in one thread.
#pragma once
#include "portable.h"

namespace mcr {

inline uint64 flop_done = 0;  ///< [] additions, multiplications, divisions and roots so far

struct Counted {
    float value;

    Counted() = default;
    template <class Number>
    constexpr Counted(Number number) : value(static_cast<float>(number)) {}

    static Counted after(uint64 flop, float result) {
        flop_done += flop;
        return Counted(result);
    }
    friend Counted operator+(Counted a, Counted b) { return after(1, a.value + b.value); }
    friend Counted operator-(Counted a, Counted b) { return after(1, a.value - b.value); }
    friend Counted operator*(Counted a, Counted b) { return after(1, a.value * b.value); }
    friend Counted operator/(Counted a, Counted b) { return after(1, a.value / b.value); }
    friend Counted operator-(Counted a) { return Counted(-a.value); }
    Counted& operator+=(Counted b) { return *this = *this + b; }
    Counted& operator-=(Counted b) { return *this = *this - b; }
    Counted& operator*=(Counted b) { return *this = *this * b; }
    friend bool operator<(Counted a, Counted b) { return a.value < b.value; }
    friend bool operator>(Counted a, Counted b) { return a.value > b.value; }
    friend bool operator<=(Counted a, Counted b) { return a.value <= b.value; }
    friend bool operator>=(Counted a, Counted b) { return a.value >= b.value; }
    friend bool operator==(Counted a, Counted b) { return a.value == b.value; }
    friend bool operator!=(Counted a, Counted b) { return a.value != b.value; }
};

MCR_FN Counted square_root(Counted x) { return Counted::after(1, square_root(x.value)); }
MCR_FN Counted fused(Counted a, Counted b, Counted c) { return Counted::after(2, fused(a.value, b.value, c.value)); }
MCR_FN unsigned bits_of(Counted x) { return bits_as<unsigned>(x); }

}  // namespace mcr
