#include "fixed_point.h"
/* One product of two matrices, int16: a [m][depth] times b [depth][n], both read with the steps
 * given (from one row to the next, from one column to the next), y [m][n]; zero points are 0. */
static inline void matmul_s16(
    const int16_t *a, const int16_t *b, int16_t *y, int32_t m, int32_t depth, int32_t n,
    int32_t a_row, int32_t a_column, int32_t b_row, int32_t b_column, int32_t q, int32_t shift)
{
    for (int32_t row = 0; row < m; row++) {
        for (int32_t column = 0; column < n; column++) {
            int64_t sum = 0;
            for (int32_t c = 0; c < depth; c++) {
                sum += (int32_t)a[row * a_row + c * a_column] * b[c * b_row + column * b_column];
            }
            const int32_t scaled = requantize_wide(sum, q, shift);
            *y++ = (int16_t)clamp_i32(scaled, INT16_MIN, INT16_MAX);
        }
    }
}
