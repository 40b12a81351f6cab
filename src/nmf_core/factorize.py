"""The functional door: `factorize`."""

import numbers
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from nmf_core.data import Complete, Partial, accept, container_class
from nmf_core.factorization import Factorization
from nmf_core.floor import apply_floor
from nmf_core.initialization import (
    make_random_state,
    silence_unknown,
    with_biases,
)
from nmf_core.losses import LOSSES, make_loss
from nmf_core.penalties import ALPHA_SCALINGS
from nmf_core.problem import Biases, Problem, empty_arrays, pose, transposed
from nmf_core.progress import progress_bar
from nmf_core.solvers import (
    ALIASES,
    SOLVERS,
    Checkpoint,
    Record,
    Solver,
    choose_solver,
    condition,
    for_rows,
    gram,
    solve,
    those_that_handle,
)
from nmf_core.solvers.checkpoint import OPTIONS
from nmf_core.start import resolve_init, start
from nmf_core.stopping import Callback, Rule, TimeLimit
from nmf_core.threads import make_team, serial_blas
from nmf_core.validation import (
    check_balance,
    check_biases,
    check_callback,
    check_choice,
    check_enough,
    check_factors,
    check_flag,
    check_handles,
    check_handles_data,
    check_integer,
    check_kind,
    check_loss,
    check_n_components,
    check_number,
    check_out,
    check_penalties,
    check_random_state,
    check_threads,
    check_update_H,
)
from nmf_core.vanishing import warn_of_nothing
from nmf_core.warning import ConvergenceWarning, warn

ROWS = 1 << 16  # of W that are copied together


def factorize(
    X: Any,
    n_components: int | None = None,
    *,
    missing: str | None = None,
    weights: Any = None,
    loss: str | float = "frobenius",
    solver: str | Solver = "auto",
    init: str | None = None,
    W: Any = None,
    H: Any = None,
    update_H: Any = True,
    alpha_W: float = 0.0,
    alpha_H: float | str = "same",
    l1_ratio: float = 0.0,
    alpha_scaling: str = "size",
    biases: bool = False,
    floor: float | str | None = None,
    tol: float = 1e-4,
    stop: Rule | None = None,
    max_iter: int = 200,
    time_limit: float | None = None,
    random_state: Any = None,
    n_threads: int | None = None,
    callback: Callable[[Any], object] | None = None,
    progress: bool = False,
    shuffle: bool = False,
    acceleration: bool = True,
    checkpoint: Any = None,
    out_W: np.ndarray | None = None,
) -> Factorization:
    """Find W >= 0 and H >= 0 with X ~ W @ H.

    Minimises the loss summed over X, plus ``l1_W * sum(W) + l1_H * sum(H) + l2_W / 2 * ||W||^2 + l2_H / 2 * ||H||^2``
    with ``l1_W = n_features * alpha_W * l1_ratio``, ``l2_W = n_features * alpha_W * (1 - l1_ratio)`` and the same for H
    with n_samples. What is missing does not count: its value, if there is one, never matters.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        Non-negative and finite; data frames may be of pandas, polars, Arrow or another library that narwhals knows, and
        the results come as such. Where `weights`, W or H have labels, too, these are brought into the order of X or
        refused. Float32 and float64 are computed in their own precision, other types in float64;
        accelerated coordinate descent on large sparse float64 data goes through float32 and ends in float64.
        Arrays in C or Fortran order, memory maps, CSR and CSC are read where they are. Never modified.
    n_components : int, optional
        Number of components k; by default that of W or H, of which one is given then.
    missing : {None, "nan", "unstored"}
        What is missing. By default nothing: NaN is an error, and what a sparse X does not store is zero. With "nan",
        NaN in an array or data frame. With "unstored", what a sparse X does not store; stored zeros are known to be
        zero. A row or column of which nothing is known gets zeros in W or H.
    weights : array-like, sparse array or matrix of shape (n_samples, n_features), optional
        How much every entry counts in the loss, >= 0; 0 means missing, as does what a sparse one does not store.
        Integers say how often an entry was seen.
    loss : str or float
        "frobenius" (half the squared error), "kullback-leibler" (for counts), "itakura-saito" (for power spectra; X
        must not contain zeros, see `floor`), or a number: the beta-divergence of which these are 2, 1 and 0.
    solver : str or Solver
        "hals" (coordinate descent for the Frobenius loss, also called "cd"), "newton" (coordinate descent for
        Kullback-Leibler), "mu" (multiplicative updates, for every loss), "mue" (the same, extrapolated), or "auto": the
        first of "hals", "newton" and "mue" that minimises the loss. For the Frobenius loss of a complete X also one of
        the classic methods in `nmf_core.solvers`: "greedy", "anls-bpp", "anls-as", "nesterov", "pg", "gd", "admm",
        "als", "sgd", "sequential" and "randomized"; their classes there take options. With nothing of H to update, it
        is always "auto".
    init : str, optional
        "custom" (start from W and H) or one of those of `nmf_core.initialize`: "random", "random_vcol", "nndsvd",
        "nndsvda", "nndsvdar", "kmeans", "spa", "snpa", "best-of". By default "custom" if W or H is given, else
        "nndsvda" if k <= min(n_samples, n_features), else "random"; "spa" for "sequential". Where entries are missing
        or weighted, and with biases, only "random", the default then, "best-of" and "custom".
    W : array-like of shape (n_samples, k), optional
        Initial W, for a custom start. Never modified.
    H : array-like of shape (k, n_features), optional
        Initial H, for a custom start, or the H to keep. Never modified.
    update_H : bool or ndarray of bool, shape (k,)
        Whether to improve H; an array says it for every component, False holds its row of H fixed. If nothing of H is
        to be improved, W starts at zero and every row of W is found by itself, exactly where components are so alike
        that coordinate descent hardly tells them apart (``"anls-bpp"``; for the Frobenius loss, without biases, where
        rows are not on a cluster).
    alpha_W : float
        Strength of the penalty on W, >= 0.
    alpha_H : float or "same"
        Strength of the penalty on H, >= 0; "same" is `alpha_W`.
    l1_ratio : float
        Share of the l1 norm in the penalties, from 0 (all l2) to 1.
    alpha_scaling : {"size", "observed"}
        Whether the penalty of a row of W grows with n_features and that of a column of H with n_samples, as in
        scikit-learn, or with the number of known entries in that row or column (the sum of their weights), which suits
        ratings. The same where nothing is missing.
    biases : bool
        Whether X is modelled as a mean plus a bias of the row, a bias of the column and W @ H, for the Frobenius loss.
        Biases may be negative and are penalized like the squares of W and H; the result has them as `biases`.
    floor : float, "auto" or None
        A small number that is added to every known entry of X, for losses that zeros make infinite (beta <= 0). "auto"
        is a tenth of the smallest entry above zero if such a loss meets zeros, else nothing. Factors and objective are
        those of X plus this number, which the result's `parameters` tell; its `transform` adds it to new samples. A
        sparse X becomes an array for it, but with missing="unstored"; X must be in memory.
    tol : float
        Tolerance: the fit has converged when a sweep's projected gradient steps change W @ H by at most `tol`,
        relative to X (less where little is left of X, see `nmf_core.stopping.SmallViolation`), and, but for "hals" and
        a complete X, also when ten iterations have lowered the objective by less than `tol` of it.
    stop : Rule, optional
        When to stop instead: rules of `nmf_core.stopping`, combined by ``|`` and ``&``. The limits below hold besides.
    max_iter : int
        Iterations at most.
    time_limit : float, optional
        Seconds after which no new iteration starts.
    random_state : int, RandomState, Generator or None
        Source of randomness of the start and of `shuffle`.
    n_threads : int, optional
        Threads. By default what affinity mask, control group, ``OMP_NUM_THREADS`` and threadpoolctl leave. The result
        is the same to the last bit for any number.
    callback : callable, optional
        Called with the state after every iteration: ``iteration``, ``seconds``, ``objective``, ``violation`` and
        read-only ``W`` and ``H``, in float32 while a fit goes through it. Returning True stops the fit.
    progress : bool
        Show a progress bar (needs tqdm).
    shuffle : bool
        Visit the components in a new random order in every sweep.
    acceleration : bool
        Whether coordinate descent extrapolates, and takes several sweeps a pass where that pays, which reaches the same
        objective in a fraction of the iterations. Without it, iterates are those of textbook cyclic coordinate descent,
        and those of "mue" are those of "mu". "mu" is never accelerated.
    checkpoint : str, path or nmf_core.Checkpoint, optional
        A file that is written every minute, or as often as a `Checkpoint` says. If it is there, the fit goes on from
        it, and ends as if it had never been stopped; that of other data or arguments is refused.
    out_W : ndarray of shape (n_samples, n_components), optional
        Takes W, in the dtype of X. With a memory map and an X in blocks of rows, no factor of the size of W is in
        memory during the fit either: such factors are in unnamed files in the folder of the map. Modified in place.

    Returns
    -------
    Factorization
        After an interrupt from the keyboard, the factors so far with ``stop_reason="interrupted"``.

    Warns
    -----
    ConvergenceWarning
        The fit has stopped at `max_iter`, with a `tol` above 0 and no `stop`.
    UserWarning
        Penalties have left nothing of W and H; or that of one factor is in vain, because the other one has none.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it and where it is wrong.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    >>> result = nmf_core.factorize(X, 2, random_state=0)
    >>> np.abs(X - result.W @ result.H).max() < 0.01
    True
    """
    team = make_team(check_threads(n_threads))
    data, weights = accept(X, missing, weights, biases=biases, team=team)
    X, row_labels, column_labels, library, scan = data
    W, H, n_components, components = check_factors(W, H, n_components, row_labels, column_labels)
    k = check_n_components(n_components, X.shape, X.dtype.itemsize)
    the_loss = make_loss(check_loss(loss, LOSSES))
    X, raised_by = apply_floor(X, floor, the_loss, missing, weights, scan)
    if not isinstance(solver, Solver):
        check_choice(solver, "solver", ["auto", *SOLVERS, *ALIASES])
    beta = the_loss.beta
    data_class = container_class(X)
    the_solver = choose_solver(solver, beta, data_class)
    called = the_solver.name if isinstance(solver, Solver) else solver
    check_handles(the_solver.handles(beta), called, loss, those_that_handle(beta))
    check_kind(stop, "stop", Rule, "a rule of nmf_core.stopping")
    mask = check_update_H(update_H, k, components)
    if not mask.any():
        the_solver = choose_solver("auto", beta, Complete if data_class.local else data_class)
    check_biases(check_flag(biases, "biases"), the_solver.name, loss, bool(mask.all()))
    init = resolve_init(
        init, W, H, k, X.shape, mask, missing is None and weights is None and not biases, the_solver.init
    )
    check_penalties(alpha_W, alpha_H, l1_ratio, X.shape)
    if mask.any():
        check_balance(alpha_W, alpha_H)
    check_callback(callback)
    parameters = {
        "alpha_W": float(alpha_W),
        "alpha_H": "same" if isinstance(alpha_H, str) else float(alpha_H),
        "l1_ratio": float(l1_ratio),
        "alpha_scaling": check_choice(alpha_scaling, "alpha_scaling", ALPHA_SCALINGS),
        "missing": missing,
        "weighted": weights is not None,
        "floor": raised_by,
        "tol": check_number(tol, "tol") if stop is None else None,
        "max_iter": check_integer(max_iter, "max_iter", 1),
        "time_limit": None if time_limit is None else check_number(time_limit, "time_limit"),
        "random_state": check_random_state(random_state) if isinstance(random_state, numbers.Integral) else None,
        "shuffle": check_flag(shuffle, "shuffle"),
        "acceleration": check_flag(acceleration, "acceleration"),
    }
    check_flag(progress, "progress")
    folder = check_out(out_W, (X.shape[0], k), X.dtype)
    random = make_random_state(check_random_state(random_state))
    began = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(serial_blas())
        problem = pose(
            X, the_loss, k, missing=missing, weights=weights, alpha_W=alpha_W, alpha_H=alpha_H, l1_ratio=l1_ratio,
            alpha_scaling=alpha_scaling, biases=biases, one_by_one=biases,
            upright=the_solver.upright(beta), folder=folder, advice=" floor='auto' does so.",
            scan=None if raised_by else scan,
        )  # fmt: skip
        data_class = type(problem.data)
        others = those_that_handle(beta, data_class)
        check_handles_data(the_solver.handles(beta, data_class) or not mask.any(), called, data_class.resident, others)
        _check_enough(problem, k)
        record = None
        if checkpoint is not None and mask.any():
            if not isinstance(checkpoint, Checkpoint):
                checkpoint = Checkpoint(checkpoint)
            identity = _identity(problem, k, the_loss.name, the_solver, init, W, H, mask, biases, parameters)
            record = Record(checkpoint, identity, the_solver.default_options)
        if record is not None and record.saved is not None:
            start_W, start_Ht = empty_arrays(problem.data, k)
        else:
            start_W, start_Ht = start(problem, k, init, W, H, mask, random, the_solver, team)
        silence_unknown(problem.data, start_W, start_Ht, mask)
        within = tol
        if not mask.any():
            HHt = gram(start_Ht, k, team)
            the_solver, within = for_rows(the_solver, problem, HHt, condition(HHt), tol)
        free = mask
        update_W = None
        if biases:
            start_W, start_Ht, update_W, mask = with_biases(start_W, start_Ht, k)
        rules: list[Rule] = []
        if time_limit is not None:
            rules.append(TimeLimit(time_limit))
        if callback is not None:
            rules.append(Callback(callback))
        if progress:
            rules.append(Callback(stack.enter_context(progress_bar(max_iter))))
        outcome = solve(
            problem, start_W, start_Ht, k + problem.n_extra, solver=the_solver, tol=within, max_iter=max_iter,
            stop=stop, rules=rules,
            update_W=update_W, update_H=mask, acceleration=acceleration,
            shuffle=random if shuffle else None, record=record, team=team, start=began,
        )  # fmt: skip
        silence_unknown(problem.data, outcome.W, outcome.Ht, free, team)
        divergence = outcome.divergence
        if divergence is None:
            divergence = problem.divergence(outcome.W, outcome.Ht, team)
        objective = divergence + problem.penalties(outcome.W, outcome.Ht)
        quadratic = the_loss.quadratic
        squared_error = 2 * divergence if quadratic else problem.squared_error(outcome.W, outcome.Ht, team)
        if alpha_W or not isinstance(alpha_H, str):
            warn_of_nothing(problem, outcome.W, outcome.Ht, k, alpha_W, alpha_H if free.any() else None, team)
    if len(outcome.history):
        outcome.history.objective[-1] = objective
    if quadratic and not biases and not the_solver.monotone and squared_error > problem.X_squared_norm():
        warn(
            f"These factors fit X worse than zeros would: solver {the_solver.name!r} may go astray, most of all where "
            f"components are alike. Use 'hals', which cannot, fewer components or alpha_W."
        )
    elif outcome.stop_reason == "max_iter" and stop is None and tol > 0:
        warn(
            f"The fit has stopped at max_iter={max_iter} before it converged to tol={tol:g}. Raise max_iter or tol.",
            ConvergenceWarning,
        )
    return Factorization(
        W=_result_W(problem, outcome.W, k, out_W).astype(X.dtype, copy=False),
        H=transposed(outcome.Ht, k).astype(X.dtype, copy=False),
        objective=objective,
        divergence=divergence,
        squared_error=squared_error,
        n_iter=outcome.n_iter,
        converged=outcome.converged,
        stop_reason=outcome.stop_reason,
        history=outcome.history,
        loss=the_loss.name,
        solver=the_solver.name,
        init=init,
        n_threads=team.n_threads,
        seconds=time.perf_counter() - began,
        n_stored=problem.data.n_stored,
        X_squared_norm=problem.X_squared_norm(),
        parameters=parameters,
        row_labels=row_labels,
        column_labels=column_labels,
        frame_library=library,
        biases=Biases(problem.mean, outcome.W[:, k].copy(), outcome.Ht[:, k + 1].copy()) if biases else None,
    )


def _result_W(problem: Problem, W: Any, k: int, out_W: np.ndarray | None) -> Any:
    """W as it is returned: of its own, or in the array that is there for it."""
    if out_W is None:
        return W[:, :k].copy() if problem.data.transposed else problem.data.output(W, k)
    for first in range(0, len(W), ROWS):
        out_W[first : first + ROWS] = W[first : first + ROWS, :k]
    return out_W


def _identity(
    problem: Problem,
    k: int,
    loss: Any,
    solver: Solver,
    init: str,
    W: Any,
    H: Any,
    mask: np.ndarray,
    biases: bool,
    parameters: dict,
) -> dict[str, Any]:
    """What makes a fit what it is, but for when it stops: plain values."""
    data = problem.data
    named = ("alpha_W", "alpha_H", "l1_ratio", "alpha_scaling", "missing", "weighted", "random_state", "shuffle",
             "acceleration")  # fmt: skip
    return {
        "shape of X": list(data.shape),
        "dtype of X": data.dtype.name,
        "n_components": k,
        "loss": loss,
        "solver": solver.name,
        OPTIONS: repr(solver.options or None),
        "init": init,
        "checksum of W": _checksum(W),
        "checksum of H": _checksum(H),
        "update_H": mask.tolist(),
        "biases": biases,
        **{name: parameters[name] for name in named},
        "sum of X": data.sum(),
        "squared norm of X": data.squared_norm(),
        # which the order of features and, where no data have to be fetched for it, of samples changes
        "weighted sum of columns of X": _weighted(data.sums(columns=not data.transposed)),
        "weighted sum of rows of X": _weighted(data.sums(columns=data.transposed)) if data.local else None,
    }


def _weighted(sums: np.ndarray) -> float:
    return float(np.linspace(1.0, 2.0, len(sums)) @ sums)


def _checksum(A: Any) -> int | None:
    """Of the numbers of an array, if there is one."""
    return None if A is None else zlib.crc32(np.ascontiguousarray(A, dtype=np.float64).data)


def _check_enough(problem: Problem, k: int) -> None:
    """Warn if no row, or no column, of X has as many known entries as it has numbers to find, and no penalty helps."""
    data = problem.data
    if isinstance(data, Partial) and not all(p.l1 or p.l2 for p in (problem.penalty_W, problem.penalty_H)):
        check_enough(int(min(data.counts().max(), data.counts(columns=True).max())), k)
