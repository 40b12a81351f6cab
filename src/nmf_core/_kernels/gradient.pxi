# Methods that follow the gradient of a quadratic loss: projected gradient and Nesterov's optimal gradient.

cdef enum:
    TRIALS = 20  # of a step's length, in one step


# R = P gram - Q + l1, the gradient of a tile, and V gains the squared scaled steps that coordinate descent would take
# from here for c in `order`: what every method's violation is. 2 k^2 + 8 k operations a row, in cache.
cdef inlined measured_gradient(const int NB, int level, const real* P, const real* Q, real* V, const real* active,
                               Py_ssize_t k, const real* gram, const int* order, Py_ssize_t n_order, real l1,
                               real* R) noexcept nogil:
    cdef Py_ssize_t i, c, s
    cdef real d, step, value
    product(level, SET, k, NB, k, gram, k, 1, P, NB, R, NB)
    for c in range(k):
        for s in range(NB):
            R[c * NB + s] += l1 - Q[c * NB + s]
    for i in range(n_order):
        c = order[i]
        d = gram[c * k + c]
        step = 1 / d if d > 0 else 0
        for s in range(NB):
            value = P[c * NB + s] - R[c * NB + s] * step
            value = (value if value > 0 else 0) - P[c * NB + s]
            V[s] += value * value * d * active[s]


# f <- max(0, f - a grad) for c in `order`, where the step a, changed by powers of ten, lowers the objective by at least
# a hundredth of what the slope promises. With `longest` it is the longest such step; the search begins with the last
# one, the first with `rate` (C.-J. Lin 2007, "Projected gradient methods for nonnegative matrix factorization",
# doi:10.1162/neco.2007.19.10.2756, with a step for every row). Otherwise it begins with the step to the minimum along
# the projected gradient and ends with the first that does. The objective is quadratic, so that a trial costs one
# product with gram: 2 k^2 operations a row, in cache. scratch: 4 k + 5 rows of NB, of which `lengths`, the last, are
# kept from sweep to sweep.
cdef inlined pg_step(const int NB, int level, bint longest, real* P, const real* Q, real* V, const real* active,
                     Py_ssize_t k, const real* gram, const int* order, Py_ssize_t n_order, real l1, real rate,
                     int sweep, real* scratch) noexcept nogil:
    cdef real* R = scratch
    cdef real* D = R + k * NB        # a step of this length
    cdef real* T = D + k * NB
    cdef real* best = T + k * NB     # the longest step so far that lowers the objective enough
    cdef real* slope = best + k * NB
    cdef real* curvature = slope + NB
    cdef real* other = curvature + NB  # how far D is from `best`
    cdef real* search = other + NB   # 1: for a longer step, -1: for a shorter one, 0: none
    cdef real* lengths = search + NB
    cdef Py_ssize_t i, c, s, trial
    cdef int searching
    cdef real value
    cdef bint enough
    measured_gradient(NB, level, P, Q, V, active, k, gram, order, n_order, l1, R)
    memset(D, 0, k * NB * sizeof(real))
    memset(best, 0, k * NB * sizeof(real))
    for s in range(NB):
        search[s] = active[s]
        if sweep == 0:
            lengths[s] = rate
        slope[s] = curvature[s] = 0
    if not longest:
        for i in range(n_order):
            c = order[i]
            for s in range(NB):
                # of the size of P, so that its square stays in float
                D[c * NB + s] = rate * R[c * NB + s] if P[c * NB + s] > 0 or R[c * NB + s] < 0 else 0
        product(level, SET, k, NB, k, gram, k, 1, D, NB, T, NB)
        for i in range(n_order):
            c = order[i]
            for s in range(NB):
                slope[s] += D[c * NB + s] * D[c * NB + s]
                curvature[s] += D[c * NB + s] * T[c * NB + s]
        for s in range(NB):
            lengths[s] = slope[s] / curvature[s] if curvature[s] > 0 else rate
    for trial in range(TRIALS):
        for s in range(NB):
            slope[s] = curvature[s] = other[s] = 0
        for i in range(n_order):
            c = order[i]
            for s in range(NB):
                value = P[c * NB + s] - lengths[s] * R[c * NB + s]
                D[c * NB + s] = (value if value > 0 else 0) - P[c * NB + s]
        product(level, SET, k, NB, k, gram, k, 1, D, NB, T, NB)
        for i in range(n_order):
            c = order[i]
            for s in range(NB):
                slope[s] += R[c * NB + s] * D[c * NB + s]
                curvature[s] += T[c * NB + s] * D[c * NB + s]
                value = D[c * NB + s] - best[c * NB + s]
                other[s] += value if value > 0 else -value
        searching = 0
        for s in range(NB):
            enough = <real>0.99 * slope[s] + <real>0.5 * curvature[s] <= 0
            other[s] = search[s] != 0 and enough and (other[s] > 0 or trial == 0)  # now: whether D is the best
            if search[s] == 0:
                continue
            if trial == 0 and not enough:
                search[s] = -1
            if search[s] > 0 and not longest:
                search[s] = 0
            elif search[s] > 0:
                lengths[s] *= 10 if other[s] != 0 else <real>0.1
                search[s] = other[s]
            elif other[s] != 0:
                search[s] = 0
            else:
                lengths[s] *= <real>0.1
            searching += search[s] != 0
        for i in range(n_order):
            c = order[i]
            for s in range(NB):
                best[c * NB + s] = D[c * NB + s] if other[s] != 0 else best[c * NB + s]
        if searching == 0:
            break
    for i in range(n_order):
        c = order[i]
        for s in range(NB):
            value = P[c * NB + s] + best[c * NB + s]
            P[c * NB + s] = value if value > 0 else 0


# f <- max(0, y - rate * grad(y)) for c in `order` from an extrapolated point y, rate being one over the largest
# eigenvalue of gram. (N. Guan, D. Tao, Z. Luo and B. Yuan 2012, "NeNMF: an optimal gradient method for nonnegative
# matrix factorization", doi:10.1109/TSP.2012.2190406.) 2 k^2 + 14 k operations a row, in cache. scratch: 2 k rows of NB
# and a number, of which all but the first k rows are kept from sweep to sweep.
cdef inlined nesterov_step(const int NB, int level, real* P, const real* Q, real* V, const real* active, Py_ssize_t k,
                           const real* gram, const int* order, Py_ssize_t n_order, real l1, real rate, int sweep,
                           real* scratch) noexcept nogil:
    cdef real* R = scratch
    cdef real* Y = R + k * NB
    cdef real* t = Y + k * NB
    cdef Py_ssize_t i, c, s
    cdef real value, last, share
    if sweep == 0:
        memcpy(Y, P, k * NB * sizeof(real))
        t[0] = 1
    last = t[0]
    t[0] = (1 + sqrt(4 * last * last + 1)) / 2
    share = (last - 1) / t[0]
    measured_gradient(NB, level, Y, Q, V, active, k, gram, order, n_order, l1, R)
    for i in range(n_order):
        c = order[i]
        for s in range(NB):
            value = Y[c * NB + s] - rate * R[c * NB + s]
            value = value if value > 0 else 0
            Y[c * NB + s] = value + share * (value - P[c * NB + s])
            P[c * NB + s] = value if active[s] != 0 else P[c * NB + s]


# Rows of P whose objective is above that of `last` become those again: f gram f / 2 - (cross - l1) f is compared by the
# gradient at `last`. 4 k^2 + 4 k operations a row, in cache. scratch: 3 k + 1 rows of NB.
cdef inlined keep_better(const int NB, int level, real* P, const real* Q, const real* last, Py_ssize_t k,
                         const real* gram, real l1, real* scratch) noexcept nogil:
    cdef real* R = scratch
    cdef real* D = R + k * NB
    cdef real* T = D + k * NB
    cdef real* change = T + k * NB
    cdef Py_ssize_t c, s
    for c in range(k):
        for s in range(NB):
            D[c * NB + s] = P[c * NB + s] - last[c * NB + s]
    product(level, SET, k, NB, k, gram, k, 1, last, NB, R, NB)
    product(level, SET, k, NB, k, gram, k, 1, D, NB, T, NB)
    for s in range(NB):
        change[s] = 0
    for c in range(k):
        for s in range(NB):
            change[s] += D[c * NB + s] * (R[c * NB + s] + l1 - Q[c * NB + s] + T[c * NB + s] / 2)
    for c in range(k):
        for s in range(NB):
            P[c * NB + s] = P[c * NB + s] if change[s] <= 0 else last[c * NB + s]
