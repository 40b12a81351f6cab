"""Checks of matrices: data, factors, weights, and what is known of them."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from nmf_core._core import Workspace
from nmf_core.labels import Axis, Labelled, labelled
from nmf_core.typing import Missing
from nmf_core.validation.scan import Scan, in_order, scan

Labels = tuple[str, ...] | None  # as files hold them

ArrayOrSparse = Any  # an ndarray, or a CSR or CSC array or matrix

MISSING = ("nan", "unstored")


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse array or matrix of SciPy.

    Whoever has one has imported scipy.sparse; importing it here would take half of the time of importing nmf_core.
    """
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(X))


def check_matrix(
    X: Any,
    name: str = "X",
    *,
    factor: bool = False,
    missing: Missing | None = None,
    signed: bool = False,
    squared: bool = True,
    hint: bool = False,
    workspace: Workspace | None = None,
) -> Labelled:
    """A real, finite, non-negative matrix in float32 or float64, and the labels that it has come with.

    Parameters
    ----------
    X : ndarray, array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        Float32 and float64 are kept; integers, booleans and other floats become float64. CSR and CSC are kept, other
        sparse formats become CSR. Never modified.
    name : str
        How messages call it.
    factor : bool
        Whether it is a factor, whose entries may be as small as they like. Data that vanish when squared are refused.
    missing : {None, "nan", "unstored"}
        What is missing: with "nan" an array may hold NaN; with "unstored" it must be sparse.
    signed : bool
        Whether it may be negative, too.
    squared : bool
        Whether it must not overflow when it is squared.
    hint : bool
        Whether messages should say how to have NaN taken for missing.
    workspace : Workspace, optional
        Who looks at the entries; by default one thread.

    Returns
    -------
    Labelled
        An ndarray or CSR or CSC array or matrix, its labels, and its scan.

    Raises
    ------
    TypeError
        Not numeric: strings, objects, complex numbers, masked arrays.
    ValueError
        Not two-dimensional, empty, or with an entry that is NaN, infinite or
        negative (the first is named).
    """
    data = X if isinstance(X, Labelled) else labelled(X, name, missing=missing, hint=hint)
    X = data.in_memory().values
    if not is_sparse(X):
        try:
            X = np.asarray(X)
        except ValueError as error:
            raise ValueError(f"{name} is not a matrix: {error}") from None
    check_numeric(X.dtype, name)
    if X.ndim != 2:
        advice = ""
        if name == "X" and X.ndim > 2:
            advice = " sample_axes says which of them are samples, such as sample_axes=0; all others are features."
        raise ValueError(f"{name} must be a matrix with 2 dimensions, but it has {X.ndim}.{advice}")
    if 0 in X.shape:
        raise ValueError(f"{name} is empty: its shape is {X.shape[0]} x {X.shape[1]}.")
    if X.dtype not in (np.float32, np.float64) or not X.dtype.isnative:
        X = X.astype(np.float32 if X.dtype == np.dtype(np.float32).newbyteorder() else np.float64)
    if is_sparse(X) and X.format not in ("csr", "csc"):
        X = X.tocsr()
    found = data.scan if X is data.values and data.scan is not None else look_at(X, name, workspace)
    if missing == "nan" and is_sparse(X):
        raise ValueError(
            f"missing='nan' is for arrays, but {name} is sparse: .toarray() makes an array of it, missing='unstored' "
            f"takes what it does not store for missing."
        )
    if missing == "unstored" and not is_sparse(X):
        raise ValueError(f"missing='unstored' is for sparse {name}, but it is an array: missing='nan' is for those.")
    data = data._replace(values=X, scan=found)
    _check_values(data, name, factor, missing, signed, squared, hint)
    return data


def look_at(X: ArrayOrSparse, name: str = "X", workspace: Workspace | None = None) -> Scan:
    """What one pass tells of an array, CSR or CSC of float32 or float64.

    Raises
    ------
    ValueError
        It is sparse and points outside itself.
    """
    canonical = not is_sparse(X) or _check_structure(X, name, workspace)
    return scan(stored_values(X), workspace, canonical=canonical)


def check_numeric(dtype: np.dtype, name: str) -> np.dtype:
    """A dtype of real numbers."""
    if dtype.kind not in "fiub":
        kind = {"c": "complex numbers", "O": "Python objects", "U": "strings", "S": "strings"}.get(
            dtype.kind, f"dtype {dtype}"
        )
        advice = " Take their magnitudes, abs(X), or powers, abs(X)**2." if kind == "complex numbers" else ""
        raise TypeError(f"{name} must hold real numbers, but it holds {kind}.{advice}")
    return dtype


def _check_structure(X: ArrayOrSparse, name: str, workspace: Workspace | None = None) -> bool:
    """Whether CSR or CSC is in order, each entry once.

    Built by hand it can also point outside itself; kernels trust it afterwards.
    """
    if max(X.shape) >= 2**31:
        raise ValueError(
            f"{name} is {X.shape[0]} x {X.shape[1]}, but a sparse matrix has {2**31 - 1} rows and columns at most."
        )
    n, m = X.shape if X.format == "csr" else X.shape[::-1]
    stored = min(len(X.data), len(X.indices))
    ascending = (X.indptr[1:] >= X.indptr[:-1]).all()
    if len(X.indptr) != n + 1 or X.indptr[0] != 0 or X.indptr[-1] > stored or not ascending:
        raise ValueError(f"{name} is not a valid {X.format.upper()} matrix: its indptr does not fit its data.")
    canonical = in_order(X.indices, X.indptr, m, workspace)
    if canonical is None:
        raise ValueError(f"{name} is not a valid {X.format.upper()} matrix: an index is outside its {m} columns.")
    return canonical


def _check_values(
    data: Labelled,
    name: str,
    factor: bool,
    missing: Missing | None,
    signed: bool,
    squared: bool,
    hint: bool,
) -> None:
    X, found = data.values, data.scan
    if found.size == 0 or (found.minimum > found.maximum and missing == "nan"):
        return
    values = stored_values(X)
    if found.finite and (signed or found.minimum >= 0) and (missing == "nan" or not found.nan):
        limits = np.finfo(values.dtype)
        largest = max(found.maximum, -found.minimum)
        if squared and largest * largest * values.size > float(limits.max):
            raise ValueError(
                f"{name} is too large for {values.dtype}: squares of entries up to {largest:g} overflow. Scale it down."
            )
        if squared and not factor and largest > 0 and largest * largest < float(limits.tiny):
            raise ValueError(
                f"{name} is too small for {values.dtype}: squares of entries up to {largest:g} vanish. Scale it up."
            )
        return
    bad: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "NaN": np.isnan if missing != "nan" else lambda v: np.zeros(v.shape, dtype=bool),
        "infinity": np.isinf if signed else np.isposinf,
        "a negative value": lambda v: v < 0,
    }
    what, test = next((what, test) for what, test in bad.items() if test(values).any())
    row, column = _first(X, test(values))
    value = "" if what == "NaN" else f" ({X[row, column]:g})" if what.startswith("a neg") else ""
    advice = ""
    if what == "NaN" and hint:
        nan = " missing='nan' takes NaN for missing entries."
        unstored = f" In an array{nan} If what is not stored is missing, too, leave NaN out, with missing='unstored'."
        known = " Leave it out: what is not stored is missing."
        advice = known if missing == "unstored" else unstored if is_sparse(X) else nan
    raise ValueError(f"{name} contains {what}{value}, first at {data.place(row, column)}.{advice}")


def _first(X: ArrayOrSparse, found: np.ndarray) -> tuple[int, int]:
    """Row and column of the first entry found, in the order in which X is stored."""
    if not is_sparse(X):
        row, column = np.unravel_index(int(found.argmax()), X.shape)
        return int(row), int(column)
    entry = int(found.argmax())
    major, minor = int(np.searchsorted(X.indptr, entry, side="right")) - 1, int(X.indices[entry])
    return (major, minor) if X.format == "csr" else (minor, major)


def stored_values(X: ArrayOrSparse) -> np.ndarray:
    """Entries of an array, or the stored ones of CSR and CSC."""
    return X.data[: X.indptr[-1]] if is_sparse(X) else X


def check_weighted(
    X: Any, weights: Any, missing: Missing | None, *, hint: bool = False, workspace: Workspace | None = None
) -> tuple[Labelled, ArrayOrSparse | None]:
    """What `check_matrix` makes of X, and the weights of its entries, if there are some, in its dtype and order.

    Whatever stands in an array where the weight is zero does not matter, not even to checks.
    """
    data = X if isinstance(X, Labelled) else labelled(X, missing=missing, hint=hint)
    if weights is None:
        return check_matrix(data, missing=missing, hint=hint, workspace=workspace), None
    given = check_matrix(weights, "weights", squared=False, workspace=workspace).aligned(
        "weights", data.rows, data.columns
    )
    weights = given.values
    changed = data._replace(values=_without_weightless(data.values, weights), scan=None)
    data = check_matrix(changed, missing=missing, hint=hint, workspace=workspace)
    X = data.values
    if weights.shape != X.shape:
        raise ValueError(f"weights have shape {tuple(weights.shape)}, but X has shape {tuple(X.shape)}.")
    if weights.dtype != X.dtype:
        with np.errstate(over="ignore"):
            weights = weights.astype(X.dtype)
    high, largest = (max(0.0, (A.scan or look_at(A.values, workspace=workspace)).maximum) for A in (given, data))
    if high * max(1.0, largest) ** 2 > float(np.finfo(X.dtype).max):
        raise ValueError(f"weights up to {high:g} are too large for {X.dtype}, the type of X. Scale them down.")
    return data, weights


def _without_weightless(X: Any, weights: ArrayOrSparse) -> Any:
    """X with zeros where an array of the shape of the weights has none."""
    if is_sparse(X) or weights.shape != np.shape(X):
        return X
    counts = weights > 0 if not is_sparse(weights) else np.zeros(weights.shape, dtype=bool)
    if is_sparse(weights):  # whose operators bring it into order, in place
        stored = stored_values(weights)
        major, minor = np.repeat(np.arange(len(weights.indptr) - 1), np.diff(weights.indptr)), weights.indices
        places = (major[stored > 0], minor[: len(stored)][stored > 0])
        counts[places if weights.format == "csr" else places[::-1]] = True
    return X if counts.all() else np.where(counts, X, np.zeros((), dtype=np.asarray(X).dtype))


def check_zeros(data: Any, positive: bool, advice: str = "") -> None:
    """A loss that wants X positive, such as a beta-divergence with beta <= 0: `data`, a container, is asked for it."""
    if positive and data.has_zeros():
        raise ValueError(
            f"X contains zeros, where a divergence with beta <= 0, such as Itakura-Saito, is infinite. "
            f"Add a small value to X, such as {data.small():g}.{advice}"
        )


def check_known(n_known: int) -> None:
    """Whether anything is known at all."""
    if n_known == 0:
        raise ValueError("X has no known entry: all are missing or have weight zero.")


def check_factor(
    F: Any,
    name: str,
    shape: tuple[int, int],
    dtype: np.dtype,
    *,
    zeros: bool = False,
    rows: Axis | None = None,
    columns: Axis | None = None,
) -> np.ndarray:
    """A given factor: finite, non-negative, of this shape and converted to this dtype; all zero only if `zeros`.

    Its rows and columns are brought into the order of others where both have labels.
    """
    array = check_matrix(F, name, factor=True).aligned(name, rows, columns).values
    if is_sparse(array):
        array = array.toarray()
    if array.shape != shape:
        raise ValueError(
            f"{name} has shape {array.shape[0]} x {array.shape[1]}, but {shape[0]} x {shape[1]} is needed."
        )
    if not zeros and not array.any():
        raise ValueError(f"{name} is full of zeros.")
    with np.errstate(over="ignore"):
        converted = array.astype(dtype, copy=False)
    if np.isinf(converted.max()):
        raise ValueError(f"{name} is too large for {np.dtype(dtype)}, the type of X (up to {array.max():g}).")
    return converted


def check_excluded(
    exclude: Any, shape: tuple[int, int], rows: np.ndarray, labels: tuple[Axis | None, Axis | None]
) -> tuple[np.ndarray, np.ndarray]:
    """What is excluded for some rows: columns in ascending order, and where each row's begin.

    `labels` are those of rows and columns in whose order all this is.
    """
    if exclude is None:
        return np.empty(0, dtype=np.int64), np.zeros(len(rows) + 1, dtype=np.int64)
    exclude = labelled(exclude, "exclude", missing="unstored").in_memory()
    exclude = exclude.aligned("exclude", *labels, of="the fit").values
    if not is_sparse(exclude):
        array = np.asarray(exclude)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"exclude must be a sparse or dense matrix of numbers, got dtype {array.dtype}.")
        check_shape(array.shape, shape, "exclude")
        # where something is NaN the others are known, zeros too
        holes = np.isnan(array)
        known = ~holes if holes.any() else array != 0
        places = [np.flatnonzero(row) for row in known[rows]]
        indptr = np.cumsum([0, *map(len, places)], dtype=np.int64)
        return np.concatenate([np.empty(0, dtype=np.int64), *places]), indptr
    check_shape(exclude.shape, shape, "exclude")
    chosen = exclude.tocsr()
    _check_structure(chosen, "exclude")
    chosen = chosen[rows]
    chosen.sum_duplicates()
    return chosen.indices.astype(np.int64), chosen.indptr.astype(np.int64)


def check_shape(shape: tuple[int, ...], factorized: tuple[int, int], name: str = "X") -> None:
    """Whether X is, by its shape, what was factorized."""
    if tuple(shape) != tuple(factorized):
        raise ValueError(f"{name} has shape {tuple(shape)}, but {tuple(factorized)} was factorized.")


def check_features(n_features: int, expected: int) -> None:
    """Whether samples have the features of the components."""
    if n_features != expected:
        raise ValueError(f"X has {n_features} features, but H has {expected}.")
