"""What a loss has to say."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class Loss(ABC):
    """A scalar loss d(x, y) >= 0, zero where x = y; the divergence is its sum over the entries of X.

    A loss of one's own has a `name`, `value` and `gradient_parts`: factors are then found by multiplicative updates in
    NumPy, block of rows by block of rows. What else it declares makes that faster or safer.

    Attributes
    ----------
    name : str or float
        What results and messages call it.
    kernel : float or None
        The beta with which the compiled kernels compute it; None where they do not.
    quadratic : bool
        Whether d is a quadratic function of y with the same curvature everywhere, so that the Gram matrix of a
        factor and its product with X say all about a subproblem.
    linear : bool
        Whether the second part of the gradient is one everywhere, as for Kullback-Leibler: zeros of X are of no
        concern then beyond the sums of the factors.
    convex : bool
        Whether d is convex in y.
    positive : bool
        Whether d is infinite where x is zero.
    exponent : float
        The power of the ratio of the gradient's two parts with which a multiplicative update never raises the
        divergence.
    bold : bool
        Whether near a solution the power 1 converges, too, where `exponent` is smaller.
    steepness : float
        The highest power of 1 / y in d, its gradient and its curvature: the model is kept so far from zero that this
        is finite. With 0 it may be zero.
    den_growth : float or None
        The power of a factor's entry by which its denominator can grow at most, where that is below 1.
    """

    name: str | float
    kernel: float | None = None
    quadratic: bool = False
    linear: bool = False
    convex: bool = False
    positive: bool = False
    exponent: float = 1.0
    bold: bool = False
    steepness: float = 0.0
    den_growth: float | None = None

    @property
    def identity(self) -> Any:
        """What a checkpoint knows it by: its name and, of a class of one's own, its attributes."""
        return self.name if self.kernel is not None else f"{self.name} {vars(self)}"

    @abstractmethod
    def value(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """d(x, y), elementwise, for x >= 0 and y >= 0."""

    @abstractmethod
    def gradient_parts(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two non-negative arrays, the second less the first being the derivative of d(x, y) with respect to y."""

    def gradient(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The derivative of d(x, y) with respect to y, elementwise."""
        numerator, denominator = self.gradient_parts(x, y)
        return denominator - numerator

    def fits_single(self, mean: float) -> bool:
        """Whether float32 holds what is computed of entries of about this size."""
        return True

    def constant(self, data: Any) -> float:
        """What kernels leave out of the divergence because it depends on X alone, for a matrix with `sum_of`."""
        return 0.0

    def mass(self, data: Any) -> float:
        """The scale of a divergence, and of y^2 times its second derivative: by default ||X||^2."""
        return data.squared_norm()
