"""The loop: the only one in the library."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nmf_core import _core
from nmf_core.data import factor_array
from nmf_core.penalties import Penalty
from nmf_core.problem import History, Problem
from nmf_core.stopping import MaxIter, Rule


class Solver(ABC):
    """How the rows of a factor are improved while the other factor is fixed; the same for W and for H.

    Attributes
    ----------
    name : str
        The solver's name in the table and in every ``solver`` parameter.
    method : int
        The step of `_core` that it takes.
    needs_quadratic : bool
        Whether the loss must be quadratic.
    """

    name: str
    method: int
    needs_quadratic: bool

    @abstractmethod
    def rules(self, tol: float) -> list[Rule]:
        """The rules that mean convergence for this solver."""


@dataclass
class Side:
    """One factor and what belongs to it.

    Attributes
    ----------
    F : ndarray of shape (n, ld)
        Factor array. Modified in place by the loop.
    order : ndarray of int32
        The components to update, in this order; the others are held fixed.
    penalty : Penalty
        Its penalty.
    gram : ndarray of shape (k, k)
        ``F.T @ F``, up to date.
    """

    F: np.ndarray
    order: np.ndarray
    penalty: Penalty
    gram: np.ndarray


@dataclass
class Outcome:
    """How a fit ended; the factor arrays were modified in place."""

    n_iter: int
    stop_reason: str
    converged: bool
    history: History


class Fit:
    """The state of a fit, as rules and callbacks see it.

    Attributes
    ----------
    iteration : int
        Iterations done; the first is 1.
    seconds : float
        Since the start of the fit.
    objective, violation : float
        After this iteration. The violation is the length of the steps of the iteration's first sweep over W and H,
        measured by what they change in W @ H, relative to W @ H: ||step||^2 = sum of step_ic^2 * gram_cc. A coordinate's
        step is its projected gradient divided by its curvature, and at most the way to the bound. So it is zero
        exactly where the Karush-Kuhn-Tucker conditions hold, continuous, and unchanged when X is scaled or a
        component's scale moves between W and H.
    objectives : list of float
        All of them so far.
    W, H : ndarray
        Read-only views of the current factors, (n_samples, k) and (k, n_features).
    """

    def __init__(self, problem: Problem, W: Side, Ht: Side, method: int, team: _core.Team, start: float) -> None:
        self.problem = problem
        self.data = problem.data
        self.sides = W, Ht
        self.blocked, self.other = (Ht, W) if self.data.transposed else (W, Ht)
        self.method = method
        self.team = team
        self.start = start
        self.norm = self.data.squared_norm()
        self.k = len(W.gram)
        m, ld = self.other.F.shape
        # Statistics of the blocked factor: A.T F above, F.T F below; then F.T F of the other factor.
        self.S = np.zeros((m + self.k, ld), dtype=self.data.dtype)
        self.gram_array = np.zeros((self.k, ld), dtype=self.data.dtype)
        self.report = np.zeros(4)
        self.iteration = 0
        self.seconds = 0.0
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
    def W(self) -> np.ndarray:
        return _read_only(self.sides[0].F[:, : self.k])

    @property
    def H(self) -> np.ndarray:
        return _read_only(self.sides[1].F[:, : self.k].T)

    def pass_over_data(self, max_sweeps: int = 1) -> None:
        """Improve the blocked factor and take its statistics, in one pass over X."""
        side, other = self.blocked, self.other
        self.S[:] = 0
        self.data.improve(
            side.F, self.S, self.report, other.F, side.penalty.shift(other.gram), side.order, self.method,
            side.penalty.l1, max_sweeps, 0.0, self.team,
        )  # fmt: skip
        side.gram = self.S[-self.k :, : self.k]

    def improve_other(self, max_sweeps: int = 1, tol: float = 0.0) -> None:
        """Improve the other factor from the statistics of the blocked one."""
        side, blocked = self.other, self.blocked
        self.gram_array[:] = 0
        _core.factor_pass(
            side.F, self.gram_array, self.report, self.S[: -self.k], side.penalty.shift(blocked.gram), side.order,
            self.method, side.penalty.l1, max_sweeps, tol, self.team,
        )  # fmt: skip
        side.gram = self.gram_array[:, : self.k]

    def iterate(self) -> None:
        """Improve W, then H, each once; X is read once."""
        self.report[:] = 0
        if self.data.transposed:
            self.improve_other()
            self.report[3] = 0
            self.pass_over_data()
        else:
            self.pass_over_data()
            self.report[3] = 0
            self.improve_other()
        self.record(1)

    def iterate_fixed(self, max_iter: int, tol: float) -> None:
        """With H fixed every row of W is a problem of its own: sweep each until it is done, with one pass over X."""
        if self.data.transposed:
            self.improve_other(max_iter, tol)
        else:
            side, other = self.blocked, self.other
            self.data.improve(
                side.F, None, self.report, other.F, side.penalty.shift(other.gram), side.order, self.method,
                side.penalty.l1, max_iter, tol, self.team,
            )  # fmt: skip
            side.gram = _gram(side.F, self.k, self.team)
        self.record(int(self.report[1]))

    def record(self, iterations: int) -> None:
        """Write down where the fit stands."""
        model = float(np.einsum("ij,ij->", self.blocked.gram, self.other.gram, dtype=np.float64))
        objective = max(0.0, (self.norm - 2 * float(self.report[3]) + model) / 2)
        for side in self.sides:
            objective += side.penalty.value(side.F)
        violation = math.sqrt(float(self.report[0]) / model) if model > 0 else 0.0
        self.iteration += iterations
        self.seconds = time.perf_counter() - self.start
        self.times.append(self.seconds)
        self.objectives.append(objective)
        self.violations.append(violation)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def solve(
    problem: Problem,
    W: np.ndarray,
    Ht: np.ndarray,
    k: int,
    *,
    solver: Solver,
    tol: float,
    max_iter: int,
    rules: Sequence[Rule] = (),
    update_H: np.ndarray | None = None,
    shuffle: Callable[[np.ndarray], np.ndarray] | None = None,
    team: _core.Team,
    start: float,
) -> Outcome:
    """Improve W and Ht until a rule says stop.

    Parameters
    ----------
    problem : Problem
        What is minimised.
    W, Ht : ndarray of shape (n_samples, ld) and (n_features, ld)
        Factor arrays with the initial factors. Modified in place.
    k : int
        Number of components.
    solver : Solver
        How a factor is improved.
    tol : float
        Tolerance of the solver's rules.
    max_iter : int
        Iterations at most.
    rules : sequence of Rule
        Further reasons to stop, looked at after the solver's own and before `max_iter`.
    update_H : ndarray of bool, shape (k,), optional
        The components of H to update; all by default. With none of them, W is found row by row to the tolerance.
    shuffle : callable, optional
        Called with the order of a factor's components before every update, returns another order.
    team : Team
        Who works.
    start : float
        `time.perf_counter` at the start of the fit.

    Returns
    -------
    Outcome
        An interrupt from the keyboard is an outcome too, with the factors as they are then.
    """
    everything = np.arange(k, dtype=np.int32)
    order_H = everything if update_H is None else everything[update_H]
    sides = [
        Side(F, order, penalty, _gram(F, k, team))
        for F, order, penalty in ((W, everything, problem.penalty_W), (Ht, order_H, problem.penalty_H))
    ]
    fit = Fit(problem, sides[0], sides[1], solver.method, team, start)
    if len(order_H) == 0:
        rules = [*rules, _RowsDone(fit), MaxIter(max_iter)]
    else:
        rules = [*solver.rules(tol), *rules, MaxIter(max_iter)]
    try:
        if problem.data.transposed:
            fit.pass_over_data(max_sweeps=0)
        while True:
            if len(order_H) == 0:
                fit.iterate_fixed(max_iter, tol)
            else:
                if shuffle is not None:
                    for side in sides:
                        side.order = shuffle(side.order)
                fit.iterate()
            for rule in rules:
                if rule.done(fit):
                    return _outcome(fit, rule.reason, rule.converged)
    except KeyboardInterrupt:
        return _outcome(fit, "interrupted", False)


class _RowsDone(Rule):
    """Every row of W has met its tolerance."""

    reason = "tol"
    converged = True

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    def done(self, state) -> bool:
        return self.fit.report[2] == 0


def _gram(F: np.ndarray, k: int, team: _core.Team) -> np.ndarray:
    """F.T @ F (k, k)."""
    gram = np.zeros((k, F.shape[1]), dtype=F.dtype)
    none, no_gram = np.empty(0, dtype=np.int32), np.zeros((k, k), dtype=F.dtype)
    _core.factor_pass(F, gram, np.zeros(4), F, no_gram, none, 0, 0.0, 0, 0.0, team)
    return gram[:, :k].copy()


def _outcome(fit: Fit, reason: str, converged: bool) -> Outcome:
    history = History(np.array(fit.times), np.array(fit.objectives), np.array(fit.violations))
    return Outcome(fit.iteration, reason, converged, history)
