/* Non-negative least squares by block principal pivoting, for one precision at one instruction-set level (see variant.h).
 *
 * min f gram f / 2 - cross f over f >= 0, many rows f with one Gram matrix (J. Kim and H. Park 2011, "Fast nonnegative
 * matrix factorization: an active-set-like method and comparisons", doi:10.1137/110821172). A row guesses which of its
 * coordinates are positive, solves for those, and exchanges all that turn out to be wrong: a coordinate of the guess
 * that is negative, or another one whose gradient is. If that does not lower their number for a while, only the last one
 * is exchanged, which ends.
 *
 * Rows stand side by side, one in each lane. The guess of each is a mask: rows and columns of the Gram matrix outside
 * of it are those of the identity. So all lanes factorize k x k matrices in step, without branches.
 */

#if NMF_SIZE == 4
#define NMF_BPP_RANK 1e-6f
#define NMF_BPP_TOL 1e-5f
#else
#define NMF_BPP_RANK 1e-14
#define NMF_BPP_TOL 1e-13
#endif

/* x of the masked systems, from M = L D L.T; M, x, b, m: a row in each lane. */
static NMF_TARGET NMF_INLINE void NMF_NAME(bpp_solve)(ptrdiff_t k, const NMF_REAL *gram, const NMF_REAL *b,
                                                      const NMF_REAL *m, NMF_REAL *M, NMF_REAL *x)
{
    for (ptrdiff_t i = 0; i < k; i++) {
        const NMF_NAME(full) mi = NMF_LOAD(m, i);
        for (ptrdiff_t j = 0; j < i; j++)
            NMF_STORE(M, i * k + j) = gram[i * k + j] * mi * NMF_LOAD(m, j);
        NMF_STORE(M, i * k + i) = gram[i * k + i] * mi + (1 - mi);
        NMF_STORE(x, i) = NMF_LOAD(b, i) * mi;
    }
    /* Four columns at a time: below the diagonal M holds L D, on it 1 / D. */
    for (ptrdiff_t first = 0; first < k; first += 4) {
        const ptrdiff_t end = first + 4 < k ? first + 4 : k;
        for (ptrdiff_t j = first; j < end; j++) {
            NMF_NAME(full) pivot = NMF_LOAD(M, j * k + j);
            /* of a column that depends on those before it nothing is left but rounding */
            pivot = NMF_SELECT(pivot > NMF_BPP_RANK * gram[j * k + j], pivot, NMF_NAME(splat)(NMF_HUGE));
            const NMF_NAME(full) inverse = 1 / pivot, xj = NMF_LOAD(x, j);
            NMF_STORE(M, j * k + j) = inverse;
            for (ptrdiff_t i = j + 1; i < k; i++) {
                const NMF_NAME(full) l = NMF_LOAD(M, i * k + j) * inverse;
                for (ptrdiff_t p = j + 1; p < end && p <= i; p++)
                    NMF_STORE(M, i * k + p) -= l * NMF_LOAD(M, p * k + j);
                NMF_STORE(x, i) -= l * xj;
            }
        }
        /* what these columns take from the rest, two rows at a time: each number of it is read and written once */
        for (ptrdiff_t i = end; i < k; i += 2) {
            const ptrdiff_t other = i + 1 < k ? i + 1 : i;
            NMF_NAME(full) l[4], o[4];
            NMF_UNROLL for (int q = 0; q < 4; q++) {
                l[q] = NMF_LOAD(M, i * k + first + q) * NMF_LOAD(M, (first + q) * k + first + q);
                o[q] = NMF_LOAD(M, other * k + first + q) * NMF_LOAD(M, (first + q) * k + first + q);
            }
            for (ptrdiff_t p = end; p <= i; p++) {
                NMF_NAME(full) one = NMF_LOAD(M, i * k + p), two = NMF_LOAD(M, other * k + p);
                NMF_UNROLL for (int q = 0; q < 4; q++) {
                    const NMF_NAME(full) v = NMF_LOAD(M, p * k + first + q);
                    one -= l[q] * v;
                    two -= o[q] * v;
                }
                NMF_STORE(M, other * k + p) = two;
                NMF_STORE(M, i * k + p) = one;
            }
            if (other > i) {
                NMF_NAME(full) two = NMF_LOAD(M, other * k + other);
                NMF_UNROLL for (int q = 0; q < 4; q++) two -= o[q] * NMF_LOAD(M, other * k + first + q);
                NMF_STORE(M, other * k + other) = two;
            }
        }
    }
    for (ptrdiff_t j = k - 1; j >= 0; j--) {
        const NMF_NAME(full) xj = NMF_LOAD(x, j) * NMF_LOAD(M, j * k + j);
        NMF_STORE(x, j) = xj;
        for (ptrdiff_t p = 0; p < j; p++)
            NMF_STORE(x, p) -= NMF_LOAD(M, j * k + p) * xj;
    }
}

/* Up to a vector of rows: b in, x out, and which coordinates are in the guess. scratch: k (k + 1) vectors. Returns how
 * many rows have not ended after max_steps steps. */
static NMF_TARGET int NMF_NAME(bpp_rows)(ptrdiff_t k, ptrdiff_t rows, const NMF_REAL *gram, const NMF_REAL *b, int max_steps,
                                         NMF_REAL *x, NMF_REAL *m, NMF_REAL *scratch)
{
    NMF_REAL *M = scratch, *y = M + k * k * NMF_FULL;
    int left[NMF_FULL], fewest[NMF_FULL], running = 0;
    NMF_REAL least[NMF_FULL];
    for (int s = 0; s < NMF_FULL; s++) {
        left[s] = s < rows ? 3 : -1; /* full exchanges that may fail; -1: done */
        fewest[s] = (int)k + 1;
    }
    for (ptrdiff_t i = 0; i < k; i++)
        NMF_STORE(m, i) = NMF_SELECT(NMF_LOAD(m, i) > 0, NMF_NAME(splat)(1), NMF_NAME(splat)(0));
    for (int step = 0; step < max_steps; step++) {
        NMF_NAME(full) most = {0}, pull = {0};
        NMF_NAME(bpp_solve)(k, gram, b, m, M, x);
        for (ptrdiff_t i = 0; i < k; i++) {
            NMF_NAME(full) sum = -NMF_LOAD(b, i);
            for (ptrdiff_t j = 0; j < k; j++)
                sum += gram[i * k + j] * NMF_LOAD(x, j);
            NMF_STORE(y, i) = sum;
            most = NMF_NAME(larger)(most, NMF_NAME(larger)(NMF_LOAD(x, i), -NMF_LOAD(x, i)));
            pull = NMF_NAME(larger)(pull, NMF_NAME(larger)(NMF_LOAD(b, i), -NMF_LOAD(b, i)));
        }
        /* what differs from zero by rounding only is zero: the Gram matrix has ones on its diagonal */
        *(NMF_NAME(full) *)least = -NMF_BPP_TOL * (most + pull);
        running = 0;
        for (int s = 0; s < rows; s++) {
            if (left[s] < 0)
                continue;
            int wrong = 0;
            ptrdiff_t last = -1;
            for (ptrdiff_t i = 0; i < k; i++)
                if ((m[i * NMF_FULL + s] > 0 ? x : y)[i * NMF_FULL + s] < least[s]) {
                    wrong++;
                    last = i;
                }
            if (wrong == 0) {
                left[s] = -1;
                continue;
            }
            running++;
            if (wrong < fewest[s]) {
                fewest[s] = wrong;
                left[s] = 3;
            } else if (left[s] > 0) {
                left[s]--;
            }
            const ptrdiff_t from = left[s] > 0 ? 0 : last;
            for (ptrdiff_t i = from; i <= last; i++)
                if ((m[i * NMF_FULL + s] > 0 ? x : y)[i * NMF_FULL + s] < least[s])
                    m[i * NMF_FULL + s] = 1 - m[i * NMF_FULL + s];
        }
        if (running == 0)
            break;
    }
    for (ptrdiff_t i = 0; i < k; i++)
        NMF_STORE(x, i) = NMF_NAME(larger)(NMF_LOAD(x, i) * NMF_LOAD(m, i), (NMF_NAME(full)){0});
    return running;
}
#undef NMF_BPP_RANK
#undef NMF_BPP_TOL
