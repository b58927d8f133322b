#include "gemmlowp.h"
/* Softmax of each row, int8 in and out; differences below `least` count as zero. The exponentials
 * are computed twice, which costs less than keeping them. */
static inline void softmax_s8(
    const int8_t *x, int8_t *y, int32_t rows, int32_t depth, int32_t q, int32_t shift,
    int32_t least)
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
        const int32_t headroom = leading_zeros(sum);
        const int32_t over_unit = 12 - headroom;
        const int32_t minus_one = (int32_t)(((uint32_t)sum << headroom) - ((uint32_t)1 << 31));
        const int32_t inverse = one_over_one_plus(minus_one);
        for (int32_t c = 0; c < depth; c++) {
            const int32_t difference = x[c] - largest;
            int32_t value = 0;
            if (difference >= least) {
                const int32_t scaled = requantize_twice(difference, q, shift);
                const int32_t part = multiply_q0(inverse, exp_of_negative_q5(scaled));
                value = rounding_shift_right(part, over_unit + 23);
            }
            y[c] = (int8_t)clamp_i32(value - 128, -128, 127);
        }
    }
}
