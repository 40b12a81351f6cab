"""Many fits: side by side, one by one, and by scikit-learn; memory of a consensus; planted numbers of components.

    python -m benchmarks.ensembles leukemia text cells signatures memory ranks

leukemia
    100 runs of all_aml with the Kullback-Leibler divergence for every k of 2, 3, 4, 5, against the single fits, and
    against scikit-learn's multiplicative updates in two processes to the same divergence (1.0001 times that of each of
    our runs, looked at every ten iterations; measured on a few starts, and reckoned up for 100).
text, cells
    30 runs of words TF-IDF, k=20, and of tenx10k_dense, k=5, against single fits.
signatures
    100 Poisson replicates of 2000 x 96 counts at k of 2 to 10.
memory
    Consensus of 100,000 samples in 200 runs.
ranks
    Planted numbers of components (3, 5, 8; counts and Gaussian noise; dense and sparse) that `RankSurvey.best` finds.

Single fits and ensembles take turns; figures are medians of the ratios.
"""

import argparse
import time
import tracemalloc
import warnings

import numpy as np
import scipy.sparse as sp

import nmf_core
from benchmarks.problems import problem, settle
from nmf_core.ensemble.consensus import Consensus


def seconds(call):
    """Seconds that a call takes, and what it returns."""
    settle()
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def against_single_fits(name, X, ranks, n_runs, repeats, **how):
    """Ensembles and their runs one by one, in turns."""
    ratios, took = [], []
    for _ in range(repeats):
        many, survey = seconds(
            lambda: (
                nmf_core.rank_survey(X, ranks, n_runs, held_out=False, random_state=0, **how)
                if len(ranks) > 1
                else {ranks[0]: nmf_core.factorize_many(X, ranks[0], n_runs, random_state=0, **how)}
            )
        )
        seeds = survey[ranks[0]].seeds
        single, _ = seconds(
            lambda seeds=seeds: [
                nmf_core.factorize(X, k, init="random", random_state=seed, **how) for k in ranks for seed in seeds
            ]
        )
        ratios.append(single / many)
        took.append(many)
    print(f"{name}: {np.median(took):.2f} s, {np.median(ratios):.2f} times as fast as one by one", flush=True)
    return float(np.median(took)), survey


def by_scikit_learn(X, f, most=20_000):
    """Seconds that scikit-learn's multiplicative updates take from the start of a run to its divergence."""
    from sklearn.decomposition import NMF

    W, H = nmf_core.initialize(
        X, f.n_components, "random", loss=f.loss, random_state=f.parameters["random_state"], n_threads=1
    )
    total = 0.0
    for _ in range(most // 10):
        model = NMF(
            f.n_components, solver="mu", beta_loss="kullback-leibler", init="custom", tol=0, max_iter=10, l1_ratio=0
        )
        took, W = seconds(lambda model=model, W=W, H=H: model.fit_transform(X, W=W, H=H))
        H = model.components_
        total += took
        if nmf_core.beta_divergence(X, W, H, "kullback-leibler") <= 1.0001 * f.divergence:
            return total
    return float("inf")


def leukemia(repeats):
    """100 runs each of four numbers of components."""
    X = np.asarray(problem("all_aml", "float64"))
    how = {"loss": "kullback-leibler"}
    took, survey = against_single_fits("all_aml, KL, 4 x 100 runs", X, [2, 3, 4, 5], 100, repeats, **how)
    theirs = (
        sum(100 * np.mean([by_scikit_learn(X, f) for f in ensemble[:2]]) for ensemble in survey.values()) / 2
    )  # in two processes, as if nothing were lost by that
    print(f"scikit-learn in two processes: {theirs:.0f} s, {theirs / took:.0f} times as long")
    samples = nmf_core.rank_survey(X.T.copy(), [2, 3, 4], 10, held_out=False, random_state=0, **how)
    print("cophenetic of the samples:", {k: round(ensemble.cophenetic, 4) for k, ensemble in samples.items()})
    for loss, target in (("kullback-leibler", 543534.99), ("frobenius", 673453258.3)):
        f = nmf_core.factorize(X[:200], 3, loss=loss, n_init=10, random_state=0, tol=1e-6, max_iter=2000)
        print(f"all_aml[:200], k=3, {loss}: best of 10 {f.objective:.2f}, aim {target:.2f}")


def text(repeats):
    """Words."""
    against_single_fits("words TF-IDF, k=20, 30 runs", problem("words_tfidf", "float32"), [20], 30, repeats)


def cells(repeats):
    """Dense expression of cells."""
    against_single_fits("tenx10k_dense, k=5, 30 runs", problem("tenx10k_dense", "float32"), [5], 30, repeats)


def signatures(repeats):
    """Counts of mutations."""
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(0.5, 30, (2000, 6)) @ rng.dirichlet(np.full(96, 0.2), 6)).astype(float)
    took, _ = seconds(
        lambda: nmf_core.rank_survey(
            X, range(2, 11), 100, resample="poisson", loss="kullback-leibler", held_out=False, random_state=0
        )
    )
    print(f"100 Poisson replicates of 2000 x 96 counts, k = 2 to 10: {took:.0f} s")


def memory(repeats):
    """Labels of many samples, a twentieth of which differ from run to run."""
    rng = np.random.default_rng(0)
    labels = np.tile(rng.integers(5, size=100_000, dtype=np.uint8), (200, 1))
    for row in labels:
        some = rng.random(100_000) < 0.05
        row[some] = rng.integers(5, size=some.sum())
    tracemalloc.start()
    took, found = seconds(lambda: (consensus := Consensus(labels, 5), consensus.cophenetic, consensus.pac))
    _, most = tracemalloc.get_traced_memory()
    _, cophenetic, pac = found
    print(f"100,000 samples, 200 runs: {took:.1f} s, {most / 2**20:.0f} MiB, {cophenetic=:.4f}, {pac=:.4f}")


def planted(rank, noise, sparse, seed, n=80, m=60):
    """A matrix with so many components."""
    rng = np.random.default_rng([rank, noise == "counts", sparse, seed])
    W, H = rng.gamma(0.5, 1, (n, rank)), rng.gamma(0.5, 1, (rank, m))
    if sparse:
        W, H = W * (rng.random(W.shape) < 0.5), H * (rng.random(H.shape) < 0.4)
    model = W @ H
    if noise == "counts":
        X = rng.poisson(model * (10 if sparse else 20) / model.mean()).astype(float)
    else:
        X = np.maximum(model + 0.1 * model.mean() * rng.standard_normal(model.shape), 0) * (model > 0 if sparse else 1)
    return sp.csr_array(X) if sparse else X


def ranks(repeats, n_sets=20):
    """How often each rule finds them."""
    hits, total = {}, 0
    for noise in ("counts", "Gaussian"):
        loss = "kullback-leibler" if noise == "counts" else "frobenius"
        for sparse in (False, True):
            for rank in (3, 5, 8):
                here = {}
                for seed in range(n_sets):
                    X = planted(rank, noise, sparse, seed)
                    survey = nmf_core.rank_survey(X, range(2, 12), 10, loss=loss, random_state=0)
                    for rule in survey.rules:
                        here[rule] = here.get(rule, 0) + (survey.choose(rule).n_components == rank)
                total += n_sets
                for rule, number in here.items():
                    hits[rule] = hits.get(rule, 0) + number
                print(f"{noise}, {'sparse' if sparse else 'dense'}, rank {rank}: {here} of {n_sets}", flush=True)
    print(f"all: { {rule: f'{number / total:.1%}' for rule, number in hits.items()} }")


JOBS = {job.__name__: job for job in (leukemia, text, cells, signatures, memory, ranks)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", choices=[*JOBS], default=list(JOBS))
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in args.jobs:
        JOBS[name](args.repeats)


if __name__ == "__main__":
    main()
