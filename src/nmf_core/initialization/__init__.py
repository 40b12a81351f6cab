"""Initial factors. A new method is a function here and a line in `INITIALIZERS`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nmf_core.data import Matrix
from nmf_core.initialization.base import Factors, make_random_state, make_seeds
from nmf_core.initialization.given import for_fixed_components, silence_unknown, with_biases
from nmf_core.initialization.random import kmeans, random, random_vcol
from nmf_core.initialization.separable import snpa, spa
from nmf_core.initialization.singular import compress, nndsvd, nndsvda, nndsvdar, truncated_svd

INITIALIZERS: dict[str, Callable[[Any, int, np.random.RandomState], Factors]] = {
    "random": random,
    "random_vcol": random_vcol,
    "nndsvd": nndsvd,
    "nndsvda": nndsvda,
    "nndsvdar": nndsvdar,
    "kmeans": kmeans,
    "spa": spa,
    "snpa": snpa,
}
FOR_INCOMPLETE = ("random",)  # what needs nothing of X but its mean
RANDOM = ("random", "random_vcol", "kmeans", "nndsvdar")  # what another seed makes another
ANYWHERE = ("random", "nndsvd", "nndsvda")  # what also makes factors that are not in this process


def initial_factors(data: Matrix, k: int, init: str, rng: np.random.RandomState) -> Factors:
    """Initial factors of X.

    Parameters
    ----------
    data : Matrix
        X.
    k : int
        Number of components.
    init : str
        A name in `INITIALIZERS`.
    rng : RandomState
        Source of randomness.

    Returns
    -------
    W, Ht : array of shape (n_samples, at least k) and (n_features, at least k)
        Non-negative in the first k columns, in the dtype of X.
    """
    factors = INITIALIZERS[init](data, k, rng)
    W, Ht = (F.astype(data.dtype, copy=False) if isinstance(F, np.ndarray) else F for F in factors)
    return W, Ht


__all__ = [
    "ANYWHERE",
    "FOR_INCOMPLETE",
    "INITIALIZERS",
    "RANDOM",
    "Factors",
    "compress",
    "for_fixed_components",
    "initial_factors",
    "make_random_state",
    "make_seeds",
    "silence_unknown",
    "truncated_svd",
    "with_biases",
]
