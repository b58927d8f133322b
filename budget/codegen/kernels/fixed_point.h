/* Requantisation: x times a real multiplier m = q * 2^(shift - 31), rounded as TensorFlow Lite's
 * kernels round it; q lies in [2^30, 2^31), or is 0. Right shifts of negative numbers must be
 * arithmetic, as they are with every compiler this code has been built with. */

/* The high 32 bits of 2 * a * b, to nearest, ties upwards; not both may be INT32_MIN. */
static inline int32_t doubling_high_multiply(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^exponent, to nearest, ties away from zero; exponent is 0 to 31. */
static inline int32_t rounding_shift_right(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)(((int64_t)1 << exponent) - 1);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* Rounds twice: convolutions, additions, products. */
static inline int32_t requantize_twice(int32_t x, int32_t q, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int32_t shifted = (int32_t)((uint32_t)x << left);
    return rounding_shift_right(doubling_high_multiply(shifted, q), right);
}

/* Rounds the 64-bit product once, ties upwards: fully connected layers on the host. */
static inline int32_t requantize_once(int32_t x, int32_t q, int32_t shift)
{
    const int32_t total = 31 - shift;
    const int64_t rounding = (int64_t)1 << (total - 1);
    return (int32_t)(((int64_t)x * q + rounding) >> total);
}

/* Rounds a 64-bit product once, ties upwards: x * q / 2^total with 0 < total < 63. */
static inline int32_t requantize_wide(int64_t x, int32_t q, int32_t total)
{
    const uint64_t product = (uint64_t)x * (uint64_t)(int64_t)q;
    return (int32_t)((int64_t)(product + ((uint64_t)1 << (total - 1))) >> total);
}

/* A 64-bit sum, by `requantize_wide` or, where its bias has 32 bits, as a 32-bit sum. */
static inline int32_t requantize_sum(int64_t x, int32_t q, int32_t shift, int32_t is_wide)
{
    return is_wide ? requantize_wide(x, q, shift) : requantize_twice((int32_t)x, q, shift);
}

static inline int32_t clamp_i32(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : x);
}
