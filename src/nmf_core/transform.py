"""W of new samples for given components."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmf_core.data import FullMatrix, Layout, accept, is_dask, result_type
from nmf_core.engine import Engine, padded
from nmf_core.factors import Factor
from nmf_core.floor import apply_floor
from nmf_core.initialization import for_fixed_components, with_biases
from nmf_core.labels import Axis, component_names
from nmf_core.losses import LOSSES, Loss, make_loss
from nmf_core.problem import Biases, Terms, make_problem
from nmf_core.solvers import FactorState, choose_solver, condition, solve_rows, solver_for_rows
from nmf_core.threads import serial_blas
from nmf_core.typing import AlphaScaling, Auto, LossName, Missing
from nmf_core.validation import (
    check_chunks,
    check_factor,
    check_features,
    check_integer,
    check_loss,
    check_matrix,
    check_number,
    check_penalties,
    check_resident,
    check_threads,
)
from nmf_core.vanishing import warn_of_nothing


class Transformed(NamedTuple):
    """What `transform` has found.

    Attributes
    ----------
    W : ndarray of shape (n_samples, n_components)
        In the dtype of X.
    n_iter : int
        The most sweeps that a row has needed.
    converged : bool
        Whether every row is done.
    biases : ndarray of shape (n_samples,) or None
        Biases of the samples, of a model that has some.
    """

    W: np.ndarray
    n_iter: int
    converged: bool
    biases: np.ndarray | None


class PreparedH(NamedTuple):
    """H in the layout of the kernels.

    Attributes
    ----------
    Ht : ndarray of shape (n_features, ld)
        Factor array of its transpose.
    gram : ndarray of shape (n_components, n_components)
        ``H @ H.T``.
    condition : float
        How alike components are: the condition of `gram`, scaled to ones on its diagonal.
    sums : ndarray of shape (n_components,)
        The sums of its rows.
    """

    Ht: np.ndarray
    gram: np.ndarray
    condition: float
    sums: np.ndarray


class Components:
    """Components that serve any number of calls: checked, laid out and summed up once for each precision.

    That is done again if the numbers of H, or the biases, have been changed in place since.

    Parameters
    ----------
    H : array-like of shape (n_components, n_features)
        Components.
    loss : Loss
        The loss.
    biases : Biases, optional
        Biases of the features, and the mean, of a model that has some: two more components are ready then.
    labels : Axis, optional
        Labels of the features.
    names : Axis, optional
        Names of the components; by default c1, c2, ...
    """

    def __init__(
        self,
        H: Any,
        loss: Loss,
        biases: Biases | None = None,
        labels: Axis | None = None,
        names: Axis | None = None,
    ) -> None:
        self.H = check_matrix(H, "H", factor=True).values
        self.loss = loss
        self.biases = biases
        self.labels = labels
        self.names = Axis(component_names(len(self.H))) if names is None else names
        self.ready_for: dict[np.dtype, PreparedH] = {}
        self.ready_from: list[np.ndarray] = []

    def serves(self, H: np.ndarray) -> bool:
        """Whether these are H, as it has been checked and laid out before."""
        return len(self.ready_from) == 1 and H.dtype == self.H.dtype and np.array_equal(H, self.ready_from[0])

    def ready(self, dtype: np.dtype) -> PreparedH:
        """The components in this precision."""
        now = [self.H] if self.biases is None else [self.H, self.biases.columns]
        ready_for = self.ready_for
        if not self.ready_from or not all(map(np.array_equal, now, self.ready_from)):
            self.ready_for = ready_for = {}
            self.ready_from = [array.copy() for array in now]
        if dtype not in ready_for:
            k = self.H.shape[0]
            Ht = padded(check_factor(self.H, "H", self.H.shape, dtype, zeros=True).T, dtype)
            if self.biases is not None:
                _, Ht = with_biases(Ht, Ht, k)
                Ht[:, k + 1] = self.biases.columns
                k += 2
            engine = Engine()
            HHt = engine.gram(Ht, k)
            ready_for[dtype] = PreparedH(Ht, HHt, condition(HHt), engine.sums(Ht, k))
        return ready_for[dtype]


def transform(
    X: Any,
    H: Any,
    *,
    W: Any = None,
    loss: LossName | float = "frobenius",
    missing: Missing | None = None,
    weights: Any = None,
    alpha_W: float = 0.0,
    l1_ratio: float = 0.0,
    alpha_scaling: AlphaScaling = "size",
    floor: float | Auto | None = None,
    tol: float = 1e-4,
    max_iter: int = 200,
    n_threads: int | None = None,
) -> Transformed:
    """Minimise the loss of X ~ W @ H, and the penalty of W, over W >= 0.

    Every row is a problem of its own, solved in one pass over X: its answer does not depend, to the last bit, on the
    rows beside it. By coordinate descent for the Frobenius loss and Kullback-Leibler, for which it is convex, by
    multiplicative updates for others. For the Frobenius loss and components that are alike, which coordinate
    descent hardly tells apart, exactly.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        New samples.
    H : array-like of shape (n_components, n_features), or Components
        Components; given as such they may have biases, and those of the samples are found too.
    W : array-like of shape (n_samples, n_components), optional
        Where to start; by default from zero for the Frobenius loss, otherwise from equal components that have the sum
        of the row. Zeros of multiplicative updates stay. Never modified.
    loss : str or float
        As in `nmf_core.factorize`.
    missing, weights
        What is missing or counts more, as in `nmf_core.factorize`.
    alpha_W, l1_ratio, alpha_scaling
        Penalty of W as in `nmf_core.factorize`.
    floor : float, "auto" or None
        What is added to X, as in `nmf_core.factorize`.
    tol : float
        A row is done when its steps have fallen to `tol` of its first; to less, the more alike components are.
    max_iter : int
        Sweeps over a row at most.
    n_threads : int, optional
        Threads; by default all that are available.

    Returns
    -------
    Transformed
        Of a dask array W is one, too: its blocks are found when they are asked for, and nothing is known of
        convergence.
    """
    if is_dask(X):
        how = {
            "loss": loss, "missing": missing, "alpha_W": alpha_W, "l1_ratio": l1_ratio, "alpha_scaling": alpha_scaling,
            "floor": floor, "tol": tol, "max_iter": max_iter, "n_threads": n_threads,
        }  # fmt: skip
        return _lazily(X, H, W, weights, how)
    the_loss = make_loss(check_loss(loss, LOSSES))
    components = H if isinstance(H, Components) else Components(H, the_loss)
    labels, weights = accept(X, missing, weights, columns=components.labels, hint=False)
    X, _ = apply_floor(labels.values, floor, the_loss, missing, weights)
    own, n_features = components.H.shape
    biases = components.biases
    k = own if biases is None else own + 2
    check_features(X.shape[1], n_features)
    if W is not None:
        W = check_factor(
            W, "W", (X.shape[0], own), X.dtype, zeros=True, rows=labels.rows, columns=components.names
        )  # fmt: skip
    check_penalties(alpha_W, 0.0, l1_ratio, X.shape)
    tol, max_iter = check_number(tol, "tol"), check_integer(max_iter, "max_iter", 1)
    solver = choose_solver("auto", the_loss)
    terms = Terms(
        missing, weights, (alpha_W, 0.0, l1_ratio), alpha_scaling, H=Factor(free=np.zeros(own, dtype=bool)),
        biases=biases is not None, mean=None if biases is None else biases.mean,
    )  # fmt: skip
    partial_ = missing is not None or weights is not None or biases is not None
    # whether a row is taken for complete must not depend on the rows beside it
    layout = Layout(partial_, row_independent=the_loss.quadratic, row_major=solver.row_major(the_loss))
    with serial_blas():
        problem = make_problem(
            X, the_loss, own, terms,
            nothing_known=True, layout=layout, engine=Engine(check_threads(n_threads)),
        )  # fmt: skip
        data = problem.data
        Ht, gram_H, alike, sums_H = components.ready(data.dtype)
        solver, tol = solver_for_rows(solver, problem, gram_H, alike, tol)
        solver = solver.suited(the_loss, type(data))
        complete = isinstance(data, FullMatrix)
        if W is None:
            masses = np.array([sums_H.sum()]) if complete else data.model_sums(Ht, own).sum(axis=1)
            start_W = for_fixed_components(data, the_loss, own, masses)
        else:
            start_W = padded(W, data.dtype)
        if biases is not None:
            start_W, _ = with_biases(start_W, start_W[:0], own)
        w = FactorState(start_W, k, problem.factor_W)
        h = FactorState(Ht, k, problem.factor_H, gram_H, sums_H if complete else None)
        s = solve_rows(problem, solver, solver.start(problem, w, h, 0.0), tol, max_iter, measure=False)
        found_W = s.w.F
        if alpha_W or not sums_H.any():
            warn_of_nothing(problem, found_W, Ht, own, alpha_W, None)
    found = None if biases is None else found_W[:, own].copy()
    return Transformed(found_W[:, :own].astype(X.dtype), s.iteration, s.converged, found)


def _lazily(X: Any, H: Any, W: Any, weights: Any, how: dict[str, Any]) -> Transformed:
    """The same, block by block of a dask array, when it is computed."""
    check_resident(W is None and weights is None, "transform with W or weights")
    components = H if isinstance(H, Components) else Components(H, make_loss(check_loss(how["loss"], LOSSES)))
    own, n_features = components.H.shape
    check_features(X.shape[1], n_features)
    check_resident(components.biases is None, "transform by a model with biases")
    X = check_chunks(X)
    dtype = result_type(X.dtype)
    blocks = X.map_blocks(
        partial(_rows_of, H=components.H, how=how), dtype=dtype, chunks=(X.chunks[0], (own,)),
        meta=np.empty((0, own), dtype=dtype),
    )  # fmt: skip
    return Transformed(blocks, 0, True, None)


def _rows_of(block: Any, H: np.ndarray, how: dict[str, Any]) -> np.ndarray:
    """W of a block."""
    return transform(block, H, **how).W
