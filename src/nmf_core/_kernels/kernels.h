/* The kernels that need vector types, which Cython lacks: products of matrices, elementary functions, coordinate steps.
 *
 * The functions proper are in templates, which products.c and losses.c compile for one precision at one instruction-set
 * level each. Such a unit offers a table of its functions; what Cython calls, in dispatch.h, looks them up.
 */
#ifndef NMF_KERNELS_H
#define NMF_KERNELS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "simd.h"
#if NMF_LEVELS == 3
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Let this thread's results below the normal numbers become zero, where the processor can: they cost a hundred times as
 * much as others, and models of fading components are full of them. On aarch64 such numbers are also read as zeros.
 * Returns the mode to restore. */
static NMF_INLINE unsigned int nmf_flush_underflow(void)
{
#if NMF_LEVELS == 3
    const unsigned int mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8000);
    return mode;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | UINT64_C(1) << 24) : "memory");
    return (unsigned int)mode;
#else
    return 0;
#endif
}

static NMF_INLINE void nmf_restore_underflow(unsigned int mode)
{
#if NMF_LEVELS == 3
    _mm_setcsr(mode);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode) : "memory");
#else
    (void)mode;
#endif
}

enum { NMF_SET = 0, NMF_ADD = 1, NMF_SUBTRACT = 2 };
/* Parts of a loss: see elementary_template.h. */
enum { NMF_LOSS = 0, NMF_MODEL = 1, NMF_EXCESS = 2 };
/* Of rows with missing entries so many are swept in step, as long as there are at most NARROW components; their entries
 * are taken CHUNK by CHUNK, and from LONG on added up in double: see observed_template.h. */
enum { NMF_OBSERVED_ROWS = 4, NMF_OBSERVED_NARROW = 64, NMF_OBSERVED_CHUNK = 64, NMF_OBSERVED_LONG = 1024 };
/* Stored entries of a row whose terms are added up in one precision; the sums of such pieces are added then. */
#define NMF_PIECE 1024
/* Rows of a factor over which sums are taken in registers; sums of such pieces are added then. A piece of X in CSR has a
 * multiple of these rows: the order of additions is the same however rows are dealt out. */
#define NMF_PARTNERS 128
/* Rules of pivoting: see pivot_template.h. */
enum { NMF_BLOCK = 0, NMF_ACTIVE = 1 };
/* How the rows of a tile lie in vectors: see newton_template.h. */
enum { NMF_LANE = 0, NMF_ACROSS = 1, NMF_SHARED = 2 };

/* Inner dimension handled at once: 256 rows of a skinny factor stay in the first two cache levels. */
#define NMF_DEPTH 256
/* An inner index is long from here on: what is read next is then worth asking for. */
#define NMF_LONG 100
/* Entries between a prefetched factor row and its use. */
#define NMF_AHEAD 12
/* Coordinates whose gradients come from one product of matrices, corrected by a triangle afterwards. */
#define NMF_GROUP 4
/* Vectors of rows in a tile that is swept: those of a group of coordinates fill half of the registers. */
#define NMF_WIDE_AT(level) (NMF_REGISTERS_AT(level) / (2 * NMF_GROUP))
/* Lines of factor rows that a sparse product has asked for and not used yet. */
#define NMF_LINES 128
/* Which entries those are. */
enum { NMF_STRAIGHT = 1, NMF_WALK = 2 };

#define NMF_PREFETCH(p) __builtin_prefetch(p)
#define NMF_PREFETCH_FAR(p) __builtin_prefetch(p, 0, 2)
#define NMF_UNROLL _Pragma("GCC unroll 8")
/* Where gcc would read so many numbers ahead on aarch64 that accumulators had to leave their registers. */
#if defined(__aarch64__)
#define NMF_IN_ORDER __asm__ volatile("" : : : "memory")
#else
#define NMF_IN_ORDER ((void)0)
#endif
#define NMF_VECTOR(real, bytes) real __attribute__((vector_size(bytes), aligned(sizeof(real)), may_alias))
#define NMF_LANES(bytes, real) ((bytes) / (int)sizeof(real))
/* Rows of a tile at a level: what Cython gives to `descend` and what that takes. */
#define NMF_TILE_ROWS(level, real) (NMF_WIDE_AT(level) * NMF_LANES(NMF_BYTES_AT(level), real))
/* Lanes of the vectors a and b, by their numbers. */
#if defined(__clang__) || __GNUC__ >= 12
#define NMF_SHUFFLE __builtin_shufflevector
#else
#define NMF_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (NMF_NAME(bits)){__VA_ARGS__})
#endif
#define NMF_UNROLL16 _Pragma("GCC unroll 16")
#define NMF_UNROLL24 _Pragma("GCC unroll 24")
#define NMF_UNROLL1 _Pragma("GCC unroll 1")
/* max(v, 0); a NaN becomes 0 */
#define NMF_POSITIVE(v, bits) ((__typeof__(v))(((v) > 0) & (bits)(v)))

/* Asks for memory that will be wanted in some thousand cycles: into the second cache level. */
static NMF_INLINE void nmf_ask_for(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        NMF_PREFETCH_FAR((const char *)from + i);
}

/* An entry of rows in CSR, and where the row that it is in ends. */
typedef struct {
    ptrdiff_t row, entry, stop;
} nmf_place;

/* What coordinate steps for the Kullback-Leibler divergence need besides a tile of rows: see newton_template.h. Pointers to
 * numbers are untyped: the functions that use them know the precision. */
typedef struct {
    ptrdiff_t k, ld, n_order;
    const int *order;      /* the components to update, in this order */
    const void *G;         /* (columns, ld), the fixed factor */
    const void *sums;      /* what each component adds to the divergence by its size: k numbers, for every row or for all */
    const void *l2;        /* for every row */
    const void *start;     /* rows from which to go */
    const void *previous;  /* the improved rows of the last time, for extrapolation */
    const void *scale;     /* ld */
    void *F;               /* takes the rows */
    void *F_new;           /* takes the rows before extrapolation; NULL: no extrapolation */
    const void *floors;    /* for every row, the least that its model counts as */
    double momentum, tol;
    ptrdiff_t sums_step;   /* from the sums of one row to those of the next, 0 where they are the same for all */
    int max_sweeps, damped, measure;
} nmf_newton;

/* What coordinate descent on rows with missing entries needs besides their entries: see observed_template.h. */
typedef struct {
    ptrdiff_t k, ld, ldb, n_order; /* ldb: k + 1, or ld, filled up to whole vectors */
    const int *order;              /* the components to update, in this order */
    const void *G;                 /* (columns, ld), the fixed factor */
    const void *start;             /* rows from which to go */
    const void *previous;          /* the improved rows of the last time, for extrapolation */
    const void *scale;             /* ldb */
    const void *lower;             /* ldb, bounds of the components: zero, or minus infinity, then without l1 penalty */
    const void *amounts;           /* for every row, what its penalties are multiplied by */
    void *F;                       /* takes the rows */
    void *F_new;                   /* takes the rows before extrapolation; NULL: no extrapolation */
    double l1, l2, momentum, tol;
    int max_sweeps;
} nmf_observed;

/* What products.c offers: products of matrices, and coordinate descent, pivoting and copies on tiles of rows. */
#define NMF_PRODUCTS(tag, real)                                                                                        \
    typedef struct {                                                                                                   \
        void (*product)(int mode, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t n, const real *A, ptrdiff_t row_step,     \
                        ptrdiff_t step, const real *B, ptrdiff_t ldb, real *C, ptrdiff_t ldc);                         \
        void (*gather)(ptrdiff_t rows, ptrdiff_t width, const real *data, const int32_t *indices,                      \
                       const int64_t *indptr, const real *B, ptrdiff_t ldb, real *C, ptrdiff_t ldc);                   \
        void (*scatter)(ptrdiff_t rows, ptrdiff_t width, const real *data, const int32_t *indices,                     \
                        const int64_t *begin, const int64_t *end, const real *F, ptrdiff_t ldf, real *S,               \
                        ptrdiff_t lds);                                                                                \
        void (*descend)(ptrdiff_t n_order, ptrdiff_t k, const int *order, const real *gram, real *P, const real *Q,    \
                        real l1, real *V, const real *active);                                                         \
        void (*transpose)(ptrdiff_t rows, ptrdiff_t columns, const real *from, ptrdiff_t ldf, real *to,                \
                          ptrdiff_t ldt);                                                                              \
        void (*extrapolate)(ptrdiff_t rows, ptrdiff_t ld, real momentum, real least, const real *scale,                \
                            const real *previous, real *F_new, real *F);                                               \
        double (*dot)(ptrdiff_t n, const real *a, const real *b);                                                      \
        void (*double_dots)(ptrdiff_t count, ptrdiff_t last, ptrdiff_t k, const int32_t *indices, const real *f,       \
                            const real *B, ptrdiff_t ldb, double *y);                                                  \
        void (*observed_hals)(const nmf_observed *job, const real *data, const real *weights, const int32_t *indices,  \
                              const int64_t *indptr, ptrdiff_t first, ptrdiff_t end, real *scratch, double *report);   \
        int (*pivot_rows)(int rule, ptrdiff_t k, ptrdiff_t rows, const real *gram, const real *b, int max_steps,       \
                          real *x, real *scratch);                                                                     \
    } nmf_products_##tag;                                                                                              \
    extern const nmf_products_##tag nmf_products_##tag##0, nmf_products_##tag##1, nmf_products_##tag##2;

/* What losses.c offers: the parts of gradients, multiplicative updates, Newton steps, divergences. */
#define NMF_LOSSES(tag, real)                                                                                          \
    typedef struct {                                                                                                   \
        void (*entry_parts)(int part, double beta, double floor, ptrdiff_t count, const real *x, real *y, real *T,     \
                            double *sum);                                                                              \
        void (*model_sums)(double beta, int by_partner, const real *floors, ptrdiff_t partners, ptrdiff_t k,           \
                           const real *G, ptrdiff_t ldg, const real *P, ptrdiff_t ldp, ptrdiff_t items, real *out,     \
                           ptrdiff_t ldo, double *worth);                                                              \
        void (*row_dots)(ptrdiff_t width, ptrdiff_t count, ptrdiff_t readable, const int32_t *indices, const real *f,  \
                         const real *B, ptrdiff_t ld, real *y);                                                        \
        void (*row_numerator)(double beta, double floor, ptrdiff_t width, ptrdiff_t count, ptrdiff_t readable,         \
                              const real *x, const int32_t *indices, const real *f, const real *B, ptrdiff_t ld,       \
                              real *num, real *S, double *sum);                                                        \
        double (*multiply)(ptrdiff_t k, real *f, real *grown, const real *numerator, const real *denominator,          \
                           const real *sums, const real *free, real l1, real l2, real exponent, real den_power,        \
                           real guard, real share);                                                                    \
        void (*newton_dense)(int across, const nmf_newton *job, const real *X, ptrdiff_t row_step, ptrdiff_t step,     \
                             ptrdiff_t m, const real *H, ptrdiff_t ldh, ptrdiff_t first, ptrdiff_t rows,               \
                             real *scratch, double *report);                                                           \
        void (*newton_csr)(int across, const nmf_newton *job, const real *data, const int32_t *indices,                \
                           const int64_t *indptr, const int64_t *rows, ptrdiff_t count, real *scratch,                 \
                           double *report);                                                                            \
        double (*losses)(int part, double beta, double floor, ptrdiff_t count, const double *x, const double *y,       \
                         const double *weights); /* of double only, NULL of float */                                   \
    } nmf_losses_##tag;                                                                                                \
    extern const nmf_losses_##tag nmf_losses_##tag##0, nmf_losses_##tag##1, nmf_losses_##tag##2;

/* What _rows.pyx offers; job: a Job of job.pxi. */
void nmf_improve_rows_f(const void *job, float *F, const float *cross, ptrdiff_t begin, ptrdiff_t n_rows, float *scratch,
                        double *report);
void nmf_improve_rows_d(const void *job, double *F, const double *cross, ptrdiff_t begin, ptrdiff_t n_rows,
                        double *scratch, double *report);

NMF_PRODUCTS(f, float)
NMF_PRODUCTS(d, double)
NMF_LOSSES(f, float)
NMF_LOSSES(d, double)

#endif
