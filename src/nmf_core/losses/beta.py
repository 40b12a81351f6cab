"""The family of beta-divergences: squared error, Kullback-Leibler, Itakura-Saito and all between and beyond."""

import math
from typing import Any

import numpy as np

from nmf_core.losses.base import Loss


class Beta(Loss):
    """d(x, y) = (x^b + (b - 1) y^b - b x y^(b - 1)) / (b (b - 1)), continued where b is 0 or 1.

    beta = 2 is half the squared error, 1 the (generalised) Kullback-Leibler divergence x log(x / y) - x + y, 0 the
    divergence of Itakura and Saito, x / y - log(x / y) - 1, which needs x > 0.

    Parameters
    ----------
    beta : float
        Which one.
    name : str, optional
        What it is called, if not by its beta.

    References
    ----------
    C. Fevotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with the beta-divergence",
    doi:10.1162/NECO_a_00168.
    """

    def __init__(self, beta: float, name: str | None = None) -> None:
        self.beta = self.kernel = beta = float(beta)
        self.name = beta if name is None else name
        self.quadratic = beta == 2
        self.linear = beta == 1
        self.convex = 1 <= beta <= 2
        self.positive = beta <= 0
        # By majorisation and minimisation.
        self.exponent = 1 / (2 - beta) if beta < 1 else 1 / (beta - 1) if beta > 2 else 1.0
        self.bold = beta < 1
        self.steepness = 0.0 if beta == 2 else 2.0 if beta == 1 else max(1.0, 2 - beta)
        self.den_growth = beta - 1 if 1 < beta < 2 else None

    def value(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """d(x, y), without loss of digits where beta is near 0 or 1."""
        beta = self.beta
        if beta == 2:
            return (x - y) ** 2 / 2
        ratio = x / y
        with np.errstate(divide="ignore", invalid="ignore"):
            # (ratio^p - 1) / p, by expm1; its limit at p = 0 is the logarithm
            power = beta if beta < 0.5 else beta - 1
            logarithm = np.log(ratio)
            change = np.expm1(power * logarithm) / power if power else logarithm
            if beta < 0.5:
                return y**beta * (1 - ratio + change) / (beta - 1)
            # ratio log ratio and its likes are zero at zero
            return y**beta * (np.where(ratio > 0, ratio * change, 0.0) + 1 - ratio) / beta

    def gradient_parts(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X y^(beta - 2) and y^(beta - 1)."""
        power = y ** (self.beta - 2)
        return x * power, y * power

    def gradient(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The difference y^(beta - 1) - x y^(beta - 2)."""
        return y ** (self.beta - 2) * (y - x)

    def fits_single(self, mean: float) -> bool:
        """Whether float32 holds the powers that are computed of entries of about this size."""
        power = 2.0 if self.beta == 1 else max(2 - self.beta, self.beta)
        return self.quadratic or mean <= 0 or abs(math.log10(mean)) * power <= 30

    def constant(self, data: Any) -> float:
        """What d(x, y) holds of x alone, summed over X: a container whose `sum_of` sums a function of the entries."""
        beta = self.beta
        if beta == 1:
            return 0.0
        if beta == 0:
            return -data.sum_of(lambda x: np.log(x) + 1)
        return data.sum_of(lambda x: x**beta) / (beta * (beta - 1))

    def mass(self, data: Any) -> float:
        """The sum of x^beta over X: the scale of a divergence, and about y^2 times its second derivative there."""
        if self.quadratic:
            return data.squared_norm()
        return data.sum() if self.beta == 1 else data.sum_of(lambda x: x**self.beta)
