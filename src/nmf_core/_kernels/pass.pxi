# One pass over X: improvement of the rows of one factor, statistics for the other.
#
# Statistics are one array S. Of a quadratic loss it has m + k rows: X.T F above, F.T F below, or m + 2 k with
# F_new.T F_new, of the rows before extrapolation, as the last ones. Of another one, the parts of the gradient of the
# other factor: m rows of numerators and m of denominators, for the Kullback-Leibler divergence m and one. It has m rows
# if numerators are wanted alone. How rows are grouped depends on the shape of the problem only, never on the number of
# threads, and groups are added in their order: the bits are the same for any number.

cdef extern from "dispatch.h" nogil:
    void nmf_improve_rows_f(const void* job, float* F, const float* cross, Py_ssize_t begin, Py_ssize_t n_rows,
                            float* scratch, double* report)
    void nmf_improve_rows_d(const void* job, double* F, const double* cross, Py_ssize_t begin, Py_ssize_t n_rows,
                            double* scratch, double* report)

cdef enum:
    COLUMNS = 32             # columns of X whose statistics are one task
    GROUP_ROWS = 256         # at least so many rows a group: what it saves must outweigh adding it up
    PIECE_BYTES = 1 << 20    # a piece of dense X that stays in the second cache level between its two products
    CSR_ROWS = 1024          # rows of a piece of X in CSR, some times what sums are taken over in registers
    CROSS_ROWS = 256         # whose cross is found at once: sweeps in between take the first cache level from G
    GROUPS_BYTES = 1 << 25   # at most so much memory for the statistics of all groups
    SLAB_BYTES = 1 << 21     # a piece of X that stays in the caches of all threads together


# What blocks of rows report together: the second number is a maximum, the others are sums.
cdef void add_reports(double* total, const double* reports, Py_ssize_t blocks) noexcept nogil:
    cdef Py_ssize_t b, i
    for b in range(blocks):
        for i in range(REPORT):
            if i == 1:
                total[i] = max(total[i], reports[REPORT * b + i])
            else:
                total[i] += reports[REPORT * b + i]


# The rows of F from `begin` on become the improved rows of `start`: see rows.pxi.
cdef inline void improve_rows(const Job* job, real* F, const real* cross, Py_ssize_t begin, Py_ssize_t n_rows,
                              real* scratch, double* report) noexcept nogil:
    if real is float:
        nmf_improve_rows_f(job, F, cross, begin, n_rows, scratch, report)
    else:
        nmf_improve_rows_d(job, F, cross, begin, n_rows, scratch, report)


# Cross of the rows from `first` on, into the thread's scratch memory; then the rows of F are improved.
cdef void improve_block(const Job* job, real* F, Py_ssize_t first, Py_ssize_t rows,
                        int thread) noexcept nogil:
    cdef Py_ssize_t ld = job.ld
    cdef real* C = <real*>(job.memory + thread * job.thread_bytes)
    cdef const real* cross = C
    if job.max_sweeps == 0:
        return
    if job.in_parts:
        improve_by_parts(job, F, first, rows, C, job.report + REPORT * (first // NARROW))
        return
    ask_for(<const real*>job.start + first * ld, rows * ld * sizeof(real))
    if job.F_new != NULL:
        ask_for(<const real*>job.F_new + first * ld, rows * ld * sizeof(real))
    if job.cross != NULL:
        cross = <const real*>job.cross + first * ld
    elif job.X != NULL:
        product(job.level, SET, rows, ld, job.m, <const real*>job.X + first * job.row_step, job.row_step, job.step,
                <const real*>job.G,
                ld, C, ld)
    else:
        gather(job.level, rows, ld, <const real*>job.data, job.indices,
               job.indptr + first, <const real*>job.G, ld, C, ld)
    improve_rows(job, F, cross, first, rows, C + block_rows(job) * ld, job.report + REPORT * (first // NARROW))


# The most rows that improve_block takes.
cdef inline Py_ssize_t block_rows(const Job* job) noexcept nogil:
    return TILE if job.in_parts or job.data == NULL else CROSS_ROWS


# Rows of a block where blocks are dealt out: few rows are no cheaper than a tile, nor few tiles than many, but every
# thread should have some.
cdef inline Py_ssize_t dealt_rows(Py_ssize_t n, Py_ssize_t most, int n_threads) noexcept nogil:
    if n_threads == 1 or n >= 4 * most * n_threads:
        return most
    return TILE if n >= 4 * TILE * n_threads else NARROW


# Scratch memory of one thread in bytes, a multiple of a cache line.
cdef inline size_t thread_bytes(const Job* job, real* _) noexcept nogil:
    cdef Py_ssize_t size = parts_size(job.ld) if job.in_parts else max(
        block_rows(job) * job.ld + scratch_size(_, job.method, job.level, job.k, job.ld), job.k * job.ld)
    return (sizeof(real) * size + 63) // 64 * 64


# Groups of rows for statistics, by the number of rows alone.
cdef void make_groups(Job* job) noexcept nogil:
    cdef Py_ssize_t groups = 1, step, g
    while groups < GROUPS and job.n // (2 * groups) >= GROUP_ROWS:
        groups *= 2
    step = ((job.n + groups - 1) // groups + TILE - 1) // TILE * TILE
    job.n_groups = groups
    for g in range(groups + 1):
        job.groups[g] = min(job.n, g * step)


# Where group g gathers its statistics: the first in S itself, the others in `group_sums`. The first `shared` rows of S
# are not divided into groups.
cdef inline real* group_statistics(const Job* job, real* group_sums, Py_ssize_t g) noexcept nogil:
    if g == 0:
        return <real*>job.S + job.shared * job.ld
    return group_sums + (g - 1) * (job.height - job.shared) * job.ld


# S += the other groups' statistics, in their order.
cdef void add_groups(const Job* job, real* group_sums) noexcept nogil:
    cdef Py_ssize_t size = (job.height - job.shared) * job.ld, chunk = 4096, i
    cdef real* S = group_statistics(job, group_sums, 0)
    if job.n_groups == 1:
        return
    for i in prange((size + chunk - 1) // chunk, schedule="static", num_threads=job.n_threads):
        add_numbers(S, group_sums, size, job.n_groups - 1, i * chunk, min(size, (i + 1) * chunk))


# S += each of some arrays, from one number to another; in double, because what rows add up to is rounded once, then.
cdef void add_numbers(real* S, const real* arrays, Py_ssize_t size, Py_ssize_t n_arrays, Py_ssize_t first,
                      Py_ssize_t end) noexcept nogil:
    cdef double[64] sums
    cdef Py_ssize_t width, i, g
    while first < end:
        width = min(<Py_ssize_t>64, end - first)
        for i in range(width):
            sums[i] = S[first + i]
        for g in range(n_arrays):
            for i in range(width):
                sums[i] += arrays[g * size + first + i]
        for i in range(width):
            S[first + i] = <real>sums[i]
        first += width


# What the last rows of S hold of some rows of a group: F.T F and perhaps F_new.T F_new, or the sum of the rows.
cdef void add_gram(const Job* job, real* F, Py_ssize_t first, Py_ssize_t end, real* statistics,
                   int thread) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, stop, c
    cdef real* gram = statistics + (job.m - job.shared) * ld
    if job.height == job.m:
        return
    cdef real* some = <real*>(job.memory + thread * job.thread_bytes)
    while job.in_parts and job.loss_beta == 1 and first < end:
        for c in range(ld):
            gram[c] += F[first * ld + c]
        first += 1
    while not job.in_parts and first < end:
        stop = min(end, first + CSR_ROWS)
        add_gram_of(job, F, first, stop, gram, some)
        if job.F_new != NULL and job.height > job.m + job.k:
            add_gram_of(job, <real*>job.F_new, first, stop, gram + job.k * ld, some)
        first = stop


# gram += F.T F of some rows, whose upper triangle `some` (k x ld) takes first: by tiles, pieces and groups few numbers
# are added each time, so that their sum is hardly rounded more often than once.
cdef void add_gram_of(const Job* job, const real* F, Py_ssize_t first, Py_ssize_t end, real* gram,
                      real* some) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, rows
    memset(some, 0, job.k * ld * sizeof(real))
    while first < end:
        rows = min(<Py_ssize_t>TILE, end - first)
        add_upper(job.level, some, job.k, rows, F + first * ld, ld)
        first += rows
    add_whole(gram, job.k, some, ld)


# The parts of the other factor's gradient, of some rows of F.
cdef void add_parts(const Job* job, real* F, Py_ssize_t first, Py_ssize_t rows, real* S,
                    int thread) noexcept nogil:
    cdef Py_ssize_t c
    cdef const int64_t* indptr = job.indptr
    cdef real* scratch = <real*>(job.memory + thread * job.thread_bytes)
    if job.X != NULL or holds_both(job):
        for c in range((job.m + SPAN - 1) // SPAN):
            column_parts(job, F + first * job.ld, first, rows, c * SPAN, min(<Py_ssize_t>SPAN, job.m - c * SPAN), S,
                         scratch)
    if job.X == NULL:
        stored_numerator(job, F + first * job.ld, <const real*>job.floors + first, indptr + first, indptr + first + 1,
                         rows, <real*>NULL, S, NULL)


# A group of rows from beginning to end: each piece is improved and its statistics taken while it is in the cache.
cdef void run_group(const Job* job, real* F, real* group_sums, Py_ssize_t g, int thread) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, first = job.groups[g], end = job.groups[g + 1], piece = CSR_ROWS, rows, b
    cdef Py_ssize_t block = block_rows(job)
    cdef real* S = group_statistics(job, group_sums, g)
    if g > 0:
        memset(S, 0, job.height * ld * sizeof(real))
    if job.X != NULL:
        piece = PIECE_BYTES // (job.m * <Py_ssize_t>sizeof(real)) // NARROW * NARROW
        piece = min(max(piece, NARROW), 4 * TILE)
    while first < end:
        rows = min(piece, end - first)
        for b in range((rows + block - 1) // block):
            improve_block(job, F, first + b * block, min(block, rows - b * block), thread)
        if job.in_parts:
            add_parts(job, F, first, rows, S, thread)
        elif job.X != NULL:
            product(job.level, ADD, job.m, ld, rows, <const real*>job.X + first * job.row_step, job.step, job.row_step,
                    F + first * ld, ld, S, ld)
        elif job.data != NULL:
            scatter(job.level, rows, ld, <const real*>job.data, job.indices,
                    job.indptr + first, job.indptr + first + 1, F + first * ld, ld, S, ld)
        add_gram(job, F, first, first + rows, S, thread)
        first += rows


# Every group of rows is one task: X is read once.
cdef void run_groups(const Job* job, real* F, real* group_sums) noexcept nogil:
    cdef Py_ssize_t g
    for g in prange(job.n_groups, schedule="dynamic", chunksize=1, num_threads=job.n_threads):
        run_group(job, F, group_sums, g, threadid())
    add_groups(job, group_sums)


# X.T F for a slab of rows: 32 columns of dense X, or stripe t % n_stripes of CSR in group t // n_stripes.
cdef void add_columns(const Job* job, real* F, real* group_sums, Py_ssize_t first, Py_ssize_t rows,
                      Py_ssize_t t, int thread) noexcept nogil:
    cdef Py_ssize_t ld = job.ld, c = t * COLUMNS, stripe, g, b
    cdef const int64_t* begin
    cdef const int64_t* end
    cdef real* S = <real*>job.S
    cdef real* scratch = <real*>(job.memory + thread * job.thread_bytes)
    if job.in_parts and (job.X != NULL or t >= job.n_stripes * job.n_groups):
        if job.X == NULL:
            t -= job.n_stripes * job.n_groups
            g = t % job.n_groups
            first, rows, c = job.groups[g], job.groups[g + 1] - job.groups[g], t // job.n_groups * COLUMNS
            S = group_statistics(job, group_sums, g)
        column_parts(job, F + first * ld, first, rows, c, min(<Py_ssize_t>COLUMNS, job.m - c), S, scratch)
    elif job.X != NULL:
        product(job.level, ADD, min(COLUMNS, job.m - c), ld, rows,
                <const real*>job.X + first * job.row_step + c * job.step,
                job.step, job.row_step, F + first * ld, ld, <real*>job.S + c * ld, ld)
    else:
        stripe, g = t % job.n_stripes, t // job.n_stripes
        first, rows = job.groups[g], job.groups[g + 1] - job.groups[g]
        begin = job.indptr if stripe == 0 else job.splits + (stripe - 1) * job.n
        end = job.indptr + 1 if stripe == job.n_stripes - 1 else job.splits + stripe * job.n
        if job.in_parts:
            stored_numerator(job, F + first * ld, <const real*>job.floors + first, begin + first, end + first, rows,
                             <real*>NULL, group_statistics(job, group_sums, g), NULL)
        else:
            scatter(job.level, rows, ld, <const real*>job.data, job.indices, begin + first, end + first,
                    F + first * ld, ld, group_statistics(job, group_sums, g), ld)


# Any X, slab by slab: the threads share the rows to improve them, then the columns to add their statistics.
cdef void run_slabs(const Job* job, real* F, real* group_sums) noexcept nogil:
    cdef Py_ssize_t n = job.n, ld = job.ld, slab = n, first, rows, b, s, t, g, tasks = 0
    cdef Py_ssize_t block = dealt_rows(n, block_rows(job), job.n_threads)
    if job.X != NULL:
        slab = max(SLAB_BYTES // (max(1, job.m) * <Py_ssize_t>sizeof(real)) // TILE, 1) * TILE
        tasks = (job.m + COLUMNS - 1) // COLUMNS
    elif job.data != NULL:
        tasks = job.n_stripes * job.n_groups
        if holds_both(job):
            tasks += (job.m + COLUMNS - 1) // COLUMNS * job.n_groups
    if job.S != NULL:
        for g in range(1, job.n_groups):
            memset(group_statistics(job, group_sums, g), 0, (job.height - job.shared) * ld * sizeof(real))
    for s in range((n + slab - 1) // slab):
        first = s * slab
        rows = min(slab, n - first)
        for b in prange((rows + block - 1) // block, schedule="dynamic", chunksize=1, num_threads=job.n_threads):
            improve_block(job, F, first + b * block, min(block, rows - b * block), threadid())
        if job.S != NULL:
            for t in prange(tasks, schedule="dynamic", chunksize=1, num_threads=job.n_threads):
                add_columns(job, F, group_sums, first, rows, t, threadid())
    if job.S != NULL:
        for g in prange(job.n_groups, schedule="static", num_threads=job.n_threads):
            add_gram(job, F, job.groups[g], job.groups[g + 1], group_statistics(job, group_sums, g), threadid())
        add_groups(job, group_sums)


# Two rows of ld numbers: `free`, 1 for components to update and 0 for others, and `scale` filled up with zeros.
cdef void fill_rows(Job* job, real* rows) noexcept nogil:
    cdef Py_ssize_t i, ld = job.ld
    memset(rows, 0, 2 * ld * sizeof(real))
    for i in range(job.n_order):
        rows[job.order[i]] = 1
    memcpy(rows + ld, job.scale, job.k * sizeof(real))
    job.free, job.scale = rows, rows + ld


# Gt (k x m) = G.T; blocks of rows are dealt out.
cdef void transpose_factor(Job* job, const real* G, real* Gt) noexcept nogil:
    cdef Py_ssize_t b, m = job.m, k = job.k, ld = job.ld
    for b in prange((m + TILE - 1) // TILE, schedule="static", num_threads=job.n_threads):
        transpose(job.level, min(<Py_ssize_t>TILE, m - b * TILE), k, G + b * TILE * ld, ld, Gt + b * TILE, m)
    job.Gt = Gt


# Divide the memory, run, and add the blocks' reports in their order.
cdef int run_pass(Job* job, real* F, double* total, Workspace workspace) except -1:
    cdef Py_ssize_t b, n_blocks = (job.n + NARROW - 1) // NARROW
    cdef size_t threads_bytes, groups_bytes, transposed_bytes = 0
    cdef size_t rows_bytes = (2 * job.ld * sizeof(real) + 63) // 64 * 64
    cdef size_t reports_bytes = REPORT * n_blocks * sizeof(double)
    cdef bint by_groups
    cdef real* group_sums
    cdef Py_ssize_t entries = job.n * job.m if job.X != NULL else job.stored
    cdef double work = 2.0 * entries * job.k + <double>job.n * job.k * job.k * max(1, job.max_sweeps)
    # the whole model is needed, tile by tile
    cdef bint whole = job.in_parts and (job.X != NULL or holds_both(job) or (job.loss_beta != 1 and job.max_sweeps > 0))
    if whole:
        work = 4.0 * job.n * job.m * job.k
        # strips of two vectors reach beyond the last column
        transposed_bytes = (job.k * job.m * sizeof(real) + 63) // 64 * 64 + 128
    job.level = workspace.level
    job.thread_bytes = thread_bytes(job, F)
    threads_bytes = workspace.n_threads * job.thread_bytes
    job.n_threads = workspace.threads_for(work)
    if job.X != NULL:
        by_groups = (job.m > 0 and job.S != NULL and job.n_groups >= 4
                     and job.n_groups * job.height * job.ld * <Py_ssize_t>sizeof(real) <= GROUPS_BYTES)
        job.shared = 0 if by_groups else job.m * (2 if holds_both(job) else 1)
    else:
        by_groups = job.S != NULL and job.n_groups >= job.n_threads
    groups_bytes = 0
    if job.S != NULL:
        groups_bytes = (job.n_groups * (job.height - job.shared) * job.ld * sizeof(real) + 63) // 64 * 64
    job.F = F
    job.memory = workspace.reserve(threads_bytes + groups_bytes + transposed_bytes + rows_bytes + reports_bytes)
    job.report = <double*>(job.memory + threads_bytes + groups_bytes + transposed_bytes + rows_bytes)
    group_sums = <real*>(job.memory + threads_bytes)
    with nogil:
        if job.in_parts:
            fill_rows(job, <real*>(job.memory + threads_bytes + groups_bytes + transposed_bytes))
        if whole:
            transpose_factor(job, <const real*>job.G, <real*>(job.memory + threads_bytes + groups_bytes))
        memset(job.report, 0, reports_bytes)
        if by_groups:
            run_groups(job, F, group_sums)
        else:
            run_slabs(job, F, group_sums)
        add_reports(total, job.report, n_blocks)
    return 0


cdef Job describe(real[:, ::1] F, real[:, ::1] F_new, real[:, ::1] S, const real[:, ::1] start,
                  const real[:, ::1] previous, const real[::1] scale, const int[::1] order, int method, double l1,
                  double rate, double momentum, int max_sweeps, double tol):
    cdef Job job
    memset(&job, 0, sizeof(Job))
    job.n, job.ld, job.k = F.shape[0], F.shape[1], scale.shape[0]
    job.order = &order[0] if order.shape[0] else NULL
    job.n_order = order.shape[0]
    job.method, job.max_sweeps = method, max_sweeps
    job.l1, job.rate, job.momentum, job.tol = l1, rate, momentum, tol
    job.F_new = NULL if F_new is None else &F_new[0, 0]
    job.start = &start[0, 0]
    job.previous = &previous[0, 0]
    job.scale = &scale[0]
    job.S = NULL if S is None else &S[0, 0]
    job.height = 0 if S is None else S.shape[0]
    make_groups(&job)
    return job


# X in CSR and the fixed factor.
cdef void describe_csr(Job* job, const real[::1] data, const int32_t[::1] indices, const int64_t[::1] indptr,
                       const int64_t[:, ::1] splits, const int64_t[::1] groups, const real[:, ::1] G):
    cdef Py_ssize_t g
    job.m = G.shape[0]
    job.stored = data.shape[0]
    # never dereferenced where nothing is stored, but not NULL, which would mean that X is not in CSR
    job.data = <const void*>&data[0] if job.stored else <const void*>&indptr[0]
    job.indices = &indices[0] if job.stored else NULL
    job.indptr = &indptr[0]
    job.n_stripes = splits.shape[0] + 1
    job.splits = &splits[0, 0] if job.n_stripes > 1 else NULL
    job.n_groups = groups.shape[0] - 1
    for g in range(job.n_groups + 1):
        job.groups[g] = groups[g]
    job.G = &G[0, 0]


# What a pass for a beta-divergence needs besides.
cdef void add_loss(Job* job, const real[::1] sums, double l2, double loss_beta, double exponent, int inner_updates=0,
                   double den_power=0):
    job.in_parts = True
    job.sums, job.l2, job.loss_beta, job.exponent = &sums[0], l2, loss_beta, exponent
    # denominators of loss_beta = 1 do not depend on F
    job.inner_updates, job.den_power = inner_updates, 0 if loss_beta == 1 else den_power


# F's rows improved for F G.T ~ X from `start` on, then extrapolated if there is F_new, then S += [X.T F; F.T F], or
# [X.T F; F.T F; F_new.T F_new].
# Row blocks outside, their columns inside: X is read once (tall X) or once from memory and once from cache.
# Bytes: n m of X, n ld of F twice, m ld of G and S for every piece of 1 or 2 MB of X.
def dense_pass(real[:, ::1] F, real[:, ::1] F_new, real[:, ::1] S, double[::1] report, const real[:, :] X,
               const real[:, ::1] G, const real[:, ::1] start, const real[:, ::1] previous, const real[::1] scale,
               const real[:, ::1] gram, const real[:, ::1] matrix, const int[::1] order, int method, double l1,
               double rate, double momentum, int max_sweeps, double tol, Workspace workspace not None):
    cdef Job job
    if F.shape[0] == 0:
        return
    job = describe(F, F_new, S, start, previous, scale, order, method, l1, rate, momentum, max_sweeps, tol)
    job.gram, job.matrix = &gram[0, 0], &matrix[0, 0]
    job.m = X.shape[1]
    job.X = &X[0, 0]
    job.row_step, job.step = X.strides[0] // <Py_ssize_t>sizeof(real), X.strides[1] // <Py_ssize_t>sizeof(real)
    job.G = &G[0, 0]
    run_pass(&job, &F[0, 0], &report[0], workspace)


# The same for X in CSR, columns ascending in every row.
# groups: the first row of each group and n, multiples of TILE but the last, at most GROUPS of them. With as many groups
# as threads X is read once; with fewer, rows are dealt out to improve them, then stripes of columns to add statistics.
# Bytes: the stored entries once or twice, a row of G and a row of S (read and written) for each of them.
def csr_pass(real[:, ::1] F, real[:, ::1] F_new, real[:, ::1] S, double[::1] report, const real[::1] data,
             const int32_t[::1] indices, const int64_t[::1] indptr, const int64_t[:, ::1] splits,
             const int64_t[::1] groups, const real[:, ::1] G, const real[:, ::1] start, const real[:, ::1] previous,
             const real[::1] scale, const real[:, ::1] gram, const real[:, ::1] matrix, const int[::1] order,
             int method, double l1, double rate, double momentum, int max_sweeps, double tol,
             Workspace workspace not None):
    cdef Job job
    if F.shape[0] == 0:
        return
    job = describe(F, F_new, S, start, previous, scale, order, method, l1, rate, momentum, max_sweeps, tol)
    job.gram, job.matrix = &gram[0, 0], &matrix[0, 0]
    describe_csr(&job, data, indices, indptr, splits, groups, G)
    run_pass(&job, &F[0, 0], &report[0], workspace)


# The same where cross = X G is known: the factor that the statistics of a pass belong to.
# Bytes: n ld of cross once, of F three times.
def factor_pass(real[:, ::1] F, real[:, ::1] F_new, real[:, ::1] FtF, double[::1] report, const real[:, ::1] cross,
                const real[:, ::1] start, const real[:, ::1] previous, const real[::1] scale,
                const real[:, ::1] gram, const real[:, ::1] matrix, const int[::1] order, int method, double l1,
                double rate, double momentum, int max_sweeps, double tol, Workspace workspace not None):
    cdef Job job
    if F.shape[0] == 0:
        return
    job = describe(F, F_new, FtF, start, previous, scale, order, method, l1, rate, momentum, max_sweeps, tol)
    job.gram, job.matrix = &gram[0, 0], &matrix[0, 0]
    job.cross = &cross[0, 0]
    run_pass(&job, &F[0, 0], &report[0], workspace)


# Multiplicative updates for the beta-divergence d of X from F G.T: from `start` on every row f of F becomes
# f_c (sum_j x_j y_j^(loss_beta - 2) g_jc / (sum_j y_j^(loss_beta - 1) g_jc + l1 + l2 f_c))^exponent,  y = max(its
# floor, f G.T) for c in `order`, up to max_sweeps times, and after each of them `inner_updates` times with new
# numerators only, while denominators grow like f_c^den_power; then it is extrapolated if there is F_new, then S gains
# the two sums for the columns of X and the rows F as they are now: m rows and m, or for loss_beta = 1 m rows and one,
# the sum of the rows of F, or numerators alone, m rows. sums: of the columns of G. report as in dense_pass, but the
# last number gains the divergence of `start`, up to a constant. X may lie in any order. In tiles of 64 rows and 128 or
# 32 columns, so that the model and both parts stay in the first two cache levels. Bytes: X twice, once from memory and
# once from cache; G for every 64 rows.
def dense_beta_pass(real[:, ::1] F, real[:, ::1] F_new, real[:, ::1] S, double[::1] report, const real[:, :] X,
                    const real[:, ::1] G, const real[:, ::1] start, const real[:, ::1] previous, const real[::1] scale,
                    const real[::1] sums, const int[::1] order, double l1, double l2, double momentum, int max_sweeps,
                    double tol, double loss_beta, double exponent, const real[::1] floors, int inner_updates,
                    double den_power, Workspace workspace not None):
    cdef Job job
    if F.shape[0] == 0 or X.shape[1] == 0:
        return
    job = describe(F, F_new, S, start, previous, scale, order, 0, l1, 0, momentum, max_sweeps, tol)
    add_loss(&job, sums, l2, loss_beta, exponent, inner_updates, den_power)
    job.floors = &floors[0]
    job.m = X.shape[1]
    job.X = &X[0, 0]
    job.row_step, job.step = X.strides[0] // <Py_ssize_t>sizeof(real), X.strides[1] // <Py_ssize_t>sizeof(real)
    job.G = &G[0, 0]
    run_pass(&job, &F[0, 0], &report[0], workspace)


# The same for X in CSR; what is not stored is zero. With loss_beta = 1 only the stored entries are looked at,
# otherwise the whole model besides. Bytes: as csr_pass, with a row of G once more for each stored entry.
def csr_beta_pass(real[:, ::1] F, real[:, ::1] F_new, real[:, ::1] S, double[::1] report, const real[::1] data,
                  const int32_t[::1] indices, const int64_t[::1] indptr, const int64_t[:, ::1] splits,
                  const int64_t[::1] groups, const real[:, ::1] G, const real[:, ::1] start,
                  const real[:, ::1] previous, const real[::1] scale, const real[::1] sums, const int[::1] order,
                  double l1, double l2, double momentum, int max_sweeps, double tol, double loss_beta, double exponent,
                  const real[::1] floors, int inner_updates, double den_power, Workspace workspace not None):
    cdef Job job
    if F.shape[0] == 0 or G.shape[0] == 0:
        return
    job = describe(F, F_new, S, start, previous, scale, order, 0, l1, 0, momentum, max_sweeps, tol)
    add_loss(&job, sums, l2, loss_beta, exponent, inner_updates, den_power)
    job.floors = &floors[0]
    describe_csr(&job, data, indices, indptr, splits, groups, G)
    run_pass(&job, &F[0, 0], &report[0], workspace)


# The update of dense_beta_pass where both sums are known: `numerator`, and `denominator` for every row or one for all.
# With den_power there is one for every row, and it grows. Bytes: both, F and start once.
def factor_beta_pass(real[:, ::1] F, real[:, ::1] F_new, double[::1] report, const real[:, ::1] numerator,
                     real[:, ::1] denominator, const real[:, ::1] start, const real[:, ::1] previous,
                     const real[::1] scale, const real[::1] sums, const int[::1] order, double l1, double l2,
                     double momentum, double loss_beta, double exponent, double den_power,
                     Workspace workspace not None):
    cdef Job job
    cdef Py_ssize_t n = F.shape[0], ld = F.shape[1], i
    cdef Py_ssize_t step = ld if denominator.shape[0] > 1 else 0
    cdef double* lengths
    cdef real[:, ::1] nothing = None
    if n == 0:
        return
    job = describe(F, F_new, nothing, start, previous, scale, order, 0, l1, 0, momentum, 1, 0)
    add_loss(&job, sums, l2, loss_beta, exponent, 0, den_power)
    job.level = workspace.level
    lengths = <double*>workspace.reserve(n * sizeof(double) + 2 * ld * sizeof(real))
    fill_rows(&job, <real*>(lengths + n))
    for i in prange(n, nogil=True, schedule="static", num_threads=workspace.threads_for(<double>n * ld)):
        lengths[i] = factor_beta_row(&job, &F[i, 0], &start[i, 0], &numerator[i, 0], &denominator[0, 0] + i * step,
                                     NULL if F_new is None else &F_new[i, 0], &previous[i, 0])
    for i in range(n):
        report[0] += lengths[i]
    report[1] = max(report[1], 1)


cdef double factor_beta_row(const Job* job, real* F, const real* start, const real* numerator, real* denominator,
                            real* F_new, const real* previous) noexcept nogil:
    cdef double length
    cdef unsigned int mode = flush_underflow()
    if F != start:
        memcpy(F, start, job.ld * sizeof(real))
    length = multiply(job, F, numerator, denominator, denominator if job.den_power != 0 else NULL, 1.5)
    extrapolate_row(job, F, F_new, previous)
    restore_underflow(mode)
    return length


# scale_c = sqrt(then_c / now_c) for c in `order`, where that lies between 0.1 and 10.
def gauge(real[::1] scale, const double[::1] then, const double[::1] now, const int[::1] order):
    cdef Py_ssize_t i, c
    cdef double ratio
    for i in range(order.shape[0]):
        c = order[i]
        ratio = sqrt(then[c] / now[c]) if now[c] > 0 else 0
        if 0.1 < ratio < 10:
            scale[c] = <real>ratio


# Whether, for some c in `order`, sizes_c and share * others_c, neither zero, differ by more than a factor of limit.
def unbalanced(const double[::1] sizes, const double[::1] others, double share, double limit, const int[::1] order):
    cdef Py_ssize_t i, c
    cdef double a, b
    for i in range(order.shape[0]):
        c = order[i]
        a, b = sizes[c], share * others[c]
        if a > 0 and b > 0 and not (a <= limit * b and b <= limit * a):  # one may be infinite
            return True
    return False


# C = X G for dense X; rows are dealt out. Bytes: n m of X, n ld of C, m ld of G for every 64 rows, from cache.
def dense_product(real[:, ::1] C, const real[:, :] X, const real[:, ::1] G, Workspace workspace not None):
    cdef Py_ssize_t n = X.shape[0], m = X.shape[1], ld = C.shape[1], b
    cdef Py_ssize_t row_step = X.strides[0] // <Py_ssize_t>sizeof(real), step = X.strides[1] // <Py_ssize_t>sizeof(real)
    cdef int level = workspace.level, n_threads = workspace.n_threads
    if n == 0:
        return
    for b in prange((n + TILE - 1) // TILE, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads):
        product(level, SET, min(TILE, n - b * TILE), ld, m, &X[b * TILE, 0], row_step, step, &G[0, 0], ld,
                &C[b * TILE, 0], ld)


# C = X G for X in CSR; rows are dealt out. Bytes: the stored entries, a row of G for each, n ld of C.
def csr_product(real[:, ::1] C, const real[::1] data, const int32_t[::1] indices, const int64_t[::1] indptr,
                const real[:, ::1] G, Workspace workspace not None):
    cdef Py_ssize_t n = C.shape[0], ld = C.shape[1], b, stored = data.shape[0]
    cdef int level = workspace.level, n_threads = workspace.n_threads
    cdef Py_ssize_t block = dealt_rows(n, CROSS_ROWS, n_threads)
    if n == 0:
        return
    if stored == 0:
        C[:, :] = 0
        return
    for b in prange((n + block - 1) // block, nogil=True, schedule="dynamic", chunksize=1, num_threads=n_threads):
        gather(level, min(block, n - b * block), ld, &data[0], &indices[0], &indptr[b * block], &G[0, 0], ld,
               &C[b * block, 0], ld)


# splits[s, i]: the first entry of row i whose column is at least bounds[s]. Bytes: log2(row length) entries a row.
def csr_split(int64_t[:, ::1] splits, const int32_t[::1] indices, const int64_t[::1] indptr, const int64_t[::1] bounds,
              Workspace workspace not None):
    cdef Py_ssize_t n = splits.shape[1], s, i
    cdef int64_t low, high, middle
    cdef int n_threads = workspace.n_threads
    for i in prange(n, nogil=True, schedule="static", num_threads=n_threads):
        for s in range(splits.shape[0]):
            low = indptr[i]
            high = indptr[i + 1]
            while low < high:
                middle = low + (high - low) // 2
                if indices[middle] < bounds[s]:
                    low = middle + 1
                else:
                    high = middle
            splits[s, i] = low
