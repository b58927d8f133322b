/* Cores of the Armv7E-M and Armv8-M architectures with the DSP extension take the assembly that
 * follows; everything else takes the plain C beside it, which reads the same tables. */
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && defined(__GNUC__)
#if __ARM_ARCH_PROFILE == 'M'
#define ARMV7EM_ASSEMBLY 1
#endif
#endif
#ifndef ARMV7EM_ASSEMBLY
#define ARMV7EM_ASSEMBLY 0
#endif

#if ARMV7EM_ASSEMBLY
/* The whole body is assembly: the compiler adds no entry and no exit. */
#ifdef __clang__
#define ARMV7EM_FUNCTION __attribute__((naked, noinline, unused))
#else
#define ARMV7EM_FUNCTION __attribute__((naked, noinline, noipa, unused))
#endif
#define ARMV7EM_UNUSED __attribute__((unused))
#endif
