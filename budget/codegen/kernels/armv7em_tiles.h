#include "armv7em.h"
/* Transforms one tile for all channels; then multiplies two tiles and stores. */
typedef void armv7em_winograd_in(const int8_t *rows, int32_t *tiles, int32_t fours);
typedef void armv7em_winograd_out(
    const int32_t *tiles, const int32_t *stream, int32_t *sums, int8_t *y, int32_t fours);

/* Convolution of 3 x 3 windows at stride 1 by tiles of `size` x `size` outputs: x [in_h][in_w][in_c],
 * y [out_h][out_w][out_c]; out_h is a multiple of size, out_w of two sizes, channels of 4. Scratch:
 * [places][in_c / 2] pairs of words of two tiles, [places][8] sums, the rows of an image that a row
 * of tiles sees, with their padding. */
static inline void armv7em_winograd_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, int8_t *scratch,
    armv7em_winograd_in *transform, armv7em_winograd_out *multiply, int32_t in_h, int32_t in_w,
    int32_t in_c, int32_t out_h, int32_t out_w, int32_t out_c, int32_t pad_top, int32_t pad_left,
    int32_t zero_in, int32_t size)
{
    const int32_t places = (size + 2) * (size + 2);
    const int32_t row_bytes = (out_w + 2) * in_c;
    int32_t *tiles = (int32_t *)(void *)scratch;
    int32_t *sums = tiles + places * in_c;
    int8_t *rows = (int8_t *)(sums + places * 8);
    const uint32_t zero = ((uint32_t)zero_in & 0xffu) * 0x01010101u;
    for (int32_t top = 0; top < out_h; top += size) {
        for (int32_t i = 0; i < size + 2; i++) {
            const int32_t h = top - pad_top + i;
            uint32_t *to = (uint32_t *)(void *)(rows + i * row_bytes);
            const uint32_t *from =
                (const uint32_t *)(const void *)(x + (h < 0 || h >= in_h ? 0 : h) * in_w * in_c);
            const int32_t words = in_c / 4;
            const int32_t inside = h < 0 || h >= in_h ? 0 : in_w;
            for (int32_t w = 0; w < pad_left * words; w++) {
                *to++ = zero;
            }
            for (int32_t w = 0; w < inside * words; w++) {
                *to++ = *from++;
            }
            for (int32_t w = (pad_left + inside) * words; w < (out_w + 2) * words; w++) {
                *to++ = zero;
            }
        }
        for (int32_t left = 0; left < out_w; left += 2 * size) {
            transform(rows + left * in_c, tiles, in_c / 4);
            transform(rows + (left + size) * in_c, tiles + 1, in_c / 4);
            multiply(tiles, stream, sums, y + (top * out_w + left) * out_c, out_c / 4);
        }
    }
}
