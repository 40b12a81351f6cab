"""Starts where something is given: a fixed H, biases, samples and features of which nothing is known."""

import numpy as np

from nmf_core.data import Matrix, ObservedMatrix
from nmf_core.engine import factor_array
from nmf_core.initialization.base import divide, sizes
from nmf_core.losses import Loss


def for_fixed_components(data: Matrix, loss: Loss, k: int, masses: np.ndarray) -> np.ndarray:
    """A factor array (n_samples, ld) to start from where H is fixed: no row of it depends on another row of X.

    Zeros for the Frobenius loss; for others, which may not start there, equal components that have the sum of the row.
    `masses` are the sums of H over what counts of every row, or one for all.
    """
    W = factor_array(sizes(data)[0], k, data.dtype) if data.transposed else data.empty_factor(k)
    if not loss.quadratic:
        sums = data.sums(columns=data.transposed)
        W[:, :k] = divide(sums, np.broadcast_to(masses, sums.shape))[:, np.newaxis]
    return W


def silence_unknown(data: Matrix, W: np.ndarray, Ht: np.ndarray, update_H: np.ndarray, fitted: bool = False) -> None:
    """Put zeros in W (n_samples, ld) and Ht (n_features, ld) for samples and features of which nothing is known.

    After a fit also in components of a sample or feature that the other factor has nowhere in what is known of it:
    nothing known depends on them, but the fit might have found use for them. Both are modified in place, H only in the
    components to update.
    """
    if not isinstance(data, ObservedMatrix):
        return
    k = len(update_H)
    for F, G, free in ((W, Ht, np.ones(k, dtype=bool)), (Ht, W, update_H)):
        if free.any():
            columns = F is Ht
            if fitted:
                idle = data.model_sums(G, k, columns=columns) == 0
            else:
                idle = (data.counts(columns=columns) == 0)[:, np.newaxis]
            F[:, :k][idle & free] = 0


def with_biases(W: np.ndarray, Ht: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Two components more for biases that start at zero: component k has ones in H, component k + 1 ones in W."""
    grown = []
    for F, fixed in ((W, k + 1), (Ht, k)):
        array = factor_array(len(F), k + 2, F.dtype)
        array[:, :k] = F[:, :k]
        array[:, fixed] = 1
        grown.append(array)
    return grown[0], grown[1]
