# A block of rows of a factor is improved: the frame around every solver's step.

cdef enum:
    HALS = 0
    MU = 1
    TILE = 64  # the widest tile of rows of any level


# Size of what improve_rows needs besides its arguments, in numbers.
cdef inline Py_ssize_t scratch_size(Py_ssize_t k) noexcept nogil:
    return 2 * k * TILE + 3 * TILE + max(k * TILE, (GROUP + 1) * TILE + GROUP * k)


# Rows are taken in tiles of NB, transposed so that they lie side by side, and swept up to max_sweeps times.
# A row that has met `tol` (its squared scaled step has fallen to tol^2 of its first) is frozen: what becomes of a row
# never depends on its neighbours. Rows that fill up the last tile are zeros and frozen from the start.
# report: sum of the first sweep's squared scaled steps, most sweeps used, rows that have not met tol, <cross, F>.
cdef inlined improve_tiles(const int NB, int level, int method, real* F, Py_ssize_t ldf, const real* cross,
                           Py_ssize_t ldc, Py_ssize_t n_rows, Py_ssize_t k, const real* gram, const int* order,
                           Py_ssize_t n_order, real l1, int max_sweeps, double tol, real* scratch,
                           double* report) noexcept nogil:
    cdef real* P = scratch                       # k x NB, the tile of F
    cdef real* Q = P + k * NB                    # k x NB, the tile of cross, less l1
    cdef real* V = Q + k * NB                    # NB, squared scaled steps of a sweep
    cdef real* first = V + NB                    # NB, the same of the first sweep
    cdef real* active = first + NB               # NB, 1 or 0
    cdef real* rest = active + NB
    cdef Py_ssize_t b, tile, rows, s, c
    cdef int sweep, running = 0
    for b in range((n_rows + NB - 1) // NB):
        tile = b * NB
        rows = min(NB, n_rows - tile)
        for s in range(rows):
            active[s] = 1
            for c in range(k):
                P[c * NB + s] = F[(tile + s) * ldf + c]
                Q[c * NB + s] = cross[(tile + s) * ldc + c] - l1
        for s in range(rows, NB):
            active[s] = 0
            for c in range(k):
                P[c * NB + s] = 0
                Q[c * NB + s] = 0
        for sweep in range(max_sweeps):
            for s in range(NB):
                V[s] = 0
            if method == HALS:
                hals_sweep(NB, level, P, Q, V, active, k, gram, order, n_order, rest)
            else:
                mu_step(NB, level, P, Q, V, active, k, gram, order, n_order, l1, rest)
            if sweep == 0:
                for s in range(rows):
                    first[s] = V[s]
                    report[0] += V[s]
            running = 0
            for s in range(rows):
                if active[s] != 0:
                    if V[s] <= tol * tol * first[s]:
                        active[s] = 0
                    else:
                        running += 1
            report[1] = max(report[1], <double>(sweep + 1))
            if running == 0:
                break
        report[2] += running
        for s in range(NB):
            V[s] = 0
        for c in range(k):
            for s in range(NB):
                V[s] += P[c * NB + s] * (Q[c * NB + s] + l1)
        for s in range(rows):
            report[3] += V[s]
            for c in range(k):
                F[(tile + s) * ldf + c] = P[c * NB + s]


# Tiles of four vectors (AVX-512) or two: as many accumulators as the registers hold.
cdef avx512 improve_rows_2(int method, real* F, Py_ssize_t ldf, const real* cross, Py_ssize_t ldc, Py_ssize_t n_rows,
                           Py_ssize_t k, const real* gram, const int* order, Py_ssize_t n_order, real l1,
                           int max_sweeps, double tol, real* scratch, double* report) noexcept nogil:
    if real is float:
        improve_tiles(64, 2, method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol,
                      scratch, report)
    else:
        improve_tiles(32, 2, method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol,
                      scratch, report)


cdef avx2 improve_rows_1(int method, real* F, Py_ssize_t ldf, const real* cross, Py_ssize_t ldc, Py_ssize_t n_rows,
                         Py_ssize_t k, const real* gram, const int* order, Py_ssize_t n_order, real l1,
                         int max_sweeps, double tol, real* scratch, double* report) noexcept nogil:
    if real is float:
        improve_tiles(16, 1, method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol,
                      scratch, report)
    else:
        improve_tiles(8, 1, method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol,
                      scratch, report)


cdef void improve_rows_0(int method, real* F, Py_ssize_t ldf, const real* cross, Py_ssize_t ldc, Py_ssize_t n_rows,
                         Py_ssize_t k, const real* gram, const int* order, Py_ssize_t n_order, real l1,
                         int max_sweeps, double tol, real* scratch, double* report) noexcept nogil:
    improve_tiles(8, 0, method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol, scratch,
                  report)


cdef void improve_rows(int level, int method, real* F, Py_ssize_t ldf, const real* cross, Py_ssize_t ldc,
                       Py_ssize_t n_rows, Py_ssize_t k, const real* gram, const int* order, Py_ssize_t n_order,
                       real l1, int max_sweeps, double tol, real* scratch, double* report) noexcept nogil:
    if level == 2:
        improve_rows_2(method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol, scratch,
                       report)
    elif level == 1:
        improve_rows_1(method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol, scratch,
                       report)
    else:
        improve_rows_0(method, F, ldf, cross, ldc, n_rows, k, gram, order, n_order, l1, max_sweeps, tol, scratch,
                       report)
