#include "fixed_point.h"
/* x where x >= 0, else x * slope; both round twice. A step of 0 repeats one element. */
static inline void prelu_s8(
    const int8_t *x, const int8_t *slope, int8_t *y, int32_t count, int32_t step_x,
    int32_t step_slope, int32_t zero_x, int32_t zero_slope, int32_t zero_out, int32_t q_above,
    int32_t shift_above, int32_t q_below, int32_t shift_below)
{
    for (int32_t i = 0; i < count; i++, x += step_x, slope += step_slope) {
        const int32_t raw = *x - zero_x;
        const int32_t scaled =
            raw >= 0 ? requantize_twice(raw, q_above, shift_above)
                     : requantize_twice(raw * (*slope - zero_slope), q_below, shift_below);
        y[i] = (int8_t)clamp_i32(scaled + zero_out, INT8_MIN, INT8_MAX);
    }
}
