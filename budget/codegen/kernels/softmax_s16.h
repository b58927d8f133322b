#include "gemmlowp.h"
/* A function of a 16-bit number, from a table of 513 samples with straight lines between them. */
static inline int32_t interpolate_s16(int32_t x, const int16_t *table)
{
    const int32_t index = 256 + (x >> 7);
    const int32_t slope = table[index + 1] - table[index];
    return table[index] + ((slope * (x & 127) + 64) >> 7);
}

/* Softmax of each row, int16 in and out. The exponentials are computed twice, which costs less
 * than keeping them. */
static inline void softmax_s16(
    const int16_t *x, int16_t *y, int32_t rows, int32_t depth, int32_t q, int32_t shift,
    const int16_t *exponentials, const int16_t *reciprocals)
{
    for (int32_t row = 0; row < rows; row++, x += depth, y += depth) {
        int32_t largest = x[0];
        for (int32_t c = 1; c < depth; c++) {
            largest = x[c] > largest ? x[c] : largest;
        }
        int32_t sum = 0;
        for (int32_t c = 0; c < depth; c++) {
            const int32_t scaled = requantize_twice(x[c] - largest, q, shift) + 32767;
            sum += interpolate_s16(clamp_i32(scaled, INT16_MIN, INT16_MAX), exponentials);
        }
        const int32_t headroom = leading_zeros(sum);
        const uint32_t top = ((uint32_t)sum << (headroom - 1)) + (INT32_C(1) << 13);
        const int32_t place = (int32_t)(top >> 14) - (INT32_C(1) << 15) - (INT32_C(1) << 16);
        const int32_t inverse =
            interpolate_s16(clamp_i32(place, INT16_MIN, INT16_MAX), reciprocals);
        const int32_t right = 31 - headroom;
        for (int32_t c = 0; c < depth; c++) {
            const int32_t scaled = requantize_twice(x[c] - largest, q, shift) + 32767;
            const int32_t part =
                interpolate_s16(clamp_i32(scaled, INT16_MIN, INT16_MAX), exponentials);
            const int32_t value = (part * inverse + (INT32_C(1) << (right - 1))) >> right;
            y[c] = (int16_t)clamp_i32(value, 0, INT16_MAX);
        }
    }
}
