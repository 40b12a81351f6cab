"""Solvers: what happens to a factor in an iteration. A new solver is a file here and a line in `SOLVERS`."""

from nmf_core.solvers.base import Outcome, Solver, solve
from nmf_core.solvers.fit import component_sums, gram
from nmf_core.solvers.hals import HALS
from nmf_core.solvers.mu import MU, ExtrapolatedMU
from nmf_core.solvers.newton import Newton

SOLVERS: dict[str, Solver] = {solver.name: solver for solver in (HALS(), Newton(), ExtrapolatedMU(), MU())}
ALIASES = {"cd": "hals"}


def choose_solver(solver: str, beta: float) -> Solver:
    """The solver of a name or alias; "auto" is the first of the table that minimises this beta-divergence."""
    if solver == "auto":
        return next(candidate for candidate in SOLVERS.values() if candidate.handles(beta))
    return SOLVERS[ALIASES.get(solver, solver)]


__all__ = ["ALIASES", "SOLVERS", "Outcome", "Solver", "choose_solver", "component_sums", "gram", "solve"]
