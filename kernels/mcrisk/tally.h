#pragma once
/// What many runs sum up to, as integers in one block of memory: the same block whoever adds first, on any device.
/// One function adds one run; on a GPU `add_to` and `raise_to` are atomic, and no other order between threads is needed.
/// A block of zeros is the empty one: least values and lowest runs are kept as the greatest of their complements.
///
/// Sums are exact. A float is a whole number of 24 digits times 2^(shift - 149), so a sum is a whole number of 277
/// digits, kept in 9 limbs of weight 2^32, and one of products of two floats is one of 554 digits in 18 limbs. A run adds
/// less than 2^32 in size to each limb, which holds 2^63: 2^31 runs fit, and no piece of a campaign has more than 2^24.
#include "portable.h"

namespace mcr {

constexpr int tally_metrics = 24;   ///< [] most metrics
constexpr int tally_outcomes = 16;  ///< [] most outcomes
constexpr int tally_causes = 32;    ///< [] most causes
constexpr int tally_limbs = 9;      ///< [] of a sum of floats
constexpr int tally_products = 18;  ///< [] limbs of a sum of products of two floats
constexpr int tally_digits = 6;     ///< [] digits of the mantissa that name a bin
constexpr int tally_bins = 1 << (9 + tally_digits);  ///< [] bins of a histogram: sign, exponent and those digits

/// What the words of a record mean; made from the schema, so that no list is written twice.
struct TallyPlan {
    unsigned outcome;     ///< [] word of the outcome
    unsigned cause;       ///< [] word of the cause
    unsigned contact;     ///< [] word that is not 0 where the lander reached the ground
    unsigned downrange;   ///< [] word of the landing point's first coordinate
    unsigned crossrange;  ///< [] word of the second
    unsigned success;     ///< [] the outcome of a landing
    unsigned outcomes;    ///< [] how many there are
    unsigned causes;      ///< [] how many there are
    unsigned metrics;     ///< [] how many there are
    unsigned metric[tally_metrics];  ///< [] word of each metric
};

/// One metric over one group of runs.
struct MetricSums {
    uint64 count;
    uint64 total[tally_limbs];
    uint64 squares[tally_products];
    unsigned greatest;  ///< as `ordered`
    unsigned least;     ///< its complement
};

/// The landing points of one group of runs.
struct PointSums {
    uint64 count;
    uint64 total_x[tally_limbs];
    uint64 total_y[tally_limbs];
    uint64 squares_x[tally_products];
    uint64 squares_y[tally_products];
    uint64 products[tally_products];
};

/// Group 0: runs that reached the ground and did not land; group 1: those that landed.
struct TallySums {
    uint64 nameless;  ///< runs whose outcome or cause has no name
    uint64 occupied;  ///< bins with a count
    MetricSums metric[2][tally_metrics];
    PointSums point[2];
    unsigned count[tally_outcomes][tally_causes];
    unsigned lowest[tally_outcomes][tally_causes];  ///< complement of the lowest run's place in the piece
};

/// A float as a whole number: (-1)^negative size 2^(shift - 149); `finite` is 0 of NaN and infinity.
struct Whole {
    unsigned size;
    unsigned shift;
    unsigned negative;
    unsigned finite;
};

MCR_FN Whole whole_of(unsigned bits) {
    unsigned const exponent = bits >> 23 & 255u, digits = bits & 0x7FFFFFu;
    return Whole{exponent ? digits | 0x800000u : digits, exponent ? exponent - 1 : 0, bits >> 31, exponent != 255u};
}

/// The bits of a float as a number that grows with it; never 0 or the greatest, which would be NaN.
MCR_FN unsigned ordered(unsigned bits) { return bits >> 31 ? ~bits : bits | 0x80000000u; }

/// Number of the bin of a float, ascending with it.
MCR_FN unsigned bin_of(unsigned bits) {
    unsigned const size = (bits & 0x7FFFFFFFu) >> (23 - tally_digits);
    return bits >> 31 ? tally_bins / 2 - 1 - size : tally_bins / 2 + size;
}

/// limbs += (-1)^negative size 2^shift, for a size below 2^48.
MCR_FN void add_whole(uint64* limbs, uint64 size, unsigned shift, unsigned negative) {
    unsigned const by = shift & 31u;
    uint64* const limb = limbs + (shift >> 5);
    uint64 const low = (size & 0xFFFFFFFFu) << by;
    uint64 const high = ((size >> 32) << by) + (low >> 32);
    uint64 const part[3] = {low & 0xFFFFFFFFu, high & 0xFFFFFFFFu, high >> 32};
    MCR_UNROLL(3)
    for (int k = 0; k < 3; ++k) {
        if (part[k] != 0) add_to(limb + k, negative ? 0 - part[k] : part[k]);
    }
}

MCR_FN void add_product(uint64* limbs, Whole const& a, Whole const& b) {
    add_whole(limbs, static_cast<uint64>(a.size) * b.size, a.shift + b.shift, a.negative ^ b.negative);
}

/// Adds one run of a piece to its sums.
/// word(w): word w of the run's record. place: number of the run within the piece.
/// histogram: [metrics][tally_bins], in one number the runs of group 0 and, 2^32 times, those of group 1; less than 2^32
/// runs. occupied: the bins that hold a run, in the order in which they got their first.
template <class Word>
MCR_FN void add_run(TallyPlan const& plan, Word const& word, unsigned place, TallySums* sums, uint64* histogram,
                    unsigned* occupied) {
    unsigned const outcome = word(plan.outcome), cause = word(plan.cause);
    if (outcome >= plan.outcomes || cause >= plan.causes) {
        add_to(&sums->nameless, 1);
        return;
    }
    add_to(&sums->count[outcome][cause], 1);
    raise_to(&sums->lowest[outcome][cause], ~place);
    if (word(plan.contact) == 0) return;
    unsigned const group = outcome == plan.success;
    for (unsigned m = 0; m < plan.metrics; ++m) {
        unsigned bits = word(plan.metric[m]);
        if (bits == 0x80000000u) bits = 0;  // -0 counts as 0
        Whole const value = whole_of(bits);
        if (value.finite == 0) continue;
        MetricSums& metric = sums->metric[group][m];
        add_to(&metric.count, 1);
        add_whole(metric.total, value.size, value.shift, value.negative);
        add_product(metric.squares, value, value);
        raise_to(&metric.greatest, ordered(bits));
        raise_to(&metric.least, ~ordered(bits));
        unsigned const bin = m * tally_bins + bin_of(bits);
        if (add_to(histogram + bin, group ? uint64(1) << 32 : 1) == 0) {
            occupied[add_to(&sums->occupied, 1)] = bin;
        }
    }
    Whole const x = whole_of(word(plan.downrange)), y = whole_of(word(plan.crossrange));
    if (x.finite == 0 || y.finite == 0) return;
    PointSums& point = sums->point[group];
    add_to(&point.count, 1);
    add_whole(point.total_x, x.size, x.shift, x.negative);
    add_whole(point.total_y, y.size, y.shift, y.negative);
    add_product(point.squares_x, x, x);
    add_product(point.squares_y, y, y);
    add_product(point.products, x, y);
}

}  // namespace mcr
