"""Signatures of mutational processes in the genomes of 21 breast cancers.

A process that damages DNA prefers some substitutions between some neighbours. Counting the mutations of a genome by
substitution (6) and neighbours (16) gives 96 channels; non-negative matrix factorization separates the processes. The
counts scatter as Poisson's, so the loss is the Kullback-Leibler divergence, and what could have been counted as well
are replicates drawn from Poisson distributions. As many signatures as are found again in all replicates are kept: each
is the median of those of the replicates, and its stability is how similar they are to it. They describe the counts
nearly as well as the best of ten fits of the counts themselves. The authors of the data describe five signatures: five
describe the counts better, but not all of them are found again.

Genomes are the samples here, in rows, so the signatures are the rows of H and the exposures of the genomes are in W.
The literature often has channels in rows, which is the transpose: signatures are then columns of its first factor.

    python examples/mutational_signatures.py [--quick] [--plot signatures.png]

References
----------
S. Nik-Zainal et al. (2012), "Mutational processes molding the genomes of 21 breast cancers" (the data),
doi:10.1016/j.cell.2012.04.024. L. B. Alexandrov et al. (2013), "Deciphering signatures of mutational processes
operative in human cancer" (replicates), doi:10.1016/j.celrep.2012.12.008. S. M. A. Islam et al. (2022), "Uncovering
novel mutational signatures by de novo extraction with SigProfilerExtractor" (the choice of the number),
doi:10.1016/j.xgen.2022.100179.
"""

import data
import numpy as np

from nmf_core import beta_divergence, factorize, rank_survey


def draw(file, survey, signatures, names):
    """What speaks for the number of signatures; and each as bars, a colour for every substitution."""
    from matplotlib.figure import Figure

    from nmf_core import plotting

    figure = Figure(figsize=(14, 3 + 2 * len(signatures)), layout="constrained")
    order = sorted(range(len(names)), key=lambda i: names[i][2:5] + names[i])
    colours = [f"C{'ACGT'.index(names[i][4]) + 4 * (names[i][2] == 'T')}" for i in order]
    first, *axes = figure.subplots(1 + len(signatures), 1)
    plotting.stability_error(survey, first)
    for j, ax in enumerate(axes):
        ax.bar(range(len(names)), 100 * signatures[j, order], color=colours)
        ax.set_ylabel(f"signature {j + 1}, %")
        ax.set_xticks([])
    axes[-1].set_xticks(range(len(names)), [names[i] for i in order], rotation=90, fontsize=6)
    figure.savefig(file)


def main():
    """Fit, and print what was found."""
    args = data.arguments(__doc__)
    load = data.open_folder(args.data, "breast21.npz")
    X = load.matrix("breast21").T.astype(float)
    arrays = load.arrays("breast21")
    # The substitution between its neighbours: C>A in ACG is A[C>A]G.
    names = [f"{s[0]}[{t}]{s[2]}" for t, s in zip(arrays["types"], arrays["subtypes"], strict=True)]
    n_runs = 10 if args.quick else 30
    how = {"loss": "kullback-leibler", "random_state": 0, "tol": 1e-5, "max_iter": 2000}
    print(f"{X.shape[0]} genomes, {X.shape[1]} channels, {X.sum():.0f} mutations, {n_runs} replicates")

    survey = rank_survey(X, range(2, 8), n_runs, resample="poisson", held_out=False, **how)
    print("\nsignatures  divergence  stability: mean  least  silhouette of genomes")
    for k, runs in survey.items():
        stability = runs.stability
        print(f"{k:10}  {runs.objectives.min():10.1f}  {stability.mean.mean():15.3f}  {stability.minimum.min():5.3f}"
              f"  {runs.silhouette.mean():21.2f}")  # fmt: skip
    k = survey.best
    print(f"chosen by {survey.rule}: {k}, {survey.reason}")

    # Signatures that sum to one make the exposures numbers of mutations; at a minimum of this divergence those of a
    # genome add up to the mutations counted in it.
    found = survey[k].components()
    order = np.argsort(-found.W.sum(axis=0))
    signatures, exposures = found.H[order], found.W[:, order]
    similar = survey[k].align(signatures).cosine

    # Two well-known processes: methylated cytosines before G decay to T; enzymes of the APOBEC family edit
    # cytosines after T, which become T or G.
    decay = [i for i, name in enumerate(names) if name.endswith("[C>T]G")]
    to_t, to_g = ([i for i, name in enumerate(names) if name[:-1] == f"T[C>{b}]"] for b in "TG")
    print("\nsignature  mutations  stability: mean  least  C>T before G  C>T after T  C>G after T  strongest, %")
    for j in range(k):
        top = np.argsort(-signatures[j])[:4]
        listed = " ".join(f"{names[i]} {100 * signatures[j, i]:.1f}" for i in top)
        hallmarks = "  ".join(f"{signatures[j, group].sum():11.0%}" for group in (decay, to_t, to_g))
        print(f"{j + 1:9}  {exposures[:, j].sum():9.0f}  {similar[:, j].mean():15.3f}  {similar[:, j].min():5.3f}"
              f"   {hallmarks}  {listed}")  # fmt: skip

    print("\nmutations of every genome by signature")
    print("genome   " + "".join(f"{j + 1:9}" for j in range(k)) + "    counted")
    for sample, exposure, counted in zip(arrays["samples"], exposures, X.sum(axis=1), strict=True):
        print(f"{sample:<9}" + "".join(f"{value:9.0f}" for value in exposure) + f"{counted:11.0f}")

    print("\nsignatures  divergence of medians, of the best fit of the counts  similarity of replicates to that")
    for n in sorted({k, 5}):
        medians = survey[n].components()
        fit = factorize(X, n, n_init=10, **how)
        listed = " ".join(f"{mean:.2f}" for mean in survey[n].align(fit.H).cosine.mean(axis=0))
        print(f"{n:10}  {beta_divergence(X, medians.W, medians.H, 1):21.2f}  {fit.divergence:30.2f}  {listed}")
    if args.plot:
        draw(args.plot, survey, signatures, names)


if __name__ == "__main__":
    main()
