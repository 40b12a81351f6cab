"""What share of a default fit NNDSVD takes, in turns.

python -m benchmarks.starts
"""

import argparse
import time

import numpy as np

import nmf_core
from benchmarks.problems import problem, settle

CASES = [
    (name, dtype, k)
    for name, ranks in (("words_tfidf", (20, 50)), ("bigrams_tfidf", (20,)), ("pbmc3k_log1p", (20,)))
    for k in ranks
    for dtype in ("float32", "float64")
]


def seconds(function, *arguments, **options):
    """Seconds that a call takes."""
    settle()
    begin = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - begin


def compare(name, dtype, k, repeats, threads):
    """Seconds of the start and of a fit that begins with it, one of each a round."""
    X = problem(name, dtype)
    calls = (nmf_core.initialize, {}), (nmf_core.factorize, {"max_iter": 1000})
    return np.array(
        [
            [
                seconds(call, X, k, init="nndsvda", random_state=0, n_threads=threads, **options)
                for call, options in calls
            ]
            for _ in range(repeats)
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print(f"{'problem':<14} {'dtype':<8} {'k':>3} {'start, ms':>10} {'fit, ms':>9} {'share':>6}")
    for name, dtype, k in CASES:
        start, fit = compare(name, dtype, k, args.repeats, args.threads).T
        ms = 1e3 * np.median(start), 1e3 * np.median(fit)
        print(f"{name:<14} {dtype:<8} {k:3} {ms[0]:10.0f} {ms[1]:9.0f} {np.median(start / fit):6.1%}", flush=True)


if __name__ == "__main__":
    main()
