"""What estimators share: scikit-learn's own checks, and what stands around a fit."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, TypeVar

import numpy as np

from nmf_core import warning
from nmf_core.data import ObservedMatrix, is_dask, row_blocks
from nmf_core.engine import Engine, padded
from nmf_core.labels import Axis, Labelled, labelled
from nmf_core.losses import make_loss
from nmf_core.problem import History, Problem, container_for
from nmf_core.threads import make_workspace
from nmf_core.typing import Missing
from nmf_core.validation import Scan, check_names, check_resident, look_at, nearest

try:
    from sklearn.base import _fit_context
    from sklearn.decomposition import _nmf as scikit_learn
    from sklearn.exceptions import ConvergenceWarning as TheirConvergenceWarning
    from sklearn.utils import assert_all_finite, check_array, check_random_state
    from sklearn.utils._param_validation import Interval, StrOptions, validate_params
    from sklearn.utils.validation import (
        _check_feature_names,
        _check_n_features,
        check_is_fitted,
        check_non_negative,
    )
except ImportError as error:
    raise ImportError(
        "nmf_core.NMF, non_negative_factorization and patch_sklearn need scikit-learn 1.6 or newer: "
        "pip install 'nmf-core[sklearn]' (nmf_core.factorize works without it)"
    ) from error

__all__ = [
    "ConvergenceWarning",
    "Estimator",
    "Interval",
    "StrOptions",
    "as_factors",
    "check_is_fitted",
    "check_random_state",
    "hint_at_zeros",
    "refuse_negative",
    "scikit_learn",
    "unchanged_by_failure",
    "validate_params",
    "validated",
    "warn_of_ignored",
    "warn_of_limit",
    "with_checked_parameters",
]

Method = TypeVar("Method", bound=Callable[..., Any])

GROUPS = 5  # of features, each predicted from the others to score a model


class ConvergenceWarning(warning.ConvergenceWarning, TheirConvergenceWarning):  # type: ignore[misc]
    """An estimator has stopped before it converged."""


class Estimator:
    """What both estimators have beside scikit-learn's: a result, a score, links, and messages with the nearest name."""

    _doc_link_module = "nmf_core"

    @property
    def _doc_link_template(self) -> str:
        """Where the page of an estimator is, for scikit-learn's diagrams; nothing as long as there is no site."""
        site = _site()
        return f"{site}/generated/nmf_core.{{estimator_name}}.html" if site else ""

    def __getstate__(self) -> dict[str, Any]:
        # a pickled model is what transforms, not the data that it has seen
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {name: value for name, value in state.items() if name != "result_"}

    def __getattr__(self, name: str) -> Any:
        if name in ("result_", "history_", "converged_"):
            raise AttributeError(
                f"this {type(self).__name__} has no {name}: only `fit` leaves one, and a pickled model does not keep it"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _labelled_H(self) -> Labelled:
        return Labelled(self.components_, None, vars(self).get("_column_labels"))

    @property
    def history_(self) -> History:
        """The course of the fit, one entry an iteration or batch; not of a pickled model."""
        return self.result_.history

    @property
    def converged_(self) -> bool:
        """Whether the fit stopped because it had converged; not of a pickled model."""
        return self.result_.converged

    def score(self, X: Any, y: Any = None) -> float:
        """How well the components predict features of samples from their other features.

        Features are dealt to five groups. Those of one group are predicted from W that is found for the others, so that
        samples which the fit has not seen, as in cross-validation, tell how many components there are: both their rows
        and their columns are held out [1]_.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Non-negative data, in memory.
        y : Ignored
            There for scikit-learn's conventions.

        Returns
        -------
        float
            Minus the mean loss of a known entry: greater is better, 0 is best.

        References
        ----------
        .. [1] A. B. Owen and P. O. Perry (2009), "Bi-cross-validation of the SVD and the nonnegative matrix
           factorization", doi:10.1214/08-AOAS227.

        Examples
        --------
        >>> import numpy as np
        >>> from nmf_core import NMF
        >>> rng = np.random.default_rng(0)
        >>> X = rng.gamma(0.5, size=(60, 3)) @ rng.gamma(0.5, size=(3, 30))
        >>> NMF(3, init="random", random_state=0).fit(X[:40]).score(X[40:]) > -0.01
        True
        """
        check_is_fitted(self)
        missing, n_threads = vars(self).get("missing"), vars(self)["n_threads"]
        X = validated(X, missing, estimator=self, reset=False, n_threads=n_threads).values
        check_resident(row_blocks(X) is None and not is_dask(X), "score")
        checked: Any = copy(self)
        checked._check_params(X)
        loss, H = make_loss(float(checked._beta_loss)), checked.components_.astype(X.dtype, copy=False)
        columns = X.tocsc() if hasattr(X, "tocsc") else X
        total, entries = 0.0, 0
        for held in _dealt(X.shape[1]):
            rest = np.delete(np.arange(X.shape[1]), held)
            W = checked._project(columns[:, rest], H[:, rest]).W
            kept = container_for(columns[:, held], loss, missing=missing, engine=Engine(n_threads))
            problem = Problem(kept, loss, len(H))
            total += problem.divergence(padded(W, kept.dtype), padded(H[:, held].T, kept.dtype))
            entries += kept.n_stored if isinstance(kept, ObservedMatrix) else len(W) * len(held)
        return -total / entries

    def _validate_params(self) -> None:
        try:
            super()._validate_params()  # type: ignore[misc]
        except ValueError as error:
            found = re.match(r"The '(\w+)' parameter", str(error))
            name = found[1] if found else ""
            constraints = self._parameter_constraints.get(name, [])
            choices = [choice for some in constraints if isinstance(some, StrOptions) for choice in some.options]
            meant = nearest(getattr(self, name, None), choices)
            if meant is None:
                raise
            raise type(error)(f"{error} Did you mean {meant!r}?") from None


@cache
def _site() -> str:
    """Where the documentation is, as the installed package says; empty if it says nothing."""
    try:
        urls = metadata("nmf-core").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    pages = dict(url.split(", ", 1) for url in urls)
    return pages.get("Documentation", "").rstrip("/")


def _dealt(n_features: int) -> list[np.ndarray]:
    """Groups of features, the same for every model."""
    order = np.random.default_rng(0).permutation(n_features)
    return [np.sort(order[first::GROUPS]) for first in range(min(GROUPS, n_features))]


def with_checked_parameters(fit: Method) -> Method:
    """A method that fits, behind scikit-learn's checks of the parameters."""
    checked: Method = _fit_context(prefer_skip_nested_validation=True)(fit)
    return checked


def as_factors(W: Any, H: Any, data: Labelled) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return given factors as arrays in the order of X and in its dtype.

    Arrays that are less precise than X keep their dtype, which scikit-learn refuses.
    """
    H_labelled = labelled(H, "H").aligned("H", columns=data.columns)
    W_labelled = labelled(W, "W").aligned("W", rows=data.rows, columns=H_labelled.rows)
    return _cast(W, W_labelled.values, data.values.dtype), _cast(H, H_labelled.values, data.values.dtype)


def _cast(given: Any, values: Any, dtype: np.dtype) -> np.ndarray | None:
    if values is None or (isinstance(given, np.ndarray) and given.dtype != np.float64):
        return values
    values = values.toarray() if hasattr(values, "toarray") else values
    with np.errstate(over="ignore"):  # what overflows is an infinity, which is found
        return np.array(values, dtype=dtype, copy=None if values is given else True)


def warn_of_ignored() -> None:
    """Warn as scikit-learn does of given factors that no custom start asks for."""
    warning.warn(
        "When init!='custom', provided W or H are ignored. Set  init='custom' to use them as initialization.",
        RuntimeWarning,
    )


def warn_of_limit(max_iter: int) -> None:
    """Warn as scikit-learn does of a limit that has been reached."""
    warning.warn(
        f"Maximum number of iterations {max_iter} reached. Increase it to improve convergence.", ConvergenceWarning
    )


def validated(
    X: Any,
    missing: Missing | None = None,
    *,
    estimator: Any = None,
    reset: bool = True,
    in_blocks: bool = True,
    n_threads: int | None = None,
    feature_names: Any = None,
) -> Labelled:
    """X with scikit-learn's checks and messages, in the order of the features of the fit, and its labels.

    What is in memory is read once for all checks, here: the scan goes with it.

    Parameters
    ----------
    X, missing
        As for `NMF`.
    estimator : NMF or MiniBatchNMF, optional
        Whose features X must have.
    reset : bool
        Whether the estimator notes down the features instead.
    in_blocks : bool
        Whether X may also be outside of memory and have missing entries.
    n_threads : int, optional
        Threads; by default all that are available.
    feature_names : array-like of labels, optional
        Names of the features of an X that has none, to note down. scikit-learn does not hear of them: it would warn of
        every X without names from then on.
    """
    data = labelled(X, missing=missing, hint=in_blocks)
    values = found = None  # of what is looked at when it is read
    if in_blocks:
        values = data.values if is_dask(data.values) and not reset else row_blocks(data.values)
    columns = data.columns or Axis.of(getattr(values, "column_labels", None))
    fitted = vars(estimator).get("_column_labels") if estimator is not None else None
    unheard_of = fitted is not None and not hasattr(estimator, "feature_names_in_")
    if estimator is not None and (reset or not unheard_of):
        _check_feature_names(estimator, _with_names(X, columns), reset=reset)
    if values is None:
        with hint_at_missing() if in_blocks else nullcontext():
            values = check_array(
                data.in_memory().values,
                accept_sparse=False if missing == "nan" else ("csr", "csc"),
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
                **({} if estimator is None else {"input_name": "X", "estimator": estimator}),
            )
            found = look_at(values, workspace=make_workspace(n_threads))
            if found.nan or not found.finite:
                names = {} if estimator is None else {"input_name": "X", "estimator_name": type(estimator).__name__}
                assert_all_finite(values, allow_nan=missing == "nan", **names)
    columns = check_names(feature_names, "feature_names", columns, values.shape[1], "columns")
    if estimator is not None:
        _check_n_features(estimator, values, reset=reset)
        if reset:
            vars(estimator).pop("_column_labels", None)
            vars(estimator).update({} if columns is None else {"_column_labels": columns})
            fitted = columns
    # scikit-learn has compared names that are all strings, and no others
    return Labelled(values, data.rows, columns, data.library, found).aligned("X", columns=fitted, of="the fit")


def refuse_negative(X: Any, whom: str, scan: Scan | None = None) -> None:
    """Let scikit-learn look for what is negative, unless it is known that nothing is."""
    if scan is None or scan.minimum < 0:
        check_non_negative(X, whom)


def _with_names(X: Any, columns: Axis | None) -> Any:
    """A data frame without rows: scikit-learn does not know of everything that it has names of features.

    Nor of names that occur twice, which it takes for a fault of data frames.
    """
    if columns is None or columns.twice or importlib.util.find_spec("pandas") is None:
        return X
    return import_module("pandas").DataFrame(columns=columns.original)


@contextmanager
def hint_at_missing() -> Iterator[None]:
    """Let scikit-learn's message about NaN say how to have it taken for missing."""
    try:
        yield
    except ValueError as error:
        if "contains NaN" not in str(error):
            raise
        raise ValueError(f"{error}\nmissing='nan' takes NaN in an array for missing entries.") from None


@contextmanager
def hint_at_zeros() -> Iterator[None]:
    """Let the message about zeros that a loss does not allow be scikit-learn's, and what to add after it."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("X contains zeros"):
            raise
        advice = str(error).partition(". ")[2]
        raise ValueError(
            "When beta_loss <= 0 and X contains zeros, the solver may diverge. Please add small values to X, or use a "
            f"positive beta_loss.\n{advice}"
        ) from None


@contextmanager
def unchanged_by_failure(estimator: Any) -> Iterator[None]:
    """Put the estimator's attributes back as they were if the block raises."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
