#include "largest_f32.h"
/* x - ln(sum of exp(x)) of each row. */
static inline void log_softmax_f32(const float *x, float *y, int32_t rows, int32_t depth)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += depth) {
        const float largest = largest_f32(x, depth);
        float sum = 0.0f;
        for (int32_t c = 0; c < depth; c++) {
            sum += expf(x[c] - largest);
        }
        const float log_sum = logf(sum);
        for (int32_t c = 0; c < depth; c++) {
            y[c] = x[c] - largest - log_sum;
        }
    }
}
