/* Where the largest (or smallest) of x[0], x[step] … is; the first of equals. */
static inline int32_t arg_s8(const int8_t *x, int32_t extent, int32_t step, int32_t is_max)
{
    int32_t found = 0;
    for (int32_t i = 1; i < extent; i++) {
        const int8_t value = x[i * step];
        const int8_t best = x[found * step];
        if (is_max ? value > best : value < best) {
            found = i;
        }
    }
    return found;
}
