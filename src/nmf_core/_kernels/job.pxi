# What improving a block of rows of a factor needs: the same in the passes (pass.pxi, beta.pxi) and in the steps
# (_rows.pyx).

cdef enum:
    HALS = 0
    MU = 1
    GREEDY = 2
    ALS = 3
    PG = 4
    NESTEROV = 5
    ADMM = 6
    BPP = 7
    AS = 8
    GD = 9
    TILE = 64    # rows of a tile, at most
    NARROW = 16  # rows of a block of a small problem; rows from one report to the next
    REPORT = 6   # numbers in a report
    GROUPS = 16  # at most so many groups of rows have statistics of their own


# All that a pass needs, the same for every block and thread. Pointers to numbers are untyped: functions that
# use them get F besides, whose type says which precision.
cdef struct Job:
    int level, n_threads, method, max_sweeps
    double l1, rate, momentum, tol
    Py_ssize_t n, m, k, ld       # rows and columns of X, components, numbers from one row of a factor to the next
    const void* X                # dense, or NULL
    Py_ssize_t row_step, step    # from one row of X to the next, from one column to the next
    const void* data             # CSR rows, or NULL
    const int32_t* indices
    const int64_t* indptr
    const int64_t* splits        # (n_stripes - 1) x n: where each row enters the later stripes of columns
    Py_ssize_t stored, n_stripes
    Py_ssize_t n_groups, shared  # groups of rows with statistics of their own, but for the first rows of S
    Py_ssize_t[GROUPS + 1] groups    # where each begins
    const void* cross            # X G where it is known already, or NULL
    const void* G
    const void* gram
    const void* matrix           # what the method needs besides gram
    const int* order
    Py_ssize_t n_order
    void* F
    void* F_new                  # takes the rows before extrapolation; NULL: no extrapolation
    const void* start
    const void* previous         # the improved rows of the last time
    const void* scale
    void* S                      # or NULL: no statistics wanted
    char* memory
    size_t thread_bytes
    double* report
    Py_ssize_t height            # rows of S
    # of a beta-divergence only
    bint in_parts                # whether it is one: statistics are the parts of a gradient, numerator and denominator
    double loss_beta, exponent, l2, den_power
    int inner_updates            # more updates after that of each sweep, with old denominators
    const void* Gt               # G transposed, k x m, or NULL where it is not needed
    const void* sums             # sums of G's columns
    const void* floors           # for every row, the least that its model counts as
    const void* free             # ld numbers, 1 for components to update, 0 for others


# Whether a method's sweeps may raise a row's objective, so that it must be compared with that of the start.
cdef inline bint may_fail(int method) noexcept nogil:
    return method in (NESTEROV, ADMM, BPP, AS)


# Numbers that pivot_step needs for a tile of up to TILE rows in vectors of `width`.
cdef inline Py_ssize_t pivot_size(Py_ssize_t k, Py_ssize_t width) noexcept nogil:
    return 2 * k * width + k * (k + 4) * width


# Size of what improve_tiles needs besides its arguments, in numbers: a tile of F and one of cross, five of what belongs
# to a method, and ten rows of a tile.
cdef inline Py_ssize_t scratch_size(real* _, int method, int level, Py_ssize_t k, Py_ssize_t ld) noexcept nogil:
    cdef Py_ssize_t size = 7 * k * TILE + 10 * TILE + ld
    return size + pivot_size(k, lanes(level, _)) if method in (BPP, AS) else size
