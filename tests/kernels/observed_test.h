/* Tests of coordinate descent on rows with missing entries, for one precision. */

/* One row f, whose entries are data[begin:end]: sweeps, then what the report gains. */
static void NAME(observed_row)(const nmf_observed *job, const REAL *weights, int64_t begin, int64_t end, ptrdiff_t row,
                               double *f, double *report)
{
    const ptrdiff_t k = job->k;
    const double amount = ((const REAL *)job->amounts)[row], l2 = job->l2 * amount;
    double gram[40][40] = {{0}}, cross[40] = {0}, error = 0, first = 0;
    for (int64_t p = begin; p < end; p++) {
        const REAL *g = NAME(G) + NAME(X).indices[p] * job->ld;
        for (ptrdiff_t c = 0; c < k; c++) {
            const double w = weights == NULL ? 1 : weights[p];
            cross[c] += w * g[c] * NAME(A)[p];
            for (ptrdiff_t i = 0; i < k; i++)
                gram[c][i] += w * g[c] * g[i];
        }
    }
    for (ptrdiff_t c = 0; c < k; c++) {
        f[c] = ((const REAL *)job->start)[row * job->ld + c];
        gram[c][c] += l2;
    }
    for (int sweep = 0; sweep < job->max_sweeps; sweep++)
        for (ptrdiff_t i = 0; i < job->n_order; i++) {
            const ptrdiff_t c = job->order[i];
            const double lower = ((const REAL *)job->lower)[c], l1 = lower < 0 ? 0 : job->l1 * amount;
            double slope = l1 - cross[c];
            for (ptrdiff_t j = 0; j < k; j++)
                slope += gram[c][j] * f[j];
            double to = gram[c][c] > 0 ? f[c] - slope / gram[c][c] : l1 > 0 ? 0 : f[c];
            to = to > lower ? to : lower;
            first += sweep == 0 ? (to - f[c]) * (to - f[c]) * gram[c][c] : 0;
            f[c] = to;
        }
    for (int64_t p = begin; p < end; p++) {
        double model = 0;
        for (ptrdiff_t c = 0; c < k; c++)
            model += f[c] * NAME(G)[NAME(X).indices[p] * job->ld + c];
        error += (weights == NULL ? 1 : weights[p]) * (NAME(A)[p] - model) * (NAME(A)[p] - model);
    }
    report[0] += first;
    report[3] += error;
}

/* Few components, swept four rows at a time, and so many that rows are swept one by one; a row of many entries. */
static void NAME(test_observed)(int level, const NAME(nmf_products) *table)
{
    const ptrdiff_t lanes = NMF_LANES(NMF_BYTES_AT(level), REAL), whole = lanes < 4 ? 4 : lanes;
    subject = "observed_hals";
    for (ptrdiff_t k = 1; k <= 31; k += 1 + k / 3) {
        const REAL *weights = k % 2 ? NULL : NAME(E);
        int order[40];
        nmf_observed job = {.k = k, .ld = k + k % 3, .order = order, .G = NAME(G), .start = NAME(B), .F = NAME(D)};
        double report[6] = {0}, expected[6] = {0};
        REAL scale[80], lower[80];
        make_pattern(&NAME(X), 11, 130, 0.6);
        NAME(fill)(NAME(A), 0, 1);
        NAME(fill)(NAME(B), 0, 1);
        NAME(fill)(NAME(E), 0.5, 1);
        NAME(fill)(NAME(G), 0, 1);
        NAME(clear)(NAME(C));
        NAME(clear)(NAME(D));
        memcpy(NAME(C), NAME(B), 11 * job.ld * sizeof(REAL));
        for (ptrdiff_t c = 0; c < 80; c++) {
            scale[c] = (REAL)0.5;
            lower[c] = c < k && c == 2 ? -INFINITY : 0;
        }
        job.ldb = ((k + 1 > job.ld ? k + 1 : job.ld) + whole - 1) / whole * whole;
        job.n_order = make_order(order, k, k % 4 != 2);
        job.amounts = NAME(E);
        job.scale = scale;
        job.lower = lower;
        job.previous = job.F_new = k % 3 == 1 ? NAME(C) : NULL;
        job.momentum = 0.5;
        job.l1 = k % 4 == 3 ? 0.5 : 0;
        job.l2 = k % 4 == 3 ? 0.25 : 0.125;
        job.max_sweeps = 1 + (int)(k % 3);
        table->observed_hals(&job, NAME(A), weights, NAME(X).indices, NAME(X).indptr, 0, 11, NAME(scratch), report);
        for (ptrdiff_t r = 0; r < 11; r++) {
            double f[40];
            NAME(observed_row)(&job, weights, NAME(X).indptr[r], NAME(X).indptr[r + 1], r, f, expected);
            for (ptrdiff_t c = 0; c < k; c++) {
                const double ahead = f[c] + 0.5 * (f[c] - 0.5 * NAME(B)[r * job.ld + c]);
                compare(NAME(D)[r * job.ld + c], job.F_new == NULL ? f[c] : ahead > lower[c] ? ahead : lower[c],
                        300 * ALLOWED);
                if (job.F_new != NULL)
                    compare(NAME(C)[r * job.ld + c], f[c], 300 * ALLOWED);
            }
            for (ptrdiff_t c = k; c < job.ld; c++)
                compare(NAME(D)[r * job.ld + c], UNTOUCHED, 1e-300);
        }
        compare(report[0], expected[0], 300 * ALLOWED * (1 + expected[0]));
        compare(report[3], expected[3], 300 * ALLOWED * (1 + expected[0]));
        if (job.max_sweeps == 1) /* rows of few components may be where they go before their last sweep */
            compare(report[1], 1, 0.5);
    }
}

static void NAME(test_products)(int level, const NAME(nmf_products) *table)
{
    NAME(fill)(NAME(A), -1, 1);
    NAME(fill)(NAME(B), -1, 1);
    NAME(fill)(NAME(C), -1, 1);
    NAME(fill)(NAME(D), -1, 1);
    NAME(test_product)(table);
    NAME(test_sparse)(table);
    NAME(test_descend)(level, table);
    NAME(test_copies)(table);
    NAME(test_dots)(table);
    NAME(test_pivot)(level, table);
    NAME(test_observed)(level, table);
}
