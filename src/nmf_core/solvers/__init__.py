"""Solvers: what happens to a factor in an iteration. A new solver is a file here and a line in `SOLVERS`."""

from nmf_core.data import FullMatrix, Matrix
from nmf_core.losses import Loss
from nmf_core.solvers.admm import ADMM
from nmf_core.solvers.als import ALS
from nmf_core.solvers.anls import BPP, ActiveSet
from nmf_core.solvers.base import Method, Solver, solve, solve_rows
from nmf_core.solvers.checkpoint import Checkpoint, Record
from nmf_core.solvers.exact import condition, solver_for_rows
from nmf_core.solvers.extrapolated import accelerated
from nmf_core.solvers.gradient import GD, PG, Nesterov
from nmf_core.solvers.greedy import Greedy
from nmf_core.solvers.hals import HALS
from nmf_core.solvers.mu import MU, ExtrapolatedMU
from nmf_core.solvers.newton import Newton
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.solvers.randomized import Randomized
from nmf_core.solvers.sequential import Sequential
from nmf_core.solvers.sgd import SGD
from nmf_core.solvers.state import SWEEP_TOL, FactorState, State

# In the order of preference: "auto" takes the first that handles the loss.
SOLVERS: dict[str, Solver] = {
    solver.name: solver
    for solver in (
        HALS(), Newton(), ExtrapolatedMU(), MU(), Greedy(), BPP(), ActiveSet(), Nesterov(), PG(), GD(), ADMM(), ALS(),
        SGD(), Sequential(), Randomized(),
    )
}  # fmt: skip
ALIASES = {"cd": "hals"}


def choose_solver(solver: str | Solver, loss: Loss, data: type[Matrix] = FullMatrix) -> Solver:
    """The solver of a name or alias; "auto" is the first of the table that minimises this loss."""
    if isinstance(solver, Solver):
        return solver
    if solver == "auto":
        return next(candidate for candidate in SOLVERS.values() if candidate.handles(loss, data))
    return SOLVERS[ALIASES.get(solver, solver)]


def those_that_handle(loss: Loss, data: type[Matrix] = FullMatrix) -> list[str]:
    """The names of the solvers for this loss, of data in this class of containers."""
    return [name for name, solver in SOLVERS.items() if solver.handles(loss, data)]


__all__ = [
    "ADMM",
    "ALIASES",
    "ALS",
    "BPP",
    "GD",
    "HALS",
    "MU",
    "PG",
    "SGD",
    "SOLVERS",
    "SWEEP_TOL",
    "ActiveSet",
    "Checkpoint",
    "ExtrapolatedMU",
    "FactorState",
    "Greedy",
    "Method",
    "Nesterov",
    "Newton",
    "QuadraticSolver",
    "Randomized",
    "Record",
    "Sequential",
    "Solver",
    "State",
    "accelerated",
    "choose_solver",
    "condition",
    "solve",
    "solve_rows",
    "solver_for_rows",
    "those_that_handle",
]
