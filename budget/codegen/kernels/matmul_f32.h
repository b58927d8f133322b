/* One product of two matrices, float: a [m][depth] times b [depth][n], both read with the steps
 * given (from one row to the next, from one column to the next), y [m][n]. */
static inline void matmul_f32(
    const float *a, const float *b, float *y, int32_t m, int32_t depth, int32_t n, int32_t a_row,
    int32_t a_column, int32_t b_row, int32_t b_column)
{
    for (int32_t row = 0; row < m; row++) {
        for (int32_t column = 0; column < n; column++) {
            float sum = 0.0f;
            for (int32_t c = 0; c < depth; c++) {
                sum += a[row * a_row + c * a_column] * b[c * b_row + column * b_column];
            }
            *y++ = sum;
        }
    }
}
