"""Dense arrays, in memory or mapped into it."""

from collections.abc import Iterator

import numpy as np

from nmf_core import _core
from nmf_core._core import Team
from nmf_core.data.base import Container, Step, aligned_zeros

_BLOCK_BYTES = 1 << 22


class Dense(Container):
    """A strided array, read in place as long as its rows are contiguous.

    Parameters
    ----------
    A : ndarray of shape (n, m), float32 or float64
        The blocked matrix; may be read-only or a memory map. An array whose rows are not contiguous is copied.
    transposed : bool
        Whether A is X.T.
    """

    def __init__(self, A: np.ndarray, *, transposed: bool = False) -> None:
        readable = A.strides[1] == A.itemsize and A.strides[0] % A.itemsize == 0 and A.strides[0] >= 0
        self.array = np.asarray(A) if readable and A.flags.aligned else np.ascontiguousarray(A)
        self.shape = (A.shape[0], A.shape[1])
        self.transposed = transposed
        self.dtype = A.dtype
        self.n_stored = A.size

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Blocks of rows in double, small enough for the cache."""
        n, m = self.shape
        step = max(1, _BLOCK_BYTES // (8 * m))
        for first in range(0, n, step):
            yield first, self.array[first : first + step].astype(np.float64, copy=False)

    def sum(self) -> float:
        return float(self.array.sum(dtype=np.float64))

    def row_means(self) -> np.ndarray:
        return self.array.mean(axis=1, dtype=np.float64)

    def sum_of_squares(self) -> float:
        return float(sum(np.einsum("ij,ij->", block, block) for _, block in self._blocks()))

    def in_double(self) -> "Dense":
        return Dense(self.array.astype(np.float64), transposed=self.transposed)

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

    def squared_residual(self, F: np.ndarray, G: np.ndarray, team: Team) -> float:
        Gt = np.ascontiguousarray(G.T, dtype=np.float64)
        total = 0.0
        for first, block in self._blocks():
            residual = F[first : first + len(block)].astype(np.float64) @ Gt
            residual -= block
            total += np.einsum("ij,ij->", residual, residual)
        return float(total)
