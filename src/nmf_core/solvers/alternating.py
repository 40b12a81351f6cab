"""Solvers that improve one factor after the other, each from the other as it is now."""

from abc import abstractmethod

from nmf_core.engine import Report
from nmf_core.problem import Problem
from nmf_core.solvers.base import SWEEP_TOL, Solver
from nmf_core.solvers.state import FactorState, State


class AlternatingSolver(Solver):
    """A solver that can improve either factor by itself at any time."""

    @abstractmethod
    def improve(
        self, problem: Problem, s: State, one: FactorState, max_sweeps: int, tol: float, extrapolate: bool = False
    ) -> Report:
        """Improve one factor.

        Parameters
        ----------
        problem, s
            As in `Solver.step`.
        one : FactorState
            Which one.
        max_sweeps : int
            Sweeps over every row, fewer where `tol` is met.
        tol : float
            A row is done when its step has fallen to `tol` of its first.
        extrapolate : bool
            Whether the result is extrapolated: to max(0, F_new + momentum * (F_new - last)), `last` being the
            `F_new` of the last time in the scale of this one. Otherwise F takes the result in place.
        """

    def improve_rows(self, problem: Problem, s: State, max_sweeps: int, tol: float) -> Report:
        return self.improve(problem, s, s.w, max_sweeps, tol)

    def iterate(self, problem: Problem, s: State) -> None:
        """Improve W, then H.

        With momentum both are extrapolated. The objective is that of the extrapolated W with H before extrapolation, a
        feasible pair whose numbers are there anyway.
        """
        for one in s.factors:
            sweeps = one.max_sweeps if s.momentum is None else min(one.max_sweeps, s.warm_up.sweeps(s.iteration))
            report = self.improve(problem, s, one, sweeps, SWEEP_TOL, extrapolate=s.momentum is not None)
            s.note(report)
            s.loss_sum = report.loss_sum
            if s.momentum is None:
                continue
            if one is s.w:
                one.F, one.spare = one.spare, one.F
            else:
                one.F_new, one.spare = one.spare, one.F_new

    def arrays(self, s: State, one: FactorState, extrapolate: bool) -> tuple:
        """Where an update puts its result and its improved rows, and what these were the last time.

        Of W the extrapolated array, of H the improved one must outlive a failure.
        """
        if not extrapolate:
            return one.F, None, None
        return (one.spare, one.F_new, one.F_new) if one is s.w else (one.F, one.spare, one.F_new)

    def take_back(self, problem: Problem, s: State) -> None:
        s.w.F, s.w.spare = s.w.spare, s.w.F
        s.h.F_new, s.h.spare = s.h.spare, s.h.F_new
        s.h.F[:] = s.h.F_new
        self.undone(problem, s)

    def undone(self, problem: Problem, s: State) -> None:
        """Bring what belongs to the factors up to date after both have become those of the last iteration again."""
