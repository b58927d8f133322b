#include "gemmlowp_16.h"
#include "sigmoid_s16.h"
/* One unit of a long short-term memory from its four sums, which have 12 bits behind the point:
 * moves the cell on, whose scale is 2^power, and returns what is shown of it. The host's kernels
 * compute the functions in fixed point, the microcontroller's by straight lines. */
static inline int32_t lstm_unit(
    const int32_t *gates, int16_t *cell, int32_t q, int32_t shift, int32_t power, int32_t clip,
    int32_t is_host, int32_t multiplier, int32_t right)
{
    int32_t changed, out, shown;
    if (is_host) {
        const int32_t in = logistic_16(gates[0], 3);
        const int32_t kept = rounding_shift_right(logistic_16(gates[1], 3) * *cell, 15);
        const int32_t added = rounding_shift_right(in * tanh_16(gates[2], 3), 30 + power);
        changed = in_16_bits(kept + added);
        out = logistic_16(gates[3], 3);
    } else {
        int16_t x[4];
        for (int32_t gate = 0; gate < 4; gate++) {
            x[gate] = (int16_t)gates[gate];
        }
        logistic_s16(x, x, 2, 3, 0);
        tanh_s16(x + 2, x + 2, 1, 3, 0);
        logistic_s16(x + 3, x + 3, 1, 3, 0);
        const int32_t half = INT32_C(1) << 30;
        const int32_t kept = in_16_bits(requantize_twice(x[1] * *cell, half, -14));
        const int32_t added = in_16_bits(requantize_twice(x[0] * x[2], half, -29 - power));
        changed = in_16_bits(kept + added);
        out = x[3];
    }
    if (clip > 0) {
        changed = clamp_i32(changed, -clip, clip);
    }
    *cell = (int16_t)changed;
    if (is_host) {
        shown = tanh_16(changed, 15 + power);
    } else {
        int16_t y;
        tanh_s16(cell, &y, 1, multiplier, right);
        shown = y;
    }
    return requantize_twice(out * shown, q, shift);
}
