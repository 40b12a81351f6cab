"""Coordinate descent for the Kullback-Leibler divergence, by Newton steps of single coordinates."""

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np

from nmf_core import _core
from nmf_core.data import Complete, Container, NewtonStep, Partial
from nmf_core.problem import Problem, model_floors
from nmf_core.solvers.base import Solver
from nmf_core.solvers.fit import ROUNDING, AlternatingFit, Fit, Method, Side, component_sums


class NewtonFit(AlternatingFit):
    """Rows of X say how to improve W, columns how to improve H: both are gone through in every iteration.

    Attributes
    ----------
    last : (Side, ndarray of shape (1, k) or (n, k))
        The side that was improved last, and what its components added to the model.
    """

    guarded = True
    KEPT = (*Fit.KEPT, "careful")

    def __init__(
        self, problem: Problem, W: Side, Ht: Side, k: int, method: Method, team: _core.Team, start: float
    ) -> None:
        super().__init__(problem, W, Ht, k, method, team, start)
        self.last: tuple[Side, np.ndarray] | None = None
        # Entries that nothing explains yet pull with finite force.
        by_itself = len(Ht.order) == 0
        self.floors = {
            side: model_floors(self.data, 1.0, columns=side is not self.blocked, by_itself=by_itself)
            for side in self.sides
            if len(side.order)
        }

    @cached_property
    def mass(self) -> float:
        return self.data.sum()

    @property
    def daring(self) -> bool:
        return True

    @property
    def noise(self) -> float:
        return ROUNDING[self.data.dtype.name] * self.mass

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
        columns = side is not self.blocked
        sums, sizes = self.costs(partner, columns)
        if self.unbalanced(side, sizes):
            sums, sizes = self.costs(partner, columns)
        self.last = side, sums
        scale = side.rescale(sizes, beta)
        penalty, dtype = side.penalty, side.F.dtype
        l1 = penalty.l1 if penalty.amounts is None else penalty.l1 * penalty.amounts[:, np.newaxis]
        costs = (sums + l1).astype(dtype)
        step = NewtonStep(
            side.F, side.F if before is None else before, scale, costs, side.order,
            dtype.type(penalty.l2) * side.amounts, beta, max_sweeps, tol, self.floors[side], self.careful, side is Ht,
        )  # fmt: skip
        self.data.newton(to, plain, self.report, partner.F, step, self.team, columns=columns)

    def costs(self, partner: Side, columns: bool) -> tuple[np.ndarray, np.ndarray]:
        """What a factor's components add to the model of every row, or all rows, and their squared sums (k,)."""
        if partner.sums is None:
            sums = self.data.model_sums(partner.F, self.k, self.team, columns=columns)
        else:
            sums = partner.sums[np.newaxis]
        return sums, (sums[0] if len(sums) == 1 else self.sums(partner)) ** 2

    def measure(self, extrapolated: bool) -> tuple[float, float]:
        """The last pass has summed x (log(x / y) - 1); the sum of the model y is that of the factors' sums.

        With weights, x has been multiplied by them: the sum would be that of something else.
        """
        if isinstance(self.data, Partial) and self.data.weights is not None:
            divergence = self.problem.divergence(*self.current, self.team)
            return divergence, math.sqrt(float(self.report[0]) / self.mass) if self.mass else 0.0
        assert self.last is not None
        side, sums = self.last
        F = self.current[self.sides.index(side)]
        if len(sums) == 1:
            model = float(sums[0] @ component_sums(F, self.k, self.team))
        else:
            model = float(np.einsum("ij,ij->", sums, F[:, : self.k], dtype=np.float64))
        divergence = float(self.report[3]) + model
        return divergence, math.sqrt(float(self.report[0]) / self.mass) if self.mass else 0.0


class Newton(Solver):
    """One coordinate after the other takes a Newton step, for the Kullback-Leibler divergence.

    Seen from one coordinate the divergence has the slope s - q(w), with a sum of hyperbolas q; Newton's method is
    applied to 1 / q = 1 / s, which never ends above the minimiser and needs no line search. Converges in a fraction of
    the iterations of multiplicative updates. Needs X by rows and by columns.

    References
    ----------
    C.-J. Hsieh and I. S. Dhillon (2011), "Fast coordinate descent methods with variable selection for non-negative
    matrix factorization", doi:10.1145/2020408.2020577. L. T. K. Hien and N. Gillis (2021), "Algorithms for nonnegative
    matrix factorization with the Kullback-Leibler divergence", doi:10.1007/s10915-021-01504-0.
    """

    name = "newton"
    accelerated = True

    def handles(self, beta: float, data: type[Container] = Complete) -> bool:
        return beta == 1 and data.resident

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        return NewtonFit
