#include "fixed_point.h"
/* As the assembly scales: `twice` is two times the multiplier, modulo 2^32, `power` is
 * 2^(32 - shift), or 0 where the multiplier is 0. Rounds twice, or once as fully connected layers
 * do on the host. */
static inline int32_t armv7em_requantize(
    int32_t x, int32_t twice, int32_t power, int32_t once, int32_t zero_out, int32_t low,
    int32_t high)
{
    const int32_t q = (int32_t)((uint32_t)twice >> 1);
    const int64_t product = (int64_t)x * q;
    int32_t scaled = once ? (int32_t)(product >> 31) : doubling_high_multiply(x, q);
    scaled += !once && scaled < 0 ? -1 : 0;
    scaled = (int32_t)(((int64_t)scaled * power + ((int64_t)1 << 31)) >> 32);
    return clamp_i32(scaled + zero_out, low, high);
}
