"""Penalties on a factor, and how they shift a quadratic subproblem."""

from dataclasses import dataclass

import numpy as np

ALPHA_SCALINGS = ("size", "observed")


@dataclass(frozen=True)
class Penalty:
    """l1 * sum(F) + l2 / 2 * ||F||_F^2 for one factor F >= 0, or the sum of this over its rows, times their amounts.

    Parameters
    ----------
    l1, l2 : float
        Strengths, >= 0, as they stand in the objective.
    amounts : ndarray of shape (n,), optional
        What the penalty of every row is multiplied by.
    """

    l1: float = 0.0
    l2: float = 0.0
    amounts: np.ndarray | None = None

    def value(self, F: np.ndarray) -> float:
        """The penalty of F, summed in double."""
        total = 0.0
        if self.l1:
            sums = F.sum(dtype=np.float64) if self.amounts is None else self.amounts @ F.sum(axis=1, dtype=np.float64)
            total += self.l1 * float(sums)
        if self.l2:
            rows = np.einsum("ij,ij->" if self.amounts is None else "ij,ij->i", F, F, dtype=np.float64)
            total += self.l2 / 2 * float(rows if self.amounts is None else self.amounts @ rows)
        return total

    def amounts_of(self, n: int, dtype: np.dtype) -> np.ndarray:
        """The amounts of n rows, ones by default, in this precision."""
        return np.ones(n, dtype=dtype) if self.amounts is None else self.amounts.astype(dtype)

    def shift(self, gram: np.ndarray) -> np.ndarray:
        """The Gram matrix (k, k) of the penalised subproblem, contiguous; its linear term gains -l1."""
        return gram + self.l2 * np.eye(len(gram), dtype=gram.dtype) if self.l2 else np.ascontiguousarray(gram)


def make_penalties(
    shape: tuple[float, int],
    alpha_W: float,
    alpha_H: float | str,
    l1_ratio: float,
    amounts: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> tuple[Penalty, Penalty]:
    """Penalties of W and H, scaled as scikit-learn scales them, or by what is known of every row and column.

    Those of W grow with the number of features and those of H with the number of samples, so that the balance
    between data and penalties does not depend on the size of X. With `amounts` the penalty of a row of W grows with
    what is known of that row of X, that of a column of H with what is known of that column.

    Parameters
    ----------
    shape : pair of numbers
        (n_samples, n_features).
    alpha_W, alpha_H : float
        Strengths; ``alpha_H="same"`` takes `alpha_W`.
    l1_ratio : float
        Share of the l1 part, between 0 and 1.
    amounts : pair of ndarray of shape (n_samples,) and (n_features,), optional
        How many entries are known of every sample and every feature, or what their weights sum up to.

    References
    ----------
    Y. Zhou, D. Wilkinson, R. Schreiber and R. Pan (2008), "Large-scale parallel collaborative filtering for the Netflix
    prize", doi:10.1007/978-3-540-68880-8_32, for the second.
    """
    n_samples, n_features = shape
    strength_W, strength_H = float(alpha_W), float(alpha_W if isinstance(alpha_H, str) else alpha_H)
    if amounts is None:
        strength_W, strength_H = n_features * strength_W, n_samples * strength_H
    of_W, of_H = (None, None) if amounts is None else amounts
    return (
        Penalty(strength_W * l1_ratio, strength_W * (1 - l1_ratio), of_W),
        Penalty(strength_H * l1_ratio, strength_H * (1 - l1_ratio), of_H),
    )
