"""Initial factors. A new method is a function here and a line in `INITIALIZERS`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nmf_core._core import Team
from nmf_core.data import Container
from nmf_core.problem import padded

Factors = tuple[np.ndarray, np.ndarray]


def make_random_state(random_state: Any) -> np.random.RandomState:
    """A RandomState from None, an integer seed, a RandomState or a Generator."""
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return random_state or np.random.mtrand._rand
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(2**32, dtype=np.uint64))
    return np.random.RandomState(random_state)


def initialize(data: Container, k: int, init: str, rng: np.random.RandomState, team: Team) -> Factors:
    """Initial factors of X.

    Parameters
    ----------
    data : Container
        X.
    k : int
        Number of components.
    init : str
        A name in `INITIALIZERS`.
    rng : RandomState
        Source of randomness.
    team : Team
        Who works.

    Returns
    -------
    W, Ht : ndarray of shape (n_samples, k) and (n_features, k)
        Non-negative, in the dtype of X.
    """
    W, Ht = INITIALIZERS[init](data, k, rng, team)
    return W.astype(data.dtype, copy=False), Ht.astype(data.dtype, copy=False)


def _mean(data: Container) -> float:
    return data.sum() / (data.shape[0] * data.shape[1])


def _sizes(data: Container) -> tuple[int, int]:
    """(n_samples, n_features)."""
    n, m = data.shape
    return (m, n) if data.transposed else (n, m)


def random(data: Container, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """Absolute values of normal numbers, scaled so that W @ H has about the mean of X.

    The numbers are drawn as scikit-learn draws them, H before W: a seed gives the same start.
    """
    n_samples, n_features = _sizes(data)
    average = np.sqrt(_mean(data) / k)
    H = average * rng.standard_normal(size=(k, n_features)).astype(data.dtype, copy=False)
    W = average * rng.standard_normal(size=(n_samples, k)).astype(data.dtype, copy=False)
    return np.abs(W), np.abs(H).T


def truncated_svd(data: Container, k: int, rng: np.random.RandomState, team: Team) -> tuple[np.ndarray, ...]:
    """The k largest singular triplets of X, by a randomised range finder with power iterations.

    Parameters
    ----------
    data : Container
        X.
    k : int
        Number of triplets, at most min(n_samples, n_features).

    Returns
    -------
    U, s, V : ndarray of shape (n_samples, k), (k,), (n_features, k)
        X is about ``U * s @ V.T``. In double.

    References
    ----------
    N. Halko, P. G. Martinsson and J. A. Tropp (2011), "Finding structure with randomness", doi:10.1137/090771806.
    """
    n, m = _sizes(data)
    size = min(k + 10, n, m)
    iterations = 7 if k < 0.1 * min(n, m) else 4
    Q = rng.standard_normal(size=(m, size))
    for _ in range(iterations):
        Q = _orthonormal(_times(data, _times(data, Q, team), team, transpose=True))
    Q = _orthonormal(_orthonormal(_times(data, Q, team)))
    V, s, Ut = np.linalg.svd(_times(data, Q, team, transpose=True), full_matrices=False)
    U = Q @ Ut.T
    return U[:, :k], s[:k], V[:, :k]


def _orthonormal(Y: np.ndarray) -> np.ndarray:
    """A basis of the columns of Y, from the eigenvectors of Y.T @ Y; zeros for directions lost in rounding.

    A fraction of the cost of a QR decomposition. Orthonormal up to rounding times the squared condition of Y, so twice
    where that matters.
    """
    values, vectors = np.linalg.eigh(Y.T @ Y)
    used = values > 1e-14 * values[-1]
    return Y @ (vectors * np.where(used, 1 / np.sqrt(np.where(used, values, 1)), 0))


def _times(data: Container, G: np.ndarray, team: Team, transpose: bool = False) -> np.ndarray:
    """X @ G, or X.T @ G, in double for an array G (rows, columns)."""
    columns = G.shape[1]
    array = padded(G, data.dtype)
    by_rows = transpose == data.transposed
    product = data.product(array, team) if by_rows else data.transposed_product(array, columns, team)
    return product[:, :columns].astype(np.float64)


def nndsvd(data: Container, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """Non-negative double singular value decomposition: a start with zeros.

    Every singular triplet is replaced by the larger of its positive and its negative part.

    References
    ----------
    C. Boutsidis and E. Gallopoulos (2008), "SVD based initialization: a head start for nonnegative matrix
    factorization", doi:10.1016/j.patcog.2007.09.010.
    """
    U, s, V = truncated_svd(data, k, rng, team)
    W, Ht = np.zeros(U.shape), np.zeros(V.shape)
    for j in range(k):
        u, v = U[:, j], V[:, j]
        if j == 0:  # the leading pair of a non-negative matrix can be chosen non-negative
            W[:, 0], Ht[:, 0] = np.sqrt(s[0]) * np.abs(u), np.sqrt(s[0]) * np.abs(v)
            continue
        parts = [(np.maximum(sign * u, 0), np.maximum(sign * v, 0)) for sign in (1, -1)]
        weights = [np.linalg.norm(x) * np.linalg.norm(y) for x, y in parts]
        (x, y), weight = max(zip(parts, weights, strict=True), key=lambda pair: pair[1])
        if weight > 0:
            scale = np.sqrt(s[j] * weight)
            W[:, j] = scale * x / np.linalg.norm(x)
            Ht[:, j] = scale * y / np.linalg.norm(y)
    W[W < 1e-6] = 0
    Ht[Ht < 1e-6] = 0
    return W, Ht


def nndsvda(data: Container, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by the mean of X."""
    W, Ht = nndsvd(data, k, rng, team)
    mean = _mean(data)
    W[W == 0] = mean
    Ht[Ht == 0] = mean
    return W, Ht


def nndsvdar(data: Container, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by small random numbers, around a hundredth of the mean of X."""
    W, Ht = nndsvd(data, k, rng, team)
    mean = _mean(data)
    W[W == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(W == 0)) / 100)
    Ht[Ht == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(Ht == 0)) / 100)
    return W, Ht


def kmeans(data: Container, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """H holds the means of k clusters of samples, W says to which cluster a sample belongs, softened by 0.2.

    Clusters by Lloyd's algorithm from k distinct samples, a few iterations; they need not be good, only different.

    References
    ----------
    C. Ding, T. Li and M. I. Jordan (2010), "Convex and semi-nonnegative matrix factorizations",
    doi:10.1109/TPAMI.2008.277.
    """
    n, _ = _sizes(data)
    member = np.zeros((n, k))
    member[rng.permutation(n)[:k], np.arange(min(n, k))] = 1
    for _ in range(10):
        centers = _times(data, member, team, transpose=True) / np.maximum(member.sum(axis=0), 1)
        distance = np.einsum("ij,ij->j", centers, centers) - 2 * _times(data, centers, team)
        nearest = distance.argmin(axis=1)
        before, member = member, np.zeros((n, k))
        member[np.arange(n), nearest] = 1
        if np.array_equal(before, member):
            break
    centers = _times(data, member, team, transpose=True) / np.maximum(member.sum(axis=0), 1)
    # An empty cluster has no mean; a share of the overall one lets its component take part.
    empty = ~member.any(axis=0)
    centers[:, empty] = centers.mean(axis=1, keepdims=True) * rng.uniform(0.5, 1.5, size=(len(centers), empty.sum()))
    return member + 0.2, centers


INITIALIZERS: dict[str, Callable[[Container, int, np.random.RandomState, Team], Factors]] = {
    "random": random,
    "nndsvd": nndsvd,
    "nndsvda": nndsvda,
    "nndsvdar": nndsvdar,
    "kmeans": kmeans,
}
