#include "armv7em_columns.h"
#include "armv7em_requantize.h"
/* One row times all channels: columns, stream, y. */
typedef void armv7em_dot(const int16_t *columns, const int32_t *stream, int8_t *y);

/* Fully connected layer: x [rows][depth], y [rows][out_c]. */
static inline void armv7em_fully_connected_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, int16_t *columns, armv7em_dot *dot,
    int32_t rows, int32_t depth, int32_t out_c)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += out_c) {
        armv7em_widen_s8(columns, x, depth);
        dot(columns, stream, y);
    }
}

#if !ARMV7EM_ASSEMBLY
/* The stream holds for every eight channels the bias of the first of each pair, for each two taps
 * one word of each pair (first + 256 second), and for each pair twice the multiplier and the power
 * of the first, then bias, multiplier and power of the second. Where out_c is no multiple of eight,
 * channels overlap and each eight begins with the number of its first channel. */
static inline void armv7em_dot_s8(
    const int16_t *columns, const int32_t *stream, int8_t *y, int32_t steps, int32_t out_c,
    int32_t zero_out, int32_t low, int32_t high, int32_t once)
{
    const int32_t *word = stream;
    for (int32_t eight = 0; eight < (out_c + 7) / 8; eight++) {
        int8_t *to = y + (out_c % 8 != 0 ? *word++ : 8 * eight);
        const int32_t *scale = word + 4 + 4 * steps;
        for (int32_t pair = 0; pair < 4; pair++, scale += 5, to += 2) {
            int32_t first = 0;
            int32_t second = 0;
            for (int32_t k = 0; k < 2 * steps; k++) {
                const int32_t packed = word[4 + (k / 2) * 4 + pair];
                const int32_t both = (int16_t)(k % 2 != 0 ? packed >> 16 : packed & 0xffff);
                const int32_t even = (int8_t)(both & 0xff);
                first += columns[k] * even;
                second += columns[k] * ((both - even) / 256);
            }
            first = (int32_t)((uint32_t)first + (uint32_t)word[pair]);
            second = (int32_t)((uint32_t)second + (uint32_t)scale[2]);
            to[0] = (int8_t)armv7em_requantize(
                first, scale[0], scale[1], once, zero_out, low, high);
            to[1] = (int8_t)armv7em_requantize(
                second, scale[3], scale[4], once, zero_out, low, high);
        }
        word = scale;
    }
}
#endif
