#include "armv7em_requantize.h"
#include "armv7em_tiles.h"
/* Winograd's F(2 x 2, 3 x 3) in integers: 16 products make 4 outputs of a 3 x 3 window instead of
 * 36. The weights' transform is scaled by 2 in each direction, so that everything stays integer and
 * each sum is a multiple of 4. Sums may wrap on the way; what they stand for is below 2^29. */

#if !ARMV7EM_ASSEMBLY
/* One direction of a tile's transform, 4 x 4; elements are `step` apart. */
static inline void armv7em_winograd2_in_line(const int32_t *d, int32_t *v, int32_t step)
{
    v[0] = d[0] - d[2 * step];
    v[step] = d[step] + d[2 * step];
    v[2 * step] = d[2 * step] - d[step];
    v[3 * step] = d[step] - d[3 * step];
}

static inline void armv7em_winograd2_out_s8(
    const int32_t *tiles, const int32_t *stream, int8_t *y, int32_t fours, int32_t in_c,
    int32_t out_w, int32_t out_c, int32_t zero_out, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < 8 * fours; i++) {
        const int32_t *words = stream + i / 8 * (16 * in_c * 2 + 12);
        const int32_t channel = i / 2 % 4;
        uint32_t m[16];
        armv7em_tile_sums(m, tiles, words, 16, in_c, channel, i % 2);
        const int32_t *scale = words + 16 * in_c * 2 + 3 * channel;
        int8_t *to = y + i % 2 * 2 * out_c + i / 8 * 4 + channel;
        for (int32_t k = 0; k < 2; k++) {
            uint32_t t[4];
            for (int32_t w = 0; w < 4; w++) {
                t[w] = k == 0 ? m[w] + m[4 + w] + m[8 + w] : m[4 + w] - m[8 + w] - m[12 + w];
            }
            const uint32_t sums[2] = {t[0] + t[1] + t[2], t[1] - t[2] - t[3]};
            for (int32_t w = 0; w < 2; w++) {
                to[(k * out_w + w) * out_c] = (int8_t)armv7em_requantize(
                    (int32_t)((uint32_t)((int32_t)sums[w] / 4) + (uint32_t)scale[0]), scale[1],
                    scale[2], 0, zero_out, low, high);
            }
        }
    }
}
#endif
