#include "lstm_unit.h"
/* Long short-term memory with 16-bit activations and 8-bit weights: x by (step, row),
 * w [4 * units][depth] and u [4 * units][units] with the rows of input, forget, cell and output
 * gate, h and c [batch][units]; the zero points are 0. Only microcontrollers have this kernel. */
static inline void lstm_s16(
    const int16_t *x, int16_t *y, int16_t *h, int16_t *c, const int8_t *w, const int8_t *u,
    const int64_t *bias, const int32_t *q_in, const int8_t *shift_in, const int32_t *q_back,
    const int8_t *shift_back, int32_t batch, int32_t steps, int32_t depth, int32_t units,
    int32_t x_step, int32_t x_row, int32_t y_step, int32_t y_row, int32_t q, int32_t shift,
    int32_t power, int32_t clip, int32_t multiplier, int32_t right)
{
    for (int32_t step = 0; step < steps; step++) {
        for (int32_t row = 0; row < batch; row++) {
            const int16_t *in = x + step * x_step + row * x_row;
            int16_t *out = y + step * y_step + row * y_row;
            int16_t *state = h + row * units;
            for (int32_t k = 0; k < units; k++) {
                int32_t gates[4];
                for (int32_t gate = 0; gate < 4; gate++) {
                    const int32_t r = gate * units + k;
                    int64_t first = bias[r];
                    for (int32_t i = 0; i < depth; i++) {
                        first += (int32_t)in[i] * w[r * depth + i];
                    }
                    int64_t second = 0;
                    for (int32_t i = 0; i < units; i++) {
                        second += (int32_t)state[i] * u[r * units + i];
                    }
                    gates[gate] = in_16_bits(
                        in_16_bits(requantize_wide(first, q_in[gate], shift_in[gate]))
                        + in_16_bits(requantize_wide(second, q_back[gate], shift_back[gate])));
                }
                const int32_t shown = lstm_unit(
                    gates, c + row * units + k, q, shift, power, clip, 0, multiplier, right);
                out[k] = (int16_t)in_16_bits(shown);
            }
            for (int32_t k = 0; k < units; k++) {
                state[k] = out[k];
            }
        }
    }
}
