"""Entries that are known, perhaps with weights; all others are missing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from nmf_core import rows
from nmf_core.data.base import ObservedMatrix
from nmf_core.data.sparse import Rows
from nmf_core.engine import Engine, Report, Update
from nmf_core.losses import Loss
from nmf_core.typing import Missing
from nmf_core.validation import Scan

_BLOCK_ENTRIES = 1 << 18  # entries that are looked at together
_LONG = 1 << 12  # entries of a row that are added up in the precision of the data


class Observed(Rows, ObservedMatrix):
    """The known entries of X by rows, and when first wanted by columns: either factor is improved from its own copy.

    Parameters
    ----------
    A : CSR array or matrix of shape (n, m), float32 or float64
        The known entries; explicit zeros are known to be zero.
    weights : ndarray of shape (n_stored,), optional
        How often each of them counts, in the order in which A stores them, which must be canonical then; by default
        once.
    transposed, engine, scan
        As in `Rows`.
    """

    offset = 0.0  # what has been taken from every entry

    def __init__(
        self,
        A: sp.csr_array | sp.csr_matrix,
        weights: np.ndarray | None = None,
        *,
        transposed: bool = False,
        engine: Engine = Engine.default,
        scan: Scan | None = None,
    ) -> None:
        super().__init__(A, transposed=transposed, engine=engine, scan=scan)
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
        shifted = Observed(A, self.weights, transposed=self.transposed, engine=self.engine)
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
            self._transpose = Observed(columns, weights, transposed=not self.transposed, engine=self.engine)
        return self._transpose

    @property
    def stored(self) -> tuple[Any, ...]:
        """The arrays of the known entries."""
        return self.data, self.weights, self.indices, self.indptr

    def pass_quadratic(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        A = self.by_columns() if columns else self
        return self.engine.pass_quadratic("observed", (*A.stored, A._sorted_rows()[1]), F, G, update, F_new)

    def pass_gradients(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        A = self.by_columns() if columns else self
        if not update.in_kernels:
            return A._multiply(F, G, update, F_new)
        return self.engine.pass_gradients("observed", (*A.stored, A._sorted_rows()[1]), F, G, update, F_new)

    def _multiply(self, F: np.ndarray, G: np.ndarray, u: Update, F_new: np.ndarray | None) -> Report:
        """A multiplicative update in NumPy, for a loss that is given by its functions."""
        k = len(u.scale)
        assert u.loss is not None
        f, wide, report = u.start[:, :k].astype(np.float64), G[:, :k].astype(np.float64), Report()
        for sweep in range(u.max_sweeps):
            parts = u.loss.gradient_parts(self.data.astype(np.float64), self._model(f, wide, u.floors))
            crosses = [self._with(part if self.weights is None else part * self.weights) @ wide for part in parts]
            f, length = rows.multiply(f, crosses[0], crosses[1], u)
            if sweep == 0:
                report.numbers[0] = length
            report.numbers[1] = sweep + 1
            report.numbers[2] = 0.0 if length <= u.tol**2 * report.squared_step else len(f)
            if report.unfinished == 0:
                break
        rows.extrapolate(F, F_new, f, u)
        return report

    def _model(self, F: np.ndarray, G: np.ndarray, floors: np.ndarray) -> np.ndarray:
        """The model's entries (n_stored,) where something is known, in double."""
        model = np.empty(self.n_stored)
        row = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        for first in range(0, self.n_stored, _BLOCK_ENTRIES):
            here = slice(first, first + _BLOCK_ENTRIES)
            model[here] = np.einsum("ij,ij->i", F[row[here]], G[self.indices[here]])
        return np.maximum(model, np.asarray(floors, dtype=np.float64)[row])

    def _with(self, values: np.ndarray) -> sp.csr_array:
        """Other values at the same places."""
        return sp.csr_array((values, self.indices, self.indptr), shape=self.shape)

    def model_sums(self, G: np.ndarray, k: int, *, columns: bool = False) -> np.ndarray:
        A = self.by_columns() if columns else self
        sums = np.zeros((A.shape[0], k))
        # By blocks of entries: ones for all at a time would be half as large as the data. Long rows are cut, and their
        # parts added up in double.
        for first in range(0, A.n_stored, _BLOCK_ENTRIES):
            end = min(A.n_stored, first + _BLOCK_ENTRIES)
            low, high = np.searchsorted(A.indptr, [first, end - 1], side="right") - [1, 0]
            ends = A.indptr[low : high + 1].clip(first, end)
            cuts = np.union1d(ends, np.arange(first, end, _LONG, dtype=ends.dtype))
            weights = np.ones(end - first, dtype=self.dtype) if A.weights is None else A.weights[first:end]
            stored = weights, A.indices[first:end], cuts - cuts[0]
            C = self.engine.product("csr", stored, len(cuts) - 1, G)
            owner = np.searchsorted(A.indptr, cuts[:-1], side="right") - 1
            starts = np.flatnonzero(np.diff(owner, prepend=-1))
            sums[owner[starts]] += np.add.reduceat(C[:, :k], starts, axis=0, dtype=np.float64)
        return sums

    def divergence(self, F: np.ndarray, G: np.ndarray, loss: Loss, floors: np.ndarray) -> float:
        if loss.kernel is None:
            values = loss.value(self.data.astype(np.float64), self._model(F.astype(np.float64), G, floors))
            return float(values.sum() if self.weights is None else values @ self.weights.astype(np.float64))
        return self.engine.divergence("observed", self.stored, F, G, loss, floors)


def observe(
    X: Any, missing: Missing | None, weights: Any = None, engine: Engine = Engine.default, scan: Scan | None = None
) -> Observed:
    """The known entries of a validated X, and how much they count.

    Parameters
    ----------
    X : ndarray, or CSR or CSC array or matrix, of shape (n_samples, n_features)
        Not modified; of CSR with ``missing="unstored"`` and no weights, not even copied.
    missing : {None, "nan", "unstored"}
        What is missing besides what has weight zero.
    weights : ndarray, or CSR or CSC array or matrix, of the shape of X, optional
        Those of ones are left out.
    engine : Engine, optional
        What it computes with.
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
        return _without_ones(*_dense_entries(X, weights), engine)
    if weights is None:
        return Observed(pattern, engine=engine, scan=scan)
    amounts, known = _values_at(weights, pattern)
    values, stored = _values_at(X, pattern)
    known &= amounts > 0
    known &= stored if missing == "unstored" else ~np.isnan(values)
    ends = np.concatenate([[0], np.cumsum(known)])[pattern.indptr]
    A = sp.csr_array((values[known], pattern.indices[known], ends.astype(pattern.indices.dtype)), shape=X.shape)
    return _without_ones(A, amounts[known].astype(X.dtype, copy=False), engine)


def _without_ones(A: sp.csr_array, weights: np.ndarray | None, engine: Engine) -> Observed:
    return Observed(A, None if weights is None or (weights == 1).all() else weights, engine=engine)


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
