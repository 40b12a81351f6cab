"""Containers: what holds X, and how it is visited. A new container is a file here and a rung of `as_container`."""

import numpy as np

from nmf_core.data.base import Container, Step, factor_array
from nmf_core.data.dense import Dense
from nmf_core.validation import Matrix, is_sparse

__all__ = ["Container", "Step", "as_container", "factor_array"]


def as_container(X: Matrix, *, by_rows: bool = False) -> Container:
    """The container of a validated X; nothing is copied if the memory allows to read it row by row or column by column.

    Parameters
    ----------
    X : ndarray or sparse array or matrix of shape (n_samples, n_features), float32 or float64
        An array stored by columns or in CSC is visited by columns: its container is `transposed`.
    by_rows : bool
        Whether what a pass makes of a row must not depend, to the last bit, on the number of rows: arrays stored by
        columns are copied then, because their products are summed in groups that depend on it; those of CSC are not
        summed in groups.
    """
    if is_sparse(X):
        from nmf_core.data.sparse import Sparse  # imports scipy.sparse

        if X.format == "csc":
            return Sparse(X.T, transposed=True, grouped=not by_rows)
        return Sparse(X if X.format == "csr" else X.tocsr())
    if by_rows:
        return Dense(np.ascontiguousarray(X))
    if X.strides[1] != X.itemsize and X.strides[0] == X.itemsize:
        return Dense(X.T, transposed=True)
    return Dense(X)
