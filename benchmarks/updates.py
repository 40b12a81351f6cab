"""How many times faster than scikit-learn one multiplicative update of both factors is, in turns.

python -m benchmarks.updates
"""

import argparse

import numpy as np

from benchmarks.compare import run_ours, run_theirs
from benchmarks.problems import problem, start

CASES = [(name, dtype) for name in ("debian_words", "pbmc3k") for dtype in ("float32", "float64")]
LOSS, K = "kullback-leibler", 20


def compare(name, dtype, repeats, threads):
    """Seconds of our updates and of scikit-learn's, one of each a round."""
    X = problem(name, dtype)
    W, H = start(name, K, "random", dtype)
    rounds = []
    for _ in range(repeats):
        one, five = (run_theirs(X, K, W, H, threads, max_iter, loss=LOSS)[0] for max_iter in (1, 5))
        history = run_ours(X, K, W, H, threads, LOSS, solver="mu", tol=0, max_iter=21)[2].history
        rounds.append((np.median(np.diff(history.seconds)), (five - one) / 4))
    return np.array(rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print(f"{'problem':<14} {'dtype':<8} {'ours, ms':>9} {'theirs, ms':>11} {'faster':>7}")
    for name, dtype in CASES:
        ours, theirs = compare(name, dtype, args.repeats, args.threads).T
        faster = np.median(theirs / ours)
        ms = 1e3 * np.median(ours), 1e3 * np.median(theirs)
        print(f"{name:<14} {dtype:<8} {ms[0]:9.1f} {ms[1]:11.0f} {faster:6.1f}x", flush=True)


if __name__ == "__main__":
    main()
