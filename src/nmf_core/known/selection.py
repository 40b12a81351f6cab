"""Which known components a sample needs, by backward selection."""

from typing import NamedTuple

import numpy as np

from nmf_core.known.model import Model
from nmf_core.known.rows import EPS


def selected(x: np.ndarray, W: np.ndarray, model: Model, significance: float) -> np.ndarray:
    """Exposures (n, k) of a block of samples to as few components as the likelihood allows, from those to all."""
    from scipy.special import chdtri, fdtri

    known = ~np.isnan(x)
    x, weights = np.nan_to_num(x), known.astype(np.float64)
    W, divergence = model.fits(x, weights, (W > 0) | model.wanted(x, weights, W), W)
    if model.loss.quadratic:
        left = np.maximum(known.sum(axis=1) - (W > 0).sum(axis=1), 1)
        # rounding is noise, too
        noise = np.maximum(2 * divergence / left, (32 * EPS) ** 2 * (x**2).mean(axis=1))
        noise[noise == 0] = 1
        weights /= noise[:, np.newaxis]
        divergence /= noise
        most = fdtri(1, left, 1 - significance) / 2
    else:
        most = np.full(len(x), chdtri(1, significance) / 2)
    return _backward(_Fits(model, x, weights), W, divergence, most)


class _Fits(NamedTuple):
    """Samples that are fitted with fewer and fewer components, and how much their entries count."""

    model: Model
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
