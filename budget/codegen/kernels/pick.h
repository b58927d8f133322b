#include <string.h>
/* Rows and columns in another order: y [outer][rows][columns] takes from x [outer][in_rows]
 * [in_columns] the row and column that the tables name; elements have so many bytes. */
static inline void pick(
    const void *x, void *y, const int16_t *row_of, const int16_t *column_of, int32_t outer,
    int32_t rows, int32_t columns, int32_t in_rows, int32_t in_columns, int32_t element_bytes)
{
    const int8_t *from = (const int8_t *)x;
    int8_t *to = (int8_t *)y;
    for (int32_t n = 0; n < outer; n++, from += in_rows * in_columns * element_bytes) {
        for (int32_t row = 0; row < rows; row++) {
            const int8_t *line = from + row_of[row] * in_columns * element_bytes;
            for (int32_t column = 0; column < columns; column++, to += element_bytes) {
                memcpy(to, line + column_of[column] * element_bytes, (size_t)element_bytes);
            }
        }
    }
}
