"""Replicates of X: what else could have been observed."""

from typing import Any

import numpy as np

from nmf_core.labels import labelled
from nmf_core.validation import ArrayOrSparse, check_choice, check_counts, check_fraction, check_integer, is_sparse

RESAMPLE = ("poisson", "bootstrap", "subsample")


def resample(X: ArrayOrSparse, how: str, seed: int, fraction: float = 0.8) -> ArrayOrSparse:
    """A replicate of X.

    Parameters
    ----------
    X : array-like, sparse array or matrix or data frame of shape (n_samples, n_features)
        Non-negative. Not modified. Entries that have weight zero in a fit count as zero in its replicates.
    how : {"poisson", "bootstrap", "subsample"}
        "poisson": every entry is drawn from a Poisson distribution with the entry of X as mean, for counts; NaN stays,
        and a sparse X keeps its pattern. "bootstrap": as many samples as there are, drawn with replacement.
        "subsample": a `fraction` of the samples, drawn without.
    seed : int
        Source of randomness, at least 0.
    fraction : float
        Share of the samples in a subsample.

    Returns
    -------
    ndarray, CSR or CSC array or matrix
        Of the dtype and the format of X, but a subsample has fewer rows; rows of CSC are drawn into CSR. A seed draws
        the same entries whatever the format.

    Raises
    ------
    ValueError
        Counts are wanted, and X has other entries.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.ensemble import resample
    >>> resample(np.array([[3.0, 0.0], [40.0, 5.0]]), "subsample", 0, fraction=0.5).shape
    (1, 2)
    """
    check_choice(how, "how", RESAMPLE)
    seed = check_integer(seed, "seed", 0)
    X = labelled(X, missing="nan").in_memory().values
    X = (X if X.format in ("csr", "csc") else X.tocsr()) if is_sparse(X) else np.asarray(X)
    random = np.random.default_rng([seed, 1])  # another stream than that of the start
    if how == "poisson":
        check_counts(X)
        replicate = X.tocsr(copy=True) if is_sparse(X) else X.copy()
        if is_sparse(X):
            replicate.sum_duplicates()  # entries row by row, so that every format gets the same ones
        values = replicate.data if is_sparse(X) else replicate
        np.copyto(values, random.poisson(np.nan_to_num(values)), where=~np.isnan(values), casting="unsafe")
        return replicate.asformat(X.format) if is_sparse(X) else replicate
    return (X.tocsr() if is_sparse(X) else X)[rows_of(X.shape[0], how, seed, fraction)]


def rows_of(n: int, how: str, seed: int, fraction: float) -> np.ndarray:
    """The samples of n that a bootstrap or a subsample consists of, in ascending order."""
    random = np.random.default_rng([seed, 1])
    if how == "bootstrap":
        return np.sort(random.integers(n, size=n))
    size = max(1, round(check_fraction(fraction) * n))
    return np.sort(random.choice(n, size, replace=False))


def resampled_weights(weights: Any, how: str, seed: int, fraction: float) -> Any:
    """Weights of a replicate."""
    if weights is None or how == "poisson":
        return weights
    return weights[rows_of(weights.shape[0], how, seed, fraction)]


def permuted_columns(X: ArrayOrSparse, seed: int) -> ArrayOrSparse:
    """X with the entries of every column in random order, what is not stored and NaN among them."""
    random = np.random.default_rng([seed, 2])
    if not is_sparse(X):
        return random.permuted(X, axis=0)
    permuted = X.tocsc(copy=True)
    for j in range(X.shape[1]):
        here = slice(permuted.indptr[j], permuted.indptr[j + 1])
        permuted.indices[here] = np.sort(random.choice(X.shape[0], here.stop - here.start, replace=False))
        random.shuffle(permuted.data[here])
    return permuted if X.format == "csc" else permuted.tocsr()
