"""`MiniBatchNMF`."""

import math
from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from nmf_core.engine import Engine, padded
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
    validated,
    warn_of_ignored,
    warn_of_limit,
    with_checked_parameters,
)
from nmf_core.factorization import Factorization
from nmf_core.labels import Labelled
from nmf_core.losses import LOSSES, make_loss
from nmf_core.minibatch import Convergence, Course, batches, fit_batches
from nmf_core.online import SWEEPS, Online, make_online, method_for
from nmf_core.problem import History, Problem, Terms, make_problem
from nmf_core.solvers import SOLVERS
from nmf_core.start import STARTS, initialize, usual_init
from nmf_core.threads import serial_blas
from nmf_core.transform import Transformed, transform
from nmf_core.typing import Auto, BatchSolverName, Init, LossName, Same
from nmf_core.validation import check_balance, check_features, check_loss, check_matrix, stored_values
from nmf_core.vanishing import warn_of_nothing
from nmf_core.warning import held_back

# What scikit-learn's constructor doesn't have.
EXTRA_PARAMETERS = {"solver": "auto", "n_threads": None}
CHECKED = "MiniBatchNMF (input X)"
# Parameters that a result holds besides those of any fit.
OF_BATCHES = (
    "batch_size", "max_no_improvement", "forget_factor", "fresh_restarts", "fresh_restarts_max_iter",
)  # fmt: skip


class MiniBatchNMF(Estimator, scikit_learn.MiniBatchNMF):  # type: ignore[misc]
    """Non-negative Matrix Factorization by mini-batches, a drop-in for :class:`sklearn.decomposition.MiniBatchNMF`.

    Minimises what :class:`NMF` does, but improves H after every batch of rows. `partial_fit` learns from a stream of
    batches of any size, each of which is seen once and not kept. What was learned from earlier batches is forgotten
    little by little.

    Every parameter, attribute, message and warning of scikit-learn's class is there; the parameters from `solver` on
    are additions.

    Parameters
    ----------
    n_components : int, "auto" or None, default="auto"
        Number of components; "auto" takes it from a custom H, else, like None, n_features.
    init : str or None, default=None
        How W and H start, from all of X or from the first batch of a stream; see :class:`NMF`.
    batch_size : int, default=1024
        Rows of a batch in `fit`.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        The divergence between X and W H.
    tol : float, default=1e-4
        `fit` is over when a batch changes H by no more than this, relatively and on average over X; with 0 this does
        not matter. A row of W that is solved for from scratch is done when its steps have fallen to `tol` of its first.
    max_no_improvement : int or None, default=10
        `fit` is over after so many batches in a row without a new lowest smoothed cost, but not before it has gone
        through all of X.
    max_iter : int, default=200
        Most times that `fit` goes through X.
    alpha_W : float, default=0.0
        Weight of the penalties on W.
    alpha_H : float or "same", default="same"
        Weight of the penalties on H; "same" is `alpha_W`.
    l1_ratio : float, default=0.0
        Share of L1 in the penalties, 0 to 1.
    forget_factor : float, default=0.7
        How much of the past counts after `fit` has gone through X once, or after a batch of `partial_fit` that is as
        large as the first one. With 1 nothing is forgotten, with 0 everything.
    fresh_restarts : bool, default=False
        Whether `fit` solves for the W of a batch from scratch. `partial_fit` always does.
    fresh_restarts_max_iter : int, default=30
        Most sweeps over a row of W that is solved for from scratch.
    transform_max_iter : int or None, default=None
        Most sweeps over a row in `transform`; None takes `max_iter`.
    random_state : int, RandomState instance or None, default=None
        Seed of the initialization; None draws from NumPy's global state.
    verbose : int, default=0
        Print the course of the fit.
    solver : {"auto", "hals", "newton", "mu"}, default="auto"
        "hals" is coordinate descent (hierarchical alternating least squares) for the Frobenius loss, "newton"
        coordinate descent on W with multiplicative updates of H for Kullback-Leibler, "mu" multiplicative updates for
        any loss. "auto" is the first of these that minimises the loss, but "mu" with ``forget_factor=0``.
    n_threads : int or None, default=None
        OpenMP threads; None takes what the process may use. Results don't depend on it.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features), dtype of X
        H. Another array after every `partial_fit`, unless H is given to it.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        ``sqrt(2 * divergence)`` of X and W H; after `partial_fit` of the last batch, with the components before it.
    n_iter_ : int
        Times that `fit` has gone through X, the last one perhaps not to the end; 1 after `partial_fit` alone.
    n_steps_ : int
        Batches gone through.
    result_ : Factorization
        All that is known of a `fit`, for tables, pictures and reports: its history has an entry for every batch, whose
        objective is scaled to all rows. Not after `partial_fit`, nor of a pickled model.
    history_ : History
        Its course.
    converged_ : bool
        Whether it stopped because it had converged.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X had names that are all strings.

    Notes
    -----
    A `fit` or `partial_fit` that fails leaves the estimator as it was. A `fit` interrupted by Ctrl-C stores what it has
    reached and lets the KeyboardInterrupt through. Pickled between two calls of `partial_fit`, the model goes on as if
    nothing had happened. Parameters that are changed between them matter from the next `fit` on.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core import MiniBatchNMF
    >>> model = MiniBatchNMF(n_components=2, init="random", random_state=0)
    >>> for batch in np.random.default_rng(0).random((5, 20, 4)):
    ...     model = model.partial_fit(batch)
    >>> model.transform(batch).shape
    (20, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        **scikit_learn.MiniBatchNMF._parameter_constraints,
        "init": [StrOptions({*STARTS, "custom"}), None],
        "solver": [StrOptions({"auto", *SWEEPS})],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }
    _n_components: Any  # set by scikit-learn's checks
    _online: Online

    def __init__(
        self,
        n_components: int | Auto | None = "auto",
        *,
        init: Init | None = None,
        batch_size: int = 1024,
        beta_loss: float | LossName = "frobenius",
        tol: float = 1e-4,
        max_no_improvement: int | None = 10,
        max_iter: int = 200,
        alpha_W: float = 0.0,
        alpha_H: float | Same = "same",
        l1_ratio: float = 0.0,
        forget_factor: float = 0.7,
        fresh_restarts: bool = False,
        fresh_restarts_max_iter: int = 30,
        transform_max_iter: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        solver: BatchSolverName = "auto",
        n_threads: int | None = None,
    ) -> None:
        super().__init__(
            n_components=n_components,
            init=init,
            batch_size=batch_size,
            beta_loss=beta_loss,
            tol=tol,
            max_no_improvement=max_no_improvement,
            max_iter=max_iter,
            alpha_W=alpha_W,
            alpha_H=alpha_H,
            l1_ratio=l1_ratio,
            forget_factor=forget_factor,
            fresh_restarts=fresh_restarts,
            fresh_restarts_max_iter=fresh_restarts_max_iter,
            transform_max_iter=transform_max_iter,
            random_state=random_state,
            verbose=verbose,
        )
        self.solver = solver
        self.n_threads = n_threads

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A model that scikit-learn's class pickled becomes one of ours when read in a patched process: it goes on from
        # its components.
        super().__setstate__(EXTRA_PARAMETERS | state)

    def fit(self, X: Any, y: Any = None, W: Any = None, H: Any = None, feature_names: Any = None) -> "MiniBatchNMF":
        """Fit the model to X, batch by batch, until it has converged.

        Parameters
        ----------
        X, y, W, H, feature_names
            As in `fit_transform`.

        Returns
        -------
        MiniBatchNMF
            The estimator itself.
        """
        self.fit_transform(X, W=W, H=H, feature_names=feature_names)
        return self

    @with_checked_parameters
    def fit_transform(
        self, X: Any, y: Any = None, W: Any = None, H: Any = None, feature_names: Any = None
    ) -> np.ndarray:
        """Fit the model to X, batch by batch, and return W.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or AnnData of shape (n_samples, n_features)
            Non-negative data; float32 and float64 are kept, everything else becomes float64.
        y : Ignored
            There for scikit-learn's conventions.
        W : array-like of shape (n_samples, n_components), default=None
            Start of W, with ``init="custom"``; an array must not be less precise than X.
        H : array-like of shape (n_components, n_features), default=None
            Start of H, with ``init="custom"``; an array must not be less precise than X and, as in scikit-learn,
            becomes `components_` if it has the dtype of X. Modified in place then.
        feature_names : array-like of labels, default=None
            Names of the features of an X that has none, as for :class:`NMF`.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components), dtype of X
            With ``fresh_restarts`` that of `transform`, otherwise what rows had when their batch was gone through last.

        Raises
        ------
        ValueError, TypeError
            For parameters, data or starts that cannot be used, with scikit-learn's messages.
        """
        with unchanged_by_failure(self), serial_blas(), hint_at_zeros():
            data, W, H = self._validated(X, W, H, feature_names=feature_names)
            X = data.values
            self._check_params(X)
            start_W, start_H = self._start(X, W, H)
            self._online = online = self._make_online(X, start_H)
            engine = Engine(self.n_threads)
            parts = batches(X.astype(online.Ht.dtype, copy=False), online.loss, self._batch_size, engine)
            most = self.max_iter * len(parts)
            rows = padded(start_W, online.Ht.dtype)
            course = fit_batches(
                online,
                parts,
                rows,
                Convergence(online, X.shape[0], len(parts), self.tol, self.max_no_improvement),
                fresh=self.fresh_restarts,
                max_iter=self.max_iter,
                report=_printing(most) if self.verbose else None,
            )
            self._publish(H, X.dtype)
            self.n_steps_ = course.n_steps
            self.n_iter_ = math.ceil(course.n_steps / len(parts))
            finished = self.tol == 0 or self.n_iter_ < self.max_iter
            found = rows[:, : online.k].astype(X.dtype)
            if self.fresh_restarts:
                with held_back():  # there is something to say about the fit already
                    found, done = self._find(X)
                finished = finished and done
            self.result_ = self._packed(data, found, course, engine)
            self.reconstruction_err_ = np.sqrt(2 * self.result_.divergence)
        if course.reason == "interrupted":
            raise KeyboardInterrupt
        if not finished:
            warn_of_limit(self.max_iter)
        return found

    @with_checked_parameters
    def partial_fit(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> "MiniBatchNMF":
        """Go on learning from one batch.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or AnnData of shape (n_samples, n_features)
            The batch, of any size; computed in the precision of the first one.
        y : Ignored
            There for scikit-learn's conventions.
        W : array-like of shape (n_samples, n_components), default=None
            For the first batch with ``init="custom"``: checked, but W of a batch is solved for from scratch.
        H : array-like of shape (n_components, n_features), default=None
            Start of H, for the first batch with ``init="custom"``; an array that is given becomes `components_`, as in
            scikit-learn. Modified in place.

        Returns
        -------
        MiniBatchNMF
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            For parameters, data or starts that cannot be used, with scikit-learn's messages.
        """
        first = not hasattr(self, "components_")
        with unchanged_by_failure(self), serial_blas(), hint_at_zeros():
            data, W, H = self._validated(X, W, H, reset=first)
            X = data.values
            online = None if first else self._going_on()
            if online is None:
                self._check_params(X)
                empty = first or not np.any(self.components_)
                start_H = self._start(X, W, H)[1] if empty else self._given_components(X)
                self._online = online = self._make_online(X, start_H)
                self.n_steps_, self.n_iter_ = vars(self).get("n_steps_", 0), 1
            engine = Engine(self.n_threads)
            [batch] = batches(X.astype(online.Ht.dtype, copy=False), online.loss, X.shape[0], engine)
            online.step(batch)
            self._publish(H if self.init == "custom" else None, X.dtype if first else self.components_.dtype)
            self.reconstruction_err_ = np.sqrt(2 * online.divergence)
            self.n_steps_ += 1
            self.__dict__.pop("result_", None)
        if not self.components_.any():
            self._warn_of_nothing(*self._placed(X, np.zeros((X.shape[0], online.k), dtype=X.dtype), engine))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Find W of X for the components, each row on its own.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or AnnData of shape (n_samples, n_features)
            Non-negative data.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components), dtype of X
            The transformed data.

        Raises
        ------
        ValueError, TypeError
            For data that cannot be used, with scikit-learn's messages.
        """
        check_is_fitted(self)
        with hint_at_zeros():
            W, done = self._find(self._validated(X, reset=False)[0].values)
        if not done:
            warn_of_limit(self.transform_max_iter or self.max_iter)
        return W

    def _validated(
        self, X: Any, W: Any = None, H: Any = None, *, reset: bool = True, feature_names: Any = None
    ) -> tuple[Labelled, Any, Any]:
        """X with its labels, W and H as arrays, with scikit-learn's checks; `reset` notes down the features of X."""
        how = {"reset": reset, "in_blocks": False, "n_threads": self.n_threads, "feature_names": feature_names}
        data = validated(X, estimator=self, **how)
        refuse_negative(data.values, CHECKED, data.scan)
        return data, *as_factors(W, H, data)

    def _check_params(self, X: Any) -> "MiniBatchNMF":
        """Check what scikit-learn checks, and that the solver goes with the loss."""
        super()._check_params(X)
        if self.solver != "auto" and not SOLVERS[self.solver].handles(make_loss(float(self._beta_loss))):
            raise ValueError(
                f"Invalid beta_loss parameter: solver {self.solver!r} does not handle beta_loss = {self.beta_loss!r}"
            )
        return self

    def _start(self, X: Any, W: Any, H: Any) -> tuple[np.ndarray, np.ndarray]:
        """Initial factors: the given ones, or what `init` says."""
        if self.init == "custom":
            if W is None or H is None:
                raise ValueError("init='custom' needs both W and H.")
            return self._check_w_h(X, W, H, True)
        if W is not None or H is not None:
            warn_of_ignored()
        if self._n_components == "auto":
            self._n_components = X.shape[1]
        random = check_random_state(None) if self.random_state is None else self.random_state
        return initialize(
            X, int(self._n_components), self.init, loss=float(self._beta_loss), random_state=random,
            n_threads=self.n_threads,
        )  # fmt: skip

    def _going_on(self) -> Online | None:
        """What has learned so far, if that is what `components_` shows.

        Components that were changed from outside, or are all zero because no batch has had anything else, are a start.
        """
        online = vars(self).get("_online")
        if online is None or not online.Ht.any():
            return None
        shown = online.Ht[:, : online.k].T.astype(self.components_.dtype, copy=False)
        return online if np.array_equal(shown, self.components_) else None

    def _given_components(self, X: Any) -> np.ndarray:
        """`components_` as somebody has set them, checked."""
        H = check_matrix(self.components_, "components_", factor=True)[0]
        check_features(X.shape[1], H.shape[1])
        return H

    def _make_online(self, X: Any, H: np.ndarray) -> Online:
        """What learns, from these components on, in float64 if powers of what X holds leave float32."""
        check_balance(self.alpha_W, self.alpha_H)
        loss = make_loss(float(self._beta_loss))
        if not loss.quadratic and not loss.fits_single(stored_values(X).sum(dtype=np.float64) / math.prod(X.shape)):
            H = H.astype(np.float64)
        return make_online(
            H, loss, method_for(self.solver, loss, self.forget_factor), n_samples=X.shape[0],
            forget_factor=self.forget_factor, alphas=(self.alpha_W, self.alpha_H, self.l1_ratio),
            tol=self.tol, max_sweeps=self.fresh_restarts_max_iter,
        )  # fmt: skip

    def _publish(self, given: Any, dtype: np.dtype) -> None:
        """Show what has been learned, in this dtype; an array that was given as H takes it."""
        self.components_ = self._online.H.astype(dtype, copy=False)
        self.n_components_ = self._online.k
        if self.init == "custom" and isinstance(given, np.ndarray) and given.flags.writeable:
            given[:] = self.components_
            self.components_ = given

    def _placed(self, X: Any, W: np.ndarray, engine: Engine) -> tuple[Problem, np.ndarray, np.ndarray]:
        """The objective over all of X, and W and the components as factor arrays."""
        terms = Terms(alphas=(self.alpha_W, self.alpha_H, self.l1_ratio))
        problem = make_problem(X, make_loss(float(self._beta_loss)), W.shape[1], terms, engine=engine)
        W_array, Ht = (padded(array, problem.data.dtype) for array in (W, self.components_.T))
        return problem, W_array, Ht

    def _warn_of_nothing(self, problem: Problem, W: np.ndarray, Ht: np.ndarray) -> None:
        """Warn if penalties have left nothing of W and of the components."""
        if self.alpha_W or self.alpha_H != "same":
            warn_of_nothing(problem, W, Ht, problem.k, self.alpha_W, self.alpha_H)

    def _packed(self, data: Labelled, W: np.ndarray, course: Course, engine: Engine) -> Factorization:
        """What `fit` has found, and how."""
        problem, W_array, Ht = self._placed(data.values, W, engine)
        self._warn_of_nothing(problem, W_array, Ht)
        n, _ = data.values.shape
        divergence = problem.divergence(W_array, Ht)
        costs, seed = n * np.array(course.costs), self.random_state
        return Factorization(
            W=W,
            H=self.components_,
            objective=divergence + problem.penalties(W_array, Ht),
            divergence=divergence,
            squared_error=2 * divergence if problem.loss.quadratic else problem.squared_error(W_array, Ht),
            n_iter=self.n_iter_,
            converged=course.reason not in ("max_iter", "interrupted"),
            stop_reason=course.reason,
            history=History(np.array(course.seconds), costs, np.full(len(costs), np.nan)),
            loss=problem.loss.name,
            solver=self._online.solver,
            init=usual_init(self.init, self._online.k, data.values.shape),
            n_threads=engine.n_threads,
            seconds=course.seconds[-1] if course.seconds else 0.0,
            n_stored=problem.data.n_stored,
            X_squared_norm=problem.X_squared_norm(),
            parameters={
                "alpha_W": float(self.alpha_W),
                "alpha_H": "same" if isinstance(self.alpha_H, str) else float(self.alpha_H),
                "l1_ratio": float(self.l1_ratio),
                "tol": float(self.tol),
                "max_iter": int(self.max_iter),
                "random_state": int(seed) if isinstance(seed, Integral) else None,
                "batches": {name: getattr(self, name) for name in OF_BATCHES},
            },
            row_labels=data.rows,
            column_labels=data.columns,
            frame_library=data.library,
        )

    def _find(self, X: Any) -> tuple[np.ndarray, bool]:
        """W of validated X for the components, and whether it is found to the tolerance, if there is one."""
        found = self._project(X, self.components_)
        return found.W, found.converged or self.tol == 0

    def _project(self, X: Any, H: np.ndarray) -> Transformed:
        """Find W for the given H, each row on its own."""
        loss = check_loss(self.beta_loss, LOSSES, "beta_loss")
        return transform(
            X, H, loss=loss, alpha_W=self.alpha_W, l1_ratio=self.l1_ratio, tol=self.tol,
            max_iter=self.transform_max_iter or self.max_iter, n_threads=self.n_threads,
        )  # fmt: skip


def _printing(most: int) -> Any:
    """Return what prints what scikit-learn prints with `verbose`."""

    def report(step: int, cost: float, average: float | None, reason: str | None) -> None:
        smoothed = "" if average is None else f", ewa cost: {average}"
        print(f"Minibatch step {step}/{most}: mean batch cost: {cost}{smoothed}")
        if reason is not None:
            print(f"Converged ({reason}) at step {step}/{most}")

    return report
