"""Containers: what holds X, and how it is visited. A new container is a file here and a rung of `as_container`."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmf_core.data.base import FullMatrix, Matrix, ObservedMatrix, single_holds
from nmf_core.data.blocks import RowBlocks
from nmf_core.data.dense import Dense
from nmf_core.data.sources import DaskRows, accept, is_dask, raised, result_type, row_blocks
from nmf_core.engine import Engine
from nmf_core.typing import Missing
from nmf_core.validation import ArrayOrSparse, Scan, check_matrix, check_resident, is_sparse, look_at

__all__ = [
    "DaskRows",
    "FullMatrix",
    "Layout",
    "Matrix",
    "ObservedMatrix",
    "RowBlocks",
    "accept",
    "as_container",
    "container_class",
    "is_dask",
    "raised",
    "result_type",
    "row_blocks",
    "single_holds",
]


# Share of entries that are not zero up to which going through these alone pays.
FEW = 0.1


def container_class(X: ArrayOrSparse | RowBlocks | DaskRows) -> type[Matrix]:
    """The class of its container, as far as it decides what can be done with X: `FullMatrix` if X is in memory."""
    if isinstance(X, Matrix):
        return type(X)
    if isinstance(X, DaskRows):
        from nmf_core.data.distributed import Distributed

        return Distributed
    if isinstance(X, RowBlocks):
        from nmf_core.data.chunked import Chunked  # imports scipy.sparse

        return Chunked
    return FullMatrix


class Layout(NamedTuple):
    """How a matrix must be visited.

    Attributes
    ----------
    as_observed : bool
        Whether known entries must be held one by one even if nothing is missing: what an `ObservedMatrix` can do.
    row_independent : bool
        Whether what a pass makes of a row must not depend, to the last bit, on the number of rows: arrays stored by
        columns are copied then, because their products are summed in groups that depend on it; those of CSC are not
        summed in groups.
    row_major : bool
        Whether X must be visited by rows, for kernels to which the order of a dense array is all the same: only CSC is
        copied then.
    sparsify : bool
        Whether zeros of X are of no concern, as for Kullback-Leibler: an array with few other entries becomes sparse
        then, a small copy.
    """

    as_observed: bool = False
    row_independent: bool = False
    row_major: bool = False
    sparsify: bool = False


_ANY = Layout()


def as_container(
    X: ArrayOrSparse | RowBlocks | DaskRows,
    *,
    missing: Missing | None = None,
    weights: ArrayOrSparse | None = None,
    layout: Layout = _ANY,
    folder: Path | None = None,
    engine: Engine = Engine.default,
    scan: Scan | None = None,
) -> Matrix:
    """The container of a validated X; nothing is copied if the memory allows to read it row by row or column by column.

    Parameters
    ----------
    X : ndarray, sparse array or matrix, or RowBlocks of shape (n_samples, n_features), float32 or float64
        An array stored by columns or in CSC is visited by columns: its container is `transposed`.
    missing : {None, "nan", "unstored"}
        What is missing.
    weights : ndarray, or CSR or CSC array or matrix, of the shape of X, optional
        How much every entry counts.
    layout : Layout
        How it must be visited.
    folder : path, optional
        Where factors of the rows of `RowBlocks` live in files, instead of in memory.
    engine : Engine, optional
        What it computes with; by default one thread.
    scan : Scan, optional
        What is known of the entries of a matrix in memory: it is not looked at again.
    """
    if isinstance(X, DaskRows):
        from nmf_core.data.distributed import Distributed

        return Distributed(X.X, X.client, X.dtype, engine=engine)
    if isinstance(X, RowBlocks) and layout.row_major and X.transposed:
        check_resident(X.array is not None, "This loss, of data that are stored by columns,")
        found = check_matrix(X.array)
        X, scan = found.values, found.scan
    if isinstance(X, RowBlocks):
        from nmf_core.data.chunked import Chunked  # imports scipy.sparse

        return Chunked(X, folder, engine=engine)
    some = weights is not None or missing == "unstored" or layout.as_observed
    if some or (missing == "nan" and (scan := scan or look_at(X)).nan):
        from nmf_core.data.observed import observe  # imports scipy.sparse

        known = observe(X, missing, weights, engine, scan)
        if (
            layout.as_observed
            or missing == "unstored"
            or known.weights is not None
            or known.n_stored < X.shape[0] * X.shape[1]
        ):
            return known
    if layout.sparsify and not is_sparse(X):
        scan = scan or look_at(X)
        if scan.size - scan.zeros <= FEW * scan.size:
            import scipy.sparse as sp

            X, scan = sp.csr_array(X), None
    if is_sparse(X):
        from nmf_core.data.sparse import Sparse  # imports scipy.sparse

        if X.format == "csc" and not layout.row_major:
            return Sparse(X.T, transposed=True, grouped=not layout.row_independent, engine=engine, scan=scan)
        # in another order sums have other bits
        return Sparse(X, engine=engine, scan=scan) if X.format == "csr" else Sparse(X.tocsr(), engine=engine)
    if layout.row_major:
        return Dense(X, by_columns=True, engine=engine, scan=scan)
    if layout.row_independent:
        return Dense(np.ascontiguousarray(X), engine=engine, scan=scan)
    if X.strides[1] != X.itemsize and X.strides[0] == X.itemsize:
        return Dense(X.T, transposed=True, engine=engine, scan=scan)
    return Dense(X, engine=engine, scan=scan)
