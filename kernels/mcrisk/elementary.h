/// Logarithm, exponential, circular functions and their inverses, with the same bits on every compiler and device.
/// Only + - * /, square root and explicit fused multiply-add; no branch, no table, no library. Two sets of coefficients
/// (float, double) in one text; minimax polynomials on the reduced range, rounded to the format.
/// NaN in gives NaN out. Bounds in the comment of each function are tested against mpmath.
#pragma once
#include "real.h"

namespace mcr {

constexpr real pi = real(3.14159265358979323846);       ///< [rad] half a turn
constexpr real half_pi = real(1.57079632679489661923);  ///< [rad] a quarter turn
constexpr real two_pi = real(6.28318530717958647693);   ///< [rad] a full turn

namespace detail {

/// c0 + x (c1 + x (c2 + ...)), by Horner's rule with fused steps.
MCR_FN real polynomial(real, double c0) { return static_cast<real>(c0); }
template <class... Rest>
MCR_FN real polynomial(real x, double c0, Rest... rest) {
    return fused(polynomial(x, rest...), x, static_cast<real>(c0));
}

/// x with its sign turned where bit 1 of `quadrant` is set.
MCR_FN real turn_sign(real x, real_word quadrant) { return real_of_bits(bits_of(x) ^ ((quadrant & 2) << (8 * sizeof(real) - 2))); }

}  // namespace detail

/// e^x. Error < 1 ulp; 0 below the logarithm of the smallest normal number (-87.33; double -708.39), infinity above the largest.
MCR_FN real exponential(real x) {
    // x = n ln 2 + r, |r| <= ln 2 / 2
    real const shifted = fused(x, real(1.44269504088896340736), rounding_shift);
    real const n = shifted - rounding_shift;
    real const ln2_high = real_is_double ? real(0.693147180559945286227) : real(0.693147182464599609375);
    real const ln2_low = real_is_double ? real(2.31904681384629955842e-17) : real(-1.904654323148236017e-9);
    real const r = fused(-n, ln2_low, fused(-n, ln2_high, x));
    real q;
    if constexpr (real_is_double)
        q = detail::polynomial(r, 0.5000000000000011, 0.16666666666666438, 0.041666666666525805, 0.008333333333473776, 0.0013888888944856043,
                               0.00019841269559822995, 2.4801491754753365e-05, 2.755753279530704e-06, 2.76307618104449e-07, 2.5018787384482865e-08);
    else
        q = detail::polynomial(r, 0.49999994, 0.166665226, 0.041668199, 0.00836831331, 0.00138197292);
    real const fraction = fused(r * r, q, r) + 1;
    // times 2^n, in the exponent field
    real const power = real_of_bits(bits_of(fraction) + (bits_of(shifted) << real_fraction));
    real const lowest = real_is_double ? real(-708.39641853226410622) : real(-87.336544750553108986);
    real const highest = real_is_double ? real(709.78271289338399684) : real(88.722839052068352598);
    return select(x < lowest, real(0), select(x <= highest, power, x + infinity()));
}

namespace detail {

/// ln x for a finite normal x > 0.
MCR_FN real logarithm_of_normal(real x) {
    // x = 2^n (1 + f), 1 + f in [sqrt(1/2), sqrt(2))
    real_word const half_root = real_is_double ? static_cast<real_word>(0x3fe6a09e667f3bcdull) : static_cast<real_word>(0x3f3504f3u);
    real_word const excess = bits_of(x) - half_root;
    real_word const fraction_mask = (real_word(1) << real_fraction) - 1;
    real const f = real_of_bits((excess & fraction_mask) + half_root) - 1;
    // n as a number: its integer added to the low bits of the rounding shift (arithmetic shift of the signed excess)
    real_word const sign_fill = (excess & word_sign) != 0 ? ~(~real_word(0) >> real_fraction) : real_word(0);
    real const n = real_of_bits(bits_of(rounding_shift) + ((excess >> real_fraction) | sign_fill)) - rounding_shift;
    real q;
    if constexpr (real_is_double)
        q = polynomial(f, 0.3333333333333314, -0.24999999999987968, 0.2000000000006701, -0.16666666669828228, 0.14285714280043882, -0.12499999691039969,
                       0.11111111149283652, -0.10000015256996977, 0.09090924793660006, -0.08332933036901312, 0.07691609345275273, -0.0714938935952827,
                       0.06701526104542811, -0.0626950077978152, 0.04817552303995593, -0.07085044073278542, 0.5504671873042323);
    else
        q = polynomial(f, 0.333333313, -0.250008225, 0.200012609, -0.166233376, 0.142009079, -0.131595373, 0.127678603, -0.0764443874);
    real const ln2_high = real_is_double ? real(0.693147180559945286227) : real(0.693147182464599609375);
    real const ln2_low = real_is_double ? real(2.31904681384629955842e-17) : real(-1.904654323148236017e-9);
    real const square = f * f;
    real const tail = fused(n, ln2_low, fused(square * f, q, real(-0.5) * square));
    return fused(n, ln2_high, f + tail);
}

}  // namespace detail

/// ln x for x > 0. Error < 1 ulp; -infinity at 0 (and for subnormal x), NaN below.
MCR_FN real logarithm(real x) {
    real const smallest = real_of_bits(real_word(1) << real_fraction);
    real const outside = select(x >= 0, -infinity(), not_a_number());
    return select(x >= smallest, select(x < infinity(), detail::logarithm_of_normal(x), x), outside);
}

/// Sine and cosine of one angle.
struct SineCosine {
    real sine;
    real cosine;
};

/// Sine and cosine of an angle [rad], |angle| <= 1e4. Error < 1 ulp of the result.
MCR_FN SineCosine sine_cosine(real angle) {
    // angle = n pi/2 + r, |r| <= pi/4; pi/2 in three parts, the first step is exact
    real const shifted = fused(angle, real(0.63661977236758134308), rounding_shift);
    real const n = shifted - rounding_shift;
    real const part_1 = half_pi;
    real const part_2 = real_is_double ? real(6.123233995736766e-17) : real(-4.37113900018624283e-8);
    real const part_3 = real_is_double ? real(-1.4973849048591833e-33) : real(-1.71512451000588208e-15);
    real const r = fused(-n, part_3, fused(-n, part_2, fused(-n, part_1, angle)));
    real const square = r * r;
    real sine_tail, cosine_tail;
    if constexpr (real_is_double) {
        sine_tail = detail::polynomial(square, -0.1666666666666663, 0.00833333333332184, -0.0001984126982935927, 2.755731353916897e-06, -2.5050734559134656e-08,
                                       1.5895446939216056e-10);
        cosine_tail = detail::polynomial(square, 0.041666666666666595, -0.0013888888888873307, 2.480158728896525e-05, -2.7557314203083977e-07,
                                         2.087570313867426e-09, -1.1358616806444966e-11);
    } else {
        sine_tail = detail::polynomial(square, -0.166666552, 0.00833218731, -0.000195178989);
        cosine_tail = detail::polynomial(square, 0.0416666456, -0.00138873095, 2.44323292e-05);
    }
    real const s = fused(square * r, sine_tail, r);
    real const c = fused(square * square, cosine_tail, fused(square, real(-0.5), real(1)));
    real_word const quadrant = bits_of(shifted);
    bool const      odd = (quadrant & 1) != 0;
    return {detail::turn_sign(select(odd, c, s), quadrant), detail::turn_sign(select(odd, s, c), quadrant + 1)};
}

/// Sine and cosine of an angle given in turns, 0 <= turns <= 1. Error < 1 ulp of the result.
MCR_FN SineCosine sine_cosine_turns(real turns) {
    real const quarters = 4 * turns;
    real const shifted = quarters + rounding_shift;
    real const t = quarters - (shifted - rounding_shift);  // exact, |t| <= 1/2 quarter turn
    real const square = t * t;
    real       s, c;
    if constexpr (real_is_double) {
        s = t * detail::polynomial(square, 1.5707963267948966, -0.6459640975062226, 0.07969262624467444, -0.004681754099865571, 0.00016044078313876166,
                                   -3.5965046309507236e-06, 5.016332240641216e-08, 7.011572262830489e-09);
        c = detail::polynomial(square, 1.0, -1.2337005501361697, 0.25366950790104026, -0.02086348076309169, 0.0009192602706481035, -2.5202006295516263e-05,
                               4.709163778033237e-07, -5.965178045676317e-09, -3.556265706309843e-10);
    } else {
        s = t * detail::polynomial(square, 1.57079637, -0.645966649, 0.079712525, -0.00468594069);
        c = detail::polynomial(square, 1.0, -1.23370051, 0.253668547, -0.0208555963, 0.000894487021);
    }
    real_word const quadrant = bits_of(shifted);
    bool const      odd = (quadrant & 1) != 0;
    return {detail::turn_sign(select(odd, c, s), quadrant), detail::turn_sign(select(odd, s, c), quadrant + 1)};
}

/// Tangent of an angle [rad], |angle| <= 1e4. Error < 3 ulp.
MCR_FN real tangent(real angle) {
    SineCosine const at = sine_cosine(angle);
    return at.sine / at.cosine;
}

/// Angle of the direction (x, y) [rad], in [-pi, pi]. Error < 2 ulp; 0 at the origin; the sign of a zero is not looked at.
MCR_FN real arctangent2(real y, real x) {
    real const size_x = absolute(x);
    real const size_y = absolute(y);
    bool const steep = size_y > size_x;
    real const large = select(steep, size_y, size_x);
    real const small = select(steep, size_x, size_y);
    real const t = small / select(large == 0, real(1), large);
    real const square = t * t;
    real       q;
    if constexpr (real_is_double)
        q = detail::polynomial(square, -0.33333333333333326, 0.19999999999998289, -0.14285714285578038, 0.11111111105602943, -0.09090908956650796,
                               0.07692305517029238, -0.06666641722544298, 0.05882141529141438, -0.052617912581909516, 0.04755005742927855,
                               -0.04320127925753145, 0.039102662351445966, -0.03466255375990659, 0.029294359874237893, -0.022792386392029473,
                               0.015697057186260556, -0.009183878631961417, 0.004369172617082311, -0.0016051080492460864, 0.0004239207770701918,
                               -7.124960913202798e-05, 5.702907134904774e-06);
    else
        q = detail::polynomial(square, -0.333332986, 0.199985296, -0.142640144, 0.109508604, -0.0839920267, 0.0578787215, -0.031093318, 0.0108661139,
                               -0.00178209855);
    real const first = fused(square * t, q, t);
    real const half_pi_low = real_is_double ? real(6.123233995736766e-17) : real(-4.37113900018624283e-8);
    real const second = select(steep, (half_pi - first) + half_pi_low, first);
    real const third = select(x < 0, (pi - second) + 2 * half_pi_low, second);
    return select(y < 0, -third, third);
}

namespace detail {

/// arcsin(s) = s + s z P(z), z = s^2 <= 1/4.
MCR_FN real arcsine_small(real s, real z) {
    real q;
    if constexpr (real_is_double)
        q = polynomial(z, 0.16666666666665408, 0.07500000000337144, 0.04464285682823032, 0.03038195914053285, 0.022371757975273368, 0.017359705765148527,
                       0.013885226661072236, 0.01216926341428318, 0.006527773387502739, 0.01952876696741579, -0.01622497356032519, 0.031912725964327746);
    else
        q = polynomial(z, 0.166667521, 0.0749530941, 0.0454691462, 0.0241848063, 0.0421582609);
    return fused(s * z, q, s);
}

/// arcsin of |x| as (result of the small-argument series, whether it stands for pi/2 - 2 result).
struct ReducedArcsine {
    real angle;
    bool steep;
};
MCR_FN ReducedArcsine reduced_arcsine(real x) {
    real const size = absolute(x);
    bool const steep = size > real(0.5);
    real const rest = real(0.5) * (1 - select(size > 1, real(1), size));  // exact when steep
    real const z = select(steep, rest, size * size);
    real const s = select(steep, square_root(rest), size);
    return {arcsine_small(s, z), steep};
}

}  // namespace detail

/// Angle in [-pi/2, pi/2] [rad] whose sine is x. Error < 2 ulp; |x| > 1 counts as 1.
MCR_FN real arcsine(real x) {
    detail::ReducedArcsine const reduced = detail::reduced_arcsine(x);
    real const half_pi_low = real_is_double ? real(6.123233995736766e-17) : real(-4.37113900018624283e-8);
    real const angle = select(reduced.steep, fused(real(-2), reduced.angle, half_pi) + half_pi_low, reduced.angle);
    return select(x < 0, -angle, angle);
}

/// Angle in [0, pi] [rad] whose cosine is x. Error < 2 ulp; |x| > 1 counts as 1.
MCR_FN real arccosine(real x) {
    detail::ReducedArcsine const reduced = detail::reduced_arcsine(x);
    real const half_pi_low = real_is_double ? real(6.123233995736766e-17) : real(-4.37113900018624283e-8);
    real const middle = (half_pi - select(x < 0, -reduced.angle, reduced.angle)) + half_pi_low;
    real const side = 2 * reduced.angle;
    return select(reduced.steep, select(x < 0, (pi - side) + 2 * half_pi_low, side), middle);
}

}  // namespace mcr
