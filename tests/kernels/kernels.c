/* The functions of products.c and losses.c, without Python: every one of every table that this processor can run is called
 * on small awkward sizes and compared with plain loops over doubles. Prints a line for each table; returns 1 if one of
 * their numbers is wrong.
 *
 * `python setup.py build_kernel_test --build-temp FOLDER` makes FOLDER/kernel_test, for another processor with CC set to its
 * compiler.
 */
#include <stdio.h>
#include <stdlib.h>
#include "dispatch.h"

/* Numbers in an array of a test; more than any needs, so that what is written where it should not is found. */
enum { ROOM = 1 << 15 };
#define UNTOUCHED (-77.25)

static uint64_t state = 1;
static const char *subject; /* the function that is tested */
static double worst;        /* of errors, in units of what is allowed */
static long compared, wrong;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

/* Whether `got` is `want` up to `allowed`. */
static void compare(double got, double want, double allowed)
{
    const double error = got == want ? 0 : fabs(got - want) / allowed;
    compared++;
    worst = error > worst ? error : worst;
    if (!(error <= 1)) {
        if (wrong++ < 10)
            printf("  %s: %.17g instead of %.17g, allowed %g\n", subject, got, want, allowed);
    }
}

/* A sparse matrix with empty rows, columns in ascending order. */
typedef struct {
    ptrdiff_t rows, columns;
    int32_t indices[ROOM];
    int64_t indptr[200], end[200];
} pattern;

static void make_pattern(pattern *to, ptrdiff_t rows, ptrdiff_t columns, double density)
{
    int64_t p = 0;
    to->rows = rows;
    to->columns = columns;
    for (ptrdiff_t r = 0; r < rows; r++) {
        to->indptr[r] = p;
        for (ptrdiff_t j = 0; j < columns && r % 5 != 3; j++)
            if (uniform() < density)
                to->indices[p++] = (int32_t)j;
    }
    to->indptr[rows] = p;
}

/* Some k components in another order: all of them, or every second one. */
static ptrdiff_t make_order(int *order, ptrdiff_t k, int all)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t c = k - 1; c >= 0; c--)
        if (all || c % 2 == 0)
            order[count++] = (int)c;
    return count;
}

/* y^(beta - 1), x y^(beta - 2), and what they add to the divergence. */
static double den(double beta, double y)
{
    return pow(y, beta - 1);
}

static double excess(double beta, double x, double y)
{
    if (beta == 1)
        return x == 0 ? 0 : x * (log(x / y) - 1);
    if (beta == 0)
        return log(y) + x / y;
    return -x * pow(y, beta - 1) / (beta - 1);
}

#define NAME2(f, tag) f##_##tag
#define NAME1(f, tag) NAME2(f, tag)
#define NAME(f) NAME1(f, TAG)

#define REAL float
#define TAG f
#define ALLOWED 3e-6
#include "products_test.h"
#include "observed_test.h"
#include "losses_test.h"
#include "newton_test.h"
#undef REAL
#undef TAG
#undef ALLOWED
#define REAL double
#define TAG d
#define ALLOWED 1e-14
#define WITH_LOSSES
#include "products_test.h"
#include "observed_test.h"
#include "losses_test.h"
#include "newton_test.h"

static int failed;

static void begin(void)
{
    state = 1;
    worst = 0;
    compared = wrong = 0;
}

static void end(const char *table, int level)
{
    printf("%-12s level %d: %8ld numbers, largest error %.2f of what is allowed%s\n", table, level, compared, worst,
           wrong ? ", WRONG" : "");
    failed |= wrong > 0;
}

/* Results below the normal numbers vanish when asked to, and are there again afterwards. */
static void test_underflow(void)
{
    volatile double small = DBL_MIN;
    const unsigned int mode = nmf_flush_underflow();
    subject = "flush_underflow";
    compare(small * 0.5, 0, 1e-320);
    nmf_restore_underflow(mode);
    compare(small * 0.5 > 0, 1, 0.5);
}

int main(void)
{
    for (int level = 0; level <= nmf_best_level(); level++) {
        begin();
        test_products_f(level, nmf_products_of_f[level]);
        end("products_f", level);
        begin();
        test_products_d(level, nmf_products_of_d[level]);
        end("products_d", level);
        begin();
        test_losses_f(level, nmf_losses_of_f[level]);
        end("losses_f", level);
        begin();
        test_losses_d(level, nmf_losses_of_d[level]);
        end("losses_d", level);
    }
    begin();
#if defined(__x86_64__) || defined(__aarch64__)
    test_underflow();
#endif
    end("underflow", nmf_best_level());
    return failed;
}
