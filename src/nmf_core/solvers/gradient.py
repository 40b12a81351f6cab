"""Methods that follow the projected gradient."""

import numpy as np

from nmf_core.solvers.base import Method
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.validation import check_integer


def largest_eigenvalue(gram: np.ndarray, order: np.ndarray) -> float:
    """Of the part of a Gram matrix (k, k) for the components in `order`; zero of nothing."""
    return float(np.linalg.eigvalsh(gram[np.ix_(order, order)].astype(np.float64)).max(initial=0.0))


def safe_rate(gram: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, float]:
    """`gram` itself, and the step that never overshoots: one over its largest eigenvalue, of the part for `order`."""
    largest = largest_eigenvalue(gram, order)
    return gram, 1 / largest if largest > 0 else 1.0


class PG(QuadraticSolver):
    """Projected gradient steps, each of a length that a search finds, until the subproblem is nearly solved.

    The objective never rises. The search is Lin's, by powers of ten and with sufficient decrease, but every row has a
    step length of its own: rows are problems of their own.

    Parameters
    ----------
    sweeps : int
        Steps a pass at most.

    References
    ----------
    C.-J. Lin (2007), "Projected gradient methods for nonnegative matrix factorization",
    doi:10.1162/neco.2007.19.10.2756.
    """

    name = "pg"

    def __init__(self, sweeps: int = 10) -> None:
        self.sweeps = check_integer(sweeps, "sweeps", 1)
        self.method = Method("pg", self.sweeps, safe_rate)


class GD(QuadraticSolver):
    """Gradient descent: one projected gradient step of each factor in turn, of a length found by Armijo's rule.

    Every row begins with the step to the minimum along its projected gradient, and takes a tenth until the objective
    falls as much as its slope promises. So the objective never rises. What the others are measured against.

    References
    ----------
    L. Armijo (1966), "Minimization of functions having Lipschitz continuous first partial derivatives",
    doi:10.2140/pjm.1966.16.1. D. P. Bertsekas (1976), "On the Goldstein-Levitin-Polyak gradient projection method",
    doi:10.1109/TAC.1976.1101194, for the projection.
    """

    name = "gd"
    method = Method("gd", prepare=safe_rate)


class Nesterov(QuadraticSolver):
    """Nesterov's optimal gradient method on each factor's subproblem, until that is nearly solved.

    Its steps may raise the objective; a row for which a pass has done so stays as it was, so that the objective never
    rises.

    Parameters
    ----------
    sweeps : int
        Steps a pass at most.

    References
    ----------
    N. Guan, D. Tao, Z. Luo and B. Yuan (2012), "NeNMF: an optimal gradient method for nonnegative matrix
    factorization", doi:10.1109/TSP.2012.2190406.
    """

    name = "nesterov"

    def __init__(self, sweeps: int = 20) -> None:
        self.sweeps = check_integer(sweeps, "sweeps", 1)
        self.method = Method("nesterov", self.sweeps, safe_rate)
