#include "largest_f32.h"
/* Softmax of each row. */
static inline void softmax_f32(
    const float *x, float *y, int32_t rows, int32_t depth, float beta)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += depth) {
        const float largest = largest_f32(x, depth);
        float sum = 0.0f;
        for (int32_t c = 0; c < depth; c++) {
            sum += expf((x[c] - largest) * beta);
        }
        for (int32_t c = 0; c < depth; c++) {
            y[c] = expf((x[c] - largest) * beta) / sum;
        }
    }
}
