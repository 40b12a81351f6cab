"""What is minimised, and the record of minimising it."""

from dataclasses import dataclass, field

import numpy as np

from nmf_core._core import Team
from nmf_core.data import Container, factor_array
from nmf_core.losses import Loss
from nmf_core.penalties import Penalty


@dataclass(frozen=True)
class Problem:
    """min over W, H >= 0 of divergence(X, W @ H) + penalty_W(W) + penalty_H(H).

    Parameters
    ----------
    data : Container
        X, visited by rows or by columns.
    loss : Loss
        The scalar loss.
    penalty_W, penalty_H : Penalty
        Penalties of the factors.
    """

    data: Container
    loss: Loss
    penalty_W: Penalty = field(default_factory=Penalty)
    penalty_H: Penalty = field(default_factory=Penalty)

    def divergence(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """The loss summed over X, computed in double from the factor arrays W and Ht alone."""
        F, G = (Ht, W) if self.data.transposed else (W, Ht)
        return self.data.squared_residual(F, G, team) / 2

    def objective(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """The divergence plus the penalties: what every reported objective means."""
        return self.divergence(W, Ht, team) + self.penalties(W, Ht)

    def penalties(self, W: np.ndarray, Ht: np.ndarray) -> float:
        """The penalties of both factors."""
        return self.penalty_W.value(W) + self.penalty_H.value(Ht)


def padded(F: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A factor array that holds a copy of F (n, k)."""
    n, k = F.shape
    array = factor_array(n, k, dtype)
    array[:, :k] = F
    return array


@dataclass
class History:
    """The course of a fit, one entry an iteration.

    Attributes
    ----------
    seconds : ndarray of float64
        Time since the start of the fit, initialization included.
    objective : ndarray of float64
        The objective after the iteration.
    violation : ndarray of float64
        The relative length of the iteration's projected gradient steps (see `nmf_core.solvers.fit`); zero where the
        Karush-Kuhn-Tucker conditions hold.
    """

    seconds: np.ndarray
    objective: np.ndarray
    violation: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)
