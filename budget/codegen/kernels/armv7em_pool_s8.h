#include "armv7em_bytes.h"
#include "fixed_point.h"
/* Average over the part of each window that lies in the image, four channels at a time, of which
 * the last may overlap; sums of less than 256 taps fit 16 bits. Ties away from zero. */
static inline void armv7em_average_pool_2d_s8(
    const int8_t *x, int8_t *y, int32_t batch, int32_t in_h, int32_t in_w, int32_t channels,
    int32_t out_h, int32_t out_w, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w,
    int32_t pad_top, int32_t pad_left, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < batch * out_h * out_w; i++, y += channels) {
        const int32_t above = i / out_w % out_h * stride_h - pad_top;
        const int32_t before = i % out_w * stride_w - pad_left;
        const int32_t top = above > 0 ? above : 0;
        const int32_t left = before > 0 ? before : 0;
        const int32_t bottom = above + k_h < in_h ? above + k_h : in_h;
        const int32_t right = before + k_w < in_w ? before + k_w : in_w;
        const int32_t count = (bottom - top) * (right - left);
        const int32_t row_bytes = in_w * channels;
        const int8_t *image =
            x + (i / (out_h * out_w) * in_h + top) * row_bytes + left * channels;
        for (int32_t four = 0; four < channels; four += 4) {
            const int32_t first = four < channels - 4 ? four : channels - 4;
            const int8_t *row = image + first;
            uint32_t even = 0;
            uint32_t odd = 0;
            for (int32_t h = top; h < bottom; h++, row += row_bytes) {
                const int8_t *pixel = row;
                int32_t todo = right - left;
                for (; todo > 1; todo -= 2, pixel += 2 * channels) {
                    const uint32_t word = armv7em_four_bytes(pixel);
                    const uint32_t next = armv7em_four_bytes(pixel + channels);
                    even = armv7em_add_even(armv7em_add_even(even, word), next);
                    odd = armv7em_add_odd(armv7em_add_odd(odd, word), next);
                }
                if (todo > 0) {
                    const uint32_t word = armv7em_four_bytes(pixel);
                    even = armv7em_add_even(even, word);
                    odd = armv7em_add_odd(odd, word);
                }
            }
            const int32_t sums[4] = {
                (int16_t)(even & 0xffffu), (int16_t)(odd & 0xffffu), (int16_t)(even >> 16),
                (int16_t)(odd >> 16)};
            for (int32_t c = 0; c < 4; c++) {
                const int32_t half = sums[c] > 0 ? count / 2 : -(count / 2);
                y[first + c] = (int8_t)clamp_i32((sums[c] + half) / count, low, high);
            }
        }
    }
}
