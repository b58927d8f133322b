#include "real.h"
/* Fully connected layer, float: x [rows][depth], w [out_c][depth], y [rows][out_c]. */
static inline void fully_connected_f32(
    const float *x, float *y, const float *w, const float *bias, int32_t rows, int32_t depth,
    int32_t out_c, float low, float high)
{
    for (int32_t row = 0; row < rows; row++, x += depth) {
        const float *filter = w;
        for (int32_t out = 0; out < out_c; out++, filter += depth) {
            float sum = 0.0f;
            for (int32_t c = 0; c < depth; c++) {
                sum += x[c] * filter[c];
            }
            *y++ = clamp_f32(sum + bias[out], low, high);
        }
    }
}
