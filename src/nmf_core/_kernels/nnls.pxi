# Non-negative least squares for many right-hand sides with one Gram matrix.


# Every row z of Z becomes the minimiser of z gram z / 2 - cross z over z >= 0 by a rule of pivoting, where that ends
# within max_steps; what is positive in Z is the first guess. gram has ones on its diagonal. Returns the number of rows
# that have not ended. A tile has a row in each lane; k^3 / 6 multiply-adds and k^2 a step, in the first cache levels.
# Bytes: cross and Z once.
def nnls_pivot(real[:, ::1] Z, const real[:, ::1] cross, const real[:, ::1] gram, int rule, int max_steps,
               Workspace workspace not None):
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1], width = lanes(workspace.level, <real*>NULL), t
    cdef Py_ssize_t tasks = (n + width - 1) // width, size = pivot_size(k, width)
    cdef int level = workspace.level, n_threads = workspace.threads_for(<double>n * k * k * k)
    cdef real* scratch
    cdef int* unsolved
    cdef int total = 0
    if n == 0:
        return 0
    size = (size * <Py_ssize_t>sizeof(real) + 63) // 64 * 64 // <Py_ssize_t>sizeof(real)
    scratch = <real*>workspace.reserve(workspace.n_threads * size * sizeof(real) + tasks * sizeof(int))
    unsolved = <int*>(scratch + workspace.n_threads * size)
    for t in prange(tasks, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads):
        unsolved[t] = nnls_tile(level, &Z[t * width, 0], &cross[t * width, 0], &gram[0, 0], min(width, n - t * width),
                                k, width, rule, max_steps, scratch + threadid() * size)
    for t in range(tasks):
        total += unsolved[t]
    return total


cdef int nnls_tile(int level, real* Z, const real* cross, const real* gram, Py_ssize_t rows, Py_ssize_t k,
                   Py_ssize_t width, int rule, int max_steps, real* scratch) noexcept nogil:
    cdef real* b = scratch
    cdef real* x = b + k * width
    cdef int unsolved
    memset(b, 0, 2 * k * width * sizeof(real))
    transpose(level, rows, k, cross, k, b, width)
    transpose(level, rows, k, Z, k, x, width)
    unsolved = pivot_rows(level, rule, k, rows, gram, b, max_steps, x, x + k * width)
    transpose(level, k, rows, x, width, Z, k)
    return unsolved
