"""Hierarchical alternating least squares, that is cyclic coordinate descent."""

from nmf_core.data import FullMatrix, Matrix
from nmf_core.losses import Loss
from nmf_core.solvers.base import Method, Solver
from nmf_core.solvers.observed import ObservedHALS
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.stopping import Rule, SmallViolation


class HALS(QuadraticSolver):
    """One component after the other is set to its minimiser with everything else fixed.

    The objective never rises. Converges much faster than multiplicative updates for the same work.

    References
    ----------
    A. Cichocki and A.-H. Phan (2009), "Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations", doi:10.1587/transfun.E92.A.708. C.-J. Hsieh and I. S. Dhillon (2011), "Fast coordinate descent
    methods with variable selection for non-negative matrix factorization", doi:10.1145/2020408.2020577.
    """

    name = "hals"
    method = Method("hals")
    accelerated = True
    mixed = True
    bounded = True

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return loss.quadratic

    def suited(self, loss: Loss, data: type[Matrix]) -> Solver:
        return self if issubclass(data, FullMatrix) else ObservedHALS()

    def rules(self, tol: float, data: type[Matrix]) -> list[Rule]:
        # Where entries are missing there are directions in which the objective is all but flat.
        return [SmallViolation(tol)] if issubclass(data, FullMatrix) else super().rules(tol, data)
