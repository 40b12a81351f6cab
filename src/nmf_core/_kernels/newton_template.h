/* Coordinate steps for the Kullback-Leibler divergence, for one precision at one instruction-set level (see variant.h).
 *
 * A row w >= 0 is improved for x ~ y = w G.T. Seen from one coordinate, the divergence has the slope s - q(w_c) with
 * s = sum g_c (plus penalties) and q = sum x g_c / y, whose own slope is -h = -sum x g_c^2 / y^2. Newton's method for
 * 1 / q = 1 / s moves it by (q - s) (q / s) / h. As a sum of terms a / (b + w), q has a concave reciprocal, so a step
 * never ends above the minimiser; it is exact where one entry of the row, or several alike, decide. From above it may
 * end too far below, which raises the divergence in rare cases; `damped` steps do not.
 *
 * The entries that count stand in vectors in one of three layouts: LANES, a row in each lane; ACROSS, the entries of each
 * row over all lanes; SHARED, a row in each lane and the same g for all of them. Lanes never mix but for the sums
 * of ACROSS, so what becomes of a row does not depend on its neighbours.
 */

/* What the loops over the entries of a tile need. x, y: `length` vectors, ACROSS for every row, `stride` numbers apart; g of
 * component c: from H + c * ldh on; w, sums, floor, l2: a row in each lane. */
typedef struct {
    ptrdiff_t length, stride, ldh;
    const NMF_REAL *x, *H;
    NMF_REAL *y, *w, *sums;
    NMF_NAME(full) floor, l2;
} NMF_NAME(newton_tile);

#define NMF_G(h, p) (layout == NMF_SHARED ? NMF_NAME(splat)((h)[p]) : NMF_LOAD(h, p))

/* y = max(floor, w G.T) for the lanes, or for a row of its own across them. */
static NMF_TARGET NMF_INLINE void NMF_NAME(newton_model)(const int layout, const NMF_NAME(newton_tile) *t, ptrdiff_t k,
                                                         ptrdiff_t row, NMF_REAL *y)
{
    const NMF_NAME(full) floor = layout == NMF_ACROSS ? NMF_NAME(splat)(((const NMF_REAL *)&t->floor)[row]) : t->floor;
    for (ptrdiff_t p = 0; p < t->length; p += 4) {
        const int count = t->length - p < 4 ? (int)(t->length - p) : 4;
        NMF_NAME(full) sums[4] = {{0}, {0}, {0}, {0}};
        for (ptrdiff_t c = 0; c < k; c++) {
            const NMF_NAME(full) w = layout == NMF_ACROSS ? NMF_NAME(splat)(t->w[c * NMF_FULL + row]) : NMF_LOAD(t->w, c);
            const NMF_REAL *h = t->H + c * t->ldh;
            if (count == 4)
                NMF_UNROLL for (int i = 0; i < 4; i++) sums[i] += w * NMF_G(h, p + i);
            else
                for (int i = 0; i < count; i++)
                    sums[i] += w * NMF_G(h, p + i);
        }
        for (int i = 0; i < count; i++)
            NMF_STORE(y, p + i) = NMF_NAME(larger)(sums[i], floor);
    }
}

/* One vector of entries: its share of the sums q and h; y follows the last coordinate's move first. */
static NMF_TARGET NMF_INLINE void NMF_NAME(newton_entries)(const int layout, const int moved, ptrdiff_t p,
                                                           const NMF_REAL *x, NMF_REAL *y, const NMF_REAL *now,
                                                           const NMF_REAL *last, NMF_NAME(full) move,
                                                           NMF_NAME(full) floor, NMF_NAME(full) *q, NMF_NAME(full) *h)
{
    NMF_NAME(full) model = NMF_LOAD(y, p);
    if (moved) {
        model = NMF_NAME(larger)(model + move * NMF_G(last, p), floor);
        NMF_STORE(y, p) = model;
    }
    const NMF_NAME(full) u = NMF_G(now, p) * NMF_NAME(reciprocal)(model), v = NMF_LOAD(x, p) * u;
    *q += v;
    *h += v * u;
}

/* The sums q and h of one coordinate over the vectors of a tile, in two chains each. */
static NMF_TARGET NMF_INLINE void NMF_NAME(newton_chains)(const int layout, const int moved, ptrdiff_t length,
                                                          const NMF_REAL *x, NMF_REAL *y, const NMF_REAL *now,
                                                          const NMF_REAL *last, NMF_NAME(full) move,
                                                          NMF_NAME(full) floor, NMF_NAME(full) *q, NMF_NAME(full) *h)
{
    NMF_NAME(full) q0 = {0}, q1 = {0}, h0 = {0}, h1 = {0};
    ptrdiff_t p = 0;
    for (; p + 2 <= length; p += 2) {
        NMF_NAME(newton_entries)(layout, moved, p, x, y, now, last, move, floor, &q0, &h0);
        NMF_NAME(newton_entries)(layout, moved, p + 1, x, y, now, last, move, floor, &q1, &h1);
    }
    if (p < length)
        NMF_NAME(newton_entries)(layout, moved, p, x, y, now, last, move, floor, &q0, &h0);
    *q = q0 + q1;
    *h = h0 + h1;
}

/* The same with a row in each lane in the end, whatever the layout. */
static NMF_TARGET NMF_INLINE void NMF_NAME(newton_sums)(const int layout, const int moved, const NMF_NAME(newton_tile) *t,
                                                        ptrdiff_t rows, const NMF_REAL *now, const NMF_REAL *last,
                                                        NMF_NAME(full) move, NMF_NAME(full) *q, NMF_NAME(full) *h)
{
    if (layout != NMF_ACROSS) {
        NMF_NAME(newton_chains)(layout, moved, t->length, t->x, t->y, now, last, move, t->floor, q, h);
        return;
    }
    NMF_REAL qs[NMF_FULL] = {0}, hs[NMF_FULL] = {0}, moves[NMF_FULL], floors[NMF_FULL];
    NMF_STORE(moves, 0) = move;
    NMF_STORE(floors, 0) = t->floor;
    for (ptrdiff_t r = 0; r < rows; r++) {
        NMF_NAME(full) sums[2];
        NMF_NAME(newton_chains)(layout, moved, t->length, t->x + r * t->stride, t->y + r * t->stride, now, last,
                                NMF_NAME(splat)(moves[r]), NMF_NAME(splat)(floors[r]), &sums[0], &sums[1]);
        qs[r] = NMF_NAME(lane_sum)(sums[0]);
        hs[r] = NMF_NAME(lane_sum)(sums[1]);
    }
    *q = NMF_LOAD(qs, 0);
    *h = NMF_LOAD(hs, 0);
}

/* The sum of x (log(x / y) - 1) over the vectors of a tile. */
static NMF_TARGET NMF_INLINE double NMF_NAME(newton_measure)(ptrdiff_t length, const NMF_REAL *x, const NMF_REAL *y)
{
    double total = 0;
    for (ptrdiff_t first = 0; first < length; first += 64) {
        NMF_NAME(full) sum = {0};
        for (ptrdiff_t p = first; p < length && p < first + 64; p++) {
            const NMF_NAME(full) ratio = NMF_LOAD(x, p) * NMF_NAME(reciprocal)(NMF_LOAD(y, p));
            sum += NMF_LOAD(x, p) * (NMF_NAME(logarithm)(NMF_NAME(larger)(ratio, NMF_NAME(splat)(NMF_TINY))) - 1);
        }
        total += NMF_NAME(lane_sum)(sum);
    }
    return total;
}

/* Sweeps over the coordinates of a tile, up to max_sweeps. Lanes from `rows` on belong to no row.
 * report: the sum over rows of the first sweep's squared lengths, max(-w, step s / q)^2 h + step^2 l2; the most sweeps used, the
 * rows that have not met tol (their step has not fallen to tol of their first), and with `measure` the sum of
 * x (log(x / y) - 1). */
static NMF_TARGET NMF_INLINE void NMF_NAME(newton_sweeps)(const int layout, const nmf_newton *job, ptrdiff_t rows,
                                                          const NMF_NAME(newton_tile) *t, double *report)
{
    const NMF_NAME(full) zero = {0};
    const NMF_REAL *last = NULL, goal = (NMF_REAL)(job->tol * job->tol);
    NMF_REAL active[NMF_FULL], first[NMF_FULL], lengths[NMF_FULL];
    const NMF_NAME(full) l2 = t->l2;
    NMF_NAME(full) move = zero, q, h;
    int running = 0;
    for (int s = 0; s < NMF_FULL; s++)
        active[s] = s < rows;
    for (ptrdiff_t r = 0; r < (layout == NMF_ACROSS ? rows : 1); r++)
        NMF_NAME(newton_model)(layout, t, job->k, r, t->y + r * t->stride);
    for (int sweep = 0; sweep < job->max_sweeps; sweep++) {
        const NMF_NAME(full) free = NMF_LOAD(active, 0);
        NMF_NAME(full) length = zero;
        for (ptrdiff_t i = 0; i < job->n_order; i++) {
            const ptrdiff_t c = job->order[i];
            const NMF_REAL *now = t->H + c * t->ldh;
            if (last == NULL)
                NMF_NAME(newton_sums)(layout, 0, t, rows, now, now, move, &q, &h);
            else
                NMF_NAME(newton_sums)(layout, 1, t, rows, now, last, move, &q, &h);
            const NMF_NAME(full) w = NMF_LOAD(t->w, c), s = NMF_LOAD(t->sums, c) + l2 * w, share = q / s;
            /* Down to w q / s the divergence is sure to fall, as in a multiplicative update. */
            const NMF_NAME(full) lowest = job->damped ? NMF_SELECT(share < 1, w * share, zero) : zero;
            const NMF_NAME(full) ahead = NMF_NAME(larger)(w + (q - s) * share / (h + l2 * share * share), lowest);
            /* A component that no entry needs goes to zero, if it costs anything. */
            const NMF_NAME(full) idle = NMF_SELECT(s > zero, -w, zero);
            move = NMF_SELECT((h > zero) & (s > zero), ahead - w, idle) * free;
            NMF_STORE(t->w, c) = w + move;
            /* the step of Newton's method for q = s, at most the way to zero */
            const NMF_NAME(full) plain = NMF_NAME(larger)(move / share, -w);
            length += NMF_SELECT(h > zero, plain * plain * h + move * move * l2, zero);
            last = now;
        }
        *(NMF_NAME(full) *)lengths = length;
        running = 0;
        for (ptrdiff_t s = 0; s < rows; s++) {
            lengths[s] = NMF_NAME(finite)(lengths[s]);
            if (sweep == 0) {
                first[s] = lengths[s];
                report[0] += lengths[s];
            }
            if (active[s] != 0) {
                if (lengths[s] <= goal * first[s])
                    active[s] = 0;
                else
                    running++;
            }
        }
        report[1] = report[1] > sweep + 1 ? report[1] : sweep + 1;
        if (running == 0)
            break;
    }
    report[2] += running;
    if (!job->measure)
        return;
    for (ptrdiff_t r = 0; r < (layout == NMF_ACROSS ? rows : 1); r++) {
        /* afresh: the model that followed all moves has residues of rounding where it should be next to nothing */
        NMF_NAME(newton_model)(layout, t, job->k, r, t->y + r * t->stride);
        report[3] += NMF_NAME(newton_measure)(t->length, t->x + r * t->stride, t->y + r * t->stride);
    }
}

/* Improve the rows at[0:rows], whose entries and columns of G are in the tile. */
static NMF_TARGET NMF_INLINE void NMF_NAME(newton_rows)(const int layout, const nmf_newton *job, ptrdiff_t rows,
                                                        const ptrdiff_t *at, NMF_NAME(newton_tile) *t, NMF_REAL *buffer,
                                                        double *report)
{
    const ptrdiff_t ld = job->ld, k = job->k;
    const NMF_REAL *from[NMF_FULL], *sums[NMF_FULL];
    NMF_REAL floors[NMF_FULL], l2[NMF_FULL];
    for (ptrdiff_t s = 0; s < NMF_FULL; s++) {
        const ptrdiff_t row = at[s < rows ? s : 0];
        from[s] = (const NMF_REAL *)job->start + row * ld;
        sums[s] = (const NMF_REAL *)job->sums + row * job->sums_step;
        floors[s] = ((const NMF_REAL *)job->floors)[row];
        l2[s] = ((const NMF_REAL *)job->l2)[row];
    }
    t->floor = NMF_LOAD(floors, 0);
    t->l2 = NMF_LOAD(l2, 0);
    NMF_NAME(transpose_rows)(k, from, t->w, NMF_FULL);
    NMF_NAME(transpose_rows)(k, sums, t->sums, NMF_FULL);
    NMF_NAME(newton_sweeps)(layout, job, rows, t, report);
    memset(buffer, 0, NMF_FULL * ld * sizeof(NMF_REAL));
    NMF_NAME(transpose)(k, NMF_FULL, t->w, NMF_FULL, buffer, ld);
    for (ptrdiff_t s = 0; s < rows; s++) {
        NMF_REAL *F = (NMF_REAL *)job->F + at[s] * ld;
        memcpy(F, buffer + s * ld, ld * sizeof(NMF_REAL));
        if (job->F_new == NULL)
            continue;
        NMF_REAL *F_new = (NMF_REAL *)job->F_new + at[s] * ld;
        if (job->momentum != 0)
            NMF_NAME(extrapolate)(1, ld, (NMF_REAL)job->momentum, 0, (const NMF_REAL *)job->scale,
                                  (const NMF_REAL *)job->previous + at[s] * ld, F_new, F);
        else
            memcpy(F_new, F, ld * sizeof(NMF_REAL));
    }
}

/* Divide the scratch memory of a tile: x and y of so many vectors, w, sums, a buffer of rows. What follows is free. */
static NMF_TARGET NMF_INLINE NMF_REAL *NMF_NAME(newton_memory)(const nmf_newton *job, ptrdiff_t length, NMF_REAL *scratch,
                                                               NMF_NAME(newton_tile) *t, NMF_REAL **buffer)
{
    t->length = length;
    t->stride = 0;
    t->x = scratch;
    t->y = scratch + length * NMF_FULL;
    t->w = t->y + length * NMF_FULL;
    t->sums = t->w + job->k * NMF_FULL;
    *buffer = t->sums + job->k * NMF_FULL;
    return *buffer + NMF_FULL * ((job->ld + NMF_FULL - 1) / NMF_FULL * NMF_FULL);
}

/* Rows of CSR: rows[0:count], the longest first; one long row ACROSS, or several in LANES. */
static NMF_TARGET void NMF_NAME(newton_csr)(int across, const nmf_newton *job, const NMF_REAL *data, const int32_t *indices,
                                            const int64_t *indptr, const int64_t *rows, ptrdiff_t count, NMF_REAL *scratch,
                                            double *report)
{
    const ptrdiff_t ld = job->ld, columns = (job->k + 3) / 4 * 4 < ld ? (job->k + 3) / 4 * 4 : ld;
    const ptrdiff_t by = across ? NMF_FULL : 1, longest = indptr[rows[0] + 1] - indptr[rows[0]];
    const NMF_REAL *G = (const NMF_REAL *)job->G;
    ptrdiff_t at[NMF_FULL], begin[NMF_FULL], end[NMF_FULL];
    NMF_REAL *buffer;
    NMF_NAME(newton_tile) t;
    NMF_REAL *H = NMF_NAME(newton_memory)(job, across ? (longest + NMF_FULL - 1) / NMF_FULL : longest, scratch, &t, &buffer);
    NMF_REAL *x = (NMF_REAL *)t.x;
    t.H = H;
    t.ldh = t.length * NMF_FULL;
    for (ptrdiff_t s = 0; s < NMF_FULL; s++) {
        at[s] = rows[!across && s < count ? s : 0];
        begin[s] = indptr[at[s]] + (across ? s : 0);
        end[s] = across || s < count ? indptr[at[s] + 1] : 0;
    }
    memset(buffer, 0, ld * sizeof(NMF_REAL));
    for (ptrdiff_t p = 0; p < t.length; p++) {
        const NMF_REAL *from[NMF_FULL];
        for (ptrdiff_t s = 0; s < NMF_FULL; s++) {
            const ptrdiff_t e = begin[s] + p * by;
            if (e + 2 * by < end[s]) {
                const char *soon = (const char *)(G + (ptrdiff_t)indices[e + 2 * by] * ld);
                NMF_PREFETCH(soon);
                NMF_PREFETCH(soon + 64);
            }
            x[p * NMF_FULL + s] = e < end[s] ? data[e] : 0;
            from[s] = e < end[s] ? G + (ptrdiff_t)indices[e] * ld : buffer;
        }
        NMF_NAME(transpose_rows)(columns, from, H + p * NMF_FULL, t.ldh);
    }
    if (across) {
        NMF_NAME(newton_rows)(NMF_ACROSS, job, 1, at, &t, buffer, report);
    } else {
        NMF_NAME(newton_rows)(NMF_LANE, job, count, at, &t, buffer, report);
    }
}

/* Up to a vector of rows of dense X, from `first` on: X[i, j] lies at X[i * row_step + j * step]. H is G transposed, rows
 * of ldh numbers, whole vectors. Short rows are taken together in SHARED, long ones ACROSS, so many at a time. */
static NMF_TARGET void NMF_NAME(newton_dense)(int across, const nmf_newton *job, const NMF_REAL *X, ptrdiff_t row_step,
                                              ptrdiff_t step, ptrdiff_t m, const NMF_REAL *H, ptrdiff_t ldh,
                                              ptrdiff_t first, ptrdiff_t rows, NMF_REAL *scratch, double *report)
{
    NMF_NAME(newton_tile) t;
    NMF_REAL *buffer;
    NMF_REAL *more = NMF_NAME(newton_memory)(job, across ? across * ldh / NMF_FULL : m, scratch, &t, &buffer);
    NMF_REAL *x = (NMF_REAL *)t.x;
    ptrdiff_t at[NMF_FULL];
    t.H = H;
    t.ldh = ldh;
    X += first * row_step;
    for (ptrdiff_t s = 0; s < NMF_FULL; s++)
        at[s] = first + (s < rows ? s : 0);
    if (!across) {
        if (step == 1)
            NMF_NAME(transpose)(rows, m, X, row_step, x, NMF_FULL);
        for (ptrdiff_t j = 0; j < m; j++) {
            if (step != 1)
                memcpy(x + j * NMF_FULL, X + j * step, rows * sizeof(NMF_REAL));
            for (ptrdiff_t s = rows; s < NMF_FULL; s++)
                x[j * NMF_FULL + s] = 0;
        }
        NMF_NAME(newton_rows)(NMF_SHARED, job, rows, at, &t, buffer, report);
        return;
    }
    t.length = ldh / NMF_FULL;
    t.stride = ldh;
    if (step != 1)
        NMF_NAME(transpose)(m, rows, X, step, more, ldh);
    for (ptrdiff_t s = 0; s < rows; s += across) {
        const ptrdiff_t count = rows - s < across ? rows - s : across;
        if (step != 1)
            t.x = x = more + s * ldh;
        for (ptrdiff_t r = 0; r < count; r++) {
            if (step == 1)
                memcpy(x + r * ldh, X + (s + r) * row_step, m * sizeof(NMF_REAL));
            memset(x + r * ldh + m, 0, (ldh - m) * sizeof(NMF_REAL));
        }
        NMF_NAME(newton_rows)(NMF_ACROSS, job, count, at + s, &t, buffer, report);
    }
}
