# Rows of which only the stored entries are known, each perhaps with a weight: what is not stored does not count. Every
# row is a problem of its own, with a Gram matrix of its own; the other factor is improved in the same way from the
# transposed matrix.

cdef extern from "dispatch.h" nogil:
    ctypedef struct nmf_observed:
        Py_ssize_t k, ld, ldb, n_order
        const int* order
        const void* G
        const void* start
        const void* previous
        const void* scale
        const void* lower
        const void* amounts
        void* F
        void* F_new
        double l1, l2, momentum, tol
        int max_sweeps
    enum:
        OBSERVED_ROWS "NMF_OBSERVED_ROWS"
        OBSERVED_NARROW "NMF_OBSERVED_NARROW"
        OBSERVED_CHUNK "NMF_OBSERVED_CHUNK"
    void observed_hals_f(int level, const nmf_observed* job, const float* data, const float* weights,
                         const int32_t* indices, const int64_t* indptr, Py_ssize_t first, Py_ssize_t end,
                         float* scratch, double* report)
    void observed_hals_d(int level, const nmf_observed* job, const double* data, const double* weights,
                         const int32_t* indices, const int64_t* indptr, Py_ssize_t first, Py_ssize_t end,
                         double* scratch, double* report)


# Rows f of F improved for F G.T ~ X from `start` on, up to max_sweeps sweeps of
#     f_c <- max(lower_c, f_c - (A f - b + amount l1)_c / A_cc),  l1 only where lower_c is zero,
#     A = sum_j w_j g_j g_j.T + amount l2,  b = sum_j w_j x_j g_j  over the row's entries;
# then extrapolated if there is F_new. amounts: a number for every row. weights: of the entries, or None for ones.
# bounds: where the tasks, some rows each, begin, and n. report as in dense_pass, but the last number gains the sum of
# w (x - y)^2. A row's entries of G are gathered once, into the first cache level, and A and b summed there: k^2 / 2 + k
# multiply-adds an entry. Bytes: the stored entries and a row of G for each, once.
def observed_hals(real[:, ::1] F, real[:, ::1] F_new, double[::1] report, const real[::1] data, const real[::1] weights,
                  const int32_t[::1] indices, const int64_t[::1] indptr, const int64_t[::1] bounds,
                  const real[:, ::1] G, const real[:, ::1] start, const real[:, ::1] previous, const real[::1] scale,
                  const real[::1] lower, const int[::1] order, double l1, double l2, const real[::1] amounts,
                  double momentum, int max_sweeps, double tol, Workspace workspace not None):
    cdef Py_ssize_t k = scale.shape[0], ld = F.shape[1], tasks = bounds.shape[0] - 1, t, width, rows, size
    cdef nmf_observed job
    cdef double* reports
    cdef real* scratch
    cdef real* padded
    cdef int level = workspace.level, n_threads
    if F.shape[0] == 0:
        return
    width = max(<Py_ssize_t>4, lanes(level, <real*>NULL))
    job.k, job.ld, job.n_order = k, ld, order.shape[0]
    job.ldb = (max(k + 1, ld) + width - 1) // width * width
    job.order = &order[0] if order.shape[0] else NULL
    job.G, job.start, job.previous = &G[0, 0], &start[0, 0], &previous[0, 0]
    job.amounts, job.F = &amounts[0], &F[0, 0]
    job.F_new = NULL if F_new is None else &F_new[0, 0]
    job.l1, job.l2, job.momentum, job.tol, job.max_sweeps = l1, l2, momentum, tol, max_sweeps
    rows = OBSERVED_ROWS if k <= OBSERVED_NARROW else 1
    size = (rows * (job.ldb + 3) + (1 if weights is None else 2) * OBSERVED_CHUNK) * job.ldb
    size += job.ldb * job.ldb * <Py_ssize_t>(sizeof(double) // sizeof(real))
    size = (size * <Py_ssize_t>sizeof(real) + 63) // 64 * 64 // <Py_ssize_t>sizeof(real)
    n_threads = workspace.threads_for(<double>data.shape[0] * k * k)
    cdef const real* values = &data[0] if data.shape[0] else NULL
    cdef const real* shares = NULL
    if weights is not None and data.shape[0]:
        shares = &weights[0]
    cdef const int64_t* starts = &indptr[0]
    cdef const int32_t* places = &indices[0] if data.shape[0] else NULL
    scratch = <real*>workspace.reserve((workspace.n_threads * size + 2 * job.ldb) * sizeof(real)
                                       + REPORT * tasks * sizeof(double))
    padded = scratch + workspace.n_threads * size
    reports = <double*>(padded + 2 * job.ldb)
    job.scale, job.lower = padded, padded + job.ldb
    with nogil:
        memset(padded, 0, 2 * job.ldb * sizeof(real))
        memcpy(padded, &scale[0], k * sizeof(real))
        memcpy(padded + job.ldb, &lower[0], k * sizeof(real))
        memset(reports, 0, REPORT * tasks * sizeof(double))
        for t in prange(tasks, schedule="dynamic", chunksize=1, num_threads=n_threads):
            descend_rows(level, &job, values, shares, places, starts, bounds[t], bounds[t + 1],
                         scratch + threadid() * size, reports + REPORT * t)
        add_reports(&report[0], reports, tasks)


cdef inline void descend_rows(int level, const nmf_observed* job, const real* data, const real* weights,
                              const int32_t* indices, const int64_t* indptr, Py_ssize_t first, Py_ssize_t end,
                              real* scratch, double* report) noexcept nogil:
    if real is float:
        observed_hals_f(level, job, data, weights, indices, indptr, first, end, scratch, report)
    else:
        observed_hals_d(level, job, data, weights, indices, indptr, first, end, scratch, report)


# Multiplicative updates of the rows f of F from `start` on, for any beta-divergence of the stored entries:
#     f_c <- f_c (sum_j w_j x_j y_j^(loss_beta - 2) g_jc / (sum_j w_j y_j^(loss_beta - 1) g_jc
#                                                           + amount (l1 + l2 f_c)))^exponent
# with y = max(the row's floor, G f), up to max_sweeps times; then extrapolated if there is F_new. sums: of the columns
# of G. weights, bounds, amounts as above. report as in dense_pass without its last number. Bytes: the stored entries
# once, a row of G for each three times, the second and third from cache.
def observed_mu(real[:, ::1] F, real[:, ::1] F_new, double[::1] report, const real[::1] data, const real[::1] weights,
                const int32_t[::1] indices, const int64_t[::1] indptr, const int64_t[::1] bounds, const real[:, ::1] G,
                const real[:, ::1] start, const real[:, ::1] previous, const real[::1] scale, const real[::1] sums,
                const int[::1] order, double l1, double l2, double momentum, int max_sweeps, double tol,
                double loss_beta, double exponent, const real[::1] floors, const real[::1] amounts,
                Workspace workspace not None):
    cdef Py_ssize_t ld = F.shape[1], tasks = bounds.shape[0] - 1, t
    cdef Py_ssize_t size = (2 * CHUNK + 3 * ld) * <Py_ssize_t>sizeof(real)
    cdef Job job
    cdef char* memory
    cdef real[:, ::1] nothing = None
    cdef int n_threads
    if F.shape[0] == 0:
        return
    job = describe(F, F_new, nothing, start, previous, scale, order, 0, l1, 0, momentum, max_sweeps, tol)
    add_loss(&job, sums, l2, loss_beta, exponent)
    job.F, job.floors, job.G, job.stored, job.level = &F[0, 0], &floors[0], &G[0, 0], data.shape[0], workspace.level
    job.data = <const void*>&data[0] if job.stored else NULL
    job.indices = &indices[0] if job.stored else NULL
    job.indptr = &indptr[0]
    cdef const real* shares = NULL
    if weights is not None and job.stored:
        shares = &weights[0]
    size = (size + 63) // 64 * 64
    n_threads = workspace.threads_for(4.0 * job.stored * ld)
    memory = workspace.reserve(workspace.n_threads * size + 2 * ld * sizeof(double) + REPORT * tasks * sizeof(double))
    job.report = <double*>(memory + workspace.n_threads * size)
    with nogil:
        fill_rows(&job, <real*>(job.report + REPORT * tasks))
        memset(job.report, 0, REPORT * tasks * sizeof(double))
        for t in prange(tasks, schedule="dynamic", chunksize=1, num_threads=n_threads):
            multiply_rows(job, &F[0, 0], shares, &amounts[0], bounds[t], bounds[t + 1],
                          memory + threadid() * size, job.report + REPORT * t)
        add_reports(&report[0], job.report, tasks)


# The rows of a task; `job` is a copy, because every row has penalties of its own.
cdef void multiply_rows(Job job, real* F, const real* weights, const real* amounts, Py_ssize_t first,
                        Py_ssize_t end, char* memory, double* report) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, i
    cdef double l1 = job.l1, l2 = job.l2, length, begun
    cdef int sweep
    cdef bint running
    cdef real* f
    cdef real* numerator = <real*>memory + 2 * CHUNK
    cdef unsigned int mode = flush_underflow()
    for i in range(first, end):
        f = F + i * ld
        if f != <const real*>job.start + i * ld:
            memcpy(f, <const real*>job.start + i * ld, ld * sizeof(real))
        job.l1, job.l2 = l1 * amounts[i], l2 * amounts[i]
        begun = 0
        running = False
        for sweep in range(job.max_sweeps):
            known_parts(&job, f, weights, i, numerator, <real*>memory)
            length = multiply(&job, f, numerator, numerator + ld, <real*>NULL, 1.5)
            if sweep == 0:
                begun = length
                report[0] += length
            report[1] = max(report[1], <double>(sweep + 1))
            running = length > job.tol * job.tol * begun
            if not running:
                break
        report[2] += running
        extrapolate_row(&job, f, NULL if job.F_new == NULL else <real*>job.F_new + i * ld,
                        <const real*>job.previous + i * ld)
    restore_underflow(mode)


# Numerator and denominator of the gradient for row i, ld numbers each, over its stored entries.
cdef void known_parts(const Job* job, const real* f, const real* weights, Py_ssize_t i, real* numerator,
                      real* scratch) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, c
    cdef real* Y = scratch
    cdef real* T = Y + CHUNK
    cdef real* part = numerator + 2 * ld
    cdef const int32_t* indices = job.indices
    cdef int64_t p = job.indptr[i], end = job.indptr[i + 1], count
    cdef int64_t[2] bounds
    memset(numerator, 0, 2 * ld * sizeof(real))
    while p < end:
        count = min(<int64_t>CHUNK, end - p)
        bounds[0], bounds[1] = 0, count
        row_dots(job.level, ld, count, job.stored - p, indices + p, f, <const real*>job.G, ld, Y)
        entry_parts(job.level, LOSS, job.loss_beta, (<const real*>job.floors)[i], count, <const real*>job.data + p, Y,
                    T, NULL)
        if job.loss_beta == 1:  # where `entry_parts` leaves the denominator out
            for c in range(count):
                Y[c] = 1
        if weights != NULL:
            for c in range(count):
                Y[c] *= weights[p + c]
                T[c] *= weights[p + c]
        gather(job.level, 1, ld, T, indices + p, bounds, <const real*>job.G, ld, part, ld)
        for c in range(ld):
            numerator[c] += part[c]
        gather(job.level, 1, ld, Y, indices + p, bounds, <const real*>job.G, ld, part, ld)
        for c in range(ld):
            numerator[ld + c] += part[c]
        p += count
