# Divergences, computed in double from X and the factors alone; sums and Gram matrices of a factor, in double, too.

cdef extern from "dispatch.h" nogil:
    double losses_d(int level, int part, double beta, double floor, Py_ssize_t count, const double* x, const double* y,
                    const double* weights)
    void double_dots_f(int level, Py_ssize_t count, Py_ssize_t last, Py_ssize_t k, const int32_t* indices,
                       const float* f, const float* B, Py_ssize_t ldb, double* y)
    void double_dots_d(int level, Py_ssize_t count, Py_ssize_t last, Py_ssize_t k, const int32_t* indices,
                       const double* f, const double* B, Py_ssize_t ldb, double* y)

cdef enum:
    WIDTH = 256  # columns of a tile, or stored entries that are looked at together
    HEIGHT = 16  # rows of a tile


# to (ld x n) = F.T in double, rows of n numbers; blocks of F's rows are dealt out.
cdef void transpose_in_double(double* to, const real* F, Py_ssize_t n, Py_ssize_t ld, int n_threads) noexcept nogil:
    cdef Py_ssize_t b, c, i
    for b in prange((n + WIDTH - 1) // WIDTH, schedule="static", num_threads=n_threads):
        for c in range(ld):
            for i in range(b * WIDTH, min(n, (b + 1) * WIDTH)):
                to[c * n + i] = F[i * ld + c]


# Sum over a few rows of X of d(x, y), y = max(a row's floor, F G.T), in tiles; of d(0, y) where X is NULL.
# H: G.T (ld x m).
cdef double loss_of_rows(int level, double beta, const double* floors, const real* X, Py_ssize_t row_step,
                         Py_ssize_t step, const real* F, Py_ssize_t rows, Py_ssize_t ld, const double* H,
                         Py_ssize_t m, double* scratch) noexcept nogil:
    cdef double* y = scratch
    cdef double* x = y + HEIGHT * WIDTH
    cdef double* f = x + WIDTH
    cdef double total = 0
    cdef Py_ssize_t i, j, c, first, columns
    for i in range(rows):
        for c in range(ld):
            f[i * ld + c] = F[i * ld + c]
    for c in range((m + WIDTH - 1) // WIDTH):
        first = c * WIDTH
        columns = min(<Py_ssize_t>WIDTH, m - first)
        product(level, SET, rows, columns, ld, f, ld, 1, H + first, m, y, WIDTH)
        for i in range(rows):
            if X != NULL:
                for j in range(columns):
                    x[j] = X[i * row_step + (first + j) * step]
            total += losses_d(level, MODEL if X == NULL else LOSS, beta, floors[i], columns, x, y + i * WIDTH,
                              NULL)
    return total


# The sum over all rows, blocks added in their order.
cdef double sum_of_losses(double beta, const double* floors, const real* X, Py_ssize_t row_step, Py_ssize_t step,
                          const real* F, Py_ssize_t n, const real* G, Py_ssize_t m, Py_ssize_t ld,
                          Workspace workspace) except? -1:
    cdef Py_ssize_t blocks = (n + HEIGHT - 1) // HEIGHT, b
    cdef Py_ssize_t size = (HEIGHT + 1) * WIDTH + (HEIGHT * ld + 7) // 8 * 8
    cdef int level = workspace.level, n_threads = workspace.threads_for(<double>n * m * ld)
    cdef double* scratch = <double*>workspace.reserve((n_threads * size + ld * m + blocks) * sizeof(double))
    cdef double* H = scratch + n_threads * size
    cdef double* sums = H + ld * m
    cdef double total = 0
    with nogil:
        transpose_in_double(H, G, m, ld, n_threads)
        for b in prange(blocks, schedule="dynamic", chunksize=1, num_threads=n_threads):
            sums[b] = loss_of_rows(level, beta, floors + b * HEIGHT, X + b * HEIGHT * row_step if X != NULL else X,
                                   row_step, step, F + b * HEIGHT * ld, min(<Py_ssize_t>HEIGHT, n - b * HEIGHT), ld,
                                   H, m, scratch + threadid() * size)
        for b in range(blocks):
            total += sums[b]
    return total


# Sum of d(x, y) over all entries, y = max(its row's floor, F G.T).
# Bytes: X once; G.T in double, ld m numbers, for every 16 rows, from cache.
def dense_divergence(const real[:, :] X, const real[:, ::1] F, const real[:, ::1] G, double beta,
                     const double[::1] floors, Workspace workspace not None):
    if X.shape[0] == 0 or X.shape[1] == 0:
        return 0.0
    return sum_of_losses(beta, &floors[0], &X[0, 0], X.strides[0] // <Py_ssize_t>sizeof(real),
                         X.strides[1] // <Py_ssize_t>sizeof(real), &F[0, 0], F.shape[0],
                         &G[0, 0], G.shape[0], F.shape[1], workspace)


# Sum of d(0, y) over all entries, y = max(its row's floor, F G.T): y^beta / beta for beta > 0.
# Bytes: as above without X.
def model_divergence(const real[:, ::1] F, const real[:, ::1] G, double beta, const double[::1] floors,
                     Workspace workspace not None):
    if F.shape[0] == 0 or G.shape[0] == 0:
        return 0.0
    return sum_of_losses(beta, &floors[0], <const real*>NULL, 0, 0, &F[0, 0], F.shape[0], &G[0, 0], G.shape[0],
                         F.shape[1], workspace)


# Sum of d(x, y) - d(0, y) over the stored entries of X in CSR, y = max(its row's floor, F_i . G_j); of d(x, y) for
# beta <= 0. Bytes: the stored entries, a row of G for each.
def csr_divergence(const real[::1] data, const int32_t[::1] indices, const int64_t[::1] indptr, const real[:, ::1] F,
                   const real[:, ::1] G, double beta, const double[::1] floors, Workspace workspace not None):
    return sum_of_entries(EXCESS, data, <const real*>NULL, indices, indptr, F, G, beta, floors, workspace)


# Sum of w d(x, y) over the stored entries alone; weights: None for ones. Bytes: the same and the weights.
def observed_divergence(const real[::1] data, const real[::1] weights, const int32_t[::1] indices,
                        const int64_t[::1] indptr, const real[:, ::1] F, const real[:, ::1] G, double beta,
                        const double[::1] floors, Workspace workspace not None):
    cdef const real* shares = NULL
    if weights is not None and data.shape[0]:
        shares = &weights[0]
    return sum_of_entries(LOSS, data, shares, indices, indptr, F, G, beta, floors, workspace)


# The sum over all rows, blocks added in their order.
cdef double sum_of_entries(int part, const real[::1] data, const real* weights, const int32_t[::1] indices,
                           const int64_t[::1] indptr, const real[:, ::1] F, const real[:, ::1] G, double beta,
                           const double[::1] floors, Workspace workspace) except? -1:
    cdef Py_ssize_t n = F.shape[0], ld = F.shape[1], blocks = (n + TILE - 1) // TILE, b, size = 3 * WIDTH
    cdef int level = workspace.level, n_threads = workspace.threads_for(<double>data.shape[0] * ld)
    cdef double* scratch = <double*>workspace.reserve((n_threads * size + blocks) * sizeof(double))
    cdef double* sums = scratch + n_threads * size
    cdef double total = 0
    if data.shape[0] == 0:
        return 0.0
    for b in prange(blocks, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads):
        sums[b] = loss_of_entries(level, part, beta, &floors[0], &data[0], weights, &indices[0], &indptr[0], &F[0, 0],
                                  &G[0, 0], ld, b * TILE, min(n, (b + 1) * TILE), scratch + threadid() * size)
    for b in range(blocks):
        total += sums[b]
    return total


cdef double loss_of_entries(int level, int part, double beta, const double* floors, const real* data,
                            const real* weights, const int32_t* indices, const int64_t* indptr, const real* F,
                            const real* G, Py_ssize_t ld, Py_ssize_t first, Py_ssize_t end,
                            double* scratch) noexcept nogil:
    cdef double* x = scratch
    cdef double* y = scratch + WIDTH
    cdef double* w = NULL if weights == NULL else scratch + 2 * WIDTH
    cdef double total = 0, least = -INFINITY  # every row has a floor of its own
    cdef Py_ssize_t i, p, j, some, count = 0
    for i in range(first, end):
        p = indptr[i]
        while p < indptr[i + 1]:
            some = min(<Py_ssize_t>WIDTH - count, indptr[i + 1] - p)
            double_dots(level, some, indptr[end] - p, ld, indices + p, F + i * ld, G, y + count)
            for j in range(some):
                x[count + j] = data[p + j]
                y[count + j] = max(floors[i], y[count + j])
                if w != NULL:
                    w[count + j] = weights[p + j]
            p += some
            count += some
            if count == WIDTH:
                total += losses_d(level, part, beta, least, count, x, y, w)
                count = 0
    return total + losses_d(level, part, beta, least, count, x, y, w)


# y[0:count] = f . B[index] for entries of one row, in double; `last` entries follow the first.
cdef inline void double_dots(int level, Py_ssize_t count, Py_ssize_t last, Py_ssize_t ld, const int32_t* indices,
                             const real* f, const real* B, double* y) noexcept nogil:
    if real is float:
        double_dots_f(level, count, last, ld, indices, f, B, ld, y)
    else:
        double_dots_d(level, count, last, ld, indices, f, B, ld, y)


# sums_c += the sum of the rows of F, in double; blocks of rows added in their order. Bytes: F once.
def factor_sums(double[::1] sums, const real[:, ::1] F, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], k = sums.shape[0], ld = F.shape[1], block = 1024, b, c
    cdef Py_ssize_t blocks = (n + block - 1) // block
    cdef int n_threads = workspace.threads_for(<double>n * k)
    cdef double* parts = <double*>workspace.reserve(blocks * k * sizeof(double))
    if n == 0:
        return
    for b in prange(blocks, nogil=True, schedule="static", num_threads=n_threads):
        sum_rows(parts + b * k, &F[b * block, 0], min(block, n - b * block), k, ld)
    for b in range(blocks):
        for c in range(k):
            sums[c] += parts[b * k + c]


cdef void sum_rows(double* sums, const real* F, Py_ssize_t rows, Py_ssize_t k, Py_ssize_t ld) noexcept nogil:
    cdef Py_ssize_t i, c
    memset(sums, 0, k * sizeof(double))
    for i in range(rows):
        for c in range(k):
            sums[c] += F[i * ld + c]


# FtF (k, ld) += F.T F of the first k columns, in double; groups of rows added in their order. Bytes: F once.
def factor_gram(double[:, ::1] FtF, const real[:, ::1] F, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], k = FtF.shape[0], ld = F.shape[1], g
    cdef Py_ssize_t groups = min(<Py_ssize_t>GROUPS, (n + GROUP_ROWS - 1) // GROUP_ROWS)
    cdef Py_ssize_t size = k * ld, step
    cdef int level = workspace.level, n_threads = workspace.threads_for(<double>n * k * ld)
    cdef double* parts
    if n == 0 or k == 0:
        return
    parts = <double*>workspace.reserve((groups * size + n_threads * TILE * ld) * sizeof(double))
    step = ((n + groups - 1) // groups + TILE - 1) // TILE * TILE
    for g in prange(groups, nogil=True, schedule="static", num_threads=n_threads):
        gram_of_rows(level, parts + g * size, k, &F[0, 0], ld, min(n, g * step), min(n, (g + 1) * step),
                     parts + groups * size + threadid() * TILE * ld)
    for g in range(groups):
        add_whole(&FtF[0, 0], k, parts + g * size, ld)


cdef void gram_of_rows(int level, double* gram, Py_ssize_t k, const real* F, Py_ssize_t ld, Py_ssize_t first,
                       Py_ssize_t end, double* tile) noexcept nogil:
    cdef Py_ssize_t rows, c
    memset(gram, 0, k * ld * sizeof(double))
    while first < end:
        rows = min(<Py_ssize_t>TILE, end - first)
        for c in range(rows * ld):
            tile[c] = F[first * ld + c]
        add_upper(level, gram, k, rows, tile, ld)
        first += rows
