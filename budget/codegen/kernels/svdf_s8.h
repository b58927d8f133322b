#include "fixed_point.h"
/* Features of x [batch][depth] enter the last place of memory [batch][filters][steps], which is
 * summed by weights in time and moved on by one step; y [batch][filters / rank]. */
static inline void svdf_s8(
    const int8_t *x, int8_t *y, int16_t *memory, const int8_t *features, const int16_t *times,
    const int32_t *bias, int32_t batch, int32_t depth, int32_t filters, int32_t steps,
    int32_t rank, int32_t q_in, int32_t shift_in, int32_t q_out, int32_t shift_out,
    int32_t zero_in, int32_t zero_out)
{
    for (int32_t row = 0; row < batch; row++, x += depth) {
        for (int32_t unit = 0; unit < filters / rank; unit++) {
            int32_t sum = bias[unit];
            for (int32_t part = 0; part < rank; part++, memory += steps) {
                const int32_t filter = unit * rank + part;
                int32_t feature = 0;
                for (int32_t i = 0; i < depth; i++) {
                    feature += (x[i] - zero_in) * features[filter * depth + i];
                }
                feature = requantize_twice(feature, q_in, shift_in);
                memory[steps - 1] = (int16_t)clamp_i32(feature, INT16_MIN, INT16_MAX);
                for (int32_t i = 0; i < steps; i++) {
                    sum += (int32_t)memory[i] * times[filter * steps + i];
                    memory[i] = (int16_t)(i + 1 < steps ? memory[i + 1] : 0);
                }
            }
            const int32_t stored = requantize_twice(sum, q_out, shift_out) + zero_out;
            *y++ = (int8_t)clamp_i32(stored, INT8_MIN, INT8_MAX);
        }
    }
}
