/* Tests of coordinate steps for the Kullback-Leibler divergence, for one precision. */

/* One row f, with m entries x (and zeros) in columns of G: sweeps as newton_template.h says, what the report gains. */
static void NAME(newton_row)(const nmf_newton *job, ptrdiff_t m, const double *x, ptrdiff_t row, double *f, double *report)
{
    const ptrdiff_t k = job->k, ld = job->ld;
    const REAL *G = job->G;
    const double floor = ((const REAL *)job->floors)[row], l2 = ((const REAL *)job->l2)[row];
    double y[200];
    for (ptrdiff_t c = 0; c < k; c++)
        f[c] = ((const REAL *)job->start)[row * ld + c];
    for (int sweep = 0; sweep <= job->max_sweeps; sweep++) {
        for (ptrdiff_t j = 0; j < m; j++) { /* followed move by move, and found again in the end */
            if (sweep > 0 && sweep < job->max_sweeps)
                continue;
            y[j] = 0;
            for (ptrdiff_t c = 0; c < k; c++)
                y[j] += f[c] * G[j * ld + c];
            y[j] = y[j] > floor ? y[j] : floor;
            if (sweep == job->max_sweeps && job->measure && x[j] > 0)
                report[3] += x[j] * (log(x[j] / y[j]) - 1);
        }
        for (ptrdiff_t i = 0; i < job->n_order && sweep < job->max_sweeps; i++) {
            const ptrdiff_t c = job->order[i];
            const double s = ((const REAL *)job->sums)[row * job->sums_step + c] + l2 * f[c];
            double q = 0, h = 0;
            for (ptrdiff_t j = 0; j < m; j++) {
                const double u = G[j * ld + c] / y[j];
                q += x[j] * u;
                h += x[j] * u * u;
            }
            const double share = q / s, lowest = job->damped && share < 1 ? f[c] * share : 0;
            double to = f[c] + (q - s) * share / (h + l2 * share * share);
            to = h > 0 ? (to > lowest ? to : lowest) : 0;
            const double move = to - f[c], plain = move / share > -f[c] ? move / share : -f[c];
            report[0] += sweep == 0 && h > 0 ? plain * plain * h + move * move * l2 : 0;
            f[c] = to;
            for (ptrdiff_t j = 0; j < m; j++)
                y[j] = y[j] + move * G[j * ld + c] > floor ? y[j] + move * G[j * ld + c] : floor;
        }
    }
}

/* What the rows at[0:rows] of F, F_new and the report should be; X dense for the test, (rows of F, m). */
static void NAME(check_newton)(const nmf_newton *job, const int64_t *at, ptrdiff_t rows, ptrdiff_t m, const double *X,
                               const double *report)
{
    double expected[6] = {0};
    for (ptrdiff_t r = 0; r < rows; r++) {
        double f[40];
        NAME(newton_row)(job, m, X + at[r] * m, at[r], f, expected);
        for (ptrdiff_t c = 0; c < job->k; c++) {
            const ptrdiff_t i = at[r] * job->ld + c;
            const double ahead = f[c] + 0.5 * (f[c] - 0.5 * NAME(B)[i]);
            compare(NAME(D)[i], job->F_new == NULL ? f[c] : ahead > 0 ? ahead : 0, 1000 * ALLOWED * (1 + f[c]));
            if (job->F_new != NULL)
                compare(NAME(C)[i], f[c], 1000 * ALLOWED * (1 + f[c]));
        }
    }
    compare(report[0], expected[0], 1000 * ALLOWED * (1 + expected[0]));
    compare(report[1], job->max_sweeps, 0.5);
    compare(report[3], expected[3], 1000 * ALLOWED * (1 + fabs(expected[3])));
}

/* F, C and D: start, the rows of the last time and the result; E: sums, then l2 and floors of every row. */
static nmf_newton NAME(make_newton)(ptrdiff_t k, int *order, ptrdiff_t m)
{
    static REAL scale[80];
    nmf_newton job = {.k = k, .ld = (k + 3) / 4 * 4, .order = order, .G = NAME(G), .start = NAME(B), .F = NAME(D)};
    for (ptrdiff_t c = 0; c < 80; c++)
        scale[c] = (REAL)0.5;
    NAME(fill)(NAME(B), 0, 1);
    NAME(fill)(NAME(G), 0, 1);
    for (ptrdiff_t i = 0; i < ROOM; i++)
        if (i % job.ld >= k)
            NAME(B)[i] = NAME(G)[i] = 0;
    memcpy(NAME(C), NAME(B), sizeof(NAME(B)));
    NAME(clear)(NAME(D));
    NAME(fill)(NAME(E), 0, k % 2 ? 0.5 : 0); /* l2 */
    for (ptrdiff_t i = 0; i < 4000; i++) {
        NAME(E)[i + 1000] = (REAL)0.0625;                                 /* floors */
        NAME(E)[i + 5000] = (REAL)(0.25 * (double)m * (0.5 + uniform())); /* sums */
    }
    job.n_order = make_order(order, k, k % 4 != 2);
    job.l2 = NAME(E);
    job.floors = NAME(E) + 1000;
    job.sums = NAME(E) + 5000;
    job.sums_step = k % 3 ? k : 0;
    job.scale = scale;
    job.previous = job.F_new = k % 3 == 1 ? NAME(C) : NULL;
    job.momentum = 0.5;
    job.max_sweeps = 1 + (int)(k % 2);
    job.damped = k % 4 < 2;
    job.measure = 1;
    return job;
}

static void NAME(test_newton_dense)(int level, const NAME(nmf_losses) *table)
{
    const ptrdiff_t lanes = NMF_LANES(NMF_BYTES_AT(level), REAL), m = 37, ldh = (m + lanes - 1) / lanes * lanes;
    static double X[40 * 40];
    subject = "newton_dense";
    for (ptrdiff_t k = 1; k < 14; k += 2)
        for (int way = 0; way < 6; way++) {
            const int across = way % 3 * 2, by_columns = way / 3;
            const ptrdiff_t rows = k % 4 == 1 ? lanes : lanes - 1;
            int order[40];
            int64_t at[40];
            double report[6] = {0};
            nmf_newton job = NAME(make_newton)(k, order, m);
            NAME(clear)(NAME(A));
            for (ptrdiff_t i = 0; i < 20 * m; i++) {
                const REAL x = (REAL)(uniform() < 0.5 ? 0 : uniform());
                NAME(A)[by_columns ? i % m * 23 + i / m : i] = x;
                X[i] = x;
            }
            memset(NAME(scratch), 0, sizeof(NAME(scratch)));
            REAL *H = NAME(scratch) + 6 * ROOM;
            for (ptrdiff_t j = 0; j < m; j++)
                for (ptrdiff_t c = 0; c < k; c++)
                    H[c * ldh + j] = NAME(G)[j * job.ld + c];
            for (ptrdiff_t s = 0; s < rows; s++)
                at[s] = 2 + s;
            table->newton_dense(across, &job, NAME(A), by_columns ? 1 : m, by_columns ? 23 : 1, m, H, ldh, 2, rows,
                                NAME(scratch), report);
            NAME(check_newton)(&job, at, rows, m, X, report);
            for (ptrdiff_t i = (2 + rows) * job.ld; i < (2 + rows) * job.ld + 70; i++)
                compare(NAME(D)[i], UNTOUCHED, 1e-300);
        }
}

static void NAME(test_newton_csr)(int level, const NAME(nmf_losses) *table)
{
    const ptrdiff_t lanes = NMF_LANES(NMF_BYTES_AT(level), REAL), m = 41;
    static double X[40 * 41];
    subject = "newton_csr";
    for (ptrdiff_t k = 1; k < 14; k += 2)
        for (int across = 0; across < 2; across++) {
            const ptrdiff_t rows = across ? 1 : k % 4 == 1 ? lanes : lanes - 1;
            int order[40];
            int64_t at[40];
            double report[6] = {0};
            nmf_newton job = NAME(make_newton)(k, order, m);
            NAME(fill)(NAME(A), 0.25, 1);
            make_pattern(&NAME(X), 20, m, 0.5);
            memset(X, 0, sizeof(X));
            for (ptrdiff_t r = 0; r < 20; r++)
                for (int64_t p = NAME(X).indptr[r]; p < NAME(X).indptr[r + 1]; p++)
                    X[r * m + NAME(X).indices[p]] = NAME(A)[p];
            ptrdiff_t longest = 0;
            for (ptrdiff_t r = 0; r < rows; r++)
                if (NAME(X).indptr[r + 1] - NAME(X).indptr[r] > NAME(X).indptr[longest + 1] - NAME(X).indptr[longest])
                    longest = r;
            for (ptrdiff_t r = 0; r < rows; r++)
                at[r] = (longest + r) % rows; /* the longest first; the others in any order */
            memset(NAME(scratch), 0, sizeof(NAME(scratch)));
            table->newton_csr(across, &job, NAME(A), NAME(X).indices, NAME(X).indptr, at, rows, NAME(scratch), report);
            NAME(check_newton)(&job, at, rows, m, X, report);
        }
}

static void NAME(test_losses)(int level, const NAME(nmf_losses) *table)
{
    NAME(test_entry_parts)(table);
    NAME(test_model_sums)(level, table);
    NAME(test_rows)(table);
    NAME(test_multiply)(table);
    NAME(test_newton_dense)(level, table);
    NAME(test_newton_csr)(level, table);
#if defined(WITH_LOSSES)
    test_beta_divergence(table);
#else
    compare(table->losses == NULL, 1, 0.5);
#endif
}
