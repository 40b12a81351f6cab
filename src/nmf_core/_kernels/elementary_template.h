/* Elementary functions of vectors, for one precision at one instruction-set level (see variant.h). */

static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(root)(NMF_NAME(full) y)
{
#if NMF_LEVEL == 2 && NMF_SIZE == 4
    /* A third of the time of the instruction for roots: y / sqrt y from an estimate and a step of Newton's method, and zero
     * where the estimate would be infinite. */
    y = (NMF_NAME(full))_mm512_min_ps(_mm512_set1_ps(NMF_HUGE), (__m512)y);
    const __mmask16 some = _mm512_cmp_ps_mask((__m512)y, _mm512_set1_ps(NMF_TINY), _CMP_GE_OQ);
    const NMF_NAME(full) r = (NMF_NAME(full))_mm512_maskz_rsqrt14_ps(some, (__m512)y), s = y * r;
    return s + (NMF_REAL)0.5 * r * (y - s * s);
#elif NMF_LEVEL == 2
    return (NMF_NAME(full))_mm512_sqrt_pd((__m512d)y);
#elif NMF_LEVEL == 1 && NMF_SIZE == 4
    return (NMF_NAME(full))_mm256_sqrt_ps((__m256)y);
#elif NMF_LEVEL == 1
    return (NMF_NAME(full))_mm256_sqrt_pd((__m256d)y);
#elif defined(__aarch64__) && NMF_SIZE == 4
    return (NMF_NAME(full))vsqrtq_f32((float32x4_t)y);
#elif defined(__aarch64__)
    return (NMF_NAME(full))vsqrtq_f64((float64x2_t)y);
#else
    NMF_REAL lanes[NMF_FULL];
    *(NMF_NAME(full) *)lanes = y;
    for (int i = 0; i < NMF_FULL; i++)
        lanes[i] = (NMF_REAL)sqrt(lanes[i]);
    return *(const NMF_NAME(full) *)lanes;
#endif
}

/* log t for normal t > 0. With t = 2^e m, m between 1 / sqrt 2 and sqrt 2, it is e log 2 + 2 artanh(s) with
 * s = (m - 1) / (m + 1), at most 0.172; so few terms of the series do. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(logarithm)(NMF_NAME(full) t)
{
#if NMF_SIZE == 4
    const NMF_NAME(bits) u = NMF_BITS(t) + (0x3f800000 - 0x3f3504f3);
    const NMF_NAME(full) e = __builtin_convertvector((u >> 23) - 127, NMF_NAME(full));
    const NMF_NAME(full) f = NMF_FROM_BITS((u & 0x007fffff) + 0x3f3504f3) - 1;
    const NMF_NAME(full) s = f * NMF_NAME(reciprocal)(2 + f), z = s * s;
    const NMF_NAME(full) tail = z * (1.0f / 3 + z * (1.0f / 5 + z * (1.0f / 7 + z * (1.0f / 9))));
    return e * 0.693147180559945309f + (2 * s + 2 * s * tail);
#else
    const NMF_NAME(bits) u = NMF_BITS(t) + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
    /* a small integer becomes a number by way of the bits of 1.5 * 2^52 */
    const NMF_NAME(full) e = NMF_FROM_BITS((u >> 52) - 1023 + 0x4338000000000000) - 6755399441055744.0;
    const NMF_NAME(full) f = NMF_FROM_BITS((u & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1;
    const NMF_NAME(full) s = f * NMF_NAME(reciprocal)(2 + f), z = s * s;
    NMF_NAME(full) tail = NMF_NAME(splat)(1.0 / 21);
    NMF_UNROLL16 for (int i = 19; i >= 3; i -= 2) tail = tail * z + 1.0 / i;
    return e * 0.693147180559945309417 + (2 * s + 2 * s * (tail * z));
#endif
}

/* exp v, cut off where it would not be a normal number: 2^n exp(r) with |r| at most log(2) / 2, by its series. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(exponential)(NMF_NAME(full) v)
{
#if NMF_SIZE == 4
    const NMF_REAL most = 87, round = 12582912.0f, high = 0.693359375f, low = -2.12194440e-4f;
    const int terms = 7, shift = 23;
#else
    const NMF_REAL most = 708, round = 6755399441055744.0, high = 0.693147180369123816490, low = 1.90821492927058770002e-10;
    const int terms = 13, shift = 52;
#endif
    v = NMF_NAME(larger)(v, NMF_NAME(splat)(-most));
    v = -NMF_NAME(larger)(-v, NMF_NAME(splat)(-most));
    const NMF_NAME(full) shifted = v * (NMF_REAL)1.44269504088896340736 + round, n = shifted - round;
    const NMF_NAME(full) r = (v - n * high) - n * low;
    NMF_NAME(full) sum = NMF_NAME(splat)(1);
    NMF_UNROLL16 for (int i = terms; i >= 1; i--) sum = sum * r * ((NMF_REAL)1 / i) + 1;
    return NMF_FROM_BITS(NMF_BITS(sum) + (NMF_BITS(shifted) << shift));
}

/* y^power: by roots where that does. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(power)(NMF_NAME(full) y, NMF_REAL power)
{
    if (power == (NMF_REAL)0.5)
        return NMF_NAME(root)(y);
    if (power == (NMF_REAL)1.5)
        return y * NMF_NAME(root)(y);
    return NMF_NAME(exponential)(power * NMF_NAME(logarithm)(y));
}

/* y^(beta - 1), the denominator of the gradient of the beta-divergence, without X; y for beta = 1, where it is 1. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(model_den)(NMF_REAL beta, NMF_NAME(full) model)
{
    if (beta == 0)
        return NMF_NAME(reciprocal)(model);
    if (beta == (NMF_REAL)0.5)
        return NMF_NAME(reciprocal)(NMF_NAME(root)(model));
    if (beta == 1 || beta == 2)
        return model;
    return NMF_NAME(power)(model, beta - 1);
}

/* Both parts of the gradient of the beta-divergence for a vector of entries with y at least `floor`: the numerator
 * T = x y^(beta - 2) and, in place of y, the denominator y^(beta - 1) (y stays for beta = 1, where that is 1).
 * NMF_MODEL: the denominator alone; x and T are not touched. Returns what the entries add to the divergence, up to what
 * x alone adds: what belongs to both parts, to the denominator (NMF_MODEL) or to the numerator (NMF_EXCESS); of beta = 0
 * and 1, which need a logarithm, only with `measure`. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(vector_parts)(int part, int measure, NMF_REAL beta,
                                                                   NMF_NAME(full) floor, const NMF_REAL *x, NMF_REAL *y,
                                                                   NMF_REAL *T)
{
    const NMF_NAME(full) zero = {0}, model = NMF_NAME(larger)(NMF_LOAD(y, 0), floor);
    NMF_NAME(full) worth = zero;
    if (beta == 1) {
        const NMF_NAME(full) ratio = NMF_LOAD(x, 0) * NMF_NAME(reciprocal)(model);
        NMF_STORE(T, 0) = ratio;
        if (measure)
            worth = NMF_LOAD(x, 0) * (NMF_NAME(logarithm)(NMF_NAME(larger)(ratio, NMF_NAME(splat)(NMF_TINY))) - 1);
        if (part == NMF_LOSS)
            worth += model;
        return worth;
    }
    const NMF_NAME(full) den = NMF_NAME(model_den)(beta, model);
    NMF_STORE(y, 0) = den;
    if (part != NMF_EXCESS && beta != 0)
        worth = model * den * (1 / beta);
    if (part == NMF_MODEL)
        return worth;
    NMF_NAME(full) num = NMF_LOAD(x, 0);
    if (beta == (NMF_REAL)1.5)
        num *= NMF_NAME(reciprocal)(den);
    else if (beta != 2)
        num *= den * NMF_NAME(reciprocal)(model);
    NMF_STORE(T, 0) = num;
    if (beta == 0) {
        if (measure)
            worth = NMF_NAME(logarithm)(model) + model * num;
        return worth;
    }
    return worth - model * num * (1 / (beta - 1));
}

static NMF_TARGET void NMF_NAME(entry_parts)(int part, double beta, double floor, ptrdiff_t count, const NMF_REAL *x,
                                             NMF_REAL *y, NMF_REAL *T, double *sum)
{
    const NMF_NAME(full) least = NMF_NAME(splat)((NMF_REAL)floor);
    const int measure = sum != NULL;
    NMF_NAME(full) total = {0};
    ptrdiff_t p = 0;
    for (; p + NMF_FULL <= count; p += NMF_FULL)
        total += NMF_NAME(vector_parts)(part, measure, (NMF_REAL)beta, least, x + p, y + p, T + p);
    double rest = 0;
    if (p < count) {
        /* Lanes beyond the last entry: 0 in X, 1 in the model. */
        NMF_REAL last[3][NMF_FULL], worth[NMF_FULL];
        for (ptrdiff_t i = 0; i < NMF_FULL; i++) {
            last[0][i] = 0;
            last[1][i] = 1;
        }
        if (part != NMF_MODEL)
            memcpy(last[0], x + p, (count - p) * sizeof(NMF_REAL));
        memcpy(last[1], y + p, (count - p) * sizeof(NMF_REAL));
        NMF_STORE(worth, 0) = NMF_NAME(vector_parts)(part, measure, (NMF_REAL)beta, least, last[0], last[1], last[2]);
        memcpy(y + p, last[1], (count - p) * sizeof(NMF_REAL));
        if (part != NMF_MODEL)
            memcpy(T + p, last[2], (count - p) * sizeof(NMF_REAL));
        for (ptrdiff_t i = 0; i < count - p; i++)
            rest += worth[i];
    }
    if (measure)
        *sum += NMF_NAME(lane_sum)(total) + rest;
}

/* The first few numbers of an array, a vector at most, and zeros. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(load_some)(const NMF_REAL *from, ptrdiff_t count)
{
    if (count >= NMF_FULL)
        return NMF_LOAD(from, 0);
#if NMF_LEVEL == 2 && NMF_SIZE == 4
    return (NMF_NAME(full))_mm512_maskz_loadu_ps((__mmask16)((1 << count) - 1), from);
#elif NMF_LEVEL == 2
    return (NMF_NAME(full))_mm512_maskz_loadu_pd((__mmask8)((1 << count) - 1), from);
#else
    NMF_REAL lanes[NMF_FULL] = {0};
    for (ptrdiff_t i = 0; i < count; i++)
        lanes[i] = from[i];
    return *(const NMF_NAME(full) *)lanes;
#endif
}

/* to[0:count] += v, for the first few numbers of a vector. */
static NMF_TARGET NMF_INLINE void NMF_NAME(add_some)(NMF_REAL *to, ptrdiff_t count, NMF_NAME(full) v)
{
#if NMF_LEVEL == 2 && NMF_SIZE == 4
    _mm512_mask_storeu_ps(to, (__mmask16)((1 << count) - 1), (__m512)(NMF_NAME(load_some)(to, count) + v));
#elif NMF_LEVEL == 2
    _mm512_mask_storeu_pd(to, (__mmask8)((1 << count) - 1), (__m512d)(NMF_NAME(load_some)(to, count) + v));
#else
    NMF_REAL lanes[NMF_FULL];
    NMF_STORE(lanes, 0) = v;
    for (ptrdiff_t i = 0; i < count; i++)
        to[i] += lanes[i];
#endif
}

/* The model of two vectors of items and of `tall` partners, a literal: Y (partners x two vectors) takes its denominators;
 * what it adds to the divergence times beta goes to total. */
static NMF_TARGET NMF_INLINE void NMF_NAME(model_tile)(const int tall, NMF_REAL beta, int by_partner, const NMF_REAL *floors,
                                                       const NMF_NAME(full) *floor, ptrdiff_t k, const NMF_REAL *G,
                                                       ptrdiff_t ldg, const NMF_REAL *P, ptrdiff_t ldp, NMF_REAL *Y,
                                                       NMF_NAME(full) *total)
{
    NMF_NAME(full) y[4][2];
    NMF_UNROLL for (int j = 0; j < tall; j++) y[j][0] = y[j][1] = (NMF_NAME(full)){0};
    NMF_UNROLL1 for (ptrdiff_t c = 0; c < k; c++) {
        const NMF_NAME(full) p[2] = {NMF_LOAD(P + c * ldp, 0), NMF_LOAD(P + c * ldp, 1)};
        NMF_UNROLL for (int j = 0; j < tall; j++)
        {
            const NMF_REAL g = G[j * ldg + c];
            NMF_UNROLL for (int v = 0; v < 2; v++) y[j][v] += g * p[v];
        }
    }
    NMF_UNROLL for (int j = 0; j < tall; j++) NMF_UNROLL for (int v = 0; v < 2; v++)
    {
        const NMF_NAME(full) model = NMF_NAME(larger)(y[j][v], by_partner ? NMF_NAME(splat)(floors[j]) : floor[v]);
        const NMF_NAME(full) den = NMF_NAME(model_den)(beta, model);
        total[v] += model * den;
        NMF_STORE(Y, 2 * j + v) = den;
    }
}

/* out (count x two vectors of items) += sum_j g_jc y_j for so many components, a literal: all sums in registers. */
static NMF_TARGET NMF_INLINE void NMF_NAME(den_sums)(const int count, ptrdiff_t partners, const NMF_REAL *G, ptrdiff_t ldg,
                                                     const NMF_REAL *Y, NMF_REAL *out, ptrdiff_t ldo)
{
    NMF_NAME(full) sum[5][2];
    NMF_UNROLL for (int c = 0; c < count; c++) sum[c][0] = sum[c][1] = (NMF_NAME(full)){0};
    NMF_UNROLL1 for (ptrdiff_t j = 0; j < partners; j++) {
        const NMF_NAME(full) y[2] = {NMF_LOAD(Y, 2 * j), NMF_LOAD(Y, 2 * j + 1)};
        NMF_UNROLL for (int c = 0; c < count; c++) NMF_UNROLL for (int v = 0; v < 2; v++) sum[c][v] += G[j * ldg + c] * y[v];
    }
    NMF_UNROLL for (int c = 0; c < count; c++) NMF_UNROLL for (int v = 0; v < 2; v++)
        NMF_STORE(out + c * ldo, v) += sum[c][v];
}

/* One piece of partners and a strip of two vectors of items: see model_sums. */
static NMF_TARGET NMF_INLINE void NMF_NAME(model_strip)(NMF_REAL beta, int by_partner, const NMF_REAL *floors,
                                                        ptrdiff_t partners, ptrdiff_t k, const NMF_REAL *G, ptrdiff_t ldg,
                                                        const NMF_REAL *P, ptrdiff_t ldp, ptrdiff_t items, NMF_REAL *out,
                                                        ptrdiff_t ldo, double *worth)
{
    NMF_ALIGNED(64) NMF_REAL Y[2 * NMF_PARTNERS * NMF_FULL], lanes[2 * NMF_FULL];
    NMF_NAME(full) floor[2], total[2] = {{0}, {0}};
    ptrdiff_t j = 0;
    for (int v = 0; v < 2; v++)
        floor[v] = NMF_NAME(load_some)(floors + v * NMF_FULL, by_partner || items < v * NMF_FULL ? 0 : items - v * NMF_FULL);
    NMF_UNROLL1 for (; j + 4 <= partners; j += 4)
        NMF_NAME(model_tile)(4, beta, by_partner, floors + j, floor, k, G + j * ldg, ldg, P, ldp, Y + 2 * j * NMF_FULL, total);
    for (; j < partners; j++)
        NMF_NAME(model_tile)(1, beta, by_partner, floors + j, floor, k, G + j * ldg, ldg, P, ldp, Y + 2 * j * NMF_FULL, total);
    for (ptrdiff_t c = 0, rest = (k + 4) / 5; c < k; rest--) {
        const ptrdiff_t count = (k - c + rest - 1) / rest; /* as even as possible */
        switch (count) {
        case 1: NMF_NAME(den_sums)(1, partners, G + c, ldg, Y, out + c * ldo, ldo); break;
        case 2: NMF_NAME(den_sums)(2, partners, G + c, ldg, Y, out + c * ldo, ldo); break;
        case 3: NMF_NAME(den_sums)(3, partners, G + c, ldg, Y, out + c * ldo, ldo); break;
        case 4: NMF_NAME(den_sums)(4, partners, G + c, ldg, Y, out + c * ldo, ldo); break;
        default: NMF_NAME(den_sums)(5, partners, G + c, ldg, Y, out + c * ldo, ldo); break;
        }
        c += count;
    }
    for (int v = 0; v < 2; v++)
        NMF_STORE(lanes, v) = total[v];
    for (ptrdiff_t i = 0; worth != NULL && beta != 0 && i < items && i < 2 * NMF_FULL; i++)
        worth[i] += (double)lanes[i] / beta;
}

/* The denominators, without X: out (k x items) += sum_j y_j^(beta - 1) g_j, y = max(floor, p . g_j), for items
 * whose numbers p lie side by side in P (k x items); floors for every item, or for every partner g_j. worth, where it is
 * wanted, gains y^beta / beta of every item. P and out are gone through in whole strips of two vectors. In pieces of
 * partners whose model stays in the first cache level between its two products. */
static NMF_TARGET void NMF_NAME(model_sums)(double beta, int by_partner, const NMF_REAL *floors, ptrdiff_t partners,
                                            ptrdiff_t k, const NMF_REAL *G, ptrdiff_t ldg, const NMF_REAL *P, ptrdiff_t ldp,
                                            ptrdiff_t items, NMF_REAL *out, ptrdiff_t ldo, double *worth)
{
    for (ptrdiff_t j = 0; j < partners; j += NMF_PARTNERS)
        for (ptrdiff_t i = 0; i < items; i += 2 * NMF_FULL) {
            const ptrdiff_t count = partners - j < NMF_PARTNERS ? partners - j : NMF_PARTNERS;
/* Of a literal the compiler makes a loop without branches. */
#define NMF_STRIP(beta)                                                                                                \
    NMF_NAME(model_strip)(beta, by_partner, floors + (by_partner ? j : i), count, k, G + j * ldg, ldg, P + i, ldp,     \
                          items - i, out + i, ldo, worth == NULL ? NULL : worth + i)
            if (beta == 1.5)
                NMF_STRIP((NMF_REAL)1.5);
            else if (beta == 0.5)
                NMF_STRIP((NMF_REAL)0.5);
            else
                NMF_STRIP((NMF_REAL)beta);
#undef NMF_STRIP
        }
}

/* to[0:width] += t f; the first `chunks` vectors of f and the rest after its last whole one are in registers, if chunks >= 0. */
static NMF_TARGET NMF_INLINE void NMF_NAME(add_row)(const int chunks, ptrdiff_t width, NMF_REAL *to, NMF_REAL t,
                                                    const NMF_NAME(full) *row, NMF_NAME(full) rest, const NMF_REAL *f)
{
    const ptrdiff_t whole = width / NMF_FULL;
    if (chunks >= 0)
        NMF_UNROLL for (int c = 0; c < chunks; c++) NMF_STORE(to, c) = NMF_LOAD(to, c) + t * row[c];
    else
        NMF_UNROLL1 for (ptrdiff_t c = 0; c < whole; c++) NMF_STORE(to, c) = NMF_LOAD(to, c) + t * NMF_LOAD(f, c);
    if (whole * NMF_FULL < width)
        NMF_NAME(add_some)(to + whole * NMF_FULL, width - whole * NMF_FULL, t * rest);
}

/* Calls f(chunks, ...) with a literal number of whole vectors that `width` numbers are, -1 for many. */
#define NMF_BY_CHUNKS(f, ...)                                                                                          \
    switch (width / NMF_FULL) {                                                                                        \
    case 0: f(0, __VA_ARGS__); break;                                                                                  \
    case 1: f(1, __VA_ARGS__); break;                                                                                  \
    case 2: f(2, __VA_ARGS__); break;                                                                                  \
    case 3: f(3, __VA_ARGS__); break;                                                                                  \
    default: f(-1, __VA_ARGS__); break;                                                                                \
    }

/* Stored entries of one row f, which stays in registers. `readable` entries may be looked at ahead. */
/* f . B[indices[e]] for a vector of entries, or half of one: their products are added up in pairs of vectors,
 * until one holds all sums. Lanes beyond the last entry hold what the first one has, or zero. */
static NMF_TARGET NMF_INLINE NMF_NAME(full)
    NMF_NAME(dots)(const int chunks, const int halves, ptrdiff_t width, ptrdiff_t entries,
                   ptrdiff_t readable, const int32_t *indices, const NMF_NAME(full) *row, NMF_NAME(full) rest,
                   const NMF_REAL *f, const NMF_REAL *B, ptrdiff_t ld)
{
    const ptrdiff_t whole = width / NMF_FULL, done = whole * NMF_FULL;
    NMF_NAME(full) sums[NMF_FULL / 2];
    NMF_UNROLL16 for (int i = 0; i < NMF_FULL / 2; i++)
    {
        NMF_NAME(full) pair[2] = {{0}, {0}};
        NMF_UNROLL for (int j = 0; j < halves; j++)
        {
            const ptrdiff_t e = i + j * (NMF_FULL / 2);
            const NMF_REAL *b = B + (ptrdiff_t)indices[e < entries ? e : 0] * ld;
            if (e + NMF_FULL < readable) {
                const char *soon = (const char *)(B + (ptrdiff_t)indices[e + NMF_FULL] * ld);
                NMF_PREFETCH(soon);
                NMF_PREFETCH(soon + 64);
            }
            if (chunks >= 0)
                NMF_UNROLL for (int c = 0; c < chunks; c++) pair[j] += row[c] * NMF_LOAD(b, c);
            else
                NMF_UNROLL1 for (ptrdiff_t c = 0; c < whole; c++) pair[j] += NMF_LOAD(f, c) * NMF_LOAD(b, c);
            if (done < width)
                pair[j] += rest * NMF_NAME(load_some)(b + done, width - done);
        }
        sums[i] = NMF_LOW(pair[0], pair[1]) + NMF_HIGH(pair[0], pair[1]);
    }
    NMF_UNROLL for (int half = NMF_FULL / 4; half > 0; half /= 2)
        NMF_UNROLL for (int i = 0; i < half; i++)
            sums[i] = NMF_LOW(sums[i], sums[i + half]) + NMF_HIGH(sums[i], sums[i + half]);
    return sums[0];
}

static NMF_TARGET NMF_INLINE NMF_NAME(full)
    NMF_NAME(some_dots)(const int chunks, ptrdiff_t width, ptrdiff_t entries, ptrdiff_t readable,
                        const int32_t *indices, const NMF_NAME(full) *row, NMF_NAME(full) rest,
                        const NMF_REAL *f, const NMF_REAL *B, ptrdiff_t ld)
{
    if (entries > NMF_FULL / 2)
        return NMF_NAME(dots)(chunks, 2, width, entries, readable, indices, row, rest, f, B, ld);
    return NMF_NAME(dots)(chunks, 1, width, entries, readable, indices, row, rest, f, B, ld);
}

static NMF_TARGET NMF_INLINE void
    NMF_NAME(row_dots_chunks)(const int chunks, ptrdiff_t width, ptrdiff_t count, ptrdiff_t readable,
                              const int32_t *indices, const NMF_REAL *f, const NMF_REAL *B, ptrdiff_t ld,
                              NMF_REAL *y)
{
    const ptrdiff_t done = width / NMF_FULL * NMF_FULL;
    const NMF_NAME(full) rest = NMF_NAME(load_some)(f + done, width - done);
    NMF_NAME(full) row[3];
    NMF_UNROLL for (int c = 0; c < chunks; c++) row[c] = NMF_LOAD(f, c);
    for (ptrdiff_t p = 0; p < count; p += NMF_FULL) {
        const ptrdiff_t entries = count - p < NMF_FULL ? count - p : NMF_FULL;
        const NMF_NAME(full) sums = NMF_NAME(some_dots)(chunks, width, entries, readable - p, indices + p,
                                                        row, rest, f, B, ld);
        memcpy(y + p, &sums, entries * sizeof(NMF_REAL));
    }
}

/* y_p = f . B[indices[p]] for `count` entries. */
static NMF_TARGET void NMF_NAME(row_dots)(ptrdiff_t width, ptrdiff_t count, ptrdiff_t readable,
                                          const int32_t *indices, const NMF_REAL *f, const NMF_REAL *B,
                                          ptrdiff_t ld, NMF_REAL *y)
{
    NMF_BY_CHUNKS(NMF_NAME(row_dots_chunks), width, count, readable, indices, f, B, ld, y)
}

static NMF_TARGET NMF_INLINE void
    NMF_NAME(row_numerator_chunks)(const int chunks, NMF_REAL beta, NMF_REAL floor, ptrdiff_t width,
                                   ptrdiff_t count, ptrdiff_t readable, const NMF_REAL *x,
                                   const int32_t *indices, const NMF_REAL *f, const NMF_REAL *B, ptrdiff_t ld,
                                   NMF_REAL *num, NMF_REAL *S, double *sum)
{
    const ptrdiff_t done = width / NMF_FULL * NMF_FULL;
    const NMF_NAME(full) zero = {0}, least = NMF_NAME(splat)(floor);
    const NMF_NAME(full) rest = NMF_NAME(load_some)(f + done, width - done);
    NMF_NAME(full) row[3], total[3] = {zero, zero, zero}, total_rest = zero, worth = zero;
    NMF_REAL X[NMF_FULL], Y[NMF_FULL], T[NMF_FULL];
    NMF_UNROLL for (int c = 0; c < chunks; c++) row[c] = NMF_LOAD(f, c);
    for (ptrdiff_t p = 0; p < count; p += NMF_FULL) {
        const ptrdiff_t entries = count - p < NMF_FULL ? count - p : NMF_FULL;
        /* rows of S are asked for a vector of entries ahead, the first ones now, none of other rows of X: another
         * thread may be writing there */
        for (ptrdiff_t e = p > 0 ? p + NMF_FULL : 0; S != NULL && e < p + 2 * NMF_FULL && e < count; e++) {
            const char *soon = (const char *)(S + (ptrdiff_t)indices[e] * ld);
            NMF_PREFETCH(soon);
            NMF_PREFETCH(soon + 64);
        }
        NMF_STORE(X, 0) = NMF_NAME(load_some)(x + p, entries);
        NMF_STORE(Y, 0) = NMF_NAME(some_dots)(chunks, width, entries, readable - p, indices + p, row, rest,
                                              f, B, ld);
        const NMF_NAME(full) more =
            NMF_NAME(vector_parts)(NMF_EXCESS, sum != NULL, beta, least, X, Y, T);
        if (entries == NMF_FULL)
            worth += more;
        else
            NMF_NAME(add_some)((NMF_REAL *)&worth, entries, more);
        for (ptrdiff_t e = 0; e < entries; e++) {
            const NMF_REAL *b = B + (ptrdiff_t)indices[p + e] * ld;
            if (S != NULL)
                NMF_NAME(add_row)(chunks, width, S + (ptrdiff_t)indices[p + e] * ld, T[e], row, rest, f);
            else if (chunks < 0)
                NMF_NAME(add_row)(-1, width, num, T[e], row, NMF_NAME(load_some)(b + done, width - done), b);
            else {
                NMF_UNROLL for (int c = 0; c < chunks; c++) total[c] += T[e] * NMF_LOAD(b, c);
                if (done < width)
                    total_rest += T[e] * NMF_NAME(load_some)(b + done, width - done);
            }
        }
    }
    if (S == NULL && chunks >= 0)
        NMF_NAME(add_row)(chunks, width, num, 1, total, total_rest, f);
    if (sum != NULL)
        *sum += NMF_NAME(lane_sum)(worth);
}

/* The numerator x y^(beta - 2), y = max(floor, f . B[index]), of the gradient at the stored entries of the row f, taken
 * through B into `num` or, where there is S, through f into its rows. `sum` gains what `entry_parts` finds of the
 * divergence. Long rows are taken piece by piece, so that sums do not become too long for their precision. */
static NMF_TARGET void NMF_NAME(row_numerator)(double beta, double floor, ptrdiff_t width, ptrdiff_t count,
                                               ptrdiff_t readable, const NMF_REAL *x, const int32_t *indices,
                                               const NMF_REAL *f, const NMF_REAL *B, ptrdiff_t ld, NMF_REAL *num,
                                               NMF_REAL *S, double *sum)
{
    for (ptrdiff_t p = 0; p < count; p += NMF_PIECE) {
        const ptrdiff_t some = count - p < NMF_PIECE ? count - p : NMF_PIECE;
        NMF_BY_CHUNKS(NMF_NAME(row_numerator_chunks), (NMF_REAL)beta, (NMF_REAL)floor, width, some,
                      readable - p, x + p, indices + p, f, B, ld, num, S, sum)
    }
}

#undef NMF_BY_CHUNKS

/* A length that overflowed is so large that a hundred million of them can be added up. */
static NMF_TARGET NMF_INLINE NMF_REAL NMF_NAME(finite)(NMF_REAL length)
{
    const NMF_REAL most = NMF_HUGE * (NMF_REAL)1e-8;
    return length < most ? length : most;
}

/* A multiplicative update of k numbers, where free is 1 and not 0:
 *
 *     f <- f (numerator / slope)^exponent,   slope = denominator + l1 + l2 f,
 *
 * 0 if it would fall below the normal numbers, before ratios of such become infinite, or if its share of the row's model,
 * sums f, would fall below `share`: updates only approach zeros. `guard` stands for a vanishing slope. `grown`, unless it
 * is NULL, takes the denominators, grown like f^den_power; it may be where they are.
 * Returns the squared length of Newton's steps, by the slopes and curvatures of the coordinates, each at most the way to
 * zero. A curvature is estimated as sums slope / (sums . f), which is exact where the component stands alone. */
static NMF_TARGET double NMF_NAME(multiply)(ptrdiff_t k, NMF_REAL *f, NMF_REAL *grown, const NMF_REAL *numerator,
                                            const NMF_REAL *denominator, const NMF_REAL *sums, const NMF_REAL *free,
                                            NMF_REAL l1, NMF_REAL l2, NMF_REAL exponent, NMF_REAL den_power,
                                            NMF_REAL guard, NMF_REAL share)
{
    const NMF_NAME(full) zero = {0}, least = NMF_NAME(splat)(NMF_TINY);
    NMF_NAME(full) size = zero, length = zero;
    NMF_REAL lanes[NMF_FULL];
    for (ptrdiff_t c = 0; c < k; c += NMF_FULL)
        size += NMF_NAME(load_some)(sums + c, k - c) * NMF_NAME(load_some)(f + c, k - c);
    const NMF_REAL total = NMF_NAME(lane_sum)(size), inverse = total > NMF_TINY ? 1 / total : 0;
    size = zero;
    for (ptrdiff_t c = 0; c < k; c += NMF_FULL) {
        const NMF_NAME(full) old = NMF_NAME(load_some)(f + c, k - c), num = NMF_NAME(load_some)(numerator + c, k - c);
        const NMF_NAME(full) den = NMF_NAME(load_some)(denominator + c, k - c), slope = den + l1 + l2 * old;
        const NMF_NAME(full) moves = NMF_NAME(load_some)(free + c, k - c), weight = NMF_NAME(load_some)(sums + c, k - c);
        const NMF_NAME(full) curvature = slope * weight * inverse + l2;
        const NMF_NAME(full) step =
            NMF_NAME(larger)((num - slope) * NMF_NAME(reciprocal)(NMF_NAME(larger)(curvature, least)), -old);
        length += NMF_SELECT(curvature > least, step * step * curvature, zero) * moves;
        NMF_NAME(full) ratio = num * NMF_NAME(reciprocal)(NMF_SELECT(slope > least, slope, NMF_NAME(splat)(guard)));
        if (exponent == (NMF_REAL)0.5)
            ratio = NMF_NAME(root)(ratio);
        else if (exponent != 1)
            ratio = NMF_SELECT(ratio > least, NMF_NAME(power)(NMF_NAME(larger)(ratio, least), exponent), zero);
        const NMF_NAME(full) new = old * ratio, kept = NMF_SELECT(moves > zero, NMF_SELECT(new > least, new, zero), old);
        NMF_STORE(lanes, 0) = kept;
        memcpy(f + c, lanes, (k - c < NMF_FULL ? k - c : NMF_FULL) * sizeof(NMF_REAL));
        size += weight * kept;
        if (grown != NULL) {
            const NMF_NAME(full) growth = NMF_NAME(power)(NMF_NAME(larger)(ratio, least), den_power);
            NMF_STORE(lanes, 0) = NMF_SELECT(moves > zero, den * growth, den);
            memcpy(grown + c, lanes, (k - c < NMF_FULL ? k - c : NMF_FULL) * sizeof(NMF_REAL));
        }
    }
    if (share > 0) {
        const NMF_REAL cut = share * NMF_NAME(lane_sum)(size);
        for (ptrdiff_t c = 0; c < k; c++)
            if (free[c] > 0 && sums[c] * f[c] < cut)
                f[c] = 0;
    }
    return NMF_NAME(finite)(NMF_NAME(lane_sum)(length));
}

#if NMF_SIZE == 8
/* exp(v) - 1 with as many digits: near zero by the series. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(growth)(NMF_NAME(full) v)
{
    NMF_NAME(full) sum = {0};
    NMF_UNROLL16 for (int i = 14; i >= 2; i--) sum = (sum + 1) * v * (1.0 / i);
    sum = (sum + 1) * v;
    return NMF_SELECT((v < 0.35) & (v > -0.35), sum, NMF_NAME(exponential)(v) - 1);
}

/* The beta-divergence d(x, y) for y > 0, by the formulas of losses/beta.py. */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(loss)(double beta, NMF_NAME(full) x, NMF_NAME(full) y)
{
    const NMF_NAME(full) zero = {0};
    if (beta == 2)
        return (x - y) * (x - y) * 0.5;
    const NMF_NAME(full) ratio = x / y, logarithm = NMF_NAME(logarithm)(NMF_NAME(larger)(ratio, NMF_NAME(splat)(DBL_MIN)));
    if (beta == 1)
        return x * logarithm - x + y;
    if (beta == 0)
        return ratio - 1 - logarithm;
    const double p = beta < 0.5 ? beta : beta - 1;
    const NMF_NAME(full) change = NMF_NAME(growth)(p * logarithm) * (1 / p);
    const NMF_NAME(full) general = beta < 0.5 ? (1 - ratio + change) * (1 / (beta - 1)) : (ratio * change + 1 - ratio) * (1 / beta);
    return NMF_NAME(power)(y, beta) * NMF_SELECT(x > zero, general, NMF_NAME(splat)(1 / beta));
}

/* d(x, y) with y at least `floor`, NMF_MODEL: d(0, y), NMF_EXCESS: their difference, by which stored entries change the
 * divergence of the model alone (d(x, y) itself where zeros are not allowed). */
static NMF_TARGET NMF_INLINE NMF_NAME(full) NMF_NAME(loss_part)(int part, double beta, NMF_NAME(full) x, NMF_NAME(full) y,
                                                                NMF_NAME(full) floor)
{
    y = NMF_NAME(larger)(y, floor);
    if (part == NMF_MODEL)
        return NMF_NAME(power)(y, beta) * (1 / beta);
    if (part == NMF_LOSS || beta <= 0)
        return NMF_NAME(loss)(beta, x, y);
    if (beta == 2)
        return x * (0.5 * x - y);
    if (beta == 1)
        return NMF_NAME(loss)(beta, x, y) - y;
    return NMF_NAME(loss)(beta, x, y) - NMF_NAME(power)(y, beta) * (1 / beta);
}

/* The sum of a part over so many numbers; for NMF_MODEL x is not read. */
static NMF_TARGET double NMF_NAME(losses)(int part, double beta, double floor, ptrdiff_t count, const double *x,
                                          const double *y, const double *weights)
{
    const NMF_NAME(full) least = NMF_NAME(splat)(floor);
    NMF_NAME(full) sum = {0};
    ptrdiff_t p = 0;
    for (; p < count / NMF_FULL; p++) {
        NMF_NAME(full) loss =
            NMF_NAME(loss_part)(part, beta, part == NMF_MODEL ? least : NMF_LOAD(x, p), NMF_LOAD(y, p), least);
        if (weights != NULL)
            loss *= NMF_LOAD(weights, p);
        sum += loss;
    }
    double total = NMF_NAME(lane_sum)(sum), last[2][NMF_FULL];
    const ptrdiff_t rest = count - p * NMF_FULL;
    if (rest > 0) {
        for (ptrdiff_t i = 0; i < NMF_FULL; i++) {
            last[0][i] = i < rest && part != NMF_MODEL ? x[p * NMF_FULL + i] : 1;
            last[1][i] = i < rest ? y[p * NMF_FULL + i] : 1;
        }
        sum = NMF_NAME(loss_part)(part, beta, NMF_LOAD(last[0], 0), NMF_LOAD(last[1], 0), least);
        *(NMF_NAME(full) *)last[0] = sum;
        for (ptrdiff_t i = 0; i < rest; i++)
            total += weights == NULL ? last[0][i] : last[0][i] * weights[p * NMF_FULL + i];
    }
    return total;
}
#endif
