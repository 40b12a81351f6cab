# A block of rows of a factor is improved: the frame around every solver's step.


# What the rows of a tile from `tile` on add to one number of their reports, summed in double and in four chains.
cdef inlined add_to_report(const int NB, const real* V, Py_ssize_t tile, Py_ssize_t rows,
                           double* report) noexcept nogil:
    cdef Py_ssize_t b, s, width = min(<int>NARROW, NB)
    cdef double[4] sums
    for b in range((rows + width - 1) // width):
        sums[0] = sums[1] = sums[2] = sums[3] = 0
        for s in range(width // 4):
            sums[0] += V[b * width + 4 * s]
            sums[1] += V[b * width + 4 * s + 1]
            sums[2] += V[b * width + 4 * s + 2]
            sums[3] += V[b * width + 4 * s + 3]
        report[REPORT * ((tile + b * width) // NARROW)] += (sums[0] + sums[1]) + (sums[2] + sums[3])


# The same of the inner product of two arrays (rows x ld).
cdef inline void add_inner(int level, Py_ssize_t rows, Py_ssize_t ld, const real* A, const real* B, Py_ssize_t tile,
                           double* report) noexcept nogil:
    cdef Py_ssize_t first = 0
    while first < rows:
        report[REPORT * ((tile + first) // NARROW)] += dot(level, min(<Py_ssize_t>NARROW, rows - first) * ld,
                                                           A + first * ld, B + first * ld)
        first += NARROW


# The rows of F from `begin` on become the improved rows of `start` (F and start may be the same), given their cross.
# With F_new they are extrapolated: F_new becomes the improved rows, and with `previous`, the improved rows of the last
# time, F = max(0, F_new + momentum (F_new - previous * scale)), scale being a number for each component; F_new and
# previous may be the same.
# Rows are taken in tiles of NB, transposed so that they lie side by side, and swept up to max_sweeps times. A row
# that has met `tol` (its squared scaled step has fallen to tol^2 of its first) is frozen: what becomes of a row never
# depends on its neighbours. Rows that fill up the last tile are zeros and frozen from the start.
# report: sum of the first sweep's squared scaled steps, most sweeps used, rows that have not met tol, and the inner
# products of cross with the improved rows, with those of `start`, and with those that F has in the end; sums for NARROW
# rows each, so that they do not depend on the tiles.
cdef inlined improve_tiles(const int NB, int level, const Job* job, real* F, const real* cross, Py_ssize_t begin,
                           Py_ssize_t n_rows, real* scratch, double* report) noexcept nogil:
    cdef Py_ssize_t k = job.k, ld = job.ld
    cdef const real* gram = <const real*>job.gram
    cdef const real* scale = <const real*>job.scale
    cdef const real* matrix = <const real*>job.matrix
    cdef real l1 = <real>job.l1, rate = <real>job.rate, momentum = <real>job.momentum, goal = <real>(job.tol * job.tol)
    cdef real* P = scratch                       # k x NB, the tile of F
    cdef real* Q = P + k * NB                    # k x NB, the tile of cross
    cdef real* V = Q + k * NB                    # NB, squared scaled steps of a sweep
    cdef real* first = V + NB                    # NB, the same of the first sweep
    cdef real* active = first + NB               # NB, 1 or 0
    cdef real* last = active + NB                # k x NB, the tile at the start, of methods that may fail
    cdef real* rest = last + k * NB if may_fail(job.method) else last
    cdef const real* start
    cdef real* new
    cdef real* F_new
    cdef Py_ssize_t b, tile, rows, s, c
    cdef int sweep, running = 0
    cdef bint frozen
    for b in range((n_rows + NB - 1) // NB):
        tile = b * NB
        rows = min(NB, n_rows - tile)
        start = <const real*>job.start + (begin + tile) * ld
        add_inner(level, rows, ld, cross + tile * ld, start, tile, report + 4)
        transpose(level, rows, k, start, ld, P, NB)
        transpose(level, rows, k, cross + tile * ld, ld, Q, NB)
        for s in range(NB):
            active[s] = s < rows
        frozen = rows < NB
        if frozen:
            for c in range(k):
                for s in range(rows, NB):
                    P[c * NB + s] = 0
                    Q[c * NB + s] = 0
        if may_fail(job.method):
            memcpy(last, P, k * NB * sizeof(real))
        for sweep in range(job.max_sweeps):
            for s in range(NB):
                V[s] = 0
            if job.method == HALS:
                hals_sweep(level, P, Q, V, active if frozen else NULL, k, gram, job.order, job.n_order, l1)
            elif job.method == MU:
                mu_step(NB, level, P, Q, V, active, k, gram, job.order, job.n_order, l1, rest)
            elif job.method == GREEDY:
                greedy_sweep(NB, level, P, Q, V, active, k, gram, job.order, job.n_order, l1, sweep, rest)
            elif job.method == ALS:
                als_step(NB, level, P, Q, V, active, k, gram, matrix, job.order, job.n_order, l1, rest)
            elif job.method == PG or job.method == GD:
                pg_step(NB, level, job.method == PG, P, Q, V, active, k, gram, job.order, job.n_order, l1, rate, sweep,
                        rest)
            elif job.method == NESTEROV:
                nesterov_step(NB, level, P, Q, V, active, k, gram, job.order, job.n_order, l1, rate, sweep, rest)
            elif job.method == ADMM:
                admm_step(NB, level, P, Q, V, active, k, gram, matrix, job.order, job.n_order, l1, rate, sweep, rest)
            else:
                pivot_step(NB, level, BLOCK if job.method == BPP else ACTIVE, P, Q, V, active, k, gram, matrix,
                           job.order, job.n_order, l1, rest)
            if sweep == 0:
                memcpy(first, V, NB * sizeof(real))
                add_to_report(NB, V, tile, rows, report)
            running = 0
            for s in range(NB):  # without branches: vectors of rows at once
                active[s] = 0 if V[s] <= goal * first[s] else active[s]
                running += <int>active[s]
            frozen = running < NB
            report[1] = max(report[1], <double>(sweep + 1))
            if running == 0:
                break
        report[2] += running
        if may_fail(job.method):
            keep_better(NB, level, P, Q, last, k, gram, l1, rest)
        new = F + (begin + tile) * ld
        transpose(level, k, rows, P, NB, new, ld)
        add_inner(level, rows, ld, cross + tile * ld, new, tile, report + 3)
        if job.F_new != NULL:
            F_new = <real*>job.F_new + (begin + tile) * ld
            if momentum != 0:
                for c in range(ld):
                    rest[c] = scale[c] if c < k else 0
                extrapolate(level, rows, ld, momentum, 0, rest, <const real*>job.previous + (begin + tile) * ld, F_new,
                            new)
            else:
                memcpy(F_new, new, rows * ld * sizeof(real))
        add_inner(level, rows, ld, cross + tile * ld, new, tile, report + 5)


# Tiles as wide as those of the C functions of a level. They hold whole reports of NARROW rows, or reports hold whole
# tiles, and TILE rows hold whole tiles.
cdef extern from "dispatch.h" nogil:
    """
    #define NMF_FITS(level, real) \
        (64 % NMF_TILE_ROWS(level, real) == 0 && NMF_TILE_ROWS(level, real) % 4 == 0)
    _Static_assert(NMF_FITS(0, float) && NMF_FITS(1, float) && NMF_FITS(2, float), "tiles of float");
    _Static_assert(NMF_FITS(0, double) && NMF_FITS(1, double) && NMF_FITS(2, double), "tiles of double");
    """
    enum:
        ROWS_F0 "NMF_TILE_ROWS(0, float)"
        ROWS_F1 "NMF_TILE_ROWS(1, float)"
        ROWS_F2 "NMF_TILE_ROWS(2, float)"
        ROWS_D0 "NMF_TILE_ROWS(0, double)"
        ROWS_D1 "NMF_TILE_ROWS(1, double)"
        ROWS_D2 "NMF_TILE_ROWS(2, double)"


cdef avx512 improve_rows_2(const Job* job, real* F, const real* cross, Py_ssize_t begin, Py_ssize_t n_rows,
                           real* scratch, double* report) noexcept nogil:
    if real is float:
        improve_tiles(ROWS_F2, 2, job, F, cross, begin, n_rows, scratch, report)
    else:
        improve_tiles(ROWS_D2, 2, job, F, cross, begin, n_rows, scratch, report)


cdef avx2 improve_rows_1(const Job* job, real* F, const real* cross, Py_ssize_t begin, Py_ssize_t n_rows,
                         real* scratch, double* report) noexcept nogil:
    if real is float:
        improve_tiles(ROWS_F1, 1, job, F, cross, begin, n_rows, scratch, report)
    else:
        improve_tiles(ROWS_D1, 1, job, F, cross, begin, n_rows, scratch, report)


cdef void improve_rows_0(const Job* job, real* F, const real* cross, Py_ssize_t begin, Py_ssize_t n_rows,
                         real* scratch, double* report) noexcept nogil:
    if real is float:
        improve_tiles(ROWS_F0, 0, job, F, cross, begin, n_rows, scratch, report)
    else:
        improve_tiles(ROWS_D0, 0, job, F, cross, begin, n_rows, scratch, report)


cdef void improve_rows(const Job* job, real* F, const real* cross, Py_ssize_t begin, Py_ssize_t n_rows, real* scratch,
                       double* report) noexcept nogil:
    if job.level == 2:
        improve_rows_2(job, F, cross, begin, n_rows, scratch, report)
    elif job.level == 1:
        improve_rows_1(job, F, cross, begin, n_rows, scratch, report)
    else:
        improve_rows_0(job, F, cross, begin, n_rows, scratch, report)
