"""Dense arrays, in memory or mapped into it."""

from collections.abc import Callable, Iterator

import numpy as np

from nmf_core import _core
from nmf_core._core import Team
from nmf_core.data.base import BetaStep, Complete, NewtonStep, Step, aligned_zeros
from nmf_core.validation import Scan, look_at

_BLOCK_BYTES = 1 << 22


class Dense(Complete):
    """A strided array, read in place as long as its rows are contiguous.

    Parameters
    ----------
    A : ndarray of shape (n, m), float32 or float64
        The blocked matrix; may be read-only or a memory map. An array whose rows are not contiguous is copied.
    transposed : bool
        Whether A is X.T.
    by_columns : bool
        Whether contiguous columns do as well: kernels for beta-divergences take both.
    scan : Scan, optional
        What is known of its entries.
    """

    def __init__(
        self, A: np.ndarray, *, transposed: bool = False, by_columns: bool = False, scan: Scan | None = None
    ) -> None:
        rows, columns = A.strides[::-1] if by_columns and A.strides[0] == A.itemsize else A.strides
        readable = columns == A.itemsize and rows % A.itemsize == 0 and rows >= 0
        self.array = np.asarray(A) if readable and A.flags.aligned else np.ascontiguousarray(A)
        self.shape = (A.shape[0], A.shape[1])
        self.transposed = transposed
        self.dtype = A.dtype
        self.n_stored = A.size
        self._scan = scan

    def _blocks(self) -> Iterator[np.ndarray]:
        """Blocks of rows in double, small enough for the cache."""
        n, m = self.shape
        step = max(1, _BLOCK_BYTES // (8 * m))
        for first in range(0, n, step):
            yield self.array[first : first + step].astype(np.float64, copy=False)

    @property
    def scan(self) -> Scan:
        """What is known of the entries; they are looked at for it once."""
        if self._scan is None:
            self._scan = look_at(self.array)
        return self._scan

    def sum(self) -> float:
        return self.scan.sum

    def sums(self, *, columns: bool = False) -> np.ndarray:
        return self._of_rows(lambda block: block.sum(axis=1), columns)

    def sums_of_squares(self, *, columns: bool = False) -> np.ndarray:
        return self._of_rows(lambda block: np.einsum("ij,ij->i", block, block), columns)

    def _of_rows(self, function: Callable[[np.ndarray], np.ndarray], columns: bool) -> np.ndarray:
        """A function of rows, or columns, of A, block by block in double."""
        # Rows in memory of their own: the order in which numpy adds depends on the layout.
        A = self.array.T if columns else self.array
        step = max(1, _BLOCK_BYTES // (8 * max(1, A.shape[1])))
        blocks = (A[first : first + step].astype(np.float64, order="C") for first in range(0, len(A), step))
        return np.concatenate([np.zeros(0), *map(function, blocks)])

    def sum_of(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(sum(function(block).sum() for block in self._blocks()))

    def sum_of_squares(self) -> float:
        return self.scan.squares

    def has_zeros(self) -> bool:
        return self.scan.zeros > 0

    def in_double(self) -> "Dense":
        return Dense(self.array.astype(np.float64), transposed=self.transposed, scan=self._scan)

    def least(self) -> float:
        return self.scan.least

    def part(self, first: int, end: int) -> "Dense":
        return Dense(self.array[first:end], transposed=self.transposed)

    def product(self, G: np.ndarray, team: Team) -> np.ndarray:
        C = aligned_zeros((self.shape[0], G.shape[1]), self.dtype)
        _core.dense_product(C, self.array, G, team)
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
        _core.dense_pass(F, N, S, report, self.array, G, *step, team)

    def improve_beta(
        self,
        F: np.ndarray,
        N: np.ndarray | None,
        S: np.ndarray | None,
        report: np.ndarray,
        G: np.ndarray,
        step: BetaStep,
        team: Team,
    ) -> None:
        _core.dense_beta_pass(F, N, S, report, self.array, G, *step, team)

    def newton(
        self,
        F: np.ndarray,
        N: np.ndarray | None,
        report: np.ndarray,
        G: np.ndarray,
        step: NewtonStep,
        team: Team,
        *,
        columns: bool = False,
    ) -> None:
        _core.dense_newton(F, N, report, self.array.T if columns else self.array, G, *step, team)

    def divergence(self, F: np.ndarray, G: np.ndarray, beta: float, floors: np.ndarray, team: Team) -> float:
        return float(_core.dense_divergence(self.array, F, G, beta, floors, team))
