"""The state of a fit: all that an iteration leaves to the next one."""

import math
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from nmf_core.engine import Report, factor_array, gauge
from nmf_core.factors import Factor
from nmf_core.problem import Problem

# What the objective may rise by without being called a failure, as a share of its largest part: its rounding.
ROUNDING = {"float32": 3e-8, "float64": 1e-15}
# A row is done for this pass when its step has fallen to this share of its first.
SWEEP_TOL = 0.1
# The mean entry of a component may be so many times larger in one factor than in the other, as a power of two. Nothing
# bounds the ratio where a component explains next to nothing: one half vanishes, the other makes up for it.
IMBALANCE = 16


class WarmUp(NamedTuple):
    """How acceleration sets in. Going far too early ends in other local minima than plain descent, often worse ones.

    Attributes
    ----------
    iterations : int
        So many come first, with one sweep each and without extrapolation.
    iterations_per_sweep : int
        Iterations after which a pass has one more sweep.
    """

    iterations: int
    iterations_per_sweep: int

    def sweeps(self, iteration: int) -> int:
        """How many a pass after so many iterations may have."""
        return 1 + max(0, iteration - self.iterations) // self.iterations_per_sweep


LATE, EARLY = WarmUp(10, 3), WarmUp(5, 1)


class Momentum:
    """How far to extrapolate: a little farther after every success, less far after a failure.

    Parameters
    ----------
    off : bool
        Whether there is no extrapolation at all.

    References
    ----------
    A. M. S. Ang and N. Gillis (2019), "Accelerating nonnegative matrix factorization algorithms using extrapolation",
    doi:10.1162/neco_a_01157.
    """

    GROWTH, LIMIT_GROWTH, DECAY = 1.06, 1.01, 2.0

    def __init__(self, off: bool = False) -> None:
        self.off = off
        self.value = 0.0  # of the next iteration; the first has nothing to extrapolate from
        self.next = 0.5
        self.limit = 1.0

    def succeed(self) -> None:
        """The last iteration lowered the objective."""
        if self.off:
            return
        if self.value:
            self.next = min(self.limit, self.GROWTH * self.value)
            self.limit = min(1.0, self.LIMIT_GROWTH * self.limit)
        self.value = self.next

    def fail(self) -> None:
        """It did not: the next one is plain, those after it more careful."""
        if self.off:
            return
        self.limit = self.value
        self.next = self.value / self.DECAY
        self.value = 0.0


class Turn(NamedTuple):
    """How a factor is to be improved once.

    Attributes
    ----------
    F : ndarray of shape (n, ld)
        Takes the result.
    F_new : ndarray of shape (n, ld), or None
        If the result is extrapolated, takes the improved rows.
    previous : ndarray of shape (n, ld), or None
        What those were the last time.
    momentum : float
        How far to extrapolate: to max(0, F_new + momentum * (F_new - previous)), in the scale of this time.
    max_sweeps : int
        Sweeps over every row, fewer where `tol` is met.
    tol : float
        A row is done when its step has fallen to `tol` of its first.
    """

    F: np.ndarray
    F_new: np.ndarray | None
    previous: np.ndarray | None
    momentum: float
    max_sweeps: int
    tol: float


class FactorState:
    """One factor during a fit.

    Attributes
    ----------
    F : ndarray of shape (n, ld)
        Factor array from which the next update starts.
    F_new : ndarray of shape (n, ld)
        With acceleration the factor before it was extrapolated to F, otherwise F.
    spare : ndarray of shape (n, ld)
        With acceleration room for what the next update must not overwrite, otherwise F.
    factor : Factor
        What it may be and what it prefers.
    order : ndarray of int32
        The components to update, in this order; the others are held fixed.
    max_sweeps : int
        Sweeps a pass may have.
    partner_sizes : ndarray of shape (k,)
        Squared sizes of the other factor's components when this one was last improved; zeros before.
    gram : ndarray of shape (k, k), or None
        ``F.T @ F``, where it is kept up to date, or F never changes.
    sums : ndarray of shape (k,), or None
        The sums of F's columns, where F never changes and they are known.
    lower, upper : ndarray of shape (k,), or None
        Bounds.
    """

    def __init__(self, F: np.ndarray, k: int, factor: Factor, gram: Any = None, sums: Any = None) -> None:
        self.F = self.F_new = self.spare = F
        self.factor = factor
        self.order = factor.order(k)
        self.max_sweeps = 1
        self.partner_sizes = np.zeros(k)
        self._ones = np.ones(k, dtype=F.dtype)
        self.gram = gram
        self.sums = sums
        self.lower, self.upper = factor.bounds(k, F.dtype)

    @cached_property
    def row_weights(self) -> np.ndarray:
        """What the penalties of F's rows are multiplied by."""
        return self.factor.weights_of(len(self.F), self.F.dtype)

    def rescale(self, sizes: np.ndarray, momentum: float) -> np.ndarray:
        """What its components (k,) are to be multiplied by before extrapolation, so that scales compare.

        The scale of a component can move between W and H at no cost. An extrapolation that follows this motion
        overshoots, W and H answer each other, and the scale grows without bound: so the motion is taken out. `sizes`
        are the squared sizes of the other factor's components now; they are kept for the next time.
        """
        last, self.partner_sizes = self.partner_sizes, sizes
        if not momentum:
            if self._ones.dtype != self.F.dtype:
                self._ones = self._ones.astype(self.F.dtype)
            return self._ones
        return gauge(last, sizes, self.order, self.F.dtype)  # components that are held fixed keep their scale

    def arrays(self) -> list[np.ndarray]:
        """Its arrays, each once."""
        return list({id(array): array for array in (self.F, self.F_new, self.spare)}.values())


class State:
    """A fit after an iteration, as solvers, rules and callbacks see it.

    Attributes
    ----------
    w, h : FactorState
        W, and the transpose of H.
    blocked, other : FactorState
        The same two: the one whose rows are those of the blocked matrix, and the other one.
    k : int
        Components, with those of biases.
    W, H : ndarray
        Read-only views of the current factors, (n_samples, k) and (k, n_features), without biases.
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
    objectives, violations, times : list of float
        All of them so far.
    mass : float
        The scale of the divergence, see `Loss.mass`.
    noise : float
        What the objective may rise by because of rounding.
    exact : bool
        Whether the divergence has all digits of the precision of X, because it is not what large numbers leave.
    squared_step : float
        What the reports of this iteration's updates say, see `Report`.
    momentum : Momentum or None
        With acceleration, how far to extrapolate.
    of_extrapolated_H : bool
        Whether the objective is that of the extrapolated H, not of H before extrapolation.
    warm_up : WarmUp
        How acceleration sets in.
    damped : bool
        Whether steps are cut short so that the objective is sure to fall: in the iteration after one without
        extrapolation that has raised it, and is taken back.
    S : ndarray or None
        Statistics of the blocked factor, from which the other one is improved.
    inner, model : float
        For a quadratic loss of a complete X, ``<X, W @ H>`` and ``||W @ H||^2`` of the current factors.
    extra : dict
        Numbers and arrays of a solver of its own kind.
    stop_reason, converged
        How the fit has ended.
    """

    def __init__(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> None:
        self.problem = problem
        self.w, self.h = w, h
        self.blocked, self.other = (h, w) if problem.data.transposed else (w, h)
        self.k = len(w.partner_sizes)
        self.began = began
        self.iteration = 0
        self.seconds = 0.0
        self.divergence = self.initial = math.nan
        self.objectives: list[float] = []
        self.violations: list[float] = []
        self.times: list[float] = []
        self.exact = False
        self.squared_step = self.loss_sum = 0.0
        self.momentum: Momentum | None = None
        self.of_extrapolated_H = False
        self.warm_up = LATE
        self.damped = False
        self.S: Any = None
        self.gram_array: Any = None
        self.new_gram: Any = None
        self.inner, self.model = 0.0, math.nan
        self.extra: dict[str, Any] = {}
        self.stop_reason = ""
        self.converged = False
        # components whose scale may move between W and H: those that are updated in both, if nothing else is said
        self.movable = h.order
        if not all(one.factor.keeps_scale for one in self.factors):
            self.movable = self.movable[:0]
        elif len(w.order) < self.k:
            self.movable = np.intersect1d(w.order, h.order)

    @property
    def factors(self) -> tuple[FactorState, FactorState]:
        """Both factors."""
        return self.w, self.h

    @property
    def current(self) -> tuple[np.ndarray, np.ndarray]:
        """The factor arrays to which the last objective belongs."""
        return self.w.F, self.h.F if self.of_extrapolated_H else self.h.F_new

    @property
    def rows_only(self) -> bool:
        """Whether all of H is fixed."""
        return len(self.h.order) == 0

    @property
    def objective(self) -> float:
        return self.objectives[-1]

    @property
    def violation(self) -> float:
        return self.violations[-1]

    @cached_property
    def mass(self) -> float:
        """For which X may have to be read."""
        return self.problem.loss.mass(self.problem.data)

    @property
    def noise(self) -> float:
        """Rounding of the largest number in the objective: of ||X||^2, which is known in double, and the model's."""
        rounding = ROUNDING[self.w.F.dtype.name]
        if math.isnan(self.model):
            return rounding * self.mass
        return rounding * self.model + ROUNDING["float64"] * self.mass

    @property
    def residual(self) -> float:
        return math.sqrt(2 * max(self.divergence, self.noise) / self.mass) if self.mass else 0.0

    @property
    def W(self) -> np.ndarray:
        return _read_only(self.current[0][:, : self.k - self.problem.n_extra])

    @property
    def H(self) -> np.ndarray:
        return _read_only(self.current[1][:, : self.k - self.problem.n_extra].T)

    @property
    def finite(self) -> bool:
        """Whether the last iteration has ended with finite numbers."""
        return self.objectives[-1] < math.inf and self.violations[-1] < math.inf

    def partner(self, one: FactorState) -> FactorState:
        """The other factor."""
        return self.h if one is self.w else self.w

    def room(self, problem: Problem, one: FactorState) -> Any:
        """Zeros for a factor, where such factors live."""
        data = problem.data
        return data.empty_factor(self.k) if one is self.blocked else factor_array(len(one.F), self.k, data.dtype)

    def turn(self, one: FactorState, max_sweeps: int | None = None, tol: float = SWEEP_TOL) -> Turn:
        """How to improve a factor: as an iteration does, or, with so many sweeps, by itself.

        Of W the extrapolated array, of H the improved one must outlive a failure.
        """
        if max_sweeps is not None or self.momentum is None:
            return Turn(one.F, None, None, 0.0, one.max_sweeps if max_sweeps is None else max_sweeps, tol)
        F, F_new = (one.spare, one.F_new) if one is self.w else (one.F, one.spare)
        sweeps = min(one.max_sweeps, self.warm_up.sweeps(self.iteration))
        return Turn(F, F_new, one.F_new, self.momentum.value, sweeps, tol)

    def take(self, one: FactorState, turn: Turn, report: Report) -> None:
        """A factor has been improved: note what is reported, and let it be what has been found."""
        self.note(report)
        self.loss_sum = report.loss_sum
        if turn.F_new is None:
            return
        if one is self.w:
            one.F, one.spare = one.spare, one.F
        else:
            one.F_new, one.spare = one.spare, one.F_new

    def take_back(self) -> None:
        """Bring both factors back to what they were before they were improved the last time."""
        w, h = self.w, self.h
        w.F, w.spare = w.spare, w.F
        h.F_new, h.spare = h.spare, h.F_new
        h.F[:] = h.F_new

    def note(self, report: Report) -> None:
        """Add what an update of the iteration reports."""
        self.squared_step += report.squared_step

    def record(self, divergence: float) -> None:
        """Write down where the fit stands after an iteration."""
        violation = math.sqrt(self.squared_step / self.mass) if self.mass else 0.0
        # that of an exact fit may come out below zero by rounding; NaN is neither
        self.divergence = divergence if divergence > 0 else 0.0 if divergence <= 0 else math.inf
        self.iteration += 1
        self.seconds = time.perf_counter() - self.began
        self.times.append(self.seconds)
        self.objectives.append(self.divergence + self.problem.penalties(*self.current))
        self.violations.append(violation if violation >= 0 else math.inf)

    def keeps(self, before: float, may_increase: bool) -> bool:
        """Whether the iteration that was recorded last is kept; if not, the objective becomes the last one again.

        A rise within rounding is no failure while the violation falls. `before` is the divergence before the iteration;
        `may_increase` says whether steps that are not damped may raise the objective even without extrapolation.
        """
        momentum = self.momentum
        assert momentum is not None
        last = self.objectives[-2] if len(self.objectives) > 1 else math.inf
        rise = self.objectives[-1] - last if self.finite else math.inf
        self.damped = may_increase and not momentum.value and not self.damped and rise > self.noise
        if self.damped:
            self.objectives[-1], self.divergence = last, before
            return False
        kept = not momentum.value and (self.finite or last == math.inf)
        if kept or rise <= 0 or (rise <= self.noise and self.violations[-1] <= self.violations[-2]):
            self.objectives[-1] = min(self.objectives[-1], last)
            if self.iteration >= self.warm_up.iterations:
                momentum.succeed()
            return True
        momentum.fail()
        self.objectives[-1], self.divergence = last, before
        return False

    # --- checkpoints

    def saved(self, fields: Sequence[str]) -> dict[str, Any]:
        """Numbers, lists of numbers and arrays by the names that they have in files; `fields` are the solver's own."""
        state = {name: getattr(self, field) for name, field in _NAMES.items()}
        state |= {name: self.extra[name] if name in self.extra else getattr(self, name) for name in fields}
        for name, one in zip(("W", "H"), self.factors, strict=True):
            state |= {f"{name} F": one.F, f"{name} sizes": one.partner_sizes, f"{name} order": one.order}
            if self.momentum is not None:
                state[f"{name} plain"] = one.F_new
        if self.momentum is not None:
            state["momentum"] = [self.momentum.value, self.momentum.next, self.momentum.limit]
        return state

    def resume(self, state: dict[str, Any], fields: Sequence[str]) -> None:
        """Go on from a state instead of the start. Arrays are copied into those that are there."""
        for name, field in _NAMES.items():
            if name in state:
                setattr(self, field, state[name])
        for name in fields:
            if name in self.extra:
                self.extra[name] = state[name]
            elif isinstance(getattr(self, name), np.ndarray):
                getattr(self, name)[:] = state[name]
            else:
                setattr(self, name, state[name])
        for name, one in zip(("W", "H"), self.factors, strict=True):
            one.F[:] = state[f"{name} F"]
            one.partner_sizes, one.order = state[f"{name} sizes"], state[f"{name} order"]
            if self.momentum is not None:
                one.F_new[:] = state[f"{name} plain"]
        if self.momentum is not None:
            self.momentum.value, self.momentum.next, self.momentum.limit = state["momentum"]
        self.began = time.perf_counter() - self.times[-1]


# What files call the fields of a state.
_NAMES = {
    "iteration": "iteration",
    "divergence": "divergence",
    "initial": "initial",
    "objectives": "objectives",
    "violations": "violations",
    "times": "times",
    "careful": "damped",
}


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
