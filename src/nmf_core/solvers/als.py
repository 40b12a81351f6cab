"""Alternating least squares with projection."""

import numpy as np

from nmf_core.data import Matrix
from nmf_core.solvers.base import Method
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.stopping import Rule, SmallStep, SmallViolation

# A Gram matrix whose smallest eigenvalue is below this share of its largest entry is regularised by so much.
SINGULAR = {"float32": 1e-5, "float64": 1e-11}


def inverse_of_free(gram: np.ndarray, order: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """The inverse of ``gram + ridge * I`` for the components in `order`, zero elsewhere: (k, k) in the dtype of gram.

    Where that is singular or nearly so, with the least ridge more that makes it regular. A component of which the other
    factor has nothing is a system of its own.
    """
    diagonal = gram.diagonal()[order].astype(np.float64) + ridge
    alive = order[diagonal > 0]
    inverse = np.zeros_like(gram)
    least = SINGULAR[gram.dtype.name] * float(diagonal.max(initial=0.0)) or 1.0
    inverse[order, order] = 1 / least
    values, vectors = np.linalg.eigh(gram[np.ix_(alive, alive)].astype(np.float64))
    values += ridge
    if values.min(initial=np.inf) < least:
        values += least - min(0.0, float(values.min()))
    inverse[np.ix_(alive, alive)] = vectors / values @ vectors.T
    return inverse


class ALS(QuadraticSolver):
    """A factor becomes the least squares solution without bounds, and its negative entries zero.

    Cheap and common, but projection is not the way to the solution with bounds: the objective may rise, and the fit
    need not end where the Karush-Kuhn-Tucker conditions hold. A Gram matrix that is singular, or nearly so, is
    regularised (Tikhonov).

    References
    ----------
    P. Paatero and U. Tapper (1994), "Positive matrix factorization", doi:10.1002/env.3170050203. M. W. Berry et al.
    (2007), "Algorithms and applications for approximate nonnegative matrix factorization",
    doi:10.1016/j.csda.2006.11.006.
    """

    name = "als"
    method = Method("als", prepare=lambda gram, order: (inverse_of_free(gram, order), 0.0))
    monotone = False

    def rules(self, tol: float, data: type[Matrix]) -> list[Rule]:
        # the objective may rise, and where the fit ends the violation need not be zero
        return [SmallViolation(tol), SmallStep(tol)]
