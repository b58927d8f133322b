#include "fixed_point.h"
/* One product of two matrices, int8: a [m][depth] times b [depth][n], both read with the steps
 * given (from one row to the next, from one column to the next), y [m][n]. */
static inline void matmul_s8(
    const int8_t *a, const int8_t *b, int8_t *y, int32_t m, int32_t depth, int32_t n,
    int32_t a_row, int32_t a_column, int32_t b_row, int32_t b_column, int32_t zero_a,
    int32_t zero_b, int32_t zero_out, int32_t q, int32_t shift)
{
    for (int32_t row = 0; row < m; row++) {
        for (int32_t column = 0; column < n; column++) {
            int32_t sum = 0;
            for (int32_t c = 0; c < depth; c++) {
                const int32_t left = a[row * a_row + c * a_column] - zero_a;
                sum += left * (b[c * b_row + column * b_column] - zero_b);
            }
            sum = requantize_twice(sum, q, shift) + zero_out;
            *y++ = (int8_t)clamp_i32(sum, INT8_MIN, INT8_MAX);
        }
    }
}
