"""Where a fit starts, and `initialize`, which tells."""

from typing import Any

import numpy as np

from nmf_core.data import accept, container_class
from nmf_core.initialization import (
    ANYWHERE,
    FOR_INCOMPLETE,
    INITIALIZERS,
    for_fixed_components,
    initial_factors,
    make_random_state,
    with_biases,
)
from nmf_core.losses import LOSSES, make_loss
from nmf_core.problem import Problem, padded, pose, start_arrays, transposed
from nmf_core.solvers import Solver, choose_solver, solve
from nmf_core.threads import make_team, serial_blas
from nmf_core.validation import (
    check_choice,
    check_factor,
    check_given_factors,
    check_init,
    check_loss,
    check_n_components,
    check_random_state,
    check_start,
    check_threads,
)

# Short runs from random starts, of which the best is gone on with: so many, of so many iterations.
BEST_OF = "best-of"
RUNS, ITERATIONS = 10, 10
STARTS = (*INITIALIZERS, BEST_OF)


def initialize(
    X: Any,
    n_components: int,
    init: str | None = None,
    *,
    loss: str | float = "frobenius",
    missing: str | None = None,
    weights: Any = None,
    random_state: Any = None,
    n_threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Initial factors of X, as `nmf_core.factorize` would start from.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        Non-negative and finite. Never modified; a sparse X is never made dense.
    n_components : int
        Number of components k.
    init : str, optional
        "random" (scaled to the mean of X), "random_vcol" (means of random rows and columns), "nndsvd", "nndsvda",
        "nndsvdar" (from singular vectors; zeros stay, become the mean of X, or small random numbers), "kmeans", "spa",
        "snpa" (rows of X that mix to the others), or "best-of": the best of ten short runs from random starts.
        By default "nndsvda" if k <= min(n_samples, n_features) and X is complete, else "random".
    loss, missing, weights
        As in `nmf_core.factorize`; where entries are missing or weighted, only "random" and "best-of".
    random_state : int, RandomState, Generator or None
        Source of randomness.
    n_threads : int, optional
        Threads; by default all that are available.

    Returns
    -------
    W, H : ndarray of shape (n_samples, k) and (k, n_features)
        Non-negative, in the dtype of X.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 2.0]])
    >>> W, H = nmf_core.initialize(X, 2, "spa")
    >>> np.abs(X - W @ H).max() < 1e-6
    True
    """
    team = make_team(check_threads(n_threads))
    data, weights = accept(X, missing, weights, team=team)
    X = data.values
    k = check_n_components(n_components, X.shape, X.dtype.itemsize)
    if init is not None:
        check_choice(init, "init", STARTS)
    everything = np.ones(k, dtype=bool)
    init = resolve_init(init, None, None, k, X.shape, everything, missing is None and weights is None)
    the_loss = make_loss(check_loss(loss, LOSSES))
    random = make_random_state(check_random_state(random_state))
    solver = choose_solver("auto", the_loss.beta, container_class(X))
    with serial_blas():
        problem = pose(
            X, the_loss, k, missing=missing, weights=weights, alpha_W=0.0, alpha_H=0.0, l1_ratio=0.0,
            alpha_scaling="size", upright=solver.upright(the_loss.beta), scan=data.scan,
        )  # fmt: skip
        W, Ht = start(problem, k, init, None, None, everything, random, solver, team)
    return W[:, :k].astype(X.dtype), transposed(Ht, k).astype(X.dtype, copy=False)


def resolve_init(
    init: str | None,
    W: Any,
    H: Any,
    k: int,
    shape: tuple[int, int],
    mask: np.ndarray,
    complete: bool,
    preferred: str | None = None,
) -> str:
    """The name of the start, checked against everything that it has to fit; by default the one that is preferred."""
    if init is None:
        given = W is not None or H is not None or not mask.all()
        usual = "random" if not complete else preferred or ("nndsvda" if k <= min(shape) else "random")
        init = "custom" if given else usual
    check_choice(init, "init", [*STARTS, "custom"])
    check_init(init, complete, [*FOR_INCOMPLETE, BEST_OF, "custom"])
    check_given_factors(init, W, H, k, shape, mask)
    return init


def start(
    problem: Problem,
    k: int,
    init: str,
    W: Any,
    H: Any,
    mask: np.ndarray,
    random: np.random.RandomState,
    solver: Solver,
    team: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Factor arrays (n_samples, ld) and (n_features, ld) with the initial factors, sharing nothing with the caller."""
    data, loss = problem.data, problem.loss
    n_samples, n_features = data.shape[::-1] if data.transposed else data.shape
    check_start(init, data.local, [*ANYWHERE, BEST_OF, "custom"])
    if init == BEST_OF:
        return best_of(problem, k, random, solver, team)
    if init != "custom":
        return start_arrays(data, k, *initial_factors(data, k, init, random, team))
    if not mask.any():
        H = check_factor(H, "H", (k, n_features), data.dtype)
        Ht = padded(H.T, data.dtype)
        masses = data.model_sums(Ht, k, team, columns=data.transposed).sum(axis=1)
        return for_fixed_components(data, loss, k, masses), Ht
    if W is None or H is None:
        W_start, Ht_start = initial_factors(data, k, "random", random, team)
    if W is not None:
        W_start = check_factor(W, "W", (n_samples, k), data.dtype)
    if H is not None:
        Ht_start = check_factor(H, "H", (k, n_features), data.dtype).T
    return start_arrays(data, k, W_start, Ht_start)


def best_of(
    problem: Problem, k: int, random: np.random.RandomState, solver: Solver, team: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The factor arrays with the lowest objective after a few iterations from several random starts."""
    data, best, lowest = problem.data, None, np.inf
    for _ in range(RUNS):
        W, Ht = start_arrays(data, k, *initial_factors(data, k, "random", random, team))
        update_W = update_H = None
        if problem.biases is not None:
            W, Ht, update_W, update_H = with_biases(W, Ht, k)
        outcome = solve(
            problem, W, Ht, k + problem.n_extra, solver=solver, tol=0.0, max_iter=ITERATIONS, update_W=update_W,
            update_H=update_H, team=team, start=0.0,
        )  # fmt: skip
        if best is None or outcome.history.objective[-1] < lowest:
            best, lowest = (outcome.W, outcome.Ht), outcome.history.objective[-1]
    assert best is not None
    return best if problem.biases is None else (padded(best[0][:, :k], data.dtype), padded(best[1][:, :k], data.dtype))
