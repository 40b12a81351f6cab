"""Arrays in HDF5 and zarr, and AnnData."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.data import row_blocks
from nmf_core.io.base import LABEL_ARRAYS, choose, library
from nmf_core.io.memory import LABEL, LARGE_LIBRARY, Stored
from nmf_core.labels import LabelledMatrix
from nmf_core.validation import Labels

_DECODED = 10  # chunks at a time, by zarr


def read_hdf5(path: Path, key: str, *_: Any) -> Stored:
    """A dataset in an HDF5 file: the only matrix, or the one that is called `key`."""
    h5py = library("h5py", "HDF5")
    file = h5py.File(path, "r")  # stays open as long as something of it is in use
    datasets: dict[str, Any] = {}
    file.visititems(lambda name, item: datasets.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return _in_group(path, file, datasets, key)


def read_zarr(path: Path, key: str, *_: Any) -> Stored:
    """A zarr array, or one in a group: the only matrix, or the one that is called `key`."""
    zarr = library("zarr", "zarr")
    try:
        opened = zarr.open(path, mode="r")
    except FileNotFoundError:
        raise ValueError("neither an array nor a group of zarr") from None
    if isinstance(opened, zarr.Array):
        if key:
            raise ValueError(f"an array of its own, without one called {key!r} in it")
        return _dense("it", opened, (None, None))
    arrays = {name: item for name, item in opened.members(max_depth=None) if isinstance(item, zarr.Array)}
    return _in_group(path, opened, arrays, key)


def _in_group(path: Path, group: Any, arrays: dict[str, Any], key: str) -> Stored:
    """The chosen array, with arrays of labels that are beside it."""
    matrices = [name for name, array in arrays.items() if len(array.shape) == 2 and array.dtype.kind in "fiub"]
    name = choose(path, "dataset", matrices, arrays, key)
    folder = name.rpartition("/")[0]
    beside = [f"{folder}/{label}".lstrip("/") for label in LABEL_ARRAYS]
    # The labels are those of the only matrix; of several, nobody knows which they belong to.
    single = sum(other.rpartition("/")[0] == folder for other in matrices) == 1
    labels = [_text(group[label]) if single and label in arrays else None for label in beside]
    return _dense(f"dataset {name!r}", arrays[name], (labels[0], labels[1]))


def _text(labels: Any) -> Labels:
    """Labels from an array of strings, which HDF5 holds as bytes."""
    return tuple(label.decode() if isinstance(label, bytes) else str(label) for label in np.ravel(labels[...]))


def _dense(what: str, X: Any, labels: tuple[Labels, Labels], libraries: int = 0) -> Stored:
    """An array of h5py or zarr."""
    if len(X.shape) != 2:
        raise ValueError(f"{what} has {len(X.shape)} dimensions, but a matrix has 2")
    if X.dtype.kind not in "fiub":
        raise ValueError(f"{what} holds {'text or objects' if X.dtype.kind in 'OSUTV' else X.dtype}, not numbers")
    if 0 in X.shape:
        raise ValueError(f"{what} is empty: its shape is {X.shape[0]} x {X.shape[1]}")
    n, m = X.shape
    dtype = row_blocks(X).dtype
    at_once = 1 if hasattr(X, "read_direct") else _DECODED
    chunk = math.prod(X.chunks) * X.dtype.itemsize if X.chunks else 0

    return Stored(
        shape=(n, m), dtype=dtype, n_stored=n * m, whole_bytes=n * m * dtype.itemsize, row_bytes=m * dtype.itemsize,
        whole=lambda: LabelledMatrix(row_blocks(X).read(), *labels),
        blocks=lambda block_bytes: LabelledMatrix(row_blocks(X, block_bytes), *labels),
        extra=libraries + at_once * chunk + LABEL * sum(len(of_one) for of_one in labels if of_one),
    )  # fmt: skip


def read_h5ad(path: Path, key: str, *_: Any) -> Stored:
    """X of AnnData, or the matrix that is called `key`, such as layers/counts; names of cells and genes are labels.

    Nothing else of the file is read, not even what would be in memory if AnnData itself were backed by it.
    """
    h5py = library("h5py", ".h5ad")
    anndata = library("anndata.io", ".h5ad")
    file = h5py.File(path, "r")
    if not {"obs", "var"} <= set(file) or isinstance(file["obs"], h5py.Dataset):
        raise ValueError("not AnnData, or written by a version before 0.7; .h5 reads it as HDF5")
    found = {name: file[name] for name in _matrices(file)}
    if key and key not in found:
        choose(path, "matrix", list(found), found, key)
    if not found.keys() & {key or "X"}:
        raise ValueError(f"holds no X, but {', '.join(found) or 'no matrix at all'}; choose one as {path}::NAME")
    name = key or "X"
    var = file["raw/var" if name.startswith("raw/") else "var"]
    try:
        rows, columns = (
            tuple(map(str, anndata.read_elem(frame[frame.attrs["_index"]]))) for frame in (file["obs"], var)
        )
    except Exception as error:  # anndata has an error of its own, which is not public
        raise ValueError(f"names of cells or genes can't be read: {error}") from None
    if isinstance(found[name], h5py.Dataset):
        return _dense(name, found[name], (rows, columns), LARGE_LIBRARY)
    if found[name].attrs.get("encoding-type") not in ("csr_matrix", "csc_matrix"):
        raise ValueError(f"{name} is {found[name].attrs.get('encoding-type', 'a group')}, not a matrix")
    return _compressed(anndata.sparse_dataset(found[name]), (rows, columns))


def _matrices(file: Any) -> Iterator[str]:
    """Names of what may be a matrix in AnnData."""
    yield from (name for name in ("X", "raw/X") if name in file)
    yield from (f"layers/{name}" for name in file.get("layers", ()))


def _compressed(X: Any, labels: tuple[Labels, Labels]) -> Stored:
    """CSR or CSC of anndata."""
    if X.dtype.kind not in "fiub":
        raise ValueError(f"it holds {X.dtype}, not numbers")
    if 0 in X.shape:
        raise ValueError(f"it is empty: its shape is {X.shape[0]} x {X.shape[1]}")
    dtype = row_blocks(X).dtype
    n_stored = X.group["indices"].shape[0]
    ends = X.group["indptr"][:]
    entry = X.group["indices"].dtype.itemsize + X.dtype.itemsize
    converted = 0 if X.dtype == dtype else dtype.itemsize
    return Stored(
        shape=X.shape, dtype=dtype, n_stored=n_stored, whole_bytes=n_stored * (entry + converted) + ends.nbytes,
        row_bytes=int(np.diff(ends).max()) * (entry + converted),
        whole=lambda: LabelledMatrix(X.to_memory(), *labels),
        blocks=lambda block_bytes: LabelledMatrix(row_blocks(X, block_bytes), *labels),
        extra=LARGE_LIBRARY + ends.nbytes + LABEL * sum(X.shape),
    )  # fmt: skip
