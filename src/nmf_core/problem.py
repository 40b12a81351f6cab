"""What is minimised, and the record of minimising it."""

from dataclasses import dataclass, field

import numpy as np

from nmf_core._core import Team
from nmf_core.data import Container, as_container, factor_array
from nmf_core.losses import Beta
from nmf_core.penalties import Penalty
from nmf_core.validation import Matrix


@dataclass(frozen=True)
class Problem:
    """min over W, H >= 0 of divergence(X, W @ H) + penalty_W(W) + penalty_H(H).

    Parameters
    ----------
    data : Container
        X, visited by rows or by columns.
    loss : Beta
        The scalar loss.
    penalty_W, penalty_H : Penalty
        Penalties of the factors.
    """

    data: Container
    loss: Beta
    penalty_W: Penalty = field(default_factory=Penalty)
    penalty_H: Penalty = field(default_factory=Penalty)

    def divergence(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """The loss summed over X, computed in double from the factor arrays W and Ht alone."""
        F, G = (Ht, W) if self.data.transposed else (W, Ht)
        # that of an exact fit may come out below zero by rounding
        return max(0.0, self.data.divergence(F, G, self.loss.beta, self.floors(), team))

    def squared_error(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """||X - W @ H||_F^2, whatever the loss."""
        F, G = (Ht, W) if self.data.transposed else (W, Ht)
        return max(0.0, 2 * self.data.divergence(F, G, 2.0, self.floors(), team))

    def floors(self) -> np.ndarray:
        """What entries of the model count as at least in a divergence, for every row of the blocked matrix."""
        return model_floors(self.data, self.loss.beta).astype(np.float64)

    def objective(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """The divergence plus the penalties: what every reported objective means."""
        return self.divergence(W, Ht, team) + self.penalties(W, Ht)

    def penalties(self, W: np.ndarray, Ht: np.ndarray) -> float:
        """The penalties of both factors."""
        return self.penalty_W.value(W) + self.penalty_H.value(Ht)


def container_for(X: Matrix, loss: Beta, *, upright: bool, by_rows: bool = False) -> Container:
    """The container of a validated X that suits the loss; `upright` and `by_rows` as in `as_container`."""
    return as_container(X, by_rows=by_rows, upright=upright, zeros_matter=loss.beta != 1)


def model_floors(data: Container, beta: float, *, columns: bool = False, by_itself: bool = False) -> np.ndarray:
    """For every row, or column, of the blocked matrix, the least that an entry of the model counts as.

    Far below what matters, but so large that its powers in the kernels for this beta are finite in the precision of X.
    The row's own mean decides, but for Kullback-Leibler that of X, unless rows must be answered `by_itself`: there H is
    improved column by column, and both must agree on what the divergence is.
    """
    power = 2.0 if beta == 1 else max(1.0, 2 - beta)
    digits = min(18.0, (24 if data.dtype == np.float32 else 200) / power)
    least = 10.0 ** -((36 if data.dtype == np.float32 else 300) / power)
    if beta == 1 and not by_itself:
        means = np.full(data.shape[1 if columns else 0], data.sum() / (data.shape[0] * data.shape[1]))
    else:
        means = data.sums(columns=columns) / data.shape[0 if columns else 1]
    return np.maximum(10**-digits * means, least).astype(data.dtype)


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
