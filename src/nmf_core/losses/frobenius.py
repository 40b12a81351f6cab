"""The squared error."""

import numpy as np

from nmf_core.losses.base import Loss


class Frobenius(Loss):
    """d(x, y) = (x - y)^2 / 2, so the divergence is ||X - W H||_F^2 / 2."""

    name = "frobenius"
    quadratic = True

    def value(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(x - y)^2 / 2."""
        return (x - y) ** 2 / 2

    def gradient(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The model's excess, y - x."""
        return y - x
