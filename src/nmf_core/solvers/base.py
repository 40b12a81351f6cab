"""The loop: the only one in the library."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmf_core import _core
from nmf_core.data import Complete, Container
from nmf_core.problem import History, Problem
from nmf_core.solvers.checkpoint import Record
from nmf_core.solvers.fit import Fit, Method, Momentum, NoMomentum, Side
from nmf_core.stopping import MaxIter, Rule, SmallDecrease, SmallViolation, State


class Solver(ABC):
    """How the rows of a factor are improved while the other factor is fixed; the same for W and for H.

    A solver keeps every parameter of its constructor as an attribute of that name: they are its `options`.

    Attributes
    ----------
    name : str
        The solver's name in the table and in every ``solver`` parameter.
    method : Method
        The step that it lets the kernels take where the loss is quadratic.
    accelerated : bool
        Whether it takes several sweeps a pass and extrapolates, unless told not to.
    monotone : bool
        Whether it promises that the objective never rises.
    exact : bool
        Whether the objectives in its history are exact up to rounding; otherwise they are estimates, but for the last.
    init : str or None
        The start that it wants, if not that of others.
    """

    name: str
    method: Method = Method("hals")
    accelerated: bool = False
    monotone: bool = True
    exact: bool = True
    init: str | None = None

    @abstractmethod
    def handles(self, beta: float, data: type[Container] = Complete) -> bool:
        """Whether it minimises this beta-divergence, of data in this class of containers."""

    @abstractmethod
    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        """What makes the fit for this beta-divergence, of data in this class of containers."""

    @property
    def options(self) -> dict[str, Any]:
        """The parameters of the constructor and their values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def default_options(self) -> dict[str, Any]:
        """The same with the values that they have by default."""
        return {name: option.default for name, option in inspect.signature(type(self)).parameters.items()}

    def upright(self, beta: float) -> bool:
        """Whether a complete X must be visited by rows, however it is stored."""
        return False

    def rules(self, tol: float, data: type[Container]) -> list[Rule]:
        """The rules that mean convergence for this solver, of data in this class of containers."""
        return [SmallViolation(tol), SmallDecrease(tol)]

    def obey(self, stop: Rule) -> list[Rule]:
        """The rules where the user has given one instead."""
        return [stop]


@dataclass
class Outcome:
    """How a fit ended: factor arrays W (n_samples, ld) and Ht (n_features, ld), and why.

    `divergence` is that of the factors where it is known to all digits of their precision.
    """

    W: np.ndarray
    Ht: np.ndarray
    n_iter: int
    stop_reason: str
    converged: bool
    history: History
    divergence: float | None


def solve(
    problem: Problem,
    W: np.ndarray,
    Ht: np.ndarray,
    k: int,
    *,
    solver: Solver,
    tol: float,
    max_iter: int,
    stop: Rule | None = None,
    rules: Sequence[Rule] = (),
    update_W: np.ndarray | None = None,
    update_H: np.ndarray | None = None,
    acceleration: bool = True,
    shuffle: np.random.RandomState | None = None,
    record: Record | None = None,
    team: _core.Team,
    start: float,
    gram_H: np.ndarray | None = None,
    sums_H: np.ndarray | None = None,
    measure: bool = True,
) -> Outcome:
    """Improve W and Ht until a rule says stop.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    W, Ht : ndarray of shape (n_samples, ld) and (n_features, ld)
        Factor arrays with the initial factors. Modified in place; the result may be other arrays.
    k : int
        Number of components.
    solver : Solver
        How a factor is improved.
    tol : float
        Tolerance of the solver's rules.
    max_iter : int
        Iterations at most.
    stop : Rule, optional
        Instead of the solver's rules.
    rules : sequence of Rule
        Further reasons to stop, looked at after the solver's own and before `max_iter`.
    update_W, update_H : ndarray of bool, shape (k,), optional
        The components of W and of H to update; all by default. With none of H, W is found row by row to the tolerance.
    acceleration : bool
        Whether an accelerated solver may be.
    shuffle : RandomState, optional
        Source of the order in which components are updated, a new one in every iteration.
    record : Record, optional
        Where the state of the fit is saved; it goes on from one that is there.
    team : Team
        Who works.
    start : float
        `time.perf_counter` at the start of the fit.
    gram_H, sums_H : ndarray of shape (k, k) and (k,), optional
        The Gram matrix and the sums of the components of H, where it is fixed and they are known.
    measure : bool
        Whether history is wanted where all of H is fixed.

    Returns
    -------
    Outcome
        An interrupt from the keyboard is an outcome too, with the factors as they are then.
    """
    everything = np.arange(k, dtype=np.int32)
    order_W = everything if update_W is None else everything[update_W]
    order_H = everything if update_H is None else everything[update_H]
    sides = (
        Side(W, k, order_W, problem.penalty_W),
        Side(Ht, k, order_H, problem.penalty_H, gram_H, sums_H),
    )
    data = type(problem.data)
    fit = solver.kind(problem.loss.beta, data)(problem, *sides, k, solver.method, team, start)
    rows_only = len(order_H) == 0
    own = [_RowsDone(fit)] if rows_only else solver.rules(tol, data) if stop is None else solver.obey(stop)
    rules = [*own, *rules, MaxIter(max_iter)]
    try:
        if solver.accelerated and not rows_only and (acceleration or fit.guarded):
            fit.accelerate(Momentum() if acceleration else NoMomentum())
        resumed, finite = False, True
        if record is not None and record.saved is not None:
            resumed = True
            record.resume(fit, rules, shuffle)
        elif not rows_only:
            fit.prepare()
        while True:
            if resumed:  # what the rules say of the state that was saved comes first
                resumed = False
            elif rows_only:
                fit.iterate_fixed(max_iter, tol, measure)
            else:
                if shuffle is not None:
                    for side in sides:
                        side.order = shuffle.permutation(side.order)
                if fit.momentum is not None:
                    fit.iterate_accelerated()
                else:
                    fit.iterate()
                # that of a start which is far too large may overflow once
                before, finite = finite, fit.finite
                if not finite and (fit.silence() or not before):
                    return _outcome(fit, "overflow", False, False)
                if record is not None:
                    record.look(fit, rules, shuffle)
            for rule in rules:
                if rule.done(fit):
                    if rule.converged and fit.restore_precision():
                        break  # and see whether that holds
                    if record is not None and record.iteration < fit.iteration and not rows_only:
                        record.write(fit, shuffle)
                    return _outcome(fit, rule.reason, rule.converged, fit.precise and solver.exact)
    except KeyboardInterrupt:  # perhaps in the middle of an iteration
        return _outcome(fit, "interrupted", False, False)


class _RowsDone(Rule):
    """Every row of W has met its tolerance."""

    reason = "tol"
    converged = True

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    def done(self, state: State) -> bool:
        return self.fit.report[2] == 0


def _outcome(fit: Fit, reason: str, converged: bool, precise: bool) -> Outcome:
    fit.balance()
    known = fit.restore_precision() or precise  # who restores it looks at X
    history = History(np.array(fit.times), np.array(fit.objectives), np.array(fit.violations))
    return Outcome(*fit.current, fit.iteration, reason, converged, history, fit.divergence if known else None)
