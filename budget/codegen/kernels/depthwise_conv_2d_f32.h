#include "real.h"
/* Depthwise convolution, float: x [batch][in_h][in_w][in_c], w [k_h][k_w][in_c * times],
 * y [batch][out_h][out_w][in_c * times]; output channel c * times + m reads input channel c. */
static inline void depthwise_conv_2d_f32(
    const float *x, float *y, const float *w, const float *bias, int32_t batch, int32_t in_h,
    int32_t in_w, int32_t in_c, int32_t out_h, int32_t out_w, int32_t times, int32_t k_h,
    int32_t k_w, int32_t stride_h, int32_t stride_w, int32_t dilation_h, int32_t dilation_w,
    int32_t pad_top, int32_t pad_left, float low, float high)
{
    const int32_t out_c = in_c * times;
    for (int32_t n = 0; n < batch; n++) {
        const float *image = x + n * in_h * in_w * in_c;
        for (int32_t row = 0; row < out_h; row++) {
            for (int32_t column = 0; column < out_w; column++) {
                for (int32_t out = 0; out < out_c; out++) {
                    float sum = 0.0f;
                    for (int32_t tap_h = 0; tap_h < k_h; tap_h++) {
                        const int32_t h = row * stride_h - pad_top + tap_h * dilation_h;
                        for (int32_t tap_w = 0; tap_w < k_w; tap_w++) {
                            const int32_t v = column * stride_w - pad_left + tap_w * dilation_w;
                            if (h < 0 || h >= in_h || v < 0 || v >= in_w) {
                                continue;
                            }
                            const float pixel = image[(h * in_w + v) * in_c + out / times];
                            sum += pixel * w[(tap_h * k_w + tap_w) * out_c + out];
                        }
                    }
                    *y++ = clamp_f32(sum + bias[out], low, high);
                }
            }
        }
    }
}
