#include "fixed_point.h"
/* Functions on 32-bit fixed point numbers; Q(m) has m bits before the point: real = x 2^(m-31). */

/* a * b in Q0 without overflow at the ends. */
static inline int32_t multiply_q0(int32_t a, int32_t b)
{
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : doubling_high_multiply(a, b);
}

/* x * 2^exponent, held at the ends of the range. */
static inline int32_t saturating_shift_left(int32_t x, int32_t exponent)
{
    const int32_t threshold = (int32_t)(((int64_t)1 << (31 - exponent)) - 1);
    if (x > threshold) {
        return INT32_MAX;
    }
    return x < -threshold ? INT32_MIN : (int32_t)((uint32_t)x << exponent);
}

/* exp(a) in Q0 for -1/4 <= a < 0 in Q0: Taylor's series around -1/8. */
static inline int32_t exp_near_zero(int32_t a)
{
    const int32_t at_centre = 1895147668;
    const int32_t x = a + (INT32_C(1) << 28);
    const int32_t x2 = multiply_q0(x, x);
    const int32_t x3 = multiply_q0(x2, x);
    const int32_t x4 = multiply_q0(x2, x2);
    const int32_t cubic = multiply_q0(rounding_shift_right(x4, 2) + x3, 715827883) + x2;
    return at_centre + multiply_q0(at_centre, x + rounding_shift_right(cubic, 1));
}

/* exp(a) in Q0 for a <= 0 in Q5. */
static inline int32_t exp_of_negative_q5(int32_t a)
{
    static const int32_t powers[7] = {
        1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242,
    };
    const int32_t quarter = INT32_C(1) << 24;
    const int32_t rest = (a & (quarter - 1)) - quarter;
    int32_t result = exp_near_zero(saturating_shift_left(rest, 5));
    const int32_t bits = rest - a;
    for (int32_t k = 0; k < 7; k++) {
        if (bits & (INT32_C(1) << (24 + k))) {
            result = multiply_q0(result, powers[k]);
        }
    }
    return a == 0 ? INT32_MAX : result;
}

/* (a + b) / 2, ties away from zero. */
static inline int32_t half_sum(int32_t a, int32_t b)
{
    const int64_t sum = (int64_t)a + b;
    return (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
}

/* 1 / (1 + a) in Q0 for 0 < a < 1 in Q0: three steps of Newton. */
static inline int32_t one_over_one_plus(int32_t a)
{
    const int32_t half_denominator = half_sum(a, INT32_MAX);
    int32_t x = 1515870810 + multiply_q0(half_denominator, -1010580540);
    for (int32_t k = 0; k < 3; k++) {
        const int32_t error = (INT32_C(1) << 29) - multiply_q0(half_denominator, x);
        x += saturating_shift_left(multiply_q0(x, error), 2);
    }
    return saturating_shift_left(x, 1);
}

/* Zeros before the first one of x > 0. */
static inline int32_t leading_zeros(int32_t x)
{
    int32_t count = 0;
    while (x < (INT32_C(1) << 30)) {
        x = (int32_t)((uint32_t)x << 1);
        count++;
    }
    return count + 1;
}

/* How far x can be shifted to the left in 32 bits. */
static inline int32_t sign_bits(int32_t x)
{
    const int32_t magnitude = x < 0 ? ~x : x;
    return magnitude == 0 ? 31 : leading_zeros(magnitude) - 1;
}

/* 1 / sqrt(x) as q * 2^(shift - 31), by five steps of Newton; 0 counts as 1. */
static inline int32_t inverse_square_root(int32_t x, int32_t *shift)
{
    int32_t right = 11;
    if (x <= 1) {
        *shift = 0;
        return INT32_MAX;
    }
    while (x >= INT32_C(1) << 29) {
        x /= 4;
        right++;
    }
    const int32_t pairs = (leading_zeros(x) - 1) / 2 - 1;
    right -= pairs;
    const int32_t half = rounding_shift_right((int32_t)((uint32_t)x << (2 * pairs)) >> 1, 1);
    int32_t root = INT32_C(1) << 28;
    for (int32_t k = 0; k < 5; k++) {
        const int32_t square = multiply_q0(root, root);
        const int32_t cube = saturating_shift_left(multiply_q0(square, root), 6);
        const int32_t change = multiply_q0(INT32_C(3) << 27, root) - multiply_q0(half, cube);
        root = saturating_shift_left(change, 3);
    }
    const int32_t q = multiply_q0(root, 1518500250);
    *shift = right > 0 ? -right : 0;
    return right < 0 ? (int32_t)((uint32_t)q << -right) : q;
}
