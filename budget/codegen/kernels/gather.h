#include <string.h>
/* y [outer][count][run] takes from x [outer][extent][run] the elements that the indices name; an
 * index outside x counts as the nearest one inside. Each run has so many bytes. */
static inline void gather(
    const void *x, const int32_t *indices, void *y, int32_t outer, int32_t extent, int32_t count,
    int32_t run_bytes, int32_t is_batched)
{
    const int8_t *from = (const int8_t *)x;
    int8_t *to = (int8_t *)y;
    for (int32_t n = 0; n < outer; n++, from += extent * run_bytes) {
        for (int32_t i = 0; i < count; i++, to += run_bytes) {
            int32_t index = indices[i];
            index = index < 0 ? 0 : (index < extent ? index : extent - 1);
            memcpy(to, from + index * run_bytes, (size_t)run_bytes);
        }
        indices += is_batched ? count : 0;
    }
}
