#include "armv7em.h"
/* Activations as 16-bit numbers, the form in which SMLAD takes them. */

#if ARMV7EM_ASSEMBLY
/* count (a multiple of 4) bytes of x; each four a b c d become a c b d, what SXTB16 gives. */
static ARMV7EM_FUNCTION void armv7em_widen_s8(
    int16_t *columns ARMV7EM_UNUSED, const int8_t *x ARMV7EM_UNUSED, int32_t count ARMV7EM_UNUSED)
{
    __asm__ volatile("push {r4-r11, lr}\n"
                     "subs r2, #16\n"
                     "blt 2f\n"
                     "1:\n"
                     "ldr r4, [r1, #4]\n"
                     "ldr r5, [r1, #8]\n"
                     "ldr r6, [r1, #12]\n"
                     "ldr r3, [r1], #16\n"
                     "sxtb16 r8, r3, ror #8\n"
                     "sxtb16 r7, r3\n"
                     "sxtb16 r9, r4\n"
                     "sxtb16 r10, r4, ror #8\n"
                     "sxtb16 r11, r5\n"
                     "sxtb16 r12, r5, ror #8\n"
                     "sxtb16 lr, r6\n"
                     "sxtb16 r6, r6, ror #8\n"
                     "str r8, [r0, #4]\n"
                     "str r9, [r0, #8]\n"
                     "str r10, [r0, #12]\n"
                     "str r11, [r0, #16]\n"
                     "str r12, [r0, #20]\n"
                     "str lr, [r0, #24]\n"
                     "str r6, [r0, #28]\n"
                     "str r7, [r0], #32\n"
                     "subs r2, #16\n"
                     "bge 1b\n"
                     "2:\n"
                     "adds r2, #16\n"
                     "beq 4f\n"
                     "3:\n"
                     "ldr r3, [r1], #4\n"
                     "sxtb16 r4, r3\n"
                     "sxtb16 r5, r3, ror #8\n"
                     "str r5, [r0, #4]\n"
                     "str r4, [r0], #8\n"
                     "subs r2, #4\n"
                     "bne 3b\n"
                     "4:\n"
                     "pop {r4-r11, pc}\n");
}

/* Moves bytes, an even number, towards lower addresses; two more may be moved. */
static ARMV7EM_FUNCTION void armv7em_slide(
    int16_t *to ARMV7EM_UNUSED, const int16_t *from ARMV7EM_UNUSED, int32_t bytes ARMV7EM_UNUSED)
{
    __asm__ volatile("push {r4-r10, lr}\n"
                     "subs r2, #32\n"
                     "blt 2f\n"
                     "1:\n"
                     "ldr r4, [r1, #4]\n"
                     "ldr r5, [r1, #8]\n"
                     "ldr r6, [r1, #12]\n"
                     "ldr r7, [r1, #16]\n"
                     "ldr r8, [r1, #20]\n"
                     "ldr r9, [r1, #24]\n"
                     "ldr r10, [r1, #28]\n"
                     "ldr r3, [r1], #32\n"
                     "stm r0!, {r3-r10}\n"
                     "subs r2, #32\n"
                     "bge 1b\n"
                     "2:\n"
                     "adds r2, #32\n"
                     "ble 4f\n"
                     "3:\n"
                     "ldr r3, [r1], #4\n"
                     "str r3, [r0], #4\n"
                     "subs r2, #4\n"
                     "bgt 3b\n"
                     "4:\n"
                     "pop {r4-r10, pc}\n");
}

/* Copies words. */
static ARMV7EM_FUNCTION void armv7em_stage(
    int32_t *to ARMV7EM_UNUSED, const int32_t *from ARMV7EM_UNUSED, int32_t words ARMV7EM_UNUSED)
{
    __asm__ volatile("push {r4-r9, lr}\n"
                     "subs r2, #8\n"
                     "blt 2f\n"
                     "1:\n"
                     "ldm r1!, {r3-r9, r12}\n"
                     "stm r0!, {r3-r9, r12}\n"
                     "subs r2, #8\n"
                     "bge 1b\n"
                     "2:\n"
                     "adds r2, #8\n"
                     "ble 4f\n"
                     "3:\n"
                     "ldr r3, [r1], #4\n"
                     "str r3, [r0], #4\n"
                     "subs r2, #1\n"
                     "bgt 3b\n"
                     "4:\n"
                     "pop {r4-r9, pc}\n");
}
#else
static inline void armv7em_stage(int32_t *to, const int32_t *from, int32_t words)
{
    for (int32_t i = 0; i < words; i++) {
        to[i] = from[i];
    }
}

static inline void armv7em_widen_s8(int16_t *columns, const int8_t *x, int32_t count)
{
    for (int32_t i = 0; i < count; i += 4) {
        columns[i] = x[i];
        columns[i + 1] = x[i + 2];
        columns[i + 2] = x[i + 1];
        columns[i + 3] = x[i + 3];
    }
}

static inline void armv7em_slide(int16_t *to, const int16_t *from, int32_t bytes)
{
    for (int32_t i = 0; i < bytes / 2; i++) {
        to[i] = from[i];
    }
}
#endif
