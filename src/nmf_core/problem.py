"""What is minimised, and the record of minimising it."""

from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmf_core.data import Layout, Matrix, ObservedMatrix, as_container
from nmf_core.engine import factor_array, reduce_rows
from nmf_core.factors import Factor, with_penalties
from nmf_core.losses import LOSSES, Loss
from nmf_core.typing import Missing
from nmf_core.validation import ArrayOrSparse, check_known, check_zeros

ROWS = 1024  # of a factor that are copied together


@dataclass(frozen=True)
class Problem:
    """min over W, H of divergence(X, W @ H) + penalties, with W and H as their factors say, non-negative by default.

    Parameters
    ----------
    data : FullMatrix or ObservedMatrix
        X, visited by rows or by columns.
    loss : Loss
        The scalar loss.
    k : int
        Components, with those of biases.
    factor_W, factor_H : Factor
        What the factors may be, and what they prefer; of H its transpose is meant.
    biases : pair of int, optional
        Two components whose free halves may have any sign: of the first that of W, H's being ones, of the second that
        of H, W's being ones. Their l2 penalty is that of their factor, without an l1 penalty.
    mean : float
        What has been taken from every entry of X, with biases.
    """

    data: Any
    loss: Loss
    k: int
    factor_W: Factor = field(default_factory=Factor)
    factor_H: Factor = field(default_factory=Factor)
    biases: tuple[int, int] | None = None
    mean: float = 0.0

    @property
    def factors(self) -> tuple[Factor, Factor]:
        """Both factors."""
        return self.factor_W, self.factor_H

    @property
    def n_extra(self) -> int:
        """Components besides those of the factorization."""
        return 0 if self.biases is None else 2

    def X_squared_norm(self) -> float:
        """||X||_F^2, over what is known."""
        shift = self.mean**2 * float(self.data.amounts().sum()) if self.mean else 0.0
        return self.data.squared_norm() + shift

    def divergence(self, W: np.ndarray, Ht: np.ndarray) -> float:
        """The loss summed over X, computed in double from the factor arrays W and Ht alone."""
        F, G = (Ht, W) if self.data.transposed else (W, Ht)
        # that of an exact fit may come out below zero by rounding; NaN stays NaN
        return max(self.data.divergence(F, G, self.loss, self.floors()), 0.0)

    def squared_error(self, W: np.ndarray, Ht: np.ndarray) -> float:
        """||X - W @ H||_F^2, whatever the loss."""
        F, G = (Ht, W) if self.data.transposed else (W, Ht)
        return max(2 * self.data.divergence(F, G, LOSSES["frobenius"], self.floors()), 0.0)

    def floors(self) -> np.ndarray:
        """What entries of the model count as at least in a divergence, for every row of the blocked matrix."""
        if self.biases is not None:
            return np.full(self.data.shape[0], -np.inf)
        return model_floors(self.data, self.loss, double=True)

    def objective(self, W: np.ndarray, Ht: np.ndarray) -> float:
        """The divergence plus the penalties: what every reported objective means."""
        return self.divergence(W, Ht) + self.penalties(W, Ht)

    def penalties(self, W: Any, Ht: Any) -> float:
        """The penalties of both factors."""
        W_costs = reduce_rows(W, _value, self.factor_W, self.k) if self.factor_W.is_penalized else 0.0
        return W_costs + (reduce_rows(Ht, _value, self.factor_H, self.k) if self.factor_H.is_penalized else 0.0)


class Terms(NamedTuple):
    """What is said of an objective besides X and the loss, as in `nmf_core.factorize`.

    Attributes
    ----------
    missing, weights
        What is missing or counts more.
    alphas : tuple of alpha_W, alpha_H and l1_ratio
        Strengths of penalties.
    alpha_scaling : str
        How they grow.
    W, H : Factor
        What else is said of the factors.
    biases : bool
        Whether the model has biases.
    mean : float, optional
        Its mean, if it is known: then H is fixed, too.
    """

    missing: Missing | None = None
    weights: ArrayOrSparse | None = None
    alphas: tuple[float, float | str, float] = (0.0, 0.0, 0.0)
    alpha_scaling: str = "size"
    W: Factor = Factor()
    H: Factor = Factor()
    biases: bool = False
    mean: float | None = None


def container_for(X: ArrayOrSparse, loss: Loss, **needs: Any) -> Matrix:
    """The container of a validated X that suits the loss; `needs` as in `as_container`.

    It is in float64 if powers of what X holds leave float32.
    """
    needs["layout"] = needs.get("layout", Layout())._replace(sparsify=loss.linear)
    data = as_container(X, **needs)
    if data.dtype == np.float64 or loss.quadratic or data.n_stored == 0 or loss.fits_single(data.mean()):
        return data
    if needs.get("weights") is not None:
        needs["weights"] = needs["weights"].astype(np.float64)
    return as_container(X.astype(np.float64), **needs)


def make_problem(
    X: ArrayOrSparse, loss: Loss, k: int, terms: Terms, *, nothing_known: bool = False, advice: str = "", **needs: Any
) -> Problem:
    """The problem of a validated X and k components.

    Parameters
    ----------
    X : ndarray, sparse array or matrix, or blocks of rows
        Validated.
    loss : Loss
        The loss.
    k : int
        Components.
    terms : Terms
        What else the objective holds.
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
    if isinstance(X, Matrix):
        data: Any = copy(X)
        data.engine = needs["engine"]
    else:
        data = container_for(X, loss, missing=terms.missing, weights=terms.weights, **needs)
    partial_ = isinstance(data, ObservedMatrix)
    if partial_ and not nothing_known:
        check_known(data.n_stored)
    check_zeros(data, loss.positive, advice)
    alpha_H, row_weights, shift = terms.alphas[1], None, 0.0
    if terms.alpha_scaling == "observed" and partial_:
        row_weights = data.amounts(), data.amounts(columns=True) if alpha_H else None
    shape = data.shape[::-1] if data.transposed else data.shape
    W, H = with_penalties((terms.W, terms.H), shape, terms.alphas, row_weights)
    if terms.biases and partial_:
        shift = data.mean() if terms.mean is None else terms.mean
        data = data.shifted(shift)
        W, H = (_with_biases(factor, k, fixed) for factor, fixed in ((W, k + 1), (H, k)))
    return Problem(data, loss, k + 2 * terms.biases, W, H, biases=(k, k + 1) if terms.biases else None, mean=shift)


def _with_biases(factor: Factor, k: int, fixed: int) -> Factor:
    """A factor with two components more: one of ones that is fixed, and a free one of any sign."""
    components = np.arange(k + 2)
    mine = components != fixed
    return replace(
        factor,
        lower=np.where((components >= k) & mine, -np.inf, 0.0),
        free=mine if factor.free is None else np.zeros(k + 2, dtype=bool),  # all are, or none
        penalized=mine,
    )


def model_floors(
    data: Matrix, loss: Loss, *, columns: bool = False, by_itself: bool = False, double: bool = False
) -> Any:
    """For every row, or column, of the blocked matrix, the least that an entry of the model counts as.

    Far below what matters, but so large that its powers in the kernels for this loss are finite in the precision of X.
    The row's own mean decides, but for a linear loss that of X, unless rows must be answered `by_itself`: there H is
    improved column by column, and both must agree on what the divergence is. In the precision of X, or the same numbers
    in `double`.
    """
    power = loss.steepness
    if power == 0:  # everything is finite everywhere
        mean: float | None = 0.0
        share = least = 0.0
    else:
        digits = min(18.0, (24 if data.dtype == np.float32 else 200) / power)
        share, least = 10**-digits, 10.0 ** -((36 if data.dtype == np.float32 else 300) / power)
        mean = data.mean() if loss.linear and not by_itself else None
    return data.map_rows(partial(_floors, share=share, least=least, dtype=data.dtype, double=double), mean, columns)


def _floors(means: np.ndarray, share: float, least: float, dtype: np.dtype, double: bool) -> np.ndarray:
    floors = np.maximum(share * means, least).astype(dtype)
    return floors.astype(np.float64) if double else floors


def _value(F: np.ndarray, factor: Factor, k: int, engine: Any) -> float:
    return factor.value(F, k)


def transposed(F: np.ndarray, k: int) -> np.ndarray:
    """A copy of the first k columns of a factor array (n, ld) as (k, n), block by block: each stays in the cache."""
    array = np.empty((k, len(F)), dtype=F.dtype)
    for first in range(0, len(F), ROWS):
        array[:, first : first + ROWS] = F[first : first + ROWS, :k].T
    return array


def empty_arrays(data: Matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Factor arrays of zeros for W and Ht, where those of X live."""
    blocked, other = data.empty_factor(k), factor_array(data.shape[1], k, data.dtype)
    return (other, blocked) if data.transposed else (blocked, other)


def start_arrays(data: Matrix, k: int, W: Any, Ht: Any) -> tuple[np.ndarray, np.ndarray]:
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

    def __repr__(self) -> str:
        return f"<Biases of {len(self.rows)} samples and {len(self.columns)} features, mean {self.mean:.4g}>"


class Start(NamedTuple):
    """How the fit from one of several starts has ended.

    Attributes
    ----------
    seed : int or None
        Of the start; None if it was drawn from a source of randomness without one.
    objective : float
        The objective that was reached.
    n_iter : int
        Iterations done.
    stop_reason : str
        As in `Factorization`, or "dropped": it could not become better than one of those before it.
    """

    seed: int | None
    objective: float
    n_iter: int
    stop_reason: str


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
        The relative length of the iteration's projected gradient steps (see `nmf_core.solvers.State`); zero where the
        Karush-Kuhn-Tucker conditions hold.
    starts : list of Start
        With `n_init` above 1, how all of them have ended, the best among them: the course is that of this one.
    """

    seconds: np.ndarray
    objective: np.ndarray
    violation: np.ndarray
    starts: list[Start] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.seconds)
