/* Coordinate descent on rows of which only some entries are known, for one precision at one instruction-set level (see
 * variant.h).
 *
 * Row f is improved for x ~ f G.T over its known entries: with A = sum_j w_j (g_j, x_j) (g_j, x_j).T, an augmented Gram
 * matrix, A's leading k x k part is the row's own Gram matrix, its row k the cross product and its last entry the sum of
 * w x^2. The entries' rows of G are copied side by side into the first cache level, and A is summed from there in
 * registers, lower triangle only. Several rows are swept in step, because a coordinate step is a chain of dependent
 * operations: others fill its gaps. What becomes of a row does not depend on the others.
 */

/* tall rows of A, one vector of columns: A[r, :] += sum_j a_j[r] b_j, accumulators in registers; tall is a literal. */
static NMF_TARGET NMF_INLINE void NMF_NAME(observed_tile)(const int tall, ptrdiff_t n, const NMF_REAL *a,
                                                          const NMF_REAL *b, ptrdiff_t ldb, NMF_REAL *A)
{
    NMF_NAME(full) sum[NMF_OBSERVED_TALL];
    NMF_UNROLL24 for (int r = 0; r < tall; r++) sum[r] = *(const NMF_NAME(full) *)(A + r * ldb);
    for (ptrdiff_t j = 0; j < n; j++) {
        const NMF_NAME(full) v = *(const NMF_NAME(full) *)(b + j * ldb);
        NMF_UNROLL24 for (int r = 0; r < tall; r++)
        {
            sum[r] += a[j * ldb + r] * v;
            if (r % 4 == 3)
                NMF_IN_ORDER;
        }
    }
    NMF_UNROLL24 for (int r = 0; r < tall; r++) *(NMF_NAME(full) *)(A + r * ldb) = sum[r];
}

/* Of long rows parts are added up in double: total (+)= own, which begins again from zero or takes the end. */
static NMF_TARGET void NMF_NAME(observed_carry)(ptrdiff_t size, int is_first, int is_last, double *total, NMF_REAL *own)
{
    for (ptrdiff_t i = 0; i < size; i++) {
        total[i] = (is_first ? 0 : total[i]) + own[i];
        own[i] = is_last ? (NMF_REAL)total[i] : 0;
    }
}

#define NMF_OBSERVED_CASE(tall)                                                                                        \
    case tall: NMF_NAME(observed_tile)(tall, n, a + r, b + c, ldb, A + r * ldb + c); break;

/* A += a.T b for n rows of ldb numbers: in the columns of every vector the rows from its first one on, up to k. */
static NMF_TARGET void NMF_NAME(observed_gram)(ptrdiff_t k, ptrdiff_t n, const NMF_REAL *a, const NMF_REAL *b,
                                               ptrdiff_t ldb, NMF_REAL *A)
{
    for (ptrdiff_t c = 0; c <= k; c += NMF_FULL) {
        ptrdiff_t r = c;
        for (; r + NMF_OBSERVED_TALL <= k + 1; r += NMF_OBSERVED_TALL)
            NMF_NAME(observed_tile)(NMF_OBSERVED_TALL, n, a + r, b + c, ldb, A + r * ldb + c);
        switch (k + 1 - r) {
            NMF_OBSERVED_CASE(1) NMF_OBSERVED_CASE(2) NMF_OBSERVED_CASE(3) NMF_OBSERVED_CASE(4)
            NMF_OBSERVED_CASE(5) NMF_OBSERVED_CASE(6) NMF_OBSERVED_CASE(7) NMF_OBSERVED_CASE(8)
            NMF_OBSERVED_CASE(9) NMF_OBSERVED_CASE(10) NMF_OBSERVED_CASE(11)
#if NMF_OBSERVED_TALL == 24
            NMF_OBSERVED_CASE(12) NMF_OBSERVED_CASE(13) NMF_OBSERVED_CASE(14) NMF_OBSERVED_CASE(15)
            NMF_OBSERVED_CASE(16) NMF_OBSERVED_CASE(17) NMF_OBSERVED_CASE(18) NMF_OBSERVED_CASE(19)
            NMF_OBSERVED_CASE(20) NMF_OBSERVED_CASE(21) NMF_OBSERVED_CASE(22) NMF_OBSERVED_CASE(23)
#endif
        default: break;
        }
    }
}
#undef NMF_OBSERVED_CASE

/* What the sweeps over a few rows need: of every row its augmented Gram matrix A, ldb x ldb, with penalties on the
 * diagonal, its gradient a, the row f itself, and 1 / A_cc; of ldb numbers each. */
typedef struct {
    const NMF_REAL *A[NMF_OBSERVED_ROWS];
    NMF_REAL *a[NMF_OBSERVED_ROWS], *f[NMF_OBSERVED_ROWS], *inverse[NMF_OBSERVED_ROWS];
    NMF_REAL active[NMF_OBSERVED_ROWS], length[NMF_OBSERVED_ROWS];
} NMF_NAME(observed_rows);

/* One sweep over the coordinates of so many rows. */
static NMF_TARGET NMF_INLINE void NMF_NAME(observed_sweep)(const int rows, const nmf_observed *job,
                                                           NMF_NAME(observed_rows) *t)
{
    const ptrdiff_t ldb = job->ldb;
    const NMF_REAL *lower = (const NMF_REAL *)job->lower;
    const ptrdiff_t end = (job->k + NMF_FULL - 1) / NMF_FULL * NMF_FULL;
    NMF_UNROLL for (int r = 0; r < rows; r++) t->length[r] = 0;
    for (ptrdiff_t i = 0; i < job->n_order; i++) {
        const ptrdiff_t c = job->order[i];
        NMF_REAL move[NMF_OBSERVED_ROWS];
        NMF_UNROLL for (int r = 0; r < rows; r++)
        {
            const NMF_REAL old = t->f[r][c], ahead = old - t->a[r][c] * t->inverse[r][c];
            move[r] = ((ahead > lower[c] ? ahead : lower[c]) - old) * t->active[r];
            t->length[r] += move[r] * move[r] * t->A[r][c * ldb + c];
            t->f[r][c] = old + move[r];
        }
        for (ptrdiff_t v = 0; v < end; v += NMF_FULL)
            NMF_UNROLL for (int r = 0; r < rows; r++)
                *(NMF_NAME(full) *)(t->a[r] + v) += move[r] * *(const NMF_NAME(full) *)(t->A[r] + c * ldb + v);
    }
}

/* Improve the rows of F from `first` on, as many as are there of the `count` that are swept in step (a literal), their A
 * one after the other. report: as in improve_tiles, but the last number gains the sums of w (x - y)^2. */
static NMF_TARGET NMF_INLINE void NMF_NAME(observed_improve)(const int count, const nmf_observed *job, ptrdiff_t first,
                                                             ptrdiff_t rows, NMF_REAL *A,
                                                             NMF_REAL *scratch, double *report)
{
    const ptrdiff_t k = job->k, ld = job->ld, ldb = job->ldb;
    const NMF_REAL *amounts = (const NMF_REAL *)job->amounts, *lower = (const NMF_REAL *)job->lower;
    const NMF_REAL *scale = (const NMF_REAL *)job->scale;
    const NMF_REAL goal = (NMF_REAL)(job->tol * job->tol);
    NMF_REAL begun[NMF_OBSERVED_ROWS] = {0};
    NMF_NAME(observed_rows) t;
    int running = 0;
    for (int r = 0; r < count; r++) {
        /* rows that are not there are copies of the first that never move */
        const int from = r < rows ? r : 0;
        const NMF_REAL l1 = (NMF_REAL)job->l1 * amounts[first + from], l2 = (NMF_REAL)job->l2 * amounts[first + from];
        const NMF_REAL *start = (const NMF_REAL *)job->start + (first + from) * ld;
        NMF_REAL *own = A + from * ldb * ldb;
        t.A[r] = own;
        t.a[r] = scratch + 3 * r * ldb;
        t.f[r] = t.a[r] + ldb;
        t.inverse[r] = t.f[r] + ldb;
        t.active[r] = r < rows;
        memset(t.a[r], 0, 3 * ldb * sizeof(NMF_REAL));
        for (ptrdiff_t c = 0; c < k; c++) {
            if (r < rows)
                own[c * ldb + c] += l2;
            t.inverse[r][c] = own[c * ldb + c] > 0 ? 1 / own[c * ldb + c] : 0;
            t.f[r][c] = start[c];
            t.a[r][c] = (lower[c] < 0 ? 0 : l1) - own[k * ldb + c];
        }
        /* a component that no entry needs becomes zero where it costs something */
        for (ptrdiff_t i = 0; i < job->n_order; i++)
            if (t.inverse[r][job->order[i]] == 0 && t.a[r][job->order[i]] > 0)
                t.f[r][job->order[i]] = 0;
        for (ptrdiff_t c = 0; c < k; c++)
            for (ptrdiff_t v = 0; v < k; v += NMF_FULL)
                *(NMF_NAME(full) *)(t.a[r] + v) += t.f[r][c] * *(const NMF_NAME(full) *)(own + c * ldb + v);
    }
    for (int sweep = 0; sweep < job->max_sweeps; sweep++) {
        NMF_NAME(observed_sweep)(count, job, &t);
        running = 0;
        for (int r = 0; r < rows; r++) {
            if (sweep == 0) {
                begun[r] = t.length[r];
                report[0] += t.length[r];
            }
            if (t.active[r] != 0) {
                if (t.length[r] <= goal * begun[r])
                    t.active[r] = 0;
                else
                    running++;
            }
        }
        report[1] = report[1] > sweep + 1 ? report[1] : sweep + 1;
        if (running == 0)
            break;
    }
    report[2] += running;
    for (int r = 0; r < rows; r++) {
        const NMF_REAL *own = t.A[r], *f = t.f[r];
        NMF_REAL *F = (NMF_REAL *)job->F + (first + r) * ld;
        const double l1 = job->l1 * amounts[first + r], l2 = job->l2 * amounts[first + r];
        double error = own[k * ldb + k];
        for (ptrdiff_t c = 0; c < k; c++)
            error += f[c] * ((double)t.a[r][c] - own[k * ldb + c] - l2 * f[c] - (lower[c] < 0 ? 0 : l1));
        report[3] += error;
        memcpy(F, f, k * sizeof(NMF_REAL));
        if (job->F_new == NULL)
            continue;
        /* F_new may be `previous`. Whole vectors: of a loop over numbers compilers make several versions that round
         * differently. */
        memcpy(t.a[r], (const NMF_REAL *)job->previous + (first + r) * ld, k * sizeof(NMF_REAL));
        memcpy((NMF_REAL *)job->F_new + (first + r) * ld, f, k * sizeof(NMF_REAL));
        if (job->momentum == 0)
            continue;
        for (ptrdiff_t v = 0; v < ldb; v += NMF_FULL) {
            const NMF_NAME(full) now = *(const NMF_NAME(full) *)(f + v);
            const NMF_NAME(full) was = *(const NMF_NAME(full) *)(t.a[r] + v) * *(const NMF_NAME(full) *)(scale + v);
            *(NMF_NAME(full) *)(t.a[r] + v) = NMF_NAME(larger)(now + (NMF_REAL)job->momentum * (now - was),
                                                              *(const NMF_NAME(full) *)(lower + v));
        }
        memcpy(F, t.a[r], k * sizeof(NMF_REAL));
    }
}

/* What a row of G has beyond its full vectors. */
#if NMF_LEVEL > 0
#define NMF_OBSERVED_REST(b, g)                                                                                        \
    if (c + NMF_HALF <= ld) {                                                                                          \
        *(NMF_NAME(half) *)(b + c) = *(const NMF_NAME(half) *)(g + c);                                                 \
        c += NMF_HALF;                                                                                                 \
    }                                                                                                                  \
    for (; c < ld; c++)                                                                                                \
        b[c] = g[c];
#else
#define NMF_OBSERVED_REST(b, g)                                                                                        \
    for (; c < ld; c++)                                                                                                \
        b[c] = g[c];
#endif

/* Rows of G, ld numbers, side by side in b, and behind the first k of each the entry; what follows is zero already.
 * Of the `known` indices those after the first n are looked at to have their rows ready. */
static NMF_TARGET void NMF_NAME(observed_gather)(ptrdiff_t k, ptrdiff_t ld, ptrdiff_t ldb, ptrdiff_t n,
                                                 ptrdiff_t known, const NMF_REAL *data, const int32_t *indices,
                                                 const NMF_REAL *G, NMF_REAL *b)
{
    const ptrdiff_t full = ld / NMF_FULL * NMF_FULL;
    for (ptrdiff_t j = 0; j < n; j++, b += ldb) {
        const NMF_REAL *g = G + (ptrdiff_t)indices[j] * ld;
        if (j + NMF_AHEAD < known) {
            const char *soon = (const char *)(G + (ptrdiff_t)indices[j + NMF_AHEAD] * ld);
            NMF_PREFETCH(soon);
            NMF_PREFETCH(soon + 64);
        }
        ptrdiff_t c = 0;
        for (; c < full; c += NMF_FULL)
            *(NMF_NAME(full) *)(b + c) = *(const NMF_NAME(full) *)(g + c);
        NMF_OBSERVED_REST(b, g)
        b[k] = data[j];
    }
}

/* Rows first to end of X in CSR. scratch: augmented Gram matrices and 3 ldb numbers for every row that is swept in step,
 * one or, with weights, two buffers of NMF_OBSERVED_CHUNK rows, and ldb^2 doubles. */
static NMF_TARGET void NMF_NAME(observed_hals)(const nmf_observed *job, const NMF_REAL *data, const NMF_REAL *weights,
                                               const int32_t *indices, const int64_t *indptr, ptrdiff_t first, ptrdiff_t end,
                                               NMF_REAL *scratch, double *report)
{
    const ptrdiff_t k = job->k, ld = job->ld, ldb = job->ldb;
    const ptrdiff_t count = k <= NMF_OBSERVED_NARROW ? NMF_OBSERVED_ROWS : 1;
    const NMF_REAL *G = (const NMF_REAL *)job->G;
    NMF_REAL *A = scratch, *rows = A + count * ldb * ldb, *b = rows + count * 3 * ldb;
    NMF_REAL *a = weights == NULL ? b : b + NMF_OBSERVED_CHUNK * ldb;
    double *total = (double *)(a + NMF_OBSERVED_CHUNK * ldb);
    memset(b, 0, NMF_OBSERVED_CHUNK * ldb * sizeof(NMF_REAL));
    for (; first < end; first += count) {
        const ptrdiff_t here = end - first < count ? end - first : count;
        memset(A, 0, here * ldb * ldb * sizeof(NMF_REAL));
        for (ptrdiff_t r = 0; r < here; r++) {
            NMF_REAL *own = A + r * ldb * ldb;
            ptrdiff_t p = indptr[first + r];
            const ptrdiff_t begin = p, stop = indptr[first + r + 1];
            while (p < stop) {
                const ptrdiff_t n = stop - p < NMF_OBSERVED_CHUNK ? stop - p : NMF_OBSERVED_CHUNK;
                NMF_NAME(observed_gather)(k, ld, ldb, n, stop - p, data + p, indices + p, G, b);
                for (ptrdiff_t j = 0; weights != NULL && j < n; j++)
                    for (ptrdiff_t c = 0; c < ldb; c += NMF_FULL)
                        *(NMF_NAME(full) *)(a + j * ldb + c) =
                            weights[p + j] * *(const NMF_NAME(full) *)(b + j * ldb + c);
                NMF_NAME(observed_gram)(k, n, a, b, ldb, own);
                p += n;
                if ((p - begin) % NMF_OBSERVED_LONG == 0 || (p == stop && p - begin > NMF_OBSERVED_LONG))
                    NMF_NAME(observed_carry)(ldb * ldb, p - begin <= NMF_OBSERVED_LONG, p == stop, total, own);
            }
            for (ptrdiff_t j = NMF_FULL; j < k; j++) /* the other triangle, as far as no tile has covered it */
                for (ptrdiff_t c = 0; c < j / NMF_FULL * NMF_FULL; c++)
                    own[c * ldb + j] = own[j * ldb + c];
        }
        if (count == 1)
            NMF_NAME(observed_improve)(1, job, first, here, A, rows, report);
        else
            NMF_NAME(observed_improve)(NMF_OBSERVED_ROWS, job, first, here, A, rows, report);
    }
}
