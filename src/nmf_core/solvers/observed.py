"""Fits of data with missing entries or weights: every row has a subproblem of its own."""

import math
from functools import cached_property

import numpy as np

from nmf_core import _core
from nmf_core.data import BetaStep, ObservedStep, Partial
from nmf_core.problem import Problem, model_floors
from nmf_core.solvers.fit import MAX_SWEEPS, ROUNDING, AlternatingFit, Method, Momentum, Side

# What coordinate descent tells of the divergence is trusted down to so many times its rounding.
_DOUBTFUL = 1e4


class ObservedFit(AlternatingFit):
    """Rows of X say how to improve W, columns how to improve H, by coordinate descent or multiplicative updates.

    Sums over rows serve one column only where columns know different rows: so X is gone through by rows and by columns
    in every iteration, and a Gram matrix is added up for every row and every column.
    """

    data: Partial

    def __init__(
        self, problem: Problem, W: Side, Ht: Side, k: int, method: Method, team: _core.Team, start: float
    ) -> None:
        super().__init__(problem, W, Ht, k, method, team, start)
        self.lower = np.zeros(k, dtype=self.data.dtype)
        if problem.biases is not None:
            self.lower[list(problem.biases)] = -np.inf
        self.floors = {
            side: model_floors(self.data, problem.loss.beta, columns=side is Ht, by_itself=len(Ht.order) == 0)
            for side in self.sides
            if len(side.order)
        }

    @property
    def descends(self) -> bool:
        """Whether by coordinate descent."""
        return self.method.name == "hals"

    @cached_property
    def mass(self) -> float:
        return self.data.squared_norm() if self.descends else self.problem.loss.mass(self.data)

    @property
    def noise(self) -> float:
        return ROUNDING[self.data.dtype.name] * self.mass

    def prepare(self) -> None:
        if not self.descends:  # scikit-learn's rule for multiplicative updates looks at it
            self.initial = self.problem.objective(*self.current, self.team)

    def accelerate(self, momentum: Momentum) -> None:
        super().accelerate(momentum)
        if self.descends:  # a sweep costs k^2 a row, its Gram matrix k^2 / 2 an entry
            self.sweeps = dict.fromkeys(self.sides, MAX_SWEEPS)

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
        W, Ht = self.sides
        partner = Ht if side is W else W
        sums = self.sums(partner)
        if self.unbalanced(side, sums**2):
            sums = self.sums(partner)
        before = side.F if before is None else before
        scale, penalty, columns = side.rescale(sums**2, beta), side.penalty, side is Ht
        if self.descends:
            step = ObservedStep(
                side.F, before, scale, self.lower, side.order, penalty.l1, penalty.l2, side.amounts, beta, max_sweeps,
                tol,
            )  # fmt: skip
            self.data.hals(to, plain, self.report, partner.F, step, self.team, columns=columns)
        else:
            loss = self.problem.loss
            half = BetaStep(
                side.F, before, scale, sums.astype(side.F.dtype), side.order, penalty.l1, penalty.l2, beta, max_sweeps,
                tol, loss.beta, loss.exponent, self.floors[side],
            )  # fmt: skip
            self.data.mu(to, plain, self.report, partner.F, half, side.amounts, self.team, columns=columns)

    def measure(self, extrapolated: bool) -> tuple[float, float]:
        """Coordinate descent has told the errors of the last rows; those of multiplicative updates are summed."""
        divergence = float(self.report[3]) / 2 if self.descends else 0.0
        # The errors are small differences of large numbers, and their roundings add up like random ones.
        if divergence <= _DOUBTFUL * self.noise / math.sqrt(len(self.current[1])):
            divergence = self.problem.divergence(*self.current, self.team)
        return divergence, math.sqrt(float(self.report[0]) / self.mass) if self.mass else 0.0
