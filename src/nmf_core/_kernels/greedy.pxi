# Greedy coordinate descent (C.-J. Hsieh and I. S. Dhillon 2011, "Fast coordinate descent methods with variable
# selection for non-negative matrix factorization", doi:10.1145/2020408.2020577).

cdef enum:
    GREED = 1000  # a row is done once the best step gains less than one in so many of what the first gained


# In every row, up to n_order times, the coordinate of `order` whose step to its minimiser gains the most takes it, and
# the gradient follows: 9 k operations each, after 2 k^2 for the gradient. Rows choose differently, so they are taken
# out of the tile one by one. scratch: k rows of NB, then NB + 2 k numbers, of which the first NB are kept from sweep to
# sweep.
cdef inlined greedy_sweep(const int NB, int level, real* P, const real* Q, real* V, const real* active, Py_ssize_t k,
                          const real* gram, const int* order, Py_ssize_t n_order, real l1, int sweep,
                          real* scratch) noexcept nogil:
    cdef real* R = scratch
    cdef real* least = R + k * NB
    cdef real* f = least + NB
    cdef real* g = f + k
    cdef const real* row
    cdef Py_ssize_t i, c, s, turn, chosen
    cdef real d, value, gain, best, step
    measured_gradient(NB, level, P, Q, V, active, k, gram, order, n_order, l1, R)
    for s in range(NB):
        if active[s] == 0:
            continue
        for c in range(k):
            f[c] = P[c * NB + s]
            g[c] = R[c * NB + s]
        for turn in range(n_order):
            best = step = 0
            chosen = -1
            for i in range(n_order):
                c = order[i]
                d = gram[c * k + c]
                if d > 0:
                    value = f[c] - g[c] / d
                    value = (value if value > 0 else 0) - f[c]
                else:  # no partner: nothing to gain, but a penalty to lose
                    value = -f[c] if g[c] > 0 else 0
                gain = -value * (g[c] + value * d / 2)
                if gain > best:
                    best, step, chosen = gain, value, c
            if sweep == 0 and turn == 0:
                least[s] = best / GREED
            if chosen < 0 or best < least[s]:
                break
            f[chosen] += step
            row = gram + chosen * k
            for c in range(k):
                g[c] += step * row[c]
        for i in range(n_order):
            c = order[i]
            P[c * NB + s] = f[c] if f[c] > 0 else 0
