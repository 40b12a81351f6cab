"""One matrix in every container, layout and dtype. Whatever holds X, it is the same X."""

import tempfile

import numpy as np
import pandas as pd
import scipy.sparse as sp


def matrix(n=37, m=22):
    """Counts from 0 to 9 in float64, one row and one column empty; every type in the zoo can hold them."""
    X = np.random.default_rng(0).poisson(1.2, (n, m)).clip(0, 9).astype(np.float64)
    X[5] = 0
    X[:, 3] = 0
    return X


def strided(X, rows=1, columns=1):
    """X as a view of a larger array, every `rows`-th row and `columns`-th column; negative steps run backwards."""
    n, m = X.shape
    wide = np.full((n * abs(rows), m * abs(columns)), 77, dtype=X.dtype)
    view = wide[::rows, ::columns]
    view[:] = X
    return view


def column_slice(X):
    """X as neighbouring columns of a wider array."""
    wide = np.full((X.shape[0], X.shape[1] + 9), 77, dtype=X.dtype)
    wide[:, 4:-5] = X
    return wide[:, 4:-5]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def memory_map(X, order="C", mode="r"):
    """X in a file, mapped into memory; the file goes when the array goes."""
    with tempfile.TemporaryFile() as file:
        writing = np.memmap(file, dtype=X.dtype, mode="w+", shape=X.shape, order=order)
        writing[:] = X
        writing.flush()
        return np.memmap(file, dtype=X.dtype, mode=mode, shape=X.shape, order=order)


def unaligned(X):
    """X in the odd bytes of a record array."""
    records = np.zeros(X.shape, dtype=[("tag", np.uint8), ("x", X.dtype)])
    records["x"] = X
    return records["x"]


class Subclass(np.ndarray):
    """An array that is not quite an ndarray."""


# Views and copies that keep the dtype.
LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every second row": lambda X: strided(X, rows=2),
    "every third column": lambda X: strided(X, columns=3),
    "rows backwards": lambda X: strided(X, rows=-1),
    "columns backwards": lambda X: strided(X, columns=-1),
    "all backwards": lambda X: strided(X, rows=-2, columns=-2),
    "Fortran, every second column": lambda X: strided(X.T, rows=2).T,
    "Fortran, backwards": lambda X: strided(X.T, rows=-1).T,
    "columns of a wider array": column_slice,
    "rows of a taller Fortran array": lambda X: column_slice(X.T).T,
    "read-only": read_only,
    "read-only Fortran": lambda X: read_only(X.T).T,
    "memory map": memory_map,
    "memory map, Fortran": lambda X: memory_map(X, order="F"),
    "memory map, copy on write": lambda X: memory_map(X, mode="c"),
    "unaligned": unaligned,
    "subclass": lambda X: X.copy().view(Subclass),
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "big-endian Fortran": lambda X: np.asfortranarray(X).astype(X.dtype.newbyteorder(">")),
}

# What else an array-like may be; all become float64.
LISTS = {
    "list": lambda X: X.tolist(),
    "tuples": lambda X: tuple(map(tuple, X.tolist())),
    "list of arrays": list,
    "integers in a list": lambda X: X.astype(int).tolist(),
    "array interface": lambda X: memoryview(np.ascontiguousarray(X)),
}

# Types without a precision of their own; float64 holds their numbers.
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "longdouble")

FRAMES = {
    "data frame": lambda X: pd.DataFrame(X),
    "data frame of integers": lambda X: pd.DataFrame(X.astype(int)),
    "data frame with mixed types": lambda X: pd.DataFrame(X).astype({0: "int8", 1: "float32", 2: "uint16"}),
    "data frame, nullable": lambda X: pd.DataFrame(X).astype("Int64"),
    "sparse data frame": lambda X: pd.DataFrame.sparse.from_spmatrix(sp.csr_array(X)),
}


def with_int64_indices(A):
    A = A.copy()
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A


def with_mixed_indices(A):
    A = A.copy()
    A.indptr = A.indptr.astype(np.int64)
    return A


def with_unsorted_indices(A):
    """Every row (CSC: column) back to front."""
    back = np.concatenate([np.arange(low, high)[::-1] for low, high in zip(A.indptr[:-1], A.indptr[1:], strict=True)])
    return type(A)((A.data[back], A.indices[back], A.indptr), shape=A.shape)


def with_duplicates(A):
    """Every entry in two parts, one of which may be zero."""
    half = np.floor(A.data / 2)
    data = np.column_stack([half, A.data - half]).ravel().astype(A.dtype)
    return type(A)((data, np.repeat(A.indices, 2), 2 * A.indptr), shape=A.shape)


def with_explicit_zeros(A):
    """A stored zero wherever something is missing in every second row (CSC: column)."""
    dense = A.toarray() if A.format == "csr" else A.toarray().T
    stored = dense != 0
    stored[::2] = True
    indptr = np.concatenate([[0], np.cumsum(stored.sum(axis=1))])
    return type(A)((dense[stored], np.nonzero(stored)[1].copy(), indptr), shape=A.shape)


def with_room_to_spare(A):
    """More data and indices than indptr speaks of."""
    A = A.copy()
    A.data = np.append(A.data, np.full(7, 77, dtype=A.dtype))
    A.indices = np.append(A.indices, np.zeros(7, dtype=A.indices.dtype))
    return A


def with_strided_arrays(A):
    A = A.copy()
    A.data, A.indices = np.repeat(A.data, 2)[::2], np.repeat(A.indices, 2)[::2]
    return A


def with_read_only_arrays(A):
    A = A.copy()
    for array in (A.data, A.indices, A.indptr):
        array.flags.writeable = False
    return A


# Ways in which a compressed matrix may be unusual.
QUIRKS = {
    "int64 indices": with_int64_indices,
    "mixed indices": with_mixed_indices,
    "unsorted indices": with_unsorted_indices,
    "duplicates": with_duplicates,
    "explicit zeros": with_explicit_zeros,
    "room to spare": with_room_to_spare,
    "strided arrays": with_strided_arrays,
    "read-only arrays": with_read_only_arrays,
}


def _sparse():
    for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
        for kind in ("array", "matrix"):
            yield f"{form} {kind}", getattr(sp, f"{form}_{kind}")
    for form in ("csr", "csc"):
        for quirk, change in QUIRKS.items():
            build = getattr(sp, f"{form}_array")
            yield f"{form}, {quirk}", lambda X, build=build, change=change: change(build(X))


SPARSE = dict(_sparse())

# What keeps float32 and float64, and what becomes float64.
KEEPING = {**LAYOUTS, **SPARSE}
CONVERTED = {
    **LISTS,
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in DTYPES},
    **{f"csr, {dtype}": lambda X, dtype=dtype: sp.csr_array(X.astype(dtype)) for dtype in ("int8", "uint16", "int64")},
    **FRAMES,
}
EVERYTHING = {**KEEPING, **CONVERTED}


def contents(X):
    """A copy of all that X holds, for a comparison afterwards."""
    if isinstance(X, pd.DataFrame):
        return [X.to_numpy(copy=True), X.dtypes.to_numpy(), X.index.to_numpy(), X.columns.to_numpy()]
    if sp.issparse(X):
        parts = [getattr(X, name, None) for name in ("data", "indices", "indptr", "offsets", "row", "col")]
        arrays = [part.copy() for part in parts if isinstance(part, np.ndarray) and part.dtype != object]
        return [X.toarray(), *arrays]
    return [np.array(X, copy=True)]


def same_contents(before, after):
    """Whether nothing has changed, types included."""
    return len(before) == len(after) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(before, after, strict=True)
    )
