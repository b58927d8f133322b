#include "fixed_point.h"
/* Fully connected layer, int16 with int8 weights: x [rows][depth], w [out_c][depth],
 * y [rows][out_c]; the zero points are 0. */
static inline void fully_connected_s16(
    const int16_t *x, int16_t *y, const int8_t *w, const int64_t *bias, const int32_t *multiplier,
    const int8_t *shift, int32_t per_channel, int32_t rows, int32_t depth, int32_t out_c,
    int32_t is_wide, int32_t low, int32_t high)
{
    for (int32_t row = 0; row < rows; row++, x += depth) {
        const int8_t *filter = w;
        for (int32_t out = 0; out < out_c; out++, filter += depth) {
            const int32_t scale = per_channel ? out : 0;
            int64_t sum = bias[out];
            for (int32_t c = 0; c < depth; c++) {
                sum += (int32_t)x[c] * filter[c];
            }
            const int32_t scaled = requantize_sum(sum, multiplier[scale], shift[scale], is_wide);
            *y++ = (int16_t)clamp_i32(scaled, low, high);
        }
    }
}
