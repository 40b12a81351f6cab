"""Fits of a quadratic loss: Gram matrices and products with X say all."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from nmf_core import _core
from nmf_core.data import Complete, Container, Step, factor_array, single_holds
from nmf_core.penalties import Penalty
from nmf_core.problem import Problem
from nmf_core.solvers.base import Solver
from nmf_core.solvers.fit import MAX_SWEEPS, QUICK, ROUNDING, SMALL, AlternatingFit, Fit, Method, Momentum, Side, gram


class QuadraticFit(AlternatingFit):
    """A pass over X improves the blocked factor and adds up the statistics from which the other one is improved.

    Attributes
    ----------
    grams : dict of Side to ndarray of shape (k, k)
        ``F.T @ F`` of both factors, up to date.
    S : ndarray of shape (m + k, ld)
        Statistics of the blocked factor: ``A.T @ F`` above, ``F.T @ F`` below.
    gram_array : ndarray of shape (k, ld)
        ``F.T @ F`` of the other factor.
    plain_gram : ndarray of shape (k, k)
        That of H before extrapolation; with acceleration the last rows of `S`, or of `gram_array`, hold it.
    inner, model : float
        ``<X, W @ H>`` and ``||W @ H||^2`` of the current factors.
    """

    data: Complete
    size_power = 1
    KEPT = (*Fit.KEPT, "S", "model")

    def __init__(
        self, problem: Problem, W: Side, Ht: Side, k: int, method: Method, team: _core.Team, start: float
    ) -> None:
        super().__init__(problem, W, Ht, k, method, team, start)
        self.grams = {side: gram(side.F, k, team) if side.gram is None else side.gram for side in self.sides}
        self.S = factor_array(len(self.other.F) + k, k, self.data.dtype)
        self.gram_array = factor_array(k, k, self.data.dtype)
        self.inner = self.model = 0.0

    @cached_property
    def mass(self) -> float:
        """||X||^2, for which X may have to be read once."""
        return self.data.squared_norm()

    @property
    def noise(self) -> float:
        # ||X||^2 is known in double
        return ROUNDING[self.data.dtype.name] * self.model + ROUNDING["float64"] * self.mass

    @property
    def precise(self) -> bool:
        return self.model <= self.divergence

    @property
    def blind(self) -> float:
        """The violation from which on a step lowers the objective by less than its rounding in float32."""
        return math.sqrt(2 * ROUNDING["float32"] * self.model / self.mass) if self.mass else 0.0

    def prepare(self) -> None:
        if self.method.name == "mu":  # scikit-learn's rule looks at it
            self.initial = self.problem.objective(*self.current, self.team)
        if self.data.transposed:
            self.take_statistics()

    def state(self) -> dict[str, Any]:
        return super().state() | dict(zip(("gram of W", "gram of H"), self.grams.values(), strict=True))

    def resume(self, state: dict[str, Any]) -> None:
        if state["W F"].dtype != self.data.dtype:
            self.hold(self.data.in_single())
        super().resume(state)
        self.grams = dict(zip(self.sides, (state["gram of W"], state["gram of H"]), strict=True))

    def accelerate(self, momentum: Momentum) -> None:
        super().accelerate(momentum)
        n, m = self.data.shape
        if self.blocked is self.sides[1]:
            self.S = factor_array(m + 2 * self.k, self.k, self.data.dtype)
        else:
            self.gram_array = factor_array(2 * self.k, self.k, self.data.dtype)
        # Small data count as dense, so that every way to store them gives the same iterates up to rounding.
        entries = n * m if n * m <= SMALL else self.data.n_stored
        for side in self.sides:
            # A sweep costs rows k^2 multiplications, the products of a pass 2 entries k: together as much as these.
            worth = 2 * entries / (len(side.F) * self.k)
            self.sweeps[side] = max(1, min(MAX_SWEEPS, round(worth)))
        # Where all sweeps are nearly free, as on dense data, they pay early and end where plain descent does; on text,
        # where they are not, descent must have found its way first.
        if min(self.sweeps.values()) == MAX_SWEEPS:
            self.warm_up = QUICK

    def iterate_accelerated(self) -> None:
        if self.iteration == 1:  # a start that is good already has shown it
            self.lower_precision()
        elif self.violations and self.violation <= self.blind:
            self.restore_precision()
        super().iterate_accelerated()

    def lower_precision(self) -> None:
        """Go on in float32 as long as that does not matter, where it is faster and changes nothing that is fixed."""
        sizes = np.array([gram.diagonal() for gram in self.grams.values()], dtype=np.float64)
        free = all(len(side.order) == self.k for side in self.sides)
        if self.violation > self.blind and free and single_holds(sizes):
            self.hold(self.data.in_single())

    def restore_precision(self) -> bool:
        if self.data is self.problem.data:
            return False
        assert isinstance(self.problem.data, Complete)
        self.hold(self.problem.data)
        self.divergence = self.problem.divergence(*self.current, self.team)
        objective = self.divergence + self.problem.penalties(*self.current)
        # what was lower by rounding must not seem to have risen
        self.objectives = [*(max(objective, before) for before in self.objectives[:-1]), objective]
        return True

    def hold(self, data: Complete | None) -> None:
        """Go on with X and all arrays in another precision, that of `data`; None changes nothing."""
        if data is None:
            return
        self.data = data
        self.cast()
        self.S = factor_array(len(self.S), self.k, data.dtype)
        self.gram_array = factor_array(len(self.gram_array), self.k, data.dtype)
        self.grams = {side: gram(side.F, self.k, self.team) for side in self.sides}
        if data.transposed:
            self.take_statistics()

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
        """Improve the blocked factor in a pass over X, the other one from the statistics of the blocked one."""
        partner = self.other if side is self.blocked else self.blocked
        sizes = self.grams[partner].diagonal().astype(np.float64)
        if self.unbalanced(side, sizes):
            sizes = self.grams[partner].diagonal().astype(np.float64)
        scale = side.rescale(sizes, beta)
        shifted = side.penalty.shift(self.grams[partner])
        matrix, rate = self.method.prepared(shifted, side.order)
        step = Step(
            side.F, side.F if before is None else before, scale, shifted, matrix, side.order, self.method.number,
            side.penalty.l1, rate, beta, max_sweeps, tol,
        )  # fmt: skip
        if side is self.blocked:
            self.S[:] = 0
            self.go_through(to, plain, partner.F, step)
            grams = self.S[len(partner.F) :]
        else:
            grams = self.gram_array
            grams[:] = 0
            cross = self.S[: len(side.F)]
            _core.factor_pass(to, plain, grams, self.report, cross, *step, self.team)
        if max_sweeps:
            self.inner = self.inner_product(side)
        self.grams[side] = grams[: self.k, : self.k]
        if len(grams) > self.k:
            self.plain_gram = grams[self.k :, : self.k]

    def multiply(self, *scales: np.ndarray) -> None:
        super().multiply(*scales)
        self.grams = {side: gram(side.F, self.k, self.team) for side in self.sides}
        of_blocked = scales[self.sides.index(self.blocked)].astype(self.data.dtype)
        self.S[:, : self.k] *= of_blocked
        # rows that belong to components, not to the other side of X
        grams = self.S[len(self.other.F) :]
        grams *= np.resize(of_blocked, len(grams))[:, np.newaxis]

    def inner_product(self, side: Side) -> float:
        """What the report says of <X, W @ H> after one factor has been improved: of the extrapolated W, the plain H."""
        improved, start, end = map(float, self.report[3:])
        W, Ht = self.sides
        if side is W:
            return end
        # X @ H.T are sums over the short side of a tall X, rounded less than X.T @ W, of which only the change counts.
        return self.inner + improved - start if len(W.F) >= len(Ht.F) else improved

    def go_through(self, to: np.ndarray, plain: np.ndarray | None, G: np.ndarray, step: Step) -> None:
        """The pass over X, which adds statistics to S."""
        self.data.improve(to, plain, self.S, self.report, G, step, self.team)

    def take_statistics(self) -> None:
        """Statistics of the blocked factor as it is."""
        self.improve(self.blocked, self.blocked.F, max_sweeps=0)

    def undone(self) -> None:
        Ht = self.sides[1]
        self.grams[Ht] = gram(Ht.F, self.k, self.team)
        if self.data.transposed:
            self.take_statistics()

    def improve_rows(self, max_sweeps: int, tol: float) -> None:
        side, other = self.blocked, self.other
        if self.data.transposed:
            self.take_statistics()
            self.improve(other, other.F, max_sweeps=max_sweeps, tol=tol)
            return
        shifted = side.penalty.shift(self.grams[other])
        matrix, rate = self.method.prepared(shifted, side.order)
        step = Step(
            side.F, side.F, shifted[0], shifted, matrix, side.order, self.method.number, side.penalty.l1, rate, 0.0,
            max_sweeps, tol,
        )  # fmt: skip
        self.data.improve(side.F, None, None, self.report, other.F, step, self.team)
        self.inner = float(self.report[3])
        self.grams[side] = gram(side.F, self.k, self.team)

    def measure(self, extrapolated: bool) -> tuple[float, float]:
        """From ||X||^2 - 2 <X G, F> + <F.T F, G.T G>, whose parts are there."""
        W, Ht = self.sides
        gram_H = self.plain_gram if extrapolated else self.grams[Ht]
        self.model = float(np.einsum("ij,ij->", self.grams[W], gram_H, dtype=np.float64))
        divergence = (self.mass - 2 * self.inner + self.model) / 2
        return divergence, math.sqrt(float(self.report[0]) / self.mass) if self.mass else 0.0


def add_violation(
    report: np.ndarray,
    F: np.ndarray,
    cross: np.ndarray,
    fixed: np.ndarray,
    penalty: Penalty,
    order: np.ndarray,
    team: _core.Team,
) -> None:
    """Add the squared scaled steps that coordinate descent would take from F to the first number of the report.

    F is a factor array, cross (n, ld) its product with X and the other factor, and `fixed` that factor's Gram matrix.
    """
    shifted = penalty.shift(fixed)
    # multiplicative updates tell, on the way, what these steps are
    step = Step(F, F, shifted[0], shifted, shifted, order, _core.METHODS["mu"], penalty.l1)
    _core.factor_pass(F.copy(), None, None, report, cross, *step, team)


class QuadraticSolver(Solver):
    """A solver for the Frobenius loss of a complete X that gives the kernels a method of its own."""

    def handles(self, beta: float, data: type[Container] = Complete) -> bool:
        return beta == 2 and issubclass(data, Complete)

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        return QuadraticFit
