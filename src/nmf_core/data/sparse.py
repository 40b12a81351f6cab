"""Sparse matrices in compressed rows."""

import numpy as np
import scipy.sparse as sp

from nmf_core import _core
from nmf_core._core import Team
from nmf_core.data.base import Container, Step, aligned_zeros
from nmf_core.data.dense import Dense

# Below this share of ||X||^2 the difference of large numbers says nothing about the residual.
_CANCELLED = 1e-9
# Groups of rows: at most so many (the kernels' limit) of so many rows, each beginning with a tile of the kernels; one
# more pays if it saves so many times the bytes of its statistics.
_MOST_GROUPS = 16
_GROUP_ROWS = 256
_TILE = 64
_GROUP_COST = 24


class Sparse(Container):
    """A CSR matrix, read in place; columns that are unsorted or occur twice in a row are mended in a copy.

    Parameters
    ----------
    A : CSR array or matrix of shape (n, m), float32 or float64
        The blocked matrix. Explicit zeros are entries like any other.
    transposed : bool
        Whether A is X.T.
    grouped : bool
        Whether the statistics of a pass may be summed in groups of rows, which depend on all of A.
    """

    def __init__(self, A: sp.csr_array | sp.csr_matrix, *, transposed: bool = False, grouped: bool = True) -> None:
        self.grouped = grouped
        if not A.has_canonical_format:
            A = A.copy()
            A.sum_duplicates()
        self.shape = (A.shape[0], A.shape[1])
        self.transposed = transposed
        self.dtype = A.dtype
        self.n_stored = int(A.indptr[-1])  # the arrays may be longer
        self.data = np.ascontiguousarray(A.data[: self.n_stored])
        index = np.int32 if A.indices.dtype == np.int32 and A.indptr.dtype == np.int32 else np.int64
        self.indices = np.ascontiguousarray(A.indices[: self.n_stored], dtype=index)
        self.indptr = np.ascontiguousarray(A.indptr, dtype=index)
        self._splits: dict[int, np.ndarray] = {}
        self._bounds: dict[int, np.ndarray] = {}

    def sum(self) -> float:
        return float(self.data.sum(dtype=np.float64))

    def row_means(self) -> np.ndarray:
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        return np.bincount(rows, weights=self.data, minlength=self.shape[0]) / self.shape[1]

    def sum_of_squares(self) -> float:
        return float(np.einsum("i,i->", self.data, self.data, dtype=np.float64))

    def in_double(self) -> "Sparse":
        A = sp.csr_array((self.data.astype(np.float64), self.indices, self.indptr), shape=self.shape)
        return Sparse(A, transposed=self.transposed)

    def product(self, G: np.ndarray, team: Team) -> np.ndarray:
        C = aligned_zeros((self.shape[0], G.shape[1]), self.dtype)
        _core.csr_product(C, self.data, self.indices, self.indptr, G, team)
        return C

    def improve(
        self,
        F: np.ndarray,
        N: np.ndarray | None,
        S: np.ndarray | None,
        report: np.ndarray,
        G: np.ndarray,
        step: Step,
        team: Team,
    ) -> None:
        groups = self._groups(G)
        # With as many groups as threads there are no stripes.
        splits = self._stripes(team if S is not None and team.n_threads >= len(groups) else Team(1))
        _core.csr_pass(F, N, S, report, self.data, self.indices, self.indptr, splits, groups, G, *step, team)

    def _groups(self, G: np.ndarray) -> np.ndarray:
        """Where groups of rows with statistics of their own begin, and the number of rows.

        Groups hold about equal numbers of entries. More groups let more threads read X once; each costs clearing and
        adding up its statistics, as large as G. The bits of a result depend on the groups, so these do not depend on
        the threads.
        """
        if G.shape[1] not in self._bounds:
            n = self.shape[0]
            saved = 2 * (self.data.nbytes + self.indices.nbytes) + 3 * n * G.shape[1] * G.itemsize
            most = min(_MOST_GROUPS, n // _GROUP_ROWS, 1 + saved // max(1, _GROUP_COST * G.nbytes))
            n_groups = 1 << max(0, int(most).bit_length() - 1) if self.grouped else 1
            wanted = self.n_stored * np.arange(1, n_groups) // n_groups
            inner = np.searchsorted(self.indptr, wanted) // _TILE * _TILE
            self._bounds[G.shape[1]] = np.concatenate([[0], inner, [n]]).astype(self.indices.dtype)
        return self._bounds[G.shape[1]]

    def _stripes(self, team: Team) -> np.ndarray:
        """Where every row enters each thread's stripe of columns but the first; stripes hold equal numbers of entries.

        The result of a pass does not depend on the stripes: a column is summed over the rows in their order.
        """
        n_stripes = team.n_threads
        if n_stripes not in self._splits:
            n, m = self.shape
            splits = np.empty((n_stripes - 1, n), dtype=self.indices.dtype)
            if splits.size:
                entries = np.cumsum(np.bincount(self.indices, minlength=m))
                wanted = self.n_stored * np.arange(1, n_stripes) / n_stripes
                bounds = np.searchsorted(entries, wanted).astype(self.indices.dtype)
                _core.csr_split(splits, self.indices, self.indptr, bounds, team)
            self._splits = {n_stripes: splits}
        return self._splits[n_stripes]

    def squared_residual(self, F: np.ndarray, G: np.ndarray, team: Team) -> float:
        # ||A||^2 - 2 <A, F G.T> + <F.T F, G.T G>; an almost exact fit, where this cancels, is computed entry by entry.
        F64, G64 = F.astype(np.float64, copy=False), G.astype(np.float64, copy=False)
        inner = _core.csr_inner(self.data, self.indices, self.indptr, F, G, team)
        norm = self.squared_norm()
        total = norm - 2 * inner + float(np.sum((F64.T @ F64) * (G64.T @ G64)))
        if total > _CANCELLED * norm:
            return total
        A = sp.csr_array((self.data, self.indices, self.indptr), shape=self.shape)
        step = max(1, (1 << 22) // (8 * self.shape[1]))
        return sum(
            Dense(A[first : first + step].toarray()).squared_residual(F[first : first + step], G, team)
            for first in range(0, self.shape[0], step)
        )
