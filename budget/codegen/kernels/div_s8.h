#include "gemmlowp.h"
/* a / b through the reciprocal of b, rounded twice; a zero divisor gives an end of the range. A
 * step of 0 repeats one element of a or b. */
static inline void div_s8(
    const int8_t *a, const int8_t *b, int8_t *y, int32_t count, int32_t step_a, int32_t step_b,
    int32_t zero_a, int32_t zero_b, int32_t zero_out, int32_t q, int32_t shift, int32_t low,
    int32_t high)
{
    for (int32_t i = 0; i < count; i++, a += step_a, b += step_b) {
        const int32_t sign = *b < zero_b ? -1 : 1;
        const int32_t dividend = sign * (*a - zero_a);
        const int32_t divisor = sign * (*b - zero_b);
        if (divisor == 0) {
            y[i] = (int8_t)(dividend < 0 ? low : high);
            continue;
        }
        const int32_t up = leading_zeros(divisor);
        const int32_t minus_one = (int32_t)(((uint32_t)divisor << up) - ((uint32_t)1 << 31));
        const int32_t room = sign_bits(dividend);
        const int32_t quotient = requantize_twice(dividend, one_over_one_plus(minus_one), room);
        const int32_t last = shift - (31 - up) - room;
        const int32_t scaled = last < -31 ? 0 : requantize_twice(quotient, q, last);
        y[i] = (int8_t)clamp_i32(scaled + zero_out, low, high);
    }
}
