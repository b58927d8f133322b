#include "armv7em_columns.h"
/* Multiplies pairs of pixels by all channels: columns, stream, y, number of pairs. */
typedef void armv7em_gemm(
    const int16_t *columns, const int32_t *stream, int8_t *y, int32_t pairs);

/* Pointwise convolution, stride 1: x [pixels][in_c], y [pixels][out_c]. `block` pixels, an even
 * number, are widened at a time; the last block has two or more. */
static inline void armv7em_pointwise_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, int16_t *columns, armv7em_gemm *gemm,
    int32_t pixels, int32_t in_c, int32_t out_c, int32_t block)
{
    for (int32_t done = 0; done < pixels; done += block) {
        const int32_t left = pixels - done;
        const int32_t count = left < block ? left : block;
        armv7em_widen_s8(columns, x, count * in_c);
        gemm(columns, stream, y, count / 2);
        if (count % 2 != 0) { /* the last pixel, with the one before it again */
            gemm(columns + (count - 2) * in_c, stream, y + (count - 2) * out_c, 1);
        }
        x += count * in_c;
        y += count * out_c;
    }
}

/* One row of the image, or of padding, into its place in each column of the buffer. */
static inline void armv7em_widen_row_s8(
    int16_t *columns, const int8_t *row, int32_t in_w, int32_t in_c, int32_t width, int32_t column,
    int32_t pad_left, int32_t zero_in)
{
    for (int32_t w = -pad_left; w < width - pad_left; w++, columns += column) {
        if (row != 0 && w >= 0 && w < in_w) {
            if (in_c % 4 == 0) {
                armv7em_widen_s8(columns, row, in_c);
                row += in_c;
            } else {
                for (int32_t c = 0; c < in_c; c++) {
                    columns[c] = *row++;
                }
            }
        } else {
            for (int32_t c = 0; c < in_c; c++) {
                columns[c] = (int16_t)zero_in;
            }
        }
    }
}

/* Convolution: x [in_h][in_w][in_c], y [out_h][out_w][out_c]. The buffer holds the rows that one
 * row of outputs sees, [width][k_h][in_c], so that what a pixel sees is one run of numbers. */
static inline void armv7em_conv_2d_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, int16_t *columns, armv7em_gemm *gemm,
    int32_t in_h, int32_t in_w, int32_t in_c, int32_t out_h, int32_t out_w, int32_t out_c,
    int32_t k_h, int32_t stride_h, int32_t stride_w, int32_t pad_top, int32_t pad_left,
    int32_t width, int32_t zero_in)
{
    const int32_t column = k_h * in_c;
    const int32_t kept = k_h > stride_h ? k_h - stride_h : 0;
    for (int32_t row = 0; row < out_h; row++) {
        if (row > 0 && kept > 0) {
            const int32_t first = stride_h * in_c;
            armv7em_slide(columns, columns + first, (width * column - first) * 2);
        }
        for (int32_t tap = row > 0 ? kept : 0; tap < k_h; tap++) {
            const int32_t h = row * stride_h - pad_top + tap;
            const int8_t *image = h >= 0 && h < in_h ? x + h * in_w * in_c : 0;
            armv7em_widen_row_s8(
                columns + tap * in_c, image, in_w, in_c, width, column, pad_left, zero_in);
        }
        gemm(columns, stream, y, out_w / 2);
        if (out_w % 2 != 0) { /* the last pixel, with the one before it again */
            gemm(columns + (out_w - 2) * stride_w * column, stream, y + (out_w - 2) * out_c, 1);
        }
        y += out_w * out_c;
    }
}
