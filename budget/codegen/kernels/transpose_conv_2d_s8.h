#include "fixed_point.h"
/* Transposed convolution, int8: x [batch][in_h][in_w][in_c], w [out_c][k_h][k_w][in_c],
 * y [batch][out_h][out_w][out_c]. Each output gathers the inputs whose windows cover it. */
static inline void transpose_conv_2d_s8(
    const int8_t *x, int8_t *y, const int8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *shift, int32_t batch, int32_t in_h, int32_t in_w, int32_t in_c, int32_t out_h,
    int32_t out_w, int32_t out_c, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w,
    int32_t pad_top, int32_t pad_left, int32_t zero_in, int32_t zero_out, int32_t low,
    int32_t high)
{
    for (int32_t n = 0; n < batch; n++) {
        const int8_t *image = x + n * in_h * in_w * in_c;
        for (int32_t row = pad_top; row < out_h + pad_top; row++) {
            const int32_t below = row - k_h + stride_h;
            const int32_t first_h = below > 0 ? below / stride_h : 0;
            for (int32_t column = pad_left; column < out_w + pad_left; column++) {
                const int32_t right = column - k_w + stride_w;
                const int32_t first_v = right > 0 ? right / stride_w : 0;
                for (int32_t out = 0; out < out_c; out++) {
                    int32_t sum = bias[out];
                    for (int32_t h = first_h; h < in_h && h * stride_h <= row; h++) {
                        const int32_t tap_h = row - h * stride_h;
                        for (int32_t v = first_v; v < in_w && v * stride_w <= column; v++) {
                            const int32_t tap_w = column - v * stride_w;
                            const int8_t *pixel = image + (h * in_w + v) * in_c;
                            const int8_t *filter = w + ((out * k_h + tap_h) * k_w + tap_w) * in_c;
                            for (int32_t c = 0; c < in_c; c++) {
                                sum += (pixel[c] - zero_in) * filter[c];
                            }
                        }
                    }
                    sum = requantize_twice(sum, multiplier[out], shift[out]) + zero_out;
                    *y++ = (int8_t)clamp_i32(sum, low, high);
                }
            }
        }
    }
}
