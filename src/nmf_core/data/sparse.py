"""Sparse matrices in compressed rows."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from copy import copy
from typing import Self

import numpy as np
import scipy.sparse as sp

from nmf_core.data.base import Matrix, Visited, single_holds
from nmf_core.data.dense import Dense
from nmf_core.engine import Engine, Report, Update
from nmf_core.losses import Loss
from nmf_core.validation import Scan, look_at

# Below this share of ||X||^2 the difference of large numbers says nothing about the residual.
_CANCELLED = 1e-9
# Groups of rows: at most so many (the kernels' limit) of so many rows, each beginning with a tile of the kernels; one
# more pays if it saves so many times the bytes of its statistics.
_MOST_GROUPS = 16
_GROUP_ROWS = 256
_TILE = 64
_GROUP_COST = 24
_LOOKED_AT = 1 << 16  # entries, at most, that tell how they are spread over the columns
# Rows that are taken one after the other whatever their order, so that reading them stays in the cache.
_WINDOW_ROWS = 1024
_WINDOW_ENTRIES = 1 << 16
LARGE = 500_000  # stored entries from which on float32 saves time
_BLOCK_BYTES = 1 << 22  # of rows as an array, in double
_SUM_ENTRIES = 1 << 18  # entries, about, whose sums are taken together: they are copied in double


class Rows(Matrix):
    """Stored entries in compressed rows: CSR, read in place; what is unsorted or occurs twice is mended in a copy.

    Parameters
    ----------
    A : CSR array or matrix of shape (n, m), float32 or float64
        The blocked matrix. Explicit zeros are entries like any other.
    transposed : bool
        Whether A is X.T.
    engine : Engine, optional
        What it computes with.
    scan : Scan, optional
        What is known of its stored entries.
    """

    def __init__(
        self,
        A: sp.csr_array | sp.csr_matrix,
        *,
        transposed: bool = False,
        engine: Engine = Engine.default,
        scan: Scan | None = None,
    ) -> None:
        self.engine = engine
        if not (A.has_canonical_format if scan is None else scan.canonical):
            scan = None
            A = A.copy()
            A.sum_duplicates()
        self.shape = (A.shape[0], A.shape[1])
        self.transposed = transposed
        self.dtype = A.dtype
        self.n_stored = int(A.indptr[-1])  # the arrays may be longer
        self.data = np.ascontiguousarray(A.data[: self.n_stored])
        # Whatever SciPy has: columns are read again and again, four bytes are enough for them.
        self.indices = np.ascontiguousarray(A.indices[: self.n_stored], dtype=np.int32)
        self.indptr = np.ascontiguousarray(A.indptr, dtype=np.int64)
        self._scan = scan
        self._windows: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def scan(self) -> Scan:
        """What is known of the stored entries; they are looked at for it once."""
        if self._scan is None:
            self._scan = look_at(self.data)
        return self._scan

    def sum(self) -> float:
        return self.scan.sum

    def sums(self, *, columns: bool = False) -> np.ndarray:
        values = self.weighted()
        return self.column_sums(values) if columns else self.row_sums(values)

    def sums_of_squares(self, *, columns: bool = False) -> np.ndarray:
        values = self.data.astype(np.float64) * self.weighted()
        return self.column_sums(values) if columns else self.row_sums(values)

    def weighted(self) -> np.ndarray:
        """Every stored entry, as often as it counts."""
        return self.data

    def row_sums(self, values: np.ndarray) -> np.ndarray:
        """The sums (n,) of numbers that belong to the stored entries over every row, in double."""
        sums = np.empty(self.shape[0])
        step = max(1, _SUM_ENTRIES * self.shape[0] // max(1, self.n_stored))
        for first in range(0, self.shape[0], step):
            ends = self.indptr[first : first + step + 1]
            rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
            entries = values[ends[0] : ends[-1]]
            sums[first : first + step] = np.bincount(rows, weights=entries, minlength=len(ends) - 1)
        return sums

    def column_sums(self, values: np.ndarray) -> np.ndarray:
        """The same (m,) over every column."""
        sums = np.zeros(self.shape[1])
        for first in range(0, self.n_stored, _SUM_ENTRIES):
            entries = slice(first, first + _SUM_ENTRIES)
            # one after the other: the sum of a column must not depend on entries of others
            np.add.at(
                sums, np.asarray(self.indices[entries], dtype=np.intp), values[entries].astype(np.float64, copy=False)
            )
        return sums

    def sum_of(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(function(self.data.astype(np.float64)).sum())

    def sum_of_squares(self) -> float:
        return self.scan.squares

    def has_zeros(self) -> bool:
        return self.scan.zeros > 0

    def least(self) -> float:
        return self.scan.least

    @abstractmethod
    def by_columns(self) -> Self:
        """The transposed matrix, as large as this one; made when first wanted."""

    def pass_newton(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        A = self.by_columns() if columns else self
        # An entry x of weight w pulls like w x; what that is worth is another question, see `Newton.measure`.
        stored = A.weighted(), A.indices, A.indptr, *A._sorted_rows()
        return self.engine.pass_newton("csr", stored, F, G, update, F_new)

    def csr(self) -> sp.csr_array:
        """The same entries for SciPy, sharing memory."""
        return sp.csr_array((self.data, self.indices, self.indptr), shape=self.shape)

    def _sorted_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """All rows, window by window, the longest of each first, and where the windows begin and end."""
        if self._windows is None:
            n = self.shape[0]
            entries = np.searchsorted(self.indptr, np.arange(0, self.n_stored, _WINDOW_ENTRIES))
            bounds = np.unique(np.concatenate([np.arange(0, n, _WINDOW_ROWS), entries, [n]]))
            window = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
            rows = np.lexsort((-np.diff(self.indptr), window))
            self._windows = rows.astype(np.int64, copy=False), bounds.astype(np.int64, copy=False)
        return self._windows


class Sparse(Rows, Visited):
    """A CSR matrix; what is not stored is zero.

    Parameters
    ----------
    A, transposed, engine, scan
        As in `Rows`.
    grouped : bool
        Whether the statistics of a pass may be summed in groups of rows, which depend on all of A.
    """

    kind = "csr"

    def __init__(
        self,
        A: sp.csr_array | sp.csr_matrix,
        *,
        transposed: bool = False,
        grouped: bool = True,
        engine: Engine = Engine.default,
        scan: Scan | None = None,
    ) -> None:
        super().__init__(A, transposed=transposed, engine=engine, scan=scan)
        self.grouped = grouped
        self._splits: dict[int, np.ndarray] = {}
        self._bounds: dict[int, np.ndarray] = {}
        self._transpose: Sparse | None = None
        self._single: list[np.ndarray] = []  # the entries in float32, once they have been wanted, for all copies

    def has_zeros(self) -> bool:
        return self.n_stored < self.shape[0] * self.shape[1] or super().has_zeros()

    def in_double(self) -> "Sparse":
        return Sparse(self.csr().astype(np.float64), transposed=self.transposed, engine=self.engine)

    @property
    def may_be_single(self) -> bool:  # type: ignore[override]
        """Whether float32 saves time."""
        return self.dtype == np.float64 and self.n_stored >= LARGE

    def in_single(self) -> "Sparse | None":
        if not self.may_be_single or not single_holds(self.squared_norm()):
            return None
        single = copy(self)  # where the entries are is shared
        if not self._single:
            self._single.append(self.data.astype(np.float32))
        single.dtype, single.data = np.dtype(np.float32), self._single[0]
        single._bounds, single._transpose = {}, None
        return single

    def part(self, first: int, end: int) -> "Sparse":
        rows = copy(self)  # its entries are in order and need not be looked at again
        begin, stop = self.indptr[first], self.indptr[end]
        rows.shape = end - first, self.shape[1]
        rows.data, rows.indices = self.data[begin:stop], self.indices[begin:stop]
        rows.indptr = self.indptr[first : end + 1] - begin
        rows.n_stored = len(rows.data)
        rows._splits, rows._bounds, rows._single = {}, {}, []
        rows._windows = rows._transpose = rows._squared_norm = rows._scan = None
        return rows

    @property
    def stored(self) -> tuple[np.ndarray, ...]:
        """The arrays of the stored entries."""
        return self.data, self.indices, self.indptr

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        A = self.csr()
        step = max(1, _BLOCK_BYTES // (8 * self.shape[1]))
        for first in range(0, self.shape[0], step):
            yield slice(first, first + step), A[first : first + step].toarray()

    def product(self, G: np.ndarray) -> np.ndarray:
        return self.engine.product("csr", self.stored, self.shape[0], G)

    def stored_for(self, G: np.ndarray, statistics: bool) -> tuple[np.ndarray, ...]:
        return (*self.stored, *self._dealt(statistics, G))

    def stored_for_several(self, G: np.ndarray) -> tuple[np.ndarray, ...]:
        return (*self.stored, self._groups(G))

    def _dealt(self, statistics: bool, G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stripes of columns, unless there are as many groups of rows as threads, and these: who adds what."""
        groups = self._groups(G)
        return self._stripes(
            self.engine.n_threads if statistics and self.engine.n_threads >= len(groups) else 1
        ), groups

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
            self._bounds[G.shape[1]] = np.concatenate([[0], inner, [n]]).astype(np.int64)
        return self._bounds[G.shape[1]]

    def _stripes(self, n_stripes: int) -> np.ndarray:
        """Where every row enters each thread's stripe of columns but the first; stripes hold about as many entries.

        The result of a pass does not depend on the stripes: a column is summed over the rows in their order.
        """
        if n_stripes not in self._splits:
            n, m = self.shape
            splits = np.empty((n_stripes - 1, n), dtype=np.int64)
            if splits.size:
                some = self.indices
                if len(some) > _LOOKED_AT:
                    some = some[np.random.default_rng(0).integers(len(some), size=_LOOKED_AT)]
                entries = np.cumsum(np.bincount(some, minlength=m))
                wanted = len(some) * np.arange(1, n_stripes) / n_stripes
                bounds = np.searchsorted(entries, wanted).astype(np.int64)
                self.engine.split_rows(splits, self.indices, self.indptr, bounds)
            self._splits = {n_stripes: splits}
        return self._splits[n_stripes]

    def by_columns(self) -> "Sparse":
        if self._transpose is None:
            self._transpose = Sparse(self.csr().T.tocsr(), transposed=not self.transposed, engine=self.engine)
        return self._transpose

    def divergence(self, F: np.ndarray, G: np.ndarray, loss: Loss, floors: np.ndarray) -> float:
        if loss.kernel is None:
            return super().divergence(F, G, loss, floors)
        # What the stored entries change of the divergence that the model alone has from zeros. An almost exact fit,
        # where this cancels, is computed entry by entry.
        excess = self.engine.divergence("csr", self.stored, F, G, loss, floors)
        if loss.positive:
            return excess
        if loss.linear:
            model = float(F.sum(axis=0, dtype=np.float64) @ G.sum(axis=0, dtype=np.float64))
        elif loss.quadratic:
            model = float(np.sum(np.multiply(*(self.engine.gram_in_double(A, A.shape[1]) for A in (F, G))))) / 2
        else:
            model = self.engine.divergence("model", (), F, G, loss, floors)
        if excess + model > _CANCELLED * model:
            return excess + model
        return sum(Dense(A, engine=self.engine).divergence(F[rows], G, loss, floors[rows]) for rows, A in self.blocks())
