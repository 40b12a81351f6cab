"""Which known components a fit has found."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmf_core.known.model import dense
from nmf_core.known.text import html, text
from nmf_core.labels import Axis, Labelled, component_names, tabulated
from nmf_core.readable import Readable, components_of, fit_in
from nmf_core.shapes import Axes
from nmf_core.similarity import cosines
from nmf_core.similarity import match as pair
from nmf_core.validation import (
    check_catalogue,
    check_matrix,
)


@dataclass(frozen=True, eq=False, repr=False)
class Match:
    """Components side by side with those of a catalogue.

    Attributes
    ----------
    assigned : ndarray of int, shape (n_components,)
        The row of the catalogue that belongs to each component, no row to two of them; -1 where there is none.
    cosine : ndarray of float64, shape (n_components,)
        Their cosine similarities, from 0 to 1; NaN where there is none.
    second : ndarray of int, shape (n_components,)
        The most similar row besides that, whether it is assigned to another component or not; -1 if there is none.
    second_cosine : ndarray of float64, shape (n_components,)
        Its cosine similarities, NaN where there is none. Where they are above `cosine`, another component needs the
        most similar row more.
    cosines : ndarray of float64, shape (n_components, n_known)
        All cosine similarities.
    components, names : Axis
        Names of the components and of the rows of the catalogue; c1, c2, ... of arrays.
    frame_library : str or None
        The library of the data frame that the components were, which `table` has then.
    """

    assigned: np.ndarray
    cosine: np.ndarray
    second: np.ndarray
    second_cosine: np.ndarray
    cosines: np.ndarray
    components: Axis
    names: Axis
    frame_library: str | None = None

    @property
    def renaming(self) -> dict[Any, Any]:
        """The names in the catalogue by those of the components, for `Factorization.named`; without the unmatched."""
        return {name: self.names[j] for name, j in zip(self.components, self.assigned.tolist(), strict=True) if j >= 0}

    @property
    def best(self) -> np.ndarray:
        """The most similar row (n_components,) of the catalogue, whatever else it is assigned to; -1 if none is."""
        return np.where(self.cosines.max(axis=1) > 0, self.cosines.argmax(axis=1), -1)

    @property
    def best_cosine(self) -> np.ndarray:
        """The cosine similarities (n_components,) with these, NaN where there is none."""
        return at(self.cosines, self.best)

    @property
    def table(self) -> Any:
        """A data frame, or a dict of columns if pandas is not installed, with a row for every component.

        Its columns are component, match, cosine, second and second_cosine: names, None where there is none, and cosine
        similarities.
        """
        return tabulated(self._columns(), self.frame_library)

    def _columns(self) -> dict[str, Any]:
        return {
            "component": list(self.components),
            "match": named(self.assigned, self.names),
            "cosine": self.cosine,
            "second": named(self.second, self.names),
            "second_cosine": self.second_cosine,
        }

    @property
    def _caption(self) -> str:
        return f"{len(self.assigned)} components, {len(self.names)} known ones"

    def __repr__(self) -> str:
        return text("Match", self._caption, self._columns())

    def _repr_html_(self) -> str:
        return html(self._caption, self._columns())


def match(f: Any, catalogue: Any) -> Match:
    """Find out which known components those of a fit are, such as mutational signatures, spectra or gene programs.

    Each component gets one row of the catalogue, no row twice, so that the sum of their cosine similarities is largest.

    Parameters
    ----------
    f : Factorization, array-like or data frame of shape (n_components, n_features)
        The fit, or its components; also an `Ensemble`, of which it is the best run, the components of one, a fitted
        `NMF`, or a `Refit`.
    catalogue : array-like, data frame or Factorization of shape (n_known, n_features)
        Known components, in rows, or in the shape of `Factorization.images`, or whatever `f` may be. Labelled features
        are brought into the order of those of `f` or refused. The scale of a row is of no concern.

    Returns
    -------
    Match
        Printed, it is a table.

    Raises
    ------
    TypeError, ValueError
        Components are not what they must be, have other features, or two in the catalogue have the same name.

    Notes
    -----
    Components that share nothing with what is left of the catalogue have no partner; nor have, where these are more
    than the catalogue has rows, those without which the sum is largest. That is how signatures found in tumours are
    compared with those in catalogues [1]_ [2]_.

    References
    ----------
    .. [1] L. B. Alexandrov et al. (2020), "The repertoire of mutational signatures in human cancer",
       doi:10.1038/s41586-020-1943-3.
    .. [2] F. Blokzijl, R. Janssen, R. van Boxtel and E. Cuppen (2018), "MutationalPatterns: comprehensive genome-wide
       analysis of mutational processes", doi:10.1186/s13073-018-0539-0.

    Examples
    --------
    >>> import nmf_core
    >>> from nmf_core.known import match
    >>> known = [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    >>> found = match([[0.0, 3.0, 4.0], [2.0, 2.0, 1.0]], known)
    >>> found.assigned
    array([1, 0])
    >>> found.cosine.round(3)
    array([0.99 , 0.943])
    """
    axes = next((held.axes for held in map(fit_in, (f, catalogue)) if isinstance(held, Readable)), None)
    given, known = components(f, "f", axes), components(catalogue, "catalogue", axes)
    known = check_catalogue(known, "catalogue", given.values.shape[1], given.columns, "f")
    A, B = given.values, known.values
    similar = cosines(A, B)
    assigned = np.full(len(A), -1)
    if len(A) <= len(B):
        assigned[:] = pair(A, B)[0]
    else:
        assigned[pair(B, A)[0]] = np.arange(len(B))
    assigned[np.nan_to_num(at(similar, assigned)) == 0] = -1
    others = similar.copy()
    there = np.flatnonzero(assigned >= 0)
    others[there, assigned[there]] = 0
    second = np.where(others.max(axis=1) > 0, others.argmax(axis=1), -1)
    assert given.rows is not None
    assert known.rows is not None
    return Match(
        assigned, at(similar, assigned), second, at(similar, second), similar, given.rows, known.rows, given.library
    )  # fmt: skip


def components(F: Any, name: str, axes: Axes | None = None) -> Labelled:
    """Components with their names, as an array in double; of a fit with axes they may be images."""
    given = check_matrix(components_of(F if axes is None else axes.as_H(F, name)), name, factor=True)
    values = np.asarray(dense(given.values), dtype=np.float64)
    rows = Axis(component_names(len(values))) if given.rows is None else given.rows
    return Labelled(values, rows, given.columns, given.library)


def at(similar: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The entry of each row (n,) in the chosen columns, NaN for -1."""
    return np.where(chosen >= 0, similar[np.arange(len(similar)), chosen], np.nan)


def named(chosen: np.ndarray, names: Axis) -> list[Any]:
    """Names by their numbers, None for -1."""
    return [None if j < 0 else names[j] for j in chosen.tolist()]
