"""Entries that are known, perhaps with weights; all others are missing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from nmf_core import _core
from nmf_core._core import Team
from nmf_core.data.base import BetaStep, ObservedStep, Partial, aligned_zeros
from nmf_core.data.sparse import Rows
from nmf_core.validation import Scan

_BLOCK_ENTRIES = 1 << 18  # entries that are looked at together
_LONG = 1 << 12  # entries of a row that are added up in the precision of the data


class Observed(Rows, Partial):
    """The known entries of X by rows, and when first wanted by columns: either factor is improved from its own copy.

    Parameters
    ----------
    A : CSR array or matrix of shape (n, m), float32 or float64
        The known entries; explicit zeros are known to be zero.
    weights : ndarray of shape (n_stored,), optional
        How often each of them counts, in the order in which A stores them, which must be canonical then; by default
        once.
    transposed, scan
        As in `Rows`.
    """

    offset = 0.0  # what has been taken from every entry

    def __init__(
        self,
        A: sp.csr_array | sp.csr_matrix,
        weights: np.ndarray | None = None,
        *,
        transposed: bool = False,
        scan: Scan | None = None,
    ) -> None:
        super().__init__(A, transposed=transposed, scan=scan)
        self.weights = None if weights is None else np.ascontiguousarray(weights, dtype=A.dtype)
        self._transpose: Observed | None = None
        self._weighted: np.ndarray | None = None

    def sum(self) -> float:
        if self.weights is None:
            return super().sum()
        return float(np.einsum("i,i->", self.data, self.weights, dtype=np.float64))

    def amounts(self, *, columns: bool = False) -> np.ndarray:
        if columns:
            return self.by_columns().amounts()
        return np.diff(self.indptr).astype(np.float64) if self.weights is None else self.row_sums(self.weights)

    def counts(self, *, columns: bool = False) -> np.ndarray:
        return np.bincount(self.indices, minlength=self.shape[1]) if columns else np.diff(self.indptr)

    def sum_of(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        values = function(self.data.astype(np.float64))
        return float(values.sum() if self.weights is None else values @ self.weights.astype(np.float64))

    def sum_of_squares(self) -> float:
        if self.weights is None:
            return super().sum_of_squares()
        return float(np.einsum("i,i,i->", self.data, self.data, self.weights, dtype=np.float64))

    def weighted(self) -> np.ndarray:
        if self.weights is None:
            return self.data
        if self._weighted is None:
            self._weighted = self.data * self.weights
        return self._weighted

    def shifted(self, offset: float) -> "Observed":
        A = sp.csr_array((self.data - self.dtype.type(offset), self.indices, self.indptr), shape=self.shape)
        shifted = Observed(A, self.weights, transposed=self.transposed)
        shifted.offset = offset
        return shifted

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        here = slice(self.indptr[i], self.indptr[i + 1])
        values = self.data[here].astype(np.float64)
        return self.indices[here], values, np.ones_like(values) if self.weights is None else self.weights[here]

    def level(self) -> float:
        if self.offset == 0:
            return super().level()
        return float(np.sqrt(self.squared_norm() / self.amounts().sum()))

    def by_columns(self) -> "Observed":
        if self._transpose is None:
            columns = self.csr().T.tocsr()
            weights = None
            if self.weights is not None:
                weights = sp.csr_array((self.weights, self.indices, self.indptr), shape=self.shape).T.tocsr().data
            self._transpose = Observed(columns, weights, transposed=not self.transposed)
        return self._transpose

    def hals(
        self,
        F: np.ndarray,
        N: np.ndarray | None,
        report: np.ndarray,
        G: np.ndarray,
        step: ObservedStep,
        team: Team,
        *,
        columns: bool = False,
    ) -> None:
        A = self.by_columns() if columns else self
        _, bounds = A._sorted_rows()
        _core.observed_hals(F, N, report, A.data, A.weights, A.indices, A.indptr, bounds, G, *step, team)

    def mu(
        self,
        F: np.ndarray,
        N: np.ndarray | None,
        report: np.ndarray,
        G: np.ndarray,
        step: BetaStep,
        amounts: np.ndarray,
        team: Team,
        *,
        columns: bool = False,
    ) -> None:
        A = self.by_columns() if columns else self
        _, bounds = A._sorted_rows()
        s = step
        _core.observed_mu(
            F, N, report, A.data, A.weights, A.indices, A.indptr, bounds, G, s.start, s.before, s.scale, s.sums,
            s.order, s.l1, s.l2, s.beta, s.max_sweeps, s.tol, s.loss_beta, s.exponent, s.floors, amounts, team,
        )  # fmt: skip

    def model_sums(self, G: np.ndarray, k: int, team: Team, *, columns: bool = False) -> np.ndarray:
        A = self.by_columns() if columns else self
        sums = np.zeros((A.shape[0], k))
        # By blocks of entries: ones for all at a time would be half as large as the data. Long rows are cut, and their
        # parts added up in double.
        for first in range(0, A.n_stored, _BLOCK_ENTRIES):
            end = min(A.n_stored, first + _BLOCK_ENTRIES)
            rows = slice(*(np.searchsorted(A.indptr, [first, end - 1], side="right") - [1, 0]))
            ends = A.indptr[rows.start : rows.stop + 1].clip(first, end)
            cuts = np.union1d(ends, np.arange(first, end, _LONG, dtype=ends.dtype))
            weights = np.ones(end - first, dtype=self.dtype) if A.weights is None else A.weights[first:end]
            C = aligned_zeros((len(cuts) - 1, G.shape[1]), self.dtype)
            _core.csr_product(C, weights, A.indices[first:end], cuts - cuts[0], G, team)
            owner = np.searchsorted(A.indptr, cuts[:-1], side="right") - 1
            starts = np.flatnonzero(np.diff(owner, prepend=-1))
            sums[owner[starts]] += np.add.reduceat(C[:, :k], starts, axis=0, dtype=np.float64)
        return sums

    def divergence(self, F: np.ndarray, G: np.ndarray, beta: float, floors: np.ndarray, team: Team) -> float:
        return float(
            _core.observed_divergence(self.data, self.weights, self.indices, self.indptr, F, G, beta, floors, team)
        )


def observe(X: Any, missing: str | None, weights: Any = None, scan: Scan | None = None) -> Observed:
    """The known entries of a validated X, and how much they count.

    Parameters
    ----------
    X : ndarray, or CSR or CSC array or matrix, of shape (n_samples, n_features)
        Not modified; of CSR with ``missing="unstored"`` and no weights, not even copied.
    missing : {None, "nan", "unstored"}
        What is missing besides what has weight zero.
    weights : ndarray, or CSR or CSC array or matrix, of the shape of X, optional
        Those of ones are left out.
    scan : Scan, optional
        What is known of the entries of X.
    """
    sparse = sp.issparse(X)
    if scan is None or not scan.canonical or not sparse or X.format != "csr":
        scan = None  # of other entries, or in another order, in which sums have other bits
    else:
        X.has_canonical_format = True  # which SciPy would find out in another pass, and remember, too
    if sp.issparse(weights):
        pattern = _canonical(weights)
    elif sparse and missing == "unstored":
        pattern = _canonical(X)
    else:
        return _without_ones(*_dense_entries(X, weights))
    if weights is None:
        return Observed(pattern, scan=scan)
    amounts, known = _values_at(weights, pattern)
    values, stored = _values_at(X, pattern)
    known &= amounts > 0
    known &= stored if missing == "unstored" else ~np.isnan(values)
    ends = np.concatenate([[0], np.cumsum(known)])[pattern.indptr]
    A = sp.csr_array((values[known], pattern.indices[known], ends.astype(pattern.indices.dtype)), shape=X.shape)
    return _without_ones(A, amounts[known].astype(X.dtype, copy=False))


def _without_ones(A: sp.csr_array, weights: np.ndarray | None) -> Observed:
    return Observed(A, None if weights is None or (weights == 1).all() else weights)


def _canonical(A: Any) -> Any:
    """A in rows, sorted, every entry once, in arrays that are no longer than they must be."""
    A = A.tocsr()
    if len(A.data) > A.nnz:
        A = sp.csr_array((A.data[: A.nnz], A.indices[: A.nnz], A.indptr), shape=A.shape)
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()
    return A


def _dense_entries(X: Any, weights: np.ndarray | None) -> tuple[sp.csr_array, np.ndarray | None]:
    """All entries that are not NaN and have a weight other than zero, by blocks of rows, and their weights."""
    n, m = X.shape
    if sp.issparse(X):
        X = X.tocsr()
    step = max(1, _BLOCK_ENTRIES // m)
    data, indices, counts, amounts = [], [], [], []
    for first in range(0, n, step):
        block = X[first : first + step]
        if sp.issparse(block):
            block = block.toarray()
        known = ~np.isnan(block)
        if weights is not None:
            known &= weights[first : first + step] > 0
            amounts.append(weights[first : first + step][known].astype(X.dtype, copy=False))
        data.append(block[known])
        indices.append(np.broadcast_to(np.arange(m, dtype=np.int32), known.shape)[known])
        counts.append(known.sum(axis=1))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    A = sp.csr_array((np.concatenate(data), np.concatenate(indices), indptr), shape=(n, m))
    return A, None if weights is None else np.concatenate(amounts)


def _values_at(A: Any, pattern: Any) -> tuple[np.ndarray, np.ndarray]:
    """A's values at the stored places of a canonical CSR matrix, and whether A stores them; zeros where it does not."""
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    if not sp.issparse(A):
        return A[rows, pattern.indices], np.ones(len(rows), dtype=bool)
    A = _canonical(A)
    if A is pattern:
        return A.data, np.ones(len(rows), dtype=bool)
    # Both lists of places ascend, as numbers from 0 to n m.
    wanted = rows * pattern.shape[1] + pattern.indices
    there = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr)) * A.shape[1] + A.indices
    place = np.searchsorted(there, wanted)
    stored = place < len(there)
    stored[stored] = there[place[stored]] == wanted[stored]
    values = np.zeros(len(wanted), dtype=A.dtype)
    values[stored] = A.data[place[stored]]
    return values, stored
