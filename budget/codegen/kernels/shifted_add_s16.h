#include "fixed_point.h"
/* a + b (or a - b, sign -1) where all scales are powers of two: operands are only shifted. A step
 * of 0 repeats one element of a or b. */
static inline void shifted_add_s16(
    const int16_t *a, const int16_t *b, int16_t *y, int32_t count, int32_t step_a, int32_t step_b,
    int32_t sign, int32_t right_a, int32_t right_b, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++, a += step_a, b += step_b) {
        const int32_t first = rounding_shift_right(*a, right_a);
        const int32_t second = rounding_shift_right(*b, right_b);
        y[i] = (int16_t)clamp_i32(first + sign * second, low, high);
    }
}
