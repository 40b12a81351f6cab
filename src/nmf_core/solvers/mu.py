"""Multiplicative updates."""

from nmf_core._core import METHODS
from nmf_core.solvers.base import Solver
from nmf_core.stopping import Rule, SmallChange, SmallViolation


class MU(Solver):
    """Every entry of a factor is multiplied by the ratio of the two halves of its gradient.

    The objective never rises. Zeros stay zeros. Progress becomes slow near a solution, so a fit also counts as
    converged when the error has hardly changed over ten iterations, as in scikit-learn.

    References
    ----------
    D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization", Advances in Neural
    Information Processing Systems 13.
    """

    name = "mu"
    method = METHODS["mu"]
    needs_quadratic = True
    accelerated = False

    def rules(self, tol: float) -> list[Rule]:
        return [SmallViolation(tol), SmallChange(tol)]
