"""Intervals of exposures, from replicates."""

from typing import NamedTuple

import numpy as np

from nmf_core.known.model import Model, Samples
from nmf_core.typing import Missing
from nmf_core.warning import held_back

_LARGEST = 1e18  # mean of Poisson distributions from which integers can be drawn


class Replicates(NamedTuple):
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


def limits_of(
    samples: Samples, W: np.ndarray, model: Model, replicates: Replicates, kept: bool, level: float
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
                missing: Missing | None = "nan" if samples.missing else None
                found, _ = model.exposures(drawn, missing, weights)
            found = found.reshape(replicates.n, *W[rows].shape)
            lower[rows], upper[rows] = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], axis=0)
    determined = samples.determined(model.H)
    return lower * determined, upper * determined
