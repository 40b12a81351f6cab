"""The container protocol: everything a fit asks of X."""

import contextlib
import math
import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nmf_core import _core
from nmf_core._core import Team

_PAGE = 1 << 21  # bytes of a huge page: rows of a factor are read in any order, and each small page costs a look-up


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that start on a cache line, in huge pages as far as they fill some; large ones leave no hole behind."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    huge = (size + _PAGE // 2) // _PAGE * _PAGE
    if huge == 0 or not hasattr(mmap, "MADV_HUGEPAGE"):
        buffer = np.zeros(size + 64, dtype=np.uint8)
        start = -buffer.ctypes.data % 64
    else:
        # What is never touched takes no memory.
        try:
            pages = mmap.mmap(-1, size + 2 * _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"no room for an array of {size} bytes") from error
        buffer = np.frombuffer(pages, dtype=np.uint8)
        start = -buffer.ctypes.data % _PAGE
        with contextlib.suppress(OSError):  # a kernel may have been built without
            pages.madvise(mmap.MADV_HUGEPAGE, start, huge)
    return buffer[start : start + size].view(dtype).reshape(shape)


def factor_array(n: int, k: int, dtype: np.dtype) -> np.ndarray:
    """Zeros (n, ld) for a factor with k columns, in the form that the kernels like.

    ld fills a row up to half vectors (32 bytes; 16 for narrow ones), and the first row starts on a cache line.
    """
    itemsize = np.dtype(dtype).itemsize
    step = 16 if k * itemsize <= 32 else 32
    ld = -(-k * itemsize // step) * step // itemsize
    return aligned_zeros((n, ld), dtype)


def single_holds(squares: float | np.ndarray) -> bool:
    """Whether data or factors with such sums of squares can be computed with in float32."""
    squares = np.asarray(squares)
    return bool(((squares == 0) | (squares > 1e-20) & (squares < 1e20)).all())


def over_rows(F: Any, function: Callable[..., Any], *arguments: Any, team: Team | None = None) -> Any:
    """function(F, *arguments, team), where F lives: what it returns of pieces of F is added up."""
    if isinstance(F, np.ndarray):
        return function(F, *arguments, team)
    return F.over(function, *arguments)


def gram_in_double(F: np.ndarray, k: int, team: Team) -> np.ndarray:
    """F.T @ F (k, k) of the first k columns of a factor array, in double."""
    gram = np.zeros((k, F.shape[1]))
    _core.factor_gram(gram, F, team)
    return gram[:, :k]


class Step(NamedTuple):
    """How the rows of a factor are improved: what the kernels want to know, in their order.

    Attributes
    ----------
    start : ndarray of shape (n, ld)
        The rows to improve; may be the array that takes the result.
    before : ndarray of shape (n, ld)
        The improved rows of the last time: extrapolation goes to max(0, now + beta * (now - before * scale)).
    scale : ndarray of shape (k,)
        What the components of `before` are multiplied by.
    gram : ndarray of shape (k, k)
        ``G.T @ G`` of the fixed factor, plus the l2 penalty on its diagonal.
    matrix : ndarray of shape (k, k)
        What the method needs besides, made of `gram`; any for methods that need nothing.
    order : ndarray of int32
        The components to update, in this order.
    method : int
        One of `_core.METHODS`.
    l1 : float
        The l1 penalty.
    rate : float
        The length of the method's steps, or what its kernel says.
    beta : float
        How far to extrapolate.
    max_sweeps : int
        Sweeps over the components of every row; with none, rows stay and only statistics are added.
    tol : float
        A row is done when the length of its sweep has fallen to `tol` times that of its first.
    """

    start: np.ndarray
    before: np.ndarray
    scale: np.ndarray
    gram: np.ndarray
    matrix: np.ndarray
    order: np.ndarray
    method: int = 0
    l1: float = 0.0
    rate: float = 0.0
    beta: float = 0.0
    max_sweeps: int = 1
    tol: float = 0.0

    def of_rows(self, rows: slice) -> "Step":
        """The same for some of the rows."""
        return self._replace(start=self.start[rows], before=self.before[rows])

    @classmethod
    def none(cls, F: np.ndarray, k: int) -> "Step":
        """No step at all: only statistics of F are wanted."""
        gram = np.zeros((k, k), dtype=F.dtype)
        return cls(F, F, gram[0], gram, gram, np.empty(0, dtype=np.int32), max_sweeps=0)


class ObservedStep(NamedTuple):
    """How rows with missing entries are improved by coordinate descent: what the kernel wants to know, in its order.

    Attributes
    ----------
    start, before, scale, order, l1, beta, max_sweeps, tol
        As in `Step`.
    lower : ndarray of shape (k,)
        Bounds of the components: zero, or minus infinity, to which the l1 penalty does not apply.
    l2 : float
        The l2 penalty.
    amounts : ndarray of shape (n,)
        What the penalties of every row are multiplied by.
    """

    start: np.ndarray
    before: np.ndarray
    scale: np.ndarray
    lower: np.ndarray
    order: np.ndarray
    l1: float
    l2: float
    amounts: np.ndarray
    beta: float
    max_sweeps: int
    tol: float


class NewtonStep(NamedTuple):
    """How rows are improved for the Kullback-Leibler divergence: what its kernels want to know, in their order.

    Attributes
    ----------
    start, before, scale, order, beta, max_sweeps, tol
        As in `Step`.
    sums : ndarray of shape (1, ld) or (n, ld)
        What a component adds to the divergence by its size: the sum of its other factor, plus the l1 penalty; one row
        for all or one for each.
    l2 : ndarray of shape (n,)
        The l2 penalties.
    floors : ndarray of shape (n,)
        For every row, the least that an entry of its model counts as.
    careful : bool
        Whether steps are cut short so that the divergence is sure to fall.
    measure : bool
        Whether the divergence of the result is wanted.
    """

    start: np.ndarray
    before: np.ndarray
    scale: np.ndarray
    sums: np.ndarray
    order: np.ndarray
    l2: np.ndarray
    beta: float
    max_sweeps: int
    tol: float
    floors: np.ndarray
    careful: bool
    measure: bool

    def of_rows(self, rows: slice) -> "NewtonStep":
        """The same for some of the rows."""
        sums = self.sums if len(self.sums) == 1 else self.sums[rows]
        start, before, l2, floors = (array[rows] for array in (self.start, self.before, self.l2, self.floors))
        return self._replace(start=start, before=before, sums=sums, l2=l2, floors=floors)


class BetaStep(NamedTuple):
    """How multiplicative updates improve rows for a beta-divergence: what the kernels want to know, in their order.

    Attributes
    ----------
    start, before, scale, order, l1, beta, max_sweeps, tol
        As in `Step`.
    sums : ndarray of shape (k,)
        Sums of the components of the other factor.
    l2 : float
        The l2 penalty.
    loss_beta : float
        Which divergence.
    exponent : float
        The power of the ratio of the gradient's halves.
    floors : ndarray of shape (n,)
        For every row, the least that an entry of its model counts as.
    turns : int
        So many more updates follow each one for which only numerators, what stored entries say, are computed anew.
    bend : float
        The power of a row's entry by which its denominator grows meanwhile. With beta - 1 that is at least as much as
        it could, so that the divergence falls.
    """

    start: np.ndarray
    before: np.ndarray
    scale: np.ndarray
    sums: np.ndarray
    order: np.ndarray
    l1: float
    l2: float
    beta: float
    max_sweeps: int
    tol: float
    loss_beta: float
    exponent: float
    floors: np.ndarray
    turns: int = 0
    bend: float = 0.0

    def of_rows(self, rows: slice) -> "BetaStep":
        """The same for some of the rows."""
        return self._replace(start=self.start[rows], before=self.before[rows], floors=self.floors[rows])


class Container(ABC):
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
    resident : bool
        Of the class: whether all of A is at hand, so that its columns can be visited, too, and any rows at any time.
    local : bool
        Of the class: whether factors of A's rows are arrays here, not somewhere else.
    """

    shape: tuple[int, int]
    transposed: bool
    dtype: np.dtype
    n_stored: int
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

    def room(self, k: int) -> np.ndarray:
        """Zeros (n, ld) for a factor of A's rows with k columns, where such factors live."""
        return factor_array(self.shape[0], k, self.dtype)

    def output(self, F: np.ndarray, k: int) -> Any:
        """The first k columns of a factor of A's rows, as users get it."""
        return F[:, :k].copy()

    def per_row(
        self, function: Callable[[np.ndarray], np.ndarray], mean: float | None = None, columns: bool = False
    ) -> np.ndarray:
        """A function of the mean of every row, or column, or of one that all are taken to have, where rows live."""
        n = self.shape[1 if columns else 0]
        return function(self.means(columns=columns) if mean is None else np.full(n, mean))

    @abstractmethod
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
        """Rows, or columns, of A are gone through to improve F for the Kullback-Leibler divergence.

        Parameters
        ----------
        F : ndarray of shape (n, ld), or (m, ld) for columns
            Factor array, the result. Modified in place.
        N : ndarray like F, or None
            Takes the improved rows; F is then extrapolated from them. Modified in place.
        report : ndarray of shape (REPORT_SIZE,), float64
            Gains what `improve` adds, but in place of the first inner product, with `step.measure`, the sum of
            x (log(x / y) - 1) over the stored entries, and no others. Modified in place.
        G : ndarray of shape (m, ld), or (n, ld) for columns
            Factor array of the other side.
        step : NewtonStep
            How rows are improved.
        team : Team
            Who works.
        columns : bool
            Whether F belongs to the columns of A.
        """

    @abstractmethod
    def model_sums(self, G: np.ndarray, k: int, team: Team, *, columns: bool = False) -> np.ndarray:
        """What a unit of every component adds to the model of a row, or column, in double.

        The sums of G's first k columns over the entries that count: of shape (1, k) where these are the same for all
        rows, otherwise (n, k), or (m, k) for columns.
        """

    @abstractmethod
    def divergence(self, F: np.ndarray, G: np.ndarray, beta: float, floors: np.ndarray, team: Team) -> float:
        """The beta-divergence of A and ``F @ G.T``, in double, for factor arrays F (n, ld) and G (m, ld).

        Entries of a row's model below its number in `floors` (n,) count as so large. ``F @ G.T`` is never there whole.
        """


class Complete(Container):
    """A matrix of which every entry is known and counts the same, so that sums over rows serve all columns."""

    @abstractmethod
    def in_double(self) -> "Complete":
        """The same matrix in float64."""

    def in_single(self) -> "Complete | None":
        """The same matrix in float32, or None where that saves nothing, cannot hold it or takes as much room again."""
        return None

    @abstractmethod
    def part(self, first: int, end: int) -> "Complete":
        """So many rows of A, sharing memory."""

    @abstractmethod
    def product(self, G: np.ndarray, team: Team) -> np.ndarray:
        """A @ G (n, ld) for a factor array G (m, ld)."""

    @abstractmethod
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
        """One pass: rows are improved for F @ G.T ~ A, perhaps extrapolated, and their statistics added to S.

        Parameters
        ----------
        F : ndarray of shape (n, ld)
            Factor array of the blocked side, the result. Modified in place.
        N : ndarray of shape (n, ld) or None
            Takes the improved rows; F is then extrapolated from them. Modified in place.
        S : ndarray of shape (m, ld), (m + k, ld) or (m + 2 k, ld), or None
            Statistics: ``A.T @ F`` is added to the first m rows, ``F.T @ F`` to the next k, ``N.T @ N`` to the last k
            if there are more; with m rows only the first is wanted. Modified in place.
        report : ndarray of shape (REPORT_SIZE,), float64
            Gains the sum of squared scaled steps of the first sweep, the most sweeps used (as a maximum), the rows
            that have not met the tolerance, and the inner products of ``A @ G`` with the improved rows, with those of
            `step.start`, and with F in the end. Modified in place.
        G : ndarray of shape (m, ld)
            Factor array of the other side.
        step : Step
            How rows are improved.
        team : Team
            Who works.
        """

    @abstractmethod
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
        """One pass for a beta-divergence: rows are improved, perhaps extrapolated, and their statistics added to S.

        Parameters
        ----------
        F, N, G, team
            As in `improve`.
        S : ndarray of shape (2 m, ld), or (m + 1, ld) for the Kullback-Leibler divergence, or None
            Statistics: the sums of ``x y^(beta - 2) f`` and of ``y^(beta - 1) f`` for every column are added to the
            first m and the other rows; of the latter, Kullback-Leibler needs one for all. Modified in place.
        report : ndarray of shape (REPORT_SIZE,), float64
            Gains what `improve` adds, but in place of the first inner product the divergence of `step.start`, up to a
            constant of X, and no others. Modified in place.
        step : BetaStep
            How rows are improved.
        """

    def model_sums(self, G: np.ndarray, k: int, team: Team, *, columns: bool = False) -> np.ndarray:
        sums = np.zeros((1, k))
        _core.factor_sums(sums[0], G, team)
        return sums

    def transposed_product(self, F: np.ndarray, team: Team) -> np.ndarray:
        """A.T @ F (m, ld) for a factor array F (n, ld)."""
        S = aligned_zeros((self.shape[1], F.shape[1]), self.dtype)
        self.add_product(F, S, team)
        return S

    def add_product(self, F: np.ndarray, S: np.ndarray, team: Team) -> None:
        """S (m, ld) gains A.T @ F for a factor array F (n, ld). Modified in place."""
        self.improve(F, None, S, np.zeros(_core.REPORT_SIZE), S, Step.none(F, F.shape[1]), team)

    def normal_product(self, G: np.ndarray, team: Team) -> np.ndarray:
        """A.T @ (A @ G) (m, ld) for a factor array G (m, ld)."""
        return self.transposed_product(self.product(G, team), team)


class Partial(Container):
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
    def shifted(self, offset: float) -> "Partial":
        """The same entries less a number, of any sign."""

    @abstractmethod
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
        """Improve F by coordinate descent, every row by its own Gram matrix; arguments as in `newton`.

        The last number of the report gains the sum of w (x - y)^2.
        """

    @abstractmethod
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
        """Improve F by multiplicative updates; arguments as in `newton`, and the amounts of `ObservedStep`.

        The report gains nothing in its last number.
        """
