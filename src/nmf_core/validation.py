"""Checks of what users give: the only place that raises on it. Every message names what and where."""

import math
import numbers
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np

Labels = tuple[str, ...] | None
MISSING = ("nan", "unstored")
LARGEST_BETA = 10  # of a beta-divergence: higher powers overflow
Matrix = Any  # an ndarray, or a CSR or CSC array or matrix


def is_sparse(X: Any) -> bool:
    """Whether X is a sparse array or matrix of SciPy.

    Whoever has one has imported scipy.sparse; importing it here would take half of the time of importing nmf_core.
    """
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(X))


def check_matrix(
    X: Any, name: str = "X", *, factor: bool = False, missing: str | None = None
) -> tuple[Matrix, Labels, Labels]:
    """A real, finite, non-negative matrix in float32 or float64, and its labels if it is a data frame.

    Parameters
    ----------
    X : ndarray, array-like, sparse array or matrix, or data frame of shape (n_samples, n_features)
        Float32 and float64 are kept; integers, booleans and other floats become float64. CSR and CSC are kept, other
        sparse formats become CSR. Never modified.
    name : str
        How messages call it.
    factor : bool
        Whether it is a factor, whose entries may be as small as they like. Data that vanish when squared are refused.
    missing : {None, "nan", "unstored"}
        What is missing: with "nan" an array may hold NaN; with "unstored" it must be sparse.

    Returns
    -------
    X : ndarray or CSR or CSC array or matrix
    row_labels, column_labels : tuple of str or None

    Raises
    ------
    TypeError
        Not numeric: strings, objects, complex numbers, masked arrays.
    ValueError
        Not two-dimensional, empty, or an entry that is NaN, infinite or negative (the first is named).
    """
    rows = columns = None
    if hasattr(X, "columns") and hasattr(X, "index") and hasattr(X, "to_numpy"):  # a pandas data frame
        rows, columns = tuple(map(str, X.index)), tuple(map(str, X.columns))
        X = _frame_values(X, name)
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array; masked entries are not supported, fill them first. If they are missing, "
            f"use {name}.filled(numpy.nan) and missing='nan'."
        )
    if not is_sparse(X):
        try:
            X = np.asarray(X)
        except ValueError as error:
            raise ValueError(f"{name} is not a matrix: {error}") from None
    if X.dtype.kind not in "fiub":
        kind = {"c": "complex numbers", "O": "Python objects", "U": "strings", "S": "strings"}.get(
            X.dtype.kind, f"dtype {X.dtype}"
        )
        raise TypeError(f"{name} must hold real numbers, but it holds {kind}.")
    if X.ndim != 2:
        raise ValueError(f"{name} must be a matrix with 2 dimensions, but it has {X.ndim}.")
    if 0 in X.shape:
        raise ValueError(f"{name} is empty: its shape is {X.shape[0]} x {X.shape[1]}.")
    if X.dtype not in (np.float32, np.float64) or not X.dtype.isnative:
        X = X.astype(np.float32 if X.dtype == np.dtype(np.float32).newbyteorder() else np.float64)
    if is_sparse(X) and X.format not in ("csr", "csc"):
        X = X.tocsr()
    if is_sparse(X):
        _check_structure(X, name)
    if missing == "nan" and is_sparse(X):
        raise ValueError(
            f"missing='nan' is for arrays, but {name} is sparse: missing='unstored' takes what it does not store for "
            f"missing, weights of zero what they say."
        )
    if missing == "unstored" and not is_sparse(X):
        raise ValueError(f"missing='unstored' is for sparse {name}, but it is an array: missing='nan' is for those.")
    _check_values(X, name, factor, missing)
    return X, rows, columns


def _frame_values(frame: Any, name: str) -> Matrix:
    """The values of a pandas data frame; nullable and Arrow columns become plain floats."""
    for column, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if getattr(dtype, "kind", "O") not in "fiub":
            raise TypeError(f"{name} must hold real numbers, but its column {column!r} has dtype {dtype}.")
    if hasattr(frame, "sparse"):
        return frame.sparse.to_coo().tocsr()
    if any(not isinstance(dtype, np.dtype) for dtype in frame.dtypes):
        single = all(dtype.kind == "f" and dtype.itemsize == 4 for dtype in frame.dtypes)
        return frame.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)
    return frame.to_numpy()


def _check_structure(X: Matrix, name: str) -> None:
    """CSR and CSC built by hand can point outside themselves; kernels trust them afterwards."""
    n, m = X.shape if X.format == "csr" else X.shape[::-1]
    stored = min(len(X.data), len(X.indices))
    ascending = (X.indptr[1:] >= X.indptr[:-1]).all()
    if len(X.indptr) != n + 1 or X.indptr[0] != 0 or X.indptr[-1] > stored or not ascending:
        raise ValueError(f"{name} is not a valid {X.format.upper()} matrix: its indptr does not fit its data.")
    used = X.indices[: X.indptr[-1]]
    if len(used) and (used.min() < 0 or used.max() >= m):
        raise ValueError(f"{name} is not a valid {X.format.upper()} matrix: an index is outside its {m} columns.")


def _check_values(X: Matrix, name: str, factor: bool, missing: str | None) -> None:
    values = stored_values(X)
    if values.size == 0:
        if missing == "unstored":
            raise ValueError(f"{name} has no known entry: all are missing.")
        return
    # Two reductions, no temporary: a NaN anywhere makes the minimum NaN, unless it is passed over.
    low, high = (
        (values.min(), values.max())
        if missing != "nan"
        else (np.fmin.reduce(values, None), np.fmax.reduce(values, None))
    )
    if missing == "nan" and np.isnan(low):
        raise ValueError(f"{name} has no known entry: all are missing.")
    if low >= 0 and high < np.inf:
        limits = np.finfo(values.dtype)
        square = float(high) * float(high)
        if square * values.size > float(limits.max):
            raise ValueError(
                f"{name} is too large for {values.dtype}: squares of entries up to {high:g} overflow. Scale it down."
            )
        if not factor and high > 0 and square < float(limits.tiny):
            raise ValueError(
                f"{name} is too small for {values.dtype}: squares of entries up to {high:g} vanish. Scale it up."
            )
        return
    bad: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "NaN": np.isnan if missing != "nan" else lambda v: np.zeros(v.shape, dtype=bool),
        "infinity": np.isposinf,
        "a negative value": lambda v: v < 0,
    }
    what, test = next((what, test) for what, test in bad.items() if test(values).any())
    row, column = _first(X, test(values))
    value = "" if what == "NaN" else f" ({X[row, column]:g})" if what.startswith("a neg") else ""
    hint = ""
    if what == "NaN" and not factor:
        hint = " missing='nan' takes NaN for missing entries." if not is_sparse(X) else " Leave out what is missing."
    raise ValueError(f"{name} contains {what}{value}, first at row {row}, column {column}.{hint}")


def _first(X: Matrix, found: np.ndarray) -> tuple[int, int]:
    """Row and column of the first entry found, in the order in which X is stored."""
    if not is_sparse(X):
        row, column = np.unravel_index(int(found.argmax()), X.shape)
        return int(row), int(column)
    entry = int(found.argmax())
    major, minor = int(np.searchsorted(X.indptr, entry, side="right")) - 1, int(X.indices[entry])
    return (major, minor) if X.format == "csr" else (minor, major)


def check_weights(weights: Any, X: Matrix) -> Matrix | None:
    """None, or weights of the entries of X in its dtype: finite, not negative, and some of a known entry positive."""
    if weights is None:
        return None
    weights, _, _ = check_matrix(weights, "weights", factor=True)
    if weights.shape != X.shape:
        raise ValueError(f"weights have shape {tuple(weights.shape)}, but X has shape {tuple(X.shape)}.")
    if weights.dtype != X.dtype:
        with np.errstate(over="ignore"):
            weights = weights.astype(X.dtype)
    high, largest = (float(np.fmax.reduce(stored_values(A), None, initial=0)) for A in (weights, X))
    if high * max(1.0, largest) ** 2 > float(np.finfo(X.dtype).max):
        raise ValueError(f"weights up to {high:g} are too large for {X.dtype}, the type of X. Scale them down.")
    return weights


def stored_values(X: Matrix) -> np.ndarray:
    """Entries of an array, or the stored ones of CSR and CSC."""
    return X.data[: X.indptr[-1]] if is_sparse(X) else X


def check_known(n_known: int) -> None:
    """Whether anything is known at all."""
    if n_known == 0:
        raise ValueError("X has no known entry: all are missing or have weight zero.")


def check_init(init: str, complete: bool, possible: Collection[str]) -> None:
    """Whether a start can do with what is known of X."""
    if not complete and init not in possible:
        raise ValueError(
            f"init={init!r} needs a complete X; where entries are missing, weighted or have biases, "
            f"use one of {', '.join(map(repr, possible))}."
        )


def check_biases(biases: bool, solver: str, loss: Any, all_of_H: bool) -> None:
    """Whether biases can be found."""
    if biases and solver != "hals":
        raise ValueError(
            f"biases are found by solver 'hals' for the Frobenius loss only, got solver={solver!r}, loss={loss!r}."
        )
    if biases and not all_of_H:
        raise ValueError("biases are found with all of H; leave out update_H.")


def check_enough(most: int, k: int) -> None:
    """Warn if every row, or every column, has fewer known entries than components to find from them."""
    if most < k:
        warnings.warn(
            f"n_components={k}, but no row or no column has more than {most} known entries: what is missing is hardly "
            f"determined. Use fewer components, or alpha_W and alpha_H.",
            UserWarning,
            stacklevel=4,
        )


def check_n_components(n_components: Any, shape: tuple[int, int], itemsize: int) -> int:
    """A number of components that makes sense for a matrix of this shape."""
    k = check_integer(n_components, "n_components", 1)
    n, m = shape
    if k > max(n * m, 1000):
        raise ValueError(f"n_components={k} is more than X has entries ({n} x {m}).")
    wanted = (n + m) * k * itemsize
    memory = _physical_memory()
    if wanted > memory:
        raise ValueError(
            f"n_components={k} is too large: the factors alone would take {wanted / 2**30:.0f} GiB of this machine's "
            f"{memory / 2**30:.0f} GiB of memory."
        )
    return k


def _physical_memory() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def check_factor(F: Any, name: str, shape: tuple[int, int], dtype: np.dtype, *, zeros: bool = False) -> np.ndarray:
    """A given factor: finite, non-negative, of this shape and converted to this dtype; all zero only if `zeros`."""
    array, _, _ = check_matrix(F, name, factor=True)
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


def check_given_factors(init: str, W: Any, H: Any, k: int, shape: tuple[int, int], mask: np.ndarray) -> None:
    """Whether the given factors are what the start and the fixed part of H ask for."""
    if not mask.all() and H is None:
        raise ValueError("update_H holds components of H fixed, so H must be given.")
    if not mask.any() and W is not None:
        raise ValueError("W is given, but with update_H=False it is found from X and H alone; leave it out.")
    if init == "custom":
        if W is None and H is None:
            raise ValueError("init='custom' needs W or H.")
    elif W is not None or H is not None:
        raise ValueError(f"W and H are starting points only with init='custom', got init={init!r}.")
    if init.startswith("nndsvd") and k > min(shape):
        raise ValueError(f"init = '{init}' can only be used when n_components <= min(n_samples, n_features)")
    if init == "kmeans" and k > shape[0]:
        raise ValueError(
            f"init='kmeans' makes n_components clusters, but n_components={k} is more than the {shape[0]} samples."
        )


def check_update_H(update_H: Any, k: int) -> np.ndarray:
    """A boolean mask (k,) of the components of H to update."""
    if isinstance(update_H, (bool, np.bool_)):
        return np.full(k, bool(update_H))
    try:
        mask = np.asarray(update_H)
    except ValueError:  # ragged
        mask = np.empty(0)
    if mask.dtype != bool or mask.shape != (k,):
        raise ValueError(
            f"update_H must be True, False or a boolean array with one entry for each of the {k} components, "
            f"got {update_H!r}."
        )
    return mask


def check_penalties(alpha_W: Any, alpha_H: Any, l1_ratio: Any, shape: tuple[int, int]) -> None:
    """Strengths of penalties that stay finite when they are scaled by the size of X."""
    if isinstance(alpha_H, str) and alpha_H != "same":
        raise ValueError(f"alpha_H must be 'same' or a number of at least 0, got {alpha_H!r}.")
    alpha_W = check_number(alpha_W, "alpha_W")
    alpha_H = alpha_W if isinstance(alpha_H, str) else check_number(alpha_H, "alpha_H")
    for name, strength in (("alpha_W", alpha_W * shape[1]), ("alpha_H", alpha_H * shape[0])):
        if strength == float("inf"):
            raise ValueError(f"{name} is too large: times the size of X it overflows.")
    check_number(l1_ratio, "l1_ratio", high=1.0)


def check_threads(n_threads: Any) -> int | None:
    """None, or a number of threads from 1 to 1024."""
    if n_threads is None:
        return None
    return check_integer(n_threads, "n_threads", 1, 1024)


def check_flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_callback(callback: Any) -> None:
    """None or something to call."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the state or None, got {callback!r}.")


def check_shape(shape: tuple[int, ...], factorized: tuple[int, int], name: str = "X") -> None:
    """Whether X is, by its shape, what was factorized."""
    if tuple(shape) != tuple(factorized):
        raise ValueError(f"{name} has shape {tuple(shape)}, but {tuple(factorized)} was factorized.")


def check_features(n_features: int, expected: int) -> None:
    """Whether samples have the features of the components."""
    if n_features != expected:
        raise ValueError(f"X has {n_features} features, but H has {expected}.")


def check_places(places: Any, n: int, labels: Labels, what: str) -> np.ndarray:
    """Numbers from 0 to n - 1, or labels, as an array of int64 of the same shape."""
    array = np.asarray(places)
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int64)
    if labels is not None and all(isinstance(place, str) for place in array.flat):
        number = {label: i for i, label in enumerate(labels)}
        try:
            return np.reshape([number[str(label)] for label in array.flat], array.shape).astype(np.int64)
        except KeyError as error:
            raise ValueError(f"There is no {what} {error.args[0]!r}.") from None
    if array.dtype.kind not in "iu":
        kind = "numbers from 0" if labels is None else "numbers from 0 or labels"
        raise TypeError(f"A {what} must be given by {kind}, got {places!r}.")
    if not 0 <= int(array.min()) <= int(array.max()) < n:
        bad = int(array.min()) if array.min() < 0 else int(array.max())
        raise ValueError(f"There is no {what} {bad}: they are numbered from 0 to {n - 1}.")
    return array.astype(np.int64)


def check_excluded(exclude: Any, shape: tuple[int, int], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is excluded for some rows: columns in ascending order, and where each row's begin."""
    if exclude is None:
        return np.empty(0, dtype=np.int64), np.zeros(len(rows) + 1, dtype=np.int64)
    if not is_sparse(exclude):
        array = np.asarray(exclude)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"exclude must be a sparse or dense matrix of numbers, got dtype {array.dtype}.")
        check_shape(array.shape, shape, "exclude")
        places = [np.flatnonzero((row != 0) & ~np.isnan(row)) for row in array[rows]]
        indptr = np.cumsum([0, *map(len, places)], dtype=np.int64)
        return np.concatenate([np.empty(0, dtype=np.int64), *places]), indptr
    check_shape(exclude.shape, shape, "exclude")
    chosen = exclude.tocsr()
    _check_structure(chosen, "exclude")
    chosen = chosen[rows]
    chosen.sum_duplicates()
    return chosen.indices.astype(np.int64), chosen.indptr.astype(np.int64)


def check_choice(value: Any, name: str, choices: Collection[str]) -> str:
    """One of the given strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
    return value


def check_loss(loss: Any, names: Collection[str], name: str = "loss") -> str | float:
    """The name of a loss, or the beta of a beta-divergence."""
    if isinstance(loss, str):
        return check_choice(loss, name, names)
    number: Any = loss
    if isinstance(loss, (bool, np.bool_)) or not isinstance(loss, numbers.Real) or not abs(number) <= LARGEST_BETA:
        choices = ", ".join(map(repr, names))
        limit = f"from -{LARGEST_BETA} to {LARGEST_BETA}, the beta of a beta-divergence"
        raise ValueError(f"{name} must be one of {choices} or a number {limit}; got {loss!r}.")
    return float(loss)


def check_handles(handles: bool, solver: str, loss: Any) -> None:
    """Whether a solver minimises a loss."""
    if not handles:
        raise ValueError(f"solver={solver!r} does not minimise loss={loss!r}; solver='auto' and 'mu' do.")


def check_zeros(X: Matrix, beta: float) -> None:
    """A beta-divergence with beta <= 0 is infinite where X is zero."""
    if beta > 0:
        return
    if is_sparse(X) and not X.has_canonical_format:  # entries may be in several parts
        X = X.copy()
        X.sum_duplicates()
    stored = stored_values(X)
    if stored.size < X.shape[0] * X.shape[1] or not stored.all():
        raise ValueError(
            "When beta_loss <= 0 and X contains zeros, the solver may diverge. "
            "Please add small values to X, or use a positive beta_loss."
        )


def check_integer(value: Any, name: str, low: int, high: int | None = None) -> int:
    """An integer of at least `low` and at most `high`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    number = int(value)
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {value}.")
    if high is not None and number > high:
        raise ValueError(f"{name} must be at most {high}, got {value}.")
    return number


def check_number(value: Any, name: str, low: float = 0.0, high: float = float("inf")) -> float:
    """A finite real number between `low` and `high`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not low <= number <= high or number == math.inf:
        above = f" and at most {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be a finite number of at least {low:g}{above}, got {value!r}.")
    return number


def check_random_state(value: Any) -> Any:
    """None, an integer seed from 0 to 2**32 - 1, a RandomState or a Generator."""
    if value is None or isinstance(value, (np.random.RandomState, np.random.Generator)):
        return value
    if not isinstance(value, numbers.Integral) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"random_state must be None, an integer, a RandomState or a Generator, got {value!r}.")
    if not 0 <= int(value) < 2**32:
        raise ValueError(f"random_state must be between 0 and 2**32 - 1, got {value}.")
    return int(value)


def check_incomplete(X: Any, missing: str | None) -> tuple[Matrix, str | None]:
    """A validated X, and what is missing from it once entries are held out.

    That is NaN of an array, even if it is complete so far, or what canonical CSR does not store; or None for any other
    sparse matrix, of which only weights can tell what is missing.
    """
    if missing is not None:
        check_choice(missing, "missing", MISSING)
    X, _, _ = check_matrix(X, missing=missing)
    if not is_sparse(X):
        return X, "nan"
    if missing == "unstored":
        X = X.tocsr()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    return X, missing


def check_ranks(n_components: Any) -> np.ndarray:
    """Numbers of components to try: at least one, ascending, each once."""
    if isinstance(n_components, str) or not isinstance(n_components, Iterable):
        raise TypeError(f"n_components must be numbers of components such as range(1, 11), got {n_components!r}.")
    ranks = sorted({check_integer(k, "every number in n_components", 1) for k in n_components})
    if not ranks:
        raise ValueError("n_components must hold at least one number of components, but it is empty.")
    return np.array(ranks)


def check_folds(n_folds: Any, n: int, what: str) -> int:
    """A number of folds of which each gets at least one of n things."""
    n_folds = check_integer(n_folds, "n_folds", 2)
    if n_folds > n:
        raise ValueError(f"X has {n} {what}, too few for {n_folds} folds.")
    return n_folds


def check_free(parameters: Collection[str], blocks: bool) -> None:
    """Whether the other parameters of a fit leave to cross-validation what it decides on."""
    for name in ("W", "H", "update_H", "weights"):
        if name in parameters:
            raise TypeError(f"{name} cannot be given: cross-validation decides what is fitted, and finds both factors.")
    if blocks and "biases" in parameters:
        raise TypeError("biases cannot be given with method='bi-cv'; the other methods know them.")


def check_block(n_known: int) -> int:
    """Whether something is known in a block that is held out."""
    if n_known == 0:
        raise ValueError("No entry is known in a block that is held out; use fewer folds or another method.")
    return n_known
