"""Where a fit starts, and `initialize`, which tells."""

from typing import Any

import numpy as np

from nmf_core.data import Layout, accept, container_class
from nmf_core.engine import Engine, padded
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
from nmf_core.problem import Problem, Terms, make_problem, start_arrays, transposed
from nmf_core.solvers import FactorState, Solver, State, accelerated, choose_solver, solve
from nmf_core.stopping import MaxIter
from nmf_core.threads import serial_blas
from nmf_core.typing import LossName, Missing, StartName
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
    init: StartName | None = None,
    *,
    loss: LossName | float = "frobenius",
    missing: Missing | None = None,
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
    engine = Engine(check_threads(n_threads))
    data, weights = accept(X, missing, weights, workspace=engine.workspace)
    X = data.values
    k = check_n_components(n_components, X.shape, X.dtype.itemsize)
    if init is not None:
        check_choice(init, "init", STARTS)
    everything = np.ones(k, dtype=bool)
    chosen = resolve_init(init, None, None, k, X.shape, everything, missing is None and weights is None)
    the_loss = make_loss(check_loss(loss, LOSSES))
    random = make_random_state(check_random_state(random_state))
    solver = choose_solver("auto", the_loss, container_class(X))
    with serial_blas():
        terms, layout = Terms(missing, weights), Layout(row_major=solver.row_major(the_loss))
        problem = make_problem(X, the_loss, k, terms, layout=layout, engine=engine, scan=data.scan)
        W, Ht = start(problem, solver, chosen, (None, None), everything, random)
    return W[:, :k].astype(X.dtype), transposed(Ht, k).astype(X.dtype, copy=False)


def usual_init(init: str | None, k: int, shape: tuple[int, int]) -> str:
    """The name of the start of a complete X, if none is given."""
    return init or ("nndsvda" if k <= min(shape) else "random")


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
        init = "custom" if given else "random" if not complete else usual_init(preferred, k, shape)
    check_choice(init, "init", [*STARTS, "custom"])
    check_init(init, complete, [*FOR_INCOMPLETE, BEST_OF, "custom"])
    check_given_factors(init, W, H, k, shape, mask)
    return init


def start(
    problem: Problem,
    solver: Solver,
    init: str,
    given: tuple[Any, Any],
    mask: np.ndarray,
    random: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Factor arrays (n_samples, ld) and (n_features, ld) with the initial factors, sharing nothing with the caller.

    Without the components of biases. `given` are W and H where they are given, `mask` (k,) the components of H to
    update.
    """
    data, loss, k = problem.data, problem.loss, len(mask)
    n_samples, n_features = data.shape[::-1] if data.transposed else data.shape
    check_start(init, data.local, [*ANYWHERE, BEST_OF, "custom"])
    if init == BEST_OF:
        return best_of(problem, solver, k, random)
    if init != "custom":
        return within_bounds(problem, *start_arrays(data, k, *initial_factors(data, k, init, random)))
    W, H = given
    if not mask.any():
        H = check_factor(H, "H", (k, n_features), data.dtype)
        Ht = padded(H.T, data.dtype)
        masses = data.model_sums(Ht, k, columns=data.transposed).sum(axis=1)
        return for_fixed_components(data, loss, k, masses), Ht
    if W is None or H is None or len(H) < k:
        W_start, Ht_start = initial_factors(data, k, "random", random)
    if W is not None:
        W_start = check_factor(W, "W", (n_samples, k), data.dtype)
    if H is not None:
        n_given = min(len(H), k)
        given_Ht = check_factor(H, "H", (n_given, n_features), data.dtype).T
        Ht_start = given_Ht if n_given == k else np.hstack([given_Ht, Ht_start[:, n_given:k]])
    return within_bounds(problem, *start_arrays(data, k, W_start, Ht_start))


def within_bounds(problem: Problem, W: np.ndarray, Ht: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same factor arrays, moved to where their bounds allow."""
    for F, factor in zip((W, Ht), problem.factors, strict=True):
        if problem.biases is None and not (factor.upper is None and factor.lower is None):
            lower, upper = factor.bounds(problem.k, F.dtype)
            F[:, : problem.k] = np.clip(F[:, : problem.k], lower, upper)
    return W, Ht


def state_at(
    problem: Problem,
    solver: Solver,
    W: np.ndarray,
    Ht: np.ndarray,
    began: float = 0.0,
    known: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> State:
    """The state of a solver at these factor arrays; biases, if the model has some, start at zero.

    `known` are the Gram matrix and the sums of the components of H, where it is fixed and these are there.
    """
    if problem.biases is not None and W.shape != (0,):
        W, Ht = with_biases(W, Ht, min(problem.biases))
    w = FactorState(W, problem.k, problem.factor_W)
    h = FactorState(Ht, problem.k, problem.factor_H, *known)
    return solver.start(problem, w, h, began)


def best_of(problem: Problem, solver: Solver, k: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """The factor arrays with the lowest objective after a few iterations from several random starts."""
    data, best, lowest = problem.data, None, np.inf
    stepper = accelerated(solver.suited(problem.loss, type(data)), data)
    rules = [*solver.rules(0.0, type(data)), MaxIter(ITERATIONS)]
    for _ in range(RUNS):
        W, Ht = start_arrays(data, k, *initial_factors(data, k, "random", random))
        s = solve(problem, stepper, state_at(problem, stepper, *within_bounds(problem, W, Ht)), rules)
        if best is None or s.objectives[-1] < lowest:
            best, lowest = s.current, s.objectives[-1]
    assert best is not None
    return best if problem.biases is None else (padded(best[0][:, :k], data.dtype), padded(best[1][:, :k], data.dtype))
