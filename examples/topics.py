"""Topics in the descriptions of the packages of Debian 12.

How often each of 18,352 words occurs in the descriptions of 63,436 packages is a large sparse matrix of counts. Counts
scatter as Poisson's, for which the Kullback-Leibler divergence is the right loss; with rows scaled to sum to one the
factors are those of probabilistic latent semantic analysis. Printed are the words of every topic and the section of
the archive that it belongs to, which the fit has not seen, and the topics of packages that were left out of the fit.

    python examples/topics.py [--quick] [--plot topics.png]

References
----------
D. D. Lee and H. S. Seung (1999), "Learning the parts of objects by non-negative matrix factorization",
doi:10.1038/44565. E. Gaussier and C. Goutte (2005), "Relation between PLSA and NMF and implications",
doi:10.1145/1076034.1076148.
"""

import data
import numpy as np
import scipy.sparse as sp

from nmf_core import beta_divergence, factorize

K = 20


def standing_out(P, q):
    """How much every entry stands out in the rows of P, which sum to one, beside the average q: p log(p / q).

    Of p alone the frequent entries would always be first, of p / q the rare ones.
    """
    return P * np.log(np.maximum(P, 1e-30) / np.maximum(q, 1e-30))


def draw(file, topics, leading, words, shares):
    """The leading words of every topic, as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 11), layout="constrained")
    for j, ax in enumerate(figure.subplots(4, 5).ravel()):
        top = leading[j, :8][::-1]
        ax.barh(words[top], 100 * topics[j, top])
        ax.set_title(f"topic {j + 1}: {shares[j]:.1%} of all words", fontsize=9)
        ax.tick_params(labelsize=8)
    figure.supxlabel("% of the words of the topic")
    figure.savefig(file)


def main():
    """Fit, and print what was found."""
    args = data.arguments(__doc__)
    load = data.open_folder(
        args.data, "debian_words.npz", "debian_words_vocab.txt", "debian_labels.npz", "debian_packages.txt"
    )
    X = sp.csr_array(load.matrix("debian_words"), dtype=np.float32)
    words = np.array(load.lines("debian_words_vocab"))
    packages = [line.split("\t")[0] for line in load.lines("debian_packages")]
    section, names = (load.arrays("debian_labels")[name] for name in ("section", "names"))

    # One package in twenty is left out of the fit.
    rows = np.random.default_rng(0).permutation(X.shape[0])
    if args.quick:
        rows = rows[:8000]
    new, old = np.split(rows, [len(rows) // 20])
    fit = factorize(X[old], K, loss="kullback-leibler", random_state=0, max_iter=50 if args.quick else 500)
    print(f"{len(old)} packages, {len(words)} words, {K} topics: {fit.n_iter} iterations in {fit.seconds:.1f} s")

    # Scale can move between W and H: rows of H that sum to one make W the number of words that a topic contributes.
    sums = fit.H.sum(axis=1)
    order = np.argsort(-fit.W.sum(axis=0) * sums)
    topics, contributions = (fit.H / sums[:, None])[order], (fit.W * sums)[:, order]
    shares = contributions.sum(axis=0) / contributions.sum()
    leading = np.argsort(-standing_out(topics, X[old].sum(axis=0) / X[old].sum()), axis=1)

    # How the words of every topic are spread over the sections.
    spread = np.zeros((K, len(names)))
    np.add.at(spread.T, section[old], contributions)
    average = spread.sum(axis=0) / spread.sum()
    spread /= spread.sum(axis=1, keepdims=True)
    best = standing_out(spread, average).argmax(axis=1)

    print("\ntopic  share  section           leading words, with their share of the topic in %")
    for j in range(K):
        listed = " ".join(f"{words[i]} {100 * topics[j, i]:.1f}" for i in leading[j, :7])
        print(f"{j + 1:5}  {shares[j]:5.1%}  {names[best[j]]:<11} {spread[j, best[j]]:4.0%}  {listed}")

    W = fit.transform(X[new])
    left_out = beta_divergence(X[new], W, fit.H, "kullback-leibler") / X[new].sum()
    print(f"\nKullback-Leibler divergence {fit.divergence:.0f}: {fit.divergence / X[old].sum():.3f} a word")
    print(f"of {len(new)} packages left out of the fit, transformed: {left_out:.3f} a word")

    print("\npackage left out                section      strongest topics")
    mixtures = (W * sums)[:, order]
    for i in np.flatnonzero(X[new].sum(axis=1) >= 40)[:10]:  # descriptions of some length
        mixture = mixtures[i] / mixtures[i].sum()
        top = [j for j in np.argsort(-mixture)[:3] if mixture[j] >= 0.1]
        listed = ", ".join(f"{j + 1} {mixture[j]:.0%} ({words[leading[j, 0]]})" for j in top)
        print(f"{packages[new[i]][:30]:<30}  {names[section[new[i]]]:<11}  {listed}")
    if args.plot:
        draw(args.plot, topics, leading, words, shares)


if __name__ == "__main__":
    main()
