"""The data that benchmarks run on, and one start for everybody.

Real data come from ``shared/data`` beside the checkout, or from the folder named by ``NMF_CORE_DATA``; benchmarks that
need them are skipped without. asv runs from clones elsewhere, so parents of the current directory are searched too.
"""

import functools
import importlib.util
import os
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


PROBLEMS = {
    "planted": planted,
    "planted_sparse": planted_sparse,
    "digits": digits,
    "words_tfidf": lambda: tfidf(_load("debian_words")),
    "bigrams_tfidf": lambda: tfidf(_load("debian_bigrams")),
    "pbmc3k_log1p": lambda: log1p(_load("pbmc3k")),
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


def objective(X, W, H) -> float:
    """||X - W H||_F^2 / 2 in double, without forming W H."""
    W, H = np.asarray(W, dtype=np.float64), np.asarray(H, dtype=np.float64)
    if sp.issparse(X):
        norm = float(np.sum(X.data.astype(np.float64) ** 2))
        inner = float(np.sum((X.astype(np.float64) @ H.T) * W))
        return (norm - 2 * inner + float(np.sum((W.T @ W) * (H @ H.T)))) / 2
    total = 0.0
    for i in range(0, len(X), 512):
        residual = X[i : i + 512].astype(np.float64) - W[i : i + 512] @ H
        total += float(np.einsum("ij,ij->", residual, residual))
    return total / 2
