"""A service that learns topics from a stream of documents, and answers meanwhile.

Descriptions of Debian packages arrive in batches, as sparse word counts. Each batch is seen once: first it tells how
well the model explains what it has not seen, then the model learns from it. After every batch the model is saved, as a
service would that may be stopped at any time: to a draft that replaces the file in one step. Half-way the program goes
on with what it reads from the file, as if nothing had happened. At the end single documents are answered one by one.

    python examples/streaming.py [--quick] [--plot streaming.png]

References
----------
A. Lefevre, F. Bach and C. Fevotte (2011), "Online algorithms for nonnegative matrix factorization with the
Itakura-Saito divergence", doi:10.1109/ASPAA.2011.6082314.
"""

import pickle
import tempfile
import time
from pathlib import Path

import data
import numpy as np
import scipy.sparse as sp

from nmf_core import MiniBatchNMF, beta_divergence

K, BATCH = 20, 1000


def save(model, path):
    """Write the model; whoever reads the file meanwhile finds the old one whole."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(pickle.dumps(model))
    draft.replace(path)


def load(path):
    """Read a model that this program has saved; never unpickle what others may have written."""
    return pickle.loads(path.read_bytes())


def misfit(model, X):
    """The divergence of new documents, by their words."""
    return beta_divergence(X, model.transform(X), model.components_, "kullback-leibler") / X.sum()


def draw(file, misfits):
    """How well every batch was explained before it was learned from."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    ax = figure.subplots()
    ax.plot(np.arange(2, len(misfits) + 2), misfits, ".-")
    ax.set(xlabel="batch", ylabel="Kullback-Leibler divergence a word, before it is learned")
    figure.savefig(file)


def main():
    """Learn from the stream, and print how that goes."""
    args = data.arguments(__doc__)
    folder = data.open_folder(args.data, "debian_words.npz", "debian_words_vocab.txt")
    X = sp.csr_array(folder.matrix("debian_words"), dtype=np.float32)
    words = np.array(folder.lines("debian_words_vocab"))
    X = X[np.random.default_rng(0).permutation(X.shape[0])]
    if args.quick:
        X = X[: 12 * BATCH]
    answered, X = X[:500], X[500:]
    batches = [X[first : first + BATCH] for first in range(0, X.shape[0], BATCH)]

    model = MiniBatchNMF(K, beta_loss="kullback-leibler", forget_factor=0.9, random_state=0)
    misfits, seconds = [], {"learn": [], "save": []}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.pickle"
        for number, batch in enumerate(batches, 1):
            if number > 1:
                misfits.append(misfit(model, batch))
            begin = time.perf_counter()
            model.partial_fit(batch)
            seconds["learn"].append(time.perf_counter() - begin)
            begin = time.perf_counter()
            save(model, path)
            seconds["save"].append(time.perf_counter() - begin)
            if number == len(batches) // 2:
                model = load(path)
            if number > 1 and number & (number - 1) == 0:
                print(f"batch {number:3}: {misfits[-1]:.3f} a word before it is learned")
        size = path.stat().st_size
    print(f"{len(batches)} batches, {X.shape[0]} documents, {len(words)} words, {K} topics")
    print(f"of the last batches {np.mean(misfits[-3:]):.3f} a word, before they were learned")
    learn, saved = (1e3 * np.median(seconds[what]) for what in ("learn", "save"))
    print(f"to learn from a batch: {learn:.1f} ms, to save the model ({size / 1e6:.1f} MB): {saved:.1f} ms")

    took = []
    for i in range(answered.shape[0]):
        document = answered[[i]]
        begin = time.perf_counter()
        model.transform(document)
        took.append(time.perf_counter() - begin)
    median, late = 1e6 * np.quantile(took, (0.5, 0.99))
    print(f"to answer one document: {median:.0f} microseconds, 99 % within {late:.0f}")

    topics = model.components_ / model.components_.sum(axis=1, keepdims=True)
    average = topics.mean(axis=0)
    standing_out = topics * np.log(np.maximum(topics, 1e-30) / np.maximum(average, 1e-30))
    print("\ntopic  words that stand out")
    for j, leading in enumerate(np.argsort(-standing_out, axis=1)[:, :8], 1):
        print(f"{j:5}  {' '.join(words[leading])}")
    if args.plot:
        draw(args.plot, misfits)


if __name__ == "__main__":
    main()
