#include "dot_s8.h"
#include "fixed_point.h"
#include "window.h"
/* Convolution, int8: x [batch][in_h][in_w][in_c], w [out_c][k_h][k_w][in_c / groups],
 * y [batch][out_h][out_w][out_c]. Taps that fall outside the image count as the zero point.
 * Neighbouring taps are one run of numbers in image and weights, unless groups or dilation take
 * them apart. */
static inline void conv_2d_s8(
    const int8_t *x, int8_t *y, const int8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *shift, int32_t batch, int32_t in_h, int32_t in_w, int32_t in_c, int32_t out_h,
    int32_t out_w, int32_t out_c, int32_t k_h, int32_t k_w, int32_t groups, int32_t stride_h,
    int32_t stride_w, int32_t dilation_h, int32_t dilation_w, int32_t pad_top, int32_t pad_left,
    int32_t zero_in, int32_t zero_out, int32_t low, int32_t high)
{
    const int32_t depth = in_c / groups;
    const int32_t filters = out_c / groups;
    for (int32_t n = 0; n < batch; n++, x += in_h * in_w * in_c) {
        for (int32_t row = 0; row < out_h; row++) {
            const int32_t h = row * stride_h - pad_top;
            const int32_t top = first_tap(h, dilation_h);
            const int32_t rows = last_tap(h, dilation_h, in_h, k_h) - top;
            for (int32_t column = 0; column < out_w; column++) {
                const int32_t v = column * stride_w - pad_left;
                const int32_t left = first_tap(v, dilation_w);
                const int32_t right = rows > 0 ? last_tap(v, dilation_w, in_w, k_w) : 0;
                const int32_t run = groups == 1 && dilation_w == 1 ? right - left : 1;
                const int32_t at = (h + top * dilation_h) * in_w + v;
                const int8_t *filter = w + top * k_w * depth;
                for (int32_t out = 0; out < out_c; out++, filter += k_h * k_w * depth) {
                    int32_t sum = bias[out];
                    for (int32_t tap = left; tap < right; tap += run) {
                        sum = dot_s8(
                            x + (at + tap * dilation_w) * in_c + out / filters * depth,
                            filter + tap * depth, rows, run * depth, dilation_h * in_w * in_c,
                            k_w * depth, zero_in, sum);
                    }
                    sum = requantize_twice(sum, multiplier[out], shift[out]) + zero_out;
                    *y++ = (int8_t)clamp_i32(sum, low, high);
                }
            }
        }
    }
}
