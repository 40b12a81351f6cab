"""`NMF` and `non_negative_factorization`."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from nmf_core.data import is_dask, result_type, row_blocks
from nmf_core.estimators.base import (
    Estimator,
    Interval,
    StrOptions,
    as_factors,
    check_is_fitted,
    check_random_state,
    hint_at_zeros,
    refuse_negative,
    scikit_learn,
    unchanged_by_failure,
    validate_params,
    validated,
    warn_of_ignored,
    warn_of_limit,
    with_checked_parameters,
)
from nmf_core.factorization import Factorization
from nmf_core.factorize import factorize
from nmf_core.factors import ALPHA_SCALINGS, Factor
from nmf_core.labels import Labelled, labelled
from nmf_core.losses import make_loss
from nmf_core.solvers import ALIASES, SOLVERS, choose_solver
from nmf_core.start import STARTS
from nmf_core.stopping import SmallChange
from nmf_core.transform import Components, Transformed, transform
from nmf_core.typing import AlphaScaling, Auto, Init, LossName, Missing, Same, SolverName
from nmf_core.validation import MISSING, Scan, check_nothing_else, check_resident, check_sample_weight
from nmf_core.warning import ConvergenceWarning, held_back, warn

# Components that `transform` has checked and laid out, by estimator: no part of it that is pickled or compared.
_PREPARED: WeakKeyDictionary[Any, Components] = WeakKeyDictionary()

# What scikit-learn's constructor doesn't have.
EXTRA_PARAMETERS = {
    "missing": None,
    "alpha_scaling": "size",
    "n_threads": None,
    "time_limit": None,
    "progress": False,
    "callback": None,
    "transform_tol": None,
    "transform_max_iter": None,
    "floor": None,
    "n_init": 1,
    "factor_W": None,
    "factor_H": None,
}


class NMF(Estimator, scikit_learn.NMF):  # type: ignore[misc]
    """Non-negative Matrix Factorization, a drop-in for :class:`sklearn.decomposition.NMF`.

    Finds non-negative W and H such that ``W @ H`` approximates X. With the Frobenius loss they minimise ::

        0.5 * ||X - W H||^2 + n_features * alpha_W * (l1_ratio * sum(W) + 0.5 * (1 - l1_ratio) * ||W||^2)
                            + n_samples * alpha_H * (l1_ratio * sum(H) + 0.5 * (1 - l1_ratio) * ||H||^2)

    Every parameter, attribute, message and warning of scikit-learn's class is there; the parameters from
    `missing` on are additions.

    Parameters
    ----------
    n_components : int, "auto" or None, default="auto"
        Number of components; "auto" takes it from a custom H, else, like None, n_features.
    init : str or None, default=None
        How W and H start: "random", "nndsvd", "nndsvda", "nndsvdar", "custom", or others of
        :func:`nmf_core.initialize`. None is "nndsvda" if n_components <= min(n_samples, n_features), else "random";
        "custom" takes the W and H given to `fit`, which are copied.
    solver : str, default="cd"
        "cd" or "hals" is coordinate descent (hierarchical alternating least squares) for the Frobenius loss, "mu"
        multiplicative updates for any loss. "auto" is the fastest for the loss, also for others than Frobenius. For all
        others see :func:`nmf_core.factorize`.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        The divergence between X and W H; other than "frobenius" (or 2) for solvers "auto" and "mu".
    tol : float, default=1e-4
        Tolerance of the stopping rule.
    max_iter : int, default=200
        Most iterations of a fit, and of `transform`.
    random_state : int, RandomState instance or None, default=None
        Seed of the initialization and of `shuffle`; None draws from NumPy's global state.
    alpha_W : float, default=0.0
        Weight of the penalties on W.
    alpha_H : float or "same", default="same"
        Weight of the penalties on H; "same" is `alpha_W`.
    l1_ratio : float, default=0.0
        Share of L1 in the penalties, 0 to 1.
    verbose : int, default=0
        Print the course of the fit.
    shuffle : bool, default=False
        Visit the components in random order in coordinate descent.
    missing : {None, "nan", "unstored"}, default=None
        What is missing, in `fit` and in `transform`. None: nothing, NaN is an error. "nan": NaN in an array or data
        frame. "unstored": what a sparse X does not store; stored zeros are known to be zero. A start from singular
        vectors or clusters needs a complete X; None as `init` is "random" then. See :func:`nmf_core.factorize`, which
        takes weights besides.
    alpha_scaling : {"size", "observed"}, default="size"
        Whether the penalties of a row of W and of a column of H grow with the size of X, as in scikit-learn, or with
        the number of known entries in that row or column.
    n_threads : int or None, default=None
        OpenMP threads; None takes what the process may use. Results don't depend on it.
    time_limit : float or None, default=None
        Seconds after which a fit stops with what it has.
    progress : bool, default=False
        Show a progress bar while fitting.
    callback : callable or None, default=None
        Called as ``callback(state)`` after every iteration of a fit; returning True stops the fit. See
        :func:`nmf_core.factorize`.
    transform_tol : float or None, default=None
        Tolerance of `transform`, where a row is done when its steps have fallen to this share of its first; None takes
        `tol`.
    transform_max_iter : int or None, default=None
        Most sweeps over a row in `transform`; None takes `max_iter`.
    floor : float, "auto" or None, default=None
        A small number that is added to X, in `fit` and in `transform`, for a `beta_loss` that zeros make infinite (0 or
        less); "auto" finds one if it is needed. See :func:`nmf_core.factorize`.
    n_init : int, default=1
        Number of random starts, of which `fit` keeps the one with the lowest objective; of more than one, `init` must
        be random, and None is "random".
    factor_W, factor_H : Factor or None, default=None
        Bounds and penalties of W and of H, for solver "cd" and a complete X: see :class:`nmf_core.Factor`. A start in
        them is taken where ``init="custom"`` and none is given to `fit`. `transform` knows none of W.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features), dtype of X
        H.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        ``sqrt(2 * divergence)`` of X and W H: for the Frobenius loss the norm of ``X - W @ H``.
    n_iter_ : int
        Iterations done.
    result_ : Factorization
        All that is known of the fit, for tables, pictures and reports. Not of a pickled model: it has W of all samples.
    history_ : History
        Its course.
    converged_ : bool
        Whether it stopped because it had converged.
    floor_ : float
        What has been added to X; only with a `floor`.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had names that are all strings.

    Notes
    -----
    A `fit` that fails leaves the estimator as it was. One interrupted by Ctrl-C stores the factors reached so
    far and lets the KeyboardInterrupt through. In `transform` each row's answer depends on that row alone.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core import NMF
    >>> X = np.array([[1, 1], [2, 1], [3, 1.2], [4, 1], [5, 0.8], [6, 1]])
    >>> model = NMF(n_components=2, init="random", random_state=0)
    >>> model.fit_transform(X).shape
    (6, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        **scikit_learn.NMF._parameter_constraints,
        "solver": [StrOptions({"auto", *SOLVERS, *ALIASES})],
        "init": [StrOptions({*STARTS, "custom"}), None],
        "missing": [StrOptions(set(MISSING)), None],
        "alpha_scaling": [StrOptions(set(ALPHA_SCALINGS))],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "progress": ["boolean"],
        "callback": [callable, None],
        "transform_tol": [Interval(Real, 0, None, closed="left"), None],
        "transform_max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "floor": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"}), None],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "factor_W": [Factor, None],
        "factor_H": [Factor, None],
    }
    _n_components: Any  # set by scikit-learn's checks

    def __init__(
        self,
        n_components: int | Auto | None = "auto",
        *,
        init: Init | None = None,
        solver: SolverName = "cd",
        beta_loss: float | LossName = "frobenius",
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: int | np.random.RandomState | None = None,
        alpha_W: float = 0.0,
        alpha_H: float | Same = "same",
        l1_ratio: float = 0.0,
        verbose: int = 0,
        shuffle: bool = False,
        missing: Missing | None = None,
        alpha_scaling: AlphaScaling = "size",
        n_threads: int | None = None,
        time_limit: float | None = None,
        progress: bool = False,
        callback: Callable[[Any], Any] | None = None,
        transform_tol: float | None = None,
        transform_max_iter: int | None = None,
        floor: float | Auto | None = None,
        n_init: int = 1,
        factor_W: Factor | None = None,
        factor_H: Factor | None = None,
    ) -> None:
        super().__init__(
            n_components=n_components,
            init=init,
            solver=solver,
            beta_loss=beta_loss,
            tol=tol,
            max_iter=max_iter,
            random_state=random_state,
            alpha_W=alpha_W,
            alpha_H=alpha_H,
            l1_ratio=l1_ratio,
            verbose=verbose,
            shuffle=shuffle,
        )
        self.missing = missing
        self.alpha_scaling = alpha_scaling
        self.n_threads = n_threads
        self.time_limit = time_limit
        self.progress = progress
        self.callback = callback
        self.transform_tol = transform_tol
        self.transform_max_iter = transform_max_iter
        self.floor = floor
        self.n_init = n_init
        self.factor_W = factor_W
        self.factor_H = factor_H

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "nan"
        tags.input_tags.sparse = self.missing != "nan"
        return tags

    def transform(self, X: Any) -> np.ndarray:
        """Find W of X for the components of the fit, each row on its own, from what is known of it.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or AnnData of shape (n_samples, n_features)
            Non-negative data.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components), dtype of X
            The transformed data; of a dask array one, too, which is computed when it is asked for.

        Raises
        ------
        ValueError, TypeError
            For data that cannot be used, with scikit-learn's messages.
        """
        check_is_fitted(self)
        data = validated(X, self.missing, estimator=self, reset=False, n_threads=self.n_threads)
        X = data.values
        with np.errstate(over="ignore"):  # what overflows is an infinity, which is found
            H = np.asarray(self.components_).astype(result_type(X.dtype), copy=False)
        prepared, checked = _PREPARED.get(self), copy(self)  # the checks note down what they find
        if prepared is not None and isinstance(X, np.ndarray) and prepared.serves(H):
            refuse_negative(X, "X in NMF", data.scan)
            checked._check_params(X)
            if make_loss(float(checked._beta_loss)) is prepared.loss:
                return checked._project(X, prepared).W
        W, _, _ = checked._fit_transform(X, H=H, update_H=False, scan=data.scan)
        if H.any() and not is_dask(X):
            _PREPARED[self] = prepared = Components(H, make_loss(float(checked._beta_loss)))
            prepared.ready(X.dtype)
        return W

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A model that scikit-learn's class pickled becomes one of ours when read in a patched process.
        super().__setstate__(EXTRA_PARAMETERS | state)

    def fit(
        self,
        X: Any,
        y: Any = None,
        W: Any = None,
        H: Any = None,
        sample_weight: Any = None,
        weights: Any = None,
        feature_names: Any = None,
    ) -> "NMF":
        """Fit the model to X.

        Parameters
        ----------
        X, y, W, H, sample_weight, weights, feature_names
            As in `fit_transform`.

        Returns
        -------
        NMF
            The estimator itself.
        """
        given = {"sample_weight": sample_weight, "weights": weights, "feature_names": feature_names}
        self.fit_transform(X, W=W, H=H, **given)
        return self

    @with_checked_parameters
    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        W: Any = None,
        H: Any = None,
        sample_weight: Any = None,
        weights: Any = None,
        feature_names: Any = None,
    ) -> np.ndarray:
        """Fit the model to X and return W.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or AnnData of shape (n_samples, n_features)
            Non-negative data; float32 and float64 are kept, everything else becomes float64.
        y : Ignored
            There for scikit-learn's conventions.
        W : array-like of shape (n_samples, n_components), default=None
            Start of W, with ``init="custom"``; an array must not be less precise than X.
        H : array-like of shape (n_components, n_features), default=None
            Start of H, with ``init="custom"``; an array must not be less precise than X.
        sample_weight : array-like or series of shape (n_samples,), default=None
            How often every sample counts. One that does not count has W all the same. The index of a series is brought
            into the order of that of X.
        weights : array-like or sparse matrix of shape (n_samples, n_features), default=None
            How much every entry counts; 0 is missing. See :func:`nmf_core.factorize`.
        feature_names : array-like of labels, default=None
            Names of the features of an X that has none, such as a sparse one: `result_` has them, and features that are
            named in `transform` are brought into their order.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components), dtype of X
            The transformed data.

        Raises
        ------
        ValueError, TypeError
            For parameters, data or starts that cannot be used, with scikit-learn's messages.
        """
        with unchanged_by_failure(self):
            how = {"n_threads": self.n_threads, "feature_names": feature_names}
            data = validated(X, self.missing, estimator=self, **how)
            arguments = self._arguments(data.values, *as_factors(*self._given(W, H), data), data.scan)
            arguments["X"] = data  # with its labels
            with hint_at_zeros(), held_back() as doubts:
                if sample_weight is None:
                    result = factorize(**arguments, weights=weights)
                else:
                    counts = check_sample_weight(sample_weight, data.values.shape[0], data.rows)
                    result = self._weighted(arguments, counts, weights)
            self._tell(result, doubts)
            self.result_ = result
            self.reconstruction_err_ = np.sqrt(2.0 * result.divergence)
            self.n_components_ = result.H.shape[0]
            self.components_ = result.H
            self.n_iter_ = result.n_iter
            self.__dict__.pop("floor_", None)
            if self.floor is not None:
                self.floor_ = result.parameters["floor"]
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
        return result.W

    def _fit_transform(
        self, X: Any, y: Any = None, W: Any = None, H: Any = None, update_H: bool = True, scan: Scan | None = None
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Return W, H and the number of iterations: the door scikit-learn's own methods and functions use."""
        if not update_H:  # to transform, which threads may do at once, leaves no trace
            checked = copy(self)
            checked._start(X, W, H, False, scan)
            if not H.any():
                warn("All components are zero, and so is W.")
                return np.zeros((X.shape[0], H.shape[0]), dtype=X.dtype), H.copy(), 1
            found = checked._project(X, H)
            return found.W, H.copy(), found.n_iter
        arguments = self._arguments(X, W, H, scan)
        with hint_at_zeros(), held_back() as doubts:
            result = factorize(**arguments)
        self._tell(result, doubts)
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
        return result.W, result.H, result.n_iter

    def _given(self, W: Any, H: Any) -> tuple[Any, Any]:
        """The W and H that are given, for a custom start those of `factor_W` and `factor_H` where none are."""
        if self.init != "custom":
            return W, H
        pairs = ((W, self.factor_W), (H, self.factor_H))
        W, H = (F if F is not None or factor is None else factor.initial for F, factor in pairs)
        return W, H

    def _start(self, X: Any, W: Any, H: Any, update_H: bool, scan: Scan | None) -> tuple[Any, Any]:
        """Check what scikit-learn checks of validated X, which it notes down; the W and H to start from."""
        if not is_dask(X) and row_blocks(X) is None:
            refuse_negative(X, "NMF initialization" if update_H else "X in NMF", scan)
        self._check_params(X)
        if self.init != "custom" and update_H:
            if W is not None or H is not None:
                warn_of_ignored()
            if self._n_components == "auto":
                self._n_components = X.shape[1]
            return None, None
        if H is None or (W is None and update_H):
            raise ValueError("init='custom' needs both W and H, update_H=False needs H.")
        # Strong penalties lead to components that are all zero; as fixed ones, scikit-learn refuses them.
        is_zero = not update_H and not H.any()
        # With fixed components it would make an initial W, which nobody needs, from the mean of all of X.
        subject = X if update_H else np.zeros((1, X.shape[1]), dtype=X.dtype)
        return self._check_w_h(subject, W, np.ones_like(H) if is_zero else H, update_H)[0], H

    def _check_params(self, X: Any) -> "NMF":
        """Check what scikit-learn checks, which knows two solvers only."""
        if self.solver in scikit_learn.NMF._parameter_constraints["solver"][0].options:
            return super()._check_params(X)
        scikit_learn._BaseNMF._check_params(self, X)
        loss = make_loss(float(self._beta_loss))
        if not choose_solver(self.solver, loss).handles(loss):
            raise ValueError(
                f"Invalid beta_loss parameter: solver {self.solver!r} does not handle beta_loss = {self.beta_loss!r}"
            )
        return self

    def _arguments(self, X: Any, W: Any, H: Any, scan: Scan | None) -> dict[str, Any]:
        """Check what scikit-learn checks; the arguments of `factorize`."""
        W, H = self._start(X, W, H, True, scan)
        factors = ((W, self.factor_W), (H, self.factor_H))
        W, H = (F if factor is None else replace(factor, initial=F) for F, factor in factors)
        return {
            "X": Labelled(X, scan=scan),
            "n_components": int(self._n_components),
            "loss": float(self._beta_loss),
            "solver": self.solver,
            "missing": self.missing,
            "alpha_scaling": self.alpha_scaling,
            "floor": self.floor,
            "init": self.init,
            "n_init": self.n_init,
            "W": W,
            "H": H,
            "alpha_W": self.alpha_W,
            "alpha_H": self.alpha_H,
            "l1_ratio": self.l1_ratio,
            "tol": self.tol,
            "stop": SmallChange(self.tol) if self.solver == "mu" else None,  # scikit-learn's
            "max_iter": self.max_iter,
            "time_limit": self.time_limit,
            "random_state": check_random_state(None) if self.random_state is None else self.random_state,
            "n_threads": self.n_threads,
            "callback": _printing(self.solver, self.callback) if self.verbose else self.callback,
            "progress": self.progress,
            "shuffle": self.shuffle,
            "sort": False,  # as scikit-learn
        }

    def _weighted(self, arguments: dict[str, Any], counts: np.ndarray, weights: Any) -> Factorization:
        """The fit of samples that count so often."""
        data, beta = arguments["X"], float(self._beta_loss)
        X = data.values
        check_resident(row_blocks(X) is None and not is_dask(X), "sample_weight")
        if weights is not None or beta <= 0 or self.alpha_W or self.factor_W is not None:
            given = labelled(np.ones(X.shape, dtype=X.dtype) if weights is None else weights, "weights")
            ones, some = given.aligned("weights", data.rows, data.columns).values, counts[:, np.newaxis]
            spread = ones.multiply(some).tocsr() if hasattr(ones, "multiply") else ones * some
            result = factorize(**arguments, weights=spread)
            W = result.W
        else:  # d(c x, c y) is c^beta d(x, y): rows are scaled, which costs nothing
            scale = (counts ** (1 / beta)).astype(X.dtype)[:, np.newaxis]
            scaled = X.multiply(scale).asformat(X.format) if hasattr(X, "multiply") else X * scale
            start = None if arguments["W"] is None else arguments["W"] * scale
            result = factorize(**{**arguments, "X": data._replace(values=scaled, scan=None), "W": start})
            W = np.divide(result.W, scale, out=np.zeros_like(result.W), where=scale > 0)
        left_out = np.flatnonzero(counts == 0)
        if len(left_out):
            W[left_out] = self._project(X[left_out], result.H).W
        unknown = None if result.unknown is None else np.setdiff1d(result.unknown, left_out)
        return replace(result, W=W, unknown=unknown)

    def _tell(self, result: Factorization, doubts: list[Warning]) -> None:
        """Say how a fit has ended, as scikit-learn does, and what else was to be said of it."""
        for doubt in doubts:
            if not isinstance(doubt, ConvergenceWarning):
                warn(str(doubt), type(doubt))
        if result.stop_reason == "max_iter" and self.tol > 0:
            warn_of_limit(self.max_iter)
        if self.verbose and result.converged:
            print("Converged at iteration", result.n_iter)

    def _project(self, X: Any, H: np.ndarray | Components) -> Transformed:
        """Find W for the given H, each row on its own."""
        check_nothing_else("W", None if self.factor_W is None else self.factor_W.said)
        tol = self.tol if self.transform_tol is None else self.transform_tol
        max_iter = self.transform_max_iter or self.max_iter
        with hint_at_zeros():
            found = transform(
                X,
                H,
                loss=float(self._beta_loss),
                missing=self.missing,
                alpha_scaling=self.alpha_scaling,
                floor=None if self.floor is None else getattr(self, "floor_", self.floor),
                alpha_W=self.alpha_W,
                l1_ratio=self.l1_ratio,
                tol=tol,
                max_iter=max_iter,
                n_threads=self.n_threads,
            )
        if not found.converged and tol > 0:
            warn_of_limit(max_iter)
        return found


@validate_params(  # type: ignore[untyped-decorator]
    {
        "X": ["array-like", "sparse matrix"],
        "W": ["array-like", None],
        "H": ["array-like", None],
        "update_H": ["boolean"],
    },
    prefer_skip_nested_validation=False,
)
def non_negative_factorization(
    X: Any,
    W: Any = None,
    H: Any = None,
    n_components: int | Auto | None = "auto",
    *,
    init: Init | None = None,
    update_H: bool = True,
    solver: SolverName = "cd",
    beta_loss: float | LossName = "frobenius",
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,
    alpha_H: float | Same = "same",
    l1_ratio: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
    shuffle: bool = False,
    missing: Missing | None = None,
    alpha_scaling: AlphaScaling = "size",
    n_threads: int | None = None,
    time_limit: float | None = None,
    progress: bool = False,
    callback: Callable[[Any], Any] | None = None,
    transform_tol: float | None = None,
    transform_max_iter: int | None = None,
    floor: float | Auto | None = None,
    n_init: int = 1,
    factor_W: Factor | None = None,
    factor_H: Factor | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Factorise X, a drop-in for :func:`sklearn.decomposition.non_negative_factorization`.

    The parameters that are not listed are those of :class:`NMF`.

    Parameters
    ----------
    X : array-like, sparse matrix, data frame or AnnData of shape (n_samples, n_features)
        Non-negative data; float32 and float64 are kept, everything else becomes float64.
    W : array-like of shape (n_samples, n_components), default=None
        Start of W with ``init="custom"``; otherwise ignored with a warning. Never modified.
    H : array-like of shape (n_components, n_features), default=None
        Start of H with ``init="custom"``, the fixed H with ``update_H=False``; otherwise ignored with a
        warning. Never modified.
    n_components : int, "auto" or None, default="auto"
        Number of components; "auto" takes it from an H that is used, else, like None, n_features.
    update_H : bool, default=True
        False keeps the given H and finds W only, each row on its own.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components), dtype of X
        The first factor.
    H : ndarray of shape (n_components, n_features), dtype of X
        The second factor.
    n_iter : int
        Iterations done.

    Raises
    ------
    ValueError, TypeError
        For parameters, data or factors that cannot be used, with scikit-learn's messages.
    """
    parameters = {name: value for name, value in locals().items() if name not in ("X", "W", "H", "update_H")}
    estimator = NMF(**parameters)
    estimator._validate_params()
    data = validated(X, missing, n_threads=n_threads)
    W, H = as_factors(*estimator._given(W, H), data)
    return estimator._fit_transform(data.values, W=W, H=H, update_H=update_H, scan=data.scan)


def _printing(solver: str, callback: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return a callback that prints what scikit-learn prints with `verbose`, then calls the given one."""

    def report(state: Any) -> Any:
        if solver != "mu":
            print("violation:", state.violation)
        elif state.iteration % 10 == 0:
            error = np.sqrt(2.0 * state.objective)
            print(f"Epoch {state.iteration:02d} reached after {state.seconds:.3f} seconds, error: {error:f}")
        return callback is not None and callback(state)

    return report
