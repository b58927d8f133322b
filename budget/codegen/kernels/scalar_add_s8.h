#include "scalar_requantize.h"
/* a + b, where a has the larger scale: at 2^20 over twice that scale a is only shifted, b (by `left`
 * bits first) and the sum are scaled; all round twice. */
static inline void scalar_add_s8(
    const int8_t *a, const int8_t *b, int8_t *y, int32_t count, int32_t zero_a, int32_t zero_b,
    int32_t left, int32_t q_b, int32_t places_b, int32_t q_out, int32_t places_out,
    int32_t zero_out, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t second = (b[i] - zero_b) * (INT32_C(1) << left);
        const int32_t sum =
            (a[i] - zero_a) * (INT32_C(1) << 19) + scalar_requantize_twice(second, q_b, places_b);
        const int32_t scaled = scalar_requantize_twice(sum, q_out, places_out) + zero_out;
        y[i] = (int8_t)clamp_i32(scaled, low, high);
    }
}
