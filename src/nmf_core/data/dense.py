"""Dense arrays, in memory or mapped into it."""

from collections.abc import Callable, Iterator

import numpy as np

from nmf_core.data.base import Visited
from nmf_core.engine import Engine, Report, Update
from nmf_core.losses import Loss
from nmf_core.validation import Scan, look_at

_BLOCK_BYTES = 1 << 22


class Dense(Visited):
    """A strided array, read in place as long as its rows are contiguous.

    Parameters
    ----------
    A : ndarray of shape (n, m), float32 or float64
        The blocked matrix; may be read-only or a memory map. An array whose rows are not contiguous is copied.
    transposed : bool
        Whether A is X.T.
    by_columns : bool
        Whether contiguous columns do as well: kernels for beta-divergences take both.
    engine : Engine, optional
        What it computes with.
    scan : Scan, optional
        What is known of its entries.
    """

    kind = "dense"

    def __init__(
        self,
        A: np.ndarray,
        *,
        transposed: bool = False,
        by_columns: bool = False,
        engine: Engine = Engine.default,
        scan: Scan | None = None,
    ) -> None:
        self.engine = engine
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
        for _, block in self.blocks():
            yield block.astype(np.float64, copy=False)

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
        return Dense(self.array.astype(np.float64), transposed=self.transposed, engine=self.engine, scan=self._scan)

    def least(self) -> float:
        return self.scan.least

    def part(self, first: int, end: int) -> "Dense":
        return Dense(self.array[first:end], transposed=self.transposed, engine=self.engine)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        n, m = self.shape
        step = max(1, _BLOCK_BYTES // (8 * m))
        for first in range(0, n, step):
            yield slice(first, first + step), self.array[first : first + step]

    def product(self, G: np.ndarray) -> np.ndarray:
        return self.engine.product("dense", (self.array,), self.shape[0], G)

    def stored_for(self, G: np.ndarray, statistics: bool) -> tuple[np.ndarray, ...]:
        return (self.array,)

    def stored_for_several(self, G: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.array,)

    def pass_newton(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        return self.engine.pass_newton("dense", (self.array.T if columns else self.array,), F, G, update, F_new)

    def divergence(self, F: np.ndarray, G: np.ndarray, loss: Loss, floors: np.ndarray) -> float:
        if loss.kernel is None:
            return super().divergence(F, G, loss, floors)
        return self.engine.divergence("dense", (self.array,), F, G, loss, floors)
