"""The result of a factorization: factors, how they were found, and what can be done with them."""

import importlib.util
import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.files import written_whole
from nmf_core.losses import make_loss
from nmf_core.problem import History
from nmf_core.transform import Components, transform
from nmf_core.validation import Labels

_FORMAT = "nmf_core factorization 1"
# What zipfile raises besides on an archive whose bytes have changed: unknown versions, false encryption.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


class Summary(dict):
    """A dict of plain numbers and strings that prints as a table."""

    def __str__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{key.replace('_', ' '):<{width}}  {_plain(value)}" for key, value in self.items())


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, eq=False)
class Factorization:
    """X ~ W @ H with nothing negative.

    Attributes
    ----------
    W : ndarray of shape (n_samples, n_components)
        How much of every component is in a sample.
    H : ndarray of shape (n_components, n_features)
        The components.
    objective : float
        Divergence plus penalties of W and H as they are here, computed in double.
    divergence : float
        The loss summed over X, without penalties; for the Frobenius loss ||X - W H||_F^2 / 2.
    squared_error : float
        ||X - W H||_F^2, whatever the loss.
    n_iter : int
        Iterations done; with H fixed, the most sweeps that a row of W needed.
    converged : bool
        Whether the fit stopped because it had converged.
    stop_reason : str
        "tol", "relative change", "max_iter", "time_limit", "callback" or "interrupted".
    history : History
        Seconds, objective and violation of every iteration.
    loss : str or float
        The loss: a name, or the beta of a beta-divergence.
    solver, init : str
        Names of what was used, after "auto" and None were resolved.
    n_threads : int
        Threads used.
    seconds : float
        Time of the fit from validated input to result.
    n_stored : int
        Stored entries of X.
    X_squared_norm : float
        ||X||_F^2.
    parameters : dict
        The other arguments of the fit: plain values.
    row_labels, column_labels : tuple of str or None
        Labels of samples and features, if X came with them.
    """

    W: np.ndarray
    H: np.ndarray
    objective: float
    divergence: float
    squared_error: float
    n_iter: int
    converged: bool
    stop_reason: str
    history: History
    loss: str | float
    solver: str
    init: str
    n_threads: int
    seconds: float
    n_stored: int
    X_squared_norm: float
    parameters: dict[str, Any]
    row_labels: Labels = None
    column_labels: Labels = None

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(self.H.shape[0])

    @property
    def components(self) -> Any:
        """H, as a data frame if X had labels and pandas is installed: components are c1, c2, ..."""
        return _frame(self.H, self._component_labels(), self.column_labels, self.column_labels)

    @property
    def embedding(self) -> Any:
        """W, as a data frame if X had labels and pandas is installed."""
        return _frame(self.W, self.row_labels, self._component_labels(), self.row_labels)

    def _component_labels(self) -> list[str]:
        return [f"c{j + 1}" for j in range(self.n_components)]

    def transform(
        self,
        X: Any,
        *,
        W: Any = None,
        tol: float = 1e-4,
        max_iter: int = 200,
        n_threads: int | None = None,
    ) -> np.ndarray:
        """W of new samples for these components and the loss of the fit: a row's answer depends on that row alone.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            New samples.
        W : array-like of shape (n_samples, n_components), optional
            Where to start, such as the answer for similar samples. Never modified.
        tol : float
            A row is done when its steps have fallen to `tol` of its first.
        max_iter : int
            Sweeps over a row at most.
        n_threads : int, optional
            Threads; by default all that are available.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        penalties = {name: self.parameters.get(name, 0.0) for name in ("alpha_W", "l1_ratio")}
        return transform(
            X, self._components, W=W, loss=self.loss, **penalties, tol=tol, max_iter=max_iter, n_threads=n_threads
        )[0]

    @cached_property
    def _components(self) -> Components:
        """H made ready for `transform`, once."""
        return Components(self.H, make_loss(self.loss))

    def summary(self) -> Summary:
        """Sizes, quality and cost of the factorization.

        The relative error is ||X - W H|| / ||X||, explained variance the share of ||X||^2 that the model explains,
        whatever the loss. Sparsity is Hoyer's measure, averaged over components: 0 for equal entries, 1 for a single
        one (P. O. Hoyer 2004, "Non-negative matrix factorization with sparseness constraints"). Zeros is the share of
        exact zeros. Entries per second counts the stored entries of X once an iteration.
        """
        unexplained = self.squared_error / self.X_squared_norm if self.X_squared_norm else 0.0
        return Summary(
            n_samples=int(self.W.shape[0]),
            n_features=int(self.H.shape[1]),
            n_components=self.n_components,
            loss=self.loss,
            solver=self.solver,
            objective=self.objective,
            divergence=self.divergence,
            relative_error=float(np.sqrt(unexplained)),
            explained_variance=1.0 - unexplained,
            sparsity_W=_sparsity(self.W.T),
            sparsity_H=_sparsity(self.H),
            zeros_W=float(np.mean(self.W == 0)),
            zeros_H=float(np.mean(self.H == 0)),
            seconds=self.seconds,
            n_iter=self.n_iter,
            entries_per_second=self.n_stored * self.n_iter / self.seconds if self.seconds else 0.0,
            stop_reason=self.stop_reason,
            converged=self.converged,
        )

    def __repr__(self) -> str:
        n, m = self.W.shape[0], self.H.shape[1]
        return (
            f"<Factorization {n} x {m} ~ {n} x {self.n_components} x {m}, {self.loss} objective {self.objective:.6g}, "
            f"{self.n_iter} iterations, stopped by {self.stop_reason}>"
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write everything to one .npz file, without pickle; the file appears whole or not at all.

        Parameters
        ----------
        path : str or path
            The file; ".npz" is not appended.
        """
        scalars = {name: getattr(self, name) for name in _SCALARS}
        arrays: dict[str, Any] = {
            "W": self.W,
            "H": self.H,
            "seconds": self.history.seconds,
            "objective": self.history.objective,
            "violation": self.history.violation,
            "about": np.array(json.dumps({"format": _FORMAT, **scalars})),
        }
        for name in ("row_labels", "column_labels"):
            if getattr(self, name) is not None:
                arrays[name] = np.array(getattr(self, name), dtype=np.str_)
        with written_whole(path) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)


_SCALARS = (
    "objective", "divergence", "squared_error", "n_iter", "converged", "stop_reason", "loss", "solver", "init",
    "n_threads", "seconds", "n_stored", "X_squared_norm", "parameters",
)  # fmt: skip


def load(path: str | os.PathLike) -> Factorization:
    """Read a `Factorization` that was saved.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not a saved factorization, or not a whole one.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays["about"]))
        if about.pop("format") != _FORMAT:
            raise KeyError("format")
        labels: dict[str, Any] = {
            name: tuple(map(str, arrays[name])) for name in ("row_labels", "column_labels") if name in arrays
        }
        if arrays["W"].ndim != 2 or arrays["H"].ndim != 2 or arrays["W"].shape[1] != arrays["H"].shape[0]:
            raise ValueError("shapes of W and H")
        history = History(arrays["seconds"], arrays["objective"], arrays["violation"])
        return Factorization(W=arrays["W"], H=arrays["H"], history=history, **about, **labels)
    except (*(KeyError, TypeError, ValueError, AttributeError, EOFError), *_DAMAGED) as error:
        raise ValueError(f"{os.fspath(path)} is not a saved factorization, or not a whole one.") from error


def _sparsity(vectors: Iterable[np.ndarray]) -> float:
    """Mean of Hoyer's sparseness; a zero vector counts 0."""
    values = []
    for vector in vectors:
        norm = np.linalg.norm(vector.astype(np.float64))
        root = np.sqrt(vector.size)
        values.append((root - vector.sum(dtype=np.float64) / norm) / (root - 1) if norm > 0 and root > 1 else 0.0)
    return float(np.mean(values))


def _frame(values: np.ndarray, rows: Any, columns: Any, labels: Labels) -> Any:
    if labels is None or importlib.util.find_spec("pandas") is None:
        return values
    import pandas

    return pandas.DataFrame(values, index=rows, columns=columns)
