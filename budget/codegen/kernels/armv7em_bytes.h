#include "armv7em.h"
/* Four bytes as pairs of 16-bit numbers. */

static inline uint32_t armv7em_four_bytes(const int8_t *x)
{
    return (uint32_t)(uint8_t)x[0] | (uint32_t)(uint8_t)x[1] << 8 |
           (uint32_t)(uint8_t)x[2] << 16 | (uint32_t)(uint8_t)x[3] << 24;
}

/* Bytes 0 and 2 of a word as 16-bit numbers. */
static inline uint32_t armv7em_even(uint32_t word)
{
#if ARMV7EM_ASSEMBLY
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
    return halves;
#else
    const uint32_t low = (word & 0xffu) ^ 0x80u;
    const uint32_t high = (word >> 16 & 0xffu) ^ 0x80u;
    return ((low - 0x80u) & 0xffffu) | (high - 0x80u) << 16;
#endif
}

/* Bytes 1 and 3. */
static inline uint32_t armv7em_odd(uint32_t word)
{
#if ARMV7EM_ASSEMBLY
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
    return halves;
#else
    return armv7em_even(word >> 8);
#endif
}

/* Adds bytes 0 and 2 to a pair of 16-bit sums. */
static inline uint32_t armv7em_add_even(uint32_t sums, uint32_t word)
{
#if ARMV7EM_ASSEMBLY
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sums), "r"(word));
    return result;
#else
    const uint32_t halves = armv7em_even(word);
    return ((sums + halves) & 0xffffu) | (((sums >> 16) + (halves >> 16)) << 16);
#endif
}

/* Adds bytes 1 and 3. */
static inline uint32_t armv7em_add_odd(uint32_t sums, uint32_t word)
{
#if ARMV7EM_ASSEMBLY
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sums), "r"(word));
    return result;
#else
    return armv7em_add_even(sums, word >> 8);
#endif
}
