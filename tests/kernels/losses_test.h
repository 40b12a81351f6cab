/* Tests of a table of losses.c, for one precision. */

static const double NAME(betas)[] = {-1, 0, 0.5, 1, 1.5, 2, 2.5};
enum { NAME(BETAS) = sizeof(NAME(betas)) / sizeof(double) };

/* T = x y^(beta - 2), y = y^(beta - 1) and their sum; y stays for beta = 1, x and T for NMF_MODEL. */
static void NAME(test_entry_parts)(const NAME(nmf_losses) *table)
{
    subject = "entry_parts";
    for (int b = 0; b < NAME(BETAS); b++)
        for (int part = NMF_LOSS; part <= NMF_EXCESS; part++)
            for (ptrdiff_t count = 1; count < 50; count += 1 + count / 4) {
                const double beta = NAME(betas)[b], floor = 0.125;
                double sum = 1, expected = 1, total = 1;
                if (part == NMF_MODEL && beta <= 1)
                    continue;
                NAME(fill)(NAME(A), 0, 2);
                NAME(fill)(NAME(B), 0, 2);
                NAME(clear)(NAME(C));
                NAME(expect)(NAME(B));
                memcpy(NAME(D), NAME(B), sizeof(NAME(B)));
                for (ptrdiff_t i = 0; i < count; i++) {
                    const double x = NAME(A)[i], y = NAME(B)[i] > floor ? NAME(B)[i] : floor;
                    double model = part == NMF_EXCESS || beta == 0 ? 0 : pow(y, beta) / beta;
                    model += part == NMF_MODEL ? 0 : excess(beta, x, y);
                    expected += model;
                    total += fabs(model);
                    NAME(want)[i] = beta == 1 ? NAME(B)[i] : den(beta, y);
                }
                table->entry_parts(part, beta, floor, count, NAME(A), NAME(D), NAME(C), count % 2 ? &sum : NULL);
                NAME(compare)(NAME(D), count, beta < 0 ? 64 : 8);
                if (count % 2)
                    compare(sum, expected, 10 * ALLOWED * total);
                NAME(clear)(NAME(E));
                NAME(expect)(NAME(E));
                for (ptrdiff_t i = 0; i < count && part != NMF_MODEL; i++)
                    NAME(want)[i] = NAME(A)[i] * pow(NAME(B)[i] > floor ? NAME(B)[i] : floor, beta - 2);
                NAME(compare)(NAME(C), count, beta < 0 ? 512 : 64);
            }
}

/* out += sum_j y_j^(beta - 1) g_j. */
static void NAME(test_model_sums)(int level, const NAME(nmf_losses) *table)
{
    static const ptrdiff_t sizes[][3] = {{1, 1, 1}, {5, 3, 7}, {130, 6, 33}, {7, 11, 70}}; /* partners, k, items */
    const ptrdiff_t strip = 2 * NMF_LANES(NMF_BYTES_AT(level), REAL);
    subject = "model_sums";
    for (int b = 0; b < NAME(BETAS); b++)
        for (size_t i = 0; i < 8; i++) {
            const ptrdiff_t partners = sizes[i / 2][0], k = sizes[i / 2][1], items = sizes[i / 2][2], ldg = k + 1;
            const ptrdiff_t ldp = (items + strip - 1) / strip * strip;
            const int by_partner = (int)(i % 2);
            double beta = NAME(betas)[b], worth[200] = {0}, expected[200] = {0};
            if (beta == 1 || beta == 2) /* there the model needs no such sums */
                continue;
            NAME(fill)(NAME(A), 0, 1);
            NAME(fill)(NAME(B), 0, 1);
            NAME(fill)(NAME(C), 0, 1);
            NAME(fill)(NAME(E), 0.25, 1);
            NAME(expect)(NAME(C));
            for (ptrdiff_t s = 0; s < items; s++)
                for (ptrdiff_t j = 0; j < partners; j++) {
                    const double floor = NAME(E)[by_partner ? j : s];
                    double y = 0;
                    for (ptrdiff_t c = 0; c < k; c++)
                        y += (double)NAME(A)[j * ldg + c] * NAME(B)[c * ldp + s];
                    y = y > floor ? y : floor;
                    for (ptrdiff_t c = 0; c < k; c++)
                        NAME(want)[c * ldp + s] += den(beta, y) * NAME(A)[j * ldg + c];
                    expected[s] += beta == 0 ? 0 : pow(y, beta) / beta;
                }
            table->model_sums(beta, by_partner, NAME(E), partners, k, NAME(A), ldg, NAME(B), ldp, items, NAME(C), ldp,
                              b % 2 ? worth : NULL);
            for (ptrdiff_t s = 0; s < items; s++) {
                for (ptrdiff_t c = 0; c < k; c++)
                    compare(NAME(C)[c * ldp + s], NAME(want)[c * ldp + s], 10 * ALLOWED * (1 + fabs(NAME(want)[c * ldp + s])));
                if (b % 2)
                    compare(worth[s], expected[s], 10 * ALLOWED * (1 + fabs(expected[s])));
            }
            for (ptrdiff_t s = k * ldp; s < k * ldp + 70; s++)
                compare(NAME(C)[s], NAME(want)[s], 1e-300);
        }
}

/* Dot products of stored entries, then the gradient's numerator at them, through B into a row and through f into S. */
static void NAME(test_rows)(const NAME(nmf_losses) *table)
{
    for (ptrdiff_t width = 1; width < 80; width += 1 + width / 4)
        for (ptrdiff_t share = 1; share <= 4; share++) {
            const ptrdiff_t ld = width + 1;
            const int32_t *indices = NAME(X).indices;
            NAME(fill)(NAME(A), 0, 1);
            NAME(fill)(NAME(B), 0, 1);
            NAME(fill)(NAME(E), 0, 1);
            NAME(fill)(NAME(G), 0, 1);
            make_pattern(&NAME(X), 1, 90, 0.25 * (double)share);
            const ptrdiff_t readable = NAME(X).indptr[1], count = readable - readable % share;
            double y[100];
            for (ptrdiff_t p = 0; p < count; p++) {
                y[p] = 0;
                for (ptrdiff_t c = 0; c < width; c++)
                    y[p] += (double)NAME(A)[c] * NAME(B)[indices[p] * ld + c];
            }
            subject = "row_dots";
            NAME(clear)(NAME(C));
            NAME(expect)(NAME(C));
            for (ptrdiff_t p = 0; p < count; p++)
                NAME(want)[p] = y[p];
            table->row_dots(width, count, readable, indices, NAME(A), NAME(B), ld, NAME(C));
            NAME(compare)(NAME(C), count, 20);
            subject = "row_numerator";
            for (int b = 0; b < 2 * NAME(BETAS); b++) {
                const double beta = NAME(betas)[b / 2], floor = 0.5;
                const int into = b % 2;
                double sum = 1, expected = 1, size = 1;
                NAME(fill)(NAME(D), 0, 1);
                NAME(expect)(NAME(D));
                for (ptrdiff_t p = 0; p < count; p++) {
                    const double model = y[p] > floor ? y[p] : floor, t = NAME(E)[p] * pow(model, beta - 2);
                    expected += excess(beta, NAME(E)[p], model);
                    size += fabs(excess(beta, NAME(E)[p], model));
                    for (ptrdiff_t c = 0; c < width; c++)
                        NAME(want)[into ? indices[p] * ld + c : c] += t * (into ? NAME(A)[c] : NAME(B)[indices[p] * ld + c]);
                }
                table->row_numerator(beta, floor, width, count, readable, NAME(E), indices, NAME(A), NAME(B), ld,
                                     into ? NULL : NAME(D), into ? NAME(D) : NULL, share % 2 ? &sum : NULL);
                NAME(compare)(NAME(D), into ? 90 * ld : width, 1000);
                if (share % 2)
                    compare(sum, expected, 20 * ALLOWED * size);
            }
        }
}

/* f <- f (num / slope)^exponent with its denominators grown like f^den_power, and the squared length of the steps. */
static void NAME(test_multiply)(const NAME(nmf_losses) *table)
{
    static const double exponents[] = {1, 0.5, 0.75};
    subject = "multiply";
    for (ptrdiff_t k = 1; k < 50; k += 1 + k / 5)
        for (int e = 0; e < 6; e++) {
            const double exponent = exponents[e / 2], l1 = 0.125 * (e % 2), l2 = 0.25 * (e % 2), den_power = 0.5;
            const double share = k % 2 ? 0 : 0.01;
            double total = 0, after = 0, length = 0, expected[50], grown[50];
            NAME(fill)(NAME(A), 0.25, 1);   /* f */
            NAME(fill)(NAME(B), 0.25, 1);   /* numerator */
            NAME(fill)(NAME(C), 0.25, 1);   /* denominator */
            NAME(fill)(NAME(D), 0.25, 1);   /* sums */
            for (ptrdiff_t c = 0; c < ROOM; c++)
                NAME(E)[c] = (REAL)(uniform() < 0.75);
            for (ptrdiff_t c = 0; c < k; c++)
                total += (double)NAME(A)[c] * NAME(D)[c];
            for (ptrdiff_t c = 0; c < k; c++) {
                const double f = NAME(A)[c], slope = NAME(C)[c] + l1 + l2 * f;
                const double curvature = slope * NAME(D)[c] / total + l2, ratio = pow(NAME(B)[c] / slope, exponent);
                double step = (NAME(B)[c] - slope) / curvature;
                step = step > -f ? step : -f;
                length += NAME(E)[c] > 0 ? step * step * curvature : 0;
                expected[c] = NAME(E)[c] > 0 ? f * ratio : f;
                grown[c] = NAME(E)[c] > 0 ? NAME(C)[c] * pow(ratio, den_power) : NAME(C)[c];
                after += NAME(D)[c] * expected[c];
            }
            NAME(expect)(NAME(A));
            for (ptrdiff_t c = 0; c < k; c++)
                NAME(want)[c] = NAME(E)[c] > 0 && NAME(D)[c] * expected[c] < share * after ? 0 : expected[c];
            const double got = table->multiply(k, NAME(A), e % 2 ? NAME(C) : NULL, NAME(B), NAME(C), NAME(D), NAME(E),
                                               (REAL)l1, (REAL)l2, (REAL)exponent, (REAL)den_power, (REAL)1e-7,
                                               (REAL)share);
            NAME(compare)(NAME(A), k, 4);
            compare(got, length, 100 * ALLOWED * (1 + length));
            for (ptrdiff_t c = 0; c < k && e % 2; c++)
                compare(NAME(C)[c], grown[c], 4 * ALLOWED);
        }
}

#if defined(WITH_LOSSES)
/* The divergence itself; only in double. */
static double beta_divergence(double beta, double x, double y)
{
    if (beta == 1)
        return (x == 0 ? 0 : x * log(x / y)) - x + y;
    if (beta == 0)
        return x / y - log(x / y) - 1;
    return (pow(x, beta) + (beta - 1) * pow(y, beta) - beta * x * pow(y, beta - 1)) / (beta * (beta - 1));
}

static void test_beta_divergence(const nmf_losses_d *table)
{
    subject = "losses";
    for (int b = 0; b < BETAS_d; b++)
        for (int part = NMF_LOSS; part <= NMF_EXCESS; part++)
            for (ptrdiff_t count = 1; count < 40; count += 1 + count / 5) {
                const double beta = betas_d[b], floor = 0.25, *weights = count % 2 ? NULL : C_d;
                double sum = 0, size = 1;
                if (part == NMF_MODEL && beta <= 0)
                    continue;
                fill_d(A_d, beta > 0 ? -0.25 : 0.25, 2);
                for (ptrdiff_t i = 0; i < ROOM; i++) /* some zeros */
                    A_d[i] = A_d[i] > 0 ? A_d[i] : 0;
                fill_d(B_d, 0, 2);
                fill_d(C_d, 0, 2);
                for (ptrdiff_t i = 0; i < count; i++) {
                    const double y = B_d[i] > floor ? B_d[i] : floor;
                    double d = part == NMF_MODEL ? pow(y, beta) / beta : beta_divergence(beta, A_d[i], y);
                    d -= part == NMF_EXCESS && beta > 0 ? pow(y, beta) / beta : 0;
                    /* for beta = 2 the entry's own share of x stays in it, for others in the divergence */
                    sum += weights == NULL ? d : weights[i] * d;
                    size += fabs(d);
                }
                compare(table->losses(part, beta, floor, count, A_d, B_d, weights), sum, 20 * ALLOWED * size);
            }
}
#endif
