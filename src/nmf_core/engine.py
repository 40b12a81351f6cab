"""The engine: what matrices and solvers ask of compiled code. Arrays in, arrays or named numbers out.

`_core` with a workspace of threads is one engine. Any other module with functions of the same names makes another: the
tests run solvers on their slow twins in NumPy.
"""

import contextlib
import math
import mmap
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from nmf_core import _core, rows
from nmf_core.losses import Loss
from nmf_core.threads import make_workspace

_PAGE = 1 << 21  # bytes of a huge page: rows of a factor are read in any order, and each small page costs a look-up

# A step in NumPy: improved rows from rows (n, k), cross = A @ G (n, k), gram = G.T @ G (k, k) and the components to
# update.
RowStep = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


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
    """Zeros (n, ld) for a factor with k columns, padded and aligned for the kernels.

    ld fills a row up to half vectors (32 bytes; 16 for narrow ones), and the first row starts on a cache line.
    """
    itemsize = np.dtype(dtype).itemsize
    step = 16 if k * itemsize <= 32 else 32
    ld = -(-k * itemsize // step) * step // itemsize
    return aligned_zeros((n, ld), dtype)


def padded(F: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A factor array that holds a copy of F (n, k)."""
    array = factor_array(F.shape[0], F.shape[1], dtype)
    array[:, : F.shape[1]] = F
    return array


class Report:
    """What a pass or an update of rows tells, summed over the rows.

    Attributes
    ----------
    numbers : ndarray of shape (REPORT_SIZE,), float64
        What kernels add to.
    squared_step : float
        Squared lengths of the first sweep's steps, each scaled by its curvature: what they change in the model.
    sweeps : int
        The most sweeps that a row has taken.
    unfinished : int
        Rows that have not met their tolerance.
    inner_improved, inner_start, inner_end : float
        Of a quadratic loss, the inner products of ``A @ G`` with the improved rows, with those at the start, and with
        what is there in the end, perhaps extrapolated.
    loss_sum : float
        Of other losses, what the update tells of the divergence.
    """

    __slots__ = ("numbers",)

    def __init__(self) -> None:
        self.numbers = np.zeros(_core.REPORT_SIZE)

    @property
    def squared_step(self) -> float:
        return float(self.numbers[0])

    @property
    def sweeps(self) -> int:
        return int(self.numbers[1])

    @property
    def unfinished(self) -> int:
        return int(self.numbers[2])

    @property
    def inner_improved(self) -> float:
        return float(self.numbers[3])

    @property
    def inner_start(self) -> float:
        return float(self.numbers[4])

    @property
    def inner_end(self) -> float:
        return float(self.numbers[5])

    @property
    def loss_sum(self) -> float:
        return float(self.numbers[3])

    @classmethod
    def of(cls, squared_step: float = 0.0, sweeps: int = 0, unfinished: int = 0, *sums: float) -> Self:
        """A report of these numbers."""
        report = cls()
        report.numbers[:3] = squared_step, sweeps, unfinished
        report.numbers[3 : 3 + len(sums)] = sums
        return report

    def __iadd__(self, other: "Report") -> Self:
        sweeps = max(self.numbers[1], other.numbers[1])
        self.numbers += other.numbers
        self.numbers[1] = sweeps
        return self


class Update(NamedTuple):
    """How the rows of a factor F are improved, the other factor G being fixed.

    Attributes
    ----------
    start : ndarray of shape (n, ld)
        The rows to improve; may be the array that takes the result.
    order : ndarray of int32
        The components to update, in this order.
    scale : ndarray of shape (k,)
        What the components of `previous` are multiplied by; its length is the number of components.
    previous : ndarray of shape (n, ld), optional
        The improved rows of the last time: extrapolation goes to max(0, now + momentum * (now - previous * scale)).
    momentum : float
        How far to extrapolate.
    l1, l2 : float, or l2 ndarray of shape (n,) for Newton steps
        Penalties. For a quadratic loss l2 is part of `gram`.
    max_sweeps : int
        Sweeps over the components of every row; with none, rows stay and only statistics are added.
    tol : float
        A row is done when the length of its sweep has fallen to `tol` times that of its first.
    method : str or callable
        For a quadratic loss, one of `_core.METHODS`, or a step in NumPy (`RowStep`).
    gram : ndarray of shape (k, k), optional
        For a quadratic loss, ``G.T @ G`` plus quadratic penalties.
    matrix : ndarray of shape (k, k), optional
        What the method needs besides, made of `gram`.
    rate : float
        The length of the method's steps, or what its kernel says.
    loss : Loss, optional
        Any other loss.
    sums : ndarray of shape (k,), or (1, ld) or (n, ld) for Newton steps, optional
        Sums of the components of G; for Newton steps what a component adds to the objective by its size: these plus
        the l1 penalty, one row for all or one for each.
    floors : ndarray of shape (n,), optional
        For every row, the least that an entry of its model counts as.
    exponent : float
        The power of the ratio of the gradient's parts in a multiplicative update.
    inner_updates : int
        So many more updates follow each one for which only numerators, what stored entries say, are computed anew.
    den_power : float
        The power of a row's entry by which its denominator grows meanwhile.
    cut : bool
        Whether an entry whose share of its row is next to nothing may become zero in a multiplicative update.
    damped : bool
        Whether Newton steps are cut short so that the divergence is sure to fall.
    measure : bool
        Whether Newton steps tell the divergence of their result.
    lower, upper : ndarray of shape (k,), optional
        Bounds of the components, zero and infinity by default. The l1 penalty applies only to those bounded by zero.
    offset : ndarray of shape (n, k), optional
        Added to ``A @ G``.
    row_weights : ndarray of shape (n,), optional
        What the penalties of every row are multiplied by.
    """

    start: Any
    order: np.ndarray
    scale: np.ndarray
    previous: Any = None
    momentum: float = 0.0
    l1: float = 0.0
    l2: Any = 0.0
    max_sweeps: int = 1
    tol: float = 0.0
    method: Any = "hals"
    gram: np.ndarray | None = None
    matrix: np.ndarray | None = None
    rate: float = 0.0
    loss: Any = None
    sums: np.ndarray | None = None
    floors: Any = None
    exponent: float = 1.0
    inner_updates: int = 0
    den_power: float = 0.0
    cut: bool = True
    damped: bool = False
    measure: bool = False
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    offset: np.ndarray | None = None
    row_weights: Any = None

    @classmethod
    def none(cls, F: np.ndarray, k: int) -> "Update":
        """No update at all: only statistics of F are wanted."""
        gram = np.zeros((k, k), dtype=F.dtype)
        return cls(F, np.empty(0, dtype=np.int32), gram[0], max_sweeps=0, gram=gram)

    @property
    def before(self) -> Any:
        """`previous`, or what stands for it where nothing is extrapolated."""
        return self.start if self.previous is None else self.previous

    @property
    def in_kernels(self) -> bool:
        """Whether the kernels know the method, the loss and the bounds."""
        if self.loss is not None:
            return self.loss.kernel is not None
        return self.upper is None and self.lower is None and self.offset is None and self.method.__class__ is str

    def of_rows(self, rows: slice) -> "Update":
        """The same for some of the rows."""
        parts = {
            name: value[rows]
            for name in ("start", "previous", "floors", "offset", "row_weights")
            if (value := getattr(self, name)) is not None
        }
        if isinstance(self.l2, np.ndarray):
            parts["l2"] = self.l2[rows]
        if self.sums is not None and self.sums.ndim == 2 and len(self.sums) > 1:
            parts["sums"] = self.sums[rows]
        return self._replace(**parts)


class Engine:
    """Verbs for arrays of one precision. Factor arrays are (n, ld), see `factor_array`; results have k columns.

    Parameters
    ----------
    n_threads : int, optional
        Threads; by default all that are available. No result depends on it.
    kernels : module, optional
        What has the functions of `_core`.
    workspace : Workspace, optional
        Threads, scratch memory and instruction set, instead of `n_threads`.
    """

    default: ClassVar["Engine"]  # of one thread

    def __init__(self, n_threads: int | None = None, *, kernels: Any = _core, workspace: Any = None) -> None:
        self.kernels = kernels
        self.workspace = make_workspace(n_threads) if workspace is None else workspace

    @property
    def n_threads(self) -> int:
        """Threads that work."""
        return self.workspace.n_threads

    # --- factors, which may be in pieces elsewhere

    def gram(self, F: Any, k: int) -> np.ndarray:
        """F.T @ F (k, k)."""
        return reduce_rows(F, _gram, k, engine=self)

    def gram_in_double(self, F: Any, k: int) -> np.ndarray:
        """F.T @ F (k, k), summed in double."""
        return reduce_rows(F, _gram_in_double, k, engine=self)

    def sums(self, F: Any, k: int) -> np.ndarray:
        """The sum of every component (k,), in double."""
        return reduce_rows(F, _sums, k, engine=self)

    def multiply(self, F: Any, T: np.ndarray) -> None:
        """F becomes F @ T, in place; columns beyond those of T become zeros. T may have fewer columns than rows."""
        reduce_rows(F, _multiply, T, engine=self)

    def part_squares(self, F: Any, k: int) -> np.ndarray:
        """The squared norms (2, k) of the positive and of the negative parts of the first k columns, in double."""
        return reduce_rows(F, _part_squares, k, engine=self)

    def keep_parts(self, F: Any, factors: np.ndarray, least: float, fill: float) -> None:
        """Multiply the first columns of F, in place; what is below `least` then becomes `fill`."""
        reduce_rows(F, _keep_parts, factors, least, fill, engine=self)

    def top_columns(
        self, F: np.ndarray, G: np.ndarray, k: int, excluded: tuple[np.ndarray, np.ndarray], n: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """For every row of F the n largest entries of ``F @ G.T``.

        But for the columns that are `excluded`: their numbers, row by row, and where those of every row begin and end.
        Returns columns and scores, -1 and minus infinity where there are fewer.
        """
        columns = np.full((len(F), n), -1, dtype=np.int64)
        scores = np.full((len(F), n), -np.inf, dtype=F.dtype)
        self.kernels.top_columns(columns, scores, F, G, k, *excluded, self.workspace)
        return columns, scores

    # --- rows of which all is known that X says

    def improve_rows(
        self,
        F: np.ndarray,
        cross: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        grams: np.ndarray | None = None,
    ) -> Report:
        """Improve rows for a quadratic loss, given ``cross = A @ G`` (n, ld).

        Parameters
        ----------
        F : ndarray of shape (n, ld)
            Takes the result, extrapolated if `F_new` is given. Modified in place.
        cross : ndarray of shape (n, ld)
            ``A @ G``.
        update : Update
            How.
        F_new : ndarray of shape (n, ld), optional
            Takes the improved rows. Modified in place.
        grams : ndarray of shape (k, ld) or (2 k, ld), optional
            Gains ``F.T @ F``, and below it ``F_new.T @ F_new``. Modified in place.
        """
        u, report = update, Report()
        if not u.in_kernels:
            new, squared_step, sweeps, unfinished = rows.improve(u.start, cross, u)
            targets = cross[:, : new.shape[1]]
            improved, start = (float(np.sum(targets * f, dtype=np.float64)) for f in (new, u.start[:, : new.shape[1]]))
            if u.max_sweeps:
                rows.extrapolate(F, F_new, new, u)
            if grams is not None:
                k = new.shape[1]
                for gram, array in zip((grams[:k], grams[k:]), (F, F_new), strict=True):
                    if len(gram) and array is not None:
                        gram[:, :k] += self.gram(array, k)
            end = float(np.sum(targets * F[:, : new.shape[1]], dtype=np.float64))
            return Report.of(squared_step, sweeps, unfinished, improved, start, end)
        self.kernels.factor_pass(F, F_new, grams, report.numbers, cross, *self._how(u), self.workspace)
        return report

    def multiply_rows(
        self,
        F: np.ndarray,
        numerator: np.ndarray,
        denominator: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
    ) -> Report:
        """One multiplicative update, given both parts of the gradient (n, ld); of a linear loss the second has one row.

        The denominator may be modified in place, see `Update.den_power`.
        """
        u, report = update, Report()
        # of this number the kernel only asks whether it is small, where next to nothing becomes zero
        beta = 2.0 if not u.cut else 0.5 if u.loss.kernel is None else u.loss.kernel
        self.kernels.factor_beta_pass(
            F, F_new, report.numbers, numerator, denominator, u.start, u.before, u.scale, u.sums, u.order, u.l1, u.l2,
            u.momentum, beta, u.exponent, u.den_power, self.workspace,
        )  # fmt: skip
        return report

    def pivot(self, Z: np.ndarray, cross: np.ndarray, gram: np.ndarray, rule: str) -> int:
        """Rows z of Z become minimisers of z gram z / 2 - cross z over z >= 0, by a rule of pivoting.

        `gram` has ones on its diagonal, `rule` is one of `_core.PIVOT_RULES`. Z is modified in place: what is positive
        is the first guess. Returns how many rows have not ended.
        """
        rule = self.kernels.PIVOT_RULES[rule]
        return self.kernels.nnls_pivot(Z, cross, gram, rule, 3 * len(gram) + 50, self.workspace)

    def split_rows(self, splits: np.ndarray, indices: np.ndarray, indptr: np.ndarray, bounds: np.ndarray) -> None:
        """Where every row of a CSR matrix reaches each of some columns, in ascending order: into `splits`, in place."""
        self.kernels.csr_split(splits, indices, indptr, bounds, self.workspace)

    # --- passes over stored matrices: `kind` says how, `stored` holds their arrays

    def product(self, kind: str, stored: tuple[Any, ...], n: int, G: np.ndarray) -> np.ndarray:
        """A @ G (n, ld)."""
        C = aligned_zeros((n, G.shape[1]), G.dtype)
        getattr(self.kernels, f"{kind}_product")(C, *stored, G, self.workspace)
        return C

    def pass_quadratic(
        self,
        kind: str,
        stored: tuple[Any, ...],
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        """As `FullMatrix.pass_quadratic`, or `ObservedMatrix.pass_quadratic` where the kind is "observed"."""
        u, report = update, Report()
        if kind == "observed":
            self.kernels.observed_hals(
                F, F_new, report.numbers, *stored, G, u.start, u.before, u.scale, u.lower, u.order, u.l1, u.l2,
                u.row_weights, u.momentum, u.max_sweeps, u.tol, self.workspace,
            )  # fmt: skip
            return report
        getattr(self.kernels, f"{kind}_pass")(F, F_new, S, report.numbers, *stored, G, *self._how(u), self.workspace)
        return report

    def passes_quadratic(
        self, kind: str, stored: tuple[Any, ...], passes: list[tuple[np.ndarray, np.ndarray, Update, Any, Any]]
    ) -> list[Report]:
        """Several such passes over the same matrix as one: each is (F, G, update, F_new, S), with S of zeros.

        All S have one shape, or are None.
        """
        reports = [Report() for _ in passes]
        asked = [
            (F, F_new, S, report.numbers, G, *self._how(update))
            for (F, G, update, F_new, S), report in zip(passes, reports, strict=True)
        ]
        getattr(self.kernels, f"{kind}_passes")(asked, *stored, self.workspace)
        return reports

    def _how(self, u: Update) -> tuple[Any, ...]:
        """An update for a quadratic loss as kernels take it."""
        return (
            u.start, u.before, u.scale, u.gram, u.gram if u.matrix is None else u.matrix, u.order,
            self.kernels.METHODS[u.method], u.l1, u.rate, u.momentum, u.max_sweeps, u.tol,
        )  # fmt: skip

    def pass_gradients(
        self,
        kind: str,
        stored: tuple[Any, ...],
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
        S: np.ndarray | None = None,
    ) -> Report:
        """As `FullMatrix.pass_gradients`, or `ObservedMatrix.pass_gradients` where the kind is "observed"."""
        u, report = update, Report()
        if kind == "observed":
            self.kernels.observed_mu(
                F, F_new, report.numbers, *stored, G, u.start, u.before, u.scale, u.sums, u.order, u.l1, u.l2,
                u.momentum, u.max_sweeps, u.tol, u.loss.kernel, u.exponent, u.floors, u.row_weights, self.workspace,
            )  # fmt: skip
            return report
        getattr(self.kernels, f"{kind}_beta_pass")(
            F, F_new, S, report.numbers, *stored, G, u.start, u.before, u.scale, u.sums, u.order, u.l1, u.l2,
            u.momentum, u.max_sweeps, u.tol, u.loss.kernel, u.exponent, u.floors, u.inner_updates, u.den_power,
            self.workspace,
        )  # fmt: skip
        return report

    def pass_newton(
        self,
        kind: str,
        stored: tuple[Any, ...],
        F: np.ndarray,
        G: np.ndarray,
        update: Update,
        F_new: np.ndarray | None = None,
    ) -> Report:
        """As `Matrix.pass_newton`."""
        u, report = update, Report()
        getattr(self.kernels, f"{kind}_newton")(
            F, F_new, report.numbers, *stored, G, u.start, u.before, u.scale, u.sums, u.order, u.l2, u.momentum,
            u.max_sweeps, u.tol, u.floors, u.damped, u.measure, self.workspace,
        )  # fmt: skip
        return report

    def divergence(
        self, kind: str, stored: tuple[Any, ...], F: np.ndarray, G: np.ndarray, loss: Loss, floors: np.ndarray
    ) -> float:
        """As `Matrix.divergence`; of the kind "csr" only what stored entries change in that of a model alone."""
        kernel = getattr(self.kernels, f"{kind}_divergence")
        return float(kernel(*stored, F, G, loss.kernel, floors, self.workspace))


Engine.default = Engine(1)


def gauge(last: np.ndarray, now: np.ndarray, order: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What components (k,) are multiplied by so that scales compare, given the other factor's squared sizes.

    Those of the last time and of now; ones for components that are not in `order`.
    """
    scale = np.ones(len(now), dtype=dtype)
    _core.gauge(scale, last, now, order)
    return scale


def unbalanced(sizes: np.ndarray, others: np.ndarray, share: float, limit: float, order: np.ndarray) -> bool:
    """Whether squared sizes of a component in `order` differ, but for `share`, by more than the factor `limit`."""
    return _core.unbalanced(sizes, others, share, limit, order)


def reduce_rows(F: Any, function: Callable[..., Any], *arguments: Any, engine: Engine | None = None) -> Any:
    """function(F, *arguments, engine), where F lives: what it returns of pieces of F is added up."""
    if isinstance(F, np.ndarray):
        return function(F, *arguments, engine)
    return F.over(function, *arguments)


def _gram(F: np.ndarray, k: int, engine: Engine) -> np.ndarray:
    array = np.zeros((k, F.shape[1]), dtype=F.dtype)
    engine.improve_rows(F, F, Update.none(F, k), grams=array)
    return array[:, :k]


def _gram_in_double(F: np.ndarray, k: int, engine: Engine) -> np.ndarray:
    gram = np.zeros((k, F.shape[1]))
    engine.kernels.factor_gram(gram, F, engine.workspace)
    return gram[:, :k]


def _sums(F: np.ndarray, k: int, engine: Engine) -> np.ndarray:
    sums = np.zeros(k)
    engine.kernels.factor_sums(sums, F, engine.workspace)
    return sums


def _multiply(F: np.ndarray, T: np.ndarray, engine: Engine) -> None:
    G = np.zeros((len(T), F.shape[1]), dtype=F.dtype)
    G[:, : T.shape[1]] = T
    engine.kernels.factor_product(F, G, engine.workspace)


def _part_squares(F: np.ndarray, k: int, engine: Engine) -> np.ndarray:
    squares = np.zeros((2, k))
    engine.kernels.part_squares(squares, F, engine.workspace)
    return squares


def _keep_parts(F: np.ndarray, factors: np.ndarray, least: float, fill: float, engine: Engine) -> None:
    engine.kernels.keep_parts(F, factors, least, fill, engine.workspace)
