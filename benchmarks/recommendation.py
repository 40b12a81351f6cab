"""How many times faster than CCD++, at equal held-out error: ratings of which most are missing.

    python -m benchmarks.recommendation
    python -m benchmarks.recommendation --penalties 0.003 0.01 --repeats 3 --limit 30
    python -m benchmarks.recommendation --jester

The ratings are planted: W H of gamma(1) numbers, scaled to a mean of 3.5, plus normal noise, at random places. A tenth
is held out. Seconds are those of computation, preparation included, until the root mean squared error of the held-out
ratings, measured outside the clock after every iteration, is at most the target. Contestants take turns; every round
has starts of its own. All minimise the squared errors plus penalty times the squares of W and H, of a row or column
once for each of its ratings, so a penalty means the same to all; each is judged by the one that suits it best.

- nmf_core: `factorize` with ``missing="unstored"``, otherwise with default settings, without a tolerance.
- CCD++ (Yu, Hsieh, Si and Dhillon 2012), non-negative: ``ccdpp.c``, compiled at first use by CC, gcc by default; with
  one alternation at a component ("CCD++, 1"), and with up to five, ended by the paper's rule ("CCD++, 5"). It starts
  from W = 0, which leads to the target in fewer iterations than random factors.
- LIBMF (stochastic gradients), if the package ``libmf`` can be imported. It shows no factors on the way: its errors are
  what it prints in a run of its own, its seconds those of silent runs. Without these flags it has no vectors:

      CXXFLAGS="-O3 -march=native -DUSEAVX -DUSEOMP -fopenmp" pip install --no-cache-dir --no-binary libmf libmf

With --jester, the error of real ratings instead: a tenth is held out, components and penalty are chosen by the others.
"""

import argparse
import contextlib
import ctypes
import functools
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import nmf_core
from benchmarks.problems import planted_ratings, problem
from nmf_core.model_selection import cross_validate_rank, holdout_entries

LANES, PLACE = 16, 4  # as in ccdpp.c
INNER_TOL = 0.1  # where a component may be alternated at more than once; 0.03 and 0.2 are no better
PATIENCE = 50  # iterations without a new lowest error, after which a run ends
# Not -ffast-math: a library that is linked with it makes numbers below the normal ones zero in the whole process.
MATH = ("-fassociative-math", "-fno-math-errno", "-fno-signed-zeros", "-fno-trapping-math", "-ffinite-math-only")
FLAGS = ("-std=c99", "-O3", "-march=native", *MATH, "-fopenmp", "-shared", "-fPIC")


def rmse(test, W, H):
    """Root mean squared error of the held-out ratings."""
    rows, columns, values = test
    errors = values.astype(np.float64)
    for w, h in zip(W.T, H, strict=True):
        errors -= w[rows] * h[columns]
    return float(np.sqrt(np.mean(errors**2)))


class Course:
    """Held-out error over seconds of computation, of one run."""

    def __init__(self, test, limit):
        self.test, self.limit = test, limit
        self.seconds, self.errors = [], []

    def add(self, seconds, W, H):
        """Notes an iteration. Whether the run may end: its time is up, or it has not got better for long."""
        self.seconds.append(seconds)
        self.errors.append(rmse(self.test, W, H))
        return seconds >= self.limit or len(self.errors) - 1 - np.argmin(self.errors) >= PATIENCE

    def per_iteration(self):
        """Seconds, without preparation."""
        if len(self.seconds) < 2:
            return float("nan")
        return (self.seconds[-1] - self.seconds[0]) / (len(self.seconds) - 1)

    def preparation(self):
        """Seconds that the first iteration took longer than the others."""
        return self.seconds[0] - self.per_iteration()

    def to(self, target):
        """Seconds and iterations until the error is at most `target`, infinite if it never is."""
        there = np.flatnonzero(np.array(self.errors) <= target)
        return (self.seconds[there[0]], there[0] + 1) if len(there) else (float("inf"), float("inf"))


class Side(ctypes.Structure):
    """The struct of ccdpp.c for W, or for H, with the arrays that it points to.

    Parameters
    ----------
    X : csr_array
        The ratings, for H their transpose.
    factor : ndarray of shape (k, n), float32
        W, or H, by components.
    penalty : ndarray of shape (n,)
        What the square of a coefficient costs.
    """

    NAMES = ("start", "other", "penalty", "residual", "factor", "last", "places")
    _fields_ = (("n", ctypes.c_int64), *((name, ctypes.c_void_p) for name in NAMES))

    def __init__(self, X, factor, penalty):
        n, n_others = X.shape
        counts = np.diff(X.indptr).astype(np.int64)
        start = np.concatenate([[0], np.cumsum(-(-counts // LANES) * LANES)])
        if PLACE * (n_others + 1) > np.iinfo(np.int32).max:
            raise ValueError("ccdpp.c counts places in 32 bits")
        where = np.repeat(start[:-1] - X.indptr[:-1], counts) + np.arange(X.nnz)
        other = np.full(start[-1], PLACE * n_others, dtype=np.int32)
        other[where] = PLACE * X.indices
        residual = np.zeros(start[-1], dtype=np.float32)
        residual[where] = X.data
        last, places = np.zeros(n, dtype=np.float32), np.zeros((n + 1, PLACE), dtype=np.float32)
        places[:-1, 1:3] = factor[0][:, np.newaxis]
        self.arrays = (start, other, penalty.astype(np.float32), residual, factor, last, places)
        super().__init__(n, *(array.ctypes.data for array in self.arrays))


@functools.cache
def library():
    """ccdpp.c, compiled for this machine."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "ccdpp.so"
        source = Path(__file__).with_name("ccdpp.c")
        subprocess.run([os.environ.get("CC", "gcc"), *FLAGS, "-o", target, source], check=True)
        compiled = ctypes.CDLL(str(target))  # stays loaded when the file is gone
    side, integer = ctypes.POINTER(Side), ctypes.c_int
    compiled.ccdpp_iterate.argtypes = (side, side, integer, integer, ctypes.c_double, integer)
    compiled.ccdpp_iterate.restype = None
    return compiled


def ccdpp(X, k, penalty, *, scaling="observed", inner=1, tol=0.0, start="zero", seed=0, n_threads=2):
    """Non-negative CCD++, for ever.

    Parameters
    ----------
    scaling : {"observed", "plain"}
        Whether the penalty of a row or column grows with its number of ratings.
    inner, tol : int, float
        Most alternations at a component, and by which share of the largest decrease of an iteration one must lower the
        objective to be followed by another.
    start : {"zero", "random"}
        W = 0 and random H, as in the paper, or both random with about the mean of X.

    Yields
    ------
    seconds : float
        Of computation, preparation included.
    W, H : ndarray of shape (n, k) and (k, m)
        Views that change in the next iteration.
    """
    iterate = library().ccdpp_iterate
    begin = time.perf_counter()
    rng = np.random.default_rng(seed)
    size = 2 * (float(X.data.mean()) / k) ** 0.5
    H = size * rng.random((k, X.shape[1]), dtype=np.float32)
    W = np.zeros((k, X.shape[0]), dtype=np.float32)
    residual = X
    if start == "random":
        W = size * rng.random(W.shape, dtype=np.float32)
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        residual = X.copy()
        for w, h in zip(W, H, strict=True):
            residual.data -= w[rows] * h[X.indices]
    sides = []
    for matrix, factor in ((residual, W), (sp.csr_array(residual.T), H)):
        counts = np.diff(matrix.indptr) if scaling == "observed" else np.ones(matrix.shape[0])
        sides.append(Side(matrix, factor, penalty * counts))
    seconds = time.perf_counter() - begin
    while True:
        begin = time.perf_counter()
        iterate(*sides, k, inner, tol, n_threads)
        seconds += time.perf_counter() - begin
        yield seconds, W.T, H


def run_ccdpp(X, test, k, penalty, seed, args, inner):
    course = Course(test, args.limit)
    tol = INNER_TOL if inner > 1 else 0.0
    run = ccdpp(
        X, k, penalty, scaling=args.scaling, inner=inner, tol=tol, start=args.start, seed=seed, n_threads=args.threads
    )
    for seconds, W, H in run:
        if course.add(seconds, W, H):
            return course


def run_nmf_core(X, test, k, penalty, seed, args):
    course = Course(test, args.limit)
    outside = 0.0

    def note(state):
        nonlocal outside
        now = time.perf_counter()
        done = course.add(now - begin - outside, state.W, state.H)
        outside += time.perf_counter() - now
        return done

    options = {"alpha_W": penalty, "alpha_scaling": "observed"}
    if args.scaling == "plain":  # "size" multiplies by the number of columns, or rows
        options = {"alpha_W": penalty / X.shape[1], "alpha_H": penalty / X.shape[0]}
    begin = time.perf_counter()
    nmf_core.factorize(
        X, k, missing="unstored", l1_ratio=0.0, init="random", random_state=seed, tol=0, max_iter=1_000_000,
        n_threads=args.threads, callback=note, **options,
    )  # fmt: skip
    return course


def run_libmf(X, test, k, penalty, seed, args, eta):
    with contextlib.redirect_stdout(io.StringIO()):  # it says where it found itself
        from libmf import mf
    coo = sp.coo_array(X)
    ratings, held_out = (np.column_stack(triple).astype(np.float32) for triple in ((coo.row, coo.col, coo.data), test))

    def model(n_iter, quiet=True):
        bins = max(20, 2 * args.threads + 1)
        return mf.MF(
            k=k, nr_threads=args.threads, nr_bins=bins, nr_iters=n_iter, lambda_p1=0.0, lambda_q1=0.0,
            lambda_p2=penalty, lambda_q2=penalty, eta=eta, do_nmf=True, quiet=quiet,
        )  # fmt: skip

    def seconds(n_iter):
        one = model(n_iter)
        begin = time.perf_counter()
        one.fit(ratings)
        return time.perf_counter() - begin

    few, many = 1, 21
    first = seconds(few)
    each = (seconds(many) - first) / (many - few)
    n_iter = max(1, min(int((args.limit - first) / each), args.libmf_iterations))
    with printed() as lines:
        model(n_iter, quiet=False).mf_train_test(ratings, held_out)
    course = Course(test, args.limit)
    place = lines[0].split().index("va_rmse")
    course.errors = [float(line.split()[place]) for line in lines[1:] if line.split()[:1] and line.split()[0].isdigit()]
    course.seconds = [first + i * each for i in range(len(course.errors))]
    return course


@contextlib.contextmanager
def printed():
    """What is printed to the standard output by any language, as a list of lines that is filled at the end."""
    lines = []
    sys.stdout.flush()
    keep = os.dup(1)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            os.dup2(keep, 1)
            os.close(keep)
        file.seek(0)
        lines.extend(file.read().splitlines())


def jester(ranks=(5, 10, 15), penalties=(0.1, 0.2, 0.3, 0.5), n_splits=5):
    """Held-out error of jester5k, ratings from 0.05 to 19.9, of several splits."""
    X = sp.csr_array(problem("jester5k"))
    options = {"missing": "unstored", "alpha_scaling": "observed", "max_iter": 300}
    errors = []
    for seed in range(n_splits):
        train = holdout_entries(X, 0.1, random_state=seed, missing="unstored")
        tried = {
            alpha: cross_validate_rank(
                train.X, ranks, n_folds=3, alpha_W=alpha, random_state=seed, n_jobs=-1, **options
            )
            for alpha in penalties
        }
        alpha = min(tried, key=lambda a: tried[a].mean.min())
        k = tried[alpha].best
        f = nmf_core.factorize(train.X, k, alpha_W=alpha, random_state=seed, **options)
        predicted = np.clip(f.predict(train.rows, train.columns), X.data.min(), X.data.max())
        errors.append(float(np.sqrt(np.mean((predicted - train.values) ** 2))))
        print(f"split {seed}: k={k}, penalty {alpha}, error {errors[-1]:.4f}")
    print(f"mean error {np.mean(errors):.4f}")


def contestants(args):
    """Name and function of everyone who takes part."""
    methods = {"nmf_core": run_nmf_core}
    for inner in args.inner:
        methods[f"CCD++, {inner}"] = functools.partial(run_ccdpp, inner=inner)
    if importlib.util.find_spec("libmf") is None:
        print("LIBMF is not installed and left out.")
    elif args.scaling == "observed":  # it knows no other
        for eta in args.eta:
            methods[f"LIBMF, {eta:g}"] = functools.partial(run_libmf, eta=eta)
    return {name: run for name, run in methods.items() if not args.methods or name.split(",")[0] in args.methods}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="*", choices=["nmf_core", "CCD++", "LIBMF"], help="all by default")
    parser.add_argument("--penalties", type=float, nargs="+", default=[0.003, 0.01])
    parser.add_argument("--scaling", choices=["observed", "plain"], default="observed", help="how the penalty grows")
    parser.add_argument("--target", type=float, default=0.352, help="held-out error at which times are compared")
    parser.add_argument("--early", type=float, default=0.403, help="a larger one, to be shown as well")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds of a run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inner", type=int, nargs="+", default=[1, 5], help="most alternations of CCD++")
    parser.add_argument("--start", choices=["zero", "random"], default="zero", help="start of CCD++")
    parser.add_argument("--eta", type=float, nargs="+", default=[0.4], help="learning rates of LIBMF")
    parser.add_argument("--libmf-iterations", type=int, default=500, help="of LIBMF, at most")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--columns", type=int, default=5000)
    parser.add_argument("--entries", type=int, default=2_000_000)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--jester", action="store_true", help="errors of real ratings instead")
    args = parser.parse_args()
    nmf_core.show_config()
    if args.jester:
        jester()
        return
    X, test = planted_ratings(args.rows, args.columns, args.k, args.entries)
    print(
        f"{X.shape[0]} x {X.shape[1]}, {X.nnz} ratings and {len(test[2])} held out, k={args.k}, {args.threads} threads"
    )
    methods = contestants(args)
    if any(name.startswith("CCD++") for name in methods):
        library()
    courses = {(name, penalty): [] for penalty in args.penalties for name in methods}
    for seed in range(args.repeats):
        for name, penalty in courses:
            courses[name, penalty].append(methods[name](X, test, args.k, penalty, seed, args))
    early, target = f"to {args.early}", f"to {args.target}"
    head = (
        f"{'method':<10} {'penalty':>8} {'ms/iter':>8} {'prepare':>8} {early:>9} {target:>9} {'iter':>5} {'lowest':>7}"
    )
    print(f"\n{head}")
    best = {}
    for (name, penalty), runs in courses.items():
        rows = [
            (run.per_iteration(), run.preparation(), run.to(args.early)[0], *run.to(args.target), min(run.errors))
            for run in runs
        ]
        each, prepare, early, seconds, n_iter, error = np.median(rows, axis=0)
        print(
            f"{name:<10} {penalty:>8g} {1e3 * each:8.1f} {prepare:8.2f} {early:9.2f} {seconds:9.2f} {n_iter:5.0f} "
            f"{error:7.4f}",
        )
        who = name.split(",")[0]
        if who not in best or seconds < np.median(best[who]):
            best[who] = [run.to(args.target)[0] for run in runs]
    for who in best:
        if who != "nmf_core" and np.isfinite(best.get("nmf_core", np.inf)).all():
            ratio = np.median(np.array(best[who]) / np.array(best["nmf_core"]))
            print(f"\n{who} / nmf_core, seconds to {args.target}, each with what suits it best: {ratio:.2f}")


if __name__ == "__main__":
    main()
