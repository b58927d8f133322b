#include "gemmlowp.h"
/* Logarithm in Q5 of x >= 1 in Q12. */
static inline int32_t log_q5_of_q12(int32_t x)
{
    const int32_t half_root = 1518500250;
    const int32_t fourth_root = 1805811301;
    const int32_t quarter = rounding_shift_right(INT32_C(1) << 29, 6);
    const int32_t zeros = leading_zeros(x);
    const int32_t r_a = saturating_shift_left(
        multiply_q0(saturating_shift_left(x, zeros - 1), half_root), 1);
    const int32_t zeros_b = leading_zeros(multiply_q0(x, half_root)) - 1;
    const int32_t r_b = saturating_shift_left(x, zeros_b);
    const int32_t power_a = (12 - zeros) * (INT32_C(1) << 25) + quarter;
    const int32_t power_b = (12 - zeros_b) * (INT32_C(1) << 25) - quarter;
    const int32_t r = r_a < r_b ? r_a : r_b;
    const int32_t power = power_a > power_b ? power_a : power_b;
    const int32_t p = half_sum(r, fourth_root);
    const int32_t q = 2 * (r - fourth_root);
    const int32_t square = multiply_q0(q, q);
    const int32_t top = multiply_q0(q, r) + multiply_q0(multiply_q0(q, square), 117049297);
    const int32_t inner = 1057819769 + q + multiply_q0(127690142, square);
    const int32_t bottom = multiply_q0(p, inner) + multiply_q0(638450708, q);
    const int32_t quotient =
        multiply_q0(rounding_shift_right(top, 6), one_over_one_plus(bottom));
    return saturating_shift_left(multiply_q0(power, 1488522236) + quotient, 1);
}

/* x - ln(sum of exp(x)) of each row, int8; differences below `least` count as zero. */
static inline void log_softmax_s8(
    const int8_t *x, int8_t *y, int32_t rows, int32_t depth, int32_t q, int32_t shift,
    int32_t least, int32_t reverse_q, int32_t reverse_shift)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += depth) {
        int32_t largest = x[0];
        for (int32_t c = 1; c < depth; c++) {
            largest = x[c] > largest ? x[c] : largest;
        }
        int32_t sum = 0;
        for (int32_t c = 0; c < depth; c++) {
            const int32_t difference = x[c] - largest;
            if (difference >= least) {
                const int32_t scaled = requantize_twice(difference, q, shift);
                sum += rounding_shift_right(exp_of_negative_q5(scaled), 12);
            }
        }
        const int32_t log_sum = log_q5_of_q12(sum);
        int32_t lowest = requantize_twice(
            (int32_t)((uint32_t)log_sum - ((uint32_t)1 << 31)), reverse_q, reverse_shift);
        lowest = lowest > least - 1 ? lowest : least - 1;
        for (int32_t c = 0; c < depth; c++) {
            const int32_t difference = x[c] - largest;
            int32_t value = INT8_MIN;
            if (difference > lowest) {
                const int32_t scaled = requantize_twice(difference, q, shift);
                value = rounding_shift_right(scaled - log_sum, 22) + 127;
            }
            y[c] = (int8_t)clamp_i32(value, INT8_MIN, INT8_MAX);
        }
    }
}
