/* Tests of a table of products.c, for one precision. */

static REAL NAME(A)[ROOM], NAME(B)[ROOM], NAME(C)[ROOM], NAME(D)[ROOM], NAME(E)[ROOM], NAME(G)[ROOM];
static REAL NAME(scratch)[8 * ROOM];
static double NAME(want)[ROOM];
static pattern NAME(X);

static void NAME(fill)(REAL *array, double low, double high)
{
    for (ptrdiff_t i = 0; i < ROOM; i++)
        array[i] = (REAL)(low + (high - low) * uniform());
}

static void NAME(clear)(REAL *array)
{
    for (ptrdiff_t i = 0; i < ROOM; i++)
        array[i] = (REAL)UNTOUCHED;
}

/* What a function should leave in an array, as long as it is not told more. */
static void NAME(expect)(const REAL *array)
{
    for (ptrdiff_t i = 0; i < ROOM; i++)
        NAME(want)[i] = array[i];
}

/* The first numbers of an array, and that some beyond them are untouched. */
static void NAME(compare)(const REAL *got, ptrdiff_t count, double size)
{
    for (ptrdiff_t i = 0; i < count + 70 && i < ROOM; i++)
        compare(got[i], NAME(want)[i], i < count ? ALLOWED * size : 1e-300);
}

/* C = / += / -= A B; A by rows or by columns, whose distance may be a power of two. */
static void NAME(test_product)(const NAME(nmf_products) *table)
{
    static const ptrdiff_t rows[] = {1, 3, 4, 5, 8, 13, 19}, widths[] = {1, 2, 3, 4, 6, 7, 8, 12, 13, 20, 24, 28, 37, 71},
                           depths[] = {1, 5, 103, 270};
    subject = "product";
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (size_t j = 0; j < sizeof(widths) / sizeof(*widths); j++)
            for (size_t l = 0; l < sizeof(depths) / sizeof(*depths); l++) {
                const ptrdiff_t n = depths[l], width = widths[j], ldb = width + 1, ldc = width + 2;
                const ptrdiff_t far = l % 2 ? 24 : 512 / (ptrdiff_t)sizeof(REAL);
                const int across = n * far < ROOM && (i + j) % 2, mode = (int)((i + j + l) % 3);
                const ptrdiff_t row_step = across ? 1 : n + 3, step = across ? far : 1;
                NAME(expect)(NAME(C));
                for (ptrdiff_t r = 0; r < rows[i]; r++)
                    for (ptrdiff_t w = 0; w < width; w++) {
                        double sum = 0;
                        for (ptrdiff_t p = 0; p < n; p++)
                            sum += (double)NAME(A)[r * row_step + p * step] * NAME(B)[p * ldb + w];
                        double *to = NAME(want) + r * ldc + w;
                        *to = mode == NMF_SET ? sum : mode == NMF_ADD ? *to + sum : *to - sum;
                    }
                table->product(mode, rows[i], width, n, NAME(A), row_step, step, NAME(B), ldb, NAME(C), ldc);
                NAME(compare)(NAME(C), rows[i] * ldc, 10);
                NAME(fill)(NAME(C), -1, 1);
            }
}

/* C = X G, then G += X.T F for whole rows of X and for the middle of each. */
static void NAME(test_sparse)(const NAME(nmf_products) *table)
{
    static const ptrdiff_t widths[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 29, 48, 90, 150};
    pattern *X = &NAME(X);
    for (size_t j = 0; j < sizeof(widths) / sizeof(*widths); j++) {
        const ptrdiff_t width = widths[j], ld = width + 1;
        make_pattern(X, 23, 41, 0.3);
        subject = "gather";
        NAME(expect)(NAME(C));
        for (ptrdiff_t r = 0; r < X->rows; r++)
            for (ptrdiff_t w = 0; w < width; w++) {
                double sum = 0;
                for (int64_t p = X->indptr[r]; p < X->indptr[r + 1]; p++)
                    sum += (double)NAME(A)[p] * NAME(B)[X->indices[p] * ld + w];
                NAME(want)[r * ld + w] = sum;
            }
        table->gather(X->rows, width, NAME(A), X->indices, X->indptr, NAME(B), ld, NAME(C), ld);
        NAME(compare)(NAME(C), X->rows * ld, 5);
        subject = "scatter";
        for (int whole = 0; whole < 2; whole++) {
            int64_t begin[200];
            NAME(expect)(NAME(D));
            for (ptrdiff_t r = 0; r < X->rows; r++) {
                const int64_t stop = X->indptr[r + 1];
                begin[r] = X->indptr[r] + (!whole && X->indptr[r] < stop);
                X->end[r] = !whole && begin[r] < stop ? stop - r % 2 : stop;
                for (int64_t p = begin[r]; p < X->end[r]; p++)
                    for (ptrdiff_t w = 0; w < width; w++)
                        NAME(want)[X->indices[p] * ld + w] += (double)NAME(A)[p] * NAME(C)[r * ld + w];
            }
            table->scatter(X->rows, width, NAME(A), X->indices, whole ? X->indptr : begin,
                           whole ? X->indptr + 1 : X->end, NAME(C), ld, NAME(D), ld);
            NAME(compare)(NAME(D), X->columns * ld, 30);
        }
        NAME(fill)(NAME(D), -1, 1);
    }
}

/* gram (k x k) of random components, one of them all zero. */
static void NAME(make_gram)(REAL *gram, ptrdiff_t k, ptrdiff_t zero)
{
    static double F[60 * 40];
    for (ptrdiff_t i = 0; i < 60 * k; i++)
        F[i] = i % k == zero ? 0 : uniform();
    for (ptrdiff_t c = 0; c < k * k; c++) {
        double sum = 0;
        for (ptrdiff_t i = 0; i < 60; i++)
            sum += F[i * k + c / k] * F[i * k + c % k];
        gram[c] = (REAL)(sum / 60);
    }
}

static void NAME(test_descend)(int level, const NAME(nmf_products) *table)
{
    const ptrdiff_t tile = NMF_TILE_ROWS(level, REAL);
    subject = "descend";
    for (ptrdiff_t k = 1; k <= 14; k++) {
        int order[40];
        const ptrdiff_t count = make_order(order, k, k % 3 != 0);
        const REAL l1 = k % 2 ? 0 : (REAL)0.125, *active = k % 4 < 2 ? NULL : NAME(E);
        NAME(make_gram)(NAME(G), k, k % 5 == 4 ? k - 1 : -1);
        NAME(fill)(NAME(A), 0, 1);
        NAME(fill)(NAME(B), -0.5, 2);
        for (ptrdiff_t i = 0; i < ROOM; i++)
            NAME(E)[i] = (REAL)(uniform() < 0.7);
        NAME(fill)(NAME(C), 0, 0.25);
        for (int turn = 0; turn < 2; turn++) { /* the tile, then the squares */
            double P[40];
            NAME(expect)(turn ? NAME(C) : NAME(A));
            for (ptrdiff_t s = 0; s < tile; s++) {
                double squares = NAME(C)[s];
                for (ptrdiff_t c = 0; c < k; c++)
                    P[c] = NAME(A)[c * tile + s];
                for (ptrdiff_t i = 0; i < count; i++) {
                    const ptrdiff_t c = order[i];
                    const double d = NAME(G)[c * k + c];
                    double slope = (double)NAME(B)[c * tile + s] - l1;
                    for (ptrdiff_t l = 0; l < k; l++)
                        slope -= (double)NAME(G)[c * k + l] * P[l];
                    double to = d == 0 ? (l1 > 0 ? 0 : P[c]) : P[c] + slope / d;
                    to = to > 0 && (active == NULL || active[s] != 0) ? to : active == NULL || active[s] != 0 ? 0 : P[c];
                    squares += (to - P[c]) * (to - P[c]) * d;
                    P[c] = to;
                }
                for (ptrdiff_t c = 0; c < k && !turn; c++)
                    NAME(want)[c * tile + s] = P[c];
                if (turn)
                    NAME(want)[s] = squares;
            }
            if (!turn) {
                memcpy(NAME(D), NAME(A), sizeof(NAME(A)));
                memcpy(NAME(scratch), NAME(C), sizeof(NAME(C)));
                table->descend(count, k, order, NAME(G), NAME(D), NAME(B), l1, NAME(scratch), active);
            }
            NAME(compare)(turn ? NAME(scratch) : NAME(D), turn ? tile : k * tile, turn ? 1000 : 100);
        }
    }
}

static void NAME(test_copies)(const NAME(nmf_products) *table)
{
    for (ptrdiff_t rows = 1; rows < 40; rows += 1 + rows / 5)
        for (ptrdiff_t columns = 1; columns < 40; columns += 1 + columns / 6) {
            subject = "transpose";
            NAME(expect)(NAME(C));
            for (ptrdiff_t i = 0; i < rows * columns; i++)
                NAME(want)[i % columns * (rows + 2) + i / columns] = NAME(A)[i / columns * (columns + 1) + i % columns];
            table->transpose(rows, columns, NAME(A), columns + 1, NAME(C), rows + 2);
            NAME(compare)(NAME(C), columns * (rows + 2), 0);
        }
    for (ptrdiff_t ld = 1; ld < 40; ld += 3) {
        const REAL momentum = (REAL)0.75, least = (REAL)(ld % 2 ? 0 : 0.25);
        NAME(fill)(NAME(D), 0, 1);
        NAME(fill)(NAME(B), 0, 1);
        NAME(fill)(NAME(C), 0, 1);
        subject = "extrapolate";
        NAME(expect)(NAME(D));
        for (ptrdiff_t i = 0; i < 5 * ld; i++) {
            const double now = NAME(D)[i], was = (double)NAME(C)[i] * NAME(B)[i % ld];
            const double ahead = now + momentum * (now - was);
            NAME(want)[i] = ahead > least * now ? ahead : least * now;
        }
        memcpy(NAME(E), NAME(D), sizeof(NAME(D)));
        table->extrapolate(5, ld, momentum, least, NAME(B), NAME(C), NAME(C), NAME(D));
        NAME(compare)(NAME(D), 5 * ld, 1);
        for (ptrdiff_t i = 0; i < 5 * ld; i++)
            compare(NAME(C)[i], NAME(E)[i], 1e-300);
    }
}

static void NAME(test_dots)(const NAME(nmf_products) *table)
{
    double y[64];
    for (ptrdiff_t n = 0; n < 200; n += 1 + n / 3) {
        double sum = 0;
        subject = "dot";
        for (ptrdiff_t i = 0; i < n; i++)
            sum += (double)NAME(A)[i] * NAME(B)[i];
        compare(table->dot(n, NAME(A), NAME(B)), sum, 20 * ALLOWED);
    }
    make_pattern(&NAME(X), 1, 60, 0.8);
    for (ptrdiff_t k = 1; k < 30; k += 4) {
        const ptrdiff_t last = NAME(X).indptr[1];
        subject = "double_dots";
        table->double_dots(last, last, k, NAME(X).indices, NAME(A), NAME(B), k + 1, y);
        for (ptrdiff_t p = 0; p < last; p++) {
            double sum = 0;
            for (ptrdiff_t c = 0; c < k; c++)
                sum += (double)NAME(A)[c] * NAME(B)[NAME(X).indices[p] * (k + 1) + c];
            compare(y[p], sum, 1e-13);
        }
    }
}

/* Pivoting against coordinate descent that goes on until nothing moves. */
static void NAME(test_pivot)(int level, const NAME(nmf_products) *table)
{
    const ptrdiff_t lanes = NMF_LANES(NMF_BYTES_AT(level), REAL);
    for (ptrdiff_t k = 1; k < 12; k += 2)
        for (int rule = NMF_BLOCK; rule <= NMF_ACTIVE; rule++) {
            const ptrdiff_t rows = k % 4 == 1 ? lanes : lanes - 1;
            REAL *gram = NAME(G);
            subject = rule == NMF_BLOCK ? "pivot_rows, block" : "pivot_rows, active";
            NAME(make_gram)(gram, k, -1);
            for (ptrdiff_t i = 0; i < k; i++)
                for (ptrdiff_t j = 0; j < k; j++) /* a unit diagonal, far from singular */
                    NAME(E)[i * k + j] = i == j ? 1 : (REAL)(0.5 * gram[i * k + j] / sqrt((double)gram[i * k + i] * gram[j * k + j]));
            NAME(fill)(NAME(B), -1, 1);
            NAME(fill)(NAME(A), -1, 1);
            NAME(clear)(NAME(D));
            memcpy(NAME(D), NAME(A), k * lanes * sizeof(REAL));
            compare(table->pivot_rows(rule, k, rows, NAME(E), NAME(B), 3 * (int)k + 50, NAME(D), NAME(scratch)), 0, 0.5);
            for (ptrdiff_t s = 0; s < rows; s++) {
                double f[40] = {0};
                for (int sweep = 0; sweep < 2000; sweep++)
                    for (ptrdiff_t c = 0; c < k; c++) {
                        double slope = NAME(B)[c * lanes + s];
                        for (ptrdiff_t l = 0; l < k; l++)
                            slope -= (double)NAME(E)[c * k + l] * f[l];
                        f[c] = f[c] + slope > 0 ? f[c] + slope : 0;
                    }
                for (ptrdiff_t c = 0; c < k; c++)
                    compare(NAME(D)[c * lanes + s], f[c], 100 * ALLOWED);
            }
            for (ptrdiff_t i = k * lanes; i < k * lanes + 70; i++)
                compare(NAME(D)[i], UNTOUCHED, 1e-300);
        }
}
