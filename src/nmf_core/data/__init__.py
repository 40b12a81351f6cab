"""Containers: what holds X, and how it is visited. A new container is a file here and a rung of `as_container`."""

import numpy as np
import scipy.sparse as sp

from nmf_core.data.base import Container, factor_array
from nmf_core.data.dense import Dense
from nmf_core.data.sparse import Sparse

__all__ = ["Container", "as_container", "factor_array"]


def as_container(X: np.ndarray | sp.sparray | sp.spmatrix) -> Container:
    """The container of a validated X; nothing is copied if the memory allows to read it row by row or column by column.

    Parameters
    ----------
    X : ndarray or sparse array or matrix of shape (n_samples, n_features), float32 or float64
        An array stored by columns or in CSC is visited by columns: its container is `transposed`.
    """
    if sp.issparse(X):
        if X.format == "csc":
            return Sparse(X.T, transposed=True)
        return Sparse(X if X.format == "csr" else X.tocsr())
    if X.strides[1] != X.itemsize and X.strides[0] == X.itemsize:
        return Dense(X.T, transposed=True)
    return Dense(X)
