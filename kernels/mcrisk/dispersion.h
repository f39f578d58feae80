#pragma once
/// Continuous chance: each dispersed word of the World is drawn once per run.
/// The stream of a parameter follows its name, so that adding one shifts no other draw.
#include "philox.h"
#include "real.h"

namespace mcr {

/// Shape of a distribution.
enum class Distribution : int {
    normal_absolute = 0,   ///< Nominal plus spread times a standard normal.
    normal_relative = 1,   ///< Nominal times (1 plus spread times a standard normal).
    uniform_absolute = 2,  ///< Nominal plus a uniform number within plus or minus spread.
    uniform_relative = 3,  ///< Nominal times (1 plus a uniform number within plus or minus spread).
    lognormal = 4,         ///< Nominal times the exponential of spread times a standard normal.
    exponential = 5,       ///< Nominal plus an exponential number of mean spread.
    rayleigh = 6,          ///< Nominal plus a Rayleigh number of mode spread.
};

/// One dispersed parameter.
struct Dispersion {
    int  word;                  ///< internal. Index of the parameter among the words of World.
    Distribution distribution;  ///< internal. Shape.
    int  stream;                ///< internal. Random stream, from the parameter's name.
    real spread;                ///< internal. One-sigma, half-width or mean.
    real lower;                 ///< internal. Lowest value allowed.
    real upper;                 ///< internal. Highest value allowed.
    int  factor_first;          ///< internal. First of its correlation factors.
    int  factor_count;          ///< internal. Number of correlation factors; 0: independent.
};

/// One term of a correlated normal number: weight times the standard normal of a stream.
struct Factor {
    int  stream;                ///< internal. Random stream.
    real weight;                ///< internal. Row of the Cholesky factor of the correlation matrix.
};


/// The dispersions of one case.
struct Scatter {
    int count;                               ///< internal. Dispersions in use.
    Dispersion dispersion[48];               ///< internal. The dispersions.
    Factor factor[64];                       ///< internal. Correlation terms.
};

/// Dispersed value of one parameter from two standard draws: a normal and a uniform number.
MCR_FN real disperse(Dispersion const& dispersion, real nominal, real normal, real uniform) {
    real const spread = dispersion.spread;
    Distribution const shape = dispersion.distribution;
    real const symmetric = real(2) * uniform - real(1);
    real const tail = -logarithm(uniform);
    real value = nominal + spread * normal;
    value = select(shape == Distribution::normal_relative, nominal * (real(1) + spread * normal), value);
    value = select(shape == Distribution::uniform_absolute, nominal + spread * symmetric, value);
    value = select(shape == Distribution::uniform_relative, nominal * (real(1) + spread * symmetric), value);
    value = select(shape == Distribution::lognormal, nominal * exponential(spread * normal), value);
    value = select(shape == Distribution::exponential, nominal + spread * tail, value);
    value = select(shape == Distribution::rayleigh, nominal + spread * square_root(real(2) * tail), value);
    return clamp(value, dispersion.lower, dispersion.upper);
}

}  // namespace mcr
