/// Logarithm, exponential, circular functions and their inverses, with the same bits on every compiler and device.
/// Only + - * /, square root and fused multiply-add; no branch, no table, no library. One text for both precisions:
/// the reduced argument goes through a minimax polynomial, shorter for float, longer for double.
/// NaN in gives NaN out. The stated errors hold over the whole stated range (ulp: last-place units of the result).
/// Sources: reductions after W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980);
/// coefficients by Remez exchange at 50 digits, then rounded one by one and refitted.
#pragma once
#include "real.h"

namespace mcr {

constexpr real pi = real(3.14159265358979323846);       ///< [rad] half a turn
constexpr real half_pi = real(1.57079632679489661923);  ///< [rad] a quarter turn

namespace detail {

// Two-part and three-part constants: the sum of the parts is the number to two or three times the digits of `real`.
constexpr real half_pi_low = real_is_double ? real(6.123233995736766e-17) : real(-4.371138828673793e-08);
constexpr real half_pi_lowest = real_is_double ? real(-1.4973849048591698e-33) : real(-1.7151245100058819e-15);
constexpr real ln2 = real(0.69314718055994530942);
constexpr real ln2_low = real_is_double ? real(2.3190468138462996e-17) : real(-1.9046542121259336e-09);

/// c0 + x (c1 + x (c2 + ...)), by Horner's rule.
template <class Number>
MCR_FN real polynomial(real, Number c0) {
    return static_cast<real>(c0);
}
template <class Number, class... Rest>
MCR_FN real polynomial(real x, Number c0, Rest... rest) {
    return fused(polynomial(x, rest...), x, static_cast<real>(c0));
}

/// x, or -x where bit 1 of `quadrant` is set.
MCR_FN real turn_sign(real x, real_word quadrant) {
    return real_of_bits(bits_of(x) ^ ((quadrant & 2) << (8 * sizeof(real) - 2)));
}

}  // namespace detail

/// e^x. Error < 1.1 ulp; 0 where the result would be below the smallest normal number (x < -87.3; double -708.3).
MCR_FN real exponential(real x) {
    // x = n ln 2 + r, |r| <= (ln 2) / 2
    real const shifted = fused(x, real(1.44269504088896340736), rounding_shift);
    real const n = shifted - rounding_shift;
    real const r = fused(-n, detail::ln2_low, fused(-n, detail::ln2, x));
    // e^r = 1 + r + r^2 q(r)
    real q;
    if constexpr (real_is_double)
        q = detail::polynomial(r, 0.5000000000000011, 0.16666666666666438, 0.041666666666525805, 0.008333333333473776,
                               0.0013888888944856043, 0.00019841269559822995, 2.4801491754753365e-05,
                               2.755753279530704e-06, 2.76307618104449e-07, 2.5018787384482865e-08);
    else
        q = detail::polynomial(r, 0.49999994, 0.166665226, 0.041668199, 0.00836831331, 0.00138197292);
    real const fraction = fused(r * r, q, r) + 1;
    // times 2^n: n, the low bits of `shifted`, added to the exponent
    real const power = real_of_bits(bits_of(fraction) + (bits_of(shifted) << real_fraction));
    real const lowest = real_is_double ? real(-708.3964185322641) : real(-87.33654022216797);  // 2^-126 (2^-1022)
    real const highest = real_is_double ? real(709.782712893384) : real(88.7228317260742);     // largest finite result
    return select(x < lowest, real(0), select(x <= highest, power, x + infinity()));
}

namespace detail {

/// ln x for a finite, normal, positive x; anything for others. Error < 1 ulp.
MCR_FN real logarithm_of_normal(real x) {
    // x = 2^n (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), from the distance of the bits to those of sqrt(1/2)
    real_word const half_root = real_is_double ? real_word(0x3fe6a09e667f3bcdu) : real_word(0x3f3504f3u);
    real_word const excess = bits_of(x) - half_root;
    real_word const n_bits = static_cast<real_word>(static_cast<real_integer>(excess) >> real_fraction);
    real const n = real_of_bits(bits_of(rounding_shift) + n_bits) - rounding_shift;
    real const f = real_of_bits(bits_of(x) - (n_bits << real_fraction)) - 1;
    // ln(1 + f) = f - f^2 / 2 + f^3 q(f)
    real q;
    if constexpr (real_is_double)
        q = polynomial(f, 0.33333333333333454, -0.2499999999999892, 0.1999999999994614, -0.16666666666914345,
                       0.14285714293840712, -0.1249999998202326, 0.11111110516085689, -0.10000000383076159,
                       0.0909093350437646, -0.08333345765364021, 0.07691714502454818, -0.07141999990110873,
                       0.0667514784613555, -0.06269801824564168, 0.058177836736954126, -0.05326776180719584,
                       0.05415954700494958, -0.0627504021286953, 0.05696890891493868, -0.024276367021741338);
    else
        q = polynomial(f, 0.333333313, -0.250008225, 0.200012609, -0.166233376, 0.142009079, -0.131595373,
                       0.127678603, -0.0764443874);
    real const square = f * f;
    real const tail = fused(n, ln2_low, fused(square * f, q, real(-0.5) * square));
    return fused(n, ln2, f + tail);
}

}  // namespace detail

/// ln x. Error < 1 ulp; -infinity at 0 and below the smallest normal number, NaN for x < 0.
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

/// Sine and cosine of an angle [rad], |angle| <= 1e4. Error < 1.6 ulp, also next to the zeros.
MCR_FN SineCosine sine_cosine(real angle) {
    // angle = n pi/2 + r, |r| <= pi/4; pi/2 in three parts, of which the first leaves an exact difference
    real const shifted = fused(angle, real(0.63661977236758134308), rounding_shift);
    real const n = shifted - rounding_shift;
    real const r = fused(-n, detail::half_pi_lowest, fused(-n, detail::half_pi_low, fused(-n, half_pi, angle)));
    real const square = r * r;
    // sin r = r + r^3 p(r^2), cos r = 1 - r^2 / 2 + r^4 q(r^2)
    real p, q;
    if constexpr (real_is_double) {
        p = detail::polynomial(square, -0.1666666666666663, 0.00833333333332184, -0.0001984126982935927,
                               2.755731353916897e-06, -2.5050734559134656e-08, 1.5895446939216056e-10);
        q = detail::polynomial(square, 0.041666666666666595, -0.0013888888888873307, 2.480158728896525e-05,
                               -2.7557314203083977e-07, 2.087570313867426e-09, -1.1358616806444966e-11);
    } else {
        p = detail::polynomial(square, -0.166666552, 0.00833218731, -0.000195178989);
        q = detail::polynomial(square, 0.0416666456, -0.00138873095, 2.44323292e-05);
    }
    real const s = fused(square * r, p, r);
    real const c = fused(square, fused(square, q, real(-0.5)), real(1));
    real_word const quadrant = bits_of(shifted);
    bool const odd = (quadrant & 1) != 0;
    return {detail::turn_sign(select(odd, c, s), quadrant), detail::turn_sign(select(odd, s, c), quadrant + 1)};
}

/// Sine and cosine of an angle in turns, 0 <= turns <= 1. Error < 1 ulp.
MCR_FN SineCosine sine_cosine_turns(real turns) {
    // t: quarter turns from the nearest whole quarter turn, exact, |t| <= 1/2
    real const shifted = fused(real(4), turns, rounding_shift);
    real const t = fused(real(4), turns, rounding_shift - shifted);
    real const square = t * t;
    // sin(pi/2 t) = pi/2 t + t (low part of pi/2 + t^2 p(t^2)), cos(pi/2 t) = 1 + t^2 q(t^2)
    real p, q;
    if constexpr (real_is_double) {
        p = detail::polynomial(square, detail::half_pi_low, -0.6459640975062463, 0.07969262624616918,
                               -0.004681754135372414, 0.000160441185403562, -3.5988467484568107e-06,
                               5.693110690504824e-08, -6.763479591758367e-10);
        q = detail::polynomial(square, -1.2337005501361697, 0.2536695079010417, -0.02086348076318097,
                               0.00091926027263238, -2.520202744691996e-05, 4.7103340956144153e-07,
                               -6.289398918670217e-09);
    } else {
        p = detail::polynomial(square, detail::half_pi_low, -0.645963609, 0.0796810761, -0.00460368302);
        q = detail::polynomial(square, -1.23370051, 0.253668547, -0.0208555963, 0.000894487021);
    }
    real const s = fused(half_pi, t, t * p);
    real const c = fused(square, q, real(1));
    real_word const quadrant = bits_of(shifted);
    bool const odd = (quadrant & 1) != 0;
    return {detail::turn_sign(select(odd, c, s), quadrant), detail::turn_sign(select(odd, s, c), quadrant + 1)};
}

/// Tangent of an angle [rad], |angle| <= 1e4. Error < 3.5 ulp.
MCR_FN real tangent(real angle) {
    SineCosine const at = sine_cosine(angle);
    return at.sine / at.cosine;
}

/// Angle of the direction (x, y) [rad], in [-pi, pi]. Error < 2 ulp. 0 at the origin; zeros have no sign here.
MCR_FN real arctangent2(real y, real x) {
    real const size_x = absolute(x);
    real const size_y = absolute(y);
    bool const steep = size_y > size_x;
    real const large = select(steep, size_y, size_x);
    real const small = select(steep, size_x, size_y);
    real const t = small / select(large == 0, real(1), large);
    // arctan t = t + t^3 q(t^2), 0 <= t <= 1
    real const square = t * t;
    real q;
    if constexpr (real_is_double)
        q = detail::polynomial(square, -0.33333333333333326, 0.19999999999998289, -0.14285714285578038,
                               0.11111111105602943, -0.09090908956650796, 0.07692305517029238, -0.06666641722544298,
                               0.05882141529141438, -0.052617912581909516, 0.04755005742927855, -0.04320127925753145,
                               0.039102662351445966, -0.03466255375990659, 0.029294359874237893, -0.022792386392029473,
                               0.015697057186260556, -0.009183878631961417, 0.004369172617082311,
                               -0.0016051080492460864, 0.0004239207770701918, -7.124960913202798e-05,
                               5.702907134904774e-06);
    else
        q = detail::polynomial(square, -0.333332986, 0.199985296, -0.142640144, 0.109508604, -0.0839920267,
                               0.0578787215, -0.031093318, 0.0108661139, -0.00178209855);
    real const within_eighth = fused(square * t, q, t);
    real const within_quarter = select(steep, (half_pi - within_eighth) + detail::half_pi_low, within_eighth);
    real const within_half = select(x < 0, (pi - within_quarter) + 2 * detail::half_pi_low, within_quarter);
    return select(y < 0, -within_half, within_half);
}

namespace detail {

/// arcsin |x| where it is at most pi/6 (|x| <= 1/2); else `steep`, and arcsin |x| = pi/2 - 2 angle.
struct ReducedArcsine {
    real angle;
    Flag steep;
};

MCR_FN ReducedArcsine reduced_arcsine(real x) {
    real const size = absolute(x);
    bool const steep = size > real(0.5);
    real const rest = real(0.5) * (1 - select(size > 1, real(1), size));  // exact where steep
    real const square = select(steep, rest, size * size);
    real const sine = select(steep, square_root(rest), size);
    // arcsin s = s + s^3 q(s^2)
    real q;
    if constexpr (real_is_double)
        q = polynomial(square, 0.16666666666665408, 0.07500000000337144, 0.04464285682823032, 0.03038195914053285,
                       0.022371757975273368, 0.017359705765148527, 0.013885226661072236, 0.01216926341428318,
                       0.006527773387502739, 0.01952876696741579, -0.01622497356032519, 0.031912725964327746);
    else
        q = polynomial(square, 0.166667521, 0.0749530941, 0.0454691462, 0.0241848063, 0.0421582609);
    return {fused(sine * square, q, sine), steep};
}

}  // namespace detail

/// Angle in [-pi/2, pi/2] [rad] whose sine is x. Error < 2.1 ulp; |x| > 1 counts as 1.
MCR_FN real arcsine(real x) {
    detail::ReducedArcsine const reduced = detail::reduced_arcsine(x);
    real const steep = fused(real(-2), reduced.angle, half_pi) + detail::half_pi_low;
    real const angle = select(reduced.steep, steep, reduced.angle);
    return select(x < 0, -angle, angle);
}

/// Angle in [0, pi] [rad] whose cosine is x. Error < 2 ulp; |x| > 1 counts as 1.
MCR_FN real arccosine(real x) {
    detail::ReducedArcsine const reduced = detail::reduced_arcsine(x);
    real const flat = (half_pi - select(x < 0, -reduced.angle, reduced.angle)) + detail::half_pi_low;
    real const near = 2 * reduced.angle;
    real const far = (pi - near) + 2 * detail::half_pi_low;
    return select(reduced.steep, select(x < 0, far, near), flat);
}

}  // namespace mcr
