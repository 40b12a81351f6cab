/* Vectors of one precision at one instruction-set level (see variant.h): their parts, and copies of rows. */

#define NMF_BITS(v) ((NMF_NAME(bits))(v))
#define NMF_FROM_BITS(v) ((NMF_NAME(full))(v))
/* a in lanes where the condition holds, b in the others */
#define NMF_SELECT(condition, a, b) NMF_FROM_BITS(((condition) & NMF_BITS(a)) | (~(condition) & NMF_BITS(b)))
#define NMF_LOAD(array, p) (*(const NMF_NAME(full) *)((array) + (p) * NMF_FULL))
#define NMF_STORE(array, p) (*(NMF_NAME(full) *)((array) + (p) * NMF_FULL))
#if NMF_SIZE == 4
#define NMF_TINY FLT_MIN
#define NMF_HUGE FLT_MAX
#else
#define NMF_TINY DBL_MIN
#define NMF_HUGE DBL_MAX
#endif

/* All lanes the same. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(splat)(NMF_REAL a)
{
    return a - (NMF_NAME(full)){0};
}

/* The sum of all lanes, in halves. */
static NMF_TARGET NMF_INLINE NMF_REAL NMF_NAME(lane_sum)(NMF_NAME(full) v)
{
#if NMF_LEVEL == 2 && NMF_SIZE == 4
    return _mm512_reduce_add_ps((__m512)v);
#elif NMF_LEVEL == 2
    return _mm512_reduce_add_pd((__m512d)v);
#else
    NMF_REAL lanes[NMF_FULL];
    *(NMF_NAME(full) *)lanes = v;
    for (int half = NMF_FULL / 2; half > 0; half /= 2)
        NMF_UNROLL for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
#endif
}

/* The larger of each pair; b where a is NaN. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(larger)(NMF_NAME(full) a, NMF_NAME(full) b)
{
#if NMF_LEVEL == 2 && NMF_SIZE == 4
    return (NMF_NAME(full))_mm512_max_ps((__m512)a, (__m512)b);
#elif NMF_LEVEL == 2
    return (NMF_NAME(full))_mm512_max_pd((__m512d)a, (__m512d)b);
#elif NMF_LEVEL == 1 && NMF_SIZE == 4
    return (NMF_NAME(full))_mm256_max_ps((__m256)a, (__m256)b);
#elif NMF_LEVEL == 1
    return (NMF_NAME(full))_mm256_max_pd((__m256d)a, (__m256d)b);
#else
    return NMF_SELECT(a > b, a, b);
#endif
}

/* 1 / y for normal y, within an ulp or two: AVX-512 has approximations good to 14 bits, each step doubles them. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(reciprocal)(NMF_NAME(full) y)
{
#if NMF_LEVEL == 2 && NMF_SIZE == 4
    const NMF_NAME(full) r = (NMF_NAME(full))_mm512_rcp14_ps((__m512)y);
    return r + r * (1 - y * r);
#elif NMF_LEVEL == 2
    NMF_NAME(full) r = (NMF_NAME(full))_mm512_rcp14_pd((__m512d)y);
    r += r * (1 - y * r);
    return r + r * (1 - y * r);
#else
    return 1 / y;
#endif
}

/* Interleave the low or the high halves of two vectors. */
#if NMF_BYTES / NMF_SIZE == 16
#define NMF_LOW(a, b) NMF_SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define NMF_HIGH(a, b) NMF_SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif NMF_BYTES / NMF_SIZE == 8
#define NMF_LOW(a, b) NMF_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define NMF_HIGH(a, b) NMF_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif NMF_BYTES / NMF_SIZE == 4
#define NMF_LOW(a, b) NMF_SHUFFLE(a, b, 0, 4, 1, 5)
#define NMF_HIGH(a, b) NMF_SHUFFLE(a, b, 2, 6, 3, 7)
#elif NMF_BYTES / NMF_SIZE == 2
#define NMF_LOW(a, b) NMF_SHUFFLE(a, b, 0, 2)
#define NMF_HIGH(a, b) NMF_SHUFFLE(a, b, 1, 3)
#endif
/* The same for every four lanes by themselves. */
#if NMF_BYTES / NMF_SIZE == 16
#define NMF_LOW4(a, b) NMF_SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define NMF_HIGH4(a, b) NMF_SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#elif NMF_BYTES / NMF_SIZE == 8
#define NMF_LOW4(a, b) NMF_SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define NMF_HIGH4(a, b) NMF_SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#endif
#if NMF_BYTES / NMF_SIZE > 4
/* Strips of FULL x 4 numbers: vector i holds rows i, i + 4, ... of four numbers each, so four rows transpose lane by lane
 * in two interleavings and come out as columns. */
static NMF_TARGET NMF_INLINE void NMF_NAME(interleave)(NMF_NAME(full) rows[4])
{
    const NMF_NAME(full) a = NMF_LOW4(rows[0], rows[2]), b = NMF_LOW4(rows[1], rows[3]);
    const NMF_NAME(full) c = NMF_HIGH4(rows[0], rows[2]), d = NMF_HIGH4(rows[1], rows[3]);
    rows[0] = NMF_LOW4(a, b);
    rows[1] = NMF_HIGH4(a, b);
    rows[2] = NMF_LOW4(c, d);
    rows[3] = NMF_HIGH4(c, d);
}

/* to (4 x FULL) = from (FULL x 4) transposed. */
static NMF_TARGET NMF_INLINE void NMF_NAME(transpose_down)(const NMF_REAL *from, ptrdiff_t ldf, NMF_REAL *to, ptrdiff_t ldt)
{
    NMF_NAME(full) rows[4];
    NMF_UNROLL for (int i = 0; i < 4; i++) NMF_UNROLL for (int j = 0; j < NMF_FULL / 4; j++)
        memcpy((NMF_REAL *)&rows[i] + 4 * j, from + (i + 4 * j) * ldf, 4 * sizeof(NMF_REAL));
    NMF_NAME(interleave)(rows);
    NMF_UNROLL for (int i = 0; i < 4; i++) *(NMF_NAME(full) *)(to + i * ldt) = rows[i];
}

/* to (FULL x 4) = from (4 x FULL) transposed. */
static NMF_TARGET NMF_INLINE void NMF_NAME(transpose_up)(const NMF_REAL *from, ptrdiff_t ldf, NMF_REAL *to, ptrdiff_t ldt)
{
    NMF_NAME(full) rows[4];
    NMF_UNROLL for (int i = 0; i < 4; i++) rows[i] = *(const NMF_NAME(full) *)(from + i * ldf);
    NMF_NAME(interleave)(rows);
    NMF_UNROLL for (int i = 0; i < 4; i++) NMF_UNROLL for (int j = 0; j < NMF_FULL / 4; j++)
        memcpy(to + (i + 4 * j) * ldt, (const NMF_REAL *)&rows[i] + 4 * j, 4 * sizeof(NMF_REAL));
}
#endif
/* A square of FULL x FULL numbers is transposed in registers: log2(FULL) perfect shuffles. */
static NMF_TARGET NMF_INLINE void NMF_NAME(transpose_registers)(NMF_NAME(full) rows[NMF_FULL])
{
    NMF_NAME(full) next[NMF_FULL];
    NMF_UNROLL16 for (int stage = 1; stage < NMF_FULL; stage *= 2)
    {
        NMF_UNROLL16 for (int i = 0; i < NMF_FULL / 2; i++)
        {
            next[2 * i] = NMF_LOW(rows[i], rows[i + NMF_FULL / 2]);
            next[2 * i + 1] = NMF_HIGH(rows[i], rows[i + NMF_FULL / 2]);
        }
        NMF_UNROLL16 for (int i = 0; i < NMF_FULL; i++) rows[i] = next[i];
    }
}

static NMF_TARGET NMF_INLINE void NMF_NAME(transpose_square)(const NMF_REAL *from, ptrdiff_t ldf, NMF_REAL *to,
                                                             ptrdiff_t ldt)
{
    NMF_NAME(full) rows[NMF_FULL];
    NMF_UNROLL16 for (int i = 0; i < NMF_FULL; i++) rows[i] = *(const NMF_NAME(full) *)(from + i * ldf);
    NMF_NAME(transpose_registers)(rows);
    NMF_UNROLL16 for (int i = 0; i < NMF_FULL; i++) *(NMF_NAME(full) *)(to + i * ldt) = rows[i];
}

/* to (columns x FULL) = the transpose of FULL rows of so many numbers, wherever they lie. */
static NMF_TARGET NMF_INLINE void NMF_NAME(transpose_rows)(ptrdiff_t columns, const NMF_REAL *const *from, NMF_REAL *to,
                                                           ptrdiff_t ldt)
{
    ptrdiff_t c = 0;
    for (; c + NMF_FULL <= columns; c += NMF_FULL) {
        NMF_NAME(full) rows[NMF_FULL];
        NMF_UNROLL16 for (int i = 0; i < NMF_FULL; i++) rows[i] = *(const NMF_NAME(full) *)(from[i] + c);
        NMF_NAME(transpose_registers)(rows);
        NMF_UNROLL16 for (int i = 0; i < NMF_FULL; i++) *(NMF_NAME(full) *)(to + (c + i) * ldt) = rows[i];
    }
#if NMF_BYTES / NMF_SIZE > 4
    for (; c + 4 <= columns; c += 4) {
        NMF_NAME(full) rows[4];
        NMF_UNROLL for (int i = 0; i < 4; i++) NMF_UNROLL for (int j = 0; j < NMF_FULL / 4; j++)
            memcpy((NMF_REAL *)&rows[i] + 4 * j, from[i + 4 * j] + c, 4 * sizeof(NMF_REAL));
        NMF_NAME(interleave)(rows);
        NMF_UNROLL for (int i = 0; i < 4; i++) *(NMF_NAME(full) *)(to + (c + i) * ldt) = rows[i];
    }
#endif
    for (; c < columns; c++)
        NMF_UNROLL16 for (int i = 0; i < NMF_FULL; i++) to[c * ldt + i] = from[i][c];
}

/* to (columns x rows) = from (rows x columns) transposed: squares, then strips of four, then smaller squares of the level
 * below. */
static NMF_TARGET void NMF_NAME(transpose)(ptrdiff_t rows, ptrdiff_t columns, const NMF_REAL *from, ptrdiff_t ldf,
                                           NMF_REAL *to, ptrdiff_t ldt)
{
    ptrdiff_t down = rows / NMF_FULL * NMF_FULL, across = columns / NMF_FULL * NMF_FULL;
    for (ptrdiff_t i = 0; i < down; i += NMF_FULL)
        for (ptrdiff_t j = 0; j < across; j += NMF_FULL)
            NMF_NAME(transpose_square)(from + i * ldf + j, ldf, to + j * ldt + i, ldt);
#if NMF_BYTES / NMF_SIZE > 4
    const ptrdiff_t full_down = down, full_across = across;
    if (full_down > 0)
        for (; across + 4 <= columns; across += 4)
            for (ptrdiff_t i = 0; i < full_down; i += NMF_FULL)
                NMF_NAME(transpose_down)(from + i * ldf + across, ldf, to + across * ldt + i, ldt);
    if (full_across == columns)
        for (; down + 4 <= rows; down += 4)
            for (ptrdiff_t j = 0; j < full_across; j += NMF_FULL)
                NMF_NAME(transpose_up)(from + down * ldf + j, ldf, to + j * ldt + down, ldt);
#endif
#if NMF_LEVEL > 0
    if (down > 0 && across < columns)
        NMF_BELOW.transpose(down, columns - across, from + across, ldf, to + across * ldt, ldt);
    if (down < rows)
        NMF_BELOW.transpose(rows - down, columns, from + down * ldf, ldf, to + down, ldt);
#else
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = i < down ? across : 0; j < columns; j++)
            to[j * ldt + i] = from[i * ldf + j];
#endif
}

/* F_new = F, F = max(least F, F + momentum (F - previous * scale)) for rows of ld numbers; previous may be F_new. */
static NMF_TARGET void NMF_NAME(extrapolate)(ptrdiff_t rows, ptrdiff_t ld, NMF_REAL momentum, NMF_REAL least,
                                             const NMF_REAL *scale, const NMF_REAL *previous, NMF_REAL *F_new,
                                             NMF_REAL *F)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        ptrdiff_t w = r * ld;
        const ptrdiff_t end = w + ld;
        for (; w + NMF_FULL <= end; w += NMF_FULL) {
            const NMF_NAME(full) new = *(const NMF_NAME(full) *)(F + w);
            const NMF_NAME(full) was =
                *(const NMF_NAME(full) *)(previous + w) * *(const NMF_NAME(full) *)(scale + w - r * ld);
            const NMF_NAME(full) ahead = new + momentum * (new - was);
            *(NMF_NAME(full) *)(F_new + w) = new;
            *(NMF_NAME(full) *)(F + w) = least * new + NMF_POSITIVE(ahead - least * new, NMF_NAME(bits));
        }
        for (; w < end; w++) {
            const NMF_REAL new = F[w], ahead = new + momentum * (new - previous[w] * scale[w - r * ld]);
            F_new[w] = new;
            F[w] = least * new + (ahead > least * new ? ahead - least * new : 0);
        }
    }
}
