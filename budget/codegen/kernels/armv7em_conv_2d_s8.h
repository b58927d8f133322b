#include "armv7em_bytes.h"
#include "armv7em_columns.h"
/* Multiplies pairs of pixels by all channels: columns, stream, y, number of pairs. */
typedef void armv7em_gemm(
    const int16_t *columns, const int32_t *stream, int8_t *y, int32_t pairs);

/* The same where weights wait for flash: those of four channels, `four_words` of them, are copied to
 * RAM before all pixels use them. The stream holds fours without the numbers of their channels. */
static inline void armv7em_staged_s8(
    const int16_t *columns, const int32_t *stream, int8_t *y, int32_t *staged, armv7em_gemm *gemm,
    int32_t pixels, int32_t pixel, int32_t out_c, int32_t y_pixel, int32_t four_words)
{
    for (int32_t four = 0; four < out_c; four += 4, stream += four_words) {
        const int32_t first = four < out_c - 4 ? four : out_c - 4;
        armv7em_stage(staged, stream, four_words);
        gemm(columns, staged, y + first, pixels / 2);
        if (pixels % 2 != 0) { /* the last pixel, with the one before it again */
            gemm(columns + (pixels - 2) * pixel, staged, y + first + (pixels - 2) * y_pixel, 1);
        }
    }
}

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

static inline void armv7em_widen_pixel_s8(int16_t *columns, const int8_t *pixel, int32_t in_c)
{
    if (in_c % 4 != 0) {
        for (int32_t c = 0; c < in_c; c++) {
            columns[c] = pixel[c];
        }
        return;
    }
#if ARMV7EM_ASSEMBLY
    if (in_c <= 32) { /* a call would cost more */
        uint32_t *to = (uint32_t *)(void *)columns;
        for (int32_t c = 0; c < in_c; c += 4, to += 2) {
            const uint32_t word = armv7em_four_bytes(pixel + c);
            to[0] = armv7em_even(word);
            to[1] = armv7em_odd(word);
        }
        return;
    }
#endif
    armv7em_widen_s8(columns, pixel, in_c);
}

static inline int16_t armv7em_byte(uint32_t word, int32_t place)
{
    return (int8_t)(uint8_t)(word >> 8 * place & 0xffu);
}

/* Four neighbours of three channels: three words instead of twelve bytes. */
static inline void armv7em_widen_colours_s8(int16_t *columns, const int8_t *pixel, int32_t column)
{
    const uint32_t first = armv7em_four_bytes(pixel);
    const uint32_t second = armv7em_four_bytes(pixel + 4);
    const uint32_t third = armv7em_four_bytes(pixel + 8);
    columns[0] = armv7em_byte(first, 0);
    columns[1] = armv7em_byte(first, 1);
    columns[2] = armv7em_byte(first, 2);
    columns += column;
    columns[0] = armv7em_byte(first, 3);
    columns[1] = armv7em_byte(second, 0);
    columns[2] = armv7em_byte(second, 1);
    columns += column;
    columns[0] = armv7em_byte(second, 2);
    columns[1] = armv7em_byte(second, 3);
    columns[2] = armv7em_byte(third, 0);
    columns += column;
    columns[0] = armv7em_byte(third, 1);
    columns[1] = armv7em_byte(third, 2);
    columns[2] = armv7em_byte(third, 3);
}

/* One line of the image, or of padding, into its place in each column of the buffer. */
static inline void armv7em_widen_line_s8(
    int16_t *columns, const int8_t *line, int32_t pixels, int32_t step, int32_t in_c,
    int32_t width, int32_t column, int32_t pad, int32_t zero_in)
{
    const int32_t seen = pad + pixels < width ? pixels : width - pad;
    const int32_t end = line != 0 ? seen : 0;
    int32_t i = -pad;
    for (; i < 0; i++, columns += column) {
        for (int32_t c = 0; c < in_c; c++) {
            columns[c] = (int16_t)zero_in;
        }
    }
    if (in_c == 3 && step == 3) {
        for (; i + 4 <= end; i += 4, columns += 4 * column, line += 12) {
            armv7em_widen_colours_s8(columns, line, column);
        }
    }
    for (; i < end; i++, columns += column, line += step) {
        armv7em_widen_pixel_s8(columns, line, in_c);
    }
    for (; i < width - pad; i++, columns += column) {
        for (int32_t c = 0; c < in_c; c++) {
            columns[c] = (int16_t)zero_in;
        }
    }
}

/* The same with weights staged in RAM. */
static inline void armv7em_pointwise_staged_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, int16_t *columns, armv7em_gemm *gemm,
    int32_t pixels, int32_t in_c, int32_t out_c, int32_t block, int32_t *staged,
    int32_t four_words)
{
    for (int32_t done = 0; done < pixels; done += block) {
        const int32_t left = pixels - done;
        const int32_t count = left < block ? left : block;
        armv7em_widen_s8(columns, x, count * in_c);
        armv7em_staged_s8(
            columns, stream, y, staged, gemm, count, in_c, out_c, out_c, four_words);
        x += count * in_c;
        y += count * out_c;
    }
}

/* The lines that line i of outputs sees, into the buffer, [width][k_lines][in_c]. */
static inline void armv7em_see_line_s8(
    int16_t *columns, const int8_t *x, int32_t i, int32_t lines, int32_t pixels, int32_t x_line,
    int32_t x_pixel, int32_t in_c, int32_t k_lines, int32_t line_stride, int32_t line_pad,
    int32_t pixel_pad, int32_t width, int32_t zero_in)
{
    const int32_t column = k_lines * in_c;
    /* where few lines stay it is faster to widen them again than to move all */
    const int32_t kept = k_lines >= 2 * line_stride ? k_lines - line_stride : 0;
    if (i > 0 && kept > 0) {
        const int32_t first = line_stride * in_c;
        armv7em_slide(columns, columns + first, (width * column - first) * 2);
    }
    for (int32_t tap = i > 0 ? kept : 0; tap < k_lines; tap++) {
        const int32_t at = i * line_stride - line_pad + tap;
        const int8_t *line = at >= 0 && at < lines ? x + at * x_line : 0;
        armv7em_widen_line_s8(
            columns + tap * in_c, line, pixels, x_pixel, in_c, width, column, pixel_pad, zero_in);
    }
}

/* Convolution of an image of `lines` lines of `pixels` pixels: rows, or columns from top to bottom;
 * the distances of lines and of pixels tell which. The buffer holds the lines that one line of
 * outputs sees, [width][k_lines][in_c], so that what a pixel sees is one run of numbers. */
static inline void armv7em_conv_2d_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, int16_t *columns, armv7em_gemm *gemm,
    int32_t lines, int32_t pixels, int32_t x_line, int32_t x_pixel, int32_t in_c,
    int32_t out_lines, int32_t out_pixels, int32_t y_line, int32_t y_pixel, int32_t k_lines,
    int32_t line_stride, int32_t pixel_stride, int32_t line_pad, int32_t pixel_pad,
    int32_t width, int32_t zero_in)
{
    for (int32_t i = 0; i < out_lines; i++, y += y_line) {
        armv7em_see_line_s8(
            columns, x, i, lines, pixels, x_line, x_pixel, in_c, k_lines, line_stride, line_pad,
            pixel_pad, width, zero_in);
        gemm(columns, stream, y, out_pixels / 2);
        if (out_pixels % 2 != 0) { /* the last pixel, with the one before it again */
            const int32_t last = out_pixels - 2;
            gemm(columns + last * pixel_stride * k_lines * in_c, stream, y + last * y_pixel, 1);
        }
    }
}

/* The same with weights staged in RAM. */
static inline void armv7em_conv_2d_staged_s8(
    const int8_t *x, int8_t *y, const int32_t *stream, int16_t *columns, armv7em_gemm *gemm,
    int32_t lines, int32_t pixels, int32_t x_line, int32_t x_pixel, int32_t in_c,
    int32_t out_lines, int32_t out_pixels, int32_t y_line, int32_t y_pixel, int32_t k_lines,
    int32_t line_stride, int32_t pixel_stride, int32_t line_pad, int32_t pixel_pad,
    int32_t width, int32_t zero_in, int32_t out_c, int32_t *staged, int32_t four_words)
{
    for (int32_t i = 0; i < out_lines; i++, y += y_line) {
        armv7em_see_line_s8(
            columns, x, i, lines, pixels, x_line, x_pixel, in_c, k_lines, line_stride, line_pad,
            pixel_pad, width, zero_in);
        armv7em_staged_s8(
            columns, stream, y, staged, gemm, out_pixels, pixel_stride * k_lines * in_c, out_c,
            y_pixel, four_words);
    }
}
