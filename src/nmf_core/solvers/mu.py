"""Multiplicative updates."""

from collections.abc import Callable

from nmf_core.data import Complete, Container
from nmf_core.solvers.base import Solver
from nmf_core.solvers.beta import BetaFit
from nmf_core.solvers.fit import Fit, Method
from nmf_core.solvers.observed import ObservedFit
from nmf_core.solvers.quadratic import QuadraticFit


class MU(Solver):
    """Every entry of a factor is multiplied by a power of the ratio of the two halves of its gradient.

    For every beta-divergence; the objective never rises. Zeros stay zeros, and progress becomes slow near a solution.

    References
    ----------
    D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization", Advances in Neural
    Information Processing Systems 13. C. Fevotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization
    with the beta-divergence", doi:10.1162/NECO_a_00168.
    """

    name = "mu"
    method = Method("mu")

    def handles(self, beta: float, data: type[Container] = Complete) -> bool:
        return True

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        if issubclass(data, Complete):
            return QuadraticFit if beta == 2 else BetaFit
        return ObservedFit

    def upright(self, beta: float) -> bool:
        return self.kind(beta, Complete) is BetaFit


class ExtrapolatedMU(MU):
    """Multiplicative updates from an extrapolated pair, which is taken back where the objective has risen.

    The first iterations of a complete X are plain, eighty of them where beta is above 2, or below 1 and X dense (forty
    where it is sparse), after which an objective is reached in a fraction of the iterations. For beta below 1 the
    exponent of extrapolated updates is 1 after a while. For beta between 1 and 2 each update of sparse data is
    followed by others for which only the stored entries are looked at again (see `nmf_core.solvers.beta`).

    References
    ----------
    L. T. K. Hien, V. Leplat and N. Gillis (2024), "Block majorization minimization with extrapolation and application
    to beta-NMF", doi:10.48550/arXiv.2401.06646.
    """

    name = "mue"
    accelerated = True

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        return BetaFit if issubclass(data, Complete) else ObservedFit
