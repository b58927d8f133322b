#include "fixed_point.h"
/* (a - b)^2: both are brought to twice the larger scale with 7 more bits; all round twice. A step
 * of 0 repeats one element of a or b. */
static inline void squared_difference_s8(
    const int8_t *a, const int8_t *b, int8_t *y, int32_t count, int32_t step_a, int32_t step_b,
    int32_t zero_a, int32_t q_a, int32_t shift_a, int32_t zero_b, int32_t q_b, int32_t shift_b,
    int32_t zero_out, int32_t q_out, int32_t shift_out)
{
    for (int32_t i = 0; i < count; i++, a += step_a, b += step_b) {
        const int32_t first = requantize_twice((*a - zero_a) * (INT32_C(1) << 7), q_a, shift_a);
        const int32_t second = requantize_twice((*b - zero_b) * (INT32_C(1) << 7), q_b, shift_b);
        const int32_t difference = first - second;
        const int32_t scaled = requantize_twice(difference * difference, q_out, shift_out);
        y[i] = (int8_t)clamp_i32(scaled + zero_out, INT8_MIN, INT8_MAX);
    }
}
