"""What a loss has to say."""

from abc import ABC, abstractmethod

import numpy as np


class Loss(ABC):
    """A scalar loss d(x, y) >= 0, zero where x = y; the divergence is its sum over the entries of X.

    Attributes
    ----------
    name : str or float
        What results and messages call it: its name in `LOSSES`, or its parameter.
    quadratic : bool
        Whether d is a quadratic function of y with the same curvature everywhere, so that the Gram matrix of a
        factor and its product with X say all about a subproblem.
    """

    name: str | float
    quadratic: bool

    @abstractmethod
    def value(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """d(x, y), elementwise, for x >= 0 and y > 0."""

    @abstractmethod
    def gradient(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The derivative of d(x, y) with respect to y, elementwise."""
