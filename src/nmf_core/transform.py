"""W of new samples for given components."""

import time
from typing import Any

import numpy as np

from nmf_core.data import as_container, factor_array
from nmf_core.losses import LOSSES
from nmf_core.penalties import make_penalties
from nmf_core.problem import Problem, padded
from nmf_core.solvers import SOLVERS, solve
from nmf_core.threads import make_team, serial_blas
from nmf_core.validation import (
    check_factor,
    check_integer,
    check_matrix,
    check_number,
    check_penalties,
    check_threads,
)


def transform(
    X: Any,
    H: Any,
    *,
    alpha_W: float = 0.0,
    l1_ratio: float = 0.0,
    tol: float = 1e-4,
    max_iter: int = 200,
    n_threads: int | None = None,
) -> tuple[np.ndarray, int, bool]:
    """Minimise the squared error of X ~ W @ H, and the penalty of W, over W >= 0.

    Every row is a convex problem of its own, solved by coordinate descent from zero in one pass over X: its answer
    does not depend, to the last bit, on the rows beside it.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        New samples.
    H : array-like of shape (n_components, n_features)
        Components.
    alpha_W, l1_ratio : float
        Penalty of W as in `nmf_core.factorize`.
    tol : float
        A row is done when its steps have fallen to `tol` of its first.
    max_iter : int
        Sweeps over a row at most.
    n_threads : int, optional
        Threads; by default all that are available.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components)
        In the dtype of X.
    n_iter : int
        The most sweeps that a row has needed.
    converged : bool
        Whether every row is done.
    """
    start = time.perf_counter()
    X, _, _ = check_matrix(X)
    H = check_matrix(H, "H", factor=True)[0]
    k = H.shape[0]
    H = check_factor(H, "H", (k, X.shape[1]), X.dtype, zeros=True)
    check_penalties(alpha_W, 0.0, l1_ratio, X.shape)
    tol, max_iter = check_number(tol, "tol"), check_integer(max_iter, "max_iter", 1)
    team = make_team(check_threads(n_threads))
    with serial_blas():
        problem = Problem(
            as_container(X, by_rows=True),
            LOSSES["frobenius"],
            *make_penalties(X.shape, alpha_W, 0.0, l1_ratio),
        )
        W = factor_array(X.shape[0], k, X.dtype)
        outcome = solve(
            problem, W, padded(H.T, X.dtype), k, solver=SOLVERS["hals"], tol=tol, max_iter=max_iter,
            update_H=np.zeros(k, dtype=bool), team=team, start=start,
        )  # fmt: skip
    return outcome.W[:, :k].copy(), outcome.n_iter, outcome.converged
