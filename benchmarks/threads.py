"""Seconds an iteration with 1, 2, 4, ... threads: python -m benchmarks.threads [most threads]."""

import argparse
import statistics

import numpy as np
import scipy.sparse as sp

import nmf_core
from nmf_core.threads import available_threads


def cases():
    """Names and matrices: products of factors with noise, and random sparse counts."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        W, H = rng.gamma(0.5, size=(30_000, 20)), rng.gamma(1.0, size=(20, 2_000))
        yield f"dense 30,000 x 2,000, {np.dtype(dtype)}", (W @ H + rng.random((len(W), H.shape[1]))).astype(dtype)
    n, m, stored = 200_000, 20_000, 20_000_000
    columns = (m * rng.random(stored) ** 3).astype(np.int32)  # some features are frequent
    rows = rng.integers(n, size=stored, dtype=np.int32)
    X = sp.csr_array((rng.poisson(1.0, stored).astype(np.float32) + 1, (rows, columns)), shape=(n, m))
    yield "sparse 200,000 x 20,000, 2e7 entries, float32", X


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("most", type=int, nargs="?", default=available_threads())
    most = parser.parse_args().most
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= most]
    print("times faster than one thread (milliseconds an iteration)")
    for name, X in cases():
        for loss, k in (("frobenius", 20), ("frobenius", 50), ("kullback-leibler", 20)):
            solver = "mue" if loss == "kullback-leibler" else "auto"
            seconds = {n: [] for n in counts}
            for _ in range(3):
                for n in counts:
                    result = nmf_core.factorize(
                        X, k, loss=loss, solver=solver, init="random", random_state=0, tol=0, max_iter=12, n_threads=n
                    )
                    seconds[n].append(statistics.median(np.diff(result.history.seconds)))
            middle = {n: statistics.median(values) for n, values in seconds.items()}
            told = ", ".join(f"{n}: {middle[1] / s:.1f} ({s * 1e3:.1f})" for n, s in middle.items())
            print(f"{name}, {loss}, k={k}: {told}", flush=True)


if __name__ == "__main__":
    main()
