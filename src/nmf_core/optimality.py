"""How far factors are from a solution."""

import math
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, Layout, accept
from nmf_core.engine import Engine, Update, factor_array, padded
from nmf_core.factors import Factor
from nmf_core.losses import LOSSES, make_loss
from nmf_core.problem import Problem, Terms, make_problem, model_floors
from nmf_core.solvers.violation import scaled_steps
from nmf_core.threads import serial_blas
from nmf_core.typing import AlphaScaling, LossName, Missing, Same
from nmf_core.validation import check_loss, check_model, check_penalties, check_threads

Side = tuple[np.ndarray, Factor]  # a factor array and what is said of it


def kkt_residual(
    X: Any,
    W: Any,
    H: Any,
    loss: LossName | float = "frobenius",
    *,
    missing: Missing | None = None,
    weights: Any = None,
    alpha_W: float = 0.0,
    alpha_H: float | Same = "same",
    l1_ratio: float = 0.0,
    alpha_scaling: AlphaScaling = "size",
    n_threads: int | None = None,
) -> float:
    """How far W and H are from satisfying the Karush-Kuhn-Tucker conditions.

    The length of the projected gradient steps of all coordinates of W and H, each divided by its curvature, measured by
    what they change in W @ H, relative to X: zero where the conditions hold, unchanged when X is scaled or the scale
    of a component moves between W and H. What `tol` of `nmf_core.factorize` bounds, for steps from one W and H.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        Non-negative.
    W : array-like of shape (n_samples, k)
        First factor.
    H : array-like of shape (k, n_features)
        Second factor.
    loss, missing, weights, alpha_W, alpha_H, l1_ratio, alpha_scaling
        What was minimised, as in `nmf_core.factorize`.
    n_threads : int, optional
        Threads; by default all that are available. The result is the same to the last bit for any number.

    Returns
    -------
    float
        Computed in double.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be.

    References
    ----------
    C.-J. Lin (2007), "Projected gradient methods for nonnegative matrix factorization",
    doi:10.1162/neco.2007.19.10.2756, for the idea of projected gradients; the scale is ours.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> nmf_core.kkt_residual(X, X, np.eye(2))
    0.0
    """
    labels, weights = accept(X, missing, weights)
    X = labels.values
    if not isinstance(X, FullMatrix):
        X = X.astype(np.float64, copy=False)
    weights = None if weights is None else weights.astype(np.float64, copy=False)
    the_loss = make_loss(check_loss(loss, LOSSES))
    W, H = check_model(W, H, X.shape, X.dtype, labels.rows, labels.columns)
    k = len(H)
    check_penalties(alpha_W, alpha_H, l1_ratio, X.shape)
    with serial_blas():
        terms = Terms(missing, weights, (alpha_W, alpha_H, l1_ratio), alpha_scaling)
        engine = Engine(check_threads(n_threads))
        problem = make_problem(X, the_loss, k, terms, layout=Layout(row_major=not the_loss.quadratic), engine=engine)
        sides = (padded(W, X.dtype), problem.factor_W), (padded(H.T, X.dtype), problem.factor_H)
        blocked, other = sides[::-1] if problem.data.transposed else sides
        if not isinstance(problem.data, FullMatrix):
            squares = _of_known_entries(problem, blocked, other)
        elif the_loss.quadratic:
            squares = _of_products(problem.data, blocked, other, k)
        else:
            squares = _of_parts(problem, blocked, other, k)
        mass = the_loss.mass(problem.data)
    return math.sqrt(squares / mass) if mass else 0.0


# Multiplicative updates tell, on the way, what steps coordinate descent would take from where they start.


def _of_products(data: FullMatrix, blocked: Side, other: Side, k: int) -> float:
    """The sum of squared scaled steps for a quadratic loss."""
    (F, _), (G, _) = blocked, other
    crosses = data.product(G), data.transposed_product(F)
    grams = data.engine.gram(G, k), data.engine.gram(F, k)
    return sum(
        scaled_steps(data.engine, own, cross, fixed, factor, _all(k))
        for (own, factor), cross, fixed in zip((blocked, other), crosses, grams, strict=True)
    )


def _of_parts(problem: Problem, blocked: Side, other: Side, k: int) -> float:
    """The same for another loss of a complete X."""
    data: Any = problem.data
    F, G = blocked[0], other[0]
    m = data.shape[1]
    floors = model_floors(data, problem.loss)
    S = factor_array(m + (1 if problem.loss.linear else m), k, data.dtype)
    update = _update(problem, blocked, data.engine.sums(G, k), floors)
    squares = data.pass_gradients(F.copy(), G, update).squared_step
    data.pass_gradients(F, G, update._replace(max_sweeps=0), S=S)
    update = _update(problem, other, data.engine.sums(F, k), floors)
    return squares + data.engine.multiply_rows(G.copy(), S[:m], S[m:], update).squared_step


def _of_known_entries(problem: Problem, blocked: Side, other: Side) -> float:
    """The same for any loss where only some entries are known, or count more than others."""
    data: Any = problem.data
    squares = 0.0
    for own, (G, _), columns in ((blocked, other, False), (other, blocked, True)):
        F, factor = own
        floors = model_floors(data, problem.loss, columns=columns)
        update = _update(problem, own, data.engine.sums(G, problem.k), floors)
        update = update._replace(row_weights=factor.weights_of(len(F), F.dtype))
        squares += data.pass_gradients(F.copy(), G, update, columns=columns).squared_step
    return squares


def _update(problem: Problem, side: Side, sums: np.ndarray, floors: np.ndarray) -> Update:
    """One multiplicative update of a factor."""
    (F, factor), loss = side, problem.loss
    return Update(
        F, _all(len(sums)), np.ones(len(sums), F.dtype), l1=factor.l1, l2=factor.l2, loss=loss, exponent=loss.exponent,
        sums=sums.astype(F.dtype), floors=floors,
    )  # fmt: skip


def _all(k: int) -> np.ndarray:
    return np.arange(k, dtype=np.int32)
