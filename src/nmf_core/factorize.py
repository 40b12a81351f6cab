"""The functional door: `factorize`."""

import numbers
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, Layout, ObservedMatrix, accept, container_class
from nmf_core.engine import Engine
from nmf_core.factorization import Factorization
from nmf_core.factors import ALPHA_SCALINGS, Factor
from nmf_core.floor import apply_floor
from nmf_core.initialization import RANDOM, make_random_state, make_seeds, silence_unknown
from nmf_core.labels import Axis, Labelled, component_names, labelled, of_integers
from nmf_core.losses import LOSSES, Beta, Loss, make_loss
from nmf_core.problem import Biases, History, Problem, Start, Terms, empty_arrays, make_problem, transposed
from nmf_core.progress import progress_bar
from nmf_core.readable import components_of, fit_in
from nmf_core.shapes import Axes
from nmf_core.solvers import (
    ALIASES,
    SOLVERS,
    Checkpoint,
    Record,
    Solver,
    State,
    accelerated,
    choose_solver,
    condition,
    solve,
    solve_rows,
    solver_for_rows,
    those_that_handle,
)
from nmf_core.solvers.checkpoint import OPTIONS
from nmf_core.start import BEST_OF, resolve_init, start, state_at
from nmf_core.stopping import Callback, CannotWin, MaxIter, Rule, TimeLimit
from nmf_core.threads import serial_blas
from nmf_core.typing import AlphaScaling, Auto, Init, LossName, Missing, Same, SolverName
from nmf_core.validation import (
    Scan,
    check_balance,
    check_biases,
    check_bounded,
    check_callback,
    check_choice,
    check_enough,
    check_factors,
    check_flag,
    check_handles,
    check_handles_data,
    check_integer,
    check_kind,
    check_left_alone,
    check_loss,
    check_n_components,
    check_names,
    check_number,
    check_out,
    check_penalties,
    check_random_state,
    check_starts,
    check_threads,
    check_update_H,
)
from nmf_core.vanishing import warn_of_nothing
from nmf_core.warning import ConvergenceWarning, warn, warn_of_counts

ROWS = 1 << 16  # of W that are copied together


def factorize(
    X: Any,
    n_components: int | None = None,
    *,
    missing: Missing | None = None,
    weights: Any = None,
    loss: LossName | float | Loss | None = None,
    solver: SolverName | Solver = "auto",
    init: Init | None = None,
    W: Any = None,
    H: Any = None,
    update_H: Any = True,
    alpha_W: float = 0.0,
    alpha_H: float | Same = "same",
    l1_ratio: float = 0.0,
    alpha_scaling: AlphaScaling = "size",
    biases: bool = False,
    floor: float | Auto | None = None,
    tol: float = 1e-4,
    stop: Rule | None = None,
    max_iter: int = 200,
    time_limit: float | None = None,
    random_state: Any = None,
    n_init: int = 1,
    n_threads: int | None = None,
    callback: Callable[[Any], object] | None = None,
    progress: bool = False,
    shuffle: bool = False,
    acceleration: bool = True,
    checkpoint: Any = None,
    out_W: np.ndarray | None = None,
    sort: bool = True,
    sample_axes: Any = None,
    sample_names: Any = None,
    feature_names: Any = None,
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
        Integers say how often an entry was seen. With `sample_axes`, also of the shape of the samples alone, such as a
        mask of pixels, or of length one along axes for all of which they count.
    loss : str, float or Loss, optional
        "frobenius" (half the squared error; the default), "kullback-leibler" (for counts), "itakura-saito" (for power
        spectra; X must not contain zeros, see `floor`), or a number: the beta-divergence of which these are 2, 1 and 0.
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
    W : array-like of shape (n_samples, k), Factorization, what holds one, or Factor, optional
        Initial W, for a custom start. Never modified.
    H : array-like of shape (k, n_features), Factorization, what holds one, or Factor, optional
        Initial H, for a custom start, or the H to keep; components have the names of its rows, and features those of
        its columns if X has none. With fewer rows than `n_components`, these are the first components, and the others
        start at random. Never modified. An `Ensemble`, the components of one and a fitted `NMF` hold a factorization.
    update_H : bool or ndarray of bool, shape (k,)
        Whether to improve H; an array says it for every component, False holds its row of H fixed. Components of which
        H has no row are always improved. If nothing of H is
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
    n_init : int
        Number of random starts, of which the one with the lowest objective is returned. Their seeds are spawned from
        `random_state`, the first is an integer `random_state` itself. One after the other is fitted; it is dropped once
        it can hardly become better than the best so far. ``history.starts`` says how they ended. More than one needs an
        `init` that is random, "random" by default then, and no `checkpoint` or `out_W`. For what many starts have in
        common see `nmf_core.factorize_many`.
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
    sort : bool
        Whether components are sorted by their share of the model, the largest first. Never those of a custom start, a
        `Factor` that says something of them, or of "sequential", whose order means something.
    sample_axes : int or tuple of int, optional
        Of an array, such as images, a cube or a spectrogram, the axes along which its samples are; all others are
        features. W and H are matrices; the result's `maps` and `images` have the axes of X, may be given as W and H,
        and its methods take data with the axes of X.
    sample_names : array-like of labels, optional
        Names of the rows of an X that has none, such as a sparse one.
    feature_names : array-like of labels, optional
        Names of its columns.

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
    request = read({**locals()})
    with ExitStack() as stack:
        stack.enter_context(serial_blas())
        fit = assemble(request, stack)
        if request.mask.any():
            solve(fit.problem, fit.solver, fit.state, fit.rules, fit.shuffle, fit.record)
        else:  # every row of W by itself
            solve_rows(fit.problem, fit.solver, fit.state, fit.tol, request.max_iter, fit.rules)
        if request.n_init > 1:
            fit = best_start(request, fit, stack)
        return package(request, fit)


@dataclass(frozen=True)
class Request:
    """What `factorize` is asked for, validated."""

    X: Any
    scan: Any
    k: int
    loss: Loss
    solver: Solver
    called: str
    init: str
    given: tuple[Any, Any]
    mask: np.ndarray
    terms: Terms
    tol: float
    stop: Rule | None
    max_iter: int
    time_limit: float | None
    callback: Any
    progress: bool
    random: np.random.RandomState
    n_init: int
    engine: Engine
    checkpoint: Any
    out_W: np.ndarray | None
    folder: Any
    sort: bool
    component_labels: Any
    axes: Axes | None
    parameters: dict[str, Any]
    row_labels: Any
    column_labels: Any
    library: Any


@dataclass
class Fit:
    """A request on its way: what is minimised, by which solver, from which state, until which rule holds."""

    problem: Problem
    chosen: Solver
    solver: Solver
    state: State
    rules: list[Rule]
    tol: float
    shuffle: np.random.RandomState | None
    record: Record | None
    starts: list[Start]

    @property
    def objective(self) -> float:
        """What its factors are worth, computed from them unless that is known to all digits."""
        s = self.state
        return s.objective if s.exact else self.problem.objective(*s.current)


def take(a: dict[str, Any], engine: Engine) -> tuple[Labelled, Any, Axes | None]:
    """X as a matrix with its labels, the weights of its entries, and the axes of X, of the arguments of `factorize`."""
    X, weights, axes = a["X"], a["weights"], Axes.of(a["X"], a["sample_axes"])
    if axes is not None:
        X = axes.flattened(labelled(X, missing=a["missing"], hint=True))
        weights = None if weights is None else axes.weights(weights)
    data, weights = accept(X, a["missing"], weights, biases=a["biases"], workspace=engine.workspace)
    n, m = data.values.shape
    rows = check_names(a["sample_names"], "sample_names", data.rows, n, "rows")
    columns = check_names(a["feature_names"], "feature_names", data.columns, m, "columns")
    return data._replace(rows=rows, columns=columns), weights, axes


def choose_loss(loss: Any, X: Any, scan: Scan | None) -> Any:
    """The loss that was named, else "frobenius", with a hint at another one if X seems to hold counts."""
    if loss is None and scan is not None and scan.maximum > 1 and of_integers(X):
        warn_of_counts()
    return "frobenius" if loss is None else loss


def read(a: dict[str, Any]) -> Request:
    """Validate the arguments of `factorize`, by name."""
    engine = Engine(check_threads(a["n_threads"]))
    data, weights, axes = take(a, engine)
    X, row_labels, column_labels, library, scan, _ = data
    of_W, of_H = (_as_factor(a[name], name, axes) for name in ("W", "H"))
    W, H, n_components, components, features = check_factors(
        of_W.initial, of_H.initial, a["n_components"], row_labels, column_labels
    )
    if column_labels is None or column_labels.is_numbering:
        column_labels = features or column_labels
    k = check_n_components(n_components, X.shape, X.dtype.itemsize)
    n_given = k if H is None else len(H)
    if components is not None and n_given < k:
        components = Axis([*components, *component_names(k)[n_given:]])
    complete = a["missing"] is None and weights is None and not a["biases"]
    a = {**a, "loss": choose_loss(a["loss"], a["X"], scan if complete else None)}
    loss = make_loss(check_loss(a["loss"], LOSSES))
    X, raised_by = apply_floor(X, a["floor"], loss, a["missing"], weights, scan)
    if not isinstance(a["solver"], Solver):
        check_choice(a["solver"], "solver", ["auto", *SOLVERS, *ALIASES])
    data_class = container_class(X)
    solver = choose_solver(a["solver"], loss, data_class)
    called = solver.name if isinstance(a["solver"], Solver) else a["solver"]
    check_handles(solver.handles(loss), called, a["loss"], those_that_handle(loss))
    check_kind(a["stop"], "stop", Rule, "a rule of nmf_core.stopping")
    if a["update_H"] is not True:
        check_left_alone("H: free", of_H.free, "update_H says it")
    mask = check_update_H(a["update_H"] if of_H.free is None else of_H.free, k, components, n_given)
    if not mask.any():
        solver = choose_solver("auto", loss, FullMatrix if data_class.local else data_class)
    biases = check_flag(a["biases"], "biases")
    check_biases(biases, solver.name, a["loss"], bool(mask.all()))
    whole = a["missing"] is None and weights is None and not biases
    factors = [F.checked(name, k) for F, name in ((of_W, "W"), (of_H, "H"))]
    if not all(factor.plain for factor in factors):
        check_bounded(solver.bounded and loss.quadratic and whole, called, a["loss"])
    several = a["n_init"] != 1 and W is None and H is None
    init = resolve_init(a["init"], W, H, k, X.shape, mask, whole, "random" if several else solver.init)
    one_start = [name for name in ("checkpoint", "out_W") if a[name] is not None]
    n_init = check_starts(a["n_init"], init, differing((W, H), mask), one_start)
    alphas = a["alpha_W"], a["alpha_H"], a["l1_ratio"]
    check_penalties(*alphas, X.shape)
    if mask.any():
        check_balance(a["alpha_W"], a["alpha_H"])
    check_callback(a["callback"])
    stop, seed = a["stop"], a["random_state"]
    options = solver.changed_options if isinstance(solver, type(SOLVERS.get(solver.name))) else {}
    parameters = {
        "alpha_W": float(a["alpha_W"]),
        "alpha_H": "same" if isinstance(a["alpha_H"], str) else float(a["alpha_H"]),
        "l1_ratio": float(a["l1_ratio"]),
        "alpha_scaling": check_choice(a["alpha_scaling"], "alpha_scaling", ALPHA_SCALINGS),
        "missing": a["missing"],
        "weighted": weights is not None,
        "floor": raised_by,
        **{f"factor_{name}": F.said for name, F in zip(("W", "H"), factors, strict=True) if not F.plain},
        **({} if mask.all() else {"update_H": mask.tolist() if mask.any() else False}),
        **({"solver_options": options} if options else {}),
        "tol": check_number(a["tol"], "tol") if stop is None else None,
        "max_iter": check_integer(a["max_iter"], "max_iter", 1),
        "time_limit": None if a["time_limit"] is None else check_number(a["time_limit"], "time_limit"),
        "random_state": check_random_state(seed) if isinstance(seed, numbers.Integral) else None,
        "shuffle": check_flag(a["shuffle"], "shuffle"),
        "acceleration": check_flag(a["acceleration"], "acceleration"),
        "sort": check_flag(a["sort"], "sort"),
        "n_init": n_init,
    }
    means_nothing = init != "custom" and not solver.ordered and all(factor.plain for factor in factors)
    sort = parameters["sort"] and means_nothing
    free_H = None if biases or mask.all() else mask
    factor_W, factor_H = (replace(F, initial=None, free=free) for F, free in zip(factors, (None, free_H), strict=True))
    if biases and not mask.any():
        factor_H = replace(factor_H, free=mask)
    return Request(
        X=X, scan=None if raised_by else scan, k=k, loss=loss, solver=solver, called=called, init=init,
        given=(W, H), mask=mask,
        terms=Terms(a["missing"], weights, alphas, a["alpha_scaling"], factor_W, factor_H, biases),
        tol=a["tol"], stop=stop, max_iter=a["max_iter"], time_limit=a["time_limit"], callback=a["callback"],
        progress=check_flag(a["progress"], "progress"), folder=check_out(a["out_W"], (X.shape[0], k), X.dtype),
        random=make_random_state(check_random_state(seed)), n_init=n_init, engine=engine,
        checkpoint=a["checkpoint"], out_W=a["out_W"], sort=sort, axes=axes, parameters=parameters,
        component_labels=components,
        row_labels=row_labels, column_labels=column_labels, library=library,
    )  # fmt: skip


def _as_factor(F: Any, name: str, axes: Axes | None) -> Factor:
    """What is said of W or H: a factor, an array that it starts from, or that of what holds one."""
    if isinstance(F, Factor):
        factor = F
    elif name == "H":
        factor = Factor(components_of(F))
    else:
        f = fit_in(F)
        factor = Factor(Labelled(f.W, f.row_labels, f.names) if isinstance(f, Factorization) else F)
    if axes is None:
        return factor
    return replace(factor, initial=(axes.as_W if name == "W" else axes.as_H)(factor.initial))


def assemble(request: Request, stack: ExitStack, problem: Problem | None = None) -> Fit:
    """Make the problem, unless it is there, find the start, choose how to step and when to stop."""
    r, began = request, time.perf_counter()
    problem = problem_of(r) if problem is None else problem
    data_class, rows_only = type(problem.data), not r.mask.any()
    others = those_that_handle(r.loss, data_class)
    check_handles_data(r.solver.handles(r.loss, data_class) or rows_only, r.called, data_class.resident, others)
    _check_enough(problem, r.k)
    record = None
    if r.checkpoint is not None and not rows_only:
        checkpoint = r.checkpoint if isinstance(r.checkpoint, Checkpoint) else Checkpoint(r.checkpoint)
        record = Record(checkpoint, identity(problem, r), r.solver.default_options)
    if record is not None and record.saved is not None:
        W, Ht = empty_arrays(problem.data, r.k)
    else:
        W, Ht = _start(problem, r, r.random)
    solver, tol = r.solver, r.tol
    if rows_only:
        HHt = r.engine.gram(Ht, r.k)
        solver, tol = solver_for_rows(solver, problem, HHt, condition(HHt), tol)
    stepper = solver.suited(r.loss, data_class)
    if not rows_only:
        stepper = accelerated(stepper, problem.data, r.parameters["acceleration"])
    state = state_at(problem, stepper, W, Ht, began)
    rules = _rules(r, None if rows_only else solver, data_class, tol, stack)
    shuffle = r.random if r.parameters["shuffle"] else None
    return Fit(problem, solver, stepper, state, rules, tol, shuffle, record, [])


def problem_of(request: Request, data: Any = None) -> Problem:
    """What is minimised; `data` is the matrix, if it is there already."""
    r = request
    layout = Layout(as_observed=r.terms.biases, row_major=r.solver.row_major(r.loss))
    return make_problem(
        r.X if data is None else data, r.loss, r.k, r.terms, advice=" floor='auto' does so.", layout=layout,
        folder=r.folder, engine=r.engine,
        scan=r.scan,
    )  # fmt: skip


def _start(problem: Problem, request: Request, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Factor arrays to start from."""
    r = request
    W, Ht = start(problem, r.solver, r.init, r.given, r.mask, random)
    silence_unknown(problem.data, W, Ht, r.mask)
    return W, Ht


def differing(given: tuple[Any, Any], mask: np.ndarray) -> list[str]:
    """The names of starts that another seed makes another; custom ones are, if a factor, or a part of it, is drawn."""
    W, H = given
    half = mask.any() and ((W is None) != (H is None) or (H is not None and len(H) < len(mask)))
    return [*RANDOM, BEST_OF, *(["custom"] if half else [])]


def _rules(request: Request, solver: Solver | None, data_class: Any, tol: float, stack: ExitStack) -> list[Rule]:
    """When to stop; without a solver every row of W is found by itself."""
    r = request
    rules = [] if solver is None else solver.rules(tol, data_class) if r.stop is None else solver.obey(r.stop)
    if r.time_limit is not None:
        rules.append(TimeLimit(r.time_limit))
    if r.callback is not None:
        rules.append(Callback(r.callback))
    if r.progress:
        rules.append(Callback(stack.enter_context(progress_bar(r.max_iter))))
    return [*rules, MaxIter(r.max_iter)]


def best_start(request: Request, first: Fit, stack: ExitStack) -> Fit:
    """The best fit from several random starts, of which the first has been made already."""
    r, problem, s = request, first.problem, first.state
    seed = r.parameters["random_state"]
    seeds = make_seeds(r.random, r.n_init - 1) if seed is None else make_seeds(seed, r.n_init)[1:]
    best, lowest, ended = first, first.objective, s.stop_reason
    starts = [Start(seed, lowest, s.iteration, s.stop_reason)]
    for other in seeds:
        if ended in ("interrupted", "callback", "time_limit"):
            break
        random = make_random_state(other)
        state = state_at(problem, first.solver, *_start(problem, r, random), first.state.began)
        rules = _rules(r, first.chosen, type(problem.data), first.tol, stack)
        shuffle = random if r.parameters["shuffle"] else None
        fit = replace(first, state=state, rules=[*rules, CannotWin(lowest)], shuffle=shuffle)
        solve(problem, fit.solver, state, fit.rules, shuffle)
        ended, objective = state.stop_reason, fit.objective
        starts.append(Start(other, objective, state.iteration, ended))
        if objective < lowest:
            best, lowest = fit, objective
    if ended in ("interrupted", "callback", "time_limit"):  # is what has stopped all
        best.state.stop_reason, best.state.converged = ended, False
    return replace(best, starts=starts)


def package(request: Request, fit: Fit) -> Factorization:
    """What the fit has found, and what is to be said of it."""
    r, problem, s = request, fit.problem, fit.state
    silence_unknown(problem.data, *s.current, r.mask, fitted=True)
    W, Ht = s.current
    divergence = s.divergence if s.exact else problem.divergence(W, Ht)
    objective = divergence + problem.penalties(W, Ht)
    squared_error = 2 * divergence if r.loss.quadratic else problem.squared_error(W, Ht)
    alpha_W, alpha_H, _ = r.terms.alphas
    if alpha_W or not isinstance(alpha_H, str):
        warn_of_nothing(problem, W, Ht, r.k, alpha_W, alpha_H if r.mask.any() else None)
    history = History(np.array(s.times), np.array(s.objectives), np.array(s.violations), fit.starts)
    if len(history):
        history.objective[-1] = objective
    X_squared_norm = problem.X_squared_norm()
    name = fit.solver.name
    if r.loss.quadratic and not r.terms.biases and not fit.solver.monotone and squared_error > X_squared_norm:
        warn(
            f"These factors fit X worse than zeros would: solver {name!r} may go astray, most of all where "
            f"components are alike. Use 'hals', which cannot, fewer components or alpha_W."
        )
    elif s.stop_reason == "max_iter" and r.stop is None and r.tol > 0:
        warn(
            f"The fit has stopped at max_iter={r.max_iter} before it converged to tol={r.tol:g}. "
            f"Raise max_iter or tol.",
            ConvergenceWarning,
        )
    order = _by_share(problem, W, Ht, r.k) if r.sort else None
    H = transposed(Ht, r.k) if order is None else transposed(Ht, r.k)[order]
    return Factorization(
        W=_result_W(problem, W, r.k, order, r.out_W).astype(r.X.dtype, copy=False),
        H=H.astype(r.X.dtype, copy=False),
        objective=objective,
        divergence=divergence,
        squared_error=squared_error,
        n_iter=s.iteration,
        converged=s.converged,
        stop_reason=s.stop_reason,
        history=history,
        loss=r.loss.name,
        own_loss=None if isinstance(r.loss, Beta) else r.loss,
        solver=name,
        init=r.init,
        n_threads=r.engine.n_threads,
        seconds=time.perf_counter() - s.began,
        n_stored=problem.data.n_stored,
        X_squared_norm=X_squared_norm,
        parameters=r.parameters,
        row_labels=r.row_labels,
        column_labels=r.column_labels,
        frame_library=r.library,
        component_labels=r.component_labels,
        axes=r.axes,
        unknown=_unknown(problem),
        biases=Biases(problem.mean, W[:, r.k].copy(), Ht[:, r.k + 1].copy()) if r.terms.biases else None,
    )


def _unknown(problem: Problem) -> np.ndarray | None:
    """The samples of which nothing is known, if there are some."""
    data = problem.data
    nothing = np.flatnonzero(data.counts() == 0) if isinstance(data, ObservedMatrix) else np.empty(0)
    return nothing if len(nothing) else None


def _by_share(problem: Problem, W: Any, Ht: np.ndarray, k: int) -> np.ndarray | None:
    """The first k components by their share of the model, the largest first; None if they stand so."""
    engine = problem.data.engine
    order = np.argsort(-(engine.sums(W, k) * engine.sums(Ht, k)), kind="stable")
    return None if np.array_equal(order, np.arange(k)) else order


def _result_W(problem: Problem, W: Any, k: int, order: np.ndarray | None, out_W: np.ndarray | None) -> Any:
    """W as it is returned, its components in an order: of its own, or in the array that is there for it."""
    if out_W is None:
        if order is not None and isinstance(W, np.ndarray):
            return W[:, order]
        found = W[:, :k].copy() if problem.data.transposed else problem.data.to_user(W, k)
        return found if order is None else found[:, order]
    for first in range(0, len(W), ROWS):
        out_W[first : first + ROWS] = W[first : first + ROWS, :k] if order is None else W[first : first + ROWS, order]
    return out_W


def identity(problem: Problem, request: Request) -> dict[str, Any]:
    """What makes a fit what it is, but for when it stops: plain values."""
    data, r = problem.data, request
    named = ("alpha_W", "alpha_H", "l1_ratio", "alpha_scaling", "missing", "weighted", "random_state", "shuffle",
             "acceleration")  # fmt: skip
    identity = {
        "shape of X": list(data.shape),
        "dtype of X": data.dtype.name,
        "n_components": r.k,
        "loss": r.loss.identity,
        "solver": r.solver.name,
        OPTIONS: repr(r.solver.options or None),
        "init": r.init,
        "checksum of W": _checksum(r.given[0]),
        "checksum of H": _checksum(r.given[1]),
        "update_H": r.mask.tolist(),
        "biases": r.terms.biases,
        **{name: r.parameters[name] for name in named},
        "sum of X": data.sum(),
        "squared norm of X": data.squared_norm(),
        # which the order of features and, where no data have to be fetched for it, of samples changes
        "weighted sum of columns of X": _weighted(data.sums(columns=not data.transposed)),
        "weighted sum of rows of X": _weighted(data.sums(columns=data.transposed)) if data.local else None,
    }
    for name, factor in zip(("W", "H"), (r.terms.W, r.terms.H), strict=True):
        if not factor.plain:
            identity[f"what {name} may be"] = factor.said
    return identity


def _weighted(sums: np.ndarray) -> float:
    return float(np.linspace(1.0, 2.0, len(sums)) @ sums)


def _checksum(A: Any) -> int | None:
    """Of the numbers of an array, if there is one."""
    return None if A is None else zlib.crc32(np.ascontiguousarray(A, dtype=np.float64).data)


def _check_enough(problem: Problem, k: int) -> None:
    """Warn if no row, or no column, of X has as many known entries as it has numbers to find, and no penalty helps."""
    data = problem.data
    if isinstance(data, ObservedMatrix) and not all(factor.is_penalized for factor in problem.factors):
        check_enough(int(min(data.counts().max(), data.counts(columns=True).max())), k)
