#include "armv7em_requantize.h"
#include "armv7em_tiles.h"
/* Winograd's F(4 x 4, 3 x 3) in integers: 36 products make 16 outputs of a 3 x 3 window instead of
 * 144. The weights' transform is scaled by 24 in each direction, so that everything stays integer
 * and each sum is a multiple of 576 = 9 * 64, divided exactly: times the inverse of 9 modulo 2^32,
 * then shifted. Sums may wrap on the way; what they stand for is below 2^25. */

#if !ARMV7EM_ASSEMBLY
/* One direction of a tile's transform, 6 x 6; elements are `step` apart. */
static inline void armv7em_winograd_in_line(const int32_t *d, int32_t *v, int32_t step)
{
    v[0] = 4 * (d[0] - d[2 * step]) + (d[4 * step] - d[2 * step]);
    v[step] = d[3 * step] + d[4 * step] - 4 * (d[step] + d[2 * step]);
    v[2 * step] = d[4 * step] - d[3 * step] + 4 * (d[step] - d[2 * step]);
    v[3 * step] = d[4 * step] - d[2 * step] + 2 * (d[3 * step] - d[step]);
    v[4 * step] = d[4 * step] - d[2 * step] - 2 * (d[3 * step] - d[step]);
    v[5 * step] = d[5 * step] - d[3 * step] - 4 * (d[3 * step] - d[step]);
}

static inline void armv7em_winograd_out_line(const uint32_t *m, uint32_t *y, int32_t step)
{
    const uint32_t sum = m[step] + m[2 * step];
    const uint32_t difference = m[step] - m[2 * step];
    const uint32_t sum2 = m[3 * step] + m[4 * step];
    const uint32_t difference2 = m[3 * step] - m[4 * step];
    y[0] = m[0] + sum + sum2;
    y[step] = difference + 2 * difference2;
    y[2 * step] = sum + 4 * sum2;
    y[3 * step] = difference + 8 * (difference2 + m[5 * step]);
}

static inline void armv7em_winograd_out_s8(
    const int32_t *tiles, const int32_t *stream, int8_t *y, int32_t fours, int32_t in_c,
    int32_t out_w, int32_t out_c, int32_t zero_out, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < 8 * fours; i++) {
        const int32_t *words = stream + i / 8 * (36 * in_c * 2 + 12);
        const int32_t channel = i / 2 % 4;
        uint32_t m[36];
        uint32_t columns[36];
        uint32_t results[36];
        armv7em_tile_sums(m, tiles, words, 36, in_c, channel, i % 2);
        for (int32_t k = 0; k < 6; k++) {
            armv7em_winograd_out_line(m + k, columns + k, 6);
        }
        const int32_t *scale = words + 36 * in_c * 2 + 3 * channel;
        int8_t *to = y + i % 2 * 4 * out_c + i / 8 * 4 + channel;
        for (int32_t k = 0; k < 4; k++) {
            armv7em_winograd_out_line(columns + 6 * k, results, 1);
            for (int32_t w = 0; w < 4; w++) {
                const int32_t sum = ((int32_t)(results[w] * 0x38e38e39u) >> 6) + scale[0];
                to[(k * out_w + w) * out_c] = (int8_t)armv7em_requantize(
                    sum, scale[1], scale[2], 0, zero_out, low, high);
            }
        }
    }
}
#endif
