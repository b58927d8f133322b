#include <math.h>
/* Helpers for models that compute in float. */

static inline float clamp_f32(float x, float low, float high)
{
    return x < low ? low : (x > high ? high : x);
}

/* The same for a conversion to an integer: what is not a number becomes `low`. */
static inline float to_range_f32(float x, float low, float high)
{
    return x > low ? (x < high ? x : high) : low;
}

static inline float largest_f32(const float *x, int32_t count)
{
    float largest = x[0];
    for (int32_t i = 1; i < count; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

/* The logistic function, cut off where TensorFlow Lite cuts it off. */
static inline float logistic_f32(float x)
{
    if (x > 16.6190471649169922f) {
        return 1.0f;
    }
    return x < -9.0f ? expf(x) : 1.0f / (1.0f + expf(-x));
}

/* x times the normal distribution, by erfc, which keeps its digits far below zero. */
static inline float gelu_f32(float x)
{
    return 0.5f * x * erfcf(x * -0.707106781f);
}

/* The same by tanh. */
static inline float gelu_by_tanh_f32(float x)
{
    return 0.5f * x * (1.0f + tanhf(0.797884561f * (x + 0.044715f * x * x * x)));
}
