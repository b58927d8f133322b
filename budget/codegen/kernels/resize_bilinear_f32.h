/* Bilinear interpolation: the tables give, for each output row and column, the two input rows and
 * columns it lies between; downs and acrosses how far it is from the first. */
static inline void resize_bilinear_f32(
    const float *x, float *y, const int16_t *row_of, const int16_t *column_of,
    const float *downs, const float *acrosses, int32_t batch, int32_t in_h, int32_t in_w,
    int32_t channels, int32_t out_h, int32_t out_w)
{
    const int32_t line = in_w * channels;
    for (int32_t n = 0; n < batch; n++, x += in_h * line) {
        for (int32_t row = 0; row < out_h; row++) {
            const float *top = x + row_of[2 * row] * line;
            const float *bottom = x + row_of[2 * row + 1] * line;
            const float down = downs[row];
            for (int32_t column = 0; column < out_w; column++) {
                const int32_t left = column_of[2 * column] * channels;
                const int32_t right = column_of[2 * column + 1] * channels;
                const float across = acrosses[column];
                for (int32_t c = 0; c < channels; c++) {
                    float sum = top[left + c] * (1.0f - down) * (1.0f - across);
                    sum += bottom[left + c] * down * (1.0f - across);
                    sum += top[right + c] * (1.0f - down) * across;
                    sum += bottom[right + c] * down * across;
                    *y++ = sum;
                }
            }
        }
    }
}
