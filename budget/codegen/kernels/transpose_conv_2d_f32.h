#include "real.h"
/* Transposed convolution, float: x [batch][in_h][in_w][in_c], w [out_c][k_h][k_w][in_c],
 * y [batch][out_h][out_w][out_c]. Each output gathers the inputs whose windows cover it. */
static inline void transpose_conv_2d_f32(
    const float *x, float *y, const float *w, const float *bias, int32_t batch, int32_t in_h,
    int32_t in_w, int32_t in_c, int32_t out_h, int32_t out_w, int32_t out_c, int32_t k_h,
    int32_t k_w, int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left, float low,
    float high)
{
    for (int32_t n = 0; n < batch; n++) {
        const float *image = x + n * in_h * in_w * in_c;
        for (int32_t row = pad_top; row < out_h + pad_top; row++) {
            const int32_t below = row - k_h + stride_h;
            const int32_t first_h = below > 0 ? below / stride_h : 0;
            for (int32_t column = pad_left; column < out_w + pad_left; column++) {
                const int32_t right = column - k_w + stride_w;
                const int32_t first_v = right > 0 ? right / stride_w : 0;
                for (int32_t out = 0; out < out_c; out++) {
                    float sum = 0.0f;
                    for (int32_t h = first_h; h < in_h && h * stride_h <= row; h++) {
                        const int32_t tap_h = row - h * stride_h;
                        for (int32_t v = first_v; v < in_w && v * stride_w <= column; v++) {
                            const int32_t tap_w = column - v * stride_w;
                            const float *pixel = image + (h * in_w + v) * in_c;
                            const float *filter = w + ((out * k_h + tap_h) * k_w + tap_w) * in_c;
                            for (int32_t c = 0; c < in_c; c++) {
                                sum += pixel[c] * filter[c];
                            }
                        }
                    }
                    *y++ = clamp_f32(sum + bias[out], low, high);
                }
            }
        }
    }
}
