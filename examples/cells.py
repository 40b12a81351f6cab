"""Kinds of blood cells from the molecules counted in each of them.

Of 13,714 genes, the messenger molecules in 2638 single cells of human blood were counted. Nine components are compared
with the nine kinds of cells of the usual analysis, which clusters cells after a logarithm and a principal component
analysis and names clusters by marker genes; T cells of several kinds differ little. Counts scatter as Poisson's, so
with the Kullback-Leibler loss they can be taken as they are. Squared error needs a logarithm first: on counts it sees
little but the most abundant genes.

    python examples/cells.py [--quick] [--plot cells.png]

References
----------
G. X. Y. Zheng et al. (2017), "Massively parallel digital transcriptional profiling of single cells" (the data),
doi:10.1038/ncomms14049. L. Hubert and P. Arabie (1985), "Comparing partitions", doi:10.1007/BF01908075.
"""

import data
import numpy as np

from nmf_core import factorize

K = 9


def strongest(fit):
    """The component (n,) that stands out most in every cell.

    What matters is a component's share of the cell, beside its average share of all cells: genes that every cell needs
    make components that are large everywhere.
    """
    contributions = fit.W * fit.H.sum(axis=1)  # does not change when scale moves between W and H
    shares = contributions / np.maximum(contributions.sum(axis=1, keepdims=True), 1e-30)
    return np.argmax(shares / np.maximum(shares.mean(axis=0), 1e-30), axis=1)


def contingency(clusters, classes):
    """How many cells are in both cluster and class, for every pair."""
    table = np.zeros((K, classes.max() + 1), dtype=int)
    np.add.at(table, (clusters, classes), 1)
    return table


def purity(table):
    """Share of cells in the most frequent class of their cluster."""
    return table.max(axis=1).sum() / table.sum()


def adjusted_rand_index(table):
    """Agreement of two partitions on pairs of cells: 1 is perfect, 0 is chance."""

    def pairs(n):
        return np.sum(n * (n - 1) / 2)

    rows, columns = pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = rows * columns / pairs(table.sum())
    return (pairs(table) - chance) / ((rows + columns) / 2 - chance)


def draw(file, table, names):
    """The kinds of cells in every component."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(table / table.sum(axis=0), cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set_yticks(range(K), [f"component {j + 1}" for j in range(K)])
    figure.colorbar(image, label="share of the kind of cell")
    figure.savefig(file)


def main():
    """Fit, and print what was found."""
    args = data.arguments(__doc__)
    load = data.open_folder(args.data, "pbmc3k.npz", "pbmc3k_labels.npz")
    counts = load.matrix("pbmc3k").astype(np.float32)
    names, classes = np.unique(load.arrays("pbmc3k_labels")["cell_type"], return_inverse=True)
    if args.quick:
        counts, classes = counts[::3], classes[::3]
    logarithms = counts.log1p()
    print(f"{counts.shape[0]} cells, {counts.shape[1]} genes, {K} components")

    tables = {}
    print("\nfit                            divergence  iterations  seconds  purity  adjusted Rand index")
    for name, X, loss in (
        ("Kullback-Leibler, counts", counts, "kullback-leibler"),
        ("Frobenius, log(1 + counts)", logarithms, "frobenius"),
        ("Frobenius, counts", counts, "frobenius"),
    ):
        fit = factorize(X, K, loss=loss, random_state=0, max_iter=50 if args.quick else 500)
        table = tables[name] = contingency(strongest(fit), classes)
        print(f"{name:<28}{fit.divergence:13.0f}{fit.n_iter:12}{fit.seconds:9.1f}{purity(table):8.2f}"
              f"{adjusted_rand_index(table):21.2f}")  # fmt: skip

    for name in list(tables)[:2]:
        table = tables[name] = tables[name][np.argsort(tables[name].argmax(axis=1), kind="stable")]
        print(f"\ncells by component (rows) and kind (columns): {name}")
        print("    " + "".join(f"  {kind:>8}" for kind in names))
        for j, row in enumerate(table):
            print(
                f"{j + 1:4}" + "".join(f"  {n or '.':>{max(8, len(kind))}}" for n, kind in zip(row, names, strict=True))
            )
    if args.plot:
        draw(args.plot, tables["Kullback-Leibler, counts"], names)


if __name__ == "__main__":
    main()
