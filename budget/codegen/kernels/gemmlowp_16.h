#include "fixed_point.h"
/* Functions on 16-bit fixed point numbers; Q(m) has m bits before the point: real = x 2^(m-15). */
static inline int32_t in_16_bits(int32_t x)
{
    return clamp_i32(x, INT16_MIN, INT16_MAX);
}

/* The high half of 2 * a * b, to nearest, ties away from zero, saturated. */
static inline int32_t multiply_16(int32_t a, int32_t b)
{
    const int32_t product = a * b;
    const int32_t nudge = product >= 0 ? INT32_C(1) << 14 : 1 - (INT32_C(1) << 14);
    const int32_t high = (product + nudge) / (INT32_C(1) << 15);
    return high > INT16_MAX ? INT16_MAX : high;
}

static inline int32_t shift_left_16(int32_t x, int32_t exponent)
{
    return in_16_bits(x * (INT32_C(1) << exponent));
}

/* exp(a) in Q0 for a <= 0 in Q(bits). */
static inline int32_t exp_of_negative_16(int32_t a, int32_t bits)
{
    static const int16_t powers[7] = {25520, 19875, 12055, 4435, 600, 11, 0};
    const int32_t fraction = 15 - bits;
    const int32_t quarter = INT32_C(1) << (fraction - 2);
    const int32_t rest = (a & (quarter - 1)) - quarter;
    const int32_t centre = 28918;
    const int32_t x = shift_left_16(rest, bits) + (INT32_C(1) << 12);
    const int32_t x2 = multiply_16(x, x);
    const int32_t x3 = multiply_16(x2, x);
    const int32_t x4 = multiply_16(x2, x2);
    const int32_t cubic = multiply_16(rounding_shift_right(x4, 2) + x3, 10923) + x2;
    int32_t result = in_16_bits(centre + multiply_16(centre, x + rounding_shift_right(cubic, 1)));
    const int32_t remainder = (int16_t)(rest - a);
    for (int32_t k = 0; k < 7; k++) {
        if (bits > k - 2 && (remainder & (INT32_C(1) << (fraction + k - 2))) != 0) {
            result = multiply_16(result, powers[k]);
        }
    }
    if (bits > 5 && a < -(INT32_C(1) << (20 - bits))) {
        result = 0;
    }
    return a == 0 ? INT16_MAX : result;
}

/* 2 / (1 + a) in Q2 for a in Q0: three steps of Newton. */
static inline int32_t two_over_one_plus_16(int32_t a)
{
    const int32_t sum = a + INT16_MAX;
    const int32_t half = (sum + (sum >= 0 ? 1 : -1)) / 2;
    int32_t x = 23130 + multiply_16(half, -15420);
    for (int32_t k = 0; k < 3; k++) {
        const int32_t error = (INT32_C(1) << 13) - multiply_16(half, x);
        x = (int16_t)(x + shift_left_16(multiply_16(x, error), 2));
    }
    return x;
}

/* 1 / (1 + exp(-a)) in Q0 for a in Q(bits). */
static inline int32_t logistic_16(int32_t a, int32_t bits)
{
    const int32_t exponential = exp_of_negative_16(a < 0 ? a : -a, bits);
    const int32_t positive = shift_left_16(two_over_one_plus_16(exponential), 1);
    return a == 0 ? INT32_C(1) << 14 : (a > 0 ? positive : INT16_MAX - positive);
}

/* tanh(a) in Q0 for a in Q(bits). */
static inline int32_t tanh_16(int32_t a, int32_t bits)
{
    const int32_t exponential = exp_of_negative_16(a < 0 ? a : -a, bits + 1);
    const int32_t newton = (int16_t)(two_over_one_plus_16(exponential) - (INT32_C(1) << 13));
    const int32_t magnitude = shift_left_16(newton, 2);
    return a == 0 ? 0 : (a > 0 ? magnitude : -magnitude);
}
