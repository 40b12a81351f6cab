"""The result of a factorization: factors, how they were found, and what can be done with them."""

import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.engine import Engine, padded
from nmf_core.files import written_whole
from nmf_core.html import pairs
from nmf_core.html import table as html_table
from nmf_core.interpretation import (
    sparsity,
)
from nmf_core.labels import (
    Axis,
    Labelled,
    frame,
    labelled,
    like,
    packed,
    tabulated,
    unpacked,
)
from nmf_core.losses import LOSSES, Loss, make_loss
from nmf_core.problem import Biases, History, Start
from nmf_core.readable import Readable
from nmf_core.shapes import Axes
from nmf_core.transform import Components, Transformed, transform
from nmf_core.validation import (
    check_excluded,
    check_holes,
    check_integer,
    check_list,
    check_loss,
    check_new_samples,
    check_nothing_else,
    check_paired,
    check_places,
    check_shape,
    check_threads,
)
from nmf_core.warning import ConvergenceWarning, warn

_FORMAT = "nmf_core factorization 2"
_EARLIER = "nmf_core factorization 1"  # all labels are text
_BLOCK = 1 << 18  # entries of the model that are computed together
# What zipfile raises besides on an archive whose bytes have changed: unknown versions, false encryption.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


@dataclass(frozen=True, eq=False, repr=False)
class Recommendations:
    """The best features of some samples, the best first: a pair of `columns` and `scores`.

    Attributes
    ----------
    columns : ndarray of shape (n_rows, n), int64
        Features, by their numbers from 0; -1 where all others are excluded, or nothing is known of the sample.
    scores : ndarray of shape (n_rows, n)
        What the model expects of them; NaN where there is none.
    row_labels : Axis
        Labels of these samples, their numbers from 0 if there are none.
    column_labels : Axis or None
        Labels of all features.
    frame_library : str or None
        The library of the data frame that X was.
    """

    columns: np.ndarray
    scores: np.ndarray
    row_labels: Axis
    column_labels: Axis | None = None
    frame_library: str | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.columns, self.scores))

    @property
    def labels(self) -> np.ndarray | None:
        """The features by their labels (n_rows, n), None where there is none; None if there are no labels."""
        if self.column_labels is None:
            return None
        return np.fromiter((*self.column_labels, None), dtype=object)[self.columns]

    @property
    def _named(self) -> np.ndarray:
        return self.columns if self.labels is None else self.labels

    @property
    def table(self) -> Any:
        """A data frame of the library of X (or a dict of columns without pandas): sample, rank, feature and score."""
        there = self.columns >= 0
        rows, places = np.nonzero(there)
        columns = {
            "sample": [self.row_labels[i] for i in rows],
            "rank": places + 1,
            "feature": self._named[there].tolist(),
            "score": self.scores[there],
        }
        return tabulated(columns, self.frame_library)

    def __repr__(self) -> str:
        n_rows, n = self.columns.shape
        return f"<Recommendations: up to {n} features for each of {n_rows} samples>"

    def _repr_html_(self) -> str:
        best = {str(place + 1): column for place, column in enumerate(self._named.T)}
        return html_table({"sample": list(self.row_labels), **best})


class Summary(dict):
    """A dict of plain numbers and strings that prints as a table."""

    def _repr_html_(self) -> str:
        return pairs(self)

    def __str__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{key.replace('_', ' '):<{width}}  {_plain(value)}" for key, value in self.items())


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(eq=False)
class Factorization(Readable):
    """X ~ W @ H with nothing negative.

    Attributes
    ----------
    W : ndarray of shape (n_samples, n_components)
        How much of every component is in a sample. Of a dask array, a dask array with its chunks of rows.
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
        "tol", "relative change", "max_iter", "time_limit", "callback", "interrupted", the reason of the rules that were
        given instead of a tolerance, or "overflow": numbers have left the precision of X, W and H are the last finite
        ones, or zero in components of which there are none.
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
    row_labels, column_labels : Axis or None
        Labels of samples and features, if X came with them: sequences, with the index of X as attribute `original`.
    frame_library : str or None
        The library of the data frame that X was, such as "polars".
    biases : Biases or None
        Mean, biases of samples and biases of features, if they were asked for: the model is their sum and W @ H.
    own_loss : Loss or None
        The loss, if it is of a class of one's own: a file does not hold it.
    component_labels : Axis or None
        Names of the components, if they have been given some, see `named`.
    axes : Axes or None
        Which axes of an X of more than two dimensions are samples.
    unknown : ndarray of int or None
        Numbers of the samples of which nothing is known, if there are some: their rows of W are zero.
    stability : ndarray of shape (n_components,) or None
        How similar the components of runs are to these, which `Ensemble.components` has made of them.
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
    row_labels: Axis | None = None
    column_labels: Axis | None = None
    biases: Biases | None = None
    frame_library: str | None = None
    own_loss: Loss | None = None
    component_labels: Axis | None = None
    axes: Axes | None = None
    unknown: np.ndarray | None = None
    stability: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("row_labels", "column_labels", "component_labels"):
            object.__setattr__(self, name, Axis.of(getattr(self, name)))

    def __setattr__(self, name: str, value: Any) -> None:
        # ``f.H *= 2`` changes H in place, which is allowed, and then assigns it to what it is
        if name not in self.__dataclass_fields__ or vars(self).get(name, value) is not value:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    @property
    def components(self) -> Any:
        """H, as a data frame of the library of X if features or components have names; c1, c2, ... are none."""
        return frame(self.H, self.names, self.column_labels, self.frame_library)

    @property
    def embedding(self) -> Any:
        """W, as a data frame of the library of X if samples or components have names; c1, c2, ... are none."""
        return frame(self.W, self.row_labels, self.names, self.frame_library)

    def transform(
        self,
        X: Any,
        *,
        W: Any = None,
        weights: Any = None,
        tol: float = 1e-4,
        max_iter: int = 200,
        n_threads: int | None = None,
    ) -> Any:
        """W of new samples for these components and the loss of the fit: a row's answer depends on that row alone.

        What is missing is said as for the fit, or, if anything was missing there, by NaN in an array. A model with
        biases has those of its features, and finds those of the samples with W; `predict`, `recommend` and `impute`
        count them in for new samples.

        Parameters
        ----------
        X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
            New samples, with the axes of X if these were named by `sample_axes`. Labelled features are brought into the
            order of the fit, others are refused. Of a dask array, W is one, too, and nothing is computed yet.
        weights : array-like, sparse array or matrix of shape (n_samples, n_features), optional
            How much every entry counts.
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
            Of a data frame, one of its kind with its labels of rows and the components c1, c2, ... A matrix, too, where
            samples have several axes in X.

        Warns
        -----
        ConvergenceWarning
            Some rows are not done after `max_iter` sweeps.
        """
        found = self._transform(X, W=W, weights=weights, tol=tol, max_iter=max_iter, n_threads=n_threads)
        return like(X, found.W, self.names)

    @property
    def _loss(self) -> Any:
        return self.loss if self.own_loss is None else self.own_loss

    def _transform(self, X: Any, **how: Any) -> Transformed:
        same = ("alpha_W", "l1_ratio", "alpha_scaling", "floor")
        given = {name: self.parameters[name] for name in same if name in self.parameters}
        X = self._flat(X, new=True)
        axes = X.axes if isinstance(X, Labelled) else None
        if axes is not None:
            how["W"] = axes.as_W(how.get("W"))
            how["weights"] = None if how.get("weights") is None else axes.weights(how["weights"])
        if "missing" not in how:
            X, how["missing"] = check_new_samples(X, "X", self.parameters.get("missing"), how.get("weights"))
        check_nothing_else("W", self.parameters.get("factor_W"))
        found = transform(X, self._components, loss=self._loss, **{**given, **how})
        if not found.converged and how.get("tol", 1) > 0:
            advice = " Raise max_iter or tol." if "max_iter" in how else ""
            warn(f"W of some rows has not converged within {found.n_iter} sweeps.{advice}", ConvergenceWarning)
        return found

    @cached_property
    def _components(self) -> Components:
        """H made ready for `transform`, once."""
        return Components(
            self.H, make_loss(check_loss(self._loss, LOSSES)), self.biases, self.column_labels, self.names
        )

    def predict(self, rows: Any, columns: Any, *, new: Any = None, n_threads: int | None = None) -> np.ndarray:
        """What the model says at some places: of X with its `floor`, if the fit had one.

        Parameters
        ----------
        rows, columns : int or label, array-like of them, or tuple
            Samples and features, by their labels if X had some, or by their numbers from 0. Integers are labels where
            labels are numbers. Where samples, or features, have several axes in X, a tuple holds positions along these,
            each an integer or an array. Both are broadcast to one shape; ``predict(*numpy.ix_(rows, columns))`` takes
            every row with every column.
        new : array-like, sparse matrix or data frame of shape (n_rows, n_features), optional
            What is known of new samples, of which `rows` are then: their W, and their biases, are found first.
        n_threads : int, optional
            Threads to find them; by default all that are available.

        Returns
        -------
        ndarray
            Of that shape, in the dtype of W.

        Raises
        ------
        TypeError, ValueError
            A place that is not there.
        """
        samples = self._samples(new, n_threads=n_threads)
        i = self._places(rows, "row") if new is None else check_places(rows, len(samples[0]), samples[2], "row")
        return self._values_at(*check_paired(i, self._places(columns, "column")), samples)

    def _values_at(self, i: np.ndarray, j: np.ndarray, samples: Any = None) -> np.ndarray:
        """What the model says in rows i and columns j, both numbers from 0, of one shape; of samples as `_samples`."""
        W, offsets, _ = self._samples() if samples is None else samples
        values = np.empty(i.shape, dtype=W.dtype)
        flat, i, j = values.reshape(-1), i.reshape(-1), j.reshape(-1)
        for first in range(0, len(flat), _BLOCK):
            here = slice(first, first + _BLOCK)
            flat[here] = np.einsum("ij,ij->i", W[i[here]], self.H[:, j[here]].T)
            if self.biases is not None:
                flat[here] += self.biases.columns[j[here]]
                flat[here] += offsets[i[here]]
        return values

    def _samples(self, new: Any = None, **how: Any) -> tuple[np.ndarray, np.ndarray, Axis | None]:
        """W (n, k), what the model adds in every row (n,), and labels, of the samples of the fit or of new ones."""
        if new is not None:
            new = self._flat(new, "new", new=True)
            if "missing" not in how:
                new, how["missing"] = check_new_samples(new, "new", self.parameters.get("missing"))
            W, _, _, added = self._transform(new, **how)
            labels = labelled(new, "new", missing=how["missing"]).rows
        else:
            W, added, labels = np.asarray(self.W), self.biases and self.biases.rows, self.row_labels
        if self.biases is None:
            return W, np.zeros(len(W), dtype=W.dtype), labels
        return W, added + W.dtype.type(self.biases.mean), labels

    def recommend(
        self, rows: Any = None, n: int = 10, *, new: Any = None, exclude: Any = None, n_threads: int | None = None
    ) -> Recommendations:
        """The features that the model expects most of some samples: what users may like.

        Parameters
        ----------
        rows : int or label, or array-like of them, optional
            Samples, by their labels if X had some, or by their numbers from 0; by default all. Integers are labels
            where labels are numbers.
        new : array-like, sparse matrix or data frame of shape (n_rows, n_features), optional
            What is known of new samples, of which `rows` and `exclude` are then: their W, and their biases, are found
            first.
        n : int
            Features of a sample at most.
        exclude : sparse array or matrix, array or data frame of shape (n_samples, n_features), optional
            What is not to be recommended: what a sparse one stores, what is neither NaN nor zero in an array. Usually
            the X of the fit: what a user has rated already. Labels are brought into the order of the fit.
        n_threads : int, optional
            Threads; by default all that are available.

        Returns
        -------
        Recommendations
            The strongest first; of equal ones the first. Only some scores of all features are there at any time. A
            sample whose W is zero, such as one of which nothing is known, gets none from a model without biases, which
            expects the same of all features: columns are -1, scores NaN.
        """
        n_features = self.H.shape[1]
        samples, offsets, labels = self._samples(new, n_threads=n_threads)
        n_samples = len(samples)
        if rows is None:
            which = np.arange(n_samples)
        elif new is None:
            which = np.atleast_1d(self._places(rows, "row"))
        else:
            which = np.atleast_1d(check_places(rows, n_samples, labels, "row"))
        check_list(which, "rows")
        n = min(check_integer(n, "n", 1), n_features)
        exclude = self._flat(exclude, "exclude", new=new is not None)
        indices, indptr = check_excluded(exclude, (n_samples, n_features), which, (labels, self.column_labels))
        W, Ht = samples[which], self.H.T
        if self.biases is not None:  # of the features they are one component more
            W = np.column_stack([W, np.ones(len(W), dtype=W.dtype)])
            Ht = np.column_stack([Ht, self.biases.columns])
        F, G = padded(W, W.dtype), padded(Ht, W.dtype)
        columns, scores = Engine(check_threads(n_threads)).top_columns(F, G, W.shape[1], (indices, indptr), n)
        scores += offsets[which, np.newaxis]
        if self.biases is None:
            columns[~W.any(axis=1)] = -1
        scores[columns < 0] = np.nan
        named = Axis(which.tolist() if labels is None else [labels[i] for i in which])
        return Recommendations(columns, scores, named, self.column_labels, self.frame_library)

    def impute(self, X: Any, *, new: bool = False) -> Any:
        """X with the model's values where it is NaN, less the `floor` of the fit.

        Parameters
        ----------
        X : array or data frame of shape (n_samples, n_features)
            What was factorized, or with `new` other samples. Labels may stand in another order. Not modified.
        new : bool
            Whether rows of X are new samples, whose W is found from what is known of them.

        Returns
        -------
        ndarray or data frame
            A copy, a data frame of the kind of X if that is one; known entries are unchanged.

        Raises
        ------
        ValueError
            X is sparse: what it does not store would fill memory. See `predict` and `recommend`.
        """
        data = check_holes(self._flat(X, new=new))
        values = data.values.copy()
        W, offsets, _ = self._samples(data if new else None, missing="nan")
        H, added = self.H, None if self.biases is None else self.biases.columns
        floor = self.parameters.get("floor")
        if not new:
            check_shape(values.shape, (self.W.shape[0], self.H.shape[1]))
        rows, columns = self._order_of(data._replace(rows=None) if new else data, "X")
        W, offsets = W[rows], offsets[rows]
        H, added = H[:, columns], None if added is None else added[columns]
        step = max(1, _BLOCK // values.shape[1])
        for first in range(0, len(values), step):
            block = values[first : first + step]
            model = W[first : first + step] @ H
            if added is not None:
                model += offsets[first : first + step, np.newaxis] + added
            if floor:
                np.maximum(model - floor, 0, out=model)
            np.copyto(block, model, where=np.isnan(block), casting="same_kind")
        if data.axes is not None:
            return data.axes.restored(values)
        return values if data.columns is None else like(X, values, data.columns)

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
            sparsity_W=float(np.mean([sparsity(w) for w in np.asarray(self.W).T])),
            sparsity_H=float(np.mean([sparsity(h) for h in self.H])),
            zeros_W=float(np.mean(np.asarray(self.W) == 0)),
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

        Labels are kept as text, numbers, dates or tuples of these; others become text.

        Parameters
        ----------
        path : str or path
            The file; ".npz" is not appended.

        Raises
        ------
        OSError
            The file cannot be written; one that was there before is unchanged.
        """
        scalars = {name: getattr(self, name) for name in _SCALARS}
        if self.axes is not None:
            scalars["axes"] = self.axes._asdict()
        arrays: dict[str, Any] = {
            "W": np.asarray(self.W),
            "H": self.H,
            "seconds": self.history.seconds,
            "objective": self.history.objective,
            "violation": self.history.violation,
        }
        labels = {}
        if self.unknown is not None:
            arrays["unknown"] = self.unknown
        if self.biases is not None:
            arrays.update(bias_mean=self.biases.mean, bias_rows=self.biases.rows, bias_columns=self.biases.columns)
        if self.stability is not None:
            arrays["stability"] = self.stability
        for name in ("row_labels", "column_labels", "component_labels"):
            if getattr(self, name) is not None:
                labels[name], more = packed(getattr(self, name).original, name)
                arrays.update(more)
        starts = [list(start) for start in self.history.starts]
        arrays["about"] = np.array(json.dumps({"format": _FORMAT, "labels": labels, "starts": starts, **scalars}))
        with written_whole(path) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)

    def to_onnx(self, path: Any, **how: Any) -> None:
        """Write `transform` as an ONNX graph, which runs without Python; needs the extra ``[onnx]``.

        Parameters
        ----------
        path : str or path
            The file: appears whole or not at all.
        **how
            `tol`, `max_iter`, `dtype`, `opset`, `input_name` and `output_name` of `nmf_core.onnx.transform_model`.

        Raises
        ------
        ValueError
            The model has missing entries, weights, biases, or a loss that a graph cannot do.
        """
        from nmf_core.onnx import save_onnx

        save_onnx(self, path, **how)


_SCALARS = (
    "objective", "divergence", "squared_error", "n_iter", "converged", "stop_reason", "loss", "solver", "init",
    "n_threads", "seconds", "n_stored", "X_squared_norm", "parameters", "frame_library",
)  # fmt: skip


def load(path: str | os.PathLike) -> Factorization:
    """Read a `Factorization` that was saved.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Factorization
        As it was saved.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not a saved factorization, or not a whole one.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{os.fspath(path)} is a directory: nmf_core.load_ensemble reads those of ensembles.")
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays["about"]))
        labels = _labels(about, arrays)
        if arrays["W"].ndim != 2 or arrays["H"].ndim != 2 or arrays["W"].shape[1] != arrays["H"].shape[0]:
            raise ValueError("shapes of W and H")
        starts = [Start(*start) for start in about.pop("starts", [])]
        history = History(arrays["seconds"], arrays["objective"], arrays["violation"], starts)
        if about.get("axes") is not None:
            about["axes"] = Axes(*(tuple(about["axes"][name]) for name in Axes._fields))
        biases = None
        if "bias_mean" in arrays:
            biases = Biases(float(arrays["bias_mean"]), arrays["bias_rows"], arrays["bias_columns"])
            if biases.rows.shape != arrays["W"].shape[:1] or biases.columns.shape != arrays["H"].shape[1:]:
                raise ValueError("shapes of biases")
        stability = arrays.get("stability")
        if stability is not None and stability.shape != arrays["H"].shape[:1]:
            raise ValueError("shape of stability")
        factors = {"W": arrays["W"], "H": arrays["H"], "biases": biases, "stability": stability}
        return Factorization(history=history, unknown=arrays.get("unknown"), **factors, **about, **labels)
    except (*(LookupError, TypeError, ValueError, AttributeError, EOFError), *_DAMAGED) as error:
        raise ValueError(f"{os.fspath(path)} is not a saved factorization, or not a whole one.") from error


def _labels(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Labels in a file, by its format, which is removed from the description."""
    kind = about.pop("format")
    labels: dict[str, Any]
    if kind == _EARLIER:
        labels = {name: Axis(map(str, arrays[name])) for name in ("row_labels", "column_labels") if name in arrays}
    elif kind == _FORMAT:
        labels = {name: unpacked(label, arrays, name) for name, label in about.pop("labels").items()}
    else:
        raise KeyError("format")
    sizes = {
        "row_labels": arrays["W"].shape[0],
        "column_labels": arrays["H"].shape[-1],
        "component_labels": arrays["H"].shape[0],
    }
    if any(len(axis) != sizes[name] for name, axis in labels.items()):
        raise KeyError("numbers of labels")
    return labels
