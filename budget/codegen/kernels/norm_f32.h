#include "real.h"
/* Each row less its mean, divided by its standard deviation. */
static inline void layer_norm_f32(
    const float *x, float *y, int32_t rows, int32_t depth, float epsilon)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += depth) {
        float mean = 0.0f;
        for (int32_t c = 0; c < depth; c++) {
            mean += x[c];
        }
        mean /= (float)depth;
        float variance = 0.0f;
        for (int32_t c = 0; c < depth; c++) {
            variance += (x[c] - mean) * (x[c] - mean);
        }
        const float deviation = sqrtf(variance / (float)depth + epsilon);
        for (int32_t c = 0; c < depth; c++) {
            y[c] = (x[c] - mean) / deviation;
        }
    }
}

/* Each row divided by its length, or by epsilon if that is larger. */
static inline void l2_norm_f32(
    const float *x, float *y, int32_t rows, int32_t depth, float epsilon)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += depth) {
        float sum = 0.0f;
        for (int32_t c = 0; c < depth; c++) {
            sum += x[c] * x[c];
        }
        const float length = sqrtf(sum);
        for (int32_t c = 0; c < depth; c++) {
            y[c] = x[c] / (length > epsilon ? length : epsilon);
        }
    }
}
