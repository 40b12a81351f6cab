"""How far factors are from a solution."""

import math
from typing import Any

import numpy as np

from nmf_core import _core
from nmf_core.data import BetaStep, Complete, accept, factor_array
from nmf_core.losses import LOSSES, make_loss
from nmf_core.penalties import Penalty
from nmf_core.problem import Problem, model_floors, padded, pose
from nmf_core.solvers import component_sums, gram
from nmf_core.solvers.quadratic import add_violation
from nmf_core.threads import make_team, serial_blas
from nmf_core.validation import check_loss, check_model, check_penalties, check_threads

Side = tuple[np.ndarray, Penalty]  # a factor array and its penalty


def kkt_residual(
    X: Any,
    W: Any,
    H: Any,
    loss: str | float = "frobenius",
    *,
    missing: str | None = None,
    weights: Any = None,
    alpha_W: float = 0.0,
    alpha_H: float | str = "same",
    l1_ratio: float = 0.0,
    alpha_scaling: str = "size",
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
    X = labels.values.astype(np.float64, copy=False)
    weights = None if weights is None else weights.astype(np.float64, copy=False)
    the_loss = make_loss(check_loss(loss, LOSSES))
    W, H = check_model(W, H, X.shape, X.dtype, labels.rows, labels.columns)
    k = len(H)
    check_penalties(alpha_W, alpha_H, l1_ratio, X.shape)
    team = make_team(check_threads(n_threads))
    with serial_blas():
        problem = pose(
            X, the_loss, k, missing=missing, weights=weights, alpha_W=alpha_W, alpha_H=alpha_H, l1_ratio=l1_ratio,
            alpha_scaling=alpha_scaling, upright=not the_loss.quadratic,
        )  # fmt: skip
        sides = (padded(W, X.dtype), problem.penalty_W), (padded(H.T, X.dtype), problem.penalty_H)
        blocked, other = sides[::-1] if problem.data.transposed else sides
        if not isinstance(problem.data, Complete):
            squares = _of_known_entries(problem, blocked, other, k, team)
        elif the_loss.quadratic:
            squares = _of_products(problem.data, blocked, other, k, team)
        else:
            squares = _of_halves(problem, blocked, other, k, team)
        mass = the_loss.mass(problem.data)
    return math.sqrt(squares / mass) if mass else 0.0


# Multiplicative updates tell, on the way, what steps coordinate descent would take from where they start.


def _of_products(data: Complete, blocked: Side, other: Side, k: int, team: _core.Team) -> float:
    """The sum of squared scaled steps for a quadratic loss."""
    (F, _), (G, _) = blocked, other
    crosses = data.product(G, team), data.transposed_product(F, team)
    grams = gram(G, k, team), gram(F, k, team)
    report = np.zeros(_core.REPORT_SIZE)
    for (own, penalty), cross, fixed in zip((blocked, other), crosses, grams, strict=True):
        add_violation(report, own, cross, fixed, penalty, _all(k), team)
    return float(report[0])


def _of_halves(problem: Problem, blocked: Side, other: Side, k: int, team: _core.Team) -> float:
    """The same for another loss of a complete X."""
    data: Any = problem.data
    F, G = blocked[0], other[0]
    m, beta = data.shape[1], problem.loss.beta
    floors = model_floors(data, beta)
    report = np.zeros(_core.REPORT_SIZE)
    S = factor_array(m + (1 if beta == 1 else m), k, data.dtype)
    step = _update(problem, blocked, component_sums(G, k, team), floors)
    data.improve_beta(F.copy(), None, None, report, G, step, team)
    data.improve_beta(F, None, S, np.zeros(_core.REPORT_SIZE), G, step._replace(max_sweeps=0), team)
    s = _update(problem, other, component_sums(F, k, team), floors)
    _core.factor_beta_pass(
        G.copy(), None, report, S[:m], S[m:], s.start, s.before, s.scale, s.sums, s.order, s.l1, s.l2, s.beta,
        s.loss_beta, s.exponent, 0.0, team,
    )  # fmt: skip
    return float(report[0])


def _of_known_entries(problem: Problem, blocked: Side, other: Side, k: int, team: _core.Team) -> float:
    """The same for any loss where only some entries are known, or count more than others."""
    data: Any = problem.data
    report = np.zeros(_core.REPORT_SIZE)
    for own, (G, _), columns in ((blocked, other, False), (other, blocked, True)):
        F, penalty = own
        floors = model_floors(data, problem.loss.beta, columns=columns)
        step = _update(problem, own, component_sums(G, k, team), floors)
        data.mu(F.copy(), None, report, G, step, penalty.amounts_of(len(F), F.dtype), team, columns=columns)
    return float(report[0])


def _update(problem: Problem, side: Side, sums: np.ndarray, floors: np.ndarray) -> BetaStep:
    """One multiplicative update of a factor."""
    F, penalty = side
    loss = problem.loss
    return BetaStep(
        F, F, np.ones_like(sums), sums, _all(len(sums)), penalty.l1, penalty.l2, 0.0, 1, 0.0, loss.beta, loss.exponent,
        floors,
    )  # fmt: skip


def _all(k: int) -> np.ndarray:
    return np.arange(k, dtype=np.int32)
