"""Kinds of leukemia, found from gene expression without being told.

The expression of 5000 genes was measured in 38 patients: acute lymphoblastic leukemia of B cells (19) or T cells (8),
or acute myeloid leukemia (11). Factorizations from many random starts, with two to five components, agree or disagree
about which patients belong together. With two components they separate lymphoblastic from myeloid, with three also B
cells from T cells; with five they no longer agree. The fits never see a diagnosis: only at the end clusters are matched
to diagnoses, in the way that gives the fewest errors, and compared with the classes that the documentation of the
library nimfa lists for the same data.

    python examples/leukemia.py [--quick] [--plot leukemia.png]

The picture has the consensus of the patients, and a second one, leukemia-survey.png, what speaks for which number.

References
----------
T. R. Golub et al. (1999), "Molecular classification of cancer: class discovery and class prediction by gene expression
monitoring" (the data), doi:10.1126/science.286.5439.531. J.-P. Brunet et al. (2004), "Metagenes and molecular pattern
discovery using matrix factorization", doi:10.1073/pnas.0308531101. M. Zitnik and B. Zupan (2012), "NIMFA: a Python
library for nonnegative matrix factorization", Journal of Machine Learning Research 13, 849-853.
"""

from itertools import permutations
from pathlib import Path

import data
import numpy as np

from nmf_core import rank_survey


def match(clusters, classes, k):
    """The classes (n,) that the clusters stand for under the permutation with the fewest errors."""
    return min(
        (np.array(permutation)[clusters] for permutation in permutations(range(k))),
        key=lambda matched: np.sum(matched != classes),
    )


def draw(file, survey, labels):
    """Which patients belong together, with their diagnoses beside; and the survey in a second file."""
    from matplotlib.figure import Figure

    from nmf_core import plotting

    figure = Figure(figsize=(12, 10), layout="constrained")
    for k, ax in zip(survey, figure.subplots(2, 2).flat, strict=True):
        plotting.consensus_map(survey[k], labels, ax=ax)
    figure.savefig(file)
    path = Path(file)
    plotting.rank_survey(survey).savefig(path.with_name(f"{path.stem}-survey{path.suffix}"))


def main():
    """Fit, and print what was found."""
    args = data.arguments(__doc__)
    load = data.open_folder(args.data, "all_aml.npz")
    X = load.matrix("all_aml").T.astype(float)  # patients in rows
    arrays = load.arrays("all_aml")
    samples = arrays["samples"]
    n_runs = 10 if args.quick else 20
    print(f"{X.shape[0]} patients, {X.shape[1]} genes, {n_runs} random starts with every number of components\n")

    survey = rank_survey(X, range(2, 6), n_runs, loss="kullback-leibler", held_out=False, random_state=0)
    print("components  cophenetic correlation  ambiguous pairs  Kullback-Leibler divergence: best, worst start")
    for k, runs in survey.items():
        print(f"{k:10}  {runs.cophenetic:22.4f}  {runs.pac:15.1%}  "
              f"{runs.objectives.min():35.0f} {runs.objectives.max():13.0f}")  # fmt: skip
    for rule in survey.rules:
        choice = survey.choose(rule)
        print(f"by {rule}: {choice.n_components}, {choice.reason}")

    for k in (2, 3):
        # With two components: ALL or AML. With three: ALL-B, ALL-T or AML.
        labels = arrays["labels"] if k == 3 else np.array([label[:3] for label in arrays["labels"]])
        names, classes = np.unique(labels, return_inverse=True)
        found = match(survey[k].clusters, classes, k)
        published = match(arrays[f"nimfa_rank{k}"], classes, k)
        print(f"\n{k} components")
        for who, answer in (("nmf_core", found), ("nimfa, published", published)):
            wrong = np.flatnonzero(answer != classes)
            listed = ", ".join(f"{samples[i]} ({labels[i]}) as {names[answer[i]]}" for i in wrong)
            print(f"  {who:<17}  errors: {len(wrong)} of {len(samples)}   {listed}".rstrip())
        print(f"  {'class':<7}{'patients':>9}   found in " + " ".join(f"{name:>6}" for name in names))
        for c, name in enumerate(names):
            counts = np.bincount(found[classes == c], minlength=k)
            print(f"  {name:<7}{np.sum(classes == c):9}            " + " ".join(f"{n:6}" for n in counts))
    if args.plot:
        draw(args.plot, survey, arrays["labels"])


if __name__ == "__main__":
    main()
