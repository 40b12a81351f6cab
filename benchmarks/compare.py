"""How many times faster than scikit-learn, at equal objective: one table.

    python -m benchmarks.compare                 # everything
    python -m benchmarks.compare words_tfidf --k 20 --repeats 3
    python -m benchmarks.compare --loss kullback-leibler

Both contestants get the same start, the same dtype and the same number of threads. Ours runs with default settings:
T seconds to objective f, which is recomputed here from W and H. scikit-learn's solver for the loss (coordinate descent,
or multiplicative updates) then runs with tol=0 until its objective is at most f: T' seconds. The figure is T' / T, the
median over interleaved repeats.

For the Frobenius loss T' comes from max_iter = 1, 2, 4, ..., interpolated between the last two runs. For the others
that would take hours: T' is the number of multiplicative updates that lead to f, counted with nmf_core's "mu", whose
iterates are scikit-learn's (checked here after a few), times the seconds that one takes in scikit-learn; ">" says that
so many as `--most-updates` did not suffice.

The gap says whether ours stopped too early: its objective less that of scikit-learn's default run (max_iter=1000), in
units of what is allowed, min(0.002 (f_base - f_sk), 0.01 f_sk), with f_base = ||X||^2 / 2 for the Frobenius loss and
the divergence of row sums times column sums for others. Median over starts where there are several.
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
from benchmarks.problems import BETAS, objective, problem, rank_one, settle, start

# problem, dtype, ranks, seeds of the random starts
FROBENIUS = [
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
KULLBACK_LEIBLER = [
    ("debian_words", "float32", (20,), 1),
    ("debian_words", "float64", (20,), 1),
    ("pbmc3k", "float32", (20,), 1),
    ("pbmc3k", "float64", (20,), 1),
    ("fishin_3000", "float32", (20,), 1),
    ("tenx10k_dense", "float64", (20,), 1),
    ("digits", "float64", (20,), 3),
    ("all_aml", "float64", (3,), 5),
    ("breast21", "float64", (5,), 5),
]
CASES = [
    *(("frobenius", *case) for case in FROBENIUS),
    *(("kullback-leibler", *case) for case in KULLBACK_LEIBLER),
    ("itakura-saito", "fishin_3000_positive", "float32", (20,), 3),
    ("0.5", "debian_words", "float32", (10,), 1),
    ("1.5", "debian_words", "float32", (10,), 1),
]
MOST_UPDATES = 4096
BUDGET = 5.0  # seconds to spend on timing scikit-learn's update again, after the first time
SLOW = 5.0  # seconds that an update of scikit-learn takes, from which on ours stands in for its default run


def run_ours(X, k, W, H, n_threads, loss, **options):
    """Seconds, objective and result of a fit, by default with default settings."""
    settle()
    begin = time.perf_counter()
    result = nmf_core.factorize(X, k, W=W, H=H, n_threads=n_threads, loss=loss, **{"max_iter": 1000, **options})
    seconds = time.perf_counter() - begin
    return seconds, objective(X, result.W, result.H, loss), result


def run_theirs(X, k, W, H, n_threads, max_iter, tol=0.0, loss="frobenius"):
    """Seconds, objective, W and H of a scikit-learn fit."""
    model = NMF(
        k, init="custom", solver="cd" if loss == "frobenius" else "mu", beta_loss=loss, tol=tol, max_iter=max_iter
    )
    W, H = W.copy(), H.copy()
    settle()
    begin = time.perf_counter()
    with warnings.catch_warnings(), threadpool_limits(n_threads):
        warnings.simplefilter("ignore", ConvergenceWarning)
        W = model.fit_transform(X, W=W, H=H)
    seconds = time.perf_counter() - begin
    return seconds, objective(X, W, model.components_, loss), W, model.components_


def seconds_to(X, k, W, H, n_threads, goal, most=4096):
    """Seconds until scikit-learn's objective is at most `goal`, by doubling max_iter; infinite if it never is."""
    before = (0.0, objective(X, W, H))
    max_iter = 1
    while max_iter <= most:
        now = run_theirs(X, k, W, H, n_threads, max_iter)[:2]
        if now[1] <= goal:
            share = (before[1] - goal) / (before[1] - now[1]) if before[1] > now[1] else 1.0
            # the objective falls about geometrically, so a straight line between the two runs is too kind to us
            return before[0] + max(0.0, min(1.0, share)) * (now[0] - before[0]) if before[0] else now[0]
        before, max_iter = now, 2 * max_iter
    return float("inf")


def seconds_per_update(X, k, W, H, n_threads, loss):
    """What a multiplicative update of both factors takes in scikit-learn, whose iterates must be ours."""
    took = []
    begin = time.perf_counter()
    while len(took) < 5 and (not took or time.perf_counter() - begin < BUDGET):
        one = run_theirs(X, k, W, H, n_threads, 1, loss=loss)[0]
        n = 1 if one > SLOW else 4
        more, _, W_sk, _ = run_theirs(X, k, W, H, n_threads, 1 + n, loss=loss)
        took.append((more - one) / n)
    ours = nmf_core.factorize(X, k, W=W, H=H, loss=loss, solver="mu", tol=0, max_iter=1 + n)
    difference = np.linalg.norm(ours.W - W_sk) / np.linalg.norm(W_sk)
    if difference > 1e-3:
        raise AssertionError(f"the updates are not scikit-learn's: W differs by {difference}")
    return float(np.median(took))


def updates_to(X, k, W, H, goal, loss, most=MOST_UPDATES):
    """Multiplicative updates until the objective is at most `goal`, at most `most`, and whether that is reached."""
    result = nmf_core.factorize(
        X,
        k,
        W=W,
        H=H,
        loss=loss,
        solver="mu",
        tol=0,
        max_iter=most,
        callback=lambda state: state.objective <= goal,
    )
    return result.n_iter, result.objective <= goal * (1 + 1e-6)


def compare(loss, name, dtype, k, init, seed, repeats, n_threads, most_updates=MOST_UPDATES):
    """One row: median T, iterations, milliseconds per iteration, median T' / T, gap, T' of one update over ours, and
    whether theirs got there at all."""
    X = problem(name, dtype)
    W, H = start(name, k, init, dtype, seed)
    loss = loss if loss in BETAS else float(loss)
    rounds = []
    update = float("nan") if loss == "frobenius" else seconds_per_update(X, k, W, H, n_threads, loss)
    if loss == "frobenius":
        values = X.data if sp.issparse(X) else X
        f_base = float(np.sum(values.astype(np.float64) ** 2)) / 2
    else:
        f_base = objective(X, *rank_one(X), loss)
    if update > SLOW:
        _, f_sk, _ = run_ours(X, k, W, H, n_threads, loss, solver="mu")
    else:
        f_sk = run_theirs(X, k, W, H, n_threads, 1000, tol=1e-4, loss=loss)[1]
    updates, reached = None, True
    for _ in range(repeats):
        seconds, f, result = run_ours(X, k, W, H, n_threads, loss)
        if loss == "frobenius":
            theirs, ratio = seconds_to(X, k, W, H, n_threads, f), float("nan")
        else:
            if updates is None:  # f is the same every time
                updates, reached = updates_to(X, k, W, H, f, loss, most_updates)
            theirs = update * updates
            mu = run_ours(X, k, W, H, n_threads, loss, solver="mu", tol=0, max_iter=11)[2].history.seconds
            ratio = update / ((mu[-1] - mu[0]) / 10)
        rounds.append((seconds, result.n_iter, theirs / seconds, ratio))
    gap = (f - f_sk) / min(0.002 * (f_base - f_sk), 0.01 * f_sk)
    seconds, n_iter, faster, ratio = np.median(np.array(rounds), axis=0)
    return seconds, n_iter, 1e3 * seconds / n_iter, faster, gap, ratio, reached


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="problems; all by default")
    parser.add_argument("--loss", nargs="*", help="losses; all by default")
    parser.add_argument("--k", type=int, nargs="*", help="ranks")
    parser.add_argument("--dtype", choices=["float32", "float64"])
    parser.add_argument("--start", choices=["nndsvda", "random"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most-updates", type=int, default=MOST_UPDATES)
    args = parser.parse_args()
    nmf_core.show_config()
    print(
        f"\n{'loss':<16} {'problem':<18} {'dtype':<8} {'k':>3} {'start':<8} {'seconds':>8} {'iter':>5} {'ms/iter':>8} "
        f"{'faster':>9} {'gap':>7} {'one update':>10}"
    )
    for loss, name, dtype, ranks, seeds in CASES:
        if (args.names and name not in args.names) or (args.dtype and dtype != args.dtype):
            continue
        if args.loss and loss not in args.loss:
            continue
        for k in args.k or ranks:
            for init, n_seeds in (("nndsvda", 1), ("random", seeds)):
                if args.start and init != args.start:
                    continue
                rows = [
                    compare(loss, name, dtype, k, init, seed, args.repeats, args.threads, args.most_updates)
                    for seed in range(n_seeds)
                ]
                seconds, n_iter, each, faster, gap, ratio, reached = np.median(np.array(rows), axis=0)
                faster = f"{'' if reached == 1 else '>'}{faster:.1f}x"
                print(
                    f"{loss:<16} {name:<18} {dtype:<8} {k:>3} {init:<8} {seconds:8.3f} {n_iter:5.0f} {each:8.2f} "
                    f"{faster:>9} {gap:7.2f} {ratio:9.1f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
