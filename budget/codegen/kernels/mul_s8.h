#include "fixed_point.h"
/* a * b, rounded twice. A step of 0 repeats one element of a or b. */
static inline void mul_s8(
    const int8_t *a, const int8_t *b, int8_t *y, int32_t count, int32_t step_a, int32_t step_b,
    int32_t zero_a, int32_t zero_b, int32_t zero_out, int32_t q, int32_t shift, int32_t low,
    int32_t high)
{
    for (int32_t i = 0; i < count; i++, a += step_a, b += step_b) {
        const int32_t product = (*a - zero_a) * (*b - zero_b);
        const int32_t scaled = requantize_twice(product, q, shift) + zero_out;
        y[i] = (int8_t)clamp_i32(scaled, low, high);
    }
}
