"""Blocks of rows that are not all in memory at once."""

import math
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmf_core.data.base import FullMatrix, Visited
from nmf_core.data.blocks import RowBlocks
from nmf_core.data.dense import Dense
from nmf_core.data.sparse import Sparse
from nmf_core.engine import Engine, Report, Update, aligned_zeros, factor_array
from nmf_core.losses import Loss
from nmf_core.validation import check_resident, is_sparse


class Summary(NamedTuple):
    """What one pass tells of X: sums in double, stored entries, whether some are zero, and the smallest above it."""

    sum: float
    squares: float
    n_stored: int
    zeros: bool
    least: float


class Chunked(Visited):
    """A matrix of which one block of rows after the other is visited; a pass reads it once.

    Parameters
    ----------
    source : RowBlocks
        The blocks.
    folder : path, optional
        Where files are made for factors of A's rows, which are mapped into memory then; they vanish with the process.
    engine : Engine, optional
        What it computes with.
    """

    resident = False

    def __init__(self, source: RowBlocks, folder: Path | None = None, *, engine: Engine = Engine.default) -> None:
        self.engine = engine
        self.source = source
        self.folder = folder
        self.shape = source.shape[::-1] if source.transposed else source.shape
        self.transposed = source.transposed
        self.dtype = source.dtype
        self._sums: dict[tuple[str, bool], np.ndarray] = {}

    def parts(self) -> Iterator[tuple[slice, Dense | Sparse]]:
        """Which rows, and the container of them."""
        first = 0
        for block in self.source:
            rows = slice(first, first + block.shape[0])
            yield rows, Sparse(block, engine=self.engine) if is_sparse(block) else Dense(block, engine=self.engine)
            first = rows.stop

    @cached_property
    def summary(self) -> Summary:
        total = squares = 0.0
        stored, zeros, least = 0, False, math.inf
        for block, scan in self.source.scanned():
            part = Sparse(block, scan=scan) if is_sparse(block) else Dense(block, scan=scan)
            total += part.sum()
            squares += part.sum_of_squares()
            stored += part.n_stored
            zeros = zeros or part.has_zeros()
            least = min(least, part.least())
        return Summary(total, squares, stored, zeros, least)

    @property
    def n_stored(self) -> int:  # type: ignore[override]
        """Stored entries."""
        return self.summary.n_stored

    def sum(self) -> float:
        return self.summary.sum

    def sum_of_squares(self) -> float:
        return self.summary.squares

    def has_zeros(self) -> bool:
        return self.summary.zeros

    def least(self) -> float:
        return self.summary.least

    def sum_of(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(sum(part.sum_of(function) for _, part in self.parts()))

    def sums(self, *, columns: bool = False) -> np.ndarray:
        return self._of_rows("sums", columns)

    def sums_of_squares(self, *, columns: bool = False) -> np.ndarray:
        return self._of_rows("sums_of_squares", columns)

    def _of_rows(self, method: str, columns: bool) -> np.ndarray:
        if (method, columns) not in self._sums:
            sums = np.zeros(self.shape[1 if columns else 0])
            for rows, part in self.parts():
                sums[slice(None) if columns else rows] += getattr(part, method)(columns=columns)
            self._sums[method, columns] = sums
        return self._sums[method, columns]

    def in_double(self) -> Dense:
        A = np.empty(self.shape)
        for rows, part in self.parts():
            A[rows] = part.array if isinstance(part, Dense) else part.csr().toarray()
        return Dense(A, transposed=self.transposed, engine=self.engine)

    def part(self, first: int, end: int) -> FullMatrix:
        check_resident(False, "Visiting rows in any order")
        raise AssertionError

    def empty_factor(self, k: int) -> np.ndarray:
        if self.folder is None:
            return super().empty_factor(k)
        shape = self.shape[0], factor_array(1, k, self.dtype).shape[1]
        with tempfile.TemporaryFile(dir=self.folder) as file:
            return np.asarray(np.memmap(file, self.dtype, "w+", shape=shape))

    def to_user(self, F: Any, k: int) -> Any:
        return self.source.wrap(super().to_user(F, k))

    def product(self, G: np.ndarray) -> np.ndarray:
        C = self.empty_factor(G.shape[1])
        for rows, part in self.parts():
            C[rows] = part.product(G)
        return C

    def normal_product(self, G: np.ndarray) -> np.ndarray:
        S = aligned_zeros(G.shape, self.dtype)
        for _, part in self.parts():
            part.add_product(part.product(G), S)
        return S

    def pass_quadratic(
        self,
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        return self._go_through("pass_quadratic", F, G, update, F_new, S=S)

    def pass_gradients(
        self,
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        return self._go_through("pass_gradients", F, G, update, F_new, S=S)

    def pass_newton(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        check_resident(not columns, "Coordinate descent for the columns of X")
        return self._go_through("pass_newton", F, G, update, F_new)

    def _go_through(
        self, verb: str, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None, **more: Any
    ) -> Report:
        """Improve the rows of every block by the same verb of its container."""
        report = Report()
        for rows, part in self.parts():
            into = None if F_new is None else F_new[rows]
            report += getattr(part, verb)(F[rows], G, update.of_rows(rows), into, **more)
        return report

    def divergence(self, F: np.ndarray, G: np.ndarray, loss: Loss, floors: np.ndarray) -> float:
        return float(sum(part.divergence(F[rows], G, loss, floors[rows]) for rows, part in self.parts()))
