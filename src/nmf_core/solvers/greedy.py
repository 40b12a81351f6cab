"""Greedy coordinate descent."""

from nmf_core.solvers.base import Method
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.validation import check_integer


class Greedy(QuadraticSolver):
    """In every row the coordinate whose step gains the most is the next to take it.

    The objective never rises. Needs fewer steps than cyclic descent where most coordinates are right already, but each
    costs more: the gradient is kept up to date and searched for the best.

    Parameters
    ----------
    sweeps : int
        A pass takes at most so many times as many steps in a row as there are components.

    References
    ----------
    C.-J. Hsieh and I. S. Dhillon (2011), "Fast coordinate descent methods with variable selection for non-negative
    matrix factorization", doi:10.1145/2020408.2020577.
    """

    name = "greedy"

    def __init__(self, sweeps: int = 2) -> None:
        self.sweeps = check_integer(sweeps, "sweeps", 1)
        self.method = Method("greedy", self.sweeps)
