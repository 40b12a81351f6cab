"""Matrices outside of memory as `RowBlocks`. A new kind is a function here and a line in `SOURCES`.

None of the libraries is imported: whoever has an object of one has imported it.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmf_core._core import Workspace
from nmf_core.data.base import FullMatrix
from nmf_core.data.blocks import BLOCK_BYTES, RowBlocks, block_rows
from nmf_core.data.mapped import file_blocks, position_in_file
from nmf_core.labels import Axis, Labelled, index_columns, labelled
from nmf_core.typing import Missing
from nmf_core.validation import (
    ArrayOrSparse,
    Labels,
    check_alone,
    check_chunks,
    check_data,
    check_dense,
    check_matrix,
    check_numeric,
    check_resident,
    is_sparse,
)

# A memory map that is smaller is read in place, like an array.
_SMALL = 1 << 26

# Of the columns of a Parquet file that are read together.
_DECODED_BYTES = 1 << 22


def accept(
    X: Any,
    missing: Any = None,
    weights: Any = None,
    *,
    biases: bool = False,
    columns: Axis | None = None,
    hint: bool = True,
    workspace: Workspace | None = None,
) -> tuple[Labelled, ArrayOrSparse | None]:
    """What a fit takes: validated X or, if it is not in memory, its `RowBlocks`, with its labels; and weights.

    Parameters
    ----------
    X, missing, weights, biases
        As for `nmf_core.factorize`. Weights get the order of X.
    columns : Axis, optional
        Labels of the features of a fit, in whose order those of X are wanted.
    hint : bool
        Whether the function that was called has a parameter `missing`, which messages about NaN advise then.
    workspace : Workspace, optional
        Who looks at what is in memory; by default one thread.

    Raises
    ------
    TypeError, ValueError
        X is not what it must be, or what is wanted needs it in memory.
    """
    if isinstance(X, FullMatrix):
        check_alone(missing, weights, biases)
        for here, block in X.blocks():
            check_matrix(block, f"X (rows {here.start} to {here.start + len(block) - 1})")
        return Labelled(X, None, None, None), None
    data = labelled(X, missing=missing, hint=hint)
    X = data.values
    whole = isinstance(X, np.memmap) and (missing is not None or weights is not None or biases)
    blocks = None if whole else row_blocks(X)
    if blocks is None:
        data, weights = check_data(data, missing, weights, hint=hint, workspace=workspace)
    else:
        for wanted, what in ((missing, f"missing={missing!r}"), (biases, "biases=True")):
            check_resident(not wanted, what)
        check_resident(weights is None, "A fit with weights")
        rows, names = data.rows or Axis.of(blocks.row_labels), data.columns or Axis.of(blocks.column_labels)
        data = Labelled(blocks, rows, names, data.library)
    if weights is not None:
        weights = data._replace(values=weights, scan=None).aligned("X", columns=columns, of="the fit").values
    return data.aligned("X", columns=columns, of="the fit"), weights


def raised(X: Any, floor: float, missing: Missing | None) -> ArrayOrSparse:
    """A copy of validated X with a number added to all entries that are known; a sparse X becomes dense for it.

    With missing="unstored" it stays sparse: only what it stores is known.
    """
    check_resident(row_blocks(X) is None, "floor")
    if not is_sparse(X):
        return X + X.dtype.type(floor)
    if missing == "unstored":
        X = X.copy()
        X.sum_duplicates()
        X.data += X.dtype.type(floor)
        return X
    check_dense(X.shape, X.dtype.itemsize)
    return X.toarray() + X.dtype.type(floor)


def row_blocks(X: Any, block_bytes: int | None = None) -> Any:
    """X as blocks of rows, or None if it is in memory.

    Parameters
    ----------
    X : RowBlocks, memory map, or object of another library
        A C- or Fortran-ordered `numpy.memmap` of numbers and more than 64 MB; a 2-D dataset of h5py; a 2-D
        array of zarr; an `AnnData` or its X where it is backed by a file, dense, CSR or CSC; a `ParquetFile` or
        `Dataset` of pyarrow, whose columns are features; a dask array.
    block_bytes : int, optional
        How large a block should be; 32 MB by default. With it, small memory maps come in blocks, too.
    """
    if isinstance(X, RowBlocks | DaskRows):
        return X
    kind = _kind(X)
    return None if kind is None else SOURCES[kind](X, block_bytes)


def _kind(X: Any) -> tuple[str, str] | None:
    """The key of `SOURCES` that is its class or one that this derives from."""
    names = ((kind.__module__.split(".")[0], kind.__name__) for kind in type(X).__mro__)
    return next((name for name in names if name in SOURCES), None)


def result_type(dtype: Any) -> np.dtype:
    """The dtype in which something is computed: float32 stays, other numbers become float64."""
    dtype = check_numeric(np.dtype(dtype), "X")
    return np.dtype(np.float32 if dtype.newbyteorder("=") == np.float32 else np.float64)


def _sliced(
    read: Callable[[int, int], ArrayOrSparse],
    shape: tuple[int, int],
    dtype: np.dtype,
    multiple: int = 64,
    block_bytes: int | None = None,
    **more: Any,
) -> RowBlocks:
    """Blocks of something of which any rows can be read, from the first to the last."""
    n, m = shape[::-1] if more.get("transposed") else shape
    step = block_rows(n, m * dtype.itemsize, multiple, block_bytes)
    bounds = [*range(0, n, step), n]

    def blocks() -> Iterator[ArrayOrSparse]:
        for first, end in pairwise(bounds):
            yield read(first, end)

    return RowBlocks(blocks, shape, dtype, **more)


# --- memory maps


def _from_memmap(X: np.memmap, block_bytes: int | None) -> RowBlocks | None:
    """Blocks of the file, not of the map that is there: its pages would fill memory."""
    plain = X.ndim == 2 and X.dtype.kind in "fiub" and X.dtype.itemsize <= 8 and X.size > 0
    if not plain or (block_bytes is None and X.nbytes <= _SMALL):
        return None
    dtype = result_type(X.dtype)
    transposed = X.strides[1] != X.itemsize and X.strides[0] == X.itemsize
    A = X.T if transposed else X
    if A.strides[1] != A.itemsize or A.strides[0] < 0:
        return None
    position = position_in_file(A)
    n, m = A.shape
    size = m * A.itemsize
    path = X.filename
    if position is None or A.strides[0] != size or path is None or X.mode == "c":  # changes are not in the file
        return _sliced(lambda first, end: np.array(A[first:end]), X.shape, dtype, 64, block_bytes,
                       transposed=transposed)  # fmt: skip
    step = block_rows(n, m * dtype.itemsize, 64, block_bytes)

    return RowBlocks(
        lambda: file_blocks(Path(path), position, A.shape, A.dtype, step), X.shape, dtype, transposed=transposed,
        array=X,
    )  # fmt: skip


# --- files of other libraries


def _from_chunks(X: Any, block_bytes: int | None) -> RowBlocks | None:
    """A dataset of h5py or an array of zarr."""
    if len(X.shape) != 2:
        return None
    dtype = result_type(X.dtype)
    multiple = X.chunks[0] if X.chunks else 64
    if hasattr(X, "read_direct"):  # h5py's: converts on the way

        def read(first: int, end: int) -> np.ndarray:
            block = np.empty((end - first, X.shape[1]), dtype=dtype)
            X.read_direct(block, np.s_[first:end])
            return block

        return _sliced(read, X.shape, dtype, multiple, block_bytes)

    def read_zarr(first: int, end: int) -> np.ndarray:
        # one row of chunks after the other: of those that zarr decodes together, several copies are there
        block = np.empty((end - first, X.shape[1]), dtype=dtype)
        for start in range(first, end, multiple):
            block[start - first : start - first + multiple] = X[start : min(end, start + multiple)]
        return block

    return _sliced(read_zarr, X.shape, dtype, multiple, block_bytes)


def _from_anndata(X: Any, block_bytes: int | None) -> Any:
    """X of AnnData, if it is not in memory, with the names of cells and genes."""
    blocks = row_blocks(X.X, block_bytes)
    if isinstance(blocks, RowBlocks):
        blocks.row_labels, blocks.column_labels = tuple(map(str, X.obs_names)), tuple(map(str, X.var_names))
    return blocks


def _from_compressed(X: Any, block_bytes: int | None) -> RowBlocks:
    """CSR or CSC in a file of anndata."""
    dtype = result_type(X.dtype)
    transposed = X.format == "csc"
    ends = X.group["indptr"][:]
    most = max(1, (block_bytes or BLOCK_BYTES) // (dtype.itemsize + X.group["indices"].dtype.itemsize))
    # blocks of about as many entries each, and of at least a row
    bounds = np.unique(np.searchsorted(ends, [*range(0, int(ends[-1]), most), ends[-1]], side="right") - 1)
    bounds = np.unique([0, *bounds, len(ends) - 1])

    def blocks() -> Iterator[ArrayOrSparse]:
        for first, end in pairwise(bounds):
            yield X[:, first:end].T if transposed else X[first:end]

    return RowBlocks(blocks, X.shape, dtype, transposed=transposed)


def parquet_blocks(
    files: Callable[[], Iterable[Any]], n: int, names: list[str], dtype: Any, block_bytes: int | None
) -> RowBlocks:
    """Columns of Parquet files that are features.

    A row group is read a few columns at a time, because their pages, often all rows of it, are decoded as a whole: to
    go through all columns in step takes several times its size. So there are at most one row group and three blocks.

    Parameters
    ----------
    files : callable
        Returns the `ParquetFile` objects of pyarrow, one after the other.
    n : int
        How many rows they have.
    names : list of str
        Which columns are features.
    dtype : dtype
        float32 or float64.
    block_bytes : int or None
        How large a block should be.
    """
    dtype = np.dtype(dtype)
    step = block_rows(n, len(names) * dtype.itemsize, 64, block_bytes)

    def blocks() -> Iterator[np.ndarray]:
        for file in files():
            for i in range(file.num_row_groups):
                group = _row_group(file, i, names, dtype)
                if len(group) <= step:
                    yield group
                else:
                    # copies, so that the group is gone when the next one is read
                    yield from (group[first : first + step].copy() for first in range(0, len(group), step))
                del group

    return RowBlocks(blocks, (n, len(names)), dtype, column_labels=tuple(names))


def _row_group(file: Any, i: int, names: list[str], dtype: np.dtype) -> np.ndarray:
    """Some columns of row group i of a Parquet file."""
    n = file.metadata.row_group(i).num_rows
    group = np.empty((n, len(names)), dtype=dtype)
    width = max(16, _DECODED_BYTES // (8 * max(1, n)))
    for first in range(0, len(names), width):
        few = names[first : first + width]
        table = file.read_row_group(i, columns=few)
        for j, name in enumerate(few, first):
            group[:, j] = table.column(name).to_numpy()
    return group


def _features(schema: Any) -> tuple[list[str], type]:
    """The columns but for an index, and the type of all."""
    index = index_columns(schema)
    names = [name for name in schema.names if name not in index]
    types = [schema.field(name).type.to_pandas_dtype() for name in names]
    for name, kind in zip(names, types, strict=True):
        check_numeric(np.dtype(kind), f"column {name!r} of X")
    return names, np.float32 if all(kind is np.float32 for kind in types) else np.float64


def _from_parquet_file(X: Any, block_bytes: int | None) -> RowBlocks:
    names, dtype = _features(X.schema_arrow)
    return parquet_blocks(lambda: [X], X.metadata.num_rows, names, dtype, block_bytes)


def _from_parquet_dataset(X: Any, block_bytes: int | None) -> RowBlocks:
    names, dtype = _features(X.schema)
    n = X.count_rows()
    step = block_rows(n, len(names) * np.dtype(dtype).itemsize, 64, block_bytes)

    def blocks() -> Iterator[np.ndarray]:
        # blocks are read ahead already, and no more of them should be in memory than that
        few = {"batch_readahead": 1, "fragment_readahead": 1}
        for batch in X.to_batches(columns=names, batch_size=step, **few):
            block = np.empty((batch.num_rows, len(names)), dtype=dtype)
            for j, name in enumerate(names):
                block[:, j] = batch.column(name).to_numpy(zero_copy_only=False)
            yield block

    return RowBlocks(blocks, (n, len(names)), dtype, column_labels=tuple(names))


def _from_dask(X: Any, block_bytes: int | None) -> Any:
    """Chunks of a dask array: on the workers of a cluster if there is a client, else computed one after the other."""
    X = check_chunks(X)
    client = _client()
    if client is not None:
        return DaskRows(X, client, result_type(X.dtype))
    dask: Any = import_module("dask")
    da: Any = import_module("dask.array")
    chunks = X.to_delayed().ravel().tolist()

    def blocks() -> Iterator[ArrayOrSparse]:
        for chunk in chunks:
            yield dask.compute(chunk)[0]

    def wrap(W: np.ndarray) -> Any:
        return da.from_array(W, chunks=(X.chunks[0], W.shape[1]))

    return RowBlocks(blocks, X.shape, result_type(X.dtype), wrap=wrap)


def is_dask(X: Any) -> bool:
    """Whether X is a dask array."""
    return _kind(X) == ("dask", "Array")


def _client() -> Any:
    """The client of a Dask cluster that is in use here, if there is one."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


class DaskRows(NamedTuple):
    """A dask array and the client of the cluster whose workers go through it."""

    X: Any
    client: Any
    dtype: np.dtype
    row_labels: Labels = None
    column_labels: Labels = None
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features)."""
        return self.X.shape

    def astype(self, dtype: Any, copy: bool = False) -> "DaskRows":
        """The same in another dtype."""
        return self._replace(dtype=np.dtype(dtype))


# By the package and the name of their class.
SOURCES: dict[tuple[str, str], Callable[[Any, int | None], RowBlocks | None]] = {
    ("numpy", "memmap"): _from_memmap,
    ("h5py", "Dataset"): _from_chunks,
    ("zarr", "Array"): _from_chunks,
    ("anndata", "AnnData"): _from_anndata,
    ("anndata", "CSRDataset"): _from_compressed,
    ("anndata", "CSCDataset"): _from_compressed,
    ("pyarrow", "ParquetFile"): _from_parquet_file,
    ("pyarrow", "Dataset"): _from_parquet_dataset,
    ("dask", "Array"): _from_dask,
}
