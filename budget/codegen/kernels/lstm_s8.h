#include "lstm_unit.h"
/* Long short-term memory in 8 bits: x by (step, row), w [4 * units][depth] and u [4 * units][units]
 * with the rows of input, forget, cell and output gate, h and c [batch][units]; zero points are
 * folded into the biases. */
static inline void lstm_s8(
    const int8_t *x, int8_t *y, int8_t *h, int16_t *c, const int8_t *w, const int8_t *u,
    const int32_t *bias, const int32_t *back, const int32_t *q_in, const int8_t *shift_in,
    const int32_t *q_back, const int8_t *shift_back, int32_t batch, int32_t steps, int32_t depth,
    int32_t units, int32_t x_step, int32_t x_row, int32_t y_step, int32_t y_row, int32_t q,
    int32_t shift, int32_t zero, int32_t power, int32_t clip, int32_t is_host, int32_t multiplier,
    int32_t right)
{
    for (int32_t step = 0; step < steps; step++) {
        for (int32_t row = 0; row < batch; row++) {
            const int8_t *in = x + step * x_step + row * x_row;
            int8_t *out = y + step * y_step + row * y_row;
            int8_t *state = h + row * units;
            for (int32_t k = 0; k < units; k++) {
                int32_t gates[4];
                for (int32_t gate = 0; gate < 4; gate++) {
                    const int32_t r = gate * units + k;
                    int32_t first = bias[r];
                    for (int32_t i = 0; i < depth; i++) {
                        first += in[i] * w[r * depth + i];
                    }
                    int32_t second = back[r];
                    for (int32_t i = 0; i < units; i++) {
                        second += state[i] * u[r * units + i];
                    }
                    first = in_16_bits(requantize_twice(first, q_in[gate], shift_in[gate]));
                    second = requantize_twice(second, q_back[gate], shift_back[gate]);
                    gates[gate] = in_16_bits(first + (is_host ? second : in_16_bits(second)));
                }
                const int32_t shown = lstm_unit(
                    gates, c + row * units + k, q, shift, power, clip, is_host, multiplier, right);
                out[k] = (int8_t)clamp_i32(shown + zero, INT8_MIN, INT8_MAX);
            }
            for (int32_t k = 0; k < units; k++) {
                state[k] = out[k];
            }
        }
    }
}
