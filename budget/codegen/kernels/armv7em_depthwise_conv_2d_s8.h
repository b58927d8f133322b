#include "armv7em_bytes.h"
#include "armv7em_requantize.h"
/* Depthwise convolution by planes: four channels at a time are taken apart into four images of
 * 16-bit numbers, in which neighbours along a row are the two halves of a word. */

/* Rows of an image, four channels of them, to their places in the planes: planes, x, rows. */
typedef void armv7em_take_apart(uint32_t *planes, const int8_t *x, int32_t rows);

/* Outputs of four channels: planes, stream, y, number of rows or of pairs of rows. */
typedef void armv7em_plane_rows(
    const int16_t *planes, const int32_t *stream, int8_t *y, int32_t count);

static inline void armv7em_fill_words(uint32_t *to, int32_t count, uint32_t value)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = value;
    }
}

/* Depthwise convolution, int8: x [in_h][in_w][channels], y [out_h][out_w][channels]. The planes
 * hold the rows that `block` rows of outputs see, `words` long. `together` rows of outputs are
 * computed at once: 1, or 2, where an odd one at the end of a block is computed with the one
 * before it again. */
static inline void armv7em_depthwise_conv_2d_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, uint32_t *planes,
    armv7em_take_apart *take_apart, armv7em_plane_rows *rows, int32_t in_h, int32_t in_w,
    int32_t channels, int32_t out_h, int32_t out_w, int32_t k_h, int32_t stride_h,
    int32_t pad_top, int32_t zero_in, int32_t words, int32_t block, int32_t together,
    int32_t stream_words)
{
    const uint32_t zero = ((uint32_t)zero_in & 0xffffu) | (uint32_t)zero_in << 16;
    const int32_t plane = ((block - 1) * stride_h + k_h) * words;
    armv7em_fill_words(planes, 4 * plane, zero); /* padding beside the image stays */
    for (int32_t four = 0; four < channels; four += 4, stream += stream_words) {
        const int32_t first = four < channels - 4 ? four : channels - 4;
        for (int32_t top = 0; top < out_h; top += block) {
            const int32_t left = out_h - top;
            const int32_t count = left < block ? left : block;
            const int32_t seen = (count - 1) * stride_h + k_h;
            const int32_t above = top * stride_h - pad_top;
            const int32_t begin = above < 0 ? (-above < seen ? -above : seen) : 0;
            const int32_t end = above + seen > in_h ? in_h - above : seen;
            for (int32_t i = 0; i < 4; i++) { /* padding above and below */
                armv7em_fill_words(planes + i * plane, begin * words, zero);
                armv7em_fill_words(planes + i * plane + end * words, (seen - end) * words, zero);
            }
            if (begin < end) {
                take_apart(
                    planes + begin * words, x + (above + begin) * in_w * channels + first,
                    end - begin);
            }
            int8_t *to = y + top * out_w * channels + first;
            const int16_t *from = (const int16_t *)(const void *)planes;
            rows(from, stream, to, count / together);
            if (count % together != 0) {
                rows(
                    from + 2 * (count - 2) * words, stream, to + (count - 2) * out_w * channels,
                    1);
            }
        }
    }
}

#if !ARMV7EM_ASSEMBLY
/* Four channels of rows of an image into planes, each row behind pad_left places; odd places left
 * over become padding. */
static inline void armv7em_take_apart_s8(
    uint32_t *planes, const int8_t *x, int32_t rows, int32_t pixels, int32_t channels,
    int32_t pad_left, int32_t words, int32_t plane)
{
    int16_t *to = (int16_t *)(void *)planes;
    for (int32_t i = 0; i < rows * pixels; i++) {
        for (int32_t c = 0; c < 4; c++) {
            to[2 * (c * plane + i / pixels * words) + pad_left + i % pixels] = x[i * channels + c];
        }
    }
}

/* The stream holds for each channel the taps, row by row: pairs from the first tap on, then, if
 * `odd_pairs`, pairs from the second tap on, a missing last one being 0; then the bias, twice the
 * multiplier and the power. If odd_pairs is 2 there are but w0 w1 and w1 w2. */
static inline void armv7em_plane_rows_s8(
    const int16_t *planes, const int32_t *stream, int8_t *y, int32_t rows, int32_t out_w,
    int32_t channels, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w, int32_t row,
    int32_t plane, int32_t odd_pairs, int32_t zero_out, int32_t low, int32_t high)
{
    const int32_t all_words = (k_w + 1) / 2 + (odd_pairs != 0 ? k_w / 2 : 0);
    const int32_t row_words = odd_pairs == 2 ? 2 : all_words;
    for (int32_t c = 0; c < 4; c++, planes += plane, y++) {
        const int32_t *scale = stream + k_h * row_words;
        for (int32_t i = 0; i < rows * out_w; i++) {
            const int16_t *from = planes + i / out_w * stride_h * row + i % out_w * stride_w;
            int32_t sum = scale[0];
            for (int32_t h = 0; h < k_h; h++) {
                for (int32_t w = 0; w < k_w; w++) {
                    const int32_t pair = stream[h * row_words + w / 2];
                    const int32_t is_high = w % 2 != 0 || (odd_pairs == 2 && w == 2);
                    const int32_t tap = is_high ? pair >> 16 : (int16_t)(pair & 0xffff);
                    sum += from[h * row + w] * tap;
                }
            }
            y[i * channels] = (int8_t)armv7em_requantize(
                sum, scale[1], scale[2], 0, zero_out, low, high);
        }
        stream = scale + 3;
    }
}
#endif
