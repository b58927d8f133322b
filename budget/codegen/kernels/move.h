#include <string.h>
/* Copies a box of `runs` [e0][e1][e2][e3], each of so many bytes that lie together in both tensors;
 * steps are bytes from one index to the next, negative where it runs backwards. */
static inline void move(
    const void *x, void *y, int32_t run_bytes, int32_t e0, int32_t e1, int32_t e2, int32_t e3,
    int32_t x0, int32_t x1, int32_t x2, int32_t x3, int32_t y0, int32_t y1, int32_t y2, int32_t y3)
{
    for (int32_t a = 0; a < e0; a++) {
        for (int32_t b = 0; b < e1; b++) {
            for (int32_t c = 0; c < e2; c++) {
                const int8_t *from = (const int8_t *)x + a * x0 + b * x1 + c * x2;
                int8_t *to = (int8_t *)y + a * y0 + b * y1 + c * y2;
                for (int32_t d = 0; d < e3; d++, from += x3, to += y3) {
                    memcpy(to, from, (size_t)run_bytes);
                }
            }
        }
    }
}
