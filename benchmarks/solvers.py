"""Seconds that every solver needs to 1.01 and 1.001 times the lowest objective known, from the same random starts.

Which local minimum a fit ends in is a lottery, so what counts is the expected time with restarts: the seconds of all
fits, up to the target or to their end, divided by the number of fits that reached it. The lowest objective known is
that of all solvers from all starts. It is recomputed from W and H at the end of every fit.
"""

import argparse
import statistics

import numpy as np

import nmf_core
from benchmarks.problems import objective, problem, settle, start
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS

# (problem, dtype, k, loss, starts, seconds for each fit)
CASES = [
    ("digits", "float64", 20, "frobenius", 8, 1.0),
    ("audio_brahms", "float32", 20, "frobenius", 6, 1.5),
    ("words_tfidf", "float32", 20, "frobenius", 2, 6.0),
    ("pbmc3k_log1p", "float32", 20, "frobenius", 2, 6.0),
    ("digits", "float64", 20, "kullback-leibler", 6, 2.0),
    ("debian_words", "float32", 20, "kullback-leibler", 2, 12.0),
    ("pbmc3k", "float32", 20, "kullback-leibler", 2, 12.0),
]


def compare(name, dtype, k, loss, seed, time_limit, threads):
    """All solvers from one start."""
    X = problem(name, dtype)
    W, H = start(name, k, "random", dtype, seed)
    settle()
    comparison = nmf_core.compare_solvers(
        X, k, loss=loss, W=W, H=H, time_limit=time_limit, max_iter=100_000, tol=1e-4, n_threads=threads, random_state=0
    )
    for solver, result in comparison.results.items():
        exact = objective(X, result.W, result.H, loss)
        assert abs(exact - result.objective) <= 1e-5 * exact, (solver, exact, result.objective)
    return comparison


def expected_seconds(comparisons, solver, target):
    """The expected time to a target with restarts."""
    reached = [comparison.seconds_to(target)[solver] for comparison in comparisons]
    whole = [comparison.results[solver].history.seconds[-1] for comparison in comparisons]
    successes = int(np.isfinite(reached).sum())
    return np.where(np.isfinite(reached), reached, whole).sum() / successes if successes else np.inf


class SecondsToLowest:
    """The table of `main` for the Frobenius loss, as asv wants it."""

    cases = tuple(case for case in CASES if case[3] == "frobenius")
    params = (
        [case[0] for case in cases],
        [name for name in SOLVERS if SOLVERS[name].handles(make_loss(2))],
        [1.01, 1.001],
    )
    param_names = ("problem", "solver", "times_lowest")
    timeout = 3600
    unit = "seconds"

    def setup_cache(self):
        seconds = {}
        for name, dtype, k, loss, starts, time_limit in self.cases:
            try:
                comparisons = [compare(name, dtype, k, loss, seed, time_limit, 2) for seed in range(starts)]
            except NotImplementedError:  # the data are not here
                continue
            best = min(comparison.best for comparison in comparisons)
            for solver in self.params[1]:
                for times in self.params[2]:
                    seconds[name, solver, times] = expected_seconds(comparisons, solver, times * best)
        return seconds

    def track_seconds(self, seconds, name, solver, times):
        if (name, solver, times) not in seconds:
            raise NotImplementedError("no such data")
        return seconds[name, solver, times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="problems; all by default")
    parser.add_argument("--loss", nargs="*", help="losses; all by default")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    nmf_core.show_config()
    for name, dtype, k, loss, starts, time_limit in CASES:
        if (args.names and name not in args.names) or (args.loss and loss not in args.loss):
            continue
        comparisons = [compare(name, dtype, k, loss, seed, time_limit, args.threads) for seed in range(starts)]
        best = min(comparison.best for comparison in comparisons)
        print(f"\n{name}, {dtype}, k={k}, {loss}, {starts} starts, lowest objective {best:.8g}\n")
        print(f"{'solver':<12} {'to 1.01':>9} {'to 1.001':>9} {'median end':>11} {'iterations':>11}")
        for solver in comparisons[0].results:
            near, close = (expected_seconds(comparisons, solver, times * best) for times in (1.01, 1.001))
            results = [comparison.results[solver] for comparison in comparisons]
            end, n_iter = (statistics.median(v) for v in ([r.objective / best for r in results],
                                                          [r.n_iter for r in results]))  # fmt: skip
            print(f"{solver:<12} {near:9.3g} {close:9.3g} {end:11.4f} {n_iter:11.0f}", flush=True)


if __name__ == "__main__":
    main()
