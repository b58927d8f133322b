#include "real.h"
/* The logistic function, cut off where TensorFlow Lite cuts it off. */
static inline float logistic_f32(float x)
{
    if (x > 16.6190471649169922f) {
        return 1.0f;
    }
    return x < -9.0f ? expf(x) : 1.0f / (1.0f + expf(-x));
}
