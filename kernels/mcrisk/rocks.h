#pragma once
/// Rocks: how many of which size lie on an area, and the largest on a part of it.
/// Cumulative area covered by rocks of diameter D or more, F(D) = k exp(-q D), q = 1.79 m^-1 + 0.152 m^-1 / k; so of their number
/// N(D) = integral of -F'(x) / (pi x^2 / 4) dx from D on = (4 k q / pi) (exp(-q D) / D - q E1(q D)) per square metre.
/// Rocks lie independently of each other: no centre of one larger than D lies in an area A with probability exp(-N(D) A).
/// Not modelled: rocks that reach into an area from outside, clusters about a crater, rocks that sink or roll.
/// Sources: Golombek & Rapp 1997, JGR 102, 4117; Golombek et al. 2003, JGR 108, 8086 (the law, fitted to Mars; boulders about
/// Surveyor and Chang'e 3 follow it).
#include "terrain.h"

namespace mcr {

/// Diameter that as many rocks reach as `density` [m^-2] says: N(D) = density. With t = q D this is g(t) = density / (4 k q^2 / pi),
/// g(t) = exp(-t) / t - E1(t), and t = L r(sqrt(L)), L = ln(1 + 1 / g), r a ratio of polynomials: t is 1 / g for large g and
/// about L - 2 ln L for small. Relative error < 5e-5 for t from 5e-4 to 55; below, of rocks under a millimetre, < 1e-3.
MCR_FN real rock_size(Terrain const& terrain, real density) {
    real const area = maximum(terrain.rock_area, real(1e-6));
    real const decay = real(1.79) + real(0.152) / area;
    real const inverse = minimum(real(4 / 3.14159265358979) * area * decay * decay / density, real(1e30));
    real const sum = real(1) + inverse;
    // ln(1 + x) as ln(s) x / (s - 1), s = 1 + x rounded: Kahan's
    real const rounded = select(sum == real(1), real(1), sum - real(1));
    real const log = select(sum == real(1), inverse, logarithm(sum) * (inverse / rounded));
    real const x = square_root(log);
    real const above = detail::polynomial(x, 1.00072175, 4.40608621, -1.95286794, 3.02623468, -1.17722835, 0.512524107, -0.00302105469);
    real const below = detail::polynomial(x, 1.0, 4.48951091, 3.99174318, 1.10743522, -0.0840025803, 0.425837716);
    return log * (above / below) / decay;
}

/// Height of the rock that as many reach as `density` says.
MCR_FN real rock_rise(Terrain const& terrain, real density) {
    real const height = terrain.rock_height * minimum(rock_size(terrain, density), terrain.rock_largest);
    return select(terrain.rock_area > real(0), height, real(0));
}

}  // namespace mcr
