/* Matrix products of the kernels: every multiplication of two matrices in `_core` ends up in this file.
 *
 * The functions proper are in products_template.h, which is included once per precision and instruction-set level. What
 * follows it picks the variant of a level.
 */
#ifndef NMF_PRODUCTS_H
#define NMF_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "simd.h"

enum { NMF_SET = 0, NMF_ADD = 1, NMF_SUBTRACT = 2 };

/* Inner dimension handled at once: 256 rows of a skinny factor stay in the first two cache levels. */
#define NMF_DEPTH 256
/* Entries between a prefetched factor row and its use; past a row's end they are the next row's, in the same stripe:
 * a prefetch of what another thread is writing would take it away from there. */
#define NMF_AHEAD 12

#if defined(__GNUC__)
#define NMF_PREFETCH(p) __builtin_prefetch(p)
#define NMF_UNROLL _Pragma("GCC unroll 8")
#define NMF_VECTOR(real, bytes) real __attribute__((vector_size(bytes), aligned(sizeof(real)), may_alias))
#define NMF_LANES(bytes, real) ((bytes) / (int)sizeof(real))
#define NMF_UNROLL16 _Pragma("GCC unroll 16")
/* max(v, 0); a NaN becomes 0 */
#define NMF_POSITIVE(v, bits) ((__typeof__(v))(((v) > 0) & (bits)(v)))
#if __GNUC__ >= 12 || defined(__clang__)
#define NMF_SHUFFLE __builtin_shufflevector
#endif
#else
#define NMF_UNROLL16
#define NMF_POSITIVE(v, bits) ((v) > 0 ? (v) : 0)
/* No vector types: a "vector" is one number, and the same loops stay correct. */
#define NMF_PREFETCH(p)
#define NMF_UNROLL
#define NMF_VECTOR(real, bytes) real
#define NMF_LANES(bytes, real) 1
#endif

#define NMF_JOIN2(a, b, c) a##_##b##c
#define NMF_JOIN(a, b, c) NMF_JOIN2(a, b, c)

#define NMF_REAL float
#define NMF_SIZE 4
#define NMF_INTEGER int32_t
#define NMF_TAG f
#define NMF_LEVEL 0
#include "products_template.h"
#if NMF_LEVELS == 3
#define NMF_LEVEL 1
#include "products_template.h"
#define NMF_LEVEL 2
#include "products_template.h"
#endif
#undef NMF_REAL
#undef NMF_SIZE
#undef NMF_INTEGER
#undef NMF_TAG

#define NMF_REAL double
#define NMF_SIZE 8
#define NMF_INTEGER int64_t
#define NMF_TAG d
#define NMF_LEVEL 0
#include "products_template.h"
#if NMF_LEVELS == 3
#define NMF_LEVEL 1
#include "products_template.h"
#define NMF_LEVEL 2
#include "products_template.h"
#endif
#undef NMF_REAL
#undef NMF_SIZE
#undef NMF_INTEGER
#undef NMF_TAG

/* Rows of less than 32 bytes are too narrow for the halves of AVX-512: AVX2 has vectors of 16. */
#if NMF_LEVELS == 3
#define NMF_PICK(function, tag, level, bytes, ...)                                                                     \
    do {                                                                                                               \
        if ((level) == 2 && (bytes) >= 32)                                                                             \
            function##_##tag##2(__VA_ARGS__);                                                                          \
        else if ((level) > 0)                                                                                          \
            function##_##tag##1(__VA_ARGS__);                                                                          \
        else                                                                                                           \
            function##_##tag##0(__VA_ARGS__);                                                                          \
    } while (0)
#else
#define NMF_PICK(function, tag, level, bytes, ...) function##_##tag##0(__VA_ARGS__)
#endif

#define NMF_DISPATCH(tag, real)                                                                                        \
    static inline void product_##tag(int level, int mode, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t n, const real *A, \
                                     ptrdiff_t row_step, ptrdiff_t step, const real *B, ptrdiff_t ldb, real *C,        \
                                     ptrdiff_t ldc)                                                                    \
    {                                                                                                                  \
        NMF_PICK(product, tag, level, width * (int)sizeof(real), mode, rows, width, n, A, row_step, step, B, ldb, C, ldc); \
    }                                                                                                                  \
    static inline void descend_##tag(int level, ptrdiff_t count, ptrdiff_t k, const int *order, const real *A, real *P, \
                                     const real *Q, real l1, real *V, const real *active)                              \
    {                                                                                                                  \
        NMF_PICK(descend, tag, level, 64, count, k, order, A, P, Q, l1, V, active);                                    \
    }                                                                                                                  \
    static inline void transpose_##tag(int level, ptrdiff_t rows, ptrdiff_t columns, const real *from, ptrdiff_t ldf,  \
                                       real *to, ptrdiff_t ldt)                                                        \
    {                                                                                                                  \
        NMF_PICK(transpose, tag, level, 64, rows, columns, from, ldf, to, ldt);                                        \
    } \
    static inline void extrapolate_##tag(int level, ptrdiff_t rows, ptrdiff_t ld, real beta, const real *scale,        \
                                         const real *before, real *N, real *F)                                         \
    {                                                                                                                  \
        NMF_PICK(extrapolate, tag, level, ld * (int)sizeof(real) % 64 ? 16 : 64, rows, ld, beta, scale, before, N, F); \
    }

#define NMF_DISPATCH_CSR(tag, real, itag, index)                                                                       \
    static inline void gather_##tag##_##itag(int level, ptrdiff_t rows, ptrdiff_t width, const real *data,             \
                                             const index *indices, const index *begin, const index *end,               \
                                             const real *B, ptrdiff_t ldb, real *C, ptrdiff_t ldc)                     \
    {                                                                                                                  \
        NMF_PICK(gather_##itag, tag, level, width * (int)sizeof(real), rows, width, data, indices, begin, end, B, ldb, C, ldc); \
    }                                                                                                                  \
    static inline void scatter_##tag##_##itag(int level, ptrdiff_t rows, ptrdiff_t width, const real *data,            \
                                              const index *indices, const index *begin, const index *end,              \
                                              const real *F, ptrdiff_t ldf, real *S, ptrdiff_t lds)                    \
    {                                                                                                                  \
        NMF_PICK(scatter_##itag, tag, level, width * (int)sizeof(real), rows, width, data, indices, begin, end, F, ldf, S, lds); \
    }

NMF_DISPATCH(f, float)
NMF_DISPATCH(d, double)
NMF_DISPATCH_CSR(f, float, i, int32_t)
NMF_DISPATCH_CSR(f, float, l, int64_t)
NMF_DISPATCH_CSR(d, double, i, int32_t)
NMF_DISPATCH_CSR(d, double, l, int64_t)

#endif
