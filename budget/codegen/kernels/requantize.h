#include "fixed_point.h"
/* 16-bit numbers in another scale and zero point, of 8 bits. */
static inline void requantize_s16_s8(
    const int16_t *x, int8_t *y, int32_t count, int32_t zero_in, int32_t q, int32_t shift,
    int32_t zero_out)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t scaled = requantize_twice(x[i] - zero_in, q, shift) + zero_out;
        y[i] = (int8_t)clamp_i32(scaled, INT8_MIN, INT8_MAX);
    }
}

/* 8-bit numbers in another scale and zero point, of 16 bits. */
static inline void requantize_s8_s16(
    const int8_t *x, int16_t *y, int32_t count, int32_t zero_in, int32_t q, int32_t shift,
    int32_t zero_out)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t scaled = requantize_twice(x[i] - zero_in, q, shift) + zero_out;
        y[i] = (int16_t)clamp_i32(scaled, INT16_MIN, INT16_MAX);
    }
}
