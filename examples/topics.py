"""Topics in the descriptions of the packages of Debian 12: word counts, by the Kullback-Leibler loss.

The sections of the archive are those that packages with the topic as their strongest are in; the fit has not seen them.

D. D. Lee and H. S. Seung (1999), "Learning the parts of objects by non-negative matrix factorization",
doi:10.1038/44565. Packages: Debian 12, main.
"""

import data
import numpy as np
import pandas as pd

from nmf_core import factorize, plotting

args = data.arguments(__doc__)
load = data.open_folder(
    args.data, "debian_words.npz", "debian_words_vocab.txt", "debian_labels.npz", "debian_packages.txt"
)
X = load.matrix("debian_words").astype(np.float32)
words = load.lines("debian_words_vocab")
packages, _ = np.array([line.split("\t") for line in load.lines("debian_packages")]).T
labels = load.arrays("debian_labels")
sections = labels["names"][labels["section"]]

rows = np.random.default_rng(0).permutation(X.shape[0])[: 8000 if args.quick else None]
new, old = np.split(rows, [len(rows) // 20])
how = {"loss": "kullback-leibler", "random_state": 0, "max_iter": 100 if args.quick else 500}
fit = factorize(X[old], 20, sample_names=packages[old], feature_names=words, **how)
fit = fit.named(fit.features(2).groupby("component")["feature"].agg(" ".join).to_dict())
print(f"{len(old)} packages, {len(words)} words, {fit.n_iter} iterations in {fit.seconds:.1f} s")

spread = pd.crosstab(fit.samples(1)["component"].to_numpy(), sections[old], normalize="index")
info = fit.component_info(6).set_index("component")[["share", "top_features"]]
info = info.assign(section=spread.idxmax(axis=1), of_it=spread.max(axis=1))
print(info.to_string(float_format="{:.1%}".format))
print("\nThe words of the first topic:")
print(fit.features(6, by="distinctive").head(6).to_string(index=False, float_format="{:.3f}".format))

found = factorize(X[new], H=fit, update_H=False, sample_names=packages[new], **how)
print("\nKullback-Leibler divergence a word:")
print(f"  of these {fit.divergence / X[old].sum():.3f}, of {len(new)} others {found.divergence / X[new].sum():.3f}")
long = X[new].sum(axis=1).A1 >= 40
print(found.samples(2)[long].head(10).to_string(index=False, float_format="{:.0%}".format, na_rep=""))
if args.plot:
    plotting.top_features(fit, 8).savefig(args.plot)
