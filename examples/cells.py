"""Kinds of blood cells from the molecules of 13,714 genes counted in each, compared with those that clustering found.

Counts scatter as Poisson's, so the Kullback-Leibler loss takes them as they are; squared error needs a logarithm. What
many runs have found again makes programs of genes, what they have not is left out.

G. X. Y. Zheng et al. (2017), "Massively parallel digital transcriptional profiling of single cells" (the data),
doi:10.1038/ncomms14049. D. Kotliar et al. (2019), "Identifying gene expression programs of cell-type identity and
cellular activity with single-cell RNA-Seq" (programs), doi:10.7554/eLife.43803.
"""

import data
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from nmf_core import factorize, factorize_many, match, plotting

args, k, density = data.arguments(__doc__), 9, 0.2  # the valley of the histogram in the picture
load = data.open_folder(args.data, "pbmc3k.npz", "pbmc3k_labels.npz")
step, n_runs = (3, 8) if args.quick else (1, 20)
counts = load.matrix("pbmc3k").astype(np.float32)[::step]
kinds = load.arrays("pbmc3k_labels")["cell_type"][::step]
how = {"loss": "kullback-leibler", "random_state": 0, "max_iter": 500}
runs = factorize_many(counts, k, n_runs, **how)
found = runs.components(density_threshold=density)
programs = found.factorization

print(f"{counts.shape[0]} cells, {k} components\n\nfit                         purity  adjusted Rand index")
for name, fit in {
    "Kullback-Leibler, counts": factorize(counts, k, **how),
    "Frobenius, log(1 + counts)": factorize(counts.log1p(), k, random_state=0, max_iter=500),
    "Frobenius, counts": factorize(counts, k, random_state=0, max_iter=500),
    f"programs of {n_runs} runs, counts": programs,
}.items():
    strongest = fit.samples(1)["component"].rename("program")
    table = pd.crosstab(strongest, pd.Series(kinds, name="kind"))
    purity = table.max(axis=1).sum() / len(kinds)
    print(f"{name:<28}{purity:6.2f}{adjusted_rand_score(kinds, strongest):21.2f}")

print(f"\n{np.sum(~found.kept)} of {len(found.kept)} components are like no others; cells by program and kind")
print(table.replace(0, ".").to_string())
info = programs.component_info()[["component", "share", "sparsity", "samples", "stability"]].assign(runs=found.n_runs)
print(f"\nprograms: in how many of {n_runs} runs, and how similar there\n{info.round(2).to_string(index=False)}")
print("\nthe best run", match(runs.best, programs), sep="\n")
if args.plot:
    plotting.component_clusters(runs, density_threshold=density).savefig(args.plot)
