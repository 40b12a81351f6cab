"""What a factorization says, in numbers: for pictures, reports and tables."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from nmf_core.data import raised
from nmf_core.factorization import Factorization
from nmf_core.labels import Axis, labelled
from nmf_core.validation import check_shape

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


def label_of(labels: Axis | None, i: int) -> str:
    """The label of row or column i as text, its number if there are no labels."""
    return str(i) if labels is None else str(labels[i])


def all_parameters(f: Factorization) -> dict[str, Any]:
    """Everything that was chosen, by the user or for them."""
    return {"loss": f.loss, "solver": f.solver, "init": f.init, **f.parameters, "n_threads": f.n_threads}


def component_shares(f: Factorization) -> np.ndarray:
    """The share (n_components,) of every component in the sum of all entries of W @ H."""
    sums = f.W.sum(axis=0, dtype=np.float64) * f.H.sum(axis=1, dtype=np.float64)
    return sums / (sums.sum() or 1.0)


def row_errors(f: Factorization, X: Any, weights: Any = None) -> np.ndarray:
    """||x_i - model_i|| / ||x_i|| for every row of X, over its known entries; NaN where these are zero, or none.

    X is taken with the `floor` of the fit, if it had one.

    Parameters
    ----------
    f : Factorization
        The factorization. It knows what is missing by NaN, or because it is not stored, and has the biases.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        What was factorized. It is read in blocks of rows; a sparse one stays sparse. Labels are brought into the order
        of the fit.
    weights : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
        Those of the fit, if it had some: they weigh the squares, and what has weight zero is missing. Without them all
        known entries count the same.

    Returns
    -------
    ndarray of float64, shape (n_samples,)
        In the order of the rows of the fit.

    Raises
    ------
    TypeError, ValueError
        X or weights have another shape or other labels.
    """
    X, weights = (_of_the_fit(f, A, name) for A, name in ((X, "X"), (weights, "weights")))
    missing = f.parameters.get("missing")
    if floor := f.parameters.get("floor"):
        X = raised(X, floor, missing)
    if missing == "unstored":
        squares, norms = _stored_squares(f, X, weights)
    elif missing is None and weights is None and f.biases is None:
        squares, norms = _complete_squares(f, X)
    else:
        squares, norms = _known_squares(f, X, weights)
    norms[norms == 0] = np.nan
    return np.sqrt(np.maximum(squares, 0) / norms)


def _of_the_fit(f: Factorization, A: Any, name: str) -> Any:
    """A matrix of the shape of what was factorized and in its order, as an array or CSR; None if there is none."""
    if A is None:
        return None
    data = labelled(A, name, missing=f.parameters.get("missing")).in_memory()
    A = data.values.tocsr() if sp.issparse(data.values) else np.asarray(data.values)
    check_shape(A.shape, (f.W.shape[0], f.H.shape[1]), name)
    return data._replace(values=A).aligned(name, f.row_labels, f.column_labels, of="the fit").values


def _blocks(f: Factorization) -> Iterator[slice]:
    """Rows that are looked at together."""
    n, m = f.W.shape[0], f.H.shape[1]
    step = max(1, BLOCK_ENTRIES // m)
    return (slice(first, first + step) for first in range(0, n, step))


def _complete_squares(f: Factorization, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Squared errors and squared lengths of the rows of complete X, which may be sparse."""
    squares, norms = np.empty(X.shape[0]), np.empty(X.shape[0])
    H = f.H.astype(np.float64)
    HHt = H @ H.T
    for block in _blocks(f):
        A, W = X[block].astype(np.float64), f.W[block].astype(np.float64)
        A2 = A.multiply(A) if sp.issparse(A) else A * A
        norms[block] = np.asarray(A2.sum(axis=1)).ravel()
        # ||a - w H||^2 without the residual
        squares[block] = norms[block] + np.einsum("ij,ij->i", W, W @ HHt - 2 * (A @ H.T))
    return squares, norms


def _known_squares(f: Factorization, X: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same where NaN are missing, or entries are weighted, or the model has biases."""
    squares, norms = np.empty(X.shape[0]), np.empty(X.shape[0])
    H = f.H.astype(np.float64)
    for block in _blocks(f):
        A = _dense(X[block])
        model = f.W[block].astype(np.float64) @ H
        if f.biases is not None:
            model += f.biases.mean + f.biases.rows[block, np.newaxis] + f.biases.columns
        known = np.ones(A.shape) if weights is None else _dense(weights[block])
        if f.parameters.get("missing") == "nan":
            holes = np.isnan(A)
            A[holes] = known[holes] = 0
        norms[block] = np.einsum("ij,ij,ij->i", A, A, known)
        squares[block] = np.einsum("ij,ij,ij->i", A - model, A - model, known)
    return squares, norms


def _stored_squares(f: Factorization, X: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same where only what sparse X stores is known."""
    X = X.tocsr(copy=True)
    X.sum_duplicates()
    n = X.shape[0]
    rows = np.repeat(np.arange(n), np.diff(X.indptr))
    values = X.data.astype(np.float64)
    residuals = values - f._values_at(rows, X.indices)
    known = np.ones(len(rows)) if weights is None else np.asarray(weights[rows, X.indices], dtype=np.float64).ravel()
    return np.bincount(rows, known * residuals**2, n), np.bincount(rows, known * values**2, n)


def _dense(A: Any) -> np.ndarray:
    """A copy as an array of float64."""
    return (A.toarray() if sp.issparse(A) else A).astype(np.float64)


def strongest_components(f: Factorization) -> np.ndarray:
    """The component (n_samples,) that contributes most to every row of X; 0 where none does.

    The length of a contribution, w_ij ||h_j||, stays the same when scale is shifted from W to H.
    """
    return np.argmax(f.W * np.linalg.norm(f.H, axis=1), axis=1)
