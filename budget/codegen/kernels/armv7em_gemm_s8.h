#include "armv7em_requantize.h"
/* Pairs of neighbouring pixels times all channels. The pixels are runs of 2 * steps 16-bit numbers,
 * `pixel` apart, their outputs y_pixel. The stream holds for every four channels A B C D the bias
 * of A and of C, for each step the words A + 256 B and C + 256 D of two weights each, and for A, B
 * and for C, D: twice the multiplier and the power of the first, then bias, multiplier and power of
 * the second. Where out_c is no multiple of four, channels overlap and each four begins with the
 * number of its first channel. */
static inline void armv7em_gemm_s8(
    const int16_t *columns, const int32_t *stream, int8_t *y, int32_t pairs, int32_t steps,
    int32_t pixel, int32_t out_c, int32_t y_pixel, int32_t zero_out, int32_t low, int32_t high, int32_t once)
{
    for (int32_t i = 0; i < 2 * pairs; i++, columns += pixel, y += y_pixel) {
        const int32_t *word = stream;
        for (int32_t four = 0; four < (out_c + 3) / 4; four++) {
            int8_t *to = y + (out_c % 4 != 0 ? *word++ : 4 * four);
            const int32_t biases[2] = {word[0], word[1]};
            const int32_t *scale = word + 2 + 2 * steps;
            for (int32_t pair = 0; pair < 2; pair++, scale += 5) {
                int32_t first = 0;
                int32_t second = 0;
                for (int32_t k = 0; k < 2 * steps; k++) {
                    const int32_t packed = word[2 + (k / 2) * 2 + pair];
                    const int32_t both = (int16_t)(k % 2 != 0 ? packed >> 16 : packed & 0xffff);
                    const int32_t even = (int8_t)(both & 0xff);
                    first += columns[k] * even;
                    second += columns[k] * ((both - even) / 256);
                }
                first = (int32_t)((uint32_t)first + (uint32_t)biases[pair]);
                second = (int32_t)((uint32_t)second + (uint32_t)scale[2]);
                to[2 * pair] = (int8_t)armv7em_requantize(
                    first, scale[0], scale[1], once, zero_out, low, high);
                to[2 * pair + 1] = (int8_t)armv7em_requantize(
                    second, scale[3], scale[4], once, zero_out, low, high);
            }
            word = scale;
        }
    }
}

/* The same of wide weights: for each step one word of two taps for each of A B C D. */
static inline void armv7em_wide_s8(
    const int16_t *columns, const int32_t *stream, int8_t *y, int32_t pairs, int32_t steps,
    int32_t pixel, int32_t out_c, int32_t y_pixel, int32_t zero_out, int32_t low, int32_t high, int32_t once)
{
    for (int32_t i = 0; i < 2 * pairs; i++, columns += pixel, y += y_pixel) {
        const int32_t *word = stream;
        for (int32_t four = 0; four < (out_c + 3) / 4; four++) {
            int8_t *to = y + (out_c % 4 != 0 ? *word++ : 4 * four);
            const int32_t biases[2] = {word[0], word[1]};
            const int32_t *scale = word + 2 + 4 * steps;
            for (int32_t channel = 0; channel < 4; channel++) {
                const int32_t *scales = scale + 5 * (channel / 2) + 3 * (channel % 2);
                uint32_t sum = (uint32_t)(channel % 2 != 0 ? scales[-1] : biases[channel / 2]);
                for (int32_t k = 0; k < 2 * steps; k++) {
                    const int32_t pair = word[2 + (k / 2) * 4 + channel];
                    const int32_t tap = k % 2 != 0 ? pair >> 16 : (int16_t)(pair & 0xffff);
                    sum += (uint32_t)(columns[k] * tap);
                }
                to[channel] = (int8_t)armv7em_requantize(
                    (int32_t)sum, scales[0], scales[1], once, zero_out, low, high);
            }
            word = scale + 10;
        }
    }
}
