"""What errors of held-out entries say about the number of components."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmf_core.html import table
from nmf_core.labels import tabulated
from nmf_core.validation import check_errors

# In units of the median of its number of components: what an error counts as at most, and from where it has exploded.
_CAP, _EXPLODED = 2.0, 1000.0


@dataclass(frozen=True, eq=False, repr=False)
class RankSelection:
    """Errors of held-out entries by number of components.

    Where a row or column is hardly determined by what is left of it a fit may predict anything, and a single entry can
    outweigh all others. So an error, also one that is not finite, counts as at most twice the median of the errors with
    as many components (of an even number, the lower of the two in the middle). Of 606 planted matrices, most of them
    small, whose entries were held out one by one, the plain mean was smallest at the rank in 389, the median in 479,
    this mean in 480; within one standard error were 389 and 475.

    Attributes
    ----------
    n_components : ndarray of int, shape (n_ranks,)
        The numbers of components that were tried, in ascending order.
    errors : ndarray of float64, shape (n_ranks, n_fits)
        The mean loss of a held-out entry, the same entries in a column; for the Frobenius loss half the mean squared
        error.
    method : str
        How entries were held out.
    loss : str or float
        The loss: a name, or the beta of a beta-divergence.
    n_unconverged : int
        Fits that stopped before they had converged.

    Raises
    ------
    ValueError
        For every number of components, more than half of the errors are infinite or not a number.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.model_selection import RankSelection
    >>> errors = np.array([[5.0, 4.0, 6.0], [1.0, 9e8, 2.0], [3.0, 4.0, 5.0]])
    >>> selection = RankSelection(np.array([1, 2, 3]), errors, "wold", "frobenius")
    >>> selection.best, selection.exploded
    (2, {2: [1]})
    """

    n_components: np.ndarray
    errors: np.ndarray
    method: str
    loss: str | float
    n_unconverged: int = 0

    def __post_init__(self) -> None:
        check_errors(self.mean)

    @property
    def _unit(self) -> np.ndarray:
        """The lower median (n_ranks, 1) of the errors; infinity if it is zero or, sorted last, not a number."""
        median = np.sort(self.errors, axis=1)[:, [(self.errors.shape[1] - 1) // 2]]
        return np.where(median > 0, median, np.inf)

    @property
    def _capped(self) -> np.ndarray:
        """The errors (n_ranks, n_fits) as they count."""
        return np.fmin(self.errors, _CAP * self._unit)

    @property
    def exploded(self) -> dict[int, list[int]]:
        """Folds in which the error is not finite, or more than a thousand times the median, by number of components.

        Folds are columns of `errors`, counted from 0; numbers of components without such folds are left out.
        """
        found = ~np.isfinite(self.errors) | (self.errors > _EXPLODED * self._unit)
        ranks = zip(self.n_components.tolist(), found, strict=True)
        return {k: np.flatnonzero(folds).tolist() for k, folds in ranks if folds.any()}

    @property
    def mean(self) -> np.ndarray:
        """The mean error (n_ranks,), each at most twice the median, unless that is zero."""
        return self._capped.mean(axis=1)

    @property
    def standard_error(self) -> np.ndarray:
        """The standard error (n_ranks,) of the mean, as if fits were independent."""
        with np.errstate(invalid="ignore"):  # between infinities
            return self._capped.std(axis=1, ddof=1) / np.sqrt(self.errors.shape[1])

    @property
    def best(self) -> int:
        """The number of components with the smallest mean error."""
        return int(self.n_components[self.mean.argmin()])

    @property
    def threshold(self) -> float:
        """The smallest mean error plus its standard error."""
        lowest = self.mean.argmin()
        return float(self.mean[lowest] + self.standard_error[lowest])

    @property
    def best_one_standard_error(self) -> int:
        """The smallest number of components with a mean error of at most the `threshold`."""
        return int(self.n_components[np.argmax(self.mean <= self.threshold)])

    @property
    def table(self) -> Any:
        """A data frame, or a dict of arrays if pandas is not installed, with a row for every number of components.

        Its columns are n_components, mean, standard_error, n_folds (the number of fits), and minimum and
        one_standard_error, which say whether this is the best, by either rule.
        """
        return tabulated(self._columns())

    def _columns(self) -> dict[str, Any]:
        return {
            "n_components": self.n_components,
            "mean": self.mean,
            "standard_error": self.standard_error,
            "n_folds": np.full(len(self.n_components), self.errors.shape[1]),
            "minimum": self.n_components == self.best,
            "one_standard_error": self.n_components == self.best_one_standard_error,
        }

    def _repr_html_(self) -> str:
        return table(self._columns(), f"best {self.best}, within one standard error {self.best_one_standard_error}")

    def __repr__(self) -> str:
        told = {k: f"  exploded in {folds_named(folds)}" for k, folds in self.exploded.items()}
        rows = zip(self.n_components.tolist(), self.mean, self.standard_error, strict=True)
        return "\n".join([
            f"<RankSelection by {self.method}, {self.loss} loss:",
            f"{'n_components':>12}  {'mean':>12}  {'standard error':>14}",
            *(f"{k:>12}  {mean:>12.6g}  {spread:>14.2g}{told.get(k, '')}" for k, mean, spread in rows),
            *([f"{self.n_unconverged} of {self.errors.size} fits did not converge"] if self.n_unconverged else []),
            f"best {self.best}, within one standard error {self.best_one_standard_error}>",
        ])  # fmt: skip


def folds_named(folds: list[int]) -> str:
    """Folds in words."""
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
