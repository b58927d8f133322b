#include "recurrent_f32.h"
/* h = f(W x + U h + b): x by (step, row), w [units][depth], u [units][units], h [batch][units].
 * The new state goes to y first, because all of the old one is needed for each of its elements. */
static inline void simple_rnn_f32(
    const float *x, float *y, float *h, const float *w, const float *u, const float *bias,
    int32_t batch, int32_t steps, int32_t depth, int32_t units, int32_t x_step, int32_t x_row,
    int32_t y_step, int32_t y_row, int32_t function)
{
    for (int32_t step = 0; step < steps; step++) {
        for (int32_t row = 0; row < batch; row++) {
            const float *in = x + step * x_step + row * x_row;
            float *out = y + step * y_step + row * y_row;
            float *state = h + row * units;
            for (int32_t k = 0; k < units; k++) {
                const float sum = row_sum_f32(in, w + k * depth, bias[k], depth);
                const float all = row_sum_f32(state, u + k * units, sum, units);
                out[k] = recurrent_function_f32(all, function);
            }
            for (int32_t k = 0; k < units; k++) {
                state[k] = out[k];
            }
        }
    }
}
