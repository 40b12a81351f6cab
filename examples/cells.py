"""Kinds of blood cells from the molecules counted in each of them.

Of 13,714 genes, the messenger molecules in 2638 single cells of human blood were counted. Nine components are compared
with the nine kinds of cells of the usual analysis, which clusters cells after a logarithm and a principal component
analysis and names clusters by marker genes; T cells of several kinds differ little. Counts scatter as Poisson's, so
with the Kullback-Leibler loss they can be taken as they are. Squared error needs a logarithm first: on counts it sees
little but the most abundant genes.

Another start finds other components, though. So counts are factorized many times; components that hardly another run
has found are left out, the others are clustered, and the median of each cluster is a program of genes: with it comes
how many of the runs have found it, and how alike.

    python examples/cells.py [--quick] [--plot cells.png]

References
----------
G. X. Y. Zheng et al. (2017), "Massively parallel digital transcriptional profiling of single cells" (the data),
doi:10.1038/ncomms14049. D. Kotliar et al. (2019), "Identifying gene expression programs of cell-type identity and
cellular activity with single-cell RNA-Seq" (programs), doi:10.7554/eLife.43803. L. Hubert and P. Arabie (1985),
"Comparing partitions", doi:10.1007/BF01908075.
"""

import data
import numpy as np

from nmf_core import beta_divergence, factorize, factorize_many

K = 9
# How far a component may be from its neighbours in other runs: where the histogram of the picture has its valley.
DENSITY = 0.2


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


def draw(file, runs, table, names):
    """The components of all runs, and the kinds of cells in every program."""
    from matplotlib.figure import Figure

    from nmf_core import plotting

    figure = Figure(figsize=(14, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    plotting.component_clusters(runs, left, density_threshold=DENSITY)
    image = right.imshow(table / table.sum(axis=0), cmap="Blues", vmin=0, vmax=1)
    right.set_xticks(range(len(names)), names, rotation=45, ha="right")
    right.set_yticks(range(K), [f"program {j + 1}" for j in range(K)])
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
    n_runs = 8 if args.quick else 20
    print(f"{counts.shape[0]} cells, {counts.shape[1]} genes, {K} components")

    print("\nfit                            divergence  iterations  seconds  purity  adjusted Rand index")
    for name, X, loss in (
        ("Kullback-Leibler, counts", counts, "kullback-leibler"),
        ("Frobenius, log(1 + counts)", counts.log1p(), "frobenius"),
        ("Frobenius, counts", counts, "frobenius"),
    ):
        fit = factorize(X, K, loss=loss, random_state=0, max_iter=500)
        table = contingency(strongest(fit), classes)
        print(f"{name:<28}{fit.divergence:13.0f}{fit.n_iter:12}{fit.seconds:9.1f}{purity(table):8.2f}"
              f"{adjusted_rand_index(table):21.2f}")  # fmt: skip

    runs = factorize_many(counts, K, n_runs, loss="kullback-leibler", random_state=0, max_iter=500)
    found = runs.components(density_threshold=DENSITY)
    table = contingency(strongest(found), classes)
    print(f"{f'programs of {n_runs} runs, counts':<28}{beta_divergence(counts, found.W, found.H, 1):13.0f}"
          f"{runs.table['n_iter'].sum():12}{'':9}{purity(table):8.2f}{adjusted_rand_index(table):21.2f}")  # fmt: skip

    print(f"\n{np.sum(~found.kept)} of {len(found.kept)} components are like no others and were left out")
    print("program  found in  similarity: mean, least  cells  most of them")
    cluster = found.cluster.reshape(-1, K)  # the program of every component of every run
    similar = runs.align(found.H).cosine
    for j in range(K):
        n_found = np.sum(np.any(cluster == j, axis=1))
        print(f"{j + 1:7}  {n_found:2} of {n_runs:2}  {similar[:, j].mean():16.2f}  {similar[:, j].min():5.2f}"
              f"  {table[j].sum():5}  {names[table[j].argmax()]} ({table[j].max()})")  # fmt: skip

    print("\ncells by program (rows) and kind (columns)")
    print("    " + "".join(f"  {kind:>8}" for kind in names))
    for j, row in enumerate(table):
        print(f"{j + 1:4}" + "".join(f"  {n or '.':>{max(8, len(kind))}}" for n, kind in zip(row, names, strict=True)))
    if args.plot:
        draw(args.plot, runs, table, names)


if __name__ == "__main__":
    main()
