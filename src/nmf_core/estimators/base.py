"""What estimators share: scikit-learn's own checks, and what stands around a fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nmf_core import warning

try:
    from sklearn.base import _fit_context
    from sklearn.decomposition import _nmf as scikit_learn
    from sklearn.exceptions import ConvergenceWarning as TheirConvergenceWarning
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils._param_validation import Interval, StrOptions, validate_params
    from sklearn.utils.validation import check_is_fitted, check_non_negative, validate_data
except ImportError as error:
    raise ImportError(
        "nmf_core.NMF, non_negative_factorization and patch_sklearn need scikit-learn 1.6 or newer: "
        "pip install 'nmf-core[sklearn]' (nmf_core.factorize works without it)"
    ) from error

__all__ = [
    "ConvergenceWarning",
    "Interval",
    "StrOptions",
    "_fit_context",
    "accepted_data",
    "as_factor",
    "check_array",
    "check_is_fitted",
    "check_non_negative",
    "check_random_state",
    "hint_at_missing",
    "hint_at_zeros",
    "scikit_learn",
    "unchanged_by_failure",
    "validate_data",
    "validate_params",
    "warn_of_ignored",
    "warn_of_limit",
]


class ConvergenceWarning(warning.ConvergenceWarning, TheirConvergenceWarning):  # type: ignore[misc]
    """An estimator has stopped before it converged."""


def as_factor(F: Any, dtype: np.dtype) -> np.ndarray | None:
    """Return a given factor as an array: arrays keep their dtype, which is checked, lists take the data's."""
    return F if F is None or isinstance(F, np.ndarray) else np.asarray(F, dtype=dtype)


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


def accepted_data(missing: str | None) -> dict[str, Any]:
    """What X may be, as scikit-learn's checks want to know it."""
    return {
        "accept_sparse": False if missing == "nan" else ("csr", "csc"),
        "dtype": [np.float64, np.float32],
        "ensure_all_finite": "allow-nan" if missing == "nan" else True,
    }


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
