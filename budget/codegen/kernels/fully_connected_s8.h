#include "dot_s8.h"
#include "fixed_point.h"
/* Fully connected layer, int8: x [rows][depth], w [out_c][depth], y [rows][out_c]. The input's zero
 * point is in the bias already. `once` chooses between one rounding and two. */
static inline void fully_connected_s8(
    const int8_t *x, int8_t *y, const int8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *shift, int32_t per_channel, int32_t rows, int32_t depth, int32_t out_c,
    int32_t zero_weight, int32_t zero_out, int32_t low, int32_t high, int32_t once)
{
    for (int32_t row = 0; row < rows; row++, x += depth) {
        const int8_t *filter = w;
        for (int32_t out = 0; out < out_c; out++, filter += depth) {
            const int32_t scale = per_channel ? out : 0;
            int32_t sum = dot_s8(filter, x, 1, depth, 0, 0, zero_weight, bias[out]);
            sum = once ? requantize_once(sum, multiplier[scale], shift[scale])
                       : requantize_twice(sum, multiplier[scale], shift[scale]);
            *y++ = (int8_t)clamp_i32(sum + zero_out, low, high);
        }
    }
}
