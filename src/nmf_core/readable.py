"""Reading a result: the same model in other words, tables, parts of it, and what a paper needs."""

from dataclasses import replace
from typing import Any, Self

import numpy as np

from nmf_core import paragraphs, provenance
from nmf_core.html import beside, pairs
from nmf_core.html import table as html_table
from nmf_core.interpretation import (
    component_shares,
    components_table,
    explanation,
    features_table,
    samples_table,
    sparsity,
)
from nmf_core.labels import Axis, Labelled, component_names, frame, in_order, labelled, tabulated
from nmf_core.shapes import Axes
from nmf_core.similarity import match
from nmf_core.typing import Ranking, Scale
from nmf_core.validation import (
    check_as_many,
    check_choice,
    check_component_names,
    check_matrix,
    check_mixture,
    check_model_room,
    check_number,
    check_order,
    check_places,
    check_shape,
)

# Sizes of the rows of H by which components are scaled.
SCALES = {
    "share": lambda H: H.sum(axis=1),
    "unit": lambda H: np.linalg.norm(H, axis=1),
    "max": lambda H: H.max(axis=1, initial=0.0),
}


def fit_in(given: Any) -> Any:
    """The factorization that a result or an estimator of this package holds, of an ensemble the best; else itself."""
    held = (getattr(given, name, None) for name in ("result_", "factorization", "best"))
    return next((f for f in (given, *held) if isinstance(f, Readable)), given)


def components_of(given: Any) -> Any:
    """H with the labels that it has, if `given` is a result or an estimator of this package; else itself."""
    f = fit_in(given)
    return getattr(f, "_labelled_H", f)


class Readable:
    """What can be read from a factorization: the part of it that computes nothing new."""

    W: Any
    H: np.ndarray
    axes: Axes | None
    biases: Any
    parameters: dict[str, Any]
    unknown: np.ndarray | None
    row_labels: Axis | None
    column_labels: Axis | None
    component_labels: Axis | None
    frame_library: str | None
    stability: np.ndarray | None

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(self.H.shape[0])

    @property
    def names(self) -> Axis:
        """Names of the components: c1, c2, ... unless they have been given others."""
        return Axis(component_names(self.n_components)) if self.component_labels is None else self.component_labels

    @property
    def _labelled_H(self) -> Labelled:
        return Labelled(self.H, self.component_labels, self.column_labels, self.frame_library)

    def _but(self, **changes: Any) -> Self:
        """The same with other fields."""
        me: Any = self
        return replace(me, **changes)

    def summary(self) -> Any:
        """Sizes, quality and cost."""
        raise NotImplementedError

    @property
    def maps(self) -> np.ndarray:
        """W with the axes of samples of X, and one more for components: (..., n_components).

        NaN, a blank, where nothing is known of a sample; W is zero there.
        """
        W = np.asarray(self.W)
        if self.unknown is not None:
            W = W.copy()
            W[self.unknown] = np.nan
        return W.reshape((*(self.W.shape[:1] if self.axes is None else self.axes.sample_shape), self.n_components))

    @property
    def images(self) -> np.ndarray:
        """H with an axis for components, and then the axes of features of X: (n_components, ...)."""
        return self.H.reshape(
            (self.n_components, *(self.H.shape[1:] if self.axes is None else self.axes.feature_shape))
        )

    def _flat(self, X: Any, name: str = "X", *, new: bool = False) -> Any:
        """What is given with the axes of X as a matrix of samples; where X had more than two, it may be one already."""
        axes = self.axes
        if axes is None or X is None or (isinstance(X, Labelled) and X.axes is not None):
            return X
        shape, (n, m) = np.shape(X.values if isinstance(X, Labelled) else X), (self.W.shape[0], self.H.shape[1])
        if len(axes.shape) > 2 and shape == ((*shape[:1], m) if new else (n, m)):
            return X
        if name == "weights":
            return axes.weights(X)
        return axes.flattened(labelled(X, name, missing=self.parameters.get("missing")), name, new=new)

    def _places(self, places: Any, what: str) -> np.ndarray:
        """Numbers of rows or columns, by their labels, numbers, or positions along axes of X."""
        rows = what == "row"
        labels = self.row_labels if rows else self.column_labels
        if labels is None and self.axes is not None:
            places = self.axes.numbers(places, what)
        return check_places(places, self.W.shape[0] if rows else self.H.shape[1], labels, what)

    def _order_of(self, data: Labelled, name: str) -> list[Any]:
        """Where rows and columns of something with the labels of X are in W and in H."""
        places = (
            in_order(data.rows, self.row_labels, name, "row", "the fit"),
            in_order(data.columns, self.column_labels, name, "column", "the fit"),
        )
        return [slice(None) if place is None else np.argsort(place) for place in places]

    def separate(self, mixture: Any, *, power: float = 1.0) -> np.ndarray:
        """The parts of a signal that belong to the components, by soft masks.

        Every entry of the signal, such as a complex spectrogram of which X holds the magnitudes, is shared among the
        components as the model shares out its entry of X; where the model is zero, equally.

        Parameters
        ----------
        mixture : array-like or data frame of the shape of X
            Real or complex, and finite. Labels may stand in another order.
        power : float
            Shares are those of powers of the components' parts: 2 is Wiener's filter for components of magnitudes.

        Returns
        -------
        ndarray of shape (n_components, ...)
            Parts, which sum to the mixture, in its order and precision; an array for a data frame, too.

        Examples
        --------
        >>> import numpy as np, nmf_core
        >>> stft = np.exp(2j * np.pi * np.random.default_rng(0).random((30, 20)))
        >>> f = nmf_core.factorize(np.abs(stft), 2, random_state=0)
        >>> bool(np.allclose(f.separate(stft).sum(axis=0), stft))
        True
        """
        data = labelled(self._flat(mixture, "mixture"), "mixture")
        signal = check_mixture(data, (self.W.shape[0], self.H.shape[1]))
        rows, columns = self._order_of(data, "mixture")
        check_number(power, "power")
        W, H = np.asarray(self.W, dtype=np.float64)[rows], self.H.astype(np.float64)[:, columns]
        parts = np.stack([np.outer(W[:, j], H[j]) ** power for j in range(self.n_components)])
        total = parts.sum(axis=0)
        np.divide(parts, total, out=parts, where=total > 0)
        parts[:, total <= 0] = 1 / self.n_components
        found = (parts * signal).astype(np.result_type(self.W, signal), copy=False)
        return found if data.axes is None else np.stack([data.axes.restored(part) for part in found])

    # --- the same model in another scale, order, or with names

    def scaled(self, to: Scale = "share") -> Self:
        """The same model with its components in another scale; W @ H is the same up to rounding.

        Parameters
        ----------
        to : {"share", "unit", "max"}
            Rows of H sum to one, so that W holds what a component adds up to in a sample; have length one; or have one
            as their largest entry.

        Returns
        -------
        Factorization
            A new one. Penalties are part of its `objective` as they were for the factors of the fit.
        """
        check_choice(to, "to", SCALES)
        H = self.H.astype(np.float64)
        size = SCALES[to](H)
        size[size == 0] = 1
        W, H = self.W * size.astype(self.W.dtype), (H / size[:, np.newaxis]).astype(self.H.dtype)
        return self._but(W=W, H=H)

    def sorted(self, by: Any = "share") -> Self:
        """The same model with its components in another order.

        Parameters
        ----------
        by : {"share", "sparsity", "name"} or array-like of int, shape (n_components,)
            By share of the model or sparsity of H, the largest first; by name; or the order itself, numbers from 0.

        Returns
        -------
        Factorization
            A new one. Names go with their components; where there are none, c1 is the first again.
        """
        if isinstance(by, str):
            check_choice(by, "by", ("share", "sparsity", "name"))
        if isinstance(by, str) and by == "name":
            order = np.array(sorted(range(self.n_components), key=lambda j: str(self.names[j])))
        elif isinstance(by, str):
            keys = component_shares(self) if by == "share" else np.array([sparsity(h) for h in self.H])
            order = np.argsort(-keys, kind="stable")
        else:
            order = check_order(by, self.n_components)
        labels = self.component_labels
        names = None if labels is None else Axis([labels[j] for j in order])
        stability = None if self.stability is None else self.stability[order]
        return self._but(W=self.W[:, order], H=self.H[order], component_labels=names, stability=stability)

    def named(self, names: Any) -> Self:
        """The same with names of components, which tables, data frames, pictures and files have then.

        Parameters
        ----------
        names : dict, Match, or array-like of str, shape (n_components,)
            All names; new names by those that there are, such as ``{"c1": "music"}``; or what `nmf_core.match` has
            found for these components. Those without a new name keep theirs.

        Returns
        -------
        Factorization
            A new one.
        """
        names = getattr(names, "renaming", names)
        return self._but(component_labels=Axis(check_component_names(names, self.names)))

    def align(self, other: Any) -> Self:
        """The same with its components in the order of similar ones.

        Parameters
        ----------
        other : array-like, data frame, Factorization, or what holds one, of shape (n_components, n_features)
            Components to compare with: each is paired with one of these so that the sum of cosine similarities is
            largest. Labelled features are brought into one order. Names are taken over, if these have some. For more
            or fewer components see `nmf_core.match`.

        Returns
        -------
        Factorization
            A new one.
        """
        if self.axes is not None:
            other = self.axes.as_H(other, "other")
        given = check_matrix(components_of(other), "other", factor=True)
        given = given.aligned("other", columns=self.column_labels, of="the fit")
        check_as_many(given.values.shape[0], self.n_components)
        check_shape(given.values.shape, self.H.shape, "other")
        found = self.sorted(match(given.values, self.H)[0])
        return found if given.rows is None else found._but(component_labels=given.rows)

    # --- tables

    def features(self, n: int = 10, by: Ranking = "distinctive") -> Any:
        """The strongest features of every component.

        Parameters
        ----------
        n : int
            Features of a component at most.
        by : {"distinctive", "weight", "lift"}
            What strong means: with the share p of a feature in its component and q in the whole model, ``p * log(p /
            q)``, p, or ``p / q``. What is strong everywhere says little about a component.

        Returns
        -------
        data frame
            Of the library of X, else of pandas (or a dict of columns without it): component, rank, feature, weight (p)
            and score.

        Examples
        --------
        >>> import numpy as np, nmf_core
        >>> X = np.array([[4.0, 2.0, 0.0], [8.0, 4.0, 0.0], [0.0, 1.0, 5.0]])
        >>> f = nmf_core.factorize(X, 2, feature_names=["a", "b", "c"], random_state=0)
        >>> list(f.features(n=1)["feature"])
        ['a', 'c']
        """
        return tabulated(features_table(self, n, by), self.frame_library)

    def samples(self, n: int = 3, X: Any = None, weights: Any = None) -> Any:
        """The strongest components of every sample, and their shares.

        Parameters
        ----------
        n : int
            Components of a sample at most.
        X, weights : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
            What was factorized, for the error of every sample relative to its length.

        Returns
        -------
        data frame
            sample, component and share of the strongest, component_2, share_2, ... of those that follow, and error.
            Shares are those of the lengths ``W * ||h||``, which do not depend on the scale of components.
        """
        return tabulated(samples_table(self, n, X, weights), self.frame_library)

    def component_info(self, n: int = 5, by: Ranking = "distinctive", stability: Any = None) -> Any:
        """What there is to say of every component.

        Parameters
        ----------
        n : int
            Features and samples that are named.
        by : {"distinctive", "weight", "lift"}
            Which features, as in `features`.
        stability : array-like of shape (n_components,), optional
            How often each was found again, such as ``ensemble.stability.mean``; by default its own, which those of
            `Ensemble.components` have.

        Returns
        -------
        data frame
            component, share (of the model), sparsity (Hoyer's, of its row of H), samples (to how many it contributes
            most), stability, top_features, and top_samples, to which it contributes most.
        """
        return tabulated(components_table(self, n, by, stability), self.frame_library)

    def reconstruct(self, components: Any = None, samples: Any = None) -> Any:
        """What the model, or a part of it, says of samples.

        Parameters
        ----------
        components : array-like of int or names, optional
            Which components, by default all and the biases.
        samples : array-like of int or labels, or tuple of them, optional
            Which samples, by their labels if X had some, by their numbers from 0, or by a tuple of positions along
            their axes, if these are several; by default all.

        Returns
        -------
        ndarray or data frame of shape (n_samples, n_features)
            A data frame if samples or features have labels. With the axes of X, if they have been named by
            `sample_axes`; some samples that had several axes come first.
        """
        k, n = self.n_components, self.W.shape[0]
        which: Any = slice(None)
        if components is not None:
            which = np.atleast_1d(check_places(components, k, self.names, "component"))
        rows = None if samples is None else np.atleast_1d(self._places(samples, "row")).ravel()
        check_model_room(n if rows is None else len(rows), self.H.shape[1], self.W.dtype.itemsize)
        W = np.asarray(self.W if rows is None else self.W[rows])
        model = W[:, which] @ self.H[which]
        if components is None and self.biases is not None:
            of_rows = self.biases.rows if rows is None else self.biases.rows[rows]
            model += (self.biases.mean + of_rows[:, np.newaxis] + self.biases.columns).astype(model.dtype)
        labels = self.row_labels
        if rows is not None and labels is not None:
            labels = Axis([labels[i] for i in rows])
        sides = labels, self.column_labels
        if self.axes is not None:
            model = self.axes.restored(model, some=rows is not None)
            if model.ndim > 2:
                return model
            sides = sides[::-1] if self.axes.order == (1, 0) else sides
        return frame(model, sides[0], sides[1], self.frame_library)

    def explain(self, sample: Any, feature: Any) -> Any:
        """What every component, and the biases, add to the model of one entry.

        Parameters
        ----------
        sample, feature : int, label, or tuple of int
            By their labels if X had some, by their numbers from 0, or by a tuple of positions along their axes in X,
            if these are several.

        Returns
        -------
        data frame
            component, contribution and share, the largest first. Contributions add up to ``predict(sample, feature)``.
        """
        return tabulated(explanation(self, sample, feature), self.frame_library)

    def _repr_html_(self) -> str:
        summary = self.summary()
        shown = (
            "loss",
            "solver",
            "objective",
            "relative_error",
            "explained_variance",
            "n_iter",
            "stop_reason",
            "seconds",
        )
        facts = pairs({name: summary[name] for name in shown}, repr(self)[1:].partition(",")[0])
        named = self.column_labels is not None or self.row_labels is not None
        columns = components_table(self)
        kept = columns if named else {name: columns[name] for name in columns if not name.startswith("top_")}
        return beside([facts, html_table(kept)])

    # --- for a paper, and to do it again

    def methods(self, *, chosen: Any = None) -> str:
        """The paragraph for a paper: data, model, loss, solver, start, stopping, quality, versions, with citations.

        Parameters
        ----------
        chosen : str, RankSurvey or Choice, optional
            How the number of components was chosen: in words, or what has chosen it.
        """
        return paragraphs.methods(self, chosen=chosen)

    def cite(self) -> str:
        """BibTeX of what was used: this library, and the papers of the solver, the loss and the start."""
        return provenance.cite(self)

    def rerun(self) -> str:
        """A line of Python that makes the fit again."""
        return provenance.rerun(self)

    @property
    def fingerprint(self) -> str:
        """A short text that says whether two results are the same: of H, to the last bit, and of how it was found."""
        return provenance.fingerprint(self)
