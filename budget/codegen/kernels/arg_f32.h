/* Where the largest (or smallest) of x[0], x[step] … is; the first of equals. */
static inline int32_t arg_f32(const float *x, int32_t extent, int32_t step, int32_t is_max)
{
    int32_t found = 0;
    for (int32_t i = 1; i < extent; i++) {
        const float value = x[i * step];
        const float best = x[found * step];
        if (is_max ? value > best : value < best) {
            found = i;
        }
    }
    return found;
}
