/* Non-negative CCD++: the baseline of recommendation.py, written from the formulas of H.-F. Yu, C.-J. Hsieh, S. Si and
   I. Dhillon, "Scalable coordinate descent approaches to parallel matrix factorization for recommender systems" (2012),
   doi:10.1109/ICDM.2012.168.

   X_ij ~ sum_t W_ti H_tj over the observed entries; minimised are their squared errors plus the penalty. Components are
   visited one by one. With R the residual, R^ = R + w h' is what component (w, h) is to fit, and `inner` times

       w_i = max(0, sum_j R^_ij h_j / (penalty_i + sum_j h_j^2)),    then h_j likewise over columns.

   As in the paper, factors lie component by component, the residual is kept twice, by rows and by columns, so that both
   updates read it in order, and threads take rows as they get ready. Done here for speed, with the same results:

   - What is kept is R^, not R. Taking the last component out of it, putting the next one in and summing up for its
     first update is one pass. So with inner = 1 a component costs one pass over the rows and one over the columns.
   - The three numbers of the other factor that this takes lie side by side: one cache line an entry, not three.
   - Rows and columns are filled up to whole vectors with entries that point at a zero, so no loop has a remainder. */

#include <stdint.h>

#define LANES 16 /* rows and columns are filled up to multiples of this */
#define PLACE 4  /* numbers side by side */

typedef struct {
    int64_t n;            /* rows, or columns */
    const int64_t *start; /* n + 1: where the entries of each begin */
    const int32_t *other; /* PLACE times the column, or row, of each entry */
    const float *penalty; /* n: what the square of a coefficient costs */
    float *residual;      /* R^, of each entry */
    float *factor;        /* k x n */
    const float *last;    /* n: the component in the residual; zeros at first */
    float *places;        /* (n + 1) x PLACE, for the other side: what leaves, what enters, what is fitted to */
} Side;

typedef enum {
    ENTER,         /* the component enters the residual; what is fitted to is what enters */
    ENTER_CHANGED, /* the same, but what is fitted to has changed since */
    STAY           /* the component is in the residual already */
} Visit;

/* The best coefficient of a row, or column, for what `others` has in its places; `gain`: what that does for the sum. */
static inline float best(const Side *side, int64_t i, float out, float before, const float *restrict others,
                         Visit visit, double *gain)
{
    const int64_t length = (side->start[i + 1] - side->start[i]) & -LANES;
    const int32_t *restrict other = side->other + side->start[i];
    float *restrict residual = side->residual + side->start[i];
    float cross = 0, square = side->penalty[i];
    for (int64_t p = 0; p < length; p++) {
        const float fitted_to = others[other[p] + (visit == ENTER ? 1 : 2)];
        float r = residual[p];
        if (visit != STAY) {
            r += before * others[other[p] + 1] - out * others[other[p]];
            residual[p] = r;
        }
        cross += r * fitted_to;
        square += fitted_to * fitted_to;
    }
    const float after = cross > 0 && square > 0 ? cross / square : 0;
    *gain += ((double)square * (before + after) - 2 * cross) * (before - after);
    return after;
}

/* W's half of an alternation. Called by every thread of a team, as is the other half. */
static inline void visit_rows(const Side *rows, const float *last, float *w, const float *others, Visit visit,
                              double *gain)
{
    double mine = 0;
#pragma omp for schedule(dynamic, 16) nowait
    for (int64_t i = 0; i < rows->n; i++) {
        float *place = rows->places + PLACE * i;
        const float after = best(rows, i, last[i], w[i], others, visit, &mine);
        if (visit == ENTER) {
            place[0] = last[i];
            place[1] = w[i];
        }
        w[i] = place[2] = after;
    }
#pragma omp atomic
    *gain += mine;
#pragma omp barrier
}

/* H's half, which also prepares the visit to the next component. */
static inline void visit_columns(const Side *columns, const float *last, float *h, const float *next,
                                 const float *others, Visit visit, double *gain)
{
    double mine = 0;
#pragma omp for schedule(dynamic, 16) nowait
    for (int64_t j = 0; j < columns->n; j++) {
        float *place = columns->places + PLACE * j;
        h[j] = place[0] = place[2] = best(columns, j, last[j], h[j], others, visit, &mine);
        place[1] = next[j];
    }
#pragma omp atomic
    *gain += mine;
#pragma omp barrier
}

/* One iteration: every component once. Alternations at a component end after `inner`, or when one has lowered the
   objective by less than `tol` times the most that any has in this iteration, which is the paper's rule. Before the
   first iteration the places of `columns` must be 0, and twice the first component of H. */
void ccdpp_iterate(Side *rows, Side *columns, int k, int inner, double tol, int n_threads)
{
    double gain = 0, most = 0;
    int more = 1;
#pragma omp parallel num_threads(n_threads)
    {
        const float *last_w = rows->last, *last_h = columns->last;
        for (int t = 0; t < k; t++) {
            float *w = rows->factor + t * rows->n, *h = columns->factor + t * columns->n;
            const float *next = columns->factor + (t + 1) % k * columns->n;
            for (int s = 0; s < inner; s++) {
                if (s == 0) { /* constants, so that there is a loop for each */
                    visit_rows(rows, last_w, w, columns->places, ENTER, &gain);
                    visit_columns(columns, last_h, h, next, rows->places, ENTER_CHANGED, &gain);
                } else {
                    visit_rows(rows, last_w, w, columns->places, STAY, &gain);
                    visit_columns(columns, last_h, h, next, rows->places, STAY, &gain);
                }
                if (inner == 1) /* nothing to decide, one barrier less */
                    break;
#pragma omp single
                {
                    more = gain >= tol * most;
                    most = gain > most ? gain : most;
                    gain = 0;
                }
                if (!more)
                    break;
            }
            last_w = w;
            last_h = h;
        }
    }
    rows->last = rows->factor + (k - 1) * rows->n;
    columns->last = columns->factor + (k - 1) * columns->n;
}
