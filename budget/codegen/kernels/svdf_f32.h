#include "real.h"
/* Features of x [batch][depth] enter the last place of memory [batch][filters][steps], which is
 * summed by weights in time and moved on by one step; y [batch][filters / rank]. */
static inline void svdf_f32(
    const float *x, float *y, float *memory, const float *features, const float *times,
    const float *bias, int32_t batch, int32_t depth, int32_t filters, int32_t steps, int32_t rank,
    float low, float high)
{
    for (int32_t row = 0; row < batch; row++, x += depth) {
        for (int32_t unit = 0; unit < filters / rank; unit++) {
            float sum = 0.0f;
            for (int32_t part = 0; part < rank; part++, memory += steps) {
                const int32_t filter = unit * rank + part;
                float feature = 0.0f;
                for (int32_t i = 0; i < depth; i++) {
                    feature += x[i] * features[filter * depth + i];
                }
                memory[steps - 1] = feature;
                for (int32_t i = 0; i < steps; i++) {
                    sum += memory[i] * times[filter * steps + i];
                    memory[i] = i + 1 < steps ? memory[i + 1] : 0.0f;
                }
            }
            *y++ = clamp_f32(sum + bias[unit], low, high);
        }
    }
}
