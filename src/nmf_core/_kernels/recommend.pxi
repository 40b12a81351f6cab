# The largest entries of a model's rows.


# For every row f of F the largest entries of f G.T and their columns, the largest first and of equal ones the first,
# without the columns excluded for the row: indices, ascending, from indptr[i] to indptr[i + 1]. Of each row of
# `columns` and `scores`, as many as are there are set. In tiles of 16 rows and 256 columns, which stay in the first
# cache level. Bytes: G's transpose, k m numbers, for every 16 rows, from cache.
def top_columns(int64_t[:, ::1] columns, real[:, ::1] scores, const real[:, ::1] F, const real[:, ::1] G, Py_ssize_t k,
                const int64_t[::1] indices, const int64_t[::1] indptr, Workspace workspace not None):
    cdef Py_ssize_t n = F.shape[0], m = G.shape[0], ld = F.shape[1], blocks = (n + HEIGHT - 1) // HEIGHT, b
    cdef Py_ssize_t size = HEIGHT * WIDTH
    cdef int level = workspace.level, n_threads = workspace.threads_for(<double>n * m * k)
    cdef real* scratch = <real*>workspace.reserve((workspace.n_threads * size + k * m) * sizeof(real))
    cdef real* Gt = scratch + workspace.n_threads * size
    cdef const int64_t* excluded = &indices[0] if indices.shape[0] else NULL
    if n == 0:
        return
    with nogil:
        for b in prange((m + TILE - 1) // TILE, schedule="static", num_threads=n_threads):
            transpose(level, min(<Py_ssize_t>TILE, m - b * TILE), k, &G[b * TILE, 0], ld, Gt + b * TILE, m)
        for b in prange(blocks, schedule="dynamic", chunksize=1, num_threads=n_threads):
            top_of_rows(level, &columns[b * HEIGHT, 0], &scores[b * HEIGHT, 0], columns.shape[1], &F[b * HEIGHT, 0],
                        min(<Py_ssize_t>HEIGHT, n - b * HEIGHT), k, ld, Gt, m, excluded, &indptr[b * HEIGHT],
                        scratch + threadid() * size)


cdef void top_of_rows(int level, int64_t* columns, real* scores, Py_ssize_t wanted, const real* F, Py_ssize_t rows,
                      Py_ssize_t k, Py_ssize_t ld, const real* Gt, Py_ssize_t m, const int64_t* excluded,
                      const int64_t* indptr, real* Y) noexcept nogil:
    cdef Py_ssize_t c, i, j, width, place
    cdef Py_ssize_t[HEIGHT] found
    cdef int64_t[HEIGHT] next_excluded
    cdef real score
    cdef real* best
    for i in range(rows):
        found[i] = 0
        next_excluded[i] = indptr[i]
    for c in range((m + WIDTH - 1) // WIDTH):
        width = min(<Py_ssize_t>WIDTH, m - c * WIDTH)
        product(level, SET, rows, width, k, F, ld, 1, Gt + c * WIDTH, m, Y, WIDTH)
        for i in range(rows):
            best = scores + i * wanted
            for j in range(width):
                if next_excluded[i] < indptr[i + 1] and excluded[next_excluded[i]] == c * WIDTH + j:
                    next_excluded[i] += 1
                    continue
                score = Y[i * WIDTH + j]
                if found[i] == wanted and not score > best[wanted - 1]:
                    continue
                # into its place among those found so far, by insertion: few get here once the best are there
                place = found[i] if found[i] < wanted else wanted - 1
                found[i] = min(found[i] + 1, wanted)
                while place > 0 and score > best[place - 1]:
                    best[place] = best[place - 1]
                    columns[i * wanted + place] = columns[i * wanted + place - 1]
                    place -= 1
                best[place] = score
                columns[i * wanted + place] = c * WIDTH + j
