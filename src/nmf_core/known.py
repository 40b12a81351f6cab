"""Known components: which of them a fit has found, and how much of each is in samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nmf_core.data import FullMatrix, accept, container_class
from nmf_core.factorization import Factorization
from nmf_core.html import cell
from nmf_core.html import table as html_table
from nmf_core.initialization import make_random_state
from nmf_core.labels import Axis, Labelled, component_names, frame, tabulated
from nmf_core.losses import LOSSES, Loss, make_loss
from nmf_core.similarity import cosines
from nmf_core.similarity import match as pair
from nmf_core.threads import serial_blas
from nmf_core.transform import Components, transform
from nmf_core.validation import (
    ArrayOrSparse,
    check_catalogue,
    check_choice,
    check_integer,
    check_loss,
    check_matrix,
    check_number,
    check_random_state,
    check_resident,
    check_selectable,
    check_share,
    check_threads,
    check_unbiased,
    check_whole,
    stored_values,
)
from nmf_core.warning import ConvergenceWarning, held_back, warn

_ENTRIES = 1 << 21  # numbers of samples, or of their components, that are looked at together
_MOST_STEPS = 50  # of Newton's method; few are needed
_LARGEST = 1e18  # mean of Poisson distributions from which integers can be drawn
_EPS = float(np.finfo(np.float64).eps)


# --- which known components a fit has found


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
    def best(self) -> np.ndarray:
        """The most similar row (n_components,) of the catalogue, whatever else it is assigned to; -1 if none is."""
        return np.where(self.cosines.max(axis=1) > 0, self.cosines.argmax(axis=1), -1)

    @property
    def best_cosine(self) -> np.ndarray:
        """The cosine similarities (n_components,) with these, NaN where there is none."""
        return _at(self.cosines, self.best)

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
            "match": _named(self.assigned, self.names),
            "cosine": self.cosine,
            "second": _named(self.second, self.names),
            "second_cosine": self.second_cosine,
        }

    @property
    def _caption(self) -> str:
        return f"{len(self.assigned)} components, {len(self.names)} known ones"

    def __repr__(self) -> str:
        return _text("Match", self._caption, self._columns())

    def _repr_html_(self) -> str:
        return _html(self._caption, self._columns())


def match(f: Any, catalogue: Any) -> Match:
    """Find out which known components those of a fit are, such as mutational signatures, spectra or gene programs.

    Each component gets one row of the catalogue, no row twice, so that the sum of their cosine similarities is largest.

    Parameters
    ----------
    f : Factorization, array-like or data frame of shape (n_components, n_features)
        The fit, or its components.
    catalogue : array-like, data frame or Factorization of shape (n_known, n_features)
        Known components, in rows. Labelled features are brought into the order of those of `f` or refused. The scale
        of a row is of no concern.

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
    given = _components(f, "f")
    known = check_catalogue(_components(catalogue, "catalogue"), "catalogue", given.values.shape[1], given.columns, "f")
    A, B = given.values, known.values
    similar = cosines(A, B)
    assigned = np.full(len(A), -1)
    if len(A) <= len(B):
        assigned[:] = pair(A, B)[0]
    else:
        assigned[pair(B, A)[0]] = np.arange(len(B))
    assigned[np.nan_to_num(_at(similar, assigned)) == 0] = -1
    others = similar.copy()
    there = np.flatnonzero(assigned >= 0)
    others[there, assigned[there]] = 0
    second = np.where(others.max(axis=1) > 0, others.argmax(axis=1), -1)
    assert given.rows is not None
    assert known.rows is not None
    return Match(
        assigned, _at(similar, assigned), second, _at(similar, second), similar, given.rows, known.rows, given.library
    )  # fmt: skip


def _components(F: Any, name: str) -> Labelled:
    """Components with their names, as an array in double."""
    if isinstance(F, Factorization):
        return Labelled(F.H.astype(np.float64), F.names, F.column_labels, F.frame_library)
    given = check_matrix(F, name, factor=True)
    values = np.asarray(_dense(given.values), dtype=np.float64)
    rows = Axis(component_names(len(values))) if given.rows is None else given.rows
    return Labelled(values, rows, given.columns, given.library)


def _at(similar: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The entry of each row (n,) in the chosen columns, NaN for -1."""
    return np.where(chosen >= 0, similar[np.arange(len(similar)), chosen], np.nan)


def _named(chosen: np.ndarray, names: Axis) -> list[Any]:
    """Names by their numbers, None for -1."""
    return [None if j < 0 else names[j] for j in chosen.tolist()]


# --- how much of each is in samples


@dataclass(frozen=True, eq=False, repr=False)
class Refit:
    """Samples as sums of known components.

    Attributes
    ----------
    W : ndarray of shape (n_samples, n_components)
        The exposures: how much of every component is in a sample.
    H : ndarray of shape (n_components, n_features)
        The components, with their features in the order of the samples.
    selected : ndarray of bool, shape (n_samples, n_components)
        Whether there is any of a component in a sample.
    cosine : ndarray of float64, shape (n_samples,)
        Cosine similarities of samples and their models, over known entries; NaN for samples of zeros.
    error : ndarray of float64, shape (n_samples,)
        ``||x - w H|| / ||x||``, in the same way.
    loss : str or float
        The loss.
    names : Axis
        Names of the components; c1, c2, ... if they have none.
    lower, upper : ndarray of shape (n_samples, n_components) or None
        Limits of the exposures, from replicates of samples.
    level : float
        The share of replicates that are between them.
    resampled : {"poisson", "features"} or None
        How replicates were drawn.
    row_labels : Axis or None
        Labels of the samples.
    frame_library : str or None
        The library of the data frame that the samples were.
    """

    W: np.ndarray
    H: np.ndarray
    selected: np.ndarray
    cosine: np.ndarray
    error: np.ndarray
    loss: Any
    names: Axis
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    level: float = 0.95
    resampled: str | None = None
    row_labels: Axis | None = None
    frame_library: str | None = None

    @property
    def exposures(self) -> Any:
        """The exposures, as a data frame of the library of the samples if these had labels."""
        return frame(self.W, self.row_labels, self.names, self.frame_library)

    @property
    def table(self) -> Any:
        """A data frame, or a dict of columns if pandas is not installed, with a row for every sample.

        Its columns are sample, components (how many are in it), total (what its model adds up to), strongest (the
        component that adds most to that, None for zeros), share (of that), cosine and error.
        """
        return tabulated(self._columns(), self.frame_library)

    def _columns(self) -> dict[str, Any]:
        parts = self.W * self.H.sum(axis=1)
        total = parts.sum(axis=1, dtype=np.float64)
        strongest = np.where(total > 0, parts.argmax(axis=1), -1)
        return {
            "sample": list(range(len(self.W)) if self.row_labels is None else self.row_labels),
            "components": self.selected.sum(axis=1),
            "total": total,
            "strongest": _named(strongest, self.names),
            "share": _at(parts, strongest) / np.where(total > 0, total, 1),
            "cosine": self.cosine,
            "error": self.error,
        }

    @property
    def _caption(self) -> str:
        n, k = self.W.shape
        good = self.cosine[~np.isnan(self.cosine)]
        quality = f", cosine {np.median(good):.3f} (at least {good.min():.3f})" if len(good) else ""
        limits = "" if self.lower is None else f", {100 * self.level:g} % limits"
        return f"{n} samples, {self.selected.sum(axis=1).mean():.3g} of {k} components in each{quality}{limits}"

    def __repr__(self) -> str:
        return _text("Refit", self._caption, self._columns())

    def _repr_html_(self) -> str:
        return _html(self._caption, self._columns())


def refit(
    X: Any,
    H: Any,
    *,
    loss: str | float | Loss = "frobenius",
    select: str | None = None,
    significance: float = 0.001,
    n_bootstrap: int = 0,
    level: float = 0.95,
    missing: str | None = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
    random_state: Any = None,
    n_threads: int | None = None,
) -> Refit:
    """How much of known components is in samples: W >= 0 with X ~ W @ H.

    Everything is computed in double. What is found for a sample does not depend on the others, but for limits, which
    are drawn at random.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        Samples, non-negative.
    H : array-like, data frame or Factorization of shape (n_components, n_features)
        The components. Labelled features are brought into the order of those of X or refused.
    loss : str, float or Loss
        As in `nmf_core.factorize`; "kullback-leibler" for counts.
    select : {None, "likelihood"}
        Whether a sample is explained by as few components as the likelihood allows. Otherwise it gets the smallest loss
        of all, in which noise is explained by components that are not there.
    significance : float
        How rarely a component that is not there should be selected: see below. The smaller, the fewer are.
    n_bootstrap : int
        Replicates of every sample from which limits of its exposures are found; 100 to 1000 are usual.
    level : float
        The share of replicates between these limits.
    missing : {None, "nan", "unstored"}
        What is missing from X, as in `nmf_core.factorize`.
    tol : float
        A row is done when its steps have fallen to `tol` of its first. Multiplicative updates, which are for other
        losses than Frobenius and Kullback-Leibler, rarely come so far.
    max_iter : int
        Sweeps over a row at most.
    random_state : int, RandomState, Generator or None
        Source of randomness of replicates.
    n_threads : int, optional
        Threads; by default all that are available. They do not change the result.

    Returns
    -------
    Refit
        Exposures `W`, also as the data frame `exposures`; printed, it is a table of the samples.

    Warns
    -----
    ConvergenceWarning
        Some rows are not done after `max_iter` sweeps.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    Notes
    -----
    Without selection W is that of `nmf_core.factorize` with ``update_H=False``: the minimiser of the loss, which is the
    maximum of the likelihood of Poisson's (Kullback-Leibler) or Gaussian noise (Frobenius).

    With ``select="likelihood"`` components without exposure are left out first. Then, in every sample, that one goes
    without which the loss rises least, the exposures of the others being found anew, as long as it rises by no more
    than chance would let it. At least one stays. This is how exposures to signatures are found [1]_ [2]_, and whether a
    rise is one by chance is decided by the ratio of likelihoods [3]_:

    - for Kullback-Leibler, which is for counts then, twice the rise of the divergence is compared with the quantile
      ``1 - significance`` of chi-square with one degree of freedom;
    - for Frobenius the rise of the squared error is divided by the variance of the noise, and compared with that
      quantile of F with 1 and ``m - a`` degrees of freedom. The variance of a sample is its squared error with all
      components over ``m - a``, for m known features and a components with exposure.

    A component that alone explains a count, as others are zero there, stays, however small the count is.

    Exposures cannot be negative, so that a component that is not there passes a test about half as often as
    `significance` says. With 60 planted components of 96 features and the default, 100 samples of 20,000 counts got 4
    components that were not in them, 100 samples of 2,000 counts got 10.

    Limits are percentiles of the exposures of replicates [4]_. If X holds counts and the loss is Kullback-Leibler,
    their entries are drawn from Poisson distributions with the entries of X as means; for other losses and data,
    features get random weights instead, exponentially distributed, as in [5]_. With selection, the selected components
    are kept in all replicates: limits say how much of them there is if they are the right ones, and are zero for
    others. Of planted exposures to 5 components, limits at a level of 0.95 held 0.93 to 0.94, with selection among 60
    of them 0.90. Without selection they held 0.7: exposures leak into similar components that are not there, and those
    of replicates do so once more.

    References
    ----------
    .. [1] L. B. Alexandrov et al. (2020), "The repertoire of mutational signatures in human cancer",
       doi:10.1038/s41586-020-1943-3.
    .. [2] F. Blokzijl, R. Janssen, R. van Boxtel and E. Cuppen (2018), "MutationalPatterns: comprehensive genome-wide
       analysis of mutational processes", doi:10.1186/s13073-018-0539-0.
    .. [3] S. S. Wilks (1938), "The large-sample distribution of the likelihood ratio for testing composite hypotheses",
       doi:10.1214/aoms/1177732360.
    .. [4] B. Efron and R. J. Tibshirani (1993), "An introduction to the bootstrap", chapters 6 and 13.
    .. [5] D. B. Rubin (1981), "The Bayesian bootstrap", doi:10.1214/aos/1176345338.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.known import refit
    >>> known = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.25, 0.25, 0.25, 0.25]])
    >>> X = np.array([[51.0, 48.0, 0.0, 0.0], [0.0, 62.0, 58.0, 0.0]])
    >>> found = refit(X, known, loss="kullback-leibler", select="likelihood")
    >>> found.selected
    array([[ True, False, False],
           [False,  True, False]])
    """
    the_loss = make_loss(check_loss(loss, LOSSES))
    if select is not None:
        check_choice(select, "select", ["likelihood"])
        check_selectable(the_loss.kernel in (1.0, 2.0), loss)
    significance, level = check_share(significance, "significance"), check_share(level, "level")
    n_bootstrap = check_integer(n_bootstrap, "n_bootstrap", 0)
    random = make_random_state(check_random_state(random_state))
    if isinstance(H, Factorization):
        check_unbiased(H.biases is not None)
    data, _ = accept(X, missing)
    check_resident(container_class(data.values) is FullMatrix, "refit")
    known = check_catalogue(_components(H, "H"), "H", data.values.shape[1], data.columns, "X")
    dtype = data.values.dtype
    samples = _Samples(data.values.astype(np.float64, copy=False), missing)
    counts = the_loss.kernel == 1
    if counts and select is not None:
        check_whole(samples.odd)
    elif counts and n_bootstrap:
        counts = samples.odd is None
    model = _Model(known.values, the_loss, {"tol": check_number(tol, "tol"), "max_iter": max_iter,
                                            "n_threads": check_threads(n_threads)})  # fmt: skip
    W, converged = model.exposures(samples.X, missing)
    if not converged and select is None:  # else it is a start for exact fits
        warn(f"W of some rows has not converged within {max_iter} sweeps. Raise max_iter or tol.", ConvergenceWarning)
    with serial_blas():
        W *= samples.determined(model.H)
        if select is not None:
            for rows, x in samples.blocks():
                W[rows] = _selection(x, W[rows], model, significance)
        limits = None
        if n_bootstrap:
            replicates = _Replicates(n_bootstrap, counts, np.random.default_rng(random.randint(2**32, dtype=np.uint64)))
            limits = _limits(samples, W, model, replicates, select is not None, level)
        cosine, error = _quality(samples, W, model)
    W = W.astype(dtype)
    lower, upper = (None, None) if limits is None else (limit.astype(dtype) for limit in limits)
    assert known.rows is not None
    return Refit(
        W, known.values.astype(dtype), W > 0, cosine, error, the_loss.name, known.rows, lower, upper, level,
        ("poisson" if counts else "features") if n_bootstrap else None, data.rows, data.library,
    )  # fmt: skip


class _Samples(NamedTuple):
    """Validated samples, in memory and in double, and what is missing from them."""

    X: ArrayOrSparse
    missing: str | None

    @property
    def odd(self) -> float | None:
        """The first entry that is no whole number, or None."""
        values = stored_values(self.X)
        odd = (values != np.floor(values)) & ~np.isnan(values)
        return float(values[odd].flat[0]) if odd.any() else None

    def blocks(self, width: int = 1) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows, as arrays in which NaN is missing, each with its place; `width` rows of results have room."""
        n, m = self.X.shape
        step = max(1, _ENTRIES // (m * width))
        for first in range(0, n, step):
            rows = slice(first, min(first + step, n))
            stored = self.X[rows]
            x = np.array(_dense(stored))
            if self.missing == "unstored":
                pattern = stored.copy()
                pattern.data = np.ones_like(pattern.data)
                x[_dense(pattern) == 0] = np.nan
            yield rows, x

    def determined(self, H: np.ndarray) -> np.ndarray:
        """Whether anything is known where components are not zero, as (n, k) or (1, k): else there is none of them."""
        there: np.ndarray = H.sum(axis=1)[np.newaxis] > 0
        if self.missing is None:
            return there
        return np.concatenate([(~np.isnan(x)) @ H.T > 0 for _, x in self.blocks()])


class _Model:
    """Known components, and how exposures to them are found.

    Parameters
    ----------
    H : ndarray of shape (k, m)
        The components.
    loss : Loss
        The loss.
    how : dict
        Other arguments of `transform`.
    """

    def __init__(self, H: np.ndarray, loss: Loss, how: dict[str, Any]) -> None:
        self.H, self.loss, self.how = H, loss, how
        self.components = Components(H, loss)

    def exposures(self, X: Any, missing: str | None, weights: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
        """W of samples, and whether all rows are done."""
        loss: Any = self.loss
        found = transform(X, self.components, loss=loss, missing=missing, weights=weights, **self.how)
        return found.W, found.converged

    def wanted(self, x: np.ndarray, weights: np.ndarray, W: np.ndarray) -> np.ndarray:
        """Whether the divergence falls if there is more of a component, as (n, k)."""
        y = W @ self.H
        slope = y - x if self.loss.quadratic else 1 - np.divide(x, y, out=np.zeros_like(y), where=y > 0)
        return (weights * slope) @ self.H.T < 0

    def fits(self, x: np.ndarray, weights: np.ndarray, active: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, ...]:
        """W (n, k) with no other than the active components, and the divergence (n,) of every row.

        Parameters
        ----------
        x, weights : ndarray of shape (n, m)
            Rows, and how much their entries count.
        active : ndarray of bool, shape (n, k)
            The components of every row.
        W : ndarray of shape (n, k)
            Where to start. Where it is zero, there is nothing of a sample.

        Returns
        -------
        W : ndarray of shape (n, k)
            The exposures.
        divergence : ndarray of shape (n,)
            Infinity if something is in a row that these components do not have.
        """
        if not self.loss.quadratic:
            x = np.where(self.H.any(axis=0), x, 0)  # what no component has says nothing about any
        found, divergence = np.zeros(active.shape), np.empty(len(x))
        sizes = active.sum(axis=1)
        order = np.argsort(sizes, kind="stable")  # rows of about as many components are done together
        first = 0
        while first < len(x):
            width = max(1, int(sizes[order[min(first + 999, len(x) - 1)]]))
            rows = order[first : first + max(1, min(1000, _ENTRIES // (width * (x.shape[1] + width))))]
            first += len(rows)
            width = max(1, int(sizes[rows[-1]]))
            places = np.argsort(~active[rows], axis=1, kind="stable")[:, :width]
            there = np.take_along_axis(active[rows], places, axis=1)
            G = self.H[places] * there[..., np.newaxis]
            start = np.take_along_axis(W[rows], places, axis=1) * there
            w, divergence[rows] = _descend(_Rows(x[rows], weights[rows], G, there, self.loss.quadratic), start)
            exposures = np.zeros((len(rows), len(self.H)))
            np.put_along_axis(exposures, places, w, axis=1)
            found[rows] = exposures
        return found, divergence


def _dense(A: Any) -> np.ndarray:
    return np.asarray(getattr(A, "toarray", lambda: A)())


def _quality(samples: _Samples, W: np.ndarray, model: _Model) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarities (n,) of samples and their models, and relative errors (n,)."""
    cosine, error = np.full(len(W), np.nan), np.full(len(W), np.nan)
    for rows, x in samples.blocks():
        y = np.where(np.isnan(x), 0, W[rows] @ model.H)
        x = np.nan_to_num(x)
        size, other = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
        there = np.where(size > 0, size, np.nan)
        error[rows] = np.linalg.norm(x - y, axis=1) / there
        shared = np.einsum("ij,ij->i", x / there[:, np.newaxis], y / np.where(other > 0, other, 1)[:, np.newaxis])
        cosine[rows] = np.minimum(shared, 1)
    return cosine, error


# --- selection


def _selection(x: np.ndarray, W: np.ndarray, model: _Model, significance: float) -> np.ndarray:
    """Exposures (n, k) of a block of samples to as few components as the likelihood allows, from those to all."""
    from scipy.special import chdtri, fdtri

    known = ~np.isnan(x)
    x, weights = np.nan_to_num(x), known.astype(np.float64)
    W, divergence = model.fits(x, weights, (W > 0) | model.wanted(x, weights, W), W)
    if model.loss.quadratic:
        left = np.maximum(known.sum(axis=1) - (W > 0).sum(axis=1), 1)
        # rounding is noise, too
        noise = np.maximum(2 * divergence / left, (32 * _EPS) ** 2 * (x**2).mean(axis=1))
        noise[noise == 0] = 1
        weights /= noise[:, np.newaxis]
        divergence /= noise
        most = fdtri(1, left, 1 - significance) / 2
    else:
        most = np.full(len(x), chdtri(1, significance) / 2)
    return _backward(_Fits(model, x, weights), W, divergence, most)


class _Fits(NamedTuple):
    """Samples that are fitted with fewer and fewer components, and how much their entries count."""

    model: _Model
    x: np.ndarray
    weights: np.ndarray

    def without(self, rows: np.ndarray, j: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, ...]:
        """Exposures of some samples to all components that they had in W (n_rows, k) but one, and divergences."""
        active = W > 0
        active[np.arange(len(rows)), j] = False
        return self.model.fits(self.x[rows], self.weights[rows], active, W)


def _backward(fits: _Fits, W: np.ndarray, divergence: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Leave out one component after the other, always the one without which the divergence rises least.

    It rises with every component that is left out. So divergences without a component, found while there were more
    others, are lower bounds of what they are with fewer, and only the lowest bound is worth a fit: it is the least
    if no other is lower. One fit of every sample is done at a time.

    Parameters
    ----------
    fits : _Fits
        Samples and components.
    W : ndarray of shape (n, k)
        Exposures to all components. Modified in place.
    divergence : ndarray of shape (n,)
        Its divergences. Modified in place.
    most : ndarray of shape (n,)
        By how much they may rise with one component at most.
    """
    bounds = np.where(W > 0, divergence[:, np.newaxis], np.inf)
    least, without = np.full(len(W), -1), W.copy()  # of the fits: the component without which it is least, and that W
    running = np.flatnonzero((W > 0).sum(axis=1) > 1)
    while len(running):
        j = bounds[running].argmin(axis=1)
        allowed = bounds[running, j] - divergence[running] <= most[running]
        running, j = running[allowed], j[allowed]
        certain = least[running] == j
        rows, gone = running[certain], j[certain]
        W[rows], divergence[rows] = without[rows], bounds[rows, gone]
        bounds[rows] = np.where(W[rows] > 0, np.maximum(bounds[rows], divergence[rows, np.newaxis]), np.inf)
        least[rows] = -1
        rows, j = running[~certain], j[~certain]
        found, value = fits.without(rows, j, W[rows])
        bounds[rows, j] = np.maximum(value, divergence[rows])
        lowest = np.where(least[rows] >= 0, bounds[rows, least[rows]], np.inf)
        better = bounds[rows, j] <= lowest
        least[rows[better]], without[rows[better]] = j[better], found[better]
        running = running[(W[running] > 0).sum(axis=1) > 1]
    return W


# --- limits


class _Replicates(NamedTuple):
    """How replicates are drawn."""

    n: int
    of_counts: bool
    random: np.random.Generator

    def of(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Replicates (n * len(x), m) of samples, one after the other, in which NaN is missing, and weights, if any."""
        shape = (self.n, *x.shape)
        if self.of_counts:
            mean = np.minimum(np.nan_to_num(x), _LARGEST)
            drawn = x + (self.random.poisson(mean, shape) - mean)  # NaN stays
            return drawn.reshape(-1, x.shape[1]), None
        weights = self.random.standard_exponential(shape).reshape(-1, x.shape[1])
        return np.broadcast_to(x, shape).reshape(-1, x.shape[1]), weights


def _limits(
    samples: _Samples, W: np.ndarray, model: _Model, replicates: _Replicates, kept: bool, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits (n, k) between which the exposures of a share of the replicates are.

    `kept` says whether exposures of zero stay zero.
    """
    lower, upper = np.zeros(W.shape), np.zeros(W.shape)
    with held_back():  # the samples themselves have been warned of
        for rows, x in samples.blocks(replicates.n):
            drawn, weights = replicates.of(x)
            if kept:
                known = ~np.isnan(drawn)
                weights = known.astype(np.float64) if weights is None else weights * known
                start = np.tile(W[rows], (replicates.n, 1))
                found, _ = model.fits(np.nan_to_num(drawn), weights, start > 0, start)
            else:
                missing = "nan" if samples.missing else None
                found, _ = model.exposures(drawn, missing, weights)
            found = found.reshape(replicates.n, *W[rows].shape)
            lower[rows], upper[rows] = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], axis=0)
    determined = samples.determined(model.H)
    return lower * determined, upper * determined


# --- many small problems at a time


class _Rows(NamedTuple):
    """Rows with components of their own, for the Frobenius loss or that of Kullback and Leibler.

    Attributes
    ----------
    x, weights : ndarray of shape (n, m)
        The rows, and how much their entries count.
    G : ndarray of shape (n, a, m)
        The components of every row, zero if it has fewer.
    there : ndarray of bool, shape (n, a)
        Which they are.
    quadratic : bool
        Which loss.
    """

    x: np.ndarray
    weights: np.ndarray
    G: np.ndarray
    there: np.ndarray
    quadratic: bool

    def some(self, rows: np.ndarray) -> "_Rows":
        """Some of them."""
        return _Rows(self.x[rows], self.weights[rows], self.G[rows], self.there[rows], self.quadratic)

    def divergence(self, y: np.ndarray, rows: Any = slice(None)) -> np.ndarray:
        """The loss of models (n, m), summed over each; infinity where one is zero, but x is not."""
        from scipy.special import kl_div

        x = self.x[rows]
        losses = (x - y) ** 2 / 2 if self.quadratic else kl_div(x, y)
        return (self.weights[rows] * losses).sum(axis=1)

    def derivatives(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients (n, a) with respect to exposures at models (n, m), and matrices (n, a, a) of second derivatives."""
        if self.quadratic:
            slope, curvature = self.weights * (y - self.x), self.weights
        else:
            ratio = np.divide(self.x, y, out=np.zeros_like(y), where=self.x > 0)
            slope = self.weights * (1 - ratio)
            curvature = self.weights * np.divide(ratio, y, out=np.zeros_like(y), where=self.x > 0)
        gradient = (self.G @ slope[..., np.newaxis])[..., 0]
        return gradient, (self.G * curvature[:, np.newaxis]) @ self.G.swapaxes(1, 2)


def _descend(problem: _Rows, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimisers (n, a) of the divergence over w >= 0, and its values (n,).

    By Newton steps: each ends in the minimiser over w >= 0 of the quadratic function that the divergence is about
    there, or on the way to it if that is too far. Where a step is short the divergence of counts is so much like that
    function that there is nothing to look at.

    Parameters
    ----------
    problem : _Rows
        The rows.
    w : ndarray of shape (n, a)
        Where to start, zero for components that a row does not have. Modified in place.
    """
    y = (w[:, np.newaxis] @ problem.G)[:, 0]
    values = problem.divergence(y)
    running = np.flatnonzero(np.isfinite(values) & (w > 0).any(axis=1))
    for _ in range(_MOST_STEPS):
        if len(running) == 0:
            break
        some, at, before = problem.some(running), w[running], values[running]
        gradient, curvature = some.derivatives(y[running])
        step = _newton_target(gradient, curvature, at, some.there) - at
        slope = (gradient * step).sum(axis=1)
        dy = (step[:, np.newaxis] @ some.G)[:, 0]
        share = np.ones(len(running))
        after = some.divergence(np.maximum(y[running] + dy, 0))
        short = problem.quadratic | (slope > -1e-3)
        for _ in range(50):
            far = np.flatnonzero(~short & ~(after <= before + 1e-4 * share * slope))
            if len(far) == 0:
                break
            share[far] /= 2
            after[far] = some.divergence(np.maximum(y[running[far]] + share[far, np.newaxis] * dy[far], 0), far)
        w[running] = np.maximum(at + share[:, np.newaxis] * step, 0)
        y[running] = (w[running][:, np.newaxis] @ some.G)[:, 0]
        values[running] = after = some.divergence(y[running])
        running = running[(slope < -1e-10 * before) & (after < before)]
    return w, values


def _newton_target(gradient: np.ndarray, curvature: np.ndarray, w: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Minimisers (n, a) over z >= 0 of ``gradient @ (z - w) + (z - w) @ curvature @ (z - w) / 2``, row by row."""
    a = w.shape[1]
    sizes = np.sqrt(np.einsum("nii->ni", curvature))
    scale = np.where(sizes > 0, sizes, 1)
    Q = curvature / (scale[:, :, np.newaxis] * scale[:, np.newaxis])
    Q[:, np.arange(a), np.arange(a)] = np.where(sizes > 0, 1, 0) + 1e-10  # so that twins have an answer, too
    right = (Q @ (w * scale)[..., np.newaxis])[..., 0] - gradient / scale
    right = np.where(there, right, -1)
    return _pivoted(Q, right, w > 0) / scale


def _pivoted(Q: np.ndarray, right: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Minimisers (n, a) of ``z @ Q @ z / 2 - right @ z`` over z >= 0, row by row.

    By block principal pivoting: components that contradict the conditions of a minimum change sides, all at once as
    long as there are fewer of them every few times, then the last one.

    Parameters
    ----------
    Q : ndarray of shape (n, a, a)
        Positive definite, ones on the diagonal.
    right : ndarray of shape (n, a)
        Right-hand sides.
    inside : ndarray of bool, shape (n, a)
        Which components may be above zero.

    References
    ----------
    J. Kim and H. Park (2011), "Fast nonnegative matrix factorization: an active-set-like method and comparisons",
    doi:10.1137/110821172.
    """
    n, a = right.shape
    inside, found, eye = inside.copy(), np.zeros((n, a)), np.eye(a)
    fewest, left = np.full(n, a + 1), np.full(n, 3)
    running = np.arange(n)
    for _ in range(5 * a + 20):
        own, r, within = Q[running], right[running], inside[running]
        both = within[..., np.newaxis] & within[:, np.newaxis]
        z = np.linalg.solve(np.where(both, own, eye), np.where(within, r, 0)[..., np.newaxis])[..., 0]
        product = (own @ z[..., np.newaxis])[..., 0]
        rounding = 1e-12 * np.array([np.abs(v).max(axis=1) for v in (z, product, r)])[..., np.newaxis]
        wrong = np.where(within, z < -rounding[0], product - r < -(rounding[1] + rounding[2]))
        found[running] = np.maximum(z, 0)
        count = wrong.sum(axis=1)
        left[running] = np.where(count < fewest[running], 3, left[running] - 1)
        fewest[running] = np.minimum(fewest[running], count)
        last = a - 1 - wrong[:, ::-1].argmax(axis=1)
        one = wrong & (np.arange(a) == last[:, np.newaxis])
        inside[running] = within ^ np.where(left[running, np.newaxis] < 0, one, wrong)
        running = running[count > 0]
        if len(running) == 0:
            break
    return found


# --- as text


def _text(kind: str, caption: str, columns: dict[str, Any], most: int = 20) -> str:
    """A table with a caption; of more rows than `most` the first."""
    n = len(next(iter(columns.values())))
    cells = {
        name: ["" if value is None else cell(value) for value in column[:most]] for name, column in columns.items()
    }
    widths = {name: max(map(len, [name, *column])) for name, column in cells.items()}
    lines = ["  ".join(f"{name:>{width}}" for name, width in widths.items())]
    lines += ["  ".join(f"{column[i]:>{widths[name]}}" for name, column in cells.items()) for i in range(min(n, most))]
    lines += [f"... {n - most} more"] if n > most else []
    return "\n".join([f"<{kind}: {caption}", *lines]) + ">"


def _html(caption: str, columns: dict[str, Any]) -> str:
    return html_table(
        {name: ["" if value is None else value for value in column] for name, column in columns.items()}, caption
    )
