#include "recurrent_f32.h"
/* Long short-term memory: x by (step, row), w [4 * units][depth] and u [4 * units][units] with the
 * rows of input, forget, cell and output gate, h and c [batch][units]. */
static inline void lstm_f32(
    const float *x, float *y, float *h, float *c, const float *w, const float *u,
    const float *bias, int32_t batch, int32_t steps, int32_t depth, int32_t units, int32_t x_step,
    int32_t x_row, int32_t y_step, int32_t y_row, int32_t function, int32_t gate, float clip)
{
    for (int32_t step = 0; step < steps; step++) {
        for (int32_t row = 0; row < batch; row++) {
            const float *in = x + step * x_step + row * x_row;
            float *out = y + step * y_step + row * y_row;
            float *state = h + row * units;
            float *cell = c + row * units;
            for (int32_t k = 0; k < units; k++) {
                float gates[4];
                for (int32_t part = 0; part < 4; part++) {
                    const int32_t r = part * units + k;
                    const float sum = row_sum_f32(in, w + r * depth, bias[r], depth);
                    const float all = row_sum_f32(state, u + r * units, sum, units);
                    gates[part] = recurrent_function_f32(all, part == 2 ? function : gate);
                }
                cell[k] = gates[1] * cell[k] + gates[0] * gates[2];
                if (clip > 0.0f) {
                    cell[k] = clamp_f32(cell[k], -clip, clip);
                }
                out[k] = gates[3] * recurrent_function_f32(cell[k], function);
            }
            for (int32_t k = 0; k < units; k++) {
                state[k] = out[k];
            }
        }
    }
}
