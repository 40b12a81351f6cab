# Multiplicative updates (Lee & Seung 2001, "Algorithms for non-negative matrix factorization").


# f_c <- f_c * max(0, cross_c) / (F gram + l1)_c for c in `order`, on a tile: P = F.T, Q = cross.T (k x NB).
# The whole denominator is one product of matrices, taken before any coordinate moves; then one sweep of divisions.
# Touches P, Q and gram, all in cache: 2 k^2 + 12 k operations a row.
cdef inlined mu_step(const int NB, int level, real* P, const real* Q, real* V, const real* active, Py_ssize_t k,
                     const real* gram, const int* order, Py_ssize_t n_order, real l1, real* scratch) noexcept nogil:
    cdef real* R = scratch                       # k x NB, F gram
    # Instead of a vanishing denominator: scikit-learn's guard, float32's machine epsilon in either precision.
    cdef real guard = 1.1920928955078125e-07
    cdef real least = FLT_MIN if real is float else DBL_MIN
    cdef Py_ssize_t i, c, s
    cdef real d, step, old, value, numerator, denominator
    product(level, SET, k, NB, k, gram, k, 1, P, NB, R, NB)
    for i in range(n_order):
        c = order[i]
        d = gram[c * k + c]
        step = 1 / d if d > 0 else 0
        for s in range(NB):
            old = P[c * NB + s]
            # the violation is the step that coordinate descent would take from here
            value = old + (Q[c * NB + s] - l1 - R[c * NB + s]) * step
            value = (value if value > 0 else 0) - old
            V[s] += value * value * d * active[s]
            numerator = Q[c * NB + s]
            denominator = R[c * NB + s] + l1
            value = old * (numerator if numerator > 0 else 0) / (denominator if denominator > least else guard)
            # Entries that fall below the normal numbers are zeros, before ratios of them become infinite.
            value = value if value > least else 0
            P[c * NB + s] = value if active[s] != 0 else old
