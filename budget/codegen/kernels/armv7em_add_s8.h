#include "armv7em_requantize.h"
/* Sums of four pairs of bytes: a, b, table, y, number of fours. */
typedef void armv7em_add_fours(
    const int8_t *a, const int8_t *b, const int32_t *table, int8_t *y, int32_t fours);

/* Scaled sum of shifted a and what the table holds for b, as an unsigned byte. */
static inline void armv7em_add_plain_s8(
    const int8_t *a, const int8_t *b, const int32_t *table, int8_t *y, int32_t count,
    int32_t twice, int32_t power, int32_t zero_out, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t sum = a[i] * (1 << 19) + table[(uint8_t)b[i]];
        y[i] = (int8_t)armv7em_requantize(sum, twice, power, 0, zero_out, low, high);
    }
}

/* Elementwise sum, int8: the larger scale is a's. */
static inline void armv7em_add_s8(
    const int8_t *a, const int8_t *b, const int32_t *table, int8_t *y, armv7em_add_fours *fours,
    int32_t count, int32_t twice, int32_t power, int32_t zero_out, int32_t low, int32_t high)
{
    const int32_t whole = count & ~3;
    if (whole > 0) {
        fours(a, b, table, y, count / 4);
    }
    armv7em_add_plain_s8(
        a + whole, b + whole, table, y + whole, count - whole, twice, power, zero_out, low, high);
}
