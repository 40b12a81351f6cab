# Methods that solve systems with the Gram matrix, whose inverse they are given: alternating least squares and the
# alternating direction method of multipliers.


# f <- max(0, the minimiser without bounds) for c in `order`: the step from f to it is -inverse grad, `inverse` being
# that of gram's part for `order`, and zero elsewhere. The objective may rise. 4 k^2 + 10 k operations a row, in cache.
# scratch: 2 k rows of NB.
cdef inlined als_step(const int NB, int level, real* P, const real* Q, real* V, const real* active, Py_ssize_t k,
                      const real* gram, const real* inverse, const int* order, Py_ssize_t n_order, real l1,
                      real* scratch) noexcept nogil:
    cdef real* R = scratch
    cdef real* T = R + k * NB
    cdef Py_ssize_t i, c, s
    cdef real value
    measured_gradient(NB, level, P, Q, V, active, k, gram, order, n_order, l1, R)
    product(level, SET, k, NB, k, inverse, k, 1, R, NB, T, NB)
    for i in range(n_order):
        c = order[i]
        for s in range(NB):
            value = P[c * NB + s] - T[c * NB + s]
            value = value if value > 0 else 0
            P[c * NB + s] = value if active[s] != 0 else P[c * NB + s]


# One round of the method of multipliers for c in `order`: x minimises the objective plus rate / 2 |x - f + u|^2, then f
# = max(0, x + u) and u += x - f. (K. Huang, N. D. Sidiropoulos and A. P. Liavas 2016, "A flexible and efficient
# algorithmic framework for constrained matrix and tensor factorization", doi:10.1109/TSP.2016.2576427.) `inverse` is
# that of gram + rate on the diagonal, of its part for `order`. The multipliers u begin with what they are where f is
# optimal: so there is nothing to keep from pass to pass, and a solution stays. 4 k^2 + 14 k operations a row, in cache.
# scratch: 3 k rows of NB, of which the last k, u, are kept from sweep to sweep.
cdef inlined admm_step(const int NB, int level, real* P, const real* Q, real* V, const real* active, Py_ssize_t k,
                       const real* gram, const real* inverse, const int* order, Py_ssize_t n_order, real l1, real rate,
                       int sweep, real* scratch) noexcept nogil:
    cdef real* R = scratch
    cdef real* T = R + k * NB
    cdef real* U = T + k * NB
    cdef Py_ssize_t i, c, s
    cdef real value, new
    measured_gradient(NB, level, P, Q, V, active, k, gram, order, n_order, l1, R)
    if sweep == 0:
        for c in range(k):
            for s in range(NB):
                U[c * NB + s] = -R[c * NB + s] / rate if P[c * NB + s] == 0 and R[c * NB + s] > 0 else 0
    for c in range(k):
        for s in range(NB):
            R[c * NB + s] += rate * U[c * NB + s]
    product(level, SET, k, NB, k, inverse, k, 1, R, NB, T, NB)
    for i in range(n_order):
        c = order[i]
        for s in range(NB):
            value = P[c * NB + s] - T[c * NB + s] + U[c * NB + s]
            new = value if value > 0 else 0
            U[c * NB + s] = value - new
            P[c * NB + s] = new if active[s] != 0 else P[c * NB + s]
