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
