/// Addressed random numbers: Philox4x32-10, key = campaign seed, counter = (run, stream, number).
/// Nothing is consumed: whoever asks for the same address gets the same numbers, in any order, on any device.
/// Source: J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC'11, doi:10.1145/2063384.2063405.
#pragma once
#include "elementary.h"
#include "streams.h"

namespace mcr {

struct Words4 {
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
};

struct Words2 {
    unsigned a;
    unsigned b;
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

/// A number in (0, 1) from the top 23 bits of a word: an odd multiple of 2^-24, the same in every build, exact in float.
MCR_FN real uniform_open(unsigned word) { return static_cast<real>(bits_as<float>(0x3f800000u | (word >> 9)) - 0.999999940395355224609375f); }

/// Address of all random numbers of one run.
struct Draws {
    unsigned key_low;
    unsigned key_high;
    unsigned run_low;
    unsigned run_high;

    /// Four random words; `number` counts samples or cycles within the stream.
    MCR_MEMBER Words4 words(unsigned stream, unsigned number) const {
        return philox4x32_10({run_low, run_high, stream, number}, {key_low, key_high});
    }
    MCR_MEMBER Words4 words(Stream stream, unsigned number) const { return words(static_cast<unsigned>(stream), number); }
};

MCR_FN Draws make_draws(uint64 seed, uint64 run) {
    return {static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32), static_cast<unsigned>(run), static_cast<unsigned>(run >> 32)};
}

struct Uniform4 {
    real a;
    real b;
    real c;
    real d;
};

struct Normal4 {
    real a;
    real b;
    real c;
    real d;
};

/// Four independent numbers, uniform in (0, 1).
MCR_FN Uniform4 uniforms(Draws const& draws, unsigned stream, unsigned number) {
    Words4 const words = draws.words(stream, number);
    return {uniform_open(words.a), uniform_open(words.b), uniform_open(words.c), uniform_open(words.d)};
}
MCR_FN Uniform4 uniforms(Draws const& draws, Stream stream, unsigned number) { return uniforms(draws, static_cast<unsigned>(stream), number); }

struct Normal2 {
    real a;
    real b;
};

/// Two independent standard normal numbers from two uniform ones; none is longer than 5.77. Source: Box and Muller 1958.
MCR_FN Normal2 normal_pair(real u, real v) {
    real const       radius = square_root(-2 * detail::logarithm_of_normal(u));
    SineCosine const direction = sine_cosine_turns(v);
    return {radius * direction.cosine, radius * direction.sine};
}

/// Four independent standard normal numbers.
MCR_FN Normal4 normals(Draws const& draws, unsigned stream, unsigned number) {
    Uniform4 const u = uniforms(draws, stream, number);
    Normal2 const  first = normal_pair(u.a, u.b);
    Normal2 const  second = normal_pair(u.c, u.d);
    return {first.a, first.b, second.a, second.b};
}
MCR_FN Normal4 normals(Draws const& draws, Stream stream, unsigned number) { return normals(draws, static_cast<unsigned>(stream), number); }

}  // namespace mcr
