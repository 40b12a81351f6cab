"""The data that benchmarks run on, and one start for everybody.

Real data come from ``shared/data`` beside the checkout, or from the folder named by ``NMF_CORE_DATA``; benchmarks that
need them are skipped without. asv runs from clones elsewhere, so parents of the current directory are searched too.
"""

import functools
import importlib.util
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp


def data_folder() -> Path | None:
    """Where the real data are, or None."""
    if "NMF_CORE_DATA" in os.environ:
        return Path(os.environ["NMF_CORE_DATA"])
    for start in (Path(__file__).resolve(), Path.cwd()):
        for parent in start.parents:
            folder = parent / "shared" / "data"
            if (folder / "load.py").is_file():
                return folder
    return None


def _load(name):
    folder = data_folder()
    if folder is None:
        raise NotImplementedError("no shared/data beside the checkout; set NMF_CORE_DATA")
    spec = importlib.util.spec_from_file_location("load", folder / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.matrix(name)


def tfidf(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Term frequencies times smoothed inverse document frequencies, rows of length one."""
    X = sp.csr_matrix(counts, dtype=np.float64)
    n = X.shape[0]
    idf = np.log((1 + n) / (1 + np.bincount(X.indices, minlength=X.shape[1]))) + 1
    X.data *= idf[X.indices]
    norms = np.sqrt(np.asarray(X.multiply(X).sum(axis=1))).ravel()
    X.data /= np.repeat(np.where(norms > 0, norms, 1), np.diff(X.indptr))
    return X


def log1p(counts: sp.csr_matrix) -> sp.csr_matrix:
    """log(1 + count)."""
    X = sp.csr_matrix(counts, dtype=np.float64)
    X.data = np.log1p(X.data)
    return X


def digits():
    from sklearn.datasets import load_digits

    return load_digits().data


def planted(n=2000, m=500, k=10, noise=0.1):
    """A dense low-rank matrix with noise, the same everywhere."""
    rng = np.random.default_rng(0)
    return rng.gamma(1.0, size=(n, k)) @ rng.gamma(1.0, size=(k, m)) + noise * rng.random((n, m))


def planted_sparse(n=5000, m=2000, density=0.02):
    """Random counts in topics, sparse."""
    rng = np.random.default_rng(0)
    X = sp.random_array((n, m), density=density, rng=rng, format="csr")
    X.data = 1.0 + rng.poisson(1.0, X.nnz)
    return X


def planted_ratings(n=20000, m=5000, k=20, entries=2_000_000, noise=0.3, seed=0):
    """Ratings with k planted components at distinct random places.

    Returns
    -------
    train : csr_array of shape (n, m), float32
    test : tuple of ndarray
        Rows, columns and values of the tenth that is held out.
    """
    rng = np.random.default_rng(seed)
    W, H = rng.gamma(1.0, size=(n, k)), rng.gamma(1.0, size=(k, m))
    rows, columns = np.divmod(rng.choice(n * m, entries, replace=False, shuffle=False), m)
    values = np.zeros(entries)
    for w, h in zip(W.T, H, strict=True):
        values += w[rows] * h[columns]
    values = values * (3.5 / k) + noise * rng.standard_normal(entries)
    values = np.maximum(values, 0).astype(np.float32)
    held_out = rng.random(entries) < 0.1
    train = sp.coo_array((values[~held_out], (rows[~held_out], columns[~held_out])), shape=(n, m))
    return sp.csr_array(train), (rows[held_out], columns[held_out], values[held_out])


PROBLEMS = {
    "planted": planted,
    "planted_sparse": planted_sparse,
    "planted_ratings": lambda: planted_ratings()[0],  # what is not stored is missing
    "digits": digits,
    "words_tfidf": lambda: tfidf(_load("debian_words")),
    "bigrams_tfidf": lambda: tfidf(_load("debian_bigrams")),
    "pbmc3k_log1p": lambda: log1p(_load("pbmc3k")),
    # frames are samples
    "fishin_3000": lambda: np.ascontiguousarray(_load("audio_fishin_large")[:, :3000].T),
    "fishin_3000_positive": lambda: PROBLEMS["fishin_3000"]() + 1e-6,
}
REAL = (
    "karate", "breast21", "all_aml", "hawaiibirds", "jester5k", "pbmc3k", "tenx10k_dense", "audio_brahms",
    "audio_fishin_large", "debian_words", "debian_bigrams", "debian_tags",
)  # fmt: skip
PROBLEMS |= {name: functools.partial(_load, name) for name in REAL}


@functools.cache
def problem(name: str, dtype: str = "float64"):
    """The matrix of a problem, read-only.

    Raises
    ------
    NotImplementedError
        The data are not there: asv skips the benchmark.
    """
    X = PROBLEMS[name]()
    X = X.astype(dtype)
    (X.data if sp.issparse(X) else X).flags.writeable = False
    return X


@functools.cache
def start(name: str, k: int, init: str, dtype: str = "float64", seed: int = 0):
    """The same initial W and H for every contestant, read-only: scikit-learn's."""
    from sklearn.decomposition._nmf import _initialize_nmf

    factors = _initialize_nmf(problem(name, dtype), k, init=init, random_state=seed)
    for factor in factors:
        factor.flags.writeable = False
    return factors


def settle() -> None:
    """Wait until BLAS threads that have worked just now sleep: they spin for about 30 ms and disturb short fits."""
    time.sleep(0.1)


def objective(X, W, H, loss="frobenius") -> float:
    """The divergence of X and W H in double, without forming W H.

    Entries of W H below `SMALLEST` count as that where X is positive, as in scikit-learn's own error: factors in
    float32 reach zero by rounding where X is tiny, and one such entry would make everything infinite.

    Parameters
    ----------
    loss : str or float
        "frobenius": ||X - W H||_F^2 / 2; otherwise a beta-divergence.
    """
    W, H = np.asarray(W, dtype=np.float64), np.asarray(H, dtype=np.float64)
    beta = BETAS.get(loss, loss)
    if sp.issparse(X) and beta == 2:
        norm = float(np.sum(X.data.astype(np.float64) ** 2))
        inner = float(np.sum((X.astype(np.float64) @ H.T) * W))
        return (norm - 2 * inner + float(np.sum((W.T @ W) * (H @ H.T)))) / 2
    if sp.issparse(X) and beta == 1:
        entries = sp.coo_array(X)
        total = float(W.sum(axis=0) @ H.sum(axis=1))
        for i in range(0, entries.nnz, 1 << 20):
            block = slice(i, i + (1 << 20))
            x = entries.data[block].astype(np.float64)
            y = np.einsum("ij,ij->i", W[entries.row[block]], H.T[entries.col[block]])
            total += float(np.sum(x * np.log(x / np.maximum(y, SMALLEST)) - x, where=x > 0))
        return total
    total = 0.0
    step = max(1, (1 << 22) // X.shape[1])
    for i in range(0, X.shape[0], step):
        x = X[i : i + step]
        x = (x.toarray() if sp.issparse(x) else x).astype(np.float64)
        y = W[i : i + step] @ H
        np.maximum(y, SMALLEST, out=y, where=x > 0)
        total += _divergence(x, y, beta)
    return total


SMALLEST = float(np.finfo(np.float32).eps)
BETAS = {"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0}


def _divergence(x, y, beta) -> float:
    """The sum of d(x, y), from the textbook's formulas."""
    if beta == 2:
        return float(np.sum((x - y) ** 2)) / 2
    if beta == 0:
        return float(np.sum(x / y - np.log(x / y) - 1))
    if beta == 1:
        some = x > 0
        return float(np.sum(x[some] * np.log(x[some] / y[some]))) - float(x.sum()) + float(y.sum())
    root = np.sqrt(y)
    with np.errstate(divide="ignore", invalid="ignore"):  # an infinite one does not count, as X is zero there
        if beta == 1.5:  # powers would take most of the time
            y_b, y_b1 = root * y, root
        else:
            y_b, y_b1 = (root, 1 / root) if beta == 0.5 else (y**beta, y ** (beta - 1))
        cross = float(np.sum(x * y_b1, where=x > 0))
    return (float(np.sum(x**beta)) + (beta - 1) * float(y_b.sum()) - beta * cross) / (beta * (beta - 1))


def rank_one(X):
    """W and H of the model of row sums times column sums: what is known without any components."""
    rows, columns = (np.asarray(X.sum(axis=axis, dtype=np.float64)).ravel() for axis in (1, 0))
    return rows[:, np.newaxis], columns[np.newaxis] / rows.sum()
