/* Products for one precision at one instruction-set level (see variant.h).
 *
 * Every element of a result is one chain of multiply-adds in the order of the inner index, whatever tile it falls into:
 * a row's numbers do not depend on its neighbours, nor on how the rows were dealt to threads.
 */

/* C[0:tall, 0:wide vectors] (mode) A B, all accumulators in registers. tall and wide are literals at every call. Where A
 * comes row by row, the rows of the next tile are asked for meanwhile, one line after the other: the processor does not
 * foresee where they are. */
#define NMF_TILE(name, vector, lanes)                                                                                  \
    static NMF_TARGET NMF_INLINE void name(const int tall, const int wide, int mode, ptrdiff_t n, const NMF_REAL *A,   \
                                           ptrdiff_t row_step, ptrdiff_t step, const NMF_REAL *B, ptrdiff_t ldb,       \
                                           NMF_REAL *C, ptrdiff_t ldc)                                                 \
    {                                                                                                                  \
        vector sum[8][4];                                                                                              \
        vector b[4];                                                                                                   \
        NMF_UNROLL for (int r = 0; r < tall; r++) NMF_UNROLL for (int v = 0; v < wide; v++) sum[r][v] = (vector){0};   \
        for (ptrdiff_t j = 0; j < n; j++) {                                                                            \
            NMF_UNROLL for (int v = 0; v < wide; v++) b[v] = *(const vector *)(B + j * ldb + v * (lanes));             \
            if (tall >= 4 && step == 1 && n >= NMF_LONG)                                                               \
                NMF_PREFETCH(A + (tall + j % tall) * row_step + j);                                                    \
            NMF_UNROLL for (int r = 0; r < tall; r++)                                                                  \
            {                                                                                                          \
                const NMF_REAL a = A[r * row_step + j * step];                                                         \
                NMF_UNROLL for (int v = 0; v < wide; v++) sum[r][v] += a * b[v];                                       \
                if (wide > 2 && r % 2 == 1)                                                                            \
                    NMF_IN_ORDER;                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        NMF_UNROLL for (int r = 0; r < tall; r++) NMF_UNROLL for (int v = 0; v < wide; v++)                            \
        {                                                                                                              \
            vector *c = (vector *)(C + r * ldc + v * (lanes));                                                         \
            if (mode == NMF_SET)                                                                                       \
                *c = sum[r][v];                                                                                        \
            else if (mode == NMF_ADD)                                                                                  \
                *c += sum[r][v];                                                                                       \
            else                                                                                                       \
                *c -= sum[r][v];                                                                                       \
        }                                                                                                              \
    }

NMF_TILE(NMF_NAME(tile_full), NMF_NAME(full), NMF_FULL)
#if NMF_LEVEL > 0
NMF_TILE(NMF_NAME(tile_half), NMF_NAME(half), NMF_HALF)
#endif
NMF_TILE(NMF_NAME(tile_one), NMF_REAL, 1)

#if NMF_LEVEL > 0
/* The same for eight rows and one and a half vectors: an entry of A is read once for both. Rows of A by two pointers and
 * two distances: eight distances do not fit into the registers. */
static NMF_TARGET NMF_INLINE void NMF_NAME(tile_mixed)(int mode, ptrdiff_t n, const NMF_REAL *A, ptrdiff_t row_step,
                                                       ptrdiff_t step, const NMF_REAL *B, ptrdiff_t ldb, NMF_REAL *C,
                                                       ptrdiff_t ldc)
{
    NMF_NAME(full) sum[NMF_MIXED];
    NMF_NAME(half) rest[NMF_MIXED];
    const ptrdiff_t one = row_step * (ptrdiff_t)sizeof(NMF_REAL), three = 3 * one;
    const char *upper = (const char *)A, *lower = (const char *)(A + 4 * row_step);
    NMF_UNROLL for (int r = 0; r < NMF_MIXED; r++)
    {
        sum[r] = (NMF_NAME(full)){0};
        rest[r] = (NMF_NAME(half)){0};
    }
    for (ptrdiff_t j = 0; j < n; j++) {
        const NMF_NAME(full) b = *(const NMF_NAME(full) *)B;
        const NMF_NAME(half) c = *(const NMF_NAME(half) *)(B + NMF_FULL);
        if (step == 1 && n >= NMF_LONG)
            NMF_PREFETCH(upper + (NMF_MIXED + j % NMF_MIXED) * one);
        NMF_UNROLL for (int r = 0; r < NMF_MIXED; r++)
        {
            const char *row = r < 4 ? upper : lower;
            const int d = r % 4;
            const NMF_REAL a = *(const NMF_REAL *)(row + (d == 3 ? three : d * one));
            sum[r] += a * b;
            rest[r] += a * c;
        }
        upper += step * (ptrdiff_t)sizeof(NMF_REAL);
        lower += step * (ptrdiff_t)sizeof(NMF_REAL);
        B += ldb;
    }
    NMF_UNROLL for (int r = 0; r < NMF_MIXED; r++)
    {
        NMF_NAME(full) *c = (NMF_NAME(full) *)(C + r * ldc);
        NMF_NAME(half) *d = (NMF_NAME(half) *)(C + r * ldc + NMF_FULL);
        if (mode == NMF_SET) {
            *c = sum[r];
            *d = rest[r];
        } else if (mode == NMF_ADD) {
            *c += sum[r];
            *d += rest[r];
        } else {
            *c -= sum[r];
            *d -= rest[r];
        }
    }
}
#endif

/* All rows of C for one panel of columns: tall tiles, then 4, then single rows. */
#define NMF_PANEL(tile, wide)                                                                                          \
    do {                                                                                                               \
        ptrdiff_t r = 0;                                                                                               \
        if (NMF_TALL == 8 && (wide) < 4)                                                                               \
            for (; r + 8 <= rows; r += 8)                                                                              \
                tile(8, wide, now, depth, A0 + r * row_step, row_step, step, B0 + w, ldb, C + r * ldc + w, ldc);       \
        for (; r + 4 <= rows; r += 4)                                                                                  \
            tile(4, wide, now, depth, A0 + r * row_step, row_step, step, B0 + w, ldb, C + r * ldc + w, ldc);           \
        for (; r < rows; r++)                                                                                          \
            tile(1, wide, now, depth, A0 + r * row_step, row_step, step, B0 + w, ldb, C + r * ldc + w, ldc);           \
    } while (0)

/* Whether panels may be three vectors wide: with 16 registers only where a multiply-add needs none for its product. */
#define NMF_THREE (NMF_TALL == 8 || NMF_LEVEL > 0)

/* A panel of C for a depth of at most NMF_DEPTH: C (rows x width) (now) A0 B0. */
static NMF_TARGET void NMF_NAME(panel)(int now, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t depth, const NMF_REAL *A0,
                                       ptrdiff_t row_step, ptrdiff_t step, const NMF_REAL *B0, ptrdiff_t ldb,
                                       NMF_REAL *C, ptrdiff_t ldc)
{
    ptrdiff_t w = 0;
#if NMF_LEVEL > 0
    if (width == NMF_FULL + NMF_HALF && rows >= NMF_MIXED) {
        ptrdiff_t r = 0;
        for (; r + NMF_MIXED <= rows; r += NMF_MIXED)
            NMF_NAME(tile_mixed)(now, depth, A0 + r * row_step, row_step, step, B0, ldb, C + r * ldc, ldc);
        A0 += r * row_step;
        C += r * ldc;
        rows -= r;
    }
#endif
    while (width - w >= NMF_FULL) {
        const ptrdiff_t vectors = (width - w) / NMF_FULL;
        if (NMF_TALL == 8 && rows <= 4 && vectors >= 4) {
            NMF_PANEL(NMF_NAME(tile_full), 4);
            w += 4 * NMF_FULL;
        } else if (NMF_THREE && (vectors == 3 || vectors > 4)) {
            NMF_PANEL(NMF_NAME(tile_full), 3);
            w += 3 * NMF_FULL;
        } else if (vectors >= 2) {
            NMF_PANEL(NMF_NAME(tile_full), 2);
            w += 2 * NMF_FULL;
        } else {
            NMF_PANEL(NMF_NAME(tile_full), 1);
            w += NMF_FULL;
        }
    }
#if NMF_LEVEL > 0
    if (width - w >= NMF_HALF) {
        NMF_PANEL(NMF_NAME(tile_half), 1);
        w += NMF_HALF;
    }
#endif
    for (; w < width; w++)
        NMF_PANEL(NMF_NAME(tile_one), 1);
}

/* C (rows x width) = / += / -= A (rows x n) B (n x width); A[r, j] lies at A[r * row_step + j * step].
 *
 * Where A is gone through across its rows in memory, at distances of which only a few sets of the first cache level come,
 * whole lines are copied first: they would drive each other out before they are used up. */
static NMF_TARGET void NMF_NAME(product)(int mode, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t n, const NMF_REAL *A,
                                         ptrdiff_t row_step, ptrdiff_t step, const NMF_REAL *B, ptrdiff_t ldb,
                                         NMF_REAL *C, ptrdiff_t ldc)
{
    enum { LINE = 64 / NMF_SIZE };
    NMF_REAL copy[LINE * NMF_DEPTH];
    ptrdiff_t j = 0;
    do {
        const ptrdiff_t depth = n - j < NMF_DEPTH ? n - j : NMF_DEPTH;
        const int now = (mode == NMF_SET && j > 0) ? NMF_ADD : mode;
        const NMF_REAL *A0 = A + j * step, *B0 = B + j * ldb;
        ptrdiff_t r = 0;
        if (row_step == 1 && step * NMF_SIZE % 512 == 0 && depth >= NMF_LONG && width >= NMF_FULL)
            for (; r + LINE <= rows; r += LINE) {
                for (ptrdiff_t i = 0; i < depth; i++)
                    memcpy(copy + i * LINE, A0 + r + i * step, LINE * sizeof(NMF_REAL));
                NMF_NAME(panel)(now, LINE, width, depth, copy, 1, LINE, B0, ldb, C + r * ldc, ldc);
            }
        if (r < rows)
            NMF_NAME(panel)(now, rows - r, width, depth, A0 + r * row_step, row_step, step, B0, ldb, C + r * ldc, ldc);
        j += NMF_DEPTH;
    } while (j < n);
}
#undef NMF_PANEL
#undef NMF_THREE

#if NMF_LEVEL > 0
#define NMF_HALF_VECTOR NMF_NAME(half)
#define NMF_HALF_LANES NMF_HALF
#else
#define NMF_HALF_VECTOR NMF_REAL
#define NMF_HALF_LANES 1
#endif

/* Calls a function for up to eight vectors, or less and a half one, which it gets as literals. */
#define NMF_BY_WIDTH(panel, into, vectors, tail, ...)                                                                  \
    switch (2 * (vectors) + (tail)) {                                                                                  \
    case 1: panel(into, 0, 1, __VA_ARGS__); break;                                                                     \
    case 2: panel(into, 1, 0, __VA_ARGS__); break;                                                                     \
    case 3: panel(into, 1, 1, __VA_ARGS__); break;                                                                     \
    case 4: panel(into, 2, 0, __VA_ARGS__); break;                                                                     \
    case 5: panel(into, 2, 1, __VA_ARGS__); break;                                                                     \
    case 6: panel(into, 3, 0, __VA_ARGS__); break;                                                                     \
    case 7: panel(into, 3, 1, __VA_ARGS__); break;                                                                     \
    case 8: panel(into, 4, 0, __VA_ARGS__); break;                                                                     \
    case 9: panel(into, 4, 1, __VA_ARGS__); break;                                                                     \
    case 10: panel(into, 5, 0, __VA_ARGS__); break;                                                                    \
    case 11: panel(into, 5, 1, __VA_ARGS__); break;                                                                    \
    case 12: panel(into, 6, 0, __VA_ARGS__); break;                                                                    \
    case 13: panel(into, 6, 1, __VA_ARGS__); break;                                                                    \
    case 14: panel(into, 7, 0, __VA_ARGS__); break;                                                                    \
    case 15: panel(into, 7, 1, __VA_ARGS__); break;                                                                    \
    case 16: panel(into, 8, 0, __VA_ARGS__); break;                                                                    \
    default: break;                                                                                                    \
    }

/* Sparse products. Row r of X holds the entries begin[r] to end[r]; R has a row for each row of X, G one for each of its
 * columns. Either R = X G, or, `into` G, G += X.T R; a row of R stays in registers while rows of G are read or written here and
 * there, where entries point. The processor does not foresee where: rows of entries to come are asked for, NMF_LINES
 * lines ahead. Of whole rows of X, one ending where the next begins, that is so many entries on (NMF_STRAIGHT); else a place
 * goes ahead (NMF_WALK), for what lies between the parts of two rows may belong to another thread. */
/* To the next row that holds entries; after the last one the place stays where it was. */
static NMF_TARGET NMF_INLINE void NMF_NAME(enter)(nmf_place *at, ptrdiff_t rows, const int64_t *begin,
                                                  const int64_t *end)
{
    do
        at->row++;
    while (at->row < rows && begin[at->row] == end[at->row]);
    if (at->row < rows) {
        at->entry = begin[at->row];
        at->stop = end[at->row];
    } else {
        at->row = rows;
        at->stop = at->entry--;
    }
}

/* So many entries after the first one. */
static NMF_TARGET NMF_INLINE nmf_place NMF_NAME(ahead)(ptrdiff_t left, ptrdiff_t rows, const int64_t *begin,
                                                       const int64_t *end)
{
    nmf_place at = {0, begin[0], end[0]};
    while (at.row < rows && left >= at.stop - at.entry) {
        left -= at.stop - at.entry;
        at.entry = at.stop;
        NMF_NAME(enter)(&at, rows, begin, end);
    }
    at.entry += at.row < rows ? left : 0;
    return at;
}

/* Some columns of the rows first to last. Unless `ask` is 0, the row of G of the entry at `ahead`, or `lead`
 * entries on, is asked for, with `more` bytes beyond these columns. */
static NMF_TARGET NMF_INLINE void NMF_NAME(sparse_panel)(
    const int into, const int wide, const int tail, const int ask, nmf_place *ahead, const ptrdiff_t lead,
    const ptrdiff_t more, ptrdiff_t first, ptrdiff_t last, ptrdiff_t rows, const NMF_REAL *data,
    const int32_t *indices, const int64_t *begin, const int64_t *end, NMF_REAL *G, ptrdiff_t ldg, NMF_REAL *R,
    ptrdiff_t ldr)
{
    const ptrdiff_t bytes = (wide * NMF_FULL + tail * NMF_HALF_LANES) * NMF_SIZE + more, limit = end[rows - 1];
    nmf_place at = *ahead;
    for (ptrdiff_t r = first; r < last; r++) {
        NMF_REAL *f = R + r * ldr;
        const ptrdiff_t stop = end[r], far = stop + lead <= limit ? lead : 0;
        NMF_NAME(full) row[8];
        NMF_HALF_VECTOR rest = (NMF_HALF_VECTOR){0};
        NMF_UNROLL for (int v = 0; v < wide; v++) row[v] =
            into ? *(const NMF_NAME(full) *)(f + v * NMF_FULL) : (NMF_NAME(full)){0};
        if (into && tail)
            rest = *(const NMF_HALF_VECTOR *)(f + wide * NMF_FULL);
        for (ptrdiff_t p = begin[r]; p < stop; p++) {
            const NMF_REAL x = data[p];
            NMF_REAL *g = G + (ptrdiff_t)indices[p] * ldg;
            if (ask) {
                const ptrdiff_t next = ask == NMF_STRAIGHT ? p + far : at.entry;
                const char *soon = (const char *)(G + (ptrdiff_t)indices[next] * ldg);
                NMF_UNROLL for (ptrdiff_t i = 0; i < bytes; i += 64) NMF_PREFETCH(soon + i);
                if (ask == NMF_WALK && ++at.entry == at.stop)
                    NMF_NAME(enter)(&at, rows, begin, end);
            }
            NMF_UNROLL for (int v = 0; v < wide; v++)
            {
                NMF_NAME(full) *some = (NMF_NAME(full) *)(g + v * NMF_FULL);
                if (into)
                    *some += x * row[v];
                else
                    row[v] += x * *some;
            }
            if (tail) {
                NMF_HALF_VECTOR *some = (NMF_HALF_VECTOR *)(g + wide * NMF_FULL);
                if (into)
                    *some += x * rest;
                else
                    rest += x * *some;
            }
        }
        if (!into)
            NMF_UNROLL for (int v = 0; v < wide; v++) *(NMF_NAME(full) *)(f + v * NMF_FULL) = row[v];
        if (!into && tail)
            *(NMF_HALF_VECTOR *)(f + wide * NMF_FULL) = rest;
    }
    if (ask == NMF_WALK)
        *ahead = at;
}

/* All rows of X at once if those of G are narrow, else one by one: a row of G is used up while it is near. */
static NMF_TARGET NMF_INLINE void NMF_NAME(sparse)(
    const int into, const int ask, ptrdiff_t rows, ptrdiff_t width, const NMF_REAL *data, const int32_t *indices,
    const int64_t *begin, const int64_t *end, NMF_REAL *G, ptrdiff_t ldg, NMF_REAL *R, ptrdiff_t ldr)
{
    const ptrdiff_t panel = 8 * NMF_FULL, whole = width / NMF_FULL;
    const int tail = width - whole * NMF_FULL >= NMF_HALF_LANES;
    const ptrdiff_t done = whole * NMF_FULL + tail * NMF_HALF_LANES;
    const ptrdiff_t lead = NMF_LINES / ((width * NMF_SIZE + 63) / 64);
    nmf_place at = {0, 0, 0};
    if (rows == 0)
        return;
    if (ask == NMF_WALK)
        at = NMF_NAME(ahead)(lead, rows, begin, end);
    if (done <= panel)
        NMF_BY_WIDTH(NMF_NAME(sparse_panel), into, whole, tail, ask, &at, lead, 0, 0, rows, rows, data,
                     indices, begin, end, G, ldg, R, ldr)
    else
        for (ptrdiff_t r = 0; r < rows; r++) {
            NMF_NAME(sparse_panel)(into, 8, 0, ask, &at, lead, (done - panel) * NMF_SIZE, r, r + 1, rows,
                                   data, indices, begin, end, G, ldg, R, ldr);
            for (ptrdiff_t w = panel; w < done; w += panel) {
                const ptrdiff_t left = (done - w) / NMF_FULL;
                NMF_BY_WIDTH(NMF_NAME(sparse_panel), into, left < 8 ? left : 8, left < 8 && tail, 0, &at, 0,
                             0, r, r + 1, rows, data, indices, begin, end, G + w, ldg, R + w, ldr)
            }
        }
    for (ptrdiff_t r = 0; r < rows && done < width; r++)
        for (ptrdiff_t w = done; w < width; w++) {
            NMF_REAL sum = 0;
            for (ptrdiff_t p = begin[r]; p < end[r]; p++)
                if (into)
                    G[(ptrdiff_t)indices[p] * ldg + w] += data[p] * R[r * ldr + w];
                else
                    sum += data[p] * G[(ptrdiff_t)indices[p] * ldg + w];
            if (!into)
                R[r * ldr + w] = sum;
        }
}

/* C (rows x width) = X B, of whole rows of X. */
static NMF_TARGET void NMF_NAME(gather)(ptrdiff_t rows, ptrdiff_t width, const NMF_REAL *data,
                                        const int32_t *indices, const int64_t *indptr, const NMF_REAL *B,
                                        ptrdiff_t ldb, NMF_REAL *C, ptrdiff_t ldc)
{
    NMF_NAME(sparse)(0, NMF_STRAIGHT, rows, width, data, indices, indptr, indptr + 1, (NMF_REAL *)B, ldb, C,
                     ldc);
}

/* S (columns x width) += X.T F. */
static NMF_TARGET void NMF_NAME(scatter)(ptrdiff_t rows, ptrdiff_t width, const NMF_REAL *data,
                                         const int32_t *indices, const int64_t *begin, const int64_t *end,
                                         const NMF_REAL *F, ptrdiff_t ldf, NMF_REAL *S, ptrdiff_t lds)
{
    if (end == begin + 1)
        NMF_NAME(sparse)(1, NMF_STRAIGHT, rows, width, data, indices, begin, end, S, lds, (NMF_REAL *)F,
                         ldf);
    else
        NMF_NAME(sparse)(1, NMF_WALK, rows, width, data, indices, begin, end, S, lds, (NMF_REAL *)F, ldf);
}

/* y[0:count] = f . B[index] for entries of one row, in double and in four chains; `last` entries follow the first. */
static NMF_TARGET void NMF_NAME(double_dots)(ptrdiff_t count, ptrdiff_t last, ptrdiff_t k, const int32_t *indices,
                                             const NMF_REAL *f, const NMF_REAL *B, ptrdiff_t ldb, double *y)
{
    for (ptrdiff_t p = 0; p < count; p++) {
        const NMF_REAL *b = B + (ptrdiff_t)indices[p] * ldb;
        double sum[4] = {0, 0, 0, 0};
        ptrdiff_t c = 0;
        if (p + NMF_AHEAD < last) {
            const char *soon = (const char *)(B + (ptrdiff_t)indices[p + NMF_AHEAD] * ldb);
            NMF_PREFETCH(soon);
            NMF_PREFETCH(soon + 64);
        }
        for (; c + 4 <= k; c += 4)
            NMF_UNROLL for (int i = 0; i < 4; i++) sum[i] += (double)f[c + i] * (double)b[c + i];
        for (; c < k; c++)
            sum[0] += (double)f[c] * (double)b[c];
        y[p] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
}

/* Coordinates order[0:count] of a tile of WIDE vectors of rows (P, Q, V, active: k x tile and tile numbers):
 *
 *     p_c <- max(0, p_c + (q_c - l1 - (gram p)_c) / gram_cc),   V += gram_cc * step^2
 *
 * in turn. The gradients of all of them are one product of matrices, kept in registers and corrected for the steps of
 * the coordinates before. With active == NULL all rows move.
 */
static NMF_TARGET NMF_INLINE void NMF_NAME(descend_count)(const int count, ptrdiff_t k, const int *order,
                                                          const NMF_REAL *gram, NMF_REAL *P, const NMF_REAL *Q,
                                                          NMF_REAL l1, NMF_REAL *V, const NMF_REAL *active)
{
    NMF_NAME(full) minus[NMF_GROUP][NMF_WIDE], step[NMF_WIDE], p[NMF_WIDE], squares[NMF_WIDE];
    const NMF_REAL *A[NMF_GROUP];
    NMF_UNROLL for (int i = 0; i < count; i++) A[i] = gram + order[i] * k;
    NMF_UNROLL for (int i = 0; i < count; i++) NMF_UNROLL for (int v = 0; v < NMF_WIDE; v++)
        minus[i][v] = NMF_VEC(Q, order[i], v) - l1;
    for (ptrdiff_t l = 0; l < k; l++) {
        NMF_UNROLL for (int v = 0; v < NMF_WIDE; v++) p[v] = NMF_VEC(P, l, v);
        NMF_UNROLL for (int i = 0; i < count; i++)
        {
            const NMF_REAL a = A[i][l];
            NMF_UNROLL for (int v = 0; v < NMF_WIDE; v++) minus[i][v] -= a * p[v];
        }
    }
    NMF_UNROLL for (int v = 0; v < NMF_WIDE; v++) squares[v] = NMF_VEC(V, 0, v);
    NMF_UNROLL for (int i = 0; i < count; i++)
    {
        const ptrdiff_t c = order[i];
        const NMF_REAL d = A[i][c];
        if (d == 0) {
            /* The partner is all zero, so the component does not change the fit: it stays, or goes to zero if a penalty
             * pulls. Nothing else depends on it. */
            for (int s = 0; s < NMF_WIDE * NMF_FULL; s++)
                if (l1 > 0 && (active == NULL || active[s] != 0))
                    P[c * NMF_WIDE * NMF_FULL + s] = 0;
        } else {
            const NMF_REAL inverse = 1 / d;
            NMF_UNROLL for (int v = 0; v < NMF_WIDE; v++)
            {
                const NMF_NAME(full) old = NMF_VEC(P, c, v);
                const NMF_NAME(full) new = old + minus[i][v] * inverse;
                step[v] = NMF_POSITIVE(new, NMF_NAME(bits)) - old;
                if (active != NULL)
                    step[v] *= NMF_VEC(active, 0, v);
                NMF_VEC(P, c, v) = old + step[v];
                squares[v] += step[v] * step[v] * d;
            }
            NMF_UNROLL for (int j = i + 1; j < count; j++)
            {
                const NMF_REAL a = A[j][c];
                NMF_UNROLL for (int v = 0; v < NMF_WIDE; v++) minus[j][v] -= a * step[v];
            }
        }
    }
    NMF_UNROLL for (int v = 0; v < NMF_WIDE; v++) NMF_VEC(V, 0, v) = squares[v];
}

/* All coordinates of `order`, NMF_GROUP at a time. */
static NMF_TARGET void NMF_NAME(descend)(ptrdiff_t n_order, ptrdiff_t k, const int *order, const NMF_REAL *gram,
                                         NMF_REAL *P, const NMF_REAL *Q, NMF_REAL l1, NMF_REAL *V,
                                         const NMF_REAL *active)
{
    for (; n_order >= NMF_GROUP; n_order -= NMF_GROUP, order += NMF_GROUP)
        NMF_NAME(descend_count)(NMF_GROUP, k, order, gram, P, Q, l1, V, active);
    switch (n_order) {
    case 1: NMF_NAME(descend_count)(1, k, order, gram, P, Q, l1, V, active); break;
    case 2: NMF_NAME(descend_count)(2, k, order, gram, P, Q, l1, V, active); break;
    case 3: NMF_NAME(descend_count)(3, k, order, gram, P, Q, l1, V, active); break;
    default: break;
    }
}

/* The inner product of two arrays: four chains of vectors, halved until they can be added in double. */
static NMF_TARGET double NMF_NAME(dot)(ptrdiff_t n, const NMF_REAL *a, const NMF_REAL *b)
{
    NMF_NAME(full) sums[4] = {{0}};
    NMF_REAL lanes[NMF_FULL];
    double sum = 0;
    ptrdiff_t i = 0;
    for (; i + 4 * NMF_FULL <= n; i += 4 * NMF_FULL)
        NMF_UNROLL for (int j = 0; j < 4; j++)
            sums[j] += *(const NMF_NAME(full) *)(a + i + j * NMF_FULL) * *(const NMF_NAME(full) *)(b + i + j * NMF_FULL);
    *(NMF_NAME(full) *)lanes = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (int half = NMF_FULL / 2; half >= 4; half /= 2)
        NMF_UNROLL for (int j = 0; j < half; j++) lanes[j] += lanes[j + half];
    for (int j = 0; j < (NMF_FULL < 4 ? NMF_FULL : 4); j++)
        sum += lanes[j];
    for (; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}
