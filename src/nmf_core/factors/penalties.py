"""Penalties on a factor, and how they shift a quadratic subproblem."""

from abc import ABC, abstractmethod

import numpy as np

from nmf_core.factors.factor import Factor

ALPHA_SCALINGS = ("size", "observed")


class Penalty(ABC):
    """A function of a factor F (n, k) that is added to the objective.

    It has a `value`, and says how it changes the subproblem min 1/2 F gram F.T - cross F.T, in one or both of two ways.
    """

    @abstractmethod
    def value(self, F: np.ndarray) -> float:
        """The penalty of F (n, k)."""

    def quadratic(self, k: int) -> np.ndarray | None:
        """Q (k, k) where the penalty of a row f is f Q f / 2: it is added to the Gram matrix, and symmetric."""
        return None

    def linear(self, F: np.ndarray) -> np.ndarray | None:
        """The slope (n, k) of what else there is, at F: it is taken from ``X @ H.T``, or ``X.T @ W``.

        For the objective not to rise it must be, together with `quadratic`, that of a function which bounds the penalty
        from above and touches it at F.
        """
        return None


def with_penalties(
    factors: tuple[Factor, Factor],
    shape: tuple[float, int],
    alphas: tuple[float, float | str, float],
    row_weights: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> tuple[Factor, Factor]:
    """Factors W and H with l1 and l2 penalties, scaled as scikit-learn scales them, or by what is known of every row.

    Those of W grow with the number of features and those of H with the number of samples, so that the balance
    between data and penalties does not depend on the size of X. With `row_weights` the penalty of a row of W grows with
    what is known of that row of X, that of a column of H with what is known of that column.

    Parameters
    ----------
    factors : pair of Factor
        What is said of W and H besides.
    shape : pair of numbers
        (n_samples, n_features).
    alphas : tuple of alpha_W, alpha_H and l1_ratio
        Strengths, of which ``alpha_H="same"`` takes `alpha_W`, and the share of the l1 part, between 0 and 1.
    row_weights : pair of ndarray of shape (n_samples,) and (n_features,), optional
        How many entries are known of every sample and every feature, or what their weights sum up to.

    References
    ----------
    Y. Zhou, D. Wilkinson, R. Schreiber and R. Pan (2008), "Large-scale parallel collaborative filtering for the Netflix
    prize", doi:10.1007/978-3-540-68880-8_32, for the second.
    """
    n_samples, n_features = shape
    alpha_W, alpha_H, l1_ratio = alphas
    strengths = [float(alpha_W), float(alpha_W if isinstance(alpha_H, str) else alpha_H)]
    if row_weights is None:
        strengths = [n_features * strengths[0], n_samples * strengths[1]]
    W, H = (
        factor.penalized_by(strength * l1_ratio, strength * (1 - l1_ratio), weights)
        for factor, strength, weights in zip(factors, strengths, row_weights or (None, None), strict=True)
    )
    return W, H
