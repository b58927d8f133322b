#include "fixed_point.h"
/* Depthwise convolution, int8: x [batch][in_h][in_w][in_c], w [k_h][k_w][in_c * times],
 * y [batch][out_h][out_w][in_c * times]; output channel c * times + m reads input channel c. */
static inline void depthwise_conv_2d_s8(
    const int8_t *x, int8_t *y, const int8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *shift, int32_t batch, int32_t in_h, int32_t in_w, int32_t in_c, int32_t out_h,
    int32_t out_w, int32_t times, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w,
    int32_t dilation_h, int32_t dilation_w, int32_t pad_top, int32_t pad_left, int32_t zero_in,
    int32_t zero_out, int32_t low, int32_t high)
{
    const int32_t out_c = in_c * times;
    for (int32_t n = 0; n < batch; n++) {
        const int8_t *image = x + n * in_h * in_w * in_c;
        for (int32_t row = 0; row < out_h; row++) {
            for (int32_t column = 0; column < out_w; column++) {
                for (int32_t out = 0; out < out_c; out++) {
                    int32_t sum = bias[out];
                    for (int32_t tap_h = 0; tap_h < k_h; tap_h++) {
                        const int32_t h = row * stride_h - pad_top + tap_h * dilation_h;
                        for (int32_t tap_w = 0; tap_w < k_w; tap_w++) {
                            const int32_t v = column * stride_w - pad_left + tap_w * dilation_w;
                            if (h < 0 || h >= in_h || v < 0 || v >= in_w) {
                                continue;
                            }
                            const int32_t pixel = image[(h * in_w + v) * in_c + out / times];
                            sum += (pixel - zero_in) * w[(tap_h * k_w + tap_w) * out_c + out];
                        }
                    }
                    sum = requantize_twice(sum, multiplier[out], shift[out]) + zero_out;
                    *y++ = (int8_t)clamp_i32(sum, low, high);
                }
            }
        }
    }
}
