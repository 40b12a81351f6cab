"""What a factorization says, in numbers: for pictures, reports and tables."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from nmf_core.factorization import Factorization
from nmf_core.validation import Labels, check_shape

# A matrix is read in blocks of about this many entries.
BLOCK_ENTRIES = 1 << 20


class Feature(NamedTuple):
    """A feature of a component: its label, and its entry of H as a share of the component's largest."""

    label: str
    weight: float


def strongest_features(f: Factorization, n: int = 10) -> list[list[Feature]]:
    """The n features that weigh most in every component, strongest first, without those that weigh nothing.

    Parameters
    ----------
    f : Factorization
        The factorization.
    n : int
        Features of a component at most.
    """
    features = []
    for h in f.H:
        top = np.argsort(-h, kind="stable")[:n]
        features.append([Feature(label_of(f.column_labels, i), float(h[i] / h[top[0]])) for i in top if h[i] > 0])
    return features


def label_of(labels: Labels, i: int) -> str:
    """The label of row or column i, its number if there are no labels."""
    return str(i) if labels is None else labels[i]


def component_names(f: Factorization) -> tuple[str, ...]:
    """Names of the components: c1, c2, ..."""
    return tuple(f"c{j + 1}" for j in range(f.n_components))


def all_parameters(f: Factorization) -> dict[str, Any]:
    """Everything that was chosen, by the user or for them."""
    return {"loss": f.loss, "solver": f.solver, "init": f.init, **f.parameters, "n_threads": f.n_threads}


def component_shares(f: Factorization) -> np.ndarray:
    """The share (n_components,) of every component in the sum of all entries of W @ H."""
    sums = f.W.sum(axis=0, dtype=np.float64) * f.H.sum(axis=1, dtype=np.float64)
    return sums / (sums.sum() or 1.0)


def row_errors(f: Factorization, X: Any) -> np.ndarray:
    """||x_i - w_i H|| / ||x_i|| for every row of X, NaN for a row of zeros.

    Parameters
    ----------
    f : Factorization
        The factorization.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        What was factorized. It is read in blocks of rows; a sparse one stays sparse.

    Returns
    -------
    ndarray of float64, shape (n_samples,)

    Raises
    ------
    ValueError
        X has another shape.
    """
    X = X.tocsr() if sp.issparse(X) else np.asarray(X)
    n, m = f.W.shape[0], f.H.shape[1]
    check_shape(X.shape, (n, m))
    H = f.H.astype(np.float64)
    HHt = H @ H.T
    squares, norms = np.empty(n), np.empty(n)
    step = max(1, BLOCK_ENTRIES // m)
    for first in range(0, n, step):
        block = slice(first, first + step)
        A, W = X[block].astype(np.float64), f.W[block].astype(np.float64)
        A2 = A.multiply(A) if sp.issparse(A) else A * A
        norms[block] = np.asarray(A2.sum(axis=1)).ravel()
        # ||a - w H||^2 without the residual
        squares[block] = norms[block] + np.einsum("ij,ij->i", W, W @ HHt - 2 * (A @ H.T))
    norms[norms == 0] = np.nan
    return np.sqrt(np.maximum(squares, 0) / norms)


def strongest_components(f: Factorization) -> np.ndarray:
    """The component (n_samples,) that contributes most to every row of X; 0 where none does.

    The length of a contribution, w_ij ||h_j||, stays the same when scale is shifted from W to H.
    """
    return np.argmax(f.W * np.linalg.norm(f.H, axis=1), axis=1)
