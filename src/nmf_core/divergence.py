"""What a pair of factors is worth."""

from typing import Any

from nmf_core.data import accept
from nmf_core.engine import Engine, padded
from nmf_core.losses import LOSSES, make_loss
from nmf_core.problem import Problem, container_for
from nmf_core.typing import LossName
from nmf_core.validation import (
    check_loss,
    check_model,
    check_threads,
    check_zeros,
)


def beta_divergence(
    X: Any, W: Any, H: Any, beta_loss: LossName | float = "frobenius", *, n_threads: int | None = None
) -> float:
    """The beta-divergence of X and W @ H, summed over all entries.

    ``W @ H`` is never there as a whole; of a sparse X, for the Frobenius and Kullback-Leibler divergences, only the
    stored entries are looked at.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        Non-negative and finite. CSR and CSC may hold explicit zeros, and indices of 32 or 64 bits.
    W : array-like of shape (n_samples, n_components)
        First factor.
    H : array-like of shape (n_components, n_features)
        Second factor.
    beta_loss : str or float
        "frobenius" (2), "kullback-leibler" (1), "itakura-saito" (0), or any beta.
    n_threads : int, optional
        Threads; by default all that are available. The result is the same to the last bit for any number.

    Returns
    -------
    float
        Computed in double. Where W @ H is next to nothing, 1e-18 times the mean of X or of its row (1e-12 in
        float32), it counts as that much.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be, such as zeros in X for beta <= 0.

    References
    ----------
    C. Fevotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with the beta-divergence",
    doi:10.1162/NECO_a_00168.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> float(nmf_core.beta_divergence(X, X, np.eye(2), "kullback-leibler"))
    0.0
    """
    engine = Engine(check_threads(n_threads))
    labels, _ = accept(X, hint=False, workspace=engine.workspace)
    X = labels.values
    loss = make_loss(check_loss(beta_loss, LOSSES, "beta_loss"))
    W, H = check_model(W, H, X.shape, X.dtype, labels.rows, labels.columns)
    data = container_for(X, loss, engine=engine, scan=labels.scan)
    problem = Problem(data, loss, len(H))
    check_zeros(data, loss.positive)
    dtype = problem.data.dtype
    return problem.divergence(padded(W, dtype), padded(H.T, dtype))
