/// Addressed random numbers: Philox4x32-10, key = campaign seed, counter = (run, stream, number).
/// Nothing is consumed: whoever asks for the same address gets the same numbers, in any order, on any device.
/// Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3,
/// SC'11, doi:10.1145/2063384.2063405.
#pragma once
#include "elementary.h"
#include "streams.h"

namespace mcr {

struct Words2 {
    unsigned a;
    unsigned b;
};

struct Words4 {
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
};

struct Uniform4 {
    real a;
    real b;
    real c;
    real d;
};

struct Normal2 {
    real a;
    real b;
};

struct Normal4 {
    real a;
    real b;
    real c;
    real d;
};

/// The bijection of the counter that the key names (ten rounds).
MCR_FN Words4 philox4x32_10(Words4 counter, Words2 key) {
    MCR_UNROLL(10)
    for (int round = 0; round < 10; ++round) {
        unsigned const high_a = multiply_high(0xD2511F53u, counter.a);
        unsigned const high_c = multiply_high(0xCD9E8D57u, counter.c);
        unsigned const low_a = 0xD2511F53u * counter.a;
        unsigned const low_c = 0xCD9E8D57u * counter.c;
        counter = {high_c ^ counter.b ^ key.a, low_c, high_a ^ counter.d ^ key.b, low_a};
        key = {key.a + 0x9E3779B9u, key.b + 0xBB67AE85u};
    }
    return counter;
}

/// A number in (0, 1) from the top 23 bits k of a word: (2 k + 1) 2^-24, exact and the same in every build.
MCR_FN real uniform_open(unsigned word) {
    // k in the fraction of a float in [1, 2), less 1 - 2^-24
    return static_cast<real>(bits_as<float>(0x3f800000u | (word >> 9)) - 0.999999940395355224609375f);
}

/// Two independent standard normal numbers from two numbers in (0, 1); none is larger than 5.77.
/// Source: G. E. P. Box, M. E. Muller, Ann. Math. Statist. 29 (1958) 610.
MCR_FN Normal2 normal_pair(real u, real v) {
    real const radius = square_root(-2 * detail::logarithm_of_normal(u));
    SineCosine const direction = sine_cosine_turns(v);
    return {radius * direction.cosine, radius * direction.sine};
}

/// The address of all random numbers of one run.
struct Draws {
    unsigned key_low;
    unsigned key_high;
    unsigned run_low;
    unsigned run_high;

    /// Four random words. stream: a member of Stream, or the number of one; number: which draw of the stream, >= 0.
    template <class StreamName, class Number>
    MCR_MEMBER Words4 words(StreamName stream, Number number) const {
        return philox4x32_10({run_low, run_high, static_cast<unsigned>(stream), static_cast<unsigned>(number)},
                             {key_low, key_high});
    }
};

MCR_FN Draws make_draws(uint64 seed, uint64 run) {
    return {static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32), static_cast<unsigned>(run),
            static_cast<unsigned>(run >> 32)};
}

/// Four independent numbers, uniform in (0, 1).
template <class StreamName, class Number>
MCR_FN Uniform4 uniforms(Draws const& draws, StreamName stream, Number number) {
    Words4 const words = draws.words(stream, number);
    return {uniform_open(words.a), uniform_open(words.b), uniform_open(words.c), uniform_open(words.d)};
}

/// Four independent standard normal numbers; made of the same words as `uniforms` of that address.
template <class StreamName, class Number>
MCR_FN Normal4 normals(Draws const& draws, StreamName stream, Number number) {
    Uniform4 const u = uniforms(draws, stream, number);
    Normal2 const first = normal_pair(u.a, u.b);
    Normal2 const second = normal_pair(u.c, u.d);
    return {first.a, first.b, second.a, second.b};
}

}  // namespace mcr
