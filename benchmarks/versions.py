"""Two versions of this package in turns: seconds of default fits.

    git worktree add ../old HEAD~20 && (cd ../old && python setup.py build_ext --inplace)
    python -m benchmarks.versions ../old/src src
    python -m benchmarks.versions ../old/src src words_tfidf digits --repeats 9

Every fit runs in a process of its own, which imports the package from one of the two folders; the processes take turns.
A process fits again and again for a second, at least twice, and tells its fastest. The figure is the median of new over
old, beside it iterations and the objective that each of them reaches, recomputed here.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import nmf_core
from benchmarks.problems import objective, problem, settle

# problem, dtype, rank, job, most iterations
PANEL = [
    *(("words_tfidf", dtype, k, "frobenius", 1000) for k in (20, 50) for dtype in ("float32", "float64")),
    *(("bigrams_tfidf", "float32", k, "frobenius", 1000) for k in (20, 50)),
    ("pbmc3k_log1p", "float32", 20, "frobenius", 1000),
    ("audio_fishin_large", "float32", 32, "frobenius", 1000),
    ("tenx10k_dense", "float64", 20, "frobenius", 1000),
    ("digits", "float64", 20, "frobenius", 1000),
    ("all_aml", "float64", 5, "frobenius", 1000),
    ("hawaiibirds", "float64", 5, "frobenius", 1000),
    ("debian_words", "float32", 20, "kullback-leibler", 40),
    ("pbmc3k", "float32", 20, "kullback-leibler", 40),
    ("tenx10k_dense", "float64", 20, "kullback-leibler", 40),
    ("fishin_3000_positive", "float32", 20, "itakura-saito", 40),
    ("planted_ratings", "float32", 20, "masked", 30),
    ("words_tfidf", "float32", 20, "mini-batch", 5),
]


def job(X, k, kind, max_iter):
    """W, H and the iterations of one fit, and the loss."""
    if kind == "mini-batch":
        model = nmf_core.MiniBatchNMF(k, max_iter=max_iter, random_state=0)
        W = model.fit_transform(X)
        return W, model.components_, model.n_steps_, "frobenius"
    masked = {"missing": "unstored", "alpha_W": 0.05, "alpha_scaling": "observed"}
    options = masked if kind == "masked" else {"loss": kind}
    result = nmf_core.factorize(X, k, max_iter=max_iter, random_state=0, **options)
    return result.W, result.H, result.n_iter, result.loss


def fit(name, dtype, k, kind, max_iter):
    """The fastest of the fits of a second, as a line of JSON."""
    warnings.simplefilter("ignore")  # the last iteration that is allowed is meant to be the end
    X = problem(name, dtype)
    settle()
    fastest, begin, n_fits = np.inf, time.perf_counter(), 0
    while n_fits < 2 or time.perf_counter() - begin < 1:
        before = time.perf_counter()
        W, H, n_iter, loss = job(X, k, kind, max_iter)
        fastest = min(fastest, time.perf_counter() - before)
        n_fits += 1
    print(json.dumps([fastest, n_iter, objective(X, W, H, loss)]))


def run(source, case, threads):
    """Seconds, iterations and objective of a fit by the package in a folder."""
    path = os.pathsep.join([str(source.resolve()), str(Path(__file__).resolve().parents[1])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.versions", "--fit", *map(str, case)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=source)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("old", type=Path, nargs="?", help="the folder that holds nmf_core/")
    parser.add_argument("new", type=Path, nargs="?")
    parser.add_argument("problems", nargs="*", help="all by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.fit:
        name, dtype, k, kind, max_iter = args.fit
        fit(name, dtype, int(k), kind, int(max_iter))
        return
    if args.new is None:
        parser.error("two folders that hold nmf_core/ are needed")
    print(f"{'problem':<21}{'dtype':<9}{'k':>3} {'job':<16}{'new/old':>8}{'old, ms':>10}  {'iterations':<12}objective")
    ratios = []
    for case in PANEL:
        if args.problems and case[0] not in args.problems:
            continue
        pairs = [[run(source, case, args.threads) for source in (args.old, args.new)] for _ in range(args.repeats)]
        seconds, iterations, values = np.array(pairs).transpose(2, 0, 1)
        ratios.append(np.median(seconds[:, 1] / seconds[:, 0]))
        ms = 1e3 * np.median(seconds[:, 0])
        counts = "{:.0f}, {:.0f}".format(*iterations[0])
        print(
            f"{case[0]:<21}{case[1]:<9}{case[2]:>3} {case[3]:<16}{ratios[-1]:8.3f}{ms:10.1f}  {counts:<12}"
            f"{values[0, 1] / values[0, 0] - 1:+.1e}",
            flush=True,
        )
    print(f"geometric mean {np.exp(np.mean(np.log(ratios))):.3f}")


if __name__ == "__main__":
    main()
