"""Samples and a model of known components."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nmf_core.known.rows import Rows, descend
from nmf_core.losses import Loss
from nmf_core.transform import Components, transform
from nmf_core.typing import Missing
from nmf_core.validation import (
    ArrayOrSparse,
    stored_values,
)

_ENTRIES = 1 << 21  # numbers of samples, or of their components, that are looked at together


class Samples(NamedTuple):
    """Validated samples, in memory and in double, and what is missing from them."""

    X: ArrayOrSparse
    missing: Missing | None

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
            x = np.array(dense(stored))
            if self.missing == "unstored":
                pattern = stored.copy()
                pattern.data = np.ones_like(pattern.data)
                x[dense(pattern) == 0] = np.nan
            yield rows, x

    def determined(self, H: np.ndarray) -> np.ndarray:
        """Whether anything is known where components are not zero, as (n, k) or (1, k): else there is none of them."""
        there: np.ndarray = H.sum(axis=1)[np.newaxis] > 0
        if self.missing is None:
            return there
        return np.concatenate([(~np.isnan(x)) @ H.T > 0 for _, x in self.blocks()])


class Model:
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

    def exposures(self, X: Any, missing: Missing | None, weights: np.ndarray | None = None) -> tuple[np.ndarray, bool]:
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
            w, divergence[rows] = descend(Rows(x[rows], weights[rows], G, there, self.loss.quadratic), start)
            exposures = np.zeros((len(rows), len(self.H)))
            np.put_along_axis(exposures, places, w, axis=1)
            found[rows] = exposures
        return found, divergence


def dense(A: Any) -> np.ndarray:
    """A matrix as an array."""
    return np.asarray(getattr(A, "toarray", lambda: A)())


def quality(samples: Samples, W: np.ndarray, model: Model) -> tuple[np.ndarray, np.ndarray]:
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
