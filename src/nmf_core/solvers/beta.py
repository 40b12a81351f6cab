"""Fits of beta-divergences by the two halves of their gradients."""

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from nmf_core import _core
from nmf_core.data import BetaStep, Complete, factor_array
from nmf_core.problem import Problem, model_floors
from nmf_core.solvers.fit import ROUNDING, SMALL, Fit, Method, Momentum, Side, WarmUp


class Course(NamedTuple):
    """When accelerated updates, which are taken back where they fail, become longer than those that never fail.

    Attributes
    ----------
    warm_up : WarmUp
        How acceleration sets in.
    bold : int
        Iterations after which the updates are longer.
    exponent : float
        Of the longer ones, when they are extrapolated, where it is larger than that of the others.
    turns : int
        Of the longer ones: so many more follow each, for which only the numerators are computed anew.

    References
    ----------
    R. Badeau, N. Bertin and E. Vincent (2010), "Stability analysis of multiplicative update algorithms and application
    to nonnegative matrix factorization", doi:10.1109/TNN.2010.2076831: exponents below 2 converge near a solution.
    """

    warm_up: WarmUp
    bold: int
    exponent: float
    turns: int = 0


# Multiplicative updates find their way much more slowly than coordinate descent: extrapolated after ten of them, fits
# from random starts end up to 8 % above plain ones. Where the divergence is convex in the model, they are sooner on it.
CONVEX = Course(WarmUp(20, 3), 20, 1.5)
# Where few entries are stored, their numerators cost little beside the denominators, which the whole model makes. So
# updates go on with new numerators; denominators are taken to grow like powers of the entries, half as fast as they
# could at most. (A majoriser of the model's half alone: that of stored entries is minimised itself.)
SPARSE = Course(WarmUp(7, 3), 3, 1.0, 3)
# A stored entry takes the time of more entries of the model than this.
STORED = 8
# For beta below 1 the exponent that never raises the divergence makes steps half as long as they could mostly be.
# Where few entries are stored, half the patience leads to the same minima, or lower ones.
BELOW = Course(WarmUp(80, 3), 100, 1.0)
SPARSE_BELOW = Course(WarmUp(40, 3), 40, 1.0)
# Above 2 that exponent is smaller still; of longer steps nothing is known.
ABOVE = Course(WarmUp(80, 3), 100, 0.0)


def course_of(beta: float, data: Complete) -> Course:
    """How acceleration sets in for this beta."""
    entries = data.shape[0] * data.shape[1]
    turns = min(SPARSE.turns, entries // (STORED * max(1, data.n_stored)))
    # Small data count as dense, so that every way to store them gives the same iterates up to rounding.
    sparse = turns > 0 and entries > SMALL
    if beta < 1:
        return SPARSE_BELOW if sparse else BELOW
    if beta > 2:
        return ABOVE
    return SPARSE._replace(turns=turns) if sparse and 1 < beta < 2 else CONVEX


class BetaFit(Fit):
    """A pass over X improves W and adds up the halves of the gradient from which H is improved.

    A pass can tell the divergence of the W that it starts from, not of the one that it makes. So an iteration improves
    H from the statistics of the last pass, then goes through X: that tells what the pair is worth, and makes the W of
    the next iteration, which waits in `spare`. The first W is made before the first iteration: updates alternate, W
    then H.

    Attributes
    ----------
    S : ndarray of shape (2 m, ld), or (m + 1, ld) for the Kullback-Leibler divergence
        Statistics of the waiting W: numerators above, denominators below.
    course : Course
        How acceleration sets in for this beta.
    """

    data: Complete
    KEPT = (*Fit.KEPT, "S", "careful")

    def __init__(
        self, problem: Problem, W: Side, Ht: Side, k: int, method: Method, team: _core.Team, start: float
    ) -> None:
        super().__init__(problem, W, Ht, k, method, team, start)
        self.beta = problem.loss.beta
        self.course = course_of(self.beta, self.data)
        self.warm_up = self.course.warm_up
        m = self.data.shape[1]
        self.S = factor_array(m + (1 if self.beta == 1 else m), k, self.data.dtype)
        self.constant = problem.loss.constant(self.data)
        self.floors = model_floors(self.data, self.beta, by_itself=len(Ht.order) == 0)
        W.spare = self.room(W)
        if len(W.order) == len(Ht.order) == k:
            self.rescale()
        # The pair to go back to when extrapolation has failed.
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def rescale(self) -> None:
        """Bring a start that is a thousand times too large or too small to the size of X: its powers may overflow."""
        W, Ht = self.sides
        model = float(self.sums(W) @ self.sums(Ht))
        total = self.data.sum()
        if total > 0 and model > 0 and not 1e-3 < model / total < 1e3:
            W.F *= W.F.dtype.type(total / model)

    @property
    def current(self) -> tuple[np.ndarray, np.ndarray]:
        W, Ht = self.sides
        return W.F, Ht.F

    @property
    def daring(self) -> bool:
        # more updates follow each one, with denominators that may grow less than they could
        return self.momentum is not None and self.course.turns > 0 and self.iteration >= self.course.bold

    @property
    def noise(self) -> float:
        return ROUNDING[self.data.dtype.name] * self.mass

    @cached_property
    def mass(self) -> float:
        return self.problem.loss.mass(self.data)

    @property
    def precise(self) -> bool:
        # Worth to be known where the model is much larger than X. In float32 roots have more digits than powers.
        digits = self.data.dtype == np.float64 or self.beta == 1.5
        return self.daring and digits and self.mass <= 2 * self.divergence

    def prepare(self) -> None:
        self.next_W(0.0)
        self.initial = max(self.measure(False)[0], 0.0) + self.problem.penalties(*self.current)

    def state(self) -> dict[str, Any]:
        return super().state() | {"next W": self.sides[0].spare}

    def resume(self, state: dict[str, Any]) -> None:
        super().resume(state)
        self.sides[0].spare[:] = state["next W"]

    def accelerate(self, momentum: Momentum) -> None:
        super().accelerate(momentum)
        W, Ht = self.sides
        self.last = self.room(W), self.room(Ht)

    def step(self, side: Side, beta: float = 0.0, max_sweeps: int = 1, tol: float = 0.0) -> BetaStep:
        """How a factor is improved, extrapolated by beta."""
        W, Ht = self.sides
        partner = Ht if side is W else W
        sums = self.sums(partner)
        if self.unbalanced(side, sums**2):
            sums = self.sums(partner)
        scale = side.rescale(sums**2, beta)
        exponent, turns, bend = self.problem.loss.exponent, 0, 0.0
        if self.daring:
            # With a bend of beta - 1 the denominators grow at least as much as they could.
            turns, bend = self.course.turns, (self.beta - 1) / (1 if self.careful else 2)
            exponent = 1 / (2 - self.beta + bend)
        elif beta > 0 and self.iteration > self.course.bold:
            exponent = max(exponent, self.course.exponent)
        return BetaStep(
            side.F, side.plain, scale, sums.astype(side.F.dtype), side.order, side.penalty.l1, side.penalty.l2, beta,
            max_sweeps, tol, self.beta, exponent, self.floors, turns, bend,
        )  # fmt: skip

    def next_W(self, beta: float) -> None:
        """Go through X: what the pair is worth, the next W, extrapolated by beta, and its statistics."""
        W, Ht = self.sides
        self.S[:] = 0
        plain = W.plain if self.momentum is not None else None
        self.data.improve_beta(W.spare, plain, self.S, self.report, Ht.F, self.step(W, beta), self.team)

    def iterate(self) -> None:
        self.report[:] = 0
        self.advance(0.0)
        self.record(False)

    def iterate_accelerated(self) -> None:
        """Extrapolate both factors whenever they have been improved; the objective is that of the extrapolated pair."""
        assert self.momentum is not None
        assert self.last is not None
        for kept, F in zip(self.last, self.current, strict=True):
            kept[:] = F
        divergence = self.divergence
        self.report[:] = 0
        self.advance(self.momentum.beta)
        self.record(True)
        if self.succeeded(divergence):
            return
        for kept, side in zip(self.last, self.sides, strict=True):
            side.F[:] = kept
            side.plain[:] = kept
        self.next_W(0.0)

    def advance(self, beta: float) -> None:
        """The next pair: the waiting W, and H from its statistics."""
        W, Ht = self.sides
        W.F, W.spare = W.spare, W.F
        m = self.data.shape[1]
        s = self.step(Ht, beta)
        up, down = self.S[:m], self.S[m:]
        only_look = s._replace(start=W.F, before=W.F, max_sweeps=0)
        report = self.report  # what the first update moves is the violation
        for turn in range(1 + s.turns):
            if turn:
                up[:] = 0
                report = np.zeros_like(report)
                self.data.improve_beta(W.F, None, up, report, Ht.F, only_look, self.team)
            plain = Ht.plain if self.momentum is not None and turn == s.turns else None
            _core.factor_beta_pass(
                Ht.F, plain, report, up, down, s.start, s.before, s.scale, s.sums, s.order, s.l1, s.l2, s.beta,
                s.loss_beta, s.exponent, s.bend, self.team,
            )  # fmt: skip
        self.report[3] = 0
        self.next_W(beta)

    def improve_rows(self, max_sweeps: int, tol: float) -> None:
        W, Ht = self.sides
        self.data.improve_beta(W.F, None, None, self.report, Ht.F, self.step(W, 0.0, max_sweeps, tol), self.team)

    def multiply(self, *scales: np.ndarray) -> None:
        super().multiply(*scales)
        self.S[:, : self.k] *= scales[0].astype(self.S.dtype)

    def measure(self, extrapolated: bool) -> tuple[float, float]:
        """The last pass has told the divergence up to a constant."""
        divergence = float(self.report[3]) + self.constant
        return divergence, math.sqrt(float(self.report[0]) / self.mass) if self.mass else 0.0
