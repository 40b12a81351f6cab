/* What Cython calls: the functions of kernels.h at a level that is known when the program runs. */
#ifndef NMF_DISPATCH_H
#define NMF_DISPATCH_H

#include "kernels.h"

/* The highest level that this processor has. */
static inline int nmf_best_level(void)
{
#if NMF_LEVELS == 3
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 1;
#endif
    return 0;
}

#if NMF_LEVELS == 3
#define NMF_TABLE(table, tag)                                                                                          \
    static const table##_##tag *const table##_of_##tag[] = {&table##_##tag##0, &table##_##tag##1, &table##_##tag##2};
#else
#define NMF_TABLE(table, tag) static const table##_##tag *const table##_of_##tag[] = {&table##_##tag##0};
#endif
NMF_TABLE(nmf_products, f)
NMF_TABLE(nmf_products, d)
NMF_TABLE(nmf_losses, f)
NMF_TABLE(nmf_losses, d)

/* Rows of less than 32 bytes are too narrow for the halves of AVX-512: AVX2 has vectors of 16. */
#define NMF_AT(table, tag, level, bytes) table##_of_##tag[(level) - ((level) == 2 && (bytes) < 32)]

#define NMF_DISPATCH(tag, real)                                                                                        \
    static inline void product_##tag(int level, int mode, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t n, const real *A, \
                                     ptrdiff_t row_step, ptrdiff_t step, const real *B, ptrdiff_t ldb, real *C,        \
                                     ptrdiff_t ldc)                                                                    \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, width * (int)sizeof(real))                                                    \
            ->product(mode, rows, width, n, A, row_step, step, B, ldb, C, ldc);                                        \
    }                                                                                                                  \
    static inline void descend_##tag(int level, ptrdiff_t n_order, ptrdiff_t k, const int *order, const real *gram,    \
                                     real *P, const real *Q, real l1, real *V, const real *active)                     \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, 64)->descend(n_order, k, order, gram, P, Q, l1, V, active);                   \
    }                                                                                                                  \
    static inline void transpose_##tag(int level, ptrdiff_t rows, ptrdiff_t columns, const real *from, ptrdiff_t ldf,  \
                                       real *to, ptrdiff_t ldt)                                                        \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, 64)->transpose(rows, columns, from, ldf, to, ldt);                            \
    }                                                                                                                  \
    static inline void extrapolate_##tag(int level, ptrdiff_t rows, ptrdiff_t ld, real momentum, real least,           \
                                         const real *scale, const real *previous, real *F_new, real *F)                \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, ld * (int)sizeof(real) % 64 ? 16 : 64)                                        \
            ->extrapolate(rows, ld, momentum, least, scale, previous, F_new, F);                                       \
    }                                                                                                                  \
    static inline double dot_##tag(int level, ptrdiff_t n, const real *a, const real *b)                               \
    {                                                                                                                  \
        return NMF_AT(nmf_products, tag, level, 64)->dot(n, a, b);                                                     \
    }                                                                                                                  \
    static inline void gather_##tag(int level, ptrdiff_t rows, ptrdiff_t width, const real *data,                      \
                                    const int32_t *indices, const int64_t *indptr, const real *B, ptrdiff_t ldb,       \
                                    real *C, ptrdiff_t ldc)                                                            \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, width * (int)sizeof(real))                                                    \
            ->gather(rows, width, data, indices, indptr, B, ldb, C, ldc);                                              \
    }                                                                                                                  \
    static inline void scatter_##tag(int level, ptrdiff_t rows, ptrdiff_t width, const real *data,                     \
                                     const int32_t *indices, const int64_t *begin, const int64_t *end, const real *F,  \
                                     ptrdiff_t ldf, real *S, ptrdiff_t lds)                                            \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, width * (int)sizeof(real))                                                    \
            ->scatter(rows, width, data, indices, begin, end, F, ldf, S, lds);                                         \
    }                                                                                                                  \
    static inline void double_dots_##tag(int level, ptrdiff_t count, ptrdiff_t last, ptrdiff_t k,                      \
                                         const int32_t *indices, const real *f, const real *B, ptrdiff_t ldb,          \
                                         double *y)                                                                    \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, 64)                                                                           \
            ->double_dots(count, last, k, indices, f, B, ldb, y);                                                      \
    }                                                                                                                  \
    static inline int pivot_rows_##tag(int level, int rule, ptrdiff_t k, ptrdiff_t rows, const real *gram,             \
                                       const real *b, int max_steps, real *x, real *scratch)                           \
    {                                                                                                                  \
        return NMF_AT(nmf_products, tag, level, 64)                                                                    \
            ->pivot_rows(rule, k, rows, gram, b, max_steps, x, scratch);                                               \
    }                                                                                                                  \
    /* Numbers in a vector. */                                                                                         \
    static inline int lanes_##tag(int level)                                                                           \
    {                                                                                                                  \
        return NMF_LANES(NMF_BYTES_AT(level), real);                                                                   \
    }                                                                                                                  \
    static inline void entry_parts_##tag(int level, int part, double beta, double floor, ptrdiff_t count,              \
                                         const real *x, real *y, real *T, double *sum)                                 \
    {                                                                                                                  \
        NMF_AT(nmf_losses, tag, level, 64)->entry_parts(part, beta, floor, count, x, y, T, sum);                       \
    }                                                                                                                  \
    static inline void model_sums_##tag(int level, double beta, int by_partner, const real *floors,                    \
                                        ptrdiff_t partners, ptrdiff_t k, const real *G, ptrdiff_t ldg, const real *P,  \
                                        ptrdiff_t ldp, ptrdiff_t items, real *out, ptrdiff_t ldo, double *worth)       \
    {                                                                                                                  \
        NMF_AT(nmf_losses, tag, level, 64)->model_sums(beta, by_partner, floors, partners, k, G, ldg, P, ldp, items,   \
                                                       out, ldo, worth);                                               \
    }                                                                                                                  \
    static inline double multiply_##tag(int level, ptrdiff_t k, real *f, real *grown, const real *numerator,           \
                                        const real *denominator, const real *sums, const real *free, real l1, real l2, \
                                        real exponent, real den_power, real guard, real share)                         \
    {                                                                                                                  \
        return NMF_AT(nmf_losses, tag, level, 64)->multiply(k, f, grown, numerator, denominator, sums, free, l1, l2,   \
                                                            exponent, den_power, guard, share);                        \
    }                                                                                                                  \
    static inline void newton_dense_##tag(int level, int across, const nmf_newton *job, const real *X,                 \
                                          ptrdiff_t row_step, ptrdiff_t step, ptrdiff_t m, const real *H,              \
                                          ptrdiff_t ldh, ptrdiff_t first, ptrdiff_t rows, real *scratch,               \
                                          double *report)                                                              \
    {                                                                                                                  \
        NMF_AT(nmf_losses, tag, level, 64)->newton_dense(across, job, X, row_step, step, m, H, ldh, first, rows,       \
                                                         scratch, report);                                             \
    }                                                                                                                  \
    static inline void row_dots_##tag(int level, ptrdiff_t width, ptrdiff_t count, ptrdiff_t readable,                 \
                                      const int32_t *indices, const real *f, const real *B, ptrdiff_t ld, real *y)     \
    {                                                                                                                  \
        NMF_AT(nmf_losses, tag, level, width * (int)sizeof(real))                                                      \
            ->row_dots(width, count, readable, indices, f, B, ld, y);                                                  \
    }                                                                                                                  \
    static inline void row_numerator_##tag(int level, double beta, double floor, ptrdiff_t width, ptrdiff_t count,     \
                                           ptrdiff_t readable, const real *x, const int32_t *indices, const real *f,   \
                                           const real *B, ptrdiff_t ld, real *num, real *S, double *sum)               \
    {                                                                                                                  \
        NMF_AT(nmf_losses, tag, level, width * (int)sizeof(real))                                                      \
            ->row_numerator(beta, floor, width, count, readable, x, indices, f, B, ld, num, S, sum);                   \
    }                                                                                                                  \
    static inline void newton_csr_##tag(int level, int across, const nmf_newton *job, const real *data,                \
                                        const int32_t *indices, const int64_t *indptr, const int64_t *rows,            \
                                        ptrdiff_t count, real *scratch, double *report)                                \
    {                                                                                                                  \
        NMF_AT(nmf_losses, tag, level, 64)->newton_csr(across, job, data, indices, indptr, rows, count, scratch,       \
                                                       report);                                                        \
    }                                                                                                                  \
    static inline void observed_hals_##tag(int level, const nmf_observed *job, const real *data, const real *weights,  \
                                           const int32_t *indices, const int64_t *indptr, ptrdiff_t first,             \
                                           ptrdiff_t end, real *scratch, double *report)                               \
    {                                                                                                                  \
        NMF_AT(nmf_products, tag, level, 64)->observed_hals(job, data, weights, indices, indptr, first, end, scratch,  \
                                                            report);                                                   \
    }

NMF_DISPATCH(f, float)
NMF_DISPATCH(d, double)

static inline double losses_d(int level, int part, double beta, double floor, ptrdiff_t count, const double *x,
                              const double *y, const double *weights)
{
    return NMF_AT(nmf_losses, d, level, 64)->losses(part, beta, floor, count, x, y, weights);
}

#endif
