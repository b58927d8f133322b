#include "table_s8.h"
/* Rows of 8-bit numbers through a table, written `step` numbers apart. */
static inline void rows_table_s8(
    const int8_t *x, int8_t *y, int32_t rows, int32_t run, int32_t step, const int8_t *table)
{
    for (int32_t row = 0; row < rows; row++) {
        table_s8(x + row * run, y + row * step, run, table);
    }
}
