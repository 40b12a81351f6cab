"""Signatures of mutational processes in the genomes of 21 breast cancers, counted by 96 kinds of substitution.

As many signatures are kept as replicates of the counts, which are Poisson's, find again; then they are refitted to
every genome. One has methylated cytosines before G, which decay to T; another is that of APOBEC: cytosines after T.

S. Nik-Zainal et al. (2012), "Mutational processes molding the genomes of 21 breast cancers" (the data),
doi:10.1016/j.cell.2012.04.024. L. B. Alexandrov et al. (2013), "Deciphering signatures of mutational processes
operative in human cancer" (replicates), doi:10.1016/j.celrep.2012.12.008.
"""

import data
import pandas as pd

from nmf_core import factorize, match, plotting, rank_survey, refit

args = data.arguments(__doc__)
load = data.open_folder(args.data, "breast21.npz")
arrays = load.arrays("breast21")
kinds = [f"{s[0]}[{t}]{s[2]}" for t, s in zip(arrays["types"], arrays["subtypes"], strict=True)]
X = pd.DataFrame(load.matrix("breast21").T.astype(float), arrays["samples"], kinds)
n_runs = 10 if args.quick else 30
how = {"loss": "kullback-leibler", "random_state": 0, "tol": 1e-5, "max_iter": 2000}
survey = rank_survey(X, range(2, 8), n_runs, resample="poisson", held_out=False, **how)
print(f"{len(X)} genomes, {X.to_numpy().sum():.0f} mutations, {n_runs} replicates\n{survey}\n")

runs = survey[survey.best]
found = factorize(X, H=runs.components(), update_H=False, **how).sorted().scaled()
stability = runs.align(found).cosine.mean(axis=0)
print(found.component_info(4, by="weight", stability=stability).round(3).to_string(index=False))
hallmarks = {"C>T before G": r"\[C>T\]G", "C>T after T": r"^T\[C>T", "C>G after T": r"^T\[C>G"}
shares = {name: found.components.filter(regex=kind).sum(axis=1) for name, kind in hallmarks.items()}
print(pd.DataFrame(shares).to_string(float_format="{:.0%}".format))

exposures = refit(X, found, loss="kullback-leibler", select="likelihood", n_bootstrap=200, random_state=0)
counts, low, high = (table.map("{:.0f}".format) for table in (exposures.exposures, exposures.lower, exposures.upper))
listed = counts + " (" + low + "-" + high + ")"
print("\nmutations of every genome by signature, those that it needs, with limits of 95 %")
print(listed.assign(counted=X.sum(axis=1).astype(int), cosine=exposures.cosine.round(3)).to_string())

for k in sorted({survey.best, 5}):
    fit = factorize(X, k, n_init=10, **how)
    print(f"\nbest fit with {k}, divergence {fit.divergence:.0f}, beside the medians of replicates")
    print(match(fit, survey[k].components()).table.round(3).to_string(index=False))
if args.plot:
    plotting.top_features(found, 12).savefig(args.plot)
    plotting.stability_error(survey).savefig(args.plot.replace(".png", "-survey.png"))
