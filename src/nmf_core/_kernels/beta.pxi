# Multiplicative updates for beta-divergences: the parts of the gradient, its numerator x y^(beta - 2) and its
# denominator y^(beta - 1), taken through one factor or the other. (Fevotte & Idier 2011, doi:10.1162/NECO_a_00168.)

cdef extern from "dispatch.h" nogil:
    unsigned int flush_underflow "nmf_flush_underflow"()
    void restore_underflow "nmf_restore_underflow"(unsigned int mode)
    enum:
        LOSS "NMF_LOSS"
        MODEL "NMF_MODEL"
        EXCESS "NMF_EXCESS"
        CHUNK "NMF_PIECE"  # stored entries that are looked at together
    void entry_parts_f(int level, int part, double beta, double floor, Py_ssize_t count, const float* x, float* y,
                       float* T, double* sum)
    void entry_parts_d(int level, int part, double beta, double floor, Py_ssize_t count, const double* x, double* y,
                       double* T, double* sum)
    void model_sums_f(int level, double beta, bint by_partner, const float* floors, Py_ssize_t partners, Py_ssize_t k,
                      const float* G, Py_ssize_t ldg, const float* P, Py_ssize_t ldp, Py_ssize_t items, float* to,
                      Py_ssize_t ldo, double* worth)
    void model_sums_d(int level, double beta, bint by_partner, const double* floors, Py_ssize_t partners, Py_ssize_t k,
                      const double* G, Py_ssize_t ldg, const double* P, Py_ssize_t ldp, Py_ssize_t items, double* to,
                      Py_ssize_t ldo, double* worth)
    void row_dots_f(int level, Py_ssize_t width, Py_ssize_t count, Py_ssize_t readable, const int32_t* indices,
                    const float* f, const float* B, Py_ssize_t ld, float* y)
    void row_numerator_f(int level, double beta, double floor, Py_ssize_t width, Py_ssize_t count,
                         Py_ssize_t readable, const float* x, const int32_t* indices, const float* f, const float* B,
                         Py_ssize_t ld, float* num, float* S, double* total)
    void row_dots_d(int level, Py_ssize_t width, Py_ssize_t count, Py_ssize_t readable, const int32_t* indices,
                    const double* f, const double* B, Py_ssize_t ld, double* y)
    void row_numerator_d(int level, double beta, double floor, Py_ssize_t width, Py_ssize_t count,
                         Py_ssize_t readable, const double* x, const int32_t* indices, const double* f, const double* B,
                         Py_ssize_t ld, double* num, double* S, double* total)
    double multiply_f(int level, Py_ssize_t k, float* f, float* grown, const float* numerator,
                      const float* denominator, const float* sums, const float* free, float l1, float l2,
                      float exponent, float den_power, float guard, float share)
    double multiply_d(int level, Py_ssize_t k, double* f, double* grown, const double* numerator,
                      const double* denominator, const double* sums, const double* free, double l1, double l2,
                      double exponent, double den_power, double guard, double share)

# What extrapolation leaves of an entry: a zero would stay one for ever.
cdef double LEAST = 0.25

cdef enum:
    SPAN = 128  # columns of a tile of dense X or of the model


cdef inline void entry_parts(int level, int part, double beta, double floor, Py_ssize_t count, const real* x, real* y,
                             real* T, double* total) noexcept nogil:
    """T = x y^(beta - 2), and y becomes y^(beta - 1); total gains the divergence, up to a constant of x."""
    if real is float:
        entry_parts_f(level, part, beta, floor, count, x, y, T, total)
    else:
        entry_parts_d(level, part, beta, floor, count, x, y, T, total)


cdef inline void model_sums(int level, double beta, bint by_partner, const real* floors, Py_ssize_t partners,
                            Py_ssize_t k, const real* G, Py_ssize_t ldg, const real* P, Py_ssize_t ldp,
                            Py_ssize_t items, real* to, Py_ssize_t ldo, double* worth) noexcept nogil:
    """to (k x items) += the denominators of items: sums over their partners, without X."""
    if real is float:
        model_sums_f(level, beta, by_partner, floors, partners, k, G, ldg, P, ldp, items, to, ldo, worth)
    else:
        model_sums_d(level, beta, by_partner, floors, partners, k, G, ldg, P, ldp, items, to, ldo, worth)


cdef inline void row_dots(int level, Py_ssize_t width, Py_ssize_t count, Py_ssize_t readable, const int32_t* indices,
                          const real* f, const real* B, Py_ssize_t ld, real* y) noexcept nogil:
    """y = f . B's rows at the indices."""
    if real is float:
        row_dots_f(level, width, count, readable, indices, f, B, ld, y)
    else:
        row_dots_d(level, width, count, readable, indices, f, B, ld, y)


cdef inline void row_numerator(int level, double beta, double floor, Py_ssize_t width, Py_ssize_t count,
                               Py_ssize_t readable, const real* x, const int32_t* indices, const real* f, const real* B,
                               real* num, real* S, double* total) noexcept nogil:
    """x y^(beta - 2) at the stored entries of the row f, taken through B into `num` or through f into S."""
    if real is float:
        row_numerator_f(level, beta, floor, width, count, readable, x, indices, f, B, width, num, S, total)
    else:
        row_numerator_d(level, beta, floor, width, count, readable, x, indices, f, B, width, num, S, total)


# Scratch memory of row_parts and improve_by_parts, in numbers.
cdef inline Py_ssize_t parts_size(Py_ssize_t ld) noexcept nogil:
    return 3 * TILE * SPAN + 3 * TILE * ld


# A tile of dense X whose rows are contiguous, *ldx numbers apart: X itself or, stored by columns, a transposed copy.
cdef inline const real* dense_tile(const Job* job, const real* _, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t column,
                                   Py_ssize_t columns, real* copy, Py_ssize_t* ldx) noexcept nogil:
    cdef const real* X = <const real*>job.X + first * job.row_step + column * job.step
    if job.step == 1:
        ldx[0] = job.row_step
        return X
    transpose(job.level, columns, rows, X, job.step, copy, SPAN)
    ldx[0] = SPAN
    return copy


# Parts of the gradient for some rows f of F, from `first` on: numerator (rows x ld) = sum_j x_j y_j^(beta - 2) g_j
# and, unless it is NULL, denominator = sum_j y_j^(beta - 1) g_j, y = max(its floor, f G.T); for beta = 1 it is known,
# `sums`. totals: one number a row, gains what `entry_parts` adds, or NULL.
cdef void row_parts(const Job* job, real* F, Py_ssize_t first, Py_ssize_t rows, real* numerator,
                    real* denominator, double* totals, real* scratch) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, k = job.k, c, i, columns, ldx = 0
    cdef const real* G = <const real*>job.G
    cdef real* Y = scratch                    # TILE x SPAN
    cdef real* T = Y + TILE * SPAN            # TILE x SPAN
    cdef const real* X = NULL
    cdef bint dense = job.X != NULL, both = job.loss_beta != 1 and denominator != NULL
    memset(numerator, 0, rows * ld * sizeof(real))
    if both:
        memset(denominator, 0, rows * ld * sizeof(real))
    if not dense and both and k <= SPAN:  # Y holds the rows side by side, T their sums
        transpose(job.level, rows, k, F, ld, Y, TILE)
        memset(T, 0, k * TILE * sizeof(real))
        model_sums(job.level, job.loss_beta, False, <const real*>job.floors + first, job.m, k, G, ld, Y, TILE, rows, T,
                   TILE, totals)
        transpose(job.level, k, rows, T, TILE, denominator, ld)
    elif dense or both:
        for c in range((job.m + SPAN - 1) // SPAN):
            columns = min(<Py_ssize_t>SPAN, job.m - c * SPAN)
            product(job.level, SET, rows, columns, k, F, ld, 1, <const real*>job.Gt + c * SPAN, job.m, Y, SPAN)
            if dense:
                X = dense_tile(job, F, first, rows, c * SPAN, columns, T + TILE * SPAN, &ldx)
            for i in range(rows):
                entry_parts(job.level, LOSS if dense else MODEL, job.loss_beta, (<const real*>job.floors)[first + i],
                            columns, X + i * ldx if dense else NULL, Y + i * SPAN, T + i * SPAN,
                            NULL if totals == NULL else totals + i)
            if dense:
                product(job.level, ADD, rows, ld, columns, T, SPAN, 1, G + c * SPAN * ld, ld, numerator, ld)
            if both:
                product(job.level, ADD, rows, ld, columns, Y, SPAN, 1, G + c * SPAN * ld, ld, denominator, ld)
    if not dense:
        stored_numerator(job, F, <const real*>job.floors + first, job.indptr + first,
                         job.indptr + first + 1, rows, numerator, <real*>NULL, totals)


# The same for stored entries of rows f of F, begin[r] to end[r] of each: only x y^(beta - 2), taken through G into the
# numerator or, for the statistics, through F into S.
cdef void stored_numerator(const Job* job, const real* F, const real* floors, const int64_t* begin,
                           const int64_t* end, Py_ssize_t rows, real* numerator, real* S,
                           double* totals) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, r, p
    cdef unsigned int mode = flush_underflow()
    for r in range(rows):
        p = begin[r]
        row_numerator(job.level, job.loss_beta, floors[r], ld, end[r] - p, job.stored - p, <const real*>job.data + p,
                      job.indices + p, F + r * ld, <const real*>job.G,
                      numerator if S != NULL else numerator + r * ld, S, NULL if totals == NULL else totals + r)
    restore_underflow(mode)


# A multiplicative update of the row f; returns the squared length of its steps. Components whose share becomes next to
# nothing are cut off for loss_beta < cut. grown, unless it is NULL, takes the denominators as they grow with f.
cdef inline double multiply(const Job* job, real* f, const real* numerator, const real* denominator, real* grown,
                            double cut) noexcept nogil:
    cdef real guard = 1.1920928955078125e-07  # scikit-learn's, instead of a vanishing denominator
    # scikit-learn sets entries below this to zero for small beta; here shares, which do not depend on scales.
    cdef real share = 2.220446049250313e-16 if job.loss_beta < cut else 0
    if real is float:
        return multiply_f(job.level, job.k, f, grown, numerator, denominator, <const float*>job.sums,
                          <const float*>job.free, <float>job.l1, <float>job.l2, <float>job.exponent,
                          <float>job.den_power, guard, share)
    else:
        return multiply_d(job.level, job.k, f, grown, numerator, denominator, <const double*>job.sums,
                          <const double*>job.free, job.l1, job.l2, job.exponent, job.den_power, guard, share)


# Whether statistics are a numerator and a denominator for every column: S may be numerators alone.
cdef inline bint holds_both(const Job* job) noexcept nogil:
    return job.in_parts and job.loss_beta != 1 and job.height > job.m


# What the model itself, the sum of its entries, adds to the Kullback-Leibler divergence of a row of CSR.
cdef inline double model_sum(const Job* job, const real* f) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t c
    for c in range(job.k):
        total += <double>f[c] * (<const real*>job.sums)[c]
    return total


# The rows of F from `first` on become the improved rows of `start`; report as in improve_tiles, but the last number
# gains the divergence of `start`, up to a constant. After the update of every sweep come job.inner_updates more, for
# which only the numerators are computed anew.
cdef void improve_by_parts(const Job* job, real* F, Py_ssize_t first, Py_ssize_t rows, real* scratch,
                           double* report) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, i
    cdef double length
    cdef real* numerator = scratch + 3 * TILE * SPAN
    cdef real* denominator = numerator + TILE * ld
    cdef real* now = denominator + TILE * ld
    cdef const real* row
    cdef double[TILE] totals
    cdef double[TILE] lengths
    cdef double[TILE] begun
    cdef bint[TILE] done
    cdef int sweep, inner, running = 0
    cdef unsigned int mode = flush_underflow()
    memcpy(now, <const real*>job.start + first * ld, rows * ld * sizeof(real))
    for i in range(rows):
        done[i] = False
        totals[i] = 0
    for sweep in range(job.max_sweeps):
        for inner in range(1 + job.inner_updates):
            row_parts(job, now, first, rows, numerator, denominator if inner == 0 else NULL,
                      totals if sweep == 0 and inner == 0 else NULL, scratch)
            for i in range(rows):
                row = <const real*>job.sums if job.loss_beta == 1 else denominator + i * ld
                if sweep == 0 and inner == 0:
                    report[REPORT * (i // NARROW) + 3] += totals[i]
                    if job.X == NULL and job.loss_beta == 1:
                        report[REPORT * (i // NARROW) + 3] += model_sum(job, now + i * ld)
                if not done[i]:
                    length = multiply(job, now + i * ld, numerator + i * ld, row,
                                      denominator + i * ld if job.den_power != 0 else NULL, 1.0)
                    if inner == 0:
                        lengths[i] = length
        running = 0
        for i in range(rows):
            if done[i]:
                continue
            if sweep == 0:
                begun[i] = lengths[i]
                report[REPORT * (i // NARROW)] += lengths[i]
            done[i] = lengths[i] <= job.tol * job.tol * begun[i]
            running += not done[i]
        report[1] = max(report[1], <double>(sweep + 1))
        if running == 0:
            break
    report[2] += running
    for i in range(rows):
        memcpy(F + (first + i) * ld, now + i * ld, ld * sizeof(real))
        extrapolate_row(job, F + (first + i) * ld, NULL if job.F_new == NULL else <real*>job.F_new + (first + i) * ld,
                        <const real*>job.previous + (first + i) * ld)
    restore_underflow(mode)


# With F_new it takes the improved row F, which is then extrapolated, job.scale being filled up to ld numbers.
cdef inline void extrapolate_row(const Job* job, real* F, real* F_new, const real* previous) noexcept nogil:
    if F_new == NULL:
        return
    if job.momentum != 0:
        extrapolate(job.level, 1, job.ld, <real>job.momentum, LEAST, <const real*>job.scale, previous, F_new, F)
    else:
        memcpy(F_new, F, job.ld * sizeof(real))


# Statistics of some rows of F: the parts of the gradient of the other factor, up to SPAN `columns` of them from
# `column` on, added to S and, where it holds both, to its rows after the first m.
cdef void column_parts(const Job* job, const real* F, Py_ssize_t first, Py_ssize_t rows, Py_ssize_t column,
                       Py_ssize_t columns, real* S, real* scratch) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, i, b, c, tile, ldx = 0
    cdef real* Y = scratch
    cdef real* T = Y + TILE * SPAN
    cdef real* den = S + (job.m + column) * ld
    cdef const real* X = NULL
    cdef const real* Gt = <const real*>job.Gt + column
    cdef const real* floors = <const real*>job.floors + first
    cdef bint dense = job.X != NULL
    cdef unsigned int mode = flush_underflow()
    if not dense and job.k <= SPAN:
        memset(Y, 0, job.k * SPAN * sizeof(real))  # the sums, in the room of Y and T
        model_sums(job.level, job.loss_beta, True, floors, rows, job.k, F, ld, Gt, job.m, columns, Y, SPAN, NULL)
        for i in range(columns):
            for c in range(job.k):
                den[i * ld + c] += Y[c * SPAN + i]
    else:
        for b in range((rows + TILE - 1) // TILE):
            tile = min(<Py_ssize_t>TILE, rows - b * TILE)
            if dense:
                X = dense_tile(job, F, first + b * TILE, tile, column, columns, T + TILE * SPAN, &ldx)
            product(job.level, SET, tile, columns, job.k, F + b * TILE * ld, ld, 1, Gt, job.m, Y, SPAN)
            for i in range(tile):
                entry_parts(job.level, LOSS if dense else MODEL, job.loss_beta, floors[b * TILE + i], columns,
                            X + i * ldx if dense else NULL, Y + i * SPAN, T + i * SPAN, NULL)
            if dense:
                product(job.level, ADD, columns, ld, tile, T, 1, SPAN, F + b * TILE * ld, ld, S + column * ld, ld)
            if holds_both(job):
                product(job.level, ADD, columns, ld, tile, Y, 1, SPAN, F + b * TILE * ld, ld, den, ld)
    restore_underflow(mode)
