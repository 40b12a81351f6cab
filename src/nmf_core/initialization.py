"""Initial factors. A new method is a function here and a line in `INITIALIZERS`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nmf_core import _core
from nmf_core._core import Team
from nmf_core.data import Complete, Container, Partial, factor_array
from nmf_core.losses import Beta
from nmf_core.problem import padded

Factors = tuple[np.ndarray, np.ndarray]

ROWS = 4096  # of a block that is computed in double
SMALL = 100_000  # so many entries are no trouble in double
POWER_ITERATIONS = 4  # of the singular value decomposition; more do not make a start better


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


def for_fixed_components(data: Container, loss: Beta, k: int, masses: np.ndarray) -> np.ndarray:
    """A factor array (n_samples, ld) to start from where H is fixed: no row of it depends on another row of X.

    Zeros for the Frobenius loss; for others, which may not start there, equal components that have the sum of the row.
    `masses` are the sums of H over what counts of every row, or one for all.
    """
    W = factor_array(_sizes(data)[0], k, data.dtype)
    if not loss.quadratic:
        sums = data.sums(columns=data.transposed)
        W[:, :k] = _divide(sums, np.broadcast_to(masses, sums.shape))[:, np.newaxis]
    return W


def silence_unknown(
    data: Container, W: np.ndarray, Ht: np.ndarray, update_H: np.ndarray, team: Team | None = None
) -> None:
    """Put zeros in W (n_samples, ld) and Ht (n_features, ld) for samples and features of which nothing is known.

    With a team to find them, also in components of a sample or feature that the other factor has nowhere in what is
    known of it: nothing known depends on them. Not before a fit, which may find use for them. Both are modified in
    place, H only in the components to update.
    """
    if not isinstance(data, Partial):
        return
    k = len(update_H)
    for F, G, free in ((W, Ht, np.ones(k, dtype=bool)), (Ht, W, update_H)):
        if free.any():
            columns = F is Ht
            if team is None:
                idle = (data.counts(columns=columns) == 0)[:, np.newaxis]
            else:
                idle = data.model_sums(G, k, team, columns=columns) == 0
            F[:, :k][idle & free] = 0


def with_biases(W: np.ndarray, Ht: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two components more for biases that start at zero: component k has ones in H, component k + 1 ones in W.

    Returns
    -------
    W, Ht : ndarray of shape (n_samples, ld) and (n_features, ld)
        Factor arrays with k + 2 components.
    update_W, update_H : ndarray of bool, shape (k + 2,)
        Which of them are free.
    """
    grown = []
    for F, fixed in ((W, k + 1), (Ht, k)):
        array = factor_array(len(F), k + 2, F.dtype)
        array[:, :k] = F[:, :k]
        array[:, fixed] = 1
        grown.append(array)
    components = np.arange(k + 2)
    return grown[0], grown[1], components != k + 1, components != k


def _sizes(data: Container) -> tuple[int, int]:
    """(n_samples, n_features)."""
    n, m = data.shape
    return (m, n) if data.transposed else (n, m)


def random(data: Container, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """Absolute values of normal numbers, scaled so that W @ H has about the mean of X, of what is known of it.

    The numbers are drawn as scikit-learn draws them, H before W: a seed gives the same start.
    """
    n_samples, n_features = _sizes(data)
    average = np.sqrt(data.level() / k)
    H = average * rng.standard_normal(size=(k, n_features)).astype(data.dtype, copy=False)
    W = average * rng.standard_normal(size=(n_samples, k)).astype(data.dtype, copy=False)
    return np.abs(W), np.abs(H).T


def truncated_svd(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> tuple[np.ndarray, ...]:
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
        X is about ``U * s @ V.T``; U and V in the dtype of X, in double if X is small. Singular values below 1e-7 of
        the largest are zero, and so are their vectors.

    References
    ----------
    N. Halko, P. G. Martinsson and J. A. Tropp (2011), "Finding structure with randomness", doi:10.1137/090771806.
    """
    n, m = _sizes(data)
    size = min(k + 10, n, m)
    if n * m <= SMALL:
        data = data.in_double()
    # The basis is kept on the smaller side as long as possible: there it costs less.
    tall = n >= m
    Q = padded(rng.standard_normal(size=(min(n, m), size)), data.dtype)
    for _ in range(POWER_ITERATIONS):
        Q = _times(data, Q, size, team, transpose=not tall)
        Q = _times(data, Q, size, team, transpose=tall)
        _orthonormalize(Q, size, team)
    Q = _times(data, Q, size, team, transpose=not tall)
    _orthonormalize(Q, size, team)
    _orthonormalize(Q, size, team)
    B = _times(data, Q, size, team, transpose=tall)
    values, vectors = np.linalg.eigh(_gram(B, size))
    s = np.sqrt(np.maximum(values, 0))
    s[s < 1e-7 * s[-1]] = 0
    # the largest first
    s, vectors = s[::-1][:k], vectors[:, ::-1][:, :k]
    _multiply(Q, size, vectors * (s > 0), team)
    _multiply(B, size, vectors * _divide(np.ones_like(s), s), team)
    U, V = (Q, B) if tall else (B, Q)
    return U[:, :k], s, V[:, :k]


def _gram(Y: np.ndarray, columns: int) -> np.ndarray:
    """Y.T @ Y of the first columns, in double, by blocks: a copy of all would be the largest array of a fit."""
    total = np.zeros((columns, columns))
    for first in range(0, len(Y), ROWS):
        block = Y[first : first + ROWS, :columns].astype(np.float64)
        total += block.T @ block
    return total


def _multiply(Y: np.ndarray, columns: int, T: np.ndarray, team: Team) -> None:
    """Y @ T for the first columns, in place; T may have fewer columns than rows."""
    G = np.zeros((columns, Y.shape[1]), dtype=Y.dtype)
    G[:, : T.shape[1]] = T
    block = np.empty((min(ROWS, len(Y)), Y.shape[1]), dtype=Y.dtype)
    for first in range(0, len(Y), ROWS):
        rows = Y[first : first + ROWS]
        _core.dense_product(block[: len(rows)], rows[:, :columns], G, team)
        rows[:] = block[: len(rows)]


def _orthonormalize(Y: np.ndarray, columns: int, team: Team) -> None:
    """Replace the first columns of Y by an orthonormal basis; directions that are lost in rounding become zeros.

    From the eigenvectors of Y.T @ Y, a fraction of the cost of a QR decomposition. Orthonormal up to rounding times the
    squared condition of Y, so twice where that matters. Y is modified in place.
    """
    values, vectors = np.linalg.eigh(_gram(Y, columns))
    used = values > 1e-14 * values[-1]
    inverse = _divide(used.astype(np.float64), np.sqrt(np.where(used, values, 0)))
    _multiply(Y, columns, vectors * inverse, team)


def _times(data: Complete, G: np.ndarray, columns: int, team: Team, transpose: bool = False) -> np.ndarray:
    """X @ G, or X.T @ G, as a factor array, for a factor array G with so many columns."""
    by_rows = transpose == data.transposed
    return data.product(G, team) if by_rows else data.transposed_product(G, columns, team)


def nndsvd(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """Non-negative double singular value decomposition: a start with zeros.

    Every singular triplet is replaced by the larger of its positive and its negative part.

    References
    ----------
    C. Boutsidis and E. Gallopoulos (2008), "SVD based initialization: a head start for nonnegative matrix
    factorization", doi:10.1016/j.patcog.2007.09.010.
    """
    U, s, V = truncated_svd(data, k, rng, team)
    parts = [_part_norms(U), _part_norms(V)]
    # The larger of the two parts of each pair, by the product of their norms; its sign.
    positive, negative = parts[0] * parts[1]
    sign = np.where(positive >= negative, 1, -1)
    weight = np.sqrt(s * np.maximum(positive, negative))
    for F, norms in zip((U, V), parts, strict=True):
        factors = (sign * _divide(weight, np.where(sign > 0, *norms))).astype(F.dtype)
        for first in range(0, len(F), ROWS):
            block = F[first : first + ROWS]
            block *= factors
            block *= block >= 1e-6
    return U, V


def _part_norms(U: np.ndarray) -> np.ndarray:
    """The norms (2, k) of the positive and of the negative parts of the columns, in double."""
    squares = np.zeros((2, U.shape[1]))
    for first in range(0, len(U), ROWS):
        block = U[first : first + ROWS].astype(np.float64)
        for part, clipped in enumerate((np.maximum(block, 0), np.minimum(block, 0))):
            squares[part] += np.einsum("ij,ij->j", clipped, clipped)
    return np.sqrt(squares)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The quotient a / b, zero where b is."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def nndsvda(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by the mean of X."""
    W, Ht = nndsvd(data, k, rng, team)
    mean = data.mean()
    for F in (W, Ht):
        np.copyto(F, mean, where=F == 0)
    return W, Ht


def nndsvdar(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by small random numbers, around a hundredth of the mean of X."""
    W, Ht = nndsvd(data, k, rng, team)
    mean = data.mean()
    W[W == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(W == 0)) / 100)
    Ht[Ht == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(Ht == 0)) / 100)
    return W, Ht


def kmeans(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
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
        centers = _means(data, member, team)
        products = _times(data, padded(centers, data.dtype), k, team)[:, :k]
        distance = np.einsum("ij,ij->j", centers, centers) - 2 * products
        nearest = distance.argmin(axis=1)
        before, member = member, np.zeros((n, k))
        member[np.arange(n), nearest] = 1
        if np.array_equal(before, member):
            break
    centers = _means(data, member, team)
    # An empty cluster has no mean; a share of the overall one lets its component take part.
    empty = ~member.any(axis=0)
    centers[:, empty] = centers.mean(axis=1, keepdims=True) * rng.uniform(0.5, 1.5, size=(len(centers), empty.sum()))
    return member + 0.2, centers


def _means(data: Complete, member: np.ndarray, team: Team) -> np.ndarray:
    """The mean of every cluster's samples (n_features, k), in double, zero for an empty one."""
    k = member.shape[1]
    sums = _times(data, padded(member, data.dtype), k, team, transpose=True)[:, :k]
    return sums.astype(np.float64) / np.maximum(member.sum(axis=0), 1)


INITIALIZERS: dict[str, Callable[[Any, int, np.random.RandomState, Team], Factors]] = {
    "random": random,
    "nndsvd": nndsvd,
    "nndsvda": nndsvda,
    "nndsvdar": nndsvdar,
    "kmeans": kmeans,
}
FOR_INCOMPLETE = ("random",)  # what needs nothing of X but its mean
