# Exact non-negative least squares by pivoting: the rules are in pivot_template.h.


# f <- the minimiser over f_c >= 0, for c in `order`, from the guess that what is positive stays so. `unit` is gram in
# the scale in which its diagonal is one, with rows and columns of the identity for what is not in `order`. k^3 / 6
# multiply-adds and k^2 for every correction of the guess, in the first cache levels. scratch: 2 k rows of NB, then
# `pivot_size`.
cdef inlined pivot_step(const int NB, int level, int rule, real* P, const real* Q, real* V, const real* active,
                        Py_ssize_t k, const real* gram, const real* unit, const int* order, Py_ssize_t n_order, real l1,
                        real* scratch) noexcept nogil:
    cdef real* R = scratch
    cdef real* held = R + k * NB          # what is not in `order`
    cdef real* b = held + k * NB          # of as many rows as a vector holds
    cdef Py_ssize_t width = lanes(level, <real*>NULL), v, i, c, s
    cdef real* x = b + k * width
    cdef real size
    measured_gradient(NB, level, P, Q, V, active, k, gram, order, n_order, l1, R)
    memcpy(held, P, k * NB * sizeof(real))
    for i in range(n_order):
        memset(held + order[i] * NB, 0, NB * sizeof(real))
    product(level, SET, k, NB, k, gram, k, 1, held, NB, R, NB)
    for v in range(NB // width):
        memset(b, 0, 2 * k * width * sizeof(real))
        for i in range(n_order):
            c = order[i]
            size = sqrt(gram[c * k + c])
            for s in range(width):
                b[c * width + s] = -1  # what has no partner is not in the guess
                if size > 0:
                    b[c * width + s] = (Q[c * NB + v * width + s] - l1 - R[c * NB + v * width + s]) / size
                x[c * width + s] = P[c * NB + v * width + s] * size
        pivot_rows(level, rule, k, width, unit, b, 3 * <int>k + 50, x, x + k * width)
        for i in range(n_order):
            c = order[i]
            size = sqrt(gram[c * k + c])
            for s in range(width):
                if active[v * width + s] == 0:
                    continue
                if size > 0:
                    P[c * NB + v * width + s] = x[c * width + s] / size
                elif l1 > 0:  # no partner: nothing to gain, but a penalty to lose
                    P[c * NB + v * width + s] = 0
