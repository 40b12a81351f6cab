"""Stochastic projected gradient descent."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from nmf_core import _core
from nmf_core.data import Complete, Container, Step
from nmf_core.solvers.fit import Fit, Side, gram
from nmf_core.solvers.gradient import largest_eigenvalue
from nmf_core.solvers.quadratic import QuadraticFit, QuadraticSolver, add_violation
from nmf_core.validation import check_choice, check_integer, check_number

SCHEDULES = ("bold", "inverse", "constant")
REWARD, PUNISHMENT = 1.05, 0.5  # of the bold driver


class SGDFit(QuadraticFit):
    """An iteration, here an epoch, visits blocks of rows of A in random order, and both factors step after each.

    Every row of the blocked factor moves once an epoch, so that the statistics of the blocks add up to those of the
    factor at its end: the objective is exact, and costs nothing.

    Attributes
    ----------
    rate : float
        The length of steps, in units of the one that does not overshoot.
    curvature : float
        The largest eigenvalue of the blocked factor's Gram matrix at the beginning of the epoch.
    """

    def __init__(self, *arguments: Any, schedule: str, rate: float, rows: int, seed: int) -> None:
        super().__init__(*arguments)
        self.schedule = schedule
        self.first_rate = self.rate = rate
        n = self.data.shape[0]
        bounds = [*range(0, n, rows), n]
        self.parts = [(first, end, self.data.part(first, end)) for first, end in pairwise(bounds)]
        self.random = np.random.RandomState(seed)
        self.rescale()

    KEPT = (*QuadraticFit.KEPT, "rate")

    def state(self) -> dict[str, Any]:
        _, keys, *rest = self.random.get_state(legacy=True)
        return super().state() | {"order keys": keys, "order rest": rest}

    def resume(self, state: dict[str, Any]) -> None:
        super().resume(state)
        self.random.set_state(("MT19937", state["order keys"], *state["order rest"]))

    def rescale(self) -> None:
        """Bring the start to the size of X: from far too large ones, whole components step to zero and stay there."""
        self.take_statistics()
        blocked, other = self.blocked, self.other
        inner = float(np.einsum("ij,ij->", self.S[: -self.k], other.F, dtype=np.float64))
        model = float(np.einsum("ij,ij->", *self.grams.values(), dtype=np.float64))
        if len(blocked.order) == len(other.order) == self.k and inner > 0 and model > 0:
            size = (inner / model) ** 0.5
            for side in self.sides:
                side.F *= side.F.dtype.type(size)
                self.grams[side] = self.grams[side] * side.F.dtype.type(size**2)

    def iterate(self) -> None:
        kept = [side.F.copy() for side in self.sides] if self.schedule == "bold" else []
        grams = self.grams
        if self.schedule == "inverse":
            self.rate = self.first_rate / (1 + self.iteration)
        self.curvature = largest_eigenvalue(self.other.penalty.shift(self.grams[self.blocked]), self.other.order)
        divergence, before = self.divergence, self.objectives[-1] if self.objectives else np.inf
        self.report[:] = 0
        self.S[:] = 0
        for b in self.random.permutation(len(self.parts)):
            self.visit(*self.parts[b])
        self.finish()
        self.record(False)
        if not kept:
            return
        if self.objectives[-1] <= before:
            self.rate = min(1.0, REWARD * self.rate)
            return
        # the bold driver turns round
        self.rate *= PUNISHMENT
        for side, F in zip(self.sides, kept, strict=True):
            side.F[:] = F
        self.objectives[-1], self.divergence, self.grams = before, divergence, grams

    def visit(self, first: int, end: int, part: Any) -> None:
        """One step of some rows of the blocked factor, and one of the other factor for what these rows say."""
        blocked, other = self.blocked, self.other
        F, S = blocked.F[first:end], np.zeros_like(self.S)
        fixed = gram(other.F, self.k, self.team)
        step = self.step(blocked, F, fixed, largest_eigenvalue(blocked.penalty.shift(fixed), blocked.order), 1.0)
        part.improve(F, None, S, self.report, other.F, step, self.team)
        self.S += S
        # Steps of a length of its own for every block would let some blocks count more than others.
        share = (end - first) / self.data.shape[0]
        step = self.step(other, other.F, S[-self.k :, : self.k], self.curvature * share, share)
        _core.factor_pass(other.F, None, None, np.zeros(_core.REPORT_SIZE), S[: -self.k], *step, self.team)

    def step(self, side: Side, F: np.ndarray, fixed: np.ndarray, curvature: float, share: float) -> Step:
        """A projected gradient step, with this share of the penalty."""
        shifted = replace(side.penalty, l2=side.penalty.l2 * share).shift(fixed)
        # the first step of Nesterov's method is a plain one
        return Step(
            F, F, shifted[0], shifted, shifted, side.order, _core.METHODS["nesterov"], side.penalty.l1 * share,
            self.rate / curvature if curvature > 0 else self.rate,
        )  # fmt: skip

    def finish(self) -> None:
        """What the epoch's end is worth: the inner product with X, Gram matrices, and what steps of H are left."""
        blocked, other = self.blocked, self.other
        self.grams = {blocked: self.S[-self.k :, : self.k].copy(), other: gram(other.F, self.k, self.team)}
        cross = self.S[: -self.k]
        add_violation(self.report, other.F, cross, self.grams[blocked], other.penalty, other.order, self.team)
        self.inner = float(np.einsum("ij,ij->", cross, other.F, dtype=np.float64))


class SGD(QuadraticSolver):
    """Steps along the gradient of a few rows of X at a time, in random order.

    For data of which a part says nearly as much as the whole, when a rough answer will do. Step lengths are relative to
    one over the largest eigenvalue of the Gram matrix. With a schedule other than "bold" the objective may rise.

    Parameters
    ----------
    schedule : {"bold", "inverse", "constant"}
        How the length of steps goes on: the bold driver makes it 5 % longer after an epoch that has lowered the
        objective; otherwise the epoch is taken back, and the length halved. "inverse" divides it by the number of the
        epoch.
    rate : float
        The length at first, at most 1.
    rows : int
        Rows of X in a step; columns of an X that is stored by columns.
    seed : int
        Of the order.

    References
    ----------
    R. Gemulla, E. Nijkamp, P. J. Haas and Y. Sismanis (2011), "Large-scale matrix factorization with distributed
    stochastic gradient descent", doi:10.1145/2020408.2020426, for the bold driver.
    """

    name = "sgd"

    def __init__(self, schedule: str = "bold", rate: float = 0.5, rows: int = 256, seed: int = 0) -> None:
        self.schedule = check_choice(schedule, "schedule", SCHEDULES)
        self.rate = check_number(rate, "rate", high=1.0)
        self.rows = check_integer(rows, "rows", 1)
        self.seed = check_integer(seed, "seed", 0, 2**32 - 1)
        self.monotone = schedule == "bold"

    def handles(self, beta: float, data: type[Container] = Complete) -> bool:
        return super().handles(beta, data) and data.resident

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        return partial(SGDFit, **self.options)
