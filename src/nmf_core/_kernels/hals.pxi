# Hierarchical alternating least squares: cyclic coordinate descent on the rows of a factor
# (Cichocki & Phan 2009, doi:10.1587/transfun.E92.A.708; Hsieh & Dhillon 2011, doi:10.1145/2020408.2020577).

cdef enum:
    GROUP = 4  # coordinates whose gradients come from one matrix product, corrected by a triangle afterwards


# f_c <- max(0, f_c - (F gram_c - cross_c) / gram_cc) for c in `order`, on a tile: P = F.T, Q = cross.T (k x NB).
# The rows of F stand side by side in vectors, so their independent recurrences run in step and F gram is a product
# of matrices; four coordinates share it, the later ones are corrected for the steps of the earlier.
# Touches P, Q and gram, all in cache: 2 k^2 + 8 k operations a row.
cdef inlined hals_sweep(const int NB, int level, real* P, const real* Q, real* V, const real* active, Py_ssize_t k,
                        const real* gram, const int* order, Py_ssize_t n_order, real* scratch) noexcept nogil:
    cdef real* R = scratch                       # GROUP x NB, negative gradients of a group
    cdef real* D = R + GROUP * NB                # NB, steps of a coordinate
    cdef real* A = D + NB                        # GROUP x k, the group's rows of gram
    cdef Py_ssize_t b, g, i, j, c, s, group
    cdef real d, step, old, value, weight
    for b in range((n_order + GROUP - 1) // GROUP):
        g = b * GROUP
        group = min(GROUP, n_order - g)
        for i in range(group):
            for c in range(k):
                A[i * k + c] = gram[order[g + i] * k + c]
            for s in range(NB):
                R[i * NB + s] = Q[order[g + i] * NB + s]
        product(level, SUBTRACT, group, NB, k, A, k, 1, P, NB, R, NB)
        for i in range(group):
            c = order[g + i]
            d = A[i * k + c]
            # A component whose partner is all zero does not change the fit: it stays, or goes if a penalty pulls.
            step = 1 / d if d > 0 else 1
            for s in range(NB):
                old = P[c * NB + s]
                value = old + R[i * NB + s] * step
                value = value if value > 0 else 0
                D[s] = (value - old) * active[s]
                P[c * NB + s] = old + D[s]
                V[s] += D[s] * D[s] * d
            for j in range(i + 1, group):
                weight = A[j * k + c]
                for s in range(NB):
                    R[j * NB + s] -= weight * D[s]
