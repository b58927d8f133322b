#include "scalar.h"
#include "scalar_requantize.h"
#if SCALAR_ASSEMBLY == 2
/* r0 x, r1 weights, r4 to r7 sums: 4 products in 14 cycles of a Cortex-M3. */
#define SCALAR_TAP \
    "ldrsb r8, [r0, #1]!\n" \
    "ldrb r9, [r1, #1]\n" \
    "ldrb r10, [r1, #2]\n" \
    "ldrb r11, [r1, #3]\n" \
    "ldrb r12, [r1, #4]!\n" \
    "mla r4, r8, r9, r4\n" \
    "mla r5, r8, r10, r5\n" \
    "mla r6, r8, r11, r6\n" \
    "mla r7, r8, r12, r7\n"
#elif SCALAR_ASSEMBLY == 1
/* r0 x, r1 weights, r4 to r7 sums: 4 products in 19 cycles of a Cortex-M0+. */
#define SCALAR_TAP(x, a, b, c, d) \
    "ldrb r2, [r0, #" x "]\n" \
    "sxtb r2, r2\n" \
    "ldrb r3, [r1, #" a "]\n" \
    "muls r3, r2, r3\n" \
    "adds r4, r4, r3\n" \
    "ldrb r3, [r1, #" b "]\n" \
    "muls r3, r2, r3\n" \
    "adds r5, r5, r3\n" \
    "ldrb r3, [r1, #" c "]\n" \
    "muls r3, r2, r3\n" \
    "adds r6, r6, r3\n" \
    "ldrb r3, [r1, #" d "]\n" \
    "muls r3, r2, r3\n" \
    "adds r7, r7, r3\n"
#endif

/* Sums of one row over four channels. */
#if SCALAR_ASSEMBLY == 2
static SCALAR_FUNCTION void scalar_fours_s8(
    const int8_t *x SCALAR_UNUSED, const uint8_t *w SCALAR_UNUSED, int32_t depth SCALAR_UNUSED,
    int32_t *sums SCALAR_UNUSED)
{
    __asm__ volatile(
        "push {r4-r11}\n"
        "subs r0, #1\n"
        "subs r1, #1\n"
        "movs r4, #0\n"
        "movs r5, #0\n"
        "movs r6, #0\n"
        "movs r7, #0\n"
        "1:\n"
        "tst r2, #3\n"
        "beq 2f\n"
        SCALAR_TAP
        "subs r2, #1\n"
        "b 1b\n"
        "2:\n"
        "cmp r2, #0\n"
        "beq 3f\n"
        "4:\n"
        SCALAR_TAP
        SCALAR_TAP
        SCALAR_TAP
        SCALAR_TAP
        "subs r2, #4\n"
        "bne 4b\n"
        "3:\n"
        "stm r3, {r4-r7}\n"
        "pop {r4-r11}\n"
        "bx lr\n");
}
#elif SCALAR_ASSEMBLY == 1
static SCALAR_FUNCTION void scalar_fours_s8(
    const int8_t *x SCALAR_UNUSED, const uint8_t *w SCALAR_UNUSED, int32_t depth SCALAR_UNUSED,
    int32_t *sums SCALAR_UNUSED)
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r3-r7, lr}\n"
        "movs r4, #3\n"
        "ands r4, r2\n"
        "adds r4, r0, r4\n"
        "mov r12, r4\n"
        "adds r4, r0, r2\n"
        "mov lr, r4\n"
        "movs r4, #0\n"
        "movs r5, #0\n"
        "movs r6, #0\n"
        "movs r7, #0\n"
        "b 2f\n"
        "1:\n"
        SCALAR_TAP("0", "0", "1", "2", "3")
        "adds r0, #1\n"
        "adds r1, #4\n"
        "2:\n"
        "cmp r0, r12\n"
        "bne 1b\n"
        "b 4f\n"
        "3:\n"
        SCALAR_TAP("0", "0", "1", "2", "3")
        SCALAR_TAP("1", "4", "5", "6", "7")
        SCALAR_TAP("2", "8", "9", "10", "11")
        SCALAR_TAP("3", "12", "13", "14", "15")
        "adds r0, #4\n"
        "adds r1, #16\n"
        "4:\n"
        "cmp r0, lr\n"
        "bne 3b\n"
        "pop {r3}\n"
        "stm r3!, {r4-r7}\n"
        "pop {r4-r7, pc}\n");
}
#else
static inline void scalar_fours_s8(
    const int8_t *x, const uint8_t *w, int32_t depth, int32_t *sums)
{
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
    for (const int8_t *const end = x + depth; x < end; x++, w += 4) {
        const int32_t value = *x;
        a += value * w[0];
        b += value * w[1];
        c += value * w[2];
        d += value * w[3];
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}
#endif

/* Fully connected layer, int8: x [rows][depth], y [rows][out_c]; four channels at a time. w holds
 * weights + 128 of four channels tap by tap, [out_c / 4][depth][4], then those of channels that are
 * left, [depth] each: as bytes without sign they load fastest, and 128 times the sum of x is taken
 * off again. The input's zero point is in the bias. `once` chooses between one rounding and two. */
static inline void scalar_fully_connected_s8(
    const int8_t *x, int8_t *y, const uint8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *places, int32_t per_channel, int32_t rows, int32_t depth, int32_t out_c,
    int32_t zero_out, int32_t low, int32_t high, int32_t once)
{
    for (int32_t row = 0; row < rows; row++, x += depth) {
        int32_t excess = 0;
        for (int32_t i = 0; i < depth; i++) {
            excess += x[i];
        }
        excess *= 128;
        const uint8_t *taps = w;
        for (int32_t out = 0; out < out_c;) {
            const int32_t channels = out_c - out < 4 ? 1 : 4;
            int32_t sums[4];
            if (channels == 4) {
                scalar_fours_s8(x, taps, depth, sums);
            } else {
                sums[0] = 0;
                for (int32_t i = 0; i < depth; i++) {
                    sums[0] += x[i] * taps[i];
                }
            }
            taps += channels * depth;
            for (int32_t i = 0; i < channels; i++, out++) {
                const int32_t scale = per_channel ? out : 0;
                const int32_t sum = sums[i] - excess + bias[out];
                const int32_t scaled =
                    once ? scalar_requantize_once(sum, multiplier[scale], places[scale])
                         : scalar_requantize_twice(sum, multiplier[scale], places[scale]);
                *y++ = (int8_t)clamp_i32(scaled + zero_out, low, high);
            }
        }
    }
}
