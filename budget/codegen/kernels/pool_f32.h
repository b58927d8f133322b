#include "real.h"
/* Average over the part of each window that lies in the image. */
static inline void average_pool_2d_f32(
    const float *x, float *y, int32_t batch, int32_t in_h, int32_t in_w, int32_t channels,
    int32_t out_h, int32_t out_w, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w,
    int32_t pad_top, int32_t pad_left, float low, float high)
{
    for (int32_t n = 0; n < batch; n++) {
        const float *image = x + n * in_h * in_w * channels;
        for (int32_t row = 0; row < out_h; row++) {
            for (int32_t column = 0; column < out_w; column++) {
                for (int32_t c = 0; c < channels; c++) {
                    float sum = 0.0f;
                    int32_t count = 0;
                    for (int32_t tap_h = 0; tap_h < k_h; tap_h++) {
                        const int32_t h = row * stride_h - pad_top + tap_h;
                        for (int32_t tap_w = 0; tap_w < k_w; tap_w++) {
                            const int32_t v = column * stride_w - pad_left + tap_w;
                            if (h < 0 || h >= in_h || v < 0 || v >= in_w) {
                                continue;
                            }
                            sum += image[(h * in_w + v) * channels + c];
                            count++;
                        }
                    }
                    *y++ = clamp_f32(sum / (float)count, low, high);
                }
            }
        }
    }
}

/* The largest value of each window's part that lies in the image. */
static inline void max_pool_2d_f32(
    const float *x, float *y, int32_t batch, int32_t in_h, int32_t in_w, int32_t channels,
    int32_t out_h, int32_t out_w, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w,
    int32_t pad_top, int32_t pad_left, float low, float high)
{
    for (int32_t n = 0; n < batch; n++) {
        const float *image = x + n * in_h * in_w * channels;
        for (int32_t row = 0; row < out_h; row++) {
            for (int32_t column = 0; column < out_w; column++) {
                for (int32_t c = 0; c < channels; c++) {
                    float largest = -INFINITY;
                    for (int32_t tap_h = 0; tap_h < k_h; tap_h++) {
                        const int32_t h = row * stride_h - pad_top + tap_h;
                        for (int32_t tap_w = 0; tap_w < k_w; tap_w++) {
                            const int32_t v = column * stride_w - pad_left + tap_w;
                            if (h < 0 || h >= in_h || v < 0 || v >= in_w) {
                                continue;
                            }
                            const float value = image[(h * in_w + v) * channels + c];
                            largest = value > largest ? value : largest;
                        }
                    }
                    *y++ = clamp_f32(largest, low, high);
                }
            }
        }
    }
}

/* Root of the mean of squares over the part of each window that lies in the image. */
static inline void l2_pool_2d_f32(
    const float *x, float *y, int32_t batch, int32_t in_h, int32_t in_w, int32_t channels,
    int32_t out_h, int32_t out_w, int32_t k_h, int32_t k_w, int32_t stride_h, int32_t stride_w,
    int32_t pad_top, int32_t pad_left, float low, float high)
{
    for (int32_t n = 0; n < batch; n++) {
        const float *image = x + n * in_h * in_w * channels;
        for (int32_t row = 0; row < out_h; row++) {
            for (int32_t column = 0; column < out_w; column++) {
                for (int32_t c = 0; c < channels; c++) {
                    float sum = 0.0f;
                    int32_t count = 0;
                    for (int32_t tap_h = 0; tap_h < k_h; tap_h++) {
                        const int32_t h = row * stride_h - pad_top + tap_h;
                        for (int32_t tap_w = 0; tap_w < k_w; tap_w++) {
                            const int32_t v = column * stride_w - pad_left + tap_w;
                            if (h < 0 || h >= in_h || v < 0 || v >= in_w) {
                                continue;
                            }
                            const float value = image[(h * in_w + v) * channels + c];
                            sum += value * value;
                            count++;
                        }
                    }
                    *y++ = clamp_f32(sqrtf(sum / (float)count), low, high);
                }
            }
        }
    }
}
