#include "fixed_point.h"
/* Convolution and fully connected layer, int8, whose weights are numbers into a code book: filter
 * by filter they are unpacked into RAM, then used for every pixel. x [batch][in_h][in_w][in_c],
 * y [batch][out_h][out_w][out_c], filters [out_c][k_h][k_w][in_c] of `bits` bits each, the lowest
 * first, without gaps; one byte follows the last. */
static inline void codebook_unpack_s8(
    int8_t *filter, const uint8_t *codes, const int8_t *book, int32_t first, int32_t count,
    int32_t bits)
{
    const uint32_t mask = ((uint32_t)1 << bits) - 1u;
    uint32_t place = (uint32_t)first * (uint32_t)bits;
    for (int32_t i = 0; i < count; i++, place += (uint32_t)bits) {
        const uint8_t *at = codes + (place >> 3);
        const uint32_t two = (uint32_t)at[0] | (uint32_t)at[1] << 8;
        filter[i] = book[two >> (place & 7u) & mask];
    }
}

static inline void codebook_s8(
    const int8_t *x, int8_t *y, int8_t *filter, const uint8_t *codes, const int8_t *book,
    const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int32_t bits,
    int32_t per_channel, int32_t batch, int32_t in_h, int32_t in_w, int32_t in_c, int32_t out_h,
    int32_t out_w, int32_t out_c, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w,
    int32_t dilation_h, int32_t dilation_w, int32_t pad_top, int32_t pad_left, int32_t zero_in,
    int32_t zero_out, int32_t low, int32_t high, int32_t once)
{
    const int32_t size = k_h * k_w * in_c;
    for (int32_t out = 0; out < out_c; out++) {
        const int32_t q = multiplier[per_channel ? out : 0];
        const int32_t right = shift[per_channel ? out : 0];
        int8_t *to = y + out;
        codebook_unpack_s8(filter, codes, book, out * size, size, bits);
        for (int32_t place = 0; place < batch * out_h * out_w; place++, to += out_c) {
            const int32_t top = place / out_w % out_h * stride_h - pad_top;
            const int32_t left = place % out_w * stride_w - pad_left;
            const int8_t *image = x + place / (out_h * out_w) * in_h * in_w * in_c;
            int32_t sum = bias[out];
            for (int32_t tap_h = 0; tap_h < k_h; tap_h++) {
                const int32_t row = top + tap_h * dilation_h;
                for (int32_t tap_w = 0; tap_w < k_w && row >= 0 && row < in_h; tap_w++) {
                    const int32_t column = left + tap_w * dilation_w;
                    if (column >= 0 && column < in_w) {
                        const int8_t *pixel = image + (row * in_w + column) * in_c;
                        const int8_t *w = filter + (tap_h * k_w + tap_w) * in_c;
                        for (int32_t c = 0; c < in_c; c++) {
                            sum += (pixel[c] - zero_in) * w[c];
                        }
                    }
                }
            }
            sum = once ? requantize_once(sum, q, right) : requantize_twice(sum, q, right);
            *to = (int8_t)clamp_i32(sum + zero_out, low, high);
        }
    }
}
