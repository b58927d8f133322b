#include "real.h"
/* What float layers with a state share. */

/* 0: the number itself, 1: relu, 2: logistic function, 3: tanh. */
static inline float recurrent_function_f32(float x, int32_t kind)
{
    if (kind == 3) {
        return tanhf(x);
    }
    if (kind == 2) {
        return 1.0f / (1.0f + expf(-x));
    }
    return kind == 1 && x < 0.0f ? 0.0f : x;
}

static inline float row_sum_f32(const float *x, const float *row, float sum, int32_t depth)
{
    for (int32_t i = 0; i < depth; i++) {
        sum += x[i] * row[i];
    }
    return sum;
}
