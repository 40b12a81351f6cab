"""From the call of a fit to its first iteration, in units of the time that one pass over X takes.

python -m benchmarks.startup                       dense, CSR and a memory map, by `factorize` and by `NMF`
python -m benchmarks.startup --file 3.2 --folder /tmp   also five iterations of a float32 file of 3.2 GB, in passes
"""

import argparse
import importlib
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import nmf_core

FEATURES, RANK = 2000, 20


class Reached(Exception):
    """The first iteration is about to begin."""


def stop_at_solve(problem, *arguments, **more):
    """Stand in for the solver: what it looks up of X belongs to the start."""
    problem.data.sum(), problem.data.squared_norm()
    raise Reached


def start_up(fit):
    """Seconds that a fit takes until its solver is called."""
    module = importlib.import_module("nmf_core.factorize")
    solve, module.solve = module.solve, stop_at_solve
    start = time.perf_counter()
    try:
        fit()
    except Reached:
        return time.perf_counter() - start
    finally:
        module.solve = solve
    raise AssertionError


def one_pass(X):
    """Seconds of NumPy for reading X once in one thread: sums of rows; of a sparse X a sum and the largest index."""
    start = time.perf_counter()
    if sp.issparse(X):
        X.data.sum(), X.indices.max()
    else:
        X.sum(axis=1 if X.flags.c_contiguous else 0)
    return time.perf_counter() - start


def by_factorize(X):
    """A fit whose start costs next to nothing."""
    nmf_core.factorize(X, 2, init="random", random_state=0, max_iter=1, tol=0)


def by_estimator(X):
    """The same by the estimator."""
    nmf_core.NMF(2, init="random", random_state=0, max_iter=1, tol=0).fit(X)


def report(name, X, repeats):
    """Print what both doors take, in passes, in turns with these."""
    seconds = {one_pass: [], by_factorize: [], by_estimator: []}
    for _ in range(repeats):
        seconds[one_pass].append(one_pass(X))
        for door in (by_factorize, by_estimator):
            seconds[door].append(start_up(lambda door=door: door(X)))
    unit, *doors = map(statistics.median, seconds.values())
    print(
        f"{name:<28} pass {1000 * unit:7.1f} ms; factorize {doors[0] / unit:5.2f}, NMF {doors[1] / unit:5.2f}",
        flush=True,
    )


def generate(path, rows):
    """A float32 file of so many rows, from a seed."""
    block = np.random.default_rng(0).random((4096, FEATURES), dtype=np.float32)
    with path.open("wb") as file:
        for first in range(0, rows, 4096):
            block[: min(4096, rows - first)].tofile(file)


def whole_fit(path, rows, iterations):
    """Print what a fit of the file takes in all, in passes."""

    def mapped():
        return np.memmap(path, np.float32, "r", shape=(rows, FEATURES))

    read, took, own = [], [], []
    for _ in range(3):
        read.append(one_pass(mapped()))
        start = time.perf_counter()
        result = nmf_core.factorize(mapped(), RANK, init="random", random_state=0, tol=0, max_iter=iterations)
        took.append(time.perf_counter() - start)
        own.append(statistics.median(np.diff(result.history.seconds)))
    read, took, own = map(statistics.median, (read, took, own))
    print(
        f"{rows} x {FEATURES} in a file, {iterations} iterations: {took:.2f} s = {took / read:.2f} passes of NumPy of "
        f"{read:.2f} s = {took / own:.2f} iterations of {own:.2f} s"
    )


def main(arguments=None):
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=0.2, help="of matrices in memory, in GB")
    parser.add_argument("--file", type=float, default=0, help="of a file that is fitted, in GB")
    parser.add_argument("--folder", default=None, help="of files")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(arguments)
    rows = max(1, int(options.size * 1e9) // (4 * FEATURES))
    X = np.random.default_rng(0).random((rows, FEATURES), dtype=np.float32)
    kinds = {"dense float32": X, "dense float32, by columns": np.asfortranarray(X), "dense float64": X.astype(float)}
    for name, A in kinds.items():
        report(name, A, options.repeats)
    sparse = sp.random_array((rows, FEATURES), density=0.3, format="csr", random_state=0, dtype=np.float32)
    for name, A in {"CSR float32": sparse, "CSC float32": sparse.tocsc()}.items():
        report(name, A, options.repeats)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        path = Path(name) / "X"
        generate(path, rows)
        report("memory map", np.memmap(path, np.float32, "r", shape=X.shape), options.repeats)
        np.save(Path(name) / "X.npy", X)
        report(".npy, mapped", np.load(Path(name) / "X.npy", mmap_mode="r"), options.repeats)
        if options.file:
            rows = int(options.file * 1e9) // (4 * FEATURES)
            generate(path, rows)
            whole_fit(path, rows, 5)


if __name__ == "__main__":
    main()
