#include "fixed_point.h"
/* Convolution, int16 with int8 weights: x [batch][in_h][in_w][in_c],
 * w [out_c][k_h][k_w][in_c / groups], y [batch][out_h][out_w][out_c]. The zero point is 0. */
static inline void conv_2d_s16(
    const int16_t *x, int16_t *y, const int8_t *w, const int64_t *bias, const int32_t *multiplier,
    const int8_t *shift, int32_t batch, int32_t in_h, int32_t in_w, int32_t in_c, int32_t out_h,
    int32_t out_w, int32_t out_c, int32_t k_h, int32_t k_w, int32_t groups, int32_t stride_h,
    int32_t stride_w, int32_t dilation_h, int32_t dilation_w, int32_t pad_top, int32_t pad_left,
    int32_t is_wide, int32_t low, int32_t high)
{
    const int32_t depth = in_c / groups;
    const int32_t filters = out_c / groups;
    for (int32_t n = 0; n < batch; n++) {
        const int16_t *image = x + n * in_h * in_w * in_c;
        for (int32_t row = 0; row < out_h; row++) {
            for (int32_t column = 0; column < out_w; column++) {
                const int8_t *filter = w;
                for (int32_t out = 0; out < out_c; out++) {
                    const int32_t first = out / filters * depth;
                    int64_t sum = bias[out];
                    for (int32_t tap_h = 0; tap_h < k_h; tap_h++) {
                        const int32_t h = row * stride_h - pad_top + tap_h * dilation_h;
                        for (int32_t tap_w = 0; tap_w < k_w; tap_w++, filter += depth) {
                            const int32_t v = column * stride_w - pad_left + tap_w * dilation_w;
                            if (h < 0 || h >= in_h || v < 0 || v >= in_w) {
                                continue;
                            }
                            const int16_t *pixel = image + (h * in_w + v) * in_c + first;
                            for (int32_t c = 0; c < depth; c++) {
                                sum += (int32_t)pixel[c] * filter[c];
                            }
                        }
                    }
                    const int32_t scaled =
                        requantize_sum(sum, multiplier[out], shift[out], is_wide);
                    *y++ = (int16_t)clamp_i32(scaled, low, high);
                }
            }
        }
    }
}
