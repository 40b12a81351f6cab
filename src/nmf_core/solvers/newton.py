"""Coordinate descent for the Kullback-Leibler divergence, by Newton steps of single coordinates."""

import numpy as np

from nmf_core.data import FullMatrix, Matrix, ObservedMatrix
from nmf_core.engine import Report, Update
from nmf_core.losses import Loss
from nmf_core.problem import Problem, model_floors
from nmf_core.solvers.base import Solver, sums
from nmf_core.solvers.state import SWEEP_TOL, FactorState, State


class Newton(Solver):
    """One coordinate after the other takes a Newton step, for the Kullback-Leibler divergence.

    Seen from one coordinate the divergence has the slope s - q(w), with a sum of hyperbolas q; Newton's method is
    applied to 1 / q = 1 / s, which never ends above the minimiser and needs no line search. Converges in a fraction of
    the iterations of multiplicative updates. Rows of X say how to improve W, columns how to improve H: both are gone
    through in every iteration.

    References
    ----------
    C.-J. Hsieh and I. S. Dhillon (2011), "Fast coordinate descent methods with variable selection for non-negative
    matrix factorization", doi:10.1145/2020408.2020577. L. T. K. Hien and N. Gillis (2021), "Algorithms for nonnegative
    matrix factorization with the Kullback-Leibler divergence", doi:10.1007/s10915-021-01504-0.
    """

    name = "newton"
    accelerated = True
    guarded = True

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return loss.kernel == 1 and data.resident

    def may_increase(self, s: State) -> bool:
        return True

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        s.extra["measured"] = h  # whose pass tells the divergence
        # Entries that nothing explains yet pull with finite force.
        s.extra["floors"] = {
            one: model_floors(problem.data, problem.loss, columns=one is not s.blocked, by_itself=s.rows_only)
            for one in s.factors
            if len(one.order)
        }
        return s

    def improve(
        self, problem: Problem, s: State, one: FactorState, max_sweeps: int | None = None, tol: float = SWEEP_TOL
    ) -> Report:
        partner, columns = s.partner(one), one is not s.blocked
        totals, sizes = self._costs(problem, s, partner, columns)
        if one is s.h and self.balanced(problem, s, sizes):
            totals, sizes = self._costs(problem, s, partner, columns)
        s.extra["last"] = one, totals
        turn = s.turn(one, max_sweeps, tol)
        factor, dtype = one.factor, one.F.dtype
        l1 = factor.l1 if factor.row_weights is None else factor.l1 * factor.row_weights[:, np.newaxis]
        update = Update(
            one.F, one.order, one.rescale(sizes, turn.momentum), turn.previous, turn.momentum,
            l2=dtype.type(factor.l2) * one.row_weights, max_sweeps=turn.max_sweeps, tol=turn.tol,
            loss=problem.loss, sums=(totals + l1).astype(dtype),
            floors=s.extra["floors"][one], damped=s.damped, measure=one is s.extra["measured"],
        )  # fmt: skip
        report = problem.data.pass_newton(turn.F, partner.F, update, turn.F_new, columns=columns)
        s.take(one, turn, report)
        return report

    def _costs(self, problem: Problem, s: State, partner: FactorState, columns: bool) -> tuple[np.ndarray, np.ndarray]:
        """What a factor's components add to the model of every row, or all rows, and their squared sums (k,)."""
        if partner.sums is None:
            totals = problem.data.model_sums(partner.F, s.k, columns=columns)
        else:
            totals = partner.sums[np.newaxis]
        return totals, (totals[0] if len(totals) == 1 else sums(problem, partner)) ** 2

    def measure(self, problem: Problem, s: State) -> float:
        """The last pass has summed x (log(x / y) - 1); the sum of the model y is that of the factors' sums.

        With weights, x has been multiplied by them: the sum would be that of something else.
        """
        data = problem.data
        if isinstance(data, ObservedMatrix) and data.weights is not None:
            return problem.divergence(*s.current)
        one, totals = s.extra["last"]
        F = s.current[s.factors.index(one)]
        if len(totals) == 1:
            return s.loss_sum + float(totals[0] @ data.engine.sums(F, s.k))
        return s.loss_sum + float(np.einsum("ij,ij->", totals, F[:, : s.k], dtype=np.float64))
