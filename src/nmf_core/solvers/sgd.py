"""Stochastic projected gradient descent."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.engine import Update
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.base import Method
from nmf_core.solvers.gradient import largest_eigenvalue
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.solvers.state import FactorState, State
from nmf_core.solvers.violation import scaled_steps
from nmf_core.typing import Schedule
from nmf_core.validation import check_choice, check_integer, check_number

SCHEDULES = ("bold", "inverse", "constant")
REWARD, PUNISHMENT = 1.05, 0.5  # of the bold driver


class SGD(QuadraticSolver):
    """Steps along the gradient of a few rows of X at a time, in random order.

    An iteration, here an epoch, visits blocks of rows of X in random order, and both factors step after each. Every row
    of the blocked factor moves once an epoch, so that the statistics of the blocks add up to those of the factor at its
    end: the objective is exact, and costs nothing.

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
    method = Method("nesterov")  # whose first step is a plain one
    fields = (*QuadraticSolver.fields, "rate")

    def __init__(self, schedule: Schedule = "bold", rate: float = 0.5, rows: int = 256, seed: int = 0) -> None:
        self.schedule = check_choice(schedule, "schedule", SCHEDULES)
        self.rate = check_number(rate, "rate", high=1.0)
        self.rows = check_integer(rows, "rows", 1)
        self.seed = check_integer(seed, "seed", 0, 2**32 - 1)
        self.monotone = schedule == "bold"

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return super().handles(loss, data) and data.resident

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        n = problem.data.shape[0]
        s.extra["parts"] = [(a, b, problem.data.part(a, b)) for a, b in pairwise([*range(0, n, self.rows), n])]
        s.extra["rate"] = self.rate
        s.extra["random"] = np.random.RandomState(self.seed)
        self._rescale_start(problem, s)
        return s

    def _rescale_start(self, problem: Problem, s: State) -> None:
        """Bring the start to the size of X: from far too large ones, whole components step to zero and stay there."""
        self.take_statistics(problem, s)
        inner = float(np.einsum("ij,ij->", s.S[: -s.k], s.other.F, dtype=np.float64))
        model = float(np.einsum("ij,ij->", s.w.gram, s.h.gram, dtype=np.float64))
        if len(s.w.order) == len(s.h.order) == s.k and inner > 0 and model > 0:
            size = (inner / model) ** 0.5
            for one in s.factors:
                one.F *= one.F.dtype.type(size)
                one.gram = one.gram * one.F.dtype.type(size**2)

    def step(self, problem: Problem, s: State) -> None:
        bold = self.schedule == "bold"
        kept = [(one.F.copy(), one.gram) for one in s.factors] if bold else []
        divergence, before = s.divergence, s.objectives[-1] if s.objectives else np.inf
        s.squared_step = 0.0
        self._epoch(problem, s)
        s.record(self.measure(problem, s))
        if not bold:
            return
        if s.objectives[-1] <= before:
            s.extra["rate"] = min(1.0, REWARD * s.extra["rate"])
            return
        # the bold driver turns round
        s.extra["rate"] *= PUNISHMENT
        for one, (F, gram) in zip(s.factors, kept, strict=True):
            one.F[:], one.gram = F, gram
        s.objectives[-1], s.divergence = before, divergence

    def _epoch(self, problem: Problem, s: State) -> None:
        """Visit all parts in random order."""
        if self.schedule == "inverse":
            s.extra["rate"] = self.rate / (1 + s.iteration)
        # Steps of a length of its own for every block would let some blocks count more than others.
        curvature = largest_eigenvalue(s.other.factor.shift(s.blocked.gram), s.other.order)
        s.S[:] = 0
        for b in s.extra["random"].permutation(len(s.extra["parts"])):
            self._visit(problem, s, s.extra["parts"][b], curvature)
        self._finish(problem, s)

    def _visit(self, problem: Problem, s: State, part: tuple[int, int, FullMatrix], curvature: float) -> None:
        """One step of some rows of the blocked factor, and one of the other factor for what these rows say."""
        first, end, data = part
        blocked, other, engine = s.blocked, s.other, problem.data.engine
        F, S = blocked.F[first:end], np.zeros_like(s.S)
        fixed = engine.gram(other.F, s.k)
        own = largest_eigenvalue(blocked.factor.shift(fixed), blocked.order)
        s.note(data.pass_quadratic(F, other.F, self._short_step(s, blocked, F, fixed, own, 1.0), S=S))
        s.S += S
        share = (end - first) / problem.data.shape[0]
        step = self._short_step(s, other, other.F, S[-s.k :, : s.k], curvature * share, share)
        engine.improve_rows(other.F, S[: -s.k], step)

    def _short_step(
        self, s: State, one: FactorState, F: np.ndarray, fixed: np.ndarray, curvature: float, share: float
    ) -> Update:
        """A projected gradient step, with this share of the penalty."""
        gram = replace(one.factor, l2=one.factor.l2 * share).shift(fixed)
        rate = s.extra["rate"] / curvature if curvature > 0 else s.extra["rate"]
        return Update(F, one.order, gram[0], l1=one.factor.l1 * share, method=self.method.name, gram=gram, rate=rate)

    def _finish(self, problem: Problem, s: State) -> None:
        """What the epoch's end is worth: the inner product with X, Gram matrices, and what steps of H are left."""
        blocked, other = s.blocked, s.other
        blocked.gram, other.gram = s.S[-s.k :, : s.k].copy(), problem.data.engine.gram(other.F, s.k)
        cross = s.S[: -s.k]
        s.squared_step += scaled_steps(problem.data.engine, other.F, cross, blocked.gram, other.factor, other.order)
        s.inner = float(np.einsum("ij,ij->", cross, other.F, dtype=np.float64))

    def saved(self, s: State) -> dict[str, Any]:
        _, keys, *rest = s.extra["random"].get_state(legacy=True)
        return super().saved(s) | {"order keys": keys, "order rest": rest}

    def resume(self, problem: Problem, s: State, saved: dict[str, Any]) -> None:
        super().resume(problem, s, saved)
        s.extra["random"].set_state(("MT19937", saved["order keys"], *saved["order rest"]))
