"""How many times faster than scikit-learn's MiniBatchNMF, at equal objective: one table.

    python -m benchmarks.minibatch               # everything
    python -m benchmarks.minibatch words_tfidf --start random --repeats 5

Both contestants get the same start, the same batches, the same dtype and the same number of threads. Ours runs with
default settings: T seconds to components of objective f. scikit-learn's then runs for max_iter = 1, 2, 4, ... times
through X, without stopping earlier, until its objective is at most f: T' seconds, interpolated between the last two
runs. The figure is T' / T, the median over interleaved repeats. Besides, what a pass through X takes in both.

The objective is that of the components: W is solved for to the end by the same function for both, `nmf_core`'s
transform, then the objective is computed here. This is not timed.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.decomposition import MiniBatchNMF
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import nmf_core
from benchmarks.problems import objective, problem, start
from nmf_core.transform import transform

# loss, problem, rank
CASES = [
    ("frobenius", "words_tfidf", 20),
    ("frobenius", "pbmc3k_log1p", 20),
    ("frobenius", "tenx10k_dense", 20),
    ("kullback-leibler", "debian_words", 20),
    ("kullback-leibler", "pbmc3k", 20),
]
MOST_EPOCHS = 256


def run(Model, X, k, W, H, loss, n_threads, **options):
    """Seconds, objective, and how many times a fit has gone through X."""
    model = Model(k, init="custom", beta_loss=loss, **options)
    W, H = W.copy(), H.copy()  # scikit-learn overwrites them
    begin = time.perf_counter()
    with warnings.catch_warnings(), threadpool_limits(n_threads):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, W=W, H=H)
    seconds = time.perf_counter() - begin
    found = transform(X, model.components_, loss=loss)
    epochs = model.n_steps_ / -(-X.shape[0] // model.batch_size)
    return seconds, objective(X, found.W, model.components_, loss), epochs


def theirs_to(goal, X, k, W, H, loss, n_threads):
    """Seconds, and times through X, until scikit-learn's objective is at most `goal`; infinite if it never is."""
    before, epochs = None, 1
    while epochs <= MOST_EPOCHS:
        now = run(MiniBatchNMF, X, k, W, H, loss, n_threads, tol=0, max_no_improvement=None, max_iter=epochs)
        if now[1] <= goal:
            share = 1.0 if before is None else (before[1] - goal) / (before[1] - now[1])
            before = before or now
            return tuple(before[i] + share * (now[i] - before[i]) for i in (0, 2))
        before, epochs = now, 2 * epochs
    return float("inf"), float("inf")


def compare(loss, name, dtype, k, init, seed, repeats, n_threads):
    """One row: objective, then medians of T, epochs, T', epochs, T' / T and the ratio of seconds of an epoch."""
    X = problem(name, dtype)
    W, H = start(name, k, init, dtype, seed)
    rounds = []
    for _ in range(repeats):
        ours, goal, epochs = run(nmf_core.MiniBatchNMF, X, k, W, H, loss, n_threads)
        theirs, their_epochs = theirs_to(goal, X, k, W, H, loss, n_threads)
        each = (theirs / their_epochs) / (ours / epochs) if np.isfinite(theirs) else float("nan")
        rounds.append((goal, ours, epochs, theirs, their_epochs, theirs / ours, each))
    return np.median(np.array(rounds), axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="problems; all by default")
    parser.add_argument("--dtype", choices=["float32", "float64"])
    parser.add_argument("--start", choices=["nndsvda", "random"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    nmf_core.show_config()
    print(
        f"\n{'loss':<16} {'problem':<14} {'dtype':<8} {'k':>3} {'start':<8} {'objective':>11} {'seconds':>8} "
        f"{'epochs':>7} {'theirs':>8} {'epochs':>7} {'faster':>8} {'an epoch':>9}"
    )
    for loss, name, k in CASES:
        if args.names and name not in args.names:
            continue
        for dtype in [args.dtype] if args.dtype else ["float32", "float64"]:
            for init in [args.start] if args.start else ["nndsvda", "random"]:
                row = compare(loss, name, dtype, k, init, 0, args.repeats, args.threads)
                goal, ours, epochs, theirs, their_epochs, faster, each = row
                print(
                    f"{loss:<16} {name:<14} {dtype:<8} {k:>3} {init:<8} {goal:11.6g} {ours:8.3f} {epochs:7.2f} "
                    f"{theirs:8.2f} {their_epochs:7.1f} {faster:7.1f}x {each:8.1f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
