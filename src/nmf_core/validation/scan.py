"""What one pass over a matrix tells, so that checks, containers and starts need no other."""

import math
from typing import NamedTuple

import numpy as np

from nmf_core import _core
from nmf_core._core import Workspace


class Scan(NamedTuple):
    """What is known of the entries of an array, or of those that a sparse matrix stores.

    Attributes
    ----------
    size : int
        How many there are.
    minimum, maximum : float
        Of those that are numbers; infinity and minus infinity if there are none.
    least : float
        The smallest above zero; infinity where there is none.
    sum, squares : float
        The sums of the entries and of their squares, in double.
    zeros : int
        How many are zero.
    canonical : bool
        Of a sparse matrix: whether the entries of every row, or of every column of CSC, are in order, each once.
    """

    size: int
    minimum: float
    maximum: float
    least: float
    sum: float
    squares: float
    zeros: int
    canonical: bool = True

    @property
    def nan(self) -> bool:
        """Whether there is a NaN: of squares, nothing else has such a sum."""
        return math.isnan(self.squares)

    @property
    def finite(self) -> bool:
        """Whether all are finite, but for NaN."""
        return (self.minimum > -math.inf and self.maximum < math.inf) or self.minimum > self.maximum


def scan(values: np.ndarray, workspace: Workspace | None = None, *, canonical: bool = True) -> Scan:
    """Look at all numbers of an array once.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, m), float32 or float64
        In any order in memory; may be read-only or a memory map. Only one that is not aligned is copied.
    workspace : Workspace, optional
        Who does it; by default one thread. The result is the same to the last bit for any.
    canonical : bool
        What is known besides.
    """
    A = values if values.flags.aligned else values.copy()
    # Where columns lie in one piece they are gone through, as containers do.
    by_columns = A.ndim == 2 and A.strides[1] != A.itemsize and A.strides[0] == A.itemsize
    found = np.empty(6)
    _core.dense_scan(
        found, A.T if by_columns else np.atleast_2d(np.asarray(A)), Workspace(1) if workspace is None else workspace
    )
    minimum, maximum, least, total, squares, zeros = found.tolist()
    return Scan(A.size, minimum, maximum, least, total, squares, int(zeros), canonical)


def in_order(indices: np.ndarray, indptr: np.ndarray, m: int, workspace: Workspace | None = None) -> bool | None:
    """Whether the columns of every row of CSR ascend, so that none occurs twice; None if some are outside of the m."""
    if indices.dtype not in (np.int32, np.int64) or not indices.flags.c_contiguous or not indices.flags.aligned:
        indices = indices.astype(np.int64)
    ends = np.ascontiguousarray(indptr, dtype=np.int64)
    found = _core.csr_order(indices, ends, m, Workspace(1) if workspace is None else workspace)
    return None if found < 0 else found == 1
