#include "fixed_point.h"
#include "scalar.h"
/* Requantisation in as few instructions as cores without DSP instructions can do it in; rounds as
 * `requantize_twice` and `requantize_once` do, for multipliers below 1/4. */

/* The high 32 bits of a * q, and of 2 * a * q to nearest, ties upwards; 0 <= q. */
#if SCALAR_ASSEMBLY == 1
/* Armv6-M multiplies 32 bits by 32 to 32 only: products of halves. */
#define SCALAR_SCALING static SCALAR_CALLED
static inline int32_t scalar_high_multiply(int32_t a, int32_t q, int32_t doubled)
{
    const uint32_t a_low = (uint32_t)a & 0xffffu;
    const int32_t a_high = a >> 16;
    const uint32_t q_low = (uint32_t)q & 0xffffu;
    const int32_t q_high = q >> 16;
    const int32_t upper = a_high * (int32_t)q_low + (int32_t)(a_low * q_low >> 16);
    const uint32_t lower = a_low * (uint32_t)q_high + ((uint32_t)upper & 0xffffu);
    const int32_t high = a_high * q_high + (upper >> 16);
    return doubled ? 2 * high + (int32_t)((lower + 0x4000u) >> 15) : high + (int32_t)(lower >> 16);
}
#else
#define SCALAR_SCALING static inline
static inline int32_t scalar_high_multiply(int32_t a, int32_t q, int32_t doubled)
{
    return doubled ? doubling_high_multiply(a, q) : (int32_t)(((int64_t)a * q) >> 32);
}
#endif

/* x * q / 2^31 / 2^(places + 1), rounded twice, ties of the second rounding away from zero. */
SCALAR_SCALING int32_t scalar_requantize_twice(int32_t x, int32_t q, int32_t places)
{
    int32_t scaled = scalar_high_multiply(x, q, 1);
    scaled -= scaled < 0 ? 1 : 0;
    return ((scaled >> places) + 1) >> 1;
}

/* x * q / 2^31 / 2^(places + 1), rounded once, ties upwards; places is 1 or more, or q is 0. */
SCALAR_SCALING int32_t scalar_requantize_once(int32_t x, int32_t q, int32_t places)
{
    return ((scalar_high_multiply(x, q, 0) >> (places - 1)) + 1) >> 1;
}
