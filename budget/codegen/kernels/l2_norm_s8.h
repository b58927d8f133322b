#include "gemmlowp.h"
/* Each row divided by its length, by five steps of Newton; the result has scale 1/128. */
static inline void l2_norm_s8(
    const int8_t *x, int8_t *y, int32_t rows, int32_t depth, int32_t zero_in)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += depth) {
        int32_t sum = 0;
        for (int32_t c = 0; c < depth; c++) {
            sum += (x[c] - zero_in) * (x[c] - zero_in);
        }
        int32_t shift = 0;
        const int32_t q = inverse_square_root(sum, &shift);
        for (int32_t c = 0; c < depth; c++) {
            const int32_t scaled = requantize_twice(x[c] - zero_in, q, shift + 7);
            y[c] = (int8_t)clamp_i32(scaled, INT8_MIN, INT8_MAX);
        }
    }
}
