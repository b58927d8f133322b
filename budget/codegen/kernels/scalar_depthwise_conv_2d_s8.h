#include <string.h>
#include "scalar.h"
#include "scalar_requantize.h"
/* Copies what a window sees, [k_h][k_w][channels]; outside the image it sees the zero point. */
static SCALAR_CALLED void scalar_window_s8(
    const int8_t *x, int8_t *window, int32_t in_h, int32_t in_w, int32_t channels, int32_t k_h,
    int32_t k_w, int32_t h, int32_t v, int32_t zero_in)
{
    for (int32_t i = h; i < h + k_h; i++) {
        for (int32_t j = v; j < v + k_w; j++, window += channels) {
            if (i >= 0 && i < in_h && j >= 0 && j < in_w) {
                memcpy(window, x + (i * in_w + j) * channels, (size_t)channels);
            } else {
                memset(window, (int)zero_in, (size_t)channels);
            }
        }
    }
}

/* A sum and the products of three neighbours, `step` apart, and the taps of a filter's line. */
static inline int32_t scalar_three_s8(const int8_t *x, const int8_t *w, int32_t step, int32_t sum)
{
    return sum + x[0] * w[0] + x[step] * w[1] + x[2 * step] * w[2];
}

/* Depthwise convolution, int8: x [batch][in_h][in_w][channels], w [channels][k_h][k_w], y [batch]
 * [out_h][out_w][channels]. The input's zero point is in the bias; windows that reach over an edge
 * are copied first. */
static inline void scalar_depthwise_conv_2d_s8(
    const int8_t *x, int8_t *y, const int8_t *w, const int32_t *bias, const int32_t *multiplier,
    const int8_t *places, int8_t *window, int32_t batch, int32_t in_h, int32_t in_w,
    int32_t channels, int32_t out_h, int32_t out_w, int32_t k_h, int32_t k_w, int32_t stride_h,
    int32_t stride_w, int32_t pad_top, int32_t pad_left, int32_t zero_in, int32_t zero_out,
    int32_t low, int32_t high)
{
    for (int32_t n = 0; n < batch; n++, x += in_h * in_w * channels) {
        for (int32_t row = 0; row < out_h; row++) {
            const int32_t h = row * stride_h - pad_top;
            for (int32_t column = 0; column < out_w; column++) {
                const int32_t v = column * stride_w - pad_left;
                const int8_t *from = window;
                int32_t line = k_w * channels;
                if (h >= 0 && h + k_h <= in_h && v >= 0 && v + k_w <= in_w) {
                    from = x + (h * in_w + v) * channels;
                    line = in_w * channels;
                } else {
                    scalar_window_s8(x, window, in_h, in_w, channels, k_h, k_w, h, v, zero_in);
                }
                const int8_t *filter = w;
                for (int32_t c = 0; c < channels; c++, from++) {
                    const int8_t *taps = from;
                    int32_t sum = bias[c];
                    if (k_h == 3 && k_w == 3) {
                        sum = scalar_three_s8(taps, filter, channels, sum);
                        sum = scalar_three_s8(taps + line, filter + 3, channels, sum);
                        sum = scalar_three_s8(taps + 2 * line, filter + 6, channels, sum);
                        filter += 9;
                    } else {
                        for (int32_t i = 0; i < k_h; i++, taps += line) {
                            for (int32_t j = 0; j < k_w; j++) {
                                sum += taps[j * channels] * *filter++;
                            }
                        }
                    }
                    sum = scalar_requantize_twice(sum, multiplier[c], places[c]) + zero_out;
                    *y++ = (int8_t)clamp_i32(sum, low, high);
                }
            }
        }
    }
}
