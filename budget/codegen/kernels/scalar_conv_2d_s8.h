#include "scalar.h"
#include "scalar_requantize.h"
/* Columns hold what four pixels see, tap after tap in two words: a + 65536 b of two pixels. One
 * multiplication by a weight then serves two pixels. */

/* Writes, or adds in the upper halves, a run of one pixel's numbers. */
static SCALAR_CALLED uint32_t *scalar_widen_s8(
    uint32_t *column, const int8_t *from, int32_t count, int32_t is_upper)
{
    if (is_upper) {
        for (; count >= 4; count -= 4, from += 4, column += 8) {
            column[0] += (uint32_t)from[0] << 16;
            column[2] += (uint32_t)from[1] << 16;
            column[4] += (uint32_t)from[2] << 16;
            column[6] += (uint32_t)from[3] << 16;
        }
        for (; count > 0; count--, from++, column += 2) {
            *column += (uint32_t)*from << 16;
        }
        return column;
    }
    for (; count >= 4; count -= 4, from += 4, column += 8) {
        column[0] = (uint32_t)from[0];
        column[2] = (uint32_t)from[1];
        column[4] = (uint32_t)from[2];
        column[6] = (uint32_t)from[3];
    }
    for (; count > 0; count--, from++, column += 2) {
        *column = (uint32_t)*from;
    }
    return column;
}

/* The same of a run outside the image, where every number is the zero point. */
static SCALAR_CALLED uint32_t *scalar_pad_s8(
    uint32_t *column, int32_t zero_in, int32_t count, int32_t is_upper)
{
    for (; count > 0; count--, column += 2) {
        *column = is_upper ? *column + ((uint32_t)zero_in << 16) : (uint32_t)zero_in;
    }
    return column;
}

/* What the pixel whose window begins at line h, place v sees. */
static SCALAR_CALLED void scalar_column_s8(
    const int8_t *x, uint32_t *column, int32_t is_upper, int32_t in_h, int32_t in_w, int32_t in_c,
    int32_t k_h, int32_t k_w, int32_t h, int32_t v, int32_t zero_in)
{
    const int32_t left = v < 0 ? (-v < k_w ? -v : k_w) : 0;
    const int32_t right = in_w - v < k_w ? (in_w > v ? in_w - v : 0) : k_w;
    for (int32_t i = 0; i < k_h; i++, h++) {
        if (h < 0 || h >= in_h || left >= right) {
            column = scalar_pad_s8(column, zero_in, k_w * in_c, is_upper);
            continue;
        }
        column = scalar_pad_s8(column, zero_in, left * in_c, is_upper);
        column = scalar_widen_s8(
            column, x + (h * in_w + v + left) * in_c, (right - left) * in_c, is_upper);
        column = scalar_pad_s8(column, zero_in, (k_w - right) * in_c, is_upper);
    }
}

#if SCALAR_ASSEMBLY == 2
/* r0 column, r1 filter, r2 rounds, r4 and r5 sums of words and of their upper halves, r6 and r7 of
 * the other two pixels: 8 products in 19 cycles of a Cortex-M3. */
#define SCALAR_PAIR \
    "ldrsb r8, [r1, #1]\n" \
    "ldrsb r9, [r1, #2]!\n" \
    "ldr r3, [r0, #4]\n" \
    "ldr r10, [r0, #8]\n" \
    "ldr r11, [r0, #12]\n" \
    "ldr lr, [r0, #16]!\n" \
    "mla r3, r3, r8, r12\n" \
    "mla r10, r10, r8, r12\n" \
    "mla r3, r11, r9, r3\n" \
    "mla r10, lr, r9, r10\n" \
    "add r4, r3\n" \
    "add r5, r5, r3, asr #16\n" \
    "add r6, r10\n" \
    "add r7, r7, r10, asr #16\n"
#elif SCALAR_ASSEMBLY == 1
/* r0 column, r1 filter, r8 and r9 sums of words and of their upper halves, r10 and r11 of the other
 * two pixels: 8 products in 25 cycles of a Cortex-M0+. */
#define SCALAR_PAIR(first, second) \
    "ldrb r2, [r1, #" first "]\n" \
    "ldrb r3, [r1, #" second "]\n" \
    "ldm r0!, {r4-r7}\n" \
    "sxtb r2, r2\n" \
    "sxtb r3, r3\n" \
    "muls r4, r2, r4\n" \
    "muls r5, r2, r5\n" \
    "muls r6, r3, r6\n" \
    "muls r7, r3, r7\n" \
    "adds r4, r4, r6\n" \
    "adds r5, r5, r7\n" \
    "add r4, r12\n" \
    "add r5, r12\n" \
    "add r8, r4\n" \
    "add r10, r5\n" \
    "asrs r4, r4, #16\n" \
    "asrs r5, r5, #16\n" \
    "add r9, r4\n" \
    "add r11, r5\n"
#endif

/* Sums of four pixels over one filter, two taps at a time. Two products with weights of -127 to 127
 * stay within 16 bits, and so do both sums that a word then holds: the upper one is the word over
 * 65536, rounded. Gives for each two pixels the sum of all words, and of all upper sums; each word
 * is 0x8000 too large. */
#if SCALAR_ASSEMBLY == 2
static SCALAR_FUNCTION void scalar_pairs_s8(
    const uint32_t *column SCALAR_UNUSED, const int8_t *filter SCALAR_UNUSED,
    int32_t pairs SCALAR_UNUSED, uint32_t *sums SCALAR_UNUSED)
{
    __asm__ volatile(
        "push {r3-r11, lr}\n"
        "subs r0, #4\n"
        "subs r1, #1\n"
        "movs r4, #0\n"
        "movs r5, #0\n"
        "movs r6, #0\n"
        "movs r7, #0\n"
        "mov r12, #0x8000\n"
        "lsrs r2, r2, #1\n"
        "bcc 2f\n"
        SCALAR_PAIR
        "2:\n"
        "cbz r2, 3f\n"
        "1:\n"
        SCALAR_PAIR
        SCALAR_PAIR
        "subs r2, #1\n"
        "bne 1b\n"
        "3:\n"
        "pop {r3}\n"
        "stm r3, {r4-r7}\n"
        "pop {r4-r11, pc}\n");
}
#elif SCALAR_ASSEMBLY == 1
static SCALAR_FUNCTION void scalar_pairs_s8(
    const uint32_t *column SCALAR_UNUSED, const int8_t *filter SCALAR_UNUSED,
    int32_t pairs SCALAR_UNUSED, uint32_t *sums SCALAR_UNUSED)
{
    __asm__ volatile(
        ".syntax unified\n"
        "push {r3-r7, lr}\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "push {r4-r7}\n"
        "movs r4, #0\n"
        "mov r8, r4\n"
        "mov r9, r4\n"
        "mov r10, r4\n"
        "mov r11, r4\n"
        "movs r4, #0x80\n"
        "lsls r4, r4, #8\n"
        "mov r12, r4\n"
        "lsls r4, r2, #4\n"
        "adds r4, r0, r4\n"
        "mov lr, r4\n"
        "lsrs r2, r2, #1\n"
        "bcc 2f\n"
        SCALAR_PAIR("0", "1")
        "adds r1, #2\n"
        "2:\n"
        "cmp r0, lr\n"
        "beq 3f\n"
        "1:\n"
        SCALAR_PAIR("0", "1")
        SCALAR_PAIR("2", "3")
        "adds r1, #4\n"
        "cmp r0, lr\n"
        "bne 1b\n"
        "3:\n"
        "ldr r0, [sp, #16]\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "stm r0!, {r4-r7}\n"
        "pop {r4-r7}\n"
        "mov r8, r4\n"
        "mov r9, r5\n"
        "mov r10, r6\n"
        "mov r11, r7\n"
        "pop {r3-r7, pc}\n");
}
#else
static inline void scalar_pairs_s8(
    const uint32_t *column, const int8_t *filter, int32_t pairs, uint32_t *sums)
{
    const uint32_t half = 0x8000u;
    uint32_t whole_0 = 0;
    uint32_t whole_1 = 0;
    int32_t upper_0 = 0;
    int32_t upper_1 = 0;
    for (; pairs > 0; pairs--, column += 4, filter += 2) {
        const uint32_t first = (uint32_t)filter[0];
        const uint32_t second = (uint32_t)filter[1];
        const uint32_t word_0 = column[0] * first + half + column[2] * second;
        const uint32_t word_1 = column[1] * first + half + column[3] * second;
        whole_0 += word_0;
        whole_1 += word_1;
        upper_0 += (int32_t)word_0 >> 16;
        upper_1 += (int32_t)word_1 >> 16;
    }
    sums[0] = whole_0;
    sums[1] = (uint32_t)upper_0;
    sums[2] = whole_1;
    sums[3] = (uint32_t)upper_1;
}
#endif

/* Convolution, int8: x [batch][in_h][in_w][in_c], w [out_c][k_h][k_w][in_c], y [batch][out_h]
 * [out_w][out_c]. The input's zero point is in the bias. Where taps are odd, one more byte lies behind
 * the weights, whatever it holds. */
static inline void scalar_conv_2d_s8(
    const int8_t *x, int8_t *y, const int8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *places, uint32_t *columns, int32_t batch, int32_t in_h, int32_t in_w,
    int32_t in_c, int32_t out_h, int32_t out_w, int32_t out_c, int32_t k_h, int32_t k_w,
    int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t zero_in,
    int32_t zero_out, int32_t low, int32_t high)
{
    const int32_t taps = k_h * k_w * in_c;
    const int32_t pairs = (taps + 1) / 2;
    columns[4 * pairs - 2] = 0;
    columns[4 * pairs - 1] = 0;
    for (int32_t n = 0; n < batch; n++, x += in_h * in_w * in_c) {
        int32_t h = -pad_top;
        int32_t v = -pad_left;
        int32_t column = 0;
        for (int32_t left = out_h * out_w; left > 0; left -= 4) {
            const int32_t pixels = left < 4 ? left : 4;
            for (int32_t i = 0; i < pixels; i++) {
                scalar_column_s8(
                    x, columns + i / 2, i % 2, in_h, in_w, in_c, k_h, k_w, h, v, zero_in);
                v += stride_w;
                if (++column == out_w) {
                    column = 0;
                    v = -pad_left;
                    h += stride_h;
                }
            }
            const int8_t *filter = w;
            for (int32_t out = 0; out < out_c; out++, filter += taps) {
                uint32_t sums[4];
                scalar_pairs_s8(columns, filter, pairs, sums);
                sums[0] -= (sums[1] << 16) + 0x8000u * (uint32_t)pairs;
                sums[2] -= (sums[3] << 16) + 0x8000u * (uint32_t)pairs;
                const int32_t offset = bias[out]; /* once: y might be where the tables are */
                const int32_t q = multiplier[out];
                const int32_t shift = places[out];
                for (int32_t i = 0; i < pixels; i++) {
                    const int32_t sum = (int32_t)sums[i] + offset;
                    const int32_t scaled = scalar_requantize_twice(sum, q, shift) + zero_out;
                    y[i * out_c + out] = (int8_t)clamp_i32(scaled, low, high);
                }
            }
            y += pixels * out_c;
        }
    }
}
