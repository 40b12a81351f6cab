"""Penalties on a factor, and how they shift a quadratic subproblem."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Penalty:
    """l1 * sum(F) + l2 / 2 * ||F||_F^2 for one factor F >= 0.

    Parameters
    ----------
    l1, l2 : float
        Strengths, >= 0, as they stand in the objective.
    """

    l1: float = 0.0
    l2: float = 0.0

    def value(self, F: np.ndarray) -> float:
        """The penalty of F, summed in double."""
        total = 0.0
        if self.l1:
            total += self.l1 * float(F.sum(dtype=np.float64))
        if self.l2:
            total += self.l2 / 2 * float(np.einsum("ij,ij->", F, F, dtype=np.float64))
        return total

    def shift(self, gram: np.ndarray) -> np.ndarray:
        """The Gram matrix (k, k) of the penalised subproblem, contiguous; its linear term gains -l1."""
        return gram + self.l2 * np.eye(len(gram), dtype=gram.dtype) if self.l2 else np.ascontiguousarray(gram)


def make_penalties(
    shape: tuple[int, int], alpha_W: float, alpha_H: float | str, l1_ratio: float
) -> tuple[Penalty, Penalty]:
    """Penalties of W and H, scaled as scikit-learn scales them.

    Those of W grow with the number of features and those of H with the number of samples, so that the balance
    between data and penalties does not depend on the size of X.

    Parameters
    ----------
    shape : tuple of int
        (n_samples, n_features).
    alpha_W, alpha_H : float
        Strengths; ``alpha_H="same"`` takes `alpha_W`.
    l1_ratio : float
        Share of the l1 part, between 0 and 1.
    """
    n_samples, n_features = shape
    strength_W = n_features * float(alpha_W)
    strength_H = n_samples * float(alpha_W if isinstance(alpha_H, str) else alpha_H)
    return (
        Penalty(strength_W * l1_ratio, strength_W * (1 - l1_ratio)),
        Penalty(strength_H * l1_ratio, strength_H * (1 - l1_ratio)),
    )
