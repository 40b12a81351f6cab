"""Non-negative least squares with many right-hand sides, beside SciPy and beside grouping in NumPy.

python -m benchmarks.least_squares
"""

import time

import numpy as np
from scipy.optimize import nnls

import nmf_core

RIGHT_HAND_SIDES = 10_000


def problem(k):
    """A (5 k, k) and B (5 k, p), about a third of the unknowns positive, in float64."""
    rng = np.random.default_rng(0)
    A = rng.random((5 * k, k))
    Z = rng.random((k, RIGHT_HAND_SIDES)) * (rng.random((k, RIGHT_HAND_SIDES)) < 0.3)
    return A, A @ Z + 0.1 * rng.random((5 * k, RIGHT_HAND_SIDES))


def grouped(A, B, max_steps=200, tol=1e-12):
    """Block principal pivoting in NumPy: columns with equal passive sets share a factorization.

    After J. Kim and H. Park (2011), doi:10.1137/110821172.
    """
    gram, cross = A.T @ A, A.T @ B
    k, p = cross.shape
    passive = np.zeros((k, p), dtype=bool)
    X, Y = np.zeros((k, p)), -cross
    fewest, patience = np.full(p, k + 1), np.full(p, 3)
    for _ in range(max_steps):
        wrong = np.where(passive, X, Y) < -tol
        counts = wrong.sum(axis=0)
        open_ = np.flatnonzero(counts)
        if len(open_) == 0:
            break
        better = counts[open_] < fewest[open_]
        fewest[open_[better]] = counts[open_[better]]
        patience[open_] = np.where(better, 3, patience[open_] - 1)
        whole = open_[patience[open_] >= 0]
        passive[:, whole] ^= wrong[:, whole]
        single = open_[patience[open_] < 0]
        passive[k - 1 - wrong[::-1, single].argmax(axis=0), single] ^= True
        order = open_[np.lexsort(passive[:, open_])]
        sets = passive[:, order]
        for group in np.split(order, np.flatnonzero((sets[:, 1:] != sets[:, :-1]).any(axis=0)) + 1):
            inside = passive[:, group[0]]
            X[:, group] = 0
            if inside.any():
                X[np.ix_(inside, group)] = np.linalg.solve(gram[np.ix_(inside, inside)], cross[np.ix_(inside, group)])
        Y[:, open_] = gram @ X[:, open_] - cross[:, open_]
    return np.maximum(X, 0)


class NNLS:
    """10,000 right-hand sides with 20 or 50 unknowns; SciPy gets a tenth of them."""

    params = ([20, 50], [1, 2])
    param_names = ("k", "threads")
    timeout = 300

    def setup(self, k, threads):
        self.A, self.B = problem(k)

    def time_bpp(self, k, threads):
        nmf_core.nnls(self.A, self.B, n_threads=threads)

    def time_fnnls(self, k, threads):
        nmf_core.nnls(self.A, self.B, solver="fnnls", n_threads=threads)

    def time_grouped(self, k, threads):
        grouped(self.A, self.B)

    def time_scipy_for_a_tenth(self, k, threads):
        for b in self.B.T[: RIGHT_HAND_SIDES // 10]:
            nnls(self.A, b)


def _seconds(function, *arguments, **options):
    begin = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - begin


def main(repeats=5):
    print("   k          bpp        fnnls   grouped in NumPy   loop over SciPy   (over bpp)")
    for k in NNLS.params[0]:
        A, B = problem(k)
        rows = [
            (
                _seconds(nmf_core.nnls, A, B, n_threads=2),
                _seconds(nmf_core.nnls, A, B, solver="fnnls", n_threads=2),
                _seconds(grouped, A, B),
                10 * _seconds(lambda A=A, B=B: [nnls(A, b) for b in B.T[: RIGHT_HAND_SIDES // 10]]),
            )
            for _ in range(repeats)
        ]
        ours, active, groups, loop = np.median(rows, axis=0)
        print(
            f"{k:4} {1e3 * ours:9.1f} ms {1e3 * active:9.1f} ms {groups:9.2f} s ({groups / ours:.0f}x) "
            f"{loop:8.2f} s ({loop / ours:.0f}x)"
        )


if __name__ == "__main__":
    main()
