# Passes over one X for several pairs of factors: the fixed factors stand side by side in the columns of one product, so
# that X, and the places of its entries, are read once for all of them. Every pair has the bits of a pass by itself:
# products sum every column in the same order however many there are, groups and pieces of rows are those of one pass,
# and rows are improved pair by pair.

cdef enum:
    BATCH_BYTES = 512    # of a packed row, at most, unless one factor has more: the columns of a product

# Some of the pairs, whose factors are packed into rows of `width` numbers.
cdef struct Batch:
    Job* jobs
    Py_ssize_t count, width, piece, block    # of rows: those of a piece, and those that are improved together
    Py_ssize_t widest, most                  # the widest factor, and the most scratch memory of a step, in numbers
    bint by_groups, sweeps                   # whether groups have sums of their own, and any pair is to be improved
    void* G              # m x width
    void* sums           # for every group, or for all of them: X.T F, m x width
    void* grams          # what the groups add to F.T F and F_new.T F_new of every pair, one after the other


# Numbers that a thread needs: cross, that of one pair, the scratch memory of a step, packed rows of a piece.
cdef inline Py_ssize_t cross_size(const Batch* batch) noexcept nogil:
    return max(batch.block * batch.width, batch.most)


cdef inline Py_ssize_t batch_size(const Batch* batch) noexcept nogil:
    return cross_size(batch) + batch.block * batch.widest + batch.most + batch.piece * batch.width


# Cross of the rows from `first` on for all pairs, then the rows of each are improved, and packed into P.
cdef void improve_batch(const Batch* batch, real* _, Py_ssize_t first, Py_ssize_t rows, real* C, real* one,
                        real* scratch, real* P) noexcept nogil:
    cdef const Job* job = &batch.jobs[0]
    cdef Py_ssize_t width = batch.width, place = 0, s, i, ld
    cdef real* F
    if not batch.sweeps:
        pass
    elif job.X != NULL:
        product(job.level, SET, rows, width, job.m, <const real*>job.X + first * job.row_step, job.row_step, job.step,
                <const real*>batch.G, width, C, width)
    else:
        gather(job.level, rows, width, <const real*>job.data, job.indices, job.indptr + first, <const real*>batch.G,
               width, C, width)
    for s in range(batch.count):
        job = &batch.jobs[s]
        ld = job.ld
        F = <real*>job.F
        if job.max_sweeps > 0:
            for i in range(rows):
                memcpy(one + i * ld, C + i * width + place, ld * sizeof(real))
            improve_rows(job, F, one, first, rows, scratch, job.report + REPORT * (first // NARROW))
        if job.S != NULL:
            for i in range(rows):
                memcpy(P + i * width + place, F + (first + i) * ld, ld * sizeof(real))
        place += ld


# The rows of group g, or all of them, from beginning to end, as in `run_group` and `run_slabs`.
cdef void run_batch(const Batch* batch, real* _, Py_ssize_t g, int thread) noexcept nogil:
    cdef const Job* job = &batch.jobs[0]
    cdef Py_ssize_t first = job.groups[g] if batch.by_groups else 0
    cdef Py_ssize_t end = job.groups[g + 1] if batch.by_groups else job.n
    cdef Py_ssize_t width = batch.width, block = batch.block, rows, b, s, here
    cdef real* C = <real*>(job.memory + thread * job.thread_bytes)
    cdef real* one = C + cross_size(batch)
    cdef real* scratch = one + block * batch.widest
    cdef real* P = scratch + batch.most
    cdef real* S = <real*>batch.sums + (g * job.m * width if batch.by_groups else 0)
    cdef real* grams
    if job.S != NULL:
        memset(S, 0, job.m * width * sizeof(real))
    while first < end:
        rows = min(batch.piece, end - first)
        for b in range((rows + block - 1) // block):
            here = b * block
            improve_batch(batch, _, first + here, min(block, rows - here), C, one, scratch, P + here * width)
        if job.S != NULL:
            if job.X != NULL:
                product(job.level, ADD, job.m, width, rows, <const real*>job.X + first * job.row_step, job.step,
                        job.row_step, P, width, S, width)
            else:
                scatter(job.level, rows, width, <const real*>job.data, job.indices, job.indptr + first,
                        job.indptr + first + 1, P, width, S, width)
            grams = <real*>batch.grams
            for s in range(batch.count):
                if batch.by_groups:
                    add_gram(&batch.jobs[s], <real*>batch.jobs[s].F, first, first + rows,
                             group_statistics(&batch.jobs[s], grams, g), thread)
                grams += (job.n_groups - 1) * (batch.jobs[s].height - job.m) * batch.jobs[s].ld
        first += rows
    grams = <real*>batch.grams
    for s in range(batch.count):
        if job.S != NULL and not batch.by_groups:
            for b in range(job.n_groups):
                add_gram(&batch.jobs[s], <real*>batch.jobs[s].F, job.groups[b], job.groups[b + 1],
                         group_statistics(&batch.jobs[s], grams, b), thread)
        grams += (job.n_groups - 1) * (batch.jobs[s].height - job.m) * batch.jobs[s].ld


# Some rows of X.T F, of every pair: what groups have summed, added in their order in double.
cdef void unpack_sums(const Batch* batch, real* _, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    cdef const Job* job
    cdef Py_ssize_t width = batch.width, m = batch.jobs[0].m, j, g, s, c, place
    cdef Py_ssize_t n_groups = batch.jobs[0].n_groups if batch.by_groups else 1
    cdef const real* sums = <const real*>batch.sums
    cdef real* S
    cdef double[64] total
    cdef Py_ssize_t size, done
    for j in range(first, end):
        place = j * width
        for s in range(batch.count):
            job = &batch.jobs[s]
            S = <real*>job.S + j * job.ld
            if n_groups == 1:
                memcpy(S, sums + place, job.ld * sizeof(real))
                place += job.ld
                continue
            done = 0
            while done < job.ld:
                size = min(<Py_ssize_t>64, job.ld - done)
                for c in range(size):
                    total[c] = sums[place + c]
                for g in range(1, n_groups):
                    for c in range(size):
                        total[c] += sums[g * m * width + place + c]
                for c in range(size):
                    S[done + c] = <real>total[c]
                done += size
                place += size


# The fixed factors of some pairs side by side, from one row to another.
cdef void pack_factors(const Batch* batch, real* _, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t j, s, place
    cdef const Job* job
    cdef real* G = <real*>batch.G
    for j in range(first, end):
        place = j * batch.width
        for s in range(batch.count):
            job = &batch.jobs[s]
            memcpy(G + place, <const real*>job.G + j * job.ld, job.ld * sizeof(real))
            place += job.ld


# Divide the pairs into batches and the memory, run, and add up what groups and blocks tell.
cdef int run_batches(Job* jobs, Py_ssize_t count, real* _, list totals, Workspace workspace) except -1:
    cdef Py_ssize_t n = jobs[0].n, m = jobs[0].m, n_groups = jobs[0].n_groups, n_blocks = (n + NARROW - 1) // NARROW
    cdef Py_ssize_t s, b, t, g, at = 0, n_batches = 0, largest = 0, tasks, block = block_rows(&jobs[0]), chunk = 64
    cdef Py_ssize_t packed = 0, summed = 0, gram = 0, chunks = (m + chunk - 1) // chunk
    cdef bint by_groups = jobs[0].data != NULL
    cdef size_t thread_bytes, total
    cdef char* memory
    cdef double[::1] report
    cdef int threads = workspace.n_threads
    cdef Batch* batch
    cdef Batch* batches = <Batch*>malloc(count * sizeof(Batch))
    if batches == NULL:
        raise MemoryError("no memory for a batch")
    try:
        if jobs[0].X != NULL:
            by_groups = (m > 0 and jobs[0].S != NULL and n_groups >= 4
                         and n_groups * jobs[0].height * jobs[0].ld * <Py_ssize_t>sizeof(real) <= GROUPS_BYTES)
        elif jobs[0].S == NULL:
            by_groups = False
        for s in range(count):
            jobs[s].level, jobs[s].n_threads, jobs[s].shared = workspace.level, threads, m
            if n_batches == 0 or (batches[n_batches - 1].width + jobs[s].ld) * <Py_ssize_t>sizeof(real) > BATCH_BYTES:
                memset(&batches[n_batches], 0, sizeof(Batch))
                batches[n_batches].jobs, batches[n_batches].by_groups = &jobs[s], by_groups
                batches[n_batches].block = block
                n_batches += 1
            batch = &batches[n_batches - 1]
            batch.count += 1
            batch.width += jobs[s].ld
            batch.sweeps |= jobs[s].max_sweeps > 0
            batch.widest = max(batch.widest, jobs[s].ld)
            batch.most = max(batch.most, max(scratch_size(_, jobs[s].method, jobs[s].level, jobs[s].k, jobs[s].ld),
                                             jobs[s].k * jobs[s].ld))
        for b in range(n_batches):
            if jobs[0].X == NULL:
                batches[b].piece = CSR_ROWS
            elif by_groups:
                batches[b].piece = PIECE_BYTES // (m * <Py_ssize_t>sizeof(real)) // NARROW * NARROW
                batches[b].piece = min(max(batches[b].piece, NARROW), 4 * TILE)
            else:
                batches[b].piece = max(SLAB_BYTES // (max(1, m) * <Py_ssize_t>sizeof(real)) // TILE, 1) * TILE
            batches[b].piece = min(batches[b].piece, (n + block - 1) // block * block)
            largest = max(largest, batch_size(&batches[b]))
            packed += (m * batches[b].width + 15) // 16 * 16
            summed += ((n_groups if by_groups else 1) * m * batches[b].width + 15) // 16 * 16
        for s in range(count):
            gram += (n_groups - 1) * (jobs[s].height - m) * jobs[s].ld if jobs[s].S != NULL else 0
        if jobs[0].S == NULL:
            summed = 0
        thread_bytes = (largest * sizeof(real) + 63) // 64 * 64
        total = threads * thread_bytes + (packed + summed + gram) * sizeof(real) + 64
        memory = workspace.reserve(total + count * n_blocks * REPORT * sizeof(double) + 64)
        at = threads * thread_bytes
        for b in range(n_batches):
            batches[b].G = memory + at
            at += (m * batches[b].width + 15) // 16 * 16 * sizeof(real)
        for b in range(n_batches):
            batches[b].sums = memory + at
            if summed:
                at += ((n_groups if by_groups else 1) * m * batches[b].width + 15) // 16 * 16 * sizeof(real)
        for b in range(n_batches):
            batches[b].grams = memory + at
            for s in range(batches[b].count):
                if batches[b].jobs[s].S != NULL:
                    at += (n_groups - 1) * (batches[b].jobs[s].height - m) * batches[b].jobs[s].ld * sizeof(real)
        memset(<char*>batches[0].grams, 0, gram * sizeof(real))
        at = (at + 63) // 64 * 64
        for s in range(count):
            jobs[s].memory, jobs[s].thread_bytes = memory, thread_bytes
            jobs[s].report = <double*>(memory + at) + s * n_blocks * REPORT
        memset(memory + at, 0, count * n_blocks * REPORT * sizeof(double))
        tasks = n_groups if by_groups else 1
        with nogil:
            for t in prange(n_batches * chunks, schedule="static", num_threads=threads):
                pack_factors(&batches[t // chunks], _, t % chunks * chunk, min(m, (t % chunks + 1) * chunk))
            for t in prange(n_batches * tasks, schedule="dynamic", chunksize=1, num_threads=threads):
                run_batch(&batches[t // tasks], _, t % tasks, threadid())
            if jobs[0].S != NULL:
                for t in prange(n_batches * chunks, schedule="static", num_threads=threads):
                    unpack_sums(&batches[t // chunks], _, t % chunks * chunk, min(m, (t % chunks + 1) * chunk))
        for b in range(n_batches):
            at = 0
            for s in range(batches[b].count):
                if batches[b].jobs[s].S != NULL:
                    with nogil:
                        add_groups(&batches[b].jobs[s], <real*>batches[b].grams + at)
                    at += (n_groups - 1) * (batches[b].jobs[s].height - m) * batches[b].jobs[s].ld
        for s in range(count):
            report = totals[s]
            add_reports(&report[0], jobs[s].report, n_blocks)
    finally:
        free(batches)
    return 0


# As dense_pass for several pairs of factors. passes: for each the arguments of dense_pass without X and the workspace;
# all with S of zeros, or all without. Bytes: X once for as many pairs as fill rows of 512 bytes.
def dense_passes(list passes, const real[:, :] X, Workspace workspace not None):
    cdef Job* jobs = <Job*>malloc(len(passes) * sizeof(Job))
    cdef Py_ssize_t s
    if jobs == NULL:
        raise MemoryError("no memory for a batch")
    try:
        for s in range(len(passes)):
            jobs[s] = describe_pass(passes[s], <const real*>NULL)
            jobs[s].m = X.shape[1]
            jobs[s].X = &X[0, 0]
            jobs[s].row_step = X.strides[0] // <Py_ssize_t>sizeof(real)
            jobs[s].step = X.strides[1] // <Py_ssize_t>sizeof(real)
        run_batches(jobs, len(passes), <real*>NULL, [one[3] for one in passes], workspace)
    finally:
        free(jobs)


# The same for X in CSR.
def csr_passes(list passes, const real[::1] data, const int32_t[::1] indices, const int64_t[::1] indptr,
               const int64_t[::1] groups, Workspace workspace not None):
    cdef Job* jobs = <Job*>malloc(len(passes) * sizeof(Job))
    cdef Py_ssize_t s, g
    if jobs == NULL:
        raise MemoryError("no memory for a batch")
    try:
        for s in range(len(passes)):
            jobs[s] = describe_pass(passes[s], <const real*>NULL)
            jobs[s].m = passes[s][4].shape[0]
            jobs[s].stored = data.shape[0]
            jobs[s].data = <const void*>&data[0] if data.shape[0] else <const void*>&indptr[0]
            jobs[s].indices = &indices[0] if data.shape[0] else NULL
            jobs[s].indptr = &indptr[0]
            jobs[s].n_groups = groups.shape[0] - 1
            for g in range(groups.shape[0]):
                jobs[s].groups[g] = groups[g]
        run_batches(jobs, len(passes), <real*>NULL, [one[3] for one in passes], workspace)
    finally:
        free(jobs)


# One pass of several, but for X.
cdef Job describe_pass(tuple one, const real* _):
    cdef real[:, ::1] F = one[0]
    cdef real[:, ::1] F_new = one[1]
    cdef real[:, ::1] S = one[2]
    cdef const real[:, ::1] G = one[4]
    cdef const real[:, ::1] start = one[5]
    cdef const real[:, ::1] previous = one[6]
    cdef const real[::1] scale = one[7]
    cdef const real[:, ::1] gram = one[8]
    cdef const real[:, ::1] matrix = one[9]
    cdef const int[::1] order = one[10]
    cdef int method = one[11], max_sweeps = one[15]
    cdef double l1 = one[12], rate = one[13], momentum = one[14], tol = one[16]
    cdef Job job = describe(F, F_new, S, start, previous, scale, order, method, l1, rate, momentum, max_sweeps, tol)
    job.gram, job.matrix = &gram[0, 0], &matrix[0, 0]
    job.G = &G[0, 0]
    job.F = &F[0, 0]
    return job
