"""Alternating non-negative least squares: exact subproblems."""

import numpy as np

from nmf_core.solvers.base import Method
from nmf_core.solvers.quadratic import QuadraticSolver


def unit_diagonal(gram: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`gram` (k, k) scaled to ones on its diagonal, and the scale (k,): pivoting wants unknowns of one size.

    What is not in `order` has a scale of zero, and rows and columns of the identity; so has a component of zeros.
    """
    sizes = np.sqrt(gram.diagonal())
    scale = np.zeros_like(sizes)
    np.divide(1, sizes, out=scale, where=np.isin(np.arange(len(gram)), order) & (sizes > 0))
    unit = gram * scale * scale[:, np.newaxis]
    np.fill_diagonal(unit, 1)
    return unit, scale


def _for_pivoting(gram: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, float]:
    return unit_diagonal(gram, order)[0], 0.0


class BPP(QuadraticSolver):
    """A factor becomes the solution of its non-negative least squares problem, by block principal pivoting.

    The objective never rises, and a limit point satisfies the Karush-Kuhn-Tucker conditions.

    References
    ----------
    J. Kim and H. Park (2011), "Fast nonnegative matrix factorization: an active-set-like method and comparisons",
    doi:10.1137/110821172.
    """

    name = "anls-bpp"
    method = Method("bpp", prepare=_for_pivoting)


class ActiveSet(QuadraticSolver):
    """The same by the active set method, every row starting from the zeros that it had.

    References
    ----------
    R. Bro and S. de Jong (1997), "A fast non-negativity-constrained least squares algorithm", Journal of Chemometrics
    11, 393-401. H. Kim and H. Park (2008), "Nonnegative matrix factorization based on alternating nonnegativity
    constrained least squares and active set method", doi:10.1137/07069239X.
    """

    name = "anls-as"
    method = Method("as", prepare=_for_pivoting)
