#include "fixed_point.h"
/* x times one factor above zero and another below, rounded twice. */
static inline void slopes_s16(
    const int16_t *x, int16_t *y, int32_t count, int32_t zero_in, int32_t q_above,
    int32_t shift_above, int32_t q_below, int32_t shift_below, int32_t zero_out, int32_t low,
    int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t raw = x[i] - zero_in;
        const int32_t scaled = raw >= 0 ? requantize_twice(raw, q_above, shift_above)
                                        : requantize_twice(raw, q_below, shift_below);
        y[i] = (int16_t)clamp_i32(scaled + zero_out, low, high);
    }
}
