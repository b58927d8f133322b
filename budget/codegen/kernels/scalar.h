/* Cores without DSP instructions take the assembly that follows: Armv7-M (2) or Armv6-M (1, whose
 * instructions Armv8-M Baseline has, too); everything else takes the plain C beside it. */
#if defined(__ARM_ARCH_PROFILE) && defined(__GNUC__) && !defined(__ARM_FEATURE_DSP)
#if __ARM_ARCH_PROFILE == 'M'
#define SCALAR_ASSEMBLY __ARM_ARCH_ISA_THUMB
#endif
#endif
#ifndef SCALAR_ASSEMBLY
#define SCALAR_ASSEMBLY 0
#endif

#if SCALAR_ASSEMBLY
/* The whole body is assembly: the compiler adds no entry and no exit. */
#ifdef __clang__
#define SCALAR_FUNCTION __attribute__((naked, noinline, unused))
#else
#define SCALAR_FUNCTION __attribute__((naked, noinline, noipa, unused))
#endif
#define SCALAR_UNUSED __attribute__((unused))
#endif

/* Functions of which one copy serves all callers: they are long, or need all registers there are. */
#if defined(__clang__)
#define SCALAR_CALLED __attribute__((noinline, unused))
#elif defined(__GNUC__)
#define SCALAR_CALLED __attribute__((noinline, noclone, unused))
#else
#define SCALAR_CALLED
#endif
