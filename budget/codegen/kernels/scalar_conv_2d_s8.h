#include "scalar_requantize.h"
/* Columns hold what four pixels see, tap after tap in two words: a + 65536 b of two pixels. One
 * multiplication by a weight then serves two pixels. */

/* Writes, or adds in the upper halves, a run of one pixel's numbers. */
static inline uint32_t *scalar_widen_s8(
    uint32_t *column, const int8_t *from, int32_t step, int32_t count, int32_t is_upper)
{
    if (is_upper) {
        for (; count > 0; count--, from += step, column += 2) {
            *column += (uint32_t)*from << 16;
        }
    } else {
        for (; count > 0; count--, from += step, column += 2) {
            *column = (uint32_t)*from;
        }
    }
    return column;
}

/* What the pixel whose window begins at line h, place v sees; the zero point outside the image. */
static inline void scalar_column_s8(
    const int8_t *x, uint32_t *column, int32_t is_upper, int32_t in_h, int32_t in_w, int32_t in_c,
    int32_t k_h, int32_t k_w, int32_t h, int32_t v, int32_t zero_in)
{
    const int8_t zero = (int8_t)zero_in;
    const int32_t left = v < 0 ? (-v < k_w ? -v : k_w) : 0;
    const int32_t right = in_w - v < k_w ? (in_w > v ? in_w - v : 0) : k_w;
    for (int32_t i = 0; i < k_h; i++, h++) {
        if (h < 0 || h >= in_h || left >= right) {
            column = scalar_widen_s8(column, &zero, 0, k_w * in_c, is_upper);
            continue;
        }
        column = scalar_widen_s8(column, &zero, 0, left * in_c, is_upper);
        column = scalar_widen_s8(
            column, x + (h * in_w + v + left) * in_c, 1, (right - left) * in_c, is_upper);
        column = scalar_widen_s8(column, &zero, 0, (k_w - right) * in_c, is_upper);
    }
}

/* The sums of four pixels over one filter. Two products with weights of -127 to 127 stay within 16
 * bits, and so do both sums of a word after two taps: the upper one is then what is left of it,
 * rounded to a multiple of 65536; the lower one is what remains of the sum of all words. */
static inline void scalar_four_sums_s8(
    const uint32_t *column, const int8_t *filter, int32_t taps, int32_t *sums)
{
    const uint32_t half = 0x8000u;
    uint32_t whole_0 = 0;
    uint32_t whole_1 = 0;
    int32_t upper_0 = 0;
    int32_t upper_1 = 0;
    for (int32_t k = taps / 2; k > 0; k--, column += 4, filter += 2) {
        const uint32_t first = (uint32_t)filter[0];
        const uint32_t second = (uint32_t)filter[1];
        const uint32_t word_0 = column[0] * first + half + column[2] * second;
        const uint32_t word_1 = column[1] * first + half + column[3] * second;
        whole_0 += word_0;
        whole_1 += word_1;
        upper_0 += (int32_t)word_0 >> 16;
        upper_1 += (int32_t)word_1 >> 16;
    }
    if (taps % 2 != 0) {
        const uint32_t last = (uint32_t)*filter;
        const uint32_t word_0 = column[0] * last + half;
        const uint32_t word_1 = column[1] * last + half;
        whole_0 += word_0;
        whole_1 += word_1;
        upper_0 += (int32_t)word_0 >> 16;
        upper_1 += (int32_t)word_1 >> 16;
    }
    const uint32_t halves = half * (uint32_t)((taps + 1) / 2);
    sums[0] = (int32_t)(whole_0 - ((uint32_t)upper_0 << 16) - halves);
    sums[1] = upper_0;
    sums[2] = (int32_t)(whole_1 - ((uint32_t)upper_1 << 16) - halves);
    sums[3] = upper_1;
}

/* Convolution, int8: x [batch][in_h][in_w][in_c], w [out_c][k_h][k_w][in_c], y [batch][out_h]
 * [out_w][out_c]. The input's zero point is in the bias. */
static inline void scalar_conv_2d_s8(
    const int8_t *x, int8_t *y, const int8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *places, uint32_t *columns, int32_t batch, int32_t in_h, int32_t in_w,
    int32_t in_c, int32_t out_h, int32_t out_w, int32_t out_c, int32_t k_h, int32_t k_w,
    int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t zero_in,
    int32_t zero_out, int32_t low, int32_t high)
{
    const int32_t taps = k_h * k_w * in_c;
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
                int32_t sums[4];
                scalar_four_sums_s8(columns, filter, taps, sums);
                for (int32_t i = 0; i < pixels; i++) {
                    const int32_t scaled = scalar_requantize_twice(
                        sums[i] + bias[out], multiplier[out], places[out]);
                    y[i * out_c + out] = (int8_t)clamp_i32(scaled + zero_out, low, high);
                }
            }
            y += pixels * out_c;
        }
    }
}
