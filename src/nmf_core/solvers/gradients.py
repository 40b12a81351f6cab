"""Multiplicative updates for any loss of a complete X."""

from typing import Any, NamedTuple

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.engine import Report, Update, factor_array
from nmf_core.losses import Loss
from nmf_core.problem import Problem, model_floors
from nmf_core.solvers.base import SMALL, Solver, sums
from nmf_core.solvers.state import SWEEP_TOL, FactorState, State, WarmUp


class Schedule(NamedTuple):
    """How acceleration sets in.

    Attributes
    ----------
    warm_up : WarmUp
        The first iterations are plain.
    bold_after : int
        Iterations after which updates may be longer than a monotone one.
    exponent : float
        Power of the ratio of the gradient's parts in such longer updates, if it is larger than that of the others.
    inner_updates : int
        Of the longer ones: so many more follow each, for which only the numerators are computed anew.

    References
    ----------
    R. Badeau, N. Bertin and E. Vincent (2010), "Stability analysis of multiplicative update algorithms and application
    to nonnegative matrix factorization", doi:10.1109/TNN.2010.2076831: exponents below 2 converge near a solution.
    """

    warm_up: WarmUp
    bold_after: int
    exponent: float
    inner_updates: int = 0


# Multiplicative updates find their way much more slowly than coordinate descent: extrapolated after ten of them, fits
# from random starts end up to 8 % above plain ones. Where the divergence is convex in the model, they are sooner on it.
CONVEX = Schedule(WarmUp(20, 3), 20, 1.5)
# Where few entries are stored, their numerators cost little beside the denominators, which the whole model makes. So
# updates go on with new numerators; denominators are taken to grow like powers of the entries, half as fast as they
# could at most. (A majoriser of the model's part alone: that of stored entries is minimised itself.)
SPARSE = Schedule(WarmUp(7, 3), 3, 1.0, 3)
# A stored entry takes the time of more entries of the model than this.
STORED = 8
# Where the loss is not convex, the exponent that never raises the divergence can make steps half as long as they could
# mostly be. Where few entries are stored, half the patience leads to the same minima, or lower ones.
BOLD = Schedule(WarmUp(80, 3), 100, 1.0)
SPARSE_BOLD = Schedule(WarmUp(40, 3), 40, 1.0)
# Where that exponent is smaller still, nothing is known of longer steps.
CAUTIOUS = Schedule(WarmUp(80, 3), 100, 0.0)


def schedule_for(loss: Loss, data: FullMatrix) -> Schedule:
    """How acceleration sets in for this loss."""
    entries = data.shape[0] * data.shape[1]
    inner_updates = min(SPARSE.inner_updates, entries // (STORED * max(1, data.n_stored)))
    # Small data count as dense, so that every way to store them gives the same iterates up to rounding.
    sparse = inner_updates > 0 and entries > SMALL
    if loss.bold:
        return SPARSE_BOLD if sparse else BOLD
    if not loss.convex:
        return CAUTIOUS
    return SPARSE._replace(inner_updates=inner_updates) if sparse and loss.den_growth is not None else CONVEX


class GradientSolver(Solver):
    """A pass over X improves W and adds up the parts of the gradient from which H is improved.

    A pass can tell the divergence of the W that it starts from, not of the one that it makes. So an iteration improves
    H from the statistics of the last pass, then goes through X: that tells what the pair is worth, and makes the W of
    the next iteration, which waits in `spare`. The first W is made before the first iteration: updates alternate, W
    then H.

    Of a state it uses `S`, the statistics of the waiting W: numerators above, denominators below.
    """

    name = "mu"
    fields = ("S",)

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return issubclass(data, FullMatrix)

    def row_major(self, loss: Loss) -> bool:
        return True

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        data, loss = problem.data, problem.loss
        s.extra = self.notes(problem, by_itself=s.rows_only)
        s.warm_up = s.extra["schedule"].warm_up
        s.of_extrapolated_H = True
        m = data.shape[1]
        s.S = factor_array(m + (1 if loss.linear else m), s.k, data.dtype)
        w.spare = s.room(problem, w)
        if len(w.order) == len(h.order) == s.k:
            self._rescale_start(problem, s)
        return s

    def notes(self, problem: Problem, by_itself: bool) -> dict[str, Any]:
        """What a state holds of X; `by_itself` is whether every row is found for a given H."""
        data, loss = problem.data, problem.loss
        return {
            "schedule": schedule_for(loss, data),
            "constant": loss.constant(data),
            "floors": model_floors(data, loss, by_itself=by_itself),
        }

    def _rescale_start(self, problem: Problem, s: State) -> None:
        """Bring a start that is a thousand times too large or too small to the size of X: its powers may overflow."""
        model = float(sums(problem, s.w) @ sums(problem, s.h))
        total = problem.data.sum()
        if total > 0 and model > 0 and not 1e-3 < model / total < 1e3:
            s.w.F *= s.w.F.dtype.type(total / model)

    def prepare(self, problem: Problem, s: State) -> None:
        self._next_W(problem, s, extrapolate=False)
        s.initial = max(self.measure(problem, s), 0.0) + problem.penalties(*s.current)

    def make_room(self, problem: Problem, s: State) -> None:
        super().make_room(problem, s)
        # the pair to go back to when extrapolation has failed
        s.extra["last"] = s.room(problem, s.w), s.room(problem, s.h)

    def may_increase(self, s: State) -> bool:
        return self._goes_on(s, s.iteration)

    def _goes_on(self, s: State, iteration: int) -> bool:
        """Whether more updates follow each one, with denominators that may grow less than they could."""
        schedule = s.extra["schedule"]
        return s.momentum is not None and schedule.inner_updates > 0 and iteration >= schedule.bold_after

    def update(
        self, problem: Problem, s: State, one: FactorState, momentum: float = 0.0, max_sweeps: int = 1, tol: float = 0.0
    ) -> Update:
        """How a factor is improved, extrapolated by `momentum`."""
        partner, loss, schedule = s.partner(one), problem.loss, s.extra["schedule"]
        totals = sums(problem, partner)
        if one is s.h and self.balanced(problem, s, totals**2):
            totals = sums(problem, partner)
        exponent, inner_updates, den_power = loss.exponent, 0, 0.0
        if self.may_increase(s):
            # With the full power the denominators grow at least as much as they could.
            assert loss.den_growth is not None
            inner_updates, den_power = schedule.inner_updates, loss.den_growth / (1 if s.damped else 2)
            exponent = 1 / (1 - loss.den_growth + den_power)
        elif momentum > 0 and s.iteration > schedule.bold_after:
            exponent = max(exponent, schedule.exponent)
        return Update(
            one.F, one.order, one.rescale(totals**2, momentum), one.F_new, momentum, one.factor.l1, one.factor.l2,
            max_sweeps, tol, loss=loss, sums=totals.astype(one.F.dtype), floors=s.extra["floors"], exponent=exponent,
            inner_updates=inner_updates, den_power=den_power,
        )  # fmt: skip

    def sequence(self, s: State) -> tuple[FactorState, FactorState]:
        """H for the waiting W, then the next W. The objective is that of the pair, with momentum extrapolated."""
        return s.h, s.w

    def improve(
        self, problem: Problem, s: State, one: FactorState, max_sweeps: int | None = None, tol: float = SWEEP_TOL
    ) -> Report:
        if one is s.h:
            return self._next_H(problem, s)
        sweeps = 1 if max_sweeps is None else max_sweeps
        return self._next_W(problem, s, extrapolate=s.momentum is not None, max_sweeps=sweeps, tol=tol)

    def _next_H(self, problem: Problem, s: State) -> Report:
        """The waiting W becomes W, H is improved from its statistics."""
        w, h, extrapolate = s.w, s.h, s.momentum is not None
        if extrapolate:
            for kept, F in zip(s.extra["last"], (w.F, h.F), strict=True):
                kept[:] = F
        w.F, w.spare = w.spare, w.F
        if not extrapolate:
            w.F_new = w.F
        m = problem.data.shape[1]
        update = self.update(problem, s, h, s.momentum.value if s.momentum is not None else 0.0)
        numerator, denominator = s.S[:m], s.S[m:]
        only_look = update._replace(start=w.F, previous=None, max_sweeps=0)
        for turn in range(1 + update.inner_updates):
            if turn:
                numerator[:] = 0
                problem.data.pass_gradients(w.F, h.F, only_look, S=numerator)
            into = h.F_new if extrapolate and turn == update.inner_updates else None
            report = problem.data.engine.multiply_rows(h.F, numerator, denominator, update, into)
            if turn == 0:  # what the first update moves is the violation
                s.note(report)
        return report

    def _next_W(
        self, problem: Problem, s: State, extrapolate: bool, max_sweeps: int = 1, tol: float = SWEEP_TOL
    ) -> Report:
        """Go through X: what the pair is worth, the next W, perhaps extrapolated, and its statistics."""
        s.S[:] = 0
        momentum = s.momentum.value if extrapolate and s.momentum is not None else 0.0
        update = self.update(problem, s, s.w, momentum, max_sweeps, tol)
        into = s.w.F_new if s.momentum is not None else None
        report = problem.data.pass_gradients(s.w.spare, s.h.F, update, into, s.S)
        s.note(report)
        s.loss_sum = report.loss_sum
        return report

    def take_back(self, problem: Problem, s: State) -> None:
        for kept, one in zip(s.extra["last"], s.factors, strict=True):
            one.F[:] = kept
            one.F_new[:] = kept
        self._next_W(problem, s, extrapolate=False)

    def improve_rows(self, problem: Problem, s: State, max_sweeps: int, tol: float) -> Report:
        update = self.update(problem, s, s.w, 0.0, max_sweeps, tol)
        return problem.data.pass_gradients(s.w.F, s.h.F, update)

    def multiply(self, problem: Problem, s: State, scales: tuple[np.ndarray, np.ndarray]) -> None:
        super().multiply(problem, s, scales)
        s.S[:, : s.k] *= scales[0].astype(s.S.dtype)

    def measure(self, problem: Problem, s: State) -> float:
        """The last pass has told the divergence up to a constant."""
        data, loss = problem.data, problem.loss
        divergence = s.loss_sum + s.extra["constant"]
        # Worth to be known where the model is much larger than X. In float32 roots have more digits than powers.
        digits = data.dtype == np.float64 or loss.kernel == 1.5
        s.exact = self._goes_on(s, s.iteration + 1) and digits and s.mass <= 2 * max(divergence, 0.0)
        return divergence

    def saved(self, s: State) -> dict[str, Any]:
        return super().saved(s) | {"next W": s.w.spare}

    def resume(self, problem: Problem, s: State, saved: dict[str, Any]) -> None:
        super().resume(problem, s, saved)
        s.w.spare[:] = saved["next W"]
