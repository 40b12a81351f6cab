"""What is minimised, and the record of minimising it."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmf_core._core import Team
from nmf_core.data import Container, Partial, as_container, factor_array, over_rows
from nmf_core.losses import Beta
from nmf_core.penalties import Penalty, make_penalties
from nmf_core.validation import Matrix, check_known, check_zeros

ROWS = 1024  # of a factor that are copied together


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
    biases : pair of int, optional
        Two components whose free halves may have any sign: of the first that of W, H's being ones, of the second that
        of H, W's being ones. Their l2 penalty is that of their factor, without an l1 penalty.
    mean : float
        What has been taken from every entry of X, with biases.
    """

    data: Container
    loss: Beta
    penalty_W: Penalty = field(default_factory=Penalty)
    penalty_H: Penalty = field(default_factory=Penalty)
    biases: tuple[int, int] | None = None
    mean: float = 0.0

    @property
    def n_extra(self) -> int:
        """Components besides those of the factorization."""
        return 0 if self.biases is None else 2

    def X_squared_norm(self) -> float:
        """||X||_F^2, over what is known."""
        shift = self.mean**2 * float(self.data.amounts().sum()) if self.mean else 0.0
        return self.data.squared_norm() + shift

    def divergence(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """The loss summed over X, computed in double from the factor arrays W and Ht alone."""
        F, G = (Ht, W) if self.data.transposed else (W, Ht)
        # that of an exact fit may come out below zero by rounding; NaN stays NaN
        return max(self.data.divergence(F, G, self.loss.beta, self.floors(), team), 0.0)

    def squared_error(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """||X - W @ H||_F^2, whatever the loss."""
        F, G = (Ht, W) if self.data.transposed else (W, Ht)
        return max(2 * self.data.divergence(F, G, 2.0, self.floors(), team), 0.0)

    def floors(self) -> np.ndarray:
        """What entries of the model count as at least in a divergence, for every row of the blocked matrix."""
        if self.biases is not None:
            return np.full(self.data.shape[0], -np.inf)
        return model_floors(self.data, self.loss.beta, double=True)

    def objective(self, W: np.ndarray, Ht: np.ndarray, team: Team) -> float:
        """The divergence plus the penalties: what every reported objective means."""
        return self.divergence(W, Ht, team) + self.penalties(W, Ht)

    def penalties(self, W: np.ndarray, Ht: np.ndarray) -> float:
        """The penalties of both factors."""
        if self.biases is None:
            return sum(
                over_rows(F, _value, penalty)
                for F, penalty in ((W, self.penalty_W), (Ht, self.penalty_H))
                if penalty.l1 or penalty.l2
            )
        k = min(self.biases)
        return sum(
            penalty.value(F[:, :k]) + replace(penalty, l1=0.0).value(F[:, free : free + 1])
            for penalty, F, free in zip((self.penalty_W, self.penalty_H), (W, Ht), self.biases, strict=True)
        )


def container_for(X: Matrix, loss: Beta, **needs: Any) -> Container:
    """The container of a validated X that suits the loss; `needs` as in `as_container`.

    It is in float64 if powers of what X holds leave float32.
    """
    data = as_container(X, zeros_matter=loss.beta != 1, **needs)
    if data.dtype == np.float64 or loss.quadratic or data.n_stored == 0 or loss.fits_single(data.mean()):
        return data
    if needs.get("weights") is not None:
        needs["weights"] = needs["weights"].astype(np.float64)
    return as_container(X.astype(np.float64), zeros_matter=loss.beta != 1, **needs)


def pose(
    X: Matrix,
    loss: Beta,
    k: int,
    *,
    missing: str | None,
    weights: Matrix | None,
    alpha_W: float,
    alpha_H: float | str,
    l1_ratio: float,
    alpha_scaling: str,
    biases: bool = False,
    mean: float | None = None,
    nothing_known: bool = False,
    advice: str = "",
    **needs: Any,
) -> Problem:
    """The problem of a validated X, k components and the arguments of `nmf_core.factorize`.

    Parameters
    ----------
    mean : float, optional
        The mean of a model with biases, if it is known: then H is fixed, too.
    nothing_known : bool
        Whether X may be missing altogether.
    advice : str
        What else is to be said of zeros that the loss does not allow.
    **needs
        As in `as_container`.

    Raises
    ------
    ValueError
        Nothing is known of X, or it is zero somewhere, which the loss does not allow.
    """
    data = container_for(X, loss, missing=missing, weights=weights, **needs)
    if isinstance(data, Partial) and not nothing_known:
        check_known(data.n_stored)
    check_zeros(data, loss.beta, advice)
    shift = 0.0
    if biases and isinstance(data, Partial):
        shift = data.mean() if mean is None else mean
        data = data.shifted(shift)
    amounts = None
    if alpha_scaling == "observed" and isinstance(data, Partial):
        amounts = data.amounts(), data.amounts(columns=True) if alpha_H else None
    penalties = make_penalties(X.shape, alpha_W, alpha_H, l1_ratio, amounts)
    return Problem(data, loss, *penalties, biases=(k, k + 1) if biases else None, mean=shift)


def model_floors(
    data: Container, beta: float, *, columns: bool = False, by_itself: bool = False, double: bool = False
) -> Any:
    """For every row, or column, of the blocked matrix, the least that an entry of the model counts as.

    Far below what matters, but so large that its powers in the kernels for this beta are finite in the precision of X.
    The row's own mean decides, but for Kullback-Leibler that of X, unless rows must be answered `by_itself`: there H is
    improved column by column, and both must agree on what the divergence is. In the precision of X, or the same numbers
    in `double`.
    """
    power = 2.0 if beta == 1 else max(1.0, 2 - beta)
    digits = min(18.0, (24 if data.dtype == np.float32 else 200) / power)
    least = 10.0 ** -((36 if data.dtype == np.float32 else 300) / power)
    mean = None
    if beta == 2:  # squared errors are finite everywhere
        mean = least = 0.0
    elif beta == 1 and not by_itself:
        mean = data.mean()
    return data.per_row(
        partial(_floors, share=10**-digits, least=least, dtype=data.dtype, double=double), mean, columns
    )


def _floors(means: np.ndarray, share: float, least: float, dtype: np.dtype, double: bool) -> np.ndarray:
    floors = np.maximum(share * means, least).astype(dtype)
    return floors.astype(np.float64) if double else floors


def _value(F: np.ndarray, penalty: Penalty, team: Any) -> float:
    return penalty.value(F)


def padded(F: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A factor array that holds a copy of F (n, k)."""
    array = factor_array(F.shape[0], F.shape[1], dtype)
    array[:, : F.shape[1]] = F
    return array


def transposed(F: np.ndarray, k: int) -> np.ndarray:
    """A copy of the first k columns of a factor array (n, ld) as (k, n), block by block: each stays in the cache."""
    array = np.empty((k, len(F)), dtype=F.dtype)
    for first in range(0, len(F), ROWS):
        array[:, first : first + ROWS] = F[first : first + ROWS, :k].T
    return array


def empty_arrays(data: Container, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Factor arrays of zeros for W and Ht, where those of X live."""
    blocked, other = data.room(k), factor_array(data.shape[1], k, data.dtype)
    return (other, blocked) if data.transposed else (blocked, other)


def start_arrays(data: Container, k: int, W: Any, Ht: Any) -> tuple[np.ndarray, np.ndarray]:
    """Copies of the first k columns of W (n_samples, ...) and Ht (n_features, ...), where factors of X live."""
    arrays = empty_arrays(data, k)
    for array, F in zip(arrays, (W, Ht), strict=True):
        array[:, :k] = F[:, :k] if isinstance(F, np.ndarray) else F
    return arrays


class Biases(NamedTuple):
    """What a model holds besides W @ H: ``mean + rows[:, numpy.newaxis] + columns``.

    Attributes
    ----------
    mean : float
        The mean of what is known of X.
    rows : ndarray of shape (n_samples,)
        How much a sample lies above it.
    columns : ndarray of shape (n_features,)
        How much a feature does.
    """

    mean: float
    rows: np.ndarray
    columns: np.ndarray


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
