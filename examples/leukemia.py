"""Kinds of leukemia, found from gene expression without being told.

The expression of 5000 genes was measured in 38 patients: acute lymphoblastic leukemia of B cells (19) or T cells (8),
or acute myeloid leukemia (11). Two components separate lymphoblastic from myeloid, three also B cells from T cells. A
patient belongs to the component that contributes most to the sum of the patient's expression. The components are
matched to the diagnoses in the way that gives the fewest errors, and compared with the classes that the documentation
of the library nimfa lists for the same data.

    python examples/leukemia.py [--quick] [--plot leukemia.png]

References
----------
T. R. Golub et al. (1999), "Molecular classification of cancer: class discovery and class prediction by gene expression
monitoring" (the data), doi:10.1126/science.286.5439.531. J.-P. Brunet et al. (2004), "Metagenes and molecular pattern
discovery using matrix factorization", doi:10.1073/pnas.0308531101. M. Zitnik and B. Zupan (2012), "NIMFA: a Python
library for nonnegative matrix factorization", Journal of Machine Learning Research 13, 849-853.
"""

from itertools import permutations

import data
import numpy as np

from nmf_core import factorize


def match(clusters, classes, k):
    """The classes (n,) that the clusters stand for under the permutation with the fewest errors."""
    return min(
        (np.array(permutation)[clusters] for permutation in permutations(range(k))),
        key=lambda matched: np.sum(matched != classes),
    )


def draw(file, mixtures, samples, names):
    """What the components contribute to every patient."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    for mixture, ax in zip(mixtures, figure.subplots(len(mixtures), 1, sharex=True), strict=True):
        bottom = np.zeros(len(samples))
        for j in range(mixture.shape[1]):
            ax.bar(range(len(samples)), mixture[:, j], bottom=bottom, label=f"component {j + 1}")
            bottom += mixture[:, j]
        ax.set_ylabel("share of expression")
        ax.legend(loc="lower right", fontsize=7)
    ax.set_xticks(range(len(samples)), samples, rotation=90, fontsize=6)
    figure.savefig(file)


def main():
    """Fit, and print what was found."""
    args = data.arguments(__doc__)
    load = data.open_folder(args.data, "all_aml.npz")
    X = load.matrix("all_aml").T.astype(float)  # patients in rows
    arrays = load.arrays("all_aml")
    samples = arrays["samples"]
    n_starts = 4 if args.quick else 20
    print(f"{X.shape[0]} patients, {X.shape[1]} genes, best of {n_starts} random starts")

    mixtures = []
    for k in (2, 3):
        # With two components: ALL or AML. With three: ALL-B, ALL-T or AML.
        labels = arrays["labels"] if k == 3 else np.array([label[:3] for label in arrays["labels"]])
        names, classes = np.unique(labels, return_inverse=True)
        fits = [
            factorize(X, k, loss="kullback-leibler", init="random", random_state=seed, tol=1e-6, max_iter=1000)
            for seed in range(n_starts)
        ]
        fit = min(fits, key=lambda fit: fit.divergence)
        worst = max(fit.divergence for fit in fits)
        # W alone says nothing: scale can move between W and H. What a component adds to the row does not change.
        contributions = fit.W * fit.H.sum(axis=1)
        mixtures.append(contributions / contributions.sum(axis=1, keepdims=True))
        found = match(contributions.argmax(axis=1), classes, k)
        published = match(arrays[f"nimfa_rank{k}"], classes, k)

        print(f"\n{k} components: {sum(fit.seconds for fit in fits):.2f} s")
        print(f"  Kullback-Leibler divergence {fit.divergence:.0f} (best), {worst:.0f} (worst start)")
        for who, answer in (("nmf_core", found), ("nimfa, published", published)):
            wrong = np.flatnonzero(answer != classes)
            listed = ", ".join(f"{samples[i]} ({labels[i]}) as {names[answer[i]]}" for i in wrong)
            print(f"  {who:<17}  errors: {len(wrong)} of {len(samples)}   {listed}")
        print(f"  {'class':<7}{'patients':>9}   found in " + " ".join(f"{name:>6}" for name in names))
        for c, name in enumerate(names):
            counts = np.bincount(found[classes == c], minlength=k)
            print(f"  {name:<7}{np.sum(classes == c):9}            " + " ".join(f"{n:6}" for n in counts))
    if args.plot:
        draw(args.plot, mixtures, samples, names)


if __name__ == "__main__":
    main()
