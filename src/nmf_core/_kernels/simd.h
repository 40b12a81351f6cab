/* Instruction-set levels of the kernels, chosen at run time.
 *
 * Level 0 is plain C for whatever the wheel was built for (SSE2, or NEON on aarch64), level 1 is AVX2 + FMA, level 2 is
 * AVX-512. Functions of a level carry its target attribute, so one object file holds all three and no compiler flag raises
 * the baseline.
 */
#ifndef NMF_SIMD_H
#define NMF_SIMD_H

/* On Windows MSVC has no vector types, gcc does not align the stack to which it spills them (its bug 54412), and clang
 * has not been tried. */
#if defined(_WIN32) || (!defined(__clang__) && (!defined(__GNUC__) || __GNUC__ < 9))
#error "nmf-core needs gcc 9 or later, or clang, on Linux or macOS: its kernels are written with their vector types"
#endif

#define NMF_INLINE inline __attribute__((always_inline))
#define NMF_ALIGNED(bytes) __attribute__((aligned(bytes)))

#if defined(__x86_64__)
#define NMF_LEVELS 3
#define NMF_AVX2 __attribute__((target("avx2,fma")))
#if defined(__clang__)
/* clang drops a whole target attribute that contains prefer-vector-width */
#define NMF_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512cd,avx2,fma"), min_vector_width(512)))
#else
#define NMF_AVX512 \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512cd,avx2,fma,prefer-vector-width=512")))
#endif
#else
#define NMF_LEVELS 1
#define NMF_AVX2
#define NMF_AVX512
#endif

/* Bytes of a vector at a level, and vectors that the registers hold. */
#define NMF_BYTES_AT(level) (16 << (level))
#if defined(__aarch64__)
#define NMF_REGISTERS_AT(level) 32
#else
#define NMF_REGISTERS_AT(level) ((level) == 2 ? 32 : 16)
#endif

#endif
