#include "fixed_point.h"
/* a + b (or a - b): both brought to twice the larger scale, summed, rescaled; all round twice. */
static inline void add_s8(
    const int8_t *a, const int8_t *b, int8_t *y, int32_t count, int32_t sign, int32_t zero_a,
    int32_t q_a, int32_t shift_a, int32_t zero_b, int32_t q_b, int32_t shift_b, int32_t zero_out,
    int32_t q_out, int32_t shift_out, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = requantize_twice((a[i] - zero_a) * (1 << 20), q_a, shift_a);
        const int32_t right = requantize_twice((b[i] - zero_b) * (1 << 20), q_b, shift_b);
        const int32_t sum = requantize_twice(left + sign * right, q_out, shift_out) + zero_out;
        y[i] = (int8_t)clamp_i32(sum, low, high);
    }
}
