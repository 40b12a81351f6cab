"""The protocol of solvers, and the loop: the only one in the library."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.engine import Report, unbalanced
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.checkpoint import Record
from nmf_core.solvers.state import IMBALANCE, SWEEP_TOL, FactorState, State
from nmf_core.stopping import Rule, SmallDecrease, SmallViolation

MOST_SWEEPS = 2**31 - 1  # that a kernel can be asked for
MAX_SWEEPS = 8
SMALL = 100_000


class Method(NamedTuple):
    """A step of rows for a quadratic loss.

    Attributes
    ----------
    name : str or callable
        Which one of `_core.METHODS`, or a step in NumPy (see `nmf_core.engine.RowStep`).
    sweeps : int
        Steps a pass at most, fewer once they have fallen to `SWEEP_TOL` of the first.
    prepare : callable, optional
        What it needs, made of the Gram matrix (k, k) and the order of the components: a matrix (k, k) and a rate. By
        default the Gram matrix itself.
    """

    name: Any
    sweeps: int = 1
    prepare: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, float]] | None = None

    def prepared(self, gram: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, float]:
        """What the step needs; nothing useful of a Gram matrix that has overflowed, which the loop finds."""
        if self.prepare is None:
            return gram, 0.0
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return self.prepare(gram, order)
        except np.linalg.LinAlgError:
            return np.zeros_like(gram), 0.0


class Solver(ABC):
    """What an iteration does to a state. One's own defines `handles`, `improve` and `measure`.

    A solver keeps every parameter of its constructor as an attribute of that name: they are its `options`. What a fit
    needs besides is in its `State`: a solver may serve many fits at once.

    Attributes
    ----------
    name : str
        The solver's name in the table and in every ``solver`` parameter.
    accelerated : bool
        Whether it takes several sweeps a pass and extrapolates, unless told not to.
    guarded : bool
        Whether an iteration may have to be taken back even without acceleration.
    monotone : bool
        Whether it promises that the objective never rises.
    exact : bool
        Whether the objectives in its history are exact up to rounding; otherwise they are estimates, but for the last.
    mixed : bool
        Whether it may go through float32, see `MixedPrecision`.
    bounded : bool
        Whether it knows upper bounds and penalties of one's own.
    init : str or None
        The start that it wants, if not that of others.
    ordered : bool
        Whether the order of the components means something.
    fields : tuple of str
        What a checkpoint holds of a state besides what all have: its attributes, or keys of `State.extra`.
    """

    name: str
    accelerated: bool = False
    guarded: bool = False
    monotone: bool = True
    exact: bool = True
    mixed: bool = False
    bounded: bool = False
    init: str | None = None
    ordered: bool = False
    fields: ClassVar[tuple[str, ...]] = ()

    # --- what it is for

    @abstractmethod
    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        """Whether it minimises this loss, of data in this class of matrices."""

    def suited(self, loss: Loss, data: type[Matrix]) -> "Solver":
        """The solver of the same name whose iterations are for this loss and class of matrices."""
        return self

    def row_major(self, loss: Loss) -> bool:
        """Whether a complete X must be visited by rows, however it is stored."""
        return False

    def rules(self, tol: float, data: type[Matrix]) -> list[Rule]:
        """The rules that mean convergence for this solver, of data in this class of matrices."""
        return [SmallViolation(tol), SmallDecrease(tol)]

    def obey(self, stop: Rule) -> list[Rule]:
        """The rules where the user has given one instead."""
        return [stop]

    @property
    def options(self) -> dict[str, Any]:
        """The parameters of the constructor and their values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def default_options(self) -> dict[str, Any]:
        """The same with the values that they have by default."""
        return {name: option.default for name, option in inspect.signature(type(self)).parameters.items()}

    @property
    def changed_options(self) -> dict[str, Any]:
        """Those that have other values than by default."""
        return {name: value for name, value in self.options.items() if value != self.default_options[name]}

    # --- what it does

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        """The state before the first iteration, with all arrays that it needs."""
        return State(problem, w, h, began)

    def prepare(self, problem: Problem, s: State) -> None:  # noqa: B027
        """Do what must be done before the first iteration, unless the fit goes on from a checkpoint."""

    def step(self, problem: Problem, s: State) -> None:
        """One iteration: improve both factors, each once, and record what they are worth."""
        s.squared_step = 0.0
        for one in self.sequence(s):
            self.improve(problem, s, one)
        s.record(self.measure(problem, s))

    def sequence(self, s: State) -> tuple[FactorState, FactorState]:
        """The factors in the order in which an iteration improves them.

        With momentum the objective is that of the extrapolated W with H before extrapolation, a feasible pair whose
        numbers are there anyway.
        """
        return s.factors

    def improve(
        self, problem: Problem, s: State, one: FactorState, max_sweeps: int | None = None, tol: float = SWEEP_TOL
    ) -> Report:
        """Improve one factor, given the other one.

        Parameters
        ----------
        problem, s
            As in `step`.
        one : FactorState
            Which one.
        max_sweeps, tol
            As in `State.turn`, which says where to and how far.
        """
        raise NotImplementedError

    def measure(self, problem: Problem, s: State) -> float:
        """The divergence after an iteration; says whether it is `exact`."""
        raise NotImplementedError

    def improve_rows(self, problem: Problem, s: State, max_sweeps: int, tol: float) -> Report:
        """Improve W alone, every row until its step has fallen to `tol` of its first."""
        return self.improve(problem, s, s.w, max_sweeps, tol)

    def confirm(self, problem: Problem, s: State) -> bool:
        """Whether the fit may end now that a rule says that it has converged."""
        return True

    def finish(self, problem: Problem, s: State) -> None:  # noqa: B027
        """Do what must be done at the end."""

    # --- what acceleration asks for

    def make_room(self, problem: Problem, s: State) -> None:
        """Make arrays for extrapolated factors."""
        for one in s.factors:
            one.F_new, one.spare = s.room(problem, one), s.room(problem, one)
            one.F_new[:] = one.F

    def may_increase(self, s: State) -> bool:
        """Whether an iteration that is not damped may raise the objective even without extrapolation."""
        return False

    def take_back(self, problem: Problem, s: State) -> None:
        """Bring both factors, and what belongs to them, back to the last iteration."""
        s.take_back()

    def cast(self, problem: Problem, s: State) -> None:
        """Hold the state in the precision of the problem's data."""
        for one in s.factors:
            copies: dict[int, np.ndarray] = {}  # arrays that are one remain one
            for name in ("F", "F_new", "spare"):
                array = getattr(one, name)
                if id(array) not in copies:
                    copies[id(array)] = s.room(problem, one)
                    copies[id(array)][:, : s.k] = array[:, : s.k]
                setattr(one, name, copies[id(array)])

    # --- checkpoints

    def saved(self, s: State) -> dict[str, Any]:
        """All that an iteration leaves to the next one, by name."""
        return s.saved(self.fields)

    def resume(self, problem: Problem, s: State, saved: dict[str, Any]) -> None:
        """Go on from that instead of the start."""
        s.resume(saved, self.fields)

    # --- scales of components

    def multiply(self, problem: Problem, s: State, scales: tuple[np.ndarray, np.ndarray]) -> None:
        """Multiply the components of W and of H (k,), with all that belongs to them."""
        for one, scale in zip(s.factors, scales, strict=True):
            partner = s.partner(one)
            with np.errstate(over="ignore", invalid="ignore"):  # they are a hint only
                partner.partner_sizes = partner.partner_sizes * scale**2
            row = np.ones(one.F.shape[1], dtype=one.F.dtype)
            row[: s.k] = scale
            for array in one.arrays():
                array *= row

    def balance(self, problem: Problem, s: State) -> bool:
        """Move scale between the halves of components of which one is much larger than the other; whether some were.

        By powers of two, so that W @ H stays what it is.
        """
        if len(s.movable) == 0:
            return False
        engine = problem.data.engine
        with np.errstate(divide="ignore", invalid="ignore"):
            W, H = (np.log2(engine.sums(one.F, s.k) / len(one.F)) for one in s.factors)
            shift = np.rint((H - W) / 2)
        moved = np.zeros(s.k, dtype=bool)
        moved[s.movable] = True
        moved &= np.isfinite(shift) & (2 * np.abs(shift) > IMBALANCE)
        if not moved.any():
            return False
        scale = np.exp2(np.where(moved, shift, 0.0))
        self.multiply(problem, s, (scale, 1 / scale))
        return True

    def balanced(self, problem: Problem, s: State, sizes: np.ndarray, power: int = 2) -> bool:
        """Balance the components before H is improved, if squared sizes (k,) of W are much larger or smaller than its.

        Whatever has been computed from the factors is outdated if this returns True. Of W nothing is to be feared: what
        H has become too large for is small. Sizes are sums of squares (`power` 1) or squared sums (2).
        """
        share = (len(s.w.F) / len(s.h.F)) ** power
        limit = 2.0 ** (2 * IMBALANCE)
        return unbalanced(sizes, s.w.partner_sizes, share, limit, s.movable) and self.balance(problem, s)


def sums(problem: Problem, one: FactorState) -> np.ndarray:
    """The sums of a factor's components (k,), in double."""
    return problem.data.engine.sums(one.F, len(one.partner_sizes)) if one.sums is None else one.sums


def silence(problem: Problem, s: State) -> bool:
    """Put zeros for the components that are not finite, in both factors; whether there were any."""
    totals = [problem.data.engine.sums(F, s.k) for F in s.current]
    lost = ~np.isfinite(totals).all(axis=0)
    if lost.any():
        for F in s.current:
            F[:, : s.k] = np.where(lost, 0, F[:, : s.k])
    return bool(lost.any())


def solve(
    problem: Problem,
    solver: Solver,
    s: State,
    rules: Sequence[Rule],
    shuffle: np.random.RandomState | None = None,
    record: Record | None = None,
) -> State:
    """Let a solver step until a rule says stop.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    solver : Solver
        What a step is.
    s : State
        Where it starts. Modified in place.
    rules : sequence of Rule
        Reasons to stop, the first that holds is given.
    shuffle : RandomState, optional
        Source of the order in which components are updated, a new one in every iteration.
    record : Record, optional
        Where the state of the fit is saved; it goes on from one that is there.

    Returns
    -------
    State
        The same. An interrupt from the keyboard is an end, too, with the factors as they are then.
    """
    finite = True
    try:
        resumed = record is not None and record.saved is not None
        if record is not None and record.saved is not None:
            record.resume(problem, solver, s, rules, shuffle)
        else:
            solver.prepare(problem, s)
        while True:
            if not resumed:  # else what the rules say of the state that was saved comes first
                if shuffle is not None:
                    for one in s.factors:
                        one.order = shuffle.permutation(one.order)
                solver.step(problem, s)
                # that of a start which is far too large may overflow once
                before, finite = finite, s.finite
                if not finite and (silence(problem, s) or not before):
                    return _ended(problem, solver, s, "overflow", False)
                if record is not None:
                    record.look(solver, s, rules, shuffle)
            resumed = False
            for rule in rules:
                if rule.done(s):
                    if rule.converged and not solver.confirm(problem, s):
                        break  # and see whether that holds
                    if record is not None and record.iteration < s.iteration:
                        record.write(solver, s, shuffle)
                    return _ended(problem, solver, s, rule.reason, rule.converged)
    except KeyboardInterrupt:  # perhaps in the middle of an iteration
        s.exact = False
        return _ended(problem, solver, s, "interrupted", False)


def solve_rows(
    problem: Problem,
    solver: Solver,
    s: State,
    tol: float,
    max_iter: int,
    rules: Sequence[Rule] = (),
    measure: bool = True,
) -> State:
    """With H fixed every row of W is a problem of its own: sweep each until it is done, in one pass over X.

    Parameters
    ----------
    problem, solver, s
        As for `solve`.
    tol : float
        A row is done when its step has fallen to this share of its first.
    max_iter : int
        Sweeps over a row at most.
    rules : sequence of Rule
        Reasons to stop that are given where rows have not ended.
    measure : bool
        Whether the result is recorded.
    """
    try:
        report = solver.improve_rows(problem, s, min(max_iter, MOST_SWEEPS), tol)
        if measure:
            s.squared_step, s.loss_sum = report.squared_step, report.loss_sum
            s.record(solver.measure(problem, s))
        s.iteration = report.sweeps
        ended = next((rule for rule in rules if report.unfinished and rule.done(s)), None)
        reason = ended.reason if ended else "max_iter" if report.unfinished else "tol"
        return _ended(problem, solver, s, reason, report.unfinished == 0 or (ended is not None and ended.converged))
    except KeyboardInterrupt:
        s.exact = False
        return _ended(problem, solver, s, "interrupted", False)


def _ended(problem: Problem, solver: Solver, s: State, reason: str, converged: bool) -> State:
    s.exact = s.exact and solver.exact and reason not in ("overflow", "interrupted")
    solver.balance(problem, s)
    solver.finish(problem, s)
    s.stop_reason, s.converged = reason, converged
    return s
