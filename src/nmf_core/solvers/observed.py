"""Data with missing entries or weights: every row has a subproblem of its own."""

import math

import numpy as np

from nmf_core.data import FullMatrix, Matrix, ObservedMatrix
from nmf_core.engine import Report, Update
from nmf_core.losses import Loss
from nmf_core.problem import Problem, model_floors
from nmf_core.solvers.base import MAX_SWEEPS, Solver, sums
from nmf_core.solvers.state import SWEEP_TOL, FactorState, State

# What coordinate descent tells of the divergence is trusted down to so many times its rounding.
_DOUBTFUL = 1e4


class ObservedSolver(Solver):
    """Rows of X say how to improve W, columns how to improve H, by multiplicative updates for any loss.

    Sums over rows serve one column only where columns know different rows: so X is gone through by rows and by columns
    in every iteration.
    """

    name = "mu"

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return issubclass(data, ObservedMatrix)

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        s.extra["floors"] = {
            one: model_floors(problem.data, problem.loss, columns=one is h, by_itself=s.rows_only)
            for one in s.factors
            if len(one.order)
        }
        return s

    def prepare(self, problem: Problem, s: State) -> None:  # scikit-learn's rule for multiplicative updates looks at it
        s.initial = problem.objective(*s.current)

    def improve(
        self, problem: Problem, s: State, one: FactorState, max_sweeps: int | None = None, tol: float = SWEEP_TOL
    ) -> Report:
        partner = s.partner(one)
        totals = sums(problem, partner)
        if one is s.h and self.balanced(problem, s, totals**2):
            totals = sums(problem, partner)
        turn = s.turn(one, max_sweeps, tol)
        update = self.completed(problem, s, one, totals, Update(
            one.F, one.order, one.rescale(totals**2, turn.momentum), turn.previous, turn.momentum, one.factor.l1,
            one.factor.l2, turn.max_sweeps, turn.tol, row_weights=one.row_weights,
        ))  # fmt: skip
        visit = problem.data.pass_quadratic if update.loss is None else problem.data.pass_gradients
        report = visit(turn.F, partner.F, update, turn.F_new, columns=one is s.h)
        s.take(one, turn, report)
        return report

    def completed(self, problem: Problem, s: State, one: FactorState, totals: np.ndarray, update: Update) -> Update:
        """An update with what its kernel wants besides, given the sums of the other factor's components."""
        loss, floors = problem.loss, s.extra["floors"][one]
        return update._replace(loss=loss, exponent=loss.exponent, sums=totals.astype(one.F.dtype), floors=floors)

    def measure(self, problem: Problem, s: State) -> float:
        """Errors of multiplicative updates are summed."""
        return problem.divergence(*s.current)


class ObservedHALS(ObservedSolver):
    """The same by coordinate descent for the Frobenius loss: a Gram matrix is added up for every row and column."""

    name = "hals"
    accelerated = True

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return loss.quadratic and issubclass(data, ObservedMatrix)

    def prepare(self, problem: Problem, s: State) -> None:
        pass

    def make_room(self, problem: Problem, s: State) -> None:
        super().make_room(problem, s)
        for one in s.factors:  # a sweep costs k^2 a row, its Gram matrix k^2 / 2 an entry
            one.max_sweeps = MAX_SWEEPS

    def completed(self, problem: Problem, s: State, one: FactorState, totals: np.ndarray, update: Update) -> Update:
        return update._replace(lower=np.zeros(s.k, one.F.dtype) if one.lower is None else one.lower)

    def measure(self, problem: Problem, s: State) -> float:
        """Coordinate descent has told the errors of the last rows.

        They are small differences of large numbers, and their roundings add up like random ones.
        """
        divergence = s.loss_sum / 2
        said = divergence > _DOUBTFUL * s.noise / math.sqrt(len(s.current[1]))
        return divergence if said else problem.divergence(*s.current)
