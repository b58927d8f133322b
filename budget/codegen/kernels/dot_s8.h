#include "armv7em_bytes.h"
/* A sum and the products of (x - zero) and w, of `rows` runs of `count` numbers that lie `x_step`
 * and `w_step` apart; four at a time where the core has instructions for it. */
static inline int32_t dot_s8(
    const int8_t *x, const int8_t *w, int32_t rows, int32_t count, int32_t x_step, int32_t w_step,
    int32_t zero, int32_t sum)
{
    for (;;) {
        const int8_t *const end = x + count;
#if ARMV7EM_ASSEMBLY && defined(__ARM_FEATURE_UNALIGNED)
        const uint32_t minus_zero = ((uint32_t)-zero & 0xffffu) * 0x10001u;
        for (; end - x >= 4; x += 4, w += 4) {
            const uint32_t left = armv7em_four_bytes(x);
            const uint32_t right = armv7em_four_bytes(w);
            __asm__("smlad %0, %1, %2, %0"
                    : "+r"(sum)
                    : "r"(armv7em_add_even(minus_zero, left)), "r"(armv7em_even(right)));
            __asm__("smlad %0, %1, %2, %0"
                    : "+r"(sum)
                    : "r"(armv7em_add_odd(minus_zero, left)), "r"(armv7em_odd(right)));
        }
#endif
        while (x < end) {
            sum += (*x++ - zero) * *w++;
        }
        if (--rows <= 0) {
            return sum;
        }
        x += x_step - count;
        w += w_step - count;
    }
}
