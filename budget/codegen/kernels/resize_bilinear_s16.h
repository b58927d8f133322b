#include "fixed_point.h"
/* Bilinear interpolation: the tables give, for each output row and column, the two input rows and
 * columns it lies between and how far it is from the first, in 1024ths. */
static inline void resize_bilinear_s16(
    const int16_t *x, int16_t *y, const int16_t *row_of, const int16_t *column_of, int32_t batch,
    int32_t in_h, int32_t in_w, int32_t channels, int32_t out_h, int32_t out_w)
{
    const int32_t line = in_w * channels;
    for (int32_t n = 0; n < batch; n++, x += in_h * line) {
        for (int32_t row = 0; row < out_h; row++) {
            const int16_t *top = x + row_of[3 * row] * line;
            const int16_t *bottom = x + row_of[3 * row + 1] * line;
            const int32_t down = row_of[3 * row + 2];
            for (int32_t column = 0; column < out_w; column++) {
                const int32_t left = column_of[3 * column] * channels;
                const int32_t right = column_of[3 * column + 1] * channels;
                const int32_t across = column_of[3 * column + 2];
                for (int32_t c = 0; c < channels; c++) {
                    int64_t sum = (int64_t)top[left + c] * (1024 - down) * (1024 - across);
                    sum += (int64_t)bottom[left + c] * down * (1024 - across);
                    sum += (int64_t)top[right + c] * (1024 - down) * across;
                    sum += (int64_t)bottom[right + c] * down * across;
                    sum += sum > 0 ? INT32_C(1) << 19 : -(INT32_C(1) << 19);
                    *y++ = (int16_t)(sum / (INT32_C(1) << 20));
                }
            }
        }
    }
}
