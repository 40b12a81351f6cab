"""Solvers: what happens to a factor in an iteration. A new solver is a file here and a line in `SOLVERS`."""

from nmf_core.solvers.base import Outcome, Solver, solve
from nmf_core.solvers.hals import HALS
from nmf_core.solvers.mu import MU

SOLVERS: dict[str, Solver] = {solver.name: solver for solver in (HALS(), MU())}
ALIASES = {"cd": "hals", "auto": "hals"}

__all__ = ["ALIASES", "SOLVERS", "Outcome", "Solver", "solve"]
