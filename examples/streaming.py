"""A service that learns topics from a stream of descriptions of Debian packages, and answers meanwhile.

Each batch is seen once: first it tells how well the model explains what it has not seen, then the model learns from it
and is saved. Half-way the program goes on with what it reads from the file, as if nothing had happened.

A. Lefevre, F. Bach and C. Fevotte (2011), "Online algorithms for nonnegative matrix factorization with the
Itakura-Saito divergence", doi:10.1109/ASPAA.2011.6082314.
"""

import pickle
import tempfile
import time
from pathlib import Path

import data
import numpy as np

from nmf_core import MiniBatchNMF, beta_divergence, factorize, plotting

args, size, k = data.arguments(__doc__), 1000, 20
load = data.open_folder(args.data, "debian_words.npz", "debian_words_vocab.txt")
X = load.matrix("debian_words").astype(np.float32)
X = X[np.random.default_rng(0).permutation(X.shape[0])[: 12 * size if args.quick else None]]
answered, X = X[:500], X[500:]
model = MiniBatchNMF(k, beta_loss="kullback-leibler", forget_factor=0.9, random_state=0, max_iter=1000)
misfits = []
with tempfile.TemporaryDirectory() as place:
    path, draft = Path(place) / "model.pickle", Path(place) / "draft"
    for number, first in enumerate(range(0, X.shape[0], size), 1):
        batch = X[first : first + size]
        if number > 1:
            misfits.append(beta_divergence(batch, model.transform(batch), model.components_, 1) / batch.sum())
        model.partial_fit(batch)
        draft.write_bytes(pickle.dumps(model))
        draft.replace(path)  # whoever reads the file meanwhile finds the old one whole
        if first + size >= X.shape[0] // 2 > first:
            model = pickle.loads(path.read_bytes())  # never unpickle what others may have written
        if number in (2, 4, 8, 16, 32, 64):
            print(f"batch {number:3}: {misfits[-1]:.3f} a word before it is learned")
    print(f"{number} batches, {X.shape[0]} documents, {X.shape[1]} words; {path.stat().st_size / 1e6:.1f} MB to save")
print(f"of the last batches {np.mean(misfits[-3:]):.3f} a word, before they were learned")

took = []
for i in range(answered.shape[0]):
    begin = time.perf_counter()
    model.transform(answered[i])
    took.append(1e6 * (time.perf_counter() - begin))
print(f"to answer one document: {np.median(took):.0f} microseconds, 99 % within {np.quantile(took, 0.99):.0f}\n")
words = load.lines("debian_words_vocab")
fit = factorize(answered, H=model.components_, update_H=False, loss="kullback-leibler", feature_names=words)
print(fit.component_info(8)[["component", "share", "samples", "top_features"]].to_string(index=False))
if args.plot:
    plotting.top_features(fit, 8).savefig(args.plot)
