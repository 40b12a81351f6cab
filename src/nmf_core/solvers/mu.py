"""Multiplicative updates."""

from nmf_core.data import FullMatrix, Matrix
from nmf_core.losses import Loss
from nmf_core.solvers.base import Method, Solver
from nmf_core.solvers.gradients import GradientSolver
from nmf_core.solvers.observed import ObservedSolver
from nmf_core.solvers.quadratic import QuadraticSolver


class _QuadraticMU(QuadraticSolver):
    name = "mu"
    method = Method("mu")


class MU(Solver):
    """Every entry of a factor is multiplied by a power of the ratio of the two parts of its gradient.

    For every loss; for beta-divergences the objective never rises. Zeros stay zeros, and progress becomes slow near a
    solution.

    References
    ----------
    D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization", Advances in Neural
    Information Processing Systems 13. C. Fevotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization
    with the beta-divergence", doi:10.1162/NECO_a_00168.
    """

    name = "mu"

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return True

    def suited(self, loss: Loss, data: type[Matrix]) -> Solver:
        if not issubclass(data, FullMatrix):
            return ObservedSolver()
        return _QuadraticMU() if loss.quadratic else GradientSolver()

    def row_major(self, loss: Loss) -> bool:
        return self.suited(loss, FullMatrix).row_major(loss)


class ExtrapolatedMU(MU):
    """Multiplicative updates from an extrapolated pair, which is taken back where the objective has risen.

    The first iterations of a complete X are plain, eighty of them where the loss is not convex in the model (forty for
    beta below 1 and a sparse X), after which an objective is reached in a fraction of the iterations. For beta below 1
    the exponent of extrapolated updates is 1 after a while. For beta between 1 and 2 each update of sparse data is
    followed by others for which only the stored entries are looked at again (see `nmf_core.solvers.gradients`).

    References
    ----------
    L. T. K. Hien, V. Leplat and N. Gillis (2024), "Block majorization minimization with extrapolation and application
    to beta-NMF", doi:10.48550/arXiv.2401.06646.
    """

    name = "mue"
    accelerated = True

    def suited(self, loss: Loss, data: type[Matrix]) -> Solver:
        solver = GradientSolver() if issubclass(data, FullMatrix) else ObservedSolver()
        solver.name, solver.accelerated = self.name, True
        return solver
