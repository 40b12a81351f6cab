"""What a factorization says, in numbers: for pictures, reports and tables."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from nmf_core.data import raised
from nmf_core.labels import Axis, labelled
from nmf_core.typing import Ranking
from nmf_core.validation import check_choice, check_integer, check_new_samples, check_one, check_shape, check_stability

__all__ = [
    "Feature",
    "component_shares",
    "contributions",
    "feature_scores",
    "row_errors",
    "sparsity",
    "strongest_components",
    "strongest_features",
]

# A matrix is read in blocks of about this many entries.
BLOCK_ENTRIES = 1 << 20


RANKINGS = ("distinctive", "weight", "lift")


class Feature(NamedTuple):
    """A feature of a component: its label, and how strong it is there as a share of the strongest one."""

    label: str
    weight: float


def feature_scores(f: Any, by: Ranking = "distinctive") -> np.ndarray:
    """How strong every feature is in every component: the one definition of it, for tables, pictures and reports.

    Parameters
    ----------
    f : Factorization
        The factorization.
    by : {"distinctive", "weight", "lift"}
        With the share p of a feature in its component, and its share q in the whole model: ``p * log(p / q)``, what it
        adds to the divergence of the component from the rest, so that what is everywhere does not count; p; or
        ``p / q``, which prefers rare ones. Of a single component it is always p.

    Returns
    -------
    ndarray of float64, shape (n_components, n_features)
        Zero where H is; "distinctive" may be negative.
    """
    check_choice(by, "by", RANKINGS)
    H = f.H.astype(np.float64)
    sums = H.sum(axis=1, keepdims=True)
    p = np.divide(H, sums, out=np.zeros_like(H), where=sums > 0)
    if by == "weight" or np.count_nonzero(sums) < 2:
        return p
    q = component_shares(f) @ p
    lift = np.divide(p, q, out=np.ones_like(p), where=q > 0)
    if by == "lift":
        return np.where(p > 0, lift, 0.0)
    return p * np.log(np.where(p > 0, lift, 1.0))


def strongest_features(f: Any, n: int = 10, by: Ranking = "distinctive") -> list[list[Feature]]:
    """The n strongest features of every component, the strongest first, without those that are not strong at all.

    Parameters
    ----------
    f : Factorization
        The factorization.
    n : int
        Features of a component at most.
    by : {"distinctive", "weight", "lift"}
        What strong means, as in `feature_scores`.
    """
    features = []
    for score in feature_scores(f, by):
        top = np.argsort(-score, kind="stable")[:n]
        features.append(
            [Feature(label_of(f.column_labels, i), float(score[i] / score[top[0]])) for i in top if score[i] > 0]
        )
    return features


def label_of(labels: Axis | None, i: int) -> str:
    """The label of row or column i as text to be read, its number if there are no labels."""
    label = i if labels is None else labels[i]
    return f"{label:.8g}" if isinstance(label, float) else str(label)


def all_parameters(f: Any) -> dict[str, Any]:
    """Everything that was chosen, by the user or for them."""
    return {"loss": f.loss, "solver": f.solver, "init": f.init, **f.parameters, "n_threads": f.n_threads}


def component_shares(f: Any) -> np.ndarray:
    """The share (n_components,) of every component in the sum of all entries of W @ H."""
    sums = f.W.sum(axis=0, dtype=np.float64) * f.H.sum(axis=1, dtype=np.float64)
    return sums / (sums.sum() or 1.0)


def row_errors(f: Any, X: Any, weights: Any = None) -> np.ndarray:
    """||x_i - model_i|| / ||x_i|| for every row of X, over its known entries; NaN where these are zero, or none.

    X is taken with the `floor` of the fit, if it had one.

    Parameters
    ----------
    f : Factorization
        The factorization. It knows whether anything is missing, and has the biases.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        What was factorized, or an array of it with NaN where something is missing. It is read in blocks of rows; a
        sparse one stays sparse. Labels are brought into the order
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
    X, missing = check_new_samples(X, "X", f.parameters.get("missing"), weights)
    X, weights = (_of_the_fit(f, A, name) for A, name in ((X, "X"), (weights, "weights")))
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


def _of_the_fit(f: Any, A: Any, name: str) -> Any:
    """A matrix of the shape of what was factorized and in its order, as an array or CSR; None if there is none."""
    if A is None:
        return None
    data = labelled(f._flat(A, name), name, missing=f.parameters.get("missing")).in_memory()
    A = data.values.tocsr() if sp.issparse(data.values) else np.asarray(data.values)
    check_shape(A.shape, (f.W.shape[0], f.H.shape[1]), name)
    return data._replace(values=A).aligned(name, f.row_labels, f.column_labels, of="the fit").values


def _blocks(f: Any) -> Iterator[slice]:
    """Rows that are looked at together."""
    n, m = f.W.shape[0], f.H.shape[1]
    step = max(1, BLOCK_ENTRIES // m)
    return (slice(first, first + step) for first in range(0, n, step))


def _complete_squares(f: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
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


def _known_squares(f: Any, X: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same where NaN are missing, or entries are weighted, or the model has biases."""
    squares, norms = np.empty(X.shape[0]), np.empty(X.shape[0])
    H = f.H.astype(np.float64)
    for block in _blocks(f):
        A = _dense(X[block])
        model = f.W[block].astype(np.float64) @ H
        if f.biases is not None:
            model += f.biases.mean + f.biases.rows[block, np.newaxis] + f.biases.columns
        known = np.ones(A.shape) if weights is None else _dense(weights[block])
        if f.parameters.get("missing") is not None:
            holes = np.isnan(A)
            A[holes] = known[holes] = 0
        norms[block] = np.einsum("ij,ij,ij->i", A, A, known)
        squares[block] = np.einsum("ij,ij,ij->i", A - model, A - model, known)
    return squares, norms


def _stored_squares(f: Any, X: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
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


def contributions(f: Any) -> np.ndarray:
    """What every component adds to every sample, as a length (n_samples, n_components): ``W * ||h||``.

    It stays the same when scale is shifted from W to H.
    """
    return np.asarray(f.W) * np.linalg.norm(f.H, axis=1)


def strongest_components(f: Any) -> np.ndarray:
    """The component (n_samples,) that contributes most to every row of X; 0 where none does."""
    return np.argmax(contributions(f), axis=1)


# --- tables


def strongest_samples(f: Any, n: int = 5) -> list[np.ndarray]:
    """For every component the numbers of at most n samples to which it contributes most, the strongest first."""
    parts = contributions(f)
    n = min(n, len(parts))
    lists = []
    for part in parts.T:
        rows = np.sort(np.argpartition(-part, n - 1)[:n])
        rows = rows[np.argsort(-part[rows], kind="stable")]
        lists.append(rows[part[rows] > 0])
    return lists


def features_table(f: Any, n: int = 10, by: Ranking = "distinctive") -> dict[str, Any]:
    """Columns of `Factorization.features`."""
    n = check_integer(n, "n", 1)
    scores, names = feature_scores(f, by), f.names
    columns: dict[str, list[Any]] = {"component": [], "rank": [], "feature": [], "weight": [], "score": []}
    weights = feature_scores(f, "weight")
    for j, score in enumerate(scores):
        top = [i for i in np.argsort(-score, kind="stable")[:n] if score[i] > 0]
        columns["component"] += [names[j]] * len(top)
        columns["rank"] += range(1, len(top) + 1)
        columns["feature"] += [int(i) if f.column_labels is None else f.column_labels[i] for i in top]
        columns["weight"] += weights[j, top].tolist()
        columns["score"] += score[top].tolist()
    return columns


def samples_table(f: Any, n: int = 3, X: Any = None, weights: Any = None) -> dict[str, Any]:
    """Columns of `Factorization.samples`."""
    n = min(check_integer(n, "n", 1), f.n_components)
    parts = contributions(f).astype(np.float64)
    totals = parts.sum(axis=1, keepdims=True)
    shares = np.divide(parts, totals, out=np.zeros_like(parts), where=totals > 0)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :n]
    names = np.array([*f.names, None], dtype=object)
    columns: dict[str, Any] = {"sample": list(range(len(parts)) if f.row_labels is None else f.row_labels)}
    for place in range(n):
        share = shares[np.arange(len(parts)), order[:, place]]
        prefix = ("component", "share") if place == 0 else (f"component_{place + 1}", f"share_{place + 1}")
        columns[prefix[0]] = names[np.where(share > 0, order[:, place], f.n_components)].tolist()
        columns[prefix[1]] = share
    if X is not None:
        columns["error"] = row_errors(f, X, weights)
    return columns


def components_table(f: Any, n: int = 5, by: Ranking = "distinctive", stability: Any = None) -> dict[str, Any]:
    """Columns of `Factorization.component_info`."""
    parts = contributions(f)
    lists = strongest_features(f, check_integer(n, "n", 1), by)
    columns: dict[str, Any] = {
        "component": list(f.names),
        "share": component_shares(f),
        "sparsity": np.array([sparsity(h) for h in f.H]),
        "samples": np.bincount(np.argmax(parts, axis=1)[parts.any(axis=1)], minlength=f.n_components),
    }
    stability = f.stability if stability is None else stability
    if stability is not None:
        columns["stability"] = check_stability(stability, f.n_components)
    columns["top_features"] = [", ".join(feature.label for feature in features) for features in lists]
    columns["top_samples"] = [
        ", ".join(label_of(f.row_labels, int(i)) for i in rows) for rows in strongest_samples(f, n)
    ]
    return columns


def explanation(f: Any, sample: Any, feature: Any) -> dict[str, Any]:
    """Columns of `Factorization.explain`."""
    i, j = check_one(f._places(sample, "row"), "sample"), check_one(f._places(feature, "column"), "feature")
    terms = (np.asarray(f.W[i]) * f.H[:, j]).astype(np.float64)
    names = list(f.names)
    if f.biases is not None:
        names += ["mean", "bias of the sample", "bias of the feature"]
        terms = np.append(terms, [f.biases.mean, f.biases.rows[i], f.biases.columns[j]])
    order = np.argsort(-np.abs(terms), kind="stable")
    order = order[: max(1, np.count_nonzero(terms))]  # what adds nothing explains nothing
    total = terms.sum()
    return {
        "component": [names[place] for place in order],
        "contribution": terms[order],
        "share": terms[order] / total if total else np.zeros(len(terms)),
    }


def sparsity(vector: np.ndarray) -> float:
    """Hoyer's sparseness of a vector, 0 of equal entries, 1 of a single one; a zero vector counts 0."""
    norm, root = np.linalg.norm(vector.astype(np.float64)), np.sqrt(vector.size)
    return float((root - vector.sum(dtype=np.float64) / norm) / (root - 1)) if norm > 0 and root > 1 else 0.0
