"""Signatures of mutational processes in the genomes of 21 breast cancers.

A process that damages DNA prefers some substitutions between some neighbours. Counting the mutations of a genome by
substitution (6) and neighbours (16) gives 96 channels; non-negative matrix factorization separates the processes. The
counts scatter as Poisson's, so the loss is the Kullback-Leibler divergence, and the best of several random starts is
kept.

Genomes are the samples here, in rows, so the signatures are the rows of H and the exposures of the genomes are in W.
The literature often has channels in rows, which is the transpose: signatures are then columns of its first factor.

    python examples/mutational_signatures.py [--quick] [--plot signatures.png]

References
----------
S. Nik-Zainal et al. (2012), "Mutational processes molding the genomes of 21 breast cancers" (the data),
doi:10.1016/j.cell.2012.04.024. L. B. Alexandrov et al. (2013), "Deciphering signatures of mutational processes
operative in human cancer", doi:10.1016/j.celrep.2012.12.008.
"""

import data
import numpy as np

from nmf_core import factorize

K = 5


def draw(file, signatures, names):
    """Every signature as bars, a colour for every substitution."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 9), layout="constrained")
    order = sorted(range(len(names)), key=lambda i: names[i][2:5] + names[i])
    colours = [f"C{'ACGT'.index(names[i][4]) + 4 * (names[i][2] == 'T')}" for i in order]
    axes = figure.subplots(len(signatures), 1, sharex=True)
    for j, ax in enumerate(axes):
        ax.bar(range(len(names)), 100 * signatures[j, order], color=colours)
        ax.set_ylabel(f"signature {j + 1}, %")
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
    print(f"{X.shape[0]} genomes, {X.shape[1]} channels, {X.sum():.0f} mutations, {K} signatures")

    print("\nstart  iterations  Kullback-Leibler divergence")
    fits = []
    for seed in range(3 if args.quick else 10):
        tol, max_iter = (1e-5, 200) if args.quick else (1e-7, 5000)
        fit = factorize(X, K, loss="kullback-leibler", init="random", random_state=seed, tol=tol, max_iter=max_iter)
        fits.append(fit)
        print(f"{seed:5}  {fit.n_iter:10}  {fit.divergence:27.2f}")
    fit = min(fits, key=lambda fit: fit.divergence)
    print(f"best   {sum(fit.seconds for fit in fits):8.2f} s  {fit.divergence:27.2f}")

    # Signatures that sum to one make the exposures numbers of mutations; at a minimum of this divergence those of a
    # genome add up to the mutations counted in it.
    sums = fit.H.sum(axis=1)
    signatures, exposures = fit.H / sums[:, None], fit.W * sums
    order = np.argsort(-exposures.sum(axis=0))
    signatures, exposures = signatures[order], exposures[:, order]

    # Two well-known processes: methylated cytosines before G decay to T; enzymes of the APOBEC family edit
    # cytosines after T, which become T or G.
    decay = [i for i, name in enumerate(names) if name.endswith("[C>T]G")]
    to_t, to_g = ([i for i, name in enumerate(names) if name[:-1] == f"T[C>{b}]"] for b in "TG")
    print("\nsignature  mutations  C>T before G  C>T after T  C>G after T  strongest channels with their share in %")
    for j in range(K):
        top = np.argsort(-signatures[j])[:5]
        listed = " ".join(f"{names[i]} {100 * signatures[j, i]:.1f}" for i in top)
        hallmarks = "  ".join(f"{signatures[j, group].sum():11.0%}" for group in (decay, to_t, to_g))
        print(f"{j + 1:9}  {exposures[:, j].sum():9.0f}   {hallmarks}  {listed}")

    print("\nmutations of every genome by signature")
    print("genome   " + "".join(f"{j + 1:9}" for j in range(K)) + "    counted")
    for sample, exposure, counted in zip(arrays["samples"], exposures, X.sum(axis=1), strict=True):
        print(f"{sample:<9}" + "".join(f"{value:9.0f}" for value in exposure) + f"{counted:11.0f}")
    if args.plot:
        draw(args.plot, signatures, names)


if __name__ == "__main__":
    main()
