#include "recurrent_f32.h"
/* Gated recurrent unit: x by (step, row), w [3 * units][depth] and u [3 * units][units] with the
 * rows of update, reset and candidate, h [batch][units]; bias belongs to w, recurrent to u.
 * Where the reset gate acts before the product, room has 2 * units numbers. */
static inline void gru_f32(
    const float *x, float *y, float *h, const float *w, const float *u, const float *bias,
    const float *recurrent, float *room, int32_t batch, int32_t steps, int32_t depth,
    int32_t units, int32_t x_step, int32_t x_row, int32_t y_step, int32_t y_row, int32_t function,
    int32_t gate, int32_t reset_after)
{
    for (int32_t step = 0; step < steps; step++) {
        for (int32_t row = 0; row < batch; row++) {
            const float *in = x + step * x_step + row * x_row;
            float *out = y + step * y_step + row * y_row;
            float *state = h + row * units;
            for (int32_t k = 0; k < units && !reset_after; k++) {
                const int32_t r = units + k;
                const float sum = row_sum_f32(in, w + r * depth, bias[r] + recurrent[r], depth);
                const float all = row_sum_f32(state, u + r * units, sum, units);
                room[k] = recurrent_function_f32(all, gate) * state[k];
            }
            for (int32_t k = 0; k < units; k++) {
                const int32_t r = units + k;
                const int32_t own = 2 * units + k;
                float sum = row_sum_f32(in, w + k * depth, bias[k] + recurrent[k], depth);
                const float update
                    = recurrent_function_f32(row_sum_f32(state, u + k * units, sum, units), gate);
                float mine = row_sum_f32(in, w + own * depth, bias[own], depth);
                if (reset_after) {
                    sum = row_sum_f32(in, w + r * depth, bias[r] + recurrent[r], depth);
                    const float reset = recurrent_function_f32(
                        row_sum_f32(state, u + r * units, sum, units), gate);
                    mine += reset * row_sum_f32(state, u + own * units, recurrent[own], units);
                } else {
                    mine += row_sum_f32(room, u + own * units, recurrent[own], units);
                }
                out[k] = update * state[k]
                    + (1.0f - update) * recurrent_function_f32(mine, function);
            }
            for (int32_t k = 0; k < units; k++) {
                state[k] = out[k];
            }
        }
    }
}
