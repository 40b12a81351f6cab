/* Non-negative least squares by pivoting, for one precision at one instruction-set level (see variant.h).
 *
 * min f gram f / 2 - cross f over f >= 0, many rows f with one Gram matrix. A row guesses which of its coordinates are
 * positive, solves for those, and corrects the guess, by one of two rules:
 *
 * Block principal pivoting (J. Kim and H. Park 2011, "Fast nonnegative matrix factorization: an active-set-like method
 * and comparisons", doi:10.1137/110821172) exchanges all that turn out to be wrong: a coordinate of the guess that is
 * negative, or another one whose gradient is. If that does not lower their number for a while, only the last one is
 * exchanged, which ends.
 *
 * The active set method (R. Bro and S. de Jong 1997, "A fast non-negativity-constrained least squares algorithm",
 * doi:10.1002/(SICI)1099-128X(199709/10)11:5<393::AID-CEM483>3.0.CO;2-L) goes from the row towards the solution as far as
 * it stays non-negative and gives up coordinates that become zero; once it has arrived, it takes the coordinate whose
 * gradient is the most negative into the guess. It never leaves the feasible set and the objective never rises.
 *
 * Rows stand side by side, one in each lane. The guess of each is a mask: rows and columns of the Gram matrix outside
 * of it are those of the identity. So all lanes factorize k x k matrices in step, without branches.
 */

#if NMF_SIZE == 4
#define NMF_PIVOT_RANK 1e-6f
#define NMF_PIVOT_TOL 1e-5f
#else
#define NMF_PIVOT_RANK 1e-14
#define NMF_PIVOT_TOL 1e-13
#endif

/* x of the masked systems, from M = L D L.T; M, x, b, m, v: a row in each lane. Only coordinates that are in the guess of
 * some row take part: on holds them, and their number is returned. v is overwritten. */
static NMF_TARGET NMF_INLINE ptrdiff_t NMF_NAME(pivot_solve)(ptrdiff_t k, const NMF_REAL *gram, const NMF_REAL *b,
                                                           const NMF_REAL *m, NMF_REAL *M, NMF_REAL *v, ptrdiff_t *on,
                                                           NMF_REAL *x)
{
    ptrdiff_t u = 0;
    for (ptrdiff_t i = 0; i < k; i++) {
        int some = 0;
        for (int s = 0; s < NMF_FULL; s++)
            some |= m[i * NMF_FULL + s] > 0;
        if (some)
            on[u++] = i;
        NMF_STORE(x, i) = (NMF_NAME(full)){0};
    }
    for (ptrdiff_t i = 0; i < u; i++) {
        const NMF_REAL *row = gram + on[i] * k;
        const NMF_NAME(full) mi = NMF_LOAD(m, on[i]);
        for (ptrdiff_t j = 0; j < i; j++)
            NMF_STORE(M, i * u + j) = row[on[j]] * mi * NMF_LOAD(m, on[j]);
        NMF_STORE(M, i * u + i) = row[on[i]] * mi + (1 - mi);
        NMF_STORE(v, i) = NMF_LOAD(b, on[i]) * mi;
    }
    /* Four columns at a time: below the diagonal M holds L D, on it 1 / D. */
    for (ptrdiff_t first = 0; first < u; first += 4) {
        const ptrdiff_t end = first + 4 < u ? first + 4 : u;
        for (ptrdiff_t j = first; j < end; j++) {
            NMF_NAME(full) pivot = NMF_LOAD(M, j * u + j);
            /* of a column that depends on those before it nothing is left but rounding */
            pivot = NMF_SELECT(pivot > NMF_PIVOT_RANK * gram[on[j] * (k + 1)], pivot, NMF_NAME(splat)(NMF_HUGE));
            const NMF_NAME(full) inverse = 1 / pivot, xj = NMF_LOAD(v, j);
            NMF_STORE(M, j * u + j) = inverse;
            for (ptrdiff_t i = j + 1; i < u; i++) {
                const NMF_NAME(full) l = NMF_LOAD(M, i * u + j) * inverse;
                for (ptrdiff_t p = j + 1; p < end && p <= i; p++)
                    NMF_STORE(M, i * u + p) -= l * NMF_LOAD(M, p * u + j);
                NMF_STORE(v, i) -= l * xj;
            }
        }
        /* what these columns take from the rest, two rows at a time: each number of it is read and written once */
        for (ptrdiff_t i = end; i < u; i += 2) {
            const ptrdiff_t other = i + 1 < u ? i + 1 : i;
            NMF_NAME(full) l[4], o[4];
            NMF_UNROLL for (int q = 0; q < 4; q++) {
                l[q] = NMF_LOAD(M, i * u + first + q) * NMF_LOAD(M, (first + q) * u + first + q);
                o[q] = NMF_LOAD(M, other * u + first + q) * NMF_LOAD(M, (first + q) * u + first + q);
            }
            for (ptrdiff_t p = end; p <= i; p++) {
                NMF_NAME(full) one = NMF_LOAD(M, i * u + p), two = NMF_LOAD(M, other * u + p);
                NMF_UNROLL for (int q = 0; q < 4; q++) {
                    const NMF_NAME(full) c = NMF_LOAD(M, p * u + first + q);
                    one -= l[q] * c;
                    two -= o[q] * c;
                }
                NMF_STORE(M, other * u + p) = two;
                NMF_STORE(M, i * u + p) = one;
            }
            if (other > i) {
                NMF_NAME(full) two = NMF_LOAD(M, other * u + other);
                NMF_UNROLL for (int q = 0; q < 4; q++) two -= o[q] * NMF_LOAD(M, other * u + first + q);
                NMF_STORE(M, other * u + other) = two;
            }
        }
    }
    for (ptrdiff_t j = u - 1; j >= 0; j--) {
        const NMF_NAME(full) xj = NMF_LOAD(v, j) * NMF_LOAD(M, j * u + j);
        NMF_STORE(x, on[j]) = xj;
        for (ptrdiff_t p = 0; p < j; p++)
            NMF_STORE(v, p) -= NMF_LOAD(M, j * u + p) * xj;
    }
    return u;
}

/* What differs from zero by rounding only is zero: for every row minus the least that counts, given its solution x, which
 * is zero but for u coordinates, those in on, and its gradient y, which is found here. The Gram matrix has ones on its
 * diagonal. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(pivot_gradient)(ptrdiff_t k, const NMF_REAL *gram, const NMF_REAL *b,
                                                                    const NMF_REAL *x, ptrdiff_t u,
                                                                    const ptrdiff_t *on, NMF_REAL *y)
{
    NMF_NAME(full) most = {0}, pull = {0};
    for (ptrdiff_t i = 0; i < k; i++) {
        NMF_NAME(full) sum = -NMF_LOAD(b, i);
        for (ptrdiff_t j = 0; j < u; j++)
            sum += gram[i * k + on[j]] * NMF_LOAD(x, on[j]);
        NMF_STORE(y, i) = sum;
        most = NMF_NAME(larger)(most, NMF_NAME(larger)(NMF_LOAD(x, i), -NMF_LOAD(x, i)));
        pull = NMF_NAME(larger)(pull, NMF_NAME(larger)(NMF_LOAD(b, i), -NMF_LOAD(b, i)));
    }
    return -NMF_PIVOT_TOL * (most + pull);
}

/* Exchange what is wrong in the guess m of row s; returns whether something was. left: full exchanges that may fail. */
static NMF_INLINE int NMF_NAME(pivot_exchange)(ptrdiff_t k, ptrdiff_t s, NMF_REAL least, const NMF_REAL *x,
                                               const NMF_REAL *y, NMF_REAL *m, int *fewest, int *left)
{
    int wrong = 0;
    ptrdiff_t last = -1;
    for (ptrdiff_t i = 0; i < k; i++)
        if ((m[i * NMF_FULL + s] > 0 ? x : y)[i * NMF_FULL + s] < least) {
            wrong++;
            last = i;
        }
    if (wrong == 0)
        return 0;
    if (wrong < *fewest) {
        *fewest = wrong;
        *left = 3;
    } else if (*left > 0) {
        --*left;
    }
    const ptrdiff_t from = *left > 0 ? 0 : last;
    for (ptrdiff_t i = from; i <= last; i++)
        if ((m[i * NMF_FULL + s] > 0 ? x : y)[i * NMF_FULL + s] < least)
            m[i * NMF_FULL + s] = 1 - m[i * NMF_FULL + s];
    return 1;
}

/* Move row s of z towards the solution x of its guess m, or take one coordinate more into it; returns whether either was
 * to be done. */
static NMF_INLINE int NMF_NAME(pivot_advance)(ptrdiff_t k, ptrdiff_t s, NMF_REAL least, const NMF_REAL *x,
                                              const NMF_REAL *y, NMF_REAL *m, NMF_REAL *z)
{
    NMF_REAL share = 1, lowest = least;
    ptrdiff_t chosen = -1;
    for (ptrdiff_t i = 0; i < k; i++)
        if (m[i * NMF_FULL + s] > 0 && x[i * NMF_FULL + s] < 0) {
            const NMF_REAL at = z[i * NMF_FULL + s], possible = at / (at - x[i * NMF_FULL + s]);
            share = possible < share ? possible : share;
        }
    for (ptrdiff_t i = 0; i < k; i++) {
        const NMF_REAL from = z[i * NMF_FULL + s], to = m[i * NMF_FULL + s] > 0 ? x[i * NMF_FULL + s] : 0;
        const NMF_REAL here = share < 1 ? from + share * (to - from) : to;
        const int leaves = share < 1 && to < 0 && from / (from - to) <= share;
        z[i * NMF_FULL + s] = here > 0 && !leaves ? here : 0;
        if (leaves)
            m[i * NMF_FULL + s] = 0;
        if (share == 1 && m[i * NMF_FULL + s] == 0 && y[i * NMF_FULL + s] < lowest) {
            lowest = y[i * NMF_FULL + s];
            chosen = i;
        }
    }
    if (chosen >= 0)
        m[chosen * NMF_FULL + s] = 1;
    return share < 1 || chosen >= 0;
}

/* Up to a vector of rows: b in, x in and out; what is positive at first is the guess. scratch: k (k + 4) vectors. Returns
 * how many rows have not ended after max_steps steps. */
static NMF_TARGET int NMF_NAME(pivot_rows)(int rule, ptrdiff_t k, ptrdiff_t rows, const NMF_REAL *gram,
                                           const NMF_REAL *b, int max_steps, NMF_REAL *x, NMF_REAL *scratch)
{
    NMF_REAL *M = scratch, *y = M + k * k * NMF_FULL, *m = y + k * NMF_FULL, *z = m + k * NMF_FULL;
    ptrdiff_t *on = (ptrdiff_t *)(z + k * NMF_FULL);
    int left[NMF_FULL], fewest[NMF_FULL], running = 0;
    NMF_REAL least[NMF_FULL];
    for (int s = 0; s < NMF_FULL; s++) {
        left[s] = s < rows ? 3 : -1; /* -1: done */
        fewest[s] = (int)k + 1;
    }
    for (ptrdiff_t i = 0; i < k; i++) {
        NMF_STORE(z, i) = NMF_NAME(larger)(NMF_LOAD(x, i), (NMF_NAME(full)){0});
        NMF_STORE(m, i) = NMF_SELECT(NMF_LOAD(x, i) > 0, NMF_NAME(splat)(1), NMF_NAME(splat)(0));
    }
    for (int step = 0; step < max_steps; step++) {
        const ptrdiff_t u = NMF_NAME(pivot_solve)(k, gram, b, m, M, y, on, x);
        *(NMF_NAME(full) *)least = NMF_NAME(pivot_gradient)(k, gram, b, x, u, on, y);
        running = 0;
        for (int s = 0; s < rows; s++) {
            if (left[s] < 0)
                continue;
            if (rule == NMF_BLOCK ? NMF_NAME(pivot_exchange)(k, s, least[s], x, y, m, &fewest[s], &left[s])
                                  : NMF_NAME(pivot_advance)(k, s, least[s], x, y, m, z))
                running++;
            else
                left[s] = -1;
        }
        if (running == 0)
            break;
    }
    for (ptrdiff_t i = 0; i < k; i++)
        NMF_STORE(x, i) = rule == NMF_BLOCK ? NMF_NAME(larger)(NMF_LOAD(x, i) * NMF_LOAD(m, i), (NMF_NAME(full)){0})
                                            : NMF_LOAD(z, i);
    return running;
}
