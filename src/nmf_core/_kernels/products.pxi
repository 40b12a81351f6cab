# What dispatch.h and simd.h offer for products, and the same under one name for both precisions.

cdef extern from "simd.h" nogil:
    # Only a return type carries attributes through Cython: a function of this "type" belongs to a level.
    ctypedef void inlined "NMF_INLINE void"
    ctypedef void avx2 "NMF_AVX2 void"
    ctypedef void avx512 "NMF_AVX512 void"

cdef extern from "dispatch.h" nogil:
    int nmf_best_level()
    enum:
        SET "NMF_SET"
        ADD "NMF_ADD"
        SUBTRACT "NMF_SUBTRACT"
        BLOCK "NMF_BLOCK"
        ACTIVE "NMF_ACTIVE"
    void ask_for "nmf_ask_for"(const void* start, size_t size)
    int lanes_f(int level)
    int lanes_d(int level)
    void product_f(int level, int mode, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t n, const float* A,
                   Py_ssize_t row_step, Py_ssize_t step, const float* B, Py_ssize_t ldb, float* C, Py_ssize_t ldc)
    void product_d(int level, int mode, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t n, const double* A,
                   Py_ssize_t row_step, Py_ssize_t step, const double* B, Py_ssize_t ldb, double* C, Py_ssize_t ldc)
    void descend_f(int level, Py_ssize_t n_order, Py_ssize_t k, const int* order, const float* gram, float* P,
                   const float* Q, float l1, float* V, const float* active)
    void descend_d(int level, Py_ssize_t n_order, Py_ssize_t k, const int* order, const double* gram, double* P,
                   const double* Q, double l1, double* V, const double* active)
    void transpose_f(int level, Py_ssize_t rows, Py_ssize_t columns, const float* source, Py_ssize_t lds, float* to,
                     Py_ssize_t ldt)
    void transpose_d(int level, Py_ssize_t rows, Py_ssize_t columns, const double* source, Py_ssize_t lds, double* to,
                     Py_ssize_t ldt)
    void extrapolate_f(int level, Py_ssize_t rows, Py_ssize_t ld, float momentum, float least, const float* scale,
                       const float* previous, float* F_new, float* F)
    void extrapolate_d(int level, Py_ssize_t rows, Py_ssize_t ld, double momentum, double least, const double* scale,
                       const double* previous, double* F_new, double* F)
    double dot_f(int level, Py_ssize_t n, const float* a, const float* b)
    double dot_d(int level, Py_ssize_t n, const double* a, const double* b)
    void gather_f(int level, Py_ssize_t rows, Py_ssize_t width, const float* data, const int32_t* indices,
                  const int64_t* indptr, const float* B, Py_ssize_t ldb, float* C, Py_ssize_t ldc)
    void gather_d(int level, Py_ssize_t rows, Py_ssize_t width, const double* data, const int32_t* indices,
                  const int64_t* indptr, const double* B, Py_ssize_t ldb, double* C, Py_ssize_t ldc)
    void scatter_f(int level, Py_ssize_t rows, Py_ssize_t width, const float* data, const int32_t* indices,
                   const int64_t* begin, const int64_t* end, const float* F, Py_ssize_t ldf,
                   float* S, Py_ssize_t lds)
    void scatter_d(int level, Py_ssize_t rows, Py_ssize_t width, const double* data, const int32_t* indices,
                   const int64_t* begin, const int64_t* end, const double* F, Py_ssize_t ldf,
                   double* S, Py_ssize_t lds)
    int pivot_rows_f(int level, int rule, Py_ssize_t k, Py_ssize_t rows, const float* gram, const float* b,
                     int max_steps, float* x, float* scratch)
    int pivot_rows_d(int level, int rule, Py_ssize_t k, Py_ssize_t rows, const double* gram, const double* b,
                     int max_steps, double* x, double* scratch)


ctypedef fused real:
    float
    double


cdef inline Py_ssize_t lanes(int level, real* _) noexcept nogil:
    """Numbers in a vector."""
    return lanes_f(level) if real is float else lanes_d(level)


cdef inline void product(int level, int mode, Py_ssize_t rows, Py_ssize_t width, Py_ssize_t n, const real* A,
                         Py_ssize_t row_step, Py_ssize_t step, const real* B, Py_ssize_t ldb, real* C,
                         Py_ssize_t ldc) noexcept nogil:
    """C (rows x width) =, += or -= A (rows x n) @ B (n x width)."""
    if real is float:
        product_f(level, mode, rows, width, n, A, row_step, step, B, ldb, C, ldc)
    else:
        product_d(level, mode, rows, width, n, A, row_step, step, B, ldb, C, ldc)


cdef inline void add_upper(int level, real* gram, Py_ssize_t k, Py_ssize_t rows, const real* F,
                           Py_ssize_t ld) noexcept nogil:
    """gram (k x ld) += F.T @ F from the diagonal on, in strips as wide as a vector; `add_whole` takes it."""
    cdef Py_ssize_t strip = lanes(level, gram), c = 0
    while c < k:
        product(level, ADD, min(strip, k - c), ld - c, rows, F + c, 1, ld, F + c, ld, gram + c * ld + c, ld)
        c += strip


cdef inline void add_whole(real* gram, Py_ssize_t k, const real* upper, Py_ssize_t ld) noexcept nogil:
    """gram (k x ld) += a symmetric matrix of which the part from the diagonal on is given."""
    cdef Py_ssize_t c, i
    for c in range(k):
        gram[c * ld + c] += upper[c * ld + c]
        for i in range(c + 1, k):
            gram[c * ld + i] += upper[c * ld + i]
            gram[i * ld + c] += upper[c * ld + i]


cdef inline void gather(int level, Py_ssize_t rows, Py_ssize_t width, const real* data, const int32_t* indices,
                        const int64_t* indptr, const real* B, Py_ssize_t ldb, real* C, Py_ssize_t ldc) noexcept nogil:
    """C = X @ B for CSR rows of X: B's rows are gathered, C's row stays in registers."""
    if real is float:
        gather_f(level, rows, width, data, indices, indptr, B, ldb, C, ldc)
    else:
        gather_d(level, rows, width, data, indices, indptr, B, ldb, C, ldc)


cdef inline void scatter(int level, Py_ssize_t rows, Py_ssize_t width, const real* data, const int32_t* indices,
                         const int64_t* begin, const int64_t* end, const real* F, Py_ssize_t ldf, real* S,
                         Py_ssize_t lds) noexcept nogil:
    """S += X.T @ F for CSR rows of X: F's row stays in registers, S's rows are scattered to."""
    if real is float:
        scatter_f(level, rows, width, data, indices, begin, end, F, ldf, S, lds)
    else:
        scatter_d(level, rows, width, data, indices, begin, end, F, ldf, S, lds)


cdef inline void descend(int level, Py_ssize_t n_order, Py_ssize_t k, const int* order, const real* gram, real* P,
                         const real* Q, real l1, real* V, const real* active) noexcept nogil:
    """Coordinate steps for the components of `order` in turn, on a tile of the level's width."""
    if real is float:
        descend_f(level, n_order, k, order, gram, P, Q, l1, V, active)
    else:
        descend_d(level, n_order, k, order, gram, P, Q, l1, V, active)


cdef inline void transpose(int level, Py_ssize_t rows, Py_ssize_t columns, const real* source, Py_ssize_t lds,
                           real* to, Py_ssize_t ldt) noexcept nogil:
    """to (columns x rows) = the transpose of source (rows x columns)."""
    if real is float:
        transpose_f(level, rows, columns, source, lds, to, ldt)
    else:
        transpose_d(level, rows, columns, source, lds, to, ldt)


cdef inline void extrapolate(int level, Py_ssize_t rows, Py_ssize_t ld, real momentum, real least,
                             const real* scale, const real* previous, real* F_new, real* F) noexcept nogil:
    """F_new = F, F = max(least F, F + momentum (F - previous * scale)) for rows of ld numbers.

    previous may be F_new.
    """
    if real is float:
        extrapolate_f(level, rows, ld, momentum, least, scale, previous, F_new, F)
    else:
        extrapolate_d(level, rows, ld, momentum, least, scale, previous, F_new, F)


cdef inline double dot(int level, Py_ssize_t n, const real* A, const real* B) noexcept nogil:
    """The inner product of two arrays."""
    if real is float:
        return dot_f(level, n, A, B)
    else:
        return dot_d(level, n, A, B)


cdef inline int pivot_rows(int level, int rule, Py_ssize_t k, Py_ssize_t rows, const real* gram, const real* b,
                           int max_steps, real* x, real* scratch) noexcept nogil:
    """Non-negative least squares of up to a vector of rows; how many have not ended."""
    if real is float:
        return pivot_rows_f(level, rule, k, rows, gram, b, max_steps, x, scratch)
    else:
        return pivot_rows_d(level, rule, k, rows, gram, b, max_steps, x, scratch)
