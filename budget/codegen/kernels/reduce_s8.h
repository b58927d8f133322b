#include "fixed_point.h"
/* Sum of the elements x[i * step_i + j * step_j]. */
static inline int32_t sum_s8(
    const int8_t *x, int32_t extent_i, int32_t step_i, int32_t extent_j, int32_t step_j)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < extent_i; i++) {
        for (int32_t j = 0; j < extent_j; j++) {
            sum += x[i * step_i + j * step_j];
        }
    }
    return sum;
}

/* The largest of the same elements, or the smallest. */
static inline int8_t extreme_s8(
    const int8_t *x, int32_t extent_i, int32_t step_i, int32_t extent_j, int32_t step_j,
    int32_t is_max)
{
    int8_t found = x[0];
    for (int32_t i = 0; i < extent_i; i++) {
        for (int32_t j = 0; j < extent_j; j++) {
            const int8_t value = x[i * step_i + j * step_j];
            if (is_max ? value > found : value < found) {
                found = value;
            }
        }
    }
    return found;
}
