/* Sum of the elements x[i * step_i + j * step_j]. */
static inline float sum_f32(
    const float *x, int32_t extent_i, int32_t step_i, int32_t extent_j, int32_t step_j)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < extent_i; i++) {
        for (int32_t j = 0; j < extent_j; j++) {
            sum += x[i * step_i + j * step_j];
        }
    }
    return sum;
}

/* The largest of the same elements, or the smallest. */
static inline float extreme_f32(
    const float *x, int32_t extent_i, int32_t step_i, int32_t extent_j, int32_t step_j,
    int32_t is_max)
{
    float found = x[0];
    for (int32_t i = 0; i < extent_i; i++) {
        for (int32_t j = 0; j < extent_j; j++) {
            const float value = x[i * step_i + j * step_j];
            if (is_max ? value > found : value < found) {
                found = value;
            }
        }
    }
    return found;
}
