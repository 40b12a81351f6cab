"""How much of each known component is in samples."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, accept, container_class
from nmf_core.factorize import choose_loss
from nmf_core.initialization import make_random_state
from nmf_core.known import describing
from nmf_core.known.limits import Replicates, limits_of
from nmf_core.known.matching import at, components, named
from nmf_core.known.model import Model, Samples, quality
from nmf_core.known.selection import selected
from nmf_core.known.text import html, text
from nmf_core.labels import Axis, Labelled, frame, tabulated
from nmf_core.losses import LOSSES, Beta, Loss, make_loss
from nmf_core.readable import fit_in
from nmf_core.threads import serial_blas
from nmf_core.typing import LossName, Missing, Selection
from nmf_core.validation import (
    check_catalogue,
    check_choice,
    check_integer,
    check_loss,
    check_number,
    check_random_state,
    check_resident,
    check_selectable,
    check_share,
    check_threads,
    check_unbiased,
    check_whole,
)
from nmf_core.warning import ConvergenceWarning, warn


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
    lower, upper : ndarray or data frame of shape (n_samples, n_components), or None
        Limits of the exposures, from replicates of samples: of the kind of `exposures`.
    level : float
        The share of replicates that are between them.
    resampled : {"poisson", "features"} or None
        How replicates were drawn.
    row_labels, column_labels : Axis or None
        Labels of samples and features.
    frame_library : str or None
        The library of the data frame that the samples were.
    parameters : dict
        The other arguments of `refit`: plain values.
    own_loss : Loss or None
        The loss, if it is of a class of one's own.
    """

    W: np.ndarray
    H: np.ndarray
    selected: np.ndarray
    cosine: np.ndarray
    error: np.ndarray
    loss: Any
    names: Axis
    lower: Any = None
    upper: Any = None
    level: float = 0.95
    resampled: str | None = None
    row_labels: Axis | None = None
    column_labels: Axis | None = None
    frame_library: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    own_loss: Loss | None = None

    @property
    def exposures(self) -> Any:
        """The exposures, as a data frame of the library of the samples if these or the components have names."""
        return frame(self.W, self.row_labels, self.names, self.frame_library)

    @property
    def table(self) -> Any:
        """A data frame, or a dict of columns if pandas is not installed, with a row for every sample.

        Its columns are sample, components (how many are in it), total (what its model adds up to), strongest (the
        component that adds most to that, None for zeros), share (of that), cosine and error.
        """
        return tabulated(self._columns(), self.frame_library)

    def methods(self) -> str:
        """The paragraph for a paper: data, known components, loss, selection, limits, quality, versions, citations."""
        return describing.methods(self)

    def cite(self) -> str:
        """BibTeX of what `methods` cites: this library, and the papers of the loss, the selection and the limits."""
        return describing.cite(self)

    @property
    def _labelled_H(self) -> Labelled:
        return Labelled(self.H, self.names, self.column_labels, self.frame_library)

    def _columns(self) -> dict[str, Any]:
        parts = self.W * self.H.sum(axis=1)
        total = parts.sum(axis=1, dtype=np.float64)
        strongest = np.where(total > 0, parts.argmax(axis=1), -1)
        return {
            "sample": list(range(len(self.W)) if self.row_labels is None else self.row_labels),
            "components": self.selected.sum(axis=1),
            "total": total,
            "strongest": named(strongest, self.names),
            "share": at(parts, strongest) / np.where(total > 0, total, 1),
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
        return text("Refit", self._caption, self._columns())

    def _repr_html_(self) -> str:
        return html(self._caption, self._columns())


def refit(
    X: Any,
    H: Any,
    *,
    loss: LossName | float | Loss | None = None,
    select: Selection | None = None,
    significance: float = 0.001,
    n_bootstrap: int = 0,
    level: float = 0.95,
    missing: Missing | None = None,
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
    H : array-like, data frame, Factorization, or what holds one, of shape (n_components, n_features)
        The components; also an `Ensemble`, the components of one, a fitted `NMF`, or another `Refit`. Labelled features
        are brought into the order of those of X or refused.
    loss : str, float or Loss, optional
        As in `nmf_core.factorize`: "frobenius" by default; "kullback-leibler" for counts.
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
    data, _ = accept(X, missing)
    check_resident(container_class(data.values) is FullMatrix, "refit")
    loss = choose_loss(loss, X, data.scan)
    the_loss = make_loss(check_loss(loss, LOSSES))
    if select is not None:
        check_choice(select, "select", ["likelihood"])
        check_selectable(the_loss.kernel in (1.0, 2.0), loss)
    significance, level = check_share(significance, "significance"), check_share(level, "level")
    n_bootstrap = check_integer(n_bootstrap, "n_bootstrap", 0)
    random = make_random_state(check_random_state(random_state))
    check_unbiased(getattr(fit_in(H), "biases", None) is not None)
    known = check_catalogue(components(H, "H"), "H", data.values.shape[1], data.columns, "X")
    dtype = data.values.dtype
    samples = Samples(data.values.astype(np.float64, copy=False), missing)
    counts = the_loss.kernel == 1
    if counts and select is not None:
        check_whole(samples.odd)
    elif counts and n_bootstrap:
        counts = samples.odd is None
    model = Model(known.values, the_loss, {"tol": check_number(tol, "tol"), "max_iter": max_iter,
                                            "n_threads": check_threads(n_threads)})  # fmt: skip
    W, converged = model.exposures(samples.X, missing)
    if not converged and select is None:  # else it is a start for exact fits
        warn(f"W of some rows has not converged within {max_iter} sweeps. Raise max_iter or tol.", ConvergenceWarning)
    with serial_blas():
        W *= samples.determined(model.H)
        if select is not None:
            for rows, x in samples.blocks():
                W[rows] = selected(x, W[rows], model, significance)
        limits = None
        if n_bootstrap:
            replicates = Replicates(n_bootstrap, counts, np.random.default_rng(random.randint(2**32, dtype=np.uint64)))
            limits = limits_of(samples, W, model, replicates, select is not None, level)
        cosine, error = quality(samples, W, model)
    W = W.astype(dtype)
    assert known.rows is not None
    lower, upper = (
        (None, None) if limits is None
        else (frame(limit.astype(dtype), data.rows, known.rows, data.library) for limit in limits)
    )  # fmt: skip
    return Refit(
        W, known.values.astype(dtype), W > 0, cosine, error, the_loss.name, known.rows, lower, upper, level,
        ("poisson" if counts else "features") if n_bootstrap else None,
        data.rows, data.columns or known.columns, data.library,
        {"select": select, "significance": significance, "n_bootstrap": n_bootstrap, "missing": missing},
        None if isinstance(the_loss, Beta) else the_loss,
    )  # fmt: skip
