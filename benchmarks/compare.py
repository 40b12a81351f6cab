"""How many times faster than scikit-learn, at equal objective: one table.

    python -m benchmarks.compare                 # everything
    python -m benchmarks.compare words_tfidf --k 20 --repeats 3

Both contestants get the same start, the same dtype and the same number of threads. Ours runs with default settings:
T seconds to objective f, which is recomputed here from W and H. scikit-learn's coordinate descent then runs with
tol=0 and max_iter = 1, 2, 4, ... until its objective is at most f: T' seconds, interpolated between the last two
runs. The figure is T' / T, the median over interleaved repeats. The gap says whether ours stopped too early: its
objective less that of scikit-learn's default run (max_iter=1000), in units of what is allowed,
min(0.002 (f_base - f_sk), 0.01 f_sk) with f_base = ||X||^2 / 2. Median over starts where there are several.
"""

import argparse
import time
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import nmf_core
from benchmarks.problems import objective, problem, start

# problem, dtype, ranks, seeds of the random starts
CASES = [
    ("words_tfidf", "float32", (20, 50), 1),
    ("words_tfidf", "float64", (20, 50), 1),
    ("bigrams_tfidf", "float32", (20,), 1),
    ("pbmc3k_log1p", "float32", (20,), 1),
    ("audio_fishin_large", "float32", (32,), 1),
    ("tenx10k_dense", "float64", (20,), 1),
    ("digits", "float64", (20,), 5),
    ("all_aml", "float64", (5, 10), 5),
    ("hawaiibirds", "float64", (5, 10), 5),
    ("audio_brahms", "float32", (20,), 3),
    ("debian_tags", "float64", (20,), 1),
    ("jester5k", "float64", (10,), 3),
    ("breast21", "float64", (5,), 5),
    ("karate", "float64", (5,), 5),
]


def run_ours(X, k, W, H, n_threads):
    """Seconds and objective of a default fit."""
    begin = time.perf_counter()
    result = nmf_core.factorize(X, k, W=W, H=H, n_threads=n_threads, max_iter=1000)
    seconds = time.perf_counter() - begin
    return seconds, objective(X, result.W, result.H), result.n_iter


def run_theirs(X, k, W, H, n_threads, max_iter, tol=0.0):
    """Seconds and objective of a scikit-learn fit."""
    model = NMF(k, init="custom", solver="cd", tol=tol, max_iter=max_iter)
    W, H = W.copy(), H.copy()
    begin = time.perf_counter()
    with warnings.catch_warnings(), threadpool_limits(n_threads):
        warnings.simplefilter("ignore", ConvergenceWarning)
        W = model.fit_transform(X, W=W, H=H)
    seconds = time.perf_counter() - begin
    return seconds, objective(X, W, model.components_)


def time_to(X, k, W, H, n_threads, goal, most=4096):
    """Seconds until scikit-learn's objective is at most `goal`, by doubling max_iter; infinite if it never is."""
    before = (0.0, objective(X, W, H))
    max_iter = 1
    while max_iter <= most:
        now = run_theirs(X, k, W, H, n_threads, max_iter)
        if now[1] <= goal:
            share = (before[1] - goal) / (before[1] - now[1]) if before[1] > now[1] else 1.0
            # the objective falls about geometrically, so a straight line between the two runs is too kind to us
            return before[0] + max(0.0, min(1.0, share)) * (now[0] - before[0]) if before[0] else now[0]
        before, max_iter = now, 2 * max_iter
    return float("inf")


def compare(name, dtype, k, init, seed, repeats, n_threads):
    """One row: median T, median T' / T, gap."""
    X = problem(name, dtype)
    W, H = start(name, k, init, dtype, seed)
    _, f_sk = run_theirs(X, k, W, H, n_threads, 1000, tol=1e-4)
    values = X.data if sp.issparse(X) else X
    f_base = float(np.sum(values.astype(np.float64) ** 2)) / 2
    ours, ratios = [], []
    for _ in range(repeats):
        seconds, f, n_iter = run_ours(X, k, W, H, n_threads)
        ours.append(seconds)
        ratios.append(time_to(X, k, W, H, n_threads, f) / seconds)
    gap = (f - f_sk) / min(0.002 * (f_base - f_sk), 0.01 * f_sk)
    return float(np.median(ours)), float(np.median(ratios)), gap, n_iter


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="problems; all by default")
    parser.add_argument("--k", type=int, nargs="*", help="ranks")
    parser.add_argument("--dtype", choices=["float32", "float64"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    nmf_core.show_config()
    print(f"\n{'problem':<20} {'dtype':<8} {'k':>3} {'start':<8} {'seconds':>8} {'iter':>5} {'faster':>12} {'gap':>7}")
    for name, dtype, ranks, seeds in CASES:
        if (args.names and name not in args.names) or (args.dtype and dtype != args.dtype):
            continue
        for k in args.k or ranks:
            for init, n_seeds in (("nndsvda", 1), ("random", seeds)):
                rows = [compare(name, dtype, k, init, seed, args.repeats, args.threads) for seed in range(n_seeds)]
                seconds, ratio, gap, n_iter = np.median(np.array(rows), axis=0)
                print(
                    f"{name:<20} {dtype:<8} {k:>3} {init:<8} {seconds:8.3f} {n_iter:5.0f} {ratio:11.1f}x {gap:7.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
