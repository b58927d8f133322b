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

#if !ARMV7EM_ASSEMBLY
/* One direction of a tile's transform; elements are `step` apart. */
typedef void armv7em_tile_line(const int32_t *d, int32_t *v, int32_t step);

/* Transforms a tile of `side` x `side` pixels, at most 6 x 6, for all channels. */
static inline void armv7em_tile_in_s8(
    const int8_t *rows, int32_t *tiles, int32_t fours, int32_t row_bytes, int32_t in_c,
    int32_t side, armv7em_tile_line *line)
{
    for (int32_t c = 0; c < 4 * fours; c++) {
        int32_t d[36];
        int32_t columns[36];
        int32_t v[36];
        for (int32_t i = 0; i < side * side; i++) {
            d[i] = rows[i / side * row_bytes + i % side * in_c + c];
        }
        for (int32_t i = 0; i < side; i++) {
            line(d + i, columns + i, side);
        }
        for (int32_t i = 0; i < side; i++) {
            line(columns + side * i, v + side * i, 1);
        }
        /* channels 0 and 2 of four share a word, and 1 and 3 */
        const int32_t pair = c / 4 * 2 + c % 2;
        const int32_t is_high = c % 4 / 2;
        for (int32_t f = 0; f < side * side; f++) {
            int32_t *to = tiles + f * in_c + 2 * pair;
            const uint32_t half = (uint32_t)v[f] & 0xffffu;
            *to = (int32_t)(is_high ? ((uint32_t)*to & 0xffffu) | half << 16 : half);
        }
    }
}

/* The sums of all places for one of four channels and one of two tiles. */
static inline void armv7em_tile_sums(
    uint32_t *m, const int32_t *tiles, const int32_t *words, int32_t places, int32_t in_c,
    int32_t channel, int32_t tile)
{
    for (int32_t f = 0; f < places; f++) {
        m[f] = 0;
        for (int32_t pair = 0; pair < in_c / 2; pair++) {
            const int32_t v = tiles[f * in_c + 2 * pair + tile];
            const int32_t u = words[(f * (in_c / 2) + pair) * 4 + channel];
            m[f] += (uint32_t)((int16_t)(v & 0xffff) * (int16_t)(u & 0xffff));
            m[f] += (uint32_t)((v >> 16) * (u >> 16));
        }
    }
}
#endif
