#include "fixed_point.h"
#include "window.h"
/* A sum and the products of (x - zero) and w over the taps of a window; neighbours lie `x_step`
 * and `w_step` apart, lines `x_line` and `w_line`. */
static inline int32_t window_sum_s8(
    const int8_t *x, const int8_t *w, int32_t rows, int32_t taps, int32_t x_step, int32_t w_step,
    int32_t x_line, int32_t w_line, int32_t zero, int32_t sum)
{
    for (; rows > 0; rows--, x += x_line, w += w_line) {
        for (int32_t i = 0; i < taps; i++) {
            sum += (x[i * x_step] - zero) * w[i * w_step];
        }
    }
    return sum;
}

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
    for (int32_t n = 0; n < batch; n++, x += in_h * in_w * in_c) {
        for (int32_t row = 0; row < out_h; row++) {
            const int32_t h = row * stride_h - pad_top;
            const int32_t top = first_tap(h, dilation_h);
            const int32_t rows = last_tap(h, dilation_h, in_h, k_h) - top;
            for (int32_t column = 0; column < out_w; column++) {
                const int32_t v = column * stride_w - pad_left;
                const int32_t left = first_tap(v, dilation_w);
                const int32_t taps = last_tap(v, dilation_w, in_w, k_w) - left;
                const int32_t at = (h + top * dilation_h) * in_w + v + left * dilation_w;
                for (int32_t out = 0; out < out_c; out++) {
                    int32_t sum = bias[out];
                    if (rows > 0 && taps > 0) {
                        sum = window_sum_s8(
                            x + at * in_c + out / times, w + (top * k_w + left) * out_c + out,
                            rows, taps, dilation_w * in_c, out_c, dilation_h * in_w * in_c,
                            k_w * out_c, zero_in, sum);
                    }
                    sum = requantize_twice(sum, multiplier[out], shift[out]) + zero_out;
                    *y++ = (int8_t)clamp_i32(sum, low, high);
                }
            }
        }
    }
}
