"""Acceleration, and float32 for a while: solvers around a solver."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from nmf_core.data import Matrix, single_holds
from nmf_core.engine import Report
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.base import Solver
from nmf_core.solvers.state import ROUNDING, FactorState, Momentum, State


class Around(Solver):
    """A solver that steps by another one."""

    def __init__(self, solver: Solver) -> None:
        self.solver = solver
        self.name, self.exact, self.monotone = solver.name, solver.exact, solver.monotone

    def handles(self, loss: Loss, data: Any = None) -> bool:
        return self.solver.handles(loss, data)

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        return self.solver.start(problem, w, h, began)

    def prepare(self, problem: Problem, s: State) -> None:
        self.solver.prepare(problem, s)

    def step(self, problem: Problem, s: State) -> None:
        self.solver.step(problem, s)

    def improve_rows(self, problem: Problem, s: State, max_sweeps: int, tol: float) -> Report:
        return self.solver.improve_rows(problem, s, max_sweeps, tol)

    def confirm(self, problem: Problem, s: State) -> bool:
        return self.solver.confirm(problem, s)

    def finish(self, problem: Problem, s: State) -> None:
        self.solver.finish(problem, s)

    def saved(self, s: State) -> dict[str, Any]:
        return self.solver.saved(s)

    def resume(self, problem: Problem, s: State, saved: dict[str, Any]) -> None:
        self.solver.resume(problem, s, saved)

    def multiply(self, problem: Problem, s: State, scales: tuple[np.ndarray, np.ndarray]) -> None:
        self.solver.multiply(problem, s, scales)

    def cast(self, problem: Problem, s: State) -> None:
        self.solver.cast(problem, s)


class Extrapolated(Around):
    """Several sweeps a pass, from an extrapolated pair; what has raised the objective is taken back.

    Parameters
    ----------
    solver : Solver
        What is accelerated.
    off : bool
        Whether nothing is extrapolated: only the sweeps, and that failures are taken back, remain.
    """

    def __init__(self, solver: Solver, off: bool = False) -> None:
        super().__init__(solver)
        self.off = off

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        s.momentum = Momentum(self.off)
        self.solver.make_room(problem, s)
        return s

    def step(self, problem: Problem, s: State) -> None:
        """One iteration; after a failure the pair is that of the last one, and the next iteration is plain."""
        divergence, s.squared_step = s.divergence, 0.0
        for one in self.solver.sequence(s):
            self.solver.improve(problem, s, one)
        s.record(self.solver.measure(problem, s))
        if not s.keeps(divergence, self.solver.may_increase(s)):
            self.solver.take_back(problem, s)


class MixedPrecision(Around):
    """Go through float32 as long as that does not matter, where it is faster, and end in the precision of X."""

    def step(self, problem: Problem, s: State) -> None:
        if s.iteration == 1:  # a start that is good already has shown it
            self._lower(problem, s)
        elif s.violations and s.violation <= _blind(s):
            self._restore(problem, s)
        self.solver.step(s.extra.get("single", problem), s)

    def confirm(self, problem: Problem, s: State) -> bool:
        return not self._restore(problem, s)

    def finish(self, problem: Problem, s: State) -> None:
        if self._restore(problem, s):  # which looks at X
            s.exact = True

    def resume(self, problem: Problem, s: State, saved: dict[str, Any]) -> None:
        if saved["W F"].dtype != problem.data.dtype:
            self._hold(problem, s, problem.data.in_single())
        super().resume(s.extra.get("single", problem), s, saved)

    def multiply(self, problem: Problem, s: State, scales: tuple[np.ndarray, np.ndarray]) -> None:
        super().multiply(s.extra.get("single", problem), s, scales)

    def _lower(self, problem: Problem, s: State) -> None:
        """Go on in float32, if it changes nothing that is fixed."""
        sizes = np.array([one.gram.diagonal() for one in s.factors], dtype=np.float64)
        free = all(len(one.order) == s.k for one in s.factors)
        if s.violation > _blind(s) and free and single_holds(sizes):
            self._hold(problem, s, problem.data.in_single())

    def _hold(self, problem: Problem, s: State, single: Any) -> None:
        if single is not None:
            s.extra["single"] = replace(problem, data=single)
            self.solver.cast(s.extra["single"], s)

    def _restore(self, problem: Problem, s: State) -> bool:
        """Go on in the precision of X if it has been lowered; whether it had."""
        if s.extra.pop("single", None) is None:
            return False
        self.solver.cast(problem, s)
        s.divergence = problem.divergence(*s.current)
        objective = s.divergence + problem.penalties(*s.current)
        # what was lower by rounding must not seem to have risen
        s.objectives = [*(max(objective, before) for before in s.objectives[:-1]), objective]
        return True


def _blind(s: State) -> float:
    """The violation from which on a step lowers the objective by less than its rounding in float32."""
    return math.sqrt(2 * ROUNDING["float32"] * s.model / s.mass) if s.mass else 0.0


def accelerated(solver: Solver, data: Matrix, on: bool = True) -> Solver:
    """The solver as a fit of these data uses it: accelerated, or at least such that failures are taken back."""
    if not solver.accelerated or not (on or solver.guarded):
        return solver
    around = Extrapolated(solver, off=not on)
    return MixedPrecision(around) if solver.mixed and data.may_be_single else around
