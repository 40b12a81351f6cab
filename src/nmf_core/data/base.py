"""The container protocol: everything a fit asks of X."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, ClassVar

import numpy as np

from nmf_core.engine import Engine, Report, Update, aligned_zeros, factor_array
from nmf_core.losses import Loss
from nmf_core.rows import extrapolate, multiply


def single_holds(squares: float | np.ndarray) -> bool:
    """Whether data or factors with such sums of squares can be computed with in float32."""
    squares = np.asarray(squares)
    return bool(((squares == 0) | (squares > 1e-20) & (squares < 1e20)).all())


class Matrix(ABC):
    """A matrix that is visited by blocks of its rows.

    The *blocked* matrix, called A in the formulas here, is X, or X.T if `transposed`: then the blocks are columns of
    X, and whatever is said of samples holds for features.

    Attributes
    ----------
    shape : tuple of int
        (n, m) of the blocked matrix.
    transposed : bool
        Whether the blocked matrix is X.T.
    dtype : dtype
        float32 or float64, of the data and of every factor that meets it.
    n_stored : int
        Stored entries.
    engine : Engine
        What it computes with.
    may_be_single : bool
        Whether there may be the same matrix in float32, see `FullMatrix.in_single`.
    resident : bool
        Of the class: whether all of A is at hand, so that its columns can be visited, too, and any rows at any time.
    local : bool
        Of the class: whether factors of A's rows are arrays here, not somewhere else.
    """

    shape: tuple[int, int]
    transposed: bool
    dtype: np.dtype
    n_stored: int
    engine: Engine = Engine.default
    may_be_single: bool = False
    resident: ClassVar[bool] = True
    local: ClassVar[bool] = True
    _squared_norm: float | None = None

    @abstractmethod
    def sum(self) -> float:
        """The sum of all entries, in double."""

    @abstractmethod
    def sums(self, *, columns: bool = False) -> np.ndarray:
        """The sum of every row, or column, of A, in double."""

    @abstractmethod
    def sums_of_squares(self, *, columns: bool = False) -> np.ndarray:
        """The sum of the squares in every row, or column, of A, in double."""

    def amounts(self, *, columns: bool = False) -> np.ndarray:
        """How many entries count in every row, or column, of A, in double."""
        return np.full(self.shape[1 if columns else 0], float(self.shape[0 if columns else 1]))

    def means(self, *, columns: bool = False) -> np.ndarray:
        """The mean of every row, or column, of A, in double; zero where nothing counts."""
        amounts = self.amounts(columns=columns)
        return np.divide(self.sums(columns=columns), amounts, out=np.zeros_like(amounts), where=amounts > 0)

    def mean(self) -> float:
        """The mean of the entries that count, in double."""
        return self.sum() / float(self.amounts().sum())

    def level(self) -> float:
        """About how large entries are: what those of the model should be at the start."""
        return self.mean()

    def squared_norm(self) -> float:
        """||X||_F^2, in double; X is read for it once."""
        if self._squared_norm is None:
            self._squared_norm = self.sum_of_squares()
        return self._squared_norm

    @abstractmethod
    def sum_of(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        """The sum of a function of the stored entries, in double."""

    @abstractmethod
    def sum_of_squares(self) -> float:
        """The sum of the squares of all entries, in double: what `squared_norm` keeps."""

    @abstractmethod
    def has_zeros(self) -> bool:
        """Whether some entry that counts is zero."""

    @abstractmethod
    def least(self) -> float:
        """The smallest entry above zero; infinite where there is none."""

    def small(self) -> float:
        """A number that is small beside all entries, but not beside the rounding of their mean: of one digit."""
        least, mean = self.least(), self.mean()
        value = max(least / 10, float(np.finfo(self.dtype).eps) * mean) if least < math.inf else 1e-6
        return float(f"{value:.0e}")

    def empty_factor(self, k: int) -> Any:
        """Zeros (n, ld) for a factor of A's rows with k columns, where such factors live."""
        return factor_array(self.shape[0], k, self.dtype)

    def to_user(self, F: Any, k: int) -> Any:
        """The first k columns of a factor of A's rows, as users get it."""
        return F[:, :k].copy()

    def map_rows(
        self, function: Callable[[np.ndarray], np.ndarray], mean: float | None = None, columns: bool = False
    ) -> Any:
        """A function of the mean of every row, or column, or of one that all are taken to have, where rows live."""
        n = self.shape[1 if columns else 0]
        return function(self.means(columns=columns) if mean is None else np.full(n, mean))

    def pass_newton(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        """Rows, or columns, of A are gone through to improve F for the Kullback-Leibler divergence.

        Parameters
        ----------
        F : ndarray of shape (n, ld), or (m, ld) for columns
            Factor array; takes the result, extrapolated if `F_new` is given. Modified in place.
        G : ndarray of shape (m, ld), or (n, ld) for columns
            Factor array of the other side.
        update : Update
            How rows are improved.
        F_new : ndarray like F, optional
            Takes the improved rows. Modified in place.
        columns : bool
            Whether F belongs to the columns of A.

        Returns
        -------
        Report
            With `update.measure`, `loss_sum` is the sum of x (log(x / y) - 1) over the stored entries.
        """
        raise NotImplementedError

    @abstractmethod
    def model_sums(self, G: np.ndarray, k: int, *, columns: bool = False) -> np.ndarray:
        """What a unit of every component adds to the model of a row, or column, in double.

        The sums of G's first k columns over the entries that count: of shape (1, k) where these are the same for all
        rows, otherwise (n, k), or (m, k) for columns.
        """

    @abstractmethod
    def divergence(self, F: np.ndarray, G: np.ndarray, loss: Loss, floors: np.ndarray) -> float:
        """The loss of A and ``F @ G.T``, summed in double, for factor arrays F (n, ld) and G (m, ld).

        Entries of a row's model below its number in `floors` (n,) count as so large. ``F @ G.T`` is never there whole.
        """


class FullMatrix(Matrix):
    """A matrix of which every entry is known and counts the same, so that sums over rows serve all columns.

    One of one's own says its `shape`, `dtype`, `n_stored` and `blocks`, and is not `transposed`: everything else
    follows from the blocks, in NumPy. Its own `product` and `transposed_product` make fits of the Frobenius loss fast.
    """

    transposed = False

    def __init_subclass__(cls) -> None:
        # One that has no parts can only be gone through.
        if "resident" not in vars(cls) and cls.part is FullMatrix.part:
            cls.resident = False

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of rows of A, one after the other: which rows, and an array of these."""
        raise NotImplementedError(f"{type(self).__name__} has no `blocks`")

    def sum(self) -> float:
        return self.sum_of(np.asarray)

    def sums(self, *, columns: bool = False) -> np.ndarray:
        return self._sums_of(np.asarray, columns)

    def sums_of_squares(self, *, columns: bool = False) -> np.ndarray:
        return self._sums_of(np.square, columns)

    def sum_of(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(sum(function(A.astype(np.float64, copy=False)).sum() for _, A in self.blocks()))

    def _sums_of(self, function: Callable[[np.ndarray], np.ndarray], columns: bool) -> np.ndarray:
        sums = np.zeros(self.shape[1 if columns else 0])
        for here, A in self.blocks():
            sums[slice(None) if columns else here] += function(A).sum(axis=0 if columns else 1, dtype=np.float64)
        return sums

    def sum_of_squares(self) -> float:
        return self.sum_of(np.square)

    def has_zeros(self) -> bool:
        return not all(A.all() for _, A in self.blocks())

    def least(self) -> float:
        return min((float(A.min(where=A > 0, initial=np.inf)) for _, A in self.blocks()), default=math.inf)

    def in_double(self) -> "FullMatrix":
        """The same matrix in float64."""
        double = copy(self)
        double.dtype = np.dtype(np.float64)
        return double

    def in_single(self) -> "FullMatrix | None":
        """The same matrix in float32, or None where that saves nothing, cannot hold it or takes as much room again."""
        return None

    def part(self, first: int, end: int) -> "FullMatrix":
        """So many rows of A, sharing memory."""
        raise NotImplementedError(f"{type(self).__name__} has no `part`")

    def product(self, G: np.ndarray) -> Any:
        """A @ G (n, ld) for a factor array G (m, ld)."""
        C = self.empty_factor(G.shape[1])
        for here, A in self.blocks():
            C[here, : G.shape[1]] = A @ G
        return C

    def transposed_product(self, F: Any) -> np.ndarray:
        """A.T @ F (m, ld) for a factor array F (n, ld)."""
        S = aligned_zeros((self.shape[1], F.shape[1]), self.dtype)
        for here, A in self.blocks():
            S += A.T @ F[here]
        return S

    def normal_product(self, G: np.ndarray) -> np.ndarray:
        """A.T @ (A @ G) (m, ld) for a factor array G (m, ld)."""
        return self.transposed_product(self.product(G))

    def pass_quadratic(
        self,
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        """One pass: rows are improved for F @ G.T ~ A, perhaps extrapolated, and their statistics added to S.

        Parameters
        ----------
        F : ndarray of shape (n, ld)
            Factor array of the blocked side; takes the result, extrapolated if `F_new` is given. Modified in place.
        G : ndarray of shape (m, ld)
            Factor array of the other side.
        update : Update
            How rows are improved.
        F_new : ndarray of shape (n, ld), optional
            Takes the improved rows. Modified in place.
        S : ndarray of shape (m, ld), (m + k, ld) or (m + 2 k, ld), optional
            Statistics: ``A.T @ F`` is added to the first m rows, ``F.T @ F`` to the next k, ``F_new.T @ F_new`` to the
            last k if there are more; with m rows only the first is wanted. Modified in place.

        Returns
        -------
        Report

        Notes
        -----
        By default two products, with the rows improved between them; a matrix that is not stored needs no more.
        """
        m = len(G)
        cross = self.product(G) if update.max_sweeps else F
        report = self.engine.improve_rows(F, cross, update, F_new, None if S is None or len(S) == m else S[m:])
        if S is not None:
            S[:m] += self.transposed_product(F)
        return report

    def pass_gradients(
        self,
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        """One pass for another loss: rows are improved, perhaps extrapolated, and their statistics added to S.

        Parameters
        ----------
        F, G, update, F_new
            As in `pass_quadratic`.
        S : ndarray of shape (2 m, ld), or (m + 1, ld) for a linear loss, optional
            Statistics: for every column the sums of f times the first part of the gradient are added to the first m
            rows, those of f times the second part to the others, of which a linear loss needs one for all. With m rows
            only the first is wanted. Modified in place.

        Returns
        -------
        Report
            Its `loss_sum` is the divergence at the start, up to a constant of X.

        Notes
        -----
        By default block by block in NumPy, with the functions of the loss.
        """
        report = Report()
        for here, A in self.blocks():
            into = None if F_new is None else F_new[here]
            report += _multiply(A.astype(np.float64, copy=False), F[here], G, update.of_rows(here), into, S)
        return report

    def divergence(self, F: np.ndarray, G: np.ndarray, loss: Loss, floors: np.ndarray) -> float:
        return float(
            sum(loss.value(A, _model(F[here], G, floors[here])).sum(dtype=np.float64) for here, A in self.blocks())
        )

    def model_sums(self, G: np.ndarray, k: int, *, columns: bool = False) -> np.ndarray:
        return self.engine.sums(G, k)[np.newaxis]


class Visited(FullMatrix):
    """A complete matrix that is gone through by passes of kernels.

    Attributes
    ----------
    kind : str
        Of the class: how the names of its kernels begin.
    """

    kind: ClassVar[str]
    resident = True
    batch: Any = None  # the `Batch` whose passes these are, if several fits visit the matrix together

    def stored_for(self, G: np.ndarray, statistics: bool) -> tuple[np.ndarray, ...]:
        """The arrays of A that a pass beside a factor array G wants, with statistics or without."""
        raise NotImplementedError

    def stored_for_several(self, G: np.ndarray) -> tuple[np.ndarray, ...]:
        """The arrays of A that several passes at once want, beside factor arrays of the shape of G."""
        raise NotImplementedError

    def pass_quadratic(
        self,
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        if not update.in_kernels:
            return super().pass_quadratic(F, G, update, F_new, S)
        if self.batch is not None:
            return self.batch.ask(self, (F, G, update, F_new, S))
        return self.engine.pass_quadratic(self.kind, self.stored_for(G, S is not None), F, G, update, F_new, S)

    def pass_gradients(
        self,
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        if not update.in_kernels:
            return super().pass_gradients(F, G, update, F_new, S)
        return self.engine.pass_gradients(self.kind, self.stored_for(G, S is not None), F, G, update, F_new, S)

    def transposed_product(self, F: np.ndarray) -> np.ndarray:
        S = aligned_zeros((self.shape[1], F.shape[1]), self.dtype)
        self.add_product(F, S)
        return S

    def add_product(self, F: np.ndarray, S: np.ndarray) -> None:
        """S (m, ld) gains A.T @ F for a factor array F (n, ld). Modified in place."""
        self.pass_quadratic(F, S, Update.none(F, F.shape[1]), S=S)


def _model(F: np.ndarray, G: np.ndarray, floors: np.ndarray) -> np.ndarray:
    """F @ G.T in double, entries at least as large as the row's floor."""
    return np.maximum(
        F.astype(np.float64) @ G.T.astype(np.float64), np.asarray(floors, dtype=np.float64)[:, np.newaxis]
    )


def _multiply(
    A: np.ndarray, F: np.ndarray, G: np.ndarray, u: Update, F_new: np.ndarray | None, S: np.ndarray | None
) -> Report:
    """Multiplicative updates of a block of rows for a loss that is given by its functions, and their statistics."""
    k, m = len(u.scale), len(G)
    assert u.loss is not None
    wide = G[:, :k].astype(np.float64)
    f, report = u.start[:, :k].astype(np.float64), Report()
    for sweep in range(u.max_sweeps):
        y = _model(f, wide, u.floors)
        if sweep == 0:
            report.numbers[3] = float(u.loss.value(A, y).sum())
        numerator, denominator = u.loss.gradient_parts(A, y)
        f, length = multiply(f, numerator @ wide, denominator @ wide, u)
        if sweep == 0:
            report.numbers[:2] = length, 1
        if length <= u.tol**2 * report.squared_step:
            break
        report.numbers[1] = sweep + 1
    if u.max_sweeps:
        report.numbers[2] = 0.0 if length <= u.tol**2 * report.squared_step else len(f)
        extrapolate(F, F_new, f, u)
    if S is not None:
        f = F[:, :k].astype(np.float64)
        y = _model(f, wide, u.floors)
        if u.max_sweeps == 0:
            report.numbers[3] = float(u.loss.value(A, y).sum())
        numerator, denominator = u.loss.gradient_parts(A, y)
        S[:m, :k] += numerator.T @ f
        if len(S) > m:
            S[m:, :k] += f.sum(axis=0, keepdims=True) if u.loss.linear else denominator.T @ f
    return report


class ObservedMatrix(Matrix):
    """A matrix of which some entries are known, each perhaps with a weight; the others do not count.

    Attributes
    ----------
    data : ndarray of shape (n_stored,)
        The known entries.
    weights : ndarray of shape (n_stored,) or None
        How much each of them counts; None if all count once.
    """

    data: np.ndarray
    weights: np.ndarray | None

    @abstractmethod
    def counts(self, *, columns: bool = False) -> np.ndarray:
        """How many entries are known in every row, or column, of A."""

    @abstractmethod
    def row(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places, values and weights of what is known in a row of A."""

    @abstractmethod
    def shifted(self, offset: float) -> "ObservedMatrix":
        """The same entries less a number, of any sign."""

    @abstractmethod
    def pass_quadratic(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        """Improve F by coordinate descent, every row by its own Gram matrix; arguments as in `pass_newton`.

        The report's `loss_sum` is the sum of w (x - y)^2.
        """

    @abstractmethod
    def pass_gradients(
        self, F: np.ndarray, G: np.ndarray, update: Update, F_new: np.ndarray | None = None, *, columns: bool = False
    ) -> Report:
        """Improve F by multiplicative updates; arguments as in `pass_newton`. The report has no `loss_sum`."""
