# Singular vectors, and their positive and negative parts, of which starts are made.


# squares (2, k) += the squared lengths of both parts of the first k columns of F, in double; blocks of rows added in
# their order. Bytes: F once.
def part_squares(double[:, ::1] squares, const real[:, ::1] F, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], k = squares.shape[1], ld = F.shape[1], block = 1024, b, c
    cdef Py_ssize_t blocks = (n + block - 1) // block
    cdef int n_threads = workspace.threads_for(<double>n * k)
    cdef double* sums = <double*>workspace.reserve(max(1, 2 * blocks * k) * sizeof(double))
    if n == 0:
        return
    for b in prange(blocks, nogil=True, schedule="static", num_threads=n_threads):
        add_part_squares(sums + 2 * b * k, &F[b * block, 0], min(block, n - b * block), k, ld)
    for b in range(blocks):
        for c in range(k):
            squares[0, c] += sums[2 * b * k + c]
            squares[1, c] += sums[(2 * b + 1) * k + c]


cdef void add_part_squares(double* sums, const real* F, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t ld) noexcept nogil:
    cdef Py_ssize_t i, c
    cdef double f, positive
    memset(sums, 0, 2 * k * sizeof(double))
    for i in range(rows):
        for c in range(k):
            f = F[i * ld + c]
            positive = 0.5 * (f + fabs(f))  # no branch: signs are random
            sums[c] += positive * positive
            sums[k + c] += (f - positive) * (f - positive)


# The first columns of F: f_c <- factor_c f_c, or `fill` where that is less than `least`. Bytes: F twice.
def keep_parts(real[:, ::1] F, const real[::1] factors, double least, double fill, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], k = factors.shape[0], i
    cdef int n_threads = workspace.threads_for(<double>n * k)
    if n == 0 or k == 0:
        return
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        keep_part_of_row(&F[i, 0], &factors[0], k, <real>least, <real>fill)


cdef void keep_part_of_row(real* F, const real* factors, Py_ssize_t k, real least, real fill) noexcept nogil:
    cdef Py_ssize_t c
    cdef real f
    for c in range(k):
        f = F[c] * factors[c]
        F[c] = f if f >= least else fill


# F (n, ld) = its first k columns @ T (k, ld), in place; rows are taken in tiles. Bytes: F twice.
def factor_product(real[:, ::1] F, const real[:, ::1] T, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], ld = F.shape[1], k = T.shape[0], b
    cdef int n_threads = workspace.threads_for(<double>n * k * ld)
    cdef real* tiles
    if n == 0:
        return
    tiles = <real*>workspace.reserve(n_threads * TILE * ld * sizeof(real))
    for b in prange((n + TILE - 1) // TILE, nogil=True, schedule="static", num_threads=n_threads):
        multiply_tile(workspace.level, &F[b * TILE, 0], min(<Py_ssize_t>TILE, n - b * TILE), ld, &T[0, 0], k,
                      tiles + threadid() * TILE * ld)


cdef void multiply_tile(int level, real* F, Py_ssize_t rows, Py_ssize_t ld, const real* T, Py_ssize_t k,
                        real* tile) noexcept nogil:
    product(level, SET, rows, ld, k, F, ld, 1, T, ld, tile, ld)
    memcpy(F, tile, rows * ld * sizeof(real))
