# Extremes, sums and order of the entries of X, each from one pass, before a fit.

cdef enum:
    SCANNED = 1 << 14  # entries of a block, in the order of rows: it fits into the cache
    SIDE_BY_SIDE = 16  # of which so many are looked at together, because each addition waits for the last one
    FINDINGS = 6       # minimum, maximum, smallest above zero, sum, sum of squares, zeros

ctypedef fused place:
    int32_t
    int64_t


# found (6) = minimum, maximum and smallest entry above zero of X, sum and sum of squares in double, number of zeros.
# NaN counts in the sums alone. Blocks hold the same entries and are added in their order whatever the strides, the
# threads and the memory, of which a block that is not contiguous is copied together. Bytes: X once.
def dense_scan(double[::1] found, const real[:, :] X, Workspace workspace not None):
    cdef Py_ssize_t n = X.shape[0], m = X.shape[1], b, blocks = (n * m + SCANNED - 1) // SCANNED
    cdef Py_ssize_t row_step = X.strides[0], step = X.strides[1]
    cdef bint contiguous = step == sizeof(real) and (row_step == m * step or n == 1)
    cdef int n_threads = workspace.threads_for(<double>n * m)
    cdef double* parts
    cdef real* copies
    found[0] = found[2] = INFINITY
    found[1] = -INFINITY
    found[3] = found[4] = found[5] = 0
    if n == 0 or m == 0:
        return
    parts = <double*>workspace.reserve(blocks * FINDINGS * sizeof(double) + n_threads * SCANNED * sizeof(real))
    copies = <real*>(parts + blocks * FINDINGS)
    for b in prange(blocks, nogil=True, schedule="static", num_threads=n_threads):
        scan_block(workspace.level, parts + b * FINDINGS, <const char*>&X[0, 0], b * SCANNED,
                   min(<Py_ssize_t>SCANNED, n * m - b * SCANNED), m, row_step, step, contiguous,
                   copies + threadid() * SCANNED)
    for b in range(blocks):
        add_findings(&found[0], parts + b * FINDINGS)


cdef void add_findings(double* found, const double* part) noexcept nogil:
    found[0] = min(found[0], part[0])
    found[1] = max(found[1], part[1])
    found[2] = min(found[2], part[2])
    found[3] += part[3]
    found[4] += part[4]
    found[5] += part[5]


cdef void scan_block(int level, double* found, const char* X, Py_ssize_t first, Py_ssize_t count, Py_ssize_t m,
                     Py_ssize_t row_step, Py_ssize_t step, bint contiguous, real* copy) noexcept nogil:
    cdef Py_ssize_t i = first // m, j = first % m, c = 0, width
    cdef const real* entries = copy
    if contiguous:
        entries = <const real*>(X + first * step)
    else:
        while c < count:
            width = min(m - j, count - c)
            copy_entries(copy + c, X + i * row_step + j * step, width, step)
            c, i, j = c + width, i + 1, 0
    if level > 0:
        scan_entries_1(found, entries, count)
    else:
        scan_entries_0(found, entries, count)


cdef void copy_entries(real* to, const char* X, Py_ssize_t count, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t c
    if step == sizeof(real):
        memcpy(to, X, count * sizeof(real))
        return
    for c in range(count):
        to[c] = (<const real*>(X + c * step))[0]


cdef avx2 scan_entries_1(double* found, const real* x, Py_ssize_t count) noexcept nogil:
    scan_entries(found, x, count)


cdef void scan_entries_0(double* found, const real* x, Py_ssize_t count) noexcept nogil:
    scan_entries(found, x, count)


# Four entries go to each of the numbers that are kept side by side before these are stored again.
cdef inlined scan_entries(double* found, const real* x, Py_ssize_t count) noexcept nogil:
    cdef real low[SIDE_BY_SIDE]
    cdef real high[SIDE_BY_SIDE]
    cdef real least[SIDE_BY_SIDE]
    cdef double sums[SIDE_BY_SIDE]
    cdef double squares[SIDE_BY_SIDE]
    cdef int32_t zeros[SIDE_BY_SIDE]
    cdef const real* p
    cdef const real* q
    cdef const real* r
    cdef const real* s
    cdef Py_ssize_t i = 0, c
    for c in range(SIDE_BY_SIDE):
        low[c] = least[c] = <real>INFINITY
        high[c] = -<real>INFINITY
        sums[c] = squares[c] = 0
        zeros[c] = 0
    while i + 4 * SIDE_BY_SIDE <= count:
        p, q, r, s = x + i, x + i + SIDE_BY_SIDE, x + i + 2 * SIDE_BY_SIDE, x + i + 3 * SIDE_BY_SIDE
        for c in range(SIDE_BY_SIDE):
            low[c] = lower(s[c], lower(r[c], lower(q[c], lower(p[c], low[c]))))
            high[c] = higher(s[c], higher(r[c], higher(q[c], higher(p[c], high[c]))))
            least[c] = lower(above(s[c]), lower(above(r[c]), lower(above(q[c]), lower(above(p[c]), least[c]))))
            zeros[c] += (p[c] == 0) + (q[c] == 0) + (r[c] == 0) + (s[c] == 0)
        for c in range(SIDE_BY_SIDE):
            sums[c] += (<double>p[c] + q[c]) + (<double>r[c] + s[c])
            squares[c] += (square(p[c]) + square(q[c])) + (square(r[c]) + square(s[c]))
        i += 4 * SIDE_BY_SIDE
    while i < count:
        c = i % SIDE_BY_SIDE
        low[c] = lower(x[i], low[c])
        high[c] = higher(x[i], high[c])
        least[c] = lower(above(x[i]), least[c])
        sums[c] += x[i]
        squares[c] += square(x[i])
        zeros[c] += x[i] == 0
        i += 1
    found[0] = found[2] = INFINITY
    found[1] = -INFINITY
    found[3] = found[4] = found[5] = 0
    for c in range(SIDE_BY_SIDE):
        found[0] = min(found[0], <double>low[c])
        found[1] = max(found[1], <double>high[c])
        found[2] = min(found[2], <double>least[c])
        found[3] += sums[c]
        found[4] += squares[c]
        found[5] += zeros[c]


# The smaller and the larger of two numbers; the second one where the first is NaN.
cdef inline real lower(real x, real low) noexcept nogil:
    return x if x < low else low


cdef inline real higher(real x, real high) noexcept nogil:
    return x if x > high else high


cdef inline real above(real x) noexcept nogil:
    return x if x > 0 else <real>INFINITY


cdef inline double square(double x) noexcept nogil:
    return x * x


# How the entries of a CSR matrix of m columns lie: -1 if some are in columns that it does not have, 1 if those of every
# row ascend, so that none occurs twice, otherwise 0. They ascend if they do so but where a row begins. Bytes: indices
# once.
def csr_order(const place[::1] indices, const int64_t[::1] indptr, Py_ssize_t m, Workspace workspace not None):
    cdef Py_ssize_t n = indptr.shape[0] - 1, blocks = (n + TILE - 1) // TILE, b, first, end
    cdef int64_t outside = 0, falls = 0
    cdef int n_threads
    if n == 0 or indptr[n] == indptr[0]:
        return 1
    n_threads = workspace.threads_for(<double>(indptr[n] - indptr[0]))
    for b in prange(blocks, nogil=True, schedule="static", num_threads=n_threads):
        first, end = b * TILE, min(n, (b + 1) * TILE)
        outside += count_outside(&indices[0] + indptr[first], indptr[end] - indptr[first], <place>m)
        falls += (count_falls(&indices[0] + indptr[first], indptr[end] - indptr[first])
                  - falls_between(&indices[0], &indptr[first], end - first))
    return -1 if outside else falls == 0


cdef int64_t count_outside(const place* places, Py_ssize_t count, place m) noexcept nogil:
    cdef Py_ssize_t p = 0, end
    cdef int64_t found = 0
    cdef place few
    while p < count:
        few, end = 0, min(count, p + SCANNED)
        while p < end:
            few += (places[p] < 0) | (places[p] >= m)
            p += 1
        found += few
    return found


cdef int64_t count_falls(const place* places, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t p = 0, end
    cdef int64_t found = 0
    cdef place few
    while p < count - 1:
        few, end = 0, min(count - 1, p + SCANNED)
        while p < end:
            few += places[p] >= places[p + 1]
            p += 1
        found += few
    return found


# Those between the last entry of a row and the first one of the next, among so many rows.
cdef int64_t falls_between(const place* indices, const int64_t* indptr, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t found = 0
    for i in range(1, rows):
        if indptr[0] < indptr[i] < indptr[i + 1]:
            found += indices[indptr[i] - 1] >= indices[indptr[i]]
    return found
