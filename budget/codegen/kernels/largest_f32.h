#include "real.h"
static inline float largest_f32(const float *x, int32_t count)
{
    float largest = x[0];
    for (int32_t i = 1; i < count; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}
