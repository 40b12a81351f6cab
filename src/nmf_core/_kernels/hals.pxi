# Hierarchical alternating least squares: cyclic coordinate descent on the rows of a factor
# (Cichocki & Phan 2009, doi:10.1587/transfun.E92.A.708; Hsieh & Dhillon 2011, doi:10.1145/2020408.2020577).

# f_c <- max(0, f_c - (F gram_c - cross_c + l1) / gram_cc) for c in `order`, on a tile: P = F.T, Q = cross.T (k x NB).
# The rows of F stand side by side in vectors, so their independent recurrences run in step and F gram is a product
# of matrices; four coordinates share it, the later ones are corrected for the steps of the earlier (`descend`).
# Touches P, Q and gram, all in cache: 2 k^2 + 8 k operations a row.
cdef inlined hals_sweep(int level, real* P, const real* Q, real* V, const real* active, Py_ssize_t k, const real* gram,
                        const int* order, Py_ssize_t n_order, real l1) noexcept nogil:
    descend(level, n_order, k, order, gram, P, Q, l1, V, active)
