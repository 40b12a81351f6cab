# Coordinate descent for the Kullback-Leibler divergence: which thread improves which rows; the steps are in
# newton_template.h. (Hsieh & Dhillon 2011, doi:10.1145/2020408.2020577; Hien & Gillis 2021,
# doi:10.1007/s10915-021-01504-0.)

cdef extern from "dispatch.h" nogil:
    ctypedef struct nmf_newton:
        Py_ssize_t k, ld, n_order, sums_step
        const int* order
        const void* G
        const void* sums
        const void* l2
        const void* start
        const void* previous
        const void* scale
        void* F
        void* F_new
        const void* floors
        double momentum, tol
        int max_sweeps, damped, measure
    void newton_dense_f(int level, int across, const nmf_newton* job, const float* X, Py_ssize_t row_step,
                        Py_ssize_t step, Py_ssize_t m, const float* H, Py_ssize_t ldh, Py_ssize_t first,
                        Py_ssize_t rows, float* scratch, double* report)
    void newton_dense_d(int level, int across, const nmf_newton* job, const double* X, Py_ssize_t row_step,
                        Py_ssize_t step, Py_ssize_t m, const double* H, Py_ssize_t ldh, Py_ssize_t first,
                        Py_ssize_t rows, double* scratch, double* report)
    void newton_csr_f(int level, int across, const nmf_newton* job, const float* data, const int32_t* indices,
                      const int64_t* indptr, const int64_t* rows, Py_ssize_t count, float* scratch, double* report)
    void newton_csr_d(int level, int across, const nmf_newton* job, const double* data, const int32_t* indices,
                      const int64_t* indptr, const int64_t* rows, Py_ssize_t count, double* scratch, double* report)

cdef enum:
    SHARED_BYTES = 1 << 15  # x and y of a tile of dense rows stay in the first cache level
    LANES_TILE = 1 << 18    # a tile of sparse rows with the factor's rows that it needs: in the second
    STEP_COST = 8           # a coordinate step takes about so many multiply-adds an entry


# Numbers that a tile of so many vectors needs: x, y and perhaps the factor's columns, w, sums, a buffer of rows.
cdef inline Py_ssize_t tile_size(Py_ssize_t length, Py_ssize_t columns, Py_ssize_t k, Py_ssize_t ld,
                                 Py_ssize_t width) noexcept nogil:
    return (length * (2 + columns) + 2 * k + (ld + width - 1) // width * width) * width


# The next number of numbers that fill cache lines, which no two threads should share.
cdef inline Py_ssize_t whole_lines(Py_ssize_t size) noexcept nogil:
    return (size + 15) // 16 * 16


cdef nmf_newton describe_newton(real[:, ::1] F, real[:, ::1] F_new, const real[:, ::1] G, const real[:, ::1] start,
                                const real[:, ::1] previous, Py_ssize_t k, const real[:, ::1] sums,
                                const int[::1] order, const real[::1] l2, double momentum, int max_sweeps, double tol,
                                const real[::1] floors, bint damped, bint measure):
    cdef nmf_newton job
    job.k, job.ld, job.n_order = k, F.shape[1], order.shape[0]
    job.order = &order[0] if order.shape[0] else NULL
    job.G, job.sums, job.start, job.previous = &G[0, 0], &sums[0, 0], &start[0, 0], &previous[0, 0]
    job.F = &F[0, 0]
    job.F_new = NULL if F_new is None else &F_new[0, 0]
    job.floors = &floors[0]
    job.l2, job.sums_step = &l2[0], sums.shape[1] if sums.shape[0] > 1 else 0
    job.momentum, job.tol, job.max_sweeps = momentum, tol, max_sweeps
    job.damped, job.measure = damped, measure
    return job


# Memory of a call: scratch of every thread, `shared` numbers for all, ld numbers for the scale, reports of the tasks.
cdef real* divide_memory(nmf_newton* job, const real[::1] scale, size_t thread_bytes, Py_ssize_t shared,
                         Py_ssize_t tasks, double** reports, real** rest, Workspace workspace) except NULL:
    cdef size_t shared_bytes = (shared * sizeof(real) + 63) // 64 * 64
    cdef size_t scale_bytes = (job.ld * sizeof(real) + 63) // 64 * 64
    cdef size_t reports_bytes = REPORT * tasks * sizeof(double)
    cdef size_t own_bytes = workspace.n_threads * thread_bytes
    cdef char* memory = workspace.reserve(own_bytes + shared_bytes + scale_bytes + reports_bytes)
    cdef real* padded
    rest[0] = <real*>(memory + workspace.n_threads * thread_bytes)
    padded = <real*>(memory + workspace.n_threads * thread_bytes + shared_bytes)
    reports[0] = <double*>(memory + workspace.n_threads * thread_bytes + shared_bytes + scale_bytes)
    memset(padded, 0, scale_bytes)
    memset(reports[0], 0, reports_bytes)
    memcpy(padded, &scale[0], job.k * sizeof(real))
    job.scale = padded
    return <real*>memory


# Every row f of `start` becomes the improved row of F, up to max_sweeps sweeps of steps of its components in `order`:
# f_c <- max(0, f_c + (q - s) (q / s) / (h + l2 (q / s)^2)) with q = sum_j x_j g_jc / y_j, h = sum_j x_j (g_jc / y_j)^2,
#     y = max(the row's floor, G f),   s = sums_c + l2 f_c,   sums_c = sum_j g_jc + l1, one for every row or for all,
# not below f_c q / s if `damped`; then F_new and F are extrapolated as in dense_pass. report as there, but the last
# number gains sum_j x_j (log(x_j / y_j) - 1), if `measure`. Rows are dealt out; no row depends on another. Bytes: X
# once (by columns: in blocks of a cache line), G's transpose for every row, from the second cache level.
def dense_newton(real[:, ::1] F, real[:, ::1] F_new, double[::1] report, const real[:, :] X, const real[:, ::1] G,
                 const real[:, ::1] start, const real[:, ::1] previous, const real[::1] scale,
                 const real[:, ::1] sums, const int[::1] order, const real[::1] l2, double momentum, int max_sweeps,
                 double tol, const real[::1] floors, bint damped, bint measure, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], m = X.shape[1], k = scale.shape[0], ld = F.shape[1]
    cdef int level = workspace.level, n_threads
    cdef nmf_newton job
    cdef real* memory
    cdef real* H
    cdef double* reports
    if n == 0 or m == 0:
        return
    cdef Py_ssize_t row_step = X.strides[0] // <Py_ssize_t>sizeof(real), step = X.strides[1] // <Py_ssize_t>sizeof(real)
    cdef const real* x = &X[0, 0]
    cdef Py_ssize_t width = lanes(level, <real*>NULL), ldh = (m + width - 1) // width * width
    # long rows that are taken together; none if they are so short that a tile holds a row in each lane
    cdef Py_ssize_t across = 0, together = SHARED_BYTES // (2 * ldh * <Py_ssize_t>sizeof(real))
    if together < width:
        across = max(<Py_ssize_t>1, together)
    cdef Py_ssize_t size = tile_size(across * ldh // width if across else m, 0, k, ld, width)
    size += ldh * width if step != 1 else 0
    size = whole_lines(size)
    cdef Py_ssize_t t, j, tasks = (n + width - 1) // width, blocks = (m + TILE - 1) // TILE
    n_threads = workspace.threads_for(<double>n * m * k * STEP_COST)
    job = describe_newton(F, F_new, G, start, previous, k, sums, order, l2, momentum, max_sweeps, tol, floors, damped,
                          measure)
    memory = divide_memory(&job, scale, size * sizeof(real), k * ldh, tasks, &reports, &H, workspace)
    with nogil:
        for t in range(k):
            for j in range(m, ldh):
                H[t * ldh + j] = 0
        for t in prange(blocks, schedule="static", num_threads=n_threads):
            transpose(level, min(<Py_ssize_t>TILE, m - t * TILE), k, &G[t * TILE, 0], ld, H + t * TILE, ldh)
        for t in prange(tasks, schedule="dynamic", chunksize=1, num_threads=n_threads):
            newton_dense(level, <int>across, &job, x, row_step, step, m, H, ldh, t * width, min(width, n - t * width),
                         memory + threadid() * size, reports + REPORT * t)
        add_reports(&report[0], reports, tasks)


# The same for X in CSR. rows: all of them, window by window, the longest of each window first; windows: where each
# begins, and n. The rows of a window are one task: the long ones one by one, the others in tiles of as many as a
# vector has numbers, so that those of a tile are about equally long. Bytes: the stored entries and a row of G for
# each, once.
def csr_newton(real[:, ::1] F, real[:, ::1] F_new, double[::1] report, const real[::1] data, const int32_t[::1] indices,
               const int64_t[::1] indptr, const int64_t[::1] rows, const int64_t[::1] windows, const real[:, ::1] G,
               const real[:, ::1] start, const real[:, ::1] previous, const real[::1] scale,
               const real[:, ::1] sums, const int[::1] order, const real[::1] l2, double momentum, int max_sweeps,
               double tol, const real[::1] floors, bint damped, bint measure, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], k = scale.shape[0], ld = F.shape[1], tasks = windows.shape[0] - 1, t, size
    cdef int level = workspace.level, n_threads
    cdef nmf_newton job
    cdef real* memory
    cdef real* rest
    cdef double* reports
    if n == 0:
        return
    cdef Py_ssize_t width = lanes(level, <real*>NULL), longest = 0, long_rows
    cdef Py_ssize_t most = LANES_TILE // (k * width * <Py_ssize_t>sizeof(real))  # entries of a row that has only a lane
    cdef const int64_t* starts = &indptr[0]
    cdef const real* values = &data[0] if data.shape[0] else NULL
    cdef const int32_t* places = &indices[0] if data.shape[0] else NULL
    for t in range(tasks):
        longest = max(longest, starts[rows[windows[t]] + 1] - starts[rows[windows[t]]])
    long_rows = (longest + width - 1) // width if longest > most else 0
    size = whole_lines(tile_size(max(long_rows, min(longest, most)), min(ld, (k + 3) // 4 * 4), k, ld, width))
    n_threads = workspace.threads_for(<double>data.shape[0] * k * STEP_COST)
    job = describe_newton(F, F_new, G, start, previous, k, sums, order, l2, momentum, max_sweeps, tol, floors, damped,
                          measure)
    memory = divide_memory(&job, scale, size * sizeof(real), 0, tasks, &reports, &rest, workspace)
    with nogil:
        for t in prange(tasks, schedule="dynamic", chunksize=1, num_threads=n_threads):
            newton_window(level, &job, values, places, starts, &rows[0] + windows[t], windows[t + 1] - windows[t],
                          most, width, memory + threadid() * size, reports + REPORT * t)
        add_reports(&report[0], reports, tasks)


cdef void newton_window(int level, const nmf_newton* job, const real* data, const int32_t* indices,
                        const int64_t* indptr, const int64_t* rows, Py_ssize_t n, Py_ssize_t most, Py_ssize_t width,
                        real* scratch, double* report) noexcept nogil:
    cdef Py_ssize_t i = 0, count
    cdef bint across
    while i < n:
        across = indptr[rows[i] + 1] - indptr[rows[i]] > most
        count = 1 if across else min(width, n - i)
        newton_csr(level, across, job, data, indices, indptr, rows + i, count, scratch, report)
        i += count


cdef inline void newton_dense(int level, int across, const nmf_newton* job, const real* X, Py_ssize_t row_step,
                              Py_ssize_t step, Py_ssize_t m, const real* H, Py_ssize_t ldh, Py_ssize_t first,
                              Py_ssize_t rows, real* scratch, double* report) noexcept nogil:
    if real is float:
        newton_dense_f(level, across, job, X, row_step, step, m, H, ldh, first, rows, scratch, report)
    else:
        newton_dense_d(level, across, job, X, row_step, step, m, H, ldh, first, rows, scratch, report)


cdef inline void newton_csr(int level, bint across, const nmf_newton* job, const real* data, const int32_t* indices,
                            const int64_t* indptr, const int64_t* rows, Py_ssize_t count, real* scratch,
                            double* report) noexcept nogil:
    if real is float:
        newton_csr_f(level, across, job, data, indices, indptr, rows, count, scratch, report)
    else:
        newton_csr_d(level, across, job, data, indices, indptr, rows, count, scratch, report)
