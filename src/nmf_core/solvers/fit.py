"""The state of a fit, and what an iteration does to it, for whatever loss."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nmf_core import _core
from nmf_core.data import Step, factor_array, over_rows
from nmf_core.penalties import Penalty
from nmf_core.problem import Problem

MAX_SWEEPS = 8
SMALL = 100_000
# What the objective may rise by without being called a failure, as a share of its largest part: its rounding.
ROUNDING = {"float32": 3e-8, "float64": 1e-15}
SWEEP_TOL = 0.1  # a row is done for this pass when its step has fallen to this share of its first
# The mean entry of a component may be so many times larger in one factor than in the other, as a power of two. Nothing
# bounds the ratio where a component explains next to nothing: one half vanishes, the other makes up for it.
IMBALANCE = 16
MOST_SWEEPS = 2**31 - 1  # that a kernel can be asked for


class WarmUp(NamedTuple):
    """How acceleration sets in. Going far too early ends in other local minima than plain descent, often worse ones.

    Attributes
    ----------
    iterations : int
        So many come first, with one sweep each and without extrapolation.
    a_sweep : int
        Iterations after which a pass has one more sweep.
    """

    iterations: int
    a_sweep: int

    def sweeps(self, iteration: int) -> int:
        """How many a pass after so many iterations may have."""
        return 1 + max(0, iteration - self.iterations) // self.a_sweep


SLOW, QUICK = WarmUp(10, 3), WarmUp(5, 1)


class Method(NamedTuple):
    """A step of the kernels for a quadratic loss.

    Attributes
    ----------
    name : str
        Which one of `_core.METHODS`.
    sweeps : int
        Steps a pass at most, fewer once they have fallen to `SWEEP_TOL` of the first.
    prepare : callable, optional
        What it needs, made of the Gram matrix (k, k) and the order of the components: a matrix (k, k) and a rate. By
        default the Gram matrix itself.
    """

    name: str
    sweeps: int = 1
    prepare: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]] | None = None

    @property
    def number(self) -> int:
        return _core.METHODS[self.name]

    def prepared(self, gram: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, float]:
        """What the step needs; nothing useful of a Gram matrix that has overflowed, which the loop finds."""
        if self.prepare is None:
            return gram, 0.0
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return self.prepare(gram, order)
        except np.linalg.LinAlgError:
            return np.zeros_like(gram), 0.0


class Side:
    """One factor and what belongs to it.

    Attributes
    ----------
    F : ndarray of shape (n, ld)
        Factor array from which the next step starts.
    order : ndarray of int32
        The components to update, in this order; the others are held fixed.
    penalty : Penalty
        Its penalty.
    plain : ndarray of shape (n, ld)
        With acceleration the factor before it was extrapolated to F, otherwise F.
    spare : ndarray of shape (n, ld)
        With acceleration room for what the next step must not overwrite, otherwise F.
    partner_sizes : ndarray of shape (k,)
        Squared sizes of the other factor's components when this one was last improved; zeros before.
    gram, sums : ndarray of shape (k, k) and (k,), or None
        ``F.T @ F`` and the sums of F's columns, of a factor that never changes and for which they are known.
    amounts : ndarray of shape (n,)
        What the penalties of F's rows are multiplied by.
    """

    def __init__(
        self,
        F: np.ndarray,
        k: int,
        order: np.ndarray,
        penalty: Penalty,
        gram: np.ndarray | None = None,
        sums: np.ndarray | None = None,
    ) -> None:
        self.F = F
        self.order = order
        self.penalty = penalty
        self.plain = F
        self.spare = F
        self.partner_sizes = np.zeros(k)
        self.gram = gram
        self.sums = sums

    @cached_property
    def amounts(self) -> np.ndarray:
        """What the penalties of F's rows are multiplied by."""
        return self.penalty.amounts_of(len(self.F), self.F.dtype)

    def rescale(self, sizes: np.ndarray, beta: float) -> np.ndarray:
        """What its components (k,) are to be multiplied by before extrapolation by beta, so that scales compare.

        The scale of a component can move between W and H at no cost. An extrapolation that follows this motion
        overshoots, W and H answer each other, and the scale grows without bound: so the motion is taken out. `sizes`
        are the squared sizes of the other factor's components now; they are kept for the next time.
        """
        last, self.partner_sizes = self.partner_sizes, sizes
        scale = np.ones(len(sizes), dtype=self.F.dtype)
        if beta:  # components that are held fixed keep their scale
            _core.gauge(scale, last, sizes, self.order)
        return scale


class Momentum:
    """How far to extrapolate: a little farther after every success, less far after a failure.

    References
    ----------
    A. M. S. Ang and N. Gillis (2019), "Accelerating nonnegative matrix factorization algorithms using extrapolation",
    doi:10.1162/neco_a_01157.
    """

    GROWTH, LIMIT_GROWTH, DECAY = 1.06, 1.01, 2.0

    def __init__(self) -> None:
        self.beta = 0.0  # of the next iteration; the first has nothing to extrapolate from
        self.next = 0.5
        self.limit = 1.0

    def succeed(self) -> None:
        """The last iteration lowered the objective."""
        if self.beta:
            self.next = min(self.limit, self.GROWTH * self.beta)
            self.limit = min(1.0, self.LIMIT_GROWTH * self.limit)
        self.beta = self.next

    def fail(self) -> None:
        """It did not: the next one is plain, those after it more careful."""
        self.limit = self.beta
        self.next = self.beta / self.DECAY
        self.beta = 0.0


class NoMomentum(Momentum):
    """No extrapolation at all."""

    def succeed(self) -> None:
        pass

    def fail(self) -> None:
        pass


class Fit(ABC):
    """The state of a fit, as rules and callbacks see it. How a factor is improved, a kind of fit knows.

    Attributes
    ----------
    iteration : int
        Iterations done; the first is 1.
    seconds : float
        Since the start of the fit.
    objective, violation, residual : float
        After this iteration. The violation is the length of the steps of the iteration's first sweep over W and H, each
        measured by its own curvature: what it changes in W @ H, relative to X (the root of `mass`). The step of a
        coordinate is its projected gradient divided by its curvature, and at most the way to the bound. So it is zero
        exactly where the Karush-Kuhn-Tucker conditions hold, continuous, and unchanged when X is scaled or a
        component's scale moves between W and H.
    divergence : float
        The objective without penalties.
    initial : float
        The objective at the start, NaN where it is not known.
    objectives : list of float
        All of them so far.
    W, H : ndarray
        Read-only views of the current factors, (n_samples, k) and (k, n_features).
    guarded : bool
        Whether an iteration may have to be taken back even without acceleration.
    careful : bool
        Whether steps are cut short so that the objective is sure to fall: in the iteration after one without
        extrapolation that has raised it, and is taken back.
    warm_up : WarmUp
        How acceleration sets in.
    size_power : int
        Of the class: sizes of components are sums of squares (1) or squared sums (2).
    limits : pair of float
        What sizes of W are divided by to compare them with those of H, and by what factor they may differ.
    movable : ndarray of int32
        Components whose scale may move between W and H: those that are updated in both, if there is no penalty.
    """

    guarded = False
    careful = False
    warm_up = SLOW
    size_power: ClassVar[int] = 2
    # Numbers, lists and arrays that an iteration leaves to the next one, but for those of sides and momentum.
    KEPT: ClassVar[tuple[str, ...]] = ("iteration", "divergence", "initial", "objectives", "violations", "times")

    def __init__(
        self, problem: Problem, W: Side, Ht: Side, k: int, method: Method, team: _core.Team, start: float
    ) -> None:
        self.problem = problem
        self.data: Any = problem.data  # of the class that this kind of fit can handle
        self.sides = W, Ht
        self.blocked, self.other = (Ht, W) if self.data.transposed else (W, Ht)
        self.k = k
        self.method = method
        self.team = team
        self.start = start
        self.report = np.zeros(_core.REPORT_SIZE)
        self.momentum: Momentum | None = None
        self.sweeps = dict.fromkeys(self.sides, min(method.sweeps, MOST_SWEEPS))
        self.movable = Ht.order
        if any(side.penalty.l1 or side.penalty.l2 for side in self.sides):
            self.movable = self.movable[:0]
        elif len(W.order) < k:
            self.movable = np.intersect1d(W.order, Ht.order)
        self.limits = (len(W.F) / len(Ht.F)) ** self.size_power, 2.0 ** (2 * IMBALANCE)
        self.iteration = 0
        self.seconds = 0.0
        self.divergence = math.nan
        self.initial = math.nan
        self.objectives: list[float] = []
        self.violations: list[float] = []
        self.times: list[float] = []

    @property
    def objective(self) -> float:
        return self.objectives[-1]

    @property
    def violation(self) -> float:
        return self.violations[-1]

    @property
    def residual(self) -> float:
        divergence = max(self.divergence, self.noise)
        return math.sqrt(2 * divergence / self.mass) if self.mass else 0.0

    @property
    def W(self) -> np.ndarray:
        return _read_only(self.current[0][:, : self.k - self.problem.n_extra])

    @property
    def H(self) -> np.ndarray:
        return _read_only(self.current[1][:, : self.k - self.problem.n_extra].T)

    @property
    def current(self) -> tuple[np.ndarray, np.ndarray]:
        """The factor arrays to which the last objective belongs."""
        W, Ht = self.sides
        return W.F, Ht.plain

    def sums(self, side: Side) -> np.ndarray:
        """The sums of a factor's components (k,), in double."""
        return component_sums(side.F, self.k, self.team) if side.sums is None else side.sums

    @property
    def precise(self) -> bool:
        """Whether the divergence has all digits of the precision of X, because it is not what large numbers leave."""
        return False

    @property
    def daring(self) -> bool:
        """Whether the steps of an iteration that is not careful may raise the objective even without extrapolation."""
        return False

    @property
    @abstractmethod
    def noise(self) -> float:
        """What the objective may rise by because of rounding."""

    @property
    @abstractmethod
    def mass(self) -> float:
        """The scale of the divergence, see `Beta.mass`."""

    @abstractmethod
    def iterate(self) -> None:
        """Improve W, then H, each once."""

    @abstractmethod
    def iterate_accelerated(self) -> None:
        """Do the same and extrapolate both; if that has raised the objective, the pair becomes the last one again."""

    @abstractmethod
    def improve_rows(self, max_sweeps: int, tol: float) -> None:
        """Improve W alone, every row until its step has fallen to `tol` of its first."""

    @abstractmethod
    def measure(self, extrapolated: bool) -> tuple[float, float]:
        """Divergence and violation after an iteration; `extrapolated` says whether H has been."""

    def prepare(self) -> None:  # noqa: B027
        """Do what must be done before the first iteration."""

    def restore_precision(self) -> bool:
        """Go on in the precision of X if it has been lowered for a while; whether it had."""
        return False

    @property
    def finite(self) -> bool:
        """Whether the last iteration has ended with finite numbers."""
        return self.objectives[-1] < math.inf and self.violations[-1] < math.inf

    def unbalanced(self, side: Side, sizes: np.ndarray) -> bool:
        """Balance the components before H is improved, if squared sizes (k,) of W are much larger or smaller than its.

        Whatever has been computed from the factors is outdated if they were. Of W nothing is to be feared: what H has
        become too large for is small.
        """
        W, Ht = self.sides
        return side is Ht and _core.unbalanced(sizes, W.partner_sizes, *self.limits, self.movable) and self.balance()

    def balance(self) -> bool:
        """Move scale between the halves of components of which one is much larger than the other; whether some were.

        By powers of two, so that W @ H stays what it is.
        """
        if len(self.movable) == 0:
            return False
        with np.errstate(divide="ignore", invalid="ignore"):
            W, Ht = (np.log2(component_sums(side.F, self.k, self.team) / len(side.F)) for side in self.sides)
            shift = np.rint((Ht - W) / 2)
        moved = np.zeros(self.k, dtype=bool)
        moved[self.movable] = True
        moved &= np.isfinite(shift) & (2 * np.abs(shift) > IMBALANCE)
        if not moved.any():
            return False
        scale = np.exp2(np.where(moved, shift, 0.0))
        self.multiply(scale, 1 / scale)
        return True

    def multiply(self, *scales: np.ndarray) -> None:
        """Multiply the components of W and of H (k,), with all that belongs to them."""
        for side, partner, scale in zip(self.sides, self.sides[::-1], scales, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):  # they are a hint only
                partner.partner_sizes = partner.partner_sizes * scale**2
            row = np.ones(side.F.shape[1], dtype=self.data.dtype)
            row[: self.k] = scale
            for array in {id(array): array for array in (side.F, side.plain, side.spare)}.values():
                array *= row

    def silence(self) -> bool:
        """Put zeros for the components that are not finite, in both factors; whether there were any."""
        sums = [component_sums(F, self.k, self.team) for F in self.current]
        lost = ~np.isfinite(sums).all(axis=0)
        if lost.any():
            for F in self.current:
                F[:, : self.k] = np.where(lost, 0, F[:, : self.k])
        return bool(lost.any())

    def room(self, side: Side) -> np.ndarray:
        """Zeros for a factor, where such factors live."""
        return self.data.room(self.k) if side is self.blocked else factor_array(len(side.F), self.k, self.data.dtype)

    def accelerate(self, momentum: Momentum) -> None:
        """Take several sweeps a pass, extrapolate and take back what has failed from now on."""
        self.momentum = momentum
        for side in self.sides:
            side.plain, side.spare = self.room(side), self.room(side)
            side.plain[:] = side.F

    def cast(self) -> None:
        """Hold the factors in the precision of `data`."""
        for side in self.sides:
            copies: dict[int, np.ndarray] = {}  # arrays that are one remain one
            for name in ("F", "plain", "spare"):
                array = getattr(side, name)
                if id(array) not in copies:
                    copies[id(array)] = self.room(side)
                    copies[id(array)][:, : self.k] = array[:, : self.k]
                setattr(side, name, copies[id(array)])

    def state(self) -> dict[str, Any]:
        """All that an iteration leaves to the next one: numbers, lists of numbers and arrays by name."""
        state = {name: getattr(self, name) for name in self.KEPT}
        for name, side in zip(("W", "H"), self.sides, strict=True):
            state |= {f"{name} F": side.F, f"{name} sizes": side.partner_sizes, f"{name} order": side.order}
            if self.momentum is not None:
                state[f"{name} plain"] = side.plain
        if self.momentum is not None:
            state["momentum"] = [self.momentum.beta, self.momentum.next, self.momentum.limit]
        return state

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state instead of the start. Arrays are copied into those that are there."""
        for name in self.KEPT:
            if isinstance(getattr(self, name), np.ndarray):
                getattr(self, name)[:] = state[name]
            else:
                setattr(self, name, state[name])
        for name, side in zip(("W", "H"), self.sides, strict=True):
            side.F[:] = state[f"{name} F"]
            side.partner_sizes, side.order = state[f"{name} sizes"], state[f"{name} order"]
            if self.momentum is not None:
                side.plain[:] = state[f"{name} plain"]
        if self.momentum is not None:
            self.momentum.beta, self.momentum.next, self.momentum.limit = state["momentum"]
        self.start = time.perf_counter() - self.times[-1]

    def succeeded(self, divergence: float) -> bool:
        """Whether the iteration that was recorded last is kept; if not, the objective becomes the last one again.

        A rise within rounding is no failure while the violation falls. `divergence` is that before the iteration.
        """
        momentum = self.momentum
        assert momentum is not None
        before = self.objectives[-2] if len(self.objectives) > 1 else math.inf
        rise = self.objectives[-1] - before if self.finite else math.inf
        self.careful = self.daring and not momentum.beta and not self.careful and rise > self.noise
        if self.careful:
            self.objectives[-1], self.divergence = before, divergence
            return False
        kept = not momentum.beta and (self.finite or before == math.inf)
        if kept or rise <= 0 or (rise <= self.noise and self.violations[-1] <= self.violations[-2]):
            self.objectives[-1] = min(self.objectives[-1], before)
            if self.iteration >= self.warm_up.iterations:
                momentum.succeed()
            return True
        momentum.fail()
        self.objectives[-1], self.divergence = before, divergence
        return False

    def iterate_fixed(self, max_iter: int, tol: float, measure: bool) -> None:
        """With H fixed every row of W is a problem of its own: sweep each until it is done, with one pass over X.

        With `measure` the result is recorded.
        """
        self.improve_rows(min(max_iter, MOST_SWEEPS), tol)
        if measure:
            self.record(False)
        self.iteration = int(self.report[1])

    def record(self, extrapolated: bool) -> None:
        """Write down where the fit stands; `extrapolated` says whether H has been."""
        divergence, violation = self.measure(extrapolated)
        # that of an exact fit may come out below zero by rounding; NaN is neither
        self.divergence = divergence if divergence > 0 else 0.0 if divergence <= 0 else math.inf
        self.iteration += 1
        self.seconds = time.perf_counter() - self.start
        self.times.append(self.seconds)
        self.objectives.append(self.divergence + self.problem.penalties(*self.current))
        self.violations.append(violation if violation >= 0 else math.inf)


class AlternatingFit(Fit):
    """A fit in which either factor can be improved by itself at any time."""

    @abstractmethod
    def improve(
        self,
        side: Side,
        to: np.ndarray,
        plain: np.ndarray | None = None,
        before: np.ndarray | None = None,
        beta: float = 0.0,
        max_sweeps: int = 1,
        tol: float = 0.0,
    ) -> None:
        """Improve one factor.

        Parameters
        ----------
        side : Side
            Which one.
        to : ndarray of shape (n, ld)
            Takes the new factor, extrapolated if `plain` is given. May be the old one. Modified in place.
        plain : ndarray of shape (n, ld), optional
            Takes the new factor before extrapolation. Modified in place.
        before : ndarray of shape (n, ld), optional
            What `plain` was the last time. May be `plain`.
        beta : float
            How far to extrapolate: to max(0, plain + beta * (plain - before)), with `before` in the gauge of `plain`.
        max_sweeps : int
            Sweeps over every row, fewer where `tol` is met.
        tol : float
            A row is done when its step has fallen to `tol` of its first.
        """

    def improve_rows(self, max_sweeps: int, tol: float) -> None:
        W = self.sides[0]
        self.improve(W, W.F, max_sweeps=max_sweeps, tol=tol)

    def undone(self) -> None:
        """Bring what belongs to the factors up to date after both have become those of the last iteration again."""

    def iterate(self) -> None:
        """Improve W, then H, each once."""
        self.report[:] = 0
        for side in self.sides:
            self.report[3:] = 0
            self.improve(side, side.F, max_sweeps=self.sweeps[side], tol=SWEEP_TOL)
        self.record(False)

    def iterate_accelerated(self) -> None:
        """Improve W and extrapolate it, then H; keep both if that has lowered the objective.

        The objective is that of the extrapolated W with H before extrapolation, a feasible pair whose numbers are
        there anyway. After a failure the pair kept is the last one, and the next iteration is plain.
        """
        W, Ht = self.sides
        momentum = self.momentum
        assert momentum is not None
        beta, divergence = momentum.beta, self.divergence
        sweeps = [min(self.sweeps[side], self.warm_up.sweeps(self.iteration)) for side in self.sides]
        self.report[:] = 0
        self.improve(W, W.spare, W.plain, W.plain, beta, sweeps[0], SWEEP_TOL)
        W.F, W.spare = W.spare, W.F
        self.report[3:] = 0
        self.improve(Ht, Ht.F, Ht.spare, Ht.plain, beta, sweeps[1], SWEEP_TOL)
        Ht.plain, Ht.spare = Ht.spare, Ht.plain
        self.record(bool(beta))
        if self.succeeded(divergence):
            return
        W.F, W.spare = W.spare, W.F
        Ht.plain, Ht.spare = Ht.spare, Ht.plain
        Ht.F[:] = Ht.plain
        self.undone()


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def gram(F: np.ndarray, k: int, team: _core.Team) -> np.ndarray:
    """F.T @ F (k, k) for a factor array."""
    return over_rows(F, _gram, k, team=team)


def _gram(F: np.ndarray, k: int, team: _core.Team) -> np.ndarray:
    array = np.zeros((k, F.shape[1]), dtype=F.dtype)
    _core.factor_pass(F, None, array, np.zeros(_core.REPORT_SIZE), F, *Step.none(F, k), team)
    return array[:, :k]


def component_sums(F: np.ndarray, k: int, team: _core.Team) -> np.ndarray:
    """The sum of every component (k,) of a factor array, in double."""
    return over_rows(F, _component_sums, k, team=team)


def _component_sums(F: np.ndarray, k: int, team: _core.Team) -> np.ndarray:
    sums = np.zeros(k)
    _core.factor_sums(sums, F, team)
    return sums
