"""Alternating optimization by the alternating direction method of multipliers."""

import numpy as np

from nmf_core.solvers.als import inverse_of_free
from nmf_core.solvers.base import Method
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.validation import check_integer


def multipliers(gram: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, float]:
    """The penalty parameter, the mean of the diagonal, and the inverse of `gram` with it on the diagonal."""
    rate = float(gram.diagonal()[order].mean()) if len(order) else 0.0
    rate = rate if rate > 0 else 1.0
    return inverse_of_free(gram, order, rate), rate


class ADMM(QuadraticSolver):
    """Each factor's subproblem by the method of multipliers, with one factorization of its Gram matrix a pass.

    Multipliers are not kept from pass to pass: they begin with the gradient where the factor is zero, which is what
    they are at a solution. A row whose objective a pass has raised stays as it was, so that the objective never rises.

    Parameters
    ----------
    sweeps : int
        Rounds a pass at most.

    References
    ----------
    K. Huang, N. D. Sidiropoulos and A. P. Liavas (2016), "A flexible and efficient algorithmic framework for
    constrained matrix and tensor factorization", doi:10.1109/TSP.2016.2576427.
    """

    name = "admm"

    def __init__(self, sweeps: int = 10) -> None:
        self.sweeps = check_integer(sweeps, "sweeps", 1)
        self.method = Method("admm", self.sweeps, multipliers)
